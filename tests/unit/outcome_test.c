/* SPDX-License-Identifier: MIT */
/* Lost answers to COMMIT and what is found out about them, on the fake server, which loses them on demand. */
#include <dal/outcome.h>

#include "cluster_fixture.h"
#include "run/outcome.h"

#define TOMBSTONE "INSERT INTO dal_outcome"

/* ---- tokens ------------------------------------------------------------------------------------------------- */

static void test_outcome__a_token_is_read_as_it_was_written(void **state)
{
        dal__outcome_token token, again;
        dal_error err = DAL_ERROR_INIT;
        char hex[DAL__OUTCOME_HEX_SIZE];
        uint64_t now = dal__outcome_now();

        (void)state;
        assert_ok(dal__outcome_make(0x0102, &token, &err));
        dal__outcome_write(&token, hex);
        assert_int_equal(strlen(hex), 32);
        assert_memory_equal(hex, "010102", 6);
        assert_ok(dal__outcome_read(hex, &again, &err));
        assert_memory_equal(&token, &again, sizeof token);
        assert_int_equal(dal__outcome_shard_of(&again), 0x0102);
        assert_true(dal__outcome_seconds_of(&again) - now <= 2);
        assert_ok(dal__outcome_make(0x0102, &again, &err));
        assert_memory_not_equal(&token.bytes[8], &again.bytes[8], 8);
}

/* What was made later sorts behind; else a purge of a range would take the wrong ones. */
static void test_outcome__tokens_sort_by_time(void **state)
{
        static const uint64_t seconds[] = {0,     1,           255,          256,          65535,
                                           65536, 0xffffffffu, 0x100000000u, 0xffffffffffu};

        (void)state;
        for (size_t i = 1; i < sizeof seconds / sizeof seconds[0]; i++) {
                dal__outcome_token before, after;

                dal__outcome_first(DAL__OUTCOME_ROW, 3, seconds[i - 1], &before);
                dal__outcome_first(DAL__OUTCOME_ROW, 3, seconds[i], &after);
                assert_true(memcmp(&before, &after, sizeof before) < 0);
                assert_int_equal(dal__outcome_seconds_of(&after), seconds[i]);
        }
}

/* ---- one transaction ------------------------------------------------------------------------------------------ */

struct work {
        uint32_t n_calls, n_commits, n_rollbacks;
        bool reads;
};

static void on_commit(void *arg)
{
        ((struct work *)arg)->n_commits++;
}

static void on_rollback(void *arg)
{
        ((struct work *)arg)->n_rollbacks++;
}

static dal_status put_one(dal_tx *tx, void *arg, dal_error *err)
{
        struct work *w = arg;
        dal_status s;

        w->n_calls++;
        if ((s = dal_tx_on_commit(tx, on_commit, w, err)) ||
            (s = dal_tx_on_rollback(tx, on_rollback, w, err)))
                return s;
        return w->reads ? dal_tx_exec(tx, &get_rows, RANGE(1, 1), NULL, err)
                        : dal_tx_exec(tx, &put_row, ROW(1), NULL, err);
}

static bool with_outcomes(struct single *f, int *kind)
{
        if (!single_of_both_kinds(f, kind))
                return false;
        assert_true(dal_fake_add_outcomes(f->server));
        return true;
}

static dal_status run_for(struct single *f, struct work *w, uint32_t timeout_ms, dal_error *err)
{
        dal_tx_options options = DAL_TX_OPTIONS_INIT;

        options.timeout_ms = timeout_ms;
        return dal_cluster_run(f->cluster, dal_key_int64(1), &options, put_one, w, err);
}

static void lose_commit(struct single *f, bool executed)
{
        inject(f->server, (dal_fake_fault){.match = "COMMIT",
                                           .error_class = DAL_CLASS_CONNECTION_LOST,
                                           .executed = executed});
}

/* Runs with COMMIT's answer lost, and whatever faults wait beside that: the truth comes out. */
static void expect_truth(struct single *f, bool executed)
{
        struct work w = {.reads = false};
        dal_error err = DAL_ERROR_INIT;

        lose_commit(f, executed);
        assert_ok(run_for(f, &w, 0, &err));
        assert_int_equal(w.n_calls, executed ? 1 : 2);
        assert_int_equal(w.n_commits, 1);
        assert_int_equal(w.n_rollbacks, w.n_calls - 1);
        assert_int_equal(dal_fake_journal_count(f->server, "put_row"), w.n_calls);
        assert_true(has_row(f->server, 1));
        assert_int_equal(dal_fake_get_stats(f->server).n_in_tx, 0);
        assert_int_equal(pool_stats(f->cluster, 0).leased, 0);
}

static void test_outcome__a_lost_answer_is_found_out(void **state)
{
        struct single f;

        (void)state;
        for (int executed = 0; executed < 2; executed++)
                for (int kind = 0; with_outcomes(&f, &kind); close_single(&f)) {
                        expect_truth(&f, executed);
                        assert_int_equal(dal_fake_journal_count(f.server, TOMBSTONE), 1);
                }
}

/* What may happen to whoever asks: each of these passes, and the answer stays the same. */
static void test_outcome__asking_is_repeated_until_it_is_answered(void **state)
{
        static const dal_fake_fault faults[] = {
                {.match = TOMBSTONE, .error_class = DAL_CLASS_CONNECTION_LOST},
                {.match = TOMBSTONE, .error_class = DAL_CLASS_CONNECTION_LOST, .executed = true},
                {.match = TOMBSTONE, .error_class = DAL_CLASS_DEADLOCK, .times = 2},
                {.match = TOMBSTONE, .error_class = DAL_CLASS_LOCK_TIMEOUT, .times = 3},
                {.match = TOMBSTONE, .error_class = DAL_CLASS_READ_ONLY_SERVER},
                {.match = "SELECT state", .error_class = DAL_CLASS_CONNECTION_LOST},
                {.match = "SELECT token", .error_class = DAL_CLASS_CONNECTION_LOST},
                {.at = DAL_FAKE_AT_OPEN, .error_class = DAL_CLASS_CONNECT_FAILED, .times = 2, .skip = 0},
                {.at = DAL_FAKE_AT_OPEN, .error_class = DAL_CLASS_TOO_MANY_CONNECTIONS},
        };
        struct single f;

        (void)state;
        for (int executed = 0; executed < 2; executed++)
                for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++)
                        for (int kind = 0; with_outcomes(&f, &kind); close_single(&f)) {
                                struct work first = {.reads = true};
                                dal_error err = DAL_ERROR_INIT;

                                assert_ok(run_for(&f, &first, 0, &err)); /* connects */
                                inject(f.server, faults[i]);
                                expect_truth(&f, executed);
                        }
}

/* A server that says nothing uses up a part of the time only; then it is asked, on another connection. */
static void test_outcome__silence_leaves_time_to_ask(void **state)
{
        struct single f;

        (void)state;
        for (int executed = 0; executed < 2; executed++)
                for (int kind = 0; with_outcomes(&f, &kind); close_single(&f)) {
                        struct work w = {.reads = false};
                        dal_error err = DAL_ERROR_INIT;

                        inject(f.server,
                               (dal_fake_fault){.match = "COMMIT", .hang = true, .executed = executed});
                        assert_ok(run_for(&f, &w, 2000, &err));
                        assert_int_equal(w.n_calls, executed ? 1 : 2);
                        assert_true(has_row(f.server, 1));
                }
}

/* The one case that is left, and the token answers it afterwards, as often as it is asked. */
static void test_outcome__in_doubt_while_the_server_stays_away(void **state)
{
        struct single f;

        (void)state;
        for (int executed = 0; executed < 2; executed++)
                for (int kind = 0; with_outcomes(&f, &kind); close_single(&f)) {
                        dal_outcome outcome = DAL_OUTCOME_UNKNOWN;
                        struct work w = {.reads = false};
                        dal_error err = DAL_ERROR_INIT, later = DAL_ERROR_INIT;
                        int64_t begun = dal_clock_now();

                        lose_commit(&f, executed);
                        inject(f.server, (dal_fake_fault){.match = TOMBSTONE,
                                                          .error_class = DAL_CLASS_CONNECTION_LOST,
                                                          .times = UINT32_MAX});
                        assert_fails(run_for(&f, &w, 600, &err), DAL_CLASS_COMMIT_UNKNOWN);
                        assert_true(dal_clock_now() - begun < INT64_C(5600000000));
                        assert_false(err.retry_tx);
                        assert_int_equal(strlen(err.outcome_token), 32);
                        assert_int_equal(w.n_calls, 1);
                        assert_int_equal(w.n_commits + w.n_rollbacks, 0);
                        assert_int_equal(dal_resolve(f.cluster, err.outcome_token, 100, &outcome, &later),
                                         DAL_ERR_IN_DOUBT);
                        assert_string_equal(later.outcome_token, err.outcome_token);
                        dal_fake_clear_faults(f.server);
                        for (int i = 0; i < 2; i++) {
                                assert_ok(dal_resolve(f.cluster, err.outcome_token, 0, &outcome, &later));
                                assert_int_equal(outcome, executed ? DAL_OUTCOME_COMMITTED
                                                                   : DAL_OUTCOME_NOT_COMMITTED);
                        }
                        assert_int_equal(has_row(f.server, 1), executed);
                }
}

/* ---- when nothing needs to be asked ---------------------------------------------------------------------------- */

static void test_outcome__what_only_read_is_run_again_without_asking(void **state)
{
        struct single f;

        (void)state;
        for (int kind = 0; with_outcomes(&f, &kind); close_single(&f)) {
                struct work w = {.reads = true};
                dal_error err = DAL_ERROR_INIT;

                lose_commit(&f, true);
                assert_ok(run_for(&f, &w, 0, &err));
                assert_int_equal(w.n_calls, 2);
                assert_int_equal(w.n_commits, 1);
                assert_int_equal(dal_fake_journal_count(f.server, TOMBSTONE), 0);
        }
}

static void test_outcome__a_query_said_to_write_is_asked_about(void **state)
{
        static const dal_stmt writes = DAL_STMT("get_rows", "SELECT writes()", .flags = DAL_STMT_WRITES);
        static const dal_stmt reads = DAL_STMT("get_rows", "SELECT reads()");
        const dal_stmt *stmts[] = {&reads, &writes};
        dal_error err = DAL_ERROR_INIT;
        struct single f;

        (void)state;
        for (int i = 0; i < 2; i++)
                for (int kind = 0; with_outcomes(&f, &kind); close_single(&f)) {
                        dal_conn *conn = NULL;

                        assert_ok(dal_cluster_lease(f.cluster, 0, &conn, &err));
                        assert_ok(dal_conn_begin(conn, DAL_ISOLATION_DEFAULT, false, DAL_FOREVER, &err));
                        dal_fake_on(f.server, "get_rows", NULL, NULL);
                        assert_ok(dal_conn_exec(conn, stmts[i], DAL_NO_PARAMS, DAL_FOREVER, NULL, &err));
                        assert_int_equal(dal__conn_has_written(conn), i);
                        assert_ok(dal_conn_rollback(conn, DAL_FOREVER, &err));
                        dal_cluster_release(f.cluster, 0, conn);
                }
}

/* An answer is an answer: nobody asks when the server refused the token or COMMIT. */
static void test_outcome__a_refused_commit_is_rolled_back(void **state)
{
        struct single f;

        (void)state;
        for (int kind = 0; with_outcomes(&f, &kind); close_single(&f)) {
                struct work w = {.reads = false};
                dal_error err = DAL_ERROR_INIT;

                inject(f.server, (dal_fake_fault){.match = "COMMIT", .error_class = DAL_CLASS_DEADLOCK});
                assert_ok(run_for(&f, &w, 0, &err));
                assert_int_equal(w.n_calls, 2);
                assert_int_equal(dal_fake_journal_count(f.server, TOMBSTONE), 0);
                assert_int_equal(dal_fake_get_stats(f.server).n_in_tx, 0);
        }
}

static void test_outcome__off_means_in_doubt_at_once(void **state)
{
        struct single f;

        (void)state;
        for (int kind = 0; kind < 2; kind++) {
                struct work w = {.reads = false};
                dal_error err = DAL_ERROR_INIT;

                init_single(&f, kind == 1);
                assert_true(dal_fake_add_outcomes(f.server));
                f.options.outcomes = DAL_OUTCOMES_OFF;
                open_single(&f);
                lose_commit(&f, true);
                assert_fails(run_for(&f, &w, 0, &err), DAL_CLASS_COMMIT_UNKNOWN);
                assert_string_equal(err.outcome_token, "");
                assert_int_equal(dal_fake_journal_count(f.server, TOMBSTONE), 0);
                close_single(&f);
        }
}

/* ---- single statements ------------------------------------------------------------------------------------------ */

static void test_outcome__a_single_write_is_resolved_when_asked_for(void **state)
{
        static const dal_stmt resolved =
                DAL_STMT("put_row", "INSERT INTO t (id, v) VALUES (?, ?)", .flags = DAL_STMT_RESOLVE);
        struct single f;

        (void)state;
        for (int executed = 0; executed < 2; executed++)
                for (int kind = 0; with_outcomes(&f, &kind); close_single(&f)) {
                        dal_error err = DAL_ERROR_INIT;
                        int64_t n_rows = 0;

                        lose_commit(&f, executed);
                        assert_ok(dal_cluster_exec(f.cluster, dal_key_int64(1), &resolved, ROW(1), &n_rows,
                                                   &err));
                        assert_int_equal(n_rows, 1);
                        assert_true(has_row(f.server, 1));
                        assert_int_equal(dal_fake_journal_count(f.server, "put_row"), executed ? 1 : 2);
                }
}

static void two_rows(void *arg, dal_fake_call *call)
{
        (void)arg;
        dal_fake_call_row(call, DAL_PARAMS(dal_int64(1)));
        dal_fake_call_row(call, DAL_PARAMS(dal_int64(2)));
}

/* The rows of a write outside a transaction may come from one that is committed by now; those of a read don't. */
static void test_outcome__rows_lost_in_their_midst(void **state)
{
        static const dal_stmt write = DAL_STMT("rows_of", "INSERT INTO t VALUES (1) RETURNING v");
        static const dal_stmt read = DAL_STMT("rows_of", "SELECT v FROM t");
        const dal_stmt *stmts[] = {&write, &read};
        struct single f;

        (void)state;
        for (int i = 0; i < 2; i++)
                for (int kind = 0; with_outcomes(&f, &kind); close_single(&f)) {
                        dal_error err = DAL_ERROR_INIT;
                        dal_rows *rows = NULL;
                        bool found;

                        assert_true(dal_fake_on(f.server, "rows_of", two_rows, NULL));
                        inject(f.server, (dal_fake_fault){.at = DAL_FAKE_AT_FETCH,
                                                          .match = "rows_of",
                                                          .skip = 1,
                                                          .error_class = DAL_CLASS_CONNECTION_LOST});
                        assert_ok(dal_cluster_query(f.cluster, dal_key_int64(1), stmts[i], DAL_NO_PARAMS,
                                                    &rows, &err));
                        assert_ok(dal_rows_next(rows, &found, &err));
                        assert_fails(dal_rows_next(rows, &found, &err),
                                     i ? DAL_CLASS_CONNECTION_LOST : DAL_CLASS_COMMIT_UNKNOWN);
                        assert_int_equal(err.retry_tx, i);
                        dal_rows_close(rows);
                }
}

/* ---- several who ask at the same time ------------------------------------------------------------------------------ */

#define N_RESOLVERS 3
static const char shared_token[] = "010000006921c4d70000000000000007";

struct resolver {
        dal_cluster *cluster;
        dal_outcome outcome;
        dal_status status;
        pthread_t thread;
};

static void *resolve(void *arg)
{
        struct resolver *r = arg;
        dal_error err = DAL_ERROR_INIT;

        r->status = dal_resolve(r->cluster, shared_token, 4000, &r->outcome, &err);
        return NULL;
}

static void hold_token(void *arg, dal_fake_call *call)
{
        (void)arg;
        dal_fake_store_insert(call, "dal_outcome", 7, DAL_PARAMS(dal_text("C")));
}

static void wait_for_tombstones(struct single *f)
{
        /* They are journalled when they end, so what tells is that all have their sessions in use. */
        for (int i = 0; i < 2000 && pool_stats(f->cluster, 0).leased < N_RESOLVERS + 1; i++)
                assert_int_equal(nanosleep(&(struct timespec){0, 1000000}, NULL), 0);
        assert_int_equal(pool_stats(f->cluster, 0).leased, N_RESOLVERS + 1);
}

/* The holder's end decides, and all hear the same: they wait, and retry when they get in each other's way. */
static void test_outcome__all_who_ask_hear_the_same(void **state)
{
        static const dal_stmt hold = DAL_STMT("hold_token", "INSERT INTO dal_outcome VALUES (7)");
        struct single f;

        (void)state;
        for (int commit = 0; commit < 2; commit++)
                for (int kind = 0; with_outcomes(&f, &kind); close_single(&f)) {
                        struct resolver r[N_RESOLVERS];
                        dal_error err = DAL_ERROR_INIT;
                        dal_conn *holder = NULL;

                        assert_true(dal_fake_on(f.server, "hold_token", hold_token, NULL));
                        inject(f.server,
                               (dal_fake_fault){.match = TOMBSTONE, .error_class = DAL_CLASS_DEADLOCK});
                        assert_ok(dal_cluster_lease(f.cluster, 0, &holder, &err));
                        assert_ok(dal_conn_begin(holder, DAL_ISOLATION_DEFAULT, false, DAL_FOREVER, &err));
                        assert_ok(dal_conn_exec(holder, &hold, DAL_NO_PARAMS, DAL_FOREVER, NULL, &err));
                        for (int i = 0; i < N_RESOLVERS; i++) {
                                r[i] = (struct resolver){.cluster = f.cluster};
                                assert_int_equal(pthread_create(&r[i].thread, NULL, resolve, &r[i]), 0);
                        }
                        wait_for_tombstones(&f);
                        if (commit)
                                assert_ok(dal_conn_commit(holder, DAL_FOREVER, &err));
                        else
                                assert_ok(dal_conn_rollback(holder, DAL_FOREVER, &err));
                        for (int i = 0; i < N_RESOLVERS; i++) {
                                assert_int_equal(pthread_join(r[i].thread, NULL), 0);
                                assert_int_equal(r[i].status, DAL_OK);
                                assert_int_equal(r[i].outcome,
                                                 commit ? DAL_OUTCOME_COMMITTED : DAL_OUTCOME_NOT_COMMITTED);
                        }
                        dal_cluster_release(f.cluster, 0, holder);
                }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_outcome__a_token_is_read_as_it_was_written),
                cmocka_unit_test(test_outcome__tokens_sort_by_time),
                cmocka_unit_test(test_outcome__a_lost_answer_is_found_out),
                cmocka_unit_test(test_outcome__asking_is_repeated_until_it_is_answered),
                cmocka_unit_test(test_outcome__silence_leaves_time_to_ask),
                cmocka_unit_test(test_outcome__in_doubt_while_the_server_stays_away),
                cmocka_unit_test(test_outcome__what_only_read_is_run_again_without_asking),
                cmocka_unit_test(test_outcome__a_query_said_to_write_is_asked_about),
                cmocka_unit_test(test_outcome__a_refused_commit_is_rolled_back),
                cmocka_unit_test(test_outcome__off_means_in_doubt_at_once),
                cmocka_unit_test(test_outcome__a_single_write_is_resolved_when_asked_for),
                cmocka_unit_test(test_outcome__rows_lost_in_their_midst),
                cmocka_unit_test(test_outcome__all_who_ask_hear_the_same),
        };

        return cmocka_run_group_tests_name("outcome", tests, NULL, NULL);
}
