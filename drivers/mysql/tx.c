/* SPDX-License-Identifier: MIT */
#include "mysql_impl.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define ERROR_LOCK_WAIT_TIMEOUT 1205
#define ERROR_NO_SUCH_THREAD    1094
#define ERROR_NOT_ITS_OWNER     1095

/* ---- text commands ---- */

int dal__mysql_tx_drop_results(MYSQL *mysql)
{
        int more;

        do {
                MYSQL_RES *rows = mysql_use_result(mysql);
                if (rows) {
                        while (mysql_fetch_row(rows))
                                continue;
                        mysql_free_result(rows);
                }
                if (mysql_errno(mysql))
                        return 1;
                more = mysql_next_result(mysql);
        } while (more == 0);
        return more > 0;
}

dal_status dal__mysql_tx_text(dal__mysql_conn *conn, const char *sql, size_t size, bool may_stop,
                              dal_deadline deadline, dal_error *err)
{
        int rc;

        dal__mysql_begin(conn, deadline, may_stop);
        rc = mysql_real_query(conn->mysql, sql, (unsigned long)size);
        if (rc == 0)
                rc = dal__mysql_tx_drop_results(conn->mysql);
        dal__mysql_end(conn);
        return rc ? dal__mysql_fail(conn, NULL, err) : DAL_OK;
}

static dal_status run_text(dal__mysql_conn *conn, const char *sql, dal_deadline deadline, dal_error *err)
{
        return dal__mysql_tx_text(conn, sql, strlen(sql), false, deadline, err);
}

static bool server_in_trans(const dal__mysql_conn *conn)
{
        return (conn->mysql->server_status & SERVER_STATUS_IN_TRANS) != 0;
}

/* ---- the normal state of a session ---- */

static size_t put_text(char *out, size_t size, size_t at, const char *text)
{
        int n = snprintf(out + at, size - at, "%s", text);
        return at + (size_t)n;
}

/*
 * The settings for time limits, each with a comma in front. Lock waits count in whole seconds. MariaDB limits every
 * statement, MySQL only SELECT: what else takes too long is stopped by KILL QUERY at the caller's deadline.
 */
static size_t put_limits(char *out, size_t size, size_t at, const dal__mysql_conn *conn,
                         uint32_t statement_ms, uint32_t lock_ms)
{
        char text[96];

        if (lock_ms) {
                unsigned lock_s = lock_ms / 1000 + (lock_ms % 1000 != 0);

                (void)snprintf(text, sizeof text, ",innodb_lock_wait_timeout=%u,lock_wait_timeout=%u", lock_s,
                               lock_s);
                at = put_text(out, size, at, text);
        }
        if (!statement_ms)
                return at;
        if (conn->dialect == DAL_DIALECT_mariadb)
                (void)snprintf(text, sizeof text, ",max_statement_time=%u.%03u", statement_ms / 1000,
                               statement_ms % 1000);
        else
                (void)snprintf(text, sizeof text, ",max_execution_time=%u", statement_ms);
        return put_text(out, size, at, text);
}

/* A reset leaves the session in the database that its last user went to. */
static dal_status go_home(dal__mysql_conn *conn, const char *dbname, dal_deadline deadline, dal_error *err)
{
        int rc;

        if (!dbname || !dbname[0]) /* there is no command for that */
                return dal_error_set(err, DAL_CLASS_UNSUPPORTED,
                                     "a session that began without a database can't go back to none");
        dal__mysql_begin(conn, deadline, false);
        rc = mysql_select_db(conn->mysql, dbname);
        dal__mysql_end(conn);
        return rc ? dal__mysql_fail(conn, NULL, err) : DAL_OK;
}

dal_status dal__mysql_tx_setup(dal__mysql_conn *conn, dal_deadline deadline, dal_error *err)
{
        /*
         * SET NAMES goes first because libmysqlclient 9 asks MariaDB for a collation it does not know and gets a
         * latin1 session. No collation is named: the server's own for utf8mb4 is also that of its tables, so
         * parameters and user variables compare with columns without "illegal mix of collations".
         * The SQL mode is strict on every engine and keeps backslash escapes, which the lexer counts on.
         */
        static const char modes[] = "STRICT_TRANS_TABLES,STRICT_ALL_TABLES,NO_ZERO_IN_DATE,NO_ZERO_DATE,"
                                    "ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION";
        const dal__mysql_target *target = conn->target;
        char sql[512];
        size_t at;
        dal_status s;
        int n = snprintf(sql, sizeof sql, "SET NAMES utf8mb4,autocommit=%d,time_zone='+00:00',sql_mode='%s'",
                         conn->tx_mode ? 0 : 1, modes);

        at = put_limits(sql, sizeof sql, (size_t)n, conn, target->statement_timeout_ms,
                        target->lock_timeout_ms);
        s = dal__mysql_tx_text(conn, sql, at, false, deadline, err);
        if (s == DAL_OK && conn->generation > 1)
                s = go_home(conn, target->dbname, deadline, err);
        if (s == DAL_OK)
                conn->in_trans = server_in_trans(conn);
        return s;
}

/* ---- what the server said about the transaction ---- */

static void forget_tx(dal__mysql_conn *conn)
{
        conn->tx_open = false;
        conn->in_trans = false;
}

static dal_status tx_ended(dal__mysql_conn *conn, dal_error *err)
{
        dal_status s;

        forget_tx(conn);
        s = dal_error_set(err, DAL_CLASS_TX_ENDED,
                          "this statement committed the transaction it was in, as DDL does on MySQL; run it "
                          "outside of transactions");
        if (err)
                err->tx_gone = true;
        return s;
}

dal_status dal__mysql_tx_after_success(dal__mysql_conn *conn, dal_error *err)
{
        bool before = conn->in_trans;

        conn->in_trans = server_in_trans(conn);
        return !before || conn->in_trans ? DAL_OK : tx_ended(conn, err);
}

/* Finds the first word of a statement, behind comments and brackets. */
static const char *skip_to_word(const char *sql)
{
        for (;;) {
                sql += strspn(sql, " \t\r\n(");
                if (sql[0] == '/' && sql[1] == '*' && sql[2] != '!' && sql[2] != 'M') {
                        const char *end = strstr(sql + 2, "*/");
                        if (!end)
                                return sql + strlen(sql);
                        sql = end + 2;
                } else if (sql[0] == '#' || (sql[0] == '-' && sql[1] == '-')) {
                        sql += strcspn(sql, "\n");
                } else {
                        return sql;
                }
        }
}

bool dal__mysql_tx_begins_with(const char *sql, const char *word)
{
        const char *first = skip_to_word(sql);
        size_t size = strlen(word);

        return strncasecmp(first, word, size) == 0 && strchr(" \t\r\n(/*#-", first[size]);
}

/* Returns what follows the word if that begins the statement, else NULL. */
static const char *after_word(const char *sql, const char *word)
{
        return dal__mysql_tx_begins_with(sql, word) ? skip_to_word(sql) + strlen(word) : NULL;
}

/* What is not undone. Source: MySQL manual, "Statements That Cause an Implicit Commit"; the same page of MariaDB */
static bool commits_by_itself(const char *sql)
{
        static const char *const words[] = {"ALTER",  "CREATE", "DROP",    "GRANT",
                                            "RENAME", "REVOKE", "TRUNCATE"};
        const char *rest = after_word(sql, "CREATE");

        if (rest && dal__mysql_tx_begins_with(rest, "OR"))
                rest = after_word(after_word(rest, "OR"), "REPLACE");
        if (!rest)
                rest = after_word(sql, "DROP");
        if (rest &&
            (dal__mysql_tx_begins_with(rest, "TEMPORARY") || dal__mysql_tx_begins_with(rest, "PREPARE")))
                return false;
        for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
                if (dal__mysql_tx_begins_with(sql, words[i]))
                        return true;
        }
        return false;
}

dal_status dal__mysql_tx_after_first(dal__mysql_conn *conn, const char *sql, dal_error *err)
{
        return commits_by_itself(sql) ? tx_ended(conn, err) : DAL_OK;
}

/* A failed statement of these kinds never ends the transaction behind our back. */
static bool is_plain_dml(const char *sql)
{
        static const char *const words[] = {"SELECT", "INSERT", "UPDATE", "DELETE", "REPLACE", "WITH", "DO"};

        for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
                if (dal__mysql_tx_begins_with(sql, words[i]))
                        return true;
        }
        return false;
}

void dal__mysql_tx_after_failure(dal__mysql_conn *conn, const char *sql, dal_deadline deadline,
                                 dal_error *err)
{
        bool timeout = err->vendor_code == ERROR_LOCK_WAIT_TIMEOUT;
        dal_error ignored = DAL_ERROR_INIT, cause = *err;

        if (conn->broken || err->not_sent || err->error_class == DAL_CLASS_DEADLINE)
                return; /* after a deadline there is no time to ask: the rollback will tell */
        if (err->tx_gone) {
                forget_tx(conn);
                return;
        }
        /* An error carries no status, so where it may have ended the transaction the server is asked. */
        if (!conn->in_trans || (is_plain_dml(sql) && !timeout))
                return;
        if (run_text(conn, "DO 0", deadline, &ignored) || server_in_trans(conn)) {
                err->conn_gone |= conn->broken;
                return;
        }
        forget_tx(conn);
        err->tx_gone = true;
        if (timeout) /* innodb_rollback_on_timeout is on */
                return;
        (void)dal_error_set(
                err, DAL_CLASS_TX_ENDED,
                "this statement failed, and committed the transaction it was in all the same: %.400s",
                cause.message);
        err->vendor_code = cause.vendor_code;
        memcpy(err->sqlstate, cause.sqlstate, sizeof err->sqlstate);
        err->tx_gone = true;
}

/* ---- requests ---- */

static dal_status restore_limits(dal__mysql_conn *conn, dal_deadline deadline, dal_error *err)
{
        const dal__mysql_target *target = conn->target;
        const char *statement =
                conn->dialect == DAL_DIALECT_mariadb ? "max_statement_time" : "max_execution_time";
        char sql[256];
        size_t at;
        int n;
        dal_status s;

        if (!conn->limits_changed)
                return DAL_OK;
        n = snprintf(sql, sizeof sql,
                     "SET innodb_lock_wait_timeout=DEFAULT,lock_wait_timeout=DEFAULT,%s=DEFAULT", statement);
        at = put_limits(sql, sizeof sql, (size_t)n, conn, target->statement_timeout_ms,
                        target->lock_timeout_ms);
        s = dal__mysql_tx_text(conn, sql, at, false, deadline, err);
        if (s == DAL_OK)
                conn->limits_changed = false;
        return s;
}

/*
 * The limits of BEGIN are not sent: they would cost each transaction a round trip. The caller's deadline stands
 * behind them, and is kept by the client, which stops the statement with KILL QUERY.
 */
static dal_status run_begin(dal__mysql_conn *conn, const dal_request *request, dal_deadline deadline,
                            dal_error *err)
{
        static const char *const levels[] = {
                [DAL_ISOLATION_DEFAULT] = "",
                [DAL_ISOLATION_READ_COMMITTED] = "ISOLATION LEVEL READ COMMITTED",
                [DAL_ISOLATION_REPEATABLE_READ] = "ISOLATION LEVEL REPEATABLE READ",
                [DAL_ISOLATION_SERIALIZABLE] = "ISOLATION LEVEL SERIALIZABLE",
        };
        bool has_level = request->isolation != DAL_ISOLATION_DEFAULT;
        char sql[96];
        dal_status s;

        if (conn->in_trans || conn->tx_open)
                return dal_error_set(err, DAL_CLASS_TX_STATE, "a transaction is already open");
        s = restore_limits(conn, deadline, err);
        /* It holds for the next transaction alone, however that begins. */
        if (s == DAL_OK && (has_level || request->read_only)) {
                (void)snprintf(sql, sizeof sql, "SET TRANSACTION %s%s%s", levels[request->isolation],
                               has_level && request->read_only ? ", " : "",
                               request->read_only ? "READ ONLY" : "");
                s = run_text(conn, sql, deadline, err);
        }
        if (s == DAL_OK && !conn->tx_mode)
                s = run_text(conn, "START TRANSACTION", deadline, err);
        if (s)
                return s;
        conn->tx_open = true;
        conn->in_trans = !conn->tx_mode;
        return DAL_OK;
}

/*
 * Switches whether the server takes several statements at once: only the library's own constant text may be more than
 * one. Source: COM_SET_OPTION
 */
static dal_status take_several(dal__mysql_conn *conn, bool several, dal_deadline deadline, dal_error *err)
{
        dal_status s = DAL_OK;

        if (conn->takes_several == several)
                return DAL_OK;
        dal__mysql_begin(conn, deadline, false);
        if (mysql_set_server_option(conn->mysql, several ? MYSQL_OPTION_MULTI_STATEMENTS_ON
                                                         : MYSQL_OPTION_MULTI_STATEMENTS_OFF))
                s = DAL_ERR_CONN;
        dal__mysql_end(conn);
        if (s) {
                s = dal__mysql_fail(conn, NULL, err);
                if (err)
                        err->not_sent = true;
                return s;
        }
        conn->takes_several = several;
        return DAL_OK;
}

dal_status dal__mysql_tx_take_one(dal__mysql_conn *conn, const char *sql, size_t size, dal_deadline deadline,
                                  dal_error *err)
{
        /* What has no semicolon at all, not even in a literal, is one statement whatever the session's settings are. */
        return conn->takes_several && memchr(sql, ';', size) ? take_several(conn, false, deadline, err)
                                                             : DAL_OK;
}

/* The server stops at the first statement that fails: then COMMIT was not executed and the transaction is still open. */
static dal_status insert_and_commit(dal__mysql_conn *conn, const dal_request *request, dal_deadline deadline,
                                    dal_error *err)
{
        char sql[512];
        int n = snprintf(sql, sizeof sql, "INSERT INTO %s (token,state) VALUES (X'%s','C');COMMIT",
                         request->token_table, request->text);
        dal_error local = DAL_ERROR_INIT;
        bool inserted;
        dal_status s;
        int rc;

        if (n < 0 || (size_t)n >= sizeof sql)
                return dal_error_set(err, DAL_CLASS_INTERNAL, "the name of dal_outcome is too long");
        s = take_several(conn, true, deadline, err);
        if (s)
                return s;
        dal__mysql_begin(conn, deadline, false);
        rc = mysql_real_query(conn->mysql, sql, (unsigned long)n);
        inserted = rc == 0;
        if (inserted)
                rc = mysql_next_result(conn->mysql);
        dal__mysql_end(conn);
        if (rc == 0)
                return DAL_OK;
        if (rc < 0) {
                conn->broken = true; /* with its transaction */
                dal_error_set(err, DAL_CLASS_INTERNAL, "the server answered one of two statements only");
                if (err)
                        err->conn_gone = true;
                return DAL_ERR_INTERNAL;
        }
        conn->committing = inserted;
        s = dal__mysql_fail(conn, NULL, &local);
        conn->committing = false;
        if (local.tx_gone && !conn->broken)
                forget_tx(conn);
        if (err)
                *err = local;
        return s;
}

/* An answer of the server is final either way; only a lost connection leaves the outcome open. */
static dal_status run_commit(dal__mysql_conn *conn, const dal_request *request, dal_deadline deadline,
                             dal_error *err)
{
        dal_status s;

        if (request->text) {
                s = insert_and_commit(conn, request, deadline, err);
                if (s)
                        return s;
        } else {
                conn->committing = true;
                s = run_text(conn, "COMMIT", deadline, err);
                conn->committing = false;
        }
        if (s && conn->broken)
                return s;
        forget_tx(conn);
        if (s == DAL_OK)
                conn->in_trans = server_in_trans(conn);
        return s;
}

static dal_status run_rollback(dal__mysql_conn *conn, dal_deadline deadline, dal_error *err)
{
        dal_status s = run_text(conn, "ROLLBACK", deadline, err);

        if (s)
                return s;
        forget_tx(conn);
        conn->in_trans = server_in_trans(conn);
        return DAL_OK;
}

static dal_status run_savepoint(dal__mysql_conn *conn, const dal_request *request, dal_deadline deadline,
                                dal_error *err)
{
        const char *verb = request->kind == DAL_REQUEST_SAVEPOINT ? "SAVEPOINT"
                           : request->kind == DAL_REQUEST_RELEASE ? "RELEASE SAVEPOINT"
                                                                  : "ROLLBACK TO SAVEPOINT";
        char sql[64];

        /* The server would say yes and do nothing. */
        if (!conn->tx_open && !conn->in_trans)
                return dal_error_set(err, DAL_CLASS_TX_STATE, "%s outside of a transaction", verb);
        (void)snprintf(sql, sizeof sql, "%s dal_%" PRIu32, verb, request->savepoint);
        return run_text(conn, sql, deadline, err);
}

static dal_status run_limits(dal__mysql_conn *conn, const dal_request *request, dal_deadline deadline,
                             dal_error *err)
{
        char sql[192] = "SET";
        size_t at = put_limits(sql, sizeof sql, strlen(sql), conn, request->statement_timeout_ms,
                               request->lock_timeout_ms);
        dal_status s;

        if (!request->statement_timeout_ms && !request->lock_timeout_ms)
                return DAL_OK;
        sql[strlen("SET")] = ' '; /* in place of the first comma */
        s = dal__mysql_tx_text(conn, sql, at, false, deadline, err);
        if (s == DAL_OK)
                conn->limits_changed = true;
        return s;
}

static dal_status run_mode(dal__mysql_conn *conn, const dal_request *request, dal_deadline deadline,
                           dal_error *err)
{
        dal_status s;

        /* Switching autocommit on would commit what is open. */
        if (conn->in_trans || conn->tx_open)
                return dal_error_set(err, DAL_CLASS_TX_STATE, "the mode can't change inside a transaction");
        s = restore_limits(conn, deadline, err);
        if (s == DAL_OK)
                s = run_text(conn, request->tx_mode ? "SET autocommit=0" : "SET autocommit=1", deadline, err);
        if (s == DAL_OK)
                conn->tx_mode = request->tx_mode;
        return s;
}

dal_status dal__mysql_tx_run(dal__mysql_conn *conn, const dal_request *request, dal_deadline deadline,
                             dal_error *err)
{
        switch (request->kind) {
        case DAL_REQUEST_BEGIN:
                return run_begin(conn, request, deadline, err);
        case DAL_REQUEST_COMMIT:
                return run_commit(conn, request, deadline, err);
        case DAL_REQUEST_ROLLBACK:
                return run_rollback(conn, deadline, err);
        case DAL_REQUEST_SAVEPOINT:
        case DAL_REQUEST_RELEASE:
        case DAL_REQUEST_ROLLBACK_TO:
                return run_savepoint(conn, request, deadline, err);
        case DAL_REQUEST_LIMITS:
                return run_limits(conn, request, deadline, err);
        case DAL_REQUEST_MODE:
                return run_mode(conn, request, deadline, err);
        case DAL_REQUEST_STMT:
        case DAL_REQUEST_TEXT:
        case DAL_REQUEST_SCRIPT:
                break;
        }
        return dal_error_set(err, DAL_CLASS_INTERNAL, "a statement came where transactions are handled");
}

/* ---- the outcome of a lost COMMIT ---- */

const char *dal__mysql_tx_token_query(void *state)
{
        (void)state;
        return "SELECT CONCAT('`',REPLACE(TABLE_SCHEMA,'`','``'),'`.`dal_outcome`') FROM "
               "information_schema.TABLES "
               "WHERE TABLE_SCHEMA=DATABASE() AND TABLE_NAME='dal_outcome'";
}

/*
 * The numbers begin again when the server does, so that of a session from before may be anybody's by now; but then that
 * session is gone. Source: manual, KILL; information_schema.PROCESSLIST tells nothing of a session's age.
 */
dal_status dal__mysql_tx_end_session(void *state, uint64_t session_id, uint32_t min_age_ms,
                                     dal_deadline deadline, dal_error *err)
{
        dal__mysql_conn *conn = state;
        dal_error local = DAL_ERROR_INIT;
        int64_t uptime_ms;
        char sql[64];
        dal_status s;

        dal__mysql_begin(conn, deadline, true);
        uptime_ms = dal__mysql_uptime_ms(conn->mysql);
        dal__mysql_end(conn);
        if (uptime_ms < 0)
                return dal__mysql_fail(conn, NULL, err);
        if (uptime_ms <= min_age_ms)
                return DAL_OK;
        (void)snprintf(sql, sizeof sql, "KILL %" PRIu64, session_id);
        s = run_text(conn, sql, deadline, &local);
        if (s == DAL_OK || local.vendor_code == ERROR_NO_SUCH_THREAD ||
            local.vendor_code == ERROR_NOT_ITS_OWNER)
                return DAL_OK;
        if (err)
                *err = local;
        return s;
}
