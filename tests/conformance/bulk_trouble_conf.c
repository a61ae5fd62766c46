/* SPDX-License-Identifier: MIT */
/* Bulk loads that are struck in the middle of a chunk: by the deadline, by others, and in the answer to COMMIT. */

#include <pthread.h>
#include <stdatomic.h>

#include "conf.h"
#include "proxy.h"

#define CHUNK INT64_C(5000)

static const char *const account_columns[] = {"id", "balance"};

static dal_bulk_spec account_spec(void)
{
        dal_bulk_spec spec = DAL_BULK_SPEC_INIT;

        spec.table = "conf_account";
        spec.columns = account_columns;
        spec.n_columns = 2;
        spec.chunk_rows = (uint32_t)CHUNK;
        return spec;
}

static int64_t count(struct conf *c)
{
        return conf_number(c, c->conn, &conf_count_accounts, DAL_NO_PARAMS);
}

/* --- A cluster's load, struck in its second chunk -------------------------------------------------------- */

struct strike {
        struct conf *c;
        struct conf_proxy *proxy; /* NULL = none */
        void (*hit)(struct strike *strike);
        dal_conn *holder;
        int64_t n_chunks, n_retries;
};

static void on_progress(void *arg, const dal_bulk_progress *progress)
{
        struct strike *strike = arg;

        assert_int_equal(progress->n_safe, progress->n_stored);
        if (strike->n_chunks++ == 0)
                strike->hit(strike);
}

static void on_event(void *arg, const dal_event *event)
{
        struct strike *strike = arg;

        strike->n_retries += event->kind == DAL_EVENT_RETRY;
}

static dal_cluster *open_struck(struct conf *c, struct strike *strike, bool by_proxy)
{
        dal_cluster_options options = DAL_CLUSTER_OPTIONS_INIT;
        const dal_driver *drivers[1] = {c->driver};
        dal_cluster *cluster = NULL;
        char url[1200];

        strike->c = c;
        if (by_proxy)
                strike->proxy = conf_proxy_new(c, url, sizeof url);
        options.on_event = on_event;
        options.on_event_arg = strike;
        options.pool.conn.lock_timeout_ms = 15000;
        OK(dal_cluster_open(by_proxy ? url : c->url, drivers, 1, &options, &cluster, &c->err));
        return cluster;
}

static void close_struck(struct conf *c, dal_cluster *cluster, struct strike *strike)
{
        conf_cluster_end(c, cluster);
        if (strike->proxy)
                conf_proxy_free(strike->proxy);
}

/* Loads from row `first` up to `end`; the load's own failure is returned, with what it says of its progress. */
static dal_status load(struct conf *c, dal_cluster *cluster, struct strike *strike, int64_t first,
                       int64_t end, uint32_t timeout_ms, dal_bulk_progress *progress_out)
{
        dal_bulk_spec spec = account_spec();
        dal_status s = DAL_OK;
        dal_bulk *bulk;

        spec.first_row = first;
        spec.timeout_ms = timeout_ms;
        if (strike) {
                spec.on_progress = on_progress;
                spec.on_progress_arg = strike;
        }
        OK(dal_cluster_bulk(cluster, &spec, &bulk, &c->err));
        for (int64_t i = first; i < end && s == DAL_OK; i++)
                s = dal_bulk_add_for(bulk, dal_key_int64(i), DAL_PARAMS(dal_int64(i), dal_int64(2 * i)),
                                     &c->err);
        if (s == DAL_OK)
                s = dal_bulk_finish(bulk, NULL, &c->err);
        *progress_out = dal_bulk_get_progress(bulk);
        if (s) {
                dal_error failure = c->err;

                FAILS(dal_bulk_finish(bulk, NULL, &c->err), STATE);
                c->err = failure;
        }
        dal_bulk_close(bulk);
        return s;
}

/* Goes on where the load ended, and looks whether all is there once. */
static void go_on(struct conf *c, dal_cluster *cluster, int64_t first, int64_t end)
{
        static const dal_stmt sum = DAL_STMT("sum_accounts", "SELECT SUM(balance) FROM conf_account");
        dal_bulk_progress progress;

        OK(load(c, cluster, NULL, first, end, 0, &progress));
        assert_int_equal(progress.n_safe, end);
        assert_int_equal(progress.n_stored, end - first);
        assert_int_equal(count(c), end);
        if (!c->server)
                assert_int_equal(conf_number(c, c->conn, &sum, DAL_NO_PARAMS), end * (end - 1));
}

/* --- Deadlines ------------------------------------------------------------------------------------------- */

static void fall_silent(struct strike *strike)
{
        if (strike->proxy)
                conf_proxy_break_after(strike->proxy, 20000, true);
        else
                assert_true(dal_fake_inject(strike->c->server, &(dal_fake_fault){.at = DAL_FAKE_AT_REQUEST,
                                                                                 .match = "bulk.conf_account",
                                                                                 .skip = 1,
                                                                                 .hang = true}));
}

/* The server says nothing any more while the rows are on their way. */
static void bulk__a_deadline_in_mid_chunk_leaves_nothing_of_it(struct conf *c)
{
        struct strike strike = {.hit = fall_silent};
        dal_bulk_progress progress;
        dal_cluster *cluster;

        if (!c->server && !c->q->has_port)
                return; /* nobody between us */
        cluster = open_struck(c, &strike, !c->server);
        FAILS(load(c, cluster, &strike, 0, 3 * CHUNK, 1500, &progress), DEADLINE);
        assert_int_equal(progress.n_safe, CHUNK);
        assert_int_equal(progress.n_stored, CHUNK);
        assert_int_equal(progress.n_given, 2 * CHUNK);
        assert_int_equal(count(c), CHUNK);
        if (strike.proxy)
                conf_proxy_cut(strike.proxy); /* the server learns that nobody is there */
        go_on(c, cluster, progress.n_safe, 3 * CHUNK);
        close_struck(c, cluster, &strike);
}

static void take_row(struct strike *strike)
{
        struct conf *c = strike->c;

        OK(dal_conn_begin(strike->holder, DAL_ISOLATION_DEFAULT, false, SOON, &c->err));
        OK(dal_conn_exec(strike->holder, &conf_add_account, DAL_PARAMS(dal_int64(CHUNK + 3210), dal_int64(1)),
                         SOON, NULL, &c->err));
}

/* The server waits for a lock of somebody else, with the first rows of the chunk stored. */
static void bulk__a_deadline_while_a_row_is_locked_leaves_nothing_of_the_chunk(struct conf *c)
{
        struct strike strike = {.hit = take_row};
        dal_bulk_progress progress;
        dal_cluster *cluster;

        if (!c->q->row_locks)
                return; /* one writer at a time: the chunk would not even begin */
        strike.holder = conf_open(c, NULL);
        cluster = open_struck(c, &strike, false);
        assert_int_equal(load(c, cluster, &strike, 0, 3 * CHUNK, 1500, &progress), DAL_ERR_TIMEOUT);
        assert_int_equal(progress.n_safe, CHUNK);
        assert_int_equal(progress.n_stored, CHUNK);
        assert_int_equal(count(c), CHUNK);
        OK(dal_conn_rollback(strike.holder, SOON, &c->err));
        go_on(c, cluster, progress.n_safe, 3 * CHUNK);
        dal_conn_close(strike.holder);
        close_struck(c, cluster, &strike);
}

static void cut_rows(struct strike *strike)
{
        conf_proxy_break_after(strike->proxy, 20000, false);
}

/* The connection ends between two rows: nothing was committed, so the chunk is sent again. */
static void bulk__a_connection_that_ends_in_mid_chunk_is_replaced(struct conf *c)
{
        struct strike strike = {.hit = cut_rows};
        dal_bulk_progress progress;
        dal_cluster *cluster;

        if (!c->q->has_port)
                return; /* nobody between us */
        cluster = open_struck(c, &strike, true);
        OK(load(c, cluster, &strike, 0, 3 * CHUNK, 20000, &progress));
        assert_int_equal(strike.n_retries, 1);
        assert_int_equal(strike.n_chunks, 3);
        assert_int_equal(progress.n_stored, 3 * CHUNK);
        assert_int_equal(count(c), 3 * CHUNK);
        close_struck(c, cluster, &strike);
}

/* --- The answer to COMMIT -------------------------------------------------------------------------------- */

static void lose_commit(struct strike *strike, bool done)
{
        if (strike->proxy && done)
                conf_proxy_lose_answer_to(strike->proxy, "COMMIT", 6);
        else if (strike->proxy)
                conf_proxy_lose_request_with(strike->proxy, "COMMIT", 6);
        else
                assert_true(dal_fake_inject(strike->c->server,
                                            &(dal_fake_fault){.at = DAL_FAKE_AT_REQUEST,
                                                              .match = "COMMIT",
                                                              .error_class = DAL_CLASS_CONNECTION_LOST,
                                                              .executed = done}));
}

static void lose_answer(struct strike *strike)
{
        lose_commit(strike, true);
}

static void lose_request(struct strike *strike)
{
        lose_commit(strike, false);
}

/*
 * Without the table dal_outcome nobody can know: the load ends in doubt, counts what is known, and the chunk that is not
 * safe is there as a whole or not at all.
 */
static void assert_in_doubt(struct conf *c, void (*hit)(struct strike *strike), int64_t n_chunks_there)
{
        struct strike strike = {.hit = hit};
        dal_bulk_progress progress;
        dal_cluster *cluster;

        if (!c->server && !c->q->has_port)
                return; /* a COMMIT of this process has an answer */
        cluster = open_struck(c, &strike, !c->server);
        FAILS(load(c, cluster, &strike, 0, 3 * CHUNK, 20000, &progress), COMMIT_UNKNOWN);
        assert_string_equal(c->err.outcome_token, "");
        assert_int_equal(strike.n_retries, 0);
        assert_int_equal(progress.n_safe, CHUNK);
        assert_int_equal(progress.n_safe_shard, CHUNK);
        assert_int_equal(progress.n_stored, CHUNK);
        assert_int_equal(count(c), n_chunks_there * CHUNK);
        go_on(c, cluster, n_chunks_there * CHUNK, 3 * CHUNK);
        close_struck(c, cluster, &strike);
}

static void bulk__a_lost_answer_to_commit_leaves_the_chunk_in_doubt_and_whole(struct conf *c)
{
        assert_in_doubt(c, lose_answer, 2);
}

static void bulk__a_lost_commit_leaves_the_chunk_in_doubt_and_unstored(struct conf *c)
{
        assert_in_doubt(c, lose_request, 1);
}

/* With the table it is found out: what was done is not done again, and what was not is. */
static void assert_found_out(struct conf *c, void (*hit)(struct strike *strike), int64_t n_retries)
{
        struct strike strike = {.hit = hit};
        dal_bulk_progress progress;
        dal_cluster *cluster;

        if (!c->q->has_port)
                return;
        conf_outcomes_make(c);
        cluster = open_struck(c, &strike, true);
        OK(load(c, cluster, &strike, 0, 3 * CHUNK, 20000, &progress));
        assert_int_equal(strike.n_chunks, 3);
        assert_int_equal(strike.n_retries, n_retries);
        assert_int_equal(progress.n_stored, 3 * CHUNK);
        assert_int_equal(progress.n_safe, 3 * CHUNK);
        assert_int_equal(count(c), 3 * CHUNK);
        close_struck(c, cluster, &strike);
        conf_outcomes_drop(c);
}

static void bulk__a_lost_answer_to_commit_is_found_out(struct conf *c)
{
        assert_found_out(c, lose_answer, 0);
}

static void bulk__a_lost_commit_is_found_out_and_run_again(struct conf *c)
{
        assert_found_out(c, lose_request, 1);
}

/* --- Others, in the middle of a transaction's load ------------------------------------------------------- */

#define N_ROWS  600
#define HELD_ID 450 /* with many rows of the load stored before it */

static const dal_stmt clash = DAL_STMT(
        "clash", "INSERT INTO conf_account (id, balance) VALUES (?, ?)"); /* not conf_add_account: no queue */

/* A load in a transaction, on a thread of its own. */
struct inside {
        struct conf *c;
        dal_cluster *cluster;
        dal_tx_options options;
        pthread_t thread;
        dal_status (*first)(struct inside *in, dal_tx *tx,
                            dal_error *err); /* in the first attempt; or NULL */
        _Atomic int64_t session_id;
        uint32_t n_attempts;
        int64_t seen;
        dal_conn *other;
        dal_status status;
        dal_error err;
};

static dal_status load_inside(dal_tx *tx, void *arg, dal_error *err)
{
        dal_bulk_spec spec = account_spec();
        struct inside *in = arg;
        dal_status s = DAL_OK;
        dal_bulk *bulk = NULL;

        in->n_attempts++;
        atomic_store(&in->session_id, (int64_t)dal_tx_info(tx)->session_id);
        if (in->first && in->n_attempts == 1)
                s = in->first(in, tx, err);
        if (s == DAL_OK)
                s = dal_tx_bulk(tx, &spec, &bulk, err);
        for (int64_t i = 0; i < N_ROWS && s == DAL_OK; i++)
                s = dal_bulk_add(bulk, DAL_PARAMS(dal_int64(i), dal_int64(2 * i)), err);
        if (s == DAL_OK)
                s = dal_bulk_finish(bulk, NULL, err);
        dal_bulk_close(bulk);
        return s;
}

static void *run_inside(void *arg)
{
        struct inside *in = arg;

        in->status = dal_cluster_run(in->cluster, dal_key_int64(1), &in->options, load_inside, in, &in->err);
        return NULL;
}

static struct inside begin_inside(struct conf *c)
{
        struct inside in = {.c = c, .options = DAL_TX_OPTIONS_INIT};
        dal_cluster_options options = DAL_CLUSTER_OPTIONS_INIT;

        options.pool.conn.lock_timeout_ms = 15000;
        in.cluster = conf_cluster(c, &options);
        in.options.timeout_ms = 20000;
        in.other = conf_open(c, NULL);
        return in;
}

static void end_inside(struct inside *in)
{
        dal_conn_close(in->other);
        conf_cluster_end(in->c, in->cluster);
}

static void add(struct inside *in, int64_t id)
{
        struct conf *c = in->c;

        OK(dal_conn_exec(in->other, &clash, DAL_PARAMS(dal_int64(id), dal_int64(1)), SOON, NULL, &c->err));
}

/* SQL of the quirks table, about the load's session. Not every command takes a parameter. */
static const char *about_session(struct inside *in, const char *sql, char out[200])
{
        const char *mark = strchr(sql, '?');

        snprintf(out, 200, "%.*s%lld%s", (int)(mark - sql), sql, (long long)atomic_load(&in->session_id),
                 mark + 1);
        return out;
}

/* The other one holds a row; the load begins, and comes to it. */
static void start_and_meet(struct inside *in, int64_t n_held)
{
        struct conf *c = in->c;
        dal_deadline limit = SOON;
        char sql[200];
        int64_t n = 0;

        OK(dal_conn_begin(in->other, DAL_ISOLATION_DEFAULT, false, SOON, &c->err));
        for (int64_t i = 0; i < n_held; i++)
                add(in, N_ROWS + i);
        add(in, HELD_ID);
        assert_int_equal(pthread_create(&in->thread, NULL, run_inside, in), 0);
        while (n == 0 && !dal_clock_passed(limit)) {
                dal_rows *rows = NULL;
                dal_status s;

                /* Asked more often, InnoDB shows the same again. Source: trx0i_s.cc, CACHE_MIN_IDLE_TIME, 0.1 s */
                conf_sleep_ms(120);
                s = dal_conn_query_dynamic(c->conn, about_session(in, c->q->waits_for_lock, sql),
                                           DAL_NO_PARAMS, SOON, &rows, &c->err);
                if (s && conf_saw_bytes(&c->err))
                        continue;
                OK(s);
                OK(dal_rows_first(rows, &c->err));
                OK(dal_rows_int64(rows, 0, &n, &c->err));
                dal_rows_close(rows);
        }
        assert_int_equal(n, 1);
}

static void strike_session(struct inside *in, const char *sql)
{
        struct conf *c = in->c;
        char text[200];

        OK(dal_conn_exec_dynamic(c->conn, about_session(in, sql, text), DAL_NO_PARAMS, SOON, NULL, &c->err));
}

static void bulk__a_statement_canceled_in_mid_chunk_leaves_nothing(struct conf *c)
{
        struct inside in;

        if (!c->q->waits_for_lock)
                return; /* it can't be seen when the load is in the middle */
        in = begin_inside(c);
        start_and_meet(&in, 0);
        strike_session(&in, c->q->stop_statement);
        pthread_join(in.thread, NULL);
        c->err = in.err;
        FAILS(in.status, CANCELED);
        assert_int_equal(in.n_attempts, 1);
        OK(dal_conn_rollback(in.other, SOON, &c->err));
        assert_int_equal(count(c), 0);
        OK(dal_cluster_run(in.cluster, dal_key_int64(1), NULL, load_inside, &in, &c->err));
        assert_int_equal(count(c), N_ROWS);
        end_inside(&in);
}

static void bulk__a_session_ended_in_mid_chunk_loads_again(struct conf *c)
{
        struct inside in;

        if (!c->q->waits_for_lock)
                return;
        in = begin_inside(c);
        start_and_meet(&in, 0);
        strike_session(&in, c->q->end_session);
        OK(dal_conn_rollback(in.other, SOON, &c->err));
        pthread_join(in.thread, NULL);
        c->err = in.err;
        OK(in.status);
        assert_int_equal(in.n_attempts, 2);
        assert_int_equal(count(c), N_ROWS);
        end_inside(&in);
}

/* Each has a row that the other one wants. The server chooses who loses; the load is run again if it is that. */
static void bulk__a_deadlock_in_mid_chunk_is_run_again(struct conf *c)
{
        dal_status of_other;
        struct inside in;

        if (!c->q->waits_for_lock)
                return;
        in = begin_inside(c);
        /* InnoDB lets the one lose that has changed less. Source: MySQL manual, 17.7.5.2 "Deadlock Detection" */
        start_and_meet(&in, 2 * N_ROWS);
        of_other = dal_conn_exec(in.other, &clash, DAL_PARAMS(dal_int64(HELD_ID / 2), dal_int64(1)), SOON,
                                 NULL, &c->err);
        if (of_other)
                FAILS(of_other, DEADLOCK);
        (void)!dal_conn_rollback(in.other, SOON, &c->err);
        pthread_join(in.thread, NULL);
        c->err = in.err;
        OK(in.status);
        assert_int_equal(in.n_attempts, of_other ? 1 : 2);
        assert_int_equal(count(c), N_ROWS);
        end_inside(&in);
}

/* Both counted before either wrote. */
static dal_status count_and_be_overtaken(struct inside *in, dal_tx *tx, dal_error *err)
{
        struct conf *c = in->c;
        dal_rows *rows = NULL;
        dal_status s = dal_tx_query(tx, &conf_count_accounts, DAL_NO_PARAMS, &rows, err);

        if (s == DAL_OK)
                s = dal_rows_first(rows, err);
        dal_rows_close(rows);
        OK(dal_conn_begin(in->other, DAL_ISOLATION_SERIALIZABLE, false, SOON, &c->err));
        assert_int_equal(conf_number(c, in->other, &conf_count_accounts, DAL_NO_PARAMS), 0);
        add(in, N_ROWS);
        OK(dal_conn_commit(in->other, SOON, &c->err));
        return s;
}

static void bulk__a_serialization_failure_of_a_load_is_run_again(struct conf *c)
{
        struct inside in;

        if (!c->q->commit_may_conflict)
                return; /* who reads there is waited for */
        in = begin_inside(c);
        in.options.isolation = DAL_ISOLATION_SERIALIZABLE;
        in.first = count_and_be_overtaken;
        OK(dal_cluster_run(in.cluster, dal_key_int64(1), &in.options, load_inside, &in, &c->err));
        assert_int_equal(in.n_attempts, 2);
        assert_int_equal(count(c), N_ROWS + 1);
        end_inside(&in);
}

const struct conf_case bulk_trouble_conf[] = {
        CONF_CASE(bulk__a_deadline_in_mid_chunk_leaves_nothing_of_it),
        CONF_CASE(bulk__a_deadline_while_a_row_is_locked_leaves_nothing_of_the_chunk),
        CONF_CASE(bulk__a_connection_that_ends_in_mid_chunk_is_replaced),
        CONF_CASE(bulk__a_lost_answer_to_commit_leaves_the_chunk_in_doubt_and_whole),
        CONF_CASE(bulk__a_lost_commit_leaves_the_chunk_in_doubt_and_unstored),
        CONF_CASE(bulk__a_lost_answer_to_commit_is_found_out),
        CONF_CASE(bulk__a_lost_commit_is_found_out_and_run_again),
        CONF_CASE(bulk__a_statement_canceled_in_mid_chunk_leaves_nothing),
        CONF_CASE(bulk__a_session_ended_in_mid_chunk_loads_again),
        CONF_CASE(bulk__a_deadlock_in_mid_chunk_is_run_again),
        CONF_CASE(bulk__a_serialization_failure_of_a_load_is_run_again),
        {NULL, NULL},
};
