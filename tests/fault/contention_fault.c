/* SPDX-License-Identifier: MIT */
/* Transactions that can't both be right: deadlocks in numbers, and write skew under SERIALIZABLE. */

#include <pthread.h>
#include <stdatomic.h>

#include "fault.h"

enum {
        N_THREADS = 4,
        N_TIMES = 20
};

struct contender {
        dal_cluster *cluster;
        int i;
        int64_t n_committed;
        const dal_tx_options *options;
        dal_tx_fn *fn;
        dal_status status;
        dal_error err;
};

static atomic_int n_retries;

static void on_event(void *arg, const dal_event *event)
{
        (void)arg;
        if (event->kind == DAL_EVENT_RETRY)
                atomic_fetch_add(&n_retries, 1);
}

static void *contend(void *arg)
{
        struct contender *r = arg;

        for (int i = 0; i < N_TIMES && r->status == DAL_OK; i++) {
                r->status = dal_cluster_run(r->cluster, dal_key_int64(1), r->options, r->fn, r, &r->err);
                r->n_committed += r->status == DAL_OK;
        }
        return NULL;
}

static void run_all(struct conf *c, dal_tx_fn *fn, const dal_tx_options *tx_options, struct contender *r)
{
        dal_cluster_options options = DAL_CLUSTER_OPTIONS_INIT;
        pthread_t threads[N_THREADS];

        atomic_store(&n_retries, 0);
        options.on_event = on_event;
        options.timeout_ms = 60000;
        options.pool.max_size = N_THREADS;
        memset(r, 0, N_THREADS * sizeof *r);
        for (int i = 0; i < N_THREADS; i++) {
                r[i].cluster = i == 0 ? conf_cluster(c, &options) : r[0].cluster;
                r[i].i = i;
                r[i].fn = fn;
                r[i].options = tx_options;
        }
        for (int i = 0; i < N_THREADS; i++)
                pthread_create(&threads[i], NULL, contend, &r[i]);
        for (int i = 0; i < N_THREADS; i++)
                pthread_join(threads[i], NULL);
        for (int i = 0; i < N_THREADS; i++) {
                c->err = r[i].err;
                OK(r[i].status);
        }
        conf_cluster_end(c, r[0].cluster);
}

static void add_accounts(struct conf *c, int64_t n, int64_t balance)
{
        for (int64_t id = 1; id <= n; id++)
                OK(dal_conn_exec(c->conn, &conf_add_account, DAL_PARAMS(dal_int64(id), dal_int64(balance)),
                                 SOON, NULL, &c->err));
}

static int64_t balance(struct conf *c, int64_t id)
{
        return conf_number(c, c->conn, &conf_balance, DAL_PARAMS(dal_int64(id)));
}

/* Half of the threads go up, half of them down: the worst order there is. */
static dal_status change_three(dal_tx *tx, void *arg, dal_error *err)
{
        const struct contender *r = arg;
        dal_status s = DAL_OK;

        for (int64_t k = 0; k < 3 && s == DAL_OK; k++) {
                int64_t id = r->i % 2 ? 3 - k : 1 + k;
                s = dal_tx_exec(tx, &conf_add_balance, DAL_PARAMS(dal_int64(1), dal_int64(id)), NULL, err);
                if (k == 0)
                        conf_sleep_ms(2);
        }
        return s;
}

static void contention__deadlocks_lose_and_repeat_nothing(struct conf *c)
{
        struct contender r[N_THREADS];
        dal_tx_options options = DAL_TX_OPTIONS_INIT;

        options.max_attempts = 1000; /* the deadline alone decides here */
        add_accounts(c, 3, 0);
        run_all(c, change_three, &options, r);
        for (int64_t id = 1; id <= 3; id++)
                assert_int_equal(balance(c, id), N_THREADS * N_TIMES);
        if (c->q->row_locks)
                assert_true(atomic_load(&n_retries) > 0);
        print_message("%d transactions, %d retries\n", N_THREADS * N_TIMES, atomic_load(&n_retries));
}

/* Read both, then write to one's own: two such at the same time are not as if one came after the other. */
static dal_status read_both_write_one(dal_tx *tx, void *arg, dal_error *err)
{
        const struct contender *r = arg;
        int64_t sum = 0, value;
        dal_status s = DAL_OK;

        for (int64_t id = 1; id <= 2 && s == DAL_OK; id++) {
                dal_rows *rows = NULL;
                s = dal_tx_query(tx, &conf_balance, DAL_PARAMS(dal_int64(id)), &rows, err);
                if (s == DAL_OK)
                        s = dal_rows_first(rows, err);
                if (s == DAL_OK)
                        s = dal_rows_int64(rows, 0, &value, err);
                if (s == DAL_OK)
                        sum += value;
                dal_rows_close(rows);
        }
        /* The rule: both together never below zero; so one may go below alone. */
        if (s || sum < 1)
                return s;
        return dal_tx_exec(tx, &conf_add_balance, DAL_PARAMS(dal_int64(-1), dal_int64(1 + r->i % 2)), NULL,
                           err);
}

static void contention__write_skew_is_impossible_when_serializable(struct conf *c)
{
        struct contender r[N_THREADS];
        dal_tx_options options = DAL_TX_OPTIONS_INIT;

        if (c->server)
                return; /* the fake server's SERIALIZABLE sees stale writes only, not skew */
        options.isolation = DAL_ISOLATION_SERIALIZABLE;
        options.max_attempts = 1000;
        add_accounts(c, 2, 10); /* 20 to take, 40 who want */
        run_all(c, read_both_write_one, &options, r);
        assert_int_equal(balance(c, 1) + balance(c, 2), 0);
        print_message("%d transactions, %d retries\n", N_THREADS * N_TIMES, atomic_load(&n_retries));
}

const struct conf_case contention_fault[] = {
        CONF_CASE(contention__deadlocks_lose_and_repeat_nothing),
        CONF_CASE(contention__write_skew_is_impossible_when_serializable),
        {NULL, NULL},
};
