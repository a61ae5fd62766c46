/* SPDX-License-Identifier: MIT */
/* A cluster of several shards: further keys, newer maps, moved slots. */
#include "cluster_fixture.h"

#include <stdatomic.h>

/* ---- keys of other shards ---- */

struct pair {
        dal_key first, further;
        dal_status got;
        dal_error err;
};

static dal_status require_further(dal_tx *tx, void *arg, dal_error *err)
{
        struct pair *pair = arg;
        dal_status s = dal_tx_require_key(tx, pair->first, err);

        if (s == DAL_OK)
                pair->got = dal_tx_require_key(tx, pair->further, &pair->err);
        return s ? s : put_next(tx, NULL, err);
}

static void test_cluster__a_further_key_of_another_shard_is_refused_by_name(void **state)
{
        struct sharded *f = open_sharded(4);
        dal_error err = DAL_ERROR_INIT;
        struct pair pair = {.err = DAL_ERROR_INIT};
        char text[DAL_KEY_TEXT_SIZE], word[64];

        (void)state;
        pair.first = key_on(f->cluster, 1);
        pair.further = key_on(f->cluster, 3);
        assert_ok(dal_cluster_run(f->cluster, pair.first, NULL, require_further, &pair, &err));
        assert_int_equal(pair.got, DAL_ERR_ROUTE);
        assert_int_equal(pair.err.error_class, DAL_CLASS_OTHER_SHARD);
        snprintf(word, sizeof word, "key %s lives on shard 3", dal_key_describe(&pair.further, text));
        assert_has(pair.err.message, word);
        snprintf(word, sizeof word, "shard 1 for key %s", dal_key_describe(&pair.first, text));
        assert_has(pair.err.message, word);
        free_sharded(f);
}

static dal_status tell_shard(dal_tx *tx, void *arg, dal_error *err)
{
        *(uint16_t *)arg = dal_tx_shard(tx);
        return put_next(tx, NULL, err);
}

static void test_cluster__a_shard_may_be_named_by_its_number(void **state)
{
        struct sharded *f = new_sharded(3);
        dal_error err = DAL_ERROR_INIT;
        uint16_t shard = 99;

        (void)state;
        /* Numbers need not be dense, nor in the order of the rows. */
        for (uint32_t i = 0; i < 3; i++) {
                f->tables.shard_id[i] = f->identities[i].shard_id = 900 - 100 * i;
                for (uint32_t slot = i; slot < DAL_N_SLOTS; slot += 3)
                        f->tables.owner[slot] = 900 - 100 * i;
        }
        assert_ok(try_open_sharded(f, &err));
        assert_int_equal(dal_cluster_n_shards(f->cluster), 3);
        assert_ok(dal_cluster_run_on(f->cluster, 800, NULL, tell_shard, &shard, &err));
        assert_int_equal(shard, 800);
        assert_int_equal(dal_fake_journal_count(f->servers[1], "put_row"), 1);
        assert_fails(dal_cluster_run_on(f->cluster, 1, NULL, tell_shard, &shard, &err), DAL_CLASS_ARGUMENT);
        free_sharded(f);
}

/* ---- a newer map ---- */

static void test_cluster__refresh_takes_over_moved_slots_and_new_shards(void **state)
{
        struct sharded *f = open_sharded(2);
        dal_key key = key_on(f->cluster, 0);
        dal_error err = DAL_ERROR_INIT;
        struct events events;

        (void)state;
        assert_ok(dal_cluster_refresh(f->cluster, &err));
        assert_int_equal(take_events(&f->events).n_maps, 0); /* nothing is newer */
        f->tables.n_shards = 4;
        move_slot(f, dal_key_slot(&key), 3);
        assert_int_equal(dal_cluster_locate(f->cluster, key), 0);
        assert_ok(dal_cluster_refresh(f->cluster, &err));
        assert_int_equal(dal_cluster_locate(f->cluster, key), 3);
        assert_int_equal(dal_cluster_map_version(f->cluster), 2);
        assert_int_equal(dal_cluster_n_shards(f->cluster), 4);
        events = take_events(&f->events);
        assert_int_equal(events.n_maps, 1);
        assert_int_equal(events.last.map_version, 2);
        assert_ok(dal_cluster_exec(f->cluster, key, &put_row, ROW(1), NULL, &err));
        assert_true(has_row(f->servers[3], 1));
        free_sharded(f);
}

static void test_cluster__a_refresh_that_fails_leaves_the_map_in_use(void **state)
{
        struct sharded *f = open_sharded(2);
        dal_key key = key_on(f->cluster, 0);
        dal_error err = DAL_ERROR_INIT;

        (void)state;
        move_slot(f, dal_key_slot(&key), 1);
        inject(f->catalog, (dal_fake_fault){.match = "dal.select_slots", .error_class = DAL_CLASS_PRIVILEGE});
        assert_fails(dal_cluster_refresh(f->cluster, &err), DAL_CLASS_PRIVILEGE);
        assert_int_equal(dal_cluster_map_version(f->cluster), 1);
        assert_int_equal(dal_cluster_locate(f->cluster, key), 0);
        assert_ok(dal_cluster_exec(f->cluster, key, &put_row, ROW(1), NULL, &err));
        assert_ok(dal_cluster_refresh(f->cluster, &err));
        assert_int_equal(dal_cluster_locate(f->cluster, key), 1);
        free_sharded(f);
}

static void test_cluster__another_clusters_catalog_is_refused_by_a_refresh(void **state)
{
        struct sharded *f = open_sharded(2);
        dal_error err = DAL_ERROR_INIT;

        (void)state;
        pthread_mutex_lock(&f->tables.lock);
        snprintf(f->tables.cluster_id, sizeof f->tables.cluster_id, "another");
        f->tables.map_version = 9;
        pthread_mutex_unlock(&f->tables.lock);
        assert_fails(dal_cluster_refresh(f->cluster, &err), DAL_CLASS_NO_SHARD);
        assert_has(err.message, "another");
        assert_int_equal(dal_cluster_map_version(f->cluster), 1);
        free_sharded(f);
}

static void test_cluster__the_timer_notices_a_newer_map(void **state)
{
        struct sharded *f = new_sharded(2);
        dal_error err = DAL_ERROR_INIT;
        dal_key key;

        (void)state;
        f->options.map_refresh_ms = 20;
        assert_ok(try_open_sharded(f, &err));
        key = key_on(f->cluster, 0);
        f->tables.n_shards = 3;
        move_slot(f, dal_key_slot(&key), 2);
        for (int i = 0; i < 200 && dal_cluster_map_version(f->cluster) < 2; i++)
                pause_ms(10);
        assert_int_equal(dal_cluster_map_version(f->cluster), 2);
        assert_int_equal(dal_cluster_n_shards(f->cluster), 3);
        assert_ok(dal_cluster_exec(f->cluster, key, &put_row, ROW(1), NULL, &err));
        assert_true(has_row(f->servers[2], 1));
        /* And goes on after the catalog was away for a while. */
        dal_fake_set_down(f->catalog, true);
        pause_ms(60);
        assert_ok(dal_cluster_exec(f->cluster, key, &set_row, ROW(1), NULL, &err));
        dal_fake_set_down(f->catalog, false);
        move_slot(f, dal_key_slot(&key), 1);
        for (int i = 0; i < 500 && dal_cluster_map_version(f->cluster) < 3; i++)
                pause_ms(10);
        assert_int_equal(dal_cluster_locate(f->cluster, key), 1);
        assert_int_equal(take_events(&f->events).n_maps, 2);
        free_sharded(f);
}

/* The old owner refuses, as its fence would. */
static void refuse_as_stale(void *arg, dal_fake_call *call)
{
        (void)arg;
        dal_fake_call_fail(call, DAL_CLASS_STALE_MAP, NULL, "the slot has moved");
}

static void test_cluster__a_stale_map_is_renewed_and_the_new_owner_used(void **state)
{
        (void)state;
        for (int single = 0; single < 2; single++) {
                struct sharded *f = open_sharded(2);
                dal_key key = key_on(f->cluster, 0);
                dal_error err = DAL_ERROR_INIT;
                uint16_t shard = 99;

                assert_true(dal_fake_on(f->servers[0], "put_row", refuse_as_stale, NULL));
                move_slot(f, dal_key_slot(&key), 1);
                if (single)
                        assert_ok(dal_cluster_exec(f->cluster, key, &put_row, ROW(1), NULL, &err));
                else
                        assert_ok(dal_cluster_run(f->cluster, key, NULL, tell_shard, &shard, &err));
                assert_true(single || shard == 1);
                assert_int_equal(dal_fake_journal_count(f->servers[0], "put_row !stale_map"), 1);
                assert_int_equal(dal_fake_journal_count(f->servers[1], "put_row"), 1);
                assert_int_equal(dal_cluster_map_version(f->cluster), 2);
                assert_int_equal(take_events(&f->events).n_retries, 1);
                free_sharded(f);
        }
}

static void test_cluster__a_stale_map_and_a_catalog_that_hangs_end_at_the_deadline(void **state)
{
        struct sharded *f = open_sharded(2);
        dal_tx_options options = DAL_TX_OPTIONS_INIT;
        dal_key key = key_on(f->cluster, 0);
        dal_error err = DAL_ERROR_INIT;
        uint16_t shard = 99;
        int64_t start;

        (void)state;
        assert_true(dal_fake_on(f->servers[0], "put_row", refuse_as_stale, NULL));
        inject(f->catalog,
               (dal_fake_fault){.match = "dal.select_cluster", .times = UINT32_MAX, .hang = true});
        options.timeout_ms = 150;
        start = dal_clock_now();
        assert_int_not_equal(dal_cluster_run(f->cluster, key, &options, tell_shard, &shard, &err), DAL_OK);
        assert_in_range(ms_since(start), 0, 900);
        dal_fake_clear_faults(f->catalog);
        free_sharded(f);
}

static void *refresh_once(void *arg)
{
        struct sharded *f = arg;

        return dal_cluster_refresh(f->cluster, NULL) == DAL_OK ? f : NULL;
}

static void test_cluster__refreshes_at_the_same_time_read_the_catalog_once(void **state)
{
        struct sharded *f = open_sharded(2);
        dal_key key = key_on(f->cluster, 0);
        pthread_t threads[6];

        (void)state;
        dal_fake_journal_clear(f->catalog);
        move_slot(f, dal_key_slot(&key), 1);
        inject(f->catalog, (dal_fake_fault){.match = "dal.select_cluster", .delay_ms = 100});
        for (size_t i = 0; i < 6; i++)
                assert_int_equal(pthread_create(&threads[i], NULL, refresh_once, f), 0);
        for (size_t i = 0; i < 6; i++) {
                void *got;

                assert_int_equal(pthread_join(threads[i], &got), 0);
                assert_ptr_equal(got, f);
        }
        assert_int_equal(dal_fake_journal_count(f->catalog, "dal.select_slots"), 1);
        assert_int_equal(take_events(&f->events).n_maps, 1);
        free_sharded(f);
}

/* What another thread began to read before the change is not an answer to whoever asks after it. */
static void test_cluster__a_refresh_sees_what_was_changed_before_it_was_asked_for(void **state)
{
        struct sharded *f = open_sharded(2);
        dal_key one = key_on(f->cluster, 0), two = key_on(f->cluster, 1);
        dal_error err = DAL_ERROR_INIT;
        pthread_t thread;

        (void)state;
        move_slot(f, dal_key_slot(&one), 1);
        inject(f->catalog, (dal_fake_fault){.match = "dal.select_shards", .delay_ms = 100});
        assert_int_equal(pthread_create(&thread, NULL, refresh_once, f), 0);
        while (dal_fake_get_stats(f->catalog).n_faults == 0)
                pause_ms(1);
        move_slot(f, dal_key_slot(&two), 0);
        assert_ok(dal_cluster_refresh(f->cluster, &err));
        assert_int_equal(dal_cluster_map_version(f->cluster), 3);
        assert_int_equal(dal_cluster_locate(f->cluster, two), 0);
        assert_int_equal(pthread_join(thread, NULL), 0);
        free_sharded(f);
}

/* ---- all of it at once ---- */

struct traffic {
        struct sharded *f;
        atomic_bool stop;
        atomic_uint n_done, n_failed;
};

static dal_status set_any(dal_tx *tx, void *arg, dal_error *err)
{
        (void)arg;
        return dal_tx_exec(tx, &set_row, ROW(1), NULL, err);
}

static void *make_traffic(void *arg)
{
        struct traffic *t = arg;

        for (int64_t id = 0; !atomic_load(&t->stop); id++) {
                dal_status s = dal_cluster_run(t->f->cluster, dal_key_int64(id), NULL, set_any, NULL, NULL);
                dal_rows *rows;

                atomic_fetch_add(s == DAL_OK ? &t->n_done : &t->n_failed, 1);
                s = dal_fanout_query(t->f->cluster, &get_rows, RANGE(1, 1), &rows, NULL);
                if (s == DAL_OK)
                        dal_rows_close(rows);
                else
                        atomic_fetch_add(&t->n_failed, 1);
        }
        return NULL;
}

static void test_cluster__slots_and_shards_may_change_under_traffic(void **state)
{
        struct sharded *f = new_sharded(2);
        struct traffic traffic = {.f = f};
        dal_error err = DAL_ERROR_INIT;
        pthread_t threads[4];

        (void)state;
        f->options.map_refresh_ms = 5;
        f->options.timeout_ms = 30000;
        assert_ok(try_open_sharded(f, &err));
        atomic_init(&traffic.stop, false);
        atomic_init(&traffic.n_done, 0);
        atomic_init(&traffic.n_failed, 0);
        for (size_t i = 0; i < 4; i++)
                assert_int_equal(pthread_create(&threads[i], NULL, make_traffic, &traffic), 0);
        for (uint16_t round = 0; round < 40; round++) {
                if (round % 10 == 0 && f->tables.n_shards < MAX_SHARDS) {
                        pthread_mutex_lock(&f->tables.lock);
                        f->tables.n_shards++;
                        pthread_mutex_unlock(&f->tables.lock);
                }
                move_slot(f, (uint16_t)(round * 397), (uint16_t)(round % f->tables.n_shards));
                pause_ms(5);
        }
        assert_ok(dal_cluster_refresh(f->cluster, &err));
        atomic_store(&traffic.stop, true);
        for (size_t i = 0; i < 4; i++)
                assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_int_equal(atomic_load(&traffic.n_failed), 0);
        assert_true(atomic_load(&traffic.n_done) > 0);
        assert_int_equal(dal_cluster_n_shards(f->cluster), MAX_SHARDS);
        assert_int_equal(dal_cluster_map_version(f->cluster), 41);
        free_sharded(f);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_cluster__a_further_key_of_another_shard_is_refused_by_name),
                cmocka_unit_test(test_cluster__a_shard_may_be_named_by_its_number),
                cmocka_unit_test(test_cluster__refresh_takes_over_moved_slots_and_new_shards),
                cmocka_unit_test(test_cluster__a_refresh_that_fails_leaves_the_map_in_use),
                cmocka_unit_test(test_cluster__another_clusters_catalog_is_refused_by_a_refresh),
                cmocka_unit_test(test_cluster__the_timer_notices_a_newer_map),
                cmocka_unit_test(test_cluster__a_stale_map_is_renewed_and_the_new_owner_used),
                cmocka_unit_test(test_cluster__a_stale_map_and_a_catalog_that_hangs_end_at_the_deadline),
                cmocka_unit_test(test_cluster__refreshes_at_the_same_time_read_the_catalog_once),
                cmocka_unit_test(test_cluster__a_refresh_sees_what_was_changed_before_it_was_asked_for),
                cmocka_unit_test(test_cluster__slots_and_shards_may_change_under_traffic),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
