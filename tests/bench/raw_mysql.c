/* SPDX-License-Identifier: MIT */
#include "bench.h"

#include <mysql.h>
#include <string.h>

void bench_raw_mysql(const dal_dsn *dsn, long n)
{
        static const char sql[] = "SELECT v FROM bench_kv WHERE id = ?";
        uint64_t state = 88172645463325252u;
        MYSQL_BIND param[1], column[1];
        unsigned long size = 0;
        MYSQL_STMT *stmt;
        char value[64];
        int64_t key;
        MYSQL *conn = mysql_init(NULL);

        if (!mysql_real_connect(conn, dal_dsn_host(dsn), dal_dsn_user(dsn), dal_dsn_password(dsn),
                                dal_dsn_dbname(dsn), dal_dsn_port(dsn), NULL, 0))
                bench_die("mysql", mysql_error(conn));
        stmt = mysql_stmt_init(conn);
        if (mysql_stmt_prepare(stmt, sql, sizeof sql - 1))
                bench_die("mysql", mysql_stmt_error(stmt));
        memset(param, 0, sizeof param);
        memset(column, 0, sizeof column);
        param[0].buffer_type = MYSQL_TYPE_LONGLONG;
        param[0].buffer = &key;
        column[0].buffer_type = MYSQL_TYPE_STRING;
        column[0].buffer = value;
        column[0].buffer_length = sizeof value;
        column[0].length = &size;
        mysql_stmt_bind_param(stmt, param);
        mysql_stmt_bind_result(stmt, column);
        for (long i = 0; i < n; i++) {
                key = bench_key(&state);
                if (mysql_stmt_execute(stmt) || mysql_stmt_store_result(stmt) || mysql_stmt_fetch(stmt))
                        bench_die("mysql", mysql_stmt_error(stmt));
                bench_check(key, value, size);
                mysql_stmt_free_result(stmt);
        }
        mysql_stmt_close(stmt);
        mysql_close(conn);
}
