/* SPDX-License-Identifier: MIT */
/*
 * bench_overload [--json] [SVG]: what is left of a pool's work when more is asked of it than it can do.
 *
 * Callers with 100 ms each want 20 ms of work from a pool of 8 connections, on the fake server, whose work takes time
 * but no processor. Each makes a call every 100 ms, or as soon as its last one ended: at 0.5 to 8 times what the pool
 * can do. A good call is one that was answered in time.
 */
#include "bench.h"
#include "svg.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <dal/drivers/fake.h>

#define POOL_SIZE   8
#define SERVICE_MS  20
#define DEADLINE_MS 100
#define CAPACITY    (POOL_SIZE * 1000 / SERVICE_MS) /* calls a second */
#define WARM_UP_MS  400
#define MEASURED_MS 800
#define MAX_CALLERS (8 * CAPACITY * DEADLINE_MS / 1000)
#define MAX_SERVED  (2 * CAPACITY * MEASURED_MS / 1000)
#define NS_PER_MS   INT64_C(1000000)
#define N_LOADS     5

enum {
        GOOD,
        LATE,
        REFUSED,
        TIMED_OUT,
        N_ENDS
};

static const char *const end_names[] = {"good", "late", "refused", "timed out"};
static const char *const end_colours[] = {"#2a7f3f", "#c8452f", "#9aa5b1", "#e0a030"};
static const double loads[N_LOADS] = {0.5, 1, 2, 4, 8};
static const dal_stmt work = DAL_STMT("bench.work", "SELECT work");

typedef struct trial {
        dal_pool *pool;
        int64_t measured_from, ends_at;
        pthread_mutex_t lock; /* over what follows */
        uint32_t n_ends[N_ENDS];
        int64_t took[MAX_SERVED]; /* of the good ones, from the call to the answer */
        int64_t longest_refusal;
} trial;

typedef struct caller {
        trial *scene;
        int64_t first_at;
        pthread_t thread;
} caller;

typedef struct figures {
        double per_second[N_ENDS];
        double p50_ms, p99_ms, longest_refusal_ms;
} figures;

static void do_work(void *arg, dal_fake_call *call)
{
        (void)arg;
        (void)dal_fake_call_sleep(call, SERVICE_MS);
}

static void sleep_until(int64_t at)
{
        struct timespec until = {(time_t)(at / 1000000000), (long)(at % 1000000000)};

        while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) != 0)
                continue;
}

static int call_once(dal_pool *pool, dal_deadline deadline)
{
        dal_error err = DAL_ERROR_INIT;
        dal_conn *conn;
        dal_status s = dal_pool_acquire(pool, false, deadline, &conn, &err);

        if (s == DAL_ERR_EXHAUSTED || s == DAL_ERR_TIMEOUT)
                return dal_clock_passed(deadline) ? TIMED_OUT : REFUSED;
        bench_check_status(s, &err);
        s = dal_conn_exec(conn, &work, DAL_NO_PARAMS, deadline, NULL, &err);
        dal_pool_release(pool, conn);
        if (s != DAL_OK && err.error_class != DAL_CLASS_DEADLINE)
                bench_check_status(s, &err);
        return s == DAL_OK && !dal_clock_passed(deadline) ? GOOD : LATE;
}

static void *call_often(void *arg)
{
        const caller *self = arg;
        trial *scene = self->scene;
        int64_t start = self->first_at;

        for (; start < scene->ends_at; start += DEADLINE_MS * NS_PER_MS) {
                int64_t now;
                int end;

                sleep_until(start);
                now = dal_clock_now();
                if (now > start)
                        start = now;
                end = call_once(scene->pool, start + DEADLINE_MS * NS_PER_MS);
                now = dal_clock_now();
                if (now < scene->measured_from || now >= scene->ends_at)
                        continue;
                (void)pthread_mutex_lock(&scene->lock);
                if (end == GOOD && scene->n_ends[GOOD] < MAX_SERVED)
                        scene->took[scene->n_ends[GOOD]] = now - start;
                if (end == REFUSED && now - start > scene->longest_refusal)
                        scene->longest_refusal = now - start;
                scene->n_ends[end]++;
                (void)pthread_mutex_unlock(&scene->lock);
        }
        return NULL;
}

static int compare_times(const void *a, const void *b)
{
        int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

        return (x > y) - (x < y);
}

static figures sum_up(trial *scene)
{
        size_t n = scene->n_ends[GOOD] < MAX_SERVED ? scene->n_ends[GOOD] : MAX_SERVED;
        figures outcome;

        qsort(scene->took, n, sizeof scene->took[0], compare_times);
        for (int i = 0; i < N_ENDS; i++)
                outcome.per_second[i] = scene->n_ends[i] * 1000.0 / MEASURED_MS;
        outcome.p50_ms = n ? (double)scene->took[n / 2] / NS_PER_MS : 0;
        outcome.p99_ms = n ? (double)scene->took[n * 99 / 100] / NS_PER_MS : 0;
        outcome.longest_refusal_ms = (double)scene->longest_refusal / NS_PER_MS;
        return outcome;
}

static figures run_load(dal_pool *pool, double load)
{
        static caller callers[MAX_CALLERS];
        static trial scene;
        uint32_t n = (uint32_t)(load * CAPACITY * DEADLINE_MS / 1000);
        int64_t now = dal_clock_now();

        memset(&scene, 0, sizeof scene);
        scene.pool = pool;
        scene.measured_from = now + WARM_UP_MS * NS_PER_MS;
        scene.ends_at = scene.measured_from + MEASURED_MS * NS_PER_MS;
        (void)pthread_mutex_init(&scene.lock, NULL);
        for (uint32_t i = 0; i < n; i++) {
                callers[i].scene = &scene;
                callers[i].first_at = now + (int64_t)i * DEADLINE_MS * NS_PER_MS / n;
                if (pthread_create(&callers[i].thread, NULL, call_often, &callers[i]) != 0)
                        bench_die("pthread_create", NULL);
        }
        for (uint32_t i = 0; i < n; i++)
                (void)pthread_join(callers[i].thread, NULL);
        (void)pthread_mutex_destroy(&scene.lock);
        return sum_up(&scene);
}

/* ---- what is shown ---- */

static void print(bool json, double load, const figures *o)
{
        if (json) {
                printf("{\"group\":\"overload\",\"load\":%g,\"capacity\":%d,\"goodput\":%.0f,\"refused\":%."
                       "0f,"
                       "\"timed_out\":%.0f,\"late\":%.0f,\"p50_ms\":%.1f,\"p99_ms\":%.1f,"
                       "\"longest_refusal_ms\":%.2f}\n",
                       load, CAPACITY, o->per_second[GOOD], o->per_second[REFUSED], o->per_second[TIMED_OUT],
                       o->per_second[LATE], o->p50_ms, o->p99_ms, o->longest_refusal_ms);
                return;
        }
        printf("overload %3g x: goodput %3.0f/s of %d/s, refused %4.0f/s (in %.1f ms at most), timed out "
               "%4.0f/s, late %3.0f/s; served: p50 %.0f ms, p99 %.0f ms\n",
               load, o->per_second[GOOD], CAPACITY, o->per_second[REFUSED], o->longest_refusal_ms,
               o->per_second[TIMED_OUT], o->per_second[LATE], o->p50_ms, o->p99_ms);
}

/* One group of bars for each load: how its calls ended, in calls a second. */
static void draw(const char *path, const figures outcomes[N_LOADS])
{
        double scale = 280.0 / (8 * CAPACITY);
        char title[128];
        FILE *f;

        snprintf(title, sizeof title,
                 "Calls a second by how they ended: pool of %d, %d ms of work, %d ms of time", POOL_SIZE,
                 SERVICE_MS, DEADLINE_MS);
        f = svg_begin(path, title);
        for (size_t i = 0; i < N_ENDS; i++)
                svg_legend(f, i, end_colours[i], end_names[i]);
        for (int i = 0; i < N_LOADS; i++) {
                int x = 50 + i * 120;

                for (int k = 0; k < N_ENDS; k++) {
                        double h = outcomes[i].per_second[k] * scale;

                        fprintf(f,
                                "<rect x=\"%d\" y=\"%.1f\" width=\"20\" height=\"%.1f\" fill=\"%s\"/>"
                                "<text x=\"%d\" y=\"%.1f\" font-size=\"9\">%.0f</text>\n",
                                x + k * 23, 345 - h, h, end_colours[k], x + k * 23, 342 - h,
                                outcomes[i].per_second[k]);
                }
                fprintf(f, "<text x=\"%d\" y=\"363\">%g x, p99 %.0f ms</text>\n", x, loads[i],
                        outcomes[i].p99_ms);
        }
        fprintf(f,
                "<path d=\"M40 345H650M40 %.1fH650\" stroke=\"#555\" stroke-dasharray=\"4 3\"/>"
                "<text x=\"590\" y=\"%.1f\">capacity</text>\n",
                345 - CAPACITY * scale, 341 - CAPACITY * scale);
        svg_end(f, path);
}

int main(int argc, char **argv)
{
        bool json = argc > 1 && strcmp(argv[1], "--json") == 0;
        dal_pool_options options = DAL_POOL_OPTIONS_INIT;
        dal_fake_server *server = dal_fake_new();
        figures outcomes[N_LOADS];
        dal_error err = DAL_ERROR_INIT;
        char url[DAL_FAKE_URL_SIZE];
        dal_pool *pool;
        dal_dsn *dsn;

        if (!server || !dal_fake_on(server, work.name, do_work, NULL))
                bench_die("bench_overload", "no memory");
        dal_fake_url(server, url);
        options.name = "overload";
        options.max_size = POOL_SIZE;
        bench_check_status(dal_dsn_parse(url, &dsn, &err), &err);
        bench_check_status(dal_pool_new(dal_driver_fake(), dsn, &options, &pool, &err), &err);
        for (int i = 0; i < N_LOADS; i++) {
                outcomes[i] = run_load(pool, loads[i]);
                print(json, loads[i], &outcomes[i]);
        }
        if (argc > 1 + json)
                draw(argv[1 + json], outcomes);
        dal_pool_close(pool);
        bench_check_status(dal_pool_drain(pool, dal_clock_after_ms(5000), &err), &err);
        bench_check_status(dal_pool_free(pool, &err), &err);
        dal_dsn_free(dsn);
        dal_fake_free(server);
        return 0;
}
