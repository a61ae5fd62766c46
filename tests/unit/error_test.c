/* SPDX-License-Identifier: MIT */
#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <dal/error.h>
#include <dal/value.h>

#define ELLIPSIS "\xE2\x80\xA6"

static void test_error__set_fills_every_field(void **state)
{
        dal_error err;
        dal_status status;

        (void)state;
        memset(&err, 0x7F, sizeof err);
        status = dal_error_set(&err, DAL_CLASS_UNIQUE, "row %d of %s", 7, "t");
        assert_int_equal(status, DAL_ERR_CONSTRAINT);
        assert_int_equal(err.status, DAL_ERR_CONSTRAINT);
        assert_int_equal(err.error_class, DAL_CLASS_UNIQUE);
        assert_int_equal(err.vendor_code, 0);
        assert_int_equal(err.shard, DAL_NO_SHARD);
        assert_false(err.retry_tx);
        assert_false(err.tx_gone);
        assert_false(err.conn_gone);
        assert_false(err.not_sent);
        assert_string_equal(err.sqlstate, "");
        assert_string_equal(err.constraint, "");
        assert_string_equal(err.table, "");
        assert_string_equal(err.column, "");
        assert_string_equal(err.outcome_token, "");
        assert_string_equal(err.message, "row 7 of t");
}

static void test_error__retry_follows_the_class(void **state)
{
        dal_error err;

        (void)state;
        dal_error_set(&err, DAL_CLASS_DEADLOCK, "x");
        assert_true(err.retry_tx);
        dal_error_set(&err, DAL_CLASS_CONNECTION_LOST, "x"); /* UNSENT */
        assert_true(err.retry_tx);
        dal_error_set(&err, DAL_CLASS_COMMIT_UNKNOWN, "x");
        assert_false(err.retry_tx);
}

static void test_error__null_error_still_gives_the_status(void **state)
{
        (void)state;
        assert_int_equal(dal_error_set(NULL, DAL_CLASS_DEADLINE, "%s", "x"), DAL_ERR_TIMEOUT);
        assert_int_equal(dal_error_fail(NULL, DAL_ERR_APP, "%s", "x"), DAL_ERR_APP);
}

static void test_error__long_message_is_cut_with_an_ellipsis(void **state)
{
        char text[600];
        dal_error err;

        (void)state;
        memset(text, 'x', sizeof text - 1);
        text[511] = '\0'; /* just fits */
        dal_error_set(&err, DAL_CLASS_SYNTAX, "%s", text);
        assert_string_equal(err.message, text);
        text[511] = 'x';
        text[512] = '\0'; /* one too many */
        dal_error_set(&err, DAL_CLASS_SYNTAX, "%s", text);
        assert_int_equal(strlen(err.message), 511);
        assert_string_equal(err.message + 508, ELLIPSIS);
}

/* Whatever the alignment of a character of two, three or four bytes to the cut, the message stays UTF-8. */
static void test_error__cut_is_at_a_character_boundary(void **state)
{
        static const char *const characters[] = {"\xC3\xA9", "\xE2\x82\xAC", "\xF0\x9F\x98\x80"};
        dal_error err;

        (void)state;
        for (size_t c = 0; c < 3; c++) {
                for (size_t shift = 0; shift < 8; shift++) {
                        char text[1024] = "xxxxxxxx";
                        size_t n = shift;
                        size_t size = strlen(characters[c]);

                        for (; n + size < sizeof text; n += size)
                                memcpy(text + n, characters[c], size);
                        text[n] = '\0';
                        dal_error_set(&err, DAL_CLASS_SYNTAX, "%s", text);
                        n = strlen(err.message);
                        assert_true(dal_value_is_utf8(err.message, n));
                        assert_in_range(n, 508, 511);
                        assert_string_equal(err.message + n - 3, ELLIPSIS);
                        assert_memory_equal(err.message, text, n - 3);
                }
        }
}

static void test_error__message_is_one_line_of_utf8(void **state)
{
        dal_error err;

        (void)state;
        dal_error_set(&err, DAL_CLASS_SYNTAX,
                      "a\nb\r\tc\x7F"
                      "d\xFF"
                      "e\xC3"
                      "f\xE2\x82");
        assert_string_equal(err.message, "a b  c d?e?f??");
        dal_error_set(&err, DAL_CLASS_SYNTAX, "\xE0\xA0\x80 \xC2\x80 \xF0\x90\x80\x80");
        assert_string_equal(err.message, "\xE0\xA0\x80 \xC2\x80 \xF0\x90\x80\x80");
}

static void test_error__arguments_may_be_parts_of_the_error(void **state)
{
        dal_error err;

        (void)state;
        dal_error_set(&err, DAL_CLASS_SYNTAX, "inner");
        strcpy(err.table, "orders");
        dal_error_set(&err, DAL_CLASS_INTERNAL, "%s: %s", err.table, err.message);
        assert_string_equal(err.message, "orders: inner");
        assert_string_equal(err.table, "");
}

static void test_error__no_class_can_make_a_failure_a_success(void **state)
{
        dal_error err;

        (void)state;
        assert_int_equal(dal_error_set(&err, DAL_CLASS_NONE, "x"), DAL_ERR_INTERNAL);
        assert_int_equal(dal_error_set(&err, (dal_error_class)9999, "x"), DAL_ERR_INTERNAL);
        assert_int_equal(dal_error_set(&err, (dal_error_class)-1, "x"), DAL_ERR_INTERNAL);
        assert_int_equal(dal_error_fail(&err, DAL_OK, "x"), DAL_ERR_INTERNAL);
        assert_int_equal(dal_error_fail(&err, (dal_status)-1, "x"), DAL_ERR_INTERNAL);
        assert_string_equal(err.message, "x");
}

/* Each status has a class of that very status: what the application said is what the caller gets. */
static void test_error__fail_keeps_every_status(void **state)
{
        static const dal_status statuses[] = {
#define STATUS(name, text) DAL_##name,
                DAL_STATUS_LIST(STATUS)
#undef STATUS
        };
        dal_error err;

        (void)state;
        for (size_t i = 1; i < sizeof statuses / sizeof statuses[0]; i++) {
                assert_int_equal(dal_error_fail(&err, statuses[i], "no"), statuses[i]);
                assert_int_equal(err.status, statuses[i]);
                assert_int_equal(dal_error_class_status(err.error_class), statuses[i]);
        }
        dal_error_fail(&err, DAL_ERR_STATE, "no");
        assert_int_equal(err.error_class, DAL_CLASS_STATE); /* not COMMIT_ROLLED_BACK */
        dal_error_fail(&err, DAL_ERR_TIMEOUT, "no");
        assert_int_equal(err.error_class, DAL_CLASS_DEADLINE); /* not the server's */
        dal_error_fail(&err, DAL_ERR_APP, "no");
        assert_false(err.retry_tx);
        dal_error_fail(&err, DAL_ERR_CONFLICT, "again");
        assert_true(err.retry_tx);
}

static void test_error__names_follow_the_lists(void **state)
{
        static const char *const classes[] = {
#define CLASS(name, status, retry, text) #name,
                DAL_ERROR_CLASS_LIST(CLASS)
#undef CLASS
        };

        (void)state;
        for (size_t i = 0; i < sizeof classes / sizeof classes[0]; i++) {
                const char *name = dal_error_class_name((dal_error_class)i);

                assert_int_equal(strlen(name), strlen(classes[i]));
                for (size_t j = 0; name[j]; j++)
                        assert_int_equal(name[j], tolower((unsigned char)classes[i][j]));
                assert_true(dal_error_class_text((dal_error_class)i)[0] != '\0');
        }
        assert_string_equal(dal_error_status_name(DAL_ERR_CONN), "DAL_ERR_CONN");
        assert_string_equal(dal_error_status_name(DAL_OK), "DAL_OK");
        assert_string_equal(dal_error_status_text(DAL_ERR_APP), "refused by the application's own function");
        assert_string_equal(dal_error_class_text(DAL_CLASS_DEADLOCK), "deadlock victim");
        assert_int_equal(dal_error_class_status(DAL_CLASS_NONE), DAL_OK);
}

static void test_error__unknown_numbers_have_names_too(void **state)
{
        static const int one_too_many[] = {DAL_ERR_TOO_LARGE + 1, DAL_CLASS_INTERNAL + 1};
        dal_status status = (dal_status)one_too_many[0];
        dal_error_class error_class = (dal_error_class)one_too_many[1];

        (void)state;
        assert_string_equal(dal_error_status_name(status), "DAL_ERR_?");
        assert_string_equal(dal_error_status_text(status), "not a status");
        assert_string_equal(dal_error_class_name(error_class), "?");
        assert_string_equal(dal_error_class_text(error_class), "not a class");
        assert_int_equal(dal_error_class_status(error_class), DAL_ERR_INTERNAL);
        assert_int_equal(dal_error_set(NULL, error_class, "x"), DAL_ERR_INTERNAL);
        assert_int_equal(dal_error_fail(NULL, status, "x"), DAL_ERR_INTERNAL);
}

int main(void)
{
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_error__set_fills_every_field),
                cmocka_unit_test(test_error__retry_follows_the_class),
                cmocka_unit_test(test_error__null_error_still_gives_the_status),
                cmocka_unit_test(test_error__long_message_is_cut_with_an_ellipsis),
                cmocka_unit_test(test_error__cut_is_at_a_character_boundary),
                cmocka_unit_test(test_error__message_is_one_line_of_utf8),
                cmocka_unit_test(test_error__arguments_may_be_parts_of_the_error),
                cmocka_unit_test(test_error__no_class_can_make_a_failure_a_success),
                cmocka_unit_test(test_error__fail_keeps_every_status),
                cmocka_unit_test(test_error__names_follow_the_lists),
                cmocka_unit_test(test_error__unknown_numbers_have_names_too),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
