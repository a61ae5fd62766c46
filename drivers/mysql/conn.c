/* SPDX-License-Identifier: MIT */
#include "mysql_impl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <dal/drivers/mysql.h>
#include <dal/mem.h>

/* Source: MySQL protocol, COM_STMT_PREPARE: the number of parameters has 16 bits */
#define MAX_PARAMS 65535

/* ---- calls ---- */

/* A statement that was stopped at its deadline leaves the session as it was; otherwise its answer is still coming. */
static dal_status deadline_passed(dal__mysql_conn *conn, const dal__mysql_fault *fault, dal_error *err)
{
        bool alive =
                dal__mysql_was_stopped(conn) && !conn->broken && fault->code >= 1000 && fault->code < 2000;

        (void)dal_error_set(err, DAL_CLASS_DEADLINE,
                            alive ? "the deadline passed; the server stopped the statement"
                                  : "the deadline passed before the server answered");
        err->vendor_code = (int32_t)fault->code;
        err->conn_gone = !alive;
        return DAL_ERR_TIMEOUT;
}

dal_status dal__mysql_fail(dal__mysql_conn *conn, MYSQL_STMT *handle, dal_error *err)
{
        /* Connector/C leaves a failure between two rows with the connection. */
        bool own = handle && mysql_stmt_errno(handle);
        dal_error local = DAL_ERROR_INIT;
        dal__mysql_fault fault = {
                .code = own ? mysql_stmt_errno(handle) : mysql_errno(conn->mysql),
                .sqlstate = own ? mysql_stmt_sqlstate(handle) : mysql_sqlstate(conn->mysql),
                .message = own ? mysql_stmt_error(handle) : mysql_error(conn->mysql),
                .mariadb = conn->dialect == DAL_DIALECT_mariadb,
                .committing = conn->committing,
        };
        bool late =
                conn->call.timed_out || (conn->ahead_stopped && fault.code == DAL__MYSQL_ERROR_INTERRUPTED);
        dal_status s = late ? deadline_passed(conn, &fault, &local) : dal__mysql_fault_error(&fault, &local);

        conn->broken |= local.conn_gone;
        if (err)
                *err = local;
        return s;
}

dal_status dal__mysql_check_size(const dal__mysql_conn *conn, uint64_t size, dal_error *err)
{
        dal_status s;

        /* Their number, which libmysqlclient puts in front of every command. Source: CLIENT_QUERY_ATTRIBUTES */
        if (!MYSQL_IS_CONNECTOR_C)
                size += 4;
        if (size < conn->max_packet) /* measured: a packet of exactly max_allowed_packet is refused */
                return DAL_OK;
        s = dal_error_set(
                err, DAL_CLASS_PACKET_TOO_LARGE,
                "the request has %llu bytes and the server takes %llu; raise its max_allowed_packet or "
                "send less at a time",
                (unsigned long long)size, (unsigned long long)conn->max_packet);
        if (err)
                err->not_sent = true;
        return s;
}

/* ---- life ---- */

/* Asks for what later requests are checked against. */
static dal_status read_limits(dal__mysql_conn *conn, dal_deadline deadline, dal_error *err)
{
        static const char *const texts[] = {
                "SELECT @@max_allowed_packet, CONNECTION_ID(), @@max_prepared_stmt_count, "
                "CONCAT_WS('/', @@hostname, @@port, @@server_uuid), NULL",
                "SELECT @@max_allowed_packet, CONNECTION_ID(), @@max_prepared_stmt_count, "
                "CONCAT_WS('/', @@hostname, @@port, @@server_id), CURRENT_ROLE()"};
        const char *sql = texts[conn->dialect == DAL_DIALECT_mariadb];
        MYSQL_RES *rows = NULL;
        MYSQL_ROW row = NULL;
        dal_status s = DAL_OK;

        dal__mysql_begin(conn, deadline, false);
        if (mysql_real_query(conn->mysql, sql, (unsigned long)strlen(sql)) == 0)
                rows = mysql_store_result(conn->mysql);
        dal__mysql_end(conn);
        if (!rows)
                return dal__mysql_fail(conn, NULL, err);
        row = mysql_fetch_row(rows);
        if (row && row[0])
                conn->max_packet = strtoull(row[0], NULL, 10);
        /* The greeting has room for 32 bits of the number only. */
        if (row && row[1])
                conn->session_id = strtoull(row[1], NULL, 10);
        if (row && row[2])
                conn->max_prepared = (uint32_t)strtoul(row[2], NULL, 10);
        if (row && row[3])
                conn->server = dal_driver_server_number(row[3]);
        if (row && row[4] && !(conn->role = dal_mem_strdup(row[4], strlen(row[4]))))
                s = dal_error_set(err, DAL_CLASS_NO_MEMORY, "out of memory for a connection");
        mysql_free_result(rows);
        return s;
}

static dal_status find_facts(dal__mysql_conn *conn, dal_error *err)
{
        const char *version = mysql_get_server_info(conn->mysql);

        if (!version)
                return dal_error_set(err, DAL_CLASS_CONNECT_FAILED, "%s: the server gave no version",
                                     conn->target->name);
        conn->dialect = strstr(version, "MariaDB") ? DAL_DIALECT_mariadb : DAL_DIALECT_mysql;
        conn->session_id = mysql_thread_id(conn->mysql);
        conn->max_packet = UINT32_MAX;
        return DAL_OK;
}

static dal_status mysql_slot_open(void *state, const dal_open_args *args, dal_deadline deadline,
                                  dal_error *err)
{
        dal__mysql_conn *conn = state;
        dal_status s;

        conn->generation = 1;
        if (!dal__mysql_library_start())
                return dal_error_set(err, DAL_CLASS_NO_MEMORY, "the MySQL client library can't be started");
        s = dal__mysql_target_new(args, deadline, &conn->target, err);
        if (s)
                return s;
        conn->watchdog = dal__mysql_watchdog_new();
        if (!conn->watchdog && !MYSQL_IS_CONNECTOR_C)
                return dal_error_set(err, DAL_CLASS_OUT_OF_RESOURCES, "no thread is free for a connection");
        s = dal__mysql_session_open(conn->target, &conn->watchdog, deadline, &conn->mysql, err);
        if (s)
                return s;
        dal__mysql_shortcut_take(conn);
        conn->call.watchdog = conn->watchdog;
        conn->call.tls = mysql_get_ssl_cipher(conn->mysql) != NULL;
        conn->tx_mode = args->tx_mode;
        conn->takes_several = true; /* as it connects */
        conn->opened_at = dal_clock_now();
        conn->statements = args->statements;
        s = find_facts(conn, err);
        if (s == DAL_OK)
                s = dal__mysql_tx_setup(conn, deadline, err);
        return s ? s : read_limits(conn, deadline, err);
}

static void mysql_slot_close(void *state)
{
        dal__mysql_conn *conn = state;

        dal__mysql_session_close(conn->mysql);
        conn->mysql = NULL;
        dal__mysql_shortcut_free(conn);
        dal__mysql_stmt_free_all(conn);
        dal__mysql_text_free(conn);
        dal__mysql_watchdog_free(conn->watchdog);
        dal__mysql_target_release(conn->target);
        dal_mem_free(conn->queue);
        dal_mem_free(conn->role);
        memset(conn, 0, sizeof *conn);
}

/*
 * A reset leaves the role that the last user went to, on both servers: measured. MySQL knows which ones the account
 * begins with; MariaDB is told.
 */
static dal_status give_up_role(dal__mysql_conn *conn, dal_deadline deadline, dal_error *err)
{
        char sql[600] = "SET ROLE DEFAULT"; /* a role's name has at most 128 characters of 4 bytes */
        size_t n = strlen(sql);

        if (conn->dialect == DAL_DIALECT_mariadb && conn->role) {
                n = (size_t)snprintf(sql, sizeof sql, "SET ROLE `");
                for (const char *at = conn->role; *at && n < sizeof sql - 3; at++) {
                        if (*at == '`')
                                sql[n++] = '`';
                        sql[n++] = *at;
                }
                sql[n++] = '`';
        } else if (conn->dialect == DAL_DIALECT_mariadb) {
                n = (size_t)snprintf(sql, sizeof sql, "SET ROLE NONE");
        }
        return dal__mysql_tx_text(conn, sql, n, false, deadline, err);
}

static dal_status mysql_slot_reset(void *state, dal_deadline deadline, dal_error *err)
{
        dal__mysql_conn *conn = state;
        dal_status s = dal__mysql_rows_end(conn, deadline, err);
        int rc;

        if (s)
                return s;
        dal__mysql_begin(conn, deadline, false);
        rc = mysql_reset_connection(conn->mysql);
        dal__mysql_end(conn);
        if (rc)
                return dal__mysql_fail(conn, NULL, err);
        /* The server has dropped the prepared statements; each is prepared anew when it is next used. */
        conn->generation++;
        conn->tx_open = conn->in_trans = conn->limits_changed = false;
        s = dal__mysql_tx_setup(conn, deadline, err);
        return s ? s : give_up_role(conn, deadline, err);
}

static dal_status mysql_slot_ping(void *state, dal_deadline deadline, dal_error *err)
{
        dal__mysql_conn *conn = state;
        int rc;

        dal__mysql_begin(conn, deadline, false);
        rc = mysql_ping(conn->mysql);
        dal__mysql_end(conn);
        return rc ? dal__mysql_fail(conn, NULL, err) : DAL_OK;
}

static dal_status mysql_slot_cancel(void *state, dal_deadline deadline, dal_error *err)
{
        const dal__mysql_conn *conn = state;

        return dal__mysql_stop(conn->target, conn->session_id, conn->opened_at, deadline, err);
}

/* ---- requests ---- */

static bool may_be_refused(const dal_value *value)
{
        const unsigned types = 1u << DAL_TYPE_DOUBLE | 1u << DAL_TYPE_DECIMAL | 1u << DAL_TYPE_TIMESTAMP |
                               1u << DAL_TYPE_DATE;

        return (1u << value->type & types) != 0;
}

static inline dal_status check_values(const dal_request *request, dal_error *err)
{
        const dal_value *values = request->params.values;

        for (size_t i = 0; i < request->params.n_values; i++) {
                if (may_be_refused(&values[i]) && dal__mysql_params_check(&values[i], i, err))
                        return DAL_ERR_RANGE;
        }
        return DAL_OK;
}

static dal_status mysql_slot_queue(void *state, const dal_request *request, dal_error *err)
{
        dal__mysql_conn *conn = state;

        if (check_values(request, err))
                return DAL_ERR_RANGE;
        if (conn->i_next == conn->n_queue)
                conn->i_next = conn->n_queue = conn->i_ahead = conn->n_folded = 0;
        if (conn->n_queue == conn->queue_room) {
                size_t n = conn->queue_room ? 2 * conn->queue_room : 16;
                dal__mysql_entry *grown = dal_mem_resize(conn->queue, n, sizeof *grown);

                if (!grown)
                        return dal_error_set(err, DAL_CLASS_NO_MEMORY, "out of memory for %zu requests", n);
                conn->queue = grown;
                conn->queue_room = n;
        }
        conn->queue[conn->n_queue].request = request;
        conn->queue[conn->n_queue].flush = conn->n_flushes + 1;
        conn->n_queue++;
        return DAL_OK;
}

DAL_NOINLINE static dal_status send_ahead(dal__mysql_conn *conn, dal_deadline deadline, dal_error *err)
{
        dal_error local = DAL_ERROR_INIT;

        return dal__mysql_ahead_send(conn, deadline, err ? err : &local);
}

/* What is not sent here is sent when its result is asked for. */
static dal_status mysql_slot_flush(void *state, dal_deadline deadline, dal_error *err)
{
        dal__mysql_conn *conn = state;
        size_t n = conn->n_queue - conn->i_next;

        conn->n_flushes++;
        if (n > 1 || (n == 1 && conn->queue[conn->i_next].request->send_early))
                return send_ahead(conn, deadline, err);
        return DAL_OK;
}

static dal_status run_script(dal__mysql_conn *conn, const dal_request *request, dal_deadline deadline,
                             dal_error *err)
{
        dal_status s = dal__mysql_check_size(conn, request->text_size + 1, err);

        if (s == DAL_OK)
                s = dal__mysql_tx_take_one(conn, request->text, request->text_size, deadline, err);
        if (s == DAL_OK)
                s = dal__mysql_tx_text(conn, request->text, request->text_size, true, deadline, err);
        if (s == DAL_OK)
                s = dal__mysql_tx_after_success(conn, err);
        else
                dal__mysql_tx_after_failure(conn, request->text, deadline, err);
        return s;
}

static inline dal_status run_request(dal__mysql_conn *conn, const dal_request *request, dal_deadline deadline,
                                     dal_result *out, dal_error *err)
{
        dal_status s;

        switch (request->kind) {
        case DAL_REQUEST_STMT:
        case DAL_REQUEST_TEXT:
                s = dal__mysql_stmt_run(conn, request, deadline, out, err);
                break;
        case DAL_REQUEST_SCRIPT:
                s = run_script(conn, request, deadline, err);
                break;
        default:
                return dal__mysql_tx_run(conn, request, deadline, err);
        }
        if (s || !conn->tx_open || conn->in_trans || out->has_rows)
                return s;
        return dal__mysql_tx_after_first(
                conn, request->kind == DAL_REQUEST_STMT ? request->stmt->text : request->text, err);
}

DAL_COLD static dal_status refuse(dal_error *err, dal_error_class error_class, const char *why)
{
        dal_status s = dal_error_set(err, error_class, "%s", why);

        err->not_sent = true;
        return s;
}

/* Says whether the oldest request without a result is on its way. */
static inline bool is_sent(const dal__mysql_conn *conn)
{
        return conn->i_ahead > conn->i_next;
}

/* Runs the next request, or takes the answer of one that was sent ahead. Others may be sent behind it. */
static dal_status run_next(dal__mysql_conn *conn, dal__mysql_entry *entry, dal_deadline deadline,
                           dal_result *out, dal_error *err)
{
        dal_status s = DAL_OK;
        size_t n_folded = 0;
        bool sent;

        if (conn->n_queue - conn->i_next > 1 && entry->request->kind == DAL_REQUEST_STMT) {
                if (entry->request->unwatched && !is_sent(conn))
                        s = dal__mysql_fold_run(conn, &n_folded, deadline, err);
                if (s == DAL_OK && n_folded == 0)
                        s = dal__mysql_ahead_send(conn, deadline, err);
        }
        sent = is_sent(conn);
        conn->i_next++;
        if (n_folded) {
                conn->n_folded = s ? 0 : n_folded - 1;
                return s;
        }
        if (s)
                return s;
        return sent ? dal__mysql_ahead_receive(conn, entry, deadline, out, err)
                    : run_request(conn, entry->request, deadline, out, err);
}

static dal_status take_result(dal__mysql_conn *conn, dal_deadline deadline, dal_result *out, dal_error *err)
{
        dal__mysql_entry *entry = &conn->queue[conn->i_next];
        size_t i = conn->i_next;
        bool sent = is_sent(conn);
        dal_status s;

        if (conn->i_next == conn->n_queue || entry->flush > conn->n_flushes)
                return refuse(err, DAL_CLASS_STATE,
                              "a result was asked for that no flushed request will give");
        if (entry->flush == conn->failed_flush && !entry->request->independent) {
                conn->i_next++;
                return refuse(err, DAL_CLASS_NOT_EXECUTED, "skipped because an earlier request failed");
        }
        if (conn->n_folded) {
                conn->n_folded--;
                conn->i_next++;
                out->joined = true;
                return DAL_OK;
        }
        if (conn->broken) {
                s = refuse(err, DAL_CLASS_CONNECTION_LOST, "the connection is lost");
                err->not_sent = !sent;
        } else if (!sent && entry->flush == conn->started_flush &&
                   dal_clock_passed(deadline)) { /* the caller saw to the first */
                s = refuse(err, DAL_CLASS_DEADLINE, "the deadline passed before anything was sent");
        } else if (!conn->current || (s = dal__mysql_rows_end(conn, deadline, err)) == DAL_OK) {
                s = run_next(conn, entry, deadline, out, err);
        }
        conn->i_next = i + 1;
        conn->started_flush = entry->flush;
        if (s) {
                conn->failed_flush = entry->flush;
                err->conn_gone |= conn->broken;
        }
        return s;
}

static dal_status mysql_slot_result(void *state, dal_deadline deadline, dal_result *out, dal_error *err)
{
        memset(out, 0, sizeof *out);
        if (!err) {
                dal_error local = DAL_ERROR_INIT;
                return take_result(state, deadline, out, &local);
        }
        return take_result(state, deadline, out, err);
}

static dal_status mysql_slot_run(void *state, const dal_request *request, dal_deadline deadline,
                                 dal_result *out, dal_error *err)
{
        dal__mysql_conn *conn = state;
        dal_status s = check_values(request, err);

        if (s) {
                err->not_sent = true;
                return s;
        }
        if (conn->broken)
                s = refuse(err, DAL_CLASS_CONNECTION_LOST, "the connection is lost");
        else if (!conn->current || (s = dal__mysql_rows_end(conn, deadline, err)) == DAL_OK)
                s = run_request(conn, request, deadline, out, err);
        if (s)
                err->conn_gone |= conn->broken;
        else if (out->has_rows)
                dal__mysql_rows_first(conn, out);
        return s;
}

static const char *mysql_slot_column(void *state, uint32_t i_column)
{
        const dal__mysql_conn *conn = state;

        return conn->current ? dal__mysql_bind_name(conn->current, i_column) : NULL;
}

static dal_tx_state mysql_slot_tx_state(void *state)
{
        const dal__mysql_conn *conn = state;

        if (!conn->mysql || conn->broken || (conn->current && conn->streaming && !conn->finished) ||
            is_sent(conn))
                return DAL_TX_STATE_UNKNOWN;
        /* With autocommit off a transaction is open from BEGIN on, though the server says so at its first statement. */
        return conn->in_trans || conn->tx_open ? DAL_TX_STATE_ACTIVE : DAL_TX_STATE_IDLE;
}

static void mysql_slot_stmt_close(void *state, dal_driver_stmt *stmt)
{
        dal__mysql_stmt_state *kept = stmt->state;

        if (kept->stmt)
                dal__mysql_stmt_retire(state, kept->stmt);
        kept->stmt = NULL;
}

static void mysql_slot_info(void *state, dal_driver_info *out)
{
        static const char compatible[] = "5.5.5-"; /* MariaDB's greeting to clients older than itself */
        const dal__mysql_conn *conn = state;
        const char *version = mysql_get_server_info(conn->mysql);
        bool mariadb = conn->dialect == DAL_DIALECT_mariadb;

        memset(out, 0, sizeof *out);
        if (mariadb && strncmp(version, compatible, sizeof compatible - 1) == 0)
                version += sizeof compatible - 1;
        out->dialect = conn->dialect;
        (void)snprintf(out->engine, sizeof out->engine, "%s", mariadb ? "mariadb" : "mysql");
        (void)snprintf(out->version, sizeof out->version, "%s", version);
        (void)snprintf(out->client, sizeof out->client, "%s %s",
                       MYSQL_IS_CONNECTOR_C ? "libmariadb" : "libmysqlclient", mysql_get_client_info());
        out->session_id = conn->session_id;
        out->server = conn->server;
        out->tls = conn->call.tls;
        out->max_prepared = conn->max_prepared;
}

static dal_status mysql_slot_fetch(void *state, dal_deadline deadline, const dal_value **cells_out,
                                   dal_error *err)
{
        return dal__mysql_rows_fetch(state, deadline, cells_out, err);
}

static dal_status mysql_slot_discard(void *state, dal_deadline deadline, dal_error *err)
{
        return dal__mysql_rows_end(state, deadline, err);
}

static const dal_driver driver = {
        .struct_size = sizeof(dal_driver),
        .caps = DAL_CAP_SAVEPOINT | DAL_CAP_TWO_PHASE | DAL_CAP_TX_MODE | DAL_CAP_UINT64 | DAL_CAP_CREATE_DB |
                DAL_CAP_UNNAMED | DAL_CAP_TEXT,
        .name = "mysql",
        .schemes = "mysql mariadb",
        .keys = "socket server_public_key statements",
        .inherited_keys = "server_public_key statements",
        .placeholder = DAL_PLACEHOLDER_QUESTION,
        .sql_syntax = DAL_SQL_BACKSLASH_ESCAPES | DAL_SQL_HASH_COMMENTS | DAL_SQL_BACKTICKS |
                      DAL_SQL_DASH_NEEDS_SPACE,
        .lock_update = " FOR UPDATE",
        .lock_share = " LOCK IN SHARE MODE", /* the one form that both servers know */
        .max_params = MAX_PARAMS,
        .bulk_rows = 1000,
        .conn_size = sizeof(dal__mysql_conn),
        .stmt_size = sizeof(dal__mysql_stmt_state),
        .open = mysql_slot_open,
        .close = mysql_slot_close,
        .reset = mysql_slot_reset,
        .ping = mysql_slot_ping,
        .cancel = mysql_slot_cancel,
        .queue = mysql_slot_queue,
        .flush = mysql_slot_flush,
        .result = mysql_slot_result,
        .fetch = mysql_slot_fetch,
        .run = mysql_slot_run,
        .discard = mysql_slot_discard,
        .column = mysql_slot_column,
        .readiness = dal__mysql_ahead_readiness,
        .tx_state = mysql_slot_tx_state,
        .stmt_close = mysql_slot_stmt_close,
        .info = mysql_slot_info,
        .token_query = dal__mysql_tx_token_query,
        .end_session = dal__mysql_tx_end_session,
};

const dal_driver *dal_driver_mysql(void)
{
        return &driver;
}
