/* SPDX-License-Identifier: MIT */
/* Life of a connection, and the driver's table at the foot. */

#include <dal/drivers/postgres.h>

#include "postgres_impl.h"

#include <stdio.h>
#include <string.h>

#include <dal/mem.h>

static dal_status pg_open(void *state, const dal_open_args *args, dal_deadline deadline, dal_error *err)
{
        dal__postgres_conn *conn = state;
        dal_status s;

        conn->statements = args->statements;
        conn->params.as_text = args->statements == DAL_STATEMENTS_TEXT;
        if (args->statements == DAL_STATEMENTS_UNNAMED) {
                conn->statement_timeout_ms = args->statement_timeout_ms;
                conn->lock_timeout_ms = args->lock_timeout_ms;
        }
        s = dal__postgres_connect(conn, args, deadline, err);
        if (s)
                return s;
        conn->tls = PQsslInUse(conn->pg) != 0;
        s = dal__postgres_cancel_new(conn->pg, &conn->cancel, err);
        if (s && err)
                err->conn_gone = err->not_sent = true;
        return s;
}

static void pg_close(void *state)
{
        dal__postgres_conn *conn = state;

        dal__postgres_drop_rows(conn);
        dal__postgres_cancel_free(conn->cancel);
        PQfinish(conn->pg);
        while (conn->prepared) {
                dal__postgres_prepared *next = conn->prepared->next;

                if (conn->prepared->owner)
                        *conn->prepared->owner = NULL;
                PQclear(conn->prepared->failure);
                dal_mem_free(conn->prepared);
                conn->prepared = next;
        }
        dal__postgres_params_free(&conn->params);
        dal_mem_free(conn->closing);
        dal_mem_free(conn->items);
        dal_mem_free(conn->columns);
        dal_mem_free(conn->cells);
        dal_mem_free(conn->text);
        memset(conn, 0, sizeof *conn);
}

/*
 * DISCARD ALL but for the prepared statements, which are ours. The session's own settings came with the start of
 * the connection and RESET ALL goes back to them, but for a time zone that PGTZ in the environment had put there.
 */
static dal_status reset_session(dal__postgres_conn *conn, dal_deadline deadline, dal_error *err)
{
        return dal__postgres_simple(conn,
                                    "CLOSE ALL; SET SESSION AUTHORIZATION DEFAULT; RESET ALL; "
                                    "SET timezone = 'UTC'; UNLISTEN *; "
                                    "SELECT pg_catalog.pg_advisory_unlock_all(); DISCARD TEMP; "
                                    "DISCARD SEQUENCES",
                                    deadline, err);
}

/*
 * In the mode "unnamed" the session is somebody else's by now: to reset it would take from them what is
 * theirs. What the pooler carries along for us, and a function may have changed, is looked at.
 */
static dal_status pg_reset(void *state, dal_deadline deadline, dal_error *err)
{
        dal__postgres_conn *conn = state;
        PGnotify *notify;
        dal_status s = DAL_OK;

        if (conn->statements != DAL_STATEMENTS_UNNAMED)
                s = reset_session(conn, deadline, err);
        if (s == DAL_OK)
                s = dal__postgres_set_styles(conn, deadline, err);
        /* What the last user listened for and did not take would be kept for the life of the connection. */
        while ((notify = PQnotifies(conn->pg)) != NULL)
                PQfreemem(notify);
        return s;
}

/* An empty query: the server answers it without a transaction. */
static dal_status pg_ping(void *state, dal_deadline deadline, dal_error *err)
{
        return dal__postgres_simple(state, "", deadline, err);
}

static dal_status pg_cancel(void *state, dal_deadline deadline, dal_error *err)
{
        dal__postgres_conn *conn = state;

        atomic_store_explicit(&conn->cancel_sent, true, memory_order_relaxed);
        return dal__postgres_cancel_send(conn->cancel, deadline, err);
}

static int pg_readiness(void *state, bool *want_write_out)
{
        dal__postgres_conn *conn = state;

        *want_write_out = false; /* flush has sent all */
        /* What has arrived already is not announced by poll() again. */
        if (!conn->pg || conn->broken || !conn->open || conn->i_row < conn->n_rows ||
            dal__postgres_is_ready(conn, 0))
                return -1;
        return PQsocket(conn->pg);
}

static dal_tx_state pg_tx_state(void *state)
{
        dal__postgres_conn *conn = state;

        if (!conn->pg || conn->broken || conn->open)
                return DAL_TX_STATE_UNKNOWN;
        switch (conn->state) {
        case PQTRANS_IDLE:
                return DAL_TX_STATE_IDLE;
        case PQTRANS_INTRANS:
                return DAL_TX_STATE_ACTIVE;
        case PQTRANS_INERROR:
                return DAL_TX_STATE_FAILED;
        case PQTRANS_ACTIVE:
        case PQTRANS_UNKNOWN:
                break;
        }
        return DAL_TX_STATE_UNKNOWN;
}

static void pg_info(void *state, dal_driver_info *out)
{
        dal__postgres_conn *conn = state;
        const char *version = PQparameterStatus(conn->pg, "server_version");
        const char *address = PQhostaddr(conn->pg);
        int library = PQlibVersion();
        char server[128];

        memset(out, 0, sizeof *out);
        out->dialect = DAL_DIALECT_postgres;
        snprintf(out->engine, sizeof out->engine, "postgresql");
        snprintf(out->version, sizeof out->version, "%s", version ? version : "");
        snprintf(out->client, sizeof out->client, "libpq %d.%d", library / 10000, library % 10000);
        out->session_id = (uint32_t)PQbackendPID(conn->pg); /* a pooler makes up any 32 bits */
        /* The system identifier is the same on a standby, and to ask for it would cost a round trip. */
        snprintf(server, sizeof server, "%s/%s", address && address[0] ? address : PQhost(conn->pg),
                 PQport(conn->pg));
        out->server = dal_driver_server_number(server);
        out->tls = conn->tls;
}

static const dal_driver driver = {
        .struct_size = sizeof(dal_driver),
        .caps = DAL_CAP_PIPELINE | DAL_CAP_SAVEPOINT | DAL_CAP_RETURNING | DAL_CAP_TWO_PHASE |
                DAL_CAP_TX_DDL | DAL_CAP_NAN | DAL_CAP_CREATE_DB | DAL_CAP_UNNAMED | DAL_CAP_TEXT,
        .name = "postgres",
        .schemes = "postgres postgresql",
        .keys = "schema statements",
        .inherited_keys = "statements",
        .placeholder = DAL_PLACEHOLDER_DOLLAR,
        .sql_syntax = DAL_SQL_DOLLAR_QUOTES | DAL_SQL_NESTED_COMMENTS | DAL_SQL_E_STRINGS,
        .lock_update = " FOR UPDATE",
        .lock_share = " FOR SHARE",
        .max_params =
                65535, /* Source: protocol, Bind: Int16 number of parameters; libpq PQ_QUERY_PARAM_MAX_LIMIT */
        .bulk_rows = 100, /* for what COPY can not take */
        .conn_size = sizeof(dal__postgres_conn),
        .stmt_size = sizeof(dal__postgres_prepared *),
        .open = pg_open,
        .close = pg_close,
        .reset = pg_reset,
        .ping = pg_ping,
        .cancel = pg_cancel,
        .queue = dal__postgres_queue,
        .flush = dal__postgres_flush,
        .result = dal__postgres_result,
        .fetch = dal__postgres_fetch,
        .discard = dal__postgres_discard,
        .column = dal__postgres_column_name,
        .readiness = pg_readiness,
        .tx_state = pg_tx_state,
        .stmt_close = dal__postgres_stmt_close,
        .info = pg_info,
        .token_query = dal__postgres_token_query,
        .end_session = dal__postgres_end_session,
        .number_query = dal__postgres_number_query,
        .bulk = dal__postgres_bulk,
        .run = dal__postgres_run,
};

const dal_driver *dal_driver_postgres(void)
{
        return &driver;
}
