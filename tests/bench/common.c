/* SPDX-License-Identifier: MIT */
#include "bench.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void bench_die(const char *what, const char *why)
{
        fprintf(stderr, "bench: %s: %s\n", what, why ? why : "");
        exit(1);
}

void bench_fail(dal_status s, const dal_error *err)
{
        bench_die(dal_error_status_name(s), err->message);
}

void *bench_alloc(size_t n, size_t size)
{
        void *memory = calloc(n, size);

        if (!memory)
                bench_die("memory", "there is none left");
        return memory;
}

int64_t bench_next_key(uint64_t *state)
{
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        return (int64_t)(*state % BENCH_N_KEYS) + 1;
}

void bench_check_value(int64_t key, const char *value, size_t size)
{
        if (size != BENCH_VALUE_SIZE || value[15] != (char)('0' + key % 10) ||
            value[14] != (char)('0' + key / 10 % 10))
                bench_die("wrong value", value);
}

void bench_write_value(int64_t key, char out[BENCH_VALUE_SIZE])
{
        memcpy(out, "value-0000000000", BENCH_VALUE_SIZE);
        for (int i = BENCH_VALUE_SIZE - 1; key; key /= 10)
                out[i--] = (char)('0' + key % 10);
}

/*
 * Row i is (i, i * 0.5 + 0.25, 16 bytes). Quarters add up exactly, and none of them is a whole number, which SQLite would
 * store as an integer.
 */
void bench_check_sum(const bench_sum *sum, long n_rows)
{
        int64_t ids = (int64_t)n_rows * (n_rows + 1) / 2;

        if (sum->n_rows != n_rows || sum->ids != ids || sum->bytes != (int64_t)n_rows * BENCH_VALUE_SIZE ||
            fabs(sum->doubles - (double)ids / 2 - (double)n_rows / 4) > 0.1)
                bench_die("scan", "what was read is not what was stored");
}
