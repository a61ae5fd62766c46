/* SPDX-License-Identifier: MIT */
/* Transactions on a plain connection: their states, their ends and what they cost. */

#include "conf.h"

static void add(struct conf *c, int64_t id)
{
        OK(dal_conn_exec(c->conn, &conf_add_account, DAL_PARAMS(dal_int64(id), dal_int64(100)), SOON, NULL,
                         &c->err));
}

static void begin(struct conf *c)
{
        OK(dal_conn_begin(c->conn, DAL_ISOLATION_DEFAULT, false, SOON, &c->err));
}

static int64_t count(struct conf *c, dal_conn *conn)
{
        return conf_number(c, conn, &conf_count_accounts, DAL_NO_PARAMS);
}

static void transactions__commit_makes_it_visible(struct conf *c)
{
        dal_conn *other = conf_open(c, NULL);

        begin(c);
        add(c, 1);
        assert_int_equal(dal_conn_tx_state(c->conn), DAL_TX_STATE_ACTIVE);
        assert_int_equal(count(c, c->conn), 1);
        assert_int_equal(count(c, other), 0);
        OK(dal_conn_commit(c->conn, SOON, &c->err));
        assert_int_equal(dal_conn_tx_state(c->conn), DAL_TX_STATE_IDLE);
        assert_int_equal(count(c, other), 1);
        dal_conn_close(other);
}

static void transactions__rollback_undoes(struct conf *c)
{
        begin(c);
        add(c, 1);
        OK(dal_conn_rollback(c->conn, SOON, &c->err));
        assert_int_equal(dal_conn_tx_state(c->conn), DAL_TX_STATE_IDLE);
        assert_int_equal(count(c, c->conn), 0);
        add(c, 2);
        assert_int_equal(count(c, c->conn), 1);
}

static void transactions__close_undoes(struct conf *c)
{
        dal_conn *other = conf_open(c, NULL);

        OK(dal_conn_begin(other, DAL_ISOLATION_DEFAULT, false, SOON, &c->err));
        OK(dal_conn_exec(other, &conf_add_account, DAL_PARAMS(dal_int64(1), dal_int64(1)), SOON, NULL,
                         &c->err));
        dal_conn_close(other);
        /* The server notices a moment later; the row's lock tells when. */
        add(c, 1);
        assert_int_equal(count(c, c->conn), 1);
}

static void transactions__two_begins_refused(struct conf *c)
{
        begin(c);
        FAILS(dal_conn_begin(c->conn, DAL_ISOLATION_DEFAULT, false, SOON, &c->err), TX_STATE);
        add(c, 1);
        FAILS(dal_conn_begin(c->conn, DAL_ISOLATION_DEFAULT, false, SOON, &c->err), TX_STATE);
        OK(dal_conn_commit(c->conn, SOON, &c->err));
        assert_int_equal(count(c, c->conn), 1);
        FAILS(dal_conn_commit(c->conn, SOON, &c->err), TX_STATE);
}

static void transactions__empty_ones_cost_nothing(struct conf *c)
{
        dal_conn_stats before = dal_conn_get_stats(c->conn), after;

        for (int i = 0; i < 3; i++) {
                begin(c);
                OK(i == 1 ? dal_conn_rollback(c->conn, SOON, &c->err)
                          : dal_conn_commit(c->conn, SOON, &c->err));
                assert_int_equal(dal_conn_tx_state(c->conn), DAL_TX_STATE_IDLE);
        }
        after = dal_conn_get_stats(c->conn);
        assert_int_equal(after.n_round_trips, before.n_round_trips);
}

/* After an error nothing more is done, and COMMIT says so: the same on engines that would have gone on. */
static void transactions__failed_one_can_only_be_rolled_back(struct conf *c)
{
        add(c, 1);
        begin(c);
        add(c, 2);
        FAILS(dal_conn_exec(c->conn, &conf_add_account, DAL_PARAMS(dal_int64(1), dal_int64(1)), SOON, NULL,
                            &c->err),
              UNIQUE);
        if (c->q->error_fails_tx)
                assert_int_equal(dal_conn_tx_state(c->conn), DAL_TX_STATE_FAILED);
        FAILS(dal_conn_exec(c->conn, &conf_add_account, DAL_PARAMS(dal_int64(3), dal_int64(1)), SOON, NULL,
                            &c->err),
              TX_STATE);
        FAILS(dal_conn_commit(c->conn, SOON, &c->err), COMMIT_ROLLED_BACK);
        assert_int_equal(dal_conn_tx_state(c->conn), DAL_TX_STATE_IDLE);
        assert_int_equal(count(c, c->conn), 1);
}

/* A call that the library refused spoils nothing. */
static void transactions__refused_call_does_not_fail_it(struct conf *c)
{
        begin(c);
        add(c, 1);
        FAILS(dal_conn_exec(c->conn, &conf_add_account, DAL_PARAMS(dal_int64(2)), SOON, NULL, &c->err),
              ARGUMENT);
        FAILS(dal_conn_exec_dynamic(c->conn, "COMMIT", DAL_NO_PARAMS, SOON, NULL, &c->err), ARGUMENT);
        add(c, 2);
        OK(dal_conn_commit(c->conn, SOON, &c->err));
        assert_int_equal(count(c, c->conn), 2);
}

static void transactions__read_only_refuses_writes(struct conf *c)
{
        add(c, 1);
        OK(dal_conn_begin(c->conn, DAL_ISOLATION_DEFAULT, true, SOON, &c->err));
        assert_int_equal(count(c, c->conn), 1);
        FAILS(dal_conn_exec(c->conn, &conf_add_account, DAL_PARAMS(dal_int64(2), dal_int64(1)), SOON, NULL,
                            &c->err),
              READ_ONLY_TX);
        OK(dal_conn_rollback(c->conn, SOON, &c->err));
        /* The next one is an ordinary one again. */
        begin(c);
        add(c, 3);
        OK(dal_conn_commit(c->conn, SOON, &c->err));
        assert_int_equal(count(c, c->conn), 2);
}

static void transactions__every_isolation_level(struct conf *c)
{
        static const dal_isolation levels[] = {DAL_ISOLATION_READ_COMMITTED, DAL_ISOLATION_REPEATABLE_READ,
                                               DAL_ISOLATION_SERIALIZABLE};

        for (size_t i = 0; i < 3; i++) {
                OK(dal_conn_begin(c->conn, levels[i], false, SOON, &c->err));
                add(c, (int64_t)i + 1);
                OK(dal_conn_commit(c->conn, SOON, &c->err));
        }
        assert_int_equal(count(c, c->conn), 3);
}

/* The level goes with its transaction: the next default one is not serializable. */
static void transactions__isolation_does_not_stay(struct conf *c)
{
        static const dal_stmt level =
                DAL_STMT("level", "SELECT 0", .postgres = "SHOW transaction_isolation",
                         .mysql = "SELECT @@transaction_isolation", .mariadb = "SELECT @@tx_isolation");
        char before[32] = "", after[32] = "";
        dal_rows *rows = NULL;

        if (!c->q->has_login)
                return; /* neither SQLite nor the fake server has a level to ask for */
        for (int i = 0; i < 2; i++) {
                if (i == 1) {
                        OK(dal_conn_begin(c->conn, DAL_ISOLATION_SERIALIZABLE, false, SOON, &c->err));
                        add(c, 1);
                        OK(dal_conn_commit(c->conn, SOON, &c->err));
                }
                begin(c);
                OK(dal_conn_query(c->conn, &level, DAL_NO_PARAMS, SOON, &rows, &c->err));
                OK(dal_rows_first(rows, &c->err));
                OK(dal_rows_copy_text(rows, 0, i == 0 ? before : after, sizeof before, &c->err));
                dal_rows_close(rows);
                OK(dal_conn_commit(c->conn, SOON, &c->err));
        }
        assert_string_equal(before, after);
}

/* COMMIT and ROLLBACK close what is open. */
static void transactions__rows_left_open(struct conf *c)
{
        dal_rows *rows = NULL;
        bool found;

        for (int i = 0; i < 2; i++) {
                begin(c);
                add(c, i + 1);
                OK(dal_conn_query(c->conn, i == 0 ? &conf_stream : &conf_numbers,
                                  DAL_PARAMS(dal_int64(20000)), SOON, &rows, &c->err));
                OK(dal_rows_next(rows, &found, &c->err));
                OK(i == 0 ? dal_conn_commit(c->conn, SOON, &c->err)
                          : dal_conn_rollback(c->conn, SOON, &c->err));
                assert_int_equal(dal_conn_tx_state(c->conn), DAL_TX_STATE_IDLE);
        }
        assert_int_equal(count(c, c->conn), 1);
}

static dal_pool *new_pool(struct conf *c)
{
        dal_pool_options options = DAL_POOL_OPTIONS_INIT;
        dal_pool *pool = NULL;

        options.max_size = 1;
        OK(dal_pool_new(c->driver, c->dsn, &options, &pool, &c->err));
        return pool;
}

static void end_pool(struct conf *c, dal_pool *pool)
{
        dal_pool_close(pool);
        OK(dal_pool_drain(pool, SOON, &c->err));
        OK(dal_pool_free(pool, &c->err));
}

static uint64_t round_trips(dal_conn *conn)
{
        return dal_conn_get_stats(conn).n_round_trips;
}

/* BEGIN costs nothing: it rides with the first statement, or the session is in transaction mode already. */
static void transactions__three_round_trips_for_two_statements(struct conf *c)
{
        dal_pool *pool = new_pool(c);
        dal_conn *conn = NULL;
        uint64_t before;

        OK(dal_pool_acquire(pool, true, SOON, &conn, &c->err));
        before = round_trips(conn);
        OK(dal_conn_begin(conn, DAL_ISOLATION_DEFAULT, false, SOON, &c->err));
        OK(dal_conn_exec(conn, &conf_add_account, DAL_PARAMS(dal_int64(1), dal_int64(1)), SOON, NULL,
                         &c->err));
        assert_int_equal(count(c, conn), 1);
        OK(dal_conn_commit(conn, SOON, &c->err));
        assert_int_equal(round_trips(conn) - before, c->q->counts_round_trips ? 3 : 0);
        dal_pool_release(pool, conn);
        end_pool(c, pool);
}

static void transactions__one_round_trip_for_one_statement(struct conf *c)
{
        dal_pool *pool = new_pool(c);
        dal_conn *conn = NULL;
        uint64_t before;

        OK(dal_pool_acquire(pool, false, SOON, &conn, &c->err));
        before = round_trips(conn);
        OK(dal_conn_exec(conn, &conf_add_account, DAL_PARAMS(dal_int64(1), dal_int64(1)), SOON, NULL,
                         &c->err));
        assert_int_equal(round_trips(conn) - before, c->q->counts_round_trips ? 1 : 0);
        dal_pool_release(pool, conn);
        end_pool(c, pool);
}

/* One connection changes between the modes; in both, what is outside a transaction commits by itself. */
static void transactions__pool_changes_modes(struct conf *c)
{
        dal_pool *pool = new_pool(c);

        for (int i = 0; i < 6; i++) {
                dal_conn *conn = NULL;
                bool tx = i % 2 == 1;
                OK(dal_pool_acquire(pool, tx, SOON, &conn, &c->err));
                if (tx)
                        OK(dal_conn_begin(conn, DAL_ISOLATION_DEFAULT, false, SOON, &c->err));
                OK(dal_conn_exec(conn, &conf_add_account, DAL_PARAMS(dal_int64(i), dal_int64(1)), SOON, NULL,
                                 &c->err));
                if (tx)
                        OK(dal_conn_commit(conn, SOON, &c->err));
                dal_pool_release(pool, conn);
                assert_int_equal(count(c, c->conn), i + 1);
        }
        end_pool(c, pool);
}

/* Given back in a transaction: rolled back before anybody else gets it. */
static void transactions__pool_rolls_back_what_comes_home(struct conf *c)
{
        dal_pool *pool = new_pool(c);
        dal_conn *conn = NULL;

        for (int i = 0; i < 3; i++) {
                OK(dal_pool_acquire(pool, true, SOON, &conn, &c->err));
                OK(dal_conn_begin(conn, DAL_ISOLATION_DEFAULT, false, SOON, &c->err));
                OK(dal_conn_exec(conn, &conf_add_account, DAL_PARAMS(dal_int64(1), dal_int64(1)), SOON, NULL,
                                 &c->err));
                if (i == 1)
                        FAILS(dal_conn_exec(conn, &conf_add_account, DAL_PARAMS(dal_int64(1), dal_int64(1)),
                                            SOON, NULL, &c->err),
                              UNIQUE);
                dal_pool_release(pool, conn);
        }
        assert_int_equal(count(c, c->conn), 0);
        assert_int_equal(dal_pool_get_stats(pool).n_opened, 1); /* it was cleaned, not thrown away */
        end_pool(c, pool);
}

/* DDL inside a transaction: undone with it, or, where it ends the transaction, said so. */
static void transactions__ddl_is_undone_or_reported(struct conf *c)
{
        static const char create[] = "CREATE TABLE conf_made (x BIGINT)";
        dal_status s;

        begin(c);
        add(c, 1);
        s = dal_conn_exec_dynamic(c->conn, create, DAL_NO_PARAMS, SOON, NULL, &c->err);
        if (c->q->ddl_ends_tx) {
                FAILS(s, TX_ENDED);
                assert_true(c->err.tx_gone);
                dal_conn_rollback(c->conn, SOON, &c->err);
                /* What was committed by it stays: this is what the error is about. */
                assert_int_equal(count(c, c->conn), 1);
                OK(dal_conn_script(c->conn, "DROP TABLE conf_made", SOON, &c->err));
                return;
        }
        OK(s);
        OK(dal_conn_rollback(c->conn, SOON, &c->err));
        assert_int_equal(count(c, c->conn), 0);
        if (!c->server)
                FAILS(dal_conn_script(c->conn, "DROP TABLE conf_made", SOON, &c->err), UNDEFINED_OBJECT);
}

static const dal_stmt make_table = DAL_STMT("make_table", "CREATE TABLE conf_made (x BIGINT)");

/* A pool's transaction, which may begin with its first statement and no sooner. */
static dal_status make_first(dal_tx *tx, void *arg, dal_error *err)
{
        const int *way = arg;
        dal_status s = *way == 0 ? dal_tx_exec(tx, &make_table, DAL_NO_PARAMS, NULL, err)
                                 : dal_tx_exec_dynamic(tx, make_table.common, DAL_NO_PARAMS, NULL, err);

        return s ? s : dal_error_set(err, DAL_CLASS_ARGUMENT, "not wanted after all");
}

static dal_status look_first(dal_tx *tx, void *arg, dal_error *err)
{
        static const dal_stmt nothing =
                DAL_STMT("one", "SELECT 1", .mysql = "DROP TEMPORARY TABLE IF EXISTS conf_none");
        dal_status s = dal_tx_exec(tx, &nothing, DAL_NO_PARAMS, NULL, err);

        (void)arg;
        return s ? s : dal_tx_exec(tx, &conf_add_account, DAL_PARAMS(dal_int64(1), dal_int64(1)), NULL, err);
}

/* It makes no difference that nothing was done before. */
static void transactions__ddl_at_the_very_beginning_is_undone_or_reported(struct conf *c)
{
        dal_key key = dal_key_int64(1);
        dal_cluster *cluster = conf_cluster(c, NULL);

        for (int way = 0; way < 2; way++) {
                dal_status s = dal_cluster_run(cluster, key, NULL, make_first, &way, &c->err);

                if (c->q->ddl_ends_tx) {
                        FAILS(s, TX_ENDED);
                        assert_true(c->err.tx_gone);
                        OK(dal_conn_script(c->conn, "DROP TABLE conf_made", SOON, &c->err));
                } else {
                        FAILS(s, ARGUMENT);
                        if (!c->server)
                                FAILS(dal_conn_script(c->conn, "DROP TABLE conf_made", SOON, &c->err),
                                      UNDEFINED_OBJECT);
                }
        }
        /* What begins no transaction ends none. */
        OK(dal_cluster_run(cluster, key, NULL, look_first, NULL, &c->err));
        assert_int_equal(count(c, c->conn), 1);
        conf_cluster_end(c, cluster);
}

/* A constraint that is looked at only at COMMIT: then COMMIT fails, and everything with it. */
static void transactions__deferred_constraint_fails_commit(struct conf *c)
{
        static const dal_stmt orphan =
                DAL_STMT("orphan", "INSERT INTO conf_child (id, parent) VALUES (1, 404)");

        if (!c->q->defers_constraints)
                return;
        OK(dal_conn_script(
                c->conn,
                "CREATE TABLE conf_child (id BIGINT PRIMARY KEY, parent BIGINT, CONSTRAINT conf_child_fk "
                "FOREIGN KEY (parent) REFERENCES conf_account (id) DEFERRABLE INITIALLY DEFERRED)",
                SOON, &c->err));
        begin(c);
        add(c, 1);
        OK(dal_conn_exec(c->conn, &orphan, DAL_NO_PARAMS, SOON, NULL, &c->err));
        FAILS(dal_conn_commit(c->conn, SOON, &c->err), FOREIGN_KEY);
        assert_false(c->err.retry_tx);
        assert_int_equal(dal_conn_tx_state(c->conn), DAL_TX_STATE_IDLE);
        assert_int_equal(count(c, c->conn), 0);
        add(c, 2);
        OK(dal_conn_script(c->conn, "DROP TABLE conf_child", SOON, &c->err));
}

/* What is outside a transaction commits by itself, on every engine and whatever the server's default is. */
static void transactions__autocommit_is_the_default(struct conf *c)
{
        dal_conn *other = conf_open(c, NULL);

        add(c, 1);
        assert_int_equal(dal_conn_tx_state(c->conn), DAL_TX_STATE_IDLE);
        assert_int_equal(count(c, other), 1);
        dal_conn_close(other);
}

/* Asked inside a transaction: a pooler lends another session to each. */
static const dal_stmt session_number =
        DAL_STMT("session_number", "SELECT 0", .postgres = "SELECT pg_backend_pid()",
                 .mysql = "SELECT CONNECTION_ID()");
static const dal_stmt open_ones = DAL_STMT(
        "open_ones", "SELECT 0 AS nobody WHERE ? = -1",
        .postgres =
                "SELECT COUNT(*) FROM pg_stat_activity WHERE pid = ? AND state LIKE 'idle in transaction%'",
        .mysql = "SELECT COUNT(*) FROM information_schema.innodb_trx WHERE trx_mysql_thread_id = ?");

/* InnoDB's table is copied at most every tenth of a second. Source: MySQL manual, INNODB_TRX; trx0i_s.cc */
static void wait_for_open_ones(struct conf *c, int64_t session_id, int64_t wanted)
{
        dal_deadline end = dal_clock_after_ms(5000);
        dal_params session = DAL_PARAMS(dal_int64(session_id));
        int64_t n = -1;

        while (n != wanted) {
                dal_rows *rows = NULL;
                dal_status s = dal_conn_query(c->conn, &open_ones, session, SOON, &rows, &c->err);

                if (s == DAL_OK) {
                        OK(dal_rows_first(rows, &c->err));
                        OK(dal_rows_int64(rows, 0, &n, &c->err));
                        dal_rows_close(rows);
                } else if (!conf_saw_bytes(&c->err)) {
                        OK(s);
                }
                if (n == wanted)
                        break;
                if (dal_clock_passed(end))
                        fail_msg("the server sees other than %d open transactions", (int)wanted);
                conf_sleep_ms(150);
        }
}

/* Not by our word but the server's: after the end nothing is begun anew that would hold locks or old rows. */
static void transactions__none_is_left_open_at_the_server(struct conf *c)
{
        dal_pool *pool;
        dal_conn *conn = NULL;

        if (!c->q->has_port)
                return; /* nobody to ask */
        pool = new_pool(c);
        for (int i = 0; i < 2; i++) {
                int64_t id;

                OK(dal_pool_acquire(pool, true, SOON, &conn, &c->err));
                OK(dal_conn_begin(conn, DAL_ISOLATION_DEFAULT, false, SOON, &c->err));
                id = conf_number(c, conn, &session_number, DAL_NO_PARAMS);
                OK(dal_conn_exec(conn, &conf_add_account, DAL_PARAMS(dal_int64(i), dal_int64(1)), SOON, NULL,
                                 &c->err));
                wait_for_open_ones(c, id, 1);
                if (i == 0)
                        OK(dal_conn_commit(conn, SOON, &c->err));
                else
                        OK(dal_conn_rollback(conn, SOON, &c->err));
                wait_for_open_ones(c, id, 0);
                dal_pool_release(pool, conn);
        }
        end_pool(c, pool);
}

const struct conf_case transactions_conf[] = {
        CONF_CASE(transactions__commit_makes_it_visible),
        CONF_CASE(transactions__rollback_undoes),
        CONF_CASE(transactions__close_undoes),
        CONF_CASE(transactions__two_begins_refused),
        CONF_CASE(transactions__empty_ones_cost_nothing),
        CONF_CASE(transactions__failed_one_can_only_be_rolled_back),
        CONF_CASE(transactions__refused_call_does_not_fail_it),
        CONF_CASE(transactions__read_only_refuses_writes),
        CONF_CASE(transactions__every_isolation_level),
        CONF_CASE(transactions__isolation_does_not_stay),
        CONF_CASE(transactions__rows_left_open),
        CONF_CASE(transactions__three_round_trips_for_two_statements),
        CONF_CASE(transactions__one_round_trip_for_one_statement),
        CONF_CASE(transactions__pool_changes_modes),
        CONF_CASE(transactions__pool_rolls_back_what_comes_home),
        CONF_CASE(transactions__ddl_is_undone_or_reported),
        CONF_CASE(transactions__ddl_at_the_very_beginning_is_undone_or_reported),
        CONF_CASE(transactions__deferred_constraint_fails_commit),
        CONF_CASE(transactions__autocommit_is_the_default),
        CONF_CASE(transactions__none_is_left_open_at_the_server),
        {NULL, NULL},
};
