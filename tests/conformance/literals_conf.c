/* SPDX-License-Identifier: MIT */
/*
 * Values mean the same in every way in which statements travel, also where they become part of the text: whatever
 * they contain, wherever they stand, and whatever the session was told about strings.
 */

#include <stdlib.h>

#include "conf.h"

#define SQLITE   (1u << DAL_DIALECT_sqlite)
#define POSTGRES (1u << DAL_DIALECT_postgres)
#define MYSQL    (1u << DAL_DIALECT_mysql)
#define MARIADB  (1u << DAL_DIALECT_mariadb)
#define FAMILY   (MYSQL | MARIADB)
#define ALL_SQL  (SQLITE | POSTGRES | FAMILY)

/* Runs `check` on a connection of each way that the engine has. */
static void each_way(struct conf *c, void (*check)(struct conf *c, dal_conn *conn, dal_statements way))
{
        for (dal_statements way = DAL_STATEMENTS_PREPARED; way <= DAL_STATEMENTS_TEXT; way++) {
                dal_conn_options options = DAL_CONN_OPTIONS_INIT;
                dal_conn *conn;

                if (!conf_has_mode(c, way))
                        continue;
                options.statements = way;
                conn = conf_open(c, &options);
                check(c, conn, way);
                dal_conn_close(conn);
        }
}

static bool is_for(const struct conf *c, unsigned dialects)
{
        return (dialects >> c->q->dialect & 1) != 0;
}

/* ---- what they contain ---- */

/* Everything that ever ended a string too early; 0x5c and 0x27 are also second bytes of Big5, GBK and Shift JIS. */
static const struct nasty {
        const char *bytes;
        size_t size;
        bool is_text;
} nasty[] = {
#define TEXT(s)                                                                                              \
        {                                                                                                    \
                s, sizeof(s) - 1, true                                                                       \
        }
#define BYTES(s)                                                                                             \
        {                                                                                                    \
                s, sizeof(s) - 1, false                                                                      \
        }
        TEXT(""),
        TEXT("'"),
        TEXT("''"),
        TEXT("\\"),
        TEXT("\\'"),
        TEXT("\\\\"),
        TEXT("\\' OR 1=1 -- "),
        TEXT("'; DROP TABLE conf_account; --"),
        TEXT("\" OR \"\"=\""),
        TEXT("`"),
        TEXT("?"),
        TEXT("a ? b ?? c $1 $2"),
        TEXT("/* ? */ -- # ;"),
        TEXT("*/"),
        TEXT("$$ $tag$ $tag$"),
        TEXT("\xe8\xa1\xa8 \xe5\x8a\x9f"), /* end in 0x5c in Shift JIS and Big5 */
        TEXT("\xf0\x9f\x90\x98'"),
        TEXT("%_\\%"),
        TEXT("\x1a\n\r\b\t"),
        BYTES("\0"),
        BYTES("'\0'"),
        BYTES("\\\0\\"),
        BYTES("\x95\x5c' OR 1=1 -- "), /* one character of Shift JIS and a quote */
        BYTES("\xbf\x27 OR 1=1 -- "),  /* what GBK makes of a quote escaped without looking */
        BYTES("\xff\xfe\xc0\xaf"),
        BYTES(""),
#undef TEXT
#undef BYTES
};

static const dal_stmt put_text = DAL_STMT("put_text", "INSERT INTO conf_value (id, t) VALUES (?, ?)");
static const dal_stmt get_text = DAL_STMT("get_text", "SELECT t FROM conf_value WHERE id = ?");
static const dal_stmt put_bytes = DAL_STMT("put_bytes", "INSERT INTO conf_value (id, y) VALUES (?, ?)");
static const dal_stmt get_bytes = DAL_STMT("get_bytes", "SELECT y FROM conf_value WHERE id = ?");
static const dal_stmt find_text =
        DAL_STMT("find_text", "SELECT COUNT(*) FROM conf_value WHERE id = ? AND t = ?");
static const dal_stmt find_bytes =
        DAL_STMT("find_bytes", "SELECT COUNT(*) FROM conf_value WHERE id = ? AND y = ?");

static int64_t next_id = 5000;

static void check_nasty(struct conf *c, dal_conn *conn, const struct nasty *one)
{
        dal_value id = dal_int64(next_id++);
        dal_value value = one->is_text ? dal_text_n(one->bytes, one->size) : dal_bytes(one->bytes, one->size);
        const void *out = NULL;
        const char *text = NULL;
        size_t size = 42;
        dal_rows *rows = NULL;

        OK(dal_conn_exec(conn, one->is_text ? &put_text : &put_bytes, DAL_PARAMS(id, value), SOON, NULL,
                         &c->err));
        OK(dal_conn_query(conn, one->is_text ? &get_text : &get_bytes, DAL_PARAMS(id), SOON, &rows, &c->err));
        OK(dal_rows_first(rows, &c->err));
        if (one->is_text) {
                OK(dal_rows_text(rows, 0, &text, &size, &c->err));
                out = text;
        } else {
                OK(dal_rows_bytes(rows, 0, &out, &size, &c->err));
        }
        assert_int_equal(size, one->size);
        assert_memory_equal(out, one->bytes, size);
        dal_rows_close(rows);
        if (is_for(c, ALL_SQL))
                assert_int_equal(
                        conf_number(c, conn, one->is_text ? &find_text : &find_bytes, DAL_PARAMS(id, value)),
                        1);
}

static void check_all_nasty(struct conf *c, dal_conn *conn, dal_statements way)
{
        (void)way;
        for (size_t i = 0; i < sizeof nasty / sizeof nasty[0]; i++)
                check_nasty(c, conn, &nasty[i]);
}

static void literals__nothing_in_a_value_ends_it(struct conf *c)
{
        each_way(c, check_all_nasty);
}

/* Every byte on its own and next to every trap, stored as one value. */
static void check_every_byte(struct conf *c, dal_conn *conn, dal_statements way)
{
        static const char traps[] = "\\'\"`?";
        char bytes[256 * sizeof traps];
        size_t n = 0;
        struct nasty one = {bytes, 0, false};

        (void)way;
        for (unsigned b = 0; b < 256; b++)
                for (size_t t = 0; t < sizeof traps - 1; t++, n += 2) {
                        if (n + 2 > sizeof bytes)
                                break;
                        bytes[n] = (char)b;
                        bytes[n + 1] = traps[t];
                }
        one.size = n;
        check_nasty(c, conn, &one);
}

static void literals__every_byte_beside_every_quote(struct conf *c)
{
        each_way(c, check_every_byte);
}

/* ---- what the session was told ---- */

static void check_with(struct conf *c, dal_statements way, const char *setting)
{
        static const dal_stmt backslashes =
                DAL_STMT("backslashes", "SELECT COUNT(*) FROM conf_digit WHERE '\\\\' <> ? AND d = ?");
        dal_conn_options options = DAL_CONN_OPTIONS_INIT;
        dal_conn *conn;

        options.statements = way;
        conn = conf_open(c, &options);
        /* One session is shared there, so nobody may set anything in it. */
        if (way == DAL_STATEMENTS_UNNAMED)
                FAILS(dal_conn_script(conn, setting, SOON, &c->err), UNSUPPORTED);
        else
                OK(dal_conn_script(conn, setting, SOON, &c->err));
        check_all_nasty(c, conn, way);
        /* A backslash in the statement's own text: where its string ends is the same in both modes. */
        assert_int_equal(conf_number(c, conn, &backslashes, DAL_PARAMS(dal_text("' OR "), dal_int64(1))), 1);
        dal_conn_close(conn);
}

static void check_settings(struct conf *c, dal_conn *conn, dal_statements way)
{
        static const struct {
                unsigned dialects;
                const char *sql;
        } settings[] = {
                {FAMILY, "SET sql_mode = 'NO_BACKSLASH_ESCAPES'"},
                {FAMILY, "SET sql_mode = 'ANSI_QUOTES'"},
                {FAMILY, "SET sql_mode = 'ANSI,NO_BACKSLASH_ESCAPES,PIPES_AS_CONCAT,IGNORE_SPACE'"},
                {FAMILY, "SET sql_mode = ''"},
                {MARIADB, "SET sql_mode = 'ORACLE'"},
                {FAMILY, "SET collation_connection = utf8mb4_bin"},
                {POSTGRES, "SET standard_conforming_strings = on"},
                {SQLITE, "PRAGMA case_sensitive_like = ON"},
        };

        (void)conn;
        for (size_t i = 0; i < sizeof settings / sizeof settings[0]; i++)
                if (is_for(c, settings[i].dialects))
                        check_with(c, way, settings[i].sql);
}

static void literals__no_setting_of_the_session_lets_a_value_out(struct conf *c)
{
        each_way(c, check_settings);
}

/* ---- where they stand ---- */

/* A condition on one parameter that holds, on the engines that know it. */
struct truth {
        unsigned dialects;
        dal_stmt stmt;
        dal_value value;
};
#define TRUTH(dialects, condition)                                                                           \
        dialects, DAL_STMT("truth", "SELECT COUNT(*) FROM conf_digit WHERE d = 0 AND " condition)

static void check_truths(struct conf *c, dal_conn *conn, const struct truth *list, size_t n)
{
        for (size_t i = 0; i < n; i++) {
                int64_t found;

                if (!is_for(c, list[i].dialects))
                        continue;
                found = conf_number(c, conn, &list[i].stmt, (dal_params){&list[i].value, 1});
                if (found != 1)
                        print_error("does not hold: %s\n", list[i].stmt.common);
                assert_int_equal(found, 1);
        }
}

static void check_places(struct conf *c, dal_conn *conn, dal_statements way)
{
        const struct truth list[] = {
                {TRUTH(ALL_SQL, "10 -? = 5"), dal_int64(5)},
                {TRUTH(ALL_SQL, "10 -? = 15"), dal_int64(-5)},
                {TRUTH(ALL_SQL, "10-? = 15"), dal_int64(-5)},
                {TRUTH(ALL_SQL, "10 - -? = 5"), dal_int64(-5)},
                {TRUTH(ALL_SQL, "10 -? > 9223372036854775807 - 10"), dal_int64(INT64_MIN + 12)},
                {TRUTH(ALL_SQL, "10 -? = 11.5"), dal_double(-1.5)},
                /* Two signs begin a comment only before white space here. */
                {TRUTH(FAMILY, "10--? = 15"), dal_int64(5)},
                {TRUTH(FAMILY, "10--? = 5"), dal_int64(-5)},
                {TRUTH(FAMILY, "10--? = 8.5"), dal_double(-1.5)},
                {TRUTH(FAMILY, "10--? = 8.5"), dal_decimal("-1.5")},
                /* Glued to what stands beside them. */
                {TRUTH(FAMILY, "d=?"), dal_int64(0)},
                {TRUTH(FAMILY, "NOT?"), dal_int64(0)},
                {TRUTH(FAMILY, "'abc'LIKE?"), dal_text("a%")},
                {TRUTH(SQLITE | FAMILY, "(?)IS NOT NULL"), dal_text("")},
                {TRUTH(SQLITE | FAMILY, "? IS NULL"), dal_null()},
                {TRUTH(SQLITE | FAMILY, "COALESCE(?, 'none') = 'none'"), dal_null()},
                /* A question mark that is none. */
                {TRUTH(ALL_SQL, "'?' = ? /* ? */"), dal_text("?")},
        };

        (void)way;
        check_truths(c, conn, list, sizeof list / sizeof list[0]);
}

static void literals__stand_apart_from_their_neighbours(struct conf *c)
{
        each_way(c, check_places);
}

/* ---- what they mean ---- */

static void check_meaning(struct conf *c, dal_conn *conn, dal_statements way)
{
        const struct truth list[] = {
                /* Numbers: of their own kind, to the last digit. */
                {TRUTH(ALL_SQL, "9007199254740993 = ?"), dal_int64(9007199254740993)},
                {TRUTH(FAMILY, "18446744073709551615 = ?"), dal_uint64(UINT64_MAX)},
                {TRUTH(FAMILY, "0.1 = ?"), dal_decimal("0.1")},
                {TRUTH(FAMILY, "0.1e0 = ?"), dal_double(0.1)},
                {TRUTH(FAMILY, "0.3 <> ? + 0.2e0"), dal_double(0.1)},
                {TRUTH(FAMILY, "0.3 = ? + 0.2"), dal_decimal("0.1")},
                {TRUTH(FAMILY, "1000 = ?"), dal_decimal("1e3")},
                {TRUTH(FAMILY, "0.00012 = ?"), dal_decimal("1.2e-4")},
                {TRUTH(FAMILY, "-120 = ?"), dal_decimal("-.12E+3")},
                {TRUTH(FAMILY, "12345678901234567890123456789012345678901234567890.5 = ?"),
                 dal_decimal("12345678901234567890123456789012345678901234567890.5")},
                /* Text: gives way to a column's collation, is compared by the session's where there is none. */
                {TRUTH(FAMILY, "'abc' = ?"), dal_text("ABC")},
                {TRUTH(FAMILY, "CAST('abc' AS CHAR) COLLATE utf8mb4_bin <> ?"), dal_text("ABC")},
                {TRUTH(FAMILY, "CONVERT('gr\xc3\xbcn' USING latin1) = ?"), dal_text("gr\xc3\xbcn")},
                {TRUTH(FAMILY, "'a%b' LIKE ?"), dal_text("a\\%b")},
                {TRUTH(FAMILY, "'axb' NOT LIKE ?"), dal_text("a\\%b")},
                {TRUTH(FAMILY, "10 + ? = 15"), dal_text("5")},
                {TRUTH(FAMILY, "CHAR_LENGTH(?) = 1"), dal_text("\xf0\x9f\x90\x98")},
                /* Bytes: a string of bytes, not a number. */
                {TRUTH(FAMILY, "10 + ? = 15"), dal_bytes("5", 1)},
                {TRUTH(FAMILY, "LENGTH(?) = 3"), dal_bytes("a\0b", 3)},
                {TRUTH(FAMILY, "CAST('abc' AS BINARY) <> ?"), dal_bytes("ABC", 3)},
                /* JSON takes text and would refuse bytes. */
                {TRUTH(FAMILY, "JSON_CONTAINS('[\"x\", 1]', ?)"), dal_text("\"x\"")},
                {TRUTH(FAMILY, "JSON_EXTRACT(JSON_OBJECT('k', ?), '$.k') = 'it''s'"), dal_text("it's")},
                {TRUTH(FAMILY, "JSON_EXTRACT(JSON_ARRAY(?), '$[0]') = 1"), dal_bool(true)},
                /* Times: of their own type, with microseconds. */
                {TRUTH(FAMILY, "MICROSECOND(?) = 123456"), dal_timestamp(INT64_C(1767312000123456))},
                {TRUTH(FAMILY, "TIMESTAMP'2026-01-02 00:00:00.123456' = ?"),
                 dal_timestamp(INT64_C(1767312000123456))},
                {TRUTH(FAMILY, "DATE'2024-10-04' = ?"), dal_date(20000)},
                {TRUTH(FAMILY, "? + INTERVAL 1 DAY = DATE'2024-10-05'"), dal_date(20000)},
        };

        (void)way;
        check_truths(c, conn, list, sizeof list / sizeof list[0]);
}

static void literals__mean_what_a_bound_value_means(struct conf *c)
{
        each_way(c, check_meaning);
}

static void check_json_column(struct conf *c, dal_conn *conn, dal_statements way)
{
        static const dal_stmt put = DAL_STMT("put_json", "INSERT INTO conf_json (j) VALUES (?)");
        static const dal_stmt count =
                DAL_STMT("count_json", "SELECT COUNT(*) FROM conf_json WHERE JSON_EXTRACT(j, '$.it') = 's'",
                         .postgres = "SELECT COUNT(*) FROM conf_json WHERE j->>'it' = 's'");

        (void)way;
        if (!is_for(c, ALL_SQL))
                return;
        OK(dal_conn_script(conn, "DROP TABLE IF EXISTS conf_json", SOON, &c->err));
        OK(dal_conn_script(conn, "CREATE TABLE conf_json (j JSON)", SOON, &c->err));
        OK(dal_conn_exec(conn, &put, DAL_PARAMS(dal_text("{\"it\": \"s\"}")), SOON, NULL, &c->err));
        assert_int_equal(conf_number(c, conn, &count, DAL_NO_PARAMS), 1);
        OK(dal_conn_script(conn, "DROP TABLE conf_json", SOON, &c->err));
}

static void literals__text_goes_into_a_json_column(struct conf *c)
{
        each_way(c, check_json_column);
}

/* ---- what they cost ---- */

/* How an engine explains that it goes through an index: a word in a column, or in the only one. */
struct plan {
        unsigned dialects;
        const char *setting;
        dal_stmt stmt;
        dal_value value;
        const char *column, *word;
};

static void check_plan(struct conf *c, dal_conn *conn, const struct plan *plan)
{
        dal_rows *rows = NULL;
        bool found = true, seen = false;
        const char *text;
        int32_t i;

        OK(dal_conn_begin(conn, DAL_ISOLATION_DEFAULT, false, SOON, &c->err));
        if (plan->setting)
                OK(dal_conn_script(conn, plan->setting, SOON, &c->err));
        OK(dal_conn_query(conn, &plan->stmt, (dal_params){&plan->value, 1}, SOON, &rows, &c->err));
        i = (int32_t)dal_rows_find_column(rows, plan->column);
        assert_true(i >= 0);
        for (;;) {
                size_t size = 0, n = strlen(plan->word);

                OK(dal_rows_next(rows, &found, &c->err));
                if (!found)
                        break;
                OK(dal_rows_text(rows, (uint32_t)i, &text, &size, &c->err));
                for (size_t at = 0; at + n <= size; at++)
                        seen |= memcmp(text + at, plan->word, n) == 0;
        }
        dal_rows_close(rows);
        OK(dal_conn_rollback(conn, SOON, &c->err));
        if (!seen)
                print_error("not by the index: %s\n", plan->stmt.common);
        assert_true(seen);
}

static void check_plans(struct conf *c, dal_conn *conn, dal_statements way)
{
#define BY_ID   " SELECT balance FROM conf_account WHERE id = ?"
#define BY_CODE " SELECT id FROM conf_item WHERE code = ?"
        const struct plan list[] = {
                {FAMILY, NULL, DAL_STMT("plan", "EXPLAIN FORMAT=TRADITIONAL" BY_ID), dal_int64(7), "type",
                 "const"},
                {FAMILY, NULL, DAL_STMT("plan", "EXPLAIN FORMAT=TRADITIONAL" BY_ID), dal_uint64(7), "type",
                 "const"},
                {FAMILY, NULL, DAL_STMT("plan", "EXPLAIN FORMAT=TRADITIONAL" BY_ID), dal_decimal("7"), "type",
                 "const"},
                {FAMILY, NULL, DAL_STMT("plan", "EXPLAIN FORMAT=TRADITIONAL" BY_ID), dal_text("7"), "type",
                 "const"},
                {FAMILY, NULL, DAL_STMT("plan", "EXPLAIN FORMAT=TRADITIONAL" BY_CODE), dal_text("it's"),
                 "type", "const"},
                {POSTGRES, "SET LOCAL enable_seqscan = off", DAL_STMT("plan", "EXPLAIN" BY_ID), dal_int64(7),
                 "QUERY PLAN", "Index"},
                {POSTGRES, "SET LOCAL enable_seqscan = off", DAL_STMT("plan", "EXPLAIN" BY_CODE),
                 dal_text("it's"), "QUERY PLAN", "Index"},
                {SQLITE, NULL, DAL_STMT("plan", "EXPLAIN QUERY PLAN" BY_ID), dal_int64(7), "detail",
                 "USING INDEX"},
                {SQLITE, NULL, DAL_STMT("plan", "EXPLAIN QUERY PLAN" BY_CODE), dal_text("it's"), "detail",
                 "INDEX"},
        };

        (void)way;
        for (size_t i = 0; i < sizeof list / sizeof list[0]; i++)
                if (is_for(c, list[i].dialects))
                        check_plan(c, conn, &list[i]);
}

static void literals__find_their_way_through_an_index(struct conf *c)
{
        OK(dal_conn_exec(c->conn, &conf_add_account, DAL_PARAMS(dal_int64(7), dal_int64(1)), SOON, NULL,
                         &c->err));
        OK(dal_conn_exec(c->conn, &conf_add_item,
                         DAL_PARAMS(dal_int64(1), dal_text("it's"), dal_int64(7), dal_int64(1)), SOON, NULL,
                         &c->err));
        each_way(c, check_plans);
}

/* ---- what they leave ---- */

/* How many statements the server holds prepared for this session, the asking one perhaps among them. */
static int64_t n_held(struct conf *c, dal_conn *conn)
{
        static const dal_stmt held = DAL_STMT(
                "held", "SELECT 'Com_stmt_prepare', '0'", .mysql = "SHOW SESSION STATUS LIKE 'Com_stmt_%'",
                .postgres = "SELECT 'Com_stmt_prepare', COUNT(*)::text FROM pg_prepared_statements");
        dal_rows *rows = NULL;
        bool found = true;
        int64_t n = 0;

        OK(dal_conn_query(conn, &held, DAL_NO_PARAMS, SOON, &rows, &c->err));
        for (;;) {
                char name[64], count[32];

                OK(dal_rows_next(rows, &found, &c->err));
                if (!found)
                        break;
                OK(dal_rows_copy_text(rows, 0, name, sizeof name, &c->err));
                OK(dal_rows_copy_text(rows, 1, count, sizeof count, &c->err));
                if (strcmp(name, "Com_stmt_prepare") == 0)
                        n += strtoll(count, NULL, 10);
                else if (strcmp(name, "Com_stmt_close") == 0)
                        n -= strtoll(count, NULL, 10);
        }
        dal_rows_close(rows);
        return n;
}

static void check_left(struct conf *c, dal_conn *conn, dal_statements way)
{
        int64_t itself;
        dal_rows *rows = NULL;
        bool found = true;

        if (!is_for(c, ALL_SQL) || way == DAL_STATEMENTS_PREPARED)
                return;
        OK(dal_conn_exec(conn, &conf_add_balance, DAL_PARAMS(dal_int64(1), dal_int64(1)), SOON, NULL,
                         &c->err));
        itself = n_held(c, conn);
        assert_in_range(itself, 0, way == DAL_STATEMENTS_UNNAMED);
        /* Read to the end, ended early, failed. */
        OK(dal_conn_query(conn, &conf_numbers, DAL_PARAMS(dal_int64(10)), SOON, &rows, &c->err));
        while (found)
                OK(dal_rows_next(rows, &found, &c->err));
        assert_string_equal(dal_rows_column(rows, 0), "n");
        dal_rows_close(rows);
        assert_int_equal(n_held(c, conn), itself);
        OK(dal_conn_query(conn, &conf_stream, DAL_PARAMS(dal_int64(10)), SOON, &rows, &c->err));
        OK(dal_rows_next(rows, &found, &c->err));
        dal_rows_close(rows);
        assert_int_equal(n_held(c, conn), itself);
        FAILS(dal_conn_exec(conn, &conf_add_item,
                            DAL_PARAMS(dal_int64(1), dal_text("x"), dal_int64(404), dal_null()), SOON, NULL,
                            &c->err),
              FOREIGN_KEY);
        assert_int_equal(n_held(c, conn), itself);
}

static void literals__nothing_stays_prepared_that_should_not(struct conf *c)
{
        each_way(c, check_left);
}

/* ---- what comes back ---- */

static void check_float(struct conf *c, dal_conn *conn, dal_statements way)
{
        static const dal_stmt get = DAL_STMT("get_float", "SELECT f FROM conf_float WHERE f > ?");
        double wanted = way == DAL_STATEMENTS_TEXT && c->q->text_rounds_float ? 1234570 : 1234567, out = 0;
        dal_rows *rows = NULL;

        if (!is_for(c, ALL_SQL))
                return;
        OK(dal_conn_script(conn, "DROP TABLE IF EXISTS conf_float", SOON, &c->err));
        OK(dal_conn_script(conn, "CREATE TABLE conf_float (f FLOAT)", SOON, &c->err));
        OK(dal_conn_script(conn, "INSERT INTO conf_float VALUES (1234567)", SOON, &c->err));
        OK(dal_conn_query(conn, &get, DAL_PARAMS(dal_double(0)), SOON, &rows, &c->err));
        OK(dal_rows_first(rows, &c->err));
        OK(dal_rows_double(rows, 0, &out, &c->err));
        assert_true(out == wanted);
        dal_rows_close(rows);
        OK(dal_conn_script(conn, "DROP TABLE conf_float", SOON, &c->err));
}

static void literals__floats_come_back_as_the_server_writes_them(struct conf *c)
{
        each_way(c, check_float);
}

const struct conf_case literals_conf[] = {
        CONF_CASE(literals__nothing_in_a_value_ends_it),
        CONF_CASE(literals__every_byte_beside_every_quote),
        CONF_CASE(literals__no_setting_of_the_session_lets_a_value_out),
        CONF_CASE(literals__stand_apart_from_their_neighbours),
        CONF_CASE(literals__mean_what_a_bound_value_means),
        CONF_CASE(literals__text_goes_into_a_json_column),
        CONF_CASE(literals__find_their_way_through_an_index),
        CONF_CASE(literals__nothing_stays_prepared_that_should_not),
        CONF_CASE(literals__floats_come_back_as_the_server_writes_them),
        {NULL, NULL},
};
