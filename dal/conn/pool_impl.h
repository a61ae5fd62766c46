/* SPDX-License-Identifier: MIT */
#ifndef DAL_CONN_POOL_IMPL_H
#define DAL_CONN_POOL_IMPL_H

#include <dal/pool.h>

/* What the cluster's rooms need of a pool beyond its public face. */

/* As dal_pool_acquire_at(), for a caller who has just looked at the clock. */
dal_status dal__pool_acquire(const char *here, dal_pool *pool, bool tx_mode, int64_t now,
                             dal_deadline deadline, dal_conn **out, dal_error *err);
/*
 * Replaces a leased connection that was lost by a new one, without giving up the place in the pool; *conn is NULL, and
 * the lease is over, if that fails.
 */
dal_status dal__pool_renew(const char *here, dal_pool *pool, dal_deadline deadline, dal_conn **conn,
                           dal_error *err);

#endif
