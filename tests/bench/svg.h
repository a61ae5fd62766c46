/* SPDX-License-Identifier: MIT */
#ifndef DAL_TESTS_BENCH_SVG_H
#define DAL_TESTS_BENCH_SVG_H

/* Small plots, written by hand. */

#include <stddef.h>
#include <stdio.h>

#define SVG_WIDTH  680
#define SVG_HEIGHT 400

/* A white sheet with a title. */
FILE *svg_begin(const char *path, const char *title);
/* The i-th entry of the row under the title. */
void svg_legend(FILE *f, size_t i, const char *colour, const char *name);
void svg_end(FILE *f, const char *path);

typedef struct svg_line {
        const char *name;
        double y[8]; /* 0: no point there */
} svg_line;

/* Lines over points that stand at even distances; y is logarithmic. */
void svg_lines(const char *path, const char *title, const char *x_name, const double *x, size_t n_x,
               const svg_line *lines, size_t n_lines);

#endif
