/* SPDX-License-Identifier: MIT */
/* The server ends a session: whatever was going on is done whole, or not at all, and said so. */

#include <pthread.h>
#include <stdatomic.h>

#include "fault.h"

struct victim {
        struct conf *c;
        uint32_t n_calls;
        uint32_t n_kills; /* attempts that are struck */
        bool after_writing;
};

static dal_key key(void)
{
        return dal_key_int64(1);
}

static dal_status two_accounts(dal_tx *tx, void *arg, dal_error *err)
{
        struct victim *v = arg;
        dal_status s;

        v->n_calls++;
        s = dal_tx_exec(tx, &conf_add_account, DAL_PARAMS(dal_int64(1), dal_int64(100)), NULL, err);
        if (s)
                return s;
        if (!v->after_writing && v->n_calls <= v->n_kills)
                fault_kill(v->c, dal_tx_info(tx)->session_id);
        s = dal_tx_exec(tx, &conf_add_account, DAL_PARAMS(dal_int64(2), dal_int64(100)), NULL, err);
        if (s)
                return s;
        if (v->after_writing && v->n_calls <= v->n_kills)
                fault_kill(v->c, dal_tx_info(tx)->session_id);
        return DAL_OK;
}

static void killed__between_statements_is_run_again(struct conf *c)
{
        dal_cluster *cluster = conf_cluster(c, NULL);
        struct victim v = {.c = c, .n_kills = 2};

        OK(dal_cluster_run(cluster, key(), NULL, two_accounts, &v, &c->err));
        assert_int_equal(v.n_calls, 3);
        assert_int_equal(fault_count(c), 2);
        conf_cluster_end(c, cluster);
}

/*
 * COMMIT goes into a connection that is already dead: in doubt, or known not to have happened. Never half
 * of it.
 */
static void killed__before_commit_is_whole_or_nothing(struct conf *c)
{
        dal_cluster *cluster = conf_cluster(c, NULL);
        struct victim v = {.c = c, .n_kills = 1, .after_writing = true};
        dal_status s = dal_cluster_run(cluster, key(), NULL, two_accounts, &v, &c->err);

        if (s == DAL_OK) {
                assert_int_equal(v.n_calls, 2);
                assert_int_equal(fault_count(c), 2);
        } else {
                FAILS(s, COMMIT_UNKNOWN);
                assert_false(c->err.retry_tx);
                assert_int_equal(v.n_calls, 1);
                assert_int_equal(fault_count(c), 0);
        }
        conf_cluster_end(c, cluster);
}

static dal_status twice_and_killed(dal_tx *tx, void *arg, dal_error *err)
{
        struct victim *v = arg;
        dal_status s =
                dal_tx_exec(tx, &conf_add_account, DAL_PARAMS(dal_int64(1), dal_int64(100)), NULL, err);

        if (v->n_calls <= v->n_kills)
                fault_kill(v->c, dal_tx_info(tx)->session_id);
        return s;
}

static dal_status try_a_second_one(dal_tx *tx, void *arg, dal_error *err)
{
        struct victim *v = arg;
        dal_status s;

        v->n_calls++;
        s = dal_tx_exec(tx, &conf_add_account, DAL_PARAMS(dal_int64(1), dal_int64(100)), NULL, err);
        if (s)
                return s;
        s = dal_tx_run(tx, twice_and_killed, v, err);
        if (s != DAL_ERR_CONSTRAINT)
                return s;
        return dal_tx_exec(tx, &conf_add_account, DAL_PARAMS(dal_int64(2), dal_int64(100)), NULL, err);
}

/* The constraint's violation was contained by a savepoint that is no more: the loss decides, and is run again. */
static void killed__before_a_nested_part_is_undone_is_run_again(struct conf *c)
{
        dal_cluster *cluster = conf_cluster(c, NULL);
        struct victim v = {.c = c, .n_kills = 2};

        OK(dal_cluster_run(cluster, key(), NULL, try_a_second_one, &v, &c->err));
        assert_int_equal(v.n_calls, 3);
        assert_int_equal(fault_count(c), 2);
        conf_cluster_end(c, cluster);
}

static void killed__always_is_given_up_with_a_clear_error(struct conf *c)
{
        dal_cluster *cluster = conf_cluster(c, NULL);
        struct victim v = {.c = c, .n_kills = UINT32_MAX};
        dal_tx_options options = DAL_TX_OPTIONS_INIT;

        options.max_attempts = 3;
        FAILS(dal_cluster_run(cluster, key(), &options, two_accounts, &v, &c->err), CONNECTION_LOST);
        assert_true(c->err.conn_gone);
        assert_int_equal(v.n_calls, 3);
        assert_int_equal(fault_count(c), 0);
        conf_cluster_end(c, cluster);
}

static void killed__on_a_plain_connection_stays_lost(struct conf *c)
{
        dal_conn *conn = conf_open(c, NULL);

        OK(dal_conn_begin(conn, DAL_ISOLATION_DEFAULT, false, SOON, &c->err));
        OK(dal_conn_exec(conn, &conf_add_account, DAL_PARAMS(dal_int64(1), dal_int64(1)), SOON, NULL,
                         &c->err));
        fault_kill(c, dal_conn_info(conn)->session_id);
        FAILS(dal_conn_exec(conn, &conf_add_account, DAL_PARAMS(dal_int64(2), dal_int64(1)), SOON, NULL,
                            &c->err),
              CONNECTION_LOST);
        assert_true(c->err.conn_gone);
        /* No reconnect in silence: everything after it is refused as well. */
        for (int i = 0; i < 2; i++)
                FAILS(dal_conn_exec(conn, &conf_add_account, DAL_PARAMS(dal_int64(3), dal_int64(1)), SOON,
                                    NULL, &c->err),
                      CONNECTION_LOST);
        FAILS(dal_conn_commit(conn, SOON, &c->err), CONNECTION_LOST);
        assert_int_equal(dal_conn_tx_state(conn), DAL_TX_STATE_UNKNOWN);
        assert_int_equal(fault_count(c), 0);
        dal_conn_close(conn);
}

/* An idle connection died unseen: a transaction does not notice, as nothing of it can have happened. */
static void killed__while_idle_in_the_pool(struct conf *c)
{
        dal_cluster_options options = DAL_CLUSTER_OPTIONS_INIT;
        struct victim v = {.c = c};
        dal_cluster *cluster;

        options.pool.max_size = 1;
        cluster = conf_cluster(c, &options);
        fault_kill(c, conf_session_of(c, cluster));
        OK(dal_cluster_run(cluster, key(), NULL, two_accounts, &v, &c->err));
        assert_int_equal(fault_count(c), 2);
        conf_cluster_end(c, cluster);
}

/*
 * The same for a single statement: a read is repeated; a write is repeated or in doubt, but never done
 * twice.
 */
static void killed__single_statement_on_an_idle_connection(struct conf *c)
{
        dal_cluster_options options = DAL_CLUSTER_OPTIONS_INIT;
        dal_cluster *cluster;
        dal_rows *rows = NULL;
        dal_status s;

        options.pool.max_size = 1;
        cluster = conf_cluster(c, &options);
        fault_kill(c, conf_session_of(c, cluster));
        OK(dal_cluster_query(cluster, key(), &conf_count_accounts, DAL_NO_PARAMS, &rows, &c->err));
        OK(dal_rows_first(rows, &c->err));
        dal_rows_close(rows);
        fault_kill(c, conf_session_of(c, cluster));
        s = dal_cluster_exec(cluster, key(), &conf_add_account, DAL_PARAMS(dal_int64(1), dal_int64(1)), NULL,
                             &c->err);
        if (s != DAL_OK)
                FAILS(s, COMMIT_UNKNOWN);
        assert_int_equal(fault_count(c), s == DAL_OK ? 1 : 0);
        conf_cluster_end(c, cluster);
}

/* The same for a query to all shards. */
static void killed__fan_out_on_an_idle_connection(struct conf *c)
{
        dal_cluster_options options = DAL_CLUSTER_OPTIONS_INIT;
        dal_cluster *cluster;
        dal_rows *rows = NULL;

        options.pool.max_size = 1;
        cluster = conf_cluster(c, &options);
        fault_kill(c, conf_session_of(c, cluster));
        OK(dal_fanout_query(cluster, &conf_count_accounts, DAL_NO_PARAMS, &rows, &c->err));
        OK(dal_rows_first(rows, &c->err));
        dal_rows_close(rows);
        conf_cluster_end(c, cluster);
}

/* Some rows were read, the rest never comes: that is a failure, not their end. */
static void killed__while_rows_are_open(struct conf *c)
{
        dal_conn *conn = conf_open(c, NULL);
        dal_rows *rows = NULL;
        int64_t n_rows = 0;
        bool found = true;
        dal_status s;

        OK(dal_conn_query(conn, &conf_stream, DAL_PARAMS(dal_int64(100000)), SOON, &rows, &c->err));
        OK(dal_rows_next(rows, &found, &c->err));
        assert_true(found);
        fault_kill(c, dal_conn_info(conn)->session_id);
        while ((s = dal_rows_next(rows, &found, &c->err)) == DAL_OK && found)
                n_rows++;
        if (s == DAL_OK)
                assert_int_equal(n_rows, 99999); /* all had been sent before */
        else
                FAILS(s, CONNECTION_LOST);
        dal_rows_close(rows);
        FAILS(dal_conn_exec(conn, &conf_add_account, DAL_PARAMS(dal_int64(1), dal_int64(1)), SOON, NULL,
                            &c->err),
              CONNECTION_LOST);
        dal_conn_close(conn);
}

/* The end of an encrypted session is told like that of any other, in words. */
static void killed__while_encrypted(struct conf *c)
{
        char url[1200];
        dal_dsn *dsn = NULL;
        dal_conn *conn = NULL;

        if (!c->q->has_login)
                return;
        conf_url_with(url, sizeof url, c->url, "sslmode", "require");
        OK(dal_dsn_parse(url, &dsn, &c->err));
        OK(dal_conn_open(c->driver, dsn, NULL, SOON, &conn, &c->err));
        dal_dsn_free(dsn);
        assert_true(dal_conn_info(conn)->tls);
        fault_kill(c, dal_conn_info(conn)->session_id);
        FAILS(dal_conn_exec(conn, &conf_add_account, DAL_PARAMS(dal_int64(1), dal_int64(1)), SOON, NULL,
                            &c->err),
              CONNECTION_LOST);
        assert_null(strstr(c->err.message, "(null)"));
        assert_null(strstr(c->err.message, "error code"));
        dal_conn_close(conn);
}

static void *kill_later(void *arg)
{
        struct victim *v = arg;

        conf_sleep_ms(300);
        fault_kill(v->c, v->n_calls);
        return NULL;
}

static void killed__during_a_statement(struct conf *c)
{
        dal_conn *conn = conf_open(c, NULL);
        struct victim v = {.c = c, .n_calls = (uint32_t)dal_conn_info(conn)->session_id};
        pthread_t thread;
        dal_status s;

        pthread_create(&thread, NULL, kill_later, &v);
        s = dal_conn_exec(conn, &conf_sleep, DAL_NO_PARAMS, SOON, NULL, &c->err);
        pthread_join(thread, NULL);
        FAILS(s, CONNECTION_LOST);
        assert_true(c->err.conn_gone);
        assert_false(c->err.not_sent);
        dal_conn_close(conn);
}

/* --- Under load ---------------------------------------------------------------------------------------- */

struct mover {
        dal_cluster *cluster;
        int i;
        int64_t n_done, n_in_doubt, n_failed;
        dal_error err;
};

static atomic_bool stop;

static dal_status move_one(dal_tx *tx, void *arg, dal_error *err)
{
        const struct mover *m = arg;
        int64_t from = 1 + m->i % 2, to = 3 - from;
        dal_status s =
                dal_tx_exec(tx, &conf_add_balance, DAL_PARAMS(dal_int64(-1), dal_int64(from)), NULL, err);

        if (s == DAL_OK)
                s = dal_tx_exec(tx, &conf_add_balance, DAL_PARAMS(dal_int64(1), dal_int64(to)), NULL, err);
        return s ? s
                 : dal_tx_exec(tx, &conf_add_balance, DAL_PARAMS(dal_int64(1), dal_int64(10 + m->i)), NULL,
                               err);
}

static void *move(void *arg)
{
        struct mover *m = arg;

        while (!atomic_load(&stop)) {
                dal_status s = dal_cluster_run(m->cluster, dal_key_int64(1), NULL, move_one, m, &m->err);
                if (s == DAL_OK)
                        m->n_done++;
                else if (s == DAL_ERR_IN_DOUBT)
                        m->n_in_doubt++;
                else
                        m->n_failed++;
        }
        return NULL;
}

/*
 * Sessions are killed again and again while money moves. What was reported as done is done, what failed is
 * not, and what is in doubt is one of both: the third account of each thread counts how often its work
 * really happened.
 */
static void killed__under_load_nothing_is_half_done(struct conf *c)
{
        enum {
                N = 4
        };
        dal_cluster_options options = DAL_CLUSTER_OPTIONS_INIT;
        struct mover m[N];
        pthread_t threads[N];
        dal_cluster *cluster;

        options.service = c->place; /* by this they are found and killed */
        options.pool.max_size = N;
        cluster = conf_cluster(c, &options);
        for (int64_t id = 1; id <= 2; id++)
                OK(dal_conn_exec(c->conn, &conf_add_account, DAL_PARAMS(dal_int64(id), dal_int64(1000)), SOON,
                                 NULL, &c->err));
        memset(m, 0, sizeof m);
        atomic_store(&stop, false);
        for (int i = 0; i < N; i++) {
                OK(dal_conn_exec(c->conn, &conf_add_account, DAL_PARAMS(dal_int64(10 + i), dal_int64(0)),
                                 SOON, NULL, &c->err));
                m[i].cluster = cluster;
                m[i].i = i;
                pthread_create(&threads[i], NULL, move, &m[i]);
        }
        for (int i = 0; i < 12; i++) {
                conf_sleep_ms(100);
                fault_kill_others(c);
        }
        atomic_store(&stop, true);
        for (int i = 0; i < N; i++)
                pthread_join(threads[i], NULL);
        for (int i = 0; i < N; i++) {
                int64_t really = conf_number(c, c->conn, &conf_balance, DAL_PARAMS(dal_int64(10 + i)));
                if (m[i].n_failed)
                        print_message("thread %d: %d failed, last: %s\n", i, (int)m[i].n_failed,
                                      m[i].err.message);
                assert_true(m[i].n_done > 0);
                assert_in_range(really, m[i].n_done, m[i].n_done + m[i].n_in_doubt);
        }
        assert_int_equal(conf_number(c, c->conn, &conf_balance, DAL_PARAMS(dal_int64(1))) +
                                 conf_number(c, c->conn, &conf_balance, DAL_PARAMS(dal_int64(2))),
                         2000);
        conf_cluster_end(c, cluster);
}

const struct conf_case killed_fault[] = {
        CONF_CASE(killed__between_statements_is_run_again),
        CONF_CASE(killed__before_commit_is_whole_or_nothing),
        CONF_CASE(killed__before_a_nested_part_is_undone_is_run_again),
        CONF_CASE(killed__always_is_given_up_with_a_clear_error),
        CONF_CASE(killed__on_a_plain_connection_stays_lost),
        CONF_CASE(killed__while_idle_in_the_pool),
        CONF_CASE(killed__single_statement_on_an_idle_connection),
        CONF_CASE(killed__fan_out_on_an_idle_connection),
        CONF_CASE(killed__while_rows_are_open),
        CONF_CASE(killed__while_encrypted),
        CONF_CASE(killed__during_a_statement),
        CONF_CASE(killed__under_load_nothing_is_half_done),
        {NULL, NULL},
};
