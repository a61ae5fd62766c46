/* SPDX-License-Identifier: MIT */
#ifndef DAL_CONN_STMT_CACHE_H
#define DAL_CONN_STMT_CACHE_H

#include <dal/driver.h>

/*
 * The prepared statements of one connection, found by the address of the dal_stmt, the least recently used one
 * dropped first. Statements whose request is under way are pinned.
 */
typedef struct dal__cached_stmt {
        const dal_stmt *key;
        const char *key_name; /* the key's own fields, to notice an address used for another statement */
        const char *key_common;
        struct dal__cached_stmt *newer, *older;
        struct dal__cached_stmt *next_in_bucket;
        dal_driver_stmt driver_stmt;
        uint32_t n_pins;
        bool is_read;
        uint8_t effects; /* DAL__EFFECT_* */
        bool is_dml;     /* begins with INSERT, UPDATE, DELETE or MERGE: its count is the server's own word */
        bool is_atomic;  /* outside a transaction, too: a refusal means that nothing was done */
} dal__cached_stmt;

/* What a statement does besides reading and writing rows. */
#define DAL__EFFECT_SESSION 0x1u /* changes the session: SET, advisory locks, temporary tables and the like */
#define DAL__EFFECT_SCHEMA                                                                                   \
        0x2u /* changes what other statements were prepared for: CREATE, ALTER, DROP and the like */
#define DAL__EFFECT_WAITS   0x4u /* did so in a transaction that is still open */
#define DAL__EFFECT_CURSORS 0x8u /* of a connection only: a further cursor is open, see conn_cursors.c */

typedef struct dal__stmt_cache {
        const dal_driver *driver;
        dal_dialect dialect;
        bool texts_only; /* nothing is kept in the session, so nothing there can run short or grow stale */
        bool no_session; /* a pooler may lend another one to each transaction: what would outlive one is refused */
        dal__cached_stmt **buckets; /* power of two */
        uint32_t n_buckets;
        uint32_t n_stmts;
        uint32_t capacity;
        uint32_t next_number;
        uint64_t n_prepared;
        uint64_t n_evicted;
        uint64_t n_invalidated;
        dal__cached_stmt *newest, *oldest;
} dal__stmt_cache;

dal_status dal__stmt_cache_init(dal__stmt_cache *cache, const dal_driver *driver, uint32_t capacity,
                                dal_error *err);
/*
 * Lowers the capacity to this connection's part of what all sessions of the server may prepare together, of which
 * one pool of `n_conns` connections takes a quarter at most. Right after opening, while nothing is cached.
 */
void dal__stmt_cache_limit(dal__stmt_cache *cache, uint32_t max_prepared, uint32_t n_conns);
/* Drops every statement that is not pinned: what it was prepared for may have changed. */
void dal__stmt_cache_invalidate(dal__stmt_cache *cache, void *driver_conn);
/* Forgets everything; the driver's states are closed by `driver_conn` first, if that is not NULL. */
void dal__stmt_cache_fini(dal__stmt_cache *cache, void *driver_conn);
/* Makes the newest one of a statement that is there, or a place for one that is not, evicting another if need be. */
dal__cached_stmt *dal__stmt_cache_fetch(dal__stmt_cache *cache, void *driver_conn, const dal_stmt *stmt,
                                        dal_error *err);

static inline dal__cached_stmt **dal__stmt_cache_bucket(const dal__stmt_cache *cache, const dal_stmt *key)
{
        uint64_t h = (uint64_t)(uintptr_t)key * 0x9e3779b97f4a7c15u;

        return &cache->buckets[(h >> 32) & (cache->n_buckets - 1)];
}

/* Returns the statement that a driver's was made of. */
static inline const dal_stmt *dal__stmt_cache_key(const dal_driver_stmt *stmt)
{
        const void *entry = (const char *)stmt - offsetof(dal__cached_stmt, driver_stmt);

        return ((const dal__cached_stmt *)entry)->key;
}

/* Says whether an entry is that of a statement: not only its address. */
static inline bool dal__stmt_cache_is_for(const dal__cached_stmt *entry, const dal_stmt *stmt)
{
        return entry->key == stmt && entry->key_name == stmt->name && entry->key_common == stmt->common;
}

/* Finds a statement or makes a place for it; NULL, with *err filled, if that fails. On every statement's way. */
static inline dal__cached_stmt *dal__stmt_cache_get(dal__stmt_cache *cache, void *driver_conn,
                                                    const dal_stmt *stmt, dal_error *err)
{
        dal__cached_stmt *entry = cache->newest;

        if (entry && stmt && dal__stmt_cache_is_for(entry, stmt))
                return entry;
        return dal__stmt_cache_fetch(cache, driver_conn, stmt, err);
}
/*
 * Makes a statement that is in no cache: for one that lives no longer than the connection is lent, so `stmt` needs no
 * static storage but must outlive it. The caller ends it.
 */
dal_status dal__stmt_cache_make(dal__stmt_cache *cache, const dal_stmt *stmt, dal__cached_stmt **out,
                                dal_error *err);
void dal__stmt_cache_end(dal__stmt_cache *cache, void *driver_conn, dal__cached_stmt *entry);
/* Finds out the DAL__EFFECT_* of SQL, of one statement or of several. */
uint8_t dal__stmt_cache_effects(const char *sql, size_t size, uint32_t syntax);
/*
 * Refuses SQL of one statement or of several that leaves something in the session behind the end of its transaction,
 * where the session is not ours (`no_session`). What a function or block does inside can't be seen.
 */
dal_status dal__stmt_cache_check_session(const dal__stmt_cache *cache, const char *name, const char *sql,
                                         size_t size, dal_error *err);

#endif
