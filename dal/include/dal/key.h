/* SPDX-License-Identifier: MIT */
#ifndef DAL_KEY_H
#define DAL_KEY_H

/*
 * Keys: the entity id that decides where work runs. A key is hashed to one of 16384 slots; a slot belongs to one
 * shard. The hash is part of the stored data's meaning and never changes:
 *
 *      int64                 slot = fmix64(id) >> 50, the finalizer of MurmurHash3     scheme "fmix64/1"
 *      text, bytes, uuid,    slot = first 8 bytes of SHA-256, big endian, >> 50        scheme "sha256be8/1"
 *      composite
 *
 * Text is hashed as its UTF-8 bytes: no collation, no case folding, no trimming. A UUID is hashed as 16 bytes. A
 * composite key hashes, for each part, a type byte ('i', 't', 'b' or 'u'), the length as 32 bits big endian, and the
 * bytes; an int64 is 8 bytes big endian.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <dal/error.h>
#include <dal/macros.h>
#include <dal/value.h>

DAL_BEGIN_DECLS

#define DAL_N_SLOTS 16384u

/** A key: a plain value, hashed when it is made, so nothing is borrowed. A zeroed key is "no key" and refused. */
typedef struct dal_key {
        uint64_t hash;
        uint8_t type;     /* dal_type of the key; DAL_TYPE_NULL = no key; DAL_TYPE_OTHER = composite */
        uint8_t n_label;  /* bytes of `label` */
        char label[38];   /* what dal_key_describe() prints, in a form of its own */
} dal_key;

/** Makes a key of an integer id. Threads: any. Blocks: no. */
static inline dal_key dal_key_int64(int64_t id)
{
        uint64_t hash = (uint64_t)id;
        dal_key key;

        /* Source: Austin Appleby, MurmurHash3.cpp, fmix64 (public domain). */
        hash ^= hash >> 33;
        hash *= UINT64_C(0xff51afd7ed558ccd);
        hash ^= hash >> 33;
        hash *= UINT64_C(0xc4ceb9fe1a85ec53);
        hash ^= hash >> 33;
        memset(&key, 0, sizeof key);
        key.hash = hash;
        key.type = DAL_TYPE_INT64;
        key.n_label = sizeof id;
        memcpy(key.label, &id, sizeof id); /* as it is: printing a number costs more than hashing it */
        return key;
}
/** Makes a key of text, by its bytes. NULL gives no key. Threads: any. Blocks: no. */
dal_key dal_key_text(const char *text);
/** Makes a key of text of `size` bytes. Threads: any. Blocks: no. */
dal_key dal_key_text_n(const char *text, size_t size);
/** Makes a key of bytes. Threads: any. Blocks: no. */
dal_key dal_key_bytes(const void *bytes, size_t size);
/** Makes a key of a UUID in network order. Threads: any. Blocks: no. */
dal_key dal_key_uuid(const uint8_t uuid[16]);
/**
 * Makes a key of several values, in order: (tenant, order), say. Parts may be int64, text, bytes or uuid; any
 * other type or no part at all gives no key, which every call refuses. A single part is that part's own key.
 * Threads: any. Blocks: no.
 */
dal_key dal_key_composite(const dal_value *parts, size_t n_parts);

#define DAL_KEY_TEXT_SIZE 38
/**
 * Writes a key as text for messages, cut after 37 bytes, and a NUL; "" if there is no key.
 *
 * @return `out`. Threads: any. Blocks: no.
 */
const char *dal_key_describe(const dal_key *key, char out[DAL_KEY_TEXT_SIZE]);

/** Returns the slot of a key, 0 to 16383. Threads: any. Blocks: no. */
static inline uint16_t dal_key_slot(const dal_key *key)
{
        return (uint16_t)(key->hash >> 50);
}

/** Says whether there is a key. */
static inline bool dal_key_is_set(const dal_key *key)
{
        return key->type != DAL_TYPE_NULL;
}

DAL_END_DECLS

#endif
