/* SPDX-License-Identifier: MIT */
/* dal_tx_exec_versioned(): exactly one row, or the transaction is over. */
#include "cluster_fixture.h"

static const dal_stmt save = DAL_STMT("save", "UPDATE t SET v = ?, version = version + 1 WHERE id = ?");

/* What the statement `save` matches: the n-th run takes the n-th number, later ones the last. */
struct matches {
        int64_t n_rows[4];
        size_t n, i;
};

static void on_save(void *arg, dal_fake_call *call)
{
        struct matches *m = arg;

        dal_fake_call_count(call, m->n_rows[m->i]);
        if (m->i + 1 < m->n)
                m->i++;
}

static void answer(dal_fake_server *server, struct matches *m)
{
        assert_true(dal_fake_on(server, "save", on_save, m));
}

/* How a function behaves around its versioned write. */
struct saver {
        bool put_first, hide, go_on;
        uint32_t n_runs;
        dal_status got, then;
        dal_error got_error, then_error;
};

static dal_status save_one(dal_tx *tx, void *arg, dal_error *err)
{
        struct saver *how = arg;
        dal_status s = DAL_OK;

        how->n_runs++;
        if (how->put_first)
                s = dal_tx_exec(tx, &put_row, ROW(1), NULL, err);
        if (s)
                return s;
        how->got = dal_tx_exec_versioned(tx, &save, ROW(1), &how->got_error);
        if (how->go_on)
                how->then = dal_tx_exec(tx, &put_row, ROW(2), NULL, &how->then_error);
        if (how->hide)
                return DAL_OK;
        *err = how->got ? how->got_error : *err;
        return how->got;
}

static void test_tx_versioned__one_row_is_success(void **state)
{
        struct lone f;

        (void)state;
        for (int i = 0; both_kinds(&f, &i); close_lone(&f)) {
                struct matches m = {{1}, 1, 0};
                struct saver how = {.put_first = true};
                dal_error err = DAL_ERROR_INIT;

                answer(f.server, &m);
                assert_ok(attempt(&f, save_one, &how, &err));
                assert_journal(f.server, "BEGIN\nput_row\nsave\nCOMMIT\n");
                assert_idle(&f);
        }
}

static void test_tx_versioned__no_row_is_contention(void **state)
{
        struct lone f;

        (void)state;
        for (int i = 0; both_kinds(&f, &i); close_lone(&f)) {
                struct matches m = {{0}, 1, 0};
                struct saver how = {.put_first = true};
                dal_error err = DAL_ERROR_INIT;

                answer(f.server, &m);
                assert_fails(attempt(&f, save_one, &how, &err), DAL_CLASS_STALE_ROW);
                assert_true(err.retry_tx);
                assert_false(err.conn_gone || err.tx_gone);
                assert_has(err.message, "save: ");
                assert_int_equal(how.got_error.shard, LONE_SHARD);
                assert_journal(f.server, "BEGIN\nput_row\nsave\nROLLBACK\n");
                assert_false(has_row(f.server, 1));
                assert_idle(&f);
        }
}

/* The statement names no row by its key and version: running it again would not help. */
static void test_tx_versioned__more_than_one_row_is_a_mistake(void **state)
{
        struct lone f;

        (void)state;
        for (int i = 0; both_kinds(&f, &i); close_lone(&f)) {
                struct matches m = {{2}, 1, 0};
                struct saver how = {.put_first = true};
                dal_error err = DAL_ERROR_INIT;

                answer(f.server, &m);
                assert_fails(attempt(&f, save_one, &how, &err), DAL_CLASS_STATE);
                assert_false(err.retry_tx);
                assert_has(err.message, "save: ");
                assert_false(has_row(f.server, 1));
                assert_idle(&f);
        }
}

static void test_tx_versioned__what_follows_is_refused(void **state)
{
        static const int64_t n_rows[] = {0, 2};
        struct lone f;

        (void)state;
        for (size_t k = 0; k < 2; k++)
                for (int i = 0; both_kinds(&f, &i); close_lone(&f)) {
                        struct matches m = {{n_rows[k]}, 1, 0};
                        struct saver how = {.go_on = true};
                        dal_error err = DAL_ERROR_INIT;

                        answer(f.server, &m);
                        assert_int_equal(attempt(&f, save_one, &how, &err),
                                         n_rows[k] ? DAL_ERR_STATE : DAL_ERR_CONFLICT);
                        assert_int_equal(how.then, DAL_ERR_STATE);
                        assert_int_equal(how.then_error.error_class, DAL_CLASS_TX_STATE);
                        assert_journal(f.server, "BEGIN\nsave\nROLLBACK\n");
                }
}

/* A function that returns DAL_OK all the same commits nothing. */
static void test_tx_versioned__hiding_it_does_not_commit(void **state)
{
        struct lone f;

        (void)state;
        for (int i = 0; both_kinds(&f, &i); close_lone(&f)) {
                struct matches m = {{0, 2}, 2, 0};
                struct saver how = {.hide = true};
                dal_error err = DAL_ERROR_INIT;

                answer(f.server, &m);
                assert_fails(attempt(&f, save_one, &how, &err), DAL_CLASS_STALE_ROW);
                assert_true(err.retry_tx);
                assert_fails(attempt(&f, save_one, &how, &err), DAL_CLASS_COMMIT_ROLLED_BACK);
                assert_has(err.message, "save: ");
                assert_int_equal(dal_fake_journal_count(f.server, "COMMIT"), 0);
                assert_idle(&f);
        }
}

static void test_tx_versioned__the_servers_own_failure_is_passed_on(void **state)
{
        struct lone f;

        (void)state;
        for (int i = 0; both_kinds(&f, &i); close_lone(&f)) {
                struct saver how = {.put_first = false};
                dal_error err = DAL_ERROR_INIT;

                inject(f.server, (dal_fake_fault){.match = "save", .error_class = DAL_CLASS_DEADLOCK});
                assert_fails(attempt(&f, save_one, &how, &err), DAL_CLASS_DEADLOCK);
                assert_idle(&f);
        }
}

static dal_status save_without_an_error(dal_tx *tx, void *arg, dal_error *err)
{
        (void)arg;
        (void)err;
        return dal_tx_exec_versioned(tx, &save, ROW(1), NULL);
}

static void test_tx_versioned__a_null_error_is_fine(void **state)
{
        struct lone f;

        (void)state;
        for (int i = 0; both_kinds(&f, &i); close_lone(&f)) {
                struct matches m = {{0}, 1, 0};
                dal_error err = DAL_ERROR_INIT;

                answer(f.server, &m);
                assert_fails(attempt(&f, save_without_an_error, NULL, &err), DAL_CLASS_STALE_ROW);
                assert_int_equal(attempt(&f, save_without_an_error, NULL, NULL), DAL_ERR_CONFLICT);
        }
}

/* ---- in a nested function ---- */

struct nest {
        struct saver inner;
        bool swallow; /* the outer function goes on as if nothing had happened */
        dal_status got, then;
};

static dal_status around(dal_tx *tx, void *arg, dal_error *err)
{
        struct nest *nest = arg;
        dal_status s = dal_tx_exec(tx, &put_row, ROW(1), NULL, err);

        if (s)
                return s;
        nest->got = dal_tx_run(tx, save_one, &nest->inner, err);
        if (nest->got && !nest->swallow)
                return nest->got;
        nest->then = dal_tx_exec(tx, &put_row, ROW(9), NULL, NULL);
        return DAL_OK;
}

/* No savepoint helps against contention: what was read ahead of it is as old. */
static void test_tx_versioned__contention_reaches_the_outermost(void **state)
{
        struct lone f;

        (void)state;
        for (int how = 0; how < 4; how++)
                for (int i = 0; both_kinds(&f, &i); close_lone(&f)) {
                        struct matches m = {{0}, 1, 0};
                        struct nest nest = {.inner = {.hide = how & 1}, .swallow = how & 2};
                        dal_error err = DAL_ERROR_INIT;

                        answer(f.server, &m);
                        assert_fails(attempt(&f, around, &nest, &err), DAL_CLASS_STALE_ROW);
                        assert_true(err.retry_tx);
                        assert_int_equal(nest.got, DAL_ERR_CONFLICT);
                        assert_int_equal(nest.then, nest.swallow ? DAL_ERR_STATE : DAL_OK);
                        assert_journal(f.server, "BEGIN\nput_row\nSAVEPOINT 1\nsave\nROLLBACK\n");
                        assert_false(has_row(f.server, 1));
                        assert_idle(&f);
                }
}

/* A statement that is wrong is contained, as any other refusal is. */
static void test_tx_versioned__a_mistake_stays_inside_its_savepoint(void **state)
{
        struct lone f;

        (void)state;
        for (int i = 0; both_kinds(&f, &i); close_lone(&f)) {
                struct matches m = {{2}, 1, 0};
                struct nest nest = {.swallow = true};
                dal_error err = DAL_ERROR_INIT;

                answer(f.server, &m);
                assert_ok(attempt(&f, around, &nest, &err));
                assert_int_equal(nest.got, DAL_ERR_STATE);
                assert_int_equal(nest.then, DAL_OK);
                assert_journal(f.server, "BEGIN\nput_row\nSAVEPOINT 1\nsave\nROLLBACK TO 1\nRELEASE "
                                         "1\nput_row\nCOMMIT\n");
                assert_true(has_row(f.server, 1) && has_row(f.server, 9));
        }
}

/* ---- in the loop ---- */

static void test_tx_versioned__the_cluster_runs_it_again(void **state)
{
        struct single f;

        (void)state;
        for (int kind = 0; single_of_both_kinds(&f, &kind); close_single(&f)) {
                struct matches m = {{0, 0, 1}, 3, 0};
                struct saver how = {.put_first = true};
                dal_error err = DAL_ERROR_INIT;
                struct events events;

                answer(f.server, &m);
                assert_ok(dal_cluster_run(f.cluster, dal_key_int64(1), NULL, save_one, &how, &err));
                assert_int_equal(how.n_runs, 3);
                assert_true(has_row(f.server, 1));
                events = take_events(&f.events);
                assert_int_equal(events.n_retries, 2);
                assert_int_equal(events.last_error.error_class, DAL_CLASS_STALE_ROW);
        }
}

static void test_tx_versioned__attempts_are_counted(void **state)
{
        dal_tx_options options = DAL_TX_OPTIONS_INIT;
        struct single f;

        (void)state;
        options.max_attempts = 2;
        for (int kind = 0; single_of_both_kinds(&f, &kind); close_single(&f)) {
                struct matches m = {{0}, 1, 0};
                struct saver how = {.put_first = true};
                dal_error err = DAL_ERROR_INIT;

                answer(f.server, &m);
                assert_fails(dal_cluster_run(f.cluster, dal_key_int64(1), &options, save_one, &how, &err),
                             DAL_CLASS_STALE_ROW);
                assert_int_equal(how.n_runs, 2);
                m.n_rows[0] = 2;
                assert_fails(dal_cluster_run(f.cluster, dal_key_int64(1), &options, save_one, &how, &err),
                             DAL_CLASS_STATE);
                assert_int_equal(how.n_runs, 3); /* a mistake is not repeated */
                assert_false(has_row(f.server, 1));
        }
}

static void test_tx_versioned__the_cluster_runs_the_outermost_again(void **state)
{
        struct single f;

        (void)state;
        for (int kind = 0; single_of_both_kinds(&f, &kind); close_single(&f)) {
                struct matches m = {{0, 1}, 2, 0};
                struct nest nest = {.swallow = true};
                dal_error err = DAL_ERROR_INIT;

                answer(f.server, &m);
                assert_ok(dal_cluster_run(f.cluster, dal_key_int64(1), NULL, around, &nest, &err));
                assert_int_equal(nest.inner.n_runs, 2);
                assert_int_equal(dal_fake_journal_count(f.server, "put_row"), 3);
                assert_true(has_row(f.server, 1) && has_row(f.server, 9));
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_tx_versioned__one_row_is_success),
                cmocka_unit_test(test_tx_versioned__no_row_is_contention),
                cmocka_unit_test(test_tx_versioned__more_than_one_row_is_a_mistake),
                cmocka_unit_test(test_tx_versioned__what_follows_is_refused),
                cmocka_unit_test(test_tx_versioned__hiding_it_does_not_commit),
                cmocka_unit_test(test_tx_versioned__the_servers_own_failure_is_passed_on),
                cmocka_unit_test(test_tx_versioned__a_null_error_is_fine),
                cmocka_unit_test(test_tx_versioned__contention_reaches_the_outermost),
                cmocka_unit_test(test_tx_versioned__a_mistake_stays_inside_its_savepoint),
                cmocka_unit_test(test_tx_versioned__the_cluster_runs_it_again),
                cmocka_unit_test(test_tx_versioned__attempts_are_counted),
                cmocka_unit_test(test_tx_versioned__the_cluster_runs_the_outermost_again),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
