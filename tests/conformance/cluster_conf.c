/* SPDX-License-Identifier: MIT */
/* Transactions as services write them: a function handed to a cluster of one database. */

#include "conf.h"

static dal_key key(void)
{
        return dal_key_int64(7);
}

static dal_status add(dal_tx *tx, int64_t id, dal_error *err)
{
        return dal_tx_exec(tx, &conf_add_account, DAL_PARAMS(dal_int64(id), dal_int64(100)), NULL, err);
}

static int64_t count(struct conf *c)
{
        return conf_number(c, c->conn, &conf_count_accounts, DAL_NO_PARAMS);
}

/* What a transaction's function saw, for the case to check afterwards. */
struct seen {
        struct conf *c;
        dal_cluster *cluster;
        int n_calls, n_commit_hooks, n_rollback_hooks;
        dal_status inner;
        dal_error inner_err;
        dal_status outcome; /* what the function returns in the end */
};

static void committed(void *arg)
{
        ((struct seen *)arg)->n_commit_hooks++;
}

static void rolled_back(void *arg)
{
        ((struct seen *)arg)->n_rollback_hooks++;
}

static dal_status two_accounts(dal_tx *tx, void *arg, dal_error *err)
{
        struct seen *seen = arg;
        dal_status s;

        seen->n_calls++;
        if ((s = dal_tx_on_commit(tx, committed, seen, err)) ||
            (s = dal_tx_on_rollback(tx, rolled_back, seen, err)) || (s = add(tx, 1, err)) ||
            (s = add(tx, 2, err)))
                return s;
        return seen->outcome ? dal_fail(err, seen->outcome, "not today") : DAL_OK;
}

static void cluster__commits(struct conf *c)
{
        dal_cluster *cluster = conf_cluster(c, NULL);
        struct seen seen = {.c = c};

        assert_int_equal(dal_cluster_n_shards(cluster), 1);
        OK(dal_cluster_run(cluster, key(), NULL, two_accounts, &seen, &c->err));
        assert_int_equal(seen.n_calls, 1);
        assert_int_equal(seen.n_commit_hooks, 1);
        assert_int_equal(seen.n_rollback_hooks, 0);
        assert_int_equal(count(c), 2);
        conf_cluster_end(c, cluster);
}

static void cluster__application_refusal_rolls_back(struct conf *c)
{
        dal_cluster *cluster = conf_cluster(c, NULL);
        struct seen seen = {.c = c, .outcome = DAL_ERR_APP};

        FAILS(dal_cluster_run(cluster, key(), NULL, two_accounts, &seen, &c->err), APP);
        assert_string_equal(c->err.message, "not today");
        assert_int_equal(seen.n_calls, 1);
        assert_int_equal(seen.n_commit_hooks, 0);
        assert_int_equal(seen.n_rollback_hooks, 1);
        assert_int_equal(count(c), 0);
        conf_cluster_end(c, cluster);
}

static void cluster__constraint_is_not_retried(struct conf *c)
{
        dal_cluster *cluster = conf_cluster(c, NULL);
        struct seen seen = {.c = c};

        OK(dal_cluster_run(cluster, key(), NULL, two_accounts, &seen, &c->err));
        FAILS(dal_cluster_run(cluster, key(), NULL, two_accounts, &seen, &c->err), UNIQUE);
        assert_int_equal(c->err.shard, 0);
        assert_int_equal(seen.n_calls, 2);
        assert_int_equal(seen.n_commit_hooks, 1);
        assert_int_equal(seen.n_rollback_hooks, 1);
        conf_cluster_end(c, cluster);
}

static dal_status hides_a_failure(dal_tx *tx, void *arg, dal_error *err)
{
        struct seen *seen = arg;

        seen->inner = add(tx, 1, err);
        seen->inner = add(tx, 1, &seen->inner_err);
        return DAL_OK;
}

static void cluster__hidden_failure_is_no_commit(struct conf *c)
{
        dal_cluster *cluster = conf_cluster(c, NULL);
        struct seen seen = {.c = c};

        FAILS(dal_cluster_run(cluster, key(), NULL, hides_a_failure, &seen, &c->err), COMMIT_ROLLED_BACK);
        assert_int_equal(seen.inner, DAL_ERR_CONSTRAINT);
        assert_int_equal(count(c), 0);
        conf_cluster_end(c, cluster);
}

static dal_status add_one_twice(dal_tx *tx, void *arg, dal_error *err)
{
        struct seen *seen = arg;
        dal_status s = dal_tx_on_commit(tx, committed, seen, err);

        if (s == DAL_OK)
                s = add(tx, 2, err);
        return s ? s : add(tx, 1, err); /* 1 is there already */
}

static dal_status add_three(dal_tx *tx, void *arg, dal_error *err)
{
        dal_status s = dal_tx_on_commit(tx, committed, arg, err);

        return s ? s : add(tx, 3, err);
}

static dal_status try_inside(dal_tx *tx, void *arg, dal_error *err)
{
        struct seen *seen = arg;
        dal_status s = add(tx, 1, err);

        if (s)
                return s;
        seen->inner = dal_tx_run(tx, add_one_twice, seen, &seen->inner_err);
        if ((s = dal_tx_run(tx, add_three, seen, err)))
                return s;
        return add(tx, 4, err);
}

static void cluster__nested_failure_keeps_the_outer_usable(struct conf *c)
{
        dal_cluster *cluster = conf_cluster(c, NULL);
        struct seen seen = {.c = c};

        OK(dal_cluster_run(cluster, key(), NULL, try_inside, &seen, &c->err));
        assert_int_equal(seen.inner, DAL_ERR_CONSTRAINT);
        assert_int_equal(seen.inner_err.error_class, DAL_CLASS_UNIQUE);
        assert_int_equal(count(c), 3);            /* 1, 3 and 4: the 2 was undone */
        assert_int_equal(seen.n_commit_hooks, 1); /* the failed one's hook went with it */
        conf_cluster_end(c, cluster);
}

static dal_status nest(dal_tx *tx, void *arg, dal_error *err)
{
        struct seen *seen = arg;
        int depth = ++seen->n_calls;
        dal_status s = add(tx, depth, err);

        if (s == DAL_OK && depth < 5)
                s = dal_tx_run(tx, nest, seen, err);
        return s;
}

static void cluster__nests_deeper(struct conf *c)
{
        dal_cluster *cluster = conf_cluster(c, NULL);
        struct seen seen = {.c = c};

        OK(dal_cluster_run(cluster, key(), NULL, nest, &seen, &c->err));
        assert_int_equal(count(c), 5);
        conf_cluster_end(c, cluster);
}

static dal_status queue_five(dal_tx *tx, void *arg, dal_error *err)
{
        (void)arg;
        for (int64_t id = 1; id <= 5; id++) {
                dal_status s =
                        dal_tx_queue(tx, &conf_add_account, DAL_PARAMS(dal_int64(id), dal_int64(1)), err);
                if (s)
                        return s;
        }
        return DAL_OK;
}

/* The round trips of a cluster with one connection, seen on the connection itself. */
static uint64_t round_trips(struct conf *c, dal_cluster *cluster)
{
        dal_conn *conn = NULL;
        uint64_t n;

        OK(dal_cluster_lease(cluster, 0, &conn, &c->err));
        n = dal_conn_get_stats(conn).n_round_trips;
        dal_cluster_release(cluster, 0, conn);
        return n;
}

static void cluster__queued_writes_travel_with_commit(struct conf *c)
{
        dal_cluster_options options = DAL_CLUSTER_OPTIONS_INIT;
        dal_cluster *cluster;
        uint64_t before, cost;

        options.pool.max_size = 1;
        cluster = conf_cluster(c, &options);
        before = round_trips(c, cluster);
        OK(dal_cluster_run(cluster, key(), NULL, queue_five, NULL, &c->err));
        cost = round_trips(c, cluster) - before;
        if (!c->q->counts_round_trips)
                assert_int_equal(cost, 0);
        else if (conf_has_cap(c, DAL_CAP_PIPELINE))
                assert_int_equal(cost, 1);
        else
                assert_in_range(cost, 6, 8); /* one each, COMMIT, and the changes of mode around it */
        assert_int_equal(count(c), 5);
        conf_cluster_end(c, cluster);
}

/* What was queued is the queue's own: the caller may use its memory for something else at once. */
static dal_status queue_from_one_buffer(dal_tx *tx, void *arg, dal_error *err)
{
        static const char *const codes[] = {"red", "green", "blue"};
        char buffer[16];
        dal_status s = DAL_OK;

        (void)arg;
        for (int64_t i = 0; i < 3 && s == DAL_OK; i++) {
                snprintf(buffer, sizeof buffer, "%s", codes[i]);
                s = dal_tx_queue(tx, &conf_add_item,
                                 DAL_PARAMS(dal_int64(i), dal_text(buffer), dal_null(), dal_null()), err);
        }
        memset(buffer, 'x', sizeof buffer);
        return s;
}

static void cluster__queued_parameters_are_copied(struct conf *c)
{
        dal_cluster *cluster = conf_cluster(c, NULL);

        /* Were they not, all three would have the same code, which is unique. */
        OK(dal_cluster_run(cluster, key(), NULL, queue_from_one_buffer, NULL, &c->err));
        FAILS(dal_conn_exec(c->conn, &conf_add_item,
                            DAL_PARAMS(dal_int64(9), dal_text("green"), dal_null(), dal_null()), SOON, NULL,
                            &c->err),
              UNIQUE);
        conf_cluster_end(c, cluster);
}

/* More than any socket buffer holds, in both directions: neither side may wait for the other. */
static dal_status queue_much(dal_tx *tx, void *arg, dal_error *err)
{
        static const dal_stmt put = DAL_STMT("put_bytes", "INSERT INTO conf_value (id, y) VALUES (?, ?)");
        enum {
                N = 64,
                SIZE = 256 * 1024
        };
        static unsigned char bytes[SIZE];
        dal_rows *rows = NULL;
        bool found = true;
        int64_t *n = arg;
        dal_status s = DAL_OK;

        for (int64_t id = 1; id <= N && s == DAL_OK; id++)
                s = dal_tx_queue(tx, &put, DAL_PARAMS(dal_int64(id), dal_bytes(bytes, sizeof bytes)), err);
        if (s == DAL_OK)
                s = dal_tx_query(tx, &conf_stream, DAL_PARAMS(dal_int64(100000)), &rows, err);
        for (*n = 0; s == DAL_OK && found; *n += found)
                s = dal_rows_next(rows, &found, err);
        dal_rows_close(rows);
        return s;
}

static void cluster__much_at_once_in_both_directions(struct conf *c)
{
        dal_cluster *cluster = conf_cluster(c, NULL);
        dal_tx_options options = DAL_TX_OPTIONS_INIT;
        int64_t n = 0;

        options.timeout_ms = 60000;
        OK(dal_cluster_run(cluster, key(), &options, queue_much, &n, &c->err));
        assert_int_equal(n, 100000);
        conf_cluster_end(c, cluster);
}

static dal_status queue_a_failure(dal_tx *tx, void *arg, dal_error *err)
{
        static const int64_t ids[] = {1, 2, 1, 3};

        (void)arg;
        for (size_t i = 0; i < 4; i++) {
                dal_status s =
                        dal_tx_queue(tx, &conf_add_account, DAL_PARAMS(dal_int64(ids[i]), dal_int64(1)), err);
                if (s)
                        return s;
        }
        return DAL_OK;
}

static void cluster__queued_failure_rolls_everything_back(struct conf *c)
{
        dal_cluster *cluster = conf_cluster(c, NULL);

        FAILS(dal_cluster_run(cluster, key(), NULL, queue_a_failure, NULL, &c->err), UNIQUE);
        assert_non_null(strstr(c->err.message, "add_account"));
        assert_int_equal(count(c), 0);
        conf_cluster_end(c, cluster);
}

static dal_status queue_and_ask(dal_tx *tx, void *arg, dal_error *err)
{
        int64_t *n = arg;
        dal_rows *rows = NULL;
        dal_status s = queue_five(tx, NULL, err);

        if (s == DAL_OK)
                s = dal_tx_query(tx, &conf_count_accounts, DAL_NO_PARAMS, &rows, err);
        if (s == DAL_OK)
                s = dal_rows_first(rows, err);
        if (s == DAL_OK)
                s = dal_rows_int64(rows, 0, n, err);
        dal_rows_close(rows);
        return s;
}

static void cluster__queued_writes_come_before_the_next_statement(struct conf *c)
{
        dal_cluster *cluster = conf_cluster(c, NULL);
        int64_t n = 0;

        OK(dal_cluster_run(cluster, key(), NULL, queue_and_ask, &n, &c->err));
        assert_int_equal(n, 5);
        conf_cluster_end(c, cluster);
}

static dal_status run_again_inside(dal_tx *tx, void *arg, dal_error *err)
{
        struct seen *seen = arg;

        (void)err;
        (void)tx;
        seen->inner = dal_cluster_run(seen->cluster, key(), NULL, two_accounts, seen, &seen->inner_err);
        return DAL_OK;
}

static void cluster__run_inside_run_refused_naming_both_places(struct conf *c)
{
        dal_cluster *cluster = conf_cluster(c, NULL);
        struct seen seen = {.c = c, .cluster = cluster};
        const char *first;

        OK(dal_cluster_run(cluster, key(), NULL, run_again_inside, &seen, &c->err));
        assert_int_equal(seen.inner, DAL_ERR_STATE);
        first = strstr(seen.inner_err.message, "cluster_conf.c:");
        assert_non_null(first);
        assert_non_null(strstr(first + 1, "cluster_conf.c:"));
        assert_int_equal(seen.n_calls, 0);
        conf_cluster_end(c, cluster);
}

static void cluster__missing_key_refused(struct conf *c)
{
        dal_cluster *cluster = conf_cluster(c, NULL);
        struct seen seen = {.c = c};
        dal_key none;
        dal_rows *rows = NULL;

        memset(&none, 0, sizeof none);
        FAILS(dal_cluster_run(cluster, none, NULL, two_accounts, &seen, &c->err), MISSING_KEY);
        FAILS(dal_cluster_exec(cluster, none, &conf_remove_account, DAL_PARAMS(dal_int64(1)), NULL, &c->err),
              MISSING_KEY);
        FAILS(dal_cluster_query(cluster, none, &conf_all_accounts, DAL_NO_PARAMS, &rows, &c->err),
              MISSING_KEY);
        assert_int_equal(seen.n_calls, 0);
        conf_cluster_end(c, cluster);
}

static dal_status require_keys(dal_tx *tx, void *arg, dal_error *err)
{
        struct seen *seen = arg;
        dal_key none;
        dal_status s = dal_tx_require_key(tx, dal_key_text("any other key of a single shard"), err);

        if (s)
                return s;
        memset(&none, 0, sizeof none);
        seen->inner = dal_tx_require_key(tx, none, &seen->inner_err);
        return DAL_OK;
}

static void cluster__require_key(struct conf *c)
{
        dal_cluster *cluster = conf_cluster(c, NULL);
        struct seen seen = {.c = c};

        OK(dal_cluster_run(cluster, key(), NULL, require_keys, &seen, &c->err));
        assert_int_equal(seen.inner, DAL_ERR_ROUTE);
        conf_cluster_end(c, cluster);
}

static void cluster__read_only_refuses_writes(struct conf *c)
{
        dal_cluster *cluster = conf_cluster(c, NULL);
        dal_tx_options options = DAL_TX_OPTIONS_INIT;
        struct seen seen = {.c = c};

        options.read_only = true;
        FAILS(dal_cluster_run(cluster, key(), &options, two_accounts, &seen, &c->err), READ_ONLY_TX);
        assert_int_equal(seen.n_calls, 1);
        /* The connection is as good as before for those who may write. */
        OK(dal_cluster_run(cluster, key(), NULL, two_accounts, &seen, &c->err));
        assert_int_equal(count(c), 2);
        conf_cluster_end(c, cluster);
}

static dal_status sleep_long(dal_tx *tx, void *arg, dal_error *err)
{
        ++*(int *)arg;
        return dal_tx_exec(tx, &conf_sleep, DAL_NO_PARAMS, NULL, err);
}

static void cluster__deadline_ends_a_long_statement(struct conf *c)
{
        dal_cluster *cluster = conf_cluster(c, NULL);
        dal_tx_options options = DAL_TX_OPTIONS_INIT;
        int64_t begun = dal_clock_now(), took_ms;
        int n_calls = 0;
        dal_status s;

        options.timeout_ms = 500;
        s = dal_cluster_run(cluster, key(), &options, sleep_long, &n_calls, &c->err);
        took_ms = (dal_clock_now() - begun) / 1000000;
        if (s != DAL_ERR_TIMEOUT)
                FAILS(s, DEADLINE);
        assert_in_range(took_ms, 400, 1500);
        assert_int_equal(n_calls, 1);
        conf_cluster_end(c, cluster);
}

static void cluster__statement_and_query_in_one_round_trip(struct conf *c)
{
        dal_cluster_options options = DAL_CLUSTER_OPTIONS_INIT;
        dal_cluster *cluster;
        dal_rows *rows = NULL;
        uint64_t before;
        int64_t n = 0;

        options.pool.max_size = 1;
        cluster = conf_cluster(c, &options);
        before = round_trips(c, cluster);
        OK(dal_cluster_exec(cluster, key(), &conf_add_account, DAL_PARAMS(dal_int64(1), dal_int64(5)), &n,
                            &c->err));
        assert_int_equal(n, 1);
        OK(dal_cluster_query(cluster, key(), &conf_balance, DAL_PARAMS(dal_int64(1)), &rows, &c->err));
        OK(dal_rows_first(rows, &c->err));
        OK(dal_rows_int64(rows, 0, &n, &c->err));
        assert_int_equal(n, 5);
        assert_int_equal(dal_rows_shard(rows), 0);
        dal_rows_close(rows);
        assert_int_equal(round_trips(c, cluster) - before, c->q->counts_round_trips ? 2 : 0);
        FAILS(dal_cluster_exec(cluster, key(), &conf_add_account, DAL_PARAMS(dal_int64(1), dal_int64(5)), &n,
                               &c->err),
              UNIQUE);
        conf_cluster_end(c, cluster);
}

/*
 * What one user leaves in the session is gone for the next one. A temporary table is such a thing
 * everywhere.
 */
static void cluster__session_state_does_not_leak(struct conf *c)
{
        static const dal_stmt make =
                DAL_STMT("make_temporary", "CREATE TEMPORARY TABLE conf_leak (x BIGINT)");
        static const dal_stmt look = DAL_STMT("look_temporary", "SELECT COUNT(*) FROM conf_leak");
        dal_cluster_options options = DAL_CLUSTER_OPTIONS_INIT;
        dal_cluster *cluster;
        dal_conn *conn = NULL;

        options.pool.max_size = 1;
        cluster = conf_cluster(c, &options);
        for (int i = 0; i < 2; i++) {
                OK(dal_cluster_lease(cluster, 0, &conn, &c->err));
                FAILS(dal_conn_exec(conn, &look, DAL_NO_PARAMS, SOON, NULL, &c->err), UNDEFINED_OBJECT);
                OK(dal_conn_exec(conn, &make, DAL_NO_PARAMS, SOON, NULL, &c->err));
                OK(dal_conn_exec(conn, &look, DAL_NO_PARAMS, SOON, NULL, &c->err));
                dal_cluster_release(cluster, 0, conn);
        }
        conf_cluster_end(c, cluster);
}

/* Else the next user would write to another database. */
static void cluster__the_next_user_is_in_the_urls_database(struct conf *c)
{
        static const dal_stmt look = DAL_STMT(
                "look_around", "SELECT CASE WHEN DATABASE() = 'information_schema' THEN 1 ELSE 0 END",
                .postgres = "SELECT CASE WHEN current_schema() = 'information_schema' THEN 1 ELSE 0 END");
        bool is_postgres = c->q->dialect == DAL_DIALECT_postgres;
        dal_cluster_options options = DAL_CLUSTER_OPTIONS_INIT;
        dal_cluster *cluster;
        dal_conn *conn = NULL;

        if (c->q->dialect == DAL_DIALECT_common || c->q->dialect == DAL_DIALECT_sqlite)
                return; /* there is but one */
        options.pool.max_size = 1;
        cluster = conf_cluster(c, &options);
        for (int i = 0; i < 2; i++) {
                dal_rows *rows = NULL;
                int64_t elsewhere = -1;

                OK(dal_cluster_lease(cluster, 0, &conn, &c->err));
                OK(dal_conn_query(conn, &look, DAL_NO_PARAMS, SOON, &rows, &c->err));
                OK(dal_rows_first(rows, &c->err));
                OK(dal_rows_int64(rows, 0, &elsewhere, &c->err));
                assert_int_equal(elsewhere, 0);
                dal_rows_close(rows);
                OK(dal_conn_script(
                        conn, is_postgres ? "SET search_path = information_schema" : "USE information_schema",
                        SOON, &c->err));
                dal_cluster_release(cluster, 0, conn);
        }
        conf_cluster_end(c, cluster);
}

static void cluster__rows_hold_a_connection_until_closed(struct conf *c)
{
        dal_cluster *cluster = conf_cluster(c, NULL);
        dal_shard_info info;
        dal_rows *rows = NULL;

        OK(dal_cluster_query(cluster, key(), &conf_numbers, DAL_PARAMS(dal_int64(10)), &rows, &c->err));
        OK(dal_cluster_shard_info(cluster, 0, &info, &c->err));
        assert_int_equal(info.pool.leased, 1);
        assert_int_equal(dal_cluster_close(cluster, 50, &c->err), DAL_ERR_TIMEOUT);
        assert_non_null(strstr(c->err.message, "cluster_conf.c:"));
        dal_rows_close(rows);
        OK(dal_cluster_close(cluster, 5000, &c->err));
}

static void cluster__scatter_reaches_the_shard(struct conf *c)
{
        dal_cluster *cluster = conf_cluster(c, NULL);
        dal_rows *rows = NULL;
        bool found = true;
        int64_t n = 0;

        OK(dal_fanout_query(cluster, &conf_numbers, DAL_PARAMS(dal_int64(10)), &rows, &c->err));
        while (OK(dal_rows_next(rows, &found, &c->err)), found) {
                assert_int_equal(dal_rows_shard(rows), 0);
                n++;
        }
        assert_int_equal(n, 10);
        dal_rows_close(rows);
        conf_cluster_end(c, cluster);
}

static dal_status ask_facts(dal_tx *tx, void *arg, dal_error *err)
{
        struct seen *seen = arg;
        const dal_driver_info *info = dal_tx_info(tx);

        (void)err;
        seen->n_calls = (int)dal_tx_attempt(tx);
        seen->inner = strcmp(info->engine, seen->c->q->engine) == 0 && info->dialect == seen->c->q->dialect &&
                                      info->version[0] && info->client[0] && dal_tx_shard(tx) == 0
                              ? DAL_OK
                              : DAL_ERR_INTERNAL;
        return DAL_OK;
}

static void cluster__tells_the_facts(struct conf *c)
{
        dal_cluster *cluster = conf_cluster(c, NULL);
        struct seen seen = {.c = c};

        OK(dal_cluster_run(cluster, key(), NULL, ask_facts, &seen, &c->err));
        assert_int_equal(seen.n_calls, 1);
        assert_int_equal(seen.inner, DAL_OK);
        conf_cluster_end(c, cluster);
}

const struct conf_case cluster_conf[] = {
        CONF_CASE(cluster__commits),
        CONF_CASE(cluster__application_refusal_rolls_back),
        CONF_CASE(cluster__constraint_is_not_retried),
        CONF_CASE(cluster__hidden_failure_is_no_commit),
        CONF_CASE(cluster__nested_failure_keeps_the_outer_usable),
        CONF_CASE(cluster__nests_deeper),
        CONF_CASE(cluster__queued_writes_travel_with_commit),
        CONF_CASE(cluster__queued_parameters_are_copied),
        CONF_CASE(cluster__much_at_once_in_both_directions),
        CONF_CASE(cluster__queued_failure_rolls_everything_back),
        CONF_CASE(cluster__queued_writes_come_before_the_next_statement),
        CONF_CASE(cluster__run_inside_run_refused_naming_both_places),
        CONF_CASE(cluster__missing_key_refused),
        CONF_CASE(cluster__require_key),
        CONF_CASE(cluster__read_only_refuses_writes),
        CONF_CASE(cluster__deadline_ends_a_long_statement),
        CONF_CASE(cluster__statement_and_query_in_one_round_trip),
        CONF_CASE(cluster__session_state_does_not_leak),
        CONF_CASE(cluster__the_next_user_is_in_the_urls_database),
        CONF_CASE(cluster__rows_hold_a_connection_until_closed),
        CONF_CASE(cluster__scatter_reaches_the_shard),
        CONF_CASE(cluster__tells_the_facts),
        {NULL, NULL},
};
