/* SPDX-License-Identifier: MIT */
/* Answers become results: waiting, reading in order, and what follows a failure. */

#include "postgres_impl.h"

#include <poll.h>
#include <string.h>

/* ---- waiting ---------------------------------------------------------------------------------------------------- */

/*
 * The first wait for an answer. It looks neither at libpq's buffer, where nothing can be, nor at the clock: a wait
 * this short keeps the promise about deadlines, and most answers come sooner.
 */
static void wait_shortly(dal__postgres_conn *conn)
{
        struct pollfd fd = {PQsocket(conn->pg), POLLIN, 0};

        conn->quiet = false;
        if (poll(&fd, 1, PG_SHORT_MS) > 0)
                PQconsumeInput(conn->pg); /* PQgetResult() reports a failure */
}

/* ---- failures --------------------------------------------------------------------------------------------------- */

bool dal__postgres_is_failure(const PGresult *result)
{
        switch (PQresultStatus(result)) {
        case PGRES_COMMAND_OK:
        case PGRES_TUPLES_OK:
        case PGRES_SINGLE_TUPLE:
        case PGRES_EMPTY_QUERY:
#ifdef LIBPQ_HAS_CHUNK_MODE
        case PGRES_TUPLES_CHUNK:
#endif
                return false;
        default:
                return true;
        }
}

static bool is_copy(const PGresult *result)
{
        ExecStatusType status = PQresultStatus(result);

        return status == PGRES_COPY_IN || status == PGRES_COPY_OUT || status == PGRES_COPY_BOTH;
}

static bool is_on(PGconn *pg, const char *name, bool otherwise)
{
        const char *value = PQparameterStatus(pg, name);

        return value ? strcmp(value, "on") == 0 : otherwise;
}

/* Servers before 14 don't report it; there a write refused as read-only is taken for a failover. */
static bool is_read_only_server(PGconn *pg)
{
        return is_on(pg, "in_hot_standby", true) || is_on(pg, "default_transaction_read_only", true);
}

/* An error of one statement: not the end of the session, nor what libpq says, which has no code, or a pooler of its. */
static bool is_servers_word(const PGresult *failure)
{
        const char *severity = PQresultErrorField(failure, PG_DIAG_SEVERITY_NONLOCALIZED);
        const char *code = PQresultErrorField(failure, PG_DIAG_SQLSTATE);

        return severity && strcmp(severity, "ERROR") == 0 && code && strncmp(code, "08", 2) != 0;
}

static void fill_fault(dal__postgres_conn *conn, const PGresult *result, dal__postgres_fault *fault)
{
        const char *severity = PQresultErrorField(result, PG_DIAG_SEVERITY_NONLOCALIZED);

        memset(fault, 0, sizeof *fault);
        fault->sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
        fault->message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
        if (!fault->message)
                fault->message = result ? PQresultErrorMessage(result) : PQerrorMessage(conn->pg);
        fault->detail = PQresultErrorField(result, PG_DIAG_MESSAGE_DETAIL);
        fault->hint = PQresultErrorField(result, PG_DIAG_MESSAGE_HINT);
        fault->constraint = PQresultErrorField(result, PG_DIAG_CONSTRAINT_NAME);
        fault->table = PQresultErrorField(result, PG_DIAG_TABLE_NAME);
        fault->column = PQresultErrorField(result, PG_DIAG_COLUMN_NAME);
        fault->function = PQresultErrorField(result, PG_DIAG_SOURCE_FUNCTION);
        fault->conn_gone = conn->broken || PQstatus(conn->pg) == CONNECTION_BAD ||
                           (severity && (strcmp(severity, "FATAL") == 0 || strcmp(severity, "PANIC") == 0));
        fault->cancel_sent = atomic_load_explicit(&conn->cancel_sent, memory_order_relaxed);
        fault->read_only_asked = conn->tx_read_only;
        fault->read_only_server = is_read_only_server(conn->pg);
}

dal_status dal__postgres_lost(dal__postgres_conn *conn, bool not_sent, dal_error *err)
{
        dal__postgres_fault fault;
        dal_status s;

        conn->broken = true;
        fill_fault(conn, NULL, &fault);
        if (!fault.message[0])
                fault.message = "this connection was given up earlier";
        s = dal__postgres_fail(&fault, err);
        if (err)
                err->not_sent = not_sent;
        return s;
}

/* Our statement was prepared in another session than the one that was asked for it. */
static bool has_lost_statement(const dal__postgres_fault *fault)
{
        return fault->sqlstate &&
               (strcmp(fault->sqlstate, "26000") == 0 || strcmp(fault->sqlstate, "42P05") == 0);
}

/* Fills the error from the result that tells it; the state of the transaction is already known. */
static dal_status fail_request(dal__postgres_conn *conn, const dal_request *request, const PGresult *failure,
                               dal_error *err)
{
        bool is_stmt = request && request->kind == DAL_REQUEST_STMT;
        dal__postgres_fault fault;
        dal_error_class error_class;

        if (is_copy(failure)) {
                conn->broken = true;
                dal_error_set(err, DAL_CLASS_UNSUPPORTED,
                              "COPY to or from the client is not supported; the connection was given up");
                if (err)
                        err->conn_gone = err->tx_gone = true;
                return DAL_ERR_UNSUPPORTED;
        }
        fill_fault(conn, failure, &fault);
        /*
         * The server's own word about the statement stands, even when the connection was lost behind it: what follows in
         * the flush, a COMMIT too, was skipped. The next flush finds the connection lost.
         */
        if (is_servers_word(failure))
                fault.conn_gone = false;
        fault.own_statement = is_stmt;
        if (is_stmt && has_lost_statement(&fault))
                fault.hint =
                        "behind a transaction pooler such as PgBouncer the URL must say statements=unnamed";
        /* A parameter that nothing in the statement gives a type: of `? IS NULL` alone. */
        if (fault.sqlstate && strcmp(fault.sqlstate, "42P18") == 0 && !fault.hint)
                fault.hint = "say which type it is, as in CAST(? AS bigint)";
        conn->broken |= fault.conn_gone;
        error_class = dal__postgres_classify(&fault);
        if (is_stmt && error_class == DAL_CLASS_SCHEMA_CHANGED) {
                dal__postgres_prepared *prepared = *(dal__postgres_prepared **)request->stmt->state;

                /* Of no use any more: the next use prepares it anew. */
                if (prepared) {
                        prepared->on_server = strcmp(fault.sqlstate, "26000") != 0;
                        dal__postgres_retire(conn, prepared);
                }
        }
        dal__postgres_fail(&fault, err);
        if (err && !fault.conn_gone)
                err->tx_gone = conn->in_tx && (conn->broken || conn->state == PQTRANS_IDLE);
        return dal_error_class_status(error_class);
}

dal_status dal__postgres_fail_alone(dal__postgres_conn *conn, const PGresult *failure, dal_error *err)
{
        return fail_request(conn, NULL, failure, err);
}

dal_status dal__postgres_fail_flush(dal__postgres_conn *conn, const dal_request *request, PGresult *failure,
                                    dal_deadline deadline, dal_error *err)
{
        uint32_t end = conn->i_next;
        dal_status s;

        /* What was run without the queue is a flush of its own. */
        while (end && !conn->items[end - 1].ends_flush)
                end++;
        if (conn->open && !is_copy(failure)) {
                /* The end follows the failure at once, but that may have come at the last moment. */
                dal_deadline moment = dal_clock_after_ms(PG_SHORT_MS);
                PGresult *ignored = NULL;

                dal__postgres_end_segment(conn, deadline > moment ? deadline : moment, &ignored, NULL);
                PQclear(ignored);
        }
        conn->i_skip = end;
        if (conn->i_sent < end)
                conn->i_sent = end;
        s = fail_request(conn, request, failure, err);
        PQclear(failure);
        return s;
}

/* ---- the end of a segment ------------------------------------------------------------------------------------------ */

static void keep_failure(PGresult *result, PGresult **failure)
{
        if (dal__postgres_is_failure(result) && !*failure)
                *failure = result;
        else
                PQclear(result);
}

/*
 * A plain statement's answer ends with ReadyForQuery. libpq tells it by NULL for the next result, and cheaper by
 * the status of the transaction.
 */
static dal_status read_to_idle(dal__postgres_conn *conn, dal_deadline deadline, PGresult **failure,
                               dal_error *err)
{
        for (;;) {
                PGresult *result;
                bool copy;
                dal_status s;

                if (PQisBusy(conn->pg) && (s = dal__postgres_wait(conn, deadline, err)))
                        return s;
                conn->state = PQtransactionStatus(conn->pg);
                if (conn->state != PQTRANS_ACTIVE && conn->state != PQTRANS_UNKNOWN)
                        return DAL_OK;
                result = PQgetResult(conn->pg);
                if (!result)
                        return DAL_OK; /* the connection is lost; a failure has told it */
                copy = is_copy(result);
                keep_failure(result, failure);
                if (copy)
                        return DAL_OK; /* libpq would give it again and again */
        }
}

static dal_status read_to_sync(dal__postgres_conn *conn, dal_deadline deadline, PGresult **failure,
                               dal_error *err)
{
        int n_nulls = 0;

        for (;;) {
                PGresult *result;
                dal_status s = dal__postgres_wait(conn, deadline, err);

                if (s)
                        return s;
                result = PQgetResult(conn->pg);
                n_nulls = result ? 0 : n_nulls + 1;
                if (PQresultStatus(result) == PGRES_PIPELINE_SYNC) {
                        PQclear(result);
                        return DAL_OK;
                }
                if (result)
                        keep_failure(result, failure);
                if (PQstatus(conn->pg) != CONNECTION_OK || n_nulls > 2)
                        return dal__postgres_lost(conn, false, err);
        }
}

/* The answers about closed statements: what was closed, or was unknown to the server, is forgotten. */
static void read_closing(dal__postgres_conn *conn, dal_deadline deadline)
{
        PGresult *ignored = NULL;
        uint32_t n = 0;

        for (uint32_t i = 0; i < conn->n_trailing; i++) {
                const char *code;
                PGresult *result;

                if (dal__postgres_wait(conn, deadline, NULL))
                        return;
                result = PQgetResult(conn->pg);
                code = PQresultErrorField(result, PG_DIAG_SQLSTATE);
                if (n == i && (!dal__postgres_is_failure(result) || (code && strcmp(code, "26000") == 0)))
                        n++;
                PQclear(result);
                PQclear(PQgetResult(conn->pg));
        }
        dal__postgres_closed(conn, n);
        read_to_sync(conn, deadline, &ignored, NULL);
        PQclear(ignored);
}

dal_status dal__postgres_end_segment(dal__postgres_conn *conn, dal_deadline deadline, PGresult **failure,
                                     dal_error *err)
{
        dal_status s;

        conn->open = false;
        if (!conn->pipelined)
                return read_to_idle(conn, deadline, failure, err);
        s = read_to_sync(conn, deadline, failure, err);
        if (s == DAL_OK && conn->n_trailing)
                read_closing(conn, deadline);
        conn->pipelined = false;
        if (s == DAL_OK && !conn->broken && !PQexitPipelineMode(conn->pg))
                s = dal__postgres_lost(conn, false, err);
        conn->state = PQtransactionStatus(conn->pg);
        return s;
}

/* ---- results ------------------------------------------------------------------------------------------------------- */

int64_t dal__postgres_count_of_tag(const char *tag)
{
        size_t skip;
        int64_t n = 0;

        if (strncmp(tag, "INSERT 0 ", skip = 9) != 0 && strncmp(tag, "UPDATE ", skip = 7) != 0 &&
            strncmp(tag, "DELETE ", skip = 7) != 0 && strncmp(tag, "MERGE ", skip = 6) != 0)
                return 0;
        for (tag += skip; *tag >= '0' && *tag <= '9' && n <= (INT64_MAX - 9) / 10; tag++)
                n = 10 * n + (*tag - '0');
        return n;
}

static dal_status rolled_back(dal_error *err)
{
        dal_error_set(
                err, DAL_CLASS_COMMIT_ROLLED_BACK,
                "nothing was committed: PostgreSQL answered COMMIT by ROLLBACK, as an earlier statement of "
                "the transaction had failed");
        if (err)
                err->tx_gone = true;
        return DAL_ERR_STATE;
}

static bool is_committed(const dal_request *request, PGresult *result)
{
        return request->kind == DAL_REQUEST_COMMIT && result && strcmp(PQcmdStatus(result), "COMMIT") == 0;
}

/* Makes a success the outcome; consumes the result. */
static dal_status deliver(dal__postgres_conn *conn, const dal_request *request, PGresult *result,
                          dal_result *out, dal_error *err)
{
        dal_status s = DAL_OK;

        if (!result)
                return DAL_OK;
        out->n_rows = dal__postgres_rows_of_tag(PQcmdStatus(result));
        if (PQresultStatus(result) == PGRES_TUPLES_OK && request->kind != DAL_REQUEST_SCRIPT)
                return dal__postgres_open_rows(conn, result, false, out, err);
        if (request->kind == DAL_REQUEST_COMMIT && !is_committed(request, result))
                s = rolled_back(err);
        PQclear(result);
        return s;
}

/*
 * Ends the segment behind its last result. Outside a transaction only its end says that the work is done. COMMIT
 * is done when its own answer came: what happens to the connection afterwards does not change that.
 */
DAL_NOINLINE static dal_status end_and_deliver(dal__postgres_conn *conn, const dal_request *request,
                                               PGresult *result, dal_deadline deadline, dal_result *out,
                                               dal_error *err)
{
        PGresult *failure = NULL;
        bool committed = is_committed(request, result);
        dal_status s = conn->open
                               ? dal__postgres_end_segment(conn, deadline, &failure, committed ? NULL : err)
                               : DAL_OK;

        if (committed) {
                conn->broken |= failure != NULL;
                PQclear(failure);
        } else if (s || failure) {
                PQclear(result);
                if (s == DAL_OK)
                        return dal__postgres_fail_flush(conn, request, failure, deadline, err);
                PQclear(failure);
                return s;
        }
        return deliver(conn, request, result, out, err);
}

DAL_NOINLINE static dal_status open_stream(dal__postgres_conn *conn, const dal_request *request,
                                           PGresult *result, dal_result *out, dal_error *err)
{
        conn->may_cancel = !conn->in_tx && conn->i_next == conn->i_sent && dal__postgres_is_read(request);
        return dal__postgres_open_rows(conn, result, true, out, err);
}

dal_status dal__postgres_take_plain(dal__postgres_conn *conn, const dal_request *request, PGresult *result,
                                    dal_deadline deadline, dal_result *out, dal_error *err)
{
        switch (PQresultStatus(result)) {
        case PGRES_TUPLES_OK:
                if (dal__postgres_has_ended(conn) && request->kind != DAL_REQUEST_SCRIPT) {
                        out->n_rows = dal__postgres_rows_of_tag(PQcmdStatus(result));
                        return dal__postgres_open_rows(conn, result, false, out, err);
                }
                return end_and_deliver(conn, request, result, deadline, out, err);
        case PGRES_COMMAND_OK:
        case PGRES_EMPTY_QUERY:
                return end_and_deliver(conn, request, result, deadline, out, err);
        default:
                if (dal__postgres_is_partial(result))
                        return open_stream(conn, request, result, out, err);
                return dal__postgres_fail_flush(conn, request, result, deadline, err);
        }
}

/* Its own Sync has committed it, or has failed to. */
static dal_status sync_and_deliver(dal__postgres_conn *conn, const dal_request *request, PGresult *result,
                                   dal_deadline deadline, dal_result *out, dal_error *err)
{
        PGresult *failure = NULL;
        dal_status s = read_to_sync(conn, deadline, &failure, err);

        if (s == DAL_OK && failure)
                s = fail_request(conn, request, failure, err);
        PQclear(failure);
        if (s == DAL_OK)
                return deliver(conn, request, result, out, err);
        PQclear(result);
        return s;
}

/* Its server-side form was to be prepared by an earlier request of the pipeline, and could not be. */
static bool is_orphan(const dal__postgres_item *item, const PGresult *failure)
{
        const char *code = PQresultErrorField(failure, PG_DIAG_SQLSTATE);

        return item->prepared && !item->ahead && item->prepared->failure && code &&
               strcmp(code, "26000") == 0;
}

/* Says whether other Syncs of the pipeline follow that behind the item whose result was asked for. */
static bool goes_on(const dal__postgres_conn *conn)
{
        uint32_t i = conn->i_next - 1;

        if (!conn->open || !conn->pipelined)
                return false;
        while (!conn->items[i].syncs)
                i++;
        return i + 1 < conn->i_sent;
}

/*
 * The failure is its own: what is behind the next Sync runs all the same. The failure to prepare a statement is kept,
 * for those behind it that were to use the same.
 */
DAL_COLD static dal_status fail_alone(dal__postgres_conn *conn, const dal_request *request, PGresult **keep,
                                      PGresult *failure, dal_deadline deadline, dal_error *err)
{
        /* The Sync follows the failure at once, but that may have come at the last moment. */
        dal_deadline moment = dal_clock_after_ms(PG_SHORT_MS);
        PGresult *ignored = NULL;
        uint32_t end = conn->i_next - 1;
        dal_status s;

        while (!conn->items[end++].syncs)
                continue;
        conn->i_skip = end;
        (void)!read_to_sync(conn, deadline > moment ? deadline : moment, &ignored, NULL);
        PQclear(ignored);
        s = fail_request(conn, request, failure, err);
        if (keep)
                *keep = failure;
        else
                PQclear(failure);
        return s;
}

DAL_COLD static dal_status fail_in_pipeline(dal__postgres_conn *conn, const dal__postgres_item *item,
                                            bool prepared_ok, PGresult *failure, dal_deadline deadline,
                                            dal_error *err)
{
        bool is_unprepared = is_orphan(item, failure);
        bool prepares = item->ahead == PG_AHEAD_PREPARATION && !prepared_ok;
        const dal_request *request = is_unprepared ? NULL : item->request;
        dal_status s = goes_on(conn) ? fail_alone(conn, request, prepares ? &item->prepared->failure : NULL,
                                                  failure, deadline, err)
                                     : dal__postgres_fail_flush(conn, request, failure, deadline, err);

        /* What the server said to the first of them is true of each. */
        if (is_unprepared && !conn->broken)
                s = fail_request(conn, item->request, item->prepared->failure, err);
        return s;
}

static dal_status plain_result(dal__postgres_conn *conn, const dal_request *request, dal_deadline deadline,
                               dal_result *out, dal_error *err)
{
        dal_status s;

        if (conn->quiet)
                wait_shortly(conn);
        if (PQisBusy(conn->pg) && (s = dal__postgres_wait(conn, deadline, err)))
                return s;
        return dal__postgres_take_plain(conn, request, PQgetResult(conn->pg), deadline, out, err);
}

static dal_status pipelined_result(dal__postgres_conn *conn, dal__postgres_item *item, dal_deadline deadline,
                                   dal_result *out, bool *prepared_ok, dal_error *err)
{
        PGresult *result = NULL;
        dal_status s;

        for (uint32_t i = 0; i < item->n_replies; i++) {
                bool last = i + 1 == item->n_replies;

                PQclear(result);
                if (last && dal__postgres_streams(item->request))
                        dal__postgres_set_stream(conn);
                s = dal__postgres_wait(conn, deadline, err);
                if (s)
                        return s;
                result = PQgetResult(conn->pg);
                if (dal__postgres_is_failure(result))
                        return fail_in_pipeline(conn, item, *prepared_ok, result, deadline, err);
                *prepared_ok = true;
                if (dal__postgres_is_partial(result))
                        return open_stream(conn, item->request, result, out, err);
                if (!last || conn->i_next < conn->i_sent)
                        PQclear(PQgetResult(conn->pg)); /* the mark between two answers */
        }
        if (conn->i_next == conn->i_sent)
                return end_and_deliver(conn, item->request, result, deadline, out, err);
        if (item->syncs)
                return sync_and_deliver(conn, item->request, result, deadline, out, err);
        return deliver(conn, item->request, result, out, err);
}

DAL_COLD static dal_status skip_result(dal__postgres_conn *conn, dal_error *err)
{
        dal__postgres_item *item = &conn->items[conn->i_next++];

        if (item->prepared)
                dal__postgres_release(conn, item, false);
        return dal_error_set(err, DAL_CLASS_NOT_EXECUTED,
                             "not executed: an earlier request of the same flush failed");
}

/* All that may be due before the next result can be read. */
DAL_NOINLINE static dal_status come_to_result(dal__postgres_conn *conn, dal_deadline deadline, dal_error *err)
{
        dal_status s = dal__postgres_has_rows(conn) ? dal__postgres_discard(conn, deadline, err) : DAL_OK;

        /* Known, even when the connection was lost meanwhile. */
        if (conn->i_next < conn->i_skip)
                return skip_result(conn, err);
        if (conn->broken)
                return s ? s : dal__postgres_lost(conn, false, err);
        if (conn->i_next == conn->n_flushed)
                return dal_error_set(err, DAL_CLASS_STATE, "no request was flushed whose result is due");
        return conn->i_next == conn->i_sent ? dal__postgres_send_segment(conn, deadline, err) : DAL_OK;
}

DAL_NOINLINE static dal_status result_in_pipeline(dal__postgres_conn *conn, dal__postgres_item *item,
                                                  dal_deadline deadline, dal_result *out, dal_error *err)
{
        bool prepared_ok = false;
        dal_status s = pipelined_result(conn, item, deadline, out, &prepared_ok, err);

        if (item->prepared)
                dal__postgres_release(conn, item, prepared_ok);
        return s;
}

dal_status dal__postgres_result(void *state, dal_deadline deadline, dal_result *out, dal_error *err)
{
        dal__postgres_conn *conn = state;
        dal__postgres_item *item;
        dal_status s;

        memset(out, 0, sizeof *out);
        if (dal__postgres_has_rows(conn) || conn->broken || conn->i_next < conn->i_skip ||
            conn->i_next == conn->i_sent) {
                s = come_to_result(conn, deadline, err);
                if (s)
                        return s;
        }
        item = &conn->items[conn->i_next++];
        if (conn->pipelined)
                return result_in_pipeline(conn, item, deadline, out, err);
        s = plain_result(conn, item->request, deadline, out, err);
        if (item->prepared && item->prepared->owner)
                item->prepared->n_items--;
        else if (item->prepared)
                dal__postgres_release(conn, item, false);
        return s;
}

dal_status dal__postgres_simple(dal__postgres_conn *conn, const char *sql, dal_deadline deadline,
                                dal_error *err)
{
        PGresult *failure = NULL;
        dal_status s = dal__postgres_discard(conn, deadline, err);

        if (s)
                return s;
        if (conn->broken || !PQsendQuery(conn->pg, sql))
                return dal__postgres_lost(conn, true, err);
        conn->open = true;
        conn->in_tx = false;
        s = dal__postgres_drain_output(conn, deadline, err);
        if (s == DAL_OK)
                s = dal__postgres_end_segment(conn, deadline, &failure, err);
        if (s == DAL_OK && failure)
                s = fail_request(conn, NULL, failure, err);
        PQclear(failure);
        return s;
}
