/* SPDX-License-Identifier: MIT */
#include "cluster_fixture.h"

/* Puts `n_rows` rows with ids from 1 into a shard, past the router. */
static void fill(struct sharded *f, uint16_t shard, int64_t n_rows)
{
        dal_error err = DAL_ERROR_INIT;
        dal_conn *conn;

        assert_ok(dal_cluster_lease(f->cluster, shard, &conn, &err));
        for (int64_t id = 1; id <= n_rows; id++)
                assert_ok(dal_conn_exec(conn, &put_row,
                                        DAL_PARAMS(dal_int64(id), dal_int64(100 * shard + id)), DAL_FOREVER,
                                        NULL, &err));
        dal_cluster_release(f->cluster, shard, conn);
}

static void assert_no_leases(struct sharded *f)
{
        for (uint16_t i = 0; i < dal_cluster_n_shards(f->cluster); i++)
                assert_int_equal(pool_stats(f->cluster, i).leased, 0);
}

static dal_status ask_all(struct sharded *f, dal_rows **out, dal_error *err)
{
        return dal_fanout_query(f->cluster, &get_rows, RANGE(1, 1000), out, err);
}

/* Reads rows to the end; checks that they come shard after shard, each in its order. */
static dal_status read_in_order(dal_rows *rows, uint32_t *n_out, dal_error *err)
{
        int64_t last = -1, v = 0;
        bool found;
        dal_status s;

        *n_out = 0;
        while ((s = dal_rows_next(rows, &found, err)) == DAL_OK && found) {
                s = dal_rows_int64(rows, 0, &v, err);
                assert_int_equal(s, DAL_OK);
                assert_true(v > last);
                assert_int_equal(dal_rows_shard(rows), v / 100);
                last = v;
                (*n_out)++;
        }
        return s;
}

/* ---- rows ---- */

static void test_fanout__rows_come_in_order_of_shard_number(void **state)
{
        struct sharded *f = open_sharded(5);
        static const int64_t n_rows[] = {0, 3, 0, 7, 0}; /* empty at the ends and between */
        dal_error err = DAL_ERROR_INIT;
        uint32_t n;
        dal_rows *rows;
        bool found;

        (void)state;
        for (uint16_t i = 0; i < 5; i++)
                fill(f, i, n_rows[i]);
        assert_ok(ask_all(f, &rows, &err));
        assert_int_equal(dal_rows_n_columns(rows), 1);
        assert_string_equal(dal_rows_column(rows, 0), "v");
        assert_int_equal(dal_rows_find_column(rows, "v"), 0);
        assert_ok(read_in_order(rows, &n, &err));
        assert_int_equal(n, 10);
        assert_string_equal(dal_rows_column(rows, 0), "v"); /* columns outlive the rows */
        assert_ok(dal_rows_next(rows, &found, &err));
        assert_false(found);
        dal_rows_close(rows);
        assert_no_leases(f);
        free_sharded(f);
}

static void test_fanout__the_order_is_that_of_numbers_not_of_the_catalog(void **state)
{
        struct sharded *f = new_sharded(4);
        dal_error err = DAL_ERROR_INIT;
        uint16_t last = 0;
        uint32_t n = 0;
        dal_rows *rows;
        bool found;

        (void)state;
        for (uint32_t i = 0; i < 4; i++)
                f->tables.shard_id[i] = f->identities[i].shard_id = 40 - 10 * i;
        for (uint32_t slot = 0; slot < DAL_N_SLOTS; slot++)
                f->tables.owner[slot] = 10 + 10 * (slot % 4);
        assert_ok(try_open_sharded(f, &err));
        for (uint16_t i = 0; i < 4; i++)
                fill(f, i, 2);
        assert_ok(ask_all(f, &rows, &err));
        for (; dal_rows_next(rows, &found, &err) == DAL_OK && found; n++) {
                assert_true(dal_rows_shard(rows) >= last);
                last = dal_rows_shard(rows);
        }
        assert_int_equal(n, 8);
        assert_int_equal(last, 40);
        dal_rows_close(rows);
        free_sharded(f);
}

static void test_fanout__of_one_shard_or_of_no_rows(void **state)
{
        struct single single;
        dal_error err = DAL_ERROR_INIT;
        dal_rows *rows;
        bool found;

        (void)state;
        for (int kind = 0; single_of_both_kinds(&single, &kind); close_single(&single)) {
                assert_ok(dal_fanout_query(single.cluster, &get_rows, RANGE(1, 9), &rows, &err));
                assert_ok(dal_rows_next(rows, &found, &err));
                assert_false(found);
                assert_string_equal(dal_rows_column(rows, 0), "v");
                dal_rows_close(rows);
                assert_ok(dal_cluster_exec(single.cluster, dal_key_int64(1), &put_row, ROW(1), NULL, &err));
                assert_ok(dal_fanout_query(single.cluster, &get_rows, RANGE(1, 9), &rows, &err));
                assert_ok(dal_rows_first(rows, &err));
                assert_int_equal(dal_rows_shard(rows), 0);
                dal_rows_close(rows);
                assert_int_equal(pool_stats(single.cluster, 0).leased, 0);
        }
}

static void sleep_first(void *arg, dal_fake_call *call)
{
        (void)arg;
        if (dal_fake_call_sleep(call, 30))
                on_get_rows(NULL, call);
}

static void test_fanout__every_request_is_sent_before_the_first_answer_is_awaited(void **state)
{
        struct sharded *f = open_sharded(3);
        dal_error err = DAL_ERROR_INIT;
        uint64_t before[3];
        dal_rows *rows;

        (void)state;
        for (uint16_t i = 0; i < 3; i++) {
                fill(f, i, 2);
                assert_true(dal_fake_on(f->servers[i], "get_rows", sleep_first, NULL));
                before[i] = dal_fake_get_stats(f->servers[i]).n_round_trips;
        }
        assert_ok(ask_all(f, &rows, &err));
        /* The pipelining kind counts a flush: the last shard's was made though nothing of it was read yet. */
        assert_int_equal(dal_fake_get_stats(f->servers[2]).n_round_trips - before[2], 1);
        assert_int_equal(dal_fake_journal_count(f->servers[2], "get_rows"), 0);
        for (uint16_t i = 0; i < 3; i++)
                assert_int_equal(pool_stats(f->cluster, i).leased, 1);
        dal_rows_close(rows);
        assert_no_leases(f);
        free_sharded(f);
}

static void test_fanout__a_shards_lease_goes_back_as_soon_as_it_is_read(void **state)
{
        struct sharded *f = open_sharded(3);
        dal_error err = DAL_ERROR_INIT;
        dal_rows *rows;
        bool found;

        (void)state;
        for (uint16_t i = 0; i < 3; i++)
                fill(f, i, 1);
        assert_ok(ask_all(f, &rows, &err));
        assert_ok(dal_rows_next(rows, &found, &err));
        assert_ok(dal_rows_next(rows, &found, &err));
        assert_int_equal(dal_rows_shard(rows), 1);
        assert_int_equal(pool_stats(f->cluster, 0).leased, 0);
        assert_int_equal(pool_stats(f->cluster, 2).leased, 1);
        dal_rows_close(rows);
        free_sharded(f);
}

/* ---- failures ---- */

static void test_fanout__a_shard_that_fails_fails_the_cursor_when_its_turn_comes(void **state)
{
        static const dal_error_class classes[] = {DAL_CLASS_UNDEFINED_OBJECT, DAL_CLASS_DEADLOCK,
                                                  DAL_CLASS_CONNECTION_LOST};

        (void)state;
        for (size_t c = 0; c < sizeof classes / sizeof classes[0]; c++)
                for (uint16_t bad = 1; bad < 4; bad++) {
                        struct sharded *f = open_sharded(4);
                        dal_error err = DAL_ERROR_INIT;
                        dal_rows *rows;
                        bool found;
                        uint32_t n;

                        for (uint16_t i = 0; i < 4; i++)
                                fill(f, i, 2);
                        /* A lost connection is replaced once: the new one is lost, too. */
                        inject(f->servers[bad],
                               (dal_fake_fault){.match = "get_rows",
                                                .times = classes[c] == DAL_CLASS_CONNECTION_LOST ? 2 : 1,
                                                .error_class = classes[c]});
                        assert_ok(ask_all(f, &rows, &err));
                        assert_fails(read_in_order(rows, &n, &err), classes[c]);
                        assert_int_equal(n, 2 * bad);
                        assert_int_equal(err.shard, bad);
                        assert_has(err.message, "get_rows");
                        /* Whoever asks again is not led on to the next shard. */
                        for (int again = 0; again < 3; again++) {
                                err = (dal_error)DAL_ERROR_INIT;
                                assert_fails(dal_rows_next(rows, &found, &err), classes[c]);
                                assert_false(found);
                                assert_int_equal(err.shard, bad);
                                assert_int_not_equal(dal_rows_next(rows, &found, NULL), DAL_OK);
                        }
                        dal_rows_close(rows);
                        assert_no_leases(f);
                        assert_ok(ask_all(f, &rows, &err));
                        assert_ok(read_in_order(rows, &n, &err));
                        assert_int_equal(n, 8);
                        dal_rows_close(rows);
                        free_sharded(f);
                }
}

/* Also where the pool has no other, and a second fan-out waits for what the first one holds. */
static void test_fanout__a_connection_found_dead_is_replaced(void **state)
{
        (void)state;
        for (uint16_t dead = 0; dead < 3; dead++)
                for (int when = 0; when < 2; when++) {
                        struct sharded *f = new_sharded(3);
                        dal_error err = DAL_ERROR_INIT;
                        dal_rows *rows;
                        uint32_t n;

                        f->options.pool.max_size = 1;
                        assert_ok(try_open_sharded(f, &err));
                        for (uint16_t i = 0; i < 3; i++)
                                fill(f, i, 2);
                        if (when == 0)
                                dal_fake_kill(f->servers[dead], 0);
                        else
                                inject(f->servers[dead],
                                       (dal_fake_fault){.at = DAL_FAKE_AT_FLUSH,
                                                        .error_class = DAL_CLASS_CONNECTION_LOST});
                        {
                                /* Gone when the answer of a later shard is asked for. */
                                dal_value range[2] = {dal_int64(1), dal_int64(1000)};

                                assert_ok(dal_fanout_query(f->cluster, &get_rows, ((dal_params){range, 2}),
                                                           &rows, &err));
                                memset(range, 0xee, sizeof range);
                        }
                        assert_ok(read_in_order(rows, &n, &err));
                        assert_int_equal(n, 6);
                        dal_rows_close(rows);
                        assert_int_equal(pool_stats(f->cluster, dead).n_opened, 2);
                        assert_int_equal(pool_stats(f->cluster, dead).n_closed, 1);
                        assert_int_equal(pool_stats(f->cluster, dead).size, 1);
                        assert_no_leases(f);
                        free_sharded(f);
                }
}

/* What writes may have been done already. */
static void test_fanout__only_reads_are_sent_twice(void **state)
{
        static const dal_stmt take =
                DAL_STMT("get_rows", "DELETE FROM t WHERE id BETWEEN ? AND ? RETURNING v");
        struct sharded *f = open_sharded(2);
        dal_error err = DAL_ERROR_INIT;
        dal_rows *rows;
        uint32_t n;

        (void)state;
        for (uint16_t i = 0; i < 2; i++)
                fill(f, i, 2);
        dal_fake_kill(f->servers[1], 0);
        assert_ok(dal_fanout_query(f->cluster, &take, RANGE(1, 1000), &rows, &err));
        assert_fails(read_in_order(rows, &n, &err), DAL_CLASS_CONNECTION_LOST);
        assert_int_equal(n, 2);
        dal_rows_close(rows);
        assert_no_leases(f);
        free_sharded(f);
}

static void test_fanout__a_stale_statement_is_prepared_anew(void **state)
{
        struct sharded *f = open_sharded(2);
        dal_error err = DAL_ERROR_INIT;
        dal_rows *rows;
        uint32_t n;

        (void)state;
        for (uint16_t i = 0; i < 2; i++) {
                fill(f, i, 2);
                inject(f->servers[i],
                       (dal_fake_fault){.match = "get_rows", .error_class = DAL_CLASS_SCHEMA_CHANGED});
        }
        assert_ok(ask_all(f, &rows, &err));
        assert_ok(read_in_order(rows, &n, &err));
        assert_int_equal(n, 4);
        dal_rows_close(rows);
        assert_int_equal(pool_stats(f->cluster, 0).n_closed + pool_stats(f->cluster, 1).n_closed, 0);
        assert_no_leases(f);
        free_sharded(f);
}

static void test_fanout__rows_that_fail_halfway_fail_the_cursor_for_good(void **state)
{
        static const dal_error_class classes[] = {DAL_CLASS_DATA, DAL_CLASS_CONNECTION_LOST};

        (void)state;
        for (size_t c = 0; c < 2; c++)
                for (uint16_t bad = 0; bad < 3; bad++) {
                        struct sharded *f = open_sharded(3);
                        dal_error err = DAL_ERROR_INIT;
                        dal_rows *rows;
                        bool found;
                        uint32_t n;

                        for (uint16_t i = 0; i < 3; i++)
                                fill(f, i, 3);
                        inject(f->servers[bad], (dal_fake_fault){.at = DAL_FAKE_AT_FETCH,
                                                                 .match = "get_rows",
                                                                 .skip = 2,
                                                                 .error_class = classes[c]});
                        assert_ok(ask_all(f, &rows, &err));
                        assert_fails(read_in_order(rows, &n, &err), classes[c]);
                        assert_int_equal(n, 3 * bad + 2);
                        assert_int_equal(err.shard, bad);
                        assert_fails(dal_rows_next(rows, &found, &err), classes[c]);
                        assert_false(found);
                        dal_rows_close(rows);
                        assert_no_leases(f);
                        free_sharded(f);
                }
}

static void test_fanout__the_first_shards_failure_is_told_by_the_call(void **state)
{
        struct sharded *f = open_sharded(3);
        dal_error err = DAL_ERROR_INIT;
        dal_rows *rows = (void *)&err;

        (void)state;
        inject(f->servers[0], (dal_fake_fault){.match = "get_rows", .error_class = DAL_CLASS_PRIVILEGE});
        assert_fails(ask_all(f, &rows, &err), DAL_CLASS_PRIVILEGE);
        assert_null(rows);
        assert_int_equal(err.shard, 0);
        assert_no_leases(f);
        free_sharded(f);
}

static void test_fanout__a_shard_out_of_reach_is_told_and_leaves_no_lease(void **state)
{
        (void)state;
        for (uint16_t bad = 0; bad < 3; bad++) {
                struct sharded *f = new_sharded(3);
                dal_error err = DAL_ERROR_INIT;
                dal_rows *rows;
                int64_t start;
                uint32_t n;

                f->options.timeout_ms = 400;
                assert_ok(try_open_sharded(f, &err));
                for (uint16_t i = 0; i < 3; i++)
                        fill(f, i, 2);
                dal_fake_set_down(f->servers[bad], true);
                start = dal_clock_now();
                if (ask_all(f, &rows, &err) == DAL_OK) { /* a connection from before was sent the query */
                        assert_int_not_equal(read_in_order(rows, &n, &err), DAL_OK);
                        assert_int_equal(n, 2 * bad);
                        dal_rows_close(rows);
                }
                assert_int_equal(err.shard, bad);
                err = (dal_error)DAL_ERROR_INIT;
                assert_int_equal(ask_all(f, &rows, &err), DAL_ERR_CONN); /* now there is none */
                assert_int_equal(err.shard, bad);
                assert_in_range(ms_since(start), 0, 2500);
                assert_no_leases(f);
                free_sharded(f);
        }
}

static void test_fanout__bad_parameters_are_refused_before_anything_is_sent(void **state)
{
        struct sharded *f = open_sharded(3);
        dal_error err = DAL_ERROR_INIT;
        dal_rows *rows;

        (void)state;
        assert_fails(dal_fanout_query(f->cluster, &get_rows, DAL_PARAMS(dal_int64(1)), &rows, &err),
                     DAL_CLASS_ARGUMENT);
        assert_null(rows);
        for (uint16_t i = 0; i < 3; i++)
                assert_int_equal(dal_fake_journal_count(f->servers[i], "get_rows"), 0);
        assert_no_leases(f);
        free_sharded(f);
}

static void test_fanout__a_hanging_shard_ends_at_the_deadline(void **state)
{
        (void)state;
        for (uint16_t bad = 0; bad < 2; bad++) {
                struct sharded *f = new_sharded(2);
                dal_error err = DAL_ERROR_INIT;
                dal_status s;
                dal_rows *rows;
                int64_t start;
                uint32_t n;

                f->options.timeout_ms = 400;
                assert_ok(try_open_sharded(f, &err));
                for (uint16_t i = 0; i < 2; i++)
                        fill(f, i, 1);
                inject(f->servers[bad], (dal_fake_fault){.match = "get_rows", .hang = true});
                start = dal_clock_now();
                s = ask_all(f, &rows, &err);
                if (s == DAL_OK) {
                        s = read_in_order(rows, &n, &err);
                        dal_rows_close(rows);
                }
                assert_int_equal(s, DAL_ERR_TIMEOUT);
                assert_int_equal(err.shard, bad);
                assert_in_range(ms_since(start), 390, 1500);
                assert_no_leases(f);
                free_sharded(f);
        }
}

/* ---- closing early ---- */

static void test_fanout__closed_early_every_connection_is_as_good_as_before(void **state)
{
        struct sharded *f = open_sharded(4);
        dal_error err = DAL_ERROR_INIT;
        uint64_t opened = 0;

        (void)state;
        for (uint16_t i = 0; i < 4; i++) {
                fill(f, i, 5);
                opened += dal_fake_get_stats(f->servers[i]).n_opened;
        }
        for (uint32_t n_read = 0; n_read < 20; n_read++) {
                dal_rows *rows;
                uint32_t n;
                bool found;

                assert_ok(ask_all(f, &rows, &err));
                for (uint32_t i = 0; i < n_read; i++)
                        assert_ok(dal_rows_next(rows, &found, &err));
                dal_rows_close(rows);
                assert_no_leases(f);
                assert_ok(ask_all(f, &rows, &err));
                assert_ok(read_in_order(rows, &n, &err));
                assert_int_equal(n, 20);
                dal_rows_close(rows);
        }
        for (uint16_t i = 0; i < 4; i++)
                opened -= dal_fake_get_stats(f->servers[i]).n_opened;
        assert_int_equal(opened, 0); /* not one was thrown away */
        free_sharded(f);
}

/* ---- several at once ---- */

struct asker {
        pthread_t thread;
        struct sharded *f;
        uint32_t n_failed;
};

static void *keep_asking(void *arg)
{
        struct asker *a = arg;

        for (int i = 0; i < 20; i++) {
                dal_error err = DAL_ERROR_INIT;
                dal_rows *rows;
                uint32_t n = 0;

                if (ask_all(a->f, &rows, &err)) {
                        a->n_failed++;
                        continue;
                }
                a->n_failed += read_in_order(rows, &n, &err) != DAL_OK || n != 12;
                dal_rows_close(rows);
        }
        return NULL;
}

static void test_fanout__two_at_once_with_one_connection_each_do_not_block_each_other(void **state)
{
        struct sharded *f = new_sharded(4);
        dal_error err = DAL_ERROR_INIT;
        struct asker askers[4];

        (void)state;
        f->options.pool.max_size = 1;
        f->options.timeout_ms = 30000;
        /* The catalog's order is not that of the numbers: the legs must be taken in one order all the same. */
        for (uint32_t i = 0; i < 4; i++) {
                uint32_t k = (i * 3 + 1) % 4;

                f->tables.shard_id[i] = k;
                f->identities[i].shard_id = k;
        }
        assert_ok(try_open_sharded(f, &err));
        for (uint16_t i = 0; i < 4; i++) {
                dal_conn *conn;
                dal_shard_info info;

                assert_ok(dal_cluster_shard_info(f->cluster, i, &info, &err));
                assert_ok(dal_cluster_lease(f->cluster, i, &conn, &err));
                for (int64_t id = 1; id <= 3; id++)
                        assert_ok(dal_conn_exec(conn, &put_row,
                                                DAL_PARAMS(dal_int64(id), dal_int64(100 * info.shard + id)),
                                                DAL_FOREVER, NULL, &err));
                dal_cluster_release(f->cluster, i, conn);
        }
        for (size_t i = 0; i < 4; i++) {
                askers[i].f = f;
                askers[i].n_failed = 0;
                assert_int_equal(pthread_create(&askers[i].thread, NULL, keep_asking, &askers[i]), 0);
        }
        for (size_t i = 0; i < 4; i++) {
                assert_int_equal(pthread_join(askers[i].thread, NULL), 0);
                assert_int_equal(askers[i].n_failed, 0);
        }
        assert_no_leases(f);
        free_sharded(f);
}

static void test_fanout__inside_another_with_one_connection_each_is_refused_at_once(void **state)
{
        struct sharded *f = new_sharded(2);
        dal_error err = DAL_ERROR_INIT;
        dal_rows *rows, *more;
        int64_t start;

        (void)state;
        f->options.pool.max_size = 1;
        assert_ok(try_open_sharded(f, &err));
        assert_ok(ask_all(f, &rows, &err));
        start = dal_clock_now();
        assert_fails(ask_all(f, &more, &err), DAL_CLASS_POOL_EXHAUSTED);
        assert_has(err.message, "fanout_test.c:");
        assert_in_range(ms_since(start), 0, 900);
        dal_rows_close(rows);
        assert_no_leases(f);
        free_sharded(f);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_fanout__rows_come_in_order_of_shard_number),
                cmocka_unit_test(test_fanout__the_order_is_that_of_numbers_not_of_the_catalog),
                cmocka_unit_test(test_fanout__of_one_shard_or_of_no_rows),
                cmocka_unit_test(test_fanout__every_request_is_sent_before_the_first_answer_is_awaited),
                cmocka_unit_test(test_fanout__a_shards_lease_goes_back_as_soon_as_it_is_read),
                cmocka_unit_test(test_fanout__a_shard_that_fails_fails_the_cursor_when_its_turn_comes),
                cmocka_unit_test(test_fanout__a_connection_found_dead_is_replaced),
                cmocka_unit_test(test_fanout__only_reads_are_sent_twice),
                cmocka_unit_test(test_fanout__a_stale_statement_is_prepared_anew),
                cmocka_unit_test(test_fanout__rows_that_fail_halfway_fail_the_cursor_for_good),
                cmocka_unit_test(test_fanout__the_first_shards_failure_is_told_by_the_call),
                cmocka_unit_test(test_fanout__a_shard_out_of_reach_is_told_and_leaves_no_lease),
                cmocka_unit_test(test_fanout__bad_parameters_are_refused_before_anything_is_sent),
                cmocka_unit_test(test_fanout__a_hanging_shard_ends_at_the_deadline),
                cmocka_unit_test(test_fanout__closed_early_every_connection_is_as_good_as_before),
                cmocka_unit_test(test_fanout__two_at_once_with_one_connection_each_do_not_block_each_other),
                cmocka_unit_test(test_fanout__inside_another_with_one_connection_each_is_refused_at_once),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
