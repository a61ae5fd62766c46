/* SPDX-License-Identifier: MIT */
#include "shard/cluster_state.h"

#include <string.h>

#include <dal/mem.h>

#include "base/options.h"

#define DEFAULT_TIMEOUT_MS      10000u
#define DEFAULT_MAP_REFRESH_MS  5000u
#define FANOUT_GRACE_MS         1000u /* as fanout.h says */
#define DEFAULT_LOCK_TIMEOUT_MS 3000u

static void report_leak(void *arg, const dal_lease_info *lease)
{
        const dal_cluster *cluster = arg;
        dal_event event;

        memset(&event, 0, sizeof event);
        event.kind = DAL_EVENT_LEAK;
        event.where = lease->where;
        event.held_ms = lease->held_ms;
        cluster->options.on_event(cluster->options.on_event_arg, &event);
}

dal_status dal__cluster_new_pool(dal_cluster *cluster, const dal_driver *driver, const dal_dsn *dsn,
                                 const char *name, dal_pool **out, dal_error *err)
{
        dal_pool_options options = cluster->options.pool;

        options.name = name;
        options.conn.service = cluster->service;
        if (!options.conn.statement_timeout_ms)
                options.conn.statement_timeout_ms = cluster->options.timeout_ms;
        if (!options.conn.lock_timeout_ms)
                options.conn.lock_timeout_ms = DEFAULT_LOCK_TIMEOUT_MS;
        if (cluster->options.on_event) {
                options.on_leak = report_leak;
                options.on_leak_arg = cluster;
        }
        return dal_pool_new(driver, dsn, &options, out, err);
}

dal_status dal__cluster_add_shard(dal_cluster *cluster, uint16_t number, const dal_driver *driver,
                                  dal_dsn *dsn, dal_pool *pool, dal_error *err)
{
        uint32_t n = atomic_load(&cluster->n_shards);
        dal__shard *shard = dal_mem_alloc(sizeof *shard);
        dal_status s = DAL_OK;

        if (!shard)
                s = dal_error_set(err, DAL_CLASS_NO_MEMORY, "out of memory for shard %u", number);
        else if (!pool)
                s = dal__cluster_new_pool(cluster, driver, dsn, dal_dsn_redacted(dsn), &pool, err);
        if (s) {
                dal_mem_free(shard);
                dal_dsn_free(dsn);
                return s;
        }
        shard->number = number;
        shard->driver = driver;
        shard->dsn = dsn;
        shard->pool = pool;
        cluster->shards[n] = shard;
        atomic_store_explicit(&cluster->by_number[number], shard, memory_order_release);
        atomic_store(&cluster->n_shards, n + 1);
        return DAL_OK;
}

static dal_status copy_options(dal_cluster *cluster, const dal_cluster_options *options, dal_error *err)
{
        static const dal_cluster_options defaults = DAL_CLUSTER_OPTIONS_INIT;
        dal_status s;

        cluster->options = defaults;
        cluster->fanout_grace_ms = FANOUT_GRACE_MS;
        s = dal__options_read("DAL_CLUSTER_OPTIONS_INIT", options, &cluster->options, sizeof cluster->options,
                              err);
        if (s)
                return s;
        if ((unsigned)cluster->options.outcomes > DAL_OUTCOMES_NUMBERS)
                return dal_error_set(err, DAL_CLASS_ARGUMENT, "outcomes %d is not one of enum dal_outcomes",
                                     (int)cluster->options.outcomes);
        if (!cluster->options.timeout_ms)
                cluster->options.timeout_ms = DEFAULT_TIMEOUT_MS;
        if (!cluster->options.map_refresh_ms)
                cluster->options.map_refresh_ms = DEFAULT_MAP_REFRESH_MS;
        if (!cluster->options.service)
                return DAL_OK; /* each connection then takes the URL's application_name */
        cluster->service = dal_mem_strdup(cluster->options.service, strlen(cluster->options.service));
        if (!cluster->service)
                return dal_error_set(err, DAL_CLASS_NO_MEMORY, "out of memory for a cluster");
        cluster->options.service = cluster->service;
        return DAL_OK;
}

static void init_locks(dal_cluster *cluster)
{
        pthread_condattr_t attr;

        pthread_mutex_init(&cluster->refresh_lock, NULL);
        pthread_mutex_init(&cluster->timer_lock, NULL);
        pthread_condattr_init(&attr);
        pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
        pthread_cond_init(&cluster->timer_wake, &attr);
        pthread_cond_init(&cluster->refresh_done, &attr);
        pthread_condattr_destroy(&attr);
        for (uint32_t i = 0; i < DAL__RUNNING_BUCKETS; i++)
                pthread_mutex_init(&cluster->running[i].lock, NULL);
}

/* Frees a cluster whose pools are gone. */
static void free_cluster(dal_cluster *cluster)
{
        for (uint32_t i = 0; i < atomic_load(&cluster->n_shards); i++) {
                dal_mem_free(atomic_load(&cluster->shards[i]->outcome_table));
                dal_dsn_free(cluster->shards[i]->dsn);
                dal_mem_free(cluster->shards[i]);
        }
        pthread_mutex_destroy(&cluster->refresh_lock);
        pthread_mutex_destroy(&cluster->timer_lock);
        pthread_cond_destroy(&cluster->timer_wake);
        pthread_cond_destroy(&cluster->refresh_done);
        for (uint32_t i = 0; i < DAL__RUNNING_BUCKETS; i++)
                pthread_mutex_destroy(&cluster->running[i].lock);
        dal_dsn_free(cluster->dsn);
        dal_mem_free(cluster->service);
        dal_mem_free(cluster);
}

/* The URL's own database is shard 0 and owns every slot. */
static dal_status be_single(dal_cluster *cluster, const dal_driver *driver, dal_pool *pool, dal_error *err)
{
        dal_dsn *dsn;
        dal_status s = dal_driver_resolve_dsn(driver, cluster->dsn, NULL, NULL, &dsn, err);

        if (s == DAL_OK)
                s = dal__cluster_add_shard(cluster, 0, driver, dsn, pool, err);
        if (s == DAL_OK)
                atomic_store(&cluster->shards[0]->verified,
                             true); /* there is no catalog to compare it with */
        for (uint32_t slot = 0; s == DAL_OK && slot < DAL_N_SLOTS; slot++)
                dal__map_set(&cluster->map, (uint16_t)slot, 0);
        return s;
}

/* On the connection that has just looked for a catalog; whoever needs the answer later looks again if this fails. */
static void look_for_outcomes(dal_cluster *cluster, dal__shard *shard)
{
        dal_deadline deadline = dal__cluster_deadline(cluster, 0);
        dal_conn *conn;

        if (!shard->driver->token_query || dal_pool_acquire(shard->pool, false, deadline, &conn, NULL))
                return;
        (void)!dal__cluster_look_for_outcomes(cluster, shard, conn, deadline, NULL);
        dal_pool_release(shard->pool, conn);
}

/* Replaces the URL as it was given by what its driver makes of it. */
static dal_status resolve_url(dal_cluster *cluster, const dal_driver *driver, dal_error *err)
{
        dal_dsn *dsn;
        dal_status s = dal_driver_resolve_dsn(driver, cluster->dsn, NULL, NULL, &dsn, err);

        if (s)
                return s;
        dal_dsn_free(cluster->dsn);
        cluster->dsn = dsn;
        return DAL_OK;
}

static dal_status open_behind(dal_cluster *cluster, dal_error *err)
{
        const dal_driver *driver =
                dal_driver_find(cluster->drivers, cluster->n_drivers, dal_dsn_scheme(cluster->dsn), err);
        dal_pool *pool = NULL;
        bool is_catalog;
        dal_status s = DAL_OK;

        if (!driver)
                return DAL_ERR_ARG;
        for (size_t i = 0; s == DAL_OK && i < cluster->n_drivers; i++)
                s = dal_driver_check(cluster->drivers[i], err);
        if (s == DAL_OK)
                s = resolve_url(cluster, driver, err);
        if (s == DAL_OK)
                s = dal__cluster_new_pool(cluster, driver, cluster->dsn, dal_dsn_redacted(cluster->dsn),
                                          &pool, err);
        if (s)
                return s;
        cluster->catalog = pool; /* until it turns out to be the only shard's: so that a failure finds it */
        s = dal__cluster_load(cluster, pool, dal__cluster_deadline(cluster, 0), &is_catalog, err);
        if (s == DAL_OK && !is_catalog) {
                s = be_single(cluster, driver, pool, err);
                if (s == DAL_OK) {
                        cluster->catalog = NULL;
                        look_for_outcomes(cluster, cluster->shards[0]);
                        /* Whoever has no thread for it purges by hand. */
                        if (atomic_load(&cluster->shards[0]->outcome_table) &&
                            cluster->options.outcome_keep_hours != DAL_OUTCOME_KEEP_ALL)
                                (void)!dal__cluster_start_timer(cluster, NULL);
                }
        }
        if (s == DAL_OK && is_catalog)
                s = dal__cluster_start_timer(cluster, err);
        return s;
}

dal_status dal_cluster_open(const char *url, const dal_driver *const *drivers, size_t n_drivers,
                            const dal_cluster_options *options, dal_cluster **out, dal_error *err)
{
        dal_cluster *cluster = dal_mem_alloc(sizeof *cluster);
        dal_status s;

        *out = NULL;
        if (!cluster)
                return dal_error_set(err, DAL_CLASS_NO_MEMORY, "out of memory for a cluster");
        cluster->drivers = drivers;
        cluster->n_drivers = n_drivers;
        init_locks(cluster);
        dal__map_init(&cluster->map, DAL_NO_SHARD);
        s = copy_options(cluster, options, err);
        if (s == DAL_OK)
                s = dal_dsn_parse(url, &cluster->dsn, err);
        if (s == DAL_OK)
                s = open_behind(cluster, err);
        if (s) {
                /* Nobody holds a lease yet, and what min_idle connects ends with its own limit: so this frees. */
                dal_cluster_close(cluster, UINT32_MAX, NULL);
                return s;
        }
        *out = cluster;
        return DAL_OK;
}

/* Waits until nobody has a lease, and then until nobody is inside who may want one: only then nothing is used. */
static dal_status drain(dal_cluster *cluster, dal_deadline deadline, dal_error *err)
{
        dal_status s = dal__cluster_stop_timer(cluster, deadline, err);

        for (uint32_t i = 0; s == DAL_OK && i < atomic_load(&cluster->n_shards); i++)
                s = dal_pool_drain(cluster->shards[i]->pool, deadline, err);
        if (s == DAL_OK && cluster->catalog)
                s = dal_pool_drain(cluster->catalog, deadline, err);
        return s ? s : dal__cluster_drain_calls(cluster, deadline, err);
}

static dal_status free_pools(dal_cluster *cluster, dal_error *err)
{
        dal_status s = DAL_OK;

        for (uint32_t i = 0; s == DAL_OK && i < atomic_load(&cluster->n_shards); i++)
                s = dal_pool_free(cluster->shards[i]->pool, err);
        return s ? s : dal_pool_free(cluster->catalog, err); /* which is NULL for a single database */
}

dal_status dal_cluster_close(dal_cluster *cluster, uint32_t timeout_ms, dal_error *err)
{
        dal_deadline deadline = dal_clock_after_ms(timeout_ms);
        dal_status s;

        if (!cluster)
                return DAL_OK;
        atomic_store(&cluster->closing, true);
        for (uint32_t i = 0; i < atomic_load(&cluster->n_shards); i++)
                dal_pool_close(cluster->shards[i]->pool);
        if (cluster->catalog)
                dal_pool_close(cluster->catalog);
        s = drain(cluster, deadline, err);
        if (s == DAL_OK)
                s = free_pools(cluster, err);
        if (s == DAL_OK)
                free_cluster(cluster);
        return s;
}
