/* SPDX-License-Identifier: MIT */
/* Two threads over the same rows: deadlock, lock timeout, stale writes, cancel. */

#include <pthread.h>

#include "conf.h"

static void two_accounts(struct conf *c)
{
        for (int64_t id = 1; id <= 2; id++)
                OK(dal_conn_exec(c->conn, &conf_add_account, DAL_PARAMS(dal_int64(id), dal_int64(100)), SOON,
                                 NULL, &c->err));
}

static int64_t balance(struct conf *c, int64_t id)
{
        return conf_number(c, c->conn, &conf_balance, DAL_PARAMS(dal_int64(id)));
}

static dal_status change(dal_conn *conn, int64_t id, int64_t by, dal_error *err)
{
        return dal_conn_exec(conn, &conf_add_balance, DAL_PARAMS(dal_int64(by), dal_int64(id)), SOON, NULL,
                             err);
}

static dal_conn *open_with_lock_timeout(struct conf *c, uint32_t ms)
{
        dal_conn_options options = DAL_CONN_OPTIONS_INIT;

        options.lock_timeout_ms = ms;
        return conf_open(c, &options);
}

/* --- On plain connections ------------------------------------------------------------------------------ */

struct worker {
        struct conf_meeting *meeting;
        dal_conn *conn;
        int64_t first, second;
        dal_status status;
        dal_error err;
        dal_tx_state state; /* after the last statement */
};

/* Changes one account, waits until the other thread has changed the other one, then wants that as well. */
static void *change_both(void *arg)
{
        struct worker *w = arg;

        w->status = dal_conn_begin(w->conn, DAL_ISOLATION_DEFAULT, false, SOON, &w->err);
        if (w->status == DAL_OK)
                w->status = change(w->conn, w->first, 1, &w->err);
        conf_meet(w->meeting, 3000);
        if (w->status == DAL_OK)
                w->status = change(w->conn, w->second, 1, &w->err);
        w->state = dal_conn_tx_state(w->conn);
        if (w->status == DAL_OK)
                w->status = dal_conn_commit(w->conn, SOON, &w->err);
        else
                dal_conn_rollback(w->conn, SOON, NULL);
        return NULL;
}

static void contention__deadlock_has_one_victim(struct conf *c)
{
        struct worker w[2];
        pthread_t threads[2];
        struct worker *victim;

        if (!c->q->row_locks)
                return; /* with a single writer no circle can form */
        two_accounts(c);
        memset(w, 0, sizeof w);
        w[0].meeting = w[1].meeting = conf_meeting_new();
        for (int i = 0; i < 2; i++) {
                w[i].conn = open_with_lock_timeout(c, 10000);
                w[i].first = 1 + i;
                w[i].second = 2 - i;
        }
        for (int i = 0; i < 2; i++)
                pthread_create(&threads[i], NULL, change_both, &w[i]);
        for (int i = 0; i < 2; i++)
                pthread_join(threads[i], NULL);
        conf_meeting_free(w[0].meeting);
        victim = w[0].status ? &w[0] : &w[1];
        OK((c->err = w[0].status ? w[1].err : w[0].err, w[0].status ? w[1].status : w[0].status));
        c->err = victim->err;
        FAILS(victim->status, DEADLOCK);
        assert_true(c->err.retry_tx);
        assert_false(c->err.conn_gone);
        assert_int_equal(c->err.tx_gone, c->q->deadlock_ends_tx);
        if (c->q->error_fails_tx)
                assert_int_equal(victim->state, DAL_TX_STATE_FAILED);
        if (c->q->deadlock_ends_tx)
                assert_int_equal(victim->state, DAL_TX_STATE_IDLE);
        assert_int_equal(dal_conn_tx_state(victim->conn), DAL_TX_STATE_IDLE);
        assert_int_equal(balance(c, 1), 101);
        assert_int_equal(balance(c, 2), 101);
        /* The victim's connection works, and in no transaction that nobody knows of. */
        c->err = victim->err;
        OK(change(victim->conn, 1, 10, &c->err));
        assert_int_equal(balance(c, 1), 111);
        dal_conn_close(w[0].conn);
        dal_conn_close(w[1].conn);
}

static void contention__lock_timeout(struct conf *c)
{
        dal_conn *other = open_with_lock_timeout(c, 1000); /* the MySQL family counts whole seconds */
        int64_t begun, took_ms;

        two_accounts(c);
        OK(dal_conn_begin(c->conn, DAL_ISOLATION_DEFAULT, false, SOON, &c->err));
        OK(change(c->conn, 1, 1, &c->err));
        begun = dal_clock_now();
        FAILS(change(other, 1, 1, &c->err), LOCK_TIMEOUT);
        took_ms = (dal_clock_now() - begun) / 1000000;
        assert_in_range(took_ms, 800, 3000);
        assert_true(c->err.retry_tx);
        assert_false(c->err.conn_gone);
        OK(dal_conn_commit(c->conn, SOON, &c->err));
        OK(change(other, 1, 1, &c->err));
        assert_int_equal(balance(c, 1), 102);
        dal_conn_close(other);
}

static void contention__stale_write_is_a_serialization_failure(struct conf *c)
{
        dal_conn *other;

        if (!c->q->first_updater_wins)
                return; /* such a write succeeds there; who needs more asks FOR UPDATE */
        other = conf_open(c, NULL);
        two_accounts(c);
        OK(dal_conn_begin(c->conn, DAL_ISOLATION_REPEATABLE_READ, false, SOON, &c->err));
        assert_int_equal(balance(c, 1), 100);
        OK(change(other, 1, 1, &c->err));
        FAILS(change(c->conn, 1, 1, &c->err), SERIALIZATION);
        assert_true(c->err.retry_tx);
        FAILS(dal_conn_commit(c->conn, SOON, &c->err), COMMIT_ROLLED_BACK);
        assert_int_equal(balance(c, 1), 101);
        dal_conn_close(other);
}

static void *cancel_soon(void *arg)
{
        struct worker *w = arg;

        conf_sleep_ms(300);
        w->status = dal_conn_cancel(w->conn, SOON, &w->err);
        return NULL;
}

static void contention__cancel_from_another_thread(struct conf *c)
{
        struct worker w;
        pthread_t thread;
        int64_t begun = dal_clock_now(), took_ms;
        dal_status s;

        memset(&w, 0, sizeof w);
        w.conn = c->conn;
        pthread_create(&thread, NULL, cancel_soon, &w);
        s = dal_conn_exec(c->conn, &conf_sleep, DAL_NO_PARAMS, SOON, NULL, &c->err);
        took_ms = (dal_clock_now() - begun) / 1000000;
        pthread_join(thread, NULL);
        FAILS(s, CANCELED);
        assert_in_range(took_ms, 250, 3000);
        c->err = w.err;
        OK(w.status);
        two_accounts(c);
        /* A cancel that comes too late strikes nobody. */
        OK(dal_conn_cancel(c->conn, SOON, &c->err));
        conf_sleep_ms(200);
        assert_int_equal(balance(c, 1), 100);
}

static void contention__deadline_on_a_connection(struct conf *c)
{
        dal_conn *conn = conf_open(c, NULL);
        int64_t begun = dal_clock_now(), took_ms;

        FAILS(dal_conn_exec(conn, &conf_sleep, DAL_NO_PARAMS, dal_clock_after_ms(300), NULL, &c->err),
              DEADLINE);
        took_ms = (dal_clock_now() - begun) / 1000000;
        assert_in_range(took_ms, 250, 1300);
        dal_conn_close(conn);
}

static void contention__statement_timeout_of_the_session(struct conf *c)
{
        dal_conn_options options = DAL_CONN_OPTIONS_INIT;
        int64_t begun, took_ms;
        dal_conn *conn;

        options.statement_timeout_ms = 300;
        conn = conf_open(c, &options);
        begun = dal_clock_now();
        FAILS(dal_conn_exec(conn, &conf_sleep, DAL_NO_PARAMS, SOON, NULL, &c->err), STATEMENT_TIMEOUT);
        took_ms = (dal_clock_now() - begun) / 1000000;
        assert_in_range(took_ms, 250, 2000);
        assert_false(c->err.conn_gone);
        assert_int_equal(conf_number(c, conn, &conf_count_accounts, DAL_NO_PARAMS), 0);
        dal_conn_close(conn);
}

/* --- Through the cluster ------------------------------------------------------------------------------- */

struct runner {
        dal_cluster *cluster;
        struct conf_meeting *meeting;
        int64_t first, second, amount;
        uint32_t n_times; /* transactions to run */
        const dal_tx_options *options;
        dal_status status;
        dal_error err;
};

static dal_status tx_change(dal_tx *tx, int64_t id, int64_t by, dal_error *err)
{
        return dal_tx_exec(tx, &conf_add_balance, DAL_PARAMS(dal_int64(by), dal_int64(id)), NULL, err);
}

static dal_status move_over(dal_tx *tx, void *arg, dal_error *err)
{
        struct runner *r = arg;
        dal_status s = tx_change(tx, r->first, -r->amount, err);

        if (s)
                return s;
        if (r->meeting && dal_tx_attempt(tx) == 1)
                conf_meet(r->meeting, 500);
        return tx_change(tx, r->second, r->amount, err);
}

static void *run(void *arg)
{
        struct runner *r = arg;

        for (uint32_t i = 0; i < r->n_times && r->status == DAL_OK; i++)
                r->status = dal_cluster_run(r->cluster, dal_key_int64(r->first), r->options, move_over, r,
                                            &r->err);
        return NULL;
}

struct events {
        pthread_mutex_t lock;
        uint32_t n_retries;
        dal_error_class last;
};

static void on_event(void *arg, const dal_event *event)
{
        struct events *events = arg;

        if (event->kind != DAL_EVENT_RETRY)
                return;
        pthread_mutex_lock(&events->lock);
        events->n_retries++;
        events->last = event->error->error_class;
        pthread_mutex_unlock(&events->lock);
}

static void run_all(struct conf *c, struct runner *r, int n)
{
        pthread_t threads[8];

        for (int i = 0; i < n; i++)
                pthread_create(&threads[i], NULL, run, &r[i]);
        for (int i = 0; i < n; i++)
                pthread_join(threads[i], NULL);
        for (int i = 0; i < n; i++) {
                c->err = r[i].err;
                OK(r[i].status);
        }
}

/* Two transactions in each other's way: one is run again, and both happen exactly once. */
static void contention__deadlock_is_retried_and_both_commit(struct conf *c)
{
        dal_cluster_options options = DAL_CLUSTER_OPTIONS_INIT;
        struct events events = {PTHREAD_MUTEX_INITIALIZER, 0, DAL_CLASS_NONE};
        struct runner r[2];

        two_accounts(c);
        options.on_event = on_event;
        options.on_event_arg = &events;
        memset(r, 0, sizeof r);
        r[0].cluster = r[1].cluster = conf_cluster(c, &options);
        r[0].meeting = r[1].meeting = conf_meeting_new();
        for (int i = 0; i < 2; i++) {
                r[i].first = 1 + i;
                r[i].second = 2 - i;
                r[i].amount = 10 + i;
                r[i].n_times = 1;
        }
        run_all(c, r, 2);
        conf_meeting_free(r[0].meeting);
        if (c->q->row_locks) {
                assert_true(events.n_retries >= 1);
                assert_int_equal(events.last, DAL_CLASS_DEADLOCK);
        }
        assert_int_equal(balance(c, 1), 101);
        assert_int_equal(balance(c, 2), 99);
        conf_cluster_end(c, r[0].cluster);
}

/* Money moves to and fro from all sides and none is lost. */
static void contention__many_threads_lose_nothing(struct conf *c)
{
        enum {
                N_THREADS = 4,
                N_TIMES = 25
        };
        dal_cluster_options options = DAL_CLUSTER_OPTIONS_INIT;
        dal_tx_options tx_options = DAL_TX_OPTIONS_INIT;
        struct runner r[N_THREADS];

        two_accounts(c);
        options.timeout_ms = 60000;
        tx_options.max_attempts = 1000; /* two rows for all is more trouble than ten attempts are meant for */
        options.pool.max_size = 3;
        memset(r, 0, sizeof r);
        for (int i = 0; i < N_THREADS; i++) {
                r[i].cluster = i == 0 ? conf_cluster(c, &options) : r[0].cluster;
                r[i].first = i == 3 ? 2 : 1; /* one thread goes against the stream */
                r[i].second = i == 3 ? 1 : 2;
                r[i].amount = i + 1;
                r[i].n_times = N_TIMES;
                r[i].options = &tx_options;
        }
        run_all(c, r, N_THREADS);
        /* Each time 1 + 2 + 3 go there and 4 come back. */
        assert_int_equal(balance(c, 1), 100 - 2 * N_TIMES);
        assert_int_equal(balance(c, 2), 100 + 2 * N_TIMES);
        conf_cluster_end(c, r[0].cluster);
}

const struct conf_case contention_conf[] = {
        CONF_CASE(contention__deadlock_has_one_victim),
        CONF_CASE(contention__lock_timeout),
        CONF_CASE(contention__stale_write_is_a_serialization_failure),
        CONF_CASE(contention__cancel_from_another_thread),
        CONF_CASE(contention__deadline_on_a_connection),
        CONF_CASE(contention__statement_timeout_of_the_session),
        CONF_CASE(contention__deadlock_is_retried_and_both_commit),
        CONF_CASE(contention__many_threads_lose_nothing),
        {NULL, NULL},
};
