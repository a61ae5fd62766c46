/* SPDX-License-Identifier: MIT */
/*
 * Ordered merge. Every shard's next row lies in its own cursor; a heap of them has the smallest on top. The row that was
 * delivered last came from the cursor that is moved on next, so one copy of its key is all that is needed to see whether
 * that shard's rows are in order.
 */

#include "shard/fanout_impl.h"

#include <string.h>

#include <dal/mem.h>

#include "shard/fanout_compare.h"
#include "sql/params.h"

/* ---- order -------------------------------------------------------------------------------------------------------------- */

static int compare_nulls(const dal_fanout_column *column, bool a_is_null, bool b_is_null)
{
        if (a_is_null == b_is_null)
                return 0;
        return a_is_null == column->nulls_first ? -1 : 1;
}

/* Compares cells by column k of the order; false if they can't be. */
static bool compare_column(const dal_fanout_column *column, const dal_value *a, const dal_value *b,
                           int *order_out)
{
        bool a_is_null = a->type == DAL_TYPE_NULL, b_is_null = b->type == DAL_TYPE_NULL;

        if (a_is_null || b_is_null) {
                *order_out = compare_nulls(column, a_is_null, b_is_null);
                return true;
        }
        if (!dal__fanout_compare(a, b, order_out))
                return false;
        if (column->descending)
                *order_out = (*order_out < 0) - (*order_out > 0);
        return true;
}

/* The first failure stays; the heap is of no use then. */
DAL_COLD static void note_incomparable(dal__fanout *fanout, uint32_t i_column, const dal__fanout_leg *a,
                                       const dal__fanout_leg *b)
{
        const dal_value *x = &a->cells[i_column], *y = &b->cells[i_column];

        if (fanout->failure.status)
                return;
        dal_error_set(
                &fanout->failure, DAL_CLASS_WRONG_TYPE,
                "%s: column \"%s\" is %s on shard %u and %s on shard %u, which have no common order: cast "
                "it to one type in the statement",
                fanout->stmt->name, fanout->names[i_column], dal_value_type_name((dal_type)x->type),
                a->number, dal_value_type_name((dal_type)y->type), b->number);
        fanout->failure.shard = b->number;
}

/* Says whether leg i's row comes before leg j's. */
static bool is_before(dal__fanout *fanout, uint32_t i, uint32_t j)
{
        const dal__fanout_leg *a = &fanout->legs[i], *b = &fanout->legs[j];

        for (size_t k = 0; k < fanout->options.n_columns; k++) {
                const dal_fanout_column *column = &fanout->columns[k];
                int order = 0;

                if (!compare_column(column, &a->cells[column->i_column], &b->cells[column->i_column], &order))
                        note_incomparable(fanout, column->i_column, a, b);
                if (order != 0)
                        return order < 0;
        }
        return i < j; /* the legs are in order of number */
}

/* ---- the heap ------------------------------------------------------------------------------------------------------------ */

static void sift_down(dal__fanout *fanout, uint32_t at)
{
        uint32_t *heap = fanout->heap, leg = heap[at];

        for (;;) {
                uint32_t child = 2 * at + 1;

                if (child >= fanout->n_heap)
                        break;
                if (child + 1 < fanout->n_heap && is_before(fanout, heap[child + 1], heap[child]))
                        child++;
                if (is_before(fanout, leg, heap[child]))
                        break;
                heap[at] = heap[child];
                at = child;
        }
        heap[at] = leg;
}

static void build_heap(dal__fanout *fanout)
{
        fanout->n_heap = 0;
        for (uint32_t i = 0; i < fanout->n_legs; i++)
                if (fanout->legs[i].cells)
                        fanout->heap[fanout->n_heap++] = i;
        for (uint32_t at = fanout->n_heap / 2; at-- > 0;)
                sift_down(fanout, at);
}

/* ---- is it sorted? -------------------------------------------------------------------------------------------------------- */

/* Copies what the current row is ordered by, as its cells go with the next fetch. */
static dal_status keep_key(dal__fanout *fanout, const dal_value *cells, dal_error *err)
{
        size_t size = 0;
        char *at;

        for (size_t k = 0; k < fanout->options.n_columns; k++) {
                const dal_value *cell = &cells[fanout->columns[k].i_column];

                size += dal__params_has_span(cell) ? cell->as.span.size : 0;
        }
        if (size > fanout->key_room) {
                char *grown = dal_mem_resize(fanout->key_bytes, size + size / 2, 1);

                if (!grown)
                        return dal_error_set(err, DAL_CLASS_NO_MEMORY,
                                             "out of memory for the %zu bytes that a row is ordered by",
                                             size);
                fanout->key_bytes = grown;
                fanout->key_room = size + size / 2;
        }
        at = fanout->key_bytes;
        for (size_t k = 0; k < fanout->options.n_columns; k++) {
                dal_value *key = &fanout->key[k];

                *key = cells[fanout->columns[k].i_column];
                if (!dal__params_has_span(key) || key->as.span.size == 0)
                        continue;
                memcpy(at, key->as.span.ptr, key->as.span.size);
                key->as.span.ptr = at;
                at += key->as.span.size;
        }
        return DAL_OK;
}

DAL_COLD static dal_status unsorted(const dal__fanout *fanout, const dal__fanout_leg *leg, size_t k,
                                    bool comparable, dal_error *err)
{
        const dal_fanout_column *column = &fanout->columns[k];
        const dal_value *cell = &leg->cells[column->i_column], *key = &fanout->key[k];
        const char *name = fanout->names[column->i_column];

        if (!comparable)
                dal_error_set(err, DAL_CLASS_WRONG_TYPE,
                              "%s: column \"%s\" of shard %u is %s in one row and %s in the next, which have "
                              "no common order: cast it to one type in the statement",
                              fanout->stmt->name, name, leg->number, dal_value_type_name((dal_type)key->type),
                              dal_value_type_name((dal_type)cell->type));
        else
                dal_error_set(
                        err, DAL_CLASS_DATA,
                        "%s: the rows of shard %u are not in the order of column \"%s\"%s that the merge was "
                        "told: %s",
                        fanout->stmt->name, leg->number, name, column->descending ? " descending" : "",
                        cell->type == DAL_TYPE_NULL || key->type == DAL_TYPE_NULL
                                ? "say NULLS FIRST or LAST alike in ORDER BY and in nulls_first"
                        : cell->type == DAL_TYPE_TEXT
                                ? "its ORDER BY must say the same, and compare text by its bytes: COLLATE "
                                  "\"C\", utf8mb4_0900_bin, utf8mb4_nopad_bin or BINARY"
                                : "its ORDER BY must say the same");
        if (err)
                err->shard = leg->number;
        return DAL_ERR_RANGE;
}

/* Compares the leg's new row with the one before it. */
static dal_status check_sorted(const dal__fanout *fanout, const dal__fanout_leg *leg, dal_error *err)
{
        for (size_t k = 0; k < fanout->options.n_columns; k++) {
                const dal_fanout_column *column = &fanout->columns[k];
                int order = 0;
                bool comparable =
                        compare_column(column, &fanout->key[k], &leg->cells[column->i_column], &order);

                if (!comparable || order > 0)
                        return unsorted(fanout, leg, k, comparable, err);
                if (order < 0)
                        return DAL_OK;
        }
        return DAL_OK;
}

/* ---- rows ----------------------------------------------------------------------------------------------------------------- */

static dal_status find_column(const dal__fanout *fanout, dal_fanout_column *column, dal_error *err)
{
        uint32_t n = fanout->rows.n_columns;

        if (column->name) {
                for (column->i_column = 0; column->i_column < n; column->i_column++)
                        if (strcmp(fanout->names[column->i_column], column->name) == 0)
                                return DAL_OK;
                return dal_error_set(err, DAL_CLASS_ARGUMENT,
                                     "%s: the result has no column \"%s\" to merge by", fanout->stmt->name,
                                     column->name);
        }
        if (column->i_column < n)
                return DAL_OK;
        return dal_error_set(err, DAL_CLASS_ARGUMENT,
                             "%s: there is no column %u to merge by: the result has %u, counted from 0",
                             fanout->stmt->name, column->i_column, n);
}

static dal_status first_row(dal__fanout *fanout, dal__fanout_leg *leg, dal_error *err)
{
        bool is_first = fanout->names == NULL;
        dal_status s = dal__fanout_take(fanout, leg, err);

        for (size_t k = 0; s == DAL_OK && is_first && k < fanout->options.n_columns; k++)
                s = find_column(fanout, &fanout->columns[k], err);
        return s;
}

dal_status dal__fanout_gather(dal__fanout *fanout, dal_error *err)
{
        uint32_t i = 0;
        dal_status s;

        while ((s = dal__fanout_wait(fanout, i, fanout->n_legs, &i, err)) == DAL_OK && i < fanout->n_legs) {
                dal__fanout_leg *leg = &fanout->legs[i];

                s = leg->rows ? dal__fanout_fetch(fanout, leg, &leg->cells, err)
                              : first_row(fanout, leg, err);
                if (s)
                        return s;
        }
        if (s)
                return s;
        build_heap(fanout);
        if (fanout->failure.status && err)
                *err = fanout->failure;
        return fanout->failure.status;
}

/* The row on top was delivered, and is over: its shard's next one takes its place. */
static dal_status replace_top(dal__fanout *fanout, dal_error *err)
{
        dal__fanout_leg *leg = &fanout->legs[fanout->heap[0]];
        uint32_t i;
        dal_status s = keep_key(fanout, leg->cells, err);

        leg->cells = NULL;
        if (s == DAL_OK)
                s = dal__fanout_wait(fanout, fanout->heap[0], 1, &i, err);
        if (s == DAL_OK)
                s = dal__fanout_fetch(fanout, leg, &leg->cells, err);
        if (s)
                return s;
        if (leg->cells)
                s = check_sorted(fanout, leg, err);
        else
                fanout->heap[0] = fanout->heap[--fanout->n_heap];
        if (s == DAL_OK && fanout->n_heap)
                sift_down(fanout, 0);
        if (fanout->failure.status && err)
                *err = fanout->failure;
        return s ? s : fanout->failure.status;
}

dal_status dal__fanout_next_merged(dal__fanout *fanout, const dal_value **cells_out, dal_error *err)
{
        if (fanout->n_rows && fanout->n_heap) {
                dal_status s = replace_top(fanout, err);

                if (s)
                        return s;
        }
        if (fanout->n_heap) {
                fanout->i_leg = fanout->heap[0];
                *cells_out = fanout->legs[fanout->i_leg].cells;
        }
        return DAL_OK;
}
