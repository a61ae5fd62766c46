/* SPDX-License-Identifier: MIT */
#ifndef DAL_TESTS_BENCH_GROUPS_H
#define DAL_TESTS_BENCH_GROUPS_H

#include "bench.h"
#include "svg.h"

typedef struct bench_run {
        bench_out out;
        bool quick;
        const char *svg_dir; /* NULL: no plots */
        bench_engine engine;
        const char *engine_name;
        const char *const *urls; /* the databases, and behind them the catalog */
        size_t n_urls;
} bench_run;

extern const bench_side *const bench_raw_sides[BENCH_N_ENGINES];

/* ---- main.c ---- */

/* One round if the run is a quick one. */
void bench_run_measure(const bench_run *r, bench_group *group, const char *const *urls, size_t n_urls,
                       bench_result *result);
/* Draws WHAT.svg if the run wants plots. */
void bench_run_draw(const bench_run *r, const char *what, const char *title, const char *x_name,
                    const double *x, size_t n_x, const svg_line *lines, size_t n_lines);

/* ---- engines.c: each group, see the head of tests/bench/run ---- */

void bench_run_w1(const bench_run *r);
void bench_run_w2(const bench_run *r);
void bench_run_w3(const bench_run *r);
void bench_run_w3d(const bench_run *r);
void bench_run_w4(const bench_run *r);
void bench_run_w7d(const bench_run *r);
void bench_run_trips(const bench_run *r);
void bench_run_batch(const bench_run *r);
void bench_run_delay(const bench_run *r);

#endif
