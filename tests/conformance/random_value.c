/* SPDX-License-Identifier: MIT */
/* Random values, most of them near the limits where conversions break. */

#include "random_value.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>

#define MAX_TEXT   (RANDOM_VALUE_ROOM - 64)
#define US_PER_DAY INT64_C(86400000000)

/* Source: Steele, Lea, Flood: "Fast Splittable Pseudorandom Number Generators", 2014 (SplitMix64). */
struct random {
        uint64_t state;
};

static uint64_t next(struct random *r)
{
        uint64_t z = r->state += UINT64_C(0x9e3779b97f4a7c15);

        z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
        z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
        return z ^ z >> 31;
}

static uint64_t below(struct random *r, uint64_t n)
{
        return next(r) % n;
}

static int64_t between(struct random *r, int64_t low, int64_t high)
{
        return (int64_t)((uint64_t)low + below(r, (uint64_t)high - (uint64_t)low + 1));
}

/* Half of them at a power of two, where conversions break. */
static uint64_t make_bits(struct random *r)
{
        uint64_t power = UINT64_C(1) << below(r, 64);

        switch (below(r, 4)) {
        case 0:
                return power + below(r, 3) - 1;
        case 1:
                return 0 - (power + below(r, 3) - 1);
        case 2:
                return below(r, 200) - 100;
        default:
                return next(r);
        }
}

static dal_value make_uint64(const struct conf *c, struct random *r)
{
        uint64_t bits = below(r, 8) ? make_bits(r) : UINT64_MAX - below(r, 3);

        return dal_uint64(conf_has_cap(c, DAL_CAP_UINT64) ? bits : bits & INT64_MAX);
}

static dal_value make_double(struct random *r)
{
        static const double list[] = {0.0,
                                      -0.0,
                                      DBL_MAX,
                                      -DBL_MAX,
                                      DBL_MIN,
                                      DBL_EPSILON,
                                      4.9e-324,
                                      -2.2250738585072009e-308,
                                      0.1,
                                      1e22,
                                      1e23,
                                      9007199254740991.0,
                                      9007199254740993.0,
                                      5e-324};
        uint64_t bits = next(r);
        double d;

        switch (below(r, 4)) {
        case 0:
                return dal_double(list[below(r, sizeof list / sizeof list[0])]);
        case 1:
                bits &= ~(UINT64_C(0x7ff) << 52); /* subnormal */
                break;
        case 2:
                return dal_double((double)(int64_t)make_bits(r));
        default:
                break;
        }
        memcpy(&d, &bits, sizeof d);
        return dal_double(isfinite(d) ? d : 0.5);
}

static char *put_digits(struct random *r, char *out, uint64_t n)
{
        /* Runs of nines and zeros carry and vanish; others don't. */
        unsigned kind = (unsigned)below(r, 4);

        for (uint64_t i = 0; i < n; i++)
                *out++ = kind == 0 ? '9' : kind == 1 ? '0' : (char)('0' + below(r, 10));
        return out;
}

static uint64_t shorter(struct random *r, uint64_t n)
{
        return below(r, 3) ? below(r, n < 12 ? n + 1 : 12) : n - below(r, n < 2 ? 1 : 2);
}

static dal_value make_decimal(const struct conf *c, struct random *r, char *buffer)
{
        uint64_t whole = c->q->decimal_whole, scale = c->q->decimal_scale;
        char *out = buffer;

        if (below(r, 2))
                *out++ = '-';
        if (whole > 1000) { /* the huge ones take their time */
                bool huge = below(r, 64) == 0;
                if (huge && below(r, 2)) {
                        out += sprintf(out, "%de%d", 1 + (int)below(r, 9), (int)whole - 1);
                        return dal_span_(DAL_TYPE_DECIMAL, buffer, (size_t)(out - buffer));
                }
                whole = huge ? MAX_TEXT / 2 : 100;
                scale = huge && scale > 10000 ? 10000 : 60;
        }
        out = put_digits(r, out, shorter(r, whole));
        if (out == buffer || out[-1] == '-')
                *out++ = '0';
        if (below(r, 4)) {
                *out++ = '.';
                out = put_digits(r, out, 1 + shorter(r, scale - 1));
        } else if (below(r, 4) == 0 && out - buffer < 10) {
                out += sprintf(out, "e%d", (int)between(r, -10, 10));
        }
        return dal_span_(DAL_TYPE_DECIMAL, buffer, (size_t)(out - buffer));
}

/* One character of each length of UTF-8, of every kind that something might take offence at. */
static char *put_character(struct random *r, char *out)
{
        static const char *const list[] = {
                "'",
                "\"",
                "\\",
                "?",
                "??",
                "`",
                "%",
                "_",
                "$1",
                ":a",
                "--",
                "/*",
                ";",
                "\n",
                "\r\n",
                "\t",
                "\x01",
                "\x7f",
                "\\'",
                "''",
                "\\0",
                "[",
                "{",
                "}",
                ",",
                "\xc2\x80",
                "\xdf\xbf",
                "\xe0\xa0\x80",
                "\xed\x9f\xbf",
                "\xee\x80\x80",
                "\xef\xbf\xbf",
                "\xef\xbb\xbf",
                "\xf0\x90\x80\x80",
                "\xf4\x8f\xbf\xbf",
                "e\xcc\x81",                                    /* a combining accent */
                "\xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x9a\x80", /* one emoji of three */
                "\xe2\x80\xae",
                "\xd7\xa9",
                " ",
                "  "};
        const char *piece;

        if (below(r, 2)) {
                *out++ = (char)('a' + below(r, 26));
                return out;
        }
        piece = list[below(r, sizeof list / sizeof list[0])];
        memcpy(out, piece, strlen(piece));
        return out + strlen(piece);
}

/* Lengths where a length in front grows by a byte, and where buffers do. */
static size_t make_size(struct random *r)
{
        static const uint32_t list[] = {0,   1,   15,   16,   17,    250,   251,  255,
                                        256, 257, 1023, 4096, 65535, 65536, 65537};

        if (below(r, 16) == 0)
                return list[below(r, sizeof list / sizeof list[0])];
        return below(r, 32) == 0 ? below(r, MAX_TEXT - 20) : below(r, 60);
}

static dal_value make_text(struct random *r, char *buffer)
{
        size_t size = make_size(r);
        char *out = buffer;

        while ((size_t)(out - buffer) < size)
                out = put_character(r, out);
        return dal_text_n(buffer, (size_t)(out - buffer));
}

static dal_value make_bytes(struct random *r, char *buffer)
{
        size_t size = make_size(r);
        unsigned kind = (unsigned)below(r, 4);

        for (size_t i = 0; i < size; i++)
                buffer[i] = kind == 0 ? "\0'\\\"\x1a%\n"[below(r, 7)] : (char)next(r);
        return dal_bytes(buffer, size);
}

/* The years that every engine has. */
static int64_t make_day(struct random *r)
{
        const dal_civil first = {.year = 1, .month = 1, .day = 1};
        const dal_civil last = {.year = 9999, .month = 12, .day = 31};
        dal_civil civil = {.year = (int32_t)between(r, 1, 9999), .month = 3, .day = 1};

        switch (below(r, 4)) {
        case 0:
                return below(r, 2) ? dal_value_days_of_civil(first) : dal_value_days_of_civil(last);
        case 1:
                return dal_value_days_of_civil(civil) - 1; /* the end of February */
        case 2:
                return between(r, -40000, 40000);
        default:
                return between(r, dal_value_days_of_civil(first), dal_value_days_of_civil(last));
        }
}

static dal_value make_timestamp(struct random *r)
{
        /* Clocks were moved here: Berlin, New York, Lord Howe, Samoa's missing day, two leap seconds. */
        static const int64_t moves[] = {1774746000, 1793005200, 1772953200, 1793512800,
                                        1775314800, 1325239200, 1483228800, 915148800};
        int64_t day_us = make_day(r) * US_PER_DAY;

        switch (below(r, 4)) {
        case 0:
                return dal_timestamp(day_us);
        case 1:
                return dal_timestamp(day_us + US_PER_DAY - 1);
        case 2:
                return dal_timestamp(moves[below(r, sizeof moves / sizeof moves[0])] * 1000000 +
                                     between(r, -7200, 7200) * 500000 + between(r, -1, 1));
        default:
                return dal_timestamp(day_us + (int64_t)below(r, (uint64_t)US_PER_DAY));
        }
}

static dal_value make_uuid(struct random *r)
{
        uint8_t bytes[16];

        for (size_t i = 0; i < sizeof bytes; i++)
                bytes[i] = below(r, 4) ? (uint8_t)next(r) : below(r, 2) ? 0 : 255;
        return dal_uuid(bytes);
}

/* One in sixteen is NULL. */
dal_value conf_random_value(const struct conf *c, dal_type type, uint64_t seed, int64_t i, char *buffer)
{
        struct random r = {seed ^ (uint64_t)type << 56 ^ (uint64_t)i << 16};

        if (below(&r, 16) == 0)
                return dal_null();
        switch (type) {
        case DAL_TYPE_BOOL:
                return dal_bool(below(&r, 2) == 1);
        case DAL_TYPE_INT64:
                return dal_int64((int64_t)make_bits(&r));
        case DAL_TYPE_UINT64:
                return make_uint64(c, &r);
        case DAL_TYPE_DOUBLE:
                return make_double(&r);
        case DAL_TYPE_DECIMAL:
                return make_decimal(c, &r, buffer);
        case DAL_TYPE_TEXT:
                return make_text(&r, buffer);
        case DAL_TYPE_BYTES:
                return make_bytes(&r, buffer);
        case DAL_TYPE_TIMESTAMP:
                return make_timestamp(&r);
        case DAL_TYPE_DATE:
                return dal_date(make_day(&r));
        default:
                return make_uuid(&r);
        }
}
