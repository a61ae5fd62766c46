/* SPDX-License-Identifier: MIT */
/* Many connections at once, for a fan-out: which of them to wait for, and how to leave one in mid-answer. */

#include "conn/conn_state.h"

bool dal__conn_sends_ahead(dal_conn *conn)
{
        bool want_write;

        return (conn->driver->caps & DAL_CAP_PIPELINE) ||
               (conn->driver->readiness && conn->driver->readiness(conn->state, &want_write) != -2);
}

dal__conn_wait dal__conn_waits_for(dal_conn *conn, int *fd_out, bool *want_write_out)
{
        const dal_driver *driver = conn->driver;

        *want_write_out = false;
        if (conn->broken || !(conn->awaiting || conn->rows_open) || dal__conn_is_forked(conn))
                return DAL__CONN_READY; /* whoever asks hears at once what there is to hear */
        if (!driver->readiness)
                return DAL__CONN_UNKNOWN;
        *fd_out = driver->readiness(conn->state, want_write_out);
        if (*fd_out < 0)
                return *fd_out == -1 ? DAL__CONN_READY : DAL__CONN_UNKNOWN;
        return DAL__CONN_WAITS;
}

void dal__conn_abandon(dal_conn *conn, const dal_stmt *stmt, dal_deadline grace)
{
        bool may_cancel = dal_clock_passed(conn->rows_deadline) || dal__conn_is_read(conn, stmt);
        dal__conn_wait wait;
        bool want_write;
        int fd;

        if (conn->broken || !(conn->awaiting || conn->rows_open) || !may_cancel || dal__conn_is_forked(conn))
                return; /* a write is awaited: it may be what the caller is about; or it is the parent's */
        wait = dal__conn_waits_for(conn, &fd, &want_write);
        if (wait == DAL__CONN_WAITS && conn->driver->cancel &&
            conn->driver->cancel(conn->state, grace, NULL) == DAL_OK)
                conn->rows_deadline = grace; /* its last word is worth a moment even after the time is up */
        else
                conn->rows_deadline = dal_clock_earlier(conn->rows_deadline, grace);
}
