/* SPDX-License-Identifier: MIT */
#ifndef FAULT_PROXY_H
#define FAULT_PROXY_H

/*
 * A man in the middle that breaks things: a thread forwards what the library and a server say to each
 * other, and now and then, as a seed wills it, a connection in the middle of an operation meets a fault.
 * Every fault that struck is written down, with the operation where it is known.
 */

#include <stddef.h>
#include <stdint.h>

#include "proxy_faults.h"
#include "proxy_wire.h"

struct proxy;

struct proxy_strike {
        enum proxy_fault fault;
        uint64_t op; /* 0 = not known */
        unsigned attempt;
};

/*
 * Starts one in front of 127.0.0.1:`server_port`; faultless until proxy_arm(). NULL and errno when it
 * can't.
 */
struct proxy *proxy_new(uint16_t server_port, enum wire_protocol protocol, uint64_t seed);
void proxy_free(struct proxy *p);
uint16_t proxy_port(const struct proxy *p);

/* Faults strike from now on, with up to `gap_ms` between them, until so many have; 0 = none any more. */
void proxy_arm(struct proxy *p, size_t n_faults, uint32_t gap_ms);
/* Ends every connection now; no fault of the schedule, and not counted. */
void proxy_cut_all(struct proxy *p);
/* Where connections lead that are made from now on; those that are open stay where they are. */
void proxy_lead_to(struct proxy *p, uint16_t server_port);
/* How many have struck so far. */
size_t proxy_n_strikes(struct proxy *p);
/* All that struck; borrowed until the proxy strikes again. */
const struct proxy_strike *proxy_strikes(struct proxy *p);

#endif
