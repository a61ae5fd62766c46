/* SPDX-License-Identifier: MIT */
/* Several cursors on one connection: what only a driver without a client library can show. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
/* cmocka needs the four above first. Source: cmocka.h */
#include <cmocka.h>

#include <dal/conn.h>

#include "mem_fault.h"
#include "pool_rig.h"

static const dal_stmt get_row = DAL_STMT("get_row", "SELECT v FROM t WHERE id < ?");
static const dal_stmt get_other = DAL_STMT("get_other", "SELECT v FROM u WHERE id < ?");
static const dal_stmt put_row = DAL_STMT("put_row", "INSERT INTO t (id) VALUES (?)");

/* As many rows as the parameter says. */
static void some_rows(void *arg, dal_fake_call *call)
{
        static const char *const names[] = {"v"};
        int64_t n = dal_fake_call_params(call).values[0].as.int64;

        (void)arg;
        dal_fake_call_columns(call, names, 1);
        for (int64_t i = 0; i < n; i++)
                dal_fake_call_row(call, DAL_PARAMS(dal_int64(i)));
}

static dal_deadline fetched_until;

static dal_status noted_fetch(void *conn, dal_deadline deadline, const dal_value **cells_out, dal_error *err)
{
        fetched_until = deadline;
        return dal_driver_fake()->fetch(conn, deadline, cells_out, err);
}

static struct fixture {
        dal_fake_server *server;
        dal_conn *conn;
        dal_driver driver;
        dal_error err;
} f;

static void open_fake(void)
{
        char url[DAL_FAKE_URL_SIZE];
        dal_dsn *dsn;

        f.server = dal_fake_new();
        assert_non_null(f.server);
        f.driver = *dal_driver_fake();
        f.driver.fetch = noted_fetch;
        dal_fake_url(f.server, url);
        assert_int_equal(dal_dsn_parse(url, &dsn, &f.err), DAL_OK);
        assert_int_equal(dal_conn_open(&f.driver, dsn, NULL, DAL_FOREVER, &f.conn, &f.err), DAL_OK);
        dal_dsn_free(dsn);
        assert_true(dal_fake_on(f.server, "get_row", some_rows, NULL));
        assert_true(dal_fake_on(f.server, "get_other", some_rows, NULL));
}

static void close_fake(void)
{
        dal_conn_close(f.conn);
        assert_int_equal(dal_fake_get_stats(f.server).n_live, 0);
        dal_fake_free(f.server);
}

static dal_rows *query_until(const dal_stmt *stmt, dal_deadline deadline)
{
        dal_rows *rows;

        if (dal_conn_query(f.conn, stmt, DAL_PARAMS(dal_int64(5)), deadline, &rows, &f.err))
                fail_msg("%s", f.err.message);
        return rows;
}

static dal_rows *query(const dal_stmt *stmt)
{
        return query_until(stmt, DAL_FOREVER);
}

static void assert_next(dal_rows *rows, int64_t wanted)
{
        bool found;
        int64_t v;

        if (dal_rows_next(rows, &found, &f.err))
                fail_msg("%s", f.err.message);
        assert_true(found);
        assert_int_equal(dal_rows_int64(rows, 0, &v, &f.err), DAL_OK);
        assert_int_equal(v, wanted);
}

static void assert_next_fails(dal_rows *rows, dal_error_class error_class)
{
        bool found = true;

        assert_int_equal(dal_rows_next(rows, &found, &f.err), dal_error_class_status(error_class));
        assert_string_equal(dal_error_class_name(f.err.error_class), dal_error_class_name(error_class));
        assert_null(dal_rows_cell(rows, 0));
}

static void inject_at_fetch(const char *match, dal_error_class error_class)
{
        dal_fake_fault fault = {.at = DAL_FAKE_AT_FETCH, .match = match, .error_class = error_class};

        assert_true(dal_fake_inject(f.server, &fault));
}

static void begin(void)
{
        assert_int_equal(dal_conn_begin(f.conn, DAL_ISOLATION_DEFAULT, false, DAL_FOREVER, &f.err), DAL_OK);
}

static void test_conn_cursors__each_has_its_own_deadline(void **state)
{
        dal_deadline late = dal_clock_after_ms(60000), later = late + 1000000;
        dal_rows *a, *b;

        (void)state;
        open_fake();
        begin();
        a = query_until(&get_row, late);
        b = query_until(&get_other, later);
        for (int64_t i = 0; i < 4; i++) {
                fetched_until = 0;
                assert_next(a, i);
                assert_true(i == 0 || fetched_until == late); /* the first row is at hand */
                assert_next(b, i);
                assert_true(i == 0 || fetched_until == later);
        }
        dal_rows_close(a);
        dal_rows_close(b);
        assert_int_equal(dal_conn_commit(f.conn, DAL_FOREVER, &f.err), DAL_OK);
        close_fake();
}

static void test_conn_cursors__the_failure_of_one_is_its_own_and_spoils_the_transaction(void **state)
{
        (void)state;
        for (int first = 0; first < 2; first++) {
                dal_rows *a, *b;

                open_fake();
                begin();
                a = query(&get_row);
                b = query(&get_other);
                assert_next(a, 0);
                assert_next(b, 0);
                inject_at_fetch(first ? "get_row" : "get_other", DAL_CLASS_DATA);
                assert_next_fails(first ? a : b, DAL_CLASS_DATA);
                assert_next(first ? b : a, 1);
                assert_next_fails(first ? a : b, DAL_CLASS_STATE);
                dal_rows_close(a);
                dal_rows_close(b);
                assert_int_equal(
                        dal_conn_exec(f.conn, &put_row, DAL_PARAMS(dal_int64(1)), DAL_FOREVER, NULL, &f.err),
                        DAL_ERR_STATE);
                assert_int_equal(dal_conn_commit(f.conn, DAL_FOREVER, &f.err), DAL_ERR_STATE);
                assert_int_equal(f.err.error_class, DAL_CLASS_COMMIT_ROLLED_BACK);
                close_fake();
        }
}

/* Only the rows of a write leave it in doubt, whatever was run last. */
static void test_conn_cursors__all_end_when_the_connection_is_lost(void **state)
{
        (void)state;
        for (int first = 0; first < 2; first++) {
                dal_rows *a, *b, *more = NULL;

                open_fake();
                a = query(&get_row);
                b = query(&get_other);
                assert_next(a, 0);
                assert_next(b, 0);
                assert_int_equal(
                        dal_conn_exec(f.conn, &put_row, DAL_PARAMS(dal_int64(1)), DAL_FOREVER, NULL, &f.err),
                        DAL_OK);
                inject_at_fetch(first ? "get_row" : "get_other", DAL_CLASS_CONNECTION_LOST);
                assert_next_fails(first ? a : b, DAL_CLASS_CONNECTION_LOST);
                assert_int_equal(dal_conn_query(f.conn, &get_row, DAL_PARAMS(dal_int64(1)), DAL_FOREVER,
                                                &more, &f.err),
                                 DAL_ERR_CONN);
                assert_null(more);
                assert_next_fails(first ? b : a, DAL_CLASS_STATE);
                dal_rows_close(b);
                dal_rows_close(a);
                close_fake();
        }
}

static void test_conn_cursors__want_of_memory_refuses_one_and_leaves_the_others(void **state)
{
        unsigned n_failed = 0;

        (void)state;
        for (size_t at = 1; at < 100; at++) {
                dal_rows *a, *b = NULL;
                dal_status s;

                open_fake();
                begin();
                a = query(&get_row);
                assert_next(a, 0);
                assert_int_equal(dal_conn_exec(f.conn, &get_other, DAL_PARAMS(dal_int64(1)), DAL_FOREVER,
                                               NULL, &f.err),
                                 DAL_OK); /* the server's own memory is not what is tested */
                mem_fault_at = at;
                s = dal_conn_query(f.conn, &get_row, DAL_PARAMS(dal_int64(2)), DAL_FOREVER, &b, &f.err);
                n_failed += s != DAL_OK;
                if (s) {
                        assert_int_equal(s, DAL_ERR_NOMEM);
                        assert_null(b);
                } else {
                        assert_next(b, 0);
                }
                at = mem_fault_at ? 100 : at;
                mem_fault_at = 0;
                assert_next(a, 1);
                dal_rows_close(b);
                dal_rows_close(a);
                close_fake();
        }
        assert_true(n_failed > 0);
}

static void test_conn_cursors__none_is_left_open_when_the_lease_goes_back(void **state)
{
        dal_pool_options options = small_pool(1);
        struct rig rig = new_rig(&options);

        (void)state;
        assert_true(dal_fake_on(rig.server, "get_row", some_rows, NULL));
        for (int round = 0; round < 20; round++) {
                dal_conn *conn = lease(&rig);
                dal_rows *rows[3];

                /* Were one of the last lease's open, this would be refused. */
                assert_int_equal(dal_conn_begin(conn, DAL_ISOLATION_DEFAULT, false, DAL_FOREVER, &rig.err),
                                 DAL_OK);
                assert_int_equal(dal_conn_rollback(conn, DAL_FOREVER, &rig.err), DAL_OK);
                for (int i = 0; i < 3; i++)
                        assert_int_equal(dal_conn_query(conn, &get_row, DAL_PARAMS(dal_int64(3)), DAL_FOREVER,
                                                        &rows[i], &rig.err),
                                         DAL_OK);
                if (round % 2)
                        dal_rows_close(rows[0]);
                dal_pool_release(rig.pool, conn);
        }
        assert_int_equal(dal_fake_get_stats(rig.server).n_opened, 1);
        end_rig(&rig);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_conn_cursors__each_has_its_own_deadline),
                cmocka_unit_test(test_conn_cursors__the_failure_of_one_is_its_own_and_spoils_the_transaction),
                cmocka_unit_test(test_conn_cursors__all_end_when_the_connection_is_lost),
                cmocka_unit_test(test_conn_cursors__want_of_memory_refuses_one_and_leaves_the_others),
                cmocka_unit_test(test_conn_cursors__none_is_left_open_when_the_lease_goes_back),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
