/* SPDX-License-Identifier: MIT */
/* The order of two cells, by type and exact. */

#include "shard/fanout_compare.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- decimals ------------------------------------------------------------------------------------------------------ */

/* What is not a finite number stands behind, or before, all that are. */
enum kind {
        MINUS_INFINITY = -1,
        FINITE,
        INFINITE,
        NOT_A_NUMBER
};

/* A number as sign, digits without leading zeros, and where its point is: 0.0123 has its first digit at -2. */
struct number {
        enum kind kind;
        int sign;           /* 0 for zero */
        int64_t magnitude;  /* power of ten of the first digit */
        const char *digits; /* digits, maybe with the point among them */
        size_t size;
};

static bool is_word(const char *text, size_t size, const char *word)
{
        return size == strlen(word) && memcmp(text, word, size) == 0;
}

/* Source: PostgreSQL 15 manual, 8.1.2: the special values of numeric as they are written. */
static bool read_special(const char *text, size_t size, struct number *out)
{
        if (is_word(text, size, "NaN"))
                out->kind = NOT_A_NUMBER;
        else if (is_word(text, size, "Infinity"))
                out->kind = INFINITE;
        else if (is_word(text, size, "-Infinity"))
                out->kind = MINUS_INFINITY;
        else
                return false;
        return true;
}

/* Behind `e`. Beyond any exponent that differs from another in the size of a cell it stands still. */
static int64_t read_exponent(const char *text, const char *end)
{
        bool negative = text < end && *text == '-';
        int64_t n = 0;

        for (text += text < end && (*text == '-' || *text == '+'); text < end; text++)
                if (n < INT64_C(1000000000000000))
                        n = 10 * n + (*text - '0');
        return negative ? -n : n;
}

static bool read_number(const char *text, size_t size, struct number *out)
{
        const char *end = text + size, *at, *point, *digits_end;

        memset(out, 0, sizeof *out);
        if (read_special(text, size, out))
                return true;
        if (!dal_value_is_decimal(text, size))
                return false;
        out->sign = *text == '-' ? -1 : 1;
        text += *text == '-' || *text == '+';
        for (digits_end = text; digits_end < end && *digits_end != 'e' && *digits_end != 'E'; digits_end++)
                ;
        point = memchr(text, '.', (size_t)(digits_end - text));
        for (at = text; at < digits_end && (*at == '0' || *at == '.'); at++)
                ;
        if (at == digits_end) {
                out->sign = 0;
                return true;
        }
        if (!point)
                point = digits_end;
        out->magnitude = at < point ? point - at - 1 : point - at;
        if (digits_end < end)
                out->magnitude += read_exponent(digits_end + 1, end);
        out->digits = at;
        out->size = (size_t)(digits_end - at);
        return true;
}

/* The next digit; 0 behind the last one. */
static char next_digit(const struct number *n, size_t *i)
{
        if (*i < n->size && n->digits[*i] == '.')
                ++*i;
        return *i < n->size ? n->digits[(*i)++] : '0';
}

static int compare_digits(const struct number *a, const struct number *b)
{
        size_t i = 0, j = 0;

        while (i < a->size || j < b->size) {
                char x = next_digit(a, &i), y = next_digit(b, &j);

                if (x != y)
                        return x < y ? -1 : 1;
        }
        return 0;
}

static int compare_numbers(const struct number *a, const struct number *b)
{
        if (a->kind != b->kind)
                return a->kind < b->kind ? -1 : 1;
        if (a->kind != FINITE)
                return 0;
        if (a->sign != b->sign)
                return a->sign < b->sign ? -1 : 1;
        if (a->sign == 0)
                return 0;
        if (a->magnitude != b->magnitude)
                return (a->magnitude < b->magnitude) == (a->sign > 0) ? -1 : 1;
        return a->sign * compare_digits(a, b);
}

/* ---- numbers of any type -------------------------------------------------------------------------------------------- */

static bool is_integer(const dal_value *v)
{
        return v->type == DAL_TYPE_INT64 || v->type == DAL_TYPE_UINT64 || v->type == DAL_TYPE_BOOL;
}

/* An integer as its sign and what it is as an unsigned one, of which the order holds among equal signs. */
static int64_t sign_of(const dal_value *v, uint64_t *bits_out)
{
        *bits_out = v->type == DAL_TYPE_UINT64 ? v->as.uint64
                    : v->type == DAL_TYPE_BOOL ? (uint64_t)v->as.boolean
                                               : (uint64_t)v->as.int64;
        return v->type == DAL_TYPE_INT64 && v->as.int64 < 0 ? -1 : 0;
}

static int compare_integers(const dal_value *a, const dal_value *b)
{
        uint64_t x, y;
        int64_t sign_a = sign_of(a, &x), sign_b = sign_of(b, &y);

        if (sign_a != sign_b)
                return sign_a < sign_b ? -1 : 1;
        return x < y ? -1 : x > y;
}

/* NaN is behind all and equal to itself, as PostgreSQL has it; no other engine keeps one. */
static int compare_doubles(double x, double y)
{
        if (isnan(x) || isnan(y))
                return (isnan(x) != 0) - (isnan(y) != 0);
        return x < y ? -1 : x > y;
}

/* Exactly: the integer never becomes a double. */
static int compare_integer_with_double(const dal_value *a, double y)
{
        uint64_t bits;
        bool negative = sign_of(a, &bits) < 0;
        dal_value whole;

        if (isnan(y) || y >= 18446744073709551616.0)
                return -1;
        if (y < -9223372036854775808.0)
                return 1;
        if (negative != (y < 0))
                return negative ? -1 : 1;
        whole = y < 0 ? dal_int64((int64_t)y) : dal_uint64((uint64_t)y);
        if (compare_integers(a, &whole) != 0)
                return compare_integers(a, &whole);
        y -= y < 0 ? (double)whole.as.int64 : (double)whole.as.uint64;
        return y > 0 ? -1 : y < 0;
}

/* For a decimal or an integer; `room` holds the digits of the latter. */
static bool number_of(const dal_value *v, char room[24], struct number *out)
{
        int size;

        if (v->type == DAL_TYPE_DECIMAL)
                return read_number(v->as.span.ptr, v->as.span.size, out);
        size = v->type == DAL_TYPE_INT64
                       ? snprintf(room, 24, "%" PRId64, v->as.int64)
                       : snprintf(room, 24, "%" PRIu64,
                                  v->type == DAL_TYPE_BOOL ? (uint64_t)v->as.boolean : v->as.uint64);
        return read_number(room, (size_t)size, out);
}

static bool compare_exact(const dal_value *a, const dal_value *b, int *order_out)
{
        char room_a[24], room_b[24];
        struct number x, y;

        if (!number_of(a, room_a, &x) || !number_of(b, room_b, &y))
                return false;
        *order_out = compare_numbers(&x, &y);
        return true;
}

static bool is_number(const dal_value *v)
{
        return is_integer(v) || v->type == DAL_TYPE_DECIMAL || v->type == DAL_TYPE_DOUBLE;
}

static bool compare_mixed_numbers(const dal_value *a, const dal_value *b, int *order_out)
{
        if (is_integer(a) && is_integer(b))
                *order_out = compare_integers(a, b);
        else if (a->type == DAL_TYPE_DOUBLE && b->type == DAL_TYPE_DOUBLE)
                *order_out = compare_doubles(a->as.float64, b->as.float64);
        else if (is_integer(a) && b->type == DAL_TYPE_DOUBLE)
                *order_out = compare_integer_with_double(a, b->as.float64);
        else if (a->type == DAL_TYPE_DOUBLE && is_integer(b))
                *order_out = -compare_integer_with_double(b, a->as.float64);
        else if (a->type == DAL_TYPE_DOUBLE || b->type == DAL_TYPE_DOUBLE)
                return false;
        else
                return compare_exact(a, b, order_out);
        return true;
}

/* ---- the rest ---------------------------------------------------------------------------------------------------------- */

static int compare_spans(const void *a, size_t size_a, const void *b, size_t size_b)
{
        size_t n = size_a < size_b ? size_a : size_b;
        int order = n ? memcmp(a, b, n) : 0;

        if (order != 0)
                return order;
        return size_a < size_b ? -1 : size_a > size_b;
}

/* A UUID is BINARY(16) where the engine has no type for it. */
static bool bytes_of(const dal_value *v, const void **ptr_out, size_t *size_out)
{
        *ptr_out = v->type == DAL_TYPE_UUID ? (const void *)v->as.uuid : v->as.span.ptr;
        *size_out = v->type == DAL_TYPE_UUID ? sizeof v->as.uuid : v->as.span.size;
        return v->type == DAL_TYPE_UUID || v->type == DAL_TYPE_BYTES;
}

bool dal__fanout_compare(const dal_value *a, const dal_value *b, int *order_out)
{
        const void *x, *y;
        size_t size_x, size_y;

        if (is_number(a) && is_number(b))
                return compare_mixed_numbers(a, b, order_out);
        if (bytes_of(a, &x, &size_x) && bytes_of(b, &y, &size_y)) {
                *order_out = compare_spans(x, size_x, y, size_y);
                return true;
        }
        if (a->type != b->type)
                return false;
        if (a->type == DAL_TYPE_TEXT)
                *order_out = compare_spans(a->as.span.ptr, a->as.span.size, b->as.span.ptr, b->as.span.size);
        else if (a->type == DAL_TYPE_TIMESTAMP || a->type == DAL_TYPE_DATE)
                *order_out = a->as.int64 < b->as.int64 ? -1 : a->as.int64 > b->as.int64;
        else
                return false;
        return true;
}
