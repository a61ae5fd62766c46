/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
/* cmocka needs the four above first. Source: cmocka.h */
#include <cmocka.h>

#include <math.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mem_fault.h"
#include "sqlite_raw.h"

/* ---- opening ---- */

static void assert_open_fails(const char *url, dal_error_class error_class, const char *part)
{
        struct raw raw;

        assert_int_equal(try_open(&raw, url, 0, 0), dal_error_class_status(error_class));
        assert_string_equal(dal_error_class_name(raw.err.error_class), dal_error_class_name(error_class));
        if (!strstr(raw.err.message, part))
                fail_msg("\"%s\" does not say \"%s\"", raw.err.message, part);
        assert_true(raw.err.not_sent || error_class == DAL_CLASS_ARGUMENT);
        shut(&raw);
}

static void test_sqlite__what_cannot_be_opened_is_named(void **state)
{
        char path[128];
        FILE *file;

        (void)state;
        assert_int_equal(dal_driver_check(sqlite(), NULL), DAL_OK);
        assert_open_fails(url_of("none/such.db", ""), DAL_CLASS_UNDEFINED_OBJECT, "there is no directory");
        assert_open_fails(url_of("none/such.db", ""), DAL_CLASS_UNDEFINED_OBJECT, "/none/such.db");
        assert_open_fails(url_of("missing.db", "?mode=rw"), DAL_CLASS_UNDEFINED_OBJECT,
                          "missing.db does not exist");
        assert_open_fails(url_of("missing.db", "?mode=ro"), DAL_CLASS_UNDEFINED_OBJECT, "mode=rwc");
        assert_open_fails(url_of("missing.db", "?mode=w"), DAL_CLASS_ARGUMENT, "ro, rw and rwc");
        assert_open_fails(url_of("", ""), DAL_CLASS_ARGUMENT, "is a directory");
        assert_open_fails("sqlite:", DAL_CLASS_ARGUMENT, "names no file");
        (void)snprintf(path, sizeof path, "%s/text.db", directory);
        file = fopen(path, "w");
        assert_non_null(file);
        for (int i = 0; i < 100; i++)
                (void)fputs("this is not a database at all\n", file);
        (void)fclose(file);
        assert_open_fails(url_of("text.db", ""), DAL_CLASS_ARGUMENT, "is not an SQLite database");
}

static void test_sqlite__a_new_file_is_durable_and_checked(void **state)
{
        struct raw raw = open_file("new.db");

        (void)state;
        must(&raw, run(&raw, "PRAGMA journal_mode", DAL_NO_PARAMS));
        assert_true(fetch(&raw));
        assert_span(&raw.cells[0], DAL_TYPE_TEXT, "wal");
        assert_int_equal(number(&raw, "PRAGMA synchronous"), 2);
        assert_int_equal(number(&raw, "PRAGMA foreign_keys"), 1);
        assert_int_equal(number(&raw, "PRAGMA trusted_schema"), 0);
        shut(&raw);
}

static void test_sqlite__a_name_is_never_read_as_a_uri(void **state)
{
        struct raw raw;
        struct stat st;
        char old[256];

        (void)state;
        assert_non_null(getcwd(old, sizeof old));
        assert_int_equal(chdir(directory), 0);
        must(&raw, try_open(&raw, "sqlite:file:odd.db", 0, 0));
        shut(&raw);
        assert_int_equal(stat("file:odd.db", &st), 0);
        assert_int_equal(chdir(old), 0);
}

/* ---- values ---- */

static void test_sqlite__values_come_back_as_they_went(void **state)
{
        static const uint8_t uuid[16] = {0x55, 0x0e, 0x84, 0x00, 0xe2, 0x9b, 0x41, 0xd4,
                                         0xa7, 0x16, 0x44, 0x66, 0x55, 0x44, 0x00, 0x00};
        struct raw raw = open_file("values.db");

        (void)state;
        must(&raw,
             run_script(&raw,
                        "CREATE TABLE v (b BOOLEAN, i INTEGER, j BIGINT, f DOUBLE, m DECIMAL_TEXT, s TEXT,"
                        " x BLOB, t TIMESTAMP, d DATE, u UUID, n TEXT, e TEXT, z BLOB)"));
        must(&raw,
             run(&raw, "INSERT INTO v VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                 DAL_PARAMS(dal_bool(true), dal_int64(INT64_MIN), dal_uint64(INT64_MAX), dal_double(0.1),
                            dal_decimal("12345678901234567890.10"), dal_text("h\xc3\xa9"),
                            dal_bytes("\0\1\2", 3), dal_timestamp(-1), dal_date(-719162), dal_uuid(uuid),
                            dal_null(), dal_text(""), dal_bytes(NULL, 0))));
        assert_int_equal(raw.result.n_rows, 1);
        assert_int_equal(raw.result.insert_id, 1);
        must(&raw, run(&raw, "SELECT * FROM v", DAL_NO_PARAMS));
        assert_int_equal(raw.result.n_columns, 13);
        assert_int_equal(raw.result.n_rows, 0);
        assert_string_equal(sqlite()->column(raw.conn, 4), "m");
        assert_true(fetch(&raw));
        assert_int_equal(raw.cells[0].type, DAL_TYPE_BOOL);
        assert_true(raw.cells[0].as.boolean);
        assert_int_equal(raw.cells[1].type, DAL_TYPE_INT64);
        assert_true(raw.cells[1].as.int64 == INT64_MIN);
        assert_true(raw.cells[2].as.int64 == INT64_MAX);
        assert_int_equal(raw.cells[3].type, DAL_TYPE_DOUBLE);
        assert_true(raw.cells[3].as.float64 >= 0.1 && raw.cells[3].as.float64 <= 0.1);
        assert_span(&raw.cells[4], DAL_TYPE_DECIMAL, "12345678901234567890.10");
        assert_span(&raw.cells[5], DAL_TYPE_TEXT, "h\xc3\xa9");
        assert_int_equal(raw.cells[6].type, DAL_TYPE_BYTES);
        assert_int_equal(raw.cells[6].as.span.size, 3);
        assert_memory_equal(raw.cells[6].as.span.ptr, "\0\1\2", 3);
        assert_int_equal(raw.cells[7].type, DAL_TYPE_TIMESTAMP);
        assert_true(raw.cells[7].as.int64 == -1);
        assert_int_equal(raw.cells[8].type, DAL_TYPE_DATE);
        assert_true(raw.cells[8].as.int64 == -719162);
        assert_int_equal(raw.cells[9].type, DAL_TYPE_UUID);
        assert_memory_equal(raw.cells[9].as.uuid, uuid, 16);
        assert_int_equal(raw.cells[10].type, DAL_TYPE_NULL);
        assert_span(&raw.cells[11], DAL_TYPE_TEXT, "");
        assert_span(&raw.cells[12], DAL_TYPE_BYTES, "");
        for (int i = 0; i < 13; i++)
                assert_int_equal(raw.cells[i].flags, 0);
        assert_false(fetch(&raw));
        assert_string_equal(sqlite()->column(raw.conn, 4), "m");
        shut(&raw);
}

static void test_sqlite__text_of_others_is_understood_by_the_columns_type(void **state)
{
        struct raw raw = open_file("others.db");

        (void)state;
        must(&raw,
             run_script(&raw, "CREATE TABLE o (t DATETIME, d DATE, u UUID, b BOOL, m NUMERIC, w TIMESTAMP);"
                              "INSERT INTO o VALUES ('1970-01-02 00:00:00', '1970-01-03',"
                              " '550E8400-e29b-41d4-a716-446655440000', 7, 1.5, 'soon')"));
        must(&raw, run(&raw, "SELECT t, d, u, b, m, w, 1 + 1, 'x', CAST(t AS TEXT) FROM o", DAL_NO_PARAMS));
        assert_true(fetch(&raw));
        assert_int_equal(raw.cells[0].type, DAL_TYPE_TIMESTAMP);
        assert_true(raw.cells[0].as.int64 == INT64_C(86400000000));
        assert_int_equal(raw.cells[1].type, DAL_TYPE_DATE);
        assert_true(raw.cells[1].as.int64 == 2);
        assert_int_equal(raw.cells[2].type, DAL_TYPE_UUID);
        assert_int_equal(raw.cells[2].as.uuid[0], 0x55);
        assert_int_equal(raw.cells[3].type, DAL_TYPE_INT64);  /* 7 is no boolean */
        assert_int_equal(raw.cells[4].type, DAL_TYPE_DOUBLE); /* its digits are lost already: say so */
        assert_span(&raw.cells[5], DAL_TYPE_TEXT, "soon");
        assert_int_equal(raw.cells[6].type, DAL_TYPE_INT64);
        assert_int_equal(raw.cells[6].flags, DAL_VALUE_UNTYPED);
        assert_int_equal(raw.cells[7].flags, DAL_VALUE_UNTYPED);
        assert_int_equal(raw.cells[8].flags, DAL_VALUE_UNTYPED);
        assert_false(fetch(&raw));
        shut(&raw);
}

static void test_sqlite__values_it_cannot_store_are_refused(void **state)
{
        struct raw raw = open_file("refused.db");
        dal_value other = dal_text("x");

        (void)state;
        other.type = DAL_TYPE_OTHER;
        assert_int_equal(run(&raw, "SELECT ?", DAL_PARAMS(dal_uint64(UINT64_MAX))), DAL_ERR_ARG);
        assert_non_null(strstr(raw.err.message, "parameter 1"));
        assert_int_equal(run(&raw, "SELECT ?, ?", DAL_PARAMS(dal_null(), dal_double((double)NAN))),
                         DAL_ERR_ARG);
        assert_non_null(strstr(raw.err.message, "parameter 2"));
        assert_int_equal(run(&raw, "SELECT ?", DAL_PARAMS(other)), DAL_ERR_ARG);
        assert_int_equal(number(&raw, "SELECT 1"), 1);
        shut(&raw);
}

static void test_sqlite__parameters_of_a_query_need_not_outlive_its_result(void **state)
{
        struct raw raw = open_file("params.db");
        char text[] = "blue", bytes[] = "abc";
        dal_value values[2];
        dal_request request;

        (void)state;
        values[0] = dal_text(text);
        values[1] = dal_bytes(bytes, 3);
        request =
                text_request("WITH n(i) AS (VALUES (1), (2)) SELECT ?1, ?2 FROM n", (dal_params){values, 2});
        must(&raw, run_until(&raw, &request, DAL_FOREVER));
        memset(text, '#', 4);
        memset(bytes, '#', 3);
        memset(values, 0x5a, sizeof values);
        for (int i = 0; i < 2; i++) {
                assert_true(fetch(&raw));
                assert_span(&raw.cells[0], DAL_TYPE_TEXT, "blue");
                assert_span(&raw.cells[1], DAL_TYPE_BYTES, "abc");
        }
        assert_false(fetch(&raw));
        shut(&raw);
}

/* ---- statements ---- */

static void test_sqlite__counts_are_those_of_the_statement(void **state)
{
        struct raw raw = open_file("counts.db");

        (void)state;
        must(&raw, run_script(&raw, "CREATE TABLE c (id INTEGER PRIMARY KEY, v INT)"));
        must(&raw, run(&raw, "INSERT INTO c (v) VALUES (1), (2), (3)", DAL_NO_PARAMS));
        assert_int_equal(raw.result.n_rows, 3);
        assert_int_equal(raw.result.insert_id, 3);
        must(&raw, run(&raw, "UPDATE c SET v = v WHERE v > 1", DAL_NO_PARAMS));
        assert_int_equal(raw.result.n_rows, 2);
        assert_int_equal(raw.result.insert_id, 0);
        must(&raw, run(&raw, "CREATE TABLE other (a)", DAL_NO_PARAMS));
        assert_int_equal(raw.result.n_rows, 0);
        must(&raw, run(&raw, "UPDATE c SET v = 9 WHERE v = 77", DAL_NO_PARAMS));
        assert_int_equal(raw.result.n_rows, 0);
        shut(&raw);
}

static void test_sqlite__returning_is_committed_before_its_first_row(void **state)
{
        struct raw raw = open_file("returning.db"), other = open_file("returning.db");

        (void)state;
        must(&raw, run_script(&raw, "CREATE TABLE r (id INTEGER PRIMARY KEY, v TEXT, w BLOB)"));
        must(&raw, run(&raw,
                       "INSERT INTO r (v, w) VALUES ('one', x'01'), (NULL, x''), ('three', NULL) RETURNING "
                       "id, v, w",
                       DAL_NO_PARAMS));
        assert_true(raw.result.has_rows);
        assert_int_equal(raw.result.n_columns, 3);
        assert_int_equal(raw.result.n_rows, 3);
        assert_int_equal(raw.result.insert_id, 3);
        assert_int_equal(number(&other, "SELECT count(*) FROM r"), 3);
        assert_true(fetch(&raw));
        assert_int_equal(raw.cells[0].as.int64, 1);
        assert_span(&raw.cells[1], DAL_TYPE_TEXT, "one");
        assert_span(&raw.cells[2], DAL_TYPE_BYTES, "\1");
        assert_true(fetch(&raw));
        assert_int_equal(raw.cells[1].type, DAL_TYPE_NULL);
        assert_true(fetch(&raw));
        assert_span(&raw.cells[1], DAL_TYPE_TEXT, "three");
        assert_string_equal(sqlite()->column(raw.conn, 1), "v");
        assert_false(fetch(&raw));
        assert_false(fetch(&raw));
        shut(&raw);
        shut(&other);
}

static void test_sqlite__a_finished_query_holds_no_lock(void **state)
{
        struct raw raw = open_file("lock.db"), other = open_file("lock.db");

        (void)state;
        must(&raw, run_script(&raw, "CREATE TABLE l (v); INSERT INTO l VALUES (1), (2)"));
        must(&raw, run(&raw, "SELECT v FROM l", DAL_NO_PARAMS));
        assert_true(fetch(&raw));
        assert_true(fetch(&raw));
        assert_false(fetch(&raw));
        must(&other, run_script(&other, "DROP TABLE l"));
        /* A truncating checkpoint needs every reader gone. */
        assert_int_equal(number(&other, "SELECT 1"), 1);
        must(&other, run(&other, "PRAGMA wal_checkpoint(TRUNCATE)", DAL_NO_PARAMS));
        assert_true(fetch(&other));
        assert_int_equal(other.cells[0].as.int64, 0);
        shut(&raw);
        shut(&other);
}

static void test_sqlite__a_kept_statement_survives_a_change_of_its_table(void **state)
{
        struct raw raw = open_file("change.db");
        dal_driver_stmt stmt;
        dal_request request;

        (void)state;
        memset(&stmt, 0, sizeof stmt);
        stmt.name = "all";
        stmt.text = "SELECT * FROM t";
        stmt.text_size = strlen(stmt.text);
        stmt.state = calloc(1, sqlite()->stmt_size);
        memset(&request, 0, sizeof request);
        request.kind = DAL_REQUEST_STMT;
        request.stmt = &stmt;
        must(&raw, run_script(&raw, "CREATE TABLE t (a INT); INSERT INTO t VALUES (1)"));
        for (int i = 0; i < 2; i++) {
                must(&raw, run_until(&raw, &request, DAL_FOREVER));
                assert_int_equal(raw.result.n_columns, 1);
                assert_true(fetch(&raw));
                assert_int_equal(raw.cells[0].type, DAL_TYPE_INT64);
        }
        must(&raw, run_script(&raw, "ALTER TABLE t ADD COLUMN b BOOL DEFAULT 1"));
        must(&raw, run_until(&raw, &request, DAL_FOREVER));
        assert_int_equal(raw.result.n_columns, 2);
        assert_true(fetch(&raw));
        assert_int_equal(raw.cells[1].type, DAL_TYPE_BOOL);
        /* Same number of columns, other types. */
        must(&raw,
             run_script(&raw, "DROP TABLE t; CREATE TABLE t (a DATE, b INT); INSERT INTO t VALUES (1, 1)"));
        must(&raw, run_until(&raw, &request, DAL_FOREVER));
        assert_true(fetch(&raw));
        assert_int_equal(raw.cells[0].type, DAL_TYPE_DATE);
        assert_int_equal(raw.cells[1].type, DAL_TYPE_INT64);
        sqlite()->stmt_close(raw.conn, &stmt);
        sqlite()->stmt_close(raw.conn, &stmt);
        free(stmt.state);
        shut(&raw);
}

static void test_sqlite__many_columns_are_typed_too(void **state)
{
        struct raw raw = open_file("wide.db");
        char sql[8192] = "CREATE TABLE wide (c0 BOOL";
        dal_driver_stmt stmt;
        dal_request request;

        (void)state;
        for (int i = 1; i < 200; i++)
                (void)snprintf(sql + strlen(sql), sizeof sql - strlen(sql), ", c%d BOOL DEFAULT 1", i);
        (void)snprintf(sql + strlen(sql), sizeof sql - strlen(sql), "); INSERT INTO wide (c0) VALUES (1)");
        must(&raw, run_script(&raw, sql));
        memset(&stmt, 0, sizeof stmt);
        stmt.text = "SELECT * FROM wide";
        stmt.text_size = strlen(stmt.text);
        stmt.state = calloc(1, sqlite()->stmt_size);
        memset(&request, 0, sizeof request);
        request.kind = DAL_REQUEST_STMT;
        request.stmt = &stmt;
        for (int i = 0; i < 2; i++) {
                must(&raw, run_until(&raw, &request, DAL_FOREVER));
                assert_int_equal(raw.result.n_columns, 200);
                assert_true(fetch(&raw));
                for (int k = 0; k < 200; k++)
                        assert_int_equal(raw.cells[k].type, DAL_TYPE_BOOL);
        }
        shut(&raw); /* with the cursor and the statement open */
        free(stmt.state);
}

static void test_sqlite__after_a_failure_the_rest_of_the_flush_is_skipped(void **state)
{
        struct raw raw = open_file("flush.db");
        dal_request requests[4];

        (void)state;
        must(&raw, run_script(&raw, "CREATE TABLE f (id INTEGER PRIMARY KEY)"));
        requests[0] = text_request("INSERT INTO f VALUES (1)", DAL_NO_PARAMS);
        requests[1] = text_request("INSERT INTO f VALUES (1)", DAL_NO_PARAMS);
        requests[2] = text_request("INSERT INTO f VALUES (3)", DAL_NO_PARAMS);
        requests[3] = text_request("INSERT INTO f VALUES (4)", DAL_NO_PARAMS);
        for (int i = 0; i < 3; i++)
                must(&raw, sqlite()->queue(raw.conn, &requests[i], &raw.err));
        assert_int_equal(sqlite()->result(raw.conn, DAL_FOREVER, &raw.result, &raw.err), DAL_ERR_STATE);
        must(&raw, sqlite()->flush(raw.conn, DAL_FOREVER, &raw.err));
        must(&raw, sqlite()->queue(raw.conn, &requests[3], &raw.err)); /* of the next flush */
        must(&raw, sqlite()->result(raw.conn, DAL_FOREVER, &raw.result, &raw.err));
        assert_int_equal(sqlite()->tx_state(raw.conn), DAL_TX_STATE_UNKNOWN);
        assert_int_equal(sqlite()->result(raw.conn, DAL_FOREVER, &raw.result, &raw.err), DAL_ERR_CONSTRAINT);
        assert_int_equal(sqlite()->result(raw.conn, DAL_FOREVER, &raw.result, &raw.err), DAL_ERR_STATE);
        assert_int_equal(raw.err.error_class, DAL_CLASS_NOT_EXECUTED);
        must(&raw, sqlite()->flush(raw.conn, DAL_FOREVER, &raw.err));
        must(&raw, sqlite()->result(raw.conn, DAL_FOREVER, &raw.result, &raw.err));
        assert_int_equal(sqlite()->tx_state(raw.conn), DAL_TX_STATE_IDLE);
        assert_int_equal(number(&raw, "SELECT sum(id) FROM f"), 5);
        shut(&raw);
}

static void test_sqlite__a_script_stops_at_its_first_failure(void **state)
{
        struct raw raw = open_file("script.db");

        (void)state;
        must(&raw, run_script(&raw, "-- nothing but a comment\n"));
        must(&raw, run_script(&raw, " ; ;"));
        must(&raw,
             run_script(&raw,
                        "CREATE TABLE s (v); SELECT 1 UNION SELECT 2; INSERT INTO s VALUES (1); -- end"));
        assert_int_equal(
                run_script(&raw,
                           "INSERT INTO s VALUES (2); INSERT INTO none VALUES (1); INSERT INTO s VALUES (3)"),
                DAL_ERR_NOT_FOUND);
        assert_int_equal(number(&raw, "SELECT count(*) FROM s"), 2);
        assert_int_equal(run(&raw, "-- nothing", DAL_NO_PARAMS), DAL_ERR_SQL);
        shut(&raw);
}

/* ---- errors ---- */

static void test_sqlite__errors_name_class_code_and_things(void **state)
{
        struct raw raw = open_file("errors.db");

        (void)state;
        must(&raw,
             run_script(&raw,
                        "CREATE TABLE p (id INTEGER PRIMARY KEY);"
                        "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT NOT NULL, b TEXT,"
                        " c INT CONSTRAINT positive CHECK (c > 0), p INT REFERENCES p (id), UNIQUE (a, b));"
                        "CREATE UNIQUE INDEX folded ON t (lower(a), c);"
                        "CREATE TABLE strict (v INT) STRICT;"
                        "CREATE TRIGGER no BEFORE DELETE ON t BEGIN SELECT RAISE(ABORT, 'not that'); END;"
                        "INSERT INTO t VALUES (1, 'x', 'y', 1, NULL)"));
        assert_fails(&raw, "INSERT INTO t (id, a) VALUES (1, 'z')", DAL_CLASS_UNIQUE, "23505");
        assert_int_equal(raw.err.vendor_code, 1555);
        assert_string_equal(raw.err.table, "t");
        assert_string_equal(raw.err.column, "id");
        assert_fails(&raw, "INSERT INTO t (a, b, c) VALUES ('x', 'y', 2)", DAL_CLASS_UNIQUE, "23505");
        assert_int_equal(raw.err.vendor_code, 2067);
        assert_string_equal(raw.err.column, "a, b");
        assert_fails(&raw, "INSERT INTO t (a, c) VALUES ('X', 1)", DAL_CLASS_UNIQUE, "23505");
        assert_string_equal(raw.err.constraint, "folded");
        assert_fails(&raw, "INSERT INTO t (a) VALUES (NULL)", DAL_CLASS_NOT_NULL, "23502");
        assert_string_equal(raw.err.table, "t");
        assert_string_equal(raw.err.column, "a");
        assert_fails(&raw, "INSERT INTO t (a, c) VALUES ('q', 0)", DAL_CLASS_CHECK, "23514");
        assert_string_equal(raw.err.constraint, "positive");
        assert_fails(&raw, "INSERT INTO t (a, p) VALUES ('r', 9)", DAL_CLASS_FOREIGN_KEY, "23503");
        assert_fails(&raw, "INSERT INTO strict VALUES ('x')", DAL_CLASS_DATA, "22000");
        assert_fails(&raw, "INSERT INTO t (id, a) VALUES ('x', 'x')", DAL_CLASS_DATA, "22000");
        assert_fails(&raw, "DELETE FROM t", DAL_CLASS_SERVER_OTHER, "P0001");
        assert_string_equal(raw.err.message, "not that");
        assert_fails(&raw, "SELECT * FROM main.missing", DAL_CLASS_UNDEFINED_OBJECT, "42P01");
        assert_string_equal(raw.err.table, "missing");
        assert_fails(&raw, "SELECT missing FROM t", DAL_CLASS_UNDEFINED_OBJECT, "42703");
        assert_string_equal(raw.err.column, "missing");
        assert_fails(&raw, "SELECT t.missing FROM t", DAL_CLASS_UNDEFINED_OBJECT, "42703");
        assert_string_equal(raw.err.table, "t");
        assert_fails(&raw, "INSERT INTO t (missing) VALUES (1)", DAL_CLASS_UNDEFINED_OBJECT, "42703");
        assert_fails(&raw, "SELECT missing(1)", DAL_CLASS_UNDEFINED_OBJECT, "42883");
        assert_fails(&raw, "SELEC 1", DAL_CLASS_SYNTAX, "42601");
        assert_fails(&raw, "SELECT (1", DAL_CLASS_SYNTAX, "42601");
        assert_fails(&raw, "SELECT 'x", DAL_CLASS_SYNTAX, "42601");
        assert_fails(&raw, "INSERT INTO t (id, a) VALUES (1)", DAL_CLASS_SYNTAX, "42601");
        assert_fails(&raw, "INSERT INTO p VALUES (1, 2)", DAL_CLASS_SYNTAX, "42601");
        assert_fails(&raw, "CREATE TABLE t (a)", DAL_CLASS_SERVER_OTHER, "42P07");
        assert_fails(&raw, "SELECT abs(-9223372036854775807 - 1)", DAL_CLASS_DATA, "22003");
        assert_fails(&raw, "COMMIT", DAL_CLASS_TX_STATE, "25P01");
        assert_fails(&raw, "SELECT zeroblob(2000000000)", DAL_CLASS_PACKET_TOO_LARGE, "54000");
        shut(&raw);
}

static void test_sqlite__a_read_only_file_refuses_writes(void **state)
{
        struct raw raw = open_file("ro.db");

        (void)state;
        must(&raw, run_script(&raw, "CREATE TABLE t (v)"));
        shut(&raw);
        must(&raw, try_open(&raw, url_of("ro.db", "?mode=ro"), 0, 0));
        must(&raw, begin(&raw, false));
        assert_int_equal(number(&raw, "SELECT count(*) FROM t"), 0);
        assert_fails(&raw, "INSERT INTO t VALUES (1)", DAL_CLASS_READ_ONLY_TX, "25006");
        assert_false(raw.err.retry_tx);
        must(&raw, run_kind(&raw, DAL_REQUEST_ROLLBACK));
        shut(&raw);
}

static void test_sqlite__ping_notices_a_deleted_file(void **state)
{
        struct raw raw = open_file("gone.db");
        char path[128];

        (void)state;
        must(&raw, sqlite()->ping(raw.conn, DAL_FOREVER, &raw.err));
        (void)snprintf(path, sizeof path, "%s/gone.db", directory);
        assert_int_equal(unlink(path), 0);
        assert_int_equal(sqlite()->ping(raw.conn, DAL_FOREVER, &raw.err), DAL_ERR_CONN);
        assert_true(raw.err.conn_gone);
        shut(&raw);
}

/* ---- memory ---- */

static int64_t n_inserted;

static dal_status some_work(struct raw *raw)
{
        dal_status s = run_script(raw, "CREATE TABLE IF NOT EXISTS m (v TEXT)");

        if (s == DAL_OK)
                s = run(raw, "INSERT INTO m VALUES (?) RETURNING v", DAL_PARAMS(dal_text("some text")));
        if (s == DAL_OK)
                n_inserted++;
        if (s == DAL_OK)
                s = sqlite()->fetch(raw->conn, DAL_FOREVER, &raw->cells, &raw->err);
        return s;
}

static void test_sqlite__no_memory_is_an_error_and_nothing_worse(void **state)
{
        bool done = false;

        (void)state;
        for (size_t n = 1; !done; n++) {
                const char *url = url_of("memory.db", "");
                struct raw raw;
                dal_open_args args;
                dal_status s;

                memset(&raw, 0, sizeof raw);
                memset(&args, 0, sizeof args);
                assert_int_equal(dal_dsn_parse(url, (dal_dsn **)(uintptr_t)&args.dsn, &raw.err), DAL_OK);
                args.service = args.user = "";
                raw.conn = calloc(1, sqlite()->conn_size);
                mem_fault_at = n;
                s = sqlite()->open(raw.conn, &args, DAL_FOREVER, &raw.err);
                if (s == DAL_OK)
                        s = some_work(&raw);
                done = mem_fault_at > 0;
                mem_fault_at = 0;
                assert_int_equal(s, done ? DAL_OK : DAL_ERR_NOMEM);
                if (n > 1 && !done) {
                        must(&raw, sqlite()->reset(raw.conn, DAL_FOREVER, &raw.err));
                        must(&raw, some_work(&raw));
                        /* What was reported as failed was not done. */
                        assert_int_equal(number(&raw, "SELECT count(*) FROM m"), n_inserted);
                }
                shut(&raw);
                dal_dsn_free((dal_dsn *)(uintptr_t)args.dsn);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_sqlite__what_cannot_be_opened_is_named),
                cmocka_unit_test(test_sqlite__a_new_file_is_durable_and_checked),
                cmocka_unit_test(test_sqlite__a_name_is_never_read_as_a_uri),
                cmocka_unit_test(test_sqlite__values_come_back_as_they_went),
                cmocka_unit_test(test_sqlite__text_of_others_is_understood_by_the_columns_type),
                cmocka_unit_test(test_sqlite__values_it_cannot_store_are_refused),
                cmocka_unit_test(test_sqlite__parameters_of_a_query_need_not_outlive_its_result),
                cmocka_unit_test(test_sqlite__counts_are_those_of_the_statement),
                cmocka_unit_test(test_sqlite__returning_is_committed_before_its_first_row),
                cmocka_unit_test(test_sqlite__a_finished_query_holds_no_lock),
                cmocka_unit_test(test_sqlite__a_kept_statement_survives_a_change_of_its_table),
                cmocka_unit_test(test_sqlite__many_columns_are_typed_too),
                cmocka_unit_test(test_sqlite__after_a_failure_the_rest_of_the_flush_is_skipped),
                cmocka_unit_test(test_sqlite__a_script_stops_at_its_first_failure),
                cmocka_unit_test(test_sqlite__errors_name_class_code_and_things),
                cmocka_unit_test(test_sqlite__a_read_only_file_refuses_writes),
                cmocka_unit_test(test_sqlite__ping_notices_a_deleted_file),
                cmocka_unit_test(test_sqlite__no_memory_is_an_error_and_nothing_worse),
        };

        return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
