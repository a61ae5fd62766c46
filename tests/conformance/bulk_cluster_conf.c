/* SPDX-License-Identifier: MIT */
/* Bulk loads of a cluster: chunks that are transactions of their own, and what befalls them. */

#include "conf.h"
#include "proxy.h"

static const char *const account_columns[] = {"id", "balance"};

static dal_bulk_spec account_spec(void)
{
        dal_bulk_spec spec = DAL_BULK_SPEC_INIT;

        spec.table = "conf_account";
        spec.columns = account_columns;
        spec.n_columns = 2;
        spec.chunk_rows = 100;
        return spec;
}

struct trouble {
        struct conf_proxy *proxy;
        void (*make)(struct conf_proxy *proxy);
        dal_conn *holder;
        int n_chunks, at;
        int64_t n_stored;
        int n_retries;
};

static void make_trouble(void *arg, const dal_bulk_progress *progress)
{
        struct trouble *trouble = arg;

        trouble->n_stored = progress->n_stored;
        if (trouble->n_chunks++ == trouble->at && trouble->make)
                trouble->make(trouble->proxy);
}

static void on_event(void *arg, const dal_event *event)
{
        struct trouble *trouble = arg;

        if (event->kind != DAL_EVENT_RETRY)
                return;
        trouble->n_retries++;
        if (trouble->holder)
                assert_int_equal(dal_conn_rollback(trouble->holder, SOON, NULL), DAL_OK);
        trouble->holder = NULL;
}

static dal_cluster *open_troubled(struct conf *c, const char *url, struct trouble *trouble)
{
        dal_cluster_options options = DAL_CLUSTER_OPTIONS_INIT;
        const dal_driver *drivers[1];
        dal_cluster *cluster = NULL;

        drivers[0] = c->driver;
        options.on_event = on_event;
        options.on_event_arg = trouble;
        options.timeout_ms = 20000;
        options.pool.conn.lock_timeout_ms = 1000;
        OK(dal_cluster_open(url, drivers, 1, &options, &cluster, &c->err));
        return cluster;
}

static void load_accounts(struct conf *c, dal_cluster *cluster, struct trouble *trouble, int64_t n_rows)
{
        dal_bulk_spec spec = account_spec();
        dal_bulk *bulk;
        int64_t n = 0;

        spec.on_progress = make_trouble;
        spec.on_progress_arg = trouble;
        OK(dal_cluster_bulk(cluster, &spec, &bulk, &c->err));
        for (int64_t i = 0; i < n_rows; i++)
                OK(dal_bulk_add_for(bulk, dal_key_int64(i), DAL_PARAMS(dal_int64(i), dal_int64(i)), &c->err));
        OK(dal_bulk_finish(bulk, &n, &c->err));
        dal_bulk_close(bulk);
        assert_int_equal(n, n_rows);
        assert_int_equal(conf_number(c, c->conn, &conf_count_accounts, DAL_NO_PARAMS), n_rows);
}

static void bulk__a_chunk_that_met_a_lock_is_stored_once(struct conf *c)
{
        struct trouble trouble = {.at = -1};
        dal_cluster *cluster = open_troubled(c, c->url, &trouble);

        trouble.holder = conf_open(c, NULL);
        OK(dal_conn_begin(trouble.holder, DAL_ISOLATION_DEFAULT, false, SOON, &c->err));
        OK(dal_conn_exec(trouble.holder, &conf_add_account, DAL_PARAMS(dal_int64(50), dal_int64(1)), SOON,
                         NULL, &c->err));
        {
                dal_conn *holder = trouble.holder;

                load_accounts(c, cluster, &trouble, 250);
                dal_conn_close(holder);
        }
        assert_true(trouble.n_retries >= 1);
        conf_cluster_end(c, cluster);
}

static void lose_connection(struct conf *c, void (*make)(struct conf_proxy *))
{
        struct trouble trouble = {.at = 1, .make = make};
        char url[1200];
        dal_cluster *cluster;

        if (!c->q->has_port)
                return; /* no way to stand in */
        trouble.proxy = conf_proxy_new(c, url, sizeof url);
        cluster = open_troubled(c, url, &trouble);
        load_accounts(c, cluster, &trouble, 500);
        conf_cluster_end(c, cluster);
        conf_proxy_free(trouble.proxy);
}

static void bulk__a_chunk_whose_connection_was_lost_is_stored_once(struct conf *c)
{
        lose_connection(c, conf_proxy_cut);
}

static void bulk__a_chunk_whose_answer_was_lost_is_stored_once(struct conf *c)
{
        lose_connection(c, conf_proxy_lose_next_answer);
}

static void bulk__a_chunk_whose_request_was_lost_is_stored_once(struct conf *c)
{
        lose_connection(c, conf_proxy_lose_next_request);
}

static void bulk__chunks_before_a_refused_one_stay(struct conf *c)
{
        dal_cluster *cluster = conf_cluster(c, NULL);
        dal_bulk_spec spec = account_spec();
        dal_bulk *bulk;
        dal_status s = DAL_OK;

        spec.first_row = 1000;
        OK(dal_cluster_bulk(cluster, &spec, &bulk, &c->err));
        for (int64_t i = 0; i < 300 && s == DAL_OK; i++)
                s = dal_bulk_add_for(bulk, dal_key_int64(1),
                                     DAL_PARAMS(dal_int64(i == 142 ? 141 : i), dal_int64(i)), &c->err);
        FAILS(s, UNIQUE);
        assert_memory_equal(c->err.message, "row 1142: ", 10);
        assert_int_equal(dal_bulk_get_progress(bulk).n_safe, 1100);
        assert_int_equal(dal_bulk_get_progress(bulk).n_stored, 100);
        FAILS(dal_bulk_finish(bulk, NULL, &c->err), STATE);
        dal_bulk_close(bulk);
        assert_int_equal(conf_number(c, c->conn, &conf_count_accounts, DAL_NO_PARAMS), 100);
        conf_cluster_end(c, cluster);
}

const struct conf_case bulk_cluster_conf[] = {
        CONF_CASE(bulk__a_chunk_that_met_a_lock_is_stored_once),
        CONF_CASE(bulk__a_chunk_whose_connection_was_lost_is_stored_once),
        CONF_CASE(bulk__a_chunk_whose_answer_was_lost_is_stored_once),
        CONF_CASE(bulk__a_chunk_whose_request_was_lost_is_stored_once),
        CONF_CASE(bulk__chunks_before_a_refused_one_stay),
        {NULL, NULL},
};
