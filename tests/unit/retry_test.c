/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
/* cmocka needs the four above first. Source: cmocka.h */
#include <cmocka.h>

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

#include "run/retry.h"

#define N_DRAWS 4000

enum wish {
        WISH_NO,
        WISH_YES,
        WISH_UNSENT
};

static dal_error failure_of(dal_error_class error_class)
{
        dal_error failure = DAL_ERROR_INIT;

        dal_error_set(&failure, error_class, "made by a test");
        return failure;
}

static void test_retry__each_class_is_retried_as_its_row_says(void **state)
{
        static const enum wish wishes[] = {
#define WISH(name, status, retry, text) WISH_##retry,
                DAL_ERROR_CLASS_LIST(WISH)
#undef WISH
        };

        (void)state;
        for (int c = DAL_CLASS_NONE + 1; c <= DAL_CLASS_INTERNAL; c++) {
                dal_error failure = failure_of((dal_error_class)c);

                assert_int_equal(dal__retry_is_useful(&failure, 1, 0, false), wishes[c] != WISH_NO);
        }
}

static void test_retry__in_doubt_is_never_retried(void **state)
{
        dal_error failure = failure_of(DAL_CLASS_COMMIT_UNKNOWN);

        (void)state;
        failure.retry_tx = true; /* whoever set this bit was wrong */
        assert_false(dal__retry_is_useful(&failure, 1, 100, true));
}

static void test_retry__attempts_are_capped(void **state)
{
        dal_error failure = failure_of(DAL_CLASS_DEADLOCK);

        (void)state;
        for (uint32_t attempt = 1; attempt < 10; attempt++)
                assert_true(dal__retry_is_useful(&failure, attempt, 0, false));
        assert_false(dal__retry_is_useful(&failure, 10, 0, false));
        assert_false(dal__retry_is_useful(&failure, 11, 0, false));
        assert_false(dal__retry_is_useful(&failure, 1, 1, false));
        assert_true(dal__retry_is_useful(&failure, 1, 2, false));
        assert_true(dal__retry_is_useful(&failure, 4999, 5000, false));
        assert_false(dal__retry_is_useful(&failure, UINT32_MAX, UINT32_MAX, false));
}

static void test_retry__unique_is_retried_three_times_and_only_on_request(void **state)
{
        dal_error failure = failure_of(DAL_CLASS_UNIQUE);

        (void)state;
        assert_false(dal__retry_is_useful(&failure, 1, 0, false));
        assert_true(dal__retry_is_useful(&failure, 1, 0, true));
        assert_true(dal__retry_is_useful(&failure, 3, 0, true));
        assert_false(dal__retry_is_useful(&failure, 4, 0, true));
        assert_false(dal__retry_is_useful(&failure, 2, 2, true));
        failure = failure_of(DAL_CLASS_FOREIGN_KEY);
        assert_false(dal__retry_is_useful(&failure, 1, 0, true));
}

/* A deadlock was underneath: the transaction says that by the bit. */
static void test_retry__the_bit_counts_whatever_the_class(void **state)
{
        dal_error failure = failure_of(DAL_CLASS_UNIQUE);

        (void)state;
        failure.retry_tx = true;
        assert_true(dal__retry_is_useful(&failure, 5, 0, false));
        failure = failure_of(DAL_CLASS_APP);
        failure.retry_tx = true;
        assert_true(dal__retry_is_useful(&failure, 1, 0, false));
}

/* Draws many pauses; checks the ceiling, that both ends are reached, and that the middle is in the middle. */
static void check_jitter(dal_error_class error_class, uint32_t attempt, uint32_t ceiling)
{
        dal_error failure = failure_of(error_class);
        uint64_t random = 1, sum = 0;
        uint32_t least = UINT32_MAX, most = 0;

        for (uint32_t i = 0; i < N_DRAWS; i++) {
                uint32_t delay = dal__retry_delay_ms(&failure, attempt, &random);

                least = delay < least ? delay : least;
                most = delay > most ? delay : most;
                sum += delay;
        }
        assert_in_range(most, ceiling - ceiling / 50, ceiling);
        assert_in_range(least, 0, ceiling / 50);
        assert_in_range(sum / N_DRAWS, ceiling * 45 / 100, ceiling * 55 / 100 + 1);
}

static void test_retry__pauses_are_spread_evenly_under_a_doubling_ceiling(void **state)
{
        uint32_t ceiling = 5;

        (void)state;
        for (uint32_t attempt = 1; attempt < 40; attempt++) {
                check_jitter(DAL_CLASS_DEADLOCK, attempt, ceiling);
                ceiling = ceiling * 2 < 1000 ? ceiling * 2 : 1000;
        }
        check_jitter(DAL_CLASS_SERIALIZATION, UINT32_MAX, 1000);
        check_jitter(DAL_CLASS_STALE_MAP, 1, 5);
}

static void test_retry__a_server_in_trouble_is_given_more_time(void **state)
{
        (void)state;
        check_jitter(DAL_CLASS_CONNECTION_LOST, 1, 50);
        check_jitter(DAL_CLASS_CONNECTION_LOST, 9, 1000);
        check_jitter(DAL_CLASS_CONNECT_FAILED, 1, 100);
        check_jitter(DAL_CLASS_TOO_MANY_CONNECTIONS, 1, 100);
        check_jitter(DAL_CLASS_TOO_MANY_CONNECTIONS, 2, 200);
        check_jitter(DAL_CLASS_TOO_MANY_CONNECTIONS, 9, 1000);
        check_jitter(DAL_CLASS_READ_ONLY_SERVER, 1, 250);
        check_jitter(DAL_CLASS_READ_ONLY_SERVER, 3, 1000);
}

static void test_retry__two_callers_do_not_pause_in_step(void **state)
{
        dal_error failure = failure_of(DAL_CLASS_DEADLOCK);
        uint64_t one = 0, two = 0, same = 0;

        (void)state;
        for (uint32_t i = 0; i < 200; i++) {
                uint32_t a = dal__retry_delay_ms(&failure, 8, &one);

                same += a == dal__retry_delay_ms(&failure, 8, &two);
        }
        assert_int_not_equal(one, 0);
        assert_int_not_equal(one, two);
        assert_in_range(same, 0, 20);
}

static void test_retry__sleep_lasts_and_stops_before_the_deadline(void **state)
{
        int64_t start = dal_clock_now();

        (void)state;
        assert_true(dal__retry_sleep(30, DAL_FOREVER));
        assert_true(dal_clock_now() - start >= INT64_C(30000000));
        start = dal_clock_now();
        assert_false(dal__retry_sleep(60000, dal_clock_after_ms(100)));
        assert_false(dal__retry_sleep(0, start));
        assert_false(dal__retry_sleep(1, 1));
        assert_true(dal_clock_now() - start < INT64_C(5000000000));
        assert_true(dal__retry_sleep(0, dal_clock_after_ms(1000)));
}

static atomic_int n_signals;

static void count_signal(int number)
{
        (void)number;
        atomic_fetch_add(&n_signals, 1);
}

static void *send_signals(void *arg)
{
        struct timespec pause = {0, 5000000};
        pthread_t *to = arg;

        for (int i = 0; i < 5; i++) {
                nanosleep(&pause, NULL);
                pthread_kill(*to, SIGUSR1);
        }
        return NULL;
}

static void test_retry__sleep_is_not_cut_short_by_signals(void **state)
{
        struct sigaction action, old;
        pthread_t sender, self = pthread_self();
        int64_t start = dal_clock_now();

        (void)state;
        memset(&action, 0, sizeof action);
        action.sa_handler = count_signal;
        assert_int_equal(sigaction(SIGUSR1, &action, &old), 0);
        assert_int_equal(pthread_create(&sender, NULL, send_signals, &self), 0);
        assert_true(dal__retry_sleep(100, DAL_FOREVER));
        assert_true(dal_clock_now() - start >= INT64_C(100000000));
        assert_int_equal(pthread_join(sender, NULL), 0);
        assert_true(atomic_load(&n_signals) > 0);
        assert_int_equal(sigaction(SIGUSR1, &old, NULL), 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_retry__each_class_is_retried_as_its_row_says),
                cmocka_unit_test(test_retry__in_doubt_is_never_retried),
                cmocka_unit_test(test_retry__attempts_are_capped),
                cmocka_unit_test(test_retry__unique_is_retried_three_times_and_only_on_request),
                cmocka_unit_test(test_retry__the_bit_counts_whatever_the_class),
                cmocka_unit_test(test_retry__pauses_are_spread_evenly_under_a_doubling_ceiling),
                cmocka_unit_test(test_retry__a_server_in_trouble_is_given_more_time),
                cmocka_unit_test(test_retry__two_callers_do_not_pause_in_step),
                cmocka_unit_test(test_retry__sleep_lasts_and_stops_before_the_deadline),
                cmocka_unit_test(test_retry__sleep_is_not_cut_short_by_signals),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
