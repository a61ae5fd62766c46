/* SPDX-License-Identifier: MIT */
#include "run_fixture.h"

static const dal_stmt begin_raw = DAL_STMT("begin_raw", "BEGIN");

/* ---- begin and end ---- */

static void test_tx__ok_commits(void **state)
{
        struct lone f;

        (void)state;
        for (int i = 0; both_kinds(&f, &i); close_lone(&f)) {
                dal_error err = DAL_ERROR_INIT;

                assert_ok(attempt(&f, put_two, NULL, &err));
                assert_journal(f.server, "BEGIN\nput_row\nput_row\nCOMMIT\n");
                assert_true(has_row(f.server, 1) && has_row(f.server, 2));
                assert_int_equal(err.status, DAL_OK); /* on success the error is left untouched */
                assert_idle(&f);
        }
}

static dal_status do_nothing(dal_tx *tx, void *arg, dal_error *err)
{
        (void)tx;
        (void)err;
        return arg ? dal_fail(err, DAL_ERR_APP, "no") : DAL_OK;
}

static void test_tx__nothing_asked_sends_nothing(void **state)
{
        struct lone f;

        (void)state;
        for (int i = 0; both_kinds(&f, &i); close_lone(&f)) {
                dal_error err = DAL_ERROR_INIT;

                assert_ok(attempt(&f, do_nothing, NULL, &err));
                assert_fails(attempt(&f, do_nothing, &f, &err), DAL_CLASS_APP);
                assert_journal(f.server, "");
                assert_idle(&f);
        }
}

static dal_status put_and_refuse(dal_tx *tx, void *arg, dal_error *err)
{
        dal_status s = put_two(tx, NULL, err);

        (void)arg;
        return s ? s : dal_fail(err, DAL_ERR_APP, "out of stock: %s", "anvil");
}

static void test_tx__the_authors_refusal_rolls_back(void **state)
{
        struct lone f;

        (void)state;
        for (int i = 0; both_kinds(&f, &i); close_lone(&f)) {
                dal_error err = DAL_ERROR_INIT;

                assert_fails(attempt(&f, put_and_refuse, NULL, &err), DAL_CLASS_APP);
                assert_string_equal(err.message, "out of stock: anvil");
                assert_false(err.retry_tx);
                assert_journal(f.server, "BEGIN\nput_row\nput_row\nROLLBACK\n");
                assert_false(has_row(f.server, 1));
                assert_idle(&f);
        }
}

static void test_tx__a_null_error_is_fine(void **state)
{
        struct lone f = open_lone(false);

        (void)state;
        assert_int_equal(attempt(&f, put_and_refuse, NULL, NULL), DAL_ERR_APP);
        assert_int_equal(attempt(&f, put_two, NULL, NULL), DAL_OK);
        close_lone(&f);
}

static dal_status queue_three(dal_tx *tx, void *arg, dal_error *err)
{
        dal_status s = DAL_OK;
        char v[8];

        (void)arg;
        for (int64_t id = 1; s == DAL_OK && id <= 3; id++) {
                snprintf(v, sizeof v, "%d", (int)id);
                s = dal_tx_queue(tx, &put_row, DAL_PARAMS(dal_int64(id), dal_text(v)), err);
        }
        memset(v, 'x', sizeof v); /* parameters were copied */
        return s;
}

static void test_tx__queued_writes_travel_with_commit(void **state)
{
        struct lone f;

        (void)state;
        for (int i = 0; both_kinds(&f, &i); close_lone(&f)) {
                dal_error err = DAL_ERROR_INIT;
                uint64_t before = dal_fake_get_stats(f.server).n_round_trips;

                assert_ok(attempt(&f, queue_three, NULL, &err));
                assert_journal(f.server, "BEGIN\nput_row\nput_row\nput_row\nCOMMIT\n");
                assert_int_equal(dal_fake_get_stats(f.server).n_round_trips - before, f.modal ? 4 : 1);
        }
}

static dal_status queue_twice_the_same(dal_tx *tx, void *arg, dal_error *err)
{
        dal_status s = add_hooks(tx, arg, err);

        if (s == DAL_OK)
                s = dal_tx_queue(tx, &put_row, ROW(1), err);
        return s ? s : dal_tx_queue(tx, &put_row, ROW(1), err);
}

static void test_tx__a_queued_write_that_fails_rolls_everything_back(void **state)
{
        struct lone f;

        (void)state;
        for (int i = 0; both_kinds(&f, &i); close_lone(&f)) {
                dal_error err = DAL_ERROR_INIT;
                struct notes notes = {"", 0};

                assert_fails(attempt(&f, queue_twice_the_same, &notes, &err), DAL_CLASS_UNIQUE);
                assert_has(err.message, "put_row");
                assert_string_equal(err.constraint, "t_pkey");
                assert_int_equal(dal_fake_journal_count(f.server, "COMMIT"), 0);
                assert_false(has_row(f.server, 1));
                assert_string_equal(notes.text, "r");
                assert_idle(&f);
        }
}

static dal_status queue_the_same_then_put(dal_tx *tx, void *arg, dal_error *err)
{
        dal_status s = queue_twice_the_same(tx, arg, err);

        return s ? s : dal_tx_exec(tx, &put_row, ROW(2), NULL, err);
}

static void test_tx__a_queued_write_that_fails_is_told_by_what_it_travelled_with(void **state)
{
        struct lone f;

        (void)state;
        for (int i = 0; both_kinds(&f, &i); close_lone(&f)) {
                dal_error err = DAL_ERROR_INIT;
                struct notes notes = {"", 0};

                assert_fails(attempt(&f, queue_the_same_then_put, &notes, &err), DAL_CLASS_UNIQUE);
                assert_false(has_row(f.server, 2));
                assert_journal(f.server, "BEGIN\nput_row\nput_row !unique\nROLLBACK\n");
        }
}

static void test_tx__isolation_and_read_only_reach_the_server(void **state)
{
        struct lone f;

        (void)state;
        for (int i = 0; both_kinds(&f, &i); close_lone(&f)) {
                dal_error err = DAL_ERROR_INIT;

                f.options.isolation = DAL_ISOLATION_SERIALIZABLE;
                f.options.read_only = true;
                assert_fails(attempt(&f, put_two, NULL, &err), DAL_CLASS_READ_ONLY_TX);
                assert_false(err.retry_tx);
                assert_int_equal(dal_fake_journal_count(f.server, "BEGIN SERIALIZABLE READ ONLY"), 1);
                f.options.read_only = false;
                f.options.isolation = DAL_ISOLATION_REPEATABLE_READ;
                assert_ok(attempt(&f, put_two, NULL, &err));
                assert_int_equal(dal_fake_journal_count(f.server, "BEGIN REPEATABLE READ"), 1);
        }
}

/* ---- what spoils a transaction, and what does not ---- */

struct hiding {
        dal_error first;
        dal_status second;
};

/* Meets an error, looks away, tries another statement, and says that all is well. */
static dal_status hide_failure(dal_tx *tx, void *arg, dal_error *err)
{
        struct hiding *hiding = arg;
        dal_status s = dal_tx_exec(tx, &put_row, ROW(1), NULL, err);

        if (s)
                return s;
        (void)!dal_tx_exec(tx, &set_row, ROW(1), NULL, &hiding->first);
        hiding->second = dal_tx_exec(tx, &put_row, ROW(3), NULL, NULL);
        return DAL_OK;
}

static void test_tx__a_hidden_failure_is_not_committed_and_named(void **state)
{
        struct lone f;

        (void)state;
        for (int i = 0; both_kinds(&f, &i); close_lone(&f)) {
                dal_error err = DAL_ERROR_INIT;
                struct hiding hiding = {DAL_ERROR_INIT, DAL_OK};

                inject(f.server, (dal_fake_fault){.match = "set_row", .error_class = DAL_CLASS_CHECK});
                assert_fails(attempt(&f, hide_failure, &hiding, &err), DAL_CLASS_COMMIT_ROLLED_BACK);
                assert_int_equal(hiding.first.error_class, DAL_CLASS_CHECK);
                assert_int_equal(hiding.first.shard, LONE_SHARD);
                assert_int_equal(hiding.second, DAL_ERR_STATE);
                assert_has(err.message, "set_row");
                assert_has(err.message, dal_error_class_text(DAL_CLASS_CHECK));
                assert_true(err.tx_gone);
                assert_false(err.retry_tx);
                assert_int_equal(dal_fake_journal_count(f.server, "COMMIT"), 0);
                assert_false(has_row(f.server, 1) || has_row(f.server, 3));
                assert_idle(&f);
        }
}

static void test_tx__hidden_contention_is_worth_another_attempt(void **state)
{
        static const dal_error_class classes[] = {DAL_CLASS_DEADLOCK, DAL_CLASS_SERIALIZATION,
                                                  DAL_CLASS_LOCK_TIMEOUT, DAL_CLASS_STALE_MAP,
                                                  DAL_CLASS_CONNECTION_LOST};
        struct lone f;

        (void)state;
        for (size_t c = 0; c < sizeof classes / sizeof classes[0]; c++)
                for (int i = 0; both_kinds(&f, &i); close_lone(&f)) {
                        dal_error err = DAL_ERROR_INIT;
                        struct hiding hiding = {DAL_ERROR_INIT, DAL_OK};

                        inject(f.server, (dal_fake_fault){.match = "set_row", .error_class = classes[c]});
                        assert_fails(attempt(&f, hide_failure, &hiding, &err), classes[c]);
                        assert_true(err.retry_tx);
                        assert_int_not_equal(hiding.second, DAL_OK);
                        assert_int_equal(dal_fake_journal_count(f.server, "COMMIT"), 0);
                        assert_int_equal(dal_fake_journal_count(f.server, "put_row"), 1);
                        assert_false(has_row(f.server, 1));
                        assert_idle(&f);
                }
}

static dal_status replace_failure(dal_tx *tx, void *arg, dal_error *err)
{
        (void)arg;
        if (dal_tx_exec(tx, &set_row, ROW(1), NULL, NULL))
                return dal_fail(err, DAL_ERR_APP, "the shelf is empty");
        return DAL_OK;
}

static void test_tx__an_error_in_place_of_a_deadlocks_does_not_stop_the_retry(void **state)
{
        struct lone f;

        (void)state;
        for (int i = 0; both_kinds(&f, &i); close_lone(&f)) {
                dal_error err = DAL_ERROR_INIT;

                inject(f.server, (dal_fake_fault){.match = "set_row", .error_class = DAL_CLASS_DEADLOCK});
                assert_fails(attempt(&f, replace_failure, NULL, &err), DAL_CLASS_APP);
                assert_true(err.retry_tx);
                inject(f.server, (dal_fake_fault){.match = "set_row", .error_class = DAL_CLASS_UNIQUE});
                assert_fails(attempt(&f, replace_failure, NULL, &err), DAL_CLASS_APP);
                assert_false(err.retry_tx);
        }
}

/* Each of these is refused before the server hears of it. */
static dal_status meet_refusals(dal_tx *tx, void *arg, dal_error *err)
{
        dal_error refused = DAL_ERROR_INIT;
        dal_rows *rows;
        bool found;
        dal_status s = dal_tx_exec(tx, &put_row, ROW(1), NULL, err);

        if (s == DAL_OK)
                s = dal_tx_query(tx, &get_rows, RANGE(1, 9), &rows, err);
        if (s)
                return s;
        assert_int_equal(dal_tx_run(tx, meet_refusals, arg, &refused), DAL_ERR_BUSY);
        assert_int_equal(refused.shard, LONE_SHARD);
        s = dal_rows_next(rows, &found, err);
        assert_true(s || found);
        dal_rows_close(rows);
        assert_int_equal(dal_tx_exec(tx, &put_row, DAL_NO_PARAMS, NULL, &refused), DAL_ERR_ARG);
        assert_int_equal(dal_tx_queue(tx, &put_row, DAL_PARAMS(dal_int64(1)), &refused), DAL_ERR_ARG);
        assert_int_equal(dal_tx_exec(tx, &begin_raw, DAL_NO_PARAMS, NULL, &refused), DAL_ERR_ARG);
        assert_int_equal(dal_tx_exec_dynamic(tx, "ROLLBACK", DAL_NO_PARAMS, NULL, &refused), DAL_ERR_ARG);
        assert_int_equal(dal_tx_query(tx, &get_rows, DAL_PARAMS(dal_int64(1)), &rows, &refused), DAL_ERR_ARG);
        assert_null(rows);
        return s ? s : dal_tx_exec(tx, &put_row, ROW(2), NULL, err);
}

static void test_tx__what_the_library_refuses_spoils_nothing(void **state)
{
        struct lone f;

        (void)state;
        for (int i = 0; both_kinds(&f, &i); close_lone(&f)) {
                dal_error err = DAL_ERROR_INIT;

                assert_ok(attempt(&f, meet_refusals, NULL, &err));
                assert_journal(f.server, "BEGIN\nput_row\nget_rows\nput_row\nCOMMIT\n");
                assert_true(has_row(f.server, 1) && has_row(f.server, 2));
        }
}

/* ---- errors left half filled ---- */

static dal_status pass_on_a_status(dal_tx *tx, void *arg, dal_error *err)
{
        (void)arg;
        (void)err;
        return dal_tx_exec(tx, &set_row, ROW(1), NULL, NULL);
}

static void test_tx__a_status_without_an_error_gets_the_one_that_happened(void **state)
{
        struct lone f;

        (void)state;
        for (int i = 0; both_kinds(&f, &i); close_lone(&f)) {
                dal_error err = DAL_ERROR_INIT;

                inject(f.server, (dal_fake_fault){.match = "set_row", .error_class = DAL_CLASS_UNIQUE});
                assert_fails(attempt(&f, pass_on_a_status, NULL, &err), DAL_CLASS_UNIQUE);
                assert_has(err.message, "set_row");
                inject(f.server, (dal_fake_fault){.match = "set_row", .error_class = DAL_CLASS_DEADLOCK});
                assert_fails(attempt(&f, pass_on_a_status, NULL, &err), DAL_CLASS_DEADLOCK);
                assert_true(err.retry_tx);
        }
}

static dal_status fail_silently(dal_tx *tx, void *arg, dal_error *err)
{
        (void)tx;
        (void)err;
        return *(dal_status *)arg;
}

static void test_tx__a_status_out_of_the_blue_still_gets_an_error(void **state)
{
        struct lone f = open_lone(false);

        (void)state;
        for (int s = 1; s <= DAL_ERR_TOO_LARGE; s++) {
                dal_error err = DAL_ERROR_INIT;
                dal_status wanted = (dal_status)s;

                assert_int_equal(attempt(&f, fail_silently, &wanted, &err), wanted);
                assert_int_equal(err.status, wanted);
                assert_int_not_equal(err.error_class, DAL_CLASS_NONE);
                assert_has(err.message, dal_error_status_name(wanted));
        }
        close_lone(&f);
}

static void test_tx__a_number_that_is_no_status_becomes_one(void **state)
{
        struct lone f = open_lone(false);
        int numbers[] = {-1, 1000};

        (void)state;
        for (size_t i = 0; i < 2; i++) {
                dal_error err = DAL_ERROR_INIT;
                dal_status wild;

                memcpy(&wild, &numbers[i], sizeof wild);
                assert_fails(attempt(&f, fail_silently, &wild, &err), DAL_CLASS_INTERNAL);
        }
        close_lone(&f);
}

/* Fills the error of an earlier failure, then returns another status without a word. */
static dal_status leave_an_old_error(dal_tx *tx, void *arg, dal_error *err)
{
        (void)tx;
        (void)arg;
        dal_error_set(err, DAL_CLASS_DEADLOCK, "long ago");
        return DAL_ERR_APP;
}

static void test_tx__an_old_error_does_not_stand_for_a_new_status(void **state)
{
        struct lone f = open_lone(false);
        dal_error err = DAL_ERROR_INIT;

        (void)state;
        assert_fails(attempt(&f, leave_an_old_error, NULL, &err), DAL_CLASS_APP);
        assert_false(err.retry_tx);
        assert_null(strstr(err.message, "long ago"));
        close_lone(&f);
}

static dal_status look_at_the_error(dal_tx *tx, void *arg, dal_error *err)
{
        static const dal_error clean = DAL_ERROR_INIT;

        (void)tx;
        (void)arg;
        assert_int_equal(err->status, DAL_OK);
        assert_int_equal(err->error_class, DAL_CLASS_NONE);
        assert_int_equal(err->vendor_code, 0);
        assert_int_equal(err->shard, clean.shard);
        assert_false(err->retry_tx || err->tx_gone || err->conn_gone || err->not_sent);
        assert_string_equal(err->sqlstate, "");
        assert_string_equal(err->constraint, "");
        assert_string_equal(err->table, "");
        assert_string_equal(err->column, "");
        assert_string_equal(err->outcome_token, "");
        assert_string_equal(err->message, "");
        return DAL_OK;
}

static void test_tx__the_function_is_handed_a_clear_error(void **state)
{
        struct lone f = open_lone(false);
        dal_error err = DAL_ERROR_INIT;

        (void)state;
        assert_int_equal(attempt(&f, leave_an_old_error, NULL, &err), DAL_ERR_APP); /* dirties the stack */
        assert_ok(attempt(&f, look_at_the_error, NULL, &err));
        close_lone(&f);
}

/* ---- rows ---- */

static dal_status leave_rows_open(dal_tx *tx, void *arg, dal_error *err)
{
        dal_rows *rows;
        bool found = false;
        dal_status s = put_two(tx, NULL, err);

        (void)arg;
        if (s == DAL_OK)
                s = dal_tx_query(tx, &get_rows, RANGE(1, 2), &rows, err);
        if (s == DAL_OK)
                s = dal_rows_next(rows, &found, err);
        assert_true(s || (found && dal_rows_shard(rows) == LONE_SHARD));
        return s;
}

static void test_tx__rows_left_open_are_closed_at_commit(void **state)
{
        struct lone f;

        (void)state;
        for (int i = 0; both_kinds(&f, &i); close_lone(&f)) {
                dal_error err = DAL_ERROR_INIT;

                assert_ok(attempt(&f, leave_rows_open, NULL, &err));
                assert_true(has_row(f.server, 2));
                assert_idle(&f);
                f.options.read_only = true;
                assert_fails(attempt(&f, leave_rows_open, NULL, &err), DAL_CLASS_READ_ONLY_TX);
                assert_idle(&f);
        }
}

static dal_status hide_a_fetch_failure(dal_tx *tx, void *arg, dal_error *err)
{
        dal_rows *rows;
        bool found = true;
        dal_status s = put_two(tx, NULL, err);

        (void)arg;
        if (s == DAL_OK)
                s = dal_tx_query(tx, &get_rows, RANGE(1, 2), &rows, err);
        if (s)
                return s;
        while (dal_rows_next(rows, &found, NULL) == DAL_OK && found)
                ;
        dal_rows_close(rows);
        return DAL_OK;
}

static void test_tx__a_hidden_failure_of_a_row_is_not_committed_and_named(void **state)
{
        struct lone f;

        (void)state;
        for (int i = 0; both_kinds(&f, &i); close_lone(&f)) {
                dal_error err = DAL_ERROR_INIT;

                inject(f.server, (dal_fake_fault){.at = DAL_FAKE_AT_FETCH,
                                                  .match = "get_rows",
                                                  .skip = 1,
                                                  .error_class = DAL_CLASS_DATA});
                assert_fails(attempt(&f, hide_a_fetch_failure, NULL, &err), DAL_CLASS_COMMIT_ROLLED_BACK);
                assert_has(err.message, dal_error_class_text(DAL_CLASS_DATA));
                assert_false(has_row(f.server, 1));
                assert_idle(&f);
        }
}

static void test_tx__hidden_contention_of_a_row_is_worth_another_attempt(void **state)
{
        struct lone f;

        (void)state;
        for (int i = 0; both_kinds(&f, &i); close_lone(&f)) {
                dal_error err = DAL_ERROR_INIT;

                inject(f.server, (dal_fake_fault){.at = DAL_FAKE_AT_FETCH,
                                                  .match = "get_rows",
                                                  .error_class = DAL_CLASS_SERIALIZATION});
                assert_fails(attempt(&f, hide_a_fetch_failure, NULL, &err), DAL_CLASS_SERIALIZATION);
                assert_true(err.retry_tx);
                assert_false(has_row(f.server, 1));
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_tx__ok_commits),
                cmocka_unit_test(test_tx__nothing_asked_sends_nothing),
                cmocka_unit_test(test_tx__the_authors_refusal_rolls_back),
                cmocka_unit_test(test_tx__a_null_error_is_fine),
                cmocka_unit_test(test_tx__queued_writes_travel_with_commit),
                cmocka_unit_test(test_tx__a_queued_write_that_fails_rolls_everything_back),
                cmocka_unit_test(test_tx__a_queued_write_that_fails_is_told_by_what_it_travelled_with),
                cmocka_unit_test(test_tx__isolation_and_read_only_reach_the_server),
                cmocka_unit_test(test_tx__a_hidden_failure_is_not_committed_and_named),
                cmocka_unit_test(test_tx__hidden_contention_is_worth_another_attempt),
                cmocka_unit_test(test_tx__an_error_in_place_of_a_deadlocks_does_not_stop_the_retry),
                cmocka_unit_test(test_tx__what_the_library_refuses_spoils_nothing),
                cmocka_unit_test(test_tx__a_status_without_an_error_gets_the_one_that_happened),
                cmocka_unit_test(test_tx__a_status_out_of_the_blue_still_gets_an_error),
                cmocka_unit_test(test_tx__a_number_that_is_no_status_becomes_one),
                cmocka_unit_test(test_tx__an_old_error_does_not_stand_for_a_new_status),
                cmocka_unit_test(test_tx__the_function_is_handed_a_clear_error),
                cmocka_unit_test(test_tx__rows_left_open_are_closed_at_commit),
                cmocka_unit_test(test_tx__a_hidden_failure_of_a_row_is_not_committed_and_named),
                cmocka_unit_test(test_tx__hidden_contention_of_a_row_is_worth_another_attempt),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
