/* SPDX-License-Identifier: MIT */
/* Waiting for the socket, until the deadline and not longer. */

#include "postgres_impl.h"

#include <errno.h>
#include <poll.h>

static int wait_socket(dal__postgres_conn *conn, short events, dal_deadline deadline)
{
        struct pollfd fd = {PQsocket(conn->pg), events, 0};
        int n;

        if (fd.fd < 0)
                return events;
        do {
                n = poll(&fd, 1, dal_clock_left_ms(deadline));
        } while (n < 0 && errno == EINTR);
        return n == 0 ? 0 : fd.revents;
}

bool dal__postgres_is_ready(dal__postgres_conn *conn, dal_deadline deadline)
{
        conn->quiet = false;
        while (PQisBusy(conn->pg)) {
                /* With TLS, bytes may wait inside the library where poll() can't see them. */
                if (conn->tls && (!PQconsumeInput(conn->pg) || !PQisBusy(conn->pg)))
                        return true;
                if (!wait_socket(conn, POLLIN, deadline))
                        return false;
                if (!PQconsumeInput(conn->pg))
                        return true; /* PQgetResult() reports it */
        }
        return true;
}

dal_status dal__postgres_late(dal__postgres_conn *conn, dal_error *err)
{
        conn->broken = true;
        dal_error_set(
                err, DAL_CLASS_DEADLINE,
                "no answer from PostgreSQL within the deadline; the server ends the statement by its own "
                "limit or when it notices that the connection is closed");
        if (err)
                err->conn_gone = true;
        return DAL_ERR_TIMEOUT;
}

dal_status dal__postgres_wait(dal__postgres_conn *conn, dal_deadline deadline, dal_error *err)
{
        return dal__postgres_is_ready(conn, deadline) ? DAL_OK : dal__postgres_late(conn, err);
}

dal_status dal__postgres_drain_output(dal__postgres_conn *conn, dal_deadline deadline, dal_error *err)
{
        /* Reading meanwhile: the server may be stuck in sending answers to what it was sent so far. A failure to
         * write is left to the reader, who finds the server's last words in front of it. */
        while (PQflush(conn->pg) > 0) {
                int events = wait_socket(conn, POLLIN | POLLOUT, deadline);

                if (!events)
                        return dal__postgres_late(conn, err);
                conn->quiet = false;
                if (events & ~POLLOUT && !PQconsumeInput(conn->pg))
                        break;
        }
        return DAL_OK;
}
