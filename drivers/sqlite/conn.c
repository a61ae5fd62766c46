/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <dal/drivers/sqlite.h>

#include "sqlite_impl.h"

/* SQLite asks after this many of its steps whether to go on: some ten microseconds. */
#define STEPS_PER_CHECK 1000
/* Pauses between two tries for a lock grow up to this. */
#define MAX_PAUSE_NS 10000000

/* ---- handlers: called by SQLite in the thread that runs the statement ---- */

static int stop(dal__sqlite_conn *conn, dal__sqlite_stop why)
{
        conn->stop = why;
        return 1;
}

/* The limit of a statement counts from the first look at the clock: most end before there is one. */
static void start_statement(dal__sqlite_conn *conn, int64_t now)
{
        if (conn->statement_deadline == 0)
                conn->statement_deadline = conn->statement_timeout
                                                   ? now + (int64_t)conn->statement_timeout * 1000000
                                                   : DAL_FOREVER;
}

static int on_progress(void *arg)
{
        dal__sqlite_conn *conn = arg;
        int64_t now;

        if (!conn->may_interrupt)
                return 0;
        if (atomic_load_explicit(&conn->cancel, memory_order_relaxed))
                return stop(conn, DAL__SQLITE_STOP_CANCEL);
        if (conn->deadline == DAL_FOREVER && conn->statement_deadline == DAL_FOREVER)
                return 0;
        now = dal_clock_now();
        start_statement(conn, now);
        if (now >= conn->deadline)
                return stop(conn, DAL__SQLITE_STOP_DEADLINE);
        if (now >= conn->statement_deadline)
                return stop(conn, DAL__SQLITE_STOP_STATEMENT);
        return 0;
}

/*
 * From here on the statement can't be interrupted. Without this a deadline could turn the answer of a statement
 * that has just committed into SQLITE_INTERRUPT: the progress handler is also asked on the way out, after the
 * commit. Source: vdbe.c, label vdbe_return, SQLite 3.40
 */
static int on_commit(void *arg)
{
        dal__sqlite_conn *conn = arg;

        conn->may_interrupt = false;
        return 0;
}

static int64_t pause_ns(dal__sqlite_conn *conn, int n_tries)
{
        int64_t ns = n_tries < 7 ? (int64_t)100000 << n_tries : MAX_PAUSE_NS;

        conn->random ^= conn->random << 13;
        conn->random ^= conn->random >> 17;
        conn->random ^= conn->random << 5;
        if (ns > MAX_PAUSE_NS)
                ns = MAX_PAUSE_NS;
        return ns / 2 + (int64_t)(conn->random % (uint32_t)(ns / 2));
}

static void sleep_ns(int64_t ns)
{
        struct timespec ts = {(time_t)(ns / 1000000000), (long)(ns % 1000000000)};

        (void)nanosleep(&ts, NULL);
}

/* SQLite has no queue of lock waiters: each tries again after a pause. Returns whether to try. */
static int on_busy(void *arg, int n_tries)
{
        dal__sqlite_conn *conn = arg;
        int64_t now = dal_clock_now();
        int64_t ns = pause_ns(conn, n_tries);
        dal_deadline end;

        start_statement(conn, now);
        if (conn->lock_deadline == 0)
                conn->lock_deadline =
                        conn->lock_timeout ? now + (int64_t)conn->lock_timeout * 1000000 : DAL_FOREVER;
        end = dal_clock_earlier(conn->deadline, conn->lock_deadline);
        if (atomic_load_explicit(&conn->cancel, memory_order_relaxed)) {
                conn->stop = DAL__SQLITE_STOP_CANCEL;
                return 0;
        }
        if (now >= end) {
                conn->stop = now >= conn->deadline ? DAL__SQLITE_STOP_DEADLINE : DAL__SQLITE_STOP_LOCK;
                return 0;
        }
        sleep_ns(end - now < ns ? end - now : ns);
        return 1;
}

/* ---- transactions ---- */

static const char *const command_texts[DAL__SQLITE_N_COMMANDS] = {
        [DAL__SQLITE_BEGIN] = "BEGIN",
        [DAL__SQLITE_BEGIN_IMMEDIATE] = "BEGIN IMMEDIATE",
        [DAL__SQLITE_COMMIT] = "COMMIT",
        [DAL__SQLITE_ROLLBACK] = "ROLLBACK",
};

static int run_command(dal__sqlite_conn *conn, dal__sqlite_command command)
{
        sqlite3_stmt **handle = &conn->commands[command];
        int rc = SQLITE_OK;

        if (!*handle)
                rc = sqlite3_prepare_v3(conn->db, command_texts[command], -1, SQLITE_PREPARE_PERSISTENT,
                                        handle, NULL);
        if (rc != SQLITE_OK)
                return rc;
        conn->may_interrupt = false;
        (void)sqlite3_step(*handle);
        return sqlite3_reset(*handle);
}

static void end_tx(dal__sqlite_conn *conn)
{
        conn->in_tx = false;
        conn->tx_gone = false;
        conn->read_only = false;
        conn->lock_timeout = conn->session_lock_timeout;
        conn->statement_timeout = conn->session_statement_timeout;
}

bool dal__sqlite_tx_vanished(dal__sqlite_conn *conn)
{
        if (conn->in_tx && sqlite3_get_autocommit(conn->db)) {
                end_tx(conn);
                conn->tx_gone = true;
        }
        return conn->tx_gone;
}

dal_status dal__sqlite_begin(dal__sqlite_conn *conn, const dal_request *request, dal_error *err)
{
        bool reads = request->read_only || conn->file_read_only;
        int rc;

        if (!sqlite3_get_autocommit(conn->db))
                return dal_error_set(err, DAL_CLASS_TX_STATE, "BEGIN inside a transaction");
        end_tx(conn);
        if (request->statement_timeout_ms)
                conn->statement_timeout = request->statement_timeout_ms;
        if (request->lock_timeout_ms)
                conn->lock_timeout = request->lock_timeout_ms;
        /*
         * A writer takes the write lock at once: the change from reader to writer in mid-transaction fails at once
         * when somebody else wrote in between, whatever the time limit. Every isolation level is met, as SQLite
         * transactions are serializable. Source: sqlite.org/isolation.html, lang_transaction.html
         */
        rc = run_command(conn, reads ? DAL__SQLITE_BEGIN : DAL__SQLITE_BEGIN_IMMEDIATE);
        if (rc != SQLITE_OK) {
                dal_status s = dal__sqlite_fail(conn, rc, err);

                end_tx(conn);
                return s;
        }
        conn->in_tx = true;
        conn->read_only = request->read_only;
        return DAL_OK;
}

dal_status dal__sqlite_commit(dal__sqlite_conn *conn, dal_error *err)
{
        int rc;

        if (conn->tx_gone) {
                end_tx(conn);
                (void)dal_error_set(err, DAL_CLASS_COMMIT_ROLLED_BACK,
                                    "nothing to commit: SQLite rolled the transaction back after an error");
                if (err)
                        err->tx_gone = true;
                return DAL_ERR_STATE;
        }
        /* A COMMIT that waits for readers may simply be tried again, so only the deadline ends the wait. */
        conn->lock_deadline = DAL_FOREVER;
        rc = run_command(conn, DAL__SQLITE_COMMIT);
        if (rc == SQLITE_OK) {
                end_tx(conn);
                return DAL_OK;
        }
        return dal__sqlite_fail_commit(conn, rc, err);
}

dal_status dal__sqlite_rollback(dal__sqlite_conn *conn, dal_error *err)
{
        int rc = SQLITE_OK;

        if (!sqlite3_get_autocommit(conn->db))
                rc = run_command(conn, DAL__SQLITE_ROLLBACK);
        if (rc != SQLITE_OK && !sqlite3_get_autocommit(conn->db))
                return dal__sqlite_fail(conn, rc, err);
        end_tx(conn);
        return DAL_OK;
}

dal_status dal__sqlite_savepoint(dal__sqlite_conn *conn, const dal_request *request, dal_error *err)
{
        const char *word = request->kind == DAL_REQUEST_SAVEPOINT ? "SAVEPOINT"
                           : request->kind == DAL_REQUEST_RELEASE ? "RELEASE"
                                                                  : "ROLLBACK TO";
        char sql[48];
        int rc;

        if (!conn->in_tx)
                return dal_error_set(err, DAL_CLASS_TX_STATE, "%s outside a transaction", word);
        (void)snprintf(sql, sizeof sql, "%s dal_%u", word, request->savepoint);
        conn->may_interrupt = false;
        rc = sqlite3_exec(conn->db, sql, NULL, NULL, NULL);
        return rc == SQLITE_OK ? DAL_OK : dal__sqlite_fail(conn, rc, err);
}

static dal_tx_state tx_state(void *state)
{
        dal__sqlite_conn *conn = state;

        if (!conn->db || conn->i_pending < conn->n_pending)
                return DAL_TX_STATE_UNKNOWN;
        if (dal__sqlite_tx_vanished(conn))
                return DAL_TX_STATE_FAILED;
        return sqlite3_get_autocommit(conn->db) ? DAL_TX_STATE_IDLE : DAL_TX_STATE_ACTIVE;
}

/* ---- opening and closing ---- */

static dal_status flags_of_mode(const dal_dsn *dsn, int *flags_out, dal_error *err)
{
        const char *mode = dal_dsn_get(dsn, "mode");

        if (!mode || strcmp(mode, "rwc") == 0)
                *flags_out = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
        else if (strcmp(mode, "rw") == 0)
                *flags_out = SQLITE_OPEN_READWRITE;
        else if (strcmp(mode, "ro") == 0)
                *flags_out = SQLITE_OPEN_READONLY;
        else
                return dal_error_set(err, DAL_CLASS_ARGUMENT,
                                     "mode=%s in %s: SQLite knows ro, rw and rwc (make the file if missing)",
                                     mode, dal_dsn_redacted(dsn));
        return DAL_OK;
}

/* "file:..." would be read as a URI by builds that have that on, so such a name gets a path in front. */
static char *literal_path(const char *path)
{
        size_t size = strlen(path);
        char *literal;

        if (strcmp(path, ":memory:") == 0 || (strncmp(path, "file:", 5) != 0 && path[0] != ':'))
                return dal_mem_strdup(path, size);
        literal = dal_mem_alloc(size + 3);
        if (literal)
                (void)snprintf(literal, size + 3, "./%s", path);
        return literal;
}

static void apply_settings(sqlite3 *db)
{
        (void)sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_FKEY, 1, NULL);
        (void)sqlite3_db_config(db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
}

/*
 * WAL lets readers and the writer work side by side. Changing to it needs the file alone for a moment and asks no
 * busy handler when several processes do so at once, hence the loop.
 */
static int set_journal(dal__sqlite_conn *conn, dal_deadline deadline)
{
        int rc;

        for (int n_tries = 0;; n_tries++) {
                rc = sqlite3_exec(conn->db, "PRAGMA journal_mode=WAL", NULL, NULL, NULL);
                if ((rc & 0xff) != SQLITE_BUSY || dal_clock_passed(deadline))
                        break;
                sleep_ns(pause_ns(conn, n_tries));
        }
        /* The default may be weaker in WAL mode: then a power cut takes acknowledged commits with it. */
        return rc == SQLITE_OK ? sqlite3_exec(conn->db, "PRAGMA synchronous=FULL", NULL, NULL, NULL) : rc;
}

static dal_status open_conn(void *state, const dal_open_args *args, dal_deadline deadline, dal_error *err)
{
        dal__sqlite_conn *conn = state;
        const char *path = dal_dsn_path(args->dsn);
        int flags = 0, rc;
        dal_status s = flags_of_mode(args->dsn, &flags, err);

        if (s != DAL_OK)
                return s;
        if (!path[0])
                return dal_error_set(
                        err, DAL_CLASS_ARGUMENT,
                        "the URL names no file: write sqlite:FILE, sqlite:///FILE or sqlite::memory:");
        if (!sqlite3_threadsafe())
                return dal_error_set(err, DAL_CLASS_UNSUPPORTED,
                                     "this SQLite was built without thread safety");
        conn->path = literal_path(path);
        if (!conn->path)
                return dal__sqlite_no_memory(err);
        conn->random = (uint32_t)((uintptr_t)conn >> 4) ^ (uint32_t)dal_clock_now();
        conn->random |= 1;
        conn->flush = 1;
        conn->file_read_only = flags & SQLITE_OPEN_READONLY;
        conn->session_lock_timeout = args->lock_timeout_ms;
        conn->session_statement_timeout = args->statement_timeout_ms;
        end_tx(conn);
        dal__sqlite_arm(conn, deadline);
        conn->lock_deadline = DAL_FOREVER;
        conn->may_interrupt = false;
        /* One thread at a time is the contract, so SQLite's own mutex is left out. */
        rc = sqlite3_open_v2(conn->path, &conn->db, flags | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE,
                             NULL);
        if (rc == SQLITE_OK) {
                (void)sqlite3_busy_handler(conn->db, on_busy, conn);
                sqlite3_progress_handler(conn->db, STEPS_PER_CHECK, on_progress, conn);
                (void)sqlite3_commit_hook(conn->db, on_commit, conn);
                apply_settings(conn->db);
                /* Reads the file, so that a wrong one is found out here. */
                rc = conn->file_read_only ? sqlite3_exec(conn->db, "PRAGMA schema_version", NULL, NULL, NULL)
                                          : set_journal(conn, deadline);
        }
        return rc == SQLITE_OK ? DAL_OK : dal__sqlite_fail_open(conn, rc, path, err);
}

static void close_conn(void *state)
{
        dal__sqlite_conn *conn = state;
        sqlite3_stmt *stmt;

        if (conn->db) {
                /* Closing the last connection tidies the log away; it must not wait for anybody then. */
                dal__sqlite_arm(conn, 0);
                conn->may_interrupt = false;
                while ((stmt = sqlite3_next_stmt(conn->db, NULL)) != NULL)
                        (void)sqlite3_finalize(stmt);
                (void)sqlite3_close(conn->db);
        }
        dal_mem_free(conn->path);
        dal_mem_free(conn->pending);
        dal_mem_free(conn->cur.wide_kinds);
        dal_mem_free(conn->cur.cells);
        dal_mem_free(conn->cur.bound.data);
        dal_mem_free(conn->cur.rows.data);
        memset(conn, 0, sizeof *conn);
}

/* The next command that takes away something a user left in the session: temporary objects, attached files. */
static const char leftover_query[] =
        "SELECT 'DROP ' || type || ' temp.\"' || replace(name, '\"', '\"\"') || '\"' FROM temp.sqlite_master "
        "WHERE type IN ('table', 'view', 'trigger') AND substr(name, 1, 7) <> 'sqlite_' "
        "UNION ALL SELECT 'DETACH \"' || replace(name, '\"', '\"\"') || '\"' FROM pragma_database_list "
        "WHERE name NOT IN ('main', 'temp') LIMIT 1";

/* One at a time, as a table takes its triggers with it. */
static dal_status clear_session(dal__sqlite_conn *conn, dal_error *err)
{
        sqlite3_stmt *query = NULL;
        char *command = NULL;
        int rc = sqlite3_prepare_v2(conn->db, leftover_query, -1, &query, NULL);

        while (rc == SQLITE_OK && (rc = sqlite3_step(query)) == SQLITE_ROW) {
                const char *text = (const char *)sqlite3_column_text(query, 0);

                command = text ? dal_mem_strdup(text, strlen(text)) : NULL;
                rc = sqlite3_reset(query);
                if (rc == SQLITE_OK)
                        rc = command ? sqlite3_exec(conn->db, command, NULL, NULL, NULL) : SQLITE_NOMEM;
                dal_mem_free(command);
        }
        (void)sqlite3_finalize(query);
        return rc == SQLITE_DONE ? DAL_OK : dal__sqlite_fail(conn, rc, err);
}

static dal_status reset(void *state, dal_deadline deadline, dal_error *err)
{
        dal__sqlite_conn *conn = state;
        dal_status s;

        dal__sqlite_cursor_close(conn);
        conn->i_pending = conn->n_pending = 0;
        dal__sqlite_arm(conn, deadline);
        s = dal__sqlite_rollback(conn, err);
        /* Dropping a table looks at its foreign keys first, where they are enforced. */
        (void)sqlite3_db_config(conn->db, SQLITE_DBCONFIG_ENABLE_FKEY, 0, NULL);
        if (s == DAL_OK)
                s = clear_session(conn, err);
        apply_settings(conn->db);
        return s;
}

/* No server to ask; but a file that was moved or deleted would take every further commit with it, unseen. */
static dal_status ping(void *state, dal_deadline deadline, dal_error *err)
{
        dal__sqlite_conn *conn = state;
        int moved = 0;

        (void)deadline;
        if (sqlite3_file_control(conn->db, "main", SQLITE_FCNTL_HAS_MOVED, &moved) != SQLITE_OK || !moved)
                return DAL_OK;
        (void)dal_error_set(err, DAL_CLASS_CONNECTION_LOST, "database file %s was moved or deleted",
                            conn->path);
        if (err)
                err->conn_gone = err->not_sent = true;
        return DAL_ERR_CONN;
}

static dal_status cancel(void *state, dal_deadline deadline, dal_error *err)
{
        dal__sqlite_conn *conn = state;

        (void)deadline;
        (void)err;
        /* The flag is for a wait for a lock, which sqlite3_interrupt() does not end. */
        atomic_store_explicit(&conn->cancel, true, memory_order_relaxed);
        sqlite3_interrupt(conn->db);
        return DAL_OK;
}

static void info(void *state, dal_driver_info *out)
{
        (void)state;
        memset(out, 0, sizeof *out);
        out->dialect = DAL_DIALECT_sqlite;
        (void)snprintf(out->engine, sizeof out->engine, "sqlite");
        (void)snprintf(out->version, sizeof out->version, "%s", sqlite3_libversion());
        (void)snprintf(out->client, sizeof out->client, "sqlite3 %s", sqlite3_libversion());
}

static const dal_driver driver = {
        .struct_size = sizeof(dal_driver),
        .caps = DAL_CAP_SAVEPOINT | DAL_CAP_RETURNING | DAL_CAP_TX_DDL | DAL_CAP_EMBEDDED | DAL_CAP_CURSORS,
        .name = "sqlite",
        .schemes = "sqlite",
        .keys = "mode",
        .placeholder = DAL_PLACEHOLDER_QUESTION,
        .sql_syntax = DAL_SQL_BACKTICKS | DAL_SQL_BRACKETS,
        .bulk_rows = 100,    /* more gain nothing here: measured */
        .max_params = 32766, /* Source: sqlite.org/limits.html, SQLITE_MAX_VARIABLE_NUMBER */
        .conn_size = sizeof(dal__sqlite_conn),
        .stmt_size = sizeof(dal__sqlite_stmt),
        .open = open_conn,
        .close = close_conn,
        .reset = reset,
        .ping = ping,
        .cancel = cancel,
        .queue = dal__sqlite_queue,
        .flush = dal__sqlite_flush,
        .result = dal__sqlite_result,
        .fetch = dal__sqlite_fetch,
        .run = dal__sqlite_run,
        .discard = dal__sqlite_discard,
        .column = dal__sqlite_column,
        .tx_state = tx_state,
        .stmt_close = dal__sqlite_stmt_close,
        .info = info,
        .aside_size = sizeof(dal__sqlite_aside),
        .swap = dal__sqlite_swap,
        .drop = dal__sqlite_drop,
};

const dal_driver *dal_driver_sqlite(void)
{
        return &driver;
}
