/* SPDX-License-Identifier: MIT */
#ifndef DAL_MEM_H
#define DAL_MEM_H

/*
 * Memory for the core and for drivers: every allocation of the library goes through these functions, so that the
 * tests can make any one of them fail. Services have no need of them.
 */

#include <stddef.h>

#include <dal/macros.h>

DAL_BEGIN_DECLS

/** Allocates zeroed memory; NULL when there is none. Ownership: dal_mem_free(). Threads: any. Blocks: no. */
void *dal_mem_alloc(size_t size);
/**
 * Grows an array to `n` elements of `size` bytes, checking the product for overflow; what is new is not zeroed.
 *
 * @return NULL when there is no memory: the old array is then still valid. Threads: any. Blocks: no.
 */
void *dal_mem_resize(void *array, size_t n, size_t size);
/** Copies `size` bytes of text and adds a NUL; NULL when there is no memory. Threads: any. Blocks: no. */
char *dal_mem_strdup(const char *text, size_t size);
/** Frees; accepts NULL. Threads: any. Blocks: no. */
void dal_mem_free(void *ptr);
/** Overwrites a secret so that the compiler can't drop it. Threads: any. Blocks: no. */
void dal_mem_wipe(void *ptr, size_t size);

DAL_END_DECLS

#endif
