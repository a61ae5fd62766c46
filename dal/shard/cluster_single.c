/* SPDX-License-Identifier: MIT */
/* One statement by its key: dal_cluster_exec() and dal_cluster_query(). */

#include "shard/cluster_state.h"

#include "conn/pool_hot.h"
#include "run/tx_impl.h"

#define NS_PER_MS INT64_C(1000000)

/* What a failure means for a statement that commits by itself. */
DAL_COLD static void judge(dal_conn *conn, const dal_stmt *stmt, dal_error *failure)
{
        if (failure->status == DAL_ERR_IN_DOUBT)
                return;
        if (failure->not_sent || (failure->conn_gone && dal__conn_is_read(conn, stmt)))
                return; /* it had no effect: running it again is safe */
        if (!failure->conn_gone) {
                failure->retry_tx &= dal__conn_is_atomic(conn, stmt); /* else a part may be done */
                return;
        }
        dal__conn_doubt("the statement was sent and no answer came: it may or may not have taken effect",
                        failure);
}

static void release_lease(dal_conn *conn, void *arg)
{
        dal_pool *pool = arg;

        if (!dal__pool_is_forked(pool))
                dal__pool_give_back(pool, conn);
}

/* A call of dal_cluster_exec() or, with `rows_out`, dal_cluster_query(). */
struct single {
        const char *here;
        dal_cluster *cluster;
        const dal_key *key;
        const dal_stmt *stmt;
        dal_params params;
        int64_t *n_rows_out;
        dal_rows **rows_out;
        dal_deadline deadline;
};

/* Runs the statement on a lease. Its rows then hold that, unless it fails; without rows it is the caller's still. */
static DAL_HOT dal_status run_leased(const dal_stmt *stmt, dal_params params, int64_t *n_rows_out,
                                     dal_rows **rows_out, dal_deadline deadline, bool fresh,
                                     dal__shard *shard, dal_conn *conn, dal_error *err)
{
        dal_status s = dal__conn_run_hot(conn, stmt, params, deadline, fresh, rows_out, err);

        if (!rows_out)
                return dal__conn_finish_exec(conn, s, deadline, n_rows_out, err);
        if (s == DAL_OK) {
                conn->rows.shard = shard->number;
                conn->on_rows_close = release_lease;
                conn->on_rows_close_arg = shard->pool;
        }
        return s;
}

DAL_COLD static dal_status end_failed(const struct single *call, dal__shard *shard, dal_conn *conn,
                                      dal_error *err)
{
        judge(conn, call->stmt, err);
        err->shard = shard->number;
        dal_pool_release(shard->pool, conn);
        return err->status;
}

/* One attempt that finds its lease in any way. */
DAL_COLD static dal_status attempt_once(const struct single *call, int64_t now, dal_error *err)
{
        dal__shard *shard = dal__cluster_shard_of(call->cluster, call->key, err);
        dal_conn *conn;
        dal_status s;

        if (!shard)
                return err->status;
        s = dal__cluster_acquire(call->here, call->cluster, shard, false, now, call->deadline, &conn, err);
        if (s)
                return s;
        if (run_leased(call->stmt, call->params, call->n_rows_out, call->rows_out, call->deadline, false,
                       shard, conn, err))
                return end_failed(call, shard, conn, err);
        if (!call->rows_out)
                dal_pool_release(shard->pool, conn);
        return DAL_OK;
}

/* After a failure of the first attempt. */
DAL_COLD static dal_status attempt_again(const struct single *call, dal_error *err)
{
        dal_status s = err->status;
        uint64_t random = 0;

        for (uint32_t attempt = 1; s && dal__cluster_pause(call->cluster, call->here, attempt, 0, false,
                                                           call->deadline, &random, err);
             attempt++) {
                s = attempt_once(call, dal_clock_now(), err);
                if (s == DAL_OK)
                        *err = (dal_error)DAL_ERROR_INIT; /* what went wrong before is over */
        }
        return s;
}

/* Takes the parked connection of a shard that was asked before. */
static DAL_HOT dal_conn *take_parked(const char *here, dal__shard *shard, pthread_t self, int64_t now)
{
        dal__pool_slot *slot;

        if (!shard || dal__pool_is_forked(shard->pool) ||
            !atomic_load_explicit(&shard->verified, memory_order_acquire))
                return NULL;
        slot = dal__pool_take_parked(shard->pool, here, self, false, now);
        return slot ? slot->conn : NULL;
}

/* All that is not the everyday way; `conn` has failed, or is NULL when none was taken. The call was begun. */
DAL_COLD static dal_status go_on(const struct single *call, int64_t now, dal__shard *shard, dal_conn *conn,
                                 dal_error *err)
{
        dal_status s;

        s = conn ? end_failed(call, shard, conn, err) : attempt_once(call, now, err);
        return s ? attempt_again(call, err) : DAL_OK;
}

/*
 * *err is never NULL here: it is also where the failures of the attempts are kept. The call's structure is made for
 * go_on() alone: until then the compiler keeps its parts in registers.
 */
static DAL_HOT dal_status run_single(const char *here, dal_cluster *cluster, const dal_key *key,
                                     const dal_stmt *stmt, dal_params params, int64_t *n_rows_out,
                                     dal_rows **rows_out, dal_error *err)
{
        pthread_t self = pthread_self();
        uint32_t bucket = dal__cluster_bucket(self);
        int64_t now = dal_clock_now();
        dal_deadline deadline = now + cluster->options.timeout_ms * NS_PER_MS;
        dal_status s = dal__cluster_enter_bucket(cluster, bucket, err);
        dal__shard *shard;
        dal_conn *conn;

        if (s)
                return s;
        shard = dal__cluster_peek_shard(cluster, key);
        conn = take_parked(here, shard, self, now);
        if (!conn || run_leased(stmt, params, n_rows_out, rows_out, deadline, true, shard, conn, err)) {
                struct single call = {here, cluster, key, stmt, params, n_rows_out, rows_out, deadline};

                s = go_on(&call, now, shard, conn, err);
        } else if (!rows_out) {
                dal__pool_give_back(shard->pool, conn);
        }
        dal__cluster_leave_bucket(cluster, bucket);
        return s;
}

DAL_COLD static dal_status run_silent(const struct single *call)
{
        dal_error ignored;

        return run_single(call->here, call->cluster, call->key, call->stmt, call->params, call->n_rows_out,
                          call->rows_out, &ignored);
}

static dal_status run_in_tx(dal_tx *tx, void *arg, dal_error *err)
{
        const struct single *call = arg;

        return dal_tx_exec(tx, call->stmt, call->params, call->n_rows_out, err);
}

DAL_COLD static dal_status run_resolved(struct single *call, dal_error *err)
{
        return dal_cluster_run_at(call->here, call->cluster, *call->key, NULL, run_in_tx, call, err);
}

dal_status dal__cluster_refuse_resolve(const dal_stmt *stmt, const char *call, dal_error *err)
{
        dal_error_set(err, DAL_CLASS_ARGUMENT,
                      "statement %s has DAL_STMT_RESOLVE, which %s can't keep, for its rows come before its "
                      "outcome: run it by dal_cluster_exec() or inside dal_cluster_run()",
                      stmt->name, call);
        if (err)
                err->not_sent = true;
        return DAL_ERR_ARG;
}

dal_status dal_cluster_exec_at(const char *here, dal_cluster *cluster, dal_key key, const dal_stmt *stmt,
                               dal_params params, int64_t *n_rows_out, dal_error *err)
{
        if (!err || (stmt && stmt->flags & DAL_STMT_RESOLVE)) {
                struct single call = {here, cluster, &key, stmt, params, n_rows_out, NULL, 0};

                return stmt && stmt->flags & DAL_STMT_RESOLVE ? run_resolved(&call, err) : run_silent(&call);
        }
        return run_single(here, cluster, &key, stmt, params, n_rows_out, NULL, err);
}

dal_status dal_cluster_query_at(const char *here, dal_cluster *cluster, dal_key key, const dal_stmt *stmt,
                                dal_params params, dal_rows **out, dal_error *err)
{
        *out = NULL;
        if (stmt && stmt->flags & DAL_STMT_RESOLVE)
                return dal__cluster_refuse_resolve(stmt, "dal_cluster_query()", err);
        if (!err) {
                struct single call = {here, cluster, &key, stmt, params, NULL, out, 0};

                return run_silent(&call);
        }
        return run_single(here, cluster, &key, stmt, params, NULL, out, err);
}
