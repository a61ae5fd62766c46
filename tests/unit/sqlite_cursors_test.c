/* SPDX-License-Identifier: MIT */
/* Several cursors on one SQLite connection: its locks, its statements, its memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
/* cmocka needs the four above first. Source: cmocka.h */
#include <cmocka.h>

#include <dal/conn.h>

#include "mem_fault.h"
#include "sqlite_impl.h"
#include "sqlite_raw.h"

static const dal_stmt some = DAL_STMT("some", "SELECT id, name FROM t WHERE id >= ? ORDER BY id");
static const dal_stmt one = DAL_STMT("one", "SELECT name FROM t WHERE id = ?");
static const dal_stmt add = DAL_STMT("add", "INSERT INTO t (id, name) VALUES (?, 'added')");
static const dal_stmt checkpoint = DAL_STMT("checkpoint", "PRAGMA wal_checkpoint(TRUNCATE)");

static dal_error err;

static dal_conn *open_db(const char *file)
{
        dal_conn *conn = NULL;
        dal_dsn *dsn;

        if (dal_dsn_parse(url_of(file, ""), &dsn, &err) ||
            dal_conn_open(sqlite(), dsn, NULL, dal_clock_after_ms(5000), &conn, &err))
                fail_msg("%s", err.message);
        dal_dsn_free(dsn);
        return conn;
}

static void script(dal_conn *conn, const char *sql)
{
        if (dal_conn_script(conn, sql, DAL_FOREVER, &err))
                fail_msg("%s", err.message);
}

/* With ten rows. */
static dal_conn *open_filled(const char *file)
{
        dal_conn *conn = open_db(file);

        script(conn, "DROP TABLE IF EXISTS t; CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT);"
                     "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10)"
                     "INSERT INTO t SELECT i, 'name ' || i FROM n");
        return conn;
}

static dal_rows *query(dal_conn *conn, const dal_stmt *stmt, int64_t param)
{
        dal_rows *rows;

        if (dal_conn_query(conn, stmt, DAL_PARAMS(dal_int64(param)), DAL_FOREVER, &rows, &err))
                fail_msg("%s", err.message);
        return rows;
}

static void assert_name(const dal_rows *rows, uint32_t i_column, int64_t id)
{
        char name[32];
        const char *text;
        size_t size;

        (void)snprintf(name, sizeof name, "name %d", (int)id);
        assert_int_equal(dal_rows_text(rows, i_column, &text, &size, &err), DAL_OK);
        assert_int_equal(size, strlen(name));
        assert_memory_equal(text, name, size);
}

static void assert_next(dal_rows *rows, uint32_t i_column, int64_t id)
{
        bool found;

        if (dal_rows_next(rows, &found, &err))
                fail_msg("%s", err.message);
        assert_true(found);
        assert_name(rows, i_column, id);
}

static int64_t checkpoint_is_busy(dal_conn *conn)
{
        dal_rows *rows;
        int64_t busy;

        assert_int_equal(
                dal_conn_query(conn, &checkpoint, DAL_NO_PARAMS, dal_clock_after_ms(20), &rows, &err),
                DAL_OK);
        assert_int_equal(dal_rows_first(rows, &err), DAL_OK);
        assert_int_equal(dal_rows_int64(rows, 0, &busy, &err), DAL_OK);
        dal_rows_close(rows);
        return busy;
}

/* A reader keeps the log from being emptied. Source: sqlite.org/wal.html, "Avoiding Excessively Large WAL Files" */
static void test_sqlite_cursors__the_read_lock_is_given_up_with_the_last_one(void **state)
{
        (void)state;
        for (int order = 0; order < 2; order++) {
                dal_conn *conn = open_filled("lock.db"), *other = open_db("lock.db");
                dal_rows *rows[3];

                for (int i = 0; i < 3; i++) {
                        rows[i] = query(conn, &some, 1);
                        assert_next(rows[i], 1, 1);
                }
                assert_int_equal(
                        dal_conn_exec(other, &add, DAL_PARAMS(dal_int64(11)), DAL_FOREVER, NULL, &err),
                        DAL_OK);
                for (int i = 0; i < 3; i++) {
                        assert_int_equal(checkpoint_is_busy(other), 1);
                        dal_rows_close(rows[order ? i : 2 - i]);
                }
                assert_int_equal(checkpoint_is_busy(other), 0);
                dal_conn_close(conn);
                dal_conn_close(other);
        }
}

/* Text of a row is SQLite's own memory: it stays while others are stepped, run and closed. */
static void test_sqlite_cursors__cells_stay_while_others_move(void **state)
{
        dal_conn *conn = open_filled("cells.db");
        dal_rows *a = query(conn, &some, 1), *b, *c;

        (void)state;
        assert_next(a, 1, 1);
        b = query(conn, &some, 5);
        assert_next(b, 1, 5);
        for (int64_t i = 1; i < 5; i++) {
                c = query(conn, &one, i);
                assert_next(c, 0, i);
                assert_int_equal(
                        dal_conn_exec(conn, &add, DAL_PARAMS(dal_int64(100 + i)), DAL_FOREVER, NULL, &err),
                        DAL_OK);
                assert_name(a, 1, i);
                assert_name(b, 1, i + 4);
                assert_name(c, 0, i);
                assert_next(a, 1, i + 1);
                assert_name(b, 1, i + 4);
                assert_next(b, 1, i + 5);
                assert_name(c, 0, i);
                dal_rows_close(c);
        }
        dal_rows_close(b);
        dal_rows_close(a);
        dal_conn_close(conn);
}

/* An inner query of a loop is prepared once; run again while it is set aside, a second time. */
static void test_sqlite_cursors__a_statement_gets_its_prepared_form_back(void **state)
{
        struct raw raw = open_file("back.db");
        dal__sqlite_aside *aside = calloc(1, sqlite()->aside_size);
        dal__sqlite_stmt own = {.handle = NULL};
        dal_driver_stmt stmt = {.name = "one", .text = "SELECT 1", .text_size = 8, .state = &own};
        dal_request request = {.kind = DAL_REQUEST_STMT, .stmt = &stmt};
        sqlite3_stmt *first;

        (void)state;
        for (int again = 0; again < 2; again++) {
                must(&raw, run_until(&raw, &request, DAL_FOREVER));
                first = own.handle;
                assert_non_null(first);
                must(&raw, sqlite()->swap(raw.conn, aside, &raw.err));
                assert_null(own.handle);
                if (again)
                        must(&raw, run_until(&raw, &request, DAL_FOREVER));
                must(&raw, sqlite()->discard(raw.conn, DAL_FOREVER, &raw.err));
                must(&raw, sqlite()->swap(raw.conn, aside, &raw.err));
                assert_true(fetch(&raw));
                must(&raw, sqlite()->discard(raw.conn, DAL_FOREVER, &raw.err));
                assert_true((own.handle == first) == !again);
        }
        sqlite()->stmt_close(raw.conn, &stmt);
        sqlite()->drop(raw.conn, aside);
        free(aside);
        shut(&raw);
}

/* First described beside another cursor, then run alone: each has room for its own columns. */
static void test_sqlite_cursors__results_of_all_widths_find_room(void **state)
{
        static const dal_stmt wide = DAL_STMT(
                "wide",
                "SELECT a.name, a.*, b.*, c.*, d.*, a.*, b.*, c.*, d.* FROM t a, t b, t c, t d WHERE a.id = ?"
                " AND b.id = a.id AND c.id = a.id AND d.id = a.id");
        char sql[4000] = "SELECT name";
        dal_conn *conn = open_filled("wide.db");
        dal_rows *a, *b, *c;

        (void)state;
        for (int i = 0; i < 100; i++)
                (void)snprintf(sql + strlen(sql), sizeof sql - strlen(sql), ", id + %d", i);
        (void)snprintf(sql + strlen(sql), sizeof sql - strlen(sql), " FROM t ORDER BY id");
        for (int round = 0; round < 3; round++) {
                a = query(conn, &one, 1);
                assert_next(a, 0, 1);
                b = query(conn, &wide, 2);
                assert_int_equal(dal_rows_n_columns(b), 17);
                assert_next(b, 0, 2);
                assert_int_equal(dal_conn_query_dynamic(conn, sql, DAL_NO_PARAMS, DAL_FOREVER, &c, &err),
                                 DAL_OK);
                assert_int_equal(dal_rows_n_columns(c), 101);
                assert_next(c, 0, 1);
                assert_next(c, 0, 2);
                assert_name(b, 0, 2);
                assert_name(a, 0, 1);
                dal_rows_close(a);
                dal_rows_close(c);
                dal_rows_close(b);
                b = query(conn, &wide, 3);
                assert_next(b, 0, 3);
                assert_name(b, 16, 3);
                dal_rows_close(b);
        }
        dal_conn_close(conn);
}

/* What SQLite rolls back by itself takes all cursors along; none goes on as if nothing had happened. */
static void test_sqlite_cursors__a_rollback_of_sqlites_own_ends_them(void **state)
{
        static const dal_stmt rash = DAL_STMT("rash", "INSERT OR ROLLBACK INTO t (id) VALUES (?)");
        dal_conn *conn = open_filled("rash.db");
        dal_rows *rows[3];
        bool found;

        (void)state;
        assert_int_equal(dal_conn_begin(conn, DAL_ISOLATION_DEFAULT, false, DAL_FOREVER, &err), DAL_OK);
        assert_int_equal(dal_conn_exec(conn, &add, DAL_PARAMS(dal_int64(20)), DAL_FOREVER, NULL, &err),
                         DAL_OK);
        for (int i = 0; i < 3; i++) {
                rows[i] = query(conn, &some, 1);
                assert_next(rows[i], 1, 1);
        }
        assert_int_equal(dal_conn_exec(conn, &rash, DAL_PARAMS(dal_int64(1)), DAL_FOREVER, NULL, &err),
                         DAL_ERR_CONSTRAINT);
        assert_true(err.tx_gone);
        for (int i = 0; i < 3; i++)
                assert_int_equal(dal_rows_next(rows[i], &found, &err), DAL_ERR_STATE);
        assert_int_equal(dal_conn_commit(conn, DAL_FOREVER, &err), DAL_ERR_STATE);
        for (int i = 0; i < 3; i++) {
                assert_int_equal(dal_rows_next(rows[i], &found, &err), DAL_ERR_STATE);
                dal_rows_close(rows[i]);
        }
        rows[0] = query(conn, &some, 20);
        assert_int_equal(dal_rows_first(rows[0], &err), DAL_ERR_NOT_FOUND);
        dal_rows_close(rows[0]);
        dal_conn_close(conn);
}

static void open_three(dal_conn *conn, dal_rows *rows[3])
{
        for (int i = 0; i < 3; i++) {
                rows[i] = query(conn, &some, 1 + i);
                assert_next(rows[i], 1, 1 + i);
        }
}

/* Read to the end: rows 2 + i to 10. */
static void read_three(dal_rows *rows[3])
{
        bool found;

        for (int i = 0; i < 3; i++) {
                for (int64_t id = 2 + i; id <= 10; id++)
                        assert_next(rows[i], 1, id);
                assert_int_equal(dal_rows_next(rows[i], &found, &err), DAL_OK);
                assert_false(found);
                dal_rows_close(rows[i]);
        }
}

/*
 * SQLite refuses to take away what is being read, and says so at once: no waiting would help, nor running the transaction
 * again. Source: sqlite.org/rescode.html, SQLITE_LOCKED, first example
 */
static void test_sqlite_cursors__a_table_that_is_read_can_not_be_dropped(void **state)
{
        static const dal_stmt drop = DAL_STMT("drop", "DROP TABLE t");

        (void)state;
        for (int in_tx = 0; in_tx < 2; in_tx++) {
                dal_conn *conn = open_filled("drop.db");
                int64_t begun = dal_clock_now();
                dal_rows *rows[3];

                if (in_tx)
                        assert_int_equal(
                                dal_conn_begin(conn, DAL_ISOLATION_DEFAULT, false, DAL_FOREVER, &err),
                                DAL_OK);
                open_three(conn, rows);
                assert_int_equal(
                        dal_conn_exec(conn, &drop, DAL_NO_PARAMS, dal_clock_after_ms(20000), NULL, &err),
                        DAL_ERR_BUSY);
                assert_false(err.retry_tx);
                assert_true(dal_clock_now() - begun < INT64_C(10000000000));
                read_three(rows);
                if (in_tx)
                        assert_int_equal(dal_conn_rollback(conn, DAL_FOREVER, &err), DAL_OK);
                assert_int_equal(dal_conn_exec(conn, &drop, DAL_NO_PARAMS, DAL_FOREVER, NULL, &err), DAL_OK);
                dal_conn_close(conn);
        }
}

/* A column more is nothing to those that are open: they have the columns they began with. */
static void test_sqlite_cursors__a_table_that_is_read_may_get_a_column(void **state)
{
        static const dal_stmt alter = DAL_STMT("alter", "ALTER TABLE t ADD COLUMN extra TEXT DEFAULT 'x'");
        static const dal_stmt all = DAL_STMT("all", "SELECT * FROM t WHERE id = ?");
        dal_conn *conn = open_filled("alter.db");
        dal_rows *rows[3], *wide = query(conn, &all, 1);

        (void)state;
        assert_int_equal(dal_rows_n_columns(wide), 2);
        assert_next(wide, 1, 1);
        open_three(conn, rows);
        if (dal_conn_exec(conn, &alter, DAL_NO_PARAMS, DAL_FOREVER, NULL, &err))
                fail_msg("%s", err.message);
        read_three(rows);
        assert_name(wide, 1, 1);
        dal_rows_close(wide);
        wide = query(conn, &all, 2);
        assert_int_equal(dal_rows_n_columns(wide), 3);
        assert_next(wide, 1, 2);
        dal_rows_close(wide);
        dal_conn_close(conn);
}

/* It strikes all of them: none goes on, none looks read to its end, and the connection is as good as before. */
static void test_sqlite_cursors__cancel_ends_them_all(void **state)
{
        (void)state;
        for (int in_tx = 0; in_tx < 2; in_tx++) {
                dal_conn *conn = open_filled("cancel.db"), *other = open_db("cancel.db");
                dal_rows *rows[3];
                bool found;

                if (in_tx)
                        assert_int_equal(
                                dal_conn_begin(conn, DAL_ISOLATION_DEFAULT, false, DAL_FOREVER, &err),
                                DAL_OK);
                open_three(conn, rows);
                assert_int_equal(dal_conn_cancel(conn, dal_clock_after_ms(1000), &err), DAL_OK);
                for (int i = 0; i < 3; i++) {
                        dal_status s = dal_rows_next(rows[i], &found, &err);

                        assert_int_equal(s, DAL_ERR_CANCELED);
                        assert_false(err.conn_gone);
                }
                for (int i = 0; i < 3; i++) {
                        assert_int_equal(dal_rows_next(rows[i], &found, &err), DAL_ERR_STATE);
                        dal_rows_close(rows[i]);
                }
                if (in_tx)
                        assert_int_equal(dal_conn_rollback(conn, DAL_FOREVER, &err), DAL_OK);
                assert_int_equal(checkpoint_is_busy(other), 0);
                open_three(conn, rows);
                read_three(rows);
                dal_conn_close(other);
                dal_conn_close(conn);
        }
}

static void test_sqlite_cursors__want_of_memory_leaves_the_first_where_it_was(void **state)
{
        unsigned n_failed = 0;
        bool struck = true;

        (void)state;
        for (size_t at = 1; struck && at < 100; at++) {
                dal_conn *conn = open_filled("nomem.db");
                dal_rows *a = query(conn, &some, 1), *b;
                dal_status s;

                assert_next(a, 1, 1);
                mem_fault_at = at;
                s = dal_conn_query(conn, &one, DAL_PARAMS(dal_int64(4)), DAL_FOREVER, &b, &err);
                struck = mem_fault_at == 0;
                mem_fault_at = 0;
                assert_int_equal(s, struck ? DAL_ERR_NOMEM : DAL_OK);
                n_failed += struck;
                assert_name(a, 1, 1);
                if (struck)
                        b = query(conn, &one, 4);
                assert_next(b, 0, 4);
                assert_next(a, 1, 2);
                dal_rows_close(a);
                dal_rows_close(b);
                dal_conn_close(conn);
        }
        assert_true(n_failed >= 4);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_sqlite_cursors__the_read_lock_is_given_up_with_the_last_one),
                cmocka_unit_test(test_sqlite_cursors__cells_stay_while_others_move),
                cmocka_unit_test(test_sqlite_cursors__a_statement_gets_its_prepared_form_back),
                cmocka_unit_test(test_sqlite_cursors__results_of_all_widths_find_room),
                cmocka_unit_test(test_sqlite_cursors__a_rollback_of_sqlites_own_ends_them),
                cmocka_unit_test(test_sqlite_cursors__a_table_that_is_read_can_not_be_dropped),
                cmocka_unit_test(test_sqlite_cursors__a_table_that_is_read_may_get_a_column),
                cmocka_unit_test(test_sqlite_cursors__cancel_ends_them_all),
                cmocka_unit_test(test_sqlite_cursors__want_of_memory_leaves_the_first_where_it_was),
        };

        return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
