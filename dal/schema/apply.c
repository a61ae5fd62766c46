/* SPDX-License-Identifier: MIT */
#include "schema/apply.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

/* A script that meets a lock in use is tried again: the lock limit is short, so that nobody queues behind it. */
#define MAX_ATTEMPTS 5

static void pause_ms(long ms)
{
        struct timespec pause = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
        (void)nanosleep(&pause, NULL);
}

/* Grows with the attempt; the low bits of the clock are jitter enough between a handful of waiters. */
static void back_off(uint32_t attempt)
{
        long most = 200L << (attempt < 4 ? attempt : 4);
        pause_ms(most / 2 + (long)(dal_clock_now() / 1000 % (most / 2)));
}

/* ---- what a failure means ----------------------------------------------------------------------------- */

/* Leaves out the connection's name of the request, which says less than the script's path. */
static const char *bare_message(const char *message)
{
        static const char request[] = "script: ";
        return strncmp(message, request, sizeof request - 1) == 0 ? message + sizeof request - 1 : message;
}

/* Puts place and remedy in front of a server's message, keeping everything else of the error. */
static dal_status explain(dal_error *err, dal_status status, const dal__script *script, uint32_t i_statement,
                          const char *remedy)
{
        dal_error cause = *err;
        (void)dal_error_set(err, cause.error_class, "%s, line %u: statement %u of %u failed (%s): %s",
                            script->path, script->statements[i_statement].line, i_statement + 1,
                            script->n_statements, remedy, bare_message(cause.message));
        memcpy(cause.message, err->message, sizeof cause.message);
        *err = cause;
        return status;
}

static const char *tx_remedy(const dal_error *err)
{
        /* Source: https://www.postgresql.org/docs/current/errcodes-appendix.html, active_sql_transaction */
        if (strcmp(err->sqlstate, "25001") == 0)
                return "it can't run inside a transaction: write \"-- dal: tx=off\" on the script's first "
                       "line";
        return "nothing of this script was kept; mend it and apply again";
}

static dal_status blame(dal_error *err, dal_status status, const dal__script *script, const char *what)
{
        dal_error cause = *err;
        (void)dal_error_set(err, cause.error_class, "%s: %s: %s", script->path, what, cause.message);
        memcpy(cause.message, err->message, sizeof cause.message);
        *err = cause;
        return status;
}

/* Writes the script's row; a unique violation means that another session was faster. */
static dal_status save_until(dal__apply_job *job, const dal__script *script, const dal__history_row *row,
                             dal_deadline deadline, dal_error *err)
{
        dal_status status = dal__history_save_until(job->conn, job->area, row, deadline, err);
        job->was_raced = status && err->error_class == DAL_CLASS_UNIQUE;
        return status ? blame(err, status, script, "its row in dal_schema_history can't be written") : DAL_OK;
}

static dal_status save(dal__apply_job *job, const dal__script *script, const dal__history_row *row,
                       dal_error *err)
{
        return save_until(job, script, row, dal_clock_after_ms(DAL__HISTORY_STATEMENT_MS), err);
}

/* ---- reporting ---------------------------------------------------------------------------------------- */

static void call_progress(const dal__apply_job *job, const dal__script *script, const dal__history_row *row,
                          dal_script_state state, const char *statement, uint32_t line)
{
        dal_script_info info = {
                .area = job->area,
                .version = script->version,
                .name = script->name,
                .path = script->path,
                .state = state,
                .n_statements = script->n_statements,
                .n_done = row ? row->n_done : 0,
                .statement = statement,
                .line = line,
                .duration_ms = row ? row->duration_ms : 0,
                .note = row ? row->note : "",
        };
        if (job->options.progress)
                job->options.progress(job->options.progress_arg, &info);
}

dal_status dal__apply_report(const dal__apply_job *job, const dal__script *script,
                             const dal__history_row *row, dal_script_state state, uint32_t i_statement,
                             dal_error *err)
{
        char *sql;
        if (!job->options.progress)
                return DAL_OK;
        if (i_statement >= script->n_statements) {
                call_progress(job, script, row, state, NULL, 0);
                return DAL_OK;
        }
        sql = dal_mem_strdup(script->statements[i_statement].text, script->statements[i_statement].size);
        if (!sql)
                return dal_error_set(err, DAL_CLASS_NO_MEMORY, "no memory for a statement of %s",
                                     script->path);
        call_progress(job, script, row, state, sql, script->statements[i_statement].line);
        dal_mem_free(sql);
        return DAL_OK;
}

/* Reports a statement and runs it. */
static dal_status run_statement(const dal__apply_job *job, const dal__script *script,
                                const dal__history_row *row, uint32_t i_statement, dal_error *err)
{
        const dal__splitter_stmt *stmt = &script->statements[i_statement];
        dal_status status;
        char *sql = dal_mem_strdup(stmt->text, stmt->size);
        if (!sql)
                return dal_error_set(err, DAL_CLASS_NO_MEMORY, "no memory for a statement of %s",
                                     script->path);
        call_progress(job, script, row, DAL_SCRIPT_PENDING, sql, stmt->line);
        status = dal_conn_script(job->conn, sql, dal_clock_after_ms(job->statement_timeout_ms), err);
        dal_mem_free(sql);
        return status;
}

/* ---- states ------------------------------------------------------------------------------------------- */

dal_status dal__apply_state(const dal__apply_job *job, const dal__script *script, const dal__history_row *row,
                            dal_script_state *out, dal_error *err)
{
        char hash[DAL__SCRIPT_HASH_SIZE];
        dal_status status;
        *out = DAL_SCRIPT_PENDING;
        if (!row)
                return DAL_OK;
        if (row->state == DAL__HISTORY_APPLIED) {
                *out = strcmp(row->sha256, script->sha256) == 0 ? DAL_SCRIPT_APPLIED : DAL_SCRIPT_DRIFT;
                return DAL_OK;
        }
        if (row->state == DAL__HISTORY_APPLYING && row->n_begun > row->n_done) {
                *out = job->is_running ? DAL_SCRIPT_PENDING : DAL_SCRIPT_UNCERTAIN;
                return DAL_OK;
        }
        *out = DAL_SCRIPT_DRIFT;
        if (row->n_done > script->n_statements)
                return DAL_OK;
        status = dal__script_prefix_hash(script, row->n_done, hash, err);
        if (status == DAL_OK && strcmp(hash, row->statement_hash) == 0)
                *out = DAL_SCRIPT_PARTIAL;
        return status;
}

static void init_row(const dal__apply_job *job, const dal__script *script, dal__history_row *row)
{
        memset(row, 0, sizeof *row);
        (void)snprintf(row->version, sizeof row->version, "%s", script->version);
        (void)snprintf(row->name, sizeof row->name, "%s", script->name);
        (void)snprintf(row->sha256, sizeof row->sha256, "%s", script->sha256);
        (void)snprintf(row->applied_by, sizeof row->applied_by, "%s", job->applied_by);
        row->n_statements = script->n_statements;
        row->state = DAL__HISTORY_APPLYING;
        row->started_at_us = dal__history_now_us();
}

/* Sets the row to: `n` statements are finished. */
static dal_status set_done(const dal__script *script, dal__history_row *row, uint32_t n, int64_t started,
                           dal_error *err)
{
        row->n_done = n;
        row->duration_ms = (dal_clock_now() - started) / 1000000;
        return dal__script_prefix_hash(script, n, row->statement_hash, err);
}

static dal_status set_applied(const dal__script *script, dal__history_row *row, int64_t started,
                              dal_error *err)
{
        row->state = DAL__HISTORY_APPLIED;
        row->n_begun = script->n_statements;
        row->note[0] = '\0';
        return set_done(script, row, script->n_statements, started, err);
}

/* ---- as one transaction ------------------------------------------------------------------------------- */

/* Ends a failed transaction, also one whose BEGIN was not sent yet; why it failed is in the caller's error. */
static void roll_back(const dal__apply_job *job)
{
        dal_status ignored = dal_conn_rollback(job->conn, dal_clock_after_ms(10000), NULL);
        (void)ignored;
}

/*
 * Begins the transaction and writes the row first: on an embedded engine that takes the write lock, and so makes
 * two applies come one after the other.
 */
static dal_status claim(dal__apply_job *job, const dal__script *script, const dal__history_row *row,
                        dal_error *err)
{
        dal_deadline deadline = dal_clock_after_ms(job->lock_wait_ms);
        /* With a server apply's own lock is held by now, and nothing is left to wait for. */
        dal_deadline row_deadline = (dal_conn_driver(job->conn)->caps & DAL_CAP_EMBEDDED) != 0
                                            ? deadline
                                            : dal_clock_after_ms(DAL__HISTORY_STATEMENT_MS);
        for (uint32_t attempt = 0;; attempt++) {
                dal_status status = dal_conn_begin(job->conn, DAL_ISOLATION_DEFAULT, false, deadline, err);
                if (status == DAL_OK && job->history.exists)
                        status = save_until(job, script, row, row_deadline, err);
                if (status == DAL_OK)
                        return DAL_OK;
                roll_back(job);
                if (status != DAL_ERR_CONFLICT && status != DAL_ERR_TIMEOUT)
                        return status;
                if (dal_clock_passed(deadline))
                        return dal_error_fail(
                                err, DAL_ERR_BUSY,
                                "another session holds the write lock of this database and kept it for "
                                "%u ms: is an apply running? try again when it has ended",
                                job->lock_wait_ms);
                back_off(attempt);
        }
}

static dal_status run_all(const dal__apply_job *job, const dal__script *script, dal__history_row *row,
                          dal_error *err)
{
        for (uint32_t i = 0; i < script->n_statements; i++) {
                dal_status status;
                row->n_done = i;
                status = run_statement(job, script, row, i, err);
                if (status)
                        return explain(err, status, script, i, tx_remedy(err));
        }
        return DAL_OK;
}

static dal_status try_in_tx(dal__apply_job *job, const dal__script *script, dal__history_row *row,
                            dal_error *err)
{
        int64_t started = dal_clock_now();
        dal_status status = claim(job, script, row, err);
        if (status)
                return status;
        status = run_all(job, script, row, err);
        if (status == DAL_OK)
                status = set_applied(script, row, started, err);
        if (status == DAL_OK)
                status = save(job, script, row, err);
        if (status) {
                roll_back(job);
                return status;
        }
        status = dal_conn_commit(job->conn, dal_clock_after_ms(job->statement_timeout_ms), err);
        return status ? blame(err, status, script, "COMMIT failed; ask `dalctl schema status`") : DAL_OK;
}

static dal_status apply_in_tx(dal__apply_job *job, const dal__script *script, dal__history_row *row,
                              dal_error *err)
{
        for (uint32_t attempt = 1;; attempt++) {
                dal_status status = try_in_tx(job, script, row, err);
                if (status != DAL_ERR_CONFLICT || attempt == MAX_ATTEMPTS)
                        return status;
                init_row(job, script, row);
                back_off(attempt);
        }
}

/* ---- statement by statement --------------------------------------------------------------------------- */

/* Records why a statement failed, unless its end is unknown: then the intent must stay as it is. */
static dal_status fail_step(dal__apply_job *job, const dal__script *script, dal__history_row *row,
                            uint32_t i_statement, dal_status status, dal_error *err)
{
        char remedy[160];
        bool is_open = err->conn_gone || status == DAL_ERR_IN_DOUBT || err->error_class == DAL_CLASS_DEADLINE;
        if (is_open) {
                (void)explain(
                        err, status, script, i_statement,
                        "its end is unknown: look whether it took effect, then tell by `dalctl schema mark`");
                (void)dal__apply_report(job, script, row, DAL_SCRIPT_UNCERTAIN, i_statement, NULL);
                return status;
        }
        row->state = DAL__HISTORY_FAILED;
        (void)snprintf(row->note, sizeof row->note, "%s", bare_message(err->message));
        if (!job->history.exists || dal__history_save(job->conn, job->area, row, NULL) != DAL_OK)
                (void)snprintf(remedy, sizeof remedy, "mend it and apply again");
        else if (i_statement == 0)
                (void)snprintf(remedy, sizeof remedy,
                               "nothing of this script took effect; mend it and apply again");
        else
                (void)snprintf(
                        remedy, sizeof remedy,
                        "the %u before it are in place; mend this one and apply again, which resumes here",
                        i_statement);
        (void)dal__apply_report(job, script, row, DAL_SCRIPT_PARTIAL, i_statement, NULL);
        return explain(err, status, script, i_statement, remedy);
}

/* Intent, statement; the record that it is done travels with the next intent. */
static dal_status run_step(dal__apply_job *job, const dal__script *script, dal__history_row *row,
                           uint32_t i_statement, dal_error *err)
{
        dal_status status = DAL_OK;
        row->n_begun = i_statement + 1;
        if (job->history.exists)
                status = save(job, script, row, err);
        if (status)
                return status;
        for (uint32_t attempt = 1;; attempt++) {
                status = run_statement(job, script, row, i_statement, err);
                if (status != DAL_ERR_CONFLICT || attempt == MAX_ATTEMPTS)
                        break;
                back_off(attempt);
        }
        return status ? fail_step(job, script, row, i_statement, status, err) : DAL_OK;
}

static dal_status apply_stepwise(dal__apply_job *job, const dal__script *script, dal__history_row *row,
                                 uint32_t n_done, dal_error *err)
{
        int64_t started = dal_clock_now();
        dal_status status = DAL_OK;
        for (uint32_t i = n_done; status == DAL_OK && i < script->n_statements; i++) {
                status = set_done(script, row, i, started, err);
                if (status == DAL_OK)
                        status = run_step(job, script, row, i, err);
        }
        if (status == DAL_OK)
                status = set_applied(script, row, started, err);
        return status ? status : save(job, script, row, err);
}

/* ---- one script --------------------------------------------------------------------------------------- */

/* Somebody else wrote the script's row first: fine if it is done, busy if not, drift if it was another script. */
static dal_status check_faster(dal__apply_job *job, const dal__script *script, dal_error *err)
{
        dal__history history;
        const dal__history_row *row;
        dal_script_state state = DAL_SCRIPT_PENDING;
        dal_status status = dal__history_load(job->conn, job->area, &history, err);
        if (status)
                return status;
        row = dal__history_find(&history, script->version);
        status = dal__apply_state(job, script, row, &state, err);
        job->history.exists = history.exists;
        dal__history_free(&history);
        if (status || state == DAL_SCRIPT_APPLIED)
                return status;
        if (state == DAL_SCRIPT_DRIFT)
                return dal_error_set(
                        err, DAL_CLASS_STATE,
                        "%s: another version of this script was applied a moment ago: apply from one "
                        "checkout only",
                        script->path);
        return dal_error_fail(err, DAL_ERR_BUSY,
                              "%s: another session is applying this script: try again when it has ended",
                              script->path);
}

dal_status dal__apply_script(dal__apply_job *job, const dal__script *script, const dal__history_row *old,
                             dal_error *err)
{
        bool in_tx = (dal_conn_driver(job->conn)->caps & DAL_CAP_TX_DDL) != 0 && !script->tx_off &&
                     (!old || !old->n_done);
        dal__history_row row;
        dal_status status;
        dal_error own = DAL_ERROR_INIT; /* the class decides below, also for a caller without an error */
        init_row(job, script, &row);
        status = in_tx ? apply_in_tx(job, script, &row, &own)
                       : apply_stepwise(job, script, &row, old ? old->n_done : 0, &own);
        if (status && job->was_raced)
                return check_faster(job, script, err);
        if (status) {
                if (err)
                        *err = own;
                return status;
        }
        job->history.exists = true;
        job->report.n_new++;
        return dal__apply_report(job, script, &row, DAL_SCRIPT_APPLIED, UINT32_MAX, err);
}
