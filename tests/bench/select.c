/* SPDX-License-Identifier: MIT */
/*
 * bench_select raw|threaded|dal URL N: N point selects, by hand, by hand in a process with a second thread, by the
 * library. bench_select fill URL: makes the table.
 *
 * The second thread does nothing; but with one in the process, as in every service and in the library's pool, the C
 * library takes its locks and cancellation points in earnest, which costs some 150 to 300 instructions a select.
 */
#include "bench.h"

#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include <dal/dal.h>
#include <dal/drivers/mysql.h>
#include <dal/drivers/postgres.h>
#include <dal/drivers/sqlite.h>

static const dal_stmt drop_table = DAL_STMT("bench.drop", "DROP TABLE IF EXISTS bench_kv");
static const dal_stmt make_table =
        DAL_STMT("bench.make", "CREATE TABLE bench_kv (id BIGINT PRIMARY KEY, v VARCHAR(64) NOT NULL)");
static const dal_stmt add_row = DAL_STMT("bench.add", "INSERT INTO bench_kv (id, v) VALUES (?, ?)");
static const dal_stmt get_row = DAL_STMT("bench.get", "SELECT v FROM bench_kv WHERE id = ?");

static void check(dal_status s, const dal_error *err)
{
        if (s)
                bench_die(dal_error_status_name(s), err->message);
}

static dal_status fill_rows(dal_tx *tx, void *arg, dal_error *err)
{
        dal_status s = DAL_OK;

        (void)arg;
        for (int64_t key = 1; s == DAL_OK && key <= BENCH_N_KEYS; key++) {
                char value[32];

                snprintf(value, sizeof value, "value-%010lld", (long long)key);
                s = dal_tx_queue(tx, &add_row, DAL_PARAMS(dal_int64(key), dal_text(value)), err);
        }
        return s;
}

static void fill(dal_cluster *cluster)
{
        dal_error err = DAL_ERROR_INIT;

        check(dal_cluster_exec(cluster, dal_key_int64(1), &drop_table, DAL_NO_PARAMS, NULL, &err), &err);
        check(dal_cluster_exec(cluster, dal_key_int64(1), &make_table, DAL_NO_PARAMS, NULL, &err), &err);
        check(dal_cluster_run(cluster, dal_key_int64(1), NULL, fill_rows, NULL, &err), &err);
}

static void select_by_dal(dal_cluster *cluster, long n)
{
        uint64_t state = 88172645463325252u;
        dal_error err = DAL_ERROR_INIT;

        for (long i = 0; i < n; i++) {
                int64_t key = bench_key(&state);
                const char *value;
                dal_rows *rows;
                size_t size;

                check(dal_cluster_query(cluster, dal_key_int64(key), &get_row, DAL_PARAMS(dal_int64(key)),
                                        &rows, &err),
                      &err);
                check(dal_rows_first(rows, &err), &err);
                check(dal_rows_text(rows, 0, &value, &size, &err), &err);
                bench_check(key, value, size);
                dal_rows_close(rows);
        }
}

static void select_by_hand(const dal_dsn *dsn, long n)
{
        const char *scheme = dal_dsn_scheme(dsn);

        if (strcmp(scheme, "sqlite") == 0)
                bench_raw_sqlite(dsn, n);
        else if (strcmp(scheme, "postgres") == 0)
                bench_raw_postgres(dsn, n);
        else
                bench_raw_mysql(dsn, n);
}

static void *idle(void *arg)
{
        (void)arg;
        for (;;)
                pause();
        return NULL;
}

int main(int argc, char **argv)
{
        const dal_driver *drivers[] = {dal_driver_sqlite(), dal_driver_postgres(), dal_driver_mysql()};
        dal_error err = DAL_ERROR_INIT;
        dal_cluster *cluster;
        pthread_t thread;
        dal_dsn *dsn;

        if (argc < 3)
                bench_die("usage", "bench_select raw|threaded|dal|fill URL [N]");
        check(dal_dsn_parse(argv[2], &dsn, &err), &err);
        if (strcmp(argv[1], "threaded") == 0 && pthread_create(&thread, NULL, idle, NULL) != 0)
                bench_die("pthread_create", NULL);
        if (strcmp(argv[1], "raw") == 0 || strcmp(argv[1], "threaded") == 0) {
                select_by_hand(dsn, atol(argv[3]));
        } else {
                check(dal_cluster_open(argv[2], drivers, 3, NULL, &cluster, &err), &err);
                if (strcmp(argv[1], "fill") == 0)
                        fill(cluster);
                else
                        select_by_dal(cluster, atol(argv[3]));
                check(dal_cluster_close(cluster, 1000, &err), &err);
        }
        dal_dsn_free(dsn);
        return 0;
}
