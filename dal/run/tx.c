/* SPDX-License-Identifier: MIT */
#include "run/tx_impl.h"

#include <string.h>

#include <dal/mem.h>

#include "conn/conn_impl.h"
#include "shard/map.h"

/* ---- the author's calls --------------------------------------------------------------------------------------- */

dal_status dal__tx_refuse_caller(const dal_tx *tx, dal_error *err)
{
        if (!tx)
                return dal_error_set(err, DAL_CLASS_ARGUMENT, "a transaction is needed, not NULL");
        return dal_error_set(err, DAL_CLASS_STATE, "a transaction may only be used by the thread it runs on");
}

/* Remembers what spoilt the transaction, so that it decides even if the function hides it. */
static void learn(dal_tx *tx)
{
        const dal_error *spoilt_by = dal__conn_spoilt_by(tx->conn);

        if (spoilt_by && !tx->failure.retry_tx)
                tx->failure = *spoilt_by;
}

static dal_status note(dal_tx *tx, dal_status s, const dal_error *failure, dal_error *err)
{
        if (s == DAL_OK)
                return DAL_OK;
        learn(tx);
        if (err) {
                *err = *failure;
                err->shard = tx->shard;
        }
        return s;
}

/* What a call of the connection gave; a failure of its is in *err already. */
static inline dal_status pass(dal_tx *tx, dal_status s, dal_error *err)
{
        if (s == DAL_OK)
                return DAL_OK;
        learn(tx);
        if (err)
                err->shard = tx->shard;
        return s;
}

dal_status dal_tx_exec(dal_tx *tx, const dal_stmt *stmt, dal_params params, int64_t *n_rows_out,
                       dal_error *err)
{
        dal_status s = dal__tx_check_caller(tx, err);

        if (s)
                return s;
        s = tx->wants_number && dal__conn_may_number(tx->conn, stmt)
                    ? dal__conn_exec_numbered(tx->conn, stmt, params, tx->deadline, n_rows_out, tx->number,
                                              err)
                    : dal_conn_exec(tx->conn, stmt, params, tx->deadline, n_rows_out, err);
        return pass(tx, s, err);
}

dal_status dal_tx_exec_versioned(dal_tx *tx, const dal_stmt *stmt, dal_params params, dal_error *err)
{
        dal_error failure;
        int64_t n_rows = 0;
        dal_status s = dal_tx_exec(tx, stmt, params, &n_rows, err);

        if (s || n_rows == 1)
                return s;
        if (n_rows == 0)
                s = dal_error_set(&failure, DAL_CLASS_STALE_ROW,
                                  "%s: the row was changed or removed since it was read", stmt->name);
        else
                s = dal_error_set(&failure, DAL_CLASS_STATE,
                                  "%s: matched more than one row: name one by its key and version",
                                  stmt->name);
        dal__conn_spoil(tx->conn, &failure);
        return note(tx, s, &failure, err);
}

dal_status dal_tx_query(dal_tx *tx, const dal_stmt *stmt, dal_params params, dal_rows **out, dal_error *err)
{
        dal_status s = dal__tx_check_caller(tx, err);

        *out = NULL;
        if (s)
                return s;
        s = dal_conn_query(tx->conn, stmt, params, tx->deadline, out, err);
        if (s == DAL_OK)
                dal__conn_set_rows_shard(*out, tx->shard);
        return pass(tx, s, err);
}

dal_status dal_tx_queue(dal_tx *tx, const dal_stmt *stmt, dal_params params, dal_error *err)
{
        dal_status s = dal__tx_check_caller(tx, err);

        if (s)
                return s;
        s = dal__conn_queue(tx->conn, stmt, params, err);
        return pass(tx, s, err);
}

dal_status dal_tx_exec_dynamic(dal_tx *tx, const char *sql, dal_params params, int64_t *n_rows_out,
                               dal_error *err)
{
        dal_status s = dal__tx_check_caller(tx, err);

        if (s)
                return s;
        s = dal_conn_exec_dynamic(tx->conn, sql, params, tx->deadline, n_rows_out, err);
        return pass(tx, s, err);
}

dal_status dal_tx_query_dynamic(dal_tx *tx, const char *sql, dal_params params, dal_rows **out,
                                dal_error *err)
{
        dal_status s = dal__tx_check_caller(tx, err);

        *out = NULL;
        if (s)
                return s;
        s = dal_conn_query_dynamic(tx->conn, sql, params, tx->deadline, out, err);
        if (s == DAL_OK)
                dal__conn_set_rows_shard(*out, tx->shard);
        return pass(tx, s, err);
}

dal_status dal_tx_require_key(dal_tx *tx, dal_key key, dal_error *err)
{
        char further[DAL_KEY_TEXT_SIZE], first[DAL_KEY_TEXT_SIZE];
        uint16_t shard;
        dal_status s = dal__tx_check_caller(tx, err);

        if (s)
                return s;
        if (!dal_key_is_set(&key))
                return dal_error_set(err, DAL_CLASS_MISSING_KEY, "dal_tx_require_key() was given no key");
        shard = dal__map_shard(tx->map, dal_key_slot(&key));
        if (shard == tx->shard)
                return DAL_OK;
        if (shard == DAL_NO_SHARD)
                return dal_error_set(err, DAL_CLASS_NO_SHARD, "no shard owns slot %u of key %s",
                                     dal_key_slot(&key), dal_key_describe(&key, further));
        if (dal_key_is_set(&tx->key) && dal_key_slot(&key) == dal_key_slot(&tx->key))
                return dal_error_set(err, DAL_CLASS_STALE_MAP,
                                     "slot %u moved from shard %u to shard %u meanwhile", dal_key_slot(&key),
                                     tx->shard, shard);
        return dal_error_set(err, DAL_CLASS_OTHER_SHARD,
                             "key %s lives on shard %u, but this transaction runs on shard %u%s%s",
                             dal_key_describe(&key, further), shard, tx->shard,
                             dal_key_is_set(&tx->key) ? " for key " : "", dal_key_describe(&tx->key, first));
}

uint32_t dal_tx_attempt(const dal_tx *tx)
{
        return tx->attempt;
}

uint16_t dal_tx_shard(const dal_tx *tx)
{
        return tx->shard;
}

dal_deadline dal_tx_deadline(const dal_tx *tx)
{
        return tx->deadline;
}

const dal_driver_info *dal_tx_info(const dal_tx *tx)
{
        return dal_conn_info(tx->conn);
}

int64_t dal_tx_insert_id(const dal_tx *tx)
{
        return dal_conn_insert_id(tx->conn);
}

/* ---- hooks ------------------------------------------------------------------------------------------------------ */

static dal_status add_hook(const dal_tx *tx, dal__tx_hooks *hooks, dal_tx_hook_fn *fn, void *arg,
                           dal_error *err)
{
        dal_status s = dal__tx_check_caller(tx, err);

        if (s)
                return s;
        if (!fn)
                return dal_error_set(err, DAL_CLASS_ARGUMENT, "a hook must be a function, not NULL");
        if (hooks->n == hooks->n_room) {
                size_t n = hooks->n_room ? 2 * hooks->n_room : 4;
                dal__tx_hook *grown = dal_mem_resize(hooks->items, n, sizeof *grown);

                if (!grown)
                        return dal_error_set(err, DAL_CLASS_NO_MEMORY, "out of memory for %zu hooks", n);
                hooks->items = grown;
                hooks->n_room = n;
        }
        hooks->items[hooks->n].fn = fn;
        hooks->items[hooks->n].arg = arg;
        hooks->n++;
        return DAL_OK;
}

dal_status dal_tx_on_commit(dal_tx *tx, dal_tx_hook_fn *hook, void *arg, dal_error *err)
{
        return add_hook(tx, &tx->on_commit, hook, arg, err);
}

dal_status dal_tx_on_rollback(dal_tx *tx, dal_tx_hook_fn *hook, void *arg, dal_error *err)
{
        return add_hook(tx, &tx->on_rollback, hook, arg, err);
}

static void call_hooks(const dal__tx_hooks *hooks)
{
        for (size_t i = 0; i < hooks->n; i++)
                hooks->items[i].fn(hooks->items[i].arg);
}

/* ---- the wrapper -------------------------------------------------------------------------------------------------- */

/* What the author's function is handed: small fields and empty texts; clearing it all would cost more. */
static void clear(dal_error *error)
{
        error->status = DAL_OK;
        error->error_class = DAL_CLASS_NONE;
        error->vendor_code = 0;
        error->shard = DAL_NO_SHARD;
        error->retry_tx = error->tx_gone = error->conn_gone = error->not_sent = false;
        error->sqlstate[0] = error->constraint[0] = error->table[0] = error->column[0] = '\0';
        error->outcome_token[0] = error->message[0] = '\0';
}

/* Calls the author's function and makes sure that a failure has a complete error. */
static dal_status call(dal_tx *tx, dal_tx_fn *fn, void *arg, dal_error *failure)
{
        dal_status s = fn(tx, arg, failure);

        if (s && tx->batches)
                dal__tx_abandon_batches(tx);
        /* Its rows end with it, and may still have had a failure to tell. */
        dal__conn_finish_rows(tx->conn);
        learn(tx);
        if (s == DAL_OK)
                return DAL_OK;
        /* The function may have passed on a status alone: what really happened is in our own note. */
        if (failure->status != s) {
                if (tx->failure.status == s)
                        *failure = tx->failure;
                else
                        dal_error_fail(failure, s,
                                       "the transaction's function returned %s without saying why",
                                       dal_error_status_name(s));
        }
        /* An error that replaced a deadlock's does not make the deadlock less worth a retry. */
        failure->retry_tx |= tx->failure.retry_tx;
        failure->conn_gone |= tx->failure.conn_gone;
        return failure->status; /* of a number that is no status: the one that says so */
}

static bool is_contained(const dal_error *failure)
{
        return !failure->tx_gone && !failure->conn_gone && !failure->retry_tx;
}

/*
 * Undoes a nested function's work, unless only the end of the whole transaction can. What is known of this connection
 * is in our own note: the function's error may be about another one.
 */
static void undo_nested(dal_tx *outer, uint32_t number, dal_error *failure, const dal_error *before)
{
        dal_error lost = DAL_ERROR_INIT;

        if (outer->failure.status == DAL_OK && failure->retry_tx)
                outer->failure = *failure; /* contention that the function itself found */
        /* What only says that the transaction is gone may hide why: the connection was lost behind the answer. */
        if (outer->failure.status && (outer->failure.retry_tx || outer->failure.conn_gone))
                return;
        if (dal__conn_rollback_to(outer->conn, number, outer->deadline, &lost) == DAL_OK) {
                outer->failure = *before;
                return;
        }
        outer->failure = lost;
        if (!is_contained(&lost) || lost.status == DAL_ERR_TIMEOUT)
                *failure = lost; /* decides now, and not what the function failed with */
}

static dal_status begin_nested(dal_tx *outer, dal_tx_fn *fn, dal_error *failure)
{
        dal_status s;

        if (!fn)
                return dal_error_set(failure, DAL_CLASS_ARGUMENT, "dal_tx_run() needs a function, not NULL");
        /* What is queued belongs to the outer function: let it fail there, before the savepoint is set. */
        if (dal__conn_has_queued(outer->conn)) {
                s = dal__conn_flush(outer->conn, outer->deadline, failure);
                if (s)
                        return s;
        }
        return dal__conn_savepoint(outer->conn, outer->n_savepoints + 1, failure);
}

/* The nested function is content: is the server, too? */
static dal_status end_nested(dal_tx *outer, uint32_t number, const dal_error *before, dal_error *failure)
{
        /* Its queued writes must fail inside its savepoint, not later in somebody else's. */
        if (outer->failure.status == before->status && dal__conn_has_queued(outer->conn)) {
                dal_status s = dal__conn_flush(outer->conn, outer->deadline, failure);

                if (s)
                        return note(outer, s, failure, NULL);
        }
        if (outer->failure.status != before->status) {
                *failure = outer->failure; /* the function hid a failure that spoilt its savepoint */
                return failure->status;
        }
        return dal__conn_release_savepoint(outer->conn, number, failure);
}

dal_status dal_tx_run(dal_tx *outer, dal_tx_fn *fn, void *arg, dal_error *err)
{
        dal_error failure = DAL_ERROR_INIT, before;
        size_t n_commit, n_rollback;
        uint32_t number;
        dal_status s = dal__tx_check_caller(outer, err);

        if (s)
                return s;
        s = begin_nested(outer, fn, &failure);
        if (s)
                return note(outer, s, &failure, err);
        n_commit = outer->on_commit.n;
        n_rollback = outer->on_rollback.n;
        before = outer->failure;
        number = ++outer->n_savepoints;
        s = call(outer, fn, arg, &failure);
        if (s == DAL_OK)
                s = end_nested(outer, number, &before, &failure);
        if (s == DAL_OK)
                return DAL_OK;
        undo_nested(outer, number, &failure, &before);
        outer->on_commit.n = n_commit;
        outer->on_rollback.n = n_rollback;
        if (err) {
                *err = failure;
                err->shard = outer->shard;
        }
        return failure.status;
}

/*
 * A part of the time that is left is kept for finding out what became of a COMMIT that gets no answer: with a server that
 * says nothing any more all of it would be gone.
 */
static dal_deadline commit_deadline(const dal_tx *tx)
{
        return tx->deadline == DAL_FOREVER ? tx->deadline : tx->deadline - (tx->deadline - tx->commit_at) / 4;
}

static dal_status send_commit(dal_tx *tx, dal_error *failure)
{
        dal__outcome_token token;
        dal_status s;

        if ((!tx->outcome_table && !tx->number[0]) || !dal__conn_has_written(tx->conn))
                return dal_conn_commit(tx->conn, tx->deadline, failure);
        s = tx->number[0] ? dal__outcome_make_numbered(tx->shard, tx->number, &token, failure)
                          : dal__outcome_make(tx->shard, &token, failure);
        if (s) {
                dal_conn_rollback(tx->conn, dal__conn_grace(tx->deadline), NULL);
                return s;
        }
        dal__outcome_write(&token, tx->token);
        tx->session_id = dal_conn_info(tx->conn)->session_id;
        tx->commit_at = dal_clock_now();
        return dal__conn_commit(tx->conn, tx->number[0] ? NULL : tx->outcome_table, tx->token,
                                commit_deadline(tx), failure);
}

static dal_status commit(dal_tx *tx, dal_error *failure)
{
        dal_status s;

        if (tx->failure.retry_tx) {
                /* The function went on after a deadlock or a lost connection: the answer is to run it again. */
                dal_conn_rollback(tx->conn, dal__conn_grace(tx->deadline), NULL);
                *failure = tx->failure;
                return failure->status;
        }
        s = send_commit(tx, failure);
        if (s && failure->error_class == DAL_CLASS_COMMIT_ROLLED_BACK && tx->failure.status) {
                dal_error_set(failure, DAL_CLASS_COMMIT_ROLLED_BACK,
                              "nothing was committed: the function returned DAL_OK although %.380s",
                              tx->failure.message);
                failure->tx_gone = true;
        }
        return s;
}

dal_status dal__tx_attempt(dal_tx *tx, dal_tx_fn *fn, void *arg, dal_error *err)
{
        const dal_tx_options *options = tx->options;
        dal_error failure;
        dal_status s;

        clear(&failure);
        tx->thread = pthread_self();
        s = dal_conn_begin(tx->conn, options->isolation, options->read_only, tx->deadline, &failure);
        if (s == DAL_OK) {
                s = call(tx, fn, arg, &failure);
                tx->outcome = DAL__TX_ROLLED_BACK;
                if (s == DAL_OK) {
                        s = commit(tx, &failure);
                        if (s == DAL_OK)
                                tx->outcome = DAL__TX_COMMITTED;
                        else if (s == DAL_ERR_IN_DOUBT)
                                tx->outcome = DAL__TX_IN_DOUBT;
                } else {
                        /* A failure closes the connection, which rolls back too. */
                        dal_conn_rollback(tx->conn, dal__conn_grace(tx->deadline), NULL);
                }
        }
        if (s && err) {
                *err = failure;
                err->shard = tx->shard;
        }
        return s;
}

void dal__tx_end(dal_tx *tx)
{
        if (tx->outcome == DAL__TX_COMMITTED)
                call_hooks(&tx->on_commit);
        else if (tx->outcome == DAL__TX_ROLLED_BACK)
                call_hooks(&tx->on_rollback);
        if (tx->batches)
                dal__tx_free_batches(tx);
        dal_mem_free(tx->on_commit.items);
        dal_mem_free(tx->on_rollback.items);
}
