/* SPDX-License-Identifier: MIT */
#include "conn/pool_overload.h"

/* Fewer measurements say nothing; the average goes over about as many. */
#define MIN_NOTED 16u
/* One lease counts as so many average ones at most: a stall is not the pace. */
#define MAX_TIMES 4
#define MAX_START INT64_C(1000000) /* ... but an average near zero must be able to grow */
/* What was measured as long ago as a lease takes is worth half, within these bounds: past trouble is no reason. */
#define MIN_HALF_LIFE INT64_C(1000000000)
#define MAX_HALF_LIFE INT64_C(10000000000)
/*
 * Time that a caller needs behind its wait, in usual leases. A connection that comes at the last moment helps nobody:
 * its work is cut off at the deadline, and done in vain. With one lease, half of the work would still be too late;
 * and as work that is cut off looks short, only more than one lets the estimate find back to what work really takes.
 */
#define N_LEASES_AFTER 2

static uint32_t enough(uint32_t size)
{
        return size > MIN_NOTED / 2 ? 2 * size : MIN_NOTED;
}

/* What the average is worth now. */
static int64_t usual(const dal__pool_pace *pace, int64_t now)
{
        int64_t half_life = pace->held, n;

        if (half_life < MIN_HALF_LIFE)
                half_life = MIN_HALF_LIFE;
        half_life = dal_clock_earlier(half_life, MAX_HALF_LIFE);
        n = now > pace->noted_at ? (now - pace->noted_at) / half_life : 0;
        return n < 63 ? pace->held >> n : 0;
}

void dal__pool_pace_note(dal__pool_pace *pace, uint32_t size, int64_t held, int64_t now)
{
        int64_t limit;

        pace->held = usual(pace, now);
        limit = pace->held > MAX_START / MAX_TIMES ? pace->held * MAX_TIMES : MAX_START;
        if (pace->n_noted > 0 && held > limit)
                held = limit;
        if (pace->n_noted < enough(size))
                pace->n_noted++;
        pace->held += (held - pace->held) / (int64_t)pace->n_noted;
        /* A lease that began by the exact clock and ended by the coarse one may seem to have ended before. */
        if (pace->held < 0)
                pace->held = 0;
        pace->noted_at = now;
}

int64_t dal__pool_pace_wait(const dal__pool_pace *pace, uint32_t size, uint32_t place, int64_t now)
{
        int64_t each;

        if (pace->n_noted < enough(size))
                return 0;
        each = usual(pace, now) / (int64_t)size;
        return each > INT64_MAX / ((int64_t)place + 1) ? INT64_MAX : each * (int64_t)place;
}

bool dal__pool_pace_is_hopeless(const dal__pool_pace *pace, uint32_t size, uint32_t place, int64_t now,
                                dal_deadline deadline)
{
        int64_t left = deadline - now, held = usual(pace, now), work = 0;

        /* The first in the line has whatever comes next; and so the measuring goes on. */
        if (place < 2)
                return false;
        /* Where leases usually take longer than this caller has, they say nothing of its own work. */
        if (held < left)
                work = dal_clock_earlier(held * N_LEASES_AFTER, left / 2);
        return dal__pool_pace_wait(pace, size, place, now) > left - work;
}
