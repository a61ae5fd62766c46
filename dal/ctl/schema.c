/* SPDX-License-Identifier: MIT */
#include "ctl.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef enum verb {
        APPLY,
        STATUS,
        PLAN
} verb;

typedef struct area {
        char *name;
        const char *dir;
} area;

typedef struct area_list {
        area *areas;
        size_t n_areas;
} area_list;

/* ---- which areas -------------------------------------------------------------------------------------- */

static void add_area(area_list *list, const char *name, const char *dir)
{
        for (size_t i = 0; i < list->n_areas; i++)
                if (strcmp(list->areas[i].name, name) == 0)
                        return;
        list->areas = ctl_resize(list->areas, list->n_areas + 1, sizeof *list->areas);
        list->areas[list->n_areas].name = ctl_strdup(name);
        list->areas[list->n_areas++].dir = dir;
}

/* The library's own area comes first, the others by name. */
static int compare_areas(const void *a, const void *b)
{
        const char *x = ((const area *)a)->name;
        const char *y = ((const area *)b)->name;
        bool x_is_dal = strcmp(x, "dal") == 0;
        bool y_is_dal = strcmp(y, "dal") == 0;
        return x_is_dal != y_is_dal ? (x_is_dal ? -1 : 1) : strcmp(x, y);
}

static bool find_areas(const ctl_options *options, area_list *list)
{
        const char *dir = options->dir ? options->dir : "schema";
        const struct dirent *entry;
        const char *own = ctl_schema_dir(options, "dal");
        DIR *folder;
        if (!own)
                return false;
        add_area(list, "dal", own);
        folder = opendir(dir);
        if (!folder && options->dir) {
                ctl_complain("can't read the folder %s: %s", dir, strerror(errno));
                return false;
        }
        while (folder && (entry = readdir(folder)) != NULL) {
                char path[4096];
                struct stat info;
                int n = snprintf(path, sizeof path, "%s/%s", dir, entry->d_name);
                if (entry->d_name[0] != '.' && n > 0 && (size_t)n < sizeof path && stat(path, &info) == 0 &&
                    S_ISDIR(info.st_mode))
                        add_area(list, entry->d_name, dir);
        }
        if (folder)
                (void)closedir(folder);
        qsort(list->areas, list->n_areas, sizeof *list->areas, compare_areas);
        return true;
}

static bool choose_areas(const ctl_options *options, verb v, area_list *list)
{
        const char *own = ctl_find_schema_dir(options, "dal");
        if (options->n_areas == 0)
                return find_areas(options, list);
        /* A folder without the library's own area is completed by the installed one. */
        if (v == APPLY && own && strcmp(own, options->dir ? options->dir : "schema") != 0)
                add_area(list, "dal", own);
        for (size_t i = 0; i < options->n_areas; i++) {
                const char *dir = ctl_schema_dir(options, options->areas[i]);
                if (!dir)
                        return false;
                add_area(list, options->areas[i], dir);
        }
        return true;
}

static void free_areas(area_list *list)
{
        for (size_t i = 0; i < list->n_areas; i++)
                dal_mem_free(list->areas[i].name);
        dal_mem_free(list->areas);
}

/* ---- one area on one database ------------------------------------------------------------------------- */

typedef struct work {
        verb verb;
        const ctl_options *options;
        ctl_targets targets;
        area_list areas;
        ctl_view view;
        char applied_by[65];
        size_t i_target;
        bool is_at_step;    /* the last script told of was begun, and its end was not told */
        dal_script_info at; /* that script; its text is only ours, in `step` */
        char *step[5];
} work;

static void forget_step(work *w)
{
        for (size_t i = 0; i < sizeof w->step / sizeof w->step[0]; i++) {
                dal_mem_free(w->step[i]);
                w->step[i] = NULL;
        }
        w->is_at_step = false;
}

static void keep_step(work *w, const dal_script_info *info)
{
        forget_step(w);
        w->at = *info;
        w->at.area = w->step[0] = ctl_strdup(info->area);
        w->at.version = w->step[1] = ctl_strdup(info->version);
        w->at.name = w->step[2] = ctl_strdup(info->name);
        w->at.path = w->step[3] = ctl_strdup(info->path);
        w->at.statement = w->step[4] = ctl_strdup(info->statement);
        w->is_at_step = true;
}

static void on_progress(void *arg, const dal_script_info *info)
{
        work *w = arg;
        const ctl_target *target = &w->targets.targets[w->i_target];
        bool is_step = w->verb == APPLY && info->statement && info->state == DAL_SCRIPT_PENDING;
        if (is_step) {
                keep_step(w, info);
                ctl_progress_say("%s  %s %s_%s  statement %u of %u", target->label, info->area, info->version,
                                 info->name, info->n_done + 1, info->n_statements);
                return;
        }
        forget_step(w);
        ctl_progress_clear();
        ctl_view_add(&w->view, w->i_target, info);
        if (w->verb == APPLY && info->state == DAL_SCRIPT_APPLIED && !w->options->json) {
                (void)printf("%s%-10s%s  %s %s_%s  %sapplied%s  %s%u statement%s, %" PRId64 " ms%s\n",
                             ctl_paint("bold"), target->label, ctl_paint("off"), info->area, info->version,
                             info->name, ctl_paint("good"), ctl_paint("off"), ctl_paint("dim"),
                             info->n_statements, info->n_statements == 1 ? "" : "s", info->duration_ms,
                             ctl_paint("off"));
                (void)fflush(stdout);
        }
}

static dal_status do_area(work *w, dal_conn *conn, const area *a, dal_error *err)
{
        dal_schema_options options = DAL_SCHEMA_OPTIONS_INIT;
        dal_schema_report report;
        dal_status status;
        memset(&report, 0, sizeof report);
        options.dir = a->dir;
        options.area = a->name;
        options.applied_by = w->applied_by;
        options.dry_run = w->verb == PLAN;
        options.lock_wait_ms = w->options->timeout_ms;
        options.lock_timeout_ms = w->options->lock_timeout_ms;
        options.statement_timeout_ms = w->options->statement_timeout_ms;
        options.progress = on_progress;
        options.progress_arg = w;
        status = w->verb == STATUS ? dal_schema_status(conn, &options, &report, err)
                                   : dal_schema_apply(conn, &options, &report, err);
        /* A script that was taken back is pending again; for this run it is the one that failed. */
        if (status && status != DAL_ERR_BUSY && w->is_at_step) {
                ctl_view_add_failed(&w->view, w->i_target, &w->at, err->message);
                report.n_failed++;
                report.n_pending -= report.n_pending > 0;
        }
        forget_step(w);
        ctl_view_count(&w->view, &report);
        return status;
}

/* The catalog holds nothing but the library's own tables; if it is a shard too, it is listed as such. */
static bool applies_to(const work *w, size_t i_target, const area *a)
{
        return w->targets.targets[i_target].shard != DAL_NO_SHARD || strcmp(a->name, "dal") == 0;
}

/* Says what went wrong where; the first failure is the one that is returned. */
static void note_failure(work *w, size_t i_target, dal_status status, const dal_error *cause,
                         dal_status *first, dal_error *err)
{
        const ctl_target *target = &w->targets.targets[i_target];
        ctl_progress_end();
        ctl_complain("%s, %s: %s", target->label, target->url, cause->message);
        if (!w->view.failed)
                w->view.failed = target;
        if (*first)
                return;
        *first = status;
        *err = *cause;
}

/* Apply stops at the first failure; the commands that only look go on. */
static dal_status do_target(work *w, size_t i_target, dal_error *err)
{
        dal_error cause = DAL_ERROR_INIT;
        dal_status first = DAL_OK;
        dal_conn *conn = NULL;
        dal_status status = ctl_target_connect(&w->targets, i_target, &conn, &cause);
        w->i_target = i_target;
        if (status)
                note_failure(w, i_target, status, &cause, &first, err);
        for (size_t i = 0; conn && i < w->areas.n_areas; i++) {
                if (!applies_to(w, i_target, &w->areas.areas[i]))
                        continue;
                status = do_area(w, conn, &w->areas.areas[i], &cause);
                if (status == DAL_OK)
                        continue;
                note_failure(w, i_target, status, &cause, &first, err);
                if (w->verb == APPLY || cause.conn_gone)
                        break;
        }
        ctl_target_release(&w->targets, i_target, conn);
        return first;
}

static dal_status do_targets(work *w, dal_error *err)
{
        dal_status first = DAL_OK;
        ctl_progress_begin();
        for (size_t i = 0; i < w->targets.n_targets; i++) {
                size_t n_left = w->targets.n_targets - i - 1;
                dal_error cause = DAL_ERROR_INIT;
                dal_status status = do_target(w, i, &cause);
                if (status && first == DAL_OK) {
                        first = status;
                        *err = cause;
                }
                if (status && w->verb == APPLY) {
                        if (n_left > 0)
                                ctl_complain("stopped at the first failure; %zu database%s not touched",
                                             n_left, n_left == 1 ? " was" : "s were");
                        break;
                }
        }
        ctl_progress_end();
        return first;
}

/* ---- the commands ------------------------------------------------------------------------------------- */

static void name_user(char *out, size_t size)
{
        char host[64] = "";
        const struct passwd *user = getpwuid(getuid());
        if (gethostname(host, sizeof host - 1) != 0)
                host[0] = '\0';
        (void)snprintf(out, size, "%.30s@%.32s", user ? user->pw_name : "?", host);
}

static int exit_of(const work *w, dal_status status)
{
        int code = ctl_view_exit(&w->view);
        switch (status) {
        case DAL_OK:
                if (w->verb == STATUS)
                        return code;
                if (w->verb == APPLY)
                        return CTL_CLEAN;
                /* Apply would not refuse: a file that is gone is in nobody's way while nothing is pending. */
                return w->view.total.n_failed > 0    ? CTL_FAILED
                       : w->view.total.n_pending > 0 ? CTL_PENDING
                                                     : CTL_CLEAN;
        case DAL_ERR_BUSY:
                return CTL_LOCKED;
        case DAL_ERR_STATE:
                return code == CTL_DRIFT ? CTL_DRIFT : CTL_FAILED;
        default:
                return CTL_FAILED;
        }
}

static void print_result(const work *w, dal_status status, int exit_code, const dal_error *err)
{
        static const char *const names[] = {"apply", "status", "plan"};
        if (status == DAL_OK && w->verb != STATUS && w->view.total.n_drifted > 0)
                ctl_warn("the files of %u applied scripts are gone: with nothing else to apply that is no "
                         "harm; `dalctl schema status` names them",
                         w->view.total.n_drifted);
        if (w->options->json)
                ctl_view_print_json(&w->view, names[w->verb], exit_code, status ? err : NULL);
        else if (w->verb == STATUS)
                ctl_view_print_matrix(&w->view);
        else if (w->verb == PLAN)
                ctl_view_print_plan(&w->view);
        else if (status == DAL_OK && w->view.total.n_new == 0)
                (void)printf("nothing to do: %u scripts are in place on %zu database%s\n",
                             w->view.total.n_applied, w->targets.n_targets,
                             w->targets.n_targets == 1 ? "" : "s");
        else if (status == DAL_OK)
                (void)printf("%sapplied %u script%s on %zu database%s%s\n", ctl_paint("good"),
                             w->view.total.n_new, w->view.total.n_new == 1 ? "" : "s", w->targets.n_targets,
                             w->targets.n_targets == 1 ? "" : "s", ctl_paint("off"));
}

static int run(const ctl_options *options, verb v)
{
        dal_error err = DAL_ERROR_INIT;
        dal_status status;
        int exit_code;
        work w;
        memset(&w, 0, sizeof w);
        w.verb = v;
        w.options = options;
        name_user(w.applied_by, sizeof w.applied_by);
        if (!choose_areas(options, v, &w.areas)) {
                free_areas(&w.areas);
                return CTL_USAGE;
        }
        status = ctl_targets_open(options, v == APPLY, &w.targets, &err);
        w.view.targets = &w.targets;
        if (status)
                ctl_complain("%s", err.message);
        else
                status = do_targets(&w, &err);
        exit_code = exit_of(&w, status);
        print_result(&w, status, exit_code, &err);
        ctl_view_free(&w.view);
        free_areas(&w.areas);
        ctl_targets_close(&w.targets);
        return exit_code;
}

int ctl_schema_apply(const ctl_options *options)
{
        return run(options, options->dry_run ? PLAN : APPLY);
}

int ctl_schema_status(const ctl_options *options)
{
        return run(options, STATUS);
}

int ctl_schema_plan(const ctl_options *options)
{
        return run(options, PLAN);
}

/* Finds the one database to mark: --shard N, or the only one. */
static bool choose_target(const ctl_options *options, const ctl_targets *targets, size_t *out)
{
        if (options->n_shards == 0 && targets->n_targets == 1) {
                *out = 0;
                return true;
        }
        for (size_t i = 0; options->n_shards == 1 && i < targets->n_targets; i++) {
                char number[8];
                (void)snprintf(number, sizeof number, "%u", targets->targets[i].shard);
                *out = i;
                if (strcmp(options->shards[0], number) == 0 ||
                    strcmp(options->shards[0], targets->targets[i].label) == 0 ||
                    (targets->targets[i].is_catalog && strcmp(options->shards[0], "catalog") == 0))
                        return true;
        }
        ctl_complain("say which database by --shard N (0, 1, ...) or --shard catalog; `dalctl cluster show` "
                     "lists them");
        return false;
}

int ctl_schema_mark(const ctl_options *options)
{
        dal_error err = DAL_ERROR_INIT;
        dal_schema_options schema = DAL_SCHEMA_OPTIONS_INIT;
        ctl_targets targets;
        dal_conn *conn = NULL;
        dal_status status;
        size_t i_target = 0;
        char applied_by[65];
        if (options->n_areas != 1 || !options->version || options->done == options->not_done) {
                ctl_complain("mark needs --area NAME, --version NNNN, and either --done or --not-done");
                return CTL_USAGE;
        }
        name_user(applied_by, sizeof applied_by);
        schema.dir = ctl_schema_dir(options, options->areas[0]);
        schema.area = options->areas[0];
        schema.applied_by = applied_by;
        schema.lock_wait_ms = options->timeout_ms;
        if (!schema.dir)
                return CTL_USAGE;
        status = ctl_targets_open(options, false, &targets, &err);
        if (status == DAL_OK && !choose_target(options, &targets, &i_target)) {
                ctl_targets_close(&targets);
                return CTL_USAGE;
        }
        if (status == DAL_OK)
                status = ctl_target_connect(&targets, i_target, &conn, &err);
        if (status == DAL_OK)
                status = dal_schema_mark(conn, &schema, options->version, options->done, &err);
        if (status)
                ctl_complain("%s", err.message);
        else
                (void)printf("recorded: the open statement of %s %s %s; `dalctl schema apply` goes on from "
                             "there\n",
                             options->areas[0], options->version,
                             options->done ? "took effect" : "did not take effect");
        if (targets.cluster)
                ctl_target_release(&targets, i_target, conn);
        ctl_targets_close(&targets);
        return status == DAL_OK ? CTL_CLEAN : status == DAL_ERR_BUSY ? CTL_LOCKED : CTL_FAILED;
}
