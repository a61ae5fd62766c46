/* SPDX-License-Identifier: MIT */
/* Every type, there and back; and the getters' refusals. */

#include <float.h>
#include <math.h>
#include <stdlib.h>

#include "conf.h"

#define PAIR(type, column)                                                                                   \
        {                                                                                                    \
                DAL_STMT("put_" type, "INSERT INTO conf_value (id, " column ") VALUES (?, ?)"),              \
                        DAL_STMT("get_" type, "SELECT " column " FROM conf_value WHERE id = ?")              \
        }
static const struct pair {
        dal_stmt put, get;
} bools = PAIR("bool", "b"), ints = PAIR("int64", "i"), uints = PAIR("uint64", "u"),
  doubles = PAIR("double", "d"), decimals = PAIR("decimal", "n"), texts = PAIR("text", "t"),
  blobs = PAIR("bytes", "y"), timestamps = PAIR("timestamp", "ts"), dates = PAIR("date", "da"),
  uuids = PAIR("uuid", "uu");

static int64_t next_id = 1;

static int64_t put(struct conf *c, const struct pair *pair, dal_value value)
{
        int64_t id = next_id++, n = 0;

        OK(dal_conn_exec(c->conn, &pair->put, DAL_PARAMS(dal_int64(id), value), SOON, &n, &c->err));
        assert_int_equal(n, 1);
        return id;
}

/* Leaves the cursor on the row. */
static dal_rows *get(struct conf *c, const struct pair *pair, int64_t id)
{
        dal_rows *rows = NULL;

        OK(dal_conn_query(c->conn, &pair->get, DAL_PARAMS(dal_int64(id)), SOON, &rows, &c->err));
        OK(dal_rows_first(rows, &c->err));
        assert_int_equal(dal_rows_n_columns(rows), 1);
        return rows;
}

static dal_rows *put_and_get(struct conf *c, const struct pair *pair, dal_value value)
{
        return get(c, pair, put(c, pair, value));
}

static void values__bool(struct conf *c)
{
        for (int i = 0; i < 2; i++) {
                dal_rows *rows = put_and_get(c, &bools, dal_bool(i == 1));
                bool out = i == 0;
                OK(dal_rows_bool(rows, 0, &out, &c->err));
                assert_int_equal(out, i == 1);
                dal_rows_close(rows);
        }
}

static void values__int64_to_its_limits(struct conf *c)
{
        static const int64_t list[] = {0,
                                       1,
                                       -1,
                                       INT8_MIN,
                                       INT16_MAX,
                                       INT32_MIN,
                                       INT32_MAX,
                                       INT64_MIN,
                                       INT64_MAX,
                                       INT64_C(1) << 53,
                                       (INT64_C(1) << 53) + 1,
                                       INT64_MIN + 1};

        for (size_t i = 0; i < sizeof list / sizeof list[0]; i++) {
                dal_rows *rows = put_and_get(c, &ints, dal_int64(list[i]));
                int64_t out = 42;
                OK(dal_rows_int64(rows, 0, &out, &c->err));
                assert_true(out == list[i]);
                dal_rows_close(rows);
        }
}

static void values__uint64_whole_or_refused(struct conf *c)
{
        static const uint64_t list[] = {0, 1, INT64_MAX, (uint64_t)INT64_MAX + 1, UINT64_MAX};

        for (size_t i = 0; i < sizeof list / sizeof list[0]; i++) {
                dal_rows *rows;
                uint64_t out = 42;
                if (list[i] > INT64_MAX && !conf_has_cap(c, DAL_CAP_UINT64)) {
                        FAILS(dal_conn_exec(c->conn, &uints.put,
                                            DAL_PARAMS(dal_int64(next_id++), dal_uint64(list[i])), SOON, NULL,
                                            &c->err),
                              DATA);
                        continue;
                }
                rows = put_and_get(c, &uints, dal_uint64(list[i]));
                OK(dal_rows_uint64(rows, 0, &out, &c->err));
                assert_true(out == list[i]);
                if (list[i] > INT64_MAX) {
                        int64_t narrow = 42;
                        FAILS(dal_rows_int64(rows, 0, &narrow, &c->err), OVERFLOW);
                        assert_int_equal(narrow, 42);
                }
                dal_rows_close(rows);
        }
}

static void values__double_to_the_last_bit(struct conf *c)
{
        static const double list[] = {0.0,
                                      -0.0,
                                      1.0,
                                      -1.5,
                                      0.1,
                                      1.0 / 3,
                                      DBL_MAX,
                                      -DBL_MAX,
                                      DBL_MIN,
                                      DBL_EPSILON,
                                      1e-300,
                                      1e22,
                                      123456789.123456789,
                                      2.2250738585072011e-308};

        for (size_t i = 0; i < sizeof list / sizeof list[0]; i++) {
                dal_rows *rows = put_and_get(c, &doubles, dal_double(list[i]));
                double out = 42;
                OK(dal_rows_double(rows, 0, &out, &c->err));
                if (list[i] != 0.0)
                        assert_memory_equal(&out, &list[i], sizeof out);
                else
                        assert_true(out == 0.0); /* the sign of zero is not promised */
                dal_rows_close(rows);
        }
}

static void values__nan_and_infinity_stored_or_refused(struct conf *c)
{
        const double list[] = {(double)NAN, (double)INFINITY, -(double)INFINITY};

        for (size_t i = 0; i < sizeof list / sizeof list[0]; i++) {
                dal_rows *rows;
                double out = 42;
                if (!conf_has_cap(c, DAL_CAP_NAN)) {
                        FAILS(dal_conn_exec(c->conn, &doubles.put,
                                            DAL_PARAMS(dal_int64(next_id++), dal_double(list[i])), SOON, NULL,
                                            &c->err),
                              DATA);
                        continue;
                }
                rows = put_and_get(c, &doubles, dal_double(list[i]));
                OK(dal_rows_double(rows, 0, &out, &c->err));
                assert_true(isnan(list[i]) ? isnan(out) : out == list[i]);
                dal_rows_close(rows);
        }
}

/* Zeros behind the point say nothing: a column with a scale of its own adds them. */
static void strip_zeros(char *text)
{
        size_t n = strlen(text);

        if (!strchr(text, '.'))
                return;
        while (n > 0 && text[n - 1] == '0')
                text[--n] = '\0';
        if (n > 0 && text[n - 1] == '.')
                text[n - 1] = '\0';
}

static void values__decimal_exact(struct conf *c)
{
        static const char *const list[] = {"0",
                                           "1",
                                           "-1",
                                           "19.9",
                                           "-12.34",
                                           "0.1",
                                           "9007199254740993",
                                           "0.0000000001",
                                           "-0.0000000001",
                                           "123456789012345678901234567890.0123456789",
                                           "-999999999999999999999999999999.9999999999"};

        for (size_t i = 0; i < sizeof list / sizeof list[0]; i++) {
                dal_rows *rows = put_and_get(c, &decimals, dal_decimal(list[i]));
                char out[128] = "";
                double as_double = 42;
                OK(dal_rows_decimal(rows, 0, out, sizeof out, &c->err));
                strip_zeros(out);
                assert_string_equal(out, list[i]);
                FAILS(dal_rows_double(rows, 0, &as_double, &c->err), WRONG_TYPE);
                dal_rows_close(rows);
        }
        FAILS(dal_conn_exec(c->conn, &decimals.put, DAL_PARAMS(dal_int64(next_id++), dal_decimal("12.3.4")),
                            SOON, NULL, &c->err),
              DATA);
}

static void check_text(struct conf *c, const char *text, size_t size)
{
        dal_rows *rows = put_and_get(c, &texts, dal_text_n(text, size));
        const char *out = NULL;
        size_t out_size = 0;

        OK(dal_rows_text(rows, 0, &out, &out_size, &c->err));
        assert_int_equal(out_size, size);
        assert_memory_equal(out, text, size);
        dal_rows_close(rows);
}

static void values__text_in_every_script(struct conf *c)
{
        static const char *const list[] = {"a",
                                           "it's \"quoted\" `so` [or] so",
                                           "back\\slash \\' \\0 \\n",
                                           "line\nbreak\ttab\r\n",
                                           " spaces ",
                                           "50 % _like_",
                                           "gr\xc3\xbc\xc3\x9f",
                                           "\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e",
                                           "\xf0\x9f\x90\x98 \xf0\x9f\xa6\xad",
                                           "? ?? $1 :x -- /* */ ;"};

        for (size_t i = 0; i < sizeof list / sizeof list[0]; i++)
                check_text(c, list[i], strlen(list[i]));
}

static void values__text_of_one_mebibyte(struct conf *c)
{
        size_t size = 1024 * 1024;
        char *text = malloc(size);

        assert_non_null(text);
        for (size_t i = 0; i < size; i++)
                text[i] = (char)('a' + i % 26);
        check_text(c, text, size);
        /* And a short one after it: nothing is left of the long one. */
        check_text(c, "short", 5);
        free(text);
}

static void values__text_that_is_no_text_refused(struct conf *c)
{
        static const struct {
                const char *text;
                size_t size;
        } list[] = {
                {"a\0b", 3},         /* NUL */
                {"\xff", 1},         /* no UTF-8 */
                {"\xc0\xaf", 2},     /* overlong */
                {"\xed\xa0\x80", 3}, /* surrogate */
                {"caf\xc3", 4},      /* cut */
        };

        for (size_t i = 0; i < sizeof list / sizeof list[0]; i++) {
                dal_value text = dal_text_n(list[i].text, list[i].size);
                dal_rows *rows = NULL;
                FAILS(dal_conn_exec(c->conn, &texts.put, DAL_PARAMS(dal_int64(next_id++), text), SOON, NULL,
                                    &c->err),
                      DATA);
                assert_true(c->err.not_sent);
                FAILS(dal_conn_query(c->conn, &texts.get, DAL_PARAMS(text), SOON, &rows, &c->err), DATA);
                assert_true(c->err.not_sent);
                FAILS(dal_conn_exec_dynamic(c->conn, texts.put.common, DAL_PARAMS(dal_int64(1), text), SOON,
                                            NULL, &c->err),
                      DATA);
                assert_true(c->err.not_sent);
        }
        check_text(c, "the connection is still good", 28);
}

static void check_bytes(struct conf *c, const void *bytes, size_t size)
{
        dal_rows *rows = put_and_get(c, &blobs, dal_bytes(bytes, size));
        const void *out = NULL;
        size_t out_size = 42;

        OK(dal_rows_bytes(rows, 0, &out, &out_size, &c->err));
        assert_int_equal(out_size, size);
        assert_memory_equal(out, bytes, size);
        dal_rows_close(rows);
}

static void values__bytes_of_every_value(struct conf *c)
{
        size_t size = 1024 * 1024;
        unsigned char *bytes = malloc(size);

        assert_non_null(bytes);
        for (size_t i = 0; i < size; i++)
                bytes[i] = (unsigned char)(i % 256);
        check_bytes(c, bytes, 256);
        check_bytes(c, bytes, 1);
        check_bytes(c, bytes, size);
        check_bytes(c, "\\x41", 4);
        free(bytes);
}

/* Nothing and empty are different things, both ways. */
static void values__null_is_not_empty(struct conf *c)
{
        dal_rows *rows = put_and_get(c, &texts, dal_text_n("", 0));
        const char *text = NULL;
        const void *bytes = NULL;
        size_t size = 42;

        assert_false(dal_rows_is_null(rows, 0));
        OK(dal_rows_text(rows, 0, &text, &size, &c->err));
        assert_int_equal(size, 0);
        dal_rows_close(rows);

        rows = put_and_get(c, &blobs, dal_bytes(NULL, 0));
        assert_false(dal_rows_is_null(rows, 0));
        size = 42;
        OK(dal_rows_bytes(rows, 0, &bytes, &size, &c->err));
        assert_int_equal(size, 0);
        dal_rows_close(rows);

        rows = put_and_get(c, &texts, dal_text(NULL));
        assert_true(dal_rows_is_null(rows, 0));
        dal_rows_close(rows);
}

static void values__null_of_every_type(struct conf *c)
{
        static const struct pair *const pairs[] = {&bools, &ints,  &uints,      &doubles, &decimals,
                                                   &texts, &blobs, &timestamps, &dates,   &uuids};

        for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
                dal_rows *rows = put_and_get(c, pairs[i], dal_null());
                assert_true(dal_rows_is_null(rows, 0));
                assert_int_equal(dal_rows_cell(rows, 0)->type, DAL_TYPE_NULL);
                dal_rows_close(rows);
        }
}

static void values__getters_refuse_null(struct conf *c)
{
        dal_rows *rows = put_and_get(c, &ints, dal_null());
        bool b = true;
        int32_t i32 = 42;
        int64_t i64 = 42;
        uint64_t u64 = 42;
        double d = 42;
        char buffer[8] = "kept";
        const char *text = buffer;
        const void *bytes = buffer;
        size_t size = 42;
        uint8_t uuid[16] = {42};

        FAILS(dal_rows_bool(rows, 0, &b, &c->err), NULL_VALUE);
        FAILS(dal_rows_int32(rows, 0, &i32, &c->err), NULL_VALUE);
        FAILS(dal_rows_int64(rows, 0, &i64, &c->err), NULL_VALUE);
        FAILS(dal_rows_uint64(rows, 0, &u64, &c->err), NULL_VALUE);
        FAILS(dal_rows_double(rows, 0, &d, &c->err), NULL_VALUE);
        FAILS(dal_rows_decimal(rows, 0, buffer, sizeof buffer, &c->err), NULL_VALUE);
        FAILS(dal_rows_text(rows, 0, &text, &size, &c->err), NULL_VALUE);
        FAILS(dal_rows_bytes(rows, 0, &bytes, &size, &c->err), NULL_VALUE);
        FAILS(dal_rows_timestamp(rows, 0, &i64, &c->err), NULL_VALUE);
        FAILS(dal_rows_date(rows, 0, &i64, &c->err), NULL_VALUE);
        FAILS(dal_rows_uuid(rows, 0, uuid, &c->err), NULL_VALUE);
        FAILS(dal_rows_copy_text(rows, 0, buffer, sizeof buffer, &c->err), NULL_VALUE);
        dal_rows_close(rows);
        /* A refusal touches nothing. */
        assert_true(b && i32 == 42 && i64 == 42 && u64 == 42 && d == 42 && size == 42 && uuid[0] == 42);
        assert_string_equal(buffer, "kept");
        assert_ptr_equal(text, buffer);
}

static void values__getters_refuse_what_does_not_fit(struct conf *c)
{
        dal_rows *rows = put_and_get(c, &ints, dal_int64(INT64_C(1) << 40));
        int32_t i32 = 42;
        uint64_t u64 = 42;
        bool b = true;
        double d = 42;
        char small[4] = "abc";

        FAILS(dal_rows_int32(rows, 0, &i32, &c->err), OVERFLOW);
        FAILS(dal_rows_bool(rows, 0, &b, &c->err), OVERFLOW);
        dal_rows_close(rows);

        rows = put_and_get(c, &ints, dal_int64(-1));
        FAILS(dal_rows_uint64(rows, 0, &u64, &c->err), OVERFLOW);
        dal_rows_close(rows);

        rows = put_and_get(c, &ints, dal_int64((INT64_C(1) << 53) + 1));
        FAILS(dal_rows_double(rows, 0, &d, &c->err), OVERFLOW);
        dal_rows_close(rows);

        rows = put_and_get(c, &texts, dal_text("four"));
        FAILS(dal_rows_copy_text(rows, 0, small, sizeof small, &c->err), OVERFLOW);
        dal_rows_close(rows);
        assert_true(i32 == 42 && u64 == 42 && b && d == 42);
        assert_string_equal(small, "abc");
}

static void values__getters_refuse_another_type(struct conf *c)
{
        dal_rows *rows = put_and_get(c, &texts, dal_text("12"));
        int64_t i64 = 42;
        double d = 42;
        const char *text = NULL;
        const void *bytes = NULL;
        size_t size = 42;
        uint8_t uuid[16];

        FAILS(dal_rows_int64(rows, 0, &i64, &c->err), WRONG_TYPE);
        FAILS(dal_rows_double(rows, 0, &d, &c->err), WRONG_TYPE);
        FAILS(dal_rows_bytes(rows, 0, &bytes, &size, &c->err), WRONG_TYPE);
        FAILS(dal_rows_timestamp(rows, 0, &i64, &c->err), WRONG_TYPE);
        FAILS(dal_rows_int64(rows, 1, &i64, &c->err), ARGUMENT);
        dal_rows_close(rows);

        rows = put_and_get(c, &ints, dal_int64(12));
        FAILS(dal_rows_text(rows, 0, &text, &size, &c->err), WRONG_TYPE);
        FAILS(dal_rows_uuid(rows, 0, uuid, &c->err), WRONG_TYPE);
        dal_rows_close(rows);

        rows = put_and_get(c, &doubles, dal_double(1.5));
        FAILS(dal_rows_int64(rows, 0, &i64, &c->err), WRONG_TYPE);
        dal_rows_close(rows);
        assert_true(i64 == 42 && d == 42 && size == 42);
}

/* What to call instead stands in the message, and the value itself, which may be a secret, does not. */
static void values__a_refusal_names_column_type_and_getter(struct conf *c)
{
        dal_rows *rows = put_and_get(c, &ints, dal_int64(INT64_C(123456789012)));
        const char *column = dal_rows_column(rows, 0), *text = NULL;
        size_t size = 0;
        int32_t i32 = 0;
        char small[4] = "";

        FAILS(dal_rows_text(rows, 0, &text, &size, &c->err), WRONG_TYPE);
        assert_non_null(strstr(c->err.message, column));
        assert_non_null(strstr(c->err.message, "is int64, not text: call dal_rows_int64()"));
        FAILS(dal_rows_int32(rows, 0, &i32, &c->err), OVERFLOW);
        assert_non_null(strstr(c->err.message, "does not fit int32: call dal_rows_int64()"));
        assert_null(strstr(c->err.message, "123456789012"));
        dal_rows_close(rows);

        rows = put_and_get(c, &texts, dal_text("secret"));
        FAILS(dal_rows_copy_text(rows, 0, small, sizeof small, &c->err), OVERFLOW);
        assert_non_null(strstr(c->err.message, "the buffer has 4 bytes, and this text with its NUL takes 7"));
        assert_null(strstr(c->err.message, "secret"));
        dal_rows_close(rows);
}

/* Neither the other way: what a double says is not exact. */
static void values__double_is_not_given_as_decimal(struct conf *c)
{
        dal_rows *rows = put_and_get(c, &doubles, dal_double(0.1));
        char out[32] = "kept";

        FAILS(dal_rows_decimal(rows, 0, out, sizeof out, &c->err), WRONG_TYPE);
        assert_string_equal(out, "kept");
        dal_rows_close(rows);
}

static void values__timestamp_to_the_microsecond(struct conf *c)
{
        static const struct {
                dal_civil civil;
        } list[] = {
                {{1970, 1, 1, 0, 0, 0, 0}},
                {{1970, 1, 1, 0, 0, 0, 1}},
                {{1969, 12, 31, 23, 59, 59, 999999}},
                {{2026, 11, 21, 0, 0, 0, 0}}, /* midnight has a short form on the MySQL family */
                {{2026, 11, 21, 10, 20, 30, 123456}},
                {{2026, 11, 21, 10, 20, 30, 0}},
                {{2000, 2, 29, 12, 0, 0, 100000}},
                {{1900, 2, 28, 23, 59, 59, 1}},
                {{1582, 10, 10, 0, 0, 0, 0}}, /* a day the Julian calendar's users never had */
                {{1, 1, 1, 0, 0, 0, 0}},
                {{9999, 12, 31, 23, 59, 59, 999999}},
        };

        for (size_t i = 0; i < sizeof list / sizeof list[0]; i++) {
                int64_t us = dal_value_us_of_civil(list[i].civil), out = 42;
                dal_rows *rows = put_and_get(c, &timestamps, dal_timestamp(us));
                OK(dal_rows_timestamp(rows, 0, &out, &c->err));
                assert_true(out == us);
                dal_rows_close(rows);
        }
        FAILS(dal_conn_exec(c->conn, &timestamps.put,
                            DAL_PARAMS(dal_int64(next_id++), dal_timestamp(INT64_MAX)), SOON, NULL, &c->err),
              DATA);
}

static void values__date_of_every_age(struct conf *c)
{
        static const int64_t list[] = {0,       -1,     1, 11016 /* 2000-02-29 */, -25509 /* 1900-02-28 */,
                                       2932896, -719162};

        for (size_t i = 0; i < sizeof list / sizeof list[0]; i++) {
                dal_rows *rows = put_and_get(c, &dates, dal_date(list[i]));
                int64_t out = 42;
                OK(dal_rows_date(rows, 0, &out, &c->err));
                assert_true(out == list[i]);
                dal_rows_close(rows);
        }
}

static void values__uuid_in_network_order(struct conf *c)
{
        static const uint8_t list[][16] = {
                {0},
                {0x55, 0x0e, 0x84, 0x00, 0xe2, 0x9b, 0x41, 0xd4, 0xa7, 0x16, 0x44, 0x66, 0x55, 0x44, 0x00,
                 0x00},
                {255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255},
        };

        for (size_t i = 0; i < sizeof list / sizeof list[0]; i++) {
                dal_rows *rows = put_and_get(c, &uuids, dal_uuid(list[i]));
                uint8_t out[16] = {42};
                OK(dal_rows_uuid(rows, 0, out, &c->err));
                assert_memory_equal(out, list[i], 16);
                dal_rows_close(rows);
        }
}

/* The type of a parameter may change from call to call, NULL included: the statement is the same. */
static void values__one_statement_takes_parameters_of_several_types(struct conf *c)
{
        static const struct {
                const char *wanted; /* NULL = NULL */
        } list[] = {{"5"}, {"1.5"}, {NULL}, {"6"}, {"-7.25"}};
        const dal_value values[] = {dal_int64(5), dal_decimal("1.5"), dal_null(), dal_int64(6),
                                    dal_decimal("-7.25")};

        for (size_t i = 0; i < sizeof list / sizeof list[0]; i++) {
                dal_rows *rows = put_and_get(c, &decimals, values[i]);
                char out[64] = "";
                if (!list[i].wanted) {
                        assert_true(dal_rows_is_null(rows, 0));
                } else {
                        OK(dal_rows_decimal(rows, 0, out, sizeof out, &c->err));
                        strip_zeros(out);
                        assert_string_equal(out, list[i].wanted);
                }
                dal_rows_close(rows);
        }
}

static void values__null_where_nothing_tells_the_type(struct conf *c)
{
        static const dal_stmt only = DAL_STMT("only_null", "SELECT COUNT(*) FROM conf_account WHERE id = ?");

        if (!c->server)
                assert_int_equal(conf_number(c, c->conn, &only, DAL_PARAMS(dal_null())), 0);
}

const struct conf_case values_conf[] = {
        CONF_CASE(values__bool),
        CONF_CASE(values__int64_to_its_limits),
        CONF_CASE(values__uint64_whole_or_refused),
        CONF_CASE(values__double_to_the_last_bit),
        CONF_CASE(values__nan_and_infinity_stored_or_refused),
        CONF_CASE(values__decimal_exact),
        CONF_CASE(values__text_in_every_script),
        CONF_CASE(values__text_of_one_mebibyte),
        CONF_CASE(values__text_that_is_no_text_refused),
        CONF_CASE(values__bytes_of_every_value),
        CONF_CASE(values__null_is_not_empty),
        CONF_CASE(values__null_of_every_type),
        CONF_CASE(values__getters_refuse_null),
        CONF_CASE(values__getters_refuse_what_does_not_fit),
        CONF_CASE(values__getters_refuse_another_type),
        CONF_CASE(values__a_refusal_names_column_type_and_getter),
        CONF_CASE(values__double_is_not_given_as_decimal),
        CONF_CASE(values__timestamp_to_the_microsecond),
        CONF_CASE(values__date_of_every_age),
        CONF_CASE(values__uuid_in_network_order),
        CONF_CASE(values__one_statement_takes_parameters_of_several_types),
        CONF_CASE(values__null_where_nothing_tells_the_type),
        {NULL, NULL},
};
