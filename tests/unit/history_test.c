/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "schema/history.h"
#include "schema_fake.h"

static void begin(struct schema_fake *f)
{
        fake_begin(f, false);
        assert_int_equal(dal_conn_script(f->conn, CREATE_HISTORY, DAL_FOREVER, NULL), DAL_OK);
}

static dal__history_row example_row(void)
{
        dal__history_row row;
        memset(&row, 0, sizeof row);
        (void)snprintf(row.version, sizeof row.version, "0007");
        (void)snprintf(row.name, sizeof row.name, "add_index");
        (void)snprintf(row.sha256, sizeof row.sha256, "abc");
        (void)snprintf(row.statement_hash, sizeof row.statement_hash, "def");
        (void)snprintf(row.applied_by, sizeof row.applied_by, "somebody");
        (void)snprintf(row.note, sizeof row.note, "a note");
        row.n_statements = 3;
        row.n_begun = 2;
        row.n_done = 1;
        row.state = DAL__HISTORY_APPLYING;
        row.started_at_us = 1000000;
        row.duration_ms = 12;
        return row;
}

static void test_history__no_table_is_no_error(void **state)
{
        struct schema_fake f;
        dal__history history;
        (void)state;
        fake_begin(&f, false);
        assert_int_equal(dal__history_load(f.conn, "shop", &history, NULL), DAL_OK);
        assert_false(history.exists);
        assert_int_equal(history.n_rows, 0);
        dal__history_free(&history);
        fake_end(&f);
}

static void test_history__gives_back_what_was_saved(void **state)
{
        struct schema_fake f;
        dal__history history;
        dal__history_row row = example_row();
        const dal__history_row *got;
        (void)state;
        begin(&f);
        assert_int_equal(dal__history_save(f.conn, "shop", &row, NULL), DAL_OK);
        row.n_begun = 3;
        row.n_done = 3;
        assert_int_equal(dal__history_save(f.conn, "shop", &row, NULL), DAL_OK);
        assert_int_equal(dal__history_load(f.conn, "shop", &history, NULL), DAL_OK);
        assert_true(history.exists);
        assert_int_equal(history.n_rows, 1);
        got = dal__history_find(&history, "7"); /* versions are numbers */
        assert_non_null(got);
        assert_string_equal(got->version, "0007");
        assert_string_equal(got->name, "add_index");
        assert_string_equal(got->sha256, "abc");
        assert_string_equal(got->statement_hash, "def");
        assert_string_equal(got->applied_by, "somebody");
        assert_string_equal(got->note, "a note");
        assert_int_equal(got->n_statements, 3);
        assert_int_equal(got->n_begun, 3);
        assert_int_equal(got->n_done, 3);
        assert_int_equal(got->state, DAL__HISTORY_APPLYING);
        assert_true(got->started_at_us == 1000000);
        assert_true(got->duration_ms == 12);
        assert_null(dal__history_find(&history, "0008"));
        dal__history_free(&history);
        fake_end(&f);
}

static void test_history__never_overwrites_an_applied_script(void **state)
{
        struct schema_fake f;
        dal_error err = DAL_ERROR_INIT;
        dal__history_row row = example_row();
        (void)state;
        begin(&f);
        row.state = DAL__HISTORY_APPLIED;
        assert_int_equal(dal__history_save(f.conn, "shop", &row, NULL), DAL_OK);
        row.state = DAL__HISTORY_APPLYING;
        assert_int_equal(dal__history_save(f.conn, "shop", &row, &err), DAL_ERR_CONSTRAINT);
        assert_int_equal(err.error_class, DAL_CLASS_UNIQUE);
        fake_end(&f);
}

static void test_history__lock_is_asked_for_again_and_again(void **state)
{
        struct schema_fake f;
        (void)state;
        begin(&f);
        f.n_locked_out = 3;
        assert_int_equal(dal__history_lock(f.conn, "shop", 10000, NULL), DAL_OK);
        assert_true(f.has_lock);
        assert_int_equal(dal_fake_journal_count(f.server, "dal.history_lock"), 4);
        dal__history_unlock(f.conn, "shop");
        assert_false(f.has_lock);
        fake_end(&f);
}

static void test_history__busy_lock_names_its_holder(void **state)
{
        struct schema_fake f;
        dal_error err = DAL_ERROR_INIT;
        (void)state;
        begin(&f);
        f.n_locked_out = 1000;
        assert_int_equal(dal__history_lock(f.conn, "shop", 120, &err), DAL_ERR_BUSY);
        assert_non_null(strstr(err.message, "session 7 (orders) is applying area \"shop\""));
        fake_end(&f);
}

static void test_history__limits_are_put_back(void **state)
{
        const dal__history_limits wanted = {2000, 2001, 600000};
        struct schema_fake f;
        dal__history_limits old;
        (void)state;
        begin(&f);
        f.limits[0] = 11;
        f.limits[1] = 12;
        f.limits[2] = 13;
        assert_int_equal(dal__history_limit(f.conn, &wanted, &old, NULL), DAL_OK);
        assert_true(f.limits[0] == 2000 && f.limits[1] == 2001 && f.limits[2] == 600000);
        dal__history_unlimit(f.conn, &old);
        assert_true(f.limits[0] == 11 && f.limits[1] == 12 && f.limits[2] == 13);
        fake_end(&f);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_history__no_table_is_no_error),
                cmocka_unit_test(test_history__gives_back_what_was_saved),
                cmocka_unit_test(test_history__never_overwrites_an_applied_script),
                cmocka_unit_test(test_history__lock_is_asked_for_again_and_again),
                cmocka_unit_test(test_history__busy_lock_names_its_holder),
                cmocka_unit_test(test_history__limits_are_put_back),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
