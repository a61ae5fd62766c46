/* SPDX-License-Identifier: MIT */
#include <dal/driver_sql.h>

#include <string.h>

#include "sql/lexer.h"

size_t dal_driver_find_placeholders(uint32_t sql_syntax, const char *text, size_t size, size_t *positions_out,
                                    size_t room)
{
        dal__lexer lexer;
        dal__token token;
        size_t n = 0;

        dal__lexer_init(&lexer, text, size, sql_syntax);
        while ((token = dal__lexer_next(&lexer)).kind != DAL__TOKEN_END) {
                if (token.kind != DAL__TOKEN_PLACEHOLDER)
                        continue;
                if (n < room)
                        positions_out[n] = (size_t)(token.text - text);
                n++;
        }
        return n;
}

/* ---- the row of an INSERT ------------------------------------------------------------------------------------- */

/* The next token that is neither space nor comment. */
static dal__token next_code(dal__lexer *lexer)
{
        dal__token token;

        do {
                token = dal__lexer_next(lexer);
        } while (token.kind == DAL__TOKEN_SPACE || token.kind == DAL__TOKEN_COMMENT);
        return token;
}

static bool is_char(const dal__token *token, char c)
{
        return token->kind == DAL__TOKEN_OTHER && token->size == 1 && token->text[0] == c;
}

/* In a text for PostgreSQL a question mark is an operator. */
static bool is_placeholder(dal_placeholder kind, const dal__token *token)
{
        if (kind == DAL_PLACEHOLDER_QUESTION)
                return token->kind == DAL__TOKEN_PLACEHOLDER;
        return token->kind == DAL__TOKEN_WORD && token->size > 1 && token->text[0] == '$';
}

/* A comment that only some servers run: what stands in it is code here and nothing there. */
static bool is_doubtful(const dal__token *token)
{
        return token->kind == DAL__TOKEN_UNTERMINATED ||
               (token->kind == DAL__TOKEN_OTHER && token->size > 1 && token->text[0] == '/');
}

/* Finds the word VALUES outside of brackets; false if there is none or something stands in its way. */
static bool skip_to_values(dal__lexer *lexer, dal_placeholder kind, dal_driver_values *out)
{
        dal__token token = next_code(lexer);
        size_t n_words = 1, depth = 0;

        if (!dal__lexer_is_word(&token, "INSERT") && !dal__lexer_is_word(&token, "REPLACE"))
                return false;
        while ((token = next_code(lexer)).kind != DAL__TOKEN_END) {
                if (is_doubtful(&token) || is_placeholder(kind, &token) ||
                    dal__lexer_is_word(&token, "SELECT") || token.kind == DAL__TOKEN_SEMICOLON)
                        return false;
                if (++n_words == 2)
                        out->is_plain = dal__lexer_is_word(&token, "INTO");
                if (is_char(&token, '('))
                        depth++;
                else if (is_char(&token, ')') && depth-- == 0)
                        return false;
                else if (depth == 0 && dal__lexer_is_word(&token, "VALUES"))
                        return true;
        }
        return false;
}

/* Reads from the opening to the closing bracket. */
static bool read_row(dal__lexer *lexer, dal_placeholder kind, dal_driver_values *out)
{
        dal__token token = next_code(lexer);
        size_t depth = 1;

        if (!is_char(&token, '('))
                return false;
        out->begin = (size_t)(token.text - lexer->text);
        while (depth) {
                token = next_code(lexer);
                if (token.kind == DAL__TOKEN_END || token.kind == DAL__TOKEN_SEMICOLON || is_doubtful(&token))
                        return false;
                if (is_placeholder(kind, &token))
                        out->n_params++;
                else if (is_char(&token, '('))
                        depth++;
                else if (is_char(&token, ')'))
                        depth--;
                out->is_plain &= depth < 2 && (token.kind != DAL__TOKEN_OTHER ||
                                               (token.size == 1 && strchr(",-+.)", token.text[0])));
        }
        out->end = lexer->pos;
        return true;
}

static bool read_tail(dal__lexer *lexer, dal_placeholder kind, dal_driver_values *out)
{
        dal__token token = next_code(lexer);

        if (token.kind == DAL__TOKEN_SEMICOLON)
                token = next_code(lexer);
        if (token.kind == DAL__TOKEN_END)
                return true;
        out->has_tail = true;
        /* A comma would be a second row; UNION and its like make the row a part of a query. */
        if (!dal__lexer_is_word(&token, "ON") && !dal__lexer_is_word(&token, "RETURNING") &&
            !dal__lexer_is_word(&token, "AS"))
                return false;
        for (; token.kind != DAL__TOKEN_END; token = next_code(lexer)) {
                if (is_doubtful(&token))
                        return false;
                out->n_behind += is_placeholder(kind, &token);
                out->returns_rows |= dal__lexer_is_word(&token, "RETURNING");
        }
        return true;
}

bool dal_driver_find_values(dal_placeholder placeholder, uint32_t sql_syntax, const char *text, size_t size,
                            dal_driver_values *out)
{
        dal__lexer lexer;

        memset(out, 0, sizeof *out);
        dal__lexer_init(&lexer, text, size, sql_syntax);
        return skip_to_values(&lexer, placeholder, out) && read_row(&lexer, placeholder, out) &&
               read_tail(&lexer, placeholder, out);
}
