/* SPDX-License-Identifier: MIT */
#ifndef DAL_RESOLVER_H
#define DAL_RESOLVER_H

/* Host names to addresses, within a deadline; for drivers. */

#include <stddef.h>

#include <dal/clock.h>
#include <dal/error.h>
#include <dal/macros.h>

DAL_BEGIN_DECLS

/** One numeric IPv4 or IPv6 address, with its zone where it has one. */
typedef struct dal_address {
        char text[64];
} dal_address;

/**
 * Resolves a host name on a helper thread; an answer that comes after the deadline is discarded.
 *
 * Numeric addresses are answered at once. The system's order of addresses is kept.
 * @param n_out        room in `out`
 * @param n_found_out  addresses written, at least 1 on success
 * @return DAL_OK, or DAL_CLASS_CONNECT_FAILED (no such host), DAL_CLASS_DEADLINE, DAL_CLASS_NO_MEMORY
 * Threads: any. Blocks: until the deadline.
 */
DAL_NODISCARD dal_status dal_resolver_lookup(const char *host, dal_deadline deadline, dal_address *out,
                                             size_t n_out, size_t *n_found_out, dal_error *err);

DAL_END_DECLS

#endif
