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
        bool touches_session;
        bool is_atomic; /* outside a transaction, too: a refusal means that nothing was done */
} dal__cached_stmt;

typedef struct dal__stmt_cache {
        const dal_driver *driver;
        dal_dialect dialect;
        dal__cached_stmt **buckets; /* power of two */
        uint32_t n_buckets;
        uint32_t n_stmts;
        uint32_t capacity;
        uint32_t next_number;
        uint64_t n_evicted;
        dal__cached_stmt *newest, *oldest;
} dal__stmt_cache;

dal_status dal__stmt_cache_init(dal__stmt_cache *cache, const dal_driver *driver, uint32_t capacity,
                                dal_error *err);
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

/* Finds a statement or makes a place for it; NULL, with *err filled, if that fails. On every statement's way. */
static inline dal__cached_stmt *dal__stmt_cache_get(dal__stmt_cache *cache, void *driver_conn,
                                                    const dal_stmt *stmt, dal_error *err)
{
        dal__cached_stmt *entry = *dal__stmt_cache_bucket(cache, stmt);

        if (entry && entry == cache->newest && entry->key == stmt && entry->key_name == stmt->name &&
            entry->key_common == stmt->common)
                return entry;
        return dal__stmt_cache_fetch(cache, driver_conn, stmt, err);
}
/* Says whether SQL changes the session rather than data: SET, advisory locks, temporary tables and the like. */
bool dal__stmt_cache_touches_session(const char *sql, size_t size, uint32_t syntax);

#endif
