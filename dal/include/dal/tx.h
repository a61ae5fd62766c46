/* SPDX-License-Identifier: MIT */
#ifndef DAL_TX_H
#define DAL_TX_H

/*
 * Transactions: a function that is handed a dal_tx, and is committed, retried or rolled back for its author.
 *
 *      static dal_status place_order(dal_tx *tx, void *arg, dal_error *err) { ... }
 *      s = dal_cluster_run(shop, dal_key_int64(customer_id), NULL, place_order, &order, &err);
 *
 * The function runs inside a transaction on the shard of the key. When it returns DAL_OK the transaction is
 * committed, otherwise rolled back. After a deadlock, a serialization failure, a lock timeout, a lost connection
 * before COMMIT or a moved slot, everything is rolled back and the function runs again from the start; so it
 * touches nothing but the database, and effects outside belong into dal_tx_on_commit(). All attempts share one
 * deadline.
 *
 * When the server refused a statement the transaction is spoilt, on every engine alike: what follows gets
 * DAL_ERR_STATE, and returning DAL_OK all the same rolls back and reports DAL_CLASS_COMMIT_ROLLED_BACK. A call that
 * the library itself refused (a cursor is open, a parameter is malformed) spoils nothing. To try something that may
 * violate a constraint, put it into a nested dal_tx_run(): that is a savepoint. Contention (DAL_ERR_CONFLICT)
 * always ends the whole transaction, savepoints included.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <dal/clock.h>
#include <dal/driver.h>
#include <dal/error.h>
#include <dal/key.h>
#include <dal/macros.h>
#include <dal/rows.h>
#include <dal/stmt.h>
#include <dal/value.h>

DAL_BEGIN_DECLS

typedef struct dal_tx dal_tx;

/** The unit of work. May run several times; returns DAL_OK to commit. See above. */
typedef dal_status dal_tx_fn(dal_tx *tx, void *arg, dal_error *err);

/** Called after the transaction has ended; must not use it. */
typedef void dal_tx_hook_fn(void *arg);

/** How to run a transaction. Zero means the default in brackets; fill it by DAL_TX_OPTIONS_INIT. */
typedef struct dal_tx_options {
        size_t struct_size;
        dal_isolation isolation;  /* [the server's own] */
        bool read_only;           /* refuse writes [false] */
        bool retry_unique;        /* also retry a unique violation, three times at most: for keys chosen by a
                                     prior read [false] */
        uint32_t timeout_ms;      /* for everything: waiting, connecting, all attempts [the cluster's] */
        uint32_t max_attempts;    /* [10] */
} dal_tx_options;
#define DAL_TX_OPTIONS_INIT { sizeof(dal_tx_options), DAL_ISOLATION_DEFAULT, false, false, 0, 0 }

/**
 * Runs a statement and waits for its count.
 *
 * @param n_rows_out  rows matched, or the rows that a query gave, which are dropped; may be NULL
 * Threads: the function's own. Blocks: until the transaction's deadline.
 */
DAL_NODISCARD dal_status dal_tx_exec(dal_tx *tx, const dal_stmt *stmt, dal_params params, int64_t *n_rows_out,
                                     dal_error *err);

/**
 * Runs a write that must match exactly one row: the last step of read, decide, write with a version column,
 * `UPDATE t SET ..., version = version + 1 WHERE id = ? AND version = ?`.
 *
 * @return DAL_OK            one row
 *         DAL_ERR_CONFLICT  none (class STALE_ROW): somebody was faster; return it and the function runs again
 *         DAL_ERR_STATE     more than one: the statement doesn't name a row; the transaction can only be rolled back
 * Threads: the function's own. Blocks: until the transaction's deadline.
 */
DAL_NODISCARD dal_status dal_tx_exec_versioned(dal_tx *tx, const dal_stmt *stmt, dal_params params, dal_error *err);

/**
 * Runs a query. Close the rows before the next statement, unless the engine has several cursors: see rows.h. Rows still
 * open at COMMIT are closed.
 *
 * Ownership: *out is lent until dal_rows_close() or the end of the function.
 * Threads: the function's own. Blocks: until the transaction's deadline.
 */
DAL_NODISCARD dal_status dal_tx_query(dal_tx *tx, const dal_stmt *stmt, dal_params params, dal_rows **out,
                                      dal_error *err);

/**
 * Queues a write that travels with the next statement or with COMMIT: no round trip of its own.
 *
 * Its failure is reported by whatever it travelled with, and rolls everything back. Its row count is not known
 * before the commit: a count that decides something must be read by dal_tx_exec(). Parameters are copied.
 * Threads: the function's own. Blocks: no.
 */
DAL_NODISCARD dal_status dal_tx_queue(dal_tx *tx, const dal_stmt *stmt, dal_params params, dal_error *err);

/** Like dal_tx_exec() for SQL made at run time: never built from untrusted text. */
DAL_NODISCARD dal_status dal_tx_exec_dynamic(dal_tx *tx, const char *sql, dal_params params,
                                             int64_t *n_rows_out, dal_error *err);
/** Like dal_tx_query() for SQL made at run time: never built from untrusted text. */
DAL_NODISCARD dal_status dal_tx_query_dynamic(dal_tx *tx, const char *sql, dal_params params, dal_rows **out,
                                              dal_error *err);

/**
 * Runs a function inside a savepoint of this transaction.
 *
 * If it fails with anything but contention or a lost connection, its work is undone and the outer transaction
 * stays usable; the failure is returned and the caller decides. Hooks it registered are discarded with it.
 * Threads: the function's own. Blocks: until the transaction's deadline.
 */
DAL_NODISCARD dal_status dal_tx_run(dal_tx *outer, dal_tx_fn *fn, void *arg, dal_error *err);

/** Calls `hook` once, after the commit is known to have happened. Kept; discarded with the attempt. */
DAL_NODISCARD dal_status dal_tx_on_commit(dal_tx *tx, dal_tx_hook_fn *hook, void *arg, dal_error *err);
/** Calls `hook` after this attempt was rolled back, also before a retry. Not called when the outcome is in doubt. */
DAL_NODISCARD dal_status dal_tx_on_rollback(dal_tx *tx, dal_tx_hook_fn *hook, void *arg, dal_error *err);

/**
 * Checks that a further key lives on this transaction's shard; the error names both keys and both shards.
 *
 * @return DAL_OK, or DAL_ERR_ROUTE. Threads: the function's own. Blocks: no.
 */
DAL_NODISCARD dal_status dal_tx_require_key(dal_tx *tx, dal_key key, dal_error *err);

/** Returns the number of this attempt, from 1. */
uint32_t dal_tx_attempt(const dal_tx *tx);
/** Returns the shard this transaction runs on. */
uint16_t dal_tx_shard(const dal_tx *tx);
/** Returns the deadline of the whole run. */
dal_deadline dal_tx_deadline(const dal_tx *tx);
/** Returns facts about the server. Borrowed until the function returns. */
const dal_driver_info *dal_tx_info(const dal_tx *tx);
/** Returns the id that the server generated for the last INSERT by dal_tx_exec(); 0 if the engine reports none. */
int64_t dal_tx_insert_id(const dal_tx *tx);

DAL_END_DECLS

#endif
