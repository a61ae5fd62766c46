/* SPDX-License-Identifier: MIT */
#ifndef DAL_VALUE_H
#define DAL_VALUE_H

/*
 * Values: what goes into a statement as a parameter and comes out of a row as a cell.
 *
 *      DAL_PARAMS(dal_int64(42), dal_text("blue"), dal_decimal("19.90"), dal_null())
 *
 * A value owns nothing. Text, bytes and decimals are borrowed: as a parameter they must live until the call
 * returns; as a cell they are borrowed until the next row.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#ifdef __cplusplus
#include <initializer_list>
#endif

#include <dal/error.h>
#include <dal/macros.h>

DAL_BEGIN_DECLS

typedef enum dal_type {
        DAL_TYPE_NULL,
        DAL_TYPE_BOOL,
        DAL_TYPE_INT64,
        DAL_TYPE_UINT64,
        DAL_TYPE_DOUBLE,
        DAL_TYPE_DECIMAL,   /* exact, as text: "-12.340"; never passes through a double */
        DAL_TYPE_TEXT,      /* UTF-8 */
        DAL_TYPE_BYTES,
        DAL_TYPE_TIMESTAMP, /* an instant: microseconds since 1970-01-01T00:00:00Z */
        DAL_TYPE_DATE,      /* days since 1970-01-01, proleptic Gregorian */
        DAL_TYPE_UUID,      /* 16 bytes in network order */
        DAL_TYPE_OTHER      /* a type the library does not know: the bytes or text as the server sent them */
} dal_type;

/* The column has no declared type (an expression on SQLite): getters then convert where nothing is lost. */
#define DAL_VALUE_UNTYPED 0x01u

/** One parameter or one cell: 24 bytes, passed by value. */
typedef struct dal_value {
        uint8_t type;     /* dal_type */
        uint8_t flags;    /* DAL_VALUE_* */
        uint16_t reserved;
        uint32_t type_id; /* the server's own type number where it has one (an OID); 0 otherwise */
        union {
                bool boolean;
                int64_t int64;     /* also timestamp (microseconds) and date (days) */
                uint64_t uint64;
                double float64;
                struct {
                        const char *ptr; /* not NUL-terminated */
                        size_t size;     /* bytes */
                } span;            /* text, bytes, decimal, other */
                uint8_t uuid[16];
        } as;
} dal_value;

/** Parameters of one call: borrowed until the call returns. */
typedef struct dal_params {
        const dal_value *values;
        size_t n_values;
} dal_params;

/* Field by field: after a memset() compilers store one byte and then read sixteen, for which a CPU has to wait. */
static inline dal_value dal_value_of_type(dal_type type)
{
        dal_value v;
        v.type = (uint8_t)type;
        v.flags = 0;
        v.reserved = 0;
        v.type_id = 0;
        v.as.span.ptr = NULL;
        v.as.span.size = 0;
        return v;
}

static inline dal_value dal_null(void)
{
        return dal_value_of_type(DAL_TYPE_NULL);
}

static inline dal_value dal_bool(bool value)
{
        dal_value v = dal_value_of_type(DAL_TYPE_BOOL);
        v.as.boolean = value;
        return v;
}

static inline dal_value dal_int64(int64_t value)
{
        dal_value v = dal_value_of_type(DAL_TYPE_INT64);
        v.as.int64 = value;
        return v;
}

static inline dal_value dal_uint64(uint64_t value)
{
        dal_value v = dal_value_of_type(DAL_TYPE_UINT64);
        v.as.uint64 = value;
        return v;
}

/** NaN and infinities are refused by the engines that can't store them. */
static inline dal_value dal_double(double value)
{
        dal_value v = dal_value_of_type(DAL_TYPE_DOUBLE);
        v.as.float64 = value;
        return v;
}

static inline dal_value dal_span_(dal_type type, const void *ptr, size_t size)
{
        dal_value v = dal_value_of_type(type);
        v.as.span.ptr = ptr || size ? (const char *)ptr : ""; /* NULL with a size is refused when it is used */
        v.as.span.size = size;
        return v;
}

/** UTF-8 text of `size` bytes; no terminator needed. A NULL pointer with size 0 is the empty text, not NULL. */
static inline dal_value dal_text_n(const char *text, size_t size)
{
        return dal_span_(DAL_TYPE_TEXT, text, size);
}

/** NUL-terminated UTF-8 text. A NULL pointer gives SQL NULL. */
static inline dal_value dal_text(const char *text)
{
        return text ? dal_text_n(text, strlen(text)) : dal_null();
}

/** Bytes. A NULL pointer with size 0 is the empty byte string, not NULL. */
static inline dal_value dal_bytes(const void *bytes, size_t size)
{
        return dal_span_(DAL_TYPE_BYTES, bytes, size);
}

/** An exact decimal number as text: "-12.34", also "1e3". Checked when the statement runs. NULL gives SQL NULL. */
static inline dal_value dal_decimal(const char *text)
{
        return text ? dal_span_(DAL_TYPE_DECIMAL, text, strlen(text)) : dal_null();
}

/** An instant, in microseconds since 1970-01-01T00:00:00Z. */
static inline dal_value dal_timestamp(int64_t unix_us)
{
        dal_value v = dal_value_of_type(DAL_TYPE_TIMESTAMP);
        v.as.int64 = unix_us;
        return v;
}

/** A calendar day, in days since 1970-01-01. */
static inline dal_value dal_date(int64_t unix_days)
{
        dal_value v = dal_value_of_type(DAL_TYPE_DATE);
        v.as.int64 = unix_days;
        return v;
}

/** A UUID of 16 bytes in network order; copied. */
static inline dal_value dal_uuid(const uint8_t bytes[16])
{
        dal_value v = dal_value_of_type(DAL_TYPE_UUID);
        memcpy(v.as.uuid, bytes, 16);
        return v;
}

/** A calendar day and a time of day, for conversions. */
typedef struct dal_civil {
        int32_t year; /* astronomical: 0 is 1 BC */
        uint8_t month, day, hour, minute, second;
        uint32_t microsecond;
} dal_civil;

/** Returns the name of a type, "int64". Static. Threads: any. Blocks: no. */
const char *dal_value_type_name(dal_type type);
/** Converts days since 1970-01-01 to year, month and day (time fields zero). Threads: any. Blocks: no. */
dal_civil dal_value_civil_of_days(int64_t unix_days);
/** Converts microseconds since 1970 to date and time of day in UTC. Threads: any. Blocks: no. */
dal_civil dal_value_civil_of_us(int64_t unix_us);
/** Converts a date to days since 1970-01-01; the time fields are ignored. Threads: any. Blocks: no. */
int64_t dal_value_days_of_civil(dal_civil civil);
/** Converts date and time of day in UTC to microseconds since 1970; saturates. Threads: any. Blocks: no. */
int64_t dal_value_us_of_civil(dal_civil civil);
/** Says whether text is a decimal number: sign, digits, one point, exponent. Threads: any. Blocks: no. */
bool dal_value_is_decimal(const char *text, size_t size);
/** Says whether text is well-formed UTF-8 without overlong forms or surrogates. Threads: any. Blocks: no. */
bool dal_value_is_utf8(const char *text, size_t size);
/** Parses "550e8400-e29b-41d4-a716-446655440000" (any case, with or without hyphens). Threads: any. Blocks: no. */
bool dal_value_parse_uuid(const char *text, size_t size, uint8_t out[16]);
/** Writes the 36 characters of a UUID in lower case and a NUL. Threads: any. Blocks: no. */
void dal_value_format_uuid(const uint8_t uuid[16], char out[37]);
/**
 * Parses "2026-11-21", "2026-11-21 10:00:00.123456", "...T...Z", "...+02"; without zone it is UTC. Years have four
 * digits or, beyond 9999, up to seven; "0044-03-15 12:00:00+00 BC" is the year 44 BC. Digits after the sixth of a
 * second must be zero. Refused is what an int64 of microseconds can't hold. Threads: any. Blocks: no.
 */
bool dal_value_parse_timestamp(const char *text, size_t size, int64_t *unix_us_out);
/** Parses "2026-11-21", "12026-11-21", "0044-03-15 BC". Threads: any. Blocks: no. */
bool dal_value_parse_date(const char *text, size_t size, int64_t *unix_days_out);

DAL_END_DECLS

#ifdef __cplusplus
/* The list lives until the end of the full expression, that is, for the whole call. */
static inline dal_params dal_params_of_(std::initializer_list<dal_value> list)
{
        dal_params p = {list.begin(), list.size()};
        return p;
}
#define DAL_PARAMS(...) dal_params_of_({__VA_ARGS__})
#define DAL_NO_PARAMS   (dal_params{nullptr, 0})
#else
/** The parameters of a call, in the order of the statement's `?`. Each argument is evaluated once. */
#define DAL_PARAMS(...)                                                                            \
        ((dal_params){(const dal_value[]){__VA_ARGS__},                                            \
                      sizeof((const dal_value[]){__VA_ARGS__}) / sizeof(dal_value)})
#define DAL_NO_PARAMS ((dal_params){NULL, 0})
#endif

#endif
