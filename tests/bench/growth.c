/* SPDX-License-Identifier: MIT */
/* What must not grow: a key's way to its shard, a statement on one of many shards, a statement among many. */
#include "bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <dal/drivers/fake.h>

#define CLUSTER_ID "0123456789abcdef0123456789abcdef"
#define MAX_CACHED 256 /* what a connection keeps by default, see conn.h */

static const dal_stmt put_row = DAL_STMT("bench.put", "UPDATE bench_kv SET v = ? WHERE id = ?");

typedef struct shard {
        dal_fake_server *server;
        char url[DAL_FAKE_URL_SIZE];
        int64_t number;
} shard;

typedef struct session {
        dal_fake_server *catalog;
        shard *shards;
        long n_shards;
        dal_cluster *cluster;
        dal_fake_server *server; /* of one connection and many statements */
        dal_conn *conn;
        dal_stmt *stmts;
        char (*texts)[2][64]; /* name and SQL of each */
        uint64_t keys;
} session;

static const dal_driver *const *fake_driver(void)
{
        static const dal_driver *drivers[1];

        drivers[0] = dal_driver_fake();
        return drivers;
}

static dal_fake_server *new_server(void)
{
        dal_fake_server *server = dal_fake_new();

        if (!server)
                bench_die("fake", "no memory");
        return server;
}

static void answer(dal_fake_server *server, const char *name, dal_fake_handler *handler, void *arg)
{
        if (!dal_fake_on(server, name, handler, arg))
                bench_die("fake", "no memory");
}

/* ---- many shards ---- */

static void give_cluster(void *arg, dal_fake_call *call)
{
        (void)arg;
        dal_fake_call_row(call, DAL_PARAMS(dal_text(CLUSTER_ID), dal_text("fmix64/1"),
                                           dal_text("sha256be8/1"), dal_int64(14), dal_int64(1)));
}

static void give_shards(void *arg, dal_fake_call *call)
{
        const session *s = arg;

        for (long i = 0; i < s->n_shards; i++)
                dal_fake_call_row(call, DAL_PARAMS(dal_int64(i), dal_text(s->shards[i].url)));
}

static void give_slots(void *arg, dal_fake_call *call)
{
        const session *s = arg;

        for (int64_t slot = 0; slot < (int64_t)DAL_N_SLOTS; slot++)
                dal_fake_call_row(call, DAL_PARAMS(dal_int64(slot), dal_int64(slot % s->n_shards)));
}

static void give_identity(void *arg, dal_fake_call *call)
{
        dal_fake_call_row(call, DAL_PARAMS(dal_text(CLUSTER_ID), dal_int64(*(const int64_t *)arg)));
}

static void *open_shards(const char *const *urls, size_t n_urls, long size)
{
        dal_cluster_options options = DAL_CLUSTER_OPTIONS_INIT;
        session *s = bench_alloc(1, sizeof *s);
        dal_error err = DAL_ERROR_INIT;
        char url[DAL_FAKE_URL_SIZE];

        (void)urls;
        (void)n_urls;
        s->keys = BENCH_SEED;
        s->n_shards = size;
        s->shards = bench_alloc((size_t)size, sizeof s->shards[0]);
        s->catalog = new_server();
        for (long i = 0; i < size; i++) {
                s->shards[i].server = new_server();
                s->shards[i].number = i;
                dal_fake_url(s->shards[i].server, s->shards[i].url);
                answer(s->shards[i].server, "dal.select_identity", give_identity, &s->shards[i].number);
        }
        answer(s->catalog, "dal.select_cluster", give_cluster, s);
        answer(s->catalog, "dal.select_shards", give_shards, s);
        answer(s->catalog, "dal.select_slots", give_slots, s);
        options.map_refresh_ms = 3600000;
        options.outcomes = DAL_OUTCOMES_OFF;
        dal_fake_url(s->catalog, url);
        bench_check_status(dal_cluster_open(url, fake_driver(), 1, &options, &s->cluster, &err), &err);
        return s;
}

static void close_session(void *arg)
{
        dal_error err = DAL_ERROR_INIT;
        session *s = arg;

        if (s->cluster)
                bench_check_status(dal_cluster_close(s->cluster, 5000, &err), &err);
        dal_conn_close(s->conn);
        dal_fake_free(s->server);
        dal_fake_free(s->catalog);
        for (long i = 0; i < s->n_shards; i++)
                dal_fake_free(s->shards[i].server);
        free(s->shards);
        free(s->stmts);
        free(s->texts);
        free(s);
}

static void exec_on_shards(void *arg, long n, long size)
{
        dal_error err = DAL_ERROR_INIT;
        session *s = arg;

        for (long i = 0; i < n; i++) {
                int64_t key = bench_next_key(&s->keys);

                bench_check_status(dal_cluster_exec(s->cluster, dal_key_int64(key), &put_row,
                                                    DAL_PARAMS(dal_text("new"), dal_int64(key)), NULL, &err),
                                   &err);
        }
        /* The fake server writes down what it did; that must not grow either. */
        for (long i = 0; i < size; i++)
                dal_fake_journal_clear(s->shards[i].server);
}

const bench_side bench_fake_shards = {"dal", open_shards, close_session, {[BENCH_EXEC] = exec_on_shards}};

/* ---- from a key to its shard ---- */

static uint16_t by_hand_map[DAL_N_SLOTS];
static volatile uint64_t shard_sum; /* so that nothing is dropped as unused */

static void *open_by_hand(const char *const *urls, size_t n_urls, long size)
{
        session *s = bench_alloc(1, sizeof *s);

        (void)urls;
        (void)n_urls;
        for (size_t i = 0; i < DAL_N_SLOTS; i++)
                by_hand_map[i] = (uint16_t)(i % (size_t)size);
        return s;
}

static void locate_by_hand(void *arg, long n, long size)
{
        uint64_t sum = 0;

        (void)arg;
        (void)size;
        for (long i = 0; i < n; i++) {
                uint64_t x = (uint64_t)i;

                /* Source: MurmurHash3.cpp, fmix64() */
                x = (x ^ x >> 33) * UINT64_C(0xff51afd7ed558ccd);
                x = (x ^ x >> 33) * UINT64_C(0xc4ceb9fe1a85ec53);
                sum += by_hand_map[(x ^ x >> 33) >> 50];
        }
        shard_sum = sum;
}

static void locate_by_dal(void *arg, long n, long size)
{
        const session *s = arg;
        uint64_t sum = 0;

        (void)size;
        for (long i = 0; i < n; i++)
                sum += dal_cluster_locate(s->cluster, dal_key_int64(i));
        shard_sum = sum;
}

/* Of keys that are there: what the library itself does for each call. */
static void locate_keys(void *arg, long n, long size)
{
        const session *s = arg;
        dal_key keys[64];
        uint64_t sum = 0;

        (void)size;
        for (long i = 0; i < 64; i++)
                keys[i] = dal_key_int64(i);
        for (long i = 0; i < n; i++)
                sum += dal_cluster_locate(s->cluster, keys[i % 64]);
        shard_sum = sum;
}

const bench_side bench_map_raw = {"raw", open_by_hand, close_session, {[BENCH_LOCATE] = locate_by_hand}};
const bench_side bench_map_dal = {"dal",
                                  open_shards,
                                  close_session,
                                  {[BENCH_LOCATE] = locate_by_dal, [BENCH_LOCATE_KEYS] = locate_keys}};

/* ---- many statements ---- */

static void *open_statements(const char *const *urls, size_t n_urls, long size)
{
        session *s = bench_alloc(1, sizeof *s);
        dal_error err = DAL_ERROR_INIT;
        char url[DAL_FAKE_URL_SIZE];
        dal_dsn *dsn;

        (void)urls;
        (void)n_urls;
        s->stmts = bench_alloc((size_t)size, sizeof s->stmts[0]);
        s->texts = bench_alloc((size_t)size, sizeof s->texts[0]);
        for (long i = 0; i < size; i++) {
                snprintf(s->texts[i][0], sizeof s->texts[i][0], "bench.stmt_%ld", i);
                snprintf(s->texts[i][1], sizeof s->texts[i][1], "UPDATE t%ld SET v = ? WHERE id = ?", i);
                s->stmts[i].name = s->texts[i][0];
                s->stmts[i].common = s->texts[i][1];
        }
        s->server = new_server();
        dal_fake_url(s->server, url);
        bench_check_status(dal_dsn_parse(url, &dsn, &err), &err);
        bench_check_status(
                dal_conn_open(dal_driver_fake(), dsn, NULL, dal_clock_after_ms(5000), &s->conn, &err), &err);
        dal_dsn_free(dsn);
        return s;
}

static void exec_statements(void *arg, long n, long size)
{
        dal_deadline deadline = dal_clock_after_ms(600000);
        dal_error err = DAL_ERROR_INIT;
        session *s = arg;
        dal_conn_stats stats;

        for (long i = 0; i < n; i++)
                bench_check_status(dal_conn_exec(s->conn, &s->stmts[i % size],
                                                 DAL_PARAMS(dal_text("new"), dal_int64(i)), deadline, NULL,
                                                 &err),
                                   &err);
        stats = dal_conn_get_stats(s->conn);
        if (stats.n_cached > MAX_CACHED)
                bench_die("statements", "the cache has outgrown its bound");
        dal_fake_journal_clear(s->server);
}

const bench_side bench_fake_statements = {
        "dal", open_statements, close_session, {[BENCH_EXEC] = exec_statements}};
