/* SPDX-License-Identifier: MIT */
#include "schema/splitter.h"

#include <string.h>

#include "sql/lexer.h"

/*
 * A script is cut at its delimiter, except inside the body of a routine, where `;` separates the statements of the
 * body. No full grammar is needed for that: it is enough to know which words open a block and which close one, and
 * not to take a column called "end" for a keyword.
 */

#define MAX_DEPTH 64

typedef enum block_kind {
        BLOCK_BEGIN, /* BEGIN ... END */
        BLOCK_CASE,  /* CASE ... END [CASE], expression or statement */
        BLOCK_SOFT   /* IF, LOOP, WHILE, REPEAT, FOR ... END of the same word */
} block_kind;

typedef struct scan {
        dal__lexer lexer;
        dal__token first; /* first and last significant token of the statement; END: none yet */
        dal__token last;
        bool is_plain;   /* the delimiter is `;`, so that bodies must be told apart; else it alone decides */
        bool in_head;    /* still before the word that says what is created */
        bool is_routine; /* its body may hold statements */
        bool is_rule;    /* CREATE RULE ... DO (a; b) */
        bool is_copy;
        uint32_t n_parens;
        uint32_t depth;
        uint8_t kinds[MAX_DEPTH];
        bool if_seen[MAX_DEPTH + 1]; /* an IF that may be a statement: THEN decides */
        bool in_handler;             /* DECLARE ... HANDLER FOR NOT FOUND: its statement may be a block */
        uint32_t block_line;         /* where the outermost block began */
} scan;

/* Grammar facts stand for families here: `#` comments come with stored programs of the SQL/PSM kind. */
static bool has_psm(const scan *s)
{
        return (s->lexer.syntax & DAL_SQL_HASH_COMMENTS) != 0;
}

static bool has_dollar_quotes(const scan *s)
{
        return (s->lexer.syntax & DAL_SQL_DOLLAR_QUOTES) != 0;
}

static bool is_op(const dal__token *token, char c)
{
        return token->kind == DAL__TOKEN_OTHER && token->size == 1 && token->text[0] == c;
}

static bool is_any_word(const dal__token *token, const char *const *words)
{
        if (token->kind != DAL__TOKEN_WORD)
                return false;
        for (; *words; words++)
                if (dal__lexer_is_word(token, *words))
                        return true;
        return false;
}

/* Executable comments, which the MySQL family runs as code.
   Source: https://dev.mysql.com/doc/refman/9.0/en/comments.html, https://mariadb.com/kb/en/comment-syntax/ */
static bool is_code_comment(const scan *s, const dal__token *token)
{
        if (!has_psm(s) || token->size < 4 || token->text[0] != '/')
                return false;
        return token->text[2] == '!' || (token->text[2] == 'M' && token->text[3] == '!');
}

static bool is_significant(const scan *s, const dal__token *token)
{
        if (token->kind == DAL__TOKEN_COMMENT)
                return is_code_comment(s, token);
        return token->kind != DAL__TOKEN_SPACE;
}

static dal__token next_significant(const scan *s, dal__lexer *lexer)
{
        dal__token token = dal__lexer_next(lexer);
        while (!is_significant(s, &token))
                token = dal__lexer_next(lexer);
        return token;
}

static dal__token peek(const scan *s)
{
        dal__lexer copy = s->lexer;
        return next_significant(s, &copy);
}

/* Says whether a statement of a body can begin after this token. */
static bool starts_statement(const dal__token *prev)
{
        static const char *const openers[] = {"BEGIN", "ATOMIC", "THEN",   "ELSE",
                                              "DO",    "LOOP",   "REPEAT", NULL};
        return prev->kind == DAL__TOKEN_SEMICOLON || is_op(prev, ':') || is_any_word(prev, openers);
}

static dal_status push(scan *s, block_kind kind, uint32_t line, dal_error *err)
{
        if (s->depth == MAX_DEPTH)
                return dal_error_set(err, DAL_CLASS_ARGUMENT,
                                     "line %u: blocks are nested deeper than %d: put the routine between "
                                     "DELIMITER lines or simplify it",
                                     line, MAX_DEPTH);
        if (s->depth == 0)
                s->block_line = line;
        s->in_handler = false;
        s->kinds[s->depth++] = (uint8_t)kind;
        s->if_seen[s->depth] = false;
        return DAL_OK;
}

/* Takes the word after END into the END. */
static void swallow_next(scan *s)
{
        s->last = next_significant(s, &s->lexer);
}

static void close_block(scan *s, const dal__token *prev)
{
        static const char *const soft[] = {"IF", "LOOP", "WHILE", "REPEAT", "FOR", NULL};
        if (s->depth == 0)
                return;
        dal__token next = peek(s);
        block_kind top = (block_kind)s->kinds[s->depth - 1];
        if (top == BLOCK_CASE) {
                s->depth--;
                if (dal__lexer_is_word(&next, "CASE"))
                        swallow_next(s);
                return;
        }
        if (has_psm(s) && is_any_word(&next, soft)) {
                if (top == BLOCK_SOFT)
                        s->depth--;
                swallow_next(s);
                return;
        }
        if (!starts_statement(prev))
                return; /* a column called "end" */
        while (s->depth > 0 && s->kinds[s->depth - 1] != BLOCK_BEGIN)
                s->depth--;
        if (s->depth > 0)
                s->depth--;
}

static bool begin_opens(const scan *s, const dal__token *prev)
{
        dal__token next = peek(s);
        if (has_dollar_quotes(s))
                return dal__lexer_is_word(&next, "ATOMIC");
        if (s->depth > 0 && !s->in_handler && !starts_statement(prev))
                return false;
        /* UPDATE OF begin ON t; SET begin = 1; (begin, end) */
        return !dal__lexer_is_word(&next, "ON") && !is_op(&next, '=') && !is_op(&next, ',') &&
               !is_op(&next, ')') && !is_op(&next, '.');
}

/* IF, LOOP, WHILE and so on: they matter where a routine's body is one such statement without BEGIN. */
static dal_status track_soft(scan *s, const dal__token *token, const dal__token *prev, dal_error *err)
{
        static const char *const resets[] = {"WHEN", "ELSE", NULL};
        bool at_start = s->depth == 0 || starts_statement(prev);
        if (dal__lexer_is_word(token, "HANDLER"))
                s->in_handler = true;
        if (dal__lexer_is_word(token, "THEN")) {
                if (!s->if_seen[s->depth])
                        return DAL_OK;
                s->if_seen[s->depth] = false;
                return push(s, BLOCK_SOFT, token->line, err);
        }
        if (is_any_word(token, resets)) {
                s->if_seen[s->depth] = false;
                return DAL_OK;
        }
        if (dal__lexer_is_word(token, "IF")) {
                s->if_seen[s->depth] = s->if_seen[s->depth] || at_start || s->in_handler;
                return DAL_OK;
        }
        if (!at_start)
                return DAL_OK;
        if (dal__lexer_is_word(token, "LOOP") || dal__lexer_is_word(token, "WHILE") ||
            (dal__lexer_is_word(token, "FOR") && s->depth > 0))
                return push(s, BLOCK_SOFT, token->line, err);
        if (dal__lexer_is_word(token, "REPEAT")) {
                dal__token next = peek(s);
                if (!is_op(&next, '(')) /* else it is the string function */
                        return push(s, BLOCK_SOFT, token->line, err);
        }
        return DAL_OK;
}

static dal_status track_body(scan *s, const dal__token *token, const dal__token *prev, dal_error *err)
{
        if (token->kind == DAL__TOKEN_SEMICOLON) {
                s->if_seen[s->depth] = false;
                s->in_handler = false;
        }
        if (token->kind != DAL__TOKEN_WORD || is_op(prev, '.'))
                return DAL_OK;
        if (dal__lexer_is_word(token, "CASE"))
                return push(s, BLOCK_CASE, token->line, err);
        if (dal__lexer_is_word(token, "END")) {
                close_block(s, prev);
                return DAL_OK;
        }
        if (dal__lexer_is_word(token, "BEGIN"))
                return begin_opens(s, prev) ? push(s, BLOCK_BEGIN, token->line, err) : DAL_OK;
        return has_psm(s) ? track_soft(s, token, prev, err) : DAL_OK;
}

/* Reads the words after CREATE up to the one that says what is created. */
static void track_head(scan *s, const dal__token *token, const dal__token *prev)
{
        static const char *const routines[] = {"PROCEDURE", "FUNCTION", "TRIGGER", "EVENT", NULL};
        static const char *const modifiers[] = {"OR",           "REPLACE",   "DEFINER",    "TEMP",
                                                "TEMPORARY",    "AGGREGATE", "CONSTRAINT", "SQL",
                                                "CURRENT_USER", NULL};
        if (token->kind != DAL__TOKEN_WORD)
                return;
        if (is_any_word(token, routines)) {
                s->is_routine = true;
                s->in_head = false;
        } else if (dal__lexer_is_word(token, "RULE") && has_dollar_quotes(s)) {
                s->is_rule = true;
                s->in_head = false;
        } else if (!is_any_word(token, modifiers) && !is_op(prev, '=') && !is_op(prev, '@')) {
                s->in_head = false;
        }
}

static dal_status track_first(scan *s, const dal__token *token, dal_error *err)
{
        s->first = *token;
        if (!s->is_plain)
                return DAL_OK;
        if (dal__lexer_is_word(token, "CREATE") || (has_psm(s) && dal__lexer_is_word(token, "ALTER"))) {
                s->in_head = true;
        } else if (has_psm(s) && dal__lexer_is_word(token, "BEGIN")) {
                dal__token next = peek(s); /* MariaDB's anonymous block */
                if (dal__lexer_is_word(&next, "NOT")) {
                        s->is_routine = true;
                        return push(s, BLOCK_BEGIN, token->line, err);
                }
        }
        s->is_copy = has_dollar_quotes(s) && dal__lexer_is_word(token, "COPY");
        return DAL_OK;
}

static dal_status check_copy(const scan *s, const dal__token *token, dal_error *err)
{
        dal__token next;
        if (!dal__lexer_is_word(token, "FROM") && !dal__lexer_is_word(token, "TO"))
                return DAL_OK;
        next = peek(s);
        if (!dal__lexer_is_word(&next, "STDIN") && !dal__lexer_is_word(&next, "STDOUT"))
                return DAL_OK;
        return dal_error_set(
                err, DAL_CLASS_ARGUMENT,
                "line %u: COPY %.*s %.*s needs psql, a schema script can't carry its data: write "
                "INSERT statements, or load the data after the schema",
                s->first.line, (int)token->size, token->text, (int)next.size, next.text);
}

static dal_status fail_meta_command(const scan *s, const dal__token *token, dal_error *err)
{
        const char *end = s->lexer.text + s->lexer.size;
        size_t n = 0;
        while (token->text + n < end && n < 24 && token->text[n] > ' ')
                n++;
        return dal_error_set(
                err, DAL_CLASS_ARGUMENT,
                "line %u: \"%.*s\" is a command of a client program, not SQL: leave it out of schema "
                "scripts",
                token->line, (int)n, token->text);
}

/* Takes one significant token into the statement. */
static dal_status take(scan *s, const dal__token *token, dal_error *err)
{
        dal_status status = DAL_OK;
        dal__token prev = s->last;
        s->last = *token;
        if (s->first.kind == DAL__TOKEN_END)
                return track_first(s, token, err);
        if (!s->is_plain)
                return DAL_OK;
        if (s->in_head)
                track_head(s, token, &prev);
        else if (s->is_routine)
                status = track_body(s, token, &prev, err);
        else if (s->is_copy)
                status = check_copy(s, token, err);
        if (s->is_rule && is_op(token, '('))
                s->n_parens++;
        if (s->is_rule && is_op(token, ')') && s->n_parens > 0)
                s->n_parens--;
        return status;
}

/* Finds the delimiter where it begins inside a token: "END//" is one delimiter after one word. */
static const char *find_delimiter(const scan *s, const dal__token *token, const char *delimiter)
{
        size_t size = strlen(delimiter);
        const char *end = s->lexer.text + s->lexer.size;
        if (token->kind == DAL__TOKEN_QUOTED || token->kind == DAL__TOKEN_COMMENT)
                return NULL;
        for (const char *at = token->text; at < token->text + token->size; at++)
                if ((size_t)(end - at) >= size && memcmp(at, delimiter, size) == 0)
                        return at;
        return NULL;
}

static bool begins_line(const dal__splitter *splitter, const char *at)
{
        while (at > splitter->script && (at[-1] == ' ' || at[-1] == '\t'))
                at--;
        return at == splitter->script || at[-1] == '\n' ||
               at[-1] == '\xBF'; /* the end of a byte order mark */
}

/* Obeys a line "DELIMITER //", as the mysql client would. */
static dal_status set_delimiter(dal__splitter *splitter, scan *s, const dal__token *word, dal_error *err)
{
        const char *end = splitter->script + splitter->size;
        const char *at = word->text + word->size;
        size_t size = 0;
        if (!has_psm(s))
                return dal_error_set(
                        err, DAL_CLASS_ARGUMENT,
                        "line %u: DELIMITER is a command of the mysql client and not needed for this "
                        "engine: leave it out",
                        word->line);
        while (at < end && (*at == ' ' || *at == '\t'))
                at++;
        while (at + size < end && (unsigned char)at[size] > ' ')
                size++;
        if (size == 0 || size >= sizeof splitter->delimiter || memchr(at, '\\', size))
                return dal_error_set(
                        err, DAL_CLASS_ARGUMENT,
                        "line %u: DELIMITER must be followed by 1 to %d characters without space or "
                        "backslash, as in DELIMITER //",
                        word->line, (int)sizeof splitter->delimiter - 1);
        memcpy(splitter->delimiter, at, size);
        splitter->delimiter[size] = '\0';
        at += size;
        while (at < end && *at != '\n')
                at++;
        s->lexer.pos = (size_t)(at - splitter->script);
        return DAL_OK;
}

static dal_status fail_unclosed(const scan *s, dal_error *err)
{
        if (s->is_routine && has_psm(s))
                return dal_error_set(
                        err, DAL_CLASS_ARGUMENT,
                        "line %u: the block that begins here is not closed: an END is missing, or the "
                        "routine needs DELIMITER lines around it",
                        s->block_line);
        if (s->is_routine)
                return dal_error_set(err, DAL_CLASS_ARGUMENT,
                                     "line %u: the block that begins here is not closed: an END is missing",
                                     s->block_line);
        return dal_error_set(err, DAL_CLASS_ARGUMENT,
                             "line %u: a parenthesis of this statement is not closed", s->first.line);
}

static void finish(dal__splitter *splitter, const scan *s, dal__splitter_stmt *out, bool *found_out)
{
        splitter->pos = s->lexer.pos;
        splitter->line = s->lexer.line;
        *found_out = s->first.kind != DAL__TOKEN_END;
        if (!*found_out)
                return;
        out->text = s->first.text;
        out->size = (size_t)(s->last.text + s->last.size - s->first.text);
        out->line = s->first.line;
}

void dal__splitter_init(dal__splitter *splitter, const char *script, size_t size, uint32_t syntax)
{
        memset(splitter, 0, sizeof *splitter);
        splitter->script = script;
        splitter->size = size;
        splitter->line = 1;
        splitter->syntax = syntax;
        splitter->delimiter[0] = ';';
        if (size >= 3 && memcmp(script, "\xEF\xBB\xBF", 3) == 0)
                splitter->pos = 3;
}

/* What one token does to the statement: taken in, or it ends it. */
static dal_status step(dal__splitter *splitter, scan *s, bool *is_done_out, dal_error *err)
{
        bool is_fresh = s->first.kind == DAL__TOKEN_END;
        bool is_open = s->is_plain && (s->depth > 0 || s->n_parens > 0);
        dal__token token = next_significant(s, &s->lexer);
        const char *cut;
        *is_done_out = token.kind == DAL__TOKEN_END;
        if (token.kind == DAL__TOKEN_END)
                return is_open ? fail_unclosed(s, err) : DAL_OK;
        if (token.kind == DAL__TOKEN_UNTERMINATED)
                return dal_error_set(err, DAL_CLASS_ARGUMENT,
                                     "line %u: the quote or comment that begins here (%.*s) is not closed",
                                     token.line, (int)(token.size < 12 ? token.size : 12), token.text);
        if (token.text[0] == '\\' && (is_fresh || has_dollar_quotes(s)))
                return fail_meta_command(s, &token, err);
        if (is_fresh && dal__lexer_is_word(&token, "DELIMITER") && begins_line(splitter, token.text))
                return set_delimiter(splitter, s, &token, err);
        cut = is_open ? NULL : find_delimiter(s, &token, splitter->delimiter);
        if (!cut)
                return take(s, &token, err);
        if (cut > token.text) {
                token.size = (size_t)(cut - token.text);
                (void)take(s, &token, NULL);
        }
        s->lexer.pos = (size_t)(cut - splitter->script) + strlen(splitter->delimiter);
        *is_done_out = s->first.kind != DAL__TOKEN_END; /* nothing before the delimiter is no statement */
        return DAL_OK;
}

dal_status dal__splitter_next(dal__splitter *splitter, dal__splitter_stmt *out, bool *found_out,
                              dal_error *err)
{
        dal_status status = DAL_OK;
        bool is_done = false;
        scan s;
        memset(&s, 0, sizeof s);
        s.first.kind = DAL__TOKEN_END;
        dal__lexer_init(&s.lexer, splitter->script, splitter->size, splitter->syntax);
        s.lexer.pos = splitter->pos;
        s.lexer.line = splitter->line;
        *found_out = false;
        while (status == DAL_OK && !is_done) {
                s.is_plain = strcmp(splitter->delimiter, ";") == 0;
                status = step(splitter, &s, &is_done, err);
        }
        if (status == DAL_OK)
                finish(splitter, &s, out, found_out);
        return status;
}
