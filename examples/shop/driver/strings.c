/* SPDX-License-Identifier: MIT */
#include "strings.h"

#include <stdlib.h>
#include <stdbool.h>
#include <string.h>

/* FNV-1a. */
static uint32_t hash(const char *text)
{
        uint32_t h = 2166136261u;

        for (; *text != '\0'; text++)
                h = (h ^ (unsigned char)*text) * 16777619u;
        return h;
}

static uint32_t *find(const struct strings *strings, const char *text)
{
        uint32_t i = hash(text) & (strings->table_size - 1);

        while (strings->table[i] != 0 && strcmp(strings->text[strings->table[i] - 1], text) != 0)
                i = (i + 1) & (strings->table_size - 1);
        return &strings->table[i];
}

static bool grow(struct strings *strings)
{
        uint32_t n = strings->n_allocated ? 2 * strings->n_allocated : 512;
        char **text = realloc(strings->text, n * sizeof *text);
        uint32_t *table = calloc((size_t)2 * n, sizeof *table);

        if (text)
                strings->text = text;
        if (!text || !table) {
                free(table);
                return false;
        }
        free(strings->table);
        strings->table = table;
        strings->table_size = 2 * n; /* at most half full, and a power of two */
        strings->n_allocated = n;
        for (uint32_t i = 0; i < strings->n; i++)
                *find(strings, strings->text[i]) = i + 1;
        return true;
}

uint32_t strings_add(struct strings *strings, const char *text)
{
        uint32_t *slot;

        if (strings->n == strings->n_allocated && !grow(strings))
                return STRINGS_FULL;
        slot = find(strings, text);
        if (*slot == 0) {
                if (!(strings->text[strings->n] = strdup(text)))
                        return STRINGS_FULL;
                *slot = ++strings->n;
        }
        return *slot - 1;
}

void strings_fini(struct strings *strings)
{
        for (uint32_t i = 0; i < strings->n; i++)
                free(strings->text[i]);
        free(strings->text);
        free(strings->table);
        memset(strings, 0, sizeof *strings);
}
