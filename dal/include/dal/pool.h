/* SPDX-License-Identifier: MIT */
#ifndef DAL_POOL_H
#define DAL_POOL_H

/*
 * A bounded pool of connections to one database. A cluster has one per shard; tools may use one by itself.
 *
 * Waiters are served in order of arrival and a newcomer never overtakes them. No I/O happens under the pool's
 * lock: connecting, checking and closing count against the size but hold nobody up. A server that is down is
 * asked again with growing, jittered pauses; when it returns the pool fills by itself, also from empty.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <dal/clock.h>
#include <dal/conn.h>
#include <dal/driver.h>
#include <dal/dsn.h>
#include <dal/error.h>
#include <dal/macros.h>

DAL_BEGIN_DECLS

typedef struct dal_pool dal_pool;

/** One lease that is held for too long, for the leak report. Borrowed during the call. */
typedef struct dal_lease_info {
        const char *where;   /* "order.c:42", where it was acquired */
        uint64_t held_ms;
        const char *pool_name;
} dal_lease_info;
typedef void dal_leak_fn(void *arg, const dal_lease_info *lease);

/** How a pool behaves. Zero means the default in brackets; fill it by DAL_POOL_OPTIONS_INIT. */
typedef struct dal_pool_options {
        size_t struct_size;
        const char *name;              /* shown in errors and statistics; NULL = the redacted URL. Copied */
        uint32_t max_size;             /* connections at most [10] */
        uint32_t min_idle;             /* kept open and idle by the pool itself, from the start [0] */
        uint32_t max_waiters;          /* callers waiting at most; a further one is refused at once [1000] */
        uint32_t connect_timeout_ms;   /* for one connect, the caller's deadline apart [5000] */
        uint32_t validate_after_ms;    /* a connection idle for longer is pinged before it is lent [1000] */
        uint32_t max_lifetime_ms;      /* then a connection is replaced; each lives 75 to 100 % of it [1800000] */
        uint32_t max_idle_ms;          /* surplus idle connections are closed after this [600000] */
        uint32_t leak_after_ms;        /* a lease held for longer is reported once [30000] */
        dal_leak_fn *on_leak;          /* called by the pool's own thread, without locks [none] */
        void *on_leak_arg;
        dal_conn_options conn;
} dal_pool_options;
#define DAL_POOL_OPTIONS_INIT                                                                      \
        { sizeof(dal_pool_options), NULL, 0, 0, 0, 0, 0, 0, 0, 0, NULL, NULL, DAL_CONN_OPTIONS_INIT }

/** A snapshot; the sums hold (size = idle + leased + connecting + closing). */
typedef struct dal_pool_stats {
        uint32_t max_size, size, idle, leased, connecting, closing, waiting;
        uint64_t n_acquired, n_waited, n_timeouts, n_refused;
        uint64_t n_opened, n_closed, n_connect_errors, n_leaks;
        uint64_t wait_ns;             /* total time spent waiting */
} dal_pool_stats;

/**
 * Makes a pool; opens nothing yet unless min_idle asks for it (then in the background).
 *
 * @param dsn  copied. @param options NULL = defaults; copied
 * Ownership: *out is owned; end it with close, drain and free. Threads: any. Blocks: no.
 */
DAL_NODISCARD dal_status dal_pool_new(const dal_driver *driver, const dal_dsn *dsn,
                                      const dal_pool_options *options, dal_pool **out, dal_error *err);

/**
 * Leases a connection, waiting until `deadline` for one to fall free.
 *
 * @param tx_mode  which mode is wanted (DAL_CAP_TX_MODE); an idle connection in that mode is preferred
 * @return DAL_OK
 *         DAL_ERR_EXHAUSTED  none fell free; the message says who holds what since when. At once when max_waiters
 *                            callers wait already, when this thread itself holds every connection, or when the line
 *                            moves too slowly for this caller: judged by how long leases were held lately, it would
 *                            be served after the deadline or too near to it for the usual work. The first in the
 *                            line is never refused so
 *         DAL_ERR_CONN, DAL_ERR_AUTH ...  a new connection could not be opened
 *         DAL_ERR_STATE      dal_pool_close() was called, or the pool was made before fork(): a child must leave it
 *                            alone, for its connections are the parent's
 * Ownership: *out is lent; give it back with dal_pool_release(). Threads: any. Blocks: until the deadline.
 */
DAL_NODISCARD dal_status dal_pool_acquire_at(const char *here, dal_pool *pool, bool tx_mode,
                                             dal_deadline deadline, dal_conn **out, dal_error *err);
#define dal_pool_acquire(pool, tx_mode, deadline, out, err)                                        \
        dal_pool_acquire_at(DAL_HERE, pool, tx_mode, deadline, out, err)

/**
 * Gives a lease back. The server's own transaction state decides its fate: idle and clean it is lent again,
 * in a transaction it is rolled back first, anything else is closed.
 *
 * Accepts a NULL connection. Threads: any. Blocks: for the rollback, at most one second, without any lock.
 */
void dal_pool_release(dal_pool *pool, dal_conn *conn);

/** Stops lending: waiters are sent away, idle connections closed. Idempotent. Threads: any. Blocks: no. */
void dal_pool_close(dal_pool *pool);
/** Waits until every lease came back; DAL_ERR_TIMEOUT names the holders. After close. Threads: any. Blocks. */
DAL_NODISCARD dal_status dal_pool_drain(dal_pool *pool, dal_deadline deadline, dal_error *err);
/** Frees an empty, closed pool; DAL_ERR_STATE names the holders and frees nothing. NULL is fine. Blocks: shortly. */
dal_status dal_pool_free(dal_pool *pool, dal_error *err);

/** Takes a snapshot of the counters. Threads: any. Blocks: no. */
dal_pool_stats dal_pool_get_stats(dal_pool *pool);

DAL_END_DECLS

#endif
