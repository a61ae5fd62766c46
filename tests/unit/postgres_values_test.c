/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "mem_fault.h"
#include "postgres_impl.h"

/* --- Cells ----------------------------------------------------------------------------------------------- */

static dal_value decode(Oid type, const void *bytes, size_t size)
{
        char *room = NULL;
        dal_value v = dal_null();

        assert_int_equal(dal__postgres_decode(dal__postgres_kind_of(type), bytes, size, &room, &v),
                         PG_DECODED);
        return v;
}

static dal__postgres_decoded refused(Oid type, const void *bytes, size_t size)
{
        char text[64], *room = text;
        dal_value v;

        return dal__postgres_decode(dal__postgres_kind_of(type), bytes, size, &room, &v);
}

static void test_postgres_values__numbers(void **state)
{
        (void)state;
        assert_int_equal(decode(PG_OID_INT2, "\xFF\xFE", 2).as.int64, -2);
        assert_int_equal(decode(PG_OID_INT4, "\x80\0\0\0", 4).as.int64, INT32_MIN);
        assert_int_equal(decode(PG_OID_INT8, "\x80\0\0\0\0\0\0\0", 8).as.int64, INT64_MIN);
        assert_int_equal(decode(PG_OID_INT8, "\x7F\xFF\xFF\xFF\xFF\xFF\xFF\xFF", 8).as.int64, INT64_MAX);
        assert_int_equal(decode(PG_OID_OID, "\xFF\xFF\xFF\xFF", 4).as.int64, UINT32_MAX);
        assert_int_equal(decode(PG_OID_OID, "\xFF\xFF\xFF\xFF", 4).type, DAL_TYPE_INT64);
        assert_true(decode(PG_OID_FLOAT8, "\x3F\xB9\x99\x99\x99\x99\x99\x9A", 8).as.float64 == 0.1);
        assert_true(decode(PG_OID_FLOAT4, "\xBF\0\0\0", 4).as.float64 == -0.5);
        assert_true(decode(PG_OID_BOOL, "\1", 1).as.boolean);
        assert_false(decode(PG_OID_BOOL, "\0", 1).as.boolean);
}

static void test_postgres_values__spans_keep_every_byte(void **state)
{
        static const Oid texts[] = {PG_OID_TEXT, PG_OID_VARCHAR, PG_OID_BPCHAR, PG_OID_NAME,
                                    PG_OID_CHAR, PG_OID_UNKNOWN, PG_OID_JSON,   PG_OID_XML};
        dal_value v = decode(PG_OID_BYTEA, "a\0b", 3);

        (void)state;
        assert_int_equal(v.type, DAL_TYPE_BYTES);
        assert_int_equal(v.as.span.size, 3);
        for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
                v = decode(texts[i], "\xC3\xA4", 2);
                assert_int_equal(v.type, DAL_TYPE_TEXT);
                assert_int_equal(v.as.span.size, 2);
        }
        assert_int_equal(decode(PG_OID_TEXT, "", 0).as.span.size, 0);
        v = decode(PG_OID_JSONB, "\1{}", 3);
        assert_int_equal(v.type, DAL_TYPE_TEXT);
        assert_memory_equal(v.as.span.ptr, "{}", 2);
        assert_int_equal(v.as.span.size, 2);
        v = decode(1007, "\0\0", 2); /* an array */
        assert_int_equal(v.type, DAL_TYPE_OTHER);
        assert_int_equal(v.as.span.size, 2);
        v = decode(PG_OID_UUID, "0123456789abcdef", 16);
        assert_int_equal(v.type, DAL_TYPE_UUID);
        assert_memory_equal(v.as.uuid, "0123456789abcdef", 16);
}

static void test_postgres_values__times_count_from_1970(void **state)
{
        dal_value v = decode(PG_OID_TIMESTAMPTZ, "\0\0\0\0\0\0\0\0", 8);

        (void)state;
        assert_int_equal(v.type, DAL_TYPE_TIMESTAMP);
        assert_int_equal(v.as.int64, INT64_C(946684800000000));
        assert_int_equal(decode(PG_OID_TIMESTAMP, "\xFF\xFC\xA2\xFE\xC4\xC8\x20\x00", 8).as.int64, 0);
        v = decode(PG_OID_DATE, "\0\0\0\0", 4);
        assert_int_equal(v.type, DAL_TYPE_DATE);
        assert_int_equal(v.as.int64, 10957);
        /* julian day 0, the first that the server stores */
        assert_int_equal(decode(PG_OID_DATE, "\xFF\xDA\x97\xA7", 4).as.int64, -2440588);
        assert_int_equal(refused(PG_OID_DATE, "\x7F\xFF\xFF\xFF", 4), PG_INFINITE);
        assert_int_equal(refused(PG_OID_DATE, "\x80\0\0\0", 4), PG_INFINITE);
        assert_int_equal(refused(PG_OID_TIMESTAMP, "\x7F\xFF\xFF\xFF\xFF\xFF\xFF\xFF", 8), PG_INFINITE);
        assert_int_equal(refused(PG_OID_TIMESTAMPTZ, "\x80\0\0\0\0\0\0\0", 8), PG_INFINITE);
        assert_int_equal(refused(PG_OID_TIMESTAMPTZ, "\x7F\xFF\xFF\xFF\xFF\xFF\xFF\xFE", 8), PG_INFINITE);
}

static void test_postgres_values__wrong_sizes_are_malformed(void **state)
{
        static const Oid fixed[] = {PG_OID_BOOL, PG_OID_INT2,   PG_OID_INT4, PG_OID_INT8,      PG_OID_OID,
                                    PG_OID_DATE, PG_OID_FLOAT4, PG_OID_UUID, PG_OID_TIMESTAMP, PG_OID_FLOAT8};

        (void)state;
        for (size_t i = 0; i < sizeof fixed / sizeof fixed[0]; i++) {
                assert_int_equal(refused(fixed[i], "", 0), PG_MALFORMED);
                assert_int_equal(refused(fixed[i], "12345678901234567", 17), PG_MALFORMED);
                assert_int_equal(refused(fixed[i], "123", 3), PG_MALFORMED);
        }
        assert_int_equal(refused(PG_OID_JSONB, "", 0), PG_MALFORMED);
        assert_int_equal(refused(PG_OID_JSONB, "\2{}", 3), PG_MALFORMED);
}

/* --- Decimals ------------------------------------------------------------------------------------------------ */

static void put16(char *out, int value)
{
        out[0] = (char)((value >> 8) & 0xFF);
        out[1] = (char)(value & 0xFF);
}

/* Builds the wire form; returns its size. */
static size_t numeric(char *out, int weight, int sign, int scale, const int *digits, int n)
{
        put16(out, n);
        put16(out + 2, weight);
        put16(out + 4, sign);
        put16(out + 6, scale);
        for (int i = 0; i < n; i++)
                put16(out + 8 + 2 * i, digits[i]);
        return 8 + 2 * (size_t)n;
}

static void check_numeric(const char *expected, int weight, int sign, int scale, const int *digits, int n)
{
        char wire[128], *text, *room;
        size_t size = numeric(wire, weight, sign, scale, digits, n), limit;
        dal_value v;

        limit = dal__postgres_numeric_room(wire, size);
        text = room = malloc(limit);
        assert_non_null(text);
        assert_int_equal(dal__postgres_decode(PG_KIND_NUMERIC, wire, size, &room, &v), PG_DECODED);
        assert_int_equal(v.type, DAL_TYPE_DECIMAL);
        assert_int_equal(v.as.span.size, strlen(expected));
        assert_memory_equal(v.as.span.ptr, expected, strlen(expected));
        assert_ptr_equal(room, text + strlen(expected));
        assert_true(strlen(expected) <= limit);
        free(text);
}

#define DIGITS(...) (const int[]){__VA_ARGS__}, (int)(sizeof(int[]){__VA_ARGS__} / sizeof(int))

static void test_postgres_values__decimals_are_exact(void **state)
{
        (void)state;
        check_numeric("0", 0, 0, 0, NULL, 0);
        check_numeric("0.00", 0, 0, 2, NULL, 0);
        check_numeric("1", 0, 0, 0, DIGITS(1));
        check_numeric("-12345678.9000", 1, 0x4000, 4, DIGITS(1234, 5678, 9000));
        check_numeric("10000", 1, 0, 0, DIGITS(1));
        check_numeric("100000000", 2, 0, 0, DIGITS(1));
        check_numeric("0.0001", -1, 0, 4, DIGITS(1));
        check_numeric("0.00000001", -2, 0, 8, DIGITS(1));
        check_numeric("0.5", -1, 0, 1, DIGITS(5000));
        check_numeric("1.05", 0, 0, 2, DIGITS(1, 500));
        check_numeric("19.90", 0, 0, 2, DIGITS(19, 9000));
        check_numeric("7.000000000", 0, 0, 9, DIGITS(7));
        check_numeric("9999.9999", 0, 0, 4, DIGITS(9999, 9999));
        check_numeric("NaN", 0, 0xC000, 0, NULL, 0);
        check_numeric("Infinity", 0, 0xD000, 0, NULL, 0);
        check_numeric("-Infinity", 0, 0xF000, 0, NULL, 0);
}

static void test_postgres_values__malformed_decimals(void **state)
{
        char wire[64], text[256], *room = text;
        size_t size;
        dal_value v;

        (void)state;
        size = numeric(wire, 0, 0, 0, DIGITS(1, 2));
        for (size_t i = 0; i < size; i++)
                assert_int_equal(dal__postgres_decode(PG_KIND_NUMERIC, wire, i, &room, &v), PG_MALFORMED);
        numeric(wire, 0, 0, 0, DIGITS(10000, 2));
        assert_int_equal(dal__postgres_decode(PG_KIND_NUMERIC, wire, size, &room, &v), PG_MALFORMED);
        numeric(wire, 0, 0x1234, 0, DIGITS(1, 2));
        assert_int_equal(dal__postgres_decode(PG_KIND_NUMERIC, wire, size, &room, &v), PG_MALFORMED);
        put16(wire, -1);
        assert_int_equal(dal__postgres_decode(PG_KIND_NUMERIC, wire, size, &room, &v), PG_MALFORMED);
        assert_int_equal(dal__postgres_numeric_room(wire, 3), 0);
}

/* --- Parameters ---------------------------------------------------------------------------------------------- */

static void test_postgres_values__parameters_on_the_wire(void **state)
{
        static const uint8_t uuid[16] = {1, 2, 3};
        dal_value other = dal_bytes("raw", 3);
        dal__postgres_params p = {.room = 0};
        bool fit;

        (void)state;
        other.type = DAL_TYPE_OTHER;
        other.type_id = 1007;
        dal_params params = DAL_PARAMS(dal_int64(-2), dal_uint64(7), dal_uint64(UINT64_MAX), dal_double(0.1),
                                       dal_bool(true), dal_text_n("abc", 2), dal_decimal("1.50"),
                                       dal_bytes("\0x", 2), dal_bytes(NULL, 0), dal_timestamp(0), dal_date(0),
                                       dal_uuid(uuid), dal_null(), other, dal_text(""));
        static const Oid types[] = {20, 20, 1700, 701, 16, 0, 1700, 17, 17, 1184, 1082, 2950, 0, 1007, 0};
        assert_int_equal(dal__postgres_params_check(&p, params, 0, NULL, &fit, NULL), DAL_OK);
        assert_false(fit);
        dal__postgres_params_encode(&p, params, NULL);
        for (size_t i = 0; i < params.n_values; i++) {
                assert_int_equal(p.types[i], types[i]);
                assert_int_equal(dal__postgres_type_of(&params.values[i]), types[i]);
        }
        assert_memory_equal(p.values[0], "\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFE", 8);
        assert_int_equal(p.lengths[0], 8);
        assert_memory_equal(p.values[1], "\0\0\0\0\0\0\0\7", 8);
        assert_string_equal(p.values[2], "18446744073709551615");
        assert_int_equal(p.formats[2], 0);
        assert_memory_equal(p.values[3], "\x3F\xB9\x99\x99\x99\x99\x99\x9A", 8);
        assert_int_equal(p.lengths[4], 1);
        assert_int_equal(p.values[4][0], 1);
        assert_string_equal(p.values[5], "ab");
        assert_int_equal(p.formats[5], 0);
        assert_string_equal(p.values[6], "1.50");
        assert_int_equal(p.lengths[7], 2);
        assert_int_equal(p.formats[7], 1);
        assert_non_null(p.values[8]);
        assert_int_equal(p.lengths[8], 0);
        assert_memory_equal(p.values[9], "\xFF\xFC\xA2\xFE\xC4\xC8\x20\x00", 8);
        assert_memory_equal(p.values[10], "\xFF\xFF\xD5\x33", 4);
        assert_int_equal(p.lengths[10], 4);
        assert_memory_equal(p.values[11], uuid, 16);
        assert_null(p.values[12]);
        assert_memory_equal(p.values[13], "raw", 3);
        assert_string_equal(p.values[14], "");
        assert_int_equal(dal__postgres_params_check(&p, params, 0, types, &fit, NULL), DAL_OK);
        assert_true(fit);
        dal__postgres_params_free(&p);
}

static bool fits(dal_value value, Oid type)
{
        dal__postgres_params p = {.room = 0};
        dal_params params = {&value, 1};
        bool fit;

        assert_int_equal(dal__postgres_params_check(&p, params, 0, &type, &fit, NULL), DAL_OK);
        if (fit)
                dal__postgres_params_encode(&p, params, &type);
        if (fit && type == PG_OID_NUMERIC && value.type == DAL_TYPE_INT64) {
                assert_string_equal(p.values[0], "-9223372036854775808");
                assert_int_equal(p.formats[0], 0);
        }
        dal__postgres_params_free(&p);
        return fit;
}

static void test_postgres_values__types_of_a_prepared_statement(void **state)
{
        (void)state;
        assert_true(fits(dal_null(), PG_OID_INT8));
        assert_true(fits(dal_null(), 0));
        assert_true(fits(dal_int64(1), PG_OID_INT8));
        assert_true(fits(dal_uint64(1), PG_OID_INT8));
        assert_false(fits(dal_uint64(UINT64_MAX), PG_OID_INT8));
        assert_true(fits(dal_int64(INT64_MIN), PG_OID_NUMERIC));
        assert_true(fits(dal_uint64(UINT64_MAX), PG_OID_NUMERIC));
        assert_true(fits(dal_decimal("1"), PG_OID_NUMERIC));
        assert_false(fits(dal_decimal("1"), PG_OID_INT8));
        assert_false(fits(dal_int64(1), 0));
        assert_false(fits(dal_text("1"), PG_OID_INT8));
        assert_true(fits(dal_text("1"), 0));
        assert_false(fits(dal_bool(true), PG_OID_INT8));
        assert_false(fits(dal_double(1), PG_OID_NUMERIC));
}

static void test_postgres_values__what_the_wire_cannot_carry(void **state)
{
        static const struct {
                dal_type type;
                int64_t value;
                dal_status status;
        } times[] = {
                {DAL_TYPE_DATE, INT64_MAX, DAL_ERR_RANGE},
                {DAL_TYPE_DATE, INT64_MIN, DAL_ERR_RANGE},
                {DAL_TYPE_DATE, INT32_MIN, DAL_ERR_RANGE},
                {DAL_TYPE_DATE, -2440550, DAL_OK},
                {DAL_TYPE_DATE, 2145042905, DAL_OK},
                {DAL_TYPE_TIMESTAMP, INT64_MAX, DAL_ERR_RANGE},
                {DAL_TYPE_TIMESTAMP, INT64_MIN, DAL_ERR_RANGE},
                {DAL_TYPE_TIMESTAMP, INT64_MIN + INT64_C(946684800000000), DAL_ERR_RANGE},
                {DAL_TYPE_TIMESTAMP, INT64_MAX - 1, DAL_OK},
        };
        dal__postgres_params p = {.room = 0};
        dal_error err = DAL_ERROR_INIT;
        dal_value v;
        bool fit;

        (void)state;
        for (size_t i = 0; i < sizeof times / sizeof times[0]; i++) {
                v = times[i].type == DAL_TYPE_DATE ? dal_date(times[i].value) : dal_timestamp(times[i].value);
                assert_int_equal(dal__postgres_params_check(&p, (dal_params){&v, 1}, 0, NULL, &fit, &err),
                                 times[i].status);
                assert_int_equal(dal__postgres_params_check(&p, (dal_params){&v, 1}, 0, NULL, &fit, NULL),
                                 times[i].status);
        }
        assert_int_equal(err.error_class, DAL_CLASS_OVERFLOW);
        assert_true(err.not_sent);
        v = dal_bytes("", SIZE_MAX / 4);
        assert_int_equal(dal__postgres_params_check(&p, (dal_params){&v, 1}, 0, NULL, &fit, &err),
                         DAL_ERR_TOO_LARGE);
        assert_int_equal(err.error_class, DAL_CLASS_PACKET_TOO_LARGE);
        assert_int_equal(
                dal__postgres_params_check(&p, DAL_PARAMS(dal_text("x")), (size_t)1 << 30, NULL, &fit, NULL),
                DAL_ERR_TOO_LARGE);
        dal__postgres_params_free(&p);
}

static void test_postgres_values__room_that_cannot_be_had(void **state)
{
        dal__postgres_params p = {.room = 0};
        dal_error err = DAL_ERROR_INIT;
        dal_value many[40];
        bool fit;

        (void)state;
        for (size_t i = 0; i < 40; i++)
                many[i] = dal_text("some text or other, of a certain length");
        for (size_t at = 1; at <= 2; at++) {
                mem_fault_at = at;
                assert_int_equal(dal__postgres_params_check(&p, (dal_params){many, 40}, 0, NULL, &fit, &err),
                                 DAL_ERR_NOMEM);
                assert_true(err.not_sent);
                dal__postgres_params_free(&p);
        }
        mem_fault_at = 0;
        assert_int_equal(dal__postgres_params_check(&p, (dal_params){many, 40}, 0, NULL, &fit, &err), DAL_OK);
        dal__postgres_params_encode(&p, (dal_params){many, 40}, NULL);
        assert_string_equal(p.values[39], "some text or other, of a certain length");
        dal__postgres_params_free(&p);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_postgres_values__numbers),
                cmocka_unit_test(test_postgres_values__spans_keep_every_byte),
                cmocka_unit_test(test_postgres_values__times_count_from_1970),
                cmocka_unit_test(test_postgres_values__wrong_sizes_are_malformed),
                cmocka_unit_test(test_postgres_values__decimals_are_exact),
                cmocka_unit_test(test_postgres_values__malformed_decimals),
                cmocka_unit_test(test_postgres_values__parameters_on_the_wire),
                cmocka_unit_test(test_postgres_values__types_of_a_prepared_statement),
                cmocka_unit_test(test_postgres_values__what_the_wire_cannot_carry),
                cmocka_unit_test(test_postgres_values__room_that_cannot_be_had),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
