/* SPDX-License-Identifier: MIT */
/* Who asks about a lost COMMIT doesn't wait for the session that may still do it, but ends it. */
#include <dal/outcome.h>

#include "cluster_fixture.h"
#include "run/outcome.h"

static const char token[] = "010000006921c4d70000000000000007";

static void hold_token(void *arg, dal_fake_call *call)
{
        (void)arg;
        dal_fake_store_insert(call, "dal_outcome", 7, DAL_PARAMS(dal_text("C")));
}

/* A pool, one of whose sessions is to be asked about. */
struct fence {
        dal__outcome_case lost;
        dal_conn *holder;
};

static void open_fence(struct single *f, struct fence *fence)
{
        dal_pool_options options = DAL_POOL_OPTIONS_INIT;
        dal_error err = DAL_ERROR_INIT;
        char url[DAL_FAKE_URL_SIZE];
        dal_dsn *dsn;

        memset(fence, 0, sizeof *fence);
        fence->lost.here = DAL_HERE;
        fence->lost.table = "dal_outcome";
        fence->lost.token = token;
        assert_true(dal_fake_add_outcomes(f->server));
        if (f->modal)
                dal_fake_url_modal(f->server, url);
        else
                dal_fake_url(f->server, url);
        assert_ok(dal_dsn_parse(url, &dsn, &err));
        assert_ok(dal_pool_new(all_drivers()[f->modal], dsn, &options, &fence->lost.pool, &err));
        dal_dsn_free(dsn);
        assert_ok(dal_pool_acquire(fence->lost.pool, false, DAL_FOREVER, &fence->holder, &err));
        fence->lost.session_id = dal_conn_info(fence->holder)->session_id;
        fence->lost.server = dal_conn_info(fence->holder)->server;
        fence->lost.sent_at = dal_clock_now();
        fence->lost.deadline = dal_clock_after_ms(10000);
}

static void close_fence(struct fence *fence, dal_conn *conn)
{
        dal_error err = DAL_ERROR_INIT;

        dal_pool_release(fence->lost.pool, conn);
        dal_pool_release(fence->lost.pool, fence->holder);
        dal_pool_close(fence->lost.pool);
        assert_ok(dal_pool_drain(fence->lost.pool, dal_clock_after_ms(5000), &err));
        assert_ok(dal_pool_free(fence->lost.pool, &err));
}

/* The session with the token is alive, and would stay so for ever. */
static void test_outcome__the_old_session_is_ended_before_it_is_asked_about(void **state)
{
        static const dal_stmt hold = DAL_STMT("hold_token", "INSERT INTO dal_outcome VALUES (7)");
        struct single f;

        (void)state;
        for (int kind = 0; single_of_both_kinds(&f, &kind); close_single(&f)) {
                dal_outcome outcome = DAL_OUTCOME_UNKNOWN;
                dal_error err = DAL_ERROR_INIT;
                dal_conn *conn = NULL;
                struct fence fence;

                open_fence(&f, &fence);
                assert_true(dal_fake_on(f.server, "hold_token", hold_token, NULL));
                assert_ok(dal_conn_begin(fence.holder, DAL_ISOLATION_DEFAULT, false, DAL_FOREVER, &err));
                assert_ok(dal_conn_exec(fence.holder, &hold, DAL_NO_PARAMS, DAL_FOREVER, NULL, &err));
                assert_ok(dal__outcome_resolve(&fence.lost, &conn, &outcome, &err));
                assert_int_equal(outcome, DAL_OUTCOME_NOT_COMMITTED);
                assert_fails(dal_conn_commit(fence.holder, DAL_FOREVER, &err), DAL_CLASS_COMMIT_UNKNOWN);
                close_fence(&fence, conn);
        }
}

/* After a fail-over the number belongs to somebody else, or to nobody: the answer does not need anybody's end. */
static void test_outcome__a_session_of_another_server_is_left_alone(void **state)
{
        static const uint64_t servers[][2] = {{1, 2}, {1, 1}, {0, 2}, {1, 0}};
        struct single f;

        (void)state;
        for (size_t i = 0; i < sizeof servers / sizeof servers[0]; i++)
                for (int kind = 0; single_of_both_kinds(&f, &kind); close_single(&f)) {
                        dal_outcome outcome = DAL_OUTCOME_UNKNOWN;
                        dal_error err = DAL_ERROR_INIT;
                        dal_conn *conn = NULL;
                        struct fence fence;

                        dal_fake_set_identity(f.server, servers[i][0]);
                        open_fence(&f, &fence);
                        dal_fake_set_identity(f.server, servers[i][1]);
                        assert_ok(dal__outcome_resolve(&fence.lost, &conn, &outcome, &err));
                        assert_int_equal(outcome, DAL_OUTCOME_NOT_COMMITTED);
                        assert_int_equal(dal_fake_journal_count(f.server, "END SESSION"), i > 0);
                        assert_int_equal(dal_conn_ping(fence.holder, DAL_FOREVER, &err) == DAL_OK, i == 0);
                        close_fence(&fence, conn);
                }
}

static dal_status put_and_fail_over(dal_tx *tx, void *arg, dal_error *err)
{
        struct single *f = arg;

        dal_fake_set_identity(f->server, dal_tx_info(tx)->server + 1);
        return dal_tx_exec(tx, &put_row, ROW(next_id()), NULL, err);
}

/* The same of a whole run: the answer to COMMIT is lost, and the next connection leads to another server. */
static void test_outcome__a_run_tells_servers_apart(void **state)
{
        struct single f;

        (void)state;
        for (int i = 0; i < 4; i++) {
                dal_error err = DAL_ERROR_INIT;
                bool moves = i >= 2;

                init_single(&f, i % 2 == 1);
                assert_true(dal_fake_add_outcomes(f.server));
                dal_fake_set_identity(f.server, 7);
                open_single(&f);
                inject(f.server, (dal_fake_fault){.match = "COMMIT",
                                                  .error_class = DAL_CLASS_CONNECTION_LOST,
                                                  .executed = true});
                assert_ok(dal_cluster_run(f.cluster, dal_key_int64(1), NULL,
                                          moves ? put_and_fail_over : put_next, &f, &err));
                assert_int_equal(dal_fake_journal_count(f.server, "END SESSION"), !moves);
                close_single(&f);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_outcome__the_old_session_is_ended_before_it_is_asked_about),
                cmocka_unit_test(test_outcome__a_session_of_another_server_is_left_alone),
                cmocka_unit_test(test_outcome__a_run_tells_servers_apart),
        };

        return cmocka_run_group_tests_name("outcome_fence", tests, NULL, NULL);
}
