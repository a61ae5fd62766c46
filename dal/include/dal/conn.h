/* SPDX-License-Identifier: MIT */
#ifndef DAL_CONN_H
#define DAL_CONN_H

/*
 * One connection, without pool or transaction wrapper: for tools, for schema scripts, and as the layer that the
 * pool and the transactions stand on. Services use dal_cluster instead.
 *
 * It adds to a driver: the prepared-statement cache, checked parameters, the cursor, the deadline of every call,
 * and counters. One thread at a time may use a connection; only dal_conn_cancel() may be called by another.
 *
 * The cache keeps the statements used last. Where all sessions of a server share a number of prepared statements
 * (max_prepared_stmt_count of the MySQL family, 16382 by default), the connections of one pool, when all their
 * caches are full, hold a quarter of it at most, for other pools and services prepare there as well; but each keeps
 * 16. So a service of many instances, each with N connections, should set statement_cache_size to no more than
 * max_prepared_stmt_count / (instances x N). Where statements travel UNNAMED or as TEXT nothing is kept on the
 * server: the cache then saves only the rewriting of the text, and the server's number doesn't bound it.
 *
 * When a table changes under a prepared statement, the statement is prepared anew and run again, and nobody hears of
 * it; inside a transaction, where that can't be, the whole transaction fails with SCHEMA_CHANGED, which a retry
 * mends. CREATE, ALTER, DROP, TRUNCATE and RENAME on one connection, and such a failure, make all connections of its
 * pool forget what they had prepared before they are lent again.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <dal/clock.h>
#include <dal/driver.h>
#include <dal/dsn.h>
#include <dal/error.h>
#include <dal/macros.h>
#include <dal/rows.h>
#include <dal/stmt.h>
#include <dal/value.h>

DAL_BEGIN_DECLS

typedef struct dal_conn dal_conn;

/**
 * Gives the user and password for a new connection; called before each connect, so that secrets can rotate.
 *
 * Write NUL-terminated strings; they are wiped after use. Return DAL_OK or a failure with `err` filled.
 * Threads: any, also concurrently.
 */
typedef dal_status dal_credentials_fn(void *arg, const dal_dsn *dsn, char *user_out, size_t user_size,
                                      char *password_out, size_t password_size, dal_error *err);

/** How to open connections. All zero is the default; fill it by DAL_CONN_OPTIONS_INIT. */
typedef struct dal_conn_options {
        size_t struct_size;
        const char *service; /* who is asking; NULL = the URL's application_name, else "dal". Kept */
        uint32_t statement_timeout_ms; /* session limits of the server; 0 = none */
        uint32_t lock_timeout_ms;
        uint32_t statement_cache_size;   /* prepared statements kept per connection, less on a server that has
                                           few: see below; 0 = 256 */
        dal_credentials_fn *credentials; /* NULL = those of the URL */
        void *credentials_arg;
        dal_statements statements; /* how statements travel [the URL's `statements`, else prepared] */
} dal_conn_options;
#define DAL_CONN_OPTIONS_INIT                                                                                \
        {                                                                                                    \
                sizeof(dal_conn_options), NULL, 0, 0, 0, NULL, NULL, DAL_STATEMENTS_DEFAULT                  \
        }

/** Counters of one connection since it was opened, and the state of its cache. */
typedef struct dal_conn_stats {
        uint64_t n_round_trips; /* flushes that waited for the server */
        uint64_t n_requests;
        uint64_t n_prepared;    /* statements prepared and kept; 0 unless statements travel as PREPARED */
        uint64_t n_evicted;     /* statements dropped from the cache to make room */
        uint64_t n_invalidated; /* statements dropped because the schema had changed */
        uint32_t n_cached;      /* statements in the cache now */
        uint32_t cache_size;    /* how many it holds at most */
} dal_conn_stats;

/**
 * Opens a connection.
 *
 * @param options  NULL = defaults
 * @return as dal_driver_open_fn. Ownership: *out is owned; end it with dal_conn_close().
 * Threads: any. Blocks: until the deadline.
 */
DAL_NODISCARD dal_status dal_conn_open(const dal_driver *driver, const dal_dsn *dsn,
                                       const dal_conn_options *options, dal_deadline deadline, dal_conn **out,
                                       dal_error *err);

/**
 * Closes a connection at once; an open transaction is rolled back by the server. Accepts NULL.
 *
 * In a child of fork() a connection of the parent does nothing, nor does what the parent had open on it or on a pool's:
 * rows, batches, loads, the transaction. Each call is refused (STATE), and closing says nothing to the server and takes
 * nothing from the parent; the memory stays until the child ends.
 * Threads: the owner. Blocks: no.
 */
void dal_conn_close(dal_conn *conn);

/** Asks the server for a sign of life. Threads: the owner. Blocks: until the deadline. */
DAL_NODISCARD dal_status dal_conn_ping(dal_conn *conn, dal_deadline deadline, dal_error *err);

/** Asks the server to stop the running statement. Threads: any, while the owner keeps the connection open. */
DAL_NODISCARD dal_status dal_conn_cancel(dal_conn *conn, dal_deadline deadline, dal_error *err);

/**
 * Runs a statement; outside a transaction it commits by itself.
 *
 * @param n_rows_out  rows matched; may be NULL
 * Threads: the owner. Blocks: until the deadline.
 */
DAL_NODISCARD dal_status dal_conn_exec(dal_conn *conn, const dal_stmt *stmt, dal_params params,
                                       dal_deadline deadline, int64_t *n_rows_out, dal_error *err);
/** Runs a query. Ownership: *out is lent until dal_rows_close(). Threads: the owner. Blocks: until the deadline. */
DAL_NODISCARD dal_status dal_conn_query(dal_conn *conn, const dal_stmt *stmt, dal_params params,
                                        dal_deadline deadline, dal_rows **out, dal_error *err);
/** Like dal_conn_exec() for SQL made at run time: never built from untrusted text. Not cached. */
DAL_NODISCARD dal_status dal_conn_exec_dynamic(dal_conn *conn, const char *sql, dal_params params,
                                               dal_deadline deadline, int64_t *n_rows_out, dal_error *err);
/** Like dal_conn_query() for SQL made at run time: never built from untrusted text. Not cached. */
DAL_NODISCARD dal_status dal_conn_query_dynamic(dal_conn *conn, const char *sql, dal_params params,
                                                dal_deadline deadline, dal_rows **out, dal_error *err);
/** Runs one command of a schema script: no parameters, no rewriting, any rows are discarded. */
DAL_NODISCARD dal_status dal_conn_script(dal_conn *conn, const char *sql, dal_deadline deadline,
                                         dal_error *err);

/**
 * Begins a transaction; where the engine can, BEGIN travels with the first statement.
 *
 * @return DAL_OK, or DAL_ERR_STATE inside a transaction. Threads: the owner. Blocks: until the deadline.
 */
DAL_NODISCARD dal_status dal_conn_begin(dal_conn *conn, dal_isolation isolation, bool read_only,
                                        dal_deadline deadline, dal_error *err);
/** Commits; DAL_ERR_IN_DOUBT when COMMIT was sent and no answer came. Threads: the owner. Blocks. */
DAL_NODISCARD dal_status dal_conn_commit(dal_conn *conn, dal_deadline deadline, dal_error *err);
/** Rolls back; after a failure the connection is lost, which rolls back too. Threads: the owner. Blocks. */
dal_status dal_conn_rollback(dal_conn *conn, dal_deadline deadline, dal_error *err);

/** Returns what the server last said about the transaction. No I/O. */
dal_tx_state dal_conn_tx_state(const dal_conn *conn);
/** Returns the driver of a connection. Static. */
const dal_driver *dal_conn_driver(const dal_conn *conn);
/** Returns facts about the server. Borrowed until dal_conn_close(). */
const dal_driver_info *dal_conn_info(const dal_conn *conn);
/** Returns the id that the server generated for the last INSERT; 0 if it reports none. */
int64_t dal_conn_insert_id(const dal_conn *conn);
/** Copies the counters. Threads: the owner. */
dal_conn_stats dal_conn_get_stats(const dal_conn *conn);

DAL_END_DECLS

#endif
