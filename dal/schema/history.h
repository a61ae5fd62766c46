/* SPDX-License-Identifier: MIT */
#ifndef DAL_SCHEMA_HISTORY_H
#define DAL_SCHEMA_HISTORY_H

/* The table dal_schema_history, the lock around an apply, and the session's limits meanwhile. */

#include <dal/conn.h>

#include "schema/script.h"

typedef enum dal__history_state {
        DAL__HISTORY_APPLYING, /* n_begun > n_done: the end of that statement is not recorded */
        DAL__HISTORY_APPLIED,
        DAL__HISTORY_FAILED
} dal__history_state;

typedef struct dal__history_row {
        char version[17];
        char name[129];
        char sha256[DAL__SCRIPT_HASH_SIZE];
        char statement_hash[DAL__SCRIPT_HASH_SIZE]; /* of the n_done first statements */
        uint32_t n_statements;
        uint32_t n_begun;
        uint32_t n_done;
        dal__history_state state;
        char applied_by[65];
        int64_t started_at_us;
        int64_t duration_ms;
        char note[600];
} dal__history_row;

typedef struct dal__history {
        bool exists; /* the table is there */
        dal__history_row *rows;
        uint32_t n_rows;
} dal__history;

/* Reads what is recorded of an area; no table is no error. */
dal_status dal__history_load(dal_conn *conn, const char *area, dal__history *out, dal_error *err);
void dal__history_free(dal__history *history);
dal__history_row *dal__history_find(const dal__history *history, const char *version);
/*
 * Writes a row, new or not; never over a script recorded as applied: then the class is UNIQUE, and somebody else
 * was faster.
 */
dal_status dal__history_save(dal_conn *conn, const char *area, const dal__history_row *row, dal_error *err);
dal_status dal__history_save_until(dal_conn *conn, const char *area, const dal__history_row *row,
                                   dal_deadline deadline, dal_error *err);
/* The limit of each statement that has no other. */
#define DAL__HISTORY_STATEMENT_MS 30000u
/* Microseconds since 1970, by the wall clock. */
int64_t dal__history_now_us(void);

/*
 * Takes the lock of an area by asking again and again: a session that waited inside the server would deadlock with
 * CREATE INDEX CONCURRENTLY. BUSY names the holder. Embedded engines have none: their write lock does.
 */
dal_status dal__history_lock(dal_conn *conn, const char *area, uint32_t wait_ms, dal_error *err);
void dal__history_unlock(dal_conn *conn, const char *area);

/* Session limits in milliseconds; 0 = none. */
typedef struct dal__history_limits {
        int64_t lock_ms;
        int64_t row_lock_ms;
        int64_t statement_ms;
} dal__history_limits;

/* Sets the session's limits, giving the former ones. */
dal_status dal__history_limit(dal_conn *conn, const dal__history_limits *limits, dal__history_limits *old_out,
                              dal_error *err);
void dal__history_unlimit(dal_conn *conn, const dal__history_limits *old);

#endif
