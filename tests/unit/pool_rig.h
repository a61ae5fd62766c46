/* SPDX-License-Identifier: MIT */
#ifndef DAL_TESTS_POOL_RIG_H
#define DAL_TESTS_POOL_RIG_H

/* A pool on a fake server, and threads that want connections from it. */

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <dal/drivers/fake.h>
#include <dal/pool.h>

struct rig {
        dal_fake_server *server;
        dal_pool *pool;
        dal_error err;
};

static inline void nap_ms(long ms)
{
        struct timespec ts = {ms / 1000, ms % 1000 * 1000000};

        (void)nanosleep(&ts, NULL);
}

static inline dal_pool_options small_pool(uint32_t max_size)
{
        dal_pool_options options = DAL_POOL_OPTIONS_INIT;

        options.name = "orders";
        options.max_size = max_size;
        return options;
}

static inline struct rig new_rig_of(const dal_pool_options *options, bool modal)
{
        char url[DAL_FAKE_URL_SIZE];
        struct rig rig;
        dal_dsn *dsn;

        memset(&rig, 0, sizeof rig);
        rig.server = dal_fake_new();
        assert_non_null(rig.server);
        if (modal)
                dal_fake_url_modal(rig.server, url);
        else
                dal_fake_url(rig.server, url);
        assert_int_equal(dal_dsn_parse(url, &dsn, &rig.err), DAL_OK);
        if (dal_pool_new(modal ? dal_driver_fake_modal() : dal_driver_fake(), dsn, options, &rig.pool,
                         &rig.err))
                fail_msg("%s", rig.err.message);
        dal_dsn_free(dsn);
        return rig;
}

static inline struct rig new_rig(const dal_pool_options *options)
{
        return new_rig_of(options, false);
}

static inline void end_rig(struct rig *rig)
{
        dal_pool_close(rig->pool);
        if (dal_pool_drain(rig->pool, dal_clock_after_ms(10000), &rig->err) ||
            dal_pool_free(rig->pool, &rig->err))
                fail_msg("%s", rig->err.message);
        assert_int_equal(dal_fake_get_stats(rig->server).n_live, 0);
        dal_fake_free(rig->server);
}

static inline dal_conn *lease(struct rig *rig)
{
        dal_conn *conn;

        if (dal_pool_acquire(rig->pool, false, dal_clock_after_ms(10000), &conn, &rig->err))
                fail_msg("%s", rig->err.message);
        return conn;
}

static inline void assert_sums(struct rig *rig)
{
        dal_pool_stats stats = dal_pool_get_stats(rig->pool);

        assert_int_equal(stats.size, stats.idle + stats.leased + stats.connecting + stats.closing);
        assert_true(stats.size <= stats.max_size);
}

/* Waits until a fact about the pool is so; fails after ten seconds. */
#define wait_for(rig, fact)                                                                                  \
        do {                                                                                                 \
                dal_deadline wait_end_ = dal_clock_after_ms(10000);                                          \
                dal_pool_stats stats = dal_pool_get_stats((rig)->pool);                                      \
                while (!(fact)) {                                                                            \
                        assert_false(dal_clock_passed(wait_end_));                                           \
                        nap_ms(1);                                                                           \
                        stats = dal_pool_get_stats((rig)->pool);                                             \
                }                                                                                            \
        } while (0)

static inline int64_t ms_since(int64_t start)
{
        return (dal_clock_now() - start) / 1000000;
}

static inline void assert_says(const dal_error *err, const char *part)
{
        if (!strstr(err->message, part))
                fail_msg("\"%s\" does not say \"%s\"", err->message, part);
}

/* A thread that acquires once, holds, and gives back. */
struct user {
        struct rig *rig;
        uint32_t timeout_ms, hold_ms;
        pthread_t thread;
        dal_status status;
        dal_error err;
        int64_t served_at;
};

static inline void *user_main(void *arg)
{
        struct user *user = arg;
        dal_conn *conn;

        user->status = dal_pool_acquire(user->rig->pool, false, dal_clock_after_ms(user->timeout_ms), &conn,
                                        &user->err);
        user->served_at = dal_clock_now();
        if (user->status)
                return NULL;
        if (user->hold_ms)
                nap_ms((long)user->hold_ms);
        dal_pool_release(user->rig->pool, conn);
        return NULL;
}

static inline void start_user(struct user *user, struct rig *rig, uint32_t timeout_ms, uint32_t hold_ms)
{
        memset(user, 0, sizeof *user);
        user->rig = rig;
        user->timeout_ms = timeout_ms;
        user->hold_ms = hold_ms;
        assert_int_equal(pthread_create(&user->thread, NULL, user_main, user), 0);
}

static inline void join_user(struct user *user)
{
        assert_int_equal(pthread_join(user->thread, NULL), 0);
}

#endif
