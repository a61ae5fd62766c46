/* SPDX-License-Identifier: MIT */
#ifndef FAULT_H
#define FAULT_H

/* What the fault suite adds to the conformance suite's frame: a hand that strikes. */

#include "conf.h"

/* Ends a session of the server from outside, and waits until it is gone. */
void fault_kill(struct conf *c, uint64_t session_id);
/* Ends all sessions of this run but the case's own. */
void fault_kill_others(struct conf *c);
/* The number of accounts, as others see it. */
int64_t fault_count(struct conf *c);

extern const struct conf_case killed_fault[], pool_fault[], contention_fault[], commit_fault[],
        stress_fault[];

#endif
