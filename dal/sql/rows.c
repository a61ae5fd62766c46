/* SPDX-License-Identifier: MIT */
#include "sql/rows_impl.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* A row at hand needs no call. */
static inline bool take_first(dal_rows *rows)
{
        if (!rows->first)
                return false;
        rows->cells = rows->first;
        rows->first = NULL;
        return true;
}

dal_status dal_rows_next(dal_rows *rows, bool *found_out, dal_error *err)
{
        if (!rows || !found_out)
                return dal_error_set(err, DAL_CLASS_ARGUMENT,
                                     "dal_rows_next() needs a cursor and a place for found_out");
        if (take_first(rows)) {
                *found_out = true;
                return DAL_OK;
        }
        return rows->next(rows, found_out, err);
}

dal_status dal_rows_first(dal_rows *rows, dal_error *err)
{
        dal_status status;
        bool found;

        if (!rows)
                return dal_error_set(err, DAL_CLASS_ARGUMENT, "dal_rows_first() needs a cursor");
        if (take_first(rows))
                return DAL_OK;
        status = rows->next(rows, &found, err);
        if (status == DAL_OK && !found)
                return dal_error_set(err, DAL_CLASS_NO_ROW, "the query found no row");
        return status;
}

void dal_rows_close(dal_rows *rows)
{
        if (rows)
                rows->close(rows);
}

uint32_t dal_rows_n_columns(const dal_rows *rows)
{
        return rows ? rows->n_columns : 0;
}

const char *dal_rows_column(const dal_rows *rows, uint32_t i_column)
{
        return rows && i_column < rows->n_columns ? rows->column(rows, i_column) : NULL;
}

int32_t dal_rows_find_column(const dal_rows *rows, const char *name)
{
        for (uint32_t i = 0; name && i < dal_rows_n_columns(rows) && i < INT32_MAX; i++) {
                const char *column = dal_rows_column(rows, i);

                if (column && strcmp(column, name) == 0)
                        return (int32_t)i;
        }
        return -1;
}

const dal_value *dal_rows_cell(const dal_rows *rows, uint32_t i_column)
{
        return rows && rows->cells && i_column < rows->n_columns ? &rows->cells[i_column] : NULL;
}

bool dal_rows_is_null(const dal_rows *rows, uint32_t i_column)
{
        const dal_value *cell = dal_rows_cell(rows, i_column);

        return !cell || cell->type == DAL_TYPE_NULL;
}

uint16_t dal_rows_shard(const dal_rows *rows)
{
        return rows ? rows->shard : DAL_NO_SHARD;
}

/* What a getter is about, so that its errors can name the column and both types. */
struct access {
        const dal_rows *rows;
        uint32_t i_column;
        const char *wanted;
        dal_error *err;
};

/* Says why a getter has no value to give. */
static dal_status refuse(const struct access *a, const dal_value *cell, bool has_out)
{
        const char *name = dal_rows_column(a->rows, a->i_column);

        if (!a->rows || !has_out)
                return dal_error_set(a->err, DAL_CLASS_ARGUMENT,
                                     "a getter needs a cursor and a place for the value");
        if (a->i_column >= a->rows->n_columns)
                return dal_error_set(a->err, DAL_CLASS_ARGUMENT,
                                     "there is no column %" PRIu32 ": the row has %" PRIu32
                                     ", counted from 0",
                                     a->i_column, a->rows->n_columns);
        if (!cell)
                return dal_error_set(
                        a->err, DAL_CLASS_STATE,
                        "there is no current row: call dal_rows_next() and look at found_out first");
        return dal_error_set(a->err, DAL_CLASS_NULL_VALUE,
                             "column %" PRIu32
                             " \"%s\" is NULL where %s was asked for: ask dal_rows_is_null() first",
                             a->i_column, name ? name : "", a->wanted);
}

/* Finds the cell of a getter; NULL, with *status set, when it is missing or SQL NULL. */
static const dal_value *find_cell(const struct access *a, bool has_out, dal_status *status)
{
        const dal_value *cell = dal_rows_cell(a->rows, a->i_column);

        if (!cell || cell->type == DAL_TYPE_NULL || !has_out) {
                *status = refuse(a, cell, has_out);
                return NULL;
        }
        *status = DAL_OK;
        return cell;
}

/* The cell for a getter's everyday case; whatever it does not suit goes the long way, which names the trouble. */
static inline bool holds(const dal_rows *rows, uint32_t i_column, unsigned types)
{
        return rows && rows->cells && i_column < rows->n_columns && (types >> rows->cells[i_column].type & 1);
}

/* The getter that takes every value of a type. */
static const char *getter_of(dal_type type)
{
        static const char *const getters[] = {
                [DAL_TYPE_NULL] = "dal_rows_is_null()",
                [DAL_TYPE_BOOL] = "dal_rows_bool()",
                [DAL_TYPE_INT64] = "dal_rows_int64()",
                [DAL_TYPE_UINT64] = "dal_rows_uint64()",
                [DAL_TYPE_DOUBLE] = "dal_rows_double()",
                [DAL_TYPE_DECIMAL] = "dal_rows_decimal() or dal_rows_text()",
                [DAL_TYPE_TEXT] = "dal_rows_text()",
                [DAL_TYPE_BYTES] = "dal_rows_bytes()",
                [DAL_TYPE_TIMESTAMP] = "dal_rows_timestamp()",
                [DAL_TYPE_DATE] = "dal_rows_date()",
                [DAL_TYPE_UUID] = "dal_rows_uuid()",
                [DAL_TYPE_OTHER] = "dal_rows_bytes(), or convert it in the statement",
        };

        return (size_t)type < sizeof getters / sizeof getters[0] ? getters[type] : "dal_rows_cell()";
}

static dal_status wrong_type(const struct access *a, const dal_value *cell)
{
        const char *name = dal_rows_column(a->rows, a->i_column);
        dal_type type = (dal_type)cell->type;

        return dal_error_set(a->err, DAL_CLASS_WRONG_TYPE, "column %" PRIu32 " \"%s\" is %s, not %s: call %s",
                             a->i_column, name ? name : "", dal_value_type_name(type), a->wanted,
                             getter_of(type));
}

static dal_status overflow(const struct access *a, const dal_value *cell, const char *why)
{
        const char *name = dal_rows_column(a->rows, a->i_column);
        dal_type type = (dal_type)cell->type;

        return dal_error_set(a->err, DAL_CLASS_OVERFLOW,
                             "column %" PRIu32 " \"%s\" holds a value of type %s that %s %s: call %s",
                             a->i_column, name ? name : "", dal_value_type_name(type), why, a->wanted,
                             getter_of(type));
}

static bool is_untyped(const dal_value *cell, dal_type type)
{
        return cell->type == type && (cell->flags & DAL_VALUE_UNTYPED);
}

/* An integer of any kind, as sign and magnitude. */
struct whole {
        bool negative;
        uint64_t magnitude;
};

/* Reads "-12" or "12.00"; false if there is a fraction, an exponent, or more than 64 bits. */
static bool whole_of_decimal(const char *text, size_t size, struct whole *out)
{
        size_t i = 0;

        out->negative = false;
        out->magnitude = 0;
        if (!dal_value_is_decimal(text, size))
                return false;
        if (text[0] == '-' || text[0] == '+')
                out->negative = text[i++] == '-';
        for (; i < size && text[i] != '.'; i++) {
                uint64_t digit = (uint64_t)(text[i] - '0');

                if (text[i] == 'e' || text[i] == 'E')
                        return false;
                if (out->magnitude > (UINT64_MAX - digit) / 10)
                        return false;
                out->magnitude = out->magnitude * 10 + digit;
        }
        for (i++; i < size; i++)
                if (text[i] != '0')
                        return false;
        return true;
}

static dal_status whole_of_cell(const struct access *a, const dal_value *cell, struct whole *out)
{
        switch ((dal_type)cell->type) {
        case DAL_TYPE_INT64:
                out->negative = cell->as.int64 < 0;
                out->magnitude = out->negative ? 0 - (uint64_t)cell->as.int64 : (uint64_t)cell->as.int64;
                return DAL_OK;
        case DAL_TYPE_UINT64:
                out->negative = false;
                out->magnitude = cell->as.uint64;
                return DAL_OK;
        case DAL_TYPE_BOOL:
                out->negative = false;
                out->magnitude = cell->as.boolean;
                return DAL_OK;
        case DAL_TYPE_DECIMAL:
                if (whole_of_decimal(cell->as.span.ptr, cell->as.span.size, out))
                        return DAL_OK;
                return overflow(a, cell, "does not fit");
        default:
                return wrong_type(a, cell);
        }
}

/* Reads an integer between INT64_MIN and `max`. */
static dal_status int_of_cell(const struct access *a, const dal_value *cell, int64_t min, int64_t max,
                              int64_t *out)
{
        struct whole whole = {false, 0};
        dal_status status = whole_of_cell(a, cell, &whole);

        if (status)
                return status;
        if (whole.negative ? whole.magnitude > 0 - (uint64_t)min : whole.magnitude > (uint64_t)max)
                return overflow(a, cell, "does not fit");
        /* Through the magnitude less one, as INT64_MIN has no positive twin. */
        if (whole.negative && whole.magnitude)
                *out = -(int64_t)(whole.magnitude - 1) - 1;
        else
                *out = (int64_t)whole.magnitude;
        return DAL_OK;
}

dal_status dal_rows_bool(const dal_rows *rows, uint32_t i_column, bool *out, dal_error *err)
{
        const struct access a = {rows, i_column, "bool", err};
        int64_t number = 0;
        dal_status status;
        const dal_value *cell = find_cell(&a, out != NULL, &status);

        if (!cell)
                return status;
        if (cell->type == DAL_TYPE_BOOL) {
                *out = cell->as.boolean;
                return DAL_OK;
        }
        if (cell->type != DAL_TYPE_INT64 && cell->type != DAL_TYPE_UINT64)
                return wrong_type(&a, cell);
        status = int_of_cell(&a, cell, 0, 1, &number);
        if (status == DAL_OK)
                *out = number == 1;
        return status;
}

dal_status dal_rows_int32(const dal_rows *rows, uint32_t i_column, int32_t *out, dal_error *err)
{
        const struct access a = {rows, i_column, "int32", err};
        int64_t number = 0;
        dal_status status;
        const dal_value *cell = find_cell(&a, out != NULL, &status);

        if (cell)
                status = int_of_cell(&a, cell, INT32_MIN, INT32_MAX, &number);
        if (status == DAL_OK)
                *out = (int32_t)number;
        return status;
}

DAL_COLD static dal_status convert_int64(const dal_rows *rows, uint32_t i_column, int64_t *out,
                                         dal_error *err)
{
        const struct access a = {rows, i_column, "int64", err};
        dal_status status;
        const dal_value *cell = find_cell(&a, out != NULL, &status);

        return cell ? int_of_cell(&a, cell, INT64_MIN, INT64_MAX, out) : status;
}

dal_status dal_rows_int64(const dal_rows *rows, uint32_t i_column, int64_t *out, dal_error *err)
{
        if (!holds(rows, i_column, 1u << DAL_TYPE_INT64) || !out)
                return convert_int64(rows, i_column, out, err);
        *out = rows->cells[i_column].as.int64;
        return DAL_OK;
}

dal_status dal_rows_uint64(const dal_rows *rows, uint32_t i_column, uint64_t *out, dal_error *err)
{
        const struct access a = {rows, i_column, "uint64", err};
        struct whole whole = {false, 0};
        dal_status status;
        const dal_value *cell = find_cell(&a, out != NULL, &status);

        if (cell)
                status = whole_of_cell(&a, cell, &whole);
        if (status)
                return status;
        if (whole.negative && whole.magnitude)
                return overflow(&a, cell, "does not fit");
        *out = whole.magnitude;
        return DAL_OK;
}

DAL_COLD static dal_status convert_double(const dal_rows *rows, uint32_t i_column, double *out,
                                          dal_error *err)
{
        const struct access a = {rows, i_column, "double", err};
        struct whole whole = {false, 0};
        double number;
        dal_status status;
        const dal_value *cell = find_cell(&a, out != NULL, &status);

        if (!cell)
                return status;
        if (cell->type != DAL_TYPE_INT64 && cell->type != DAL_TYPE_UINT64)
                return wrong_type(&a, cell);
        status = whole_of_cell(&a, cell, &whole);
        if (status)
                return status;
        number = (double)whole.magnitude;
        /* 2^64 itself: the largest magnitudes round up to it, and it would not convert back. */
        if (number >= 18446744073709551616.0 || (uint64_t)number != whole.magnitude)
                return overflow(&a, cell, "is not exact in");
        *out = whole.negative ? -number : number;
        return DAL_OK;
}

dal_status dal_rows_double(const dal_rows *rows, uint32_t i_column, double *out, dal_error *err)
{
        if (!holds(rows, i_column, 1u << DAL_TYPE_DOUBLE) || !out)
                return convert_double(rows, i_column, out, err);
        *out = rows->cells[i_column].as.float64;
        return DAL_OK;
}

/* Both numbers: the one that is there, and the one that it takes. */
static dal_status too_long(const struct access *a, const dal_value *cell, size_t size, size_t out_size)
{
        const char *name = dal_rows_column(a->rows, a->i_column);

        return dal_error_set(a->err, DAL_CLASS_OVERFLOW,
                             "column %" PRIu32 " \"%s\": the buffer has %zu bytes, and this %s with its NUL "
                             "takes %zu",
                             a->i_column, name ? name : "", out_size,
                             dal_value_type_name((dal_type)cell->type), size + 1);
}

static dal_status copy_span(const struct access *a, const dal_value *cell, const char *text, size_t size,
                            char *out, size_t out_size)
{
        if (size >= out_size)
                return too_long(a, cell, size, out_size);
        if (size)
                memcpy(out, text, size);
        out[size] = '\0';
        return DAL_OK;
}

dal_status dal_rows_decimal(const dal_rows *rows, uint32_t i_column, char *out, size_t out_size,
                            dal_error *err)
{
        const struct access a = {rows, i_column, "decimal", err};
        char digits[24];
        int size;
        dal_status status;
        const dal_value *cell = find_cell(&a, out != NULL, &status);

        if (!cell)
                return status;
        if (cell->type == DAL_TYPE_DECIMAL ||
            (is_untyped(cell, DAL_TYPE_TEXT) && dal_value_is_decimal(cell->as.span.ptr, cell->as.span.size)))
                return copy_span(&a, cell, cell->as.span.ptr, cell->as.span.size, out, out_size);
        if (cell->type == DAL_TYPE_INT64)
                size = snprintf(digits, sizeof digits, "%" PRId64, cell->as.int64);
        else if (cell->type == DAL_TYPE_UINT64)
                size = snprintf(digits, sizeof digits, "%" PRIu64, cell->as.uint64);
        else
                return wrong_type(&a, cell);
        return copy_span(&a, cell, digits, (size_t)size, out, out_size);
}

/* Types whose cells are always a span of text. */
#define TEXT_TYPES (1u << DAL_TYPE_TEXT | 1u << DAL_TYPE_DECIMAL)

/* An unknown type may be text, such as an enum's label, or a binary form, which as text would be garbage. */
static bool is_text(const dal_value *cell)
{
        if (cell->type != DAL_TYPE_OTHER)
                return TEXT_TYPES >> cell->type & 1;
        return dal_value_is_utf8(cell->as.span.ptr, cell->as.span.size) &&
               (cell->as.span.size == 0 || !memchr(cell->as.span.ptr, '\0', cell->as.span.size));
}

/* The text of an unknown type, or why there is none to give. */
DAL_COLD static dal_status other_text(const dal_rows *rows, uint32_t i_column, const char **text_out,
                                      size_t *size_out, dal_error *err)
{
        const struct access a = {rows, i_column, "text", err};
        dal_status status;
        const dal_value *cell = find_cell(&a, text_out && size_out, &status);

        if (!cell)
                return status;
        if (!is_text(cell))
                return wrong_type(&a, cell);
        *text_out = cell->as.span.ptr;
        *size_out = cell->as.span.size;
        return DAL_OK;
}

dal_status dal_rows_text(const dal_rows *rows, uint32_t i_column, const char **text_out, size_t *size_out,
                         dal_error *err)
{
        if (!holds(rows, i_column, TEXT_TYPES) || !text_out || !size_out)
                return other_text(rows, i_column, text_out, size_out, err);
        *text_out = rows->cells[i_column].as.span.ptr;
        *size_out = rows->cells[i_column].as.span.size;
        return DAL_OK;
}

dal_status dal_rows_bytes(const dal_rows *rows, uint32_t i_column, const void **bytes_out, size_t *size_out,
                          dal_error *err)
{
        const struct access a = {rows, i_column, "bytes", err};
        dal_status status;
        const dal_value *cell = find_cell(&a, bytes_out && size_out, &status);

        if (!cell)
                return status;
        if (cell->type == DAL_TYPE_UUID) {
                *bytes_out = cell->as.uuid;
                *size_out = sizeof cell->as.uuid;
                return DAL_OK;
        }
        if (cell->type != DAL_TYPE_BYTES && cell->type != DAL_TYPE_OTHER)
                return wrong_type(&a, cell);
        *bytes_out = cell->as.span.ptr;
        *size_out = cell->as.span.size;
        return DAL_OK;
}

/* A time of either kind: in its own type, or untyped as the number or text that such a column stores. */
static dal_status time_of_cell(const struct access *a, dal_type type,
                               bool (*parse)(const char *text, size_t size, int64_t *out), int64_t *out)
{
        dal_status status;
        const dal_value *cell = find_cell(a, out != NULL, &status);

        if (!cell)
                return status;
        if (cell->type == type || is_untyped(cell, DAL_TYPE_INT64)) {
                *out = cell->as.int64;
                return DAL_OK;
        }
        if (is_untyped(cell, DAL_TYPE_TEXT) && parse(cell->as.span.ptr, cell->as.span.size, out))
                return DAL_OK;
        return wrong_type(a, cell);
}

dal_status dal_rows_timestamp(const dal_rows *rows, uint32_t i_column, int64_t *unix_us_out, dal_error *err)
{
        const struct access a = {rows, i_column, "timestamp", err};

        return time_of_cell(&a, DAL_TYPE_TIMESTAMP, dal_value_parse_timestamp, unix_us_out);
}

dal_status dal_rows_date(const dal_rows *rows, uint32_t i_column, int64_t *unix_days_out, dal_error *err)
{
        const struct access a = {rows, i_column, "date", err};

        return time_of_cell(&a, DAL_TYPE_DATE, dal_value_parse_date, unix_days_out);
}

dal_status dal_rows_uuid(const dal_rows *rows, uint32_t i_column, uint8_t out[16], dal_error *err)
{
        const struct access a = {rows, i_column, "uuid", err};
        dal_status status;
        const dal_value *cell = find_cell(&a, out != NULL, &status);

        if (!cell)
                return status;
        if (cell->type == DAL_TYPE_UUID) {
                memcpy(out, cell->as.uuid, 16);
                return DAL_OK;
        }
        if (cell->type == DAL_TYPE_BYTES && cell->as.span.size == 16) {
                memcpy(out, cell->as.span.ptr, 16);
                return DAL_OK;
        }
        if (cell->type == DAL_TYPE_TEXT && cell->as.span.size == 36 &&
            dal_value_parse_uuid(cell->as.span.ptr, 36, out))
                return DAL_OK;
        return wrong_type(&a, cell);
}

dal_status dal_rows_copy_text(const dal_rows *rows, uint32_t i_column, char *out, size_t out_size,
                              dal_error *err)
{
        const struct access a = {rows, i_column, "text", err};
        dal_status status;
        const dal_value *cell = find_cell(&a, out != NULL, &status);

        if (!cell)
                return status;
        if (!is_text(cell))
                return wrong_type(&a, cell);
        /* A NUL inside would end the copy early, and nobody would notice. */
        if (cell->as.span.size && memchr(cell->as.span.ptr, '\0', cell->as.span.size))
                return overflow(&a, cell, "has a NUL byte inside, which would cut");
        return copy_span(&a, cell, cell->as.span.ptr, cell->as.span.size, out, out_size);
}
