/* SPDX-License-Identifier: MIT */
#include "sql/lexer.h"

#include <string.h>

#include <dal/driver.h>

/*
 * Each scan function looks at the bytes from lexer->pos on and returns how many of them make the token. A
 * byte is passed over a bounded number of times, so that a text costs time in proportion to its size.
 */

static bool is_space(char c)
{
        return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool is_word_start(char c)
{
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (unsigned char)c >= 0x80;
}

static bool is_digit(char c)
{
        return c >= '0' && c <= '9';
}

/* All three engines take $ inside an identifier, so that in a$b$ no dollar quote begins. */
static bool is_word(char c)
{
        return is_word_start(c) || is_digit(c) || c == '$';
}

static char lower(char c)
{
        return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static bool has(const dal__lexer *lexer, uint32_t fact)
{
        return (lexer->syntax & fact) != 0;
}

/* The byte at `pos`, NUL behind the end. */
static char at(const dal__lexer *lexer, size_t pos)
{
        return pos < lexer->size ? lexer->text[pos] : '\0';
}

static size_t scan_space(const dal__lexer *lexer)
{
        size_t i = lexer->pos;

        while (i < lexer->size && is_space(lexer->text[i]))
                i++;
        return i - lexer->pos;
}

static size_t scan_word(const dal__lexer *lexer)
{
        size_t i = lexer->pos;

        while (i < lexer->size && is_word(lexer->text[i]))
                i++;
        return i - lexer->pos;
}

/* A carriage return ends a comment in PostgreSQL alone. Source: PostgreSQL 15, parser/scan.l, non_newline. */
static size_t scan_line_comment(const dal__lexer *lexer)
{
        bool carriage_return = has(lexer, DAL_SQL_DOLLAR_QUOTES);
        size_t i = lexer->pos;

        while (i < lexer->size && lexer->text[i] != '\n' && !(carriage_return && lexer->text[i] == '\r'))
                i++;
        return i - lexer->pos;
}

static size_t scan_block_comment(const dal__lexer *lexer, dal__token_kind *kind)
{
        bool nested = has(lexer, DAL_SQL_NESTED_COMMENTS);
        size_t i = lexer->pos + 2, depth = 1;

        while (i < lexer->size) {
                if (lexer->text[i] == '*' && at(lexer, i + 1) == '/') {
                        i += 2;
                        if (--depth == 0) {
                                *kind = DAL__TOKEN_COMMENT;
                                return i - lexer->pos;
                        }
                } else if (nested && lexer->text[i] == '/' && at(lexer, i + 1) == '*') {
                        i += 2;
                        depth++;
                } else {
                        i++;
                }
        }
        *kind = DAL__TOKEN_UNTERMINATED;
        return lexer->size - lexer->pos;
}

/* Scans from the opening quote at `first`; a doubled quote stands for itself. */
static size_t scan_quoted(const dal__lexer *lexer, size_t first, char quote, bool backslash,
                          dal__token_kind *kind)
{
        size_t i = first + 1;

        for (; i < lexer->size; i++) {
                if (backslash && lexer->text[i] == '\\') {
                        i++;
                        continue;
                }
                if (lexer->text[i] != quote)
                        continue;
                if (quote != ']' && at(lexer, i + 1) == quote) {
                        i++;
                        continue;
                }
                *kind = DAL__TOKEN_QUOTED;
                return i + 1 - lexer->pos;
        }
        *kind = DAL__TOKEN_UNTERMINATED;
        return lexer->size - lexer->pos;
}

/* Returns the size of the "$tag$" at the position, 0 if there is none. */
static size_t dollar_tag(const dal__lexer *lexer)
{
        size_t i = lexer->pos + 1;

        if (i < lexer->size && is_word_start(lexer->text[i]))
                while (i < lexer->size && lexer->text[i] != '$' && is_word(lexer->text[i]))
                        i++;
        return at(lexer, i) == '$' ? i + 1 - lexer->pos : 0;
}

/* A comparison stops at the next $ at the latest, since a tag has none inside: the search stays linear. */
static size_t scan_dollar_quoted(const dal__lexer *lexer, size_t tag_size, dal__token_kind *kind)
{
        const char *tag = lexer->text + lexer->pos;
        const char *end = lexer->text + lexer->size;
        const char *p = tag + tag_size;

        while ((p = memchr(p, '$', (size_t)(end - p))) && (size_t)(end - p) >= tag_size) {
                size_t i = 1;

                while (i < tag_size && p[i] == tag[i])
                        i++;
                if (i == tag_size) {
                        *kind = DAL__TOKEN_QUOTED;
                        return (size_t)(p - tag) + tag_size;
                }
                p += i;
        }
        *kind = DAL__TOKEN_UNTERMINATED;
        return lexer->size - lexer->pos;
}

static size_t scan_dollar(const dal__lexer *lexer, dal__token_kind *kind)
{
        size_t tag_size = has(lexer, DAL_SQL_DOLLAR_QUOTES) ? dollar_tag(lexer) : 0;

        if (tag_size)
                return scan_dollar_quoted(lexer, tag_size, kind);
        if (is_digit(at(lexer, lexer->pos + 1))) { /* $1, a parameter of the server's own kind */
                *kind = DAL__TOKEN_WORD;
                return scan_word(lexer);
        }
        *kind = DAL__TOKEN_OTHER;
        return 1;
}

static bool is_dash_comment(const dal__lexer *lexer)
{
        char c = at(lexer, lexer->pos + 2);

        if (at(lexer, lexer->pos + 1) != '-')
                return false;
        /* Source: MySQL 8.4 manual, 11.7: white space or a control character must follow. */
        return !has(lexer, DAL_SQL_DASH_NEEDS_SPACE) || (unsigned char)c <= ' ' || c == 0x7F;
}

/*
 * The MySQL family runs what stands in a comment that begins with an exclamation mark (MariaDB also M and an
 * exclamation mark), so that is code between two operators, not a comment. Where the server skips it after
 * all, for a version in it, the count of parameters differs and the statement is refused.
 * Source: MySQL 8.4 manual, 11.7; MariaDB knowledge base, "Comment Syntax".
 */
static size_t executable_comment(const dal__lexer *lexer)
{
        size_t i = lexer->pos + 2;

        if (!has(lexer, DAL_SQL_HASH_COMMENTS))
                return 0;
        if (at(lexer, i) == 'M')
                i++;
        if (at(lexer, i) != '!')
                return 0;
        i++;
        while (is_digit(at(lexer, i)))
                i++;
        return i - lexer->pos;
}

static size_t scan_slash(const dal__lexer *lexer, dal__token_kind *kind)
{
        size_t size;

        *kind = DAL__TOKEN_OTHER;
        if (at(lexer, lexer->pos + 1) != '*')
                return 1;
        size = executable_comment(lexer);
        return size ? size : scan_block_comment(lexer, kind);
}

static size_t scan_word_or_string(const dal__lexer *lexer, dal__token_kind *kind)
{
        size_t size = scan_word(lexer);

        if (size == 1 && has(lexer, DAL_SQL_E_STRINGS) && lower(lexer->text[lexer->pos]) == 'e' &&
            at(lexer, lexer->pos + 1) == '\'')
                return scan_quoted(lexer, lexer->pos + 1, '\'', true, kind);
        *kind = DAL__TOKEN_WORD;
        return size;
}

static size_t scan_question_mark(const dal__lexer *lexer, dal__token_kind *kind)
{
        bool doubled = at(lexer, lexer->pos + 1) == '?';

        *kind = doubled ? DAL__TOKEN_QUESTION_MARK : DAL__TOKEN_PLACEHOLDER;
        return doubled ? 2 : 1;
}

/* Finds the kind and size of the token at the position; there is at least one byte. */
static size_t scan(const dal__lexer *lexer, dal__token_kind *kind)
{
        bool backslash = has(lexer, DAL_SQL_BACKSLASH_ESCAPES);
        char c = lexer->text[lexer->pos];

        if (is_space(c)) {
                *kind = DAL__TOKEN_SPACE;
                return scan_space(lexer);
        }
        if (is_word_start(c) || is_digit(c))
                return scan_word_or_string(lexer, kind);
        if ((c == '-' && is_dash_comment(lexer)) || (c == '#' && has(lexer, DAL_SQL_HASH_COMMENTS))) {
                *kind = DAL__TOKEN_COMMENT;
                return scan_line_comment(lexer);
        }
        *kind = DAL__TOKEN_OTHER;
        switch (c) {
        case '\'':
        case '"':
                return scan_quoted(lexer, lexer->pos, c, backslash, kind);
        case '`':
                return has(lexer, DAL_SQL_BACKTICKS) ? scan_quoted(lexer, lexer->pos, c, false, kind) : 1;
        case '[':
                return has(lexer, DAL_SQL_BRACKETS) ? scan_quoted(lexer, lexer->pos, ']', false, kind) : 1;
        case '$':
                return scan_dollar(lexer, kind);
        case '/':
                return scan_slash(lexer, kind);
        case '?':
                return scan_question_mark(lexer, kind);
        case ';':
                *kind = DAL__TOKEN_SEMICOLON;
                return 1;
        case '*':
                return lexer->in_executable && at(lexer, lexer->pos + 1) == '/' ? 2 : 1;
        case ':':
                return at(lexer, lexer->pos + 1) == ':' ? 2 : 1;
        default:
                return 1;
        }
}

void dal__lexer_init(dal__lexer *lexer, const char *text, size_t size, uint32_t syntax)
{
        lexer->text = text ? text : "";
        lexer->size = size;
        lexer->pos = 0;
        lexer->line = 1;
        lexer->syntax = syntax;
        lexer->in_executable = false;
}

dal__token dal__lexer_next(dal__lexer *lexer)
{
        dal__token token = {DAL__TOKEN_END, lexer->text + lexer->pos, 0, lexer->line};

        if (lexer->pos >= lexer->size)
                return token;
        token.size = scan(lexer, &token.kind);
        for (size_t i = 0; i < token.size; i++)
                lexer->line += token.text[i] == '\n';
        if (token.kind == DAL__TOKEN_OTHER && token.size > 1 && token.text[0] != ':')
                lexer->in_executable = token.text[0] == '/';
        lexer->pos += token.size;
        return token;
}

bool dal__lexer_is_word(const dal__token *token, const char *keyword)
{
        size_t i = 0;

        if (token->kind != DAL__TOKEN_WORD)
                return false;
        for (; i < token->size && keyword[i]; i++)
                if (lower(token->text[i]) != lower(keyword[i]))
                        return false;
        return i == token->size && !keyword[i];
}
