/* SPDX-License-Identifier: MIT */
/* Life of a connection, and the driver's tables at the foot. */

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fake_impl.h"

static dal_fake_server *server_of(const dal_dsn *dsn, dal_error *err)
{
        const char *text = dal_dsn_get(dsn, "fake");
        char *end = NULL;
        uintptr_t address = text ? (uintptr_t)strtoull(text, &end, 16) : 0;

        if (address == 0 || !end || *end != '\0') {
                dal_error_set(err, DAL_CLASS_ARGUMENT,
                              "a fake URL needs the key fake with a server's address: use dal_fake_url()");
                return NULL;
        }
        return (dal_fake_server *)address;
}

/* The refusals that a real server or network would give. */
static dal_status admit_locked(fake_conn *conn, dal_error *err)
{
        dal_fake_server *server = conn->server;

        if (server->down) {
                server->stats.n_refused++;
                return dal__fake_error(conn, err, DAL_CLASS_CONNECT_FAILED, "the server is down");
        }
        conn->number = ++server->n_sessions;
        conn->next = server->sessions;
        server->sessions = conn;
        server->stats.n_opened++;
        server->stats.statement_timeout_ms = conn->statement_ms;
        server->stats.lock_timeout_ms = conn->lock_ms;
        dal__fake_journal_locked(server, conn->number, "OPEN", DAL_CLASS_NONE);
        return DAL_OK;
}

static dal_status open_any(fake_conn *conn, const dal_open_args *args, dal_deadline deadline, dal_error *err)
{
        dal_fake_server *server = server_of(args->dsn, err);
        bool executed;
        dal_status s;

        if (!server)
                return DAL_ERR_ARG;
        conn->server = server;
        conn->tx_mode = conn->modal && args->tx_mode;
        conn->session_statement_ms = conn->statement_ms = args->statement_timeout_ms;
        conn->session_lock_ms = conn->lock_ms = args->lock_timeout_ms;
        conn->statement_end = DAL_FOREVER;
        s = dal__fake_fault(conn, DAL_FAKE_AT_OPEN, "OPEN", deadline, &executed, err);
        pthread_mutex_lock(&server->lock);
        if (s == DAL_OK)
                s = admit_locked(conn, err);
        else
                server->stats.n_refused++;
        pthread_mutex_unlock(&server->lock);
        if (s != DAL_OK)
                conn->server = NULL;
        return s;
}

static dal_status fake_open(void *state, const dal_open_args *args, dal_deadline deadline, dal_error *err)
{
        return open_any(state, args, deadline, err);
}

static dal_status fakemodal_open(void *state, const dal_open_args *args, dal_deadline deadline,
                                 dal_error *err)
{
        fake_conn *conn = state;

        conn->modal = true;
        return open_any(conn, args, deadline, err);
}

static void fake_close(void *state)
{
        fake_conn *conn = state;
        dal_fake_server *server = conn->server;

        if (server) {
                pthread_mutex_lock(&server->lock);
                dal__fake_session_end_locked(conn);
                for (fake_conn **at = &server->sessions; *at; at = &(*at)->next) {
                        if (*at == conn) {
                                *at = conn->next;
                                break;
                        }
                }
                server->stats.n_closed++;
                dal__fake_journal_locked(server, conn->number, "CLOSE", DAL_CLASS_NONE);
                pthread_mutex_unlock(&server->lock);
                dal__fake_answer_clear(server, &conn->answer);
        }
        dal_mem_free(conn->answer.rows);
        dal_mem_free(conn->undos);
        dal_mem_free(conn->queue);
        memset(conn, 0, sizeof *conn);
}

/* A round trip without a request: RESET, PING. */
static dal_status exchange(fake_conn *conn, dal_fake_point at, const char *line, dal_deadline deadline,
                           dal_error *err)
{
        dal_fake_server *server = conn->server;
        dal_error own = DAL_ERROR_INIT;
        bool executed;
        dal_status s = dal__fake_fault(conn, at, line, deadline, &executed, &own);

        pthread_mutex_lock(&server->lock);
        server->stats.n_round_trips++;
        if (s == DAL_OK && conn->killed)
                s = dal__fake_error(conn, &own, DAL_CLASS_CONNECTION_LOST, NULL);
        if (own.conn_gone) {
                conn->lost = true;
                dal__fake_session_end_locked(conn);
        }
        dal__fake_journal_locked(server, conn->number, line, own.error_class);
        pthread_mutex_unlock(&server->lock);
        if (s != DAL_OK && err)
                *err = own;
        return s;
}

static dal_status fake_reset(void *state, dal_deadline deadline, dal_error *err)
{
        fake_conn *conn = state;
        dal_status s = exchange(conn, DAL_FAKE_AT_RESET, "RESET", deadline, err);

        if (s != DAL_OK)
                return s;
        pthread_mutex_lock(&conn->server->lock);
        dal__fake_session_end_locked(conn);
        conn->setting = 0;
        conn->statement_ms = conn->session_statement_ms;
        conn->lock_ms = conn->session_lock_ms;
        pthread_mutex_unlock(&conn->server->lock);
        return DAL_OK;
}

static dal_status fake_ping(void *state, dal_deadline deadline, dal_error *err)
{
        return exchange(state, DAL_FAKE_AT_PING, "PING", deadline, err);
}

/* The only slot that another thread may call: it touches the session only, under the server's lock. */
static dal_status fake_cancel(void *state, dal_deadline deadline, dal_error *err)
{
        fake_conn *conn = state;
        dal_fake_server *server = conn->server;
        dal_fake_fault fault;
        dal_status s = DAL_OK;

        (void)deadline;
        pthread_mutex_lock(&server->lock);
        if (dal__fake_fault_locked(server, DAL_FAKE_AT_CANCEL, "CANCEL", &fault))
                s = dal__fake_error_of_fault(conn, &fault, err);
        else
                conn->cancel = true;
        dal__fake_journal_locked(server, conn->number, "CANCEL",
                                 s == DAL_OK ? DAL_CLASS_NONE : fault.error_class);
        pthread_cond_broadcast(&server->changed);
        pthread_mutex_unlock(&server->lock);
        return s;
}

static int fake_readiness(void *state, bool *want_write_out)
{
        const fake_conn *conn = state;
        struct pollfd gate = {-1, POLLIN, 0};

        *want_write_out = false;
        pthread_mutex_lock(&conn->server->lock);
        gate.fd = conn->server->gate;
        pthread_mutex_unlock(&conn->server->lock);
        return gate.fd < 0 || poll(&gate, 1, 0) != 0 ? -1 : gate.fd;
}

static dal_tx_state fake_tx_state(void *state)
{
        fake_conn *conn = state;
        dal_tx_state said = DAL_TX_STATE_IDLE;

        if (conn->lost || !conn->server)
                return DAL_TX_STATE_UNKNOWN;
        if (conn->i_queue < conn->n_queue || conn->answer.i_row < conn->answer.n_rows ||
            conn->answer.fails_late)
                return DAL_TX_STATE_UNKNOWN;
        pthread_mutex_lock(&conn->server->lock);
        if (conn->in_tx)
                said = conn->failed ? DAL_TX_STATE_FAILED : DAL_TX_STATE_ACTIVE;
        pthread_mutex_unlock(&conn->server->lock);
        return said;
}

static void fake_info(void *state, dal_driver_info *out)
{
        const fake_conn *conn = state;

        memset(out, 0, sizeof *out);
        pthread_mutex_lock(&conn->server->lock);
        out->dialect = conn->server->dialect;
        out->max_prepared = conn->server->max_prepared;
        out->server = conn->server->identity;
        pthread_mutex_unlock(&conn->server->lock);
        snprintf(out->engine, sizeof out->engine, "%s", conn->modal ? "fakemodal" : "fake");
        snprintf(out->version, sizeof out->version, "1");
        snprintf(out->client, sizeof out->client, "dal fake");
        out->session_id = conn->number;
}

static const char *fake_token_query(void *state)
{
        const fake_conn *conn = state;
        bool has;

        pthread_mutex_lock(&conn->server->lock);
        has = conn->server->has_outcomes;
        pthread_mutex_unlock(&conn->server->lock);
        return has ? FAKE_TOKEN_QUERY : NULL;
}

/* It knows of no age: its numbers are not used again. */
static dal_status fake_end_session(void *state, uint64_t session_id, uint32_t min_age_ms,
                                   dal_deadline deadline, dal_error *err)
{
        const fake_conn *conn = state;

        (void)min_age_ms;
        (void)deadline;
        (void)err;
        pthread_mutex_lock(&conn->server->lock);
        dal__fake_journal_locked(conn->server, conn->number, "END SESSION", DAL_CLASS_NONE);
        pthread_mutex_unlock(&conn->server->lock);
        dal_fake_kill(conn->server, session_id);
        return DAL_OK;
}

#define FAKE_SLOTS                                                                                           \
        .conn_size = sizeof(fake_conn), .stmt_size = sizeof(fake_stmt), .close = fake_close,                 \
        .reset = fake_reset, .ping = fake_ping, .cancel = fake_cancel, .queue = dal__fake_queue,             \
        .flush = dal__fake_flush, .result = dal__fake_result, .fetch = dal__fake_fetch,                      \
        .discard = dal__fake_discard, .column = dal__fake_column, .readiness = fake_readiness,               \
        .tx_state = fake_tx_state, .stmt_close = dal__fake_stmt_close, .info = fake_info,                    \
        .token_query = fake_token_query, .end_session = fake_end_session

static const dal_driver fake_driver = {
        .struct_size = sizeof(dal_driver),
        .caps = DAL_CAP_PIPELINE | DAL_CAP_SAVEPOINT | DAL_CAP_RETURNING | DAL_CAP_TX_DDL | DAL_CAP_UINT64 |
                DAL_CAP_NAN | DAL_CAP_CURSORS,
        .name = "fake",
        .schemes = "fake",
        .keys = "fake",
        .placeholder = DAL_PLACEHOLDER_QUESTION,
        .sql_syntax = DAL_SQL_DOLLAR_QUOTES | DAL_SQL_NESTED_COMMENTS,
        .max_params = 65535,
        .open = fake_open,
        FAKE_SLOTS,
        /* Optional: the other kind shows how it is without. */
        .run = dal__fake_run,
        .aside_size = sizeof(fake_aside),
        .swap = dal__fake_swap,
        .drop = dal__fake_drop,
};

static const dal_driver fakemodal_driver = {
        .struct_size = sizeof(dal_driver),
        .caps = DAL_CAP_SAVEPOINT | DAL_CAP_TX_MODE | DAL_CAP_UINT64,
        .name = "fakemodal",
        .schemes = "fakemodal",
        .keys = "fake",
        .placeholder = DAL_PLACEHOLDER_QUESTION,
        .sql_syntax = DAL_SQL_BACKSLASH_ESCAPES | DAL_SQL_HASH_COMMENTS | DAL_SQL_BACKTICKS,
        .max_params = 65535,
        .open = fakemodal_open,
        FAKE_SLOTS,
};

const dal_driver *dal_driver_fake(void)
{
        return &fake_driver;
}

const dal_driver *dal_driver_fake_modal(void)
{
        return &fakemodal_driver;
}
