/* SPDX-License-Identifier: MIT */
/*
 * Several cursors on one connection, where the driver can set results aside. The first is the connection's own; while
 * any is open, the rows of a further statement get a cursor of their own, made here. Between two calls the driver's
 * current result is always the first one's: the way of a single cursor knows nothing of all this.
 */
#include "conn/conn_state.h"

#include <stdalign.h>
#include <string.h>

#include <dal/mem.h>

#define MAX_FURTHER (DAL_ROWS_MAX_OPEN - 1)

typedef enum state {
        STATE_FREE,
        STATE_ENDED, /* not closed by its user */
        STATE_OPEN
} state;

struct dal__conn_cursor {
        dal_rows rows;
        dal_conn *conn;
        dal__conn_cursor *next;
        void *aside; /* the driver's part, behind this structure */
        dal_deadline deadline;
        state state;
        bool complete; /* as dal_conn.rows_complete */
        bool failed;   /* ended before its end */
        bool wrote;    /* as dal_conn.wrote, outside a transaction */
};

/* ---- the driver's part ------------------------------------------------------------------------------------------ */

/* Only the first time something is set aside this can fail. */
static dal_status swap(dal__conn_cursor *cursor, dal_error *err)
{
        dal_conn *conn = cursor->conn;

        return conn->driver->swap(conn->state, cursor->aside, err);
}

static void update_open(dal_conn *conn)
{
        conn->effects &= (uint8_t)~DAL__EFFECT_CURSORS;
        for (const dal__conn_cursor *cursor = conn->cursors; cursor; cursor = cursor->next)
                if (cursor->state == STATE_OPEN)
                        conn->effects |= DAL__EFFECT_CURSORS;
}

/* Drops what was not read. A failure that it still had spoils the transaction. */
static void end(dal__conn_cursor *cursor)
{
        dal_conn *conn = cursor->conn;

        if (!conn->broken) {
                (void)!swap(cursor, NULL);
                if (conn->driver->discard(conn->state, cursor->deadline, &conn->scratch))
                        dal__conn_fail_discard(conn);
                (void)!swap(cursor, NULL);
        }
        cursor->rows.cells = cursor->rows.first = NULL;
        cursor->state = STATE_ENDED;
}

/* ---- what the cursor's user calls ------------------------------------------------------------------------------- */

static dal_status fail(dal__conn_cursor *cursor, dal_error *failure)
{
        dal_conn *conn = cursor->conn;
        bool wrote = conn->wrote;

        if (!conn->in_tx)
                conn->wrote = cursor->wrote;
        dal__conn_fail_row(conn, failure);
        conn->wrote = wrote;
        cursor->failed = true;
        end(cursor);
        update_open(conn);
        if (failure->tx_gone)
                dal__conn_finish_rows(conn);
        return failure->status;
}

static dal_status next_row(dal_rows *rows, bool *found_out, dal_error *err)
{
        dal__conn_cursor *cursor = rows->source;
        dal_conn *conn = cursor->conn;
        dal_error *failure = err ? err : &conn->scratch;
        dal_status s = DAL_OK;

        rows->cells = NULL;
        *found_out = false;
        if (cursor->state != STATE_OPEN)
                return cursor->failed ? dal__conn_refuse_rows(conn, err) : DAL_OK;
        if (dal__conn_is_forked(conn))
                return dal__conn_refuse_forked(conn, err);
        if (!cursor->complete) {
                (void)!swap(cursor, NULL);
                s = conn->driver->fetch(conn->state, cursor->deadline, &rows->cells, failure);
                (void)!swap(cursor, NULL);
        }
        if (s)
                return fail(cursor, failure);
        *found_out = rows->cells != NULL;
        if (!*found_out) {
                cursor->state = STATE_ENDED;
                update_open(conn);
        }
        return DAL_OK;
}

static void close_rows(dal_rows *rows)
{
        dal__conn_cursor *cursor = rows->source;

        if (cursor->state == STATE_FREE || dal__conn_is_forked(cursor->conn))
                return;
        /* Closed twice, or by whom it doesn't belong to any more: nobody takes that for the end of the rows. */
        cursor->failed = cursor->state == STATE_OPEN;
        end(cursor);
        cursor->state = STATE_FREE;
        update_open(cursor->conn);
}

static const char *column_name(const dal_rows *rows, uint32_t i_column)
{
        dal__conn_cursor *cursor = rows->source;
        dal_conn *conn = cursor->conn;
        const char *name;

        if (dal__conn_is_forked(conn))
                return NULL;
        (void)!swap(cursor, NULL);
        name = conn->driver->column(conn->state, i_column);
        (void)!swap(cursor, NULL);
        return name;
}

/* ---- windows ---------------------------------------------------------------------------------------------------- */

bool dal__conn_has_windows(const dal_conn *conn)
{
        return (conn->driver->caps & DAL_CAP_CURSORS) && !conn->flight && !conn->awaiting &&
               !dal__conn_is_forked(conn);
}

static dal__conn_cursor *make_cursor(dal_conn *conn, dal_error *err)
{
        size_t header = (sizeof(dal__conn_cursor) + alignof(max_align_t) - 1) / alignof(max_align_t) *
                        alignof(max_align_t);
        dal__conn_cursor *cursor = dal_mem_alloc(header + conn->driver->aside_size);

        if (!cursor) {
                (void)dal__conn_refuse(conn, DAL_CLASS_NO_MEMORY, "out of memory for a further cursor", err);
                return NULL;
        }
        cursor->rows.next = next_row;
        cursor->rows.close = close_rows;
        cursor->rows.column = column_name;
        cursor->rows.source = cursor;
        cursor->conn = conn;
        cursor->aside = (char *)cursor + header;
        cursor->next = conn->cursors;
        conn->cursors = cursor;
        return cursor;
}

/* One that nobody has, or a new one, or at last one that was read to its end. */
static dal__conn_cursor *take_cursor(dal_conn *conn, bool for_rows, dal_error *err)
{
        dal__conn_cursor *unused = NULL, *ended = NULL;
        unsigned n_used = 0;

        for (dal__conn_cursor *cursor = conn->cursors; cursor; cursor = cursor->next) {
                n_used += cursor->state != STATE_FREE;
                if (cursor->state == STATE_FREE)
                        unused = cursor;
                else if (cursor->state == STATE_ENDED)
                        ended = cursor;
        }
        /* What is run for its count needs a place as well, but a moment only. */
        if (for_rows && n_used >= MAX_FURTHER) {
                if (!ended)
                        (void)dal__conn_refuse(conn, DAL_CLASS_BUSY,
                                               "too many cursors are open on this connection: close one, or "
                                               "read it to its end, first",
                                               err);
                return ended;
        }
        return unused ? unused : make_cursor(conn, err);
}

dal_status dal__conn_open_window(dal_conn *conn, bool for_rows, dal__conn_window *window, dal_error *err)
{
        dal_error local = DAL_ERROR_INIT;
        dal__conn_cursor *cursor = take_cursor(conn, for_rows, &local);

        if (cursor && cursor->state == STATE_ENDED)
                close_rows(&cursor->rows);
        if (cursor && swap(cursor, &local)) {
                (void)dal__conn_refuse(conn, DAL_CLASS_NO_MEMORY, "out of memory for a further cursor",
                                       &local);
                cursor = NULL;
        }
        if (!cursor) {
                if (err)
                        *err = local;
                return local.status;
        }
        window->cursor = cursor;
        window->rows = conn->rows;
        window->rows_deadline = conn->rows_deadline;
        window->rows_open = conn->rows_open;
        window->rows_complete = conn->rows_complete;
        window->rows_failed = conn->rows_failed;
        window->wrote = conn->wrote;
        conn->rows_open = false;
        conn->effects &= (uint8_t)~DAL__EFFECT_CURSORS;
        return DAL_OK;
}

/* Reads what nobody wants but its number. */
static dal_status count_rows(dal_conn *conn, dal_result *result, dal_error *err)
{
        int64_t n = conn->rows.first != NULL;
        dal_status s;
        bool found;

        while ((s = conn->rows.next(&conn->rows, &found, err)) == DAL_OK && found)
                n++;
        if (result->n_rows == 0)
                result->n_rows = n;
        result->has_rows = false;
        return s;
}

/* Makes the window's result the cursor's. */
static void keep_rows(dal_conn *conn, dal__conn_cursor *cursor)
{
        cursor->rows.cells = NULL;
        cursor->rows.first = conn->rows.first;
        cursor->rows.n_columns = conn->rows.n_columns;
        cursor->rows.shard = DAL_NO_SHARD;
        cursor->deadline = conn->rows_deadline;
        cursor->complete = conn->rows_complete;
        cursor->failed = false;
        cursor->state = conn->rows_open ? STATE_OPEN : STATE_ENDED;
}

dal_status dal__conn_close_window(dal_conn *conn, dal__conn_window *window, dal_status s, dal_result *result,
                                  dal_deadline deadline, dal_rows **rows_out, dal_error *err)
{
        dal__conn_cursor *cursor = window->cursor;

        if (s == DAL_OK) {
                (void)dal__conn_open_rows(conn, result, deadline);
                if (rows_out)
                        keep_rows(conn, cursor);
                else if (result->has_rows)
                        s = count_rows(conn, result, err);
        }
        conn->rows = window->rows;
        conn->rows_deadline = window->rows_deadline;
        conn->rows_open = window->rows_open;
        conn->rows_complete = window->rows_complete;
        conn->rows_failed = window->rows_failed;
        cursor->wrote = conn->wrote;
        if (!conn->in_tx)
                conn->wrote = window->wrote;
        (void)!swap(cursor, NULL);
        if (s == DAL_OK && rows_out) {
                *rows_out = &cursor->rows;
        } else {
                cursor->deadline = deadline;
                end(cursor);
                cursor->state = STATE_FREE;
        }
        update_open(conn);
        /* SQLite goes on reading behind a rollback of its own, from another state of the database. */
        if (s && conn->tx_failed && conn->tx_failure.tx_gone)
                dal__conn_finish_rows(conn);
        return s;
}

void dal__conn_end_cursors(dal_conn *conn)
{
        if (dal__conn_is_forked(conn))
                return;
        for (dal__conn_cursor *cursor = conn->cursors; cursor; cursor = cursor->next) {
                if (cursor->state != STATE_OPEN)
                        continue;
                cursor->failed = true;
                end(cursor);
        }
        update_open(conn);
}

void dal__conn_free_cursors(dal_conn *conn)
{
        dal__conn_cursor *cursor;

        while ((cursor = conn->cursors) != NULL) {
                conn->cursors = cursor->next;
                conn->driver->drop(conn->state, cursor->aside);
                dal_mem_free(cursor);
        }
}
