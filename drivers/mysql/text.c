/* SPDX-License-Identifier: MIT */
/* Statements that are not prepared: values and cells travel as text. */
#include "mysql_impl.h"

#include <string.h>

#include <dal/drivers/mysql.h>
#include <dal/mem.h>

#include "text_values.h"

#define KEPT_ROOM (64u * 1024) /* a longer command is given back at once */

/* ---- the command ---- */

static dal_status no_memory(dal_error *err)
{
        return dal_error_set(err, DAL_CLASS_NO_MEMORY, "out of memory for a statement");
}

/*
 * What stands in a comment such as one that begins with an exclamation mark and a version may be skipped by the server,
 * and the value with it. A prepared statement would be refused for its count of parameters.
 */
static bool in_version_comment(const char *text, size_t mark)
{
        for (; mark > 0; mark--) {
                const char *c = text + mark - 1;

                if (c[0] == '*' && c[1] == '/')
                        return false;
                if (c[0] == '/' && c[1] == '*')
                        return c[2] == '!' || (c[2] == 'M' && c[3] == '!');
        }
        return false;
}

static bool has_version_comment(const char *text)
{
        return strstr(text, "/*!") || strstr(text, "/*M!");
}

/* The session may have been told to take a backslash for itself; the server says so with each answer. */
uint32_t dal__mysql_text_syntax(const dal__mysql_conn *conn)
{
        uint32_t syntax = dal_driver_mysql()->sql_syntax;

        return conn->mysql->server_status & SERVER_STATUS_NO_BACKSLASH_ESCAPES
                       ? syntax & ~DAL_SQL_BACKSLASH_ESCAPES
                       : syntax;
}

static dal_status find_marks(dal__mysql_conn *conn, const char *text, size_t size, size_t n_values,
                             dal_error *err)
{
        size_t n;

        if (n_values > conn->marks_room) {
                size_t *grown = dal_mem_resize(conn->marks, n_values, sizeof *grown);

                if (!grown)
                        return no_memory(err);
                conn->marks = grown;
                conn->marks_room = n_values;
        }
        n = dal_driver_find_placeholders(dal__mysql_text_syntax(conn), text, size, conn->marks,
                                         conn->marks_room);
        if (n != n_values)
                return dal_error_set(
                        err, DAL_CLASS_ARGUMENT,
                        "the session counts %zu parameters in this statement, and %zu were given", n,
                        n_values);
        if (n == 0 || !has_version_comment(text))
                return DAL_OK;
        for (size_t i = 0; i < n; i++) {
                if (in_version_comment(text, conn->marks[i]))
                        return dal_error_set(err, DAL_CLASS_UNSUPPORTED,
                                             "a parameter stands in a comment that only some servers run: "
                                             "write the statement without it, or use statements=prepared");
        }
        return DAL_OK;
}

static dal_status make_room(dal__mysql_conn *conn, uint64_t room, dal_error *err)
{
        char *grown;

        if (room <= conn->command_room)
                return DAL_OK;
        if (room > SIZE_MAX)
                return no_memory(err);
        dal_mem_free(conn->command); /* what is in it need not be copied */
        conn->command = NULL;
        conn->command_room = 0;
        grown = dal_mem_resize(NULL, (size_t)room, 1);
        if (!grown)
                return no_memory(err);
        conn->command = grown;
        conn->command_room = (size_t)room;
        return DAL_OK;
}

/* Gives the statement as it is sent; it may be the caller's own text. */
static dal_status write_command(dal__mysql_conn *conn, const char *text, size_t size,
                                const dal_params *params, const char **out, size_t *size_out, dal_error *err)
{
        uint64_t room = size, least = size;
        dal_status s;

        *out = text;
        *size_out = size;
        s = find_marks(conn, text, size, params->n_values, err);
        if (s || params->n_values == 0)
                return s ? s : dal__mysql_check_size(conn, (uint64_t)size + 1, err);
        for (size_t i = 0; i < params->n_values; i++) {
                const dal_value *v = &params->values[i];

                room += dal__mysql_text_room(v);
                if (v->type == DAL_TYPE_TEXT || v->type == DAL_TYPE_BYTES)
                        least += 2 * (uint64_t)v->as.span.size;
        }
        /* Before gigabytes are written out for nothing. */
        s = dal__mysql_check_size(conn, least + 1, err);
        if (s == DAL_OK)
                s = make_room(conn, room, err);
        if (s)
                return s;
        *out = conn->command;
        *size_out = dal__mysql_text_write(conn->command, text, size, conn->marks, params);
        return dal__mysql_check_size(conn, (uint64_t)*size_out + 1, err);
}

/* One huge value must not stay with an idle connection. */
static void give_back_command(dal__mysql_conn *conn)
{
        if (conn->command_room <= KEPT_ROOM)
                return;
        dal_mem_free(conn->command);
        conn->command = NULL;
        conn->command_room = 0;
}

/* ---- running ---- */

/* Results of a procedure that have no columns come first when it writes before it reads. */
static int skip_to_rows(dal__mysql_conn *conn)
{
        while (mysql_field_count(conn->mysql) == 0 && dal__mysql_more_results(conn)) {
                int rc = mysql_next_result(conn->mysql);
                if (rc)
                        return rc > 0;
        }
        return 0;
}

static int take_rows(dal__mysql_conn *conn, bool stream)
{
        if (mysql_field_count(conn->mysql) == 0)
                return 0;
        conn->query.rows = stream ? mysql_use_result(conn->mysql) : mysql_store_result(conn->mysql);
        return conn->query.rows == NULL;
}

static dal_status execute(dal__mysql_conn *conn, const char *sql, size_t size, bool stream,
                          dal_deadline deadline, dal_error *err)
{
        dal_status s = dal__mysql_tx_take_one(conn, sql, size, deadline, err);
        int rc;

        if (s)
                return s;
        dal__mysql_begin(conn, deadline, true);
        rc = mysql_real_query(conn->mysql, sql, (unsigned long)size);
        if (rc == 0 && dal__mysql_more_results(conn))
                rc = skip_to_rows(conn);
        if (rc == 0)
                rc = take_rows(conn, stream);
        dal__mysql_end(conn);
        if (rc)
                return dal__mysql_fail(conn, NULL, err);
        /* Stopping a query can end it early without an error: SELECT SLEEP() is only woken. */
        if (!conn->call.stopped || !conn->query.rows)
                return DAL_OK;
        if (stream) {
                dal__mysql_rows_begin(conn, &conn->query, true);
                return dal__mysql_rows_late(conn, true, deadline, err);
        }
        dal__mysql_text_end(conn);
        return dal_error_set(err, DAL_CLASS_DEADLINE,
                             "the deadline passed; the server stopped the statement");
}

dal_status dal__mysql_text_prepare(dal__mysql_conn *conn, const char *text, size_t size, size_t n,
                                   uint64_t room, size_t **marks_out, char **command_out, dal_error *err)
{
        dal_status s = find_marks(conn, text, size, n, err);

        if (s == DAL_OK)
                s = make_room(conn, room, err);
        *marks_out = conn->marks;
        *command_out = conn->command;
        return s;
}

dal_status dal__mysql_text_execute(dal__mysql_conn *conn, const char *sql, size_t size, dal_deadline deadline,
                                   dal_error *err)
{
        dal_status s = dal__mysql_check_size(conn, (uint64_t)size + 1, err);

        if (s == DAL_OK)
                s = execute(conn, sql, size, false, deadline, err);
        give_back_command(conn);
        return s;
}

static dal_status describe(dal__mysql_conn *conn, bool stream, dal_result *out, dal_error *err)
{
        dal__mysql_stmt *stmt = &conn->query;
        dal_status s;

        if (!stmt->rows) {
                out->n_rows = (int64_t)mysql_affected_rows(conn->mysql);
                out->insert_id = (int64_t)mysql_insert_id(conn->mysql);
                return dal__mysql_tx_after_success(conn, err);
        }
        dal__mysql_rows_begin(conn, stmt, stream);
        s = dal__mysql_bind_columns(conn, stmt, err);
        if (s)
                return s;
        out->has_rows = true;
        out->n_columns = stmt->n_columns;
        return stream ? DAL_OK : dal__mysql_tx_after_success(conn, err);
}

dal_status dal__mysql_text_run(dal__mysql_conn *conn, const dal_request *request, dal_deadline deadline,
                               dal_result *out, dal_error *err)
{
        bool is_stmt = request->kind == DAL_REQUEST_STMT;
        bool stream = (request->flags & DAL_STMT_STREAM) != 0;
        const char *text = is_stmt ? request->stmt->text : request->text, *sql;
        size_t size = is_stmt ? request->stmt->text_size : request->text_size;
        dal_status s;

        conn->query.by_text = true;
        conn->query.text = text;
        s = write_command(conn, text, size, &request->params, &sql, &size, err);
        if (s == DAL_OK) {
                s = execute(conn, sql, size, stream, deadline, err);
                if (s)
                        dal__mysql_tx_after_failure(conn, text, deadline, err);
        }
        give_back_command(conn);
        return s ? s : describe(conn, stream, out, err);
}

/* ---- rows ---- */

int dal__mysql_text_fetch(dal__mysql_conn *conn)
{
        dal__mysql_stmt *stmt = &conn->query;

        stmt->row = stmt->rows ? mysql_fetch_row(stmt->rows) : NULL;
        if (stmt->row) {
                stmt->sizes = mysql_fetch_lengths(stmt->rows);
                return 0;
        }
        return conn->streaming && mysql_errno(conn->mysql) ? 1 : MYSQL_NO_DATA;
}

static dal_status bad_cell(const dal__mysql_stmt *stmt, uint32_t i, dal_error *err)
{
        return dal_error_set(err, DAL_CLASS_DATA, "column %s holds what this library can't read as %s",
                             dal__mysql_bind_name(stmt, i),
                             dal_value_type_name((dal_type)stmt->columns[i].type));
}

static dal_status decode_time(dal__mysql_stmt *stmt, uint32_t i, const char *text, size_t size,
                              dal_error *err)
{
        dal_civil civil;

        return dal__mysql_text_civil(text, size, &civil) ? dal__mysql_rows_time(stmt, i, &civil, err)
                                                         : bad_cell(stmt, i, err);
}

static dal_status decode_cell(dal__mysql_stmt *stmt, uint32_t i, const char *text, size_t size,
                              dal_error *err)
{
        const dal__mysql_column *column = &stmt->columns[i];
        dal_value *cell = &stmt->cells[i];
        bool ok = true;

        switch ((dal__mysql_decode)column->decode) {
        case DAL__MYSQL_DECODE_INT64:
                ok = dal__mysql_text_int64(text, size, &cell->as.int64);
                break;
        case DAL__MYSQL_DECODE_UINT64:
                ok = dal__mysql_text_uint64(text, size, &cell->as.uint64);
                break;
        case DAL__MYSQL_DECODE_DOUBLE:
                ok = dal__mysql_text_double(text, size, column->field_type == MYSQL_TYPE_FLOAT,
                                            &cell->as.float64);
                break;
        case DAL__MYSQL_DECODE_TIMESTAMP:
        case DAL__MYSQL_DECODE_DATE:
                return decode_time(stmt, i, text, size, err);
        case DAL__MYSQL_DECODE_BIT:
                cell->as.uint64 = dal__mysql_rows_bits(text, (unsigned long)size);
                break;
        case DAL__MYSQL_DECODE_SPAN:
                cell->as.span.ptr = text;
                cell->as.span.size = size;
                break;
        }
        return ok ? DAL_OK : bad_cell(stmt, i, err);
}

dal_status dal__mysql_text_decode(dal__mysql_stmt *stmt, dal_error *err)
{
        for (uint32_t i = 0; i < stmt->n_columns; i++) {
                dal_status s;

                stmt->cells[i].type = DAL_TYPE_NULL;
                if (!stmt->row[i])
                        continue;
                stmt->cells[i].type = stmt->columns[i].type;
                s = decode_cell(stmt, i, stmt->row[i], stmt->sizes[i], err);
                if (s)
                        return s;
        }
        return DAL_OK;
}

void dal__mysql_text_end(dal__mysql_conn *conn)
{
        /* On a lost session the library would try to read the rest: that waits for the session's end. */
        if (!conn->query.rows || conn->broken)
                return;
        mysql_free_result(conn->query.rows);
        conn->query.rows = NULL;
}

void dal__mysql_text_free(dal__mysql_conn *conn)
{
        dal__mysql_stmt *stmt = &conn->query;

        if (stmt->rows) {
                stmt->rows->handle = NULL; /* the session it would read the rest from is gone */
                mysql_free_result(stmt->rows);
        }
        dal__mysql_bind_free(stmt);
        dal_mem_free(stmt->names);
        dal_mem_free(conn->marks);
        dal_mem_free(conn->command);
}
