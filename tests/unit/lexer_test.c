/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <dal/driver.h>

#include "sql/lexer.h"

#define POSTGRES (DAL_SQL_DOLLAR_QUOTES | DAL_SQL_NESTED_COMMENTS | DAL_SQL_E_STRINGS)
#define MYSQL                                                                                                \
        (DAL_SQL_BACKSLASH_ESCAPES | DAL_SQL_HASH_COMMENTS | DAL_SQL_BACKTICKS | DAL_SQL_DASH_NEEDS_SPACE)
#define SQLITE (DAL_SQL_BACKTICKS | DAL_SQL_BRACKETS)

/* One letter for each kind of token. */
static const char letters[] = {
        [DAL__TOKEN_END] = '.',           [DAL__TOKEN_SPACE] = ' ',     [DAL__TOKEN_COMMENT] = 'c',
        [DAL__TOKEN_WORD] = 'w',          [DAL__TOKEN_QUOTED] = 'q',    [DAL__TOKEN_PLACEHOLDER] = '?',
        [DAL__TOKEN_QUESTION_MARK] = 'm', [DAL__TOKEN_SEMICOLON] = ';', [DAL__TOKEN_OTHER] = 'o',
        [DAL__TOKEN_UNTERMINATED] = '!',
};

/* The tokens together must be the text, whatever it is; returns their letters in `kinds`. */
static void tokens_of(const char *sql, size_t size, uint32_t syntax, char *kinds, size_t room)
{
        dal__lexer lexer;
        size_t pos = 0, n = 0;
        uint32_t line = 1;

        dal__lexer_init(&lexer, sql, size, syntax);
        for (;;) {
                dal__token token = dal__lexer_next(&lexer);

                assert_int_equal(token.line, line);
                assert_ptr_equal(token.text, sql + pos);
                if (token.kind == DAL__TOKEN_END)
                        break;
                assert_true(token.size > 0 && token.size <= size - pos);
                for (size_t i = 0; i < token.size; i++)
                        line += token.text[i] == '\n';
                pos += token.size;
                if (n + 1 < room)
                        kinds[n++] = letters[token.kind];
                if (token.kind == DAL__TOKEN_UNTERMINATED)
                        assert_int_equal(pos, size);
        }
        assert_int_equal(pos, size);
        assert_int_equal(dal__lexer_next(&lexer).kind, DAL__TOKEN_END); /* and stays there */
        kinds[n] = '\0';
}

static void check(const char *sql, uint32_t syntax, const char *expected)
{
        char kinds[128];

        tokens_of(sql, strlen(sql), syntax, kinds, sizeof kinds);
        if (strcmp(kinds, expected) != 0)
                fail_msg("%s gives \"%s\", not \"%s\"", sql, kinds, expected);
}

static void test_lexer__plain_statement(void **state)
{
        (void)state;
        check("", 0, "");
        check("SELECT a1, 2.5 FROM t;", 0, "w wo wow w w;");
        check("a\t\r\n\f\vb", 0, "w w");
        check("\xC3\xA9t\xC3\xA9 = 1", 0, "w o w");
        check("azAZ09_$\x80\xFF", 0, "w");
        check("z z A Z \x80", 0, "w w w w w");
        check("@[^{/:", 0, "oooooo");
        check("a\x01"
              "b",
              0, "wow");
}

static void test_lexer__strings_double_their_quotes(void **state)
{
        (void)state;
        check("'a''?'", 0, "q");
        check("'a' '?'", 0, "q q");
        check("\"a\"\"?\"", 0, "q");
        check("'a\\'?", 0, "q?"); /* standard SQL: the backslash is a character */
        check("''?''", 0, "q?q");
        check("'\"?", 0, "!");
        check("'a''", 0, "!");
        check("x'00?' b'1' N'?'", 0, "wq wq wq");
}

static void test_lexer__backslash_escapes(void **state)
{
        (void)state;
        check("'a\\'?'", MYSQL, "q");
        check("'a\\\\'?", MYSQL, "q?");
        check("\"a\\\"?\"", MYSQL, "q");
        check("'a\\", MYSQL, "!");
        check("`a\\`?", MYSQL, "q?"); /* not in names */
        check("E'a\\'?'", POSTGRES, "q");
        check("e'a\\\\'?", POSTGRES, "q?");
        check("E'\\", POSTGRES, "!");
        check("typE'a\\'?", POSTGRES, "wq?"); /* the E of another word */
        check("E 'a\\'?", POSTGRES, "w q?");
        check("E'a\\'?'", SQLITE, "wq?!");
        check("E\"a\\\"?", POSTGRES, "wq?"); /* a name, not a string */
}

static void test_lexer__names_in_backticks_and_brackets(void **state)
{
        (void)state;
        check("`a``?`", SQLITE, "q");
        check("[a?]?", SQLITE, "q?");
        check("[a]]", SQLITE, "qo"); /* no doubling here */
        check("[a\\]?", SQLITE, "q?");
        check("[a", SQLITE, "!");
        check("a[?]", POSTGRES, "wo?o"); /* an array's index */
        check("`?`", POSTGRES, "o?o");
        check("[?]", MYSQL, "o?o");
}

static void test_lexer__dollar_quotes(void **state)
{
        (void)state;
        check("$$ ? ; ' $$?", POSTGRES, "q?");
        check("$a$ $$ ? $b$ $a$", POSTGRES, "q");
        check("$a$ $A$", POSTGRES, "!");
        check("$a_1\xC3\xA9$?$a_1\xC3\xA9$", POSTGRES, "q");
        check("$1a$?", POSTGRES, "w?"); /* a tag does not begin with a digit */
        check("a$b$?", POSTGRES, "w?"); /* inside an identifier */
        check("$a b$?", POSTGRES, "ow w?");
        check("$1 + $23", POSTGRES, "w o w");
        check("$", POSTGRES, "o");
        check("$$", POSTGRES, "!");
        check("$$$", POSTGRES, "!");
        check("$$$$", POSTGRES, "q");
        check("$a$$a$", POSTGRES, "q");
        check("$a$$a$a$", POSTGRES, "qw");
        check("$a$ $$a$ ?", POSTGRES, "q ?"); /* the $ before the closing tag does not hide it */
        check("$ab$ $a$ab$?", POSTGRES, "q?");
        check("$$ ?", MYSQL, "oo ?");
        check("$a$ ? $a$", SQLITE, "ow ? ow");
}

static void test_lexer__comments(void **state)
{
        (void)state;
        check("a--?\nb", 0, "wc w");
        check("a--?", 0, "wc");
        check("a-b", 0, "wow");
        check("a - -1", 0, "w o ow");
        check("/* ? ; ' */?", 0, "c?");
        check("/**/", 0, "c");
        check("/*/", 0, "!");
        check("/* a", 0, "!");
        check("a/b", 0, "wow");
        check("/* /* ? */ ? */", 0, "c ? oo");
        check("/* /* ? */ ? */?", POSTGRES, "c?");
        check("/* /* */ ?", POSTGRES, "!");
        check("#?\n?", MYSQL, "c ?");
        check("#?", POSTGRES, "o?"); /* an operator */
        check("'--' -- '\n'/*'", 0, "q c q");
}

static void test_lexer__two_dashes_of_mysql(void **state)
{
        (void)state;
        check("5--1", MYSQL, "woow");
        check("5--?", MYSQL, "woo?");
        check("5-- ?", MYSQL, "wc");
        check("5--\t?", MYSQL, "wc");
        check("5--\n?", MYSQL, "wc ?");
        check("5--", MYSQL, "wc");
        check("5--\x01?", MYSQL, "wc");
}

static void test_lexer__carriage_return_ends_a_comment_in_postgres_alone(void **state)
{
        (void)state;
        check("-- a\r?", POSTGRES, "c ?");
        check("-- a\r?", MYSQL, "c");
        check("-- a\r?", SQLITE, "c");
}

/* What the server runs must be seen as code, or a second statement could hide in a comment. */
static void test_lexer__executable_comments_of_mysql_are_code(void **state)
{
        (void)state;
        check("/*!40101 SET x=? */;", MYSQL, "o w wo? o;");
        check("/*! a */?", MYSQL, "o w o?");
        check("/*M!100100 a */?", MYSQL, "o w o?");
        check("/*M a ? */?", MYSQL, "c?");
        check("/*+ hint ? */?", MYSQL, "c?");
        check("/*! a /* ? */ b */", MYSQL, "o w c w o");
        check("/*!1 a *//* ? */", MYSQL, "o w oc");
        check("2*/* ? */3", MYSQL, "wocw");
        check("/*! ? */", POSTGRES, "c");
        check("/*! ? */", SQLITE, "c");
}

static void test_lexer__question_marks(void **state)
{
        (void)state;
        check("?", 0, "?");
        check("a ?? b", 0, "w m w");
        check("???", 0, "m?");
        check("????", 0, "mm");
        check("a ??| b", POSTGRES, "w mo w");
        check("a ??& ?", POSTGRES, "w mo ?");
        check("a @?? b", POSTGRES, "w om w");
        check("a @> ?", POSTGRES, "w oo ?");
        check("?::int", POSTGRES, "?ow");
        check("a::text[]", POSTGRES, "wowoo");
        check(":a := ?", 0, "ow oo ?");
        check(":::", 0, "oo");
        check("(?,?)", 0, "o?o?o");
}

static void test_lexer__lines_are_counted(void **state)
{
        const char *sql = "a\n'x\ny' /*\n\n*/ b -- c\n$$\n$$ d";
        dal__lexer lexer;
        dal__token token;
        uint32_t line_of_b = 0, line_of_d = 0;

        (void)state;
        dal__lexer_init(&lexer, sql, strlen(sql), POSTGRES);
        while ((token = dal__lexer_next(&lexer)).kind != DAL__TOKEN_END) {
                if (dal__lexer_is_word(&token, "b"))
                        line_of_b = token.line;
                if (dal__lexer_is_word(&token, "d"))
                        line_of_d = token.line;
        }
        assert_int_equal(line_of_b, 5);
        assert_int_equal(line_of_d, 7);
}

static void test_lexer__words_in_any_case(void **state)
{
        dal__lexer lexer;
        dal__token token;

        (void)state;
        dal__lexer_init(&lexer, "SeLect", 6, 0);
        token = dal__lexer_next(&lexer);
        assert_true(dal__lexer_is_word(&token, "SELECT"));
        assert_true(dal__lexer_is_word(&token, "select"));
        assert_false(dal__lexer_is_word(&token, "SELEC"));
        assert_false(dal__lexer_is_word(&token, "SELECTS"));
        assert_false(dal__lexer_is_word(&token, ""));
        dal__lexer_init(&lexer, "AbzZ", 4, 0);
        token = dal__lexer_next(&lexer);
        assert_true(dal__lexer_is_word(&token, "aBZz"));
        dal__lexer_init(&lexer, "'a'", 3, 0);
        token = dal__lexer_next(&lexer);
        assert_false(dal__lexer_is_word(&token, "'a'"));
        dal__lexer_init(&lexer, NULL, 0, 0);
        assert_int_equal(dal__lexer_next(&lexer).kind, DAL__TOKEN_END);
}

/* Text is pointer and length: not a byte behind the end may be looked at. The sanitizer is the judge. */
static void test_lexer__any_bytes_are_cut_without_reading_past_the_end(void **state)
{
        static const char pieces[] = "'\"`[]$$$//**--##??;:\\\n\r eEaM!1_@|\xC3\xA9\0";
        uint64_t random = 20260101;
        char kinds[16];

        (void)state;
        for (int round = 0; round < 60000; round++) {
                char *text;
                size_t size;
                uint32_t syntax;

                random = random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
                size = (size_t)(random >> 40) % 24;
                syntax = (uint32_t)(random >> 33) & 0xFF;
                text = malloc(size ? size : 1);
                assert_non_null(text);
                for (size_t i = 0; i < size; i++) {
                        random = random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
                        text[i] = round % 4 ? pieces[(random >> 33) % sizeof pieces] : (char)(random >> 33);
                }
                tokens_of(text, size, syntax, kinds, sizeof kinds);
                free(text);
        }
}

/* Quadratic work on a megabyte would outlast the test's time limit. */
static void test_lexer__time_grows_with_the_size_only(void **state)
{
        static const char *const patterns[] = {"$a", "$a$b", "$",  "/*",   "/*!1 ", "'",  "\"",
                                               "[",  "?",    "-",  "--\n", "\\'",   "E'", "`",
                                               "*/", "$a$ ", "a$", "$1",   "\n",    "/"};
        static const uint32_t syntaxes[] = {POSTGRES, MYSQL, SQLITE, 0xFF, 0};
        size_t size = 1 << 20;
        char *text = malloc(size);
        char kinds[16];

        (void)state;
        assert_non_null(text);
        for (size_t p = 0; p < sizeof patterns / sizeof patterns[0]; p++) {
                for (size_t i = 0; i < size; i++)
                        text[i] = patterns[p][i % strlen(patterns[p])];
                tokens_of(text, size, syntaxes[p % 5], kinds, sizeof kinds);
                memcpy(text, "$a$", 3); /* a quote that never ends, over all that looks like its end */
                tokens_of(text, size, POSTGRES, kinds, sizeof kinds);
        }
        free(text);
}

int main(void)
{
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_lexer__plain_statement),
                cmocka_unit_test(test_lexer__strings_double_their_quotes),
                cmocka_unit_test(test_lexer__backslash_escapes),
                cmocka_unit_test(test_lexer__names_in_backticks_and_brackets),
                cmocka_unit_test(test_lexer__dollar_quotes),
                cmocka_unit_test(test_lexer__comments),
                cmocka_unit_test(test_lexer__two_dashes_of_mysql),
                cmocka_unit_test(test_lexer__carriage_return_ends_a_comment_in_postgres_alone),
                cmocka_unit_test(test_lexer__executable_comments_of_mysql_are_code),
                cmocka_unit_test(test_lexer__question_marks),
                cmocka_unit_test(test_lexer__lines_are_counted),
                cmocka_unit_test(test_lexer__words_in_any_case),
                cmocka_unit_test(test_lexer__any_bytes_are_cut_without_reading_past_the_end),
                cmocka_unit_test(test_lexer__time_grows_with_the_size_only),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
