/* SPDX-License-Identifier: MIT */
/* Leases, many threads, and the end of a cluster. */
#include "cluster_fixture.h"

#include <stdatomic.h>

/* ---- leases ---- */

static void test_cluster__leases_are_counted_and_given_back(void **state)
{
        struct single f;

        (void)state;
        for (int i = 0; single_of_both_kinds(&f, &i); close_single(&f)) {
                dal_error err = DAL_ERROR_INIT;
                dal_conn *one, *two;

                assert_ok(dal_cluster_lease(f.cluster, 0, &one, &err));
                assert_ok(dal_cluster_lease(f.cluster, 0, &two, &err));
                assert_ptr_not_equal(one, two);
                assert_int_equal(pool_stats(f.cluster, 0).leased, 2);
                assert_ok(dal_conn_exec(one, &put_row, ROW(next_id()), DAL_FOREVER, NULL, &err));
                dal_cluster_release(f.cluster, 0, one);
                dal_cluster_release(f.cluster, 0, two);
                dal_cluster_release(f.cluster, 0, NULL);
                dal_cluster_release(f.cluster, 9, NULL);
                assert_int_equal(pool_stats(f.cluster, 0).leased, 0);
                assert_fails(dal_cluster_lease(f.cluster, 1, &one, &err), DAL_CLASS_ARGUMENT);
                assert_null(one);
        }
}

static void test_cluster__rows_hold_their_connection_until_closed(void **state)
{
        struct single f;

        (void)state;
        for (int i = 0; single_of_both_kinds(&f, &i); close_single(&f)) {
                dal_error err = DAL_ERROR_INIT;
                int64_t id = next_id(), v = 0;
                dal_rows *rows;
                bool found;

                assert_ok(dal_cluster_exec(f.cluster, dal_key_int64(1), &put_row, ROW(id), &v, &err));
                assert_int_equal(v, 1);
                assert_ok(dal_cluster_query(f.cluster, dal_key_int64(1), &get_rows, RANGE(id, id), &rows,
                                            &err));
                assert_int_equal(pool_stats(f.cluster, 0).leased, 1);
                assert_ok(dal_rows_next(rows, &found, &err));
                assert_true(found);
                assert_int_equal(dal_rows_shard(rows), 0);
                assert_ok(dal_rows_int64(rows, 0, &v, &err));
                assert_int_equal(v, 10 * id);
                assert_ok(dal_rows_next(rows, &found, &err));
                assert_false(found);
                assert_int_equal(pool_stats(f.cluster, 0).leased, 1);
                dal_rows_close(rows);
                assert_int_equal(pool_stats(f.cluster, 0).leased, 0);
                /* Closed early it is as good. */
                assert_ok(
                        dal_cluster_query(f.cluster, dal_key_int64(1), &get_rows, RANGE(0, id), &rows, &err));
                dal_rows_close(rows);
                assert_int_equal(pool_stats(f.cluster, 0).leased, 0);
                assert_int_equal(pool_stats(f.cluster, 0).size, 1);
        }
}

static void test_cluster__a_lease_held_too_long_is_told(void **state)
{
        dal_error err = DAL_ERROR_INIT;
        struct events events;
        struct single f;
        dal_rows *rows;
        char here[64];

        (void)state;
        init_single(&f, false);
        f.options.pool.leak_after_ms = 30;
        open_single(&f);
        snprintf(here, sizeof here, "cluster_close_test.c:%d", __LINE__ + 1);
        assert_ok(dal_cluster_query(f.cluster, dal_key_int64(1), &get_rows, RANGE(1, 2), &rows, &err));
        for (int i = 0; i < 100 && take_events(&f.events).n_leaks == 0; i++)
                pause_ms(10);
        events = take_events(&f.events);
        assert_int_equal(events.n_leaks, 1);
        assert_has(events.last.where, here);
        assert_true(events.last.held_ms >= 30);
        dal_rows_close(rows);
        close_single(&f);
}

/* ---- many threads ---- */

static const dal_stmt count_up = DAL_STMT("count_up", "UPDATE t SET v = v + 1 WHERE id = 1");

static void on_count_up(void *arg, dal_fake_call *call)
{
        const dal_value *cells;
        bool found;

        (void)arg;
        if (!dal_fake_store_get(call, "t", 1, true, &cells, &found) || !found)
                return;
        if (dal_fake_store_update(call, "t", 1, DAL_PARAMS(dal_int64(cells[0].as.int64 + 1)), &found))
                dal_fake_call_count(call, 1);
}

static dal_status count(dal_tx *tx, void *arg, dal_error *err)
{
        (void)arg;
        return dal_tx_exec(tx, &count_up, DAL_NO_PARAMS, NULL, err);
}

struct worker {
        pthread_t thread;
        dal_cluster *cluster;
        uint32_t n_failed;
};

#define N_WORKERS 8
#define N_ROUNDS  25

static void *work(void *arg)
{
        struct worker *w = arg;

        for (int i = 0; i < N_ROUNDS; i++) {
                w->n_failed +=
                        dal_cluster_run(w->cluster, dal_key_int64(i), NULL, count, NULL, NULL) != DAL_OK;
                w->n_failed += dal_cluster_exec(w->cluster, dal_key_int64(i), &count_up, DAL_NO_PARAMS, NULL,
                                                NULL) != DAL_OK;
        }
        return NULL;
}

static void test_cluster__many_threads_share_few_connections(void **state)
{
        (void)state;
        for (int modal = 0; modal < 2; modal++) {
                dal_error err = DAL_ERROR_INIT;
                struct worker workers[N_WORKERS];
                int64_t total = 0;
                struct single f;

                init_single(&f, modal);
                f.options.pool.max_size = 3;
                f.options.timeout_ms = 60000;
                open_single(&f);
                assert_true(dal_fake_on(f.server, "count_up", on_count_up, NULL));
                assert_ok(dal_cluster_exec(f.cluster, dal_key_int64(1), &put_row,
                                           DAL_PARAMS(dal_int64(1), dal_int64(0)), NULL, &err));
                for (int i = 0; i < N_WORKERS; i++) {
                        workers[i].cluster = f.cluster;
                        workers[i].n_failed = 0;
                        assert_int_equal(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
                }
                for (int i = 0; i < N_WORKERS; i++) {
                        assert_int_equal(pthread_join(workers[i].thread, NULL), 0);
                        assert_int_equal(workers[i].n_failed, 0);
                }
                assert_true(dal_fake_peek(f.server, "t", 1, &total));
                assert_int_equal(total, 2 * N_WORKERS * N_ROUNDS);
                assert_int_equal(pool_stats(f.cluster, 0).leased, 0);
                assert_in_range(pool_stats(f.cluster, 0).n_opened, 1, 3);
                close_single(&f);
        }
}

/* ---- closing ---- */

static void test_cluster__close_of_nothing_is_fine(void **state)
{
        dal_error err = DAL_ERROR_INIT;

        (void)state;
        assert_ok(dal_cluster_close(NULL, 0, &err));
}

/* A transaction of another thread, which waits until it is told to go on. */
struct dawdler {
        dal_cluster *cluster;
        pthread_t thread;
        atomic_bool is_inside, may_go;
        dal_status got;
        dal_error err;
        int line;
};

static dal_status dawdle(dal_tx *tx, void *arg, dal_error *err)
{
        struct dawdler *d = arg;
        dal_status s = put_next(tx, NULL, err);

        atomic_store(&d->is_inside, true);
        while (!atomic_load(&d->may_go))
                pause_ms(1);
        return s;
}

static void *run_dawdler(void *arg)
{
        struct dawdler *d = arg;

        d->line = __LINE__ + 1;
        d->got = dal_cluster_run(d->cluster, dal_key_int64(1), NULL, dawdle, d, &d->err);
        return NULL;
}

static void start_dawdler(struct dawdler *d, dal_cluster *cluster)
{
        static const dal_error clean = DAL_ERROR_INIT;

        d->cluster = cluster;
        d->err = clean;
        atomic_init(&d->is_inside, false);
        atomic_init(&d->may_go, false);
        assert_int_equal(pthread_create(&d->thread, NULL, run_dawdler, d), 0);
        while (!atomic_load(&d->is_inside))
                pause_ms(1);
}

static dal_status must_not_run(dal_tx *tx, void *arg, dal_error *err)
{
        (void)tx;
        (void)arg;
        (void)err;
        fail_msg("%s", "the function ran");
        return DAL_OK;
}

static void test_cluster__close_waits_for_transactions_and_names_them(void **state)
{
        struct single f;

        (void)state;
        for (int i = 0; single_of_both_kinds(&f, &i); close_single(&f)) {
                dal_error err = DAL_ERROR_INIT;
                int64_t start;
                struct dawdler d;
                dal_rows *rows;
                char here[64];
                dal_conn *conn;

                start_dawdler(&d, f.cluster);
                start = dal_clock_now();
                assert_fails(dal_cluster_close(f.cluster, 50, &err), DAL_CLASS_DEADLINE);
                assert_in_range(ms_since(start), 45, 900);
                snprintf(here, sizeof here, "cluster_close_test.c:%d", d.line);
                assert_has(err.message, here);
                /* New work is refused now, by every door. */
                assert_fails(dal_cluster_run(f.cluster, dal_key_int64(1), NULL, must_not_run, NULL, &err),
                             DAL_CLASS_STATE);
                assert_fails(dal_cluster_run_on(f.cluster, 0, NULL, must_not_run, NULL, &err),
                             DAL_CLASS_STATE);
                assert_fails(dal_cluster_exec(f.cluster, dal_key_int64(1), &put_row, ROW(1), NULL, &err),
                             DAL_CLASS_STATE);
                assert_fails(
                        dal_cluster_query(f.cluster, dal_key_int64(1), &get_rows, RANGE(1, 2), &rows, &err),
                        DAL_CLASS_STATE);
                assert_fails(dal_fanout_query(f.cluster, &get_rows, RANGE(1, 2), &rows, &err),
                             DAL_CLASS_STATE);
                assert_fails(dal_cluster_lease(f.cluster, 0, &conn, &err), DAL_CLASS_STATE);
                assert_fails(dal_cluster_refresh(f.cluster, &err), DAL_CLASS_STATE);
                assert_int_equal(dal_cluster_close(f.cluster, 0, &err), DAL_ERR_TIMEOUT);
                /* What was under way ends well. */
                atomic_store(&d.may_go, true);
                assert_int_equal(pthread_join(d.thread, NULL), 0);
                assert_int_equal(d.got, DAL_OK);
                assert_int_equal(dal_fake_journal_count(f.server, "COMMIT"), 1);
        }
}

static void *go_on_later(void *arg)
{
        struct dawdler *d = arg;

        pause_ms(60);
        atomic_store(&d->may_go, true);
        return NULL;
}

static void test_cluster__close_succeeds_as_soon_as_the_last_one_leaves(void **state)
{
        (void)state;
        for (int modal = 0; modal < 2; modal++) {
                dal_error err = DAL_ERROR_INIT;
                struct single f;
                struct dawdler d;
                pthread_t later;
                int64_t start;

                init_single(&f, modal);
                open_single(&f);
                start_dawdler(&d, f.cluster);
                assert_int_equal(pthread_create(&later, NULL, go_on_later, &d), 0);
                start = dal_clock_now();
                assert_ok(dal_cluster_close(f.cluster, 5000, &err));
                assert_in_range(ms_since(start), 50, 3000);
                assert_int_equal(pthread_join(d.thread, NULL), 0);
                assert_int_equal(pthread_join(later, NULL), 0);
                assert_int_equal(d.got, DAL_OK);
                free_server(f.server);
        }
}

/* ---- closing while a transaction pauses: it has no lease then, but it will be back ---- */

struct repeater {
        dal_cluster *cluster;
        pthread_t thread;
        atomic_uint n_attempts;
        dal_status got;
        dal_error err;
};

static dal_status fail_again(dal_tx *tx, void *arg, dal_error *err)
{
        struct repeater *r = arg;

        (void)tx;
        atomic_fetch_add(&r->n_attempts, 1);
        return dal_error_set(err, DAL_CLASS_TOO_MANY_CONNECTIONS, "no room yet");
}

static void *run_repeater(void *arg)
{
        struct repeater *r = arg;

        r->got = dal_cluster_run(r->cluster, dal_key_int64(1), NULL, fail_again, r, &r->err);
        return NULL;
}

static void test_cluster__close_does_not_forget_who_pauses_before_a_retry(void **state)
{
        (void)state;
        for (int round = 0; round < 5; round++) {
                dal_error err = DAL_ERROR_INIT;
                struct repeater r = {.err = DAL_ERROR_INIT};
                struct single f;

                init_single(&f, false);
                open_single(&f);
                r.cluster = f.cluster;
                atomic_init(&r.n_attempts, 0);
                assert_int_equal(pthread_create(&r.thread, NULL, run_repeater, &r), 0);
                /* By the third attempt its pauses are long enough to be met in one. */
                while (atomic_load(&r.n_attempts) < 3)
                        pause_ms(1);
                pause_ms(2);
                if (dal_cluster_close(f.cluster, 0, &err) == DAL_ERR_TIMEOUT) {
                        assert_has(err.message, "cluster_close_test.c:");
                        assert_ok(dal_cluster_close(f.cluster, 10000, &err));
                }
                assert_int_equal(pthread_join(r.thread, NULL), 0);
                assert_int_not_equal(r.got, DAL_OK);
                assert_int_equal(r.err.status, r.got);
                free_server(f.server);
        }
}

static void test_cluster__close_names_who_holds_rows_and_leases(void **state)
{
        dal_error err = DAL_ERROR_INIT;
        struct single f;
        dal_rows *rows;
        dal_conn *conn;
        char here[64];

        (void)state;
        init_single(&f, false);
        open_single(&f);
        snprintf(here, sizeof here, "cluster_close_test.c:%d", __LINE__ + 1);
        assert_ok(dal_cluster_query(f.cluster, dal_key_int64(1), &get_rows, RANGE(1, 2), &rows, &err));
        assert_int_equal(dal_cluster_close(f.cluster, 0, &err), DAL_ERR_TIMEOUT);
        assert_has(err.message, here);
        dal_rows_close(rows);
        assert_ok(dal_cluster_close(f.cluster, 0, &err));
        free_server(f.server);

        init_single(&f, true);
        open_single(&f);
        assert_ok(dal_cluster_lease(f.cluster, 0, &conn, &err));
        assert_int_equal(dal_cluster_close(f.cluster, 0, &err), DAL_ERR_TIMEOUT);
        dal_cluster_release(f.cluster, 0, conn);
        close_single(&f);
}

struct reader {
        pthread_t thread;
        dal_cluster *cluster;
        atomic_bool has_rows;
        dal_status got;
};

static void *read_and_close(void *arg)
{
        struct reader *r = arg;
        dal_rows *rows;

        r->got = dal_cluster_query(r->cluster, dal_key_int64(1), &get_rows, RANGE(1, 2), &rows, NULL);
        atomic_store(&r->has_rows, true);
        if (r->got == DAL_OK)
                dal_rows_close(rows);
        return NULL;
}

/* Whoever gives the last lease back must be out of the pool before it is freed. */
static void test_cluster__close_while_the_last_rows_are_being_closed(void **state)
{
        (void)state;
        for (int round = 0; round < 60; round++) {
                dal_error err = DAL_ERROR_INIT;
                struct reader reader;
                struct single f;

                init_single(&f, round % 2);
                open_single(&f);
                reader.cluster = f.cluster;
                atomic_init(&reader.has_rows, false);
                assert_int_equal(pthread_create(&reader.thread, NULL, read_and_close, &reader), 0);
                while (!atomic_load(&reader.has_rows))
                        ;
                if (round % 3)
                        pause_ms(1);
                assert_ok(dal_cluster_close(f.cluster, 5000, &err));
                assert_int_equal(pthread_join(reader.thread, NULL), 0);
                assert_int_equal(reader.got, DAL_OK);
                free_server(f.server);
        }
}

static void test_cluster__close_does_not_wait_for_a_catalog_that_hangs(void **state)
{
        struct sharded *f = new_sharded(2);
        dal_error err = DAL_ERROR_INIT;
        int64_t start;

        (void)state;
        f->options.map_refresh_ms = 10;
        f->options.timeout_ms = 1500;
        assert_ok(try_open_sharded(f, &err));
        inject(f->catalog, (dal_fake_fault){.match = "dal.select_cluster", .hang = true});
        while (dal_fake_get_stats(f->catalog).n_faults == 0)
                pause_ms(1);
        start = dal_clock_now();
        assert_fails(dal_cluster_close(f->cluster, 50, &err), DAL_CLASS_DEADLINE);
        assert_in_range(ms_since(start), 45, 1200);
        assert_has(err.message, "catalog");
        assert_ok(dal_cluster_close(f->cluster, 5000, &err));
        f->cluster = NULL;
        free_sharded(f);
}

static void test_cluster__close_at_once_when_idle(void **state)
{
        struct sharded *f = open_sharded(4);
        dal_error err = DAL_ERROR_INIT;
        int64_t start;

        (void)state;
        for (int64_t id = 0; id < 20; id++)
                assert_ok(dal_cluster_exec(f->cluster, dal_key_int64(id), &put_row, ROW(id), NULL, &err));
        start = dal_clock_now();
        assert_ok(dal_cluster_close(f->cluster, 0, &err));
        assert_in_range(ms_since(start), 0, 900);
        f->cluster = NULL;
        free_sharded(f);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_cluster__leases_are_counted_and_given_back),
                cmocka_unit_test(test_cluster__rows_hold_their_connection_until_closed),
                cmocka_unit_test(test_cluster__a_lease_held_too_long_is_told),
                cmocka_unit_test(test_cluster__many_threads_share_few_connections),
                cmocka_unit_test(test_cluster__close_of_nothing_is_fine),
                cmocka_unit_test(test_cluster__close_waits_for_transactions_and_names_them),
                cmocka_unit_test(test_cluster__close_succeeds_as_soon_as_the_last_one_leaves),
                cmocka_unit_test(test_cluster__close_does_not_forget_who_pauses_before_a_retry),
                cmocka_unit_test(test_cluster__close_names_who_holds_rows_and_leases),
                cmocka_unit_test(test_cluster__close_while_the_last_rows_are_being_closed),
                cmocka_unit_test(test_cluster__close_does_not_wait_for_a_catalog_that_hangs),
                cmocka_unit_test(test_cluster__close_at_once_when_idle),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
