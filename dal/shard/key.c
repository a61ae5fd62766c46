/* SPDX-License-Identifier: MIT */
#include <dal/key.h>

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <openssl/evp.h>

/* Type bytes of composite parts. They are hashed into stored data's placement: never change or reuse one. */
enum part_type {
        PART_INT64 = 'i', /* 8 bytes, big endian, two's complement */
        PART_TEXT = 't',
        PART_BYTES = 'b',
        PART_UUID = 'u'
};

struct part {
        enum part_type type;
        const void *bytes;
        size_t size;
        uint8_t big_endian[8];
};

static void store_be(uint8_t *out, size_t size, uint64_t value)
{
        while (size--) {
                out[size] = (uint8_t)value;
                value >>= 8;
        }
}

static uint64_t load_be64(const uint8_t *bytes)
{
        uint64_t value = 0;

        for (size_t i = 0; i < 8; i++)
                value = value << 8 | bytes[i];
        return value;
}

static dal_key no_key(void)
{
        dal_key key;

        memset(&key, 0, sizeof key);
        return key;
}

/* Appends text for messages; what does not fit is cut at the end of a character. */
static void append_text(dal_key *key, const char *text, size_t size)
{
        size_t room = sizeof key->label - 1 - key->n_label;

        if (size > room) {
                size = room;
                while (size > 0 && ((unsigned char)text[size] & 0xC0) == 0x80)
                        size--;
        }
        if (size)
                memcpy(key->label + key->n_label, text, size);
        key->n_label = (uint8_t)(key->n_label + size);
}

static void append_hex(dal_key *key, const uint8_t *bytes, size_t size)
{
        static const char digits[] = "0123456789abcdef";

        for (size_t i = 0; i < size && key->n_label + 2u < sizeof key->label; i++) {
                char pair[2] = {digits[bytes[i] >> 4], digits[bytes[i] & 15]};

                append_text(key, pair, sizeof pair);
        }
}

static void append_int64(dal_key *key, int64_t id)
{
        char text[24];
        int size = snprintf(text, sizeof text, "%" PRId64, id);

        append_text(key, text, (size_t)size);
}

static void append_uuid(dal_key *key, const uint8_t uuid[16])
{
        char text[37];

        dal_value_format_uuid(uuid, text);
        append_text(key, text, 36);
}

/* A digest can only fail for want of memory or of a provider: there is no key then, which is refused. */
static bool hash_bytes(dal_key *key, const void *bytes, size_t size)
{
        uint8_t digest[EVP_MAX_MD_SIZE];

        if (!EVP_Digest(bytes, size, digest, NULL, EVP_sha256(), NULL))
                return false;
        key->hash = load_be64(digest);
        return true;
}

dal_key dal_key_text(const char *text)
{
        return text ? dal_key_text_n(text, strlen(text)) : no_key();
}

dal_key dal_key_text_n(const char *text, size_t size)
{
        dal_key key = no_key();

        if (!text || !hash_bytes(&key, text, size))
                return no_key();
        key.type = DAL_TYPE_TEXT;
        append_text(&key, text, size);
        return key;
}

dal_key dal_key_bytes(const void *bytes, size_t size)
{
        dal_key key = no_key();

        if (!bytes || !hash_bytes(&key, bytes, size))
                return no_key();
        key.type = DAL_TYPE_BYTES;
        append_hex(&key, bytes, size);
        return key;
}

dal_key dal_key_uuid(const uint8_t uuid[16])
{
        dal_key key = no_key();

        if (!uuid || !hash_bytes(&key, uuid, 16))
                return no_key();
        key.type = DAL_TYPE_UUID;
        append_uuid(&key, uuid);
        return key;
}

/* Reads a value as part of a key; false for a type that has no place in one. */
static bool part_of_value(const dal_value *value, struct part *part)
{
        switch ((dal_type)value->type) {
        case DAL_TYPE_INT64:
                store_be(part->big_endian, 8, (uint64_t)value->as.int64);
                part->type = PART_INT64;
                part->bytes = part->big_endian;
                part->size = 8;
                return true;
        case DAL_TYPE_TEXT:
        case DAL_TYPE_BYTES:
                part->type = value->type == DAL_TYPE_TEXT ? PART_TEXT : PART_BYTES;
                part->bytes = value->as.span.ptr;
                part->size = value->as.span.size;
                return part->bytes && part->size <= UINT32_MAX;
        case DAL_TYPE_UUID:
                part->type = PART_UUID;
                part->bytes = value->as.uuid;
                part->size = 16;
                return true;
        case DAL_TYPE_NULL:
        case DAL_TYPE_BOOL:
        case DAL_TYPE_UINT64:
        case DAL_TYPE_DOUBLE:
        case DAL_TYPE_DECIMAL:
        case DAL_TYPE_TIMESTAMP:
        case DAL_TYPE_DATE:
        case DAL_TYPE_OTHER:
                break;
        }
        return false;
}

static void append_value(dal_key *key, const dal_value *value)
{
        if (value->type == DAL_TYPE_INT64)
                append_int64(key, value->as.int64);
        else if (value->type == DAL_TYPE_TEXT)
                append_text(key, value->as.span.ptr, value->as.span.size);
        else if (value->type == DAL_TYPE_UUID)
                append_uuid(key, value->as.uuid);
        else
                append_hex(key, (const uint8_t *)value->as.span.ptr, value->as.span.size);
}

static bool hash_parts(dal_key *key, const dal_value *parts, size_t n_parts, EVP_MD_CTX *context)
{
        uint8_t digest[EVP_MAX_MD_SIZE];

        if (!EVP_DigestInit_ex(context, EVP_sha256(), NULL))
                return false;
        for (size_t i = 0; i < n_parts; i++) {
                struct part part;
                uint8_t head[5];

                if (!part_of_value(&parts[i], &part))
                        return false;
                head[0] = (uint8_t)part.type;
                store_be(head + 1, 4, part.size);
                if (!EVP_DigestUpdate(context, head, sizeof head) ||
                    !EVP_DigestUpdate(context, part.bytes, part.size))
                        return false;
                append_text(key, i ? ", " : "(", i ? 2 : 1);
                append_value(key, &parts[i]);
        }
        append_text(key, ")", 1);
        if (!EVP_DigestFinal_ex(context, digest, NULL))
                return false;
        key->hash = load_be64(digest);
        return true;
}

static dal_key key_of_value(const dal_value *value)
{
        struct part part;

        if (!part_of_value(value, &part))
                return no_key();
        switch (part.type) {
        case PART_INT64:
                return dal_key_int64(value->as.int64);
        case PART_TEXT:
                return dal_key_text_n(part.bytes, part.size);
        case PART_BYTES:
                return dal_key_bytes(part.bytes, part.size);
        case PART_UUID:
                return dal_key_uuid(value->as.uuid);
        }
        return no_key();
}

dal_key dal_key_composite(const dal_value *parts, size_t n_parts)
{
        dal_key key = no_key();
        EVP_MD_CTX *context;
        bool ok;

        if (!parts || n_parts == 0)
                return key;
        if (n_parts == 1)
                return key_of_value(parts);
        context = EVP_MD_CTX_new();
        ok = context && hash_parts(&key, parts, n_parts, context);
        EVP_MD_CTX_free(context);
        if (!ok)
                return no_key();
        key.type = DAL_TYPE_OTHER;
        return key;
}

const char *dal_key_describe(const dal_key *key, char out[DAL_KEY_TEXT_SIZE])
{
        if (key->type == DAL_TYPE_INT64) {
                int64_t id;

                memcpy(&id, key->label, sizeof id);
                (void)snprintf(out, DAL_KEY_TEXT_SIZE, "%" PRId64, id);
        } else {
                memcpy(out, key->label, key->n_label);
                out[key->n_label] = '\0';
        }
        return out;
}
