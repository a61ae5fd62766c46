/* SPDX-License-Identifier: MIT */
#ifndef SHOP_STRINGS_H
#define SHOP_STRINGS_H

/* A set of strings, each kept once and numbered from 0 in order of first appearance. */

#include <stdint.h>

#define STRINGS_FULL UINT32_MAX

struct strings {
        char **text; /* by number */
        uint32_t n, n_allocated;
        uint32_t *table; /* open addressing: number + 1; 0 = free */
        uint32_t table_size;
};

/** Returns the number of a string, adding it when new; STRINGS_FULL when memory is short. */
uint32_t strings_add(struct strings *strings, const char *text);
void strings_fini(struct strings *strings);

#endif
