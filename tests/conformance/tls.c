/* SPDX-License-Identifier: MIT */
/* tls ENGINE: encryption is verified, and never dropped in silence. */

#include <stdlib.h>

#include "conf.h"

static const char *variable(const char *name)
{
        const char *value = getenv(name);

        if (!value || !value[0]) {
                fprintf(stderr,
                        "%s is not set; load it with: tests/containers/servers up && . build/servers.env\n",
                        name);
                exit(1);
        }
        return value;
}

struct keys {
        const char *host, *mode, *roots;
};

/* Tries the server of a variable with other keys; fills c->err. */
static dal_status try_keys(struct conf *c, const char *url, const struct keys *keys, bool *tls_out)
{
        static const char *const names[] = {"host", "sslmode", "sslrootcert"};
        const char *const values[] = {keys->host, keys->mode, keys->roots};
        char now[1024], next[1024];
        dal_dsn *dsn = NULL;
        dal_conn *conn = NULL;
        dal_status s;

        snprintf(now, sizeof now, "%s", url);
        for (size_t i = 0; i < 3; i++) {
                if (!values[i])
                        continue;
                conf_url_with(next, sizeof next, now, names[i], values[i]);
                memcpy(now, next, sizeof now);
        }
        s = dal_dsn_parse(now, &dsn, &c->err);
        if (s == DAL_OK)
                s = dal_conn_open(c->driver, dsn, NULL, SOON, &conn, &c->err);
        if (s == DAL_OK && tls_out)
                *tls_out = dal_conn_info(conn)->tls;
        if (s == DAL_OK) {
                assert_int_equal(dal_conn_exec_dynamic(conn, "SELECT 1", DAL_NO_PARAMS, SOON, NULL, &c->err),
                                 DAL_OK);
        }
        dal_conn_close(conn);
        dal_dsn_free(dsn);
        return s;
}

static void refused(struct conf *c, const char *url, const struct keys *keys)
{
        dal_status s = try_keys(c, url, keys, NULL);

        FAILS(s, CONNECT_FAILED);
        assert_false(c->err.retry_tx && c->err.status == DAL_OK);
        assert_true(c->err.not_sent);
}

static const char *own_url(struct conf *c)
{
        return variable(c->q->env);
}

static const char *plain_url(struct conf *c)
{
        char name[64];

        snprintf(name, sizeof name, "%s_PLAIN", c->q->env);
        return variable(name);
}

static void tls__verify_full_passes(struct conf *c)
{
        bool tls = false;

        OK(try_keys(c, own_url(c), &(struct keys){"localhost", "verify-full", variable("DAL_TEST_TLS_CA")},
                    &tls));
        assert_true(tls);
}

static void tls__verify_full_refuses_another_name(struct conf *c)
{
        refused(c, own_url(c), &(struct keys){"127.0.0.1", "verify-full", variable("DAL_TEST_TLS_CA")});
}

static void tls__verify_ca_takes_another_name(struct conf *c)
{
        bool tls = false;

        OK(try_keys(c, own_url(c), &(struct keys){"127.0.0.1", "verify-ca", variable("DAL_TEST_TLS_CA")},
                    &tls));
        assert_true(tls);
}

/* The server's certificate is signed by nobody that the machine's own roots know. */
static void tls__unknown_issuer_refused(struct conf *c)
{
        refused(c, own_url(c), &(struct keys){"localhost", "verify-full", NULL});
        refused(c, own_url(c), &(struct keys){"localhost", "verify-ca", NULL});
}

static void tls__require_encrypts_without_roots(struct conf *c)
{
        bool tls = false;

        OK(try_keys(c, own_url(c), &(struct keys){"localhost", "require", NULL}, &tls));
        assert_true(tls);
}

static void tls__missing_roots_file_refused(struct conf *c)
{
        dal_status s =
                try_keys(c, own_url(c), &(struct keys){"localhost", "verify-full", "/no/such/ca.pem"}, NULL);

        assert_int_not_equal(s, DAL_OK);
        assert_non_null(strstr(c->err.message, "/no/such/ca.pem"));
}

static void tls__plaintext_server_refused(struct conf *c)
{
        static const char *const modes[] = {"require", "verify-ca", "verify-full"};

        for (size_t i = 0; i < 3; i++)
                refused(c, plain_url(c), &(struct keys){"localhost", modes[i], variable("DAL_TEST_TLS_CA")});
}

static void tls__off_is_off(struct conf *c)
{
        bool tls = true;

        OK(try_keys(c, plain_url(c), &(struct keys){NULL, "off", NULL}, &tls));
        assert_false(tls);
}

static void tls__unknown_mode_refused(struct conf *c)
{
        assert_int_equal(try_keys(c, own_url(c), &(struct keys){NULL, "prefer", NULL}, NULL), DAL_ERR_ARG);
        assert_non_null(strstr(c->err.message, "verify-full"));
}

int main(int argc, char **argv)
{
        static const struct conf_case cases[] = {
                CONF_CASE(tls__verify_full_passes),
                CONF_CASE(tls__verify_full_refuses_another_name),
                CONF_CASE(tls__verify_ca_takes_another_name),
                CONF_CASE(tls__unknown_issuer_refused),
                CONF_CASE(tls__require_encrypts_without_roots),
                CONF_CASE(tls__missing_roots_file_refused),
                CONF_CASE(tls__plaintext_server_refused),
                CONF_CASE(tls__off_is_off),
                CONF_CASE(tls__unknown_mode_refused),
                {NULL, NULL},
        };
        static const struct conf_case *const topics[] = {cases, NULL};

        return conf_main(argc, argv, "tls postgres|mysql|mariadb [FILTER]", topics);
}
