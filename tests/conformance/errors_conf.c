/* SPDX-License-Identifier: MIT */
/* The same fault has the same class on every engine, and names what it is about where the engine tells. */

#include "conf.h"

static void add_account(struct conf *c, int64_t id)
{
        OK(dal_conn_exec(c->conn, &conf_add_account, DAL_PARAMS(dal_int64(id), dal_int64(100)), SOON, NULL,
                         &c->err));
}

#define ADD_ITEM(id, code, parent, qty)                                                                      \
        dal_conn_exec(c->conn, &conf_add_item, DAL_PARAMS(dal_int64(id), (code), (parent), (qty)), SOON,     \
                      NULL, &c->err)

static void check_name(const char *got, bool told, const char *wanted)
{
        if (told)
                assert_string_equal(got, wanted);
        else
                assert_string_equal(got, "");
}

static void check_statement_scope(struct conf *c)
{
        assert_false(c->err.conn_gone);
        assert_false(c->err.retry_tx);
        assert_false(c->err.not_sent);
        assert_int_equal(dal_conn_tx_state(c->conn), DAL_TX_STATE_IDLE);
        add_account(c, 9999);
}

static void errors__unique(struct conf *c)
{
        add_account(c, 1);
        OK(ADD_ITEM(1, dal_text("blue"), dal_int64(1), dal_int64(1)));
        FAILS(ADD_ITEM(2, dal_text("blue"), dal_int64(1), dal_int64(1)), UNIQUE);
        check_name(c->err.constraint, c->q->names_unique, "conf_item_code_uq");
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
        check_name(c->err.constraint, c->q->names_foreign_key, "conf_item_parent_fk");
        check_statement_scope(c);
}

static void errors__foreign_key_of_the_parent(struct conf *c)
{
        add_account(c, 1);
        OK(ADD_ITEM(1, dal_text("blue"), dal_int64(1), dal_int64(1)));
        FAILS(dal_conn_exec(c->conn, &conf_remove_account, DAL_PARAMS(dal_int64(1)), SOON, NULL, &c->err),
              FOREIGN_KEY);
        check_statement_scope(c);
}

static void errors__not_null(struct conf *c)
{
        FAILS(ADD_ITEM(1, dal_null(), dal_null(), dal_int64(1)), NOT_NULL);
        check_name(c->err.column, c->q->names_null_column, "code");
        check_statement_scope(c);
}

static void errors__check(struct conf *c)
{
        FAILS(ADD_ITEM(1, dal_text("blue"), dal_null(), dal_int64(-1)), CHECK);
        check_name(c->err.constraint, c->q->names_check, "conf_item_qty_ck");
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
        check_statement_scope(c);
}

static void errors__undefined_column(struct conf *c)
{
        static const dal_stmt nothing = DAL_STMT("nothing", "SELECT no_such_column FROM conf_account");

        FAILS(dal_conn_exec(c->conn, &nothing, DAL_NO_PARAMS, SOON, NULL, &c->err), UNDEFINED_OBJECT);
        check_statement_scope(c);
}

static void errors__undefined_table_in_a_script(struct conf *c)
{
        FAILS(dal_conn_script(c->conn, "DROP TABLE conf_nowhere", SOON, &c->err), UNDEFINED_OBJECT);
        check_statement_scope(c);
}

/* SQLite's columns stretch; everywhere else too much for a column is an error, never cut. */
static void errors__too_long_for_its_column(struct conf *c)
{
        dal_status s =
                ADD_ITEM(1, dal_text("12345678901234567890123456789012345678901"), dal_null(), dal_int64(1));

        if (c->q->dialect == DAL_DIALECT_sqlite || c->server) {
                OK(s);
                return;
        }
        FAILS(s, DATA);
        check_statement_scope(c);
}

static void errors__deadline_already_passed(struct conf *c)
{
        dal_conn_stats before = dal_conn_get_stats(c->conn), after;

        FAILS(dal_conn_exec(c->conn, &conf_add_account, DAL_PARAMS(dal_int64(1), dal_int64(1)),
                            dal_clock_now() - 1, NULL, &c->err),
              DEADLINE);
        assert_true(c->err.not_sent);
        after = dal_conn_get_stats(c->conn);
        assert_int_equal(after.n_round_trips, before.n_round_trips);
        assert_int_equal(conf_number(c, c->conn, &conf_count_accounts, DAL_NO_PARAMS), 0);
}

static void errors__err_may_be_null(struct conf *c)
{
        assert_int_equal(dal_conn_exec_dynamic(c->conn, "SELEKT", DAL_NO_PARAMS, SOON, NULL, NULL),
                         DAL_ERR_SQL);
        assert_int_equal(dal_conn_exec_dynamic(c->conn, "", DAL_NO_PARAMS, SOON, NULL, NULL), DAL_ERR_ARG);
        add_account(c, 1);
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
        CONF_CASE(errors__syntax),
        CONF_CASE(errors__undefined_table),
        CONF_CASE(errors__undefined_column),
        CONF_CASE(errors__undefined_table_in_a_script),
        CONF_CASE(errors__too_long_for_its_column),
        CONF_CASE(errors__deadline_already_passed),
        CONF_CASE(errors__err_may_be_null),
        CONF_CASE(errors__success_leaves_the_error_alone),
        {NULL, NULL},
};
