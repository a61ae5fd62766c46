/* SPDX-License-Identifier: MIT */
/* Literals, and cells read from text. That no locale plays a part is shown by tests/manners. */
#include <float.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <dal/driver.h>

#include "text_values.h"

#define SYNTAX                                                                                               \
        (DAL_SQL_BACKSLASH_ESCAPES | DAL_SQL_HASH_COMMENTS | DAL_SQL_BACKTICKS | DAL_SQL_DASH_NEEDS_SPACE)

/* Writes `text` with the values in it, in memory of exactly the size promised. */
static char *write_in(const char *text, const dal_value *values, size_t n)
{
        dal_params params = {values, n};
        size_t marks[16], size = strlen(text);
        uint64_t room = size;
        char *exact, *out;

        assert_int_equal(dal_driver_find_placeholders(SYNTAX, text, size, marks, 16), n);
        for (size_t i = 0; i < n; i++)
                room += dal__mysql_text_room(&values[i]);
        exact = malloc(room);
        assert_non_null(exact);
        size = dal__mysql_text_write(exact, text, size, marks, &params);
        assert_true(size <= room);
        out = malloc(size + 1);
        assert_non_null(out);
        memcpy(out, exact, size);
        out[size] = '\0';
        free(exact);
        return out;
}

static void check_in(const char *text, dal_value value, const char *wanted)
{
        char *out = write_in(text, &value, 1);

        assert_string_equal(out, wanted);
        free(out);
}

static void check(dal_value value, const char *wanted)
{
        check_in("?", value, wanted);
}

static void test_mysql_text__literals_of_each_type(void **state)
{
        const uint8_t uuid[16] = {0, 1, 0xfe, 0xff};

        (void)state;
        check(dal_null(), "NULL");
        check(dal_bool(true), "1");
        check(dal_bool(false), "0");
        check(dal_int64(42), "42");
        check(dal_int64(INT64_MIN), "(-9223372036854775808)");
        check(dal_uint64(UINT64_MAX), "18446744073709551615");
        check(dal_text("it's"), "_utf8mb4 0x69742773");
        check(dal_text(""), "_utf8mb4''");
        check(dal_bytes("\0\\'\xff", 4), "_binary 0x005C27FF");
        check(dal_bytes("", 0), "_binary''");
        check(dal_uuid(uuid), "_binary 0x0001FEFF000000000000000000000000");
        check(dal_date(20000), "DATE'2024-10-04'");
        check(dal_timestamp(-1), "TIMESTAMP'1969-12-31 23:59:59.999999'");
        check(dal_timestamp(-INT64_C(62135596800000000)), "TIMESTAMP'0001-01-01 00:00:00'");
}

static void test_mysql_text__doubles_keep_17_digits_and_an_exponent(void **state)
{
        static const double list[] = {0.0,     1.0,    -1.5, 0.1,    1.0 / 3, DBL_MAX,  -DBL_MAX,
                                      DBL_MIN, 5e-324, 1e22, 1e-300, 1e15,    123456.75};

        (void)state;
        check(dal_double(1.5), "15e-1");
        check(dal_double(0.0), "0e0");
        check(dal_double(-100.0), "(-1e2)");
        for (size_t i = 0; i < sizeof list / sizeof list[0]; i++) {
                dal_value v = dal_double(list[i]);
                char *out = write_in("?", &v, 1);
                const char *digits = out[0] == '(' ? out + 1 : out;
                double back;

                assert_non_null(strchr(out, 'e'));
                assert_true(dal__mysql_text_double(digits, strcspn(digits, ")"), false, &back));
                assert_memory_equal(&back, &list[i], sizeof back);
                free(out);
        }
}

static void test_mysql_text__decimals_are_written_out(void **state)
{
        (void)state;
        check(dal_decimal("0"), "0.");
        check(dal_decimal("-0.000"), "0.");
        check(dal_decimal("5"), "5.");
        check(dal_decimal("+5"), "5.");
        check(dal_decimal("12.340"), "12.340");
        check(dal_decimal("-12.340"), "(-12.340)");
        check(dal_decimal("007.5"), "7.5");
        check(dal_decimal(".05"), "0.05");
        check(dal_decimal("5."), "5.");
        check(dal_decimal("1e3"), "1000.");
        check(dal_decimal("1.25e1"), "12.5");
        check(dal_decimal("-1.25E-3"), "(-0.00125)");
        check(dal_decimal("0.00012e4"), "1.2");
        check(dal_decimal("123e-2"), "1.23");
}

/* No exponent makes memory of it; what is beyond every DECIMAL stays so. */
static void test_mysql_text__no_exponent_is_too_large(void **state)
{
        static const char *const list[] = {"1e999999999999", "-9.9e999999999999", "1e-999999999999", "1e66",
                                           "1e-66"};

        (void)state;
        for (size_t i = 0; i < sizeof list / sizeof list[0]; i++) {
                dal_value v = dal_decimal(list[i]);
                char *out = write_in("?", &v, 1);

                assert_in_range(strlen(out), 66, 250);
                assert_null(strchr(out, 'e'));
                free(out);
        }
}

static void test_mysql_text__stands_apart_from_its_neighbours(void **state)
{
        const dal_value two[] = {dal_int64(1), dal_text("x")};
        char *out;

        (void)state;
        check_in("SELECT?", dal_int64(1), "SELECT 1");
        check_in("1-?", dal_int64(-1), "1-(-1)");
        check_in("1--?", dal_int64(-1), "1--(-1)");
        check_in("1--?", dal_text("x"), "1--_utf8mb4 0x78");
        check_in("?AND b", dal_int64(1), "1 AND b");
        check_in("?.5", dal_int64(1), "1 .5");
        check_in("@?", dal_int64(1), "@ 1");
        check_in("?'x'", dal_text(""), "_utf8mb4'' 'x'");
        check_in("'x'?", dal_text(""), "'x' _utf8mb4''");
        check_in("(?)", dal_int64(1), "(1)");
        out = write_in("f(?,?)", two, 2);
        assert_string_equal(out, "f(1,_utf8mb4 0x78)");
        free(out);
}

static void test_mysql_text__no_byte_of_a_value_is_anything_but_a_digit(void **state)
{
        char bytes[256];
        dal_value values[2];
        char *out;

        (void)state;
        for (unsigned i = 0; i < 256; i++)
                bytes[i] = (char)i;
        values[0] = dal_bytes(bytes, 256);
        values[1] = dal_text_n(bytes + 1, 127);
        out = write_in("?,?", values, 2);
        assert_int_equal(strspn(out, "_binaryutf8m40123456789ABCDEFx ,"), strlen(out));
        free(out);
}

static void test_mysql_text__integers_are_read_to_their_limits(void **state)
{
        int64_t i = 0;
        uint64_t u = 0;

        (void)state;
        assert_true(dal__mysql_text_int64("-9223372036854775808", 20, &i) && i == INT64_MIN);
        assert_true(dal__mysql_text_int64("9223372036854775807", 19, &i) && i == INT64_MAX);
        assert_true(dal__mysql_text_int64("00042", 5, &i) && i == 42);
        assert_true(dal__mysql_text_uint64("18446744073709551615", 20, &u) && u == UINT64_MAX);
        assert_false(dal__mysql_text_int64("9223372036854775808", 19, &i));
        assert_false(dal__mysql_text_int64("-9223372036854775809", 20, &i));
        assert_false(dal__mysql_text_uint64("18446744073709551616", 20, &u));
        assert_false(dal__mysql_text_int64("", 0, &i));
        assert_false(dal__mysql_text_int64("-", 1, &i));
        assert_false(dal__mysql_text_int64("1 ", 2, &i));
        assert_false(dal__mysql_text_uint64("-1", 2, &u));
}

static bool read_double(const char *text, double *out)
{
        return dal__mysql_text_double(text, strlen(text), false, out);
}

static void test_mysql_text__doubles_are_read_whole(void **state)
{
        static const char *const bad[] = {"",    "-",    ".",  "1.2.3", "1,5", "1e",
                                          "1e+", "1e1x", "e5", " 1",    "nan", "--1"};
        double d = 0;

        (void)state;
        assert_true(read_double("1.5", &d) && d == 1.5);
        assert_true(read_double("-0.1", &d) && d == -0.1);
        assert_true(read_double("1e22", &d) && d == 1e22);
        assert_true(read_double("1.7976931348623157e308", &d) && d == DBL_MAX);
        assert_true(read_double("1.7976931348623157e+308", &d) && d == DBL_MAX);
        assert_true(read_double("5e-324", &d) && d == 5e-324);
        assert_true(read_double("0000000000000000000001.5", &d) && d == 1.5);
        assert_true(dal__mysql_text_double("0.1", 3, true, &d) && d == (double)0.1f);
        for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
                assert_false(read_double(bad[i], &d));
}

static bool read_civil(const char *text, dal_civil *out)
{
        return dal__mysql_text_civil(text, strlen(text), out);
}

static void test_mysql_text__times_are_read_whole(void **state)
{
        static const char *const bad[] = {"",
                                          "2026-11-2",
                                          "2026/11/21",
                                          "2026-11-21 10:20",
                                          "2026-11-21T10:20:30",
                                          "2026-11-21 10:20:30.",
                                          "2026-11-21 10:20:30.1234567",
                                          "2026-11-21 10:20:30,5",
                                          "2026-1a-21"};
        dal_civil t;

        (void)state;
        assert_true(read_civil("2026-11-21", &t) && t.year == 2026 && t.month == 11 && t.day == 21);
        assert_true(read_civil("2026-11-21 10:20:30", &t) && t.hour == 10 && t.minute == 20 &&
                    t.second == 30);
        assert_true(read_civil("2026-11-21 10:20:30.5", &t) && t.microsecond == 500000);
        assert_true(read_civil("2026-11-21 10:20:30.000001", &t) && t.microsecond == 1);
        assert_true(read_civil("0000-00-00", &t) && t.month == 0 && t.day == 0);
        for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
                assert_false(read_civil(bad[i], &t));
}

static void test_mysql_text__placeholders_are_where_the_session_sees_them(void **state)
{
        static const char text[] = "'\\' ? ' , ? , '\\' ? '", list[] = "`?`, '?', \"?\", -- ?\n/* ? */ ?, ?";
        size_t marks[4] = {0};

        (void)state;
        assert_int_equal(dal_driver_find_placeholders(SYNTAX, text, sizeof text - 1, marks, 4), 1);
        assert_int_equal(marks[0], 10);
        /* Without escapes the strings end elsewhere, and as many are found in another place. */
        assert_int_equal(dal_driver_find_placeholders(SYNTAX & ~DAL_SQL_BACKSLASH_ESCAPES, text,
                                                      sizeof text - 1, marks, 4),
                         1);
        assert_int_equal(marks[0], 4);
        assert_int_equal(dal_driver_find_placeholders(SYNTAX, list, sizeof list - 1, marks, 1), 2);
        assert_int_equal(marks[0], sizeof list - 5);
        assert_int_equal(marks[1], 0); /* no more is written than there is room for */
        assert_int_equal(dal_driver_find_placeholders(SYNTAX, "", 0, NULL, 0), 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_mysql_text__literals_of_each_type),
                cmocka_unit_test(test_mysql_text__doubles_keep_17_digits_and_an_exponent),
                cmocka_unit_test(test_mysql_text__decimals_are_written_out),
                cmocka_unit_test(test_mysql_text__no_exponent_is_too_large),
                cmocka_unit_test(test_mysql_text__stands_apart_from_its_neighbours),
                cmocka_unit_test(test_mysql_text__no_byte_of_a_value_is_anything_but_a_digit),
                cmocka_unit_test(test_mysql_text__integers_are_read_to_their_limits),
                cmocka_unit_test(test_mysql_text__doubles_are_read_whole),
                cmocka_unit_test(test_mysql_text__times_are_read_whole),
                cmocka_unit_test(test_mysql_text__placeholders_are_where_the_session_sees_them),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
