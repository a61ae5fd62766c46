/* SPDX-License-Identifier: MIT */
/* Batches on a server that fails on demand: what is refused, run again, kept and in doubt. */
#include "cluster_fixture.h"

#include <dal/batch.h>

static const dal_stmt put_returning =
        DAL_STMT("put_returning", "INSERT INTO t (id, v) VALUES (?, ?) RETURNING v");
static const dal_stmt streamed = DAL_STMT("streamed", "SELECT v FROM t", .flags = DAL_STMT_STREAM);
static const dal_stmt resolved =
        DAL_STMT("resolved", "INSERT INTO t (id, v) VALUES (?, ?)", .flags = DAL_STMT_RESOLVE);

static void on_put_returning(void *arg, dal_fake_call *call)
{
        static const char *const names[] = {"v"};
        dal_params params = dal_fake_call_params(call);

        (void)arg;
        if (!dal_fake_store_insert(call, "t", params.values[0].as.int64, DAL_PARAMS(params.values[1])))
                return;
        dal_fake_call_columns(call, names, 1);
        dal_fake_call_row(call, DAL_PARAMS(params.values[1]));
        dal_fake_call_row(call, DAL_PARAMS(dal_text("and more")));
}

static dal_batch *open_batch(struct single *f)
{
        dal_error err = DAL_ERROR_INIT;
        dal_batch *batch = NULL;

        assert_true(dal_fake_on(f->server, "put_returning", on_put_returning, NULL));
        assert_ok(dal_cluster_batch(f->cluster, dal_key_int64(1), &batch, &err));
        return batch;
}

static void add(dal_batch *batch, const dal_stmt *stmt, int64_t id)
{
        dal_error err = DAL_ERROR_INIT;

        assert_ok(dal_batch_add(batch, stmt, stmt == &get_rows ? RANGE(id, id) : ROW(id), &err));
}

static void run(dal_batch *batch)
{
        dal_error err = DAL_ERROR_INIT;

        assert_ok(dal_batch_run(batch, &err));
}

static void next_wrote(dal_batch *batch, int64_t n)
{
        dal_error err = DAL_ERROR_INIT;
        bool found = false;

        assert_ok(dal_batch_next(batch, &found, &err));
        assert_true(found);
        assert_null(dal_batch_rows(batch));
        assert_int_equal(dal_batch_n_rows(batch), n);
}

static void next_gives(dal_batch *batch, int64_t value)
{
        dal_error err = DAL_ERROR_INIT;
        bool found = false;
        int64_t v = 0;

        assert_ok(dal_batch_next(batch, &found, &err));
        assert_true(found);
        assert_ok(dal_rows_first(dal_batch_rows(batch), &err));
        assert_ok(dal_rows_int64(dal_batch_rows(batch), 0, &v, &err));
        assert_int_equal(v, value);
}

static void next_fails(dal_batch *batch, dal_error_class wanted, size_t index)
{
        dal_error err = DAL_ERROR_INIT;
        bool found = false;
        char lead[32];

        assert_fails(dal_batch_next(batch, &found, &err), wanted);
        assert_true(found);
        assert_int_equal(dal_batch_index(batch), index);
        snprintf(lead, sizeof lead, "batch[%zu] ", index);
        assert_int_equal(strncmp(err.message, lead, strlen(lead)), 0);
        assert_int_equal(err.shard, 0);
        assert_null(dal_batch_rows(batch));
}

static void next_ends(dal_batch *batch)
{
        dal_error err = DAL_ERROR_INIT;
        bool found = true;

        assert_ok(dal_batch_next(batch, &found, &err));
        assert_false(found);
        dal_batch_close(batch);
}

/* ---- what is refused -------------------------------------------------------------------------------------------- */

static void test_batch__refuses_what_makes_no_sense(void **state)
{
        dal_error err = DAL_ERROR_INIT;
        dal_batch *batch = NULL;
        struct single f;
        bool found = true;

        (void)state;
        init_single(&f, false);
        open_single(&f);
        assert_fails(dal_cluster_batch(NULL, dal_key_int64(1), &batch, &err), DAL_CLASS_ARGUMENT);
        assert_fails(dal_cluster_batch(f.cluster, dal_key_int64(1), NULL, &err), DAL_CLASS_ARGUMENT);
        assert_fails(dal_cluster_batch(f.cluster, dal_key_text(NULL), &batch, &err), DAL_CLASS_MISSING_KEY);
        assert_int_equal(dal_cluster_batch(f.cluster, dal_key_text(NULL), &batch, NULL), DAL_ERR_ROUTE);
        assert_null(batch);
        assert_fails(dal_tx_batch(NULL, &batch, &err), DAL_CLASS_ARGUMENT);
        assert_fails(dal_batch_add(NULL, &put_row, ROW(1), &err), DAL_CLASS_ARGUMENT);
        assert_fails(dal_batch_run(NULL, &err), DAL_CLASS_ARGUMENT);
        assert_fails(dal_batch_next(NULL, &found, &err), DAL_CLASS_ARGUMENT);
        assert_false(found);
        assert_null(dal_batch_rows(NULL));
        dal_batch_close(NULL);
        batch = open_batch(&f);
        assert_fails(dal_batch_add(batch, NULL, DAL_NO_PARAMS, &err), DAL_CLASS_ARGUMENT);
        assert_fails(dal_batch_add(batch, &put_row, (dal_params){NULL, 2}, &err), DAL_CLASS_ARGUMENT);
        assert_fails(dal_batch_add(batch, &streamed, DAL_NO_PARAMS, &err), DAL_CLASS_UNSUPPORTED);
        assert_fails(dal_batch_add(batch, &resolved, ROW(1), &err), DAL_CLASS_UNSUPPORTED);
        assert_fails(dal_batch_next(batch, &found, &err), DAL_CLASS_STATE);
        add(batch, &put_row, 1);
        run(batch);
        assert_fails(dal_batch_next(batch, NULL, &err), DAL_CLASS_ARGUMENT);
        assert_fails(dal_batch_run(batch, &err), DAL_CLASS_BUSY);
        assert_fails(dal_batch_add(batch, &put_row, ROW(2), &err), DAL_CLASS_BUSY);
        next_wrote(batch, 1);
        next_ends(batch);
        close_single(&f);
}

/* What is wrong with a value is found before anything is sent, and concerns its own statement alone. */
static void test_batch__a_value_without_bytes_is_refused(void **state)
{
        dal_value huge[2] = {dal_text_n("x", SIZE_MAX), dal_text_n("x", SIZE_MAX)};
        dal_error err = DAL_ERROR_INIT;
        struct single f;
        dal_batch *batch;

        (void)state;
        init_single(&f, false);
        open_single(&f);
        batch = open_batch(&f);
        assert_fails(dal_batch_add(batch, &put_row, (dal_params){huge, 2}, &err), DAL_CLASS_NO_MEMORY);
        assert_ok(dal_batch_add(batch, &put_row, DAL_PARAMS(dal_int64(1), dal_text_n(NULL, 5)), &err));
        add(batch, &put_row, 2);
        run(batch);
        next_fails(batch, DAL_CLASS_ARGUMENT, 0);
        next_wrote(batch, 1);
        next_ends(batch);
        close_single(&f);
}

static void test_batch__is_bounded(void **state)
{
        static char megabyte[1 << 20];
        dal_error err = DAL_ERROR_INIT;
        dal_batch *batch = NULL;
        struct single f;
        int n = 0;

        (void)state;
        init_single(&f, false);
        open_single(&f);
        batch = open_batch(&f);
        for (uint32_t i = 0; i < DAL_BATCH_MAX_STATEMENTS; i++)
                assert_ok(dal_batch_add(batch, &get_rows, RANGE(1, 1), &err));
        assert_fails(dal_batch_add(batch, &get_rows, RANGE(1, 1), &err), DAL_CLASS_PACKET_TOO_LARGE);
        dal_batch_close(batch);
        batch = open_batch(&f);
        while (dal_batch_add(batch, &put_row, DAL_PARAMS(dal_int64(n), dal_bytes(megabyte, sizeof megabyte)),
                             &err) == DAL_OK)
                n++;
        assert_int_equal(err.error_class, DAL_CLASS_PACKET_TOO_LARGE);
        assert_int_equal(n, DAL_BATCH_MAX_BYTES / sizeof megabyte - 1); /* the values themselves take some */
        dal_batch_close(batch);
        assert_int_equal(dal_fake_journal_count(f.server, "put_row"), 0); /* it was never run */
        close_single(&f);
}

static void test_batch__empty_runs_and_ends(void **state)
{
        struct single f;
        dal_batch *batch;

        (void)state;
        init_single(&f, false);
        open_single(&f);
        batch = open_batch(&f);
        run(batch);
        next_ends(batch);
        close_single(&f);
}

/* ---- the lease ---------------------------------------------------------------------------------------------------- */

static void test_batch__holds_its_lease_until_it_was_read(void **state)
{
        struct single f;

        (void)state;
        for (int kind = 0; single_of_both_kinds(&f, &kind); close_single(&f)) {
                dal_batch *batch = open_batch(&f);

                add(batch, &put_row, 1);
                add(batch, &get_rows, 1);
                assert_int_equal(pool_stats(f.cluster, 0).leased, 0);
                run(batch);
                next_wrote(batch, 1);
                assert_int_equal(pool_stats(f.cluster, 0).leased, 1);
                next_gives(batch, 10);
                assert_int_equal(pool_stats(f.cluster, 0).leased, 1);
                next_ends(batch);
                assert_int_equal(pool_stats(f.cluster, 0).leased, 0);
                /* Closed in the middle: what is unread is dropped, what was to be written is. */
                batch = open_batch(&f);
                add(batch, &put_row, 2);
                add(batch, &get_rows, 2);
                add(batch, &put_row, 3);
                run(batch);
                dal_batch_close(batch);
                assert_int_equal(pool_stats(f.cluster, 0).leased, 0);
                assert_true(has_row(f.server, 2) && has_row(f.server, 3));
        }
}

static void test_batch__that_gets_no_connection_may_be_run_again(void **state)
{
        dal_error err = DAL_ERROR_INIT;
        struct single f;
        dal_conn *conn = NULL;
        dal_batch *batch;

        (void)state;
        init_single(&f, false);
        f.options.pool.max_size = 1;
        f.options.timeout_ms = 100;
        open_single(&f);
        batch = open_batch(&f);
        add(batch, &put_row, 1);
        assert_ok(dal_cluster_lease(f.cluster, 0, &conn, &err));
        assert_int_not_equal(dal_batch_run(batch, &err), DAL_OK);
        assert_int_equal(err.shard, 0);
        assert_false(has_row(f.server, 1));
        dal_cluster_release(f.cluster, 0, conn);
        run(batch);
        next_wrote(batch, 1);
        next_ends(batch);
        close_single(&f);
}

/* ---- run again ---------------------------------------------------------------------------------------------------- */

/* What stands behind it was sent already: its outcome is kept, with its rows, and given when its turn comes. */
static void test_batch__contention_is_retried_and_the_rest_done_once(void **state)
{
        static const dal_error_class classes[] = {DAL_CLASS_DEADLOCK, DAL_CLASS_STALE_MAP,
                                                  DAL_CLASS_READ_ONLY_SERVER};

        (void)state;
        for (size_t i = 0; i < sizeof classes / sizeof classes[0]; i++) {
                struct single f;

                for (int kind = 0; single_of_both_kinds(&f, &kind); close_single(&f)) {
                        dal_batch *batch = open_batch(&f);
                        dal_error err = DAL_ERROR_INIT;
                        const char *text;
                        size_t size;
                        bool found;

                        add(batch, &put_row, 1);
                        add(batch, &put_row, 2);
                        add(batch, &put_returning, 3);
                        add(batch, &get_rows, 3);
                        add(batch, &put_row, 1); /* fails for good */
                        add(batch, &set_row, 0);
                        inject(f.server,
                               (dal_fake_fault){.match = "put_row", .skip = 1, .error_class = classes[i]});
                        run(batch);
                        next_wrote(batch, 1);
                        next_wrote(batch, 1); /* the one that met with contention */
                        assert_int_equal(take_events(&f.events).n_retries, 1);
                        next_gives(batch, 30);
                        assert_string_equal(dal_rows_column(dal_batch_rows(batch), 0), "v");
                        assert_ok(dal_rows_next(dal_batch_rows(batch), &found, &err));
                        assert_true(found);
                        assert_ok(dal_rows_text(dal_batch_rows(batch), 0, &text, &size, &err));
                        assert_int_equal(size, 8);
                        assert_ok(dal_rows_next(dal_batch_rows(batch), &found, &err));
                        assert_false(found);
                        next_gives(batch, 30);
                        next_fails(batch, DAL_CLASS_UNIQUE, 4);
                        next_wrote(batch, 0);
                        next_ends(batch);
                        assert_int_equal(dal_fake_journal_count(f.server, "put_returning"), 1);
                        assert_int_equal(dal_fake_journal_count(f.server, "set_row"), 1);
                        assert_int_equal(dal_fake_journal_count(f.server, "put_row"), 4);
                }
        }
}

static void test_batch__contention_without_end_is_a_failure(void **state)
{
        struct single f;
        dal_batch *batch;

        (void)state;
        init_single(&f, false);
        f.options.timeout_ms = 60000;
        open_single(&f);
        batch = open_batch(&f);
        add(batch, &put_row, 1);
        add(batch, &get_rows, 1);
        inject(f.server,
               (dal_fake_fault){.match = "put_row", .times = 1000, .error_class = DAL_CLASS_DEADLOCK});
        run(batch);
        next_fails(batch, DAL_CLASS_DEADLOCK, 0);
        assert_int_equal(dal_fake_journal_count(f.server, "put_row"), 10);
        assert_int_equal(take_events(&f.events).n_retries, 9);
        dal_batch_close(batch);
        close_single(&f);
}

/* ---- a lost connection ---------------------------------------------------------------------------------------------- */

static void test_batch__lost_connection_leaves_sent_writes_in_doubt_and_asks_again(void **state)
{
        struct single f;

        (void)state;
        for (int kind = 0; single_of_both_kinds(&f, &kind); close_single(&f)) {
                dal_batch *batch = open_batch(&f);

                for (int64_t id = 1; id <= 2; id++) {
                        add(batch, &put_row, id);
                        add(batch, &get_rows, 1);
                }
                add(batch, &set_row, 0);
                inject(f.server, (dal_fake_fault){.match = "put_row",
                                                  .skip = 1,
                                                  .executed = true,
                                                  .error_class = DAL_CLASS_CONNECTION_LOST});
                run(batch);
                next_wrote(batch, 1);
                next_gives(batch, 10);
                next_fails(batch, DAL_CLASS_COMMIT_UNKNOWN, 2);
                next_gives(batch, 10); /* by another connection */
                next_fails(batch, DAL_CLASS_COMMIT_UNKNOWN, 4);
                next_ends(batch);
                assert_int_equal(dal_fake_journal_count(f.server, "set_row"), 0);
                assert_int_equal(dal_fake_journal_count(f.server, "put_row"), 2);
                assert_true(has_row(f.server, 2));
        }
}

/* Nothing had left this process: all of it goes by another connection. */
static void test_batch__dead_connection_of_the_pool_is_nobodys_concern(void **state)
{
        struct single f;

        (void)state;
        for (int kind = 0; single_of_both_kinds(&f, &kind); close_single(&f)) {
                dal_batch *batch = open_batch(&f);

                add(batch, &put_row, 1);
                add(batch, &put_row, 2);
                inject(f.server, (dal_fake_fault){.at = DAL_FAKE_AT_FLUSH,
                                                  .not_sent = true,
                                                  .error_class = DAL_CLASS_CONNECTION_LOST});
                run(batch);
                next_wrote(batch, 1);
                next_wrote(batch, 1);
                next_ends(batch);
        }
}

/* ---- in a transaction ------------------------------------------------------------------------------------------------- */

static dal_status write_three(dal_tx *tx, void *arg, dal_error *err)
{
        dal_batch *batch = NULL;
        dal_status s = dal_tx_batch(tx, &batch, err);

        (void)arg;
        for (int64_t id = 1; s == DAL_OK && id <= 3; id++)
                s = dal_batch_add(batch, &put_row, ROW(id), err);
        return s ? s : dal_batch_run(batch, err); /* left unread and unclosed */
}

static void test_batch__failure_in_a_transaction_runs_all_of_it_again(void **state)
{
        static const dal_error_class classes[] = {DAL_CLASS_DEADLOCK, DAL_CLASS_CONNECTION_LOST};

        (void)state;
        for (size_t i = 0; i < sizeof classes / sizeof classes[0]; i++) {
                struct single f;

                for (int kind = 0; single_of_both_kinds(&f, &kind); close_single(&f)) {
                        dal_error err = DAL_ERROR_INIT;

                        inject(f.server,
                               (dal_fake_fault){.match = "put_row", .skip = 1, .error_class = classes[i]});
                        assert_ok(
                                dal_cluster_run(f.cluster, dal_key_int64(1), NULL, write_three, NULL, &err));
                        assert_true(has_row(f.server, 1) && has_row(f.server, 2) && has_row(f.server, 3));
                        assert_int_equal(take_events(&f.events).n_retries, 1);
                        assert_int_equal(dal_fake_journal_count(f.server, "put_row"), 5);
                }
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_batch__refuses_what_makes_no_sense),
                cmocka_unit_test(test_batch__a_value_without_bytes_is_refused),
                cmocka_unit_test(test_batch__is_bounded),
                cmocka_unit_test(test_batch__empty_runs_and_ends),
                cmocka_unit_test(test_batch__holds_its_lease_until_it_was_read),
                cmocka_unit_test(test_batch__that_gets_no_connection_may_be_run_again),
                cmocka_unit_test(test_batch__contention_is_retried_and_the_rest_done_once),
                cmocka_unit_test(test_batch__contention_without_end_is_a_failure),
                cmocka_unit_test(test_batch__lost_connection_leaves_sent_writes_in_doubt_and_asks_again),
                cmocka_unit_test(test_batch__dead_connection_of_the_pool_is_nobodys_concern),
                cmocka_unit_test(test_batch__failure_in_a_transaction_runs_all_of_it_again),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
