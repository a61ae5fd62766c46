/* SPDX-License-Identifier: MIT */
/* Where values end: narrow columns, sizes, refusals with nothing sent, and what must change no value. */

#include <stdlib.h>
#include <time.h>

#include "conf.h"

#define MIB ((size_t)1024 * 1024)

static const dal_stmt put_bytes = DAL_STMT("put_bytes", "INSERT INTO conf_value (id, y) VALUES (?, ?)"),
                      get_bytes = DAL_STMT("get_bytes", "SELECT y FROM conf_value WHERE id = ?"),
                      all_bytes = DAL_STMT("all_bytes",
                                           "SELECT y FROM conf_value WHERE id BETWEEN ? AND ? ORDER BY id"),
                      put_text = DAL_STMT("put_text", "INSERT INTO conf_value (id, t) VALUES (?, ?)"),
                      get_text = DAL_STMT("get_text", "SELECT t FROM conf_value WHERE id = ?"),
                      put_int = DAL_STMT("put_int64", "INSERT INTO conf_value (id, i) VALUES (?, ?)"),
                      get_int = DAL_STMT("get_int64", "SELECT i FROM conf_value WHERE id = ?"),
                      put_time = DAL_STMT("put_timestamp", "INSERT INTO conf_value (id, ts) VALUES (?, ?)"),
                      get_time = DAL_STMT("get_timestamp", "SELECT ts FROM conf_value WHERE id = ?");

static void put(struct conf *c, const dal_stmt *stmt, int64_t id, dal_value value)
{
        OK(dal_conn_exec(c->conn, stmt, DAL_PARAMS(dal_int64(id), value), SOON, NULL, &c->err));
}

static dal_rows *get(struct conf *c, const dal_stmt *stmt, int64_t id)
{
        dal_rows *rows = NULL;

        OK(dal_conn_query(c->conn, stmt, DAL_PARAMS(dal_int64(id)), SOON, &rows, &c->err));
        OK(dal_rows_first(rows, &c->err));
        return rows;
}

static void check_usable(struct conf *c)
{
        assert_int_equal(dal_conn_tx_state(c->conn), DAL_TX_STATE_IDLE);
        assert_int_equal(conf_number(c, c->conn, &conf_count_accounts, DAL_NO_PARAMS), 0);
}

/* Bytes that say where they stand, so that a piece lost or doubled is seen. */
static char *make_bytes(size_t size)
{
        char *bytes = malloc(size);

        assert_non_null(bytes);
        for (size_t i = 0; i < size; i++)
                bytes[i] = (char)(i ^ i >> 8 ^ i >> 16);
        return bytes;
}

static void check_bytes(struct conf *c, const dal_rows *rows, const char *bytes, size_t size)
{
        const void *out = NULL;
        size_t out_size = 0;

        OK(dal_rows_bytes(rows, 0, &out, &out_size, &c->err));
        assert_int_equal(out_size, size);
        assert_true(memcmp(out, bytes, size) == 0);
}

/* What a column can't hold is refused, or kept whole where columns have no width; it never wraps. */
static void limits__a_narrow_column_never_wraps(struct conf *c)
{
        static const int64_t list[] = {32767, -32768, 32768, -32769, 65536, INT64_C(1) << 32, INT64_MAX};
        static const dal_stmt add = DAL_STMT("narrow_add", "INSERT INTO conf_narrow (a) VALUES (?)"),
                              look = DAL_STMT("narrow_look", "SELECT a FROM conf_narrow"),
                              clear = DAL_STMT("narrow_clear", "DELETE FROM conf_narrow");

        if (c->server)
                return; /* has no tables of its own */
        OK(dal_conn_script(c->conn, "CREATE TABLE conf_narrow (a SMALLINT)", SOON, &c->err));
        for (size_t i = 0; i < sizeof list / sizeof list[0]; i++) {
                bool fits = (list[i] >= INT16_MIN && list[i] <= INT16_MAX) || !c->q->narrow_columns;
                if (fits) {
                        OK(dal_conn_exec(c->conn, &add, DAL_PARAMS(dal_int64(list[i])), SOON, NULL, &c->err));
                        assert_true(conf_number(c, c->conn, &look, DAL_NO_PARAMS) == list[i]);
                } else {
                        FAILS(dal_conn_exec(c->conn, &add, DAL_PARAMS(dal_int64(list[i])), SOON, NULL,
                                            &c->err),
                              DATA);
                }
                OK(dal_conn_exec(c->conn, &clear, DAL_NO_PARAMS, SOON, NULL, &c->err));
        }
        OK(dal_conn_script(c->conn, "DROP TABLE conf_narrow", SOON, &c->err));
}

static void limits__uint64_in_a_signed_column_is_whole_or_refused(struct conf *c)
{
        static const uint64_t list[] = {(uint64_t)INT64_MAX + 1, UINT64_MAX};
        dal_rows *rows;
        uint64_t out = 42;

        put(c, &put_int, 1, dal_uint64(INT64_MAX));
        rows = get(c, &get_int, 1);
        OK(dal_rows_uint64(rows, 0, &out, &c->err));
        assert_true(out == INT64_MAX);
        dal_rows_close(rows);
        if (c->server)
                return; /* has no columns, so no types of columns */
        for (size_t i = 0; i < sizeof list / sizeof list[0]; i++)
                FAILS(dal_conn_exec(c->conn, &put_int, DAL_PARAMS(dal_int64(2), dal_uint64(list[i])), SOON,
                                    NULL, &c->err),
                      DATA);
        check_usable(c);
}

/* Buffers that grow with the rows, and must not cut, nor show what an earlier row left behind. */
static void limits__values_growing_from_row_to_row(struct conf *c)
{
        static const size_t sizes[] = {0,     1,     255,   256,    257,   300,   10,     4096, 4097,
                                       65535, 65536, 70000, 3,      0,     90000, 300000, 5,    MIB,
                                       2,     MIB,   MIB,   200000, 16383, 16384, 1};
        static const dal_stmt *const both[] = {&all_bytes};
        int64_t n = sizeof sizes / sizeof sizes[0];
        char *bytes = make_bytes(MIB);
        dal_stmt streamed = all_bytes;
        bool found;

        streamed.flags = DAL_STMT_STREAM;
        for (int64_t i = 0; i < n; i++)
                put(c, &put_bytes, i, dal_bytes(bytes, sizes[i]));
        for (int again = 0; again < 3; again++) {
                dal_rows *rows = NULL;
                OK(dal_conn_query(c->conn, again == 1 ? &streamed : both[0],
                                  DAL_PARAMS(dal_int64(0), dal_int64(n)), SOON, &rows, &c->err));
                for (int64_t i = 0; i < n; i++) {
                        OK(dal_rows_next(rows, &found, &c->err));
                        assert_true(found);
                        check_bytes(c, rows, bytes, sizes[i]);
                }
                dal_rows_close(rows);
        }
        free(bytes);
}

/* The most that one request may hold, from the server where that is a setting of it. */
static size_t packet_limit(struct conf *c)
{
        /*
         * Sources: sqlite.org/limits.html, "Maximum length of a string or BLOB"; PostgreSQL, memutils.h,
         * MaxAllocSize; MySQL manual, max_allowed_packet.
         */
        static const dal_stmt limit =
                DAL_STMT("packet_limit", "SELECT @@max_allowed_packet", .sqlite = "SELECT 1000000000",
                         .postgres = "SELECT 1073741823");

        return c->server ? 64 * MIB : (size_t)conf_number(c, c->conn, &limit, DAL_NO_PARAMS);
}

/* Packets of the MySQL protocol end at 16 MiB: a longer value is split, and must be put together again. */
static void limits__a_value_longer_than_one_packet(struct conf *c)
{
        size_t limit = packet_limit(c), size = 17 * MIB;
        char *bytes;
        dal_rows *rows;

        if (strcmp(c->mode, "text") == 0)
                limit /= 2; /* two digits to the byte */
        if (size + 4096 > limit)
                size = limit - 4096;
        bytes = make_bytes(size);
        put(c, &put_bytes, 1, dal_bytes(bytes, size));
        rows = get(c, &get_bytes, 1);
        check_bytes(c, rows, bytes, size);
        dal_rows_close(rows);
        check_usable(c);
        free(bytes);
}

/* A length that 32 bits would cut to a small one: nothing is read from the pointer, nothing is sent. */
static void limits__two_gibibytes_and_more_are_not_sent(struct conf *c)
{
        static const uint64_t sizes[] = {(uint64_t)INT32_MAX + 1, UINT32_MAX, (uint64_t)UINT32_MAX + 6,
                                         (uint64_t)1 << 40, SIZE_MAX};

        for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
                const dal_value values[] = {dal_bytes("abcde", sizes[i]), dal_text_n("abcde", sizes[i])};
                for (size_t k = 0; k < 2; k++) {
                        FAILS(dal_conn_exec(c->conn, k ? &put_text : &put_bytes,
                                            DAL_PARAMS(dal_int64(1), values[k]), SOON, NULL, &c->err),
                              PACKET_TOO_LARGE);
                        assert_true(c->err.not_sent);
                        assert_false(c->err.conn_gone);
                }
        }
        check_usable(c);
}

/* More than the server would take: said before it is sent, for the server would hang up on it. */
static void limits__more_than_the_server_takes_is_not_sent(struct conf *c)
{
        size_t size = packet_limit(c) + 1;
        char *bytes;

        if (c->server)
                return;          /* takes everything */
        bytes = calloc(size, 1); /* never touched, so never really there */
        assert_non_null(bytes);
        FAILS(dal_conn_exec(c->conn, &put_bytes, DAL_PARAMS(dal_int64(1), dal_bytes(bytes, size)), SOON, NULL,
                            &c->err),
              PACKET_TOO_LARGE);
        assert_false(c->err.conn_gone);
        check_usable(c);
        OK(dal_conn_begin(c->conn, DAL_ISOLATION_DEFAULT, false, SOON, &c->err));
        OK(dal_conn_exec(c->conn, &conf_add_account, DAL_PARAMS(dal_int64(1), dal_int64(1)), SOON, NULL,
                         &c->err));
        FAILS(dal_conn_exec(c->conn, &put_bytes, DAL_PARAMS(dal_int64(1), dal_bytes(bytes, size)), SOON, NULL,
                            &c->err),
              PACKET_TOO_LARGE);
        OK(dal_conn_rollback(c->conn, SOON, &c->err));
        check_usable(c);
        free(bytes);
}

/*
 * Only NULL is bound, only NULL comes back: there is a type for it all the same. Where even PostgreSQL can
 * not tell which (`? IS NULL` and nothing else), the statement must: CAST(? AS ...).
 */
static void limits__null_where_nothing_else_is(struct conf *c)
{
        static const dal_stmt one = DAL_STMT("only_null", "SELECT ?, CAST(? AS CHAR(5)) IS NULL, NULL");
        dal_rows *rows = NULL;
        int64_t is_null = 42;

        put(c, &put_text, 1, dal_null());
        rows = get(c, &get_text, 1);
        assert_true(dal_rows_is_null(rows, 0));
        dal_rows_close(rows);
        if (c->server)
                return; /* has no expressions */
        for (int again = 0; again < 2; again++) {
                OK(dal_conn_query(c->conn, &one, DAL_PARAMS(dal_null(), dal_null()), SOON, &rows, &c->err));
                OK(dal_rows_first(rows, &c->err));
                assert_true(dal_rows_is_null(rows, 0));
                OK(dal_rows_int64(rows, 1, &is_null, &c->err));
                assert_int_equal(is_null, 1);
                assert_true(dal_rows_is_null(rows, 2));
                dal_rows_close(rows);
        }
}

/* Where the engine would call a parameter text that stands alone, the statement says that it is bytes. */
static void limits__bytes_in_an_expression(struct conf *c)
{
        static const dal_stmt one = DAL_STMT("bytes_alone", "SELECT ?", .mysql = "SELECT CAST(? AS BINARY)");
        char *bytes = make_bytes(300);
        dal_rows *rows = NULL;

        if (!c->server) { /* which has no expressions */
                OK(dal_conn_query(c->conn, &one, DAL_PARAMS(dal_bytes(bytes, 300)), SOON, &rows, &c->err));
                OK(dal_rows_first(rows, &c->err));
                check_bytes(c, rows, bytes, 300);
                dal_rows_close(rows);
        }
        free(bytes);
}

static const int64_t instants[] = {
        INT64_C(1774746000000000), /* 2026-03-29 01:00 UTC: clocks leap from 2 to 3 in Berlin */
        INT64_C(1774749599999999), /* 02:59:59.999999 there never was */
        INT64_C(1792976400000000), /* 2026-10-25 01:00 UTC: 2 o'clock comes twice */
        INT64_C(1792972800000000), INT64_C(0), INT64_C(-1),
};

static void check_instants(struct conf *c, int64_t first_id)
{
        for (size_t i = 0; i < sizeof instants / sizeof instants[0]; i++) {
                int64_t id = first_id + (int64_t)i, out = 42;
                dal_rows *rows;
                put(c, &put_time, id, dal_timestamp(instants[i]));
                rows = get(c, &get_time, id);
                OK(dal_rows_timestamp(rows, 0, &out, &c->err));
                assert_true(out == instants[i]);
                dal_rows_close(rows);
        }
}

/* An instant has no zone: neither the program's nor the one that its neighbour lives in changes it. */
static void limits__the_zone_of_the_program_shifts_no_instant(struct conf *c)
{
        static const char *const zones[] = {"Europe/Berlin", "Australia/Lord_Howe", "America/New_York",
                                            "UTC"};
        dal_conn *first = c->conn;

        for (size_t i = 0; i < sizeof zones / sizeof zones[0]; i++) {
                setenv("TZ", zones[i], 1);
                tzset();
                c->conn = conf_open(c, NULL);
                check_instants(c, (int64_t)i * 100);
                dal_conn_close(c->conn);
        }
        unsetenv("TZ");
        tzset();
        c->conn = first;
        for (size_t i = 0; i < sizeof instants / sizeof instants[0]; i++) {
                dal_rows *rows = get(c, &get_time, (int64_t)i);
                int64_t out = 42;
                OK(dal_rows_timestamp(rows, 0, &out, &c->err));
                assert_true(out == instants[i]);
                dal_rows_close(rows);
        }
}

static void check_odd_values(struct conf *c, int64_t id)
{
        static const char odd[] = "it's \\ \\' \\\\ \"?\" \\0";
        char *bytes = make_bytes(300);
        const char *text = NULL;
        dal_rows *rows = NULL;
        size_t size = 0;
        int64_t us = 42;
        dal_status s;

        put(c, &put_bytes, id, dal_bytes(bytes, 300));
        rows = get(c, &get_bytes, id);
        check_bytes(c, rows, bytes, 300);
        dal_rows_close(rows);
        put(c, &put_text, id + 1, dal_text(odd));
        rows = get(c, &get_text, id + 1);
        OK(dal_rows_text(rows, 0, &text, &size, &c->err));
        assert_int_equal(size, strlen(odd));
        assert_memory_equal(text, odd, size);
        dal_rows_close(rows);
        put(c, &put_time, id + 2, dal_timestamp(instants[1]));
        OK(dal_conn_query(c->conn, &get_time, DAL_PARAMS(dal_int64(id + 2)), SOON, &rows, &c->err));
        s = dal_rows_first(rows, &c->err);
        if (s == DAL_OK) {
                OK(dal_rows_timestamp(rows, 0, &us, &c->err));
                assert_true(us == instants[1]);
        } else {
                FAILS(s, DATA);
        }
        dal_rows_close(rows);
        free(bytes);
}

/*
 * The user's own settings may change how the server writes a value, never the value: what can't be read for
 * certain is an error.
 */
static void limits__settings_of_the_session_change_no_value(struct conf *c)
{
        static const char *const postgres[] = {"SET timezone = 'Asia/Kolkata'",
                                               "SET bytea_output = 'escape'",
                                               "SET standard_conforming_strings = off",
                                               "SET DateStyle = 'German'",
                                               "SET DateStyle = 'SQL, DMY'",
                                               NULL};
        static const char *const mysql[] = {"SET time_zone = '+05:30'",
                                            "SET sql_mode = CONCAT(@@sql_mode, ',NO_BACKSLASH_ESCAPES')",
                                            "SET sql_mode = CONCAT(@@sql_mode, ',ANSI_QUOTES')", NULL};
        const char *const *lists[] = {[DAL_DIALECT_postgres] = postgres,
                                      [DAL_DIALECT_mysql] = mysql,
                                      [DAL_DIALECT_mariadb] = mysql};
        const dal_statements modes[] = {DAL_STATEMENTS_PREPARED, conf_has_cap(c, DAL_CAP_TEXT)
                                                                         ? DAL_STATEMENTS_TEXT
                                                                         : DAL_STATEMENTS_PREPARED};
        dal_conn *first = c->conn;

        if (c->q->dialect >= sizeof lists / sizeof lists[0] || !lists[c->q->dialect] || c->q->mode)
                return; /* has no settings, or shares its sessions */
        for (size_t i = 0; i < 2; i++) {
                dal_conn_options options = DAL_CONN_OPTIONS_INIT;
                int64_t id = 1000 * (int64_t)i;
                options.statements = modes[i];
                c->conn = conf_open(c, &options);
                for (const char *const *set = lists[c->q->dialect]; *set; set++, id += 10) {
                        OK(dal_conn_script(c->conn, *set, SOON, &c->err));
                        check_odd_values(c, id);
                }
                dal_conn_close(c->conn);
        }
        c->conn = first;
}

const struct conf_case limits_conf[] = {
        CONF_CASE(limits__a_narrow_column_never_wraps),
        CONF_CASE(limits__uint64_in_a_signed_column_is_whole_or_refused),
        CONF_CASE(limits__values_growing_from_row_to_row),
        CONF_CASE(limits__a_value_longer_than_one_packet),
        CONF_CASE(limits__two_gibibytes_and_more_are_not_sent),
        CONF_CASE(limits__more_than_the_server_takes_is_not_sent),
        CONF_CASE(limits__null_where_nothing_else_is),
        CONF_CASE(limits__bytes_in_an_expression),
        CONF_CASE(limits__the_zone_of_the_program_shifts_no_instant),
        CONF_CASE(limits__settings_of_the_session_change_no_value),
        {NULL, NULL},
};
