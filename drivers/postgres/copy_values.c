/* SPDX-License-Identifier: MIT */
/* Values in the two forms of COPY. Source: PostgreSQL src/backend/utils/adt, the *_recv(); manual, COPY, "Binary Format" */

#include "copy.h"

#include <float.h>
#include <stdio.h>
#include <string.h>

/* ---- which form --------------------------------------------------------------------------------------------------- */

static dal__postgres_form form_of_int64(int64_t value, Oid type)
{
        switch (type) {
        case PG_OID_INT2:
                return value >= INT16_MIN && value <= INT16_MAX ? PG_FORM_BINARY : PG_FORM_NONE;
        case PG_OID_INT4:
                return value >= INT32_MIN && value <= INT32_MAX ? PG_FORM_BINARY : PG_FORM_NONE;
        case PG_OID_INT8:
        case PG_OID_FLOAT4:
        case PG_OID_FLOAT8:
        case PG_OID_NUMERIC:
                return PG_FORM_BINARY;
        default:
                return PG_FORM_NONE;
        }
}

/* The server refuses a double that is too large or too small for its type, and so must INSERT. */
static dal__postgres_form form_of_double(double value, Oid type)
{
        double size = value < 0 ? -value : value;

        if (type == PG_OID_FLOAT8)
                return PG_FORM_BINARY;
        if (type != PG_OID_FLOAT4)
                return PG_FORM_NONE;
        if (value == 0 || value - value != 0)
                return PG_FORM_BINARY;
        return size <= (double)FLT_MAX && size >= (double)FLT_MIN ? PG_FORM_BINARY : PG_FORM_NONE;
}

static dal__postgres_form form_of_text(Oid type)
{
        switch (type) {
        case PG_OID_TEXT:
        case PG_OID_VARCHAR:
        case PG_OID_BPCHAR:
        case PG_OID_JSON:
        case PG_OID_JSONB:
                return PG_FORM_BINARY;
        default:
                return PG_FORM_TEXT;
        }
}

static dal__postgres_form binary_if(bool fits)
{
        return fits ? PG_FORM_BINARY : PG_FORM_NONE;
}

dal__postgres_form dal__postgres_copy_form(const dal_value *value, Oid type)
{
        switch ((dal_type)value->type) {
        case DAL_TYPE_NULL:
                return PG_FORM_BINARY;
        case DAL_TYPE_BOOL:
                return binary_if(type == PG_OID_BOOL);
        case DAL_TYPE_INT64:
                return form_of_int64(value->as.int64, type);
        case DAL_TYPE_UINT64:
                return value->as.uint64 <= INT64_MAX ? form_of_int64(value->as.int64, type)
                                                     : binary_if(type == PG_OID_NUMERIC);
        case DAL_TYPE_DOUBLE:
                return form_of_double(value->as.float64, type);
        case DAL_TYPE_DECIMAL:
                return binary_if(type == PG_OID_NUMERIC &&
                                 dal__postgres_copy_numeric(NULL, value->as.span.ptr, value->as.span.size));
        case DAL_TYPE_TEXT:
                return form_of_text(type);
        case DAL_TYPE_BYTES:
                return binary_if(type == PG_OID_BYTEA);
        case DAL_TYPE_TIMESTAMP:
                return binary_if(type == PG_OID_TIMESTAMPTZ && value->as.int64 > INT64_MIN + PG_EPOCH_US &&
                                 value->as.int64 != INT64_MAX);
        case DAL_TYPE_DATE:
                return binary_if(type == PG_OID_DATE && value->as.int64 > INT32_MIN + PG_EPOCH_DAYS &&
                                 value->as.int64 < INT32_MAX);
        case DAL_TYPE_UUID:
                return binary_if(type == PG_OID_UUID);
        case DAL_TYPE_OTHER:
                break;
        }
        return PG_FORM_NONE;
}

/* ---- numeric ------------------------------------------------------------------------------------------------------- */

/* See types.c for the form. Source: numeric.c, NUMERIC_DSCALE_MAX and NUMERIC_WEIGHT_MAX */
#define MAX_SCALE  0x3fff
#define MAX_WEIGHT 0x7fff
#define MAX_DIGITS 200000u

static void put16(char *out, unsigned value)
{
        out[0] = (char)(value >> 8);
        out[1] = (char)value;
}

static void put32(char *out, uint32_t value)
{
        put16(out, value >> 16);
        put16(out + 2, value & 0xffff);
}

static void put64(char *out, uint64_t value)
{
        put32(out, (uint32_t)(value >> 32));
        put32(out + 4, (uint32_t)value);
}

/* A decimal's text, taken apart; it is well-formed, for the core has checked it. */
struct decimal {
        const char *digits; /* with the point between them */
        size_t n;           /* characters there */
        long point;         /* digits before the point, the exponent included */
        long first, last;   /* indexes of the first and the last digit that is not zero; first > last: none */
        long scale;
        bool negative;
};

static size_t read_exponent(const char *text, size_t size, long *out)
{
        size_t n = size;
        bool negative = false;
        long value = 0;

        *out = 0;
        for (size_t i = 0; i < size; i++)
                if (text[i] == 'e' || text[i] == 'E')
                        n = i;
        for (size_t i = n + 1; i < size; i++) {
                if (text[i] == '-')
                        negative = true;
                else if (text[i] != '+' && value < 1000000)
                        value = 10 * value + (text[i] - '0');
        }
        *out = negative ? -value : value;
        return n;
}

static int digit_at(const struct decimal *d, size_t *i)
{
        if (*i < d->n && d->digits[*i] == '.')
                ++*i;
        return *i < d->n ? d->digits[(*i)++] - '0' : 0;
}

static void read_decimal(const char *text, size_t size, struct decimal *d)
{
        long exponent, n_fraction = 0, i_digit = 0;
        bool behind = false;

        d->negative = size && text[0] == '-';
        if (size && (text[0] == '-' || text[0] == '+')) {
                text++;
                size--;
        }
        d->digits = text;
        d->n = read_exponent(text, size, &exponent);
        d->point = 0;
        d->first = 1;
        d->last = 0;
        for (size_t i = 0; i < d->n; i++) {
                if (text[i] == '.') {
                        behind = true;
                        continue;
                }
                if (text[i] != '0') {
                        if (d->first > d->last)
                                d->first = i_digit;
                        d->last = i_digit;
                }
                i_digit++;
                n_fraction += behind;
        }
        d->point = i_digit - n_fraction + exponent;
        d->scale = n_fraction > exponent ? n_fraction - exponent : 0;
}

/* The group of four digits that a power of ten belongs to, rounded down. */
static long group_of(long power)
{
        return power >= 0 ? power / 4 : -((3 - power) / 4);
}

size_t dal__postgres_copy_numeric(char *out, const char *text, size_t size)
{
        struct decimal d;
        long weight = 0, n_groups = 0;
        size_t i = 0;

        if (size > MAX_DIGITS)
                return 0;
        read_decimal(text, size, &d);
        if (d.first <= d.last) {
                weight = group_of(d.point - 1 - d.first);
                n_groups = weight - group_of(d.point - 1 - d.last) + 1;
        }
        if (d.scale > MAX_SCALE || weight > MAX_WEIGHT || weight < -MAX_WEIGHT || n_groups > MAX_WEIGHT)
                return 0;
        if (!out)
                return 8 + 2 * (size_t)n_groups;
        put16(out, (unsigned)n_groups);
        put16(out + 2, (unsigned)weight & 0xffff);
        put16(out + 4, d.negative && n_groups ? 0x4000 : 0);
        put16(out + 6, (unsigned)d.scale);
        out += 8;
        for (long skipped = 0; n_groups && skipped < d.first; skipped++)
                digit_at(&d, &i);
        for (long power = d.point - 1 - d.first, g = 0; g < n_groups; g++) {
                unsigned group = 0;

                /* The first group may begin in its middle. */
                for (long at = 4 * (weight - g) + 3; at >= 4 * (weight - g); at--) {
                        group *= 10;
                        if (at <= power)
                                group += (unsigned)digit_at(&d, &i);
                }
                put16(out, group);
                out += 2;
        }
        return 8 + 2 * (size_t)n_groups;
}

/* ---- binary --------------------------------------------------------------------------------------------------------- */

bool dal__postgres_copy_has_tail(const dal_value *value, Oid type)
{
        (void)type;
        return value->type == DAL_TYPE_TEXT || value->type == DAL_TYPE_BYTES;
}

size_t dal__postgres_copy_room(const dal_value *value, Oid type)
{
        (void)type;
        return value->type == DAL_TYPE_DECIMAL
                       ? 4 + dal__postgres_copy_numeric(NULL, value->as.span.ptr, value->as.span.size)
                       : PG_COPY_FIXED;
}

static char *put_float(char *out, double value, Oid type)
{
        float single = (float)value;
        uint32_t bits32;
        uint64_t bits64;

        if (type == PG_OID_FLOAT4) {
                memcpy(&bits32, &single, sizeof bits32);
                put32(out, 4);
                put32(out + 4, bits32);
                return out + 8;
        }
        memcpy(&bits64, &value, sizeof bits64);
        put32(out, 8);
        put64(out + 4, bits64);
        return out + 12;
}

static char *put_numeric(char *out, const char *text, size_t size)
{
        size_t n = dal__postgres_copy_numeric(out + 4, text, size);

        put32(out, (uint32_t)n);
        return out + 4 + n;
}

static char *put_integer(char *out, const dal_value *value, Oid type)
{
        char digits[24];
        int n;

        switch (type) {
        case PG_OID_INT2:
                put32(out, 2);
                put16(out + 4, (unsigned)value->as.uint64 & 0xffff);
                return out + 6;
        case PG_OID_INT4:
                put32(out, 4);
                put32(out + 4, (uint32_t)value->as.uint64);
                return out + 8;
        case PG_OID_FLOAT4:
                /* In one step, as the server does it: by way of a double it would be rounded twice. */
                {
                        float single = (float)value->as.int64;

                        return put_float(out, (double)single, type);
                }
        case PG_OID_FLOAT8:
                return put_float(out, (double)value->as.int64, type);
        case PG_OID_NUMERIC:
                n = value->type == DAL_TYPE_UINT64
                            ? snprintf(digits, sizeof digits, "%llu", (unsigned long long)value->as.uint64)
                            : snprintf(digits, sizeof digits, "%lld", (long long)value->as.int64);
                return put_numeric(out, digits, (size_t)n);
        default:
                put32(out, 8);
                put64(out + 4, value->as.uint64);
                return out + 12;
        }
}

/* Of what follows as it is. JSONB has a version byte in front. Source: jsonb.c, jsonb_recv() */
static char *put_size(char *out, size_t size, Oid type)
{
        bool has_version = type == PG_OID_JSONB;

        put32(out, (uint32_t)size + has_version);
        out[4] = 1;
        return out + 4 + has_version;
}

char *dal__postgres_copy_binary(char *out, const dal_value *value, Oid type)
{
        switch ((dal_type)value->type) {
        case DAL_TYPE_NULL:
                put32(out, UINT32_MAX);
                return out + 4;
        case DAL_TYPE_BOOL:
                put32(out, 1);
                out[4] = (char)value->as.boolean;
                return out + 5;
        case DAL_TYPE_DOUBLE:
                return put_float(out, value->as.float64, type);
        case DAL_TYPE_DECIMAL:
                return put_numeric(out, value->as.span.ptr, value->as.span.size);
        case DAL_TYPE_TEXT:
        case DAL_TYPE_BYTES:
                return put_size(out, value->as.span.size, type);
        case DAL_TYPE_TIMESTAMP:
                put32(out, 8);
                put64(out + 4, (uint64_t)(value->as.int64 - PG_EPOCH_US));
                return out + 12;
        case DAL_TYPE_DATE:
                put32(out, 4);
                put32(out + 4, (uint32_t)(value->as.int64 - PG_EPOCH_DAYS));
                return out + 8;
        case DAL_TYPE_UUID:
                put32(out, 16);
                memcpy(out + 4, value->as.uuid, 16);
                return out + 20;
        default:
                return put_integer(out, value, type);
        }
}

/* ---- text ----------------------------------------------------------------------------------------------------------- */

/* Source: manual, COPY, "Text Format": backslash, newline, carriage return and the delimiter must be escaped. */
char *dal__postgres_copy_escape(char *out, const char *text, size_t n)
{
        for (size_t i = 0; i < n; i++) {
                switch (text[i]) {
                case '\\':
                        *out++ = '\\';
                        *out++ = '\\';
                        break;
                case '\n':
                        *out++ = '\\';
                        *out++ = 'n';
                        break;
                case '\r':
                        *out++ = '\\';
                        *out++ = 'r';
                        break;
                case '\t':
                        *out++ = '\\';
                        *out++ = 't';
                        break;
                default:
                        *out++ = text[i];
                        break;
                }
        }
        return out;
}
