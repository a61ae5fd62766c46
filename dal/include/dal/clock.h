/* SPDX-License-Identifier: MIT */
#ifndef DAL_CLOCK_H
#define DAL_CLOCK_H

/*
 * Deadlines: points on the monotonic clock, in nanoseconds, so that a wait of several steps has one end and
 * nobody is troubled when the wall clock is set.
 */

#include <stdbool.h>
#include <stdint.h>

#include <dal/macros.h>

DAL_BEGIN_DECLS

typedef int64_t dal_deadline; /* nanoseconds on CLOCK_MONOTONIC */

#define DAL_FOREVER ((dal_deadline)INT64_MAX) /* a deadline that never passes */

/** Returns now on the monotonic clock, in nanoseconds. Threads: any. Blocks: no. */
int64_t dal_clock_now(void);

/** Returns the deadline `timeout_ms` milliseconds from now. Threads: any. Blocks: no. */
dal_deadline dal_clock_after_ms(uint32_t timeout_ms);

/** Returns the earlier of two deadlines. */
static inline dal_deadline dal_clock_earlier(dal_deadline a, dal_deadline b)
{
        return a < b ? a : b;
}

/**
 * Returns the milliseconds left, rounded up; 0 when the deadline has passed; INT32_MAX at most.
 *
 * Fit for poll(2): a wait of that length does not end before the deadline. For DAL_FOREVER it returns -1, which
 * poll(2) takes as "no limit".
 * Threads: any. Blocks: no.
 */
int dal_clock_left_ms(dal_deadline deadline);

/** Says whether a deadline has passed. Threads: any. Blocks: no. */
bool dal_clock_passed(dal_deadline deadline);

DAL_END_DECLS

#endif
