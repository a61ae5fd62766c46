/* SPDX-License-Identifier: MIT */
/* How statements travel: what the modes promise beyond the same answers, also through a pooler. */

#include "conf.h"

static dal_conn *open_url(struct conf *c, const char *url, const dal_conn_options *options)
{
        dal_dsn *dsn = NULL;
        dal_conn *conn = NULL;

        OK(dal_dsn_parse(url, &dsn, &c->err));
        OK(dal_conn_open(c->driver, dsn, options, SOON, &conn, &c->err));
        dal_dsn_free(dsn);
        return conn;
}

/* Tries a URL with another value of a key; fills c->err. */
static dal_status try_key(struct conf *c, const char *key, const char *value)
{
        char url[1200];
        dal_dsn *dsn = NULL;
        dal_conn *conn = NULL;
        dal_status s;

        conf_url_with(url, sizeof url, c->url, key, value);
        s = dal_dsn_parse(url, &dsn, &c->err);
        if (s == DAL_OK)
                s = dal_conn_open(c->driver, dsn, NULL, SOON, &conn, &c->err);
        dal_conn_close(conn);
        dal_dsn_free(dsn);
        return s;
}

static void run_on_server(struct conf *c, const char *sql)
{
        dal_conn *conn = open_url(c, c->admin_url, NULL);

        OK(dal_conn_script(conn, sql, SOON, &c->err));
        dal_conn_close(conn);
}

static void ask_text(struct conf *c, dal_conn *conn, const char *sql, char *out, size_t size)
{
        dal_rows *rows = NULL;

        OK(dal_conn_query_dynamic(conn, sql, DAL_NO_PARAMS, SOON, &rows, &c->err));
        OK(dal_rows_first(rows, &c->err));
        OK(dal_rows_copy_text(rows, 0, out, size, &c->err));
        dal_rows_close(rows);
}

/* --- What the server sees ------------------------------------------------------------------------------- */

static void modes__only_the_mode_prepared_leaves_statements_with_the_server(struct conf *c)
{
        dal_rows *rows = NULL;
        int64_t n = -1;

        if (!c->q->count_prepared)
                return; /* the server doesn't tell */
        for (int64_t id = 1; id <= 3; id++)
                OK(dal_conn_exec(c->conn, &conf_add_account, DAL_PARAMS(dal_int64(id), dal_int64(1)), SOON,
                                 NULL, &c->err));
        OK(dal_conn_query_dynamic(c->conn, c->q->count_prepared, DAL_NO_PARAMS, SOON, &rows, &c->err));
        OK(dal_rows_first(rows, &c->err));
        OK(dal_rows_int64(rows, 0, &n, &c->err));
        assert_int_equal(n, conf_n_prepared(c, 1));
        dal_rows_close(rows);
}

static void modes__unknown_mode_refused(struct conf *c)
{
        if (!strstr(c->driver->keys, "statements"))
                return; /* and the key with it: connect__unknown_key */
        FAILS(try_key(c, "statements", "simple"), ARGUMENT);
        assert_non_null(strstr(c->err.message, "prepared, unnamed or text"));
}

/* --- A session that is shared --------------------------------------------------------------------------- */

static void modes__what_outlives_its_transaction_is_refused_behind_a_pooler(struct conf *c)
{
        static const char *const list[] = {
                "SET a = 1",
                "SET SESSION a = 1",
                "RESET a",
                "DISCARD ALL",
                "LISTEN a",
                "USE a",
                "PREPARE a AS SELECT 1",
                "LOCK TABLES a READ",
                "CREATE TEMPORARY TABLE a (b BIGINT)",
                "CREATE LOCAL TEMP TABLE a (b BIGINT) ON COMMIT DELETE ROWS",
                "CREATE TABLE pg_temp.a (b BIGINT)",
                "SELECT 1 AS b INTO TEMP a",
                "DECLARE a CURSOR WITH HOLD FOR SELECT 1",
                "SELECT set_config('a.b', 'c', false)",
                "SELECT pg_advisory_lock(1)",
                "SELECT pg_try_advisory_lock_shared(1)",
                "SELECT GET_LOCK('a', 1)",
                "/* set local */ SET a = 1",
        };
        static const dal_stmt set = DAL_STMT("set", "SET a = 1");

        if (!conf_is_mode(c, "unnamed"))
                return; /* the session is the connection's own */
        for (size_t i = 0; i < sizeof list / sizeof list[0]; i++) {
                FAILS(dal_conn_exec_dynamic(c->conn, list[i], DAL_NO_PARAMS, SOON, NULL, &c->err),
                      UNSUPPORTED);
                FAILS(dal_conn_script(c->conn, list[i], SOON, &c->err), UNSUPPORTED);
                assert_true(c->err.not_sent);
                assert_non_null(strstr(c->err.message, "statements=unnamed"));
        }
        FAILS(dal_conn_script(c->conn, "DELETE FROM conf_item; SET a = 1", SOON, &c->err), UNSUPPORTED);
        FAILS(dal_conn_exec(c->conn, &set, DAL_NO_PARAMS, SOON, NULL, &c->err), UNSUPPORTED);
        assert_non_null(strstr(c->err.message, "set: "));
}

static void modes__what_ends_with_its_transaction_is_allowed(struct conf *c)
{
        if (!c->q->local_changes)
                return; /* there is no such thing */
        OK(dal_conn_begin(c->conn, DAL_ISOLATION_DEFAULT, false, SOON, &c->err));
        for (const char *const *sql = c->q->local_changes; *sql; sql++)
                OK(dal_conn_exec_dynamic(c->conn, *sql, DAL_NO_PARAMS, SOON, NULL, &c->err));
        OK(dal_conn_commit(c->conn, SOON, &c->err));
}

/* Limits are the connection's, also where the session isn't, and never another's. */
static void modes__limits_hold_and_stay_ones_own(struct conf *c)
{
        dal_conn_options options = DAL_CONN_OPTIONS_INIT;
        char before[64] = "", after[64] = "";
        dal_conn *limited;

        if (!c->q->show_limits)
                return; /* the server knows no such settings */
        options.statement_timeout_ms = 300;
        options.lock_timeout_ms = 200;
        limited = conf_open(c, &options);
        dal_conn_close(c->conn);
        c->conn = conf_open(c, NULL);
        ask_text(c, c->conn, c->q->show_limits, before, sizeof before);
        for (int i = 0; i < 8; i++) {
                char inside[64] = "";

                OK(dal_conn_begin(limited, DAL_ISOLATION_DEFAULT, false, SOON, &c->err));
                ask_text(c, limited, c->q->show_limits, inside, sizeof inside);
                OK(dal_conn_commit(limited, SOON, &c->err));
                assert_string_equal(inside, "300ms 200ms");
                ask_text(c, limited, c->q->show_limits, inside, sizeof inside);
                assert_string_equal(inside, "300ms 200ms");
                ask_text(c, c->conn, c->q->show_limits, after, sizeof after);
                assert_string_equal(after, before);
        }
        FAILS(dal_conn_exec(limited, &conf_sleep, DAL_NO_PARAMS, SOON, NULL, &c->err), STATEMENT_TIMEOUT);
        OK(dal_conn_ping(limited, SOON, &c->err));
        dal_conn_close(limited);
}

/* The zone of the server, of a database or an account must not show. */
static void modes__times_are_utc_whatever_the_servers_zone(struct conf *c)
{
        char sql[160], hour[16] = "";
        dal_conn *conn;

        if (!c->q->zone_setting)
                return; /* a zone is nothing that a database has */
        snprintf(sql, sizeof sql, "ALTER DATABASE %s SET %s = 'Asia/Tokyo'", c->place, c->q->zone_setting);
        run_on_server(c, sql);
        conn = conf_open(c, NULL);
        ask_text(c, conn, c->q->hour_of_midnight, hour, sizeof hour);
        assert_string_equal(hour, "00");
        dal_conn_close(conn);
        snprintf(sql, sizeof sql, "ALTER DATABASE %s RESET %s", c->place, c->q->zone_setting);
        run_on_server(c, sql);
}

static void modes__a_schema_needs_a_session(struct conf *c)
{
        char name[64] = "";
        char url[1200];
        dal_conn *conn;

        if (!strstr(c->driver->keys, "schema"))
                return;
        conf_url_with(url, sizeof url, c->url, "schema", "information_schema");
        if (conf_is_mode(c, "unnamed")) {
                FAILS(try_key(c, "schema", "information_schema"), UNSUPPORTED);
                assert_non_null(strstr(c->err.message, "search_path"));
                assert_true(c->err.not_sent);
                return;
        }
        conn = open_url(c, url, NULL);
        ask_text(c, conn, "SELECT CAST(current_schema() AS text)", name, sizeof name);
        assert_string_equal(name, "information_schema");
        dal_conn_close(conn);
}

/* --- The wrong mode ------------------------------------------------------------------------------------- */

static void modes__a_pooler_refuses_a_session_of_ones_own_and_we_say_what_to_do(struct conf *c)
{
        if (!c->q->is_pooler)
                return;
        FAILS(try_key(c, "statements", "prepared"), UNSUPPORTED);
        assert_non_null(strstr(c->err.message, "statements=unnamed"));
        assert_true(c->err.not_sent);
        FAILS(try_key(c, "statements", "text"), UNSUPPORTED);
        assert_non_null(strstr(c->err.message, "statements=unnamed"));
}

/* As behind a pooler that lets the mode pass: the session is suddenly another one, and knows nothing. */
static void modes__a_forgotten_statement_is_prepared_anew_or_names_the_mode(struct conf *c)
{
        int64_t n = 0;

        if (!c->q->forget_prepared || !conf_is_mode(c, "prepared"))
                return;
        OK(dal_conn_exec(c->conn, &conf_add_account, DAL_PARAMS(dal_int64(1), dal_int64(1)), SOON, NULL,
                         &c->err));
        OK(dal_conn_script(c->conn, c->q->forget_prepared, SOON, &c->err));
        OK(dal_conn_exec(c->conn, &conf_add_account, DAL_PARAMS(dal_int64(2), dal_int64(1)), SOON, &n,
                         &c->err));
        assert_int_equal(n, 1);
        OK(dal_conn_script(c->conn, c->q->forget_prepared, SOON, &c->err));
        OK(dal_conn_begin(c->conn, DAL_ISOLATION_DEFAULT, false, SOON, &c->err));
        FAILS(dal_conn_exec(c->conn, &conf_add_account, DAL_PARAMS(dal_int64(3), dal_int64(1)), SOON, NULL,
                            &c->err),
              SCHEMA_CHANGED);
        assert_true(c->err.retry_tx);
        assert_non_null(strstr(c->err.message, "statements=unnamed"));
        OK(dal_conn_rollback(c->conn, SOON, &c->err));
        OK(dal_conn_exec(c->conn, &conf_add_account, DAL_PARAMS(dal_int64(3), dal_int64(1)), SOON, NULL,
                         &c->err));
}

/* And where the other session has a statement of that name: it must not be run in place of ours. */
static void modes__a_name_that_is_taken_is_given_up_or_names_the_mode(struct conf *c)
{
        char sql[160];
        int64_t n = 0;

        if (!c->q->forget_prepared || !conf_is_mode(c, "prepared"))
                return;
        for (unsigned i = 1; i <= 2; i++) {
                snprintf(sql, sizeof sql, "PREPARE dal_%x_%u AS SELECT 1",
                         (unsigned)dal_conn_info(c->conn)->session_id, i + i / 2);
                OK(dal_conn_script(c->conn, sql, SOON, &c->err));
        }
        OK(dal_conn_exec(c->conn, &conf_add_account, DAL_PARAMS(dal_int64(1), dal_int64(7)), SOON, &n,
                         &c->err));
        assert_int_equal(n, 1);
        OK(dal_conn_begin(c->conn, DAL_ISOLATION_DEFAULT, false, SOON, &c->err));
        FAILS(dal_conn_exec(c->conn, &conf_add_balance, DAL_PARAMS(dal_int64(1), dal_int64(1)), SOON, NULL,
                            &c->err),
              SCHEMA_CHANGED);
        assert_non_null(strstr(c->err.message, "statements=unnamed"));
        OK(dal_conn_rollback(c->conn, SOON, &c->err));
        assert_int_equal(conf_number(c, c->conn, &conf_balance, DAL_PARAMS(dal_int64(1))), 7);
}

const struct conf_case modes_conf[] = {
        CONF_CASE(modes__only_the_mode_prepared_leaves_statements_with_the_server),
        CONF_CASE(modes__unknown_mode_refused),
        CONF_CASE(modes__what_outlives_its_transaction_is_refused_behind_a_pooler),
        CONF_CASE(modes__what_ends_with_its_transaction_is_allowed),
        CONF_CASE(modes__limits_hold_and_stay_ones_own),
        CONF_CASE(modes__times_are_utc_whatever_the_servers_zone),
        CONF_CASE(modes__a_schema_needs_a_session),
        CONF_CASE(modes__a_pooler_refuses_a_session_of_ones_own_and_we_say_what_to_do),
        CONF_CASE(modes__a_forgotten_statement_is_prepared_anew_or_names_the_mode),
        CONF_CASE(modes__a_name_that_is_taken_is_given_up_or_names_the_mode),
        {NULL, NULL},
};
