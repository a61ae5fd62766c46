/* SPDX-License-Identifier: MIT */
#ifndef DAL_CONN_CONN_STATE_H
#define DAL_CONN_CONN_STATE_H

#include "conn/conn_impl.h"
#include "conn/stmt_cache.h"
#include "sql/params.h"
#include "sql/rows_impl.h"

/* The body of a connection, for the conn*.c files and, by conn_hot.h, for the way of most statements. */

#define DAL__MAX_SERVICE_BYTES 63u /* Source: PostgreSQL 15 manual, application_name: NAMEDATALEN - 1 */

/* A request that waits to be sent, with its own copy of the parameters. */
struct dal__pending {
        dal_request request;
        dal__cached_stmt *stmt; /* pinned; NULL for transaction verbs */
        dal_value *values;      /* one block: the values, then the bytes they point to */
};

typedef struct dal__flight dal__flight;
typedef struct dal__conn_cursor dal__conn_cursor;

struct dal_conn {
        const dal_driver *driver;
        void *state;
        dal_driver_info info;
        dal__stmt_cache cache;
        dal_conn_stats stats;
        char service[DAL__MAX_SERVICE_BYTES + 1];

        struct dal__pending *pending;
        size_t n_pending, n_pending_room;

        dal_rows rows;
        dal_deadline rows_deadline;
        void (*on_rows_close)(dal_conn *conn, void *arg);
        void *on_rows_close_arg;
        dal_driver_stmt dynamic_stmt; /* text of the dynamic statement under way */

        dal__flight *flight; /* of a batch; NULL without one. `rows_open` and `awaiting` are set then, too */
        dal_request
                request; /* of the last statement run by itself; STMT, and zero where statements have nothing */
        dal_result result; /* of the last statement */
        void *lease;       /* the pool's note about who has it */
        dal_error scratch; /* for failures whose caller wants no error; keeps 1 KiB off every stack frame */
        int64_t insert_id;
        uint32_t statement_timeout_ms, lock_timeout_ms;
        bool tx_mode;
        bool in_tx;         /* between begin and commit or rollback */
        bool tx_read_only;  /* begun so */
        bool wrote;         /* the transaction, or else the last statement, may have written something */
        bool tx_failed;     /* a statement failed: only rollback is left */
        bool rows_open;     /* rows are still to be fetched */
        bool rows_complete; /* none come behind those at hand: the driver has nothing left to do for them */
        bool rows_failed;   /* they ended in a failure */
        bool awaiting;      /* a query was sent whose result was not asked for yet */
        bool broken;
        uint8_t effects; /* DAL__EFFECT_* of what ran, until they were seen to */
        dal_error_class broken_by;
        dal__conn_news *news;             /* of the pool; NULL without one */
        uint32_t schema_heard;            /* of news->n_schema: what was prepared since is fresh */
        dal__conn_cursor *cursors;        /* the further ones; kept for the next use */
        const volatile char *mark;        /* of `process`: 0 may mean a child of it. Never NULL */
        const dal__conn_process *process; /* that the session belongs to: the pool's, or `own` */
        dal__conn_process own;            /* of a connection without a pool */
        dal_error tx_failure;             /* when tx_failed: what failed first */
};

/* Where a flush failed, for the caller that must know what the server may have seen. */
typedef struct dal__flush_outcome {
        bool reached_last; /* all before the last request succeeded and its own turn had come */
        bool was_sent;     /* a byte may have left this process */
        int64_t n_rows;    /* of what stood right before the last request */
} dal__flush_outcome;

/*
 * Sends all that is pending and then `last` (NULL: nothing more), takes one result for each, and leaves the result
 * of `last` current. The first failure wins; what follows it in the flush was not executed.
 */
dal_status dal__conn_send_all(dal_conn *conn, const dal_request *last, dal_deadline deadline,
                              dal_result *result, dal__flush_outcome *outcome, dal_error *err);
/* The same for one request on a connection that must be usable. */
dal_status dal__conn_send_one(dal_conn *conn, const dal_request *request, dal_deadline deadline,
                              dal_result *result, dal_error *err);
/* Refuses when the connection is lost, a cursor is open or the deadline has passed. */
dal_status dal__conn_check_usable(dal_conn *conn, dal_deadline deadline, dal_error *err);
/* The same, and when a further cursor is open, which a single statement doesn't mind. */
dal_status dal__conn_check_alone(dal_conn *conn, dal_deadline deadline, dal_error *err);
/* Refuses when an earlier statement has spoilt the transaction. */
dal_status dal__conn_check_not_failed(dal_conn *conn, dal_error *err);
/*
 * Both of these, for a statement: on every statement's way, hence here. `fresh` says that the deadline was set a
 * moment ago and nobody has waited since, which saves the look at the clock.
 */
static inline dal_status dal__conn_check(dal_conn *conn, dal_deadline deadline, bool fresh, dal_error *err)
{
        dal_status s;

        /* An engine inside this process looks at the clock itself when it begins. */
        if (!(conn->broken | conn->rows_open | conn->tx_failed) && *conn->mark &&
            (fresh || (conn->driver->caps & DAL_CAP_EMBEDDED) || !dal_clock_passed(deadline)))
                return DAL_OK;
        s = dal__conn_check_usable(conn, deadline, err);
        return s ? s : dal__conn_check_not_failed(conn, err);
}
/* Says whether this is a child of the process that opened the connection: then it must neither speak nor listen. */
static inline bool dal__conn_is_forked(const dal_conn *conn)
{
        return !*conn->mark && dal__conn_is_other_process(conn->process);
}
dal_status dal__conn_refuse_forked(dal_conn *conn, dal_error *err);
/* Takes the failure of a request into the connection's own state, and into *err. */
dal_status dal__conn_fail(dal_conn *conn, const dal_request *request, dal_error *failure, dal_error *err);
/* Takes the failure of a fetch into the connection's own state. */
void dal__conn_fail_row(dal_conn *conn, dal_error *failure);
/* The same of a discard, which left it in conn->scratch. */
void dal__conn_fail_discard(dal_conn *conn);
/* Refuses a fetch of rows that ended before their end. */
dal_status dal__conn_refuse_rows(dal_conn *conn, dal_error *err);
/* Fills an error of the library's own, with nothing sent. */
dal_status dal__conn_refuse(dal_conn *conn, dal_error_class error_class, const char *what, dal_error *err);
/* Before a statement is sent: what it is decides what the loss of an answer means. */
static inline void dal__conn_note_write(dal_conn *conn, bool writes)
{
        conn->wrote = writes | (conn->wrote & conn->in_tx);
}
/* Fills in what one statement's request has unlike another's. */
static inline void dal__conn_fill_request(dal_conn *conn, dal__cached_stmt *entry, dal_params params,
                                          dal_request *request)
{
        request->stmt = &entry->driver_stmt;
        request->flags = entry->key->flags;
        request->params = params;
        conn->effects |= entry->effects;
        dal__conn_note_write(conn, !entry->is_read);
}
/* Makes the request of a statement, its parameters checked; NULL, with *err filled, if that fails. */
static inline dal__cached_stmt *dal__conn_prepare_request(dal_conn *conn, const dal_stmt *stmt,
                                                          dal_params params, dal_request *request,
                                                          dal_error *err)
{
        dal__cached_stmt *entry = dal__stmt_cache_get(&conn->cache, conn->state, stmt, err);

        if (!entry ||
            (!dal__params_are_plain(entry->driver_stmt.n_params, params) &&
             dal__params_check(conn->driver, stmt->name, entry->driver_stmt.n_params, params, err))) {
                err->not_sent = true;
                return NULL;
        }
        *request = (dal_request){.kind = DAL_REQUEST_STMT};
        dal__conn_fill_request(conn, entry, params, request);
        return entry;
}
/* Says whether a request makes a round trip; the others cost nothing of their own. */
bool dal__conn_is_counted(const dal_conn *conn, const dal_request *request);
/* Lets the owner of the flight take or drop what is unread, and ends it. */
void dal__conn_flight_stop(dal_conn *conn);
/* Adds a waiting request at `at` (n_pending: at the end); without parameters. */
dal_status dal__conn_add_pending(dal_conn *conn, size_t at, const dal_request *request, dal_error *err);
/* Forgets what waits from `from` on. */
void dal__conn_drop_pending(dal_conn *conn, size_t from);
/*
 * Cursors side by side, where the driver can: while one is open, another statement is run in a window. In it the
 * connection is as if nothing were open.
 */
typedef struct dal__conn_window {
        dal__conn_cursor *cursor; /* for the statement's rows */
        dal_rows rows;            /* the connection's own cursor, and what is known of it */
        dal_deadline rows_deadline;
        bool rows_open, rows_complete, rows_failed, wrote;
} dal__conn_window;
bool dal__conn_has_windows(const dal_conn *conn);
dal_status dal__conn_open_window(dal_conn *conn, bool for_rows, dal__conn_window *window, dal_error *err);
/*
 * With the status of the statement that ran in it; gives its rows, or without `rows_out` counts them, so that *result has
 * none.
 */
dal_status dal__conn_close_window(dal_conn *conn, dal__conn_window *window, dal_status s, dal_result *result,
                                  dal_deadline deadline, dal_rows **rows_out, dal_error *err);
/* Ends all that are open. */
void dal__conn_end_cursors(dal_conn *conn);
/* Frees them, before the driver's state goes. */
void dal__conn_free_cursors(dal_conn *conn);

/* What makes the connection's own cursor one; set once. */
void dal__conn_init_rows(dal_conn *conn);
/* Makes the current result the connection's cursor. */
static inline dal_rows *dal__conn_open_rows(dal_conn *conn, const dal_result *result, dal_deadline deadline)
{
        conn->rows.cells = NULL;
        conn->rows.first = result->first;
        conn->rows.n_columns = result->has_rows ? result->n_columns : 0;
        conn->rows.shard = DAL_NO_SHARD;
        conn->rows_open = result->has_rows;
        conn->rows_complete = result->complete;
        conn->rows_failed = false;
        conn->rows_deadline = deadline;
        return &conn->rows;
}

#endif
