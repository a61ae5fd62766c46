/* SPDX-License-Identifier: MIT */
/* A stranger's program: opens a cluster in memory, runs a transaction, reads it back. */
#include <dal/dal.h>
#include <dal/drivers/sqlite.h>

#include <stdio.h>

static const dal_stmt make = DAL_STMT("make", "CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT NOT NULL)");
static const dal_stmt add = DAL_STMT("add", "INSERT INTO t (id, name) VALUES (?, ?)");
static const dal_stmt get = DAL_STMT("get", "SELECT name FROM t WHERE id = ?");

static dal_status fill(dal_tx *tx, void *arg, dal_error *err)
{
        dal_status s = dal_tx_exec(tx, &make, DAL_NO_PARAMS, NULL, err);

        (void)arg;
        return s ? s : dal_tx_queue(tx, &add, DAL_PARAMS(dal_int64(1), dal_text("one")), err);
}

int main(void)
{
        const dal_driver *drivers[] = {dal_driver_sqlite()};
        dal_cluster_options options = DAL_CLUSTER_OPTIONS_INIT;
        dal_error err = DAL_ERROR_INIT;
        dal_cluster *cluster = NULL;
        dal_rows *rows = NULL;
        char name[16] = "";
        dal_status s;

        options.service = "consumer";
        options.pool.max_size = 1; /* one connection: a database in memory is a connection's own */
        s = dal_cluster_open("sqlite::memory:", drivers, 1, &options, &cluster, &err);
        if (s == DAL_OK)
                s = dal_cluster_run(cluster, dal_key_int64(1), NULL, fill, NULL, &err);
        if (s == DAL_OK)
                s = dal_cluster_query(cluster, dal_key_int64(1), &get, DAL_PARAMS(dal_int64(1)), &rows, &err);
        if (s == DAL_OK)
                s = dal_rows_first(rows, &err);
        if (s == DAL_OK)
                s = dal_rows_copy_text(rows, 0, name, sizeof name, &err);
        dal_rows_close(rows);
        if (s == DAL_OK)
                s = dal_cluster_close(cluster, 1000, &err);
        if (s != DAL_OK) {
                fprintf(stderr, "%s: %s\n", dal_error_status_name(s), err.message);
                return 1;
        }
        printf("%s\n", name);
        return 0;
}
