/* SPDX-License-Identifier: MIT */
#include "conn/pool_state.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* What people read when a pool has nothing to give: who has it, since when, and what the server said last. */

#define MAX_HOLDERS 3

typedef struct text {
        char data[sizeof((dal_error *)0)->message];
        size_t size;
} text;

static void add(text *t, const char *format, ...) DAL_PRINTF(2, 3);

static void add(text *t, const char *format, ...)
{
        va_list args;
        int n;

        va_start(args, format);
        n = vsnprintf(t->data + t->size, sizeof t->data - t->size, format, args);
        va_end(args);
        if (n > 0)
                t->size += (size_t)n < sizeof t->data - t->size ? (size_t)n : sizeof t->data - t->size - 1;
}

static const char *file_name(const char *where)
{
        const char *slash = where ? strrchr(where, '/') : NULL;

        return slash ? slash + 1 : where ? where : "?";
}

/* The longest holder among those that began after `after` (by time, then by place). */
static const dal__pool_slot *next_holder(const dal_pool *pool, const dal__pool_slot *after)
{
        const dal__pool_slot *found = NULL;

        for (uint32_t i = 0; i < pool->options.max_size; i++) {
                const dal__pool_slot *slot = &pool->slots[i];

                if (slot->state != DAL__SLOT_LEASED || slot == after)
                        continue;
                if (after && (slot->since < after->since || (slot->since == after->since && slot < after)))
                        continue;
                if (!found || slot->since < found->since)
                        found = slot;
        }
        return found;
}

static void add_holders(text *t, const dal_pool *pool, int64_t now)
{
        const dal__pool_slot *slot = next_holder(pool, NULL);

        add(t, "leased=%u", pool->n_in[DAL__SLOT_LEASED]);
        if (!slot)
                return;
        add(t, " (longest:");
        for (int i = 0; slot && i < MAX_HOLDERS; i++, slot = next_holder(pool, slot)) {
                int64_t held = now > slot->since ? (now - slot->since) / DAL__NS_PER_MS : 0;

                add(t, "%s %s for %lld ms", i ? "," : "", file_name(slot->where), (long long)held);
        }
        add(t, ")");
}

static void add_rest(text *t, const dal_pool *pool)
{
        add(t, ", idle=%u, connecting=%u, waiting=%u", pool->n_in[DAL__SLOT_IDLE],
            pool->n_in[DAL__SLOT_CONNECTING], pool->n_waiting);
        if (pool->n_failures > 0)
                add(t, ", last connect error: %s", pool->last_error.message);
}

static dal_status finish(const text *t, dal_error_class error_class, dal_error *err)
{
        dal_status s = dal_error_set(err, error_class, "%s", t->data);

        if (err)
                err->not_sent = true;
        return s;
}

dal_status dal__pool_fail_exhausted(dal_pool *pool, int64_t now, dal_error *err)
{
        text t = {"", 0};

        add(&t, "pool %.160s is exhausted: max_size=%u, ", pool->name, pool->options.max_size);
        add_holders(&t, pool, now);
        add_rest(&t, pool);
        return finish(&t, DAL_CLASS_POOL_EXHAUSTED, err);
}

dal_status dal__pool_fail_waiters(dal_pool *pool, int64_t now, dal_error *err)
{
        text t = {"", 0};

        add(&t, "pool %.160s has max_waiters=%u callers waiting already: max_size=%u, ", pool->name,
            pool->options.max_waiters, pool->options.max_size);
        add_holders(&t, pool, now);
        add_rest(&t, pool);
        return finish(&t, DAL_CLASS_POOL_EXHAUSTED, err);
}

dal_status dal__pool_fail_hopeless(dal_pool *pool, uint32_t place, int64_t now, dal_deadline deadline,
                                   dal_error *err)
{
        int64_t wait = dal__pool_pace_wait(&pool->pace, pool->options.max_size, place, now);
        text t = {"", 0};

        add(&t,
            "pool %.160s is overloaded: at place %u of the line a connection is expected in about %lld ms, "
            "and "
            "%lld ms are left, work included; send less, or raise max_size=%u or the deadline; ",
            pool->name, place, (long long)(wait / DAL__NS_PER_MS),
            (long long)((deadline - now) / DAL__NS_PER_MS), pool->options.max_size);
        add_holders(&t, pool, now);
        return finish(&t, DAL_CLASS_POOL_EXHAUSTED, err);
}

dal_status dal__pool_fail_self(dal_pool *pool, int64_t now, dal_error *err)
{
        text t = {"", 0};

        add(&t,
            "pool %.160s is exhausted by this thread itself: it holds all of max_size=%u and would wait for "
            "itself; give one back first; ",
            pool->name, pool->options.max_size);
        add_holders(&t, pool, now);
        return finish(&t, DAL_CLASS_POOL_EXHAUSTED, err);
}

dal_status dal__pool_fail_connect(dal_pool *pool, int64_t now, dal_error *err)
{
        const dal_error *last = &pool->last_error;
        int64_t left = pool->next_connect_at > now ? (pool->next_connect_at - now) / DAL__NS_PER_MS : 0;
        text t = {"", 0};
        dal_status s;

        add(&t, "pool %.160s has no connection: %u connects failed in a row, next try in %lld ms", pool->name,
            pool->n_failures, (long long)left);
        add(&t, "; last connect error: %s", last->message);
        s = finish(&t, last->error_class, err);
        if (err) {
                err->vendor_code = last->vendor_code;
                memcpy(err->sqlstate, last->sqlstate, sizeof err->sqlstate);
        }
        return s;
}

dal_status dal__pool_fail_in_use(dal_pool *pool, dal_error_class error_class, int64_t now, dal_error *err)
{
        text t = {"", 0};

        add(&t, "pool %.160s is still in use: ", pool->name);
        add_holders(&t, pool, now);
        add_rest(&t, pool);
        return finish(&t, error_class, err);
}
