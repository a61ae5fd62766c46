/* SPDX-License-Identifier: MIT */
#ifndef DAL_SCHEMA_SCRIPT_H
#define DAL_SCHEMA_SCRIPT_H

/* Script files: found, read, checked and cut, before any database is touched. */

#include <dal/driver.h>

#include "schema/splitter.h"

#define DAL__SCRIPT_HASH_SIZE 65 /* SHA-256 as hex, and a NUL */

typedef struct dal__script {
        char version[17];
        char name[129];
        char *path;
        char *text; /* line ends are LF */
        size_t size;
        char sha256[DAL__SCRIPT_HASH_SIZE]; /* of the text */
        bool tx_off;                        /* its head says so */
        dal__splitter_stmt *statements;     /* into the text */
        uint32_t n_statements;
} dal__script;

typedef struct dal__script_list {
        dal__script *scripts; /* by version, ascending */
        uint32_t n_scripts;
} dal__script_list;

/*
 * Loads the scripts of an area for a dialect. Errors, ARG: a bad area or file name, two files of one version, a
 * script that can't be cut or holds what a script must not; NOT_FOUND: no folder. The message names the file.
 */
dal_status dal__script_load(const char *dir, const char *area, dal_dialect dialect, uint32_t syntax,
                            dal__script_list *out, dal_error *err);
void dal__script_free(dal__script_list *list);
/* Orders versions as numbers of any length: 0009 before 0010 before 20261121. */
int dal__script_compare_versions(const char *a, const char *b);
/* Hashes the first `n` statements: what a resumed script must still begin with. */
dal_status dal__script_prefix_hash(const dal__script *script, uint32_t n, char out[DAL__SCRIPT_HASH_SIZE],
                                   dal_error *err);

#endif
