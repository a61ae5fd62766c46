/* SPDX-License-Identifier: MIT */
/* A real cluster from end to end: a catalog and three shards as SQLite files, with the tables of schema/dal. */
#include "cluster_fixture.h"

#include <errno.h>
#include <unistd.h>

#include <sqlite3.h>

#include <dal/drivers/sqlite.h>

#define N_FILES    3
#define CLUSTER_ID "00112233445566778899aabbccddeeff"

struct files {
        char directory[64];
        dal_cluster *cluster;
        dal_cluster_options options;
        struct events events;
};

/* Names of files are shard_0.db ... and catalog.db. */
static const char *path_of(const struct files *f, const char *name)
{
        static char path[160];

        snprintf(path, sizeof path, "%s/%s", f->directory, name);
        return path;
}

static const char *shard_file(unsigned i)
{
        static char name[32];

        snprintf(name, sizeof name, "shard_%u.db", i);
        return name;
}

/* Past the library, as a database's administrator would. */
static void run_sql(const struct files *f, const char *name, const char *format, ...) DAL_PRINTF(3, 4);

static void run_sql(const struct files *f, const char *name, const char *format, ...)
{
        char sql[8192], *message = NULL;
        va_list args;
        sqlite3 *db;

        va_start(args, format);
        vsnprintf(sql, sizeof sql, format, args);
        va_end(args);
        assert_int_equal(sqlite3_open(path_of(f, name), &db), SQLITE_OK);
        sqlite3_busy_timeout(db, 5000);
        if (sqlite3_exec(db, sql, NULL, NULL, &message) != SQLITE_OK)
                fail_msg("%s: %s in %s", name, message, sql);
        sqlite3_close(db);
}

static void apply_script(const struct files *f, const char *name, const char *script)
{
        char path[512], sql[8000];
        size_t n;
        FILE *file;

        snprintf(path, sizeof path, "%s/dal/sqlite/%s", TESTS_SCHEMA_DIR, script);
        file = fopen(path, "r");
        if (!file)
                fail_msg("%s: %s", path, strerror(errno));
        n = fread(sql, 1, sizeof sql - 1, file);
        fclose(file);
        sql[n] = '\0';
        run_sql(f, name, "%s", sql);
}

static void init_files(struct files *f)
{
        dal_cluster_options options = DAL_CLUSTER_OPTIONS_INIT;

        memset(f, 0, sizeof *f);
        snprintf(f->directory, sizeof f->directory, "/tmp/dal_cluster_XXXXXX");
        assert_non_null(mkdtemp(f->directory));
        for (unsigned i = 0; i < N_FILES; i++) {
                run_sql(f, shard_file(i),
                        "PRAGMA journal_mode = WAL; CREATE TABLE t (id INTEGER PRIMARY KEY, v)");
                apply_script(f, shard_file(i), "0003_identity.sql");
                run_sql(f, shard_file(i), "INSERT INTO dal_identity VALUES (1, '" CLUSTER_ID "', %u)", i);
        }
        apply_script(f, "catalog.db", "0002_cluster.sql");
        run_sql(f, "catalog.db",
                "INSERT INTO dal_cluster VALUES (1, '" CLUSTER_ID "', 'fmix64/1', 'sha256be8/1', 14, 1);"
                "INSERT INTO dal_shard (shard_id, url) VALUES (0, 'sqlite:shard_0.db'), (1, "
                "'sqlite:shard_1.db'),"
                " (2, 'sqlite:shard_2.db');"
                "WITH RECURSIVE s (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM s WHERE n < 16383)"
                " INSERT INTO dal_slot_map SELECT n, n %% %d, 1, 1 FROM s",
                N_FILES);
        f->options = options;
        f->options.timeout_ms = 20000;
        f->options.map_refresh_ms = 3600000;
        f->options.on_event = on_event;
        f->options.on_event_arg = &f->events;
        pthread_mutex_init(&f->events.lock, NULL);
}

static dal_status try_open_files(struct files *f, const char *name, dal_error *err)
{
        static const dal_driver *drivers[1];
        char url[200];

        drivers[0] = dal_driver_sqlite();
        snprintf(url, sizeof url, "sqlite://%s/%s", f->directory, name);
        return dal_cluster_open(url, drivers, 1, &f->options, &f->cluster, err);
}

static void open_files(struct files *f)
{
        dal_error err = DAL_ERROR_INIT;

        init_files(f);
        assert_ok(try_open_files(f, "catalog.db", &err));
}

static void remove_files(struct files *f)
{
        static const char *const suffixes[] = {"", "-wal", "-shm", "-journal"};
        char name[64];

        for (unsigned i = 0; i <= N_FILES; i++)
                for (size_t k = 0; k < 4; k++) {
                        snprintf(name, sizeof name, "%s%s", i < N_FILES ? shard_file(i) : "catalog.db",
                                 suffixes[k]);
                        unlink(path_of(f, name));
                }
        assert_int_equal(rmdir(f->directory), 0);
}

static void close_files(struct files *f)
{
        dal_error err = DAL_ERROR_INIT;

        assert_ok(dal_cluster_close(f->cluster, 5000, &err));
        remove_files(f);
        pthread_mutex_destroy(&f->events.lock);
}

static int64_t count_rows(struct files *f, uint16_t shard)
{
        static const dal_stmt count = DAL_STMT("count", "SELECT count(*) FROM t");
        dal_error err = DAL_ERROR_INIT;
        int64_t n = -1;
        dal_rows *rows;
        dal_conn *conn;

        assert_ok(dal_cluster_lease(f->cluster, shard, &conn, &err));
        assert_ok(dal_conn_query(conn, &count, DAL_NO_PARAMS, DAL_FOREVER, &rows, &err));
        assert_ok(dal_rows_first(rows, &err));
        assert_ok(dal_rows_int64(rows, 0, &n, &err));
        dal_rows_close(rows);
        dal_cluster_release(f->cluster, shard, conn);
        return n;
}

static void test_cluster__files_beside_the_catalog_are_its_shards(void **state)
{
        dal_error err = DAL_ERROR_INIT;
        int64_t per_shard[N_FILES] = {0}, n = 0, v = 0;
        struct files f;
        dal_rows *rows;
        bool found;

        (void)state;
        open_files(&f);
        assert_int_equal(dal_cluster_n_shards(f.cluster), N_FILES);
        for (int64_t id = 0; id < 60; id++) {
                dal_key key = dal_key_int64(id);

                assert_ok(dal_cluster_exec(f.cluster, key, &put_row, ROW(id), NULL, &err));
                assert_fails(dal_cluster_exec(f.cluster, key, &put_row, ROW(id), NULL, &err),
                             DAL_CLASS_UNIQUE);
                per_shard[dal_key_slot(&key) % N_FILES]++;
        }
        for (uint16_t i = 0; i < N_FILES; i++)
                assert_int_equal(count_rows(&f, i), per_shard[i]);
        assert_ok(dal_fanout_query(f.cluster, &get_rows, RANGE(0, 1000), &rows, &err));
        while (dal_rows_next(rows, &found, &err) == DAL_OK && found) {
                dal_key key;

                assert_ok(dal_rows_int64(rows, 0, &v, &err));
                key = dal_key_int64(v / 10);
                assert_int_equal(dal_rows_shard(rows), dal_cluster_locate(f.cluster, key));
                n++;
        }
        assert_int_equal(n, 60);
        dal_rows_close(rows);
        close_files(&f);
}

static dal_status try_twice(dal_tx *tx, void *arg, dal_error *err)
{
        return dal_tx_exec(tx, &put_row, ROW(*(int64_t *)arg), NULL, err);
}

static dal_status insert_or_update(dal_tx *tx, void *arg, dal_error *err)
{
        int64_t id = *(int64_t *)arg;
        dal_status s = dal_tx_queue(tx, &put_row, ROW(id + 1000), err);

        if (s == DAL_OK)
                s = dal_tx_run(tx, try_twice, arg, err);
        if (s == DAL_ERR_CONSTRAINT)
                s = dal_tx_exec(tx, &set_row, DAL_PARAMS(dal_int64(-1), dal_int64(id)), NULL, err);
        return s;
}

static void test_cluster__a_savepoint_keeps_the_outer_work_in_a_real_file(void **state)
{
        dal_error err = DAL_ERROR_INIT;
        struct files f;
        int64_t id = 5;

        (void)state;
        open_files(&f);
        assert_ok(dal_cluster_exec(f.cluster, dal_key_int64(id), &put_row, ROW(id), NULL, &err));
        assert_ok(dal_cluster_run(f.cluster, dal_key_int64(id), NULL, insert_or_update, &id, &err));
        assert_int_equal(count_rows(&f, dal_cluster_locate(f.cluster, dal_key_int64(id))), 2);
        close_files(&f);
}

static void test_cluster__a_slot_moved_in_the_catalog_is_followed(void **state)
{
        dal_error err = DAL_ERROR_INIT;
        dal_key key = dal_key_text("customer 7");
        uint16_t from, to;
        struct files f;

        (void)state;
        open_files(&f);
        from = dal_cluster_locate(f.cluster, key);
        to = (uint16_t)((from + 1) % N_FILES);
        run_sql(&f, "catalog.db",
                "UPDATE dal_cluster SET map_version = 2;"
                "UPDATE dal_slot_map SET shard_id = %u, epoch = 2, map_version = 2 WHERE slot = %u",
                to, dal_key_slot(&key));
        assert_int_equal(dal_cluster_locate(f.cluster, key), from);
        assert_ok(dal_cluster_refresh(f.cluster, &err));
        assert_int_equal(dal_cluster_locate(f.cluster, key), to);
        assert_int_equal(dal_cluster_map_version(f.cluster), 2);
        assert_ok(dal_cluster_exec(f.cluster, key, &put_row, ROW(1), NULL, &err));
        assert_int_equal(count_rows(&f, to), 1);
        close_files(&f);
}

static void test_cluster__swapped_files_are_noticed_before_a_write(void **state)
{
        dal_error err = DAL_ERROR_INIT;
        struct files f;

        (void)state;
        init_files(&f);
        run_sql(&f, "catalog.db",
                "UPDATE dal_shard SET url = 'sqlite:shard_' || (1 - shard_id) || '.db' WHERE shard_id < 2");
        assert_ok(try_open_files(&f, "catalog.db", &err));
        for (uint16_t i = 0; i < 2; i++) {
                assert_fails(dal_cluster_exec(f.cluster, key_on(f.cluster, i), &put_row, ROW(1), NULL, &err),
                             DAL_CLASS_NO_SHARD);
                assert_has(err.message, "dal_shard.url");
        }
        assert_ok(dal_cluster_exec(f.cluster, key_on(f.cluster, 2), &put_row, ROW(1), NULL, &err));
        close_files(&f);
}

static void test_cluster__a_file_without_the_tables_is_one_database(void **state)
{
        dal_error err = DAL_ERROR_INIT;
        struct files f;

        (void)state;
        init_files(&f);
        run_sql(&f, shard_file(0), "DROP TABLE dal_identity");
        assert_ok(try_open_files(&f, shard_file(0), &err));
        assert_int_equal(dal_cluster_n_shards(f.cluster), 1);
        assert_int_equal(dal_cluster_map_version(f.cluster), 0);
        assert_ok(dal_cluster_exec(f.cluster, dal_key_int64(1), &put_row, ROW(1), NULL, &err));
        close_files(&f);
        init_files(&f);
        assert_fails(try_open_files(&f, shard_file(1), &err), DAL_CLASS_NO_SHARD);
        assert_has(err.message, "catalog");
        close_files(&f);
}

/* ---- contention in earnest ---- */

static const dal_stmt read_v = DAL_STMT("read_v", "SELECT v FROM t WHERE id = ?");

static dal_status add_one(dal_tx *tx, void *arg, dal_error *err)
{
        int64_t v = 0;
        dal_rows *rows;
        dal_status s = dal_tx_query(tx, &read_v, DAL_PARAMS(dal_int64(1)), &rows, err);

        (void)arg;
        if (s)
                return s;
        s = dal_rows_first(rows, err);
        if (s == DAL_OK)
                s = dal_rows_int64(rows, 0, &v, err);
        dal_rows_close(rows);
        return s ? s : dal_tx_exec(tx, &set_row, DAL_PARAMS(dal_int64(v + 1), dal_int64(1)), NULL, err);
}

struct adder {
        pthread_t thread;
        dal_cluster *cluster;
        dal_key key;
        uint32_t n_failed;
};

static void *add_often(void *arg)
{
        struct adder *a = arg;
        dal_tx_options options = DAL_TX_OPTIONS_INIT;

        options.timeout_ms = 60000;
        options.max_attempts = 10000;
        for (int i = 0; i < 20; i++)
                a->n_failed += dal_cluster_run(a->cluster, a->key, &options, add_one, NULL, NULL) != DAL_OK;
        return NULL;
}

static void test_cluster__no_increment_is_lost_between_threads(void **state)
{
        dal_error err = DAL_ERROR_INIT;
        struct adder adders[4];
        struct files f;
        int64_t v = 0;
        dal_rows *rows;
        dal_key key;

        (void)state;
        open_files(&f);
        key = key_on(f.cluster, 1);
        assert_ok(dal_cluster_exec(f.cluster, key, &put_row, DAL_PARAMS(dal_int64(1), dal_int64(0)), NULL,
                                   &err));
        for (size_t i = 0; i < 4; i++) {
                adders[i].cluster = f.cluster;
                adders[i].key = key;
                adders[i].n_failed = 0;
                assert_int_equal(pthread_create(&adders[i].thread, NULL, add_often, &adders[i]), 0);
        }
        for (size_t i = 0; i < 4; i++) {
                assert_int_equal(pthread_join(adders[i].thread, NULL), 0);
                assert_int_equal(adders[i].n_failed, 0);
        }
        assert_ok(dal_cluster_query(f.cluster, key, &read_v, DAL_PARAMS(dal_int64(1)), &rows, &err));
        assert_ok(dal_rows_first(rows, &err));
        assert_ok(dal_rows_int64(rows, 0, &v, &err));
        assert_int_equal(v, 4 * 20);
        dal_rows_close(rows);
        close_files(&f);
}

static void test_cluster__what_is_not_a_question_mark_is_no_parameter(void **state)
{
        static const dal_stmt odd[] = {
                DAL_STMT("odd.colon", "SELECT :q, ?"),
                DAL_STMT("odd.at", "SELECT @x, ?"),
                DAL_STMT("odd.dollar", "SELECT coalesce($v, 'was NULL'), ?"),
        };
        const dal_driver *drivers[] = {dal_driver_sqlite()};
        dal_cluster_options options = DAL_CLUSTER_OPTIONS_INIT;
        dal_error err = DAL_ERROR_INIT;
        dal_cluster *cluster;
        dal_rows *rows;

        (void)state;
        options.pool.max_size = 1;
        assert_int_equal(dal_cluster_open("sqlite::memory:", drivers, 1, &options, &cluster, &err), DAL_OK);
        assert_int_equal(err.status, DAL_OK); /* that there was no catalog is no failure */
        for (size_t i = 0; i < sizeof odd / sizeof odd[0]; i++) {
                assert_int_equal(dal_cluster_query(cluster, dal_key_int64(1), &odd[i],
                                                   DAL_PARAMS(dal_int64(1)), &rows, &err),
                                 DAL_ERR_ARG);
                assert_non_null(strstr(err.message, "write each as ?"));
                assert_null(rows);
        }
        assert_int_equal(dal_cluster_query(cluster, dal_key_int64(1), NULL, DAL_NO_PARAMS, &rows, &err),
                         DAL_ERR_ARG);
        assert_int_equal(dal_cluster_close(cluster, 1000, &err), DAL_OK);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_cluster__files_beside_the_catalog_are_its_shards),
                cmocka_unit_test(test_cluster__a_savepoint_keeps_the_outer_work_in_a_real_file),
                cmocka_unit_test(test_cluster__a_slot_moved_in_the_catalog_is_followed),
                cmocka_unit_test(test_cluster__swapped_files_are_noticed_before_a_write),
                cmocka_unit_test(test_cluster__a_file_without_the_tables_is_one_database),
                cmocka_unit_test(test_cluster__what_is_not_a_question_mark_is_no_parameter),
                cmocka_unit_test(test_cluster__no_increment_is_lost_between_threads),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
