/* SPDX-License-Identifier: MIT */
#include "conn/pool_state.h"

#include <signal.h>

/*
 * The pool's own thread: closes what is too old or too long idle, keeps min_idle connections open, and reports
 * leases held for too long. It sleeps until the next of these is due; with nothing due it sleeps for good.
 */

#define FILL_PAUSE_NS (100 * DAL__NS_PER_MS) /* after a connect that failed for good: doubled up to ... */
#define MAX_FILL_NS   (10000 * DAL__NS_PER_MS)

void dal__pool_wake_by(dal_pool *pool, int64_t at)
{
        if (at >= pool->wake_at)
                return;
        pool->wake_at = at;
        (void)pthread_cond_signal(&pool->keeper_cond);
}

static bool wants_fill(const dal_pool *pool)
{
        return pool->n_in[DAL__SLOT_IDLE] + pool->n_in[DAL__SLOT_CONNECTING] < pool->options.min_idle &&
               pool->n_in[DAL__SLOT_FREE] > 0 && !pool->closed;
}

/* When the next connect of the pool's own may be made; DAL_FOREVER while somebody else is trying. */
static int64_t fill_at(const dal_pool *pool)
{
        int64_t at = pool->next_fill_at;

        if (pool->n_failures == 0)
                return at;
        if (pool->n_in[DAL__SLOT_CONNECTING] > 0)
                return DAL_FOREVER;
        return at > pool->next_connect_at ? at : pool->next_connect_at;
}

void dal__pool_wake_to_fill(dal_pool *pool)
{
        if (pool->options.min_idle > 0 && wants_fill(pool))
                dal__pool_wake_by(pool, fill_at(pool));
}

static dal__pool_slot *find_to_close(dal_pool *pool, int64_t now)
{
        uint32_t i = pool->oldest_idle;

        if (i == DAL__NO_SLOT)
                return NULL;
        if (pool->closed || (pool->n_in[DAL__SLOT_IDLE] > pool->options.min_idle &&
                             now >= pool->slots[i].since + pool->max_idle))
                return &pool->slots[i];
        for (; i != DAL__NO_SLOT; i = pool->slots[i].prev)
                if (now >= pool->slots[i].expires_at)
                        return &pool->slots[i];
        return NULL;
}

static bool report_leak(dal_pool *pool, int64_t now)
{
        for (uint32_t i = 0; i < pool->options.max_size; i++) {
                dal__pool_slot *slot = &pool->slots[i];
                dal_lease_info lease;

                if (slot->state != DAL__SLOT_LEASED || slot->leak_reported ||
                    now < slot->since + pool->leak_after)
                        continue;
                slot->leak_reported = true;
                pool->stats.n_leaks++;
                if (!pool->options.on_leak)
                        return true;
                lease.where = slot->where;
                lease.held_ms = (uint64_t)((now - slot->since) / DAL__NS_PER_MS);
                lease.pool_name = pool->name;
                (void)pthread_mutex_unlock(&pool->lock);
                pool->options.on_leak(pool->options.on_leak_arg, &lease);
                (void)pthread_mutex_lock(&pool->lock);
                return true;
        }
        return false;
}

static bool fill(dal_pool *pool, int64_t now)
{
        dal_error error = DAL_ERROR_INIT;
        dal__pool_slot *slot;
        dal_conn *conn;
        dal_status s;

        if (!wants_fill(pool) || now < fill_at(pool))
                return false;
        slot = dal__pool_reserve(pool, now);
        (void)pthread_mutex_unlock(&pool->lock);
        s = dal__pool_open(pool, false, DAL_FOREVER, &conn, &error);
        now = dal_clock_now();
        (void)pthread_mutex_lock(&pool->lock);
        if (s == DAL_OK) {
                dal__pool_note_connected(pool, slot, conn, now);
                dal__pool_offer(pool, slot, now);
                dal__pool_serve_waiters(pool, now);
                return true;
        }
        /* Wrong passwords and the like end here too, and must not become a drum fire. */
        if (pool->n_fill_failures < 7)
                pool->n_fill_failures++;
        pool->next_fill_at =
                now + dal_clock_earlier(FILL_PAUSE_NS << (pool->n_fill_failures - 1), MAX_FILL_NS);
        if (dal__pool_is_transient(&error))
                pool->next_fill_at = 0; /* the pool's common pause is enough */
        dal__pool_note_failed(pool, slot, &error, now);
        return true;
}

static int64_t next_event(dal_pool *pool, int64_t now)
{
        int64_t at = DAL_FOREVER;

        /*
         * Leases come and go by the thousand, and each would be the next event while it lasts. Where there were any
         * since the last look, one look later covers them all.
         */
        if (pool->n_acquired_seen != pool->stats.n_acquired)
                at = now + pool->leak_after;
        pool->n_acquired_seen = pool->stats.n_acquired;

        for (uint32_t i = 0; i < pool->options.max_size; i++) {
                const dal__pool_slot *slot = &pool->slots[i];

                /* One that was reported may be given back and lent again without the lock, so it is looked at again. */
                if (slot->state == DAL__SLOT_LEASED)
                        at = dal_clock_earlier(at,
                                               (slot->leak_reported ? now : slot->since) + pool->leak_after);
                else if (slot->state == DAL__SLOT_IDLE)
                        at = dal_clock_earlier(at, slot->expires_at);
        }
        if (pool->n_in[DAL__SLOT_IDLE] > pool->options.min_idle)
                at = dal_clock_earlier(at, pool->slots[pool->oldest_idle].since + pool->max_idle);
        if (wants_fill(pool))
                at = dal_clock_earlier(at, fill_at(pool));
        return at;
}

static void *keeper_main(void *arg)
{
        dal_pool *pool = arg;

        (void)pthread_mutex_lock(&pool->lock);
        while (!pool->keeper_stop) {
                int64_t now = dal_clock_now();
                dal__pool_slot *slot;

                dal__pool_unpark(pool);
                slot = find_to_close(pool, now);
                if (slot)
                        dal__pool_close_slot(pool, slot);
                else if (!report_leak(pool, now) && !fill(pool, now)) {
                        pool->wake_at = next_event(pool, now);
                        dal__pool_wait(pool, &pool->keeper_cond, pool->wake_at);
                        pool->wake_at = 0;
                }
        }
        (void)pthread_mutex_unlock(&pool->lock);
        return NULL;
}

void dal__pool_start_keeper(dal_pool *pool)
{
        sigset_t all, old;
        pthread_t thread;
        bool start;
        int failed;

        (void)pthread_mutex_lock(&pool->lock);
        start = !pool->keeper_started && !pool->closed;
        if (start) {
                /* Signals belong to the application's threads, so this one takes none. */
                (void)sigfillset(&all);
                (void)pthread_sigmask(SIG_BLOCK, &all, &old);
                failed = pthread_create(&thread, NULL, keeper_main, pool);
                (void)pthread_sigmask(SIG_SETMASK, &old, NULL);
                /* Without the thread the pool lends and takes back all the same; the next connect tries again. */
                pool->keeper_started = failed == 0;
                if (!failed)
                        pool->keeper = thread;
        }
        (void)pthread_mutex_unlock(&pool->lock);
}

void dal__pool_stop_keeper(dal_pool *pool)
{
        bool started;

        (void)pthread_mutex_lock(&pool->lock);
        pool->keeper_stop = true;
        started = pool->keeper_started;
        (void)pthread_cond_signal(&pool->keeper_cond);
        (void)pthread_mutex_unlock(&pool->lock);
        if (started)
                (void)pthread_join(pool->keeper, NULL);
}
