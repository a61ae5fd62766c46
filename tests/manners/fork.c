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

/* --- What was under way when the process forked ---------------------------------------------------------- */

#define N_ROWS 400

static const dal_stmt stream_accounts = DAL_STMT(
        "all_accounts", "SELECT id, balance FROM conf_account ORDER BY id", .flags = DAL_STMT_STREAM);

static void add_accounts(struct conf *c)
{
        for (int64_t i = 0; i < N_ROWS; i++)
                OK(dal_conn_exec(c->conn, &conf_add_account, DAL_PARAMS(dal_int64(i), dal_int64(i)), SOON,
                                 NULL, &c->err));
}

/* The rows that were open in the parent: reading is refused, and closing says nothing. 0 = so it was. */
static int use_the_parents_rows(struct conf *c, void *arg)
{
        dal_rows *rows = arg;
        bool found = true;
        dal_status s = dal_rows_next(rows, &found, &c->err);

        if (s != DAL_ERR_STATE || !strstr(c->err.message, "fork"))
                return 1;
        dal_rows_close(rows);
        return 0;
}

/* In the child they are only closed, first of all. */
static int close_the_parents_rows(struct conf *c, void *arg)
{
        (void)c;
        dal_rows_close(arg);
        return 0;
}

/* Reads on where the parent was, forking in the middle. */
static void read_across_forks(struct conf *c, dal_rows *rows)
{
        int64_t n = 0, id = -1;
        bool found = true;

        for (; OK(dal_rows_next(rows, &found, &c->err)), found; n++) {
                OK(dal_rows_int64(rows, 0, &id, &c->err));
                assert_int_equal(id, n);
                if (n == 3)
                        assert_int_equal(run_child(c, use_the_parents_rows, rows, true), 0);
                if (n == 5)
                        assert_int_equal(run_child(c, close_the_parents_rows, rows, true), 0);
        }
        assert_int_equal(n, N_ROWS);
        dal_rows_close(rows);
}

static void fork__a_child_takes_no_rows_of_the_parents(struct conf *c)
{
        static const dal_stmt *const queries[] = {&conf_all_accounts, &stream_accounts};
        dal_cluster *cluster = conf_cluster(c, NULL);
        dal_rows *rows = NULL;

        add_accounts(c);
        for (size_t i = 0; i < sizeof queries / sizeof queries[0]; i++) {
                OK(dal_conn_query(c->conn, queries[i], DAL_NO_PARAMS, SOON, &rows, &c->err));
                read_across_forks(c, rows);
                OK(dal_cluster_query(cluster, dal_key_int64(1), queries[i], DAL_NO_PARAMS, &rows, &c->err));
                read_across_forks(c, rows);
                OK(dal_fanout_query(cluster, queries[i], DAL_NO_PARAMS, &rows, &c->err));
                read_across_forks(c, rows);
        }
        assert_int_equal(count(c), N_ROWS);
        conf_cluster_end(c, cluster);
}

/* A fan-out, a load and a batch begun anew in the child of a cluster's process. 0 = all were refused. */
static int begin_anew(struct conf *c, void *arg)
{
        static const char *const columns[] = {"id", "balance"};
        dal_cluster *cluster = arg;
        dal_bulk_spec spec = DAL_BULK_SPEC_INIT;
        dal_batch *batch = NULL;
        dal_bulk *bulk = NULL;
        dal_rows *rows = NULL;

        if (dal_fanout_query(cluster, &conf_all_accounts, DAL_NO_PARAMS, &rows, &c->err) != DAL_ERR_STATE ||
            rows)
                return 1;
        if (dal_cluster_batch(cluster, dal_key_int64(1), &batch, &c->err) != DAL_OK ||
            dal_batch_add(batch, &conf_add_account, DAL_PARAMS(dal_int64(-1), dal_int64(1)), &c->err) !=
                    DAL_OK ||
            dal_batch_run(batch, &c->err) != DAL_ERR_STATE)
                return 2;
        dal_batch_close(batch);
        spec.table = "conf_account";
        spec.columns = columns;
        spec.n_columns = 2;
        if (dal_cluster_bulk(cluster, &spec, &bulk, &c->err) != DAL_OK ||
            dal_bulk_add_for(bulk, dal_key_int64(1), DAL_PARAMS(dal_int64(-2), dal_int64(1)), &c->err) !=
                    DAL_OK ||
            dal_bulk_finish(bulk, NULL, &c->err) != DAL_ERR_STATE)
                return 3;
        dal_bulk_close(bulk);
        return strstr(c->err.message, "fork") ? 0 : 4;
}

static void fork__a_child_begins_nothing_on_the_parents_cluster(struct conf *c)
{
        dal_cluster *cluster = conf_cluster(c, NULL);

        add_accounts(c);
        OK(dal_cluster_run(cluster, dal_key_int64(1), NULL, count_in_tx, NULL, &c->err));
        assert_int_equal(run_child(c, begin_anew, cluster, true), 0);
        OK(dal_cluster_run(cluster, dal_key_int64(1), NULL, count_in_tx, NULL, &c->err));
        assert_int_equal(count(c), N_ROWS);
        conf_cluster_end(c, cluster);
}

/* What the parent has open inside its transaction when it forks. */
struct inside {
        struct conf *c;
        dal_tx *tx;
        dal_bulk *bulk;
        dal_batch *batch;
        dal_rows *rows;
};

static dal_status write_inside(dal_tx *tx, void *arg, dal_error *err)
{
        (void)arg;
        return dal_tx_exec(tx, &conf_add_account, DAL_PARAMS(dal_int64(-4), dal_int64(1)), NULL, err);
}

static int use_the_parents_tx(struct conf *c, void *arg)
{
        struct inside *in = arg;
        dal_rows *rows = NULL;
        bool found = true;
        const dal_status answers[] = {
                dal_tx_exec(in->tx, &conf_add_account, DAL_PARAMS(dal_int64(-3), dal_int64(1)), NULL,
                            &c->err),
                dal_tx_query(in->tx, &conf_all_accounts, DAL_NO_PARAMS, &rows, &c->err),
                dal_tx_exec_dynamic(in->tx, "DELETE FROM conf_account", DAL_NO_PARAMS, NULL, &c->err),
                dal_tx_run(in->tx, write_inside, NULL, &c->err),
                in->bulk ? dal_bulk_finish(in->bulk, NULL, &c->err) : DAL_ERR_STATE,
                in->batch ? dal_batch_next(in->batch, &found, &c->err) : DAL_ERR_STATE,
                in->rows ? dal_rows_next(in->rows, &found, &c->err) : DAL_ERR_STATE,
        };

        for (size_t i = 0; i < sizeof answers / sizeof answers[0]; i++)
                if (answers[i] != DAL_ERR_STATE)
                        return (int)i + 1;
        if (!strstr(c->err.message, "fork"))
                return 20;
        dal_rows_close(in->rows);
        dal_batch_close(in->batch);
        dal_bulk_close(in->bulk);
        return 0;
}

static dal_status load_across_fork(dal_tx *tx, struct inside *in, dal_error *err)
{
        static const char *const columns[] = {"id", "balance"};
        dal_bulk_spec spec = DAL_BULK_SPEC_INIT;
        dal_status s;

        spec.table = "conf_account";
        spec.columns = columns;
        spec.n_columns = 2;
        s = dal_tx_bulk(tx, &spec, &in->bulk, err);
        for (int64_t i = 0; i < 10 && s == DAL_OK; i++)
                s = dal_bulk_add(in->bulk, DAL_PARAMS(dal_int64(i), dal_int64(i)), err);
        if (s == DAL_OK) {
                assert_int_equal(run_child(in->c, use_the_parents_tx, in, true), 0);
                s = dal_bulk_finish(in->bulk, NULL, err);
        }
        dal_bulk_close(in->bulk);
        in->bulk = NULL;
        return s;
}

static dal_status batch_across_fork(dal_tx *tx, struct inside *in, dal_error *err)
{
        bool found = true;
        dal_status s = dal_tx_batch(tx, &in->batch, err);

        for (int64_t i = 10; i < 20 && s == DAL_OK; i++)
                s = dal_batch_add(in->batch, &conf_add_account, DAL_PARAMS(dal_int64(i), dal_int64(i)), err);
        if (s == DAL_OK)
                s = dal_batch_run(in->batch, err);
        if (s == DAL_OK)
                s = dal_batch_next(in->batch, &found, err);
        if (s == DAL_OK)
                assert_int_equal(run_child(in->c, use_the_parents_tx, in, true), 0);
        while (s == DAL_OK && found)
                s = dal_batch_next(in->batch, &found, err);
        dal_batch_close(in->batch);
        in->batch = NULL;
        return s;
}

static dal_status rows_across_fork(dal_tx *tx, struct inside *in, dal_error *err)
{
        bool found = true;
        int n = 0;
        dal_status s = dal_tx_query(tx, &stream_accounts, DAL_NO_PARAMS, &in->rows, err);

        for (; s == DAL_OK && found; n++) {
                s = dal_rows_next(in->rows, &found, err);
                if (n == 1)
                        assert_int_equal(run_child(in->c, use_the_parents_tx, in, true), 0);
        }
        assert_int_equal(n, 21);
        dal_rows_close(in->rows);
        in->rows = NULL;
        return s;
}

static dal_status fork_inside(dal_tx *tx, void *arg, dal_error *err)
{
        struct inside *in = arg;
        dal_status s;

        in->tx = tx;
        s = load_across_fork(tx, in, err);
        if (s == DAL_OK)
                s = batch_across_fork(tx, in, err);
        if (s == DAL_OK)
                s = rows_across_fork(tx, in, err);
        return s;
}

static void fork__a_child_does_nothing_in_the_parents_transaction(struct conf *c)
{
        dal_cluster *cluster = conf_cluster(c, NULL);
        struct inside in = {.c = c};

        OK(dal_cluster_run(cluster, dal_key_int64(1), NULL, fork_inside, &in, &c->err));
        assert_int_equal(count(c), 20);
        conf_cluster_end(c, cluster);
}

/* A function that goes on in a child as well. */
struct two {
        bool queues, child_fails;
};

static dal_status become_two(dal_tx *tx, void *arg, dal_error *err)
{
        const struct two *two = arg;
        dal_status s = dal_tx_exec(tx, &conf_add_account, DAL_PARAMS(dal_int64(1), dal_int64(1)), NULL, err);
        int status = 0;
        pid_t pid;

        if (s)
                return s;
        if (two->queues)
                s = dal_tx_queue(tx, &conf_add_account, DAL_PARAMS(dal_int64(2), dal_int64(1)), err);
        pid = fork();
        if (pid == 0)
                return two->child_fails ? DAL_ERR_APP : s;
        assert_true(pid > 0);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 0);
        return s;
}

static void fork__a_child_that_returns_from_the_function_ends_no_transaction(struct conf *c)
{
        dal_cluster *cluster = conf_cluster(c, NULL);
        pid_t parent = getpid();

        for (int i = 0; i < 4; i++) {
                struct two two = {.queues = i & 1, .child_fails = i & 2};
                dal_status s = dal_cluster_run(cluster, dal_key_int64(1), NULL, become_two, &two, &c->err);

                if (getpid() != parent)
                        _exit(s == (two.child_fails ? DAL_ERR_APP : DAL_ERR_STATE) ? 0 : 10 + i);
                OK(s);
                assert_int_equal(count(c), two.queues ? 2 : 1);
                for (int64_t id = 1; id <= 2; id++)
                        OK(dal_conn_exec(c->conn, &conf_remove_account, DAL_PARAMS(dal_int64(id)), SOON, NULL,
                                         &c->err));
        }
        conf_cluster_end(c, cluster);
}

const struct conf_case fork_manners[] = {
        CONF_CASE(fork__a_child_that_ends_harms_no_session_of_the_parent),
        CONF_CASE(fork__a_child_is_refused_the_parents_cluster),
        CONF_CASE(fork__a_child_is_refused_the_parents_connection),
        CONF_CASE(fork__a_child_takes_no_results_of_the_parents_batch),
        CONF_CASE(fork__a_child_may_open_its_own),
        CONF_CASE(fork__a_child_takes_no_rows_of_the_parents),
        CONF_CASE(fork__a_child_begins_nothing_on_the_parents_cluster),
        CONF_CASE(fork__a_child_does_nothing_in_the_parents_transaction),
        CONF_CASE(fork__a_child_that_returns_from_the_function_ends_no_transaction),
        {NULL, NULL},
};
