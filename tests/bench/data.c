/* SPDX-License-Identifier: MIT */
/* The tables that all sides read and write. */
#include "bench.h"

#include <stdio.h>
#include <string.h>

#include <dal/drivers/mysql.h>
#include <dal/drivers/postgres.h>
#include <dal/drivers/sqlite.h>

#define CLUSTER_ID "0123456789abcdef0123456789abcdef"
/* Enough for a million rows on a busy machine. */
#define FILL_MS 300000

#define NUMBERS                                                                                              \
        " FROM (SELECT 1 + a.d + 10 * b.d + 100 * c.d + 1000 * e.d + 10000 * f.d + 100000 * g.d AS n"        \
        " FROM bench_digits a, bench_digits b, bench_digits c, bench_digits e, bench_digits f, "             \
        "bench_digits g) t"                                                                                  \
        " WHERE n <= ?"
#define TEN_DIGITS "SUBSTR('0000000000', 1, 10 - LENGTH(CAST(n AS VARCHAR(10)))) || CAST(n AS VARCHAR(10))"

static const dal_stmt steps[] = {
        DAL_STMT("bench.digits", "CREATE TABLE bench_digits (d BIGINT)"),
        DAL_STMT("bench.digits_fill",
                 "INSERT INTO bench_digits (d) VALUES (0), (1), (2), (3), (4), (5), (6), (7), (8), (9)"),
        DAL_STMT("bench.kv", "CREATE TABLE bench_kv (id BIGINT PRIMARY KEY, v VARCHAR(64) NOT NULL)",
                 .sqlite = "CREATE TABLE bench_kv (id INTEGER PRIMARY KEY, v TEXT NOT NULL)"),
        DAL_STMT("bench.ins", "CREATE TABLE bench_ins (id BIGINT PRIMARY KEY, v VARCHAR(64) NOT NULL)",
                 .sqlite = "CREATE TABLE bench_ins (id INTEGER PRIMARY KEY, v TEXT NOT NULL)"),
        DAL_STMT("bench.scan", "CREATE TABLE bench_scan (id BIGINT NOT NULL, d DOUBLE PRECISION NOT NULL,"
                               " s VARCHAR(16) NOT NULL)"),
};
static const dal_stmt fill_kv = DAL_STMT(
        "bench.fill_kv", "INSERT INTO bench_kv (id, v) SELECT n, 'value-' || " TEN_DIGITS NUMBERS,
        .mysql = "INSERT INTO bench_kv (id, v) SELECT n, CONCAT('value-', LPAD(n, 10, '0'))" NUMBERS);
static const dal_stmt fill_scan = DAL_STMT(
        "bench.fill_scan",
        "INSERT INTO bench_scan (id, d, s) SELECT n, n * 0.5 + 0.25, 'scan__' || " TEN_DIGITS NUMBERS,
        .mysql = "INSERT INTO bench_scan (id, d, s) SELECT n, n * 0.5 + 0.25, CONCAT('scan__', LPAD(n, 10, "
                 "'0'))" NUMBERS);
/* Else PostgreSQL does so in the background, in the middle of the measuring. */
static const dal_stmt settle =
        DAL_STMT("bench.settle", "SELECT 1", .postgres = "VACUUM (ANALYZE) bench_kv, bench_scan");

const dal_driver *const *bench_drivers(size_t *n_out)
{
        static const dal_driver *drivers[3];

        drivers[0] = dal_driver_sqlite();
        drivers[1] = dal_driver_postgres();
        drivers[2] = dal_driver_mysql();
        *n_out = 3;
        return drivers;
}

const dal_driver *bench_driver_of(const dal_dsn *dsn)
{
        dal_error err = DAL_ERROR_INIT;
        const dal_driver *driver;
        size_t n;
        const dal_driver *const *drivers = bench_drivers(&n);

        driver = dal_driver_find(drivers, n, dal_dsn_scheme(dsn), &err);
        if (!driver)
                bench_check_status(DAL_ERR_ARG, &err);
        return driver;
}

dal_conn *bench_connect(const char *url)
{
        dal_error err = DAL_ERROR_INIT;
        dal_conn *conn;
        dal_dsn *dsn;

        bench_check_status(dal_dsn_parse(url, &dsn, &err), &err);
        bench_check_status(
                dal_conn_open(bench_driver_of(dsn), dsn, NULL, dal_clock_after_ms(10000), &conn, &err), &err);
        dal_dsn_free(dsn);
        return conn;
}

static void script(dal_conn *conn, const char *sql)
{
        dal_error err = DAL_ERROR_INIT;

        bench_check_status(dal_conn_script(conn, sql, dal_clock_after_ms(FILL_MS), &err), &err);
}

void bench_sql(const char *url, const char *sql)
{
        dal_conn *conn = bench_connect(url);

        script(conn, sql);
        dal_conn_close(conn);
}

static void exec(dal_conn *conn, const dal_stmt *stmt, dal_params params)
{
        dal_error err = DAL_ERROR_INIT;

        bench_check_status(dal_conn_exec(conn, stmt, params, dal_clock_after_ms(FILL_MS), NULL, &err), &err);
}

void bench_fill(const char *url, long n_scan_rows)
{
        dal_conn *conn = bench_connect(url);

        for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++)
                exec(conn, &steps[i], DAL_NO_PARAMS);
        exec(conn, &fill_kv, DAL_PARAMS(dal_int64(BENCH_N_KEYS)));
        if (n_scan_rows)
                exec(conn, &fill_scan, DAL_PARAMS(dal_int64(n_scan_rows)));
        exec(conn, &settle, DAL_NO_PARAMS);
        dal_conn_close(conn);
}

static dal_conn *with_own_tables(const char *url)
{
        dal_schema_options options = DAL_SCHEMA_OPTIONS_INIT;
        dal_error err = DAL_ERROR_INIT;
        dal_schema_report report;
        dal_conn *conn = bench_connect(url);

        options.dir = BENCH_SCHEMA_DIR;
        options.area = "dal";
        bench_check_status(dal_schema_apply(conn, &options, &report, &err), &err);
        return conn;
}

void bench_make_cluster(const char *catalog_url, const char *const *urls, size_t n_urls)
{
        dal_conn *catalog = with_own_tables(catalog_url);
        char sql[BENCH_URL_SIZE + 256];

        script(catalog, "DELETE FROM dal_slot_map; DELETE FROM dal_shard; DELETE FROM dal_cluster");
        for (size_t i = 0; i < n_urls; i++) {
                dal_conn *shard = with_own_tables(urls[i]);

                script(shard, "DELETE FROM dal_identity");
                snprintf(sql, sizeof sql,
                         "INSERT INTO dal_identity (id, cluster_id, shard_id) VALUES (1, '%s', %zu)",
                         CLUSTER_ID, i);
                script(shard, sql);
                dal_conn_close(shard);
                snprintf(sql, sizeof sql, "INSERT INTO dal_shard (shard_id, url) VALUES (%zu, '%s')", i,
                         urls[i]);
                script(catalog, sql);
        }
        script(catalog,
               "INSERT INTO dal_cluster VALUES (1, '" CLUSTER_ID "', 'fmix64/1', 'sha256be8/1', 14, 1)");
        snprintf(sql, sizeof sql,
                 "WITH RECURSIVE s (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM s WHERE n < 16383)"
                 " INSERT INTO dal_slot_map SELECT n, n %% %zu, 1, 1 FROM s",
                 n_urls);
        script(catalog, sql);
        dal_conn_close(catalog);
}

void bench_end_cluster(const char *const *urls, size_t n_urls)
{
        for (size_t i = 0; i < n_urls; i++) {
                bench_sql(urls[i], "DROP TABLE dal_identity");
                bench_sql(urls[i], "DROP TABLE dal_outcome");
                bench_sql(urls[i], "DROP TABLE dal_schema_history");
        }
}
