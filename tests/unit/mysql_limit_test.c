/* SPDX-License-Identifier: MIT */
/*
 * How many statements the server holds prepared for us, and what happens when it holds all it may. That limit is one for the whole server, so a
 * real one would have to be filled for everybody: here the client library is played by this file, whose functions the
 * linker takes before the library's.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <dal/drivers/mysql.h>

#include "mysql_impl.h"

/* ---- the server and its client library ---- */

static unsigned n_room;                         /* statements the server would still prepare */
static unsigned n_open;                         /* handles, also those of failed statements */
static unsigned n_asked, n_executed, n_queries; /* by prepare, by execute, as text */
static unsigned n_open_at_query;
static char last_query[256];
static MYSQL session;
static unsigned n_columns; /* of a statement's result */
static MYSQL_FIELD field;

static unsigned code_of(const MYSQL_STMT *stmt)
{
        return stmt->last_errno;
}

MYSQL_STMT *STDCALL mysql_stmt_init(MYSQL *mysql)
{
        MYSQL_STMT *stmt = calloc(1, sizeof *stmt);

        (void)mysql;
        n_open++;
#if !MYSQL_IS_CONNECTOR_C
        if (stmt)
                stmt->fields = &field;
#endif
        return stmt;
}

int STDCALL mysql_stmt_prepare(MYSQL_STMT *stmt, const char *query, unsigned long length)
{
        (void)query;
        (void)length;
        n_asked++;
        stmt->last_errno = n_room ? 0 : 1461;
        n_room -= n_room != 0;
        return code_of(stmt) != 0;
}

unsigned STDCALL mysql_stmt_errno(MYSQL_STMT *stmt)
{
        return code_of(stmt);
}

const char *STDCALL mysql_stmt_error(MYSQL_STMT *stmt)
{
        return code_of(stmt) ? "Can't create more than max_prepared_stmt_count statements" : "";
}

const char *STDCALL mysql_stmt_sqlstate(MYSQL_STMT *stmt)
{
        return code_of(stmt) ? "42000" : "00000";
}

unsigned long STDCALL mysql_stmt_param_count(MYSQL_STMT *stmt)
{
        (void)stmt;
        return 1;
}

dal__mysql_flag STDCALL mysql_stmt_bind_param(MYSQL_STMT *stmt, MYSQL_BIND *bind)
{
        (void)stmt;
        (void)bind;
        return 0;
}

int STDCALL mysql_stmt_execute(MYSQL_STMT *stmt)
{
        (void)stmt;
        n_executed++;
        return 0;
}

unsigned STDCALL mysql_stmt_field_count(MYSQL_STMT *stmt)
{
        (void)stmt;
        return n_columns;
}

#if MYSQL_IS_CONNECTOR_C
MYSQL_FIELD *STDCALL mariadb_stmt_fetch_fields(MYSQL_STMT *stmt)
{
        (void)stmt;
        return &field;
}
#endif

int STDCALL mysql_stmt_store_result(MYSQL_STMT *stmt)
{
        (void)stmt;
        return 0;
}

dal__mysql_flag STDCALL mysql_stmt_bind_result(MYSQL_STMT *stmt, MYSQL_BIND *bind)
{
        (void)stmt;
        (void)bind;
        return 0;
}

int STDCALL mysql_stmt_fetch(MYSQL_STMT *stmt)
{
        (void)stmt;
        return MYSQL_NO_DATA;
}

#if MYSQL_IS_CONNECTOR_C
unsigned long long STDCALL mysql_stmt_affected_rows(MYSQL_STMT *stmt)
#else
uint64_t STDCALL mysql_stmt_affected_rows(MYSQL_STMT *stmt)
#endif
{
        (void)stmt;
        return 1;
}

#if MYSQL_IS_CONNECTOR_C
unsigned long long STDCALL mysql_stmt_insert_id(MYSQL_STMT *stmt)
#else
uint64_t STDCALL mysql_stmt_insert_id(MYSQL_STMT *stmt)
#endif
{
        (void)stmt;
        return 0;
}

dal__mysql_flag STDCALL mysql_stmt_close(MYSQL_STMT *stmt)
{
        free(stmt);
        n_open--;
        return 0;
}

int STDCALL mysql_real_query(MYSQL *mysql, const char *query, unsigned long length)
{
        (void)mysql;
        n_queries++;
        n_open_at_query = n_open;
        snprintf(last_query, sizeof last_query, "%.*s", (int)length, query);
        session.affected_rows = 1;
        return 0;
}

/* ---- the driver on it ---- */

static dal__mysql_conn conn;
static dal_driver_stmt stmt;
static dal__mysql_stmt_state kept;

static int begin(void **state)
{
        static char name[] = "n";
        static const char text[] = "/*add*/ UPDATE t SET n = n -?";

        (void)state;
        memset(&session, 0, sizeof session);
        memset(&conn, 0, sizeof conn);
        memset(&kept, 0, sizeof kept);
        conn.mysql = &session;
        conn.max_packet = 1024;
        conn.generation = 1;
        conn.statements = DAL_STATEMENTS_PREPARED;
        stmt = (dal_driver_stmt){
                .name = "add", .text = text, .text_size = sizeof text - 1, .n_params = 1, .state = &kept};
        n_columns = 0;
        field = (MYSQL_FIELD){.name = name, .type = MYSQL_TYPE_LONGLONG};
        n_open = n_room = n_asked = n_executed = n_queries = 0;
        last_query[0] = '\0';
        return dal__mysql_library_start() ? 0 : -1;
}

static int end(void **state)
{
        (void)state;
        dal__mysql_stmt_free_all(&conn);
        dal__mysql_text_free(&conn);
        return 0;
}

static void run(dal_request_kind kind)
{
        dal_error err, before;
        dal_result result = {0};
        dal_value value = dal_int64(-7);
        dal_request request = {.kind = kind, .params = {&value, 1}};

        memset(&err, 0x2a, sizeof err);
        before = err;
        request.stmt = kind == DAL_REQUEST_STMT ? &stmt : NULL;
        request.text = kind == DAL_REQUEST_TEXT ? stmt.text : NULL;
        request.text_size = kind == DAL_REQUEST_TEXT ? stmt.text_size : 0;
        assert_int_equal(dal__mysql_stmt_run(&conn, &request, DAL_FOREVER, &result, &err), DAL_OK);
        assert_memory_equal(&err, &before, sizeof err); /* success touches nothing */
        assert_int_equal(result.n_rows, n_columns == 0);
}

static void test_mysql_limit__a_statement_without_room_runs_as_text(void **state)
{
        (void)state;
        run(DAL_REQUEST_STMT);
        assert_int_equal(n_asked, 1);
        assert_int_equal(n_queries, 1);
        assert_int_equal(n_open_at_query, 0); /* one closed behind a query would take the rows with it */
        assert_string_equal(last_query, "/*add*/ UPDATE t SET n = n -(-7)");
}

static void test_mysql_limit__is_not_asked_again_each_time(void **state)
{
        (void)state;
        for (unsigned i = 1; i <= 5; i++) {
                run(i % 2 ? DAL_REQUEST_STMT : DAL_REQUEST_TEXT);
                assert_int_equal(n_queries, i);
        }
        assert_int_equal(n_asked, 1);
}

static void test_mysql_limit__is_asked_again_after_a_while(void **state)
{
        (void)state;
        run(DAL_REQUEST_STMT);
        assert_true(conn.prepare_again > dal_clock_now());
        assert_true(conn.prepare_again <= dal_clock_after_ms(60000));
        n_room = 1;
        run(DAL_REQUEST_STMT);
        assert_int_equal(n_asked, 1);
        conn.prepare_again = dal_clock_now(); /* the while is over */
        run(DAL_REQUEST_STMT);
        run(DAL_REQUEST_STMT);
        assert_int_equal(n_asked, 2);
        assert_int_equal(n_executed, 2);
        assert_int_equal(n_queries, 2);
}

static void test_mysql_limit__what_is_prepared_already_goes_on(void **state)
{
        (void)state;
        n_room = 1;
        run(DAL_REQUEST_STMT);
        run(DAL_REQUEST_TEXT);
        assert_int_equal(n_queries, 1);
        run(DAL_REQUEST_STMT);
        assert_int_equal(n_asked, 2);
        assert_int_equal(n_executed, 2);
        assert_int_equal(n_queries, 1);
}

static void test_mysql_limit__unnamed_statements_find_a_way_too(void **state)
{
        (void)state;
        conn.statements = DAL_STATEMENTS_UNNAMED;
        run(DAL_REQUEST_STMT);
        run(DAL_REQUEST_STMT);
        assert_int_equal(n_asked, 1);
        assert_int_equal(n_queries, 2);
        assert_null(conn.stmts);
        assert_null(conn.retired);
}

static void test_mysql_limit__an_unnamed_statement_is_closed_with_its_run(void **state)
{
        (void)state;
        conn.statements = DAL_STATEMENTS_UNNAMED;
        n_room = 3;
        run(DAL_REQUEST_STMT);
        assert_int_equal(n_executed, 1);
        assert_int_equal(n_open, 0);
}

/* While nobody asks for anything more: the session may be somebody else's by then. */
static void test_mysql_limit__an_unnamed_query_is_closed_with_its_last_row(void **state)
{
        const dal_value *cells;

        (void)state;
        conn.statements = DAL_STATEMENTS_UNNAMED;
        n_room = 3;
        n_columns = 1;
        run(DAL_REQUEST_STMT);
        assert_int_equal(n_open, 1);
        assert_int_equal(dal__mysql_rows_fetch(&conn, DAL_FOREVER, &cells, NULL), DAL_OK);
        assert_null(cells);
        assert_int_equal(n_open, 0);
        assert_string_equal(dal__mysql_bind_name(conn.current, 0), "n");
        assert_int_equal(dal__mysql_rows_end(&conn, DAL_FOREVER, NULL), DAL_OK);
        /* And where not all rows are wanted. */
        run(DAL_REQUEST_STMT);
        assert_int_equal(dal__mysql_rows_end(&conn, DAL_FOREVER, NULL), DAL_OK);
        assert_int_equal(n_open, 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_mysql_limit__a_statement_without_room_runs_as_text,
                                                begin, end),
                cmocka_unit_test_setup_teardown(test_mysql_limit__is_not_asked_again_each_time, begin, end),
                cmocka_unit_test_setup_teardown(test_mysql_limit__is_asked_again_after_a_while, begin, end),
                cmocka_unit_test_setup_teardown(test_mysql_limit__what_is_prepared_already_goes_on, begin,
                                                end),
                cmocka_unit_test_setup_teardown(test_mysql_limit__unnamed_statements_find_a_way_too, begin,
                                                end),
                cmocka_unit_test_setup_teardown(test_mysql_limit__an_unnamed_statement_is_closed_with_its_run,
                                                begin, end),
                cmocka_unit_test_setup_teardown(
                        test_mysql_limit__an_unnamed_query_is_closed_with_its_last_row, begin, end),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
