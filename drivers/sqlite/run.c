/* SPDX-License-Identifier: MIT */
/* A statement that travels alone, and brings its first row along. */
#include "sqlite_impl.h"

/* The first row is at hand when the statement was stepped; what is wrong with it is told when it is fetched. */
static void give_first(dal__sqlite_conn *conn, dal_result *out)
{
        if (!conn->cur.row_ready) {
                out->complete = conn->cur.done && !conn->cur.buffered;
        } else if (!conn->cur.buffered && dal__sqlite_fill_cells(conn, NULL) == DAL_OK) {
                conn->cur.row_ready = false;
                out->first = conn->cur.cells;
        }
}

/* An integer needs no copy that outlives the request. */
static inline dal_status bind(dal__sqlite_conn *conn, sqlite3_stmt *handle, const dal_params *params,
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
 * row that looks as it did then.
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
        s = bind(conn, handle, &request->params, err);
        if (s == DAL_OK) {
                rc = sqlite3_step(handle);
                if (rc == SQLITE_ROW && dal__sqlite_is_described(conn, stmt)) {
                        conn->cur.row_ready = true;
                        out->has_rows = true;
                        out->n_columns = stmt->n_columns;
                } else {
                        s = dal__sqlite_take_step(conn, stmt, rc, false, out, err);
                }
                if (s == DAL_OK && in_tx && sqlite3_get_autocommit(conn->db))
                        s = dal__sqlite_refuse_ended_tx(conn, err);
        }
        if (s)
                dal__sqlite_cursor_close(conn);
        return s;
}

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
        if (dal_clock_passed(deadline)) {
                s = dal_error_set(err, DAL_CLASS_DEADLINE, "the deadline had passed before SQLite was asked");
                err->not_sent = true;
                return s;
        }
        dal__sqlite_arm(conn, deadline);
        if (stmt->n_columns && stmt->is_read && stmt->handle && !conn->tx_gone)
                s = run_known(conn, stmt, request, out, err);
        else if (stmt->handle && !conn->tx_gone)
                s = dal__sqlite_execute_handle(conn, stmt, stmt->handle, request, out, err);
        else
                s = dal__sqlite_execute(conn, request, out, err);
        if (s == DAL_OK && out->has_rows)
                give_first(conn, out);
        return s;
}
