/* SPDX-License-Identifier: MIT */
/* The same fault has the same class on every engine, and names what it is about where the engine tells. */

#include "conf.h"

#include <stdlib.h>
#include <unistd.h>

static void add_account(struct conf *c, int64_t id)
{
        OK(dal_conn_exec(c->conn, &conf_add_account, DAL_PARAMS(dal_int64(id), dal_int64(100)), SOON, NULL,
                         &c->err));
}

#define ADD_ITEM(id, code, parent, qty)                                                                      \
        dal_conn_exec(c->conn, &conf_add_item, DAL_PARAMS(dal_int64(id), (code), (parent), (qty)), SOON,     \
                      NULL, &c->err)

static void check_names(struct conf *c, uint8_t names, const char *table, const char *column,
                        const char *constraint)
{
        assert_string_equal(c->err.table, names & CONF_TABLE ? table : "");
        assert_string_equal(c->err.column, names & CONF_COLUMN ? column : "");
        assert_string_equal(c->err.constraint, names & CONF_CONSTRAINT ? constraint : "");
}

static void check_statement_scope(struct conf *c)
{
        assert_false(c->err.conn_gone);
        assert_false(c->err.tx_gone);
        assert_false(c->err.retry_tx);
        assert_false(c->err.not_sent);
        assert_int_equal(dal_conn_tx_state(c->conn), DAL_TX_STATE_IDLE);
        add_account(c, 9999);
}

/* --- Constraints, and what they name --------------------------------------------------------------------------- */

static void errors__unique(struct conf *c)
{
        add_account(c, 1);
        OK(ADD_ITEM(1, dal_text("blue"), dal_int64(1), dal_int64(1)));
        FAILS(ADD_ITEM(2, dal_text("blue"), dal_int64(1), dal_int64(1)), UNIQUE);
        check_names(c, c->q->names_unique, "conf_item", "code", "conf_item_code_uq");
        assert_non_null(strstr(c->err.message, "add_item"));
        check_statement_scope(c);
}

static void errors__primary_key(struct conf *c)
{
        add_account(c, 1);
        FAILS(dal_conn_exec(c->conn, &conf_add_account, DAL_PARAMS(dal_int64(1), dal_int64(1)), SOON, NULL,
                            &c->err),
              UNIQUE);
        check_statement_scope(c);
}

static void errors__foreign_key(struct conf *c)
{
        FAILS(ADD_ITEM(1, dal_text("blue"), dal_int64(404), dal_int64(1)), FOREIGN_KEY);
        check_names(c, c->q->names_foreign_key, "conf_item", "parent", "conf_item_parent_fk");
        check_statement_scope(c);
}

static void errors__foreign_key_of_the_parent(struct conf *c)
{
        add_account(c, 1);
        OK(ADD_ITEM(1, dal_text("blue"), dal_int64(1), dal_int64(1)));
        FAILS(dal_conn_exec(c->conn, &conf_remove_account, DAL_PARAMS(dal_int64(1)), SOON, NULL, &c->err),
              FOREIGN_KEY);
        if (!c->server) /* whose scripted answer tells no names here */
                check_names(c, c->q->names_foreign_key, "conf_item", "parent", "conf_item_parent_fk");
        check_statement_scope(c);
}

static void errors__not_null(struct conf *c)
{
        FAILS(ADD_ITEM(1, dal_null(), dal_null(), dal_int64(1)), NOT_NULL);
        check_names(c, c->q->names_not_null, "conf_item", "code", "");
        check_statement_scope(c);
}

static void errors__check(struct conf *c)
{
        FAILS(ADD_ITEM(1, dal_text("blue"), dal_null(), dal_int64(-1)), CHECK);
        check_names(c, c->q->names_check, "conf_item", "", "conf_item_qty_ck");
        check_statement_scope(c);
}

/* A column that stretches takes it; everywhere else too much for a column is an error, never cut. */
static void errors__too_long_for_its_column(struct conf *c)
{
        dal_status s =
                ADD_ITEM(1, dal_text("12345678901234567890123456789012345678901"), dal_null(), dal_int64(1));

        if (!c->q->narrow_columns) {
                OK(s);
                return;
        }
        FAILS(s, DATA);
        check_names(c, c->q->names_value, "conf_item", "code", "");
        check_statement_scope(c);
}

static void errors__syntax(struct conf *c)
{
        static const dal_stmt broken = DAL_STMT("broken", "SELEKT 1");

        FAILS(dal_conn_exec(c->conn, &broken, DAL_NO_PARAMS, SOON, NULL, &c->err), SYNTAX);
        check_statement_scope(c);
}

static void errors__undefined_table(struct conf *c)
{
        static const dal_stmt nowhere = DAL_STMT("nowhere", "SELECT x FROM conf_nowhere");

        FAILS(dal_conn_exec(c->conn, &nowhere, DAL_NO_PARAMS, SOON, NULL, &c->err), UNDEFINED_OBJECT);
        check_names(c, c->q->names_no_table, "conf_nowhere", "", "");
        check_statement_scope(c);
}

static void errors__undefined_column(struct conf *c)
{
        static const dal_stmt nothing = DAL_STMT("nothing", "SELECT no_such_column FROM conf_account");

        FAILS(dal_conn_exec(c->conn, &nothing, DAL_NO_PARAMS, SOON, NULL, &c->err), UNDEFINED_OBJECT);
        check_names(c, c->q->names_no_column, "", "no_such_column", "");
        check_statement_scope(c);
}

static void errors__undefined_table_in_a_script(struct conf *c)
{
        FAILS(dal_conn_script(c->conn, "DROP TABLE conf_nowhere", SOON, &c->err), UNDEFINED_OBJECT);
        check_statement_scope(c);
}

/* --- Everything that one statement can do wrong ------------------------------------------------------------------ */

/* "": nothing on that engine is this fault. The fake server is told to have it, whatever the text. */
static const struct fault {
        const char *what;
        dal_error_class error_class;
        bool is_ddl; /* it ends transactions on some engines, so it runs outside of them */
        dal_stmt sql;
} faults[] = {
#define FAULT(what, class, ...)                                                                              \
        {                                                                                                    \
                what, DAL_CLASS_##class, false,                                                              \
                {                                                                                            \
                        __VA_ARGS__                                                                          \
                }                                                                                            \
        }
#define IN_DDL(what, class, ...)                                                                             \
        {                                                                                                    \
                what, DAL_CLASS_##class, true,                                                               \
                {                                                                                            \
                        __VA_ARGS__                                                                          \
                }                                                                                            \
        }
        FAULT("a number out of range", DATA,
              .common = "INSERT INTO conf_fault (id, code, small) VALUES (1, 'a', 70000)",
              .sqlite = "SELECT abs(-9223372036854775807 - 1)"),
        FAULT("a decimal out of range", DATA,
              .common = "INSERT INTO conf_fault (id, code, amount) VALUES (1, 'a', 123456.7)", .sqlite = ""),
        FAULT("a text too long", DATA, .common = "INSERT INTO conf_fault (id, code) VALUES (1, 'abcdef')",
              .sqlite = ""),
        FAULT("a day that no month has", DATA,
              .common = "INSERT INTO conf_fault (id, code, day) VALUES (1, 'a', '2024-02-30')", .sqlite = ""),
        FAULT("no number", DATA, .common = "INSERT INTO conf_fault (id, code, small) VALUES (1, 'a', 'x')",
              .sqlite = "INSERT INTO conf_value (id) VALUES ('x')"),
        FAULT("division by zero", DATA,
              .common = "INSERT INTO conf_fault (id, code, small) VALUES (1, 'a', 1 / 0)", .sqlite = ""),
        FAULT("malformed JSON", DATA, .postgres = "SELECT CAST('{' AS JSON)",
              .mysql = "SELECT JSON_EXTRACT('{', '$')", .mariadb = "", .sqlite = "SELECT json('{')"),
        FAULT("no value for a column that needs one", NOT_NULL,
              .common = "INSERT INTO conf_fault (id) VALUES (1)"),
        FAULT("overlapping ranges", UNIQUE, .common = "",
              .postgres = "INSERT INTO conf_range (r) VALUES (int4range(1, 5)), (int4range(4, 9))"),
        FAULT("an unknown function", UNDEFINED_OBJECT, .common = "SELECT conf_no_such_function(1)"),
        FAULT("a function with too many arguments", UNDEFINED_OBJECT, .common = "SELECT ABS(1, 2)"),
        FAULT("an unknown schema", UNDEFINED_OBJECT, .common = "SELECT x FROM conf_nowhere.conf_fault"),
        FAULT("an ambiguous column", SYNTAX,
              .common = "SELECT code FROM conf_fault a CROSS JOIN conf_fault b"),
        FAULT("an aggregate in WHERE", SYNTAX, .common = "SELECT id FROM conf_fault WHERE COUNT(*) > 1"),
        FAULT("more values than columns", SYNTAX, .common = "INSERT INTO conf_fault (id) VALUES (1, 2)"),
        FAULT("more columns than one", SYNTAX,
              .common = "SELECT id FROM conf_fault WHERE id = (SELECT id, id FROM conf_fault)"),
        FAULT("an open bracket", SYNTAX, .common = "SELECT (1"),
        IN_DDL("a table that is there", SERVER_OTHER, .common = "CREATE TABLE conf_fault (id BIGINT)"),
        IN_DDL("a column that is there", SERVER_OTHER,
               .common = "ALTER TABLE conf_fault ADD COLUMN code BIGINT"),
        IN_DDL("an unknown index", UNDEFINED_OBJECT, .common = "DROP INDEX conf_nowhere",
               .mysql = "DROP INDEX conf_nowhere ON conf_fault"),
        FAULT("what the engine has not", UNSUPPORTED,
              .postgres = "SELECT COUNT(*) FROM conf_fault FOR UPDATE",
              .mysql = "SELECT id FROM conf_fault WHERE id IN (SELECT id FROM conf_fault LIMIT 1)",
              .sqlite = ""),
        IN_DDL("no right", PRIVILEGE, .postgres = "SELECT rolpassword FROM pg_authid",
               .mysql = "DROP TABLE information_schema.TABLES", .sqlite = ""),
};

/* NULL if the engine has no such fault. */
static const char *sql_of(struct conf *c, const struct fault *f)
{
        const char *sql = dal_stmt_text(&f->sql, c->q->dialect);

        if (c->server)
                return "SELECT COUNT(*) FROM conf_fault";
        return sql && sql[0] ? sql : NULL;
}

static void make_tables(struct conf *c)
{
        static const dal_stmt ranges = {.postgres = "CREATE TABLE IF NOT EXISTS conf_range (r int4range, "
                                                    "EXCLUDE USING gist (r WITH &&))"};
        const char *sql = dal_stmt_text(&ranges, c->q->dialect);

        if (c->server)
                return;
        OK(dal_conn_script(c->conn,
                           "CREATE TABLE IF NOT EXISTS conf_fault (id BIGINT NOT NULL PRIMARY KEY, small "
                           "SMALLINT, code VARCHAR(5) NOT NULL, day DATE, amount DECIMAL(6, 2))",
                           SOON, &c->err));
        if (sql)
                OK(dal_conn_script(c->conn, sql, SOON, &c->err));
}

/* Runs it, and checks all that is the same wherever it happens. */
static void commit_fault(struct conf *c, const struct fault *f, const char *sql)
{
        dal_error plain = DAL_ERROR_INIT;
        dal_status s;

        if (c->server)
                assert_true(dal_fake_inject(c->server, &(dal_fake_fault){.match = "SELECT COUNT",
                                                                         .error_class = f->error_class}));
        s = dal_conn_exec_dynamic(c->conn, sql, DAL_NO_PARAMS, SOON, NULL, &c->err);
        dal_error_set(&plain, f->error_class, "x");
        if (s != plain.status || c->err.error_class != f->error_class || c->err.conn_gone || c->err.tx_gone ||
            c->err.not_sent || c->err.retry_tx != plain.retry_tx) {
                print_error("%s: %s\n", f->what, sql);
                conf_fails(c, s, f->error_class, sql, __FILE__, __LINE__);
                fail_msg("the bits are wrong: %s", c->err.message);
        }
        assert_int_equal(strlen(c->err.sqlstate), 5);
}

static void errors__every_fault_undoes_its_statement_only(struct conf *c)
{
        make_tables(c);
        for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
                const char *sql = sql_of(c, &faults[i]);

                if (!sql)
                        continue;
                commit_fault(c, &faults[i], sql);
                assert_int_equal(dal_conn_tx_state(c->conn), DAL_TX_STATE_IDLE);
                add_account(c, (int64_t)i);
        }
}

/* Where the server would commit the rest of the transaction, the library does not. */
static void errors__every_fault_inside_a_transaction(struct conf *c)
{
        make_tables(c);
        for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
                const char *sql = sql_of(c, &faults[i]);
                int64_t before = conf_number(c, c->conn, &conf_count_accounts, DAL_NO_PARAMS);

                if (!sql || faults[i].is_ddl)
                        continue;
                OK(dal_conn_begin(c->conn, DAL_ISOLATION_DEFAULT, false, SOON, &c->err));
                add_account(c, (int64_t)i);
                commit_fault(c, &faults[i], sql);
                assert_int_equal(dal_conn_tx_state(c->conn),
                                 c->q->error_fails_tx ? DAL_TX_STATE_FAILED : DAL_TX_STATE_ACTIVE);
                FAILS(dal_conn_commit(c->conn, SOON, &c->err), COMMIT_ROLLED_BACK);
                assert_int_equal(dal_conn_tx_state(c->conn), DAL_TX_STATE_IDLE);
                assert_int_equal(conf_number(c, c->conn, &conf_count_accounts, DAL_NO_PARAMS), before);
        }
}

static void errors__a_write_in_a_read_only_transaction(struct conf *c)
{
        OK(dal_conn_begin(c->conn, DAL_ISOLATION_DEFAULT, true, SOON, &c->err));
        FAILS(dal_conn_exec(c->conn, &conf_add_account, DAL_PARAMS(dal_int64(1), dal_int64(1)), SOON, NULL,
                            &c->err),
              READ_ONLY_TX);
        assert_false(c->err.retry_tx);
        assert_false(c->err.conn_gone);
        assert_false(c->err.tx_gone);
        OK(dal_conn_rollback(c->conn, SOON, &c->err));
        add_account(c, 1);
}

/* --- Against others ---------------------------------------------------------------------------------------------- */

static dal_status change(dal_conn *conn, int64_t id, dal_error *err)
{
        return dal_conn_exec(conn, &conf_add_balance, DAL_PARAMS(dal_int64(1), dal_int64(id)), SOON, NULL,
                             err);
}

static void errors__a_lock_not_granted_at_once(struct conf *c)
{
        static const char sql[] = "SELECT balance FROM conf_account WHERE id = 1 FOR UPDATE NOWAIT";
        dal_conn *other;

        if (c->q->dialect == DAL_DIALECT_common || !c->q->row_locks)
                return; /* there is no such clause */
        other = conf_open(c, NULL);
        add_account(c, 1);
        OK(dal_conn_begin(c->conn, DAL_ISOLATION_DEFAULT, false, SOON, &c->err));
        OK(change(c->conn, 1, &c->err));
        OK(dal_conn_begin(other, DAL_ISOLATION_DEFAULT, false, SOON, &c->err));
        FAILS(dal_conn_exec_dynamic(other, sql, DAL_NO_PARAMS, SOON, NULL, &c->err), LOCK_TIMEOUT);
        assert_true(c->err.retry_tx);
        assert_false(c->err.tx_gone);
        assert_false(c->err.conn_gone);
        assert_int_equal(dal_conn_tx_state(other),
                         c->q->error_fails_tx ? DAL_TX_STATE_FAILED : DAL_TX_STATE_ACTIVE);
        OK(dal_conn_rollback(other, SOON, &c->err));
        OK(dal_conn_commit(c->conn, SOON, &c->err));
        OK(change(other, 1, &c->err));
        dal_conn_close(other);
}

/* Two who read what the other one writes: that it can't be is found when the second commits. */
static void errors__serialization_failure_at_commit(struct conf *c)
{
        dal_conn *conns[2];

        if (!c->q->commit_may_conflict)
                return; /* they lock each other out before */
        add_account(c, 1);
        add_account(c, 2);
        for (int i = 0; i < 2; i++) {
                conns[i] = conf_open(c, NULL);
                OK(dal_conn_begin(conns[i], DAL_ISOLATION_SERIALIZABLE, false, SOON, &c->err));
                conf_number(c, conns[i], &conf_balance, DAL_PARAMS(dal_int64(2 - i)));
        }
        for (int i = 0; i < 2; i++)
                OK(change(conns[i], 1 + i, &c->err));
        OK(dal_conn_commit(conns[0], SOON, &c->err));
        FAILS(dal_conn_commit(conns[1], SOON, &c->err), SERIALIZATION);
        assert_true(c->err.retry_tx);
        assert_true(c->err.tx_gone);
        assert_false(c->err.conn_gone);
        assert_int_equal(dal_conn_tx_state(conns[1]), DAL_TX_STATE_IDLE);
        OK(change(conns[1], 2, &c->err));
        assert_int_equal(conf_number(c, c->conn, &conf_balance, DAL_PARAMS(dal_int64(2))), 101);
        dal_conn_close(conns[0]);
        dal_conn_close(conns[1]);
}

/* --- Sessions ---------------------------------------------------------------------------------------------------- */

static const dal_stmt own_number =
        DAL_STMT("own_number", "SELECT 0", .postgres = "SELECT pg_backend_pid()::bigint",
                 .mysql = "SELECT CAST(CONNECTION_ID() AS SIGNED)");
/* Runs a script of the quirks with a word in place of its question mark. */
static dal_status run_with(struct conf *c, const char *script, const char *word)
{
        const char *mark = strchr(script, '?');
        char sql[192];

        (void)snprintf(sql, sizeof sql, "%.*s%s%s", (int)(mark - script), script, word, mark + 1);
        return dal_conn_script(c->conn, sql, SOON, &c->err);
}

/* Of a session that changed account 1 and that the server ends: its lock falls free when it is over. */
static void check_lost(struct conf *c, dal_conn *lost, dal_error_class wanted)
{
        OK(change(c->conn, 1, &c->err));
        conf_fails(c, change(lost, 1, &c->err), wanted, "change", __FILE__, __LINE__);
        assert_true(c->err.conn_gone);
        assert_true(c->err.tx_gone);
        assert_true(c->err.retry_tx); /* COMMIT was not sent */
        assert_int_equal(dal_conn_tx_state(lost), DAL_TX_STATE_UNKNOWN);
        assert_int_equal(conf_number(c, c->conn, &conf_balance, DAL_PARAMS(dal_int64(1))), 101);
        dal_conn_close(lost);
}

static void errors__a_session_that_was_ended(struct conf *c)
{
        dal_conn *victim;
        int64_t number;
        char word[24];

        if (!c->q->end_session)
                return;
        add_account(c, 1);
        victim = conf_open(c, NULL);
        OK(dal_conn_begin(victim, DAL_ISOLATION_DEFAULT, false, SOON, &c->err));
        OK(change(victim, 1, &c->err));
        number = conf_number(c, victim, &own_number, DAL_NO_PARAMS);
        (void)snprintf(word, sizeof word, "%lld", (long long)number);
        OK(run_with(c, c->q->end_session, word));
        check_lost(c, victim, DAL_CLASS_CONNECTION_LOST);
}

static void errors__a_transaction_that_was_idle_too_long(struct conf *c)
{
        dal_conn *idle;

        if (!c->q->limit_idle)
                return;
        add_account(c, 1);
        idle = conf_open(c, NULL);
        OK(dal_conn_begin(idle, DAL_ISOLATION_DEFAULT, false, SOON, &c->err));
        OK(change(idle, 1, &c->err));
        OK(dal_conn_exec_dynamic(idle, c->q->limit_idle, DAL_NO_PARAMS, SOON, NULL, &c->err));
        check_lost(c, idle, DAL_CLASS_TX_TIMEOUT);
}

static dal_status try_url(struct conf *c, const char *url, dal_conn **out)
{
        dal_dsn *dsn = NULL;
        dal_status s = dal_dsn_parse(url, &dsn, &c->err);

        if (s == DAL_OK)
                s = dal_conn_open(c->driver, dsn, NULL, SOON, out, &c->err);
        dal_dsn_free(dsn);
        return s;
}

static void errors__an_unknown_user(struct conf *c)
{
        dal_conn *conn = NULL;
        char url[1200];

        if (!c->q->has_login)
                return;
        conf_url_with(url, sizeof url, c->url, "user", "conf_nobody");
        FAILS(try_url(c, url, &conn), AUTH);
        assert_null(conn);
        assert_true(c->err.not_sent);
        assert_true(c->err.conn_gone);
        assert_false(c->err.retry_tx);
        assert_null(strstr(c->err.message, dal_dsn_password(c->dsn)));
}

static void errors__too_many_connections(struct conf *c)
{
        dal_conn *first = NULL, *second = NULL;
        char name[32], url[1200];
        dal_status s, refused;
        dal_error why = DAL_ERROR_INIT;

        if (!c->q->crowd_setup)
                return;
        (void)snprintf(name, sizeof name, "conf_crowd_%ld", (long)getpid());
        conf_url_with(url, sizeof url, c->server_url, c->q->crowd_key, name);
        if (strcmp(c->q->crowd_key, "user") == 0) {
                char with_user[1200];

                memcpy(with_user, url, sizeof url);
                conf_url_with(url, sizeof url, with_user, "password", "conf");
                memcpy(with_user, url, sizeof url);
                conf_url_with(url, sizeof url, with_user, "dbname", "");
        }
        OK(run_with(c, c->q->crowd_setup, name));
        s = try_url(c, url, &first);
        refused = s ? s : try_url(c, url, &second);
        why = c->err;
        dal_conn_close(first);
        dal_conn_close(second);
        for (int i = 0; i < 100; i++) { /* a session ends a moment after its connection */
                if (run_with(c, c->q->crowd_teardown, name) == DAL_OK)
                        break;
                conf_sleep_ms(20);
        }
        c->err = why;
        OK(s);
        FAILS(refused, TOO_MANY_CONNECTIONS);
        assert_true(c->err.not_sent);
        assert_true(c->err.conn_gone);
        assert_true(c->err.retry_tx);
}

/* --- Before anything is sent --------------------------------------------------------------------------------------- */

static void errors__a_value_larger_than_the_server_receives(struct conf *c)
{
        static const dal_stmt put = DAL_STMT("put_y", "INSERT INTO conf_value (id, y) VALUES (1, ?)");
        dal_stmt ask = {.name = "packet_limit"};
        size_t size;
        char *bytes;
        dal_status s;

        if (!c->q->packet_limit)
                return;
        ask.common = c->q->packet_limit;
        size = (size_t)conf_number(c, c->conn, &ask, DAL_NO_PARAMS);
        bytes = calloc(1, size);
        assert_non_null(bytes);
        s = dal_conn_exec(c->conn, &put, DAL_PARAMS(dal_bytes(bytes, size)), SOON, NULL, &c->err);
        free(bytes);
        FAILS(s, PACKET_TOO_LARGE);
        assert_true(c->err.not_sent);
        assert_false(c->err.conn_gone);
        assert_false(c->err.retry_tx);
        add_account(c, 1);
}

static void refuses_late(struct conf *c, int64_t n_accounts)
{
        dal_conn_stats before = dal_conn_get_stats(c->conn), after;

        FAILS(dal_conn_exec(c->conn, &conf_add_account, DAL_PARAMS(dal_int64(1), dal_int64(1)),
                            dal_clock_now() - 1, NULL, &c->err),
              DEADLINE);
        assert_true(c->err.not_sent);
        after = dal_conn_get_stats(c->conn);
        assert_int_equal(after.n_round_trips, before.n_round_trips);
        assert_int_equal(conf_number(c, c->conn, &conf_count_accounts, DAL_NO_PARAMS), n_accounts);
}

/* A statement that was the last one run takes a shorter way than one that is new. */
static void errors__deadline_already_passed(struct conf *c)
{
        refuses_late(c, 0);
        add_account(c, 2);
        FAILS(dal_conn_exec(c->conn, &conf_add_account, DAL_PARAMS(dal_int64(1), dal_int64(1)),
                            dal_clock_now() - 1, NULL, &c->err),
              DEADLINE);
        refuses_late(c, 1);
}

static void errors__err_may_be_null(struct conf *c)
{
        assert_int_equal(dal_conn_exec_dynamic(c->conn, "SELEKT", DAL_NO_PARAMS, SOON, NULL, NULL),
                         DAL_ERR_SQL);
        assert_int_equal(dal_conn_exec_dynamic(c->conn, "", DAL_NO_PARAMS, SOON, NULL, NULL), DAL_ERR_ARG);
        add_account(c, 1);
}

/* Where the server can't know what a parameter is, the error says how to tell it. */
static void errors__a_parameter_without_a_type_says_what_to_do(struct conf *c)
{
        static const dal_stmt bare =
                DAL_STMT("bare_parameter", "SELECT COUNT(*) FROM conf_account WHERE ? IS NULL");
        static const dal_stmt cast = DAL_STMT(
                "cast_parameter", "SELECT COUNT(*) FROM conf_account WHERE CAST(? AS bigint) IS NULL",
                .mysql = "SELECT COUNT(*) FROM conf_account WHERE CAST(? AS signed) IS NULL");
        dal_params params = DAL_PARAMS(dal_null());
        dal_status s;

        if (c->server)
                return; /* it does not read SQL */
        s = dal_conn_exec(c->conn, &bare, params, SOON, NULL, &c->err);
        if (c->q->untyped_parameter_fails) {
                FAILS(s, SYNTAX);
                assert_non_null(strstr(c->err.message, "CAST(? AS bigint)"));
        } else {
                OK(s);
        }
        OK(dal_conn_exec(c->conn, &cast, params, SOON, NULL, &c->err));
}

static void errors__success_leaves_the_error_alone(struct conf *c)
{
        dal_error err = DAL_ERROR_INIT, before;

        dal_error_set(&err, DAL_CLASS_APP, "kept");
        before = err;
        assert_int_equal(dal_conn_exec(c->conn, &conf_add_account, DAL_PARAMS(dal_int64(1), dal_int64(1)),
                                       SOON, NULL, &err),
                         DAL_OK);
        assert_memory_equal(&err, &before, sizeof err);
}

const struct conf_case errors_conf[] = {
        CONF_CASE(errors__unique),
        CONF_CASE(errors__primary_key),
        CONF_CASE(errors__foreign_key),
        CONF_CASE(errors__foreign_key_of_the_parent),
        CONF_CASE(errors__not_null),
        CONF_CASE(errors__check),
        CONF_CASE(errors__too_long_for_its_column),
        CONF_CASE(errors__syntax),
        CONF_CASE(errors__undefined_table),
        CONF_CASE(errors__undefined_column),
        CONF_CASE(errors__undefined_table_in_a_script),
        CONF_CASE(errors__every_fault_undoes_its_statement_only),
        CONF_CASE(errors__every_fault_inside_a_transaction),
        CONF_CASE(errors__a_write_in_a_read_only_transaction),
        CONF_CASE(errors__a_lock_not_granted_at_once),
        CONF_CASE(errors__serialization_failure_at_commit),
        CONF_CASE(errors__a_session_that_was_ended),
        CONF_CASE(errors__a_transaction_that_was_idle_too_long),
        CONF_CASE(errors__an_unknown_user),
        CONF_CASE(errors__too_many_connections),
        CONF_CASE(errors__a_value_larger_than_the_server_receives),
        CONF_CASE(errors__deadline_already_passed),
        CONF_CASE(errors__err_may_be_null),
        CONF_CASE(errors__a_parameter_without_a_type_says_what_to_do),
        CONF_CASE(errors__success_leaves_the_error_alone),
        {NULL, NULL},
};
