/* SPDX-License-Identifier: MIT */
/* What became of a COMMIT whose answer was lost: see dal/outcome.h and run/outcome.h. */
#include "shard/cluster_state.h"

#include <string.h>

#include <dal/mem.h>
#include <dal/outcome.h>

#include "conn/conn_impl.h"
#include "run/outcome.h"
#include "run/retry.h"
#include "run/tx_impl.h"

#define PURGE_EVERY_NS INT64_C(3600000000000)
#define PURGE_MS       30000u /* for one shard; the rest an hour later */
#define PURGE_STEP_MS  1000u
#define PURGE_LEASE_MS 100u
#define MAX_KEEP_HOURS 876000u /* a hundred years fit 32 bits of seconds */
#define LOOK_AGAIN_MS  60000u  /* for a table that was not there: it may be made while the service runs */

static dal_status no_table(const dal__shard *shard, dal_error *err)
{
        if (!shard->driver->token_query)
                return dal_error_set(err, DAL_CLASS_UNDEFINED_OBJECT,
                                     "shard %u at %s has no tokens: the %s driver commits without them",
                                     shard->number, dal_dsn_redacted(shard->dsn), shard->driver->name);
        return dal_error_set(
                err, DAL_CLASS_UNDEFINED_OBJECT,
                "shard %u at %s has no table dal_outcome that this user may write to; make it by "
                "`dalctl schema apply` for the area dal",
                shard->number, dal_dsn_redacted(shard->dsn));
}

/* Several callers may look at the same time, as long as nobody knows. */
static dal_status look(dal__shard *shard, dal_conn *conn, dal_deadline deadline, dal_error *err)
{
        char name[DAL__OUTCOME_NAME_SIZE], *copy, *none = NULL;
        dal_status s;

        if (!dal__conn_token_query(conn))
                return DAL_OK;
        s = dal__outcome_find(conn, deadline, name, err);
        if (s)
                return s;
        if (name[0]) {
                copy = dal_mem_strdup(name, strlen(name));
                if (!copy)
                        return dal_error_set(err, DAL_CLASS_NO_MEMORY,
                                             "out of memory for the name of a table");
                if (!atomic_compare_exchange_strong(&shard->outcome_table, &none, copy))
                        dal_mem_free(copy);
        }
        atomic_store(&shard->outcome_look_at, dal_clock_after_ms(LOOK_AGAIN_MS));
        return DAL_OK;
}

static bool has_tokens(const dal_cluster *cluster, const dal__shard *shard)
{
        /* The COMMIT of an engine in this process is never lost on its way. */
        return cluster->options.outcomes != DAL_OUTCOMES_OFF && !(shard->driver->caps & DAL_CAP_EMBEDDED);
}

dal_status dal__cluster_look_for_outcomes(dal_cluster *cluster, dal__shard *shard, dal_conn *conn,
                                          dal_deadline deadline, dal_error *err)
{
        return has_tokens(cluster, shard) && shard->driver->token_query ? look(shard, conn, deadline, err)
                                                                        : DAL_OK;
}

dal_status dal__cluster_outcome_table(dal_cluster *cluster, dal__shard *shard, dal_conn *conn,
                                      dal_deadline deadline, const char **out, dal_error *err)
{
        dal_status s = DAL_OK;

        *out = NULL;
        if (!has_tokens(cluster, shard))
                return DAL_OK;
        *out = atomic_load_explicit(&shard->outcome_table, memory_order_acquire);
        if (*out)
                return DAL_OK;
        if (shard->driver->token_query &&
            dal_clock_passed(atomic_load_explicit(&shard->outcome_look_at, memory_order_relaxed)))
                s = look(shard, conn, deadline, err);
        if (s == DAL_OK) {
                *out = atomic_load_explicit(&shard->outcome_table, memory_order_acquire);
                if (!*out && cluster->options.outcomes == DAL_OUTCOMES_REQUIRED)
                        s = no_table(shard, err);
        }
        if (s && err)
                err->shard = shard->number;
        return s;
}

dal_status dal__cluster_settle(const char *here, dal__shard *shard, dal_tx *tx, dal_error *err)
{
        dal__outcome_case lost = {.here = here,
                                  .pool = shard->pool,
                                  .table = tx->outcome_table,
                                  .token = tx->token,
                                  .session_id = tx->session_id,
                                  .server = dal_conn_info(tx->conn)->server,
                                  .sent_at = tx->commit_at,
                                  .deadline = tx->deadline};
        dal_outcome outcome;
        dal_status s;

        if (!tx->token[0])
                return err->status;
        s = dal__outcome_resolve(&lost, &tx->conn, &outcome, err);
        if (s == DAL_OK && outcome == DAL_OUTCOME_COMMITTED) {
                tx->outcome = DAL__TX_COMMITTED;
                return DAL_OK;
        }
        if (s == DAL_OK) {
                tx->outcome = DAL__TX_ROLLED_BACK;
                s = dal_error_set(
                        err, DAL_CLASS_CONNECTION_LOST,
                        "COMMIT got no answer, and the server says that it was not committed and never "
                        "will be");
                err->tx_gone = true;
        }
        err->shard = shard->number;
        return s;
}

/* ---- for those who ask later ---------------------------------------------------------------------------------- */

/* Leases a connection to a shard that has the table. */
static dal_status lease(const char *here, dal_cluster *cluster, dal__shard *shard, dal_deadline deadline,
                        dal_conn **conn, dal_error *err)
{
        dal_status s =
                dal__cluster_acquire(here, cluster, shard, false, dal_clock_now(), deadline, conn, err);

        if (s)
                return s;
        if (!atomic_load(&shard->outcome_table))
                s = look(shard, *conn, deadline, err);
        if (s == DAL_OK && !atomic_load(&shard->outcome_table))
                s = no_table(shard, err);
        if (s == DAL_OK)
                return DAL_OK;
        dal_pool_release(shard->pool, *conn);
        *conn = NULL;
        return s;
}

static dal_status resolve_on(dal_cluster *cluster, dal__shard *shard, const char *token,
                             const dal__outcome_token *read, dal_deadline deadline, dal_outcome *out,
                             dal_error *err)
{
        dal__outcome_case lost = {
                .here = DAL_HERE, .pool = shard->pool, .token = token, .deadline = deadline};
        dal_conn *conn = NULL;
        dal_error failure;
        bool numbered = dal__outcome_kind_of(read) == DAL__OUTCOME_NUMBER;
        dal_status s = numbered ? dal__cluster_acquire(DAL_HERE, cluster, shard, false, dal_clock_now(),
                                                       deadline, &conn, &failure)
                                : lease(DAL_HERE, cluster, shard, deadline, &conn, &failure);

        if (s == DAL_OK) {
                lost.table = atomic_load(&shard->outcome_table);
                s = dal__outcome_resolve(&lost, &conn, out, &failure);
                dal_pool_release(shard->pool, conn);
        } else if (s != DAL_ERR_NOT_FOUND && s != DAL_ERR_STATE) {
                dal__conn_doubt("the shard can't be asked what became of it", &failure);
                failure.conn_gone = false;
                s = failure.status;
        }
        if (s && err) {
                *err = failure;
                err->shard = shard->number;
        }
        return s;
}

dal_status dal_cluster_resolve(dal_cluster *cluster, const char *token, uint32_t timeout_ms, dal_outcome *out,
                               dal_error *err)
{
        char hex[DAL__OUTCOME_HEX_SIZE];
        dal__outcome_token read;
        dal__shard *shard;
        dal_status s = dal__outcome_read(token, &read, err);

        *out = DAL_OUTCOME_UNKNOWN;
        if (s == DAL_OK)
                s = dal__cluster_begin_call(cluster, err);
        if (s)
                return s;
        dal__outcome_write(&read, hex);
        shard = dal__cluster_find(cluster, dal__outcome_shard_of(&read));
        s = shard ? resolve_on(cluster, shard, hex, &read, dal__cluster_deadline(cluster, timeout_ms), out,
                               err)
                  : dal_error_set(err, DAL_CLASS_UNDEFINED_OBJECT,
                                  "the token is of shard %u, which this cluster does not have",
                                  dal__outcome_shard_of(&read));
        dal__cluster_end_call(cluster);
        return s;
}

/* Up to when tokens are old; to keep them for longer than the clock has run is to keep them all. */
/* Chooses, by the server's clock, up to when to purge, and has it noted. */
static dal_status begin_purge(dal_conn *conn, const char *table, uint32_t keep_s, dal_deadline deadline,
                              uint64_t *older_than_out, dal_error *err)
{
        uint64_t now = 0;
        dal_status s = dal__outcome_agreed_time(conn, deadline, &now, err);

        *older_than_out = now > keep_s ? now - keep_s : 0;
        return s ? s : dal__outcome_note_purge(conn, table, *older_than_out, deadline, err);
}

static dal_status purge(dal_conn *conn, const dal__shard *shard, uint32_t keep_s, dal_deadline deadline,
                        uint64_t *n_out, dal_error *err)
{
        const char *table = atomic_load(&shard->outcome_table);
        uint64_t n = 1, older_than;
        dal_status s = begin_purge(conn, table, keep_s, deadline, &older_than, err);

        while (s == DAL_OK && n) {
                s = dal__outcome_purge(conn, table, shard->number, older_than, deadline, &n, err);
                *n_out += n;
        }
        return s;
}

dal_status dal_cluster_purge_outcomes(dal_cluster *cluster, uint16_t i_shard, uint32_t retention_s,
                                      uint32_t timeout_ms, uint64_t *n_out, dal_error *err)
{
        dal_deadline deadline = dal__cluster_deadline(cluster, timeout_ms);
        uint32_t keep_s = retention_s ? retention_s : DAL_OUTCOME_RETENTION_S;
        uint64_t n = 0;
        dal__shard *shard;
        dal_conn *conn;
        dal_status s;

        if (n_out)
                *n_out = 0;
        if (keep_s < DAL_OUTCOME_MIN_RETENTION_S)
                return dal_error_set(err, DAL_CLASS_ARGUMENT,
                                     "tokens must be kept for %u seconds at least, not %u",
                                     DAL_OUTCOME_MIN_RETENTION_S, keep_s);
        if (i_shard >= atomic_load(&cluster->n_shards))
                return dal_error_set(err, DAL_CLASS_ARGUMENT, "the cluster has no shard with the index %u",
                                     i_shard);
        s = dal__cluster_begin_call(cluster, err);
        if (s)
                return s;
        shard = cluster->shards[i_shard];
        s = lease(DAL_HERE, cluster, shard, deadline, &conn, err);
        if (s == DAL_OK) {
                s = purge(conn, shard, keep_s, deadline, &n, err);
                dal_pool_release(shard->pool, conn);
        }
        if (n_out)
                *n_out = n;
        dal__cluster_end_call(cluster);
        return s;
}

/* ---- purging in the background -------------------------------------------------------------------------------- */

/* An hour, less up to a quarter, so that the instances of a service do not come all at once. */
static int64_t next_purge(int64_t now, uint64_t *random)
{
        return now + PURGE_EVERY_NS - (int64_t)(dal__retry_random(random) % (uint64_t)(PURGE_EVERY_NS / 4));
}

static void purge_quietly(dal_cluster *cluster, dal__shard *shard)
{
        uint32_t hours = cluster->options.outcome_keep_hours;
        uint32_t keep_s = !hours                   ? DAL_OUTCOME_RETENTION_S
                          : hours < MAX_KEEP_HOURS ? hours * 3600u
                                                   : MAX_KEEP_HOURS * 3600u;
        const char *table = atomic_load(&shard->outcome_table);
        dal_deadline end = dal_clock_after_ms(PURGE_MS);
        uint64_t n = 1, older_than;
        dal_conn *conn;
        dal_status s = dal_pool_acquire(shard->pool, false, dal_clock_after_ms(PURGE_LEASE_MS), &conn, NULL);

        if (s)
                return; /* there is no connection to spare: another time */
        s = begin_purge(conn, table, keep_s, dal_clock_after_ms(PURGE_STEP_MS), &older_than, NULL);
        while (s == DAL_OK && n && !dal_clock_passed(end) && !atomic_load(&cluster->closing))
                s = dal__outcome_purge(conn, table, shard->number, older_than,
                                       dal_clock_after_ms(PURGE_STEP_MS), &n, NULL);
        dal_pool_release(shard->pool, conn);
}

void dal__cluster_purge_due(dal_cluster *cluster, int64_t now, uint64_t *random)
{
        uint32_t n_shards = atomic_load(&cluster->n_shards);

        if (cluster->options.outcome_keep_hours == DAL_OUTCOME_KEEP_ALL)
                return;
        for (uint32_t i = 0; i < n_shards && !atomic_load(&cluster->closing); i++) {
                dal__shard *shard = cluster->shards[i];

                /* Not at the start, as a program that runs for a moment is no one to tidy up. */
                if (!shard->purge_at)
                        shard->purge_at = next_purge(now, random);
                if (now < shard->purge_at || !has_tokens(cluster, shard) ||
                    !atomic_load(&shard->outcome_table))
                        continue;
                shard->purge_at = next_purge(now, random);
                purge_quietly(cluster, shard);
        }
}
