/* SPDX-License-Identifier: MIT */
#ifndef DAL_CLUSTER_H
#define DAL_CLUSTER_H

/*
 * The cluster: everything a service can reach. One per process, used by all threads.
 *
 *      static const dal_driver *drivers[1];
 *      drivers[0] = dal_driver_postgres();
 *      dal_cluster_options options = DAL_CLUSTER_OPTIONS_INIT;
 *      options.service = "orders";
 *      s = dal_cluster_open("postgres://orders@localhost/shop", drivers, 1, &options, &shop, &err);
 *
 * The URL names either a catalog (a database made by `dalctl cluster init`, which lists the shards and the slot
 * map) or any other database, which then is one shard that owns every slot: code written on day 0 is already
 * sharded.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <dal/driver.h>
#include <dal/error.h>
#include <dal/key.h>
#include <dal/macros.h>
#include <dal/pool.h>
#include <dal/rows.h>
#include <dal/stmt.h>
#include <dal/tx.h>
#include <dal/value.h>

DAL_BEGIN_DECLS

typedef struct dal_cluster dal_cluster;

/** One event for logs and metrics. Borrowed during the call. */
typedef enum dal_event_kind {
        DAL_EVENT_RETRY,   /* a transaction is about to run again */
        DAL_EVENT_LEAK,    /* a lease is held for too long */
        DAL_EVENT_MAP      /* a newer slot map was loaded */
} dal_event_kind;
typedef struct dal_event {
        dal_event_kind kind;
        const char *where;       /* file:line of the transaction or lease; may be NULL */
        uint32_t attempt;        /* RETRY: the attempt that failed */
        uint32_t delay_ms;       /* RETRY: pause before the next one */
        const dal_error *error;  /* RETRY: why */
        uint64_t held_ms;        /* LEAK */
        uint64_t map_version;    /* MAP */
} dal_event;
typedef void dal_event_fn(void *arg, const dal_event *event);

/** Whether transactions carry a token by which the library finds out what became of a lost COMMIT: see outcome.h. */
typedef enum dal_outcomes {
        DAL_OUTCOMES_AUTO,     /* on every shard that has the table dal_outcome; looked for again once a minute */
        DAL_OUTCOMES_REQUIRED, /* a transaction that may write is refused on a shard without it */
        DAL_OUTCOMES_OFF,      /* never: a lost answer to COMMIT is DAL_ERR_IN_DOUBT at once */
        DAL_OUTCOMES_NUMBERS   /* as AUTO, but PostgreSQL is asked for the transaction's own number where that travels
                                  with its first write: no row, but no answer after a fail-over or a crash */
} dal_outcomes;

/** How a cluster behaves. Zero means the default in brackets; fill it by DAL_CLUSTER_OPTIONS_INIT. */
typedef struct dal_cluster_options {
        size_t struct_size;
        const char *service;        /* this service's name, shown by the servers [the URL's application_name, else "dal"]. Copied */
        uint32_t timeout_ms;        /* for an operation without its own limit [10000] */
        uint32_t map_refresh_ms;    /* how often the catalog is asked for a newer slot map, jittered [5000] */
        dal_event_fn *on_event;     /* called from the thread concerned, without locks [none] */
        void *on_event_arg;
        dal_pool_options pool;      /* for each shard; `name`, `conn.service` and on_leak are set by the cluster */
        dal_outcomes outcomes;      /* [DAL_OUTCOMES_AUTO] */
        uint32_t outcome_keep_hours; /* older tokens are deleted in the background, about once an hour; at least 1
                                        [168: a week]; DAL_OUTCOME_KEEP_ALL = never */
} dal_cluster_options;
#define DAL_OUTCOME_KEEP_ALL UINT32_MAX
#define DAL_CLUSTER_OPTIONS_INIT                                                                   \
        { sizeof(dal_cluster_options), NULL, 0, 0, NULL, NULL, DAL_POOL_OPTIONS_INIT, DAL_OUTCOMES_AUTO, 0 }

/**
 * Opens a cluster: reads the catalog if the URL names one. Shards are connected to when first used.
 *
 * @param url      see dsn.h. Copied
 * @param drivers  the drivers linked into this program. The array is kept, too: make it static
 * @param options  NULL = defaults
 * @return DAL_OK
 *         DAL_ERR_ARG     bad URL, unknown scheme or a bad option
 *         DAL_ERR_CONN, DAL_ERR_AUTH, DAL_ERR_NOT_FOUND   the database can't be reached
 *         DAL_ERR_ROUTE   the catalog is not whole (slots without an owner, unknown hash scheme)
 * Ownership: *out is owned; end it with dal_cluster_close(). Threads: any. Blocks: up to options.timeout_ms.
 */
DAL_NODISCARD dal_status dal_cluster_open(const char *url, const dal_driver *const *drivers, size_t n_drivers,
                                          const dal_cluster_options *options, dal_cluster **out,
                                          dal_error *err);

/**
 * Closes a cluster: refuses new work, waits for running work up to `timeout_ms`, then frees.
 *
 * @return DAL_OK, or DAL_ERR_TIMEOUT naming who still holds a connection: nothing is freed then, call again.
 * Threads: any one. Blocks: up to timeout_ms.
 */
dal_status dal_cluster_close(dal_cluster *cluster, uint32_t timeout_ms, dal_error *err);

/**
 * Runs `fn` in a transaction on the shard of `key`; commits, retries and rolls back. See tx.h.
 *
 * @param options  NULL = defaults
 * @return DAL_OK           committed
 *         DAL_ERR_IN_DOUBT COMMIT was sent, no answer came, and what became of it could not be found out: it may or may
 *                          not have happened; err->outcome_token, if not "", can be asked about later (outcome.h)
 *         DAL_ERR_ROUTE    no key, or no shard owns its slot
 *         DAL_ERR_STATE    this thread is already inside dal_cluster_run() for this cluster (use dal_tx_run())
 *         anything else    rolled back; what `fn` returned, or the last failure after the attempts or the
 *                          deadline were used up: what the last whole attempt failed with, if the deadline cut the
 *                          next one short, but DAL_ERR_TIMEOUT if that had found a server that gave no answer, where
 *                          the one before had lost its connection
 * Threads: any. Blocks: up to the deadline.
 */
DAL_NODISCARD dal_status dal_cluster_run_at(const char *here, dal_cluster *cluster, dal_key key,
                                            const dal_tx_options *options, dal_tx_fn *fn, void *arg,
                                            dal_error *err);
#define dal_cluster_run(cluster, key, options, fn, arg, err)                                       \
        dal_cluster_run_at(DAL_HERE, cluster, key, options, fn, arg, err)

/**
 * Runs one statement on the shard of `key`, in one round trip; it commits by itself.
 *
 * Not for use inside a transaction's function: it runs on a connection of its own, does not see the transaction's
 * work, and waits in vain for the locks that the transaction holds. Use dal_tx_exec() there.
 * Retried after contention and when nothing was sent. When the connection is lost after the statement was sent,
 * its effect is unknown: DAL_ERR_IN_DOUBT, unless the statement has DAL_STMT_RESOLVE and the shard the table
 * dal_outcome. It then runs as a transaction, with one round trip more, and is treated as one; not inside another.
 * @param n_rows_out  rows matched; may be NULL
 * Threads: any. Blocks: up to the cluster's timeout.
 */
DAL_NODISCARD dal_status dal_cluster_exec_at(const char *here, dal_cluster *cluster, dal_key key,
                                             const dal_stmt *stmt, dal_params params, int64_t *n_rows_out,
                                             dal_error *err);
#define dal_cluster_exec(cluster, key, stmt, params, n_rows_out, err)                              \
        dal_cluster_exec_at(DAL_HERE, cluster, key, stmt, params, n_rows_out, err)

/**
 * Runs one query on the shard of `key`, in one round trip.
 *
 * Ownership: *out is lent, and with it a connection, until dal_rows_close().
 * Threads: any. Blocks: up to the cluster's timeout.
 */
DAL_NODISCARD dal_status dal_cluster_query_at(const char *here, dal_cluster *cluster, dal_key key,
                                              const dal_stmt *stmt, dal_params params, dal_rows **out,
                                              dal_error *err);
#define dal_cluster_query(cluster, key, stmt, params, out, err)                                    \
        dal_cluster_query_at(DAL_HERE, cluster, key, stmt, params, out, err)

/** Like dal_cluster_run() on a shard named by its number: for reference tables, tools and checks. */
DAL_NODISCARD dal_status dal_cluster_run_on_at(const char *here, dal_cluster *cluster, uint16_t shard,
                                               const dal_tx_options *options, dal_tx_fn *fn, void *arg,
                                               dal_error *err);
#define dal_cluster_run_on(cluster, shard, options, fn, arg, err)                                  \
        dal_cluster_run_on_at(DAL_HERE, cluster, shard, options, fn, arg, err)

/** Returns the number of shards. Threads: any. Blocks: no. */
uint16_t dal_cluster_n_shards(const dal_cluster *cluster);

/** What is known of a shard. Text is borrowed until dal_cluster_close(). */
typedef struct dal_shard_info {
        uint16_t shard;           /* its number in the catalog */
        uint32_t n_slots;         /* slots it owns */
        const char *url;          /* without password */
        const char *driver;
        dal_pool_stats pool;
} dal_shard_info;

/** Fills what is known of the i-th shard; DAL_ERR_ARG if there is none. Threads: any. Blocks: no. */
DAL_NODISCARD dal_status dal_cluster_shard_info(dal_cluster *cluster, uint16_t i_shard, dal_shard_info *out,
                                                dal_error *err);

/** Returns the number of the shard that owns a key's slot; DAL_NO_SHARD if none. Threads: any. Blocks: no. */
uint16_t dal_cluster_locate(const dal_cluster *cluster, dal_key key);
/** Returns the version of the slot map in use; 0 for a single database. Threads: any. Blocks: no. */
uint64_t dal_cluster_map_version(const dal_cluster *cluster);
/** Asks the catalog for a newer slot map now. Threads: any. Blocks: up to the cluster's timeout. */
DAL_NODISCARD dal_status dal_cluster_refresh(dal_cluster *cluster, dal_error *err);

/** Leases a plain connection to the i-th shard: for schema scripts and tools. Threads: any. Blocks. */
DAL_NODISCARD dal_status dal_cluster_lease_at(const char *here, dal_cluster *cluster, uint16_t i_shard,
                                              dal_conn **out, dal_error *err);
#define dal_cluster_lease(cluster, i_shard, out, err)                                              \
        dal_cluster_lease_at(DAL_HERE, cluster, i_shard, out, err)
/** Gives a connection of dal_cluster_lease() back. */
void dal_cluster_release(dal_cluster *cluster, uint16_t i_shard, dal_conn *conn);

DAL_END_DECLS

#endif
