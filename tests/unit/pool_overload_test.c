/* SPDX-License-Identifier: MIT */
/* Who can't be served in time is told so at once; who perhaps can be is not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
/* cmocka needs the four above first. Source: cmocka.h */
#include <cmocka.h>

#include "conn/pool_overload.h"
#include "conn/pool_state.h"
#include "pool_rig.h"

#define MS    INT64_C(1000000)
#define START (1000000 * MS)

/* ---- the estimate, with times of the tests' own ---- */

/* Notes n leases, one given back every held/size; returns when the last one was. */
static int64_t note(dal__pool_pace *pace, uint32_t size, int64_t held, uint32_t n, int64_t now)
{
        for (uint32_t i = 0; i < n; i++) {
                now += held / (int64_t)size;
                dal__pool_pace_note(pace, size, held, now);
        }
        return now;
}

static bool is_hopeless(const dal__pool_pace *pace, uint32_t place, int64_t now, int64_t left)
{
        return dal__pool_pace_is_hopeless(pace, 8, place, now, now + left);
}

static void test_pace__nobody_is_refused_before_enough_was_measured(void **state)
{
        dal__pool_pace pace = {0, 0, 0};
        int64_t now = START;

        (void)state;
        assert_false(is_hopeless(&pace, 1000, now, MS));
        now = note(&pace, 8, 20 * MS, 15, now);
        assert_int_equal(dal__pool_pace_wait(&pace, 8, 1000, now), 0);
        assert_false(is_hopeless(&pace, 1000, now, MS));
        now = note(&pace, 8, 20 * MS, 1, now);
        assert_int_equal(dal__pool_pace_wait(&pace, 8, 1000, now), 2500 * MS);
        assert_true(is_hopeless(&pace, 1000, now, MS));
}

static void test_pace__a_large_pool_must_have_measured_two_leases_a_connection(void **state)
{
        dal__pool_pace pace = {0, 0, 0};
        int64_t now = note(&pace, 100, 20 * MS, 199, START);

        (void)state;
        assert_int_equal(dal__pool_pace_wait(&pace, 100, 1000, now), 0);
        now = note(&pace, 100, 20 * MS, 1, now);
        assert_int_equal(dal__pool_pace_wait(&pace, 100, 1000, now), 200 * MS);
}

static void test_pace__the_first_in_the_line_is_never_refused(void **state)
{
        dal__pool_pace pace = {0, 0, 0};
        int64_t now = note(&pace, 8, 60000 * MS, 100, START);

        (void)state;
        assert_false(is_hopeless(&pace, 1, now, MS));
        assert_true(is_hopeless(&pace, 2, now, MS));
}

static void test_pace__who_can_finish_in_time_stays_and_who_can_not_goes(void **state)
{
        dal__pool_pace pace = {0, 0, 0};
        int64_t now = note(&pace, 8, 20 * MS, 100, START);

        (void)state;
        /* 2.5 ms a place; of 100 ms two leases of 20 ms are for the work. */
        assert_false(is_hopeless(&pace, 24, now, 100 * MS));
        assert_true(is_hopeless(&pace, 25, now, 100 * MS));
        /* One who has more time may stand there. */
        assert_false(is_hopeless(&pace, 25, now, 200 * MS));
        assert_false(dal__pool_pace_is_hopeless(&pace, 8, UINT32_MAX, now, DAL_FOREVER));
}

static void test_pace__no_more_than_half_of_the_time_is_kept_for_work(void **state)
{
        dal__pool_pace pace = {0, 0, 0};
        int64_t now = note(&pace, 8, 80 * MS, 100, START);

        (void)state;
        assert_false(is_hopeless(&pace, 5, now, 100 * MS)); /* 50 ms of 100 */
        assert_true(is_hopeless(&pace, 6, now, 100 * MS));
}

static void test_pace__leases_longer_than_the_time_left_say_nothing_of_the_work(void **state)
{
        dal__pool_pace pace = {0, 0, 0};
        int64_t now = note(&pace, 8, 800 * MS, 100, START);

        (void)state;
        assert_false(is_hopeless(&pace, 5, now, 500 * MS)); /* a wait of 500 ms: nothing is kept */
        assert_true(is_hopeless(&pace, 6, now, 500 * MS));
}

static void test_pace__a_stall_is_soon_forgotten(void **state)
{
        static const int64_t stalls[] = {200, 900, 1500, 30000};

        (void)state;
        for (size_t k = 0; k < sizeof stalls / sizeof stalls[0]; k++) {
                dal__pool_pace pace = {0, 0, 0};
                int64_t now = note(&pace, 8, 20 * MS, 100, START) + stalls[k] * MS;

                for (int i = 0; i < 8; i++) /* all that were lent come back at once */
                        dal__pool_pace_note(&pace, 8, stalls[k] * MS, now);
                now = note(&pace, 8, 20 * MS, 32, now); /* 80 ms of everyday work */
                assert_false(is_hopeless(&pace, 10, now, 100 * MS));
        }
}

static void test_pace__what_is_not_measured_any_more_fades(void **state)
{
        dal__pool_pace pace = {0, 0, 0};
        int64_t now = note(&pace, 8, 800 * MS, 100, START);

        (void)state;
        assert_int_equal(dal__pool_pace_wait(&pace, 8, 4, now), 400 * MS);
        assert_int_equal(dal__pool_pace_wait(&pace, 8, 4, now + 1000 * MS), 200 * MS);
        assert_int_equal(dal__pool_pace_wait(&pace, 8, 4, now + 3000 * MS), 50 * MS);
        assert_int_equal(dal__pool_pace_wait(&pace, 8, 4, now + 100000 * MS), 0);
        /* After that a single measurement, be it of the old kind, says little again. */
        dal__pool_pace_note(&pace, 8, 800 * MS, now + 20000 * MS);
        assert_true(dal__pool_pace_wait(&pace, 8, 4, now + 20000 * MS) < MS);
}

static void test_pace__where_leases_are_long_the_measurements_last_longer(void **state)
{
        dal__pool_pace pace = {0, 0, 0};
        int64_t now = note(&pace, 8, 4000 * MS, 100, START);

        (void)state;
        assert_int_equal(dal__pool_pace_wait(&pace, 8, 4, now + 3900 * MS), 2000 * MS);
        assert_int_equal(dal__pool_pace_wait(&pace, 8, 4, now + 4000 * MS), 1000 * MS);
}

static void test_pace__a_server_that_became_slow_is_noticed(void **state)
{
        dal__pool_pace pace = {0, 0, 0};
        int64_t now = note(&pace, 8, MS, 100, START), wait;

        (void)state;
        now = note(&pace, 8, 100 * MS, 100, now);
        wait = dal__pool_pace_wait(&pace, 8, 8, now);
        assert_true(wait > 90 * MS && wait <= 100 * MS);
}

static void test_pace__odd_times_do_no_harm(void **state)
{
        dal__pool_pace pace = {0, 0, 0};
        int64_t now = note(&pace, 1, INT64_MAX / 1000000, 1000, START);

        (void)state;
        assert_true(dal__pool_pace_wait(&pace, 1, UINT32_MAX, now) > 0);
        for (int i = 0; i < 1000; i++)
                dal__pool_pace_note(&pace, 1, -4 * MS, now);
        assert_int_equal(dal__pool_pace_wait(&pace, 1, 1000, now), 0);
        pace.held = INT64_MAX / 2;
        assert_true(dal__pool_pace_wait(&pace, 1, UINT32_MAX, now) == INT64_MAX);
        assert_true(is_hopeless(&pace, UINT32_MAX, now, 100 * MS));
}

/* ---- a pool with a line ---- */

static void test_pool__the_line_measures_how_long_leases_are_held(void **state)
{
        enum {
                N_USERS = 17,
                HELD_MS = 5
        }; /* with the first lease two more than is enough */
        dal_pool_options options = small_pool(1);
        struct rig rig = new_rig(&options);
        struct user users[N_USERS];
        dal_conn *conn = lease(&rig);

        (void)state;
        for (uint32_t i = 0; i < N_USERS; i++)
                start_user(&users[i], &rig, 60000, HELD_MS);
        wait_for(&rig, stats.waiting == N_USERS);
        assert_int_equal(rig.pool->pace.n_noted, 0);
        dal_pool_release(rig.pool, conn);
        for (uint32_t i = 0; i < N_USERS; i++) {
                join_user(&users[i]);
                assert_int_equal(users[i].status, DAL_OK);
        }
        assert_int_equal(rig.pool->pace.n_noted, 16);
        /* The first one, who held it before there was a line, was measured by the coarse clock. */
        assert_true(rig.pool->pace.held >= (HELD_MS - 1) * MS);
        end_rig(&rig);
}

static void test_pool__without_a_line_nothing_is_measured(void **state)
{
        dal_pool_options options = small_pool(2);
        struct rig rig = new_rig(&options);

        (void)state;
        for (int i = 0; i < 50; i++) {
                dal_conn *a = lease(&rig), *b = lease(&rig);

                dal_pool_release(rig.pool, a);
                dal_pool_release(rig.pool, b);
        }
        assert_int_equal(rig.pool->pace.n_noted, 0);
        end_rig(&rig);
}

/* As if leases had been held for a minute each, up to now. */
static void make_slow(struct rig *rig)
{
        (void)pthread_mutex_lock(&rig->pool->lock);
        rig->pool->pace = (dal__pool_pace){60000 * MS, dal_clock_now() + 60000 * MS, 16};
        (void)pthread_mutex_unlock(&rig->pool->lock);
}

static void test_pool__who_would_wait_in_vain_is_refused_at_once(void **state)
{
        dal_pool_options options = small_pool(1);
        struct rig rig = new_rig(&options);
        struct user first, second, third;
        dal_conn *conn = lease(&rig);
        dal_pool_stats after;
        int64_t start;

        (void)state;
        make_slow(&rig);
        start_user(&first, &rig, 30000, 0); /* too short, too, but the first is never refused */
        wait_for(&rig, stats.waiting == 1);
        start_user(&second, &rig, 1000000, 0);
        wait_for(&rig, stats.waiting == 2);
        start = dal_clock_now();
        start_user(&third, &rig, 20000, 0);
        join_user(&third);
        assert_true(ms_since(start) < 10000);
        assert_int_equal(third.status, DAL_ERR_EXHAUSTED);
        assert_int_equal(third.err.error_class, DAL_CLASS_POOL_EXHAUSTED);
        assert_true(third.err.not_sent);
        assert_says(&third.err, "pool orders is overloaded: at place 3 of the line");
        assert_says(&third.err, "in about 180000 ms");
        assert_says(&third.err, "ms are left");
        assert_says(&third.err, "raise max_size=1");
        assert_says(&third.err, "pool_rig.h:");
        after = dal_pool_get_stats(rig.pool);
        assert_int_equal(after.n_refused, 1);
        assert_int_equal(after.n_timeouts, 0);
        assert_int_equal(after.waiting, 2);
        dal_pool_release(rig.pool, conn);
        join_user(&first);
        join_user(&second);
        assert_int_equal(first.status + second.status, DAL_OK);
        assert_true(first.served_at <= second.served_at);
        end_rig(&rig);
}

static void test_pool__the_first_in_the_line_waits_until_its_deadline(void **state)
{
        dal_pool_options options = small_pool(1);
        struct rig rig = new_rig(&options);
        dal_conn *conn = lease(&rig);
        struct user user;

        (void)state;
        make_slow(&rig);
        start_user(&user, &rig, 20, 0);
        join_user(&user);
        assert_int_equal(user.status, DAL_ERR_EXHAUSTED);
        assert_says(&user.err, "is exhausted");
        assert_int_equal(dal_pool_get_stats(rig.pool).n_refused, 0);
        assert_int_equal(dal_pool_get_stats(rig.pool).n_timeouts, 1);
        dal_pool_release(rig.pool, conn);
        end_rig(&rig);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_pace__nobody_is_refused_before_enough_was_measured),
                cmocka_unit_test(test_pace__a_large_pool_must_have_measured_two_leases_a_connection),
                cmocka_unit_test(test_pace__the_first_in_the_line_is_never_refused),
                cmocka_unit_test(test_pace__who_can_finish_in_time_stays_and_who_can_not_goes),
                cmocka_unit_test(test_pace__no_more_than_half_of_the_time_is_kept_for_work),
                cmocka_unit_test(test_pace__leases_longer_than_the_time_left_say_nothing_of_the_work),
                cmocka_unit_test(test_pace__a_stall_is_soon_forgotten),
                cmocka_unit_test(test_pace__what_is_not_measured_any_more_fades),
                cmocka_unit_test(test_pace__where_leases_are_long_the_measurements_last_longer),
                cmocka_unit_test(test_pace__a_server_that_became_slow_is_noticed),
                cmocka_unit_test(test_pace__odd_times_do_no_harm),
                cmocka_unit_test(test_pool__the_line_measures_how_long_leases_are_held),
                cmocka_unit_test(test_pool__without_a_line_nothing_is_measured),
                cmocka_unit_test(test_pool__who_would_wait_in_vain_is_refused_at_once),
                cmocka_unit_test(test_pool__the_first_in_the_line_waits_until_its_deadline),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
