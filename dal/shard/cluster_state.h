/* SPDX-License-Identifier: MIT */
#ifndef DAL_SHARD_CLUSTER_STATE_H
#define DAL_SHARD_CLUSTER_STATE_H

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/types.h>

#include <dal/cluster.h>

#include "conn/pool_impl.h"
#include "shard/map.h"

/* The body of a cluster, for cluster*.c and fanout.c only. */

#define DAL__MAX_SHARDS      4096u /* shard numbers are below this */
#define DAL__RUNNING_BUCKETS 64u
#define DAL__CLUSTER_ID_SIZE 64u

/* One shard; never freed before the cluster, so that a pointer to it stays good without a lock. */
typedef struct dal__shard {
        uint16_t number;
        atomic_bool verified; /* its dal_identity row was compared */
        const dal_driver *driver;
        dal_dsn *dsn;
        dal_pool *pool;
        _Atomic(char *) outcome_table;   /* its full name, owned; NULL as long as none was found */
        _Atomic int64_t outcome_look_at; /* when to look for it; 0 = nobody has yet */
        int64_t purge_at; /* when to delete old tokens; 0 = not settled yet; for the timer alone */
} dal__shard;

/* A dal_cluster_run() under way. Lives on the runner's stack. */
typedef struct dal__running {
        pthread_t thread;
        const char *here;
        bool in_tx; /* not while it pauses or calls hooks; for its own thread only */
        struct dal__running *next;
} dal__running;

struct dal_cluster {
        dal_cluster_options options;
        char *service;
        const dal_driver *const *drivers;
        size_t n_drivers;

        dal_dsn *dsn;      /* of the URL the cluster was opened with */
        dal_pool *catalog; /* NULL when the URL is a single database: its pool is then shard 0's */
        char cluster_id[DAL__CLUSTER_ID_SIZE + 1]; /* "" for a single database */

        uint32_t fanout_grace_ms; /* how long what nobody wants any more may take to end */
        dal__map map;
        _Atomic uint32_t n_shards;
        dal__shard *shards[DAL__MAX_SHARDS]; /* in order of joining; the first n_shards are set */
        _Atomic(dal__shard *) by_number[DAL__MAX_SHARDS];

        atomic_bool closing;
        pthread_mutex_t refresh_lock; /* guards the three below */
        pthread_cond_t refresh_done;
        bool refreshing;      /* somebody reads the catalog: one at a time is enough */
        bool refresh_worked;  /* the last one that ended */
        uint64_t n_refreshes; /* begun so far */

        pthread_mutex_t timer_lock; /* guards `timer_stop` and `timer_busy` */
        pthread_cond_t timer_wake;
        bool has_timer, timer_stop;
        bool timer_busy; /* in a refresh or a purge, which may take a while */
        pthread_t timer;
        pid_t timer_pid; /* a child of fork() has no such thread to join */

        struct {
                _Atomic uint32_t n_calls; /* of this bucket's threads, inside the cluster now */
                pthread_mutex_t lock;
                dal__running *first;
        } running[DAL__RUNNING_BUCKETS];
};

/* Makes the shard of a URL known under a number. */
dal_status dal__cluster_add_shard(dal_cluster *cluster, uint16_t number, const dal_driver *driver,
                                  dal_dsn *dsn, dal_pool *pool, dal_error *err);
/* Makes a pool for a database of this cluster. */
dal_status dal__cluster_new_pool(dal_cluster *cluster, const dal_driver *driver, const dal_dsn *dsn,
                                 const char *name, dal_pool **out, dal_error *err);
/* Reads the catalog behind `pool`; *found_out is false if there is none. */
dal_status dal__cluster_load(dal_cluster *cluster, dal_pool *pool, dal_deadline deadline, bool *found_out,
                             dal_error *err);
/* As dal_cluster_refresh(), with a deadline of the caller's. */
dal_status dal__cluster_refresh(dal_cluster *cluster, dal_deadline deadline, dal_error *err);
/*
 * Starts and stops the thread that asks for newer maps and deletes old tokens; stopping fails when it hangs in that too
 * long.
 */
dal_status dal__cluster_start_timer(dal_cluster *cluster, dal_error *err);
dal_status dal__cluster_stop_timer(dal_cluster *cluster, dal_deadline deadline, dal_error *err);
/*
 * Gives the table for the token of a transaction that is about to begin on a leased connection, NULL for none. Looks for
 * it first if need be.
 */
dal_status dal__cluster_outcome_table(dal_cluster *cluster, dal__shard *shard, dal_conn *conn,
                                      dal_deadline deadline, const char **out, dal_error *err);
/* The same look on a lease that is made anyway, so that the first transaction does not pay for it. */
dal_status dal__cluster_look_for_outcomes(dal_cluster *cluster, dal__shard *shard, dal_conn *conn,
                                          dal_deadline deadline, dal_error *err);
/* Deletes old tokens on the shards whose hour has come, by the clock; `random` is the caller's state. Failures are silent. */
void dal__cluster_purge_due(dal_cluster *cluster, int64_t now, uint64_t *random);
/* Settles an attempt that ended in doubt: DAL_OK if it was committed, else *err says what it is now. */
dal_status dal__cluster_settle(const char *here, dal__shard *shard, dal_tx *tx, dal_error *err);
/* Waits on a condition with the monotonic clock. */
void dal__cluster_wait(pthread_cond_t *cond, pthread_mutex_t *lock, dal_deadline deadline);
/* Finds a shard by its number; NULL if there is none. */
static inline dal__shard *dal__cluster_find(const dal_cluster *cluster, uint16_t number)
{
        return number < DAL__MAX_SHARDS
                       ? atomic_load_explicit(&cluster->by_number[number], memory_order_acquire)
                       : NULL;
}
/* The shard of a key; NULL if there is none. */
static inline dal__shard *dal__cluster_peek_shard(const dal_cluster *cluster, const dal_key *key)
{
        return dal_key_is_set(key)
                       ? dal__cluster_find(cluster, dal__map_shard(&cluster->map, dal_key_slot(key)))
                       : NULL;
}
/* What follows a lease that failed, or the first one of a shard, whose identity is then checked. */
dal_status dal__cluster_verify(dal_cluster *cluster, dal__shard *shard, dal_status leased,
                               dal_deadline deadline, dal_conn **conn, dal_error *err);
/* Leases a connection; `now` by the clock, a moment ago. */
static inline dal_status dal__cluster_acquire(const char *here, dal_cluster *cluster, dal__shard *shard,
                                              bool tx_mode, int64_t now, dal_deadline deadline,
                                              dal_conn **out, dal_error *err)
{
        dal_status s = dal__pool_acquire(here, shard->pool, tx_mode, now, deadline, out, err);

        if (s == DAL_OK && atomic_load_explicit(&shard->verified, memory_order_acquire))
                return DAL_OK;
        return dal__cluster_verify(cluster, shard, s, deadline, out, err);
}
/*
 * Every call that may pause or block stands between these two, on one thread: dal_cluster_close() waits for it also
 * while it holds no lease. Refused once that was called.
 */
static inline uint32_t dal__cluster_bucket(pthread_t thread)
{
        uint64_t bits = 0;

        memcpy(&bits, &thread, sizeof thread < sizeof bits ? sizeof thread : sizeof bits);
        return (uint32_t)((bits * 0x9e3779b97f4a7c15u) >> 58) % DAL__RUNNING_BUCKETS;
}
static inline void dal__cluster_leave_bucket(dal_cluster *cluster, uint32_t bucket)
{
        /* The last touch: whoever closes the cluster may free it now. */
        atomic_fetch_sub(&cluster->running[bucket].n_calls, 1);
}
static inline void dal__cluster_end_call(dal_cluster *cluster)
{
        dal__cluster_leave_bucket(cluster, dal__cluster_bucket(pthread_self()));
}
dal_status dal__cluster_refuse_call(dal_cluster *cluster, dal_error *err);
/* For the calls that can't keep what DAL_STMT_RESOLVE promises. */
dal_status dal__cluster_refuse_resolve(const dal_stmt *stmt, const char *call, dal_error *err);
static inline dal_status dal__cluster_enter_bucket(dal_cluster *cluster, uint32_t bucket, dal_error *err)
{
        /* Counted before `closing` is looked at: dal_cluster_close() sets that before it counts. */
        atomic_fetch_add(&cluster->running[bucket].n_calls, 1);
        return atomic_load(&cluster->closing) ? dal__cluster_refuse_call(cluster, err) : DAL_OK;
}
static inline dal_status dal__cluster_begin_call(dal_cluster *cluster, dal_error *err)
{
        return dal__cluster_enter_bucket(cluster, dal__cluster_bucket(pthread_self()), err);
}
/* Waits until no call is inside any more; DAL_ERR_TIMEOUT names one. */
dal_status dal__cluster_drain_calls(dal_cluster *cluster, dal_deadline deadline, dal_error *err);
/* Finds the shard of a key; NULL, with *err filled, if there is none. */
dal__shard *dal__cluster_shard_of(const dal_cluster *cluster, const dal_key *key, dal_error *err);
/* Pauses before the next attempt; false when there is to be none. `random` is kept from one to the next. */
bool dal__cluster_pause(dal_cluster *cluster, const char *here, uint32_t attempt, uint32_t max_attempts,
                        bool retry_unique, dal_deadline deadline, uint64_t *random, const dal_error *failure);
dal_deadline dal__cluster_deadline(const dal_cluster *cluster, uint32_t timeout_ms);

#endif
