/* SPDX-License-Identifier: MIT */
#ifndef DAL_SHARD_MAP_H
#define DAL_SHARD_MAP_H

#include <stdatomic.h>

#include <dal/key.h>

/*
 * Slot to shard. One table for the life of the cluster, read without a lock and changed in place entry by entry:
 * every entry stands for itself, so there is nothing that a reader could see half of, and nothing to reclaim.
 */
typedef struct dal__map {
        _Atomic uint64_t version;
        _Atomic uint16_t shard[DAL_N_SLOTS]; /* the shard's number in the catalog, or DAL_NO_SHARD */
} dal__map;

/* Gives every slot to one shard. */
void dal__map_init(dal__map *map, uint16_t shard);

static inline uint16_t dal__map_shard(const dal__map *map, uint16_t slot)
{
        return atomic_load_explicit(&map->shard[slot], memory_order_acquire);
}

static inline void dal__map_set(dal__map *map, uint16_t slot, uint16_t shard)
{
        atomic_store_explicit(&map->shard[slot], shard, memory_order_release);
}

/* Returns the slots that a shard owns. */
uint32_t dal__map_n_slots(const dal__map *map, uint16_t shard);

#endif
