/* SPDX-License-Identifier: MIT */
#include "shard/cluster_state.h"

#include <string.h>

#include "base/options.h"
#include "conn/conn_impl.h"
#include "run/retry.h"
#include "run/tx_impl.h"

#define NS_PER_MS INT64_C(1000000)

/* ---- finding the way ----------------------------------------------------------------------------------------------- */

dal_deadline dal__cluster_deadline(const dal_cluster *cluster, uint32_t timeout_ms)
{
        return dal_clock_after_ms(timeout_ms ? timeout_ms : cluster->options.timeout_ms);
}

DAL_COLD static void fail_by_key(const dal_key *key, dal_error *err)
{
        char text[DAL_KEY_TEXT_SIZE];

        if (dal_key_is_set(key))
                dal_error_set(err, DAL_CLASS_NO_SHARD, "no shard owns slot %u of key %s", dal_key_slot(key),
                              dal_key_describe(key, text));
        else
                dal_error_set(err, DAL_CLASS_MISSING_KEY,
                              "no key was given, so no shard can be chosen; to ask all shards use "
                              "dal_fanout_query()");
}

dal__shard *dal__cluster_shard_of(const dal_cluster *cluster, const dal_key *key, dal_error *err)
{
        dal__shard *shard = dal__cluster_peek_shard(cluster, key);

        if (!shard)
                fail_by_key(key, err);
        return shard;
}

static dal__shard *find_by_number(const dal_cluster *cluster, uint16_t number, dal_error *err)
{
        dal__shard *shard = dal__cluster_find(cluster, number);

        if (!shard)
                dal_error_set(err, DAL_CLASS_ARGUMENT, "the cluster has no shard %u", number);
        return shard;
}

/* ---- who is inside ----------------------------------------------------------------------------------------------------- */

dal_status dal__cluster_refuse_call(dal_cluster *cluster, dal_error *err)
{
        dal__cluster_end_call(cluster);
        return dal_error_set(err, DAL_CLASS_STATE, "the cluster is being closed");
}

static uint32_t count_calls(dal_cluster *cluster, const char **where_out)
{
        uint32_t n = 0;

        *where_out = NULL;
        for (uint32_t i = 0; i < DAL__RUNNING_BUCKETS; i++) {
                n += atomic_load(&cluster->running[i].n_calls);
                pthread_mutex_lock(&cluster->running[i].lock);
                if (cluster->running[i].first)
                        *where_out = cluster->running[i].first->here;
                pthread_mutex_unlock(&cluster->running[i].lock);
        }
        return n;
}

dal_status dal__cluster_drain_calls(dal_cluster *cluster, dal_deadline deadline, dal_error *err)
{
        const char *where;
        uint32_t n;

        /* Looking again is plain, and safe where a signal is not: who leaves must not touch the cluster any more. */
        while ((n = count_calls(cluster, &where)) != 0)
                if (!dal__retry_sleep(1, deadline))
                        return dal_error_set(err, DAL_CLASS_DEADLINE,
                                             "the cluster is still in use: %u calls are under way without a "
                                             "connection (%s); call again",
                                             n, where ? where : "pausing before a retry");
        return DAL_OK;
}

/* A transaction inside another on the same thread would wait for its own locks, or for its own connection. */
static dal_status enter(dal_cluster *cluster, dal__running *running, const char *here, dal_error *err)
{
        uint32_t i = dal__cluster_bucket(pthread_self());
        const char *outer = NULL;

        running->thread = pthread_self();
        running->here = here;
        running->in_tx = false;
        pthread_mutex_lock(&cluster->running[i].lock);
        for (dal__running *other = cluster->running[i].first; other; other = other->next)
                if (pthread_equal(other->thread, running->thread) && other->in_tx)
                        outer = other->here;
        if (!outer) {
                running->next = cluster->running[i].first;
                cluster->running[i].first = running;
        }
        pthread_mutex_unlock(&cluster->running[i].lock);
        if (!outer)
                return DAL_OK;
        return dal_error_set(
                err, DAL_CLASS_STATE,
                "dal_cluster_run() at %s is inside the transaction begun at %s on this thread; pass its "
                "dal_tx to dal_tx_run() instead",
                here, outer);
}

static void leave(dal_cluster *cluster, dal__running *running)
{
        uint32_t i = dal__cluster_bucket(running->thread);
        dal__running **link = &cluster->running[i].first;

        pthread_mutex_lock(&cluster->running[i].lock);
        while (*link != running)
                link = &(*link)->next;
        *link = running->next;
        pthread_mutex_unlock(&cluster->running[i].lock);
}

/* ---- the loop ------------------------------------------------------------------------------------------------------------ */

static void report_retry(const dal_cluster *cluster, const char *here, uint32_t attempt, uint32_t delay_ms,
                         const dal_error *failure)
{
        dal_event event;

        if (!cluster->options.on_event)
                return;
        memset(&event, 0, sizeof event);
        event.kind = DAL_EVENT_RETRY;
        event.where = here;
        event.attempt = attempt;
        event.delay_ms = delay_ms;
        event.error = failure;
        cluster->options.on_event(cluster->options.on_event_arg, &event);
}

bool dal__cluster_pause(dal_cluster *cluster, const char *here, uint32_t attempt, uint32_t max_attempts,
                        bool retry_unique, dal_deadline deadline, uint64_t *random, const dal_error *failure)
{
        uint32_t delay_ms;

        if (!dal__retry_is_useful(failure, attempt, max_attempts, retry_unique))
                return false;
        delay_ms = dal__retry_delay_ms(failure, attempt, random);
        if (!dal__retry_sleep(delay_ms, deadline))
                return false;
        report_retry(cluster, here, attempt, delay_ms, failure);
        if (failure->error_class == DAL_CLASS_STALE_MAP)
                /* If it can't be read now, the next refusal says so again. */
                (void)!dal__cluster_refresh(cluster, deadline, NULL);
        return true;
}

/* Where to run: by key, or on a shard named by its number. */
struct target {
        dal_key key;
        uint16_t number; /* used when no key is set */
        bool by_number;
};

static dal_status attempt_once(dal_cluster *cluster, const struct target *target, dal__running *running,
                               dal_tx *tx, dal_tx_fn *fn, void *arg, dal_error *err)
{
        dal__shard *shard = target->by_number ? find_by_number(cluster, target->number, err)
                                              : dal__cluster_shard_of(cluster, &target->key, err);
        dal_status s;

        if (!shard)
                return err->status;
        s = dal__cluster_acquire(running->here, cluster, shard, true, dal_clock_now(), tx->deadline,
                                 &tx->conn, err);
        if (s)
                return s;
        tx->shard = shard->number;
        running->in_tx = true;
        tx->wants_number = cluster->options.outcomes == DAL_OUTCOMES_NUMBERS && shard->driver->number_query;
        if (!tx->options->read_only)
                s = dal__cluster_outcome_table(cluster, shard, tx->conn, tx->deadline, &tx->outcome_table,
                                               err);
        if (s == DAL_OK)
                s = dal__tx_attempt(tx, fn, arg, err);
        if (s && tx->outcome == DAL__TX_IN_DOUBT)
                s = dal__cluster_settle(running->here, shard, tx, err);
        dal_pool_release(shard->pool, tx->conn);
        running->in_tx = false;
        dal__tx_end(tx);
        return s;
}

static dal_status read_tx_options(const dal_tx_options *given, dal_tx_options *options, dal_error *err)
{
        static const dal_tx_options defaults = DAL_TX_OPTIONS_INIT;
        dal_status s;

        *options = defaults;
        s = dal__options_read("DAL_TX_OPTIONS_INIT", given, options, sizeof *options, err);
        if (s)
                return s;
        if ((unsigned)options->isolation > DAL_ISOLATION_SERIALIZABLE)
                return dal_error_set(err, DAL_CLASS_ARGUMENT, "isolation %d is not one of enum dal_isolation",
                                     (int)options->isolation);
        return DAL_OK;
}

/*
 * When time runs out in the middle of a retry, what made it necessary says more than that time is up. But who was told
 * that a connection was lost looks for the fault in the network, and not at a server that took the next one and then gave
 * no answer: there the deadline stays what it is, and the loss is only told.
 */
DAL_COLD static void tell_cause(dal_error *failure, const dal_error *before)
{
        dal_error both;

        if (before->error_class != DAL_CLASS_CONNECTION_LOST || failure->not_sent) {
                *failure = *before;
                return;
        }
        dal_error_set(&both, failure->error_class, "%.300s; the attempt before: %.190s", failure->message,
                      before->message);
        memcpy(failure->message, both.message, sizeof failure->message);
}

static dal_status run_inside(dal__running *running, dal_cluster *cluster, const struct target *target,
                             const dal_tx_options *options, dal_tx_fn *fn, void *arg, dal_error *err)
{
        dal_deadline deadline = dal__cluster_deadline(cluster, options->timeout_ms);
        dal_error failure, before; /* filled by a failure only */
        uint64_t random = 0;
        bool retried = false;
        dal_status s;

        for (uint32_t attempt = 1;; attempt++) {
                dal_tx tx;

                memset(&tx, 0, sizeof tx);
                tx.map = &cluster->map;
                tx.options = options;
                tx.key = target->key;
                tx.deadline = deadline;
                tx.attempt = attempt;
                s = attempt_once(cluster, target, running, &tx, fn, arg, &failure);
                if (s == DAL_OK || !dal__cluster_pause(cluster, running->here, attempt, options->max_attempts,
                                                       options->retry_unique, deadline, &random, &failure))
                        break;
                before = failure;
                retried = true;
        }
        if (s && retried && failure.error_class == DAL_CLASS_DEADLINE)
                tell_cause(&failure, &before);
        if (s && err)
                *err = failure;
        return s ? failure.status : DAL_OK;
}

static dal_status run(const char *here, dal_cluster *cluster, const struct target *target,
                      const dal_tx_options *given, dal_tx_fn *fn, void *arg, dal_error *err)
{
        dal_tx_options options;
        dal__running running;
        dal_status s = read_tx_options(given, &options, err);

        if (s == DAL_OK && !fn)
                s = dal_error_set(err, DAL_CLASS_ARGUMENT, "dal_cluster_run() needs a function, not NULL");
        if (s == DAL_OK)
                s = dal__cluster_begin_call(cluster, err);
        if (s)
                return s;
        s = enter(cluster, &running, here, err);
        if (s == DAL_OK) {
                s = run_inside(&running, cluster, target, &options, fn, arg, err);
                leave(cluster, &running);
        }
        dal__cluster_end_call(cluster);
        return s;
}

dal_status dal_cluster_run_at(const char *here, dal_cluster *cluster, dal_key key,
                              const dal_tx_options *options, dal_tx_fn *fn, void *arg, dal_error *err)
{
        struct target target = {key, DAL_NO_SHARD, false};

        return run(here, cluster, &target, options, fn, arg, err);
}

dal_status dal_cluster_run_on_at(const char *here, dal_cluster *cluster, uint16_t shard,
                                 const dal_tx_options *options, dal_tx_fn *fn, void *arg, dal_error *err)
{
        struct target target;

        memset(&target, 0, sizeof target);
        target.number = shard;
        target.by_number = true;
        return run(here, cluster, &target, options, fn, arg, err);
}

/* ---- facts and tools -------------------------------------------------------------------------------------------------------- */

uint16_t dal_cluster_n_shards(const dal_cluster *cluster)
{
        return (uint16_t)atomic_load(&cluster->n_shards);
}

static dal__shard *find_by_index(const dal_cluster *cluster, uint16_t i_shard, dal_error *err)
{
        uint32_t n = atomic_load(&cluster->n_shards);

        if (i_shard < n)
                return cluster->shards[i_shard];
        dal_error_set(err, DAL_CLASS_ARGUMENT, "shard index %u is not in 0..%u", i_shard, n ? n - 1 : 0);
        return NULL;
}

dal_status dal_cluster_shard_info(dal_cluster *cluster, uint16_t i_shard, dal_shard_info *out, dal_error *err)
{
        dal__shard *shard = find_by_index(cluster, i_shard, err);

        if (!shard)
                return DAL_ERR_ARG;
        out->shard = shard->number;
        out->n_slots = dal__map_n_slots(&cluster->map, shard->number);
        out->url = dal_dsn_redacted(shard->dsn);
        out->driver = shard->driver->name;
        out->pool = dal_pool_get_stats(shard->pool);
        return DAL_OK;
}

uint16_t dal_cluster_locate(const dal_cluster *cluster, dal_key key)
{
        return dal_key_is_set(&key) ? dal__map_shard(&cluster->map, dal_key_slot(&key)) : DAL_NO_SHARD;
}

uint64_t dal_cluster_map_version(const dal_cluster *cluster)
{
        return atomic_load(&cluster->map.version);
}

dal_status dal_cluster_lease_at(const char *here, dal_cluster *cluster, uint16_t i_shard, dal_conn **out,
                                dal_error *err)
{
        dal_status s = dal__cluster_begin_call(cluster, err);
        dal__shard *shard;

        *out = NULL;
        if (s)
                return s;
        shard = find_by_index(cluster, i_shard, err);
        s = !shard ? DAL_ERR_ARG
                   : dal__cluster_acquire(here, cluster, shard, false, dal_clock_now(),
                                          dal__cluster_deadline(cluster, 0), out, err);
        dal__cluster_end_call(cluster);
        return s;
}

void dal_cluster_release(dal_cluster *cluster, uint16_t i_shard, dal_conn *conn)
{
        dal__shard *shard = find_by_index(cluster, i_shard, NULL);

        if (shard)
                dal_pool_release(shard->pool, conn);
}
