/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above first. Source: cmocka.h */
#include <cmocka.h>

#include <pthread.h>

#include "shard/map.h"

/* Too large for a stack, and the rooms that use it have it on the heap. */
static dal__map map;

static void test_map__begins_with_one_owner_and_version_zero(void **state)
{
        (void)state;
        dal__map_init(&map, 3);
        assert_int_equal(atomic_load(&map.version), 0);
        for (uint32_t slot = 0; slot < DAL_N_SLOTS; slot++)
                assert_int_equal(dal__map_shard(&map, (uint16_t)slot), 3);
        assert_int_equal(dal__map_n_slots(&map, 3), DAL_N_SLOTS);
        assert_int_equal(dal__map_n_slots(&map, 0), 0);
        assert_int_equal(dal__map_n_slots(&map, DAL_NO_SHARD), 0);
}

static void test_map__a_change_touches_one_slot(void **state)
{
        (void)state;
        dal__map_init(&map, DAL_NO_SHARD);
        dal__map_set(&map, 0, 1);
        dal__map_set(&map, DAL_N_SLOTS - 1, 4095);
        dal__map_set(&map, 5461, 0);
        assert_int_equal(dal__map_shard(&map, 0), 1);
        assert_int_equal(dal__map_shard(&map, 1), DAL_NO_SHARD);
        assert_int_equal(dal__map_shard(&map, DAL_N_SLOTS - 2), DAL_NO_SHARD);
        assert_int_equal(dal__map_shard(&map, DAL_N_SLOTS - 1), 4095);
        assert_int_equal(dal__map_shard(&map, 5461), 0);
        assert_int_equal(dal__map_n_slots(&map, DAL_NO_SHARD), DAL_N_SLOTS - 3);
        dal__map_set(&map, 0, 4095);
        assert_int_equal(dal__map_n_slots(&map, 1), 0);
        assert_int_equal(dal__map_n_slots(&map, 4095), 2);
}

static void test_map__every_slot_of_a_key_is_in_the_table(void **state)
{
        (void)state;
        dal__map_init(&map, 9);
        for (int64_t id = -2000; id < 2000; id++) {
                dal_key key = dal_key_int64((int64_t)((uint64_t)id * UINT64_C(2862933555777941757)));

                assert_in_range(dal_key_slot(&key), 0, DAL_N_SLOTS - 1);
                assert_int_equal(dal__map_shard(&map, dal_key_slot(&key)), 9);
        }
}

static void *move_slots(void *arg)
{
        for (uint32_t round = 0; round < 20; round++)
                for (uint32_t slot = 0; slot < DAL_N_SLOTS; slot++)
                        dal__map_set(&map, (uint16_t)slot, (uint16_t)(7 + round % 2));
        return arg;
}

static void test_map__readers_see_an_owner_while_slots_move(void **state)
{
        pthread_t mover;
        uint32_t n_wrong = 0;

        (void)state;
        dal__map_init(&map, 7);
        assert_int_equal(pthread_create(&mover, NULL, move_slots, NULL), 0);
        for (uint32_t round = 0; round < 20; round++)
                for (uint32_t slot = 0; slot < DAL_N_SLOTS; slot++) {
                        uint16_t shard = dal__map_shard(&map, (uint16_t)slot);

                        n_wrong += shard != 7 && shard != 8;
                }
        assert_int_equal(pthread_join(mover, NULL), 0);
        assert_int_equal(n_wrong, 0);
        assert_int_equal(dal__map_n_slots(&map, 8), DAL_N_SLOTS);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_map__begins_with_one_owner_and_version_zero),
                cmocka_unit_test(test_map__a_change_touches_one_slot),
                cmocka_unit_test(test_map__every_slot_of_a_key_is_in_the_table),
                cmocka_unit_test(test_map__readers_see_an_owner_while_slots_move),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
