/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <dal/driver.h>

#include "schema/splitter.h"

#define SQLITE   (DAL_SQL_BACKTICKS | DAL_SQL_BRACKETS)
#define POSTGRES (DAL_SQL_DOLLAR_QUOTES | DAL_SQL_NESTED_COMMENTS | DAL_SQL_E_STRINGS)
#define MYSQL                                                                                                \
        (DAL_SQL_BACKSLASH_ESCAPES | DAL_SQL_HASH_COMMENTS | DAL_SQL_BACKTICKS | DAL_SQL_DASH_NEEDS_SPACE)

#define MAX_STATEMENTS 16

/* Cuts a script and compares it with the statements that follow; the list ends with NULL. */
static void assert_split(const char *file, int line, uint32_t syntax, const char *script,
                         const char *const *expected)
{
        dal__splitter splitter;
        dal__splitter_stmt stmt;
        dal_error err = DAL_ERROR_INIT;
        bool found;
        dal__splitter_init(&splitter, script, strlen(script), syntax);
        for (size_t i = 0;; i++) {
                char text[1024];
                if (dal__splitter_next(&splitter, &stmt, &found, &err) != DAL_OK) {
                        print_error("%s:%d: %s\n", file, line, err.message);
                        fail();
                }
                if (!found || !expected[i]) {
                        if (found || expected[i])
                                print_error("%s:%d: statement %zu: got \"%.*s\", expected \"%s\"\n", file,
                                            line, i, found ? (int)stmt.size : 0, found ? stmt.text : "",
                                            expected[i] ? expected[i] : "(end)");
                        assert_true(!found && !expected[i]);
                        return;
                }
                (void)snprintf(text, sizeof text, "%.*s", (int)stmt.size, stmt.text);
                if (strcmp(text, expected[i]) != 0)
                        print_error("%s:%d: statement %zu\n", file, line, i);
                assert_string_equal(text, expected[i]);
        }
}
#define SPLITS(syntax, script, ...)                                                                          \
        assert_split(__FILE__, __LINE__, syntax, script, (const char *const[]){__VA_ARGS__, NULL})
/* A script that is one statement, but for its delimiter. */
#define IS_ONE(syntax, script) SPLITS(syntax, script ";\nSELECT 2", script, "SELECT 2")

static void assert_refused(const char *file, int line, uint32_t syntax, const char *script, const char *words)
{
        dal__splitter splitter;
        dal__splitter_stmt stmt;
        dal_error err = DAL_ERROR_INIT;
        dal_status status;
        bool found = true;
        dal__splitter_init(&splitter, script, strlen(script), syntax);
        while ((status = dal__splitter_next(&splitter, &stmt, &found, &err)) == DAL_OK && found)
                ;
        if (status != DAL_ERR_ARG || !strstr(err.message, words))
                print_error("%s:%d: status %d, message \"%s\"\n", file, line, status, err.message);
        assert_int_equal(status, DAL_ERR_ARG);
        assert_non_null(strstr(err.message, words));
}
#define REFUSES(syntax, script, words) assert_refused(__FILE__, __LINE__, syntax, script, words)

static void test_splitter__cuts_at_semicolons(void **state)
{
        (void)state;
        SPLITS(SQLITE, "SELECT 1; SELECT 2;", "SELECT 1", "SELECT 2");
        SPLITS(SQLITE, "SELECT 1", "SELECT 1");
        SPLITS(SQLITE, ";;  SELECT 1 ;; ; SELECT 2\n;\n", "SELECT 1", "SELECT 2");
        SPLITS(SQLITE, "\xEF\xBB\xBFSELECT 1;\r\nSELECT 2;\r\n", "SELECT 1", "SELECT 2");
        SPLITS(POSTGRES, "", NULL);
        SPLITS(POSTGRES, " \n\t", NULL);
}

static void test_splitter__comments_are_no_statements(void **state)
{
        (void)state;
        SPLITS(SQLITE, "-- one; two\n/* three; */", NULL);
        SPLITS(SQLITE, "-- a\nSELECT 1; -- b\n/* c */ ; SELECT 2 -- d", "SELECT 1", "SELECT 2");
        SPLITS(SQLITE, "SELECT /* ; */ 1 -- ;\n + 2;", "SELECT /* ; */ 1 -- ;\n + 2");
        SPLITS(POSTGRES, "/* a /* ; */ b; */ SELECT 1;", "SELECT 1");
        SPLITS(MYSQL, "# a; b\nSELECT 1; SELECT 5--2;", "SELECT 1", "SELECT 5--2");
}

static void test_splitter__quotes_hide_delimiters(void **state)
{
        (void)state;
        IS_ONE(SQLITE, "SELECT ';', 'it''s;', \"a;b\", `c;d`, [e;f]");
        IS_ONE(MYSQL, "SELECT 'it\\'s;', \"a\\\";b\", `c``;d`");
        IS_ONE(POSTGRES, "SELECT E'it\\'s;', 'back\\', U&';', \"a\"\";b\"");
        IS_ONE(POSTGRES, "DO $$BEGIN PERFORM 1; END;$$");
        IS_ONE(POSTGRES, "CREATE FUNCTION f() RETURNS int AS $b$ SELECT '$$;'; $$;$b$ LANGUAGE sql");
        SPLITS(POSTGRES, "SELECT 'a\\'; SELECT 2", "SELECT 'a\\'", "SELECT 2");
}

static void test_splitter__tells_lines(void **state)
{
        static const char script[] = "-- head\n\nSELECT 1;\nSELECT\n2; /* \n */ SELECT 3;";
        static const uint32_t lines[] = {3, 4, 6};
        dal__splitter splitter;
        dal__splitter_stmt stmt;
        bool found;
        (void)state;
        dal__splitter_init(&splitter, script, sizeof script - 1, SQLITE);
        for (size_t i = 0; i < 3; i++) {
                assert_int_equal(dal__splitter_next(&splitter, &stmt, &found, NULL), DAL_OK);
                assert_true(found);
                assert_int_equal(stmt.line, lines[i]);
        }
}

static void test_splitter__keeps_sqlite_triggers_whole(void **state)
{
        (void)state;
        IS_ONE(SQLITE,
               "CREATE TRIGGER t AFTER INSERT ON a BEGIN INSERT INTO b VALUES (1); DELETE FROM c; END");
        IS_ONE(SQLITE, "CREATE TEMP TRIGGER IF NOT EXISTS t BEFORE UPDATE OF x ON a WHEN CASE new.x WHEN 1 "
                       "THEN 0 ELSE 1 "
                       "END BEGIN SELECT CASE WHEN new.x THEN RAISE(ABORT, 'no;') END; SELECT 1; END");
        IS_ONE(SQLITE, "create trigger t after delete on a for each row begin update b set x = old.end; end");
        SPLITS(SQLITE, "CREATE TABLE begin (end INT); CREATE TABLE trigger_log (a); SELECT 1;",
               "CREATE TABLE begin (end INT)", "CREATE TABLE trigger_log (a)", "SELECT 1");
}

static void test_splitter__keeps_mysql_routines_whole(void **state)
{
        (void)state;
        IS_ONE(MYSQL,
               "CREATE TRIGGER t BEFORE INSERT ON a FOR EACH ROW BEGIN SET NEW.x = 1; SET NEW.y = 2; END");
        IS_ONE(MYSQL, "CREATE DEFINER=`root`@`localhost` PROCEDURE p() BEGIN DECLARE i INT; BEGIN SELECT 1; "
                      "END; END");
        IS_ONE(MYSQL, "CREATE DEFINER = CURRENT_USER FUNCTION f(a INT) RETURNS INT DETERMINISTIC BEGIN "
                      "IF IF(a, 1, 0) THEN RETURN 1; ELSEIF a = 0 THEN RETURN 2; ELSE RETURN IF(a, 1, 2); "
                      "END IF; END");
        IS_ONE(MYSQL, "CREATE OR REPLACE PROCEDURE p() l: BEGIN CASE a WHEN 1 THEN SELECT 1; ELSE SELECT "
                      "CASE b WHEN 1 "
                      "THEN 2 END; END CASE; WHILE i < 3 DO SET i = i + 1; END WHILE; REPEAT SET i = "
                      "REPEAT('x', 2); "
                      "UNTIL i END REPEAT; m: LOOP LEAVE m; END LOOP m; END l");
        IS_ONE(MYSQL, "CREATE EVENT e ON SCHEDULE EVERY 1 DAY DO BEGIN DELETE FROM a; DELETE FROM b; END");
        IS_ONE(MYSQL, "ALTER EVENT e DO BEGIN DELETE FROM a; DELETE FROM b; END");
        IS_ONE(MYSQL, "BEGIN NOT ATOMIC SELECT 1; SELECT 2; END");
        IS_ONE(MYSQL, "CREATE PROCEDURE p() BEGIN END");
        IS_ONE(MYSQL, "CREATE PROCEDURE p() SELECT CASE WHEN 1 THEN 2 END");
        IS_ONE(MYSQL, "CREATE PROCEDURE p() BEGIN DECLARE EXIT HANDLER FOR NOT FOUND BEGIN SET x = 1; END; "
                      "SELECT 1; END");
}

static void test_splitter__keeps_bodies_without_begin_whole(void **state)
{
        (void)state;
        IS_ONE(MYSQL, "CREATE TRIGGER t BEFORE INSERT ON a FOR EACH ROW IF NEW.x < 0 THEN SET NEW.x = 0; SET "
                      "NEW.y = 1; "
                      "END IF");
        IS_ONE(MYSQL, "CREATE TRIGGER t BEFORE INSERT ON a FOR EACH ROW IF (NEW.x < 0) THEN IF NEW.y THEN "
                      "SET NEW.x = 0; "
                      "END IF; SET NEW.z = IF(NEW.y, 1, 2); ELSE SET NEW.y = 1; END IF");
        IS_ONE(MYSQL,
               "CREATE PROCEDURE IF NOT EXISTS p() CASE a WHEN 1 THEN SELECT 1; ELSE SELECT 2; END CASE");
        IS_ONE(MYSQL, "CREATE PROCEDURE p() WHILE a DO SELECT 1; SELECT 2; END WHILE");
        IS_ONE(MYSQL, "CREATE PROCEDURE p() REPEAT SELECT 1; UNTIL a END REPEAT");
        IS_ONE(MYSQL, "CREATE TRIGGER t BEFORE INSERT ON a FOR EACH ROW SET NEW.x = REPEAT('a', 3)");
        IS_ONE(MYSQL, "CREATE TRIGGER t BEFORE INSERT ON a FOR EACH ROW SET NEW.begin = 1");
        SPLITS(MYSQL,
               "CREATE TABLE t (a INT); ALTER TABLE t ADD b INT; CREATE INDEX i ON t (a); DROP TRIGGER x;",
               "CREATE TABLE t (a INT)", "ALTER TABLE t ADD b INT", "CREATE INDEX i ON t (a)",
               "DROP TRIGGER x");
}

static void test_splitter__keeps_postgres_bodies_whole(void **state)
{
        (void)state;
        IS_ONE(POSTGRES, "CREATE FUNCTION f(a int) RETURNS int BEGIN ATOMIC SELECT CASE a WHEN 1 THEN 2 END; "
                         "SELECT a; END");
        IS_ONE(POSTGRES,
               "CREATE OR REPLACE PROCEDURE p() LANGUAGE sql BEGIN ATOMIC INSERT INTO t VALUES (1); END");
        IS_ONE(POSTGRES, "CREATE RULE r AS ON INSERT TO a DO ALSO (INSERT INTO b VALUES (1); INSERT INTO c "
                         "VALUES (2);)");
        IS_ONE(POSTGRES, "CREATE TRIGGER t BEFORE INSERT ON a FOR EACH ROW EXECUTE FUNCTION begin()");
        IS_ONE(POSTGRES, "CREATE FUNCTION begin() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN; END'");
}

static void test_splitter__obeys_delimiter_lines(void **state)
{
        (void)state;
        SPLITS(MYSQL,
               "DELIMITER //\nCREATE PROCEDURE p()\nBEGIN SELECT 1; END//\nSELECT 2 //\ndelimiter ;\nSELECT "
               "3;",
               "CREATE PROCEDURE p()\nBEGIN SELECT 1; END", "SELECT 2", "SELECT 3");
        SPLITS(MYSQL,
               "DELIMITER $$\nCREATE TRIGGER t BEFORE INSERT ON a FOR EACH ROW BEGIN SET @a = '$$'; END$$\n"
               "DELIMITER ;\nSELECT 1",
               "CREATE TRIGGER t BEFORE INSERT ON a FOR EACH ROW BEGIN SET @a = '$$'; END", "SELECT 1");
        SPLITS(MYSQL, "DELIMITER ;;\nSELECT 1; SELECT 2;;\n  DELIMITER ;\nSELECT 3", "SELECT 1; SELECT 2",
               "SELECT 3");
        SPLITS(MYSQL, "DELIMITER |\nBEGIN|", "BEGIN");
        SPLITS(MYSQL, "SELECT delimiter FROM t;", "SELECT delimiter FROM t");
        REFUSES(MYSQL, "SELECT 1;\nDELIMITER \nSELECT 2;", "line 2: DELIMITER must be followed");
        REFUSES(MYSQL, "DELIMITER 1234567890123456\n", "1 to 15 characters");
        REFUSES(POSTGRES, "\nDELIMITER //\n", "line 2: DELIMITER is a command of the mysql client");
}

static void test_splitter__keeps_executable_comments(void **state)
{
        (void)state;
        SPLITS(MYSQL, "/*!40101 SET NAMES utf8 */;\n/* no; */;/*M! SELECT 1 */;",
               "/*!40101 SET NAMES utf8 */", "/*M! SELECT 1 */");
        SPLITS(MYSQL, "CREATE TABLE t (a INT) /*!50100 PARTITION BY HASH (a) */;",
               "CREATE TABLE t (a INT) /*!50100 PARTITION BY HASH (a) */");
        SPLITS(POSTGRES, "/*! no code here; */", NULL);
}

static void test_splitter__refuses_what_is_not_closed(void **state)
{
        (void)state;
        REFUSES(SQLITE, "SELECT 1;\nSELECT 'abc;\n", "line 2: the quote or comment that begins here ('abc");
        REFUSES(SQLITE, "SELECT 1; /* abc", "line 1: the quote or comment");
        REFUSES(POSTGRES, "SELECT 1;\n\nDO $x$ BEGIN END $y$;", "line 3: the quote or comment");
        REFUSES(MYSQL, "\nCREATE PROCEDURE p()\nBEGIN\nSELECT 1;\n",
                "line 3: the block that begins here is not closed");
        REFUSES(SQLITE, "CREATE TRIGGER t AFTER INSERT ON a BEGIN SELECT 1;", "an END is missing");
        REFUSES(POSTGRES, "CREATE RULE r AS ON INSERT TO a DO (SELECT 1;", "a parenthesis of this statement");
}

static void test_splitter__refuses_client_commands(void **state)
{
        (void)state;
        REFUSES(POSTGRES, "SELECT 1;\n\\i other.sql\n", "line 2: \"\\i\" is a command of a client program");
        REFUSES(POSTGRES, "SELECT 1 \\gexec\n", "\"\\gexec\"");
        REFUSES(MYSQL, "\\. other.sql", "\"\\.\"");
        REFUSES(POSTGRES, "\n\nCOPY t (a, b) FROM stdin;\n1\t2\n\\.\n", "line 3: COPY FROM stdin needs psql");
        SPLITS(POSTGRES, "COPY t FROM '/a/file'; SELECT 1", "COPY t FROM '/a/file'", "SELECT 1");
        SPLITS(MYSQL, "SELECT \\N; SELECT 1", "SELECT \\N", "SELECT 1");
}

static void test_splitter__refuses_bottomless_nesting(void **state)
{
        char script[2048] = "CREATE PROCEDURE p() BEGIN SELECT ";
        (void)state;
        for (int i = 0; i < 100; i++)
                strcat(script, "CASE WHEN ");
        REFUSES(MYSQL, script, "nested deeper than 64");
}

/* Whatever the bytes, it ends, and statements come in order and don't overlap. */
static void test_splitter__survives_any_bytes(void **state)
{
        static const char *const words[] = {
                "CREATE ", "TRIGGER ", "BEGIN ", "END ", "CASE ", "IF ",          "THEN ",
                ";",       "'",        "$$",     "/*",   "*/",    "\nDELIMITER ", "//",
                "(",       ")",        "\\",     "--\n", "LOOP ", "\n",           "\"",
                "`",       "x",        ":",      "."};
        uint32_t seed = 1;
        (void)state;
        for (int round = 0; round < 20000; round++) {
                static const uint32_t syntaxes[] = {SQLITE, POSTGRES, MYSQL};
                char script[512] = "";
                dal__splitter splitter;
                dal__splitter_stmt stmt;
                bool found = true;
                const char *last = script;
                for (int i = 0; i < 30; i++) {
                        seed = seed * 1664525u + 1013904223u;
                        strcat(script, words[(seed >> 16) % (sizeof words / sizeof words[0])]);
                }
                dal__splitter_init(&splitter, script, strlen(script), syntaxes[round % 3]);
                while (dal__splitter_next(&splitter, &stmt, &found, NULL) == DAL_OK && found) {
                        assert_true(stmt.text >= last && stmt.size > 0);
                        last = stmt.text + stmt.size;
                        assert_true(last <= script + strlen(script));
                }
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_splitter__cuts_at_semicolons),
                cmocka_unit_test(test_splitter__comments_are_no_statements),
                cmocka_unit_test(test_splitter__quotes_hide_delimiters),
                cmocka_unit_test(test_splitter__tells_lines),
                cmocka_unit_test(test_splitter__keeps_sqlite_triggers_whole),
                cmocka_unit_test(test_splitter__keeps_mysql_routines_whole),
                cmocka_unit_test(test_splitter__keeps_bodies_without_begin_whole),
                cmocka_unit_test(test_splitter__keeps_postgres_bodies_whole),
                cmocka_unit_test(test_splitter__obeys_delimiter_lines),
                cmocka_unit_test(test_splitter__keeps_executable_comments),
                cmocka_unit_test(test_splitter__refuses_what_is_not_closed),
                cmocka_unit_test(test_splitter__refuses_client_commands),
                cmocka_unit_test(test_splitter__refuses_bottomless_nesting),
                cmocka_unit_test(test_splitter__survives_any_bytes),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
