/* SPDX-License-Identifier: MIT */
#ifndef SHOP_REPORT_H
#define SHOP_REPORT_H

/* What the user sees: the progress bar, the summary, and the JSON object. */

#include "books.h"
#include "databases.h"
#include "options.h"

/** How fast the orders were entered; measured by the order service. */
struct speed {
        int64_t n_orders, elapsed_us, n_retries, p50_us, p99_us;
};

/**
 * Shows how far a piece of work is, on standard error: a bar that is redrawn on a terminal, and elsewhere one
 * line for each tenth. `total` 0 shows the label only.
 */
void report_progress(const char *label, int64_t done, int64_t total);
/** Ends the bar, before other output. */
void report_progress_end(void);

void report_summary(const struct options *options, const struct ledger *ledger,
                    const struct databases *databases, const struct books *books, const struct speed *speed);
void report_json(const struct options *options, const struct ledger *ledger,
                 const struct databases *databases, const struct books *books, const struct speed *speed);

#endif
