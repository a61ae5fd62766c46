/* SPDX-License-Identifier: MIT */
#ifndef SHOP_RUN_H
#define SHOP_RUN_H

#include "databases.h"
#include "ledger.h"
#include "options.h"
#include "report.h"

/** Where the programs and scripts are; set by the build. */
struct places {
        const char *services_dir, *dalctl, *schema_dir;
};

/**
 * Does the work: makes the cluster, starts the four services, feeds them, and checks their books.
 *
 * @param books  by shard, filled; @param speed  filled
 */
bool run_shop(const struct options *options, const struct places *places, struct ledger *ledger,
              struct databases *databases, const char *source, struct books *books, struct speed *speed,
              char *error, size_t size);

#endif
