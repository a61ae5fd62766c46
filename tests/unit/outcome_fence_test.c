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

/* The session with the token is alive, and would stay so for ever. */
static void test_outcome__the_old_session_is_ended_before_it_is_asked_about(void **state)
{
        static const dal_stmt hold = DAL_STMT("hold_token", "INSERT INTO dal_outcome VALUES (7)");
        struct single f;

        (void)state;
        for (int kind = 0; single_of_both_kinds(&f, &kind); close_single(&f)) {
                dal__outcome_case lost = {.here = DAL_HERE, .table = "dal_outcome", .token = token};
                dal_pool_options options = DAL_POOL_OPTIONS_INIT;
                dal_outcome outcome = DAL_OUTCOME_UNKNOWN;
                dal_error err = DAL_ERROR_INIT;
                dal_conn *holder, *conn = NULL;
                char url[DAL_FAKE_URL_SIZE];
                int64_t begun = dal_clock_now();
                dal_dsn *dsn;

                assert_true(dal_fake_add_outcomes(f.server));
                assert_true(dal_fake_on(f.server, "hold_token", hold_token, NULL));
                if (f.modal)
                        dal_fake_url_modal(f.server, url);
                else
                        dal_fake_url(f.server, url);
                assert_ok(dal_dsn_parse(url, &dsn, &err));
                assert_ok(dal_pool_new(all_drivers()[f.modal], dsn, &options, &lost.pool, &err));
                dal_dsn_free(dsn);
                assert_ok(dal_pool_acquire(lost.pool, false, DAL_FOREVER, &holder, &err));
                assert_ok(dal_conn_begin(holder, DAL_ISOLATION_DEFAULT, false, DAL_FOREVER, &err));
                assert_ok(dal_conn_exec(holder, &hold, DAL_NO_PARAMS, DAL_FOREVER, NULL, &err));

                lost.session_id = dal_conn_info(holder)->session_id;
                lost.sent_at = begun;
                lost.deadline = dal_clock_after_ms(10000);
                assert_ok(dal__outcome_resolve(&lost, &conn, &outcome, &err));
                assert_int_equal(outcome, DAL_OUTCOME_NOT_COMMITTED);
                assert_fails(dal_conn_commit(holder, DAL_FOREVER, &err), DAL_CLASS_COMMIT_UNKNOWN);

                dal_pool_release(lost.pool, conn);
                dal_pool_release(lost.pool, holder);
                dal_pool_close(lost.pool);
                assert_ok(dal_pool_drain(lost.pool, dal_clock_after_ms(5000), &err));
                assert_ok(dal_pool_free(lost.pool, &err));
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_outcome__the_old_session_is_ended_before_it_is_asked_about),
        };

        return cmocka_run_group_tests_name("outcome_fence", tests, NULL, NULL);
}
