/* SPDX-License-Identifier: MIT */
/* What became of a COMMIT whose answer was lost, found out on a real wire. See dal/outcome.h. */

#include <stdlib.h>

#include "conf.h"
#include "proxy.h"

#define OLD_TOKEN "0100000000000001aaaaaaaaaaaaaaaa" /* of shard 0, one second after 1970 began */

static const dal_stmt count_tokens = DAL_STMT("count_tokens", "SELECT COUNT(*) FROM dal_outcome");
static const dal_stmt count_state =
        DAL_STMT("count_state", "SELECT COUNT(*) FROM dal_outcome WHERE state = ?");
static const dal_stmt add_token =
        DAL_STMT("add_token", "INSERT INTO dal_outcome (token, state) VALUES (?, 'C')");

/* ---- the table, and a cluster through the proxy ----------------------------------------------------------- */

/* As the script that comes with the library makes it. */
void conf_outcomes_make(struct conf *c)
{
        dal_dialect dialect = c->q->dialect == DAL_DIALECT_mariadb ? DAL_DIALECT_mysql : c->q->dialect;
        char path[1200], sql[4096];
        FILE *file;
        size_t n;

        snprintf(path, sizeof path, "%s/dal/%s/0004_outcome.sql", TESTS_SCHEMA_DIR,
                 dal_stmt_dialect_name(dialect));
        file = fopen(path, "r");
        assert_non_null(file);
        n = fread(sql, 1, sizeof sql - 1, file);
        fclose(file);
        sql[n] = '\0';
        /* A case that failed left its own, and must not take the others with it. */
        OK(dal_conn_script(c->conn, "DROP TABLE IF EXISTS dal_outcome", SOON, &c->err));
        OK(dal_conn_script(c->conn, sql, SOON, &c->err));
}

void conf_outcomes_drop(struct conf *c)
{
        OK(dal_conn_script(c->conn, "DROP TABLE dal_outcome", SOON, &c->err));
}

static int64_t count(struct conf *c)
{
        return conf_number(c, c->conn, &conf_count_accounts, DAL_NO_PARAMS);
}

static int64_t tokens(struct conf *c, const char *state)
{
        return conf_number(c, c->conn, &count_state, DAL_PARAMS(dal_text(state)));
}

struct work {
        struct conf_proxy *proxy;
        void (*strike)(struct conf_proxy *p); /* before the first COMMIT; NULL = nothing happens */
        bool reads, queues;
        int64_t id;
        int n_calls, n_committed, n_rolled_back;
};

static void committed(void *arg)
{
        ((struct work *)arg)->n_committed++;
}

static void rolled_back(void *arg)
{
        ((struct work *)arg)->n_rolled_back++;
}

static dal_status work(dal_tx *tx, void *arg, dal_error *err)
{
        struct work *w = arg;
        dal_params params = DAL_PARAMS(dal_int64(w->id), dal_int64(1));
        dal_status s;

        if ((s = dal_tx_on_commit(tx, committed, w, err)) ||
            (s = dal_tx_on_rollback(tx, rolled_back, w, err)))
                return s;
        if (w->reads)
                s = dal_tx_exec(tx, &conf_count_accounts, DAL_NO_PARAMS, NULL, err);
        else if (w->queues)
                s = dal_tx_queue(tx, &conf_add_account, params, err);
        else
                s = dal_tx_exec(tx, &conf_add_account, params, NULL, err);
        if (w->n_calls++ == 0 && w->strike)
                w->strike(w->proxy);
        return s;
}

static dal_cluster *open_through(struct conf *c, struct conf_proxy *p, const char *url)
{
        const dal_driver *drivers[1] = {c->driver};
        dal_cluster *cluster = NULL;

        (void)p;
        OK(dal_cluster_open(url, drivers, 1, NULL, &cluster, &c->err));
        return cluster;
}

static void run_struck(struct conf *c, struct work *w, int n_times)
{
        char url[1200];
        dal_cluster *cluster;
        struct conf_proxy *p;

        conf_outcomes_make(c);
        p = conf_proxy_new(c, url, sizeof url);
        cluster = open_through(c, p, url);
        for (int i = 0; i < n_times; i++) {
                w->proxy = p;
                w->id = i;
                w->n_calls = w->n_committed = w->n_rolled_back = 0;
                OK(dal_cluster_run(cluster, dal_key_int64(1), NULL, work, w, &c->err));
                assert_int_equal(w->n_committed, 1);
                assert_int_equal(w->n_rolled_back, w->n_calls - 1);
        }
        OK(dal_cluster_close(cluster, 5000, &c->err));
        conf_proxy_free(p);
}

/* ---- cases --------------------------------------------------------------------------------------------------- */

#define N_TIMES 12

static void outcome__a_commit_whose_answer_is_lost_was_done_once(struct conf *c)
{
        struct work w = {.strike = conf_proxy_lose_next_answer};

        if (!c->q->has_port)
                return; /* the fault suite lets the fake server do it */
        run_struck(c, &w, N_TIMES);
        assert_int_equal(w.n_calls, 1);
        assert_int_equal(count(c), N_TIMES);
        assert_int_equal(tokens(c, "C"), N_TIMES);
        assert_int_equal(tokens(c, "A"), 0);
        conf_outcomes_drop(c);
}

static void outcome__a_commit_that_never_arrived_is_run_again(struct conf *c)
{
        struct work w = {.strike = conf_proxy_lose_next_request};

        if (!c->q->has_port)
                return;
        run_struck(c, &w, N_TIMES);
        assert_int_equal(w.n_calls, 2);
        assert_int_equal(count(c), N_TIMES);
        assert_int_equal(tokens(c, "C"), N_TIMES);
        assert_int_equal(tokens(c, "A"), N_TIMES);
        conf_outcomes_drop(c);
}

/* Where writes are queued they travel with COMMIT; elsewhere the answer that is lost may be one of theirs. */
static void outcome__queued_writes_are_done_once_whatever_is_lost(struct conf *c)
{
        struct work w = {.queues = true};

        if (!c->q->has_port)
                return;
        w.strike = conf_proxy_lose_next_answer;
        run_struck(c, &w, N_TIMES);
        assert_int_equal(count(c), N_TIMES);
        conf_outcomes_drop(c);
        for (int i = 0; i < N_TIMES; i++)
                OK(dal_conn_exec(c->conn, &conf_remove_account, DAL_PARAMS(dal_int64(i)), SOON, NULL,
                                 &c->err));
        w.strike = conf_proxy_lose_next_request;
        run_struck(c, &w, N_TIMES);
        assert_int_equal(w.n_calls, 2);
        assert_int_equal(count(c), N_TIMES);
        conf_outcomes_drop(c);
}

static void outcome__what_only_read_is_run_again_and_leaves_no_token(struct conf *c)
{
        struct work w = {.strike = conf_proxy_lose_next_answer, .reads = true};

        if (!c->q->has_port)
                return;
        run_struck(c, &w, 2);
        assert_int_equal(w.n_calls, 2);
        assert_int_equal(conf_number(c, c->conn, &count_tokens, DAL_NO_PARAMS), 0);
        conf_outcomes_drop(c);
}

/*
 * COMMIT is lost and the old session lives on with its locks, as one does whose client is cut off. Only because it is
 * ended the second run, which writes the same row, gets through before the lock's time limit.
 */
static void outcome__the_old_session_is_ended_with_its_locks(struct conf *c)
{
        struct work w = {.strike = conf_proxy_hold, .id = 1};
        dal_tx_options options = DAL_TX_OPTIONS_INIT;
        char url[1200];
        dal_cluster *cluster;

        if (!c->q->has_port || c->q->is_pooler ||
            (conf_has_cap(c, DAL_CAP_PIPELINE) && !conf_is_mode(c, "prepared")))
                return; /* behind a pooler the number of the session is not known */
        conf_outcomes_make(c);
        w.proxy = conf_proxy_new(c, url, sizeof url);
        cluster = open_through(c, w.proxy, url);
        options.timeout_ms = 8000;
        OK(dal_cluster_run(cluster, dal_key_int64(1), &options, work, &w, &c->err));
        assert_int_equal(w.n_calls, 2);
        assert_int_equal(w.n_committed, 1);
        assert_int_equal(count(c), 1);
        assert_int_equal(tokens(c, "A"), 1);
        OK(dal_cluster_close(cluster, 5000, &c->err));
        conf_proxy_free(w.proxy);
        conf_outcomes_drop(c);
}

/* A black hole: the caller is told in time, and gets the answer when the server can be asked again. */
static void outcome__in_doubt_until_the_server_can_be_asked(struct conf *c)
{
        struct work w = {.strike = conf_proxy_freeze, .id = 1};
        dal_tx_options options = DAL_TX_OPTIONS_INIT;
        dal_outcome outcome = DAL_OUTCOME_UNKNOWN;
        dal_cluster *through, *straight;
        char url[1200], token[33];
        int64_t begun;

        if (!c->q->has_port)
                return;
        conf_outcomes_make(c);
        w.proxy = conf_proxy_new(c, url, sizeof url);
        through = open_through(c, w.proxy, url);
        options.timeout_ms = 2000;
        begun = dal_clock_now();
        FAILS(dal_cluster_run(through, dal_key_int64(1), &options, work, &w, &c->err), COMMIT_UNKNOWN);
        assert_true(dal_clock_now() - begun < INT64_C(7000000000)); /* 2 s, and 5 for a loaded machine */
        assert_int_equal(w.n_calls, 1);
        assert_int_equal(w.n_committed + w.n_rolled_back, 0);
        assert_int_equal(strlen(c->err.outcome_token), 32);
        memcpy(token, c->err.outcome_token, sizeof token);

        straight = conf_cluster(c, NULL);
        for (int i = 0; i < 2; i++) {
                OK(dal_resolve(straight, token, 0, &outcome, &c->err));
                assert_int_equal(outcome, DAL_OUTCOME_NOT_COMMITTED);
        }
        conf_cluster_end(c, straight);
        OK(dal_cluster_close(through, 5000, &c->err));
        conf_proxy_free(w.proxy);
        assert_int_equal(count(c), 0);
        conf_outcomes_drop(c);
}

/* To look for the row would say "not committed" here; the insert waits for what is under way. */
static void outcome__a_transaction_still_under_way_is_waited_for(struct conf *c)
{
        uint8_t bytes[16] = {1, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff, 1, 2, 3, 4, 5, 6, 7, 8};
        static const char token[] = "010000007fffffff0102030405060708";
        dal_outcome outcome = DAL_OUTCOME_COMMITTED;
        dal_cluster *cluster;

        if (!c->q->has_port)
                return;
        conf_outcomes_make(c);
        cluster = conf_cluster(c, NULL);
        OK(dal_conn_begin(c->conn, DAL_ISOLATION_DEFAULT, false, SOON, &c->err));
        OK(dal_conn_exec(c->conn, &add_token, DAL_PARAMS(dal_bytes(bytes, 16)), SOON, NULL, &c->err));
        FAILS(dal_resolve(cluster, token, 1500, &outcome, &c->err), COMMIT_UNKNOWN);
        assert_int_equal(outcome, DAL_OUTCOME_UNKNOWN);
        assert_string_equal(c->err.outcome_token, token);
        OK(dal_conn_commit(c->conn, SOON, &c->err));
        OK(dal_resolve(cluster, token, 0, &outcome, &c->err));
        assert_int_equal(outcome, DAL_OUTCOME_COMMITTED);
        conf_cluster_end(c, cluster);
        conf_outcomes_drop(c);
}

/* What was purged must never be taken for what was not committed. */
static void outcome__a_purged_token_is_unknown(struct conf *c)
{
        uint8_t bytes[16] = {1, 0, 0, 0, 0, 0, 0, 1};
        dal_outcome outcome;
        dal_cluster *cluster;
        uint64_t n = 0;

        if (!c->q->has_port)
                return;
        conf_outcomes_make(c);
        cluster = conf_cluster(c, NULL);
        OK(dal_resolve(cluster, OLD_TOKEN, 0, &outcome, &c->err));
        assert_int_equal(outcome, DAL_OUTCOME_NOT_COMMITTED);
        for (int i = 0; i < 450; i++) { /* more than one batch */
                bytes[14] = (uint8_t)(i >> 8);
                bytes[15] = (uint8_t)i;
                OK(dal_conn_exec(c->conn, &add_token, DAL_PARAMS(dal_bytes(bytes, 16)), SOON, NULL, &c->err));
        }
        FAILS(dal_cluster_purge_outcomes(cluster, 0, 60, 0, &n, &c->err), ARGUMENT);
        OK(dal_cluster_purge_outcomes(cluster, 0, UINT32_MAX, 20000, &n, &c->err)); /* since before 1970 */
        assert_int_equal(n, 0);
        OK(dal_resolve(cluster, OLD_TOKEN, 0, &outcome, &c->err));
        OK(dal_cluster_purge_outcomes(cluster, 0, 0, 20000, &n, &c->err));
        assert_int_equal(n, 451);
        OK(dal_cluster_purge_outcomes(cluster, 0, 0, 20000, &n, &c->err));
        assert_int_equal(n, 0);
        FAILS(dal_resolve(cluster, OLD_TOKEN, 0, &outcome, &c->err), COMMIT_UNKNOWN);
        assert_int_equal(outcome, DAL_OUTCOME_UNKNOWN);
        assert_int_equal(tokens(c, "P"), 1);
        conf_cluster_end(c, cluster);
        conf_outcomes_drop(c);
}

static void outcome__a_bad_token_is_refused(struct conf *c)
{
        static const char *const bad[] = {"", "0100", "zz00000000000001aaaaaaaaaaaaaaaa",
                                          "0000000000000001aaaaaaaaaaaaaaaa",
                                          "0100000000000001aaaaaaaaaaaaaaaa0"};
        dal_outcome outcome;
        dal_cluster *cluster = conf_cluster(c, NULL);

        for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
                FAILS(dal_resolve(cluster, bad[i], 0, &outcome, &c->err), ARGUMENT);
        FAILS(dal_resolve(cluster, "0100070000000001aaaaaaaaaaaaaaaa", 0, &outcome, &c->err),
              UNDEFINED_OBJECT);
        conf_cluster_end(c, cluster);
}

/* Nothing is written where nobody can read it; but the lack can be made an error. */
static void outcome__required_refuses_writes_without_the_table(struct conf *c)
{
        dal_cluster_options options = DAL_CLUSTER_OPTIONS_INIT;
        dal_tx_options read_only = DAL_TX_OPTIONS_INIT;
        struct work w = {.id = 1};
        dal_cluster *cluster;

        if (!c->q->has_port)
                return;
        read_only.read_only = true;
        options.outcomes = DAL_OUTCOMES_REQUIRED;
        cluster = conf_cluster(c, &options);
        FAILS(dal_cluster_run(cluster, dal_key_int64(1), NULL, work, &w, &c->err), UNDEFINED_OBJECT);
        assert_int_equal(w.n_calls, 0);
        w.reads = true;
        OK(dal_cluster_run(cluster, dal_key_int64(1), &read_only, work, &w, &c->err));
        conf_cluster_end(c, cluster);

        conf_outcomes_make(c);
        w.reads = false;
        cluster = conf_cluster(c, &options);
        OK(dal_cluster_run(cluster, dal_key_int64(1), NULL, work, &w, &c->err));
        conf_cluster_end(c, cluster);
        options.outcomes = DAL_OUTCOMES_OFF;
        w.id = 2;
        cluster = conf_cluster(c, &options);
        OK(dal_cluster_run(cluster, dal_key_int64(1), NULL, work, &w, &c->err));
        conf_cluster_end(c, cluster);
        assert_int_equal(count(c), 2);
        assert_int_equal(tokens(c, "C"), 1);
        conf_outcomes_drop(c);
}

/* ---- by the server's own number --------------------------------------------------------------------------------- */

static void run_numbered(struct conf *c, struct work *w)
{
        dal_cluster_options options = DAL_CLUSTER_OPTIONS_INIT;
        const dal_driver *drivers[1] = {c->driver};
        dal_cluster *cluster = NULL;
        char url[1200];

        options.outcomes = DAL_OUTCOMES_NUMBERS;
        w->proxy = conf_proxy_new(c, url, sizeof url);
        OK(dal_cluster_open(url, drivers, 1, &options, &cluster, &c->err));
        for (w->id = 0; w->id < N_TIMES; w->id++) {
                w->n_calls = w->n_committed = w->n_rolled_back = 0;
                OK(dal_cluster_run(cluster, dal_key_int64(1), NULL, work, w, &c->err));
                assert_int_equal(w->n_committed, 1);
                assert_int_equal(w->n_rolled_back, w->n_calls - 1);
        }
        OK(dal_cluster_close(cluster, 5000, &c->err));
        conf_proxy_free(w->proxy);
}

/* A number that came with the first write needs no table at all. */
static void outcome__a_server_that_numbers_transactions_needs_no_table(struct conf *c)
{
        struct work w = {.strike = conf_proxy_lose_next_answer};

        if (!c->driver->number_query)
                return;
        run_numbered(c, &w);
        assert_int_equal(w.n_calls, 1);
        assert_int_equal(count(c), N_TIMES);
        for (int i = 0; i < N_TIMES; i++)
                OK(dal_conn_exec(c->conn, &conf_remove_account, DAL_PARAMS(dal_int64(i)), SOON, NULL,
                                 &c->err));
        w.strike = conf_proxy_lose_next_request;
        run_numbered(c, &w);
        assert_int_equal(w.n_calls, 2);
        assert_int_equal(count(c), N_TIMES);
}

/* Writes that leave with COMMIT have no number before it: they have the row. */
static void outcome__one_flush_has_a_row_although_there_are_numbers(struct conf *c)
{
        struct work w = {.strike = conf_proxy_lose_next_answer, .queues = true};

        if (!c->driver->number_query)
                return;
        conf_outcomes_make(c);
        run_numbered(c, &w);
        assert_int_equal(count(c), N_TIMES);
        assert_int_equal(tokens(c, "C"), N_TIMES);
        conf_outcomes_drop(c);
}

/* Asked later: committed, aborted, under way, of another history, in the future. */
static void outcome__a_number_is_asked_about_later(struct conf *c)
{
        dal_outcome outcome;
        dal_cluster *cluster;
        const char *number;
        dal_rows *rows;
        dal_conn *conn;
        char token[33];

        if (!c->driver->number_query)
                return;
        number = c->driver->number_query(NULL, false);
        cluster = conf_cluster(c, NULL);
        conn = conf_open(c, NULL);
        for (int commit = 0; commit < 2; commit++) {
                OK(dal_conn_begin(conn, DAL_ISOLATION_DEFAULT, false, SOON, &c->err));
                OK(dal_conn_exec(conn, &conf_add_account, DAL_PARAMS(dal_int64(1), dal_int64(1)), SOON, NULL,
                                 &c->err));
                OK(dal_conn_query_dynamic(conn, number, DAL_NO_PARAMS, SOON, &rows, &c->err));
                OK(dal_rows_first(rows, &c->err));
                memcpy(token, "020000", 6);
                OK(dal_rows_copy_text(rows, 0, token + 6, sizeof token - 6, &c->err));
                dal_rows_close(rows);
                FAILS(dal_resolve(cluster, token, 300, &outcome, &c->err), COMMIT_UNKNOWN);
                if (commit)
                        OK(dal_conn_commit(conn, SOON, &c->err));
                else
                        OK(dal_conn_rollback(conn, SOON, &c->err));
                OK(dal_resolve(cluster, token, 0, &outcome, &c->err));
                assert_int_equal(outcome, commit ? DAL_OUTCOME_COMMITTED : DAL_OUTCOME_NOT_COMMITTED);
        }
        token[16] = '7'; /* a number that is yet to come */
        FAILS(dal_resolve(cluster, token, 0, &outcome, &c->err), COMMIT_UNKNOWN);
        token[16] = '0';
        token[11] = token[11] == '1' ? '2' : '1'; /* another timeline */
        FAILS(dal_resolve(cluster, token, 0, &outcome, &c->err), COMMIT_UNKNOWN);
        assert_int_equal(outcome, DAL_OUTCOME_UNKNOWN);
        dal_conn_close(conn);
        conf_cluster_end(c, cluster);
}

/* ---- what it costs ----------------------------------------------------------------------------------------------- */

/* The token and COMMIT leave together: counted by the library, and read off the wire. */
static void outcome__a_token_costs_no_round_trip(struct conf *c)
{
        dal_cluster_options options = DAL_CLUSTER_OPTIONS_INIT;
        const dal_driver *drivers[1] = {c->driver};
        uint64_t n[2];
        char url[1200];

        if (!c->q->has_port)
                return;
        conf_outcomes_make(c);
        options.pool.max_size = 1;
        for (int i = 0; i < 2; i++) {
                struct work w = {.id = 10 * i};
                dal_cluster *cluster = NULL;

                w.proxy = conf_proxy_new(c, url, sizeof url);
                options.outcomes = i ? DAL_OUTCOMES_AUTO : DAL_OUTCOMES_OFF;
                OK(dal_cluster_open(url, drivers, 1, &options, &cluster, &c->err));
                OK(dal_cluster_run(cluster, dal_key_int64(1), NULL, work, &w, &c->err));
                n[i] = conf_round_trips(c, cluster);
                conf_proxy_forget(w.proxy);
                for (int j = 0; j < 3; j++) {
                        w.id++;
                        OK(dal_cluster_run(cluster, dal_key_int64(1), NULL, work, &w, &c->err));
                }
                n[i] = conf_round_trips(c, cluster) - n[i];
                assert_int_equal(conf_proxy_heard(w.proxy, "dal_outcome", 11), i ? 3 : 0);
                assert_int_equal(conf_proxy_heard(w.proxy, "COMMIT", 6), 3);
                OK(dal_cluster_close(cluster, 5000, &c->err));
                conf_proxy_free(w.proxy);
        }
        assert_int_equal(n[0], n[1]);
        conf_outcomes_drop(c);
}

/* ---- the old session ------------------------------------------------------------------------------------------- */

static void *open_raw(struct conf *c, dal_dsn **dsn)
{
        dal_open_args args;
        void *state = calloc(1, c->driver->conn_size);

        assert_non_null(state);
        OK(dal_driver_resolve_dsn(c->driver, c->dsn, NULL, NULL, dsn, &c->err));
        memset(&args, 0, sizeof args);
        args.dsn = *dsn;
        args.service = "raw";
        args.user = dal_dsn_user(*dsn);
        args.password = dal_dsn_password(*dsn);
        args.statements = conf_statements(c);
        OK(c->driver->open(state, &args, SOON, &c->err));
        return state;
}

/* A number that is used again must not cost its new owner the session: it is too young to be meant. */
static void outcome__only_a_session_that_is_old_enough_is_ended(struct conf *c)
{
        dal_conn *victim;
        uint64_t number;
        dal_dsn *dsn;
        void *state;

        if (!c->driver->end_session || c->q->is_pooler || c->server)
                return;
        state = open_raw(c, &dsn);
        victim = conf_open(c, NULL);
        number = dal_conn_info(victim)->session_id;
        OK(c->driver->end_session(state, number, UINT32_MAX, SOON, &c->err));
        OK(dal_conn_ping(victim, SOON, &c->err));
        if (conf_is_mode(c, "prepared") || !conf_has_cap(c, DAL_CAP_PIPELINE)) {
                OK(c->driver->end_session(state, number, 0, SOON, &c->err));
                OK(c->driver->end_session(state, number, 0, SOON, &c->err)); /* gone already: no failure */
                assert_int_not_equal(dal_conn_ping(victim, SOON, &c->err), DAL_OK);
        }
        dal_conn_close(victim);
        c->driver->close(state);
        free(state);
        dal_dsn_free(dsn);
}

/* ---- several statements at once ------------------------------------------------------------------------------ */

/* That COMMIT may travel behind an insert opens no door for anybody else. */
static void outcome__two_statements_at_once_are_refused_on_every_path(struct conf *c)
{
        static const dal_stmt two = DAL_STMT("two", "DELETE FROM conf_account; DELETE FROM conf_item");
        static const char text[] = "DELETE FROM conf_account; DELETE FROM conf_item";
        dal_cluster_options options = DAL_CLUSTER_OPTIONS_INIT;
        struct work w = {.id = 1};
        dal_cluster *cluster;
        dal_conn *conn = NULL;

        if (!c->q->has_port)
                return;
        conf_outcomes_make(c);
        options.pool.max_size = 1;
        cluster = conf_cluster(c, &options);
        OK(dal_cluster_run(cluster, dal_key_int64(1), NULL, work, &w,
                           &c->err)); /* the connection knows how now */
        OK(dal_cluster_lease(cluster, 0, &conn, &c->err));
        FAILS(dal_conn_exec(conn, &two, DAL_NO_PARAMS, SOON, NULL, &c->err), ARGUMENT);
        FAILS(dal_conn_exec_dynamic(conn, text, DAL_NO_PARAMS, SOON, NULL, &c->err), ARGUMENT);
        if (c->q->script_is_one)
                FAILS(dal_conn_script(conn, text, SOON, &c->err), SYNTAX);
        dal_cluster_release(cluster, 0, conn);
        assert_int_equal(count(c), 1);
        w.id = 2;
        OK(dal_cluster_run(cluster, dal_key_int64(1), NULL, work, &w, &c->err)); /* and still knows */
        assert_int_equal(tokens(c, "C"), 2);
        conf_cluster_end(c, cluster);
        conf_outcomes_drop(c);
}

const struct conf_case outcome_conf[] = {
        CONF_CASE(outcome__a_commit_whose_answer_is_lost_was_done_once),
        CONF_CASE(outcome__a_commit_that_never_arrived_is_run_again),
        CONF_CASE(outcome__queued_writes_are_done_once_whatever_is_lost),
        CONF_CASE(outcome__what_only_read_is_run_again_and_leaves_no_token),
        CONF_CASE(outcome__the_old_session_is_ended_with_its_locks),
        CONF_CASE(outcome__in_doubt_until_the_server_can_be_asked),
        CONF_CASE(outcome__a_transaction_still_under_way_is_waited_for),
        CONF_CASE(outcome__a_purged_token_is_unknown),
        CONF_CASE(outcome__a_bad_token_is_refused),
        CONF_CASE(outcome__required_refuses_writes_without_the_table),
        CONF_CASE(outcome__a_server_that_numbers_transactions_needs_no_table),
        CONF_CASE(outcome__one_flush_has_a_row_although_there_are_numbers),
        CONF_CASE(outcome__a_number_is_asked_about_later),
        CONF_CASE(outcome__a_token_costs_no_round_trip),
        CONF_CASE(outcome__only_a_session_that_is_old_enough_is_ended),
        CONF_CASE(outcome__two_statements_at_once_are_refused_on_every_path),
        {NULL, NULL},
};
