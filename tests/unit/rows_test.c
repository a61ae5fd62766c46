/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "sql/rows_impl.h"

/* A cursor of one row, or one that fails after a number of rows. */
struct fixture {
        dal_rows rows;
        const dal_value *cells;
        uint32_t n_rows;
        uint32_t n_served;
        bool fails;
        bool closed;
};

static const char *const names[] = {"a", "qty", NULL};

static dal_status fixture_next(dal_rows *rows, bool *found_out, dal_error *err)
{
        struct fixture *f = rows->source;

        rows->cells = NULL;
        *found_out = f->n_served < f->n_rows;
        if (!*found_out)
                return f->fails ? dal_error_set(err, DAL_CLASS_CONNECTION_LOST, "lost") : DAL_OK;
        f->n_served++;
        rows->cells = f->cells;
        return DAL_OK;
}

static void fixture_close(dal_rows *rows)
{
        ((struct fixture *)rows->source)->closed = true;
}

static const char *fixture_column(const dal_rows *rows, uint32_t i_column)
{
        (void)rows;
        return names[i_column];
}

static void init(struct fixture *f, const dal_value *cells, uint32_t n_columns)
{
        memset(f, 0, sizeof *f);
        f->cells = cells;
        f->n_rows = 1;
        f->rows.n_columns = n_columns;
        f->rows.shard = 3;
        f->rows.next = fixture_next;
        f->rows.close = fixture_close;
        f->rows.column = fixture_column;
        f->rows.source = f;
}

/* A cursor standing on a row with one cell. */
static const dal_rows *on(struct fixture *f, const dal_value *cell)
{
        dal_error err;

        init(f, cell, 1);
        assert_int_equal(dal_rows_first(&f->rows, &err), DAL_OK);
        return &f->rows;
}

static dal_value untyped(dal_value value)
{
        value.flags = DAL_VALUE_UNTYPED;
        return value;
}

static void test_rows__next_ends_and_cells_go(void **state)
{
        const dal_value cells[] = {dal_int64(1), dal_null()};
        struct fixture f;
        dal_error err;
        bool found = false;

        (void)state;
        init(&f, cells, 2);
        assert_null(dal_rows_cell(&f.rows, 0));
        assert_int_equal(dal_rows_next(&f.rows, &found, &err), DAL_OK);
        assert_true(found);
        assert_ptr_equal(dal_rows_cell(&f.rows, 1), &cells[1]);
        assert_null(dal_rows_cell(&f.rows, 2));
        assert_false(dal_rows_is_null(&f.rows, 0));
        assert_true(dal_rows_is_null(&f.rows, 1));
        assert_true(dal_rows_is_null(&f.rows, 2));
        assert_int_equal(dal_rows_next(&f.rows, &found, &err), DAL_OK);
        assert_false(found);
        assert_null(dal_rows_cell(&f.rows, 0));
        dal_rows_close(&f.rows);
        assert_true(f.closed);
        dal_rows_close(NULL);
}

static void test_rows__error_after_rows_is_an_error(void **state)
{
        const dal_value cell = dal_int64(1);
        struct fixture f;
        dal_error err;
        bool found = false;

        (void)state;
        init(&f, &cell, 1);
        f.fails = true;
        assert_int_equal(dal_rows_next(&f.rows, &found, &err), DAL_OK);
        assert_true(found);
        assert_int_equal(dal_rows_next(&f.rows, &found, &err), DAL_ERR_CONN);
        assert_false(found);
        assert_null(dal_rows_cell(&f.rows, 0));
        assert_string_equal(err.message, "lost");
}

static void test_rows__first_without_a_row_is_not_found(void **state)
{
        struct fixture f;
        dal_error err;

        (void)state;
        init(&f, NULL, 1);
        f.n_rows = 0;
        assert_int_equal(dal_rows_first(&f.rows, &err), DAL_ERR_NOT_FOUND);
        init(&f, NULL, 1);
        f.n_rows = 0;
        f.fails = true;
        assert_int_equal(dal_rows_first(&f.rows, &err), DAL_ERR_CONN);
}

static void test_rows__columns_are_found_by_name(void **state)
{
        struct fixture f;

        (void)state;
        init(&f, NULL, 3);
        assert_int_equal(dal_rows_n_columns(&f.rows), 3);
        assert_string_equal(dal_rows_column(&f.rows, 1), "qty");
        assert_null(dal_rows_column(&f.rows, 3));
        assert_int_equal(dal_rows_find_column(&f.rows, "qty"), 1);
        assert_int_equal(dal_rows_find_column(&f.rows, "QTY"), -1);
        assert_int_equal(dal_rows_find_column(&f.rows, "none"), -1);
        assert_int_equal(dal_rows_find_column(&f.rows, NULL), -1);
        assert_int_equal(dal_rows_shard(&f.rows), 3);
        assert_int_equal(dal_rows_shard(NULL), DAL_NO_SHARD);
        assert_int_equal(dal_rows_n_columns(NULL), 0);
}

static void test_rows__bad_calls_are_refused(void **state)
{
        const dal_value cell = dal_int64(1);
        struct fixture f;
        dal_error err;
        bool found;
        int64_t out = 77;
        const char *text;
        const void *bytes;
        size_t size;

        (void)state;
        init(&f, &cell, 1);
        assert_int_equal(dal_rows_int64(&f.rows, 0, &out, &err), DAL_ERR_STATE); /* no row yet */
        assert_int_equal(dal_rows_next(&f.rows, &found, &err), DAL_OK);
        assert_int_equal(dal_rows_int64(&f.rows, 1, &out, &err), DAL_ERR_ARG);
        assert_string_equal(err.message, "there is no column 1: the row has 1, counted from 0");
        assert_int_equal(dal_rows_int64(&f.rows, 0, NULL, &err), DAL_ERR_ARG);
        assert_int_equal(dal_rows_int64(NULL, 0, &out, &err), DAL_ERR_ARG);
        assert_int_equal(dal_rows_next(NULL, &found, &err), DAL_ERR_ARG);
        assert_int_equal(dal_rows_next(&f.rows, NULL, &err), DAL_ERR_ARG);
        assert_int_equal(dal_rows_copy_text(&f.rows, 0, NULL, 0, &err), DAL_ERR_ARG);
        assert_int_equal(dal_rows_text(&f.rows, 0, &text, NULL, &err), DAL_ERR_ARG);
        assert_int_equal(dal_rows_text(&f.rows, 0, NULL, &size, &err), DAL_ERR_ARG);
        assert_int_equal(dal_rows_bytes(&f.rows, 0, &bytes, NULL, &err), DAL_ERR_ARG);
        assert_int_equal(dal_rows_bytes(&f.rows, 0, NULL, &size, &err), DAL_ERR_ARG);
        assert_int_equal(dal_rows_int64(&f.rows, 0, &out, NULL), DAL_OK); /* the error may be NULL */
        assert_int_equal(out, 1);
}

static void test_rows__null_is_refused_by_every_getter(void **state)
{
        const dal_value cell = dal_null();
        struct fixture f;
        const dal_rows *rows = on(&f, &cell);
        dal_error err;
        bool b;
        int32_t i32;
        int64_t i64;
        uint64_t u64;
        double d;
        char text[8];
        const char *p;
        const void *v;
        size_t size;
        uint8_t uuid[16];

        (void)state;
        assert_int_equal(dal_rows_bool(rows, 0, &b, &err), DAL_ERR_RANGE);
        assert_int_equal(err.error_class, DAL_CLASS_NULL_VALUE);
        assert_int_equal(dal_rows_int32(rows, 0, &i32, &err), DAL_ERR_RANGE);
        assert_int_equal(dal_rows_int64(rows, 0, &i64, &err), DAL_ERR_RANGE);
        assert_int_equal(dal_rows_uint64(rows, 0, &u64, &err), DAL_ERR_RANGE);
        assert_int_equal(dal_rows_double(rows, 0, &d, &err), DAL_ERR_RANGE);
        assert_int_equal(dal_rows_decimal(rows, 0, text, sizeof text, &err), DAL_ERR_RANGE);
        assert_int_equal(dal_rows_text(rows, 0, &p, &size, &err), DAL_ERR_RANGE);
        assert_int_equal(dal_rows_bytes(rows, 0, &v, &size, &err), DAL_ERR_RANGE);
        assert_int_equal(dal_rows_timestamp(rows, 0, &i64, &err), DAL_ERR_RANGE);
        assert_int_equal(dal_rows_date(rows, 0, &i64, &err), DAL_ERR_RANGE);
        assert_int_equal(dal_rows_uuid(rows, 0, uuid, &err), DAL_ERR_RANGE);
        assert_int_equal(dal_rows_copy_text(rows, 0, text, sizeof text, &err), DAL_ERR_RANGE);
        assert_int_equal(err.error_class, DAL_CLASS_NULL_VALUE);
        assert_string_equal(err.message,
                            "column 0 \"a\" is NULL where text was asked for: ask dal_rows_is_null() first");
}

/* What each getter of an integer makes of a cell: the value, or the class of the error. */
#define OK       0
#define OVERFLOW DAL_CLASS_OVERFLOW
#define WRONG    DAL_CLASS_WRONG_TYPE

struct int_case {
        dal_value cell;
        int class32, class64, class_u64;
        int64_t value;
};

static void check_int(const struct int_case *c)
{
        struct fixture f;
        const dal_rows *rows = on(&f, &c->cell);
        dal_error err = DAL_ERROR_INIT;
        int32_t i32 = 77;
        int64_t i64 = 77;
        uint64_t u64 = 77;

        assert_int_equal(dal_rows_int32(rows, 0, &i32, &err) == DAL_OK, c->class32 == OK);
        assert_int_equal(err.error_class, c->class32);
        assert_true(c->class32 == OK ? i32 == c->value : i32 == 77);
        memset(&err, 0, sizeof err);
        assert_int_equal(dal_rows_int64(rows, 0, &i64, &err) == DAL_OK, c->class64 == OK);
        assert_int_equal(err.error_class, c->class64);
        assert_true(c->class64 == OK ? i64 == c->value : i64 == 77);
        memset(&err, 0, sizeof err);
        assert_int_equal(dal_rows_uint64(rows, 0, &u64, &err) == DAL_OK, c->class_u64 == OK);
        assert_int_equal(err.error_class, c->class_u64);
        assert_true(c->class_u64 == OK ? u64 == (uint64_t)c->value : u64 == 77);
}

static void test_rows__integers_fit_or_fail(void **state)
{
        const struct int_case cases[] = {
                {dal_int64(0), OK, OK, OK, 0},
                {dal_int64(-1), OK, OK, OVERFLOW, -1},
                {dal_int64(INT32_MAX), OK, OK, OK, INT32_MAX},
                {dal_int64(INT32_MAX + INT64_C(1)), OVERFLOW, OK, OK, INT32_MAX + INT64_C(1)},
                {dal_int64(INT32_MIN), OK, OK, OVERFLOW, INT32_MIN},
                {dal_int64(INT32_MIN - INT64_C(1)), OVERFLOW, OK, OVERFLOW, INT32_MIN - INT64_C(1)},
                {dal_int64(INT64_MIN), OVERFLOW, OK, OVERFLOW, INT64_MIN},
                {dal_int64(INT64_MAX), OVERFLOW, OK, OK, INT64_MAX},
                {dal_uint64(5), OK, OK, OK, 5},
                {dal_uint64(INT64_MAX), OVERFLOW, OK, OK, INT64_MAX},
                {dal_uint64(INT64_MAX + UINT64_C(1)), OVERFLOW, OVERFLOW, OK, INT64_MIN},
                {dal_uint64(UINT64_MAX), OVERFLOW, OVERFLOW, OK, -1},
                {dal_bool(true), OK, OK, OK, 1},
                {dal_decimal("12"), OK, OK, OK, 12},
                {dal_decimal("+12.00"), OK, OK, OK, 12},
                {dal_decimal("-0"), OK, OK, OK, 0},
                {dal_decimal("-0.000"), OK, OK, OK, 0},
                {dal_decimal("12.01"), OVERFLOW, OVERFLOW, OVERFLOW, 0},
                {dal_decimal("1e3"), OVERFLOW, OVERFLOW, OVERFLOW, 0},
                {dal_decimal("NaN"), OVERFLOW, OVERFLOW, OVERFLOW, 0},
                {dal_decimal("-9223372036854775808"), OVERFLOW, OK, OVERFLOW, INT64_MIN},
                {dal_decimal("-9223372036854775809"), OVERFLOW, OVERFLOW, OVERFLOW, 0},
                {dal_decimal("9223372036854775807.0"), OVERFLOW, OK, OK, INT64_MAX},
                {dal_decimal("18446744073709551615"), OVERFLOW, OVERFLOW, OK, -1},
                {dal_decimal("18446744073709551616"), OVERFLOW, OVERFLOW, OVERFLOW, 0},
                {dal_decimal("99999999999999999999999"), OVERFLOW, OVERFLOW, OVERFLOW, 0},
                {dal_double(3), WRONG, WRONG, WRONG, 0},
                {dal_text("3"), WRONG, WRONG, WRONG, 0},
                {untyped(dal_text("3")), WRONG, WRONG, WRONG, 0},
                {dal_bytes("3", 1), WRONG, WRONG, WRONG, 0},
                {dal_date(3), WRONG, WRONG, WRONG, 0},
                {dal_timestamp(3), WRONG, WRONG, WRONG, 0},
        };

        (void)state;
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
                check_int(&cases[i]);
}

static void test_rows__bool_is_a_boolean_or_zero_or_one(void **state)
{
        const dal_value good[] = {dal_bool(false),       dal_bool(true),       dal_int64(0),
                                  dal_int64(1),          dal_uint64(0),        dal_uint64(1),
                                  untyped(dal_int64(0)), untyped(dal_int64(1))};
        const dal_value bad[] = {dal_int64(2),     dal_int64(-1), dal_uint64(2), dal_int64(INT64_MIN),
                                 dal_decimal("1"), dal_text("t"), dal_double(1)};
        struct fixture f;
        dal_error err;
        bool out;

        (void)state;
        for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
                out = i % 2 == 0;
                assert_int_equal(dal_rows_bool(on(&f, &good[i]), 0, &out, &err), DAL_OK);
                assert_int_equal(out, i % 2 == 1);
        }
        for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
                assert_int_equal(dal_rows_bool(on(&f, &bad[i]), 0, &out, &err), DAL_ERR_RANGE);
                assert_int_equal(err.error_class, i < 4 ? OVERFLOW : WRONG);
        }
}

static void test_rows__double_takes_exact_integers_only(void **state)
{
        static const int64_t exact = INT64_C(1) << 53;
        const dal_value good[] = {dal_double(-0.5), dal_int64(-exact), dal_int64(exact),
                                  dal_uint64(UINT64_C(1) << 63), dal_int64(INT64_MIN)};
        const double expected[] = {-0.5, -9007199254740992.0, 9007199254740992.0, 9223372036854775808.0,
                                   -9223372036854775808.0};
        const dal_value bad[] = {dal_int64(exact + 1),
                                 dal_int64(-exact - 1),
                                 dal_int64(INT64_MAX),
                                 dal_uint64(UINT64_MAX),
                                 dal_uint64((UINT64_C(1) << 63) + 1),
                                 dal_decimal("1.5"),
                                 dal_bool(true),
                                 dal_text("1")};
        struct fixture f;
        dal_error err;
        double out;

        (void)state;
        for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
                assert_int_equal(dal_rows_double(on(&f, &good[i]), 0, &out, &err), DAL_OK);
                assert_memory_equal(&out, &expected[i], sizeof out);
        }
        for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
                assert_int_equal(dal_rows_double(on(&f, &bad[i]), 0, &out, &err), DAL_ERR_RANGE);
                assert_int_equal(err.error_class, i < 5 ? OVERFLOW : WRONG);
        }
        assert_int_equal(dal_rows_double(on(&f, &bad[5]), 0, &out, &err), DAL_ERR_RANGE);
        assert_string_equal(
                err.message,
                "column 0 \"a\" is decimal, not double: call dal_rows_decimal() or dal_rows_text()");
}

static void check_decimal(dal_value cell, const char *expected)
{
        struct fixture f;
        dal_error err;
        char out[32] = "untouched";
        dal_status status = dal_rows_decimal(on(&f, &cell), 0, out, sizeof out, &err);

        assert_int_equal(status, expected ? DAL_OK : DAL_ERR_RANGE);
        assert_string_equal(out, expected ? expected : "untouched");
}

static void test_rows__decimal_as_text(void **state)
{
        const dal_value cell = dal_decimal("12.50");
        struct fixture f;
        dal_error err;
        char out[6];

        (void)state;
        check_decimal(dal_decimal("-12.340"), "-12.340");
        check_decimal(dal_decimal("NaN"), "NaN"); /* as it came */
        check_decimal(dal_int64(INT64_MIN), "-9223372036854775808");
        check_decimal(dal_uint64(UINT64_MAX), "18446744073709551615");
        check_decimal(untyped(dal_text("1.50")), "1.50");
        check_decimal(untyped(dal_text("1.50 ")), NULL);
        check_decimal(dal_text("1.50"), NULL);
        check_decimal(dal_double(1.5), NULL);
        assert_int_equal(dal_rows_decimal(on(&f, &cell), 0, out, 6, &err), DAL_OK); /* just fits */
        assert_int_equal(dal_rows_decimal(on(&f, &cell), 0, out, 5, &err), DAL_ERR_RANGE);
        assert_int_equal(err.error_class, OVERFLOW);
        assert_string_equal(err.message, "column 0 \"a\": the buffer has 5 bytes, and this decimal with its "
                                         "NUL takes 6");
        assert_int_equal(dal_rows_decimal(on(&f, &cell), 0, out, 0, &err), DAL_ERR_RANGE);
}

static void test_rows__text_and_bytes(void **state)
{
        const dal_value text = dal_text("h\xC3\xA9");
        const dal_value other = dal_span_(DAL_TYPE_OTHER, "(1,2)", 5);
        const dal_value binary = dal_span_(DAL_TYPE_OTHER, "\0\1", 2);
        const dal_value latin = dal_span_(DAL_TYPE_OTHER, "\xE9", 1);
        const dal_value decimal = dal_decimal("1");
        const dal_value bytes = dal_bytes("\0\xFF", 2);
        const dal_value number = dal_int64(1);
        const uint8_t id[16] = {1, 2, 3};
        const dal_value uuid = dal_uuid(id);
        struct fixture f;
        dal_error err;
        const char *p;
        const void *v;
        size_t size;

        (void)state;
        assert_int_equal(dal_rows_text(on(&f, &text), 0, &p, &size, &err), DAL_OK);
        assert_int_equal(size, 3);
        assert_ptr_equal(p, text.as.span.ptr);
        assert_int_equal(dal_rows_text(on(&f, &other), 0, &p, &size, &err), DAL_OK);
        assert_int_equal(dal_rows_text(on(&f, &latin), 0, &p, &size, &err), DAL_ERR_RANGE);
        assert_int_equal(dal_rows_text(on(&f, &binary), 0, &p, &size, &err), DAL_ERR_RANGE);
        assert_string_equal(err.message,
                            "column 0 \"a\" is other, not text: call dal_rows_bytes(), or convert "
                            "it in the statement");
        assert_int_equal(dal_rows_bytes(on(&f, &binary), 0, &v, &size, &err), DAL_OK);
        assert_int_equal(dal_rows_text(on(&f, &decimal), 0, &p, &size, &err), DAL_OK);
        assert_int_equal(dal_rows_text(on(&f, &bytes), 0, &p, &size, &err), DAL_ERR_RANGE);
        assert_int_equal(dal_rows_text(on(&f, &number), 0, &p, &size, &err), DAL_ERR_RANGE);
        assert_string_equal(err.message, "column 0 \"a\" is int64, not text: call dal_rows_int64()");
        assert_int_equal(dal_rows_bytes(on(&f, &bytes), 0, &v, &size, &err), DAL_OK);
        assert_int_equal(size, 2);
        assert_int_equal(dal_rows_bytes(on(&f, &other), 0, &v, &size, &err), DAL_OK);
        assert_int_equal(dal_rows_bytes(on(&f, &uuid), 0, &v, &size, &err), DAL_OK);
        assert_int_equal(size, 16);
        assert_memory_equal(v, id, 16);
        assert_int_equal(dal_rows_bytes(on(&f, &text), 0, &v, &size, &err), DAL_ERR_RANGE);
}

static void test_rows__copy_text_is_whole_or_fails(void **state)
{
        const dal_value text = dal_text("abc");
        const dal_value empty = dal_text("");
        const dal_value nul = dal_text_n("a\0c", 3);
        struct fixture f;
        dal_error err;
        char out[4] = "xyz";

        (void)state;
        assert_int_equal(dal_rows_copy_text(on(&f, &text), 0, out, 3, &err), DAL_ERR_RANGE);
        assert_int_equal(err.error_class, OVERFLOW);
        assert_string_equal(out, "xyz");
        assert_int_equal(dal_rows_copy_text(on(&f, &nul), 0, out, 4, &err), DAL_ERR_RANGE);
        assert_string_equal(out, "xyz");
        assert_int_equal(dal_rows_copy_text(on(&f, &text), 0, out, 4, &err), DAL_OK);
        assert_string_equal(out, "abc");
        assert_int_equal(dal_rows_copy_text(on(&f, &empty), 0, out, 1, &err), DAL_OK);
        assert_string_equal(out, "");
        assert_int_equal(dal_rows_copy_text(on(&f, &empty), 0, out, 0, &err), DAL_ERR_RANGE);
}

static void test_rows__times(void **state)
{
        const dal_value timestamp = dal_timestamp(-5);
        const dal_value date = dal_date(-5);
        const dal_value number = dal_int64(-5);
        const dal_value bare = untyped(dal_int64(-5));
        const dal_value text = untyped(dal_text("1970-01-02"));
        const dal_value typed_text = dal_text("1970-01-02");
        const dal_value noise = untyped(dal_text("yesterday"));
        struct fixture f;
        dal_error err;
        int64_t out = 0;

        (void)state;
        assert_int_equal(dal_rows_timestamp(on(&f, &timestamp), 0, &out, &err), DAL_OK);
        assert_true(out == -5);
        assert_int_equal(dal_rows_timestamp(on(&f, &bare), 0, &out, &err), DAL_OK);
        assert_int_equal(dal_rows_timestamp(on(&f, &text), 0, &out, &err), DAL_OK);
        assert_true(out == INT64_C(86400000000));
        assert_int_equal(dal_rows_timestamp(on(&f, &number), 0, &out, &err), DAL_ERR_RANGE);
        assert_int_equal(dal_rows_timestamp(on(&f, &date), 0, &out, &err), DAL_ERR_RANGE);
        assert_int_equal(dal_rows_timestamp(on(&f, &typed_text), 0, &out, &err), DAL_ERR_RANGE);
        assert_int_equal(dal_rows_timestamp(on(&f, &noise), 0, &out, &err), DAL_ERR_RANGE);
        assert_int_equal(err.error_class, WRONG);
        assert_int_equal(dal_rows_date(on(&f, &date), 0, &out, &err), DAL_OK);
        assert_true(out == -5);
        assert_int_equal(dal_rows_date(on(&f, &bare), 0, &out, &err), DAL_OK);
        assert_int_equal(dal_rows_date(on(&f, &text), 0, &out, &err), DAL_OK);
        assert_true(out == 1);
        assert_int_equal(dal_rows_date(on(&f, &timestamp), 0, &out, &err), DAL_ERR_RANGE);
        assert_int_equal(dal_rows_date(on(&f, &number), 0, &out, &err), DAL_ERR_RANGE);
}

static void test_rows__uuid_forms(void **state)
{
        static const uint8_t id[16] = {0x55, 0x0e, 0x84, 0x00, 0xe2, 0x9b, 0x41, 0xd4,
                                       0xa7, 0x16, 0x44, 0x66, 0x55, 0x44, 0x00, 0x00};
        const dal_value good[] = {dal_uuid(id), dal_bytes(id, 16),
                                  dal_text("550E8400-e29b-41d4-a716-446655440000")};
        const dal_value bad[] = {dal_bytes(id, 15), dal_text("550e8400e29b41d4a716446655440000"),
                                 dal_text("550e8400-e29b-41d4-a716-44665544000g"), dal_int64(1)};
        struct fixture f;
        dal_error err;
        uint8_t out[16];

        (void)state;
        for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
                memset(out, 0, sizeof out);
                assert_int_equal(dal_rows_uuid(on(&f, &good[i]), 0, out, &err), DAL_OK);
                assert_memory_equal(out, id, 16);
        }
        for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
                assert_int_equal(dal_rows_uuid(on(&f, &bad[i]), 0, out, &err), DAL_ERR_RANGE);
                assert_memory_equal(out, id, 16);
        }
}

/* A cell may be a secret: no error shows what is in it. */
static void test_rows__errors_do_not_show_the_value(void **state)
{
        const dal_value text = dal_text("hunter2");
        const dal_value decimal = dal_decimal("31337.5");
        struct fixture f;
        dal_error err;
        int64_t number;
        char out[4];

        (void)state;
        assert_int_equal(dal_rows_int64(on(&f, &text), 0, &number, &err), DAL_ERR_RANGE);
        assert_null(strstr(err.message, "hunter2"));
        assert_int_equal(dal_rows_int64(on(&f, &decimal), 0, &number, &err), DAL_ERR_RANGE);
        assert_null(strstr(err.message, "31337"));
        assert_string_equal(err.message,
                            "column 0 \"a\" holds a value of type decimal that does not fit int64: call "
                            "dal_rows_decimal() or dal_rows_text()");
        assert_int_equal(dal_rows_copy_text(on(&f, &text), 0, out, sizeof out, &err), DAL_ERR_RANGE);
        assert_null(strstr(err.message, "hunter2"));
}

int main(void)
{
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_rows__next_ends_and_cells_go),
                cmocka_unit_test(test_rows__error_after_rows_is_an_error),
                cmocka_unit_test(test_rows__first_without_a_row_is_not_found),
                cmocka_unit_test(test_rows__columns_are_found_by_name),
                cmocka_unit_test(test_rows__bad_calls_are_refused),
                cmocka_unit_test(test_rows__null_is_refused_by_every_getter),
                cmocka_unit_test(test_rows__integers_fit_or_fail),
                cmocka_unit_test(test_rows__bool_is_a_boolean_or_zero_or_one),
                cmocka_unit_test(test_rows__double_takes_exact_integers_only),
                cmocka_unit_test(test_rows__decimal_as_text),
                cmocka_unit_test(test_rows__text_and_bytes),
                cmocka_unit_test(test_rows__copy_text_is_whole_or_fails),
                cmocka_unit_test(test_rows__times),
                cmocka_unit_test(test_rows__uuid_forms),
                cmocka_unit_test(test_rows__errors_do_not_show_the_value),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
