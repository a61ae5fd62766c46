/* SPDX-License-Identifier: MIT */
#ifndef SHOP_GENERATOR_H
#define SHOP_GENERATOR_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/**
 * Writes a ledger of `n_orders` invoices as CSV, the same one for the same seed: customers and guests,
 * repeated lines, cancellations, corrections of stock, free lines, blank and quoted descriptions.
 */
void generator_write(FILE *out, int64_t n_orders, uint64_t seed);

#endif
