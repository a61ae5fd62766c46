/* SPDX-License-Identifier: MIT */
#ifndef SHOP_MONEY_H
#define SHOP_MONEY_H

/*
 * Money is a whole number of millionths in an int64: exact, summed by every engine in the same way, and wide
 * enough for nine million millions. It never passes through a double.
 */

#include <stdint.h>

/** Reads "2.55", "-11062.06", "0.001"; returns NULL, or what is wrong (static). */
const char *money_parse(const char *text, int64_t *micros_out);

/**
 * Reads a whole number; "6" and, as spreadsheets write it, "6.0". Returns NULL, or what is wrong (static).
 */
const char *whole_parse(const char *text, int64_t *out);

/** Writes "180667.75": as many decimals as needed, two at least. */
const char *money_format(int64_t micros, char out[32]);

#endif
