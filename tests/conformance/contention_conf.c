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

/* Some servers undo the waiting statement only; half a transaction must not be committed on any of them. */
static void contention__lock_timeout_in_a_transaction_undoes_all_of_it(struct conf *c)
{
        dal_conn *other = open_with_lock_timeout(c, 1000);
        dal_status s;

        two_accounts(c);
        OK(dal_conn_begin(c->conn, DAL_ISOLATION_DEFAULT, false, SOON, &c->err));
        OK(change(c->conn, 1, 1, &c->err));
        OK(dal_conn_begin(other, DAL_ISOLATION_DEFAULT, false, SOON, &c->err));
        s = change(other, 2, 50, &c->err);
        if (s == DAL_OK) /* an engine with one writer refuses the first write already */
                s = change(other, 1, 50, &c->err);
        FAILS(s, LOCK_TIMEOUT);
        assert_true(c->err.retry_tx);
        FAILS(change(other, 2, 50, &c->err), TX_STATE);
        FAILS(dal_conn_commit(other, SOON, &c->err), COMMIT_ROLLED_BACK);
        OK(dal_conn_commit(c->conn, SOON, &c->err));
        assert_int_equal(balance(c, 1), 101);
        assert_int_equal(balance(c, 2), 100);
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
        uint32_t meet_ms;
        int64_t first, second, amount;
        uint32_t n_times; /* transactions to run */
        const dal_tx_options *options;
        dal_tx_fn *fn; /* NULL = move_over */
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
                conf_meet(r->meeting, r->meet_ms);
        return tx_change(tx, r->second, r->amount, err);
}

static void *run(void *arg)
{
        struct runner *r = arg;

        for (uint32_t i = 0; i < r->n_times && r->status == DAL_OK; i++)
                r->status = dal_cluster_run(r->cluster, dal_key_int64(r->first), r->options,
                                            r->fn ? r->fn : move_over, r, &r->err);
        return NULL;
}

/*
 * How long two threads wait for each other. Where the first to come locks the second out they can't meet, and the wait
 * is in vain; where they can it is as long as a loaded machine may need.
 */
static uint32_t time_to_meet(const struct conf *c)
{
        return c->q->row_locks ? 20000 : 500;
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
        options.timeout_ms = 60000;
        options.on_event = on_event;
        options.on_event_arg = &events;
        memset(r, 0, sizeof r);
        r[0].cluster = r[1].cluster = conf_cluster(c, &options);
        r[0].meeting = r[1].meeting = conf_meeting_new();
        for (int i = 0; i < 2; i++) {
                r[i].meet_ms = time_to_meet(c);
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

static dal_status change_second(dal_tx *tx, void *arg, dal_error *err)
{
        const struct runner *r = arg;

        return tx_change(tx, r->second, r->amount, err);
}

/* The second change is made in a savepoint, which some servers have forgotten together with the transaction. */
static dal_status move_over_nested(dal_tx *tx, void *arg, dal_error *err)
{
        struct runner *r = arg;
        dal_status s = tx_change(tx, r->first, -r->amount, err);

        if (s)
                return s;
        if (dal_tx_attempt(tx) == 1)
                conf_meet(r->meeting, r->meet_ms);
        s = dal_tx_run(tx, change_second, r, err);
        if (s ==
            DAL_ERR_CONFLICT) { /* a savepoint can't contain it: the whole is over, whatever is said here */
                dal_error ignored = DAL_ERROR_INIT;

                if (tx_change(tx, r->first, 1000, &ignored) == DAL_OK)
                        return dal_fail(err, DAL_ERR_APP, "the transaction goes on after a deadlock");
        }
        return s;
}

static void *run_nested(void *arg)
{
        struct runner *r = arg;

        r->status = dal_cluster_run(r->cluster, dal_key_int64(r->first), NULL, move_over_nested, r, &r->err);
        return NULL;
}

static void contention__deadlock_in_a_savepoint_ends_the_whole_transaction(struct conf *c)
{
        dal_cluster_options options = DAL_CLUSTER_OPTIONS_INIT;
        struct runner r[2];
        pthread_t threads[2];

        two_accounts(c);
        options.timeout_ms = 60000;
        memset(r, 0, sizeof r);
        r[0].cluster = r[1].cluster = conf_cluster(c, &options);
        r[0].meeting = r[1].meeting = conf_meeting_new();
        for (int i = 0; i < 2; i++) {
                r[i].meet_ms = time_to_meet(c);
                r[i].first = 1 + i;
                r[i].second = 2 - i;
                r[i].amount = 10 + i;
                pthread_create(&threads[i], NULL, run_nested, &r[i]);
        }
        for (int i = 0; i < 2; i++) {
                pthread_join(threads[i], NULL);
                c->err = r[i].err;
                OK(r[i].status);
        }
        conf_meeting_free(r[0].meeting);
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

/* --- Read, decide, write ------------------------------------------------------------------------------- */

static const dal_stmt balance_locked =
        DAL_STMT("balance_locked", "SELECT balance FROM conf_account WHERE id = ?;  -- to be raised",
                 .flags = DAL_STMT_LOCK_UPDATE);
/* The balance only grows here, so that it is its own version. */
static const dal_stmt set_versioned =
        DAL_STMT("set_versioned", "UPDATE conf_account SET balance = ? WHERE id = ? AND balance = ?");
static const dal_stmt set_balance =
        DAL_STMT("set_balance", "UPDATE conf_account SET balance = ? WHERE id = ?");

static dal_status read_balance(dal_tx *tx, const dal_stmt *stmt, int64_t *out, dal_error *err)
{
        dal_rows *rows = NULL;
        dal_status s = dal_tx_query(tx, stmt, DAL_PARAMS(dal_int64(1)), &rows, err);

        if (s == DAL_OK)
                s = dal_rows_first(rows, err);
        if (s == DAL_OK)
                s = dal_rows_int64(rows, 0, out, err);
        dal_rows_close(rows);
        return s;
}

/* Both have read before either writes, the first time: but for the remedy one sum would be lost. */
static void meet_once(struct runner *r)
{
        if (r->meeting)
                conf_meet(r->meeting, r->meet_ms);
        r->meeting = NULL;
}

static dal_status raise_versioned(dal_tx *tx, void *arg, dal_error *err)
{
        struct runner *r = arg;
        int64_t was = 0;
        dal_status s = read_balance(tx, &conf_balance, &was, err);

        if (s)
                return s;
        meet_once(r);
        return dal_tx_exec_versioned(tx, &set_versioned,
                                     DAL_PARAMS(dal_int64(was + r->amount), dal_int64(1), dal_int64(was)),
                                     err);
}

static dal_status raise_locked(dal_tx *tx, void *arg, dal_error *err)
{
        struct runner *r = arg;
        int64_t was = 0;
        dal_status s = read_balance(tx, &balance_locked, &was, err);

        if (s)
                return s;
        meet_once(r);
        return dal_tx_exec(tx, &set_balance, DAL_PARAMS(dal_int64(was + r->amount), dal_int64(1)), NULL, err);
}

/* Two threads raise one balance, each many times, and no sum is lost. */
static struct events raise_by_two(struct conf *c, dal_tx_fn *fn)
{
        enum {
                N_TIMES = 20
        };
        dal_cluster_options options = DAL_CLUSTER_OPTIONS_INIT;
        dal_tx_options tx_options = DAL_TX_OPTIONS_INIT;
        struct events events = {PTHREAD_MUTEX_INITIALIZER, 0, DAL_CLASS_NONE};
        struct conf_meeting *meeting = conf_meeting_new();
        struct runner r[2];

        two_accounts(c);
        options.timeout_ms = 60000;
        options.on_event = on_event;
        options.on_event_arg = &events;
        tx_options.isolation = DAL_ISOLATION_READ_COMMITTED;
        tx_options.max_attempts = 1000;
        memset(r, 0, sizeof r);
        for (int i = 0; i < 2; i++) {
                r[i].cluster = i == 0 ? conf_cluster(c, &options) : r[0].cluster;
                r[i].meeting = meeting;
                r[i].meet_ms =
                        fn == raise_versioned ? time_to_meet(c) : 500; /* a lock keeps the other away */
                r[i].first = 1;
                r[i].amount = i + 1;
                r[i].n_times = N_TIMES;
                r[i].options = &tx_options;
                r[i].fn = fn;
        }
        run_all(c, r, 2);
        conf_meeting_free(meeting);
        assert_int_equal(balance(c, 1), 100 + (1 + 2) * N_TIMES);
        conf_cluster_end(c, r[0].cluster);
        return events;
}

static void contention__a_version_column_loses_no_update(struct conf *c)
{
        struct events events = raise_by_two(c, raise_versioned);

        if (!c->q->row_locks)
                return; /* who writes is alone from the start, so nothing is ever stale */
        assert_true(events.n_retries >= 1);
        assert_int_equal(events.last, DAL_CLASS_STALE_ROW);
}

static void contention__a_locking_read_loses_no_update(struct conf *c)
{
        struct events events = raise_by_two(c, raise_locked);

        assert_int_equal(events.n_retries, 0); /* the other one waits: nothing is done twice */
}

static void contention__a_locking_read_is_one_select(struct conf *c)
{
        static const dal_stmt two =
                DAL_STMT("two", "SELECT balance FROM conf_account UNION SELECT qty FROM conf_item",
                         .flags = DAL_STMT_LOCK_UPDATE);
        static const dal_stmt write =
                DAL_STMT("write", "UPDATE conf_account SET balance = 1", .flags = DAL_STMT_LOCK_SHARE);
        static const dal_stmt both = DAL_STMT("both", "SELECT balance FROM conf_account",
                                              .flags = DAL_STMT_LOCK_UPDATE | DAL_STMT_LOCK_SHARE);
        const dal_stmt *const wrong[] = {&two, &write, &both};
        dal_rows *rows;

        two_accounts(c);
        OK(dal_conn_begin(c->conn, DAL_ISOLATION_DEFAULT, false, SOON, &c->err));
        for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
                FAILS(dal_conn_query(c->conn, wrong[i], DAL_NO_PARAMS, SOON, &rows, &c->err), ARGUMENT);
                assert_non_null(strstr(c->err.message, wrong[i]->name));
        }
        assert_int_equal(balance(c, 1), 100); /* nothing was sent, so the transaction is not spoilt */
        OK(dal_conn_commit(c->conn, SOON, &c->err));
}

/* Readers share; a writer waits for them. */
static void contention__a_shared_lock_keeps_writers_out(struct conf *c)
{
        static const dal_stmt balance_shared =
                DAL_STMT("balance_shared", "SELECT balance FROM conf_account WHERE id = ?",
                         .flags = DAL_STMT_LOCK_SHARE);
        dal_conn *readers[2], *writer;

        if (!c->driver->lock_share)
                return; /* such an engine has no shared locks to ask for */
        two_accounts(c);
        writer = open_with_lock_timeout(c, 1000);
        for (int i = 0; i < 2; i++) {
                readers[i] = open_with_lock_timeout(c, 1000);
                OK(dal_conn_begin(readers[i], DAL_ISOLATION_READ_COMMITTED, false, SOON, &c->err));
                assert_int_equal(conf_number(c, readers[i], &balance_shared, DAL_PARAMS(dal_int64(1))), 100);
        }
        FAILS(change(writer, 1, 1, &c->err), LOCK_TIMEOUT);
        for (int i = 0; i < 2; i++) {
                OK(dal_conn_commit(readers[i], SOON, &c->err));
                dal_conn_close(readers[i]);
        }
        OK(change(writer, 1, 1, &c->err));
        assert_int_equal(balance(c, 1), 101);
        dal_conn_close(writer);
}

const struct conf_case contention_conf[] = {
        CONF_CASE(contention__deadlock_has_one_victim),
        CONF_CASE(contention__lock_timeout),
        CONF_CASE(contention__lock_timeout_in_a_transaction_undoes_all_of_it),
        CONF_CASE(contention__stale_write_is_a_serialization_failure),
        CONF_CASE(contention__cancel_from_another_thread),
        CONF_CASE(contention__deadline_on_a_connection),
        CONF_CASE(contention__statement_timeout_of_the_session),
        CONF_CASE(contention__deadlock_is_retried_and_both_commit),
        CONF_CASE(contention__deadlock_in_a_savepoint_ends_the_whole_transaction),
        CONF_CASE(contention__many_threads_lose_nothing),
        CONF_CASE(contention__a_version_column_loses_no_update),
        CONF_CASE(contention__a_locking_read_loses_no_update),
        CONF_CASE(contention__a_locking_read_is_one_select),
        CONF_CASE(contention__a_shared_lock_keeps_writers_out),
        {NULL, NULL},
};
