/* SPDX-License-Identifier: MIT */
/* The fake driver, slot by slot, without the core in between: what the other tests take for granted of it. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <dal/dal.h>
#include <dal/drivers/fake.h>

#define SOON dal_clock_after_ms(5000)

/* A session opened through the driver's own table. */
struct session {
        const dal_driver *driver;
        void *conn;
        dal_driver_stmt stmt;
        void *stmt_state;
        dal_request requests[8];
        size_t n_requests;
        dal_error err;
};

static dal_status open_session(struct session *s, dal_fake_server *server, bool modal, bool tx_mode)
{
        char url[DAL_FAKE_URL_SIZE];
        dal_open_args args;
        dal_dsn *dsn = NULL;
        dal_status status;

        memset(s, 0, sizeof *s);
        s->driver = modal ? dal_driver_fake_modal() : dal_driver_fake();
        s->conn = calloc(1, s->driver->conn_size);
        s->stmt_state = calloc(1, s->driver->stmt_size);
        assert_true(s->conn && s->stmt_state);
        if (modal)
                dal_fake_url_modal(server, url);
        else
                dal_fake_url(server, url);
        assert_int_equal(dal_dsn_parse(url, &dsn, &s->err), DAL_OK);
        memset(&args, 0, sizeof args);
        args.dsn = dsn;
        args.service = "test";
        args.user = "";
        args.tx_mode = tx_mode;
        status = s->driver->open(s->conn, &args, SOON, &s->err);
        dal_dsn_free(dsn);
        return status;
}

static void close_session(struct session *s)
{
        s->driver->close(s->conn);
        free(s->conn);
        free(s->stmt_state);
}

static dal_request *queue_kind(struct session *s, dal_request_kind kind)
{
        dal_request *request = &s->requests[s->n_requests++ % 8];

        memset(request, 0, sizeof *request);
        request->kind = kind;
        return request;
}

static void queue(struct session *s, const dal_request *request)
{
        assert_int_equal(s->driver->queue(s->conn, request, &s->err), DAL_OK);
}

static void queue_text(struct session *s, const char *text)
{
        dal_request *request = queue_kind(s, DAL_REQUEST_TEXT);

        request->text = text;
        request->text_size = strlen(text);
        queue(s, request);
}

static void flush(struct session *s)
{
        assert_int_equal(s->driver->flush(s->conn, SOON, &s->err), DAL_OK);
}

static dal_status result(struct session *s)
{
        dal_result out;

        return s->driver->result(s->conn, SOON, &out, &s->err);
}

static dal_status run_text(struct session *s, const char *text)
{
        queue_text(s, text);
        flush(s);
        return result(s);
}

static dal_status run_kind(struct session *s, dal_request_kind kind)
{
        queue(s, queue_kind(s, kind));
        flush(s);
        return result(s);
}

static void assert_journal(dal_fake_server *server, const char *wanted)
{
        char text[1024];

        dal_fake_journal(server, 0, text, sizeof text);
        assert_string_equal(text, wanted);
        dal_fake_journal_clear(server);
}

/* --- Tests --------------------------------------------------------------------------------------------- */

static void test_fake__tables_are_complete(void **state)
{
        dal_error err = DAL_ERROR_INIT;

        (void)state;
        assert_int_equal(dal_driver_check(dal_driver_fake(), &err), DAL_OK);
        assert_int_equal(dal_driver_check(dal_driver_fake_modal(), &err), DAL_OK);
}

static void test_fake__url_without_a_server_refused(void **state)
{
        static const char *const urls[] = {"fake:", "fake:?fake=", "fake:?fake=hello", "fake:?fake=0"};

        (void)state;
        for (size_t i = 0; i < sizeof urls / sizeof urls[0]; i++) {
                dal_error err = DAL_ERROR_INIT;
                dal_dsn *dsn = NULL;
                dal_conn *conn = NULL;
                assert_int_equal(dal_dsn_parse(urls[i], &dsn, &err), DAL_OK);
                assert_int_equal(dal_conn_open(dal_driver_fake(), dsn, NULL, SOON, &conn, &err), DAL_ERR_ARG);
                assert_non_null(strstr(err.message, "dal_fake_url"));
                dal_dsn_free(dsn);
        }
}

static void test_fake__a_flush_is_one_round_trip_or_one_for_each_request(void **state)
{
        (void)state;
        for (int modal = 0; modal < 2; modal++) {
                dal_fake_server *server = dal_fake_new();
                struct session s;
                assert_int_equal(open_session(&s, server, modal, false), DAL_OK);
                for (int i = 0; i < 3; i++)
                        queue_text(&s, "a");
                flush(&s);
                for (int i = 0; i < 3; i++)
                        assert_int_equal(result(&s), DAL_OK);
                assert_int_equal(result(&s), DAL_ERR_STATE);
                assert_int_equal(dal_fake_get_stats(server).n_round_trips, modal ? 3 : 1);
                close_session(&s);
                assert_journal(server, "OPEN\na\na\na\nCLOSE\n");
                dal_fake_free(server);
        }
}

static void test_fake__after_a_failure_the_rest_of_the_flush_is_not_executed(void **state)
{
        (void)state;
        for (int modal = 0; modal < 2; modal++) {
                dal_fake_server *server = dal_fake_new();
                struct session s;
                assert_int_equal(open_session(&s, server, modal, false), DAL_OK);
                dal_fake_inject(server, &(dal_fake_fault){.match = "b", .error_class = DAL_CLASS_CHECK});
                queue_text(&s, "a");
                queue_text(&s, "b");
                queue_text(&s, "c");
                flush(&s);
                assert_int_equal(result(&s), DAL_OK);
                assert_int_equal(result(&s), DAL_ERR_CONSTRAINT);
                assert_int_equal(result(&s), DAL_ERR_STATE);
                assert_int_equal(s.err.error_class, DAL_CLASS_NOT_EXECUTED);
                assert_int_equal(run_text(&s, "d"), DAL_OK); /* the next flush starts afresh */
                close_session(&s);
                assert_journal(server, "OPEN\na\nb !check\nd\nCLOSE\n");
                dal_fake_free(server);
        }
}

static void test_fake__begin_is_free_in_transaction_mode(void **state)
{
        dal_fake_server *server = dal_fake_new();
        struct session s;

        (void)state;
        assert_int_equal(open_session(&s, server, true, true), DAL_OK);
        assert_int_equal(run_kind(&s, DAL_REQUEST_BEGIN), DAL_OK);
        assert_int_equal(dal_fake_get_stats(server).n_round_trips, 0);
        assert_int_equal(s.driver->tx_state(s.conn), DAL_TX_STATE_IDLE);
        assert_int_equal(run_text(&s, "a"), DAL_OK);
        assert_int_equal(s.driver->tx_state(s.conn), DAL_TX_STATE_ACTIVE);
        assert_int_equal(run_kind(&s, DAL_REQUEST_MODE), DAL_ERR_STATE);
        assert_int_equal(run_kind(&s, DAL_REQUEST_COMMIT), DAL_OK);
        assert_int_equal(run_kind(&s, DAL_REQUEST_MODE), DAL_OK);
        assert_int_equal(run_text(&s, "b"), DAL_OK);
        assert_int_equal(s.driver->tx_state(s.conn), DAL_TX_STATE_IDLE);
        assert_int_equal(dal_fake_get_stats(server).n_commits, 1);
        close_session(&s);
        assert_journal(server,
                       "OPEN\nBEGIN\na\nMODE autocommit !tx_state\nCOMMIT\nMODE autocommit\nb\nCLOSE\n");
        dal_fake_free(server);
}

/* An error fails the transaction of the one kind; of the other kind a deadlock ends it without a word. */
static void test_fake__each_kind_has_its_own_failures(void **state)
{
        static const struct {
                bool modal;
                dal_error_class error_class;
                dal_tx_state after;
                dal_status commit;
        } list[] = {
                {false, DAL_CLASS_CHECK, DAL_TX_STATE_FAILED, DAL_ERR_STATE},
                {false, DAL_CLASS_DEADLOCK, DAL_TX_STATE_FAILED, DAL_ERR_STATE},
                {true, DAL_CLASS_CHECK, DAL_TX_STATE_ACTIVE, DAL_OK},
                {true, DAL_CLASS_DEADLOCK, DAL_TX_STATE_IDLE, DAL_OK},
        };

        (void)state;
        for (size_t i = 0; i < sizeof list / sizeof list[0]; i++) {
                dal_fake_server *server = dal_fake_new();
                struct session s;
                assert_int_equal(open_session(&s, server, list[i].modal, false), DAL_OK);
                dal_fake_inject(server, &(dal_fake_fault){.match = "b", .error_class = list[i].error_class});
                assert_int_equal(run_kind(&s, DAL_REQUEST_BEGIN), DAL_OK);
                assert_int_equal(run_text(&s, "a"), DAL_OK);
                assert_int_not_equal(run_text(&s, "b"), DAL_OK);
                assert_int_equal(s.err.tx_gone, list[i].after == DAL_TX_STATE_IDLE);
                assert_int_equal(s.driver->tx_state(s.conn), list[i].after);
                if (list[i].after == DAL_TX_STATE_FAILED)
                        assert_int_equal(run_text(&s, "c"), DAL_ERR_STATE);
                assert_int_equal(run_kind(&s, DAL_REQUEST_COMMIT), list[i].commit);
                assert_int_equal(s.driver->tx_state(s.conn), DAL_TX_STATE_IDLE);
                close_session(&s);
                dal_fake_free(server);
        }
}

static void test_fake__faults_are_counted_and_matched(void **state)
{
        dal_fake_server *server = dal_fake_new();
        struct session s;

        (void)state;
        dal_fake_inject(server, &(dal_fake_fault){.at = DAL_FAKE_AT_OPEN, .error_class = DAL_CLASS_AUTH});
        assert_int_equal(open_session(&s, server, false, false), DAL_ERR_AUTH);
        close_session(&s); /* legal after a failed open */
        assert_int_equal(open_session(&s, server, false, false), DAL_OK);
        dal_fake_inject(server,
                        &(dal_fake_fault){
                                .match = "b", .skip = 1, .times = 2, .error_class = DAL_CLASS_LOCK_TIMEOUT});
        assert_int_equal(run_text(&s, "b1"), DAL_OK);
        assert_int_equal(run_text(&s, "a"), DAL_OK);
        assert_int_equal(run_text(&s, "b2"), DAL_ERR_CONFLICT);
        assert_true(s.err.retry_tx);
        assert_string_equal(s.err.sqlstate, "55P03");
        assert_int_equal(run_text(&s, "b3"), DAL_ERR_CONFLICT);
        assert_int_equal(run_text(&s, "b4"), DAL_OK);
        assert_int_equal(dal_fake_get_stats(server).n_faults, 3);
        assert_int_equal(dal_fake_get_stats(server).n_refused, 1);
        assert_int_equal(dal_fake_journal_count(server, "b"), 4);
        close_session(&s);
        dal_fake_free(server);
}

static void test_fake__flush_fault_says_nothing_was_sent(void **state)
{
        dal_fake_server *server = dal_fake_new();
        struct session s;

        (void)state;
        assert_int_equal(open_session(&s, server, false, false), DAL_OK);
        dal_fake_journal_clear(server);
        dal_fake_inject(server, &(dal_fake_fault){.at = DAL_FAKE_AT_FLUSH,
                                                  .error_class = DAL_CLASS_CONNECTION_LOST,
                                                  .not_sent = true});
        queue_text(&s, "a");
        assert_int_equal(s.driver->flush(s.conn, SOON, &s.err), DAL_ERR_CONN);
        assert_true(s.err.not_sent && s.err.conn_gone);
        assert_int_equal(s.driver->tx_state(s.conn), DAL_TX_STATE_UNKNOWN);
        assert_int_equal(dal_fake_get_stats(server).n_live, 0);
        close_session(&s);
        assert_journal(server, "CLOSE\n");
        dal_fake_free(server);
}

static void test_fake__hang_lasts_until_the_deadline(void **state)
{
        dal_fake_server *server = dal_fake_new();
        struct session s;
        dal_result out;
        int64_t begun, took_ms;

        (void)state;
        assert_int_equal(open_session(&s, server, false, false), DAL_OK);
        dal_fake_inject(server, &(dal_fake_fault){.hang = true});
        queue_text(&s, "a");
        flush(&s);
        begun = dal_clock_now();
        assert_int_equal(s.driver->result(s.conn, dal_clock_after_ms(100), &out, &s.err), DAL_ERR_TIMEOUT);
        took_ms = (dal_clock_now() - begun) / 1000000;
        assert_in_range(took_ms, 100, 1000);
        assert_true(s.err.conn_gone); /* its answer may still come */
        close_session(&s);
        dal_fake_free(server);
}

static void test_fake__killed_session_is_lost(void **state)
{
        dal_fake_server *server = dal_fake_new();
        struct session s;
        int64_t value;

        (void)state;
        assert_int_equal(open_session(&s, server, false, false), DAL_OK);
        assert_int_equal(run_kind(&s, DAL_REQUEST_BEGIN), DAL_OK);
        assert_int_equal(dal_fake_get_stats(server).n_in_tx, 1);
        dal_fake_kill(server, 0);
        assert_int_equal(dal_fake_get_stats(server).n_live, 0);
        assert_int_equal(dal_fake_get_stats(server).n_in_tx, 0);
        assert_int_equal(run_kind(&s, DAL_REQUEST_COMMIT), DAL_ERR_CONN);
        assert_true(s.err.conn_gone && !s.err.not_sent);
        close_session(&s);
        assert_false(dal_fake_peek(server, "t", 1, &value));
        dal_fake_free(server);
}

static void put(void *arg, dal_fake_call *call)
{
        int64_t key = dal_fake_call_params(call).values[0].as.int64;

        (void)arg;
        if (dal_fake_store_insert(call, "t", key, dal_fake_call_params(call)))
                dal_fake_call_count(call, 1);
}

static dal_status run_put(struct session *s, int64_t key)
{
        dal_value value = dal_int64(key);
        dal_request *request = queue_kind(s, DAL_REQUEST_STMT);

        s->stmt.name = "put";
        s->stmt.text = "put";
        s->stmt.state = s->stmt_state;
        request->stmt = &s->stmt;
        request->params = (dal_params){&value, 1};
        queue(s, request);
        flush(s);
        return result(s);
}

static dal_status run_savepoint(struct session *s, dal_request_kind kind, uint32_t number)
{
        dal_request *request = queue_kind(s, kind);

        request->savepoint = number;
        queue(s, request);
        flush(s);
        return result(s);
}

static void test_fake__savepoint_undoes_what_came_after_it(void **state)
{
        (void)state;
        for (int modal = 0; modal < 2; modal++) {
                dal_fake_server *server = dal_fake_new();
                struct session s;
                int64_t value;
                assert_true(dal_fake_on(server, "put", put, NULL));
                assert_int_equal(open_session(&s, server, modal, false), DAL_OK);
                assert_int_equal(run_kind(&s, DAL_REQUEST_BEGIN), DAL_OK);
                assert_int_equal(run_put(&s, 1), DAL_OK);
                assert_int_equal(run_savepoint(&s, DAL_REQUEST_SAVEPOINT, 1), DAL_OK);
                assert_int_equal(run_put(&s, 2), DAL_OK);
                assert_int_equal(run_put(&s, 1), DAL_ERR_CONSTRAINT);
                assert_string_equal(s.err.constraint, "t_pkey");
                assert_int_equal(run_savepoint(&s, DAL_REQUEST_ROLLBACK_TO, 1), DAL_OK);
                assert_int_equal(run_put(&s, 3), DAL_OK);
                assert_int_equal(run_savepoint(&s, DAL_REQUEST_RELEASE, 1), DAL_OK);
                assert_false(dal_fake_peek(server, "t", 1, &value)); /* nothing is committed yet */
                assert_int_equal(run_kind(&s, DAL_REQUEST_COMMIT), DAL_OK);
                assert_true(dal_fake_peek(server, "t", 1, &value) && value == 1);
                assert_false(dal_fake_peek(server, "t", 2, &value));
                assert_true(dal_fake_peek(server, "t", 3, &value) && value == 3);
                assert_int_equal(dal_fake_get_stats(server).n_prepared, 1);
                close_session(&s);
                dal_fake_free(server);
        }
}

static void test_fake__the_last_handler_that_fits_answers(void **state)
{
        dal_fake_server *server = dal_fake_new();
        struct session s;

        (void)state;
        assert_true(dal_fake_on(server, "put*", put, NULL));
        assert_int_equal(open_session(&s, server, false, false), DAL_OK);
        assert_int_equal(run_put(&s, 1), DAL_OK);
        assert_int_equal(run_put(&s, 1), DAL_ERR_CONSTRAINT);
        assert_true(dal_fake_on(server, "put", NULL, NULL)); /* the default again */
        assert_int_equal(run_put(&s, 1), DAL_OK);
        close_session(&s);
        dal_fake_free(server);
}

static void test_fake__down_refuses_and_comes_back(void **state)
{
        dal_fake_server *server = dal_fake_new();
        struct session s, second;

        (void)state;
        assert_int_equal(open_session(&s, server, false, false), DAL_OK);
        dal_fake_set_down(server, true);
        assert_int_equal(s.driver->ping(s.conn, SOON, &s.err), DAL_ERR_CONN);
        assert_int_equal(open_session(&second, server, false, false), DAL_ERR_CONN);
        close_session(&second);
        dal_fake_set_down(server, false);
        assert_int_equal(open_session(&second, server, false, false), DAL_OK);
        close_session(&second);
        close_session(&s);
        dal_fake_free(server);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_fake__tables_are_complete),
                cmocka_unit_test(test_fake__url_without_a_server_refused),
                cmocka_unit_test(test_fake__a_flush_is_one_round_trip_or_one_for_each_request),
                cmocka_unit_test(test_fake__after_a_failure_the_rest_of_the_flush_is_not_executed),
                cmocka_unit_test(test_fake__begin_is_free_in_transaction_mode),
                cmocka_unit_test(test_fake__each_kind_has_its_own_failures),
                cmocka_unit_test(test_fake__faults_are_counted_and_matched),
                cmocka_unit_test(test_fake__flush_fault_says_nothing_was_sent),
                cmocka_unit_test(test_fake__hang_lasts_until_the_deadline),
                cmocka_unit_test(test_fake__killed_session_is_lost),
                cmocka_unit_test(test_fake__savepoint_undoes_what_came_after_it),
                cmocka_unit_test(test_fake__the_last_handler_that_fits_answers),
                cmocka_unit_test(test_fake__down_refuses_and_comes_back),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
