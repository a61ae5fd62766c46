/* SPDX-License-Identifier: MIT */
#ifndef DAL_DRIVER_OUTCOME_H
#define DAL_DRIVER_OUTCOME_H

/*
 * The part of the driver contract by which the core finds out what became of a COMMIT that got no answer: see outcome.h.
 * A part of driver.h, which includes it.
 *
 * The `text` of a COMMIT is NULL or a token of 32 hex digits. The driver then inserts (token, 'C') into `token_table` as
 * the last statement before COMMIT, without a round trip of its own. Whatever the server answers to that but success is
 * the answer to the request: nothing was committed, and the transaction may still be open.
 */

#include <stdbool.h>
#include <stdint.h>

#include <dal/clock.h>
#include <dal/error.h>
#include <dal/macros.h>

DAL_BEGIN_DECLS

/**
 * Returns a query for one text, the full name of the table dal_outcome as this session sees it, quoted for use in
 * SQL; it finds no row where there is none that the user may write to. NULL when this session can't use one.
 *
 * Optional: a driver without it commits without tokens, as one does whose COMMIT never leaves the process. Ownership:
 * static. No I/O.
 */
typedef const char *dal_driver_token_query_fn(void *conn);
/**
 * Returns a query for one text of 26 hex digits that names the open transaction for as long as the server remembers it:
 * the server's history (10 digits) and the transaction's number in it (16). NULL where nothing was written yet.
 *
 * `state`: instead the query that is asked later what became of it, with the text as its two parameters; it gives
 * "committed", "aborted", "in progress", or anything else when that is not known. Optional. Ownership: static. No I/O.
 */
typedef const char *dal_driver_number_query_fn(void *conn, bool state);
/**
 * Ends another session of the same server and user, so that what it has open is decided. It is no failure if it is gone.
 *
 * Numbers of sessions are used again: only one that is older than `min_age_ms` is meant, as far as the server can tell.
 * Optional. May block until the deadline.
 */
typedef dal_status dal_driver_end_session_fn(void *conn, uint64_t session_id, uint32_t min_age_ms,
                                             dal_deadline deadline, dal_error *err);

/**
 * Makes the number of dal_driver_info.server out of what names a server: by it is known whether a session's number,
 * after a fail-over, is still that of the same session. Never 0. Threads: any. Blocks: no.
 */
uint64_t dal_driver_server_number(const char *name);

DAL_END_DECLS

#endif
