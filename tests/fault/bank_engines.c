/* SPDX-License-Identifier: MIT */
/* What differs between the engines of the bank, and its statements, which don't. */

#include <string.h>

#include <dal/drivers/mysql.h>
#include <dal/drivers/postgres.h>
#include <dal/drivers/sqlite.h>

#include "bank.h"

/*
 * bank_op and bank_part have no unique key: an operation that is done twice must be seen, not refused.
 */
static const char *const common_ddl[] = {
        "CREATE TABLE bank_account (grp BIGINT NOT NULL, id INTEGER NOT NULL, balance BIGINT NOT NULL,"
        " version BIGINT NOT NULL, PRIMARY KEY (grp, id))",
        "CREATE TABLE bank_op (id BIGINT NOT NULL, grp BIGINT NOT NULL, src INTEGER NOT NULL,"
        " dst INTEGER NOT NULL, amount BIGINT NOT NULL, attempt INTEGER NOT NULL, mark VARCHAR(32) NOT NULL)",
        "CREATE INDEX bank_op_id ON bank_op (id)",
        "CREATE TABLE bank_part (op BIGINT NOT NULL, part INTEGER NOT NULL, mark VARCHAR(32) NOT NULL)",
        "CREATE INDEX bank_part_op ON bank_part (op)",
        NULL};

/*
 * Source: PostgreSQL, runtime-config-client: default_transaction_read_only is what a failover leaves
 * behind
 */
static const char *const postgres_read_only[] = {"ALTER SYSTEM SET default_transaction_read_only = on",
                                                 "SELECT pg_reload_conf()", NULL};
static const char *const postgres_read_write[] = {"SET default_transaction_read_only = off",
                                                  "ALTER SYSTEM RESET default_transaction_read_only",
                                                  "SELECT pg_reload_conf()", NULL};
static const char *const mysql_read_only[] = {"SET GLOBAL read_only = 1", NULL};
static const char *const mysql_read_write[] = {"SET GLOBAL read_only = 0", NULL};

#define MYSQL_QUERIES                                                                                        \
        .ddl = common_ddl, .is_server = true, .protocol = WIRE_MYSQL, .end_session = "KILL %lld",            \
        .read_only_on = mysql_read_only, .read_only_off = mysql_read_write

static const struct bank_engine engines[] = {
        {.name = "sqlite", .driver = dal_driver_sqlite, .ddl = common_ddl},
        {.name = "postgres",
         .driver = dal_driver_postgres,
         .is_server = true,
         .protocol = WIRE_POSTGRES,
         .ddl = common_ddl,
         .left_open =
                 "SELECT count(*) FROM pg_stat_activity WHERE usename = 'bank' AND xact_start IS NOT NULL",
         .sessions = "SELECT pid::bigint FROM pg_stat_activity WHERE usename = 'bank'",
         .end_session = "SELECT pg_terminate_backend(%lld)",
         .read_only_on = postgres_read_only,
         .read_only_off = postgres_read_write},
        /*
         * Not the process list: it converts the texts of all sessions, and fails (3854) when one carries a binary
         * value.
         */
        {.name = "mysql",
         .driver = dal_driver_mysql,
         .left_open = "SELECT count(*) FROM information_schema.innodb_trx t"
                      " JOIN performance_schema.threads p ON p.processlist_id = t.trx_mysql_thread_id"
                      " WHERE p.processlist_user = 'bank'",
         .sessions = "SELECT processlist_id FROM performance_schema.threads WHERE processlist_user = 'bank'",
         MYSQL_QUERIES},
        {.name = "mariadb",
         .driver = dal_driver_mysql,
         .left_open = "SELECT count(*) FROM information_schema.innodb_trx t"
                      " JOIN information_schema.processlist p ON p.id = t.trx_mysql_thread_id"
                      " WHERE p.user = 'bank'",
         .sessions = "SELECT id FROM information_schema.processlist WHERE user = 'bank'",
         MYSQL_QUERIES},
};

const struct bank_engine *bank_find_engine(const char *name)
{
        for (size_t i = 0; i < sizeof engines / sizeof engines[0]; i++) {
                if (strcmp(engines[i].name, name) == 0)
                        return &engines[i];
        }
        return NULL;
}

const dal_stmt bank_read =
        DAL_STMT("bank_read", "SELECT balance, version FROM bank_account WHERE grp = ? AND id = ?");
const dal_stmt bank_read_locked =
        DAL_STMT("bank_read_locked", "SELECT balance, version FROM bank_account WHERE grp = ? AND id = ?",
                 .flags = DAL_STMT_LOCK_UPDATE);
const dal_stmt bank_sum = DAL_STMT("bank_sum", "SELECT sum(balance) FROM bank_account WHERE grp = ?");
const dal_stmt bank_add = DAL_STMT(
        "bank_add",
        "UPDATE bank_account SET balance = balance + ?, version = version + 1 WHERE grp = ? AND id = ?");
const dal_stmt bank_add_versioned =
        DAL_STMT("bank_add_versioned", "UPDATE bank_account SET balance = balance + ?, version = version + 1 "
                                       "WHERE grp = ? AND id = ? AND version = ?");
const dal_stmt bank_add_account = DAL_STMT(
        "bank_add_account", "INSERT INTO bank_account (grp, id, balance, version) VALUES (?, ?, ?, 0)");
const dal_stmt bank_write_op =
        DAL_STMT("bank_write_op", "INSERT INTO bank_op (id, grp, src, dst, amount, attempt, mark) "
                                  "VALUES (?, ?, ?, ?, ?, ?, ?)");
const dal_stmt bank_write_op_resolved =
        DAL_STMT("bank_write_op_resolved",
                 "INSERT INTO bank_op (id, grp, src, dst, amount, attempt, mark) "
                 "VALUES (?, ?, ?, ?, ?, ?, ?)",
                 .flags = DAL_STMT_RESOLVE);
const dal_stmt bank_write_part =
        DAL_STMT("bank_write_part", "INSERT INTO bank_part (op, part, mark) VALUES (?, ?, ?)");
const dal_stmt bank_all_parts = DAL_STMT(
        "bank_all_parts", "SELECT op, part, COUNT(*) FROM bank_part GROUP BY op, part ORDER BY op, part",
        .flags = DAL_STMT_STREAM);
const dal_stmt bank_all_ops =
        DAL_STMT("bank_all_ops", "SELECT id, grp, src, dst, amount, attempt FROM bank_op ORDER BY id",
                 .flags = DAL_STMT_STREAM);
const dal_stmt bank_all_accounts =
        DAL_STMT("bank_all_accounts", "SELECT grp, id, balance FROM bank_account ORDER BY grp, id");
