/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dal/schema.h>

#include "mem_fault.h"
#include "schema_fake.h"

struct seen {
        char text[2048]; /* "version state n_done/n statement", one line for each report */
};

static void note_progress(void *arg, const dal_script_info *info)
{
        static const char *const states[] = {"applied",   "pending", "partial",
                                             "uncertain", "drift",   "missing"};
        struct seen *seen = arg;
        size_t used = strlen(seen->text);
        (void)snprintf(seen->text + used, sizeof seen->text - used, "%s %s %u/%u%s%s\n", info->version,
                       states[info->state], info->n_done, info->n_statements, info->statement ? " " : "",
                       info->statement ? info->statement : "");
}

struct call {
        struct schema_fake fake;
        dal_schema_options options;
        dal_schema_report report;
        dal_error err;
        struct seen seen;
};

static void begin(struct call *c, bool is_modal)
{
        static const dal_schema_options defaults = DAL_SCHEMA_OPTIONS_INIT;
        memset(c, 0, sizeof *c);
        fake_begin(&c->fake, is_modal);
        c->options = defaults;
        c->options.dir = c->fake.dir;
        c->options.area = "shop";
        c->options.applied_by = "tester";
        c->options.lock_wait_ms = 100;
        c->options.progress = note_progress;
        c->options.progress_arg = &c->seen;
}

static void end(struct call *c)
{
        fake_end(&c->fake);
}

static dal_status apply(struct call *c)
{
        memset(&c->seen, 0, sizeof c->seen);
        return dal_schema_apply(c->fake.conn, &c->options, &c->report, &c->err);
}

static dal_status status_of(struct call *c)
{
        memset(&c->seen, 0, sizeof c->seen);
        return dal_schema_status(c->fake.conn, &c->options, &c->report, &c->err);
}

/* How often a statement of a script was executed, with or without success. */
static uint32_t n_runs(struct call *c, const char *statement)
{
        char line[128];
        (void)snprintf(line, sizeof line, "SCRIPT %s", statement);
        return dal_fake_journal_count(c->fake.server, line);
}

static void fail_statement(struct call *c, const char *statement, dal_error_class error_class, uint32_t times)
{
        char match[32];
        dal_fake_fault fault = {.at = DAL_FAKE_AT_REQUEST, .error_class = error_class, .times = times};
        (void)snprintf(match, sizeof match, "SCRIPT %s", statement);
        fault.match = match;
        assert_true(dal_fake_inject(c->fake.server, &fault));
}

/* The server dies under a statement; with `executed` after it took effect. */
static void lose_connection_at(struct call *c, const char *statement, bool executed)
{
        char match[32];
        dal_fake_fault fault = {.at = DAL_FAKE_AT_REQUEST,
                                .error_class = DAL_CLASS_CONNECTION_LOST,
                                .executed = executed,
                                .conn_gone = true};
        (void)snprintf(match, sizeof match, "SCRIPT %s", statement);
        fault.match = match;
        assert_true(dal_fake_inject(c->fake.server, &fault));
}

#define SAYS(words) assert_non_null(strstr(c.err.message, words))

static void test_schema__applies_each_script_once(void **state)
{
        (void)state;
        for (int is_modal = 0; is_modal < 2; is_modal++) {
                struct call c;
                begin(&c, is_modal != 0);
                fake_script(&c.fake, "0001_one.sql", "CREATE TABLE a; CREATE TABLE b;");
                fake_script(&c.fake, "0002_two.sql", "CREATE TABLE c;");
                assert_int_equal(apply(&c), DAL_OK);
                assert_int_equal(c.report.n_new, 2);
                assert_int_equal(c.report.n_applied, 2);
                assert_int_equal(c.report.n_pending, 0);
                assert_int_equal(n_runs(&c, CREATE_HISTORY), 1);
                assert_int_equal(n_runs(&c, "CREATE TABLE a"), 1);
                assert_int_equal(n_runs(&c, "CREATE TABLE c"), 1);
                assert_false(c.fake.has_lock);
                dal_fake_journal_clear(c.fake.server);
                assert_int_equal(apply(&c), DAL_OK);
                assert_int_equal(c.report.n_new, 0);
                assert_int_equal(n_runs(&c, ""), 0);
                assert_int_equal(dal_fake_journal_count(c.fake.server, "dal.history_lock"), 0);
                assert_int_equal(status_of(&c), DAL_OK);
                assert_string_equal(c.seen.text, "0001 applied 2/2\n0002 applied 1/1\n");
                end(&c);
        }
}

static void test_schema__script_and_its_row_are_one_transaction(void **state)
{
        char journal[4096];
        struct call c;
        (void)state;
        begin(&c, false);
        fake_script(&c.fake, "0001_one.sql", "CREATE TABLE a; CREATE TABLE b;");
        assert_int_equal(apply(&c), DAL_OK);
        (void)dal_fake_journal(c.fake.server, 0, journal, sizeof journal);
        assert_non_null(strstr(journal, "BEGIN\n"
                                        "dal.history_update\n"
                                        "dal.history_insert\n"
                                        "SCRIPT CREATE TABLE a\n"
                                        "SCRIPT CREATE TABLE b\n"
                                        "dal.history_update\n"
                                        "COMMIT\n"));
        end(&c);
}

static void test_schema__intent_is_written_before_each_statement(void **state)
{
        char journal[4096];
        struct call c;
        (void)state;
        begin(&c, true);
        fake_script(&c.fake, "0001_one.sql", "CREATE TABLE a; CREATE TABLE b;");
        assert_int_equal(apply(&c), DAL_OK);
        (void)dal_fake_journal(c.fake.server, 0, journal, sizeof journal);
        assert_non_null(strstr(journal, "dal.history_update\n"
                                        "dal.history_insert\n"
                                        "SCRIPT CREATE TABLE a\n"
                                        "dal.history_update\n"
                                        "SCRIPT CREATE TABLE b\n"
                                        "dal.history_update\n"));
        assert_null(strstr(journal, "BEGIN"));
        end(&c);
}

static void test_schema__tx_off_means_no_transaction(void **state)
{
        struct call c;
        (void)state;
        begin(&c, false);
        assert_int_equal(dal_schema_apply(c.fake.conn,
                                          &(dal_schema_options){sizeof(dal_schema_options), c.fake.dir, "dal",
                                                                NULL, false, 0, 0, 0, NULL, NULL},
                                          NULL, NULL),
                         DAL_OK);
        dal_fake_journal_clear(c.fake.server);
        fake_script(&c.fake, "0001_one.sql",
                    "-- An index.\n--  dal:  tx=off \n\nCREATE INDEX i; CREATE INDEX j;");
        assert_int_equal(apply(&c), DAL_OK);
        assert_int_equal(dal_fake_journal_count(c.fake.server, "BEGIN"), 0);
        assert_int_equal(n_runs(&c, "CREATE INDEX"), 2);
        fake_script(&c.fake, "0002_two.sql", "-- dal: tx=maybe\nCREATE INDEX k;");
        assert_int_equal(apply(&c), DAL_ERR_ARG);
        SAYS("unknown directive \"tx=maybe\"");
        end(&c);
}

static void test_schema__failed_transaction_keeps_nothing(void **state)
{
        struct call c;
        (void)state;
        begin(&c, false);
        fake_script(&c.fake, "0001_one.sql",
                    "CREATE TABLE a;\nCREATE TABLE b;\nCREATE TABEL c;\nCREATE TABLE z;");
        fail_statement(&c, "CREATE TABEL", DAL_CLASS_SYNTAX, 0);
        assert_int_equal(apply(&c), DAL_ERR_SQL);
        assert_int_equal(c.err.error_class, DAL_CLASS_SYNTAX);
        SAYS("/shop/common/0001_one.sql, line 3: statement 3 of 4 failed");
        SAYS("nothing of this script was kept");
        assert_int_equal(c.report.n_pending, 1);
        assert_int_equal(n_runs(&c, "CREATE TABLE z"), 0);
        assert_int_equal(dal_conn_tx_state(c.fake.conn), DAL_TX_STATE_IDLE);
        assert_false(c.fake.has_lock);
        assert_int_equal(apply(&c), DAL_OK);
        assert_int_equal(n_runs(&c, "CREATE TABLE a"), 2);
        end(&c);
}

static void test_schema__resumes_at_the_failed_statement(void **state)
{
        struct call c;
        (void)state;
        begin(&c, true);
        fake_script(&c.fake, "0001_one.sql",
                    "CREATE TABLE a;\nCREATE TABLE b;\nCREATE TABEL c;\nCREATE TABLE z;");
        fail_statement(&c, "CREATE TABEL", DAL_CLASS_SYNTAX, UINT32_MAX);
        assert_int_equal(apply(&c), DAL_ERR_SQL);
        SAYS("line 3: statement 3 of 4 failed (the 2 before it are in place");
        assert_int_equal(c.report.n_failed, 1);
        assert_int_equal(status_of(&c), DAL_OK);
        assert_string_equal(c.seen.text, "0001 partial 2/4 CREATE TABEL c\n");
        /* What follows the finished statements may be edited, those themselves not. */
        fake_script(&c.fake, "0001_one.sql", "CREATE TABLE a;\nCREATE TABLE x;\nCREATE TABLE c;");
        assert_int_equal(apply(&c), DAL_ERR_STATE);
        SAYS("was applied up to its statement 2, and what was applied has changed");
        fake_script(&c.fake, "0001_one.sql",
                    "CREATE TABLE a; -- a comment\nCREATE TABLE b;\nCREATE TABLE c;");
        assert_int_equal(apply(&c), DAL_OK);
        assert_int_equal(c.report.n_new, 1);
        assert_int_equal(n_runs(&c, "CREATE TABLE a"), 1);
        assert_int_equal(n_runs(&c, "CREATE TABLE b"), 1);
        assert_int_equal(n_runs(&c, "CREATE TABLE c"), 1);
        assert_int_equal(status_of(&c), DAL_OK);
        assert_string_equal(c.seen.text, "0001 applied 3/3\n");
        end(&c);
}

static void test_schema__lost_connection_leaves_it_uncertain(void **state)
{
        (void)state;
        for (int done = 0; done < 2; done++) {
                struct call c;
                begin(&c, true);
                fake_script(&c.fake, "0001_one.sql", "CREATE TABLE a;\nCREATE TABLE b;\nCREATE TABLE c;");
                lose_connection_at(&c, "CREATE TABLE b", done != 0);
                assert_int_equal(apply(&c), DAL_ERR_CONN);
                SAYS("its end is unknown");
                fake_connect(&c.fake);
                assert_int_equal(status_of(&c), DAL_OK);
                assert_string_equal(c.seen.text, "0001 uncertain 1/3 CREATE TABLE b\n");
                assert_int_equal(apply(&c), DAL_ERR_STATE);
                SAYS("line 2: statement 2 was begun by tester and its end is not recorded");
                SAYS("dalctl schema mark --area shop --version 0001");
                assert_int_equal(dal_schema_mark(c.fake.conn, &c.options, "0002", true, &c.err),
                                 DAL_ERR_NOT_FOUND);
                assert_int_equal(dal_schema_mark(c.fake.conn, &c.options, "0001", done != 0, &c.err), DAL_OK);
                assert_int_equal(dal_schema_mark(c.fake.conn, &c.options, "0001", false, &c.err),
                                 DAL_ERR_STATE);
                assert_int_equal(apply(&c), DAL_OK);
                assert_int_equal(n_runs(&c, "CREATE TABLE a"), 1);
                assert_int_equal(n_runs(&c, "CREATE TABLE b"), done ? 1 : 2);
                assert_int_equal(n_runs(&c, "CREATE TABLE c"), 1);
                end(&c);
        }
}

static void test_schema__lost_connection_in_a_transaction_is_clean(void **state)
{
        struct call c;
        (void)state;
        begin(&c, false);
        fake_script(&c.fake, "0001_one.sql", "CREATE TABLE a;\nCREATE TABLE b;");
        lose_connection_at(&c, "CREATE TABLE b", true);
        assert_int_equal(apply(&c), DAL_ERR_CONN);
        fake_connect(&c.fake);
        assert_int_equal(status_of(&c), DAL_OK);
        assert_string_equal(c.seen.text, "0001 pending 0/2\n");
        assert_int_equal(apply(&c), DAL_OK);
        end(&c);
}

/* While another session is at it, the row looks the same as an abandoned one; the lock tells them apart. */
static void test_schema__running_apply_is_not_uncertain(void **state)
{
        struct call c;
        (void)state;
        begin(&c, true);
        fake_script(&c.fake, "0001_one.sql", "CREATE TABLE a;");
        lose_connection_at(&c, "CREATE TABLE a", false);
        assert_int_equal(apply(&c), DAL_ERR_CONN);
        fake_connect(&c.fake);
        c.fake.n_locked_out = 100;
        assert_int_equal(status_of(&c), DAL_OK);
        assert_string_equal(c.seen.text, "0001 pending 0/1\n");
        assert_int_equal(dal_schema_mark(c.fake.conn, &c.options, "0001", true, &c.err), DAL_ERR_BUSY);
        c.fake.n_locked_out = 100;
        assert_int_equal(apply(&c), DAL_ERR_BUSY);
        end(&c);
}

static void test_schema__lock_timeout_is_tried_again(void **state)
{
        (void)state;
        for (int is_modal = 0; is_modal < 2; is_modal++) {
                struct call c;
                begin(&c, is_modal != 0);
                fake_script(&c.fake, "0001_one.sql", "CREATE TABLE a; ALTER TABLE b;");
                fail_statement(&c, "ALTER", DAL_CLASS_LOCK_TIMEOUT, 2);
                assert_int_equal(apply(&c), DAL_OK);
                assert_int_equal(n_runs(&c, "ALTER"), 3);
                assert_int_equal(n_runs(&c, "CREATE TABLE a"), is_modal ? 1 : 3);
                end(&c);
        }
}

static void test_schema__changed_file_is_drift(void **state)
{
        struct call c;
        (void)state;
        begin(&c, false);
        fake_script(&c.fake, "0001_one.sql", "CREATE TABLE a;\n");
        assert_int_equal(apply(&c), DAL_OK);
        fake_script(&c.fake, "0001_one.sql", "CREATE TABLE a;\r\n");
        assert_int_equal(apply(&c), DAL_OK); /* line ends don't count */
        fake_script(&c.fake, "0001_one.sql", "CREATE TABLE a; \n");
        fake_script(&c.fake, "0002_two.sql", "CREATE TABLE b;\n");
        assert_int_equal(apply(&c), DAL_ERR_STATE);
        SAYS("has changed since it was applied (by tester)");
        assert_int_equal(c.report.n_drifted, 1);
        assert_int_equal(n_runs(&c, "CREATE TABLE b"), 0);
        end(&c);
}

static void test_schema__missing_file_stops_only_new_work(void **state)
{
        char path[128];
        struct call c;
        (void)state;
        begin(&c, false);
        fake_script(&c.fake, "0001_one.sql", "CREATE TABLE a;");
        fake_script(&c.fake, "0002_two.sql", "CREATE TABLE b;");
        assert_int_equal(apply(&c), DAL_OK);
        (void)snprintf(path, sizeof path, "%s/shop/common/0002_two.sql", c.fake.dir);
        assert_int_equal(unlink(path), 0);
        assert_int_equal(apply(&c), DAL_OK);
        assert_int_equal(c.report.n_drifted, 1);
        assert_int_equal(status_of(&c), DAL_OK);
        assert_string_equal(c.seen.text, "0001 applied 1/1\n0002 missing 1/1\n");
        fake_script(&c.fake, "0003_three.sql", "CREATE TABLE c;");
        assert_int_equal(apply(&c), DAL_ERR_STATE);
        SAYS("0002_two of area \"shop\" is applied, but its file is gone");
        end(&c);
}

static void test_schema__late_script_is_applied_too(void **state)
{
        struct call c;
        (void)state;
        begin(&c, false);
        fake_script(&c.fake, "0002_two.sql", "CREATE TABLE b;");
        assert_int_equal(apply(&c), DAL_OK);
        fake_script(&c.fake, "0001_one.sql", "CREATE TABLE a;");
        assert_int_equal(apply(&c), DAL_OK);
        assert_int_equal(n_runs(&c, "CREATE TABLE a"), 1);
        end(&c);
}

static void test_schema__dry_run_tells_and_does_nothing(void **state)
{
        struct call c;
        (void)state;
        begin(&c, false);
        fake_script(&c.fake, "0001_one.sql", "CREATE TABLE a;\nCREATE TABLE b;");
        c.options.dry_run = true;
        assert_int_equal(apply(&c), DAL_OK);
        assert_string_equal(c.seen.text,
                            "0001 pending 0/2 CREATE TABLE a\n0001 pending 0/2 CREATE TABLE b\n");
        assert_int_equal(c.report.n_pending, 1);
        assert_int_equal(n_runs(&c, ""), 0);
        assert_int_equal(dal_fake_journal_count(c.fake.server, "dal.history_lock"), 0);
        end(&c);
}

static void test_schema__nearest_dialect_wins(void **state)
{
        struct call c;
        (void)state;
        begin(&c, false);
        dal_fake_set_dialect(c.fake.server, DAL_DIALECT_mariadb);
        fake_connect(&c.fake);
        fake_script_for(&c.fake, "shop", "common", "0001_one.sql", "common 1;");
        fake_script_for(&c.fake, "shop", "common", "0002_two.sql", "common 2;");
        fake_script_for(&c.fake, "shop", "common", "0003_three.sql", "common 3;");
        fake_script_for(&c.fake, "shop", "mysql", "0002_zwei.sql", "mysql 2;");
        fake_script_for(&c.fake, "shop", "mysql", "0003_drei.sql", "mysql 3;");
        fake_script_for(&c.fake, "shop", "mariadb", "0003_trois.sql", "mariadb 3;");
        fake_script_for(&c.fake, "shop", "postgres", "0001_one.sql", "postgres 1;");
        c.options.dry_run = true;
        assert_int_equal(apply(&c), DAL_OK);
        assert_string_equal(
                c.seen.text,
                "0001 pending 0/1 common 1\n0002 pending 0/1 mysql 2\n0003 pending 0/1 mariadb 3\n");
        end(&c);
}

static void test_schema__versions_are_numbers(void **state)
{
        struct call c;
        (void)state;
        begin(&c, false);
        fake_script(&c.fake, "20261121_late.sql", "c;");
        fake_script(&c.fake, "00010_ten.sql", "b;");
        fake_script(&c.fake, "0009_nine.sql", "a;");
        c.options.dry_run = true;
        assert_int_equal(apply(&c), DAL_OK);
        assert_string_equal(c.seen.text, "0009 pending 0/1 a\n00010 pending 0/1 b\n20261121 pending 0/1 c\n");
        fake_script(&c.fake, "0010_twin.sql", "d;");
        assert_int_equal(apply(&c), DAL_ERR_ARG);
        SAYS("have the same version");
        end(&c);
}

static void test_schema__bad_scripts_change_nothing(void **state)
{
        static const struct {
                const char *file, *text, *words;
        } bad[] = {
                {"1_short.sql", "a;", "a script is named NNNN_name.sql"},
                {"0002-dash.sql", "a;", "a script is named NNNN_name.sql"},
                {"0002_Upper.sql", "a;", "a script is named NNNN_name.sql"},
                {"0002_.sql", "a;", "a script is named NNNN_name.sql"},
                {"0002_quote.sql", "a;\nb 'c;", "0002_quote.sql, line 2: the quote"},
                {"0002_tx.sql", "a;\nCOMMIT;",
                 "0002_tx.sql, line 2: a script does not begin or end transactions"},
                {"0002_tx.sql", "BEGIN;", "a script does not begin or end transactions"},
                {"0002_tx.sql", "START TRANSACTION;", "a script does not begin or end transactions"},
        };
        (void)state;
        for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
                struct call c;
                begin(&c, false);
                fake_script(&c.fake, "0001_good.sql", "CREATE TABLE a;");
                fake_script(&c.fake, "README.md", "not a script");
                fake_script(&c.fake, ".0001_hidden.sql", "not a script either");
                fake_script(&c.fake, bad[i].file, bad[i].text);
                assert_int_equal(apply(&c), DAL_ERR_ARG);
                SAYS(bad[i].words);
                assert_int_equal(n_runs(&c, ""), 0);
                end(&c);
        }
}

static void test_schema__bad_arguments_are_named(void **state)
{
        struct call c;
        (void)state;
        begin(&c, false);
        c.options.area = "../etc";
        assert_int_equal(apply(&c), DAL_ERR_ARG);
        SAYS("\"../etc\" is no area");
        c.options.area = "nothing";
        assert_int_equal(apply(&c), DAL_ERR_NOT_FOUND);
        SAYS("expected a folder");
        c.options.area = NULL;
        assert_int_equal(apply(&c), DAL_ERR_ARG);
        assert_int_equal(dal_schema_apply(NULL, &c.options, NULL, NULL), DAL_ERR_ARG);
        assert_int_equal(dal_schema_apply(c.fake.conn, NULL, NULL, NULL), DAL_ERR_ARG);
        end(&c);
}

/* Two sessions at once, without a lock between them: an embedded engine. */
static void write_first(void *arg, dal_fake_call *call)
{
        struct call *c = arg;
        dal_fake_call_row(call, DAL_PARAMS(dal_int64(1)));
        if (c) {
                struct call other = *c;
                other.fake.conn = NULL;
                fake_connect(&other.fake);
                assert_true(dal_fake_on(c->fake.server, "dal.history_lock", write_first, NULL));
                assert_int_equal(dal_schema_apply(other.fake.conn, &c->options, NULL, NULL), DAL_OK);
                dal_conn_close(other.fake.conn);
        }
}

static void test_schema__faster_session_is_accepted(void **state)
{
        struct call c;
        (void)state;
        begin(&c, false);
        fake_script(&c.fake, "0001_one.sql", "CREATE TABLE a;");
        fake_script(&c.fake, "0002_two.sql", "CREATE TABLE b;");
        assert_true(dal_fake_on(c.fake.server, "dal.history_lock", write_first, &c));
        assert_int_equal(apply(&c), DAL_OK);
        assert_int_equal(c.report.n_applied, 2);
        assert_int_equal(n_runs(&c, "CREATE TABLE a"), 1);
        end(&c);
}

static void test_schema__survives_any_failed_allocation(void **state)
{
        (void)state;
        for (int is_modal = 0; is_modal < 2; is_modal++) {
                dal_status status = DAL_ERR_NOMEM;
                for (size_t n = 1; status != DAL_OK; n++) {
                        struct call c;
                        begin(&c, is_modal != 0);
                        fake_script(&c.fake, "0001_one.sql", "CREATE TABLE a; CREATE TABLE b;");
                        fake_script(&c.fake, "0002_two.sql", "CREATE TABLE c;");
                        mem_fault_at = n;
                        status = apply(&c);
                        mem_fault_at = 0;
                        if (status)
                                assert_int_not_equal(c.err.message[0], '\0');
                        if (status_of(&c) == DAL_OK && c.report.n_failed == 0 && !c.err.conn_gone)
                                assert_int_equal(apply(&c), DAL_OK);
                        end(&c);
                        assert_true(n < 2000);
                }
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_schema__applies_each_script_once),
                cmocka_unit_test(test_schema__script_and_its_row_are_one_transaction),
                cmocka_unit_test(test_schema__intent_is_written_before_each_statement),
                cmocka_unit_test(test_schema__tx_off_means_no_transaction),
                cmocka_unit_test(test_schema__failed_transaction_keeps_nothing),
                cmocka_unit_test(test_schema__resumes_at_the_failed_statement),
                cmocka_unit_test(test_schema__lost_connection_leaves_it_uncertain),
                cmocka_unit_test(test_schema__lost_connection_in_a_transaction_is_clean),
                cmocka_unit_test(test_schema__running_apply_is_not_uncertain),
                cmocka_unit_test(test_schema__lock_timeout_is_tried_again),
                cmocka_unit_test(test_schema__changed_file_is_drift),
                cmocka_unit_test(test_schema__missing_file_stops_only_new_work),
                cmocka_unit_test(test_schema__late_script_is_applied_too),
                cmocka_unit_test(test_schema__dry_run_tells_and_does_nothing),
                cmocka_unit_test(test_schema__nearest_dialect_wins),
                cmocka_unit_test(test_schema__versions_are_numbers),
                cmocka_unit_test(test_schema__bad_scripts_change_nothing),
                cmocka_unit_test(test_schema__bad_arguments_are_named),
                cmocka_unit_test(test_schema__faster_session_is_accepted),
                cmocka_unit_test(test_schema__survives_any_failed_allocation),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
