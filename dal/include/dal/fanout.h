/* SPDX-License-Identifier: MIT */
#ifndef DAL_FANOUT_H
#define DAL_FANOUT_H

/* Fan-out: one query to every shard, asked for by name, because it costs what all shards together cost. */

#include <dal/cluster.h>
#include <dal/error.h>
#include <dal/macros.h>
#include <dal/rows.h>
#include <dal/stmt.h>
#include <dal/value.h>

DAL_BEGIN_DECLS

/**
 * Sends a query to all shards at once and delivers their rows shard after shard, in order of shard number.
 *
 * Where the drivers can, the requests are in flight together. Each shard answers from its own snapshot: there is
 * no common one. A shard that can't be reached fails the call; one whose answer is a failure fails the cursor when its
 * turn comes: rows are never silently missing. Where a connection turns out to be dead before its first row came, a
 * query that only reads is sent once more, by a new one. dal_rows_shard() tells where the current row came from.
 * Ownership: *out is lent until dal_rows_close(). Threads: any; the cursor: one at a time.
 * Blocks: up to the cluster's timeout.
 */
DAL_NODISCARD dal_status dal_fanout_query_at(const char *here, dal_cluster *cluster, const dal_stmt *stmt,
                                             dal_params params, dal_rows **out, dal_error *err);
#define dal_fanout_query(cluster, stmt, params, out, err)                                          \
        dal_fanout_query_at(DAL_HERE, cluster, stmt, params, out, err)

DAL_END_DECLS

#endif
