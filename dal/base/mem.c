/* SPDX-License-Identifier: MIT */
/* Alone in its object file, so that a test can replace all five functions by defining them itself. */
#include <dal/mem.h>

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

void *dal_mem_alloc(size_t size)
{
        return calloc(1, size ? size : 1); /* NULL must mean "no memory" and nothing else */
}

void *dal_mem_resize(void *array, size_t n, size_t size)
{
        size_t total;

        if (size && n > SIZE_MAX / size)
                return NULL;
        total = n * size;
        return realloc(array, total ? total : 1); /* of size 0 it might free and return NULL */
}

char *dal_mem_strdup(const char *text, size_t size)
{
        char *copy = size < SIZE_MAX ? malloc(size + 1) : NULL;

        if (!copy)
                return NULL;
        if (size)
                memcpy(copy, text, size);
        copy[size] = '\0';
        return copy;
}

void dal_mem_free(void *ptr)
{
        free(ptr);
}

void dal_mem_wipe(void *ptr, size_t size)
{
        volatile unsigned char *p = ptr;

        while (size--)
                *p++ = 0;
}
