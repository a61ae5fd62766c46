/* SPDX-License-Identifier: MIT */
#ifndef DAL_DRIVER_H
#define DAL_DRIVER_H

/*
 * The driver contract: all that a driver for another client library needs.
 *
 * A connection is a pipe of requests and results. The core queues requests, flushes them, and takes exactly one
 * result for each, in order. A driver is a static const table of functions and facts; there is no registration:
 * the application hands the table (dal_driver_sqlite(), ...) to the cluster.
 *
 * Rules that hold for every slot:
 *  - The core calls with no lock held, one thread at a time per connection, `cancel` excepted.
 *  - The core allocates and zeroes `conn_size` bytes of state; `open` fills it, `close` empties it and must be
 *    legal after a failed open. The core frees it.
 *  - A slot that can block takes a deadline and returns within 50 ms of it with DAL_CLASS_DEADLINE.
 *  - Every failure fills the error completely in the driver's own error.c: class, SQLSTATE, vendor code, names,
 *    and the bits tx_gone, conn_gone and not_sent. After conn_gone only close is called.
 *  - A request and everything it points to stay valid until its result was returned, so nothing need be copied.
 *  - After a request fails, the later requests of the same flush are not executed: each gives a result of class
 *    DAL_CLASS_NOT_EXECUTED. The next flush starts afresh. But a failure does not concern the `independent`
 *    requests behind it: each is executed, or gives NOT_EXECUTED, then has had no effect and may be queued again.
 *  - Inside a transaction nothing may be sent behind a write whose answer is unread, unless the server itself
 *    skips the rest after an error (PostgreSQL's pipeline up to Sync does; the MySQL protocol does not).
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <dal/clock.h>
#include <dal/driver_bulk.h>
#include <dal/driver_cursors.h>
#include <dal/driver_outcome.h>
#include <dal/driver_sql.h>
#include <dal/dsn.h>
#include <dal/error.h>
#include <dal/macros.h>
#include <dal/mem.h>
#include <dal/resolver.h>
#include <dal/stmt.h>
#include <dal/value.h>

DAL_BEGIN_DECLS

/* Facts that the core branches on; never driver names. */
#define DAL_CAP_PIPELINE   0x0001u /* several requests of one flush share a round trip */
#define DAL_CAP_SAVEPOINT  0x0002u
#define DAL_CAP_RETURNING  0x0004u /* INSERT ... RETURNING */
#define DAL_CAP_TWO_PHASE  0x0008u
#define DAL_CAP_TX_MODE    0x0010u /* idle connections are kept in autocommit or in transaction mode: REQUEST_MODE */
#define DAL_CAP_TX_DDL     0x0020u /* DDL is transactional */
#define DAL_CAP_UINT64     0x0040u /* stores the whole range of uint64 */
#define DAL_CAP_NAN        0x0080u /* stores NaN and infinities */
#define DAL_CAP_EMBEDDED   0x0100u /* no server: a file or memory */
#define DAL_CAP_CREATE_DB  0x0200u /* CREATE DATABASE makes a further database on the same server */
#define DAL_CAP_UNNAMED    0x0400u /* has DAL_STATEMENTS_UNNAMED */
#define DAL_CAP_TEXT       0x0800u /* has DAL_STATEMENTS_TEXT */
#define DAL_CAP_CURSORS    0x1000u /* results can be set aside while others are read: has `swap` and `drop` */

typedef enum dal_isolation {
        DAL_ISOLATION_DEFAULT, /* the server's */
        DAL_ISOLATION_READ_COMMITTED,
        DAL_ISOLATION_REPEATABLE_READ,
        DAL_ISOLATION_SERIALIZABLE
} dal_isolation;

typedef enum dal_tx_state {
        DAL_TX_STATE_IDLE,    /* no transaction */
        DAL_TX_STATE_ACTIVE,  /* in a transaction */
        DAL_TX_STATE_FAILED,  /* in a transaction that can only be rolled back */
        DAL_TX_STATE_UNKNOWN  /* the connection is lost or a result is unread */
} dal_tx_state;

typedef enum dal_request_kind {
        DAL_REQUEST_STMT,        /* prepared statement `stmt` with `params` */
        DAL_REQUEST_TEXT,        /* `text` once, with `params`; not kept */
        DAL_REQUEST_SCRIPT,      /* `text` as one command without parameters, by the simple protocol */
        DAL_REQUEST_BEGIN,       /* with isolation, read_only and limits */
        DAL_REQUEST_COMMIT,      /* success means committed: a rollback is DAL_CLASS_COMMIT_ROLLED_BACK */
        DAL_REQUEST_ROLLBACK,
        DAL_REQUEST_SAVEPOINT,   /* savepoint number `savepoint` */
        DAL_REQUEST_RELEASE,
        DAL_REQUEST_ROLLBACK_TO,
        DAL_REQUEST_LIMITS,      /* statement and lock time limits for the rest of the transaction */
        DAL_REQUEST_MODE         /* DAL_CAP_TX_MODE: go to `tx_mode` while idle */
} dal_request_kind;

/** One prepared statement of one connection. The core allocates it with `stmt_size` bytes of driver state. */
typedef struct dal_driver_stmt {
        const char *name;   /* of the dal_stmt */
        const char *text;   /* placeholders rewritten, a leading comment with the name; NUL-terminated */
        size_t text_size;   /* bytes, without the NUL */
        uint32_t n_params;
        uint32_t number;    /* unique in the connection's life: for server-side names */
        uint32_t flags;     /* DAL_STMT_* */
        void *state;        /* zeroed before first use */
} dal_driver_stmt;

typedef struct dal_request {
        dal_request_kind kind;
        union { dal_driver_stmt *stmt; const char *token_table; }; /* REQUEST_STMT; REQUEST_COMMIT */
        const char *text;          /* REQUEST_TEXT, REQUEST_SCRIPT; NUL-terminated. REQUEST_COMMIT: see driver_outcome.h */
        size_t text_size;
        uint32_t flags;            /* DAL_STMT_* */
        dal_params params;         /* the count was checked by the core against the statement */
        dal_isolation isolation;   /* REQUEST_BEGIN */
        bool read_only, tx_mode;   /* REQUEST_BEGIN; REQUEST_MODE */
        bool independent;          /* REQUEST_STMT, TEXT outside a transaction: what comes of those before it is no matter */
        bool send_early;           /* REQUEST_STMT: much is done between flush and result, so flush had better send it */
        bool unwatched;            /* REQUEST_STMT in a transaction: its success is not looked at: several may be one command */
        bool fresh;                /* by `run` only: the deadline was set a moment ago, so it can't have passed yet */
        uint32_t savepoint;        /* REQUEST_SAVEPOINT, RELEASE, ROLLBACK_TO: 1, 2, ... */
        uint32_t statement_timeout_ms; /* REQUEST_BEGIN, LIMITS: 0 = leave as it is */
        uint32_t lock_timeout_ms;      /* likewise; rounded up to what the engine can say */
} dal_request;

typedef struct dal_result {
        bool has_rows;        /* fetch until it gives no row, then ask for the next result */
        uint32_t n_columns;   /* when has_rows */
        int64_t n_rows;       /* rows matched by an UPDATE, DELETE or INSERT; 0 otherwise */
        int64_t insert_id;    /* the generated id where the engine reports one; 0 otherwise */
        bool joined;          /* without PIPELINE: it travelled with the request before it, so no round trip is its own */
        const dal_value *first; /* by `run` only: the first row, if at hand; fetch gives those behind it. Borrowed alike */
        bool complete;          /* by `run` only: nothing comes behind `first`: neither fetch nor discard need be called */
} dal_result;

/** What to open. All borrowed until the call returns. */
typedef struct dal_open_args {
        const dal_dsn *dsn;       /* resolved: see dal_driver_resolve_dsn() */
        const char *service;      /* shown by the server as the connection's application; never NULL */
        const char *user;         /* from the DSN or the credentials callback; may be "" */
        const char *password;     /* NULL when none */
        uint32_t statement_timeout_ms, lock_timeout_ms; /* the session's limits; 0 = none */
        bool tx_mode;             /* DAL_CAP_TX_MODE: the mode to start in */
        dal_statements statements; /* never DEFAULT, and one that the driver has */
} dal_open_args;

/** Facts about an open connection, for people and for capability decisions. */
typedef struct dal_driver_info {
        dal_dialect dialect;      /* decided by the server that answered */
        char engine[16];          /* OpenTelemetry's db.system.name: "postgresql", "mysql", "mariadb", "sqlite" */
        char version[64];         /* the server's own words */
        char client[64];          /* the client library's name and version */
        uint64_t session_id, server; /* backend pid or thread id; which server: see driver_outcome.h; 0 = not known */
        bool tls;                 /* the session is encrypted */
        uint32_t max_prepared;    /* prepared statements that all sessions of the server share; 0 = no limit */
} dal_driver_info;

/**
 * Opens a session and brings it to the library's normal state.
 *
 * Normal state: UTF-8 (utf8mb4), strict mode, UTC where the engine converts times by a session zone, autocommit or
 * the asked mode, limits set, service named. Name resolution honours the deadline too.
 * Errors: CONNECT_FAILED, AUTH, PRIVILEGE, UNDEFINED_OBJECT (database), TOO_MANY_CONNECTIONS, DEADLINE, ARGUMENT,
 * UNSUPPORTED, NO_MEMORY. Required. May block until the deadline.
 */
typedef dal_status dal_driver_open_fn(void *conn, const dal_open_args *args, dal_deadline deadline,
                                      dal_error *err);
/** Ends a session at once; frees all that the driver allocated. Required. Does not wait for the server. */
typedef void dal_driver_close_fn(void *conn);
/**
 * Returns an idle session to the normal state: nothing left of the last user's settings, no transaction.
 *
 * Prepared statements survive or the driver clears `stmt->state` lazily. Optional: without it such connections are
 * closed instead. May block until the deadline.
 */
typedef dal_status dal_driver_reset_fn(void *conn, dal_deadline deadline, dal_error *err);
/** Asks the server for a sign of life by one round trip. Required unless EMBEDDED. May block. */
typedef dal_status dal_driver_ping_fn(void *conn, dal_deadline deadline, dal_error *err);
/**
 * Asks the server to stop the running statement, from any thread, over a way of its own.
 *
 * The core guarantees that the connection is not closed meanwhile. Encrypted when the session is, as far as the
 * client library can. Optional. May block until the deadline.
 */
typedef dal_status dal_driver_cancel_fn(void *conn, dal_deadline deadline, dal_error *err);
/** Adds a request. May do no I/O. A refused request (bad value) is not queued. Required. */
typedef dal_status dal_driver_queue_fn(void *conn, const dal_request *request, dal_error *err);
/** Sends what is queued, or arranges that `result` executes it. Required. May block. */
typedef dal_status dal_driver_flush_fn(void *conn, dal_deadline deadline, dal_error *err);
/**
 * Waits for the result of the oldest request without one. Required. May block.
 *
 * Rows of an earlier result that were not fetched are discarded first, within the deadline.
 */
typedef dal_status dal_driver_result_fn(void *conn, dal_deadline deadline, dal_result *out, dal_error *err);
/**
 * Runs one DAL_REQUEST_STMT, with nothing queued or unanswered before it: as queue, flush and result one after another.
 *
 * Optional: it saves the book-keeping of the queue for most statements. It fills err->not_sent, too; `out` is zeroed by
 * the caller. What is left to do for a complete result is done with the next request: it may keep little memory until
 * then. May block until the deadline.
 */
typedef dal_status dal_driver_run_fn(void *conn, const dal_request *request, dal_deadline deadline,
                                     dal_result *out, dal_error *err);
/**
 * Gives the next row of the current result; *cells_out is NULL after the last one. Required. May block.
 *
 * Ownership: cells (n_columns of them) are borrowed until the next fetch, result or close.
 */
typedef dal_status dal_driver_fetch_fn(void *conn, dal_deadline deadline, const dal_value **cells_out,
                                       dal_error *err);
/**
 * Ends the current result early: rows not fetched are dropped, by reading them or by canceling the statement.
 *
 * Afterwards tx_state is known again and the connection can be used, or conn_gone is set. Called also when the rows
 * were fetched to the end: then it has nothing to do. Required. May block until the deadline.
 */
typedef dal_status dal_driver_discard_fn(void *conn, dal_deadline deadline, dal_error *err);
/** Returns the name of a column of the current result; borrowed until the next result. Required. */
typedef const char *dal_driver_column_fn(void *conn, uint32_t i_column);
/**
 * Reads what came, and returns what to poll before the next result or fetch; -1 if that need not wait, as while nothing
 * was flushed; -2 if there is no telling, or flush sends nothing. Optional. Does not block.
 */
typedef int dal_driver_readiness_fn(void *conn, bool *want_write_out);
/** Returns what the server last said about the transaction. Required. No I/O. */
typedef dal_tx_state dal_driver_tx_state_fn(void *conn);
/** Forgets a prepared statement, if need be with the next flush. Optional. No I/O; legal in a failed transaction. */
typedef void dal_driver_stmt_close_fn(void *conn, dal_driver_stmt *stmt);
/** Fills the facts about an open connection. Required. No I/O. */
typedef void dal_driver_info_fn(void *conn, dal_driver_info *out);
typedef struct dal_driver {
        uint32_t struct_size;     /* sizeof(dal_driver) the driver was compiled with */
        uint32_t caps;            /* DAL_CAP_* */
        const char *name;         /* "sqlite": lower case, one driver per name */
        const char *schemes;      /* URL schemes, separated by a space: "mysql mariadb" */
        const char *keys;         /* URL keys besides those of dsn.h, separated by a space; any other is refused */
        const char *inherited_keys; /* those of `keys` that a shard's URL takes from its catalog's; NULL = none */
        dal_placeholder placeholder;
        uint32_t sql_syntax;      /* DAL_SQL_* */
        const char *lock_update;  /* put behind a query that asks for DAL_STMT_LOCK_UPDATE: " FOR UPDATE"; NULL = nothing,
                                     for writing transactions exclude each other */
        const char *lock_share;   /* likewise for DAL_STMT_LOCK_SHARE */
        uint32_t max_params;      /* parameters in one statement */
        size_t conn_size, stmt_size, aside_size; /* bytes of the driver's; the last: see driver_cursors.h */
        dal_driver_open_fn *open;
        dal_driver_close_fn *close;
        dal_driver_reset_fn *reset;
        dal_driver_ping_fn *ping;
        dal_driver_cancel_fn *cancel;
        dal_driver_queue_fn *queue;
        dal_driver_flush_fn *flush;
        dal_driver_result_fn *result;
        dal_driver_fetch_fn *fetch;
        dal_driver_discard_fn *discard;
        dal_driver_column_fn *column;
        dal_driver_readiness_fn *readiness;
        dal_driver_tx_state_fn *tx_state;
        dal_driver_stmt_close_fn *stmt_close;
        dal_driver_info_fn *info;
        dal_driver_token_query_fn *token_query;
        dal_driver_end_session_fn *end_session;
        dal_driver_number_query_fn *number_query;
        dal_driver_bulk_fn *bulk; /* see driver_bulk.h; NULL = none */
        uint32_t bulk_rows;       /* rows that one INSERT of a bulk load has at most; 0 = one */
        dal_driver_run_fn *run;
        dal_driver_swap_fn *swap; /* DAL_CAP_CURSORS */
        dal_driver_drop_fn *drop;
} dal_driver;

/**
 * Checks that a driver's table is complete; called once per cluster, pool and lone connection.
 *
 * @return DAL_OK, or DAL_ERR_ARG naming the missing slot. Threads: any. Blocks: no.
 */
DAL_NODISCARD dal_status dal_driver_check(const dal_driver *driver, dal_error *err);

/**
 * Finds the driver of a scheme; the whole word is compared.
 *
 * @return static, as given by the caller; NULL and an error naming the known schemes if there is none.
 * Threads: any. Blocks: no.
 */
const dal_driver *dal_driver_find(const dal_driver *const *drivers, size_t n_drivers, const char *scheme,
                                  dal_error *err);

/**
 * Reads a URL as its driver does: checks what only the driver can know, and fills in what the URL leaves open.
 *
 * Refused are a scheme that is not the driver's, a key that is neither one of dsn.h nor in `keys`, and what a server
 * alone has (host, port, user, password, TLS) where the driver is EMBEDDED. Every connection, pool and cluster does
 * this before it connects.
 * User, password, TLS files and `inherited_keys` are taken from `base` when not NULL and of the same driver: a
 * password only for the user it belongs to, and sslmode only where it does not weaken the way to another machine.
 * `dbname` replaces the database when not NULL. An EMBEDDED driver's relative file stands beside the file of `base`.
 * With `base` NULL or `dsn` itself nothing is taken.
 *
 * @return DAL_OK
 *         DAL_ERR_ARG    refused; the message names the key and lists those that are known, never a value
 *         DAL_ERR_NOMEM
 * Ownership: *out is owned; end it with dal_dsn_free(). Threads: any. Blocks: no.
 */
DAL_NODISCARD dal_status dal_driver_resolve_dsn(const dal_driver *driver, const dal_dsn *dsn, const dal_dsn *base,
                                                const char *dbname, dal_dsn **out, dal_error *err);

DAL_END_DECLS

#endif
