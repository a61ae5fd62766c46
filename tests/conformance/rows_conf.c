/* SPDX-License-Identifier: MIT */
/* The cursor: one at a time, closed early, streamed, and failing half-way. */

#include "conf.h"

#define N_MANY 100000

static dal_rows *query_numbers(struct conf *c, const dal_stmt *stmt, int64_t n)
{
        dal_rows *rows = NULL;

        OK(dal_conn_query(c->conn, stmt, DAL_PARAMS(dal_int64(n)), SOON, &rows, &c->err));
        return rows;
}

/* Reads to the end; the sum of the first column. */
static int64_t read_all(struct conf *c, dal_rows *rows, int64_t *n_out)
{
        int64_t sum = 0, value;
        bool found;

        *n_out = 0;
        while (OK(dal_rows_next(rows, &found, &c->err)), found) {
                OK(dal_rows_int64(rows, 0, &value, &c->err));
                sum += value;
                ++*n_out;
        }
        return sum;
}

static void check_usable(struct conf *c)
{
        int64_t n;
        dal_rows *rows = query_numbers(c, &conf_numbers, 3);

        assert_int_equal(read_all(c, rows, &n), 3);
        assert_int_equal(n, 3);
        dal_rows_close(rows);
        assert_int_equal(dal_conn_tx_state(c->conn), DAL_TX_STATE_IDLE);
}

static void rows__busy_while_open(struct conf *c)
{
        static const dal_stmt *const both[] = {&conf_numbers, &conf_stream};

        for (size_t i = 0; i < 2; i++) {
                dal_rows *rows = query_numbers(c, both[i], 100), *second = NULL;
                bool found = false;
                int64_t n, sum;
                OK(dal_rows_next(rows, &found, &c->err));
                assert_true(found);
                if (!conf_has_cap(c, DAL_CAP_CURSORS)) {
                        FAILS(dal_conn_query(c->conn, &conf_numbers, DAL_PARAMS(dal_int64(1)), SOON, &second,
                                             &c->err),
                              BUSY);
                        FAILS(dal_conn_exec(c->conn, &conf_remove_account, DAL_PARAMS(dal_int64(1)), SOON,
                                            NULL, &c->err),
                              BUSY);
                        assert_non_null(strstr(c->err.message, "close them"));
                }
                FAILS(dal_conn_ping(c->conn, SOON, &c->err), BUSY);
                /* The first cursor has not noticed. */
                OK(dal_rows_int64(rows, 0, &sum, &c->err));
                sum += read_all(c, rows, &n);
                assert_int_equal(sum, 4950);
                dal_rows_close(rows);
                check_usable(c);
        }
}

static void rows__early_close_leaves_the_connection_usable(struct conf *c)
{
        static const dal_stmt *const both[] = {&conf_numbers, &conf_stream};

        for (size_t i = 0; i < 2; i++) {
                for (int n_read = 0; n_read < 3; n_read++) {
                        dal_rows *rows = query_numbers(c, both[i], 50000);
                        bool found;
                        for (int k = 0; k < n_read; k++)
                                OK(dal_rows_next(rows, &found, &c->err));
                        dal_rows_close(rows);
                        check_usable(c);
                }
        }
}

/* A hundred million rows: who reads to the end to get rid of them is noticed. */
static const dal_stmt endless =
        DAL_STMT("endless",
                 "SELECT a.d FROM conf_digit a CROSS JOIN conf_digit b CROSS JOIN conf_digit c CROSS JOIN "
                 "conf_digit d CROSS JOIN conf_digit e CROSS JOIN conf_digit f CROSS JOIN conf_digit g "
                 "CROSS JOIN conf_digit h",
                 /* Wide, so that few are under way when it ends: a slow machine has them to throw away. */
                 .postgres = "SELECT generate_series(0, 99999999::bigint) AS n, repeat('x', 1000) AS x",
                 .flags = DAL_STMT_STREAM);

/* Within a bound, and without the connection: in a transaction its work would be lost with it. */
static void rows__early_close_of_an_endless_stream_is_quick(struct conf *c)
{
        int64_t begun, took_ms;
        dal_rows *rows = NULL;
        bool found = false;

        if (c->server)
                return; /* the fake server's rows are all there before the first is asked for */
        OK(dal_conn_query(c->conn, &endless, DAL_NO_PARAMS, SOON, &rows, &c->err));
        OK(dal_rows_next(rows, &found, &c->err));
        assert_true(found);
        begun = dal_clock_now();
        dal_rows_close(rows);
        took_ms = (dal_clock_now() - begun) / 1000000;
        assert_true(took_ms < 3000);
        check_usable(c);
}

static void rows__streams_a_hundred_thousand(struct conf *c)
{
        int64_t n, sum;
        dal_rows *rows = query_numbers(c, &conf_stream, N_MANY);

        sum = read_all(c, rows, &n);
        assert_int_equal(n, N_MANY);
        assert_true(sum == (int64_t)N_MANY * (N_MANY - 1) / 2);
        dal_rows_close(rows);
        check_usable(c);
}

/*
 * A statement that fails at its 500th row. Each engine has an expression of its own that fails late: a
 * scalar query with two rows, or on SQLite, which takes the first of these, the absolute value of the
 * smallest integer.
 */
#define FAIL_AT_500                                                                                          \
        "SELECT (SELECT z.d FROM conf_digit z WHERE z.d < CASE WHEN c.d * 100 + b.d * 10 + a.d = 500 "       \
        "THEN 2 ELSE 1 END) AS n FROM conf_digit c CROSS JOIN conf_digit b CROSS JOIN conf_digit a"
#define FAIL_AT_500_SQLITE                                                                                   \
        "SELECT abs(CASE WHEN c.d * 100 + b.d * 10 + a.d = 500 THEN -9223372036854775807 - 1 ELSE 0 END) "   \
        "AS n "                                                                                              \
        "FROM conf_digit c CROSS JOIN conf_digit b CROSS JOIN conf_digit a"
#define FAIL_AT_500_POSTGRES                                                                                 \
        "SELECT (SELECT z.d FROM conf_digit z WHERE z.d < CASE WHEN g = 500 THEN 2 ELSE 1 END) AS n "        \
        "FROM generate_series(0, 999) AS g"
static const dal_stmt fails_late = DAL_STMT("fails_late", FAIL_AT_500, .sqlite = FAIL_AT_500_SQLITE,
                                            .postgres = FAIL_AT_500_POSTGRES, .flags = DAL_STMT_STREAM);
static const dal_stmt fails_whole =
        DAL_STMT("fails_whole", FAIL_AT_500, .sqlite = FAIL_AT_500_SQLITE, .postgres = FAIL_AT_500_POSTGRES);

static void rows__error_after_some_rows_is_an_error(struct conf *c)
{
        static const dal_stmt *const both[] = {&fails_late, &fails_whole};

        for (size_t i = 0; i < 2; i++) {
                dal_rows *rows = NULL;
                bool found = true;
                dal_status s = dal_conn_query(c->conn, both[i], DAL_NO_PARAMS, SOON, &rows, &c->err);
                int64_t n = 0;
                while (s == DAL_OK && found) {
                        s = dal_rows_next(rows, &found, &c->err);
                        n += s == DAL_OK && found;
                }
                assert_int_not_equal(s, DAL_OK);
                assert_int_equal(c->err.status, s);
                assert_true(c->err.message[0]);
                assert_false(c->err.conn_gone);
                assert_true(n < 1000);
                dal_rows_close(rows);
                check_usable(c);
        }
}

/* Closing before the error comes is no error either. */
static void rows__closed_before_its_error(struct conf *c)
{
        dal_rows *rows = NULL;
        bool found = false;
        dal_status s = dal_conn_query(c->conn, &fails_late, DAL_NO_PARAMS, SOON, &rows, &c->err);

        if (s == DAL_OK) {
                s = dal_rows_next(rows, &found, &c->err);
                dal_rows_close(rows);
        }
        check_usable(c);
}

static void rows__names_its_columns(struct conf *c)
{
        dal_rows *rows = NULL;

        OK(dal_conn_query(c->conn, &conf_all_accounts, DAL_NO_PARAMS, SOON, &rows, &c->err));
        assert_int_equal(dal_rows_n_columns(rows), 2);
        assert_string_equal(dal_rows_column(rows, 0), "id");
        assert_string_equal(dal_rows_column(rows, 1), "balance");
        assert_null(dal_rows_column(rows, 2));
        assert_int_equal(dal_rows_find_column(rows, "balance"), 1);
        assert_int_equal(dal_rows_find_column(rows, "nothing"), -1);
        dal_rows_close(rows);
}

static void rows__first_of_none_is_not_found(struct conf *c)
{
        dal_rows *rows = NULL;

        OK(dal_conn_query(c->conn, &conf_balance, DAL_PARAMS(dal_int64(404)), SOON, &rows, &c->err));
        assert_int_equal(dal_rows_first(rows, &c->err), DAL_ERR_NOT_FOUND);
        dal_rows_close(rows);
        check_usable(c);
}

static void rows__getter_without_a_row_refused(struct conf *c)
{
        dal_rows *rows = query_numbers(c, &conf_numbers, 1);
        int64_t value = 42;
        bool found = true;

        FAILS(dal_rows_int64(rows, 0, &value, &c->err), STATE);
        OK(dal_rows_next(rows, &found, &c->err));
        OK(dal_rows_next(rows, &found, &c->err));
        assert_false(found);
        FAILS(dal_rows_int64(rows, 0, &value, &c->err), STATE);
        assert_true(dal_rows_is_null(rows, 0));
        /* Asking again after the end is still the end. */
        OK(dal_rows_next(rows, &found, &c->err));
        assert_false(found);
        dal_rows_close(rows);
}

static void rows__exec_of_a_query_drops_its_rows(struct conf *c)
{
        OK(dal_conn_exec(c->conn, &conf_numbers, DAL_PARAMS(dal_int64(1000)), SOON, NULL, &c->err));
        check_usable(c);
}

static void rows__query_without_rows_has_none(struct conf *c)
{
        dal_rows *rows = NULL;
        bool found = true;

        OK(dal_conn_query(c->conn, &conf_remove_account, DAL_PARAMS(dal_int64(404)), SOON, &rows, &c->err));
        assert_int_equal(dal_rows_n_columns(rows), 0);
        OK(dal_rows_next(rows, &found, &c->err));
        assert_false(found);
        dal_rows_close(rows);
        check_usable(c);
}

/* Short and long ones are the first row in turn, and the one before was longer, or shorter, or nothing. */
static void rows__values_of_all_lengths_come_whole_in_every_row(struct conf *c)
{
        static const dal_stmt put = DAL_STMT("put_long", "INSERT INTO conf_value (id, y) VALUES (?, ?)"),
                              get = DAL_STMT("get_long",
                                             "SELECT id, y FROM conf_value WHERE id >= ? ORDER BY id");
        static const size_t sizes[] = {10, 70, 1000, 0, 200000, 65, 64, 300000, 3};
        static unsigned char bytes[300000 + 16];
        const int64_t n = sizeof sizes / sizeof sizes[0];

        if (c->server)
                return; /* it knows the statements of the suite alone */
        for (size_t i = 0; i < sizeof bytes; i++)
                bytes[i] = (unsigned char)(i * 31 + i / 251);
        for (int64_t id = 0; id < n; id++)
                OK(dal_conn_exec(
                        c->conn, &put,
                        DAL_PARAMS(dal_int64(id), id == 3 ? dal_null() : dal_bytes(bytes + id, sizes[id])),
                        SOON, NULL, &c->err));
        for (int64_t i = 0; i < 3 * n; i++) {
                dal_rows *rows = NULL;
                bool found = true;

                OK(dal_conn_query(c->conn, &get, DAL_PARAMS(dal_int64(i * 5 % n)), SOON, &rows, &c->err));
                for (int64_t id = i * 5 % n; id < n; id++) {
                        const void *got;
                        int64_t number;
                        size_t size;

                        OK(dal_rows_next(rows, &found, &c->err));
                        assert_true(found);
                        OK(dal_rows_int64(rows, 0, &number, &c->err));
                        assert_int_equal(number, id);
                        assert_int_equal(dal_rows_is_null(rows, 1), id == 3);
                        if (id == 3)
                                continue;
                        OK(dal_rows_bytes(rows, 1, &got, &size, &c->err));
                        assert_int_equal(size, sizes[id]);
                        assert_memory_equal(got, bytes + id, size);
                }
                OK(dal_rows_next(rows, &found, &c->err));
                assert_false(found);
                dal_rows_close(rows);
        }
}

static void rows__close_accepts_null(struct conf *c)
{
        (void)c;
        dal_rows_close(NULL);
}

const struct conf_case rows_conf[] = {
        CONF_CASE(rows__busy_while_open),
        CONF_CASE(rows__early_close_leaves_the_connection_usable),
        CONF_CASE(rows__early_close_of_an_endless_stream_is_quick),
        CONF_CASE(rows__streams_a_hundred_thousand),
        CONF_CASE(rows__error_after_some_rows_is_an_error),
        CONF_CASE(rows__closed_before_its_error),
        CONF_CASE(rows__names_its_columns),
        CONF_CASE(rows__first_of_none_is_not_found),
        CONF_CASE(rows__getter_without_a_row_refused),
        CONF_CASE(rows__exec_of_a_query_drops_its_rows),
        CONF_CASE(rows__query_without_rows_has_none),
        CONF_CASE(rows__values_of_all_lengths_come_whole_in_every_row),
        CONF_CASE(rows__close_accepts_null),
        {NULL, NULL},
};
