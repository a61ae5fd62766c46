/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
/* cmocka needs the four above first. Source: cmocka.h */
#include <cmocka.h>

#include <dal/driver.h>
#include <dal/drivers/fake.h>

static void assert_refused(const dal_driver *driver, const char *part)
{
        dal_error err = DAL_ERROR_INIT;

        assert_int_equal(dal_driver_check(driver, &err), DAL_ERR_ARG);
        assert_int_equal(err.error_class, DAL_CLASS_ARGUMENT);
        if (!strstr(err.message, part))
                fail_msg("\"%s\" does not say \"%s\"", err.message, part);
        assert_int_equal(dal_driver_check(driver, NULL), DAL_ERR_ARG);
}

/* The fake driver's table without one thing. */
#define assert_needed(field, value, part)                                                                    \
        do {                                                                                                 \
                dal_driver copy_ = *dal_driver_fake();                                                       \
                copy_.field = value;                                                                         \
                assert_refused(&copy_, part);                                                                \
        } while (0)

static void test_driver__a_table_must_be_complete(void **state)
{
        (void)state;
        assert_int_equal(dal_driver_check(dal_driver_fake(), NULL), DAL_OK);
        assert_int_equal(dal_driver_check(dal_driver_fake_modal(), NULL), DAL_OK);
        assert_refused(NULL, "no driver given");
        assert_needed(struct_size, sizeof(dal_driver) - 1, "compile it again");
        assert_needed(name, NULL, "no name");
        assert_needed(name, "", "no name");
        assert_needed(schemes, NULL, "\"schemes\"");
        assert_needed(keys, NULL, "\"keys\"");
        assert_needed(conn_size, 0, "\"conn_size\"");
        assert_needed(max_params, 0, "\"max_params\"");
        assert_needed(open, NULL, "\"open\"");
        assert_needed(close, NULL, "\"close\"");
        assert_needed(ping, NULL, "\"ping\"");
        assert_needed(queue, NULL, "\"queue\"");
        assert_needed(flush, NULL, "\"flush\"");
        assert_needed(result, NULL, "\"result\"");
        assert_needed(fetch, NULL, "\"fetch\"");
        assert_needed(discard, NULL, "\"discard\"");
        assert_needed(column, NULL, "\"column\"");
        assert_needed(tx_state, NULL, "\"tx_state\"");
        assert_needed(info, NULL, "\"info\"");
        assert_needed(info, NULL, "driver fake:");
}

static void test_driver__some_slots_are_optional(void **state)
{
        dal_driver driver = *dal_driver_fake();

        (void)state;
        driver.reset = NULL;
        driver.cancel = NULL;
        driver.readiness = NULL;
        driver.stmt_close = NULL;
        assert_int_equal(dal_driver_check(&driver, NULL), DAL_OK);
        driver.caps |= DAL_CAP_EMBEDDED;
        driver.ping = NULL;
        assert_int_equal(dal_driver_check(&driver, NULL), DAL_OK);
}

static void test_driver__schemes_are_compared_whole(void **state)
{
        dal_driver one = *dal_driver_fake(), two = *dal_driver_fake();
        const dal_driver *const drivers[] = {&one, NULL, &two};
        dal_error err = DAL_ERROR_INIT;

        (void)state;
        one.schemes = "mysql mariadb";
        two.schemes = "postgres";
        assert_ptr_equal(dal_driver_find(drivers, 3, "mysql", &err), &one);
        assert_ptr_equal(dal_driver_find(drivers, 3, "mariadb", &err), &one);
        assert_ptr_equal(dal_driver_find(drivers, 3, "postgres", &err), &two);
        assert_int_equal(err.status, DAL_OK);
        assert_null(dal_driver_find(drivers, 3, "mysqlx", &err));
        assert_int_equal(err.error_class, DAL_CLASS_ARGUMENT);
        assert_non_null(strstr(err.message, "\"mysqlx:\""));
        assert_non_null(strstr(err.message, "mysql mariadb postgres"));
        assert_null(dal_driver_find(drivers, 3, "my", &err));
        assert_null(dal_driver_find(drivers, 3, "mysql mariadb", &err));
        assert_null(dal_driver_find(drivers, 3, "", &err));
        assert_null(dal_driver_find(drivers, 3, NULL, NULL));
        assert_null(dal_driver_find(NULL, 0, "postgres", &err));
        assert_non_null(strstr(err.message, "no driver was given"));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_driver__a_table_must_be_complete),
                cmocka_unit_test(test_driver__some_slots_are_optional),
                cmocka_unit_test(test_driver__schemes_are_compared_whole),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
