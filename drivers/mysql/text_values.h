/* SPDX-License-Identifier: MIT */
#ifndef DAL_MYSQL_TEXT_VALUES_H
#define DAL_MYSQL_TEXT_VALUES_H

/* Values as text: literals on the way to the server, cells on the way back. Pure: needs no client library. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <dal/value.h>

/* What stands around a literal so that it doesn't grow together with its neighbours. */
#define DAL__MYSQL_LITERAL_MARGIN 2u

/** The most bytes that a value's literal can take, margins included. */
uint64_t dal__mysql_text_room(const dal_value *value);
/**
 * Writes a statement with literals in place of its placeholders; `marks` are their positions, one for each value.
 *
 * The values passed dal__mysql_params_check(). No byte of a value can end its literal, whatever the session's SQL mode
 * and character set are: text and bytes are hexadecimal digits, and no literal holds a backslash.
 *
 * @return the bytes written; `out` has room for the text and for what dal__mysql_text_room() says of each value.
 */
size_t dal__mysql_text_write(char *out, const char *text, size_t size, const size_t *marks,
                             const dal_params *params);

/** These read a whole cell; false if it is not what it should be. No locale plays a part. */
bool dal__mysql_text_int64(const char *text, size_t size, int64_t *out);
bool dal__mysql_text_uint64(const char *text, size_t size, uint64_t *out);
/** `narrow`: of a FLOAT column, whose value is rounded to a float as the server holds it. */
bool dal__mysql_text_double(const char *text, size_t size, bool narrow, double *out);
/** "2026-11-21" or "2026-11-21 10:00:00[.123456]"; month and day may be zero, which the caller refuses. */
bool dal__mysql_text_civil(const char *text, size_t size, dal_civil *out);

#endif
