/* SPDX-License-Identifier: MIT */
#ifndef DAL_CONN_POOL_OVERLOAD_H
#define DAL_CONN_POOL_OVERLOAD_H

#include <stdbool.h>
#include <stdint.h>

#include <dal/clock.h>

/*
 * How fast a line of waiting callers moves, from how long leases were held that were given back while somebody
 * waited. With `size` connections, one falls free every held/size on average: so no unbroken line is needed to
 * measure, and leases that come back in a bunch don't disturb. No locks, no clock of its own: the pool's lock guards
 * it, and times are given.
 */
typedef struct dal__pool_pace {
        int64_t held;     /* nanoseconds, smoothed */
        int64_t noted_at; /* when it was measured last */
        uint32_t n_noted; /* leases measured, counted as far as it matters */
} dal__pool_pace;

/* Notes a lease that was held for so long and is given back now, while somebody waits. */
void dal__pool_pace_note(dal__pool_pace *pace, uint32_t size, int64_t held, int64_t now);
/* The time until the caller at `place` (the first is 1) has a connection; 0 as long as too little was measured. */
int64_t dal__pool_pace_wait(const dal__pool_pace *pace, uint32_t size, uint32_t place, int64_t now);
/*
 * Says whether a caller has no chance there: by the time it was served, the deadline would be passed or too near for
 * the usual work. Never for the first in the line, nor before two leases for each connection (and 16) were measured.
 */
bool dal__pool_pace_is_hopeless(const dal__pool_pace *pace, uint32_t size, uint32_t place, int64_t now,
                                dal_deadline deadline);

#endif
