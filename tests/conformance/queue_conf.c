/* SPDX-License-Identifier: MIT */
/* Writes that are queued: they travel with what comes next, and share its fate. */

#include "conf.h"

static dal_key key(void)
{
        return dal_key_int64(7);
}

static int64_t count(struct conf *c)
{
        return conf_number(c, c->conn, &conf_count_accounts, DAL_NO_PARAMS);
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

static void queue__writes_travel_with_commit(struct conf *c)
{
        dal_cluster_options options = DAL_CLUSTER_OPTIONS_INIT;
        dal_cluster *cluster;
        uint64_t before, cost;

        options.pool.max_size = 1;
        cluster = conf_cluster(c, &options);
        before = conf_round_trips(c, cluster);
        OK(dal_cluster_run(cluster, key(), NULL, queue_five, NULL, &c->err));
        cost = conf_round_trips(c, cluster) - before;
        if (!c->q->counts_round_trips)
                assert_int_equal(cost, 0);
        else if (conf_has_cap(c, DAL_CAP_PIPELINE))
                assert_int_equal(cost, 1);
        else if (c->q->folds_inserts)
                assert_in_range(cost, 3,
                                5); /* four as one, the last, COMMIT, and the changes of mode around it */
        else
                assert_in_range(cost, 6, 8); /* one each, COMMIT, and the changes of mode around it */
        assert_int_equal(count(c), 5);
        conf_cluster_end(c, cluster);
}

static void queue__what_is_not_queued_costs_one_round_trip_each(struct conf *c)
{
        dal_cluster_options options = DAL_CLUSTER_OPTIONS_INIT;
        dal_cluster *cluster;
        dal_rows *rows = NULL;
        uint64_t before;
        int64_t n = 0;

        options.pool.max_size = 1;
        cluster = conf_cluster(c, &options);
        before = conf_round_trips(c, cluster);
        OK(dal_cluster_exec(cluster, key(), &conf_add_account, DAL_PARAMS(dal_int64(1), dal_int64(5)), &n,
                            &c->err));
        assert_int_equal(n, 1);
        OK(dal_cluster_query(cluster, key(), &conf_balance, DAL_PARAMS(dal_int64(1)), &rows, &c->err));
        OK(dal_rows_first(rows, &c->err));
        OK(dal_rows_int64(rows, 0, &n, &c->err));
        assert_int_equal(n, 5);
        assert_int_equal(dal_rows_shard(rows), 0);
        dal_rows_close(rows);
        assert_int_equal(conf_round_trips(c, cluster) - before, c->q->counts_round_trips ? 2 : 0);
        FAILS(dal_cluster_exec(cluster, key(), &conf_add_account, DAL_PARAMS(dal_int64(1), dal_int64(5)), &n,
                               &c->err),
              UNIQUE);
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

static void queue__parameters_are_copied(struct conf *c)
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

static void queue__much_at_once_in_both_directions(struct conf *c)
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

static void queue__failure_rolls_everything_back(struct conf *c)
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

static void queue__writes_come_before_the_next_statement(struct conf *c)
{
        dal_cluster *cluster = conf_cluster(c, NULL);
        int64_t n = 0;

        OK(dal_cluster_run(cluster, key(), NULL, queue_and_ask, &n, &c->err));
        assert_int_equal(n, 5);
        conf_cluster_end(c, cluster);
}

const struct conf_case queue_conf[] = {
        CONF_CASE(queue__writes_travel_with_commit),
        CONF_CASE(queue__what_is_not_queued_costs_one_round_trip_each),
        CONF_CASE(queue__parameters_are_copied),
        CONF_CASE(queue__much_at_once_in_both_directions),
        CONF_CASE(queue__failure_rolls_everything_back),
        CONF_CASE(queue__writes_come_before_the_next_statement),
        {NULL, NULL},
};
