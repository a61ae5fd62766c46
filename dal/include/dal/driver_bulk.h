/* SPDX-License-Identifier: MIT */
#ifndef DAL_DRIVER_BULK_H
#define DAL_DRIVER_BULK_H

/* The part of the driver contract by which many rows are loaded in the engine's own way: see bulk.h. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <dal/clock.h>
#include <dal/error.h>
#include <dal/macros.h>
#include <dal/value.h>

DAL_BEGIN_DECLS

#define DAL_BULK_NO_ROW UINT32_MAX

/** Rows for one table. The core has checked the values as those of a statement. All borrowed during the call. */
typedef struct dal_driver_bulk {
        const char *table;         /* quoted, with its schema if one was given: fit for SQL */
        const char *plain_table;   /* as the caller wrote it, for comparing with messages */
        const char *columns;       /* quoted and separated by ", ": fit for SQL */
        const char *const *plain_columns;
        uint32_t n_columns;
        uint32_t n_rows;           /* at least 1 */
        const dal_value *values;   /* n_rows * n_columns, row after row */
} dal_driver_bulk;

/**
 * Loads rows inside the open transaction, all of them or none; exactly what INSERT of the same values would store.
 *
 * Nothing is queued when it is called. Optional: without it, and when it leaves *taken_out false, which it does with
 * DAL_OK and with nothing done, the core inserts the rows by ordinary statements of `bulk_rows` rows.
 *
 * @param taken_out  false: these columns or values can't be loaded so; the connection is as it was
 * @param i_row_out  after a failure the row it was about, from 0; DAL_BULK_NO_ROW where that is not known: the core
 *                   then finds it out
 */
typedef dal_status dal_driver_bulk_fn(void *conn, const dal_driver_bulk *load, dal_deadline deadline,
                                      bool *taken_out, uint32_t *i_row_out, dal_error *err);

DAL_END_DECLS

#endif
