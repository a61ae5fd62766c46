/* SPDX-License-Identifier: MIT */
#include "shard/map.h"

void dal__map_init(dal__map *map, uint16_t shard)
{
        atomic_init(&map->version, 0);
        for (uint32_t slot = 0; slot < DAL_N_SLOTS; slot++)
                atomic_init(&map->shard[slot], shard);
}

uint32_t dal__map_n_slots(const dal__map *map, uint16_t shard)
{
        uint32_t n = 0;

        for (uint32_t slot = 0; slot < DAL_N_SLOTS; slot++)
                n += dal__map_shard(map, (uint16_t)slot) == shard;
        return n;
}
