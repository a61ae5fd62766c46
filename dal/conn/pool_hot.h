/* SPDX-License-Identifier: MIT */
#ifndef DAL_CONN_POOL_HOT_H
#define DAL_CONN_POOL_HOT_H

#include "conn/conn_hot.h"
#include "conn/pool_state.h"

/*
 * The everyday way of a lease, without the lock and without a system call: the parked connection is taken, and parked
 * again. Put into its callers, as it is shorter than the calls would be.
 */

#define DAL__POOL_NOBODY ((pthread_t)0)

/* What is parked may not be lent as it is: it goes to the list. Returns NULL. */
dal__pool_slot *dal__pool_reject_parked(dal_pool *pool, dal__pool_slot *slot, int64_t now);
/* Someone parked one meanwhile. */
void dal__pool_push_out(dal_pool *pool, dal__pool_slot *slot);

/*
 * Takes the parked connection if it is fit as it is; NULL: dal__pool_acquire() sees to the rest. Whoever waits came
 * first: then there is nothing to take here.
 */
static DAL_HOT dal__pool_slot *dal__pool_take_parked(dal_pool *pool, const char *here, pthread_t self,
                                                     bool tx_mode, int64_t now)
{
        dal__pool_slot *slot;

        if (!atomic_load_explicit(&pool->parked, memory_order_relaxed) || atomic_load(&pool->n_waiting))
                return NULL;
        slot = atomic_exchange(&pool->parked, NULL);
        if (!slot)
                return NULL;
        if (slot->tx_mode != tx_mode || now - slot->used_at > pool->validate_after ||
            now >= slot->expires_at ||
            slot->heard != atomic_load_explicit(&pool->news.n, memory_order_relaxed))
                return dal__pool_reject_parked(pool, slot, now);
        atomic_store_explicit(&slot->where, here, memory_order_relaxed);
        atomic_store_explicit(&slot->since, now, memory_order_relaxed);
        atomic_store_explicit(&slot->owner, self, memory_order_relaxed);
        atomic_store_explicit(&slot->leak_reported, false, memory_order_relaxed);
        atomic_fetch_add_explicit(&pool->n_unlocked, 1, memory_order_relaxed);
        return slot;
}

/*
 * Parks a connection that is clean, the one used last being lent first; false when it has to go the ordinary way.
 */
static DAL_HOT bool dal__pool_park(dal_pool *pool, dal__pool_slot *slot)
{
        int64_t now = dal__pool_now();
        dal__pool_slot *before, *own = slot;

        if (now >= slot->expires_at || atomic_load(&pool->n_waiting) || atomic_load(&pool->closed) ||
            !pthread_equal(atomic_load_explicit(&slot->owner, memory_order_relaxed), pthread_self()))
                return false;
        slot->used_at = now;
        slot->tx_mode = slot->conn->tx_mode;
        /* So that it is not given back twice. */
        atomic_store_explicit(&slot->owner, DAL__POOL_NOBODY, memory_order_relaxed);
        before = atomic_exchange(&pool->parked, slot);
        if (before)
                dal__pool_push_out(pool, before);
        if (!atomic_load(&pool->n_waiting) && !atomic_load(&pool->closed))
                return true;
        /* Somebody came to wait or to close meanwhile: unless he took it himself, it is still ours to give. */
        return !atomic_compare_exchange_strong(&pool->parked, &own, NULL);
}

/* As dal_pool_release() */
void dal__pool_release_in_turn(dal_pool *pool, dal__pool_slot *slot);
static DAL_HOT void dal__pool_give_back(dal_pool *pool, dal_conn *conn)
{
        dal__pool_slot *slot = conn->lease;
        bool parked;

        /* Whoever parks the last lease still looks at the pool after that: it must not be freed meanwhile. */
        atomic_fetch_add(&pool->n_parking, 1);
        parked = dal__conn_is_clean_hot(conn) && dal__pool_park(pool, slot);
        atomic_fetch_sub(&pool->n_parking, 1);
        if (!parked)
                dal__pool_release_in_turn(pool, slot);
}

#endif
