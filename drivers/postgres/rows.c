/* SPDX-License-Identifier: MIT */
/* Rows: received whole, or as they come. */

#include "postgres_impl.h"

#include <string.h>

#include <dal/mem.h>

/* A result of more rows is freed as soon as its last row was taken, not with the next request. */
#define SMALL_RESULT 64
/* One row is kept until the next request unless it takes more bytes. */
#define KEPT_SIZE 16384

/* Before a statement is canceled, its rows are read away for so long. */
#define GENTLE_MS 50
#define CANCEL_MS 1000

/* Results, of a row or a chunk each, between two looks at the clock. */
#define CLOCK_EVERY 32u

/* Bytes of a row above which the next stream of the connection goes row by row. */
#define WIDE_ROW 65536

/* ---- the current result ---------------------------------------------------------------------------------------- */

void dal__postgres_drop_rows(dal__postgres_conn *conn)
{
        PQclear(conn->rows);
        if (conn->names)
                PQclear(conn->names);
        conn->rows = conn->names = NULL;
        conn->i_row = conn->n_rows = 0;
}

DAL_COLD static bool reserve_columns(dal__postgres_conn *conn, uint32_t n)
{
        void *columns, *cells;

        n = n < 8 ? 8 : n;
        columns = dal_mem_resize(conn->columns, n, sizeof *conn->columns);
        if (!columns)
                return false;
        conn->columns = columns;
        cells = dal_mem_resize(conn->cells, n, sizeof *conn->cells);
        if (!cells)
                return false;
        conn->cells = cells;
        /* Of no type yet, which no column has. */
        memset(conn->columns + conn->columns_room, 0, (n - conn->columns_room) * sizeof *conn->columns);
        memset(conn->cells + conn->columns_room, 0, (n - conn->columns_room) * sizeof *conn->cells);
        conn->columns_room = n;
        return true;
}

bool dal__postgres_is_partial(const PGresult *result)
{
        ExecStatusType status = PQresultStatus(result);

#ifdef LIBPQ_HAS_CHUNK_MODE
        if (status == PGRES_TUPLES_CHUNK)
                return true;
#endif
        return status == PGRES_SINGLE_TUPLE;
}

/* What rows take is known when they are here: it is the next stream that goes by it. */
static inline void note_width(dal__postgres_conn *conn)
{
#ifdef LIBPQ_HAS_CHUNK_MODE
        if (PQresultMemorySize(conn->rows) > (size_t)conn->n_rows * WIDE_ROW)
                conn->wide_rows = true;
#else
        (void)conn;
#endif
}

DAL_COLD static dal_status no_memory(dal_error *err)
{
        return dal_error_set(err, DAL_CLASS_NO_MEMORY, "out of memory for the rows of a result");
}

/* Column and cell keep what is known about the type for the next result: often it is the same. */
DAL_NOINLINE static void set_column(dal__postgres_conn *conn, uint32_t i, Oid type)
{
        conn->columns[i].type = type;
        conn->columns[i].kind =
                (uint8_t)(conn->statements == DAL_STATEMENTS_TEXT ? dal__postgres_text_kind_of(type)
                                                                  : dal__postgres_kind_of(type));
        conn->columns[i].needs_room =
                conn->columns[i].kind == PG_KIND_NUMERIC || conn->columns[i].kind == PG_KIND_TEXT_BYTEA;
        conn->columns[i].word_size =
                conn->columns[i].kind == PG_KIND_INT8 || conn->columns[i].kind == PG_KIND_FLOAT8 ? 8 : -1;
        conn->columns[i].cell_type = conn->columns[i].kind == PG_KIND_INT8 ? DAL_TYPE_INT64 : DAL_TYPE_DOUBLE;
        conn->cells[i] = dal_null();
        conn->cells[i].type_id = type;
}

static inline dal_status open_rows(dal__postgres_conn *conn, PGresult *result, bool streaming,
                                   dal_result *out, dal_error *err)
{
        uint32_t n = (uint32_t)PQnfields(result);

        conn->rows = result;
        conn->i_row = 0;
        conn->n_rows = PQntuples(result);
        conn->streaming = streaming;
        if (streaming)
                note_width(conn);
        if (n > conn->columns_room && !reserve_columns(conn, n))
                return no_memory(err);
        if ((streaming || conn->n_rows > SMALL_RESULT) &&
            !(conn->names = PQcopyResult(result, PG_COPYRES_ATTRS)))
                return no_memory(err);
        conn->n_columns = n;
        conn->needs_room = false;
        for (uint32_t i = 0; i < n; i++) {
                dal__postgres_column *column = &conn->columns[i];
                Oid type = PQftype(result, (int)i);

                if (column->type != type)
                        set_column(conn, i, type);
                conn->needs_room |= column->needs_room;
        }
        out->has_rows = true;
        out->n_columns = n;
        return DAL_OK;
}

dal_status dal__postgres_open_rows(dal__postgres_conn *conn, PGresult *result, bool streaming,
                                   dal_result *out, dal_error *err)
{
        return open_rows(conn, result, streaming, out, err);
}

const char *dal__postgres_column_name(void *state, uint32_t i_column)
{
        const dal__postgres_conn *conn = state;
        const PGresult *result = conn->names ? conn->names : conn->rows;

        return result && i_column < conn->n_columns ? PQfname(result, (int)i_column) : NULL;
}

/* ---- cells ------------------------------------------------------------------------------------------------------- */

/* Room for what is made of the cells of a row, before any points into it. */
DAL_NOINLINE static bool reserve_room(dal__postgres_conn *conn, int row)
{
        size_t size = 0;
        char *grown;

        for (uint32_t i = 0; i < conn->n_columns; i++) {
                size_t cell_size = (size_t)PQgetlength(conn->rows, row, (int)i);

                if (!conn->columns[i].needs_room || PQgetisnull(conn->rows, row, (int)i))
                        continue;
                size += conn->columns[i].kind == PG_KIND_NUMERIC
                                ? dal__postgres_numeric_room(PQgetvalue(conn->rows, row, (int)i), cell_size)
                                : cell_size;
        }
        if (size > conn->text_room) {
                size = size < 256 ? 256 : size + size / 2;
                grown = dal_mem_resize(conn->text, size, 1);
                if (!grown)
                        return false;
                conn->text = grown;
                conn->text_room = size;
        }
        conn->text_end = conn->text;
        return true;
}

DAL_COLD static dal_status undecodable(dal__postgres_conn *conn, uint32_t i, dal__postgres_decoded why,
                                       dal_error *err)
{
        const char *name = dal__postgres_column_name(conn, i);

        if (why == PG_INFINITE)
                return dal_error_set(
                        err, DAL_CLASS_DATA,
                        "column %s is infinity or later than the year 294246, which no timestamp holds: "
                        "exclude it or select it as text",
                        name);
        return dal_error_set(err, DAL_CLASS_DATA, "column %s: the server's bytes are not those of type %u",
                             name, conn->columns[i].type);
}

DAL_NOINLINE static dal_status decode_other(dal__postgres_conn *conn, int row, uint32_t i, dal_error *err)
{
        dal__postgres_kind kind = (dal__postgres_kind)conn->columns[i].kind;
        dal__postgres_decoded decoded;

        if (PQgetisnull(conn->rows, row, (int)i)) {
                conn->cells[i].type = DAL_TYPE_NULL;
                return DAL_OK;
        }
        decoded = dal__postgres_decode(kind, PQgetvalue(conn->rows, row, (int)i),
                                       (size_t)PQgetlength(conn->rows, row, (int)i), &conn->text_end,
                                       &conn->cells[i]);
        return decoded == PG_DECODED ? DAL_OK : undecodable(conn, i, decoded, err);
}

/* The most frequent types here; the rest, NULL, empty and malformed cells elsewhere. */
static DAL_HOT dal_status decode_row(dal__postgres_conn *conn, const dal_value **cells_out, dal_error *err)
{
        int row = conn->i_row++, n = (int)conn->n_columns;
        const dal__postgres_column *column = conn->columns;
        const PGresult *rows = conn->rows;
        dal_value *cell = conn->cells;

        if (conn->needs_room && !reserve_room(conn, row))
                return no_memory(err);
        for (int i = 0; i < n; i++, column++, cell++) {
                int size = PQgetlength(rows, row, i);
                dal_status s;

                if (size == column->word_size) {
                        cell->as.uint64 = dal__postgres_load64(PQgetvalue(rows, row, i));
                        cell->type = column->cell_type;
                } else if (size && column->kind == PG_KIND_TEXT) {
                        cell->as.span.ptr = PQgetvalue(rows, row, i);
                        cell->as.span.size = (size_t)size;
                        cell->type = DAL_TYPE_TEXT;
                } else if ((s = decode_other(conn, row, (uint32_t)i, err))) {
                        return s;
                }
        }
        *cells_out = conn->cells;
        return DAL_OK;
}

dal_status dal__postgres_open_whole(dal__postgres_conn *conn, PGresult *result, dal_result *out,
                                    dal_error *err)
{
        dal_status s = open_rows(conn, result, false, out, err);

        if (s)
                return s;
        if (conn->n_rows == 0) {
                out->complete = true;
        } else if (decode_row(conn, &out->first, NULL)) {
                conn->i_row = 0; /* what is wrong with it is told when it is fetched */
                out->first = NULL;
        } else {
                out->complete = conn->n_rows == 1 && PQresultMemorySize(result) <= KEPT_SIZE;
        }
        return DAL_OK;
}

/* ---- streams ------------------------------------------------------------------------------------------------------ */

/* The last row came, or the statement failed: takes what is left of its answer. */
static dal_status end_stream(dal__postgres_conn *conn, PGresult *last, dal_deadline deadline, dal_error *err)
{
        PGresult *failure = NULL;
        dal_status s = DAL_OK;

        conn->streaming = false;
        if (dal__postgres_is_failure(last))
                return dal__postgres_fail_flush(conn, NULL, last, deadline, err);
        PQclear(last);
        if (conn->pipelined && conn->i_next < conn->i_sent)
                PQclear(PQgetResult(conn->pg)); /* the mark between two answers */
        else
                s = dal__postgres_end_segment(conn, deadline, &failure, err);
        if (s == DAL_OK && failure)
                return dal__postgres_fail_flush(conn, NULL, failure, deadline, err);
        PQclear(failure);
        return s;
}

static inline dal_status next_part(dal__postgres_conn *conn, dal_deadline deadline, dal_error *err)
{
        PGresult *result;
        dal_status s;

        PQclear(conn->rows);
        conn->rows = NULL;
        conn->i_row = conn->n_rows = 0;
        if (PQisBusy(conn->pg) && (s = dal__postgres_wait(conn, deadline, err)))
                return s;
        result = PQgetResult(conn->pg);
        if (PQresultStatus(result) == PGRES_SINGLE_TUPLE)
                conn->n_rows = 1;
        else if (dal__postgres_is_partial(result))
                conn->n_rows = PQntuples(result);
        else
                return end_stream(conn, result, deadline, err);
        conn->rows = result;
        note_width(conn);
        return DAL_OK;
}

/* No row is left: of a large result, only the columns' names are kept. */
DAL_NOINLINE static dal_status drop_large(dal__postgres_conn *conn)
{
        if (conn->names && conn->rows) {
                PQclear(conn->rows);
                conn->rows = NULL;
                conn->i_row = conn->n_rows = 0;
        }
        return DAL_OK;
}

dal_status dal__postgres_fetch(void *state, dal_deadline deadline, const dal_value **cells_out,
                               dal_error *err)
{
        dal__postgres_conn *conn = state;
        dal_status s;

        *cells_out = NULL;
        if (conn->i_row == conn->n_rows) {
                if (!conn->streaming)
                        return drop_large(conn);
                s = next_part(conn, deadline, err);
                if (s || conn->n_rows == 0)
                        return s ? s : drop_large(conn);
        }
        return decode_row(conn, cells_out, err);
}

/* Reads rows away until `until`; *last_out is the result that ends them, NULL when the time was up. */
static dal_status read_away(dal__postgres_conn *conn, dal_deadline until, PGresult **last_out)
{
        *last_out = NULL;
        for (unsigned n = 1;; n++) {
                PGresult *result;

                if (n % CLOCK_EVERY == 0 && dal_clock_passed(until))
                        return DAL_ERR_TIMEOUT;
                if (!dal__postgres_is_ready(conn, until))
                        return DAL_ERR_TIMEOUT;
                result = PQgetResult(conn->pg);
                if (!dal__postgres_is_partial(result)) {
                        *last_out = result;
                        return DAL_OK;
                }
                PQclear(result);
        }
}

DAL_NOINLINE static dal_status discard_stream(dal__postgres_conn *conn, dal_deadline deadline, dal_error *err)
{
        dal_deadline gentle;
        bool canceled = false;
        PGresult *last;

        gentle = dal_clock_earlier(deadline, dal_clock_after_ms(GENTLE_MS));
        if (read_away(conn, conn->may_cancel ? gentle : deadline, &last)) {
                if (!conn->may_cancel || dal_clock_passed(deadline))
                        return dal__postgres_late(conn, err);
                canceled = true;
                dal__postgres_cancel_send(conn->cancel,
                                          dal_clock_earlier(deadline, dal_clock_after_ms(CANCEL_MS)), NULL);
                if (read_away(conn, deadline, &last))
                        return dal__postgres_late(conn, err);
        }
        if (canceled && dal__postgres_is_failure(last) && PQstatus(conn->pg) == CONNECTION_OK) {
                dal_error ignored = DAL_ERROR_INIT;

                end_stream(conn, last, deadline, &ignored);
                if (!ignored.conn_gone)
                        return DAL_OK;
                if (err)
                        *err = ignored;
                return ignored.status;
        }
        return end_stream(conn, last, deadline, err);
}

dal_status dal__postgres_discard(void *state, dal_deadline deadline, dal_error *err)
{
        dal__postgres_conn *conn = state;

        if (conn->rows || conn->names)
                dal__postgres_drop_rows(conn);
        return conn->streaming ? discard_stream(conn, deadline, err) : DAL_OK;
}
