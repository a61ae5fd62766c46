/* SPDX-License-Identifier: MIT */
#ifndef DAL_TESTS_BENCH_H
#define DAL_TESTS_BENCH_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <dal/dsn.h>

/*
 * The same work, once by hand and once by the library. A program is started with a number of operations, does its
 * set-up, and runs them; run under callgrind with two numbers, the difference is the work itself.
 */

#define BENCH_N_KEYS 1000

static inline void bench_die(const char *what, const char *why)
{
        fprintf(stderr, "%s: %s\n", what, why ? why : "");
        exit(1);
}

/* Keys in an order that no cache of one row can guess, the same for all. */
static inline int64_t bench_key(uint64_t *state)
{
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        return (int64_t)(*state % BENCH_N_KEYS) + 1;
}

/* The value of key k is "value-%010d". */
static inline void bench_check(int64_t key, const char *value, size_t size)
{
        if (size != 16 || value[15] != (char)('0' + key % 10))
                bench_die("wrong value", value);
}

/* Point selects by hand: the fastest honest way of each client library (prepared, binary). */
void bench_raw_sqlite(const dal_dsn *dsn, long n);
void bench_raw_postgres(const dal_dsn *dsn, long n);
void bench_raw_mysql(const dal_dsn *dsn, long n);

#endif
