/* SPDX-License-Identifier: MIT */
/* COPY ... FROM STDIN: what the columns are, the rows, and the answer. */

#include "copy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <dal/mem.h>

#define BUFFER_SIZE ((size_t)128 << 10) /* the longest numeric takes 74,000 bytes */
#define PIECE_SIZE  ((size_t)256 << 10) /* of a long value, between two looks at the socket */
#define MAX_FIELD                                                                                            \
        ((size_t)0x3ffffff0) /* Source: memutils.h, MaxAllocSize, which a value and its header must fit */

struct copy {
        dal__postgres_conn *conn;
        const dal_driver_bulk *load;
        dal_deadline deadline;
        dal_error *err;
        Oid *types;   /* of the columns */
        int *numbers; /* of the columns in their table */
        char *buffer, *end;
        dal_status status; /* of sending; the rest is not sent then */
};

static dal_status no_memory(dal_error *err)
{
        dal_error_set(err, DAL_CLASS_NO_MEMORY, "out of memory for a bulk load to PostgreSQL");
        err->not_sent = true;
        return DAL_ERR_NOMEM;
}

/* ---- the columns ------------------------------------------------------------------------------------------------- */

/*
 * COPY is no INSERT: it can't write to a view, takes no notice of rules, refuses where policies for rows apply, and
 * takes ids that the server alone may give (GENERATED ALWAYS AS IDENTITY): these columns are listed.
 * Source: manual, COPY, "Notes".
 */
#define TABLE_QUERY                                                                                          \
        "SELECT c.relkind IN ('r', 'p') AND NOT c.relhasrules AND NOT "                                      \
        "pg_catalog.row_security_active(c.oid), (SELECT pg_catalog.string_agg(a.attnum::text, ' ') "         \
        "FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid AND a.attidentity = 'a') "                  \
        "FROM pg_catalog.pg_class c WHERE c.oid = pg_catalog.to_regclass($1::text)"

static bool send_questions(const struct copy *copy, const char *sql)
{
        PGconn *pg = copy->conn->pg;
        const char *table = copy->load->table;

        /* Prepared but not run: that asks for no right to read the table. */
        return PQenterPipelineMode(pg) && PQsendPrepare(pg, "", sql, 0, NULL) &&
               PQsendDescribePrepared(pg, "") &&
               PQsendQueryParams(pg, TABLE_QUERY, 1, NULL, &table, NULL, NULL, 1) && PQpipelineSync(pg);
}

/* Says whether one of the columns is in a list of numbers. */
static bool has_one_of(const struct copy *copy, const char *list)
{
        for (char *end; *list; list = end) {
                long number = strtol(list, &end, 10);

                if (end == list)
                        return true; /* not what was asked for: COPY does without */
                for (uint32_t j = 0; j < copy->load->n_columns; j++)
                        if (copy->numbers[j] == number)
                                return true;
        }
        return false;
}

static void take_answer(struct copy *copy, int i, const PGresult *result, bool *is_table_out)
{
        if (i == 1) {
                for (uint32_t j = 0; j < copy->load->n_columns; j++) {
                        copy->types[j] = PQftype(result, (int)j);
                        copy->numbers[j] = PQftablecol(result, (int)j);
                }
        }
        if (i == 2)
                *is_table_out = PQntuples(result) == 1 && !PQgetisnull(result, 0, 0) &&
                                PQgetvalue(result, 0, 0)[0] == 1 &&
                                !has_one_of(copy, PQgetvalue(result, 0, 1));
}

/* Starts what stands between two Syncs, or one simple query. */
static void open_segment(dal__postgres_conn *conn, bool pipelined)
{
        atomic_store_explicit(&conn->cancel_sent, false, memory_order_relaxed);
        conn->in_tx = conn->state != PQTRANS_IDLE;
        conn->n_trailing = 0;
        conn->open = true;
        conn->pipelined = pipelined;
}

static dal_status read_answers(struct copy *copy, bool *is_table_out)
{
        dal__postgres_conn *conn = copy->conn;
        PGresult *failure = NULL;
        dal_status s = dal__postgres_drain_output(conn, copy->deadline, copy->err);

        for (int i = 0; i < 3 && s == DAL_OK && !failure; i++) {
                PGresult *result;

                s = dal__postgres_wait(conn, copy->deadline, copy->err);
                if (s)
                        break;
                result = PQgetResult(conn->pg);
                if (!result || dal__postgres_is_failure(result)) {
                        failure = result;
                        if (!failure)
                                s = dal__postgres_lost(conn, false, copy->err);
                        break;
                }
                take_answer(copy, i, result, is_table_out);
                PQclear(result);
                PQclear(PQgetResult(conn->pg)); /* the mark between two answers */
        }
        if (s == DAL_OK)
                s = dal__postgres_end_segment(conn, copy->deadline, &failure, copy->err);
        if (s == DAL_OK && failure)
                s = dal__postgres_fail_alone(conn, failure, copy->err);
        PQclear(failure);
        return s;
}

/* The types of the columns, and whether the table is one that COPY can be used for. */
static dal_status ask(struct copy *copy, bool *is_table_out)
{
        const dal_driver_bulk *load = copy->load;
        size_t size = strlen(load->columns) + strlen(load->table) + 32;
        char *sql = dal_mem_alloc(size);
        bool sent;

        *is_table_out = true;
        if (!sql)
                return no_memory(copy->err);
        snprintf(sql, size, "SELECT %s FROM %s", load->columns, load->table);
        open_segment(copy->conn, true);
        sent = send_questions(copy, sql);
        dal_mem_free(sql);
        return sent ? read_answers(copy, is_table_out) : dal__postgres_lost(copy->conn, false, copy->err);
}

static dal__postgres_form choose_form(const struct copy *copy)
{
        const dal_driver_bulk *load = copy->load;
        const dal_value *value = load->values;
        dal__postgres_form form = copy->conn->params.as_text ? PG_FORM_TEXT : PG_FORM_BINARY;

        if (load->n_columns > INT16_MAX)
                return PG_FORM_NONE;
        for (uint32_t i = 0; i < load->n_rows; i++) {
                for (uint32_t j = 0; j < load->n_columns; j++, value++) {
                        dal__postgres_form its = dal__postgres_copy_form(value, copy->types[j]);

                        /* What can't be one message of the server's is refused where that can be said of it. */
                        if ((value->type == DAL_TYPE_TEXT || value->type == DAL_TYPE_BYTES) &&
                            value->as.span.size > MAX_FIELD)
                                return PG_FORM_NONE;
                        if (its > form)
                                form = its;
                        if (form == PG_FORM_NONE)
                                return form;
                }
        }
        return form;
}

/* ---- the rows ---------------------------------------------------------------------------------------------------- */

static void send_bytes(struct copy *copy, const char *bytes, size_t size)
{
        while (size && copy->status == DAL_OK) {
                size_t n = size < PIECE_SIZE ? size : PIECE_SIZE;
                int sent = PQputCopyData(copy->conn->pg, bytes, (int)n);

                if (sent > 0) {
                        bytes += n;
                        size -= n;
                }
                if (sent < 0)
                        copy->status = dal__postgres_lost(copy->conn, false, copy->err);
                else
                        copy->status = dal__postgres_drain_output(copy->conn, copy->deadline, copy->err);
                if (copy->status == DAL_OK && dal_clock_passed(copy->deadline))
                        copy->status = dal__postgres_late(copy->conn, copy->err);
        }
}

static void send_buffer(struct copy *copy)
{
        send_bytes(copy, copy->buffer, (size_t)(copy->end - copy->buffer));
        copy->end = copy->buffer;
}

/* Makes room for `size` bytes, which fit the empty buffer. */
static char *room_for(struct copy *copy, size_t size)
{
        if (BUFFER_SIZE - (size_t)(copy->end - copy->buffer) < size)
                send_buffer(copy);
        return copy->end;
}

static void put_bytes(struct copy *copy, const char *bytes, size_t size)
{
        if (size > BUFFER_SIZE / 2) {
                send_buffer(copy);
                send_bytes(copy, bytes, size);
        } else {
                memcpy(room_for(copy, size), bytes, size);
                copy->end += size;
        }
}

static void put_binary(struct copy *copy, const dal_value *value, Oid type)
{
        copy->end =
                dal__postgres_copy_binary(room_for(copy, dal__postgres_copy_room(value, type)), value, type);
        if (dal__postgres_copy_has_tail(value, type))
                put_bytes(copy, value->as.span.ptr, value->as.span.size);
}

static void put_escaped(struct copy *copy, const char *text, size_t size)
{
        while (size && copy->status == DAL_OK) {
                size_t n = size < BUFFER_SIZE / 4 ? size : BUFFER_SIZE / 4;

                copy->end = dal__postgres_copy_escape(room_for(copy, 2 * n), text, n);
                text += n;
                size -= n;
        }
}

/* "\\x", the backslash doubled, and two digits a byte. */
static void put_hex(struct copy *copy, const char *bytes, size_t size)
{
        static const char digits[] = "0123456789abcdef";

        put_bytes(copy, "\\\\x", 3);
        while (size && copy->status == DAL_OK) {
                size_t n = size < BUFFER_SIZE / 4 ? size : BUFFER_SIZE / 4;
                char *out = room_for(copy, 2 * n);

                for (size_t i = 0; i < n; i++) {
                        *out++ = digits[(unsigned char)bytes[i] >> 4];
                        *out++ = digits[(unsigned char)bytes[i] & 15];
                }
                copy->end = out;
                bytes += n;
                size -= n;
        }
}

static void put_text(struct copy *copy, const dal_value *value)
{
        char small[128];

        switch ((dal_type)value->type) {
        case DAL_TYPE_NULL:
                put_bytes(copy, "\\N", 2);
                break;
        case DAL_TYPE_TEXT:
        case DAL_TYPE_DECIMAL:
                put_escaped(copy, value->as.span.ptr, value->as.span.size);
                break;
        case DAL_TYPE_BYTES:
                put_hex(copy, value->as.span.ptr, value->as.span.size);
                break;
        default: /* numbers, times and the like: nothing in them needs to be escaped */
                put_bytes(copy, small, dal__postgres_put_text(small, value));
                break;
        }
}

static void put_row(struct copy *copy, const dal_value *row, dal__postgres_form form)
{
        uint32_t n = copy->load->n_columns;

        if (form == PG_FORM_BINARY) {
                char *out = room_for(copy, 2);

                out[0] = (char)(n >> 8);
                out[1] = (char)n;
                copy->end += 2;
        }
        for (uint32_t i = 0; i < n && copy->status == DAL_OK; i++) {
                if (form == PG_FORM_BINARY) {
                        put_binary(copy, &row[i], copy->types[i]);
                        continue;
                }
                if (i > 0)
                        put_bytes(copy, "\t", 1);
                put_text(copy, &row[i]);
        }
        if (form == PG_FORM_TEXT)
                put_bytes(copy, "\n", 1);
}

static void put_rows(struct copy *copy, dal__postgres_form form)
{
        /* Source: manual, COPY, "Binary Format": signature, flags, length of the header's extension; -1 ends it. */
        static const char header[] = "PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0";
        const dal_driver_bulk *load = copy->load;

        if (form == PG_FORM_BINARY)
                put_bytes(copy, header, 19);
        for (uint32_t i = 0; i < load->n_rows && copy->status == DAL_OK; i++)
                put_row(copy, load->values + (size_t)i * load->n_columns, form);
        if (form == PG_FORM_BINARY)
                put_bytes(copy, "\377\377", 2);
        send_buffer(copy);
}

/* ---- the answer -------------------------------------------------------------------------------------------------- */

/*
 * "COPY orders, line 12, column total: ..." In text form what follows may be data with lines of any kind: where two
 * lines look so, neither is believed. A row is a line in both forms. Source: copyfrom.c, CopyFromErrorCallback()
 */
static uint32_t row_of(const char *context, const dal_driver_bulk *load)
{
        size_t n_table = strlen(load->plain_table);
        uint32_t i_row = DAL_BULK_NO_ROW;

        for (const char *at = context; at; at = (at = strchr(at, '\n')) ? at + 1 : NULL) {
                uint64_t n = 0;

                if (strncmp(at, "COPY ", 5) != 0 || strncmp(at + 5, load->plain_table, n_table) != 0 ||
                    strncmp(at + 5 + n_table, ", line ", 7) != 0)
                        continue;
                if (i_row != DAL_BULK_NO_ROW)
                        return DAL_BULK_NO_ROW;
                for (const char *digit = at + 12 + n_table; *digit >= '0' && *digit <= '9' && n < UINT32_MAX;
                     digit++)
                        n = 10 * n + (uint64_t)(*digit - '0');
                if (n >= 1 && n <= load->n_rows)
                        i_row = (uint32_t)n - 1;
        }
        return i_row;
}

/* The server says which column a value of the wrong kind was for in the same place only. */
static void find_column(const char *context, const dal_driver_bulk *load, dal_error *err)
{
        const char *at = context ? strstr(context, ", column ") : NULL;

        for (uint32_t i = 0; at && !err->column[0] && i < load->n_columns; i++) {
                size_t n = strlen(load->plain_columns[i]);

                if (strncmp(at + 9, load->plain_columns[i], n) == 0 &&
                    (at[9 + n] == '\0' || at[9 + n] == '\n' || at[9 + n] == ':'))
                        snprintf(err->column, sizeof err->column, "%s", load->plain_columns[i]);
        }
}

static dal_status take_failure(struct copy *copy, PGresult *failure, uint32_t *i_row_out)
{
        const char *context = PQresultErrorField(failure, PG_DIAG_CONTEXT);
        dal_status s = dal__postgres_fail_alone(copy->conn, failure, copy->err);

        if (!copy->err->conn_gone) {
                *i_row_out = row_of(context, copy->load);
                if (*i_row_out != DAL_BULK_NO_ROW)
                        find_column(context, copy->load, copy->err);
        }
        PQclear(failure);
        return s;
}

/* Announces the rows; *failure_out is the server's refusal. */
static dal_status begin_copy(struct copy *copy, dal__postgres_form form, PGresult **failure_out)
{
        const dal_driver_bulk *load = copy->load;
        dal__postgres_conn *conn = copy->conn;
        size_t size = strlen(load->columns) + strlen(load->table) + 64;
        char *sql = dal_mem_alloc(size);
        PGresult *result;
        dal_status s;
        int sent;

        if (!sql)
                return no_memory(copy->err);
        snprintf(sql, size, "COPY %s (%s) FROM STDIN%s", load->table, load->columns,
                 form == PG_FORM_BINARY ? " (FORMAT binary)" : "");
        open_segment(conn, false);
        sent = PQsendQuery(conn->pg, sql);
        dal_mem_free(sql);
        if (!sent)
                return dal__postgres_lost(conn, true, copy->err);
        s = dal__postgres_drain_output(conn, copy->deadline, copy->err);
        if (s == DAL_OK)
                s = dal__postgres_wait(conn, copy->deadline, copy->err);
        if (s)
                return s;
        result = PQgetResult(conn->pg);
        if (PQresultStatus(result) == PGRES_COPY_IN) {
                PQclear(result);
                return DAL_OK;
        }
        if (!result)
                return dal__postgres_lost(conn, false, copy->err);
        *failure_out = result;
        return dal__postgres_end_segment(conn, copy->deadline, failure_out, copy->err);
}

static dal_status end_copy(struct copy *copy, PGresult **failure_out)
{
        dal__postgres_conn *conn = copy->conn;
        int sent;

        while ((sent = PQputCopyEnd(conn->pg, NULL)) == 0) {
                dal_status s = dal__postgres_drain_output(conn, copy->deadline, copy->err);

                if (s)
                        return s;
        }
        if (sent < 0)
                return dal__postgres_lost(conn, false, copy->err);
        copy->status = dal__postgres_drain_output(conn, copy->deadline, copy->err);
        return copy->status ? copy->status
                            : dal__postgres_end_segment(conn, copy->deadline, failure_out, copy->err);
}

static dal_status run_copy(struct copy *copy, dal__postgres_form form, uint32_t *i_row_out)
{
        PGresult *failure = NULL;
        dal_status s = begin_copy(copy, form, &failure);

        if (s == DAL_OK && !failure) {
                put_rows(copy, form);
                s = copy->status ? copy->status : end_copy(copy, &failure);
        }
        if (s == DAL_OK && failure)
                return take_failure(copy, failure, i_row_out);
        PQclear(failure);
        return s;
}

dal_status dal__postgres_bulk(void *state, const dal_driver_bulk *load, dal_deadline deadline,
                              bool *taken_out, uint32_t *i_row_out, dal_error *err)
{
        dal__postgres_conn *conn = state;
        size_t types_size = load->n_columns * (sizeof(Oid) + sizeof(int));
        struct copy copy = {.conn = conn, .load = load, .deadline = deadline, .err = err};
        dal__postgres_form form;
        bool is_table = false;
        dal_status s;

        *taken_out = false;
        *i_row_out = DAL_BULK_NO_ROW;
        if (conn->broken)
                return dal__postgres_lost(conn, true, err);
        s = dal__postgres_discard(conn, deadline, err);
        if (s)
                return s;
        copy.types = dal_mem_alloc(types_size + BUFFER_SIZE);
        if (!copy.types)
                return no_memory(err);
        copy.numbers = (int *)(copy.types + load->n_columns);
        copy.buffer = copy.end = (char *)copy.types + types_size;
        s = ask(&copy, &is_table);
        form = s == DAL_OK && is_table ? choose_form(&copy) : PG_FORM_NONE;
        *taken_out = s != DAL_OK || form != PG_FORM_NONE;
        if (s == DAL_OK && *taken_out)
                s = run_copy(&copy, form, i_row_out);
        dal_mem_free(copy.types);
        return s;
}
