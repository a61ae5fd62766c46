/* SPDX-License-Identifier: MIT */
#include "schema/history.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include <dal/version.h>

/* ---- statements --------------------------------------------------------------------------------------- */

static const dal_stmt find_table = DAL_STMT(
        "dal.history_find_table",
        "SELECT COUNT(*) FROM information_schema.tables WHERE table_name = 'dal_schema_history'",
        .sqlite = "SELECT COUNT(*) FROM sqlite_master WHERE type = 'table' AND name = 'dal_schema_history'",
        .postgres = "SELECT COUNT(*) FROM pg_catalog.pg_tables WHERE schemaname = current_schema() "
                    "AND tablename = 'dal_schema_history'",
        .mysql = "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = DATABASE() "
                 "AND table_name = 'dal_schema_history'");

static const dal_stmt load_rows = DAL_STMT(
        "dal.history_load", "SELECT version, name, sha256, statement_hash, n_statements, n_begun, n_done, "
                            "state, applied_by, started_at, "
                            "duration_ms, note FROM dal_schema_history WHERE area = ? ORDER BY version");

static const dal_stmt update_row = DAL_STMT(
        "dal.history_update",
        "UPDATE dal_schema_history SET name = ?, sha256 = ?, statement_hash = ?, n_statements = ?, n_begun = "
        "?, "
        "n_done = ?, state = ?, applied_by = ?, tool_version = ?, started_at = ?, duration_ms = ?, note = ? "
        "WHERE area = ? AND version = ? AND state <> 'applied'");

static const dal_stmt insert_row = DAL_STMT(
        "dal.history_insert",
        "INSERT INTO dal_schema_history (name, sha256, statement_hash, n_statements, n_begun, n_done, state, "
        "applied_by, tool_version, started_at, duration_ms, note, area, version) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");

/* Advisory locks end with their session, so that a killed apply leaves none behind. Their scope differs: one
   database in PostgreSQL, the whole server in the MySQL family, where at most 64 characters name a lock.
   Source: https://dev.mysql.com/doc/refman/9.0/en/locking-functions.html */
#define POSTGRES_KEY "hashtextextended('dal_schema/' || CAST(? AS text), 0)"
/* SHA1() is no longer built in. Source: https://dev.mysql.com/doc/relnotes/mysql/9.6/en/ */
#define MYSQL_KEY "CONCAT('dal_schema/', LEFT(SHA2(CONCAT(DATABASE(), '/', ?), 256), 40))"

static const dal_stmt try_lock =
        DAL_STMT("dal.history_lock", "SELECT CASE WHEN ? IS NULL THEN 0 ELSE 1 END",
                 .postgres = "SELECT CASE WHEN pg_try_advisory_lock(" POSTGRES_KEY ") THEN 1 ELSE 0 END",
                 .mysql = "SELECT GET_LOCK(" MYSQL_KEY ", 0)");

static const dal_stmt release_lock =
        DAL_STMT("dal.history_unlock", "SELECT CASE WHEN ? IS NULL THEN 0 ELSE 1 END",
                 .postgres = "SELECT CASE WHEN pg_advisory_unlock(" POSTGRES_KEY ") THEN 1 ELSE 0 END",
                 .mysql = "SELECT RELEASE_LOCK(" MYSQL_KEY ")");

static const dal_stmt find_holder = DAL_STMT(
        "dal.history_lock_holder", "SELECT 'another session' WHERE ? IS NOT NULL",
        .postgres =
                "SELECT 'session ' || l.pid || COALESCE(' (' || NULLIF(a.application_name, '') || ')', '') "
                "FROM pg_catalog.pg_locks l "
                "JOIN pg_catalog.pg_database d ON d.oid = l.database AND d.datname = current_database() "
                "LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid "
                "WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1 "
                "AND (CAST(l.classid AS bigint) << 32 | CAST(l.objid AS bigint)) = " POSTGRES_KEY,
        .mysql = "SELECT CONCAT('session ', IS_USED_LOCK(" MYSQL_KEY "))");

/* Lock, row lock, statement, all in milliseconds. The MySQL family knows whole seconds for locks, and MySQL limits
   no statement but SELECT. */
static const dal_stmt get_limits =
        DAL_STMT("dal.history_get_limits", "SELECT 0, 0, 0",
                 .postgres = "SELECT (SELECT CAST(setting AS bigint) FROM pg_catalog.pg_settings WHERE name "
                             "= 'lock_timeout'), "
                             "CAST(0 AS bigint), "
                             "(SELECT CAST(setting AS bigint) FROM pg_catalog.pg_settings WHERE name = "
                             "'statement_timeout')",
                 .mysql = "SELECT @@SESSION.lock_wait_timeout * 1000, @@SESSION.innodb_lock_wait_timeout * "
                          "1000, @@SESSION.max_execution_time",
                 .mariadb = "SELECT CAST(@@SESSION.lock_wait_timeout * 1000 AS SIGNED), "
                            "@@SESSION.innodb_lock_wait_timeout * 1000, CAST(@@SESSION.max_statement_time * "
                            "1000 AS SIGNED)");

static const dal_stmt set_limits = DAL_STMT(
        "dal.history_set_limits", "SELECT ?, ?, ?",
        .postgres = "SELECT set_config('lock_timeout', CAST(CAST(? AS bigint) AS text), false), CAST(? AS "
                    "bigint), "
                    "set_config('statement_timeout', CAST(CAST(? AS bigint) AS text), false)",
        .mysql = "SET SESSION lock_wait_timeout = (? + 999) DIV 1000, "
                 "SESSION innodb_lock_wait_timeout = (? + 999) DIV 1000, SESSION max_execution_time = ?",
        .mariadb = "SET SESSION lock_wait_timeout = (? + 999) DIV 1000, "
                   "SESSION innodb_lock_wait_timeout = (? + 999) DIV 1000, SESSION max_statement_time = ? / "
                   "1000");

static dal_deadline soon(void)
{
        return dal_clock_after_ms(DAL__HISTORY_STATEMENT_MS);
}

/* ---- rows --------------------------------------------------------------------------------------------- */

static const char *const state_names[] = {"applying", "applied", "failed"};

int64_t dal__history_now_us(void)
{
        struct timespec now;
        if (clock_gettime(CLOCK_REALTIME, &now) != 0)
                return 0;
        return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* Runs a query of one row with one integer; a row with NULL gives 0. */
static dal_status query_int64(dal_conn *conn, const dal_stmt *stmt, dal_params params, int64_t *out,
                              dal_error *err)
{
        dal_rows *rows = NULL;
        dal_status status = dal_conn_query(conn, stmt, params, soon(), &rows, err);
        if (status)
                return status;
        status = dal_rows_first(rows, err);
        *out = 0;
        if (status == DAL_OK && !dal_rows_is_null(rows, 0))
                status = dal_rows_int64(rows, 0, out, err);
        dal_rows_close(rows);
        return status;
}

static dal_status read_count(const dal_rows *rows, uint32_t i_column, uint32_t *out, dal_error *err)
{
        int32_t value = 0;
        dal_status status = dal_rows_int32(rows, i_column, &value, err);
        if (status == DAL_OK && value < 0)
                return dal_error_set(err, DAL_CLASS_OVERFLOW, "dal_schema_history holds a negative count");
        *out = (uint32_t)value;
        return status;
}

static dal_status read_row(const dal_rows *rows, dal__history_row *row, dal_error *err)
{
        char state[17];
        dal_status s = dal_rows_copy_text(rows, 0, row->version, sizeof row->version, err);
        if (s == DAL_OK)
                s = dal_rows_copy_text(rows, 1, row->name, sizeof row->name, err);
        if (s == DAL_OK)
                s = dal_rows_copy_text(rows, 2, row->sha256, sizeof row->sha256, err);
        if (s == DAL_OK)
                s = dal_rows_copy_text(rows, 3, row->statement_hash, sizeof row->statement_hash, err);
        if (s == DAL_OK)
                s = read_count(rows, 4, &row->n_statements, err);
        if (s == DAL_OK)
                s = read_count(rows, 5, &row->n_begun, err);
        if (s == DAL_OK)
                s = read_count(rows, 6, &row->n_done, err);
        if (s == DAL_OK)
                s = dal_rows_copy_text(rows, 7, state, sizeof state, err);
        if (s == DAL_OK)
                s = dal_rows_copy_text(rows, 8, row->applied_by, sizeof row->applied_by, err);
        if (s == DAL_OK)
                s = dal_rows_timestamp(rows, 9, &row->started_at_us, err);
        if (s == DAL_OK)
                s = dal_rows_int64(rows, 10, &row->duration_ms, err);
        if (s == DAL_OK && dal_rows_copy_text(rows, 11, row->note, sizeof row->note, NULL) != DAL_OK)
                row->note[0] = '\0'; /* written by somebody else, and too long: not worth a failure */
        if (s)
                return s;
        row->state = strcmp(state, "applied") == 0  ? DAL__HISTORY_APPLIED
                     : strcmp(state, "failed") == 0 ? DAL__HISTORY_FAILED
                                                    : DAL__HISTORY_APPLYING;
        return DAL_OK;
}

static dal_status read_rows(dal_rows *rows, dal__history *out, dal_error *err)
{
        dal_status status;
        bool found;
        while ((status = dal_rows_next(rows, &found, err)) == DAL_OK && found) {
                dal__history_row *grown = dal_mem_resize(out->rows, (size_t)out->n_rows + 1, sizeof *grown);
                if (!grown)
                        return dal_error_set(err, DAL_CLASS_NO_MEMORY,
                                             "no memory to read dal_schema_history");
                out->rows = grown;
                memset(&grown[out->n_rows], 0, sizeof *grown);
                status = read_row(rows, &grown[out->n_rows], err);
                if (status)
                        return status;
                out->n_rows++;
        }
        return status;
}

dal_status dal__history_load(dal_conn *conn, const char *area, dal__history *out, dal_error *err)
{
        dal_rows *rows = NULL;
        int64_t n_tables = 0;
        dal_status status;
        memset(out, 0, sizeof *out);
        status = query_int64(conn, &find_table, DAL_NO_PARAMS, &n_tables, err);
        if (status || n_tables == 0)
                return status;
        out->exists = true;
        status = dal_conn_query(conn, &load_rows, DAL_PARAMS(dal_text(area)), soon(), &rows, err);
        if (status == DAL_OK)
                status = read_rows(rows, out, err);
        dal_rows_close(rows);
        if (status)
                dal__history_free(out);
        return status;
}

void dal__history_free(dal__history *history)
{
        dal_mem_free(history->rows);
        memset(history, 0, sizeof *history);
}

dal__history_row *dal__history_find(const dal__history *history, const char *version)
{
        for (uint32_t i = 0; i < history->n_rows; i++)
                if (dal__script_compare_versions(history->rows[i].version, version) == 0)
                        return &history->rows[i];
        return NULL;
}

dal_status dal__history_save(dal_conn *conn, const char *area, const dal__history_row *row, dal_error *err)
{
        return dal__history_save_until(conn, area, row, soon(), err);
}

dal_status dal__history_save_until(dal_conn *conn, const char *area, const dal__history_row *row,
                                   dal_deadline deadline, dal_error *err)
{
        const dal_value values[] = {
                dal_text(row->name),
                dal_text(row->sha256),
                dal_text(row->statement_hash),
                dal_int64(row->n_statements),
                dal_int64(row->n_begun),
                dal_int64(row->n_done),
                dal_text(state_names[row->state]),
                dal_text(row->applied_by),
                dal_text(DAL_VERSION),
                dal_timestamp(row->started_at_us),
                dal_int64(row->duration_ms),
                dal_text(row->note),
                dal_text(area),
                dal_text(row->version),
        };
        const dal_params params = {values, sizeof values / sizeof values[0]};
        int64_t n_rows = 0;
        dal_status status = dal_conn_exec(conn, &update_row, params, deadline, &n_rows, err);
        if (status == DAL_OK && n_rows == 0)
                status = dal_conn_exec(conn, &insert_row, params, deadline, &n_rows, err);
        return status;
}

/* ---- lock and limits ---------------------------------------------------------------------------------- */

static void pause_ms(long ms)
{
        struct timespec pause = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
        (void)nanosleep(&pause, NULL);
}

static dal_status fail_busy(dal_conn *conn, const char *area, uint32_t wait_ms, dal_error *err)
{
        char holder[128] = "another session";
        dal_rows *rows = NULL;
        if (dal_conn_query(conn, &find_holder, DAL_PARAMS(dal_text(area)), soon(), &rows, NULL) == DAL_OK &&
            dal_rows_first(rows, NULL) == DAL_OK && !dal_rows_is_null(rows, 0)) {
                dal_status ignored = dal_rows_copy_text(rows, 0, holder, sizeof holder, NULL);
                (void)ignored;
        }
        dal_rows_close(rows);
        return dal_error_fail(
                err, DAL_ERR_BUSY,
                "%s is applying area \"%s\" to this database and did not finish within %u ms: try again "
                "when it has",
                holder, area, wait_ms);
}

dal_status dal__history_lock(dal_conn *conn, const char *area, uint32_t wait_ms, dal_error *err)
{
        dal_deadline deadline = dal_clock_after_ms(wait_ms);
        for (;;) {
                int64_t got = 0;
                dal_status status = query_int64(conn, &try_lock, DAL_PARAMS(dal_text(area)), &got, err);
                if (status || got == 1)
                        return status;
                if (dal_clock_passed(deadline))
                        return fail_busy(conn, area, wait_ms, err);
                /* Jitter, so that several waiting instances don't ask in step. */
                pause_ms(50 + (long)(dal_clock_now() / 1000 % 100));
        }
}

void dal__history_unlock(dal_conn *conn, const char *area)
{
        int64_t released = 0;
        dal_status ignored = query_int64(conn, &release_lock, DAL_PARAMS(dal_text(area)), &released, NULL);
        (void)ignored; /* a lost session has lost its lock too */
}

static dal_status write_limits(dal_conn *conn, const dal__history_limits *limits, dal_error *err)
{
        const dal_value values[] = {dal_int64(limits->lock_ms), dal_int64(limits->row_lock_ms),
                                    dal_int64(limits->statement_ms)};
        return dal_conn_exec(conn, &set_limits, (dal_params){values, 3}, soon(), NULL, err);
}

dal_status dal__history_limit(dal_conn *conn, const dal__history_limits *limits, dal__history_limits *old_out,
                              dal_error *err)
{
        dal_rows *rows = NULL;
        dal_status status = dal_conn_query(conn, &get_limits, DAL_NO_PARAMS, soon(), &rows, err);
        if (status == DAL_OK)
                status = dal_rows_first(rows, err);
        if (status == DAL_OK)
                status = dal_rows_int64(rows, 0, &old_out->lock_ms, err);
        if (status == DAL_OK)
                status = dal_rows_int64(rows, 1, &old_out->row_lock_ms, err);
        if (status == DAL_OK)
                status = dal_rows_int64(rows, 2, &old_out->statement_ms, err);
        dal_rows_close(rows);
        return status ? status : write_limits(conn, limits, err);
}

void dal__history_unlimit(dal_conn *conn, const dal__history_limits *old)
{
        dal_status ignored = write_limits(conn, old, NULL);
        (void)ignored; /* the pool's reset, or the end of the session, does it otherwise */
}
