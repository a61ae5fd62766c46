/* SPDX-License-Identifier: MIT */
#include "batch.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define ROWS_PER_TX 500

static void clear(struct batch *batch)
{
        for (size_t i = 0; i < batch->n_rows; i++)
                for (size_t k = 0; k < BATCH_MAX_VALUES; k++)
                        free(batch->rows[i].text[k]);
        batch->n_rows = 0;
}

void batch_fini(struct batch *batch)
{
        clear(batch);
        free(batch->rows);
        batch->rows = NULL;
        batch->n_allocated = 0;
}

dal_status batch_add(struct batch *batch, dal_error *err, const char *types, ...)
{
        struct batch_row *row;
        va_list args;
        bool ok = true;

        if (batch->n_rows == batch->n_allocated) {
                size_t n = batch->n_allocated ? 2 * batch->n_allocated : 256;
                row = realloc(batch->rows, n * sizeof *row);
                if (!row)
                        return dal_fail(err, DAL_ERR_NOMEM, "out of memory");
                batch->rows = row;
                batch->n_allocated = n;
        }
        row = &batch->rows[batch->n_rows++];
        memset(row, 0, sizeof *row);
        batch->n_values = strlen(types);
        va_start(args, types);
        for (size_t i = 0; i < batch->n_values; i++) {
                if (types[i] == 's')
                        ok = (row->text[i] = strdup(va_arg(args, const char *))) && ok;
                else
                        row->number[i] = va_arg(args, int64_t);
        }
        va_end(args);
        return ok ? DAL_OK : dal_fail(err, DAL_ERR_NOMEM, "out of memory");
}

struct part {
        const struct batch *batch;
        size_t from, to;
};

static dal_status write_part(dal_tx *tx, void *arg, dal_error *err)
{
        const struct part *part = arg;
        dal_status s = DAL_OK;

        for (size_t i = part->from; i < part->to && s == DAL_OK; i++) {
                const struct batch_row *row = &part->batch->rows[i];
                dal_value values[BATCH_MAX_VALUES];
                for (size_t k = 0; k < part->batch->n_values; k++)
                        values[k] = row->text[k] ? dal_text(row->text[k]) : dal_int64(row->number[k]);
                s = dal_tx_queue(tx, part->batch->stmt, (dal_params){values, part->batch->n_values}, err);
        }
        return s;
}

static dal_status write_rows(const struct batch *batch, dal_cluster *cluster, uint16_t shard, dal_error *err)
{
        dal_status s = DAL_OK;

        for (size_t from = 0; from < batch->n_rows && s == DAL_OK; from += ROWS_PER_TX) {
                struct part part = {batch, from, from + ROWS_PER_TX};
                if (part.to > batch->n_rows)
                        part.to = batch->n_rows;
                s = dal_cluster_run_on(cluster, shard, NULL, write_part, &part, err);
        }
        return s;
}

dal_status batch_write(struct batch *batch, dal_cluster *cluster, uint16_t shard, dal_error *err)
{
        dal_status s = write_rows(batch, cluster, shard, err);

        clear(batch);
        return s;
}

dal_status batch_write_everywhere(struct batch *batch, dal_cluster *cluster, dal_error *err)
{
        dal_status s = DAL_OK;
        dal_shard_info info;

        for (uint16_t i = 0; i < dal_cluster_n_shards(cluster) && s == DAL_OK; i++) {
                s = dal_cluster_shard_info(cluster, i, &info, err);
                if (s == DAL_OK)
                        s = write_rows(batch, cluster, info.shard, err);
        }
        clear(batch);
        return s;
}
