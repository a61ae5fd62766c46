/* SPDX-License-Identifier: MIT */
/* Who looks at the server sees who is connected, and which statement of the program is running. */

#include <pthread.h>

#include "manners.h"

/* What a connection of this run says first: the name of the key, one byte, the value. */
static void names__the_service_is_told_to_the_server(struct conf *c)
{
        dal_conn_options options = DAL_CONN_OPTIONS_INIT;
        char through[1200], url[1300], said[64];
        struct conf_proxy *proxy;
        dal_dsn *dsn = NULL;
        dal_conn *conn = NULL;
        size_t key_size, n;

        if (!c->q->service_key)
                return; /* there is no server to tell */
        proxy = conf_proxy_new(c, through, sizeof through);
        conf_url_with(url, sizeof url, through, "sslmode", "off");
        OK(dal_dsn_parse(url, &dsn, &c->err));
        options.service = "order-service";
        OK(dal_conn_open(c->driver, dsn, &options, SOON, &conn, &c->err));
        key_size = strlen(c->q->service_key);
        n = (size_t)snprintf(said, sizeof said, "%s%c%s", c->q->service_key, c->q->service_separator,
                             options.service);
        assert_int_equal(n, key_size + 1 + strlen(options.service));
        assert_int_equal(conf_proxy_heard(proxy, said, n), 1);
        dal_conn_close(conn);
        dal_dsn_free(dsn);
        conf_proxy_free(proxy);
}

/* Cancels are connections, too. */
static void names__the_url_may_name_the_service(struct conf *c)
{
        char through[1200], with_name[1300], url[1400], said[64];
        struct conf_proxy *proxy;
        size_t n;

        if (!c->q->service_key)
                return;
        proxy = conf_proxy_new(c, through, sizeof through);
        conf_url_with(with_name, sizeof with_name, through, "application_name", "order-service");
        conf_url_with(url, sizeof url, with_name, "sslmode", "off");
        {
                dal_dsn *dsn = NULL;
                dal_conn *conn = NULL;

                OK(dal_dsn_parse(url, &dsn, &c->err));
                OK(dal_conn_open(c->driver, dsn, NULL, SOON, &conn, &c->err));
                dal_conn_close(conn);
                dal_dsn_free(dsn);
        }
        n = (size_t)snprintf(said, sizeof said, "%s%corder-service", c->q->service_key,
                             c->q->service_separator);
        assert_int_equal(conf_proxy_heard(proxy, said, n), 1);
        conf_proxy_free(proxy);
}

/* --- Statements ---------------------------------------------------------------------------------------- */

struct sleeper {
        dal_conn *conn;
        dal_status status;
        dal_error err;
};

static void *sleep_long(void *arg)
{
        struct sleeper *s = arg;

        s->status = dal_conn_exec(s->conn, &conf_sleep, DAL_NO_PARAMS, SOON, NULL, &s->err);
        return NULL;
}

static const dal_stmt running = DAL_STMT(
        "running", "SELECT 0 AS nothing",
        .postgres =
                "SELECT COUNT(*) FROM pg_stat_activity WHERE pid = ? AND state = 'active' AND query LIKE ?",
        .mysql = "SELECT COUNT(*) FROM information_schema.processlist WHERE id = ? AND info LIKE ?");

/* Waits until the server says that the session runs a text like this. */
static void wait_for(struct conf *c, uint64_t session_id, const char *pattern)
{
        dal_deadline end = dal_clock_after_ms(5000);

        while (conf_number(c, c->conn, &running,
                           DAL_PARAMS(dal_int64((int64_t)session_id), dal_text(pattern))) != 1) {
                if (dal_clock_passed(end))
                        fail_msg("the server shows no statement like %s", pattern);
                conf_sleep_ms(10);
        }
}

/* The same text each time: prepared once, and one line in the server's statistics. */
static void names__a_running_statement_shows_its_name(struct conf *c)
{
        struct sleeper s = {.status = DAL_OK};
        uint64_t n_prepared;
        pthread_t thread;

        if (!c->q->has_port)
                return; /* nobody looks from outside */
        s.conn = conf_open(c, NULL);
        for (int i = 0; i < 2; i++) {
                n_prepared = dal_conn_get_stats(s.conn).n_prepared;
                assert_int_equal(pthread_create(&thread, NULL, sleep_long, &s), 0);
                wait_for(c, dal_conn_info(s.conn)->session_id, "/*sleep*/ SELECT %");
                OK(dal_conn_cancel(s.conn, SOON, &c->err));
                pthread_join(thread, NULL);
                c->err = s.err;
                FAILS(s.status, CANCELED);
        }
        assert_int_equal(dal_conn_get_stats(s.conn).n_prepared, n_prepared);
        dal_conn_close(s.conn);
}

const struct conf_case names_manners[] = {
        CONF_CASE(names__the_service_is_told_to_the_server),
        CONF_CASE(names__the_url_may_name_the_service),
        CONF_CASE(names__a_running_statement_shows_its_name),
        {NULL, NULL},
};
