/* SPDX-License-Identifier: MIT */
/* sqlite3 by hand, with the settings of the library's driver, so that a commit means the same on both sides. */
#include "bench.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>

#define ROWS_A_STATEMENT 100

typedef struct session {
        sqlite3 *db;
        sqlite3_stmt *select, *insert, *insert_many, *scan;
        uint64_t keys;
} session;

static void check(session *s, bool fine)
{
        if (!fine)
                bench_die("sqlite", sqlite3_errmsg(s->db));
}

static sqlite3_stmt *prepare(session *s, const char *sql)
{
        sqlite3_stmt *stmt;

        check(s, sqlite3_prepare_v2(s->db, sql, -1, &stmt, NULL) == SQLITE_OK);
        return stmt;
}

static void run_sql(session *s, const char *sql)
{
        check(s, sqlite3_exec(s->db, sql, NULL, NULL, NULL) == SQLITE_OK);
}

static void *open_session(const char *const *urls, size_t n_urls, long size)
{
        char sql[64 + 6 * ROWS_A_STATEMENT];
        session *s = bench_alloc(1, sizeof *s);
        dal_error err = DAL_ERROR_INIT;
        dal_dsn *dsn;
        size_t n;

        (void)n_urls;
        (void)size;
        s->keys = BENCH_SEED;
        bench_check_status(dal_dsn_parse(urls[0], &dsn, &err), &err);
        check(s, sqlite3_open_v2(dal_dsn_path(dsn), &s->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX,
                                 NULL) == SQLITE_OK);
        dal_dsn_free(dsn);
        sqlite3_busy_timeout(s->db, 10000);
        run_sql(s, "PRAGMA journal_mode=WAL");
        run_sql(s, "PRAGMA synchronous=FULL");
        s->select = prepare(s, "SELECT v FROM bench_kv WHERE id = ?");
        s->insert = prepare(s, "INSERT INTO bench_ins (id, v) VALUES (?, ?)");
        s->scan = prepare(s, "SELECT id, d, s FROM bench_scan");
        n = (size_t)snprintf(sql, sizeof sql, "INSERT INTO bench_ins (id, v) VALUES (?,?)");
        for (int i = 1; i < ROWS_A_STATEMENT; i++)
                n += (size_t)snprintf(sql + n, sizeof sql - n, ",(?,?)");
        s->insert_many = prepare(s, sql);
        return s;
}

static void close_session(void *arg)
{
        session *s = arg;

        sqlite3_finalize(s->select);
        sqlite3_finalize(s->insert);
        sqlite3_finalize(s->insert_many);
        sqlite3_finalize(s->scan);
        sqlite3_close(s->db);
        free(s);
}

static void select_rows(void *arg, long n, long size)
{
        session *s = arg;

        (void)size;
        for (long i = 0; i < n; i++) {
                int64_t key = bench_next_key(&s->keys);

                sqlite3_bind_int64(s->select, 1, key);
                check(s, sqlite3_step(s->select) == SQLITE_ROW);
                bench_check_value(key, (const char *)sqlite3_column_text(s->select, 0),
                                  (size_t)sqlite3_column_bytes(s->select, 0));
                sqlite3_reset(s->select);
        }
}

static void insert(session *s, sqlite3_stmt *stmt, long n, int rows_a_statement)
{
        char values[ROWS_A_STATEMENT][BENCH_VALUE_SIZE];

        run_sql(s, "BEGIN");
        for (long done = 0; done < n; done += rows_a_statement) {
                for (int i = 0; i < rows_a_statement; i++) {
                        bench_write_value(done + i + 1, values[i]);
                        sqlite3_bind_int64(stmt, 2 * i + 1, done + i + 1);
                        sqlite3_bind_text(stmt, 2 * i + 2, values[i], BENCH_VALUE_SIZE, SQLITE_STATIC);
                }
                check(s, sqlite3_step(stmt) == SQLITE_DONE);
                sqlite3_reset(stmt);
        }
        run_sql(s, "COMMIT");
}

static void insert_rows(void *arg, long n, long size)
{
        session *s = arg;

        (void)size;
        insert(s, s->insert, n, 1);
}

static void insert_fast(void *arg, long n, long size)
{
        session *s = arg;

        (void)size;
        insert(s, s->insert_many, n, ROWS_A_STATEMENT);
}

static void scan_rows(void *arg, long n, long size)
{
        session *s = arg;
        bench_sum sum = {0};

        (void)size;
        while (sqlite3_step(s->scan) == SQLITE_ROW) {
                sum.n_rows++;
                sum.ids += sqlite3_column_int64(s->scan, 0);
                sum.doubles += sqlite3_column_double(s->scan, 1);
                (void)sqlite3_column_text(s->scan, 2);
                sum.bytes += sqlite3_column_bytes(s->scan, 2);
        }
        check(s, sqlite3_reset(s->scan) == SQLITE_OK);
        bench_check_sum(&sum, n);
}

const bench_side bench_raw_sqlite = {
        .name = "raw",
        .open = open_session,
        .close = close_session,
        .work = {[BENCH_SELECT] = select_rows,
                 [BENCH_INSERT] = insert_rows,
                 [BENCH_BULK] = insert_fast,
                 [BENCH_SCAN] = scan_rows},
};
