/* SPDX-License-Identifier: MIT */
/* What can be wrong before the first statement, and what an open connection tells. */

#include "conf.h"
#include "proxy.h"

static dal_status try_url(struct conf *c, const char *url)
{
        dal_dsn *dsn = NULL;
        dal_conn *conn = NULL;
        dal_status s = dal_dsn_parse(url, &dsn, &c->err);

        if (s == DAL_OK)
                s = dal_conn_open(c->driver, dsn, NULL, dal_clock_after_ms(5000), &conn, &c->err);
        dal_conn_close(conn);
        dal_dsn_free(dsn);
        return s;
}

static void connect__tells_the_facts(struct conf *c)
{
        const dal_driver_info *info = dal_conn_info(c->conn);

        assert_string_equal(info->engine, c->q->engine);
        assert_int_equal(info->dialect, c->q->dialect);
        assert_true(info->version[0]);
        assert_true(info->client[0]);
        assert_ptr_equal(dal_conn_driver(c->conn), c->driver);
        assert_int_equal(dal_conn_tx_state(c->conn), DAL_TX_STATE_IDLE);
        if (c->q->has_login)
                assert_true(info->session_id != 0);
        if (c->q->has_port) {
                dal_conn *other = conf_open(c, NULL);

                assert_true(info->server != 0);
                assert_true(dal_conn_info(other)->server == info->server);
                assert_true(dal_conn_info(other)->session_id != info->session_id);
                dal_conn_close(other);
        }
        OK(dal_conn_ping(c->conn, SOON, &c->err));
}

static void connect__driver_table_is_complete(struct conf *c)
{
        dal_driver broken = *c->driver;
        const dal_driver *drivers[1] = {c->driver};
        const char *scheme = dal_dsn_scheme(c->dsn);

        OK(dal_driver_check(c->driver, &c->err));
        broken.fetch = NULL;
        FAILS(dal_driver_check(&broken, &c->err), ARGUMENT);
        assert_non_null(strstr(c->err.message, "fetch"));
        assert_ptr_equal(dal_driver_find(drivers, 1, scheme, &c->err), c->driver);
        assert_null(dal_driver_find(drivers, 1, "oracle", &c->err));
        assert_non_null(strstr(c->err.message, "oracle"));
}

static void connect__unknown_scheme(struct conf *c)
{
        const dal_driver *drivers[1] = {c->driver};
        dal_cluster *cluster = NULL;

        assert_int_equal(dal_cluster_open("oracle://localhost/shop", drivers, 1, NULL, &cluster, &c->err),
                         DAL_ERR_ARG);
        assert_null(cluster);
        assert_non_null(strstr(c->err.message, "oracle"));
}

static void connect__unknown_key(struct conf *c)
{
        char url[1200];

        conf_url_with(url, sizeof url, c->url, "nosuchkey", "1");
        assert_int_equal(try_url(c, url), DAL_ERR_ARG);
        assert_non_null(strstr(c->err.message, "nosuchkey"));
}

/* What one URL says twice over must not be reached by the rules of the other. */
static void connect__socket_and_host(struct conf *c)
{
        char url[1200], with_both[1300];

        if (!strstr(c->driver->keys, "socket"))
                return;
        conf_url_with(url, sizeof url, c->url, "host", "no-such-host.invalid");
        conf_url_with(with_both, sizeof with_both, url, "socket", "/no/such/socket");
        FAILS(try_url(c, with_both), ARGUMENT);
        assert_non_null(strstr(c->err.message, "both a socket and another machine's host"));
        assert_null(strstr(c->err.message, dal_dsn_password(c->dsn)));
}

static void connect__without_a_server_there_is_no_host(struct conf *c)
{
        static const char *const keys[] = {"host", "user", "password", "sslmode"};
        char url[1200];

        if (!(c->driver->caps & DAL_CAP_EMBEDDED))
                return;
        for (size_t i = 0; i < 4; i++) {
                conf_url_with(url, sizeof url, c->url, keys[i], i == 3 ? "require" : "9431-secret");
                assert_int_equal(try_url(c, url), DAL_ERR_ARG);
                assert_null(strstr(c->err.message, "9431"));
        }
        conf_url_with(url, sizeof url, c->url, "sslmode", "off");
        OK(try_url(c, url));
}

static void connect__wrong_password(struct conf *c)
{
        char url[1200];

        if (!c->q->has_login)
                return; /* there is nobody to ask for a password */
        conf_url_with(url, sizeof url, c->url, "password", "wrong-9431-secret");
        FAILS(try_url(c, url), AUTH);
        assert_null(strstr(c->err.message, "9431"));
        assert_null(strstr(c->err.message, dal_dsn_password(c->dsn)));
        assert_true(c->err.not_sent);
        assert_false(c->err.retry_tx);
}

static void connect__missing_database(struct conf *c)
{
        char url[1200];

        if (c->server)
                return; /* the fake server has no databases */
        if (c->q->env)
                conf_url_with(url, sizeof url, c->server_url, "dbname", "conf_no_such_database");
        else
                snprintf(url, sizeof url, "sqlite:%s/no/such/file.db", c->dir);
        assert_int_equal(try_url(c, url), DAL_ERR_NOT_FOUND);
        assert_int_equal(c->err.error_class, DAL_CLASS_UNDEFINED_OBJECT);
        assert_non_null(strstr(c->err.message, c->q->env ? "conf_no_such_database" : "file.db"));
}

static void connect__closed_port(struct conf *c)
{
        char url[1200];

        if (!c->q->has_port)
                return;
        conf_url_with(url, sizeof url, c->url, "port", "1"); /* tcpmux: nobody listens */
        FAILS(try_url(c, url), CONNECT_FAILED);
        assert_true(c->err.not_sent);
        assert_null(strstr(c->err.message, dal_dsn_password(c->dsn)));
}

static void connect__unknown_host(struct conf *c)
{
        char url[1200];

        if (!c->q->has_port)
                return;
        /* Source: RFC 6761, section 6.4: names under .invalid do not exist. */
        conf_url_with(url, sizeof url, c->url, "host", "no-such-host.invalid");
        FAILS(try_url(c, url), CONNECT_FAILED);
        assert_non_null(strstr(c->err.message, "no-such-host.invalid"));
}

/* An address that swallows everything: only the deadline ends it. */
static void connect__deadline_while_connecting(struct conf *c)
{
        char url[1200], with_tls_off[1300];
        dal_dsn *dsn = NULL;
        dal_conn *conn = NULL;
        int64_t begun = dal_clock_now(), took_ms;
        dal_status s;

        if (!c->q->has_port)
                return;
        /* Source: RFC 5737: 192.0.2.0/24 is for documentation; no host has such an address. */
        conf_url_with(url, sizeof url, c->url, "host", "192.0.2.1");
        conf_url_with(with_tls_off, sizeof with_tls_off, url, "sslmode", "off");
        OK(dal_dsn_parse(with_tls_off, &dsn, &c->err));
        s = dal_conn_open(c->driver, dsn, NULL, dal_clock_after_ms(500), &conn, &c->err);
        took_ms = (dal_clock_now() - begun) / 1000000;
        /* A network without a way out refuses at once. */
        if (s != DAL_ERR_CONN)
                FAILS(s, DEADLINE);
        assert_true(took_ms < 1500);
        dal_dsn_free(dsn);
}

/*
 * A peer that takes everything and never answers: neither the sign of life that the pool asks for, nor a new
 * connect, waits for longer than it may.
 */
static void connect__a_pool_does_not_wait_for_a_black_hole(struct conf *c)
{
        dal_pool_options options = DAL_POOL_OPTIONS_INIT;
        struct conf_proxy *proxy;
        dal_pool *pool = NULL;
        dal_conn *conn = NULL;
        dal_dsn *dsn = NULL;
        char url[1200];
        int64_t begun, took_ms;

        if (!c->q->has_port)
                return;
        proxy = conf_proxy_new(c, url, sizeof url);
        OK(dal_dsn_parse(url, &dsn, &c->err));
        options.max_size = 2;
        options.validate_after_ms = 1;
        OK(dal_pool_new(c->driver, dsn, &options, &pool, &c->err));
        dal_dsn_free(dsn);
        OK(dal_pool_acquire(pool, false, SOON, &conn, &c->err));
        assert_int_equal(conf_number(c, conn, &conf_count_accounts, DAL_NO_PARAMS), 0);
        dal_pool_release(pool, conn);
        conf_proxy_freeze(proxy);
        conf_sleep_ms(20); /* now it is idle for longer than validate_after_ms */
        begun = dal_clock_now();
        FAILS(dal_pool_acquire(pool, false, dal_clock_after_ms(400), &conn, &c->err), DEADLINE);
        took_ms = (dal_clock_now() - begun) / 1000000;
        assert_in_range(took_ms, 390, 1500);
        assert_true(c->err.not_sent);
        assert_int_equal(dal_pool_get_stats(pool).idle, 0);
        assert_int_equal(dal_pool_get_stats(pool).leased, 0);
        dal_pool_close(pool);
        OK(dal_pool_free(pool, &c->err));
        conf_proxy_free(proxy);
}

static dal_status credentials(void *arg, const dal_dsn *dsn, char *user, size_t user_size, char *password,
                              size_t password_size, dal_error *err)
{
        int *n_calls = arg;

        (void)err;
        ++*n_calls;
        snprintf(user, user_size, "%s", dal_dsn_user(dsn));
        snprintf(password, password_size, "%s", *n_calls == 1 ? "wrong-9431-secret" : dal_dsn_password(dsn));
        return DAL_OK;
}

/* Asked anew for each connect, so that a password can change under a running service. */
static void connect__credentials_by_callback(struct conf *c)
{
        dal_conn_options options = DAL_CONN_OPTIONS_INIT;
        dal_conn *conn = NULL;
        int n_calls = 0;

        if (!c->q->has_login)
                return;
        options.credentials = credentials;
        options.credentials_arg = &n_calls;
        FAILS(dal_conn_open(c->driver, c->dsn, &options, SOON, &conn, &c->err), AUTH);
        assert_null(strstr(c->err.message, "9431"));
        OK(dal_conn_open(c->driver, c->dsn, &options, SOON, &conn, &c->err));
        assert_int_equal(n_calls, 2);
        dal_conn_close(conn);
}

static void connect__service_is_shown(struct conf *c)
{
        static const dal_stmt who = DAL_STMT(
                "who", "SELECT 'fake'",
                .postgres = "SELECT application_name FROM pg_stat_activity WHERE pid = pg_backend_pid()");
        dal_rows *rows = NULL;
        char name[64] = "";

        if (c->q->dialect != DAL_DIALECT_postgres)
                return; /* the MySQL family shows it in performance_schema only, which may be off */
        OK(dal_conn_query(c->conn, &who, DAL_NO_PARAMS, SOON, &rows, &c->err));
        OK(dal_rows_first(rows, &c->err));
        OK(dal_rows_copy_text(rows, 0, name, sizeof name, &c->err));
        assert_string_equal(name, "conformance");
        dal_rows_close(rows);
}

static void connect__too_long_service_refused(struct conf *c)
{
        dal_conn_options options = DAL_CONN_OPTIONS_INIT;
        dal_conn *conn = NULL;

        options.service = "0123456789012345678901234567890123456789012345678901234567890123456789";
        FAILS(dal_conn_open(c->driver, c->dsn, &options, SOON, &conn, &c->err), ARGUMENT);
        assert_null(conn);
}

const struct conf_case connect_conf[] = {
        CONF_CASE(connect__tells_the_facts),
        CONF_CASE(connect__driver_table_is_complete),
        CONF_CASE(connect__unknown_scheme),
        CONF_CASE(connect__unknown_key),
        CONF_CASE(connect__socket_and_host),
        CONF_CASE(connect__without_a_server_there_is_no_host),
        CONF_CASE(connect__wrong_password),
        CONF_CASE(connect__missing_database),
        CONF_CASE(connect__closed_port),
        CONF_CASE(connect__unknown_host),
        CONF_CASE(connect__deadline_while_connecting),
        CONF_CASE(connect__a_pool_does_not_wait_for_a_black_hole),
        CONF_CASE(connect__credentials_by_callback),
        CONF_CASE(connect__service_is_shown),
        CONF_CASE(connect__too_long_service_refused),
        {NULL, NULL},
};
