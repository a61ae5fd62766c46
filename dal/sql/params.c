/* SPDX-License-Identifier: MIT */
#include "sql/params.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "sql/lexer.h"

#define MAX_NAME_SIZE 60u
/* What one `?` may grow by: "$4294967295" in place of one byte, and a space on either side. */
#define MAX_GROWTH 12u
/* Longer texts are left to the general check, whose own cost no longer shows. */
#define PLAIN_TEXT_SIZE 1024u
/* From 0001-01-01 to the end of 9999-12-31: what every engine can store. */
#define MIN_DAYS   INT64_C(-719162)
#define MAX_DAYS   INT64_C(2932896)
#define US_PER_DAY INT64_C(86400000000)

/* One rewriting under way. */
struct rewrite {
        const dal_driver *driver;
        const char *name;
        const char *sql;
        dal__params_text *out;
        dal_error *err;
        dal__lexer lexer;
        uint32_t n_words;
        uint32_t depth;  /* of parentheses */
        char lock_begun; /* the last word was FOR ('F') or LOCK ('L'), which may begin a lock clause; else 0 */
        bool ended;      /* the semicolon was seen */
        bool has_code;   /* there is more than comments */
        bool is_prepare; /* the first word was PREPARE: the second decides */
};

static const char *label(const char *name)
{
        return name ? name : "(without a name)";
}

static dal_status refuse(const struct rewrite *w, const dal__token *token, const char *why)
{
        return dal_error_set(w->err, DAL_CLASS_ARGUMENT, "statement \"%s\", line %" PRIu32 ", byte %zu: %s",
                             label(w->name), token->line, (size_t)(token->text - w->sql) + 1, why);
}

static bool is_name(const char *name)
{
        size_t size = strlen(name);

        if (size == 0 || size > MAX_NAME_SIZE)
                return false;
        return strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_.") == size;
}

static void append(dal__params_text *out, const char *text, size_t size)
{
        memcpy(out->text + out->size, text, size);
        out->size += size;
}

static bool is_digit(char c)
{
        return c >= '0' && c <= '9';
}

/* Says whether a byte would grow together with a "$1" that stands next to it. */
static bool is_word_byte(char c)
{
        return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '$' ||
               (unsigned char)c >= 0x80;
}

static bool is_any_word(const dal__token *token, const char *const *words)
{
        for (; *words; words++)
                if (dal__lexer_is_word(token, *words))
                        return true;
        return false;
}

/* Learns from a word what kind of statement this is. */
static void note_word(struct rewrite *w, const dal__token *token)
{
        static const char *const reads[] = {"SELECT", "VALUES", "TABLE", "SHOW", NULL};
        static const char *const writes[] = {"INTO", "INSERT", "UPDATE", "DELETE", "MERGE", NULL};
        static const char *const transaction[] = {"BEGIN",     "START",   "COMMIT", "END",   "ROLLBACK",
                                                  "SAVEPOINT", "RELEASE", "XA",     "ABORT", NULL};

        if (w->n_words++ == 0) {
                /* Only as the first token of all: what follows an operator is not the statement's verb. */
                if (!w->has_code) {
                        w->out->is_read = is_any_word(token, reads);
                        w->out->has_transaction_word = is_any_word(token, transaction);
                        w->is_prepare = dal__lexer_is_word(token, "PREPARE");
                }
        } else if (w->n_words == 2 && w->is_prepare) {
                w->out->has_transaction_word = dal__lexer_is_word(token, "TRANSACTION");
        }
        if (w->out->is_read && is_any_word(token, writes))
                w->out->is_read = false;
}

/* Learns whether a lock clause may be put behind it: what stands in parentheses is none of its business. */
static void note_lock(struct rewrite *w, const dal__token *token)
{
        static const char *const sets[] = {"UNION", "INTERSECT", "EXCEPT", "INTO", NULL};
        static const char *const behind_for[] = {"UPDATE", "SHARE", "NO", "KEY", NULL};
        char begun = w->lock_begun;

        w->lock_begun = 0;
        if (!w->has_code && !dal__lexer_is_word(token, "SELECT"))
                w->out->no_lock = "only one that begins with SELECT can lock what it reads";
        if (token->kind == DAL__TOKEN_OTHER && token->size == 1) {
                if (token->text[0] == '(')
                        w->depth++;
                else if (token->text[0] == ')' && w->depth)
                        w->depth--;
        }
        if (token->kind != DAL__TOKEN_WORD || w->depth || w->out->no_lock)
                return;
        if (is_any_word(token, sets))
                w->out->no_lock =
                        "not with UNION, INTERSECT, EXCEPT or INTO: lock the rows by a query of their own";
        else if ((begun == 'F' && is_any_word(token, behind_for)) ||
                 (begun == 'L' && dal__lexer_is_word(token, "IN")))
                w->out->no_lock = "it has a lock clause of its own: leave that to the flag";
        else if (dal__lexer_is_word(token, "FOR"))
                w->lock_begun = 'F';
        else if (dal__lexer_is_word(token, "LOCK"))
                w->lock_begun = 'L';
}

static dal_status put_placeholder(struct rewrite *w, const dal__token *token)
{
        dal__params_text *out = w->out;
        const char *next = token->text + token->size;
        bool at_end = w->lexer.pos >= w->lexer.size;
        char number[16];
        int size;

        if (!at_end && is_digit(*next))
                return refuse(w, token, "write ? without a number: parameters are taken in order");
        if (w->driver->max_params && out->n_params >= w->driver->max_params)
                return dal_error_set(w->err, DAL_CLASS_ARGUMENT,
                                     "statement \"%s\" has more parameters than the %" PRIu32
                                     " that %s takes: split the work into several statements",
                                     label(w->name), w->driver->max_params, w->driver->name);
        out->n_params++;
        if (w->driver->placeholder == DAL_PLACEHOLDER_QUESTION) {
                append(out, "?", 1);
                return DAL_OK;
        }
        if (out->size && is_word_byte(out->text[out->size - 1]))
                append(out, " ", 1);
        size = snprintf(number, sizeof number, "$%" PRIu32, out->n_params);
        append(out, number, (size_t)size);
        if (!at_end && is_word_byte(*next))
                append(out, " ", 1);
        return DAL_OK;
}

static dal_status put_question_mark(struct rewrite *w, const dal__token *token)
{
        if (w->driver->placeholder == DAL_PLACEHOLDER_QUESTION)
                return refuse(w, token,
                              "\?\? is a literal question mark, which this engine has no operator for");
        append(w->out, "?", 1);
        return DAL_OK;
}

static dal_status put_word(struct rewrite *w, const dal__token *token)
{
        if (token->text[0] == '$' && w->driver->placeholder == DAL_PLACEHOLDER_DOLLAR)
                return refuse(w, token, "write ? in place of $1, $2 and so on");
        note_word(w, token);
        append(w->out, token->text, token->size);
        return DAL_OK;
}

static dal_status put(struct rewrite *w, const dal__token *token)
{
        dal_status status = DAL_OK;

        if (token->kind == DAL__TOKEN_UNTERMINATED)
                return refuse(w, token, "the quote or comment that begins here has no end");
        if (token->kind == DAL__TOKEN_SEMICOLON) {
                w->ended = true;
                return DAL_OK;
        }
        if (token->kind == DAL__TOKEN_SPACE || token->kind == DAL__TOKEN_COMMENT) {
                if (!w->ended)
                        append(w->out, token->text, token->size);
                return DAL_OK;
        }
        if (w->ended)
                return refuse(w, token, "a second statement begins here: run each by a call of its own");
        if (token->kind == DAL__TOKEN_PLACEHOLDER)
                status = put_placeholder(w, token);
        else if (token->kind == DAL__TOKEN_QUESTION_MARK)
                status = put_question_mark(w, token);
        else if (token->kind == DAL__TOKEN_WORD)
                status = put_word(w, token);
        else
                append(w->out, token->text, token->size);
        w->out->code_size = w->out->size;
        /* What opens an executable comment is longer than any operator here; the verb stands behind it. */
        if (token->kind != DAL__TOKEN_OTHER || token->size <= 2) {
                note_lock(w, token);
                w->has_code = true;
        }
        return status;
}

static dal_status put_all(struct rewrite *w)
{
        dal__token token;
        dal_status status = DAL_OK;

        for (;;) {
                token = dal__lexer_next(&w->lexer);
                if (token.kind == DAL__TOKEN_END)
                        break;
                status = put(w, &token);
                if (status)
                        return status;
        }
        if (!w->has_code)
                return dal_error_set(w->err, DAL_CLASS_ARGUMENT, "statement \"%s\" is empty", label(w->name));
        return DAL_OK;
}

static size_t room_for(const char *sql, size_t size)
{
        const char *end = sql + size;
        size_t room = size + MAX_NAME_SIZE + sizeof "/**/ ";

        while (sql < end && (sql = memchr(sql, '?', (size_t)(end - sql)))) {
                room += MAX_GROWTH;
                sql++;
        }
        return room;
}

dal_status dal__params_rewrite(const dal_driver *driver, const char *name, const char *sql, size_t size,
                               dal__params_text *out, dal_error *err)
{
        struct rewrite w;
        dal_status status;

        memset(out, 0, sizeof *out);
        if (!sql)
                return dal_error_set(err, DAL_CLASS_ARGUMENT, "statement \"%s\" has no text for this engine",
                                     label(name));
        if (size && memchr(sql, '\0', size)) /* the server would see the end there */
                return dal_error_set(err, DAL_CLASS_ARGUMENT,
                                     "the text of statement \"%s\" has a NUL byte inside", label(name));
        if (name && !is_name(name))
                return dal_error_set(
                        err, DAL_CLASS_ARGUMENT,
                        "\"%.80s\" can't name a statement: use 1 to 60 of a-z, 0-9, _ and the point", name);
        out->text = dal_mem_alloc(room_for(sql, size));
        if (!out->text)
                return dal_error_set(err, DAL_CLASS_NO_MEMORY, "no memory for the text of statement \"%s\"",
                                     label(name));
        memset(&w, 0, sizeof w);
        w.driver = driver;
        w.name = name;
        w.sql = sql;
        w.out = out;
        w.err = err;
        dal__lexer_init(&w.lexer, sql, size, driver->sql_syntax);
        if (name) {
                append(out, "/*", 2);
                append(out, name, strlen(name));
                append(out, "*/ ", 3);
        }
        status = put_all(&w);
        if (status) {
                dal_mem_free(out->text);
                memset(out, 0, sizeof *out);
                return status;
        }
        out->text[out->size] = '\0';
        return DAL_OK;
}

static dal_status no_lock(dal__params_text *text, const char *name, const char *why, dal_error *err)
{
        dal_mem_free(text->text);
        memset(text, 0, sizeof *text);
        return dal_error_set(err, DAL_CLASS_ARGUMENT, "statement \"%s\" can't be a locking read: %s",
                             label(name), why);
}

dal_status dal__params_lock(const dal_driver *driver, const char *name, uint32_t flags,
                            dal__params_text *text, dal_error *err)
{
        uint32_t asked = flags & (DAL_STMT_LOCK_UPDATE | DAL_STMT_LOCK_SHARE);
        const char *clause = asked == DAL_STMT_LOCK_UPDATE ? driver->lock_update : driver->lock_share;
        size_t size = clause ? strlen(clause) : 0;
        char *grown;

        if (!asked)
                return DAL_OK;
        if (asked == (DAL_STMT_LOCK_UPDATE | DAL_STMT_LOCK_SHARE))
                return no_lock(text, name, "give DAL_STMT_LOCK_UPDATE or DAL_STMT_LOCK_SHARE, not both", err);
        if (text->no_lock)
                return no_lock(text, name, text->no_lock, err);
        text->is_read =
                false; /* what takes locks does not share a transaction with its neighbours by itself */
        if (!size)
                return DAL_OK;
        grown = dal_mem_resize(text->text, text->size + size + 1, 1);
        if (!grown) {
                dal_mem_free(text->text);
                memset(text, 0, sizeof *text);
                return dal_error_set(err, DAL_CLASS_NO_MEMORY, "no memory for the text of statement \"%s\"",
                                     label(name));
        }
        text->text = grown;
        memmove(grown + text->code_size + size, grown + text->code_size, text->size + 1 - text->code_size);
        memcpy(grown + text->code_size, clause, size);
        text->code_size += size;
        text->size += size;
        return DAL_OK;
}

/* Where a bad parameter stands, for messages. The value itself may be a secret and is never shown. */
struct place {
        const dal_driver *driver;
        const char *name;
        size_t i;
        dal_error *err;
};

static dal_status bad(const struct place *place, dal_error_class error_class, const char *why)
{
        return dal_error_set(place->err, error_class, "statement \"%s\", parameter %zu: %s",
                             label(place->name), place->i + 1, why);
}

static bool is_special_number(const char *text, size_t size)
{
        if (size && (text[0] == '-' || text[0] == '+')) {
                text++;
                size--;
        }
        return size >= 3 && (memcmp(text, "NaN", 3) == 0 || memcmp(text, "nan", 3) == 0 ||
                             memcmp(text, "Inf", 3) == 0 || memcmp(text, "inf", 3) == 0);
}

static dal_status check_span(const struct place *place, const dal_value *value)
{
        const char *text = value->as.span.ptr;
        size_t size = value->as.span.size;

        if (!text)
                return bad(place, DAL_CLASS_ARGUMENT, "a NULL pointer was given with a size");
        if (size > INT32_MAX)
                return bad(place, DAL_CLASS_PACKET_TOO_LARGE, "larger than 2 GiB: store it in pieces");
        if (value->type == DAL_TYPE_BYTES)
                return DAL_OK;
        if (value->type == DAL_TYPE_DECIMAL) {
                if (dal_value_is_decimal(text, size))
                        return DAL_OK;
                if (is_special_number(text, size))
                        return bad(place, DAL_CLASS_DATA,
                                   "NaN and infinity are no decimals: pass them as a double");
                return bad(place, DAL_CLASS_DATA, "not a decimal number: write it as \"-12.34\"");
        }
        if (!dal_value_is_utf8(text, size))
                return bad(place, DAL_CLASS_DATA,
                           "the text is not valid UTF-8: pass it as bytes or convert it");
        if (size && memchr(text, '\0', size))
                return bad(place, DAL_CLASS_DATA, "the text has a NUL byte inside: pass it as bytes");
        return DAL_OK;
}

static dal_status check_value(const struct place *place, const dal_value *value)
{
        switch ((dal_type)value->type) {
        case DAL_TYPE_NULL:
        case DAL_TYPE_BOOL:
        case DAL_TYPE_INT64:
        case DAL_TYPE_UUID:
                return DAL_OK;
        case DAL_TYPE_UINT64:
                if (value->as.uint64 <= INT64_MAX || (place->driver->caps & DAL_CAP_UINT64))
                        return DAL_OK;
                return bad(place, DAL_CLASS_DATA,
                           "this engine stores integers up to 9223372036854775807 only");
        case DAL_TYPE_DOUBLE:
                if (isfinite(value->as.float64) || (place->driver->caps & DAL_CAP_NAN))
                        return DAL_OK;
                return bad(place, DAL_CLASS_DATA, "this engine can't store NaN or infinity");
        case DAL_TYPE_DECIMAL:
        case DAL_TYPE_TEXT:
        case DAL_TYPE_BYTES:
                return check_span(place, value);
        case DAL_TYPE_TIMESTAMP:
                if (value->as.int64 >= MIN_DAYS * US_PER_DAY && value->as.int64 < (MAX_DAYS + 1) * US_PER_DAY)
                        return DAL_OK;
                return bad(
                        place, DAL_CLASS_DATA,
                        "a timestamp outside the years 0001 to 9999 (the unit is microseconds since 1970)");
        case DAL_TYPE_DATE:
                if (value->as.int64 >= MIN_DAYS && value->as.int64 <= MAX_DAYS)
                        return DAL_OK;
                return bad(place, DAL_CLASS_DATA,
                           "a date outside the years 0001 to 9999 (the unit is days since 1970)");
        case DAL_TYPE_OTHER:
                break;
        }
        return bad(place, DAL_CLASS_ARGUMENT, "not a type that can be sent: use the dal_int64() family");
}

/* Short, ASCII, without a NUL: eight bytes at once, the last of them perhaps twice. */
static bool is_plain_text(const char *text, size_t size)
{
        const uint64_t ones = UINT64_C(0x0101010101010101);
        uint64_t word, seen = 0;
        size_t i;

        if (!text || size > PLAIN_TEXT_SIZE)
                return false;
        if (size < sizeof word) {
                for (i = 0; i < size; i++)
                        if (text[i] == '\0' || (unsigned char)text[i] > 0x7f)
                                return false;
                return true;
        }
        /* The highest bit of a byte is set by itself, or by a NUL that is decremented. */
        for (i = 0; i + sizeof word < size; i += sizeof word) {
                memcpy(&word, text + i, sizeof word);
                seen |= word | (word - ones);
        }
        memcpy(&word, text + size - sizeof word, sizeof word);
        seen |= word | (word - ones);
        return !(seen & ones << 7);
}

bool dal__params_is_plain(const dal_value *value)
{
        if (value->type == DAL_TYPE_TEXT)
                return is_plain_text(value->as.span.ptr, value->as.span.size);
        if (value->type == DAL_TYPE_BYTES)
                return value->as.span.ptr && value->as.span.size <= INT32_MAX;
        return value->type == DAL_TYPE_DOUBLE && isfinite(value->as.float64);
}

dal_status dal__params_check(const dal_driver *driver, const char *name, uint32_t n_expected,
                             dal_params params, dal_error *err)
{
        struct place place = {driver, name, 0, err};

        if (params.n_values != n_expected)
                return dal_error_set(err, DAL_CLASS_ARGUMENT,
                                     "statement \"%s\" takes %" PRIu32 " parameter%s, but %zu %s given",
                                     label(name), n_expected, n_expected == 1 ? "" : "s", params.n_values,
                                     params.n_values == 1 ? "was" : "were");
        if (!params.values && n_expected)
                return dal_error_set(err, DAL_CLASS_ARGUMENT,
                                     "statement \"%s\": the list of parameters is NULL", label(name));
        for (; place.i < n_expected; place.i++) {
                dal_status status = check_value(&place, &params.values[place.i]);

                if (status)
                        return status;
        }
        return DAL_OK;
}

size_t dal__params_copy_size(dal_params params)
{
        size_t size;

        if (params.n_values > SIZE_MAX / 2 / sizeof(dal_value))
                return SIZE_MAX;
        size = params.n_values * sizeof(dal_value);
        for (size_t i = 0; i < params.n_values; i++) {
                if (!dal__params_has_span(&params.values[i]))
                        continue;
                if (params.values[i].as.span.size > SIZE_MAX - 1 - size)
                        return SIZE_MAX;
                size += params.values[i].as.span.size;
        }
        return size;
}
