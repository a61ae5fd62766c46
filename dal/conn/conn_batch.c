/* SPDX-License-Identifier: MIT */
#include "conn/conn_state.h"

#include <string.h>

#include <dal/mem.h>

/*
 * Flights: requests that are sent together, and whose results are taken one by one. What is sent without being read
 * is bounded, so that it fits into the buffers between client and server: neither waits for the other to read first.
 */

#define MAX_FLIGHT_BYTES 49152u /* Source: Linux, tcp_rmem and tcp_wmem: a socket takes 64 KiB at least */
#define REQUEST_BYTES    32u    /* of the protocol, around a statement; and around a value */
#define VALUE_BYTES      12u

struct slot {
        dal_request request;
        dal__cached_stmt *entry; /* pinned */
};

struct dal__flight {
        dal_deadline deadline;
        void (*end)(void *arg);
        void *arg;
        size_t n_sent, i_taken; /* slots with the server: the next result is of slot i_taken */
        size_t n, n_unpinned;   /* slots in use; of these, let go of */
        size_t n_bytes;
        bool rows_open; /* of the result taken last */
        bool gone;      /* no further result can come */
        size_t room;
        struct slot slots[];
};

dal_status dal__conn_flight_begin(dal_conn *conn, size_t n_stmts, dal_deadline deadline,
                                  void (*end)(void *arg), void *arg, dal_error *err)
{
        dal__flight *flight;
        size_t room = n_stmts < DAL__FLIGHT_MAX ? n_stmts : DAL__FLIGHT_MAX;
        dal_status s = dal__conn_check_ready(conn, deadline, err);

        if (s)
                return s;
        flight = dal_mem_alloc(sizeof *flight + room * sizeof(struct slot));
        if (!flight)
                return dal__conn_refuse(conn, DAL_CLASS_NO_MEMORY,
                                        "out of memory for the requests of a batch", err);
        flight->room = room;
        flight->deadline = deadline;
        flight->end = end;
        flight->arg = arg;
        conn->flight = flight;
        /* Busy for everybody else, until the last result was taken. */
        conn->rows_open = conn->awaiting = true;
        return DAL_OK;
}

/* Ends the current result. */
static void finish_result(dal_conn *conn)
{
        dal__flight *flight = conn->flight;

        conn->rows.cells = NULL;
        if (flight->rows_open && !flight->gone && !dal__conn_is_forked(conn) &&
            conn->driver->discard(conn->state, flight->deadline, &conn->scratch)) {
                if (conn->scratch.conn_gone)
                        conn->broken = flight->gone = true;
                dal__conn_spoil(conn, &conn->scratch);
        }
        flight->rows_open = false;
}

/* Lets go of the statements whose results were taken and ended. */
static void unpin(dal_conn *conn, size_t end)
{
        dal__flight *flight = conn->flight;

        for (; flight->n_unpinned < end; flight->n_unpinned++)
                flight->slots[flight->n_unpinned].entry->n_pins--;
}

/* All of a flight was taken. A change of the schema is always its last statement. */
static void clear_flight(dal_conn *conn)
{
        dal__flight *flight = conn->flight;

        unpin(conn, flight->n);
        flight->n = flight->n_sent = flight->i_taken = flight->n_unpinned = flight->n_bytes = 0;
        if (conn->effects & DAL__EFFECT_SCHEMA)
                dal__conn_note_schema(conn);
}

/* What a request takes on the wire, about. */
static size_t bytes_of(const dal__cached_stmt *entry, dal_params params)
{
        size_t size = REQUEST_BYTES + entry->driver_stmt.text_size;

        for (size_t i = 0; i < params.n_values; i++) {
                size += VALUE_BYTES;
                if (dal__params_has_span(&params.values[i]))
                        size += params.values[i].as.span.size;
        }
        return size;
}

dal_status dal__conn_flight_add(dal_conn *conn, const dal_stmt *stmt, dal_params params, bool independent,
                                bool *added_out, dal_error *err)
{
        dal__flight *flight = conn->flight;
        struct slot *slot = &flight->slots[flight->n];
        size_t size;

        *added_out = false;
        if (flight->n == flight->n_sent && flight->i_taken == flight->n_sent) {
                finish_result(conn);
                clear_flight(conn);
                slot = &flight->slots[0];
        }
        /* Behind a change of the schema or of the session statements must be prepared anew, or run differently. */
        if (flight->n == flight->room || (flight->n && flight->slots[flight->n - 1].entry->effects))
                return DAL_OK;
        slot->entry = dal__conn_prepare_request(conn, stmt, params, &slot->request, err);
        if (!slot->entry)
                return err->status;
        size = bytes_of(slot->entry, params);
        if (flight->n && flight->n_bytes + size > MAX_FLIGHT_BYTES)
                return DAL_OK;
        slot->request.independent = independent;
        slot->entry->n_pins++;
        flight->n_bytes += size;
        flight->n++;
        *added_out = true;
        return DAL_OK;
}

/* Takes the results of what stood ahead of the flight: BEGIN, queued writes. */
static dal_status take_pending(dal_conn *conn, size_t n, dal_error *err)
{
        dal_error failure;
        dal_status s = DAL_OK;
        dal_result result;

        for (size_t i = 0; i < n; i++) {
                memset(&result, 0, sizeof result);
                if (conn->driver->result(conn->state, conn->flight->deadline, &result, &failure) == DAL_OK)
                        continue;
                conn->flight->gone |= failure.conn_gone;
                if (s == DAL_OK)
                        s = dal__conn_fail(conn, &conn->pending[i].request, &failure, err);
                if (failure.conn_gone)
                        break;
        }
        dal__conn_drop_pending(conn, 0);
        return s;
}

/* Forgets what the driver was not handed. */
static void drop_slots(dal_conn *conn, size_t from)
{
        dal__flight *flight = conn->flight;

        for (size_t i = from; i < flight->n; i++)
                flight->slots[i].entry->n_pins--;
        flight->n = from;
}

/* Hands everything to the driver, up to the first that it refuses; with what waits (BEGIN, queued writes) ahead. */
static dal_status hand_over(dal_conn *conn, size_t *n_pending_out, dal_error *err)
{
        dal__flight *flight = conn->flight;
        size_t n_pending = conn->n_pending;
        dal_error failure;

        *n_pending_out = 0;
        for (size_t i = 0; i < n_pending + flight->n; i++) {
                const dal_request *request =
                        i < n_pending ? &conn->pending[i].request : &flight->slots[i - n_pending].request;

                if (conn->driver->queue(conn->state, request, &failure)) {
                        drop_slots(conn, i < n_pending ? 0 : i - n_pending);
                        *n_pending_out = i < n_pending ? i : n_pending;
                        if (i > n_pending)
                                return DAL_OK; /* those before it go first, then it is refused again */
                        failure.not_sent = true;
                        return dal__conn_fail(conn, request, &failure, err);
                }
                conn->stats.n_requests++;
                conn->stats.n_round_trips += dal__conn_is_counted(conn, request);
        }
        *n_pending_out = n_pending;
        return DAL_OK;
}

dal_status dal__conn_flight_send(dal_conn *conn, size_t *n_sent_out, bool *ahead_failed_out, dal_error *err)
{
        dal__flight *flight = conn->flight;
        dal_error failure;
        size_t n_pending;
        dal_status s, flushed;

        *ahead_failed_out = false;
        *n_sent_out = 0;
        if (!(conn->driver->caps & DAL_CAP_EMBEDDED) && dal_clock_passed(flight->deadline)) {
                drop_slots(conn, 0);
                return dal__conn_refuse(conn, DAL_CLASS_DEADLINE,
                                        "the deadline passed before this statement was sent", err);
        }
        s = hand_over(conn, &n_pending, err);
        *n_sent_out = flight->n;
        if (n_pending + flight->n == 0)
                return s;
        flushed = conn->driver->flush(conn->state, flight->deadline, &failure);
        if (flushed) {
                const dal_request *first = flight->n ? &flight->slots[0].request : &conn->pending[0].request;

                failure.conn_gone = flight->gone = true; /* without a working flush there are no results */
                s = dal__conn_fail(conn, first, &failure, err);
                dal__conn_drop_pending(conn, 0);
                return s;
        }
        flight->n_sent = flight->n;
        conn->stats.n_round_trips += (conn->driver->caps & DAL_CAP_PIPELINE) != 0;
        if (n_pending && (flushed = take_pending(conn, n_pending, s ? NULL : err))) {
                *ahead_failed_out = true;
                return s ? s : flushed;
        }
        return s;
}

size_t dal__conn_flight_left(const dal_conn *conn)
{
        const dal__flight *flight = conn->flight;

        return flight && !flight->gone ? flight->n_sent - flight->i_taken : 0;
}

dal_status dal__conn_flight_take(dal_conn *conn, dal_result *out, dal_error *err)
{
        dal__flight *flight = conn->flight;
        struct slot *slot;

        finish_result(conn);
        if (flight->gone || flight->i_taken == flight->n_sent) {
                dal__conn_refuse(conn, DAL_CLASS_CONNECTION_LOST, "the connection was lost", err);
                err->not_sent = false;
                err->conn_gone = true;
                return err->status;
        }
        unpin(conn, flight->i_taken);
        slot = &flight->slots[flight->i_taken++];
        dal__conn_note_write(conn, !slot->entry->is_read);
        memset(out, 0, sizeof *out);
        if (conn->driver->result(conn->state, flight->deadline, out, err)) {
                flight->gone |= err->conn_gone;
                return dal__conn_fail(conn, &slot->request, err, err);
        }
        conn->stats.n_round_trips -= out->joined && dal__conn_is_counted(conn, &slot->request);
        conn->insert_id = out->insert_id;
        (void)dal__conn_open_rows(conn, out, flight->deadline);
        flight->rows_open = conn->rows_open;
        conn->rows_open = true;
        return DAL_OK;
}

dal_status dal__conn_flight_row(dal_conn *conn, const dal_value **cells_out, dal_error *err)
{
        dal__flight *flight = conn->flight;
        dal_status s;
        bool found;

        conn->rows_open = flight->rows_open;
        s = conn->rows.next(&conn->rows, &found, err);
        *cells_out = conn->rows.cells;
        flight->rows_open = conn->rows_open;
        flight->gone |= conn->broken && s;
        conn->rows_open = true;
        return s;
}

void dal__conn_flight_end_rows(dal_conn *conn)
{
        finish_result(conn);
}

const char *dal__conn_flight_column(const dal_conn *conn, uint32_t i_column)
{
        return conn->rows.column(&conn->rows, i_column);
}

void dal__conn_flight_end(dal_conn *conn)
{
        dal_result ignored;

        if (!conn->flight)
                return;
        while (dal__conn_flight_left(conn))
                (void)!dal__conn_flight_take(conn, &ignored, &conn->scratch);
        finish_result(conn);
        clear_flight(conn);
        dal_mem_free(conn->flight);
        conn->flight = NULL;
        conn->rows_open = conn->awaiting = false;
}

void dal__conn_flight_stop(dal_conn *conn)
{
        conn->flight->end(conn->flight->arg);
        dal__conn_flight_end(conn);
}
