/* SPDX-License-Identifier: MIT */
#include "conn/conn_hot.h"

#include <string.h>

#include <dal/mem.h>

#define MAX_ROLLBACK_MS 1000u
#define MIN_ROLLBACK_MS 40u /* no call may return more than 50 ms after its deadline */

/* ---- queueing ------------------------------------------------------------------------------------------------ */

dal_status dal__conn_copy_params(dal_params params, dal_value **out, dal_error *err)
{
        size_t size = dal__params_copy_size(params);
        dal_value *values;
        char *bytes;

        *out = NULL;
        if (params.n_values == 0)
                return DAL_OK;
        values = size == SIZE_MAX ? NULL : dal_mem_alloc(size);
        if (!values)
                return dal_error_set(err, DAL_CLASS_NO_MEMORY, "out of memory for %zu bytes of parameters",
                                     size);
        memcpy(values, params.values, params.n_values * sizeof(dal_value));
        bytes = (char *)(values + params.n_values);
        for (size_t i = 0; i < params.n_values; i++) {
                if (!dal__params_has_span(&values[i]) || !values[i].as.span.ptr)
                        continue; /* no pointer: whoever checks the values refuses it */
                memcpy(bytes, values[i].as.span.ptr, values[i].as.span.size);
                values[i].as.span.ptr = bytes;
                bytes += values[i].as.span.size;
        }
        *out = values;
        return DAL_OK;
}

dal_status dal__conn_add_pending(dal_conn *conn, size_t at, const dal_request *request, dal_error *err)
{
        if (conn->n_pending == conn->n_pending_room) {
                size_t n = conn->n_pending_room ? 2 * conn->n_pending_room : 8;
                struct dal__pending *grown = dal_mem_resize(conn->pending, n, sizeof *grown);

                if (!grown)
                        return dal_error_set(err, DAL_CLASS_NO_MEMORY,
                                             "out of memory for a queue of %zu requests", n);
                conn->pending = grown;
                conn->n_pending_room = n;
        }
        memmove(&conn->pending[at + 1], &conn->pending[at], (conn->n_pending - at) * sizeof *conn->pending);
        conn->n_pending++;
        conn->pending[at].request = *request;
        conn->pending[at].stmt = NULL;
        conn->pending[at].values = NULL;
        return DAL_OK;
}

dal_status dal__conn_queue(dal_conn *conn, const dal_stmt *stmt, dal_params params, dal_error *err)
{
        dal__cached_stmt *entry;
        dal_request request;
        dal_value *values;
        dal_error *failure = err ? err : &conn->scratch;
        dal_status s = dal__conn_check_not_failed(conn, err);

        if (s)
                return s;
        memset(&request, 0, sizeof request);
        entry = dal__conn_prepare_request(conn, stmt, params, &request, failure);
        s = entry ? dal__conn_copy_params(params, &values, err) : failure->status;
        if (s)
                return s;
        request.params.values = values;
        request.unwatched = true;
        s = dal__conn_add_pending(conn, conn->n_pending, &request, err);
        if (s) {
                dal_mem_free(values);
                return s;
        }
        conn->pending[conn->n_pending - 1].stmt = entry;
        conn->pending[conn->n_pending - 1].values = values;
        entry->n_pins++;
        return DAL_OK;
}

bool dal__conn_has_queued(const dal_conn *conn)
{
        for (size_t i = 0; i < conn->n_pending; i++)
                if (conn->pending[i].stmt)
                        return true;
        return false;
}

dal_status dal__conn_flush(dal_conn *conn, dal_deadline deadline, dal_error *err)
{
        dal__flush_outcome outcome;
        dal_result result;
        dal_status s;

        if (conn->n_pending == 0)
                return DAL_OK;
        s = dal__conn_check_usable(conn, deadline, err);
        return s ? s : dal__conn_send_all(conn, NULL, deadline, &result, &outcome, err);
}

/* ---- transactions ----------------------------------------------------------------------------------------------- */

static uint32_t left_ms(dal_deadline deadline)
{
        int left = dal_clock_left_ms(deadline);

        return left < 0 ? 0 : left == 0 ? 1 : (uint32_t)left;
}

/*
 * The session's own limits serve unless the deadline is clearly nearer: re-sending them for a difference of some
 * milliseconds would cost every transaction a request.
 */
static void set_limits(const dal_conn *conn, dal_deadline deadline, dal_request *request)
{
        uint32_t left = left_ms(deadline);

        if (left && (conn->statement_timeout_ms == 0 ||
                     left < conn->statement_timeout_ms - conn->statement_timeout_ms / 8))
                request->statement_timeout_ms = left;
        if (left && (conn->lock_timeout_ms == 0 || left < conn->lock_timeout_ms - conn->lock_timeout_ms / 8))
                request->lock_timeout_ms = left;
}

dal_status dal_conn_begin(dal_conn *conn, dal_isolation isolation, bool read_only, dal_deadline deadline,
                          dal_error *err)
{
        dal_request request;
        dal_status s = dal__conn_check_alone(conn, deadline, err);

        if (s)
                return s;
        if (conn->in_tx)
                return dal__conn_refuse(conn, DAL_CLASS_TX_STATE,
                                        "a transaction is already open on this connection", err);
        if (conn->n_pending)
                return dal__conn_refuse(conn, DAL_CLASS_STATE, "statements are queued on this connection",
                                        err);
        memset(&request, 0, sizeof request);
        request.kind = DAL_REQUEST_BEGIN;
        request.isolation = isolation;
        request.read_only = read_only;
        if (!(conn->driver->caps & DAL_CAP_EMBEDDED))
                set_limits(conn, deadline, &request);
        s = dal__conn_add_pending(conn, 0, &request, err);
        if (s)
                return s;
        conn->in_tx = true;
        conn->tx_read_only = read_only;
        conn->wrote = false;
        conn->tx_failed = false;
        return DAL_OK;
}

static void end_tx(dal_conn *conn)
{
        dal__conn_drop_pending(conn, 0);
        conn->in_tx = false;
        conn->tx_failed = false;
        if (conn->effects & (DAL__EFFECT_SCHEMA | DAL__EFFECT_WAITS))
                dal__conn_note_schema(conn);
}

dal_deadline dal__conn_grace(dal_deadline deadline)
{
        dal_deadline latest = dal_clock_after_ms(MAX_ROLLBACK_MS),
                     least = dal_clock_after_ms(MIN_ROLLBACK_MS);

        if (deadline < latest)
                latest = deadline;
        return latest > least ? latest : least;
}

/* BEGIN is still waiting: the server knows of no transaction. */
static bool is_unsent(const dal_conn *conn)
{
        return conn->n_pending && conn->pending[0].request.kind == DAL_REQUEST_BEGIN;
}

dal_status dal_conn_rollback(dal_conn *conn, dal_deadline deadline, dal_error *err)
{
        dal__flush_outcome outcome;
        dal_request request;
        dal_result result;
        bool unsent = is_unsent(conn);
        dal_status s;

        if (dal__conn_is_forked(conn))
                return dal__conn_refuse_forked(conn, err);
        dal__conn_finish_rows(conn);
        end_tx(conn);
        if (conn->broken || unsent || conn->driver->tx_state(conn->state) == DAL_TX_STATE_IDLE)
                return DAL_OK; /* lost with the connection, never begun, or already ended by the server */
        memset(&request, 0, sizeof request);
        request.kind = DAL_REQUEST_ROLLBACK;
        s = dal__conn_send_all(conn, &request, deadline, &result, &outcome, err);
        if (s == DAL_OK && conn->driver->tx_state(conn->state) != DAL_TX_STATE_IDLE)
                s = dal_error_set(err, DAL_CLASS_TX_STATE,
                                  "the server is still in a transaction after ROLLBACK");
        if (s)
                conn->broken = true; /* only closing it is sure to end the transaction */
        return s;
}

/* The limits travel ahead of queued writes and are then the server's own deadline for them. */
static dal_status add_limits(dal_conn *conn, dal_deadline deadline, dal_error *err)
{
        dal_request request;

        memset(&request, 0, sizeof request);
        request.kind = DAL_REQUEST_LIMITS;
        request.statement_timeout_ms = request.lock_timeout_ms = left_ms(deadline);
        if (!(conn->driver->caps & DAL_CAP_PIPELINE) || !dal__conn_has_queued(conn) ||
            request.statement_timeout_ms == 0)
                return DAL_OK;
        if (is_unsent(conn)) {
                conn->pending[0].request.statement_timeout_ms = request.statement_timeout_ms;
                conn->pending[0].request.lock_timeout_ms = request.lock_timeout_ms;
                return DAL_OK;
        }
        return dal__conn_add_pending(conn, 0, &request, err);
}

bool dal__conn_has_written(const dal_conn *conn)
{
        return conn->wrote && !conn->tx_read_only;
}

/*
 * The seam of the lost reply: COMMIT may have reached the server and nobody knows what became of it. The class is
 * decided here, once; whoever can find out the outcome starts from this error. What only read is simply lost.
 */
static dal_status in_doubt(const dal_conn *conn, const char *token, dal_error *local, dal_error *err)
{
        if (dal__conn_has_written(conn)) {
                dal__conn_doubt(
                        "COMMIT was sent and no answer came: the transaction may or may not have been "
                        "committed",
                        local);
                if (token)
                        memcpy(local->outcome_token, token, strlen(token) + 1);
        } else {
                local->tx_gone = true;
        }
        if (err)
                *err = *local;
        return local->status;
}

static dal_status roll_back_failed(dal_conn *conn, dal_deadline deadline, dal_error *err)
{
        dal_conn_rollback(conn, dal__conn_grace(deadline),
                          NULL); /* a failure marks the connection as broken */
        dal_error_set(
                err, DAL_CLASS_COMMIT_ROLLED_BACK,
                "nothing was committed: a statement of this transaction had failed and it was rolled back");
        if (err)
                err->tx_gone = true;
        return DAL_ERR_STATE;
}

dal_status dal_conn_commit(dal_conn *conn, dal_deadline deadline, dal_error *err)
{
        return dal__conn_commit(conn, NULL, NULL, deadline, err);
}

dal_status dal__conn_commit(dal_conn *conn, const char *table, const char *token, dal_deadline deadline,
                            dal_error *err)
{
        bool pipelined = conn->driver->caps & DAL_CAP_PIPELINE;
        dal_error local = DAL_ERROR_INIT;
        dal__flush_outcome outcome = {false, false, 0};
        dal_request request;
        dal_result result;
        dal_status s;

        dal__conn_finish_rows(conn);
        if (!conn->in_tx)
                return dal__conn_refuse(conn, DAL_CLASS_TX_STATE, "no transaction is open on this connection",
                                        err);
        if (conn->broken) {
                end_tx(conn);
                return dal__conn_refuse(conn, DAL_CLASS_CONNECTION_LOST,
                                        "the connection was lost before COMMIT", err);
        }
        if (conn->tx_failed)
                return roll_back_failed(conn, deadline, err);
        if (is_unsent(conn) && !dal__conn_has_queued(conn)) {
                end_tx(conn); /* nothing was asked of the server, so there is nothing to commit */
                return DAL_OK;
        }
        s = dal__conn_check_usable(conn, deadline, err);
        if (s == DAL_OK)
                s = add_limits(conn, deadline, err);
        if (s) {
                dal_conn_rollback(conn, dal__conn_grace(deadline), NULL);
                return s;
        }
        memset(&request, 0, sizeof request);
        request.kind = DAL_REQUEST_COMMIT;
        if (table && dal__conn_has_written(conn)) {
                request.token_table = table;
                request.text = token;
        }
        s = dal__conn_send_all(conn, &request, deadline, &result, &outcome, &local);
        if (s && local.conn_gone && !local.not_sent && outcome.was_sent &&
            (pipelined || outcome.reached_last)) {
                s = in_doubt(conn, token, &local, err);
                end_tx(conn);
                return s;
        }
        if (s) {
                dal_conn_rollback(conn, dal__conn_grace(deadline), NULL);
                local.tx_gone = true;
                if (err)
                        *err = local;
                return s;
        }
        end_tx(conn);
        return DAL_OK;
}

bool dal__conn_may_number(dal_conn *conn, const dal_stmt *stmt)
{
        const dal__cached_stmt *entry;

        if (!conn->driver->number_query || conn->wrote)
                return false;
        entry = dal__stmt_cache_get(&conn->cache, conn->state, stmt, NULL);
        return entry && entry->is_dml;
}

dal_status dal__conn_exec_numbered(dal_conn *conn, const dal_stmt *stmt, dal_params params,
                                   dal_deadline deadline, int64_t *n_rows_out,
                                   char number[DAL__CONN_NUMBER_SIZE], dal_error *err)
{
        dal_error *failure = err ? err : &conn->scratch;
        dal__flush_outcome outcome;
        const dal_value *cells;
        dal_request request;
        dal_result result;
        dal_status s = dal__conn_check(conn, deadline, false, failure);
        bool found;

        number[0] = '\0';
        if (s == DAL_OK)
                s = dal__conn_queue(conn, stmt, params, failure);
        if (s)
                return s;
        conn->pending[conn->n_pending - 1].request.unwatched = false;
        memset(&request, 0, sizeof request);
        request.kind = DAL_REQUEST_TEXT;
        request.text = conn->driver->number_query(conn->state, false);
        request.text_size = strlen(request.text);
        s = dal__conn_send_all(conn, &request, deadline, &result, &outcome, failure);
        if (s)
                return s;
        (void)dal__conn_open_rows(conn, &result, deadline);
        s = conn->rows.next(&conn->rows, &found, failure);
        cells = conn->rows.cells;
        if (s == DAL_OK && found && cells[0].type == DAL_TYPE_TEXT &&
            cells[0].as.span.size == DAL__CONN_NUMBER_SIZE - 1) {
                memcpy(number, cells[0].as.span.ptr, DAL__CONN_NUMBER_SIZE - 1);
                number[DAL__CONN_NUMBER_SIZE - 1] = '\0';
        }
        dal__conn_finish_rows(conn);
        if (s == DAL_OK && n_rows_out)
                *n_rows_out = outcome.n_rows;
        return s;
}

const char *dal__conn_number_state_query(const dal_conn *conn)
{
        return conn->driver->number_query ? conn->driver->number_query(conn->state, true) : NULL;
}

const char *dal__conn_token_query(const dal_conn *conn)
{
        return conn->driver->token_query ? conn->driver->token_query(conn->state) : NULL;
}

dal_status dal__conn_end_session(dal_conn *conn, uint64_t session_id, uint32_t min_age_ms,
                                 dal_deadline deadline, dal_error *err)
{
        dal_error local = DAL_ERROR_INIT;
        dal_status s;

        if (!conn->driver->end_session)
                return DAL_OK;
        conn->stats.n_round_trips++;
        s = conn->driver->end_session(conn->state, session_id, min_age_ms, deadline, &local);
        if (s && local.conn_gone)
                conn->broken = true;
        if (s && err)
                *err = local;
        return s;
}

/* ---- savepoints ----------------------------------------------------------------------------------------------------- */

static void savepoint_request(dal_request *request, dal_request_kind kind, uint32_t number)
{
        memset(request, 0, sizeof *request);
        request->kind = kind;
        request->savepoint = number;
}

dal_status dal__conn_savepoint(dal_conn *conn, uint32_t number, dal_error *err)
{
        dal_request request;
        dal_status s = dal__conn_is_forked(conn) ? dal__conn_refuse_forked(conn, err)
                                                 : dal__conn_check_not_failed(conn, err);

        if (s)
                return s;
        /* Undoing the savepoint would end the cursor without a word. */
        if (conn->rows_open || (conn->effects & DAL__EFFECT_CURSORS))
                return dal__conn_refuse(conn, DAL_CLASS_BUSY,
                                        "rows are open: close them, or read them to the end, first", err);
        savepoint_request(&request, DAL_REQUEST_SAVEPOINT, number);
        return dal__conn_add_pending(conn, conn->n_pending, &request, err);
}

dal_status dal__conn_release_savepoint(dal_conn *conn, uint32_t number, dal_error *err)
{
        dal_request request;

        savepoint_request(&request, DAL_REQUEST_RELEASE, number);
        return dal__conn_add_pending(conn, conn->n_pending, &request, err);
}

/* Its savepoint never reached the server: then there is nothing to undo there. */
static bool drop_waiting_savepoint(dal_conn *conn, uint32_t number)
{
        for (size_t i = 0; i < conn->n_pending; i++) {
                const dal_request *waiting = &conn->pending[i].request;

                if (waiting->kind == DAL_REQUEST_SAVEPOINT && waiting->savepoint == number) {
                        dal__conn_drop_pending(conn, i);
                        return true;
                }
        }
        return false;
}

dal_status dal__conn_rollback_to(dal_conn *conn, uint32_t number, dal_deadline deadline, dal_error *err)
{
        dal__flush_outcome outcome;
        dal_request request;
        dal_result result;
        dal_error failure;
        dal_status s = DAL_OK;

        dal__conn_finish_rows(conn);
        if (!drop_waiting_savepoint(conn, number)) {
                dal__conn_drop_pending(conn, 0);
                savepoint_request(&request, DAL_REQUEST_ROLLBACK_TO, number);
                s = dal__conn_check_usable(conn, deadline, &failure);
                if (s == DAL_OK)
                        s = dal__conn_send_all(conn, &request, deadline, &result, &outcome, &failure);
                if (s == DAL_OK)
                        s = dal__conn_release_savepoint(conn, number, &failure);
        }
        if (s == DAL_OK) {
                conn->tx_failed = false;
                return DAL_OK;
        }
        dal__conn_spoil(conn, &failure);
        if (err)
                *err = failure;
        return s;
}

/* ---- between users ------------------------------------------------------------------------------------------------------ */

dal_status dal__conn_set_tx_mode(dal_conn *conn, bool tx_mode, dal_deadline deadline, dal_error *err)
{
        dal_request request;
        dal_result result;
        dal_status s;

        if (!(conn->driver->caps & DAL_CAP_TX_MODE) || conn->tx_mode == tx_mode)
                return DAL_OK;
        memset(&request, 0, sizeof request);
        request.kind = DAL_REQUEST_MODE;
        request.tx_mode = tx_mode;
        s = dal__conn_send_one(conn, &request, deadline, &result, err);
        if (s)
                conn->broken = true; /* in which mode it is now is anybody's guess */
        else
                conn->tx_mode = tx_mode;
        return s;
}

bool dal__conn_is_clean(dal_conn *conn)
{
        return dal__conn_is_clean_hot(conn);
}

void dal__conn_clean(dal_conn *conn, dal_deadline deadline, bool *reusable_out)
{
        *reusable_out = dal__conn_is_clean(conn);
        if (*reusable_out)
                return;
        dal_conn_rollback(conn, deadline, NULL); /* only if the server says there is something to roll back */
        if (!conn->broken && conn->effects & DAL__EFFECT_SESSION) {
                if (!conn->driver->reset || conn->driver->reset(conn->state, deadline, NULL))
                        conn->broken = true;
                conn->stats.n_round_trips++;
                conn->effects = 0;
        }
        *reusable_out = dal__conn_is_clean(conn);
}
