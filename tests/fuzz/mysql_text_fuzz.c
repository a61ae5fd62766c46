/* SPDX-License-Identifier: MIT */
/* Values of the MySQL family as text: cells from any server, and literals that nothing in a value can end. */

#include "fuzz.h"

#include <errno.h>

#include <dal/driver.h>

#include "sql/lexer.h"
#include "text_values.h"

#define MAX_VALUES 8
#define SYNTAX     (DAL_SQL_HASH_COMMENTS | DAL_SQL_BACKTICKS | DAL_SQL_DASH_NEEDS_SPACE)

/* ---- cells ---- */

static void check_integers(const char *text, size_t size)
{
        int64_t number;
        uint64_t natural;
        char plain[24];

        if (dal__mysql_text_int64(text, size, &number)) {
                errno = 0;
                FUZZ_CHECK(size < 4096 && strtoll(text, NULL, 10) == number && errno == 0);
                snprintf(plain, sizeof plain, "%lld", (long long)number);
                FUZZ_CHECK(strlen(plain) <= size);
        }
        if (dal__mysql_text_uint64(text, size, &natural)) {
                errno = 0;
                FUZZ_CHECK(strtoull(text, NULL, 10) == natural && errno == 0);
        }
}

static void check_double(const char *text, size_t size)
{
        double value;

        /* In the C locale, which tests run in, the answer is the C library's; it takes more, but no other. */
        if (dal__mysql_text_double(text, size, false, &value))
                FUZZ_CHECK(strtod(text, NULL) == value);
        if (dal__mysql_text_double(text, size, true, &value))
                FUZZ_CHECK((double)strtof(text, NULL) == value);
}

static void check_civil(const char *text, size_t size)
{
        dal_civil civil;

        if (!dal__mysql_text_civil(text, size, &civil))
                return;
        FUZZ_CHECK(civil.year >= 0 && civil.year <= 9999 && civil.month <= 99 && civil.day <= 99);
        FUZZ_CHECK(civil.microsecond <= 999999);
}

/* ---- literals ---- */

static dal_value take_value(fuzz_input *in, char **kept)
{
        uint8_t type = fuzz_byte(in) % 11;
        uint8_t uuid[16];

        *kept = NULL;
        switch ((dal_type)type) {
        case DAL_TYPE_BOOL:
                return dal_bool(fuzz_byte(in) & 1);
        case DAL_TYPE_INT64:
                return dal_int64((int64_t)fuzz_number(in, 8));
        case DAL_TYPE_UINT64:
                return dal_uint64(fuzz_number(in, 8));
        case DAL_TYPE_DOUBLE: {
                dal_value v = dal_uint64(fuzz_number(in, 8));

                v.type = DAL_TYPE_DOUBLE;
                return v.as.float64 - v.as.float64 == 0 ? v
                                                        : dal_double(1.5); /* the core refuses the others */
        }
        case DAL_TYPE_DECIMAL:
                *kept = fuzz_field(in);
                return dal_value_is_decimal(*kept, strlen(*kept)) ? dal_decimal(*kept) : dal_decimal("0");
        case DAL_TYPE_TEXT:
                *kept = fuzz_field(in);
                return dal_text(*kept);
        case DAL_TYPE_BYTES:
                *kept = fuzz_field(in);
                return dal_bytes(*kept, strlen(*kept));
        case DAL_TYPE_TIMESTAMP: /* years 0001 to 9999, as the core sees to */
                return dal_timestamp((int64_t)(fuzz_number(in, 8) % UINT64_C(315537897600000000)) -
                                     INT64_C(62135596800000000));
        case DAL_TYPE_DATE:
                return dal_date((int64_t)(fuzz_number(in, 4) % 3652059) - 719162);
        case DAL_TYPE_UUID:
                for (size_t i = 0; i < 16; i++)
                        uuid[i] = fuzz_byte(in);
                return dal_uuid(uuid);
        default:
                return dal_null();
        }
}

/*
 * Whatever the values are, the statement has the tokens that it had, with literals for placeholders: no quote, comment
 * or semicolon came to it, and none of its own was swallowed. Read with and without backslashes, as sessions differ.
 */
static void check_tokens(const char *before, size_t before_size, const char *after, size_t after_size,
                         uint32_t syntax)
{
        static const dal__token_kind kinds[] = {DAL__TOKEN_COMMENT, DAL__TOKEN_SEMICOLON,
                                                DAL__TOKEN_UNTERMINATED};
        size_t n[2][3] = {{0}};
        size_t n_left = 0;

        for (int side = 0; side < 2; side++) {
                dal__lexer lexer;
                dal__token token;

                dal__lexer_init(&lexer, side ? after : before, side ? after_size : before_size, syntax);
                while ((token = dal__lexer_next(&lexer)).kind != DAL__TOKEN_END) {
                        for (size_t i = 0; i < 3; i++)
                                n[side][i] += token.kind == kinds[i];
                        n_left += side && token.kind == DAL__TOKEN_PLACEHOLDER;
                }
        }
        FUZZ_CHECK(memcmp(n[0], n[1], sizeof n[0]) == 0);
        FUZZ_CHECK(n_left == 0);
}

static void check_literals(fuzz_input *in, uint32_t syntax)
{
        char *kept[MAX_VALUES] = {NULL}, *text = fuzz_field(in), *out;
        dal_value values[MAX_VALUES];
        size_t marks[MAX_VALUES], size = strlen(text), n, written;
        uint64_t room = size;
        bool is_refused;

        n = dal_driver_find_placeholders(syntax, text, size, marks, MAX_VALUES);
        /* The core's rewriting refuses a digit behind a placeholder, and two of them side by side. */
        is_refused = n > MAX_VALUES;
        for (size_t i = 0; i < n && !is_refused; i++)
                is_refused =
                        text[marks[i] + 1] == '?' || (text[marks[i] + 1] >= '0' && text[marks[i] + 1] <= '9');
        if (is_refused) {
                free(text);
                return;
        }
        for (size_t i = 0; i < n; i++) {
                values[i] = take_value(in, &kept[i]);
                room += dal__mysql_text_room(&values[i]);
        }
        out = malloc(room ? (size_t)room : 1);
        FUZZ_CHECK(out);
        written = dal__mysql_text_write(out, text, size, marks, &(dal_params){values, n});
        FUZZ_CHECK(written <= room);
        check_tokens(text, size, out, written, syntax);
        free(out);
        free(text);
        for (size_t i = 0; i < n; i++)
                free(kept[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        fuzz_input in = {data, size};
        uint8_t what = fuzz_byte(&in);
        char *text;

        if (what & 1) {
                check_literals(&in, what & 2 ? SYNTAX | DAL_SQL_BACKSLASH_ESCAPES : SYNTAX);
                return 0;
        }
        text = fuzz_text(in.at, in.left);
        check_integers(text, in.left);
        check_double(text, in.left);
        check_civil(text, in.left);
        free(text);
        return 0;
}
