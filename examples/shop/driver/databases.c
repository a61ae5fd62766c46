/* SPDX-License-Identifier: MIT */
#include "databases.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../common/access.h"

#define TIMEOUT_MS 20000

static const dal_stmt list_tables = DAL_STMT(
        "shop.tables", "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%'",
        .postgres = "SELECT CAST(table_name AS TEXT) FROM information_schema.tables"
                    " WHERE table_schema = CURRENT_SCHEMA()",
        .mysql = "SELECT CAST(table_name AS CHAR(64)) FROM information_schema.tables"
                 " WHERE table_schema = DATABASE()");
static const dal_stmt mark = DAL_STMT("shop.mark", "INSERT INTO shop_run (id, source, shard, n_shards, state)"
                                                   " VALUES (1, ?, ?, ?, 'running')");
static const dal_stmt complete =
        DAL_STMT("shop.complete", "UPDATE shop_run SET state = 'complete' WHERE id = 1");

/* Every table of the shop, as in schema/shop_*. */
static const char *const our_tables[] = {"shop_run",    "users",  "products",    "stock",
                                         "stock_moves", "orders", "order_lines", "payments"};

/* Formats the error and returns false. */
static bool fail(char *error, size_t size, const char *format, ...) DAL_PRINTF(3, 4);
static bool fail(char *error, size_t size, const char *format, ...)
{
        va_list args;

        va_start(args, format);
        vsnprintf(error, size, format, args);
        va_end(args);
        return false;
}

static bool is_sqlite(const struct database *db)
{
        return strcmp(db->driver->name, "sqlite") == 0;
}

static dal_status open_database(const dal_driver *driver, const dal_dsn *dsn, dal_conn **out, dal_error *err)
{
        dal_conn_options options = DAL_CONN_OPTIONS_INIT;

        options.service = "shop";
        options.lock_timeout_ms = 5000;
        return dal_conn_open(driver, dsn, &options, dal_clock_after_ms(TIMEOUT_MS), out, err);
}

/* ---- which they are ------------------------------------------------------------------------------------ */

/* "/tmp/shop.db" becomes "/tmp/shop_2.db", absolute, so that it means the same to every process. */
static void number_file(const char *path, size_t i, char *out, size_t size)
{
        const char *slash = strrchr(path, '/'), *dot = strrchr(path, '.');
        int stem = dot && dot > (slash ? slash + 1 : path) ? (int)(dot - path) : (int)strlen(path);
        char cwd[200] = "";

        if (path[0] != '/' && getcwd(cwd, sizeof cwd - 1))
                strcat(cwd, "/");
        snprintf(out, size, "%s%.*s_%zu%s", cwd, stem, path, i, path + stem);
}

/* Returns the URL as text with its password, which is the one part that dal_dsn_redacted() leaves out. */
static char *full_url(const dal_dsn *dsn)
{
        const char *shown = dal_dsn_redacted(dsn), *password = dal_dsn_password(dsn);
        char *url = malloc(strlen(shown) + (password ? 3 * strlen(password) : 0) + 16), *end = url;

        if (!url)
                return NULL;
        end += sprintf(end, "%s", shown);
        if (password)
                end += sprintf(end, "%cpassword=", strchr(shown, '?') ? '&' : '?');
        for (const char *p = password; p && *p != '\0'; p++)
                end += sprintf(end, "%%%02X", (unsigned)(unsigned char)*p);
        return url;
}

static bool plan_one(struct database *db, const dal_dsn *given, size_t i, char *error, size_t size)
{
        dal_error err = DAL_ERROR_INIT;
        size_t n_drivers;
        const dal_driver *const *drivers = shop_drivers(&n_drivers);
        const char *name;

        db->given = given;
        db->driver = dal_driver_find(drivers, n_drivers, dal_dsn_scheme(given), &err);
        if (!db->driver)
                return fail(error, size, "%s", err.message);
        name = is_sqlite(db) ? dal_dsn_path(given) : dal_dsn_dbname(given);
        if (is_sqlite(db) && strcmp(name, ":memory:") == 0)
                return fail(error, size,
                            "four processes can't share a database in memory: name a file, sqlite:shop.db");
        if (is_sqlite(db) && name[0] == '\0')
                return fail(error, size, "%s names no file: write sqlite:shop.db", dal_dsn_redacted(given));
        if (name[0] == '\0')
                return fail(error, size,
                            "%s names no database: write it behind the host, as in %s://HOST/shop",
                            dal_dsn_redacted(given), dal_dsn_scheme(given));
        if (strlen(name) > 200)
                return fail(error, size, "%s: the database name is too long", dal_dsn_redacted(given));
        if (is_sqlite(db))
                number_file(name, i, db->name, sizeof db->name);
        else
                snprintf(db->name, sizeof db->name, "%s_%zu", name, i);
        if (dal_driver_resolve_dsn(db->driver, given, given, db->name, &db->dsn, &err))
                return fail(error, size, "%s", err.message);
        db->url = full_url(db->dsn);
        return db->url || fail(error, size, "out of memory");
}

static bool read_url(const char *url, dal_dsn **out, char *error, size_t size)
{
        dal_error err = DAL_ERROR_INIT;
        size_t n_drivers;
        const dal_driver *const *drivers = shop_drivers(&n_drivers), *driver = NULL;
        dal_dsn *dsn = NULL;
        dal_status s = dal_dsn_parse(url, &dsn, &err);

        if (s == DAL_OK)
                driver = dal_driver_find(drivers, n_drivers, dal_dsn_scheme(dsn), &err);
        if (driver)
                s = dal_driver_resolve_dsn(driver, dsn, NULL, NULL, out, &err);
        dal_dsn_free(dsn);
        return (driver && s == DAL_OK) || fail(error, size, "%s", err.message);
}

bool databases_plan(struct databases *databases, const char *const *urls, size_t n_urls, size_t n_shards,
                    char *error, size_t size)
{
        *databases = (struct databases){.given = calloc(n_urls, sizeof *databases->given),
                                        .shards = calloc(n_shards, sizeof *databases->shards)};
        if (!databases->given || !databases->shards)
                return fail(error, size, "out of memory");
        for (; databases->n_given < n_urls; databases->n_given++)
                if (!read_url(urls[databases->n_given], &databases->given[databases->n_given], error, size))
                        return false;
        for (size_t i = 0; i < n_shards; i++) {
                databases->n_shards = i + 1;
                if (!plan_one(&databases->shards[i], databases->given[i % n_urls], i, error, size))
                        return false;
                for (size_t k = 0; k < i; k++)
                        if (strcmp(dal_dsn_redacted(databases->shards[i].dsn),
                                   dal_dsn_redacted(databases->shards[k].dsn)) == 0)
                                return fail(error, size, "shards %zu and %zu are the same database", k, i);
        }
        return true;
}

/* ---- looking at them ----------------------------------------------------------------------------------- */

static bool is_our_table(const char *name)
{
        for (size_t i = 0; i < sizeof our_tables / sizeof *our_tables; i++)
                if (strcmp(our_tables[i], name) == 0)
                        return true;
        return strncmp(name, "dal_", 4) == 0;
}

/* Reads the tables of a database: none, those of a shop, or somebody else's. */
static bool look_into(struct database *db, dal_conn *conn, char *error, size_t size)
{
        dal_error err = DAL_ERROR_INIT;
        dal_rows *rows;
        bool found = false;
        char name[128], foreign[128] = "";
        size_t used = 0;
        dal_status s = dal_conn_query(conn, &list_tables, DAL_NO_PARAMS, dal_clock_after_ms(TIMEOUT_MS),
                                      &rows, &err);

        if (s)
                return fail(error, size, "%s: %s", dal_dsn_redacted(db->dsn), err.message);
        while ((s = dal_rows_next(rows, &found, &err)) == DAL_OK && found &&
               (s = dal_rows_copy_text(rows, 0, name, sizeof name, &err)) == DAL_OK) {
                if (strcmp(name, "shop_run") == 0)
                        db->is_ours = true;
                if (!is_our_table(name))
                        snprintf(foreign, sizeof foreign, "%s", name);
                else if (used < sizeof db->tables)
                        used += (size_t)snprintf(db->tables + used, sizeof db->tables - used, "%s%s",
                                                 used ? ", " : "", name);
        }
        dal_rows_close(rows);
        snprintf(db->engine, sizeof db->engine, "%s", dal_conn_info(conn)->engine);
        snprintf(db->version, sizeof db->version, "%s", dal_conn_info(conn)->version);
        if (s)
                return fail(error, size, "%s: %s", dal_dsn_redacted(db->dsn), err.message);
        if (foreign[0] || (used > 0 && !db->is_ours) || used >= sizeof db->tables)
                return fail(
                        error, size,
                        "the database %s holds the table %s, which no run of this shop left there; nothing "
                        "was touched. Name another database in --url, or drop this one",
                        dal_dsn_redacted(db->dsn), foreign[0] ? foreign : name);
        return true;
}

static bool look(struct database *db, char *error, size_t size)
{
        dal_error err = DAL_ERROR_INIT;
        dal_conn *conn = NULL;
        dal_status s;
        bool ok;

        if (is_sqlite(db) && access(db->name, F_OK) != 0) {
                db->is_missing = true; /* opening it would make it */
                return true;
        }
        s = open_database(db->driver, db->dsn, &conn, &err);
        /* MySQL tells an account that may not see a database the same, whether it is there or not. */
        if (s == DAL_ERR_NOT_FOUND || (s && err.error_class == DAL_CLASS_PRIVILEGE)) {
                db->is_missing = true;
                return true;
        }
        if (s)
                return fail(error, size, "%s", err.message);
        ok = look_into(db, conn, error, size);
        dal_conn_close(conn);
        return ok;
}

/* ---- making them --------------------------------------------------------------------------------------- */

/* A connection to the server itself: by the database of the URL, or else by one that is always there. */
static dal_status open_server(const struct database *db, dal_conn **out, dal_error *err)
{
        bool postgres = strcmp(db->driver->name, "postgres") == 0;
        dal_dsn *dsn;
        dal_status s = open_database(db->driver, db->given, out, err);

        if (s != DAL_ERR_NOT_FOUND && !(s && err->error_class == DAL_CLASS_PRIVILEGE))
                return s;
        s = dal_driver_resolve_dsn(db->driver, db->given, NULL, postgres ? "postgres" : "information_schema",
                                   &dsn, err);
        if (s)
                return s;
        s = open_database(db->driver, dsn, out, err);
        dal_dsn_free(dsn);
        return s;
}

/* Quotes a name as the engine wants it. */
static void quote(const struct database *db, const char *name, char *out)
{
        char q = strcmp(db->driver->name, "postgres") == 0 ? '"' : '`';

        *out++ = q;
        for (; *name != '\0'; name++) {
                *out++ = *name;
                if (*name == q)
                        *out++ = q;
        }
        *out++ = q;
        *out = '\0';
}

static void create_statement(const struct database *db, char *out, size_t size)
{
        bool postgres = strcmp(db->driver->name, "postgres") == 0;
        char quoted[2 * sizeof db->name + 3];

        quote(db, db->name, quoted);
        snprintf(out, size, "CREATE DATABASE %s%s", quoted, postgres ? "" : " CHARACTER SET utf8mb4");
}

static void drop_statement(const struct database *db, char *out, size_t size)
{
        char quoted[2 * sizeof db->name + 3];

        quote(db, db->name, quoted);
        snprintf(out, size, "DROP DATABASE %s", quoted);
}

static dal_status run_statement(const struct database *db, const char *sql, dal_error *err)
{
        dal_conn *conn = NULL;
        dal_status s = open_server(db, &conn, err);

        if (s)
                return s;
        s = dal_conn_script(conn, sql, dal_clock_after_ms(TIMEOUT_MS), err);
        dal_conn_close(conn);
        return s;
}

/* Takes back what this run has made: nothing stays half-done. */
static void unmake(struct databases *databases)
{
        dal_error ignored = DAL_ERROR_INIT;

        for (size_t i = 0; i < databases->n_shards; i++) {
                struct database *db = &databases->shards[i];
                char sql[640];
                drop_statement(db, sql, sizeof sql);
                if (db->was_made)
                        (void)run_statement(db, sql, &ignored);
                db->was_made = false;
        }
}

/* Names every statement that somebody who may has to run. */
static bool fail_missing(const struct databases *databases, const char *why, char *error, size_t size)
{
        size_t used = (size_t)snprintf(
                error, size,
                "the shards' databases can't be made: %s. Let somebody who may run this, and give "
                "the account all rights on them:",
                why);

        for (size_t i = 0; i < databases->n_shards && used < size; i++) {
                const struct database *db = &databases->shards[i];
                const char *user = dal_dsn_user(db->dsn);
                bool with_owner = strcmp(db->driver->name, "postgres") == 0 && user[0] && strlen(user) < 64;
                char sql[640], owner[131] = "";
                if (!db->is_missing || is_sqlite(db))
                        continue;
                create_statement(db, sql, sizeof sql);
                if (with_owner)
                        quote(db, user, owner);
                used += (size_t)snprintf(error + used, size - used, " %s%s%s;", sql,
                                         with_owner ? " OWNER " : "", owner);
        }
        return false;
}

static bool make(struct databases *databases, char *error, size_t size)
{
        for (size_t i = 0; i < databases->n_shards; i++) {
                struct database *db = &databases->shards[i];
                dal_error err = DAL_ERROR_INIT;
                char why[512], sql[640];
                dal_status s;

                if (!db->is_missing || is_sqlite(db))
                        continue; /* opening an SQLite file makes it */
                create_statement(db, sql, sizeof sql);
                s = run_statement(db, sql, &err);
                db->was_made = s == DAL_OK;
                if (s == DAL_OK)
                        continue;
                snprintf(why, sizeof why, "%s", err.message);
                unmake(databases);
                if (s != DAL_ERR_AUTH)
                        return fail(error, size, "the database %s can't be made: %s",
                                    dal_dsn_redacted(db->dsn), why);
                return fail_missing(databases, why, error, size);
        }
        return true;
}

/* ---- emptying them ------------------------------------------------------------------------------------- */

static bool remove_files(const struct database *db, char *error, size_t size)
{
        static const char *const suffixes[] = {"-wal", "-shm", "-journal", ""};
        char path[300];

        for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++) {
                snprintf(path, sizeof path, "%s%s", db->name, suffixes[i]);
                if (unlink(path) != 0 && access(path, F_OK) == 0)
                        return fail(error, size,
                                    "%s can't be removed; remove it yourself or name another file", path);
        }
        return true;
}

static bool empty(const struct database *db, char *error, size_t size)
{
        bool postgres = strcmp(db->driver->name, "postgres") == 0;
        dal_error err = DAL_ERROR_INIT;
        dal_conn *conn = NULL;
        char sql[sizeof db->tables + 32];
        dal_status s;

        if (is_sqlite(db))
                return remove_files(db, error, size);
        s = open_database(db->driver, db->dsn, &conn, &err);
        if (s == DAL_OK && !postgres)
                s = dal_conn_script(conn, "SET foreign_key_checks = 0", dal_clock_after_ms(TIMEOUT_MS), &err);
        snprintf(sql, sizeof sql, "DROP TABLE %s%s", db->tables, postgres ? " CASCADE" : "");
        if (s == DAL_OK)
                s = dal_conn_script(conn, sql, dal_clock_after_ms(TIMEOUT_MS), &err);
        dal_conn_close(conn);
        return s == DAL_OK || fail(error, size, "the earlier shop in %s can't be dropped: %s",
                                   dal_dsn_redacted(db->dsn), err.message);
}

/* ---- all together -------------------------------------------------------------------------------------- */

bool databases_prepare(struct databases *databases, char *error, size_t size)
{
        for (size_t i = 0; i < databases->n_shards; i++)
                if (!look(&databases->shards[i], error, size))
                        return false;
        if (!make(databases, error, size))
                return false;
        for (size_t i = 0; i < databases->n_shards; i++) {
                struct database *db = &databases->shards[i];
                if (db->is_ours && !empty(db, error, size))
                        return false;
        }
        return true;
}

static bool install_one(struct database *db, const char *schema_dir, const char *source, size_t i,
                        size_t n_shards, dal_error *err)
{
        static const char *const areas[] = {"shop_run", "shop_user", "shop_product", "shop_order",
                                            "shop_payment"};
        dal_schema_options options = DAL_SCHEMA_OPTIONS_INIT;
        dal_schema_report report;
        dal_conn *conn = NULL;
        dal_status s = open_database(db->driver, db->dsn, &conn, err);

        options.dir = schema_dir;
        for (size_t k = 0; k < sizeof areas / sizeof *areas && s == DAL_OK; k++) {
                options.area = areas[k];
                s = dal_schema_apply(conn, &options, &report, err);
        }
        if (s == DAL_OK)
                s = dal_conn_exec(
                        conn, &mark,
                        DAL_PARAMS(dal_text(source), dal_int64((int64_t)i), dal_int64((int64_t)n_shards)),
                        dal_clock_after_ms(TIMEOUT_MS), NULL, err);
        if (s == DAL_OK) { /* only now known where the file or database has just been made */
                snprintf(db->engine, sizeof db->engine, "%s", dal_conn_info(conn)->engine);
                snprintf(db->version, sizeof db->version, "%s", dal_conn_info(conn)->version);
        }
        dal_conn_close(conn);
        return s == DAL_OK;
}

bool databases_install(struct databases *databases, const char *schema_dir, const char *source, char *error,
                       size_t size)
{
        for (size_t i = 0; i < databases->n_shards; i++) {
                dal_error err = DAL_ERROR_INIT;
                if (!install_one(&databases->shards[i], schema_dir, source, i, databases->n_shards, &err))
                        return fail(error, size, "%s: %s", dal_dsn_redacted(databases->shards[i].dsn),
                                    err.message);
        }
        return true;
}

bool databases_complete(struct databases *databases, char *error, size_t size)
{
        for (size_t i = 0; i < databases->n_shards; i++) {
                const struct database *db = &databases->shards[i];
                dal_error err = DAL_ERROR_INIT;
                dal_conn *conn = NULL;
                dal_status s = open_database(db->driver, db->dsn, &conn, &err);

                if (s == DAL_OK)
                        s = dal_conn_exec(conn, &complete, DAL_NO_PARAMS, dal_clock_after_ms(TIMEOUT_MS),
                                          NULL, &err);
                dal_conn_close(conn);
                if (s)
                        return fail(error, size, "%s: %s", dal_dsn_redacted(db->dsn), err.message);
        }
        return true;
}

const char *databases_engine(const struct databases *databases)
{
        for (size_t i = 1; i < databases->n_shards; i++)
                if (strcmp(databases->shards[i].engine, databases->shards[0].engine) != 0)
                        return "mixed";
        return databases->shards[0].engine;
}

void databases_fini(struct databases *databases)
{
        for (size_t i = 0; i < databases->n_shards; i++) {
                dal_dsn_free(databases->shards[i].dsn);
                free(databases->shards[i].url);
        }
        for (size_t i = 0; i < databases->n_given; i++)
                dal_dsn_free(databases->given[i]);
        free(databases->given);
        free(databases->shards);
        *databases = (struct databases){0};
}
