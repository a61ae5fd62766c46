/* SPDX-License-Identifier: MIT */
/* Batches: many statements at once, each with a result of its own. */

#include "conf.h"
#include "proxy.h"

#define MANY 100

static const dal_stmt put_text = DAL_STMT("put_text", "INSERT INTO conf_value (id, t) VALUES (?, ?)");
static const dal_stmt get_text = DAL_STMT("get_text", "SELECT t FROM conf_value WHERE id = ?");
static const dal_stmt find_text = DAL_STMT("find_text", "SELECT COUNT(*) FROM conf_value WHERE t = ?");
static const dal_stmt nowhere = DAL_STMT("nowhere", "SELECT x FROM conf_nowhere");
static const dal_stmt broken = DAL_STMT("broken", "SELEKT 1");

static dal_key key(void)
{
        return dal_key_int64(7);
}

static int64_t count(struct conf *c)
{
        return conf_number(c, c->conn, &conf_count_accounts, DAL_NO_PARAMS);
}

static dal_cluster *open_one(struct conf *c)
{
        dal_cluster_options options = DAL_CLUSTER_OPTIONS_INIT;

        options.pool.max_size = 1;
        options.timeout_ms = 60000;
        return conf_cluster(c, &options);
}

static dal_status add_account(dal_batch *batch, int64_t id, dal_error *err)
{
        return dal_batch_add(batch, &conf_add_account, DAL_PARAMS(dal_int64(id), dal_int64(10 * id)), err);
}

static dal_status ask_balance(dal_batch *batch, int64_t id, dal_error *err)
{
        return dal_batch_add(batch, &conf_balance, DAL_PARAMS(dal_int64(id)), err);
}

/* The next result is a query's, of one integer. */
static void next_is(struct conf *c, dal_batch *batch, int64_t wanted)
{
        bool found = false;
        int64_t n = 0;

        OK(dal_batch_next(batch, &found, &c->err));
        assert_true(found);
        assert_non_null(dal_batch_rows(batch));
        OK(dal_rows_first(dal_batch_rows(batch), &c->err));
        OK(dal_rows_int64(dal_batch_rows(batch), 0, &n, &c->err));
        assert_int_equal(n, wanted);
}

static void next_wrote_one(struct conf *c, dal_batch *batch)
{
        bool found = false;

        OK(dal_batch_next(batch, &found, &c->err));
        assert_true(found);
        assert_null(dal_batch_rows(batch));
        assert_int_equal(dal_batch_n_rows(batch), 1);
}

static void next_is_the_end(struct conf *c, dal_batch *batch)
{
        bool found = true;

        OK(dal_batch_next(batch, &found, &c->err));
        assert_false(found);
}

static void fill_accounts(struct conf *c, dal_cluster *cluster, int64_t n)
{
        dal_batch *batch = NULL;

        OK(dal_cluster_batch(cluster, key(), &batch, &c->err));
        for (int64_t id = 0; id < n; id++)
                OK(add_account(batch, id, &c->err));
        OK(dal_batch_run(batch, &c->err));
        for (int64_t id = 0; id < n; id++)
                next_wrote_one(c, batch);
        next_is_the_end(c, batch);
        dal_batch_close(batch);
}

/* ---- round trips ------------------------------------------------------------------------------------------------ */

static void batch__independent_statements_share_a_round_trip(struct conf *c)
{
        dal_cluster *cluster = open_one(c);
        dal_batch *batch = NULL;
        uint64_t start = conf_round_trips(c, cluster), written, read;

        fill_accounts(c, cluster, MANY);
        written = conf_round_trips(c, cluster);
        OK(dal_cluster_batch(cluster, key(), &batch, &c->err));
        for (int64_t id = 0; id < MANY; id++)
                OK(ask_balance(batch, id, &c->err));
        OK(dal_batch_run(batch, &c->err));
        for (int64_t id = 0; id < MANY; id++) {
                next_is(c, batch, 10 * id);
                assert_int_equal(dal_batch_index(batch), id);
        }
        next_is_the_end(c, batch);
        dal_batch_close(batch);
        read = conf_round_trips(c, cluster);
        if (conf_has_cap(c, DAL_CAP_PIPELINE)) {
                assert_int_equal(written - start, c->q->counts_round_trips);
                assert_int_equal(read - written, c->q->counts_round_trips);
        } else {
                assert_in_range(written - start, 0, MANY);
                assert_in_range(read - written, 0, MANY);
        }
        assert_int_equal(count(c), MANY);
        conf_cluster_end(c, cluster);
}

static dal_status run_accounts(dal_tx *tx, void *arg, dal_error *err)
{
        dal_batch *batch = NULL;
        bool found = true;
        int64_t *n = arg;
        dal_status s = dal_tx_queue(tx, &conf_add_account, DAL_PARAMS(dal_int64(1000), dal_int64(0)), err);

        if (s == DAL_OK)
                s = dal_tx_batch(tx, &batch, err);
        for (int64_t id = 0; s == DAL_OK && id < MANY; id++)
                s = add_account(batch, id, err);
        if (s == DAL_OK)
                s = dal_batch_run(batch, err);
        for (; s == DAL_OK && found; *n += dal_batch_n_rows(batch))
                s = dal_batch_next(batch, &found, err);
        dal_batch_close(batch);
        return s;
}

static void batch__transaction_with_a_batch_takes_two_round_trips(struct conf *c)
{
        dal_cluster *cluster = open_one(c);
        uint64_t before = conf_round_trips(c, cluster), cost;
        int64_t n = 0;

        OK(dal_cluster_run(cluster, key(), NULL, run_accounts, &n, &c->err));
        cost = conf_round_trips(c, cluster) - before;
        assert_int_equal(n, MANY);
        assert_int_equal(count(c), MANY + 1);
        if (conf_has_cap(c, DAL_CAP_PIPELINE))
                assert_int_equal(cost, 2 * c->q->counts_round_trips); /* BEGIN and all of them; COMMIT */
        conf_cluster_end(c, cluster);
}

/* ---- failures of independent statements --------------------------------------------------------------------------- */

static void batch__independent_writes_fail_alone(struct conf *c)
{
        static const int64_t ids[] = {1, 2, 1, 3, 2, 4};
        dal_cluster *cluster = open_one(c);
        dal_batch *batch = NULL;
        uint64_t before = conf_round_trips(c, cluster);
        bool found;

        OK(dal_cluster_batch(cluster, key(), &batch, &c->err));
        for (size_t i = 0; i < 6; i++)
                OK(add_account(batch, ids[i], &c->err));
        OK(dal_batch_run(batch, &c->err));
        for (size_t i = 0; i < 6; i++) {
                if (i != 2 && i != 4) {
                        next_wrote_one(c, batch);
                        continue;
                }
                found = false;
                FAILS(dal_batch_next(batch, &found, &c->err), UNIQUE);
                assert_true(found);
                assert_int_equal(dal_batch_index(batch), i);
                assert_int_equal(dal_batch_n_rows(batch), 0);
                assert_int_equal(strncmp(c->err.message,
                                         i == 2 ? "batch[2] add_account: " : "batch[4] add_account: ",
                                         strlen("batch[2] add_account: ")),
                                 0);
        }
        next_is_the_end(c, batch);
        dal_batch_close(batch);
        if (conf_has_cap(c, DAL_CAP_PIPELINE) && !conf_is_mode(c, "unnamed"))
                assert_int_equal(conf_round_trips(c, cluster) - before, c->q->counts_round_trips);
        assert_int_equal(count(c), 4);
        conf_cluster_end(c, cluster);
}

/* A failed query, wherever it stands, costs the others nothing but time; and neither does one that can't be prepared. */
static void batch__statements_behind_a_failed_query_run_in_order(struct conf *c)
{
        dal_cluster *cluster = open_one(c);
        dal_batch *batch = NULL;
        bool found;

        OK(dal_cluster_batch(cluster, key(), &batch, &c->err));
        OK(add_account(batch, 1, &c->err));
        for (int i = 0; i < 3; i++) {
                OK(dal_batch_add(batch, i == 1 ? &broken : &nowhere, DAL_NO_PARAMS, &c->err));
                OK(ask_balance(batch, 1, &c->err));
                OK(dal_batch_add(batch, &conf_add_balance, DAL_PARAMS(dal_int64(1), dal_int64(1)), &c->err));
        }
        OK(dal_batch_run(batch, &c->err));
        next_wrote_one(c, batch);
        for (int i = 0; i < 3; i++) {
                found = false;
                if (i == 1)
                        FAILS(dal_batch_next(batch, &found, &c->err), SYNTAX);
                else
                        FAILS(dal_batch_next(batch, &found, &c->err), UNDEFINED_OBJECT);
                assert_true(found);
                next_is(c, batch, 10 + i);
                next_wrote_one(c, batch);
        }
        next_is_the_end(c, batch);
        dal_batch_close(batch);
        conf_cluster_end(c, cluster);
}

/* Each failure among queries that share what the server takes for one transaction makes it skip the rest. */
static void batch__queries_that_fail_are_told_one_by_one(struct conf *c)
{
        dal_cluster *cluster = open_one(c);
        dal_batch *batch = NULL;
        uint64_t before;
        bool found;

        fill_accounts(c, cluster, MANY);
        before = conf_round_trips(c, cluster);
        OK(dal_cluster_batch(cluster, key(), &batch, &c->err));
        for (int64_t id = 0; id < MANY; id++)
                OK(id % 20 == 10 ? dal_batch_add(batch, &nowhere, DAL_NO_PARAMS, &c->err)
                                 : ask_balance(batch, id, &c->err));
        OK(dal_batch_run(batch, &c->err));
        for (int64_t id = 0; id < MANY; id++) {
                if (id % 20 == 10)
                        FAILS(dal_batch_next(batch, &found, &c->err), UNDEFINED_OBJECT);
                else
                        next_is(c, batch, 10 * id);
        }
        next_is_the_end(c, batch);
        dal_batch_close(batch);
        if (conf_has_cap(c, DAL_CAP_PIPELINE))
                assert_in_range(conf_round_trips(c, cluster) - before, 0,
                                12); /* not one for each that was skipped */
        conf_cluster_end(c, cluster);
}

/* Nothing but failures: what was sent in vain must not be sent again and again. */
static void batch__statements_that_all_fail_are_not_sent_for_ever(struct conf *c)
{
        enum {
                N = 400
        };
        dal_cluster *cluster = open_one(c);
        dal_conn *conn = NULL;
        dal_batch *batch = NULL;
        uint64_t n_requests;
        bool found;

        OK(dal_cluster_batch(cluster, key(), &batch, &c->err));
        for (int i = 0; i < N; i++)
                OK(dal_batch_add(batch, i < N / 2 ? &nowhere : &broken, DAL_NO_PARAMS, &c->err));
        OK(dal_batch_run(batch, &c->err));
        for (int i = 0; i < N; i++) {
                if (i < N / 2)
                        FAILS(dal_batch_next(batch, &found, &c->err), UNDEFINED_OBJECT);
                else
                        FAILS(dal_batch_next(batch, &found, &c->err), SYNTAX);
        }
        next_is_the_end(c, batch);
        dal_batch_close(batch);
        OK(dal_cluster_lease(cluster, 0, &conn, &c->err));
        n_requests = dal_conn_get_stats(conn).n_requests;
        dal_cluster_release(cluster, 0, conn);
        assert_in_range(n_requests, N, 6 * N); /* in vain no more than those that were not, give or take */
        conf_cluster_end(c, cluster);
}

/* What is wrong with a statement shows when its turn comes, and is its own failure. */
static void batch__statements_that_the_library_refuses_fail_alone(struct conf *c)
{
        static const dal_stmt ends = DAL_STMT("ends", "COMMIT");
        dal_cluster *cluster = open_one(c);
        dal_batch *batch = NULL;
        bool found;

        OK(dal_cluster_batch(cluster, key(), &batch, &c->err));
        OK(dal_batch_add(batch, &ends, DAL_NO_PARAMS, &c->err));
        OK(add_account(batch, 1, &c->err));
        OK(dal_batch_add(batch, &conf_add_account, DAL_PARAMS(dal_int64(2)), &c->err));
        OK(dal_batch_add(batch, &ends, DAL_NO_PARAMS, &c->err));
        OK(ask_balance(batch, 1, &c->err));
        OK(dal_batch_run(batch, &c->err));
        FAILS(dal_batch_next(batch, &found, &c->err), ARGUMENT);
        assert_non_null(strstr(c->err.message, "batch[0] "));
        next_wrote_one(c, batch);
        FAILS(dal_batch_next(batch, &found, &c->err), ARGUMENT);
        assert_non_null(strstr(c->err.message, "batch[2] "));
        FAILS(dal_batch_next(batch, &found, &c->err), ARGUMENT);
        next_is(c, batch, 10);
        next_is_the_end(c, batch);
        dal_batch_close(batch);
        conf_cluster_end(c, cluster);
}

/* ---- in a transaction ------------------------------------------------------------------------------------------------ */

struct told {
        dal_status status[6];
        dal_error_class error_class[6];
        char message[512];
        size_t n;
};

static dal_status fail_in_the_middle(dal_tx *tx, void *arg, dal_error *err)
{
        static const int64_t ids[] = {1, 2, 1, 3, 2, 4};
        struct told *told = arg;
        dal_batch *batch = NULL;
        bool found = true;
        dal_status s = dal_tx_batch(tx, &batch, err);

        for (size_t i = 0; s == DAL_OK && i < 6; i++)
                s = add_account(batch, ids[i], err);
        if (s == DAL_OK)
                s = dal_batch_run(batch, err);
        for (told->n = 0; s == DAL_OK && found && told->n < 7;) {
                dal_error failure = DAL_ERROR_INIT;
                dal_status one = dal_batch_next(batch, &found, &failure);

                if (!found)
                        break;
                told->status[told->n] = one;
                told->error_class[told->n] = failure.error_class;
                if (told->n == 2)
                        snprintf(told->message, sizeof told->message, "%s", failure.message);
                told->n++;
        }
        dal_batch_close(batch);
        return s;
}

static void batch__failure_in_a_transaction_spoils_it(struct conf *c)
{
        dal_cluster *cluster = open_one(c);
        struct told told;

        FAILS(dal_cluster_run(cluster, key(), NULL, fail_in_the_middle, &told, &c->err), COMMIT_ROLLED_BACK);
        assert_int_equal(told.n, 6);
        for (size_t i = 0; i < 6; i++)
                assert_int_equal(told.error_class[i], i < 2    ? DAL_CLASS_NONE
                                                      : i == 2 ? DAL_CLASS_UNIQUE
                                                               : DAL_CLASS_NOT_EXECUTED);
        assert_int_equal(strncmp(told.message, "batch[2] add_account: ", 22), 0);
        assert_int_equal(count(c), 0);
        conf_cluster_end(c, cluster);
}

/* Until the last result was read, nothing else can be asked; what is queued follows. */
static dal_status ask_in_between(dal_tx *tx, void *arg, dal_error *err)
{
        struct conf *c = arg;
        dal_batch *batch = NULL, *second = NULL;
        dal_rows *rows = NULL;

        OK(dal_tx_batch(tx, &batch, err));
        OK(dal_tx_batch(tx, &second, err));
        OK(add_account(batch, 1, err));
        OK(ask_balance(batch, 1, err));
        OK(ask_balance(second, 1, err));
        OK(dal_batch_run(batch, err));
        FAILS(dal_tx_exec(tx, &conf_remove_account, DAL_PARAMS(dal_int64(1)), NULL, &c->err), BUSY);
        FAILS(dal_tx_query(tx, &conf_balance, DAL_PARAMS(dal_int64(1)), &rows, &c->err), BUSY);
        FAILS(dal_batch_run(second, &c->err), BUSY);
        FAILS(dal_batch_run(batch, &c->err), BUSY);
        FAILS(ask_balance(batch, 1, &c->err), BUSY);
        OK(dal_tx_queue(tx, &conf_add_balance, DAL_PARAMS(dal_int64(7), dal_int64(1)), err));
        next_wrote_one(c, batch);
        FAILS(dal_tx_exec(tx, &conf_remove_account, DAL_PARAMS(dal_int64(1)), NULL, &c->err), BUSY);
        next_is(c, batch, 10);
        FAILS(dal_tx_exec(tx, &conf_remove_account, DAL_PARAMS(dal_int64(1)), NULL, &c->err), BUSY);
        next_is_the_end(c, batch);
        FAILS(dal_batch_next(batch, &(bool){false}, &c->err), STATE);
        OK(dal_batch_run(second, err));
        next_is(c, second, 17);
        next_is_the_end(c, second);
        /* Filled anew, with one left unclosed: it ends with the function. */
        OK(ask_balance(batch, 1, err));
        OK(dal_batch_run(batch, err));
        next_is(c, batch, 17);
        next_is_the_end(c, batch);
        dal_batch_close(batch);
        return DAL_OK;
}

static void batch__keeps_its_connection_busy_until_it_was_read(struct conf *c)
{
        dal_cluster *cluster = open_one(c);

        OK(dal_cluster_run(cluster, key(), NULL, ask_in_between, c, &c->err));
        conf_cluster_end(c, cluster);
}

static dal_status leave_unread(dal_tx *tx, void *arg, dal_error *err)
{
        const int64_t *last = arg;
        dal_batch *batch = NULL;
        dal_status s = dal_tx_batch(tx, &batch, err);

        /* More than one flight. */
        for (int64_t id = 0; s == DAL_OK && id < 1500; id++)
                s = add_account(batch, id, err);
        if (s == DAL_OK)
                s = add_account(batch, *last, err);
        return s ? s : dal_batch_run(batch, err);
}

static void batch__unread_at_commit_was_executed(struct conf *c)
{
        dal_cluster *cluster = open_one(c);
        int64_t last = 3;

        FAILS(dal_cluster_run(cluster, key(), NULL, leave_unread, &last, &c->err), COMMIT_ROLLED_BACK);
        assert_int_equal(count(c), 0);
        last = 1500;
        OK(dal_cluster_run(cluster, key(), NULL, leave_unread, &last, &c->err));
        assert_int_equal(count(c), 1501);
        conf_cluster_end(c, cluster);
}

static dal_status refuse_unread(dal_tx *tx, void *arg, dal_error *err)
{
        int64_t last = 3;
        dal_status s = leave_unread(tx, &last, err);

        (void)arg;
        return s ? s : dal_fail(err, DAL_ERR_APP, "no, after all");
}

static void batch__unread_is_rolled_back_with_its_function(struct conf *c)
{
        dal_cluster *cluster = open_one(c);

        FAILS(dal_cluster_run(cluster, key(), NULL, refuse_unread, NULL, &c->err), APP);
        assert_int_equal(count(c), 0);
        assert_true(dal_conn_tx_state(c->conn) == DAL_TX_STATE_IDLE);
        conf_cluster_end(c, cluster);
}

static dal_status inner_batch(dal_tx *tx, void *arg, dal_error *err)
{
        struct told told;

        (void)arg;
        return fail_in_the_middle(tx, &told, err);
}

static dal_status try_inner_batch(dal_tx *tx, void *arg, dal_error *err)
{
        struct conf *c = arg;

        OK(dal_tx_exec(tx, &conf_add_account, DAL_PARAMS(dal_int64(50), dal_int64(0)), NULL, err));
        FAILS(dal_tx_run(tx, inner_batch, NULL, &c->err), UNIQUE);
        return dal_tx_exec(tx, &conf_add_account, DAL_PARAMS(dal_int64(51), dal_int64(0)), NULL, err);
}

static void batch__failure_in_a_savepoint_undoes_the_batch_alone(struct conf *c)
{
        dal_cluster *cluster = open_one(c);

        OK(dal_cluster_run(cluster, key(), NULL, try_inner_batch, c, &c->err));
        assert_int_equal(count(c), 2);
        conf_cluster_end(c, cluster);
}

/* ---- much ------------------------------------------------------------------------------------------------------------------ */

/* More than the buffers between the two hold, while nobody reads: neither side waits for the other. */
static void batch__ten_thousand_results_wait_for_their_reader(struct conf *c)
{
        enum {
                N = 10000,
                SIZE = 4096
        };
        static char text[SIZE];
        dal_cluster *cluster = open_one(c);
        dal_batch *batch = NULL;
        const char *got;
        size_t size;
        bool found;

        memset(text, 'x', sizeof text);
        OK(dal_conn_exec(c->conn, &put_text, DAL_PARAMS(dal_int64(1), dal_text_n(text, SIZE)), SOON, NULL,
                         &c->err));
        OK(dal_cluster_batch(cluster, key(), &batch, &c->err));
        for (int i = 0; i < N; i++)
                OK(dal_batch_add(batch, &get_text, DAL_PARAMS(dal_int64(1)), &c->err));
        OK(dal_batch_run(batch, &c->err));
        for (int i = 0; i < N; i++) {
                OK(dal_batch_next(batch, &found, &c->err));
                assert_true(found);
                if (i % 100)
                        continue; /* most are not even looked at */
                OK(dal_rows_first(dal_batch_rows(batch), &c->err));
                OK(dal_rows_text(dal_batch_rows(batch), 0, &got, &size, &c->err));
                assert_int_equal(size, SIZE);
        }
        next_is_the_end(c, batch);
        dal_batch_close(batch);
        conf_cluster_end(c, cluster);
}

static void batch__large_parameters_go_one_by_one(struct conf *c)
{
        enum {
                N = 6,
                SIZE = 1024 * 1024
        };
        static char text[SIZE];
        dal_cluster *cluster = open_one(c);
        dal_batch *batch = NULL;
        const char *got;
        size_t size;
        bool found;

        memset(text, 'y', sizeof text);
        OK(dal_cluster_batch(cluster, key(), &batch, &c->err));
        for (int64_t id = 0; id < N; id++) {
                OK(dal_batch_add(batch, &put_text, DAL_PARAMS(dal_int64(id), dal_text_n(text, SIZE)),
                                 &c->err));
                OK(dal_batch_add(batch, &get_text, DAL_PARAMS(dal_int64(id)), &c->err));
        }
        OK(dal_batch_run(batch, &c->err));
        for (int64_t id = 0; id < N; id++) {
                next_wrote_one(c, batch);
                OK(dal_batch_next(batch, &found, &c->err));
                OK(dal_rows_first(dal_batch_rows(batch), &c->err));
                OK(dal_rows_text(dal_batch_rows(batch), 0, &got, &size, &c->err));
                assert_int_equal(size, SIZE);
                assert_int_equal(got[SIZE - 1], 'y');
        }
        next_is_the_end(c, batch);
        dal_batch_close(batch);
        conf_cluster_end(c, cluster);
}

static void batch__rows_closed_among_their_rows_do_not_look_read(struct conf *c)
{
        dal_cluster *cluster = open_one(c);
        dal_batch *batch = NULL;
        dal_rows *rows;
        bool found = false;

        OK(dal_cluster_batch(cluster, key(), &batch, &c->err));
        for (int i = 0; i < 2; i++)
                OK(dal_batch_add(batch, &conf_numbers, DAL_PARAMS(dal_int64(3)), &c->err));
        OK(dal_batch_run(batch, &c->err));
        OK(dal_batch_next(batch, &found, &c->err));
        rows = dal_batch_rows(batch);
        OK(dal_rows_next(rows, &found, &c->err));
        assert_true(found);
        dal_rows_close(rows);
        FAILS(dal_rows_next(rows, &found, &c->err), STATE);
        assert_false(found);
        next_is(c, batch, 0);
        next_is_the_end(c, batch);
        dal_batch_close(batch);
        conf_cluster_end(c, cluster);
}

static void batch__closed_unread_has_written_all_the_same(struct conf *c)
{
        dal_cluster *cluster = open_one(c);
        dal_batch *batch = NULL;

        OK(dal_cluster_batch(cluster, key(), &batch, &c->err));
        for (int64_t id = 0; id < 1200; id++) {
                OK(add_account(batch, id / 2, &c->err)); /* every second one fails */
                OK(ask_balance(batch, id / 2, &c->err));
        }
        OK(dal_batch_run(batch, &c->err));
        next_wrote_one(c, batch);
        dal_batch_close(batch);
        assert_int_equal(count(c), 600);
        conf_cluster_end(c, cluster);
}

/* ---- seen from the wire -------------------------------------------------------------------------------------------------- */

static dal_cluster *open_through(struct conf *c, struct conf_proxy **p)
{
        dal_cluster_options options = DAL_CLUSTER_OPTIONS_INIT;
        const dal_driver *drivers[1] = {c->driver};
        dal_cluster *cluster = NULL;
        char url[1200];

        *p = conf_proxy_new(c, url, sizeof url);
        options.pool.max_size = 1;
        options.timeout_ms = 20000;
        options.outcomes = DAL_OUTCOMES_OFF;
        OK(dal_cluster_open(url, drivers, 1, &options, &cluster, &c->err));
        fill_accounts(c, cluster, 3); /* prepares, and what a first lease costs */
        return cluster;
}

static void close_through(struct conf *c, struct conf_proxy *p, dal_cluster *cluster)
{
        OK(dal_cluster_close(cluster, 5000, &c->err));
        conf_proxy_free(p);
}

/* The server's answers are kept back until the last statement was heard: were one waited for, nothing would go on. */
static void batch__is_one_round_trip_on_the_wire(struct conf *c)
{
        static const char last[] = "the last statement";
        struct conf_proxy *p;
        dal_cluster *cluster;
        dal_batch *batch = NULL;

        if (!c->q->has_port || !conf_has_cap(c, DAL_CAP_PIPELINE))
                return;
        cluster = open_through(c, &p);
        for (int with_writes = 0; with_writes < (conf_is_mode(c, "unnamed") ? 1 : 2); with_writes++) {
                OK(dal_cluster_batch(cluster, key(), &batch, &c->err));
                for (int64_t i = 0; i < MANY; i++)
                        OK(ask_balance(batch, i % 3, &c->err));
                if (with_writes)
                        OK(dal_batch_add(batch, &put_text, DAL_PARAMS(dal_int64(1), dal_text(last)),
                                         &c->err));
                else
                        OK(dal_batch_add(batch, &find_text, DAL_PARAMS(dal_text(last)), &c->err));
                conf_proxy_keep_until(p, last, strlen(last));
                OK(dal_batch_run(batch, &c->err));
                for (int64_t i = 0; i < MANY; i++)
                        next_is(c, batch, 10 * (i % 3));
                OK(dal_batch_next(batch, &(bool){false}, &c->err));
                dal_batch_close(batch);
        }
        close_through(c, p, cluster);
}

/*
 * A pooler that takes the session for idle behind the first of several answers would give the others to somebody else
 * when we leave between the two: so it never owes two.
 */
static void batch__behind_a_pooler_writes_wait_for_each_other(struct conf *c)
{
        static const char last[] = "the last statement";
        struct conf_proxy *p;
        dal_cluster *cluster;
        dal_batch *batch = NULL;

        if (!c->q->has_port || !conf_is_mode(c, "unnamed"))
                return;
        cluster = open_through(c, &p);
        OK(dal_cluster_batch(cluster, key(), &batch, &c->err));
        for (int64_t i = 1; i < 3; i++)
                OK(dal_batch_add(batch, &put_text, DAL_PARAMS(dal_int64(i), dal_text(i == 2 ? last : "")),
                                 &c->err));
        OK(dal_batch_run(batch, &c->err));
        assert_int_equal(conf_proxy_heard(p, last, strlen(last)), 0);
        next_wrote_one(c, batch);
        next_wrote_one(c, batch);
        assert_int_equal(conf_proxy_heard(p, last, strlen(last)), 1);
        dal_batch_close(batch);
        close_through(c, p, cluster);
}

static dal_status queue_three(dal_tx *tx, void *arg, dal_error *err)
{
        dal_status s = DAL_OK;

        (void)arg;
        for (int64_t id = 11; s == DAL_OK && id <= 13; id++)
                s = dal_tx_queue(tx, &conf_add_account, DAL_PARAMS(dal_int64(id), dal_int64(1)), err);
        return s;
}

static void batch__queued_writes_and_commit_are_one_round_trip_on_the_wire(struct conf *c)
{
        struct conf_proxy *p;
        dal_cluster *cluster;

        if (!c->q->has_port || !conf_has_cap(c, DAL_CAP_PIPELINE))
                return;
        cluster = open_through(c, &p);
        conf_proxy_keep_until(p, "COMMIT", strlen("COMMIT"));
        OK(dal_cluster_run(cluster, key(), NULL, queue_three, NULL, &c->err));
        assert_int_equal(count(c), 6);
        close_through(c, p, cluster);
}

/* Whichever answer is lost: what was reported as done is there, writes without an answer are in doubt, queries answered. */
static void batch__connection_lost_in_the_middle_is_told_to_each(struct conf *c)
{
        int64_t n_sure = 3, n_in_doubt = 0;
        struct conf_proxy *p;
        dal_cluster *cluster;
        dal_batch *batch = NULL;
        bool found = false;

        if (!c->q->has_port)
                return;
        cluster = open_through(c, &p);
        for (int round = 0; round < 2; round++) {
                OK(dal_cluster_batch(cluster, key(), &batch, &c->err));
                for (int64_t i = 0; i < 10; i++) {
                        OK(add_account(batch, 100 + 10 * round + i, &c->err));
                        OK(ask_balance(batch, i % 3, &c->err));
                }
                if (round == 0)
                        conf_proxy_lose_next_answer(p);
                else
                        conf_proxy_lose_next_request(p);
                OK(dal_batch_run(batch, &c->err));
                for (int64_t i = 0; i < 10; i++) {
                        if (dal_batch_next(batch, &found, &c->err) == DAL_OK)
                                n_sure++;
                        else
                                n_in_doubt += c->err.error_class == DAL_CLASS_COMMIT_UNKNOWN;
                        assert_true(found);
                        next_is(c, batch, 10 * (i % 3));
                }
                next_is_the_end(c, batch);
                dal_batch_close(batch);
        }
        assert_int_equal(n_sure + n_in_doubt, 23);
        assert_true(n_in_doubt > 0);
        assert_in_range(count(c), n_sure, n_sure + n_in_doubt);
        close_through(c, p, cluster);
}

/* Behind the one that took too long each is answered, by the server or by the library; and all of it ends in time. */
/* A write, then perhaps something else, then ten seconds of sleep and many reads, within a second and a half. */
static void run_out_of_time(struct conf *c, const dal_stmt *before)
{
        dal_cluster_options options = DAL_CLUSTER_OPTIONS_INIT;
        dal_cluster *cluster;
        dal_batch *batch = NULL;
        int64_t start = dal_clock_now();
        size_t i_sleep = before ? 2 : 1;
        bool found = true, slept = false;
        size_t n_results = 0;

        options.timeout_ms = 1500;
        cluster = conf_cluster(c, &options);
        OK(dal_cluster_batch(cluster, key(), &batch, &c->err));
        OK(add_account(batch, 1, &c->err));
        if (before)
                OK(dal_batch_add(batch, before, DAL_NO_PARAMS, &c->err));
        OK(dal_batch_add(batch, &conf_sleep, DAL_NO_PARAMS, &c->err));
        for (int i = 0; i < MANY; i++)
                OK(ask_balance(batch, 1, &c->err));
        OK(dal_batch_run(batch, &c->err));
        next_wrote_one(c, batch);
        while (found) {
                dal_status s = dal_batch_next(batch, &found, &c->err);

                if (s && s != DAL_ERR_TIMEOUT)
                        fail_msg("%s: %s", dal_error_status_name(s), c->err.message);
                n_results += found;
                slept |= found && dal_batch_index(batch) == i_sleep && s == DAL_OK;
        }
        assert_false(slept);
        assert_int_equal(n_results, MANY + i_sleep);
        dal_batch_close(batch);
        assert_true(dal_clock_now() - start <
                    INT64_C(8000000000)); /* the statement itself takes ten seconds */
        conf_cluster_end(c, cluster);
}

static void batch__deadline_in_the_middle_ends_all_of_it(struct conf *c)
{
        run_out_of_time(c, NULL);
}

/*
 * Ends just after the deadline: a server that is told over another connection to stop it has gone on to what is behind
 * it by then, and stops that.
 */
static const dal_stmt nap =
        DAL_STMT("nap", "SELECT 1", .postgres = "SELECT pg_sleep(1.52)", .mysql = "SELECT SLEEP(1.52)");

static void batch__stop_that_strikes_the_next_is_the_deadline_too(struct conf *c)
{
        run_out_of_time(c, &nap);
}

/* ---- what changes meanwhile -------------------------------------------------------------------------------------------- */

static const dal_stmt star = DAL_STMT("star", "SELECT * FROM conf_changing");

static void next_has_columns(struct conf *c, dal_batch *batch, uint32_t n_columns)
{
        bool found = false;

        OK(dal_batch_next(batch, &found, &c->err));
        assert_true(found);
        OK(dal_rows_first(dal_batch_rows(batch), &c->err));
        assert_int_equal(dal_rows_n_columns(dal_batch_rows(batch)), n_columns);
}

/* With the statement that a change of the table concerns as the first of all, or behind another one. */
static void ask_star(struct conf *c, dal_cluster *cluster, bool first, uint32_t n_columns)
{
        dal_batch *batch = NULL;

        OK(dal_cluster_batch(cluster, key(), &batch, &c->err));
        if (first)
                OK(dal_batch_add(batch, &star, DAL_NO_PARAMS, &c->err));
        for (int i = 0; i < 3; i++) {
                OK(dal_batch_add(batch, &conf_count_accounts, DAL_NO_PARAMS, &c->err));
                OK(dal_batch_add(batch, &star, DAL_NO_PARAMS, &c->err));
        }
        OK(dal_batch_run(batch, &c->err));
        if (first)
                next_has_columns(c, batch, n_columns);
        for (int i = 0; i < 3; i++) {
                next_is(c, batch, 0);
                next_has_columns(c, batch, n_columns);
        }
        next_is_the_end(c, batch);
        dal_batch_close(batch);
}

static void batch__table_changed_under_its_prepared_statements(struct conf *c)
{
        dal_cluster *cluster = open_one(c);

        OK(dal_conn_script(c->conn, "CREATE TABLE conf_changing (a BIGINT)", SOON, &c->err));
        OK(dal_conn_script(c->conn, "INSERT INTO conf_changing VALUES (1)", SOON, &c->err));
        ask_star(c, cluster, false, 1);
        OK(dal_conn_script(c->conn, "ALTER TABLE conf_changing ADD COLUMN b BIGINT", SOON, &c->err));
        ask_star(c, cluster, false, 2); /* which was told by nobody but the server */
        OK(dal_conn_script(c->conn, "ALTER TABLE conf_changing ADD COLUMN d BIGINT", SOON, &c->err));
        ask_star(c, cluster, true, 3);
        conf_cluster_end(c, cluster);
        OK(dal_conn_script(c->conn, "DROP TABLE conf_changing", SOON, &c->err));
}

const struct conf_case batch_conf[] = {
        CONF_CASE(batch__independent_statements_share_a_round_trip),
        CONF_CASE(batch__transaction_with_a_batch_takes_two_round_trips),
        CONF_CASE(batch__independent_writes_fail_alone),
        CONF_CASE(batch__statements_behind_a_failed_query_run_in_order),
        CONF_CASE(batch__queries_that_fail_are_told_one_by_one),
        CONF_CASE(batch__statements_that_all_fail_are_not_sent_for_ever),
        CONF_CASE(batch__statements_that_the_library_refuses_fail_alone),
        CONF_CASE(batch__failure_in_a_transaction_spoils_it),
        CONF_CASE(batch__keeps_its_connection_busy_until_it_was_read),
        CONF_CASE(batch__unread_at_commit_was_executed),
        CONF_CASE(batch__unread_is_rolled_back_with_its_function),
        CONF_CASE(batch__failure_in_a_savepoint_undoes_the_batch_alone),
        CONF_CASE(batch__ten_thousand_results_wait_for_their_reader),
        CONF_CASE(batch__large_parameters_go_one_by_one),
        CONF_CASE(batch__rows_closed_among_their_rows_do_not_look_read),
        CONF_CASE(batch__closed_unread_has_written_all_the_same),
        CONF_CASE(batch__is_one_round_trip_on_the_wire),
        CONF_CASE(batch__behind_a_pooler_writes_wait_for_each_other),
        CONF_CASE(batch__queued_writes_and_commit_are_one_round_trip_on_the_wire),
        CONF_CASE(batch__connection_lost_in_the_middle_is_told_to_each),
        CONF_CASE(batch__deadline_in_the_middle_ends_all_of_it),
        CONF_CASE(batch__stop_that_strikes_the_next_is_the_deadline_too),
        CONF_CASE(batch__table_changed_under_its_prepared_statements),
        {NULL, NULL},
};
