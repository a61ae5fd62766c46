/* SPDX-License-Identifier: MIT */
/* A bulk load into the shards of a cluster: one stream of rows in, a chunk of each shard at a time out. */

#include <inttypes.h>

#include <dal/mem.h>

#include "run/bulk_impl.h"
#include "run/tx_impl.h"
#include "shard/cluster_state.h"

#define N_CHUNKS 4u /* that all shards' rows together may take */

/* What is collected for one shard. */
struct part {
        struct part *next;
        dal__shard *shard;
        dal__bulk_table names; /* quoted for its engine */
        dal__bulk_chunk chunk;
};

struct shards {
        dal_cluster *cluster;
        const char *here;
        struct part *first;
        size_t n_bytes; /* of all chunks */
};

/* ---- sending ---------------------------------------------------------------------------------------------------- */

/* Everything before the first row that waits is stored. */
static int64_t count_safe(const dal_bulk *bulk, const struct part *except)
{
        const struct shards *shards = bulk->shards;
        int64_t n = bulk->next_row;

        for (const struct part *part = shards->first; part; part = part->next)
                if (part != except && part->chunk.n_rows && part->chunk.numbers[0] < n)
                        n = part->chunk.numbers[0];
        return n;
}

/* A slot may have moved since its row was given: then nothing may be written here. */
static dal_status check_slots(const dal_tx *tx, const dal__bulk_chunk *chunk, dal_error *err)
{
        for (uint32_t i = 0; i < chunk->n_rows; i++)
                if (dal__map_shard(tx->map, chunk->slots[i]) != tx->shard)
                        return dal_error_set(err, DAL_CLASS_OTHER_SHARD,
                                             "row %" PRId64
                                             ": slot %u has moved away from shard %u since the row "
                                             "was given: begin a new load at the last safe row",
                                             chunk->numbers[i], chunk->slots[i], tx->shard);
        return DAL_OK;
}

static dal_status store_part(dal_tx *tx, void *arg, dal_error *err)
{
        const struct part *part = arg;
        dal_status s = check_slots(tx, &part->chunk, err);

        return s ? s : dal__bulk_store(tx, &part->names, &part->chunk, err);
}

static dal_status send_part(dal_bulk *bulk, struct part *part, dal_error *err)
{
        struct shards *shards = bulk->shards;
        dal_tx_options options = DAL_TX_OPTIONS_INIT;
        dal_status s;

        options.timeout_ms = bulk->spec.timeout_ms;
        s = dal_cluster_run_on_at(shards->here, shards->cluster, part->shard->number, &options, store_part,
                                  part, err);
        if (s) {
                bulk->state = DAL__BULK_FAILED;
                return s;
        }
        shards->n_bytes -= part->chunk.n_bytes;
        dal__bulk_stored(bulk, &part->chunk, count_safe(bulk, part));
        dal__bulk_empty(&part->chunk);
        return DAL_OK;
}

static dal_status send_largest(dal_bulk *bulk, dal_error *err)
{
        const struct shards *shards = bulk->shards;
        struct part *largest = shards->first;

        for (struct part *part = largest; part; part = part->next)
                if (part->chunk.n_bytes > largest->chunk.n_bytes)
                        largest = part;
        return send_part(bulk, largest, err);
}

/* ---- collecting ------------------------------------------------------------------------------------------------- */

static void free_part(struct part *part)
{
        dal__bulk_free_names(&part->names);
        dal__bulk_free_chunk(&part->chunk);
        dal_mem_free(part);
}

static dal_status make_part(dal_bulk *bulk, dal__shard *shard, struct part **out, dal_error *err)
{
        struct shards *shards = bulk->shards;
        struct part *part = dal_mem_alloc(sizeof *part);
        dal_status s;

        if (!part)
                return dal_error_set(err, DAL_CLASS_NO_MEMORY, "out of memory for the rows of shard %u",
                                     shard->number);
        s = dal__bulk_quote(&bulk->spec, shard->driver, &part->names, err);
        if (s) {
                free_part(part);
                return s;
        }
        part->shard = shard;
        part->chunk.shard = shard->number;
        part->next = shards->first;
        shards->first = part;
        *out = part;
        return DAL_OK;
}

/* Shards are few and one of the first is the right one often enough: no index is kept. */
static dal_status find_part(dal_bulk *bulk, const dal_key *key, struct part **out, dal_error *err)
{
        const struct shards *shards = bulk->shards;
        char text[DAL_KEY_TEXT_SIZE];
        dal__shard *shard;

        if (!key || !dal_key_is_set(key))
                return dal_error_set(err, DAL_CLASS_MISSING_KEY,
                                     "row %" PRId64 ": no key was given, so no shard can be chosen: use "
                                     "dal_bulk_add_for()",
                                     bulk->next_row);
        shard = dal__cluster_find(shards->cluster, dal__map_shard(&shards->cluster->map, dal_key_slot(key)));
        if (!shard)
                return dal_error_set(err, DAL_CLASS_NO_SHARD,
                                     "row %" PRId64 ": no shard owns slot %u of key %s", bulk->next_row,
                                     dal_key_slot(key), dal_key_describe(key, text));
        for (struct part *part = shards->first; part; part = part->next) {
                if (part->shard == shard) {
                        *out = part;
                        return DAL_OK;
                }
        }
        return make_part(bulk, shard, out, err);
}

static dal_status add_row(dal_bulk *bulk, const dal_key *key, dal_params row, dal_error *err)
{
        struct shards *shards = bulk->shards;
        struct part *part = NULL;
        size_t before;
        dal_status s = find_part(bulk, key, &part, err);

        if (s)
                return s;
        before = part->chunk.n_bytes;
        s = dal__bulk_check_row(&part->names, part->shard->driver, bulk->next_row, row, err);
        if (s == DAL_OK)
                s = dal__bulk_copy_row(&part->chunk, bulk->next_row, dal_key_slot(key), row, err);
        if (s)
                return s;
        bulk->next_row++;
        bulk->progress.n_given++;
        shards->n_bytes += part->chunk.n_bytes - before;
        if (dal__bulk_is_full(bulk, &part->chunk))
                return send_part(bulk, part, err);
        if (shards->n_bytes / N_CHUNKS >= bulk->spec.chunk_bytes)
                return send_largest(bulk, err);
        return DAL_OK;
}

static dal_status send_rest(dal_bulk *bulk, dal_error *err)
{
        const struct shards *shards = bulk->shards;
        dal_status s = DAL_OK;

        for (struct part *part = shards->first; part && s == DAL_OK; part = part->next)
                if (part->chunk.n_rows)
                        s = send_part(bulk, part, err);
        return s;
}

static void close_parts(dal_bulk *bulk)
{
        struct shards *shards = bulk->shards;

        while (shards && shards->first) {
                struct part *next = shards->first->next;

                free_part(shards->first);
                shards->first = next;
        }
        dal_mem_free(shards);
}

dal_status dal_cluster_bulk_at(const char *here, dal_cluster *cluster, const dal_bulk_spec *spec,
                               dal_bulk **out, dal_error *err)
{
        static const dal__bulk_way way = {add_row, send_rest, close_parts};
        struct shards *shards;
        dal_bulk *bulk;
        dal_status s;

        if (!out)
                return dal_error_set(err, DAL_CLASS_ARGUMENT,
                                     "dal_cluster_bulk() needs a place for the load");
        *out = NULL;
        if (!cluster)
                return dal_error_set(err, DAL_CLASS_ARGUMENT, "dal_cluster_bulk() needs a cluster, not NULL");
        s = dal__bulk_new(spec, &way, &bulk, err);
        if (s)
                return s;
        shards = bulk->shards = dal_mem_alloc(sizeof *shards);
        if (!shards) {
                dal_bulk_close(bulk);
                return dal_error_set(err, DAL_CLASS_NO_MEMORY, "out of memory for a bulk load");
        }
        shards->cluster = cluster;
        shards->here = here;
        *out = bulk;
        return DAL_OK;
}
