/* SPDX-License-Identifier: MIT */
#ifndef DAL_TESTS_FUZZ_H
#define DAL_TESTS_FUZZ_H

/*
 * What the fuzz targets share. A target is one function that takes any bytes and must come back: libFuzzer calls it
 * with bytes that it makes up (tests/fuzz/run), replay.c with those of the corpus, as a test.
 */

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <dal/error.h>
#include <dal/value.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What must hold for every input. Ends the process, so that libFuzzer keeps the input. */
#define FUZZ_CHECK(condition) ((condition) ? (void)0 : fuzz_broken(#condition, __FILE__, __LINE__))

static inline void fuzz_broken(const char *what, const char *file, int line)
{
        fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, what);
        abort();
}

/* A copy in a block of exactly its size, so that a sanitizer sees one byte too many. */
static inline void *fuzz_copy(const void *data, size_t size)
{
        void *copy = malloc(size ? size : 1);

        FUZZ_CHECK(copy);
        if (size)
                memcpy(copy, data, size);
        return copy;
}

static inline char *fuzz_text(const void *data, size_t size)
{
        char *copy = malloc(size + 1);

        FUZZ_CHECK(copy);
        if (size)
                memcpy(copy, data, size);
        copy[size] = '\0';
        return copy;
}

/* Takes bytes from the front of an input, zeros when it is used up. */
typedef struct fuzz_input {
        const uint8_t *at;
        size_t left;
} fuzz_input;

static inline uint8_t fuzz_byte(fuzz_input *in)
{
        if (!in->left)
                return 0;
        in->left--;
        return *in->at++;
}

static inline uint64_t fuzz_number(fuzz_input *in, unsigned n_bytes)
{
        uint64_t number = 0;

        while (n_bytes--)
                number = number << 8 | fuzz_byte(in);
        return number;
}

/* Cuts off what stands before the next 0xFF, a byte that no UTF-8 has; owned. */
static inline char *fuzz_field(fuzz_input *in)
{
        const uint8_t *end = in->left ? memchr(in->at, 0xFF, in->left) : NULL;
        size_t size = end ? (size_t)(end - in->at) : in->left;
        char *text = fuzz_text(in->at, size);

        size += end != NULL;
        in->at += size;
        in->left -= size;
        return text;
}

/* What holds for every error, whatever it was made of. */
static inline void fuzz_check_error(const dal_error *err)
{
        FUZZ_CHECK(err->status != DAL_OK && err->status == dal_error_class_status(err->error_class));
        FUZZ_CHECK(strnlen(err->message, sizeof err->message) < sizeof err->message);
        FUZZ_CHECK(err->message[0] && !strpbrk(err->message, "\r\n"));
        FUZZ_CHECK(err->sqlstate[0] == '\0' || strnlen(err->sqlstate, sizeof err->sqlstate) == 5);
        FUZZ_CHECK(strnlen(err->constraint, sizeof err->constraint) < sizeof err->constraint);
        FUZZ_CHECK(strnlen(err->table, sizeof err->table) < sizeof err->table);
        FUZZ_CHECK(strnlen(err->column, sizeof err->column) < sizeof err->column);
}

#endif
