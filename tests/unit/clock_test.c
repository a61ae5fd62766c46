/* SPDX-License-Identifier: MIT */
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dal/clock.h>

#define MS INT64_C(1000000)

static void test_clock__now_never_goes_back(void **state)
{
        int64_t last = dal_clock_now();

        (void)state;
        assert_true(last > 0);
        for (int i = 0; i < 1000; i++) {
                int64_t now = dal_clock_now();

                assert_true(now >= last);
                last = now;
        }
}

static void test_clock__after_is_that_far_away(void **state)
{
        int64_t before = dal_clock_now();
        dal_deadline deadline = dal_clock_after_ms(1500);
        int64_t after = dal_clock_now();

        (void)state;
        assert_true(deadline >= before + 1500 * MS);
        assert_true(deadline <= after + 1500 * MS);
        assert_true(dal_clock_after_ms(UINT32_MAX) > before); /* does not wrap */
        assert_true(dal_clock_after_ms(UINT32_MAX) < DAL_FOREVER);
}

static void test_clock__left_is_in_milliseconds(void **state)
{
        int left = dal_clock_left_ms(dal_clock_after_ms(60000));

        (void)state;
        assert_in_range(left, 59000, 60000);
        assert_in_range(dal_clock_left_ms(dal_clock_now() + 5000 * MS), 4000, 5000);
}

static void test_clock__left_stays_within_an_int(void **state)
{
        (void)state;
        assert_int_equal(dal_clock_left_ms(DAL_FOREVER), -1);
        assert_int_equal(dal_clock_left_ms(DAL_FOREVER - 1), INT32_MAX);
        assert_int_equal(dal_clock_left_ms(dal_clock_after_ms(UINT32_MAX)), INT32_MAX);
        assert_int_equal(dal_clock_left_ms(dal_clock_now() - 1), 0);
        assert_int_equal(dal_clock_left_ms(0), 0);
        assert_int_equal(dal_clock_left_ms(INT64_MIN), 0);
}

static void test_clock__a_wait_of_what_is_left_reaches_the_deadline(void **state)
{
        (void)state;
        for (int i = 0; i < 10; i++) {
                /* Rounded down, the wait would be too short. */
                dal_deadline deadline = dal_clock_now() + 3 * MS / 2;

                assert_false(dal_clock_passed(deadline));
                poll(NULL, 0, dal_clock_left_ms(deadline));
                assert_true(dal_clock_passed(deadline));
                assert_int_equal(dal_clock_left_ms(deadline), 0);
        }
}

static void test_clock__forever_never_passes(void **state)
{
        (void)state;
        assert_false(dal_clock_passed(DAL_FOREVER));
        assert_true(dal_clock_passed(0));
        assert_true(dal_clock_passed(INT64_MIN));
}

static void test_clock__earlier_of_two(void **state)
{
        (void)state;
        assert_true(dal_clock_earlier(1, 2) == 1);
        assert_true(dal_clock_earlier(DAL_FOREVER, 2) == 2);
}

/* Near and far, as the clock that is read first is a coarse one. */
static void test_clock__passed_is_exact(void **state)
{
        static const int64_t left_ms[] = {90, 99, 101, 110, 200, 60000};

        (void)state;
        for (size_t i = 0; i < sizeof left_ms / sizeof left_ms[0]; i++) {
                dal_deadline deadline = dal_clock_now() + left_ms[i] * MS;
                bool passed = dal_clock_passed(deadline);

                assert_true(!passed || dal_clock_now() >= deadline);
        }
        for (int i = 0; i < 1000; i++) {
                dal_deadline deadline = dal_clock_now() + i * 1000;

                while (!dal_clock_passed(deadline))
                        continue;
                assert_true(dal_clock_now() >= deadline);
                assert_true(dal_clock_passed(deadline));
                assert_true(dal_clock_passed(dal_clock_now()));
        }
}

int main(void)
{
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_clock__now_never_goes_back),
                cmocka_unit_test(test_clock__after_is_that_far_away),
                cmocka_unit_test(test_clock__left_is_in_milliseconds),
                cmocka_unit_test(test_clock__left_stays_within_an_int),
                cmocka_unit_test(test_clock__a_wait_of_what_is_left_reaches_the_deadline),
                cmocka_unit_test(test_clock__forever_never_passes),
                cmocka_unit_test(test_clock__earlier_of_two),
                cmocka_unit_test(test_clock__passed_is_exact),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
