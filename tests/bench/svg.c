/* SPDX-License-Identifier: MIT */
#include "svg.h"
#include "bench.h"

#include <math.h>

#define LEFT   60.0
#define RIGHT  650.0
#define TOP    65.0
#define BOTTOM 345.0

static const char *const colours[] = {"#555555", "#c8452f", "#e0a030", "#2a7f3f", "#2f6fc8", "#7f3f9f"};

FILE *svg_begin(const char *path, const char *title)
{
        FILE *f = fopen(path, "w");

        if (!f)
                bench_die(path, "can't be written");
        fprintf(f,
                "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" "
                "font-family=\"sans-serif\" "
                "font-size=\"12\">\n<rect width=\"%d\" height=\"%d\" fill=\"white\"/>\n"
                "<text x=\"40\" y=\"24\" font-size=\"14\">%s</text>\n",
                SVG_WIDTH, SVG_HEIGHT, SVG_WIDTH, SVG_HEIGHT, title);
        return f;
}

void svg_legend(FILE *f, size_t i, const char *colour, const char *name)
{
        size_t x = 40 + i * 150;

        fprintf(f,
                "<rect x=\"%zu\" y=\"38\" width=\"10\" height=\"10\" fill=\"%s\"/><text x=\"%zu\" "
                "y=\"47\">%s</text>\n",
                x, colour, x + 15, name);
}

void svg_end(FILE *f, const char *path)
{
        fprintf(f, "</svg>\n");
        if (fclose(f) != 0)
                bench_die(path, "can't be written");
}

typedef struct scale {
        double low, high; /* logarithms */
} scale;

static scale find_scale(const svg_line *lines, size_t n_lines, size_t n_x)
{
        scale s = {(double)INFINITY, -(double)INFINITY};

        for (size_t i = 0; i < n_lines; i++)
                for (size_t k = 0; k < n_x; k++)
                        if (lines[i].y[k] > 0) {
                                s.low = fmin(s.low, log10(lines[i].y[k]));
                                s.high = fmax(s.high, log10(lines[i].y[k]));
                        }
        if (s.low > s.high)
                s.low = s.high = 0;
        s.low -= 0.1;
        s.high += 0.1;
        return s;
}

static double place(scale s, double y)
{
        return BOTTOM - (log10(y) - s.low) / (s.high - s.low) * (BOTTOM - TOP);
}

/* 1, 2 and 5 of each power of ten. */
static void draw_grid(FILE *f, scale s)
{
        static const double steps[] = {1, 2, 5};

        for (int power = (int)floor(s.low); power <= (int)ceil(s.high); power++)
                for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
                        double y = steps[i] * pow(10, power);

                        if (log10(y) < s.low || log10(y) > s.high)
                                continue;
                        fprintf(f,
                                "<path d=\"M%.0f %.1fH%.0f\" stroke=\"#ddd\"/><text x=\"%.0f\" y=\"%.1f\" "
                                "text-anchor=\"end\">%g</text>\n",
                                LEFT, place(s, y), RIGHT, LEFT - 6, place(s, y) + 4, y);
                }
}

void svg_lines(const char *path, const char *title, const char *x_name, const double *x, size_t n_x,
               const svg_line *lines, size_t n_lines)
{
        double step = (RIGHT - LEFT - 40) / (double)(n_x > 1 ? n_x - 1 : 1);
        scale s = find_scale(lines, n_lines, n_x);
        FILE *f = svg_begin(path, title);

        draw_grid(f, s);
        for (size_t k = 0; k < n_x; k++)
                fprintf(f, "<text x=\"%.1f\" y=\"363\" text-anchor=\"middle\">%g</text>\n",
                        LEFT + 20 + (double)k * step, x[k]);
        fprintf(f, "<text x=\"%.0f\" y=\"385\" text-anchor=\"middle\">%s</text>\n", (LEFT + RIGHT) / 2,
                x_name);
        for (size_t i = 0; i < n_lines; i++) {
                const char *colour = colours[i % (sizeof colours / sizeof colours[0])];
                char command = 'M';

                svg_legend(f, i, colour, lines[i].name);
                fprintf(f, "<path fill=\"none\" stroke=\"%s\" stroke-width=\"2\" d=\"", colour);
                for (size_t k = 0; k < n_x; k++) {
                        if (lines[i].y[k] <= 0)
                                continue;
                        fprintf(f, "%c%.1f %.1f", command, LEFT + 20 + (double)k * step,
                                place(s, lines[i].y[k]));
                        command = 'L';
                }
                /* A path without a point is an error in some viewers. */
                fprintf(f, "%s\"/>\n", command == 'M' ? "M0 0" : "");
        }
        svg_end(f, path);
}
