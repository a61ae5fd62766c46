/* SPDX-License-Identifier: MIT */
/* Calls that can't be meant: each is refused, with a whole error, with and without a place for it, and nothing is sent. */
#include "cluster_fixture.h"

#include <dal/batch.h>
#include <dal/outcome.h>
#include <dal/pool.h>

struct bad_call {
        const char *name;
        dal_status (*call)(struct single *f, dal_error *err);
        dal_error_class wanted;
};
#define BAD(call, wanted)                                                                                    \
        {                                                                                                    \
#call, call, DAL_CLASS_##wanted                                                              \
        }

static dal_key no_key(void)
{
        dal_key key;

        memset(&key, 0, sizeof key);
        return key;
}

/* Each makes one call without and one with a place for the error. */
static void check_refused(struct single *f, const struct bad_call *bad, size_t n)
{
        for (size_t i = 0; i < n; i++) {
                dal_error err = DAL_ERROR_INIT;
                dal_status s = bad[i].call(f, &err);

                if (s != dal_error_class_status(bad[i].wanted) || err.error_class != bad[i].wanted ||
                    err.status != s || !err.message[0] || strchr(err.message, '\n'))
                        fail_msg("%s: %s, %s: %s", bad[i].name, dal_error_status_name(s),
                                 dal_error_class_name(err.error_class), err.message);
                if (bad[i].call(f, NULL) != s)
                        fail_msg("%s: another status when nobody wants the error", bad[i].name);
        }
}

/* ---- outside of transactions ---- */

static dal_status nothing(dal_tx *tx, void *arg, dal_error *err)
{
        (void)tx;
        (void)arg;
        (void)err;
        return DAL_OK;
}

static dal_status run_without_function(struct single *f, dal_error *err)
{
        return dal_cluster_run(f->cluster, dal_key_int64(1), NULL, NULL, NULL, err);
}

static dal_status run_without_key(struct single *f, dal_error *err)
{
        return dal_cluster_run(f->cluster, no_key(), NULL, nothing, NULL, err);
}

static dal_status run_by_no_text(struct single *f, dal_error *err)
{
        return dal_cluster_run(f->cluster, dal_key_text(NULL), NULL, nothing, NULL, err);
}

static dal_status run_with_empty_options(struct single *f, dal_error *err)
{
        static const dal_tx_options empty;

        return dal_cluster_run(f->cluster, dal_key_int64(1), &empty, nothing, NULL, err);
}

static dal_status run_with_larger_options(struct single *f, dal_error *err)
{
        dal_tx_options options = DAL_TX_OPTIONS_INIT;

        options.struct_size = sizeof options + 1;
        return dal_cluster_run(f->cluster, dal_key_int64(1), &options, nothing, NULL, err);
}

static dal_status run_with_unknown_isolation(struct single *f, dal_error *err)
{
        dal_tx_options options = DAL_TX_OPTIONS_INIT;

        options.isolation = (dal_isolation)99;
        return dal_cluster_run(f->cluster, dal_key_int64(1), &options, nothing, NULL, err);
}

static dal_status run_on_no_shard(struct single *f, dal_error *err)
{
        return dal_cluster_run_on(f->cluster, 999, NULL, nothing, NULL, err);
}

static dal_status exec_without_key(struct single *f, dal_error *err)
{
        return dal_cluster_exec(f->cluster, no_key(), &put_row, ROW(1), NULL, err);
}

static dal_status exec_no_statement(struct single *f, dal_error *err)
{
        return dal_cluster_exec(f->cluster, dal_key_int64(1), NULL, DAL_NO_PARAMS, NULL, err);
}

static dal_status query_no_statement(struct single *f, dal_error *err)
{
        dal_rows *rows = (dal_rows *)f;
        dal_status s = dal_cluster_query(f->cluster, dal_key_int64(1), NULL, DAL_NO_PARAMS, &rows, err);

        assert_null(rows);
        return s;
}

static dal_status fan_out_no_statement(struct single *f, dal_error *err)
{
        dal_rows *rows = (dal_rows *)f;
        dal_status s = dal_fanout_query(f->cluster, NULL, DAL_NO_PARAMS, &rows, err);

        assert_null(rows);
        return s;
}

static dal_status exec_with_few_params(struct single *f, dal_error *err)
{
        return dal_cluster_exec(f->cluster, dal_key_int64(1), &put_row, DAL_PARAMS(dal_int64(1)), NULL, err);
}

static dal_status exec_without_list(struct single *f, dal_error *err)
{
        dal_params none = {NULL, 2};

        return dal_cluster_exec(f->cluster, dal_key_int64(1), &put_row, none, NULL, err);
}

static dal_status exec_with_no_bytes(struct single *f, dal_error *err)
{
        return dal_cluster_exec(f->cluster, dal_key_int64(1), &put_row,
                                DAL_PARAMS(dal_int64(1), dal_bytes(NULL, 3)), NULL, err);
}

static dal_status exec_with_bad_text(struct single *f, dal_error *err)
{
        return dal_cluster_exec(f->cluster, dal_key_int64(1), &put_row,
                                DAL_PARAMS(dal_int64(1), dal_text("\xff")), NULL, err);
}

static dal_status exec_with_no_type(struct single *f, dal_error *err)
{
        dal_value value = dal_int64(1);

        value.type = 200;
        return dal_cluster_exec(f->cluster, dal_key_int64(1), &put_row, DAL_PARAMS(dal_int64(1), value), NULL,
                                err);
}

static dal_status query_without_key(struct single *f, dal_error *err)
{
        dal_rows *rows = (dal_rows *)f;
        dal_status s = dal_cluster_query(f->cluster, no_key(), &get_rows, RANGE(1, 2), &rows, err);

        assert_null(rows);
        return s;
}

static dal_status fanout(struct single *f, const dal_fanout_options *options, dal_error *err)
{
        dal_rows *rows = (dal_rows *)f;
        dal_status s = dal_fanout_query_with(f->cluster, options, &get_rows, RANGE(1, 2), &rows, err);

        assert_null(rows);
        return s;
}

static dal_status fan_out_with_empty_options(struct single *f, dal_error *err)
{
        static const dal_fanout_options empty;

        return fanout(f, &empty, err);
}

static dal_status fan_out_in_no_order(struct single *f, dal_error *err)
{
        dal_fanout_options options = DAL_FANOUT_OPTIONS_INIT;

        options.order = (dal_fanout_order)99;
        return fanout(f, &options, err);
}

static dal_status fan_out_merged_by_nothing(struct single *f, dal_error *err)
{
        dal_fanout_options options = DAL_FANOUT_OPTIONS_INIT;

        options.order = DAL_FANOUT_MERGED;
        return fanout(f, &options, err);
}

static dal_status lease_no_shard(struct single *f, dal_error *err)
{
        dal_conn *conn = (dal_conn *)f;
        dal_status s = dal_cluster_lease(f->cluster, 7, &conn, err);

        assert_null(conn);
        return s;
}

static dal_status ask_about_no_shard(struct single *f, dal_error *err)
{
        dal_shard_info info;

        return dal_cluster_shard_info(f->cluster, 7, &info, err);
}

static dal_status resolve(struct single *f, const char *token, dal_error *err)
{
        dal_outcome outcome;

        return dal_resolve(f->cluster, token, 100, &outcome, err);
}

static dal_status resolve_no_token(struct single *f, dal_error *err)
{
        return resolve(f, "", err);
}

static dal_status resolve_half_a_token(struct single *f, dal_error *err)
{
        return resolve(f, "0100000000000001aaaa", err);
}

static dal_status resolve_a_sentence(struct single *f, dal_error *err)
{
        return resolve(f, "0100000000000001aaaaaaaaaaaaaaa'", err);
}

static dal_status purge_no_shard(struct single *f, dal_error *err)
{
        return dal_cluster_purge_outcomes(f->cluster, 7, 0, 100, NULL, err);
}

static dal_status open_cluster(struct single *f, const char *url, size_t n_drivers,
                               const dal_cluster_options *options, dal_error *err)
{
        dal_cluster *cluster = (dal_cluster *)f;
        dal_status s = dal_cluster_open(url, all_drivers(), n_drivers, options, &cluster, err);

        assert_null(cluster);
        return s;
}

static dal_status open_nothing(struct single *f, dal_error *err)
{
        return open_cluster(f, "", N_DRIVERS, NULL, err);
}

static dal_status open_a_word(struct single *f, dal_error *err)
{
        return open_cluster(f, "database", N_DRIVERS, NULL, err);
}

static dal_status open_without_drivers(struct single *f, dal_error *err)
{
        return open_cluster(f, "fake:server", 0, NULL, err);
}

static dal_status open_with_empty_options(struct single *f, dal_error *err)
{
        static const dal_cluster_options empty;
        char url[DAL_FAKE_URL_SIZE];

        dal_fake_url(f->server, url);
        return open_cluster(f, url, N_DRIVERS, &empty, err);
}

static const struct bad_call outside[] = {
        BAD(run_without_function, ARGUMENT),
        BAD(run_without_key, MISSING_KEY),
        BAD(run_by_no_text, MISSING_KEY),
        BAD(run_with_empty_options, ARGUMENT),
        BAD(run_with_larger_options, ARGUMENT),
        BAD(run_with_unknown_isolation, ARGUMENT),
        BAD(run_on_no_shard, ARGUMENT),
        BAD(exec_without_key, MISSING_KEY),
        BAD(exec_no_statement, ARGUMENT),
        BAD(query_no_statement, ARGUMENT),
        BAD(fan_out_no_statement, ARGUMENT),
        BAD(exec_with_few_params, ARGUMENT),
        BAD(exec_without_list, ARGUMENT),
        BAD(exec_with_no_bytes, ARGUMENT),
        BAD(exec_with_bad_text, DATA),
        BAD(exec_with_no_type, ARGUMENT),
        BAD(query_without_key, MISSING_KEY),
        BAD(fan_out_with_empty_options, ARGUMENT),
        BAD(fan_out_in_no_order, ARGUMENT),
        BAD(fan_out_merged_by_nothing, ARGUMENT),
        BAD(lease_no_shard, ARGUMENT),
        BAD(ask_about_no_shard, ARGUMENT),
        BAD(resolve_no_token, ARGUMENT),
        BAD(resolve_half_a_token, ARGUMENT),
        BAD(resolve_a_sentence, ARGUMENT),
        BAD(purge_no_shard, ARGUMENT),
        BAD(open_nothing, ARGUMENT),
        BAD(open_a_word, ARGUMENT),
        BAD(open_without_drivers, ARGUMENT),
        BAD(open_with_empty_options, ARGUMENT),
};

static void test_refused__what_can_not_be_meant_of_a_cluster(void **state)
{
        struct single f;

        (void)state;
        for (int kind = 0; single_of_both_kinds(&f, &kind); close_single(&f)) {
                check_refused(&f, outside, sizeof outside / sizeof outside[0]);
                assert_int_equal(dal_fake_journal_count(f.server, "put_row"), 0);
                assert_int_equal(dal_fake_journal_count(f.server, "get_rows"), 0);
                assert_int_equal(dal_fake_get_stats(f.server).n_in_tx, 0);
        }
}

/* ---- batches ---- */

static dal_status batch_without_place(struct single *f, dal_error *err)
{
        return dal_cluster_batch(f->cluster, dal_key_int64(1), NULL, err);
}

static dal_status batch_without_cluster(struct single *f, dal_error *err)
{
        dal_batch *batch = (dal_batch *)f;
        dal_status s = dal_cluster_batch(NULL, dal_key_int64(1), &batch, err);

        assert_null(batch);
        return s;
}

static dal_status batch_without_key(struct single *f, dal_error *err)
{
        dal_batch *batch = (dal_batch *)f;
        dal_status s = dal_cluster_batch(f->cluster, no_key(), &batch, err);

        assert_null(batch);
        return s;
}

static dal_status batch_without_transaction(struct single *f, dal_error *err)
{
        dal_batch *batch = (dal_batch *)f;
        dal_status s = dal_tx_batch(NULL, &batch, err);

        assert_null(batch);
        return s;
}

static dal_status add_to_no_batch(struct single *f, dal_error *err)
{
        (void)f;
        return dal_batch_add(NULL, &put_row, ROW(1), err);
}

static dal_status run_no_batch(struct single *f, dal_error *err)
{
        (void)f;
        return dal_batch_run(NULL, err);
}

static dal_status next_of_no_batch(struct single *f, dal_error *err)
{
        bool found = true;
        dal_status s = dal_batch_next(NULL, &found, err);

        (void)f;
        assert_false(found);
        return s;
}

/* What is refused of a batch that is there: it stays as it was. */
static dal_status with_batch(struct single *f, int what, dal_error *err)
{
        bool found = true;
        dal_batch *batch;
        dal_status s;

        assert_int_equal(dal_cluster_batch(f->cluster, dal_key_int64(1), &batch, NULL), DAL_OK);
        if (what == 0)
                s = dal_batch_add(batch, NULL, ROW(1), err);
        else if (what == 1)
                s = dal_batch_add(batch, &put_row, (dal_params){NULL, 2}, err);
        else if (what == 2)
                s = dal_batch_next(batch, NULL, err);
        else
                s = dal_batch_next(batch, &found, err);
        assert_true(what < 3 || !found);
        assert_null(dal_batch_rows(batch));
        assert_int_equal(dal_batch_run(batch, NULL), DAL_OK);
        assert_int_equal(dal_batch_next(batch, &found, NULL), DAL_OK);
        assert_false(found);
        dal_batch_close(batch);
        return s;
}

static dal_status add_no_statement(struct single *f, dal_error *err)
{
        return with_batch(f, 0, err);
}

static dal_status add_without_list(struct single *f, dal_error *err)
{
        return with_batch(f, 1, err);
}

static dal_status next_without_place(struct single *f, dal_error *err)
{
        return with_batch(f, 2, err);
}

static dal_status next_before_run(struct single *f, dal_error *err)
{
        return with_batch(f, 3, err);
}

static const struct bad_call of_batches[] = {
        BAD(batch_without_place, ARGUMENT),  BAD(batch_without_cluster, ARGUMENT),
        BAD(batch_without_key, MISSING_KEY), BAD(batch_without_transaction, ARGUMENT),
        BAD(add_to_no_batch, ARGUMENT),      BAD(run_no_batch, ARGUMENT),
        BAD(next_of_no_batch, ARGUMENT),     BAD(add_no_statement, ARGUMENT),
        BAD(add_without_list, ARGUMENT),     BAD(next_without_place, ARGUMENT),
        BAD(next_before_run, STATE),
};

static void test_refused__what_can_not_be_meant_of_a_batch(void **state)
{
        struct single f;

        (void)state;
        for (int kind = 0; single_of_both_kinds(&f, &kind); close_single(&f)) {
                check_refused(&f, of_batches, sizeof of_batches / sizeof of_batches[0]);
                assert_journal(f.server, "");
        }
}

/* ---- inside ---- */

static dal_status refuse_inside(dal_tx *tx, void *arg, dal_error *err_out)
{
        dal_error err = DAL_ERROR_INIT;
        dal_batch *batch;

        (void)arg;
        assert_fails(dal_tx_run(tx, NULL, NULL, &err), DAL_CLASS_ARGUMENT);
        assert_fails(dal_tx_on_commit(tx, NULL, NULL, &err), DAL_CLASS_ARGUMENT);
        assert_fails(dal_tx_on_rollback(tx, NULL, NULL, &err), DAL_CLASS_ARGUMENT);
        assert_fails(dal_tx_require_key(tx, no_key(), &err), DAL_CLASS_MISSING_KEY);
        assert_fails(dal_tx_batch(tx, NULL, &err), DAL_CLASS_ARGUMENT);
        assert_int_equal(dal_tx_batch(tx, &batch, &err), DAL_OK);
        dal_batch_close(batch);
        assert_fails(dal_tx_exec(tx, NULL, DAL_NO_PARAMS, NULL, &err), DAL_CLASS_ARGUMENT);
        assert_fails(dal_tx_queue(tx, NULL, DAL_NO_PARAMS, &err), DAL_CLASS_ARGUMENT);
        return dal_tx_exec(tx, &put_row, ROW(1), NULL, err_out);
}

/* None of that spoils the transaction. */
static void test_refused__inside_a_transaction_that_goes_on(void **state)
{
        struct single f;

        (void)state;
        for (int kind = 0; single_of_both_kinds(&f, &kind); close_single(&f)) {
                dal_error err = DAL_ERROR_INIT;

                assert_ok(dal_cluster_run(f.cluster, dal_key_int64(1), NULL, refuse_inside, NULL, &err));
                assert_true(has_row(f.server, 1));
        }
}

/* ---- what is closed ---- */

static dal_status run_closed(struct single *f, dal_error *err)
{
        return dal_cluster_run(f->cluster, dal_key_int64(1), NULL, nothing, NULL, err);
}

static dal_status exec_closed(struct single *f, dal_error *err)
{
        return dal_cluster_exec(f->cluster, dal_key_int64(1), &put_row, ROW(1), NULL, err);
}

static dal_status query_closed(struct single *f, dal_error *err)
{
        dal_rows *rows = (dal_rows *)f;
        dal_status s = dal_cluster_query(f->cluster, dal_key_int64(1), &get_rows, RANGE(1, 2), &rows, err);

        assert_null(rows);
        return s;
}

static dal_status fan_out_closed(struct single *f, dal_error *err)
{
        return fanout(f, NULL, err);
}

static dal_status lease_closed(struct single *f, dal_error *err)
{
        dal_conn *conn = (dal_conn *)f;
        dal_status s = dal_cluster_lease(f->cluster, 0, &conn, err);

        assert_null(conn);
        return s;
}

static dal_status resolve_closed(struct single *f, dal_error *err)
{
        return resolve(f, "0100000000000001aaaaaaaaaaaaaaaa", err);
}

static dal_status batch_closed(struct single *f, dal_error *err)
{
        dal_batch *batch;
        dal_status s;

        assert_int_equal(dal_cluster_batch(f->cluster, dal_key_int64(1), &batch, NULL), DAL_OK);
        assert_int_equal(dal_batch_add(batch, &put_row, ROW(1), NULL), DAL_OK);
        s = dal_batch_run(batch, err);
        dal_batch_close(batch);
        return s;
}

static const struct bad_call of_closed[] = {
        BAD(run_closed, STATE),     BAD(exec_closed, STATE),  BAD(query_closed, STATE),
        BAD(fan_out_closed, STATE), BAD(lease_closed, STATE), BAD(resolve_closed, STATE),
        BAD(batch_closed, STATE),
};

/* Closing ends with the time that it has while somebody holds a lease; nothing new begins meanwhile. */
static void test_refused__all_of_a_cluster_that_is_being_closed(void **state)
{
        struct single f;

        (void)state;
        for (int kind = 0; single_of_both_kinds(&f, &kind); close_single(&f)) {
                dal_error err = DAL_ERROR_INIT;
                dal_conn *conn;

                assert_ok(dal_cluster_lease(f.cluster, 0, &conn, &err));
                assert_fails(dal_cluster_close(f.cluster, 1, &err), DAL_CLASS_DEADLINE);
                check_refused(&f, of_closed, sizeof of_closed / sizeof of_closed[0]);
                assert_int_equal(dal_fake_journal_count(f.server, "put_row"), 0);
                dal_cluster_release(f.cluster, 0, conn);
        }
}

/* What ends something takes NULL for nothing, and what tells about a batch tells nothing. */
static void test_refused__nothing_is_ended_without_harm(void **state)
{
        struct single f;
        dal_error err = DAL_ERROR_INIT;

        (void)state;
        init_single(&f, false);
        open_single(&f);
        dal_conn_close(NULL);
        dal_rows_close(NULL);
        dal_batch_close(NULL);
        dal_dsn_free(NULL);
        dal_mem_free(NULL);
        dal_cluster_release(f.cluster, 0, NULL);
        dal_cluster_release(f.cluster, 7, NULL);
        assert_int_equal(dal_pool_free(NULL, &err), DAL_OK);
        assert_null(dal_batch_rows(NULL));
        assert_int_equal(dal_batch_n_rows(NULL), 0);
        assert_int_equal(dal_batch_insert_id(NULL), 0);
        assert_int_equal(dal_batch_index(NULL), 0);
        close_single(&f);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_refused__what_can_not_be_meant_of_a_cluster),
                cmocka_unit_test(test_refused__what_can_not_be_meant_of_a_batch),
                cmocka_unit_test(test_refused__inside_a_transaction_that_goes_on),
                cmocka_unit_test(test_refused__all_of_a_cluster_that_is_being_closed),
                cmocka_unit_test(test_refused__nothing_is_ended_without_harm),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
