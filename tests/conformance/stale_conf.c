/* SPDX-License-Identifier: MIT */
/* Prepared statements that grow old: the table changed, the session forgot, the cache is full, the connection went. */

#include "conf.h"

/* --- A table that changes ------------------------------------------------------------------------------ */

static const dal_stmt star = DAL_STMT("star", "SELECT * FROM conf_changing");

static void make_changing(struct conf *c)
{
        OK(dal_conn_script(c->conn, "CREATE TABLE conf_changing (a BIGINT)", SOON, &c->err));
        OK(dal_conn_script(c->conn, "INSERT INTO conf_changing VALUES (1)", SOON, &c->err));
}

static void change(struct conf *c, dal_conn *conn)
{
        OK(dal_conn_script(conn, "ALTER TABLE conf_changing ADD COLUMN b BIGINT", SOON, &c->err));
}

static void drop_changing(struct conf *c)
{
        OK(dal_conn_script(c->conn, "DROP TABLE conf_changing", SOON, &c->err));
}

static void check_columns(struct conf *c, dal_rows *rows, uint32_t n_columns)
{
        OK(dal_rows_first(rows, &c->err));
        assert_int_equal(dal_rows_n_columns(rows), n_columns);
        dal_rows_close(rows);
}

static void read_star(struct conf *c, dal_conn *conn, uint32_t n_columns)
{
        dal_rows *rows = NULL;

        OK(dal_conn_query(conn, &star, DAL_NO_PARAMS, SOON, &rows, &c->err));
        check_columns(c, rows, n_columns);
}

/* A prepared SELECT * whose table grew a column: new rows, not a failure and not old columns. */
static void statements__table_changed_under_a_prepared_statement(struct conf *c)
{
        dal_conn *other = conf_open(c, NULL);

        make_changing(c);
        read_star(c, c->conn, 1);
        read_star(c, other, 1);
        change(c, c->conn);
        read_star(c, c->conn, 2);
        read_star(c, other, 2); /* which was told by nobody but the server */
        dal_conn_close(other);
        drop_changing(c);
}

/* A change through one connection of a pool is known to the next user of every other one, in transactions too. */
static void statements__table_changed_through_one_connection_of_a_pool(struct conf *c)
{
        dal_pool_options options = DAL_POOL_OPTIONS_INIT;
        dal_conn *conns[2];
        dal_pool *pool = NULL;

        options.max_size = 2;
        OK(dal_pool_new(c->driver, c->dsn, &options, &pool, &c->err));
        make_changing(c);
        for (int i = 0; i < 2; i++) {
                OK(dal_pool_acquire(pool, false, SOON, &conns[i], &c->err));
                read_star(c, conns[i], 1);
        }
        dal_pool_release(pool, conns[1]);
        change(c, conns[0]);
        OK(dal_pool_acquire(pool, false, SOON, &conns[1], &c->err));
        for (int i = 0; i < 2; i++) {
                OK(dal_conn_begin(conns[i], DAL_ISOLATION_DEFAULT, false, SOON, &c->err));
                read_star(c, conns[i], 2);
                OK(dal_conn_commit(conns[i], SOON, &c->err));
                dal_pool_release(pool, conns[i]);
        }
        dal_pool_close(pool);
        OK(dal_pool_free(pool, &c->err));
        drop_changing(c);
}

struct reader {
        struct conf *c;
        uint32_t n_calls, n_columns;
};

static dal_status read_in_tx(dal_tx *tx, void *arg, dal_error *err)
{
        struct reader *r = arg;
        dal_rows *rows = NULL;
        dal_status s;

        r->n_calls++;
        s = dal_tx_exec(tx, &conf_add_account, DAL_PARAMS(dal_int64(r->n_columns), dal_int64(1)), NULL, err);
        if (s == DAL_OK)
                s = dal_tx_query(tx, &star, DAL_NO_PARAMS, &rows, err);
        if (s == DAL_OK)
                s = dal_rows_first(rows, err);
        if (s == DAL_OK)
                r->n_columns = dal_rows_n_columns(rows);
        if (rows)
                dal_rows_close(rows);
        return s;
}

/* Changed by somebody else: at worst the transaction is run again, once for all its statements. */
static void statements__table_changed_before_a_transaction(struct conf *c)
{
        dal_cluster_options options = DAL_CLUSTER_OPTIONS_INIT;
        struct reader r = {.c = c};
        dal_cluster *cluster;
        dal_rows *rows = NULL;

        options.pool.max_size = 1;
        cluster = conf_cluster(c, &options);
        make_changing(c);
        OK(dal_cluster_run(cluster, dal_key_int64(1), NULL, read_in_tx, &r, &c->err));
        assert_int_equal(r.n_calls, 1);
        assert_int_equal(r.n_columns, 1);
        change(c, c->conn);
        OK(dal_cluster_run(cluster, dal_key_int64(1), NULL, read_in_tx, &r, &c->err));
        assert_in_range(r.n_calls, 2, 3);
        assert_int_equal(r.n_columns, 2);
        assert_int_equal(conf_number(c, c->conn, &conf_count_accounts, DAL_NO_PARAMS), 2);
        OK(dal_cluster_query(cluster, dal_key_int64(1), &star, DAL_NO_PARAMS, &rows, &c->err));
        check_columns(c, rows, 2);
        conf_cluster_end(c, cluster);
        drop_changing(c);
}

/* What the session was made to forget is prepared again, by DEALLOCATE or by the reset between two users. */
static void statements__forgotten_by_the_server_are_prepared_again(struct conf *c)
{
        static const dal_stmt forget =
                DAL_STMT("forget", "SELECT COUNT(*) FROM conf_account", .postgres = "DEALLOCATE ALL");
        dal_pool_options options = DAL_POOL_OPTIONS_INIT;
        dal_pool *pool = NULL;
        dal_conn *conn;

        options.max_size = 1;
        OK(dal_pool_new(c->driver, c->dsn, &options, &pool, &c->err));
        for (int64_t id = 1; id <= 3; id++) {
                OK(dal_pool_acquire(pool, false, SOON, &conn, &c->err));
                OK(dal_conn_exec(conn, &conf_add_account, DAL_PARAMS(dal_int64(id), dal_int64(1)), SOON, NULL,
                                 &c->err));
                OK(dal_conn_exec(conn, &forget, DAL_NO_PARAMS, SOON, NULL, &c->err));
                assert_int_equal(conf_number(c, conn, &conf_count_accounts, DAL_NO_PARAMS), id);
                OK(dal_conn_script(conn, "SELECT COUNT(*) FROM conf_account", SOON,
                                   &c->err)); /* so it is reset */
                dal_pool_release(pool, conn);
        }
        dal_pool_close(pool);
        OK(dal_pool_free(pool, &c->err));
}

/* --- The cache and the server --------------------------------------------------------------------------- */

/* Where sessions share a number of statements, a connection takes its part of it only. */
static void statements__cache_stays_within_the_servers_number(struct conf *c)
{
        dal_conn_options options = DAL_CONN_OPTIONS_INIT;
        uint32_t max_prepared = dal_conn_info(c->conn)->max_prepared;
        dal_conn *conn;

        options.statement_cache_size = UINT32_MAX;
        conn = conf_open(c, &options);
        if (max_prepared && conf_n_prepared(c, 1))
                assert_int_equal(dal_conn_get_stats(conn).cache_size,
                                 max_prepared / 4 > 16 ? max_prepared / 4 : 16);
        else
                assert_int_equal(dal_conn_get_stats(conn).cache_size, UINT32_MAX);
        dal_conn_close(conn);
}

/* Dropped in a transaction that has failed, where the server takes no statement any more. */
static void statements__dropped_around_a_failed_transaction(struct conf *c)
{
        dal_conn_options options = DAL_CONN_OPTIONS_INIT;
        dal_conn *conn;

        options.statement_cache_size = 1;
        conn = conf_open(c, &options);
        for (int64_t id = 1; id <= 40; id++) { /* more than any driver puts off */
                OK(dal_conn_begin(conn, DAL_ISOLATION_DEFAULT, false, SOON, &c->err));
                OK(dal_conn_exec(conn, &conf_add_account, DAL_PARAMS(dal_int64(1), dal_int64(1)), SOON, NULL,
                                 &c->err));
                FAILS(dal_conn_exec(conn, &conf_add_account, DAL_PARAMS(dal_int64(1), dal_int64(1)), SOON,
                                    NULL, &c->err),
                      UNIQUE);
                FAILS(dal_conn_exec(conn, &conf_remove_account, DAL_PARAMS(dal_int64(1)), SOON, NULL,
                                    &c->err),
                      TX_STATE);
                OK(dal_conn_rollback(conn, SOON, &c->err));
                assert_int_equal(conf_number(c, conn, &conf_count_accounts, DAL_NO_PARAMS), 0);
        }
        assert_int_equal(dal_conn_get_stats(conn).n_cached, 1);
        dal_conn_close(conn);
}

static dal_status queue_a_broken_one(dal_tx *tx, void *arg, dal_error *err)
{
        static const dal_stmt broken = DAL_STMT("broken", "SELEKT 1");
        const bool *with_broken = arg;
        dal_status s = dal_tx_queue(tx, &conf_add_account, DAL_PARAMS(dal_int64(1), dal_int64(1)), err);

        if (s == DAL_OK && *with_broken)
                s = dal_tx_queue(tx, &broken, DAL_NO_PARAMS, err);
        return s ? s : dal_tx_queue(tx, &conf_add_balance, DAL_PARAMS(dal_int64(1), dal_int64(1)), err);
}

/* One that can't be prepared, among others of the same flush: the others are prepared, or not, for good. */
static void statements__failed_prepare_among_others_leaves_nothing(struct conf *c)
{
        dal_cluster_options options = DAL_CLUSTER_OPTIONS_INIT;
        dal_cluster *cluster;

        options.pool.max_size = 1;
        cluster = conf_cluster(c, &options);
        for (int i = 0; i < 4; i++) {
                bool with_broken = i < 3;
                dal_status s = dal_cluster_run(cluster, dal_key_int64(1), NULL, queue_a_broken_one,
                                               &with_broken, &c->err);

                if (with_broken)
                        FAILS(s, SYNTAX);
                else
                        OK(s);
                assert_int_equal(conf_number(c, c->conn, &conf_count_accounts, DAL_NO_PARAMS), !with_broken);
        }
        assert_int_equal(conf_number(c, c->conn, &conf_balance, DAL_PARAMS(dal_int64(1))), 2);
        conf_cluster_end(c, cluster);
}

/* A statement is a constant of the program, not a handle of a session: it outlives every connection. */
static void statements__outlive_their_connections(struct conf *c)
{
        for (int64_t id = 1; id <= 3; id++) {
                dal_conn *conn = conf_open(c, NULL);

                OK(dal_conn_exec(conn, &conf_add_account, DAL_PARAMS(dal_int64(id), dal_int64(1)), SOON, NULL,
                                 &c->err));
                assert_int_equal(conf_number(c, conn, &conf_count_accounts, DAL_NO_PARAMS), id);
                dal_conn_close(conn);
        }
}

/* Streaming is for rows; a write has none. */
static void statements__stream_asked_of_a_write_changes_nothing(struct conf *c)
{
        static const dal_stmt add =
                DAL_STMT("add_account", "INSERT INTO conf_account (id, balance) VALUES (?, ?)",
                         .flags = DAL_STMT_STREAM);
        dal_rows *rows = NULL;
        int64_t n = 0;
        bool found = true;

        OK(dal_conn_exec(c->conn, &add, DAL_PARAMS(dal_int64(1), dal_int64(5)), SOON, &n, &c->err));
        assert_int_equal(n, 1);
        OK(dal_conn_query(c->conn, &add, DAL_PARAMS(dal_int64(2), dal_int64(5)), SOON, &rows, &c->err));
        OK(dal_rows_next(rows, &found, &c->err));
        assert_false(found);
        dal_rows_close(rows);
        FAILS(dal_conn_exec(c->conn, &add, DAL_PARAMS(dal_int64(2), dal_int64(5)), SOON, &n, &c->err),
              UNIQUE);
        assert_int_equal(conf_number(c, c->conn, &conf_count_accounts, DAL_NO_PARAMS), 2);
}

const struct conf_case stale_conf[] = {
        CONF_CASE(statements__table_changed_under_a_prepared_statement),
        CONF_CASE(statements__table_changed_through_one_connection_of_a_pool),
        CONF_CASE(statements__table_changed_before_a_transaction),
        CONF_CASE(statements__forgotten_by_the_server_are_prepared_again),
        CONF_CASE(statements__cache_stays_within_the_servers_number),
        CONF_CASE(statements__dropped_around_a_failed_transaction),
        CONF_CASE(statements__failed_prepare_among_others_leaves_nothing),
        CONF_CASE(statements__outlive_their_connections),
        CONF_CASE(statements__stream_asked_of_a_write_changes_nothing),
        {NULL, NULL},
};
