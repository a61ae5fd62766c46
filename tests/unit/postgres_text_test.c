/* SPDX-License-Identifier: MIT */
/* Values in the text form of the mode "text": what the server writes, and what it is sent. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "postgres_impl.h"

/* --- Cells ----------------------------------------------------------------------------------------------- */

static char bytes[64];

static dal__postgres_decoded decode_into(Oid type, const char *text, dal_value *out)
{
        char *room = bytes;

        *out = dal_null();
        return dal__postgres_decode(dal__postgres_text_kind_of(type), text, strlen(text), &room, out);
}

static dal_value decode(Oid type, const char *text)
{
        dal_value v;

        assert_int_equal(decode_into(type, text, &v), PG_DECODED);
        return v;
}

static dal__postgres_decoded refused(Oid type, const char *text)
{
        dal_value v;

        return decode_into(type, text, &v);
}

static void test_postgres_text__numbers(void **state)
{
        (void)state;
        assert_int_equal(decode(PG_OID_INT2, "-2").as.int64, -2);
        assert_int_equal(decode(PG_OID_INT8, "-9223372036854775808").as.int64, INT64_MIN);
        assert_int_equal(decode(PG_OID_INT8, "9223372036854775807").as.int64, INT64_MAX);
        assert_int_equal(decode(PG_OID_OID, "4294967295").as.int64, UINT32_MAX);
        assert_true(decode(PG_OID_FLOAT8, "0.1").as.float64 == 0.1);
        assert_true(decode(PG_OID_FLOAT8, "-1.7976931348623157e+308").as.float64 == -1.7976931348623157e+308);
        assert_true(decode(PG_OID_FLOAT8, "5e-324").as.float64 > 0);
        assert_true(decode(PG_OID_FLOAT8, "-Infinity").as.float64 < -1e308);
        assert_true(decode(PG_OID_FLOAT8, "NaN").as.float64 != decode(PG_OID_FLOAT8, "NaN").as.float64);
        /* The width of the type decides, as in binary. */
        assert_true(decode(PG_OID_FLOAT4, "0.1").as.float64 == (double)0.1f);
        assert_true(decode(PG_OID_BOOL, "t").as.boolean);
        assert_false(decode(PG_OID_BOOL, "f").as.boolean);
        assert_int_equal(decode(PG_OID_NUMERIC, "-12345678.9000").type, DAL_TYPE_DECIMAL);
}

static void test_postgres_text__not_numbers(void **state)
{
        static const char *const integers[] = {"",
                                               "-",
                                               "+1",
                                               "1 ",
                                               "1.0",
                                               "9223372036854775808",
                                               "-9223372036854775809",
                                               "99999999999999999999"};
        static const char *const doubles[] = {"",     "1,5", "x",
                                              "1.5x", "1e",  "0.1234567890123456789012345678901234567890"};
        static const char *const booleans[] = {"", "true", "T", "1"};

        (void)state;
        for (size_t i = 0; i < sizeof integers / sizeof integers[0]; i++)
                assert_int_equal(refused(PG_OID_INT8, integers[i]), PG_MALFORMED);
        for (size_t i = 0; i < sizeof doubles / sizeof doubles[0]; i++)
                assert_int_equal(refused(PG_OID_FLOAT8, doubles[i]), PG_MALFORMED);
        for (size_t i = 0; i < sizeof booleans / sizeof booleans[0]; i++)
                assert_int_equal(refused(PG_OID_BOOL, booleans[i]), PG_MALFORMED);
        assert_int_equal(refused(PG_OID_UUID, "01020300-0000-0000-0000-00000000000"), PG_MALFORMED);
}

/* Both ways of bytea_output: the user may have set it. */
static void test_postgres_text__bytes_in_hex_and_escapes(void **state)
{
        static const char *const wrong[] = {"\\x0", "\\x0g", "\\xAB", "\\", "\\00", "\\008", "\\400", "a\\1"};
        dal_value v;

        (void)state;
        v = decode(PG_OID_BYTEA, "\\x00ff5c");
        assert_int_equal(v.type, DAL_TYPE_BYTES);
        assert_int_equal(v.as.span.size, 3);
        assert_memory_equal(v.as.span.ptr, "\0\xff\\", 3);
        v = decode(PG_OID_BYTEA, "a\\000\\377\\\\x");
        assert_int_equal(v.as.span.size, 5);
        assert_memory_equal(v.as.span.ptr, "a\0\xff\\x", 5);
        assert_int_equal(decode(PG_OID_BYTEA, "\\x").as.span.size, 0);
        assert_int_equal(decode(PG_OID_BYTEA, "").type, DAL_TYPE_BYTES);
        for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
                assert_int_equal(refused(PG_OID_BYTEA, wrong[i]), PG_MALFORMED);
}

static void test_postgres_text__times(void **state)
{
        (void)state;
        assert_int_equal(decode(PG_OID_TIMESTAMPTZ, "2000-01-01 00:00:00+00").as.int64,
                         INT64_C(946684800000000));
        assert_int_equal(decode(PG_OID_TIMESTAMPTZ, "2000-01-01 09:00:00.000001+09").as.int64,
                         INT64_C(946684800000001));
        assert_int_equal(decode(PG_OID_TIMESTAMPTZ, "1900-01-01 00:19:32+00:19:32").as.int64,
                         INT64_C(-2208988800000000));
        assert_int_equal(refused(PG_OID_TIMESTAMPTZ, "1900-01-01 00:19:32+00:19:3"), PG_MALFORMED);
        assert_int_equal(decode(PG_OID_TIMESTAMP, "1970-01-01 00:00:00").as.int64, 0);
        assert_int_equal(decode(PG_OID_DATE, "4714-11-24 BC").as.int64, -2440588);
        assert_int_equal(decode(PG_OID_DATE, "2000-01-01").type, DAL_TYPE_DATE);
        assert_int_equal(refused(PG_OID_DATE, "infinity"), PG_INFINITE);
        assert_int_equal(refused(PG_OID_TIMESTAMP, "-infinity"), PG_INFINITE);
        assert_int_equal(refused(PG_OID_TIMESTAMPTZ, "Sat 01 Jan 00:00:00 2000 UTC"), PG_MALFORMED);
        assert_int_equal(refused(PG_OID_DATE, "01/01/2000"), PG_MALFORMED);
}

static void test_postgres_text__the_rest_is_as_it_came(void **state)
{
        dal_value v = decode(PG_OID_JSONB, "{\"a\": 1}");

        (void)state;
        assert_int_equal(v.type, DAL_TYPE_TEXT);
        assert_int_equal(v.as.span.size, 8);
        assert_int_equal(decode(PG_OID_TEXT, "").as.span.size, 0);
        v = decode(1007, "{1,2}"); /* an array */
        assert_int_equal(v.type, DAL_TYPE_OTHER);
        assert_int_equal(v.as.span.size, 5);
        v = decode(PG_OID_UUID, "01020300-0000-0000-0000-000000000000");
        assert_memory_equal(v.as.uuid, "\1\2\3\0\0\0\0\0\0\0\0\0\0\0\0\0", 16);
}

/* --- Parameters ---------------------------------------------------------------------------------------------- */

static void check_sent(dal_value value, Oid type, const char *expected)
{
        dal__postgres_params p = {.as_text = true};
        dal_params params = {&value, 1};
        bool fit;

        assert_int_equal(dal__postgres_params_check(&p, params, 0, NULL, &fit, NULL), DAL_OK);
        dal__postgres_params_encode_text(&p, params);
        assert_int_equal(p.types[0], type);
        assert_int_equal(p.formats[0], 0);
        assert_string_equal(p.values[0], expected);
        assert_true(strlen(expected) < dal__postgres_text_room(&value));
        dal__postgres_params_free(&p);
}

static void test_postgres_text__parameters(void **state)
{
        static const uint8_t uuid[16] = {1, 2, 3};
        dal_value other = dal_bytes("{1,2}", 5);
        dal_civil first = {-4713, 11, 24, 0, 0, 0, 0}, last = {294246, 12, 31, 23, 59, 59, 999999};

        (void)state;
        other.type = DAL_TYPE_OTHER;
        other.type_id = 1007;
        check_sent(dal_bool(true), PG_OID_BOOL, "t");
        check_sent(dal_bool(false), PG_OID_BOOL, "f");
        check_sent(dal_int64(INT64_MIN), PG_OID_INT8, "-9223372036854775808");
        check_sent(dal_uint64(7), PG_OID_INT8, "7");
        check_sent(dal_uint64(UINT64_MAX), PG_OID_NUMERIC, "18446744073709551615");
        check_sent(dal_double(0.1), PG_OID_FLOAT8, "0.10000000000000001");
        check_sent(dal_double(-0.0), PG_OID_FLOAT8, "-0");
        check_sent(dal_double(-4.9406564584124654e-324), PG_OID_FLOAT8, "-4.9406564584124654e-324");
        check_sent(dal_double(-1e308 * 10), PG_OID_FLOAT8, "-Infinity");
        check_sent(dal_double(1e308 * 10), PG_OID_FLOAT8, "Infinity");
        check_sent(dal_decimal("1.50"), PG_OID_NUMERIC, "1.50");
        check_sent(dal_text_n("abc", 2), 0, "ab");
        check_sent(dal_text(""), 0, "");
        check_sent(dal_bytes("\0\xff'", 3), PG_OID_BYTEA, "\\x00ff27");
        check_sent(dal_bytes(NULL, 0), PG_OID_BYTEA, "\\x");
        check_sent(dal_timestamp(0), PG_OID_TIMESTAMPTZ, "1970-01-01 00:00:00.000000+00");
        check_sent(dal_timestamp(dal_value_us_of_civil(first)), PG_OID_TIMESTAMPTZ,
                   "4714-11-24 00:00:00.000000+00 BC");
        check_sent(dal_timestamp(dal_value_us_of_civil(last)), PG_OID_TIMESTAMPTZ,
                   "294246-12-31 23:59:59.999999+00");
        check_sent(dal_date(-2440588), PG_OID_DATE, "4714-11-24 BC");
        check_sent(dal_date(0), PG_OID_DATE, "1970-01-01");
        check_sent(dal_uuid(uuid), PG_OID_UUID, "01020300-0000-0000-0000-000000000000");
        check_sent(other, 1007, "{1,2}");
}

/* They share one block, one behind the other. */
static void test_postgres_text__many_parameters(void **state)
{
        dal__postgres_params p = {.as_text = true};
        dal_params params = DAL_PARAMS(dal_bytes("abc", 3), dal_null(), dal_date(0), dal_text("x"));
        bool fit;

        (void)state;
        assert_int_equal(dal__postgres_params_check(&p, params, 0, NULL, &fit, NULL), DAL_OK);
        dal__postgres_params_encode_text(&p, params);
        assert_string_equal(p.values[0], "\\x616263");
        assert_null(p.values[1]);
        assert_string_equal(p.values[2], "1970-01-01");
        assert_string_equal(p.values[3], "x");
        dal__postgres_params_free(&p);
}

static void test_postgres_text__what_has_no_text(void **state)
{
        dal__postgres_params p = {.as_text = true};
        dal_value other = dal_bytes("\0\1", 2);
        dal_params params = {&other, 1};
        dal_error err = DAL_ERROR_INIT;
        bool fit;

        (void)state;
        other.type = DAL_TYPE_OTHER;
        other.type_id = 1007;
        assert_int_equal(dal__postgres_params_check(&p, params, 0, NULL, &fit, &err), DAL_ERR_ARG);
        assert_true(err.not_sent);
        assert_non_null(strstr(err.message, "statements=text"));
        p.as_text = false;
        assert_int_equal(dal__postgres_params_check(&p, params, 0, NULL, &fit, &err), DAL_OK);
        dal__postgres_params_free(&p);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_postgres_text__numbers),
                cmocka_unit_test(test_postgres_text__not_numbers),
                cmocka_unit_test(test_postgres_text__bytes_in_hex_and_escapes),
                cmocka_unit_test(test_postgres_text__times),
                cmocka_unit_test(test_postgres_text__the_rest_is_as_it_came),
                cmocka_unit_test(test_postgres_text__parameters),
                cmocka_unit_test(test_postgres_text__many_parameters),
                cmocka_unit_test(test_postgres_text__what_has_no_text),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
