/* SPDX-License-Identifier: MIT */
#ifndef DAL_BATCH_H
#define DAL_BATCH_H

/*
 * Batches: many statements, sent together, whose results are read one after another.
 *
 *      dal_batch *batch;
 *      bool found;
 *      s = dal_cluster_batch(shop, dal_key_int64(customer_id), &batch, err);
 *      for (size_t i = 0; s == DAL_OK && i < n_items; i++)
 *              s = dal_batch_add(batch, &find_price, DAL_PARAMS(dal_int64(items[i])), err);
 *      if (s == DAL_OK)
 *              s = dal_batch_run(batch, err);
 *      while (s == DAL_OK && (s = dal_batch_next(batch, &found, err)) == DAL_OK && found)
 *              s = read_price(dal_batch_rows(batch), &prices[dal_batch_index(batch)], err);
 *      dal_batch_close(batch);
 *
 * Where the engine can, hundreds of statements share a round trip; elsewhere they run one after another, with the same
 * results. What is sent and not read yet is bounded, so neither side waits for the other's buffers, and neither needs
 * memory for more than that: 512 statements, and 48 KiB of requests unless one alone is larger. The results of one such
 * flight are read before the next one is sent.
 *
 * dal_tx_batch(): the statements are part of the transaction, in order. The first failure spoils it, whoever found the
 * failure; what follows is not executed and gets class NOT_EXECUTED. Until the last result was read other calls on the
 * transaction are refused with DAL_ERR_BUSY, all but dal_tx_queue(), whose write follows the batch.
 *
 * dal_cluster_batch(): the statements are independent. Each runs on the shard of the key and commits by itself; a failure
 * is its own, and the others run all the same. Each is retried and judged as by dal_cluster_exec(): run again after
 * contention, and when the connection is lost, reads are asked again, while each write that had been sent and not
 * answered is DAL_ERR_IN_DOUBT. They are sent in order, but what is run again may run behind others: what must happen
 * in order, or together, belongs into a transaction. Queries may share the server's own transaction: a function that
 * changes rows must not be called by SELECT here without DAL_STMT_WRITES, or a later query's failure undoes it. With
 * statements=unnamed, behind a pooler, each write waits for the answer of the one before.
 *
 * Refused in a batch: DAL_STMT_STREAM, whose rows would hold up all that follows; DAL_STMT_RESOLVE in
 * dal_cluster_batch(), for it makes a transaction of each statement; and what begins or ends a transaction.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <dal/cluster.h>
#include <dal/error.h>
#include <dal/key.h>
#include <dal/macros.h>
#include <dal/rows.h>
#include <dal/stmt.h>
#include <dal/tx.h>
#include <dal/value.h>

DAL_BEGIN_DECLS

typedef struct dal_batch dal_batch;

/* What one run can take: statements, and bytes of their parameters (one statement may have more). */
#define DAL_BATCH_MAX_STATEMENTS 65536u
#define DAL_BATCH_MAX_BYTES      67108864u

/**
 * Makes an empty batch whose statements are part of a transaction.
 *
 * Ownership: *out is lent until dal_batch_close() or the end of the transaction's function.
 * @return DAL_OK, DAL_ERR_ARG, DAL_ERR_STATE on another thread, or DAL_ERR_NOMEM
 * Threads: the function's own, for all calls with this batch. Blocks: no.
 */
DAL_NODISCARD dal_status dal_tx_batch(dal_tx *tx, dal_batch **out, dal_error *err);

/**
 * Makes an empty batch of independent statements for the shard of `key`.
 *
 * A connection is leased by dal_batch_run() and given back when the last result was read.
 * Ownership: *out is owned; end it with dal_batch_close(), before the cluster is closed. The key is copied, `here` kept.
 * @return DAL_OK, DAL_ERR_ARG, DAL_ERR_ROUTE without a key, or DAL_ERR_NOMEM
 * Threads: any; the batch: one at a time. Blocks: no.
 */
DAL_NODISCARD dal_status dal_cluster_batch_at(const char *here, dal_cluster *cluster, dal_key key, dal_batch **out,
                                              dal_error *err);
#define dal_cluster_batch(cluster, key, out, err) dal_cluster_batch_at(DAL_HERE, cluster, key, out, err)

/**
 * Adds a statement; nothing is sent. It is checked when it is sent, and what is wrong with it is then its failure.
 *
 * @param params  copied
 * @return DAL_OK
 *         DAL_ERR_ARG          no batch, no statement
 *         DAL_ERR_UNSUPPORTED  DAL_STMT_STREAM, or DAL_STMT_RESOLVE outside a transaction
 *         DAL_ERR_BUSY         the results of the last run were not read to the end
 *         DAL_ERR_TOO_LARGE    the batch is full: run it and read its results, then add more
 *         DAL_ERR_NOMEM        the batch is as before
 * Ownership: the statement must be static, as everywhere. Threads: the batch's. Blocks: no.
 */
DAL_NODISCARD dal_status dal_batch_add(dal_batch *batch, const dal_stmt *stmt, dal_params params, dal_error *err);

/**
 * Sends the statements, as many as may be under way; the others follow while results are read.
 *
 * Nothing is sure to have been executed before its result was read. In a transaction, writes queued before go ahead.
 *
 * @return DAL_OK        now dal_batch_next() gives the results, also that of a first statement that can't be sent
 *         DAL_ERR_BUSY  a cursor is open, or the results of a run were not read to the end
 *         DAL_ERR_STATE the transaction can only be rolled back
 *         anything else no connection could be leased; or a write that was queued before has failed
 * After a failure the batch holds what it held, and outside a transaction it may be run again.
 * Threads: the batch's. Blocks: until the transaction's deadline, or up to the cluster's timeout, which begins here and
 * holds until the last result.
 */
DAL_NODISCARD dal_status dal_batch_run(dal_batch *batch, dal_error *err);

/**
 * Moves to the next statement's result and returns its status.
 *
 * *found_out is true for a failed statement, too: the next call moves on to the one behind it. Its error begins with
 * "batch[i]" and the statement's name. After the last one *found_out is false; the batch is then empty and may be filled
 * anew. With a failure of the call itself (DAL_ERR_ARG; DAL_ERR_STATE when nothing was run, or before fork()) *found_out is
 * false, too.
 *
 * Threads: the batch's. Blocks: until the deadline of the run.
 */
DAL_NODISCARD dal_status dal_batch_next(dal_batch *batch, bool *found_out, dal_error *err);

/**
 * Returns the cursor over the current statement's rows; NULL for a write, a failure, and when there is none.
 *
 * dal_rows_close() is allowed and not needed. Borrowed until the next dal_batch_next() or dal_batch_close().
 * Threads: the batch's. Blocks: no; its rows do as those of any query.
 */
dal_rows *dal_batch_rows(dal_batch *batch);
/** Returns the rows that the current statement matched; 0 for a query. */
int64_t dal_batch_n_rows(const dal_batch *batch);
/** Returns the id that the server generated for the current statement; 0 if it reports none. */
int64_t dal_batch_insert_id(const dal_batch *batch);
/** Returns the current statement's place in the batch, from 0, in the order of dal_batch_add(). */
size_t dal_batch_index(const dal_batch *batch);

/**
 * Ends a batch. Accepts NULL.
 *
 * Results that were not read are dropped, writes that were not sent yet are: leaving results unread undoes nothing, in a
 * transaction a failure among them spoils it, and elsewhere nobody hears of it. A batch that was never run does nothing.
 * A transaction's function that returns DAL_OK with results unread does the same before COMMIT.
 * Threads: the batch's. Blocks: until the deadline of the run.
 */
void dal_batch_close(dal_batch *batch);

DAL_END_DECLS

#endif
