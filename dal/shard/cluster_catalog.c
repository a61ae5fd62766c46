/* SPDX-License-Identifier: MIT */
#include "shard/cluster_state.h"

#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <dal/mem.h>

#include "run/retry.h"

#define SCHEME_INT64 "fmix64/1"
#define SCHEME_BYTES "sha256be8/1"
#define SLOT_BITS    14

static const dal_stmt select_cluster =
        DAL_STMT("dal.select_cluster", "SELECT cluster_id, scheme_int64, scheme_bytes, slot_bits, "
                                       "map_version FROM dal_cluster WHERE id = 1");
static const dal_stmt select_shards =
        DAL_STMT("dal.select_shards", "SELECT shard_id, url FROM dal_shard ORDER BY shard_id");
static const dal_stmt select_slots = DAL_STMT(
        "dal.select_slots", "SELECT slot, shard_id FROM dal_slot_map WHERE map_version > ? ORDER BY slot");
static const dal_stmt select_identity =
        DAL_STMT("dal.select_identity", "SELECT cluster_id, shard_id FROM dal_identity WHERE id = 1");

/* ---- who is behind a connection ------------------------------------------------------------------------------------- */

struct identity {
        char cluster_id[DAL__CLUSTER_ID_SIZE + 1];
        int32_t number;
        bool found;
};

static dal_status read_identity(dal_conn *conn, dal_deadline deadline, struct identity *identity,
                                dal_error *err)
{
        dal_error failure;
        dal_rows *rows;
        dal_status s = dal_conn_query(conn, &select_identity, DAL_NO_PARAMS, deadline, &rows, &failure);

        identity->found = false;
        if (s == DAL_OK)
                s = dal_rows_next(rows, &identity->found, &failure);
        if (s == DAL_OK && identity->found)
                s = dal_rows_copy_text(rows, 0, identity->cluster_id, sizeof identity->cluster_id, &failure);
        if (s == DAL_OK && identity->found)
                s = dal_rows_int32(rows, 1, &identity->number, &failure);
        dal_rows_close(rows);
        if (s == DAL_ERR_NOT_FOUND)
                return DAL_OK; /* a database without the table is nobody's shard */
        if (s && err)
                *err = failure;
        return s;
}

static dal_status compare_identity(const dal_cluster *cluster, const dal__shard *shard, dal_conn *conn,
                                   dal_deadline deadline, dal_error *err)
{
        struct identity identity;
        dal_status s = read_identity(conn, deadline, &identity, err);

        if (s)
                return s;
        if (!identity.found)
                return dal_error_set(
                        err, DAL_CLASS_NO_SHARD,
                        "the database at %s does not say that it is shard %u: is it the right one? restore "
                        "it, or correct dal_shard.url",
                        dal_dsn_redacted(shard->dsn), shard->number);
        if (strcmp(identity.cluster_id, cluster->cluster_id) != 0 || identity.number != shard->number)
                return dal_error_set(
                        err, DAL_CLASS_NO_SHARD,
                        "the database at %s says it is shard %d of cluster %s, but the catalog lists it as "
                        "shard %u of cluster %s: correct dal_shard.url",
                        dal_dsn_redacted(shard->dsn), (int)identity.number, identity.cluster_id,
                        shard->number, cluster->cluster_id);
        return DAL_OK;
}

/* One shard of a cluster is not a database that owns every slot. */
static dal_status refuse_lone_shard(const dal_cluster *cluster, dal_conn *conn, dal_deadline deadline,
                                    dal_error *err)
{
        struct identity identity;
        dal_status s = read_identity(conn, deadline, &identity, err);

        if (s || !identity.found)
                return s;
        if (identity.number < 0)
                return dal_error_set(
                        err, DAL_CLASS_NO_SHARD,
                        "the cluster whose catalog is to be at %s was not finished: run `dalctl cluster "
                        "init` again",
                        dal_dsn_redacted(cluster->dsn));
        return dal_error_set(
                err, DAL_CLASS_NO_SHARD,
                "the database at %s is shard %d of cluster %s: open the cluster by the URL of its catalog",
                dal_dsn_redacted(cluster->dsn), (int)identity.number, identity.cluster_id);
}

/* ---- reading the catalog ---------------------------------------------------------------------------------------- */

struct header {
        char cluster_id[DAL__CLUSTER_ID_SIZE + 1];
        char scheme_int64[32], scheme_bytes[32];
        int32_t slot_bits;
        uint64_t map_version;
};

static dal_status read_header_row(dal_rows *rows, struct header *header, dal_error *err)
{
        dal_status s = dal_rows_copy_text(rows, 0, header->cluster_id, sizeof header->cluster_id, err);

        if (s == DAL_OK)
                s = dal_rows_copy_text(rows, 1, header->scheme_int64, sizeof header->scheme_int64, err);
        if (s == DAL_OK)
                s = dal_rows_copy_text(rows, 2, header->scheme_bytes, sizeof header->scheme_bytes, err);
        if (s == DAL_OK)
                s = dal_rows_int32(rows, 3, &header->slot_bits, err);
        if (s == DAL_OK)
                s = dal_rows_uint64(rows, 4, &header->map_version, err);
        return s;
}

/* A database without the tables, or with empty ones, is no catalog. */
static dal_status read_header(dal_conn *conn, dal_deadline deadline, struct header *header, bool *found_out,
                              dal_error *err)
{
        dal_error local = DAL_ERROR_INIT;
        dal_rows *rows;
        dal_status s = dal_conn_query(conn, &select_cluster, DAL_NO_PARAMS, deadline, &rows, &local);

        *found_out = false;
        if (s == DAL_OK) {
                s = dal_rows_next(rows, found_out, &local);
                if (s == DAL_OK && *found_out)
                        s = read_header_row(rows, header, &local);
                dal_rows_close(rows);
        }
        if (s == DAL_ERR_NOT_FOUND && local.error_class == DAL_CLASS_UNDEFINED_OBJECT)
                return DAL_OK;
        if (s && err)
                *err = local;
        return s;
}

static dal_status check_header(const dal_cluster *cluster, const struct header *header, dal_error *err)
{
        if (strcmp(header->scheme_int64, SCHEME_INT64) != 0 ||
            strcmp(header->scheme_bytes, SCHEME_BYTES) != 0 || header->slot_bits != SLOT_BITS)
                return dal_error_set(
                        err, DAL_CLASS_NO_SHARD,
                        "the catalog at %s hashes keys by %s and %s into %d bits; this library knows %s and "
                        "%s into %d: use a newer library",
                        dal_dsn_redacted(cluster->dsn), header->scheme_int64, header->scheme_bytes,
                        (int)header->slot_bits, SCHEME_INT64, SCHEME_BYTES, SLOT_BITS);
        if (cluster->cluster_id[0] && strcmp(cluster->cluster_id, header->cluster_id) != 0)
                return dal_error_set(err, DAL_CLASS_NO_SHARD,
                                     "the catalog at %s now describes another cluster (%s instead of %s)",
                                     dal_dsn_redacted(cluster->dsn), header->cluster_id, cluster->cluster_id);
        if (!header->cluster_id[0]) /* without it a shard could not be told from a stranger */
                return dal_error_set(
                        err, DAL_CLASS_NO_SHARD,
                        "the catalog at %s has an empty cluster_id; run `dalctl cluster init` again",
                        dal_dsn_redacted(cluster->dsn));
        return DAL_OK;
}

/* Says which row of dal_shard it was: a URL's own errors can't know. */
static dal_status name_shard(int32_t number, dal_status s, dal_error *err)
{
        if (s && err)
                dal_error_set(err, err->error_class, "shard %d in dal_shard: %.400s", (int)number,
                              err->message);
        return s;
}

static dal_status read_shard_row(dal_cluster *cluster, dal_rows *rows, dal_error *err)
{
        char url[1100];
        dal_dsn *raw = NULL, *dsn = NULL;
        const dal_driver *driver = NULL;
        int32_t number;
        dal_status s = dal_rows_int32(rows, 0, &number, err);

        if (s == DAL_OK)
                s = dal_rows_copy_text(rows, 1, url, sizeof url, err);
        if (s)
                return s;
        if (number < 0 || (uint32_t)number >= DAL__MAX_SHARDS)
                return dal_error_set(err, DAL_CLASS_NO_SHARD, "shard number %d in dal_shard is not in 0..%u",
                                     (int)number, DAL__MAX_SHARDS - 1);
        if (dal__cluster_find(cluster, (uint16_t)number))
                return DAL_OK;
        s = dal_dsn_parse(url, &raw, err);
        dal_mem_wipe(url, sizeof url);
        if (s == DAL_OK)
                driver = dal_driver_find(cluster->drivers, cluster->n_drivers, dal_dsn_scheme(raw), err);
        if (s == DAL_OK)
                s = driver ? dal_driver_resolve_dsn(driver, raw, cluster->dsn, NULL, &dsn, err) : DAL_ERR_ARG;
        dal_dsn_free(raw);
        if (s == DAL_OK)
                s = dal__cluster_add_shard(cluster, (uint16_t)number, driver, dsn, NULL, err);
        return name_shard(number, s, err);
}

static dal_status read_slot_row(dal_cluster *cluster, dal_rows *rows, dal_error *err)
{
        int32_t slot, shard;
        dal_status s = dal_rows_int32(rows, 0, &slot, err);

        if (s == DAL_OK)
                s = dal_rows_int32(rows, 1, &shard, err);
        if (s)
                return s;
        if (slot < 0 || (uint32_t)slot >= DAL_N_SLOTS)
                return dal_error_set(err, DAL_CLASS_NO_SHARD, "slot %d in dal_slot_map is not in 0..%u",
                                     (int)slot, DAL_N_SLOTS - 1);
        if (shard < 0 || (uint32_t)shard >= DAL__MAX_SHARDS || !dal__cluster_find(cluster, (uint16_t)shard))
                return dal_error_set(err, DAL_CLASS_NO_SHARD,
                                     "slot %d belongs to shard %d, which is not in dal_shard", (int)slot,
                                     (int)shard);
        dal__map_set(&cluster->map, (uint16_t)slot, (uint16_t)shard);
        return DAL_OK;
}

typedef dal_status row_fn(dal_cluster *cluster, dal_rows *rows, dal_error *err);

static dal_status read_rows(dal_cluster *cluster, dal_conn *conn, const dal_stmt *stmt, dal_params params,
                            dal_deadline deadline, row_fn *fn, dal_error *err)
{
        bool found = true;
        dal_rows *rows;
        dal_status s = dal_conn_query(conn, stmt, params, deadline, &rows, err);

        while (s == DAL_OK && (s = dal_rows_next(rows, &found, err)) == DAL_OK && found)
                s = fn(cluster, rows, err);
        dal_rows_close(rows);
        return s;
}

static dal_status check_coverage(const dal_cluster *cluster, dal_error *err)
{
        uint32_t n_missing = dal__map_n_slots(&cluster->map, DAL_NO_SHARD);

        if (n_missing == 0)
                return DAL_OK;
        return dal_error_set(err, DAL_CLASS_NO_SHARD,
                             "the catalog at %s is not whole: %u of %u slots have no shard; run `dalctl "
                             "cluster init` again",
                             dal_dsn_redacted(cluster->dsn), n_missing, DAL_N_SLOTS);
}

static dal_status load_from(dal_cluster *cluster, dal_conn *conn, dal_deadline deadline, bool *found_out,
                            dal_error *err)
{
        uint64_t version = atomic_load(&cluster->map.version);
        struct header header;
        dal_status s;

        memset(&header, 0, sizeof header);
        s = read_header(conn, deadline, &header, found_out, err);
        if (s || !*found_out)
                return s;
        s = check_header(cluster, &header, err);
        if (s || (header.map_version == version && cluster->cluster_id[0]))
                return s;
        s = read_rows(cluster, conn, &select_shards, DAL_NO_PARAMS, deadline, read_shard_row, err);
        if (s == DAL_OK)
                s = read_rows(cluster, conn, &select_slots, DAL_PARAMS(dal_int64((int64_t)version)), deadline,
                              read_slot_row, err);
        if (s == DAL_OK)
                s = check_coverage(cluster, err);
        if (s)
                return s;
        if (!cluster->cluster_id[0]) /* once it is known others read it, without a lock */
                memcpy(cluster->cluster_id, header.cluster_id, sizeof header.cluster_id);
        /* The version was read before the rows: rows of a later one that were seen already do no harm. */
        atomic_store(&cluster->map.version, header.map_version);
        return DAL_OK;
}

dal_status dal__cluster_load(dal_cluster *cluster, dal_pool *pool, dal_deadline deadline, bool *found_out,
                             dal_error *err)
{
        dal_conn *conn;
        dal_status s = dal_pool_acquire(pool, false, deadline, &conn, err);

        *found_out = false;
        if (s)
                return s;
        s = load_from(cluster, conn, deadline, found_out, err);
        if (s == DAL_OK && !*found_out)
                s = refuse_lone_shard(cluster, conn, deadline, err);
        dal_pool_release(pool, conn);
        return s;
}

void dal__cluster_wait(pthread_cond_t *cond, pthread_mutex_t *lock, dal_deadline deadline)
{
        struct timespec at = {(time_t)(deadline / 1000000000), (long)(deadline % 1000000000)};

        (void)pthread_cond_timedwait(cond, lock, &at);
}

/*
 * One reader of the catalog is enough: whoever comes second waits, and shares in what a third one read meanwhile. What
 * was begun before he came is not for him: it may have read the catalog before the change that he wants to see.
 */
static dal_status begin_refresh(dal_cluster *cluster, dal_deadline deadline, bool *mine_out, dal_error *err)
{
        dal_status s = DAL_OK;
        uint64_t n_begun;

        *mine_out = false;
        pthread_mutex_lock(&cluster->refresh_lock);
        n_begun = cluster->n_refreshes;
        while (cluster->refreshing && !dal_clock_passed(deadline))
                dal__cluster_wait(&cluster->refresh_done, &cluster->refresh_lock, deadline);
        if (cluster->refreshing) {
                s = dal_error_set(err, DAL_CLASS_DEADLINE,
                                  "the catalog at %s is still being read by another thread",
                                  dal_dsn_redacted(cluster->dsn));
        } else if (cluster->n_refreshes == n_begun || !cluster->refresh_worked) {
                cluster->refreshing = *mine_out = true;
                cluster->n_refreshes++;
        }
        pthread_mutex_unlock(&cluster->refresh_lock);
        return s;
}

static void end_refresh(dal_cluster *cluster, bool worked)
{
        pthread_mutex_lock(&cluster->refresh_lock);
        cluster->refreshing = false;
        cluster->refresh_worked = worked;
        pthread_cond_broadcast(&cluster->refresh_done);
        pthread_mutex_unlock(&cluster->refresh_lock);
}

dal_status dal__cluster_refresh(dal_cluster *cluster, dal_deadline deadline, dal_error *err)
{
        uint64_t before, after;
        bool mine, found;
        dal_status s;

        if (!cluster->catalog)
                return DAL_OK;
        s = begin_refresh(cluster, deadline, &mine, err);
        if (!mine)
                return s;
        before = atomic_load(&cluster->map.version);
        s = dal__cluster_load(cluster, cluster->catalog, deadline, &found, err);
        after = atomic_load(&cluster->map.version);
        end_refresh(cluster, s == DAL_OK);
        if (s == DAL_OK && after != before && cluster->options.on_event) {
                dal_event event;

                memset(&event, 0, sizeof event);
                event.kind = DAL_EVENT_MAP;
                event.map_version = after;
                cluster->options.on_event(cluster->options.on_event_arg, &event);
        }
        return s;
}

dal_status dal_cluster_refresh(dal_cluster *cluster, dal_error *err)
{
        dal_status s = dal__cluster_begin_call(cluster, err);

        if (s)
                return s;
        s = dal__cluster_refresh(cluster, dal__cluster_deadline(cluster, 0), err);
        dal__cluster_end_call(cluster);
        return s;
}

/* ---- the timer ----------------------------------------------------------------------------------------------------- */

#define WAKE_MS 300000u /* without a slot map to watch */

static void *run_timer(void *arg)
{
        dal_cluster *cluster = arg;
        uint64_t random = 0;

        pthread_mutex_lock(&cluster->timer_lock);
        while (!cluster->timer_stop) {
                uint32_t period = cluster->catalog ? cluster->options.map_refresh_ms : WAKE_MS;
                uint32_t pause = period - (uint32_t)(dal__retry_random(&random) % (period / 4 + 1));
                dal_deadline until = dal_clock_after_ms(pause);

                while (!cluster->timer_stop && !dal_clock_passed(until))
                        dal__cluster_wait(&cluster->timer_wake, &cluster->timer_lock, until);
                if (cluster->timer_stop)
                        break;
                cluster->timer_busy = true;
                pthread_mutex_unlock(&cluster->timer_lock);
                /* A catalog that can't be asked changes nothing: the map in use stays good as a hint. */
                if (cluster->catalog)
                        (void)!dal_cluster_refresh(cluster, NULL);
                dal__cluster_purge_due(cluster, dal_clock_now(), &random);
                pthread_mutex_lock(&cluster->timer_lock);
                cluster->timer_busy = false;
                pthread_cond_broadcast(&cluster->timer_wake);
        }
        pthread_mutex_unlock(&cluster->timer_lock);
        return NULL;
}

dal_status dal__cluster_start_timer(dal_cluster *cluster, dal_error *err)
{
        sigset_t all, old;
        int rc;

        /* The host's signals are the host's: none is to be delivered to our thread. */
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &old);
        rc = pthread_create(&cluster->timer, NULL, run_timer, cluster);
        pthread_sigmask(SIG_SETMASK, &old, NULL);
        if (rc)
                return dal_error_set(err, DAL_CLASS_NO_MEMORY,
                                     "no thread could be started to watch the slot map");
        cluster->timer_pid = getpid();
        cluster->has_timer = true;
        return DAL_OK;
}

dal_status dal__cluster_stop_timer(dal_cluster *cluster, dal_deadline deadline, dal_error *err)
{
        bool busy;

        if (!cluster->has_timer)
                return DAL_OK;
        if (cluster->timer_pid != getpid())
                return dal_error_set(
                        err, DAL_CLASS_STATE,
                        "this cluster was opened before fork(): it belongs to the parent process");
        pthread_mutex_lock(&cluster->timer_lock);
        cluster->timer_stop = true;
        pthread_cond_broadcast(&cluster->timer_wake);
        while (cluster->timer_busy && !dal_clock_passed(deadline))
                dal__cluster_wait(&cluster->timer_wake, &cluster->timer_lock, deadline);
        busy = cluster->timer_busy;
        pthread_mutex_unlock(&cluster->timer_lock);
        if (busy)
                return dal_error_set(
                        err, DAL_CLASS_DEADLINE,
                        "the catalog at %s is still being read or old tokens are still being deleted; "
                        "call again",
                        dal_dsn_redacted(cluster->dsn));
        pthread_join(cluster->timer, NULL);
        cluster->has_timer = false;
        return DAL_OK;
}

/* The first lease of a shard: is the database the one that the catalog means? */
static dal_status verify(dal_cluster *cluster, dal__shard *shard, dal_conn **conn, dal_deadline deadline,
                         dal_error *err)
{
        dal_status s = compare_identity(cluster, shard, *conn, deadline, err);

        if (s == DAL_OK) /* reading it may have begun a transaction */
                s = dal_conn_rollback(*conn, deadline, err);
        if (s == DAL_OK)
                s = dal__cluster_look_for_outcomes(cluster, shard, *conn, deadline, err);
        if (s == DAL_OK) {
                atomic_store_explicit(&shard->verified, true, memory_order_release);
                return DAL_OK;
        }
        dal_pool_release(shard->pool, *conn);
        *conn = NULL;
        return s;
}

dal_status dal__cluster_verify(dal_cluster *cluster, dal__shard *shard, dal_status leased,
                               dal_deadline deadline, dal_conn **conn, dal_error *err)
{
        dal_status s = leased ? leased : verify(cluster, shard, conn, deadline, err);

        if (s && err)
                err->shard = shard->number;
        return s;
}
