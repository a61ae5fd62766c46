/* SPDX-License-Identifier: MIT */
#include "wire.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

void wire_split(char *line, struct wire_record *record)
{
        char *to = line;

        record->n_fields = 1;
        record->field[0] = line;
        for (const char *p = line; *p != '\0' && *p != '\n'; p++) {
                if (*p == '\t') {
                        *to++ = '\0';
                        if (record->n_fields == WIRE_MAX_FIELDS)
                                return;
                        record->field[record->n_fields++] = to;
                } else if (*p == '\\' && p[1] != '\0') {
                        p++;
                        *to++ = *p == 't' ? '\t' : *p == 'n' ? '\n' : *p;
                } else {
                        *to++ = *p;
                }
        }
        *to = '\0';
}

bool wire_read(FILE *in, struct wire_record *record)
{
        ssize_t n = getline(&record->line, &record->line_size, in);

        /* A line without its end was cut off when the sender died. */
        if (n <= 0 || record->line[n - 1] != '\n')
                return false;
        wire_split(record->line, record);
        return true;
}

void wire_fini(struct wire_record *record)
{
        free(record->line);
        record->line = NULL;
}

bool wire_is(const struct wire_record *record, const char *name, size_t n_fields)
{
        return record->n_fields == n_fields && strcmp(record->field[0], name) == 0;
}

int64_t wire_number(const struct wire_record *record, size_t i_field)
{
        return strtoll(record->field[i_field], NULL, 10);
}

static void write_text(FILE *out, const char *text)
{
        for (; *text != '\0'; text++) {
                if (*text == '\t')
                        fputs("\\t", out);
                else if (*text == '\n')
                        fputs("\\n", out);
                else if (*text == '\\')
                        fputs("\\\\", out);
                else
                        fputc(*text, out);
        }
}

void wire_write(FILE *out, const char *name, const char *types, ...)
{
        va_list args;

        flockfile(out); /* threads may write at the same time */
        fputs(name, out);
        va_start(args, types);
        for (; *types != '\0'; types++) {
                fputc('\t', out);
                if (*types == 's')
                        write_text(out, va_arg(args, const char *));
                else
                        fprintf(out, "%" PRId64, va_arg(args, int64_t));
        }
        va_end(args);
        fputc('\n', out);
        funlockfile(out);
}
