/* SPDX-License-Identifier: MIT */
#include "run/retry.h"

#include <errno.h>
#include <time.h>

/* Ceilings in milliseconds: first pause, last pause. */
struct backoff {
        uint32_t base_ms, cap_ms;
};

static struct backoff backoff_of(dal_error_class error_class)
{
        switch ((int)error_class) {
        case DAL_CLASS_READ_ONLY_SERVER:
                return (struct backoff){250, 1000}; /* a fail-over takes seconds */
        case DAL_CLASS_TOO_MANY_CONNECTIONS:
        case DAL_CLASS_CONNECT_FAILED:
                return (struct backoff){100, 1000}; /* the server needs room, not company */
        case DAL_CLASS_CONNECTION_LOST:
        case DAL_CLASS_TX_TIMEOUT:
                return (struct backoff){50,
                                        1000}; /* nothing, for one that was idle; or the server has gone */
        default:
                return (struct backoff){5, 1000};
        }
}

uint64_t dal__retry_random(uint64_t *state)
{
        uint64_t x = *state ? *state : 0x9e3779b97f4a7c15u ^ (uint64_t)dal_clock_now();

        /* Source: G. Marsaglia, Xorshift RNGs (2003), triple 13, 7, 17. */
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        *state = x;
        return x;
}

bool dal__retry_is_useful(const dal_error *failure, uint32_t attempt, uint32_t max_attempts,
                          bool retry_unique)
{
        if (attempt >= (max_attempts ? max_attempts : DAL__RETRY_MAX_ATTEMPTS))
                return false;
        if (failure->status == DAL_ERR_IN_DOUBT)
                return false; /* running it again could do it twice */
        /* With the bit set, contention was underneath: then it decides. */
        if (failure->error_class == DAL_CLASS_UNIQUE && !failure->retry_tx)
                return retry_unique && attempt <= DAL__RETRY_UNIQUE_RETRIES;
        return failure->retry_tx;
}

uint32_t dal__retry_delay_ms(const dal_error *failure, uint32_t attempt, uint64_t *random_state)
{
        struct backoff backoff = backoff_of(failure->error_class);
        uint64_t ceiling = backoff.base_ms;

        for (uint32_t i = 1; i < attempt && ceiling < backoff.cap_ms; i++)
                ceiling *= 2;
        if (ceiling > backoff.cap_ms)
                ceiling = backoff.cap_ms;
        return (uint32_t)(dal__retry_random(random_state) % (ceiling + 1));
}

bool dal__retry_sleep(uint32_t delay_ms, dal_deadline deadline)
{
        dal_deadline until = dal_clock_after_ms(delay_ms);
        struct timespec at;

        if (until >= deadline)
                return false;
        at.tv_sec = (time_t)(until / 1000000000);
        at.tv_nsec = (long)(until % 1000000000);
        while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL) == EINTR) {
        }
        return true;
}
