/* SPDX-License-Identifier: MIT */
#include "conn/pool_state.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "conn/conn_impl.h"
#include "conn/pool_impl.h"

#define FIRST_PAUSE_NS (50 * DAL__NS_PER_MS)
#define LAST_PAUSE_NS  (2000 * DAL__NS_PER_MS)
/* Between two evictions of all connections */
#define READ_ONLY_PAUSE_NS (1000 * DAL__NS_PER_MS)

/* xorshift64*: jitter needs no better one. Source: S. Vigna, "An experimental exploration of Marsaglia's xorshift" */
int64_t dal__pool_random(dal_pool *pool, int64_t below)
{
        pool->random ^= pool->random >> 12;
        pool->random ^= pool->random << 25;
        pool->random ^= pool->random >> 27;
        return below > 0 ? (int64_t)((pool->random * UINT64_C(2685821657736338717) >> 1) % (uint64_t)below)
                         : 0;
}

void dal__pool_wait(dal_pool *pool, pthread_cond_t *cond, dal_deadline deadline)
{
        struct timespec until = {(time_t)(deadline / 1000000000), (long)(deadline % 1000000000)};

        if (deadline == DAL_FOREVER)
                (void)pthread_cond_wait(cond, &pool->lock);
        else
                (void)pthread_cond_timedwait(cond, &pool->lock, &until);
}

/* ---- slots ---- */

static uint32_t index_of(const dal_pool *pool, const dal__pool_slot *slot)
{
        return (uint32_t)(slot - pool->slots);
}

static void unlink_idle(dal_pool *pool, dal__pool_slot *slot)
{
        if (slot->prev == DAL__NO_SLOT)
                pool->newest_idle = slot->next;
        else
                pool->slots[slot->prev].next = slot->next;
        if (slot->next == DAL__NO_SLOT)
                pool->oldest_idle = slot->prev;
        else
                pool->slots[slot->next].prev = slot->prev;
}

static void link_idle(dal_pool *pool, dal__pool_slot *slot)
{
        uint32_t i = index_of(pool, slot);

        slot->prev = DAL__NO_SLOT;
        slot->next = pool->newest_idle;
        if (pool->newest_idle == DAL__NO_SLOT)
                pool->oldest_idle = i;
        else
                pool->slots[pool->newest_idle].prev = i;
        pool->newest_idle = i;
}

void dal__pool_set_state(dal_pool *pool, dal__pool_slot *slot, dal__slot_state state)
{
        if (slot->state == DAL__SLOT_IDLE)
                unlink_idle(pool, slot);
        else if (slot->state == DAL__SLOT_FREE)
                pool->free_slot = slot->next; /* only the first one is ever taken */
        pool->n_in[slot->state]--;
        slot->state = (uint8_t)state;
        pool->n_in[state]++;
        if (state == DAL__SLOT_IDLE) {
                link_idle(pool, slot);
        } else if (state == DAL__SLOT_FREE) {
                slot->next = pool->free_slot;
                pool->free_slot = index_of(pool, slot);
        }
}

void dal__pool_unpark(dal_pool *pool)
{
        dal__pool_slot *slot = atomic_exchange(&pool->parked, NULL);

        if (!slot)
                return;
        dal__pool_set_state(pool, slot, DAL__SLOT_IDLE);
        slot->since = slot->used_at;
        dal__pool_wake_by(pool, dal_clock_earlier(slot->used_at + pool->max_idle, slot->expires_at));
}

dal__pool_slot *dal__pool_take_idle(dal_pool *pool, bool tx_mode)
{
        uint32_t i = pool->newest_idle;

        if (i == DAL__NO_SLOT)
                return NULL;
        if (pool->has_modes) {
                while (i != DAL__NO_SLOT && pool->slots[i].tx_mode != tx_mode)
                        i = pool->slots[i].next;
                if (i == DAL__NO_SLOT)
                        i = pool->newest_idle;
        }
        return &pool->slots[i];
}

dal__pool_slot *dal__pool_reserve(dal_pool *pool, int64_t now)
{
        dal__pool_slot *slot = &pool->slots[pool->free_slot];

        dal__pool_set_state(pool, slot, DAL__SLOT_CONNECTING);
        slot->since = now;
        return slot;
}

void dal__pool_lease(dal_pool *pool, dal__pool_slot *slot, const char *where, pthread_t thread, int64_t now)
{
        if (slot->state != DAL__SLOT_LEASED)
                dal__pool_set_state(pool, slot, DAL__SLOT_LEASED);
        slot->where = where;
        slot->owner = thread;
        slot->since = now;
        slot->leak_reported = false;
        pool->stats.n_acquired++;
        dal__pool_wake_by(pool, now + pool->leak_after);
        dal__pool_wake_to_fill(pool);
}

bool dal__pool_is_empty(const dal_pool *pool)
{
        return pool->n_in[DAL__SLOT_FREE] == pool->options.max_size && pool->n_waiting == 0;
}

/* ---- waiters ---- */

void dal__pool_enqueue(dal_pool *pool, dal__pool_waiter *waiter, bool first)
{
        if (first) {
                waiter->prev = NULL;
                waiter->next = pool->first_waiter;
        } else {
                waiter->prev = pool->last_waiter;
                waiter->next = NULL;
        }
        if (waiter->prev)
                waiter->prev->next = waiter;
        else
                pool->first_waiter = waiter;
        if (waiter->next)
                waiter->next->prev = waiter;
        else
                pool->last_waiter = waiter;
        pool->n_waiting++;
}

void dal__pool_dequeue(dal_pool *pool, dal__pool_waiter *waiter)
{
        if (waiter->prev)
                waiter->prev->next = waiter->next;
        else
                pool->first_waiter = waiter->next;
        if (waiter->next)
                waiter->next->prev = waiter->prev;
        else
                pool->last_waiter = waiter->prev;
        pool->n_waiting--;
        /* The first waiter is the one that watches for the end of the pause between two connects. */
        if (!waiter->prev && pool->first_waiter && pool->n_failures > 0)
                (void)pthread_cond_signal(&pool->first_waiter->cond);
        if (pool->closed && dal__pool_is_empty(pool))
                (void)pthread_cond_broadcast(&pool->empty_cond);
}

static void hand_over(dal_pool *pool, dal__pool_slot *slot, int64_t now)
{
        dal__pool_waiter *waiter = pool->first_waiter;

        if (slot->conn)
                dal__pool_lease(pool, slot, waiter->where, waiter->thread, now);
        waiter->slot = slot;
        dal__pool_dequeue(pool, waiter);
        /* Under the lock: without it the waiter might be gone, and its condition with it. */
        (void)pthread_cond_signal(&waiter->cond);
}

void dal__pool_offer(dal_pool *pool, dal__pool_slot *slot, int64_t now)
{
        if (pool->first_waiter) {
                if (slot->state == DAL__SLOT_LEASED)
                        dal__pool_pace_note(&pool->pace, pool->options.max_size, slot->used_at - slot->since,
                                            now);
                hand_over(pool, slot, now);
                return;
        }
        dal__pool_set_state(pool, slot, DAL__SLOT_IDLE);
        slot->since = now;
        dal__pool_wake_by(pool, dal_clock_earlier(now + pool->max_idle, slot->expires_at));
}

void dal__pool_serve_waiters(dal_pool *pool, int64_t now)
{
        while (pool->first_waiter && !pool->closed) {
                dal__pool_slot *slot = dal__pool_take_idle(pool, pool->first_waiter->tx_mode);

                if (!slot && dal__pool_may_connect(pool, now))
                        slot = dal__pool_reserve(pool, now);
                if (!slot)
                        break;
                hand_over(pool, slot, now);
        }
}

/* ---- connecting and closing ---- */

bool dal__pool_may_connect(const dal_pool *pool, int64_t now)
{
        if (pool->n_in[DAL__SLOT_FREE] == 0 || pool->closed)
                return false;
        /* A server in trouble is asked by one at a time. */
        return pool->n_failures == 0 ||
               (now >= pool->next_connect_at && pool->n_in[DAL__SLOT_CONNECTING] == 0);
}

bool dal__pool_is_transient(const dal_error *error)
{
        switch (error->error_class) {
        case DAL_CLASS_CONNECT_FAILED:
        case DAL_CLASS_CONNECTION_LOST:
        case DAL_CLASS_TOO_MANY_CONNECTIONS:
        case DAL_CLASS_OUT_OF_RESOURCES:
                return true;
        default:
                return false;
        }
}

void dal__pool_note_connected(dal_pool *pool, dal__pool_slot *slot, dal_conn *conn, int64_t now)
{
        int64_t lifetime = (int64_t)pool->options.max_lifetime_ms * DAL__NS_PER_MS;

        pool->n_failures = 0;
        pool->n_fill_failures = 0;
        pool->next_fill_at = 0;
        pool->stats.n_opened++;
        slot->conn = conn;
        slot->tx_mode = dal__conn_tx_mode(conn);
        slot->used_at = now;
        slot->leads_astray = false;
        slot->heard = atomic_load(&pool->news.n);
        dal__conn_join(conn, &pool->news, &pool->process, pool->options.max_size);
        /* Else all the connections of a service that were opened together would be replaced together. */
        slot->expires_at = now + lifetime - dal__pool_random(pool, lifetime / 4);
        dal__conn_set_lease(conn, slot);
}

void dal__pool_note_lost(dal_pool *pool, dal_error_class why)
{
        int64_t now;

        if (why != DAL_CLASS_CONNECTION_LOST && why != DAL_CLASS_READ_ONLY_SERVER)
                return;
        now = dal_clock_now();
        if (why == DAL_CLASS_CONNECTION_LOST) {
                pool->lost_at = now;
        } else {
                /* Who writes to a replica again and again must not have the whole pool connect anew each time. */
                if (now - pool->read_only_at < READ_ONLY_PAUSE_NS)
                        return;
                pool->read_only_at = now;
                for (uint32_t i = 0; i < pool->options.max_size; i++)
                        pool->slots[i].leads_astray = true;
        }
        atomic_fetch_add_explicit(&pool->news.n, 1, memory_order_release);
}

void dal__pool_hear(dal_pool *pool, dal__pool_slot *slot, bool *too_old, bool *in_doubt)
{
        uint32_t n = atomic_load_explicit(&pool->news.n, memory_order_acquire);

        if (slot->heard == n)
                return;
        slot->heard = n;
        *too_old |= slot->leads_astray;
        *in_doubt |= slot->used_at <= pool->lost_at;
        dal__conn_hear(slot->conn);
}

void dal__pool_note_failed(dal_pool *pool, dal__pool_slot *slot, const dal_error *error, int64_t now)
{
        pool->stats.n_connect_errors++;
        if (error->error_class != DAL_CLASS_DEADLINE || pool->n_failures == 0)
                pool->last_error = *error;
        /* Connects under way side by side that fail together are one failure. */
        if (dal__pool_is_transient(error) && (pool->n_failures == 0 || slot->since >= pool->failed_at)) {
                int64_t pause = LAST_PAUSE_NS;

                if (pool->n_failures < 6)
                        pause = dal_clock_earlier(pause, FIRST_PAUSE_NS << pool->n_failures);
                pool->n_failures++;
                pool->failed_at = now;
                pool->next_connect_at = now + pause / 2 + dal__pool_random(pool, pause / 2);
        }
        dal__pool_set_state(pool, slot, DAL__SLOT_FREE);
        dal__pool_serve_waiters(pool, now);
        if (pool->first_waiter)
                (void)pthread_cond_signal(&pool->first_waiter->cond);
        if (pool->closed && dal__pool_is_empty(pool))
                (void)pthread_cond_broadcast(&pool->empty_cond);
        dal__pool_wake_to_fill(pool);
}

dal_status dal__pool_open(dal_pool *pool, bool tx_mode, dal_deadline deadline, dal_conn **out, dal_error *err)
{
        dal_deadline limit = dal_clock_now() + pool->connect_timeout;
        char message[sizeof err->message];
        dal_status s;

        s = dal__conn_open_mode(pool->driver, pool->dsn, &pool->options.conn, tx_mode,
                                dal_clock_earlier(limit, deadline), out, err);
        /* The pool's own limit is a failed connect, which can be tried again; only the caller's is a deadline. */
        if (s != DAL_OK && err->error_class == DAL_CLASS_DEADLINE && limit < deadline) {
                memcpy(message, err->message, sizeof message);
                s = dal_error_set(err, DAL_CLASS_CONNECT_FAILED,
                                  "no connection within connect_timeout_ms=%u: %s",
                                  pool->options.connect_timeout_ms, message);
                err->not_sent = true;
        }
        return s;
}

void dal__pool_close_slot(dal_pool *pool, dal__pool_slot *slot)
{
        dal_conn *conn = slot->conn;

        slot->conn = NULL;
        dal__pool_set_state(pool, slot, DAL__SLOT_CLOSING);
        (void)pthread_mutex_unlock(&pool->lock);
        dal_conn_close(conn);
        (void)pthread_mutex_lock(&pool->lock);
        dal__pool_set_state(pool, slot, DAL__SLOT_FREE);
        pool->stats.n_closed++;
        dal__pool_serve_waiters(pool, dal_clock_now());
        dal__pool_wake_to_fill(pool);
        if (pool->closed && dal__pool_is_empty(pool))
                (void)pthread_cond_broadcast(&pool->empty_cond);
}

dal_status dal__pool_renew(const char *here, dal_pool *pool, dal_deadline deadline, dal_conn **conn,
                           dal_error *err)
{
        dal__pool_slot *slot = dal__conn_lease(*conn);
        dal_error error = DAL_ERROR_INIT;
        dal_conn *lost = *conn;
        int64_t now = dal_clock_now();
        dal_status s;

        *conn = NULL;
        (void)pthread_mutex_lock(&pool->lock);
        dal__pool_note_lost(pool, dal__conn_broken_by(lost));
        slot->conn = NULL;
        slot->since = now;
        dal__pool_set_state(pool, slot, DAL__SLOT_CONNECTING);
        pool->stats.n_closed++;
        (void)pthread_mutex_unlock(&pool->lock);
        dal_conn_close(lost);
        s = dal__pool_open(pool, false, deadline, conn, &error);
        now = dal_clock_now();
        (void)pthread_mutex_lock(&pool->lock);
        if (s == DAL_OK) {
                dal__pool_note_connected(pool, slot, *conn, now);
                dal__pool_lease(pool, slot, here, pthread_self(), now);
                pool->stats.n_acquired--; /* it is the same lease */
                dal__pool_serve_waiters(pool, now);
        } else {
                dal__pool_note_failed(pool, slot, &error, now);
        }
        (void)pthread_mutex_unlock(&pool->lock);
        if (s != DAL_OK && err)
                *err = error;
        return s;
}
