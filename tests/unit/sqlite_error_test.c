/* SPDX-License-Identifier: MIT */
/* What the SQLite driver makes of codes and texts; sqlite_test.c has the errors of a real database. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "sqlite_impl.h"

static dal_error say(int rc, const char *text)
{
        dal_error err = DAL_ERROR_INIT;
        dal_status s = dal__sqlite_classify(rc, text, "file.db", &err);

        assert_int_equal(s, err.status);
        assert_int_equal(s, dal_error_class_status(err.error_class));
        return err;
}

static void check(int rc, const char *text, dal_error_class error_class, const char *sqlstate)
{
        dal_error err = say(rc, text), plain;

        dal_error_set(&plain, error_class, "x");
        if (err.error_class != error_class)
                fail_msg("%d '%s' is %s", rc, text, dal_error_class_name(err.error_class));
        assert_string_equal(err.sqlstate, sqlstate);
        assert_int_equal(err.retry_tx, plain.retry_tx);
}

/* Well-known codes, written down once more: a list that is wrong is noticed. */
static void test_sqlite_error__well_known_codes_have_their_class(void **state)
{
        (void)state;
        check(2067, "x", DAL_CLASS_UNIQUE, "23505");
        check(787, "x", DAL_CLASS_FOREIGN_KEY, "23503");
        check(1299, "x", DAL_CLASS_NOT_NULL, "23502");
        check(275, "x", DAL_CLASS_CHECK, "23514");
        check(20, "x", DAL_CLASS_DATA, "22000");
        check(517, "x", DAL_CLASS_SERIALIZATION, "40001");
        check(9, "x", DAL_CLASS_CANCELED, "57014");
        check(13, "x", DAL_CLASS_OUT_OF_RESOURCES, "53100");
        check(18, "x", DAL_CLASS_PACKET_TOO_LARGE, "54000");
        check(1, "near \"SELEC\": syntax error", DAL_CLASS_SYNTAX, "42601");
        check(1, "something else", DAL_CLASS_SERVER_OTHER, "");
        check(99, "something else", DAL_CLASS_SERVER_OTHER, "");
}

/* BUSY, with all that can stand behind it, is waited out; READONLY is not. LOCKED is by whom the low byte hides. */
static void test_sqlite_error__an_extended_code_counts_as_its_low_byte(void **state)
{
        static const int busy[] = {5, 15, 261, 262, 518, 773};
        static const int read_only[] = {8, 264, 520, 776, 1288, 1544};
        static const int io[] = {10, 266, 522, 778, 1034, 3338, 3594, 3850};

        (void)state;
        for (size_t i = 0; i < sizeof busy / sizeof busy[0]; i++)
                check(busy[i], "x", DAL_CLASS_LOCK_TIMEOUT, "55P03");
        for (size_t i = 0; i < sizeof read_only / sizeof read_only[0]; i++)
                check(read_only[i], "x", DAL_CLASS_READ_ONLY_TX, "25006");
        for (size_t i = 0; i < sizeof io / sizeof io[0]; i++)
                check(io[i], "x", DAL_CLASS_OUT_OF_RESOURCES, "58030");
        check(6, "x", DAL_CLASS_BUSY, "55006");
        check(1032, "x", DAL_CLASS_CONNECTION_LOST, "08006");
        check(3082, "x", DAL_CLASS_NO_MEMORY, "53200");
}

/* The list itself: no line stands in the shadow of another. */
static void test_sqlite_error__every_line_of_the_list_decides(void **state)
{
        (void)state;
#define DAL_SQLITE_CODE(number, name, class, sqlstate) check(SQLITE_##name, "x", DAL_CLASS_##class, sqlstate);
#define DAL_SQLITE_TEXT(place, text, class, sqlstate, names)                                                 \
        check(SQLITE_ERROR, text, DAL_CLASS_##class, sqlstate);                                              \
        check(SQLITE_BUSY, text, DAL_CLASS_LOCK_TIMEOUT, "55P03");
#include "errors.def"
}

static void check_names(int rc, const char *text, const char *table, const char *column,
                        const char *constraint)
{
        dal_error err = say(rc, text);

        assert_string_equal(err.table, table);
        assert_string_equal(err.column, column);
        assert_string_equal(err.constraint, constraint);
}

static void test_sqlite_error__names_are_taken_from_the_text(void **state)
{
        (void)state;
        check_names(2067, "UNIQUE constraint failed: t.a", "t", "a", "");
        check_names(2067, "UNIQUE constraint failed: t.a, t.b", "t", "a, b", "");
        check_names(2067, "UNIQUE constraint failed: index 'it's'", "", "", "it's");
        check_names(1555, "UNIQUE constraint failed: \xC3\xA9.\xE2\x82\xAC", "\xC3\xA9", "\xE2\x82\xAC", "");
        check_names(1299, "NOT NULL constraint failed: t.a", "t", "a", "");
        check_names(275, "CHECK constraint failed: positive", "", "", "positive");
        check_names(787, "FOREIGN KEY constraint failed", "", "", "");
        check_names(1, "no such table: t", "t", "", "");
        check_names(1, "no such table: main.t", "t", "", "");
        check_names(1, "no such column: c", "", "c", "");
        check_names(1, "no such column: t.c", "t", "c", "");
        check_names(1, "table t has no column named c", "", "c", "");
}

static void test_sqlite_error__unsure_names_are_left_empty(void **state)
{
        (void)state;
        check_names(2067, "UNIQUE constraint failed: a.b.c", "", "", "");
        check_names(2067, "UNIQUE constraint failed: t.a, b", "", "", "");
        check_names(2067, "UNIQUE constraint failed: t.a, u.b", "", "", "");
        check_names(2067, "UNIQUE constraint failed: t.a, tu.b", "", "", "");
        check_names(2067, "UNIQUE constraint failed: ", "", "", "");
        check_names(2067, "UNIQUE constraint failed: index '", "", "", "");
        check_names(2067,
                    "UNIQUE constraint failed: t.a23456789012345678901234567890, "
                    "t.b23456789012345678901234567890, "
                    "t.c",
                    "", "", "");
        check_names(1299, "NOT NULL constraint failed: t.a.b", "", "", "");
        check_names(275, "CHECK constraint failed: a\nb", "", "", "");
        check_names(275,
                    "CHECK constraint failed: "
                    "length(code) > 3 AND length(code) < 20 AND code = upper(code)  ",
                    "", "", "length(code) > 3 AND length(code) < 20 AND code = upper(code)  ");
        check_names(275,
                    "CHECK constraint failed: "
                    "length(code) > 3 AND length(code) < 20 AND code = upper(code)   ",
                    "", "", "");
        check_names(1, "no such table: a.b.c", "", "", "");
}

static void test_sqlite_error__random_texts_do_no_harm(void **state)
{
        static const char *const pieces[] = {
                "UNIQUE constraint failed: ",
                "NOT NULL constraint failed: ",
                "CHECK constraint failed: ",
                "index '",
                "'",
                ".",
                ", ",
                ",",
                "t.",
                "a",
                "\n",
                "\xC3\xA9",
                "no such table: ",
                "no such column: ",
                " has no column named ",
                "main.",
                "a_name_that_is_very_much_longer_than_any_name_that_the_error_has_a_place_for"};
        static const int codes[] = {1, 2067, 1555, 1299, 275, 787, 8, 1032};
        uint32_t random = 20240229;

        (void)state;
        for (int round = 0; round < 20000; round++) {
                char text[2048] = "";
                size_t n = 0;
                char *exact;
                dal_error err;

                for (uint32_t left = random >> 28; left > 0; left--) {
                        const char *piece;

                        random = random * 1664525u + 1013904223u;
                        piece = pieces[(random >> 8) % (sizeof pieces / sizeof pieces[0])];
                        memcpy(text + n, piece, strlen(piece) + 1);
                        n += strlen(piece);
                }
                random = random * 1664525u + 1013904223u;
                exact = malloc(n + 1); /* so that a byte too many is noticed */
                assert_non_null(exact);
                memcpy(exact, text, n + 1);
                err = say(codes[(random >> 8) % (sizeof codes / sizeof codes[0])], exact);
                free(exact);
                assert_true(dal_value_is_utf8(err.table, strlen(err.table)));
                assert_true(dal_value_is_utf8(err.column, strlen(err.column)));
                assert_true(dal_value_is_utf8(err.constraint, strlen(err.constraint)));
                assert_null(strchr(err.constraint, '\n'));
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_sqlite_error__well_known_codes_have_their_class),
                cmocka_unit_test(test_sqlite_error__an_extended_code_counts_as_its_low_byte),
                cmocka_unit_test(test_sqlite_error__every_line_of_the_list_decides),
                cmocka_unit_test(test_sqlite_error__names_are_taken_from_the_text),
                cmocka_unit_test(test_sqlite_error__unsure_names_are_left_empty),
                cmocka_unit_test(test_sqlite_error__random_texts_do_no_harm),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
