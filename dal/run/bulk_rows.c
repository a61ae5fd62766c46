/* SPDX-License-Identifier: MIT */
/* Names and rows of a bulk load: quoted, checked, copied. */

#include "run/bulk_impl.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <dal/mem.h>

#include "sql/params.h"

/* ---- names ------------------------------------------------------------------------------------------------------ */

static char *keep(char **end, const char *name)
{
        size_t size = strlen(name) + 1;
        char *copy = memcpy(*end, name, size);

        *end += size;
        return copy;
}

dal_status dal__bulk_copy_names(dal_bulk_spec *spec, void **block_out, dal_error *err)
{
        size_t size = spec->n_columns * sizeof(char *) + strlen(spec->table) + 1 +
                      (spec->schema ? strlen(spec->schema) + 1 : 0);
        const char **columns;
        char *end;

        for (uint32_t i = 0; i < spec->n_columns; i++)
                size += strlen(spec->columns[i]) + 1;
        columns = dal_mem_alloc(size);
        if (!columns)
                return dal_error_set(err, DAL_CLASS_NO_MEMORY, "out of memory for the names of a bulk load");
        end = (char *)(columns + spec->n_columns);
        for (uint32_t i = 0; i < spec->n_columns; i++)
                columns[i] = keep(&end, spec->columns[i]);
        spec->table = keep(&end, spec->table);
        if (spec->schema)
                spec->schema = keep(&end, spec->schema);
        spec->columns = columns;
        *block_out = (void *)(uintptr_t)columns;
        return DAL_OK;
}

static char *put_quoted(char *out, const char *name, char quote)
{
        *out++ = quote;
        for (; *name; name++) {
                if (*name == quote)
                        *out++ = quote;
                *out++ = *name;
        }
        *out++ = quote;
        return out;
}

/* "bulk.orders": what a statement's name may hold, of the table's. */
static void make_name(dal__bulk_table *names)
{
        static const char allowed[] = "abcdefghijklmnopqrstuvwxyz0123456789_";
        size_t n = (size_t)snprintf(names->name, sizeof names->name, "bulk.");

        for (const char *at = names->spec->table; *at && n + 1 < sizeof names->name; at++) {
                char c = *at >= 'A' && *at <= 'Z' ? (char)(*at - 'A' + 'a') : *at;

                names->name[n++] = strchr(allowed, c) ? c : '_';
        }
        names->name[n] = '\0';
}

dal_status dal__bulk_quote(const dal_bulk_spec *spec, const dal_driver *driver, dal__bulk_table *out,
                           dal_error *err)
{
        /* SQLite, too, takes a name in backticks for nothing but a name: one in double quotes may become a string. */
        char quote = driver->sql_syntax & DAL_SQL_BACKTICKS ? '`' : '"';
        size_t size = 2 * strlen(spec->table) + (spec->schema ? 2 * strlen(spec->schema) : 0) + 8;
        char *end;

        if (spec->n_columns > driver->max_params)
                return dal_error_set(err, DAL_CLASS_ARGUMENT,
                                     "table \"%.100s\": %" PRIu32 " columns are more than the %" PRIu32
                                     " parameters that a statement of the driver %s may have",
                                     spec->table, spec->n_columns, driver->max_params, driver->name);
        for (uint32_t i = 0; i < spec->n_columns; i++)
                size += 2 * strlen(spec->columns[i]) + 4;
        end = out->table = dal_mem_alloc(size);
        if (!end)
                return dal_error_set(err, DAL_CLASS_NO_MEMORY, "out of memory for the names of a bulk load");
        if (spec->schema) {
                end = put_quoted(end, spec->schema, quote);
                *end++ = '.';
        }
        end = put_quoted(end, spec->table, quote);
        *end++ = '\0';
        out->columns = end;
        for (uint32_t i = 0; i < spec->n_columns; i++) {
                if (i > 0) {
                        *end++ = ',';
                        *end++ = ' ';
                }
                end = put_quoted(end, spec->columns[i], quote);
        }
        *end = '\0';
        out->spec = spec;
        make_name(out);
        return DAL_OK;
}

void dal__bulk_free_names(dal__bulk_table *names)
{
        dal_mem_free(names->table);
        names->table = names->columns = NULL;
}

/* ---- checking --------------------------------------------------------------------------------------------------- */

/* Finds the value that is refused and says where it stands. */
DAL_COLD static dal_status refuse_value(const dal__bulk_table *names, const dal_driver *driver,
                                        int64_t number, dal_params row, dal_error *err)
{
        for (uint32_t i = 0; i < row.n_values; i++) {
                dal_error why;
                dal_params one = {&row.values[i], 1};
                const char *text;

                if (dal__params_check(driver, names->name, 1, one, &why) == DAL_OK)
                        continue;
                text = strstr(why.message, "parameter 1: ");
                text = text ? text + strlen("parameter 1: ") : why.message;
                dal_error_set(err, why.error_class, "row %" PRId64 ": table \"%.60s\", column \"%.60s\": %s",
                              number, names->spec->table, names->spec->columns[i], text);
                if (err) {
                        err->not_sent = true;
                        (void)snprintf(err->column, sizeof err->column, "%s", names->spec->columns[i]);
                }
                return why.status;
        }
        return DAL_OK;
}

dal_status dal__bulk_check_row(const dal__bulk_table *names, const dal_driver *driver, int64_t number,
                               dal_params row, dal_error *err)
{
        uint32_t n = names->spec->n_columns;

        if (dal__params_are_plain(n, row))
                return DAL_OK;
        if (row.n_values != n || !row.values) {
                dal_error_set(err, DAL_CLASS_ARGUMENT,
                              "row %" PRId64 ": table \"%.60s\" is loaded with %" PRIu32
                              " columns, but %zu values were given",
                              number, names->spec->table, n, row.values ? row.n_values : 0);
                if (err)
                        err->not_sent = true;
                return DAL_ERR_ARG;
        }
        if (dal__params_check(driver, names->name, n, row, NULL) == DAL_OK)
                return DAL_OK;
        return refuse_value(names, driver, number, row, err);
}

/* ---- copying ---------------------------------------------------------------------------------------------------- */

#define BLOCK_SIZE ((size_t)256 << 10)
#define FIRST_ROOM 64u

struct dal__bulk_block {
        dal__bulk_block *next;
        size_t size, used;
        char bytes[];
};

DAL_NOINLINE static dal__bulk_block *find_block(dal__bulk_chunk *chunk, size_t size)
{
        dal__bulk_block *block = chunk->block;
        size_t room = size > BLOCK_SIZE ? size : BLOCK_SIZE;

        while (block && block->size - block->used < size)
                block = block->next;
        if (!block) {
                block = dal_mem_alloc(sizeof *block + room);
                if (!block)
                        return NULL;
                block->size = room;
                block->next = chunk->first;
                chunk->first = block;
        }
        chunk->block = block;
        return block;
}

/* NULL when there is no memory. Blocks stay where they are, so values may point into them. */
static inline char *reserve(dal__bulk_chunk *chunk, size_t size)
{
        dal__bulk_block *block = chunk->block;

        if (!block || block->size - block->used < size)
                block = find_block(chunk, size);
        if (!block)
                return NULL;
        block->used += size;
        return block->bytes + block->used - size;
}

static bool grow_rows(dal__bulk_chunk *chunk, size_t n_values)
{
        uint32_t room = chunk->room ? 2 * chunk->room : FIRST_ROOM;
        dal_value *values = dal_mem_resize(chunk->values, room, n_values * sizeof *values);
        int64_t *numbers;
        uint16_t *slots;

        if (!values)
                return false;
        chunk->values = values;
        numbers = dal_mem_resize(chunk->numbers, room, sizeof *numbers);
        if (!numbers)
                return false;
        chunk->numbers = numbers;
        slots = dal_mem_resize(chunk->slots, room, sizeof *slots);
        if (!slots)
                return false;
        chunk->slots = slots;
        chunk->room = room;
        return true;
}

DAL_COLD static dal_status no_memory(int64_t number, dal_error *err)
{
        dal_error_set(err, DAL_CLASS_NO_MEMORY, "row %" PRId64 ": out of memory", number);
        if (err)
                err->not_sent = true;
        return DAL_ERR_NOMEM;
}

dal_status dal__bulk_copy_row(dal__bulk_chunk *chunk, int64_t number, uint16_t slot, dal_params row,
                              dal_error *err)
{
        size_t size = 0;
        dal_value *values;
        char *bytes = NULL;

        for (size_t i = 0; i < row.n_values; i++)
                if (dal__params_has_span(&row.values[i]))
                        size += row.values[i].as.span.size;
        if ((chunk->n_rows == chunk->room && !grow_rows(chunk, row.n_values)) ||
            (size && !(bytes = reserve(chunk, size))))
                return no_memory(number, err);
        values = chunk->values + (size_t)chunk->n_rows * row.n_values;
        for (size_t i = 0; i < row.n_values; i++) {
                size_t n = row.values[i].as.span.size;

                values[i] = row.values[i];
                if (!dal__params_has_span(&values[i]))
                        continue;
                /* The caller's bytes may be gone when the row is sent: an empty text, too, needs others. */
                values[i].as.span.ptr = n ? memcpy(bytes, values[i].as.span.ptr, n) : "";
                bytes += n;
        }
        chunk->numbers[chunk->n_rows] = number;
        chunk->slots[chunk->n_rows] = slot;
        chunk->n_rows++;
        chunk->n_bytes += size + row.n_values * sizeof *values;
        return DAL_OK;
}

void dal__bulk_empty(dal__bulk_chunk *chunk)
{
        dal__bulk_block **link = &chunk->first;

        while (*link) {
                dal__bulk_block *block = *link;

                block->used = 0;
                if (block->size > BLOCK_SIZE) {
                        *link = block->next;
                        dal_mem_free(block);
                } else {
                        link = &block->next;
                }
        }
        chunk->block = chunk->first;
        chunk->n_rows = 0;
        chunk->n_bytes = 0;
}

void dal__bulk_free_chunk(dal__bulk_chunk *chunk)
{
        while (chunk->first) {
                dal__bulk_block *next = chunk->first->next;

                dal_mem_free(chunk->first);
                chunk->first = next;
        }
        dal_mem_free(chunk->values);
        dal_mem_free(chunk->numbers);
        dal_mem_free(chunk->slots);
        memset(chunk, 0, sizeof *chunk);
}
