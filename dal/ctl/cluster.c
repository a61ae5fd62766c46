/* SPDX-License-Identifier: MIT */
#include "ctl.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cluster_init.h"

/* ---- init --------------------------------------------------------------------------------------------- */

static void on_step(void *arg, const char *what, const char *url)
{
        (void)arg;
        ctl_progress_say("%s  %s", what, url);
}

/* Says what is wrong with the URLs, and warns of what will be stored as it is. */
static bool check_urls(const ctl_options *options)
{
        if (options->n_shards == 0) {
                ctl_complain("cluster init needs at least one --shard URL, as in: dalctl cluster init --url "
                             "sqlite:catalog.db --shard sqlite:shop_0.db --shard sqlite:shop_1.db");
                return false;
        }
        if (options->n_shards > 1024) {
                ctl_complain("%zu shards are more than the 1024 that a cluster can have", options->n_shards);
                return false;
        }
        for (size_t i = 0; i < options->n_shards; i++) {
                dal_error err = DAL_ERROR_INIT;
                dal_dsn *dsn = NULL;
                if (ctl_read_url(options->shards[i], &dsn, &err) != DAL_OK) {
                        ctl_complain("--shard number %zu: %s", i, err.message);
                        return false;
                }
                if (strlen(options->shards[i]) > 1024) {
                        ctl_complain(
                                "--shard number %zu is longer than the 1024 bytes that the catalog can hold",
                                i);
                        dal_dsn_free(dsn);
                        return false;
                }
                if (dal_dsn_password(dsn))
                        ctl_warn("the URL of shard %zu holds a password, which is stored in the catalog for "
                                 "all its readers; "
                                 "leave user and password out and the catalog URL's are used",
                                 i);
                dal_dsn_free(dsn);
        }
        return true;
}

static void print_made(const ctl_options *options, const ctl_init_report *report)
{
        if (options->json) {
                json_t *root = json_pack("{s:s, s:s, s:i, s:i, s:b}", "command", "init", "cluster_id",
                                         report->cluster_id, "shards", (int)options->n_shards, "scripts",
                                         (int)report->n_scripts, "existed", report->existed);
                (void)json_dumpf(root, stdout, JSON_INDENT(2));
                (void)printf("\n");
                json_decref(root);
                return;
        }
        if (report->existed) {
                (void)printf("nothing to do: cluster %s with these %zu shards is there already\n",
                             report->cluster_id, options->n_shards);
                return;
        }
        (void)printf("%smade cluster %s%s: %zu shard%s, %u slots divided evenly, %u scripts applied\n",
                     ctl_paint("good"), report->cluster_id, ctl_paint("off"), options->n_shards,
                     options->n_shards == 1 ? "" : "s", DAL_N_SLOTS, report->n_scripts);
}

int ctl_cluster_init(const ctl_options *options)
{
        ctl_init_options init;
        ctl_init_report report;
        dal_error err = DAL_ERROR_INIT;
        dal_status status;
        if (!check_urls(options))
                return CTL_USAGE;
        memset(&init, 0, sizeof init);
        init.catalog_url = options->url;
        init.shard_urls = options->shards;
        init.n_shards = (uint16_t)options->n_shards;
        init.dir = ctl_schema_dir(options, "dal");
        init.applied_by = "dalctl cluster init";
        init.timeout_ms = options->timeout_ms;
        init.progress = on_step;
        if (!init.dir)
                return CTL_USAGE;
        ctl_progress_begin();
        status = ctl_cluster_make(&init, &report, &err);
        ctl_progress_end();
        if (status == DAL_OK) {
                print_made(options, &report);
                return CTL_CLEAN;
        }
        if (err.shard != DAL_NO_SHARD)
                ctl_complain("shard %u: %s", err.shard, err.message);
        else
                ctl_complain("%s", err.message);
        if (status != DAL_ERR_ARG && status != DAL_ERR_STATE)
                ctl_complain("there is no cluster until all of it is made: mend this and run the same "
                             "command again");
        return status == DAL_ERR_ARG ? CTL_USAGE : status == DAL_ERR_BUSY ? CTL_LOCKED : CTL_FAILED;
}

/* ---- show --------------------------------------------------------------------------------------------- */

static const dal_stmt find_cluster =
        DAL_STMT("dalctl.show_cluster", "SELECT cluster_id FROM dal_cluster WHERE id = 1");

static dal_status read_cluster_id(const ctl_targets *targets, char *out, size_t size, dal_error *err)
{
        dal_conn *conn = NULL;
        dal_rows *rows = NULL;
        dal_status status =
                ctl_connect(targets->options->url, NULL, false, targets->options->timeout_ms, &conn, err);
        if (status == DAL_OK)
                status = dal_conn_query(conn, &find_cluster, DAL_NO_PARAMS,
                                        dal_clock_after_ms(targets->options->timeout_ms), &rows, err);
        if (status == DAL_OK)
                status = dal_rows_first(rows, err);
        if (status == DAL_OK)
                status = dal_rows_copy_text(rows, 0, out, size, err);
        dal_rows_close(rows);
        dal_conn_close(conn);
        return status;
}

static void show_json(const ctl_targets *targets, const char *cluster_id)
{
        json_t *list = json_array();
        json_t *root;
        for (size_t i = 0; i < targets->n_targets; i++) {
                const ctl_target *t = &targets->targets[i];
                if (t->shard != DAL_NO_SHARD)
                        (void)json_array_append_new(list, json_pack("{s:i, s:i, s:s, s:s}", "shard",
                                                                    (int)t->shard, "slots", (int)t->n_slots,
                                                                    "driver", t->driver, "url", t->url));
        }
        root = json_pack("{s:s?, s:I, s:i, s:o}", "cluster_id", cluster_id[0] ? cluster_id : NULL,
                         "map_version", (json_int_t)dal_cluster_map_version(targets->cluster), "slots",
                         (int)DAL_N_SLOTS, "shards", list);
        (void)json_dumpf(root, stdout, JSON_INDENT(2));
        (void)printf("\n");
        json_decref(root);
}

static void show_text(const ctl_targets *targets, const char *cluster_id)
{
        static const char *const heads[] = {"shard", "slots", "share", "driver", "url"};
        ctl_table *table = ctl_table_new(5);
        if (targets->is_catalog)
                (void)printf("cluster  %s\ncatalog  %s\nmap      version %llu\n\n", cluster_id,
                             targets->catalog_url,
                             (unsigned long long)dal_cluster_map_version(targets->cluster));
        else
                (void)printf("a single database: one shard that owns every slot; `dalctl cluster init` makes "
                             "a cluster\n\n");
        for (size_t i = 0; i < sizeof heads / sizeof heads[0]; i++)
                ctl_table_add(table, heads[i], "dim");
        for (size_t i = 0; i < targets->n_targets; i++) {
                const ctl_target *t = &targets->targets[i];
                char text[32];
                if (t->shard == DAL_NO_SHARD)
                        continue;
                (void)snprintf(text, sizeof text, "%u", t->shard);
                ctl_table_add(table, text, "bold");
                (void)snprintf(text, sizeof text, "%u", t->n_slots);
                ctl_table_add(table, text, NULL);
                (void)snprintf(text, sizeof text, "%.1f %%", 100.0 * t->n_slots / DAL_N_SLOTS);
                ctl_table_add(table, text, NULL);
                ctl_table_add(table, t->driver, NULL);
                ctl_table_add(table, t->url, NULL);
        }
        ctl_table_print(table);
        ctl_table_free(table);
}

int ctl_cluster_show(const ctl_options *options)
{
        char cluster_id[CTL_CLUSTER_ID_SIZE] = "";
        dal_error err = DAL_ERROR_INIT;
        ctl_targets targets;
        dal_status status = ctl_targets_open(options, false, &targets, &err);
        if (status == DAL_OK && targets.is_catalog)
                status = read_cluster_id(&targets, cluster_id, sizeof cluster_id, &err);
        if (status)
                ctl_complain("%s", err.message);
        else if (options->json)
                show_json(&targets, cluster_id);
        else
                show_text(&targets, cluster_id);
        ctl_targets_close(&targets);
        return status ? CTL_FAILED : CTL_CLEAN;
}
