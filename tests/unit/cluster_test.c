/* SPDX-License-Identifier: MIT */
/* Opening a cluster, the rules of running in it, one database; retries, catalogs and closing have files of their own. */
#include "cluster_fixture.h"

static dal_status must_not_run(dal_tx *tx, void *arg, dal_error *err)
{
        (void)tx;
        (void)arg;
        (void)err;
        fail_msg("%s", "the function ran");
        return DAL_OK;
}

/* ---- one database ---- */

static void test_cluster__a_single_database_is_one_shard_with_every_slot(void **state)
{
        struct single f;

        (void)state;
        for (int i = 0; single_of_both_kinds(&f, &i); close_single(&f)) {
                dal_error err = DAL_ERROR_INIT;
                dal_shard_info info;

                assert_int_equal(dal_cluster_n_shards(f.cluster), 1);
                assert_int_equal(dal_cluster_map_version(f.cluster), 0);
                assert_ok(dal_cluster_shard_info(f.cluster, 0, &info, &err));
                assert_int_equal(info.shard, 0);
                assert_int_equal(info.n_slots, DAL_N_SLOTS);
                assert_string_equal(info.driver, f.modal ? "fakemodal" : "fake");
                assert_fails(dal_cluster_shard_info(f.cluster, 1, &info, &err), DAL_CLASS_ARGUMENT);
                for (int64_t id = -50; id < 50; id++)
                        assert_int_equal(dal_cluster_locate(f.cluster, dal_key_int64(id)), 0);
                assert_int_equal(dal_cluster_locate(f.cluster, dal_key_text(NULL)), DAL_NO_SHARD);
                assert_ok(dal_cluster_refresh(f.cluster, &err));
                assert_ok(dal_cluster_run(f.cluster, dal_key_text("any"), NULL, put_next, NULL, &err));
                assert_ok(dal_cluster_run_on(f.cluster, 0, NULL, put_next, NULL, &err));
                assert_int_equal(pool_stats(f.cluster, 0).leased, 0);
                assert_int_equal(dal_fake_journal_count(f.server, "dal."), 0); /* no identity is asked for */
        }
}

static void undefined_table(void *arg, dal_fake_call *call)
{
        (void)arg;
        dal_fake_call_fail(call, DAL_CLASS_UNDEFINED_OBJECT, NULL, "no such table: dal_cluster");
}

static void no_rows(void *arg, dal_fake_call *call)
{
        static const char *const names[] = {"cluster_id"};

        (void)arg;
        dal_fake_call_columns(call, names, 1);
}

static void test_cluster__without_tables_or_with_empty_ones_it_is_no_catalog(void **state)
{
        static dal_fake_handler *const handlers[] = {undefined_table, no_rows};

        (void)state;
        for (int modal = 0; modal < 2; modal++)
                for (size_t i = 0; i < 2; i++) {
                        dal_error err = DAL_ERROR_INIT;
                        struct single f;

                        init_single(&f, modal);
                        assert_true(dal_fake_on(f.server, "dal.select_cluster", handlers[i], NULL));
                        open_single(&f);
                        assert_int_equal(dal_cluster_n_shards(f.cluster), 1);
                        assert_ok(dal_cluster_run(f.cluster, dal_key_int64(1), NULL, put_next, NULL, &err));
                        close_single(&f);
                }
}

static void test_cluster__a_password_is_never_shown(void **state)
{
        dal_fake_server *server = new_server();
        dal_error err = DAL_ERROR_INIT;
        char bare[DAL_FAKE_URL_SIZE], url[200];
        dal_cluster *cluster;
        dal_shard_info info;

        (void)state;
        dal_fake_url(server, bare);
        snprintf(url, sizeof url, "fake://orders:hunter2@localhost/shop%s", strchr(bare, '?'));
        assert_ok(dal_cluster_open(url, all_drivers(), N_DRIVERS, NULL, &cluster, &err));
        assert_ok(dal_cluster_shard_info(cluster, 0, &info, &err));
        assert_has(info.url, "orders");
        assert_null(strstr(info.url, "hunter2"));
        assert_ok(dal_cluster_close(cluster, 0, &err));
        dal_fake_set_down(server, true);
        assert_int_not_equal(
                dal_cluster_open(url, all_drivers(), N_DRIVERS,
                                 &(dal_cluster_options){.struct_size = sizeof(dal_cluster_options),
                                                        .timeout_ms = 50,
                                                        .pool = DAL_POOL_OPTIONS_INIT},
                                 &cluster, &err),
                DAL_OK);
        assert_null(strstr(err.message, "hunter2"));
        free_server(server);
}

/* ---- what open refuses ---- */

static void assert_open_refused(const char *url, const dal_driver *const *drivers, size_t n_drivers,
                                const dal_cluster_options *options, dal_error_class wanted, const char *word)
{
        dal_error err = DAL_ERROR_INIT;
        dal_cluster *cluster = (void *)&err;

        assert_fails(dal_cluster_open(url, drivers, n_drivers, options, &cluster, &err), wanted);
        assert_null(cluster);
        assert_has(err.message, word);
        assert_int_not_equal(dal_cluster_open(url, drivers, n_drivers, options, &cluster, NULL), DAL_OK);
}

static void test_cluster__bad_urls_and_drivers_are_refused_by_name(void **state)
{
        static const dal_driver *holes[2];

        (void)state;
        assert_open_refused("nosuch://localhost/db", all_drivers(), N_DRIVERS, NULL, DAL_CLASS_ARGUMENT,
                            "nosuch");
        assert_open_refused("nosuch://localhost/db", all_drivers(), N_DRIVERS, NULL, DAL_CLASS_ARGUMENT,
                            "fakemodal");
        assert_open_refused("", all_drivers(), N_DRIVERS, NULL, DAL_CLASS_ARGUMENT, "URL");
        assert_open_refused(NULL, all_drivers(), N_DRIVERS, NULL, DAL_CLASS_ARGUMENT, "URL");
        assert_open_refused("fake:?fake=0x1", NULL, 0, NULL, DAL_CLASS_ARGUMENT, "driver");
        assert_open_refused("fake:?fake=nonsense", all_drivers(), N_DRIVERS, NULL, DAL_CLASS_ARGUMENT,
                            "dal_fake_url");
        assert_open_refused("fake:?fake=0x1&nosuchkey=1", all_drivers(), N_DRIVERS, NULL, DAL_CLASS_ARGUMENT,
                            "no key \"nosuchkey\"");
        assert_open_refused("fake:shop.db?fake=0x1", all_drivers(), N_DRIVERS, NULL, DAL_CLASS_ARGUMENT,
                            "fake://host/database");
        holes[1] = dal_driver_fake();
        assert_open_refused("fake:?fake=0x1", holes, 2, NULL, DAL_CLASS_ARGUMENT, "driver");
}

static void test_cluster__options_not_begun_are_refused(void **state)
{
        dal_fake_server *server = new_server();
        dal_cluster_options options = DAL_CLUSTER_OPTIONS_INIT;
        char url[DAL_FAKE_URL_SIZE];

        (void)state;
        dal_fake_url(server, url);
        options.struct_size = 0;
        assert_open_refused(url, all_drivers(), N_DRIVERS, &options, DAL_CLASS_ARGUMENT,
                            "DAL_CLUSTER_OPTIONS_INIT");
        options.struct_size = sizeof options + 8;
        assert_open_refused(url, all_drivers(), N_DRIVERS, &options, DAL_CLASS_ARGUMENT,
                            "DAL_CLUSTER_OPTIONS_INIT");
        options.struct_size = sizeof options;
        options.pool.struct_size = 0;
        assert_open_refused(url, all_drivers(), N_DRIVERS, &options, DAL_CLASS_ARGUMENT,
                            "DAL_POOL_OPTIONS_INIT");
        options.pool.struct_size = sizeof options.pool;
        options.pool.min_idle = 11; /* of 10 */
        assert_open_refused(url, all_drivers(), N_DRIVERS, &options, DAL_CLASS_ARGUMENT, "min_idle");
        options.pool.min_idle = 0;
        options.service = "a service name of more bytes than any server would ever care to show anybody";
        assert_open_refused(url, all_drivers(), N_DRIVERS, &options, DAL_CLASS_ARGUMENT, "service name");
        free_server(server);
}

/* A caller compiled with an older header: its struct ends early, and nothing behind it may be read. */
static void test_cluster__shorter_options_of_older_callers_are_understood(void **state)
{
        size_t size = offsetof(dal_cluster_options, map_refresh_ms);
        dal_cluster_options whole = DAL_CLUSTER_OPTIONS_INIT, *options = malloc(size);
        dal_fake_server *server = new_server();
        dal_error err = DAL_ERROR_INIT;
        char url[DAL_FAKE_URL_SIZE];
        dal_tx_options tx_whole = DAL_TX_OPTIONS_INIT, *tx_options;
        dal_cluster *cluster;

        (void)state;
        assert_non_null(options);
        whole.struct_size = size;
        whole.timeout_ms = 4000;
        memcpy(options, &whole, size);
        dal_fake_url(server, url);
        assert_ok(dal_cluster_open(url, all_drivers(), N_DRIVERS, options, &cluster, &err));
        free(options);

        size = offsetof(dal_tx_options, read_only);
        tx_whole.struct_size = size;
        tx_whole.isolation = DAL_ISOLATION_SERIALIZABLE;
        tx_options = malloc(size);
        assert_non_null(tx_options);
        memcpy(tx_options, &tx_whole, size);
        assert_ok(dal_cluster_run(cluster, dal_key_int64(1), tx_options, put_next, NULL, &err));
        free(tx_options);
        assert_int_equal(dal_fake_journal_count(server, "BEGIN SERIALIZABLE"), 1);
        assert_ok(dal_cluster_close(cluster, 0, &err));
        free_server(server);
}

static void test_cluster__a_database_out_of_reach_is_told_in_time(void **state)
{
        static const struct {
                dal_error_class error_class;
                dal_status status;
        } cases[] = {{DAL_CLASS_CONNECT_FAILED, DAL_ERR_CONN},
                     {DAL_CLASS_AUTH, DAL_ERR_AUTH},
                     {DAL_CLASS_UNDEFINED_OBJECT, DAL_ERR_NOT_FOUND},
                     {DAL_CLASS_TOO_MANY_CONNECTIONS, DAL_ERR_EXHAUSTED}};
        struct single f;

        (void)state;
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
                dal_error err = DAL_ERROR_INIT;
                int64_t start = dal_clock_now();
                char url[DAL_FAKE_URL_SIZE];

                init_single(&f, false);
                f.options.timeout_ms = 150;
                inject(f.server, (dal_fake_fault){.at = DAL_FAKE_AT_OPEN,
                                                  .times = UINT32_MAX,
                                                  .error_class = cases[i].error_class});
                dal_fake_url(f.server, url);
                assert_fails(dal_cluster_open(url, all_drivers(), N_DRIVERS, &f.options, &f.cluster, &err),
                             cases[i].error_class);
                assert_int_equal(err.status, cases[i].status);
                assert_null(f.cluster);
                assert_in_range(ms_since(start), 0, 900);
                free_server(f.server);
        }
}

static void test_cluster__a_catalog_that_hangs_ends_open_at_the_timeout(void **state)
{
        dal_error err = DAL_ERROR_INIT;
        int64_t start = dal_clock_now();
        char url[DAL_FAKE_URL_SIZE];
        struct single f;

        (void)state;
        init_single(&f, false);
        f.options.timeout_ms = 100;
        inject(f.server, (dal_fake_fault){.match = "dal.select_cluster", .hang = true});
        dal_fake_url(f.server, url);
        assert_int_equal(dal_cluster_open(url, all_drivers(), N_DRIVERS, &f.options, &f.cluster, &err),
                         DAL_ERR_TIMEOUT);
        assert_in_range(ms_since(start), 90, 900);
        free_server(f.server);
}

/* Connections that the pool itself is opening must not outlive the cluster that could not be opened. */
static void test_cluster__a_failed_open_waits_for_what_min_idle_began(void **state)
{
        dal_error err = DAL_ERROR_INIT;
        char url[DAL_FAKE_URL_SIZE];
        struct single f;

        (void)state;
        init_single(&f, false);
        f.options.pool.min_idle = 3;
        inject(f.server, (dal_fake_fault){.at = DAL_FAKE_AT_OPEN, .delay_ms = 60, .times = 8});
        inject(f.server, (dal_fake_fault){.match = "dal.select_cluster", .error_class = DAL_CLASS_PRIVILEGE});
        dal_fake_url(f.server, url);
        assert_fails(dal_cluster_open(url, all_drivers(), N_DRIVERS, &f.options, &f.cluster, &err),
                     DAL_CLASS_PRIVILEGE);
        free_server(f.server);
}

/* ---- what a run refuses ---- */

static void test_cluster__no_key_is_refused_with_the_remedy(void **state)
{
        struct single f;
        dal_error err = DAL_ERROR_INIT;
        dal_key none = dal_key_composite(NULL, 0);
        dal_rows *rows = (void *)&err;
        int64_t n;

        (void)state;
        init_single(&f, false);
        open_single(&f);
        assert_fails(dal_cluster_run(f.cluster, none, NULL, must_not_run, NULL, &err), DAL_CLASS_MISSING_KEY);
        assert_has(err.message, "dal_fanout_query()");
        assert_fails(dal_cluster_exec(f.cluster, none, &put_row, ROW(1), &n, &err), DAL_CLASS_MISSING_KEY);
        assert_fails(dal_cluster_query(f.cluster, none, &get_rows, RANGE(1, 2), &rows, &err),
                     DAL_CLASS_MISSING_KEY);
        assert_null(rows);
        assert_journal(f.server, "");
        close_single(&f);
}

static void test_cluster__an_unknown_shard_number_is_refused(void **state)
{
        static const uint16_t numbers[] = {1, 4095, 4096, DAL_NO_SHARD};
        struct single f;

        (void)state;
        init_single(&f, false);
        open_single(&f);
        for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
                dal_error err = DAL_ERROR_INIT;
                char text[8];

                assert_fails(dal_cluster_run_on(f.cluster, numbers[i], NULL, must_not_run, NULL, &err),
                             DAL_CLASS_ARGUMENT);
                snprintf(text, sizeof text, "%u", numbers[i]);
                assert_has(err.message, text);
        }
        close_single(&f);
}

static void test_cluster__bad_transaction_options_are_refused(void **state)
{
        dal_tx_options options = DAL_TX_OPTIONS_INIT;
        dal_error err = DAL_ERROR_INIT;
        dal_isolation wild;
        int number = 99;
        struct single f;

        (void)state;
        init_single(&f, false);
        open_single(&f);
        options.struct_size = 0;
        assert_fails(dal_cluster_run(f.cluster, dal_key_int64(1), &options, must_not_run, NULL, &err),
                     DAL_CLASS_ARGUMENT);
        assert_has(err.message, "DAL_TX_OPTIONS_INIT");
        options.struct_size = sizeof options + 1;
        assert_fails(dal_cluster_run(f.cluster, dal_key_int64(1), &options, must_not_run, NULL, &err),
                     DAL_CLASS_ARGUMENT);
        options.struct_size = sizeof options;
        memcpy(&wild, &number, sizeof wild);
        options.isolation = wild;
        assert_fails(dal_cluster_run(f.cluster, dal_key_int64(1), &options, must_not_run, NULL, &err),
                     DAL_CLASS_ARGUMENT);
        assert_has(err.message, "99");
        assert_fails(dal_cluster_run(f.cluster, dal_key_int64(1), NULL, NULL, NULL, &err),
                     DAL_CLASS_ARGUMENT);
        assert_journal(f.server, "");
        close_single(&f);
}

/* ---- one transaction inside another ---- */

struct inside {
        dal_cluster *cluster, *other;
        dal_error err;
        dal_status same, by_number, elsewhere, on_thread, single_statement;
        int line;
};

static void *run_on_thread(void *arg)
{
        struct inside *inside = arg;

        inside->on_thread = dal_cluster_run(inside->cluster, dal_key_int64(2), NULL, put_next, NULL, NULL);
        return NULL;
}

static dal_status run_inside(dal_tx *tx, void *arg, dal_error *err)
{
        struct inside *inside = arg;
        pthread_t thread;
        dal_key key = dal_key_int64(2);
        dal_error *told = &inside->err;
        dal_status s = put_next(tx, NULL, err);

        inside->line = __LINE__ + 1;
        inside->same = dal_cluster_run(inside->cluster, key, NULL, must_not_run, NULL, told);
        inside->by_number = dal_cluster_run_on(inside->cluster, 0, NULL, must_not_run, NULL, NULL);
        inside->elsewhere = dal_cluster_run(inside->other, dal_key_int64(2), NULL, put_next, NULL, NULL);
        inside->single_statement =
                dal_cluster_exec(inside->cluster, dal_key_int64(2), &put_row, ROW(next_id()), NULL, NULL);
        assert_int_equal(pthread_create(&thread, NULL, run_on_thread, inside), 0);
        assert_int_equal(pthread_join(thread, NULL), 0);
        return s ? s : put_next(tx, NULL, err);
}

static void test_cluster__a_run_inside_a_run_is_refused_naming_both_places(void **state)
{
        struct single f, other;
        dal_error err = DAL_ERROR_INIT;
        struct inside inside = {.err = DAL_ERROR_INIT};
        char here[64];
        int line;

        (void)state;
        init_single(&f, false);
        open_single(&f);
        init_single(&other, true);
        open_single(&other);
        inside.cluster = f.cluster;
        inside.other = other.cluster;
        line = __LINE__ + 1;
        assert_ok(dal_cluster_run(f.cluster, dal_key_int64(1), NULL, run_inside, &inside, &err));
        assert_int_equal(inside.same, DAL_ERR_STATE);
        assert_int_equal(inside.err.error_class, DAL_CLASS_STATE);
        snprintf(here, sizeof here, "cluster_test.c:%d ", line);
        assert_has(inside.err.message, here);
        snprintf(here, sizeof here, "cluster_test.c:%d ", inside.line);
        assert_has(inside.err.message, here);
        assert_has(inside.err.message, "dal_tx_run()");
        assert_int_equal(inside.by_number, DAL_ERR_STATE);
        assert_int_equal(inside.elsewhere, DAL_OK);
        assert_int_equal(inside.on_thread, DAL_OK);
        assert_int_equal(inside.single_statement, DAL_OK);
        /* And afterwards this thread is free again. */
        assert_ok(dal_cluster_run(f.cluster, dal_key_int64(1), NULL, put_next, NULL, &err));
        close_single(&f);
        close_single(&other);
}

struct hook {
        dal_cluster *cluster;
        dal_status got;
        uint32_t n;
};

static void run_in_hook(void *arg)
{
        struct hook *hook = arg;

        hook->n++;
        hook->got = dal_cluster_run(hook->cluster, dal_key_int64(7), NULL, put_next, NULL, NULL);
}

static dal_status put_and_hook(dal_tx *tx, void *arg, dal_error *err)
{
        struct hook *hook = arg;
        dal_status s = dal_tx_on_commit(tx, run_in_hook, hook, err);

        if (s == DAL_OK)
                s = dal_tx_on_rollback(tx, run_in_hook, hook, err);
        return s ? s : put_next(tx, NULL, err);
}

/* The transaction has ended: its hook may begin another, even where there is one connection only. */
static void test_cluster__a_hook_may_use_the_cluster(void **state)
{
        dal_error err = DAL_ERROR_INIT;
        dal_tx_options options = DAL_TX_OPTIONS_INIT;
        struct single f;
        struct hook hook = {NULL, DAL_ERR_INTERNAL, 0};

        (void)state;
        init_single(&f, false);
        f.options.pool.max_size = 1;
        open_single(&f);
        hook.cluster = f.cluster;
        assert_ok(dal_cluster_run(f.cluster, dal_key_int64(1), NULL, put_and_hook, &hook, &err));
        assert_int_equal(hook.got, DAL_OK);
        inject(f.server, (dal_fake_fault){.match = "put_row", .error_class = DAL_CLASS_UNIQUE});
        options.max_attempts = 1;
        assert_fails(dal_cluster_run(f.cluster, dal_key_int64(1), &options, put_and_hook, &hook, &err),
                     DAL_CLASS_UNIQUE);
        assert_int_equal(hook.got, DAL_OK);
        assert_int_equal(hook.n, 2);
        close_single(&f);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_cluster__a_single_database_is_one_shard_with_every_slot),
                cmocka_unit_test(test_cluster__without_tables_or_with_empty_ones_it_is_no_catalog),
                cmocka_unit_test(test_cluster__a_password_is_never_shown),
                cmocka_unit_test(test_cluster__bad_urls_and_drivers_are_refused_by_name),
                cmocka_unit_test(test_cluster__options_not_begun_are_refused),
                cmocka_unit_test(test_cluster__shorter_options_of_older_callers_are_understood),
                cmocka_unit_test(test_cluster__a_database_out_of_reach_is_told_in_time),
                cmocka_unit_test(test_cluster__a_catalog_that_hangs_ends_open_at_the_timeout),
                cmocka_unit_test(test_cluster__a_failed_open_waits_for_what_min_idle_began),
                cmocka_unit_test(test_cluster__no_key_is_refused_with_the_remedy),
                cmocka_unit_test(test_cluster__an_unknown_shard_number_is_refused),
                cmocka_unit_test(test_cluster__bad_transaction_options_are_refused),
                cmocka_unit_test(test_cluster__a_run_inside_a_run_is_refused_naming_both_places),
                cmocka_unit_test(test_cluster__a_hook_may_use_the_cluster),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
