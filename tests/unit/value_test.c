/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <dal/value.h>

#define US_PER_DAY INT64_C(86400000000)

static void check_civil(dal_civil c, int32_t year, int month, int day)
{
        assert_int_equal(c.year, year);
        assert_int_equal(c.month, month);
        assert_int_equal(c.day, day);
}

static void test_value__days_and_civil_agree(void **state)
{
        static const struct {
                int64_t days;
                int32_t year;
                int month, day;
        } known[] = {
                {0, 1970, 1, 1},         {-1, 1969, 12, 31},        {11016, 2000, 2, 29},
                {11017, 2000, 3, 1},     {20413, 2025, 11, 21},     {-25509, 1900, 2, 28},
                {-25508, 1900, 3, 1},    {-719162, 1, 1, 1},        {-719163, 0, 12, 31},
                {-719528, 0, 1, 1},      {-719468, 0, 3, 1},        {-719529, -1, 12, 31},
                {2932896, 9999, 12, 31}, {-2440588, -4713, 11, 24},
        };

        (void)state;
        for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
                dal_civil c = dal_value_civil_of_days(known[i].days);

                check_civil(c, known[i].year, known[i].month, known[i].day);
                assert_true(dal_value_days_of_civil(c) == known[i].days);
        }
}

static void test_value__every_day_of_eight_centuries_follows_the_last(void **state)
{
        dal_civil last = dal_value_civil_of_days(-200000);

        (void)state;
        for (int64_t days = -199999; days < 100000; days++) {
                dal_civil c = dal_value_civil_of_days(days);

                assert_true(dal_value_days_of_civil(c) == days);
                if (c.day != last.day + 1) {
                        assert_int_equal(c.day, 1);
                        assert_true(c.month == last.month + 1 || (c.month == 1 && last.month == 12));
                        assert_int_equal(c.year, last.year + (c.month == 1));
                        assert_in_range(last.day, 28, 31);
                }
                last = c;
        }
}

static void test_value__conversions_saturate(void **state)
{
        dal_civil c = {INT32_MAX, 12, 31, 23, 59, 59, 999999};

        (void)state;
        check_civil(dal_value_civil_of_days(INT64_MAX), INT32_MAX, 12, 31);
        check_civil(dal_value_civil_of_days(INT64_MIN), INT32_MIN, 1, 1);
        assert_true(dal_value_us_of_civil(c) == INT64_MAX);
        c.year = INT32_MIN;
        assert_true(dal_value_us_of_civil(c) == INT64_MIN);
        assert_true(dal_value_days_of_civil(c) == INT64_C(-784353015833) + 365); /* a leap year */
}

static void test_value__us_and_civil_agree(void **state)
{
        static const int64_t instants[] = {0,
                                           -1,
                                           1,
                                           999999,
                                           -1000000,
                                           US_PER_DAY - 1,
                                           -US_PER_DAY,
                                           INT64_C(1763719200123456),
                                           INT64_MIN,
                                           INT64_MAX,
                                           INT64_MIN + 1,
                                           INT64_MAX - 1};
        dal_civil c;

        (void)state;
        for (size_t i = 0; i < sizeof instants / sizeof instants[0]; i++)
                assert_true(dal_value_us_of_civil(dal_value_civil_of_us(instants[i])) == instants[i]);
        c = dal_value_civil_of_us(-1);
        check_civil(c, 1969, 12, 31);
        assert_int_equal(c.hour, 23);
        assert_int_equal(c.minute, 59);
        assert_int_equal(c.second, 59);
        assert_int_equal(c.microsecond, 999999);
}

/* One microsecond past either end of the range. */
static void test_value__us_saturates_at_the_very_end(void **state)
{
        dal_civil last = dal_value_civil_of_us(INT64_MAX);
        dal_civil first = dal_value_civil_of_us(INT64_MIN);

        (void)state;
        last.microsecond++;
        assert_true(dal_value_us_of_civil(last) == INT64_MAX);
        first.microsecond--;
        assert_true(dal_value_us_of_civil(first) == INT64_MIN);
}

/* Of just its size on the heap, so that a sanitizer sees a look behind the end. */
static bool is_decimal(const char *text)
{
        size_t size = strlen(text);
        char *copy = malloc(size ? size : 1);
        bool result;

        assert_non_null(copy);
        memcpy(copy, text, size);
        result = dal_value_is_decimal(copy, size);
        free(copy);
        return result;
}

static bool parse_timestamp(const char *text, int64_t *out)
{
        size_t size = strlen(text);
        char *copy = malloc(size ? size : 1);
        bool result;

        assert_non_null(copy);
        memcpy(copy, text, size);
        result = dal_value_parse_timestamp(copy, size, out);
        free(copy);
        return result;
}

static void test_value__decimal_grammar(void **state)
{
        static const char *const good[] = {"0",    "-0",    "+1",      "1.5",
                                           ".5",   "5.",    "-12.340", "1e3",
                                           "1E-3", "1.e+7", "00.00",   "123456789012345678901234567890.5"};
        static const char *const bad[] = {
                "",    "-",   "+",   ".",   "-.",  "e5",  "1e",       "1e+",       "1.2.3", " 1", "1 ",
                "1,5", "0x1", "1_0", "--1", "NaN", "nan", "Infinity", "-Infinity", "1e5.5", "1f", "\xD9\xA1"};

        (void)state;
        for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
                assert_true(is_decimal(good[i]));
        for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
                assert_false(is_decimal(bad[i]));
        assert_false(dal_value_is_decimal("1\0", 2));
        assert_true(dal_value_is_decimal("12x", 2)); /* no terminator is needed */
}

static void test_value__utf8_borders(void **state)
{
        static const char *const good[] = {"",
                                           "a",
                                           "\x7F",
                                           "\xC2\x80",
                                           "\xDF\xBF",
                                           "\xE0\xA0\x80",
                                           "\xED\x9F\xBF",
                                           "\xEE\x80\x80",
                                           "\xEF\xBF\xBF",
                                           "\xF0\x90\x80\x80",
                                           "\xF4\x8F\xBF\xBF"};
        static const char *const bad[] = {"\x80",
                                          "\xBF",
                                          "\xC0\x80",
                                          "\xC1\xBF",
                                          "\xC2",
                                          "\xC2\x7F",
                                          "\xC2\xC0",
                                          "\xE0\x9F\xBF",
                                          "\xE0\xA0",
                                          "\xED\xA0\x80",
                                          "\xED\xBF\xBF",
                                          "\xE1\x80\x7F",
                                          "\xF0\x8F\xBF\xBF",
                                          "\xF4\x90\x80\x80",
                                          "\xF5\x80\x80\x80",
                                          "\xFF",
                                          "\xF0\x90\x80",
                                          "\xF8\x88\x80\x80\x80"};

        (void)state;
        for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
                assert_true(dal_value_is_utf8(good[i], strlen(good[i])));
        for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
                assert_false(dal_value_is_utf8(bad[i], strlen(bad[i])));
        assert_true(dal_value_is_utf8("a\0b", 3));
        assert_true(dal_value_is_utf8(NULL, 0));
}

/* The eight-bytes-at-once path must see a bad byte wherever it stands. */
static void test_value__utf8_at_every_offset(void **state)
{
        (void)state;
        for (size_t i = 0; i < 40; i++) {
                char text[42];

                memset(text, 'x', sizeof text);
                text[i] = '\x80';
                assert_false(dal_value_is_utf8(text, 40));
                text[i] = '\xC3';
                text[i + 1] = '\xA9';
                assert_true(dal_value_is_utf8(text, 42));
                assert_false(dal_value_is_utf8(text, i + 1)); /* cut inside the character */
        }
}

static void test_value__uuid_forms(void **state)
{
        static const uint8_t expected[16] = {0x55, 0x0e, 0x84, 0x00, 0xe2, 0x9b, 0x41, 0xd4,
                                             0xa7, 0x16, 0x44, 0x66, 0x55, 0x44, 0x00, 0xff};
        static const char *const good[] = {"550e8400-e29b-41d4-a716-4466554400ff",
                                           "550E8400-E29B-41D4-A716-4466554400FF",
                                           "550e8400e29b41d4a7164466554400ff"};
        static const char *const bad[] = {"",
                                          "550e8400-e29b-41d4-a716-4466554400f",
                                          "550e8400-e29b-41d4-a716-4466554400fff",
                                          "550e8400+e29b-41d4-a716-4466554400ff",
                                          "550e840-0e29b-41d4-a716-4466554400ff",
                                          "g50e8400-e29b-41d4-a716-4466554400ff",
                                          "{50e8400e29b41d4a7164466554400ff",
                                          "550e8400-e29b41d4a7164466554400ff"};
        uint8_t uuid[16];
        char text[37];

        (void)state;
        for (size_t i = 0; i < 3; i++) {
                memset(uuid, 0, sizeof uuid);
                assert_true(dal_value_parse_uuid(good[i], strlen(good[i]), uuid));
                assert_memory_equal(uuid, expected, 16);
        }
        dal_value_format_uuid(expected, text);
        assert_string_equal(text, good[0]);
        for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
                assert_false(dal_value_parse_uuid(bad[i], strlen(bad[i]), uuid));
                assert_memory_equal(uuid, expected, 16); /* untouched */
        }
}

static void test_value__timestamp_forms(void **state)
{
        static const struct {
                const char *text;
                int64_t us;
        } good[] = {
                {"1970-01-01", 0},
                {"1970-01-01 00:00:00", 0},
                {"1970-01-01T00:00:01Z", 1000000},
                {"1970-01-01 00:01", 60000000},
                {"1969-12-31 23:59:59.999999", -1},
                {"2025-11-21 10:00:00.123456", INT64_C(1763719200123456)},
                {"2025-11-21 10:00:00.5", INT64_C(1763719200500000)},
                {"2025-11-21 10:00:00.123456000", INT64_C(1763719200123456)},
                {"2025-11-21 12:00:00+02", INT64_C(1763719200000000)},
                {"2025-11-21 12:30:00+0230", INT64_C(1763719200000000)},
                {"2025-11-21T05:00:00.000001-05:00", INT64_C(1763719200000001)},
                {"0001-01-01", -719162 * US_PER_DAY},
                {"9999-12-31 23:59:59.999999", 2932897 * US_PER_DAY - 1},
                {"2024-02-29", 19782 * US_PER_DAY},
                {"2000-02-29", 11016 * US_PER_DAY},
                {"10000-01-01 00:00:00+00", 2932897 * US_PER_DAY},
                {"0001-12-31 23:59:59.999999+00 BC", -719162 * US_PER_DAY - 1},
                {"0001-02-29 BC", -719468 * US_PER_DAY - US_PER_DAY}, /* the year 0 is a leap year */
                {"4714-11-24 00:00:00+00 BC", -2440588 * US_PER_DAY},
        };
        int64_t us;

        (void)state;
        for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
                assert_true(parse_timestamp(good[i].text, &us));
                assert_true(us == good[i].us);
        }
}

static void test_value__timestamp_refusals(void **state)
{
        static const char *const bad[] = {
                "",
                "now",
                "infinity",
                "2025-11-21 ",
                "2025-11-21 10",
                "2025-11-21 10:0",
                "2025-11-21 1:00:00",
                "2025-11-21 24:00:00",
                "2025-11-21 23:60:00",
                "2025-11-21 23:59:60",
                "2025-11-21 10:00:00.",
                "2025-11-21 10:00:00.1234567",
                "2025-11-21 10:00:00.x",
                "2025-11-21 10:00:00 +02",
                "2025-11-21 10:00:00+",
                "2025-11-21 10:00:00+2",
                "2025-11-21 10:00:00+16",
                "2025-11-21 10:00:00+02:60",
                "2025-11-21 10:00:00+02:",
                "2025-11-21 10:00:00Zx",
                "2025-11-21 10:00:00 bc",
                "2025-11-21 10:00:00  BC",
                "2025-11-21 BC ",
                " BC",
                "0002-02-29 BC",
                "0000-01-01 BC",
                "294277-01-09 04:00:54.775807",
                "294248-01-01",
                "02025-11-21",
                "12345678-01-01",
                "2025-11-21  10:00:00",
                "2025-11-21_10:00:00",
                "2025-13-01",
                "2025-00-01",
                "2025-01-00",
                "2025-01-32",
                "2025-04-31",
                "2025-02-29",
                "1900-02-29",
                "0000-00-00",
                "0000-01-01",
                "-001-01-01",
                "2025-1-01",
                "20251121",
                " 2025-11-21",
                "2025/11/21",
        };
        int64_t us = 77;

        (void)state;
        for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
                if (parse_timestamp(bad[i], &us))
                        fail_msg("accepted: %s", bad[i]);
                assert_true(us == 77);
        }
        assert_false(dal_value_parse_timestamp("2025-11-21\0", 11, &us));
}

static void test_value__date_forms(void **state)
{
        int64_t days = 77;

        (void)state;
        assert_false(dal_value_parse_date("2025-11-21 00:00:00", 19, &days));
        assert_false(dal_value_parse_date("2025-11-2", 9, &days));
        assert_false(dal_value_parse_date("2025-02-30", 10, &days));
        assert_true(days == 77);
        assert_true(dal_value_parse_date("2025-11-21", 10, &days));
        assert_true(days == 20413);
        assert_true(dal_value_parse_date("1969-12-31xx", 10, &days));
        assert_true(days == -1);
        assert_true(dal_value_parse_date("4714-11-24 BC", 13, &days)); /* Julian day 0 */
        assert_true(days == -2440588);
        assert_true(dal_value_parse_date("5874897-12-31", 13, &days));
        assert_true(days == INT64_C(2145042905));
}

/* What is formatted from any instant of the four-digit years parses back to it. */
static void test_value__timestamp_round_trip(void **state)
{
        uint64_t random = 42;

        (void)state;
        for (int i = 0; i < 20000; i++) {
                uint64_t span = (uint64_t)(2932897 + 719162) * (uint64_t)US_PER_DAY;
                int64_t us, back;
                char text[32];
                dal_civil c;
                int size;

                random = random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
                us = (int64_t)((random ^ random >> 29) % span) - 719162 * US_PER_DAY;
                c = dal_value_civil_of_us(us);
                size = snprintf(text, sizeof text, "%04d-%02u-%02u %02u:%02u:%02u.%06u", (int)c.year % 10000,
                                c.month % 100u, c.day % 100u, c.hour % 100u, c.minute % 100u, c.second % 100u,
                                (unsigned)(c.microsecond % 1000000u));
                assert_int_equal(size, 26);
                assert_true(dal_value_parse_timestamp(text, (size_t)size, &back));
                assert_true(back == us);
        }
}

static void test_value__makers(void **state)
{
        const dal_value cells[] = {dal_null(),         dal_text(NULL),      dal_decimal(NULL),
                                   dal_bytes(NULL, 0), dal_text_n(NULL, 0), dal_bytes(NULL, 5)};

        (void)state;
        assert_int_equal(sizeof(dal_value), 24);
        assert_int_equal(cells[0].type, DAL_TYPE_NULL);
        assert_int_equal(cells[1].type, DAL_TYPE_NULL);
        assert_int_equal(cells[2].type, DAL_TYPE_NULL);
        assert_int_equal(cells[3].type, DAL_TYPE_BYTES);
        assert_non_null(cells[3].as.span.ptr);
        assert_non_null(cells[4].as.span.ptr);
        assert_null(cells[5].as.span.ptr); /* so that the use of it is refused, not read past */
        assert_int_equal(DAL_PARAMS(dal_int64(1), dal_null(), dal_bool(true)).n_values, 3);
        assert_int_equal(DAL_NO_PARAMS.n_values, 0);
        assert_string_equal(dal_value_type_name(DAL_TYPE_TIMESTAMP), "timestamp");
        assert_string_equal(dal_value_type_name(DAL_TYPE_OTHER), "other");
        assert_string_equal(dal_value_type_name((dal_type)(DAL_TYPE_OTHER + 1)), "?");
}

int main(void)
{
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_value__days_and_civil_agree),
                cmocka_unit_test(test_value__every_day_of_eight_centuries_follows_the_last),
                cmocka_unit_test(test_value__conversions_saturate),
                cmocka_unit_test(test_value__us_and_civil_agree),
                cmocka_unit_test(test_value__us_saturates_at_the_very_end),
                cmocka_unit_test(test_value__decimal_grammar),
                cmocka_unit_test(test_value__utf8_borders),
                cmocka_unit_test(test_value__utf8_at_every_offset),
                cmocka_unit_test(test_value__uuid_forms),
                cmocka_unit_test(test_value__timestamp_forms),
                cmocka_unit_test(test_value__timestamp_refusals),
                cmocka_unit_test(test_value__date_forms),
                cmocka_unit_test(test_value__timestamp_round_trip),
                cmocka_unit_test(test_value__makers),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
