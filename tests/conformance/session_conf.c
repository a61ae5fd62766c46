/* SPDX-License-Identifier: MIT */
/* What one user of a pooled connection does to the session never reaches the next. */

#include "conf.h"

/*
 * A thing that a session can keep: how it is done, and a question that is answered by 0 where it is not there. Each
 * engine has those with a text of its own; the common text does nothing, and finds nothing.
 */
struct thing {
        const char *name;
        dal_stmt leave, look;
};
#define NOTHING "SELECT 0"
#define THING(what, ...)                                                                                     \
        {                                                                                                    \
                .name = what, __VA_ARGS__                                                                    \
        }

static const struct thing things[] = {
        THING("a setting",
              .leave = DAL_STMT("leave_set", NOTHING, .sqlite = "PRAGMA cache_size = 123",
                                .postgres = "SET work_mem = '123kB'",
                                .mysql = "SET SESSION sort_buffer_size = 123456"),
              .look = DAL_STMT(
                      "look_set", NOTHING,
                      .postgres = "SELECT CASE current_setting('work_mem') WHEN '123kB' THEN 1 ELSE 0 END",
                      .mysql = "SELECT @@sort_buffer_size = 123456")),
        THING("a setting by a function",
              .leave = DAL_STMT("leave_config", NOTHING,
                                .postgres = "SELECT set_config('work_mem', '123kB', false)"),
              .look = DAL_STMT(
                      "look_config", NOTHING,
                      .postgres = "SELECT CASE current_setting('work_mem') WHEN '123kB' THEN 1 ELSE 0 END")),
        THING("an isolation level",
              .leave = DAL_STMT(
                      "leave_level", NOTHING,
                      .postgres = "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL SERIALIZABLE",
                      .mysql = "SET SESSION TRANSACTION ISOLATION LEVEL SERIALIZABLE"),
              .look = DAL_STMT("look_level", NOTHING,
                               .postgres =
                                       "SELECT CASE current_setting('default_transaction_isolation') WHEN "
                                       "'serializable' THEN 1 ELSE 0 END",
                               .mysql = "SELECT @@transaction_isolation = 'SERIALIZABLE'",
                               .mariadb = "SELECT @@tx_isolation = 'SERIALIZABLE'")),
        THING("a time limit",
              .leave = DAL_STMT("leave_limit", NOTHING, .postgres = "SET statement_timeout = 12345",
                                .mysql = "SET innodb_lock_wait_timeout = 1"),
              .look = DAL_STMT(
                      "look_limit", NOTHING,
                      .postgres =
                              "SELECT CASE current_setting('statement_timeout') WHEN '12345ms' THEN 1 ELSE 0 "
                              "END",
                      .mysql = "SELECT @@innodb_lock_wait_timeout = 1")),
        THING("a role", .leave = DAL_STMT("leave_role", NOTHING, .postgres = "SET ROLE pg_signal_backend"),
              .look = DAL_STMT("look_role", NOTHING,
                               .postgres = "SELECT CASE WHEN current_user = session_user THEN 0 ELSE 1 END")),
        THING("a temporary table",
              .leave = DAL_STMT("leave_table", NOTHING, .sqlite = "CREATE TEMP TABLE conf_left (x)",
                                .postgres = "CREATE TEMP TABLE conf_left (x INT)",
                                .mysql = "CREATE TEMPORARY TABLE conf_left (x INT)"),
              .look = DAL_STMT("look_table", NOTHING, .sqlite = "SELECT COUNT(*) FROM sqlite_temp_master",
                               .postgres = "SELECT COUNT(*) FROM pg_class WHERE relname = 'conf_left'")),
        THING("a temporary table by its schema's name",
              .leave = DAL_STMT("leave_pg_temp", NOTHING,
                                .postgres = "CREATE TABLE pg_temp.conf_left_too (x INT)"),
              .look = DAL_STMT("look_pg_temp", NOTHING,
                               .postgres = "SELECT COUNT(*) FROM pg_class WHERE relname = 'conf_left_too'")),
        THING("a lock of the application's",
              .leave = DAL_STMT("leave_lock", NOTHING, .postgres = "SELECT pg_advisory_lock(4711)",
                                .mysql = "SELECT GET_LOCK('conf_left', 5)"),
              .look = DAL_STMT("look_lock", NOTHING,
                               .postgres =
                                       "SELECT COUNT(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = "
                                       "pg_backend_pid()",
                               .mysql = "SELECT COALESCE(IS_USED_LOCK('conf_left'), 0) = CONNECTION_ID()")),
        THING("a user variable",
              .leave = DAL_STMT("leave_variable", NOTHING, .mysql = "SELECT 1 INTO @conf_left"),
              .look = DAL_STMT("look_variable", NOTHING, .mysql = "SELECT @conf_left IS NOT NULL")),
        THING("a user variable on the way",
              .leave = DAL_STMT("leave_assigned", NOTHING, .mysql = "SELECT @`conf too` := 1"),
              .look = DAL_STMT("look_assigned", NOTHING, .mysql = "SELECT @`conf too` IS NOT NULL")),
        THING("what a procedure has set",
              .leave = DAL_STMT("leave_called", NOTHING, .postgres = "CALL conf_hide()",
                                .mysql = "CALL conf_hide()"),
              .look = DAL_STMT(
                      "look_called", NOTHING,
                      .postgres = "SELECT CASE current_setting('work_mem') WHEN '321kB' THEN 1 ELSE 0 END",
                      .mysql = "SELECT (@conf_hidden IS NOT NULL) + (@@sort_buffer_size = 654321)")),
        THING("what an anonymous block has set",
              .leave = DAL_STMT("leave_done", NOTHING,
                                .postgres = "DO $$ BEGIN SET work_mem = '321kB'; END $$",
                                .mysql = "DO (@conf_done := 1)"),
              .look = DAL_STMT(
                      "look_done", NOTHING,
                      .postgres = "SELECT CASE current_setting('work_mem') WHEN '321kB' THEN 1 ELSE 0 END",
                      .mysql = "SELECT @conf_done IS NOT NULL")),
        THING("a channel that is listened to",
              .leave = DAL_STMT("leave_channel", NOTHING, .postgres = "LISTEN conf_left"),
              .look = DAL_STMT("look_channel", NOTHING,
                               .postgres = "SELECT COUNT(*) FROM pg_listening_channels() AS l")),
        THING("an open cursor",
              .leave = DAL_STMT("leave_cursor", NOTHING,
                                .postgres = "DECLARE conf_left CURSOR WITH HOLD FOR SELECT 1"),
              .look = DAL_STMT("look_cursor", NOTHING,
                               .postgres = "SELECT COUNT(*) FROM pg_cursors WHERE name = 'conf_left'")),
        THING("autocommit off", .leave = DAL_STMT("leave_autocommit", NOTHING, .mysql = "SET autocommit = 0"),
              .look = DAL_STMT("look_autocommit", NOTHING, .mysql = "SELECT @@autocommit = 0")),
        THING("another zone",
              .leave = DAL_STMT("leave_zone", NOTHING, .postgres = "SET timezone = 'Asia/Tokyo'",
                                .mysql = "SET time_zone = '+09:00'"),
              .look = DAL_STMT("look_zone", NOTHING,
                               .postgres =
                                       "SELECT CASE current_setting('timezone') WHEN 'UTC' THEN 0 ELSE 1 END",
                               .mysql = "SELECT @@time_zone <> '+00:00'")),
        THING("a lax mode", .leave = DAL_STMT("leave_mode", NOTHING, .mysql = "SET sql_mode = ''"),
              .look = DAL_STMT("look_mode", NOTHING, .mysql = "SELECT @@sql_mode = ''")),
};

/* The mode for poolers refuses all of this: the session is not ours there. */
static bool is_shared(struct conf *c)
{
        return conf_is_mode(c, "unnamed");
}

static dal_cluster *one_connection(struct conf *c)
{
        dal_cluster_options options = DAL_CLUSTER_OPTIONS_INIT;

        options.pool.max_size = 1;
        return conf_cluster(c, &options);
}

static void make_procedure(struct conf *c)
{
        if (c->q->dialect == DAL_DIALECT_postgres)
                OK(dal_conn_script(c->conn,
                                   "CREATE OR REPLACE PROCEDURE conf_hide() LANGUAGE plpgsql AS "
                                   "$$ BEGIN SET work_mem = '321kB'; END $$",
                                   SOON, &c->err));
        if (c->q->dialect == DAL_DIALECT_mysql || c->q->dialect == DAL_DIALECT_mariadb)
                OK(dal_conn_script(c->conn, "DROP PROCEDURE IF EXISTS conf_hide", SOON, &c->err));
        if (c->q->dialect == DAL_DIALECT_mysql || c->q->dialect == DAL_DIALECT_mariadb)
                OK(dal_conn_script(c->conn,
                                   "CREATE PROCEDURE conf_hide() BEGIN SET @conf_hidden = 1; "
                                   "SET SESSION sort_buffer_size = 654321; END",
                                   SOON, &c->err));
}

static void session__nothing_of_it_reaches_the_next_user(struct conf *c)
{
        dal_cluster *cluster;

        if (is_shared(c))
                return;
        cluster = one_connection(c);
        make_procedure(c);
        for (size_t i = 0; i < sizeof things / sizeof things[0]; i++) {
                dal_conn *conn = NULL;

                if (strcmp(dal_stmt_text(&things[i].leave, c->q->dialect), NOTHING) == 0)
                        continue;
                OK(dal_cluster_lease(cluster, 0, &conn, &c->err));
                OK(dal_conn_exec(conn, &things[i].leave, DAL_NO_PARAMS, SOON, NULL, &c->err));
                dal_cluster_release(cluster, 0, conn);
                OK(dal_cluster_lease(cluster, 0, &conn, &c->err));
                if (conf_number(c, conn, &things[i].look, DAL_NO_PARAMS) != 0)
                        fail_msg("%s of the last user is found by the next", things[i].name);
                dal_cluster_release(cluster, 0, conn);
        }
        conf_cluster_end(c, cluster);
}

/* The test of the test: before it is given back, what was left is there. */
static void session__the_questions_find_what_is_there(struct conf *c)
{
        size_t n_found = 0, n_texts = 0;

        if (is_shared(c))
                return;
        make_procedure(c);
        for (size_t i = 0; i < sizeof things / sizeof things[0]; i++) {
                const char *text = dal_stmt_text(&things[i].look, c->q->dialect);
                dal_conn *conn;

                if (strcmp(text, NOTHING) == 0)
                        continue;
                n_texts++;
                conn = conf_open(c, NULL);
                OK(dal_conn_exec(conn, &things[i].leave, DAL_NO_PARAMS, SOON, NULL, &c->err));
                if (conf_number(c, conn, &things[i].look, DAL_NO_PARAMS) == 1 ||
                    conf_number(c, conn, &things[i].look, DAL_NO_PARAMS) == 2)
                        n_found++;
                else
                        print_error("%s is not found\n", things[i].name);
                dal_conn_close(conn);
        }
        assert_int_equal(n_found, n_texts);
}

/*
 * What one user leaves in the session is gone for the next one. A temporary table is such a thing
 * everywhere.
 */
static void session__a_temporary_table_is_gone_for_the_next_user(struct conf *c)
{
        static const dal_stmt make =
                DAL_STMT("make_temporary", "CREATE TEMPORARY TABLE conf_leak (x BIGINT)");
        static const dal_stmt look = DAL_STMT("look_temporary", "SELECT COUNT(*) FROM conf_leak");
        dal_cluster_options options = DAL_CLUSTER_OPTIONS_INIT;
        dal_cluster *cluster;
        dal_conn *conn = NULL;

        if (is_shared(c))
                return;
        options.pool.max_size = 1;
        cluster = conf_cluster(c, &options);
        for (int i = 0; i < 2; i++) {
                OK(dal_cluster_lease(cluster, 0, &conn, &c->err));
                FAILS(dal_conn_exec(conn, &look, DAL_NO_PARAMS, SOON, NULL, &c->err), UNDEFINED_OBJECT);
                OK(dal_conn_exec(conn, &make, DAL_NO_PARAMS, SOON, NULL, &c->err));
                OK(dal_conn_exec(conn, &look, DAL_NO_PARAMS, SOON, NULL, &c->err));
                dal_cluster_release(cluster, 0, conn);
        }
        conf_cluster_end(c, cluster);
}

/* Else the next user would write to another database. */
static void session__the_next_user_is_in_the_urls_database(struct conf *c)
{
        static const dal_stmt look = DAL_STMT(
                "look_around", "SELECT CASE WHEN DATABASE() = 'information_schema' THEN 1 ELSE 0 END",
                .postgres = "SELECT CASE WHEN current_schema() = 'information_schema' THEN 1 ELSE 0 END");
        bool is_postgres = c->q->dialect == DAL_DIALECT_postgres;
        dal_cluster_options options = DAL_CLUSTER_OPTIONS_INIT;
        dal_cluster *cluster;
        dal_conn *conn = NULL;

        if (c->q->dialect == DAL_DIALECT_common || c->q->dialect == DAL_DIALECT_sqlite)
                return; /* there is but one */
        if (is_shared(c))
                return;
        options.pool.max_size = 1;
        cluster = conf_cluster(c, &options);
        for (int i = 0; i < 2; i++) {
                dal_rows *rows = NULL;
                int64_t elsewhere = -1;

                OK(dal_cluster_lease(cluster, 0, &conn, &c->err));
                OK(dal_conn_query(conn, &look, DAL_NO_PARAMS, SOON, &rows, &c->err));
                OK(dal_rows_first(rows, &c->err));
                OK(dal_rows_int64(rows, 0, &elsewhere, &c->err));
                assert_int_equal(elsewhere, 0);
                dal_rows_close(rows);
                OK(dal_conn_script(
                        conn, is_postgres ? "SET search_path = information_schema" : "USE information_schema",
                        SOON, &c->err));
                dal_cluster_release(cluster, 0, conn);
        }
        conf_cluster_end(c, cluster);
}

/* Roles belong to the whole server, so this one has the name of the run, and goes at its end. */
static void session__a_role_is_given_up(struct conf *c)
{
        static const dal_stmt look =
                DAL_STMT("look_at_role", NOTHING, .mysql = "SELECT CURRENT_ROLE() <> 'NONE'",
                         .mariadb = "SELECT CURRENT_ROLE() IS NOT NULL");
        char sql[160];
        dal_cluster *cluster;
        dal_conn *conn = NULL;

        if (is_shared(c) || strcmp(dal_stmt_text(&look, c->q->dialect), NOTHING) == 0)
                return; /* PostgreSQL's stands above, the others have none */
        snprintf(sql, sizeof sql, "CREATE ROLE r%s", c->place);
        OK(dal_conn_script(c->conn, sql, SOON, &c->err));
        snprintf(sql, sizeof sql, "GRANT r%s TO CURRENT_USER", c->place);
        OK(dal_conn_script(c->conn, sql, SOON, &c->err));
        snprintf(sql, sizeof sql, "SET ROLE r%s", c->place);
        cluster = one_connection(c);
        OK(dal_cluster_lease(cluster, 0, &conn, &c->err));
        OK(dal_conn_exec_dynamic(conn, sql, DAL_NO_PARAMS, SOON, NULL, &c->err));
        assert_int_equal(conf_number(c, conn, &look, DAL_NO_PARAMS), 1);
        dal_cluster_release(cluster, 0, conn);
        OK(dal_cluster_lease(cluster, 0, &conn, &c->err));
        assert_int_equal(conf_number(c, conn, &look, DAL_NO_PARAMS), 0);
        dal_cluster_release(cluster, 0, conn);
        conf_cluster_end(c, cluster);
        snprintf(sql, sizeof sql, "DROP ROLE r%s", c->place);
        OK(dal_conn_script(c->conn, sql, SOON, &c->err));
}

/* A function's inside can't be seen in the text of its caller; run as a script the session is reset all the same. */
static void session__what_a_function_hides_is_reset_behind_a_script(struct conf *c)
{
        static const dal_stmt look =
                DAL_STMT("look_hidden", NOTHING,
                         .postgres = "SELECT CASE current_setting('work_mem') WHEN '231kB' THEN 1 ELSE 0 END",
                         .mysql = "SELECT @conf_function IS NOT NULL");
        bool is_postgres = c->q->dialect == DAL_DIALECT_postgres;
        dal_cluster *cluster;
        dal_conn *conn = NULL;

        if (is_shared(c) || strcmp(dal_stmt_text(&look, c->q->dialect), NOTHING) == 0)
                return; /* no functions of the database's own */
        OK(dal_conn_script(
                c->conn,
                is_postgres ? "CREATE FUNCTION conf_function() RETURNS TEXT LANGUAGE sql AS "
                              "$$ SELECT set_config('work_mem', '231kB', false) $$"
                            : "CREATE FUNCTION conf_function() RETURNS INT BEGIN SET @conf_function = 1; "
                              "RETURN 1; END",
                SOON, &c->err));
        cluster = one_connection(c);
        OK(dal_cluster_lease(cluster, 0, &conn, &c->err));
        OK(dal_conn_script(conn, "SELECT conf_function()", SOON, &c->err));
        assert_int_equal(conf_number(c, conn, &look, DAL_NO_PARAMS), 1);
        dal_cluster_release(cluster, 0, conn);
        OK(dal_cluster_lease(cluster, 0, &conn, &c->err));
        assert_int_equal(conf_number(c, conn, &look, DAL_NO_PARAMS), 0);
        dal_cluster_release(cluster, 0, conn);
        conf_cluster_end(c, cluster);
        OK(dal_conn_script(c->conn, "DROP FUNCTION conf_function", SOON, &c->err));
}

/* Everyday statements pay nothing: no reset between two users who left nothing. */
static void session__a_clean_one_is_not_reset(struct conf *c)
{
        dal_cluster *cluster = one_connection(c);
        dal_conn *conn = NULL;
        uint64_t before = 0;

        for (int i = 0; i < 3; i++) {
                OK(dal_cluster_lease(cluster, 0, &conn, &c->err));
                if (i > 0)
                        assert_int_equal(dal_conn_get_stats(conn).n_round_trips, before);
                OK(dal_conn_exec(conn, &conf_remove_account, DAL_PARAMS(dal_int64(1)), SOON, NULL, &c->err));
                before = dal_conn_get_stats(conn).n_round_trips;
                dal_cluster_release(cluster, 0, conn);
        }
        conf_cluster_end(c, cluster);
}

const struct conf_case session_conf[] = {
        CONF_CASE(session__nothing_of_it_reaches_the_next_user),
        CONF_CASE(session__the_questions_find_what_is_there),
        CONF_CASE(session__a_temporary_table_is_gone_for_the_next_user),
        CONF_CASE(session__the_next_user_is_in_the_urls_database),
        CONF_CASE(session__a_role_is_given_up),
        CONF_CASE(session__what_a_function_hides_is_reset_behind_a_script),
        CONF_CASE(session__a_clean_one_is_not_reset),
        {NULL, NULL},
};
