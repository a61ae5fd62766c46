/* SPDX-License-Identifier: MIT */
/* A bulk load as a part of one transaction. */

#include "run/bulk_impl.h"
#include "run/tx_impl.h"

static dal_status send_chunk(dal_bulk *bulk, dal_error *err)
{
        dal_status s;

        if (bulk->chunk.n_rows == 0)
                return DAL_OK;
        s = dal__bulk_store(bulk->tx, &bulk->names, &bulk->chunk, err);
        if (s) {
                bulk->state = DAL__BULK_FAILED;
                return s;
        }
        dal__bulk_stored(bulk, &bulk->chunk, bulk->chunk.numbers[bulk->chunk.n_rows - 1] + 1);
        dal__bulk_empty(&bulk->chunk);
        return DAL_OK;
}

static dal_status add_in_tx(dal_bulk *bulk, const dal_key *key, dal_params row, dal_error *err)
{
        dal_status s = dal__tx_check_caller(bulk->tx, err);

        if (s == DAL_OK && key)
                s = dal_tx_require_key(bulk->tx, *key, err);
        if (s == DAL_OK)
                s = dal__bulk_check_row(&bulk->names, bulk->driver, bulk->next_row, row, err);
        if (s == DAL_OK)
                s = dal__bulk_copy_row(&bulk->chunk, bulk->next_row, 0, row, err);
        if (s)
                return s;
        bulk->next_row++;
        bulk->progress.n_given++;
        return dal__bulk_is_full(bulk, &bulk->chunk) ? send_chunk(bulk, err) : DAL_OK;
}

static dal_status finish_in_tx(dal_bulk *bulk, dal_error *err)
{
        dal_status s = dal__tx_check_caller(bulk->tx, err);

        return s ? s : send_chunk(bulk, err);
}

static void close_in_tx(dal_bulk *bulk)
{
        dal__bulk_free_chunk(&bulk->chunk);
}

dal_status dal_tx_bulk(dal_tx *tx, const dal_bulk_spec *spec, dal_bulk **out, dal_error *err)
{
        static const dal__bulk_way way = {add_in_tx, finish_in_tx, close_in_tx};
        dal_bulk *bulk;
        dal_status s;

        if (!out)
                return dal_error_set(err, DAL_CLASS_ARGUMENT, "dal_tx_bulk() needs a place for the load");
        *out = NULL;
        s = dal__tx_check_caller(tx, err);
        if (s == DAL_OK)
                s = dal__bulk_new(spec, &way, &bulk, err);
        if (s)
                return s;
        bulk->tx = tx;
        bulk->driver = dal_conn_driver(tx->conn);
        bulk->chunk.shard = tx->shard;
        s = dal__bulk_quote(&bulk->spec, bulk->driver, &bulk->names, err);
        if (s) {
                dal_bulk_close(bulk);
                return s;
        }
        *out = bulk;
        return DAL_OK;
}
