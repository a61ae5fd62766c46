/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <dal/mem.h>

static void test_mem__alloc_gives_zeroed_memory(void **state)
{
        (void)state;
        for (size_t size = 1; size <= 4096; size *= 4) {
                unsigned char *p = dal_mem_alloc(size);

                assert_non_null(p);
                for (size_t i = 0; i < size; i++)
                        assert_int_equal(p[i], 0);
                memset(p, 0xA5, size); /* so that a reuse of the block would be seen */
                dal_mem_free(p);
        }
}

static void test_mem__nothing_is_not_a_failure(void **state)
{
        void *p;

        (void)state;
        p = dal_mem_alloc(0);
        assert_non_null(p);
        p = dal_mem_resize(p, 0, 8);
        assert_non_null(p);
        p = dal_mem_resize(p, 8, 0);
        assert_non_null(p);
        dal_mem_free(p);
        dal_mem_free(NULL);
        dal_mem_wipe(NULL, 0);
}

static void test_mem__resize_keeps_what_was_there(void **state)
{
        uint32_t *array;

        (void)state;
        array = dal_mem_resize(NULL, 2, sizeof *array);
        assert_non_null(array);
        array[0] = 11;
        array[1] = 22;
        array = dal_mem_resize(array, 1000, sizeof *array);
        assert_non_null(array);
        assert_int_equal(array[0], 11);
        assert_int_equal(array[1], 22);
        dal_mem_free(array);
}

static void test_mem__resize_refuses_an_overflowing_product(void **state)
{
        char *array;

        (void)state;
        array = dal_mem_resize(NULL, 4, 1);
        assert_non_null(array);
        memcpy(array, "abc", 4);
        assert_null(dal_mem_resize(array, SIZE_MAX / 4 + 2, 4));
        assert_null(dal_mem_resize(array, SIZE_MAX, SIZE_MAX));
        assert_string_equal(array, "abc"); /* still valid */
        dal_mem_free(array);
}

static void test_mem__strdup_adds_a_nul(void **state)
{
        char *copy;

        (void)state;
        copy = dal_mem_strdup("abcdef", 3);
        assert_string_equal(copy, "abc");
        dal_mem_free(copy);
        copy = dal_mem_strdup("a\0b", 3);
        assert_memory_equal(copy, "a\0b", 4);
        dal_mem_free(copy);
        copy = dal_mem_strdup(NULL, 0);
        assert_string_equal(copy, "");
        dal_mem_free(copy);
        assert_null(dal_mem_strdup("", SIZE_MAX));
}

static void test_mem__wipe_clears_just_its_bytes(void **state)
{
        char secret[] = "<secret>";

        (void)state;
        dal_mem_wipe(secret + 1, 6);
        assert_memory_equal(secret, "<\0\0\0\0\0\0>", 9);
}

int main(void)
{
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_mem__alloc_gives_zeroed_memory),
                cmocka_unit_test(test_mem__nothing_is_not_a_failure),
                cmocka_unit_test(test_mem__resize_keeps_what_was_there),
                cmocka_unit_test(test_mem__resize_refuses_an_overflowing_product),
                cmocka_unit_test(test_mem__strdup_adds_a_nul),
                cmocka_unit_test(test_mem__wipe_clears_just_its_bytes),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
