/* SPDX-License-Identifier: MIT */
/* Parent and child share every socket after fork(): only the parent may speak. */

#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "manners.h"

/* Forks; the child runs `child` and ends as its answer says: with the usual end of a program, or at once. */
static int run_child(struct conf *c, int (*child)(struct conf *c, void *arg), void *arg, bool at_once)
{
        int status = 0;
        pid_t pid;

        fflush(stdout);
        fflush(stderr);
        pid = fork();
        if (pid == 0) {
                int rc = child(c, arg);

                if (at_once)
                        _exit(rc);
                exit(rc); /* with all that libraries have registered by atexit() */
        }
        assert_true(pid > 0);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status));
        return WEXITSTATUS(status);
}

static int do_nothing(struct conf *c, void *arg)
{
        (void)c;
        (void)arg;
        return 0;
}

static int64_t count(struct conf *c)
{
        return conf_number(c, c->conn, &conf_count_accounts, DAL_NO_PARAMS);
}

static void fork__a_child_that_ends_harms_no_session_of_the_parent(struct conf *c)
{
        char url[1200];
        dal_dsn *dsn = NULL;
        dal_conn *tls = NULL;

        url_with_tls(c, url, sizeof url);
        OK(dal_dsn_parse(url, &dsn, &c->err));
        OK(dal_conn_open(c->driver, dsn, NULL, SOON, &tls, &c->err));
        dal_dsn_free(dsn);
        OK(dal_conn_begin(c->conn, DAL_ISOLATION_DEFAULT, false, SOON, &c->err));
        OK(dal_conn_exec(c->conn, &conf_add_account, DAL_PARAMS(dal_int64(1), dal_int64(1)), SOON, NULL,
                         &c->err));
        for (int at_once = 0; at_once < 2; at_once++) {
                assert_int_equal(run_child(c, do_nothing, NULL, at_once), 0);
                assert_int_equal(count(c), 1);
                assert_int_equal(dal_conn_tx_state(c->conn), DAL_TX_STATE_ACTIVE);
                if (c->q->has_port)
                        OK(dal_conn_ping(tls, SOON, &c->err));
        }
        OK(dal_conn_commit(c->conn, SOON, &c->err));
        assert_int_equal(count(c), 1);
        dal_conn_close(tls);
}

static dal_status count_in_tx(dal_tx *tx, void *arg, dal_error *err)
{
        (void)arg;
        return dal_tx_exec(tx, &conf_count_accounts, DAL_NO_PARAMS, NULL, err);
}

/* Refused, with the reason in the message; 0 = all was as it should be. */
static int use_the_parents(struct conf *c, void *arg)
{
        dal_cluster *cluster = arg;
        dal_rows *rows = NULL;

        if (dal_cluster_run(cluster, dal_key_int64(1), NULL, count_in_tx, NULL, &c->err) != DAL_ERR_STATE ||
            !strstr(c->err.message, "fork"))
                return 1;
        if (dal_cluster_exec(cluster, dal_key_int64(1), &conf_remove_account, DAL_PARAMS(dal_int64(1)), NULL,
                             &c->err) != DAL_ERR_STATE)
                return 2;
        if (dal_cluster_query(cluster, dal_key_int64(1), &conf_all_accounts, DAL_NO_PARAMS, &rows, &c->err) !=
            DAL_ERR_STATE)
                return 3;
        return dal_cluster_close(cluster, 100, &c->err) == DAL_ERR_STATE && strstr(c->err.message, "fork")
                       ? 0
                       : 4;
}

static void fork__a_child_is_refused_the_parents_cluster(struct conf *c)
{
        dal_cluster *cluster;

        if (c->server)
                assert_true(dal_fake_add_outcomes(
                        c->server)); /* with them comes a thread, which a child does not have */
        cluster = conf_cluster(c, NULL);
        OK(dal_cluster_run(cluster, dal_key_int64(1), NULL, count_in_tx, NULL, &c->err));
        assert_int_equal(run_child(c, use_the_parents, cluster, true), 0);
        OK(dal_cluster_run(cluster, dal_key_int64(1), NULL, count_in_tx, NULL, &c->err));
        conf_cluster_end(c, cluster);
}

/* Closing says nothing either, not even where TLS has a goodbye of its own; 0 = all was as it should be. */
static int use_the_parents_connection(struct conf *c, void *arg)
{
        dal_conn *conn = arg;
        dal_rows *rows = NULL;
        int64_t n = -1;
        const dal_status answers[] = {
                dal_conn_begin(conn, DAL_ISOLATION_DEFAULT, false, SOON, &c->err),
                dal_conn_exec(conn, &conf_count_accounts, DAL_NO_PARAMS, SOON, &n, &c->err),
                dal_conn_exec_dynamic(conn, "DELETE FROM conf_account", DAL_NO_PARAMS, SOON, &n, &c->err),
                dal_conn_query(conn, &conf_all_accounts, DAL_NO_PARAMS, SOON, &rows, &c->err),
                dal_conn_script(conn, "DELETE FROM conf_account", SOON, &c->err),
                dal_conn_ping(conn, SOON, &c->err),
                dal_conn_rollback(conn, SOON, &c->err),
        };

        for (size_t i = 0; i < sizeof answers / sizeof answers[0]; i++)
                if (answers[i] != DAL_ERR_STATE)
                        return (int)i + 1;
        if (!strstr(c->err.message, "fork"))
                return 20;
        dal_conn_close(conn);
        return 0;
}

static void fork__a_child_is_refused_the_parents_connection(struct conf *c)
{
        for (int tls = 0; tls < 2; tls++) {
                dal_dsn *dsn = NULL;
                dal_conn *conn = NULL;
                char url[1200];

                url_with_tls(c, url, sizeof url);
                OK(dal_dsn_parse(tls ? url : c->url, &dsn, &c->err));
                OK(dal_conn_open(c->driver, dsn, NULL, SOON, &conn, &c->err));
                dal_dsn_free(dsn);
                OK(dal_conn_begin(conn, DAL_ISOLATION_DEFAULT, false, SOON, &c->err));
                OK(dal_conn_exec(conn, &conf_add_account, DAL_PARAMS(dal_int64(tls), dal_int64(1)), SOON,
                                 NULL, &c->err));
                assert_int_equal(run_child(c, use_the_parents_connection, conn, true), 0);
                OK(dal_conn_exec(conn, &conf_add_account, DAL_PARAMS(dal_int64(10 + tls), dal_int64(1)), SOON,
                                 NULL, &c->err));
                OK(dal_conn_commit(conn, SOON, &c->err));
                assert_int_equal(count(c), 2 * (tls + 1));
                dal_conn_close(conn);
        }
}

/* 0 = neither reading nor closing took anything from the parent. */
static int use_the_parents_batch(struct conf *c, void *arg)
{
        dal_batch *batch = arg;
        bool found = true;

        if (dal_batch_next(batch, &found, &c->err) != DAL_ERR_STATE || found ||
            !strstr(c->err.message, "fork"))
                return 1;
        dal_batch_close(batch);
        return 0;
}

static void fork__a_child_takes_no_results_of_the_parents_batch(struct conf *c)
{
        dal_cluster *cluster = conf_cluster(c, NULL);
        dal_batch *batch = NULL;
        bool found = true;

        OK(dal_cluster_batch(cluster, dal_key_int64(1), &batch, &c->err));
        for (int64_t i = 0; i < 200; i++)
                OK(dal_batch_add(batch, &conf_add_account, DAL_PARAMS(dal_int64(i), dal_int64(i)), &c->err));
        OK(dal_batch_run(batch, &c->err));
        for (int64_t i = 0; i < 200; i++) {
                OK(dal_batch_next(batch, &found, &c->err));
                assert_int_equal(dal_batch_n_rows(batch), 1);
                if (i == 100)
                        assert_int_equal(run_child(c, use_the_parents_batch, batch, true), 0);
        }
        OK(dal_batch_next(batch, &found, &c->err));
        assert_false(found);
        dal_batch_close(batch);
        assert_int_equal(count(c), 200);
        conf_cluster_end(c, cluster);
}

static int use_its_own(struct conf *c, void *arg)
{
        (void)arg;
        for (int i = 0; i < 2; i++) {
                if (use_briefly(c, c->url, &c->err) != DAL_OK)
                        return 1;
        }
        return 0;
}

static void fork__a_child_may_open_its_own(struct conf *c)
{
        OK(dal_conn_begin(c->conn, DAL_ISOLATION_DEFAULT, false, SOON, &c->err));
        OK(dal_conn_exec(c->conn, &conf_add_account, DAL_PARAMS(dal_int64(1), dal_int64(1)), SOON, NULL,
                         &c->err));
        assert_int_equal(run_child(c, use_its_own, NULL, false), 0);
        OK(dal_conn_commit(c->conn, SOON, &c->err));
        assert_int_equal(count(c), 1);
}

const struct conf_case fork_manners[] = {
        CONF_CASE(fork__a_child_that_ends_harms_no_session_of_the_parent),
        CONF_CASE(fork__a_child_is_refused_the_parents_cluster),
        CONF_CASE(fork__a_child_is_refused_the_parents_connection),
        CONF_CASE(fork__a_child_takes_no_results_of_the_parents_batch),
        CONF_CASE(fork__a_child_may_open_its_own),
        {NULL, NULL},
};
