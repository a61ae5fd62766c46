/* SPDX-License-Identifier: MIT */
/* A pool with nothing to give says who has it; a server that comes back is used again. */

#include "fault.h"

static dal_pool *new_pool(struct conf *c, uint32_t size)
{
        dal_pool_options options = DAL_POOL_OPTIONS_INIT;
        dal_pool *pool = NULL;

        options.name = "orders";
        options.max_size = size;
        OK(dal_pool_new(c->driver, c->dsn, &options, &pool, &c->err));
        return pool;
}

static void end_pool(struct conf *c, dal_pool *pool)
{
        dal_pool_close(pool);
        OK(dal_pool_drain(pool, SOON, &c->err));
        OK(dal_pool_free(pool, &c->err));
}

static void pool__exhausted_names_the_holders(struct conf *c)
{
        dal_pool *pool = new_pool(c, 2);
        dal_conn *held[2], *third = NULL;
        char here[2][64];
        int64_t begun, took_ms;
        dal_status s;

        snprintf(here[0], sizeof here[0], "pool_fault.c:%d", __LINE__ + 1);
        OK(dal_pool_acquire(pool, false, SOON, &held[0], &c->err));
        snprintf(here[1], sizeof here[1], "pool_fault.c:%d", __LINE__ + 1);
        OK(dal_pool_acquire(pool, true, SOON, &held[1], &c->err));
        begun = dal_clock_now();
        s = dal_pool_acquire(pool, false, dal_clock_after_ms(200), &third, &c->err);
        took_ms = (dal_clock_now() - begun) / 1000000;
        FAILS(s, POOL_EXHAUSTED);
        assert_true(took_ms < 1000);
        assert_null(third);
        assert_true(c->err.not_sent);
        assert_non_null(strstr(c->err.message, "orders"));
        assert_non_null(strstr(c->err.message, here[0]));
        assert_non_null(strstr(c->err.message, here[1]));
        dal_pool_release(pool, held[0]);
        OK(dal_pool_acquire(pool, false, dal_clock_after_ms(2000), &third, &c->err));
        dal_pool_release(pool, third);
        dal_pool_release(pool, held[1]);
        end_pool(c, pool);
}

static void pool__closed_while_in_use_names_the_holders(struct conf *c)
{
        dal_pool *pool = new_pool(c, 2);
        dal_conn *held = NULL, *none = NULL;

        OK(dal_pool_acquire(pool, false, SOON, &held, &c->err));
        dal_pool_close(pool);
        FAILS(dal_pool_acquire(pool, false, SOON, &none, &c->err), STATE);
        assert_int_equal(dal_pool_drain(pool, dal_clock_after_ms(50), &c->err), DAL_ERR_TIMEOUT);
        assert_non_null(strstr(c->err.message, "pool_fault.c:"));
        assert_int_equal(dal_pool_free(pool, &c->err), DAL_ERR_STATE);
        dal_pool_release(pool, held);
        end_pool(c, pool);
}

/* What the server killed is replaced, not lent again. */
static void pool__replaces_what_was_killed(struct conf *c)
{
        dal_pool *pool = new_pool(c, 2);
        dal_conn *conn = NULL;
        uint64_t first, second;

        if (!c->q->has_login && !c->server) {
                end_pool(c, pool);
                return; /* nobody can kill a session of SQLite */
        }
        OK(dal_pool_acquire(pool, false, SOON, &conn, &c->err));
        first = dal_conn_info(conn)->session_id;
        fault_kill(c, first);
        assert_int_not_equal(dal_conn_exec(conn, &conf_count_accounts, DAL_NO_PARAMS, SOON, NULL, &c->err),
                             DAL_OK);
        dal_pool_release(pool, conn);
        OK(dal_pool_acquire(pool, false, SOON, &conn, &c->err));
        second = dal_conn_info(conn)->session_id;
        assert_true(first != second);
        assert_int_equal(conf_number(c, conn, &conf_count_accounts, DAL_NO_PARAMS), 0);
        dal_pool_release(pool, conn);
        assert_int_equal(dal_pool_get_stats(pool).size, 1);
        end_pool(c, pool);
}

/* Down, then up again: no restart needed. Only the fake server goes down on demand. */
static void pool__comes_back_with_the_server(struct conf *c)
{
        dal_pool *pool;
        dal_conn *conn = NULL;
        int64_t begun;

        if (!c->server)
                return;
        pool = new_pool(c, 2);
        OK(dal_pool_acquire(pool, false, SOON, &conn, &c->err));
        dal_pool_release(pool, conn);
        dal_fake_set_down(c->server, true);
        begun = dal_clock_now();
        for (int i = 0; i < 3; i++) {
                dal_status s = dal_pool_acquire(pool, false, dal_clock_after_ms(300), &conn, &c->err);
                if (s == DAL_OK) { /* the one that nobody knows to be dead yet */
                        assert_int_not_equal(
                                dal_conn_exec(conn, &conf_count_accounts, DAL_NO_PARAMS, SOON, NULL, &c->err),
                                DAL_OK);
                        dal_pool_release(pool, conn);
                        continue;
                }
                if (s != DAL_ERR_TIMEOUT) /* the deadline passed just before another try */
                        FAILS(s, CONNECT_FAILED);
        }
        assert_true(dal_clock_now() - begun < INT64_C(3000000000));
        dal_fake_set_down(c->server, false);
        OK(dal_pool_acquire(pool, false, dal_clock_after_ms(5000), &conn, &c->err));
        dal_pool_release(pool, conn);
        end_pool(c, pool);
        /* The case's own connection died with the server. */
        dal_conn_close(c->conn);
        c->conn = conf_open(c, NULL);
}

/* --- A server that has no room ------------------------------------------------------------------------ */

/* A database, or an account, of which one session at a time may be open. */
static const struct seat {
        const char *make[2], *drop[2]; /* before and behind its name */
        const char *keys[4][2];        /* what leads there; NULL for the value: its name */
} seats[] = {
        [DAL_DIALECT_postgres] = {{"CREATE DATABASE ", " CONNECTION LIMIT 1"},
                                  {"DROP DATABASE ", ""},
                                  {{"dbname", NULL}}},
#define SEAT_OF_MYSQL                                                                                        \
        {                                                                                                    \
                {"CREATE USER ", "@'%' IDENTIFIED BY 'seat-7h' WITH MAX_USER_CONNECTIONS 1"},                \
                        {"DROP USER ", "@'%'"},                                                              \
                {                                                                                            \
                        {"user", NULL}, {"password", "seat-7h"}, {"dbname", ""},                             \
                        {                                                                                    \
                                "sslmode", "require"                                                         \
                        }                                                                                    \
                }                                                                                            \
        }
        [DAL_DIALECT_mysql] = SEAT_OF_MYSQL,
        [DAL_DIALECT_mariadb] = SEAT_OF_MYSQL,
};

static void seat_script(struct conf *c, const char *const sql[2], const char *name)
{
        char text[200];

        snprintf(text, sizeof text, "%s%s%s", sql[0], name, sql[1]);
        OK(dal_conn_script(c->conn, text, SOON, &c->err));
}

static dal_pool *seat_pool(struct conf *c, const struct seat *seat, const char *name)
{
        dal_pool_options options = DAL_POOL_OPTIONS_INIT;
        char url[1400], longer[1400];
        dal_dsn *dsn = NULL;
        dal_pool *pool = NULL;

        snprintf(url, sizeof url, "%s", c->server_url);
        for (int i = 0; i < 4 && seat->keys[i][0]; i++) {
                const char *value = seat->keys[i][1] ? seat->keys[i][1] : name;

                conf_url_with(longer, sizeof longer, url, seat->keys[i][0], value);
                snprintf(url, sizeof url, "%s", longer);
        }
        OK(dal_dsn_parse(url, &dsn, &c->err));
        options.name = "seat";
        OK(dal_pool_new(c->driver, dsn, &options, &pool, &c->err));
        dal_dsn_free(dsn);
        return pool;
}

/* Full is not for ever: the caller waits for a seat while his time lasts, and is told what the server said. */
static void pool__waits_for_a_server_that_is_full(struct conf *c)
{
        const struct seat *seat = &seats[c->q->dialect];
        dal_pool *sits, *waits;
        dal_conn *conn = NULL, *other = NULL;
        char name[100];

        if (c->q->dialect >= sizeof seats / sizeof seats[0] || !seat->make[0])
                return; /* nobody counts sessions there */
        snprintf(name, sizeof name, "%s_seat", c->place);
        seat_script(c, seat->make, name);
        sits = seat_pool(c, seat, name);
        waits = seat_pool(c, seat, name);
        OK(dal_pool_acquire(sits, false, SOON, &conn, &c->err));
        FAILS(dal_pool_acquire(waits, false, dal_clock_after_ms(1500), &other, &c->err),
              TOO_MANY_CONNECTIONS);
        assert_true(c->err.not_sent);
        assert_non_null(strstr(c->err.message, "last connect error"));
        assert_in_range(dal_pool_get_stats(waits).n_connect_errors, 2, 8);
        dal_pool_release(sits, conn);
        end_pool(c, sits);
        OK(dal_pool_acquire(waits, false, SOON, &other, &c->err));
        dal_pool_release(waits, other);
        end_pool(c, waits);
        /* The server may still be busy with the end of the session. */
        for (int i = 0; i < 100; i++) {
                char text[200];

                snprintf(text, sizeof text, "%s%s%s", seat->drop[0], name, seat->drop[1]);
                if (dal_conn_script(c->conn, text, SOON, &c->err) == DAL_OK)
                        return;
                conf_sleep_ms(20);
        }
        fail_msg("%s", c->err.message);
}

/* --- Failover --------------------------------------------------------------------------------------------- */

static dal_status one_account(dal_tx *tx, void *arg, dal_error *err)
{
        uint64_t *sessions = arg;

        sessions[dal_tx_attempt(tx) - 1] = dal_tx_info(tx)->session_id;
        return dal_tx_exec(tx, &conf_add_account, DAL_PARAMS(dal_int64(1), dal_int64(1)), NULL, err);
}

/* The server that was the primary takes no writes any more: the run goes on with a new connection. */
static void pool__a_run_leaves_a_server_that_became_read_only(struct conf *c)
{
        dal_fake_fault fault = {.match = "add_account", .error_class = DAL_CLASS_READ_ONLY_SERVER};
        uint64_t sessions[10] = {0};
        dal_cluster *cluster;

        if (!c->server)
                return; /* only the fake server is a replica on demand */
        cluster = conf_cluster(c, NULL);
        assert_true(dal_fake_inject(c->server, &fault));
        OK(dal_cluster_run(cluster, dal_key_int64(1), NULL, one_account, sessions, &c->err));
        assert_true(sessions[0] && sessions[1] && sessions[0] != sessions[1]);
        assert_int_equal(sessions[2], 0);
        assert_true(dal_fake_inject(c->server, &fault));
        OK(dal_cluster_exec(cluster, dal_key_int64(1), &conf_add_account,
                            DAL_PARAMS(dal_int64(2), dal_int64(1)), NULL, &c->err));
        assert_int_equal(fault_count(c), 2);
        conf_cluster_end(c, cluster);
}

/* As a standby tells it. */
static void pool__a_connection_to_a_read_only_server_is_not_lent_again(struct conf *c)
{
        static const dal_stmt become = DAL_STMT("become_read_only", "SELECT COUNT(*) FROM conf_account",
                                                .postgres = "SET default_transaction_read_only = on");
        dal_pool *pool = new_pool(c, 2);
        dal_fake_fault fault = {.match = "add_account", .error_class = DAL_CLASS_READ_ONLY_SERVER};
        dal_conn *conn = NULL, *idle = NULL;
        dal_status s;

        OK(dal_pool_acquire(pool, false, SOON, &conn, &c->err));
        OK(dal_pool_acquire(pool, false, SOON, &idle, &c->err));
        dal_pool_release(pool, idle);
        OK(dal_conn_exec(conn, &become, DAL_NO_PARAMS, SOON, NULL, &c->err));
        if (c->server)
                assert_true(dal_fake_inject(c->server, &fault));
        s = dal_conn_exec(conn, &conf_add_account, DAL_PARAMS(dal_int64(1), dal_int64(1)), SOON, NULL,
                          &c->err);
        if (s != DAL_OK) {
                FAILS(s, READ_ONLY_SERVER);
                assert_true(c->err.retry_tx);
        }
        dal_pool_release(pool, conn);
        OK(dal_pool_acquire(pool, false, SOON, &conn, &c->err));
        OK(dal_conn_exec(conn, &conf_add_account, DAL_PARAMS(dal_int64(2), dal_int64(1)), SOON, NULL,
                         &c->err));
        dal_pool_release(pool, conn);
        assert_int_equal(dal_pool_get_stats(pool).n_closed, s == DAL_OK ? 0 : 2); /* the idle one, too */
        end_pool(c, pool);
}

const struct conf_case pool_fault[] = {
        CONF_CASE(pool__exhausted_names_the_holders),
        CONF_CASE(pool__closed_while_in_use_names_the_holders),
        CONF_CASE(pool__replaces_what_was_killed),
        CONF_CASE(pool__comes_back_with_the_server),
        CONF_CASE(pool__waits_for_a_server_that_is_full),
        CONF_CASE(pool__a_run_leaves_a_server_that_became_read_only),
        CONF_CASE(pool__a_connection_to_a_read_only_server_is_not_lent_again),
        {NULL, NULL},
};
