/* SPDX-License-Identifier: MIT */
/*
 * A run of the same write, whose results nobody looks at, as one command: each would cost a round trip and the server
 * the work of a statement. It stands inside a transaction, so a failure in the middle leaves nothing that is seen.
 *
 * A MariaDB server takes an array of values for each parameter and runs the statement for one row after the other. For
 * others further rows are written into INSERT ... VALUES. Both leave the first of the generated ids as the last one,
 * and a later statement may ask for LAST_INSERT_ID(): so the last INSERT of a run is always run by itself.
 */
#include "mysql_impl.h"

#include <string.h>
#include <strings.h>

#include <dal/drivers/mysql.h>
#include <dal/mem.h>

#include "text_values.h"

#define MAX_BYTES 1048576u /* in one command; more gives no more speed */
#define MAX_ROWS  16384u

#define ERROR_NOT_SUPPORTED 5003 /* arrays. Source: CR_FUNCTION_NOT_SUPPORTED */

/* ---- which requests ---- */

static const dal_request *request_at(const dal__mysql_conn *conn, size_t i)
{
        return conn->queue[conn->i_next + i].request;
}

/* Says whether a request is one of the same statement as the next one, and stands in the same flush. */
static bool is_same(const dal__mysql_conn *conn, size_t i)
{
        const dal__mysql_entry *first = &conn->queue[conn->i_next], *entry = first + i;

        return i < conn->n_queue - conn->i_next && entry->flush == first->flush &&
               entry->request->kind == DAL_REQUEST_STMT && entry->request->unwatched &&
               entry->request->stmt == first->request->stmt;
}

static bool is_one_of(const char *word, size_t size, const char *const *words, size_t n_words)
{
        for (size_t i = 0; i < n_words; i++) {
                if (strlen(words[i]) == size && strncasecmp(word, words[i], size) == 0)
                        return true;
        }
        return false;
}

/*
 * Says whether a write looks at nothing but its own table and values. What asks for the statement before it (measured
 * on MariaDB: in an array LAST_INSERT_ID() stands still), or for variables, has to be one of its own; so has what a
 * server takes no array for, which is refused as a whole: INSERT ... SELECT, and writes to several tables. The words
 * count wherever they stand: a false alarm costs round trips only.
 */
static bool is_self_contained(const char *text)
{
        static const char *const words[] = {"LAST_INSERT_ID", "ROW_COUNT", "FOUND_ROWS", "SELECT",
                                            "JOIN",           "USING",     "TABLE",      "RETURNING"};
        static const char *const from = "FROM", *const delete = "DELETE";
        const char *at = text;
        bool behind_delete = false;

        if (strchr(text, '@'))
                return false;
        while (*(at += strcspn(at, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_"))) {
                size_t size = strspn(at, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789$");

                if (is_one_of(at, size, words, sizeof words / sizeof words[0]))
                        return false;
                if (is_one_of(at, size, &from, 1) && !behind_delete)
                        return false; /* DELETE a FROM a, b */
                behind_delete = is_one_of(at, size, &delete, 1);
                at += size;
        }
        return true;
}

/* A parameter has one type for all rows of a command; the server's own text for a value has none. */
static bool has_types_of(const dal_params *row, uint8_t *types)
{
        for (size_t i = 0; i < row->n_values; i++) {
                uint8_t type = (uint8_t)row->values[i].type;

                if (type == DAL_TYPE_OTHER ||
                    (type != DAL_TYPE_NULL && types[i] != DAL_TYPE_NULL && types[i] != type))
                        return false;
        }
        for (size_t i = 0; i < row->n_values; i++) {
                if (row->values[i].type != DAL_TYPE_NULL)
                        types[i] = (uint8_t)row->values[i].type;
        }
        return true;
}

/* At most what the values take in a command, whichever way they travel. */
static uint64_t room_of(const dal_params *row)
{
        uint64_t room = 0;

        for (size_t i = 0; i < row->n_values; i++)
                room += dal__mysql_text_room(&row->values[i]);
        return room;
}

/* How many requests fit one command, each with `overhead` bytes besides its values. */
static size_t count_fitting(const dal__mysql_conn *conn, bool inserts, size_t overhead, uint8_t *types)
{
        uint64_t limit = conn->max_packet < MAX_BYTES ? conn->max_packet : MAX_BYTES, size = overhead + 64;
        size_t n_params = request_at(conn, 0)->params.n_values, n = 0;

        memset(types, DAL_TYPE_NULL, n_params);
        for (; n < MAX_ROWS && is_same(conn, n); n++) {
                const dal_params *row = &request_at(conn, n)->params;

                size += overhead + room_of(row);
                if (size > limit || row->n_values != n_params || !has_types_of(row, types))
                        return n;
        }
        return inserts && n && !is_same(conn, n) ? n - 1 : n;
}

/* ---- an array of values for each parameter ---- */

#if MYSQL_IS_CONNECTOR_C

typedef struct rows_ahead {
        const dal__mysql_entry *entries;
        dal__mysql_stmt *stmt;
        char *indicators; /* one for each parameter */
} rows_ahead;

/* Called by the library for each row while it writes the command. */
static my_bool put_row(void *data, MYSQL_BIND *binds, unsigned row)
{
        rows_ahead *rows = data;
        const dal_params *params = &rows->entries[row].request->params;

        for (size_t i = 0; i < params->n_values; i++) {
                const dal__mysql_slot *own = dal__mysql_params_put(rows->stmt, i, &params->values[i]);

                binds[i].buffer = (void *)(uintptr_t)own->buffer; /* only read */
                binds[i].buffer_length = own->size;
                rows->indicators[i] = own->is_null ? STMT_INDICATOR_NULL : STMT_INDICATOR_NONE;
                binds[i].u.indicator = &rows->indicators[i];
        }
        return 0;
}

static int set_array(MYSQL_STMT *handle, rows_ahead *rows, unsigned n)
{
        my_bool (*function)(void *, MYSQL_BIND *, unsigned) = rows ? put_row : NULL;
        void *pointer;

        memcpy(&pointer, &function, sizeof pointer); /* as for MARIADB_OPT_IO_WAIT in wait.c */
        return mysql_stmt_attr_set(handle, STMT_ATTR_ARRAY_SIZE, &n) ||
               mysql_stmt_attr_set(handle, STMT_ATTR_CB_USER_DATA, rows) ||
               mysql_stmt_attr_set(handle, STMT_ATTR_CB_PARAM, pointer);
}

/* The types go in front of all rows, so each parameter is bound with the first value that has one. */
static dal_status bind_types(dal__mysql_conn *conn, dal__mysql_stmt *stmt, size_t n, dal_error *err)
{
        for (size_t i = 0; i < stmt->n_params; i++) {
                size_t row = 0;

                while (row + 1 < n && request_at(conn, row)->params.values[i].type == DAL_TYPE_NULL)
                        row++;
                stmt->slots[i].buffer = NULL; /* a NULL would keep the type of an earlier execution */
                (void)dal__mysql_params_put(stmt, i, &request_at(conn, row)->params.values[i]);
        }
        return dal__mysql_params_tell(conn, stmt, err);
}

static dal_status run_array(dal__mysql_conn *conn, dal__mysql_stmt *stmt, size_t n, dal_deadline deadline,
                            dal_error *err)
{
        rows_ahead rows = {&conn->queue[conn->i_next], stmt, dal_mem_alloc(stmt->n_params)};
        dal_status s;

        if (!rows.indicators)
                return dal_error_set(err, DAL_CLASS_NO_MEMORY, "out of memory for %zu rows", n);
        s = bind_types(conn, stmt, n, err);
        if (s == DAL_OK && set_array(stmt->handle, &rows, (unsigned)n))
                s = dal__mysql_fail(conn, stmt->handle, err);
        if (s == DAL_OK)
                s = dal__mysql_stmt_execute(conn, stmt, false, deadline, err);
        if (!conn->broken)
                (void)set_array(stmt->handle, NULL, 0);
        dal__mysql_params_forget(stmt);
        dal_mem_free(rows.indicators);
        return s ? s : dal__mysql_tx_after_success(conn, err);
}

/* Says how many requests may be run as an array: 0 where the server or the statement is not made for it. */
static size_t count_array(const dal__mysql_conn *conn, const dal__mysql_stmt *stmt, bool inserts,
                          uint8_t *types)
{
        if (!stmt || conn->no_arrays || conn->dialect != DAL_DIALECT_mariadb ||
            mysql_stmt_field_count(stmt->handle) || stmt->n_params == 0 ||
            stmt->n_params != request_at(conn, 0)->params.n_values)
                return 0;
        return count_fitting(conn, inserts, 8 + 2 * (size_t)stmt->n_params, types);
}

#else

static size_t count_array(const dal__mysql_conn *conn, const dal__mysql_stmt *stmt, bool inserts,
                          uint8_t *types)
{
        (void)conn;
        (void)stmt;
        (void)inserts;
        (void)types;
        return 0;
}

static dal_status run_array(dal__mysql_conn *conn, dal__mysql_stmt *stmt, size_t n, dal_deadline deadline,
                            dal_error *err)
{
        (void)conn;
        (void)stmt;
        (void)n;
        (void)deadline;
        return dal_error_set(err, DAL_CLASS_INTERNAL, "this library has no arrays of parameters");
}

#endif

/* ---- further rows behind VALUES ---- */

/* Says how many requests may become rows of one INSERT. */
static size_t count_rows(const dal__mysql_conn *conn, dal_driver_values *values, uint8_t *types)
{
        const dal_request *first = request_at(conn, 0);

        if (!dal_driver_find_values(DAL_PLACEHOLDER_QUESTION, dal__mysql_text_syntax(conn), first->stmt->text,
                                    first->stmt->text_size, values) ||
            !values->is_plain || values->returns_rows || values->n_behind ||
            values->n_params != first->params.n_values)
                return 0;
        return count_fitting(conn, true, first->stmt->text_size + 2, types);
}

static dal_status run_rows(dal__mysql_conn *conn, const dal_driver_values *values, size_t n,
                           dal_deadline deadline, dal_error *err)
{
        const dal_request *first = request_at(conn, 0);
        const char *text = first->stmt->text;
        uint64_t room = (uint64_t)first->stmt->text_size * (n + 1);
        size_t *marks;
        char *sql, *out;
        dal_status s;

        for (size_t i = 0; i < n; i++)
                room += room_of(&request_at(conn, i)->params) + 1;
        s = dal__mysql_text_prepare(conn, text, values->end, values->n_params, room, &marks, &sql, err);
        if (s)
                return s;
        out = sql + dal__mysql_text_write(sql, text, values->end, marks, &first->params);
        for (size_t i = 0; i < values->n_params; i++)
                marks[i] -= values->begin;
        for (size_t i = 1; i < n; i++) {
                *out++ = ',';
                out += dal__mysql_text_write(out, text + values->begin, values->end - values->begin, marks,
                                             &request_at(conn, i)->params);
        }
        memcpy(out, text + values->end, first->stmt->text_size - values->end);
        out += first->stmt->text_size - values->end;
        s = dal__mysql_text_execute(conn, sql, (size_t)(out - sql), deadline, err);
        return s ? s : dal__mysql_tx_after_success(conn, err);
}

/* ---- either ---- */

static dal_status run_fold(dal__mysql_conn *conn, dal__mysql_stmt *stmt, const dal_driver_values *values,
                           size_t *n_out, dal_deadline deadline, dal_error *err)
{
        const char *text = request_at(conn, 0)->stmt->text;
        dal_error failure;
        dal_status s = values ? run_rows(conn, values, *n_out, deadline, &failure)
                              : run_array(conn, stmt, *n_out, deadline, &failure);

        if (s == DAL_OK)
                return DAL_OK;
        if (failure.vendor_code == ERROR_NOT_SUPPORTED && stmt) {
                conn->no_arrays = true; /* a proxy in front of the server: nothing was sent */
                *n_out = 0;
                return DAL_OK;
        }
        if (stmt)
                stmt->generation = 0; /* prepared anew next time, as after every failure */
        dal__mysql_tx_after_failure(conn, text, deadline, &failure);
        *err = failure;
        return s;
}

dal_status dal__mysql_fold_run(dal__mysql_conn *conn, size_t *n_out, dal_deadline deadline, dal_error *err)
{
        const dal_request *first = request_at(conn, 0);
        const char *text = first->stmt->text;
        bool inserts =
                dal__mysql_tx_begins_with(text, "INSERT") || dal__mysql_tx_begins_with(text, "REPLACE");
        dal__mysql_stmt *stmt = NULL;
        dal_driver_values values;
        uint8_t *types;
        size_t n_array, n_rows = 0;
        dal_status s = DAL_OK;

        *n_out = 0;
        if (!is_same(conn, 1) || (!conn->in_trans && !conn->tx_open) || first->params.n_values == 0)
                return DAL_OK;
        if (!inserts && !dal__mysql_tx_begins_with(text, "UPDATE") &&
            !dal__mysql_tx_begins_with(text, "DELETE"))
                return DAL_OK;
        if (!is_self_contained(text))
                return DAL_OK;
        types = dal_mem_alloc(first->params.n_values);
        if (!types)
                return DAL_OK; /* one by one, then */
        if (conn->statements == DAL_STATEMENTS_PREPARED)
                stmt = dal__mysql_stmt_find(conn, first);
        n_array = count_array(conn, stmt, inserts, types);
        if (n_array < 2 && inserts)
                n_rows = count_rows(conn, &values, types);
        dal_mem_free(types);
        *n_out = n_array >= 2 ? n_array : n_rows >= 2 ? n_rows : 0;
        if (*n_out)
                s = run_fold(conn, stmt, n_array >= 2 ? NULL : &values, n_out, deadline, err);
        return s;
}
