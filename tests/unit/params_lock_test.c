/* SPDX-License-Identifier: MIT */
/* Locking reads: where the lock clause is put, and behind what. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "mem_fault.h"
#include "sql/params.h"

static const dal_driver dollar = {.name = "dollar",
                                  .placeholder = DAL_PLACEHOLDER_DOLLAR,
                                  .sql_syntax = DAL_SQL_DOLLAR_QUOTES | DAL_SQL_NESTED_COMMENTS,
                                  .lock_update = " FOR UPDATE",
                                  .lock_share = " FOR SHARE"};
static const dal_driver question = {.name = "question",
                                    .placeholder = DAL_PLACEHOLDER_QUESTION,
                                    .sql_syntax = DAL_SQL_HASH_COMMENTS | DAL_SQL_DASH_NEEDS_SPACE,
                                    .lock_update = " FOR UPDATE",
                                    .lock_share = " LOCK IN SHARE MODE"};
/* Its writing transactions exclude each other. */
static const dal_driver bare = {.name = "bare"};

static dal__params_text rewrite(const dal_driver *driver, const char *name, const char *sql)
{
        dal_error err = DAL_ERROR_INIT;
        dal__params_text out;

        if (dal__params_rewrite(driver, name, sql, strlen(sql), &out, &err))
                fail_msg("%s: %s", sql, err.message);
        return out;
}

static void locks(const dal_driver *driver, uint32_t flags, const char *sql, const char *expected)
{
        dal__params_text out = rewrite(driver, NULL, sql);
        dal_error err = DAL_ERROR_INIT;

        if (dal__params_lock(driver, NULL, flags, &out, &err))
                fail_msg("%s: %s", sql, err.message);
        assert_string_equal(out.text, expected);
        assert_int_equal(out.size, strlen(expected));
        dal_mem_free(out.text);
}

static void test_params__a_lock_clause_stands_behind_the_code(void **state)
{
        const uint32_t update = DAL_STMT_LOCK_UPDATE, share = DAL_STMT_LOCK_SHARE;

        (void)state;
        locks(&dollar, update, "SELECT a FROM t WHERE b = ?", "SELECT a FROM t WHERE b = $1 FOR UPDATE");
        locks(&dollar, share | DAL_STMT_STREAM, "SELECT a FROM t", "SELECT a FROM t FOR SHARE");
        locks(&question, share, "SELECT a FROM t", "SELECT a FROM t LOCK IN SHARE MODE");
        locks(&dollar, update, " select 1 ; -- done", " select 1 FOR UPDATE ");
        locks(&dollar, update, "SELECT 1 -- one;\n", "SELECT 1 FOR UPDATE -- one;\n");
        locks(&dollar, update, "SELECT 1/* one */;/* two */", "SELECT 1 FOR UPDATE/* one */");
        locks(&question, update, "SELECT 1 # one", "SELECT 1 FOR UPDATE # one");
        locks(&question, update, "SELECT 1 /*!40101 + 1 */ -- x", "SELECT 1 /*!40101 + 1 */ FOR UPDATE -- x");
        locks(&dollar, update, "SELECT ';' || $$ -- $$ ", "SELECT ';' || $$ -- $$ FOR UPDATE ");
        locks(&dollar, 0, "SELECT 1 -- one", "SELECT 1 -- one");
        locks(&dollar, DAL_STMT_STREAM, "UPDATE t SET a = 1", "UPDATE t SET a = 1");
}

/* What a part in parentheses does, or a name in quotes says, is no clause of the statement. */
static void test_params__a_lock_clause_does_not_mind_the_inside(void **state)
{
        (void)state;
        locks(&dollar, DAL_STMT_LOCK_UPDATE, "SELECT substring(a FROM 1 FOR 2) FROM t",
              "SELECT substring(a FROM 1 FOR 2) FROM t FOR UPDATE");
        locks(&dollar, DAL_STMT_LOCK_UPDATE, "SELECT a FROM t WHERE b IN (SELECT 1 UNION SELECT 2)",
              "SELECT a FROM t WHERE b IN (SELECT 1 UNION SELECT 2) FOR UPDATE");
        locks(&dollar, DAL_STMT_LOCK_UPDATE, "SELECT \"union\", 'FOR UPDATE', a.lock FROM a",
              "SELECT \"union\", 'FOR UPDATE', a.lock FROM a FOR UPDATE");
        locks(&question, DAL_STMT_LOCK_UPDATE, "SELECT a FROM t USE INDEX FOR ORDER BY (i)",
              "SELECT a FROM t USE INDEX FOR ORDER BY (i) FOR UPDATE");
}

static void test_params__a_driver_without_a_lock_clause_gets_none(void **state)
{
        (void)state;
        locks(&bare, DAL_STMT_LOCK_UPDATE, "SELECT 1 -- one", "SELECT 1 -- one");
        locks(&bare, DAL_STMT_LOCK_SHARE, "SELECT 1;", "SELECT 1");
}

static void test_params__a_locking_read_is_no_plain_read(void **state)
{
        const dal_driver *const drivers[] = {&dollar, &bare};
        dal_error err = DAL_ERROR_INIT;

        (void)state;
        for (size_t i = 0; i < 2; i++) {
                dal__params_text out = rewrite(drivers[i], NULL, "SELECT 1");

                assert_true(out.is_read);
                assert_int_equal(dal__params_lock(drivers[i], "s", DAL_STMT_STREAM, &out, &err), DAL_OK);
                assert_true(out.is_read);
                assert_int_equal(dal__params_lock(drivers[i], "s", DAL_STMT_LOCK_SHARE, &out, &err), DAL_OK);
                assert_false(out.is_read);
                dal_mem_free(out.text);
        }
}

static void does_not_lock(uint32_t flags, const char *sql, const char *why)
{
        static const char begin[] = "statement \"s\" can't be a locking read: ";
        dal__params_text out = rewrite(&question, "s", sql);
        dal_error err = DAL_ERROR_INIT;

        assert_int_equal(dal__params_lock(&question, "s", flags, &out, &err), DAL_ERR_ARG);
        if (strncmp(err.message, begin, sizeof begin - 1) != 0 || !strstr(err.message, why))
                fail_msg("no \"%s\" in: %s", why, err.message);
        assert_null(out.text);
}

static void test_params__only_one_select_takes_a_lock_clause(void **state)
{
        static const char *const other[] = {
                "UPDATE t SET a = 1",
                "INSERT INTO t SELECT 1",
                "VALUES (1)",
                "TABLE t",
                "WITH a AS (SELECT 1) SELECT",
                "(SELECT 1)",
                "DELETE FROM t",
                "CALL p()",
                "/*!40101 UPDATE */ t",
                "EXPLAIN SELECT 1",
                "SHOW TABLES",
                "- SELECT 1",
        };
        static const char *const sets[] = {
                "SELECT 1 UNION SELECT 2",
                "SELECT 1 union all (SELECT 2)",
                "SELECT 1 FROM (SELECT 1) a INTERSECT SELECT 2",
                "SELECT 1 /*c*/EXCEPT/*c*/ SELECT 2",
                "SELECT a INTO b FROM t",
                "SELECT 1 /*!80000 UNION SELECT 2 */",
        };
        static const char *const own[] = {
                "SELECT 1 FOR UPDATE",        "SELECT 1 for -- x\n update",
                "SELECT 1 FOR NO KEY UPDATE", "SELECT 1 FOR SHARE OF t NOWAIT",
                "SELECT 1 FOR KEY SHARE",     "SELECT 1 LOCK IN SHARE MODE",
        };

        (void)state;
        for (size_t i = 0; i < sizeof other / sizeof other[0]; i++)
                does_not_lock(DAL_STMT_LOCK_UPDATE, other[i], "begins with SELECT");
        for (size_t i = 0; i < sizeof sets / sizeof sets[0]; i++)
                does_not_lock(DAL_STMT_LOCK_SHARE, sets[i], "UNION");
        for (size_t i = 0; i < sizeof own / sizeof own[0]; i++)
                does_not_lock(DAL_STMT_LOCK_UPDATE, own[i], "a lock clause of its own");
        does_not_lock(DAL_STMT_LOCK_UPDATE | DAL_STMT_LOCK_SHARE, "SELECT 1", "not both");
}

static void test_params__no_memory_for_a_lock_clause_is_reported(void **state)
{
        dal__params_text out = rewrite(&dollar, "s", "SELECT 1");
        dal_error err = DAL_ERROR_INIT;

        (void)state;
        mem_fault_at = 1;
        assert_int_equal(dal__params_lock(&dollar, "s", DAL_STMT_LOCK_UPDATE, &out, &err), DAL_ERR_NOMEM);
        assert_null(out.text);
        mem_fault_at = 0;
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_params__a_lock_clause_stands_behind_the_code),
                cmocka_unit_test(test_params__a_lock_clause_does_not_mind_the_inside),
                cmocka_unit_test(test_params__a_driver_without_a_lock_clause_gets_none),
                cmocka_unit_test(test_params__a_locking_read_is_no_plain_read),
                cmocka_unit_test(test_params__only_one_select_takes_a_lock_clause),
                cmocka_unit_test(test_params__no_memory_for_a_lock_clause_is_reported),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
