/* SPDX-License-Identifier: MIT */
/* The everyday way: one statement that the server knows, and its answer, without the queue. */

#include "postgres_impl.h"

#include <poll.h>

/* Integers, often the only parameters, are checked and encoded at once; false: they go the general way. */
static inline bool put_integers(dal__postgres_params *p, dal_params params, const Oid *types)
{
        if (params.n_values > p->room)
                return false;
        for (size_t i = 0; i < params.n_values; i++) {
                if (params.values[i].type != DAL_TYPE_INT64 || types[i] != PG_OID_INT8)
                        return false;
                dal__postgres_store64(p->slots[i], params.values[i].as.uint64);
                p->values[i] = p->slots[i];
                p->lengths[i] = 8;
                p->formats[i] = 1;
        }
        return true;
}

/* Any values; *fit_out is false where the statement has to be prepared anew for them. */
DAL_NOINLINE static dal_status put_values(dal__postgres_conn *conn, const dal_request *request,
                                          const dal__postgres_prepared *prepared, bool *fit_out,
                                          dal_error *err)
{
        dal_status s =
                dal__postgres_params_check(&conn->params, request->params, 0, prepared->types, fit_out, err);

        if (s) {
                err->not_sent = true;
                return s;
        }
        if (*fit_out)
                dal__postgres_params_encode(&conn->params, request->params, prepared->types);
        return DAL_OK;
}

/* By the queue, as if the driver had no such slot. */
DAL_NOINLINE static dal_status run_queued(dal__postgres_conn *conn, const dal_request *request,
                                          dal_deadline deadline, dal_result *out, dal_error *err)
{
        dal_status s = dal__postgres_queue(conn, request, err);

        if (s) {
                err->not_sent = true;
                return s;
        }
        s = dal__postgres_flush(conn, deadline, err);
        if (s) {
                err->conn_gone = true; /* without a working flush there is no result to wait for */
                return s;
        }
        return dal__postgres_result(conn, deadline, out, err);
}

/* Says whether the statement can go out at once: prepared, whole rows, nothing else to do on the way. */
static inline bool is_everyday(const dal__postgres_conn *conn, const dal_request *request,
                               const dal__postgres_prepared *prepared)
{
        return prepared && !((request->flags | request->stmt->flags) & DAL_STMT_STREAM) && !conn->broken &&
               !conn->open && !conn->streaming && !conn->names && conn->i_next == conn->n_items &&
               conn->n_closing < PG_CLOSE_AT;
}

/*
 * Waits for the answer. It looks neither at libpq's buffer, where nothing can be, nor at the clock: a wait this short
 * keeps the promise about deadlines, and most answers come sooner.
 */
static inline dal_status wait_for_answer(dal__postgres_conn *conn, dal_deadline deadline, dal_error *err)
{
        struct pollfd fd = {PQsocket(conn->pg), POLLIN, 0};

        if (poll(&fd, 1, PG_SHORT_MS) > 0)
                PQconsumeInput(conn->pg); /* PQgetResult() reports a failure */
        return PQisBusy(conn->pg) ? dal__postgres_wait(conn, deadline, err) : DAL_OK;
}

static inline dal_status take_answer(dal__postgres_conn *conn, const dal_request *request,
                                     dal_deadline deadline, dal_result *out, dal_error *err)
{
        dal_status s = wait_for_answer(conn, deadline, err);
        PGresult *result;

        if (s)
                return s;
        result = PQgetResult(conn->pg);
        if (PQresultStatus(result) != PGRES_TUPLES_OK || !dal__postgres_has_ended(conn))
                return dal__postgres_take_plain(conn, request, result, deadline, out, err);
        out->n_rows = dal__postgres_rows_of_tag(PQcmdStatus(result));
        return dal__postgres_open_whole(conn, result, out, err);
}

dal_status dal__postgres_run(void *state, const dal_request *request, dal_deadline deadline, dal_result *out,
                             dal_error *err)
{
        dal__postgres_conn *conn = state;
        const dal__postgres_prepared *prepared = *(dal__postgres_prepared **)request->stmt->state;
        dal__postgres_params *p = &conn->params;
        bool fit = true;
        dal_status s;

        if (!is_everyday(conn, request, prepared))
                return run_queued(conn, request, deadline, out, err);
        if (!put_integers(p, request->params, prepared->types)) {
                s = put_values(conn, request, prepared, &fit, err);
                if (s || !fit)
                        return s ? s : run_queued(conn, request, deadline, out, err);
        }
        if (conn->rows)
                dal__postgres_drop_rows(conn);
        conn->i_next = conn->i_sent = conn->i_skip = conn->n_flushed = conn->n_items = 0;
        conn->in_tx = conn->state != PQTRANS_IDLE;
        conn->tx_read_only &= conn->in_tx;
        atomic_store_explicit(&conn->cancel_sent, false, memory_order_relaxed);
        conn->n_trailing = 0;
        conn->open = true;
        conn->quiet = false;
        /* A failure here means that it did not leave whole: the server can't have completed it. */
        if (!PQsendQueryPrepared(conn->pg, prepared->name, (int)request->params.n_values, p->values,
                                 p->lengths, p->formats, PG_BINARY))
                return dal__postgres_lost(conn, true, err);
        if (PQflush(conn->pg) > 0 && (s = dal__postgres_drain_output(conn, deadline, err)))
                return s;
        return take_answer(conn, request, deadline, out, err);
}
