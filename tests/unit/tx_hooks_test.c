/* SPDX-License-Identifier: MIT */
/* Hooks, threads, further keys and deadlines of one attempt; what commits and what spoils is in tx_test.c. */
#include "run_fixture.h"

#include <pthread.h>

/* ---- hooks ---- */

static dal_status put_with_hooks(dal_tx *tx, void *arg, dal_error *err)
{
        dal_status s = add_hooks(tx, arg, err);

        return s ? s : put_two(tx, NULL, err);
}

static void test_tx__hooks_run_once_after_the_outcome(void **state)
{
        struct lone f;

        (void)state;
        for (int i = 0; both_kinds(&f, &i); close_lone(&f)) {
                dal_error err = DAL_ERROR_INIT;
                struct notes notes = {"", 0};

                assert_ok(attempt(&f, put_with_hooks, &notes, &err));
                assert_string_equal(notes.text, "c");
                assert_fails(attempt(&f, put_with_hooks, &notes, &err), DAL_CLASS_UNIQUE);
                assert_string_equal(notes.text, "cr");
        }
}

static void test_tx__in_doubt_calls_no_hook(void **state)
{
        struct lone f;

        (void)state;
        for (int executed = 0; executed < 2; executed++)
                for (int i = 0; both_kinds(&f, &i); close_lone(&f)) {
                        dal_error err = DAL_ERROR_INIT;
                        struct notes notes = {"", 0};

                        inject(f.server, (dal_fake_fault){.match = "COMMIT",
                                                          .error_class = DAL_CLASS_CONNECTION_LOST,
                                                          .executed = executed});
                        assert_fails(attempt(&f, put_with_hooks, &notes, &err), DAL_CLASS_COMMIT_UNKNOWN);
                        assert_string_equal(notes.text, "");
                        assert_false(err.retry_tx);
                        assert_true(err.conn_gone);
                        assert_true(dal__conn_is_broken(f.conn));
                        assert_int_equal(has_row(f.server, 1), executed);
                }
}

/* The doubt is about another database's transaction: this one is known to be rolled back. */
static dal_status bring_doubt_from_elsewhere(dal_tx *tx, void *arg, dal_error *err)
{
        dal_status s = put_with_hooks(tx, arg, err);

        return s ? s : dal_error_set(err, DAL_CLASS_COMMIT_UNKNOWN, "the other cluster did not answer");
}

static void test_tx__a_doubt_from_elsewhere_rolls_back_and_says_so(void **state)
{
        struct lone f = open_lone(false);
        dal_error err = DAL_ERROR_INIT;
        struct notes notes = {"", 0};

        (void)state;
        assert_fails(attempt(&f, bring_doubt_from_elsewhere, &notes, &err), DAL_CLASS_COMMIT_UNKNOWN);
        assert_string_equal(notes.text, "r");
        assert_false(has_row(f.server, 1));
        close_lone(&f);
}

static void test_tx__a_commit_that_fails_for_sure_calls_the_rollback_hook(void **state)
{
        static const dal_error_class classes[] = {DAL_CLASS_COMMIT_ROLLED_BACK, DAL_CLASS_SERIALIZATION,
                                                  DAL_CLASS_UNIQUE};
        struct lone f;

        (void)state;
        for (size_t c = 0; c < sizeof classes / sizeof classes[0]; c++)
                for (int i = 0; both_kinds(&f, &i); close_lone(&f)) {
                        dal_error err = DAL_ERROR_INIT;
                        struct notes notes = {"", 0};

                        inject(f.server, (dal_fake_fault){.match = "COMMIT", .error_class = classes[c]});
                        assert_fails(attempt(&f, put_with_hooks, &notes, &err), classes[c]);
                        assert_int_equal(err.retry_tx, classes[c] == DAL_CLASS_SERIALIZATION);
                        assert_string_equal(notes.text, "r");
                        assert_false(has_row(f.server, 1));
                        assert_idle(&f);
                }
}

struct letter {
        struct notes *notes;
        char c;
};

static void note_letter(void *arg)
{
        struct letter *letter = arg;

        note(letter->notes, letter->c);
}

static dal_status add_many_hooks(dal_tx *tx, void *arg, dal_error *err)
{
        struct letter *letters = arg;
        dal_status s = DAL_OK;

        for (size_t i = 0; s == DAL_OK && i < 26; i++)
                s = dal_tx_on_commit(tx, note_letter, &letters[i], err);
        return s;
}

static void test_tx__hooks_run_in_the_order_of_their_registration(void **state)
{
        struct lone f = open_lone(false);
        dal_error err = DAL_ERROR_INIT;
        struct notes notes = {"", 0};
        struct letter letters[26];

        (void)state;
        for (size_t i = 0; i < 26; i++)
                letters[i] = (struct letter){&notes, (char)('a' + i)};
        assert_ok(attempt(&f, add_many_hooks, letters, &err));
        assert_string_equal(notes.text, "abcdefghijklmnopqrstuvwxyz");
        close_lone(&f);
}

static dal_status add_no_hook(dal_tx *tx, void *arg, dal_error *err)
{
        (void)arg;
        assert_int_equal(dal_tx_on_rollback(tx, NULL, NULL, err), DAL_ERR_ARG);
        return dal_tx_on_commit(tx, NULL, NULL, err);
}

static void test_tx__a_hook_that_is_no_function_is_refused(void **state)
{
        struct lone f = open_lone(false);
        dal_error err = DAL_ERROR_INIT;

        (void)state;
        assert_fails(attempt(&f, add_no_hook, NULL, &err), DAL_CLASS_ARGUMENT);
        close_lone(&f);
}

/* ---- threads ---- */

struct stranger {
        dal_tx *tx;
        dal_status got[9];
        dal_error err;
};

static void *use_from_elsewhere(void *arg)
{
        struct stranger *s = arg;
        dal_rows *rows;

        s->got[0] = dal_tx_exec(s->tx, &put_row, ROW(5), NULL, &s->err);
        s->got[1] = dal_tx_query(s->tx, &get_rows, RANGE(1, 2), &rows, NULL);
        s->got[2] = dal_tx_queue(s->tx, &put_row, ROW(5), NULL);
        s->got[3] = dal_tx_exec_dynamic(s->tx, "DELETE FROM t", DAL_NO_PARAMS, NULL, NULL);
        s->got[4] = dal_tx_query_dynamic(s->tx, "SELECT 1", DAL_NO_PARAMS, &rows, NULL);
        s->got[5] = dal_tx_run(s->tx, put_two, NULL, NULL);
        s->got[6] = dal_tx_on_commit(s->tx, note_commit, NULL, NULL);
        s->got[7] = dal_tx_on_rollback(s->tx, note_rollback, NULL, NULL);
        s->got[8] = dal_tx_require_key(s->tx, dal_key_int64(1), NULL);
        return NULL;
}

static dal_status lend_to_a_thread(dal_tx *tx, void *arg, dal_error *err)
{
        struct stranger *stranger = arg;
        pthread_t thread;
        dal_status s = dal_tx_exec(tx, &put_row, ROW(1), NULL, err);

        stranger->tx = tx;
        assert_int_equal(pthread_create(&thread, NULL, use_from_elsewhere, stranger), 0);
        assert_int_equal(pthread_join(thread, NULL), 0);
        return s ? s : dal_tx_exec(tx, &put_row, ROW(2), NULL, err);
}

static void test_tx__another_thread_is_refused_and_spoils_nothing(void **state)
{
        struct lone f = open_lone(false);
        dal_error err = DAL_ERROR_INIT;
        struct stranger stranger = {.err = DAL_ERROR_INIT};

        (void)state;
        assert_ok(attempt(&f, lend_to_a_thread, &stranger, &err));
        for (size_t i = 0; i < sizeof stranger.got / sizeof stranger.got[0]; i++)
                assert_int_equal(stranger.got[i], DAL_ERR_STATE);
        assert_has(stranger.err.message, "thread");
        assert_journal(f.server, "BEGIN\nput_row\nput_row\nCOMMIT\n");
        close_lone(&f);
}

/* ---- keys, facts, dynamic statements ---- */

static dal_status check_facts(dal_tx *tx, void *arg, dal_error *err)
{
        struct lone *f = arg;
        int64_t n_rows = 0;
        dal_rows *rows;
        dal_status s;

        assert_int_equal(dal_tx_attempt(tx), 1);
        assert_int_equal(dal_tx_shard(tx), LONE_SHARD);
        assert_true(dal_tx_deadline(tx) == f->deadline);
        assert_string_equal(dal_tx_info(tx)->engine, f->modal ? "fakemodal" : "fake");
        assert_int_equal(dal_tx_insert_id(tx), 0);
        s = dal_tx_exec_dynamic(tx, "INSERT INTO u VALUES (?)", DAL_PARAMS(dal_int64(4)), &n_rows, err);
        assert_int_equal(n_rows, 1);
        if (s == DAL_OK)
                s = dal_tx_query_dynamic(tx, "SELECT 1", DAL_NO_PARAMS, &rows, err);
        if (s == DAL_OK)
                dal_rows_close(rows);
        return s;
}

static void test_tx__facts_and_dynamic_statements(void **state)
{
        struct lone f;

        (void)state;
        for (int i = 0; both_kinds(&f, &i); close_lone(&f)) {
                dal_error err = DAL_ERROR_INIT;

                f.deadline = dal_clock_after_ms(5000);
                assert_ok(attempt(&f, check_facts, &f, &err));
                assert_int_equal(dal_fake_journal_count(f.server, "INSERT INTO u"), 1);
        }
}

static dal_status require(dal_tx *tx, void *arg, dal_error *err)
{
        return dal_tx_require_key(tx, *(dal_key *)arg, err);
}

static void test_tx__a_further_key_must_be_of_this_shard(void **state)
{
        struct lone f = open_lone(false);
        dal_error err = DAL_ERROR_INIT;
        dal_key far = dal_key_text("far away"), near = dal_key_int64(12345), none;

        (void)state;
        memset(&none, 0, sizeof none);
        dal__map_set(f.map, dal_key_slot(&far), 31);
        f.key = dal_key_int64(4711);
        assert_ok(attempt(&f, require, &near, &err));
        assert_ok(attempt(&f, require, &f.key, &err));
        assert_fails(attempt(&f, require, &far, &err), DAL_CLASS_OTHER_SHARD);
        assert_has(err.message, "far away");
        assert_has(err.message, "31");
        assert_has(err.message, "4711");
        assert_has(err.message, " 7");
        f.key = none; /* as with dal_cluster_run_on() */
        assert_fails(attempt(&f, require, &far, &err), DAL_CLASS_OTHER_SHARD);
        assert_has(err.message, "far away");
        assert_fails(attempt(&f, require, &none, &err), DAL_CLASS_MISSING_KEY);
        close_lone(&f);
}

static void test_tx__a_further_key_without_a_shard_is_told_as_such(void **state)
{
        struct lone f = open_lone(false);
        dal_error err = DAL_ERROR_INIT;
        dal_key orphan = dal_key_text("orphan");

        (void)state;
        dal__map_set(f.map, dal_key_slot(&orphan), DAL_NO_SHARD);
        assert_fails(attempt(&f, require, &orphan, &err), DAL_CLASS_NO_SHARD);
        assert_has(err.message, "orphan");
        assert_null(strstr(err.message, "65535"));
        close_lone(&f);
}

/* ---- deadlines ---- */

static void test_tx__a_deadline_in_the_past_begins_nothing(void **state)
{
        struct lone f;

        (void)state;
        for (int i = 0; both_kinds(&f, &i); close_lone(&f)) {
                dal_error err = DAL_ERROR_INIT;

                f.deadline = 1;
                assert_fails(attempt(&f, put_two, NULL, &err), DAL_CLASS_DEADLINE);
                assert_false(err.retry_tx);
                assert_journal(f.server, "");
        }
}

static int64_t late_ms(dal_deadline deadline)
{
        return (dal_clock_now() - deadline) / 1000000;
}

static void test_tx__a_statement_that_hangs_ends_at_the_deadline(void **state)
{
        struct lone f;

        (void)state;
        for (int i = 0; both_kinds(&f, &i); close_lone(&f)) {
                dal_error err = DAL_ERROR_INIT;

                inject(f.server, (dal_fake_fault){.match = "put_row", .skip = 1, .hang = true});
                f.deadline = dal_clock_after_ms(60);
                assert_fails(attempt(&f, put_two, NULL, &err), DAL_CLASS_DEADLINE);
                assert_in_range(late_ms(f.deadline), 0, 600);
        }
}

/* The function's own business took too long; the server would answer at once. */
static dal_status dawdle(dal_tx *tx, void *arg, dal_error *err)
{
        dal_status s = put_two(tx, NULL, err);

        (void)arg;
        while (s == DAL_OK && !dal_clock_passed(dal_tx_deadline(tx)))
                ;
        return s;
}

static void test_tx__past_the_deadline_nothing_is_committed(void **state)
{
        struct lone f;

        (void)state;
        for (int i = 0; both_kinds(&f, &i); close_lone(&f)) {
                dal_error err = DAL_ERROR_INIT;

                f.deadline = dal_clock_after_ms(200);
                assert_fails(attempt(&f, dawdle, NULL, &err), DAL_CLASS_DEADLINE);
                assert_int_equal(dal_fake_journal_count(f.server, "COMMIT"), 0);
                assert_int_equal(dal_fake_journal_count(f.server, "ROLLBACK"), 1);
                assert_false(has_row(f.server, 1));
                assert_false(dal__conn_is_broken(f.conn)); /* a quick rollback saves the connection */
                assert_idle(&f);
        }
}

static dal_status dawdle_and_refuse(dal_tx *tx, void *arg, dal_error *err)
{
        dal_status s = dawdle(tx, arg, err);

        return s ? s : dal_fail(err, DAL_ERR_APP, "too late");
}

static void test_tx__a_rollback_that_hangs_does_not_outlast_the_deadline(void **state)
{
        struct lone f;

        (void)state;
        for (int commit = 0; commit < 2; commit++)
                for (int i = 0; both_kinds(&f, &i); close_lone(&f)) {
                        dal_error err = DAL_ERROR_INIT;

                        inject(f.server, (dal_fake_fault){.match = "ROLLBACK", .hang = true});
                        f.deadline = dal_clock_after_ms(200);
                        assert_int_equal(attempt(&f, commit ? dawdle : dawdle_and_refuse, NULL, &err),
                                         commit ? DAL_ERR_TIMEOUT : DAL_ERR_APP);
                        assert_in_range(late_ms(f.deadline), 0, 600);
                        assert_true(dal__conn_is_broken(f.conn)); /* closing it is what rolls back */
                }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_tx__hooks_run_once_after_the_outcome),
                cmocka_unit_test(test_tx__in_doubt_calls_no_hook),
                cmocka_unit_test(test_tx__a_doubt_from_elsewhere_rolls_back_and_says_so),
                cmocka_unit_test(test_tx__a_commit_that_fails_for_sure_calls_the_rollback_hook),
                cmocka_unit_test(test_tx__hooks_run_in_the_order_of_their_registration),
                cmocka_unit_test(test_tx__a_hook_that_is_no_function_is_refused),
                cmocka_unit_test(test_tx__another_thread_is_refused_and_spoils_nothing),
                cmocka_unit_test(test_tx__facts_and_dynamic_statements),
                cmocka_unit_test(test_tx__a_further_key_must_be_of_this_shard),
                cmocka_unit_test(test_tx__a_further_key_without_a_shard_is_told_as_such),
                cmocka_unit_test(test_tx__a_deadline_in_the_past_begins_nothing),
                cmocka_unit_test(test_tx__a_statement_that_hangs_ends_at_the_deadline),
                cmocka_unit_test(test_tx__past_the_deadline_nothing_is_committed),
                cmocka_unit_test(test_tx__a_rollback_that_hangs_does_not_outlast_the_deadline),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
