/* SPDX-License-Identifier: MIT */
/* The queue of requests and the results of each, in order. */

#include <stdio.h>
#include <string.h>

#include "fake_impl.h"

void dal__fake_answer_clear(dal_fake_server *server, fake_answer *answer)
{
        fake_tuple **rows = answer->rows;
        size_t room = answer->room;

        pthread_mutex_lock(&server->lock);
        for (size_t i = 0; i < answer->n_rows; i++)
                dal__fake_tuple_drop_locked(answer->rows[i]);
        pthread_mutex_unlock(&server->lock);
        memset(answer, 0, sizeof *answer);
        answer->rows = rows;
        answer->room = room;
}

dal_status dal__fake_queue(void *state, const dal_request *request, dal_error *err)
{
        fake_conn *conn = state;

        if (request->kind == DAL_REQUEST_MODE && !conn->modal)
                return dal_error_set(err, DAL_CLASS_UNSUPPORTED, "the fake driver has no transaction mode");
        if (conn->i_queue == conn->n_queue)
                conn->i_queue = conn->n_queue = conn->n_flushed = 0;
        if (conn->n_queue == conn->queue_room) {
                size_t room = conn->queue_room ? conn->queue_room * 2 : 16;
                fake_queued *queue = dal_mem_resize(conn->queue, room, sizeof *queue);
                if (!queue)
                        return dal_error_set(err, DAL_CLASS_NO_MEMORY, "no memory to queue a request");
                conn->queue = queue;
                conn->queue_room = room;
        }
        conn->queue[conn->n_queue++] = (fake_queued){request, 0};
        return DAL_OK;
}

/* The client's end of the connection is closed; what was queued and not answered is forgotten. */
static void lose(fake_conn *conn)
{
        conn->lost = true;
        conn->i_queue = conn->n_queue = conn->n_flushed = 0;
        pthread_mutex_lock(&conn->server->lock);
        dal__fake_session_end_locked(conn);
        conn->killed = true;
        pthread_mutex_unlock(&conn->server->lock);
}

dal_status dal__fake_flush(void *state, dal_deadline deadline, dal_error *err)
{
        fake_conn *conn = state;
        dal_fake_server *server = conn->server;
        dal_error own = DAL_ERROR_INIT;
        bool executed;
        dal_status s = DAL_OK;

        if (conn->lost)
                return dal_error_set(err, DAL_CLASS_STATE, "the connection is lost; only close is legal");
        if (conn->n_flushed == conn->n_queue)
                return DAL_OK;
        if (dal_clock_passed(deadline)) {
                s = dal_error_set(&own, DAL_CLASS_DEADLINE, "the deadline passed before anything was sent");
                own.not_sent = true;
        } else {
                s = dal__fake_fault(conn, DAL_FAKE_AT_FLUSH, "", deadline, &executed, &own);
        }
        if (s != DAL_OK) {
                conn->n_queue = conn->n_flushed;
                if (own.conn_gone)
                        lose(conn);
                if (err)
                        *err = own;
                return s;
        }
        conn->batch++;
        while (conn->n_flushed < conn->n_queue)
                conn->queue[conn->n_flushed++].batch = conn->batch;
        pthread_mutex_lock(&server->lock);
        if (!conn->modal)
                server->stats.n_round_trips++;
        pthread_mutex_unlock(&server->lock);
        return DAL_OK;
}

dal_status dal__fake_result(void *state, dal_deadline deadline, dal_result *out, dal_error *err)
{
        fake_conn *conn = state;
        fake_queued *queued;
        dal_error own = DAL_ERROR_INIT;
        dal_status s;

        if (conn->lost || conn->i_queue == conn->n_flushed)
                return dal_error_set(err, DAL_CLASS_STATE, "no request is waiting for a result");
        queued = &conn->queue[conn->i_queue++];
        dal__fake_answer_clear(conn->server, &conn->answer);
        conn->independent = queued->request->independent;
        if (queued->batch == conn->failed_batch)
                return dal_error_set(err, DAL_CLASS_NOT_EXECUTED,
                                     "skipped because an earlier request failed");
        s = dal__fake_execute(conn, queued->request, deadline, &own);
        if (s != DAL_OK) {
                if (!conn->independent)
                        conn->failed_batch = queued->batch;
                if (own.conn_gone)
                        lose(conn);
                if (err)
                        *err = own;
                return s;
        }
        memset(out, 0, sizeof *out);
        out->has_rows = conn->answer.has_rows;
        out->n_columns = conn->answer.n_columns;
        out->n_rows = conn->answer.count;
        out->insert_id = conn->answer.insert_id;
        return DAL_OK;
}

/* An error after some rows fails the transaction as one before them does. */
static dal_status fail_late(fake_conn *conn, dal_error *err)
{
        fake_answer *answer = &conn->answer;
        dal_status s = answer->late.status;

        answer->fails_late = false;
        if (err)
                *err = answer->late;
        if (!conn->independent)
                conn->failed_batch = conn->batch;
        if (answer->late.conn_gone)
                lose(conn);
        return s;
}

dal_status dal__fake_fetch(void *state, dal_deadline deadline, const dal_value **cells_out, dal_error *err)
{
        fake_conn *conn = state;
        fake_answer *answer = &conn->answer;
        dal_error own = DAL_ERROR_INIT;
        bool executed;
        dal_status s;

        *cells_out = NULL;
        if (conn->lost)
                return dal_error_set(err, DAL_CLASS_STATE, "the connection is lost; only close is legal");
        conn->statement_end = DAL_FOREVER;
        s = dal__fake_fault(conn, DAL_FAKE_AT_FETCH, answer->line, deadline, &executed, &own);
        if (s != DAL_OK) {
                answer->i_row = answer->n_rows;
                answer->fails_late = false;
                pthread_mutex_lock(&conn->server->lock);
                conn->failed = conn->in_tx && !conn->modal;
                pthread_mutex_unlock(&conn->server->lock);
                if (own.conn_gone)
                        lose(conn);
                if (err)
                        *err = own;
                return s;
        }
        if (answer->i_row < answer->n_rows) {
                *cells_out = answer->rows[answer->i_row++]->cells;
                return DAL_OK;
        }
        return answer->fails_late ? fail_late(conn, err) : DAL_OK;
}

/* Its place in the order of faults is the fetch: while one is to strike there, rows are fetched. */
static bool may_hand_out(fake_conn *conn)
{
        dal_fake_server *server = conn->server;
        bool may = true;

        pthread_mutex_lock(&server->lock);
        for (uint32_t i = 0; i < server->n_faults; i++)
                may &= server->faults[i].fault.at != DAL_FAKE_AT_FETCH;
        pthread_mutex_unlock(&server->lock);
        return may;
}

dal_status dal__fake_run(void *state, const dal_request *request, dal_deadline deadline, dal_result *out,
                         dal_error *err)
{
        fake_conn *conn = state;
        fake_answer *answer = &conn->answer;
        dal_status s = dal__fake_queue(conn, request, err);

        if (s != DAL_OK) {
                err->not_sent = true;
                return s;
        }
        s = dal__fake_flush(conn, deadline, err);
        if (s != DAL_OK) {
                err->conn_gone = true; /* without a working flush there is no result to wait for */
                return s;
        }
        s = dal__fake_result(conn, deadline, out, err);
        if (s != DAL_OK || !answer->has_rows || !may_hand_out(conn))
                return s;
        conn->statement_end = DAL_FOREVER;
        if (answer->n_rows > 0)
                out->first = answer->rows[answer->i_row++]->cells;
        out->complete = answer->i_row == answer->n_rows && !answer->fails_late;
        return DAL_OK;
}

dal_status dal__fake_discard(void *state, dal_deadline deadline, dal_error *err)
{
        fake_conn *conn = state;

        (void)deadline;
        conn->answer.i_row = conn->answer.n_rows;
        return conn->answer.fails_late ? fail_late(conn, err) : DAL_OK;
}

const char *dal__fake_column(void *state, uint32_t i_column)
{
        const fake_conn *conn = state;

        if (!conn->answer.columns || i_column >= conn->answer.n_columns)
                return "";
        return conn->answer.columns[i_column];
}

void dal__fake_stmt_close(void *state, dal_driver_stmt *stmt)
{
        fake_stmt *own = stmt->state;

        (void)state;
        own->prepared = false;
}

dal_status dal__fake_swap(void *state, void *memory, dal_error *err)
{
        fake_conn *conn = state;
        fake_aside *aside = memory, now = *aside;

        (void)err;
        *aside = (fake_aside){conn->answer, conn->independent};
        conn->answer = now.answer;
        conn->independent = now.independent;
        return DAL_OK;
}

void dal__fake_drop(void *state, void *memory)
{
        fake_conn *conn = state;
        fake_aside *aside = memory;

        dal__fake_answer_clear(conn->server, &aside->answer);
        dal_mem_free(aside->answer.rows);
        memset(aside, 0, sizeof *aside);
}
