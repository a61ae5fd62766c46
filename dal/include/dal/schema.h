/* SPDX-License-Identifier: MIT */
#ifndef DAL_SCHEMA_H
#define DAL_SCHEMA_H

/*
 * Schema scripts: files DIR/<area>/<dialect>/NNNN_name.sql, applied once each, in order, per area and database.
 *
 * An area is a service's own folder ("dal" is the library's own and is applied first). For an engine the dialect's
 * folder is searched, then its parent's (mariadb, mysql, common); a version found in several is taken from the
 * nearest. The table dal_schema_history holds what was applied, with its SHA-256 (line ends normalised), and how
 * far a script got. Where DDL is transactional a script is one transaction unless its first lines say
 * `-- dal: tx=off`; elsewhere it is applied statement by statement, and a failed script resumes at the statement
 * that failed, provided that those before it are unchanged.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <dal/conn.h>
#include <dal/error.h>
#include <dal/macros.h>

DAL_BEGIN_DECLS

typedef enum dal_script_state {
        DAL_SCRIPT_APPLIED,
        DAL_SCRIPT_PENDING,
        DAL_SCRIPT_PARTIAL,   /* failed half way; the next apply resumes */
        DAL_SCRIPT_UNCERTAIN, /* a statement was begun and its end is not recorded: look, then mark it */
        DAL_SCRIPT_DRIFT,     /* applied, and the file has changed since */
        DAL_SCRIPT_MISSING    /* applied, and the file is gone */
} dal_script_state;

/** One script as seen from one database. Borrowed during the call. */
typedef struct dal_script_info {
        const char *area;
        const char *version;      /* "0003" */
        const char *name;         /* "add_index" */
        const char *path;         /* "" when missing */
        dal_script_state state;
        uint32_t n_statements;
        uint32_t n_done;          /* statements finished */
        const char *statement;    /* during apply: the statement about to run or that failed; else NULL */
        uint32_t line;            /* its first line in the file */
        int64_t duration_ms;      /* once applied */
        const char *note;         /* why it failed, or who settled a statement; else "" */
} dal_script_info;

/** Reports each script, and during apply each statement; for progress bars. */
typedef void dal_schema_progress_fn(void *arg, const dal_script_info *script);

/** What to do. Zero means the default in brackets; fill it by DAL_SCHEMA_OPTIONS_INIT. */
typedef struct dal_schema_options {
        size_t struct_size;
        const char *dir;                  /* the schema folder; required */
        const char *area;                 /* required */
        const char *applied_by;           /* recorded ["dal"]; at most 64 bytes */
        bool dry_run;                     /* report what would be done */
        uint32_t lock_wait_ms;            /* for another apply to finish [10000] */
        uint32_t lock_timeout_ms;         /* for table locks inside the server [2000] */
        uint32_t statement_timeout_ms;    /* for one statement [600000]; an embedded engine keeps to the
                                             connection's limit if that is shorter */
        dal_schema_progress_fn *progress;
        void *progress_arg;
} dal_schema_options;
#define DAL_SCHEMA_OPTIONS_INIT                                                                    \
        { sizeof(dal_schema_options), NULL, NULL, NULL, false, 0, 0, 0, NULL, NULL }

/** The counts after apply or status. */
typedef struct dal_schema_report {
        uint32_t n_applied;    /* in place now */
        uint32_t n_new;        /* applied by this call */
        uint32_t n_pending;
        uint32_t n_drifted;    /* DRIFT or MISSING */
        uint32_t n_failed;     /* PARTIAL or UNCERTAIN */
} dal_schema_report;

/**
 * Applies the pending scripts of an area to the database of a connection, under a lock.
 *
 * The library's own area "dal" is applied first when the history table is missing.
 * @return DAL_OK
 *         DAL_ERR_BUSY       another apply holds the lock
 *         DAL_ERR_STATE      drift, or an uncertain statement: nothing was done
 *         DAL_ERR_ARG, DAL_ERR_NOT_FOUND   a bad script, name or folder: nothing was done
 *         what a statement failed with; the message names file, line and statement
 * Threads: the connection's owner. Blocks: as long as the scripts take, each statement within its limit.
 */
DAL_NODISCARD dal_status dal_schema_apply(dal_conn *conn, const dal_schema_options *options,
                                          dal_schema_report *report_out, dal_error *err);

/** Reports the state of every script of an area; changes nothing. Threads: the connection's owner. Blocks. */
DAL_NODISCARD dal_status dal_schema_status(dal_conn *conn, const dal_schema_options *options,
                                           dal_schema_report *report_out, dal_error *err);

/**
 * Settles an uncertain statement: `done` says whether it took effect. Recorded, and the next apply goes on from there.
 *
 * With `done`, also a failed statement may be settled that was carried out by hand.
 * @return DAL_OK, DAL_ERR_STATE if nothing is open, DAL_ERR_BUSY, DAL_ERR_NOT_FOUND (no such version)
 * Threads: the connection's owner. Blocks: briefly.
 */
DAL_NODISCARD dal_status dal_schema_mark(dal_conn *conn, const dal_schema_options *options, const char *version,
                                         bool done, dal_error *err);

DAL_END_DECLS

#endif
