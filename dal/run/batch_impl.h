/* SPDX-License-Identifier: MIT */
#ifndef DAL_RUN_BATCH_IMPL_H
#define DAL_RUN_BATCH_IMPL_H

#include <dal/batch.h>

#include "conn/conn_impl.h"
#include "sql/rows_impl.h"

/* Where the connection of a batch of independent statements comes from: the cluster. */
typedef struct dal__batch_source {
        /* Leases one for `deadline`; *shard_out is set as soon as it is known. */
        dal_status (*acquire)(void *arg, dal_deadline deadline, dal_conn **out, uint16_t *shard_out,
                              dal_error *err);
        void (*release)(void *arg, dal_conn *conn);
        /* Pauses before a statement is run again; false when it is not to be. */
        bool (*pause)(void *arg, uint32_t attempt, dal_deadline deadline, const dal_error *failure);
        dal_deadline (*deadline)(void *arg);
        void (*free)(void *arg);
} dal__batch_source;

typedef enum dal__batch_state {
        DAL__BATCH_WAITING, /* to be sent, perhaps again */
        DAL__BATCH_SENT,
        DAL__BATCH_DONE /* its outcome is kept here, before its turn */
} dal__batch_state;

/* Rows of a write that had to be taken before its turn. */
typedef struct dal__batch_kept {
        uint32_t n_columns;
        size_t n_rows, room;
        dal_value **rows; /* each one block */
        char *names[];
} dal__batch_kept;

typedef struct dal__batch_item {
        const dal_stmt *stmt;
        dal_value *values; /* one block, with what they point to */
        size_t n_values;
        uint8_t state; /* dal__batch_state */
        bool was_stale;
        uint32_t n_attempts;
        /* The outcome, when DONE */
        int64_t n_rows, insert_id;
        dal_error *failure;
        dal_error_class failure_class; /* when there was no memory for the rest of it; else NONE */
        dal__batch_kept *kept;
} dal__batch_item;

struct dal_batch {
        dal_tx *tx;                 /* NULL: independent statements */
        dal_batch *next, *previous; /* of the same transaction */
        const dal__batch_source *source;
        void *arg;
        dal_conn *conn; /* NULL while none is leased */
        uint16_t shard;
        bool running;   /* results are to be read */
        bool closing;   /* nobody reads them: queries need not be sent any more */
        bool abandoned; /* nor anything else */
        dal_deadline deadline;

        dal__batch_item *items;
        size_t n_items, room, n_bytes;
        size_t i_next; /* the item whose result is read next */

        /* The items with the server, in order; i_flight is the one whose result it gives next. */
        uint32_t flight[DAL__FLIGHT_MAX];
        size_t n_flight, i_flight;
        size_t n_max; /* in the next one: few after a failure that others had to wait for */

        /* The current result. */
        bool has_rows;
        dal_rows rows;
        dal__batch_kept *kept; /* whose rows; NULL: the connection's */
        size_t i_row;
        int64_t n_rows, insert_id;
        dal_error failure; /* of the statement at hand; keeps 1 KiB off every stack frame */
};

dal_status dal__batch_new(dal_batch **out, dal_error *err);
/* Frees a batch with which nothing is under way any more. */
void dal__batch_free(dal_batch *batch);
/* Drops what is not sent, when the transaction is to be rolled back. */
void dal__batch_abandon(dal_batch *batch);

/* Leases a connection if need be, and makes it busy. */
dal_status dal__batch_begin(dal_batch *batch, dal_error *err);

/* batch_flight.c */
/* Sends what waits, from the next item on. A failure is that of the item, or of what was queued ahead. */
dal_status dal__batch_send(dal_batch *batch, bool *ahead_failed_out, dal_error *err);
/* After a failure of the next item: says whether it is to be tried again. Else *failure is the final word. */
bool dal__batch_try_again(dal_batch *batch, dal_error *failure);
/* Takes the result of the next item, which was sent. */
dal_status dal__batch_take(dal_batch *batch, dal_result *out, dal_error *err);
/* Gives the connection back; nothing may be under way. */
void dal__batch_release(dal_batch *batch);
/* Makes a failure the item's outcome. */
void dal__batch_keep_failure(dal__batch_item *item, const dal_error *failure);
/* Frees what was kept of an item. */
void dal__batch_forget(dal__batch_item *item);

#endif
