/* SPDX-License-Identifier: MIT */
#ifndef DAL_SHARD_CLUSTER_STATE_H
#define DAL_SHARD_CLUSTER_STATE_H

#include <pthread.h>
#include <stdatomic.h>

#include <dal/cluster.h>

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
} dal__shard;

/* A transaction under way, to notice one inside another on the same thread. Lives on the runner's stack. */
typedef struct dal__running {
        pthread_t thread;
        const char *here;
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

        dal__map map;
        _Atomic uint32_t n_shards;
        dal__shard *shards[DAL__MAX_SHARDS]; /* in order of joining; the first n_shards are set */
        _Atomic(dal__shard *) by_number[DAL__MAX_SHARDS];

        atomic_bool closing;
        pthread_mutex_t
                refresh_lock; /* one refresh at a time; held during its I/O, never on a statement's way */
        pthread_mutex_t timer_lock; /* guards `stop` */
        pthread_cond_t timer_wake;
        bool stop, has_timer;
        pthread_t timer;

        struct {
                pthread_mutex_t lock;
                dal__running *first;
        } running[DAL__RUNNING_BUCKETS];
};

/* Makes the shard of a URL known under a number. */
dal_status dal__cluster_add_shard(dal_cluster *cluster, uint16_t number, dal_dsn *dsn, dal_pool *pool,
                                  dal_error *err);
/* Makes a pool for a database of this cluster. */
dal_status dal__cluster_new_pool(dal_cluster *cluster, const dal_driver *driver, const dal_dsn *dsn,
                                 const char *name, dal_pool **out, dal_error *err);
/* Reads the catalog behind `pool`; *found_out is false if there is none. */
dal_status dal__cluster_load(dal_cluster *cluster, dal_pool *pool, dal_deadline deadline, bool *found_out,
                             dal_error *err);
/* Starts and stops the thread that asks for newer maps. */
dal_status dal__cluster_start_timer(dal_cluster *cluster, dal_error *err);
void dal__cluster_stop_timer(dal_cluster *cluster);
/* Finds a shard by its number; NULL if there is none. */
dal__shard *dal__cluster_find(const dal_cluster *cluster, uint16_t number);
/* Leases a connection to a shard whose identity is checked at first use. */
dal_status dal__cluster_acquire(const char *here, dal_cluster *cluster, dal__shard *shard, bool tx_mode,
                                dal_deadline deadline, dal_conn **out, dal_error *err);
/* Refuses once dal_cluster_close() was called. */
dal_status dal__cluster_check_open(const dal_cluster *cluster, dal_error *err);
dal_deadline dal__cluster_deadline(const dal_cluster *cluster, uint32_t timeout_ms);

#endif
