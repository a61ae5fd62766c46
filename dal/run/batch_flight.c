/* SPDX-License-Identifier: MIT */
#include "run/batch_impl.h"

#include <string.h>

#include <dal/mem.h>

#include "run/retry.h"

/* ---- outcomes taken before their turn ------------------------------------------------------------------------------- */

static void free_kept(dal__batch_kept *kept)
{
        if (!kept)
                return;
        for (size_t i = 0; i < kept->n_rows; i++)
                dal_mem_free(kept->rows[i]);
        for (uint32_t i = 0; i < kept->n_columns; i++)
                dal_mem_free(kept->names[i]);
        dal_mem_free(kept->rows);
        dal_mem_free(kept);
}

void dal__batch_forget(dal__batch_item *item)
{
        dal_mem_free(item->failure);
        free_kept(item->kept);
        item->failure = NULL;
        item->kept = NULL;
        item->state = DAL__BATCH_WAITING;
}

void dal__batch_keep_failure(dal__batch_item *item, const dal_error *failure)
{
        item->state = DAL__BATCH_DONE;
        item->failure = dal_mem_alloc(sizeof *item->failure);
        if (item->failure)
                *item->failure = *failure;
        else
                item->failure_class = failure->error_class;
}

static dal_status no_room(const dal__batch_item *item, dal_error *err)
{
        return dal_error_set(err, DAL_CLASS_NO_MEMORY,
                             "%s: was executed, but there is no memory for the rows it gave",
                             item->stmt->name);
}

static dal_status keep_row(dal__batch_kept *kept, const dal_value *cells, dal_error *err)
{
        if (kept->n_rows == kept->room) {
                size_t room = kept->room ? 2 * kept->room : 4;
                dal_value **grown = dal_mem_resize(kept->rows, room, sizeof *grown);

                if (!grown)
                        return dal_error_set(err, DAL_CLASS_NO_MEMORY, "out of memory for rows");
                kept->rows = grown;
                kept->room = room;
        }
        if (dal__conn_copy_params((dal_params){cells, kept->n_columns}, &kept->rows[kept->n_rows], err))
                return err->status;
        kept->n_rows++;
        return DAL_OK;
}

/* Keeps the rows that a write gave: it can't be asked for them again. */
static dal_status keep_rows(dal_batch *batch, dal__batch_item *item, uint32_t n_columns, dal_error *err)
{
        dal__batch_kept *kept = dal_mem_alloc(sizeof *kept + n_columns * sizeof(char *));
        const dal_value *cells;
        dal_status s;

        item->kept = kept;
        if (!kept)
                return no_room(item, err);
        kept->n_columns = n_columns;
        for (uint32_t i = 0; i < n_columns; i++) {
                const char *name = dal__conn_flight_column(batch->conn, i);

                kept->names[i] = dal_mem_strdup(name ? name : "", name ? strlen(name) : 0);
                if (!kept->names[i])
                        return no_room(item, err);
        }
        while ((s = dal__conn_flight_row(batch->conn, &cells, err)) == DAL_OK && cells)
                if ((s = keep_row(kept, cells, err)))
                        return no_room(item, err);
        return s;
}

/* ---- judging ------------------------------------------------------------------------------------------------------------ */

static bool is_read(const dal_batch *batch, const dal__batch_item *item)
{
        return dal__conn_is_read(batch->conn, item->stmt);
}

/* What a failure means for a statement that commits by itself; as dal_cluster_exec() does. */
static void judge(const dal_batch *batch, const dal__batch_item *item, dal_error *failure)
{
        if (failure->status == DAL_ERR_IN_DOUBT || failure->not_sent ||
            (failure->conn_gone && is_read(batch, item)))
                return;
        if (!failure->conn_gone) {
                failure->retry_tx &= dal__conn_is_atomic(batch->conn, item->stmt);
                return;
        }
        dal__conn_doubt("the statement was sent and no answer came: it may or may not have taken effect",
                        failure);
}

/* Says whether another try is due, of those that dal_cluster_exec() would make. */
static bool may_try_again(dal__batch_item *item, const dal_error *failure)
{
        if (failure->error_class == DAL_CLASS_NOT_EXECUTED)
                return true;
        return dal__retry_is_useful(failure, ++item->n_attempts, 0, false);
}

/* The connection is lost: what it was asked, and has not answered, was done or was not. */
static void settle_lost(dal_batch *batch, const dal_error *lost)
{
        for (; batch->i_flight < batch->n_flight; batch->i_flight++) {
                dal__batch_item *item = &batch->items[batch->flight[batch->i_flight]];
                dal_error failure = *lost;

                item->state = DAL__BATCH_WAITING;
                judge(batch, item, &failure);
                if (failure.status == DAL_ERR_IN_DOUBT)
                        dal__batch_keep_failure(item, &failure);
        }
}

/* Takes a result before its turn. Only what a write has done is kept: a query can be asked again. */
static dal_status settle_one(dal_batch *batch, dal__batch_item *item, dal_error *failure)
{
        dal_result result;
        dal_status s = dal__conn_flight_take(batch->conn, &result, failure);

        item->state = DAL__BATCH_WAITING;
        if (s == DAL_OK && is_read(batch, item))
                return DAL_OK;
        if (s == DAL_OK) {
                item->n_rows = result.n_rows;
                item->insert_id = result.insert_id;
                item->state = DAL__BATCH_DONE;
                if (result.has_rows)
                        s = keep_rows(batch, item, result.n_columns, failure);
                if (s == DAL_OK)
                        return DAL_OK;
                free_kept(item->kept);
                item->kept = NULL;
                failure->retry_tx = false; /* it is done */
        }
        judge(batch, item, failure);
        if (failure->conn_gone && failure->status != DAL_ERR_IN_DOUBT)
                return failure->status; /* a query: asked again */
        if (item->state == DAL__BATCH_DONE || !may_try_again(item, failure))
                dal__batch_keep_failure(item, failure);
        return failure->status;
}

/* Empties the connection, so that something can be sent again: takes the results behind the one that failed. */
static void settle(dal_batch *batch)
{
        dal_error failure;

        while (batch->i_flight < batch->n_flight) {
                dal__batch_item *item = &batch->items[batch->flight[batch->i_flight++]];

                if (settle_one(batch, item, &failure) && failure.conn_gone) {
                        settle_lost(batch, &failure);
                        break;
                }
        }
}

/* Nothing is under way any more. */
static void give_up_lease(dal_batch *batch)
{
        if (!batch->conn)
                return;
        dal__conn_flight_end(batch->conn);
        dal__batch_release(batch);
}

bool dal__batch_try_again(dal_batch *batch, dal_error *failure)
{
        dal__batch_item *item = &batch->items[batch->i_next];
        bool may, stale;
        size_t n_max;

        if (batch->tx)
                return false;
        item->state = DAL__BATCH_WAITING;
        if (!batch->conn) /* no connection was to be had */
                return dal__retry_is_useful(failure, ++item->n_attempts, 0, false) &&
                       batch->source->pause(batch->arg, item->n_attempts, batch->deadline, failure);
        if (failure->conn_gone) {
                settle_lost(batch, failure);
                judge(batch, item, failure);
                give_up_lease(batch);
                return may_try_again(item, failure) &&
                       batch->source->pause(batch->arg, item->n_attempts, batch->deadline, failure);
        }
        judge(batch, item, failure);
        if (failure->error_class == DAL_CLASS_NOT_EXECUTED) {
                /* Nothing had failed before the first of a flight: its prepared form was out of date. */
                if (batch->i_flight < 2 && item->was_stale)
                        return false;
                item->was_stale |= batch->i_flight < 2;
                /* Twice as many as were executed: what is sent in vain is then never much more than what was not. */
                n_max = batch->i_flight < 2 ? 1 : 2 * (batch->i_flight - 1);
                settle(batch);
                batch->n_max = n_max < DAL__FLIGHT_MAX ? n_max : DAL__FLIGHT_MAX;
                return true;
        }
        stale = failure->error_class == DAL_CLASS_SCHEMA_CHANGED && !item->was_stale &&
                !dal__conn_is_broken(batch->conn) && dal__conn_is_atomic(batch->conn, item->stmt);
        may = stale || may_try_again(item, failure);
        if (!may)
                return false;
        settle(batch);
        item->was_stale |= stale;
        /* What was prepared for the old schema goes with the flight that used it. */
        if (stale)
                return true;
        give_up_lease(batch);
        return batch->source->pause(batch->arg, item->n_attempts, batch->deadline, failure);
}

/* ---- sending and taking --------------------------------------------------------------------------------------------------- */

void dal__batch_release(dal_batch *batch)
{
        if (batch->source && batch->conn)
                batch->source->release(batch->arg, batch->conn);
        batch->conn = NULL;
}

/* Adds what waits to the next flight; a failure of the first is the next item's. */
static dal_status fill(dal_batch *batch, dal_error *err)
{
        batch->n_flight = batch->i_flight = 0;
        for (size_t i = batch->i_next; i < batch->n_items && batch->n_flight < batch->n_max; i++) {
                dal__batch_item *item = &batch->items[i];
                dal_params params = {item->values, item->n_values};
                bool added;
                dal_status s;

                if (item->state == DAL__BATCH_DONE)
                        continue;
                if (batch->abandoned || (batch->closing && is_read(batch, item))) {
                        item->state = DAL__BATCH_DONE;
                        continue;
                }
                s = dal__conn_flight_add(batch->conn, item->stmt, params, !batch->tx, &added, err);
                if (s && batch->n_flight == 0)
                        return s;
                if (s || !added)
                        break; /* has its turn in the next one */
                batch->flight[batch->n_flight++] = (uint32_t)i;
        }
        return DAL_OK;
}

dal_status dal__batch_send(dal_batch *batch, bool *ahead_failed_out, dal_error *err)
{
        size_t n_sent;
        dal_status s = batch->conn ? DAL_OK : dal__batch_begin(batch, err);

        *ahead_failed_out = false;
        if (s == DAL_OK)
                s = fill(batch, err);
        if (s && batch->tx)
                dal__conn_spoil(batch->conn, err);
        if (s || batch->n_flight == 0)
                return s;
        s = dal__conn_flight_send(batch->conn, &n_sent, ahead_failed_out, err);
        batch->n_flight = n_sent;
        batch->i_flight = s && n_sent; /* the failure is the first one's result */
        batch->n_max = 4 * batch->n_max < DAL__FLIGHT_MAX ? 4 * batch->n_max : DAL__FLIGHT_MAX;
        if (s && batch->tx)
                dal__conn_spoil(batch->conn, err);
        for (size_t i = 0; i < n_sent; i++)
                batch->items[batch->flight[i]].state = DAL__BATCH_SENT;
        return s;
}

dal_status dal__batch_take(dal_batch *batch, dal_result *out, dal_error *err)
{
        batch->i_flight++;
        return dal__conn_flight_take(batch->conn, out, err);
}
