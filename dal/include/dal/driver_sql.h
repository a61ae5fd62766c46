/* SPDX-License-Identifier: MIT */
#ifndef DAL_DRIVER_SQL_H
#define DAL_DRIVER_SQL_H

/*
 * The part of the driver contract that is about SQL text: what a driver tells of its engine's grammar, and what the
 * library's lexer finds for a driver that writes into a statement. A part of driver.h, which includes it.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <dal/macros.h>

DAL_BEGIN_DECLS

/* How `?` is written for this engine. */
typedef enum dal_placeholder {
        DAL_PLACEHOLDER_QUESTION, /* ? */
        DAL_PLACEHOLDER_DOLLAR    /* $1, $2 ... */
} dal_placeholder;

/* What the engine's SQL grammar has; tells the lexer where a `?` or `;` is not one. */
#define DAL_SQL_BACKSLASH_ESCAPES 0x01u /* '\'' is one quote inside a string (MySQL) */
#define DAL_SQL_DOLLAR_QUOTES     0x02u /* $tag$...$tag$ (PostgreSQL) */
#define DAL_SQL_NESTED_COMMENTS   0x04u /* PostgreSQL */
#define DAL_SQL_HASH_COMMENTS     0x08u /* # to end of line (MySQL) */
#define DAL_SQL_BACKTICKS         0x10u /* `name` (MySQL, SQLite) */
#define DAL_SQL_BRACKETS          0x20u /* [name] (SQLite) */
#define DAL_SQL_E_STRINGS         0x40u /* E'\'' (PostgreSQL) */
#define DAL_SQL_DASH_NEEDS_SPACE  0x80u /* -- starts a comment only before white space (MySQL) */

/**
 * Finds the placeholders in a text that the core has rewritten to `?`, for a driver that puts the values in there.
 *
 * `sql_syntax` is DAL_SQL_*, as the session's settings have it now. Positions of the first `room` are written.
 *
 * @return how many there are in all. Threads: any. Blocks: no.
 */
size_t dal_driver_find_placeholders(uint32_t sql_syntax, const char *text, size_t size, size_t *positions_out,
                                    size_t room);

/** The one row of an INSERT ... VALUES (...), where further rows can be put in behind it. Counts are of placeholders. */
typedef struct dal_driver_values {
        size_t begin;      /* of its opening bracket in the text */
        size_t end;        /* behind its closing bracket; a further row is written here with a comma in front */
        uint32_t n_params; /* inside it; there are none in front of it */
        uint32_t n_behind; /* behind it, as in ON CONFLICT ... SET x = ? */
        bool is_plain;     /* a bare INSERT INTO or REPLACE INTO, not INSERT IGNORE, of nothing but placeholders,
                              literals and names: the value of a call, subquery or variable could depend on the row before */
        bool has_tail;     /* something stands behind it: ON CONFLICT, ON DUPLICATE KEY, RETURNING */
        bool returns_rows; /* by RETURNING */
} dal_driver_values;

/**
 * Finds the row of an INSERT or REPLACE that has exactly one, for whoever makes of several such statements one.
 *
 * The text is as the core rewrites it for a driver with that kind of placeholder. What is run as one statement
 * differs from several in this: it takes effect as a whole or not at all, gives the first of the generated ids, and
 * where it has a tail the engine may refuse two rows with the same key.
 *
 * @return false where it is no such statement or is not surely one. Threads: any. Blocks: no.
 */
bool dal_driver_find_values(dal_placeholder placeholder, uint32_t sql_syntax, const char *text, size_t size,
                            dal_driver_values *out);

DAL_END_DECLS

#endif
