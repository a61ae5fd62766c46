/* SPDX-License-Identifier: MIT */
/* SQL text: tokens, and the rewriting of placeholders, by the grammar of each engine. */

#include "fuzz.h"

#include <dal/driver.h>
#include <dal/drivers/fake.h>
#include <dal/mem.h>

#include "sql/lexer.h"
#include "sql/params.h"

static const struct grammar {
        dal_placeholder placeholder;
        uint32_t syntax;
} grammars[] = {
        {DAL_PLACEHOLDER_DOLLAR, DAL_SQL_DOLLAR_QUOTES | DAL_SQL_NESTED_COMMENTS | DAL_SQL_E_STRINGS},
        {DAL_PLACEHOLDER_QUESTION,
         DAL_SQL_BACKSLASH_ESCAPES | DAL_SQL_HASH_COMMENTS | DAL_SQL_BACKTICKS | DAL_SQL_DASH_NEEDS_SPACE},
        {DAL_PLACEHOLDER_QUESTION, DAL_SQL_HASH_COMMENTS | DAL_SQL_BACKTICKS | DAL_SQL_DASH_NEEDS_SPACE},
        {DAL_PLACEHOLDER_QUESTION, DAL_SQL_BACKTICKS | DAL_SQL_BRACKETS},
};
#define N_GRAMMARS (sizeof grammars / sizeof grammars[0])

/* The tokens are the text, from its first byte to its last. */
static size_t check_tokens(const char *text, size_t size, uint32_t syntax)
{
        dal__lexer lexer;
        dal__token token;
        const char *at = text;
        uint32_t line = 1;
        size_t n_placeholders = 0;

        dal__lexer_init(&lexer, text, size, syntax);
        for (;;) {
                token = dal__lexer_next(&lexer);
                FUZZ_CHECK(token.text == at && token.line == line);
                if (token.kind == DAL__TOKEN_END)
                        break;
                FUZZ_CHECK(token.size > 0 && token.size <= (size_t)(text + size - at));
                for (size_t i = 0; i < token.size; i++)
                        line += token.text[i] == '\n';
                n_placeholders += token.kind == DAL__TOKEN_PLACEHOLDER;
                at += token.size;
        }
        FUZZ_CHECK(at == text + size);
        return n_placeholders;
}

static bool is_code(const dal__token *token)
{
        return token->kind != DAL__TOKEN_SPACE && token->kind != DAL__TOKEN_COMMENT &&
               token->kind != DAL__TOKEN_SEMICOLON;
}

static dal__token next_code(dal__lexer *lexer)
{
        dal__token token;

        do
                token = dal__lexer_next(lexer);
        while (!is_code(&token) && token.kind != DAL__TOKEN_END);
        return token;
}

/* What stands in front of the semicolon, if there is one. */
static size_t size_of_first(const char *text, size_t size, uint32_t syntax)
{
        dal__lexer lexer;
        dal__token token;

        dal__lexer_init(&lexer, text, size, syntax);
        do
                token = dal__lexer_next(&lexer);
        while (token.kind != DAL__TOKEN_SEMICOLON && token.kind != DAL__TOKEN_END);
        return (size_t)(token.text - text);
}

/*
 * The server reads in the new text what stood in the old: the same tokens, but for the placeholders, which are
 * numbered in order. Two literal question marks side by side look like one token when read again, so there it ends.
 */
static void check_same_code(const dal__params_text *out, const char *text, size_t size,
                            const struct grammar *grammar)
{
        dal__lexer before, after;
        uint32_t n = 0;
        char number[16];

        dal__lexer_init(&before, text, size_of_first(text, size, grammar->syntax), grammar->syntax);
        dal__lexer_init(&after, out->text, out->size, grammar->syntax);
        for (;;) {
                dal__token old = next_code(&before), new = next_code(&after);

                if (old.kind == DAL__TOKEN_QUESTION_MARK)
                        return;
                if (old.kind == DAL__TOKEN_PLACEHOLDER && grammar->placeholder == DAL_PLACEHOLDER_DOLLAR) {
                        int n_digits = snprintf(number, sizeof number, "$%u", (unsigned)++n);

                        FUZZ_CHECK(new.size == (size_t)n_digits &&memcmp(new.text, number, new.size) == 0);
                        continue;
                }
                FUZZ_CHECK(old.kind == new.kind &&old.size == new.size);
                if (old.kind == DAL__TOKEN_END)
                        return;
                FUZZ_CHECK(memcmp(old.text, new.text, old.size) == 0);
        }
}

/* One statement stays one statement, whatever else is done to it. */
static void check_single(const char *text, size_t size, uint32_t syntax)
{
        dal__lexer lexer;
        dal__token token;

        dal__lexer_init(&lexer, text, size, syntax);
        do {
                token = dal__lexer_next(&lexer);
                FUZZ_CHECK(token.kind != DAL__TOKEN_SEMICOLON && token.kind != DAL__TOKEN_UNTERMINATED);
        } while (token.kind != DAL__TOKEN_END);
}

static void check_lock(const dal_driver *driver, const dal__params_text *plain, uint32_t syntax)
{
        dal_error err = DAL_ERROR_INIT;
        dal__params_text text = *plain;

        text.text = dal_mem_strdup(plain->text, plain->size);
        FUZZ_CHECK(text.text);
        if (dal__params_lock(driver, "fuzz", DAL_STMT_LOCK_UPDATE, &text, &err) != DAL_OK) {
                fuzz_check_error(&err);
                FUZZ_CHECK(!text.text);
                return;
        }
        FUZZ_CHECK(strlen(text.text) == text.size && !text.is_read);
        check_single(text.text, text.size, syntax);
        dal_mem_free(text.text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        dal_driver driver = *dal_driver_fake();
        dal_error err = DAL_ERROR_INIT;
        dal__params_text out;
        const struct grammar *grammar;
        size_t n_placeholders;
        char *text;

        if (!size)
                return 0;
        grammar = &grammars[data[0] % N_GRAMMARS];
        text = fuzz_copy(data + 1, --size);
        n_placeholders = check_tokens(text, size, grammar->syntax);
        FUZZ_CHECK(dal_driver_find_placeholders(grammar->syntax, text, size, NULL, 0) == n_placeholders);
        driver.placeholder = grammar->placeholder;
        driver.sql_syntax = grammar->syntax;
        driver.lock_update = " FOR UPDATE";
        if (dal__params_rewrite(&driver, "fuzz", text, size, &out, &err) == DAL_OK) {
                FUZZ_CHECK(strlen(out.text) == out.size && out.n_params == n_placeholders);
                FUZZ_CHECK(out.code_size <= out.size && !(out.is_read && out.has_transaction_word));
                check_same_code(&out, text, size, grammar);
                check_single(out.text, out.size, grammar->syntax);
                check_lock(&driver, &out, grammar->syntax);
                dal_mem_free(out.text);
        } else {
                fuzz_check_error(&err);
                FUZZ_CHECK(!out.text);
        }
        free(text);
        return 0;
}
