/* SPDX-License-Identifier: MIT */
#ifndef SHOP_CSV_H
#define SHOP_CSV_H

/*
 * A strict reader of CSV by RFC 4180: fields are separated by commas, records end in LF or CRLF, a field that
 * holds a comma, a quote or a line end stands in quotes, with its own quotes doubled. Anything else is an
 * error with its place; nothing is guessed.
 *
 *      struct csv csv;
 *      csv_init(&csv, text, size);
 *      while ((found = csv_next(&csv, &record, &error)) == CSV_RECORD)
 *              use(record.field[0]);
 */

#include <stdbool.h>
#include <stddef.h>

#define CSV_MAX_FIELDS 32
#define CSV_MAX_RECORD 65536 /* bytes; also stops a forgotten quote from swallowing the file */

enum csv_found {
        CSV_RECORD,
        CSV_END,
        CSV_BAD
};

struct csv {
        const char *at, *end;
        size_t line;       /* of `at`, from 1 */
        bool windows_1252; /* the text isn't UTF-8: read it as Windows-1252, the superset of Latin-1 */
        char *storage;     /* the current record's fields, in UTF-8 */
        size_t used;
};

struct csv_record {
        size_t line; /* its first line */
        size_t n_fields;
        const char *field[CSV_MAX_FIELDS]; /* NUL-terminated UTF-8; borrowed until the next record */
        const char *raw;                   /* as it stands in the file, its line end included */
        size_t raw_size;
};

struct csv_error {
        size_t line, column; /* column: the field's number, from 1 */
        const char *reason;  /* static */
};

/** Starts on a whole file in memory, which must outlive the reader. False when memory is short. */
bool csv_init(struct csv *csv, const char *text, size_t size);
void csv_fini(struct csv *csv);

/**
 * Reads the next record. After CSV_BAD, `record` has the line it began on as `raw`, and the reader stands
 * after that one line, so that a caller who sets bad lines aside can go on.
 */
enum csv_found csv_next(struct csv *csv, struct csv_record *record, struct csv_error *error);

#endif
