/* SPDX-License-Identifier: MIT */
/* Database URLs: what is read of them, what is shown of them, and what errors say. */

#include "fuzz.h"

#include <dal/driver.h>
#include <dal/drivers/fake.h>

/* Stands for a password where the input has the byte 0x01, which no URL may have as it is. */
#define MARK   0x01
#define SECRET "Hx7secretQ9"

static char *with_secret(const uint8_t *data, size_t size)
{
        const uint8_t *mark = size ? memchr(data, MARK, size) : NULL;
        size_t before = mark ? (size_t)(mark - data) : size, n = mark ? sizeof SECRET - 1 : 0;
        char *url = malloc(size + sizeof SECRET);

        FUZZ_CHECK(url);
        if (size) /* so that it can be looked for */
                memcpy(url, data, size);
        url[size] = '\0';
        if (strstr(url, SECRET)) { /* it is the mark's alone */
                free(url);
                return NULL;
        }
        if (before)
                memcpy(url, data, before);
        memcpy(url + before, SECRET, n);
        if (mark)
                memcpy(url + before + n, mark + 1, size - before - 1);
        url[mark ? size - 1 + n : size] = '\0';
        return url;
}

static bool shows(const char *text)
{
        return text && strstr(text, SECRET);
}

static bool is_same(const char *a, const char *b)
{
        return a && b ? strcmp(a, b) == 0 : a == b;
}

/* Where the secret is the password and nothing else, it is not shown. */
static void check_redacted(const dal_dsn *dsn)
{
        const char *text = dal_dsn_redacted(dsn);

        FUZZ_CHECK(text);
        if (!shows(dal_dsn_password(dsn)) || shows(dal_dsn_user(dsn)) || shows(dal_dsn_host(dsn)) ||
            shows(dal_dsn_path(dsn)) || shows(dal_dsn_scheme(dsn)))
                return;
        FUZZ_CHECK(!shows(text));
}

/* The redacted form of a resolved URL is a URL for the same. */
static void check_same(const dal_dsn *dsn)
{
        static const char *const keys[] = {"sslmode", "sslrootcert",      "sslcert",
                                           "sslkey",  "application_name", "schema",
                                           "mode",    "socket",           "statements"};
        dal_error err = DAL_ERROR_INIT;
        dal_dsn *raw = NULL, *again = NULL;

        FUZZ_CHECK(dal_dsn_parse(dal_dsn_redacted(dsn), &raw, &err) == DAL_OK);
        FUZZ_CHECK(dal_driver_resolve_dsn(dal_driver_fake(), raw, NULL, NULL, &again, &err) == DAL_OK);
        FUZZ_CHECK(!dal_dsn_password(again));
        FUZZ_CHECK(is_same(dal_dsn_host(dsn), dal_dsn_host(again)));
        FUZZ_CHECK(is_same(dal_dsn_user(dsn), dal_dsn_user(again)));
        FUZZ_CHECK(is_same(dal_dsn_path(dsn), dal_dsn_path(again)));
        FUZZ_CHECK(is_same(dal_dsn_redacted(dsn), dal_dsn_redacted(again)));
        FUZZ_CHECK(dal_dsn_port(dsn) == dal_dsn_port(again));
        FUZZ_CHECK(dal_dsn_tls_mode(dsn) == dal_dsn_tls_mode(again));
        FUZZ_CHECK(dal_dsn_is_local(dsn) == dal_dsn_is_local(again));
        for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
                FUZZ_CHECK(is_same(dal_dsn_get(dsn, keys[i]), dal_dsn_get(again, keys[i])));
        dal_dsn_free(raw);
        dal_dsn_free(again);
}

static void check_failure(const dal_error *err)
{
        fuzz_check_error(err);
        FUZZ_CHECK(!shows(err->message));
}

/* A host that is not this machine is never reached without TLS unless the URL says so. */
static void check_tls(const dal_dsn *dsn)
{
        const char *mode = dal_dsn_get(dsn, "sslmode");

        if (dal_dsn_tls_mode(dsn) == DAL_TLS_OFF)
                FUZZ_CHECK(dal_dsn_is_local(dsn) || (mode && strcmp(mode, "off") == 0));
        else if (!mode)
                FUZZ_CHECK(dal_dsn_tls_mode(dsn) == DAL_TLS_VERIFY_FULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        dal_error err = DAL_ERROR_INIT;
        dal_dsn *dsn = NULL, *resolved = NULL;
        char *url = with_secret(data, size);

        if (!url)
                return 0;
        if (dal_dsn_parse(url, &dsn, &err) != DAL_OK) {
                check_failure(&err);
                free(url);
                return 0;
        }
        free(url);
        check_redacted(dsn);
        check_tls(dsn);
        if (dal_driver_resolve_dsn(dal_driver_fake(), dsn, NULL, NULL, &resolved, &err) == DAL_OK) {
                check_redacted(resolved);
                check_same(resolved);
                dal_dsn_free(resolved);
        } else {
                fuzz_check_error(&err);
        }
        dal_dsn_free(dsn);
        return 0;
}
