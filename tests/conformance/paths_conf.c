/* SPDX-License-Identifier: MIT */
/*
 * What only the server can make: the same cell has the same type and value in every way in which statements
 * travel, prepared and binary as much as text.
 */

#include <inttypes.h>
#include <stdlib.h>

#include "conf.h"

#define SQLITE   (1u << DAL_DIALECT_sqlite)
#define POSTGRES (1u << DAL_DIALECT_postgres)
#define MYSQL    (1u << DAL_DIALECT_mysql)
#define MARIADB  (1u << DAL_DIALECT_mariadb)

/* One expression on the engines that know it, and the cell it gives. */
struct served {
        unsigned dialects;
        dal_stmt stmt;
        dal_type type;
        const char *wanted;    /* as write_cell() writes it; NULL = bytes that depend on the way */
        dal_error_class error; /* the row can't be given: fetching it fails so */
};
#define SERVED(dialects, sql, type, wanted)                                                                  \
        {                                                                                                    \
                dialects, DAL_STMT("served", sql), DAL_TYPE_##type, wanted, DAL_CLASS_NONE                   \
        }
#define REFUSED(dialects, sql, error)                                                                        \
        {                                                                                                    \
                dialects, DAL_STMT("served", sql), DAL_TYPE_NULL, NULL, DAL_CLASS_##error                    \
        }

static int write_time(char *out, size_t size, const dal_value *cell)
{
        bool is_date = cell->type == DAL_TYPE_DATE;
        dal_civil t =
                is_date ? dal_value_civil_of_days(cell->as.int64) : dal_value_civil_of_us(cell->as.int64);
        int n = snprintf(out, size, "%" PRId32 "-%02u-%02u", t.year, (unsigned)t.month, (unsigned)t.day);

        if (is_date)
                return n;
        return n + snprintf(out + n, size - (size_t)n, " %02u:%02u:%02u.%06" PRIu32, (unsigned)t.hour,
                            (unsigned)t.minute, (unsigned)t.second, t.microsecond);
}

/* Bytes in hex, all else as one would expect. */
static void write_cell(char *out, size_t size, const dal_value *cell)
{
        out[0] = '\0';
        switch ((dal_type)cell->type) {
        case DAL_TYPE_NULL:
                snprintf(out, size, "NULL");
                break;
        case DAL_TYPE_BOOL:
                snprintf(out, size, "%s", cell->as.boolean ? "true" : "false");
                break;
        case DAL_TYPE_INT64:
                snprintf(out, size, "%" PRId64, cell->as.int64);
                break;
        case DAL_TYPE_UINT64:
                snprintf(out, size, "%" PRIu64, cell->as.uint64);
                break;
        case DAL_TYPE_DOUBLE:
                snprintf(out, size, "%.17g", cell->as.float64);
                break;
        case DAL_TYPE_DECIMAL:
        case DAL_TYPE_TEXT:
        case DAL_TYPE_OTHER:
                snprintf(out, size, "%.*s", (int)cell->as.span.size, cell->as.span.ptr);
                break;
        case DAL_TYPE_BYTES:
                for (size_t i = 0; i < cell->as.span.size && 2 * i + 2 < size; i++)
                        snprintf(out + 2 * i, 3, "%02x", (unsigned char)cell->as.span.ptr[i]);
                break;
        case DAL_TYPE_TIMESTAMP:
        case DAL_TYPE_DATE:
                write_time(out, size, cell);
                break;
        case DAL_TYPE_UUID:
                dal_value_format_uuid(cell->as.uuid, out);
                break;
        }
}

static void check_cell(const struct served *s, const dal_value *cell, const char *way)
{
        char got[256];

        write_cell(got, sizeof got, cell);
        if (cell->type == s->type && (!s->wanted || strcmp(got, s->wanted) == 0))
                return;
        print_error("%s (%s)\n    gave the %s '%s', not the %s '%s'\n", s->stmt.common, way,
                    dal_value_type_name((dal_type)cell->type), got, dal_value_type_name(s->type),
                    s->wanted ? s->wanted : "...");
        fail();
}

static void check_rows(struct conf *c, const struct served *s, dal_status status, dal_rows *rows,
                       const char *way)
{
        if (status == DAL_OK)
                status = dal_rows_first(rows, &c->err);
        if (s->error != DAL_CLASS_NONE) {
                conf_fails(c, status, s->error, s->stmt.common, __FILE__, __LINE__);
        } else {
                conf_ok(c, status, s->stmt.common, way, 0);
                check_cell(s, dal_rows_cell(rows, 0), way);
        }
        dal_rows_close(rows);
}

static void check_by(struct conf *c, dal_conn *conn, const struct served *s, const char *way)
{
        dal_rows *rows = NULL;
        dal_status status = dal_conn_query(conn, &s->stmt, DAL_NO_PARAMS, SOON, &rows, &c->err);

        check_rows(c, s, status, rows, way);
        rows = NULL;
        status = dal_conn_query_dynamic(conn, s->stmt.common, DAL_NO_PARAMS, SOON, &rows, &c->err);
        check_rows(c, s, status, rows, "dynamic");
}

/* Every way that the driver has, whichever the suite runs in. */
static void check_all(struct conf *c, const struct served *list, size_t n)
{
        static const struct {
                dal_statements statements;
                const char *name;
        } ways[] = {{DAL_STATEMENTS_PREPARED, "prepared"},
                    {DAL_STATEMENTS_UNNAMED, "unnamed"},
                    {DAL_STATEMENTS_TEXT, "text"}};

        for (size_t k = 0; k < sizeof ways / sizeof ways[0]; k++) {
                dal_conn_options options = DAL_CONN_OPTIONS_INIT;
                dal_conn *conn;

                if (!conf_has_mode(c, ways[k].statements))
                        continue;
                options.statements = ways[k].statements;
                conn = conf_open(c, &options);
                for (size_t i = 0; i < n; i++) {
                        if (list[i].dialects >> c->q->dialect & 1)
                                check_by(c, conn, &list[i], ways[k].name);
                }
                dal_conn_close(conn);
        }
}
#define CHECK_ALL(c, list) check_all(c, list, sizeof list / sizeof list[0])

/* A table that holds what no session of ours would store, made by a connection that is thrown away. */
static void make_odd_table(struct conf *c)
{
        static const char *const postgres[] = {"DROP TABLE IF EXISTS conf_odd",
                                               "DROP TYPE IF EXISTS conf_mood",
                                               "CREATE TYPE conf_mood AS ENUM ('sad', 'glad')",
                                               "CREATE TABLE conf_odd (mood conf_mood)",
                                               "INSERT INTO conf_odd VALUES ('glad')",
                                               NULL};
        static const char *const mysql[] = {
                "DROP TABLE IF EXISTS conf_odd",
                "CREATE TABLE conf_odd (zero_date DATE, zero_time DATETIME(6), no_day DATE, midnight "
                "DATETIME, "
                "ms TIMESTAMP(3) NULL, t TIME, t6 TIME(6), y YEAR, b BIT(10), e ENUM('sad', 'glad'), "
                "s SET('x', 'y'), ti TINYINT, tu TINYINT UNSIGNED, su SMALLINT UNSIGNED, m MEDIUMINT, "
                "iu INT UNSIGNED, f FLOAT, ch CHAR(5), bi BINARY(3), vb VARBINARY(9), n DECIMAL(5, 2))",
                "DROP TABLE IF EXISTS conf_days",
                "CREATE TABLE conf_days (d INT, day DATE)",
                "SET sql_mode = ''",
                "INSERT INTO conf_days SELECT d, IF(d = 5, '0000-00-00', '2026-11-21') FROM conf_digit",
                "INSERT INTO conf_odd VALUES ('0000-00-00', '0000-00-00 00:00:00', '2026-11-00', "
                "'2026-11-21 00:00:00', '2026-11-21 10:20:30.5', '-838:59:59', '-00:00:01.5', 2026, "
                "b'1000000001', "
                "'glad', 'x,y', -128, 255, 65535, -8388608, 4294967295, 0.1, 'a', 'ab', 0x00ff, 1.10)",
                NULL};
        static const char *const sqlite[] = {
                "DROP TABLE IF EXISTS conf_odd",
                "CREATE TABLE conf_odd (n DECIMAL(5, 2), exact DECIMAL_TEXT, ts TIMESTAMP)",
                "INSERT INTO conf_odd VALUES ('1.10', '1.10', '2026-11-21 10:00:00.1234567')", NULL};
        const char *const *scripts[] = {[DAL_DIALECT_sqlite] = sqlite,
                                        [DAL_DIALECT_postgres] = postgres,
                                        [DAL_DIALECT_mysql] = mysql,
                                        [DAL_DIALECT_mariadb] = mysql};
        dal_conn_options options = DAL_CONN_OPTIONS_INIT;
        dal_conn *conn;

        if (c->q->dialect >= sizeof scripts / sizeof scripts[0] || !scripts[c->q->dialect])
                return;
        if (!c->q->mode)
                options.statements =
                        DAL_STATEMENTS_PREPARED; /* the others may refuse SET, as sessions are shared */
        conn = conf_open(c, &options);
        for (const char *const *sql = scripts[c->q->dialect]; *sql; sql++)
                OK(dal_conn_script(conn, *sql, SOON, &c->err));
        dal_conn_close(conn);
}

static void paths__numbers_the_server_makes(struct conf *c)
{
        static const struct served list[] = {
                SERVED(POSTGRES, "SELECT (-32768)::smallint", INT64, "-32768"),
                SERVED(POSTGRES, "SELECT (-2147483648)::int", INT64, "-2147483648"),
                SERVED(POSTGRES, "SELECT (-9223372036854775808)::bigint", INT64, "-9223372036854775808"),
                SERVED(POSTGRES, "SELECT 4294967295::oid", INT64, "4294967295"),
                SERVED(POSTGRES, "SELECT 0.1::real", DOUBLE, "0.10000000149011612"),
                SERVED(POSTGRES, "SELECT 16777215::real", DOUBLE, "16777215"),
                SERVED(POSTGRES, "SELECT 0.1::float8", DOUBLE, "0.10000000000000001"),
                SERVED(POSTGRES, "SELECT 5e-324::float8", DOUBLE, "4.9406564584124654e-324"),
                SERVED(POSTGRES, "SELECT '-0'::float8", DOUBLE, "-0"),
                SERVED(POSTGRES, "SELECT 'NaN'::float8", DOUBLE, "nan"),
                SERVED(POSTGRES, "SELECT '-Infinity'::real", DOUBLE, "-inf"),
                SERVED(POSTGRES, "SELECT true", BOOL, "true"),
                SERVED(POSTGRES, "SELECT sum(n) FROM (VALUES (9223372036854775807), (1)) AS t (n)", DECIMAL,
                       "9223372036854775808"),
                SERVED(MYSQL | MARIADB, "SELECT 18446744073709551615", UINT64, "18446744073709551615"),
                SERVED(MYSQL | MARIADB, "SELECT ti FROM conf_odd", INT64, "-128"),
                SERVED(MYSQL | MARIADB, "SELECT tu FROM conf_odd", INT64, "255"),
                SERVED(MYSQL | MARIADB, "SELECT su FROM conf_odd", INT64, "65535"),
                SERVED(MYSQL | MARIADB, "SELECT m FROM conf_odd", INT64, "-8388608"),
                SERVED(MYSQL | MARIADB, "SELECT iu FROM conf_odd", INT64, "4294967295"),
                SERVED(MYSQL | MARIADB, "SELECT y FROM conf_odd", INT64, "2026"),
                SERVED(MYSQL | MARIADB, "SELECT b FROM conf_odd", UINT64, "513"),
                SERVED(MYSQL | MARIADB, "SELECT f FROM conf_odd", DOUBLE, "0.10000000149011612"),
                SERVED(MYSQL | MARIADB, "SELECT 0.1e0", DOUBLE, "0.10000000000000001"),
                SERVED(MYSQL | MARIADB, "SELECT 1e23", DOUBLE, "9.9999999999999992e+22"),
                SERVED(MYSQL | MARIADB, "SELECT SUM(d) FROM conf_digit", DECIMAL, "45"),
                SERVED(SQLITE, "SELECT 9223372036854775807 + 1", DOUBLE, "9.2233720368547758e+18"),
                SERVED(SQLITE, "SELECT -9223372036854775808", INT64, "-9223372036854775808"),
        };

        make_odd_table(c);
        CHECK_ALL(c, list);
}

static void paths__decimals_the_server_makes(struct conf *c)
{
        static const struct served list[] = {
                SERVED(POSTGRES, "SELECT 'NaN'::numeric", DECIMAL, "NaN"),
                SERVED(POSTGRES, "SELECT 'Infinity'::numeric", DECIMAL, "Infinity"),
                SERVED(POSTGRES, "SELECT '-Infinity'::numeric", DECIMAL, "-Infinity"),
                SERVED(POSTGRES, "SELECT 1.10", DECIMAL, "1.10"),
                SERVED(POSTGRES, "SELECT -0.00", DECIMAL, "0.00"),
                SERVED(POSTGRES, "SELECT 1e-20", DECIMAL, "0.00000000000000000001"),
                SERVED(POSTGRES, "SELECT 10000::numeric", DECIMAL, "10000"),
                SERVED(POSTGRES, "SELECT 9007199254740993::numeric", DECIMAL, "9007199254740993"),
                SERVED(MYSQL | MARIADB, "SELECT n FROM conf_odd", DECIMAL, "1.10"),
                SERVED(MYSQL | MARIADB, "SELECT CAST(9007199254740993 AS DECIMAL(20))", DECIMAL,
                       "9007199254740993"),
                SERVED(MYSQL | MARIADB, "SELECT -0.10", DECIMAL, "-0.10"),
                /* By the rules of its column types, SQLite makes a double of the first. */
                SERVED(SQLITE, "SELECT n FROM conf_odd", DOUBLE, "1.1000000000000001"),
                SERVED(SQLITE, "SELECT exact FROM conf_odd", DECIMAL, "1.10"),
        };

        make_odd_table(c);
        CHECK_ALL(c, list);
}

/* A time that can't be given is an error; it never becomes another day. */
static void paths__times_at_the_edges(struct conf *c)
{
        static const struct served list[] = {
                SERVED(POSTGRES, "SELECT '0044-03-15 12:00:00+00 BC'::timestamptz", TIMESTAMP,
                       "-43-03-15 12:00:00.000000"),
                SERVED(POSTGRES, "SELECT '0001-02-29 00:00:00+00 BC'::timestamptz", TIMESTAMP,
                       "0-02-29 00:00:00.000000"),
                SERVED(POSTGRES, "SELECT '4714-11-24 BC'::date", DATE, "-4713-11-24"),
                SERVED(POSTGRES, "SELECT '0001-02-29 BC'::date", DATE, "0-02-29"),
                SERVED(POSTGRES, "SELECT '5874897-12-31'::date", DATE, "5874897-12-31"),
                SERVED(POSTGRES, "SELECT '10000-01-01 00:00:00.000001'::timestamp", TIMESTAMP,
                       "10000-01-01 00:00:00.000001"),
                SERVED(POSTGRES, "SELECT '294246-12-31 23:59:59.999999+00'::timestamptz", TIMESTAMP,
                       "294246-12-31 23:59:59.999999"),
                REFUSED(POSTGRES, "SELECT '294276-12-31 23:59:59.999999+00'::timestamptz", DATA),
                REFUSED(POSTGRES, "SELECT 'infinity'::timestamptz", DATA),
                REFUSED(POSTGRES, "SELECT '-infinity'::timestamp", DATA),
                REFUSED(POSTGRES, "SELECT '-infinity'::date", DATA),
                /* The server rounds to its microseconds; the library would have refused the text. */
                SERVED(POSTGRES, "SELECT '2026-11-21 10:00:00.1234567+00'::timestamptz", TIMESTAMP,
                       "2026-11-21 10:00:00.123457"),
                SERVED(POSTGRES, "SELECT '2026-03-29 02:30:00 Europe/Berlin'::timestamptz", TIMESTAMP,
                       "2026-03-29 01:30:00.000000"),
                /* The session is in UTC, so that the server's own functions speak of the same instants. */
                SERVED(POSTGRES, "SELECT to_timestamp(1774746000)", TIMESTAMP, "2026-03-29 01:00:00.000000"),
                SERVED(POSTGRES, "SELECT to_timestamp(1774746000)::timestamp", TIMESTAMP,
                       "2026-03-29 01:00:00.000000"),
                SERVED(MYSQL | MARIADB, "SELECT FROM_UNIXTIME(1774746000)", TIMESTAMP,
                       "2026-03-29 01:00:00.000000"),
                SERVED(MYSQL | MARIADB, "SELECT UNIX_TIMESTAMP('2026-03-29 01:00:00')", INT64, "1774746000"),
                SERVED(MYSQL | MARIADB, "SELECT midnight FROM conf_odd", TIMESTAMP,
                       "2026-11-21 00:00:00.000000"),
                SERVED(MYSQL | MARIADB, "SELECT ms FROM conf_odd", TIMESTAMP, "2026-11-21 10:20:30.500000"),
                SERVED(MYSQL | MARIADB, "SELECT DATE '2024-02-29'", DATE, "2024-02-29"),
                SERVED(MYSQL | MARIADB, "SELECT t FROM conf_odd", OTHER, "-838:59:59"),
                SERVED(MYSQL | MARIADB, "SELECT t6 FROM conf_odd", OTHER, "-00:00:01.500000"),
                /* Nothing is rounded: what it is not exactly, it is not at all. */
                SERVED(SQLITE, "SELECT ts FROM conf_odd", TEXT, "2026-11-21 10:00:00.1234567"),
        };

        make_odd_table(c);
        CHECK_ALL(c, list);
}

static void paths__a_zero_date_is_an_error_by_every_way(struct conf *c)
{
        static const struct served list[] = {
                REFUSED(MYSQL | MARIADB, "SELECT zero_date FROM conf_odd", DATA),
                REFUSED(MYSQL | MARIADB, "SELECT zero_time FROM conf_odd", DATA),
                REFUSED(MYSQL | MARIADB, "SELECT no_day FROM conf_odd", DATA),
                /* What the message advises. */
                SERVED(MYSQL | MARIADB, "SELECT NULLIF(CAST(zero_date AS CHAR), '0000-00-00') FROM conf_odd",
                       NULL, "NULL"),
        };

        make_odd_table(c);
        CHECK_ALL(c, list);
}

/* The statement is run again and again, so that it is known what its rows look like before one of them is wrong. */
static void paths__a_zero_date_is_an_error_of_its_row_alone(struct conf *c)
{
        static const dal_stmt days = DAL_STMT("days", "SELECT day, d FROM conf_days WHERE d >= ? ORDER BY d");
        static const int64_t first[] = {6, 6, 5, 6, 0, 5};

        if (!c->q->keeps_zero_dates)
                return;
        make_odd_table(c);
        for (size_t i = 0; i < sizeof first / sizeof first[0]; i++) {
                dal_rows *rows = NULL;
                int64_t day = 0;
                bool found = false;

                OK(dal_conn_query(c->conn, &days, DAL_PARAMS(dal_int64(first[i])), SOON, &rows, &c->err));
                for (int64_t d = first[i]; d < 10 && d != 5; d++) {
                        OK(dal_rows_next(rows, &found, &c->err));
                        assert_true(found);
                        OK(dal_rows_date(rows, 0, &day, &c->err));
                        OK(dal_rows_int64(rows, 1, &day, &c->err));
                        assert_int_equal(day, d);
                }
                if (first[i] <= 5)
                        FAILS(dal_rows_next(rows, &found, &c->err), DATA);
                dal_rows_close(rows);
        }
}

static void paths__json_null_is_not_sql_null(struct conf *c)
{
        static const struct served list[] = {
                SERVED(POSTGRES, "SELECT 'null'::jsonb", TEXT, "null"),
                SERVED(POSTGRES, "SELECT 'null'::json", TEXT, "null"),
                SERVED(POSTGRES, "SELECT NULL::jsonb", NULL, "NULL"),
                SERVED(POSTGRES, "SELECT '{\"a\": null}'::jsonb -> 'a'", TEXT, "null"),
                SERVED(POSTGRES, "SELECT '{\"a\": null}'::jsonb -> 'b'", NULL, "NULL"),
                SERVED(POSTGRES, "SELECT '{\"a\": [1, \"\xc3\xa9\"]}'::jsonb", TEXT,
                       "{\"a\": [1, \"\xc3\xa9\"]}"),
                SERVED(MYSQL | MARIADB, "SELECT JSON_EXTRACT('{\"a\": null}', '$.a')", TEXT, "null"),
                SERVED(MYSQL | MARIADB, "SELECT JSON_EXTRACT('{\"a\": null}', '$.b')", NULL, "NULL"),
                SERVED(MYSQL | MARIADB, "SELECT JSON_OBJECT('a', '\xc3\xa9')", TEXT, "{\"a\": \"\xc3\xa9\"}"),
                SERVED(SQLITE, "SELECT json('null')", TEXT, "null"),
                SERVED(SQLITE, "SELECT '{\"a\": null}' -> 'a'", TEXT, "null"),
                SERVED(SQLITE, "SELECT '{\"a\": null}' -> 'b'", NULL, "NULL"),
        };

        CHECK_ALL(c, list);
}

static void paths__bytes_and_text_the_server_makes(struct conf *c)
{
        static const struct served list[] = {
                SERVED(POSTGRES, "SELECT '\\x00ff5c27'::bytea", BYTES, "00ff5c27"),
                SERVED(POSTGRES, "SELECT ''::bytea", BYTES, ""),
                SERVED(POSTGRES, "SELECT 'a'::char(5)", TEXT, "a    "),
                SERVED(POSTGRES, "SELECT 'a'::name", TEXT, "a"),
                SERVED(POSTGRES, "SELECT 'a'::\"char\"", TEXT, "a"),
                SERVED(POSTGRES, "SELECT '<a/>'::xml", TEXT, "<a/>"),
                SERVED(POSTGRES, "SELECT ''", TEXT, ""),
                SERVED(POSTGRES, "SELECT '550E8400-e29b-41d4-a716-446655440000'::uuid", UUID,
                       "550e8400-e29b-41d4-a716-446655440000"),
                SERVED(MYSQL | MARIADB, "SELECT ch FROM conf_odd", TEXT, "a"),
                SERVED(MYSQL | MARIADB, "SELECT e FROM conf_odd", TEXT, "glad"),
                SERVED(MYSQL | MARIADB, "SELECT s FROM conf_odd", TEXT, "x,y"),
                SERVED(MYSQL | MARIADB, "SELECT bi FROM conf_odd", BYTES, "616200"),
                SERVED(MYSQL | MARIADB, "SELECT vb FROM conf_odd", BYTES, "00ff"),
                SERVED(MYSQL | MARIADB, "SELECT ''", TEXT, ""),
                SERVED(MYSQL | MARIADB, "SELECT 0x00ff5c27", BYTES, "00ff5c27"),
                SERVED(SQLITE, "SELECT x'00ff5c27'", BYTES, "00ff5c27"),
                SERVED(SQLITE, "SELECT ''", TEXT, ""),
                SERVED(SQLITE, "SELECT zeroblob(0)", BYTES, ""),
        };

        make_odd_table(c);
        CHECK_ALL(c, list);
}

/* Types that the library has no name for are given as the server sent them, and fail nothing. */
static void paths__unknown_types_are_given_as_they_come(struct conf *c)
{
        static const struct served list[] = {
                SERVED(POSTGRES, "SELECT mood FROM conf_odd", OTHER, "glad"),
                SERVED(POSTGRES, "SELECT '10:00:00'::time", OTHER, NULL),
                SERVED(POSTGRES, "SELECT '1 day 02:03:04'::interval", OTHER, NULL),
                SERVED(POSTGRES, "SELECT '{1,2,NULL}'::int[]", OTHER, NULL),
                SERVED(POSTGRES, "SELECT '{}'::text[]", OTHER, NULL),
                SERVED(POSTGRES, "SELECT '12.34'::money", OTHER, NULL),
                SERVED(POSTGRES, "SELECT '10.0.0.1/8'::inet", OTHER, NULL),
                SERVED(POSTGRES, "SELECT B'101'", OTHER, NULL),
                SERVED(POSTGRES, "SELECT point(1, 2)", OTHER, NULL),
                SERVED(POSTGRES, "SELECT '[1,5)'::int4range", OTHER, NULL),
                SERVED(POSTGRES, "SELECT ROW(1, 'a')", OTHER, NULL),
                SERVED(POSTGRES, "SELECT NULL::inet", NULL, "NULL"),
                SERVED(POSTGRES, "SELECT host('10.0.0.1/8'::inet)", TEXT, "10.0.0.1"),
                SERVED(MYSQL | MARIADB, "SELECT POINT(1, 2)", OTHER, NULL),
                SERVED(MARIADB, "SELECT CAST('::1' AS INET6)", TEXT, "::1"),
        };

        make_odd_table(c);
        CHECK_ALL(c, list);
}

const struct conf_case paths_conf[] = {
        CONF_CASE(paths__numbers_the_server_makes),
        CONF_CASE(paths__decimals_the_server_makes),
        CONF_CASE(paths__times_at_the_edges),
        CONF_CASE(paths__a_zero_date_is_an_error_by_every_way),
        CONF_CASE(paths__a_zero_date_is_an_error_of_its_row_alone),
        CONF_CASE(paths__json_null_is_not_sql_null),
        CONF_CASE(paths__bytes_and_text_the_server_makes),
        CONF_CASE(paths__unknown_types_are_given_as_they_come),
        {NULL, NULL},
};
