/* SPDX-License-Identifier: MIT */
#ifndef DAL_RUN_BULK_IMPL_H
#define DAL_RUN_BULK_IMPL_H

#include <dal/bulk.h>
#include <dal/driver.h>

/* What the load of one transaction and that of a cluster share. */

typedef struct dal__bulk_block dal__bulk_block;

/* Rows that wait to be sent together. */
typedef struct dal__bulk_chunk {
        dal_value *values; /* n_rows * n_columns */
        int64_t *numbers;  /* of the rows, ascending */
        uint16_t *slots;   /* of their keys; for the load of a cluster */
        uint32_t n_rows, room;
        size_t n_bytes;                 /* that the rows take */
        dal__bulk_block *first, *block; /* what the values point to; the one being filled */
        uint16_t shard;
} dal__bulk_chunk;

/* What all chunks have in common. */
typedef struct dal__bulk_table {
        char *table, *columns; /* quoted, in one block that begins with `table` */
        const dal_bulk_spec *spec;
        char name[61]; /* of its statements: "bulk.orders" */
} dal__bulk_table;

struct dal_bulk {
        dal_bulk_spec spec; /* checked; its names are in `plain` */
        void *plain;
        dal__bulk_table names;
        const dal_driver *driver; /* of a transaction; the names are quoted for it */
        int64_t next_row;
        dal_bulk_progress progress;
        enum {
                DAL__BULK_OPEN,
                DAL__BULK_FAILED,
                DAL__BULK_FINISHED
        } state;
        const struct dal__bulk_way *way;
        dal_tx *tx;
        dal__bulk_chunk chunk; /* of the transaction */
        void *shards;          /* of the cluster: cluster_bulk.c's own */
};

/* How the two kinds of load differ. */
typedef struct dal__bulk_way {
        dal_status (*add)(dal_bulk *bulk, const dal_key *key, dal_params row, dal_error *err);
        dal_status (*finish)(dal_bulk *bulk, dal_error *err);
        void (*close)(dal_bulk *bulk);
} dal__bulk_way;

/* ---- bulk.c ----------------------------------------------------------------------------------------------------- */

/* Makes a load of a checked spec. */
dal_status dal__bulk_new(const dal_bulk_spec *spec, const dal__bulk_way *way, dal_bulk **out, dal_error *err);
/* Notes that a chunk is stored and tells the caller; `n_safe` over all shards. */
void dal__bulk_stored(dal_bulk *bulk, const dal__bulk_chunk *chunk, int64_t n_safe);

/* ---- bulk_rows.c ------------------------------------------------------------------------------------------------ */

/* Copies the names that a checked spec points to, into one block. */
dal_status dal__bulk_copy_names(dal_bulk_spec *spec, void **block_out, dal_error *err);
/* Quotes the names for an engine; the spec is kept. */
dal_status dal__bulk_quote(const dal_bulk_spec *spec, const dal_driver *driver, dal__bulk_table *out,
                           dal_error *err);
void dal__bulk_free_names(dal__bulk_table *names);
/* Refuses a row that the engine could not store, naming row and column. */
dal_status dal__bulk_check_row(const dal__bulk_table *names, const dal_driver *driver, int64_t number,
                               dal_params row, dal_error *err);
/* Copies a checked row; on failure the chunk is as it was. */
dal_status dal__bulk_copy_row(dal__bulk_chunk *chunk, int64_t number, uint16_t slot, dal_params row,
                              dal_error *err);
/* Makes it empty again, and keeps its memory for the next rows. */
void dal__bulk_empty(dal__bulk_chunk *chunk);
void dal__bulk_free_chunk(dal__bulk_chunk *chunk);
static inline bool dal__bulk_is_full(const dal_bulk *bulk, const dal__bulk_chunk *chunk)
{
        return chunk->n_rows >= bulk->spec.chunk_rows || chunk->n_bytes >= bulk->spec.chunk_bytes;
}

/* ---- bulk_store.c ----------------------------------------------------------------------------------------------- */

/*
 * Stores a chunk inside a transaction, all of it or nothing. When the server refuses a row, finds out which, names it in
 * the error, and spoils the transaction.
 */
dal_status dal__bulk_store(dal_tx *tx, const dal__bulk_table *names, const dal__bulk_chunk *chunk,
                           dal_error *err);

#endif
