/* SPDX-License-Identifier: MIT */
#include "conn/pool_hot.h"

#include <sched.h>
#include <string.h>

#include <dal/mem.h>

#include "base/options.h"
#include "conn/conn_impl.h"
#include "conn/pool_impl.h"

#define CLEAN_LIMIT_NS INT64_C(1000000000)
#define MAX_SIZE       65536u

/* ---- making and ending ---- */

static uint32_t or_default(uint32_t value, uint32_t default_value)
{
        return value ? value : default_value;
}

static dal_status read_options(const dal_pool_options *given, dal_pool_options *options, dal_error *err)
{
        static const dal_pool_options defaults = DAL_POOL_OPTIONS_INIT;
        dal_conn_options conn;
        dal_status s;

        *options = defaults;
        s = dal__options_read("DAL_POOL_OPTIONS_INIT", given, options, sizeof *options, err);
        if (s == DAL_OK)
                s = dal__options_read("DAL_CONN_OPTIONS_INIT", &options->conn, &conn, sizeof conn, err);
        if (s)
                return s;
        if (options->max_size > MAX_SIZE)
                return dal_error_set(err, DAL_CLASS_ARGUMENT, "max_size=%u is more than %u",
                                     options->max_size, MAX_SIZE);
        if (options->min_idle > or_default(options->max_size, 10))
                return dal_error_set(err, DAL_CLASS_ARGUMENT, "min_idle=%u is more than max_size=%u",
                                     options->min_idle, or_default(options->max_size, 10));
        return DAL_OK;
}

static void fill_in_options(dal_pool *pool, const dal_pool_options *options)
{
        dal_pool_options *o = &pool->options;

        *o = *options;
        o->name = NULL;
        o->max_size = or_default(o->max_size, 10);
        o->max_waiters = or_default(o->max_waiters, 1000);
        o->connect_timeout_ms = or_default(o->connect_timeout_ms, 5000);
        o->validate_after_ms = or_default(o->validate_after_ms, 1000);
        o->max_lifetime_ms = or_default(o->max_lifetime_ms, 1800000);
        o->max_idle_ms = or_default(o->max_idle_ms, 600000);
        o->leak_after_ms = or_default(o->leak_after_ms, 30000);
        pool->connect_timeout = o->connect_timeout_ms * DAL__NS_PER_MS;
        pool->validate_after = o->validate_after_ms * DAL__NS_PER_MS;
        pool->max_idle = o->max_idle_ms * DAL__NS_PER_MS;
        pool->leak_after = o->leak_after_ms * DAL__NS_PER_MS;
}

static bool copy_all(dal_pool *pool, const dal_dsn *dsn, const dal_pool_options *options)
{
        const char *name = options->name && options->name[0] ? options->name : dal_dsn_redacted(dsn);

        pool->name = dal_mem_strdup(name, strlen(name));
        pool->slots = dal_mem_alloc(pool->options.max_size * sizeof *pool->slots);
        if (options->conn.service)
                pool->service = dal_mem_strdup(options->conn.service, strlen(options->conn.service));
        pool->options.conn.service = pool->service;
        return pool->name && pool->slots && (pool->service || !options->conn.service) &&
               dal__conn_mark_process(&pool->process);
}

/* Locks that can't be made are lack of memory or of kernel objects; glibc's never fail. */
static bool init_locks(dal_pool *pool)
{
        pthread_condattr_t *attr = &pool->monotonic;

        if (pthread_condattr_init(attr) != 0)
                return false;
        if (pthread_condattr_setclock(attr, CLOCK_MONOTONIC) != 0 ||
            pthread_mutex_init(&pool->lock, NULL) != 0)
                goto no_mutex;
        if (pthread_cond_init(&pool->keeper_cond, attr) != 0)
                goto no_keeper_cond;
        if (pthread_cond_init(&pool->empty_cond, attr) == 0)
                return true;
        (void)pthread_cond_destroy(&pool->keeper_cond);
no_keeper_cond:
        (void)pthread_mutex_destroy(&pool->lock);
no_mutex:
        (void)pthread_condattr_destroy(attr);
        return false;
}

static void free_memory(dal_pool *pool)
{
        dal__conn_unmark_process(&pool->process);
        dal_dsn_free(pool->dsn);
        dal_mem_free(pool->name);
        dal_mem_free(pool->service);
        dal_mem_free(pool->slots);
        dal_mem_free(pool);
}

dal_status dal_pool_new(const dal_driver *driver, const dal_dsn *dsn, const dal_pool_options *given,
                        dal_pool **out, dal_error *err)
{
        dal_pool_options options;
        dal_pool *pool;
        dal_status s = dal_driver_check(driver, err);

        *out = NULL;
        if (s == DAL_OK && !dsn)
                s = dal_error_set(err, DAL_CLASS_ARGUMENT, "a pool needs a database URL");
        if (s == DAL_OK)
                s = read_options(given, &options, err);
        if (s != DAL_OK)
                return s;
        pool = dal_mem_alloc(sizeof *pool);
        if (!pool)
                return dal_error_set(err, DAL_CLASS_NO_MEMORY, "no memory for a pool");
        pool->driver = driver;
        pool->has_modes = driver->caps & DAL_CAP_TX_MODE;
        fill_in_options(pool, &options);
        s = dal_driver_resolve_dsn(driver, dsn, NULL, NULL, &pool->dsn, err);
        if (s == DAL_OK && (!copy_all(pool, pool->dsn, &options) || !init_locks(pool)))
                s = dal_error_set(err, DAL_CLASS_NO_MEMORY, "no memory for a pool");
        if (s != DAL_OK) {
                free_memory(pool);
                return s;
        }
        pool->random = ((uint64_t)(uintptr_t)pool << 16 ^ (uint64_t)dal_clock_now()) | 1;
        pool->newest_idle = pool->oldest_idle = pool->free_slot = DAL__NO_SLOT;
        for (uint32_t i = pool->options.max_size; i-- > 0;) {
                pool->slots[i].next = pool->free_slot;
                pool->free_slot = i;
        }
        pool->n_in[DAL__SLOT_FREE] = pool->options.max_size;
        if (pool->options.min_idle > 0)
                dal__pool_start_keeper(pool);
        *out = pool;
        return DAL_OK;
}

/* With the lock held. */
static void close_idle(dal_pool *pool)
{
        while (pool->oldest_idle != DAL__NO_SLOT)
                dal__pool_close_slot(pool, &pool->slots[pool->oldest_idle]);
}

void dal_pool_close(dal_pool *pool)
{
        if (dal__pool_is_forked(pool))
                return;
        (void)pthread_mutex_lock(&pool->lock);
        pool->closed = true;
        dal__pool_unpark(pool);
        for (dal__pool_waiter *w = pool->first_waiter; w; w = w->next)
                (void)pthread_cond_signal(&w->cond);
        /* Closing may take the server a moment, so the pool's own thread does it. */
        if (pool->keeper_started)
                dal__pool_wake_by(pool, 0);
        else
                close_idle(pool);
        (void)pthread_mutex_unlock(&pool->lock);
}

DAL_COLD static dal_status fail_forked(dal_error *err)
{
        return dal_error_set(
                err, DAL_CLASS_STATE,
                "this pool was made before fork(): its connections belong to the parent process; "
                "make a new one in the child");
}

static dal_status fail_open_still(dal_error *err)
{
        return dal_error_set(err, DAL_CLASS_STATE, "the pool is still open: call dal_pool_close() first");
}

/* Idle connections that are still being closed hold nobody up: dal_pool_free() sees them off. */
static bool is_in_use(const dal_pool *pool)
{
        return pool->n_in[DAL__SLOT_LEASED] || pool->n_in[DAL__SLOT_CONNECTING] || pool->n_waiting;
}

dal_status dal_pool_drain(dal_pool *pool, dal_deadline deadline, dal_error *err)
{
        dal_status s = DAL_OK;

        if (dal__pool_is_forked(pool))
                return fail_forked(err);
        (void)pthread_mutex_lock(&pool->lock);
        if (!pool->closed)
                s = fail_open_still(err);
        while (s == DAL_OK && is_in_use(pool)) {
                if (dal_clock_passed(deadline))
                        s = dal__pool_fail_in_use(pool, DAL_CLASS_DEADLINE, dal_clock_now(), err);
                else
                        dal__pool_wait(pool, &pool->empty_cond, deadline);
        }
        (void)pthread_mutex_unlock(&pool->lock);
        return s;
}

dal_status dal_pool_free(dal_pool *pool, dal_error *err)
{
        dal_status s = DAL_OK;

        if (!pool)
                return DAL_OK;
        if (dal__pool_is_forked(pool))
                return fail_forked(err);
        (void)pthread_mutex_lock(&pool->lock);
        if (!pool->closed)
                s = fail_open_still(err);
        else if (is_in_use(pool))
                s = dal__pool_fail_in_use(pool, DAL_CLASS_STATE, dal_clock_now(), err);
        if (s == DAL_OK) {
                close_idle(pool);
                while (!dal__pool_is_empty(pool))
                        dal__pool_wait(pool, &pool->empty_cond, DAL_FOREVER);
        }
        (void)pthread_mutex_unlock(&pool->lock);
        if (s != DAL_OK)
                return s;
        while (atomic_load(&pool->n_parking)) /* some instructions at most: nobody can come any more */
                (void)sched_yield();
        dal__pool_stop_keeper(pool);
        (void)pthread_cond_destroy(&pool->empty_cond);
        (void)pthread_cond_destroy(&pool->keeper_cond);
        (void)pthread_mutex_destroy(&pool->lock);
        (void)pthread_condattr_destroy(&pool->monotonic);
        free_memory(pool);
        return DAL_OK;
}

dal_pool_stats dal_pool_get_stats(dal_pool *pool)
{
        dal_pool_stats stats;

        (void)pthread_mutex_lock(&pool->lock);
        stats = pool->stats;
        stats.n_acquired += pool->n_unlocked;
        stats.max_size = pool->options.max_size;
        stats.size = pool->options.max_size - pool->n_in[DAL__SLOT_FREE];
        stats.idle = pool->n_in[DAL__SLOT_IDLE];
        stats.leased = pool->n_in[DAL__SLOT_LEASED];
        stats.connecting = pool->n_in[DAL__SLOT_CONNECTING];
        stats.closing = pool->n_in[DAL__SLOT_CLOSING];
        stats.waiting = pool->n_waiting;
        if (pool->parked) {
                stats.leased--;
                stats.idle++;
        }
        (void)pthread_mutex_unlock(&pool->lock);
        return stats;
}

/* ---- lending ---- */

/* One call of dal_pool_acquire(), which may take several turns. */
typedef struct claim {
        const char *where;
        dal_deadline deadline;
        int64_t now; /* about when this turn began */
        bool tx_mode;
        bool came_first; /* was served already, but in vain: keeps its place before all who wait */
} claim;

/* A thread that holds everything itself would wait until its deadline for nothing. */
static bool waits_for_itself(const dal_pool *pool)
{
        pthread_t self = pthread_self();

        /* Leases may be handed to other threads, which may give them back; then this says nothing. */
        if (pool->lent_across_threads || pool->n_in[DAL__SLOT_LEASED] != pool->options.max_size)
                return false;
        for (uint32_t i = 0; i < pool->options.max_size; i++)
                if (!pthread_equal(pool->slots[i].owner, self))
                        return false;
        return true;
}

static dal_status fail_closed(const dal_pool *pool, dal_error *err)
{
        dal_status s = dal_error_set(err, DAL_CLASS_STATE, "pool %s is closed", pool->name);

        if (err)
                err->not_sent = true;
        return s;
}

static dal_status fail_timeout(dal_pool *pool, int64_t now, dal_error *err)
{
        pool->stats.n_timeouts++;
        if (pool->n_failures > 0 && pool->n_in[DAL__SLOT_FREE] > 0)
                return dal__pool_fail_connect(pool, now, err);
        return dal__pool_fail_exhausted(pool, now, err);
}

/* Waits to be served; with the lock held. */
static dal_status wait_turn(dal_pool *pool, const claim *c, dal__pool_slot **out, dal_error *err)
{
        dal__pool_waiter self = {.where = c->where, .thread = pthread_self(), .tx_mode = c->tx_mode};
        int64_t start = dal_clock_now(), now = start;
        dal_status s = DAL_OK;

        if (pthread_cond_init(&self.cond, &pool->monotonic) != 0)
                return dal_error_set(err, DAL_CLASS_NO_MEMORY, "no memory to wait for a connection");
        dal__pool_enqueue(pool, &self, c->came_first);
        dal__pool_unpark(
                pool); /* after joining the line: who parks one from now on sees that somebody waits */
        dal__pool_serve_waiters(pool, now);
        pool->stats.n_waited++;
        while (!self.slot && !pool->closed && now < c->deadline) {
                dal_deadline until = c->deadline;

                /* The first one in the line looks after the pause between connects to a server in trouble. */
                if (pool->first_waiter == &self && pool->n_failures > 0 && pool->n_in[DAL__SLOT_FREE] > 0 &&
                    pool->n_in[DAL__SLOT_CONNECTING] == 0)
                        until = dal_clock_earlier(until, pool->next_connect_at);
                if (until > now)
                        dal__pool_wait(pool, &self.cond, until);
                now = dal_clock_now();
                if (!self.slot && pool->first_waiter == &self)
                        dal__pool_serve_waiters(pool, now);
        }
        pool->stats.wait_ns += (uint64_t)(now - start);
        *out = self.slot;
        if (!self.slot) {
                s = pool->closed ? fail_closed(pool, err) : fail_timeout(pool, now, err);
                dal__pool_dequeue(pool, &self);
        }
        (void)pthread_cond_destroy(&self.cond);
        return s;
}

/* Gives a slot that is LEASED, with a connection, or CONNECTING: the caller's to fill. With the lock held. */
static dal_status take_turn(dal_pool *pool, const claim *c, dal__pool_slot **out, dal_error *err)
{
        uint32_t place;
        int64_t now;

        *out = NULL;
        if (pool->closed)
                return fail_closed(pool, err);
        dal__pool_unpark(pool);
        if (!pool->first_waiter || c->came_first) {
                *out = dal__pool_take_idle(pool, c->tx_mode);
                if (*out) {
                        dal__pool_lease(pool, *out, c->where, pthread_self(), c->now);
                        return DAL_OK;
                }
        }
        now = dal_clock_now();
        if (now >= c->deadline)
                return fail_timeout(pool, now, err);
        if ((!pool->first_waiter || c->came_first) && dal__pool_may_connect(pool, now)) {
                *out = dal__pool_reserve(pool, now);
                return DAL_OK;
        }
        if (waits_for_itself(pool)) {
                pool->stats.n_refused++;
                return dal__pool_fail_self(pool, now, err);
        }
        if (pool->n_waiting >= pool->options.max_waiters && !c->came_first) {
                pool->stats.n_refused++;
                return dal__pool_fail_waiters(pool, now, err);
        }
        place = pool->n_waiting + 1;
        if (!c->came_first &&
            dal__pool_pace_is_hopeless(&pool->pace, pool->options.max_size, place, now, c->deadline)) {
                pool->stats.n_refused++;
                return dal__pool_fail_hopeless(pool, place, now, c->deadline, err);
        }
        return wait_turn(pool, c, out, err);
}

/* Fills a CONNECTING slot. *again_out: it failed, but there is time for another turn. Without the lock. */
static dal_status connect_slot(dal_pool *pool, dal__pool_slot *slot, const claim *c, bool *again_out,
                               dal_error *err)
{
        dal_error error = DAL_ERROR_INIT;
        dal_conn *conn;
        dal_status s = dal__pool_open(pool, c->tx_mode, c->deadline, &conn, &error);
        int64_t now = dal_clock_now();

        (void)pthread_mutex_lock(&pool->lock);
        if (s == DAL_OK) {
                dal__pool_note_connected(pool, slot, conn, now);
                dal__pool_lease(pool, slot, c->where, pthread_self(), now);
                /* The server is back: others may connect too. */
                dal__pool_serve_waiters(pool, now);
                if (pool->closed) {
                        s = fail_closed(pool, err);
                        pool->stats.n_acquired--;
                        dal__pool_close_slot(pool, slot);
                }
        } else if (dal__pool_is_transient(&error)) {
                *again_out = now < c->deadline;
                dal__pool_note_failed(pool, slot, &error, now);
                if (!*again_out)
                        s = fail_timeout(pool, now, err);
        } else {
                dal__pool_note_failed(pool, slot, &error, now);
                /* Time was up while a server in trouble was asked again: its trouble is the news. */
                if (error.error_class == DAL_CLASS_DEADLINE && pool->n_failures > 0)
                        s = fail_timeout(pool, now, err);
                else if (err)
                        *err = error;
        }
        (void)pthread_mutex_unlock(&pool->lock);
        if (s == DAL_OK)
                dal__pool_start_keeper(pool);
        return s;
}

/* Makes sure that a connection from the pool is alive and in the wanted mode. Without the lock. */
static dal_status make_ready(dal_pool *pool, dal__pool_slot *slot, const claim *c, bool *again_out,
                             dal_error *err)
{
        int64_t now = slot->since;
        dal_error error; /* filled by a failure only */
        dal_deadline limit = dal_clock_earlier(c->deadline, now + pool->connect_timeout);
        dal_status s = DAL_OK;
        bool too_old = now >= slot->expires_at, in_doubt = now - slot->used_at > pool->validate_after;

        dal__pool_hear(pool, slot, &too_old, &in_doubt);
        if (in_doubt && !too_old)
                s = dal_conn_ping(slot->conn, limit, &error);
        if (s == DAL_OK && !too_old && pool->has_modes && slot->tx_mode != c->tx_mode)
                s = dal__conn_set_tx_mode(slot->conn, c->tx_mode, limit, &error);
        if (s == DAL_OK && !too_old)
                return DAL_OK;
        if (s != DAL_OK && err) {
                *err = error;
                err->not_sent = true; /* of what the caller wants to ask */
        }
        /* A connection that was lost or grew old in the pool is nobody's failure: another one is found. */
        *again_out = s == DAL_OK || !dal_clock_passed(c->deadline);
        (void)pthread_mutex_lock(&pool->lock);
        dal__pool_note_lost(pool, dal__conn_broken_by(slot->conn));
        pool->stats.n_acquired--;
        dal__pool_close_slot(pool, slot);
        (void)pthread_mutex_unlock(&pool->lock);
        return s;
}

/* As dal__pool_offer(), without the lock. */
static void offer(dal_pool *pool, dal__pool_slot *slot, int64_t now)
{
        (void)pthread_mutex_lock(&pool->lock);
        dal__pool_offer(pool, slot, now);
        (void)pthread_mutex_unlock(&pool->lock);
}

DAL_COLD dal__pool_slot *dal__pool_reject_parked(dal_pool *pool, dal__pool_slot *slot, int64_t now)
{
        offer(pool, slot, now);
        return NULL;
}

DAL_COLD void dal__pool_push_out(dal_pool *pool, dal__pool_slot *slot)
{
        offer(pool, slot, slot->used_at);
}

DAL_COLD static dal_status acquire_in_turn(const char *here, dal_pool *pool, bool tx_mode,
                                           dal_deadline deadline, dal_conn **out, dal_error *err)
{
        claim c = {.where = here, .deadline = deadline, .tx_mode = tx_mode};
        dal__pool_slot *slot;
        bool again;
        dal_status s;

        do {
                again = false;
                c.now = dal__pool_now();
                (void)pthread_mutex_lock(&pool->lock);
                s = take_turn(pool, &c, &slot, err);
                (void)pthread_mutex_unlock(&pool->lock);
                if (s != DAL_OK || !slot)
                        return s;
                s = slot->conn ? make_ready(pool, slot, &c, &again, err)
                               : connect_slot(pool, slot, &c, &again, err);
                c.came_first = true;
        } while (again);
        if (s == DAL_OK)
                *out = slot->conn;
        return s;
}

dal_status dal__pool_acquire(const char *here, dal_pool *pool, bool tx_mode, int64_t now,
                             dal_deadline deadline, dal_conn **out, dal_error *err)
{
        dal__pool_slot *slot;

        *out = NULL;
        tx_mode = tx_mode && pool->has_modes;
        if (dal__pool_is_forked(pool))
                return fail_forked(err);
        slot = dal__pool_take_parked(pool, here, pthread_self(), tx_mode, now);
        if (!slot)
                return acquire_in_turn(here, pool, tx_mode, deadline, out, err);
        *out = slot->conn;
        return DAL_OK;
}

dal_status dal_pool_acquire_at(const char *here, dal_pool *pool, bool tx_mode, dal_deadline deadline,
                               dal_conn **out, dal_error *err)
{
        return dal__pool_acquire(here, pool, tx_mode, dal__pool_now(), deadline, out, err);
}

/* Cleans a connection if need be; closes it, or gives it to the oldest waiter or the idle list. */
DAL_COLD void dal__pool_release_in_turn(dal_pool *pool, dal__pool_slot *slot)
{
        /* The pace of the line is measured exactly; without a line there is nothing to measure. */
        int64_t now = atomic_load(&pool->n_waiting) ? dal_clock_now() : dal__pool_now();
        bool reusable, is_lent;

        (void)pthread_mutex_lock(&pool->lock);
        is_lent = slot->state == DAL__SLOT_LEASED && atomic_load(&pool->parked) != slot;
        (void)pthread_mutex_unlock(&pool->lock);
        if (!is_lent)
                return; /* it was given back before: cleaning it would strike its next user */
        dal__conn_clean(slot->conn, now + CLEAN_LIMIT_NS, &reusable);
        (void)pthread_mutex_lock(&pool->lock);
        dal__pool_note_lost(pool, dal__conn_broken_by(slot->conn));
        if (!pthread_equal(slot->owner, pthread_self()) && !pthread_equal(slot->owner, DAL__POOL_NOBODY))
                pool->lent_across_threads = true;
        slot->used_at = now;
        slot->tx_mode = dal__conn_tx_mode(slot->conn);
        if (reusable && !pool->closed && now < slot->expires_at)
                dal__pool_offer(pool, slot, now);
        else
                dal__pool_close_slot(pool, slot);
        (void)pthread_mutex_unlock(&pool->lock);
}

void dal_pool_release(dal_pool *pool, dal_conn *conn)
{
        dal__pool_slot *slot;

        if (!conn || dal__pool_is_forked(pool))
                return;
        slot = conn->lease;
        if (!slot || slot < pool->slots || slot >= pool->slots + pool->options.max_size || slot->conn != conn)
                return; /* of another pool, or of none */
        dal__pool_give_back(pool, conn);
}
