/* SPDX-License-Identifier: MIT */
/*
 * bench [--json] [--quick] [--svg DIR] GROUP ENGINE [URL...]
 * bench fill URL N | sql URL SQL | TASK SIDE ENGINE N URL [THREADS]
 *
 * tests/bench/run makes the databases and calls this for each group and engine.
 */
#include "groups.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <unistd.h>

static const char *const engine_names[BENCH_N_ENGINES] = {"pg", "mysql", "mariadb", "sqlite"};

void bench_run_measure(const bench_run *r, bench_group *group, const char *const *urls, size_t n_urls,
                       bench_result *result)
{
        if (r->quick)
                group->rounds = 1;
        bench_measure(group, urls, n_urls, result);
}

void bench_run_draw(const bench_run *r, const char *what, const char *title, const char *x_name,
                    const double *x, size_t n_x, const svg_line *lines, size_t n_lines)
{
        char path[512];

        if (!r->svg_dir)
                return;
        snprintf(path, sizeof path, "%s/%s.svg", r->svg_dir, what);
        svg_lines(path, title, x_name, x, n_x, lines, n_lines);
}

/* ---- without a server ---- */

static void run_w5(const bench_run *r)
{
        static const double threads[] = {1, 2, 4, 8, 16, 32, 64};
        static const double targets_ns[] = {45, 0, 0, 120, 0, 0, 0};
        size_t n_points = sizeof threads / sizeof threads[0];
        svg_line lines[3] = {{"raw mutex", {0}}, {"raw futex", {0}}, {"dal", {0}}};

        for (size_t k = 0; k < n_points; k++) {
                long n_threads = (long)threads[k];
                bench_column columns[] = {{"raw mutex", &bench_pool_mutex, BENCH_LEASE, n_threads, 0},
                                          {"raw futex", &bench_pool_futex, BENCH_LEASE, n_threads, 0},
                                          {"dal", &bench_pool_dal, BENCH_LEASE, n_threads, 0}};
                char name[BENCH_NAME_SIZE];
                bench_group group = {.name = name,
                                     .unit = "x raw",
                                     .base_unit = "ns a lease",
                                     .base_scale = 1,
                                     .rounds = 9,
                                     .cpu_time = n_threads == 1,
                                     .n = r->quick ? 20000 : 200000,
                                     .columns = columns,
                                     .n_columns = 3};
                bench_result result;

                snprintf(name, sizeof name, "W5-%ldthr", n_threads);
                bench_run_measure(r, &group, NULL, 0, &result);
                bench_print_group(&r->out, &group, &result);
                if (targets_ns[k] > 0)
                        bench_print(&r->out, name, "dal, time", result.ns[2], "ns", targets_ns[k], NULL);
                for (size_t i = 0; i < 3; i++)
                        lines[i].y[k] = result.ns[i];
        }
        bench_run_draw(r, "threads", "Acquire and release on 4 connections: ns by number of threads",
                       "threads", threads, n_points, lines, 3);
}

static void run_growth_of(const bench_run *r, const char *name, const bench_side *side, bench_task task,
                          const char *what, const long *sizes, size_t n_sizes, long n)
{
        bench_column columns[BENCH_MAX_COLUMNS];
        char names[BENCH_MAX_COLUMNS][64];
        bench_group group = {.name = name,
                             .cpu_time = true,
                             .unit = "x fewest",
                             .base_unit = "ns each",
                             .base_scale = 1,
                             .rounds = 7,
                             .columns = columns,
                             .n_columns = n_sizes};
        bench_result result;

        group.n = r->quick ? n / 10 : n;
        for (size_t i = 0; i < n_sizes; i++) {
                snprintf(names[i], sizeof names[i], "dal, %ld %s", sizes[i], what);
                columns[i] = (bench_column){names[i], side, task, sizes[i], 0};
        }
        bench_run_measure(r, &group, NULL, 0, &result);
        bench_print_group(&r->out, &group, &result);
}

static void run_growth(const bench_run *r)
{
        static const long shards[] = {1, 10, 100, 1000}, statements[] = {10, 100, 1000, 10000};

        run_growth_of(r, "locate", &bench_map_dal, BENCH_LOCATE, "shards", shards, 4, 1000000);
        run_growth_of(r, "shards", &bench_fake_shards, BENCH_EXEC, "shards", shards, 4, 50000);
        run_growth_of(r, "statements", &bench_fake_statements, BENCH_EXEC, "statements", statements, 4,
                      50000);
}

static void run_slot(const bench_run *r)
{
        bench_column columns[] = {{"raw", &bench_map_raw, BENCH_LOCATE, 100, 0},
                                  {"dal", &bench_map_dal, BENCH_LOCATE, 100, 0},
                                  {"dal", &bench_map_dal, BENCH_LOCATE_KEYS, 100, 0}};
        bench_group group = {.name = "slot",
                             .cpu_time = true,
                             .rounds = 15,
                             .n = r->quick ? 100000 : 2000000,
                             .columns = columns,
                             .n_columns = 3};
        bench_result result;

        bench_run_measure(r, &group, NULL, 0, &result);
        bench_print(&r->out, "slot", "raw fmix64 and table", result.ns[0], "ns", 0, NULL);
        bench_print(&r->out, "slot", "dal key and shard", result.ns[1], "ns", 3, NULL);
        bench_print(&r->out, "slot", "dal shard of a key", result.ns[2], "ns", 3, NULL);
}

/* ---- the program ---- */

static const struct {
        const char *name;
        void (*run)(const bench_run *r);
} groups[] = {{"W1", bench_run_w1},       {"W2", bench_run_w2},       {"W3", bench_run_w3},
              {"W3d", bench_run_w3d},     {"W4", bench_run_w4},       {"W5", run_w5},
              {"W7d", bench_run_w7d},     {"trips", bench_run_trips}, {"batch", bench_run_batch},
              {"delay", bench_run_delay}, {"growth", run_growth},     {"slot", run_slot}};

static bench_engine find_engine(const char *name)
{
        int i = 0;

        while (i < BENCH_N_ENGINES && strcmp(engine_names[i], name) != 0)
                i++;
        return (bench_engine)i;
}

static void *idle(void *arg)
{
        (void)arg;
        for (;;)
                pause();
        return NULL;
}

static const struct {
        const char *name;
        bench_task task;
        const bench_side *by_dal;
        long n_before; /* as many operations are done before those that are timed */
} tasks[] = {{"select", BENCH_SELECT, &bench_dal, 1000}, {"insert", BENCH_INSERT, &bench_dal, 0},
             {"queue", BENCH_QUEUE, &bench_dal, 0},      {"bulk", BENCH_BULK, &bench_dal, 0},
             {"scan", BENCH_SCAN, &bench_dal, 0},        {"lease", BENCH_LEASE, &bench_pool_dal, 0}};

#define N_TASKS (sizeof tasks / sizeof tasks[0])

static size_t find_task(const char *name)
{
        size_t i = 0;

        while (i < N_TASKS && strcmp(tasks[i].name, name) != 0)
                i++;
        return i;
}

static double seconds(struct timeval t)
{
        return (double)t.tv_sec + (double)t.tv_usec * 1e-6;
}

/* Does the work and prints what it took, as the programs of other layers do. */
static void run_and_print(bench_work *work, void *session, long n, long size)
{
        struct rusage before, after;
        int64_t from, to;

        (void)getrusage(RUSAGE_SELF, &before);
        from = dal_clock_now();
        work(session, n, size);
        to = dal_clock_now();
        (void)getrusage(RUSAGE_SELF, &after);
        printf("RES ops=%ld wall=%.6f user=%.6f sys=%.6f rss=%.0f\n", n, (double)(to - from) * 1e-9,
               seconds(after.ru_utime) - seconds(before.ru_utime),
               seconds(after.ru_stime) - seconds(before.ru_stime), bench_peak_mib() * 1024);
}

/*
 * For callgrind, and beside other layers: one task of N operations by one side and nothing else. With a second thread in
 * the process, as in every service and in the library's pool, the C library takes its locks and cancellation points in
 * earnest: 150 to 300 instructions for each select.
 */
static void run_task(size_t i_task, char **argv)
{
        bool by_dal = strcmp(argv[0], "dal") == 0;
        bench_engine engine = find_engine(argv[1]);
        const bench_side *side;
        bench_task task = tasks[i_task].task;
        long size = argv[4] ? atol(argv[4]) : 1;
        const char *const urls[] = {argv[3]};
        pthread_t thread;
        void *session;

        if (!by_dal && engine == BENCH_N_ENGINES)
                bench_die("no such engine; known are pg, mysql, mariadb and sqlite", argv[1]);
        side = by_dal ? tasks[i_task].by_dal : bench_raw_sides[engine];
        if (strcmp(argv[0], "threaded") == 0 && pthread_create(&thread, NULL, idle, NULL) != 0)
                bench_die("task", "no thread");
        if (!side->work[task])
                bench_die("task", "this side has no such work");
        session = side->open(urls, 1, size);
        if (tasks[i_task].n_before > 0)
                side->work[task](session, tasks[i_task].n_before, size);
        run_and_print(side->work[task], session, atol(argv[2]), size);
        side->close(session);
}

int main(int argc, char **argv)
{
        bench_run r = {0};
        int i = 1;

        for (; i < argc && strncmp(argv[i], "--", 2) == 0; i++) {
                r.out.json = r.out.json || strcmp(argv[i], "--json") == 0;
                r.quick = r.quick || strcmp(argv[i], "--quick") == 0;
                if (strcmp(argv[i], "--svg") == 0 && i + 1 < argc)
                        r.svg_dir = argv[++i];
        }
        if (argc - i == 3 && strcmp(argv[i], "fill") == 0) {
                bench_fill(argv[i + 1], atol(argv[i + 2]));
        } else if (argc - i == 3 && strcmp(argv[i], "sql") == 0) {
                bench_sql(argv[i + 1], argv[i + 2]);
        } else if (argc - i >= 5 && argc - i <= 6 && find_task(argv[i]) < N_TASKS) {
                run_task(find_task(argv[i]), argv + i + 1);
        } else if (argc - i >= 2) {
                size_t k = 0;

                while (k < sizeof groups / sizeof groups[0] && strcmp(groups[k].name, argv[i]) != 0)
                        k++;
                if (k == sizeof groups / sizeof groups[0])
                        bench_die("no such group", argv[i]);
                r.engine_name = argv[i + 1];
                r.engine = find_engine(r.engine_name);
                r.urls = (const char *const *)argv + i + 2;
                r.n_urls = (size_t)(argc - i - 2);
                groups[k].run(&r);
        } else {
                bench_die("usage", "see the head of main.c");
        }
        return 0;
}
