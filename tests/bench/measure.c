/* SPDX-License-Identifier: MIT */
#include "bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static int compare_doubles(const void *a, const void *b)
{
        double x = *(const double *)a, y = *(const double *)b;

        return (x > y) - (x < y);
}

static double median(const double *values, int n)
{
        double sorted[BENCH_MAX_ROUNDS];

        memcpy(sorted, values, (size_t)n * sizeof sorted[0]);
        qsort(sorted, (size_t)n, sizeof sorted[0], compare_doubles);
        return n % 2 ? sorted[n / 2] : (sorted[n / 2 - 1] + sorted[n / 2]) / 2;
}

static int64_t now_ns(bool cpu_time)
{
        struct timespec now;

        (void)clock_gettime(cpu_time ? CLOCK_PROCESS_CPUTIME_ID : CLOCK_MONOTONIC, &now);
        return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static double run_once(const bench_group *group, size_t i_column, void *session, long n)
{
        const bench_column *column = &group->columns[i_column];
        int64_t from, to;

        if (group->before)
                group->before(group->arg);
        from = now_ns(group->cpu_time);
        column->side->work[column->task](session, n, column->size);
        to = now_ns(group->cpu_time);
        if (group->after)
                group->after(group->arg, n);
        return (double)(to - from) / (double)n;
}

void bench_measure(const bench_group *group, const char *const *urls, size_t n_urls, bench_result *result)
{
        double ns[BENCH_MAX_COLUMNS][BENCH_MAX_ROUNDS], ratio[BENCH_MAX_COLUMNS][BENCH_MAX_ROUNDS];
        void *sessions[BENCH_MAX_COLUMNS] = {NULL};
        size_t n = group->n_columns;

        memset(result, 0, sizeof *result);
        for (size_t i = 0; i < n; i++) {
                const bench_column *column = &group->columns[i];

                if (!column->side->work[column->task])
                        continue;
                sessions[i] = column->side->open(urls, n_urls, column->size);
                (void)run_once(group, i, sessions[i], group->n);
        }
        for (int round = 0; round < group->rounds; round++) {
                /* Whoever goes first meets what the others left; so each goes first in its turn. */
                for (size_t k = 0; k < n; k++) {
                        size_t i = (k + (size_t)round) % n;

                        if (sessions[i])
                                ns[i][round] = run_once(group, i, sessions[i], group->n);
                }
                for (size_t i = 0; i < n; i++)
                        ratio[i][round] = sessions[i] ? ns[i][round] / ns[0][round] : 0;
        }
        for (size_t i = 0; i < n; i++) {
                if (!sessions[i])
                        continue;
                result->ns[i] = median(ns[i], group->rounds);
                result->ratio[i] = median(ratio[i], group->rounds);
                group->columns[i].side->close(sessions[i]);
        }
}

double bench_peak_mib(void)
{
        FILE *f = fopen("/proc/self/status", "r");
        char text[128];
        long kib = 0;

        while (f && fgets(text, sizeof text, f))
                if (sscanf(text, "VmHWM: %ld", &kib) == 1)
                        break;
        if (f)
                (void)fclose(f);
        return (double)kib / 1024;
}

/* ---- what is shown ---- */

void bench_print(const bench_out *out, const char *group, const char *column, double value, const char *unit,
                 double target, const char *note)
{
        char wanted[32] = "null";

        if (target > 0)
                snprintf(wanted, sizeof wanted, "%g", target);
        if (out->json)
                printf("{\"group\":\"%s\",\"column\":\"%s\",\"value\":%.4g,\"unit\":\"%s\",\"target\":%s}\n",
                       group, column, value, unit, wanted);
        else
                printf("%-13s %-26s %9.4g %-12s %-14s %s\n", group, column, value, unit,
                       target <= 0       ? "-"
                       : value <= target ? strcat(wanted, " met")
                                         : strcat(wanted, " MISSED"),
                       note ? note : "");
        (void)fflush(stdout);
}

void bench_print_group(const bench_out *out, const bench_group *group, const bench_result *result)
{
        for (size_t i = 0; i < group->n_columns; i++) {
                const bench_column *column = &group->columns[i];
                char note[64];

                if (result->ns[i] <= 0) {
                        fprintf(stderr, "bench: %s has no column '%s' here: the client library can't\n",
                                group->name, column->name);
                        continue;
                }
                snprintf(note, sizeof note, "%.4g %s", result->ns[i] / group->base_scale, group->base_unit);
                bench_print(out, group->name, column->name, result->ratio[i], group->unit, column->target,
                            note);
        }
}
