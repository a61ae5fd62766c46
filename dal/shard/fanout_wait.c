/* SPDX-License-Identifier: MIT */
/* Waiting for whichever shard answers first, and leaving those that did not. */

#include "shard/fanout_impl.h"

#include <errno.h>

/* Rows of one shard that is always ahead, before the others are looked at. */
#define MAX_BURST 64u

/* ---- who is ready ---------------------------------------------------------------------------------------------------- */

static dal__conn_wait waits_for(const dal__fanout_leg *leg, struct pollfd *fd_out)
{
        bool want_write;
        dal__conn_wait wait;

        fd_out->fd = -1;
        if (!leg->sent)
                return DAL__CONN_UNKNOWN; /* it is asked when its rows are taken */
        wait = dal__conn_waits_for(leg->conn, &fd_out->fd, &want_write);
        fd_out->events = want_write ? POLLIN | POLLOUT : POLLIN;
        fd_out->revents = 0;
        return wait;
}

DAL_COLD static dal_status late(const dal__fanout *fanout, uint32_t i_leg, dal_error *err)
{
        uint32_t n = 0;

        for (uint32_t i = 0; i < fanout->n_legs; i++)
                n += fanout->legs[i].conn != NULL;
        dal_error_set(err, DAL_CLASS_DEADLINE,
                      "%s: the deadline passed before shard %u had answered in full; of %u shards %u were "
                      "unfinished",
                      fanout->stmt->name, fanout->legs[i_leg].number, fanout->n_legs, n);
        if (err)
                err->shard = fanout->legs[i_leg].number;
        return DAL_ERR_TIMEOUT;
}

/* One look at all; *n_fds_out is 0 when there is nothing to wait for, and *out then the answer. */
static void look(dal__fanout *fanout, uint32_t first, uint32_t n, uint32_t *out, uint32_t *i_late_out,
                 nfds_t *n_fds_out)
{
        uint32_t i_unknown = fanout->n_legs;

        *n_fds_out = 0;
        for (uint32_t k = 0; k < n; k++) {
                uint32_t i = (first + k) % fanout->n_legs;
                const dal__fanout_leg *leg = &fanout->legs[i];
                dal__conn_wait wait;

                if (!leg->conn || leg->cells)
                        continue;
                wait = waits_for(leg, &fanout->fds[*n_fds_out]);
                if (wait == DAL__CONN_READY) {
                        *out = i;
                        *n_fds_out = 0;
                        return;
                }
                if (wait == DAL__CONN_UNKNOWN) {
                        i_unknown = i_unknown == fanout->n_legs ? i : i_unknown;
                        continue;
                }
                if (*n_fds_out == 0 || i < *i_late_out)
                        *i_late_out = i;
                ++*n_fds_out;
        }
        *out = i_unknown;
        if (i_unknown < fanout->n_legs)
                *n_fds_out =
                        0; /* what can't be foreseen runs meanwhile: the others' answers do not get lost */
}

dal_status dal__fanout_wait(dal__fanout *fanout, uint32_t first, uint32_t n, uint32_t *out, dal_error *err)
{
        for (;;) {
                uint32_t i_late = 0;
                nfds_t n_fds;
                int n_ready;

                look(fanout, first, n, out, &i_late, &n_fds);
                if (n_fds == 0)
                        return DAL_OK;
                n_ready = poll(fanout->fds, n_fds, dal_clock_left_ms(fanout->deadline));
                if (n_ready == 0)
                        return late(fanout, i_late, err);
                if (n_ready < 0 && errno != EINTR)
                        return dal_error_set(err, DAL_CLASS_INTERNAL, "poll() on %u shards failed: error %d",
                                             (unsigned)n_fds, errno);
        }
}

/* ---- as they come ------------------------------------------------------------------------------------------------------ */

/* The leg of the last row goes on, as long as it is ready and the others have not waited for long. */
static bool may_go_on(dal__fanout *fanout)
{
        const dal__fanout_leg *leg = &fanout->legs[fanout->i_leg];

        return leg->conn && fanout->n_burst < MAX_BURST && waits_for(leg, &fanout->fds[0]) != DAL__CONN_WAITS;
}

dal_status dal__fanout_next_to_come(dal__fanout *fanout, const dal_value **cells_out, dal_error *err)
{
        for (;;) {
                dal_status s = DAL_OK;
                dal__fanout_leg *leg;

                if (!may_go_on(fanout)) {
                        uint32_t i;

                        s = dal__fanout_wait(fanout, fanout->i_leg + 1, fanout->n_legs, &i, err);
                        if (s || i == fanout->n_legs)
                                return s;
                        fanout->i_leg = i;
                        fanout->n_burst = 0;
                }
                leg = &fanout->legs[fanout->i_leg];
                if (!leg->rows) {
                        s = dal__fanout_take(fanout, leg, err);
                        if (s)
                                return s;
                        continue; /* its first row may have to be waited for */
                }
                fanout->n_burst++;
                s = dal__fanout_fetch(fanout, leg, cells_out, err);
                if (s || *cells_out)
                        return s;
        }
}

/* ---- leaving --------------------------------------------------------------------------------------------------------------- */

void dal__fanout_abandon(dal__fanout *fanout)
{
        dal_deadline grace = dal_clock_after_ms(fanout->cluster->fanout_grace_ms);

        /* All are stopped before the end of any is awaited: the bound is one for all of them. */
        for (uint32_t i = 0; i < fanout->n_legs; i++)
                if (fanout->legs[i].conn)
                        dal__conn_abandon(fanout->legs[i].conn, fanout->stmt, grace);
        for (uint32_t i = 0; i < fanout->n_legs; i++) {
                dal__fanout_leg *leg = &fanout->legs[i];

                if (leg->conn)
                        dal_pool_release(leg->shard->pool, leg->conn); /* unread answers are dropped there */
                leg->conn = NULL;
                leg->rows = NULL;
                leg->cells = NULL;
        }
}
