/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
/* cmocka needs the four above first. Source: cmocka.h */
#include <cmocka.h>

#include <dal/conn.h>
#include <dal/drivers/fake.h>

#include "conn/conn_impl.h"

static const dal_stmt put_row = DAL_STMT("put_row", "INSERT INTO t (id, v) VALUES (?, ?)");
static const dal_stmt get_row = DAL_STMT("get_row", "SELECT v FROM t WHERE id = ?");
static const dal_stmt set_zone = DAL_STMT("set_zone", "SET TIME ZONE 'UTC'");
static const dal_stmt begin_raw = DAL_STMT("begin_raw", "BEGIN");

struct fixture {
        dal_fake_server *server;
        dal_conn *conn;
};

static void two_rows(void *arg, dal_fake_call *call)
{
        static const char *const names[] = {"v"};

        (void)arg;
        dal_fake_call_columns(call, names, 1);
        dal_fake_call_row(call, DAL_PARAMS(dal_int64(1)));
        dal_fake_call_row(call, DAL_PARAMS(dal_int64(2)));
}

static struct fixture open_fake(bool modal)
{
        struct fixture f;
        char url[DAL_FAKE_URL_SIZE];
        dal_error err = DAL_ERROR_INIT;
        dal_dsn *dsn;

        f.server = dal_fake_new();
        assert_non_null(f.server);
        if (modal)
                dal_fake_url_modal(f.server, url);
        else
                dal_fake_url(f.server, url);
        assert_int_equal(dal_dsn_parse(url, &dsn, &err), DAL_OK);
        assert_int_equal(dal__conn_open_mode(modal ? dal_driver_fake_modal() : dal_driver_fake(), dsn, NULL,
                                             modal, DAL_FOREVER, &f.conn, &err),
                         DAL_OK);
        dal_dsn_free(dsn);
        assert_true(dal_fake_on(f.server, "get_row", two_rows, NULL));
        dal_fake_journal_clear(f.server);
        return f;
}

static void close_fake(struct fixture *f)
{
        dal_conn_close(f->conn);
        assert_int_equal(dal_fake_get_stats(f->server).n_live, 0);
        dal_fake_free(f->server);
}

static void assert_journal(struct fixture *f, const char *expected)
{
        char journal[2048];

        dal_fake_journal(f->server, 0, journal, sizeof journal);
        assert_string_equal(journal, expected);
}

static dal_params row(int64_t id)
{
        static dal_value values[2];

        values[0] = dal_int64(id);
        values[1] = dal_text("x");
        return (dal_params){values, 2};
}

static void test_conn__begin_travels_with_the_first_statement(void **state)
{
        struct fixture f = open_fake(false);
        dal_error err = DAL_ERROR_INIT;
        uint64_t before = dal_fake_get_stats(f.server).n_round_trips;

        (void)state;
        assert_int_equal(dal_conn_begin(f.conn, DAL_ISOLATION_DEFAULT, false, DAL_FOREVER, &err), DAL_OK);
        assert_journal(&f, "");
        assert_int_equal(dal_conn_exec(f.conn, &put_row, row(1), DAL_FOREVER, NULL, &err), DAL_OK);
        assert_int_equal(dal_conn_exec(f.conn, &put_row, row(2), DAL_FOREVER, NULL, &err), DAL_OK);
        assert_int_equal(dal_conn_commit(f.conn, DAL_FOREVER, &err), DAL_OK);
        assert_journal(&f, "BEGIN\nput_row\nput_row\nCOMMIT\n");
        assert_int_equal(dal_fake_get_stats(f.server).n_round_trips - before, 3);
        assert_int_equal(dal_conn_get_stats(f.conn).n_round_trips, 3);
        assert_int_equal(dal_conn_get_stats(f.conn).n_prepared, 1);
        close_fake(&f);
}

static void test_conn__queued_writes_and_commit_are_one_round_trip(void **state)
{
        struct fixture f = open_fake(false);
        dal_error err = DAL_ERROR_INIT;
        uint64_t before = dal_fake_get_stats(f.server).n_round_trips;

        (void)state;
        assert_int_equal(
                dal_conn_begin(f.conn, DAL_ISOLATION_DEFAULT, false, dal_clock_after_ms(60000), &err),
                DAL_OK);
        for (int64_t i = 0; i < 20; i++)
                assert_int_equal(dal__conn_queue(f.conn, &put_row, row(i), &err), DAL_OK);
        assert_int_equal(dal_conn_commit(f.conn, dal_clock_after_ms(60000), &err), DAL_OK);
        assert_int_equal(dal_fake_get_stats(f.server).n_round_trips - before, 1);
        assert_int_equal(dal_fake_journal_count(f.server, "put_row"), 20);
        assert_in_range(dal_fake_get_stats(f.server).statement_timeout_ms, 50000, 60000);
        close_fake(&f);
}

static void test_conn__limits_travel_ahead_of_writes_queued_after_begin(void **state)
{
        struct fixture f = open_fake(false);
        dal_error err = DAL_ERROR_INIT;

        (void)state;
        assert_int_equal(dal_conn_begin(f.conn, DAL_ISOLATION_DEFAULT, false, DAL_FOREVER, &err), DAL_OK);
        assert_int_equal(dal_conn_exec(f.conn, &put_row, row(1), DAL_FOREVER, NULL, &err), DAL_OK);
        assert_int_equal(dal__conn_queue(f.conn, &put_row, row(2), &err), DAL_OK);
        assert_int_equal(dal_conn_commit(f.conn, dal_clock_after_ms(60000), &err), DAL_OK);
        assert_journal(&f, "BEGIN\nput_row\nLIMITS\nput_row\nCOMMIT\n");
        close_fake(&f);
}

static void test_conn__modal_begin_sends_nothing(void **state)
{
        struct fixture f = open_fake(true);
        dal_error err = DAL_ERROR_INIT;
        uint64_t before = dal_fake_get_stats(f.server).n_round_trips;

        (void)state;
        assert_int_equal(dal_conn_begin(f.conn, DAL_ISOLATION_DEFAULT, false, DAL_FOREVER, &err), DAL_OK);
        assert_int_equal(dal_conn_exec(f.conn, &put_row, row(1), DAL_FOREVER, NULL, &err), DAL_OK);
        assert_int_equal(dal__conn_queue(f.conn, &put_row, row(2), &err), DAL_OK);
        assert_int_equal(dal_conn_commit(f.conn, DAL_FOREVER, &err), DAL_OK);
        assert_int_equal(dal_fake_get_stats(f.server).n_round_trips - before, 3);
        assert_int_equal(dal_conn_get_stats(f.conn).n_round_trips, 3);
        close_fake(&f);
}

static void test_conn__an_empty_transaction_sends_nothing(void **state)
{
        struct fixture f = open_fake(false);
        dal_error err = DAL_ERROR_INIT;

        (void)state;
        assert_int_equal(dal_conn_begin(f.conn, DAL_ISOLATION_SERIALIZABLE, true, DAL_FOREVER, &err), DAL_OK);
        assert_int_equal(dal_conn_commit(f.conn, DAL_FOREVER, &err), DAL_OK);
        assert_int_equal(dal_conn_begin(f.conn, DAL_ISOLATION_DEFAULT, false, DAL_FOREVER, &err), DAL_OK);
        assert_int_equal(dal_conn_rollback(f.conn, DAL_FOREVER, &err), DAL_OK);
        assert_journal(&f, "");
        close_fake(&f);
}

static void test_conn__an_error_before_commit_skips_commit_and_rolls_back(void **state)
{
        struct fixture f = open_fake(false);
        dal_error err = DAL_ERROR_INIT;

        (void)state;
        dal_fake_inject(f.server,
                        &(dal_fake_fault){.match = "put_row", .skip = 1, .error_class = DAL_CLASS_UNIQUE});
        assert_int_equal(dal_conn_begin(f.conn, DAL_ISOLATION_DEFAULT, false, DAL_FOREVER, &err), DAL_OK);
        assert_int_equal(dal__conn_queue(f.conn, &put_row, row(1), &err), DAL_OK);
        assert_int_equal(dal__conn_queue(f.conn, &put_row, row(1), &err), DAL_OK);
        assert_int_equal(dal_conn_commit(f.conn, DAL_FOREVER, &err), DAL_ERR_CONSTRAINT);
        assert_int_equal(err.error_class, DAL_CLASS_UNIQUE);
        assert_true(err.tx_gone);
        assert_non_null(strstr(err.message, "put_row"));
        assert_journal(&f, "BEGIN\nput_row\nput_row !unique\nROLLBACK\n");
        assert_int_equal(dal_fake_get_stats(f.server).n_in_tx, 0);
        close_fake(&f);
}

static void test_conn__commit_answered_by_rollback_is_an_error(void **state)
{
        struct fixture f = open_fake(false);
        dal_error err = DAL_ERROR_INIT;

        (void)state;
        dal_fake_inject(f.server,
                        &(dal_fake_fault){.match = "COMMIT", .error_class = DAL_CLASS_COMMIT_ROLLED_BACK});
        assert_int_equal(dal_conn_begin(f.conn, DAL_ISOLATION_DEFAULT, false, DAL_FOREVER, &err), DAL_OK);
        assert_int_equal(dal_conn_exec(f.conn, &put_row, row(1), DAL_FOREVER, NULL, &err), DAL_OK);
        assert_int_equal(dal_conn_commit(f.conn, DAL_FOREVER, &err), DAL_ERR_STATE);
        assert_int_equal(err.error_class, DAL_CLASS_COMMIT_ROLLED_BACK);
        assert_false(dal__conn_is_broken(f.conn));
        close_fake(&f);
}

static void lose_commit(bool modal, bool executed, bool at_write, dal_status expected)
{
        struct fixture f = open_fake(modal);
        dal_error err = DAL_ERROR_INIT;
        bool reusable;

        dal_fake_inject(f.server, &(dal_fake_fault){.match = at_write ? "put_row" : "COMMIT",
                                                    .error_class = DAL_CLASS_CONNECTION_LOST,
                                                    .executed = executed});
        assert_int_equal(dal_conn_begin(f.conn, DAL_ISOLATION_DEFAULT, false, DAL_FOREVER, &err), DAL_OK);
        assert_int_equal(dal__conn_queue(f.conn, &put_row, row(1), &err), DAL_OK);
        assert_int_equal(dal_conn_commit(f.conn, DAL_FOREVER, &err), expected);
        assert_true(err.conn_gone);
        if (expected == DAL_ERR_IN_DOUBT)
                assert_false(err.retry_tx);
        dal__conn_clean(f.conn, DAL_FOREVER, &reusable);
        assert_false(reusable);
        close_fake(&f);
}

static void test_conn__a_lost_commit_reply_is_in_doubt(void **state)
{
        (void)state;
        lose_commit(false, true, false, DAL_ERR_IN_DOUBT);
        lose_commit(false, false, false, DAL_ERR_IN_DOUBT);
        lose_commit(true, true, false, DAL_ERR_IN_DOUBT);
        /* In a pipeline COMMIT was sent together with the write; otherwise it was not sent yet. */
        lose_commit(false, true, true, DAL_ERR_IN_DOUBT);
        lose_commit(true, true, true, DAL_ERR_CONN);
}

static void test_conn__a_failed_transaction_takes_nothing_but_rollback(void **state)
{
        for (int modal = 0; modal < 2; modal++) {
                struct fixture f = open_fake(modal);
                dal_error err = DAL_ERROR_INIT;

                (void)state;
                dal_fake_inject(f.server,
                                &(dal_fake_fault){.match = "put_row", .error_class = DAL_CLASS_UNIQUE});
                assert_int_equal(dal_conn_begin(f.conn, DAL_ISOLATION_DEFAULT, false, DAL_FOREVER, &err),
                                 DAL_OK);
                assert_int_equal(dal_conn_exec(f.conn, &put_row, row(1), DAL_FOREVER, NULL, &err),
                                 DAL_ERR_CONSTRAINT);
                assert_int_equal(dal_conn_exec(f.conn, &put_row, row(2), DAL_FOREVER, NULL, &err),
                                 DAL_ERR_STATE);
                assert_int_equal(dal__conn_queue(f.conn, &put_row, row(2), &err), DAL_ERR_STATE);
                assert_int_equal(dal_conn_commit(f.conn, DAL_FOREVER, &err), DAL_ERR_STATE);
                assert_int_equal(err.error_class, DAL_CLASS_COMMIT_ROLLED_BACK);
                assert_int_equal(dal_fake_journal_count(f.server, "COMMIT"), 0);
                assert_int_equal(dal_fake_get_stats(f.server).n_in_tx, 0);
                close_fake(&f);
        }
}

static void test_conn__an_open_cursor_refuses_other_statements_and_spoils_nothing(void **state)
{
        struct fixture f = open_fake(true);
        dal_error err = DAL_ERROR_INIT;
        dal_rows *rows;
        bool found;
        int64_t v;

        (void)state;
        assert_int_equal(dal_conn_begin(f.conn, DAL_ISOLATION_DEFAULT, false, DAL_FOREVER, &err), DAL_OK);
        assert_int_equal(dal_conn_query(f.conn, &get_row, DAL_PARAMS(dal_int64(1)), DAL_FOREVER, &rows, &err),
                         DAL_OK);
        assert_int_equal(dal_rows_next(rows, &found, &err), DAL_OK);
        assert_int_equal(dal_conn_exec(f.conn, &put_row, row(1), DAL_FOREVER, NULL, &err), DAL_ERR_BUSY);
        assert_non_null(strstr(err.message, "close them, or read them to the end"));
        assert_int_equal(dal_rows_int64(rows, 0, &v, &err), DAL_OK);
        assert_int_equal(v, 1);
        dal_rows_close(rows);
        assert_int_equal(dal_conn_exec(f.conn, &put_row, row(1), DAL_FOREVER, NULL, &err), DAL_OK);
        assert_int_equal(dal_conn_commit(f.conn, DAL_FOREVER, &err), DAL_OK);
        close_fake(&f);
}

static void test_conn__nothing_is_sent_after_the_deadline(void **state)
{
        struct fixture f = open_fake(false);
        dal_error err = DAL_ERROR_INIT;

        (void)state;
        assert_int_equal(dal_conn_exec(f.conn, &put_row, row(1), 1, NULL, &err), DAL_ERR_TIMEOUT);
        assert_true(err.not_sent);
        assert_journal(&f, "");
        close_fake(&f);
}

static void test_conn__a_wrong_parameter_count_names_both_numbers(void **state)
{
        struct fixture f = open_fake(false);
        dal_error err = DAL_ERROR_INIT;

        (void)state;
        assert_int_equal(dal_conn_exec(f.conn, &put_row, DAL_PARAMS(dal_int64(1)), DAL_FOREVER, NULL, &err),
                         DAL_ERR_ARG);
        assert_non_null(strstr(err.message, "put_row"));
        assert_non_null(strstr(err.message, "1"));
        assert_non_null(strstr(err.message, "2"));
        assert_journal(&f, "");
        close_fake(&f);
}

static void test_conn__transaction_words_are_refused(void **state)
{
        struct fixture f = open_fake(false);
        dal_error err = DAL_ERROR_INIT;

        (void)state;
        assert_int_equal(dal_conn_exec(f.conn, &begin_raw, DAL_NO_PARAMS, DAL_FOREVER, NULL, &err),
                         DAL_ERR_ARG);
        assert_int_equal(
                dal_conn_exec_dynamic(f.conn, " /* x */ Commit", DAL_NO_PARAMS, DAL_FOREVER, NULL, &err),
                DAL_ERR_ARG);
        assert_journal(&f, "");
        close_fake(&f);
}

static void test_conn__clean_rolls_back_and_resets_only_what_needs_it(void **state)
{
        struct fixture f = open_fake(false);
        dal_error err = DAL_ERROR_INIT;
        bool reusable;

        (void)state;
        assert_int_equal(dal_conn_exec(f.conn, &put_row, row(1), DAL_FOREVER, NULL, &err), DAL_OK);
        dal__conn_clean(f.conn, DAL_FOREVER, &reusable);
        assert_true(reusable);
        assert_journal(&f, "put_row\n");
        assert_int_equal(dal_conn_begin(f.conn, DAL_ISOLATION_DEFAULT, false, DAL_FOREVER, &err), DAL_OK);
        assert_int_equal(dal_conn_exec(f.conn, &set_zone, DAL_NO_PARAMS, DAL_FOREVER, NULL, &err), DAL_OK);
        dal__conn_clean(f.conn, DAL_FOREVER, &reusable);
        assert_true(reusable);
        assert_journal(&f, "put_row\nBEGIN\nset_zone\nROLLBACK\nRESET\n");
        close_fake(&f);
}

static void test_conn__the_statement_cache_is_bounded_and_drops_the_oldest(void **state)
{
        static dal_stmt stmts[20];
        static char names[20][8];
        struct fixture f = open_fake(false);
        dal_conn_options options = DAL_CONN_OPTIONS_INIT;
        char url[DAL_FAKE_URL_SIZE];
        dal_error err = DAL_ERROR_INIT;
        dal_conn *conn;
        dal_dsn *dsn;

        (void)state;
        options.statement_cache_size = 4;
        dal_fake_url(f.server, url);
        assert_int_equal(dal_dsn_parse(url, &dsn, &err), DAL_OK);
        assert_int_equal(dal_conn_open(dal_driver_fake(), dsn, &options, DAL_FOREVER, &conn, &err), DAL_OK);
        for (size_t i = 0; i < 20; i++) {
                names[i][0] = 's';
                names[i][1] = (char)('a' + i);
                stmts[i] = (dal_stmt){.name = names[i], .common = "UPDATE t SET v = 1"};
                assert_int_equal(dal_conn_exec(conn, &stmts[i], DAL_NO_PARAMS, DAL_FOREVER, NULL, &err),
                                 DAL_OK);
                assert_int_equal(dal_conn_exec(conn, &stmts[0], DAL_NO_PARAMS, DAL_FOREVER, NULL, &err),
                                 DAL_OK);
        }
        /* The first one was used all the time and is still there; of the other 19, 16 were dropped. */
        assert_int_equal(dal_conn_get_stats(conn).n_prepared, 20);
        assert_int_equal(dal_conn_get_stats(conn).n_evicted, 16);
        dal_conn_close(conn);
        dal_dsn_free(dsn);
        close_fake(&f);
}

/* The fake server prepares nothing; here it says that it can do without. */
static dal_driver of_all_kinds(void)
{
        dal_driver driver = *dal_driver_fake();

        driver.caps |= DAL_CAP_UNNAMED | DAL_CAP_TEXT;
        return driver;
}

static dal_conn *open_as(struct fixture *f, const dal_driver *driver, dal_statements statements)
{
        dal_conn_options options = DAL_CONN_OPTIONS_INIT;
        char url[DAL_FAKE_URL_SIZE];
        dal_error err = DAL_ERROR_INIT;
        dal_conn *conn = NULL;
        dal_dsn *dsn;

        options.statement_cache_size = 100;
        options.statements = statements;
        dal_fake_url(f->server, url);
        assert_int_equal(dal_dsn_parse(url, &dsn, &err), DAL_OK);
        if (dal_conn_open(driver, dsn, &options, DAL_FOREVER, &conn, &err))
                fail_msg("%s", err.message);
        dal_dsn_free(dsn);
        return conn;
}

static void test_conn__the_cache_takes_a_quarter_of_what_the_server_can_prepare(void **state)
{
        static const struct {
                dal_statements statements;
                uint32_t max_prepared, cache_size;
        } cases[] = {
                {DAL_STATEMENTS_PREPARED, 0, 100},  {DAL_STATEMENTS_PREPARED, 400, 100},
                {DAL_STATEMENTS_PREPARED, 396, 99}, {DAL_STATEMENTS_PREPARED, 10, 16},
                {DAL_STATEMENTS_UNNAMED, 10, 100},  {DAL_STATEMENTS_TEXT, 10, 100},
        };
        struct fixture f = open_fake(false);
        dal_driver driver = of_all_kinds();

        (void)state;
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
                dal_conn *conn;

                dal_fake_set_max_prepared(f.server, cases[i].max_prepared);
                conn = open_as(&f, &driver, cases[i].statements);
                assert_int_equal(dal_conn_get_stats(conn).cache_size, cases[i].cache_size);
                dal_conn_close(conn);
        }
        close_fake(&f);
}

/* The text is rewritten once all the same. */
static void test_conn__what_is_not_kept_in_the_session_is_not_counted_as_prepared(void **state)
{
        static const dal_statements kinds[] = {DAL_STATEMENTS_PREPARED, DAL_STATEMENTS_UNNAMED,
                                               DAL_STATEMENTS_TEXT};
        struct fixture f = open_fake(false);
        dal_driver driver = of_all_kinds();
        dal_error err = DAL_ERROR_INIT;

        (void)state;
        for (size_t i = 0; i < 3; i++) {
                dal_conn *conn = open_as(&f, &driver, kinds[i]);

                for (int64_t id = 0; id < 3; id++)
                        assert_int_equal(dal_conn_exec(conn, &put_row, row(id), DAL_FOREVER, NULL, &err),
                                         DAL_OK);
                assert_int_equal(dal_conn_get_stats(conn).n_prepared, kinds[i] == DAL_STATEMENTS_PREPARED);
                assert_int_equal(dal_conn_get_stats(conn).n_cached, 1);
                assert_int_equal(dal_conn_get_stats(conn).n_requests, 3);
                dal_conn_close(conn);
        }
        close_fake(&f);
}

/* What waits to be sent can't be dropped; what is too much for the cache goes as soon as it can. */
static void test_conn__a_long_queue_of_statements_does_not_swell_the_cache_for_good(void **state)
{
        static dal_stmt stmts[40];
        static char names[40][8];
        struct fixture f = open_fake(false);
        dal_error err = DAL_ERROR_INIT;
        dal_conn *conn;

        (void)state;
        dal_fake_set_max_prepared(f.server, 1); /* so 16 */
        conn = open_as(&f, dal_driver_fake(), DAL_STATEMENTS_PREPARED);
        assert_int_equal(dal_conn_begin(conn, DAL_ISOLATION_DEFAULT, false, DAL_FOREVER, &err), DAL_OK);
        for (size_t i = 0; i < 40; i++) {
                (void)snprintf(names[i], sizeof names[i], "s%zu", i);
                stmts[i] = (dal_stmt){.name = names[i], .common = "UPDATE t SET v = 1"};
                assert_int_equal(dal__conn_queue(conn, &stmts[i], DAL_NO_PARAMS, &err), DAL_OK);
        }
        assert_int_equal(dal_conn_get_stats(conn).n_cached, 40);
        assert_int_equal(dal_conn_commit(conn, DAL_FOREVER, &err), DAL_OK);
        assert_int_equal(dal_conn_exec(conn, &put_row, row(1), DAL_FOREVER, NULL, &err), DAL_OK);
        assert_int_equal(dal_conn_get_stats(conn).n_cached, 16);
        assert_int_equal(dal_conn_get_stats(conn).n_evicted, 25);
        dal_conn_close(conn);
        close_fake(&f);
}

static void test_conn__savepoints_not_yet_sent_are_undone_without_traffic(void **state)
{
        struct fixture f = open_fake(false);
        dal_error err = DAL_ERROR_INIT;

        (void)state;
        assert_int_equal(dal_conn_begin(f.conn, DAL_ISOLATION_DEFAULT, false, DAL_FOREVER, &err), DAL_OK);
        assert_int_equal(dal__conn_savepoint(f.conn, 1, &err), DAL_OK);
        assert_int_equal(dal__conn_queue(f.conn, &put_row, row(1), &err), DAL_OK);
        assert_int_equal(dal__conn_rollback_to(f.conn, 1, DAL_FOREVER, &err), DAL_OK);
        assert_int_equal(dal_conn_exec(f.conn, &put_row, row(2), DAL_FOREVER, NULL, &err), DAL_OK);
        assert_int_equal(dal_conn_commit(f.conn, DAL_FOREVER, &err), DAL_OK);
        assert_journal(&f, "BEGIN\nput_row\nCOMMIT\n");
        close_fake(&f);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_conn__begin_travels_with_the_first_statement),
                cmocka_unit_test(test_conn__queued_writes_and_commit_are_one_round_trip),
                cmocka_unit_test(test_conn__limits_travel_ahead_of_writes_queued_after_begin),
                cmocka_unit_test(test_conn__modal_begin_sends_nothing),
                cmocka_unit_test(test_conn__an_empty_transaction_sends_nothing),
                cmocka_unit_test(test_conn__an_error_before_commit_skips_commit_and_rolls_back),
                cmocka_unit_test(test_conn__commit_answered_by_rollback_is_an_error),
                cmocka_unit_test(test_conn__a_lost_commit_reply_is_in_doubt),
                cmocka_unit_test(test_conn__a_failed_transaction_takes_nothing_but_rollback),
                cmocka_unit_test(test_conn__an_open_cursor_refuses_other_statements_and_spoils_nothing),
                cmocka_unit_test(test_conn__nothing_is_sent_after_the_deadline),
                cmocka_unit_test(test_conn__a_wrong_parameter_count_names_both_numbers),
                cmocka_unit_test(test_conn__transaction_words_are_refused),
                cmocka_unit_test(test_conn__clean_rolls_back_and_resets_only_what_needs_it),
                cmocka_unit_test(test_conn__the_statement_cache_is_bounded_and_drops_the_oldest),
                cmocka_unit_test(test_conn__the_cache_takes_a_quarter_of_what_the_server_can_prepare),
                cmocka_unit_test(test_conn__what_is_not_kept_in_the_session_is_not_counted_as_prepared),
                cmocka_unit_test(test_conn__a_long_queue_of_statements_does_not_swell_the_cache_for_good),
                cmocka_unit_test(test_conn__savepoints_not_yet_sent_are_undone_without_traffic),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
