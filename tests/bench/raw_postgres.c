/* SPDX-License-Identifier: MIT */
#include "bench.h"

#include <libpq-fe.h>

void bench_raw_postgres(const dal_dsn *dsn, long n)
{
        const char *const keywords[] = {"host", "port", "user", "password", "dbname", "sslmode", NULL};
        char port[8];
        const char *const values[] = {
                dal_dsn_host(dsn), port, dal_dsn_user(dsn), dal_dsn_password(dsn), dal_dsn_dbname(dsn),
                "disable",         NULL};
        const Oid types[] = {20}; /* int8 */
        uint64_t state = 88172645463325252u;
        PGresult *result;
        PGconn *conn;

        snprintf(port, sizeof port, "%u", dal_dsn_port(dsn));
        conn = PQconnectdbParams(keywords, values, 0);
        if (PQstatus(conn) != CONNECTION_OK)
                bench_die("postgres", PQerrorMessage(conn));
        PQclear(PQprepare(conn, "s", "SELECT v FROM bench_kv WHERE id = $1", 1, types));
        for (long i = 0; i < n; i++) {
                int64_t key = bench_key(&state);
                uint64_t wire = __builtin_bswap64((uint64_t)key);
                const char *params[] = {(const char *)&wire};
                const int sizes[] = {8}, formats[] = {1};

                result = PQexecPrepared(conn, "s", 1, params, sizes, formats, 1);
                if (PQresultStatus(result) != PGRES_TUPLES_OK)
                        bench_die("postgres", PQerrorMessage(conn));
                bench_check(key, PQgetvalue(result, 0, 0), (size_t)PQgetlength(result, 0, 0));
                PQclear(result);
        }
        PQfinish(conn);
}
