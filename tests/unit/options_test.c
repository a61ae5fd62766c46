/* SPDX-License-Identifier: MIT */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/options.h"
#include "run_fixture.h"

struct known {
        size_t struct_size;
        int older, newer;
};

static void test_options__members_a_caller_does_not_know_keep_their_defaults(void **state)
{
        struct known options = {sizeof options, 1, 2};
        struct known whole = {offsetof(struct known, newer), 7, 8};
        void *given = malloc(whole.struct_size); /* a byte too many read is seen by the sanitizer */
        dal_error err = DAL_ERROR_INIT;

        (void)state;
        assert_non_null(given);
        memcpy(given, &whole, whole.struct_size);
        assert_ok(dal__options_read("INIT", given, &options, sizeof options, &err));
        assert_int_equal(options.older, 7);
        assert_int_equal(options.newer, 2);
        free(given);
}

static void test_options__none_are_the_defaults(void **state)
{
        struct known options = {sizeof options, 1, 2};
        dal_error err = DAL_ERROR_INIT;

        (void)state;
        assert_ok(dal__options_read("INIT", NULL, &options, sizeof options, &err));
        assert_int_equal(options.older, 1);
        assert_int_equal(options.newer, 2);
}

static void test_options__of_no_size_or_a_later_version_are_refused(void **state)
{
        static const size_t sizes[] = {0, 1, sizeof(size_t) - 1, sizeof(struct known) + 1, SIZE_MAX};
        dal_error err = DAL_ERROR_INIT;

        (void)state;
        for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
                struct known options = {sizeof options, 1, 2}, given = {sizes[i], 7, 8};

                assert_fails(dal__options_read("KNOWN_INIT", &given, &options, sizeof options, &err),
                             DAL_CLASS_ARGUMENT);
                assert_has(err.message, "KNOWN_INIT");
                assert_int_equal(options.older, 1);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_options__members_a_caller_does_not_know_keep_their_defaults),
                cmocka_unit_test(test_options__none_are_the_defaults),
                cmocka_unit_test(test_options__of_no_size_or_a_later_version_are_refused),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
