/* SPDX-License-Identifier: MIT */
#ifndef PROXY_WIRE_H
#define PROXY_WIRE_H

/*
 * As much of the two protocols as it takes to find a transaction, its COMMIT and the answer to that in a
 * stream of bytes without TLS. What passes is looked at and never changed.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum wire_protocol {
        WIRE_POSTGRES,
        WIRE_MYSQL
};

/* Messages of one direction, which may begin and end anywhere in what was received at once. */
struct wire_stream {
        unsigned char header[5];
        size_t n_header, left; /* bytes of the header so far; of the message still to come */
        size_t begins_at;      /* in what is being looked at now; 0 = earlier */
        unsigned char text[80];
        size_t n_text;
        unsigned char tail[8]; /* the last bytes so far */
        size_t n_tail;
        bool framed; /* PostgreSQL: the startup message, which has no type, is over */
};

struct wire {
        enum wire_protocol protocol;
        struct wire_stream up, down; /* to the server; to the library */
        bool logged_in;
        bool no_autocommit; /* MySQL: every statement begins a transaction */
        bool in_tx;
        bool commit_sent; /* and its answer was not whole yet */
        unsigned n_unanswered;
        uint64_t op; /* the operation that the transaction is of; 0 = not known yet */
        unsigned attempt;
};

/* What stands in one piece from the library. */
struct wire_piece {
        bool commit; /* COMMIT is asked for; it begins at... */
        size_t commit_at;
        bool work; /* a statement or transaction of an operation, not a login, a check or a reset */
};

/*
 * Operations mark their statements by a text parameter, "op:" 16 hexadecimal digits ":" and two more: the
 * operation and its attempt.
 */
#define WIRE_MARK_FORMAT "op:%016" PRIx64 ":%02x"

struct wire_piece wire_up(struct wire *w, const unsigned char *bytes, size_t size);
void wire_down(struct wire *w, const unsigned char *bytes, size_t size);
/* An operation waits for an answer, or has a transaction open. */
bool wire_in_flight(const struct wire *w);

#endif
