/* SPDX-License-Identifier: MIT */
/* What a bulk load needs of a connection: the driver's own way, and statements of its own that it runs often. */

#include "conn/conn_state.h"

#include <string.h>

/* Round trips of the driver's own way: it asks for the columns, announces the rows, and sends them. */
#define ROUND_TRIPS 3

dal_status dal__conn_bulk(dal_conn *conn, const char *name, const dal_driver_bulk *load,
                          dal_deadline deadline, bool *taken_out, uint32_t *i_row_out, dal_error *err)
{
        dal_driver_stmt named = {.name = name};
        dal_request request = {.kind = DAL_REQUEST_STMT, .stmt = &named};
        dal_status s = dal__conn_check_ready(conn, deadline, err);

        *taken_out = false;
        *i_row_out = DAL_BULK_NO_ROW;
        if (s || !conn->driver->bulk)
                return s;
        s = dal__conn_flush(conn, deadline, err);
        if (s)
                return s;
        dal__conn_note_write(conn, true);
        conn->stats.n_requests++;
        conn->stats.n_round_trips += ROUND_TRIPS;
        if (conn->driver->bulk(conn->state, load, deadline, taken_out, i_row_out, err))
                return dal__conn_fail(conn, &request, err, err);
        return DAL_OK;
}

dal_status dal__conn_check_ready(dal_conn *conn, dal_deadline deadline, dal_error *err)
{
        dal_status s = dal__conn_check_alone(conn, deadline, err);

        return s ? s : dal__conn_check_not_failed(conn, err);
}

dal_status dal__conn_make_stmt(dal_conn *conn, const dal_stmt *stmt, dal__cached_stmt **out, dal_error *err)
{
        return dal__stmt_cache_make(&conn->cache, stmt, out, err);
}

void dal__conn_end_stmt(dal_conn *conn, dal__cached_stmt *entry)
{
        if (entry)
                dal__stmt_cache_end(&conn->cache, conn->state, entry);
}

dal_status dal__conn_run_made(dal_conn *conn, dal__cached_stmt *entry, dal_params params,
                              dal_deadline deadline, dal_error *err)
{
        dal_request request = {.kind = DAL_REQUEST_STMT, .stmt = &entry->driver_stmt, .params = params};
        dal_result result;
        dal_status s = dal__conn_check(conn, deadline, false, err);

        if (s)
                return s;
        dal__conn_note_write(conn, true);
        return dal__conn_send_one(conn, &request, deadline, &result, err);
}
