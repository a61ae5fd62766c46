/* SPDX-License-Identifier: MIT */
/* Results set aside: several cursors of one connection, each with a statement of its own. */
#include <string.h>

#include "sqlite_impl.h"

void dal__sqlite_give_back(dal__sqlite_cursor *cur)
{
        dal__sqlite_stmt *owner = cur->owner;

        cur->owner = NULL;
        if (!owner || owner->handle) {
                (void)sqlite3_finalize(cur->handle);
                return;
        }
        (void)sqlite3_reset(cur->handle);
        owner->handle = cur->handle;
}

void dal__sqlite_forget_owner(dal__sqlite_conn *conn, const dal__sqlite_stmt *stmt)
{
        if (conn->cur.owner == stmt)
                conn->cur.owner = NULL;
        for (dal__sqlite_aside *aside = conn->asides; aside; aside = aside->next)
                if (aside->cur.owner == stmt)
                        aside->cur.owner = NULL;
}

/*
 * The handle goes with the result from here on, so that the statement may be run again, evicted or closed meanwhile. The
 * kinds move from the statement to the result; there is room, see dal__sqlite_swap().
 */
static void take_along(dal__sqlite_cursor *cur)
{
        dal__sqlite_stmt *stmt = cur->stmt;

        if (!cur->handle || !stmt)
                return;
        if (cur->kinds == stmt->kinds) {
                memcpy(cur->wide_kinds, stmt->kinds, cur->n_columns * sizeof *stmt->kinds);
                cur->kinds = cur->wide_kinds;
        }
        stmt->handle = NULL;
        cur->stmt = NULL;
        cur->owner = stmt;
}

dal_status dal__sqlite_swap(void *state, void *memory, dal_error *err)
{
        dal__sqlite_conn *conn = state;
        dal__sqlite_aside *aside = memory, now;

        if (!dal__sqlite_reserve_kinds(&conn->cur, DAL__SQLITE_KINDS_KEPT) ||
            !dal__sqlite_reserve_kinds(&aside->cur, DAL__SQLITE_KINDS_KEPT))
                return dal__sqlite_no_memory(err);
        if (!aside->linked) {
                aside->linked = true;
                aside->next = conn->asides;
                conn->asides = aside;
        }
        take_along(&conn->cur);
        now = *aside;
        aside->cur = conn->cur;
        aside->statement_deadline = conn->statement_deadline;
        aside->lock_deadline = conn->lock_deadline;
        aside->stop = conn->stop;
        aside->may_interrupt = conn->may_interrupt;
        conn->cur = now.cur;
        conn->statement_deadline = now.statement_deadline;
        conn->lock_deadline = now.lock_deadline;
        conn->stop = now.stop;
        conn->may_interrupt = now.may_interrupt;
        return DAL_OK;
}

void dal__sqlite_drop(void *state, void *memory)
{
        dal__sqlite_conn *conn = state;
        dal__sqlite_aside *aside = memory, **link = &conn->asides;

        if (aside->cur.handle)
                dal__sqlite_give_back(&aside->cur);
        while (*link && *link != aside)
                link = &(*link)->next;
        if (*link)
                *link = aside->next;
        dal_mem_free(aside->cur.wide_kinds);
        dal_mem_free(aside->cur.cells);
        dal_mem_free(aside->cur.bound.data);
        dal_mem_free(aside->cur.rows.data);
        memset(aside, 0, sizeof *aside);
}
