/* SPDX-License-Identifier: MIT */
/* A statement that travels alone, and brings its first row along. */
#include <string.h>

#include "sqlite_impl.h"

/* Gives the row stepped to; what is wrong with it is told when it is fetched. */
static inline void take_first(dal__sqlite_conn *conn, dal_result *out)
{
        conn->cur.row_ready = dal__sqlite_fill_cells(conn, NULL) != DAL_OK;
        if (!conn->cur.row_ready)
                out->first = conn->cur.cells;
}

/* The first row is at hand when the statement was stepped. */
DAL_NOINLINE static void give_first(dal__sqlite_conn *conn, dal_result *out)
{
        if (!out->has_rows)
                return;
        if (!conn->cur.row_ready)
                out->complete = conn->cur.done && !conn->cur.buffered;
        else if (!conn->cur.buffered)
                take_first(conn, out);
}

/* An integer needs no copy that outlives the request. */
static inline dal_status bind_values(dal__sqlite_conn *conn, sqlite3_stmt *handle, const dal_params *params,
                                     dal_error *err)
{
        for (size_t i = 0; i < params->n_values; i++) {
                if (params->values[i].type != DAL_TYPE_INT64 ||
                    sqlite3_bind_int64(handle, (int)i + 1, params->values[i].as.int64) != SQLITE_OK)
                        return dal__sqlite_bind(conn, handle, params, true, err);
        }
        return DAL_OK;
}

/*
 * A read that was run before: nothing has to be found out about it, unless the first step gives anything else than a
 * row that looks as it did then. In a transaction also a read may end that.
 */
static inline dal_status run_known(dal__sqlite_conn *conn, dal__sqlite_stmt *stmt, const dal_request *request,
                                   dal_result *out, dal_error *err)
{
        sqlite3_stmt *handle = stmt->handle;
        bool in_tx = conn->in_tx;
        dal_status s;
        int rc;

        conn->cur.handle = handle;
        conn->cur.stmt = stmt;
        conn->cur.done = false;
        s = bind_values(conn, handle, &request->params, err);
        if (s == DAL_OK) {
                rc = sqlite3_step(handle);
                if (rc == SQLITE_ROW && !in_tx && dal__sqlite_is_described(conn, stmt)) {
                        out->has_rows = true;
                        out->n_columns = stmt->n_columns;
                        take_first(conn, out);
                        return DAL_OK;
                }
                s = dal__sqlite_take_step(conn, stmt, rc, false, out, err);
                if (s == DAL_OK && in_tx && sqlite3_get_autocommit(conn->db))
                        s = dal__sqlite_refuse_ended_tx(conn, err);
        }
        if (s)
                dal__sqlite_cursor_close(conn);
        else
                give_first(conn, out);
        return s;
}

/* ---- writes ---- */

/* The first word of a text, behind white space and the comments that lead it. */
static const char *first_word(const char *text)
{
        for (;;) {
                text += strspn(text, " \t\r\n\f");
                if (text[0] == '/' && text[1] == '*') {
                        const char *end = strstr(text + 2, "*/");

                        if (!end)
                                return text;
                        text = end + 2;
                } else if (text[0] == '-' && text[1] == '-') {
                        text += strcspn(text, "\n");
                } else {
                        return text;
                }
        }
}

dal__sqlite_dml dal__sqlite_dml_of(sqlite3_stmt *handle, const char *text)
{
        if (sqlite3_column_count(handle) > 0 || sqlite3_stmt_readonly(handle))
                return DAL__SQLITE_DML_NONE;
        text = first_word(text);
        if (sqlite3_strnicmp(text, "INSERT", 6) == 0 || sqlite3_strnicmp(text, "REPLACE", 7) == 0)
                return DAL__SQLITE_DML_INSERT;
        if (sqlite3_strnicmp(text, "UPDATE", 6) == 0 || sqlite3_strnicmp(text, "DELETE", 6) == 0)
                return DAL__SQLITE_DML_OTHER;
        return DAL__SQLITE_DML_NONE;
}

static inline dal_status bind_dml(dal__sqlite_conn *conn, sqlite3_stmt *handle, const dal_params *params,
                                  dal_error *err)
{
        for (size_t i = 0; i < params->n_values; i++) {
                const dal_value *v = &params->values[i];
                int rc;

                if (v->type == DAL_TYPE_INT64)
                        rc = sqlite3_bind_int64(handle, (int)i + 1, v->as.int64);
                else if (v->type == DAL_TYPE_TEXT)
                        rc = sqlite3_bind_text64(handle, (int)i + 1, v->as.span.ptr, v->as.span.size,
                                                 SQLITE_STATIC, SQLITE_UTF8);
                else
                        return dal__sqlite_bind(conn, handle, params, false, err);
                if (rc != SQLITE_OK)
                        return dal__sqlite_fail(conn, rc, err);
        }
        return DAL_OK;
}

DAL_COLD static dal_status fail_dml(dal__sqlite_conn *conn, sqlite3_stmt *handle, int rc, dal_error *err)
{
        dal_status s = dal__sqlite_fail(conn, rc, err);

        (void)sqlite3_reset(handle);
        return s;
}

/*
 * Each call into SQLite costs more than its few instructions, so only what can't be known is asked: a write that
 * succeeds doesn't end its transaction, and the last count is its own. The number of an earlier INSERT's row is taken
 * away before, as not every INSERT makes a row that has one.
 */
static inline dal_status run_dml(dal__sqlite_conn *conn, dal__sqlite_stmt *stmt, const dal_params *params,
                                 dal_result *out, dal_error *err)
{
        bool inserts = stmt->dml == DAL__SQLITE_DML_INSERT;
        sqlite3_stmt *handle = stmt->handle;
        dal_status s = bind_dml(conn, handle, params, err);
        int rc;

        if (s)
                return s;
        if (inserts)
                sqlite3_set_last_insert_rowid(conn->db, 0);
        rc = sqlite3_step(handle);
        if (rc == SQLITE_DONE)
                rc = sqlite3_reset(handle);
        if (rc != SQLITE_OK)
                return fail_dml(conn, handle, rc, err);
        out->n_rows = sqlite3_changes64(conn->db);
        if (inserts)
                out->insert_id = sqlite3_last_insert_rowid(conn->db);
        return DAL_OK;
}

dal_status dal__sqlite_run_dml(dal__sqlite_conn *conn, dal__sqlite_stmt *stmt, const dal_params *params,
                               dal_result *out, dal_error *err)
{
        return run_dml(conn, stmt, params, out, err);
}

/* ---- either ---- */

dal_status dal__sqlite_run(void *state, const dal_request *request, dal_deadline deadline, dal_result *out,
                           dal_error *err)
{
        dal__sqlite_conn *conn = state;
        dal__sqlite_stmt *stmt = request->stmt->state;
        dal_status s;

        if (conn->cur.handle)
                dal__sqlite_cursor_close(conn);
        /* A cancel that came too late for the last flush is void. */
        atomic_store_explicit(&conn->cancel, false, memory_order_relaxed);
        conn->cur.flush = 0; /* a failure between its rows is no matter to later requests */
        if (!request->fresh && dal_clock_passed(deadline)) {
                s = dal_error_set(err, DAL_CLASS_DEADLINE, "the deadline had passed before SQLite was asked");
                err->not_sent = true;
                return s;
        }
        dal__sqlite_arm(conn, deadline);
        if (stmt->dml && !(conn->tx_gone | conn->read_only))
                return run_dml(conn, stmt, &request->params, out, err);
        if (stmt->n_columns && stmt->is_read && stmt->handle && !conn->tx_gone)
                return run_known(conn, stmt, request, out, err);
        if (stmt->handle && !conn->tx_gone)
                s = dal__sqlite_execute_handle(conn, stmt, stmt->handle, request, out, err);
        else
                s = dal__sqlite_execute(conn, request, out, err);
        if (s == DAL_OK)
                give_first(conn, out);
        return s;
}
