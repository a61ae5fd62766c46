/* SPDX-License-Identifier: MIT */
/*
 * The worst moment: COMMIT was sent and something happens to its answer. On the fake server, which does it
 * on demand.
 */

#include "fault.h"

struct work {
        uint32_t n_calls, n_committed, n_rolled_back;
        bool queued;
};

static void committed(void *arg)
{
        ((struct work *)arg)->n_committed++;
}

static void rolled_back(void *arg)
{
        ((struct work *)arg)->n_rolled_back++;
}

static dal_status add_one(dal_tx *tx, void *arg, dal_error *err)
{
        struct work *w = arg;
        dal_status s;

        w->n_calls++;
        if ((s = dal_tx_on_commit(tx, committed, w, err)) ||
            (s = dal_tx_on_rollback(tx, rolled_back, w, err)))
                return s;
        return w->queued ? dal_tx_queue(tx, &conf_add_account, DAL_PARAMS(dal_int64(1), dal_int64(1)), err)
                         : dal_tx_exec(tx, &conf_add_account, DAL_PARAMS(dal_int64(1), dal_int64(1)), NULL,
                                       err);
}

static dal_status run(struct conf *c, dal_cluster *cluster, struct work *w, uint32_t timeout_ms)
{
        dal_tx_options options = DAL_TX_OPTIONS_INIT;

        options.timeout_ms = timeout_ms;
        return dal_cluster_run(cluster, dal_key_int64(1), &options, add_one, w, &c->err);
}

/* Nobody knows: so no hook is called, nothing is run again, and the caller is told. */
static void in_doubt(struct conf *c, const dal_fake_fault *fault, bool queued, int64_t wanted)
{
        dal_cluster *cluster = conf_cluster(c, NULL);
        struct work w = {.queued = queued};

        assert_true(dal_fake_inject(c->server, fault));
        FAILS(run(c, cluster, &w, 500), COMMIT_UNKNOWN);
        assert_false(c->err.retry_tx);
        assert_int_equal(w.n_calls, 1);
        assert_int_equal(w.n_committed, 0);
        assert_int_equal(w.n_rolled_back, 0);
        assert_int_equal(dal_fake_journal_count(c->server, "COMMIT"), 1);
        assert_int_equal(fault_count(c), wanted);
        conf_cluster_end(c, cluster);
}

static void commit__reply_lost_after_it_was_done(struct conf *c)
{
        static const dal_fake_fault fault = {.at = DAL_FAKE_AT_REQUEST,
                                             .match = "COMMIT",
                                             .error_class = DAL_CLASS_CONNECTION_LOST,
                                             .executed = true};

        in_doubt(c, &fault, false, 1);
}

static void commit__reply_lost_before_it_was_done(struct conf *c)
{
        static const dal_fake_fault fault = {
                .at = DAL_FAKE_AT_REQUEST, .match = "COMMIT", .error_class = DAL_CLASS_CONNECTION_LOST};

        in_doubt(c, &fault, false, 0);
}

static void commit__reply_lost_with_queued_writes(struct conf *c)
{
        static const dal_fake_fault fault = {.at = DAL_FAKE_AT_REQUEST,
                                             .match = "COMMIT",
                                             .error_class = DAL_CLASS_CONNECTION_LOST,
                                             .executed = true};

        in_doubt(c, &fault, true, 1);
}

static void commit__no_reply_until_the_deadline(struct conf *c)
{
        static const dal_fake_fault fault = {.at = DAL_FAKE_AT_REQUEST, .match = "COMMIT", .hang = true};

        in_doubt(c, &fault, false, 0);
        assert_int_equal(dal_fake_journal_count(c->server, "CANCEL"), 0);
}

/* Before COMMIT nothing is in doubt: the transaction is simply run again. */
static void retried(struct conf *c, const dal_fake_fault *fault, bool queued, uint32_t n_calls)
{
        dal_cluster *cluster = conf_cluster(c, NULL);
        struct work w = {.queued = queued};

        assert_true(dal_fake_inject(c->server, fault));
        OK(run(c, cluster, &w, 0));
        assert_int_equal(w.n_calls, n_calls);
        assert_int_equal(w.n_committed, 1);
        assert_int_equal(w.n_rolled_back, n_calls - 1);
        assert_int_equal(fault_count(c), 1);
        assert_int_equal(dal_fake_get_stats(c->server).n_in_tx, 0);
        conf_cluster_end(c, cluster);
}

static void commit__connection_lost_before_it(struct conf *c)
{
        static const dal_fake_fault fault = {
                .at = DAL_FAKE_AT_REQUEST, .match = "add_account", .error_class = DAL_CLASS_CONNECTION_LOST};

        retried(c, &fault, false, 2);
}

static void commit__deadlock_answered_to_it(struct conf *c)
{
        static const dal_fake_fault fault = {
                .at = DAL_FAKE_AT_REQUEST, .match = "COMMIT", .error_class = DAL_CLASS_DEADLOCK};

        retried(c, &fault, false, 2);
}

static void commit__serialization_failure_answered_to_it(struct conf *c)
{
        static const dal_fake_fault fault = {
                .at = DAL_FAKE_AT_REQUEST, .match = "COMMIT", .error_class = DAL_CLASS_SERIALIZATION};

        retried(c, &fault, true, 2);
}

static void commit__deadlock_of_a_queued_write(struct conf *c)
{
        static const dal_fake_fault fault = {
                .at = DAL_FAKE_AT_REQUEST, .match = "add_account", .error_class = DAL_CLASS_DEADLOCK};

        retried(c, &fault, true, 2);
}

static void commit__nothing_sent(struct conf *c)
{
        static const dal_fake_fault fault = {
                .at = DAL_FAKE_AT_FLUSH, .error_class = DAL_CLASS_CONNECTION_LOST, .not_sent = true};

        /* With modes the first thing sent is the change of mode: the function is not even called then. */
        retried(c, &fault, true, conf_has_cap(c, DAL_CAP_TX_MODE) ? 1 : 2);
}

static void commit__answered_by_rollback(struct conf *c)
{
        static const dal_fake_fault fault = {
                .at = DAL_FAKE_AT_REQUEST, .match = "COMMIT", .error_class = DAL_CLASS_COMMIT_ROLLED_BACK};
        dal_cluster *cluster = conf_cluster(c, NULL);
        struct work w = {.queued = false};

        assert_true(dal_fake_inject(c->server, &fault));
        FAILS(run(c, cluster, &w, 0), COMMIT_ROLLED_BACK);
        assert_int_equal(w.n_calls, 1);
        assert_int_equal(w.n_committed, 0);
        assert_int_equal(w.n_rolled_back, 1);
        assert_int_equal(fault_count(c), 0);
        conf_cluster_end(c, cluster);
}

static void commit__constraint_answered_to_it(struct conf *c)
{
        static const dal_fake_fault fault = {
                .at = DAL_FAKE_AT_REQUEST, .match = "COMMIT", .error_class = DAL_CLASS_FOREIGN_KEY};
        dal_cluster *cluster = conf_cluster(c, NULL);
        struct work w = {.queued = false};

        assert_true(dal_fake_inject(c->server, &fault));
        FAILS(run(c, cluster, &w, 0), FOREIGN_KEY);
        assert_int_equal(w.n_calls, 1);
        assert_int_equal(w.n_rolled_back, 1);
        assert_int_equal(fault_count(c), 0);
        conf_cluster_end(c, cluster);
}

/* A single write that commits by itself is in the same doubt. */
static void commit__single_write_whose_answer_is_lost(struct conf *c)
{
        dal_cluster *cluster = conf_cluster(c, NULL);

        assert_true(dal_fake_inject(c->server, &(dal_fake_fault){.at = DAL_FAKE_AT_REQUEST,
                                                                 .match = "add_account",
                                                                 .error_class = DAL_CLASS_CONNECTION_LOST,
                                                                 .executed = true}));
        FAILS(dal_cluster_exec(cluster, dal_key_int64(1), &conf_add_account,
                               DAL_PARAMS(dal_int64(1), dal_int64(1)), NULL, &c->err),
              COMMIT_UNKNOWN);
        assert_int_equal(dal_fake_journal_count(c->server, "add_account"), 1);
        assert_int_equal(fault_count(c), 1);
        conf_cluster_end(c, cluster);
}

/* ROLLBACK that fails costs the connection, and nothing else. */
static void commit__rollback_fails(struct conf *c)
{
        dal_cluster *cluster = conf_cluster(c, NULL);
        struct work w = {.queued = false};

        assert_true(dal_fake_inject(c->server, &(dal_fake_fault){.at = DAL_FAKE_AT_REQUEST,
                                                                 .match = "ROLLBACK",
                                                                 .error_class = DAL_CLASS_SERVER_OTHER}));
        assert_true(dal_fake_inject(c->server, &(dal_fake_fault){.at = DAL_FAKE_AT_REQUEST,
                                                                 .match = "add_account",
                                                                 .error_class = DAL_CLASS_CHECK}));
        FAILS(run(c, cluster, &w, 0), CHECK);
        assert_int_equal(dal_fake_get_stats(c->server).n_in_tx, 0);
        OK(run(c, cluster, &w, 0));
        assert_int_equal(fault_count(c), 1);
        conf_cluster_end(c, cluster);
}

/* The pool's count of connections opened by a cluster so far. */
static uint64_t n_opened(struct conf *c, dal_cluster *cluster)
{
        dal_shard_info info;

        OK(dal_cluster_shard_info(cluster, 0, &info, &c->err));
        return info.pool.n_opened;
}

/* A server that refuses to begin is told on; the session is none the worse for it. */
static void commit__begin_refused_keeps_the_connection(struct conf *c)
{
        dal_cluster *cluster = conf_cluster(c, NULL);
        struct work w = {.queued = false};

        if (conf_has_cap(c, DAL_CAP_TX_MODE)) { /* BEGIN is not sent there */
                conf_cluster_end(c, cluster);
                return;
        }
        assert_true(dal_fake_inject(c->server, &(dal_fake_fault){.at = DAL_FAKE_AT_REQUEST,
                                                                 .match = "BEGIN",
                                                                 .error_class = DAL_CLASS_UNSUPPORTED}));
        FAILS(run(c, cluster, &w, 0), UNSUPPORTED);
        assert_int_equal(w.n_committed, 0);
        assert_int_equal(dal_fake_get_stats(c->server).n_in_tx, 0);
        OK(run(c, cluster, &w, 0));
        assert_int_equal(n_opened(c, cluster), 1);
        assert_int_equal(fault_count(c), 1);
        conf_cluster_end(c, cluster);
}

/* One that is lost over it is replaced, and nothing was done on it. */
static void commit__connection_lost_over_begin_is_replaced(struct conf *c)
{
        dal_cluster *cluster = conf_cluster(c, NULL);
        struct work w = {.queued = false};

        if (conf_has_cap(c, DAL_CAP_TX_MODE)) {
                conf_cluster_end(c, cluster);
                return;
        }
        assert_true(dal_fake_inject(c->server, &(dal_fake_fault){.at = DAL_FAKE_AT_REQUEST,
                                                                 .match = "BEGIN",
                                                                 .error_class = DAL_CLASS_CONNECTION_LOST}));
        OK(run(c, cluster, &w, 0));
        assert_int_equal(w.n_calls, 2);
        assert_int_equal(w.n_committed, 1);
        assert_int_equal(n_opened(c, cluster), 2);
        assert_int_equal(fault_count(c), 1);
        conf_cluster_end(c, cluster);
}

const struct conf_case commit_fault[] = {
        CONF_CASE(commit__reply_lost_after_it_was_done),
        CONF_CASE(commit__reply_lost_before_it_was_done),
        CONF_CASE(commit__reply_lost_with_queued_writes),
        CONF_CASE(commit__no_reply_until_the_deadline),
        CONF_CASE(commit__connection_lost_before_it),
        CONF_CASE(commit__deadlock_answered_to_it),
        CONF_CASE(commit__serialization_failure_answered_to_it),
        CONF_CASE(commit__deadlock_of_a_queued_write),
        CONF_CASE(commit__nothing_sent),
        CONF_CASE(commit__answered_by_rollback),
        CONF_CASE(commit__constraint_answered_to_it),
        CONF_CASE(commit__single_write_whose_answer_is_lost),
        CONF_CASE(commit__rollback_fails),
        CONF_CASE(commit__begin_refused_keeps_the_connection),
        CONF_CASE(commit__connection_lost_over_begin_is_replaced),
        {NULL, NULL},
};
