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

const struct conf_case pool_fault[] = {
        CONF_CASE(pool__exhausted_names_the_holders),
        CONF_CASE(pool__closed_while_in_use_names_the_holders),
        CONF_CASE(pool__replaces_what_was_killed),
        CONF_CASE(pool__comes_back_with_the_server),
        {NULL, NULL},
};
