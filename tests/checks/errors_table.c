/* SPDX-License-Identifier: MIT */
/* Prints docs/errors.md from the lists that the code itself is made of; needs no driver and no client library. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include <dal/error.h>

static const char *const retry_text[] = {"no", "yes", "before COMMIT is sent"};
enum {
        NO,
        YES,
        UNSENT
};

static void print_lower(const char *name)
{
        for (; *name; name++)
                putchar(tolower((unsigned char)*name));
}

static void print_class(const char *name, dal_status status, int retry, const char *text)
{
        printf("| `");
        print_lower(name);
        printf("` | `%s` | %s | %s |\n", dal_error_status_name(status), retry_text[retry], text);
}

/* ---- what leads to a class ---------------------------------------------------------------------------------- */

enum {
        MYSQL = 0x01,
        MARIADB = 0x02,
        BOTH = MYSQL | MARIADB,
        ANY = BOTH
};

/* What an engine says, what else must be so, and what is over besides the statement. */
typedef struct entry {
        dal_error_class error_class;
        int servers; /* of the MySQL family */
        const char *code;
        const char *name;
        const char *text;
        const char *function;
        const char *note;
        const char *mark;
} entry;

#define MARK_STATEMENT ""
#define MARK_TX        " (tx)"
#define MARK_CONN      " (conn)"
#define MARK_EITHER    " (conn?)"

static const entry mysql[] = {
#define DAL_MYSQL_ROW(number, servers, text, class, effect, names, remedy)                                   \
        {DAL_CLASS_##class, servers, #number, NULL, text, NULL, NULL, MARK_##effect},
#define DAL_MYSQL_STATE(sqlstate, class, effect)
#include "mysql/errors.def"
};

static const entry mysql_states[] = {
#define DAL_MYSQL_ROW(number, servers, text, class, effect, names, remedy)
#define DAL_MYSQL_STATE(sqlstate, class, effect)                                                             \
        {DAL_CLASS_##class, BOTH, sqlstate, NULL, NULL, NULL, NULL, MARK_##effect},
#include "mysql/errors.def"
};

#define NOTE_ALWAYS        NULL
#define NOTE_CANCELED      " upon request"
#define NOTE_STANDBY       " of a server that takes no writes"
#define NOTE_OWN_STATEMENT " of a prepared statement of the driver's"
/* Every error dooms the transaction: that goes without a mark. */
#define ENDS_TX     MARK_STATEMENT
#define ENDS_CONN   MARK_CONN
#define ENDS_EITHER MARK_EITHER

static const entry postgres[] = {
#define DAL_POSTGRES_ROW(sqlstate, when, function, class, ends)                                              \
        {DAL_CLASS_##class, ANY, sqlstate, NULL, NULL, function, NOTE_##when, ENDS_##ends},
#include "postgres/errors.def"
};

static const entry sqlite[] = {
#define DAL_SQLITE_CODE(number, name, class, sqlstate)                                                       \
        {DAL_CLASS_##class, ANY, #number, #name, NULL, NULL, NULL, ""},
#define DAL_SQLITE_TEXT(place, text, class, sqlstate, names)                                                 \
        {DAL_CLASS_##class, ANY, "1", NULL, text, NULL, NULL, ""},
#include "sqlite/errors.def"
};

static void print_entry(const entry *e)
{
        fputs(e->code, stdout);
        if (isdigit((unsigned char)e->code[0]) && strlen(e->code) == 2 && e->servers == ANY && !e->name)
                fputs("xxx", stdout);
        if (e->name)
                printf(" %s", e->name);
        if (e->text)
                printf(" \"%s\"", e->text);
        if (e->function)
                printf(" from `%s()`", e->function);
        if (e->note)
                fputs(e->note, stdout);
        fputs(e->mark, stdout);
}

static int print_cell(const entry *entries, size_t n, int servers, dal_error_class error_class)
{
        int n_printed = 0;

        fputs(" |", stdout);
        for (size_t i = 0; i < n; i++) {
                if (entries[i].error_class != error_class || !(entries[i].servers & servers))
                        continue;
                fputs(n_printed++ ? ", " : " ", stdout);
                print_entry(&entries[i]);
        }
        return n_printed;
}

static size_t count(const entry *entries, size_t n, dal_error_class error_class)
{
        size_t n_found = 0;

        for (size_t i = 0; i < n; i++)
                n_found += entries[i].error_class == error_class;
        return n_found;
}

#define N_OF(array)   (sizeof(array) / sizeof((array)[0]))
#define ENTRIES(list) list, N_OF(list)

static void print_causes(const char *name, dal_error_class error_class)
{
        if (count(ENTRIES(postgres), error_class) + count(ENTRIES(mysql), error_class) +
                    count(ENTRIES(sqlite), error_class) ==
            0)
                return;
        fputs("| `", stdout);
        print_lower(name);
        putchar('`');
        print_cell(ENTRIES(postgres), ANY, error_class);
        print_cell(ENTRIES(mysql), MYSQL, error_class);
        print_cell(ENTRIES(mysql), MARIADB, error_class);
        print_cell(ENTRIES(sqlite), ANY, error_class);
        puts(" |");
}

static void print_all_causes(void)
{
        puts("\n## What leads to each class\n\n"
             "PostgreSQL's SQLSTATEs, where `22xxx` is every other code that begins so; numbers of MySQL, "
             "MariaDB "
             "and their client\n"
             "libraries (2000 to 2999 and from 5000); SQLite's result codes, where one that is not listed "
             "counts as "
             "its low byte.\n"
             "Some count only together with a piece of the message, the place in the server's source, or a "
             "fact "
             "that the driver\n"
             "knows; of several lines that fit, the more special one counts. What is in no line is "
             "`server_other`, and never retried.\n\n"
             "What the server undid, besides the statement:\n\n"
             "- no mark: nothing. But on PostgreSQL every error inside a transaction dooms it: it stays "
             "open, and "
             "can only be rolled\n"
             "  back, wholly or to a savepoint. SQLite is asked after each error whether it still has the "
             "transaction (`tx_gone`).\n"
             "- (tx): the whole transaction (`tx_gone`). So does every error that answers COMMIT.\n"
             "- (conn): the connection (`conn_gone`), and with it the transaction. (conn?): sometimes; the "
             "server "
             "says so. While\n"
             "  connecting every failure does.\n\n"
             "| class | PostgreSQL | MySQL | MariaDB | SQLite |\n|---|---|---|---|---|");
#define PRINT_CAUSES(name, status, retry, text) print_causes(#name, DAL_CLASS_##name);
        DAL_ERROR_CLASS_LIST(PRINT_CAUSES)
#undef PRINT_CAUSES
        puts("\nOn PostgreSQL a connection that is lost, with whatever code or none, is `connection_lost` "
             "unless its "
             "code has the mark\n"
             "(conn?); libpq gives no code with a failed connect, so its text is read: `auth`, `privilege`, "
             "`undefined_object`,\n"
             "`too_many_connections`, or `connect_failed`. After 1205 the driver asks the server whether the "
             "transaction is still open,\n"
             "as `innodb_rollback_on_timeout` decides. A number of the MySQL family that is not listed is "
             "known by "
             "the beginning of\n"
             "its SQLSTATE:\n\n"
             "| SQLSTATE | class |\n|---|---|");
        for (size_t i = 0; i < N_OF(mysql_states); i++)
                printf("| %s%s | `%s` |\n", mysql_states[i].code, mysql_states[i].mark,
                       dal_error_class_name(mysql_states[i].error_class));
}

static void print_names(void)
{
        puts("\n## Names\n\n"
             "`constraint`, `table` and `column` are what the engine tells, and empty where it doesn't:\n\n"
             "- PostgreSQL tells them in fields of their own: the table and the constraint; the column for "
             "NOT NULL.\n"
             "- The MySQL family has them in its messages. MySQL names the table and the key of a duplicate, "
             "MariaDB "
             "the key; both\n"
             "  name the table, the constraint and the columns of a foreign key, the constraint of a CHECK "
             "(MariaDB "
             "its table, too),\n"
             "  the column of a refused value, and what does not exist. A message that was cut, or is not in "
             "English "
             "and can't be\n"
             "  read for sure, gives none.\n"
             "- SQLite names the table and the columns of UNIQUE and NOT NULL, the constraint of a CHECK, "
             "the index "
             "where it is on\n"
             "  expressions, and what does not exist; of a foreign key nothing.\n\n"
             "A name that does not fit, or that can't be told from its neighbours because it holds points or "
             "commas, is left empty.");
}

int main(void)
{
        puts("# Errors\n\n"
             "Made by `tests/checks/errors_table.c` from the lists in `dal/include/dal/error.h` and of the "
             "drivers "
             "(`drivers/postgres/errors.def`,\n"
             "`drivers/mysql/errors.def`, `drivers/sqlite/errors.def`): don't edit it by hand.\n\n"
             "Every fallible call returns a status. It answers what to do now:\n\n"
             "| status | means |\n|---|---|");
#define PRINT_STATUS(name, text) printf("| `DAL_%s` | %s |\n", #name, text);
        DAL_STATUS_LIST(PRINT_STATUS)
#undef PRINT_STATUS
        puts("\nThe class in `dal_error.error_class` says what happened. \"Retried\" is whether "
             "`dal_cluster_run()` runs the\n"
             "whole transaction again by itself; a unique violation only when `retry_unique` asks for it.\n\n"
             "| class | status | retried | what happened |\n|---|---|---|---|");
#define PRINT_CLASS(name, status, retry, text) print_class(#name, DAL_##status, retry, text);
        DAL_ERROR_CLASS_LIST(PRINT_CLASS)
#undef PRINT_CLASS
        print_all_causes();
        print_names();
        return 0;
}
