/* SPDX-License-Identifier: MIT */
/* What is on its way before an answer was read, as seen from between the library and the server. */

#include <pthread.h>

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

static void ahead__a_failure_among_reads_leaves_a_usable_connection(struct conf *c)
{
        dal_cluster_options options = DAL_CLUSTER_OPTIONS_INIT;
        dal_cluster *cluster;
        int64_t from = 1;

        if (!c->q->counts_round_trips || !c->q->has_port)
                return;
        for (int64_t id = 1; id <= 2; id++)
                OK(dal_conn_exec(c->conn, &conf_add_account, DAL_PARAMS(dal_int64(id), dal_int64(10 * id)),
                                 SOON, NULL, &c->err));
        options.pool.max_size = 1;
        cluster = conf_cluster(c, &options);
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
        }
        conf_cluster_end(c, cluster);
}

const struct conf_case ahead_conf[] = {
        CONF_CASE(ahead__reads_of_a_flush_do_not_wait_for_answers),
        CONF_CASE(ahead__nothing_follows_a_write_whose_answer_is_unread),
        CONF_CASE(ahead__a_failure_among_reads_leaves_a_usable_connection),
        {NULL, NULL},
};
