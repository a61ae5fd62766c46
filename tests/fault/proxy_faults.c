/* SPDX-License-Identifier: MIT */
#include "proxy_faults.h"

static const struct {
        enum proxy_moment moment;
        uint32_t weight;
        const char *words;
} faults[] = {
#define PROXY_FAULT_ROW(name, moment, weight, words) {moment, weight, words},
        PROXY_FAULT_LIST(PROXY_FAULT_ROW)
#undef PROXY_FAULT_ROW
};

const char *proxy_fault_words(enum proxy_fault fault)
{
        return faults[fault].words;
}

enum proxy_moment proxy_fault_moment(enum proxy_fault fault)
{
        return faults[fault].moment;
}

bool proxy_fault_loses_commit(enum proxy_fault fault)
{
        return faults[fault].moment == AT_COMMIT || faults[fault].moment == AT_COMMIT_REPLY;
}

/* Source: Vigna, "An experimental exploration of Marsaglia's xorshift generators, scrambled": xorshift64* */
uint32_t proxy_random(uint64_t *random, uint32_t n)
{
        *random ^= *random >> 12;
        *random ^= *random << 25;
        *random ^= *random >> 27;
        return (uint32_t)((*random * UINT64_C(0x2545f4914f6cdd1d)) >> 33) % n;
}

enum proxy_fault proxy_fault_choose(uint64_t *random)
{
        uint32_t sum = 0, at;

        for (int i = 0; i < PROXY_N_FAULTS; i++)
                sum += faults[i].weight;
        at = proxy_random(random, sum);
        for (int i = 0; i < PROXY_N_FAULTS; i++) {
                if (at < faults[i].weight)
                        return (enum proxy_fault)i;
                at -= faults[i].weight;
        }
        return PROXY_CUT_REQUEST; /* not reached: `at` is below the sum */
}
