/* SPDX-License-Identifier: MIT */
/* What a connection's state is taken from: the server's word and the clock, not what the library believes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
/* cmocka needs the four above first. Source: cmocka.h */
#include <cmocka.h>

#include "pool_rig.h"

static const dal_stmt put_row = DAL_STMT("put_row", "INSERT INTO t (id, v) VALUES (?, ?)");

/* ---- the server's word ---- */

/* A server that says, of one connection, that it is in a transaction which nobody here began. */
static dal_driver driver;
static const void *in_tx;   /* the driver's state of that connection; NULL = none */
static bool rollback_helps; /* it believes a ROLLBACK */

static dal_tx_state say_state(void *state)
{
        return state == in_tx ? DAL_TX_STATE_ACTIVE : dal_driver_fake()->tx_state(state);
}

static dal_status note_state(void *state, const dal_open_args *args, dal_deadline deadline, dal_error *err)
{
        in_tx = state;
        return dal_driver_fake()->open(state, args, deadline, err);
}

static dal_status queue_request(void *state, const dal_request *request, dal_error *err)
{
        if (request->kind == DAL_REQUEST_ROLLBACK && state == in_tx && rollback_helps)
                in_tx = NULL;
        return dal_driver_fake()->queue(state, request, err);
}

static struct rig new_suspect_rig(void)
{
        dal_pool_options options = small_pool(1);
        struct rig rig;
        char url[DAL_FAKE_URL_SIZE];
        dal_dsn *dsn;

        driver = *dal_driver_fake();
        driver.open = note_state;
        driver.tx_state = say_state;
        driver.queue = queue_request;
        memset(&rig, 0, sizeof rig);
        rig.server = dal_fake_new();
        assert_non_null(rig.server);
        dal_fake_url(rig.server, url);
        assert_int_equal(dal_dsn_parse(url, &dsn, &rig.err), DAL_OK);
        if (dal_pool_new(&driver, dsn, &options, &rig.pool, &rig.err))
                fail_msg("%s", rig.err.message);
        dal_dsn_free(dsn);
        return rig;
}

static void test_conn_state__what_the_server_has_open_is_rolled_back(void **state)
{
        struct rig rig = new_suspect_rig();

        (void)state;
        rollback_helps = true;
        dal_pool_release(rig.pool, lease(&rig));
        assert_null(in_tx);
        assert_int_equal(dal_fake_journal_count(rig.server, "ROLLBACK"), 1);
        dal_pool_release(rig.pool, lease(&rig));
        assert_int_equal(dal_fake_get_stats(rig.server).n_opened, 1);
        end_rig(&rig);
}

static void test_conn_state__what_the_server_keeps_open_is_never_lent_again(void **state)
{
        struct rig rig = new_suspect_rig();

        (void)state;
        rollback_helps = false;
        dal_pool_release(rig.pool, lease(&rig));
        in_tx = NULL; /* the next one is a good one */
        dal_pool_release(rig.pool, lease(&rig));
        assert_int_equal(dal_fake_get_stats(rig.server).n_opened, 2);
        end_rig(&rig);
}

/* ---- the clock ---- */

static void test_conn_state__after_the_deadline_nothing_is_sent(void **state)
{
        dal_pool_options options = small_pool(1);

        (void)state;
        for (int modal = 0; modal < 2; modal++) {
                struct rig rig = new_rig_of(&options, modal);
                dal_conn *conn = lease(&rig);
                uint64_t n_before = dal_fake_get_stats(rig.server).n_requests;
                dal_deadline passed = dal_clock_now() - 1;
                dal_params row = DAL_PARAMS(dal_int64(1), dal_int64(1));

                assert_int_equal(dal_conn_exec(conn, &put_row, row, passed, NULL, &rig.err), DAL_ERR_TIMEOUT);
                assert_true(rig.err.not_sent && !rig.err.conn_gone);
                assert_int_equal(dal_conn_ping(conn, passed, &rig.err), DAL_ERR_TIMEOUT);
                assert_true(rig.err.not_sent && !rig.err.conn_gone);
                assert_int_equal(dal_fake_get_stats(rig.server).n_requests, n_before);
                /* So it is as good as before. */
                assert_int_equal(dal_conn_exec(conn, &put_row, row, dal_clock_after_ms(5000), NULL, &rig.err),
                                 DAL_OK);
                dal_pool_release(rig.pool, conn);
                assert_int_equal(dal_pool_get_stats(rig.pool).n_closed, 0);
                end_rig(&rig);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_conn_state__what_the_server_has_open_is_rolled_back),
                cmocka_unit_test(test_conn_state__what_the_server_keeps_open_is_never_lent_again),
                cmocka_unit_test(test_conn_state__after_the_deadline_nothing_is_sent),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
