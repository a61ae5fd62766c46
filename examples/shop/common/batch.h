/* SPDX-License-Identifier: MIT */
#ifndef SHOP_BATCH_H
#define SHOP_BATCH_H

/*
 * Many rows of one statement, kept back until there are enough for one transaction. Rows are text and whole
 * numbers; they are written in order by dal_tx_queue(), so that on engines that can, a batch costs one round
 * trip.
 */

#include <dal/dal.h>

#define BATCH_MAX_VALUES 4

struct batch_row {
        int64_t number[BATCH_MAX_VALUES];
        char *text[BATCH_MAX_VALUES]; /* owned; NULL where the value is a number */
};

struct batch {
        const dal_stmt *stmt;
        size_t n_values;
        struct batch_row *rows;
        size_t n_rows, n_allocated;
};

/** Adds a row: a letter for each value, s = text (copied), i = int64_t. */
dal_status batch_add(struct batch *batch, dal_error *err, const char *types, ...);
/** Writes all rows on one shard, a few hundred in each transaction, and empties the batch. */
dal_status batch_write(struct batch *batch, dal_cluster *cluster, uint16_t shard, dal_error *err);
/** The same rows on every shard: for reference tables. */
dal_status batch_write_everywhere(struct batch *batch, dal_cluster *cluster, dal_error *err);
void batch_fini(struct batch *batch);

#endif
