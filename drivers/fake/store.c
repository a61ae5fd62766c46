/* SPDX-License-Identifier: MIT */
/* The storage for handlers: rows with versions, locks and undo. */

#include <string.h>

#include "fake_impl.h"

/* --- Tuples -------------------------------------------------------------------------------------------- */

static bool is_span(const dal_value *v)
{
        return v->type == DAL_TYPE_TEXT || v->type == DAL_TYPE_BYTES || v->type == DAL_TYPE_DECIMAL ||
               v->type == DAL_TYPE_OTHER;
}

fake_tuple *dal__fake_tuple_new(dal_params cells)
{
        size_t size = sizeof(fake_tuple) + cells.n_values * sizeof(dal_value);
        fake_tuple *tuple;
        char *end;

        for (size_t i = 0; i < cells.n_values; i++)
                size += is_span(&cells.values[i]) ? cells.values[i].as.span.size : 0;
        tuple = dal_mem_alloc(size);
        if (!tuple)
                return NULL;
        tuple->n_refs = 1;
        tuple->n_cells = (uint32_t)cells.n_values;
        end = (char *)&tuple->cells[cells.n_values];
        for (size_t i = 0; i < cells.n_values; i++) {
                dal_value *cell = &tuple->cells[i];
                *cell = cells.values[i];
                if (!is_span(cell))
                        continue;
                memcpy(end, cell->as.span.ptr, cell->as.span.size);
                cell->as.span.ptr = end;
                end += cell->as.span.size;
        }
        return tuple;
}

void dal__fake_tuple_drop_locked(fake_tuple *tuple)
{
        if (tuple && --tuple->n_refs == 0)
                dal_mem_free(tuple);
}

static fake_tuple *tuple_share_locked(fake_tuple *tuple)
{
        if (tuple)
                tuple->n_refs++;
        return tuple;
}

/* --- Rows ---------------------------------------------------------------------------------------------- */

/* The index of the first row not before (table, key). */
static size_t row_position(const dal_fake_server *server, const char *table, int64_t key)
{
        size_t low = 0, high = server->n_rows;

        while (low < high) {
                size_t middle = low + (high - low) / 2;
                const fake_row *row = server->rows[middle];
                int order = strcmp(row->table, table);
                if (order < 0 || (order == 0 && row->key < key))
                        low = middle + 1;
                else
                        high = middle;
        }
        return low;
}

static fake_row *row_find(const dal_fake_server *server, const char *table, int64_t key)
{
        size_t i = row_position(server, table, key);

        if (i < server->n_rows && server->rows[i]->key == key && strcmp(server->rows[i]->table, table) == 0)
                return server->rows[i];
        return NULL;
}

static fake_row *row_add(dal_fake_server *server, const char *table, int64_t key)
{
        size_t i = row_position(server, table, key);
        fake_row *row;

        if (server->n_rows == server->rows_room) {
                size_t room = server->rows_room ? server->rows_room * 2 : 64;
                fake_row **rows = dal_mem_resize(server->rows, room, sizeof(fake_row *));
                if (!rows)
                        return NULL;
                server->rows = rows;
                server->rows_room = room;
        }
        row = dal_mem_alloc(sizeof *row);
        if (!row)
                return NULL;
        row->table = dal_mem_strdup(table, strlen(table));
        if (!row->table) {
                dal_mem_free(row);
                return NULL;
        }
        row->key = key;
        memmove(&server->rows[i + 1], &server->rows[i], (server->n_rows - i) * sizeof(fake_row *));
        server->rows[i] = row;
        server->n_rows++;
        return row;
}

static void row_remove(dal_fake_server *server, fake_row *row)
{
        size_t i = row_position(server, row->table, row->key);

        server->n_rows--;
        memmove(&server->rows[i], &server->rows[i + 1], (server->n_rows - i) * sizeof(fake_row *));
        dal_mem_free(row->table);
        dal_mem_free(row);
}

static const fake_tuple *visible(const fake_conn *conn, const fake_row *row)
{
        return row->owner == conn ? row->now : row->committed;
}

/* --- Locks --------------------------------------------------------------------------------------------- */

/* Would waiting for `owner` close a circle? */
static bool is_deadlock(const fake_conn *conn, const fake_conn *owner)
{
        while (owner && owner != conn)
                owner = owner->waits_for;
        return owner == conn;
}

static void fail(dal_fake_call *call, dal_error_class error_class, const char *what)
{
        dal__fake_error(call->conn, &call->error, error_class, what);
        call->failed = true;
}

/* Locks a row; *row_out is NULL when it went away while waiting or never was. */
static bool lock_row_locked(dal_fake_call *call, const char *table, int64_t key, fake_row **row_out)
{
        fake_conn *conn = call->conn;
        dal_deadline lock_end = conn->lock_ms > 0 ? dal_clock_after_ms(conn->lock_ms) : DAL_FOREVER;
        fake_row *row;

        while ((row = row_find(conn->server, table, key)) && row->owner && row->owner != conn) {
                dal_status s;
                if (is_deadlock(conn, row->owner)) {
                        fail(call, DAL_CLASS_DEADLOCK, NULL);
                        return false;
                }
                if (dal_clock_passed(lock_end)) {
                        fail(call, DAL_CLASS_LOCK_TIMEOUT, NULL);
                        return false;
                }
                conn->waits_for = row->owner;
                s = dal__fake_wait_locked(conn, lock_end, true, call->deadline, &call->error);
                conn->waits_for = NULL;
                if (s != DAL_OK) {
                        call->failed = true;
                        return false;
                }
        }
        *row_out = row;
        if (!row)
                return true;
        if (row->version > conn->snapshot && conn->in_tx &&
            (conn->isolation == DAL_ISOLATION_REPEATABLE_READ ||
             conn->isolation == DAL_ISOLATION_SERIALIZABLE)) {
                fail(call, DAL_CLASS_SERIALIZATION, NULL);
                return false;
        }
        return true;
}

/* Puts a new version into a row this session may write; takes over `next`. */
static bool write_row_locked(dal_fake_call *call, fake_row *row, fake_tuple *next)
{
        fake_conn *conn = call->conn;

        if (conn->n_undos == conn->undos_room) {
                size_t room = conn->undos_room ? conn->undos_room * 2 : 16;
                fake_undo *undos = dal_mem_resize(conn->undos, room, sizeof *undos);
                if (!undos) {
                        dal__fake_tuple_drop_locked(next);
                        if (!row->owner && !row->now && !row->committed)
                                row_remove(conn->server, row);
                        fail(call, DAL_CLASS_NO_MEMORY, NULL);
                        return false;
                }
                conn->undos = undos;
                conn->undos_room = room;
        }
        conn->undos[conn->n_undos++] = (fake_undo){row, row->now}; /* takes over the reference */
        row->now = next;
        row->owner = conn;
        return true;
}

/* The lock of a row is let go, and the row with it when nobody can see it any more. */
static void release_row_locked(fake_conn *conn, fake_row *row)
{
        row->owner = NULL;
        if (!row->now && !row->committed)
                row_remove(conn->server, row);
}

void dal__fake_store_commit_locked(fake_conn *conn)
{
        uint64_t version = ++conn->server->n_versions;

        /* Newest first: a row's first undo, met last, is the one that lets it go. */
        while (conn->n_undos > 0) {
                fake_undo undo = conn->undos[--conn->n_undos];
                bool again = false;
                dal__fake_tuple_drop_locked(undo.before);
                for (size_t i = 0; i < conn->n_undos && !again; i++)
                        again = conn->undos[i].row == undo.row;
                if (again)
                        continue;
                dal__fake_tuple_drop_locked(undo.row->committed);
                undo.row->committed = tuple_share_locked(undo.row->now);
                undo.row->version = version;
                release_row_locked(conn, undo.row);
        }
        pthread_cond_broadcast(&conn->server->changed);
}

void dal__fake_store_rollback_locked(fake_conn *conn, size_t n_undos_kept)
{
        while (conn->n_undos > n_undos_kept) {
                fake_undo undo = conn->undos[--conn->n_undos];
                bool again = false;
                dal__fake_tuple_drop_locked(undo.row->now);
                undo.row->now = undo.before;
                for (size_t i = 0; i < conn->n_undos && !again; i++)
                        again = conn->undos[i].row == undo.row;
                if (!again)
                        release_row_locked(conn, undo.row);
        }
        pthread_cond_broadcast(&conn->server->changed);
}

/* --- What handlers call -------------------------------------------------------------------------------- */

static bool may_write(dal_fake_call *call)
{
        if (!call->failed && call->conn->read_only)
                fail(call, DAL_CLASS_READ_ONLY_TX, NULL);
        return !call->failed;
}

static bool insert_locked(dal_fake_call *call, const char *table, int64_t key, fake_tuple *next)
{
        dal_fake_server *server = call->conn->server;
        fake_row *row;

        if (!lock_row_locked(call, table, key, &row)) {
                dal__fake_tuple_drop_locked(next);
                return false;
        }
        if (row && row->now) {
                dal__fake_tuple_drop_locked(next);
                fail(call, DAL_CLASS_UNIQUE, table);
                return false;
        }
        if (!row)
                row = row_add(server, table, key);
        if (!row) {
                dal__fake_tuple_drop_locked(next);
                fail(call, DAL_CLASS_NO_MEMORY, NULL);
                return false;
        }
        return write_row_locked(call, row, next);
}

bool dal_fake_store_insert(dal_fake_call *call, const char *table, int64_t key, dal_params cells)
{
        fake_tuple *next;
        bool ok;

        if (!may_write(call))
                return false;
        next = dal__fake_tuple_new(cells);
        if (!next) {
                fail(call, DAL_CLASS_NO_MEMORY, NULL);
                return false;
        }
        pthread_mutex_lock(&call->conn->server->lock);
        ok = insert_locked(call, table, key, next);
        pthread_mutex_unlock(&call->conn->server->lock);
        return ok;
}

/* Replaces a row by `next`, which it takes over; NULL deletes. */
static bool replace(dal_fake_call *call, const char *table, int64_t key, fake_tuple *next, bool *found_out)
{
        fake_row *row;
        bool ok;

        pthread_mutex_lock(&call->conn->server->lock);
        ok = lock_row_locked(call, table, key, &row);
        *found_out = ok && row && row->now;
        if (*found_out)
                ok = write_row_locked(call, row, next);
        else
                dal__fake_tuple_drop_locked(next);
        pthread_mutex_unlock(&call->conn->server->lock);
        return ok;
}

bool dal_fake_store_update(dal_fake_call *call, const char *table, int64_t key, dal_params cells,
                           bool *found_out)
{
        fake_tuple *next;

        *found_out = false;
        if (!may_write(call))
                return false;
        next = dal__fake_tuple_new(cells);
        if (!next) {
                fail(call, DAL_CLASS_NO_MEMORY, NULL);
                return false;
        }
        return replace(call, table, key, next, found_out);
}

bool dal_fake_store_delete(dal_fake_call *call, const char *table, int64_t key, bool *found_out)
{
        *found_out = false;
        return may_write(call) && replace(call, table, key, NULL, found_out);
}

/* Holds what is lent to the handler until its next store call, whatever other sessions do meanwhile. */
static void hold_locked(dal_fake_call *call, const fake_row *row)
{
        dal__fake_tuple_drop_locked(call->held);
        call->held = row ? tuple_share_locked(row->owner == call->conn ? row->now : row->committed) : NULL;
}

bool dal_fake_store_get(dal_fake_call *call, const char *table, int64_t key, bool for_update,
                        const dal_value **cells_out, bool *found_out)
{
        fake_row *row = NULL;
        bool ok = true;

        *cells_out = NULL;
        *found_out = false;
        if (call->failed)
                return false;
        pthread_mutex_lock(&call->conn->server->lock);
        if (!for_update) {
                row = row_find(call->conn->server, table, key);
        } else {
                ok = lock_row_locked(call, table, key, &row);
                if (ok && row && row->now)
                        ok = write_row_locked(call, row, tuple_share_locked(row->now));
        }
        if (ok) {
                hold_locked(call, row);
                *found_out = call->held != NULL;
                *cells_out = call->held ? call->held->cells : NULL;
        }
        pthread_mutex_unlock(&call->conn->server->lock);
        return ok;
}

/* Counts what the session sees of a table, and adds it to the answer if asked. */
static bool scan(dal_fake_call *call, const char *table, int64_t from, int64_t to, bool add,
                 int64_t *n_rows_out)
{
        dal_fake_server *server = call->conn->server;
        int64_t n = 0;

        if (call->failed)
                return false;
        pthread_mutex_lock(&server->lock);
        for (size_t i = row_position(server, table, from); i < server->n_rows; i++) {
                const fake_row *row = server->rows[i];
                const fake_tuple *seen = visible(call->conn, row);
                if (row->key > to || strcmp(row->table, table) != 0)
                        break;
                if (!seen)
                        continue;
                if (add)
                        dal_fake_call_row(call, (dal_params){seen->cells, seen->n_cells});
                n++;
        }
        pthread_mutex_unlock(&server->lock);
        if (n_rows_out)
                *n_rows_out = n;
        return !call->failed;
}

bool dal_fake_store_count(dal_fake_call *call, const char *table, int64_t from, int64_t to,
                          int64_t *n_rows_out)
{
        return scan(call, table, from, to, false, n_rows_out);
}

bool dal_fake_store_select(dal_fake_call *call, const char *table, int64_t from, int64_t to,
                           int64_t *n_rows_out)
{
        return scan(call, table, from, to, true, n_rows_out);
}

bool dal_fake_peek(dal_fake_server *server, const char *table, int64_t key, int64_t *first_cell_out)
{
        const fake_row *row;
        bool found;

        pthread_mutex_lock(&server->lock);
        row = row_find(server, table, key);
        found = row && row->committed && row->committed->n_cells > 0 &&
                row->committed->cells[0].type == DAL_TYPE_INT64;
        if (found)
                *first_cell_out = row->committed->cells[0].as.int64;
        pthread_mutex_unlock(&server->lock);
        return found;
}
