/* SPDX-License-Identifier: MIT */
#ifndef CONF_PROXY_H
#define CONF_PROXY_H

/*
 * A man in the middle: forwards bytes between the library and the server, records what the library says, and cuts,
 * loses or holds things up on demand. A thread of its own; every signal is blocked in it.
 */

#include <stdbool.h>
#include <stddef.h>

struct conf;
struct conf_proxy;

/* Starts one in front of the server that c->url leads to; `url_out` is the same URL through it. */
struct conf_proxy *conf_proxy_new(struct conf *c, char *url_out, size_t size);
void conf_proxy_free(struct conf_proxy *p);

/*
 * Ends every connection such that the library's next write meets a dead peer: first the end of the stream, then a
 * reset. Source: Linux net/ipv4/tcp_input.c, tcp_reset(): in CLOSE_WAIT the pending error is EPIPE.
 */
void conf_proxy_cut(struct conf_proxy *p);
/* From now on: what the library next says arrives, and its answer is lost, and with it the connection. */
void conf_proxy_lose_next_answer(struct conf_proxy *p);
/* From now on: of an answer arrives what stands before these bytes, which stay the caller's; then the connection ends. */
void conf_proxy_cut_before(struct conf_proxy *p, const void *bytes, size_t size);
/*
 * From now on the server's answers are kept back until these bytes, which must stay valid, stand among what was heard
 * since the last forget: who can't say them without an answer before waits for ever. So a round trip is one.
 */
void conf_proxy_keep_until(struct conf_proxy *p, const void *bytes, size_t size);
/* From now on: what the library next says is lost, and with it the connection. */
void conf_proxy_lose_next_request(struct conf_proxy *p);
/* From now on nothing passes, either way, and nobody is told; new connections are accepted and hear nothing. */
void conf_proxy_freeze(struct conf_proxy *p);
/* From now on, or until now, nothing that a server says passes. */
void conf_proxy_keep_answers(struct conf_proxy *p, bool keep);
/* Frozen, for the connections there are: half open for ever. New ones pass. */
void conf_proxy_hold(struct conf_proxy *p);

/* From now on: the answer to what the library says with these bytes, which stay the caller's, is lost as above. */
void conf_proxy_lose_answer_to(struct conf_proxy *p, const void *bytes, size_t size);
/* As that, but what is said with these bytes is lost itself. */
void conf_proxy_lose_request_with(struct conf_proxy *p, const void *bytes, size_t size);
/*
 * When the library has said so many bytes more, the connections there are end in the middle of it; or, if `hold`, are held
 * as conf_proxy_hold() does.
 */
void conf_proxy_break_after(struct conf_proxy *p, size_t n_bytes, bool hold);
/* From now on new connections are accepted and hear nothing; those there are go on. */
void conf_proxy_hold_new(struct conf_proxy *p);
/* From now on new connections are ended: at once, or behind what the server first says. */
void conf_proxy_refuse(struct conf_proxy *p, bool behind_greeting);

/* Counts where the bytes stand among the first 256 KiB that the library sent since the start or the last forget. */
size_t conf_proxy_heard(struct conf_proxy *p, const void *bytes, size_t size);
void conf_proxy_forget(struct conf_proxy *p);
/* Connections accepted so far. */
unsigned conf_proxy_accepted(struct conf_proxy *p);

#endif
