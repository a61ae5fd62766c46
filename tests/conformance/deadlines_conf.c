/* SPDX-License-Identifier: MIT */
/* The caller's deadline holds whatever the server does, and what was begun is stopped, not left running. */

#include <unistd.h>

#include "conf.h"
#include "proxy.h"

/* What a call may take that ought to end after some 300 ms, on a machine with other things to do. */
enum {
        LEAST_MS = 250,
        MOST_MS = 1500
};

static int64_t ms_since(int64_t begun)
{
        return (dal_clock_now() - begun) / 1000000;
}

static const dal_stmt write_slowly = DAL_STMT(
        "write_slowly", "SELECT 'no such thing here'",
        .sqlite = "INSERT INTO conf_account (id, balance) SELECT 1, n FROM (WITH RECURSIVE r (n) AS (SELECT "
                  "1 UNION ALL "
                  "SELECT n + 1 FROM r) SELECT COUNT(*) AS n FROM (SELECT n FROM r LIMIT 2000000000))",
        .postgres = "INSERT INTO conf_account (id, balance) SELECT 1, 1 FROM pg_sleep(10)",
        .mysql = "INSERT INTO conf_account (id, balance) SELECT d + 1, SLEEP(1) FROM conf_digit");

/* Not only reads: a write that takes too long is stopped too, and holds no lock on. */
static void deadlines__a_long_write_is_stopped_and_undone(struct conf *c)
{
        dal_conn *other;
        int64_t begun;

        if (c->server)
                return; /* the fake server's slow statement writes nothing */
        other = conf_open(c, NULL);
        OK(dal_conn_begin(other, DAL_ISOLATION_DEFAULT, false, SOON, &c->err));
        OK(dal_conn_exec(other, &conf_add_account, DAL_PARAMS(dal_int64(500), dal_int64(1)), SOON, NULL,
                         &c->err));
        begun = dal_clock_now();
        FAILS(dal_conn_exec(other, &write_slowly, DAL_NO_PARAMS, dal_clock_after_ms(300), NULL, &c->err),
              DEADLINE);
        assert_in_range(ms_since(begun), LEAST_MS, MOST_MS);
        dal_conn_rollback(other, SOON, NULL);
        begun = dal_clock_now();
        OK(dal_conn_exec(c->conn, &conf_add_account, DAL_PARAMS(dal_int64(1), dal_int64(7)), SOON, NULL,
                         &c->err));
        assert_true(ms_since(begun) < 5000); /* the write would have had its lock for ten seconds */
        assert_int_equal(conf_number(c, c->conn, &conf_count_accounts, DAL_NO_PARAMS), 1);
        dal_conn_close(other);
}

static dal_conn *open_through(struct conf *c, struct conf_proxy **proxy)
{
        char url[1200];
        dal_dsn *dsn = NULL;
        dal_conn *conn = NULL;

        *proxy = conf_proxy_new(c, url, sizeof url);
        OK(dal_dsn_parse(url, &dsn, &c->err));
        OK(dal_conn_open(c->driver, dsn, NULL, SOON, &conn, &c->err));
        dal_dsn_free(dsn);
        return conn;
}

/* An answer that may still come would be taken for the next statement's: such a connection is never used again. */
static void deadlines__a_server_that_falls_silent_costs_the_connection(struct conf *c)
{
        struct conf_proxy *proxy;
        dal_conn *conn;
        int64_t begun;

        if (!c->q->has_port)
                return; /* nobody between us */
        conn = open_through(c, &proxy);
        assert_int_equal(conf_number(c, conn, &conf_count_accounts, DAL_NO_PARAMS), 0);
        conf_proxy_freeze(proxy);
        begun = dal_clock_now();
        FAILS(dal_conn_exec(conn, &conf_count_accounts, DAL_NO_PARAMS, dal_clock_after_ms(300), NULL,
                            &c->err),
              DEADLINE);
        assert_in_range(ms_since(begun), LEAST_MS, MOST_MS);
        assert_true(c->err.conn_gone);
        begun = dal_clock_now();
        FAILS(dal_conn_exec(conn, &conf_count_accounts, DAL_NO_PARAMS, SOON, NULL, &c->err), CONNECTION_LOST);
        assert_int_equal(dal_conn_tx_state(conn), DAL_TX_STATE_UNKNOWN);
        dal_conn_close(conn);
        assert_true(ms_since(begun) < MOST_MS);
        conf_proxy_free(proxy);
}

/* What is to be stopped is stopped over another connection: where none can be had the deadline is still the deadline. */
static void deadlines__a_stop_that_can_not_be_done_is_no_lost_connection(struct conf *c)
{
        for (int way = 0; way < 3 && c->q->has_port; way++) {
                struct conf_proxy *proxy;
                dal_conn *conn = open_through(c, &proxy);
                int64_t begun;

                if (way == 2)
                        conf_proxy_hold_new(proxy);
                else
                        conf_proxy_refuse(proxy, way == 1);
                begun = dal_clock_now();
                FAILS(dal_conn_exec(conn, &conf_sleep, DAL_NO_PARAMS, dal_clock_after_ms(300), NULL, &c->err),
                      DEADLINE);
                assert_in_range(ms_since(begun), LEAST_MS, MOST_MS);
                if (c->err.conn_gone)
                        FAILS(dal_conn_ping(conn, SOON, &c->err), CONNECTION_LOST);
                else
                        OK(dal_conn_ping(conn, SOON, &c->err));
                dal_conn_close(conn);
                conf_proxy_free(proxy);
        }
}

/* Not SLEEP(): that looks now and then whether its client is there. */
static const dal_stmt count_long = DAL_STMT("count_long", "SELECT 'no such thing here'",
                                            .mysql = "SELECT BENCHMARK(100000000, SHA2('a', 256))");

/* Runs a command of the quirks table with a name in it; here two connections are room enough, not one. */
static dal_status command(struct conf *c, const char *sql, const char *name)
{
        const char *mark = strchr(sql, '?'), *room = strstr(sql, " 1");
        char text[200];

        assert_true(!room || !room[2]);
        (void)snprintf(text, sizeof text, "%.*s%s%s", (int)(mark - sql), sql, name, mark + 1);
        if (room)
                text[strlen(text) - 1] = '2';
        return dal_conn_script(c->conn, text, SOON, &c->err);
}

static dal_status open_crowded(struct conf *c, const char *name, dal_conn **out)
{
        char named[1200], with_password[1200], url[1200];
        bool by_user = strcmp(c->q->crowd_key, "user") == 0;
        dal_dsn *dsn = NULL;
        dal_status s;

        conf_url_with(named, sizeof named, c->server_url, c->q->crowd_key, name);
        conf_url_with(with_password, sizeof with_password, named, "password", "conf");
        conf_url_with(url, sizeof url, with_password, "dbname", "");
        OK(dal_dsn_parse(by_user ? url : named, &dsn, &c->err));
        *out = NULL;
        s = dal_conn_open(c->driver, dsn, NULL, SOON, out, &c->err);
        dal_dsn_free(dsn);
        return s;
}

/*
 * What is stopped needs a connection for it on some servers, and there is none: the statement must not go on until its
 * own end, for it has a place of those that are wanted.
 */
static void deadlines__a_full_server_gets_rid_of_what_was_given_up(struct conf *c)
{
        dal_conn *counter = NULL, *other = NULL;
        char name[32];
        dal_status s;

        if (!c->q->stop_takes_connection)
                return;
        (void)snprintf(name, sizeof name, "conf_full_%ld", (long)getpid());
        OK(command(c, c->q->crowd_setup, name));
        OK(open_crowded(c, name, &counter));
        OK(open_crowded(c, name, &other));
        FAILS(dal_conn_exec(counter, &count_long, DAL_NO_PARAMS, dal_clock_after_ms(300), NULL, &c->err),
              DEADLINE);
        dal_conn_close(counter);
        conf_sleep_ms(300); /* so long the server is full for whoever comes to stop it */
        dal_conn_close(other);
        other = NULL;
        s = DAL_ERR_EXHAUSTED;
        for (int i = 0; i < 80 && s; i++) {
                conf_sleep_ms(100);
                s = open_crowded(c, name, &counter);
                s = s ? s : open_crowded(c, name, &other);
                dal_conn_close(counter);
                dal_conn_close(other);
                other = NULL;
        }
        OK(s);
        for (int i = 0; i < 100 && command(c, c->q->crowd_teardown, name);
             i++) /* a session ends a moment later */
                conf_sleep_ms(20);
}

static void deadlines__a_server_that_never_greets_is_given_up(struct conf *c)
{
        struct conf_proxy *proxy;
        char url[1200];
        dal_dsn *dsn = NULL;
        dal_conn *conn = NULL;
        int64_t begun;

        if (!c->q->has_port)
                return;
        proxy = conf_proxy_new(c, url, sizeof url);
        conf_proxy_freeze(proxy);
        OK(dal_dsn_parse(url, &dsn, &c->err));
        begun = dal_clock_now();
        FAILS(dal_conn_open(c->driver, dsn, NULL, dal_clock_after_ms(300), &conn, &c->err), DEADLINE);
        assert_in_range(ms_since(begun), LEAST_MS, MOST_MS);
        assert_true(c->err.not_sent);
        dal_dsn_free(dsn);
        conf_proxy_free(proxy);
}

static dal_status count_in_tx(dal_tx *tx, void *arg, dal_error *err)
{
        ++*(int *)arg;
        return dal_tx_exec(tx, &conf_count_accounts, DAL_NO_PARAMS, NULL, err);
}

/* Waiting for a connection, connecting and running: all of it is one time. */
static void deadlines__one_deadline_holds_for_the_whole_run(struct conf *c)
{
        const dal_driver *drivers[1] = {c->driver};
        dal_tx_options options = DAL_TX_OPTIONS_INIT;
        struct conf_proxy *proxy;
        dal_cluster *cluster = NULL;
        char url[1200];
        int n_calls = 0;
        int64_t begun;
        dal_status s;

        if (!c->q->has_port)
                return;
        proxy = conf_proxy_new(c, url, sizeof url);
        OK(dal_cluster_open(url, drivers, 1, NULL, &cluster, &c->err));
        OK(dal_cluster_run(cluster, dal_key_int64(1), NULL, count_in_tx, &n_calls, &c->err));
        conf_proxy_freeze(proxy);
        options.timeout_ms = 300;
        begun = dal_clock_now();
        s = dal_cluster_run(cluster, dal_key_int64(1), &options, count_in_tx, &n_calls, &c->err);
        assert_int_equal(s, DAL_ERR_TIMEOUT);
        /* The second one has to connect anew. */
        s = dal_cluster_run(cluster, dal_key_int64(1), &options, count_in_tx, &n_calls, &c->err);
        assert_int_equal(s, DAL_ERR_TIMEOUT);
        assert_in_range(ms_since(begun), 2 * LEAST_MS, 2 * MOST_MS);
        OK(dal_cluster_close(cluster, 5000, &c->err));
        conf_proxy_free(proxy);
}

const struct conf_case deadlines_conf[] = {
        CONF_CASE(deadlines__a_long_write_is_stopped_and_undone),
        CONF_CASE(deadlines__a_server_that_falls_silent_costs_the_connection),
        CONF_CASE(deadlines__a_stop_that_can_not_be_done_is_no_lost_connection),
        CONF_CASE(deadlines__a_full_server_gets_rid_of_what_was_given_up),
        CONF_CASE(deadlines__a_server_that_never_greets_is_given_up),
        CONF_CASE(deadlines__one_deadline_holds_for_the_whole_run),
        {NULL, NULL},
};
