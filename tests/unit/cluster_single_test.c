/* SPDX-License-Identifier: MIT */
/* dal_cluster_exec() and dal_cluster_query(): one statement that commits by itself. */
#include "cluster_fixture.h"

static const dal_stmt put_returning =
        DAL_STMT("put_returning", "INSERT INTO t (id, v) VALUES (?, ?) RETURNING v");
static const dal_stmt get_slowly = DAL_STMT("get_slowly", "SELECT v FROM t WHERE id = ?");

static dal_status exec_row(struct single *f, int64_t id, dal_error *err)
{
        int64_t n = -1;
        dal_status s = dal_cluster_exec(f->cluster, dal_key_int64(id), &put_row, ROW(id), &n, err);

        assert_true(s || n == 1);
        return s;
}

static void test_cluster__one_statement_costs_one_round_trip(void **state)
{
        struct single f;

        (void)state;
        for (int kind = 0; single_of_both_kinds(&f, &kind); close_single(&f)) {
                dal_error err = DAL_ERROR_INIT;
                uint64_t before = dal_fake_get_stats(f.server).n_round_trips;
                dal_rows *rows;
                int64_t id = next_id();

                assert_ok(exec_row(&f, id, &err));
                assert_int_equal(dal_fake_get_stats(f.server).n_round_trips - before, 1);
                assert_ok(dal_cluster_query(f.cluster, dal_key_int64(id), &get_rows, RANGE(id, id), &rows,
                                            &err));
                dal_rows_close(rows);
                assert_int_equal(dal_fake_get_stats(f.server).n_round_trips - before, 2);
                assert_int_equal(dal_fake_journal_count(f.server, "BEGIN"), 0);
                assert_int_equal(dal_fake_get_stats(f.server).n_in_tx, 0);
        }
}

static void test_cluster__one_statement_is_retried_after_contention(void **state)
{
        static const dal_error_class classes[] = {DAL_CLASS_DEADLOCK, DAL_CLASS_SERIALIZATION,
                                                  DAL_CLASS_LOCK_TIMEOUT, DAL_CLASS_STALE_MAP};

        (void)state;
        for (size_t i = 0; i < sizeof classes / sizeof classes[0]; i++) {
                struct single f;

                for (int kind = 0; single_of_both_kinds(&f, &kind); close_single(&f)) {
                        dal_error err = DAL_ERROR_INIT;
                        dal_rows *rows;
                        int64_t id = next_id();

                        inject(f.server,
                               (dal_fake_fault){.match = "put_row", .times = 2, .error_class = classes[i]});
                        assert_ok(exec_row(&f, id, &err));
                        assert_int_equal(dal_fake_journal_count(f.server, "put_row"), 3);
                        assert_int_equal(take_events(&f.events).n_retries, 2);
                        inject(f.server, (dal_fake_fault){.match = "get_rows", .error_class = classes[i]});
                        assert_ok(dal_cluster_query(f.cluster, dal_key_int64(id), &get_rows, RANGE(id, id),
                                                    &rows, &err));
                        dal_rows_close(rows);
                        assert_int_equal(pool_stats(f.cluster, 0).leased, 0);
                }
        }
}

/* What a procedure did before its deadlock may have been committed, statement by statement. */
static void test_cluster__a_procedure_is_not_run_again(void **state)
{
        static const dal_stmt call = DAL_STMT("call_pay", "/* now */ CALL pay(?)");
        struct single f;

        (void)state;
        for (int kind = 0; single_of_both_kinds(&f, &kind); close_single(&f)) {
                dal_error err = DAL_ERROR_INIT;

                inject(f.server, (dal_fake_fault){.match = "call_pay", .error_class = DAL_CLASS_DEADLOCK});
                assert_fails(dal_cluster_exec(f.cluster, dal_key_int64(1), &call, DAL_PARAMS(dal_int64(1)),
                                              NULL, &err),
                             DAL_CLASS_DEADLOCK);
                assert_false(err.retry_tx);
                assert_int_equal(dal_fake_journal_count(f.server, "call_pay"), 1);
                inject(f.server, (dal_fake_fault){.at = DAL_FAKE_AT_FLUSH,
                                                  .error_class = DAL_CLASS_CONNECTION_LOST,
                                                  .not_sent = true});
                assert_ok(dal_cluster_exec(f.cluster, dal_key_int64(1), &call, DAL_PARAMS(dal_int64(1)), NULL,
                                           &err));
                assert_int_equal(dal_fake_journal_count(f.server, "call_pay"), 2);
        }
}

static void test_cluster__one_statement_refused_is_not_retried(void **state)
{
        struct single f;

        (void)state;
        for (int kind = 0; single_of_both_kinds(&f, &kind); close_single(&f)) {
                dal_error err = DAL_ERROR_INIT;
                int64_t id = next_id();

                assert_ok(exec_row(&f, id, &err));
                assert_fails(exec_row(&f, id, &err), DAL_CLASS_UNIQUE);
                assert_int_equal(err.shard, 0);
                assert_fails(
                        dal_cluster_exec(f.cluster, dal_key_int64(1), &put_row, DAL_NO_PARAMS, NULL, &err),
                        DAL_CLASS_ARGUMENT);
                assert_int_equal(dal_fake_journal_count(f.server, "put_row"), 2);
                assert_int_equal(pool_stats(f.cluster, 0).size, 1); /* its connection is as good as before */
        }
}

static void test_cluster__a_write_never_sent_is_retried(void **state)
{
        struct single f;

        (void)state;
        for (int kind = 0; single_of_both_kinds(&f, &kind); close_single(&f)) {
                dal_error err = DAL_ERROR_INIT;
                int64_t id = next_id();

                inject(f.server, (dal_fake_fault){.at = DAL_FAKE_AT_FLUSH,
                                                  .error_class = DAL_CLASS_CONNECTION_LOST,
                                                  .not_sent = true});
                assert_ok(exec_row(&f, id, &err));
                assert_true(has_row(f.server, id));
                assert_int_equal(dal_fake_journal_count(f.server, "put_row"), 1);
        }
}

static void test_cluster__a_write_lost_on_its_way_is_in_doubt(void **state)
{
        static const dal_fake_point points[] = {DAL_FAKE_AT_REQUEST, DAL_FAKE_AT_FLUSH};

        (void)state;
        for (size_t i = 0; i < 2; i++)
                for (int executed = 0; executed < 2; executed++) {
                        struct single f;

                        for (int kind = 0; single_of_both_kinds(&f, &kind); close_single(&f)) {
                                dal_error err = DAL_ERROR_INIT;
                                int64_t id = next_id();

                                inject(f.server, (dal_fake_fault){.at = points[i],
                                                                  .match = i ? "" : "put_row",
                                                                  .error_class = DAL_CLASS_CONNECTION_LOST,
                                                                  .executed = executed});
                                assert_fails(exec_row(&f, id, &err), DAL_CLASS_COMMIT_UNKNOWN);
                                assert_false(err.retry_tx);
                                assert_int_equal(err.shard, 0);
                                assert_has(err.message, "put_row");
                                assert_int_equal(take_events(&f.events).n_retries, 0);
                                assert_int_equal(pool_stats(f.cluster, 0).size, 0);
                        }
                }
}

static void test_cluster__a_write_that_hangs_is_in_doubt_at_the_deadline(void **state)
{
        (void)state;
        for (int modal = 0; modal < 2; modal++) {
                dal_error err = DAL_ERROR_INIT;
                struct single f;
                int64_t start;

                init_single(&f, modal);
                f.options.timeout_ms = 300;
                open_single(&f);
                inject(f.server, (dal_fake_fault){.match = "put_row", .hang = true});
                start = dal_clock_now();
                assert_fails(exec_row(&f, next_id(), &err), DAL_CLASS_COMMIT_UNKNOWN);
                assert_in_range(ms_since(start), 290, 1500);
                close_single(&f);
        }
}

static void test_cluster__a_read_lost_on_its_way_is_retried(void **state)
{
        struct single f;

        (void)state;
        for (int kind = 0; single_of_both_kinds(&f, &kind); close_single(&f)) {
                dal_error err = DAL_ERROR_INIT;
                int64_t id = next_id(), v = 0;
                dal_rows *rows;

                assert_ok(exec_row(&f, id, &err));
                inject(f.server, (dal_fake_fault){.match = "get_rows",
                                                  .times = 2,
                                                  .error_class = DAL_CLASS_CONNECTION_LOST});
                assert_ok(dal_cluster_query(f.cluster, dal_key_int64(id), &get_rows, RANGE(id, id), &rows,
                                            &err));
                assert_ok(dal_rows_first(rows, &err));
                assert_ok(dal_rows_int64(rows, 0, &v, &err));
                assert_int_equal(v, 10 * id);
                dal_rows_close(rows);
                /* As well when it is run for its count only. */
                inject(f.server,
                       (dal_fake_fault){.match = "get_rows", .error_class = DAL_CLASS_CONNECTION_LOST});
                assert_ok(
                        dal_cluster_exec(f.cluster, dal_key_int64(id), &get_rows, RANGE(id, id), NULL, &err));
        }
}

static void test_cluster__a_read_that_hangs_is_no_doubt_but_a_timeout(void **state)
{
        (void)state;
        for (int modal = 0; modal < 2; modal++) {
                dal_error err = DAL_ERROR_INIT;
                struct single f;
                dal_rows *rows;
                int64_t start;

                init_single(&f, modal);
                f.options.timeout_ms = 300;
                open_single(&f);
                inject(f.server, (dal_fake_fault){.match = "get_slowly", .times = UINT32_MAX, .hang = true});
                start = dal_clock_now();
                assert_int_equal(dal_cluster_query(f.cluster, dal_key_int64(1), &get_slowly,
                                                   DAL_PARAMS(dal_int64(1)), &rows, &err),
                                 DAL_ERR_TIMEOUT);
                assert_null(rows);
                assert_in_range(ms_since(start), 290, 1500);
                close_single(&f);
        }
}

static void test_cluster__a_writing_query_lost_on_its_way_is_in_doubt(void **state)
{
        struct single f;

        (void)state;
        for (int kind = 0; single_of_both_kinds(&f, &kind); close_single(&f)) {
                dal_error err = DAL_ERROR_INIT;
                int64_t id = next_id();
                dal_rows *rows;

                inject(f.server,
                       (dal_fake_fault){.match = "put_returning", .error_class = DAL_CLASS_CONNECTION_LOST});
                assert_fails(
                        dal_cluster_query(f.cluster, dal_key_int64(id), &put_returning, ROW(id), &rows, &err),
                        DAL_CLASS_COMMIT_UNKNOWN);
                assert_null(rows);
        }
}

static void test_cluster__rows_that_fail_halfway_give_their_connection_back(void **state)
{
        struct single f;

        (void)state;
        for (int kind = 0; single_of_both_kinds(&f, &kind); close_single(&f)) {
                static const dal_error_class classes[] = {DAL_CLASS_DATA, DAL_CLASS_CONNECTION_LOST};
                dal_error err = DAL_ERROR_INIT;

                for (size_t i = 0; i < 2; i++) {
                        int64_t id = next_id();
                        dal_rows *rows;
                        bool found;

                        assert_ok(exec_row(&f, id, &err));
                        inject(f.server, (dal_fake_fault){.at = DAL_FAKE_AT_FETCH,
                                                          .match = "get_rows",
                                                          .skip = 1,
                                                          .error_class = classes[i]});
                        assert_ok(dal_cluster_query(f.cluster, dal_key_int64(id), &get_rows, RANGE(id, id),
                                                    &rows, &err));
                        assert_ok(dal_rows_next(rows, &found, &err));
                        assert_fails(dal_rows_next(rows, &found, &err), classes[i]);
                        assert_false(found);
                        dal_rows_close(rows);
                        assert_int_equal(pool_stats(f.cluster, 0).leased, 0);
                }
        }
}

/* Pools lend a connection in either mode: a statement by itself must not be left in a transaction, nor the reverse. */
static void test_cluster__transactions_and_statements_by_turns(void **state)
{
        struct single f;

        (void)state;
        for (int kind = 0; single_of_both_kinds(&f, &kind); close_single(&f)) {
                dal_error err = DAL_ERROR_INIT;

                for (int i = 0; i < 5; i++) {
                        int64_t id = next_id();

                        assert_ok(exec_row(&f, id, &err));
                        assert_true(has_row(f.server, id));
                        assert_ok(dal_cluster_run(f.cluster, dal_key_int64(1), NULL, put_next, NULL, &err));
                        assert_int_equal(dal_fake_get_stats(f.server).n_in_tx, 0);
                }
                assert_int_equal(dal_fake_journal_count(f.server, "COMMIT"), 5);
        }
}

/* ---- what can't be meant ---- */

/* Rows are handed out before it is known whether the write that gave them lasts: nobody could take them back. */
static void test_cluster__a_query_whose_outcome_is_to_be_found_out_is_refused(void **state)
{
        static const dal_stmt resolved = DAL_STMT(
                "put_resolved", "INSERT INTO t (id, v) VALUES (?, ?) RETURNING v", .flags = DAL_STMT_RESOLVE);
        struct single f;

        (void)state;
        for (int kind = 0; single_of_both_kinds(&f, &kind); close_single(&f)) {
                dal_error err = DAL_ERROR_INIT;
                dal_rows *rows = NULL;

                assert_fails(dal_cluster_query(f.cluster, dal_key_int64(1), &resolved, ROW(1), &rows, &err),
                             DAL_CLASS_ARGUMENT);
                assert_non_null(strstr(err.message, "put_resolved"));
                assert_non_null(strstr(err.message, "dal_cluster_exec()"));
                assert_true(err.not_sent);
                assert_null(rows);
                assert_fails(dal_fanout_query(f.cluster, &resolved, ROW(1), &rows, &err), DAL_CLASS_ARGUMENT);
                assert_non_null(strstr(err.message, "dal_cluster_run()"));
                assert_null(rows);
                assert_int_equal(
                        dal_cluster_query(f.cluster, dal_key_int64(1), &resolved, ROW(1), &rows, NULL),
                        DAL_ERR_ARG);
                assert_int_equal(dal_fake_journal_count(f.server, "put_resolved"), 0);
                assert_int_equal(pool_stats(f.cluster, 0).leased, 0);
        }
}

/* Tries a call that needs a statement, without one. */
static dal_status tx_without_statement(dal_tx *tx, void *arg, dal_error *err)
{
        const int *call = arg;
        dal_rows *rows = NULL;
        int64_t n;
        dal_status s = *call == 0   ? dal_tx_exec(tx, NULL, DAL_NO_PARAMS, &n, err)
                       : *call == 1 ? dal_tx_query(tx, NULL, DAL_NO_PARAMS, &rows, err)
                       : *call == 2 ? dal_tx_queue(tx, NULL, DAL_NO_PARAMS, err)
                                    : dal_tx_exec_versioned(tx, NULL, DAL_NO_PARAMS, err);

        assert_null(rows);
        assert_int_equal(s, DAL_ERR_ARG);
        return *call % 2 ? s : put_next(tx, NULL, err); /* it has spoilt nothing */
}

static void test_cluster__no_statement_is_refused_by_every_call(void **state)
{
        struct single f;

        (void)state;
        for (int kind = 0; single_of_both_kinds(&f, &kind); close_single(&f)) {
                dal_error err = DAL_ERROR_INIT;
                dal_key key = dal_key_int64(1);
                dal_rows *rows = NULL;

                assert_fails(dal_cluster_exec(f.cluster, key, NULL, DAL_NO_PARAMS, NULL, &err),
                             DAL_CLASS_ARGUMENT);
                assert_int_equal(dal_cluster_exec(f.cluster, key, NULL, DAL_NO_PARAMS, NULL, NULL),
                                 DAL_ERR_ARG);
                assert_fails(dal_cluster_query(f.cluster, key, NULL, DAL_NO_PARAMS, &rows, &err),
                             DAL_CLASS_ARGUMENT);
                assert_null(rows);
                assert_fails(dal_fanout_query(f.cluster, NULL, DAL_NO_PARAMS, &rows, &err),
                             DAL_CLASS_ARGUMENT);
                assert_null(rows);
                for (int call = 0; call < 4; call++) {
                        dal_status s =
                                dal_cluster_run(f.cluster, key, NULL, tx_without_statement, &call, &err);

                        assert_int_equal(s, call % 2 ? DAL_ERR_ARG : DAL_OK);
                }
                assert_int_equal(pool_stats(f.cluster, 0).leased, 0);
                assert_int_equal(pool_stats(f.cluster, 0).size, 1); /* its connection is as good as before */
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_cluster__one_statement_costs_one_round_trip),
                cmocka_unit_test(test_cluster__a_query_whose_outcome_is_to_be_found_out_is_refused),
                cmocka_unit_test(test_cluster__no_statement_is_refused_by_every_call),
                cmocka_unit_test(test_cluster__one_statement_is_retried_after_contention),
                cmocka_unit_test(test_cluster__a_procedure_is_not_run_again),
                cmocka_unit_test(test_cluster__one_statement_refused_is_not_retried),
                cmocka_unit_test(test_cluster__a_write_never_sent_is_retried),
                cmocka_unit_test(test_cluster__a_write_lost_on_its_way_is_in_doubt),
                cmocka_unit_test(test_cluster__a_write_that_hangs_is_in_doubt_at_the_deadline),
                cmocka_unit_test(test_cluster__a_read_lost_on_its_way_is_retried),
                cmocka_unit_test(test_cluster__a_read_that_hangs_is_no_doubt_but_a_timeout),
                cmocka_unit_test(test_cluster__a_writing_query_lost_on_its_way_is_in_doubt),
                cmocka_unit_test(test_cluster__rows_that_fail_halfway_give_their_connection_back),
                cmocka_unit_test(test_cluster__transactions_and_statements_by_turns),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
