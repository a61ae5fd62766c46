/* SPDX-License-Identifier: MIT */
/* Parameters in the form that libpq takes. */

#include "postgres_impl.h"

#include <stdio.h>
#include <string.h>

#include <dal/mem.h>

/* A message can't exceed what the server allocates at once. Source: memutils.h, MaxAllocSize. */
#define MAX_MESSAGE ((size_t)0x3fffffff)

/*
 * Types are declared only where a value has one. NULL and text are sent without, so that the server infers what
 * the statement needs there (a date, an enum, a JSON document); integers are int8, which the server casts to the
 * type of the column in comparisons and assignments. Where only a smaller type will do, as with
 * substr(text, int, int), the statement says so: `?::int`.
 */
Oid dal__postgres_type_of(const dal_value *value)
{
        switch ((dal_type)value->type) {
        case DAL_TYPE_BOOL:
                return PG_OID_BOOL;
        case DAL_TYPE_INT64:
                return PG_OID_INT8;
        case DAL_TYPE_UINT64:
                return value->as.uint64 <= INT64_MAX ? PG_OID_INT8 : PG_OID_NUMERIC;
        case DAL_TYPE_DOUBLE:
                return PG_OID_FLOAT8;
        case DAL_TYPE_DECIMAL:
                return PG_OID_NUMERIC;
        case DAL_TYPE_BYTES:
                return PG_OID_BYTEA;
        case DAL_TYPE_TIMESTAMP:
                return PG_OID_TIMESTAMPTZ;
        case DAL_TYPE_DATE:
                return PG_OID_DATE;
        case DAL_TYPE_UUID:
                return PG_OID_UUID;
        case DAL_TYPE_OTHER:
                return value->type_id;
        case DAL_TYPE_NULL:
        case DAL_TYPE_TEXT:
                break;
        }
        return 0;
}

/* Integers travel as decimals to a statement prepared for those, rather than preparing back and forth. */
static bool fits_type(const dal_value *value, Oid type)
{
        if (value->type == DAL_TYPE_NULL || dal__postgres_type_of(value) == type)
                return true;
        return type == PG_OID_NUMERIC && (value->type == DAL_TYPE_INT64 || value->type == DAL_TYPE_UINT64);
}

/* ---- room ----------------------------------------------------------------------------------------------------- */

static dal_status out_of_range(size_t i, const dal_value *value, dal_error *err)
{
        dal_error_set(err, DAL_CLASS_OVERFLOW, "parameter %zu: this %s is outside what PostgreSQL can store",
                      i + 1, dal_value_type_name((dal_type)value->type));
        if (err)
                err->not_sent = true;
        return DAL_ERR_RANGE;
}

/* The values whose own range is wider than the wire's; the server checks the rest. */
static bool fits_wire(const dal_value *value)
{
        if (value->type == DAL_TYPE_DATE)
                return value->as.int64 > INT32_MIN + PG_EPOCH_DAYS && value->as.int64 < INT32_MAX;
        if (value->type == DAL_TYPE_TIMESTAMP)
                return value->as.int64 > INT64_MIN + PG_EPOCH_US && value->as.int64 != INT64_MAX;
        return true;
}

static bool has_text(const dal_value *value)
{
        return value->type == DAL_TYPE_TEXT || value->type == DAL_TYPE_DECIMAL;
}

static bool has_span(const dal_value *value)
{
        return has_text(value) || value->type == DAL_TYPE_BYTES || value->type == DAL_TYPE_OTHER;
}

static dal_status no_memory(size_t size, dal_error *err)
{
        dal_error_set(err, DAL_CLASS_NO_MEMORY, "out of memory for %zu bytes of parameters", size);
        if (err)
                err->not_sent = true;
        return DAL_ERR_NOMEM;
}

/* One block for the five arrays, those with the widest elements first. */
static dal_status grow_params(dal__postgres_params *p, size_t n, dal_error *err)
{
        size_t size = sizeof *p->values + sizeof *p->types + sizeof *p->lengths + sizeof *p->formats +
                      sizeof *p->slots;
        char *block;

        if (n < 16)
                n = 16;
        block = dal_mem_resize(p->block, n, size);
        if (!block)
                return no_memory(n * size, err);
        p->block = block;
        p->room = (uint32_t)n;
        p->values = (const char **)p->block;
        p->types = (Oid *)(void *)(block + n * sizeof *p->values);
        p->lengths = (int *)(p->types + n);
        p->formats = p->lengths + n;
        p->slots = (char(*)[PG_SLOT_SIZE])(p->formats + n);
        return DAL_OK;
}

static dal_status grow_text(dal__postgres_params *p, size_t size, dal_error *err)
{
        char *grown;

        size = size < 256 ? 256 : size + size / 2;
        grown = dal_mem_resize(p->text, size, 1);
        if (!grown)
                return no_memory(size, err);
        p->text = grown;
        p->text_room = size;
        return DAL_OK;
}

static dal_status too_large(size_t i, dal_error *err)
{
        dal_error_set(err, DAL_CLASS_PACKET_TOO_LARGE,
                      "parameter %zu makes the request larger than 1 GiB, PostgreSQL's limit", i + 1);
        if (err)
                err->not_sent = true;
        return DAL_ERR_TOO_LARGE;
}

static dal_status not_text(size_t i, dal_error *err)
{
        dal_error_set(
                err, DAL_CLASS_ARGUMENT,
                "parameter %zu: with statements=text a value of another type is given by its text, which has "
                "no zero bytes",
                i + 1);
        if (err)
                err->not_sent = true;
        return DAL_ERR_ARG;
}

dal_status dal__postgres_params_check(dal__postgres_params *p, dal_params params, size_t text_size,
                                      const Oid *types, bool *fit_out, dal_error *err)
{
        size_t total = text_size, text = 0;
        bool fit = true;
        dal_status s;

        for (size_t i = 0; i < params.n_values; i++) {
                const dal_value *value = &params.values[i];

                fit = fit && types && fits_type(value, types[i]);
                if (!fits_wire(value))
                        return out_of_range(i, value, err);
                if (p->as_text && value->type == DAL_TYPE_OTHER &&
                    memchr(value->as.span.ptr, '\0', value->as.span.size))
                        return not_text(i, err);
                if (p->as_text)
                        text += dal__postgres_text_room(value);
                else if (has_text(value))
                        text += value->as.span.size + 1;
                if (has_span(value))
                        total += value->as.span.size;
                if (total > MAX_MESSAGE || text > MAX_MESSAGE)
                        return too_large(i, err);
        }
        if (params.n_values > p->room && (s = grow_params(p, params.n_values, err)))
                return s;
        if (text > p->text_room && (s = grow_text(p, text, err)))
                return s;
        *fit_out = fit && types;
        return DAL_OK;
}

void dal__postgres_params_free(dal__postgres_params *p)
{
        dal_mem_free(p->block);
        dal_mem_free(p->text);
        memset(p, 0, sizeof *p);
}

/* ---- encoding -------------------------------------------------------------------------------------------------- */

/* Written out, so that compilers see one swapped store. */
static void store32(char *out, uint32_t value)
{
        out[0] = (char)(value >> 24);
        out[1] = (char)(value >> 16);
        out[2] = (char)(value >> 8);
        out[3] = (char)value;
}

static int encode_integer(char *slot, const dal_value *value, bool as_decimal, int *length)
{
        if (!as_decimal) {
                dal__postgres_store64(slot, value->as.uint64);
                *length = 8;
                return 1;
        }
        if (value->type == DAL_TYPE_INT64)
                snprintf(slot, PG_SLOT_SIZE, "%lld", (long long)value->as.int64);
        else
                snprintf(slot, PG_SLOT_SIZE, "%llu", (unsigned long long)value->as.uint64);
        *length = 0; /* libpq measures text by its end */
        return 0;
}

/* Numbers and times into their slot, in binary; returns the format. */
static int encode_slot(char *slot, const dal_value *value, Oid type, int *length)
{
        uint64_t bits;

        *length = 8;
        switch ((dal_type)value->type) {
        case DAL_TYPE_BOOL:
                slot[0] = (char)value->as.boolean;
                *length = 1;
                return 1;
        case DAL_TYPE_DOUBLE:
                memcpy(&bits, &value->as.float64, sizeof bits);
                dal__postgres_store64(slot, bits);
                return 1;
        case DAL_TYPE_TIMESTAMP:
                dal__postgres_store64(slot, (uint64_t)(value->as.int64 - PG_EPOCH_US));
                return 1;
        case DAL_TYPE_DATE:
                store32(slot, (uint32_t)(value->as.int64 - PG_EPOCH_DAYS));
                *length = 4;
                return 1;
        default:
                return encode_integer(slot, value, type == PG_OID_NUMERIC, length);
        }
}

/* Any value; returns where the next text goes. */
static char *encode(dal__postgres_params *p, size_t i, const dal_value *value, Oid type, char *text)
{
        p->lengths[i] = 0;
        p->formats[i] = 1;
        switch ((dal_type)value->type) {
        case DAL_TYPE_NULL:
                p->values[i] = NULL;
                break;
        case DAL_TYPE_TEXT:
        case DAL_TYPE_DECIMAL:
                memcpy(text, value->as.span.ptr, value->as.span.size);
                text[value->as.span.size] = '\0';
                p->values[i] = text;
                p->formats[i] = 0;
                return text + value->as.span.size + 1;
        case DAL_TYPE_BYTES:
        case DAL_TYPE_OTHER:
                p->values[i] = value->as.span.ptr;
                p->lengths[i] = (int)value->as.span.size;
                break;
        case DAL_TYPE_UUID:
                p->values[i] = (const char *)value->as.uuid;
                p->lengths[i] = 16;
                break;
        default:
                p->values[i] = p->slots[i];
                p->formats[i] = encode_slot(p->slots[i], value, type, &p->lengths[i]);
                break;
        }
        return text;
}

/* From value `i` on. */
DAL_NOINLINE static void encode_rest(dal__postgres_params *p, dal_params params, const Oid *types, size_t i)
{
        char *text = p->text;

        for (; i < params.n_values; i++) {
                const dal_value *value = &params.values[i];
                Oid type = types ? types[i] : (p->types[i] = dal__postgres_type_of(value));

                text = encode(p, i, value, type, text);
        }
}

void dal__postgres_params_encode(dal__postgres_params *p, dal_params params, const Oid *types)
{
        /* Integers that lead, often the only parameters, without a call for each. */
        for (size_t i = 0; i < params.n_values; i++) {
                if (params.values[i].type != DAL_TYPE_INT64 || !types || types[i] != PG_OID_INT8) {
                        encode_rest(p, params, types, i);
                        return;
                }
                dal__postgres_store64(p->slots[i], (uint64_t)params.values[i].as.int64);
                p->values[i] = p->slots[i];
                p->lengths[i] = 8;
                p->formats[i] = 1;
        }
}
