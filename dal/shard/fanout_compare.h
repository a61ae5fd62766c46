/* SPDX-License-Identifier: MIT */
#ifndef DAL_SHARD_FANOUT_COMPARE_H
#define DAL_SHARD_FANOUT_COMPARE_H

#include <dal/value.h>

/*
 * Compares two cells, neither NULL: *order_out is below, at or above 0. Returns false where their types have no common
 * order: text and number, a double and a decimal, a type that the library does not know.
 */
bool dal__fanout_compare(const dal_value *a, const dal_value *b, int *order_out);

#endif
