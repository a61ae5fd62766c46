/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "sqlite_impl.h"

enum {
        PLACE_BEGINS,
        PLACE_CONTAINS
};

enum {
        NAMES_NOTHING,
        NAMES_TABLE,
        NAMES_COLUMN
};

typedef struct text_rule {
        uint8_t place;
        uint8_t names;
        char sqlstate[6];
        dal_error_class error_class;
        const char *text;
} text_rule;

static const text_rule texts[] = {
#define DAL_SQLITE_CODE(number, name, class, sqlstate)
#define DAL_SQLITE_TEXT(place, text, class, sqlstate, names)                                                 \
        {PLACE_##place, NAMES_##names, sqlstate, DAL_CLASS_##class, text},
#include "errors.def"
};

typedef struct code_rule {
        int code;
        dal_error_class error_class;
        char sqlstate[6];
} code_rule;

static const code_rule codes[] = {
#define DAL_SQLITE_CODE(number, name, class, sqlstate) {number, DAL_CLASS_##class, sqlstate},
#define DAL_SQLITE_TEXT(place, text, class, sqlstate, names)
#include "errors.def"
};

/* The list gives numbers, for a page that is made without SQLite at hand. */
#define DAL_SQLITE_CODE(number, name, class, sqlstate)                                                       \
        _Static_assert(SQLITE_##name == (number), "SQLITE_" #name " has another number");
#define DAL_SQLITE_TEXT(place, text, class, sqlstate, names)
#include "errors.def"

#define N_OF(array) (sizeof(array) / sizeof((array)[0]))

/*
 * Names stand in the text, without quotes: where they hold points or commas of their own nobody can tell them apart,
 * and they are left empty; so is a name that does not fit.
 */
static void copy_name(char *out, size_t out_size, const char *name, size_t size)
{
        if (size >= out_size || memchr(name, '\n', size))
                size = 0;
        memcpy(out, name, size);
        out[size] = '\0';
}

/* Finds the only point of "t.c"; false if there are several. *point_out is NULL if there is none. */
static bool find_point(const char *text, size_t size, const char **point_out)
{
        *point_out = memchr(text, '.', size);
        return !*point_out || !memchr(*point_out + 1, '.', size - (size_t)(*point_out + 1 - text));
}

/* "t" or "main.t" */
static void set_table(dal_error *err, const char *text)
{
        size_t size = strlen(text);
        const char *point, *start;

        if (!find_point(text, size, &point))
                return;
        start = point ? point + 1 : text;
        copy_name(err->table, sizeof err->table, start, size - (size_t)(start - text));
}

/* "c" or "t.c" */
static void set_column(dal_error *err, const char *text)
{
        size_t size = strlen(text);
        const char *point, *start;

        if (!find_point(text, size, &point))
                return;
        if (point)
                copy_name(err->table, sizeof err->table, text, (size_t)(point - text));
        start = point ? point + 1 : text;
        copy_name(err->column, sizeof err->column, start, size - (size_t)(start - text));
}

/* "t.a, t.b" gives the table t and the columns "a, b"; "index 'name'" gives a constraint. */
static void set_unique_names(dal_error *err, const char *text)
{
        char columns[sizeof err->column] = "";
        const char *table = text, *point;
        size_t used = 0, table_size = strcspn(text, ".");

        if (strncmp(text, "index '", 7) == 0) {
                const char *end = strrchr(text + 7, '\'');

                if (end)
                        copy_name(err->constraint, sizeof err->constraint, text + 7,
                                  (size_t)(end - text - 7));
                return;
        }
        for (;;) {
                const char *comma = strstr(text, ", ");
                size_t size = comma ? (size_t)(comma - text) : strlen(text);

                if (!find_point(text, size, &point) || !point || (size_t)(point - text) != table_size ||
                    memcmp(text, table, table_size) != 0)
                        return;
                size -= table_size + 1;
                if (used + size + 3 > sizeof columns)
                        return;
                memcpy(columns + used, ", ", used ? 2 : 0);
                used += used ? 2 : 0;
                memcpy(columns + used, point + 1, size);
                used += size;
                if (!comma)
                        break;
                text = comma + 2;
        }
        copy_name(err->table, sizeof err->table, table, table_size);
        copy_name(err->column, sizeof err->column, columns, used);
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
                set_column(err, names);
        else if (err->error_class == DAL_CLASS_CHECK)
                copy_name(err->constraint, sizeof err->constraint, names, strlen(names));
}

static const text_rule *rule_of_text(const char *text)
{
        for (size_t i = 0; i < N_OF(texts); i++) {
                const char *found = strstr(text, texts[i].text);

                if (found && (texts[i].place == PLACE_CONTAINS || found == text))
                        return &texts[i];
        }
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

dal_status dal__sqlite_classify(int rc, const char *text, const char *path, dal_error *err)
{
        const code_rule *by_code = rule_of_code(rc);
        const text_rule *by_text = (rc & 0xff) == SQLITE_ERROR ? rule_of_text(text) : NULL;
        dal_error_class error_class = DAL_CLASS_SERVER_OTHER;
        const char *sqlstate = "";

        if (by_text)
                error_class = by_text->error_class, sqlstate = by_text->sqlstate;
        else if (by_code)
                error_class = by_code->error_class, sqlstate = by_code->sqlstate;
        if (error_class == DAL_CLASS_OUT_OF_RESOURCES || error_class == DAL_CLASS_READ_ONLY_TX ||
            error_class == DAL_CLASS_CONNECTION_LOST || (rc & 0xff) == SQLITE_CORRUPT ||
            (rc & 0xff) == SQLITE_NOTADB)
                (void)dal_error_set(err, error_class, "%s (%s)", text, path);
        else
                (void)dal_error_set(err, error_class, "%s", text);
        memcpy(err->sqlstate, sqlstate, strlen(sqlstate) + 1);
        if (by_text && by_text->names == NAMES_TABLE)
                set_table(err, text + strlen(by_text->text));
        else if (by_text && by_text->names == NAMES_COLUMN)
                set_column(err, strstr(text, by_text->text) + strlen(by_text->text));
        else
                set_constraint_names(err, text);
        return err->status;
}

dal_status dal__sqlite_no_memory(dal_error *err)
{
        return dal_error_set(err, DAL_CLASS_NO_MEMORY, "no memory for an SQLite statement");
}

static dal_status fail(dal__sqlite_conn *conn, int rc, bool commits, dal_error *err)
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
                (void)dal__sqlite_classify(rc, sqlite3_errmsg(conn->db), conn->path, err);
        }
        /*
         * Rolled back for everybody who looks now; but the frames were written, and after a crash recovery may find
         * them whole. Source: wal.c, walIndexRecover()
         */
        if (rc == SQLITE_IOERR_FSYNC && commits && sqlite3_get_autocommit(conn->db))
                (void)dal_error_set(err, DAL_CLASS_COMMIT_UNKNOWN,
                                    "the disk did not confirm COMMIT on %s: it may return after a crash",
                                    conn->path);
        flatten(err->message);
        err->vendor_code = rc;
        err->conn_gone = err->error_class == DAL_CLASS_CONNECTION_LOST;
        err->tx_gone = dal__sqlite_tx_vanished(conn);
        return err->status;
}

dal_status dal__sqlite_fail(dal__sqlite_conn *conn, int rc, dal_error *err)
{
        return fail(conn, rc, !conn->in_tx, err);
}

dal_status dal__sqlite_fail_commit(dal__sqlite_conn *conn, int rc, dal_error *err)
{
        return fail(conn, rc, true, err);
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
