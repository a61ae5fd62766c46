/* SPDX-License-Identifier: MIT */
#ifndef DAL_SHARD_FANOUT_IMPL_H
#define DAL_SHARD_FANOUT_IMPL_H

#include <poll.h>

#include <dal/fanout.h>

#include "conn/conn_impl.h"
#include "shard/cluster_state.h"
#include "sql/rows_impl.h"

/* The body of a fan-out, for the fanout*.c files only. */

/* One shard's part of the answer. */
typedef struct dal__fanout_leg {
        dal__shard *shard;
        dal_conn *conn;         /* NULL behind its last row */
        dal_rows *rows;         /* NULL until its result was taken */
        const dal_value *cells; /* DAL_FANOUT_MERGED: its next row */
        uint16_t number;
        bool sent, sent_twice;
} dal__fanout_leg;

/* Several shards' rows behind one cursor. */
typedef struct dal__fanout {
        dal_rows rows;
        const char *here;
        dal_cluster *cluster;
        const dal_stmt *stmt;
        dal_params params; /* a copy */
        dal_value *values; /* which it is made of */
        dal_deadline deadline;
        dal_fanout_options options; /* `columns` is a copy, in which i_column counts */
        dal_fanout_column *columns; /* which it is */
        const char **names; /* of the result's columns, in one block; NULL until the first shard answered */
        uint64_t n_rows;    /* delivered */
        uint32_t i_leg;     /* whose row is the current one */
        uint32_t n_burst;   /* AS_THEY_COME: its rows without a look at the others */
        uint32_t *heap;     /* MERGED: legs that have a row, the next one first */
        uint32_t n_heap;
        dal_value *key; /* MERGED: a copy of the current row's columns of the order */
        char *key_bytes;
        size_t key_room;
        struct pollfd *fds;
        dal_error failure; /* told again to whoever asks again, as what follows is not the whole answer */
        uint32_t n_legs;
        dal__fanout_leg legs[];
} dal__fanout;

/* fanout.c: one leg */
dal_status dal__fanout_take(dal__fanout *fanout, dal__fanout_leg *leg, dal_error *err);
/* Moves on to the leg's next row; NULL after the last one, when its connection is given back. */
dal_status dal__fanout_fetch(dal__fanout *fanout, dal__fanout_leg *leg, const dal_value **cells_out,
                             dal_error *err);

/* fanout_wait.c */
/*
 * Waits until one of `n` legs from `first` on, in a circle, that have rows to come and none at hand, can go on; *out is
 * n_legs when there is no such leg.
 */
dal_status dal__fanout_wait(dal__fanout *fanout, uint32_t first, uint32_t n, uint32_t *out, dal_error *err);
dal_status dal__fanout_next_to_come(dal__fanout *fanout, const dal_value **cells_out, dal_error *err);
/* Gives all connections back; what still runs is stopped, within a bound. */
void dal__fanout_abandon(dal__fanout *fanout);

/* fanout_merge.c */
/* Takes every shard's result and first row. */
dal_status dal__fanout_gather(dal__fanout *fanout, dal_error *err);
dal_status dal__fanout_next_merged(dal__fanout *fanout, const dal_value **cells_out, dal_error *err);

#endif
