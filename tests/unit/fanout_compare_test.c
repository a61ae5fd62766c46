/* SPDX-License-Identifier: MIT */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "shard/fanout_compare.h"

#define N(array) (sizeof(array) / sizeof((array)[0]))

static int sign(int n)
{
        return (n > 0) - (n < 0);
}

/* Every pair of a list, both ways: `rank[i]` is where value i stands. */
static void check_ranks(const dal_value *values, const int *rank, size_t n)
{
        for (size_t i = 0; i < n; i++)
                for (size_t j = 0; j < n; j++) {
                        int order = 99;

                        if (!dal__fanout_compare(&values[i], &values[j], &order))
                                fail_msg("values %zu and %zu can't be compared", i, j);
                        if (sign(order) != sign(rank[i] - rank[j]))
                                fail_msg("values %zu and %zu: %d", i, j, order);
                }
}

static void test_fanout_compare__integers_of_all_types(void **state)
{
        const dal_value values[] = {dal_int64(INT64_MIN),
                                    dal_int64(INT64_MIN + 1),
                                    dal_int64(-1),
                                    dal_int64(0),
                                    dal_bool(false),
                                    dal_uint64(0),
                                    dal_decimal("-0.00"),
                                    dal_bool(true),
                                    dal_int64(1),
                                    dal_decimal("1.000"),
                                    dal_decimal("1.0000001"),
                                    dal_int64(2),
                                    dal_int64(INT64_MAX),
                                    dal_uint64(INT64_MAX),
                                    dal_decimal("9223372036854775807.5"),
                                    dal_uint64(UINT64_MAX),
                                    dal_decimal("18446744073709551615.0"),
                                    dal_decimal("18446744073709551616")};
        const int rank[] = {0, 1, 2, 3, 3, 3, 3, 4, 4, 4, 5, 6, 7, 7, 8, 9, 9, 10};

        (void)state;
        assert_int_equal(N(values), N(rank));
        check_ranks(values, rank, N(values));
}

static void test_fanout_compare__decimals_by_value_and_not_by_how_they_are_written(void **state)
{
        const dal_value values[] = {dal_decimal("-Infinity"),
                                    dal_decimal("-1e30"),
                                    dal_decimal("-100.5"),
                                    dal_decimal("-100.25"),
                                    dal_decimal("-0.001"),
                                    dal_decimal("0"),
                                    dal_decimal("0e5"),
                                    dal_decimal("+.000"),
                                    dal_decimal("0.0000000000000000001"),
                                    dal_decimal("1E-3"),
                                    dal_decimal("0.001"),
                                    dal_decimal("0.0010"),
                                    dal_decimal("9.9"),
                                    dal_decimal("10"),
                                    dal_decimal("1e1"),
                                    dal_decimal("0010.0"),
                                    dal_decimal("10.0001"),
                                    dal_decimal("99999999999999999999999999.98"),
                                    dal_decimal("99999999999999999999999999.99"),
                                    dal_decimal("1e26"),
                                    dal_decimal("1e400"),
                                    dal_decimal("1e99999999999999999999"),
                                    dal_decimal("Infinity"),
                                    dal_decimal("NaN"),
                                    dal_decimal("NaN")};
        const int rank[] = {0, 1, 2, 3,  4,  5,  5,  5,  6,  7,  7,  7, 8,
                            9, 9, 9, 10, 11, 12, 13, 14, 15, 16, 17, 17};

        (void)state;
        assert_int_equal(N(values), N(rank));
        check_ranks(values, rank, N(values));
}

/* Two doubles are too few digits to tell these apart: the integer is never made one. */
static void test_fanout_compare__doubles_with_doubles_and_with_integers(void **state)
{
        const dal_value values[] = {dal_double((double)-INFINITY),
                                    dal_double(-9223372036854775808.0),
                                    dal_int64(INT64_MIN),
                                    dal_int64(INT64_MIN + 1),
                                    dal_double(-1.5),
                                    dal_int64(-1),
                                    dal_double(-0.5),
                                    dal_double(-0.0),
                                    dal_int64(0),
                                    dal_double(0.25),
                                    dal_uint64(1),
                                    dal_double(9007199254740992.0),
                                    dal_int64(9007199254740992),
                                    dal_int64(9007199254740993),
                                    dal_int64(INT64_MAX),
                                    dal_double(9223372036854775808.0),
                                    dal_uint64(UINT64_MAX),
                                    dal_double(18446744073709551616.0),
                                    dal_double((double)INFINITY),
                                    dal_double((double)NAN)};
        const int rank[] = {0, 1, 1, 2, 3, 4, 5, 6, 6, 7, 8, 9, 9, 10, 11, 12, 13, 14, 15, 16};

        (void)state;
        assert_int_equal(N(values), N(rank));
        check_ranks(values, rank, N(values));
}

/* Against the arithmetic of integers: every way to write i / 100. */
static void test_fanout_compare__random_decimals_as_integers_of_hundredths(void **state)
{
        unsigned seed = 20261121;

        (void)state;
        for (int round = 0; round < 20000; round++) {
                int64_t n[2];
                char text[2][64];
                dal_value values[2];
                int order;

                for (int k = 0; k < 2; k++) {
                        int64_t whole;

                        seed = seed * 1103515245 + 12345;
                        n[k] = (int64_t)(seed >> 8) % (round % 2 ? 500 : 5000000) -
                               (round % 2 ? 250 : 2500000);
                        whole = n[k] < 0 ? -n[k] : n[k];
                        if (seed >> 16 & 1)
                                snprintf(text[k], sizeof text[k], "%s%lld.%02lld%.*s", n[k] < 0 ? "-" : "",
                                         (long long)(whole / 100), (long long)(whole % 100),
                                         (int)(seed >> 20 & 3), "000");
                        else
                                snprintf(text[k], sizeof text[k], "%lld.0e-2", (long long)n[k]);
                        values[k] = dal_decimal(text[k]);
                }
                assert_true(dal__fanout_compare(&values[0], &values[1], &order));
                if (sign(order) != (n[0] > n[1]) - (n[0] < n[1]))
                        fail_msg("%s and %s: %d", text[0], text[1], order);
        }
}

static void test_fanout_compare__text_and_bytes_by_their_bytes(void **state)
{
        static const uint8_t low[16] = {0x00, 0x01}, high[16] = {0xff, 0x01};
        const dal_value texts[] = {dal_text(""),   dal_text("A"),  dal_text("Z"),       dal_text("a"),
                                   dal_text("a "), dal_text("ab"), dal_text("\xc3\xa4")};
        const dal_value bytes[] = {dal_bytes(NULL, 0),      dal_bytes("\0", 1),   dal_uuid(low),
                                   dal_bytes(low, 16),      dal_bytes("\x7f", 1), dal_uuid(high),
                                   dal_bytes("\xff\xff", 2)};
        const int text_rank[] = {0, 1, 2, 3, 4, 5, 6}, bytes_rank[] = {0, 1, 2, 2, 3, 4, 5};

        (void)state;
        check_ranks(texts, text_rank, N(texts));
        check_ranks(bytes, bytes_rank, N(bytes));
}

static void test_fanout_compare__times_and_dates(void **state)
{
        const dal_value times[] = {dal_timestamp(INT64_MIN), dal_timestamp(-1), dal_timestamp(0),
                                   dal_timestamp(INT64_MAX)};
        const dal_value dates[] = {dal_date(-700000), dal_date(0), dal_date(1)};
        const int rank[] = {0, 1, 2, 3};

        (void)state;
        check_ranks(times, rank, N(times));
        check_ranks(dates, rank, N(dates));
}

static void test_fanout_compare__what_has_no_common_order_is_refused(void **state)
{
        dal_value other = dal_text("x");
        int order;

        (void)state;
        other.type = DAL_TYPE_OTHER;
        {
                const dal_value pairs[][2] = {{dal_int64(1), dal_text("1")},
                                              {dal_decimal("1"), dal_double(1)},
                                              {dal_double(1), dal_decimal("1")},
                                              {dal_text("1"), dal_bytes("1", 1)},
                                              {dal_timestamp(0), dal_date(0)},
                                              {dal_int64(0), dal_date(0)},
                                              {dal_decimal("no number"), dal_decimal("1")},
                                              {other, other}};

                for (size_t i = 0; i < N(pairs); i++)
                        if (dal__fanout_compare(&pairs[i][0], &pairs[i][1], &order))
                                fail_msg("pair %zu was compared", i);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_fanout_compare__integers_of_all_types),
                cmocka_unit_test(test_fanout_compare__decimals_by_value_and_not_by_how_they_are_written),
                cmocka_unit_test(test_fanout_compare__doubles_with_doubles_and_with_integers),
                cmocka_unit_test(test_fanout_compare__random_decimals_as_integers_of_hundredths),
                cmocka_unit_test(test_fanout_compare__text_and_bytes_by_their_bytes),
                cmocka_unit_test(test_fanout_compare__times_and_dates),
                cmocka_unit_test(test_fanout_compare__what_has_no_common_order_is_refused),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
