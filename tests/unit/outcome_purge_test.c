/* SPDX-License-Identifier: MIT */
/* Old tokens are deleted, but only by a clock that two agree on. */
#include <dal/outcome.h>

#include "cluster_fixture.h"
#include "shard/cluster_state.h"

#define NOTE   "INSERT INTO dal_outcome"
#define DELETE "DELETE FROM dal_outcome"

static void test_outcome__nothing_is_purged_while_clocks_differ(void **state)
{
        static const int64_t ahead_s[] = {0, 45, -45, 120, -120, 1000000, -1000000};
        struct single f;

        (void)state;
        for (size_t i = 0; i < sizeof ahead_s / sizeof ahead_s[0]; i++)
                for (int kind = 0; single_of_both_kinds(&f, &kind); close_single(&f)) {
                        dal_error err = DAL_ERROR_INIT;
                        bool agreed = i < 3;
                        uint64_t n = 7;
                        dal_status s;

                        assert_true(dal_fake_add_outcomes(f.server));
                        dal_fake_set_clock(f.server, ahead_s[i]);
                        s = dal_cluster_purge_outcomes(f.cluster, 0, 0, 0, &n, &err);
                        if (agreed)
                                assert_ok(s);
                        else
                                assert_fails(s, DAL_CLASS_STATE);
                        if (!agreed)
                                assert_has(err.message,
                                           ahead_s[i] > 0 ? "ahead of this machine" : "behind this machine");
                        assert_int_equal(n, 0);
                        assert_int_equal(dal_fake_journal_count(f.server, NOTE), agreed);
                        assert_int_equal(dal_fake_journal_count(f.server, DELETE) > 0, agreed);
                        assert_int_equal(pool_stats(f.cluster, 0).leased, 0);
                }
}

#define HOUR_NS INT64_C(3600000000000)

/* Once an hour and not at the start; by itself nobody is told of a failure. */
static void test_outcome__old_tokens_go_by_themselves(void **state)
{
        struct single f;

        (void)state;
        for (int kind = 0; kind < 2; kind++) {
                int64_t now = dal_clock_now();
                uint64_t random = 1;
                size_t n;

                init_single(&f, kind == 1);
                assert_true(dal_fake_add_outcomes(f.server));
                open_single(&f);
                assert_true(f.cluster->has_timer);
                for (int i = 0; i < 100; i++)
                        dal__cluster_purge_due(f.cluster, now + i * HOUR_NS / 200, &random);
                assert_int_equal(dal_fake_journal_count(f.server, NOTE), 0);
                for (int hour = 1; hour <= 3; hour++) {
                        dal__cluster_purge_due(f.cluster, now + hour * HOUR_NS, &random);
                        dal__cluster_purge_due(f.cluster, now + hour * HOUR_NS, &random);
                        assert_int_equal(dal_fake_journal_count(f.server, NOTE), hour);
                }
                n = dal_fake_journal_count(f.server, DELETE);
                assert_true(n >= 6); /* older notes, and a batch */
                dal_fake_set_clock(f.server, 1000);
                dal__cluster_purge_due(f.cluster, now + 4 * HOUR_NS, &random);
                dal_fake_set_clock(f.server, 0);
                inject(f.server, (dal_fake_fault){.match = NOTE, .error_class = DAL_CLASS_PRIVILEGE});
                dal__cluster_purge_due(f.cluster, now + 5 * HOUR_NS, &random);
                assert_int_equal(dal_fake_journal_count(f.server, DELETE), n);
                assert_int_equal(pool_stats(f.cluster, 0).leased, 0);
                close_single(&f);
        }
}

static void test_outcome__tokens_are_kept_where_that_is_asked_for(void **state)
{
        struct single f;

        (void)state;
        for (int i = 0; i < 4; i++) {
                int64_t now = dal_clock_now();
                uint64_t random = 1;

                init_single(&f, i % 2 == 1);
                if (i < 2)
                        f.options.outcome_keep_hours = DAL_OUTCOME_KEEP_ALL;
                else
                        f.options.outcomes = DAL_OUTCOMES_OFF;
                assert_true(dal_fake_add_outcomes(f.server));
                open_single(&f);
                assert_false(f.cluster->has_timer);
                for (int hour = 0; hour < 3; hour++)
                        dal__cluster_purge_due(f.cluster, now + hour * HOUR_NS, &random);
                assert_int_equal(dal_fake_journal_count(f.server, NOTE), 0);
                assert_int_equal(dal_fake_journal_count(f.server, DELETE), 0);
                close_single(&f);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_outcome__nothing_is_purged_while_clocks_differ),
                cmocka_unit_test(test_outcome__old_tokens_go_by_themselves),
                cmocka_unit_test(test_outcome__tokens_are_kept_where_that_is_asked_for),
        };

        return cmocka_run_group_tests_name("outcome_purge", tests, NULL, NULL);
}
