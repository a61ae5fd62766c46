/* SPDX-License-Identifier: MIT */
#include <dal/clock.h>

#include <time.h>

#define NS_PER_MS INT64_C(1000000)
#define NS_PER_S  INT64_C(1000000000)
/* More than the coarse clock is ever behind: a tick, of 10 ms at most. */
#define COARSE_LAG (100 * NS_PER_MS)

int64_t dal_clock_now(void)
{
        struct timespec now = {0, 0};

        clock_gettime(CLOCK_MONOTONIC, &now); /* can't fail: POSIX.1-2008 with the monotonic clock option */
        return (int64_t)now.tv_sec * NS_PER_S + now.tv_nsec;
}

dal_deadline dal_clock_after_ms(uint32_t timeout_ms)
{
        return dal_clock_now() + (int64_t)timeout_ms * NS_PER_MS;
}

int dal_clock_left_ms(dal_deadline deadline)
{
        int64_t now, left;

        if (deadline == DAL_FOREVER)
                return -1;
        now = dal_clock_now();
        if (deadline <= now)
                return 0;
        left = deadline - now;
        left = left / NS_PER_MS + (left % NS_PER_MS != 0);
        return left > INT32_MAX ? INT32_MAX : (int)left;
}

/*
 * Says, at a quarter of the cost, that a deadline is far off. The coarse clock is the same one as of its last tick.
 * Source: clock_gettime(2)
 */
static inline bool is_far(dal_deadline deadline)
{
#ifdef CLOCK_MONOTONIC_COARSE
        struct timespec now;

        if (clock_gettime(CLOCK_MONOTONIC_COARSE, &now) == 0)
                return (int64_t)now.tv_sec * NS_PER_S + now.tv_nsec < deadline - COARSE_LAG;
#else
        (void)deadline;
#endif
        return false;
}

bool dal_clock_passed(dal_deadline deadline)
{
        if (deadline == DAL_FOREVER || (deadline > COARSE_LAG && is_far(deadline)))
                return false;
        return deadline <= dal_clock_now();
}
