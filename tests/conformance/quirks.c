/* SPDX-License-Identifier: MIT */
/* The facts about each engine, the tables of the suite, and the statements that several topics share. */

#include "conf.h"

#ifdef CONF_SQLITE
#include <dal/drivers/sqlite.h>
#endif
#ifdef CONF_POSTGRES
#include <dal/drivers/postgres.h>
#endif
#ifdef CONF_MYSQL
#include <dal/drivers/mysql.h>
#endif

#define ACCOUNT_AND_ITEM                                                                                     \
        "CREATE TABLE conf_account (id BIGINT NOT NULL PRIMARY KEY, balance BIGINT NOT NULL)",               \
                "CREATE TABLE conf_item (id BIGINT NOT NULL PRIMARY KEY, code VARCHAR(40) NOT NULL, "        \
                "parent BIGINT, qty BIGINT, CONSTRAINT conf_item_code_uq UNIQUE (code), "                    \
                "CONSTRAINT conf_item_parent_fk FOREIGN KEY (parent) REFERENCES conf_account (id), "         \
                "CONSTRAINT conf_item_qty_ck CHECK (qty >= 0))",                                             \
                "CREATE TABLE conf_digit (d BIGINT NOT NULL PRIMARY KEY)",                                   \
                "INSERT INTO conf_digit (d) VALUES (0), (1), (2), (3), (4), (5), (6), (7), (8), (9)"

/* The MySQL family makes one for each foreign key; without it each row that is deleted costs a look at all items. */
#define ITEM_PARENT_INDEX "CREATE INDEX conf_item_parent ON conf_item (parent)"

#ifdef CONF_SQLITE
static const char *const sqlite_ddl[] = {
        ACCOUNT_AND_ITEM, ITEM_PARENT_INDEX,
        "CREATE TABLE conf_value (id INTEGER PRIMARY KEY, b BOOLEAN, i BIGINT, u BIGINT, d DOUBLE, "
        "n DECIMAL_TEXT, t TEXT, y BLOB, ts TIMESTAMP, da DATE, uu UUID)",
        NULL};
#endif
#ifdef CONF_POSTGRES
static const char *const postgres_ddl[] = {
        ACCOUNT_AND_ITEM, ITEM_PARENT_INDEX,
        "CREATE TABLE conf_value (id BIGINT PRIMARY KEY, b BOOLEAN, i BIGINT, u NUMERIC(20), "
        "d DOUBLE PRECISION, n NUMERIC, t TEXT, y BYTEA, ts TIMESTAMPTZ, da DATE, uu UUID)",
        NULL};
#endif
#ifdef CONF_MYSQL
static const char *const mysql_ddl[] = {
        ACCOUNT_AND_ITEM,
        "CREATE TABLE conf_value (id BIGINT PRIMARY KEY, b BOOLEAN, i BIGINT, u BIGINT UNSIGNED, d DOUBLE, "
        "n DECIMAL(65, 30), t LONGTEXT, y LONGBLOB, ts DATETIME(6), da DATE, uu BINARY(16))",
        NULL};
#endif

/* Types that `SELECT ?` may keep. */
#define PLAIN_TYPES                                                                                          \
        (1u << DAL_TYPE_BOOL | 1u << DAL_TYPE_INT64 | 1u << DAL_TYPE_UINT64 | 1u << DAL_TYPE_DOUBLE |        \
         1u << DAL_TYPE_DECIMAL | 1u << DAL_TYPE_TEXT | 1u << DAL_TYPE_BYTES | 1u << DAL_TYPE_UUID)
#define TIME_TYPES (1u << DAL_TYPE_TIMESTAMP | 1u << DAL_TYPE_DATE)

/* Values of the fake server are kept as they came. */
#define FAKE_VALUES .decimal_whole = 1000, .decimal_scale = 1000, .keeps_negative_zero = true
/*
 * Decimals are text here, of any length; an integer column holds 64 bits, whatever its type is called. A REAL that is a
 * whole number is stored as an integer, which has one zero. Source: sqlite.org/datatype3.html, section 2
 */
#define SQLITE_VALUES                                                                                        \
        .decimal_whole = 1000, .decimal_scale = 1000, .expression_types = PLAIN_TYPES | TIME_TYPES
/* Source: PostgreSQL 15 manual, table 8.2, numeric. */
#define POSTGRES_VALUES                                                                                      \
        .decimal_whole = 131072, .decimal_scale = 16383, .expression_types = PLAIN_TYPES | TIME_TYPES,       \
        .keeps_negative_zero = true, .narrow_columns = true
/* DECIMAL has 65 digits, at most 30 of them behind the point. Source: MySQL manual, 14.25.2 "DECIMAL Data Type" */
#define DECIMAL_65 .decimal_whole = 35, .decimal_scale = 30, .narrow_columns = true
/* The result of `SELECT ?` is said to be text in the connection's character set, though bytes were sent. Measured. */
#define MYSQL_VALUES                                                                                         \
        DECIMAL_65, .keeps_negative_zero = true,                                                             \
                    .expression_types =                                                                      \
                            (PLAIN_TYPES | TIME_TYPES) & ~(1u << DAL_TYPE_BYTES | 1u << DAL_TYPE_UUID)
/* A DOUBLE column turns -0.0 into 0.0. Measured on 10.11. */
#define MARIADB_VALUES DECIMAL_65, .expression_types = PLAIN_TYPES | TIME_TYPES

#ifdef CONF_POSTGRES
/* What ends with its transaction. Source: manual, SET, CREATE TABLE, LOCK, DECLARE, 9.28.1 and 13.3.5. */
static const char *const postgres_local_changes[] = {
        "SET LOCAL lock_timeout = 5000",
        "SET CONSTRAINTS ALL IMMEDIATE",
        "SELECT set_config('dal.conf', 'x', true)",
        "CREATE TEMPORARY TABLE conf_local (a BIGINT) ON COMMIT DROP",
        "LOCK TABLE conf_item IN SHARE MODE",
        "SELECT pg_advisory_xact_lock(4711)",
        "DECLARE conf_cursor CURSOR FOR SELECT 1",
        "SELECT COUNT(*) AS temp FROM conf_item",
        NULL};

/*
 * Fields t, n and c of an error; none for what does not exist. CREATE DATABASE's limit holds for all but superusers.
 * Source: manual 55.8 "Error and Notice Message Fields", CREATE DATABASE
 */
#define POSTGRES_ERRORS                                                                                      \
        .names_unique = CONF_TABLE | CONF_CONSTRAINT, .names_foreign_key = CONF_TABLE | CONF_CONSTRAINT,     \
        .names_not_null = CONF_TABLE | CONF_COLUMN, .names_check = CONF_TABLE | CONF_CONSTRAINT,             \
        .end_session = "SELECT pg_terminate_backend(?)",                                                     \
        .limit_idle = "SET LOCAL idle_in_transaction_session_timeout = 100", .commit_may_conflict = true
#define POSTGRES_CROWD                                                                                       \
        .crowd_setup = "CREATE DATABASE ? CONNECTION LIMIT 1", .crowd_teardown = "DROP DATABASE ?",          \
        .crowd_key = "dbname"

/*
 * PostgreSQL, straight or behind a pooler. Sources, of the PostgreSQL 15 manual:
 *   error_fails_tx: appendix A, 25P02 in_failed_sql_transaction
 *   first_updater_wins: 13.2.2: "could not serialize access due to concurrent update"
 *   commit_may_conflict: 13.2.3: a dangerous pattern may be found by COMMIT
 *   defers_constraints: SET CONSTRAINTS
 *   service_key: 55.7, StartupMessage: name and value, each ended by a zero byte
 *   count_prepared: 54.17 pg_prepared_statements
 *   forget_prepared: DEALLOCATE
 *   zone_setting: ALTER DATABASE
 *   answer_end: 55.7, ReadyForQuery
 *   untyped_parameter_fails: PREPARE: "the type is inferred from the context"; appendix A, 42P18
 */
#define POSTGRES_SERVER                                                                                      \
        .driver = dal_driver_postgres, POSTGRES_VALUES, .engine = "postgresql",                              \
        .dialect = DAL_DIALECT_postgres, .ddl = postgres_ddl, .row_locks = true, .error_fails_tx = true,     \
        .first_updater_wins = true, POSTGRES_ERRORS, .counts_round_trips = true, .has_login = true,          \
        .has_port = true, .defers_constraints = true, .service_key = "application_name",                     \
        .count_prepared = "SELECT COUNT(*) FROM pg_prepared_statements WHERE NOT from_sql",                  \
        .forget_prepared = "DEALLOCATE ALL",                                                                 \
        .show_limits =                                                                                       \
                "SELECT current_setting('statement_timeout') || ' ' || current_setting('lock_timeout')",     \
        .zone_setting = "timezone",                                                                          \
        .hour_of_midnight = "SELECT to_char(TIMESTAMPTZ '2026-11-21 00:00:00+00', 'HH24')",                  \
        .untyped_parameter_fails = true, .answer_end = "Z\0\0\0\5", .answer_end_size = 5,                    \
        .local_changes = postgres_local_changes
#endif

/* Source: MySQL manual, "The INFORMATION_SCHEMA INNODB_TRX Table"; the same page of MariaDB */
#define WAITS_FOR_LOCK                                                                                       \
        "SELECT COUNT(*) FROM information_schema.innodb_trx WHERE trx_state = 'LOCK WAIT' AND "              \
        "trx_mysql_thread_id = ?"

static const struct quirks engines[] = {
        {
                .name = "fake",
                .driver = dal_driver_fake,
                FAKE_VALUES,
                .engine = "fake",
                .dialect = DAL_DIALECT_common,
                /* Source: drivers/include/dal/drivers/fake.h; it behaves as PostgreSQL does. */
                .row_locks = true,
                .error_fails_tx = true,
                .first_updater_wins = true,
                .names_unique = CONF_CONSTRAINT,
                .names_foreign_key = CONF_CONSTRAINT,
                .names_check = CONF_CONSTRAINT,
                .counts_round_trips = true,
        },
        {
                .name = "fakemodal",
                .driver = dal_driver_fake_modal,
                FAKE_VALUES,
                .engine = "fakemodal",
                .dialect = DAL_DIALECT_common,
                /* Source: the same header; it behaves as the MySQL family does. */
                .row_locks = true,
                .deadlock_ends_tx = true,
                .first_updater_wins = true,
                .names_unique = CONF_CONSTRAINT,
                .names_foreign_key = CONF_CONSTRAINT,
                .names_check = CONF_CONSTRAINT,
                .counts_round_trips = true,
        },
#ifdef CONF_SQLITE
        {
                .name = "sqlite",
                .driver = dal_driver_sqlite,
                SQLITE_VALUES,
                .engine = "sqlite",
                .dialect = DAL_DIALECT_sqlite,
                .ddl = sqlite_ddl,
                /* Source: sqlite.org/lockingv3.html: one writer for each database file. */
                .row_locks = false,
                /* Source: sqlite.org/lang_transaction.html, "Response To Errors Within A Transaction": a
                 * constraint error undoes its statement only. */
                .error_fails_tx = false,
                /*
                 * SQLite 3.40 says "CHECK constraint failed: NAME" and "NOT NULL constraint failed:
                 * TABLE.COLUMN", but for UNIQUE only the columns and for a foreign key nothing. Measured.
                 */
                .names_unique = CONF_TABLE | CONF_COLUMN,
                .names_not_null = CONF_TABLE | CONF_COLUMN,
                .names_check = CONF_CONSTRAINT,
                .names_no_table = CONF_TABLE,
                .names_no_column = CONF_COLUMN,
                /* Source: sqlite.org/foreignkeys.html, 4.2 "Deferred Foreign Key Constraints". */
                .defers_constraints = true,
        },
#endif
#ifdef CONF_POSTGRES
        {
                .name = "postgres",
                POSTGRES_SERVER,
                POSTGRES_CROWD,
                .env = "DAL_TEST_POSTGRES",
                /* Source: manual 9.27.2 and 54.12. Behind a pooler the number is not that of one session. */
                .stop_statement = "SELECT pg_cancel_backend(?)",
                .waits_for_lock = "SELECT COUNT(DISTINCT pid) FROM pg_locks WHERE NOT granted AND pid = ?",
        },
        {
                .name = "pgbouncer",
                POSTGRES_SERVER,
                .env = "DAL_TEST_PGBOUNCER",
                .admin_env = "DAL_TEST_POSTGRES",
                .mode = "unnamed",
                .is_pooler = true,
        },
#endif
#ifdef CONF_MYSQL
        {
                .name = "mysql",
                /* Source: MySQL protocol, HandshakeResponse41: attributes, each string after its length. */
                .service_key = "program_name",
                .service_separator = (char)(sizeof "order-service" - 1),
                .driver = dal_driver_mysql,
                MYSQL_VALUES,
                .env = "DAL_TEST_MYSQL",
                .engine = "mysql",
                .dialect = DAL_DIALECT_mysql,
                .ddl = mysql_ddl,
                /* my_gcvt() for a FLOAT stops at FLT_DIG digits. Source: strings/dtoa.c of both servers; measured. */
                .text_rounds_float = true,
                .row_locks = true,
                /* Source: MySQL manual 17.20.5 "InnoDB Error Handling": a deadlock rolls back the entire
                 * transaction, a duplicate key only the statement. */
                .deadlock_ends_tx = true,
                .error_fails_tx = false,
                /* A stale write under REPEATABLE READ succeeds. Measured on 9.7. */
                .first_updater_wins = false,
                /* Names stand in the messages of errors 1062, 1452, 3819 and 1048. */
                .names_unique = CONF_TABLE | CONF_CONSTRAINT,
                .names_foreign_key = CONF_TABLE | CONF_COLUMN | CONF_CONSTRAINT,
                .names_not_null = CONF_COLUMN,
                .names_check = CONF_CONSTRAINT,
                .names_value = CONF_COLUMN,
                .names_no_table = CONF_TABLE,
                .names_no_column = CONF_COLUMN,
                .end_session = "KILL ?",
                .stop_statement = "KILL QUERY ?",
                .stop_takes_connection = true, /* Source: MySQL protocol: it has no message for it */
                .waits_for_lock = WAITS_FOR_LOCK,
                /* Source: manual, CREATE USER, resource options. Error 1226. */
                .crowd_setup = "CREATE USER ? IDENTIFIED BY 'conf' WITH MAX_USER_CONNECTIONS 1",
                .crowd_teardown = "DROP USER ?",
                .crowd_key = "user",
                .packet_limit = "SELECT @@max_allowed_packet",
                .counts_round_trips = true,
                .sends_reads_ahead =
                        "libmariadb", /* Oracle's has no call that only sends. Source: mysql.h of both */
                .folds_inserts =
                        true, /* Source: drivers/mysql/fold.c; its protocol has no pipeline for them */
                .keeps_zero_dates = true, /* Source: MySQL manual, NO_ZERO_DATE; MariaDB's page SQL_MODE */
                .has_login = true,
                .has_port = true,
                .script_is_one =
                        true, /* Source: manual, COM_SET_OPTION: several only where the client asks */
                /* Source: manual 15.3.3 "Statements That Cause an Implicit Commit". */
                .ddl_ends_tx = true,
        },
        {
                .name = "mariadb",
                /* Source: MySQL protocol, HandshakeResponse41: attributes, each string after its length. */
                .service_key = "program_name",
                .service_separator = (char)(sizeof "order-service" - 1),
                .driver = dal_driver_mysql,
                MARIADB_VALUES,
                .env = "DAL_TEST_MARIADB",
                .engine = "mariadb",
                .dialect = DAL_DIALECT_mariadb,
                .ddl = mysql_ddl,
                .text_rounds_float = true, /* as above */
                .row_locks = true,
                .deadlock_ends_tx = true,
                .error_fails_tx = false,
                /*
                 * innodb_snapshot_isolation is off by default before 11.6.2. Source: MariaDB documentation.
                 */
                .first_updater_wins = false,
                /* Names stand in the messages of errors 1062, 1452, 4025 and 1048. */
                .names_unique = CONF_CONSTRAINT,
                .names_foreign_key = CONF_TABLE | CONF_COLUMN | CONF_CONSTRAINT,
                .names_not_null = CONF_COLUMN,
                .names_check = CONF_TABLE | CONF_CONSTRAINT,
                .names_value = CONF_COLUMN,
                .names_no_table = CONF_TABLE,
                .names_no_column = CONF_COLUMN,
                .end_session = "KILL ?",
                .stop_statement = "KILL QUERY ?",
                .stop_takes_connection = true, /* Source: MySQL protocol: it has no message for it */
                .waits_for_lock = WAITS_FOR_LOCK,
                /* Source: documentation, CREATE USER, resource limits. Error 1226. */
                .crowd_setup = "CREATE USER ? IDENTIFIED BY 'conf' WITH MAX_USER_CONNECTIONS 1",
                .crowd_teardown = "DROP USER ?",
                .crowd_key = "user",
                .packet_limit = "SELECT @@max_allowed_packet",
                .counts_round_trips = true,
                .sends_reads_ahead =
                        "libmariadb", /* Oracle's has no call that only sends. Source: mysql.h of both */
                .folds_inserts =
                        true, /* Source: drivers/mysql/fold.c; its protocol has no pipeline for them */
                .keeps_zero_dates = true, /* Source: MySQL manual, NO_ZERO_DATE; MariaDB's page SQL_MODE */
                .has_login = true,
                .has_port = true,
                .script_is_one =
                        true, /* Source: manual, COM_SET_OPTION: several only where the client asks */
                .ddl_ends_tx = true,
        },
#endif
};

const struct quirks *conf_find_quirks(const char *name, size_t name_size)
{
        for (size_t i = 0; i < sizeof engines / sizeof engines[0]; i++) {
                if (strlen(engines[i].name) == name_size && memcmp(engines[i].name, name, name_size) == 0)
                        return &engines[i];
        }
        return NULL;
}

const dal_stmt conf_add_account =
        DAL_STMT("add_account", "INSERT INTO conf_account (id, balance) VALUES (?, ?)");
const dal_stmt conf_add_balance =
        DAL_STMT("add_balance", "UPDATE conf_account SET balance = balance + ? WHERE id = ?");
const dal_stmt conf_balance = DAL_STMT("balance", "SELECT balance FROM conf_account WHERE id = ?");
const dal_stmt conf_remove_account = DAL_STMT("remove_account", "DELETE FROM conf_account WHERE id = ?");
const dal_stmt conf_all_accounts =
        DAL_STMT("all_accounts", "SELECT id, balance FROM conf_account ORDER BY id");
const dal_stmt conf_count_accounts = DAL_STMT("count_accounts", "SELECT COUNT(*) FROM conf_account");
const dal_stmt conf_add_item =
        DAL_STMT("add_item", "INSERT INTO conf_item (id, code, parent, qty) VALUES (?, ?, ?, ?)");

/*
 * Five digits make a hundred thousand rows; a recursive query is limited to 1000 steps on the MySQL family.
 * PostgreSQL would compile so large a join to machine code first, which takes it a second.
 */
#define NUMBERS                                                                                              \
        "SELECT e.d * 10000 + d.d * 1000 + c.d * 100 + b.d * 10 + a.d AS n "                                 \
        "FROM conf_digit e CROSS JOIN conf_digit d CROSS JOIN conf_digit c CROSS JOIN conf_digit b "         \
        "CROSS JOIN conf_digit a WHERE e.d * 10000 + d.d * 1000 + c.d * 100 + b.d * 10 + a.d < ?"
#define NUMBERS_POSTGRES "SELECT n FROM generate_series(0, ? - 1::bigint) AS n"
const dal_stmt conf_numbers = DAL_STMT("numbers", NUMBERS, .postgres = NUMBERS_POSTGRES);
const dal_stmt conf_stream =
        DAL_STMT("stream", NUMBERS, .postgres = NUMBERS_POSTGRES, .flags = DAL_STMT_STREAM);

/* SQLite has no SLEEP: it counts. SLEEP of the MySQL family ends early without a word; that
 * the statement was interrupted is noticed at the next row. */
const dal_stmt conf_sleep =
        DAL_STMT("sleep", "SELECT 'only the fake server sleeps by itself'",
                 .sqlite = "WITH RECURSIVE r (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r) "
                           "SELECT COUNT(*) FROM (SELECT n FROM r LIMIT 2000000000)",
                 .postgres = "SELECT pg_sleep(10)", .mysql = "SELECT SLEEP(1) FROM conf_digit");
