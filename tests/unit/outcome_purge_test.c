/* SPDX-License-Identifier: MIT */
/* Old tokens are deleted, but only by a clock that two agree on. */
#include <dal/outcome.h>

#include "cluster_fixture.h"

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

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_outcome__nothing_is_purged_while_clocks_differ),
        };

        return cmocka_run_group_tests_name("outcome_purge", tests, NULL, NULL);
}
