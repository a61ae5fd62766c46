/* SPDX-License-Identifier: MIT */
#include "bench.h"

#include <sqlite3.h>

void bench_raw_sqlite(const dal_dsn *dsn, long n)
{
        uint64_t state = 88172645463325252u;
        sqlite3_stmt *stmt;
        sqlite3 *db;

        if (sqlite3_open_v2(dal_dsn_dbname(dsn), &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) ||
            sqlite3_prepare_v2(db, "SELECT v FROM bench_kv WHERE id = ?", -1, &stmt, NULL))
                bench_die("sqlite", sqlite3_errmsg(db));
        for (long i = 0; i < n; i++) {
                int64_t key = bench_key(&state);

                sqlite3_bind_int64(stmt, 1, key);
                if (sqlite3_step(stmt) != SQLITE_ROW)
                        bench_die("sqlite", sqlite3_errmsg(db));
                bench_check(key, (const char *)sqlite3_column_text(stmt, 0),
                            (size_t)sqlite3_column_bytes(stmt, 0));
                sqlite3_reset(stmt);
        }
        sqlite3_finalize(stmt);
        sqlite3_close(db);
}
