/* SPDX-License-Identifier: MIT */
#include <pthread.h>

#include <dal/batch.h>
#include <dal/bulk.h>

#include "cluster_fixture.h"
#include "run/bulk_impl.h"

static const char *const columns[] = {"id", "v"};

static dal_bulk_spec new_spec(void)
{
        dal_bulk_spec spec = DAL_BULK_SPEC_INIT;

        spec.table = "t";
        spec.columns = columns;
        spec.n_columns = 2;
        return spec;
}

/* A cluster of three shards, the middle one of another engine. */
static struct sharded *open_three(void)
{
        struct sharded *f = open_sharded(3);

        for (uint32_t i = 0; i < 3; i++)
                assert_true(dal_fake_on(f->servers[i], "bulk.t", on_put_row, NULL));
        return f;
}

static uint16_t home_of(const struct sharded *f, int64_t id)
{
        return dal_cluster_locate(f->cluster, dal_key_int64(id));
}

static void test_bulk__a_spec_that_is_not_whole_is_refused(void **state)
{
        static const char *const no_name[] = {"id", ""};
        static const char *const no_text[] = {"id", "\xff"};
        struct sharded *f = open_three();
        dal_error err = DAL_ERROR_INIT;
        dal_bulk_spec spec;
        dal_bulk *bulk;

        (void)state;
        assert_fails(dal_cluster_bulk(f->cluster, NULL, &bulk, &err), DAL_CLASS_ARGUMENT);
        memset(&spec, 0, sizeof spec);
        assert_fails(dal_cluster_bulk(f->cluster, &spec, &bulk, &err), DAL_CLASS_ARGUMENT);
        spec = new_spec();
        spec.table = NULL;
        assert_fails(dal_cluster_bulk(f->cluster, &spec, &bulk, &err), DAL_CLASS_ARGUMENT);
        spec = new_spec();
        spec.schema = "";
        assert_fails(dal_cluster_bulk(f->cluster, &spec, &bulk, &err), DAL_CLASS_ARGUMENT);
        spec = new_spec();
        spec.n_columns = 0;
        assert_fails(dal_cluster_bulk(f->cluster, &spec, &bulk, &err), DAL_CLASS_ARGUMENT);
        spec = new_spec();
        spec.columns = no_name;
        assert_fails(dal_cluster_bulk(f->cluster, &spec, &bulk, &err), DAL_CLASS_ARGUMENT);
        spec.columns = no_text;
        assert_fails(dal_cluster_bulk(f->cluster, &spec, &bulk, &err), DAL_CLASS_ARGUMENT);
        assert_null(bulk);
        free_sharded(f);
}

static void test_bulk__nothing_is_refused(void **state)
{
        struct sharded *f = open_three();
        dal_error err = DAL_ERROR_INIT;
        dal_bulk_spec spec = new_spec();
        dal_bulk *bulk = (dal_bulk *)f;

        (void)state;
        assert_fails(dal_cluster_bulk(NULL, &spec, &bulk, &err), DAL_CLASS_ARGUMENT);
        assert_null(bulk);
        assert_fails(dal_cluster_bulk(f->cluster, &spec, NULL, &err), DAL_CLASS_ARGUMENT);
        assert_fails(dal_tx_bulk(NULL, &spec, &bulk, &err), DAL_CLASS_ARGUMENT);
        assert_fails(dal_bulk_add(NULL, ROW(1), &err), DAL_CLASS_ARGUMENT);
        assert_fails(dal_bulk_add_for(NULL, dal_key_int64(1), ROW(1), &err), DAL_CLASS_ARGUMENT);
        assert_fails(dal_bulk_skip(NULL, 1, &err), DAL_CLASS_ARGUMENT);
        assert_fails(dal_bulk_finish(NULL, NULL, &err), DAL_CLASS_ARGUMENT);
        assert_int_equal(dal_bulk_get_progress(NULL).n_given, 0);
        dal_bulk_close(NULL);
        free_sharded(f);
}

static void test_bulk__names_are_quoted_by_the_engine(void **state)
{
        static const char *const odd[] = {"a`b", "c\"d"};
        dal_bulk_spec spec = new_spec();
        dal_error err = DAL_ERROR_INIT;
        dal__bulk_table names;
        void *block;

        (void)state;
        spec.schema = "s.x";
        spec.table = "Order`\"";
        spec.columns = odd;
        assert_ok(dal__bulk_copy_names(&spec, &block, &err));
        memset(&names, 0, sizeof names);
        assert_ok(dal__bulk_quote(&spec, dal_driver_fake(), &names, &err));
        assert_string_equal(names.table, "\"s.x\".\"Order`\"\"\"");
        assert_string_equal(names.columns, "\"a`b\", \"c\"\"d\"");
        assert_string_equal(names.name, "bulk.order__");
        dal__bulk_free_names(&names);
        assert_ok(dal__bulk_quote(&spec, dal_driver_fake_modal(), &names, &err));
        assert_string_equal(names.table, "`s.x`.`Order``\"`");
        assert_string_equal(names.columns, "`a``b`, `c\"d`");
        dal__bulk_free_names(&names);
        dal_mem_free(block);
}

/* ---- the load of a cluster -------------------------------------------------------------------------------------- */

struct seen {
        const struct sharded *f;
        int64_t safe[3], n_safe, n_stored;
        uint32_t n_chunks;
};

static bool is_stored(const struct sharded *f, int64_t id)
{
        return has_row(f->servers[home_of(f, id)], id);
}

/* What the progress says must be so. */
static void on_progress(void *arg, const dal_bulk_progress *progress)
{
        struct seen *seen = arg;

        seen->n_chunks++;
        assert_in_range(progress->shard, 0, 2);
        seen->safe[progress->shard] = progress->n_safe_shard;
        seen->n_safe = progress->n_safe;
        seen->n_stored = progress->n_stored;
        for (int64_t i = 0; i < progress->n_safe; i++)
                assert_true(is_stored(seen->f, i));
        for (int64_t i = 0; i < progress->n_safe_shard; i++)
                assert_true(home_of(seen->f, i) != progress->shard || is_stored(seen->f, i));
}

static void test_bulk__each_row_goes_to_its_shard(void **state)
{
        struct sharded *f = open_three();
        struct seen seen = {.f = f};
        dal_error err = DAL_ERROR_INIT;
        dal_bulk_spec spec = new_spec();
        dal_bulk *bulk;
        int64_t n = 0;

        (void)state;
        spec.chunk_rows = 7;
        spec.on_progress = on_progress;
        spec.on_progress_arg = &seen;
        assert_ok(dal_cluster_bulk(f->cluster, &spec, &bulk, &err));
        for (int64_t i = 0; i < 100; i++)
                assert_ok(dal_bulk_add_for(bulk, dal_key_int64(i), ROW(i), &err));
        assert_ok(dal_bulk_finish(bulk, &n, &err));
        dal_bulk_close(bulk);
        assert_int_equal(n, 100);
        assert_int_equal(seen.n_stored, 100);
        assert_true(seen.n_chunks >= 100 / 7);
        for (int64_t i = 0; i < 100; i++)
                for (uint16_t shard = 0; shard < 3; shard++)
                        assert_int_equal(has_row(f->servers[shard], i), shard == home_of(f, i));
        free_sharded(f);
}

static void test_bulk__a_row_without_a_key_has_no_place(void **state)
{
        struct sharded *f = open_three();
        dal_error err = DAL_ERROR_INIT;
        dal_bulk_spec spec = new_spec();
        dal_bulk *bulk;
        dal_key none;

        (void)state;
        memset(&none, 0, sizeof none);
        assert_ok(dal_cluster_bulk(f->cluster, &spec, &bulk, &err));
        assert_fails(dal_bulk_add(bulk, ROW(1), &err), DAL_CLASS_MISSING_KEY);
        assert_fails(dal_bulk_add_for(bulk, none, ROW(1), &err), DAL_CLASS_MISSING_KEY);
        assert_fails(dal_bulk_skip(bulk, -1, &err), DAL_CLASS_ARGUMENT);
        assert_int_equal(dal_bulk_get_progress(bulk).n_given, 0);
        dal_bulk_close(bulk);
        free_sharded(f);
}

/* The recipe of bulk.h: what one load left undone the next one does, and nothing twice. */
static void test_bulk__a_load_that_failed_is_taken_up_again(void **state)
{
        struct sharded *f = open_three();
        struct seen seen = {.f = f};
        dal_error err = DAL_ERROR_INIT;
        dal_bulk_spec spec = new_spec();
        dal_bulk *bulk;
        dal_status s = DAL_OK;
        int64_t first, n = 0, twin = 0;

        (void)state;
        while (home_of(f, twin) != home_of(f, 60))
                twin++;
        spec.chunk_rows = 5;
        spec.on_progress = on_progress;
        spec.on_progress_arg = &seen;
        assert_ok(dal_cluster_bulk(f->cluster, &spec, &bulk, &err));
        for (int64_t i = 0; i < 90 && s == DAL_OK; i++)
                s = dal_bulk_add_for(bulk, dal_key_int64(i), i == 60 ? ROW(twin) : ROW(i), &err);
        dal_bulk_close(bulk);
        assert_fails(s, DAL_CLASS_UNIQUE);
        assert_has(err.message, "row 60: ");
        first = spec.first_row = seen.n_safe;
        assert_in_range(first, 1, 89);
        assert_ok(dal_cluster_bulk(f->cluster, &spec, &bulk, &err));
        for (int64_t i = first; i < 90; i++) {
                if (i < seen.safe[home_of(f, i)])
                        assert_ok(dal_bulk_skip(bulk, 1, &err));
                else
                        assert_ok(dal_bulk_add_for(bulk, dal_key_int64(i), ROW(i), &err));
        }
        assert_ok(dal_bulk_finish(bulk, &n, &err));
        assert_int_equal(dal_bulk_get_progress(bulk).n_safe, 90);
        dal_bulk_close(bulk);
        for (int64_t i = 0; i < 90; i++)
                assert_true(is_stored(f, i));
        free_sharded(f);
}

static void test_bulk__all_shards_rows_together_are_bounded(void **state)
{
        struct sharded *f = open_three();
        dal_error err = DAL_ERROR_INIT;
        dal_bulk_spec spec = new_spec();
        char text[101];
        dal_bulk *bulk;

        (void)state;
        memset(text, 'x', 100);
        text[100] = '\0';
        /* No shard's chunk is full before all of them hold more than four chunks may. */
        spec.chunk_bytes = 1000;
        assert_ok(dal_cluster_bulk(f->cluster, &spec, &bulk, &err));
        for (int64_t i = 0; i < 200; i++) {
                dal_bulk_progress progress;

                assert_ok(dal_bulk_add_for(bulk, dal_key_int64(i), DAL_PARAMS(dal_int64(i), dal_text(text)),
                                           &err));
                progress = dal_bulk_get_progress(bulk);
                assert_true((progress.n_given - progress.n_stored) * 148 <= 4 * 1000);
        }
        dal_bulk_close(bulk); /* what was not sent is dropped */
        free_sharded(f);
}

static void test_bulk__a_chunk_is_run_again_after_contention(void **state)
{
        struct sharded *f = open_three();
        dal_error err = DAL_ERROR_INIT;
        dal_bulk_spec spec = new_spec();
        dal_bulk *bulk;
        int64_t n = 0;

        (void)state;
        for (uint32_t i = 0; i < 3; i++)
                inject(f->servers[i],
                       (dal_fake_fault){.match = "bulk.t", .error_class = DAL_CLASS_DEADLOCK, .skip = 3});
        assert_ok(dal_cluster_bulk(f->cluster, &spec, &bulk, &err));
        for (int64_t i = 0; i < 60; i++)
                assert_ok(dal_bulk_add_for(bulk, dal_key_int64(i), ROW(i), &err));
        assert_ok(dal_bulk_finish(bulk, &n, &err));
        dal_bulk_close(bulk);
        assert_int_equal(n, 60);
        assert_int_equal(take_events(&f->events).n_retries, 3);
        free_sharded(f);
}

static void test_bulk__a_slot_that_moved_away_gets_no_rows(void **state)
{
        struct sharded *f = open_three();
        dal_error err = DAL_ERROR_INIT;
        dal_bulk_spec spec = new_spec();
        dal_key key = key_on(f->cluster, 1);
        dal_bulk *bulk;

        (void)state;
        assert_ok(dal_cluster_bulk(f->cluster, &spec, &bulk, &err));
        assert_ok(dal_bulk_add_for(bulk, key, ROW(5), &err));
        move_slot(f, dal_key_slot(&key), 2);
        assert_ok(dal_cluster_refresh(f->cluster, &err));
        assert_fails(dal_bulk_finish(bulk, NULL, &err), DAL_CLASS_OTHER_SHARD);
        assert_has(err.message, "row 0: ");
        assert_int_equal(dal_bulk_get_progress(bulk).n_safe, 0);
        dal_bulk_close(bulk);
        for (uint32_t i = 0; i < 3; i++)
                assert_false(has_row(f->servers[i], 5));
        free_sharded(f);
}

/* ---- the load of a transaction ---------------------------------------------------------------------------------- */

static dal_status load_elsewhere(dal_tx *tx, void *arg, dal_error *err)
{
        struct sharded *f = arg;
        dal_bulk_spec spec = new_spec();
        dal_bulk *bulk;

        assert_int_equal(dal_tx_bulk(tx, &spec, &bulk, err), DAL_OK);
        assert_int_equal(dal_bulk_add_for(bulk, key_on(f->cluster, 0), ROW(1), err), DAL_OK);
        assert_int_equal(dal_bulk_add_for(bulk, key_on(f->cluster, 2), ROW(2), err), DAL_ERR_ROUTE);
        assert_int_equal(dal_bulk_finish(bulk, NULL, err), DAL_OK);
        dal_bulk_close(bulk);
        return DAL_OK;
}

static void test_bulk__a_row_of_another_shard_is_refused_in_a_transaction(void **state)
{
        struct sharded *f = open_three();
        dal_error err = DAL_ERROR_INIT;

        (void)state;
        assert_ok(dal_cluster_run(f->cluster, key_on(f->cluster, 0), NULL, load_elsewhere, f, &err));
        assert_true(has_row(f->servers[0], 1));
        assert_false(has_row(f->servers[0], 2));
        free_sharded(f);
}

struct elsewhere {
        dal_tx *tx;
        dal_bulk *bulk;
        dal_batch *batch;
};

static void *use_from_another_thread(void *arg)
{
        struct elsewhere *e = arg;
        dal_bulk_spec spec = new_spec();
        dal_error err = DAL_ERROR_INIT;
        dal_batch *batch = NULL;
        dal_bulk *bulk = NULL;

        assert_fails(dal_tx_exec(e->tx, &put_row, ROW(2), NULL, &err), DAL_CLASS_STATE);
        assert_fails(dal_tx_queue(e->tx, &put_row, ROW(2), &err), DAL_CLASS_STATE);
        assert_fails(dal_tx_batch(e->tx, &batch, &err), DAL_CLASS_STATE);
        assert_fails(dal_batch_run(e->batch, &err), DAL_CLASS_STATE);
        assert_fails(dal_tx_bulk(e->tx, &spec, &bulk, &err), DAL_CLASS_STATE);
        assert_fails(dal_bulk_add(e->bulk, ROW(2), &err), DAL_CLASS_STATE);
        assert_fails(dal_bulk_finish(e->bulk, NULL, &err), DAL_CLASS_STATE);
        return arg;
}

static dal_status share_with_another_thread(dal_tx *tx, void *arg, dal_error *err)
{
        struct elsewhere e = {.tx = tx};
        dal_bulk_spec spec = new_spec();
        pthread_t thread;
        void *done = NULL;

        (void)arg;
        assert_int_equal(dal_tx_batch(tx, &e.batch, err), DAL_OK);
        assert_int_equal(dal_tx_bulk(tx, &spec, &e.bulk, err), DAL_OK);
        assert_int_equal(dal_bulk_add(e.bulk, ROW(1), err), DAL_OK);
        assert_int_equal(pthread_create(&thread, NULL, use_from_another_thread, &e), 0);
        assert_int_equal(pthread_join(thread, &done), 0);
        assert_ptr_equal(done, &e);
        assert_int_equal(dal_bulk_finish(e.bulk, NULL, err), DAL_OK);
        dal_bulk_close(e.bulk);
        dal_batch_close(e.batch);
        return DAL_OK;
}

static void test_bulk__a_transaction_is_its_threads_alone(void **state)
{
        struct sharded *f = open_three();
        dal_error err = DAL_ERROR_INIT;

        (void)state;
        assert_ok(dal_cluster_run(f->cluster, key_on(f->cluster, 0), NULL, share_with_another_thread, NULL,
                                  &err));
        assert_true(has_row(f->servers[0], 1));
        assert_false(has_row(f->servers[0], 2));
        free_sharded(f);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_bulk__a_spec_that_is_not_whole_is_refused),
                cmocka_unit_test(test_bulk__nothing_is_refused),
                cmocka_unit_test(test_bulk__names_are_quoted_by_the_engine),
                cmocka_unit_test(test_bulk__each_row_goes_to_its_shard),
                cmocka_unit_test(test_bulk__a_row_without_a_key_has_no_place),
                cmocka_unit_test(test_bulk__a_load_that_failed_is_taken_up_again),
                cmocka_unit_test(test_bulk__all_shards_rows_together_are_bounded),
                cmocka_unit_test(test_bulk__a_chunk_is_run_again_after_contention),
                cmocka_unit_test(test_bulk__a_slot_that_moved_away_gets_no_rows),
                cmocka_unit_test(test_bulk__a_row_of_another_shard_is_refused_in_a_transaction),
                cmocka_unit_test(test_bulk__a_transaction_is_its_threads_alone),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
