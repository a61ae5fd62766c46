/* SPDX-License-Identifier: MIT */
/* Binary cells of the wire to values. Source: PostgreSQL src/backend/utils/adt, the *_send() functions. */

#include "postgres_impl.h"

#include <string.h>

dal__postgres_kind dal__postgres_kind_of(Oid type)
{
        switch (type) {
        case PG_OID_BOOL:
                return PG_KIND_BOOL;
        case PG_OID_INT2:
                return PG_KIND_INT2;
        case PG_OID_INT4:
                return PG_KIND_INT4;
        case PG_OID_INT8:
                return PG_KIND_INT8;
        case PG_OID_OID:
                return PG_KIND_OID;
        case PG_OID_FLOAT4:
                return PG_KIND_FLOAT4;
        case PG_OID_FLOAT8:
                return PG_KIND_FLOAT8;
        case PG_OID_NUMERIC:
                return PG_KIND_NUMERIC;
        case PG_OID_TEXT:
        case PG_OID_VARCHAR:
        case PG_OID_BPCHAR:
        case PG_OID_NAME:
        case PG_OID_CHAR:
        case PG_OID_UNKNOWN:
        case PG_OID_JSON:
        case PG_OID_XML:
                return PG_KIND_TEXT;
        case PG_OID_JSONB:
                return PG_KIND_JSONB;
        case PG_OID_BYTEA:
                return PG_KIND_BYTEA;
        case PG_OID_TIMESTAMPTZ:
        case PG_OID_TIMESTAMP:
                return PG_KIND_TIMESTAMP;
        case PG_OID_DATE:
                return PG_KIND_DATE;
        case PG_OID_UUID:
                return PG_KIND_UUID;
        default:
                return PG_KIND_OTHER;
        }
}

static uint16_t load16(const char *bytes)
{
        const unsigned char *b = (const unsigned char *)bytes;

        return (uint16_t)(b[0] << 8 | b[1]);
}

static uint32_t load32(const char *bytes)
{
        const unsigned char *b = (const unsigned char *)bytes;

        return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | (uint32_t)b[3];
}

/* ---- numeric ------------------------------------------------------------------------------------------------ */

/*
 * Four 16-bit numbers (digits, weight of the first, sign, digits shown after the point), then digits of base 10000.
 * Source: numeric.c, numeric_send().
 */
#define NUMERIC_HEADER 8
#define SIGN_NEGATIVE  0x4000u
#define SIGN_NAN       0xC000u
#define SIGN_PINF      0xD000u
#define SIGN_NINF      0xF000u

size_t dal__postgres_numeric_room(const char *bytes, size_t size)
{
        int weight;

        if (size < NUMERIC_HEADER)
                return 0;
        weight = (int16_t)load16(bytes + 2);
        return 16 + (weight < 0 ? 1 : ((size_t)weight + 1) * 4) + load16(bytes + 6);
}

static char *put_word(char *out, const char *word)
{
        size_t size = strlen(word);

        memcpy(out, word, size);
        return out + size;
}

/* The four decimal digits of group `i`; groups that are not sent are zero. */
static unsigned group_at(const char *digits, int n_groups, int i)
{
        return i >= 0 && i < n_groups ? load16(digits + 2 * i) : 0;
}

static void put_group(char out[4], unsigned group)
{
        out[0] = (char)('0' + group / 1000);
        out[1] = (char)('0' + group / 100 % 10);
        out[2] = (char)('0' + group / 10 % 10);
        out[3] = (char)('0' + group % 10);
}

static char *put_integer_part(char *out, const char *digits, int n_groups, int weight)
{
        char group[4];

        if (weight < 0) {
                *out++ = '0';
                return out;
        }
        for (int i = 0; i <= weight; i++) {
                int skip = 0;

                put_group(group, group_at(digits, n_groups, i));
                if (i == 0)
                        while (skip < 3 && group[skip] == '0')
                                skip++;
                memcpy(out, group + skip, (size_t)(4 - skip));
                out += 4 - skip;
        }
        return out;
}

static char *put_fraction(char *out, const char *digits, int n_groups, int weight, int scale)
{
        char group[4];

        if (scale == 0)
                return out;
        *out++ = '.';
        for (int i = weight + 1; scale > 0; i++, scale -= 4) {
                put_group(group, group_at(digits, n_groups, i));
                memcpy(out, group, (size_t)(scale < 4 ? scale : 4));
                out += scale < 4 ? scale : 4;
        }
        return out;
}

/* Writes the number exactly, with the digits after the point that the server keeps; returns the end or NULL. */
static char *put_numeric(char *out, const char *bytes, size_t size)
{
        const char *digits = bytes + NUMERIC_HEADER;
        int n_groups, weight, scale;
        unsigned sign;

        if (size < NUMERIC_HEADER)
                return NULL;
        n_groups = (int16_t)load16(bytes);
        weight = (int16_t)load16(bytes + 2);
        sign = load16(bytes + 4);
        scale = load16(bytes + 6);
        if (n_groups < 0 || size != NUMERIC_HEADER + 2 * (size_t)n_groups)
                return NULL;
        for (int i = 0; i < n_groups; i++)
                if (load16(digits + 2 * i) > 9999)
                        return NULL;
        if (sign == SIGN_NAN)
                return put_word(out, "NaN");
        if (sign == SIGN_PINF || sign == SIGN_NINF)
                return put_word(out, sign == SIGN_PINF ? "Infinity" : "-Infinity");
        if (sign != 0 && sign != SIGN_NEGATIVE)
                return NULL;
        if (sign == SIGN_NEGATIVE)
                *out++ = '-';
        out = put_integer_part(out, digits, n_groups, weight);
        return put_fraction(out, digits, n_groups, weight, scale);
}

/* ---- cells ---------------------------------------------------------------------------------------------------- */

static void set_span(dal_value *out, dal_type type, const char *bytes, size_t size)
{
        out->type = (uint8_t)type;
        out->as.span.ptr = bytes;
        out->as.span.size = size;
}

static void set_int64(dal_value *out, dal_type type, int64_t value)
{
        out->type = (uint8_t)type;
        out->as.int64 = value;
}

static dal__postgres_decoded decode_float(const char *bytes, size_t size, dal_value *out)
{
        out->type = DAL_TYPE_DOUBLE;
        if (size == 4) {
                uint32_t bits = load32(bytes);
                float value;

                memcpy(&value, &bits, sizeof value);
                out->as.float64 = (double)value;
        } else {
                uint64_t bits = dal__postgres_load64(bytes);

                memcpy(&out->as.float64, &bits, sizeof bits);
        }
        return PG_DECODED;
}

static dal__postgres_decoded decode_time(dal__postgres_kind kind, const char *bytes, dal_value *out)
{
        int64_t count;

        if (kind == PG_KIND_DATE) {
                int32_t days = (int32_t)load32(bytes);

                if (days == INT32_MAX || days == INT32_MIN)
                        return PG_INFINITE;
                set_int64(out, DAL_TYPE_DATE, days + PG_EPOCH_DAYS);
                return PG_DECODED;
        }
        count = (int64_t)dal__postgres_load64(bytes);
        if (count == INT64_MAX || count == INT64_MIN)
                return PG_INFINITE;
        if (count > INT64_MAX - PG_EPOCH_US)
                return PG_INFINITE; /* counted from 1970 it overflows; the server's own range is thirty years wider */
        set_int64(out, DAL_TYPE_TIMESTAMP, count + PG_EPOCH_US);
        return PG_DECODED;
}

static dal__postgres_decoded decode_fixed(dal__postgres_kind kind, const char *bytes, dal_value *out)
{
        switch (kind) {
        case PG_KIND_BOOL:
                out->type = DAL_TYPE_BOOL;
                out->as.boolean = bytes[0] != 0;
                return PG_DECODED;
        case PG_KIND_INT2:
                set_int64(out, DAL_TYPE_INT64, (int16_t)load16(bytes));
                return PG_DECODED;
        case PG_KIND_INT4:
                set_int64(out, DAL_TYPE_INT64, (int32_t)load32(bytes));
                return PG_DECODED;
        case PG_KIND_INT8:
                set_int64(out, DAL_TYPE_INT64, (int64_t)dal__postgres_load64(bytes));
                return PG_DECODED;
        case PG_KIND_OID:
                set_int64(out, DAL_TYPE_INT64, load32(bytes));
                return PG_DECODED;
        case PG_KIND_FLOAT4:
                return decode_float(bytes, 4, out);
        case PG_KIND_FLOAT8:
                return decode_float(bytes, 8, out);
        case PG_KIND_UUID:
                out->type = DAL_TYPE_UUID;
                memcpy(out->as.uuid, bytes, 16);
                return PG_DECODED;
        default:
                return decode_time(kind, bytes, out);
        }
}

/* Bytes of the kinds that have a fixed size; 0 for the others. */
static const uint8_t fixed_sizes[] = {
        [PG_KIND_BOOL] = 1,      [PG_KIND_INT2] = 2,   [PG_KIND_INT4] = 4,   [PG_KIND_INT8] = 8,
        [PG_KIND_OID] = 4,       [PG_KIND_FLOAT4] = 4, [PG_KIND_FLOAT8] = 8, [PG_KIND_DATE] = 4,
        [PG_KIND_TIMESTAMP] = 8, [PG_KIND_UUID] = 16,
};

dal__postgres_decoded dal__postgres_decode(dal__postgres_kind kind, const char *bytes, size_t size,
                                           char **room, dal_value *out)
{
        char *end;

        switch (kind) {
        case PG_KIND_TEXT:
                set_span(out, DAL_TYPE_TEXT, bytes, size);
                return PG_DECODED;
        case PG_KIND_BYTEA:
                set_span(out, DAL_TYPE_BYTES, bytes, size);
                return PG_DECODED;
        case PG_KIND_OTHER:
                set_span(out, DAL_TYPE_OTHER, bytes, size);
                return PG_DECODED;
        case PG_KIND_JSONB: /* a version byte leads the text. Source: jsonb.c, jsonb_send() */
                if (size < 1 || bytes[0] != 1)
                        return PG_MALFORMED;
                set_span(out, DAL_TYPE_TEXT, bytes + 1, size - 1);
                return PG_DECODED;
        case PG_KIND_NUMERIC:
                end = put_numeric(*room, bytes, size);
                if (!end)
                        return PG_MALFORMED;
                set_span(out, DAL_TYPE_DECIMAL, *room, (size_t)(end - *room));
                *room = end;
                return PG_DECODED;
        case PG_KIND_TEXT_BOOL:
        case PG_KIND_TEXT_INT:
        case PG_KIND_TEXT_FLOAT4:
        case PG_KIND_TEXT_FLOAT8:
        case PG_KIND_TEXT_NUMERIC:
        case PG_KIND_TEXT_BYTEA:
        case PG_KIND_TEXT_TIMESTAMP:
        case PG_KIND_TEXT_DATE:
        case PG_KIND_TEXT_UUID:
                return dal__postgres_decode_text(kind, bytes, size, room, out);
        default:
                return size == fixed_sizes[kind] ? decode_fixed(kind, bytes, out) : PG_MALFORMED;
        }
}
