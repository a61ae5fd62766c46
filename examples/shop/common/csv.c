/* SPDX-License-Identifier: MIT */
#include "csv.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <dal/value.h>

/* Source: https://www.unicode.org/Public/MAPPINGS/VENDORS/MICSFT/WINDOWS/CP1252.TXT, bytes 0x80 to 0x9f. */
static const uint16_t windows_1252[32] = {
        0x20ac, 0,      0x201a, 0x0192, 0x201e, 0x2026, 0x2020, 0x2021, 0x02c6, 0x2030, 0x0160,
        0x2039, 0x0152, 0,      0x017d, 0,      0,      0x2018, 0x2019, 0x201c, 0x201d, 0x2022,
        0x2013, 0x2014, 0x02dc, 0x2122, 0x0161, 0x203a, 0x0153, 0,      0x017e, 0x0178,
};

bool csv_init(struct csv *csv, const char *text, size_t size)
{
        memset(csv, 0, sizeof *csv);
        csv->at = text;
        csv->end = text + size;
        csv->line = 1;
        if (size >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
                csv->at += 3; /* the byte order mark that spreadsheets write */
        csv->windows_1252 = !dal_value_is_utf8(text, size);
        /* A byte of Windows-1252 takes up to three in UTF-8; each field ends in a NUL. */
        csv->storage = malloc((size_t)3 * CSV_MAX_RECORD + CSV_MAX_FIELDS);
        return csv->storage != NULL;
}

void csv_fini(struct csv *csv)
{
        free(csv->storage);
        csv->storage = NULL;
}

/* Appends one byte of a field; returns what is wrong with it, or NULL. */
static const char *put(struct csv *csv, unsigned char byte)
{
        unsigned code = byte;

        if (byte == 0)
                return "a NUL byte";
        if (byte < 0x80 || !csv->windows_1252) {
                csv->storage[csv->used++] = (char)byte;
                return NULL;
        }
        if (byte < 0xa0)
                code = windows_1252[byte - 0x80];
        if (code == 0)
                return "a byte that is neither UTF-8 nor Windows-1252";
        if (code >= 0x800) {
                csv->storage[csv->used++] = (char)(0xe0 | (code >> 12));
                csv->storage[csv->used++] = (char)(0x80 | ((code >> 6) & 0x3f));
        } else {
                csv->storage[csv->used++] = (char)(0xc0 | (code >> 6));
        }
        csv->storage[csv->used++] = (char)(0x80 | (code & 0x3f));
        return NULL;
}

static bool at_line_end(const struct csv *csv, const char *p)
{
        return p == csv->end || *p == '\n' || (*p == '\r' && p + 1 < csv->end && p[1] == '\n');
}

/* Reads one field from *at; leaves *at on the comma or line end behind it. Returns what is wrong, or NULL. */
static const char *read_field(struct csv *csv, const char **at, const char *limit, size_t *line)
{
        const char *p = *at, *wrong = NULL;
        bool quoted = p < csv->end && *p == '"';

        if (quoted)
                p++;
        for (; !wrong; p++) {
                if (p == limit && limit < csv->end)
                        return "the record is longer than 64 KiB: is a closing quote missing?";
                if (quoted) {
                        if (p == csv->end)
                                return "the quoted field has no closing quote";
                        if (*p == '"' && p + 1 < csv->end && p[1] == '"') {
                                p++;
                        } else if (*p == '"') {
                                p++;
                                if (!at_line_end(csv, p) && *p != ',')
                                        return "text after the closing quote; quotes inside a field must be "
                                               "doubled";
                                break;
                        } else if (*p == '\n') {
                                ++*line;
                        }
                } else if (at_line_end(csv, p) || *p == ',') {
                        break;
                } else if (*p == '"') {
                        return "a quote inside an unquoted field; quote the whole field and double its "
                               "quotes";
                } else if (*p == '\r') {
                        return "a carriage return inside an unquoted field";
                }
                wrong = put(csv, (unsigned char)*p);
        }
        *at = p;
        csv->storage[csv->used++] = '\0';
        return wrong;
}

/* Puts the reader after the one line that the bad record began on. */
static enum csv_found give_up(struct csv *csv, struct csv_record *record, struct csv_error *error,
                              const char *why)
{
        const char *newline = memchr(record->raw, '\n', (size_t)(csv->end - record->raw));

        error->reason = why;
        csv->at = newline ? newline + 1 : csv->end;
        csv->line = record->line + 1;
        record->raw_size = (size_t)(csv->at - record->raw);
        return CSV_BAD;
}

enum csv_found csv_next(struct csv *csv, struct csv_record *record, struct csv_error *error)
{
        const char *p = csv->at, *limit, *wrong;
        size_t line = csv->line;

        record->line = line;
        record->n_fields = 0;
        record->raw = p;
        csv->used = 0;
        if (p == csv->end)
                return CSV_END;
        limit = csv->end - p > CSV_MAX_RECORD ? p + CSV_MAX_RECORD : csv->end;
        for (;;) {
                error->line = line; /* where the field begins: its end may be far away */
                error->column = record->n_fields + 1;
                if (record->n_fields == CSV_MAX_FIELDS)
                        return give_up(csv, record, error, "too many fields");
                record->field[record->n_fields] = csv->storage + csv->used;
                wrong = read_field(csv, &p, limit, &line);
                if (wrong)
                        return give_up(csv, record, error, wrong);
                record->n_fields++;
                if (at_line_end(csv, p))
                        break;
                p++; /* the comma */
        }
        if (p < csv->end)
                p += *p == '\r' ? 2 : 1;
        csv->at = p;
        csv->line = line + 1;
        record->raw_size = (size_t)(p - record->raw);
        return CSV_RECORD;
}
