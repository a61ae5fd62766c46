/* SPDX-License-Identifier: MIT */
#include "ctl.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define STATEMENT_TIMEOUT_MS 600000u /* the default of dal_schema_options */

#ifdef DALCTL_WITH_SQLITE
#include <dal/drivers/sqlite.h>
#endif
#ifdef DALCTL_WITH_POSTGRES
#include <dal/drivers/postgres.h>
#endif
#ifdef DALCTL_WITH_MYSQL
#include <dal/drivers/mysql.h>
#endif

const dal_driver *const *ctl_drivers(size_t *n_out)
{
        static const dal_driver *drivers[4];
        size_t n = 0;
#ifdef DALCTL_WITH_SQLITE
        drivers[n++] = dal_driver_sqlite();
#endif
#ifdef DALCTL_WITH_POSTGRES
        drivers[n++] = dal_driver_postgres();
#endif
#ifdef DALCTL_WITH_MYSQL
        drivers[n++] = dal_driver_mysql();
#endif
        *n_out = n;
        return drivers;
}

/* ---- drivers that create nothing ---------------------------------------------------------------------- */

static bool has_word(const char *words, const char *word)
{
        size_t size = strlen(word);
        for (const char *at = words; (at = strstr(at, word)) != NULL; at += size)
                if ((at == words || at[-1] == ' ') && (at[size] == ' ' || at[size] == '\0'))
                        return true;
        return false;
}

/* Opens an embedded database that exists: mode=rw, unless the URL says which mode. */
static dal_status open_existing(void *conn, const dal_open_args *args, dal_deadline deadline, dal_error *err)
{
        size_t n_drivers;
        const dal_driver *const *drivers = ctl_drivers(&n_drivers);
        const dal_driver *driver = dal_driver_find(drivers, n_drivers, dal_dsn_scheme(args->dsn), err);
        dal_open_args existing = *args;
        const char *url = dal_dsn_redacted(args->dsn);
        dal_dsn *given = NULL, *dsn = NULL;
        char *text;
        size_t size = strlen(url) + sizeof "?mode=rw";
        dal_status status;
        if (!driver)
                return DAL_ERR_ARG;
        if (dal_dsn_get(args->dsn, "mode"))
                return driver->open(conn, args, deadline, err);
        text = ctl_resize(NULL, size, 1);
        (void)snprintf(text, size, "%s%cmode=rw", url, strchr(url, '?') ? '&' : '?');
        status = dal_dsn_parse(text, &given, err);
        dal_mem_free(text);
        if (status == DAL_OK)
                status = dal_driver_resolve_dsn(driver, given, NULL, NULL, &dsn, err);
        dal_dsn_free(given);
        existing.dsn = dsn;
        if (status == DAL_OK)
                status = driver->open(conn, &existing, deadline, err);
        dal_dsn_free(dsn);
        if (status && err && err->error_class == DAL_CLASS_UNDEFINED_OBJECT)
                (void)dal_error_set(err, DAL_CLASS_UNDEFINED_OBJECT,
                                    "%s does not exist: is the name right? This command creates nothing; "
                                    "`dalctl schema apply` and `dalctl cluster init` do",
                                    url);
        return status;
}

/* A mistyped name must not leave an empty database behind, not even of a shard that the catalog names. */
static const dal_driver *const *careful_drivers(size_t *n_out)
{
        static dal_driver copies[4];
        static const dal_driver *drivers[4];
        const dal_driver *const *given = ctl_drivers(n_out);
        for (size_t i = 0; i < *n_out; i++) {
                drivers[i] = given[i];
                if ((given[i]->caps & DAL_CAP_EMBEDDED) == 0 || !has_word(given[i]->keys, "mode"))
                        continue;
                if (!copies[i].open) { /* else a pool may be reading it */
                        copies[i] = *given[i];
                        copies[i].open = open_existing;
                }
                drivers[i] = &copies[i];
        }
        return drivers;
}

static const dal_driver *const *choose_drivers(bool may_create, size_t *n_out)
{
        return may_create ? ctl_drivers(n_out) : careful_drivers(n_out);
}

bool ctl_is_embedded(const char *url)
{
        size_t n_drivers;
        const dal_driver *const *drivers = ctl_drivers(&n_drivers);
        const dal_driver *driver = NULL;
        dal_dsn *dsn = NULL;
        if (dal_dsn_parse(url, &dsn, NULL) == DAL_OK)
                driver = dal_driver_find(drivers, n_drivers, dal_dsn_scheme(dsn), NULL);
        dal_dsn_free(dsn);
        return driver && (driver->caps & DAL_CAP_EMBEDDED) != 0;
}

static dal_status read_url(const char *url, const dal_dsn *base, bool may_create,
                           const dal_driver **driver_out, dal_dsn **dsn_out, dal_error *err)
{
        size_t n_drivers;
        const dal_driver *const *drivers = choose_drivers(may_create, &n_drivers);
        dal_dsn *given = NULL;
        dal_status status = dal_dsn_parse(url, &given, err);
        *driver_out = NULL;
        if (status == DAL_OK)
                *driver_out = dal_driver_find(drivers, n_drivers, dal_dsn_scheme(given), err);
        if (status == DAL_OK)
                status = *driver_out ? dal_driver_resolve_dsn(*driver_out, given, base, NULL, dsn_out, err)
                                     : DAL_ERR_ARG;
        dal_dsn_free(given);
        return status;
}

dal_status ctl_read_url(const char *url, dal_dsn **dsn_out, dal_error *err)
{
        const dal_driver *driver;
        return read_url(url, NULL, true, &driver, dsn_out, err);
}

dal_status ctl_connect(const char *url, const dal_dsn *base, bool may_create, uint32_t timeout_ms,
                       dal_conn **out, dal_error *err)
{
        dal_conn_options options = DAL_CONN_OPTIONS_INIT;
        const dal_driver *driver;
        dal_dsn *dsn = NULL;
        dal_status status = read_url(url, base, may_create, &driver, &dsn, err);
        *out = NULL;
        options.service = "dalctl";
        if (status == DAL_OK)
                status = dal_conn_open(driver, dsn, &options, dal_clock_after_ms(timeout_ms), out, err);
        dal_dsn_free(dsn);
        return status;
}

/* ---- the databases behind a URL ----------------------------------------------------------------------- */

static ctl_target *add_target(ctl_targets *targets, const char *url, const char *driver)
{
        ctl_target *target;
        targets->targets = ctl_resize(targets->targets, targets->n_targets + 1, sizeof *target);
        target = &targets->targets[targets->n_targets++];
        memset(target, 0, sizeof *target);
        target->url = ctl_strdup(url);
        target->driver = driver;
        target->shard = DAL_NO_SHARD;
        return target;
}

/* One database is one target: a catalog that is a shard too is listed as that shard. */
static dal_status add_catalog(ctl_targets *targets, dal_error *err)
{
        uint16_t n_shards = dal_cluster_n_shards(targets->cluster);
        ctl_target *target;
        dal_dsn *dsn = NULL;
        dal_status status = ctl_read_url(targets->options->url, &dsn, err);
        if (status)
                return status;
        targets->catalog_url = ctl_strdup(dal_dsn_redacted(dsn));
        dal_dsn_free(dsn);
        for (uint16_t i = 0; i < n_shards; i++) {
                dal_shard_info info;
                status = dal_cluster_shard_info(targets->cluster, i, &info, err);
                if (status || strcmp(info.url, targets->catalog_url) == 0)
                        return status;
        }
        target = add_target(targets, targets->catalog_url, "");
        target->is_catalog = true;
        (void)snprintf(target->label, sizeof target->label, "catalog");
        return DAL_OK;
}

static dal_status add_shards(ctl_targets *targets, dal_error *err)
{
        uint16_t n_shards = dal_cluster_n_shards(targets->cluster);
        for (uint16_t i = 0; i < n_shards; i++) {
                dal_shard_info info;
                ctl_target *target;
                dal_status status = dal_cluster_shard_info(targets->cluster, i, &info, err);
                if (status)
                        return status;
                target = add_target(targets, info.url, info.driver);
                target->shard = info.shard;
                target->i_shard = i;
                target->n_slots = info.n_slots;
                target->is_catalog = targets->is_catalog && strcmp(info.url, targets->catalog_url) == 0;
                if (targets->is_catalog)
                        (void)snprintf(target->label, sizeof target->label, "shard %u", info.shard);
                else
                        (void)snprintf(target->label, sizeof target->label, "database");
        }
        return DAL_OK;
}

dal_status ctl_targets_open(const ctl_options *options, bool may_create, ctl_targets *out, dal_error *err)
{
        dal_cluster_options cluster_options = DAL_CLUSTER_OPTIONS_INIT;
        size_t n_drivers;
        const dal_driver *const *drivers = choose_drivers(may_create, &n_drivers);
        dal_status status;
        memset(out, 0, sizeof *out);
        out->options = options;
        out->may_create = may_create;
        cluster_options.service = "dalctl";
        cluster_options.timeout_ms = options->timeout_ms;
        cluster_options.pool.connect_timeout_ms = options->timeout_ms;
        cluster_options.pool.leak_after_ms = UINT32_MAX; /* a long script is no leak */
        /* An embedded engine knows no other limit than that of its connection. */
        cluster_options.pool.conn.statement_timeout_ms =
                options->statement_timeout_ms ? options->statement_timeout_ms : STATEMENT_TIMEOUT_MS;
        status = dal_cluster_open(options->url, drivers, n_drivers, &cluster_options, &out->cluster, err);
        if (status)
                return status;
        out->is_catalog = dal_cluster_map_version(out->cluster) > 0;
        if (out->is_catalog)
                status = add_catalog(out, err);
        if (status == DAL_OK)
                status = add_shards(out, err);
        if (status)
                ctl_targets_close(out);
        return status;
}

void ctl_targets_close(ctl_targets *targets)
{
        if (targets->cluster)
                (void)dal_cluster_close(targets->cluster, 1000, NULL);
        for (size_t i = 0; i < targets->n_targets; i++)
                dal_mem_free(targets->targets[i].url);
        dal_mem_free(targets->targets);
        dal_mem_free(targets->catalog_url);
        memset(targets, 0, sizeof *targets);
}

dal_status ctl_target_connect(const ctl_targets *targets, size_t i_target, dal_conn **out, dal_error *err)
{
        const ctl_target *target = &targets->targets[i_target];
        if (target->shard == DAL_NO_SHARD)
                return ctl_connect(targets->options->url, NULL, targets->may_create,
                                   targets->options->timeout_ms, out, err);
        return dal_cluster_lease(targets->cluster, target->i_shard, out, err);
}

void ctl_target_release(const ctl_targets *targets, size_t i_target, dal_conn *conn)
{
        const ctl_target *target = &targets->targets[i_target];
        if (!conn)
                return;
        if (target->shard == DAL_NO_SHARD)
                dal_conn_close(conn);
        else
                dal_cluster_release(targets->cluster, target->i_shard, conn);
}

/* ---- the schema folder -------------------------------------------------------------------------------- */

static bool has_area(const char *dir, const char *area)
{
        char path[4096];
        struct stat info;
        int n = snprintf(path, sizeof path, "%s/%s", dir, area);
        return n > 0 && (size_t)n < sizeof path && stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

/* The folder that was installed beside this program: PREFIX/bin/dalctl, PREFIX/share/dal/schema. */
static const char *installed_dir(void)
{
        static char path[4096];
        char *slash;
        size_t used;
        ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);
        if (n <= 0)
                return DALCTL_SHARE_DIR;
        path[n] = '\0';
        for (int i = 0; i < 2; i++)
                if ((slash = strrchr(path, '/')) != NULL)
                        *slash = '\0';
        used = strlen(path);
        (void)snprintf(path + used, sizeof path - used, "/%s", DALCTL_SHARE_FROM_BIN);
        return has_area(path, "dal") ? path : DALCTL_SHARE_DIR;
}

const char *ctl_find_schema_dir(const ctl_options *options, const char *area)
{
        const char *own = options->dir ? options->dir : "schema";
        if (has_area(own, area))
                return own;
        if ((!options->dir || strcmp(area, "dal") == 0) && has_area(installed_dir(), area))
                return installed_dir();
        return NULL;
}

const char *ctl_schema_dir(const ctl_options *options, const char *area)
{
        const char *dir = ctl_find_schema_dir(options, area);
        if (!dir)
                ctl_complain("there is no folder %s/%s%s: name the schema folder by --dir",
                             options->dir ? options->dir : "schema", area,
                             options->dir ? "" : " and none is installed");
        return dir;
}
