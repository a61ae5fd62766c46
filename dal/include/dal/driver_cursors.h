/* SPDX-License-Identifier: MIT */
#ifndef DAL_DRIVER_CURSORS_H
#define DAL_DRIVER_CURSORS_H

/* The part of the driver contract by which several results are read by turns, with DAL_CAP_CURSORS: see rows.h. */

#include <dal/error.h>
#include <dal/macros.h>

DAL_BEGIN_DECLS

/**
 * Exchanges the current result with the one that `aside` holds: `aside_size` bytes of the core's, zeroed before their
 * first use. Either may be none. Required with DAL_CAP_CURSORS.
 *
 * What the result lent (cells, names of columns) stays where it is; what its request lent is looked at no more, and its
 * statement may be run again, or closed, meanwhile. All other slots know of the current result only, which `discard`
 * makes none. Fails only for want of memory, when `aside` holds none, and has changed nothing then. No I/O.
 */
typedef dal_status dal_driver_swap_fn(void *conn, void *aside, dal_error *err);
/** Frees what the driver keeps in `aside`, which may hold a result; called before `close`. Required with `swap`. No I/O. */
typedef void dal_driver_drop_fn(void *conn, void *aside);

DAL_END_DECLS

#endif
