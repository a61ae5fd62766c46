/* SPDX-License-Identifier: MIT */
#ifndef SHOP_DATABASES_H
#define SHOP_DATABASES_H

/*
 * The databases the shards live in: which they are, making those that are not there, and emptying those that
 * an earlier run of the shop left. All are looked at before any is touched.
 */

#include <stdbool.h>
#include <stddef.h>

#include <dal/dal.h>

struct database {
        const dal_dsn *given; /* the --url it comes from */
        dal_dsn *dsn;         /* the shard's own, with password */
        char *url;            /* the same as text, password included: never print it */
        const dal_driver *driver;
        char name[256]; /* shop_2; the file for SQLite */
        bool is_missing, was_made, is_ours;
        char tables[4096]; /* of an earlier run, as a list for DROP TABLE */
        char engine[16], version[64];
};

struct databases {
        dal_dsn **given; /* the --url */
        size_t n_given;
        struct database *shards;
        size_t n_shards;
};

/** Works out the shards' databases from the URLs. Errors are one line with the remedy. */
bool databases_plan(struct databases *databases, const char *const *urls, size_t n_urls, size_t n_shards,
                    char *error, size_t size);

/** Makes what is missing and empties what is ours; refuses, having changed nothing, what is neither. */
bool databases_prepare(struct databases *databases, char *error, size_t size);

/**
 * Applies the schema scripts of the shop's areas; the first makes the table that marks a database as the
 * shop's.
 */
bool databases_install(struct databases *databases, const char *schema_dir, const char *source, char *error,
                       size_t size);
/** Writes down that the books of this run are complete. */
bool databases_complete(struct databases *databases, char *error, size_t size);

/** Returns "sqlite", "postgresql", "mysql", "mariadb", or "mixed". */
const char *databases_engine(const struct databases *databases);

void databases_fini(struct databases *databases);

#endif
