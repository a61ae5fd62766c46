/* SPDX-License-Identifier: MIT */
#ifndef DALCTL_CTL_H
#define DALCTL_CTL_H

/* dalctl: what its files share. One command is one function that takes the options and returns the exit code. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <dal/dal.h>

enum ctl_exit {
        CTL_CLEAN = 0,
        CTL_PENDING = 1,
        CTL_DRIFT = 2,
        CTL_FAILED = 3,
        CTL_LOCKED = 5,
        CTL_USAGE = 64
};

typedef struct ctl_options {
        const char *url;
        const char *dir;    /* NULL: found by ctl_schema_dir() */
        const char **areas; /* --area, as often as given */
        size_t n_areas;
        const char **shards; /* --shard: URLs for init, numbers elsewhere */
        size_t n_shards;
        const char *key_type;
        const char *version; /* --version */
        const char **args;   /* words after the command */
        size_t n_args;
        uint32_t timeout_ms;
        uint32_t lock_timeout_ms;      /* 0: the library's default */
        uint32_t statement_timeout_ms; /* likewise */
        uint32_t keep_hours;           /* likewise */
        bool json;
        bool dry_run;
        bool done;
        bool not_done;
        bool help;
} ctl_options;

typedef int ctl_command_fn(const ctl_options *options);

/* options.c */
/* Fills `options` from the words after the command; false after it has said what is wrong. */
bool ctl_options_parse(int argc, char **argv, uint32_t allowed, ctl_options *options);
void ctl_options_free(ctl_options *options);
#define CTL_TAKES_DIR      0x001u
#define CTL_TAKES_AREA     0x002u
#define CTL_TAKES_JSON     0x004u
#define CTL_TAKES_DRY_RUN  0x008u
#define CTL_TAKES_KEY_TYPE 0x010u
#define CTL_TAKES_SHARD    0x020u
#define CTL_TAKES_MARK     0x040u /* --version, --done, --not-done */
#define CTL_TAKES_LIMITS   0x080u /* --lock-timeout, --statement-timeout */
#define CTL_TAKES_ARG      0x100u /* one word after the command */
#define CTL_TAKES_KEEP     0x200u /* --keep-hours */

/* help.c */
/* Prints the help of a command ("schema apply"); NULL or unknown: of dalctl. */
void ctl_help(const char *command);

/* out.c */
void ctl_out_init(void);
/* Begins and ends emphasis on standard output; "" unless that is a terminal that wants colour. */
const char *ctl_paint(const char *what); /* "good", "warn", "bad", "dim", "bold", "off" */
/* One line on standard error: "dalctl: ..."; in red where colour is. */
void ctl_complain(const char *format, ...) DAL_PRINTF(1, 2);
void ctl_warn(const char *format, ...) DAL_PRINTF(1, 2);
/* Columns as wide as their widest cell. The text is copied; paint may be NULL. */
typedef struct ctl_table ctl_table;
ctl_table *ctl_table_new(size_t n_columns);
void ctl_table_add(ctl_table *table, const char *text, const char *paint);
void ctl_table_print(const ctl_table *table);
void ctl_table_free(ctl_table *table);
/* Copies text; ends the program with a message when there is no memory: a command-line tool has no better idea. */
char *ctl_strdup(const char *text);
void *ctl_resize(void *array, size_t n, size_t size);

/* progress.c: one line on standard error that tells how long the work at hand takes; nothing unless a terminal. */
void ctl_progress_begin(void);
void ctl_progress_say(const char *format, ...) DAL_PRINTF(1, 2);
void ctl_progress_clear(void); /* makes room for a line of output */
void ctl_progress_end(void);

/* targets.c: the databases behind a URL. */
const dal_driver *const *ctl_drivers(size_t *n_out);
typedef struct ctl_target {
        char label[24];  /* "shard 3", "catalog" */
        char *url;       /* without password */
        bool is_catalog; /* also where a shard is it too */
        const char *driver;
        uint32_t n_slots;
        uint16_t shard;   /* its number; DAL_NO_SHARD for the catalog */
        uint16_t i_shard; /* its index in the cluster */
} ctl_target;
typedef struct ctl_targets {
        const ctl_options *options;
        dal_cluster *cluster;
        char *catalog_url; /* without password; NULL for a single database */
        bool may_create;   /* files that are missing */
        bool is_catalog;   /* the URL names a catalog, not a single database */
        ctl_target *targets;
        size_t n_targets; /* each database once: the catalog unless it is a shard too, then the shards */
} ctl_targets;
/* Unless `may_create`, a file that is missing is an error and is not made. */
dal_status ctl_targets_open(const ctl_options *options, bool may_create, ctl_targets *out, dal_error *err);
void ctl_targets_close(ctl_targets *targets);
dal_status ctl_target_connect(const ctl_targets *targets, size_t i_target, dal_conn **out, dal_error *err);
void ctl_target_release(const ctl_targets *targets, size_t i_target, dal_conn *conn);
/* Reads a URL as its driver does. */
dal_status ctl_read_url(const char *url, dal_dsn **dsn_out, dal_error *err);
/* Opens a plain connection; `base` may be NULL and lends user and password otherwise. */
dal_status ctl_connect(const char *url, const dal_dsn *base, bool may_create, uint32_t timeout_ms,
                       dal_conn **out, dal_error *err);
/* Says whether a URL is one of an engine without a server. */
bool ctl_is_embedded(const char *url);
/* The folder that holds an area's scripts: --dir, "schema", the installed one; the first that has the area. NULL
   and a complaint if none has. Static or borrowed from options. */
const char *ctl_schema_dir(const ctl_options *options, const char *area);
/* The same without a complaint. */
const char *ctl_find_schema_dir(const ctl_options *options, const char *area);

/* schema_view.c: what was found out about scripts, and how it is shown. */
typedef struct ctl_script {
        char *area, *version, *name, *path, *note, *statement;
        size_t i_target;
        dal_script_state state;
        uint32_t n_statements, n_done, line;
        int64_t duration_ms;
} ctl_script;
typedef struct ctl_view {
        const ctl_targets *targets;
        ctl_script *scripts;
        size_t n_scripts;
        dal_schema_report total;
        const ctl_target *failed; /* where the first failure was; NULL without one */
} ctl_view;
void ctl_view_add(ctl_view *view, size_t i_target, const dal_script_info *info);
/* Like ctl_view_add(), with why the script failed. */
void ctl_view_add_failed(ctl_view *view, size_t i_target, const dal_script_info *info, const char *note);
void ctl_view_count(ctl_view *view, const dal_schema_report *report);
int ctl_view_exit(const ctl_view *view);
void ctl_view_print_matrix(const ctl_view *view);
void ctl_view_print_plan(const ctl_view *view);
void ctl_view_print_json(const ctl_view *view, const char *command, int exit_code, const dal_error *err);
void ctl_view_free(ctl_view *view);

/* Commands. */
ctl_command_fn ctl_schema_apply, ctl_schema_status, ctl_schema_plan, ctl_schema_mark;
ctl_command_fn ctl_cluster_init, ctl_cluster_show, ctl_locate, ctl_ping, ctl_version;
ctl_command_fn ctl_resolve, ctl_outcome_purge;

#endif
