/* SPDX-License-Identifier: MIT */
#ifndef DAL_TESTS_DIFFER_SCRIPTS_H
#define DAL_TESTS_DIFFER_SCRIPTS_H

/* Scripts, as they are and with small changes, and what is the same statement: for tests that compare splitters. */

#include "fuzz.h"

#include "schema/splitter.h"

struct differ_script {
        char *text;
        size_t size;
};

/* What is taken, refused by this library, or read otherwise on purpose. */
struct differ {
        uint32_t syntax;    /* DAL_SQL_* */
        size_t max_changes; /* of one script */
        /* Whether the other side reads such a statement by the same rules. */
        bool (*is_comparable)(const dal__splitter *splitter, const dal__splitter_stmt *stmt);
        struct differ_script scripts[4000];
        size_t n_scripts, n_refused, n_apart;
};

/* Takes the script in a file, and changed ones: at each end of a word one mark fewer, or one more. */
void differ_read(struct differ *d, const char *path);
void differ_free(struct differ *d);
/* A request of semicolons and comments alone says nothing, and this library does not send it. */
bool differ_is_empty(const struct differ *d, const char *request, size_t size);
/* White space, comments around it and semicolons apart. */
bool differ_is_same(const struct differ *d, const char *request, const dal__splitter_stmt *stmt);

#endif
