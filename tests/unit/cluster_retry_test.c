/* SPDX-License-Identifier: MIT */
/* What is tried again, how often, for how long, and what is not. */
#include "cluster_fixture.h"

/* A transaction that puts one row and counts what befalls it. */
struct counted {
        int64_t id;
        uint32_t n_attempts, n_commits, n_rollbacks;
        uint32_t last_attempt;
        bool hide; /* its errors */
};

static void count_commit(void *arg)
{
        ((struct counted *)arg)->n_commits++;
}

static void count_rollback(void *arg)
{
        ((struct counted *)arg)->n_rollbacks++;
}

static dal_status put_counted(dal_tx *tx, void *arg, dal_error *err)
{
        struct counted *c = arg;
        dal_status s = dal_tx_on_commit(tx, count_commit, c, err);

        c->n_attempts++;
        c->last_attempt = dal_tx_attempt(tx);
        if (s == DAL_OK)
                s = dal_tx_on_rollback(tx, count_rollback, c, err);
        if (s == DAL_OK)
                s = dal_tx_exec(tx, &put_row, ROW(c->id), NULL, err);
        return c->hide ? DAL_OK : s;
}

static dal_status run_counted(struct single *f, struct counted *c, const dal_tx_options *options,
                              dal_error *err)
{
        c->id = next_id();
        return dal_cluster_run(f->cluster, dal_key_int64(1), options, put_counted, c, err);
}

/* ---- transactions ---- */

static void test_cluster__contention_is_retried_until_it_works(void **state)
{
        static const dal_error_class classes[] = {DAL_CLASS_DEADLOCK,        DAL_CLASS_SERIALIZATION,
                                                  DAL_CLASS_LOCK_TIMEOUT,    DAL_CLASS_STALE_MAP,
                                                  DAL_CLASS_SLOT_BLOCKED,    DAL_CLASS_SCHEMA_CHANGED,
                                                  DAL_CLASS_CONNECTION_LOST, DAL_CLASS_TX_TIMEOUT};

        (void)state;
        for (size_t i = 0; i < sizeof classes / sizeof classes[0]; i++)
                for (int hide = 0; hide < 2; hide++) {
                        struct single f;

                        for (int kind = 0; single_of_both_kinds(&f, &kind); close_single(&f)) {
                                struct counted c = {.hide = hide};
                                dal_error err = DAL_ERROR_INIT;
                                struct events events;

                                inject(f.server, (dal_fake_fault){.match = "put_row",
                                                                  .times = 2,
                                                                  .error_class = classes[i]});
                                assert_ok(run_counted(&f, &c, NULL, &err));
                                assert_int_equal(c.n_attempts, 3);
                                assert_int_equal(c.last_attempt, 3);
                                assert_int_equal(c.n_commits, 1);
                                assert_int_equal(c.n_rollbacks, 2);
                                assert_true(has_row(f.server, c.id));
                                events = take_events(&f.events);
                                assert_int_equal(events.n_retries, 2);
                                assert_int_equal(events.last.attempt, 2);
                                assert_has(events.last.where, "cluster_retry_test.c:");
                                assert_int_equal(events.last_error.error_class, classes[i]);
                                assert_int_equal(pool_stats(f.cluster, 0).leased, 0);
                        }
                }
}

static void test_cluster__a_refusal_is_not_retried(void **state)
{
        static const dal_error_class classes[] = {
                DAL_CLASS_UNIQUE,   DAL_CLASS_CHECK,  DAL_CLASS_DATA,      DAL_CLASS_STATEMENT_TIMEOUT,
                DAL_CLASS_CANCELED, DAL_CLASS_SYNTAX, DAL_CLASS_PRIVILEGE, DAL_CLASS_OUT_OF_RESOURCES};

        (void)state;
        for (size_t i = 0; i < sizeof classes / sizeof classes[0]; i++) {
                struct single f;

                for (int kind = 0; single_of_both_kinds(&f, &kind); close_single(&f)) {
                        struct counted c = {.hide = false};
                        dal_error err = DAL_ERROR_INIT;

                        inject(f.server, (dal_fake_fault){.match = "put_row", .error_class = classes[i]});
                        assert_fails(run_counted(&f, &c, NULL, &err), classes[i]);
                        assert_int_equal(err.shard, 0);
                        assert_int_equal(c.n_attempts, 1);
                        assert_int_equal(c.n_rollbacks, 1);
                        assert_int_equal(take_events(&f.events).n_retries, 0);
                }
        }
}

static void test_cluster__attempts_end_at_their_number_with_the_last_failure(void **state)
{
        struct single f;

        (void)state;
        for (int kind = 0; single_of_both_kinds(&f, &kind); close_single(&f)) {
                dal_tx_options options = DAL_TX_OPTIONS_INIT;
                struct counted c = {.hide = false};
                dal_error err = DAL_ERROR_INIT;

                inject(f.server, (dal_fake_fault){.match = "put_row",
                                                  .times = UINT32_MAX,
                                                  .error_class = DAL_CLASS_DEADLOCK});
                options.max_attempts = 4;
                assert_fails(run_counted(&f, &c, &options, &err), DAL_CLASS_DEADLOCK);
                assert_int_equal(c.n_attempts, 4);
                assert_int_equal(c.n_rollbacks, 4);
                assert_int_equal(c.n_commits, 0);
                assert_int_equal(take_events(&f.events).n_retries, 3);
                c.n_attempts = 0;
                options.max_attempts = 1;
                assert_fails(run_counted(&f, &c, &options, &err), DAL_CLASS_DEADLOCK);
                assert_int_equal(c.n_attempts, 1);
        }
}

static void test_cluster__ten_attempts_unless_told_otherwise(void **state)
{
        struct counted c = {.hide = false};
        dal_error err = DAL_ERROR_INIT;
        struct single f;

        (void)state;
        init_single(&f, false);
        f.options.timeout_ms = 60000;
        open_single(&f);
        inject(f.server,
               (dal_fake_fault){.match = "put_row", .times = UINT32_MAX, .error_class = DAL_CLASS_DEADLOCK});
        assert_fails(run_counted(&f, &c, NULL, &err), DAL_CLASS_DEADLOCK);
        assert_int_equal(c.n_attempts, 10);
        close_single(&f);
}

static void test_cluster__a_unique_violation_is_retried_three_times_on_request(void **state)
{
        struct single f;

        (void)state;
        for (int kind = 0; single_of_both_kinds(&f, &kind); close_single(&f)) {
                dal_tx_options options = DAL_TX_OPTIONS_INIT;
                struct counted c = {.hide = false};
                dal_error err = DAL_ERROR_INIT;

                options.retry_unique = true;
                inject(f.server, (dal_fake_fault){.match = "put_row",
                                                  .times = UINT32_MAX,
                                                  .error_class = DAL_CLASS_UNIQUE});
                assert_fails(run_counted(&f, &c, &options, &err), DAL_CLASS_UNIQUE);
                assert_int_equal(c.n_attempts, 4);
                dal_fake_clear_faults(f.server);
                c.n_attempts = 0;
                inject(f.server,
                       (dal_fake_fault){.match = "put_row", .times = 3, .error_class = DAL_CLASS_UNIQUE});
                assert_ok(run_counted(&f, &c, &options, &err));
                assert_int_equal(c.n_attempts, 4);
        }
}

static void test_cluster__one_deadline_holds_for_all_attempts(void **state)
{
        struct single f;

        (void)state;
        for (int kind = 0; single_of_both_kinds(&f, &kind); close_single(&f)) {
                dal_tx_options options = DAL_TX_OPTIONS_INIT;
                struct counted c = {.hide = false};
                dal_error err = DAL_ERROR_INIT;
                int64_t start = dal_clock_now();

                inject(f.server, (dal_fake_fault){.match = "put_row",
                                                  .times = UINT32_MAX,
                                                  .error_class = DAL_CLASS_DEADLOCK});
                options.max_attempts = 1000000;
                options.timeout_ms = 300;
                /* It says what kept it busy, not that time is up. */
                assert_fails(run_counted(&f, &c, &options, &err), DAL_CLASS_DEADLOCK);
                assert_in_range(ms_since(start), 0, 900);
                assert_true(c.n_attempts > 2);
                assert_int_equal(c.n_rollbacks, c.n_attempts);
        }
}

static void test_cluster__a_hanging_statement_ends_the_run_at_its_timeout(void **state)
{
        struct single f;

        (void)state;
        for (int kind = 0; single_of_both_kinds(&f, &kind); close_single(&f)) {
                dal_tx_options options = DAL_TX_OPTIONS_INIT;
                struct counted c = {.hide = false};
                dal_error err = DAL_ERROR_INIT;
                int64_t start = dal_clock_now();

                inject(f.server, (dal_fake_fault){.match = "put_row", .times = UINT32_MAX, .hang = true});
                options.timeout_ms = 80;
                assert_int_not_equal(run_counted(&f, &c, &options, &err), DAL_OK);
                assert_in_range(ms_since(start), 75, 900);
                assert_int_equal(c.n_commits, 0);
                assert_false(has_row(f.server, c.id));
        }
}

/* The server that took the second connection is the one to look at; that the first one was lost is only told. */
static void test_cluster__a_server_that_hangs_after_a_lost_connection_is_the_deadline(void **state)
{
        struct single f;

        (void)state;
        for (int kind = 0; single_of_both_kinds(&f, &kind); close_single(&f)) {
                dal_tx_options options = DAL_TX_OPTIONS_INIT;
                struct counted c = {.n_attempts = 0};
                dal_error err = DAL_ERROR_INIT;

                inject(f.server,
                       (dal_fake_fault){.match = "put_row", .error_class = DAL_CLASS_CONNECTION_LOST});
                inject(f.server, (dal_fake_fault){.match = "put_row", .times = UINT32_MAX, .hang = true});
                options.timeout_ms = 400;
                assert_int_equal(run_counted(&f, &c, &options, &err), DAL_ERR_TIMEOUT);
                assert_int_equal(err.error_class, DAL_CLASS_DEADLINE);
                assert_non_null(strstr(err.message, "; the attempt before: put_row: "));
                assert_int_equal(c.n_attempts, 2);
                assert_int_equal(c.n_rollbacks, 2);
        }
}

/* Contention goes on while one waits: it says more than that time is up. */
static void test_cluster__time_that_runs_out_behind_contention_is_told_as_contention(void **state)
{
        struct single f;

        (void)state;
        for (int kind = 0; single_of_both_kinds(&f, &kind); close_single(&f)) {
                dal_tx_options options = DAL_TX_OPTIONS_INIT;
                struct counted c = {.n_attempts = 0};
                dal_error err = DAL_ERROR_INIT;

                inject(f.server, (dal_fake_fault){.match = "put_row", .error_class = DAL_CLASS_LOCK_TIMEOUT});
                inject(f.server, (dal_fake_fault){.match = "put_row", .times = UINT32_MAX, .hang = true});
                options.timeout_ms = 400;
                assert_int_equal(run_counted(&f, &c, &options, &err), DAL_ERR_CONFLICT);
                assert_int_equal(c.n_attempts, 2);
        }
}

static void test_cluster__no_pause_is_begun_that_would_pass_the_deadline(void **state)
{
        dal_tx_options options = DAL_TX_OPTIONS_INIT;
        struct counted c = {.hide = false};
        dal_error err = DAL_ERROR_INIT;
        struct single f;
        int64_t start;

        (void)state;
        init_single(&f, false);
        open_single(&f);
        inject(f.server, (dal_fake_fault){.match = "put_row",
                                          .times = UINT32_MAX,
                                          .delay_ms = 60,
                                          .error_class = DAL_CLASS_SERIALIZATION});
        options.timeout_ms = 62; /* at most 2 ms are left for a pause of up to 5 */
        start = dal_clock_now();
        assert_int_not_equal(run_counted(&f, &c, &options, &err), DAL_OK);
        assert_in_range(ms_since(start), 55, 900);
        close_single(&f);
}

/* ---- the connection ---- */

static void test_cluster__a_connection_lost_before_commit_is_replaced(void **state)
{
        static const char *const places[] = {"BEGIN", "put_row"};

        (void)state;
        for (size_t i = 0; i < 2; i++)
                for (int executed = 0; executed < 2; executed++) {
                        struct single f;

                        for (int kind = 0; single_of_both_kinds(&f, &kind); close_single(&f)) {
                                struct counted c = {.hide = false};
                                dal_error err = DAL_ERROR_INIT;

                                inject(f.server, (dal_fake_fault){.match = places[i],
                                                                  .executed = executed,
                                                                  .error_class = DAL_CLASS_CONNECTION_LOST});
                                assert_ok(run_counted(&f, &c, NULL, &err));
                                assert_int_equal(c.n_attempts, 2);
                                assert_int_equal(c.n_commits, 1);
                                assert_int_equal(c.n_rollbacks, 1);
                                assert_true(has_row(f.server, c.id));
                                assert_int_equal(dal_fake_journal_count(f.server, "COMMIT"), 1);
                        }
                }
}

static void test_cluster__a_session_killed_while_idle_is_replaced(void **state)
{
        struct single f;

        (void)state;
        for (int kind = 0; single_of_both_kinds(&f, &kind); close_single(&f)) {
                struct counted c = {.hide = false};
                dal_error err = DAL_ERROR_INIT;

                for (int i = 0; i < 3; i++) {
                        assert_ok(run_counted(&f, &c, NULL, &err));
                        dal_fake_kill(f.server, 0);
                }
                assert_int_equal(c.n_commits, 3);
        }
}

static void test_cluster__in_doubt_is_told_and_not_retried(void **state)
{
        for (int executed = 0; executed < 2; executed++) {
                struct single f;

                (void)state;
                for (int kind = 0; single_of_both_kinds(&f, &kind); close_single(&f)) {
                        dal_tx_options options = DAL_TX_OPTIONS_INIT;
                        struct counted c = {.hide = false};
                        dal_error err = DAL_ERROR_INIT;

                        options.retry_unique = true;
                        inject(f.server, (dal_fake_fault){.match = "COMMIT",
                                                          .executed = executed,
                                                          .error_class = DAL_CLASS_CONNECTION_LOST});
                        assert_fails(run_counted(&f, &c, &options, &err), DAL_CLASS_COMMIT_UNKNOWN);
                        assert_int_equal(err.status, DAL_ERR_IN_DOUBT);
                        assert_int_equal(err.shard, 0);
                        assert_int_equal(c.n_attempts, 1);
                        assert_int_equal(c.n_commits + c.n_rollbacks, 0);
                        assert_int_equal(has_row(f.server, c.id), executed);
                        assert_int_equal(take_events(&f.events).n_retries, 0);
                        /* The next one finds a connection that works. */
                        assert_ok(run_counted(&f, &c, NULL, &err));
                }
        }
}

static void test_cluster__a_commit_that_hangs_is_in_doubt_at_the_deadline(void **state)
{
        struct single f;

        (void)state;
        for (int kind = 0; single_of_both_kinds(&f, &kind); close_single(&f)) {
                dal_tx_options options = DAL_TX_OPTIONS_INIT;
                struct counted c = {.hide = false};
                dal_error err = DAL_ERROR_INIT;
                int64_t start = dal_clock_now();

                options.timeout_ms = 80;
                inject(f.server, (dal_fake_fault){.match = "COMMIT", .hang = true});
                assert_fails(run_counted(&f, &c, &options, &err), DAL_CLASS_COMMIT_UNKNOWN);
                assert_in_range(ms_since(start), 75, 900);
                assert_int_equal(c.n_commits + c.n_rollbacks, 0);
        }
}

static void *bring_up(void *arg)
{
        pause_ms(120);
        dal_fake_set_down(arg, false);
        return NULL;
}

static void test_cluster__a_server_that_returns_is_found_again(void **state)
{
        struct single f;

        (void)state;
        for (int kind = 0; single_of_both_kinds(&f, &kind); close_single(&f)) {
                struct counted c = {.hide = false};
                dal_error err = DAL_ERROR_INIT;
                pthread_t thread;

                dal_fake_set_down(f.server, true);
                assert_int_equal(pthread_create(&thread, NULL, bring_up, f.server), 0);
                assert_ok(run_counted(&f, &c, NULL, &err));
                assert_int_equal(pthread_join(thread, NULL), 0);
                /* Not without a connection; a dead one is noticed when it is used, for the modal kind's mode at the latest. */
                assert_int_equal(c.n_attempts, f.modal ? 1 : 2);
        }
}

static void test_cluster__a_server_that_stays_down_is_told_in_time(void **state)
{
        struct single f;

        (void)state;
        for (int kind = 0; single_of_both_kinds(&f, &kind); close_single(&f)) {
                dal_tx_options options = DAL_TX_OPTIONS_INIT;
                struct counted c = {.hide = false};
                dal_error err = DAL_ERROR_INIT;
                int64_t start;

                dal_fake_set_down(f.server, true);
                options.timeout_ms = 150;
                start = dal_clock_now();
                assert_int_equal(run_counted(&f, &c, &options, &err), DAL_ERR_CONN);
                assert_in_range(ms_since(start), 0, 900);
                assert_int_equal(c.n_attempts, f.modal ? 0 : 1);
                assert_int_equal(err.shard, 0);
                assert_has(err.message, "the server is down");
                dal_fake_set_down(f.server, false);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_cluster__contention_is_retried_until_it_works),
                cmocka_unit_test(test_cluster__a_refusal_is_not_retried),
                cmocka_unit_test(test_cluster__attempts_end_at_their_number_with_the_last_failure),
                cmocka_unit_test(test_cluster__ten_attempts_unless_told_otherwise),
                cmocka_unit_test(test_cluster__a_unique_violation_is_retried_three_times_on_request),
                cmocka_unit_test(test_cluster__one_deadline_holds_for_all_attempts),
                cmocka_unit_test(test_cluster__a_hanging_statement_ends_the_run_at_its_timeout),
                cmocka_unit_test(test_cluster__a_server_that_hangs_after_a_lost_connection_is_the_deadline),
                cmocka_unit_test(test_cluster__time_that_runs_out_behind_contention_is_told_as_contention),
                cmocka_unit_test(test_cluster__no_pause_is_begun_that_would_pass_the_deadline),
                cmocka_unit_test(test_cluster__a_connection_lost_before_commit_is_replaced),
                cmocka_unit_test(test_cluster__a_session_killed_while_idle_is_replaced),
                cmocka_unit_test(test_cluster__in_doubt_is_told_and_not_retried),
                cmocka_unit_test(test_cluster__a_commit_that_hangs_is_in_doubt_at_the_deadline),
                cmocka_unit_test(test_cluster__a_server_that_returns_is_found_again),
                cmocka_unit_test(test_cluster__a_server_that_stays_down_is_told_in_time),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
