/* SPDX-License-Identifier: MIT */
/* The MySQL family by hand, the fastest honest way: prepared, binary. For both client libraries. */
#include "bench.h"

#include <mysql.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROWS_A_STATEMENT 1000

#ifdef MARIADB_PACKAGE_VERSION
#define IS_CONNECTOR_C 1
#else
#define IS_CONNECTOR_C 0
#endif

typedef struct session {
        MYSQL *conns[BENCH_N_DATABASES];
        MYSQL_STMT *selects[BENCH_N_DATABASES];
        size_t n_conns;
        MYSQL_STMT *insert, *insert_many, *scan;
        bool has_arrays;
        uint64_t keys;
        int64_t key; /* what `selects` take and give */
        char value[64];
        unsigned long value_size;
        int64_t ids[ROWS_A_STATEMENT]; /* what the inserts take */
        char values[ROWS_A_STATEMENT][BENCH_VALUE_SIZE];
        char *value_ptrs[ROWS_A_STATEMENT];
        unsigned long value_sizes[ROWS_A_STATEMENT];
} session;

static void check(MYSQL *conn, bool fine)
{
        if (!fine)
                bench_die("mysql", mysql_error(conn));
}

static void check_stmt(MYSQL_STMT *stmt, bool fine)
{
        if (!fine)
                bench_die("mysql", mysql_stmt_error(stmt));
}

static MYSQL_STMT *prepare(MYSQL *conn, const char *sql)
{
        MYSQL_STMT *stmt = mysql_stmt_init(conn);

        check_stmt(stmt, mysql_stmt_prepare(stmt, sql, (unsigned long)strlen(sql)) == 0);
        return stmt;
}

static MYSQL *connect_to(const char *url)
{
        dal_error err = DAL_ERROR_INIT;
        MYSQL *conn = mysql_init(NULL);
        dal_dsn *dsn;

        bench_check_status(dal_dsn_parse(url, &dsn, &err), &err);
        check(conn, mysql_real_connect(conn, dal_dsn_host(dsn), dal_dsn_user(dsn), dal_dsn_password(dsn),
                                       dal_dsn_dbname(dsn), dal_dsn_port(dsn), NULL, 0) != NULL);
        dal_dsn_free(dsn);
        return conn;
}

static MYSQL_BIND bind_of(enum enum_field_types type, void *buffer, size_t size, unsigned long *length)
{
        MYSQL_BIND bind;

        memset(&bind, 0, sizeof bind);
        bind.buffer_type = type;
        bind.buffer = buffer;
        bind.buffer_length = (unsigned long)size;
        bind.length = length;
        return bind;
}

/* Array binding is a thing of MariaDB's, on both ends. */
static void prepare_arrays(session *s)
{
#if IS_CONNECTOR_C
        unsigned int n_rows = ROWS_A_STATEMENT;
        MYSQL_BIND binds[2] = {bind_of(MYSQL_TYPE_LONGLONG, s->ids, 8, NULL),
                               bind_of(MYSQL_TYPE_STRING, s->value_ptrs, 0, s->value_sizes)};

        s->has_arrays = strstr(mysql_get_server_info(s->conns[0]), "MariaDB") != NULL;
        if (!s->has_arrays)
                return;
        s->insert_many = prepare(s->conns[0], "INSERT INTO bench_ins (id, v) VALUES (?, ?)");
        mysql_stmt_attr_set(s->insert_many, STMT_ATTR_ARRAY_SIZE, &n_rows);
        mysql_stmt_bind_param(s->insert_many, binds);
#else
        (void)s;
#endif
}

static void prepare_values(session *s)
{
        MYSQL_BIND *binds = bench_alloc(2 * ROWS_A_STATEMENT, sizeof *binds);
        char sql[64 + 6 * ROWS_A_STATEMENT];
        size_t n = (size_t)snprintf(sql, sizeof sql, "INSERT INTO bench_ins (id, v) VALUES (?,?)");

        for (int i = 0; i < ROWS_A_STATEMENT; i++) {
                if (i > 0)
                        n += (size_t)snprintf(sql + n, sizeof sql - n, ",(?,?)");
                binds[2 * i] = bind_of(MYSQL_TYPE_LONGLONG, &s->ids[i], 8, NULL);
                binds[2 * i + 1] =
                        bind_of(MYSQL_TYPE_STRING, s->values[i], BENCH_VALUE_SIZE, &s->value_sizes[i]);
        }
        s->insert_many = prepare(s->conns[0], sql);
        mysql_stmt_bind_param(s->insert_many, binds);
        free(binds);
}

static void *open_session(const char *const *urls, size_t n_urls, long size)
{
        session *s = bench_alloc(1, sizeof *s);
        MYSQL_BIND key = bind_of(MYSQL_TYPE_LONGLONG, &s->key, 8, NULL);
        MYSQL_BIND value = bind_of(MYSQL_TYPE_STRING, s->value, sizeof s->value, &s->value_size);
        MYSQL_BIND row[2] = {bind_of(MYSQL_TYPE_LONGLONG, s->ids, 8, NULL),
                             bind_of(MYSQL_TYPE_STRING, s->values[0], BENCH_VALUE_SIZE, &s->value_sizes[0])};

        (void)size;
        s->keys = BENCH_SEED;
        s->n_conns = n_urls;
        for (size_t i = 0; i < n_urls; i++) {
                s->conns[i] = connect_to(urls[i]);
                s->selects[i] = prepare(s->conns[i], "SELECT v FROM bench_kv WHERE id = ?");
                mysql_stmt_bind_param(s->selects[i], &key);
                mysql_stmt_bind_result(s->selects[i], &value);
        }
        for (size_t i = 0; i < ROWS_A_STATEMENT; i++) {
                s->value_ptrs[i] = s->values[i];
                s->value_sizes[i] = BENCH_VALUE_SIZE;
        }
        s->insert = prepare(s->conns[0], "INSERT INTO bench_ins (id, v) VALUES (?, ?)");
        mysql_stmt_bind_param(s->insert, row);
        s->scan = prepare(s->conns[0], "SELECT id, d, s FROM bench_scan");
        prepare_arrays(s);
        if (!s->has_arrays)
                prepare_values(s);
        return s;
}

static void close_session(void *arg)
{
        session *s = arg;

        mysql_stmt_close(s->insert);
        mysql_stmt_close(s->insert_many);
        mysql_stmt_close(s->scan);
        for (size_t i = 0; i < s->n_conns; i++) {
                mysql_stmt_close(s->selects[i]);
                mysql_close(s->conns[i]);
        }
        free(s);
}

/* ---- point selects ---- */

static void select_one(session *s, size_t i_conn, int64_t key)
{
        MYSQL_STMT *stmt = s->selects[i_conn];

        s->key = key;
        check_stmt(stmt, mysql_stmt_execute(stmt) == 0 && mysql_stmt_store_result(stmt) == 0 &&
                                 mysql_stmt_fetch(stmt) == 0);
        bench_check_value(key, s->value, s->value_size);
        mysql_stmt_free_result(stmt);
}

static void select_rows(void *arg, long n, long size)
{
        session *s = arg;

        (void)size;
        for (long i = 0; i < n; i++)
                select_one(s, 0, bench_next_key(&s->keys));
}

static void select_each(void *arg, long n, long size)
{
        session *s = arg;

        (void)size;
        for (long i = 0; i < n; i++) {
                int64_t key = bench_next_key(&s->keys);

                for (size_t k = 0; k < s->n_conns; k++)
                        select_one(s, k, key);
        }
}

/* The client library's only call for sending without reading takes text. */
static void send_text(MYSQL *conn, int64_t key)
{
        char sql[80];
        int size = snprintf(sql, sizeof sql, "SELECT v FROM bench_kv WHERE id = %lld", (long long)key);

        check(conn, mysql_send_query(conn, sql, (unsigned long)size) == 0);
}

static void take_text(MYSQL *conn, int64_t key)
{
        MYSQL_RES *result = NULL;
        MYSQL_ROW row;

        if (mysql_read_query_result(conn) == 0)
                result = mysql_store_result(conn);
        check(conn, result != NULL);
        row = mysql_fetch_row(result);
        check(conn, row != NULL);
        bench_check_value(key, row[0], mysql_fetch_lengths(result)[0]);
        mysql_free_result(result);
}

#if IS_CONNECTOR_C
static void select_ahead(void *arg, long n, long size)
{
        session *s = arg;
        uint64_t keys = s->keys;

        for (long done = 0; done < n; done += size) {
                for (long i = 0; i < size; i++)
                        send_text(s->conns[0], bench_next_key(&s->keys));
                for (long i = 0; i < size; i++) {
                        /* Every answer counts its packets from 1. Source: MySQL protocol, "Sequence ID" */
                        s->conns[0]->net.pkt_nr = 1;
                        take_text(s->conns[0], bench_next_key(&keys));
                }
        }
}
#endif

static void select_everywhere(void *arg, long n, long size)
{
        session *s = arg;

        (void)size;
        for (long i = 0; i < n; i++) {
                int64_t key = bench_next_key(&s->keys);

                for (size_t k = 0; k < s->n_conns; k++)
                        send_text(s->conns[k], key);
                for (size_t k = 0; k < s->n_conns; k++)
                        take_text(s->conns[k], key);
        }
}

/* ---- inserts ---- */

static void insert(session *s, MYSQL_STMT *stmt, long n, int rows_a_statement)
{
        check(s->conns[0], mysql_query(s->conns[0], "START TRANSACTION") == 0);
        for (long done = 0; done < n; done += rows_a_statement) {
                for (int i = 0; i < rows_a_statement; i++) {
                        s->ids[i] = done + i + 1;
                        bench_write_value(s->ids[i], s->values[i]);
                }
                check_stmt(stmt, mysql_stmt_execute(stmt) == 0);
        }
        check(s->conns[0], mysql_query(s->conns[0], "COMMIT") == 0);
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

/* ---- scans ---- */

static void scan(session *s, long n, bool whole)
{
        bench_sum sum = {0};
        unsigned long text_size;
        int64_t id;
        double number;
        MYSQL_BIND columns[3] = {bind_of(MYSQL_TYPE_LONGLONG, &id, 8, NULL),
                                 bind_of(MYSQL_TYPE_DOUBLE, &number, 8, NULL),
                                 bind_of(MYSQL_TYPE_STRING, s->value, sizeof s->value, &text_size)};
        int end;

        check_stmt(s->scan, mysql_stmt_execute(s->scan) == 0 &&
                                    mysql_stmt_bind_result(s->scan, columns) == 0 &&
                                    (!whole || mysql_stmt_store_result(s->scan) == 0));
        while ((end = mysql_stmt_fetch(s->scan)) == 0) {
                sum.n_rows++;
                sum.ids += id;
                sum.doubles += number;
                sum.bytes += (int64_t)text_size;
        }
        check_stmt(s->scan, end == MYSQL_NO_DATA);
        mysql_stmt_free_result(s->scan);
        bench_check_sum(&sum, n);
}

static void scan_whole(void *arg, long n, long size)
{
        (void)size;
        scan(arg, n, true);
}

static void scan_rows(void *arg, long n, long size)
{
        (void)size;
        scan(arg, n, false);
}

const bench_side bench_raw_mysql = {
        .name = "raw",
        .open = open_session,
        .close = close_session,
        .work = {[BENCH_SELECT] = select_rows,
#if IS_CONNECTOR_C
                 [BENCH_AHEAD] = select_ahead,
#endif
                 [BENCH_INSERT] = insert_rows,
                 [BENCH_BULK] = insert_fast,
                 [BENCH_SCAN_WHOLE] = scan_whole,
                 [BENCH_SCAN] = scan_rows,
                 [BENCH_EACH] = select_each,
                 [BENCH_EVERYWHERE] = select_everywhere},
};
