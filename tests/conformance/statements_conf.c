/* SPDX-License-Identifier: MIT */
/* SQL text: placeholders, dialects, what is refused, and the cache of prepared statements. */

#include <stdlib.h>

#include "conf.h"

static void add_accounts(struct conf *c, int64_t n)
{
        for (int64_t id = 1; id <= n; id++)
                OK(dal_conn_exec(c->conn, &conf_add_account, DAL_PARAMS(dal_int64(id), dal_int64(100 * id)),
                                 SOON, NULL, &c->err));
}

static void statements__wrong_parameter_count_names_both_numbers(struct conf *c)
{
        FAILS(dal_conn_exec(c->conn, &conf_add_account, DAL_PARAMS(dal_int64(1)), SOON, NULL, &c->err),
              ARGUMENT);
        assert_non_null(strstr(c->err.message, "add_account"));
        assert_non_null(strstr(c->err.message, "2"));
        assert_non_null(strstr(c->err.message, "1"));
        assert_true(c->err.not_sent);
        FAILS(dal_conn_exec(c->conn, &conf_add_account, DAL_NO_PARAMS, SOON, NULL, &c->err), ARGUMENT);
        FAILS(dal_conn_exec(c->conn, &conf_add_account, DAL_PARAMS(dal_int64(1), dal_int64(2), dal_int64(3)),
                            SOON, NULL, &c->err),
              ARGUMENT);
        assert_int_equal(conf_number(c, c->conn, &conf_count_accounts, DAL_NO_PARAMS), 0);
}

static void statements__count_is_rows_matched(struct conf *c)
{
        int64_t n = 42;

        add_accounts(c, 2);
        OK(dal_conn_exec(c->conn, &conf_add_balance, DAL_PARAMS(dal_int64(5), dal_int64(1)), SOON, &n,
                         &c->err));
        assert_int_equal(n, 1);
        /* A row that is found but not changed counts on every engine. */
        OK(dal_conn_exec(c->conn, &conf_add_balance, DAL_PARAMS(dal_int64(0), dal_int64(1)), SOON, &n,
                         &c->err));
        assert_int_equal(n, 1);
        OK(dal_conn_exec(c->conn, &conf_add_balance, DAL_PARAMS(dal_int64(5), dal_int64(77)), SOON, &n,
                         &c->err));
        assert_int_equal(n, 0);
        OK(dal_conn_exec(c->conn, &conf_remove_account, DAL_PARAMS(dal_int64(2)), SOON, &n, &c->err));
        assert_int_equal(n, 1);
}

static void statements__question_marks_in_quotes_and_comments_stay(struct conf *c)
{
        static const dal_stmt tricky =
                DAL_STMT("tricky", "SELECT id, '?''?' AS \"q?\" /* ? it's */ FROM conf_account "
                                   "WHERE id = ? -- and ? again\n AND balance = ?");
        dal_rows *rows = NULL;
        char text[8] = "";

        add_accounts(c, 2);
        OK(dal_conn_query(c->conn, &tricky, DAL_PARAMS(dal_int64(2), dal_int64(200)), SOON, &rows, &c->err));
        OK(dal_rows_first(rows, &c->err));
        OK(dal_rows_copy_text(rows, 1, text, sizeof text, &c->err));
        assert_string_equal(text, "?'?");
        assert_string_equal(dal_rows_column(rows, 1), "q?");
        dal_rows_close(rows);
}

/*
 * PostgreSQL's JSON operator is the reason for `??`; elsewhere there is no such operator, so it is refused.
 */
static void statements__double_question_mark_is_one(struct conf *c)
{
        static const dal_stmt json =
                DAL_STMT("json_has", "SELECT 1 WHERE 'a' ?? ?",
                         .postgres = "SELECT 1 WHERE jsonb_build_object('a', 1) ?? ? AND $$?$$ = $x$?$x$");
        dal_rows *rows = NULL;

        if (c->q->dialect != DAL_DIALECT_postgres) {
                FAILS(dal_conn_query(c->conn, &json, DAL_PARAMS(dal_text("a")), SOON, &rows, &c->err),
                      ARGUMENT);
                return;
        }
        OK(dal_conn_query(c->conn, &json, DAL_PARAMS(dal_text("a")), SOON, &rows, &c->err));
        OK(dal_rows_first(rows, &c->err));
        dal_rows_close(rows);
}

static void statements__parameter_next_to_a_sign(struct conf *c)
{
        static const dal_stmt minus =
                DAL_STMT("minus", "SELECT balance -? FROM conf_account WHERE balance>? AND id=?");

        add_accounts(c, 1);
        assert_int_equal(
                conf_number(c, c->conn, &minus, DAL_PARAMS(dal_int64(-1), dal_int64(-1), dal_int64(1))), 101);
}

static void statements__empty_refused(struct conf *c)
{
        static const char *const list[] = {"", " \n\t", "-- only a comment", "/* only a comment */", ";"};
        static const dal_stmt empty = DAL_STMT("empty", "");

        for (size_t i = 0; i < sizeof list / sizeof list[0]; i++)
                FAILS(dal_conn_exec_dynamic(c->conn, list[i], DAL_NO_PARAMS, SOON, NULL, &c->err), ARGUMENT);
        FAILS(dal_conn_exec(c->conn, &empty, DAL_NO_PARAMS, SOON, NULL, &c->err), ARGUMENT);
}

static void statements__two_at_once_refused(struct conf *c)
{
        static const dal_stmt two = DAL_STMT("two", "DELETE FROM conf_account; DELETE FROM conf_account");

        add_accounts(c, 1);
        FAILS(dal_conn_exec(c->conn, &two, DAL_NO_PARAMS, SOON, NULL, &c->err), ARGUMENT);
        FAILS(dal_conn_exec_dynamic(c->conn, "DELETE FROM conf_item; DELETE FROM conf_account", DAL_NO_PARAMS,
                                    SOON, NULL, &c->err),
              ARGUMENT);
        assert_int_equal(conf_number(c, c->conn, &conf_count_accounts, DAL_NO_PARAMS), 1);
}

static void statements__unterminated_quote_refused(struct conf *c)
{
        FAILS(dal_conn_exec_dynamic(c->conn, "SELECT 'no end", DAL_NO_PARAMS, SOON, NULL, &c->err), ARGUMENT);
        FAILS(dal_conn_exec_dynamic(c->conn, "SELECT 1 /* no end", DAL_NO_PARAMS, SOON, NULL, &c->err),
              ARGUMENT);
}

static void statements__trailing_semicolon_and_comment_allowed(struct conf *c)
{
        static const dal_stmt trailing =
                DAL_STMT("trailing", "SELECT COUNT(*) FROM conf_account ; -- that's all\n");

        add_accounts(c, 3);
        assert_int_equal(conf_number(c, c->conn, &trailing, DAL_NO_PARAMS), 3);
}

static void statements__dialect_decides_the_text(struct conf *c)
{
        static const dal_stmt which =
                DAL_STMT("which", "SELECT 'common' AS d", .sqlite = "SELECT 'sqlite' AS d",
                         .postgres = "SELECT 'postgres' AS d", .mysql = "SELECT 'mysql' AS d",
                         .mariadb = "SELECT 'mariadb' AS d");
        static const dal_stmt parent =
                DAL_STMT("which_parent", "SELECT 'common' AS d", .mysql = "SELECT 'mysql' AS d");
        const char *own = dal_stmt_dialect_name(c->q->dialect);
        bool is_family = c->q->dialect == DAL_DIALECT_mysql || c->q->dialect == DAL_DIALECT_mariadb;
        const dal_stmt *const stmts[] = {&which, &parent};
        const char *wanted[] = {own, is_family ? "mysql" : "common"};

        for (size_t i = 0; i < 2; i++) {
                dal_rows *rows = NULL;
                char text[16] = "";
                OK(dal_conn_query(c->conn, stmts[i], DAL_NO_PARAMS, SOON, &rows, &c->err));
                OK(dal_rows_first(rows, &c->err));
                OK(dal_rows_copy_text(rows, 0, text, sizeof text, &c->err));
                assert_string_equal(text, wanted[i]);
                dal_rows_close(rows);
        }
}

static void statements__bad_name_refused(struct conf *c)
{
        static const dal_stmt bad = DAL_STMT("*/ DROP TABLE conf_item; /*", "SELECT 1");

        FAILS(dal_conn_exec(c->conn, &bad, DAL_NO_PARAMS, SOON, NULL, &c->err), ARGUMENT);
}

static void statements__dynamic_sql(struct conf *c)
{
        dal_rows *rows = NULL;
        int64_t n = 0;
        bool found = true;

        add_accounts(c, 2);
        OK(dal_conn_exec_dynamic(c->conn, "UPDATE conf_account SET balance = ? WHERE id = ?",
                                 DAL_PARAMS(dal_int64(7), dal_int64(2)), SOON, &n, &c->err));
        assert_int_equal(n, 1);
        OK(dal_conn_query_dynamic(c->conn, "SELECT balance FROM conf_account WHERE id = ?",
                                  DAL_PARAMS(dal_int64(2)), SOON, &rows, &c->err));
        OK(dal_rows_first(rows, &c->err));
        OK(dal_rows_int64(rows, 0, &n, &c->err));
        assert_int_equal(n, 7);
        OK(dal_rows_next(rows, &found, &c->err));
        assert_false(found);
        dal_rows_close(rows);
        FAILS(dal_conn_exec_dynamic(c->conn, "UPDATE conf_account SET balance = ? WHERE id = ?",
                                    DAL_PARAMS(dal_int64(7)), SOON, &n, &c->err),
              ARGUMENT);
}

static void statements__transaction_words_refused(struct conf *c)
{
        static const char *const list[] = {"BEGIN",       "COMMIT",         "ROLLBACK", "START TRANSACTION",
                                           "SAVEPOINT x", "/* so */ commit"};
        static const dal_stmt commit = DAL_STMT("sneaky", "COMMIT");

        for (size_t i = 0; i < sizeof list / sizeof list[0]; i++)
                FAILS(dal_conn_exec_dynamic(c->conn, list[i], DAL_NO_PARAMS, SOON, NULL, &c->err), ARGUMENT);
        FAILS(dal_conn_exec(c->conn, &commit, DAL_NO_PARAMS, SOON, NULL, &c->err), ARGUMENT);
}

static void statements__prepared_once(struct conf *c)
{
        dal_conn_stats before = dal_conn_get_stats(c->conn), after;

        add_accounts(c, 10);
        after = dal_conn_get_stats(c->conn);
        assert_int_equal(after.n_prepared - before.n_prepared, conf_n_prepared(c, 1));
        assert_int_equal(after.n_requests - before.n_requests, 10);
        assert_int_equal(after.n_round_trips - before.n_round_trips, c->q->counts_round_trips ? 10 : 0);
}

static void statements__small_cache_evicts_and_goes_on(struct conf *c)
{
        dal_conn_options options = DAL_CONN_OPTIONS_INIT;
        dal_conn_stats stats;
        dal_conn *conn;

        options.statement_cache_size = 2;
        conn = conf_open(c, &options);
        for (int64_t id = 1; id <= 5; id++) {
                OK(dal_conn_exec(conn, &conf_add_account, DAL_PARAMS(dal_int64(id), dal_int64(1)), SOON, NULL,
                                 &c->err));
                OK(dal_conn_exec(conn, &conf_add_balance, DAL_PARAMS(dal_int64(1), dal_int64(id)), SOON, NULL,
                                 &c->err));
                assert_int_equal(conf_number(c, conn, &conf_balance, DAL_PARAMS(dal_int64(id))), 2);
        }
        stats = dal_conn_get_stats(conn);
        assert_true(stats.n_evicted >= 12);
        assert_int_equal(stats.n_prepared, conf_n_prepared(c, 15));
        dal_conn_close(conn);
}

/* The one used longest ago goes, and only that one. */
static void statements__cache_keeps_what_was_used_last(struct conf *c)
{
        dal_conn_options options = DAL_CONN_OPTIONS_INIT;
        dal_conn *conn;

        options.statement_cache_size = 3;
        conn = conf_open(c, &options);
        for (int64_t id = 1; id <= 3; id++) {
                OK(dal_conn_exec(conn, &conf_add_account, DAL_PARAMS(dal_int64(id), dal_int64(1)), SOON, NULL,
                                 &c->err));
                conf_number(c, conn, &conf_balance, DAL_PARAMS(dal_int64(id)));
                conf_number(c, conn, &conf_count_accounts, DAL_NO_PARAMS);
        }
        assert_int_equal(dal_conn_get_stats(conn).n_prepared, conf_n_prepared(c, 3));
        OK(dal_conn_exec(conn, &conf_remove_account, DAL_PARAMS(dal_int64(1)), SOON, NULL, &c->err));
        conf_number(c, conn, &conf_balance, DAL_PARAMS(dal_int64(2)));
        conf_number(c, conn, &conf_count_accounts, DAL_NO_PARAMS);
        assert_int_equal(dal_conn_get_stats(conn).n_prepared, conf_n_prepared(c, 4));
        assert_int_equal(dal_conn_get_stats(conn).n_evicted, 1);
        OK(dal_conn_exec(conn, &conf_add_account, DAL_PARAMS(dal_int64(9), dal_int64(1)), SOON, NULL,
                         &c->err));
        conf_number(c, conn, &conf_balance, DAL_PARAMS(dal_int64(2)));
        conf_number(c, conn, &conf_count_accounts, DAL_NO_PARAMS);
        assert_int_equal(dal_conn_get_stats(conn).n_prepared, conf_n_prepared(c, 5));
        assert_int_equal(dal_conn_get_stats(conn).n_evicted, 2);
        dal_conn_close(conn);
}

static void statements__failed_prepare_leaves_nothing(struct conf *c)
{
        static const dal_stmt broken = DAL_STMT("broken", "SELEKT 1");

        for (int i = 0; i < 3; i++)
                FAILS(dal_conn_exec(c->conn, &broken, DAL_NO_PARAMS, SOON, NULL, &c->err), SYNTAX);
        add_accounts(c, 1);
        assert_int_equal(conf_number(c, c->conn, &conf_count_accounts, DAL_NO_PARAMS), 1);
}

/* --- What strings mean ------------------------------------------------------------------------------------ */

/*
 * Where a string ends decides what is code and what is a parameter: library and server must agree on backslashes, also
 * after a user before wanted them read otherwise. Nothing is ever quoted into a statement: values travel beside it.
 */
static void statements__strings_end_where_the_server_ends_them(struct conf *c)
{
        static const dal_stmt backslash =
                DAL_STMT("backslash", "SELECT COUNT(*) FROM conf_account WHERE '\\' <> ? AND '?' <> ?",
                         .mysql = "SELECT COUNT(*) FROM conf_account WHERE '\\' ?' <> ? AND '?\\\\' <> ?");
        static const char *const otherwise[] = {
                [DAL_DIALECT_sqlite] = "PRAGMA recursive_triggers = 1",
                [DAL_DIALECT_postgres] = "SET standard_conforming_strings = off",
                [DAL_DIALECT_mysql] = "SET sql_mode = 'NO_BACKSLASH_ESCAPES'",
                [DAL_DIALECT_mariadb] = "SET sql_mode = 'NO_BACKSLASH_ESCAPES'",
        };
        dal_pool_options options = DAL_POOL_OPTIONS_INIT;
        dal_pool *pool = NULL;
        dal_conn *conn;

        if (c->server)
                return; /* which understands no SQL */
        add_accounts(c, 2);
        options.max_size = 1;
        OK(dal_pool_new(c->driver, c->dsn, &options, &pool, &c->err));
        for (int i = 0; i < 2; i++) {
                OK(dal_pool_acquire(pool, false, SOON, &conn, &c->err));
                assert_int_equal(conf_number(c, conn, &backslash,
                                             DAL_PARAMS(dal_text("\\'"), dal_text("' OR 1=1 -- "))),
                                 2);
                /* In sessions that are shared it is not even possible. */
                if (dal_conn_script(conn, otherwise[c->q->dialect], SOON, &c->err) != DAL_OK)
                        FAILS(c->err.status, UNSUPPORTED);
                dal_pool_release(pool, conn);
        }
        dal_pool_close(pool);
        OK(dal_pool_free(pool, &c->err));
}

/* "SELECT COUNT(*) FROM conf_account WHERE id IN (?, ?, ...)" with so many. */
static char *select_in(uint32_t n)
{
        static const char head[] = "SELECT COUNT(*) FROM conf_account WHERE id IN (";
        char *sql = malloc(sizeof head + 2 * (size_t)n + 1), *end;

        assert_non_null(sql);
        memcpy(sql, head, sizeof head);
        end = sql + sizeof head - 1;
        for (uint32_t i = 0; i < n; i++, end += 2)
                memcpy(end, "?,", 2);
        memcpy(end - 1, ")", 2);
        return sql;
}

/* As many as the engine takes, and then one more, which is refused before anything is sent. */
static void statements__parameters_up_to_the_limit(struct conf *c)
{
        uint32_t n = c->driver->max_params;
        dal_value *values = calloc((size_t)n + 1, sizeof *values);
        char *most = select_in(n), *more = select_in(n + 1);
        dal_rows *rows = NULL;
        int64_t count = 0;

        assert_non_null(values);
        add_accounts(c, 3);
        for (uint32_t i = 0; i <= n; i++)
                values[i] = dal_int64((int64_t)i + 1);
        if (!c->server) { /* which understands no SQL */
                OK(dal_conn_query_dynamic(c->conn, most, (dal_params){values, n}, SOON, &rows, &c->err));
                OK(dal_rows_first(rows, &c->err));
                OK(dal_rows_int64(rows, 0, &count, &c->err));
                assert_int_equal(count, 3);
                dal_rows_close(rows);
        }
        FAILS(dal_conn_query_dynamic(c->conn, more, (dal_params){values, (size_t)n + 1}, SOON, &rows,
                                     &c->err),
              ARGUMENT);
        assert_int_equal(conf_number(c, c->conn, &conf_count_accounts, DAL_NO_PARAMS), 3);
        free(more);
        free(most);
        free(values);
}

/* The id that the engine made up: from RETURNING where there is one, else from the answer itself. */
static void statements__generated_id(struct conf *c)
{
        static const char *const ddl[] = {
                [DAL_DIALECT_sqlite] = "CREATE TABLE conf_counted (id INTEGER PRIMARY KEY, x BIGINT)",
                [DAL_DIALECT_postgres] = "CREATE TABLE conf_counted (id BIGSERIAL PRIMARY KEY, x BIGINT)",
                [DAL_DIALECT_mysql] =
                        "CREATE TABLE conf_counted (id BIGINT AUTO_INCREMENT PRIMARY KEY, x BIGINT)",
                [DAL_DIALECT_mariadb] =
                        "CREATE TABLE conf_counted (id BIGINT AUTO_INCREMENT PRIMARY KEY, x BIGINT)"};
        static const dal_stmt returning =
                DAL_STMT("counted_returning", "INSERT INTO conf_counted (x) VALUES (?) RETURNING id");
        static const dal_stmt plain = DAL_STMT("counted", "INSERT INTO conf_counted (x) VALUES (?)");

        if (c->server)
                return; /* has no tables of its own */
        OK(dal_conn_script(c->conn, ddl[c->q->dialect], SOON, &c->err));
        for (int64_t i = 1; i <= 3; i++) {
                if (conf_has_cap(c, DAL_CAP_RETURNING)) {
                        assert_int_equal(conf_number(c, c->conn, &returning, DAL_PARAMS(dal_int64(7))), i);
                } else {
                        OK(dal_conn_exec(c->conn, &plain, DAL_PARAMS(dal_int64(7)), SOON, NULL, &c->err));
                        assert_int_equal(dal_conn_insert_id(c->conn), i);
                }
        }
        OK(dal_conn_script(c->conn, "DROP TABLE conf_counted", SOON, &c->err));
}

const struct conf_case statements_conf[] = {
        CONF_CASE(statements__wrong_parameter_count_names_both_numbers),
        CONF_CASE(statements__count_is_rows_matched),
        CONF_CASE(statements__question_marks_in_quotes_and_comments_stay),
        CONF_CASE(statements__double_question_mark_is_one),
        CONF_CASE(statements__parameter_next_to_a_sign),
        CONF_CASE(statements__empty_refused),
        CONF_CASE(statements__two_at_once_refused),
        CONF_CASE(statements__unterminated_quote_refused),
        CONF_CASE(statements__trailing_semicolon_and_comment_allowed),
        CONF_CASE(statements__dialect_decides_the_text),
        CONF_CASE(statements__bad_name_refused),
        CONF_CASE(statements__dynamic_sql),
        CONF_CASE(statements__transaction_words_refused),
        CONF_CASE(statements__prepared_once),
        CONF_CASE(statements__small_cache_evicts_and_goes_on),
        CONF_CASE(statements__cache_keeps_what_was_used_last),
        CONF_CASE(statements__failed_prepare_leaves_nothing),
        CONF_CASE(statements__strings_end_where_the_server_ends_them),
        CONF_CASE(statements__parameters_up_to_the_limit),
        CONF_CASE(statements__generated_id),
        {NULL, NULL},
};
