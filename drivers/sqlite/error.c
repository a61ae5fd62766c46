/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "sqlite_impl.h"

/*
 * SQLite has numbers for some errors and only English text for the others, so both are read. The texts are fixed
 * strings of its source and are pinned by the tests. Source: sqlite.org/rescode.html; build.c, expr.c, resolve.c
 */

typedef struct rule {
        const char *text; /* the message begins with it */
        dal_error_class error_class;
        const char *sqlstate; /* what PostgreSQL would say */
        char names;           /* what follows: 't'able, 'c'olumn or nothing */
} rule;

static const rule begins[] = {
        {"no such table: ", DAL_CLASS_UNDEFINED_OBJECT, "42P01", 't'},
        {"no such view: ", DAL_CLASS_UNDEFINED_OBJECT, "42P01", 't'},
        {"no such column: ", DAL_CLASS_UNDEFINED_OBJECT, "42703", 'c'},
        {"no such function: ", DAL_CLASS_UNDEFINED_OBJECT, "42883", 0},
        {"no such savepoint: ", DAL_CLASS_TX_STATE, "3B001", 0},
        {"no such ", DAL_CLASS_UNDEFINED_OBJECT, "42704", 0},
        {"unknown database ", DAL_CLASS_UNDEFINED_OBJECT, "3F000", 0},
        {"wrong number of arguments to function ", DAL_CLASS_UNDEFINED_OBJECT, "42883", 0},
        {"incomplete input", DAL_CLASS_SYNTAX, "42601", 0},
        {"unrecognized token", DAL_CLASS_SYNTAX, "42601", 0},
        {"ambiguous column name", DAL_CLASS_SYNTAX, "42702", 0},
        {"misuse of ", DAL_CLASS_SYNTAX, "42803", 0},
        {"integer overflow", DAL_CLASS_DATA, "22003", 0},
        {"malformed JSON", DAL_CLASS_DATA, "22032", 0},
        {"too many SQL variables", DAL_CLASS_PACKET_TOO_LARGE, "54023", 0},
        {"cannot start a transaction within", DAL_CLASS_TX_STATE, "25001", 0},
        {"cannot commit", DAL_CLASS_TX_STATE, "25P01", 0},
        {"cannot rollback", DAL_CLASS_TX_STATE, "25P01", 0},
};

static const rule contains[] = {
        {": syntax error", DAL_CLASS_SYNTAX, "42601", 0},
        {" has no column named ", DAL_CLASS_UNDEFINED_OBJECT, "42703", 0},
        {" values for ", DAL_CLASS_SYNTAX, "42601", 0},
        {" values were supplied", DAL_CLASS_SYNTAX, "42601", 0},
        {" already exists", DAL_CLASS_SERVER_OTHER, "42P07", 0},
};

typedef struct code_rule {
        int code; /* extended first; then the low byte */
        dal_error_class error_class;
        const char *sqlstate;
} code_rule;

static const code_rule codes[] = {
        {SQLITE_CONSTRAINT_UNIQUE, DAL_CLASS_UNIQUE, "23505"},
        {SQLITE_CONSTRAINT_PRIMARYKEY, DAL_CLASS_UNIQUE, "23505"},
        {SQLITE_CONSTRAINT_ROWID, DAL_CLASS_UNIQUE, "23505"},
        {SQLITE_CONSTRAINT_FOREIGNKEY, DAL_CLASS_FOREIGN_KEY, "23503"},
        {SQLITE_CONSTRAINT_NOTNULL, DAL_CLASS_NOT_NULL, "23502"},
        {SQLITE_CONSTRAINT_CHECK, DAL_CLASS_CHECK, "23514"},
        {SQLITE_CONSTRAINT_DATATYPE, DAL_CLASS_DATA, "22000"},
        {SQLITE_CONSTRAINT_TRIGGER, DAL_CLASS_SERVER_OTHER, "P0001"},
        {SQLITE_BUSY_SNAPSHOT, DAL_CLASS_SERIALIZATION, "40001"},
        {SQLITE_READONLY_DBMOVED, DAL_CLASS_CONNECTION_LOST, "08006"},
        {SQLITE_CONSTRAINT, DAL_CLASS_SERVER_OTHER, "23000"},
        {SQLITE_BUSY, DAL_CLASS_LOCK_TIMEOUT, "55P03"},
        {SQLITE_LOCKED, DAL_CLASS_LOCK_TIMEOUT, "55P03"},
        {SQLITE_PROTOCOL, DAL_CLASS_LOCK_TIMEOUT, "55P03"},
        {SQLITE_INTERRUPT, DAL_CLASS_CANCELED, "57014"},
        {SQLITE_READONLY, DAL_CLASS_READ_ONLY_SERVER, "25006"},
        {SQLITE_MISMATCH, DAL_CLASS_DATA, "22000"},
        {SQLITE_RANGE, DAL_CLASS_ARGUMENT, "07001"},
        {SQLITE_TOOBIG, DAL_CLASS_PACKET_TOO_LARGE, "54000"},
        {SQLITE_SCHEMA, DAL_CLASS_SCHEMA_CHANGED, "0A000"},
        {SQLITE_NOMEM, DAL_CLASS_NO_MEMORY, "53200"},
        {SQLITE_FULL, DAL_CLASS_OUT_OF_RESOURCES, "53100"},
        {SQLITE_IOERR, DAL_CLASS_OUT_OF_RESOURCES, "58030"},
        {SQLITE_CANTOPEN, DAL_CLASS_OUT_OF_RESOURCES, "58030"},
        {SQLITE_AUTH, DAL_CLASS_PRIVILEGE, "42501"},
        {SQLITE_PERM, DAL_CLASS_PRIVILEGE, "42501"},
        {SQLITE_CORRUPT, DAL_CLASS_SERVER_OTHER, "XX001"},
        {SQLITE_NOTADB, DAL_CLASS_SERVER_OTHER, "XX001"},
        {SQLITE_MISUSE, DAL_CLASS_INTERNAL, "XX000"},
};

#define N_OF(array) (sizeof(array) / sizeof((array)[0]))

static void copy_name(char *out, size_t out_size, const char *name, size_t size)
{
        if (size >= out_size)
                size = out_size - 1;
        memcpy(out, name, size);
        out[size] = '\0';
}

/* Splits "t.c" at its last point; without one it is a column, or a table if `is_table`. */
static void set_names(dal_error *err, const char *text, bool is_table)
{
        size_t size = strcspn(text, "\n");
        const char *point = NULL;

        for (size_t i = 0; i < size; i++)
                if (text[i] == '.')
                        point = text + i;
        if (is_table) {
                const char *start = point ? point + 1 : text;
                copy_name(err->table, sizeof err->table, start, size - (size_t)(start - text));
                return;
        }
        if (point)
                copy_name(err->table, sizeof err->table, text, (size_t)(point - text));
        if (point)
                text = point + 1, size = strcspn(text, "\n");
        copy_name(err->column, sizeof err->column, text, size);
}

/* "t.a, t.b" gives the table t and the columns "a, b"; "index 'name'" gives a constraint. */
static void set_unique_names(dal_error *err, const char *text)
{
        char columns[sizeof err->column] = "";
        size_t used = 0;

        if (strncmp(text, "index '", 7) == 0) {
                copy_name(err->constraint, sizeof err->constraint, text + 7, strcspn(text + 7, "'"));
                return;
        }
        while (*text) {
                size_t size = strcspn(text, ",");
                const char *point = memchr(text, '.', size);
                const char *column = point ? point + 1 : text;
                int n;

                if (point && !err->table[0])
                        copy_name(err->table, sizeof err->table, text, (size_t)(point - text));
                n = snprintf(columns + used, sizeof columns - used, "%s%.*s", used ? ", " : "",
                             (int)(size - (size_t)(column - text)), column);
                if (n < 0 || (size_t)n >= sizeof columns - used)
                        break;
                used += (size_t)n;
                text += size;
                text += strspn(text, ", ");
        }
        memcpy(err->column, columns, sizeof err->column);
}

static void set_constraint_names(dal_error *err, const char *text)
{
        const char *names = strstr(text, "constraint failed: ");

        if (!names)
                return;
        names += strlen("constraint failed: ");
        if (err->error_class == DAL_CLASS_UNIQUE)
                set_unique_names(err, names);
        else if (err->error_class == DAL_CLASS_NOT_NULL)
                set_names(err, names, false);
        else if (err->error_class == DAL_CLASS_CHECK)
                copy_name(err->constraint, sizeof err->constraint, names, strcspn(names, "\n"));
}

static const rule *rule_of_text(const char *text)
{
        for (size_t i = 0; i < N_OF(begins); i++)
                if (strncmp(text, begins[i].text, strlen(begins[i].text)) == 0)
                        return &begins[i];
        for (size_t i = 0; i < N_OF(contains); i++)
                if (strstr(text, contains[i].text))
                        return &contains[i];
        return NULL;
}

static const code_rule *rule_of_code(int rc)
{
        for (size_t i = 0; i < N_OF(codes); i++)
                if (codes[i].code == rc)
                        return &codes[i];
        for (size_t i = 0; i < N_OF(codes); i++)
                if (codes[i].code == (rc & 0xff))
                        return &codes[i];
        return NULL;
}

/* One line, whatever names the schema has. */
static void flatten(char *message)
{
        for (; *message; message++)
                if ((unsigned char)*message < 0x20)
                        *message = ' ';
}

static dal_status fail_stopped(dal__sqlite_conn *conn, int rc, dal_error *err)
{
        switch (conn->stop) {
        case DAL__SQLITE_STOP_DEADLINE:
                return dal_error_set(err, DAL_CLASS_DEADLINE, "the deadline passed while SQLite was %s %s",
                                     (rc & 0xff) == SQLITE_BUSY ? "waiting for a lock on" : "working on",
                                     conn->path);
        case DAL__SQLITE_STOP_STATEMENT:
                return dal_error_set(err, DAL_CLASS_STATEMENT_TIMEOUT,
                                     "the statement ran longer than statement_timeout_ms=%u",
                                     conn->statement_timeout);
        case DAL__SQLITE_STOP_LOCK:
                return dal_error_set(err, DAL_CLASS_LOCK_TIMEOUT,
                                     "%s is locked by another connection for longer than lock_timeout_ms=%u",
                                     conn->path, conn->lock_timeout);
        case DAL__SQLITE_STOP_CANCEL:
                return dal_error_set(err, DAL_CLASS_CANCELED, "the statement was canceled");
        case DAL__SQLITE_STOP_NONE:
                break;
        }
        return DAL_OK;
}

static void fill_from_text(dal__sqlite_conn *conn, int rc, dal_error *err, const char *text)
{
        const code_rule *by_code = rule_of_code(rc);
        const rule *by_text = (rc & 0xff) == SQLITE_ERROR ? rule_of_text(text) : NULL;
        dal_error_class error_class = DAL_CLASS_SERVER_OTHER;
        const char *sqlstate = "";

        if (by_text)
                error_class = by_text->error_class, sqlstate = by_text->sqlstate;
        else if (by_code)
                error_class = by_code->error_class, sqlstate = by_code->sqlstate;
        if (error_class == DAL_CLASS_OUT_OF_RESOURCES || error_class == DAL_CLASS_READ_ONLY_SERVER ||
            error_class == DAL_CLASS_CONNECTION_LOST || (rc & 0xff) == SQLITE_CORRUPT ||
            (rc & 0xff) == SQLITE_NOTADB)
                (void)dal_error_set(err, error_class, "%s (%s)", text, conn->path);
        else
                (void)dal_error_set(err, error_class, "%s", text);
        memcpy(err->sqlstate, sqlstate, strlen(sqlstate) + 1);
        if (by_text && by_text->names == 't')
                set_names(err, text + strlen(by_text->text), true);
        else if (by_text && by_text->names == 'c')
                set_names(err, text + strlen(by_text->text), false);
        else
                set_constraint_names(err, text);
}

dal_status dal__sqlite_no_memory(dal_error *err)
{
        return dal_error_set(err, DAL_CLASS_NO_MEMORY, "no memory for an SQLite statement");
}

dal_status dal__sqlite_fail(dal__sqlite_conn *conn, int rc, dal_error *err)
{
        dal_error unused;
        bool stopped = conn->stop != DAL__SQLITE_STOP_NONE &&
                       ((rc & 0xff) == SQLITE_BUSY || (rc & 0xff) == SQLITE_INTERRUPT);

        if (!err)
                err = &unused;
        /* A stale snapshot can't be waited out, so no handler was asked. */
        if (rc == SQLITE_BUSY_SNAPSHOT)
                stopped = false;
        if (stopped) {
                (void)fail_stopped(conn, rc, err);
                if (err->error_class == DAL_CLASS_LOCK_TIMEOUT)
                        memcpy(err->sqlstate, "55P03", 6);
                else if (err->error_class != DAL_CLASS_DEADLINE)
                        memcpy(err->sqlstate, "57014", 6);
        } else {
                fill_from_text(conn, rc, err, sqlite3_errmsg(conn->db));
        }
        flatten(err->message);
        err->vendor_code = rc;
        err->conn_gone = err->error_class == DAL_CLASS_CONNECTION_LOST;
        /* A file does not fail over: running the transaction again can't help. */
        if (err->error_class == DAL_CLASS_READ_ONLY_SERVER)
                err->retry_tx = false;
        err->tx_gone = dal__sqlite_tx_vanished(conn);
        return err->status;
}

/* Says what stands in the way of opening a file; the bare "unable to open database file" helps nobody. */
static dal_status fail_cannot_open(const char *path, int system_errno, dal_error *err)
{
        char directory[512];
        struct stat st;
        const char *slash = strrchr(path, '/');
        size_t size = slash ? (size_t)(slash - path) : 0;

        if (stat(path, &st) == 0) {
                if (S_ISDIR(st.st_mode))
                        return dal_error_set(err, DAL_CLASS_ARGUMENT,
                                             "%s is a directory; the URL must name a database file", path);
                if (system_errno == EACCES || system_errno == EPERM || system_errno == 0)
                        return dal_error_set(err, DAL_CLASS_PRIVILEGE,
                                             "database file %s can't be opened: permission denied", path);
        } else if (errno == ENOENT || errno == ENOTDIR) {
                if (size > 0 && size < sizeof directory) {
                        memcpy(directory, path, size);
                        directory[size] = '\0';
                        if (stat(directory, &st) != 0 || !S_ISDIR(st.st_mode))
                                return dal_error_set(err, DAL_CLASS_UNDEFINED_OBJECT,
                                                     "database file %s can't be made: there is no directory "
                                                     "%s; make it first",
                                                     path, directory);
                }
                if (system_errno == EACCES || system_errno == EPERM || system_errno == EROFS)
                        return dal_error_set(err, DAL_CLASS_PRIVILEGE,
                                             "database file %s can't be made: no right to write there", path);
                if (system_errno == ENOENT || system_errno == 0)
                        return dal_error_set(err, DAL_CLASS_UNDEFINED_OBJECT,
                                             "database file %s does not exist; mode=rwc makes it", path);
        } else if (errno == EACCES) {
                return dal_error_set(err, DAL_CLASS_PRIVILEGE,
                                     "database file %s can't be reached: permission denied", path);
        }
        return dal_error_set(err, DAL_CLASS_CONNECT_FAILED,
                             "database file %s can't be opened (system error %d)", path, system_errno);
}

dal_status dal__sqlite_fail_open(dal__sqlite_conn *conn, int rc, const char *path, dal_error *err)
{
        dal_error unused;
        int primary = rc & 0xff;

        if (!err)
                err = &unused;
        if (!conn->db || primary == SQLITE_NOMEM) {
                (void)dal_error_set(err, DAL_CLASS_NO_MEMORY, "no memory to open database file %s", path);
        } else if (primary == SQLITE_CANTOPEN) {
                (void)fail_cannot_open(path, sqlite3_system_errno(conn->db), err);
        } else if (primary == SQLITE_NOTADB) {
                (void)dal_error_set(err, DAL_CLASS_ARGUMENT, "%s is not an SQLite database", path);
        } else if (primary == SQLITE_BUSY) {
                (void)dal_error_set(
                        err, DAL_CLASS_DEADLINE,
                        "the deadline passed while database file %s was locked by another process", path);
        } else if (primary == SQLITE_READONLY || primary == SQLITE_PERM || primary == SQLITE_AUTH) {
                (void)dal_error_set(err, DAL_CLASS_PRIVILEGE,
                                    "database file %s can't be written: %s; mode=ro opens it for reading",
                                    path, sqlite3_errmsg(conn->db));
        } else {
                (void)dal_error_set(err, DAL_CLASS_CONNECT_FAILED, "database file %s: %s", path,
                                    sqlite3_errmsg(conn->db));
        }
        flatten(err->message);
        err->vendor_code = rc;
        err->not_sent = true;
        if (err->error_class == DAL_CLASS_UNDEFINED_OBJECT)
                memcpy(err->sqlstate, "3D000", 6);
        return err->status;
}
