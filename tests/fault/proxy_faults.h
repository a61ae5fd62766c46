/* SPDX-License-Identifier: MIT */
#ifndef PROXY_FAULTS_H
#define PROXY_FAULTS_H

/* The faults that the proxy knows, and the schedule that chooses among them. */

#include <stdbool.h>
#include <stdint.h>

/* Where a fault can strike. */
enum proxy_moment {
        AT_ACCEPT,
        AT_LOGIN,       /* the server says something before the login is over */
        AT_REQUEST,     /* an operation asks something */
        AT_REPLY,       /* the server says something to an operation */
        AT_COMMIT,      /* an operation asks for COMMIT */
        AT_COMMIT_REPLY /* the server answers that */
};

/* X(name, moment, weight, words). The weights are out of 100. */
#define PROXY_FAULT_LIST(X)                                                                                  \
        X(REFUSE, AT_ACCEPT, 3, "connection refused")                                                        \
        X(HANG, AT_ACCEPT, 2, "accepted, then silence")                                                      \
        X(CUT_LOGIN, AT_LOGIN, 4, "cut in the login")                                                        \
        X(CUT_REQUEST, AT_REQUEST, 13, "request cut at byte n")                                              \
        X(CUT_REPLY, AT_REPLY, 13, "answer cut at byte n")                                                   \
        X(STALL, AT_REQUEST, 3, "black hole in a transaction")                                               \
        X(HALF_OPEN, AT_REPLY, 3, "half-open: the server's side closed, silence here")                       \
        X(DELAY, AT_REPLY, 8, "answer delayed")                                                              \
        X(TRICKLE, AT_REPLY, 6, "answer in drops")                                                           \
        X(COMMIT_BEFORE, AT_COMMIT, 12, "cut before COMMIT arrived")                                         \
        X(COMMIT_CUT, AT_COMMIT, 6, "COMMIT cut at byte n")                                                  \
        X(COMMIT_VANISHED, AT_COMMIT, 3, "COMMIT lost in a black hole")                                      \
        X(COMMIT_AFTER, AT_COMMIT_REPLY, 14, "cut after COMMIT was done")                                    \
        X(COMMIT_REPLY_CUT, AT_COMMIT_REPLY, 6, "answer to COMMIT cut at byte n")                            \
        X(COMMIT_REPLY_VANISHED, AT_COMMIT_REPLY, 4, "answer to COMMIT lost in a black hole")

enum proxy_fault {
#define PROXY_FAULT_ENUM(name, moment, weight, words) PROXY_##name,
        PROXY_FAULT_LIST(PROXY_FAULT_ENUM)
#undef PROXY_FAULT_ENUM
        PROXY_N_FAULTS,
        PROXY_NONE = PROXY_N_FAULTS
};

const char *proxy_fault_words(enum proxy_fault fault);
enum proxy_moment proxy_fault_moment(enum proxy_fault fault);
/* The fault loses the answer to a COMMIT. */
bool proxy_fault_loses_commit(enum proxy_fault fault);
enum proxy_fault proxy_fault_choose(uint64_t *random);
/* A number below `n`, from a generator whose whole state is *random, which is never 0. */
uint32_t proxy_random(uint64_t *random, uint32_t n);

#endif
