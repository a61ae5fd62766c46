/* SPDX-License-Identifier: MIT */
#include <dal/clock.h>

#include <time.h>

#define NS_PER_MS INT64_C(1000000)
#define NS_PER_S  INT64_C(1000000000)

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

bool dal_clock_passed(dal_deadline deadline)
{
        return deadline != DAL_FOREVER && deadline <= dal_clock_now();
}
