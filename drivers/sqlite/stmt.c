/* SPDX-License-Identifier: MIT */
#include <limits.h>
#include <string.h>

#include "sqlite_impl.h"

void dal__sqlite_cursor_close(dal__sqlite_conn *conn)
{
        if (!conn->cur.handle)
                return;
        if (!conn->cur.stmt)
                dal__sqlite_give_back(&conn->cur);
        else if (!conn->cur.done)
                (void)sqlite3_reset(conn->cur.handle);
        conn->cur.handle = NULL;
        conn->cur.row_ready = false;
        conn->cur.buffered = false;
        dal__sqlite_bytes_release(&conn->cur.bound);
        dal__sqlite_bytes_release(&conn->cur.rows);
}

/* ---- the queue ---- */

dal_status dal__sqlite_queue(void *state, const dal_request *request, dal_error *err)
{
        dal__sqlite_conn *conn = state;

        if (request->kind == DAL_REQUEST_MODE)
                return dal_error_set(err, DAL_CLASS_UNSUPPORTED,
                                     "SQLite has no transaction mode to switch to");
        if (conn->i_pending == conn->n_pending)
                conn->i_pending = conn->n_pending = 0;
        if (conn->n_pending == conn->pending_capacity) {
                size_t capacity = conn->pending_capacity ? 2 * conn->pending_capacity : 16;
                dal__sqlite_pending *pending = dal_mem_resize(conn->pending, capacity, sizeof *pending);

                if (!pending)
                        return dal__sqlite_no_memory(err);
                conn->pending = pending;
                conn->pending_capacity = capacity;
        }
        conn->pending[conn->n_pending].request = request;
        conn->pending[conn->n_pending].flush = conn->flush;
        conn->n_pending++;
        return DAL_OK;
}

dal_status dal__sqlite_flush(void *state, dal_deadline deadline, dal_error *err)
{
        dal__sqlite_conn *conn = state;

        (void)deadline;
        (void)err;
        /* Nothing is sent anywhere: `result` executes. A cancel that came too late for the last flush is void. */
        atomic_store_explicit(&conn->cancel, false, memory_order_relaxed);
        conn->flush++;
        return DAL_OK;
}

/* ---- parameters ---- */

/* Bytes that must be copied because rows are stepped to after the caller's values are gone. */
static size_t size_to_keep(const dal_params *params)
{
        size_t size = 0;

        for (size_t i = 0; i < params->n_values; i++) {
                const dal_value *v = &params->values[i];

                switch ((dal_type)v->type) {
                case DAL_TYPE_TEXT:
                case DAL_TYPE_BYTES:
                case DAL_TYPE_DECIMAL:
                        if (v->as.span.size > SIZE_MAX / 2 - size)
                                return SIZE_MAX;
                        size += v->as.span.size;
                        break;
                case DAL_TYPE_UUID:
                        size += sizeof v->as.uuid;
                        break;
                case DAL_TYPE_NULL:
                case DAL_TYPE_BOOL:
                case DAL_TYPE_INT64:
                case DAL_TYPE_UINT64:
                case DAL_TYPE_DOUBLE:
                case DAL_TYPE_TIMESTAMP:
                case DAL_TYPE_DATE:
                case DAL_TYPE_OTHER:
                        break;
                }
        }
        return size;
}

/* Returns where SQLite may read a span until the statement is done. */
static const char *kept(dal__sqlite_conn *conn, bool keep, const char *ptr, size_t size)
{
        char *copy;

        if (!keep || size == 0)
                return ptr;
        copy = conn->cur.bound.data + conn->cur.bound.size;
        memcpy(copy, ptr, size);
        conn->cur.bound.size += size;
        return copy;
}

DAL_NOINLINE static int bind_value(dal__sqlite_conn *conn, sqlite3_stmt *handle, int i, const dal_value *v,
                                   bool keep)
{
        const char *ptr;

        switch ((dal_type)v->type) {
        case DAL_TYPE_NULL:
                return sqlite3_bind_null(handle, i);
        case DAL_TYPE_BOOL:
                return sqlite3_bind_int64(handle, i, v->as.boolean);
        case DAL_TYPE_INT64:
        case DAL_TYPE_TIMESTAMP:
        case DAL_TYPE_DATE:
                return sqlite3_bind_int64(handle, i, v->as.int64);
        case DAL_TYPE_UINT64:
                if (v->as.uint64 > INT64_MAX)
                        return SQLITE_MISMATCH;
                return sqlite3_bind_int64(handle, i, (int64_t)v->as.uint64);
        case DAL_TYPE_DOUBLE:
                /* SQLite would store NULL instead of NaN without a word. */
                if (v->as.float64 != v->as.float64)
                        return SQLITE_MISMATCH;
                return sqlite3_bind_double(handle, i, v->as.float64);
        case DAL_TYPE_TEXT:
        case DAL_TYPE_DECIMAL:
                ptr = kept(conn, keep, v->as.span.ptr, v->as.span.size);
                return sqlite3_bind_text64(handle, i, ptr, v->as.span.size, SQLITE_STATIC, SQLITE_UTF8);
        case DAL_TYPE_BYTES:
                ptr = kept(conn, keep, v->as.span.ptr, v->as.span.size);
                return sqlite3_bind_blob64(handle, i, ptr, v->as.span.size, SQLITE_STATIC);
        case DAL_TYPE_UUID:
                ptr = kept(conn, keep, (const char *)v->as.uuid, sizeof v->as.uuid);
                return sqlite3_bind_blob64(handle, i, ptr, sizeof v->as.uuid, SQLITE_STATIC);
        case DAL_TYPE_OTHER:
                break;
        }
        return SQLITE_MISMATCH;
}

dal_status dal__sqlite_bind(dal__sqlite_conn *conn, sqlite3_stmt *handle, const dal_params *params, bool keep,
                            dal_error *err)
{
        size_t size = keep ? size_to_keep(params) : 0;

        conn->cur.bound.size = 0;
        if (size > 0 && !dal__sqlite_bytes_reserve(&conn->cur.bound, size))
                return dal__sqlite_no_memory(err);
        for (size_t i = 0; i < params->n_values; i++) {
                const dal_value *v = &params->values[i];
                int rc;

                if (v->type == DAL_TYPE_INT64)
                        rc = sqlite3_bind_int64(handle, (int)i + 1, v->as.int64);
                else if (v->type == DAL_TYPE_TEXT && !keep)
                        rc = sqlite3_bind_text64(handle, (int)i + 1, v->as.span.ptr, v->as.span.size,
                                                 SQLITE_STATIC, SQLITE_UTF8);
                else
                        rc = bind_value(conn, handle, (int)i + 1, v, keep);
                if (rc == SQLITE_OK)
                        continue;
                if (rc == SQLITE_MISMATCH)
                        return dal_error_set(err, DAL_CLASS_ARGUMENT,
                                             "parameter %zu: SQLite can't store this %s", i + 1,
                                             dal_value_type_name((dal_type)v->type));
                return dal__sqlite_fail(conn, rc, err);
        }
        return DAL_OK;
}

/* ---- preparing ---- */

static dal_status prepare(dal__sqlite_conn *conn, const char *text, size_t size, unsigned flags,
                          sqlite3_stmt **out, const char **tail_out, dal_error *err)
{
        int rc;

        *out = NULL;
        if (size >= INT_MAX)
                return dal_error_set(err, DAL_CLASS_PACKET_TOO_LARGE, "the SQL text is longer than 2 GiB");
        /* The terminator is counted in, which saves SQLite a copy. Source: sqlite.org/c3ref/prepare.html */
        rc = sqlite3_prepare_v3(conn->db, text, (int)size + 1, flags, out, tail_out);
        return rc == SQLITE_OK ? DAL_OK : dal__sqlite_fail(conn, rc, err);
}

/* ---- executing ---- */

dal_status dal__sqlite_refuse_ended_tx(dal__sqlite_conn *conn, dal_error *err)
{
        conn->in_tx = false;
        conn->tx_gone = true;
        (void)dal_error_set(err, DAL_CLASS_TX_ENDED,
                            "the statement ended the transaction by itself; leave COMMIT and ROLLBACK to the "
                            "transaction wrapper");
        if (err)
                err->tx_gone = true;
        return DAL_ERR_STATE;
}

/* What a write reports, once it is done. */
static void report_write(dal__sqlite_conn *conn, int64_t total_before, dal_result *out)
{
        /* The last count stands still over DDL, so a grown total has to vouch for it. */
        if (sqlite3_total_changes64(conn->db) != total_before)
                out->n_rows = sqlite3_changes64(conn->db);
        out->insert_id = sqlite3_last_insert_rowid(conn->db);
}

/* Undoes a write that commits when its statement is reset: being interrupted is the only way to fail it. */
static void undo_write(dal__sqlite_conn *conn)
{
        sqlite3_interrupt(conn->db);
        (void)sqlite3_step(conn->cur.handle);
}

/* Before a write; what it reports afterwards is told by the difference. */
static inline dal_status begin_write(dal__sqlite_conn *conn, int64_t *total_before, dal_error *err)
{
        if (conn->read_only)
                return dal_error_set(err, DAL_CLASS_READ_ONLY_TX,
                                     "a write in a read-only transaction; begin it without read_only");
        *total_before = sqlite3_total_changes64(conn->db);
        sqlite3_set_last_insert_rowid(conn->db, 0);
        return DAL_OK;
}

/* Runs the bound statement, which gives no rows, and resets it. */
static inline dal_status run_alone(dal__sqlite_conn *conn, dal_result *out, dal_error *err)
{
        sqlite3_stmt *handle = conn->cur.handle;
        bool is_write = !sqlite3_stmt_readonly(handle);
        int64_t total_before = 0;
        dal_status s;
        int rc;

        if (is_write && (s = begin_write(conn, &total_before, err)))
                return s;
        rc = sqlite3_step(handle);
        if (rc == SQLITE_DONE) {
                conn->cur.done = true;
                rc = sqlite3_reset(handle);
        }
        if (rc != SQLITE_OK)
                return dal__sqlite_fail(conn, rc, err);
        if (is_write)
                report_write(conn, total_before, out);
        if (conn->in_tx && sqlite3_get_autocommit(conn->db))
                return dal__sqlite_refuse_ended_tx(conn, err);
        return DAL_OK;
}

dal_status dal__sqlite_take_step(dal__sqlite_conn *conn, dal__sqlite_stmt *stmt, int rc, bool is_write,
                                 dal_result *out, dal_error *err)
{
        bool commits = is_write && rc == SQLITE_ROW && sqlite3_get_autocommit(conn->db);
        dal_status s;

        if (rc != SQLITE_ROW && rc != SQLITE_DONE)
                return dal__sqlite_fail(conn, rc, err);
        s = dal__sqlite_describe(conn, stmt, err);
        out->has_rows = true;
        out->n_columns = conn->cur.n_columns;
        if (s == DAL_OK && commits)
                s = dal__sqlite_keep_rows(conn, &rc, err);
        if (s != DAL_OK) {
                if (commits && rc == SQLITE_ROW)
                        undo_write(conn);
                return s;
        }
        if (rc != SQLITE_ROW && rc != SQLITE_DONE)
                return dal__sqlite_fail(conn, rc, err);
        conn->cur.row_ready = rc == SQLITE_ROW;
        if (rc == SQLITE_DONE) {
                rc = sqlite3_reset(conn->cur.handle);
                conn->cur.done = true;
                if (rc != SQLITE_OK)
                        return dal__sqlite_fail(conn, rc, err);
        }
        return DAL_OK;
}

/* Steps the bound statement for the first time. */
DAL_NOINLINE static dal_status run_cursor(dal__sqlite_conn *conn, dal__sqlite_stmt *stmt, dal_result *out,
                                          dal_error *err)
{
        bool is_write = !sqlite3_stmt_readonly(conn->cur.handle);
        bool in_tx = conn->in_tx;
        int64_t total_before = 0;
        dal_status s;

        if (is_write && (s = begin_write(conn, &total_before, err)))
                return s;
        s = dal__sqlite_take_step(conn, stmt, sqlite3_step(conn->cur.handle), is_write, out, err);
        if (s)
                return s;
        if (is_write)
                report_write(conn, total_before, out);
        if (in_tx && sqlite3_get_autocommit(conn->db))
                return dal__sqlite_refuse_ended_tx(conn, err);
        return DAL_OK;
}

/* Runs what is prepared, and leaves it open while there are rows. `stmt` is NULL for a temporary one. */
dal_status dal__sqlite_execute_handle(dal__sqlite_conn *conn, dal__sqlite_stmt *stmt, sqlite3_stmt *handle,
                                      const dal_request *request, dal_result *out, dal_error *err)
{
        bool gives_rows = sqlite3_column_count(handle) > 0;
        dal_status s;

        conn->cur.handle = handle;
        conn->cur.stmt = stmt;
        conn->cur.done = false;
        s = dal__sqlite_bind(conn, handle, &request->params, gives_rows, err);
        if (s == DAL_OK && !gives_rows)
                s = run_alone(conn, out, err);
        else if (s == DAL_OK)
                s = run_cursor(conn, stmt, out, err);
        if (s == DAL_OK && stmt && !gives_rows)
                conn->cur.handle = NULL; /* it was reset, and nothing was kept for it */
        else if (s != DAL_OK || !gives_rows)
                dal__sqlite_cursor_close(conn);
        return s;
}

/* A parameter in one of SQLite's own styles (:a, @a, $a) would be NULL without a word, and shift the others. */
static dal_status check_count(sqlite3_stmt *handle, size_t n_given, dal_error *err)
{
        int n = sqlite3_bind_parameter_count(handle);

        if (n == (int)n_given)
                return DAL_OK;
        return dal_error_set(err, DAL_CLASS_ARGUMENT,
                             "SQLite counts %d parameters where %zu are given: write each as ?", n, n_given);
}

static dal_status execute_statement(dal__sqlite_conn *conn, const dal_request *request, dal_result *out,
                                    dal_error *err)
{
        dal__sqlite_stmt *stmt = NULL;
        sqlite3_stmt *handle;
        dal_status s;

        if (request->kind == DAL_REQUEST_STMT) {
                stmt = request->stmt->state;
                if (!stmt->handle) {
                        s = prepare(conn, request->stmt->text, request->stmt->text_size,
                                    SQLITE_PREPARE_PERSISTENT, &stmt->handle, NULL, err);
                        if (s == DAL_OK && stmt->handle)
                                s = check_count(stmt->handle, request->stmt->n_params, err);
                        if (s != DAL_OK) {
                                (void)sqlite3_finalize(stmt->handle);
                                stmt->handle = NULL;
                                return s;
                        }
                        stmt->n_columns = 0;
                        stmt->dml =
                                (uint8_t)(stmt->handle ? dal__sqlite_dml_of(stmt->handle, request->stmt->text)
                                                       : DAL__SQLITE_DML_NONE);
                }
                handle = stmt->handle;
                if (stmt->dml && !conn->read_only)
                        return dal__sqlite_run_dml(conn, stmt, &request->params, out, err);
        } else {
                s = prepare(conn, request->text, request->text_size, 0, &handle, NULL, err);
                if (s == DAL_OK && handle)
                        s = check_count(handle, request->params.n_values, err);
                if (s != DAL_OK) {
                        (void)sqlite3_finalize(handle);
                        return s;
                }
        }
        if (!handle)
                return dal_error_set(err, DAL_CLASS_SYNTAX, "the SQL text holds no statement");
        return dal__sqlite_execute_handle(conn, stmt, handle, request, out, err);
}

/* Every statement of a script text, rows discarded. */
static dal_status execute_script(dal__sqlite_conn *conn, const dal_request *request, dal_error *err)
{
        const char *text = request->text;
        const char *end = text + request->text_size;
        dal_status s = DAL_OK;

        while (s == DAL_OK && text < end) {
                bool in_tx = conn->in_tx;
                int rc;

                s = prepare(conn, text, (size_t)(end - text), 0, &conn->cur.handle, &text, err);
                if (s != DAL_OK || !conn->cur.handle)
                        continue; /* the end, or a comment alone */
                conn->cur.stmt = NULL;
                conn->cur.done = false;
                conn->may_interrupt = true; /* the statement before may have committed */
                if (conn->read_only && !sqlite3_stmt_readonly(conn->cur.handle)) {
                        s = dal_error_set(err, DAL_CLASS_READ_ONLY_TX, "a write in a read-only transaction");
                } else {
                        do
                                rc = sqlite3_step(conn->cur.handle);
                        while (rc == SQLITE_ROW);
                        if (rc != SQLITE_DONE)
                                s = dal__sqlite_fail(conn, rc, err);
                        else if (in_tx && sqlite3_get_autocommit(conn->db))
                                s = dal__sqlite_refuse_ended_tx(conn, err);
                }
                dal__sqlite_cursor_close(conn);
        }
        return s;
}

dal_status dal__sqlite_execute(dal__sqlite_conn *conn, const dal_request *request, dal_result *out,
                               dal_error *err)
{
        switch (request->kind) {
        case DAL_REQUEST_STMT:
        case DAL_REQUEST_TEXT:
        case DAL_REQUEST_SCRIPT:
                if (conn->tx_gone) {
                        (void)dal_error_set(err, DAL_CLASS_TX_STATE,
                                            "SQLite has already rolled the transaction back; ROLLBACK first");
                        return DAL_ERR_STATE;
                }
                if (request->kind == DAL_REQUEST_SCRIPT)
                        return execute_script(conn, request, err);
                return execute_statement(conn, request, out, err);
        case DAL_REQUEST_BEGIN:
                return dal__sqlite_begin(conn, request, err);
        case DAL_REQUEST_COMMIT:
                return dal__sqlite_commit(conn, err);
        case DAL_REQUEST_ROLLBACK:
                return dal__sqlite_rollback(conn, err);
        case DAL_REQUEST_SAVEPOINT:
        case DAL_REQUEST_RELEASE:
        case DAL_REQUEST_ROLLBACK_TO:
                return dal__sqlite_savepoint(conn, request, err);
        case DAL_REQUEST_LIMITS:
                if (request->statement_timeout_ms)
                        conn->statement_timeout = request->statement_timeout_ms;
                if (request->lock_timeout_ms)
                        conn->lock_timeout = request->lock_timeout_ms;
                return DAL_OK;
        case DAL_REQUEST_MODE:
                break;
        }
        return dal_error_set(err, DAL_CLASS_UNSUPPORTED, "SQLite knows no such request");
}

dal_status dal__sqlite_result(void *state, dal_deadline deadline, dal_result *out, dal_error *err)
{
        dal__sqlite_conn *conn = state;
        dal__sqlite_pending pending;
        dal_status s;

        dal__sqlite_cursor_close(conn);
        memset(out, 0, sizeof *out);
        if (conn->i_pending == conn->n_pending || conn->pending[conn->i_pending].flush == conn->flush)
                return dal_error_set(err, DAL_CLASS_STATE, "no request was sent that has a result to come");
        pending = conn->pending[conn->i_pending++];
        if (pending.flush == conn->failed_flush) {
                s = dal_error_set(err, DAL_CLASS_NOT_EXECUTED, "not executed: an earlier request failed");
                if (err)
                        err->not_sent = true;
                return s;
        }
        if (pending.request->kind != DAL_REQUEST_ROLLBACK && dal_clock_passed(deadline)) {
                s = dal_error_set(err, DAL_CLASS_DEADLINE, "the deadline had passed before SQLite was asked");
                if (err)
                        err->not_sent = true;
        } else {
                dal__sqlite_arm(conn, deadline);
                /* A failure between the rows of what is independent is no matter to those behind it. */
                conn->cur.flush = pending.request->independent ? 0 : pending.flush;
                s = dal__sqlite_execute(conn, pending.request, out, err);
        }
        if (s != DAL_OK && !pending.request->independent)
                conn->failed_flush = pending.flush;
        return s;
}

dal_status dal__sqlite_discard(void *state, dal_deadline deadline, dal_error *err)
{
        (void)deadline;
        (void)err;
        dal__sqlite_cursor_close(state); /* the rest is not read at all */
        return DAL_OK;
}

const char *dal__sqlite_column(void *state, uint32_t i_column)
{
        dal__sqlite_conn *conn = state;

        return conn->cur.handle ? sqlite3_column_name(conn->cur.handle, (int)i_column) : NULL;
}

void dal__sqlite_stmt_close(void *state, dal_driver_stmt *stmt)
{
        dal__sqlite_conn *conn = state;
        dal__sqlite_stmt *own = stmt->state;

        dal__sqlite_forget_owner(conn, own);
        if (!own->handle)
                return;
        if (conn->cur.handle == own->handle)
                dal__sqlite_cursor_close(conn);
        (void)sqlite3_finalize(own->handle);
        memset(own, 0, sizeof *own);
}
