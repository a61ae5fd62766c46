/* SPDX-License-Identifier: MIT */
/* dal_tx_run(): what the nested function hides or leaves behind, its hooks, depth and time. */
#include "nested_fixture.h"

/* ---- failures that the nested function hides ---- */

static dal_status hide_unique(dal_tx *tx, void *arg, dal_error *err)
{
        int64_t other = 3;
        dal_status s = put_one(tx, &other, err);

        if (s)
                return s;
        assert_int_equal(put_one(tx, arg, err), DAL_ERR_CONSTRAINT);
        return DAL_OK;
}

static void test_tx_nested__a_hidden_failure_is_told_and_undone(void **state)
{
        struct lone f;

        (void)state;
        for (int i = 0; both_kinds(&f, &i); close_lone(&f)) {
                dal_error err = DAL_ERROR_INIT;
                int64_t id = 1;
                struct plan plan = PLAN(.nested = hide_unique, .arg = &id);

                assert_ok(attempt(&f, outer, &plan, &err));
                assert_int_equal(plan.got, DAL_ERR_CONSTRAINT);
                assert_int_equal(plan.got_error.error_class, DAL_CLASS_UNIQUE);
                assert_true(has_row(f.server, 1) && has_row(f.server, 9));
                assert_false(has_row(f.server, 3));
        }
}

static dal_status read_all(dal_tx *tx, void *arg, dal_error *err)
{
        dal_rows *rows;
        bool found = true;
        dal_status s = dal_tx_query(tx, &get_rows, RANGE(1, 9), &rows, err);

        (void)arg;
        if (s)
                return s;
        while (dal_rows_next(rows, &found, NULL) == DAL_OK && found)
                ;
        dal_rows_close(rows);
        return DAL_OK;
}

static void test_tx_nested__a_hidden_failure_of_a_row_is_told_and_undone(void **state)
{
        struct lone f;

        (void)state;
        for (int i = 0; both_kinds(&f, &i); close_lone(&f)) {
                dal_error err = DAL_ERROR_INIT;
                struct plan plan = PLAN(.nested = read_all);

                inject(f.server, (dal_fake_fault){.at = DAL_FAKE_AT_FETCH,
                                                  .match = "get_rows",
                                                  .error_class = DAL_CLASS_DATA});
                assert_ok(attempt(&f, outer, &plan, &err));
                assert_int_equal(plan.got_error.error_class, DAL_CLASS_DATA);
                assert_true(has_row(f.server, 1) && has_row(f.server, 9));
                inject(f.server, (dal_fake_fault){.at = DAL_FAKE_AT_FETCH,
                                                  .match = "get_rows",
                                                  .error_class = DAL_CLASS_DEADLOCK});
                plan = (struct plan)PLAN(.nested = read_all, .stop = true);
                assert_int_equal(attempt(&f, read_all, NULL, &err), DAL_ERR_CONFLICT);
                assert_true(err.retry_tx);
        }
}

static dal_status meet_refusal(dal_tx *tx, void *arg, dal_error *err)
{
        assert_int_equal(dal_tx_exec(tx, &put_row, DAL_NO_PARAMS, NULL, NULL), DAL_ERR_ARG);
        return put_one(tx, arg, err);
}

static void test_tx_nested__what_the_library_refuses_spoils_no_savepoint(void **state)
{
        struct lone f;

        (void)state;
        for (int i = 0; both_kinds(&f, &i); close_lone(&f)) {
                dal_error err = DAL_ERROR_INIT;
                int64_t id = 2;
                struct plan plan = PLAN(.nested = meet_refusal, .arg = &id);

                assert_ok(attempt(&f, outer, &plan, &err));
                assert_int_equal(plan.got, DAL_OK);
                assert_true(has_row(f.server, 2));
        }
}

/* ---- cursors ---- */

static dal_status leave_rows_open(dal_tx *tx, void *arg, dal_error *err)
{
        dal_rows *rows;
        bool found;
        dal_status s = dal_tx_query(tx, &get_rows, RANGE(1, 9), &rows, err);

        (void)arg;
        return s ? s : dal_rows_next(rows, &found, err);
}

static void test_tx_nested__rows_end_with_their_function(void **state)
{
        struct lone f;

        (void)state;
        for (int i = 0; both_kinds(&f, &i); close_lone(&f)) {
                dal_error err = DAL_ERROR_INIT;
                struct plan plan = PLAN(.nested = leave_rows_open);

                assert_ok(attempt(&f, outer, &plan, &err)); /* its next statement is not refused as busy */
                assert_int_equal(plan.got, DAL_OK);
                assert_true(has_row(f.server, 9));
        }
}

static dal_status nest_inside_a_cursor(dal_tx *tx, void *arg, dal_error *err)
{
        dal_error nested = DAL_ERROR_INIT;
        dal_rows *rows;
        bool found = false;
        uint32_t n = 0;
        dal_status s = put_two(tx, NULL, err);

        (void)arg;
        if (s == DAL_OK)
                s = dal_tx_query(tx, &get_rows, RANGE(1, 9), &rows, err);
        while (s == DAL_OK && (s = dal_rows_next(rows, &found, err)) == DAL_OK && found) {
                assert_int_equal(dal_tx_run(tx, must_not_run, NULL, &nested), DAL_ERR_BUSY);
                n++;
        }
        assert_int_equal(n, 2); /* not a row was lost over it */
        dal_rows_close(rows);
        return s ? s : dal_tx_run(tx, do_nothing, NULL, err);
}

static void test_tx_nested__an_open_cursor_refuses_it_and_lives_on(void **state)
{
        struct lone f;

        (void)state;
        for (int i = 0; both_kinds(&f, &i); close_lone(&f)) {
                dal_error err = DAL_ERROR_INIT;

                assert_ok(attempt(&f, nest_inside_a_cursor, NULL, &err));
                assert_true(has_row(f.server, 2));
        }
}

/* ---- hooks ---- */

struct hooked {
        struct notes notes;
        dal_status result;
};

static dal_status hook_and_end(dal_tx *tx, void *arg, dal_error *err)
{
        struct hooked *hooked = arg;
        dal_status s = add_hooks(tx, &hooked->notes, err);

        if (s)
                return s;
        return hooked->result ? dal_fail(err, hooked->result, "as told") : DAL_OK;
}

static dal_status hooks_around_nested(dal_tx *tx, void *arg, dal_error *err)
{
        struct hooked *hooked = arg;
        dal_status s = add_hooks(tx, &hooked->notes, err);

        if (s == DAL_OK)
                s = dal_tx_exec(tx, &put_row, ROW(1), NULL, err);
        if (s == DAL_OK && dal_tx_run(tx, hook_and_end, hooked, NULL) == DAL_OK)
                s = add_hooks(tx, &hooked->notes, err);
        return s;
}

static void test_tx_nested__hooks_share_the_fate_of_their_savepoint(void **state)
{
        struct lone f = open_lone(false);
        dal_error err = DAL_ERROR_INIT;
        struct hooked hooked = {{"", 0}, DAL_ERR_APP};

        (void)state;
        assert_ok(attempt(&f, hooks_around_nested, &hooked, &err));
        assert_string_equal(hooked.notes.text, "c");
        assert_fails(attempt(&f, hooks_around_nested, &hooked, &err), DAL_CLASS_UNIQUE);
        assert_string_equal(hooked.notes.text, "cr");
        close_lone(&f);

        f = open_lone(true);
        hooked = (struct hooked){{"", 0}, DAL_OK};
        assert_ok(attempt(&f, hooks_around_nested, &hooked, &err));
        assert_string_equal(hooked.notes.text, "ccc");
        inject(f.server, (dal_fake_fault){.match = "COMMIT", .error_class = DAL_CLASS_SERIALIZATION});
        dal_fake_journal_clear(f.server);
        close_lone(&f);
}

/* ---- nested in nested, and in sequence ---- */

struct depth {
        int64_t id;
        uint32_t left, fail_at;
        bool pass_on;
};

/* Puts a row, then nests itself; the one at `fail_at` refuses after its row, and its callers shrug or follow. */
static dal_status dig(dal_tx *tx, void *arg, dal_error *err)
{
        struct depth *depth = arg, below = *depth;
        dal_status s = dal_tx_exec(tx, &put_row, ROW(depth->id), NULL, err);

        if (s)
                return s;
        if (depth->left == depth->fail_at)
                return dal_fail(err, DAL_ERR_APP, "deep enough");
        if (depth->left == 0)
                return DAL_OK;
        below.id++;
        below.left--;
        s = dal_tx_run(tx, dig, &below, err);
        return depth->pass_on ? s : DAL_OK;
}

static void test_tx_nested__deep_inside_only_the_failing_level_is_undone(void **state)
{
        struct lone f;

        (void)state;
        for (int i = 0; both_kinds(&f, &i); close_lone(&f)) {
                dal_error err = DAL_ERROR_INIT;
                struct depth depth = {1, 30, 10, false};

                assert_ok(attempt(&f, dig, &depth, &err));
                for (int64_t id = 1; id <= 20; id++)
                        assert_true(has_row(f.server, id));
                assert_false(has_row(f.server, 21));
                assert_idle(&f);
        }
}

static void test_tx_nested__deep_inside_a_failure_passed_on_reaches_the_top(void **state)
{
        struct lone f;

        (void)state;
        for (int i = 0; both_kinds(&f, &i); close_lone(&f)) {
                dal_error err = DAL_ERROR_INIT;
                struct depth depth = {1, 30, 0, true};

                assert_fails(attempt(&f, dig, &depth, &err), DAL_CLASS_APP);
                for (int64_t id = 1; id <= 31; id++)
                        assert_false(has_row(f.server, id));
                assert_idle(&f);
        }
}

static dal_status inner_ok_middle_fails(dal_tx *tx, void *arg, dal_error *err)
{
        int64_t id = 3;
        dal_status s = put_one(tx, arg, err);

        if (s == DAL_OK)
                s = dal_tx_run(tx, put_one, &id, err);
        return s ? s : dal_fail(err, DAL_ERR_APP, "not in the end");
}

static void test_tx_nested__a_released_savepoint_is_undone_by_the_one_around_it(void **state)
{
        struct lone f;

        (void)state;
        for (int i = 0; both_kinds(&f, &i); close_lone(&f)) {
                dal_error err = DAL_ERROR_INIT;
                int64_t id = 2;
                struct plan plan = PLAN(.nested = inner_ok_middle_fails, .arg = &id);

                assert_ok(attempt(&f, outer, &plan, &err));
                assert_true(has_row(f.server, 1) && has_row(f.server, 9));
                assert_false(has_row(f.server, 2) || has_row(f.server, 3));
        }
}

/* Every third nested function fails; 200 of them are more than any server keeps at a time. */
static dal_status nest_in_sequence(dal_tx *tx, void *arg, dal_error *err)
{
        dal_status s = DAL_OK;

        (void)arg;
        for (int64_t id = 0; s == DAL_OK && id < 200; id++) {
                dal_tx_fn *fn = id % 3 == 0 ? put_and_refuse : id % 3 == 1 ? put_one : queue_one;
                dal_status got = dal_tx_run(tx, fn, &id, err);

                assert_int_equal(got, id % 3 == 0 ? DAL_ERR_APP : DAL_OK);
        }
        return s;
}

static void test_tx_nested__many_in_sequence(void **state)
{
        struct lone f;

        (void)state;
        for (int i = 0; both_kinds(&f, &i); close_lone(&f)) {
                dal_error err = DAL_ERROR_INIT;

                assert_int_equal(attempt(&f, nest_in_sequence, NULL, &err), DAL_OK);
                for (int64_t id = 0; id < 200; id++)
                        assert_int_equal(has_row(f.server, id), id % 3 != 0);
                assert_idle(&f);
        }
}

/* ---- deadline ---- */

static dal_status hang(dal_tx *tx, void *arg, dal_error *err)
{
        return set_one(tx, arg, err);
}

static void test_tx_nested__the_deadline_is_the_outers(void **state)
{
        struct lone f;

        (void)state;
        for (int i = 0; both_kinds(&f, &i); close_lone(&f)) {
                dal_error err = DAL_ERROR_INIT;
                int64_t id = 1;
                struct plan plan = PLAN(.nested = hang, .arg = &id, .stop = true);

                inject(f.server, (dal_fake_fault){.match = "set_row", .hang = true});
                f.deadline = dal_clock_after_ms(60);
                assert_int_not_equal(attempt(&f, outer, &plan, &err), DAL_OK);
                assert_int_equal(plan.got, DAL_ERR_TIMEOUT);
                assert_int_not_equal(err.status, DAL_OK);
                assert_in_range((dal_clock_now() - f.deadline) / 1000000, 0, 900);
                assert_false(has_row(f.server, 1));
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_tx_nested__a_hidden_failure_is_told_and_undone),
                cmocka_unit_test(test_tx_nested__a_hidden_failure_of_a_row_is_told_and_undone),
                cmocka_unit_test(test_tx_nested__what_the_library_refuses_spoils_no_savepoint),
                cmocka_unit_test(test_tx_nested__rows_end_with_their_function),
                cmocka_unit_test(test_tx_nested__an_open_cursor_refuses_it_and_lives_on),
                cmocka_unit_test(test_tx_nested__hooks_share_the_fate_of_their_savepoint),
                cmocka_unit_test(test_tx_nested__deep_inside_only_the_failing_level_is_undone),
                cmocka_unit_test(test_tx_nested__deep_inside_a_failure_passed_on_reaches_the_top),
                cmocka_unit_test(test_tx_nested__a_released_savepoint_is_undone_by_the_one_around_it),
                cmocka_unit_test(test_tx_nested__many_in_sequence),
                cmocka_unit_test(test_tx_nested__the_deadline_is_the_outers),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
