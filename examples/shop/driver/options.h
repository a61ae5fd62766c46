/* SPDX-License-Identifier: MIT */
#ifndef SHOP_OPTIONS_H
#define SHOP_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#define EXIT_USAGE    64
#define SHOP_MAX_URLS 64

struct options {
        const char *ledger; /* NULL = generate */
        const char *urls[SHOP_MAX_URLS];
        int64_t n_urls;
        int64_t n_shards, n_workers, n_orders, seed;
        const char *skip_bad;     /* file for bad lines */
        const char *dir;          /* for SQLite files, instead of a temporary one */
        const char *write_ledger; /* file for the generated ledger */
        bool json, keep, help;
        bool is_temporary; /* set later: the shards are files that are removed at the end */
};

/** Reads the command line; false after telling the user what is wrong. */
bool options_read(struct options *options, int argc, char **argv);
void options_help(void);

#endif
