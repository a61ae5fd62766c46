/* SPDX-License-Identifier: MIT */
#include "cluster_init.h"

#include <stdio.h>
#include <string.h>

#include "ctl.h"

/* In dal_identity of a catalog that is no shard: it reserves the cluster's id, so that an init that was cut short
   goes on with the same one. */
#define CATALOG_SHARD (-1)

#define ROWS_PER_INSERT 512u

static const dal_stmt find_cluster =
        DAL_STMT("dalctl.find_cluster", "SELECT cluster_id FROM dal_cluster WHERE id = 1");
static const dal_stmt list_shards =
        DAL_STMT("dalctl.list_shards", "SELECT shard_id, url FROM dal_shard ORDER BY shard_id");
static const dal_stmt add_cluster =
        DAL_STMT("dalctl.add_cluster",
                 "INSERT INTO dal_cluster (id, cluster_id, scheme_int64, scheme_bytes, slot_bits, "
                 "map_version) VALUES (1, ?, 'fmix64/1', 'sha256be8/1', 14, 1)");
static const dal_stmt add_shard =
        DAL_STMT("dalctl.add_shard",
                 "INSERT INTO dal_shard (shard_id, url, state, weight) VALUES (?, ?, 'active', 1)");
static const dal_stmt get_identity =
        DAL_STMT("dalctl.get_identity", "SELECT cluster_id, shard_id FROM dal_identity WHERE id = 1");
static const dal_stmt add_identity = DAL_STMT(
        "dalctl.add_identity", "INSERT INTO dal_identity (id, cluster_id, shard_id) VALUES (1, ?, ?)");
static const dal_stmt set_identity = DAL_STMT(
        "dalctl.set_identity", "UPDATE dal_identity SET shard_id = ? WHERE id = 1 AND cluster_id = ?");

typedef struct maker {
        const ctl_init_options *options;
        ctl_init_report *report;
        dal_dsn *catalog; /* lends user and password to the shards */
        bool is_resumed;  /* the catalog's id was reserved by an earlier call */
} maker;

typedef struct identity {
        bool found;
        char cluster_id[CTL_CLUSTER_ID_SIZE];
        int32_t shard;
} identity;

static dal_deadline soon(const maker *m)
{
        return dal_clock_after_ms(m->options->timeout_ms);
}

static void tell(const maker *m, const char *what, const char *url)
{
        if (m->options->progress)
                m->options->progress(m->options->progress_arg, what, url);
}

/* ---- what is there ------------------------------------------------------------------------------------ */

/* Reads who a database says it is; without the table it has not said anything. */
static dal_status read_identity(const maker *m, dal_conn *conn, identity *out, dal_error *err)
{
        dal_error own = DAL_ERROR_INIT;
        dal_rows *rows = NULL;
        dal_status status = dal_conn_query(conn, &get_identity, DAL_NO_PARAMS, soon(m), &rows, &own);
        memset(out, 0, sizeof *out);
        if (status == DAL_OK)
                status = dal_rows_next(rows, &out->found, &own);
        if (status == DAL_OK && out->found)
                status = dal_rows_copy_text(rows, 0, out->cluster_id, sizeof out->cluster_id, &own);
        if (status == DAL_OK && out->found)
                status = dal_rows_int32(rows, 1, &out->shard, &own);
        dal_rows_close(rows);
        if (own.error_class == DAL_CLASS_UNDEFINED_OBJECT)
                return DAL_OK;
        if (status && err)
                *err = own;
        return status;
}

static dal_status read_cluster(const maker *m, dal_conn *conn, char *id_out, bool *found_out, dal_error *err)
{
        dal_error own = DAL_ERROR_INIT;
        dal_rows *rows = NULL;
        dal_status status = dal_conn_query(conn, &find_cluster, DAL_NO_PARAMS, soon(m), &rows, &own);
        *found_out = false;
        if (status == DAL_OK)
                status = dal_rows_next(rows, found_out, &own);
        if (status == DAL_OK && *found_out)
                status = dal_rows_copy_text(rows, 0, id_out, CTL_CLUSTER_ID_SIZE, &own);
        dal_rows_close(rows);
        if (own.error_class == DAL_CLASS_UNDEFINED_OBJECT)
                return DAL_OK;
        if (status && err)
                *err = own;
        return status;
}

/* Says whether the catalog lists exactly the shards that were asked for. */
static dal_status compare_shards(const maker *m, dal_conn *conn, bool *same_out, dal_error *err)
{
        dal_rows *rows = NULL;
        bool found = true;
        uint32_t n = 0;
        dal_status status = dal_conn_query(conn, &list_shards, DAL_NO_PARAMS, soon(m), &rows, err);
        *same_out = true;
        while (status == DAL_OK && (status = dal_rows_next(rows, &found, err)) == DAL_OK && found) {
                char url[1025];
                status = dal_rows_copy_text(rows, 1, url, sizeof url, err);
                if (status == DAL_OK &&
                    (n >= m->options->n_shards || strcmp(url, m->options->shard_urls[n]) != 0))
                        *same_out = false;
                dal_mem_wipe(url, sizeof url);
                n++;
        }
        dal_rows_close(rows);
        *same_out = *same_out && n == m->options->n_shards;
        return status;
}

/* A catalog may be one of the shards too. */
static bool is_own_shard(const maker *m, int32_t shard)
{
        return shard >= 0 && shard < m->options->n_shards &&
               strcmp(m->options->shard_urls[shard], m->options->catalog_url) == 0;
}

static dal_status check_catalog(maker *m, dal_conn *conn, dal_error *err)
{
        bool found = false;
        identity who;
        dal_status status = read_cluster(m, conn, m->report->cluster_id, &found, err);
        if (status == DAL_OK && found) {
                status = compare_shards(m, conn, &m->report->existed, err);
                if (status || m->report->existed)
                        return status;
                return dal_error_set(
                        err, DAL_CLASS_STATE,
                        "%s is the catalog of cluster %s already, with other shards: `dalctl cluster show` "
                        "lists them; a new cluster needs a catalog database of its own",
                        dal_dsn_redacted(m->catalog), m->report->cluster_id);
        }
        if (status == DAL_OK)
                status = read_identity(m, conn, &who, err);
        if (status || !who.found)
                return status;
        if (who.shard != CATALOG_SHARD && !is_own_shard(m, who.shard))
                return dal_error_set(
                        err, DAL_CLASS_STATE,
                        "%s is shard %d of cluster %s: choose another database for the catalog; if that "
                        "cluster is no more, empty its table dal_identity first",
                        dal_dsn_redacted(m->catalog), (int)who.shard, who.cluster_id);
        memcpy(m->report->cluster_id, who.cluster_id, sizeof who.cluster_id);
        m->is_resumed = true;
        return DAL_OK;
}

/* Refuses a database that is a shard of somebody else; nothing has been written anywhere yet. */
static dal_status check_shard(const maker *m, uint16_t i, dal_conn *conn, const char *url, dal_error *err)
{
        char other[CTL_CLUSTER_ID_SIZE];
        identity who;
        bool is_catalog = false;
        dal_status status = read_identity(m, conn, &who, err);
        if (status == DAL_OK)
                status = read_cluster(m, conn, other, &is_catalog, err);
        if (status)
                return status;
        if (is_catalog)
                return dal_error_set(err, DAL_CLASS_STATE,
                                     "%s is the catalog of cluster %s: choose another database for shard %u",
                                     url, other, i);
        if (!who.found)
                return DAL_OK;
        if (!m->is_resumed || strcmp(who.cluster_id, m->report->cluster_id) != 0)
                return dal_error_set(
                        err, DAL_CLASS_STATE,
                        "%s is shard %d of cluster %s: choose another database; if that cluster is no more, "
                        "empty its table dal_identity first",
                        url, (int)who.shard, who.cluster_id);
        if (who.shard == i || who.shard == CATALOG_SHARD)
                return DAL_OK;
        return dal_error_set(
                err, DAL_CLASS_STATE,
                "%s is shard %d of this unfinished cluster, not %u: give the --shard options in the same "
                "order as before, each database once",
                url, (int)who.shard, i);
}

/* ---- writing ------------------------------------------------------------------------------------------ */

static dal_status apply_own_area(const maker *m, dal_conn *conn, dal_error *err)
{
        dal_schema_options options = DAL_SCHEMA_OPTIONS_INIT;
        dal_schema_report report;
        dal_status status;
        memset(&report, 0, sizeof report);
        options.dir = m->options->dir;
        options.area = "dal";
        options.applied_by = m->options->applied_by;
        options.lock_wait_ms = m->options->timeout_ms;
        status = dal_schema_apply(conn, &options, &report, err);
        m->report->n_scripts += report.n_new;
        return status;
}

static dal_status new_cluster_id(char out[CTL_CLUSTER_ID_SIZE], dal_error *err)
{
        uint8_t bytes[16];
        FILE *random = fopen("/dev/urandom", "rb");
        size_t n = random ? fread(bytes, 1, sizeof bytes, random) : 0;
        if (random)
                (void)fclose(random);
        if (n != sizeof bytes)
                return dal_error_set(err, DAL_CLASS_INTERNAL,
                                     "can't read /dev/urandom, which the cluster's id is made of");
        for (size_t i = 0; i < sizeof bytes; i++)
                (void)snprintf(out + 2 * i, 3, "%02x", bytes[i]);
        return DAL_OK;
}

static dal_status prepare_catalog(maker *m, dal_conn *conn, dal_error *err)
{
        dal_status status = apply_own_area(m, conn, err);
        if (status || m->is_resumed)
                return status;
        status = new_cluster_id(m->report->cluster_id, err);
        if (status)
                return status;
        return dal_conn_exec(conn, &add_identity,
                             DAL_PARAMS(dal_text(m->report->cluster_id), dal_int64(CATALOG_SHARD)), soon(m),
                             NULL, err);
}

/* By now the identity is ours, the catalog's reservation (the catalog is this shard too), or missing. */
static dal_status prepare_shard(const maker *m, uint16_t i, dal_conn *conn, const char *url, dal_error *err)
{
        identity who;
        dal_status status = apply_own_area(m, conn, err);
        if (status == DAL_OK)
                status = read_identity(m, conn, &who, err);
        if (status)
                return status;
        if (!who.found)
                return dal_conn_exec(conn, &add_identity,
                                     DAL_PARAMS(dal_text(m->report->cluster_id), dal_int64(i)), soon(m), NULL,
                                     err);
        if (strcmp(who.cluster_id, m->report->cluster_id) != 0)
                return dal_error_set(err, DAL_CLASS_STATE, "%s has just become a shard of cluster %s", url,
                                     who.cluster_id);
        if (who.shard == i)
                return DAL_OK;
        if (who.shard != CATALOG_SHARD)
                return dal_error_set(err, DAL_CLASS_STATE,
                                     "%s is shard %d already: two --shard options name the same database",
                                     url, (int)who.shard);
        return dal_conn_exec(conn, &set_identity, DAL_PARAMS(dal_int64(i), dal_text(m->report->cluster_id)),
                             soon(m), NULL, err);
}

/* Text is built of integers only. */
static dal_status insert_slots(const maker *m, dal_conn *conn, dal_error *err)
{
        static const char head[] = "INSERT INTO dal_slot_map (slot, shard_id, epoch, map_version) VALUES ";
        uint32_t n_shards = m->options->n_shards;
        for (uint32_t slot = 0; slot < DAL_N_SLOTS;) {
                char sql[sizeof head + ROWS_PER_INSERT * 32];
                size_t used = (size_t)snprintf(sql, sizeof sql, "%s", head);
                dal_status status;
                for (uint32_t k = 0; k < ROWS_PER_INSERT && slot < DAL_N_SLOTS; k++, slot++)
                        used += (size_t)snprintf(sql + used, sizeof sql - used, "%s(%u, %u, 1, 1)",
                                                 k ? ", " : "", slot, slot * n_shards / DAL_N_SLOTS);
                status = dal_conn_script(conn, sql, soon(m), err);
                if (status)
                        return status;
        }
        return DAL_OK;
}

static dal_status write_catalog(const maker *m, dal_conn *conn, dal_error *err)
{
        dal_status status = dal_conn_begin(conn, DAL_ISOLATION_DEFAULT, false, soon(m), err);
        if (status)
                return status;
        /* Its primary key makes a second init at the same time fail here, whole. */
        status = dal_conn_exec(conn, &add_cluster, DAL_PARAMS(dal_text(m->report->cluster_id)), soon(m), NULL,
                               err);
        for (uint16_t i = 0; status == DAL_OK && i < m->options->n_shards; i++)
                status = dal_conn_exec(conn, &add_shard,
                                       DAL_PARAMS(dal_int64(i), dal_text(m->options->shard_urls[i])), soon(m),
                                       NULL, err);
        if (status == DAL_OK)
                status = insert_slots(m, conn, err);
        if (status == DAL_OK)
                return dal_conn_commit(conn, soon(m), err);
        dal_status ignored =
                dal_conn_rollback(conn, soon(m), NULL); /* closing the connection does it otherwise */
        (void)ignored;
        return status;
}

/* ---- the whole ---------------------------------------------------------------------------------------- */

typedef dal_status shard_fn(const maker *m, uint16_t i, dal_conn *conn, const char *url, dal_error *err);

/* Connects without making anything; a file that is missing gives no connection, for there is nothing to check. */
static dal_status connect_to_check(const maker *m, const char *url, const dal_dsn *base, dal_conn **out,
                                   dal_error *err)
{
        dal_error own = DAL_ERROR_INIT;
        dal_status status = ctl_connect(url, base, false, m->options->timeout_ms, out, &own);
        if (own.error_class == DAL_CLASS_UNDEFINED_OBJECT && ctl_is_embedded(url))
                return DAL_OK;
        if (status && err)
                *err = own;
        return status;
}

static dal_status for_each_shard(const maker *m, const char *what, shard_fn *fn, dal_error *err)
{
        for (uint16_t i = 0; i < m->options->n_shards; i++) {
                dal_dsn *dsn = NULL;
                dal_conn *conn = NULL;
                dal_status status = ctl_read_url(m->options->shard_urls[i], &dsn, err);
                if (status == DAL_OK) {
                        const char *url = m->options->shard_urls[i];
                        tell(m, what, dal_dsn_redacted(dsn));
                        status = fn == check_shard ? connect_to_check(m, url, m->catalog, &conn, err)
                                                   : ctl_connect(url, m->catalog, true,
                                                                 m->options->timeout_ms, &conn, err);
                }
                if (status == DAL_OK && conn)
                        status = fn(m, i, conn, dal_dsn_redacted(dsn), err);
                dal_conn_close(conn);
                dal_dsn_free(dsn);
                if (status) {
                        if (err)
                                err->shard = i;
                        return status;
                }
        }
        return DAL_OK;
}

static dal_status check_twins(const ctl_init_options *options, dal_error *err)
{
        for (uint16_t i = 0; i < options->n_shards; i++)
                for (uint16_t k = 0; k < i; k++)
                        if (strcmp(options->shard_urls[i], options->shard_urls[k]) == 0)
                                return dal_error_set(err, DAL_CLASS_ARGUMENT,
                                                     "shards %u and %u have the same URL: each needs a "
                                                     "database of its own",
                                                     k, i);
        return DAL_OK;
}

dal_status ctl_cluster_make(const ctl_init_options *options, ctl_init_report *out, dal_error *err)
{
        dal_conn *conn = NULL;
        dal_status status;
        maker m;
        memset(&m, 0, sizeof m);
        memset(out, 0, sizeof *out);
        m.options = options;
        m.report = out;
        status = check_twins(options, err);
        if (status == DAL_OK)
                status = ctl_read_url(options->catalog_url, &m.catalog, err);
        if (status)
                return status;
        tell(&m, "catalog", dal_dsn_redacted(m.catalog));
        status = connect_to_check(&m, options->catalog_url, NULL, &conn, err);
        if (status == DAL_OK && conn)
                status = check_catalog(&m, conn, err);
        if (status == DAL_OK && !out->existed) {
                status = for_each_shard(&m, "checking", check_shard, err);
                /* Only now that nothing stands in the way a file may be made. */
                if (status == DAL_OK && !conn)
                        status = ctl_connect(options->catalog_url, NULL, true, options->timeout_ms, &conn,
                                             err);
                if (status == DAL_OK)
                        status = prepare_catalog(&m, conn, err);
                if (status == DAL_OK)
                        status = for_each_shard(&m, "preparing", prepare_shard, err);
                if (status == DAL_OK) {
                        tell(&m, "writing the slot map", dal_dsn_redacted(m.catalog));
                        status = write_catalog(&m, conn, err);
                }
        }
        dal_conn_close(conn);
        dal_dsn_free(m.catalog);
        return status;
}
