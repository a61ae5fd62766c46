/* SPDX-License-Identifier: MIT */
#include "run/batch_impl.h"

#include <stdio.h>
#include <string.h>

#include <dal/mem.h>

#include "run/tx_impl.h"
#include "sql/params.h"

/* ---- its life -------------------------------------------------------------------------------------------------- */

static dal_status next_row(dal_rows *rows, bool *found_out, dal_error *err)
{
        dal_batch *batch = rows->source;
        dal_error *failure = err ? err : &batch->failure;
        dal_status s = DAL_OK;

        rows->cells = NULL;
        *found_out = false;
        if (!batch->has_rows)
                return dal_error_set(failure, DAL_CLASS_STATE,
                                     "these rows of a batch were closed, or left for its next result");
        if (!batch->kept)
                s = dal__conn_flight_row(batch->conn, &rows->cells, failure);
        else if (batch->i_row < batch->kept->n_rows)
                rows->cells = batch->kept->rows[batch->i_row++];
        *found_out = rows->cells != NULL;
        return s;
}

static void close_rows(dal_rows *rows)
{
        dal_batch *batch = rows->source;

        rows->cells = NULL;
        if (batch->has_rows && !batch->kept)
                dal__conn_flight_end_rows(batch->conn);
        batch->has_rows = false;
}

static const char *column_name(const dal_rows *rows, uint32_t i_column)
{
        const dal_batch *batch = rows->source;

        if (!batch->has_rows)
                return NULL;
        return batch->kept ? batch->kept->names[i_column] : dal__conn_flight_column(batch->conn, i_column);
}

dal_status dal__batch_new(dal_batch **out, dal_error *err)
{
        dal_batch *batch = dal_mem_alloc(sizeof *batch);

        *out = batch;
        if (!batch)
                return dal_error_set(err, DAL_CLASS_NO_MEMORY, "out of memory for a batch");
        batch->shard = DAL_NO_SHARD;
        batch->rows.next = next_row;
        batch->rows.close = close_rows;
        batch->rows.column = column_name;
        batch->rows.source = batch;
        return DAL_OK;
}

static void clear(dal_batch *batch)
{
        for (size_t i = 0; i < batch->n_items; i++) {
                dal__batch_forget(&batch->items[i]);
                dal_mem_free(batch->items[i].values);
        }
        batch->n_items = batch->n_bytes = batch->i_next = 0;
        batch->n_flight = batch->i_flight = 0;
        batch->running = false;
}

void dal__batch_free(dal_batch *batch)
{
        clear(batch);
        if (batch->source)
                batch->source->free(batch->arg);
        dal_mem_free(batch->items);
        dal_mem_free(batch);
}

/* ---- filling ------------------------------------------------------------------------------------------------------ */

static dal_status check_caller(const dal_batch *batch, dal_error *err)
{
        if (!batch)
                return dal_error_set(err, DAL_CLASS_ARGUMENT, "a batch is needed, not NULL");
        return batch->tx ? dal__tx_check_caller(batch->tx, err) : DAL_OK;
}

static dal_status refuse_unread(dal_error *err)
{
        return dal_error_set(err, DAL_CLASS_BUSY,
                             "read the results of the batch's last run to the end, or close it, first");
}

/* A lease that was made before fork() is the parent's: its answers are not for us to read. */
static bool is_forked(const dal_batch *batch)
{
        return batch->conn && dal__conn_is_of_parent(batch->conn);
}

static dal_status check_new(const dal_batch *batch, const dal_stmt *stmt, dal_error *err)
{
        dal_status s = check_caller(batch, err);

        if (s)
                return s;
        if (!stmt)
                return dal_error_set(err, DAL_CLASS_ARGUMENT, "a statement is needed, not NULL");
        if (batch->running)
                return refuse_unread(err);
        if (stmt->flags & DAL_STMT_STREAM)
                return dal_error_set(
                        err, DAL_CLASS_UNSUPPORTED,
                        "%s: a stream (DAL_STMT_STREAM) holds up what follows it: run it outside "
                        "the batch, or without the flag",
                        stmt->name);
        if (!batch->tx && (stmt->flags & DAL_STMT_RESOLVE))
                return dal_error_set(err, DAL_CLASS_UNSUPPORTED,
                                     "%s: DAL_STMT_RESOLVE makes a transaction of a statement: use "
                                     "dal_cluster_exec(), or dal_tx_batch()",
                                     stmt->name);
        return DAL_OK;
}

static dal_status make_room(dal_batch *batch, size_t size, dal_error *err)
{
        size_t room = batch->room ? 2 * batch->room : 16;
        dal__batch_item *grown;

        if (batch->n_items == DAL_BATCH_MAX_STATEMENTS)
                return dal_error_set(err, DAL_CLASS_PACKET_TOO_LARGE,
                                     "a batch holds %u statements at most: run it and read its results, then "
                                     "add more",
                                     DAL_BATCH_MAX_STATEMENTS);
        if (batch->n_items && (size > DAL_BATCH_MAX_BYTES || batch->n_bytes > DAL_BATCH_MAX_BYTES - size))
                return dal_error_set(err, DAL_CLASS_PACKET_TOO_LARGE,
                                     "a batch holds %u bytes of parameters at most: run it and read its "
                                     "results, then add more",
                                     DAL_BATCH_MAX_BYTES);
        if (batch->n_items < batch->room)
                return DAL_OK;
        grown = dal_mem_resize(batch->items, room, sizeof *grown);
        if (!grown)
                return dal_error_set(err, DAL_CLASS_NO_MEMORY, "out of memory for %zu statements of a batch",
                                     room);
        batch->items = grown;
        batch->room = room;
        return DAL_OK;
}

dal_status dal_batch_add(dal_batch *batch, const dal_stmt *stmt, dal_params params, dal_error *err)
{
        dal__batch_item *item;
        dal_value *values = NULL;
        size_t size = 0;
        dal_status s = check_new(batch, stmt, err);

        if (s == DAL_OK && !params.values && params.n_values)
                s = dal_error_set(err, DAL_CLASS_ARGUMENT, "statement \"%s\": the list of parameters is NULL",
                                  stmt->name);
        if (s == DAL_OK) {
                size = dal__params_copy_size(params);
                s = make_room(batch, size, err);
        }
        if (s == DAL_OK)
                s = dal__conn_copy_params(params, &values, err);
        if (s)
                return s;
        item = &batch->items[batch->n_items++];
        memset(item, 0, sizeof *item);
        item->stmt = stmt;
        item->values = values;
        item->n_values = params.n_values;
        batch->n_bytes += size;
        return DAL_OK;
}

/* ---- running ------------------------------------------------------------------------------------------------------- */

static void end_result(dal_batch *batch)
{
        if (batch->has_rows)
                close_rows(&batch->rows);
        batch->kept = NULL;
        batch->rows.cells = NULL;
        batch->n_rows = batch->insert_id = 0;
}

/* All results were taken: the connection is free for others. */
static void stop(dal_batch *batch)
{
        end_result(batch);
        if (batch->conn) {
                dal__conn_flight_end(batch->conn);
                dal__batch_release(batch);
        }
        clear(batch);
}

/* Puts the place in the batch in front of the message, and the statement's name unless it leads it already. */
static void name_place(dal_error *err, size_t index, const char *name)
{
        char message[sizeof err->message];
        bool named = strncmp(err->message, name, strlen(name)) == 0;
        int n = snprintf(message, sizeof message, "batch[%zu] %.80s%s", index, named ? "" : name,
                         named ? "" : ": ");
        size_t size = strlen(err->message);

        if (size > sizeof message - (size_t)n - 1)
                size = sizeof message - (size_t)n - 1;
        memcpy(message + n, err->message, size);
        message[(size_t)n + size] = '\0';
        memcpy(err->message, message, (size_t)n + size + 1);
}

/* The owner of the connection needs it: takes what is unread. */
static void finish(void *arg)
{
        dal_batch *batch = arg;
        bool found = true;

        batch->closing = true;
        while (batch->running && found)
                (void)!dal_batch_next(batch, &found, NULL);
        batch->closing = false;
}

dal_status dal__batch_begin(dal_batch *batch, dal_error *err)
{
        size_t n = batch->n_items - batch->i_next;
        dal_status s;

        if (batch->source && dal_clock_passed(batch->deadline)) {
                s = dal_error_set(err, DAL_CLASS_DEADLINE, "the deadline passed before it was sent");
                err->not_sent = true;
                return s;
        }
        if (batch->source) {
                s = batch->source->acquire(batch->arg, batch->deadline, &batch->conn, &batch->shard, err);
                if (s) {
                        batch->conn = NULL;
                        return s;
                }
        }
        s = dal__conn_flight_begin(batch->conn, n, batch->deadline, finish, batch, err);
        if (s)
                dal__batch_release(batch);
        return s;
}

/* A first statement that can't be sent is no reason to give up the batch: it has its turn. */
static dal_status send_first(dal_batch *batch, dal_error *failure)
{
        bool ahead_failed;
        dal_status s = dal__batch_send(batch, &ahead_failed, failure);

        if (s == DAL_OK || ahead_failed || (batch->tx && failure->conn_gone))
                return s;
        if (!dal__batch_try_again(batch, failure))
                dal__batch_keep_failure(&batch->items[0], failure);
        return DAL_OK;
}

dal_status dal_batch_run(dal_batch *batch, dal_error *err)
{
        dal_error *failure;
        uint32_t attempt = 1;
        dal_status s = check_caller(batch, err);

        if (s)
                return s;
        if (batch->running)
                return refuse_unread(err);
        failure = &batch->failure;
        batch->deadline = batch->tx ? batch->tx->deadline : batch->source->deadline(batch->arg);
        batch->conn = batch->tx ? batch->tx->conn : NULL;
        batch->n_max = DAL__FLIGHT_MAX;
        batch->running = true;
        if (batch->n_items == 0)
                return DAL_OK;
        do {
                s = dal__batch_begin(batch, failure);
        } while (s && batch->source && batch->source->pause(batch->arg, attempt++, batch->deadline, failure));
        if (s == DAL_OK)
                s = send_first(batch, failure);
        if (s == DAL_OK)
                return DAL_OK;
        if (batch->conn)
                dal__conn_flight_end(batch->conn);
        for (size_t i = 0; i < batch->n_items; i++)
                dal__batch_forget(&batch->items[i]);
        batch->n_flight = batch->i_flight = 0;
        batch->running = false;
        dal__batch_release(batch);
        failure->shard = batch->shard;
        if (err)
                *err = *failure;
        return s;
}

/* ---- reading ---------------------------------------------------------------------------------------------------------- */

/* Outcomes that had to be taken before their turn. */
static dal_status give_kept(dal_batch *batch, dal__batch_item *item)
{
        if (item->failure) {
                batch->failure = *item->failure;
                return batch->failure.status;
        }
        if (item->failure_class)
                return dal_error_set(&batch->failure, item->failure_class,
                                     "%s: failed; there was no memory to keep what the server said",
                                     item->stmt->name);
        batch->n_rows = item->n_rows;
        batch->insert_id = item->insert_id;
        batch->kept = item->kept;
        batch->has_rows = item->kept != NULL;
        batch->i_row = 0;
        batch->rows.n_columns = item->kept ? item->kept->n_columns : 0;
        return DAL_OK;
}

static dal_status give_taken(dal_batch *batch, const dal_result *result)
{
        batch->n_rows = result->n_rows;
        batch->insert_id = result->insert_id;
        batch->has_rows = result->has_rows;
        batch->rows.n_columns = result->has_rows ? result->n_columns : 0;
        return DAL_OK;
}

/* What the transaction's failure leaves of the statements behind it. */
static dal_status refuse_rest(dal_batch *batch)
{
        return dal_error_set(&batch->failure, DAL_CLASS_NOT_EXECUTED,
                             "%s: not executed, or undone: the transaction had failed before",
                             batch->items[batch->i_next].stmt->name);
}

static bool is_spoilt(const dal_batch *batch, const dal__batch_item *item)
{
        if (!batch->tx || item->state == DAL__BATCH_DONE)
                return false;
        if (item->state == DAL__BATCH_SENT)
                return dal__conn_flight_left(batch->conn) == 0;
        return batch->abandoned || dal__conn_spoilt_by(batch->conn) || dal__conn_is_broken(batch->conn);
}

/* The next item's outcome, sent for as often as that may help. */
static dal_status next_outcome(dal_batch *batch)
{
        dal__batch_item *item = &batch->items[batch->i_next];
        dal_error *failure = &batch->failure;
        dal_result result;
        bool ahead_failed;
        dal_status s;

        for (;;) {
                if (is_spoilt(batch, item))
                        return refuse_rest(batch);
                s = item->state == DAL__BATCH_WAITING ? dal__batch_send(batch, &ahead_failed, failure)
                                                      : DAL_OK;
                if (s == DAL_OK && item->state == DAL__BATCH_DONE)
                        return give_kept(batch, item);
                if (s == DAL_OK)
                        s = dal__batch_take(batch, &result, failure);
                if (s == DAL_OK)
                        return give_taken(batch, &result);
                if (!dal__batch_try_again(batch, failure))
                        return failure->status;
        }
}

dal_status dal_batch_next(dal_batch *batch, bool *found_out, dal_error *err)
{
        dal_status s = check_caller(batch, err);

        if (found_out)
                *found_out = false;
        if (s == DAL_OK && !found_out)
                s = dal_error_set(err, DAL_CLASS_ARGUMENT, "dal_batch_next() needs a place for found_out");
        if (s)
                return s;
        if (is_forked(batch))
                return dal_error_set(
                        err, DAL_CLASS_STATE,
                        "this batch was run before fork(): its results belong to the parent process");
        if (!batch->running)
                return dal_error_set(err, DAL_CLASS_STATE,
                                     "no results are to be read: call dal_batch_run() first");
        end_result(batch);
        if (batch->i_next > 0)
                dal__batch_forget(&batch->items[batch->i_next - 1]);
        if (batch->i_next == batch->n_items) {
                stop(batch);
                return DAL_OK;
        }
        s = next_outcome(batch);
        *found_out = true;
        batch->rows.shard = batch->tx ? batch->tx->shard : batch->shard;
        if (s) {
                name_place(&batch->failure, batch->i_next, batch->items[batch->i_next].stmt->name);
                batch->failure.shard = batch->rows.shard;
                if (err)
                        *err = batch->failure;
        }
        batch->i_next++;
        return s;
}

dal_rows *dal_batch_rows(dal_batch *batch)
{
        return batch && batch->has_rows ? &batch->rows : NULL;
}

int64_t dal_batch_n_rows(const dal_batch *batch)
{
        return batch ? batch->n_rows : 0;
}

int64_t dal_batch_insert_id(const dal_batch *batch)
{
        return batch ? batch->insert_id : 0;
}

size_t dal_batch_index(const dal_batch *batch)
{
        return batch && batch->i_next ? batch->i_next - 1 : 0;
}

/* ---- the end ----------------------------------------------------------------------------------------------------------- */

void dal__batch_abandon(dal_batch *batch)
{
        batch->abandoned = true;
        if (batch->running)
                finish(batch);
        batch->abandoned = false;
}

void dal_batch_close(dal_batch *batch)
{
        if (!batch || check_caller(batch, NULL))
                return;
        if (batch->running && !is_forked(batch))
                finish(batch);
        dal__tx_forget_batch(batch);
        dal__batch_free(batch);
}
