/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
/* cmocka needs the four above first. Source: cmocka.h */
#include <cmocka.h>

#include <dal/driver.h>
#include <dal/drivers/fake.h>

static void assert_refused(const dal_driver *driver, const char *part)
{
        dal_error err = DAL_ERROR_INIT;

        assert_int_equal(dal_driver_check(driver, &err), DAL_ERR_ARG);
        assert_int_equal(err.error_class, DAL_CLASS_ARGUMENT);
        if (!strstr(err.message, part))
                fail_msg("\"%s\" does not say \"%s\"", err.message, part);
        assert_int_equal(dal_driver_check(driver, NULL), DAL_ERR_ARG);
}

/* The fake driver's table without one thing. */
#define assert_needed(field, value, part)                                                                    \
        do {                                                                                                 \
                dal_driver copy_ = *dal_driver_fake();                                                       \
                copy_.field = value;                                                                         \
                assert_refused(&copy_, part);                                                                \
        } while (0)

static void test_driver__a_table_must_be_complete(void **state)
{
        (void)state;
        assert_int_equal(dal_driver_check(dal_driver_fake(), NULL), DAL_OK);
        assert_int_equal(dal_driver_check(dal_driver_fake_modal(), NULL), DAL_OK);
        assert_refused(NULL, "no driver given");
        assert_needed(struct_size, sizeof(dal_driver) - 1, "compile it again");
        assert_needed(name, NULL, "no name");
        assert_needed(name, "", "no name");
        assert_needed(schemes, NULL, "\"schemes\"");
        assert_needed(keys, NULL, "\"keys\"");
        assert_needed(conn_size, 0, "\"conn_size\"");
        assert_needed(max_params, 0, "\"max_params\"");
        assert_needed(open, NULL, "\"open\"");
        assert_needed(close, NULL, "\"close\"");
        assert_needed(ping, NULL, "\"ping\"");
        assert_needed(queue, NULL, "\"queue\"");
        assert_needed(flush, NULL, "\"flush\"");
        assert_needed(result, NULL, "\"result\"");
        assert_needed(fetch, NULL, "\"fetch\"");
        assert_needed(discard, NULL, "\"discard\"");
        assert_needed(column, NULL, "\"column\"");
        assert_needed(tx_state, NULL, "\"tx_state\"");
        assert_needed(info, NULL, "\"info\"");
        assert_needed(info, NULL, "driver fake:");
}

static void test_driver__some_slots_are_optional(void **state)
{
        dal_driver driver = *dal_driver_fake();

        (void)state;
        driver.reset = NULL;
        driver.cancel = NULL;
        driver.readiness = NULL;
        driver.stmt_close = NULL;
        assert_int_equal(dal_driver_check(&driver, NULL), DAL_OK);
        driver.caps |= DAL_CAP_EMBEDDED;
        driver.ping = NULL;
        assert_int_equal(dal_driver_check(&driver, NULL), DAL_OK);
}

static void test_driver__schemes_are_compared_whole(void **state)
{
        dal_driver one = *dal_driver_fake(), two = *dal_driver_fake();
        const dal_driver *const drivers[] = {&one, NULL, &two};
        dal_error err = DAL_ERROR_INIT;

        (void)state;
        one.schemes = "mysql mariadb";
        two.schemes = "postgres";
        assert_ptr_equal(dal_driver_find(drivers, 3, "mysql", &err), &one);
        assert_ptr_equal(dal_driver_find(drivers, 3, "mariadb", &err), &one);
        assert_ptr_equal(dal_driver_find(drivers, 3, "postgres", &err), &two);
        assert_int_equal(err.status, DAL_OK);
        assert_null(dal_driver_find(drivers, 3, "mysqlx", &err));
        assert_int_equal(err.error_class, DAL_CLASS_ARGUMENT);
        assert_non_null(strstr(err.message, "\"mysqlx:\""));
        assert_non_null(strstr(err.message, "mysql mariadb postgres"));
        assert_null(dal_driver_find(drivers, 3, "my", &err));
        assert_null(dal_driver_find(drivers, 3, "mysql mariadb", &err));
        assert_null(dal_driver_find(drivers, 3, "", &err));
        assert_null(dal_driver_find(drivers, 3, NULL, NULL));
        assert_null(dal_driver_find(NULL, 0, "postgres", &err));
        assert_non_null(strstr(err.message, "no driver was given"));
}

#define MYSQL_SYNTAX                                                                                         \
        (DAL_SQL_BACKSLASH_ESCAPES | DAL_SQL_HASH_COMMENTS | DAL_SQL_BACKTICKS | DAL_SQL_DASH_NEEDS_SPACE)
#define POSTGRES_SYNTAX (DAL_SQL_DOLLAR_QUOTES | DAL_SQL_NESTED_COMMENTS | DAL_SQL_E_STRINGS)

static bool find(const char *text, dal_driver_values *out)
{
        return dal_driver_find_values(DAL_PLACEHOLDER_QUESTION, MYSQL_SYNTAX, text, strlen(text), out);
}

static void assert_row(const char *text, const char *row, uint32_t n_params, uint32_t n_behind)
{
        dal_driver_values v;

        if (!find(text, &v))
                fail_msg("no row found in: %s", text);
        assert_int_equal(v.end - v.begin, strlen(row));
        assert_memory_equal(text + v.begin, row, strlen(row));
        assert_int_equal(v.n_params, n_params);
        assert_int_equal(v.n_behind, n_behind);
}

static void test_driver__the_row_of_an_insert_is_found(void **state)
{
        dal_driver_values v;

        (void)state;
        assert_row("/* add */ INSERT INTO t (a, b) VALUES (?, ?)", "(?, ?)", 2, 0);
        assert_false((find("INSERT INTO t VALUES (?)", &v), v.has_tail));
        assert_row("insert into `values` (a) values(?) -- (?)", "(?)", 1, 0);
        assert_row("REPLACE INTO t VALUES (?, 'a),(b', /* ) */ -1.5, NULL);",
                   "(?, 'a),(b', /* ) */ -1.5, NULL)", 1, 0);
        assert_row("INSERT INTO t VALUES (?) ON DUPLICATE KEY UPDATE a = VALUES(a), b = b + ?", "(?)", 1, 1);
        assert_row("INSERT INTO t VALUES (f(?, (?)), ?) RETURNING id", "(f(?, (?)), ?)", 3, 0);
        assert_true((find("INSERT INTO t VALUES (?) RETURNING id", &v), v.returns_rows && v.has_tail));
        assert_true(dal_driver_find_values(DAL_PLACEHOLDER_DOLLAR, POSTGRES_SYNTAX,
                                           "INSERT INTO t VALUES ($1, '{}' ? 'a', $2) ON CONFLICT DO NOTHING",
                                           63, &v));
        assert_int_equal(v.n_params, 2);
        assert_int_equal(v.begin, 21);
}

static void test_driver__a_row_is_plain_when_it_does_not_look_at_the_one_before(void **state)
{
        static const char *const plain[] = {
                "INSERT INTO t VALUES (?, 1, 'x', -2, DEFAULT, NULL)", "REPLACE INTO t VALUES (?)",
                "INSERT INTO t (a) VALUES (?) ON DUPLICATE KEY UPDATE a = VALUES(a)"};
        static const char *const other[] = {"INSERT INTO t VALUES (?, LAST_INSERT_ID())",
                                            "INSERT INTO t VALUES ((SELECT MAX(a) FROM t), ?)",
                                            "INSERT INTO t VALUES (?, @n)",
                                            "INSERT INTO t VALUES ((?))",
                                            "INSERT IGNORE INTO t VALUES (?)",
                                            "INSERT t VALUES (?)"};
        dal_driver_values v;

        (void)state;
        for (size_t i = 0; i < sizeof plain / sizeof plain[0]; i++) {
                if (!find(plain[i], &v) || !v.is_plain)
                        fail_msg("not plain: %s", plain[i]);
        }
        for (size_t i = 0; i < sizeof other / sizeof other[0]; i++) {
                if (!find(other[i], &v) || v.is_plain)
                        fail_msg("plain: %s", other[i]);
        }
}

static void test_driver__what_is_not_one_row_is_left_alone(void **state)
{
        static const char *const others[] = {
                "",
                "SELECT ?",
                "UPDATE t SET a = ?",
                "INSERT INTO t SELECT ?",
                "INSERT INTO t (a) SELECT a FROM u WHERE b IN (VALUES (?))",
                "INSERT INTO t VALUES (?), (?)",
                "INSERT INTO t VALUES (?",
                "INSERT INTO t VALUES",
                "INSERT INTO t VALUES ROW(?)",
                "INSERT INTO t VALUES (?) UNION SELECT 1",
                "INSERT INTO t VALUES (?) /*!50000 ON DUPLICATE KEY UPDATE a = 1 */",
                "INSERT /*!50000 IGNORE */ INTO t VALUES (?)",
                "INSERT INTO t VALUES (? /*!50000 + 1 */)",
                "INSERT INTO t) VALUES (?)",
                "INSERT INTO values (a) VALUES (?)",
                "WITH x AS (SELECT 1) INSERT INTO t VALUES (?)",
                "INSERT INTO t VALUES ('?)",
        };
        dal_driver_values v;

        (void)state;
        for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
                if (find(others[i], &v))
                        fail_msg("a row was found in: %s", others[i]);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_driver__a_table_must_be_complete),
                cmocka_unit_test(test_driver__some_slots_are_optional),
                cmocka_unit_test(test_driver__schemes_are_compared_whole),
                cmocka_unit_test(test_driver__the_row_of_an_insert_is_found),
                cmocka_unit_test(test_driver__a_row_is_plain_when_it_does_not_look_at_the_one_before),
                cmocka_unit_test(test_driver__what_is_not_one_row_is_left_alone),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
