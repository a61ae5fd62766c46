/* SPDX-License-Identifier: MIT */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "mem_fault.h"
#include "sql/params.h"

static const dal_driver dollar = {.name = "dollar",
                                  .caps = DAL_CAP_NAN,
                                  .placeholder = DAL_PLACEHOLDER_DOLLAR,
                                  .sql_syntax =
                                          DAL_SQL_DOLLAR_QUOTES | DAL_SQL_NESTED_COMMENTS | DAL_SQL_E_STRINGS,
                                  .max_params = 65535};
static const dal_driver question = {.name = "question",
                                    .caps = DAL_CAP_UINT64,
                                    .placeholder = DAL_PLACEHOLDER_QUESTION,
                                    .sql_syntax = DAL_SQL_BACKSLASH_ESCAPES | DAL_SQL_HASH_COMMENTS |
                                                  DAL_SQL_BACKTICKS | DAL_SQL_DASH_NEEDS_SPACE};

static dal__params_text rewrite(const dal_driver *driver, const char *name, const char *sql)
{
        dal_error err = DAL_ERROR_INIT;
        dal__params_text out;
        dal_status status = dal__params_rewrite(driver, name, sql, strlen(sql), &out, &err);

        if (status)
                fail_msg("%s: %s", sql, err.message);
        assert_int_equal(strlen(out.text), out.size);
        return out;
}

static void check(const dal_driver *driver, const char *sql, const char *expected, uint32_t n_params)
{
        dal__params_text out = rewrite(driver, NULL, sql);

        assert_string_equal(out.text, expected);
        assert_int_equal(out.n_params, n_params);
        dal_mem_free(out.text);
}

static void refused(const dal_driver *driver, const char *sql, const char *message)
{
        dal_error err = DAL_ERROR_INIT;
        dal__params_text out;

        assert_int_equal(dal__params_rewrite(driver, "s", sql, strlen(sql), &out, &err), DAL_ERR_ARG);
        assert_string_equal(err.message, message);
        assert_null(out.text);
}

static void test_params__question_marks_stay_or_are_numbered(void **state)
{
        (void)state;
        check(&question, "SELECT ?, '?', `?` -- ?", "SELECT ?, '?', `?` -- ?", 1);
        check(&dollar, "SELECT ?, '?', \"?\", ? -- ?\n, ?", "SELECT $1, '?', \"?\", $2 -- ?\n, $3", 3);
        check(&dollar, "SELECT $$?$$, E'\\'?', ?::int", "SELECT $$?$$, E'\\'?', $1::int", 1);
        check(&dollar, "?,?,?,?,?,?,?,?,?,?,?", "$1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11", 11);
        check(&dollar, "a ?? ? AND b ??| ? AND c @?? ?", "a ? $1 AND b ?| $2 AND c @? $3", 3);
}

/* "$1" must not grow together with what stands beside it. */
static void test_params__numbers_keep_their_distance(void **state)
{
        (void)state;
        check(&dollar, "LIMIT?OFFSET?", "LIMIT $1 OFFSET $2", 2);
        check(&dollar, "a=?AND b=?", "a=$1 AND b=$2", 2);
        check(&dollar, "$?", "$ $1", 1);
        check(&dollar, "a?a z?z A?A Z?Z _?_", "a $1 a z $2 z A $3 A Z $4 Z _ $5 _", 5);
        check(&dollar, "0? 9? \x80?\x80", "0 $1 9 $2 \x80 $3 \x80", 3);
        check(&dollar, "(?)@?[?]{?}`?^", "($1)@$2[$3]{$4}`$5^", 5);
        check(&dollar, "?$$x$$", "$1 $$x$$", 1);
        check(&dollar, "?\xC3\xA9", "$1 \xC3\xA9", 1);
        check(&dollar, "???", "?$1", 1);
        check(&question, "LIMIT?OFFSET?", "LIMIT?OFFSET?", 2);
}

static void test_params__name_leads_as_a_comment(void **state)
{
        dal__params_text out = rewrite(&dollar, "shop.take_stock2", "SELECT ?");

        (void)state;
        assert_string_equal(out.text, "/*shop.take_stock2*/ SELECT $1");
        dal_mem_free(out.text);
}

static void test_params__bad_names_are_refused(void **state)
{
        static const char *const names[] = {"",
                                            "A",
                                            "a b",
                                            "a*/",
                                            "a-b",
                                            "h\xC3\xA9",
                                            "a234567890123456789012345678901234567890123456789012345678901"};
        dal__params_text out;
        dal_error err;

        (void)state;
        for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
                assert_int_equal(dal__params_rewrite(&dollar, names[i], "SELECT 1", 8, &out, &err),
                                 DAL_ERR_ARG);
                assert_null(out.text);
        }
        out = rewrite(&dollar, "a23456789012345678901234567890123456789012345678901234567890", "SELECT 1");
        dal_mem_free(out.text);
}

static void test_params__one_trailing_semicolon_goes(void **state)
{
        (void)state;
        check(&dollar, "SELECT ? ; ", "SELECT $1 ", 1);
        check(&dollar, "SELECT 1;;\n; -- end", "SELECT 1", 0);
        check(&dollar, "/* a; */ SELECT ';' /* ? */;", "/* a; */ SELECT ';' /* ? */", 0);
}

static void test_params__errors_name_statement_and_position(void **state)
{
        (void)state;
        refused(&dollar, "", "statement \"s\" is empty");
        refused(&dollar, " -- nothing\n/**/", "statement \"s\" is empty");
        refused(&dollar, ";", "statement \"s\" is empty");
        refused(&dollar, "SELECT 1;\nDELETE FROM t",
                "statement \"s\", line 2, byte 11: a second statement begins here: run each by a call of its "
                "own");
        refused(&dollar, "SELECT 1; ?",
                "statement \"s\", line 1, byte 11: a second statement begins here: run each by a call of its "
                "own");
        refused(&dollar, "SELECT\n\n 'abc",
                "statement \"s\", line 3, byte 10: the quote or comment that begins here has no end");
        refused(&dollar, "SELECT 1; /*",
                "statement \"s\", line 1, byte 11: the quote or comment that begins here has no end");
        refused(&dollar, "SELECT ?1",
                "statement \"s\", line 1, byte 8: write ? without a number: parameters are taken in order");
        refused(&dollar, "?0",
                "statement \"s\", line 1, byte 1: write ? without a number: parameters are taken in order");
        refused(&dollar, "?9",
                "statement \"s\", line 1, byte 1: write ? without a number: parameters are taken in order");
        refused(&dollar, "SELECT $1",
                "statement \"s\", line 1, byte 8: write ? in place of $1, $2 and so on");
        refused(&question, "a ?? b",
                "statement \"s\", line 1, byte 3: \?\? is a literal question mark, which this engine has no "
                "operator for");
}

static void test_params__a_hidden_second_statement_is_seen(void **state)
{
        dal__params_text out;
        dal_error err;

        (void)state;
        assert_int_equal(
                dal__params_rewrite(&question, "s", "SELECT 1 /*! ; DELETE FROM t */", 31, &out, &err),
                DAL_ERR_ARG);
        out = rewrite(&question, NULL, "/*!40101 COMMIT */");
        assert_true(out.has_transaction_word);
        dal_mem_free(out.text);
}

static void test_params__no_text_is_refused(void **state)
{
        dal__params_text out;
        dal_error err;

        (void)state;
        assert_int_equal(dal__params_rewrite(&dollar, "s", NULL, 0, &out, &err), DAL_ERR_ARG);
        assert_string_equal(err.message, "statement \"s\" has no text for this engine");
        assert_int_equal(dal__params_rewrite(&dollar, NULL, NULL, 0, &out, &err), DAL_ERR_ARG);
        assert_int_equal(dal__params_rewrite(&dollar, "s", "SELECT 1\0; x", 12, &out, &err), DAL_ERR_ARG);
        assert_string_equal(err.message, "the text of statement \"s\" has a NUL byte inside");
        assert_null(out.text);
}

static void test_params__the_drivers_limit_holds(void **state)
{
        dal_driver small = dollar;
        dal__params_text out;
        dal_error err;

        (void)state;
        small.max_params = 2;
        check(&small, "?,?", "$1,$2", 2);
        assert_int_equal(dal__params_rewrite(&small, "s", "?,?,?", 5, &out, &err), DAL_ERR_ARG);
        assert_string_equal(err.message,
                            "statement \"s\" has more parameters than the 2 that dollar takes: split the "
                            "work into several statements");
        small.max_params = 0; /* no limit */
        check(&small, "?,?,?", "$1,$2,$3", 3);
}

/* As many parameters as there can be: the room for their numbers must be enough. */
static void test_params__many_parameters_fit(void **state)
{
        size_t n = 65535, size = n * 2 - 1;
        char *sql = malloc(size + 1);
        dal__params_text out;

        (void)state;
        assert_non_null(sql);
        for (size_t i = 0; i < size; i++)
                sql[i] = i % 2 ? 'x' : '?';
        sql[size] = '\0';
        out = rewrite(&dollar, NULL, sql);
        assert_int_equal(out.n_params, n);
        assert_string_equal(out.text + out.size - 7, " $65535");
        dal_mem_free(out.text);
        free(sql);
}

static void check_kind(const char *sql, bool is_read, bool has_transaction_word)
{
        dal__params_text out = rewrite(&dollar, "n", sql);

        if (out.is_read != is_read || out.has_transaction_word != has_transaction_word)
                fail_msg("%s: read %d, transaction %d", sql, out.is_read, out.has_transaction_word);
        dal_mem_free(out.text);
}

static void test_params__reads_are_known(void **state)
{
        (void)state;
        check_kind("SELECT 1", true, false);
        check_kind(" /* c */ select 'insert' -- update", true, false);
        check_kind("VALUES (1)", true, false);
        check_kind("TABLE t", true, false);
        check_kind("SHOW search_path", true, false);
        check_kind("SELECT a INTO b FROM c", false, false);
        check_kind("SELECT 1 FROM t FOR UPDATE", false, false);
        check_kind("WITH x AS (DELETE FROM t RETURNING 1) SELECT * FROM x", false, false);
        check_kind("INSERT INTO t SELECT 1", false, false);
        check_kind("(SELECT 1)", false, false); /* not worth knowing; never the other way round */
        check_kind("'a' SELECT", false, false);
        check_kind(":: SELECT", false, false);
        check_kind("selects", false, false);
}

static void test_params__transaction_words_are_known(void **state)
{
        static const char *const words[] = {"BEGIN",
                                            "begin immediate",
                                            "START TRANSACTION",
                                            "COMMIT",
                                            "commit;",
                                            "END",
                                            "ROLLBACK TO a",
                                            "SAVEPOINT a",
                                            "RELEASE a",
                                            "XA START 'x'",
                                            "ABORT",
                                            "PREPARE TRANSACTION 'x'",
                                            "/* a */ COMMIT PREPARED 'x'"};

        (void)state;
        for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
                check_kind(words[i], false, true);
        check_kind("PREPARE p AS SELECT 1", false, false);
        check_kind("PREPARE", false, false);
        check_kind("UPDATE t SET commit = 1", false, false);
        check_kind("CREATE TABLE transaction (a int)", false, false);
        check_kind("EXPLAIN TRANSACTION", false, false);
}

static void test_params__no_memory_is_reported(void **state)
{
        dal__params_text out;
        dal_error err;

        (void)state;
        mem_fault_at = 1;
        assert_int_equal(dal__params_rewrite(&dollar, "s", "SELECT ?", 8, &out, &err), DAL_ERR_NOMEM);
        assert_null(out.text);
        mem_fault_at = 0;
}

static dal_status check_one(const dal_driver *driver, dal_value value, dal_error *err)
{
        return dal__params_check(driver, "s", 1, DAL_PARAMS(value), err);
}

static void good(const dal_driver *driver, dal_value value)
{
        dal_error err = DAL_ERROR_INIT;

        if (check_one(driver, value, &err))
                fail_msg("%s", err.message);
}

static void bad(const dal_driver *driver, dal_value value, dal_error_class error_class, const char *why)
{
        dal_error err = DAL_ERROR_INIT;

        assert_int_not_equal(check_one(driver, value, &err), DAL_OK);
        assert_int_equal(err.error_class, error_class);
        assert_ptr_equal(strstr(err.message, "statement \"s\", parameter 1: "), err.message);
        assert_non_null(strstr(err.message, why));
}

static void test_params__count_must_match(void **state)
{
        dal_error err;

        (void)state;
        assert_int_equal(dal__params_check(&dollar, "add_order", 4,
                                           DAL_PARAMS(dal_int64(1), dal_int64(2), dal_int64(3)), &err),
                         DAL_ERR_ARG);
        assert_string_equal(err.message, "statement \"add_order\" takes 4 parameters, but 3 were given");
        assert_int_equal(dal__params_check(&dollar, NULL, 1, DAL_NO_PARAMS, &err), DAL_ERR_ARG);
        assert_string_equal(err.message,
                            "statement \"(without a name)\" takes 1 parameter, but 0 were given");
        assert_int_equal(dal__params_check(&dollar, "s", 0, DAL_PARAMS(dal_null()), &err), DAL_ERR_ARG);
        assert_int_equal(dal__params_check(&dollar, "s", 0, DAL_NO_PARAMS, &err), DAL_OK);
        assert_int_equal(dal__params_check(&dollar, "s", 2, (dal_params){NULL, 2}, &err), DAL_ERR_ARG);
        assert_int_equal(dal__params_check(&dollar, "s", 2, DAL_PARAMS(dal_null(), dal_text("\xFF")), &err),
                         DAL_ERR_RANGE);
        assert_non_null(strstr(err.message, "parameter 2"));
}

static void test_params__values_that_any_engine_takes(void **state)
{
        static const uint8_t uuid[16] = {0};

        (void)state;
        good(&dollar, dal_null());
        good(&dollar, dal_bool(true));
        good(&dollar, dal_int64(INT64_MIN));
        good(&dollar, dal_uint64(INT64_MAX));
        good(&dollar, dal_double(-0.0));
        good(&dollar, dal_decimal("-12.340"));
        good(&dollar, dal_text(""));
        good(&dollar, dal_text("h\xC3\xA9llo w\xC3\xB6rld, and more of it"));
        good(&dollar, dal_text_n(NULL, 0));
        good(&dollar, dal_bytes("\0\xFF", 2));
        good(&dollar, dal_uuid(uuid));
        good(&dollar, dal_timestamp(0));
        good(&dollar, dal_date(0));
}

static void test_params__text_must_be_utf8_without_nul(void **state)
{
        (void)state;
        bad(&dollar, dal_text("caf\xE9"), DAL_CLASS_DATA, "UTF-8");
        bad(&dollar, dal_text("12345678\xED\xA0\x80"), DAL_CLASS_DATA, "UTF-8");
        bad(&dollar, dal_text_n("a\0b", 3), DAL_CLASS_DATA, "NUL");
        bad(&dollar, dal_text_n(NULL, 3), DAL_CLASS_ARGUMENT, "NULL pointer");
        bad(&dollar, dal_bytes(NULL, 3), DAL_CLASS_ARGUMENT, "NULL pointer");
}

static void test_params__text_that_needs_no_look_is_short_ascii(void **state)
{
        static const unsigned char bytes[] = {0x00, 0x01, 0x7f, 0x80, 0x81, 0xc3, 0xff};
        char text[2048];

        (void)state;
        memset(text, 'a', sizeof text);
        for (size_t size = 0; size <= 40; size++) {
                dal_value value = dal_text_n(text, size);

                assert_true(dal__params_is_plain(&value));
                for (size_t i = 0; i < size; i++) {
                        for (size_t k = 0; k < sizeof bytes; k++) {
                                text[i] = (char)bytes[k];
                                assert_int_equal(dal__params_is_plain(&value), bytes[k] && bytes[k] < 0x80);
                        }
                        text[i] = 'a';
                }
        }
        assert_false(dal__params_is_plain(&(dal_value){.type = DAL_TYPE_TEXT}));
        assert_false(dal__params_is_plain(&(dal_value){.type = DAL_TYPE_BYTES}));
        assert_false(dal__params_is_plain(&(dal_value){.type = DAL_TYPE_DOUBLE, .as.float64 = (double)NAN}));
        assert_false(
                dal__params_is_plain(&(dal_value){.type = DAL_TYPE_DOUBLE, .as.float64 = -(double)INFINITY}));
        assert_true(dal__params_is_plain(&(dal_value){.type = DAL_TYPE_DOUBLE, .as.float64 = -0.5}));
        assert_false(dal__params_is_plain(&(dal_value){.type = DAL_TYPE_OTHER}));
}

static void test_params__decimals_must_be_well_formed(void **state)
{
        (void)state;
        bad(&dollar, dal_decimal("12,5"), DAL_CLASS_DATA, "not a decimal number");
        bad(&dollar, dal_decimal(""), DAL_CLASS_DATA, "not a decimal number");
        bad(&dollar, dal_decimal("NaN"), DAL_CLASS_DATA, "NaN and infinity are no decimals");
        bad(&dollar, dal_decimal("-Infinity"), DAL_CLASS_DATA, "NaN and infinity are no decimals");
        bad(&dollar, dal_decimal("1'; DROP TABLE t; --"), DAL_CLASS_DATA, "not a decimal number");
}

static void test_params__what_an_engine_cannot_store_is_refused(void **state)
{
        (void)state;
        good(&dollar, dal_double((double)NAN));
        good(&dollar, dal_double((double)INFINITY));
        bad(&question, dal_double((double)NAN), DAL_CLASS_DATA, "NaN");
        bad(&question, dal_double(-(double)INFINITY), DAL_CLASS_DATA, "NaN");
        good(&question, dal_uint64(UINT64_MAX));
        bad(&dollar, dal_uint64(INT64_MAX + UINT64_C(1)), DAL_CLASS_DATA, "9223372036854775807");
}

static void test_params__times_stay_within_four_digit_years(void **state)
{
        static const int64_t first = INT64_C(-62135596800000000), last = INT64_C(253402300799999999);

        (void)state;
        good(&dollar, dal_timestamp(first));
        good(&dollar, dal_timestamp(last));
        bad(&dollar, dal_timestamp(first - 1), DAL_CLASS_DATA, "years 0001 to 9999");
        bad(&dollar, dal_timestamp(last + 1), DAL_CLASS_DATA, "years 0001 to 9999");
        bad(&dollar, dal_timestamp(INT64_MIN), DAL_CLASS_DATA, "years 0001 to 9999");
        good(&dollar, dal_date(-719162));
        good(&dollar, dal_date(2932896));
        bad(&dollar, dal_date(-719163), DAL_CLASS_DATA, "years 0001 to 9999");
        bad(&dollar, dal_date(2932897), DAL_CLASS_DATA, "years 0001 to 9999");
}

static void test_params__too_large_and_unknown(void **state)
{
        (void)state;
        /* Refused by its size before a byte of it is looked at. */
        bad(&dollar, dal_text_n("x", (size_t)INT32_MAX + 1), DAL_CLASS_PACKET_TOO_LARGE, "2 GiB");
        bad(&dollar, dal_bytes("x", SIZE_MAX), DAL_CLASS_PACKET_TOO_LARGE, "2 GiB");
        bad(&dollar, dal_value_of_type(DAL_TYPE_OTHER), DAL_CLASS_ARGUMENT, "not a type");
        bad(&dollar, dal_value_of_type((dal_type)200), DAL_CLASS_ARGUMENT, "not a type");
}

static void test_params__errors_do_not_show_the_value(void **state)
{
        dal_error err;

        (void)state;
        assert_int_equal(check_one(&dollar, dal_decimal("hunter2"), &err), DAL_ERR_RANGE);
        assert_null(strstr(err.message, "hunter2"));
        assert_int_equal(check_one(&dollar, dal_text("hunter2\xFF"), &err), DAL_ERR_RANGE);
        assert_null(strstr(err.message, "hunter2"));
}

/* Any bytes at all: refused or rewritten, and what is rewritten has as many parameters as were counted. */
static void test_params__random_text_is_survived(void **state)
{
        static const char pieces[] = "??$'\"-/*;! a1E#`\n\\";
        uint64_t random = 7;
        size_t n_good = 0;

        (void)state;
        for (int round = 0; round < 40000; round++) {
                const dal_driver *driver = round % 2 ? &dollar : &question;
                dal__params_text out;
                dal_error err;
                char *sql;
                size_t size;

                random = random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
                size = (size_t)(random >> 40) % 16;
                sql = malloc(size ? size : 1);
                assert_non_null(sql);
                for (size_t i = 0; i < size; i++) {
                        random = random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
                        sql[i] = pieces[(random >> 33) % (sizeof pieces - 1)];
                }
                if (dal__params_rewrite(driver, "n", sql, size, &out, &err) == DAL_OK) {
                        n_good++;
                        assert_true(out.n_params <= size);
                        assert_int_equal(strlen(out.text), out.size);
                        dal_mem_free(out.text);
                } else {
                        assert_int_equal(err.status, DAL_ERR_ARG);
                        assert_null(out.text);
                }
                free(sql);
        }
        assert_true(n_good > 1000); /* or the loop would prove nothing */
}

int main(void)
{
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_params__question_marks_stay_or_are_numbered),
                cmocka_unit_test(test_params__numbers_keep_their_distance),
                cmocka_unit_test(test_params__name_leads_as_a_comment),
                cmocka_unit_test(test_params__bad_names_are_refused),
                cmocka_unit_test(test_params__one_trailing_semicolon_goes),
                cmocka_unit_test(test_params__errors_name_statement_and_position),
                cmocka_unit_test(test_params__a_hidden_second_statement_is_seen),
                cmocka_unit_test(test_params__no_text_is_refused),
                cmocka_unit_test(test_params__the_drivers_limit_holds),
                cmocka_unit_test(test_params__many_parameters_fit),
                cmocka_unit_test(test_params__reads_are_known),
                cmocka_unit_test(test_params__transaction_words_are_known),
                cmocka_unit_test(test_params__no_memory_is_reported),
                cmocka_unit_test(test_params__count_must_match),
                cmocka_unit_test(test_params__values_that_any_engine_takes),
                cmocka_unit_test(test_params__text_must_be_utf8_without_nul),
                cmocka_unit_test(test_params__text_that_needs_no_look_is_short_ascii),
                cmocka_unit_test(test_params__decimals_must_be_well_formed),
                cmocka_unit_test(test_params__what_an_engine_cannot_store_is_refused),
                cmocka_unit_test(test_params__times_stay_within_four_digit_years),
                cmocka_unit_test(test_params__too_large_and_unknown),
                cmocka_unit_test(test_params__errors_do_not_show_the_value),
                cmocka_unit_test(test_params__random_text_is_survived),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
