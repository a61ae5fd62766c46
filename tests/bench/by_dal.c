/* SPDX-License-Identifier: MIT */
/* By the library, as a service would write it. */
#include "bench.h"

#include <stdlib.h>

static const dal_stmt get_row = DAL_STMT("bench.get", "SELECT v FROM bench_kv WHERE id = ?");
static const dal_stmt add_row = DAL_STMT("bench.add", "INSERT INTO bench_ins (id, v) VALUES (?, ?)");
static const dal_stmt all_rows =
        DAL_STMT("bench.scan", "SELECT id, d, s FROM bench_scan", .flags = DAL_STMT_STREAM);

typedef struct session {
        dal_cluster *cluster;
        uint64_t keys;
        dal_error err;
} session;

static void check(session *s, dal_status status)
{
        bench_check_status(status, &s->err);
}

static void *open_session(const char *const *urls, size_t n_urls, long size)
{
        session *s = bench_alloc(1, sizeof *s);
        static const dal_error none = DAL_ERROR_INIT;
        dal_cluster_options options = DAL_CLUSTER_OPTIONS_INIT;
        size_t n_drivers;
        const dal_driver *const *drivers = bench_drivers(&n_drivers);

        (void)n_urls;
        (void)size;
        options.timeout_ms = 60000;
        s->keys = BENCH_SEED;
        s->err = none;
        check(s, dal_cluster_open(urls[0], drivers, n_drivers, &options, &s->cluster, &s->err));
        return s;
}

/* Behind the URLs of the shards stands that of their catalog. */
static void *open_shards(const char *const *urls, size_t n_urls, long size)
{
        return open_session(urls + n_urls, 1, size);
}

static void close_session(void *arg)
{
        session *s = arg;

        check(s, dal_cluster_close(s->cluster, 5000, &s->err));
        free(s);
}

/* ---- point selects ---- */

static void take_value(session *s, dal_rows *rows, int64_t key)
{
        const char *value;
        size_t size;

        check(s, dal_rows_text(rows, 0, &value, &size, &s->err));
        bench_check_value(key, value, size);
}

static void select_rows(void *arg, long n, long size)
{
        session *s = arg;

        (void)size;
        for (long i = 0; i < n; i++) {
                int64_t key = bench_next_key(&s->keys);
                dal_rows *rows;

                check(s, dal_cluster_query(s->cluster, dal_key_int64(key), &get_row,
                                           DAL_PARAMS(dal_int64(key)), &rows, &s->err));
                check(s, dal_rows_first(rows, &s->err));
                take_value(s, rows, key);
                dal_rows_close(rows);
        }
}

static void select_batch(void *arg, long n, long size)
{
        session *s = arg;
        uint64_t keys = s->keys;

        for (long done = 0; done < n; done += size) {
                dal_batch *batch;
                bool found;

                check(s, dal_cluster_batch(s->cluster, dal_key_int64(1), &batch, &s->err));
                for (long i = 0; i < size; i++)
                        check(s, dal_batch_add(batch, &get_row,
                                               DAL_PARAMS(dal_int64(bench_next_key(&s->keys))), &s->err));
                check(s, dal_batch_run(batch, &s->err));
                for (long i = 0; i < size; i++) {
                        dal_rows *rows;

                        check(s, dal_batch_next(batch, &found, &s->err));
                        rows = dal_batch_rows(batch);
                        check(s, dal_rows_first(rows, &s->err));
                        take_value(s, rows, bench_next_key(&keys));
                }
                dal_batch_close(batch);
        }
}

static void select_everywhere(void *arg, long n, long size)
{
        session *s = arg;

        (void)size;
        for (long i = 0; i < n; i++) {
                int64_t key = bench_next_key(&s->keys);
                bool found = true;
                dal_rows *rows;
                size_t n_rows;

                check(s, dal_fanout_query(s->cluster, &get_row, DAL_PARAMS(dal_int64(key)), &rows, &s->err));
                for (n_rows = 0; found; n_rows += found) {
                        check(s, dal_rows_next(rows, &found, &s->err));
                        if (found)
                                take_value(s, rows, key);
                }
                if (n_rows != BENCH_N_DATABASES)
                        bench_die("fan-out", "a shard's row is missing");
                dal_rows_close(rows);
        }
}

/* ---- inserts ---- */

static dal_status exec_rows(dal_tx *tx, void *arg, dal_error *err)
{
        char value[BENCH_VALUE_SIZE];
        dal_status status = DAL_OK;

        for (int64_t i = 1; status == DAL_OK && i <= *(const long *)arg; i++) {
                bench_write_value(i, value);
                status = dal_tx_exec(tx, &add_row, DAL_PARAMS(dal_int64(i), dal_text_n(value, sizeof value)),
                                     NULL, err);
        }
        return status;
}

static dal_status queue_rows(dal_tx *tx, void *arg, dal_error *err)
{
        char value[BENCH_VALUE_SIZE];
        dal_status status = DAL_OK;

        for (int64_t i = 1; status == DAL_OK && i <= *(const long *)arg; i++) {
                bench_write_value(i, value);
                status = dal_tx_queue(tx, &add_row, DAL_PARAMS(dal_int64(i), dal_text_n(value, sizeof value)),
                                      err);
        }
        return status;
}

static dal_status load_rows(dal_tx *tx, void *arg, dal_error *err)
{
        static const char *const columns[] = {"id", "v"};
        dal_bulk_spec spec = DAL_BULK_SPEC_INIT;
        char value[BENCH_VALUE_SIZE];
        dal_status status;
        dal_bulk *bulk;

        spec.table = "bench_ins";
        spec.columns = columns;
        spec.n_columns = 2;
        status = dal_tx_bulk(tx, &spec, &bulk, err);
        if (status)
                return status;
        for (int64_t i = 1; status == DAL_OK && i <= *(const long *)arg; i++) {
                bench_write_value(i, value);
                status = dal_bulk_add(bulk, DAL_PARAMS(dal_int64(i), dal_text_n(value, sizeof value)), err);
        }
        if (status == DAL_OK)
                status = dal_bulk_finish(bulk, NULL, err);
        dal_bulk_close(bulk);
        return status;
}

static void insert(session *s, dal_tx_fn *fn, long n)
{
        check(s, dal_cluster_run(s->cluster, dal_key_int64(1), NULL, fn, &n, &s->err));
}

static void insert_rows(void *arg, long n, long size)
{
        (void)size;
        insert(arg, exec_rows, n);
}

static void insert_queued(void *arg, long n, long size)
{
        (void)size;
        insert(arg, queue_rows, n);
}

static void insert_bulk(void *arg, long n, long size)
{
        (void)size;
        insert(arg, load_rows, n);
}

/* ---- scans ---- */

static void scan_rows(void *arg, long n, long size)
{
        session *s = arg;
        bench_sum sum = {0};
        dal_rows *rows;
        bool found;

        (void)size;
        check(s, dal_cluster_query(s->cluster, dal_key_int64(1), &all_rows, DAL_NO_PARAMS, &rows, &s->err));
        for (;;) {
                const char *text;
                size_t text_size;
                double number;
                int64_t id;

                check(s, dal_rows_next(rows, &found, &s->err));
                if (!found)
                        break;
                check(s, dal_rows_int64(rows, 0, &id, &s->err));
                check(s, dal_rows_double(rows, 1, &number, &s->err));
                check(s, dal_rows_text(rows, 2, &text, &text_size, &s->err));
                sum.n_rows++;
                sum.ids += id;
                sum.doubles += number;
                sum.bytes += (int64_t)text_size;
        }
        dal_rows_close(rows);
        bench_check_sum(&sum, n);
}

const bench_side bench_dal = {
        .name = "dal",
        .open = open_session,
        .close = close_session,
        .work = {[BENCH_SELECT] = select_rows,
                 [BENCH_AHEAD] = select_batch,
                 [BENCH_INSERT] = insert_rows,
                 [BENCH_QUEUE] = insert_queued,
                 [BENCH_BULK] = insert_bulk,
                 [BENCH_SCAN] = scan_rows},
};

const bench_side bench_dal_shards = {
        .name = "dal",
        .open = open_shards,
        .close = close_session,
        .work = {[BENCH_EVERYWHERE] = select_everywhere},
};
