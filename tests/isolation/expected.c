/* SPDX-License-Identifier: MIT */
/* What each engine answers at each level. The test asserts it; the page prints it. */

#include "isolation.h"

const struct iso_column_info iso_columns[ISO_N_COLUMNS] = {
        [ISO_SQLITE] = {"sqlite", DAL_ISOLATION_DEFAULT, true, NULL, "SQLite"},
        [ISO_POSTGRES_RC] = {"postgres", DAL_ISOLATION_READ_COMMITTED, false, NULL, "PostgreSQL"},
        [ISO_POSTGRES_RR] = {"postgres", DAL_ISOLATION_REPEATABLE_READ, false, NULL, "PostgreSQL"},
        [ISO_POSTGRES_SER] = {"postgres", DAL_ISOLATION_SERIALIZABLE, false, NULL, "PostgreSQL"},
        [ISO_MYSQL_RC] = {"mysql", DAL_ISOLATION_READ_COMMITTED, false, NULL, "MySQL"},
        [ISO_MYSQL_RR] = {"mysql", DAL_ISOLATION_REPEATABLE_READ, false, NULL, "MySQL"},
        [ISO_MYSQL_SER] = {"mysql", DAL_ISOLATION_SERIALIZABLE, false, NULL, "MySQL"},
        [ISO_MARIADB_RC] = {"mariadb", DAL_ISOLATION_READ_COMMITTED, false, NULL, "MariaDB"},
        [ISO_MARIADB_RR] = {"mariadb", DAL_ISOLATION_REPEATABLE_READ, false,
                            "SET SESSION innodb_snapshot_isolation = 0", "MariaDB"},
        /*
         * Source: MariaDB documentation, innodb_snapshot_isolation: since 10.6.18; on by default since
         * 11.6.2.
         */
        [ISO_MARIADB_RR_SNAPSHOT] = {"mariadb", DAL_ISOLATION_REPEATABLE_READ, false,
                                     "SET SESSION innodb_snapshot_isolation = 1",
                                     "MariaDB, `innodb_snapshot_isolation`"},
        [ISO_MARIADB_SER] = {"mariadb", DAL_ISOLATION_SERIALIZABLE, false, NULL, "MariaDB"},
};

static const char *const outcome_names[] = {
        [ISO_UNKNOWN] = "?",
        [ISO_ALLOWED] = "**happens**",
        [ISO_OLDER] = "older version",
        [ISO_WAITS] = "waits",
        [ISO_SERIALIZATION] = "`serialization`",
        [ISO_DEADLOCK] = "`deadlock`",
        [ISO_STALE_ROW] = "`stale_row`",
};

const char *iso_outcome_name(enum iso_outcome outcome)
{
        return outcome_names[outcome];
}

const char *iso_level_name(dal_isolation level)
{
        switch (level) {
        case DAL_ISOLATION_READ_COMMITTED:
                return "READ COMMITTED";
        case DAL_ISOLATION_REPEATABLE_READ:
                return "REPEATABLE READ";
        case DAL_ISOLATION_SERIALIZABLE:
                return "SERIALIZABLE";
        case DAL_ISOLATION_DEFAULT:
                break;
        }
        return "the default level";
}

struct row {
        const char *code;
        enum iso_outcome columns[ISO_N_COLUMNS];
};

#define SQLITE(any) [ISO_SQLITE] = ISO_##any
#define POSTGRES(rc, rr, ser)                                                                                \
        [ISO_POSTGRES_RC] = ISO_##rc, [ISO_POSTGRES_RR] = ISO_##rr, [ISO_POSTGRES_SER] = ISO_##ser
#define MYSQL(rc, rr, ser) [ISO_MYSQL_RC] = ISO_##rc, [ISO_MYSQL_RR] = ISO_##rr, [ISO_MYSQL_SER] = ISO_##ser
#define MARIADB(rc, rr, snapshot, ser)                                                                       \
        [ISO_MARIADB_RC] = ISO_##rc, [ISO_MARIADB_RR] = ISO_##rr,                                            \
        [ISO_MARIADB_RR_SNAPSHOT] = ISO_##snapshot, [ISO_MARIADB_SER] = ISO_##ser

/*
 * Sources, for all rows:
 * SQLite: sqlite.org/isolation.html: changes are serialized, and in WAL mode a reader sees the database as
 * it was when its transaction began.
 * PostgreSQL: manual 13.2.1 to 13.2.3. Under REPEATABLE READ who writes a row that was changed since its
 * snapshot gets "could not serialize access due to concurrent update"; SERIALIZABLE adds the check for
 * read/write dependencies.
 * MySQL, MariaDB: MySQL manual 17.7.2.1 "Transaction Isolation Levels" (SERIALIZABLE turns a plain SELECT
 * into a locking one) and 17.7.2.3 "Consistent Nonlocking Reads" (the snapshot is for SELECT; UPDATE and
 * DELETE see, and change, what others have committed since).
 * MariaDB with innodb_snapshot_isolation: MariaDB documentation, "InnoDB System Variables": a write to a row
 * that is newer than the snapshot fails with ER_CHECKREAD (1020).
 */
static const struct row rows[] = {
        /* MariaDB opens its snapshot at the first plain read: a write ahead of that waits and goes on. */
        {"G0",
         {SQLITE(WAITS), POSTGRES(WAITS, SERIALIZATION, SERIALIZATION), MYSQL(WAITS, WAITS, WAITS),
          MARIADB(WAITS, WAITS, WAITS, WAITS)}},
        {"G1a",
         {SQLITE(OLDER), POSTGRES(OLDER, OLDER, OLDER), MYSQL(OLDER, OLDER, WAITS),
          MARIADB(OLDER, OLDER, OLDER, WAITS)}},
        {"G1b",
         {SQLITE(OLDER), POSTGRES(OLDER, OLDER, OLDER), MYSQL(OLDER, OLDER, WAITS),
          MARIADB(OLDER, OLDER, OLDER, WAITS)}},
        /* Each reads what the other one writes: one after the other, one would have seen the other's. */
        {"G1c",
         {SQLITE(WAITS), POSTGRES(OLDER, OLDER, SERIALIZATION), MYSQL(OLDER, OLDER, DEADLOCK),
          MARIADB(OLDER, OLDER, OLDER, DEADLOCK)}},
        {"OTV",
         {SQLITE(WAITS), POSTGRES(WAITS, SERIALIZATION, SERIALIZATION), MYSQL(WAITS, WAITS, WAITS),
          MARIADB(WAITS, WAITS, WAITS, WAITS)}},
        {"PMP",
         {SQLITE(OLDER), POSTGRES(ALLOWED, OLDER, OLDER), MYSQL(ALLOWED, OLDER, WAITS),
          MARIADB(ALLOWED, OLDER, OLDER, WAITS)}},
        /*
         * PostgreSQL manual 13.2.1 has this very example: DELETE waits for the row that it found, looks
         * again and finds it changed; the row that has come to fit meanwhile it never looks at. InnoDB looks
         * at each row when it gets to it, and so deletes the right one; but under REPEATABLE READ the same
         * transaction still sees the other one.
         */
        {"PMP-write",
         {SQLITE(WAITS), POSTGRES(ALLOWED, SERIALIZATION, SERIALIZATION), MYSQL(WAITS, ALLOWED, WAITS),
          MARIADB(WAITS, ALLOWED, SERIALIZATION, WAITS)}},
        {"P4",
         {SQLITE(WAITS), POSTGRES(ALLOWED, SERIALIZATION, SERIALIZATION), MYSQL(ALLOWED, ALLOWED, DEADLOCK),
          MARIADB(ALLOWED, ALLOWED, SERIALIZATION, DEADLOCK)}},
        {"G-single",
         {SQLITE(OLDER), POSTGRES(ALLOWED, OLDER, OLDER), MYSQL(ALLOWED, OLDER, WAITS),
          MARIADB(ALLOWED, OLDER, OLDER, WAITS)}},
        {"G-single-predicate",
         {SQLITE(OLDER), POSTGRES(ALLOWED, OLDER, OLDER), MYSQL(ALLOWED, OLDER, WAITS),
          MARIADB(ALLOWED, OLDER, OLDER, WAITS)}},
        /*
         * Who has read a row under SERIALIZABLE may write it ahead of one who waits to do so on MySQL 9.7; on
         * MariaDB 10.11 the two are a deadlock. Measured.
         */
        {"G-single-write",
         {SQLITE(WAITS), POSTGRES(ALLOWED, SERIALIZATION, SERIALIZATION), MYSQL(ALLOWED, ALLOWED, WAITS),
          MARIADB(ALLOWED, ALLOWED, SERIALIZATION, DEADLOCK)}},
        {"G2-item",
         {SQLITE(WAITS), POSTGRES(ALLOWED, ALLOWED, SERIALIZATION), MYSQL(ALLOWED, ALLOWED, DEADLOCK),
          MARIADB(ALLOWED, ALLOWED, ALLOWED, DEADLOCK)}},
        {"G2",
         {SQLITE(WAITS), POSTGRES(ALLOWED, ALLOWED, SERIALIZATION), MYSQL(ALLOWED, ALLOWED, DEADLOCK),
          MARIADB(ALLOWED, ALLOWED, ALLOWED, DEADLOCK)}},
        {"P4-lock",
         {SQLITE(WAITS), POSTGRES(WAITS, SERIALIZATION, SERIALIZATION), MYSQL(WAITS, WAITS, WAITS),
          MARIADB(WAITS, WAITS, WAITS, WAITS)}},
        /* InnoDB's UPDATE sees the new version under REPEATABLE READ, too, and finds no row. */
        {"P4-version",
         {SQLITE(WAITS), POSTGRES(STALE_ROW, SERIALIZATION, SERIALIZATION),
          MYSQL(STALE_ROW, STALE_ROW, DEADLOCK), MARIADB(STALE_ROW, STALE_ROW, SERIALIZATION, DEADLOCK)}},
        {"G2-item-lock",
         {SQLITE(WAITS), POSTGRES(WAITS, SERIALIZATION, SERIALIZATION), MYSQL(WAITS, WAITS, WAITS),
          MARIADB(WAITS, WAITS, WAITS, WAITS)}},
};

enum iso_outcome iso_expected(const struct iso_script *script, enum iso_column column)
{
        for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
                if (strcmp(rows[i].code, script->code) == 0)
                        return rows[i].columns[column];
        return ISO_UNKNOWN;
}
