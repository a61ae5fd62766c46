/* SPDX-License-Identifier: MIT */
#ifndef DAL_POSTGRES_COPY_H
#define DAL_POSTGRES_COPY_H

#include "postgres_impl.h"

/*
 * COPY: copy.c talks to the server, copy_values.c writes the rows.
 *
 * The two forms of COPY are stricter and laxer than INSERT with parameters: nothing is cast. So a value goes by COPY
 * only where its type and the column's agree, and text in text form everywhere, as it is read there by the same
 * function as an INSERT's; everything else is left to INSERT.
 */

typedef enum dal__postgres_form {
        PG_FORM_BINARY,
        PG_FORM_TEXT,
        PG_FORM_NONE /* INSERT must do it */
} dal__postgres_form;

/* The form that one value can take in a column of a type. */
dal__postgres_form dal__postgres_copy_form(const dal_value *value, Oid type);

#define PG_COPY_FIXED 32u /* bytes at most of what copy_values.c writes for a value that is no span */

/* Bytes at most of a value in binary with its length, apart from those of a text or byte string. */
size_t dal__postgres_copy_room(const dal_value *value, Oid type);
/*
 * Writes length and bytes of a value whose form is binary; returns the end. The bytes of a text or byte string are left
 * out: they follow as they are.
 */
char *dal__postgres_copy_binary(char *out, const dal_value *value, Oid type);
/* Says whether the bytes of a value follow as they are. */
bool dal__postgres_copy_has_tail(const dal_value *value, Oid type);
/* Writes at most `n` bytes of text so that they can't be taken for anything else; returns the end: 2 * n bytes at most. */
char *dal__postgres_copy_escape(char *out, const char *text, size_t n);

/* Says whether a decimal fits the server's numeric; writes it, unless `out` is NULL, and returns its size, 0 if not. */
size_t dal__postgres_copy_numeric(char *out, const char *text, size_t size);

#endif
