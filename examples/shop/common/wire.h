/* SPDX-License-Identifier: MIT */
#ifndef SHOP_WIRE_H
#define SHOP_WIRE_H

/*
 * How the driver and the services talk: one record a line, fields separated by tabs, with \t, \n and \\
 * written for a tab, a line end and a backslash inside a field. The first field says what the record is.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define WIRE_MAX_FIELDS 16

struct wire_record {
        size_t n_fields;
        char *field[WIRE_MAX_FIELDS];
        char *line; /* owned: the storage of the fields */
        size_t line_size;
};

/** Reads a record; false at the end of the input. */
bool wire_read(FILE *in, struct wire_record *record);
/** Splits a line in place into fields; `record->line` is left alone. */
void wire_split(char *line, struct wire_record *record);
void wire_fini(struct wire_record *record);

/** Says whether this is a record `name` with so many fields, the name included. */
bool wire_is(const struct wire_record *record, const char *name, size_t n_fields);
/** Returns a field as a number; the sender is ours, so it is one. */
int64_t wire_number(const struct wire_record *record, size_t i_field);

/** Writes one record: the name, then a letter for each field: s = text, i = int64_t. */
void wire_write(FILE *out, const char *name, const char *types, ...);

#endif
