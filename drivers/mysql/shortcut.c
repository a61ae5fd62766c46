/* SPDX-License-Identifier: MIT */
/*
 * What Connector/C does at each execution though it need not. A MariaDB server doesn't send again how the columns of
 * a prepared statement look, and the library then copies what it knows of them, names and all, from the statement to
 * the connection, to copy it back at once: a quarter of the instructions of a small select. Here the connection is
 * lent the statement's own description instead.
 *
 * The library calls its parts by a table that the connection points to; the one here differs in a single place. The
 * table and what is looked at are in the library's public headers, but as they may look otherwise in another version,
 * a library that isn't the one of the headers keeps its own.
 * Source: mthd_stmt_read_execute_response() in mariadb_stmt.c and free_old_query() in mariadb_lib.c, 3.3 and 3.4
 */
#include "mysql_impl.h"

#include <dal/mem.h>

/* Found out when the build is configured: the table is as it is known here. */
#ifndef DAL__MYSQL_SHORTCUT
#define DAL__MYSQL_SHORTCUT 0
#endif

#if DAL__MYSQL_SHORTCUT

struct dal__mysql_shortcut {
        struct st_mariadb_methods methods;        /* first: the session points to it */
        const struct st_mariadb_methods *library; /* its own */
        MYSQL_STMT *handle;                       /* that is being run */
};

static int read_result(MYSQL *mysql)
{
        const dal__mysql_shortcut *shortcut = (const void *)mysql->methods;
        MYSQL_STMT *handle = shortcut->handle;
        int rc = shortcut->library->db_read_stmt_result(mysql);

        if (rc == 0 && handle && !mysql->fields && mysql->field_count == handle->field_count)
                mysql->fields = handle->fields;
        return rc;
}

void dal__mysql_shortcut_take(dal__mysql_conn *conn)
{
        dal__mysql_shortcut *shortcut;

        if (mysql_get_client_version() != MARIADB_PACKAGE_VERSION_ID)
                return;
        conn->shortcut = shortcut = dal_mem_alloc(sizeof *shortcut);
        if (!shortcut)
                return;
        shortcut->library = conn->mysql->methods;
        shortcut->methods = *shortcut->library;
        shortcut->methods.db_read_stmt_result = read_result;
        conn->mysql->methods = &shortcut->methods;
}

int dal__mysql_shortcut_run(dal__mysql_conn *conn, MYSQL_STMT *handle, int (*run)(MYSQL_STMT *handle))
{
        MYSQL *mysql = conn->mysql;
        int rc;

        if (!conn->shortcut)
                return run(handle);
        conn->shortcut->handle = handle;
        rc = run(handle);
        conn->shortcut->handle = NULL;
        if (mysql->fields && mysql->fields == handle->fields)
                mysql->fields = NULL; /* the statement may be closed before the connection's next command */
        return rc;
}

#else

void dal__mysql_shortcut_take(dal__mysql_conn *conn)
{
        conn->shortcut = NULL;
}

int dal__mysql_shortcut_run(dal__mysql_conn *conn, MYSQL_STMT *handle, int (*run)(MYSQL_STMT *handle))
{
        (void)conn;
        return run(handle);
}

#endif

void dal__mysql_shortcut_free(dal__mysql_conn *conn)
{
        dal_mem_free(conn->shortcut);
        conn->shortcut = NULL;
}
