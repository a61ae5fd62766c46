/* SPDX-License-Identifier: MIT */
/* The groups that need an engine: tables of columns, and how each is run. */
#include "groups.h"

#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define N_SCAN_ROWS  1000000
#define N_QUICK_ROWS 20000
#define N_INSERTS    10000
#define ONE_WAY_NS   625000

const bench_side *const bench_raw_sides[BENCH_N_ENGINES] = {&bench_raw_postgres, &bench_raw_mysql,
                                                            &bench_raw_mysql, &bench_raw_sqlite};

/* One column for all engines. */
typedef struct row {
        const char *name;
        const bench_side *side; /* NULL: raw */
        bench_task task;
        double targets[BENCH_N_ENGINES];
} row;

static const row w1[] = {
        {"raw", NULL, BENCH_SELECT, {0}},
        {"dal", &bench_dal, BENCH_SELECT, {1.02, 1.02, 1.02, 0}},
};
static const row w2[] = {
        {"raw row by row", NULL, BENCH_INSERT, {0}},
        {"raw pipelined", NULL, BENCH_QUEUE, {0}},
        {"raw fast path", NULL, BENCH_BULK, {0}},
        {"dal row by row", &bench_dal, BENCH_INSERT, {[BENCH_SQLITE] = 1.08}},
        {"dal queued", &bench_dal, BENCH_QUEUE, {[BENCH_PG] = 0.25}},
        {"dal bulk", &bench_dal, BENCH_BULK, {0.07, 0.11, 0.11, 0.60}},
};
static const row w3[] = {
        {"raw one by one", NULL, BENCH_SELECT, {0}},
        {"raw sent ahead", NULL, BENCH_AHEAD, {0}},
        {"dal one by one", &bench_dal, BENCH_SELECT, {0}},
        {"dal batch", &bench_dal, BENCH_AHEAD, {0.30, 0.55, 0.55, 0}},
};
static const row w3d[] = {
        {"raw one by one", NULL, BENCH_SELECT, {0}},
        {"raw sent ahead", NULL, BENCH_AHEAD, {0}},
        {"dal one by one", &bench_dal, BENCH_SELECT, {0}},
        {"dal batch", &bench_dal, BENCH_AHEAD, {0.02, 0.05, 0.05, 0}},
};
static const row w4[] = {
        {"raw as they come", NULL, BENCH_SCAN, {0}},
        {"raw whole", NULL, BENCH_SCAN_WHOLE, {0}},
        {"dal stream", &bench_dal, BENCH_SCAN, {1.10, 1.10, 1.10, 1.15}},
};
static const row w7d[] = {
        {"raw one by one", NULL, BENCH_EACH, {0}},
        {"raw in flight", NULL, BENCH_EVERYWHERE, {0}},
        {"dal fan-out", &bench_dal_shards, BENCH_EVERYWHERE, {0.30, 0.30, 0.30, 0}},
};
#define ROWS(table) table, sizeof(table) / sizeof((table)[0])

/* What an engine has of a table of columns. */
static size_t pick(const bench_run *r, const row *rows, size_t n_rows, long size, bench_column *columns)
{
        size_t n = 0;

        for (size_t i = 0; i < n_rows; i++) {
                const bench_side *side = rows[i].side ? rows[i].side : bench_raw_sides[r->engine];

                if (side->work[rows[i].task])
                        columns[n++] = (bench_column){rows[i].name, side, rows[i].task, size,
                                                      rows[i].targets[r->engine]};
        }
        return n;
}

/* Measures and prints. */
static void compare(const bench_run *r, const char *name, bench_group *group, const char *const *urls,
                    size_t n_urls)
{
        char full_name[BENCH_NAME_SIZE];
        bench_result result;

        snprintf(full_name, sizeof full_name, "%s%s%s", name, r->engine < BENCH_N_ENGINES ? "-" : "",
                 r->engine < BENCH_N_ENGINES ? r->engine_name : "");
        group->name = full_name;
        group->cpu_time = r->engine == BENCH_SQLITE;
        bench_run_measure(r, group, urls, n_urls, &result);
        bench_print_group(&r->out, group, &result);
}

void bench_run_w1(const bench_run *r)
{
        bench_column columns[BENCH_MAX_COLUMNS];
        bench_group group = {.unit = "x raw",
                             .base_unit = "us a select",
                             .base_scale = 1e3,
                             .rounds = 31,
                             .n = r->quick ? 200 : 2000,
                             .columns = columns};

        group.n_columns = pick(r, ROWS(w1), 1, columns);
        compare(r, "W1", &group, r->urls, 1);
}

/* ---- inserts ---- */

static const dal_stmt empty_table =
        DAL_STMT("bench.empty", "DELETE FROM bench_ins", .postgres = "TRUNCATE TABLE bench_ins",
                 .mysql = "TRUNCATE TABLE bench_ins");
static const dal_stmt sum_up =
        DAL_STMT("bench.sum", "SELECT COUNT(*), SUM(id), MIN(v), MAX(v) FROM bench_ins");

static void before_inserts(void *arg)
{
        dal_error err = DAL_ERROR_INIT;

        bench_check_status(
                dal_conn_exec(arg, &empty_table, DAL_NO_PARAMS, dal_clock_after_ms(30000), NULL, &err), &err);
}

static void after_inserts(void *arg, long n)
{
        dal_error err = DAL_ERROR_INIT;
        int64_t n_rows, ids;
        const char *text;
        size_t size;
        dal_rows *rows;

        bench_check_status(
                dal_conn_query(arg, &sum_up, DAL_NO_PARAMS, dal_clock_after_ms(30000), &rows, &err), &err);
        bench_check_status(dal_rows_first(rows, &err), &err);
        bench_check_status(dal_rows_int64(rows, 0, &n_rows, &err), &err);
        bench_check_status(dal_rows_int64(rows, 1, &ids, &err), &err);
        if (n_rows != n || ids != (int64_t)n * (n + 1) / 2)
                bench_die("inserts", "what is stored is not what was sent");
        bench_check_status(dal_rows_text(rows, 2, &text, &size, &err), &err);
        bench_check_value(1, text, size);
        bench_check_status(dal_rows_text(rows, 3, &text, &size, &err), &err);
        bench_check_value(n, text, size);
        dal_rows_close(rows);
}

void bench_run_w2(const bench_run *r)
{
        bench_column columns[BENCH_MAX_COLUMNS];
        bench_group group = {.unit = "x raw",
                             .base_unit = "us a row",
                             .base_scale = 1e3,
                             .rounds = 7,
                             .n = r->quick ? 1000 : N_INSERTS,
                             .columns = columns,
                             .before = before_inserts,
                             .after = after_inserts,
                             .arg = bench_connect(r->urls[0])};

        group.n_columns = pick(r, ROWS(w2), 1, columns);
        compare(r, "W2", &group, r->urls, 1);
        dal_conn_close(group.arg);
}

/* ---- independent selects ---- */

static bench_group selects_group(const bench_run *r, const row *rows, size_t n_rows, long size,
                                 bench_column *columns)
{
        bench_group group = {
                .unit = "x raw", .base_unit = "us a select", .base_scale = 1e3, .columns = columns};

        group.n_columns = pick(r, rows, n_rows, size, columns);
        return group;
}

void bench_run_w3(const bench_run *r)
{
        bench_column columns[BENCH_MAX_COLUMNS];
        bench_group group = selects_group(r, ROWS(w3), 100, columns);

        group.n = r->quick ? 200 : 1000;
        group.rounds = 21;
        compare(r, "W3", &group, r->urls, 1);
}

void bench_run_w3d(const bench_run *r)
{
        bench_proxy *proxy = bench_proxy_new(r->urls[0], ONE_WAY_NS);
        bench_column columns[BENCH_MAX_COLUMNS];
        bench_group group = selects_group(r, ROWS(w3d), 100, columns);
        char url[BENCH_URL_SIZE];
        const char *const urls[] = {url};

        bench_proxy_url(proxy, r->urls[0], url);
        group.n = 100;
        group.rounds = 7;
        compare(r, "W3d", &group, urls, 1);
        bench_proxy_free(proxy);
}

/* A plot needs no rows of its own: its points are W3 at other sizes or distances. */
static void keep_points(const bench_group *group, const bench_result *result, size_t k, svg_line *lines)
{
        for (size_t i = 0; i < group->n_columns; i++) {
                lines[i].name = group->columns[i].name;
                lines[i].y[k] = result->ratio[i];
        }
}

static void print_points(const bench_run *r, const char *group, const char *unit, const double *x, size_t n_x,
                         const svg_line *lines, size_t n_lines)
{
        for (size_t i = 0; i < n_lines; i++)
                for (size_t k = 0; k < n_x; k++) {
                        char column[64];

                        snprintf(column, sizeof column, "%s, %g", lines[i].name, x[k]);
                        bench_print(&r->out, group, column, lines[i].y[k], unit, 0, NULL);
                }
}

void bench_run_batch(const bench_run *r)
{
        static const double sizes[] = {1, 10, 100, 1000};
        svg_line lines[BENCH_MAX_COLUMNS];
        bench_column columns[BENCH_MAX_COLUMNS];
        char name[BENCH_NAME_SIZE], title[128];
        bench_group group = {0};

        for (size_t k = 0; k < sizeof sizes / sizeof sizes[0]; k++) {
                bench_result result;

                group = selects_group(r, ROWS(w3), (long)sizes[k], columns);
                group.n = 1000;
                group.rounds = 5;
                bench_run_measure(r, &group, r->urls, 1, &result);
                keep_points(&group, &result, k, lines);
        }
        snprintf(name, sizeof name, "batch-%s", r->engine_name);
        snprintf(title, sizeof title, "Selects by batch size, %s: time as a multiple of one by one",
                 r->engine_name);
        print_points(r, name, "x raw", sizes, sizeof sizes / sizeof sizes[0], lines, group.n_columns);
        bench_run_draw(r, name, title, "selects in a batch", sizes, sizeof sizes / sizeof sizes[0], lines,
                       group.n_columns);
}

void bench_run_delay(const bench_run *r)
{
        static const double round_trips_ms[] = {0, 0.25, 0.5, 1.25, 2.5, 5};
        size_t n_points = r->quick ? 2 : sizeof round_trips_ms / sizeof round_trips_ms[0];
        bench_proxy *proxy = bench_proxy_new(r->urls[0], 0);
        bench_column columns[BENCH_MAX_COLUMNS];
        bench_group group = selects_group(r, ROWS(w3d), 100, columns);
        svg_line lines[BENCH_MAX_COLUMNS];
        char name[BENCH_NAME_SIZE], title[128], url[BENCH_URL_SIZE];
        const char *const urls[] = {url};

        bench_proxy_url(proxy, r->urls[0], url);
        group.n = 100;
        group.rounds = 3;
        for (size_t k = 0; k < n_points; k++) {
                bench_result result;

                bench_proxy_set_delay(proxy, (int64_t)(round_trips_ms[k] * 1e6 / 2));
                bench_run_measure(r, &group, urls, 1, &result);
                keep_points(&group, &result, k, lines);
        }
        bench_proxy_free(proxy);
        snprintf(name, sizeof name, "delay-%s", r->engine_name);
        snprintf(title, sizeof title, "100 selects by distance, %s: time as a multiple of one by one",
                 r->engine_name);
        print_points(r, name, "x raw", round_trips_ms, n_points, lines, group.n_columns);
        bench_run_draw(r, name, title, "ms for a round trip", round_trips_ms, n_points, lines,
                       group.n_columns);
}

/* ---- scans ---- */

/* In a process of its own, for memory that was used once may stay in a process. */
static double memory_of(const bench_run *r, const bench_column *column, long n)
{
        double mib = 0;
        int ends[2];
        pid_t child;

        (void)fflush(NULL);
        if (pipe(ends) != 0 || (child = fork()) < 0)
                bench_die("memory", "no process");
        if (child == 0) {
                void *session = column->side->open(r->urls, 1, 1);

                column->side->work[column->task](session, n, 1);
                mib = bench_peak_mib();
                _exit(write(ends[1], &mib, sizeof mib) == sizeof mib ? 0 : 1);
        }
        close(ends[1]);
        if (read(ends[0], &mib, sizeof mib) != sizeof mib)
                bench_die("memory", "the process that scans has failed");
        close(ends[0]);
        (void)waitpid(child, NULL, 0);
        return mib;
}

void bench_run_w4(const bench_run *r)
{
        double mib[BENCH_MAX_COLUMNS];
        bench_column columns[BENCH_MAX_COLUMNS];
        bench_group group = {.unit = "x raw",
                             .base_unit = "ns a row",
                             .base_scale = 1,
                             .rounds = 5,
                             .n = r->quick ? N_QUICK_ROWS : N_SCAN_ROWS,
                             .columns = columns};
        char name[BENCH_NAME_SIZE];

        group.n_columns = pick(r, ROWS(w4), 1, columns);
        for (size_t i = 0; i < group.n_columns; i++)
                mib[i] = memory_of(r, &columns[i], group.n);
        compare(r, "W4", &group, r->urls, 1);
        snprintf(name, sizeof name, "W4m-%s", r->engine_name);
        for (size_t i = 0; i < group.n_columns; i++)
                bench_print(&r->out, name, columns[i].name, mib[i], "MiB peak",
                            columns[i].target > 0 ? 10 : 0, NULL);
}

/* ---- four databases ---- */

void bench_run_w7d(const bench_run *r)
{
        bench_proxy *proxy = bench_proxy_new(r->urls[0], ONE_WAY_NS);
        char through[BENCH_N_DATABASES][BENCH_URL_SIZE];
        const char *urls[BENCH_N_DATABASES + 1];
        bench_column columns[BENCH_MAX_COLUMNS];
        bench_group group = {.unit = "x raw",
                             .base_unit = "us for four",
                             .base_scale = 1e3,
                             .rounds = 9,
                             .n = r->quick ? 5 : 40,
                             .columns = columns};

        for (size_t i = 0; i < BENCH_N_DATABASES; i++) {
                bench_proxy_url(proxy, r->urls[i], through[i]);
                urls[i] = through[i];
        }
        urls[BENCH_N_DATABASES] = r->urls[BENCH_N_DATABASES];
        bench_make_cluster(urls[BENCH_N_DATABASES], urls, BENCH_N_DATABASES);
        group.n_columns = pick(r, ROWS(w7d), 1, columns);
        compare(r, "W7d", &group, urls, BENCH_N_DATABASES);
        bench_end_cluster(urls, BENCH_N_DATABASES);
        bench_proxy_free(proxy);
}

/* A transaction of N queued writes, through a proxy that counts. Far away, so that nobody's luck counts. */
void bench_run_trips(const bench_run *r)
{
        static const long sizes[] = {1, 10, 100};
        bench_proxy *proxy = bench_proxy_new(r->urls[0], 2 * ONE_WAY_NS);
        dal_conn *conn = bench_connect(r->urls[0]);
        char name[BENCH_NAME_SIZE], url[BENCH_URL_SIZE];
        const char *const urls[] = {url};
        void *session;

        bench_proxy_url(proxy, r->urls[0], url);
        session = bench_dal.open(urls, 1, 1);
        snprintf(name, sizeof name, "trips-%s", r->engine_name);
        for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
                uint64_t before = 0;
                char column[64];

                /* The first time also connects and prepares. */
                for (int turn = 0; turn < 2; turn++) {
                        before_inserts(conn);
                        before = bench_proxy_round_trips(proxy);
                        bench_dal.work[BENCH_QUEUE](session, sizes[i], 1);
                        after_inserts(conn, sizes[i]);
                }
                snprintf(column, sizeof column, "dal, queued writes: %ld", sizes[i]);
                bench_print(&r->out, name, column, (double)(bench_proxy_round_trips(proxy) - before),
                            "round trips", r->engine == BENCH_PG ? 1 : 0, NULL);
        }
        bench_dal.close(session);
        dal_conn_close(conn);
        bench_proxy_free(proxy);
}
