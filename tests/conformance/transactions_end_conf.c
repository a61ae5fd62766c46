/* SPDX-License-Identifier: MIT */
/* The end of a transaction: COMMIT that is answered otherwise than it seems, too late, or not at all. */

#include <stdlib.h>

#include "conf.h"
#include "proxy.h"

static void add(struct conf *c, int64_t id)
{
        OK(dal_conn_exec(c->conn, &conf_add_account, DAL_PARAMS(dal_int64(id), dal_int64(100)), SOON, NULL,
                         &c->err));
}

static int64_t count(struct conf *c)
{
        return conf_number(c, c->conn, &conf_count_accounts, DAL_NO_PARAMS);
}

/* --- The driver's own word ------------------------------------------------------------------------------ */

/* One request straight through the driver's table, past all that the core knows. */
static dal_status raw(struct conf *c, void *state, dal_request_kind kind, const char *text)
{
        dal_request request;
        dal_result result;
        dal_status s;

        memset(&request, 0, sizeof request);
        request.kind = kind;
        request.text = text;
        request.text_size = text ? strlen(text) : 0;
        memset(&result, 0, sizeof result);
        s = c->driver->queue(state, &request, &c->err);
        if (s == DAL_OK)
                s = c->driver->flush(state, SOON, &c->err);
        return s ? s : c->driver->result(state, SOON, &result, &c->err);
}

/*
 * COMMIT of a failed transaction: a server that answers by a rollback calls that a success. The core never sends it;
 * the driver would notice all the same.
 */
static void transactions__commit_answered_by_rollback_is_an_error(struct conf *c)
{
        dal_open_args args;
        dal_dsn *dsn = NULL;
        void *state;

        if (!c->q->error_fails_tx || c->server)
                return; /* the fault suite lets the fake server do it */
        OK(dal_driver_resolve_dsn(c->driver, c->dsn, NULL, NULL, &dsn, &c->err));
        memset(&args, 0, sizeof args);
        args.dsn = dsn;
        args.service = "raw";
        args.user = dal_dsn_user(dsn);
        args.password = dal_dsn_password(dsn);
        args.statements = conf_statements(c);
        state = calloc(1, c->driver->conn_size);
        assert_non_null(state);
        OK(c->driver->open(state, &args, SOON, &c->err));
        OK(raw(c, state, DAL_REQUEST_BEGIN, NULL));
        OK(raw(c, state, DAL_REQUEST_SCRIPT, "INSERT INTO conf_account (id, balance) VALUES (1, 1)"));
        FAILS(raw(c, state, DAL_REQUEST_SCRIPT, "INSERT INTO conf_account (id, balance) VALUES (1, 1)"),
              UNIQUE);
        FAILS(raw(c, state, DAL_REQUEST_COMMIT, NULL), COMMIT_ROLLED_BACK);
        assert_int_equal(c->driver->tx_state(state), DAL_TX_STATE_IDLE);
        c->driver->close(state);
        free(state);
        dal_dsn_free(dsn);
        assert_int_equal(count(c), 0);
}

/* --- The answer to COMMIT is lost ------------------------------------------------------------------------ */

struct loser {
        struct conf *c;
        struct conf_proxy *proxy;
        bool answer; /* lose the answer; else the request */
        int n_calls, n_hooks;
};

static void on_end(void *arg)
{
        ((struct loser *)arg)->n_hooks++;
}

static dal_status add_and_lose(dal_tx *tx, void *arg, dal_error *err)
{
        struct loser *l = arg;
        dal_status s;

        l->n_calls++;
        if ((s = dal_tx_on_commit(tx, on_end, l, err)) || (s = dal_tx_on_rollback(tx, on_end, l, err)))
                return s;
        s = dal_tx_exec(tx, &conf_add_account, DAL_PARAMS(dal_int64(1), dal_int64(1)), NULL, err);
        if (l->answer)
                conf_proxy_lose_next_answer(l->proxy);
        else
                conf_proxy_lose_next_request(l->proxy);
        return s;
}

/* On a real wire: whether it happened or not, nothing is run again, no hook is called, and the caller is told. */
static void transactions__a_lost_answer_to_commit_is_in_doubt(struct conf *c)
{
        const dal_driver *drivers[1] = {c->driver};

        if (!c->q->has_port)
                return; /* the fault suite lets the fake server do it */
        for (int answer = 0; answer < 2; answer++) {
                struct loser l = {.answer = answer == 1};
                dal_cluster *cluster = NULL;
                char url[1200];

                l.proxy = conf_proxy_new(c, url, sizeof url);
                OK(dal_cluster_open(url, drivers, 1, NULL, &cluster, &c->err));
                FAILS(dal_cluster_run(cluster, dal_key_int64(1), NULL, add_and_lose, &l, &c->err),
                      COMMIT_UNKNOWN);
                assert_int_equal(l.n_calls, 1);
                assert_int_equal(l.n_hooks, 0);
                /* The server may not have noticed yet; the row's lock tells when. */
                OK(dal_conn_exec(c->conn, &conf_add_balance, DAL_PARAMS(dal_int64(1), dal_int64(1)), SOON,
                                 NULL, &c->err));
                assert_int_equal(count(c), answer);
                OK(dal_cluster_close(cluster, 5000, &c->err));
                conf_proxy_free(l.proxy);
        }
}

/* --- The answer to a failed statement comes, and what stands behind it is lost ------------------------------- */

static dal_status add_twice(dal_tx *tx, void *arg, dal_error *err)
{
        struct conf_proxy *p = ((struct loser *)arg)->proxy;
        struct conf *c = ((struct loser *)arg)->c;
        dal_status s = dal_tx_exec(tx, &conf_add_account, DAL_PARAMS(dal_int64(1), dal_int64(1)), NULL, err);

        ((struct loser *)arg)->n_calls++;
        if (s == DAL_OK)
                s = dal_tx_on_rollback(tx, on_end, arg, err);
        if (s == DAL_OK)
                s = dal_tx_queue(tx, &conf_add_account, DAL_PARAMS(dal_int64(1), dal_int64(1)), err);
        conf_proxy_cut_before(p, c->q->answer_end, c->q->answer_end_size);
        return s;
}

/* COMMIT left in the same flush, and the server skips what stands behind a failure: nothing is in doubt. */
static void transactions__a_failure_stands_though_the_connection_is_lost_behind_it(struct conf *c)
{
        const dal_driver *drivers[1] = {c->driver};
        dal_key key = dal_key_int64(1);
        struct loser l = {.c = c};
        dal_cluster *cluster = NULL;
        char url[1200];

        if (!c->q->answer_end)
                return;
        l.proxy = conf_proxy_new(c, url, sizeof url);
        OK(dal_cluster_open(url, drivers, 1, NULL, &cluster, &c->err));
        FAILS(dal_cluster_run(cluster, key, NULL, add_twice, &l, &c->err), UNIQUE);
        assert_true(c->err.tx_gone);
        assert_int_equal(l.n_calls, 1);
        assert_int_equal(l.n_hooks, 1);
        /* A statement that commits by itself alike; and what comes next has a connection that works. */
        OK(dal_cluster_exec(cluster, key, &conf_add_account, DAL_PARAMS(dal_int64(1), dal_int64(1)), NULL,
                            &c->err));
        conf_proxy_cut_before(l.proxy, c->q->answer_end, c->q->answer_end_size);
        FAILS(dal_cluster_exec(cluster, key, &conf_add_account, DAL_PARAMS(dal_int64(1), dal_int64(1)), NULL,
                               &c->err),
              UNIQUE);
        OK(dal_cluster_exec(cluster, key, &conf_add_account, DAL_PARAMS(dal_int64(2), dal_int64(1)), NULL,
                            &c->err));
        assert_int_equal(count(c), 2);
        OK(dal_cluster_close(cluster, 5000, &c->err));
        conf_proxy_free(l.proxy);
}

static dal_status add_again_and_cut(dal_tx *tx, void *arg, dal_error *err)
{
        struct loser *l = arg;

        if (l->n_calls == 1)
                conf_proxy_cut_before(l->proxy, l->c->q->answer_end, l->c->q->answer_end_size);
        return dal_tx_exec(tx, &conf_add_account, DAL_PARAMS(dal_int64(1), dal_int64(1)), NULL, err);
}

static dal_status add_and_try_again(dal_tx *tx, void *arg, dal_error *err)
{
        dal_status s = dal_tx_exec(tx, &conf_add_account, DAL_PARAMS(dal_int64(1), dal_int64(1)), NULL, err);

        ((struct loser *)arg)->n_calls++;
        if (s == DAL_OK)
                s = dal_tx_run(tx, add_again_and_cut, arg, err);
        if (s != DAL_ERR_CONSTRAINT)
                return s;
        return dal_tx_exec(tx, &conf_add_account, DAL_PARAMS(dal_int64(2), dal_int64(1)), NULL, err);
}

/* The outer function can't go on without its connection: it hears of the loss, not of what was undone with it. */
static void transactions__a_loss_behind_a_nested_failure_runs_it_all_again(struct conf *c)
{
        const dal_driver *drivers[1] = {c->driver};
        struct loser l = {.c = c};
        dal_cluster *cluster = NULL;
        char url[1200];

        if (!c->q->answer_end)
                return;
        l.proxy = conf_proxy_new(c, url, sizeof url);
        OK(dal_cluster_open(url, drivers, 1, NULL, &cluster, &c->err));
        OK(dal_cluster_run(cluster, dal_key_int64(1), NULL, add_and_try_again, &l, &c->err));
        assert_int_equal(l.n_calls, 2);
        assert_int_equal(count(c), 2);
        OK(dal_cluster_close(cluster, 5000, &c->err));
        conf_proxy_free(l.proxy);
}

/* --- A serialization failure that COMMIT finds ------------------------------------------------------------- */

static const dal_stmt sum_of_all = DAL_STMT("sum_of_all", "SELECT SUM(balance) FROM conf_account",
                                            .postgres = "SELECT SUM(balance)::BIGINT FROM conf_account");

struct skew {
        struct conf *c;
        dal_conn *other;
        int n_calls;
        uint32_t last_attempt;
};

static dal_status read_then_write(dal_conn *conn, int64_t id, dal_error *err)
{
        dal_status s = dal_conn_exec(conn, &sum_of_all, DAL_NO_PARAMS, SOON, NULL, err);

        return s ? s
                 : dal_conn_exec(conn, &conf_add_balance, DAL_PARAMS(dal_int64(1), dal_int64(id)), SOON, NULL,
                                 err);
}

/* While the first attempt is under way somebody reads what it writes, and writes what it read. */
static dal_status write_skew(dal_tx *tx, void *arg, dal_error *err)
{
        struct skew *skew = arg;
        dal_status s = dal_tx_exec(tx, &sum_of_all, DAL_NO_PARAMS, NULL, err);

        skew->last_attempt = dal_tx_attempt(tx);
        if (s == DAL_OK)
                s = dal_tx_exec(tx, &conf_add_balance, DAL_PARAMS(dal_int64(1), dal_int64(2)), NULL, err);
        if (s == DAL_OK && skew->n_calls++ == 0) {
                s = dal_conn_begin(skew->other, DAL_ISOLATION_SERIALIZABLE, false, SOON, err);
                s = s ? s : read_then_write(skew->other, 1, err);
                s = s ? s : dal_conn_commit(skew->other, SOON, err);
        }
        return s;
}

/* All statements went well and COMMIT does not: the whole function runs again, and knows that it does. */
static void transactions__serialization_failure_at_commit_runs_it_again(struct conf *c)
{
        struct skew skew = {.c = c};
        dal_tx_options options = DAL_TX_OPTIONS_INIT;
        dal_cluster *cluster;

        if (!c->q->commit_may_conflict)
                return; /* a locking engine finds it earlier */
        add(c, 1);
        add(c, 2);
        skew.other = conf_open(c, NULL);
        cluster = conf_cluster(c, NULL);
        options.isolation = DAL_ISOLATION_SERIALIZABLE;
        OK(dal_cluster_run(cluster, dal_key_int64(1), &options, write_skew, &skew, &c->err));
        assert_int_equal(skew.n_calls, 2);
        assert_int_equal(skew.last_attempt, 2);
        assert_int_equal(conf_number(c, c->conn, &sum_of_all, DAL_NO_PARAMS), 202);
        conf_cluster_end(c, cluster);
        dal_conn_close(skew.other);
}

const struct conf_case transactions_end_conf[] = {
        CONF_CASE(transactions__commit_answered_by_rollback_is_an_error),
        CONF_CASE(transactions__a_lost_answer_to_commit_is_in_doubt),
        CONF_CASE(transactions__a_failure_stands_though_the_connection_is_lost_behind_it),
        CONF_CASE(transactions__a_loss_behind_a_nested_failure_runs_it_all_again),
        CONF_CASE(transactions__serialization_failure_at_commit_runs_it_again),
        {NULL, NULL},
};
