/* SPDX-License-Identifier: MIT */
#ifndef DAL_FANOUT_H
#define DAL_FANOUT_H

/*
 * Fan-out: one query to every shard, asked for by name, because it costs what all shards together cost.
 *
 *      static const dal_fanout_column by_time[] = {{.name = "created_at", .descending = true}};
 *      dal_fanout_options options = DAL_FANOUT_OPTIONS_INIT;
 *      options.order = DAL_FANOUT_MERGED;
 *      options.columns = by_time;
 *      options.n_columns = 1;
 *      options.limit = 20;
 *      s = dal_fanout_query_with(shop, &options, &newest_orders, DAL_NO_PARAMS, &rows, err);
 *
 * The rows of all shards come by one cursor. A row's cells are lent from its shard's own cursor, never copied, so that
 * with DAL_STMT_STREAM the memory is constant in every order.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <dal/cluster.h>
#include <dal/error.h>
#include <dal/macros.h>
#include <dal/rows.h>
#include <dal/stmt.h>
#include <dal/value.h>

DAL_BEGIN_DECLS

/** In which order the shards' rows come. The rows of one shard always come as that shard gave them. */
typedef enum dal_fanout_order {
        DAL_FANOUT_BY_SHARD,     /* shard after shard, by number */
        DAL_FANOUT_AS_THEY_COME, /* whichever shard has answered: a slow one does not hold back the others */
        DAL_FANOUT_MERGED /* by `columns`, as every shard's own rows must be; equal ones by shard number */
} dal_fanout_order;

/**
 * One column of the order for DAL_FANOUT_MERGED; all zero but for what is wanted.
 *
 * The statement's own ORDER BY must say the same, and that is checked: rows of a shard that are not in this order fail
 * the cursor, naming shard and column. Compared are numbers by value (exactly, decimals too; NaN behind all), text by
 * its bytes, UUIDs and bytes by their bytes, timestamps and dates by time. So text must be ordered by COLLATE "C" on
 * PostgreSQL, utf8mb4_0900_bin on MySQL, utf8mb4_nopad_bin on MariaDB, and BINARY, its default, on SQLite. Where the
 * statement does not say NULLS FIRST or LAST, NULL comes first on MySQL, MariaDB and SQLite, and last on PostgreSQL;
 * with `descending` the other way round.
 */
typedef struct dal_fanout_column {
        const char *name; /* as the result calls it; NULL: i_column counts. Borrowed until the call returns */
        uint32_t i_column; /* from 0 */
        bool descending;
        bool nulls_first; /* whatever `descending` says; else they come last */
} dal_fanout_column;

/** How a fan-out behaves. Zero means the default in brackets; fill it by DAL_FANOUT_OPTIONS_INIT. */
typedef struct dal_fanout_options {
        size_t struct_size;
        dal_fanout_order order;           /* [DAL_FANOUT_BY_SHARD] */
        uint32_t timeout_ms;              /* for the whole of it, up to the last row [the cluster's] */
        const dal_fanout_column *columns; /* DAL_FANOUT_MERGED: the first counts most. Copied */
        size_t n_columns;
        uint64_t limit;    /* the cursor ends behind so many rows, and what still runs is stopped [none] */
        uint64_t max_rows; /* a row more than so many fails the cursor with DAL_ERR_RANGE [none] */
} dal_fanout_options;
#define DAL_FANOUT_OPTIONS_INIT                                                                              \
        {                                                                                                    \
                sizeof(dal_fanout_options), DAL_FANOUT_BY_SHARD, 0, NULL, 0, 0, 0                            \
        }

/**
 * Sends a query to all shards at once and delivers their rows behind one cursor.
 *
 * Where the drivers can, the requests are in flight together; other shards are asked when their turn comes. Each shard
 * answers from its own snapshot: there is no common one. Rows are never silently missing: a shard that can't be reached
 * fails the call, and one that fails later fails the cursor, naming itself, in whatever order; the rest is then stopped
 * and every connection given back. Where a connection turns out to be dead before its first row came, a query that only
 * reads is sent once more, by a new one. dal_rows_shard() tells where the current row came from.
 * When the time is up, or the cursor is closed or ends by `limit` before all was read, what still runs on the shards is
 * canceled if it only reads; the rest is read away for a second at most.
 *
 * @param options  NULL = defaults
 * @param out      the cursor; NULL on failure
 * @return DAL_OK
 *         DAL_ERR_ARG      bad options, no such column, or the parameters do not suit the statement
 *         DAL_ERR_ROUTE    a slot belongs to none of the shards: the answer would not be whole
 *         DAL_ERR_TIMEOUT  the deadline passed; err->shard is the first shard without an answer
 *         anything else    what the shard err->shard said; or DAL_ERR_RANGE where shards can't be merged: see
 *                          dal_fanout_column
 * Ownership: *out is lent until dal_rows_close(). Threads: any; the cursor: one at a time.
 * Blocks: up to the timeout, and a second more to stop what runs.
 */
DAL_NODISCARD dal_status dal_fanout_query_with_at(const char *here, dal_cluster *cluster,
                                                  const dal_fanout_options *options, const dal_stmt *stmt,
                                                  dal_params params, dal_rows **out, dal_error *err);
#define dal_fanout_query_with(cluster, options, stmt, params, out, err)                                      \
        dal_fanout_query_with_at(DAL_HERE, cluster, options, stmt, params, out, err)

/**
 * As dal_fanout_query_with() with default options: shard after shard, up to the cluster's timeout.
 *
 * Ownership: *out is lent until dal_rows_close(). Threads: any; the cursor: one at a time.
 * Blocks: up to the cluster's timeout.
 */
DAL_NODISCARD dal_status dal_fanout_query_at(const char *here, dal_cluster *cluster, const dal_stmt *stmt,
                                             dal_params params, dal_rows **out, dal_error *err);
#define dal_fanout_query(cluster, stmt, params, out, err)                                                    \
        dal_fanout_query_at(DAL_HERE, cluster, stmt, params, out, err)

DAL_END_DECLS

#endif
