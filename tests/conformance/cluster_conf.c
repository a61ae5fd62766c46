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
        CONF_CASE(cluster__run_inside_run_refused_naming_both_places),
        CONF_CASE(cluster__missing_key_refused),
        CONF_CASE(cluster__require_key),
        CONF_CASE(cluster__read_only_refuses_writes),
        CONF_CASE(cluster__deadline_ends_a_long_statement),
        CONF_CASE(cluster__rows_hold_a_connection_until_closed),
        CONF_CASE(cluster__scatter_reaches_the_shard),
        CONF_CASE(cluster__tells_the_facts),
        {NULL, NULL},
};
