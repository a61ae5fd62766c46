/* SPDX-License-Identifier: MIT */
#ifndef TESTS_UNIT_CLUSTER_FIXTURE_H
#define TESTS_UNIT_CLUSTER_FIXTURE_H

/* Clusters over fake servers: a single database, or a catalog with shards. */

#include <pthread.h>

#include <dal/fanout.h>

#include "run_fixture.h"

static inline const dal_driver *const *all_drivers(void)
{
        static const dal_driver *drivers[2];

        if (!drivers[0]) {
                drivers[0] = dal_driver_fake();
                drivers[1] = dal_driver_fake_modal();
        }
        return drivers;
}
#define N_DRIVERS 2

/* ---- events ---- */

struct events {
        pthread_mutex_t lock;
        uint32_t n_retries, n_leaks, n_maps;
        dal_event last;
        dal_error last_error;
};

static inline void on_event(void *arg, const dal_event *event)
{
        struct events *events = arg;

        pthread_mutex_lock(&events->lock);
        events->n_retries += event->kind == DAL_EVENT_RETRY;
        events->n_leaks += event->kind == DAL_EVENT_LEAK;
        events->n_maps += event->kind == DAL_EVENT_MAP;
        events->last = *event;
        if (event->error)
                events->last_error = *event->error;
        pthread_mutex_unlock(&events->lock);
}

static inline struct events take_events(struct events *events)
{
        struct events copy;

        pthread_mutex_lock(&events->lock);
        copy = *events;
        pthread_mutex_unlock(&events->lock);
        return copy;
}

/* ---- one database ---- */

struct single {
        bool modal;
        dal_fake_server *server;
        dal_cluster *cluster;
        dal_cluster_options options;
        struct events events;
};

static inline void init_single(struct single *f, bool modal)
{
        dal_cluster_options options = DAL_CLUSTER_OPTIONS_INIT;

        memset(f, 0, sizeof *f);
        f->modal = modal;
        f->server = new_server();
        f->options = options;
        f->options.service = "orders";
        f->options.timeout_ms = 5000;
        f->options.on_event = on_event;
        f->options.on_event_arg = &f->events;
        pthread_mutex_init(&f->events.lock, NULL);
}

static inline void open_single(struct single *f)
{
        dal_error err = DAL_ERROR_INIT;
        char url[DAL_FAKE_URL_SIZE];

        if (f->modal)
                dal_fake_url_modal(f->server, url);
        else
                dal_fake_url(f->server, url);
        assert_ok(dal_cluster_open(url, all_drivers(), N_DRIVERS, &f->options, &f->cluster, &err));
        dal_fake_journal_clear(f->server);
}

static inline void close_single(struct single *f)
{
        dal_error err = DAL_ERROR_INIT;

        assert_ok(dal_cluster_close(f->cluster, 0, &err));
        free_server(f->server);
        pthread_mutex_destroy(&f->events.lock);
}

/* The body of a loop over both kinds of server. */
static inline bool single_of_both_kinds(struct single *f, int *i)
{
        if (*i == 2)
                return false;
        init_single(f, (*i)++ == 1);
        open_single(f);
        return true;
}

static inline dal_pool_stats pool_stats(dal_cluster *cluster, uint16_t i_shard)
{
        dal_error err = DAL_ERROR_INIT;
        dal_shard_info info;

        assert_ok(dal_cluster_shard_info(cluster, i_shard, &info, &err));
        return info.pool;
}

/* ---- a catalog and shards ---- */

#define MAX_SHARDS 6

/* What the catalog's tables hold, and each shard's dal_identity; a test may change them at any time under `lock`. */
struct tables {
        pthread_mutex_t lock;
        char cluster_id[40], scheme_int64[40], scheme_bytes[40];
        int64_t slot_bits, map_version;
        bool no_header;
        uint32_t n_shards;
        int64_t shard_id[MAX_SHARDS];
        char url[MAX_SHARDS][200];
        int64_t owner[DAL_N_SLOTS]; /* -1: no row */
        int64_t slot_version[DAL_N_SLOTS];
        int64_t first_slot; /* the number of the first row's slot: 0 */
};

struct identity {
        char cluster_id[40];
        int64_t shard_id;
        bool no_row, no_table;
};

static inline void on_select_cluster(void *arg, dal_fake_call *call)
{
        static const char *const names[] = {"cluster_id", "scheme_int64", "scheme_bytes", "slot_bits",
                                            "map_version"};
        struct tables *t = arg;

        pthread_mutex_lock(&t->lock);
        dal_fake_call_columns(call, names, 5);
        if (!t->no_header)
                dal_fake_call_row(call, DAL_PARAMS(dal_text(t->cluster_id), dal_text(t->scheme_int64),
                                                   dal_text(t->scheme_bytes), dal_int64(t->slot_bits),
                                                   dal_int64(t->map_version)));
        pthread_mutex_unlock(&t->lock);
}

static inline void on_select_shards(void *arg, dal_fake_call *call)
{
        static const char *const names[] = {"shard_id", "url"};
        struct tables *t = arg;

        pthread_mutex_lock(&t->lock);
        dal_fake_call_columns(call, names, 2);
        for (uint32_t i = 0; i < t->n_shards; i++)
                dal_fake_call_row(call, DAL_PARAMS(dal_int64(t->shard_id[i]), dal_text(t->url[i])));
        pthread_mutex_unlock(&t->lock);
}

static inline void on_select_slots(void *arg, dal_fake_call *call)
{
        static const char *const names[] = {"slot", "shard_id"};
        int64_t since = dal_fake_call_params(call).values[0].as.int64;
        struct tables *t = arg;

        pthread_mutex_lock(&t->lock);
        dal_fake_call_columns(call, names, 2);
        for (int64_t slot = 0; slot < (int64_t)DAL_N_SLOTS; slot++)
                if (t->owner[slot] >= 0 && t->slot_version[slot] > since)
                        dal_fake_call_row(
                                call, DAL_PARAMS(dal_int64(t->first_slot + slot), dal_int64(t->owner[slot])));
        pthread_mutex_unlock(&t->lock);
}

static inline void on_select_identity(void *arg, dal_fake_call *call)
{
        static const char *const names[] = {"cluster_id", "shard_id"};
        const struct identity *identity = arg;

        if (identity->no_table) {
                dal_fake_call_fail(call, DAL_CLASS_UNDEFINED_OBJECT, NULL, "no such table: dal_identity");
                return;
        }
        dal_fake_call_columns(call, names, 2);
        if (!identity->no_row)
                dal_fake_call_row(call,
                                  DAL_PARAMS(dal_text(identity->cluster_id), dal_int64(identity->shard_id)));
}

struct sharded {
        dal_fake_server *catalog;
        dal_fake_server *servers[MAX_SHARDS];
        struct identity identities[MAX_SHARDS];
        struct tables tables;
        dal_cluster *cluster;
        dal_cluster_options options;
        struct events events;
};

/* Shards 0, 1 ... of the given number, the slots dealt out in turn; odd shards are of the modal kind. */
static inline struct sharded *new_sharded(uint32_t n_shards)
{
        dal_cluster_options options = DAL_CLUSTER_OPTIONS_INIT;
        struct sharded *f = calloc(1, sizeof *f);
        struct tables *t = &f->tables;

        assert_non_null(f);
        f->catalog = new_server();
        pthread_mutex_init(&t->lock, NULL);
        pthread_mutex_init(&f->events.lock, NULL);
        snprintf(t->cluster_id, sizeof t->cluster_id, "00112233445566778899aabbccddeeff");
        snprintf(t->scheme_int64, sizeof t->scheme_int64, "fmix64/1");
        snprintf(t->scheme_bytes, sizeof t->scheme_bytes, "sha256be8/1");
        t->slot_bits = 14;
        t->map_version = 1;
        t->n_shards = n_shards;
        for (uint32_t i = 0; i < MAX_SHARDS; i++) {
                f->servers[i] = new_server();
                t->shard_id[i] = i;
                if (i % 2)
                        dal_fake_url_modal(f->servers[i], t->url[i]);
                else
                        dal_fake_url(f->servers[i], t->url[i]);
                memcpy(f->identities[i].cluster_id, t->cluster_id, sizeof t->cluster_id);
                f->identities[i].shard_id = i;
                assert_true(dal_fake_on(f->servers[i], "dal.select_identity", on_select_identity,
                                        &f->identities[i]));
        }
        for (uint32_t slot = 0; slot < DAL_N_SLOTS; slot++) {
                t->owner[slot] = n_shards ? (int64_t)(slot % n_shards) : -1;
                t->slot_version[slot] = 1;
        }
        assert_true(dal_fake_on(f->catalog, "dal.select_cluster", on_select_cluster, t));
        assert_true(dal_fake_on(f->catalog, "dal.select_shards", on_select_shards, t));
        assert_true(dal_fake_on(f->catalog, "dal.select_slots", on_select_slots, t));
        f->options = options;
        f->options.timeout_ms = 5000;
        f->options.map_refresh_ms = 3600000;
        f->options.on_event = on_event;
        f->options.on_event_arg = &f->events;
        return f;
}

static inline dal_status try_open_sharded(struct sharded *f, dal_error *err)
{
        char url[DAL_FAKE_URL_SIZE];

        dal_fake_url(f->catalog, url);
        return dal_cluster_open(url, all_drivers(), N_DRIVERS, &f->options, &f->cluster, err);
}

static inline struct sharded *open_sharded(uint32_t n_shards)
{
        struct sharded *f = new_sharded(n_shards);
        dal_error err = DAL_ERROR_INIT;

        assert_ok(try_open_sharded(f, &err));
        return f;
}

static inline void free_sharded(struct sharded *f)
{
        dal_error err = DAL_ERROR_INIT;

        assert_ok(dal_cluster_close(f->cluster, 5000, &err)); /* a refresh may be under way */
        free_server(f->catalog);
        for (uint32_t i = 0; i < MAX_SHARDS; i++)
                free_server(f->servers[i]);
        pthread_mutex_destroy(&f->tables.lock);
        pthread_mutex_destroy(&f->events.lock);
        free(f);
}

/* As an administrator would: one slot gets another owner, in a newer map. */
static inline void move_slot(struct sharded *f, uint16_t slot, uint16_t shard)
{
        pthread_mutex_lock(&f->tables.lock);
        f->tables.map_version++;
        f->tables.owner[slot] = shard;
        f->tables.slot_version[slot] = f->tables.map_version;
        pthread_mutex_unlock(&f->tables.lock);
}

/* A key that lives on a shard. */
static inline dal_key key_on(const dal_cluster *cluster, uint16_t shard)
{
        for (int64_t id = 1; id < 10000; id++)
                if (dal_cluster_locate(cluster, dal_key_int64(id)) == shard)
                        return dal_key_int64(id);
        fail_msg("no key lives on shard %u", shard);
        return dal_key_int64(0);
}

static inline int64_t next_id(void)
{
        static int64_t id;

        return ++id;
}

static inline dal_status put_next(dal_tx *tx, void *arg, dal_error *err)
{
        (void)arg;
        return dal_tx_exec(tx, &put_row, ROW(next_id()), NULL, err);
}

static inline int64_t ms_since(int64_t start)
{
        return (dal_clock_now() - start) / 1000000;
}

static inline void pause_ms(uint32_t ms)
{
        struct timespec pause = {ms / 1000, (long)(ms % 1000) * 1000000};

        nanosleep(&pause, NULL);
}

#endif
