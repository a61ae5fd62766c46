/* SPDX-License-Identifier: MIT */
#ifndef DAL_RUN_RETRY_H
#define DAL_RUN_RETRY_H

#include <dal/clock.h>
#include <dal/error.h>

/* When a whole transaction runs again, and after which pause. */

#define DAL__RETRY_MAX_ATTEMPTS   10u
#define DAL__RETRY_UNIQUE_RETRIES 3u

/* Says whether another attempt can help after this failure. `attempt` counts from 1. */
bool dal__retry_is_useful(const dal_error *failure, uint32_t attempt, uint32_t max_attempts,
                          bool retry_unique);

/*
 * Returns the pause before the next attempt: full jitter under an exponential ceiling, by the kind of failure.
 * `random_state` is the caller's; any value.
 */
uint32_t dal__retry_delay_ms(const dal_error *failure, uint32_t attempt, uint64_t *random_state);

/* Sleeps, but not past the deadline; false if the deadline comes first. */
bool dal__retry_sleep(uint32_t delay_ms, dal_deadline deadline);

/* The next number of a small generator, good enough to spread pauses. */
uint64_t dal__retry_random(uint64_t *state);

#endif
