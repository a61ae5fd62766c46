/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "dsn_rig.h"

static void check_derived(const char *url, const char *base_url, const char *dbname, const char *redacted,
                          const char *password)
{
        dal_error err = DAL_ERROR_INIT;
        dal_dsn *base = base_url ? parse(base_url) : NULL;
        dal_dsn *out = NULL;

        if (read_url(url, base, dbname, &out, &err))
                fail_msg("%s", err.message);
        dal_dsn_free(base);
        assert_string_equal(dal_dsn_redacted(out), redacted);
        if (password)
                assert_string_equal(dal_dsn_password(out), password);
        else
                assert_null(dal_dsn_password(out));
        dal_dsn_free(out);
}

static void test_dsn_derive__takes_what_is_missing(void **state)
{
        (void)state;
        check_derived("postgres://db2/shard_1",
                      "postgresql://u:pw@db1/shop?sslmode=verify-ca&sslrootcert=/ca.pem", NULL,
                      "postgres://u@db2/shard_1?sslmode=verify-ca&sslrootcert=/ca.pem", "pw");
        check_derived("postgres://db2:7", "postgres://u:pw@db1:6/shop?schema=s", "shop_2",
                      "postgres://u@db2:7/shop_2", "pw");
        check_derived("postgres://v@db2/d", "postgres://u:pw@db1/shop", NULL, "postgres://v@db2/d", NULL);
        check_derived("postgres://u@db2/d", "postgres://u:pw@db1/shop", NULL, "postgres://u@db2/d", "pw");
        check_derived("postgres://u:own@db2/d", "postgres://u:pw@db1/shop", NULL, "postgres://u@db2/d",
                      "own");
        check_derived("mysql://db2/d", "postgres://u:pw@db1/shop?sslmode=off", NULL, "mysql://db2/d", NULL);
        check_derived("mysql://u:pw@h/d", NULL, NULL, "mysql://u@h/d", "pw");
        check_derived("mysql://u:pw@h/d", NULL, "e", "mysql://u@h/e", "pw");
        check_derived("mariadb://h/d", "mysql://u:pw@h/d?socket=/s&server_public_key=/k", NULL,
                      "mariadb://u@h/d?server_public_key=/k", "pw");
        check_derived("mysql://h/d?server_public_key=/l", "mysql://h/d?server_public_key=/k", NULL,
                      "mysql://h/d?server_public_key=/l", NULL);
        check_derived("postgres:///a/b", NULL, "c", "postgres:///c", NULL);
        check_derived("fake:?fake=0x1", "fake:?fake=0x2", "e", "fake:///e?fake=0x1", NULL);
        check_derived("postgres://db2?sslkey=/k", "postgres://db1?sslcert=/d&sslkey=/l", NULL,
                      "postgres://db2?sslkey=/k", NULL);
        check_derived("postgres://db2", "postgres://db1?sslcert=/d&sslkey=/l", NULL,
                      "postgres://db2?sslcert=/d&sslkey=/l", NULL);
        check_derived("postgres://db2?sslcert=/c", "postgres://db1?sslcert=/d&sslkey=/k", NULL,
                      "postgres://db2?sslcert=/c", NULL);
}

/* What is off on one machine must not go off to another because nobody wrote it. */
static void test_dsn_derive__never_weakens_tls(void **state)
{
        (void)state;
        check_derived("postgres://db2", "postgres://localhost?sslmode=off", NULL, "postgres://db2", NULL);
        check_derived("postgres://db2", "postgres://localhost?sslmode=require", NULL, "postgres://db2", NULL);
        check_derived("postgres://db2", "postgres://localhost?sslmode=verify-full", NULL,
                      "postgres://db2?sslmode=verify-full", NULL);
        check_derived("postgres://db2", "postgres://db1?sslmode=off", NULL, "postgres://db2?sslmode=off",
                      NULL);
        check_derived("postgres://[::1]", "postgres://localhost?sslmode=require", NULL,
                      "postgres://[::1]?sslmode=require", NULL);
        check_derived("postgres://db2?sslmode=verify-ca", "postgres://db1?sslmode=off", NULL,
                      "postgres://db2?sslmode=verify-ca", NULL);
}

static void test_dsn_derive__finds_files_beside_the_base(void **state)
{
        dal_dsn *base = parse("sqlite:dir/catalog.db");
        dal_dsn *out;
        dal_error err;

        (void)state;
        check_derived("sqlite:s1.db", "sqlite:dir/catalog.db", NULL, "sqlite:dir/s1.db", NULL);
        check_derived("sqlite:s1.db", "sqlite:///var/catalog.db", NULL, "sqlite:///var/s1.db", NULL);
        check_derived("sqlite:sub/s1.db", "sqlite:/catalog.db", NULL, "sqlite:///sub/s1.db", NULL);
        check_derived("sqlite:/abs/s1.db", "sqlite:dir/catalog.db", NULL, "sqlite:///abs/s1.db", NULL);
        check_derived("sqlite:s1.db", "sqlite:catalog.db", NULL, "sqlite:s1.db", NULL);
        check_derived("sqlite:s1.db", "sqlite::memory:", NULL, "sqlite:s1.db", NULL);
        check_derived("sqlite::memory:", "sqlite:dir/catalog.db", NULL, "sqlite::memory:", NULL);
        check_derived("sqlite:s1.db", "mysql://h/dir/d", NULL, "sqlite:s1.db", NULL);
        check_derived("sqlite:///var/c.db", "sqlite:///tmp/c.db", "s1.db", "sqlite:///tmp/s1.db", NULL);
        check_derived("sqlite:///var/c.db", NULL, "/abs/s1.db", "sqlite:///abs/s1.db", NULL);
        check_derived("sqlite:s1.db?mode=ro", "sqlite:dir/c.db", "s2.db", "sqlite:dir/s2.db?mode=ro", NULL);
        /* of itself: a copy stays where it is, another file stands beside it */
        assert_int_equal(dal_driver_resolve_dsn(&drivers[3], base, base, NULL, &out, &err), DAL_OK);
        assert_string_equal(dal_dsn_dbname(out), "dir/catalog.db");
        dal_dsn_free(out);
        assert_int_equal(dal_driver_resolve_dsn(&drivers[3], base, base, "s1.db", &out, &err), DAL_OK);
        assert_string_equal(dal_dsn_dbname(out), "dir/s1.db");
        dal_dsn_free(out);
        assert_int_equal(dal_driver_resolve_dsn(NULL, base, NULL, NULL, &out, &err), DAL_ERR_ARG);
        assert_int_equal(dal_driver_resolve_dsn(&drivers[3], NULL, base, NULL, &out, &err), DAL_ERR_ARG);
        assert_int_equal(dal_driver_resolve_dsn(&drivers[3], base, NULL, NULL, NULL, &err), DAL_ERR_ARG);
        assert_int_equal(dal_driver_resolve_dsn(&drivers[1], base, NULL, NULL, &out, &err), DAL_ERR_ARG);
        assert_non_null(strstr(err.message, "its schemes are: postgres postgresql"));
        dal_dsn_free(base);
        dal_dsn_free(NULL);
}

int main(void)
{
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_dsn_derive__takes_what_is_missing),
                cmocka_unit_test(test_dsn_derive__never_weakens_tls),
                cmocka_unit_test(test_dsn_derive__finds_files_beside_the_base),
        };

        return cmocka_run_group_tests(tests, dsn_rig_set_up, NULL);
}
