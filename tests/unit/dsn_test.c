/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "dsn_rig.h"
#include "mem_fault.h"

static void refused(const char *url, const char *why)
{
        dal_error err = DAL_ERROR_INIT;
        dal_dsn *dsn = NULL;

        if (read_url(url, NULL, NULL, &dsn, &err) != DAL_ERR_ARG)
                fail_msg("accepted: %s", url);
        assert_null(dsn);
        if (!strstr(err.message, why))
                fail_msg("%s: %s", url, err.message);
        assert_null(strstr(err.message, "secret"));
        assert_null(strstr(err.message, "hunter"));
        /* Where only the driver refuses, somebody may have shown the URL before. */
        if (dal_dsn_parse(url, &dsn, NULL) == DAL_OK) {
                if (strstr(dal_dsn_redacted(dsn), "secret") || strstr(dal_dsn_redacted(dsn), "hunter"))
                        fail_msg("%s is shown as %s", url, dal_dsn_redacted(dsn));
                dal_dsn_free(dsn);
        }
}

/* The parts of a URL in one line: user password host port path, "-" for a password that is absent. */
static void check_parts(dal_dsn *dsn, const char *url, const char *expected)
{
        const char *password = dal_dsn_password(dsn);
        char text[256];

        snprintf(text, sizeof text, "%s %s|%s|%s|%u|%s", dal_dsn_scheme(dsn), dal_dsn_user(dsn),
                 password ? password : "-", dal_dsn_host(dsn), dal_dsn_port(dsn),
                 strcmp(dal_dsn_scheme(dsn), "sqlite") == 0 ? dal_dsn_path(dsn) : dal_dsn_dbname(dsn));
        if (strcmp(text, expected) != 0)
                fail_msg("%s gives %s, not %s", url, text, expected);
        dal_dsn_free(dsn);
}

static void check(const char *url, const char *expected)
{
        check_parts(parse(url), url, expected);
        check_parts(resolve(url), url, expected);
}

static void test_dsn__parts_of_a_url(void **state)
{
        (void)state;
        check("postgres://user:secret@db1.example:5432/shop", "postgres user|secret|db1.example|5432|shop");
        check("postgresql://db1", "postgresql |-|db1|0|");
        check("PostgreSQL://db1", "postgresql |-|db1|0|");
        check("mysql://user@localhost/shop", "mysql user|-|localhost|0|shop");
        check("mariadb://h:1/", "mariadb |-|h|1|");
        check("postgres://", "postgres |-||0|");
        check("postgres:///", "postgres |-||0|");
        check("postgres:///shop", "postgres |-||0|shop");
        check("postgres://:65535/shop", "postgres |-||65535|shop");
        check_parts(parse("other+x.1://h/d"), "", "other+x.1 |-|h|0|d");
}

/* Answers as in libpq's own test, src/interfaces/libpq/t/001_uri.pl of PostgreSQL, where keys allow. */
static void test_dsn__as_libpq_reads_it(void **state)
{
        (void)state;
        check("postgresql://uri-user:secret@host:12345/db", "postgresql uri-user|secret|host|12345|db");
        check("postgresql://uri-user@host:12345/", "postgresql uri-user|-|host|12345|");
        check("postgresql://host/db?user=uri-user", "postgresql uri-user|-|host|0|db");
        check("postgresql://%68ost/", "postgresql |-|host|0|");
        check("postgresql://host/db?%75ser=uri-user", "postgresql uri-user|-|host|0|db");
        check("postgresql://host?", "postgresql |-|host|0|");
        check("postgresql://[::1]:12345/db", "postgresql |-|::1|12345|db");
        check("postgresql://[2001:db8::1234]/", "postgresql |-|2001:db8::1234|0|");
        check("postgresql://[200z:db8::1234]/", "postgresql |-|200z:db8::1234|0|");
        check("postgresql://[::1]", "postgresql |-|::1|0|");
        check("postgres://@host", "postgres |-|host|0|");
        check("postgres://host:/", "postgres |-|host|0|");
        check("postgres://:12345/", "postgres |-||12345|");
        check("postgres://otheruser@?host=/no/such/directory", "postgres otheruser|-|/no/such/directory|0|");
        check("postgres://otheruser@/?host=/no/such/directory", "postgres otheruser|-|/no/such/directory|0|");
        check("postgres://otheruser@:12345?host=/no/such/socket/path",
              "postgres otheruser|-|/no/such/socket/path|12345|");
        check("postgres://otheruser@:12345/db?host=/path/to/socket",
              "postgres otheruser|-|/path/to/socket|12345|db");
        check("postgres://:12345/db?host=/path/to/socket", "postgres |-|/path/to/socket|12345|db");
        check("postgres://%2Fvar%2Flib%2Fpostgresql/dbname", "postgres |-|/var/lib/postgresql|0|dbname");
        refused("postgresql://host/db?u%7aer=someotheruser&port=12345", "no key \"uzer\"");
        check("postgresql://host:12345?user=uri-user&", "postgresql uri-user|-|host|12345|");
        check("postgresql://uri-user@", "postgresql uri-user|-||0|");
        refused("postgres://[::1", "has no ]");
        refused("postgres://[]", "is empty");
        refused("postgres://[::1]z", "after the ]");
        refused("postgresql://host?zzz", "has no =");
        refused("postgresql://host?value1&value2", "has no =");
        refused("postgresql://host?key=key=value", "has two =");
        refused("postgres://host?dbname=%XXfoo", "two hexadecimal digits");
        refused("postgresql://a%00b", "%00 is not allowed");
        refused("postgresql://%zz", "two hexadecimal digits");
        refused("postgresql://%1", "two hexadecimal digits");
        refused("postgresql://%", "two hexadecimal digits");
        refused("postgres://%2Fvar%2Flib%2Fpostgresql:abc", "1 to 65535");
}

static void test_dsn__percent_encoding_in_every_part(void **state)
{
        (void)state;
        check("postgres://a%40b:p%2F%3a%25%40@h/d%3Fb", "postgres a@b|p/:%@|h|0|d?b");
        check("postgres://a+b:p+w@h/d+b", "postgres a+b|p+w|h|0|d+b"); /* no form encoding */
        check("postgres://h?user=a%26b&password=%3D", "postgres a&b|=|h|0|");
        check("mysql://u:%0A@h", "mysql u|\n|h|0|"); /* a password may hold anything but NUL */
        check("sqlite:a%20b%3F.db", "sqlite |-||0|a b?.db");
        check("postgres://%af%AF:%fF@h", "postgres \xAF\xAF|\xFF|h|0|");
        refused("postgres://%4z@h", "two hexadecimal digits");
        refused("postgres://%z4@h", "two hexadecimal digits");
        refused("postgres://h?us%0Aer=x", "control character");
        check("postgres://%af%AF:%fF@h:5439", "postgres \xAF\xAF|\xFF|h|5439|");
        refused("postgres://%4z@h", "two hexadecimal digits");
        refused("postgres://%z4@h", "two hexadecimal digits");
        refused("postgres://h?us%0Aer=x", "control character");
        refused("mysql://u%0A@h", "control character");
        refused("mysql://h/d%7F", "control character");
        refused("mysql://u:secret\n@h", "control character");
        refused("postgres://h/d\n", "control character");
        refused("mysql://u:secret%2@h", "the password in the database URL is malformed");
        refused("mysql://u:%00secret@h", "%00");
}

static void test_dsn__later_keys_win(void **state)
{
        (void)state;
        check("postgres://u:p@h:1/d?user=v&host=i&port=2&dbname=e&password=q", "postgres v|q|i|2|e");
        check("postgres://h?user=a&user=b", "postgres b|-|h|0|");
        check("postgres://u@h:5?port=", "postgres u|-|h|0|");
}

static void test_dsn__ports(void **state)
{
        (void)state;
        refused("postgres://h:0/d", "1 to 65535");
        refused("postgres://h:65536/d", "1 to 65535");
        refused("postgres://h:000001/d", "1 to 65535");
        refused("postgres://h:-1/d", "1 to 65535");
        refused("postgres://h:1x/d", "1 to 65535");
        refused("postgres://h: 1/d", "1 to 65535");
        refused("postgres://h:99999999999/d", "1 to 65535");
        refused("postgres://h?port=x", "1 to 65535");
        check("postgres://h:00001/d", "postgres |-|h|1|d");
}

static void test_dsn__several_hosts_are_refused(void **state)
{
        (void)state;
        refused("postgres://a,b/d", "several hosts");
        refused("postgres://a:1,b:2/d", "several hosts");
        refused("postgres://[::1],[::2]/d", "several hosts");
        refused("postgres:///d?host=a,b", "several hosts");
        refused("postgres://a%2Cb/d", "several hosts");
}

static void test_dsn__schemes(void **state)
{
        (void)state;
        refused("", "must begin with a scheme");
        refused("shop.db", "must begin with a scheme");
        refused("/var/lib/shop.db", "must begin with a scheme");
        refused("://h/d", "must begin with a scheme");
        refused("1x://h", "must begin with a scheme");
        refused("post gres://h", "must begin with a scheme");
        refused("host=h password=secret", "must begin with a scheme");
        refused("h=secret:hunter@x", "must begin with a scheme");
        refused("postgres:/h/d", "two slashes");
        refused("postgres:shop", "two slashes");
        refused("mysql:u:secret@h", "two slashes");
        refused("user:secret@db1/shop", "no driver for URLs that begin with \"user:\"");
        refused("mysql:/u:secret@h/d", "as in mysql://host/database");
        refused("mysql:secret@h/d", "two slashes");
        refused("oracle://h/d?wallet=secret", "this program has drivers for: fake postgres postgresql mysql");
        check_parts(parse("ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEF://h"), "",
                    "abcdefghijklmnopqrstuvwxyzabcdef |-|h|0|");
        refused("abcdefghijklmnopqrstuvwxyzabcdefg://h", "must begin with a scheme");
        assert_int_equal(dal_dsn_parse(NULL, &(dal_dsn *){NULL}, NULL), DAL_ERR_ARG);
        assert_int_equal(dal_dsn_parse("sqlite:x", NULL, NULL), DAL_ERR_ARG);
}

static void test_dsn__sqlite_files(void **state)
{
        (void)state;
        check("sqlite:shop.db", "sqlite |-||0|shop.db");
        check("sqlite:dir/shop.db?mode=ro", "sqlite |-||0|dir/shop.db");
        check("sqlite:./shop.db", "sqlite |-||0|./shop.db");
        check("sqlite:/var/lib/shop.db", "sqlite |-||0|/var/lib/shop.db");
        check("sqlite:///var/lib/shop.db", "sqlite |-||0|/var/lib/shop.db");
        check("sqlite:////shop.db", "sqlite |-||0|//shop.db");
        check("sqlite::memory:", "sqlite |-||0|:memory:");
        check("sqlite:a@b.db", "sqlite |-||0|a@b.db");
        check("sqlite:x.db?dbname=", "sqlite |-||0|");
        check("sqlite:?dbname=shop.db", "sqlite |-||0|shop.db");
        check("sqlite:/var/a@b.db", "sqlite |-||0|/var/a@b.db");
        check("sqlite:a:b.db", "sqlite |-||0|a:b.db");
        check("sqlite:///var/lib/shop.db?dbname=x.db", "sqlite |-||0|/x.db");
        check("fake:?fake=0x1234", "fake |-||0|");
        check("fake:?host=h&user=u", "fake u|-|h|0|"); /* the same as behind two slashes */
        refused("sqlite:shop.db?sslmode=require", "without one there is no TLS; leave sslmode=require out");
        refused("sqlite:///shop.db?user=u", "a host would stand");
        refused("sqlite://u:secret@h/shop.db", "write sqlite:FILE, or sqlite:///FILE");
        refused("sqlite://shop.db", "a host would stand");
        refused("sqlite://", "a host would stand");
        refused("sqlite:shop.db?host=h", "a sqlite URL has no key \"host\"");
        refused("fake:1", "two slashes");
        refused("sqlite:shop.db?password=secret", "a sqlite URL has no key \"password\"");
}

static void test_dsn__keys(void **state)
{
        dal_dsn *dsn = resolve("postgres://h:7/d?schema=shard_1&application_name=a%20b&schema=shard_2");

        (void)state;
        assert_string_equal(dal_dsn_get(dsn, "application_name"), "a b");
        assert_string_equal(dal_dsn_get(dsn, "schema"), "shard_2");
        assert_string_equal(dal_dsn_get(dsn, "host"), "h");
        assert_string_equal(dal_dsn_get(dsn, "port"), "7");
        assert_string_equal(dal_dsn_get(dsn, "dbname"), "d");
        assert_null(dal_dsn_get(dsn, "sslmode"));
        assert_null(dal_dsn_get(dsn, "nonsense"));
        dal_dsn_free(dsn);
        refused("postgres://h?SSLMODE=off", "a postgres URL has no key \"SSLMODE\": known are host port user "
                                            "password dbname sslmode sslrootcert "
                                            "sslcert sslkey application_name schema");
        refused("sqlite:x?nonsense=1", "known are dbname sslmode application_name mode");
        refused("postgres://h?socket=/s", "a postgres URL has no key \"socket\"");
        refused("mysql://h?schema=s", "a mysql URL has no key \"schema\"");
        refused("mysql://h?cache=s", "a mysql URL has no key \"cache\"");
        refused("postgres://h?=x", "no key \"\"");
        refused("postgres://h?&user=x", "has no =");
        refused("postgres://h?pasword=secret", "a postgres URL has no key \"pasword\"");
        refused("postgresql://h?PASSWORD=secret&schema=x", "a postgresql URL has no key \"PASSWORD\"");
        refused("postgres://h?schema=%0Asecret", "control character");
}

static void check_tls(const char *url, dal_tls_mode mode, bool local)
{
        dal_dsn *dsn = parse(url);

        if (dal_dsn_tls_mode(dsn) != mode || dal_dsn_is_local(dsn) != local)
                fail_msg("%s: %s, local %d", url, dal_dsn_tls_name(dal_dsn_tls_mode(dsn)),
                         dal_dsn_is_local(dsn));
        dal_dsn_free(dsn);
}

static void test_dsn__tls_is_on_off_the_machine(void **state)
{
        static const char *const local[] = {"postgres://",
                                            "postgres:///d?host=/run",
                                            "postgres://%2Frun/d",
                                            "postgres://localhost",
                                            "postgres://LocalHost",
                                            "postgres://127.0.0.1",
                                            "postgres://127.255.0.9",
                                            "postgres://[::1]",
                                            "mysql:///d?socket=/s",
                                            "mysql://localhost/d?socket=/s",
                                            "sqlite:x",
                                            "fake:",
                                            "fake:?host=/run"};
        static const char *const remote[] = {"postgres://db1",
                                             "postgres://128.0.0.1",
                                             "postgres://127.0.0.1.example",
                                             "postgres://127.1",
                                             "postgres://localhost.example",
                                             "postgres://[::2]",
                                             "postgres://[::ffff:127.0.0.1]",
                                             "postgres://localhost%20",
                                             "postgres://0.0.0.0",
                                             "postgres://[::]",
                                             "postgres://local%C3%A9",
                                             "mysql://db1/d?socket=/s",
                                             "fake:?host=db1"};

        (void)state;
        for (size_t i = 0; i < sizeof local / sizeof local[0]; i++)
                check_tls(local[i], DAL_TLS_OFF, true);
        for (size_t i = 0; i < sizeof remote / sizeof remote[0]; i++)
                check_tls(remote[i], DAL_TLS_VERIFY_FULL, false);
        check_tls("postgres://db1?sslmode=off", DAL_TLS_OFF, false);
        check_tls("postgres://db1?sslmode=disable", DAL_TLS_OFF, false);
        check_tls("postgres://db1?sslmode=require", DAL_TLS_REQUIRE, false);
        check_tls("postgres://db1?sslmode=verify-ca", DAL_TLS_VERIFY_CA, false);
        check_tls("postgres://localhost?sslmode=verify-full", DAL_TLS_VERIFY_FULL, true);
        refused("postgres://db1?sslmode=prefer", "sslmode must be off, require, verify-ca or verify-full");
        refused("postgres://db1?sslmode=", "sslmode must be");
        refused("postgres://db1?sslmode=OFF", "sslmode must be");
        assert_string_equal(dal_dsn_tls_name(DAL_TLS_VERIFY_CA), "verify-ca");
        assert_string_equal(dal_dsn_tls_name((dal_tls_mode)9), "?");
}

/* However the URL is broken, no part of the password comes out. */
static void test_dsn__broken_passwords_stay_secret(void **state)
{
        (void)state;
        refused("postgres://u:secret/hunter@h/d", "there is an @ after the host");
        refused("postgres://u:secret/hunter", "1 to 65535");
        refused("postgres://u:12/secret@h/d", "there is an @ after the host");
        refused("postgres://u:/secret@h/d", "there is an @ after the host");
        refused("postgres://u:p@secret@h/d", "second @");
        refused("postgres://u:p@secret/hunter@h/d", "there is an @ after the host");
        refused("postgres://u:p@secret?hunter@h/d", "there is an @ after the host");
        refused("postgres://u:p@secret?hunter=x@h/d", "there is an @ after the host");
        refused("postgres://u:p@secret:hunter@h/d", "1 to 65535");
        refused("postgres://u:p@secret,hunter@h/d", "several hosts");
        refused("postgres://u:p@[secret@h/d", "has no ]");
        refused("postgres://u:p@[secret]hunter@h/d", "after the ]");
        refused("postgres://u:secret%@h/d", "two hexadecimal digits");
        refused("postgres://u:secret%zz@h/d", "two hexadecimal digits");
        refused("postgres://u:12/x?secret=hunter@h", "there is an @ after the host");
        check("postgres://u:a?b=c&d@h/d", "postgres u|a?b=c&d|h|0|d"); /* as libpq */
        check("postgres://u:a:b@h/d", "postgres u|a:b|h|0|d");
        check("postgres://h/d?user=a@b", "postgres a@b|-|h|0|d");
}

static void check_redacted(const char *url, const char *expected)
{
        dal_dsn *dsn = resolve(url);

        assert_string_equal(dal_dsn_redacted(dsn), expected);
        dal_dsn_free(dsn);
}

static void test_dsn__redacted_has_all_but_the_password(void **state)
{
        (void)state;
        check_redacted("postgresql://u:secret@h:5/d?sslmode=disable&password=word",
                       "postgresql://u@h:5/d?sslmode=off");
        check_redacted("postgres://a%40b@[::1]/x%20y", "postgres://a%40b@[::1]/x%20y");
        check_redacted("postgres://%2Frun/d", "postgres:///d?host=/run");
        check_redacted("mysql://h?socket=&user=u", "mysql://u@h?socket=");
        check_redacted("sqlite:a%20b.db?mode=ro", "sqlite:a%20b.db?mode=ro");
        check_redacted("sqlite:/x/y.db", "sqlite:///x/y.db");
        check_redacted("sqlite::memory:", "sqlite::memory:");
        check_redacted("mysql://h/caf\xC3\xA9", "mysql://h/caf\xC3\xA9");
        check_redacted("mysql://h/caf%E9", "mysql://h/caf%E9");
        check_redacted("sqlite:%2F%2Fx", "sqlite:////x");
        check_redacted("sqlite:a@b.db", "sqlite:a%40b.db");
        check_redacted("postgres://h/d?schema=a%26b", "postgres://h/d?schema=a%26b");
}

static void test_dsn__free_wipes_the_password(void **state)
{
        dal_dsn *dsn = parse("postgres://u:0123456789@h");
        size_t before = mem_n_wiped;

        (void)state;
        dal_dsn_free(dsn);
        assert_true(mem_n_wiped >= before + 10);
}

/* Every allocation fails once: an error, nothing leaked (the sanitizer's word), and the next try works. */
static void test_dsn__no_memory_is_reported(void **state)
{
        const char *url =
                "mysql://u:pw@h:1/d?sslmode=disable&password=q&sslrootcert=/ca&server_public_key=/k";
        dal_dsn *base = parse(url);
        size_t n;

        (void)state;
        for (n = 1; n < 100; n++) {
                dal_error err = DAL_ERROR_INIT;
                dal_dsn *dsn = NULL;
                dal_status status;

                mem_fault_at = n;
                status = dal_dsn_parse(url, &dsn, &err);
                mem_fault_at = 0;
                if (status == DAL_OK) {
                        dal_dsn_free(dsn);
                        break;
                }
                assert_int_equal(status, DAL_ERR_NOMEM);
                assert_null(dsn);
        }
        assert_in_range(n, 10, 50);
        for (n = 1; n < 100; n++) {
                dal_error err = DAL_ERROR_INIT;
                dal_dsn *dsn = parse("mysql://h2/x?socket="), *out = NULL;
                dal_status status;

                mem_fault_at = n;
                status = dal_driver_resolve_dsn(&drivers[2], dsn, base, "y", &out, &err);
                mem_fault_at = 0;
                dal_dsn_free(dsn);
                dal_dsn_free(out);
                if (status == DAL_OK)
                        break;
                assert_int_equal(status, DAL_ERR_NOMEM);
        }
        assert_in_range(n, 8, 50);
        dal_dsn_free(base);
        base = parse("sqlite:dir/a.db");
        for (n = 1; n < 100; n++) {
                dal_dsn *out = NULL;
                dal_status status;

                mem_fault_at = n;
                status = dal_driver_resolve_dsn(&drivers[3], base, base, "b.db", &out, NULL);
                mem_fault_at = 0;
                dal_dsn_free(out);
                if (status == DAL_OK)
                        break;
                assert_int_equal(status, DAL_ERR_NOMEM);
        }
        assert_in_range(n, 6, 20);
        dal_dsn_free(base);
}

/* Random URLs: no secret in an error, and what is accepted reads the same again from its redacted form. */
static void test_dsn__random_urls_round_trip(void **state)
{
        static const char *const pieces[] = {
                "/",       "//",   ":",     "@",        "?",     "&",     "=",       "%",        "%41",
                "%2F",     "%40",  "%3A",   "%C3",      "[",     "]",     "::1",     ",",        "a",
                "db",      "5432", "user=", "mode=",    "host=", "port=", "dbname=", "sslmode=", "off",
                "require", ".",    " ",     "\xC3\xA9", "\xFF",  "\n",    "+"};
        static const char *const heads[] = {
                "postgres://", "postgres://u:SECRET@", "mysql://h", "sqlite:", "fake:", "mysql:u:SECRET@"};
        uint64_t random = 1;
        size_t n_good = 0;

        (void)state;
        for (int round = 0; round < 60000; round++) {
                char url[160];
                size_t n_pieces;
                dal_error err = DAL_ERROR_INIT;
                dal_dsn *dsn, *again;

                strcpy(url, heads[round % 6]);
                random = random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
                n_pieces = (random >> 40) % 9;
                for (size_t i = 0; i < n_pieces; i++) {
                        random = random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
                        strcat(url, pieces[(random >> 33) % (sizeof pieces / sizeof pieces[0])]);
                }
                if (dal_dsn_parse(url, &dsn, NULL) == DAL_OK) {
                        assert_null(strstr(dal_dsn_redacted(dsn), "SECRET"));
                        dal_dsn_free(dsn);
                }
                if (read_url(url, NULL, NULL, &dsn, &err)) {
                        assert_int_equal(err.status, DAL_ERR_ARG);
                        assert_null(strstr(err.message, "SECRET"));
                        continue;
                }
                n_good++;
                assert_null(strstr(dal_dsn_redacted(dsn), "SECRET"));
                again = resolve(dal_dsn_redacted(dsn));
                assert_string_equal(dal_dsn_redacted(again), dal_dsn_redacted(dsn));
                assert_string_equal(dal_dsn_host(again), dal_dsn_host(dsn));
                assert_string_equal(dal_dsn_user(again), dal_dsn_user(dsn));
                assert_string_equal(dal_dsn_dbname(again), dal_dsn_dbname(dsn));
                if (strcmp(dal_dsn_scheme(dsn), "sqlite") == 0)
                        assert_string_equal(dal_dsn_path(again), dal_dsn_path(dsn));
                assert_int_equal(dal_dsn_port(again), dal_dsn_port(dsn));
                assert_int_equal(dal_dsn_tls_mode(again), dal_dsn_tls_mode(dsn));
                assert_int_equal(dal_dsn_is_local(again), dal_dsn_is_local(dsn));
                dal_dsn_free(again);
                dal_dsn_free(dsn);
        }
        assert_true(n_good > 5000); /* or the loop would prove nothing */
}

int main(void)
{
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_dsn__parts_of_a_url),
                cmocka_unit_test(test_dsn__as_libpq_reads_it),
                cmocka_unit_test(test_dsn__percent_encoding_in_every_part),
                cmocka_unit_test(test_dsn__later_keys_win),
                cmocka_unit_test(test_dsn__ports),
                cmocka_unit_test(test_dsn__several_hosts_are_refused),
                cmocka_unit_test(test_dsn__schemes),
                cmocka_unit_test(test_dsn__sqlite_files),
                cmocka_unit_test(test_dsn__keys),
                cmocka_unit_test(test_dsn__tls_is_on_off_the_machine),
                cmocka_unit_test(test_dsn__broken_passwords_stay_secret),
                cmocka_unit_test(test_dsn__redacted_has_all_but_the_password),
                cmocka_unit_test(test_dsn__free_wipes_the_password),
                cmocka_unit_test(test_dsn__no_memory_is_reported),
                cmocka_unit_test(test_dsn__random_urls_round_trip),
        };

        return cmocka_run_group_tests(tests, dsn_rig_set_up, NULL);
}
