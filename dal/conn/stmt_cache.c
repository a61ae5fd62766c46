/* SPDX-License-Identifier: MIT */
#include "conn/stmt_cache.h"

#include <string.h>

#include <dal/mem.h>

#include "sql/lexer.h"
#include "sql/params.h"

#define SHARE_OF_SERVER 4u /* other pools, services and instances prepare on the same server */
#define MIN_CAPACITY    16u /* less would prepare anew all the time, which is worse than the server's refusal */

dal_status dal__stmt_cache_init(dal__stmt_cache *cache, const dal_driver *driver, uint32_t capacity,
                                dal_error *err)
{
        memset(cache, 0, sizeof *cache);
        cache->driver = driver;
        cache->capacity = capacity;
        cache->n_buckets = 16;
        while (cache->n_buckets < capacity && cache->n_buckets < (1u << 16))
                cache->n_buckets *= 2;
        cache->buckets = dal_mem_alloc(cache->n_buckets * sizeof(dal__cached_stmt *));
        if (!cache->buckets)
                return dal_error_set(err, DAL_CLASS_NO_MEMORY, "out of memory for the statement cache");
        return DAL_OK;
}

void dal__stmt_cache_limit(dal__stmt_cache *cache, uint32_t max_prepared, uint32_t n_conns)
{
        uint32_t share = max_prepared / SHARE_OF_SERVER / (n_conns ? n_conns : 1);

        if (max_prepared == 0 || cache->texts_only)
                return;
        if (share < MIN_CAPACITY)
                share = MIN_CAPACITY;
        if (cache->capacity > share)
                cache->capacity = share;
}

static void unlink_lru(dal__stmt_cache *cache, dal__cached_stmt *entry)
{
        if (entry->newer)
                entry->newer->older = entry->older;
        else
                cache->newest = entry->older;
        if (entry->older)
                entry->older->newer = entry->newer;
        else
                cache->oldest = entry->newer;
}

static void push_newest(dal__stmt_cache *cache, dal__cached_stmt *entry)
{
        entry->newer = NULL;
        entry->older = cache->newest;
        if (cache->newest)
                cache->newest->newer = entry;
        else
                cache->oldest = entry;
        cache->newest = entry;
}

void dal__stmt_cache_end(dal__stmt_cache *cache, void *driver_conn, dal__cached_stmt *entry)
{
        if (driver_conn && cache->driver->stmt_close)
                cache->driver->stmt_close(driver_conn, &entry->driver_stmt);
        dal_mem_free((void *)(uintptr_t)entry->driver_stmt.text);
        dal_mem_free(entry);
}

static void drop(dal__stmt_cache *cache, void *driver_conn, dal__cached_stmt *entry)
{
        dal__cached_stmt **link = dal__stmt_cache_bucket(cache, entry->key);

        while (*link != entry)
                link = &(*link)->next_in_bucket;
        *link = entry->next_in_bucket;
        unlink_lru(cache, entry);
        cache->n_stmts--;
        dal__stmt_cache_end(cache, driver_conn, entry);
}

void dal__stmt_cache_invalidate(dal__stmt_cache *cache, void *driver_conn)
{
        dal__cached_stmt *entry = cache->newest;

        while (entry) {
                dal__cached_stmt *older = entry->older;

                if (!entry->n_pins) {
                        drop(cache, driver_conn, entry);
                        cache->n_invalidated++;
                }
                entry = older;
        }
}

void dal__stmt_cache_fini(dal__stmt_cache *cache, void *driver_conn)
{
        while (cache->newest)
                drop(cache, driver_conn, cache->newest);
        dal_mem_free(cache->buckets);
        cache->buckets = NULL;
}

/* Commands that leave something behind in the session. */
static const char *const session_commands[] = {
        "SET",
        "RESET",
        "DISCARD",
        "LISTEN",
        "UNLISTEN",
        "PRAGMA",
        "USE",
        "ATTACH",
        "DETACH",
        "PREPARE",
        "LOAD",
        "DECLARE",
        "HANDLER",
        "LOCK",
        /* What they run can do any of these, and isn't to be seen in the text. */
        "CALL",
        "DO",
        "EXECUTE",
        /* Locks of the session. Source: MySQL manual, FLUSH TABLES WITH READ LOCK; MariaDB, BACKUP LOCK */
        "FLUSH",
        "BACKUP",
        /* Compound statements outside of procedures. Source: MariaDB, "Using Compound Statements Outside" */
        "IF",
        "CASE",
        "LOOP",
        "REPEAT",
        "WHILE",
        "FOR",
};

/* Words and functions that do so wherever they stand. */
static const char *const session_words[] = {
        "TEMP",
        "TEMPORARY",
        "pg_temp",
        "set_config",
        "get_lock",
        "pg_advisory_lock",
        "pg_advisory_lock_shared",
        "pg_try_advisory_lock",
        "pg_try_advisory_lock_shared",
};

/* Commands after which a statement prepared before may be refused, or mean something else. */
static const char *const schema_commands[] = {"CREATE", "ALTER", "DROP", "TRUNCATE", "RENAME"};

static const char *const temporary_words[] = {"TEMP", "TEMPORARY"};
static const char *const temporary_prefixes[] = {"LOCAL", "GLOBAL"};

#define IS_ONE_OF(token, words) is_one_of(token, words, sizeof(words) / sizeof *(words))

static bool is_one_of(const dal__token *token, const char *const *words, size_t n_words)
{
        for (size_t i = 0; i < n_words; i++)
                if (dal__lexer_is_word(token, words[i]))
                        return true;
        return false;
}

/* The effects of word `i` of a statement, of which the words before it had `before`. */
static uint8_t effects_of(const dal__token *word, uint32_t i, uint8_t before)
{
        uint8_t effects = before;

        if (i == 0 && IS_ONE_OF(word, session_commands))
                effects |= DAL__EFFECT_SESSION;
        if (i == 0 && IS_ONE_OF(word, schema_commands))
                effects |= DAL__EFFECT_SCHEMA;
        if (IS_ONE_OF(word, session_words))
                effects |= DAL__EFFECT_SESSION;
        /* CREATE TEMPORARY TABLE is nobody else's business. */
        if (i == 1 && IS_ONE_OF(word, temporary_words))
                effects &= (uint8_t)~DAL__EFFECT_SCHEMA;
        return effects;
}

/* A variable of MySQL's, `@x`, lives as long as the session; `@@x` is a setting, which is changed by SET only. */
static bool is_user_variable(const dal__lexer *lexer, const dal__token *at)
{
        return at->kind == DAL__TOKEN_OTHER && at->text[0] == '@' &&
               (lexer->syntax & DAL_SQL_HASH_COMMENTS) && (at->text == lexer->text || at->text[-1] != '@') &&
               lexer->pos < lexer->size && lexer->text[lexer->pos] != '@';
}

uint8_t dal__stmt_cache_effects(const char *sql, size_t size, uint32_t syntax)
{
        dal__lexer lexer;
        dal__token token;
        uint8_t all = 0, effects = 0;
        uint32_t i = 0;

        dal__lexer_init(&lexer, sql, size, syntax);
        while ((token = dal__lexer_next(&lexer)).kind != DAL__TOKEN_END) {
                if (token.kind == DAL__TOKEN_WORD) {
                        effects = effects_of(&token, i, effects);
                        /* CREATE LOCAL TEMPORARY TABLE: the word does not count. */
                        i += i != 1 || !IS_ONE_OF(&token, temporary_prefixes);
                } else if (is_user_variable(&lexer, &token)) {
                        effects |= DAL__EFFECT_SESSION;
                } else if (token.kind == DAL__TOKEN_SEMICOLON) {
                        all |= effects;
                        effects = 0;
                        i = 0;
                }
        }
        return all | effects;
}

/* ---- sessions that are not ours ------------------------------------------------------------------------------- */

static const char *const lasting_commands[] = {"RESET", "DISCARD", "LISTEN", "UNLISTEN", "PRAGMA",
                                               "USE",   "ATTACH",  "DETACH", "LOAD",     "HANDLER"};

static const char *const lasting_words[] = {
        "get_lock",
        "pg_advisory_lock",
        "pg_advisory_lock_shared",
        "pg_try_advisory_lock",
        "pg_try_advisory_lock_shared",
};

/* SET LOCAL and the like end with the transaction. */
static const char *const local_words[] = {"LOCAL", "TRANSACTION", "CONSTRAINTS"};

/* What was read of one statement. */
typedef struct lasting {
        dal__token command, before; /* its first word, and the word before this one */
        uint32_t i;
        bool surely;
        bool has_set_config, is_local;      /* set_config(..., true) */
        bool is_temporary, drops_on_commit; /* CREATE TEMPORARY TABLE ... ON COMMIT DROP */
} lasting;

static bool is_word_of(const dal__token *token, const char *word)
{
        return token->kind == DAL__TOKEN_WORD && dal__lexer_is_word(token, word);
}

static void take_command_word(lasting *l, const dal__token *word)
{
        if (l->i == 0) {
                l->command = *word;
                l->surely = IS_ONE_OF(word, lasting_commands);
        } else if (l->i == 1 && is_word_of(&l->command, "SET")) {
                l->surely = !IS_ONE_OF(word, local_words);
        } else if (l->i == 1 && is_word_of(&l->command, "PREPARE")) {
                l->surely = !is_word_of(word, "TRANSACTION");
        } else if (l->i == 1 && is_word_of(&l->command, "LOCK")) {
                l->surely = is_word_of(word, "TABLES"); /* of MySQL */
        }
}

static void take_word(lasting *l, const dal__token *word)
{
        bool creates = is_word_of(&l->command, "CREATE") && l->i <= 4; /* CREATE OR REPLACE LOCAL TEMP */

        take_command_word(l, word);
        if (IS_ONE_OF(word, lasting_words) || (is_word_of(&l->command, "DECLARE") &&
                                               is_word_of(word, "HOLD") && is_word_of(&l->before, "WITH")))
                l->surely = true;
        if ((creates || is_word_of(&l->before, "INTO")) &&
            (IS_ONE_OF(word, temporary_words) || is_word_of(word, "pg_temp")))
                l->is_temporary = true;
        if (is_word_of(word, "DROP") && is_word_of(&l->before, "COMMIT"))
                l->drops_on_commit = true;
        if (is_word_of(word, "set_config"))
                l->has_set_config = true;
        if (l->has_set_config && is_word_of(word, "TRUE"))
                l->is_local = true;
        l->before = *word;
        l->i++;
}

static bool is_lasting(const lasting *l)
{
        return l->surely || (l->has_set_config && !l->is_local) || (l->is_temporary && !l->drops_on_commit);
}

static bool outlives_tx(const char *sql, size_t size, uint32_t syntax)
{
        static const lasting nothing = {.command = {.kind = DAL__TOKEN_END},
                                        .before = {.kind = DAL__TOKEN_END}};
        lasting l = nothing;
        dal__lexer lexer;
        dal__token token;

        dal__lexer_init(&lexer, sql, size, syntax);
        do {
                token = dal__lexer_next(&lexer);
                if (token.kind == DAL__TOKEN_WORD)
                        take_word(&l, &token);
                if (token.kind != DAL__TOKEN_SEMICOLON && token.kind != DAL__TOKEN_END)
                        continue;
                if (is_lasting(&l))
                        return true;
                l = nothing;
        } while (token.kind != DAL__TOKEN_END);
        return false;
}

dal_status dal__stmt_cache_check_session(const dal__stmt_cache *cache, const char *name, const char *sql,
                                         size_t size, dal_error *err)
{
        if (!cache->no_session || !outlives_tx(sql, size, cache->driver->sql_syntax))
                return DAL_OK;
        dal_error_set(err, DAL_CLASS_UNSUPPORTED,
                      "%s: leaves something in the session, which with statements=unnamed is shared: use SET "
                      "LOCAL, "
                      "set_config(..., true), ON COMMIT DROP or a lock of the transaction, or connect to the "
                      "server "
                      "itself with statements=prepared",
                      name);
        if (err)
                err->not_sent = true;
        return DAL_ERR_UNSUPPORTED;
}

/* A procedure or block is not: each of its statements may have been committed by itself. */
static dal__token first_word(const char *sql, size_t size, uint32_t syntax)
{
        dal__lexer lexer;
        dal__token token;

        dal__lexer_init(&lexer, sql, size, syntax);
        do
                token = dal__lexer_next(&lexer);
        while (token.kind != DAL__TOKEN_WORD && token.kind != DAL__TOKEN_END);
        return token;
}

static bool is_atomic(const char *sql, size_t size, uint32_t syntax)
{
        static const char *const words[] = {"CALL", "DO", "EXECUTE"};
        dal__token token = first_word(sql, size, syntax);

        return token.kind == DAL__TOKEN_END || !is_one_of(&token, words, sizeof words / sizeof *words);
}

static bool is_dml(const char *sql, size_t size, uint32_t syntax)
{
        static const char *const words[] = {"INSERT", "UPDATE", "DELETE", "MERGE"};
        dal__token token = first_word(sql, size, syntax);

        return token.kind == DAL__TOKEN_WORD && is_one_of(&token, words, sizeof words / sizeof *words);
}

dal_status dal__stmt_cache_make(dal__stmt_cache *cache, const dal_stmt *stmt, dal__cached_stmt **out,
                                dal_error *err)
{
        const char *text = dal_stmt_text(stmt, cache->dialect);
        dal__params_text rewritten;
        dal__cached_stmt *entry;
        dal_status s;

        if (!text)
                return dal_error_set(err, DAL_CLASS_ARGUMENT, "statement %s has no text for the dialect %s",
                                     stmt->name, dal_stmt_dialect_name(cache->dialect));
        s = dal__stmt_cache_check_session(cache, stmt->name, text, strlen(text), err);
        if (s)
                return s;
        s = dal__params_rewrite(cache->driver, stmt->name, text, strlen(text), &rewritten, err);
        if (s == DAL_OK)
                s = dal__params_lock(cache->driver, stmt->name, stmt->flags, &rewritten, err);
        if (s)
                return s;
        if (rewritten.has_transaction_word) {
                dal_mem_free(rewritten.text);
                return dal_error_set(err, DAL_CLASS_ARGUMENT,
                                     "statement %s begins or ends a transaction: use dal_cluster_run() or "
                                     "dal_tx_run() instead",
                                     stmt->name);
        }
        entry = dal_mem_alloc(sizeof *entry + cache->driver->stmt_size);
        if (!entry) {
                dal_mem_free(rewritten.text);
                return dal_error_set(err, DAL_CLASS_NO_MEMORY, "out of memory for statement %s", stmt->name);
        }
        entry->key = stmt;
        entry->key_name = stmt->name;
        entry->key_common = stmt->common;
        entry->is_read = rewritten.is_read && !(stmt->flags & DAL_STMT_WRITES);
        entry->effects = dal__stmt_cache_effects(text, strlen(text), cache->driver->sql_syntax);
        entry->is_atomic = is_atomic(text, strlen(text), cache->driver->sql_syntax);
        entry->is_dml = is_dml(text, strlen(text), cache->driver->sql_syntax);
        entry->driver_stmt.name = stmt->name;
        entry->driver_stmt.text = rewritten.text;
        entry->driver_stmt.text_size = rewritten.size;
        entry->driver_stmt.n_params = rewritten.n_params;
        entry->driver_stmt.number = ++cache->next_number;
        entry->driver_stmt.flags = stmt->flags;
        entry->driver_stmt.state = entry + 1;
        cache->n_prepared += !cache->texts_only;
        *out = entry;
        return DAL_OK;
}

/* Pinned ones may take the cache beyond its capacity for a while. */
static void make_room(dal__stmt_cache *cache, void *driver_conn)
{
        dal__cached_stmt *entry = cache->oldest;

        while (entry && cache->n_stmts >= cache->capacity) {
                dal__cached_stmt *newer = entry->newer;

                if (!entry->n_pins) {
                        drop(cache, driver_conn, entry);
                        cache->n_evicted++;
                }
                entry = newer;
        }
}

dal__cached_stmt *dal__stmt_cache_fetch(dal__stmt_cache *cache, void *driver_conn, const dal_stmt *stmt,
                                        dal_error *err)
{
        dal__cached_stmt **bucket = dal__stmt_cache_bucket(cache, stmt);
        dal__cached_stmt *entry;

        if (!stmt) {
                dal_error_set(err, DAL_CLASS_ARGUMENT, "a statement is needed, not NULL");
                return NULL;
        }
        for (entry = *bucket; entry; entry = entry->next_in_bucket) {
                if (entry->key != stmt)
                        continue;
                if (entry->key_name != stmt->name || entry->key_common != stmt->common) {
                        drop(cache, driver_conn, entry);
                        break;
                }
                if (entry != cache->newest) {
                        unlink_lru(cache, entry);
                        push_newest(cache, entry);
                }
                return entry;
        }
        if (dal__stmt_cache_make(cache, stmt, &entry, err))
                return NULL;
        make_room(cache, driver_conn);
        entry->next_in_bucket = *bucket;
        *bucket = entry;
        push_newest(cache, entry);
        cache->n_stmts++;
        return entry;
}
