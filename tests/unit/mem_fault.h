/* SPDX-License-Identifier: MIT */
#ifndef DAL_TESTS_MEM_FAULT_H
#define DAL_TESTS_MEM_FAULT_H

/*
 * Stands in for mem.c: the linker takes these definitions and leaves that file in its archive. Include it in one
 * file of a test, set mem_fault_at to make that allocation fail (1 = the next one), 0 for none.
 */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <dal/mem.h>

static size_t mem_fault_at;
static size_t mem_n_wiped; /* bytes given to dal_mem_wipe() */

static int mem_fault_now(void)
{
        return mem_fault_at && --mem_fault_at == 0;
}

void *dal_mem_alloc(size_t size)
{
        return mem_fault_now() ? NULL : calloc(1, size ? size : 1);
}

void *dal_mem_resize(void *array, size_t n, size_t size)
{
        if (mem_fault_now() || (size && n > SIZE_MAX / size))
                return NULL;
        return realloc(array, n && size ? n * size : 1);
}

char *dal_mem_strdup(const char *text, size_t size)
{
        char *copy = mem_fault_now() ? NULL : malloc(size + 1);

        if (copy) {
                memcpy(copy, text, size);
                copy[size] = '\0';
        }
        return copy;
}

void dal_mem_free(void *ptr)
{
        free(ptr);
}

void dal_mem_wipe(void *ptr, size_t size)
{
        if (size)
                memset(ptr, 0, size);
        mem_n_wiped += size;
}

#endif
