/* SPDX-License-Identifier: MIT */
#include "conn/conn_state.h"

#include <string.h>

#include <dal/mem.h>

#include "sql/params.h"

/* ---- sending and receiving --------------------------------------------------------------------------------- */

/* Leads the message with what was being done; keeps everything else of the error. */
static void name_statement(dal_error *err, const char *name)
{
        char message[sizeof err->message];
        size_t n = strlen(name), size = strlen(err->message);

        if (n + 2 >= sizeof message)
                return;
        memcpy(message, name, n);
        memcpy(message + n, ": ", 2);
        if (size > sizeof message - n - 3)
                size = sizeof message - n - 3;
        memcpy(message + n + 2, err->message, size);
        message[n + 2 + size] = '\0';
        memcpy(err->message, message, n + 3 + size);
}

static const char *request_name(const dal_request *request)
{
        switch (request->kind) {
        case DAL_REQUEST_STMT:
                return request->stmt->name;
        case DAL_REQUEST_TEXT:
                return "dynamic statement";
        case DAL_REQUEST_SCRIPT:
                return "script";
        case DAL_REQUEST_BEGIN:
                return "BEGIN";
        case DAL_REQUEST_COMMIT:
                return "COMMIT";
        case DAL_REQUEST_ROLLBACK:
                return "ROLLBACK";
        case DAL_REQUEST_SAVEPOINT:
                return "SAVEPOINT";
        case DAL_REQUEST_RELEASE:
                return "RELEASE SAVEPOINT";
        case DAL_REQUEST_ROLLBACK_TO:
                return "ROLLBACK TO SAVEPOINT";
        case DAL_REQUEST_LIMITS:
                return "time limits";
        case DAL_REQUEST_MODE:
                return "autocommit mode";
        }
        return "request";
}

bool dal__conn_is_counted(const dal_conn *conn, const dal_request *request)
{
        if (conn->driver->caps & (DAL_CAP_PIPELINE | DAL_CAP_EMBEDDED))
                return false;
        return request->kind != DAL_REQUEST_BEGIN || request->isolation != DAL_ISOLATION_DEFAULT ||
               request->read_only || !conn->tx_mode;
}

void dal__conn_spoil(dal_conn *conn, const dal_error *failure)
{
        if (!conn->in_tx || conn->tx_failed)
                return;
        conn->tx_failed = true;
        conn->tx_failure = *failure;
}

const dal_error *dal__conn_spoilt_by(const dal_conn *conn)
{
        return conn->tx_failed ? &conn->tx_failure : NULL;
}

dal_status dal__conn_fail(dal_conn *conn, const dal_request *request, dal_error *failure, dal_error *err)
{
        if (failure->conn_gone)
                conn->broken = failure->tx_gone = true; /* the server ends what a lost session had open */
        if (failure->error_class == DAL_CLASS_READ_ONLY_SERVER)
                conn->broken = true; /* after a fail-over the primary is elsewhere: the next one looks anew */
        if (conn->broken)
                conn->broken_by = failure->error_class;
        if (failure->error_class == DAL_CLASS_SCHEMA_CHANGED)
                conn->effects |= DAL__EFFECT_SCHEMA; /* somebody's: what else was prepared is as old */
        name_statement(failure, request_name(request));
        dal__conn_spoil(conn, failure);
        if (err && err != failure)
                *err = *failure;
        return failure->status;
}

dal_status dal__conn_refuse(dal_conn *conn, dal_error_class error_class, const char *what, dal_error *err)
{
        dal_error_set(err, error_class, "%s", what);
        if (err) {
                err->not_sent = true;
                err->conn_gone = conn->broken;
        }
        return dal_error_class_status(error_class);
}

dal_status dal__conn_refuse_forked(dal_conn *conn, dal_error *err)
{
        return dal__conn_refuse(conn, DAL_CLASS_STATE,
                                "this connection was opened before fork(): it belongs to the parent process; "
                                "the child needs one "
                                "of its own, of a pool or cluster of its own",
                                err);
}

static dal_status refuse_busy(dal_conn *conn, dal_error *err)
{
        return dal__conn_refuse(conn, DAL_CLASS_BUSY,
                                conn->flight ? "read the results of the batch to the end, or close it, first"
                                             : "rows are open: close them, or read them to the end, first",
                                err);
}

dal_status dal__conn_check_usable(dal_conn *conn, dal_deadline deadline, dal_error *err)
{
        if (dal__conn_is_forked(conn))
                return dal__conn_refuse_forked(conn, err);
        if (conn->broken) {
                dal_status s = dal__conn_refuse(conn, DAL_CLASS_CONNECTION_LOST,
                                                "this connection was lost earlier", err);

                if (err)
                        err->not_sent = false; /* what was sent before may have had effects */
                return s;
        }
        if (conn->rows_open)
                return refuse_busy(conn, err);
        /* An engine inside this process looks at the clock itself when it begins. */
        if (!(conn->driver->caps & DAL_CAP_EMBEDDED) && dal_clock_passed(deadline))
                return dal__conn_refuse(conn, DAL_CLASS_DEADLINE,
                                        "the deadline passed before anything was sent", err);
        return DAL_OK;
}

dal_status dal__conn_check_alone(dal_conn *conn, dal_deadline deadline, dal_error *err)
{
        dal_status s = dal__conn_check_usable(conn, deadline, err);

        return s || !(conn->effects & DAL__EFFECT_CURSORS) ? s : refuse_busy(conn, err);
}

dal_status dal__conn_send_all(dal_conn *conn, const dal_request *last, dal_deadline deadline,
                              dal_result *result, dal__flush_outcome *outcome, dal_error *err)
{
        size_t n_before = conn->n_pending, n_total = n_before + (last ? 1 : 0), n_queued = 0;
        const dal_driver *driver = conn->driver;
        const dal_request *failed_request = NULL;
        dal_error first, local; /* filled by failures only */

        outcome->reached_last = outcome->was_sent = false;
        outcome->n_rows = 0;
        for (size_t i = 0; i < n_total && !failed_request; i++) {
                const dal_request *request = i < n_before ? &conn->pending[i].request : last;

                if (driver->queue(conn->state, request, &first)) {
                        failed_request = request;
                        first.not_sent = n_queued == 0;
                } else {
                        n_queued++;
                        if (dal__conn_is_counted(conn, request))
                                conn->stats.n_round_trips++;
                }
        }
        conn->stats.n_requests += n_queued;
        outcome->was_sent = n_queued > 0;
        if (n_queued && driver->flush(conn->state, deadline, &local)) {
                /* Without a working flush there are no results to wait for. */
                if (!failed_request) {
                        failed_request = last ? last : &conn->pending[n_before - 1].request;
                        first = local;
                }
                first.conn_gone = true;
                outcome->was_sent = !first.not_sent;
                n_queued = 0;
        }
        if (n_queued && (driver->caps & DAL_CAP_PIPELINE))
                conn->stats.n_round_trips++;
        for (size_t i = 0; i < n_queued; i++) {
                const dal_request *request = i < n_before ? &conn->pending[i].request : last;

                memset(result, 0, sizeof *result);
                if (i == n_before)
                        outcome->reached_last = !failed_request;
                if (driver->result(conn->state, deadline, result, &local) == DAL_OK) {
                        conn->stats.n_round_trips -= result->joined && dal__conn_is_counted(conn, request);
                        outcome->n_rows = i + 1 == n_before ? result->n_rows : outcome->n_rows;
                        continue;
                }
                if (!failed_request) {
                        failed_request = request;
                        first = local;
                }
                if (local.conn_gone) {
                        first.conn_gone = true;
                        break;
                }
        }
        if (failed_request) {
                dal_status s = dal__conn_fail(conn, failed_request, &first, err);

                dal__conn_drop_pending(conn, 0);
                return s;
        }
        dal__conn_drop_pending(conn, 0);
        return DAL_OK;
}

dal_status dal__conn_send_one(dal_conn *conn, const dal_request *request, dal_deadline deadline,
                              dal_result *result, dal_error *err)
{
        dal__flush_outcome outcome;
        dal_status s = dal__conn_check_alone(conn, deadline, err);

        return s ? s : dal__conn_send_all(conn, request, deadline, result, &outcome, err);
}

/* ---- what waits to be sent ------------------------------------------------------------------------------------ */

void dal__conn_drop_pending(dal_conn *conn, size_t from)
{
        for (size_t i = from; i < conn->n_pending; i++) {
                if (conn->pending[i].stmt)
                        conn->pending[i].stmt->n_pins--;
                dal_mem_free(conn->pending[i].values);
        }
        if (from < conn->n_pending)
                conn->n_pending = from;
}

dal_status dal__conn_check_not_failed(dal_conn *conn, dal_error *err)
{
        return conn->tx_failed
                       ? dal__conn_refuse(
                                 conn, DAL_CLASS_TX_STATE,
                                 "an earlier statement failed, so this transaction can only be rolled back",
                                 err)
                       : DAL_OK;
}

/* ---- rows --------------------------------------------------------------------------------------------------- */

void dal__conn_doubt(const char *what, dal_error *failure)
{
        dal_error cause = *failure;

        dal_error_set(failure, DAL_CLASS_COMMIT_UNKNOWN, "%s (%.300s)", what, cause.message);
        failure->vendor_code = cause.vendor_code;
        memcpy(failure->sqlstate, cause.sqlstate, sizeof failure->sqlstate);
        failure->conn_gone = true;
}

DAL_COLD void dal__conn_fail_row(dal_conn *conn, dal_error *failure)
{
        /* Outside a transaction the write whose rows these are is committed when the last one was sent, or never. */
        if (failure->conn_gone && !conn->in_tx && conn->wrote)
                dal__conn_doubt(
                        "the connection was lost between the rows of a write, which may or may not have "
                        "taken effect",
                        failure);
        if (failure->conn_gone) {
                conn->broken = failure->tx_gone = true; /* the server ends what a lost session had open */
                conn->broken_by = failure->error_class;
        }
        dal__conn_spoil(conn, failure);
}

DAL_COLD static dal_status fail_row(dal_conn *conn, bool *found_out, dal_error *failure)
{
        conn->rows.cells = NULL;
        *found_out = false;
        conn->rows_open = false;
        conn->rows_failed = true;
        dal__conn_fail_row(conn, failure);
        if (failure->tx_gone)
                dal__conn_end_cursors(conn);
        if (!conn->broken && conn->driver->discard(conn->state, conn->rows_deadline, NULL))
                conn->broken = true;
        return failure->status;
}

DAL_COLD dal_status dal__conn_refuse_rows(dal_conn *conn, dal_error *err)
{
        return dal__conn_refuse(
                conn, DAL_CLASS_STATE,
                "these rows were closed, or ended with their transaction or in a failure, which was reported",
                err);
}

/* The driver has none any more, or must not be asked. */
DAL_NOINLINE static dal_status no_row(dal_conn *conn, bool *found_out, dal_error *err)
{
        conn->rows.cells = NULL;
        *found_out = false;
        if (conn->rows_open && !conn->rows_complete)
                return dal__conn_refuse_forked(conn, err);
        conn->rows_open = false;
        return !conn->rows_failed ? DAL_OK : dal__conn_refuse_rows(conn, err);
}

static dal_status next_row(dal_rows *rows, bool *found_out, dal_error *err)
{
        dal_conn *conn = rows->source;
        dal_error *failure = err ? err : &conn->scratch;

        if (!conn->rows_open || conn->rows_complete || dal__conn_is_forked(conn))
                return no_row(conn, found_out, err);
        if (conn->driver->fetch(conn->state, conn->rows_deadline, &conn->rows.cells, failure))
                return fail_row(conn, found_out, failure);
        *found_out = conn->rows_open = conn->rows.cells != NULL;
        return DAL_OK;
}

/* Takes the rows of a query that was only sent, or the results of a batch, to drop them. */
DAL_COLD static void take_awaited(dal_conn *conn)
{
        dal_rows *rows;

        if (conn->flight)
                dal__conn_flight_stop(conn);
        else if (!conn->broken)
                (void)!dal__conn_take_rows(conn, &rows, NULL);
}

DAL_COLD void dal__conn_fail_discard(dal_conn *conn)
{
        if (conn->scratch.conn_gone)
                conn->broken = true;
        dal__conn_spoil(conn, &conn->scratch);
}

static inline void finish_own(dal_conn *conn)
{
        bool forked = dal__conn_is_forked(conn);

        if (conn->awaiting && !forked)
                take_awaited(conn);
        if (conn->rows_open && !conn->rows_complete && !conn->broken && !forked &&
            conn->driver->discard(conn->state, conn->rows_deadline, &conn->scratch))
                dal__conn_fail_discard(conn);
        conn->rows_open = false;
        conn->rows.cells = conn->rows.first = NULL;
}

void dal__conn_finish_rows(dal_conn *conn)
{
        bool cut_short = conn->rows_open;

        if (!(conn->rows_open | conn->awaiting | (conn->effects & DAL__EFFECT_CURSORS)))
                return;
        finish_own(conn);
        conn->rows_failed |= cut_short;
        dal__conn_end_cursors(conn);
}

static void close_rows(dal_rows *rows)
{
        dal_conn *conn = rows->source;
        void (*hook)(dal_conn *, void *) = conn->on_rows_close;

        /* Who reads on must not take it for the end: an older query's rows may have been closed late, at this address. */
        conn->rows_failed |= conn->rows_open;
        finish_own(conn);
        conn->on_rows_close = NULL;
        if (hook)
                hook(conn, conn->on_rows_close_arg);
}

static const char *column_name(const dal_rows *rows, uint32_t i_column)
{
        const dal_conn *conn = rows->source;

        return conn->driver->column(conn->state, i_column);
}

void dal__conn_init_rows(dal_conn *conn)
{
        conn->rows.next = next_row;
        conn->rows.close = close_rows;
        conn->rows.column = column_name;
        conn->rows.source = conn;
}

void dal__conn_set_rows_shard(dal_rows *rows, uint16_t shard)
{
        rows->shard = shard;
}

/* ---- the schema changes ------------------------------------------------------------------------------------------ */

void dal__conn_note_schema(dal_conn *conn)
{
        uint32_t others;

        dal__stmt_cache_invalidate(&conn->cache, conn->state);
        conn->effects &= (uint8_t) ~(DAL__EFFECT_SCHEMA | DAL__EFFECT_WAITS);
        /* Others see a transaction's change when it is over, and would prepare for the old one until then. */
        if (conn->in_tx)
                conn->effects |= DAL__EFFECT_WAITS;
        if (conn->in_tx || !conn->news)
                return;
        others = atomic_fetch_add_explicit(&conn->news->n_schema, 1, memory_order_relaxed);
        atomic_fetch_add_explicit(&conn->news->n, 1, memory_order_release);
        if (others == conn->schema_heard)
                conn->schema_heard++;
}

void dal__conn_hear(dal_conn *conn)
{
        uint32_t n = atomic_load_explicit(&conn->news->n_schema, memory_order_relaxed);

        if (conn->schema_heard != n)
                dal__stmt_cache_invalidate(&conn->cache, conn->state);
        conn->schema_heard = n;
}

void dal__conn_join(dal_conn *conn, dal__conn_news *news, const dal__conn_process *process, uint32_t max_size)
{
        dal__conn_set_process(conn, process);
        conn->news = news;
        conn->schema_heard = atomic_load_explicit(&news->n_schema, memory_order_relaxed);
        dal__stmt_cache_limit(&conn->cache, conn->info.max_prepared, max_size);
}

/* ---- fan-out ---------------------------------------------------------------------------------------------------- */

dal_status dal__conn_send_query(dal_conn *conn, const dal_stmt *stmt, dal_params params,
                                dal_deadline deadline, dal_error *err)
{
        dal_error local;
        dal_request *request;
        dal_status s = dal__conn_check_alone(conn, deadline, err);

        if (s)
                return s;
        if (conn->n_pending)
                return dal__conn_refuse(conn, DAL_CLASS_STATE, "statements are queued on this connection",
                                        err);
        s = dal__conn_queue(conn, stmt, params, err);
        if (s)
                return s;
        request = &conn->pending[0].request;
        request->unwatched = false;
        request->send_early = true;
        if (conn->driver->queue(conn->state, request, &local) ||
            conn->driver->flush(conn->state, deadline, &local)) {
                s = dal__conn_fail(conn, request, &local, err);
                dal__conn_drop_pending(conn, 0);
                return s;
        }
        conn->awaiting = true;
        conn->rows_deadline = deadline;
        conn->stats.n_round_trips += (conn->driver->caps & DAL_CAP_EMBEDDED) ? 0 : 1;
        return DAL_OK;
}

dal_status dal__conn_take_rows(dal_conn *conn, dal_rows **out, dal_error *err)
{
        dal_error local;
        dal_result result;
        dal_status s = DAL_OK;

        *out = NULL;
        if (dal__conn_is_forked(conn))
                return dal__conn_refuse_forked(conn, err);
        conn->awaiting = false;
        memset(&result, 0, sizeof result);
        if (conn->driver->result(conn->state, conn->rows_deadline, &result, &local))
                s = dal__conn_fail(conn, &conn->pending[0].request, &local, err);
        dal__conn_drop_pending(conn, 0);
        if (s == DAL_OK)
                *out = dal__conn_open_rows(conn, &result, conn->rows_deadline);
        return s;
}
