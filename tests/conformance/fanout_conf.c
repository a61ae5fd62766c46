/* SPDX-License-Identifier: MIT */
/* Fan-out over three shards on real servers, and over engines together. */

#include "conf.h"

#include <stdlib.h>

#include "proxy.h"
#include "shard/cluster_state.h"

#define N_SHARDS 3

static void add_shard(struct conf *c, dal_cluster *cluster, uint16_t number, const dal_driver *driver,
                      const char *url)
{
        dal_dsn *given = NULL, *dsn = NULL;

        OK(dal_dsn_parse(url, &given, &c->err));
        OK(dal_driver_resolve_dsn(driver, given, NULL, NULL, &dsn, &c->err));
        dal_dsn_free(given);
        OK(dal__cluster_add_shard(cluster, number, driver, dsn, NULL, &c->err));
        atomic_store(&cluster->shards[number]->verified, true); /* there is no catalog to compare it with */
}

/* A cluster of the suite's own database three times, each with a pool of its own; `urls` may lead elsewhere. */
static dal_cluster *open_mixed(struct conf *c, const char *const urls[N_SHARDS],
                               const dal_driver *const drivers[N_SHARDS])
{
        dal_cluster_options options = DAL_CLUSTER_OPTIONS_INIT;
        dal_cluster *cluster;

        options.timeout_ms = 20000;
        options.outcomes = DAL_OUTCOMES_OFF;
        cluster = conf_cluster(c, &options);
        for (uint16_t i = 1; i < N_SHARDS; i++)
                add_shard(c, cluster, i, drivers && drivers[i] ? drivers[i] : c->driver,
                          urls && urls[i] ? urls[i] : c->url);
        for (uint32_t slot = 0; slot < DAL_N_SLOTS; slot++)
                dal__map_set(&cluster->map, (uint16_t)slot, (uint16_t)(slot % N_SHARDS));
        return cluster;
}

static dal_cluster *open_three(struct conf *c, const char *const urls[N_SHARDS])
{
        return open_mixed(c, urls, NULL);
}

/* Every lease came home, and nothing was closed but what the caller says. */
static void end_three(struct conf *c, dal_cluster *cluster, uint64_t n_closed)
{
        uint64_t n = 0;

        for (uint16_t i = 0; i < N_SHARDS; i++) {
                dal_shard_info info;

                OK(dal_cluster_shard_info(cluster, i, &info, &c->err));
                assert_int_equal(info.pool.leased, 0);
                n += info.pool.n_closed;
        }
        assert_int_equal(n, n_closed);
        OK(dal_cluster_close(cluster, 5000, &c->err));
}

static dal_status ask(struct conf *c, dal_cluster *cluster, const dal_fanout_options *options,
                      const dal_stmt *stmt, int64_t n, dal_rows **rows)
{
        return dal_fanout_query_with(cluster, options, stmt, DAL_PARAMS(dal_int64(n)), rows, &c->err);
}

static dal_fanout_options in_order(int order)
{
        static const dal_fanout_column by_n = {.name = "n"};
        dal_fanout_options options = DAL_FANOUT_OPTIONS_INIT;

        options.order = (dal_fanout_order)order;
        if (order == DAL_FANOUT_MERGED) {
                options.columns = &by_n;
                options.n_columns = 1;
        }
        return options;
}

/* The numbers below `n` from each of three shards, in the order that was asked for. */
static void read_three(struct conf *c, dal_rows *rows, int order, int64_t n)
{
        int64_t next[N_SHARDS] = {0}, last = 0, value;
        uint16_t last_shard = 0;
        bool found;

        while (OK(dal_rows_next(rows, &found, &c->err)), found) {
                uint16_t shard = dal_rows_shard(rows);

                OK(dal_rows_int64(rows, 0, &value, &c->err));
                assert_in_range(shard, 0, N_SHARDS - 1);
                if (value != next[shard]++)
                        fail_msg("shard %u gave %lld", shard, (long long)value);
                if (order == DAL_FANOUT_BY_SHARD)
                        assert_true(shard >= last_shard);
                if (order == DAL_FANOUT_MERGED)
                        assert_true(value > last || (value == last && shard >= last_shard));
                last = value;
                last_shard = shard;
        }
        for (int i = 0; i < N_SHARDS; i++)
                assert_int_equal(next[i], n);
        assert_string_equal(dal_rows_column(rows, 0), "n");
}

#define SORTED                                                                                               \
        "SELECT e.d * 1000 + a.d * 100 + b.d * 10 + c.d AS n FROM conf_digit e CROSS JOIN conf_digit a "     \
        "CROSS JOIN conf_digit b CROSS JOIN conf_digit c WHERE e.d * 1000 + a.d * 100 + b.d * 10 + c.d < ? " \
        "ORDER BY n"
static const dal_stmt sorted = DAL_STMT("sorted_numbers", SORTED);
static const dal_stmt streamed = DAL_STMT("streamed_numbers", SORTED, .flags = DAL_STMT_STREAM);

static void fanout__three_shards_in_every_order(struct conf *c)
{
        static const int64_t sizes[] = {0, 1, 70, 5000};
        dal_cluster *cluster = open_three(c, NULL);

        for (int order = 0; order < 3; order++)
                for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
                        for (int streams = 0; streams < 2; streams++) {
                                dal_fanout_options options = in_order(order);
                                dal_rows *rows;

                                OK(ask(c, cluster, &options, streams ? &streamed : &sorted, sizes[i], &rows));
                                read_three(c, rows, order, sizes[i]);
                                dal_rows_close(rows);
                        }
        end_three(c, cluster, 0);
}

static void fanout__engines_of_two_kinds_answer_together(struct conf *c)
{
        dal_fake_server *other = dal_fake_new();
        char url[DAL_FAKE_URL_SIZE];
        const char *const urls[N_SHARDS] = {NULL, url, NULL};
        const dal_driver *const drivers[N_SHARDS] = {NULL, dal_driver_fake(), NULL};
        dal_cluster *cluster;

        assert_non_null(other);
        assert_true(conf_fake_answers(other));
        dal_fake_url(other, url);
        cluster = open_mixed(c, urls, drivers);
        for (int order = 0; order < 3; order++) {
                dal_fanout_options options = in_order(order);
                dal_rows *rows;

                OK(ask(c, cluster, &options, &sorted, 300, &rows));
                read_three(c, rows, order, 300);
                dal_rows_close(rows);
        }
        end_three(c, cluster, 0);
        dal_fake_free(other);
}

static void fanout__closed_early_or_limited_the_connections_stay(struct conf *c)
{
        static const dal_stmt *const both[] = {&sorted, &streamed};
        dal_cluster *cluster = open_three(c, NULL);

        cluster->fanout_grace_ms =
                20000; /* on a loaded machine a second is not enough to stop three statements */
        for (int order = 0; order < 2; order++)
                for (size_t i = 0; i < 2; i++)
                        for (uint64_t limit = 0; limit < 3; limit++) {
                                dal_fanout_options options = in_order(order);
                                bool found = true;
                                dal_rows *rows;

                                options.limit = limit;
                                OK(ask(c, cluster, &options, both[i], 9000, &rows));
                                for (uint64_t k = 0; found && k < 5; k++)
                                        OK(dal_rows_next(rows, &found, &c->err));
                                assert_int_equal(found, limit == 0);
                                dal_rows_close(rows);
                                OK(ask(c, cluster, &options, &sorted, 0, &rows));
                                dal_rows_close(rows);
                        }
        end_three(c, cluster, 0);
}

/* One that hears nothing any more: the others' rows come all the same, and then the deadline names it. */
static void fanout__a_silent_shard_holds_nobody_back_and_is_named(struct conf *c)
{
        static const dal_stmt digits = DAL_STMT("digits", "SELECT d AS n FROM conf_digit WHERE d < ?");
        char url[1024];
        const char *urls[N_SHARDS] = {NULL, url, NULL};
        dal_fanout_options options = in_order(DAL_FANOUT_AS_THEY_COME);
        struct conf_proxy *proxy;
        dal_cluster *cluster;
        int64_t begun, n = 0;
        bool found = true;
        dal_status s;
        dal_rows *rows;

        if (!c->q->counts_round_trips || c->server)
                return; /* without a server there is nobody to fall silent */
        proxy = conf_proxy_new(c, url, sizeof url);
        cluster = open_three(c, urls);
        OK(ask(c, cluster, &options, &digits, 10, &rows)); /* all are connected, and have it prepared */
        dal_rows_close(rows);
        conf_proxy_hold(proxy);
        options.timeout_ms = 2000;
        begun = dal_clock_now();
        s = ask(c, cluster, &options, &digits, 10, &rows);
        while (s == DAL_OK && (s = dal_rows_next(rows, &found, &c->err)) == DAL_OK && found) {
                assert_int_not_equal(dal_rows_shard(rows), 1);
                n++;
        }
        FAILS(s, DEADLINE);
        assert_int_equal(c->err.shard, 1);
        /* Where nothing is sent before its turn, who comes behind the silent one is not asked any more. */
        assert_in_range(n, conf_has_cap(c, DAL_CAP_PIPELINE) ? 20 : 10, 20);
        assert_true(dal_clock_now() - begun < INT64_C(5000000000));
        dal_rows_close(rows);
        end_three(c, cluster, 1);
        conf_proxy_free(proxy);
}

static void fanout__the_deadline_stops_what_runs_on_every_shard(struct conf *c)
{
        dal_fanout_options options = in_order(DAL_FANOUT_AS_THEY_COME);
        dal_cluster *cluster = open_three(c, NULL);
        int64_t begun = dal_clock_now();
        bool found;
        dal_status s;
        dal_rows *rows;

        options.timeout_ms = 300;
        s = dal_fanout_query_with(cluster, &options, &conf_sleep, DAL_NO_PARAMS, &rows, &c->err);
        if (s == DAL_OK)
                s = dal_rows_next(rows, &found, &c->err);
        assert_int_equal(s, DAL_ERR_TIMEOUT);
        dal_rows_close(rows);
        assert_true(dal_clock_now() - begun < INT64_C(4000000000));
        OK(dal_fanout_query(cluster, &conf_numbers, DAL_PARAMS(dal_int64(3)), &rows, &c->err));
        read_three(c, rows, DAL_FANOUT_BY_SHARD, 3);
        dal_rows_close(rows);
        OK(dal_cluster_close(cluster, 5000, &c->err));
}

static void fanout__a_statement_that_one_shard_refuses_fails_it(struct conf *c)
{
        static const dal_stmt nobody = DAL_STMT("nobody", "SELECT n FROM conf_no_such_table WHERE n < ?");
        dal_cluster *cluster = open_three(c, NULL);

        for (int order = 0; order < 3; order++) {
                dal_fanout_options options = in_order(order);
                dal_rows *rows;

                if (c->server)
                        break; /* the fake server knows no tables */
                FAILS(ask(c, cluster, &options, &nobody, 1, &rows), UNDEFINED_OBJECT);
                assert_in_range(c->err.shard, 0, N_SHARDS - 1);
        }
        end_three(c, cluster, 0);
}

const struct conf_case fanout_conf[] = {CONF_CASE(fanout__three_shards_in_every_order),
                                        CONF_CASE(fanout__engines_of_two_kinds_answer_together),
                                        CONF_CASE(fanout__closed_early_or_limited_the_connections_stay),
                                        CONF_CASE(fanout__a_silent_shard_holds_nobody_back_and_is_named),
                                        CONF_CASE(fanout__the_deadline_stops_what_runs_on_every_shard),
                                        CONF_CASE(fanout__a_statement_that_one_shard_refuses_fails_it),
                                        {NULL, NULL}};
