/* SPDX-License-Identifier: MIT */
/* libpq by hand, the fastest honest way: prepared, binary. */
#include "bench.h"

#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Source: PostgreSQL src/include/catalog/pg_type.dat */
#define INT8_OID 20
#define TEXT_OID 25

typedef struct session {
        PGconn *conns[BENCH_N_DATABASES];
        size_t n_conns;
        uint64_t keys;
} session;

static void check(PGconn *conn, bool fine)
{
        if (!fine)
                bench_die("postgres", PQerrorMessage(conn));
}

static void finish(PGconn *conn, PGresult *result)
{
        ExecStatusType status = PQresultStatus(result);

        check(conn, status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK || status == PGRES_PIPELINE_SYNC);
        PQclear(result);
}

static void run_sql(PGconn *conn, const char *sql)
{
        finish(conn, PQexec(conn, sql));
}

static PGconn *connect_to(const char *url)
{
        static const char *const keywords[] = {"host", "port", "user", "password", "dbname", "sslmode", NULL};
        static const Oid types[] = {INT8_OID, TEXT_OID};
        dal_error err = DAL_ERROR_INIT;
        char port[8];
        PGconn *conn;
        dal_dsn *dsn;

        bench_check_status(dal_dsn_parse(url, &dsn, &err), &err);
        snprintf(port, sizeof port, "%u", dal_dsn_port(dsn));
        conn = PQconnectdbParams(keywords,
                                 (const char *const[]){dal_dsn_host(dsn), port, dal_dsn_user(dsn),
                                                       dal_dsn_password(dsn), dal_dsn_dbname(dsn), "disable",
                                                       NULL},
                                 0);
        check(conn, PQstatus(conn) == CONNECTION_OK);
        dal_dsn_free(dsn);
        finish(conn, PQprepare(conn, "s", "SELECT v FROM bench_kv WHERE id = $1", 1, types));
        finish(conn, PQprepare(conn, "i", "INSERT INTO bench_ins (id, v) VALUES ($1, $2)", 2, types));
        return conn;
}

static void *open_session(const char *const *urls, size_t n_urls, long size)
{
        session *s = bench_alloc(1, sizeof *s);

        (void)size;
        s->keys = BENCH_SEED;
        s->n_conns = n_urls;
        for (size_t i = 0; i < n_urls; i++)
                s->conns[i] = connect_to(urls[i]);
        return s;
}

static void close_session(void *arg)
{
        session *s = arg;

        for (size_t i = 0; i < s->n_conns; i++)
                PQfinish(s->conns[i]);
        free(s);
}

/* ---- point selects ---- */

typedef struct key_param {
        uint64_t wire;
        const char *values[1];
} key_param;

static const int key_sizes[] = {8}, binary[] = {1, 1};

static const char *const *key_values(key_param *p, int64_t key)
{
        p->wire = __builtin_bswap64((uint64_t)key);
        p->values[0] = (const char *)&p->wire;
        return p->values;
}

static void take_value(PGconn *conn, PGresult *result, int64_t key)
{
        check(conn, PQresultStatus(result) == PGRES_TUPLES_OK && PQntuples(result) == 1);
        bench_check_value(key, PQgetvalue(result, 0, 0), (size_t)PQgetlength(result, 0, 0));
        PQclear(result);
}

static void select_one(PGconn *conn, int64_t key)
{
        key_param p;

        take_value(conn, PQexecPrepared(conn, "s", 1, key_values(&p, key), key_sizes, binary, 1), key);
}

static void send_select(PGconn *conn, int64_t key)
{
        key_param p;

        check(conn, PQsendQueryPrepared(conn, "s", 1, key_values(&p, key), key_sizes, binary, 1) == 1);
}

static void select_rows(void *arg, long n, long size)
{
        session *s = arg;

        (void)size;
        for (long i = 0; i < n; i++)
                select_one(s->conns[0], bench_next_key(&s->keys));
}

static void select_ahead(void *arg, long n, long size)
{
        session *s = arg;
        PGconn *conn = s->conns[0];
        uint64_t keys = s->keys;

        check(conn, PQenterPipelineMode(conn) == 1);
        for (long done = 0; done < n; done += size) {
                for (long i = 0; i < size; i++)
                        send_select(conn, bench_next_key(&s->keys));
                check(conn, PQpipelineSync(conn) == 1);
                for (long i = 0; i < size; i++) {
                        take_value(conn, PQgetResult(conn), bench_next_key(&keys));
                        check(conn, PQgetResult(conn) == NULL);
                }
                finish(conn, PQgetResult(conn));
        }
        check(conn, PQexitPipelineMode(conn) == 1);
}

static void select_each(void *arg, long n, long size)
{
        session *s = arg;

        (void)size;
        for (long i = 0; i < n; i++) {
                int64_t key = bench_next_key(&s->keys);

                for (size_t k = 0; k < s->n_conns; k++)
                        select_one(s->conns[k], key);
        }
}

static void select_everywhere(void *arg, long n, long size)
{
        session *s = arg;

        (void)size;
        for (long i = 0; i < n; i++) {
                int64_t key = bench_next_key(&s->keys);

                for (size_t k = 0; k < s->n_conns; k++)
                        send_select(s->conns[k], key);
                for (size_t k = 0; k < s->n_conns; k++) {
                        take_value(s->conns[k], PQgetResult(s->conns[k]), key);
                        check(s->conns[k], PQgetResult(s->conns[k]) == NULL);
                }
        }
}

/* ---- inserts ---- */

typedef struct row_param {
        uint64_t id;
        char value[BENCH_VALUE_SIZE];
        const char *values[2];
} row_param;

static const int row_sizes[] = {8, BENCH_VALUE_SIZE};

static const char *const *row_values(row_param *p, int64_t id)
{
        p->id = __builtin_bswap64((uint64_t)id);
        bench_write_value(id, p->value);
        p->values[0] = (const char *)&p->id;
        p->values[1] = p->value;
        return p->values;
}

static void insert_rows(void *arg, long n, long size)
{
        PGconn *conn = ((session *)arg)->conns[0];
        row_param p;

        (void)size;
        run_sql(conn, "BEGIN");
        for (long i = 1; i <= n; i++)
                finish(conn, PQexecPrepared(conn, "i", 2, row_values(&p, i), row_sizes, binary, 1));
        run_sql(conn, "COMMIT");
}

/* Synced and read every 256 rows, lest both sides write and nobody reads. */
static void insert_ahead(void *arg, long n, long size)
{
        PGconn *conn = ((session *)arg)->conns[0];
        row_param p;

        (void)size;
        run_sql(conn, "BEGIN");
        check(conn, PQenterPipelineMode(conn) == 1);
        for (long i = 1, n_sent = 0; i <= n; i++) {
                check(conn, PQsendQueryPrepared(conn, "i", 2, row_values(&p, i), row_sizes, binary, 1) == 1);
                if (++n_sent < 256 && i < n)
                        continue;
                check(conn, PQpipelineSync(conn) == 1);
                for (; n_sent; n_sent--) {
                        finish(conn, PQgetResult(conn));
                        check(conn, PQgetResult(conn) == NULL);
                }
                finish(conn, PQgetResult(conn));
        }
        check(conn, PQexitPipelineMode(conn) == 1);
        run_sql(conn, "COMMIT");
}

static void insert_copy(void *arg, long n, long size)
{
        /* Source: PostgreSQL 15, COPY, binary format: signature, flags, length of the header's extension */
        static const char header[19] = "PGCOPY\n\377\r\n";
        static const char trailer[2] = {'\377', '\377'};
        PGconn *conn = ((session *)arg)->conns[0];
        char row[34] = {0, 2, 0, 0, 0, 8, [17] = BENCH_VALUE_SIZE};
        PGresult *result;

        (void)size;
        run_sql(conn, "BEGIN");
        result = PQexec(conn, "COPY bench_ins (id, v) FROM STDIN (FORMAT binary)");
        check(conn, PQresultStatus(result) == PGRES_COPY_IN);
        PQclear(result);
        check(conn, PQputCopyData(conn, header, sizeof header) == 1);
        for (long i = 1; i <= n; i++) {
                uint64_t id = __builtin_bswap64((uint64_t)i);

                memcpy(row + 6, &id, sizeof id);
                bench_write_value(i, row + 18);
                check(conn, PQputCopyData(conn, row, sizeof row) == 1);
        }
        check(conn, PQputCopyData(conn, trailer, sizeof trailer) == 1 && PQputCopyEnd(conn, NULL) == 1);
        finish(conn, PQgetResult(conn));
        check(conn, PQgetResult(conn) == NULL);
        run_sql(conn, "COMMIT");
}

/* ---- scans ---- */

static void add_up(bench_sum *sum, const PGresult *result)
{
        for (int i = 0; i < PQntuples(result); i++) {
                uint64_t id, bits;
                double number;

                memcpy(&id, PQgetvalue(result, i, 0), sizeof id);
                memcpy(&bits, PQgetvalue(result, i, 1), sizeof bits);
                bits = __builtin_bswap64(bits);
                memcpy(&number, &bits, sizeof number);
                sum->n_rows++;
                sum->ids += (int64_t)__builtin_bswap64(id);
                sum->doubles += number;
                (void)PQgetvalue(result, i, 2); /* for whoever wants to read it */
                sum->bytes += PQgetlength(result, i, 2);
        }
}

static void scan(PGconn *conn, long n, bool by_row)
{
        bench_sum sum = {0};
        PGresult *result;

        check(conn,
              PQsendQueryParams(conn, "SELECT id, d, s FROM bench_scan", 0, NULL, NULL, NULL, NULL, 1) == 1);
        if (by_row)
                check(conn, PQsetSingleRowMode(conn) == 1);
        while ((result = PQgetResult(conn))) {
                ExecStatusType status = PQresultStatus(result);

                check(conn, status == PGRES_SINGLE_TUPLE || status == PGRES_TUPLES_OK);
                add_up(&sum, result);
                PQclear(result);
        }
        bench_check_sum(&sum, n);
}

static void scan_whole(void *arg, long n, long size)
{
        (void)size;
        scan(((session *)arg)->conns[0], n, false);
}

static void scan_rows(void *arg, long n, long size)
{
        (void)size;
        scan(((session *)arg)->conns[0], n, true);
}

const bench_side bench_raw_postgres = {
        .name = "raw",
        .open = open_session,
        .close = close_session,
        .work = {[BENCH_SELECT] = select_rows,
                 [BENCH_AHEAD] = select_ahead,
                 [BENCH_INSERT] = insert_rows,
                 [BENCH_QUEUE] = insert_ahead,
                 [BENCH_BULK] = insert_copy,
                 [BENCH_SCAN_WHOLE] = scan_whole,
                 [BENCH_SCAN] = scan_rows,
                 [BENCH_EACH] = select_each,
                 [BENCH_EVERYWHERE] = select_everywhere},
};
