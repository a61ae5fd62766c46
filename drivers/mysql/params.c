/* SPDX-License-Identifier: MIT */
#include "mysql_impl.h"

#include <math.h>
#include <string.h>

#include <dal/mem.h>

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

dal_status dal__mysql_params_check(const dal_value *value, size_t i, dal_error *err)
{
        bool is_date = value->type == DAL_TYPE_DATE;

        switch ((dal_type)value->type) {
        case DAL_TYPE_DOUBLE:
                if (!isfinite(value->as.float64))
                        return refuse(i, "is NaN or infinite, which MySQL can't store", err);
                break;
        case DAL_TYPE_DECIMAL:
                if (!dal_value_is_decimal(value->as.span.ptr, value->as.span.size))
                        return refuse(i, "is not a decimal number", err);
                break;
        case DAL_TYPE_TIMESTAMP: /* rounding towards zero only widens the range by less than a day */
        case DAL_TYPE_DATE:
                if (!fits_calendar(is_date ? value->as.int64 : value->as.int64 / US_PER_DAY))
                        return refuse(i, "lies outside the years 0 to 9999, which is all MySQL stores", err);
                break;
        default:
                break;
        }
        return DAL_OK;
}

/* The client libraries only read parameters, but their structure is shared with results. */
static void *writable(const void *ptr)
{
        return (void *)(uintptr_t)ptr;
}

/* A parameter, and whether what the library was told of it has changed. */
typedef struct binding {
        dal__mysql_slot *slot;
        bool changed;
} binding;

static void set_type(binding *b, enum enum_field_types type, const void *buffer, bool is_unsigned)
{
        dal__mysql_slot *slot = b->slot;

        if (slot->buffer == buffer && slot->type == (unsigned)type && slot->is_unsigned == is_unsigned)
                return;
        slot->type = (uint8_t)type;
        slot->buffer = buffer;
        slot->is_unsigned = is_unsigned;
        b->changed = true;
}

/* Bytes of a span in the packet, with the length in front. */
static uint64_t span_size(size_t size)
{
        return size + (size < 251 ? 1u : size < 65536 ? 3u : size < 16777216 ? 4u : 9u);
}

static uint64_t set_span(binding *b, enum enum_field_types type, const void *ptr, size_t size)
{
        if (size <= DAL__MYSQL_SHORT) {
                memcpy(b->slot->as.bytes, ptr, size);
                ptr = b->slot->as.bytes;
        }
        b->slot->size = size;
        set_type(b, type, ptr, false);
        return span_size(size);
}

static void set_time(binding *b, const dal_value *v)
{
        bool is_date = v->type == DAL_TYPE_DATE;
        dal_civil civil = is_date ? dal_value_civil_of_days(v->as.int64) : dal_value_civil_of_us(v->as.int64);
        MYSQL_TIME *time = &b->slot->as.time;

        memset(time, 0, sizeof *time);
        time->year = (unsigned)civil.year;
        time->month = civil.month;
        time->day = civil.day;
        time->hour = civil.hour;
        time->minute = civil.minute;
        time->second = civil.second;
        time->second_part = civil.microsecond;
        time->time_type = is_date ? MYSQL_TIMESTAMP_DATE : MYSQL_TIMESTAMP_DATETIME;
        set_type(b, is_date ? MYSQL_TYPE_DATE : MYSQL_TYPE_DATETIME, time, false);
}

/* NULL keeps the type the parameter had: a change of types costs both sides work. */
static void set_null(binding *b)
{
        if (!b->slot->buffer)
                set_type(b, MYSQL_TYPE_STRING, b->slot->as.bytes, false);
}

/* Puts one value in place; returns the bytes it takes in the packet. */
static uint64_t set_one(binding *b, const dal_value *v)
{
        b->slot->is_null = v->type == DAL_TYPE_NULL;
        switch ((dal_type)v->type) {
        case DAL_TYPE_NULL:
                set_null(b);
                return 0;
        case DAL_TYPE_BOOL:
                b->slot->as.boolean = v->as.boolean;
                set_type(b, MYSQL_TYPE_TINY, &b->slot->as, false);
                return 1;
        case DAL_TYPE_INT64:
                b->slot->as.int64 = v->as.int64;
                set_type(b, MYSQL_TYPE_LONGLONG, &b->slot->as, false);
                return 8;
        case DAL_TYPE_UINT64:
                b->slot->as.uint64 = v->as.uint64;
                set_type(b, MYSQL_TYPE_LONGLONG, &b->slot->as, true);
                return 8;
        case DAL_TYPE_DOUBLE:
                b->slot->as.float64 = v->as.float64;
                set_type(b, MYSQL_TYPE_DOUBLE, &b->slot->as, false);
                return 8;
        case DAL_TYPE_TIMESTAMP:
        case DAL_TYPE_DATE:
                set_time(b, v);
                return 12;
        case DAL_TYPE_UUID:
                return set_span(b, MYSQL_TYPE_BLOB, v->as.uuid, sizeof v->as.uuid);
        case DAL_TYPE_BYTES:
                return set_span(b, MYSQL_TYPE_BLOB, v->as.span.ptr, v->as.span.size);
        case DAL_TYPE_DECIMAL:
                return set_span(b, MYSQL_TYPE_NEWDECIMAL, v->as.span.ptr, v->as.span.size);
        case DAL_TYPE_TEXT:
        case DAL_TYPE_OTHER:
                break;
        }
        return set_span(b, MYSQL_TYPE_STRING, v->as.span.ptr, v->as.span.size);
}

/* The usual case: an integer where the library was told of one. */
static inline bool put_int64(dal__mysql_slot *slot, const dal_value *v)
{
        if (v->type != DAL_TYPE_INT64 || slot->buffer != &slot->as || slot->type != MYSQL_TYPE_LONGLONG ||
            slot->is_unsigned)
                return false;
        slot->is_null = false;
        slot->as.int64 = v->as.int64;
        return true;
}

DAL_NOINLINE static uint64_t put_value(dal__mysql_slot *slot, const dal_value *v, bool *changed)
{
        binding b = {slot, false};
        uint64_t size = set_one(&b, v);

        *changed |= b.changed;
        return size;
}

uint64_t dal__mysql_params_set(dal__mysql_stmt *stmt, const dal_params *params, bool *changed_out)
{
        uint64_t size =
                PACKET_HEADER + (params->n_values + 7) / 8 + PARAM_HEADER * (uint64_t)params->n_values;

        *changed_out = false;
        for (size_t i = 0; i < params->n_values; i++) {
                if (put_int64(&stmt->slots[i], &params->values[i]))
                        size += 8;
                else
                        size += put_value(&stmt->slots[i], &params->values[i], changed_out);
        }
        return size;
}

const dal__mysql_slot *dal__mysql_params_put(dal__mysql_stmt *stmt, size_t i, const dal_value *v)
{
        bool changed = false;

        (void)put_value(&stmt->slots[i], v, &changed);
        return &stmt->slots[i];
}

/* The library copies what it is told, so nothing of that is kept here. */
dal_status dal__mysql_params_tell(dal__mysql_conn *conn, dal__mysql_stmt *stmt, dal_error *err)
{
        MYSQL_BIND *binds = dal_mem_alloc(stmt->n_params * sizeof *binds);
        bool failed;

        if (!binds)
                return dal_error_set(err, DAL_CLASS_NO_MEMORY, "out of memory for %u parameters",
                                     stmt->n_params);
        for (uint32_t i = 0; i < stmt->n_params; i++) {
                dal__mysql_slot *slot = &stmt->slots[i];

                binds[i].buffer_type = (enum enum_field_types)slot->type;
                binds[i].buffer = writable(slot->buffer);
                binds[i].is_unsigned = slot->is_unsigned;
                binds[i].length = &slot->size;
                binds[i].is_null = &slot->is_null;
        }
        failed = mysql_stmt_bind_param(stmt->handle, binds);
        dal_mem_free(binds);
        return failed ? dal__mysql_fail(conn, stmt->handle, err) : DAL_OK;
}

void dal__mysql_params_forget(dal__mysql_stmt *stmt)
{
        for (size_t i = 0; i < stmt->n_params; i++)
                stmt->slots[i].buffer = NULL;
}
