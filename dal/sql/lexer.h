/* SPDX-License-Identifier: MIT */
#ifndef DAL_SQL_LEXER_H
#define DAL_SQL_LEXER_H

/*
 * Cuts SQL into tokens, just far enough to know what is text and what is code: quotes, comments, dollar quotes and
 * words, by the grammar facts of an engine (DAL_SQL_*). Never fails on any bytes; an unterminated quote or comment
 * is a token of its own kind that reaches to the end.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum dal__token_kind {
        DAL__TOKEN_END,
        DAL__TOKEN_SPACE,
        DAL__TOKEN_COMMENT,
        DAL__TOKEN_WORD,          /* identifier, keyword or number */
        DAL__TOKEN_QUOTED,        /* string or quoted identifier, dollar quotes included */
        DAL__TOKEN_PLACEHOLDER,   /* ? */
        DAL__TOKEN_QUESTION_MARK, /* ??, meaning one literal ? */
        DAL__TOKEN_SEMICOLON,
        DAL__TOKEN_OTHER,         /* any other single byte or operator */
        DAL__TOKEN_UNTERMINATED
} dal__token_kind;

typedef struct dal__token {
        dal__token_kind kind;
        const char *text; /* into the source */
        size_t size;
        uint32_t line; /* of its first byte, from 1 */
} dal__token;

typedef struct dal__lexer {
        const char *text;
        size_t size;
        size_t pos;
        uint32_t line;
        uint32_t syntax;    /* DAL_SQL_* */
        bool in_executable; /* inside a MySQL comment whose text is code */
} dal__lexer;

void dal__lexer_init(dal__lexer *lexer, const char *text, size_t size, uint32_t syntax);
dal__token dal__lexer_next(dal__lexer *lexer);
/* Says whether a word token is a keyword, any case. */
bool dal__lexer_is_word(const dal__token *token, const char *keyword);

#endif
