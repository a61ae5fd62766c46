/* SPDX-License-Identifier: MIT */
/* What the server does with one request; and the calls by which a handler answers a statement. */

#include <stdio.h>
#include <string.h>

#include "fake_impl.h"

/* --- Handlers ------------------------------------------------------------------------------------------ */

const char *dal_fake_call_name(const dal_fake_call *call)
{
        return call->name;
}

dal_params dal_fake_call_params(const dal_fake_call *call)
{
        return call->params;
}

uint64_t dal_fake_call_session(const dal_fake_call *call)
{
        return call->conn->number;
}

void dal_fake_call_columns(dal_fake_call *call, const char *const *names, uint32_t n_columns)
{
        call->answer->has_rows = true;
        call->answer->columns = names;
        call->answer->n_columns = n_columns;
}

void dal_fake_call_row(dal_fake_call *call, dal_params cells)
{
        fake_answer *answer = call->answer;
        fake_tuple *tuple;

        if (call->failed)
                return;
        if (answer->n_rows == answer->room) {
                size_t room = answer->room ? answer->room * 2 : 16;
                fake_tuple **rows = dal_mem_resize(answer->rows, room, sizeof(fake_tuple *));
                if (!rows)
                        goto no_memory;
                answer->rows = rows;
                answer->room = room;
        }
        tuple = dal__fake_tuple_new(cells);
        if (!tuple)
                goto no_memory;
        answer->rows[answer->n_rows++] = tuple;
        answer->has_rows = true;
        if (!answer->columns)
                answer->n_columns = tuple->n_cells;
        return;
no_memory:
        dal_error_set(&call->error, DAL_CLASS_NO_MEMORY, "no memory for a row");
        call->failed = true;
}

void dal_fake_call_count(dal_fake_call *call, int64_t n_rows)
{
        call->answer->count = n_rows;
}

void dal_fake_call_insert_id(dal_fake_call *call, int64_t id)
{
        call->answer->insert_id = id;
}

void dal_fake_call_fail(dal_fake_call *call, dal_error_class error_class, const char *constraint,
                        const char *format, ...)
{
        char what[256];
        va_list args;

        if (call->failed)
                return;
        va_start(args, format);
        vsnprintf(what, sizeof what, format, args);
        va_end(args);
        dal__fake_error(call->conn, &call->error, error_class, NULL);
        snprintf(call->error.message, sizeof call->error.message, "%s", what);
        if (constraint)
                snprintf(call->error.constraint, sizeof call->error.constraint, "%s", constraint);
        call->failed = true;
}

bool dal_fake_call_failed(const dal_fake_call *call)
{
        return call->failed;
}

bool dal_fake_call_sleep(dal_fake_call *call, uint32_t ms)
{
        dal_status s;

        if (call->failed)
                return false;
        pthread_mutex_lock(&call->conn->server->lock);
        s = dal__fake_wait_locked(call->conn, dal_clock_after_ms(ms), false, call->deadline, &call->error);
        pthread_mutex_unlock(&call->conn->server->lock);
        call->failed = s != DAL_OK;
        return s == DAL_OK;
}

void dal_fake_call_set(dal_fake_call *call, int64_t setting)
{
        call->conn->setting = setting;
}

int64_t dal_fake_call_get(const dal_fake_call *call)
{
        return call->conn->setting;
}

/* --- Transactions -------------------------------------------------------------------------------------- */

static void begin_locked(fake_conn *conn, dal_isolation isolation, bool read_only)
{
        conn->in_tx = true;
        conn->failed = false;
        conn->isolation = isolation;
        conn->read_only = read_only;
        conn->snapshot = conn->server->n_versions;
        conn->n_savepoints = 0;
}

static void end_locked(fake_conn *conn, bool commit)
{
        if (commit)
                dal__fake_store_commit_locked(conn);
        else
                dal__fake_store_rollback_locked(conn, 0);
        if (conn->in_tx && commit)
                conn->server->stats.n_commits++;
        else if (conn->in_tx)
                conn->server->stats.n_rollbacks++;
        conn->in_tx = false;
        conn->failed = false;
        conn->read_only = false;
        conn->isolation = DAL_ISOLATION_DEFAULT;
        conn->n_savepoints = 0;
        conn->statement_ms = conn->session_statement_ms;
        conn->lock_ms = conn->session_lock_ms;
}

static void limits_locked(fake_conn *conn, const dal_request *request)
{
        if (request->statement_timeout_ms > 0)
                conn->statement_ms = request->statement_timeout_ms;
        if (request->lock_timeout_ms > 0)
                conn->lock_ms = request->lock_timeout_ms;
        conn->server->stats.statement_timeout_ms = conn->statement_ms;
        conn->server->stats.lock_timeout_ms = conn->lock_ms;
}

/* In transaction mode a plain transaction begins by itself with its first statement: nothing is sent. */
static bool is_free(const fake_conn *conn, const dal_request *request)
{
        return request->kind == DAL_REQUEST_BEGIN && conn->tx_mode && !request->read_only &&
               request->isolation == DAL_ISOLATION_DEFAULT;
}

static dal_status run_begin_locked(fake_conn *conn, const dal_request *request, dal_error *err)
{
        if (conn->in_tx)
                return dal__fake_error(conn, err, DAL_CLASS_TX_STATE, "there is already a transaction");
        if (!is_free(conn, request))
                begin_locked(conn, request->isolation, request->read_only);
        limits_locked(conn, request);
        return DAL_OK;
}

static dal_status run_commit_locked(fake_conn *conn, dal_error *err)
{
        bool failed = conn->failed;

        end_locked(conn, !failed);
        if (failed)
                return dal__fake_error(conn, err, DAL_CLASS_COMMIT_ROLLED_BACK,
                                       "an earlier statement failed");
        return DAL_OK;
}

static dal_status run_savepoint_locked(fake_conn *conn, const dal_request *request, dal_error *err)
{
        uint32_t i = conn->n_savepoints;

        if (request->kind == DAL_REQUEST_SAVEPOINT) {
                if (!conn->in_tx && conn->tx_mode)
                        begin_locked(conn, DAL_ISOLATION_DEFAULT, false);
                if (!conn->in_tx)
                        return dal__fake_error(conn, err, DAL_CLASS_TX_STATE,
                                               "SAVEPOINT outside a transaction");
                if (i == FAKE_MAX_SAVEPOINTS)
                        return dal__fake_error(conn, err, DAL_CLASS_OUT_OF_RESOURCES, "too many savepoints");
                conn->savepoints[conn->n_savepoints++] = (fake_savepoint){request->savepoint, conn->n_undos};
                return DAL_OK;
        }
        while (i > 0 && conn->savepoints[i - 1].number != request->savepoint)
                i--;
        if (i == 0)
                return dal__fake_error(conn, err, DAL_CLASS_TX_STATE, "no such savepoint");
        if (request->kind == DAL_REQUEST_RELEASE) {
                conn->n_savepoints = i - 1;
                return DAL_OK;
        }
        dal__fake_store_rollback_locked(conn, conn->savepoints[i - 1].n_undos);
        conn->n_savepoints = i;
        conn->failed = false;
        return DAL_OK;
}

/* An error undoes the statement, and more than that after the server's own rules. */
static void fail_locked(fake_conn *conn, bool implicit, size_t n_undos, dal_error *error)
{
        if (implicit || error->tx_gone)
                end_locked(conn, false);
        else
                dal__fake_store_rollback_locked(conn, n_undos);
        if (conn->in_tx && !conn->modal)
                conn->failed = true;
}

/* --- Statements ---------------------------------------------------------------------------------------- */

/* Runs the handler outside the lock; the call's outcome is in call->failed and call->error. */
static void run_handler(dal_fake_call *call, dal_fake_handler *handler, void *arg)
{
        dal_fake_server *server = call->conn->server;

        if (handler)
                handler(arg, call);
        else
                call->answer->count = 1;
        pthread_mutex_lock(&server->lock);
        dal__fake_tuple_drop_locked(call->held);
        call->held = NULL;
        pthread_mutex_unlock(&server->lock);
}

static dal_status run_statement(fake_conn *conn, const dal_request *request, const char *name,
                                dal_deadline deadline, dal_error *err)
{
        dal_fake_server *server = conn->server;
        dal_fake_call call = {.conn = conn, .name = name, .deadline = deadline, .answer = &conn->answer};
        dal_fake_handler *handler;
        void *arg = NULL;
        bool implicit;
        size_t n_undos;

        call.params = request->params;
        pthread_mutex_lock(&server->lock);
        handler = dal__fake_script_locked(server, name, &arg);
        if (!conn->in_tx && conn->tx_mode)
                begin_locked(conn, DAL_ISOLATION_DEFAULT, false);
        implicit = !conn->in_tx;
        n_undos = conn->n_undos;
        conn->statement_end = conn->statement_ms > 0 ? dal_clock_after_ms(conn->statement_ms) : DAL_FOREVER;
        pthread_mutex_unlock(&server->lock);

        run_handler(&call, handler, arg);

        pthread_mutex_lock(&server->lock);
        conn->statement_end = DAL_FOREVER;
        /* Seen under the same lock that commits: a killed session's work is gone. */
        if (!call.failed && conn->killed) {
                dal__fake_error(conn, &call.error, DAL_CLASS_CONNECTION_LOST, NULL);
                call.failed = true;
        }
        if (call.failed)
                fail_locked(conn, implicit, n_undos, &call.error);
        else if (implicit)
                end_locked(conn, true);
        pthread_mutex_unlock(&server->lock);
        if (!call.failed)
                return DAL_OK;
        if (conn->answer.n_rows > 0 && !call.error.conn_gone) {
                conn->answer.fails_late = true;
                conn->answer.late = call.error;
                return DAL_OK;
        }
        *err = call.error;
        return call.error.status;
}

/* What goes ahead of COMMIT, in the same transaction; an error leaves that open. */
static dal_status write_token(fake_conn *conn, const dal_request *request, dal_deadline deadline,
                              dal_error *err)
{
        dal_request insert;
        dal_status s;

        memset(&insert, 0, sizeof insert);
        insert.kind = DAL_REQUEST_TEXT;
        insert.params = DAL_PARAMS(dal_int64(dal__fake_outcome_key(request->text)));
        s = run_statement(conn, &insert, FAKE_TOKEN_WRITE, deadline, err);
        dal__fake_answer_clear(conn->server, &conn->answer);
        return s;
}

static dal_status run_locked(fake_conn *conn, const dal_request *request, dal_error *err)
{
        switch (request->kind) {
        case DAL_REQUEST_BEGIN:
                return run_begin_locked(conn, request, err);
        case DAL_REQUEST_COMMIT:
                return run_commit_locked(conn, err);
        case DAL_REQUEST_ROLLBACK:
                end_locked(conn, false);
                return DAL_OK;
        case DAL_REQUEST_SAVEPOINT:
        case DAL_REQUEST_RELEASE:
        case DAL_REQUEST_ROLLBACK_TO:
                return run_savepoint_locked(conn, request, err);
        case DAL_REQUEST_LIMITS:
                limits_locked(conn, request);
                return DAL_OK;
        case DAL_REQUEST_MODE:
                if (conn->in_tx)
                        return dal__fake_error(conn, err, DAL_CLASS_TX_STATE,
                                               "the mode changes only while idle");
                conn->tx_mode = request->tx_mode;
                return DAL_OK;
        case DAL_REQUEST_STMT:
        case DAL_REQUEST_TEXT:
        case DAL_REQUEST_SCRIPT:
                break;
        }
        return dal_error_set(err, DAL_CLASS_INTERNAL, "a statement took the wrong turn");
}

static dal_status run(fake_conn *conn, const dal_request *request, dal_deadline deadline, dal_error *err)
{
        dal_status s;

        if (request->kind == DAL_REQUEST_STMT)
                return run_statement(conn, request, request->stmt->name, deadline, err);
        if (request->kind == DAL_REQUEST_TEXT || request->kind == DAL_REQUEST_SCRIPT)
                return run_statement(conn, request, request->text, deadline, err);
        if (request->kind == DAL_REQUEST_COMMIT && request->text) {
                s = write_token(conn, request, deadline, err);
                if (s)
                        return s;
        }
        pthread_mutex_lock(&conn->server->lock);
        if (conn->killed)
                s = dal__fake_error(conn, err, DAL_CLASS_CONNECTION_LOST, NULL);
        else
                s = run_locked(conn, request, err);
        if (s != DAL_OK && conn->in_tx && !conn->modal)
                conn->failed = true;
        pthread_mutex_unlock(&conn->server->lock);
        return s;
}

/* --- Every request ------------------------------------------------------------------------------------- */

static void describe(const dal_request *request, char *out, size_t size)
{
        static const char *const isolations[] = {"", " READ COMMITTED", " REPEATABLE READ", " SERIALIZABLE"};

        switch (request->kind) {
        case DAL_REQUEST_STMT:
                snprintf(out, size, "%s", request->stmt->name);
                break;
        case DAL_REQUEST_TEXT:
                snprintf(out, size, "%s", request->text);
                break;
        case DAL_REQUEST_SCRIPT:
                snprintf(out, size, "SCRIPT %s", request->text);
                break;
        case DAL_REQUEST_BEGIN:
                snprintf(out, size, "BEGIN%s%s", isolations[request->isolation],
                         request->read_only ? " READ ONLY" : "");
                break;
        case DAL_REQUEST_COMMIT:
                snprintf(out, size, "COMMIT");
                break;
        case DAL_REQUEST_ROLLBACK:
                snprintf(out, size, "ROLLBACK");
                break;
        case DAL_REQUEST_SAVEPOINT:
                snprintf(out, size, "SAVEPOINT %u", request->savepoint);
                break;
        case DAL_REQUEST_RELEASE:
                snprintf(out, size, "RELEASE %u", request->savepoint);
                break;
        case DAL_REQUEST_ROLLBACK_TO:
                snprintf(out, size, "ROLLBACK TO %u", request->savepoint);
                break;
        case DAL_REQUEST_LIMITS:
                snprintf(out, size, "LIMITS");
                break;
        case DAL_REQUEST_MODE:
                snprintf(out, size, "MODE %s", request->tx_mode ? "tx" : "autocommit");
                break;
        }
}

/* In a failed transaction only its end, or the way back to a savepoint, is understood. */
static bool is_refused(const fake_conn *conn, const dal_request *request)
{
        return conn->failed && request->kind != DAL_REQUEST_COMMIT && request->kind != DAL_REQUEST_ROLLBACK &&
               request->kind != DAL_REQUEST_ROLLBACK_TO;
}

/* Counts the request and sees whether the session is still there. */
static dal_status receive(fake_conn *conn, const dal_request *request, dal_deadline deadline, dal_error *err)
{
        dal_fake_server *server = conn->server;
        dal_status s = DAL_OK;

        pthread_mutex_lock(&server->lock);
        server->stats.n_requests++;
        if (conn->modal && !is_free(conn, request))
                server->stats.n_round_trips++;
        if (request->kind == DAL_REQUEST_STMT) {
                fake_stmt *stmt = request->stmt->state;
                server->stats.n_prepared += !stmt->prepared;
                stmt->prepared = true;
        }
        conn->cancel = false; /* a late cancel does not strike the next statement */
        conn->statement_end = DAL_FOREVER;
        if (conn->killed)
                s = dal__fake_error(conn, err, DAL_CLASS_CONNECTION_LOST, NULL);
        else if (dal_clock_passed(deadline))
                s = dal__fake_error(conn, err, DAL_CLASS_DEADLINE, NULL);
        else if (is_refused(conn, request))
                s = dal__fake_error(conn, err, DAL_CLASS_TX_STATE,
                                    "the transaction has failed; roll back first");
        pthread_mutex_unlock(&server->lock);
        return s;
}

/* A fault that struck: what the server did nevertheless, or what it undoes because of it. */
static void suffer(fake_conn *conn, const dal_request *request, bool executed, dal_deadline deadline,
                   dal_error *fault)
{
        dal_error ignored = DAL_ERROR_INIT;

        /* COMMIT was done in time, however late its answer is. */
        if (executed)
                (void)run(conn, request, request->kind == DAL_REQUEST_COMMIT ? DAL_FOREVER : deadline,
                          &ignored);
        if (executed && !fault->tx_gone)
                return;
        pthread_mutex_lock(&conn->server->lock);
        if (fault->tx_gone || (request->kind == DAL_REQUEST_COMMIT && !fault->conn_gone))
                end_locked(conn, false);
        else if (conn->in_tx && !conn->modal)
                conn->failed = true;
        pthread_mutex_unlock(&conn->server->lock);
}

dal_status dal__fake_execute(fake_conn *conn, const dal_request *request, dal_deadline deadline,
                             dal_error *err)
{
        char line[256];
        bool executed = false;
        dal_status s;

        describe(request, line, sizeof line);
        snprintf(conn->answer.line, sizeof conn->answer.line, "%.31s", line);
        s = receive(conn, request, deadline, err);
        if (s == DAL_OK) {
                s = dal__fake_fault(conn, DAL_FAKE_AT_REQUEST, line, deadline, &executed, err);
                if (s != DAL_OK)
                        suffer(conn, request, executed, deadline, err);
                else
                        s = run(conn, request, deadline, err);
        }
        pthread_mutex_lock(&conn->server->lock);
        dal__fake_journal_locked(conn->server, conn->number, line,
                                 s == DAL_OK ? DAL_CLASS_NONE : err->error_class);
        pthread_mutex_unlock(&conn->server->lock);
        return s;
}
