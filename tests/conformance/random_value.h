/* SPDX-License-Identifier: MIT */
#ifndef RANDOM_VALUE_H
#define RANDOM_VALUE_H

#include "conf.h"

/* Bytes that the longest value takes. */
#define RANDOM_VALUE_ROOM (70000 + 64)

/* Makes value number i of a type, always the same for the same seed; text, bytes and decimals stand in `buffer`. */
dal_value conf_random_value(const struct conf *c, dal_type type, uint64_t seed, int64_t i, char *buffer);

#endif
