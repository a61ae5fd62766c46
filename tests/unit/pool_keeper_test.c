/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
/* cmocka needs the four above first. Source: cmocka.h */
#include <cmocka.h>

#include "conn/pool_state.h"
#include "pool_rig.h"

/* The pool by itself: servers in trouble, connections that grow old, leases that are forgotten. */

/* ---- a server in trouble ---- */

static void test_pool__a_server_that_is_down_is_asked_seldom(void **state)
{
        dal_pool_options options = small_pool(4);
        struct rig rig = new_rig(&options);
        struct user users[6];
        int64_t start = dal_clock_now();
        uint64_t n_refused;

        (void)state;
        dal_fake_set_down(rig.server, true);
        for (int i = 0; i < 6; i++)
                start_user(&users[i], &rig, 600, 0);
        for (int i = 0; i < 6; i++) {
                join_user(&users[i]);
                assert_int_equal(users[i].status, DAL_ERR_CONN);
                assert_int_equal(users[i].err.error_class, DAL_CLASS_CONNECT_FAILED);
                assert_true(users[i].err.not_sent);
                assert_says(&users[i].err, "pool orders has no connection");
                assert_says(&users[i].err, "last connect error: ");
        }
        assert_in_range(ms_since(start), 595, 2000);
        /* At first at most one for each place at once, then pauses of 25..50, 50..100, 100..200, 200..400 ms. */
        n_refused = dal_fake_get_stats(rig.server).n_refused;
        assert_in_range(n_refused, 2, 4 + 6);
        assert_int_equal(dal_pool_get_stats(rig.pool).n_connect_errors, n_refused);
        assert_int_equal(dal_pool_get_stats(rig.pool).n_timeouts, 6);
        assert_sums(&rig);
        end_rig(&rig);
}

static void test_pool__waiters_are_served_when_the_server_returns(void **state)
{
        dal_pool_options options = small_pool(4);
        struct rig rig = new_rig(&options);
        struct user users[6];

        (void)state;
        dal_fake_set_down(rig.server, true);
        for (int i = 0; i < 6; i++)
                start_user(&users[i], &rig, 5000, 5);
        nap_ms(200);
        dal_fake_set_down(rig.server, false);
        for (int i = 0; i < 6; i++) {
                join_user(&users[i]);
                assert_int_equal(users[i].status, DAL_OK);
        }
        assert_true(dal_pool_get_stats(rig.pool).size >= 1);
        end_rig(&rig);
}

static void test_pool__min_idle_fills_by_itself_also_after_a_restart(void **state)
{
        dal_pool_options options = small_pool(4);
        struct rig rig;
        dal_conn *conn;

        (void)state;
        options.min_idle = 2;
        options.validate_after_ms = 1;
        rig = new_rig(&options);
        wait_for(&rig, stats.idle == 2);
        conn = lease(&rig);
        wait_for(&rig, stats.idle == 2 && stats.leased == 1);
        dal_pool_release(rig.pool, conn);
        assert_int_equal(dal_pool_get_stats(rig.pool).idle, 3);
        dal_fake_set_down(rig.server, true);
        nap_ms(20);
        /* The dead connections are found out one by one; the pool is empty then. */
        assert_int_equal(dal_pool_acquire(rig.pool, false, dal_clock_after_ms(100), &conn, &rig.err),
                         DAL_ERR_CONN);
        wait_for(&rig, stats.idle == 0);
        dal_fake_set_down(rig.server, false);
        wait_for(&rig, stats.idle == 2);
        end_rig(&rig);
}

static void test_pool__a_wrong_password_is_reported_at_once(void **state)
{
        dal_fake_fault fault = {.at = DAL_FAKE_AT_OPEN, .times = 1, .error_class = DAL_CLASS_AUTH};
        dal_pool_options options = small_pool(2);
        struct rig rig = new_rig(&options);
        int64_t start = dal_clock_now();
        dal_conn *conn;

        (void)state;
        assert_true(dal_fake_inject(rig.server, &fault));
        assert_int_equal(dal_pool_acquire(rig.pool, false, dal_clock_after_ms(5000), &conn, &rig.err),
                         DAL_ERR_AUTH);
        assert_true(ms_since(start) < 3000);
        conn = lease(&rig);
        assert_true(ms_since(start) < 3000);
        dal_pool_release(rig.pool, conn);
        end_rig(&rig);
}

static void test_pool__a_wrong_password_is_no_drum_fire_of_the_pools_own(void **state)
{
        dal_fake_fault fault = {.at = DAL_FAKE_AT_OPEN, .times = UINT32_MAX, .error_class = DAL_CLASS_AUTH};
        dal_pool_options options = small_pool(2);
        struct rig rig = new_rig(&options);

        (void)state;
        options.min_idle = 2;
        end_rig(&rig);
        rig.server = dal_fake_new();
        assert_true(dal_fake_inject(rig.server, &fault));
        {
                char url[DAL_FAKE_URL_SIZE];
                dal_dsn *dsn;

                dal_fake_url(rig.server, url);
                assert_int_equal(dal_dsn_parse(url, &dsn, &rig.err), DAL_OK);
                assert_int_equal(dal_pool_new(dal_driver_fake(), dsn, &options, &rig.pool, &rig.err), DAL_OK);
                dal_dsn_free(dsn);
        }
        nap_ms(500); /* tries at 0, 100, 300 and 700 ms */
        assert_in_range(dal_pool_get_stats(rig.pool).n_connect_errors, 1, 4);
        end_rig(&rig);
}

static void test_pool__connect_timeout_is_a_failure_and_the_deadline_is_the_callers(void **state)
{
        dal_fake_fault fault = {.at = DAL_FAKE_AT_OPEN, .times = 1, .hang = true};
        dal_pool_options options = small_pool(2);
        struct rig rig;
        int64_t start;
        dal_conn *conn;

        (void)state;
        options.connect_timeout_ms = 60;
        rig = new_rig(&options);
        assert_true(dal_fake_inject(rig.server, &fault));
        start = dal_clock_now();
        conn = lease(&rig); /* 60 ms in vain, a pause of up to 50 ms, then it works */
        assert_in_range(ms_since(start), 60, 2000);
        assert_int_equal(dal_pool_get_stats(rig.pool).n_connect_errors, 1);
        assert_true(dal_fake_inject(rig.server, &fault));
        start = dal_clock_now();
        {
                dal_conn *other;

                assert_int_equal(dal_pool_acquire(rig.pool, false, dal_clock_after_ms(30), &other, &rig.err),
                                 DAL_ERR_TIMEOUT);
        }
        assert_in_range(ms_since(start), 29, 2000);
        dal_pool_release(rig.pool, conn);
        end_rig(&rig);
}

static void test_pool__a_slow_connect_holds_nobody_up(void **state)
{
        dal_fake_fault fault = {.at = DAL_FAKE_AT_OPEN, .times = 1, .delay_ms = 1000};
        dal_pool_options options = small_pool(2);
        struct rig rig = new_rig(&options);
        dal_conn *conn = lease(&rig);
        struct user slow;
        int64_t start;

        (void)state;
        assert_true(dal_fake_inject(rig.server, &fault));
        start_user(&slow, &rig, 5000, 0);
        wait_for(&rig, stats.connecting == 1);
        start = dal_clock_now();
        for (int i = 0; i < 100; i++) {
                dal_pool_release(rig.pool, conn);
                conn = lease(&rig);
        }
        assert_true(ms_since(start) < 900);
        dal_pool_release(rig.pool, conn);
        join_user(&slow);
        assert_int_equal(slow.status, DAL_OK);
        end_rig(&rig);
}

/* A crowd, and a server that takes its time: what comes back serves the crowd, nobody waits for the slow connect. */
static void test_pool__a_crowd_is_served_by_what_comes_back(void **state)
{
        dal_fake_fault fault = {.at = DAL_FAKE_AT_OPEN, .times = 1, .hang = true};
        dal_pool_options options = small_pool(2);
        struct rig rig = new_rig(&options);
        dal_conn *conn = lease(&rig);
        struct user slow, crowd[5];

        (void)state;
        assert_true(dal_fake_inject(rig.server, &fault));
        start_user(&slow, &rig, 2000, 0); /* its connect hangs until its time is up */
        wait_for(&rig, stats.connecting == 1);
        for (unsigned i = 0; i < 5; i++) {
                start_user(&crowd[i], &rig, 10000, 1);
                wait_for(&rig, stats.waiting == i + 1);
        }
        dal_pool_release(rig.pool, conn);
        for (int i = 0; i < 5; i++) {
                join_user(&crowd[i]);
                assert_int_equal(crowd[i].status, DAL_OK);
        }
        assert_int_equal(dal_pool_get_stats(rig.pool).connecting, 1); /* still */
        assert_int_equal(dal_pool_get_stats(rig.pool).n_opened, 1);
        join_user(&slow);
        assert_int_equal(slow.status, DAL_ERR_TIMEOUT);
        assert_sums(&rig);
        end_rig(&rig);
}

/* Nobody's setting of the clock makes a wait longer or a connection older. */
static void test_pool__waits_by_a_clock_that_nobody_sets(void **state)
{
        dal_pool_options options = small_pool(1);
        struct rig rig = new_rig(&options);
        clockid_t clock = CLOCK_REALTIME;
        struct timespec now;

        (void)state;
        assert_int_equal(pthread_condattr_getclock(&rig.pool->monotonic, &clock), 0);
        assert_int_equal(clock, CLOCK_MONOTONIC);
        assert_int_equal(clock_gettime(CLOCK_MONOTONIC, &now), 0);
        assert_in_range(dal_clock_now() / 1000000000, now.tv_sec, now.tv_sec + 10);
        assert_in_range(dal__pool_now() / 1000000000, now.tv_sec - 1, now.tv_sec + 10);
        end_rig(&rig);
}

/* ---- what grows old ---- */

static void test_pool__only_what_was_idle_for_long_is_pinged(void **state)
{
        dal_pool_options options = small_pool(2);
        struct rig rig;
        dal_conn *a, *b;

        (void)state;
        options.validate_after_ms = 300;
        rig = new_rig(&options);
        a = lease(&rig);
        b = lease(&rig);
        dal_pool_release(rig.pool, a);
        dal_pool_release(rig.pool, b);
        dal_pool_release(rig.pool, lease(&rig));
        assert_int_equal(dal_fake_journal_count(rig.server, "PING"), 0);
        nap_ms(350);
        dal_pool_release(rig.pool, lease(&rig));
        dal_pool_release(rig.pool, lease(&rig));
        assert_int_equal(dal_fake_journal_count(rig.server, "PING"), 1);
        nap_ms(350);
        dal_fake_kill(rig.server, 0);
        dal_pool_release(rig.pool, lease(&rig)); /* both are found dead, a new one is opened */
        assert_int_equal(dal_pool_get_stats(rig.pool).n_opened, 3);
        assert_int_equal(dal_pool_get_stats(rig.pool).n_closed, 2);
        assert_int_equal(dal_pool_get_stats(rig.pool).n_acquired, 6);
        end_rig(&rig);
}

static void test_pool__lifetimes_differ_and_the_old_are_replaced(void **state)
{
        dal_pool_options options = small_pool(8);
        int64_t shortest = INT64_MAX, longest = 0;
        dal_conn *conns[8];
        struct rig rig;

        (void)state;
        options.max_lifetime_ms = 400;
        options.min_idle = 1;
        rig = new_rig(&options);
        for (int i = 0; i < 8; i++)
                conns[i] = lease(&rig);
        for (int i = 0; i < 8; i++) {
                int64_t life = rig.pool->slots[i].expires_at - rig.pool->slots[i].since;

                shortest = life < shortest ? life : shortest;
                longest = life > longest ? life : longest;
        }
        /* `since` is when it was lent last, which is at most some milliseconds after it was opened. */
        assert_in_range(shortest / 1000000, 100, 400);
        assert_in_range(longest / 1000000, 200, 401);
        assert_true(longest - shortest > 5000000);
        for (int i = 0; i < 8; i++)
                dal_pool_release(rig.pool, conns[i]);
        wait_for(&rig, stats.n_closed >= 8 && stats.idle == 1);
        assert_int_equal(dal_pool_get_stats(rig.pool).n_timeouts, 0);
        end_rig(&rig);
}

static void test_pool__surplus_idle_connections_are_closed(void **state)
{
        dal_pool_options options = small_pool(4);
        dal_conn *conns[4];
        struct rig rig;

        (void)state;
        options.max_idle_ms = 50;
        options.min_idle = 1;
        rig = new_rig(&options);
        for (int i = 0; i < 4; i++)
                conns[i] = lease(&rig);
        for (int i = 0; i < 4; i++)
                dal_pool_release(rig.pool, conns[i]);
        assert_int_equal(dal_pool_get_stats(rig.pool).idle, 4);
        wait_for(&rig, stats.idle == 1);
        nap_ms(80);
        assert_int_equal(dal_pool_get_stats(rig.pool).idle, 1);
        assert_int_equal(dal_fake_get_stats(rig.server).n_live, 1);
        end_rig(&rig);
}

/* ---- what is forgotten ---- */

struct leaks {
        pthread_mutex_t lock;
        int n;
        char where[64];
        char pool[64];
        uint64_t held_ms;
        dal_pool *nested;
};

static void on_leak(void *arg, const dal_lease_info *info)
{
        struct leaks *leaks = arg;

        (void)pthread_mutex_lock(&leaks->lock);
        leaks->n++;
        (void)snprintf(leaks->where, sizeof leaks->where, "%s", info->where);
        (void)snprintf(leaks->pool, sizeof leaks->pool, "%s", info->pool_name);
        leaks->held_ms = info->held_ms;
        if (leaks->nested)
                (void)dal_pool_get_stats(leaks->nested); /* no lock is held: this must not hang */
        (void)pthread_mutex_unlock(&leaks->lock);
}

static void test_pool__a_forgotten_lease_is_reported_once(void **state)
{
        struct leaks leaks = {.lock = PTHREAD_MUTEX_INITIALIZER};
        dal_pool_options options = small_pool(2);
        struct rig rig;
        dal_conn *conn;

        (void)state;
        options.leak_after_ms = 300;
        options.on_leak = on_leak;
        options.on_leak_arg = &leaks;
        rig = new_rig(&options);
        leaks.nested = rig.pool;
        dal_pool_release(rig.pool, lease(&rig)); /* a short one is none */
        assert_int_equal(dal_pool_acquire_at("order.c:42", rig.pool, false, DAL_FOREVER, &conn, &rig.err),
                         DAL_OK);
        nap_ms(20);
        assert_int_equal(dal_pool_get_stats(rig.pool).n_leaks, 0);
        wait_for(&rig, stats.n_leaks == 1);
        nap_ms(100);
        assert_int_equal(dal_pool_get_stats(rig.pool).n_leaks, 1);
        (void)pthread_mutex_lock(&leaks.lock);
        assert_int_equal(leaks.n, 1);
        assert_string_equal(leaks.where, "order.c:42");
        assert_string_equal(leaks.pool, "orders");
        assert_in_range(leaks.held_ms, 295, 2000);
        (void)pthread_mutex_unlock(&leaks.lock);
        dal_pool_release(rig.pool, conn);
        conn = lease(&rig); /* a new lease is a new leak */
        wait_for(&rig, stats.n_leaks == 2);
        dal_pool_release(rig.pool, conn);
        end_rig(&rig);
}

static void test_pool__an_idle_pool_sleeps(void **state)
{
        dal_pool_options options = small_pool(2);
        struct rig rig = new_rig(&options);
        int64_t first;

        (void)state;
        for (int i = 0; i < 1000; i++)
                dal_pool_release(rig.pool, lease(&rig));
        nap_ms(20);
        (void)pthread_mutex_lock(&rig.pool->lock);
        first = rig.pool->wake_at;
        (void)pthread_mutex_unlock(&rig.pool->lock);
        assert_true(first > dal_clock_now() + INT64_C(20000000000)); /* the leak check of the first lease */
        for (int i = 0; i < 1000; i++)
                dal_pool_release(rig.pool, lease(&rig));
        (void)pthread_mutex_lock(&rig.pool->lock);
        assert_true(rig.pool->wake_at == first); /* nobody woke the keeper */
        (void)pthread_mutex_unlock(&rig.pool->lock);
        end_rig(&rig);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_pool__a_server_that_is_down_is_asked_seldom),
                cmocka_unit_test(test_pool__waiters_are_served_when_the_server_returns),
                cmocka_unit_test(test_pool__min_idle_fills_by_itself_also_after_a_restart),
                cmocka_unit_test(test_pool__a_wrong_password_is_reported_at_once),
                cmocka_unit_test(test_pool__a_wrong_password_is_no_drum_fire_of_the_pools_own),
                cmocka_unit_test(test_pool__connect_timeout_is_a_failure_and_the_deadline_is_the_callers),
                cmocka_unit_test(test_pool__a_slow_connect_holds_nobody_up),
                cmocka_unit_test(test_pool__a_crowd_is_served_by_what_comes_back),
                cmocka_unit_test(test_pool__waits_by_a_clock_that_nobody_sets),
                cmocka_unit_test(test_pool__only_what_was_idle_for_long_is_pinged),
                cmocka_unit_test(test_pool__lifetimes_differ_and_the_old_are_replaced),
                cmocka_unit_test(test_pool__surplus_idle_connections_are_closed),
                cmocka_unit_test(test_pool__a_forgotten_lease_is_reported_once),
                cmocka_unit_test(test_pool__an_idle_pool_sleeps),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
