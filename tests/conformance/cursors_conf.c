/* SPDX-License-Identifier: MIT */
/* Several cursors side by side, where the driver has DAL_CAP_CURSORS; elsewhere a refusal that spoils nothing. */

#include "conf.h"

#define N_ACCOUNTS 5

static void add_accounts(struct conf *c)
{
        for (int64_t id = 1; id <= N_ACCOUNTS; id++)
                OK(dal_conn_exec(c->conn, &conf_add_account, DAL_PARAMS(dal_int64(id), dal_int64(100 * id)),
                                 SOON, NULL, &c->err));
}

static void begin(struct conf *c)
{
        OK(dal_conn_begin(c->conn, DAL_ISOLATION_DEFAULT, false, SOON, &c->err));
}

static void commit(struct conf *c)
{
        OK(dal_conn_commit(c->conn, SOON, &c->err));
}

static dal_status ask(struct conf *c, const dal_stmt *stmt, dal_params params, dal_rows **out)
{
        return dal_conn_query(c->conn, stmt, params, SOON, out, &c->err);
}

static dal_rows *open_numbers(struct conf *c, int64_t n)
{
        dal_rows *rows;

        OK(ask(c, &conf_numbers, DAL_PARAMS(dal_int64(n)), &rows));
        return rows;
}

static dal_rows *open_accounts(struct conf *c)
{
        dal_rows *rows;

        OK(ask(c, &conf_all_accounts, DAL_NO_PARAMS, &rows));
        return rows;
}

/* The first column of the next row; -1 after the last. */
static int64_t next(struct conf *c, dal_rows *rows)
{
        int64_t n;
        bool found;

        OK(dal_rows_next(rows, &found, &c->err));
        if (!found)
                return -1;
        OK(dal_rows_int64(rows, 0, &n, &c->err));
        return n;
}

static int64_t cell(struct conf *c, dal_rows *rows, uint32_t i)
{
        int64_t n;

        OK(dal_rows_int64(rows, i, &n, &c->err));
        return n;
}

/* True where there is no more than one; the case then has seen the refusal, and that the first cursor goes on. */
static bool is_refused(struct conf *c)
{
        dal_rows *first, *second;

        if (conf_has_cap(c, DAL_CAP_CURSORS))
                return false;
        first = open_accounts(c);
        assert_int_equal(next(c, first), 1);
        FAILS(ask(c, &conf_numbers, DAL_PARAMS(dal_int64(1)), &second), BUSY);
        assert_null(second);
        assert_non_null(strstr(c->err.message, "close them, or read them to the end"));
        assert_int_equal(next(c, first), 2);
        dal_rows_close(first);
        return true;
}

static void cursors__go_on_where_they_were(struct conf *c)
{
        dal_rows *a, *b, *d;

        add_accounts(c);
        begin(c);
        if (is_refused(c)) {
                commit(c);
                return;
        }
        a = open_accounts(c);
        assert_int_equal(next(c, a), 1);
        b = open_numbers(c, 3);
        d = open_numbers(c, 4); /* the same statement, once more */
        assert_true(a != b && b != d && a != d);
        for (int64_t i = 0; i < 3; i++) {
                assert_int_equal(next(c, b), i);
                assert_int_equal(next(c, d), i);
                /* Neither has touched the row of another. */
                assert_int_equal(cell(c, a, 0), i + 1);
                assert_int_equal(cell(c, a, 1), 100 * (i + 1));
                assert_int_equal(cell(c, b, 0), i);
                assert_int_equal(next(c, a), i + 2);
        }
        assert_int_equal(next(c, b), -1);
        assert_int_equal(next(c, d), 3);
        assert_string_equal(dal_rows_column(a, 1), "balance");
        dal_rows_close(a); /* the first before the others */
        assert_int_equal(next(c, d), -1);
        dal_rows_close(d);
        dal_rows_close(b);
        commit(c);
        assert_int_equal(dal_conn_tx_state(c->conn), DAL_TX_STATE_IDLE);
}

static void cursors__a_question_for_each_row(struct conf *c)
{
        dal_rows *outer, *inner;
        uint64_t n_prepared;
        int64_t id, n = 0;

        add_accounts(c);
        begin(c);
        if (is_refused(c)) {
                commit(c);
                return;
        }
        outer = open_accounts(c);
        n_prepared = dal_conn_get_stats(c->conn).n_prepared;
        while ((id = next(c, outer)) != -1) {
                OK(ask(c, &conf_balance, DAL_PARAMS(dal_int64(id)), &inner));
                OK(dal_rows_first(inner, &c->err));
                assert_int_equal(cell(c, inner, 0), 100 * id);
                assert_int_equal(cell(c, outer, 1), 100 * id);
                dal_rows_close(inner);
                n++;
        }
        assert_int_equal(n, N_ACCOUNTS);
        assert_int_equal(next(c, outer), -1); /* still the end, and no failure */
        assert_int_equal(dal_conn_get_stats(c->conn).n_prepared - n_prepared, conf_n_prepared(c, 1));
        dal_rows_close(outer);
        commit(c);
}

static void cursors__writes_run_beside_them(struct conf *c)
{
        dal_rows *a, *b;
        int64_t n = 0;

        add_accounts(c);
        begin(c);
        if (is_refused(c)) {
                commit(c);
                return;
        }
        a = open_numbers(c, 3);
        b = open_numbers(c, 3);
        for (int64_t i = 0; i < 3; i++) {
                assert_int_equal(next(c, a), i);
                OK(dal_conn_exec(c->conn, &conf_add_balance, DAL_PARAMS(dal_int64(1), dal_int64(i + 1)), SOON,
                                 &n, &c->err));
                assert_int_equal(n, 1);
                assert_int_equal(next(c, b), i);
        }
        /* A query run for its count. */
        OK(dal_conn_exec(c->conn, &conf_all_accounts, DAL_NO_PARAMS, SOON, &n, &c->err));
        assert_int_equal(n, N_ACCOUNTS);
        dal_rows_close(b);
        assert_int_equal(next(c, a), -1);
        dal_rows_close(a);
        commit(c);
        for (int64_t id = 1; id <= 3; id++)
                assert_int_equal(conf_number(c, c->conn, &conf_balance, DAL_PARAMS(dal_int64(id))),
                                 100 * id + 1);
}

static void cursors__sql_made_at_run_time_too(struct conf *c)
{
        dal_rows *a, *b;
        int64_t n = 0;

        add_accounts(c);
        if (is_refused(c))
                return;
        if (c->server)
                return; /* it knows statements by name */
        OK(dal_conn_query_dynamic(c->conn, "SELECT id FROM conf_account ORDER BY id", DAL_NO_PARAMS, SOON, &a,
                                  &c->err));
        assert_int_equal(next(c, a), 1);
        OK(dal_conn_query_dynamic(c->conn, "SELECT id FROM conf_account WHERE id > ? ORDER BY id",
                                  DAL_PARAMS(dal_int64(3)), SOON, &b, &c->err));
        assert_int_equal(next(c, b), 4);
        OK(dal_conn_exec_dynamic(c->conn, "DELETE FROM conf_account WHERE id = ?", DAL_PARAMS(dal_int64(99)),
                                 SOON, &n, &c->err));
        assert_int_equal(n, 0);
        assert_int_equal(next(c, a), 2);
        assert_int_equal(next(c, b), 5);
        assert_int_equal(next(c, b), -1);
        dal_rows_close(b);
        assert_int_equal(next(c, a), 3);
        dal_rows_close(a);
}

static void cursors__a_refused_statement_leaves_the_others_alone(struct conf *c)
{
        dal_rows *a, *b;

        add_accounts(c);
        if (is_refused(c))
                return;
        a = open_accounts(c);
        b = open_numbers(c, 3);
        assert_int_equal(next(c, a), 1);
        FAILS(dal_conn_exec(c->conn, &conf_add_account, DAL_PARAMS(dal_int64(1), dal_int64(1)), SOON, NULL,
                            &c->err),
              UNIQUE);
        assert_int_equal(next(c, a), 2);
        assert_int_equal(next(c, b), 0);
        FAILS(dal_conn_exec(c->conn, &conf_add_account, DAL_NO_PARAMS, SOON, NULL, &c->err), ARGUMENT);
        assert_int_equal(next(c, a), 3);
        assert_int_equal(next(c, b), 1);
        dal_rows_close(a);
        dal_rows_close(b);
}

static void cursors__end_with_their_transaction(struct conf *c)
{
        for (int commits = 0; commits < 2; commits++) {
                dal_rows *a, *b = NULL;
                bool found;

                OK(dal_conn_exec(c->conn, &conf_remove_account, DAL_PARAMS(dal_int64(77)), SOON, NULL,
                                 &c->err));
                begin(c);
                a = open_numbers(c, 3);
                assert_int_equal(next(c, a), 0);
                if (conf_has_cap(c, DAL_CAP_CURSORS))
                        b = open_numbers(c, 3);
                if (commits)
                        commit(c);
                else
                        OK(dal_conn_rollback(c->conn, SOON, &c->err));
                FAILS(dal_rows_next(a, &found, &c->err), STATE);
                assert_null(dal_rows_cell(a, 0));
                if (b)
                        FAILS(dal_rows_next(b, &found, &c->err), STATE);
                /* The connection doesn't wait for anybody to close them. */
                begin(c);
                commit(c);
                dal_rows_close(b);
                dal_rows_close(a);
                assert_int_equal(dal_conn_tx_state(c->conn), DAL_TX_STATE_IDLE);
        }
}

static void cursors__are_bounded(struct conf *c)
{
        dal_rows *rows[DAL_ROWS_MAX_OPEN + 1];

        add_accounts(c);
        begin(c);
        if (is_refused(c)) {
                commit(c);
                return;
        }
        for (int round = 0; round < 2; round++) {
                for (unsigned i = 0; i < DAL_ROWS_MAX_OPEN; i++) {
                        rows[i] = open_numbers(c, 2);
                        assert_int_equal(next(c, rows[i]), 0);
                }
                FAILS(ask(c, &conf_numbers, DAL_PARAMS(dal_int64(1)), &rows[DAL_ROWS_MAX_OPEN]), BUSY);
                assert_null(rows[DAL_ROWS_MAX_OPEN]);
                assert_non_null(strstr(c->err.message, "close one"));
                /* What has no cursor needs no place among them. */
                OK(dal_conn_exec(c->conn, &conf_add_balance, DAL_PARAMS(dal_int64(1), dal_int64(1)), SOON,
                                 NULL, &c->err));
                dal_rows_close(rows[3]);
                rows[3] = open_numbers(c, 2);
                assert_int_equal(next(c, rows[3]), 0);
                for (unsigned i = 0; i < DAL_ROWS_MAX_OPEN; i++)
                        assert_int_equal(next(c, rows[i]), 1);
                for (unsigned i = 0; i < DAL_ROWS_MAX_OPEN; i++)
                        dal_rows_close(rows[(i * 7 + 3) % DAL_ROWS_MAX_OPEN]);
        }
        commit(c);
}

static void cursors__what_is_about_the_whole_connection_waits_for_them(struct conf *c)
{
        dal_rows *a, *b;

        add_accounts(c);
        if (is_refused(c))
                return;
        for (int first_closed = 0; first_closed < 2; first_closed++) {
                a = open_accounts(c);
                b = open_numbers(c, 2);
                if (first_closed)
                        dal_rows_close(a);
                FAILS(dal_conn_begin(c->conn, DAL_ISOLATION_DEFAULT, false, SOON, &c->err), BUSY);
                FAILS(dal_conn_ping(c->conn, SOON, &c->err), BUSY);
                FAILS(dal_conn_script(c->conn, "SELECT 1", SOON, &c->err), BUSY);
                assert_int_equal(next(c, b), 0);
                if (!first_closed)
                        dal_rows_close(a);
                dal_rows_close(b);
                begin(c);
                commit(c);
        }
}

/* Statements of which the cache holds two, while three are being read, and then none of them. */
static void cursors__outlive_their_place_in_the_cache(struct conf *c)
{
        dal_conn_options options = DAL_CONN_OPTIONS_INIT;
        dal_conn *mine = c->conn;
        dal_rows *a, *b, *d;
        int64_t n;

        add_accounts(c);
        if (is_refused(c))
                return;
        options.statement_cache_size = 2;
        c->conn = conf_open(c, &options);
        a = open_accounts(c);
        assert_int_equal(next(c, a), 1);
        b = open_numbers(c, 3);
        assert_int_equal(next(c, b), 0);
        OK(ask(c, &conf_balance, DAL_PARAMS(dal_int64(2)), &d));
        assert_int_equal(next(c, d), 200);
        n = conf_number(c, mine, &conf_count_accounts, DAL_NO_PARAMS);
        assert_int_equal(n, N_ACCOUNTS);
        OK(dal_conn_exec(c->conn, &conf_remove_account, DAL_PARAMS(dal_int64(99)), SOON, NULL, &c->err));
        OK(dal_conn_exec(c->conn, &conf_count_accounts, DAL_NO_PARAMS, SOON, NULL, &c->err));
        assert_true(dal_conn_get_stats(c->conn).n_evicted >= 3);
        assert_int_equal(next(c, a), 2);
        assert_int_equal(next(c, b), 1);
        assert_int_equal(next(c, d), -1);
        dal_rows_close(d);
        dal_rows_close(b);
        dal_rows_close(a);
        a = open_accounts(c);
        assert_int_equal(next(c, a), 1);
        dal_rows_close(a);
        dal_conn_close(c->conn);
        c->conn = mine;
}

static void cursors__survive_a_change_of_the_schema(struct conf *c)
{
        static const dal_stmt make = DAL_STMT("make_beside", "CREATE TABLE conf_beside (id INTEGER)");
        static const dal_stmt drop = DAL_STMT("drop_beside", "DROP TABLE conf_beside");
        dal_rows *a, *b;

        add_accounts(c);
        if (is_refused(c))
                return;
        a = open_accounts(c);
        assert_int_equal(next(c, a), 1);
        b = open_numbers(c, 3);
        assert_int_equal(next(c, b), 0);
        OK(dal_conn_exec(c->conn, &make, DAL_NO_PARAMS, SOON, NULL, &c->err));
        assert_int_equal(next(c, a), 2);
        assert_int_equal(next(c, b), 1);
        dal_rows_close(a);
        a = open_accounts(c);
        assert_int_equal(next(c, a), 1);
        dal_rows_close(b);
        dal_rows_close(a);
        OK(dal_conn_exec(c->conn, &drop, DAL_NO_PARAMS, SOON, NULL, &c->err));
}

/* In a transaction of the wrapper: also forgotten, and in the way of a nested one. */
static dal_status walk(dal_tx *tx, void *arg, dal_error *err)
{
        struct conf *c = arg;
        dal_rows *outer, *inner = NULL;
        bool found;
        dal_status s = dal_tx_query(tx, &conf_all_accounts, DAL_NO_PARAMS, &outer, err);

        if (s)
                return s;
        while ((s = dal_rows_next(outer, &found, err)) == DAL_OK && found) {
                int64_t id = cell(c, outer, 0);

                s = dal_tx_exec(tx, &conf_add_balance, DAL_PARAMS(dal_int64(1), dal_int64(id)), NULL,
                                &c->err);
                if (!conf_has_cap(c, DAL_CAP_CURSORS)) {
                        FAILS(s, BUSY);
                        continue;
                }
                OK(s);
                OK(dal_tx_query(tx, &conf_numbers, DAL_PARAMS(dal_int64(2)), &inner, &c->err));
                assert_int_equal(dal_rows_shard(inner), dal_tx_shard(tx));
                assert_int_equal(dal_rows_shard(outer), dal_tx_shard(tx));
                assert_int_equal(next(c, inner), 0);
                FAILS(dal_tx_run(tx, walk, c, &c->err), BUSY);
                if (id < 3)
                        dal_rows_close(inner);
        }
        return s;
}

static void cursors__of_a_transaction_end_with_it(struct conf *c)
{
        dal_cluster *cluster = conf_cluster(c, NULL);

        add_accounts(c);
        for (int round = 0; round < 3; round++)
                OK(dal_cluster_run(cluster, dal_key_int64(1), NULL, walk, c, &c->err));
        conf_cluster_end(c, cluster);
}

/* It may have been the same cursor: whoever reads the newer rows hears of it, and does not take it for their end. */
static void cursors__an_old_one_closed_late_makes_no_end(struct conf *c)
{
        dal_rows *older, *newer;
        bool found = false;

        add_accounts(c);
        older = open_numbers(c, 2);
        while (next(c, older) != -1)
                continue;
        newer = open_accounts(c);
        assert_int_equal(next(c, newer), 1);
        dal_rows_close(older);
        if (dal_rows_next(newer, &found, &c->err) == DAL_OK)
                assert_true(found);
        else
                assert_int_equal(c->err.error_class, DAL_CLASS_STATE);
        dal_rows_close(newer);
        assert_int_equal(conf_number(c, c->conn, &conf_count_accounts, DAL_NO_PARAMS), N_ACCOUNTS);
}

/* On a connection's own cursor and on a further one. */
static void cursors__closed_among_their_rows_do_not_look_read(struct conf *c)
{
        dal_rows *rows[2];
        size_t n_rows = conf_has_cap(c, DAL_CAP_CURSORS) ? 2 : 1;
        bool found = false;

        add_accounts(c);
        for (size_t i = 0; i < n_rows; i++) {
                rows[i] = open_accounts(c);
                assert_int_equal(next(c, rows[i]), 1);
        }
        for (size_t i = n_rows; i-- > 0;) {
                dal_rows_close(rows[i]);
                FAILS(dal_rows_next(rows[i], &found, &c->err), STATE);
                assert_false(found);
        }
}

const struct conf_case cursors_conf[] = {
        CONF_CASE(cursors__go_on_where_they_were),
        CONF_CASE(cursors__a_question_for_each_row),
        CONF_CASE(cursors__writes_run_beside_them),
        CONF_CASE(cursors__sql_made_at_run_time_too),
        CONF_CASE(cursors__a_refused_statement_leaves_the_others_alone),
        CONF_CASE(cursors__end_with_their_transaction),
        CONF_CASE(cursors__are_bounded),
        CONF_CASE(cursors__what_is_about_the_whole_connection_waits_for_them),
        CONF_CASE(cursors__outlive_their_place_in_the_cache),
        CONF_CASE(cursors__survive_a_change_of_the_schema),
        CONF_CASE(cursors__of_a_transaction_end_with_it),
        CONF_CASE(cursors__an_old_one_closed_late_makes_no_end),
        CONF_CASE(cursors__closed_among_their_rows_do_not_look_read),
        {NULL, NULL},
};
