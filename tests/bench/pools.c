/* SPDX-License-Identifier: MIT */
/*
 * Pools of four connections: the two that one would write by hand, and the library's. The first hands them out under a
 * mutex, the second by a compare-and-swap on a word of bits, waiting in a futex; neither is fair, knows a deadline or
 * looks at what it lends.
 */
#define _GNU_SOURCE /* syscall() */
#include "bench.h"

#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <dal/drivers/fake.h>

#define POOL_SIZE   4
#define MAX_THREADS 64

typedef struct pool {
        pthread_mutex_t lock;
        pthread_cond_t freed;
        int idle[POOL_SIZE];
        size_t n_idle;
        _Atomic uint32_t free_bits, n_waiters;
        dal_fake_server *server;
        dal_pool *pool;
        atomic_bool go;
} pool;

/* So that no connection is made while leases are timed. */
static void connect_all(pool *p)
{
        dal_deadline deadline = dal_clock_after_ms(10000);
        dal_error err = DAL_ERROR_INIT;
        dal_conn *conns[POOL_SIZE];

        for (size_t i = 0; i < POOL_SIZE; i++)
                bench_check_status(dal_pool_acquire(p->pool, false, deadline, &conns[i], &err), &err);
        for (size_t i = 0; i < POOL_SIZE; i++)
                dal_pool_release(p->pool, conns[i]);
}

/* On the fake driver, or on a database. */
static void *open_pool(const char *const *urls, size_t n_urls, long size)
{
        dal_pool_options options = DAL_POOL_OPTIONS_INIT;
        dal_error err = DAL_ERROR_INIT;
        pool *p = bench_alloc(1, sizeof *p);
        char fake_url[DAL_FAKE_URL_SIZE];
        dal_dsn *dsn;

        (void)size;
        (void)pthread_mutex_init(&p->lock, NULL);
        (void)pthread_cond_init(&p->freed, NULL);
        for (; p->n_idle < POOL_SIZE; p->n_idle++)
                p->idle[p->n_idle] = (int)p->n_idle;
        atomic_init(&p->free_bits, (1u << POOL_SIZE) - 1);
        if (n_urls == 0) {
                p->server = dal_fake_new();
                if (!p->server)
                        bench_die("pools", "no memory");
                dal_fake_url(p->server, fake_url);
        }
        bench_check_status(dal_dsn_parse(n_urls > 0 ? urls[0] : fake_url, &dsn, &err), &err);
        options.max_size = POOL_SIZE;
        options.min_idle = POOL_SIZE;
        bench_check_status(dal_pool_new(n_urls > 0 ? bench_driver_of(dsn) : dal_driver_fake(), dsn, &options,
                                        &p->pool, &err),
                           &err);
        dal_dsn_free(dsn);
        connect_all(p);
        return p;
}

static void close_pool(void *arg)
{
        dal_error err = DAL_ERROR_INIT;
        pool *p = arg;

        dal_pool_close(p->pool);
        bench_check_status(dal_pool_drain(p->pool, dal_clock_after_ms(5000), &err), &err);
        bench_check_status(dal_pool_free(p->pool, &err), &err);
        dal_fake_free(p->server);
        (void)pthread_cond_destroy(&p->freed);
        (void)pthread_mutex_destroy(&p->lock);
        free(p);
}

/* ---- one thread's share of the work ---- */

typedef void lease_fn(pool *p, long n);

static void lease_by_mutex(pool *p, long n)
{
        for (long i = 0; i < n; i++) {
                int lent;

                (void)pthread_mutex_lock(&p->lock);
                while (p->n_idle == 0)
                        (void)pthread_cond_wait(&p->freed, &p->lock);
                lent = p->idle[--p->n_idle];
                (void)pthread_mutex_unlock(&p->lock);

                (void)pthread_mutex_lock(&p->lock);
                p->idle[p->n_idle++] = lent;
                (void)pthread_cond_signal(&p->freed);
                (void)pthread_mutex_unlock(&p->lock);
        }
}

static uint32_t take_bit(pool *p)
{
        for (;;) {
                uint32_t bits = atomic_load(&p->free_bits);

                while (bits) {
                        uint32_t lowest = bits & -bits;

                        if (atomic_compare_exchange_weak(&p->free_bits, &bits, bits & ~lowest))
                                return lowest;
                }
                atomic_fetch_add(&p->n_waiters, 1);
                (void)syscall(SYS_futex, &p->free_bits, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0);
                atomic_fetch_sub(&p->n_waiters, 1);
        }
}

static void lease_by_futex(pool *p, long n)
{
        for (long i = 0; i < n; i++) {
                atomic_fetch_or(&p->free_bits, take_bit(p));
                if (atomic_load(&p->n_waiters))
                        (void)syscall(SYS_futex, &p->free_bits, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
        }
}

static void lease_by_dal(pool *p, long n)
{
        dal_deadline deadline = dal_clock_after_ms(600000);
        dal_error err = DAL_ERROR_INIT;

        for (long i = 0; i < n; i++) {
                dal_conn *conn;

                bench_check_status(dal_pool_acquire(p->pool, false, deadline, &conn, &err), &err);
                dal_pool_release(p->pool, conn);
        }
}

/* ---- threads ---- */

typedef struct share {
        pool *pool;
        lease_fn *lease;
        long n;
        pthread_t thread;
} share;

static void *do_share(void *arg)
{
        share *s = arg;

        while (!atomic_load(&s->pool->go))
                (void)sched_yield();
        s->lease(s->pool, s->n);
        return NULL;
}

static void lease_all(pool *p, lease_fn *lease, long n, long n_threads)
{
        share shares[MAX_THREADS];

        if (n_threads == 1) {
                lease(p, n);
                return;
        }
        atomic_store(&p->go, false);
        for (long i = 0; i < n_threads; i++) {
                shares[i] = (share){.pool = p, .lease = lease, .n = n / n_threads};
                if (pthread_create(&shares[i].thread, NULL, do_share, &shares[i]) != 0)
                        bench_die("pools", "no thread");
        }
        atomic_store(&p->go, true);
        for (long i = 0; i < n_threads; i++)
                (void)pthread_join(shares[i].thread, NULL);
}

static void by_mutex(void *session, long n, long n_threads)
{
        lease_all(session, lease_by_mutex, n, n_threads);
}

static void by_futex(void *session, long n, long n_threads)
{
        lease_all(session, lease_by_futex, n, n_threads);
}

static void by_dal(void *session, long n, long n_threads)
{
        lease_all(session, lease_by_dal, n, n_threads);
}

const bench_side bench_pool_mutex = {"raw", open_pool, close_pool, {[BENCH_LEASE] = by_mutex}};
const bench_side bench_pool_futex = {"raw", open_pool, close_pool, {[BENCH_LEASE] = by_futex}};
const bench_side bench_pool_dal = {"dal", open_pool, close_pool, {[BENCH_LEASE] = by_dal}};
