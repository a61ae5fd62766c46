/* SPDX-License-Identifier: MIT */
#ifndef DAL_BULK_H
#define DAL_BULK_H

/*
 * Bulk loads: many rows for one table, by the fastest way that the engine has.
 *
 *      static const char *const columns[] = {"id", "customer", "total"};
 *      dal_bulk_spec spec = DAL_BULK_SPEC_INIT;
 *      spec.table = "orders";
 *      spec.columns = columns;
 *      spec.n_columns = 3;
 *      s = dal_tx_bulk(tx, &spec, &bulk, err);
 *      while (s == DAL_OK && read_order(&o))
 *              s = dal_bulk_add(bulk, DAL_PARAMS(dal_int64(o.id), dal_text(o.customer), dal_decimal(o.total)), err);
 *      if (s == DAL_OK)
 *              s = dal_bulk_finish(bulk, &n_rows, err);
 *      dal_bulk_close(bulk);
 *
 * The rows are those that INSERT of the same values would store, in the same order. They are copied, collected into
 * chunks, and each full chunk is sent: by COPY on PostgreSQL, in binary where the library knows all types of the columns,
 * and by prepared INSERTs of many rows elsewhere. LOAD DATA LOCAL of the MySQL family is not used: servers and clients
 * have it off for good reasons, and it turns errors into warnings, as INSERT IGNORE does. Two differences remain
 * on PostgreSQL: a value given for a column GENERATED ALWAYS AS IDENTITY is stored, and triggers and constraints that the
 * server checks at the end of a statement are checked once for a chunk.
 *
 * Rows are numbered from `first_row` in the order they were given. When the server refuses a chunk, the row that it
 * refused is found and the message begins with "row 12345: "; nothing of the chunk is stored.
 *
 * dal_tx_bulk() is a part of one transaction, which a refused row spoils: put the load into dal_tx_run() to have
 * only its rows undone. dal_cluster_bulk() takes one stream of rows with their keys and stores each on its shard, chunk
 * by chunk: a chunk is one transaction that is retried, and found out about when the answer to its COMMIT is lost, as
 * dal_cluster_run() does, so it is stored once or not at all. The chunks of other shards stay when one fails.
 *
 * To go on after a failure or a crash: `on_progress` tells after each chunk of a shard that every row of that shard before
 * row `n_safe_shard` is stored, and that every row before `n_safe` is, wherever it lives. Note the first for each shard. Then
 * start again with `first_row` = the last `n_safe` and give the rows from there on, but leave out row i with key k when
 * i < n_safe_shard of dal_cluster_locate(cluster, k), also as it stood after dal_bulk_skip(), which keeps the numbers right.
 * Only the chunk that was on its way when this process died, or whose outcome is in doubt, needs a look at the database:
 * all its rows are stored, or none, and it began at the shard's first row that was not safe.
 */

#include <stddef.h>
#include <stdint.h>

#include <dal/cluster.h>
#include <dal/error.h>
#include <dal/key.h>
#include <dal/macros.h>
#include <dal/tx.h>
#include <dal/value.h>

DAL_BEGIN_DECLS

typedef struct dal_bulk dal_bulk;

/** How far a load has come. */
typedef struct dal_bulk_progress {
        int64_t n_given;      /* rows taken by dal_bulk_add() and dal_bulk_add_for() */
        int64_t n_stored;     /* rows stored; in a transaction they are there once that is committed */
        int64_t n_safe;       /* every row with a smaller number is stored, or was skipped */
        int64_t n_safe_shard; /* likewise for the rows of `shard` alone */
        uint16_t shard;       /* of the last chunk */
} dal_bulk_progress;
/** Called after each stored chunk from the thread that gave the row; must not use the load. Borrowed. */
typedef void dal_bulk_progress_fn(void *arg, const dal_bulk_progress *progress);

/** What to load. Zero means the default in brackets; fill it by DAL_BULK_SPEC_INIT. Copied. */
typedef struct dal_bulk_spec {
        size_t struct_size;
        const char *schema;         /* of the table [as the session finds it]. Names are quoted by the library */
        const char *table;          /* exact, in its own case; UTF-8 */
        const char *const *columns; /* of each row, in the order of its values */
        uint32_t n_columns;         /* 1 to the engine's number of parameters in one statement */
        uint32_t chunk_rows;        /* rows sent at once at most [10000] */
        uint32_t chunk_bytes;       /* a chunk is sent when its rows take so much memory here [4 MiB]; all shards'
                                       chunks together may take four times as much */
        uint32_t timeout_ms;        /* for the transaction of one chunk [the cluster's]; dal_cluster_bulk() only */
        int64_t first_row;          /* number of the first row [0] */
        dal_bulk_progress_fn *on_progress; /* [none] */
        void *on_progress_arg;
} dal_bulk_spec;
#define DAL_BULK_SPEC_INIT { sizeof(dal_bulk_spec), NULL, NULL, NULL, 0, 0, 0, 0, 0, NULL, NULL }

/**
 * Begins a load inside a transaction. Nothing is sent yet.
 *
 * @return DAL_OK
 *         DAL_ERR_ARG    no table, a bad name, no column or too many
 *         DAL_ERR_NOMEM
 * Ownership: *out is owned; end it with dal_bulk_close() before the function returns.
 * Threads: the function's own. Blocks: no.
 */
DAL_NODISCARD dal_status dal_tx_bulk(dal_tx *tx, const dal_bulk_spec *spec, dal_bulk **out, dal_error *err);

/**
 * Begins a load into the shards of a cluster. Nothing is sent yet.
 *
 * @return as dal_tx_bulk()
 * Ownership: *out is owned; end it with dal_bulk_close() before dal_cluster_close().
 * Threads: any; the load: one at a time, and not inside dal_cluster_run(). Blocks: no.
 */
DAL_NODISCARD dal_status dal_cluster_bulk_at(const char *here, dal_cluster *cluster, const dal_bulk_spec *spec,
                                             dal_bulk **out, dal_error *err);
#define dal_cluster_bulk(cluster, spec, out, err) dal_cluster_bulk_at(DAL_HERE, cluster, spec, out, err)

/**
 * Adds a row to the load of a transaction; sends a chunk when it is full. The values are copied.
 *
 * A value that can't be stored as it is (bad UTF-8, a malformed decimal, a NULL pointer) is refused with the number of
 * the row and the column: the row then is no part of the load, which can go on. Any other failure ends the load.
 *
 * @return DAL_OK
 *         DAL_ERR_ARG, DAL_ERR_RANGE, DAL_ERR_TOO_LARGE  this row was refused, or one that was sent
 *         DAL_ERR_STATE  the load has failed before or was finished, or it is a cluster's
 *         anything else  as dal_tx_exec()
 * Threads: the transaction's own. Blocks: when a chunk is sent, until the transaction's deadline.
 */
DAL_NODISCARD dal_status dal_bulk_add(dal_bulk *bulk, dal_params row, dal_error *err);

/**
 * Adds a row that lives where its key says. In a transaction's load the key must lead to the transaction's shard.
 *
 * @return as dal_bulk_add(), or DAL_ERR_ROUTE; a failed chunk as dal_cluster_run()
 * Threads: one at a time. Blocks: when a chunk is sent, for timeout_ms of each that is sent.
 */
DAL_NODISCARD dal_status dal_bulk_add_for(dal_bulk *bulk, dal_key key, dal_params row, dal_error *err);

/** Leaves out `n_rows` rows: only the numbers go on. Threads: as dal_bulk_add(). Blocks: no. */
DAL_NODISCARD dal_status dal_bulk_skip(dal_bulk *bulk, int64_t n_rows, dal_error *err);

/**
 * Sends what is left. The load is over then.
 *
 * @param n_rows_out  rows stored by this load; may be NULL
 * @return as dal_bulk_add()
 * Threads: as dal_bulk_add(). Blocks: as dal_bulk_add_for(), for each shard.
 */
DAL_NODISCARD dal_status dal_bulk_finish(dal_bulk *bulk, int64_t *n_rows_out, dal_error *err);

/** Returns how far the load has come, also after a failure. Threads: as dal_bulk_add(). Blocks: no. */
dal_bulk_progress dal_bulk_get_progress(const dal_bulk *bulk);

/** Ends a load; rows that were not sent are dropped. Accepts NULL. Threads: as dal_bulk_add(). Blocks: no. */
void dal_bulk_close(dal_bulk *bulk);

DAL_END_DECLS

#endif
