/* SPDX-License-Identifier: MIT */
#include "mysql_impl.h"

#include <string.h>

#include <dal/mem.h>

/* max_prepared_stmt_count is used up, perhaps by others. Source: ER_MAX_PREPARED_STMT_COUNT_REACHED */
#define ERROR_MAX_PREPARED 1461
#define PREPARE_PAUSE_MS   10000 /* until preparing is tried again */

/* ---- the connection's list of statements ---- */

static void push(dal__mysql_stmt **list, dal__mysql_stmt *stmt)
{
        stmt->next = *list;
        stmt->link = list;
        if (stmt->next)
                stmt->next->link = &stmt->next;
        *list = stmt;
}

static void unlink_stmt(dal__mysql_stmt *stmt)
{
        *stmt->link = stmt->next;
        if (stmt->next)
                stmt->next->link = stmt->link;
}

static void free_stmt(dal__mysql_stmt *stmt)
{
        if (stmt->handle)
                (void)mysql_stmt_close(stmt->handle);
        dal__mysql_bind_free(stmt);
        dal_mem_free(stmt->slots);
        dal_mem_free(stmt->names);
        dal_mem_free(stmt);
}

void dal__mysql_stmt_retire(dal__mysql_conn *conn, dal__mysql_stmt *stmt)
{
        stmt->cached = false;
        stmt->text = ""; /* the core frees it */
        if (conn->current == stmt)
                return; /* when its rows end */
        unlink_stmt(stmt);
        push(&conn->retired, stmt);
}

void dal__mysql_stmt_close_retired(dal__mysql_conn *conn, dal_deadline deadline)
{
        if (!conn->retired)
                return;
        dal__mysql_begin(conn, deadline, false);
        while (conn->retired) {
                dal__mysql_stmt *stmt = conn->retired;
                unlink_stmt(stmt);
                free_stmt(stmt);
        }
        dal__mysql_end(conn);
}

void dal__mysql_stmt_unprepare(dal__mysql_conn *conn, dal__mysql_stmt *stmt, dal_deadline deadline)
{
        dal__mysql_begin(conn, deadline, false);
        (void)mysql_stmt_close(stmt->handle);
        stmt->handle = NULL;
        dal__mysql_end(conn);
}

void dal__mysql_stmt_free_all(dal__mysql_conn *conn)
{
        /* mysql_close() has cut them off from the session, so closing them here does no I/O. */
        while (conn->retired || conn->stmts) {
                dal__mysql_stmt *stmt = conn->retired ? conn->retired : conn->stmts;
                unlink_stmt(stmt);
                free_stmt(stmt);
        }
        conn->current = NULL;
}

/* ---- preparing ---- */

static bool make_params(dal__mysql_stmt *stmt, uint32_t n)
{
        stmt->n_params = n;
        if (n == 0)
                return true;
        stmt->slots = dal_mem_alloc(n * sizeof *stmt->slots);
        return stmt->slots != NULL;
}

static dal_status no_memory(dal_error *err)
{
        return dal_error_set(err, DAL_CLASS_NO_MEMORY, "out of memory for a statement");
}

DAL_NOINLINE static dal_status prepare(dal__mysql_conn *conn, const char *text, size_t size,
                                       dal_deadline deadline, dal__mysql_stmt **out, dal_error *err)
{
        dal__mysql_stmt *stmt;
        dal_status s = dal__mysql_check_size(conn, size + 1, err);
        int rc;

        *out = NULL;
        if (s)
                return s;
        stmt = dal_mem_alloc(sizeof *stmt);
        if (!stmt)
                return no_memory(err);
        push(&conn->stmts, stmt);
        stmt->generation = conn->generation;
        stmt->text = text;
        stmt->handle = mysql_stmt_init(conn->mysql);
        if (!stmt->handle) {
                dal__mysql_stmt_retire(conn, stmt);
                return no_memory(err);
        }
        dal__mysql_begin(conn, deadline, true);
        rc = mysql_stmt_prepare(stmt->handle, text, (unsigned long)size);
        dal__mysql_end(conn);
        if (rc)
                s = dal__mysql_fail(conn, stmt->handle, err);
        else if (!make_params(stmt, (uint32_t)mysql_stmt_param_count(stmt->handle)))
                s = no_memory(err);
        if (s) {
                dal__mysql_stmt_retire(conn, stmt);
                return s;
        }
        *out = stmt;
        return DAL_OK;
}

DAL_NOINLINE static dal_status prepare_kept(dal__mysql_conn *conn, const dal_request *request,
                                            dal_deadline deadline, dal__mysql_stmt **out, dal_error *err)
{
        dal__mysql_stmt_state *kept = request->stmt->state;
        dal_status s;

        if (kept->stmt)
                dal__mysql_stmt_retire(conn, kept->stmt);
        kept->stmt = NULL;
        s = prepare(conn, request->stmt->text, request->stmt->text_size, deadline, out, err);
        if (s)
                return s;
        (*out)->cached = true;
        (*out)->kind = (uint8_t)dal__mysql_ahead_kind(request->stmt->text);
        kept->stmt = *out;
        return DAL_OK;
}

dal__mysql_stmt *dal__mysql_stmt_find(const dal__mysql_conn *conn, const dal_request *request)
{
        const dal__mysql_stmt_state *kept = request->stmt->state;

        return kept->stmt && kept->stmt->generation == conn->generation ? kept->stmt : NULL;
}

dal__mysql_stmt *dal__mysql_stmt_make(dal__mysql_conn *conn, const dal_request *request,
                                      dal_deadline deadline, dal_error *err)
{
        dal__mysql_stmt *stmt;

        dal__mysql_stmt_close_retired(conn, deadline);
        return prepare_kept(conn, request, deadline, &stmt, err) ? NULL : stmt;
}

/* The statement of a request, prepared in this session. */
static inline dal_status get_stmt(dal__mysql_conn *conn, const dal_request *request, dal_deadline deadline,
                                  dal__mysql_stmt **out, dal_error *err)
{
        const dal__mysql_stmt_state *kept;

        if (request->kind == DAL_REQUEST_TEXT)
                return prepare(conn, request->text, request->text_size, deadline, out, err);
        if (conn->statements == DAL_STATEMENTS_UNNAMED)
                return prepare(conn, request->stmt->text, request->stmt->text_size, deadline, out, err);
        kept = request->stmt->state;
        if (!kept->stmt || kept->stmt->generation != conn->generation)
                return prepare_kept(conn, request, deadline, out, err);
        *out = kept->stmt;
        return DAL_OK;
}

/* ---- running ---- */

static dal_status set_params(dal__mysql_conn *conn, dal__mysql_stmt *stmt, const dal_params *params,
                             dal_error *err)
{
        bool changed;
        dal_status s;

        if (params->n_values != stmt->n_params)
                return dal_error_set(err, DAL_CLASS_ARGUMENT,
                                     "the server counts %u parameters in this statement, and %zu were given",
                                     stmt->n_params, params->n_values);
        if (stmt->n_params == 0)
                return DAL_OK;
        s = dal__mysql_check_size(conn, dal__mysql_params_set(stmt, params, &changed), err);
        if (s)
                return s;
        return changed ? dal__mysql_params_tell(conn, stmt, err) : DAL_OK;
}

/* Results of a procedure that have no columns come first when it writes before it reads. */
static int skip_to_rows(dal__mysql_conn *conn, MYSQL_STMT *handle)
{
        while (mysql_stmt_field_count(handle) == 0 && dal__mysql_more_results(conn)) {
                int rc = mysql_stmt_next_result(handle);
                if (rc)
                        return rc > 0;
        }
        return 0;
}

dal_status dal__mysql_stmt_answer(dal__mysql_conn *conn, dal__mysql_stmt *stmt, int rc, bool stream,
                                  dal_deadline deadline, dal_error *err)
{
        MYSQL_STMT *handle = stmt->handle;

        if (rc == 0 && dal__mysql_more_results(conn))
                rc = skip_to_rows(conn, handle);
        stmt->first = DAL__MYSQL_FIRST_NONE;
        stmt->is_split = false;
        if (rc == 0 && !stream && mysql_stmt_field_count(handle))
                rc = dal__mysql_rows_receive(conn, stmt);
        dal__mysql_end(conn);
        if (rc)
                return dal__mysql_fail(conn, handle, err);
        /* Stopping a query can end it early without an error: SELECT SLEEP() is only woken. */
        if (!dal__mysql_was_stopped(conn) || mysql_stmt_field_count(handle) == 0)
                return DAL_OK;
        if (stream) {
                dal__mysql_rows_begin(conn, stmt, true);
                return dal__mysql_rows_late(conn, true, deadline, err);
        }
        (void)mysql_stmt_free_result(handle);
        return dal_error_set(err, DAL_CLASS_DEADLINE,
                             "the deadline passed; the server stopped the statement");
}

dal_status dal__mysql_stmt_execute(dal__mysql_conn *conn, dal__mysql_stmt *stmt, bool stream,
                                   dal_deadline deadline, dal_error *err)
{
        int rc;

        dal__mysql_begin(conn, deadline, true);
        rc = dal__mysql_shortcut_run(conn, stmt->handle, mysql_stmt_execute);
        return dal__mysql_stmt_answer(conn, stmt, rc, stream, deadline, err);
}

dal_status dal__mysql_stmt_describe(dal__mysql_conn *conn, dal__mysql_stmt *stmt, bool stream,
                                    dal_result *out, dal_error *err)
{
        uint32_t n_columns = mysql_stmt_field_count(stmt->handle);
        dal_status s;

        if (n_columns == 0) {
                out->n_rows = (int64_t)mysql_stmt_affected_rows(stmt->handle);
                out->insert_id = (int64_t)mysql_stmt_insert_id(stmt->handle);
                if (!stmt->cached)
                        dal__mysql_stmt_retire(conn, stmt);
                return dal__mysql_tx_after_success(conn, err);
        }
        s = stmt->is_split ? DAL_OK : dal__mysql_bind_columns(conn, stmt, err);
        dal__mysql_rows_begin(conn, stmt, stream);
        if (s)
                return s;
        out->has_rows = true;
        out->n_columns = n_columns;
        return stream ? DAL_OK : dal__mysql_tx_after_success(conn, err);
}

/*
 * Whether the statement did nothing yet, or nothing that may not be done twice. A procedure may give the same errors
 * from its midst, when a part of its work is done.
 */
static bool may_prepare_again(const dal_error *err, const char *text)
{
        static const char *const words[] = {"INSERT", "UPDATE", "DELETE", "REPLACE", "WITH"};
        bool is_select = dal__mysql_tx_begins_with(text, "SELECT"), is_dml = is_select;

        for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
                is_dml |= dal__mysql_tx_begins_with(text, words[i]);
        return (err->vendor_code == DAL__MYSQL_ERROR_NEW_COLUMNS && is_select) ||
               ((err->vendor_code == DAL__MYSQL_ERROR_NEED_REPREPARE ||
                 err->vendor_code == DAL__MYSQL_ERROR_UNKNOWN_STMT) &&
                is_dml);
}

/* After a failure the library's idea of the handle is not worth trusting: it is prepared anew next time. */
DAL_COLD static void distrust(dal__mysql_conn *conn, const dal_request *request, dal__mysql_stmt *stmt)
{
        if (stmt->cached)
                ((dal__mysql_stmt_state *)request->stmt->state)->stmt = NULL;
        dal__mysql_stmt_retire(conn, stmt);
}

static dal_status run_once(dal__mysql_conn *conn, const dal_request *request, dal_deadline deadline,
                           dal__mysql_stmt **stmt_out, dal_error *err)
{
        dal_status s = get_stmt(conn, request, deadline, stmt_out, err);

        if (s)
                return s;
        s = set_params(conn, *stmt_out, &request->params, err);
        if (s == DAL_OK)
                s = dal__mysql_stmt_execute(conn, *stmt_out, (request->flags & DAL_STMT_STREAM) != 0,
                                            deadline, err);
        if (s)
                distrust(conn, request, *stmt_out);
        return s;
}

/* Says whether preparing failed for want of room; a procedure that prepares may fail so itself. */
static bool is_full(const dal__mysql_stmt *stmt, const dal_error *err)
{
        return !stmt && err->vendor_code == ERROR_MAX_PREPARED;
}

/* After a failure: says whether the statement is to be run again, or looks what became of the transaction. */
DAL_COLD static bool must_run_again(dal__mysql_conn *conn, const dal_request *request,
                                    const dal__mysql_stmt *stmt, bool first, dal_deadline deadline,
                                    dal_error *err)
{
        const char *text = request->kind == DAL_REQUEST_TEXT ? request->text : request->stmt->text;

        if (first && !conn->broken && may_prepare_again(err, text)) {
                dal__mysql_stmt_close_retired(conn, deadline);
                return true;
        }
        if (!is_full(stmt, err))
                dal__mysql_tx_after_failure(conn, text, deadline, err);
        return false;
}

/* What is prepared already goes on being used. */
static bool must_prepare(const dal__mysql_conn *conn, const dal_request *request)
{
        const dal__mysql_stmt_state *kept;

        if (request->kind == DAL_REQUEST_TEXT || conn->statements == DAL_STATEMENTS_UNNAMED)
                return true;
        kept = request->stmt->state;
        return !kept->stmt || kept->stmt->generation != conn->generation;
}

/* While the server has no room for prepared statements, asking each time would cost a round trip each time. */
DAL_COLD static bool is_pausing(dal__mysql_conn *conn, const dal_request *request)
{
        if (dal_clock_passed(conn->prepare_again))
                conn->prepare_again = 0;
        return conn->prepare_again && must_prepare(conn, request);
}

DAL_COLD static dal_status run_unprepared(dal__mysql_conn *conn, const dal_request *request,
                                          dal_deadline deadline, dal_result *out, dal_error *err)
{
        conn->prepare_again = dal_clock_after_ms(PREPARE_PAUSE_MS);
        /* Now, for a handle that is closed behind unread rows throws them away. */
        dal__mysql_stmt_close_retired(conn, deadline);
        return dal__mysql_text_run(conn, request, deadline, out, err);
}

static dal_status run_prepared(dal__mysql_conn *conn, const dal_request *request, dal_deadline deadline,
                               dal_result *out, dal_error *err)
{
        dal__mysql_stmt *stmt = NULL;
        dal_error failure; /* apart: a second try that goes well leaves the caller's alone */
        bool first = true;
        dal_status s;

        while ((s = run_once(conn, request, deadline, &stmt, &failure)) != DAL_OK &&
               must_run_again(conn, request, stmt, first, deadline, &failure))
                first = false;
        if (s && is_full(stmt, &failure))
                return run_unprepared(conn, request, deadline, out, err);
        if (s) {
                *err = failure;
                return s;
        }
        return dal__mysql_stmt_describe(conn, stmt, (request->flags & DAL_STMT_STREAM) != 0, out, err);
}

dal_status dal__mysql_stmt_run(dal__mysql_conn *conn, const dal_request *request, dal_deadline deadline,
                               dal_result *out, dal_error *err)
{
        dal_status s;

        if (conn->retired)
                dal__mysql_stmt_close_retired(conn, deadline);
        if (conn->statements == DAL_STATEMENTS_TEXT || (conn->prepare_again && is_pausing(conn, request)))
                return dal__mysql_text_run(conn, request, deadline, out, err);
        s = run_prepared(conn, request, deadline, out, err);
        if (conn->retired && conn->statements == DAL_STATEMENTS_UNNAMED && !conn->current && !conn->broken)
                dal__mysql_stmt_close_retired(conn, deadline);
        return s;
}
