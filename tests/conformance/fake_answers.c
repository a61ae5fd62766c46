/* SPDX-License-Identifier: MIT */
/* What the fake server answers to the statements of the suite: small stand-ins for the SQL. */

#include "conf.h"

static int64_t int_param(const dal_fake_call *call, size_t i)
{
        return dal_fake_call_params(call).values[i].as.int64;
}

static void one_number(dal_fake_call *call, int64_t n)
{
        static const char *const columns[] = {"n"};

        dal_fake_call_columns(call, columns, 1);
        dal_fake_call_row(call, DAL_PARAMS(dal_int64(n)));
}

/* --- Values: put_TYPE and get_TYPE over a table of that name ------------------------------------------- */

static void put_value(void *arg, dal_fake_call *call)
{
        dal_params params = dal_fake_call_params(call);

        (void)arg;
        if (dal_fake_store_insert(call, dal_fake_call_name(call) + strlen("put_"), params.values[0].as.int64,
                                  (dal_params){params.values + 1, 1}))
                dal_fake_call_count(call, 1);
}

static void get_value(void *arg, dal_fake_call *call)
{
        static const char *const columns[] = {"value"};
        int64_t id = int_param(call, 0);

        (void)arg;
        dal_fake_call_columns(call, columns, 1);
        dal_fake_store_select(call, dal_fake_call_name(call) + strlen("get_"), id, id, NULL);
}

static void all_values(void *arg, dal_fake_call *call)
{
        static const char *const columns[] = {"value"};

        (void)arg;
        dal_fake_call_columns(call, columns, 1);
        dal_fake_store_select(call, dal_fake_call_name(call) + strlen("all_"), int_param(call, 0),
                              int_param(call, 1), NULL);
}

/* --- Accounts ------------------------------------------------------------------------------------------ */

static const char *const account_columns[] = {"id", "balance"};

static void add_account(void *arg, dal_fake_call *call)
{
        (void)arg;
        if (dal_fake_store_insert(call, "account", int_param(call, 0), dal_fake_call_params(call)))
                dal_fake_call_count(call, 1);
}

static void set_account(dal_fake_call *call, int64_t id, int64_t balance, bool add)
{
        const dal_value *cells;
        bool found;

        if (!dal_fake_store_get(call, "account", id, true, &cells, &found) || !found)
                return;
        if (add)
                balance += cells[1].as.int64;
        if (dal_fake_store_update(call, "account", id, DAL_PARAMS(dal_int64(id), dal_int64(balance)), &found))
                dal_fake_call_count(call, 1);
}

static void add_balance(void *arg, dal_fake_call *call)
{
        (void)arg;
        set_account(call, int_param(call, 1), int_param(call, 0), true);
}

static void set_balance(void *arg, dal_fake_call *call)
{
        (void)arg;
        set_account(call, int_param(call, 1), int_param(call, 0), false);
}

static void balance(void *arg, dal_fake_call *call)
{
        const dal_value *cells;
        bool found;

        (void)arg;
        dal_fake_call_columns(call, &account_columns[1], 1);
        if (dal_fake_store_get(call, "account", int_param(call, 0), false, &cells, &found) && found)
                dal_fake_call_row(call, (dal_params){&cells[1], 1});
}

static void balance_locked(void *arg, dal_fake_call *call)
{
        const dal_value *cells;
        bool found;

        (void)arg;
        dal_fake_call_columns(call, &account_columns[1], 1);
        if (dal_fake_store_get(call, "account", int_param(call, 0), true, &cells, &found) && found)
                dal_fake_call_row(call, (dal_params){&cells[1], 1});
}

static void set_versioned(void *arg, dal_fake_call *call)
{
        const dal_value *cells;
        bool found;

        (void)arg;
        if (dal_fake_store_get(call, "account", int_param(call, 1), true, &cells, &found) && found &&
            cells[1].as.int64 == int_param(call, 2))
                set_account(call, int_param(call, 1), int_param(call, 0), false);
}

static void minus(void *arg, dal_fake_call *call)
{
        const dal_value *cells;
        bool found;

        (void)arg;
        if (dal_fake_store_get(call, "account", int_param(call, 2), false, &cells, &found) && found)
                one_number(call, cells[1].as.int64 - int_param(call, 0));
}

static void remove_account(void *arg, dal_fake_call *call)
{
        int64_t id = int_param(call, 0);
        const dal_value *cells;
        bool found;

        (void)arg;
        if (!dal_fake_store_get(call, "item_parent", id, false, &cells, &found))
                return;
        if (found)
                dal_fake_call_fail(call, DAL_CLASS_FOREIGN_KEY, "conf_item_parent_fk", "account has items");
        else if (dal_fake_store_delete(call, "account", id, &found))
                dal_fake_call_count(call, found);
}

static void all_accounts(void *arg, dal_fake_call *call)
{
        (void)arg;
        dal_fake_call_columns(call, account_columns, 2);
        dal_fake_store_select(call, "account", INT64_MIN, INT64_MAX, NULL);
}

static void count_accounts(void *arg, dal_fake_call *call)
{
        int64_t n;

        (void)arg;
        if (dal_fake_store_count(call, "account", INT64_MIN, INT64_MAX, &n))
                one_number(call, n);
}

static void sum_accounts(void *arg, dal_fake_call *call)
{
        static const char *const columns[] = {"n"};
        int64_t sum = 0, n = 0;
        const dal_value *cells;
        bool found;

        (void)arg;
        if (!dal_fake_store_count(call, "account", INT64_MIN, INT64_MAX, &n))
                return;
        for (int64_t id = 0; id < n; id++)
                if (dal_fake_store_get(call, "account", id, false, &cells, &found) && found)
                        sum += cells[1].as.int64;
        dal_fake_call_columns(call, columns, 1);
        dal_fake_call_row(call, DAL_PARAMS(dal_int64(sum)));
}

static void tricky(void *arg, dal_fake_call *call)
{
        static const char *const columns[] = {"id", "q?"};

        (void)arg;
        dal_fake_call_columns(call, columns, 2);
        dal_fake_call_row(call, DAL_PARAMS(dal_int64(int_param(call, 0)), dal_text("?'?")));
}

/* --- Items --------------------------------------------------------------------------------------------- */

static int64_t hash(const dal_value *text)
{
        dal_key key = dal_key_text_n(text->as.span.ptr, text->as.span.size);

        return (int64_t)key.hash;
}

static void add_item(void *arg, dal_fake_call *call)
{
        const dal_value *p = dal_fake_call_params(call).values, *cells;
        bool has_parent = p[2].type != DAL_TYPE_NULL, found;

        (void)arg;
        if (p[1].type == DAL_TYPE_NULL) {
                dal_fake_call_fail(call, DAL_CLASS_NOT_NULL, NULL, "code is NULL");
                return;
        }
        if (p[3].type == DAL_TYPE_INT64 && p[3].as.int64 < 0) {
                dal_fake_call_fail(call, DAL_CLASS_CHECK, "conf_item_qty_ck", "qty is negative");
                return;
        }
        if (!dal_fake_store_get(call, "item_code", hash(&p[1]), true, &cells, &found))
                return;
        if (found) {
                dal_fake_call_fail(call, DAL_CLASS_UNIQUE, "conf_item_code_uq", "code is taken");
                return;
        }
        if (has_parent && !dal_fake_store_get(call, "account", p[2].as.int64, false, &cells, &found))
                return;
        if (has_parent && !found) {
                dal_fake_call_fail(call, DAL_CLASS_FOREIGN_KEY, "conf_item_parent_fk", "no such account");
                return;
        }
        if (!dal_fake_store_insert(call, "item", p[0].as.int64, dal_fake_call_params(call)) ||
            !dal_fake_store_insert(call, "item_code", hash(&p[1]), DAL_PARAMS(p[0])))
                return;
        if (has_parent &&
            !dal_fake_store_update(call, "item_parent", p[2].as.int64, DAL_PARAMS(p[0]), &found))
                return;
        if (has_parent && !found &&
            !dal_fake_store_insert(call, "item_parent", p[2].as.int64, DAL_PARAMS(p[0])))
                return;
        dal_fake_call_count(call, 1);
}

static void count_items(void *arg, dal_fake_call *call)
{
        int64_t n;

        (void)arg;
        if (dal_fake_store_count(call, "item", INT64_MIN, INT64_MAX, &n))
                one_number(call, n);
}

static void load_items(void *arg, dal_fake_call *call)
{
        if (dal_fake_call_params(call).n_values == 4)
                add_item(arg, call);
        else
                dal_fake_call_fail(call, DAL_CLASS_UNDEFINED_OBJECT, NULL, "conf_item has no such column");
}

static void add_values(void *arg, dal_fake_call *call)
{
        (void)arg;
        if (dal_fake_store_insert(call, "values", int_param(call, 0), dal_fake_call_params(call)))
                dal_fake_call_count(call, 1);
}

static void see_values(void *arg, dal_fake_call *call)
{
        (void)arg;
        dal_fake_store_select(call, "values", INT64_MIN, INT64_MAX, NULL);
}

static void item_row(void *arg, dal_fake_call *call)
{
        static const char *const columns[] = {"id", "code", "parent", "qty"};

        (void)arg;
        dal_fake_call_columns(call, columns, 4);
        dal_fake_store_select(call, "item", int_param(call, 0), int_param(call, 0), NULL);
}

/* --- The rest ------------------------------------------------------------------------------------------ */

static void numbers(void *arg, dal_fake_call *call)
{
        static const char *const columns[] = {"n"};

        (void)arg;
        dal_fake_call_columns(call, columns, 1);
        for (int64_t n = 0; n < int_param(call, 0); n++)
                dal_fake_call_row(call, DAL_PARAMS(dal_int64(n)));
}

static void fails_late(void *arg, dal_fake_call *call)
{
        (void)arg;
        for (int64_t n = 0; n < 500; n++)
                dal_fake_call_row(call, DAL_PARAMS(dal_int64(n)));
        dal_fake_call_fail(call, DAL_CLASS_DATA, NULL, "the row after the 500th went wrong");
}

static void fail_as(void *arg, dal_fake_call *call)
{
        dal_error_class error_class = *(const dal_error_class *)arg;

        dal_fake_call_fail(call, error_class, NULL, "so the script says");
}

static void sleep_long(void *arg, dal_fake_call *call)
{
        (void)arg;
        if (dal_fake_call_sleep(call, 10000))
                one_number(call, 0);
}

static void common_text(void *arg, dal_fake_call *call)
{
        (void)arg;
        dal_fake_call_row(call, DAL_PARAMS(dal_text("common")));
}

static void make_temporary(void *arg, dal_fake_call *call)
{
        (void)arg;
        dal_fake_call_set(call, 1);
}

static void look_temporary(void *arg, dal_fake_call *call)
{
        (void)arg;
        if (dal_fake_call_get(call))
                one_number(call, 0);
        else
                dal_fake_call_fail(call, DAL_CLASS_UNDEFINED_OBJECT, NULL, "there is no table conf_leak");
}

/* A table is remembered by the number of its columns. */
static void create_changing(void *arg, dal_fake_call *call)
{
        (void)arg;
        dal_fake_store_insert(call, "changing", 0, DAL_PARAMS(dal_int64(1)));
}

static void alter_changing(void *arg, dal_fake_call *call)
{
        const dal_value values[] = {dal_int64(1), dal_null(), dal_null()};
        bool found;

        dal_fake_store_update(call, "changing", 0, (dal_params){values, *(const size_t *)arg}, &found);
}

static void star(void *arg, dal_fake_call *call)
{
        (void)arg;
        dal_fake_store_select(call, "changing", 0, 0, NULL);
}

bool conf_fake_answers(dal_fake_server *server)
{
        static size_t two = 2, three = 3;
        static dal_error_class syntax = DAL_CLASS_SYNTAX, undefined = DAL_CLASS_UNDEFINED_OBJECT;
        static const struct {
                const char *name;
                dal_fake_handler *handler;
                void *arg;
        } answers[] = {
                {"put_*", put_value, NULL},
                {"get_*", get_value, NULL},
                {"all_bool", all_values, NULL},
                {"all_int64", all_values, NULL},
                {"all_uint64", all_values, NULL},
                {"all_double", all_values, NULL},
                {"all_decimal", all_values, NULL},
                {"all_text", all_values, NULL},
                {"all_bytes", all_values, NULL},
                {"all_timestamp", all_values, NULL},
                {"all_date", all_values, NULL},
                {"all_uuid", all_values, NULL},
                {"add_account", add_account, NULL},
                {"add_balance", add_balance, NULL},
                {"UPDATE conf_account SET balance = ? WHERE id = ?", set_balance, NULL},
                {"SELECT balance FROM conf_account WHERE id = ?", balance, NULL},
                {"balance", balance, NULL},
                {"balance_locked", balance_locked, NULL},
                {"set_balance", set_balance, NULL},
                {"set_versioned", set_versioned, NULL},
                {"minus", minus, NULL},
                {"remove_account", remove_account, NULL},
                {"all_accounts", all_accounts, NULL},
                {"count_accounts", count_accounts, NULL},
                {"trailing", count_accounts, NULL},
                {"tricky", tricky, NULL},
                {"add_item", add_item, NULL},
                {"bulk.conf_account", add_account, NULL},
                {"bulk.conf_item", load_items, NULL},
                {"bulk.conf_value", add_values, NULL},
                {"bulk.conf_nowhere", fail_as, &undefined},
                {"add_values", add_values, NULL},
                {"see_values", see_values, NULL},
                {"sum_accounts", sum_accounts, NULL},
                {"count_items", count_items, NULL},
                {"item_row", item_row, NULL},
                {"numbers", numbers, NULL},
                {"sorted_numbers", numbers, NULL},
                {"streamed_numbers", numbers, NULL},
                {"stream", numbers, NULL},
                {"fails_late", fails_late, NULL},
                {"fails_whole", fails_late, NULL},
                {"sleep", sleep_long, NULL},
                {"which*", common_text, NULL},
                {"make_temporary", make_temporary, NULL},
                {"look_temporary", look_temporary, NULL},
                {"CREATE TABLE conf_changing (a BIGINT)", create_changing, NULL},
                {"ALTER TABLE conf_changing ADD COLUMN b BIGINT", alter_changing, &two},
                {"ALTER TABLE conf_changing ADD COLUMN d BIGINT", alter_changing, &three},
                {"star", star, NULL},
                {"broken", fail_as, &syntax},
                {"SELEKT", fail_as, &syntax},
                {"nowhere", fail_as, &undefined},
                {"nothing", fail_as, &undefined},
                {"DROP TABLE conf_nowhere", fail_as, &undefined},
        };

        for (size_t i = 0; i < sizeof answers / sizeof answers[0]; i++) {
                if (!dal_fake_on(server, answers[i].name, answers[i].handler, answers[i].arg))
                        return false;
        }
        return true;
}
