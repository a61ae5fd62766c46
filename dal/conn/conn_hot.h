/* SPDX-License-Identifier: MIT */
#ifndef DAL_CONN_CONN_HOT_H
#define DAL_CONN_CONN_HOT_H

#include "conn/conn_state.h"

/*
 * The everyday way of a statement over its connection: prepared before, nothing waiting, values that need no look, a
 * driver with `run`. Put into its callers, as it is shorter than the calls would be; whatever is different goes the
 * general way in conn.c.
 */

/* Ends a run that failed; runs the statement again where that helps. */
dal_status dal__conn_run_failed(dal_conn *conn, dal_deadline deadline, dal_rows **rows_out,
                                dal_error *failure);

/*
 * As dal__conn_run_fresh(); `failure` is not NULL. `fresh` says that the deadline was set a moment ago and nobody has
 * waited since.
 */
static DAL_HOT dal_status dal__conn_run_hot(dal_conn *conn, const dal_stmt *stmt, dal_params params,
                                            dal_deadline deadline, bool fresh, dal_rows **rows_out,
                                            dal_error *failure)
{
        dal__cached_stmt *entry = conn->cache.newest;
        const dal_driver *driver = conn->driver;
        dal_request *request = &conn->request;

        if (!entry || !dal__stmt_cache_is_for(entry, stmt) || !driver->run || conn->n_pending ||
            (conn->broken | conn->rows_open | conn->tx_failed) ||
            !dal__params_are_plain(entry->driver_stmt.n_params, params))
                return dal__conn_run_fresh(conn, stmt, params, deadline, rows_out, failure);
        dal__conn_fill_request(conn, entry, params, request);
        request->fresh = fresh;
        conn->stats.n_requests++;
        conn->stats.n_round_trips += !(driver->caps & DAL_CAP_EMBEDDED);
        conn->result = (dal_result){.has_rows = false};
        if (driver->run(conn->state, request, deadline, &conn->result, failure))
                return dal__conn_run_failed(conn, deadline, rows_out, failure);
        if (rows_out)
                *rows_out = dal__conn_open_rows(conn, &conn->result, deadline);
        return DAL_OK;
}

/* Says whether there is nothing to clean. */
static DAL_HOT bool dal__conn_is_clean_hot(dal_conn *conn)
{
        conn->on_rows_close = NULL;
        conn->insert_id = 0;
        return !(conn->broken | conn->in_tx | conn->rows_open | conn->awaiting | conn->effects) &&
               conn->n_pending == 0 && conn->driver->tx_state(conn->state) == DAL_TX_STATE_IDLE;
}

#endif
