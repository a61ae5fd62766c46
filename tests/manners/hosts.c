/* SPDX-License-Identifier: MIT */
/* The application uses the same client library, too: neither ends the other's. */

#include <signal.h>
#include <stdlib.h>

#include "manners.h"

#ifdef MANNERS_SQLITE
#include <sqlite3.h>
#endif
#ifdef MANNERS_POSTGRES
#include <libpq-fe.h>
#endif
#ifdef MANNERS_MYSQL
#include <mysql.h>
#endif

/* What an application does with a client library by itself. */
struct host {
        const char *driver;
        void (*start)(void); /* the library; before its first use and after its end */
        void *(*open)(const dal_dsn *dsn);
        bool (*works)(void *session);
        void (*close)(void *session);
        void (*end)(void);
};

static void no_ceremony(void)
{
}

#ifdef MANNERS_SQLITE
static void *open_sqlite(const dal_dsn *dsn)
{
        sqlite3 *db = NULL;

        (void)dsn;
        assert_int_equal(sqlite3_open(":memory:", &db), SQLITE_OK);
        return db;
}

static bool sqlite_works(void *session)
{
        return sqlite3_exec(session, "SELECT 1", NULL, NULL, NULL) == SQLITE_OK;
}

static void close_sqlite(void *session)
{
        assert_int_equal(sqlite3_close(session), SQLITE_OK);
}

static void start_sqlite(void)
{
        assert_int_equal(sqlite3_initialize(), SQLITE_OK);
}

static void end_sqlite(void)
{
        assert_int_equal(sqlite3_shutdown(), SQLITE_OK);
}
#endif

#ifdef MANNERS_POSTGRES
static void *open_postgres(const dal_dsn *dsn)
{
        char port[8];
        const char *const names[] = {"host", "port", "user", "password", "dbname", NULL};
        const char *const values[] = {dal_dsn_host(dsn),   port, dal_dsn_user(dsn), dal_dsn_password(dsn),
                                      dal_dsn_dbname(dsn), NULL};
        PGconn *pg;

        snprintf(port, sizeof port, "%u", (unsigned)dal_dsn_port(dsn));
        pg = PQconnectdbParams(names, values, 0);
        assert_int_equal(PQstatus(pg), CONNECTION_OK);
        return pg;
}

static bool postgres_works(void *session)
{
        PGresult *result = PQexec(session, "SELECT 1");
        bool works = PQresultStatus(result) == PGRES_TUPLES_OK;

        PQclear(result);
        return works;
}

static void close_postgres(void *session)
{
        PQfinish(session);
}
#endif

#ifdef MANNERS_MYSQL
static void *open_mysql(const dal_dsn *dsn)
{
        MYSQL *mysql = mysql_init(NULL);

        assert_non_null(mysql);
        assert_non_null(mysql_real_connect(mysql, dal_dsn_host(dsn), dal_dsn_user(dsn), dal_dsn_password(dsn),
                                           dal_dsn_dbname(dsn), dal_dsn_port(dsn), NULL, 0));
        return mysql;
}

static bool mysql_works(void *session)
{
        MYSQL_RES *rows;

        if (mysql_query(session, "SELECT 1"))
                return false;
        rows = mysql_store_result(session);
        mysql_free_result(rows);
        return rows != NULL;
}

static void close_mysql(void *session)
{
        mysql_close(session);
}

static void start_mysql(void)
{
        assert_int_equal(mysql_library_init(0, NULL, NULL), 0);
}

static void end_mysql(void)
{
        mysql_library_end();
}
#endif

static const struct host hosts[] = {
#ifdef MANNERS_SQLITE
        {"sqlite", start_sqlite, open_sqlite, sqlite_works, close_sqlite, end_sqlite},
#endif
#ifdef MANNERS_POSTGRES
        {"postgres", no_ceremony, open_postgres, postgres_works, close_postgres, no_ceremony},
#endif
#ifdef MANNERS_MYSQL
        {"mysql", start_mysql, open_mysql, mysql_works, close_mysql, end_mysql},
#endif
};

static const struct host *find_host(struct conf *c)
{
        for (size_t i = 0; i < sizeof hosts / sizeof hosts[0]; i++) {
                if (strcmp(hosts[i].driver, c->driver->name) == 0)
                        return &hosts[i];
        }
        return NULL; /* the fake driver has no client library */
}

static void hosts__each_keeps_its_sessions(struct conf *c)
{
        const struct host *host = find_host(c);
        struct use u = {.c = c, .url = c->url};
        void *session;

        if (!host)
                return;
        host->start();
        session = host->open(c->dsn);
        assert_true(host->works(session));
        use_everything(&u);
        use_check(&u);
        assert_true(host->works(session));
        host->close(session);
        OK(dal_conn_ping(c->conn, SOON, &c->err)); /* ours was open all the time */
        OK(use_briefly(c, c->url, &c->err));
}

/* The application may end the library when nothing of it is open: the next open starts it again. */
static void hosts__the_library_may_be_ended_between_two_uses(struct conf *c)
{
        const struct host *host = find_host(c);
        struct use u = {.c = c, .url = c->url};
        struct snapshot *before;
        void *session;

        if (!host)
                return;
        dal_conn_close(c->conn);
        c->conn = NULL;
        before = snapshot_take();
        host->end();
        OK(use_briefly(c, c->url, &c->err));
        snapshot_check(before);
        c->conn = conf_open(c, NULL);
        use_everything(&u);
        use_check(&u);
        host->start();
        session = host->open(c->dsn);
        assert_true(host->works(session));
        host->close(session);
}

const struct conf_case hosts_manners[] = {
        CONF_CASE(hosts__each_keeps_its_sessions),
        CONF_CASE(hosts__the_library_may_be_ended_between_two_uses),
        {NULL, NULL},
};
