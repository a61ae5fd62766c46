/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "sqlite_impl.h"

bool dal__sqlite_bytes_reserve(dal__sqlite_bytes *bytes, size_t size)
{
        size_t capacity = bytes->capacity ? bytes->capacity : 256;
        char *data;

        if (size <= bytes->capacity)
                return true;
        while (capacity < size && capacity <= SIZE_MAX / 2)
                capacity *= 2;
        if (capacity < size)
                return false;
        data = dal_mem_resize(bytes->data, capacity, 1);
        if (!data)
                return false;
        bytes->data = data;
        bytes->capacity = capacity;
        return true;
}

void dal__sqlite_bytes_free(dal__sqlite_bytes *bytes)
{
        dal_mem_free(bytes->data);
        bytes->data = NULL;
        bytes->capacity = 0;
}

/* ---- columns ---- */

static bool name_has(const char *name, const char *word)
{
        size_t size = strlen(word);

        for (; *name; name++)
                if (sqlite3_strnicmp(name, word, (int)size) == 0)
                        return true;
        return false;
}

static dal__sqlite_kind kind_of(const char *declared)
{
        if (!declared)
                return DAL__SQLITE_KIND_UNTYPED;
        if (name_has(declared, "timestamp") || name_has(declared, "datetime"))
                return DAL__SQLITE_KIND_TIMESTAMP;
        if (name_has(declared, "date"))
                return DAL__SQLITE_KIND_DATE;
        if (name_has(declared, "bool"))
                return DAL__SQLITE_KIND_BOOL;
        if (name_has(declared, "uuid"))
                return DAL__SQLITE_KIND_UUID;
        if (name_has(declared, "decimal") || name_has(declared, "numeric"))
                return DAL__SQLITE_KIND_DECIMAL;
        return DAL__SQLITE_KIND_STORAGE;
}

/* What is alike in all cells of a column is written once for all rows. */
static void use_kinds(dal__sqlite_conn *conn, const uint8_t *kinds, uint32_t n)
{
        conn->cur.refined = false;
        for (uint32_t i = 0; i < n; i++) {
                conn->cur.refined |= kinds[i] > DAL__SQLITE_KIND_STORAGE;
                conn->cur.cells[i].flags = kinds[i] == DAL__SQLITE_KIND_UNTYPED ? DAL_VALUE_UNTYPED : 0;
                conn->cur.cells[i].reserved = 0;
                conn->cur.cells[i].type_id = 0;
        }
        conn->cur.kinds = kinds;
        conn->cur.n_columns = n;
}

bool dal__sqlite_reserve_kinds(dal__sqlite_cursor *cur, size_t n)
{
        uint8_t *kinds;

        if (n <= cur->wide_capacity)
                return true;
        if (n < DAL__SQLITE_KINDS_KEPT)
                n = DAL__SQLITE_KINDS_KEPT; /* so that what is there needn't move when the result is set aside */
        kinds = dal_mem_resize(cur->wide_kinds, n, sizeof *kinds);
        if (!kinds)
                return false;
        cur->wide_kinds = kinds;
        cur->wide_capacity = n;
        return true;
}

/*
 * Never less than any result of the connection had: a statement knows a place for its cells by the address, at which a
 * smaller one must not come to stand.
 */
static bool reserve_cells(dal__sqlite_conn *conn, uint32_t n)
{
        dal_value *cells;

        if (n <= conn->cur.cells_capacity)
                return true;
        if (conn->most_columns < n)
                conn->most_columns = n;
        cells = dal_mem_resize(conn->cur.cells, conn->most_columns, sizeof *cells);
        if (!cells)
                return false;
        conn->cur.cells = cells;
        conn->cur.cells_capacity = conn->most_columns;
        return true;
}

void dal__sqlite_use_kinds(dal__sqlite_conn *conn, const dal__sqlite_stmt *stmt)
{
        use_kinds(conn, stmt->kinds, stmt->n_columns);
}

dal_status dal__sqlite_describe(dal__sqlite_conn *conn, dal__sqlite_stmt *stmt, dal_error *err)
{
        uint32_t n = (uint32_t)sqlite3_column_count(conn->cur.handle);
        uint8_t *kinds;

        if (stmt && dal__sqlite_is_described(conn, stmt))
                return DAL_OK;
        if (!reserve_cells(conn, n))
                return dal__sqlite_no_memory(err);
        if (stmt && n <= DAL__SQLITE_KINDS_KEPT) {
                kinds = stmt->kinds;
        } else {
                if (!dal__sqlite_reserve_kinds(&conn->cur, n))
                        return dal__sqlite_no_memory(err);
                kinds = conn->cur.wide_kinds;
        }
        for (uint32_t i = 0; i < n; i++)
                kinds[i] = (uint8_t)kind_of(sqlite3_column_decltype(conn->cur.handle, (int)i));
        if (stmt) {
                stmt->is_read = sqlite3_stmt_readonly(conn->cur.handle);
                stmt->n_columns = n <= DAL__SQLITE_KINDS_KEPT ? n : 0;
                stmt->n_reprepared = sqlite3_stmt_status(conn->cur.handle, SQLITE_STMTSTATUS_REPREPARE, 0);
                stmt->cells = conn->cur.cells;
        }
        use_kinds(conn, kinds, n);
        return DAL_OK;
}

/* ---- cells ---- */

static bool is_span(const dal_value *v)
{
        return v->type == DAL_TYPE_TEXT || v->type == DAL_TYPE_BYTES || v->type == DAL_TYPE_DECIMAL;
}

static void refine_integer_cell(dal_value *cell, dal__sqlite_kind kind)
{
        int64_t value = cell->as.int64;

        if (kind == DAL__SQLITE_KIND_TIMESTAMP) {
                cell->type = DAL_TYPE_TIMESTAMP;
        } else if (kind == DAL__SQLITE_KIND_DATE) {
                cell->type = DAL_TYPE_DATE;
        } else if (kind == DAL__SQLITE_KIND_BOOL && (value == 0 || value == 1)) {
                cell->type = DAL_TYPE_BOOL;
                cell->as.boolean = value == 1;
        }
}

/* Text where the column says date, time, uuid or decimal: what others wrote, such as DEFAULT CURRENT_TIMESTAMP. */
static void refine_text_cell(dal_value *cell, dal__sqlite_kind kind)
{
        const char *ptr = cell->as.span.ptr;
        size_t size = cell->as.span.size;
        int64_t number;
        uint8_t uuid[16];

        if (kind == DAL__SQLITE_KIND_DECIMAL && dal_value_is_decimal(ptr, size)) {
                cell->type = DAL_TYPE_DECIMAL;
        } else if (kind == DAL__SQLITE_KIND_TIMESTAMP && dal_value_parse_timestamp(ptr, size, &number)) {
                cell->type = DAL_TYPE_TIMESTAMP;
                cell->as.int64 = number;
        } else if (kind == DAL__SQLITE_KIND_DATE && dal_value_parse_date(ptr, size, &number)) {
                cell->type = DAL_TYPE_DATE;
                cell->as.int64 = number;
        } else if (kind == DAL__SQLITE_KIND_UUID && dal_value_parse_uuid(ptr, size, uuid)) {
                cell->type = DAL_TYPE_UUID;
                memcpy(cell->as.uuid, uuid, sizeof uuid);
        }
}

/* The second look at a row some of whose columns say more than SQLite stores. */
DAL_NOINLINE static void refine_cells(dal__sqlite_conn *conn)
{
        dal_value *cell = conn->cur.cells;

        for (uint32_t i = 0; i < conn->cur.n_columns; i++, cell++) {
                dal__sqlite_kind kind = (dal__sqlite_kind)conn->cur.kinds[i];

                if (kind <= DAL__SQLITE_KIND_STORAGE)
                        continue;
                if (cell->type == DAL_TYPE_INT64) {
                        refine_integer_cell(cell, kind);
                } else if (cell->type == DAL_TYPE_TEXT) {
                        refine_text_cell(cell, kind);
                } else if (cell->type == DAL_TYPE_BYTES && kind == DAL__SQLITE_KIND_UUID &&
                           cell->as.span.size == 16) {
                        cell->type = DAL_TYPE_UUID;
                        memcpy(cell->as.uuid, cell->as.span.ptr, 16);
                }
        }
}

/* A blob or NULL. */
DAL_NOINLINE static bool fill_other_cell(dal_value *cell, sqlite3_value *value)
{
        const void *ptr;
        int size;

        cell->type = DAL_TYPE_NULL;
        if (sqlite3_value_type(value) != SQLITE_BLOB)
                return true;
        ptr = sqlite3_value_blob(value);
        size = sqlite3_value_bytes(value);
        cell->type = DAL_TYPE_BYTES;
        cell->as.span.ptr = ptr ? ptr : "";
        cell->as.span.size = (size_t)size;
        return ptr != NULL || size == 0;
}

/*
 * Fills one cell with what SQLite stores; false when it had no memory to give it. The value is fetched once and asked
 * then, as each sqlite3_column call checks its arguments anew; that is allowed where the connection has no mutex to
 * protect it. Source: sqlite.org/c3ref/value.html, protected and unprotected values
 */
static inline bool fill_cell(dal_value *cell, sqlite3_value *value)
{
        int type = sqlite3_value_type(value);

        if (type == SQLITE_INTEGER) {
                cell->as.int64 = sqlite3_value_int64(value);
                cell->type = DAL_TYPE_INT64;
                return true;
        }
        if (type == SQLITE_TEXT) {
                cell->as.span.ptr = (const char *)sqlite3_value_text(value);
                cell->as.span.size = (size_t)sqlite3_value_bytes(value);
                cell->type = DAL_TYPE_TEXT;
                return cell->as.span.ptr != NULL;
        }
        if (type == SQLITE_FLOAT) {
                cell->as.float64 = sqlite3_value_double(value);
                cell->type = DAL_TYPE_DOUBLE;
                return true;
        }
        return fill_other_cell(cell, value);
}

static inline dal_status fill_cells(dal__sqlite_conn *conn, dal_error *err)
{
        sqlite3_stmt *cursor = conn->cur.handle;
        dal_value *cell = conn->cur.cells;

        for (int i = 0, n = (int)conn->cur.n_columns; i < n; i++, cell++)
                if (!fill_cell(cell, sqlite3_column_value(cursor, i)))
                        return dal__sqlite_no_memory(err);
        if (conn->cur.refined)
                refine_cells(conn);
        return DAL_OK;
}

dal_status dal__sqlite_fill_cells(dal__sqlite_conn *conn, dal_error *err)
{
        return fill_cells(conn, err);
}

/* ---- rows as they come ---- */

/* Delivers the next kept row. */
static void take_row(dal__sqlite_conn *conn)
{
        size_t head = conn->cur.n_columns * sizeof(dal_value);
        const char *from = conn->cur.rows.data + conn->cur.i_rows;

        memcpy(conn->cur.cells, from, head);
        from += head;
        for (uint32_t i = 0; i < conn->cur.n_columns; i++) {
                if (!is_span(&conn->cur.cells[i]))
                        continue;
                conn->cur.cells[i].as.span.ptr = from;
                from += conn->cur.cells[i].as.span.size;
        }
        conn->cur.i_rows = (size_t)(from - conn->cur.rows.data);
}

/* Where there is nothing to step. */
DAL_NOINLINE static dal_status fetch_kept(dal__sqlite_conn *conn, const dal_value **cells_out, dal_error *err)
{
        if (!conn->cur.handle)
                return dal_error_set(err, DAL_CLASS_STATE, "no rows are open");
        if (conn->cur.buffered) {
                if (conn->cur.i_rows == conn->cur.rows.size)
                        return DAL_OK;
                take_row(conn);
        } else if (conn->cur.done) {
                return DAL_OK;
        } else {
                dal_status s = fill_cells(conn, err);

                conn->cur.row_ready = false;
                if (s)
                        return s;
        }
        *cells_out = conn->cur.cells;
        return DAL_OK;
}

/* There is no further row: the end, or a failure. */
DAL_NOINLINE static dal_status end_rows(dal__sqlite_conn *conn, int rc, dal_error *err)
{
        dal_status s;

        if (rc == SQLITE_DONE) {
                /* Only a reset gives the read lock up. The column names stay. */
                (void)sqlite3_reset(conn->cur.handle);
                conn->cur.done = true;
                return DAL_OK;
        }
        s = dal__sqlite_fail(conn, rc, err);
        conn->failed_flush = conn->cur.flush;
        dal__sqlite_cursor_close(conn);
        return s;
}

dal_status dal__sqlite_fetch(void *state, dal_deadline deadline, const dal_value **cells_out, dal_error *err)
{
        dal__sqlite_conn *conn = state;
        dal_status s;
        int rc;

        *cells_out = NULL;
        if (!conn->cur.handle || (conn->cur.buffered | conn->cur.done | conn->cur.row_ready))
                return fetch_kept(conn, cells_out, err);
        conn->deadline = deadline;
        rc = sqlite3_step(conn->cur.handle);
        if (rc != SQLITE_ROW)
                return end_rows(conn, rc, err);
        s = fill_cells(conn, err);
        if (s == DAL_OK)
                *cells_out = conn->cur.cells;
        return s;
}

/* ---- a write that returns rows ---- */

/* Appends the current row: its cells, then the bytes they point to. */
static dal_status keep_row(dal__sqlite_conn *conn, dal_error *err)
{
        dal__sqlite_bytes *rows = &conn->cur.rows;
        size_t head = conn->cur.n_columns * sizeof(dal_value);
        size_t size = head;
        char *to;

        for (uint32_t i = 0; i < conn->cur.n_columns; i++)
                if (is_span(&conn->cur.cells[i]))
                        size += conn->cur.cells[i].as.span.size;
        if (!dal__sqlite_bytes_reserve(rows, rows->size + size))
                return dal__sqlite_no_memory(err);
        memcpy(rows->data + rows->size, conn->cur.cells, head);
        to = rows->data + rows->size + head;
        for (uint32_t i = 0; i < conn->cur.n_columns; i++) {
                const dal_value *cell = &conn->cur.cells[i];

                if (!is_span(cell) || cell->as.span.size == 0)
                        continue;
                memcpy(to, cell->as.span.ptr, cell->as.span.size);
                to += cell->as.span.size;
        }
        rows->size += size;
        return DAL_OK;
}

/*
 * Runs INSERT ... RETURNING and the like to its end before the first row is delivered. Outside a transaction the
 * last step commits: were it left to the fetching, a commit that fails would go unnoticed.
 */
dal_status dal__sqlite_keep_rows(dal__sqlite_conn *conn, int *rc_out, dal_error *err)
{
        dal_status s = DAL_OK;

        conn->cur.rows.size = 0;
        conn->cur.i_rows = 0;
        while (*rc_out == SQLITE_ROW && s == DAL_OK) {
                s = dal__sqlite_fill_cells(conn, err);
                if (s == DAL_OK)
                        s = keep_row(conn, err);
                if (s == DAL_OK)
                        *rc_out = sqlite3_step(conn->cur.handle);
        }
        conn->cur.buffered = true;
        return s;
}
