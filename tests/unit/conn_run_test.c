/* SPDX-License-Identifier: MIT */
/* A statement by the driver's optional `run` and without it: the same for the caller. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above first. Source: cmocka.h */
#include <cmocka.h>

#include <dal/conn.h>
#include <dal/drivers/fake.h>

#include "conn/conn_impl.h"

static const dal_stmt get_row = DAL_STMT("get_row", "SELECT v FROM t WHERE id = ?");
static const dal_stmt put_row = DAL_STMT("put_row", "INSERT INTO t (id) VALUES (?)");

/* As many rows as the parameter says; -1: one and then an error. */
static void some_rows(void *arg, dal_fake_call *call)
{
        static const char *const names[] = {"v"};
        int64_t n = dal_fake_call_params(call).values[0].as.int64;

        (void)arg;
        dal_fake_call_columns(call, names, 1);
        for (int64_t i = 1; i <= (n < 0 ? 1 : n); i++)
                dal_fake_call_row(call, DAL_PARAMS(dal_int64(i)));
        if (n < 0)
                dal_fake_call_fail(call, DAL_CLASS_DATA, NULL, "the row behind the first is broken");
}

static unsigned n_fetched, n_discarded;

static dal_status counted_fetch(void *conn, dal_deadline deadline, const dal_value **cells_out,
                                dal_error *err)
{
        n_fetched++;
        return dal_driver_fake()->fetch(conn, deadline, cells_out, err);
}

static dal_status counted_discard(void *conn, dal_deadline deadline, dal_error *err)
{
        n_discarded++;
        return dal_driver_fake()->discard(conn, deadline, err);
}

/* The table with the slot; the same with the slot taken away; the one that never had it. */
#define N_KINDS 3
static struct fixture {
        dal_fake_server *server;
        dal_conn *conn;
        dal_driver driver;
} f;

static void open_fake(unsigned kind)
{
        dal_error err = DAL_ERROR_INIT;
        char url[DAL_FAKE_URL_SIZE];
        dal_dsn *dsn;

        f.server = dal_fake_new();
        assert_non_null(f.server);
        f.driver = kind == 2 ? *dal_driver_fake_modal() : *dal_driver_fake();
        assert_true((f.driver.run != NULL) == (kind != 2)); /* the fake driver shows both */
        if (kind == 1)
                f.driver.run = NULL;
        f.driver.fetch = counted_fetch;
        f.driver.discard = counted_discard;
        if (kind == 2)
                dal_fake_url_modal(f.server, url);
        else
                dal_fake_url(f.server, url);
        assert_int_equal(dal_dsn_parse(url, &dsn, &err), DAL_OK);
        assert_int_equal(dal_conn_open(&f.driver, dsn, NULL, DAL_FOREVER, &f.conn, &err), DAL_OK);
        dal_dsn_free(dsn);
        assert_true(dal_fake_on(f.server, "get_row", some_rows, NULL));
        n_fetched = n_discarded = 0;
}

static void close_fake(void)
{
        dal_conn_close(f.conn);
        dal_fake_free(f.server);
}

static dal_rows *query(int64_t n)
{
        dal_error err = DAL_ERROR_INIT;
        dal_rows *rows;

        assert_int_equal(dal_conn_query(f.conn, &get_row, DAL_PARAMS(dal_int64(n)), DAL_FOREVER, &rows, &err),
                         DAL_OK);
        return rows;
}

/* Reads all and compares. */
static void assert_rows(dal_rows *rows, int64_t n)
{
        dal_error err = DAL_ERROR_INIT;
        bool found;
        int64_t v;

        for (int64_t i = 1; i <= n; i++) {
                assert_int_equal(dal_rows_next(rows, &found, &err), DAL_OK);
                assert_true(found);
                assert_int_equal(dal_rows_int64(rows, 0, &v, &err), DAL_OK);
                assert_int_equal(v, i);
        }
        for (unsigned again = 0; again < 2; again++) {
                assert_int_equal(dal_rows_next(rows, &found, &err), DAL_OK);
                assert_false(found);
                assert_null(dal_rows_cell(rows, 0));
        }
}

static void test_conn_run__rows_come_once_and_in_order_with_and_without_the_slot(void **state)
{
        (void)state;
        for (unsigned kind = 0; kind < N_KINDS; kind++) {
                open_fake(kind);
                for (int64_t n = 0; n < 4; n++) {
                        for (unsigned again = 0; again < 2; again++) {
                                dal_rows *rows = query(n);

                                assert_rows(rows, n);
                                dal_rows_close(rows);
                        }
                }
                close_fake();
        }
}

static void test_conn_run__one_row_at_hand_costs_no_further_call(void **state)
{
        dal_error err = DAL_ERROR_INIT;
        dal_rows *rows;
        int64_t v;

        (void)state;
        for (unsigned kind = 0; kind < N_KINDS; kind++) {
                open_fake(kind);
                rows = query(1);
                assert_int_equal(dal_rows_first(rows, &err), DAL_OK);
                assert_int_equal(dal_rows_int64(rows, 0, &v, &err), DAL_OK);
                assert_int_equal(v, 1);
                dal_rows_close(rows);
                assert_int_equal(n_fetched, kind == 0 ? 0 : 1);
                assert_int_equal(n_discarded, kind == 0 ? 0 : 1);
                close_fake();
        }
}

static void test_conn_run__an_open_cursor_refuses_statements_though_its_answer_is_complete(void **state)
{
        dal_error err = DAL_ERROR_INIT;
        dal_rows *rows;

        (void)state;
        for (unsigned kind = 0; kind < N_KINDS; kind++) {
                open_fake(kind);
                f.driver.caps &= ~DAL_CAP_CURSORS;
                rows = query(1);
                assert_int_equal(dal_rows_first(rows, &err), DAL_OK);
                assert_int_equal(
                        dal_conn_exec(f.conn, &put_row, DAL_PARAMS(dal_int64(1)), DAL_FOREVER, NULL, &err),
                        DAL_ERR_BUSY);
                assert_non_null(dal_rows_cell(rows, 0));
                dal_rows_close(rows);
                assert_int_equal(
                        dal_conn_exec(f.conn, &put_row, DAL_PARAMS(dal_int64(1)), DAL_FOREVER, NULL, &err),
                        DAL_OK);
                close_fake();
        }
}

static void test_conn_run__rows_left_unread_are_not_seen_by_the_next_query(void **state)
{
        (void)state;
        for (unsigned kind = 0; kind < N_KINDS; kind++) {
                open_fake(kind);
                for (int64_t n = 1; n < 4; n++)
                        dal_rows_close(query(n));
                assert_rows(query(2), 2);
                close_fake();
        }
}

static void test_conn_run__rows_of_a_statement_run_for_its_count_are_counted(void **state)
{
        dal_error err = DAL_ERROR_INIT;
        int64_t n_rows;

        (void)state;
        for (unsigned kind = 0; kind < N_KINDS; kind++) {
                open_fake(kind);
                for (int64_t n = 0; n < 4; n++) {
                        assert_int_equal(dal_conn_exec(f.conn, &get_row, DAL_PARAMS(dal_int64(n)),
                                                       DAL_FOREVER, &n_rows, &err),
                                         DAL_OK);
                        assert_int_equal(n_rows, n);
                }
                close_fake();
        }
}

static void test_conn_run__an_error_behind_a_row_at_hand_is_told(void **state)
{
        dal_error err = DAL_ERROR_INIT;
        dal_rows *rows;
        bool found;

        (void)state;
        for (unsigned kind = 0; kind < N_KINDS; kind++) {
                open_fake(kind);
                rows = query(-1);
                assert_int_equal(dal_rows_next(rows, &found, &err), DAL_OK);
                assert_true(found);
                assert_int_not_equal(dal_rows_next(rows, &found, &err), DAL_OK);
                assert_int_equal(err.error_class, DAL_CLASS_DATA);
                dal_rows_close(rows);
                close_fake();
        }
}

static void test_conn_run__what_was_not_sent_is_not_counted_and_what_was_lost_is_told(void **state)
{
        dal_fake_fault fault = {
                .at = DAL_FAKE_AT_REQUEST, .match = "get_row", .error_class = DAL_CLASS_CONNECTION_LOST};
        dal_error err = DAL_ERROR_INIT;
        dal_rows *rows;
        uint64_t before;

        (void)state;
        for (unsigned kind = 0; kind < N_KINDS; kind++) {
                open_fake(kind);
                dal_rows_close(query(1));
                before = dal_conn_get_stats(f.conn).n_requests;
                assert_int_equal(dal_conn_query(f.conn, &get_row, DAL_PARAMS(dal_int64(1)), 1, &rows, &err),
                                 DAL_ERR_TIMEOUT);
                assert_true(err.not_sent);
                assert_int_equal(dal_conn_get_stats(f.conn).n_requests, before);
                assert_true(dal_fake_inject(f.server, &fault));
                assert_int_not_equal(
                        dal_conn_query(f.conn, &get_row, DAL_PARAMS(dal_int64(1)), DAL_FOREVER, &rows, &err),
                        DAL_OK);
                assert_true(err.conn_gone);
                assert_null(rows);
                close_fake();
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_conn_run__rows_come_once_and_in_order_with_and_without_the_slot),
                cmocka_unit_test(test_conn_run__one_row_at_hand_costs_no_further_call),
                cmocka_unit_test(
                        test_conn_run__an_open_cursor_refuses_statements_though_its_answer_is_complete),
                cmocka_unit_test(test_conn_run__rows_left_unread_are_not_seen_by_the_next_query),
                cmocka_unit_test(test_conn_run__rows_of_a_statement_run_for_its_count_are_counted),
                cmocka_unit_test(test_conn_run__an_error_behind_a_row_at_hand_is_told),
                cmocka_unit_test(test_conn_run__what_was_not_sent_is_not_counted_and_what_was_lost_is_told),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
