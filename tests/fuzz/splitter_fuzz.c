/* SPDX-License-Identifier: MIT */
/* Schema scripts: how they are cut into statements, by the grammar of each engine. */

#include "fuzz.h"

#include <strings.h>

#include "schema/splitter.h"

static const uint32_t syntaxes[] = {
        DAL_SQL_DOLLAR_QUOTES | DAL_SQL_NESTED_COMMENTS | DAL_SQL_E_STRINGS,
        DAL_SQL_BACKSLASH_ESCAPES | DAL_SQL_HASH_COMMENTS | DAL_SQL_BACKTICKS | DAL_SQL_DASH_NEEDS_SPACE,
        DAL_SQL_BACKTICKS | DAL_SQL_BRACKETS,
};
#define N_SYNTAXES (sizeof syntaxes / sizeof syntaxes[0])

/* A statement cut out of a script is one statement by itself, too. */
static void check_alone(const dal__splitter_stmt *stmt, uint32_t syntax)
{
        dal_error err = DAL_ERROR_INIT;
        dal__splitter splitter;
        dal__splitter_stmt again;
        bool found;
        char *text;

        if (stmt->size >= 9 && strncasecmp(stmt->text, "DELIMITER", 9) == 0)
                return; /* at the beginning of a line it is a command */
        if (stmt->size >= 3 && memcmp(stmt->text, "\xEF\xBB\xBF", 3) == 0)
                return; /* at the beginning of a script it is a byte order mark */
        /* With its end: on MySQL two dashes begin a comment in front of a space or nothing, but not of a semicolon. */
        text = malloc(stmt->size + 1);
        FUZZ_CHECK(text);
        memcpy(text, stmt->text, stmt->size);
        text[stmt->size] = ';';
        dal__splitter_init(&splitter, text, stmt->size + 1, syntax);
        FUZZ_CHECK(dal__splitter_next(&splitter, &again, &found, &err) == DAL_OK && found);
        FUZZ_CHECK(again.text == text && again.size == stmt->size);
        FUZZ_CHECK(dal__splitter_next(&splitter, &again, &found, &err) == DAL_OK && !found);
        free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        dal_error err = DAL_ERROR_INIT;
        dal__splitter splitter;
        dal__splitter_stmt stmt;
        bool found, is_plain = true;
        uint32_t syntax, line = 1;
        char *script;
        const char *at;

        if (!size)
                return 0;
        syntax = syntaxes[data[0] % N_SYNTAXES];
        script = fuzz_copy(data + 1, --size);
        at = script;
        dal__splitter_init(&splitter, script, size, syntax);
        for (;;) {
                if (dal__splitter_next(&splitter, &stmt, &found, &err) != DAL_OK) {
                        fuzz_check_error(&err);
                        break;
                }
                if (!found)
                        break;
                FUZZ_CHECK(stmt.size > 0 && stmt.text >= at && stmt.text + stmt.size <= script + size);
                for (; at < stmt.text; at++)
                        line += *at == '\n';
                FUZZ_CHECK(stmt.line == line);
                is_plain = is_plain && strcmp(splitter.delimiter, ";") == 0;
                if (is_plain)
                        check_alone(&stmt, syntax);
        }
        free(script);
        return 0;
}
