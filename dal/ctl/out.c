/* SPDX-License-Identifier: MIT */
#include "ctl.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool out_has_colour;
static bool err_has_colour;

static bool wants_colour(int fd)
{
        const char *no_color = getenv("NO_COLOR"); /* https://no-color.org: set and not empty */
        const char *term = getenv("TERM");
        return isatty(fd) && !(no_color && no_color[0]) && !(term && strcmp(term, "dumb") == 0);
}

void ctl_out_init(void)
{
        out_has_colour = wants_colour(STDOUT_FILENO);
        err_has_colour = wants_colour(STDERR_FILENO);
}

static const char *code_of(const char *what)
{
        static const struct {
                const char *what, *code;
        } codes[] = {{"good", "\033[32m"}, {"warn", "\033[33m"}, {"bad", "\033[31m"},
                     {"dim", "\033[2m"},   {"bold", "\033[1m"},  {"off", "\033[0m"}};
        for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++)
                if (strcmp(codes[i].what, what) == 0)
                        return codes[i].code;
        return "";
}

const char *ctl_paint(const char *what)
{
        return out_has_colour ? code_of(what) : "";
}

static void say(const char *paint, const char *tag, const char *format, va_list args) DAL_PRINTF(3, 0);
static void say(const char *paint, const char *tag, const char *format, va_list args)
{
        (void)fflush(stdout);
        (void)fprintf(stderr, "%sdalctl: %s%s", err_has_colour ? code_of(paint) : "", tag,
                      err_has_colour ? code_of("off") : "");
        (void)vfprintf(stderr, format, args);
        (void)fputc('\n', stderr);
}

void ctl_complain(const char *format, ...)
{
        va_list args;
        va_start(args, format);
        say("bad", "", format, args);
        va_end(args);
}

void ctl_warn(const char *format, ...)
{
        va_list args;
        va_start(args, format);
        say("warn", "warning: ", format, args);
        va_end(args);
}

static void fail_memory(void)
{
        (void)fputs("dalctl: out of memory\n", stderr);
        exit(CTL_FAILED);
}

char *ctl_strdup(const char *text)
{
        char *copy = dal_mem_strdup(text ? text : "", text ? strlen(text) : 0);
        if (!copy)
                fail_memory();
        return copy;
}

void *ctl_resize(void *array, size_t n, size_t size)
{
        void *grown = dal_mem_resize(array, n, size);
        if (!grown)
                fail_memory();
        return grown;
}

/* ---- tables ------------------------------------------------------------------------------------------- */

typedef struct cell {
        char *text;
        const char *paint;
} cell;

struct ctl_table {
        size_t n_columns;
        cell *cells;
        size_t n_cells;
};

ctl_table *ctl_table_new(size_t n_columns)
{
        ctl_table *table = dal_mem_alloc(sizeof *table);
        if (!table)
                fail_memory();
        else
                table->n_columns = n_columns;
        return table;
}

void ctl_table_add(ctl_table *table, const char *text, const char *paint)
{
        table->cells = ctl_resize(table->cells, table->n_cells + 1, sizeof *table->cells);
        table->cells[table->n_cells].text = ctl_strdup(text);
        table->cells[table->n_cells++].paint = paint;
}

static size_t width_of(const ctl_table *table, size_t i_column)
{
        size_t width = 0;
        for (size_t i = i_column; i < table->n_cells; i += table->n_columns) {
                size_t n = strlen(table->cells[i].text);
                width = n > width ? n : width;
        }
        return width;
}

void ctl_table_print(const ctl_table *table)
{
        for (size_t i = 0; i < table->n_cells; i++) {
                const cell *c = &table->cells[i];
                size_t i_column = i % table->n_columns;
                bool is_last = i_column + 1 == table->n_columns;
                size_t pad = is_last ? 0 : width_of(table, i_column) - strlen(c->text) + 2;
                (void)printf("%s%s%s%*s%s", c->paint ? ctl_paint(c->paint) : "", c->text,
                             c->paint ? ctl_paint("off") : "", (int)pad, "", is_last ? "\n" : "");
        }
}

void ctl_table_free(ctl_table *table)
{
        if (!table)
                return;
        for (size_t i = 0; i < table->n_cells; i++)
                dal_mem_free(table->cells[i].text);
        dal_mem_free(table->cells);
        dal_mem_free(table);
}
