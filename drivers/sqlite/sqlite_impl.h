/* SPDX-License-Identifier: MIT */
#ifndef DAL_SQLITE_IMPL_H
#define DAL_SQLITE_IMPL_H

#include <stdatomic.h>

#include <sqlite3.h>

#include <dal/driver.h>

/* 3.37 brought sqlite3_changes64() and SQLITE_OPEN_EXRESCODE, 3.35 RETURNING. Source: sqlite.org/changes.html */
#if SQLITE_VERSION_NUMBER < 3037000
#error "dal needs SQLite 3.37 or later"
#endif

/* Why a handler stopped SQLite; the result code alone does not tell. */
typedef enum dal__sqlite_stop {
        DAL__SQLITE_STOP_NONE,
        DAL__SQLITE_STOP_DEADLINE,  /* the caller's */
        DAL__SQLITE_STOP_STATEMENT, /* statement_timeout_ms */
        DAL__SQLITE_STOP_LOCK,      /* lock_timeout_ms */
        DAL__SQLITE_STOP_CANCEL     /* the cancel slot */
} dal__sqlite_stop;

/* What a column's declared type makes of its storage class. */
typedef enum dal__sqlite_kind {
        DAL__SQLITE_KIND_UNTYPED, /* an expression: no declared type */
        DAL__SQLITE_KIND_STORAGE, /* as stored */
        DAL__SQLITE_KIND_BOOL,
        DAL__SQLITE_KIND_DECIMAL,
        DAL__SQLITE_KIND_TIMESTAMP,
        DAL__SQLITE_KIND_DATE,
        DAL__SQLITE_KIND_UUID
} dal__sqlite_kind;

/* Statements with more columns than this work out their kinds anew at each execution. */
#define DAL__SQLITE_KINDS_KEPT 64u

/* Transaction commands are prepared once per connection. */
typedef enum dal__sqlite_command {
        DAL__SQLITE_BEGIN,
        DAL__SQLITE_BEGIN_IMMEDIATE,
        DAL__SQLITE_COMMIT,
        DAL__SQLITE_ROLLBACK,
        DAL__SQLITE_N_COMMANDS
} dal__sqlite_command;

/* What a statement without rows is by its first word; what it reports is known then without asking. */
typedef enum dal__sqlite_dml {
        DAL__SQLITE_DML_NONE, /* anything else */
        DAL__SQLITE_DML_INSERT,
        DAL__SQLITE_DML_OTHER /* UPDATE or DELETE */
} dal__sqlite_dml;

typedef struct dal__sqlite_stmt {
        sqlite3_stmt *handle;
        const dal_value *cells; /* where those of its last result stood: large enough for it */
        int n_reprepared;       /* SQLite's count when the kinds were worked out */
        uint32_t n_columns;     /* then; 0: the kinds are not known */
        bool is_read;           /* likewise */
        uint8_t dml;            /* dal__sqlite_dml of `handle` */
        uint8_t kinds[DAL__SQLITE_KINDS_KEPT];
} dal__sqlite_stmt;

typedef struct dal__sqlite_pending {
        const dal_request *request;
        uint64_t flush; /* number of the flush it belongs to */
} dal__sqlite_pending;

#define DAL__SQLITE_KEPT_BYTES 65536u

/* A growing block of bytes, kept between uses unless it became large. */
typedef struct dal__sqlite_bytes {
        char *data;
        size_t size;
        size_t capacity;
} dal__sqlite_bytes;

/* A result that is being read. */
typedef struct dal__sqlite_cursor {
        sqlite3_stmt *handle;
        dal__sqlite_stmt *stmt;  /* that keeps the handle; NULL: it goes with the result */
        dal__sqlite_stmt *owner; /* that gets it back then, unless it has another one by now */
        bool row_ready;          /* stepped to, but not fetched yet */
        bool done;
        bool refined;   /* a kind of a column says more than SQLite stores */
        uint64_t flush; /* its number; 0: a failure is no matter to later requests */
        uint32_t n_columns;
        const uint8_t *kinds;
        uint8_t *wide_kinds; /* for more than DAL__SQLITE_KINDS_KEPT columns and without `stmt` */
        size_t wide_capacity;
        dal_value *cells;
        size_t cells_capacity;
        dal__sqlite_bytes bound; /* parameters that must outlive their request */
        dal__sqlite_bytes rows;  /* whole result of a write with RETURNING in autocommit */
        size_t i_rows;           /* next byte of it to deliver */
        bool buffered;
} dal__sqlite_cursor;

/* What the core keeps for a result set aside: its cursor, and what SQLite's handlers have to know of its statement. */
typedef struct dal__sqlite_aside {
        struct dal__sqlite_aside *next; /* of the connection */
        bool linked;
        dal__sqlite_cursor cur;
        dal_deadline statement_deadline;
        dal_deadline lock_deadline;
        dal__sqlite_stop stop;
        bool may_interrupt;
} dal__sqlite_aside;

typedef struct dal__sqlite_conn {
        sqlite3 *db;
        char *path; /* as given to SQLite */
        bool file_read_only;

        /* The call in progress, read by SQLite's handlers. */
        dal_deadline deadline;
        dal_deadline statement_deadline; /* 0: to be set when a handler first looks at the clock */
        dal_deadline lock_deadline;      /* likewise */
        dal__sqlite_stop stop;
        bool may_interrupt;    /* false while an interruption could hide that a COMMIT succeeded */
        atomic_bool cancel;    /* set by another thread */
        uint32_t random;       /* state of the jitter between two tries for a lock */
        uint32_t lock_timeout; /* in force, milliseconds; 0 = none */
        uint32_t statement_timeout;
        uint32_t session_lock_timeout;
        uint32_t session_statement_timeout;

        /* The transaction. */
        bool in_tx;     /* begun by a request and not yet ended by one */
        bool read_only; /* writes are refused */
        bool tx_gone;   /* SQLite rolled it back by itself; waits for ROLLBACK */
        sqlite3_stmt *commands[DAL__SQLITE_N_COMMANDS];

        /* The queue of requests. */
        dal__sqlite_pending *pending;
        size_t n_pending, i_pending, pending_capacity;
        uint64_t flush;        /* number of the flush being collected, from 1 */
        uint64_t failed_flush; /* its later requests are not executed */

        dal__sqlite_cursor cur; /* the current result */
        dal__sqlite_aside *asides;
        uint32_t most_columns; /* that a result of this connection had */
} dal__sqlite_conn;

/* conn.c */
/* Sets the time limits and clears the stop reason for the execution of one request. */
static inline void dal__sqlite_arm(dal__sqlite_conn *conn, dal_deadline deadline)
{
        conn->deadline = deadline;
        conn->lock_deadline = 0;
        conn->statement_deadline = conn->statement_timeout ? 0 : DAL_FOREVER;
        conn->stop = DAL__SQLITE_STOP_NONE;
        conn->may_interrupt = true;
}
dal_status dal__sqlite_begin(dal__sqlite_conn *conn, const dal_request *request, dal_error *err);
dal_status dal__sqlite_commit(dal__sqlite_conn *conn, dal_error *err);
dal_status dal__sqlite_rollback(dal__sqlite_conn *conn, dal_error *err);
dal_status dal__sqlite_savepoint(dal__sqlite_conn *conn, const dal_request *request, dal_error *err);
/* Finds out whether SQLite ended the transaction by itself, and marks it. */
bool dal__sqlite_tx_vanished(dal__sqlite_conn *conn);

/* stmt.c */
dal_driver_queue_fn dal__sqlite_queue;
dal_driver_flush_fn dal__sqlite_flush;
dal_driver_result_fn dal__sqlite_result;
dal_driver_discard_fn dal__sqlite_discard;
dal_driver_column_fn dal__sqlite_column;
dal_driver_stmt_close_fn dal__sqlite_stmt_close;
/* The statement has ended the transaction by itself. */
dal_status dal__sqlite_refuse_ended_tx(dal__sqlite_conn *conn, dal_error *err);
/* Binds the values; `keep`: they must outlive the request. */
dal_status dal__sqlite_bind(dal__sqlite_conn *conn, sqlite3_stmt *handle, const dal_params *params, bool keep,
                            dal_error *err);
/* Takes what the first step of the current statement gave, which has columns. */
dal_status dal__sqlite_take_step(dal__sqlite_conn *conn, dal__sqlite_stmt *stmt, int rc, bool is_write,
                                 dal_result *out, dal_error *err);
/* Runs what is prepared, and leaves it open while there are rows. `stmt` is NULL for a temporary one. */
dal_status dal__sqlite_execute_handle(dal__sqlite_conn *conn, dal__sqlite_stmt *stmt, sqlite3_stmt *handle,
                                      const dal_request *request, dal_result *out, dal_error *err);
/* Runs a request of any kind. */
dal_status dal__sqlite_execute(dal__sqlite_conn *conn, const dal_request *request, dal_result *out,
                               dal_error *err);
/* Ends the current result; a read lock it held is given up. */
void dal__sqlite_cursor_close(dal__sqlite_conn *conn);

/* run.c */
dal_driver_run_fn dal__sqlite_run;
/* Says whether the text of a prepared statement is that of an INSERT, UPDATE or DELETE that gives no rows. */
dal__sqlite_dml dal__sqlite_dml_of(sqlite3_stmt *handle, const char *text);
/* Runs one, in a transaction that may write, and resets it. */
dal_status dal__sqlite_run_dml(dal__sqlite_conn *conn, dal__sqlite_stmt *stmt, const dal_params *params,
                               dal_result *out, dal_error *err);

/* aside.c */
dal_driver_swap_fn dal__sqlite_swap;
dal_driver_drop_fn dal__sqlite_drop;
/* Ends a handle that goes with its result. */
void dal__sqlite_give_back(dal__sqlite_cursor *cur);
/* A statement is closed: what it lent won't come back to it. */
void dal__sqlite_forget_owner(dal__sqlite_conn *conn, const dal__sqlite_stmt *stmt);

/* cells.c */
dal_driver_fetch_fn dal__sqlite_fetch;
bool dal__sqlite_bytes_reserve(dal__sqlite_bytes *bytes, size_t size);
void dal__sqlite_bytes_free(dal__sqlite_bytes *bytes);
/* Empties it; a large one is given back instead of being kept for the next use. */
static inline void dal__sqlite_bytes_release(dal__sqlite_bytes *bytes)
{
        bytes->size = 0;
        if (bytes->capacity > DAL__SQLITE_KEPT_BYTES)
                dal__sqlite_bytes_free(bytes);
}
/* Makes room for some more kinds. */
bool dal__sqlite_reserve_kinds(dal__sqlite_cursor *cur, size_t n);
/* Makes the cells ready for the columns of a statement, which are known. */
void dal__sqlite_use_kinds(dal__sqlite_conn *conn, const dal__sqlite_stmt *stmt);
/*
 * Says whether the columns of the current result are known from the last one, and has the cells ready then. The schema
 * may have changed since, and the cells may stand in another place.
 */
static inline bool dal__sqlite_is_described(dal__sqlite_conn *conn, const dal__sqlite_stmt *stmt)
{
        if (stmt->n_columns == 0 || stmt->cells != conn->cur.cells ||
            sqlite3_stmt_status(conn->cur.handle, SQLITE_STMTSTATUS_REPREPARE, 0) != stmt->n_reprepared)
                return false;
        if (conn->cur.kinds != stmt->kinds)
                dal__sqlite_use_kinds(conn, stmt);
        return true;
}
/* Works out the columns of the current result; `stmt` is NULL for a temporary statement. */
dal_status dal__sqlite_describe(dal__sqlite_conn *conn, dal__sqlite_stmt *stmt, dal_error *err);
/* Fills the cells from the row stepped to. */
dal_status dal__sqlite_fill_cells(dal__sqlite_conn *conn, dal_error *err);
/* Steps to the end and keeps all rows; *rc_out is the last step's code. */
dal_status dal__sqlite_keep_rows(dal__sqlite_conn *conn, int *rc_out, dal_error *err);

/* error.c */
dal_status dal__sqlite_no_memory(dal_error *err);
/* Fills all but the bits and the code from what SQLite said; `err` is not NULL. */
dal_status dal__sqlite_classify(int rc, const char *text, const char *path, dal_error *err);
/* Fills an error from the connection's last result code. */
dal_status dal__sqlite_fail(dal__sqlite_conn *conn, int rc, dal_error *err);
/* As dal__sqlite_fail(), for a failed COMMIT; outside a transaction each statement is one. */
dal_status dal__sqlite_fail_commit(dal__sqlite_conn *conn, int rc, dal_error *err);
/* The same for a connection that could not be opened. */
dal_status dal__sqlite_fail_open(dal__sqlite_conn *conn, int rc, const char *path, dal_error *err);

#endif
