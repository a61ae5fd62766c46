/* SPDX-License-Identifier: MIT */
/* Cells of PostgreSQL, binary and text, from a server that sends anything. */

#include "fuzz.h"

#include "postgres_impl.h"

/* Room of exactly the size that the driver would make, so that a sanitizer sees one byte too many. */
static size_t room_for(dal__postgres_kind kind, const char *bytes, size_t size)
{
        if (kind == PG_KIND_NUMERIC)
                return dal__postgres_numeric_room(bytes, size);
        return kind == PG_KIND_TEXT_BYTEA ? size : 0;
}

static bool is_number_word(const char *text, size_t size)
{
        static const char *const words[] = {"NaN", "Infinity", "-Infinity"};

        for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
                if (size == strlen(words[i]) && memcmp(text, words[i], size) == 0)
                        return true;
        return false;
}

static void check_value(dal__postgres_kind kind, const dal_value *value, const char *bytes, size_t size,
                        const char *room, size_t used)
{
        const char *ptr = value->as.span.ptr;

        switch ((dal_type)value->type) {
        case DAL_TYPE_TEXT:
        case DAL_TYPE_BYTES:
        case DAL_TYPE_OTHER:
        case DAL_TYPE_DECIMAL:
                if (used)
                        FUZZ_CHECK(ptr == room && value->as.span.size == used);
                else
                        FUZZ_CHECK(value->as.span.size == 0 ||
                                   (ptr >= bytes && ptr + value->as.span.size <= bytes + size));
                break;
        default:
                FUZZ_CHECK(!used);
                break;
        }
        if (kind == PG_KIND_NUMERIC)
                FUZZ_CHECK(dal_value_is_decimal(ptr, value->as.span.size) ||
                           is_number_word(ptr, value->as.span.size));
}

/* What the driver writes for a value in text form is read as the same value. */
static void check_back(dal__postgres_kind kind, const dal_value *value)
{
        dal__postgres_params p;
        dal_params params = {value, 1};
        dal_error err = DAL_ERROR_INIT;
        dal_value again = dal_null();
        char *room, *end;
        bool fit;
        size_t size;

        if (kind == PG_KIND_TEXT_NUMERIC) /* handed on as it came */
                return;
        memset(&p, 0, sizeof p);
        p.as_text = true;
        if (dal__postgres_params_check(&p, params, dal__postgres_text_room(value), NULL, &fit, &err) !=
            DAL_OK) {
                /* A day that the server can't have sent. */
                FUZZ_CHECK(value->type == DAL_TYPE_DATE || value->type == DAL_TYPE_TIMESTAMP);
                fuzz_check_error(&err);
                dal__postgres_params_free(&p);
                return;
        }
        dal__postgres_params_encode_text(&p, params);
        size = strlen(p.values[0]);
        end = room = malloc(size + 1);
        FUZZ_CHECK(room);
        FUZZ_CHECK(dal__postgres_decode_text(kind, p.values[0], size, &end, &again) == PG_DECODED);
        FUZZ_CHECK(again.type == value->type);
        if (value->type == DAL_TYPE_BYTES)
                FUZZ_CHECK(again.as.span.size == value->as.span.size &&
                           memcmp(again.as.span.ptr, value->as.span.ptr, again.as.span.size) == 0);
        else if (value->type == DAL_TYPE_BOOL)
                FUZZ_CHECK(again.as.boolean == value->as.boolean);
        else if (value->type == DAL_TYPE_UUID)
                FUZZ_CHECK(memcmp(again.as.uuid, value->as.uuid, 16) == 0);
        else if (value->type == DAL_TYPE_DOUBLE)
                FUZZ_CHECK(again.as.uint64 == value->as.uint64 || value->as.float64 != value->as.float64);
        else
                FUZZ_CHECK(again.as.int64 == value->as.int64);
        free(room);
        dal__postgres_params_free(&p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        dal_value value = dal_null();
        dal__postgres_kind kind;
        dal__postgres_decoded decoded;
        char *bytes, *room, *end;
        size_t n_room;

        if (!size)
                return 0;
        kind = (dal__postgres_kind)(data[0] % (PG_KIND_TEXT_UUID + 1));
        bytes = fuzz_text(data + 1, --size); /* libpq ends each cell in a NUL */
        n_room = room_for(kind, bytes, size);
        end = room = malloc(n_room ? n_room : 1);
        FUZZ_CHECK(room);
        decoded = dal__postgres_decode(kind, bytes, size, &end, &value);
        FUZZ_CHECK(end >= room && (size_t)(end - room) <= n_room);
        if (decoded == PG_DECODED) {
                /* Of a value that has a form all of it was looked at, also behind a NUL. */
                if (kind >= PG_KIND_TEXT_BOOL && kind != PG_KIND_TEXT_NUMERIC && kind != PG_KIND_TEXT_BYTEA)
                        FUZZ_CHECK(strlen(bytes) == size);
                check_value(kind, &value, bytes, size, room, (size_t)(end - room));
                if (kind >= PG_KIND_TEXT_BOOL)
                        check_back(kind, &value);
        } else {
                FUZZ_CHECK(decoded == PG_MALFORMED || decoded == PG_INFINITE);
        }
        free(room);
        free(bytes);
        return 0;
}
