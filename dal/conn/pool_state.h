/* SPDX-License-Identifier: MIT */
#ifndef DAL_CONN_POOL_STATE_H
#define DAL_CONN_POOL_STATE_H

#include <pthread.h>
#include <stdatomic.h>
#include <sys/types.h>
#include <time.h>

#include <dal/pool.h>

#include "conn/conn_impl.h"
#include "conn/pool_overload.h"

/*
 * The body of a pool, for the pool*.c files only.
 *
 * Every place for a connection is a slot; a slot is in one state, and every change of state happens under the lock.
 * Whoever moves a slot to LEASED, CONNECTING or CLOSING owns its connection and does the I/O without the lock.
 *
 * One connection may be parked: given back without the lock, to be taken without it. It stays LEASED until somebody
 * with the lock unparks it, which everybody does who looks for connections there. A connection is parked only while
 * nobody waits and the pool is open; whoever parks one looks at both again afterwards, and whoever begins to wait or
 * to close looks at the parked one afterwards: so one of the two sees the other.
 */

typedef enum dal__slot_state {
        DAL__SLOT_FREE,
        DAL__SLOT_IDLE,
        DAL__SLOT_LEASED,
        DAL__SLOT_CONNECTING,
        DAL__SLOT_CLOSING,
        DAL__N_SLOT_STATES
} dal__slot_state;

/* 64 bytes where pointers have eight: as large as a line of the processor's cache. */
typedef struct dal__pool_slot {
        dal_conn *conn;
        /* Written by the lessee without the lock, read by whoever reports: relaxed atomics. */
        const char *_Atomic where; /* LEASED: who has it */
        _Atomic int64_t since;     /* LEASED, IDLE, CONNECTING: nanoseconds on the monotonic clock */
        int64_t used_at;           /* when it last did its work: the older, the more doubtful */
        int64_t expires_at;
        _Atomic pthread_t owner; /* LEASED: the thread that acquired it */
        uint32_t prev,
                next; /* IDLE: the one used later and earlier. FREE: next. Indexes, DAL__NO_SLOT at the end */
        uint32_t heard; /* of pool->news.n, when it was lent last by the lock */
        uint8_t state;  /* DAL__SLOT_* */
        bool tx_mode;
        atomic_bool leak_reported;
        atomic_bool leads_astray; /* to a server that has become read-only */
} dal__pool_slot;

#define DAL__NO_SLOT UINT32_MAX

/* One caller that waits; lives on its stack. */
typedef struct dal__pool_waiter {
        struct dal__pool_waiter *prev, *next;
        pthread_cond_t cond;
        dal__pool_slot *
                slot; /* what was handed over: LEASED with a connection, or CONNECTING: the right to make one */
        const char *where;
        pthread_t thread;
        bool tx_mode;
} dal__pool_waiter;

struct dal_pool {
        /* Set once. */
        const dal_driver *driver;
        dal_dsn *dsn;
        char *name;
        char *service;
        dal_pool_options options; /* defaults filled in; times below in nanoseconds */
        int64_t connect_timeout, validate_after, max_idle, leak_after;
        bool has_modes;
        dal__conn_process process; /* that made the pool */
        pthread_condattr_t monotonic;

        _Atomic(dal__pool_slot *) parked;
        _Atomic uint64_t n_unlocked; /* leases taken without the lock */
        _Atomic uint32_t n_parking;  /* callers who have given their lease back but still look at the pool */
        dal__conn_news news;

        pthread_mutex_t lock;  /* over all that follows; no I/O while it is held */
        dal__pool_slot *slots; /* max_size of them */
        uint32_t n_in[DAL__N_SLOT_STATES];
        uint32_t free_slot;                /* first of a list */
        uint32_t newest_idle, oldest_idle; /* lent from the newest, closed from the oldest */
        dal__pool_waiter *first_waiter, *last_waiter;
        _Atomic uint32_t n_waiting;
        dal__pool_pace pace; /* of the line; touched only while somebody waits */
        atomic_bool closed;
        bool lent_across_threads; /* a lease was once given back by another thread than its taker */

        /* What one connection learned about all; who adds to these adds to news.n. */
        _Atomic int64_t lost_at; /* when one was lost: those not used since are in doubt */
        int64_t read_only_at;    /* when all were told last to leave a server that had become read-only */

        /* A server that can't be reached. */
        uint32_t n_failures;     /* connects failed in a row for a reason that may pass */
        int64_t next_connect_at; /* none before */
        int64_t failed_at;       /* when the last of them failed */
        dal_error last_error;

        /* The pool's own thread. */
        pthread_t keeper;
        bool keeper_started, keeper_stop;
        pthread_cond_t keeper_cond;
        int64_t wake_at;          /* when it will look again; 0 while it is at work */
        uint64_t n_acquired_seen; /* leases counted at its last look */
        uint32_t n_fill_failures;
        int64_t next_fill_at;

        pthread_cond_t empty_cond; /* nobody has, makes or waits for a connection */
        uint64_t random;
        dal_pool_stats stats; /* the counters only */
};

#define DAL__NS_PER_MS INT64_C(1000000)

/* pool_slots.c; called with the lock held unless it says otherwise */
/* Now, a few milliseconds late at most, at a fifth of the cost. Without the lock. */
static inline int64_t dal__pool_now(void)
{
#ifdef CLOCK_MONOTONIC_COARSE
        struct timespec now = {0, 0};

        if (clock_gettime(CLOCK_MONOTONIC_COARSE, &now) == 0)
                return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
#endif
        return dal_clock_now();
}
void dal__pool_set_state(dal_pool *pool, dal__pool_slot *slot, dal__slot_state state);
/* May a connection be opened now: is there a place, and is the server worth a try? */
bool dal__pool_may_connect(const dal_pool *pool, int64_t now);
/* Takes a free slot for a connection to be opened. */
dal__pool_slot *dal__pool_reserve(dal_pool *pool, int64_t now);
/* Takes the idle connection used last, one in the wanted mode if there is any; NULL without. */
dal__pool_slot *dal__pool_take_idle(dal_pool *pool, bool tx_mode);
/* Makes the parked connection, if there is one, idle in the list. */
void dal__pool_unpark(dal_pool *pool);
/* Notes who has a connection from now on. */
void dal__pool_lease(dal_pool *pool, dal__pool_slot *slot, const char *where, pthread_t thread, int64_t now);
/* Says whether an error of a connect may pass by itself, so that it is tried again. */
bool dal__pool_is_transient(const dal_error *error);
/* Note how a connect ended; a failed one frees its slot. */
void dal__pool_note_connected(dal_pool *pool, dal__pool_slot *slot, dal_conn *conn, int64_t now);
void dal__pool_note_failed(dal_pool *pool, dal__pool_slot *slot, const dal_error *error, int64_t now);
void dal__pool_enqueue(dal_pool *pool, dal__pool_waiter *waiter, bool first);
void dal__pool_dequeue(dal_pool *pool, dal__pool_waiter *waiter);
/* Notes what the loss of a connection says about the others. */
void dal__pool_note_lost(dal_pool *pool, dal_error_class why);
/* Does what the news since it was lent last asks of a connection, by the one who has it; without the lock. */
void dal__pool_hear(dal_pool *pool, dal__pool_slot *slot, bool *too_old, bool *in_doubt);
/* Gives a connection to the oldest waiter, or makes it idle. */
void dal__pool_offer(dal_pool *pool, dal__pool_slot *slot, int64_t now);
/* Hands idle connections, and rights to make one, to waiters in their order. */
void dal__pool_serve_waiters(dal_pool *pool, int64_t now);
/* Closes the connection of a slot and frees the slot. The lock is let go meanwhile. */
void dal__pool_close_slot(dal_pool *pool, dal__pool_slot *slot);
/* Opens a connection. Without the lock. */
dal_status dal__pool_open(dal_pool *pool, bool tx_mode, dal_deadline deadline, dal_conn **out,
                          dal_error *err);
bool dal__pool_is_empty(const dal_pool *pool);
/* Waits on a condition of this pool. */
void dal__pool_wait(dal_pool *pool, pthread_cond_t *cond, dal_deadline deadline);
/* A number in 0 ... below - 1, evenly. */
int64_t dal__pool_random(dal_pool *pool, int64_t below);

/* pool_keeper.c */
/* Starts the pool's own thread unless it runs; without the lock. */
void dal__pool_start_keeper(dal_pool *pool);
/* Ends it; without the lock. */
void dal__pool_stop_keeper(dal_pool *pool);
/* Wakes it unless it will look before `at` anyway; with the lock held, like the next one. */
void dal__pool_wake_by(dal_pool *pool, int64_t at);
/* Wakes it if idle connections are missing. */
void dal__pool_wake_to_fill(dal_pool *pool);

/* Says whether this is a child of the process that made the pool. */
static inline bool dal__pool_is_forked(const dal_pool *pool)
{
        return dal__conn_is_other_process(&pool->process);
}

/* pool_report.c; called with the lock held */
dal_status dal__pool_fail_exhausted(dal_pool *pool, int64_t now, dal_error *err);
dal_status dal__pool_fail_waiters(dal_pool *pool, int64_t now, dal_error *err);
/* For who would be at this place of the line, and has no time to wait there. */
dal_status dal__pool_fail_hopeless(dal_pool *pool, uint32_t place, int64_t now, dal_deadline deadline,
                                   dal_error *err);
dal_status dal__pool_fail_self(dal_pool *pool, int64_t now, dal_error *err);
dal_status dal__pool_fail_connect(dal_pool *pool, int64_t now, dal_error *err);
/* Names who keeps the pool from becoming empty. */
dal_status dal__pool_fail_in_use(dal_pool *pool, dal_error_class error_class, int64_t now, dal_error *err);

#endif
