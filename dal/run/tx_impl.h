/* SPDX-License-Identifier: MIT */
#ifndef DAL_RUN_TX_IMPL_H
#define DAL_RUN_TX_IMPL_H

#include <pthread.h>

#include <dal/batch.h>
#include <dal/conn.h>
#include <dal/tx.h>

#include "conn/conn_impl.h"
#include "run/outcome.h"

struct dal__map;

typedef struct dal__tx_hook {
        dal_tx_hook_fn *fn;
        void *arg;
} dal__tx_hook;

typedef struct dal__tx_hooks {
        dal__tx_hook *items;
        size_t n, n_room;
} dal__tx_hooks;

typedef enum dal__tx_outcome {
        DAL__TX_NOT_BEGUN,
        DAL__TX_COMMITTED,
        DAL__TX_ROLLED_BACK,
        DAL__TX_IN_DOUBT
} dal__tx_outcome;

/* One attempt at a unit of work. The loop around it lives with the cluster, which knows where to go. */
struct dal_tx {
        dal_conn *conn;
        const struct dal__map *map;
        const dal_tx_options *options;
        dal_key key;
        dal_deadline deadline;
        uint16_t shard;
        uint32_t attempt;
        uint32_t n_savepoints; /* set so far, for their numbers */
        pthread_t thread;
        dal_error failure; /* the first failure of this attempt that spoilt the transaction */
        dal__tx_hooks on_commit, on_rollback;
        dal_batch *batches; /* that were made in this attempt and not closed */
        dal__tx_outcome outcome;
        const char *outcome_table;          /* for a token; NULL = none */
        bool wants_number;                  /* of the transaction, for a token without a row */
        char number[DAL__CONN_NUMBER_SIZE]; /* "" = not known */
        char token[DAL__OUTCOME_HEX_SIZE];  /* of the COMMIT under way; "" = none */
        int64_t commit_at;                  /* when that was about to be sent */
        uint64_t session_id;                /* where */
};

/*
 * Runs one attempt on a leased connection that is idle: begin, the function, commit or rollback. On failure *err is
 * complete, and its bits say whether another attempt can help. Either way dal__tx_end() comes next.
 */
dal_status dal__tx_attempt(dal_tx *tx, dal_tx_fn *fn, void *arg, dal_error *err);
/* Refuses what is no transaction, and a thread that is not the transaction's. */
DAL_COLD dal_status dal__tx_refuse_caller(const dal_tx *tx, dal_error *err);
static inline dal_status dal__tx_check_caller(const dal_tx *tx, dal_error *err)
{
        return tx && pthread_equal(tx->thread, pthread_self()) ? DAL_OK : dal__tx_refuse_caller(tx, err);
}
/* tx_batch.c: a batch was closed; those that were not do not outlive the attempt. */
void dal__tx_forget_batch(dal_batch *batch);
void dal__tx_free_batches(dal_tx *tx);
/* Drops what they have not sent yet: the work is to be undone. */
void dal__tx_abandon_batches(dal_tx *tx);
/* Calls the hooks that the outcome asks for. The lease may be gone by then: a hook may want one of its own. */
void dal__tx_end(dal_tx *tx);

#endif
