/* SPDX-License-Identifier: MIT */
#include "mysql_impl.h"

#include <math.h>
#include <string.h>

/* Of COM_STMT_EXECUTE: command, statement number, flags, iteration count, and "types follow" */
#define PACKET_HEADER 11
/* libmysqlclient also sends a name for each, for the sake of query attributes. */
#define PARAM_HEADER (MYSQL_IS_CONNECTOR_C ? 2u : 3u)

#define US_PER_DAY INT64_C(86400000000)

/* DATETIME reaches from year 0 (unfit for arithmetic, yet stored) to 9999. Source: MySQL manual, date and time types */
static bool fits_calendar(int64_t unix_days)
{
        const dal_civil first = {.year = 0, .month = 1, .day = 1},
                        last = {.year = 9999, .month = 12, .day = 31};

        return unix_days >= dal_value_days_of_civil(first) && unix_days <= dal_value_days_of_civil(last);
}

static dal_status refuse(size_t i, const char *why, dal_error *err)
{
        dal_status s = dal_error_set(err, DAL_CLASS_DATA, "parameter %zu %s", i + 1, why);

        if (err)
                err->not_sent = true;
        return s;
}

dal_status dal__mysql_params_check(const dal_params *params, dal_error *err)
{
        for (size_t i = 0; i < params->n_values; i++) {
                const dal_value *v = &params->values[i];
                switch ((dal_type)v->type) {
                case DAL_TYPE_DOUBLE:
                        if (!isfinite(v->as.float64))
                                return refuse(i, "is NaN or infinite, which MySQL can't store", err);
                        break;
                case DAL_TYPE_DECIMAL:
                        if (!dal_value_is_decimal(v->as.span.ptr, v->as.span.size))
                                return refuse(i, "is not a decimal number", err);
                        break;
                case DAL_TYPE_TIMESTAMP: /* rounding towards zero only widens the range by less than a day */
                        if (!fits_calendar(v->as.int64 / US_PER_DAY))
                                return refuse(i,
                                              "lies outside the years 0 to 9999, which is all MySQL stores",
                                              err);
                        break;
                case DAL_TYPE_DATE:
                        if (!fits_calendar(v->as.int64))
                                return refuse(i,
                                              "lies outside the years 0 to 9999, which is all MySQL stores",
                                              err);
                        break;
                default:
                        break;
                }
        }
        return DAL_OK;
}

/* The client libraries only read parameters, but their structure is shared with results. */
static void *writable(const void *ptr)
{
        return (void *)(uintptr_t)ptr;
}

static void set_span(MYSQL_BIND *bind, enum enum_field_types type, const void *ptr, size_t size)
{
        bind->buffer_type = type;
        bind->buffer = writable(ptr);
        bind->buffer_length = size;
}

static void set_time(MYSQL_BIND *bind, MYSQL_TIME *time, const dal_value *v)
{
        bool is_date = v->type == DAL_TYPE_DATE;
        dal_civil civil = is_date ? dal_value_civil_of_days(v->as.int64) : dal_value_civil_of_us(v->as.int64);

        memset(time, 0, sizeof *time);
        time->year = (unsigned)civil.year;
        time->month = civil.month;
        time->day = civil.day;
        time->hour = civil.hour;
        time->minute = civil.minute;
        time->second = civil.second;
        time->second_part = civil.microsecond;
        time->time_type = is_date ? MYSQL_TIMESTAMP_DATE : MYSQL_TIMESTAMP_DATETIME;
        bind->buffer_type = is_date ? MYSQL_TYPE_DATE : MYSQL_TYPE_DATETIME;
        bind->buffer = time;
}

/* Bytes of a span in the packet, with the length in front. */
static uint64_t span_size(size_t size)
{
        return size + (size < 251 ? 1u : size < 65536 ? 3u : size < 16777216 ? 4u : 9u);
}

/* Points one binding at a value; returns the bytes it takes in the packet. */
static uint64_t set_one(MYSQL_BIND *bind, MYSQL_TIME *time, const dal_value *v)
{
        bind->is_unsigned = 0;
        switch ((dal_type)v->type) {
        case DAL_TYPE_NULL:
                bind->buffer_type = MYSQL_TYPE_NULL;
                return 0;
        case DAL_TYPE_BOOL:
                set_span(bind, MYSQL_TYPE_TINY, &v->as.boolean, 1);
                return 1;
        case DAL_TYPE_INT64:
                set_span(bind, MYSQL_TYPE_LONGLONG, &v->as.int64, 8);
                return 8;
        case DAL_TYPE_UINT64:
                set_span(bind, MYSQL_TYPE_LONGLONG, &v->as.uint64, 8);
                bind->is_unsigned = 1;
                return 8;
        case DAL_TYPE_DOUBLE:
                set_span(bind, MYSQL_TYPE_DOUBLE, &v->as.float64, 8);
                return 8;
        case DAL_TYPE_TIMESTAMP:
        case DAL_TYPE_DATE:
                set_time(bind, time, v);
                return 12;
        case DAL_TYPE_UUID:
                set_span(bind, MYSQL_TYPE_BLOB, v->as.uuid, sizeof v->as.uuid);
                return span_size(sizeof v->as.uuid);
        case DAL_TYPE_BYTES:
                set_span(bind, MYSQL_TYPE_BLOB, v->as.span.ptr, v->as.span.size);
                break;
        case DAL_TYPE_DECIMAL:
                set_span(bind, MYSQL_TYPE_NEWDECIMAL, v->as.span.ptr, v->as.span.size);
                break;
        case DAL_TYPE_TEXT:
        case DAL_TYPE_OTHER:
                set_span(bind, MYSQL_TYPE_STRING, v->as.span.ptr, v->as.span.size);
                break;
        }
        return span_size(v->as.span.size);
}

uint64_t dal__mysql_params_set(dal__mysql_stmt *stmt, const dal_params *params)
{
        uint64_t size =
                PACKET_HEADER + (params->n_values + 7) / 8 + PARAM_HEADER * (uint64_t)params->n_values;

        for (size_t i = 0; i < params->n_values; i++)
                size += set_one(&stmt->params[i], &stmt->times[i], &params->values[i]);
        return size;
}
