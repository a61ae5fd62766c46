/* SPDX-License-Identifier: MIT */
#include <dal/schema.h>

#include <stdio.h>
#include <string.h>

#include "base/options.h"
#include "schema/apply.h"

/* The area that holds the history table itself, and so comes before any other. */
#define OWN_AREA "dal"

static dal_status begin_job(dal__apply_job *job, dal_conn *conn, const dal_schema_options *given,
                            dal_error *err)
{
        const dal_schema_options *options = &job->options;
        static const dal_schema_options defaults = DAL_SCHEMA_OPTIONS_INIT;
        dal_status s;

        memset(job, 0, sizeof *job);
        job->options = defaults;
        s = dal__options_read("DAL_SCHEMA_OPTIONS_INIT", given, &job->options, sizeof job->options, err);
        if (s)
                return s;
        if (!conn || !options->dir || !options->area)
                return dal_error_set(
                        err, DAL_CLASS_ARGUMENT,
                        "a connection, and options by DAL_SCHEMA_OPTIONS_INIT with dir and area, are needed");
        job->conn = conn;
        job->area = options->area;
        job->applied_by = options->applied_by ? options->applied_by : "dal";
        job->lock_wait_ms = options->lock_wait_ms ? options->lock_wait_ms : 10000;
        job->lock_timeout_ms = options->lock_timeout_ms ? options->lock_timeout_ms : 2000;
        job->statement_timeout_ms = options->statement_timeout_ms ? options->statement_timeout_ms : 600000;
        return dal__script_load(options->dir, options->area, dal_conn_info(conn)->dialect,
                                dal_conn_driver(conn)->sql_syntax, &job->scripts, err);
}

static void end_job(dal__apply_job *job)
{
        dal__script_free(&job->scripts);
        dal__history_free(&job->history);
}

static dal_status load_history(dal__apply_job *job, dal_error *err)
{
        dal__history_free(&job->history);
        return dal__history_load(job->conn, job->area, &job->history, err);
}

/* Finds out how far script i is; the row may be NULL. */
static dal_status look_at(const dal__apply_job *job, uint32_t i, const dal__history_row **row_out,
                          dal_script_state *state_out, dal_error *err)
{
        *row_out = dal__history_find(&job->history, job->scripts.scripts[i].version);
        return dal__apply_state(job, &job->scripts.scripts[i], *row_out, state_out, err);
}

static const dal__script *find_script(const dal__apply_job *job, const char *version)
{
        for (uint32_t i = 0; i < job->scripts.n_scripts; i++)
                if (dal__script_compare_versions(job->scripts.scripts[i].version, version) == 0)
                        return &job->scripts.scripts[i];
        return NULL;
}

static void count(dal_schema_report *report, dal_script_state state)
{
        switch (state) {
        case DAL_SCRIPT_APPLIED:
                report->n_applied++;
                break;
        case DAL_SCRIPT_PENDING:
                report->n_pending++;
                break;
        case DAL_SCRIPT_PARTIAL:
        case DAL_SCRIPT_UNCERTAIN:
                report->n_failed++;
                break;
        case DAL_SCRIPT_DRIFT:
        case DAL_SCRIPT_MISSING:
                report->n_drifted++;
                break;
        }
}

static void report_missing(const dal__apply_job *job, const dal__history_row *row)
{
        dal_script_info info = {
                .area = job->area,
                .version = row->version,
                .name = row->name,
                .path = "",
                .state = DAL_SCRIPT_MISSING,
                .n_statements = row->n_statements,
                .n_done = row->n_done,
                .duration_ms = row->duration_ms,
                .note = row->note,
        };
        if (job->options.progress)
                job->options.progress(job->options.progress_arg, &info);
}

/* Counts every script anew; with `is_told` the progress function hears of each. */
static dal_status survey(dal__apply_job *job, bool is_told, dal_error *err)
{
        uint32_t n_new = job->report.n_new;
        memset(&job->report, 0, sizeof job->report);
        job->report.n_new = n_new;
        for (uint32_t i = 0; i < job->scripts.n_scripts; i++) {
                const dal__script *script = &job->scripts.scripts[i];
                const dal__history_row *row;
                dal_script_state state;
                bool is_half;
                dal_status status = look_at(job, i, &row, &state, err);
                if (status)
                        return status;
                count(&job->report, state);
                is_half = state == DAL_SCRIPT_PARTIAL || state == DAL_SCRIPT_UNCERTAIN;
                if (is_told)
                        status = dal__apply_report(job, script, row, state,
                                                   is_half ? row->n_done : UINT32_MAX, err);
                if (status)
                        return status;
        }
        for (uint32_t i = 0; i < job->history.n_rows; i++) {
                if (find_script(job, job->history.rows[i].version))
                        continue;
                count(&job->report, DAL_SCRIPT_MISSING);
                if (is_told)
                        report_missing(job, &job->history.rows[i]);
        }
        return DAL_OK;
}

/* ---- refusals ----------------------------------------------------------------------------------------- */

static dal_status refuse_drift(const dal__script *script, const dal__history_row *row, dal_error *err)
{
        if (row->state == DAL__HISTORY_APPLIED)
                return dal_error_set(
                        err, DAL_CLASS_STATE,
                        "%s has changed since it was applied (by %s): restore the file, and put the change "
                        "into a new script",
                        script->path, row->applied_by);
        return dal_error_set(
                err, DAL_CLASS_STATE,
                "%s was applied up to its statement %u, and what was applied has changed since: restore "
                "those statements; only what follows may be edited",
                script->path, row->n_done);
}

static dal_status refuse_uncertain(const dal__apply_job *job, const dal__script *script,
                                   const dal__history_row *row, dal_error *err)
{
        uint32_t line = row->n_done < script->n_statements ? script->statements[row->n_done].line : 0;
        return dal_error_set(
                err, DAL_CLASS_STATE,
                "%s, line %u: statement %u was begun by %s and its end is not recorded: look whether it took "
                "effect, then run `dalctl schema mark --area %s --version %s` with --done or --not-done",
                script->path, line, row->n_begun, row->applied_by, job->area, row->version);
}

/* Nothing is applied on top of something unclear. */
static dal_status check(const dal__apply_job *job, dal_error *err)
{
        for (uint32_t i = 0; i < job->scripts.n_scripts; i++) {
                const dal__script *script = &job->scripts.scripts[i];
                const dal__history_row *row;
                dal_script_state state;
                dal_status status = look_at(job, i, &row, &state, err);
                if (status == DAL_OK && state == DAL_SCRIPT_DRIFT)
                        status = refuse_drift(script, row, err);
                if (status == DAL_OK && state == DAL_SCRIPT_UNCERTAIN)
                        status = refuse_uncertain(job, script, row, err);
                if (status)
                        return status;
        }
        if (job->report.n_pending + job->report.n_failed == 0)
                return DAL_OK; /* an older checkout that has nothing to add does no harm */
        for (uint32_t i = 0; i < job->history.n_rows; i++)
                if (!find_script(job, job->history.rows[i].version))
                        return dal_error_set(
                                err, DAL_CLASS_STATE,
                                "%s_%s of area \"%s\" is applied, but its file is gone from %s/%s: bring it "
                                "back, or apply from the checkout that has it",
                                job->history.rows[i].version, job->history.rows[i].name, job->area,
                                job->options.dir, job->area);
        return DAL_OK;
}

/* ---- apply -------------------------------------------------------------------------------------------- */

static dal_status apply_pending(dal__apply_job *job, dal_error *err)
{
        for (uint32_t i = 0; i < job->scripts.n_scripts; i++) {
                const dal__history_row *row;
                dal_script_state state;
                dal_status status = look_at(job, i, &row, &state, err);
                if (status == DAL_OK && state != DAL_SCRIPT_APPLIED)
                        status = dal__apply_script(job, &job->scripts.scripts[i], row, err);
                if (status)
                        return status;
        }
        return DAL_OK;
}

/* Everything between taking the lock and giving it back. */
static dal_status apply_locked(dal__apply_job *job, dal_error *err)
{
        const dal__history_limits limits = {job->lock_timeout_ms, job->lock_timeout_ms,
                                            job->statement_timeout_ms};
        dal__history_limits old;
        dal_status status = load_history(job, err);
        if (status == DAL_OK)
                status = survey(job, false, err);
        if (status == DAL_OK)
                status = check(job, err);
        if (status == DAL_OK)
                status = dal__history_limit(job->conn, &limits, &old, err);
        if (status)
                return status;
        status = apply_pending(job, err);
        dal__history_unlimit(job->conn, &old);
        return status;
}

static dal_status apply_own_area(const dal__apply_job *job, dal_error *err)
{
        dal_schema_options options = job->options;

        options.area = OWN_AREA;
        return dal_schema_apply(job->conn, &options, NULL, err);
}

static dal_status apply_job(dal__apply_job *job, dal_error *err)
{
        dal_error ignored = DAL_ERROR_INIT;
        dal_status status = load_history(job, err);
        if (status == DAL_OK && !job->history.exists && strcmp(job->area, OWN_AREA) != 0)
                status = apply_own_area(job, err);
        if (status == DAL_OK)
                status = survey(job, false, err);
        if (status)
                return status;
        if (job->report.n_pending + job->report.n_failed + job->report.n_drifted == 0)
                return DAL_OK; /* the usual case when a service starts: no lock */
        status = dal__history_lock(job->conn, job->area, job->lock_wait_ms, err);
        if (status)
                return status;
        status = apply_locked(job, err);
        dal__history_unlock(job->conn, job->area);
        /* The counts are for people: after a failure they may be as of before. */
        if (load_history(job, &ignored) == DAL_OK)
                (void)survey(job, false, &ignored);
        return status;
}

/* Tells of each statement that an apply would run. */
static dal_status rehearse(dal__apply_job *job, dal_error *err)
{
        dal_status status = survey(job, false, err);
        if (status == DAL_OK)
                status = check(job, err);
        for (uint32_t i = 0; status == DAL_OK && i < job->scripts.n_scripts; i++) {
                const dal__script *script = &job->scripts.scripts[i];
                const dal__history_row *row;
                dal_script_state state;
                status = look_at(job, i, &row, &state, err);
                if (status || state == DAL_SCRIPT_APPLIED)
                        continue;
                for (uint32_t k = row ? row->n_done : 0; status == DAL_OK && k < script->n_statements; k++)
                        status = dal__apply_report(job, script, row, state, k, err);
        }
        return status;
}

dal_status dal_schema_apply(dal_conn *conn, const dal_schema_options *options, dal_schema_report *report_out,
                            dal_error *err)
{
        dal__apply_job job;
        dal_status status = begin_job(&job, conn, options, err);
        if (report_out)
                memset(report_out, 0, sizeof *report_out);
        if (status)
                return status;
        if (job.options.dry_run) {
                status = load_history(&job, err);
                if (status == DAL_OK)
                        status = rehearse(&job, err);
        } else {
                status = apply_job(&job, err);
        }
        if (report_out)
                *report_out = job.report;
        end_job(&job);
        return status;
}

/* ---- status and mark ---------------------------------------------------------------------------------- */

/* A row that looks abandoned may belong to an apply that is at work right now: its lock tells. */
static void find_running(dal__apply_job *job)
{
        for (uint32_t i = 0; i < job->history.n_rows; i++) {
                const dal__history_row *row = &job->history.rows[i];
                if (row->state != DAL__HISTORY_APPLYING || row->n_begun <= row->n_done)
                        continue;
                job->is_running = dal__history_lock(job->conn, job->area, 0, NULL) == DAL_ERR_BUSY;
                if (!job->is_running)
                        dal__history_unlock(job->conn, job->area);
                return;
        }
}

dal_status dal_schema_status(dal_conn *conn, const dal_schema_options *options, dal_schema_report *report_out,
                             dal_error *err)
{
        dal__apply_job job;
        dal_status status = begin_job(&job, conn, options, err);
        if (status)
                return status;
        status = load_history(&job, err);
        if (status == DAL_OK) {
                find_running(&job);
                status = survey(&job, true, err);
        }
        if (report_out)
                *report_out = job.report;
        end_job(&job);
        return status;
}

static dal_status mark_row(dal__apply_job *job, const char *version, bool done, dal_error *err)
{
        const dal__script *script = find_script(job, version);
        dal__history_row *row = dal__history_find(&job->history, version);
        dal_script_state state;
        uint32_t i_statement;
        char hash[DAL__SCRIPT_HASH_SIZE];
        dal_status status;
        if (!script || !row)
                return dal_error_fail(err, DAL_ERR_NOT_FOUND,
                                      "area \"%s\" has no %s of version %s: ask `dalctl schema status`",
                                      job->area, script ? "begun script" : "script", version);
        status = dal__apply_state(job, script, row, &state, err);
        if (status)
                return status;
        if (state == DAL_SCRIPT_DRIFT)
                return refuse_drift(script, row, err);
        if (state != DAL_SCRIPT_UNCERTAIN &&
            !(state == DAL_SCRIPT_PARTIAL && done && row->n_done < script->n_statements))
                return dal_error_set(err, DAL_CLASS_STATE,
                                     "%s: no statement is open here, there is nothing to mark", script->path);
        i_statement = row->n_done;
        status = dal__script_prefix_hash(script, i_statement < script->n_statements ? i_statement : 0, hash,
                                         err);
        if (status)
                return status;
        if (i_statement < script->n_statements && strcmp(hash, row->statement_hash) != 0)
                return refuse_drift(script, row, err);
        if (i_statement >= script->n_statements)
                return dal_error_set(err, DAL_CLASS_STATE,
                                     "%s has lost the statement that was begun: restore the file",
                                     script->path);
        row->n_done += done ? 1 : 0;
        row->n_begun = row->n_done;
        row->state = row->n_done == script->n_statements ? DAL__HISTORY_APPLIED : DAL__HISTORY_FAILED;
        row->n_statements = script->n_statements;
        (void)snprintf(row->sha256, sizeof row->sha256, "%s", script->sha256);
        (void)snprintf(row->note, sizeof row->note, "statement %u marked as %s by %s", i_statement + 1,
                       done ? "done" : "not done", job->applied_by);
        status = dal__script_prefix_hash(script, row->n_done, row->statement_hash, err);
        return status ? status : dal__history_save(job->conn, job->area, row, err);
}

dal_status dal_schema_mark(dal_conn *conn, const dal_schema_options *options, const char *version, bool done,
                           dal_error *err)
{
        dal__apply_job job;
        dal_status status = begin_job(&job, conn, options, err);
        if (status)
                return status;
        /* An apply at work keeps its own books; while it runs nothing is uncertain. */
        status = dal__history_lock(conn, job.area, job.lock_wait_ms, err);
        if (status == DAL_OK) {
                status = load_history(&job, err);
                if (status == DAL_OK)
                        status = mark_row(&job, version ? version : "", done, err);
                dal__history_unlock(conn, job.area);
        }
        end_job(&job);
        return status;
}
