/* SPDX-License-Identifier: MIT */
#include "mysql_impl.h"

#define KEPT_ROWS   4        /* a result with more is given back at once */
#define DRAIN_NS    20000000 /* rows that nobody wants are read for this long before the statement is stopped */
#define CLOCK_ROWS  256      /* between two looks at the clock */
#define END_OF_ROWS 254      /* begins the packet. Source: MySQL protocol, EOF_Packet */

void dal__mysql_rows_begin(dal__mysql_conn *conn, dal__mysql_stmt *stmt, bool stream)
{
        conn->current = stmt;
        conn->streaming = stream;
        conn->finished = false;
}

/* ---- one row ---- */

static dal_status no_memory(const dal__mysql_stmt *stmt, uint32_t i, dal_error *err)
{
        return dal_error_set(err, DAL_CLASS_NO_MEMORY, "out of memory for %lu bytes of column %s",
                             stmt->columns[i].size, dal__mysql_bind_name(stmt, i));
}

/* The value is longer than its buffer: the library kept the row, so it can be asked for again. */
DAL_NOINLINE static dal_status fetch_long(dal__mysql_conn *conn, dal__mysql_stmt *stmt, uint32_t i,
                                          dal_error *err)
{
        dal__mysql_column *column = &stmt->columns[i];
        unsigned long size = column->size;
        MYSQL_BIND bind;

        if (!dal__mysql_bind_grow(stmt, i, size + size / 4))
                return no_memory(stmt, i, err);
        stmt->has_long |= column->room > DAL__MYSQL_KEPT_ROOM;
        dal__mysql_bind_fill(stmt, i, &bind);
        if (mysql_stmt_fetch_column(stmt->handle, &bind, i, 0))
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
                             dal__mysql_bind_name(stmt, i), (int)civil->year, civil->month, civil->day,
                             dal__mysql_bind_name(stmt, i));
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
        const MYSQL_TIME *time = (const void *)stmt->columns[i].buffer;
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

static dal_status decode_other(dal__mysql_stmt *stmt, uint32_t i, dal_error *err)
{
        const dal__mysql_column *column = &stmt->columns[i];

        if (column->decode != DAL__MYSQL_DECODE_BIT)
                return decode_time(stmt, i, err);
        stmt->cells[i].as.uint64 = dal__mysql_rows_bits(column->buffer, column->size);
        return DAL_OK;
}

/* Numbers are in their cells already. */
static DAL_HOT dal_status decode_row(dal__mysql_conn *conn, dal__mysql_stmt *stmt, dal_error *err)
{
        const dal__mysql_column *column = stmt->columns;
        dal_value *cell = stmt->cells;
        uint32_t n = stmt->n_columns;

        for (uint32_t i = 0; i < n; i++, column++, cell++) {
                dal_status s = DAL_OK;

                cell->type = column->is_null ? DAL_TYPE_NULL : column->type;
                if (column->decode == DAL__MYSQL_DECODE_SPAN) {
                        if (column->size > column->room && !column->is_null)
                                s = fetch_long(conn, stmt, i, err);
                        cell->as.span.ptr = column->buffer;
                        cell->as.span.size = column->size;
                } else if (column->decode > DAL__MYSQL_DECODE_DOUBLE && !column->is_null) {
                        s = decode_other(stmt, i, err);
                }
                if (s)
                        return s;
        }
        return DAL_OK;
}

/* ---- the first row ---- */

#if MYSQL_IS_CONNECTOR_C

/* At the end of rows that are not stored the library does not look at the flags. Source: stmt_unbuffered_fetch(), 3.3 */
static void take_flags(MYSQL *mysql)
{
        const unsigned char *packet = mysql->net.read_pos;

        if (packet[0] == END_OF_ROWS)
                mysql->server_status = packet[3] | (unsigned)packet[4] << 8;
}

/*
 * Most results have one row. It is decoded where the library received it, and only what comes behind it is stored,
 * which then takes no memory. Source: mysql_stmt_store_result() in mariadb_stmt.c, 3.1 to 3.4
 */
static int receive_first(dal__mysql_conn *conn, dal__mysql_stmt *stmt)
{
        MYSQL_STMT *handle = stmt->handle;
        int rc = mysql_stmt_fetch(handle);

        stmt->is_split = true;
        if (rc == MYSQL_NO_DATA) {
                take_flags(conn->mysql);
                return 0;
        }
        if (rc != 0 && rc != MYSQL_DATA_TRUNCATED)
                return rc;
        stmt->first = decode_row(conn, stmt, NULL) ? DAL__MYSQL_FIRST_FAILED : DAL__MYSQL_FIRST_READY;
        if (mysql_stmt_store_result(handle))
                return 1;
        stmt->has_more = mysql_stmt_row_tell(handle) != NULL;
        if (!stmt->has_more)
                (void)mysql_stmt_fetch(handle); /* or the next execution would wait for rows */
        return 0;
}

int dal__mysql_rows_receive(dal__mysql_conn *conn, dal__mysql_stmt *stmt)
{
        if (dal__mysql_bind_holds(conn, stmt))
                return receive_first(conn, stmt);
        return mysql_stmt_store_result(stmt->handle);
}

#else

int dal__mysql_rows_receive(dal__mysql_conn *conn, dal__mysql_stmt *stmt)
{
        (void)conn;
        return mysql_stmt_store_result(stmt->handle);
}

#endif

/* Where the first row could not be decoded this tells why. */
DAL_COLD static dal_status decode_again(dal__mysql_conn *conn, dal__mysql_stmt *stmt, dal_error *err)
{
        for (uint32_t i = 0; i < stmt->n_columns; i++) {
                const dal__mysql_column *column = &stmt->columns[i];

                /* The library has the row no more. */
                if (column->decode == DAL__MYSQL_DECODE_SPAN && !column->is_null &&
                    column->size > column->room)
                        return no_memory(stmt, i, err);
        }
        return decode_row(conn, stmt, err);
}

static dal_status give_first(dal__mysql_conn *conn, dal__mysql_stmt *stmt, const dal_value **cells_out,
                             dal_error *err)
{
        bool failed = stmt->first == DAL__MYSQL_FIRST_FAILED;

        stmt->first = DAL__MYSQL_FIRST_NONE;
        *cells_out = stmt->cells;
        return failed ? decode_again(conn, stmt, err) : DAL_OK;
}

/* Takes the first row out of what was stored. */
static bool fetch_first(dal__mysql_conn *conn, dal__mysql_stmt *stmt)
{
        uint64_t n_rows = mysql_stmt_num_rows(stmt->handle);
        int rc;

        stmt->has_more = n_rows > 1;
        if (n_rows == 0)
                return true;
        rc = mysql_stmt_fetch(stmt->handle);
        if ((rc == 0 || rc == MYSQL_DATA_TRUNCATED) && decode_row(conn, stmt, NULL) == DAL_OK) {
                stmt->first = DAL__MYSQL_FIRST_READY;
                return true;
        }
        mysql_stmt_data_seek(stmt->handle, 0); /* what is wrong is told when it is fetched */
        return false;
}

void dal__mysql_rows_first(dal__mysql_conn *conn, dal_result *out)
{
        dal__mysql_stmt *stmt = conn->current;

        if (!stmt->is_split) {
                /* Here only what is in memory, with the columns' names in the statement. */
                if (conn->streaming || stmt->by_text || stmt->rebind || !stmt->cached ||
                    !fetch_first(conn, stmt))
                        return;
        }
        if (stmt->first == DAL__MYSQL_FIRST_FAILED)
                return;
        if (stmt->first) {
                stmt->first = DAL__MYSQL_FIRST_NONE;
                out->first = stmt->cells;
        }
        /* A long value's room is given back at the end: not while it is lent. */
        out->complete = conn->finished = !stmt->has_more && !stmt->has_long && !dal__mysql_more_results(conn);
}

/* ---- either protocol ---- */

static inline int next_row(dal__mysql_conn *conn)
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
                dal__mysql_bind_shrink(stmt);
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
        if ((stopped || conn->call.stopped) && local.vendor_code == DAL__MYSQL_ERROR_INTERRUPTED)
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
        if (stmt->first)
                return give_first(conn, stmt, cells_out, err);
        if (stmt->rebind && !stmt->by_text) {
                dal_status s = dal__mysql_bind_tell(conn, stmt, err);
                if (s)
                        return s;
        }
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
