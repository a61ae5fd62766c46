/* SPDX-License-Identifier: MIT */
#include "text_values.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A number, a date or a time with all its words; snprintf() ends it in a NUL that the margin has room for. */
#define SHORT_ROOM 48u
#define HEX_ROOM   16u /* "_utf8mb4 0x" and the like */

/* The server holds 65 digits, 38 of them behind the point at most; more only decide about rounding and overflow. */
#define MAX_SHIFT    100
#define DECIMAL_ROOM (2u * MAX_SHIFT + 16u)

/* ---- literals ---- */

uint64_t dal__mysql_text_room(const dal_value *value)
{
        switch ((dal_type)value->type) {
        case DAL_TYPE_DECIMAL:
                return (uint64_t)value->as.span.size + DECIMAL_ROOM + DAL__MYSQL_LITERAL_MARGIN;
        case DAL_TYPE_TEXT:
        case DAL_TYPE_BYTES:
        case DAL_TYPE_OTHER:
                return 2 * (uint64_t)value->as.span.size + HEX_ROOM + DAL__MYSQL_LITERAL_MARGIN;
        case DAL_TYPE_NULL:
        case DAL_TYPE_BOOL:
        case DAL_TYPE_INT64:
        case DAL_TYPE_UINT64:
        case DAL_TYPE_DOUBLE:
        case DAL_TYPE_TIMESTAMP:
        case DAL_TYPE_DATE:
        case DAL_TYPE_UUID:
                break;
        }
        return SHORT_ROOM + DAL__MYSQL_LITERAL_MARGIN;
}

static char *put(char *out, const char *text)
{
        size_t size = strlen(text);

        memcpy(out, text, size);
        return out + size;
}

/*
 * Without an introducer a hexadecimal literal is a number where one is wanted, and refused as JSON; with one it is a
 * string whose collation gives way to a column's, like that of a bound parameter.
 * Source: MySQL 8.4 manual, 11.1.4 "Hexadecimal Literals", and 12.8.4 "Collation Coercibility in Expressions"
 */
static char *put_hex(char *out, const char *introducer, const void *bytes, size_t size)
{
        static const char digits[] = "0123456789ABCDEF";
        const unsigned char *in = bytes;

        out = put(out, introducer);
        if (size == 0)
                return put(out, "''");
        out = put(out, " 0x");
        for (size_t i = 0; i < size; i++) {
                *out++ = digits[in[i] >> 4];
                *out++ = digits[in[i] & 15];
        }
        return out;
}

/* In brackets, because -? would begin a comment and a blank would make one of --?. */
static char *put_int64(char *out, int64_t number)
{
        int n = snprintf(out, SHORT_ROOM, number < 0 ? "(%" PRId64 ")" : "%" PRId64, number);

        return out + n;
}

static char *put_uint64(char *out, uint64_t number)
{
        return out + snprintf(out, SHORT_ROOM, "%" PRIu64, number);
}

/* Digits and an exponent, which makes it a DOUBLE; no point, as what printf() takes for one depends on the locale. */
static char *put_double(char *out, double number)
{
        char text[40], digits[24];
        size_t n = 0;
        long exponent = 0;

        (void)snprintf(text, sizeof text, "%.16e", number);
        for (const char *c = text; *c; c++) {
                if (*c == 'e') {
                        exponent = strtol(c + 1, NULL, 10);
                        break;
                }
                if (*c >= '0' && *c <= '9')
                        digits[n++] = *c;
        }
        exponent -= 16;
        while (n > 1 && digits[n - 1] == '0') {
                n--;
                exponent++;
        }
        digits[n] = '\0';
        return out + snprintf(out, SHORT_ROOM, text[0] == '-' ? "(-%se%ld)" : "%se%ld", digits, exponent);
}

static char *put_zeros(char *out, long n)
{
        for (; n > 0; n--)
                *out++ = '0';
        return out;
}

/* The digits of a decimal without leading zeros, and where the point is: 0.DIGITS times ten to the power of `shift`. */
typedef struct decimal {
        const char *first; /* the digits, perhaps with the point among them; NULL if all are zero */
        const char *end;
        long n_digits;
        long shift;
} decimal;

static void add_exponent(decimal *d, const char *text, const char *end)
{
        bool negative = text < end && *text == '-';
        long exponent = 0;

        for (; text < end; text++)
                if (*text >= '0' && *text <= '9' && exponent < INT32_MAX / 10)
                        exponent = exponent * 10 + (*text - '0');
        d->shift += negative ? -exponent : exponent;
}

static decimal read_decimal(const char *text, size_t size)
{
        decimal d = {NULL, text + size, 0, 0};
        bool behind_point = false;

        for (const char *c = text; c < text + size; c++) {
                if (*c == 'e' || *c == 'E') {
                        d.end = c;
                        add_exponent(&d, c + 1, text + size);
                        break;
                }
                if (*c == '.')
                        behind_point = true;
                if (*c < '0' || *c > '9')
                        continue;
                if (!d.first && *c != '0')
                        d.first = c;
                d.n_digits += d.first != NULL;
                if (behind_point)
                        d.shift -= d.first == NULL;
                else
                        d.shift += d.first != NULL;
        }
        return d;
}

/* Written out: with an exponent it would be a DOUBLE. The point at the end makes a DECIMAL of a whole number. */
static char *put_decimal(char *out, const dal_value *v)
{
        decimal d = read_decimal(v->as.span.ptr, v->as.span.size);
        bool negative = v->as.span.size && v->as.span.ptr[0] == '-';
        long n = 0;

        if (!d.first)
                return put(out, "0.");
        if (d.shift > MAX_SHIFT + d.n_digits) /* beyond every DECIMAL either way */
                d.shift = MAX_SHIFT + d.n_digits;
        if (d.shift < -MAX_SHIFT)
                d.shift = -MAX_SHIFT;
        out = put(out, negative ? "(-" : "");
        if (d.shift <= 0) {
                out = put(out, "0.");
                out = put_zeros(out, -d.shift);
        }
        for (const char *c = d.first; c < d.end; c++) {
                if (*c == '.')
                        continue;
                *out++ = *c;
                if (++n == d.shift)
                        *out++ = '.';
        }
        if (n < d.shift) {
                out = put_zeros(out, d.shift - n);
                *out++ = '.';
        }
        return put(out, negative ? ")" : "");
}

static char *put_date(char *out, int64_t days)
{
        dal_civil civil = dal_value_civil_of_days(days);

        return out +
               snprintf(out, SHORT_ROOM, "DATE'%04d-%02u-%02u'", (int)civil.year, civil.month, civil.day);
}

/* Whole seconds without a fraction, as the server writes a parameter's where text is wanted. */
static char *put_timestamp(char *out, int64_t us)
{
        dal_civil civil = dal_value_civil_of_us(us);

        out += snprintf(out, SHORT_ROOM, "TIMESTAMP'%04d-%02u-%02u %02u:%02u:%02u", (int)civil.year,
                        civil.month, civil.day, civil.hour, civil.minute, civil.second);
        if (civil.microsecond)
                out += snprintf(out, 8, ".%06u", civil.microsecond);
        *out++ = '\'';
        return out;
}

static char *put_literal(char *out, const dal_value *v)
{
        switch ((dal_type)v->type) {
        case DAL_TYPE_NULL:
                return put(out, "NULL");
        case DAL_TYPE_BOOL:
                return put(out, v->as.boolean ? "1" : "0");
        case DAL_TYPE_INT64:
                return put_int64(out, v->as.int64);
        case DAL_TYPE_UINT64:
                return put_uint64(out, v->as.uint64);
        case DAL_TYPE_DOUBLE:
                return put_double(out, v->as.float64);
        case DAL_TYPE_DECIMAL:
                return put_decimal(out, v);
        case DAL_TYPE_TIMESTAMP:
                return put_timestamp(out, v->as.int64);
        case DAL_TYPE_DATE:
                return put_date(out, v->as.int64);
        case DAL_TYPE_UUID:
                return put_hex(out, "_binary", v->as.uuid, sizeof v->as.uuid);
        case DAL_TYPE_BYTES:
                return put_hex(out, "_binary", v->as.span.ptr, v->as.span.size);
        case DAL_TYPE_TEXT:
        case DAL_TYPE_OTHER:
                break;
        }
        return put_hex(out, "_utf8mb4", v->as.span.ptr, v->as.span.size);
}

/* A letter, a digit or a quote next to a literal would be taken for a part of it. */
static bool sticks(char c)
{
        return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
               (unsigned char)c >= 0x80 || (c && strchr("_$@.'\"`", c));
}

size_t dal__mysql_text_write(char *out, const char *text, size_t size, const size_t *marks,
                             const dal_params *params)
{
        const char *begin = out;
        size_t at = 0;

        for (size_t i = 0; i < params->n_values; i++) {
                size_t mark = marks[i];

                memcpy(out, text + at, mark - at);
                out += mark - at;
                if (mark > 0 && sticks(text[mark - 1]))
                        *out++ = ' ';
                out = put_literal(out, &params->values[i]);
                at = mark + 1;
                if (at < size && (sticks(text[at]) || text[at] == '?'))
                        *out++ = ' ';
        }
        memcpy(out, text + at, size - at);
        out += size - at;
        return (size_t)(out - begin);
}

/* ---- cells ---- */

bool dal__mysql_text_uint64(const char *text, size_t size, uint64_t *out)
{
        uint64_t number = 0;

        if (size == 0)
                return false;
        for (size_t i = 0; i < size; i++) {
                unsigned digit = (unsigned)(text[i] - '0');

                if (digit > 9 || number > (UINT64_MAX - digit) / 10)
                        return false;
                number = number * 10 + digit;
        }
        *out = number;
        return true;
}

bool dal__mysql_text_int64(const char *text, size_t size, int64_t *out)
{
        bool negative = size && text[0] == '-';
        uint64_t number;

        if (!dal__mysql_text_uint64(text + negative, size - negative, &number))
                return false;
        if (number > (uint64_t)INT64_MAX + negative)
                return false;
        *out = negative ? (int64_t)(0 - number) : (int64_t)number;
        return true;
}

/* strtod() would look for the locale's point: it is given the digits without one and the exponent to match. */
bool dal__mysql_text_double(const char *text, size_t size, bool narrow, double *out)
{
        char plain[400]; /* ZEROFILL pads to at most 255 */
        size_t n = 0, i = 0;
        long exponent = 0, n_behind = 0;
        bool behind_point = false, has_digit = false;
        char *end;

        if (size > sizeof plain - 32)
                return false;
        for (; i < size && text[i] != 'e' && text[i] != 'E'; i++) {
                bool is_digit = text[i] >= '0' && text[i] <= '9';

                if (text[i] == '.' && !behind_point) {
                        behind_point = true;
                        continue;
                }
                if (!is_digit && !(i == 0 && text[i] == '-'))
                        return false;
                has_digit |= is_digit;
                n_behind += behind_point;
                plain[n++] = text[i];
        }
        if (!has_digit)
                return false;
        if (i < size) {
                char digits[8];
                int64_t read;
                size_t sign = i + 1 < size && text[i + 1] == '+', n_digits = size - i - 1 - sign;

                if (n_digits >= sizeof digits || !dal__mysql_text_int64(text + i + 1 + sign, n_digits, &read))
                        return false;
                exponent = (long)read;
        }
        (void)snprintf(plain + n, sizeof plain - n, "e%ld", exponent - n_behind);
        *out = narrow ? (double)strtof(plain, &end) : strtod(plain, &end);
        return *end == '\0';
}

static bool read_digits(const char *text, size_t n, unsigned *out)
{
        unsigned number = 0;

        for (size_t i = 0; i < n; i++) {
                unsigned digit = (unsigned)(text[i] - '0');
                if (digit > 9)
                        return false;
                number = number * 10 + digit;
        }
        *out = number;
        return true;
}

static bool read_fraction(const char *text, size_t size, dal_civil *out)
{
        unsigned us = 0;

        if (size == 0)
                return true;
        if (text[0] != '.' || size < 2 || size > 7 || !read_digits(text + 1, size - 1, &us))
                return false;
        for (size_t n = size - 1; n < 6; n++)
                us *= 10;
        out->microsecond = us;
        return true;
}

bool dal__mysql_text_civil(const char *text, size_t size, dal_civil *out)
{
        unsigned year, month, day, hour, minute, second;

        memset(out, 0, sizeof *out);
        if (size < 10 || text[4] != '-' || text[7] != '-' || !read_digits(text, 4, &year) ||
            !read_digits(text + 5, 2, &month) || !read_digits(text + 8, 2, &day))
                return false;
        out->year = (int32_t)year;
        out->month = (uint8_t)month;
        out->day = (uint8_t)day;
        if (size == 10)
                return true;
        if (size < 19 || text[10] != ' ' || text[13] != ':' || text[16] != ':' ||
            !read_digits(text + 11, 2, &hour) || !read_digits(text + 14, 2, &minute) ||
            !read_digits(text + 17, 2, &second))
                return false;
        out->hour = (uint8_t)hour;
        out->minute = (uint8_t)minute;
        out->second = (uint8_t)second;
        return read_fraction(text + 19, size - 19, out);
}
