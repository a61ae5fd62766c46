/* SPDX-License-Identifier: MIT */
/* The text form of values, both ways. Source: PostgreSQL src/backend/utils/adt, the *_in() and *_out(). */

#include "postgres_impl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Characters at most, with the NUL: "-290308-12-31 23:59:59.999999+00 BC" and the longest double. */
#define TIME_ROOM   64
#define DOUBLE_ROOM 40

/* From about here on an instant has no room in 64 bits of microseconds: see dal_value_parse_timestamp(). */
#define TOO_LATE_DAY (INT64_MAX / INT64_C(86400000000) - 1)

/* ---- doubles ------------------------------------------------------------------------------------------- */

/* The host's locale may write a comma, or more than a byte. Asked each time, for the host may change it. */
static size_t decimal_point(char *out, size_t size)
{
        char sample[16];
        int n = snprintf(sample, sizeof sample, "%.1f", 1.5);
        size_t n_point = n > 2 ? (size_t)n - 2 : 0;

        if (n_point == 0 || n_point >= size)
                return 0;
        memcpy(out, sample + 1, n_point);
        return n_point;
}

static bool parse_double(const char *text, size_t size, bool is_single, double *out)
{
        char copy[2 * DOUBLE_ROOM], point[8], *end = copy;
        size_t n_point = decimal_point(point, sizeof point);
        bool has_point = false;

        if (size == 0 || size >= DOUBLE_ROOM)
                return false;
        for (size_t i = 0; i < size; i++) {
                if (text[i] == '.' && !has_point) {
                        memcpy(end, point, n_point);
                        end += n_point;
                        has_point = true;
                } else if (text[i] && strchr("0123456789+-eINafinty", text[i])) {
                        *end++ = text[i];
                } else {
                        return false; /* what the host's locale takes for a point is none here */
                }
        }
        *end = '\0';
        /* To the width of the type, so that the value is the one that the server has. */
        *out = is_single ? (double)strtof(copy, &end) : strtod(copy, &end);
        return *end == '\0';
}

/* Seventeen digits give every double back. Words as the server writes them. */
static size_t put_double(char *out, double value)
{
        char digits[DOUBLE_ROOM];
        size_t n = 0;
        bool in_point = false;

        if (value != value)
                return (size_t)snprintf(out, DOUBLE_ROOM, "NaN");
        if (value - value != 0)
                return (size_t)snprintf(out, DOUBLE_ROOM, "%sInfinity", value < 0 ? "-" : "");
        snprintf(digits, sizeof digits, "%.17g", value);
        for (const char *at = digits; *at; at++) {
                if (strchr("0123456789+-e", *at)) {
                        out[n++] = *at;
                        in_point = false;
                } else if (!in_point) {
                        out[n++] = '.';
                        in_point = true;
                }
        }
        out[n] = '\0';
        return n;
}

/* ---- cells --------------------------------------------------------------------------------------------- */

dal__postgres_kind dal__postgres_text_kind_of(Oid type)
{
        dal__postgres_kind kind = dal__postgres_kind_of(type);

        switch (kind) {
        case PG_KIND_BOOL:
                return PG_KIND_TEXT_BOOL;
        case PG_KIND_INT2:
        case PG_KIND_INT4:
        case PG_KIND_INT8:
        case PG_KIND_OID:
                return PG_KIND_TEXT_INT;
        case PG_KIND_FLOAT4:
                return PG_KIND_TEXT_FLOAT4;
        case PG_KIND_FLOAT8:
                return PG_KIND_TEXT_FLOAT8;
        case PG_KIND_NUMERIC:
                return PG_KIND_TEXT_NUMERIC;
        case PG_KIND_JSONB:
                return PG_KIND_TEXT;
        case PG_KIND_BYTEA:
                return PG_KIND_TEXT_BYTEA;
        case PG_KIND_TIMESTAMP:
                return PG_KIND_TEXT_TIMESTAMP;
        case PG_KIND_DATE:
                return PG_KIND_TEXT_DATE;
        case PG_KIND_UUID:
                return PG_KIND_TEXT_UUID;
        default:
                return kind; /* text, and what is handed on as it came */
        }
}

static bool parse_int64(const char *text, size_t size, int64_t *out)
{
        bool negative = size > 0 && text[0] == '-';
        uint64_t limit = (uint64_t)INT64_MAX + negative, value = 0;
        size_t i = negative;

        if (i == size)
                return false;
        for (; i < size; i++) {
                unsigned digit = (unsigned)(text[i] - '0');

                if (digit > 9 || value > (limit - digit) / 10)
                        return false;
                value = 10 * value + digit;
        }
        *out = (int64_t)(negative ? 0 - value : value);
        return true;
}

static int hex_digit(char c)
{
        if (c >= '0' && c <= '9')
                return c - '0';
        return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static char *parse_hex(const char *text, size_t size, char *out)
{
        for (size_t i = 0; i + 1 < size; i += 2) {
                int high = hex_digit(text[i]), low = hex_digit(text[i + 1]);

                if (high < 0 || low < 0)
                        return NULL;
                *out++ = (char)(16 * high + low);
        }
        return size % 2 ? NULL : out;
}

/* "\\" is a backslash, "\ooo" a byte in octal; the user may have asked for it by bytea_output. */
static char *parse_escapes(const char *text, size_t size, char *out)
{
        for (size_t i = 0; i < size; i++) {
                unsigned byte = 0;

                if (text[i] != '\\') {
                        *out++ = text[i];
                        continue;
                }
                if (i + 1 < size && text[i + 1] == '\\') {
                        *out++ = '\\';
                        i++;
                        continue;
                }
                if (size - i < 4)
                        return NULL;
                for (size_t n = 1; n <= 3; n++) {
                        unsigned digit = (unsigned)(text[i + n] - '0');

                        if (digit > 7)
                                return NULL;
                        byte = 8 * byte + digit;
                }
                if (byte > UINT8_MAX)
                        return NULL;
                *out++ = (char)byte;
                i += 3;
        }
        return out;
}

static dal__postgres_decoded decode_bytes(const char *text, size_t size, char **room, dal_value *out)
{
        bool is_hex = size >= 2 && text[0] == '\\' && text[1] == 'x';
        char *end = is_hex ? parse_hex(text + 2, size - 2, *room) : parse_escapes(text, size, *room);

        if (!end)
                return PG_MALFORMED;
        out->type = DAL_TYPE_BYTES;
        out->as.span.ptr = *room;
        out->as.span.size = (size_t)(end - *room);
        *room = end;
        return PG_DECODED;
}

static bool is_word(const char *text, size_t size, const char *word)
{
        return size == strlen(word) && memcmp(text, word, size) == 0;
}

static dal__postgres_decoded decode_time(dal__postgres_kind kind, const char *text, size_t size,
                                         dal_value *out)
{
        const char *space = memchr(text, ' ', size);
        int64_t days;

        if (is_word(text, size, "infinity") || is_word(text, size, "-infinity"))
                return PG_INFINITE;
        out->type = kind == PG_KIND_TEXT_DATE ? DAL_TYPE_DATE : DAL_TYPE_TIMESTAMP;
        if (kind == PG_KIND_TEXT_DATE)
                return dal_value_parse_date(text, size, &out->as.int64) ? PG_DECODED : PG_MALFORMED;
        if (dal_value_parse_timestamp(text, size, &out->as.int64))
                return PG_DECODED;
        return space && dal_value_parse_date(text, (size_t)(space - text), &days) && days >= TOO_LATE_DAY
                       ? PG_INFINITE
                       : PG_MALFORMED;
}

static bool decode_scalar(dal__postgres_kind kind, const char *text, size_t size, dal_value *out)
{
        switch (kind) {
        case PG_KIND_TEXT_BOOL:
                out->type = DAL_TYPE_BOOL;
                out->as.boolean = is_word(text, size, "t");
                return out->as.boolean || is_word(text, size, "f");
        case PG_KIND_TEXT_INT:
                out->type = DAL_TYPE_INT64;
                return parse_int64(text, size, &out->as.int64);
        case PG_KIND_TEXT_FLOAT4:
        case PG_KIND_TEXT_FLOAT8:
                out->type = DAL_TYPE_DOUBLE;
                return parse_double(text, size, kind == PG_KIND_TEXT_FLOAT4, &out->as.float64);
        default:
                out->type = DAL_TYPE_UUID;
                return dal_value_parse_uuid(text, size, out->as.uuid);
        }
}

dal__postgres_decoded dal__postgres_decode_text(dal__postgres_kind kind, const char *text, size_t size,
                                                char **room, dal_value *out)
{
        switch (kind) {
        case PG_KIND_TEXT_NUMERIC:
                out->type = DAL_TYPE_DECIMAL;
                out->as.span.ptr = text;
                out->as.span.size = size;
                return PG_DECODED;
        case PG_KIND_TEXT_BYTEA:
                return decode_bytes(text, size, room, out);
        case PG_KIND_TEXT_TIMESTAMP:
        case PG_KIND_TEXT_DATE:
                return decode_time(kind, text, size, out);
        default:
                return decode_scalar(kind, text, size, out) ? PG_DECODED : PG_MALFORMED;
        }
}

/* ---- parameters ---------------------------------------------------------------------------------------- */

size_t dal__postgres_text_room(const dal_value *value)
{
        switch ((dal_type)value->type) {
        case DAL_TYPE_NULL:
                return 0;
        case DAL_TYPE_DOUBLE:
                return DOUBLE_ROOM;
        case DAL_TYPE_TEXT:
        case DAL_TYPE_DECIMAL:
        case DAL_TYPE_OTHER:
                return value->as.span.size + 1;
        case DAL_TYPE_BYTES:
                return 2 * value->as.span.size + 3;
        default:
                return TIME_ROOM;
        }
}

static size_t put_hex(char *out, const char *bytes, size_t size)
{
        static const char digits[] = "0123456789abcdef";
        char *end = out;

        *end++ = '\\';
        *end++ = 'x';
        for (size_t i = 0; i < size; i++) {
                *end++ = digits[(unsigned char)bytes[i] >> 4];
                *end++ = digits[(unsigned char)bytes[i] & 15];
        }
        *end = '\0';
        return (size_t)(end - out);
}

/* Years BC are counted from 1, without a year zero. */
static size_t put_date(char *out, dal_civil civil)
{
        return (size_t)snprintf(out, TIME_ROOM, "%04d-%02u-%02u%s",
                                civil.year > 0 ? civil.year : 1 - civil.year, civil.month, civil.day,
                                civil.year > 0 ? "" : " BC");
}

static size_t put_timestamp(char *out, dal_civil civil)
{
        return (size_t)snprintf(out, TIME_ROOM, "%04d-%02u-%02u %02u:%02u:%02u.%06u+00%s",
                                civil.year > 0 ? civil.year : 1 - civil.year, civil.month, civil.day,
                                civil.hour, civil.minute, civil.second, civil.microsecond,
                                civil.year > 0 ? "" : " BC");
}

size_t dal__postgres_put_text(char *out, const dal_value *value)
{
        switch ((dal_type)value->type) {
        case DAL_TYPE_BOOL:
                return (size_t)snprintf(out, TIME_ROOM, "%c", value->as.boolean ? 't' : 'f');
        case DAL_TYPE_INT64:
                return (size_t)snprintf(out, TIME_ROOM, "%lld", (long long)value->as.int64);
        case DAL_TYPE_UINT64:
                return (size_t)snprintf(out, TIME_ROOM, "%llu", (unsigned long long)value->as.uint64);
        case DAL_TYPE_DOUBLE:
                return put_double(out, value->as.float64);
        case DAL_TYPE_TIMESTAMP:
                return put_timestamp(out, dal_value_civil_of_us(value->as.int64));
        case DAL_TYPE_DATE:
                return put_date(out, dal_value_civil_of_days(value->as.int64));
        case DAL_TYPE_UUID:
                dal_value_format_uuid(value->as.uuid, out);
                return 36;
        case DAL_TYPE_BYTES:
                return put_hex(out, value->as.span.ptr, value->as.span.size);
        default:
                memcpy(out, value->as.span.ptr, value->as.span.size);
                out[value->as.span.size] = '\0';
                return value->as.span.size;
        }
}

void dal__postgres_params_encode_text(dal__postgres_params *p, dal_params params)
{
        char *text = p->text;

        for (size_t i = 0; i < params.n_values; i++) {
                const dal_value *value = &params.values[i];

                p->types[i] = dal__postgres_type_of(value);
                p->formats[i] = p->lengths[i] = 0; /* libpq measures text by its end */
                p->values[i] = value->type == DAL_TYPE_NULL ? NULL : text;
                if (p->values[i])
                        text += dal__postgres_put_text(text, value) + 1;
        }
}
