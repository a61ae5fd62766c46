/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dal/stmt.h>

static const dal_stmt plain = DAL_STMT("plain", "SELECT 1");
static const dal_stmt with_mysql = DAL_STMT("with_mysql", "common", .mysql = "mysql");
static const dal_stmt with_mariadb =
        DAL_STMT("with_mariadb", "common", .mariadb = "mariadb", .postgres = "pg");
static const dal_stmt streaming = DAL_STMT("streaming",
                                           "SELECT "
                                           "2",
                                           .flags = DAL_STMT_STREAM);
static const dal_dialect unknown = (dal_dialect)(DAL_DIALECT_mariadb + 1);
static const dal_stmt only_sqlite = {.name = "only_sqlite", .sqlite = "sqlite"};

static void test_stmt__macro_fills_name_text_and_flags(void **state)
{
        (void)state;
        assert_string_equal(plain.name, "plain");
        assert_string_equal(plain.common, "SELECT 1");
        assert_int_equal(plain.flags, 0);
        assert_string_equal(streaming.common, "SELECT 2");
        assert_int_equal(streaming.flags, DAL_STMT_STREAM);
}

static void test_stmt__own_text_wins(void **state)
{
        (void)state;
        assert_string_equal(dal_stmt_text(&with_mysql, DAL_DIALECT_mysql), "mysql");
        assert_string_equal(dal_stmt_text(&with_mariadb, DAL_DIALECT_mariadb), "mariadb");
        assert_string_equal(dal_stmt_text(&with_mariadb, DAL_DIALECT_postgres), "pg");
        assert_string_equal(dal_stmt_text(&only_sqlite, DAL_DIALECT_sqlite), "sqlite");
}

static void test_stmt__text_falls_back_to_the_parent(void **state)
{
        (void)state;
        assert_string_equal(dal_stmt_text(&with_mysql, DAL_DIALECT_mariadb), "mysql");
        assert_string_equal(dal_stmt_text(&with_mysql, DAL_DIALECT_postgres), "common");
        assert_string_equal(dal_stmt_text(&with_mariadb, DAL_DIALECT_mysql), "common"); /* never downwards */
        assert_string_equal(dal_stmt_text(&plain, DAL_DIALECT_mariadb), "SELECT 1");
        assert_string_equal(dal_stmt_text(&plain, DAL_DIALECT_common), "SELECT 1");
}

static void test_stmt__no_text_is_null(void **state)
{
        (void)state;
        assert_null(dal_stmt_text(&only_sqlite, DAL_DIALECT_mariadb));
        assert_null(dal_stmt_text(&only_sqlite, DAL_DIALECT_common));
        assert_null(dal_stmt_text(NULL, DAL_DIALECT_common));
        assert_null(dal_stmt_text(&only_sqlite, unknown));
}

static void test_stmt__dialects_have_names_and_parents(void **state)
{
        (void)state;
        assert_string_equal(dal_stmt_dialect_name(DAL_DIALECT_common), "common");
        assert_string_equal(dal_stmt_dialect_name(DAL_DIALECT_mariadb), "mariadb");
        assert_string_equal(dal_stmt_dialect_name(unknown), "?");
        assert_int_equal(dal_stmt_dialect_parent(DAL_DIALECT_mariadb), DAL_DIALECT_mysql);
        assert_int_equal(dal_stmt_dialect_parent(DAL_DIALECT_mysql), DAL_DIALECT_common);
        assert_int_equal(dal_stmt_dialect_parent(DAL_DIALECT_common), DAL_DIALECT_common);
        assert_int_equal(dal_stmt_dialect_parent(unknown), DAL_DIALECT_common);
}

int main(void)
{
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_stmt__macro_fills_name_text_and_flags),
                cmocka_unit_test(test_stmt__own_text_wins),
                cmocka_unit_test(test_stmt__text_falls_back_to_the_parent),
                cmocka_unit_test(test_stmt__no_text_is_null),
                cmocka_unit_test(test_stmt__dialects_have_names_and_parents),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
