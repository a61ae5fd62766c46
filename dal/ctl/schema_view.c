/* SPDX-License-Identifier: MIT */
#include "ctl.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_SHARD_COLUMNS 8 /* more shards than that are grouped by state */

void ctl_view_add(ctl_view *view, size_t i_target, const dal_script_info *info)
{
        ctl_script *s;
        view->scripts = ctl_resize(view->scripts, view->n_scripts + 1, sizeof *s);
        s = &view->scripts[view->n_scripts++];
        s->area = ctl_strdup(info->area);
        s->version = ctl_strdup(info->version);
        s->name = ctl_strdup(info->name);
        s->path = ctl_strdup(info->path);
        s->note = ctl_strdup(info->note);
        s->statement = info->statement ? ctl_strdup(info->statement) : NULL;
        s->i_target = i_target;
        s->state = info->state;
        s->n_statements = info->n_statements;
        s->n_done = info->n_done;
        s->line = info->line;
        s->duration_ms = info->duration_ms;
}

void ctl_view_add_failed(ctl_view *view, size_t i_target, const dal_script_info *info, const char *note)
{
        dal_script_info failed = *info;
        failed.note = note;
        ctl_view_add(view, i_target, &failed);
}

void ctl_view_count(ctl_view *view, const dal_schema_report *report)
{
        view->total.n_applied += report->n_applied;
        view->total.n_new += report->n_new;
        view->total.n_pending += report->n_pending;
        view->total.n_drifted += report->n_drifted;
        view->total.n_failed += report->n_failed;
}

int ctl_view_exit(const ctl_view *view)
{
        if (view->total.n_failed > 0)
                return CTL_FAILED;
        if (view->total.n_drifted > 0)
                return CTL_DRIFT;
        return view->total.n_pending > 0 ? CTL_PENDING : CTL_CLEAN;
}

void ctl_view_free(ctl_view *view)
{
        for (size_t i = 0; i < view->n_scripts; i++) {
                ctl_script *s = &view->scripts[i];
                dal_mem_free(s->area);
                dal_mem_free(s->version);
                dal_mem_free(s->name);
                dal_mem_free(s->path);
                dal_mem_free(s->note);
                dal_mem_free(s->statement);
        }
        dal_mem_free(view->scripts);
        memset(view, 0, sizeof *view);
}

/* ---- states in words ---------------------------------------------------------------------------------- */

static const char *state_name(dal_script_state state)
{
        static const char *const names[] = {"applied", "pending", "partial", "uncertain", "drift", "missing"};
        return names[state];
}

static const char *state_paint(dal_script_state state)
{
        static const char *const paints[] = {"good", "warn", "bad", "bad", "bad", "bad"};
        return paints[state];
}

static void state_text(const ctl_script *s, char *out, size_t size)
{
        switch (s->state) {
        case DAL_SCRIPT_PARTIAL:
                (void)snprintf(out, size, "failed at %u/%u", s->n_done + 1, s->n_statements);
                break;
        case DAL_SCRIPT_UNCERTAIN:
                (void)snprintf(out, size, "uncertain at %u/%u", s->n_done + 1, s->n_statements);
                break;
        case DAL_SCRIPT_DRIFT:
                (void)snprintf(out, size, "file changed");
                break;
        case DAL_SCRIPT_MISSING:
                (void)snprintf(out, size, "file gone");
                break;
        case DAL_SCRIPT_APPLIED:
        case DAL_SCRIPT_PENDING:
                (void)snprintf(out, size, "%s", state_name(s->state));
                break;
        }
}

/* ---- status: area x version x shard ------------------------------------------------------------------- */

/* The library's own area first, then by area and version; the same script of all databases side by side. */
static int compare_scripts(const void *a, const void *b)
{
        const ctl_script *x = a, *y = b;
        bool x_is_dal = strcmp(x->area, "dal") == 0;
        bool y_is_dal = strcmp(y->area, "dal") == 0;
        int by_area = strcmp(x->area, y->area);
        int by_version = strcmp(x->version, y->version);
        if (x_is_dal != y_is_dal)
                return x_is_dal ? -1 : 1;
        if (by_area)
                return by_area;
        if (by_version)
                return by_version;
        return x->i_target < y->i_target ? -1 : x->i_target > y->i_target;
}

static bool is_same_script(const ctl_script *a, const ctl_script *b)
{
        return strcmp(a->area, b->area) == 0 && strcmp(a->version, b->version) == 0;
}

static void add_columns(ctl_table *table, const ctl_view *view, const ctl_script *first, size_t n)
{
        size_t i = 0;
        for (size_t i_target = 0; i_target < view->targets->n_targets; i_target++) {
                char text[48] = "-";
                const char *paint = "dim";
                if (i < n && first[i].i_target == i_target) {
                        state_text(&first[i], text, sizeof text);
                        paint = state_paint(first[i++].state);
                }
                ctl_table_add(table, text, paint);
        }
}

static bool has_text(const ctl_script *s, const char *text)
{
        char mine[48];
        state_text(s, mine, sizeof mine);
        return strcmp(mine, text) == 0;
}

/* Appends which of the databases are in a state: " catalog, 0-3, 5". */
static void append_ranges(char *out, size_t size, const ctl_view *view, const ctl_script *first, size_t n,
                          const char *text)
{
        const ctl_target *targets = view->targets->targets;
        const char *separator = " ";
        for (size_t i = 0; i < n; i++) {
                size_t used = strlen(out);
                size_t last = i;
                uint16_t shard = targets[first[i].i_target].shard;
                if (!has_text(&first[i], text))
                        continue;
                while (last + 1 < n && shard != DAL_NO_SHARD && has_text(&first[last + 1], text) &&
                       targets[first[last + 1].i_target].shard == targets[first[last].i_target].shard + 1)
                        last++;
                if (shard == DAL_NO_SHARD)
                        (void)snprintf(out + used, size - used, "%scatalog", separator);
                else if (last > i)
                        (void)snprintf(out + used, size - used, "%s%u-%u", separator, shard,
                                       targets[first[last].i_target].shard);
                else
                        (void)snprintf(out + used, size - used, "%s%u", separator, shard);
                separator = ", ";
                i = last;
        }
}

/* One cell for all databases: "applied on all 64", or "applied: catalog, 0-3; pending: 4-63". */
static void add_groups(ctl_table *table, const ctl_view *view, const ctl_script *first, size_t n)
{
        char out[1024] = "";
        const char *paint = state_paint(first[0].state);
        bool is_mixed = false;
        for (size_t i = 0; i < n; i++) {
                char text[48];
                size_t used = strlen(out), k = 0;
                state_text(&first[i], text, sizeof text);
                while (k < i && !has_text(&first[k], text))
                        k++;
                if (k < i)
                        continue; /* told already */
                is_mixed = used > 0;
                if (first[i].state != DAL_SCRIPT_APPLIED)
                        paint = state_paint(first[i].state);
                (void)snprintf(out + used, sizeof out - used, "%s%s:", used ? "; " : "", text);
                append_ranges(out, sizeof out, view, first, n, text);
        }
        if (!is_mixed && n == view->targets->n_targets) {
                char text[48];
                state_text(first, text, sizeof text);
                (void)snprintf(out, sizeof out, "%s on all %zu", text, n);
        }
        ctl_table_add(table, out, paint);
}

static void print_notes(const ctl_view *view)
{
        for (size_t i = 0; i < view->n_scripts; i++) {
                const ctl_script *s = &view->scripts[i];
                const char *label = view->targets->targets[s->i_target].label;
                if (s->state == DAL_SCRIPT_PARTIAL)
                        (void)printf("%s%s: %s line %u%s: %s\n", ctl_paint("bad"), label, s->path, s->line,
                                     ctl_paint("off"), s->note);
                if (s->state == DAL_SCRIPT_UNCERTAIN)
                        (void)printf("%s%s: %s line %u%s: begun, and its end is not recorded; look whether "
                                     "it took effect, "
                                     "then run `dalctl schema mark`\n",
                                     ctl_paint("bad"), label, s->path, s->line, ctl_paint("off"));
        }
}

static void print_total(const ctl_view *view)
{
        const dal_schema_report *t = &view->total;
        const char *paint = ctl_view_exit(view) == CTL_CLEAN     ? "good"
                            : ctl_view_exit(view) == CTL_PENDING ? "warn"
                                                                 : "bad";
        (void)printf("%s%u applied, %u pending, %u drifted, %u failed%s on %zu database%s\n",
                     ctl_paint(paint), t->n_applied, t->n_pending, t->n_drifted, t->n_failed,
                     ctl_paint("off"), view->targets->n_targets, view->targets->n_targets == 1 ? "" : "s");
}

void ctl_view_print_matrix(const ctl_view *view)
{
        bool is_wide = view->targets->n_targets > MAX_SHARD_COLUMNS;
        ctl_table *table = ctl_table_new(3 + (is_wide ? 1 : view->targets->n_targets));
        if (view->n_scripts > 0)
                qsort(view->scripts, view->n_scripts, sizeof *view->scripts, compare_scripts);
        ctl_table_add(table, "area", "dim");
        ctl_table_add(table, "version", "dim");
        ctl_table_add(table, "name", "dim");
        for (size_t i = 0; i < (is_wide ? 1 : view->targets->n_targets); i++)
                ctl_table_add(table, is_wide ? "state" : view->targets->targets[i].label, "dim");
        for (size_t i = 0, n; i < view->n_scripts; i += n) {
                const ctl_script *first = &view->scripts[i];
                for (n = 1; i + n < view->n_scripts && is_same_script(first, &first[n]); n++)
                        ;
                ctl_table_add(table, first->area, NULL);
                ctl_table_add(table, first->version, NULL);
                ctl_table_add(table, first->name, NULL);
                if (is_wide)
                        add_groups(table, view, first, n);
                else
                        add_columns(table, view, first, n);
        }
        if (view->n_scripts > 0)
                ctl_table_print(table);
        ctl_table_free(table);
        print_notes(view);
        print_total(view);
}

/* ---- plan --------------------------------------------------------------------------------------------- */

static char *plan_of(const ctl_view *view, size_t i_target)
{
        char *text = NULL;
        size_t size = 0;
        FILE *out = open_memstream(&text, &size);
        if (!out)
                return NULL;
        for (size_t i = 0; i < view->n_scripts; i++) {
                const ctl_script *s = &view->scripts[i];
                if (s->i_target != i_target || !s->statement)
                        continue;
                (void)fprintf(out, "%s-- %s, line %u (%s %s)%s\n%s;\n", ctl_paint("dim"), s->path, s->line,
                              s->area, s->version, ctl_paint("off"), s->statement);
        }
        (void)fclose(out);
        return text;
}

void ctl_view_print_plan(const ctl_view *view)
{
        size_t n = view->targets ? view->targets->n_targets : 0;
        char *above = NULL;
        for (size_t i = 0; i < n; i++) {
                char *text = plan_of(view, i);
                bool is_same = above && text && strcmp(above, text) == 0;
                const ctl_target *target = &view->targets->targets[i];
                (void)printf("%s-- %s  %s%s%s\n", ctl_paint("bold"), target->label, target->url,
                             ctl_paint("off"),
                             !text || !text[0] ? "  nothing to do"
                             : is_same         ? "  the same"
                                               : "");
                if (text && !is_same)
                        (void)fputs(text, stdout);
                free(above); /* of open_memstream */
                above = text;
        }
        free(above);
        print_total(view);
}

/* ---- JSON --------------------------------------------------------------------------------------------- */

static json_t *script_json(const ctl_view *view, const ctl_script *s)
{
        const ctl_target *target = &view->targets->targets[s->i_target];
        json_t *object = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:I}", "area", s->area,
                                   "version", s->version, "name", s->name, "path", s->path, "database",
                                   target->label, "url", target->url, "state", state_name(s->state),
                                   "n_statements", (json_int_t)s->n_statements, "n_done",
                                   (json_int_t)s->n_done, "duration_ms", (json_int_t)s->duration_ms);
        if (target->shard != DAL_NO_SHARD)
                (void)json_object_set_new(object, "shard", json_integer(target->shard));
        if (s->note[0])
                (void)json_object_set_new(object, "note", json_string(s->note));
        if (s->statement) {
                (void)json_object_set_new(object, "line", json_integer(s->line));
                (void)json_object_set_new(object, "statement", json_string(s->statement));
        }
        return object;
}

void ctl_view_print_json(const ctl_view *view, const char *command, int exit_code, const dal_error *err)
{
        const dal_schema_report *t = &view->total;
        json_t *list = json_array();
        json_t *root;
        for (size_t i = 0; i < view->n_scripts; i++)
                (void)json_array_append_new(list, script_json(view, &view->scripts[i]));
        root = json_pack("{s:s, s:i, s:I, s:I, s:I, s:I, s:I, s:I, s:o}", "command", command, "exit",
                         exit_code, "databases", (json_int_t)(view->targets ? view->targets->n_targets : 0),
                         "applied", (json_int_t)t->n_applied, "new", (json_int_t)t->n_new, "pending",
                         (json_int_t)t->n_pending, "drifted", (json_int_t)t->n_drifted, "failed",
                         (json_int_t)t->n_failed, "scripts", list);
        if (err)
                (void)json_object_set_new(
                        root, "error",
                        json_pack("{s:s, s:s, s:s}", "status", dal_error_status_name(err->status), "class",
                                  dal_error_class_name(err->error_class), "message", err->message));
        if (err && view->failed)
                (void)json_object_update_new(
                        json_object_get(root, "error"),
                        json_pack("{s:s, s:s}", "database", view->failed->label, "url", view->failed->url));
        (void)json_dumpf(root, stdout, JSON_INDENT(2));
        (void)printf("\n");
        json_decref(root);
}
