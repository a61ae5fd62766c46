/* SPDX-License-Identifier: MIT */
#include "differ_scripts.h"

#include <ctype.h>

#include "sql/lexer.h"

#define MAX_SIZE 16384

/* Keeps a script for the other side if this library takes it. */
static void take(struct differ *d, const char *text, size_t size)
{
        dal_error err = DAL_ERROR_INIT;
        dal__splitter splitter;
        dal__splitter_stmt stmt;
        bool found = true;

        dal__splitter_init(&splitter, text, size, d->syntax);
        while (found) {
                if (dal__splitter_next(&splitter, &stmt, &found, &err)) {
                        d->n_refused++; /* an open quote, a command of psql's own, or data for COPY */
                        return;
                }
                if (found && !d->is_comparable(&splitter, &stmt)) {
                        d->n_apart++;
                        return;
                }
        }
        FUZZ_CHECK(d->n_scripts < sizeof d->scripts / sizeof d->scripts[0]);
        d->scripts[d->n_scripts].text = fuzz_text(text, size);
        d->scripts[d->n_scripts++].size = size;
}

/*
 * At each end of a word: one mark fewer, or one more. Words stay whole, for what a word means is not the
 * other side's to know.
 */
static void take_changed(struct differ *d, const char *text, size_t size)
{
        static const char *const marks[] = {";",  "'",  "\"", "(",  ")",   "/*",
                                            "*/", "--", "\n", "$$", "$a$", "E'"};
        static char changed[MAX_SIZE + 8];
        size_t step = 1 + size / d->max_changes, n = 0;

        for (size_t i = 0; i < size; i++) {
                const char *mark = marks[n % (sizeof marks / sizeof marks[0])];
                bool is_inside =
                        i > 0 && isalnum((unsigned char)text[i - 1]) && isalnum((unsigned char)text[i]);

                if (is_inside || n++ % step != 0)
                        continue;
                snprintf(changed, sizeof changed, "%.*s%s%s", (int)i, text, mark, text + i);
                take(d, changed, strlen(changed));
                if (!isalnum((unsigned char)text[i])) {
                        snprintf(changed, sizeof changed, "%.*s%s", (int)i, text, text + i + 1);
                        take(d, changed, strlen(changed));
                }
        }
}

void differ_read(struct differ *d, const char *path)
{
        static char text[MAX_SIZE];
        FILE *file = fopen(path, "rb");
        size_t size;

        if (!file) {
                perror(path);
                exit(1);
        }
        size = fread(text, 1, sizeof text - 1, file);
        fclose(file);
        FUZZ_CHECK(size < sizeof text - 1);
        text[size] = '\0';
        take(d, text, size);
        take_changed(d, text, size);
}

/* A request of semicolons and comments alone says nothing, and this library does not send it. */
bool differ_is_empty(const struct differ *d, const char *request, size_t size)
{
        dal__lexer lexer;
        dal__token token;

        dal__lexer_init(&lexer, request, size, d->syntax);
        do
                token = dal__lexer_next(&lexer);
        while (token.kind == DAL__TOKEN_SPACE || token.kind == DAL__TOKEN_COMMENT ||
               token.kind == DAL__TOKEN_SEMICOLON);
        return token.kind == DAL__TOKEN_END;
}

/*
 * Reads a statement at the beginning of a request, white space apart; gives what follows it, NULL if it isn't
 * there.
 */
static const char *skip_statement(const char *request, const dal__splitter_stmt *stmt)
{
        for (size_t i = 0; i < stmt->size; i++) {
                if (isspace((unsigned char)stmt->text[i]))
                        continue;
                while (isspace((unsigned char)*request))
                        request++;
                if (*request++ != stmt->text[i])
                        return NULL;
        }
        return request;
}

/*
 * What is sent begins and ends with comments that this library leaves out, and with the semicolon. Of
 * empty lines it sends none.
 */
bool differ_is_same(const struct differ *d, const char *request, const dal__splitter_stmt *stmt)
{
        for (const char *at = request; *at; at++) {
                const char *rest = skip_statement(at, stmt);

                if (rest && differ_is_empty(d, request, (size_t)(at - request)) &&
                    differ_is_empty(d, rest, strlen(rest)))
                        return true;
        }
        return false;
}

void differ_free(struct differ *d)
{
        for (size_t i = 0; i < d->n_scripts; i++)
                free(d->scripts[i].text);
}
