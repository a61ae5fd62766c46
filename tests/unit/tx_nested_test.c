/* SPDX-License-Identifier: MIT */
/* dal_tx_run(): what a savepoint contains, and what it can't. */
#include "nested_fixture.h"

static void test_tx_nested__a_savepoint_travels_with_what_follows(void **state)
{
        struct lone f;

        (void)state;
        for (int i = 0; both_kinds(&f, &i); close_lone(&f)) {
                dal_error err = DAL_ERROR_INIT;
                int64_t id = 2;
                struct plan plan = PLAN(.nested = put_one, .arg = &id);
                uint64_t before = dal_fake_get_stats(f.server).n_round_trips;

                assert_ok(attempt(&f, outer, &plan, &err));
                assert_int_equal(plan.got, DAL_OK);
                assert_journal(f.server,
                               "BEGIN\nput_row\nSAVEPOINT 1\nput_row\nRELEASE 1\nput_row\nCOMMIT\n");
                assert_true(has_row(f.server, 1) && has_row(f.server, 2) && has_row(f.server, 9));
                assert_int_equal(dal_fake_get_stats(f.server).n_round_trips - before, f.modal ? 6 : 4);
        }
}

static void test_tx_nested__a_unique_violation_is_undone_and_the_outer_goes_on(void **state)
{
        struct lone f;

        (void)state;
        for (int i = 0; both_kinds(&f, &i); close_lone(&f)) {
                dal_error err = DAL_ERROR_INIT;
                int64_t id = 1; /* the outer function has put it already */
                struct plan plan = PLAN(.nested = put_one, .arg = &id);

                assert_ok(attempt(&f, outer, &plan, &err));
                assert_int_equal(plan.got, DAL_ERR_CONSTRAINT);
                assert_int_equal(plan.got_error.error_class, DAL_CLASS_UNIQUE);
                assert_int_equal(plan.got_error.shard, LONE_SHARD);
                assert_false(plan.got_error.retry_tx);
                assert_journal(f.server,
                               "BEGIN\nput_row\nSAVEPOINT 1\nput_row !unique\nROLLBACK TO 1\nRELEASE "
                               "1\nput_row\nCOMMIT\n");
                assert_true(has_row(f.server, 1) && has_row(f.server, 9));
                assert_idle(&f);
        }
}

static void test_tx_nested__the_authors_refusal_is_undone(void **state)
{
        struct lone f;

        (void)state;
        for (int i = 0; both_kinds(&f, &i); close_lone(&f)) {
                dal_error err = DAL_ERROR_INIT;
                int64_t id = 2;
                struct plan plan = PLAN(.nested = put_and_refuse, .arg = &id);

                assert_ok(attempt(&f, outer, &plan, &err));
                assert_int_equal(plan.got, DAL_ERR_APP);
                assert_string_equal(plan.got_error.message, "changed my mind");
                assert_true(has_row(f.server, 1) && has_row(f.server, 9));
                assert_false(has_row(f.server, 2));
        }
}

static void test_tx_nested__a_failure_passed_on_rolls_everything_back(void **state)
{
        struct lone f;

        (void)state;
        for (int i = 0; both_kinds(&f, &i); close_lone(&f)) {
                dal_error err = DAL_ERROR_INIT;
                int64_t id = 2;
                struct plan plan = PLAN(.nested = put_and_refuse, .arg = &id, .pass_on = true);

                assert_fails(attempt(&f, outer, &plan, &err), DAL_CLASS_APP);
                assert_false(has_row(f.server, 1) || has_row(f.server, 2));
                assert_idle(&f);
        }
}

/* ---- queued writes ---- */

static void test_tx_nested__the_outers_queue_is_sent_before_the_savepoint(void **state)
{
        struct lone f;

        (void)state;
        for (int i = 0; both_kinds(&f, &i); close_lone(&f)) {
                dal_error err = DAL_ERROR_INIT;
                int64_t id = 1;
                struct plan plan = PLAN(.nested = put_one, .arg = &id, .queue_first = true);

                assert_ok(attempt(&f, outer, &plan, &err));
                assert_int_equal(plan.got, DAL_ERR_CONSTRAINT);
                assert_journal(f.server,
                               "BEGIN\nput_row\nSAVEPOINT 1\nput_row !unique\nROLLBACK TO 1\nRELEASE "
                               "1\nput_row\nCOMMIT\n");
                assert_true(has_row(f.server, 1) && has_row(f.server, 9));
        }
}

static void test_tx_nested__a_failure_of_the_outers_queue_belongs_to_the_outer(void **state)
{
        struct lone f;

        (void)state;
        for (int i = 0; both_kinds(&f, &i); close_lone(&f)) {
                dal_error err = DAL_ERROR_INIT;
                struct plan plan = PLAN(.nested = must_not_run, .queue_first = true, .stop = true);

                inject(f.server, (dal_fake_fault){.match = "put_row", .error_class = DAL_CLASS_CHECK});
                assert_fails(attempt(&f, outer, &plan, &err), DAL_CLASS_COMMIT_ROLLED_BACK);
                assert_int_equal(plan.got_error.error_class, DAL_CLASS_CHECK);
                assert_has(err.message, "put_row");
                assert_int_equal(dal_fake_journal_count(f.server, "SAVEPOINT"), 0);
                assert_idle(&f);
        }
}

static void test_tx_nested__its_own_queue_fails_inside_its_savepoint(void **state)
{
        struct lone f;

        (void)state;
        for (int i = 0; both_kinds(&f, &i); close_lone(&f)) {
                dal_error err = DAL_ERROR_INIT;
                int64_t id = 1;
                struct plan plan = PLAN(.nested = queue_one, .arg = &id);

                assert_ok(attempt(&f, outer, &plan, &err));
                assert_int_equal(plan.got_error.error_class, DAL_CLASS_UNIQUE);
                assert_true(has_row(f.server, 1) && has_row(f.server, 9));
                id = 2;
                plan = (struct plan)PLAN(.nested = queue_one, .arg = &id, .stop = true);
                dal_fake_journal_clear(f.server);
                assert_fails(attempt(&f, outer, &plan, &err), DAL_CLASS_UNIQUE); /* row 1 is there */
                assert_int_equal(dal_fake_journal_count(f.server, "SAVEPOINT"), 0);
        }
}

static dal_status queue_and_refuse(dal_tx *tx, void *arg, dal_error *err)
{
        dal_status s = queue_one(tx, arg, err);

        return s ? s : dal_fail(err, DAL_ERR_APP, "no");
}

static void test_tx_nested__a_queue_given_up_is_never_sent(void **state)
{
        struct lone f;

        (void)state;
        for (int i = 0; both_kinds(&f, &i); close_lone(&f)) {
                dal_error err = DAL_ERROR_INIT;
                int64_t id = 2;
                struct plan plan = PLAN(.nested = queue_and_refuse, .arg = &id);

                assert_ok(attempt(&f, outer, &plan, &err));
                assert_journal(f.server, "BEGIN\nput_row\nput_row\nCOMMIT\n");
                assert_false(has_row(f.server, 2));
        }
}

static void test_tx_nested__nothing_asked_costs_no_round_trip(void **state)
{
        struct lone f = open_lone(false);
        dal_error err = DAL_ERROR_INIT;
        struct plan plan = PLAN(.nested = do_nothing);
        uint64_t before = dal_fake_get_stats(f.server).n_round_trips;

        (void)state;
        assert_ok(attempt(&f, outer, &plan, &err));
        assert_int_equal(dal_fake_get_stats(f.server).n_round_trips - before, 3);
        close_lone(&f);
}

/* ---- what a savepoint can't contain ---- */

static void test_tx_nested__contention_ends_the_whole_transaction(void **state)
{
        static const dal_error_class classes[] = {DAL_CLASS_DEADLOCK, DAL_CLASS_SERIALIZATION,
                                                  DAL_CLASS_LOCK_TIMEOUT, DAL_CLASS_STALE_MAP,
                                                  DAL_CLASS_CONNECTION_LOST};
        struct lone f;

        (void)state;
        for (size_t c = 0; c < sizeof classes / sizeof classes[0]; c++)
                for (int i = 0; both_kinds(&f, &i); close_lone(&f)) {
                        dal_error err = DAL_ERROR_INIT;
                        int64_t id = 1;
                        struct plan plan = PLAN(.nested = set_one, .arg = &id, .stop = true);

                        inject(f.server, (dal_fake_fault){.match = "set_row", .error_class = classes[c]});
                        assert_fails(attempt(&f, outer, &plan, &err), classes[c]);
                        assert_int_equal(plan.got_error.error_class, classes[c]);
                        assert_true(err.retry_tx);
                        assert_int_equal(dal_fake_journal_count(f.server, "ROLLBACK TO"), 0);
                        assert_int_equal(dal_fake_journal_count(f.server, "COMMIT"), 0);
                        assert_false(has_row(f.server, 1));
                        assert_idle(&f);
                }
}

static void test_tx_nested__after_contention_the_outer_can_do_nothing(void **state)
{
        struct lone f;

        (void)state;
        for (int i = 0; both_kinds(&f, &i); close_lone(&f)) {
                dal_error err = DAL_ERROR_INIT;
                int64_t id = 1;
                struct plan plan = PLAN(.nested = set_one, .arg = &id);

                inject(f.server, (dal_fake_fault){.match = "set_row", .error_class = DAL_CLASS_DEADLOCK});
                assert_fails(attempt(&f, outer, &plan, &err), DAL_CLASS_TX_STATE);
                assert_true(err.retry_tx); /* whatever the function made of it */
                assert_false(has_row(f.server, 9));
        }
}

static dal_status find_contention(dal_tx *tx, void *arg, dal_error *err)
{
        dal_status s = put_one(tx, arg, err);

        return s ? s : dal_fail(err, DAL_ERR_CONFLICT, "somebody was faster");
}

static void test_tx_nested__contention_found_by_the_function_ends_it_too(void **state)
{
        struct lone f;

        (void)state;
        for (int i = 0; both_kinds(&f, &i); close_lone(&f)) {
                dal_error err = DAL_ERROR_INIT;
                int64_t id = 2;
                struct plan plan = PLAN(.nested = find_contention, .arg = &id);

                assert_int_equal(attempt(&f, outer, &plan, &err), DAL_ERR_CONFLICT);
                assert_has(err.message, "somebody was faster");
                assert_true(err.retry_tx);
                assert_int_equal(dal_fake_journal_count(f.server, "COMMIT"), 0);
                assert_false(has_row(f.server, 1) || has_row(f.server, 2) || has_row(f.server, 9));
        }
}

static void test_tx_nested__a_rollback_that_fails_spoils_the_outer(void **state)
{
        struct lone f;

        (void)state;
        for (int i = 0; both_kinds(&f, &i); close_lone(&f)) {
                dal_error err = DAL_ERROR_INIT;
                int64_t id = 2;
                struct plan plan = PLAN(.nested = put_and_refuse, .arg = &id, .stop = true);

                inject(f.server,
                       (dal_fake_fault){.match = "ROLLBACK TO", .error_class = DAL_CLASS_SERVER_OTHER});
                assert_fails(attempt(&f, outer, &plan, &err), DAL_CLASS_COMMIT_ROLLED_BACK);
                assert_int_equal(plan.got, DAL_ERR_APP);
                assert_has(err.message, "ROLLBACK TO");
                assert_false(has_row(f.server, 1) || has_row(f.server, 2));
                assert_idle(&f);
                inject(f.server,
                       (dal_fake_fault){.match = "ROLLBACK TO", .error_class = DAL_CLASS_CONNECTION_LOST});
                assert_fails(attempt(&f, outer, &plan, &err), DAL_CLASS_CONNECTION_LOST);
                assert_true(err.retry_tx);
                assert_false(has_row(f.server, 1));
        }
}

static dal_status spoil_then_nest(dal_tx *tx, void *arg, dal_error *err)
{
        dal_error nested = DAL_ERROR_INIT;

        (void)arg;
        (void)err;
        assert_int_equal(dal_tx_exec(tx, &set_row, ROW(1), NULL, NULL), DAL_ERR_CONSTRAINT);
        assert_int_equal(dal_tx_run(tx, must_not_run, NULL, &nested), DAL_ERR_STATE);
        assert_int_equal(nested.error_class, DAL_CLASS_TX_STATE);
        return DAL_OK;
}

static void test_tx_nested__a_spoilt_outer_nests_no_more(void **state)
{
        struct lone f;

        (void)state;
        for (int i = 0; both_kinds(&f, &i); close_lone(&f)) {
                dal_error err = DAL_ERROR_INIT;

                inject(f.server, (dal_fake_fault){.match = "set_row", .error_class = DAL_CLASS_CHECK});
                assert_fails(attempt(&f, spoil_then_nest, NULL, &err), DAL_CLASS_COMMIT_ROLLED_BACK);
                assert_has(err.message, "set_row");
        }
}

static void test_tx_nested__no_function_is_refused(void **state)
{
        struct lone f = open_lone(false);
        dal_error err = DAL_ERROR_INIT;
        struct plan plan = PLAN(.nested = NULL);

        (void)state;
        assert_ok(attempt(&f, outer, &plan, &err));
        assert_int_equal(plan.got, DAL_ERR_ARG);
        close_lone(&f);
}

/* ---- errors of another connection ---- */

/* Its work is half done when another database's transaction fails: the bits speak of that one. */
static dal_status put_and_fail_elsewhere(dal_tx *tx, void *arg, dal_error *err)
{
        int64_t id = 2;
        dal_status s = put_one(tx, &id, err);

        if (s)
                return s;
        *err = *(dal_error *)arg;
        return err->status;
}

static void test_tx_nested__what_failed_elsewhere_is_undone_here(void **state)
{
        for (int i = 0; i < 4; i++) {
                struct lone f = open_lone(i % 2);
                bool in_doubt = i / 2;
                dal_error err = DAL_ERROR_INIT, elsewhere = DAL_ERROR_INIT;
                struct plan plan = PLAN(.nested = put_and_fail_elsewhere, .arg = &elsewhere, .stop = true);

                (void)state;
                dal_error_set(&elsewhere, in_doubt ? DAL_CLASS_COMMIT_UNKNOWN : DAL_CLASS_UNIQUE,
                              "failed elsewhere");
                elsewhere.conn_gone = in_doubt;
                elsewhere.tx_gone = !in_doubt;
                assert_ok(attempt(&f, outer, &plan, &err));
                assert_int_equal(plan.got, elsewhere.status);
                assert_true(has_row(f.server, 1));
                assert_false(has_row(f.server, 2));
                assert_idle(&f);
                close_lone(&f);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_tx_nested__a_savepoint_travels_with_what_follows),
                cmocka_unit_test(test_tx_nested__a_unique_violation_is_undone_and_the_outer_goes_on),
                cmocka_unit_test(test_tx_nested__the_authors_refusal_is_undone),
                cmocka_unit_test(test_tx_nested__a_failure_passed_on_rolls_everything_back),
                cmocka_unit_test(test_tx_nested__the_outers_queue_is_sent_before_the_savepoint),
                cmocka_unit_test(test_tx_nested__a_failure_of_the_outers_queue_belongs_to_the_outer),
                cmocka_unit_test(test_tx_nested__its_own_queue_fails_inside_its_savepoint),
                cmocka_unit_test(test_tx_nested__a_queue_given_up_is_never_sent),
                cmocka_unit_test(test_tx_nested__nothing_asked_costs_no_round_trip),
                cmocka_unit_test(test_tx_nested__contention_ends_the_whole_transaction),
                cmocka_unit_test(test_tx_nested__after_contention_the_outer_can_do_nothing),
                cmocka_unit_test(test_tx_nested__contention_found_by_the_function_ends_it_too),
                cmocka_unit_test(test_tx_nested__a_rollback_that_fails_spoils_the_outer),
                cmocka_unit_test(test_tx_nested__a_spoilt_outer_nests_no_more),
                cmocka_unit_test(test_tx_nested__what_failed_elsewhere_is_undone_here),
                cmocka_unit_test(test_tx_nested__no_function_is_refused),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
