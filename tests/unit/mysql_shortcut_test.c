/* SPDX-License-Identifier: MIT */
/*
 * What the driver spares MariaDB Connector/C, and when it leaves all to it: here this file plays the library's table and
 * says which version it is.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <dal/drivers/mysql.h>

#include "mysql_impl.h"

/* ---- the client library ---- */

static unsigned long version;
static MYSQL session;
static MYSQL_STMT handle;
static MYSQL_FIELD known[2], sent[2]; /* by the statement, and by the server with this answer */
static unsigned n_sent;               /* columns of the answer */
static bool describes;                /* the server does so */
static MYSQL_FIELD *seen;             /* what the library then has */

unsigned long STDCALL mysql_get_client_version(void)
{
        return version;
}

static int read_result(MYSQL *mysql)
{
        mysql->field_count = n_sent;
        mysql->fields = describes ? sent : NULL;
        return n_sent == 0;
}

static const struct st_mariadb_methods table = {.db_read_stmt_result = read_result};

static int execute(MYSQL_STMT *stmt)
{
        int rc = session.methods->db_read_stmt_result(stmt->mysql);

        seen = session.fields;
        return rc;
}

/* ---- the driver on it ---- */

static dal__mysql_conn conn;

static int begin(void **state)
{
        (void)state;
        memset(&session, 0, sizeof session);
        memset(&conn, 0, sizeof conn);
        version = MARIADB_PACKAGE_VERSION_ID;
        session.methods = &table;
        conn.mysql = &session;
        handle.mysql = &session;
        handle.fields = known;
        handle.field_count = n_sent = 2;
        describes = false;
        seen = NULL;
        return 0;
}

static int end(void **state)
{
        (void)state;
        dal__mysql_shortcut_free(&conn);
        assert_null(conn.shortcut);
        return 0;
}

static void test_mysql_shortcut__a_known_description_is_lent_while_the_answer_is_read(void **state)
{
        (void)state;
        dal__mysql_shortcut_take(&conn);
        assert_int_equal(dal__mysql_shortcut_run(&conn, &handle, execute), 0);
        assert_ptr_equal(seen, known);
        assert_null(session.fields); /* the statement may be closed by the next command */
}

static void test_mysql_shortcut__a_description_that_was_sent_stays(void **state)
{
        (void)state;
        describes = true;
        dal__mysql_shortcut_take(&conn);
        assert_int_equal(dal__mysql_shortcut_run(&conn, &handle, execute), 0);
        assert_ptr_equal(seen, sent);
        assert_ptr_equal(session.fields, sent); /* the library's memory, which it has to free */
}

static void test_mysql_shortcut__another_number_of_columns_is_left_to_the_library(void **state)
{
        (void)state;
        n_sent = 1;
        dal__mysql_shortcut_take(&conn);
        assert_int_equal(dal__mysql_shortcut_run(&conn, &handle, execute), 0);
        assert_null(seen);
}

static void test_mysql_shortcut__a_failure_is_passed_on(void **state)
{
        (void)state;
        n_sent = 0;
        dal__mysql_shortcut_take(&conn);
        assert_int_equal(dal__mysql_shortcut_run(&conn, &handle, execute), 1);
        assert_null(seen);
}

static void test_mysql_shortcut__lends_nothing_to_what_is_run_without_it(void **state)
{
        (void)state;
        dal__mysql_shortcut_take(&conn);
        assert_int_equal(dal__mysql_shortcut_run(&conn, &handle, execute), 0);
        assert_int_equal(execute(&handle), 0);
        assert_null(seen);
}

static void test_mysql_shortcut__a_library_of_another_version_keeps_its_table(void **state)
{
        (void)state;
        version++;
        dal__mysql_shortcut_take(&conn);
        assert_ptr_equal(session.methods, &table);
        assert_int_equal(dal__mysql_shortcut_run(&conn, &handle, execute), 0);
        assert_null(seen);
}

#define CASE(function) cmocka_unit_test_setup_teardown(function, begin, end)

int main(void)
{
        const struct CMUnitTest tests[] = {
                CASE(test_mysql_shortcut__a_known_description_is_lent_while_the_answer_is_read),
                CASE(test_mysql_shortcut__a_description_that_was_sent_stays),
                CASE(test_mysql_shortcut__another_number_of_columns_is_left_to_the_library),
                CASE(test_mysql_shortcut__a_failure_is_passed_on),
                CASE(test_mysql_shortcut__lends_nothing_to_what_is_run_without_it),
                CASE(test_mysql_shortcut__a_library_of_another_version_keeps_its_table),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
