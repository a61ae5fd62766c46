/* SPDX-License-Identifier: MIT */
/* A chunk of rows into its table, and which of them was refused. */

#include "run/bulk_impl.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <dal/mem.h>

#include "run/tx_impl.h"
#include "sql/params.h"

#define GROUP_BYTES                                                                                          \
        ((size_t)1 << 20) /* of one INSERT's values: well below every server's limit for a packet */
#define N_SIZES 4u        /* 1000, 100, 10 and 1 rows, say */

/* One INSERT of a fixed number of rows, prepared when first needed. */
struct writer {
        struct dal__cached_stmt *entry;
        dal_stmt stmt;
        char *text;
        uint32_t n_rows;
};

struct job {
        const dal__bulk_table *names;
        const dal__bulk_chunk *chunk;
        struct writer writers[N_SIZES]; /* the largest first; those that aren't needed have no rows */
        bool no_bulk;                   /* the driver's own way does not serve */
        uint32_t begin, end;            /* the rows to store now */
        uint32_t i_row;                 /* the one that failed, if that is known */
        uint32_t n_sure;                /* rows before this one did not fail */
        uint32_t n_suspects;            /* rows from there on, one of which did */
};

/* ---- the driver's own way ---------------------------------------------------------------------------------------- */

static const dal_value *values_of(const struct job *job, uint32_t i_row)
{
        return job->chunk->values + (size_t)i_row * job->names->spec->n_columns;
}

static dal_status store_by_driver(dal_tx *tx, struct job *job, bool *done_out, dal_error *err)
{
        const dal_bulk_spec *spec = job->names->spec;
        dal_driver_bulk load = {.table = job->names->table,
                                .plain_table = spec->table,
                                .columns = job->names->columns,
                                .plain_columns = spec->columns,
                                .n_columns = spec->n_columns,
                                .n_rows = job->end - job->begin,
                                .values = values_of(job, job->begin)};
        uint32_t i_row;
        dal_status s = dal__conn_bulk(tx->conn, job->names->name, &load, tx->deadline, done_out, &i_row, err);

        job->n_sure = job->begin;
        job->n_suspects = load.n_rows;
        if (s && i_row != DAL_BULK_NO_ROW)
                job->i_row = job->begin + i_row;
        job->no_bulk = s == DAL_OK && !*done_out;
        return s;
}

/* ---- INSERTs of many rows ---------------------------------------------------------------------------------------- */

/* 1000, 100, 10, 1: the remainder of a chunk takes some statements more, but no preparation for its own size. */
static void choose_sizes(const dal_driver *driver, struct job *job)
{
        uint32_t n = driver->max_params / job->names->spec->n_columns;

        if (n > driver->bulk_rows)
                n = driver->bulk_rows;
        for (size_t i = 0; i + 1 < N_SIZES && n > 1; i++, n /= 10)
                job->writers[i].n_rows = n;
        job->writers[N_SIZES - 1].n_rows = 1;
}

static char *put(char *out, const char *text)
{
        size_t size = strlen(text);

        memcpy(out, text, size);
        return out + size;
}

static char *write_insert(const dal__bulk_table *names, uint32_t n_rows)
{
        uint32_t n = names->spec->n_columns;
        size_t row = 2 * (size_t)n + 3;
        char *text = dal_mem_alloc(strlen(names->table) + strlen(names->columns) + 32 + n_rows * row), *end;

        if (!text)
                return NULL;
        end = put(text, "INSERT INTO ");
        end = put(end, names->table);
        end = put(end, " (");
        end = put(end, names->columns);
        end = put(end, ") VALUES ");
        for (uint32_t i = 0; i < n_rows; i++) {
                *end++ = i ? ',' : ' ';
                *end++ = '(';
                for (uint32_t j = 0; j < n; j++) {
                        if (j)
                                *end++ = ',';
                        *end++ = '?';
                }
                *end++ = ')';
        }
        *end = '\0';
        return text;
}

static dal_status make_writer(dal_tx *tx, const struct job *job, struct writer *writer, dal_error *err)
{
        if (writer->entry)
                return DAL_OK;
        if (!writer->text)
                writer->text = write_insert(job->names, writer->n_rows);
        if (!writer->text)
                return dal_error_set(err, DAL_CLASS_NO_MEMORY,
                                     "%s: out of memory for an INSERT of %" PRIu32 " rows", job->names->name,
                                     writer->n_rows);
        writer->stmt.name = job->names->name;
        writer->stmt.common = writer->text;
        return dal__conn_make_stmt(tx->conn, &writer->stmt, &writer->entry, err);
}

static void end_writers(dal_tx *tx, struct job *job)
{
        for (size_t i = 0; i < N_SIZES; i++) {
                dal__conn_end_stmt(tx->conn, job->writers[i].entry);
                dal_mem_free(job->writers[i].text);
        }
}

/* Bytes of the first `n_rows` rows, but no more than are of interest. */
static uint32_t rows_that_fit(const struct job *job, uint32_t begin, uint32_t n_rows)
{
        size_t n = job->names->spec->n_columns, bytes = 0;
        const dal_value *value = values_of(job, begin);

        if (job->chunk->n_bytes <= GROUP_BYTES)
                return n_rows;
        for (uint32_t i = 0; i < n_rows; i++) {
                for (size_t j = 0; j < n; j++, value++) {
                        bytes += sizeof *value;
                        if (dal__params_has_span(value))
                                bytes += value->as.span.size;
                }
                if (bytes > GROUP_BYTES)
                        return i ? i : 1;
        }
        return n_rows;
}

static struct writer *choose_writer(struct job *job, uint32_t begin)
{
        uint32_t n = job->end - begin;

        if (n > job->writers[0].n_rows && job->writers[0].n_rows)
                n = job->writers[0].n_rows;
        n = rows_that_fit(job, begin, n);
        for (size_t i = 0; i < N_SIZES; i++)
                if (job->writers[i].n_rows && job->writers[i].n_rows <= n)
                        return &job->writers[i];
        return &job->writers[N_SIZES - 1];
}

static dal_status store_by_inserts(dal_tx *tx, struct job *job, dal_error *err)
{
        uint32_t n_columns = job->names->spec->n_columns;
        dal_status s = DAL_OK;

        for (uint32_t i = job->begin; i < job->end && s == DAL_OK;) {
                struct writer *writer = choose_writer(job, i);
                dal_params params = {values_of(job, i), (size_t)writer->n_rows * n_columns};

                job->n_sure = i;
                job->n_suspects = writer->n_rows;
                s = make_writer(tx, job, writer, err);
                if (s == DAL_OK)
                        s = dal__conn_run_made(tx->conn, writer->entry, params, tx->deadline, err);
                i += writer->n_rows;
        }
        return s;
}

/* ---- which row --------------------------------------------------------------------------------------------------- */

/* Stores the rows of the job; the function of a savepoint. */
static dal_status store_rows(dal_tx *tx, void *arg, dal_error *err)
{
        struct job *job = arg;
        bool done = false;
        dal_status s = job->no_bulk ? DAL_OK : store_by_driver(tx, job, &done, err);

        return s || done ? s : store_by_inserts(tx, job, err);
}

/* Says whether a failure is about a row, and another try in the same transaction can tell about which one. */
static bool is_about_a_row(const dal_error *failure)
{
        if (failure->tx_gone || failure->conn_gone || failure->retry_tx)
                return false;
        switch (failure->error_class) {
        case DAL_CLASS_UNIQUE:
        case DAL_CLASS_FOREIGN_KEY:
        case DAL_CLASS_NOT_NULL:
        case DAL_CLASS_CHECK:
        case DAL_CLASS_DATA:
        case DAL_CLASS_OVERFLOW:
        case DAL_CLASS_WRONG_TYPE:
        case DAL_CLASS_ARGUMENT:
        case DAL_CLASS_PACKET_TOO_LARGE:
        case DAL_CLASS_SERVER_OTHER:
        case DAL_CLASS_APP:
                return true;
        default:
                return false;
        }
}

static dal_status try_rows(dal_tx *tx, struct job *job, uint32_t begin, uint32_t end, dal_error *err)
{
        job->begin = begin;
        job->end = end;
        return dal_tx_run(tx, store_rows, job, err);
}

/*
 * Stores what stands before the suspects again, then halves these until one is left, each half in a savepoint of its
 * own. That one's failure is then the load's: what the server says of a row alone names more than what it says of many.
 */
static void find_row(dal_tx *tx, struct job *job, dal_error *failure)
{
        uint32_t begin = job->n_sure, end = begin + job->n_suspects;
        dal_error err = DAL_ERROR_INIT;

        if (begin > 0 && try_rows(tx, job, 0, begin, &err))
                goto changed;
        while (end - begin > 1) {
                uint32_t middle = begin + (end - begin) / 2;

                if (try_rows(tx, job, begin, middle, &err) == DAL_OK)
                        begin = middle;
                else if (is_about_a_row(&err))
                        end = middle;
                else
                        goto changed;
        }
        job->i_row = DAL_BULK_NO_ROW;
        if (try_rows(tx, job, begin, end, &err) == DAL_OK)
                return; /* it takes several rows to make it fail */
        if (is_about_a_row(&err)) {
                *failure = err;
                job->i_row = begin;
                return;
        }
changed:
        job->i_row = DAL_BULK_NO_ROW;
        if (err.conn_gone || err.tx_gone || err.retry_tx)
                *failure = err; /* that decides now */
}

static void name_row(const struct job *job, dal_error *failure)
{
        char message[sizeof failure->message];
        const int64_t *numbers = job->chunk->numbers;
        int room;

        if (job->i_row != DAL_BULK_NO_ROW)
                room = snprintf(message, sizeof message, "row %" PRId64 ": ", numbers[job->i_row]);
        else
                room = snprintf(message, sizeof message, "rows %" PRId64 " to %" PRId64 ": ", numbers[0],
                                numbers[job->chunk->n_rows - 1]);
        /* A message that is cut ends as dal_error_set() would end it. */
        if (room > 0) {
                dal_error copy;

                dal_error_set(&copy, failure->error_class, "%s%s", message, failure->message);
                memcpy(failure->message, copy.message, sizeof failure->message);
        }
}

dal_status dal__bulk_store(dal_tx *tx, const dal__bulk_table *names, const dal__bulk_chunk *chunk,
                           dal_error *err)
{
        dal_error failure = DAL_ERROR_INIT;
        struct job job;
        dal_status s = dal__conn_check_ready(tx->conn, tx->deadline, err);

        if (s)
                return s; /* the library's own refusal, which spoils nothing */
        memset(&job, 0, sizeof job);
        job.names = names;
        job.chunk = chunk;
        job.i_row = DAL_BULK_NO_ROW;
        choose_sizes(dal_conn_driver(tx->conn), &job);
        if (try_rows(tx, &job, 0, chunk->n_rows, &failure) == DAL_OK) {
                end_writers(tx, &job);
                return DAL_OK;
        }
        if (job.i_row == DAL_BULK_NO_ROW && is_about_a_row(&failure))
                find_row(tx, &job, &failure);
        end_writers(tx, &job);
        if (!failure.retry_tx && !failure.conn_gone)
                name_row(&job, &failure);
        dal__conn_spoil(tx->conn, &failure);
        if (err)
                *err = failure;
        return failure.status;
}
