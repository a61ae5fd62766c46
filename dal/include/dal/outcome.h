/* SPDX-License-Identifier: MIT */
#ifndef DAL_OUTCOME_H
#define DAL_OUTCOME_H

/*
 * What became of a COMMIT whose answer was lost.
 *
 * Where a shard has the table dal_outcome (`dalctl cluster init` or `dalctl schema apply` makes it), every transaction
 * that writes inserts one small row with a random token as its last statement, in the same packet as COMMIT. If the
 * answer is lost the library ends the old session and inserts the same token itself, marked as not committed: if that
 * works the transaction never was and never will be committed, and is run again; if the row is there it was. So
 * dal_cluster_run() answers with the truth. Only if the server stays away until the deadline it returns
 * DAL_ERR_IN_DOUBT, and dal_error.outcome_token can be asked about later, by any process:
 *
 *      if (err.status == DAL_ERR_IN_DOUBT && err.outcome_token[0])
 *              s = dal_resolve(shop, err.outcome_token, 5000, &outcome, &err);
 *
 * To ask about a transaction that is still open ends it: from then on it can't be committed.
 */

#include <stdint.h>

#include <dal/cluster.h>
#include <dal/error.h>
#include <dal/macros.h>

DAL_BEGIN_DECLS

typedef enum dal_outcome {
        DAL_OUTCOME_UNKNOWN,
        DAL_OUTCOME_COMMITTED,
        DAL_OUTCOME_NOT_COMMITTED /* and never will be */
} dal_outcome;

/** Returns "committed", "not committed" or "unknown". Static. Threads: any. Blocks: no. */
const char *dal_outcome_name(dal_outcome outcome);

/**
 * Finds out how a transaction ended whose COMMIT got no answer. May be asked again and again.
 *
 * @param token       dal_error.outcome_token: 32 hex digits
 * @param timeout_ms  0 = the cluster's
 * @return DAL_OK            *out is COMMITTED or NOT_COMMITTED
 *         DAL_ERR_IN_DOUBT  UNKNOWN: the server can't be asked now, or the token is so old that its row was purged
 *         DAL_ERR_ARG       this is no token
 *         DAL_ERR_NOT_FOUND the cluster has no such shard, or that has no table dal_outcome
 * Threads: any. Blocks: up to timeout_ms.
 */
DAL_NODISCARD dal_status dal_cluster_resolve(dal_cluster *cluster, const char *token, uint32_t timeout_ms,
                                             dal_outcome *out, dal_error *err);
#define dal_resolve dal_cluster_resolve

/* No session may hold a transaction open for as long as this: a token purged before its COMMIT arrives is lost. */
#define DAL_OUTCOME_RETENTION_S     (7u * 24 * 3600)
#define DAL_OUTCOME_MIN_RETENTION_S 3600u

/**
 * Deletes the tokens of one shard that are older than `retention_s`, in small transactions.
 *
 * First it notes in the table up to when it purges, so that nobody takes a purged token for "not committed". The age is
 * told by the server's clock; DAL_ERR_STATE, and nothing is deleted, when this machine's differs by more than a minute.
 * @param i_shard      0 .. dal_cluster_n_shards() - 1
 * @param retention_s  0 = DAL_OUTCOME_RETENTION_S; not below DAL_OUTCOME_MIN_RETENTION_S
 * @param n_out        tokens deleted, also when it failed; may be NULL
 * @return DAL_OK, DAL_ERR_ARG, DAL_ERR_NOT_FOUND (no table dal_outcome), DAL_ERR_TIMEOUT or what the server said
 * Threads: any. Blocks: up to timeout_ms; 0 = the cluster's.
 */
DAL_NODISCARD dal_status dal_cluster_purge_outcomes(dal_cluster *cluster, uint16_t i_shard, uint32_t retention_s,
                                                    uint32_t timeout_ms, uint64_t *n_out, dal_error *err);

DAL_END_DECLS

#endif
