/* SPDX-License-Identifier: MIT */
/* A cluster of several shards: what its catalog must hold, and who is behind a connection. */
#include "cluster_fixture.h"

/* ---- opening ---- */

static void test_cluster__a_catalog_lists_shards_and_slots(void **state)
{
        struct sharded *f = open_sharded(3);
        uint32_t n_slots = 0;

        (void)state;
        assert_int_equal(dal_cluster_n_shards(f->cluster), 3);
        assert_int_equal(dal_cluster_map_version(f->cluster), 1);
        for (uint16_t i = 0; i < 3; i++) {
                dal_error err = DAL_ERROR_INIT;
                dal_shard_info info;

                assert_ok(dal_cluster_shard_info(f->cluster, i, &info, &err));
                assert_int_equal(info.shard, i);
                assert_string_equal(info.driver, i % 2 ? "fakemodal" : "fake");
                assert_in_range(info.n_slots, 5461, 5462);
                n_slots += info.n_slots;
                /* Shards are connected to when first used. */
                assert_int_equal(dal_fake_get_stats(f->servers[i]).n_opened, 0);
        }
        assert_int_equal(n_slots, DAL_N_SLOTS);
        free_sharded(f);
}

static void test_cluster__work_goes_to_the_owner_of_the_slot(void **state)
{
        struct sharded *f = open_sharded(4);
        dal_error err = DAL_ERROR_INIT;

        (void)state;
        for (int64_t id = 0; id < 100; id++) {
                dal_key key = dal_key_int64(id);
                uint16_t owner = dal_key_slot(&key) % 4;
                dal_rows *rows;

                assert_int_equal(dal_cluster_locate(f->cluster, key), owner);
                assert_ok(dal_cluster_exec(f->cluster, key, &put_row, ROW(id), NULL, &err));
                for (uint16_t i = 0; i < 4; i++)
                        assert_int_equal(has_row(f->servers[i], id), i == owner);
                assert_ok(dal_cluster_query(f->cluster, key, &get_rows, RANGE(id, id), &rows, &err));
                assert_ok(dal_rows_first(rows, &err));
                assert_int_equal(dal_rows_shard(rows), owner);
                dal_rows_close(rows);
        }
        assert_int_equal(dal_fake_journal_count(f->catalog, "put_row"), 0);
        free_sharded(f);
}

struct
try {
        dal_error_class wanted;
        const char *word;
        void (*spoil)(struct sharded * f);
};

static void other_int_scheme(struct sharded *f)
{
        snprintf(f->tables.scheme_int64, sizeof f->tables.scheme_int64, "fmix64/2");
}

static void other_bytes_scheme(struct sharded *f)
{
        snprintf(f->tables.scheme_bytes, sizeof f->tables.scheme_bytes, "md5/1");
}

static void other_slot_bits(struct sharded *f)
{
        f->tables.slot_bits = 12;
}

static void no_cluster_id(struct sharded *f)
{
        f->tables.cluster_id[0] = '\0';
}

static void one_slot_missing(struct sharded *f)
{
        f->tables.owner[8191] = -1;
}

static void all_slots_missing(struct sharded *f)
{
        for (uint32_t slot = 0; slot < DAL_N_SLOTS; slot++)
                f->tables.owner[slot] = -1;
}

static void version_zero_without_slots(struct sharded *f)
{
        all_slots_missing(f);
        f->tables.map_version = 0;
        f->tables.n_shards = 0;
}

static void slot_of_an_unknown_shard(struct sharded *f)
{
        f->tables.owner[5] = 77;
}

static void slot_of_an_absurd_shard(struct sharded *f)
{
        f->tables.owner[5] = 70000; /* would be 4464 in 16 bits */
}

static void slot_out_of_range(struct sharded *f)
{
        f->tables.first_slot = 1; /* the last one is 16384 then */
}

static void shard_out_of_range(struct sharded *f)
{
        f->tables.shard_id[1] = 4096;
}

static void shard_below_zero(struct sharded *f)
{
        f->tables.shard_id[1] = -1;
}

static void shard_of_unknown_scheme(struct sharded *f)
{
        snprintf(f->tables.url[1], sizeof f->tables.url[1], "oracle://host/db");
}

static void shard_with_a_bad_url(struct sharded *f)
{
        snprintf(f->tables.url[1], sizeof f->tables.url[1], "fake://user:hunter2@host:port/db");
}

static void shard_with_an_unknown_key(struct sharded *f)
{
        snprintf(f->tables.url[1], sizeof f->tables.url[1], "fake://host/db?pasword=hunter2");
}

static void shard_without_slashes(struct sharded *f)
{
        snprintf(f->tables.url[1], sizeof f->tables.url[1], "fake:user:hunter2@host/db");
}

static void test_cluster__a_catalog_that_is_not_whole_is_refused(void **state)
{
        static const struct try tries[] = {
                {DAL_CLASS_NO_SHARD, "fmix64/2", other_int_scheme},
                {DAL_CLASS_NO_SHARD, "md5/1", other_bytes_scheme},
                {DAL_CLASS_NO_SHARD, "12", other_slot_bits},
                {DAL_CLASS_NO_SHARD, "cluster_id", no_cluster_id},
                {DAL_CLASS_NO_SHARD, "1 of 16384 slots", one_slot_missing},
                {DAL_CLASS_NO_SHARD, "dalctl cluster init", all_slots_missing},
                {DAL_CLASS_NO_SHARD, "16384 of 16384 slots", version_zero_without_slots},
                {DAL_CLASS_NO_SHARD, "shard 77", slot_of_an_unknown_shard},
                {DAL_CLASS_NO_SHARD, "70000", slot_of_an_absurd_shard},
                {DAL_CLASS_NO_SHARD, "16384", slot_out_of_range},
                {DAL_CLASS_NO_SHARD, "4096", shard_out_of_range},
                {DAL_CLASS_NO_SHARD, "-1", shard_below_zero},
                {DAL_CLASS_ARGUMENT, "shard 1", shard_of_unknown_scheme},
                {DAL_CLASS_ARGUMENT, "oracle", shard_of_unknown_scheme},
                {DAL_CLASS_ARGUMENT, "shard 1", shard_with_a_bad_url},
                {DAL_CLASS_ARGUMENT, "shard 1", shard_with_an_unknown_key},
                {DAL_CLASS_ARGUMENT, "\"pasword\"", shard_with_an_unknown_key},
                {DAL_CLASS_ARGUMENT, "two slashes", shard_without_slashes},
        };

        (void)state;
        for (size_t i = 0; i < sizeof tries / sizeof tries[0]; i++) {
                struct sharded *f = new_sharded(2);
                dal_error err = DAL_ERROR_INIT;

                tries[i].spoil(f);
                assert_fails(try_open_sharded(f, &err), tries[i].wanted);
                assert_has(err.message, tries[i].word);
                assert_null(strstr(err.message, "hunter2"));
                assert_null(f->cluster);
                free_sharded(f);
        }
}

static void test_cluster__a_catalog_that_fails_halfway_is_no_cluster(void **state)
{
        static const char *const places[] = {"dal.select_cluster", "dal.select_shards", "dal.select_slots"};
        static const dal_fake_point points[] = {DAL_FAKE_AT_REQUEST, DAL_FAKE_AT_FETCH};

        (void)state;
        for (size_t i = 0; i < 3; i++)
                for (size_t k = 0; k < 2; k++) {
                        struct sharded *f = new_sharded(2);
                        dal_error err = DAL_ERROR_INIT;

                        inject(f->catalog, (dal_fake_fault){.at = points[k],
                                                            .match = places[i],
                                                            .error_class = DAL_CLASS_PRIVILEGE});
                        assert_fails(try_open_sharded(f, &err), DAL_CLASS_PRIVILEGE);
                        assert_null(f->cluster);
                        free_sharded(f);
                }
}

static void test_cluster__a_shards_url_inherits_what_it_does_not_say(void **state)
{
        struct sharded *f = new_sharded(2);
        char bare[DAL_FAKE_URL_SIZE], url[200];
        dal_error err = DAL_ERROR_INIT;
        dal_shard_info info;

        (void)state;
        dal_fake_url(f->servers[0], bare);
        snprintf(f->tables.url[0], sizeof f->tables.url[0], "fake://localhost/one%s", strchr(bare, '?'));
        dal_fake_url(f->servers[1], bare);
        snprintf(f->tables.url[1], sizeof f->tables.url[1], "fake://admin@localhost/two%s",
                 strchr(bare, '?'));
        dal_fake_url(f->catalog, bare);
        snprintf(url, sizeof url, "fake://orders:secret@localhost/catalog%s", strchr(bare, '?'));
        assert_ok(dal_cluster_open(url, all_drivers(), N_DRIVERS, &f->options, &f->cluster, &err));
        assert_ok(dal_cluster_shard_info(f->cluster, 0, &info, &err));
        assert_has(info.url, "orders@");
        assert_null(strstr(info.url, "secret"));
        assert_ok(dal_cluster_shard_info(f->cluster, 1, &info, &err));
        assert_has(info.url, "admin@");
        free_sharded(f);
}

/* ---- who is behind a connection ---- */

static void wrong_cluster(struct sharded *f)
{
        snprintf(f->identities[1].cluster_id, sizeof f->identities[1].cluster_id, "somebody else");
}

static void wrong_shard(struct sharded *f)
{
        f->identities[1].shard_id = 5;
}

static void identity_without_row(struct sharded *f)
{
        f->identities[1].no_row = true;
}

static void identity_without_table(struct sharded *f)
{
        f->identities[1].no_table = true;
}

static void test_cluster__a_database_that_is_not_the_shard_is_never_written(void **state)
{
        static const struct try tries[] = {
                {DAL_CLASS_NO_SHARD, "somebody else", wrong_cluster},
                {DAL_CLASS_NO_SHARD, "shard 5", wrong_shard},
                {DAL_CLASS_NO_SHARD, "dal_shard.url", identity_without_row},
                {DAL_CLASS_NO_SHARD, "dal_shard.url", identity_without_table},
        };

        (void)state;
        for (size_t i = 0; i < sizeof tries / sizeof tries[0]; i++) {
                struct sharded *f = open_sharded(2);
                dal_error err = DAL_ERROR_INIT;
                dal_conn *conn;
                dal_rows *rows;
                dal_key key;

                tries[i].spoil(f);
                key = key_on(f->cluster, 1);
                for (int again = 0; again < 2; again++) {
                        assert_fails(dal_cluster_exec(f->cluster, key, &put_row, ROW(1), NULL, &err),
                                     tries[i].wanted);
                        assert_has(err.message, tries[i].word);
                        assert_int_equal(err.shard, 1);
                        assert_int_equal(dal_cluster_run(f->cluster, key, NULL, put_next, NULL, &err),
                                         DAL_ERR_ROUTE);
                        assert_int_equal(
                                dal_cluster_query(f->cluster, key, &get_rows, RANGE(1, 2), &rows, &err),
                                DAL_ERR_ROUTE);
                        assert_int_equal(dal_cluster_lease(f->cluster, 1, &conn, &err), DAL_ERR_ROUTE);
                        assert_null(conn);
                        assert_int_equal(dal_fanout_query(f->cluster, &get_rows, RANGE(1, 2), &rows, &err),
                                         DAL_ERR_ROUTE);
                }
                assert_int_equal(dal_fake_journal_count(f->servers[1], "put_row"), 0);
                assert_int_equal(pool_stats(f->cluster, 1).leased, 0);
                /* The other shard is none the worse. */
                assert_ok(dal_cluster_exec(f->cluster, key_on(f->cluster, 0), &put_row, ROW(1), NULL, &err));
                free_sharded(f);
        }
}

static void test_cluster__identity_is_asked_once_and_again_after_a_failure(void **state)
{
        struct sharded *f = open_sharded(2);
        dal_error err = DAL_ERROR_INIT;

        (void)state;
        for (uint16_t shard = 0; shard < 2; shard++) {
                dal_key key = key_on(f->cluster, shard);

                inject(f->servers[shard],
                       (dal_fake_fault){.match = "dal.select_identity", .error_class = DAL_CLASS_PRIVILEGE});
                assert_fails(dal_cluster_run(f->cluster, key, NULL, put_next, NULL, &err),
                             DAL_CLASS_PRIVILEGE);
                for (int i = 0; i < 3; i++)
                        assert_ok(dal_cluster_run(f->cluster, key, NULL, put_next, NULL, &err));
                dal_fake_kill(f->servers[shard], 0);
                assert_ok(dal_cluster_run(f->cluster, key, NULL, put_next, NULL, &err));
                assert_int_equal(dal_fake_journal_count(f->servers[shard], "dal.select_identity"), 2);
                assert_int_equal(dal_fake_get_stats(f->servers[shard]).n_in_tx, 0);
        }
        free_sharded(f);
}

static void test_cluster__a_connection_lost_over_the_identity_is_retried(void **state)
{
        struct sharded *f = open_sharded(2);
        dal_error err = DAL_ERROR_INIT;

        (void)state;
        for (uint16_t shard = 0; shard < 2; shard++) {
                inject(f->servers[shard], (dal_fake_fault){.match = "dal.select_identity",
                                                           .error_class = DAL_CLASS_CONNECTION_LOST});
                /* A write, too: nothing of it was sent. */
                assert_ok(dal_cluster_exec(f->cluster, key_on(f->cluster, shard), &put_row, ROW(5), NULL,
                                           &err));
        }
        free_sharded(f);
}

/* One shard opened by its own URL would be taken for the owner of every slot. */
static void test_cluster__a_lone_shard_is_not_taken_for_the_whole(void **state)
{
        struct sharded *f = new_sharded(2);
        dal_error err = DAL_ERROR_INIT;

        (void)state;
        for (int i = 0; i < 2; i++) {
                assert_fails(dal_cluster_open(f->tables.url[i], all_drivers(), N_DRIVERS, &f->options,
                                              &f->cluster, &err),
                             DAL_CLASS_NO_SHARD);
                assert_has(err.message, "catalog");
                assert_null(f->cluster);
        }
        free_sharded(f);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_cluster__a_catalog_lists_shards_and_slots),
                cmocka_unit_test(test_cluster__work_goes_to_the_owner_of_the_slot),
                cmocka_unit_test(test_cluster__a_catalog_that_is_not_whole_is_refused),
                cmocka_unit_test(test_cluster__a_catalog_that_fails_halfway_is_no_cluster),
                cmocka_unit_test(test_cluster__a_shards_url_inherits_what_it_does_not_say),
                cmocka_unit_test(test_cluster__a_database_that_is_not_the_shard_is_never_written),
                cmocka_unit_test(test_cluster__identity_is_asked_once_and_again_after_a_failure),
                cmocka_unit_test(test_cluster__a_connection_lost_over_the_identity_is_retried),
                cmocka_unit_test(test_cluster__a_lone_shard_is_not_taken_for_the_whole),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
