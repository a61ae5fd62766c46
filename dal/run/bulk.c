/* SPDX-License-Identifier: MIT */
#include "run/bulk_impl.h"

#include <string.h>

#include <dal/mem.h>

#include "base/options.h"

#define DEFAULT_CHUNK_ROWS  10000u
#define DEFAULT_CHUNK_BYTES (4u << 20)

/* ---- the spec --------------------------------------------------------------------------------------------------- */

static dal_status check_name(const char *what, const char *name, dal_error *err)
{
        if (!name || !name[0])
                return dal_error_set(err, DAL_CLASS_ARGUMENT, "dal_bulk_spec: %s has no name", what);
        if (!dal_value_is_utf8(name, strlen(name)))
                return dal_error_set(err, DAL_CLASS_ARGUMENT, "dal_bulk_spec: the name of %s is not UTF-8",
                                     what);
        return DAL_OK;
}

static dal_status read_spec(const dal_bulk_spec *given, dal_bulk_spec *spec, dal_error *err)
{
        static const dal_bulk_spec defaults = DAL_BULK_SPEC_INIT;
        dal_status s;

        *spec = defaults;
        if (!given)
                return dal_error_set(err, DAL_CLASS_ARGUMENT, "a bulk load needs a dal_bulk_spec, not NULL");
        s = dal__options_read("DAL_BULK_SPEC_INIT", given, spec, sizeof *spec, err);
        if (s == DAL_OK)
                s = check_name("the table", spec->table, err);
        if (s == DAL_OK && spec->schema)
                s = check_name("the schema", spec->schema, err);
        if (s)
                return s;
        if (!spec->columns || spec->n_columns == 0)
                return dal_error_set(err, DAL_CLASS_ARGUMENT,
                                     "dal_bulk_spec: name the columns of table \"%.100s\"", spec->table);
        for (uint32_t i = 0; i < spec->n_columns && s == DAL_OK; i++)
                s = check_name("a column", spec->columns[i], err);
        if (!spec->chunk_rows)
                spec->chunk_rows = DEFAULT_CHUNK_ROWS;
        if (!spec->chunk_bytes)
                spec->chunk_bytes = DEFAULT_CHUNK_BYTES;
        return s;
}

dal_status dal__bulk_new(const dal_bulk_spec *given, const dal__bulk_way *way, dal_bulk **out, dal_error *err)
{
        dal_bulk_spec spec;
        dal_bulk *bulk;
        dal_status s = read_spec(given, &spec, err);

        *out = NULL;
        if (s)
                return s;
        bulk = dal_mem_alloc(sizeof *bulk);
        if (!bulk)
                return dal_error_set(err, DAL_CLASS_NO_MEMORY, "out of memory for a bulk load");
        s = dal__bulk_copy_names(&spec, &bulk->plain, err);
        if (s) {
                dal_mem_free(bulk);
                return s;
        }
        bulk->spec = spec;
        bulk->way = way;
        bulk->next_row = spec.first_row;
        bulk->progress.n_safe = bulk->progress.n_safe_shard = spec.first_row;
        bulk->progress.shard = DAL_NO_SHARD;
        *out = bulk;
        return DAL_OK;
}

/* ---- every load ------------------------------------------------------------------------------------------------- */

void dal__bulk_stored(dal_bulk *bulk, const dal__bulk_chunk *chunk, int64_t n_safe)
{
        bulk->progress.n_stored += chunk->n_rows;
        bulk->progress.n_safe = n_safe;
        bulk->progress.n_safe_shard = chunk->numbers[chunk->n_rows - 1] + 1;
        bulk->progress.shard = chunk->shard;
        if (bulk->spec.on_progress)
                bulk->spec.on_progress(bulk->spec.on_progress_arg, &bulk->progress);
}

static dal_status check_open(const dal_bulk *bulk, dal_error *err)
{
        if (!bulk)
                return dal_error_set(err, DAL_CLASS_ARGUMENT, "a bulk load is needed, not NULL");
        if (bulk->state == DAL__BULK_OPEN)
                return DAL_OK;
        return dal_error_set(err, DAL_CLASS_STATE,
                             bulk->state == DAL__BULK_FAILED
                                     ? "this bulk load has failed, which was reported: close it"
                                     : "this bulk load is finished: begin another one");
}

dal_status dal_bulk_add(dal_bulk *bulk, dal_params row, dal_error *err)
{
        dal_status s = check_open(bulk, err);

        return s ? s : bulk->way->add(bulk, NULL, row, err);
}

dal_status dal_bulk_add_for(dal_bulk *bulk, dal_key key, dal_params row, dal_error *err)
{
        dal_status s = check_open(bulk, err);

        return s ? s : bulk->way->add(bulk, &key, row, err);
}

dal_status dal_bulk_skip(dal_bulk *bulk, int64_t n_rows, dal_error *err)
{
        dal_status s = check_open(bulk, err);

        if (s)
                return s;
        if (n_rows < 0 || bulk->next_row > INT64_MAX - n_rows)
                return dal_error_set(err, DAL_CLASS_ARGUMENT,
                                     "dal_bulk_skip() takes a number of rows from 0 on");
        bulk->next_row += n_rows;
        return DAL_OK;
}

dal_status dal_bulk_finish(dal_bulk *bulk, int64_t *n_rows_out, dal_error *err)
{
        dal_status s = check_open(bulk, err);

        if (s == DAL_OK)
                s = bulk->way->finish(bulk, err);
        if (s)
                return s;
        bulk->state = DAL__BULK_FINISHED;
        bulk->progress.n_safe = bulk->next_row;
        if (n_rows_out)
                *n_rows_out = bulk->progress.n_stored;
        return DAL_OK;
}

dal_bulk_progress dal_bulk_get_progress(const dal_bulk *bulk)
{
        static const dal_bulk_progress none = {.shard = DAL_NO_SHARD};

        return bulk ? bulk->progress : none;
}

void dal_bulk_close(dal_bulk *bulk)
{
        if (!bulk)
                return;
        bulk->way->close(bulk);
        dal__bulk_free_names(&bulk->names);
        dal_mem_free(bulk->plain);
        dal_mem_free(bulk);
}
