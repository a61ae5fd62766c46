/* SPDX-License-Identifier: MIT */
#ifndef DAL_SCHEMA_SPLITTER_H
#define DAL_SCHEMA_SPLITTER_H

#include <dal/driver.h>

/* One statement of a script, without its delimiter and surrounding space. */
typedef struct dal__splitter_stmt {
        const char *text; /* into the script */
        size_t size;
        uint32_t line; /* of its first byte, from 1 */
} dal__splitter_stmt;

typedef struct dal__splitter {
        const char *script;
        size_t size;
        size_t pos;
        uint32_t line;
        uint32_t syntax;    /* DAL_SQL_* */
        char delimiter[16]; /* ";" until a DELIMITER line says otherwise */
} dal__splitter;

void dal__splitter_init(dal__splitter *splitter, const char *script, size_t size, uint32_t syntax);
/* Gives the next statement; *found_out is false at the end. ARG: unterminated quote, COPY data, psql meta-command. */
dal_status dal__splitter_next(dal__splitter *splitter, dal__splitter_stmt *out, bool *found_out,
                              dal_error *err);

#endif
