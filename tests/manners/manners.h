/* SPDX-License-Identifier: MIT */
#ifndef MANNERS_H
#define MANNERS_H

/* A library is a guest in its process: what it finds there it leaves as it was. */

#include "conf.h"
#include "proxy.h"

/* What a process and the calling thread have that a library could change. */
struct snapshot;

struct snapshot *snapshot_take(void);
/*
 * Says what differs now, in words; NULL when nothing does. Threads and descriptors of a statement that was given up may
 * take a moment to end: up to ten seconds are waited for these. The snapshot is freed.
 */
const char *snapshot_compare(struct snapshot *before);
/* The same as an assertion. */
void snapshot_check(struct snapshot *before);

/* Everything that a service does with the library, from opening to closing. */
struct use {
        struct conf *c;
        const char *url;
        dal_error err;
        const char *step; /* what failed; NULL = nothing */
};
void use_everything(struct use *u);
void use_check(struct use *u);
/* Closes the case's own connection where it would change what is looked at. */
void be_alone(struct conf *c);
/* Opens and closes one connection to a URL. */
dal_status use_briefly(struct conf *c, const char *url, dal_error *err);
/* c->url, encrypted where the engine can. */
void url_with_tls(struct conf *c, char *out, size_t size);

extern const struct conf_case life_manners[], sigpipe_manners[], hosts_manners[], fork_manners[],
        locale_manners[], names_manners[], cancel_manners[];

#endif
