/* SPDX-License-Identifier: MIT */
/* What is on its way before an answer was read, as seen from between the library and the server. */

#include <pthread.h>
#include <stdatomic.h>

#include "conf.h"
#include "proxy.h"

enum {
        N_READS = 100
};

/* A key that is easy to find among the bytes: "HGFEDCBA" as an integer of eight bytes, or its digits. */
#define MARK INT64_C(0x4142434445464748)

struct rig {
        struct conf *c;
        struct conf_proxy *proxy;
        dal_cluster *cluster;
        dal_status status;
        dal_error err;
        bool strike; /* the answer to the write is lost */
};

static void set_up(struct rig *r, struct conf *c)
{
        dal_cluster_options options = DAL_CLUSTER_OPTIONS_INIT;
        const dal_driver *drivers[1] = {c->driver};
        char url[1200];

        memset(r, 0, sizeof *r);
        r->c = c;
        r->proxy = conf_proxy_new(c, url, sizeof url);
        options.pool.max_size = 1;
        OK(dal_cluster_open(url, drivers, 1, &options, &r->cluster, &c->err));
}

static void tear_down(struct rig *r)
{
        struct conf *c = r->c;

        OK(dal_cluster_close(r->cluster, 5000, &c->err));
        conf_proxy_free(r->proxy);
}

static size_t n_marks(struct rig *r)
{
        char digits[32];

        snprintf(digits, sizeof digits, "%lld", (long long)MARK);
        return conf_proxy_heard(r->proxy, "HGFEDCBA", 8) + conf_proxy_heard(r->proxy, "ABCDEFGH", 8) +
               conf_proxy_heard(r->proxy, digits, strlen(digits));
}

/* Reads that are queued travel with the one that asks. */
static dal_status read_many(dal_tx *tx, void *arg, dal_error *err)
{
        dal_status s = dal_tx_exec(tx, &conf_balance, DAL_PARAMS(dal_int64(1)), NULL, err);

        (void)arg;
        for (int i = 1; i < N_READS && s == DAL_OK; i++)
                s = dal_tx_queue(tx, &conf_balance, DAL_PARAMS(dal_int64(MARK)), err);
        return s ? s : dal_tx_exec(tx, &conf_balance, DAL_PARAMS(dal_int64(MARK)), NULL, err);
}

static dal_status keep_and_read_many(dal_tx *tx, void *arg, dal_error *err)
{
        struct rig *r = arg;
        dal_status s = dal_tx_exec(tx, &conf_balance, DAL_PARAMS(dal_int64(1)), NULL, err);

        conf_proxy_keep_answers(r->proxy, true);
        for (int i = 1; i < N_READS && s == DAL_OK; i++)
                s = dal_tx_queue(tx, &conf_balance, DAL_PARAMS(dal_int64(MARK)), err);
        return s ? s : dal_tx_exec(tx, &conf_balance, DAL_PARAMS(dal_int64(MARK)), NULL, err);
}

static void *run_reads(void *arg)
{
        struct rig *r = arg;

        r->status = dal_cluster_run(r->cluster, dal_key_int64(7), NULL, keep_and_read_many, r, &r->err);
        return NULL;
}

static bool sends_reads_ahead(const struct conf *c)
{
        return conf_has_cap(c, DAL_CAP_PIPELINE) ||
               (c->q->sends_reads_ahead && conf_is_mode(c, "prepared") &&
                strstr(dal_conn_info(c->conn)->client, c->q->sends_reads_ahead));
}

static void ahead__reads_of_a_flush_do_not_wait_for_answers(struct conf *c)
{
        dal_deadline soon;
        pthread_t thread;
        struct rig r;
        size_t n;

        if (!c->q->has_port || !sends_reads_ahead(c))
                return; /* nobody between us, or each waits for its answer */
        set_up(&r, c);
        OK(dal_cluster_run(r.cluster, dal_key_int64(7), NULL, read_many, NULL, &c->err));
        conf_proxy_forget(r.proxy);
        pthread_create(&thread, NULL, run_reads, &r);
        soon = SOON;
        while ((n = n_marks(&r)) < N_READS && !dal_clock_passed(soon))
                conf_sleep_ms(1);
        conf_proxy_keep_answers(r.proxy, false);
        pthread_join(thread, NULL);
        OK((c->err = r.err, r.status));
        assert_int_equal(n, N_READS);
        assert_int_equal(n_marks(&r), N_READS);
        tear_down(&r);
}

/* The write is the first of the flush whose answer is lost: the server may say that it has ended the transaction. */
static dal_status write_then_read(dal_tx *tx, void *arg, dal_error *err)
{
        struct rig *r = arg;
        dal_status s = dal_tx_exec(tx, &conf_balance, DAL_PARAMS(dal_int64(1)), NULL, err);

        conf_proxy_forget(r->proxy);
        if (r->strike)
                conf_proxy_lose_next_answer(r->proxy);
        if (s == DAL_OK)
                s = dal_tx_queue(tx, &conf_add_balance, DAL_PARAMS(dal_int64(1), dal_int64(1)), err);
        for (int i = 0; i < 3 && s == DAL_OK; i++)
                s = dal_tx_queue(tx, &conf_balance, DAL_PARAMS(dal_int64(MARK)), err);
        return s ? s
                 : dal_tx_exec(tx, &conf_add_balance, DAL_PARAMS(dal_int64(1), dal_int64(MARK)), NULL, err);
}

static void ahead__nothing_follows_a_write_whose_answer_is_unread(struct conf *c)
{
        dal_tx_options options = DAL_TX_OPTIONS_INIT;
        struct rig r;

        if (!c->q->has_port || conf_has_cap(c, DAL_CAP_PIPELINE))
                return; /* a server that skips what follows a failure may have it all */
        set_up(&r, c);
        OK(dal_cluster_run(r.cluster, dal_key_int64(7), NULL, write_then_read, &r, &c->err));
        assert_int_equal(n_marks(&r), 4);
        r.strike = true;
        options.max_attempts = 1;
        FAILS(dal_cluster_run(r.cluster, dal_key_int64(7), &options, write_then_read, &r, &c->err),
              CONNECTION_LOST);
        assert_int_equal(n_marks(&r), 0);
        tear_down(&r);
}

/* Each failure but the first belongs to a request that was executed all the same, or was not: it makes no difference. */
static dal_status reads_of_which_one_fails(dal_tx *tx, void *arg, dal_error *err)
{
        static const dal_stmt twice =
                DAL_STMT("two_rows", "SELECT (SELECT balance FROM conf_account WHERE id >= ?) AS b");
        int64_t from = *(int64_t *)arg;
        dal_status s = dal_tx_exec(tx, &twice, DAL_PARAMS(dal_int64(2)), NULL, err);

        for (int64_t id = 1; id <= 20 && s == DAL_OK; id++)
                s = dal_tx_queue(tx, &twice, DAL_PARAMS(dal_int64(id == 10 ? from : 2)), err);
        return s ? s : dal_tx_exec(tx, &twice, DAL_PARAMS(dal_int64(2)), NULL, err);
}

/* One answer too many or too few that is thrown away would cost the session, which another one replaces unseen. */
static void ahead__a_failure_among_reads_leaves_a_usable_connection(struct conf *c)
{
        dal_cluster_options options = DAL_CLUSTER_OPTIONS_INIT;
        dal_cluster *cluster;
        int64_t from = 1;
        uint64_t session;

        if (!c->q->counts_round_trips || !c->q->has_port)
                return;
        for (int64_t id = 1; id <= 2; id++)
                OK(dal_conn_exec(c->conn, &conf_add_account, DAL_PARAMS(dal_int64(id), dal_int64(10 * id)),
                                 SOON, NULL, &c->err));
        options.pool.max_size = 1;
        cluster = conf_cluster(c, &options);
        session = conf_session_of(c, cluster);
        for (int i = 0; i < 3; i++) {
                from = 1;
                assert_int_not_equal(dal_cluster_run(cluster, dal_key_int64(7), NULL,
                                                     reads_of_which_one_fails, &from, &c->err),
                                     DAL_OK);
                assert_false(c->err.conn_gone);
                assert_non_null(strstr(c->err.message, "two_rows"));
                from = 2;
                OK(dal_cluster_run(cluster, dal_key_int64(7), NULL, reads_of_which_one_fails, &from,
                                   &c->err));
                assert_int_equal(conf_session_of(c, cluster), session);
        }
        conf_cluster_end(c, cluster);
}

/* ---- the session or a statement ends in the midst ---------------------------------------------------------------- */

struct reader {
        struct conf *c;
        struct conf_proxy *proxy;
        dal_cluster *cluster;
        _Atomic uint64_t session_id;
        _Atomic uint32_t n_calls;
        dal_status status;
        dal_error err;
};

/* Takes so many seconds. */
static const dal_stmt nap = DAL_STMT("nap",
                                     "WITH RECURSIVE r (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r) "
                                     "SELECT COUNT(*) FROM (SELECT n FROM r LIMIT ? * 200000000)",
                                     .postgres = "SELECT pg_sleep(CAST(? AS integer))",
                                     .mysql = "SELECT SLEEP(? / 10) FROM conf_digit");

static dal_status queue_nap(dal_tx *tx, const struct conf *c, dal_error *err)
{
        return c->server ? dal_tx_queue(tx, &conf_sleep, DAL_NO_PARAMS, err)
                         : dal_tx_queue(tx, &nap, DAL_PARAMS(dal_int64(10)), err);
}

/* The first time one of the reads takes longer than the session, or the deadline, lives. */
static dal_status read_around_a_sleep(dal_tx *tx, void *arg, dal_error *err)
{
        struct reader *r = arg;
        bool slow = ++r->n_calls == 1;
        dal_status s = dal_tx_exec(tx, &conf_balance, DAL_PARAMS(dal_int64(1)), NULL, err);

        r->session_id = dal_tx_info(tx)->session_id;
        for (int i = 0; i < N_READS && s == DAL_OK; i++) {
                s = dal_tx_queue(tx, &conf_balance, DAL_PARAMS(dal_int64(MARK)), err);
                if (i == N_READS / 2 && slow && s == DAL_OK)
                        s = queue_nap(tx, r->c, err);
        }
        return s ? s : dal_tx_exec(tx, &conf_balance, DAL_PARAMS(dal_int64(MARK)), NULL, err);
}

static void *run_reader(void *arg)
{
        struct reader *r = arg;

        r->status = dal_cluster_run(r->cluster, dal_key_int64(7), NULL, read_around_a_sleep, r, &r->err);
        return NULL;
}

/* Every statement is prepared by now, so that as many are on their way as can be. */
static void prepare_reads(struct conf *c, dal_cluster *cluster)
{
        dal_conn *conn = NULL;

        OK(dal_cluster_lease(cluster, 0, &conn, &c->err));
        OK(dal_conn_exec(conn, &conf_balance, DAL_PARAMS(dal_int64(1)), SOON, NULL, &c->err));
        if (!c->server)
                OK(dal_conn_exec(conn, &nap, DAL_PARAMS(dal_int64(0)), SOON, NULL, &c->err));
        dal_cluster_release(cluster, 0, conn);
}

static void end_session(struct conf *c, uint64_t session_id)
{
        const char *mark = strchr(c->q->end_session, '?');
        char sql[128];

        snprintf(sql, sizeof sql, "%.*s%llu%s", (int)(mark - c->q->end_session), c->q->end_session,
                 (unsigned long long)session_id, mark + 1);
        OK(dal_conn_exec_dynamic(c->conn, sql, DAL_NO_PARAMS, SOON, NULL, &c->err));
}

static void ahead__a_session_ended_among_reads_is_told_and_the_run_begins_again(struct conf *c)
{
        struct reader r = {.c = c};
        dal_deadline soon;
        pthread_t thread;
        struct rig rig;

        if (!c->q->end_session || !c->q->has_port || c->q->is_pooler)
                return; /* there is no session to end, or nobody between us, or it is another's */
        set_up(&rig, c);
        prepare_reads(c, rig.cluster);
        r.cluster = rig.cluster;
        conf_proxy_forget(rig.proxy);
        pthread_create(&thread, NULL, run_reader, &r);
        soon = SOON;
        while (n_marks(&rig) < (sends_reads_ahead(c) ? N_READS + 1 : N_READS / 2) && !dal_clock_passed(soon))
                conf_sleep_ms(1);
        end_session(c, r.session_id);
        pthread_join(thread, NULL);
        OK((c->err = r.err, r.status));
        assert_int_equal(r.n_calls, 2);
        tear_down(&rig);
}

static dal_status read_each(dal_tx *tx, void *arg, dal_error *err)
{
        dal_batch *batch = NULL;
        dal_status s = dal_tx_batch(tx, &batch, err);

        for (int64_t id = 1; id <= 20 && s == DAL_OK; id++)
                s = dal_batch_add(batch, &conf_balance, DAL_PARAMS(dal_int64(id)), err);
        if (s == DAL_OK)
                s = dal_batch_run(batch, err);
        for (int64_t id = 1; id <= 20 && s == DAL_OK; id++) {
                int64_t balance = 0;

                s = dal_batch_next(batch, &(bool){false}, err);
                if (s == DAL_OK)
                        s = dal_rows_first(dal_batch_rows(batch), err);
                if (s == DAL_OK)
                        s = dal_rows_int64(dal_batch_rows(batch), 0, &balance, err);
                *(bool *)arg &= s != DAL_OK || balance == 10 * id;
        }
        dal_batch_close(batch);
        return s;
}

static void ahead__a_deadline_among_reads_leaves_the_next_ones_their_answers(struct conf *c)
{
        dal_cluster_options options = DAL_CLUSTER_OPTIONS_INIT;
        dal_tx_options soon = DAL_TX_OPTIONS_INIT;
        bool right = true;

        for (int64_t id = 1; id <= 20; id++)
                OK(dal_conn_exec(c->conn, &conf_add_account, DAL_PARAMS(dal_int64(id), dal_int64(10 * id)),
                                 SOON, NULL, &c->err));
        options.pool.max_size = 1;
        options.timeout_ms = 20000;
        soon.timeout_ms = 2000;
        for (int i = 0; i < 2; i++) {
                struct reader r = {.c = c, .cluster = conf_cluster(c, &options)};

                if (i) /* the second time all that is sent ahead */
                        prepare_reads(c, r.cluster);
                assert_int_equal(
                        dal_cluster_run(r.cluster, dal_key_int64(7), &soon, read_around_a_sleep, &r, &c->err),
                        DAL_ERR_TIMEOUT); /* its own, or the limit that the server was given */
                assert_int_equal(r.n_calls, 1);
                OK(dal_cluster_run(r.cluster, dal_key_int64(7), NULL, read_each, &right, &c->err));
                assert_true(right);
                conf_cluster_end(c, r.cluster);
        }
}

/* ---- statements that were never used ----------------------------------------------------------------------------- */

static const dal_stmt first_uses[] = {
        DAL_STMT("first_balance", "SELECT balance FROM conf_account WHERE id = ?"),
        DAL_STMT("first_sum", "SELECT balance + 1 FROM conf_account WHERE id = ?"),
        DAL_STMT("first_other", "SELECT balance + 2 FROM conf_account WHERE id = ?"),
};

static dal_status use_first(dal_batch *batch, bool *right, dal_error *err)
{
        dal_status s = DAL_OK;

        for (size_t i = 0; i < 9 && s == DAL_OK; i++)
                s = dal_batch_add(batch, &first_uses[i % 3], DAL_PARAMS(dal_int64(1 + (int64_t)i / 3)), err);
        if (s == DAL_OK)
                s = dal_batch_run(batch, err);
        for (int64_t i = 0; i < 9 && s == DAL_OK; i++) {
                int64_t value = 0;

                s = dal_batch_next(batch, &(bool){false}, err);
                if (s == DAL_OK)
                        s = dal_rows_first(dal_batch_rows(batch), err);
                if (s == DAL_OK)
                        s = dal_rows_int64(dal_batch_rows(batch), 0, &value, err);
                *right &= s != DAL_OK || value == 10 * (1 + i / 3) + i % 3;
        }
        dal_batch_close(batch);
        return s;
}

static dal_status use_first_in_tx(dal_tx *tx, void *arg, dal_error *err)
{
        dal_batch *batch = NULL;
        dal_status s = dal_tx_batch(tx, &batch, err);

        return s ? s : use_first(batch, arg, err);
}

static void ahead__statements_are_used_first_in_a_batch(struct conf *c)
{
        bool right = true;

        if (c->server)
                return; /* it knows the statements of the suite alone */
        for (int64_t id = 1; id <= 3; id++)
                OK(dal_conn_exec(c->conn, &conf_add_account, DAL_PARAMS(dal_int64(id), dal_int64(10 * id)),
                                 SOON, NULL, &c->err));
        for (int in_tx = 0; in_tx < 2; in_tx++) {
                dal_cluster *cluster = conf_cluster(c, NULL);
                dal_batch *batch = NULL;

                if (in_tx) {
                        OK(dal_cluster_run(cluster, dal_key_int64(7), NULL, use_first_in_tx, &right,
                                           &c->err));
                } else {
                        OK(dal_cluster_batch(cluster, dal_key_int64(7), &batch, &c->err));
                        OK(use_first(batch, &right, &c->err));
                }
                assert_true(right);
                conf_cluster_end(c, cluster);
        }
}

const struct conf_case ahead_conf[] = {
        CONF_CASE(ahead__reads_of_a_flush_do_not_wait_for_answers),
        CONF_CASE(ahead__nothing_follows_a_write_whose_answer_is_unread),
        CONF_CASE(ahead__a_failure_among_reads_leaves_a_usable_connection),
        CONF_CASE(ahead__a_session_ended_among_reads_is_told_and_the_run_begins_again),
        CONF_CASE(ahead__a_deadline_among_reads_leaves_the_next_ones_their_answers),
        CONF_CASE(ahead__statements_are_used_first_in_a_batch),
        {NULL, NULL},
};
