/* SPDX-License-Identifier: MIT */
#include "mysql_impl.h"

#include <string.h>

#include <dal/mem.h>

#define FIRST_ROOM        256          /* bytes of a text column to begin with, if it may be that long */
#define KEPT_ROWS         4            /* a result with more is given back at once */
#define KEPT_ROOM         (64u * 1024) /* a longer buffer is given back when the result ends */
#define DRAIN_NS          20000000 /* rows that nobody wants are read for this long before the statement is stopped */
#define CLOCK_ROWS        256 /* between two looks at the clock */
#define BINARY            63  /* the character set number of bytes. Source: MySQL, character-set-binary */
#define ERROR_INTERRUPTED 1317

/* Types that one of the two libraries does not know by name. Source: field_types.h of MySQL 9 */
#define TYPE_JSON   245
#define TYPE_VECTOR 242

static MYSQL_FIELD *fields_of(const dal__mysql_stmt *stmt)
{
        if (stmt->by_text)
                return mysql_fetch_fields(stmt->rows);
#if MYSQL_IS_CONNECTOR_C
        return mariadb_stmt_fetch_fields(stmt->handle);
#else
        return stmt->handle->fields;
#endif
}

const char *dal__mysql_rows_column(const dal__mysql_stmt *stmt, uint32_t i_column)
{
        const char *name = stmt->names;

        if (i_column >= stmt->n_columns)
                return NULL;
        if (!name)
                return fields_of(stmt)[i_column].name;
        for (; i_column; i_column--)
                name += strlen(name) + 1;
        return name;
}

/* The names are asked for until the next result, and what holds them is given back when the last row was read. */
static bool keep_names(dal__mysql_stmt *stmt, const MYSQL_FIELD *fields, uint32_t n)
{
        size_t size = 0;
        char *at;

        for (uint32_t i = 0; i < n; i++)
                size += strlen(fields[i].name) + 1;
        if (size > stmt->names_room || !stmt->names) {
                char *grown = dal_mem_resize(stmt->names, size, 1);
                if (!grown)
                        return false;
                stmt->names = grown;
                stmt->names_room = size;
        }
        at = stmt->names;
        for (uint32_t i = 0; i < n; i++) {
                size = strlen(fields[i].name) + 1;
                memcpy(at, fields[i].name, size);
                at += size;
        }
        return true;
}

/* ---- binding ---- */

static void decode_as(dal__mysql_column *column, dal__mysql_decode decode, dal_type type)
{
        column->decode = (uint8_t)decode;
        column->type = (uint8_t)type;
}

static void choose_decode(dal__mysql_column *column, const MYSQL_FIELD *field)
{
        bool is_unsigned = (field->flags & UNSIGNED_FLAG) != 0;
        bool bytes = field->charsetnr == BINARY;

        switch ((unsigned)field->type) {
        case MYSQL_TYPE_TINY:
        case MYSQL_TYPE_SHORT:
        case MYSQL_TYPE_INT24:
        case MYSQL_TYPE_LONG:
        case MYSQL_TYPE_YEAR:
                decode_as(column, DAL__MYSQL_DECODE_INT64, DAL_TYPE_INT64);
                break;
        case MYSQL_TYPE_LONGLONG:
                if (is_unsigned)
                        decode_as(column, DAL__MYSQL_DECODE_UINT64, DAL_TYPE_UINT64);
                else
                        decode_as(column, DAL__MYSQL_DECODE_INT64, DAL_TYPE_INT64);
                break;
        case MYSQL_TYPE_FLOAT:
        case MYSQL_TYPE_DOUBLE:
                decode_as(column, DAL__MYSQL_DECODE_DOUBLE, DAL_TYPE_DOUBLE);
                break;
        case MYSQL_TYPE_DECIMAL:
        case MYSQL_TYPE_NEWDECIMAL:
                decode_as(column, DAL__MYSQL_DECODE_SPAN, DAL_TYPE_DECIMAL);
                break;
        case MYSQL_TYPE_DATE:
        case MYSQL_TYPE_NEWDATE:
                decode_as(column, DAL__MYSQL_DECODE_DATE, DAL_TYPE_DATE);
                break;
        case MYSQL_TYPE_DATETIME:
        case MYSQL_TYPE_TIMESTAMP:
                decode_as(column, DAL__MYSQL_DECODE_TIMESTAMP, DAL_TYPE_TIMESTAMP);
                break;
        case MYSQL_TYPE_BIT:
                decode_as(column, DAL__MYSQL_DECODE_BIT, DAL_TYPE_UINT64);
                break;
        case TYPE_JSON:
                decode_as(column, DAL__MYSQL_DECODE_SPAN, DAL_TYPE_TEXT);
                break;
        case MYSQL_TYPE_TIME: /* "-838:59:59": neither an instant nor a time of day */
        case MYSQL_TYPE_GEOMETRY:
        case TYPE_VECTOR:
                decode_as(column, DAL__MYSQL_DECODE_SPAN, DAL_TYPE_OTHER);
                break;
        default:
                decode_as(column, DAL__MYSQL_DECODE_SPAN, bytes ? DAL_TYPE_BYTES : DAL_TYPE_TEXT);
                break;
        }
}

static bool make_room(dal__mysql_column *column, unsigned long room)
{
        char *grown;

        if (room <= column->room)
                return true;
        grown = dal_mem_resize(column->buffer, room, 1);
        if (!grown)
                return false;
        column->buffer = grown;
        column->room = room;
        return true;
}

/* The library converts to the type asked for here; spans arrive as they are. */
static void fill_bind(MYSQL_BIND *bind, dal__mysql_column *column, dal_value *cell)
{
        memset(bind, 0, sizeof *bind);
        bind->is_null = &column->is_null;
        bind->error = &column->error;
        bind->length = &column->size;
        switch ((dal__mysql_decode)column->decode) {
        case DAL__MYSQL_DECODE_INT64:
        case DAL__MYSQL_DECODE_UINT64:
                bind->is_unsigned = column->decode == DAL__MYSQL_DECODE_UINT64;
                bind->buffer_type = MYSQL_TYPE_LONGLONG;
                bind->buffer = &cell->as.int64;
                break;
        case DAL__MYSQL_DECODE_DOUBLE:
                bind->buffer_type = MYSQL_TYPE_DOUBLE;
                bind->buffer = &cell->as.float64;
                break;
        case DAL__MYSQL_DECODE_TIMESTAMP:
                bind->buffer_type = MYSQL_TYPE_DATETIME;
                bind->buffer = &column->time;
                break;
        case DAL__MYSQL_DECODE_DATE:
                bind->buffer_type = MYSQL_TYPE_DATE;
                bind->buffer = &column->time;
                break;
        case DAL__MYSQL_DECODE_BIT:
        case DAL__MYSQL_DECODE_SPAN:
                bind->buffer_type = column->type == DAL_TYPE_BYTES || column->decode == DAL__MYSQL_DECODE_BIT
                                            ? MYSQL_TYPE_BLOB
                                            : MYSQL_TYPE_STRING;
                bind->buffer = column->buffer;
                bind->buffer_length = column->room;
                break;
        }
}

static bool bind_column(dal__mysql_stmt *stmt, uint32_t i, const MYSQL_FIELD *field)
{
        dal__mysql_column *column = &stmt->columns[i];
        unsigned long room = field->length < FIRST_ROOM ? field->length : FIRST_ROOM;

        column->field_type = (unsigned)field->type;
        column->field_flags = field->flags;
        column->field_charset = field->charsetnr;
        choose_decode(column, field);
        stmt->cells[i].type_id = (uint32_t)field->type;
        if (stmt->by_text)
                return true;
        if (column->decode >= DAL__MYSQL_DECODE_BIT && !make_room(column, room < 16 ? 16 : room))
                return false;
        fill_bind(&stmt->binds[i], column, &stmt->cells[i]);
        return true;
}

/* The table may have been altered, or this may be another result of a procedure. */
static bool is_bound(const dal__mysql_stmt *stmt, const MYSQL_FIELD *fields, uint32_t n)
{
        if (stmt->n_columns != n)
                return false;
        for (uint32_t i = 0; i < n; i++) {
                const dal__mysql_column *column = &stmt->columns[i];
                if (column->field_type != (unsigned)fields[i].type ||
                    column->field_flags != fields[i].flags || column->field_charset != fields[i].charsetnr)
                        return false;
        }
        return true;
}

static bool set_column_count(dal__mysql_stmt *stmt, uint32_t n)
{
        dal__mysql_rows_free(stmt);
        stmt->columns = dal_mem_alloc(n * sizeof *stmt->columns);
        stmt->binds = dal_mem_alloc(n * sizeof *stmt->binds);
        stmt->cells = dal_mem_alloc(n * sizeof *stmt->cells);
        if (!stmt->columns || !stmt->binds || !stmt->cells)
                return false;
        stmt->n_columns = n;
        return true;
}

DAL_NOINLINE static dal_status bind_anew(dal__mysql_conn *conn, dal__mysql_stmt *stmt,
                                         const MYSQL_FIELD *fields, uint32_t n, dal_error *err)
{
        if (stmt->n_columns != n && !set_column_count(stmt, n))
                goto no_memory;
        for (uint32_t i = 0; i < n; i++) {
                if (!bind_column(stmt, i, &fields[i]))
                        goto no_memory;
        }
        if (!stmt->cached && !keep_names(stmt, fields, n))
                goto no_memory;
        stmt->rebind = false;
        if (!stmt->by_text && mysql_stmt_bind_result(stmt->handle, stmt->binds))
                return dal__mysql_fail(conn, stmt->handle, err);
        return DAL_OK;
no_memory:
        stmt->rebind = true;
        return dal_error_set(err, DAL_CLASS_NO_MEMORY, "out of memory for %u columns", n);
}

dal_status dal__mysql_rows_bind(dal__mysql_conn *conn, dal__mysql_stmt *stmt, dal_error *err)
{
        const MYSQL_FIELD *fields = fields_of(stmt);
        uint32_t n = stmt->by_text ? mysql_num_fields(stmt->rows) : mysql_stmt_field_count(stmt->handle);
        /* Between the results of a procedure the library forgets what was bound. */
        bool several = dal__mysql_more_results(conn);

        if (stmt->cached && !stmt->rebind && !several && is_bound(stmt, fields, n))
                return DAL_OK;
        return bind_anew(conn, stmt, fields, n, err);
}

void dal__mysql_rows_free(dal__mysql_stmt *stmt)
{
        for (uint32_t i = 0; i < stmt->n_columns; i++)
                dal_mem_free(stmt->columns[i].buffer);
        dal_mem_free(stmt->columns);
        dal_mem_free(stmt->binds);
        dal_mem_free(stmt->cells);
        stmt->columns = NULL;
        stmt->binds = NULL;
        stmt->cells = NULL;
        stmt->n_columns = 0;
}

void dal__mysql_rows_begin(dal__mysql_conn *conn, dal__mysql_stmt *stmt, bool stream)
{
        conn->current = stmt;
        conn->streaming = stream;
        conn->finished = false;
}

/* One huge value must not stay with an idle connection. */
DAL_COLD static void give_back_room(dal__mysql_stmt *stmt)
{
        for (uint32_t i = 0; i < stmt->n_columns; i++) {
                dal__mysql_column *column = &stmt->columns[i];
                if (column->room <= KEPT_ROOM)
                        continue;
                dal_mem_free(column->buffer);
                column->buffer = NULL;
                column->room = 0;
                stmt->rebind = true;
        }
        stmt->has_long = false;
}

/* ---- one row ---- */

/* The value is longer than its buffer: the library kept the row, so it can be asked for again. */
DAL_NOINLINE static dal_status fetch_long(dal__mysql_conn *conn, dal__mysql_stmt *stmt, uint32_t i,
                                          dal_error *err)
{
        dal__mysql_column *column = &stmt->columns[i];
        unsigned long size = column->size;

        if (!make_room(column, size + size / 4))
                return dal_error_set(err, DAL_CLASS_NO_MEMORY, "out of memory for %lu bytes of column %s",
                                     size, dal__mysql_rows_column(stmt, i));
        stmt->has_long |= column->room > KEPT_ROOM;
        stmt->binds[i].buffer = column->buffer;
        stmt->binds[i].buffer_length = column->room;
        stmt->rebind = true;
        if (mysql_stmt_fetch_column(stmt->handle, &stmt->binds[i], i, 0))
                return dal__mysql_fail(conn, stmt->handle, err);
        column->size = size;
        return DAL_OK;
}

uint64_t dal__mysql_rows_bits(const char *bytes, unsigned long size)
{
        uint64_t bits = 0;

        for (unsigned long i = 0; i < size && i < 8; i++)
                bits = bits << 8 | (unsigned char)bytes[i];
        return bits;
}

/* '0000-00-00' and its like are no days: silently turned into NULL or another day they would be lost. */
static dal_status bad_date(const dal__mysql_stmt *stmt, uint32_t i, const dal_civil *civil, dal_error *err)
{
        return dal_error_set(err, DAL_CLASS_DATA,
                             "column %s holds %04d-%02u-%02u, which is no date; repair the row, or select "
                             "NULLIF(CAST(%s AS CHAR), '0000-00-00')",
                             dal__mysql_rows_column(stmt, i), (int)civil->year, civil->month, civil->day,
                             dal__mysql_rows_column(stmt, i));
}

dal_status dal__mysql_rows_time(dal__mysql_stmt *stmt, uint32_t i, const dal_civil *civil, dal_error *err)
{
        bool is_date = stmt->columns[i].decode == DAL__MYSQL_DECODE_DATE;

        /* A server that keeps to its rules sends no others than zeros; Connector/C passes on what it reads. */
        if (civil->month < 1 || civil->month > 12 || civil->day < 1 || civil->day > 31 || civil->year < 0 ||
            civil->year > 9999)
                return bad_date(stmt, i, civil, err);
        stmt->cells[i].as.int64 = is_date ? dal_value_days_of_civil(*civil) : dal_value_us_of_civil(*civil);
        return DAL_OK;
}

DAL_NOINLINE static dal_status decode_time(dal__mysql_stmt *stmt, uint32_t i, dal_error *err)
{
        const MYSQL_TIME *time = &stmt->columns[i].time;
        dal_civil civil = {
                .year = (int32_t)time->year,
                .month = (uint8_t)time->month,
                .day = (uint8_t)time->day,
                .hour = (uint8_t)time->hour,
                .minute = (uint8_t)time->minute,
                .second = (uint8_t)time->second,
                .microsecond = (uint32_t)time->second_part,
        };

        return dal__mysql_rows_time(stmt, i, &civil, err);
}

static dal_status decode_row(dal__mysql_conn *conn, dal__mysql_stmt *stmt, dal_error *err)
{
        dal_status s = DAL_OK;

        for (uint32_t i = 0; i < stmt->n_columns && s == DAL_OK; i++) {
                dal__mysql_column *column = &stmt->columns[i];
                dal_value *cell = &stmt->cells[i];

                cell->type = DAL_TYPE_NULL;
                if (column->is_null)
                        continue;
                cell->type = column->type;
                switch ((dal__mysql_decode)column->decode) {
                case DAL__MYSQL_DECODE_INT64:
                case DAL__MYSQL_DECODE_UINT64:
                case DAL__MYSQL_DECODE_DOUBLE:
                        break; /* already in place */
                case DAL__MYSQL_DECODE_TIMESTAMP:
                case DAL__MYSQL_DECODE_DATE:
                        s = decode_time(stmt, i, err);
                        break;
                case DAL__MYSQL_DECODE_BIT:
                        cell->as.uint64 = dal__mysql_rows_bits(column->buffer, column->size);
                        break;
                case DAL__MYSQL_DECODE_SPAN:
                        if (column->size > column->room)
                                s = fetch_long(conn, stmt, i, err);
                        cell->as.span.ptr = column->buffer;
                        cell->as.span.size = column->size;
                        break;
                }
        }
        return s;
}

/* ---- either protocol ---- */

static int next_row(dal__mysql_conn *conn)
{
        dal__mysql_stmt *stmt = conn->current;

        return stmt->by_text ? dal__mysql_text_fetch(conn) : mysql_stmt_fetch(stmt->handle);
}

static dal_status decode(dal__mysql_conn *conn, dal__mysql_stmt *stmt, dal_error *err)
{
        return stmt->by_text ? dal__mysql_text_decode(stmt, err) : decode_row(conn, stmt, err);
}

/* ---- the end of a result ---- */

/* Reads the results that a procedure gives behind its first; the last one is its own status. */
DAL_COLD static dal_status drop_further(dal__mysql_conn *conn, dal__mysql_stmt *stmt, dal_error *err)
{
        /* Connector/C mistakes the rows it has stored for those of the next result if they are still there. */
        if (mysql_stmt_free_result(stmt->handle))
                return dal__mysql_fail(conn, stmt->handle, err);
        while (dal__mysql_more_results(conn)) {
                int rc = mysql_stmt_next_result(stmt->handle);
                if (rc > 0)
                        return dal__mysql_fail(conn, stmt->handle, err);
                if (rc < 0)
                        break;
                stmt->rebind = true;
                if (mysql_stmt_field_count(stmt->handle) && mysql_stmt_free_result(stmt->handle))
                        return dal__mysql_fail(conn, stmt->handle, err);
        }
        return DAL_OK;
}

DAL_COLD static dal_status drop_further_text(dal__mysql_conn *conn, dal_error *err)
{
        dal__mysql_text_end(conn);
        return mysql_next_result(conn->mysql) > 0 || dal__mysql_tx_drop_results(conn->mysql)
                       ? dal__mysql_fail(conn, NULL, err)
                       : DAL_OK;
}

/* Frees what is buffered. The memory of a small result is kept: the next execution uses it again. */
static void free_result(dal__mysql_conn *conn, dal__mysql_stmt *stmt, dal_deadline deadline)
{
        if (stmt->by_text) {
                dal__mysql_text_end(conn);
                return;
        }
        if (!stmt->cached && conn->statements == DAL_STATEMENTS_UNNAMED) {
                dal__mysql_stmt_unprepare(conn, stmt, deadline);
                return;
        }
        if (conn->streaming || stmt->has_long || mysql_stmt_num_rows(stmt->handle) > KEPT_ROWS)
                (void)mysql_stmt_free_result(stmt->handle);
        if (stmt->has_long)
                give_back_room(stmt);
}

/* Everything is read: frees it and takes in what the server said last. */
static dal_status finish(dal__mysql_conn *conn, dal_deadline deadline, dal_error *err)
{
        dal__mysql_stmt *stmt = conn->current;
        bool further = dal__mysql_more_results(conn);
        dal_status s;

        conn->finished = true;
        if (further) {
                dal__mysql_begin(conn, deadline, true);
                s = stmt->by_text ? drop_further_text(conn, err) : drop_further(conn, stmt, err);
                dal__mysql_end(conn);
                if (s)
                        return s;
        }
        free_result(conn, stmt, deadline);
        return conn->streaming || further ? dal__mysql_tx_after_success(conn, err) : DAL_OK;
}

/* Reads a streamed result to its end; stops the statement, unless that is done, so that the end comes soon. */
DAL_COLD static dal_status drain(dal__mysql_conn *conn, bool stopped, dal_deadline limit, dal_error *err)
{
        dal_error local = DAL_ERROR_INIT;
        dal_status s;
        int rc, n_rows = 0;

        if (stopped)
                dal__mysql_begin(conn, limit, false);
        else
                dal__mysql_begin_until(conn, dal_clock_earlier(limit, dal_clock_now() + DRAIN_NS), limit,
                                       true);
        while ((rc = next_row(conn)) == 0 || rc == MYSQL_DATA_TRUNCATED) {
                if (++n_rows % CLOCK_ROWS == 0)
                        dal__mysql_call_check(&conn->call);
        }
        dal__mysql_end(conn);
        if (rc == MYSQL_NO_DATA)
                return DAL_OK;
        s = dal__mysql_fail(conn, conn->current->handle, &local);
        if ((stopped || conn->call.stopped) && local.vendor_code == ERROR_INTERRUPTED)
                return DAL_OK;
        if (err)
                *err = local;
        return s;
}

dal_status dal__mysql_rows_end(dal__mysql_conn *conn, dal_deadline deadline, dal_error *err)
{
        dal__mysql_stmt *stmt = conn->current;
        dal_status s = DAL_OK;

        if (!stmt)
                return DAL_OK;
        if (!conn->finished) {
                if (conn->streaming && !conn->broken)
                        s = drain(conn, false, deadline, err);
                if (s == DAL_OK && !conn->broken)
                        s = finish(conn, deadline, err);
        }
        conn->current = NULL;
        if (stmt->by_text) {
                dal__mysql_text_end(conn);
        } else if (!stmt->cached) {
                dal__mysql_stmt_retire(conn, stmt);
                if (conn->statements == DAL_STATEMENTS_UNNAMED && !conn->broken)
                        dal__mysql_stmt_close_retired(conn, deadline);
        }
        return s;
}

/* The deadline passed in mid-stream: what is left is stopped and dropped within the grace. */
DAL_COLD dal_status dal__mysql_rows_late(dal__mysql_conn *conn, bool stopped, dal_deadline deadline,
                                         dal_error *err)
{
        dal_error ignored = DAL_ERROR_INIT;
        dal_status s = drain(conn, stopped, deadline + DAL__MYSQL_GRACE_NS, &ignored);

        conn->finished = true;
        conn->broken |= s != DAL_OK;
        s = dal_error_set(err, DAL_CLASS_DEADLINE, "the deadline passed before the last row came");
        if (err)
                err->conn_gone = conn->broken;
        return s;
}

DAL_COLD static dal_status fetch_failed(dal__mysql_conn *conn, dal_deadline deadline, dal_error *err)
{
        dal_error local = DAL_ERROR_INIT;
        dal_status s = dal__mysql_fail(conn, conn->current->handle, &local);

        conn->finished = true;
        dal__mysql_tx_after_failure(conn, conn->current->text, deadline, &local);
        if (err)
                *err = local;
        return s;
}

dal_status dal__mysql_rows_fetch(dal__mysql_conn *conn, dal_deadline deadline, const dal_value **cells_out,
                                 dal_error *err)
{
        dal__mysql_stmt *stmt = conn->current;
        int rc;

        *cells_out = NULL;
        if (!stmt || conn->finished)
                return DAL_OK;
        if (stmt->rebind && !stmt->by_text && mysql_stmt_bind_result(stmt->handle, stmt->binds))
                return dal__mysql_fail(conn, stmt->handle, err);
        stmt->rebind = false;
        if (conn->streaming) {
                /* Rows that come without a pause never make the library wait, so the clock is looked at here. */
                if (++conn->n_streamed % CLOCK_ROWS == 0 && dal_clock_passed(deadline))
                        return dal__mysql_rows_late(conn, false, deadline, err);
                dal__mysql_begin(conn, deadline, true);
                rc = next_row(conn);
                dal__mysql_end(conn);
                if (conn->call.stopped && (rc == 0 || rc == MYSQL_DATA_TRUNCATED))
                        return dal__mysql_rows_late(conn, true, deadline, err);
        } else {
                rc = next_row(conn); /* from memory */
        }
        if (rc == MYSQL_NO_DATA)
                return finish(conn, deadline, err);
        if (rc != 0 && rc != MYSQL_DATA_TRUNCATED)
                return fetch_failed(conn, deadline, err);
        *cells_out = stmt->cells;
        return decode(conn, stmt, err);
}

void dal__mysql_rows_first(dal__mysql_conn *conn, dal_result *out)
{
        dal__mysql_stmt *stmt = conn->current;
        uint64_t n_rows;

        /* Here only what is in memory, with the columns' names in the statement. */
        if (conn->streaming || stmt->by_text || stmt->rebind || !stmt->cached)
                return;
        n_rows = mysql_stmt_num_rows(stmt->handle);
        if (n_rows > 0) {
                int rc = mysql_stmt_fetch(stmt->handle);
                if ((rc != 0 && rc != MYSQL_DATA_TRUNCATED) || decode_row(conn, stmt, NULL)) {
                        mysql_stmt_data_seek(stmt->handle, 0); /* what is wrong is told when it is fetched */
                        return;
                }
                out->first = stmt->cells;
        }
        /* A long value's room is given back at the end: not while it is lent. */
        out->complete = conn->finished = n_rows <= 1 && !stmt->has_long && !dal__mysql_more_results(conn);
}
