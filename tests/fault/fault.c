/* SPDX-License-Identifier: MIT */
/* The hand that strikes, for each kind of server. */

#include "fault.h"

/*
 * The sessions of one run are told from others' by the service name or the database, both named after its
 * place.
 */
static const dal_stmt sessions = DAL_STMT(
        "sessions", "SELECT 0 AS id WHERE 1 = 0",
        .postgres = "SELECT pid::bigint FROM pg_stat_activity WHERE pid <> pg_backend_pid() "
                    "AND application_name = ?",
        /* Not the process list: it converts the texts of all sessions, and fails (3854) at a binary value in one. */
        .mysql = "SELECT processlist_id FROM performance_schema.threads "
                 "WHERE processlist_id <> CONNECTION_ID() AND processlist_db = ?",
        .mariadb = "SELECT id FROM information_schema.processlist WHERE id <> CONNECTION_ID() AND db = ?");

static dal_status kill_one(struct conf *c, dal_conn *conn, int64_t id, dal_error *err)
{
        char sql[64];

        if (c->q->dialect == DAL_DIALECT_postgres)
                snprintf(sql, sizeof sql, "SELECT pg_terminate_backend(%lld)", (long long)id);
        else
                snprintf(sql, sizeof sql, "KILL %lld", (long long)id);
        return dal_conn_exec_dynamic(conn, sql, DAL_NO_PARAMS, SOON, NULL, err);
}

void fault_kill(struct conf *c, uint64_t session_id)
{
        dal_error err = DAL_ERROR_INIT;

        if (c->server) {
                dal_fake_kill(c->server, session_id);
                return;
        }
        if (kill_one(c, c->conn, (int64_t)session_id, &err) != DAL_OK)
                print_error("can't kill session %d: %s\n", (int)session_id, err.message);
        conf_sleep_ms(100);
}

void fault_kill_others(struct conf *c)
{
        int64_t ids[64];
        size_t n = 0;
        bool found;
        dal_rows *rows = NULL;

        if (c->server) {
                uint64_t own = dal_conn_info(c->conn)->session_id;
                for (uint64_t id = own + 1; id <= own + dal_fake_get_stats(c->server).n_opened; id++)
                        dal_fake_kill(c->server, id);
                return;
        }
        OK(dal_conn_query(c->conn, &sessions, DAL_PARAMS(dal_text(c->place)), SOON, &rows, &c->err));
        while (OK(dal_rows_next(rows, &found, &c->err)), found && n < 64)
                OK(dal_rows_int64(rows, 0, &ids[n++], &c->err));
        dal_rows_close(rows);
        while (n > 0)
                (void)kill_one(c, c->conn, ids[--n], NULL); /* it may be gone already */
}

int64_t fault_count(struct conf *c)
{
        return conf_number(c, c->conn, &conf_count_accounts, DAL_NO_PARAMS);
}
