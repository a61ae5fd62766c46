/* SPDX-License-Identifier: MIT */
/*
 * ctl_sql URL SQL: runs one statement through the library and prints its rows, cells separated by a tab. For test
 * scripts, which must not depend on the engines' own clients.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <dal/dal.h>
#ifdef WITH_SQLITE
#include <dal/drivers/sqlite.h>
#endif
#ifdef WITH_POSTGRES
#include <dal/drivers/postgres.h>
#endif
#ifdef WITH_MYSQL
#include <dal/drivers/mysql.h>
#endif

#define TIMEOUT_MS 30000

static dal_status open_conn(const char *url, dal_conn **out, dal_error *err)
{
        const dal_driver *drivers[] = {
#ifdef WITH_SQLITE
                dal_driver_sqlite(),
#endif
#ifdef WITH_POSTGRES
                dal_driver_postgres(),
#endif
#ifdef WITH_MYSQL
                dal_driver_mysql(),
#endif
        };
        const dal_driver *driver = NULL;
        dal_dsn *dsn = NULL;
        dal_status status = dal_dsn_parse(url, &dsn, err);
        if (status == DAL_OK)
                driver = dal_driver_find(drivers, sizeof drivers / sizeof drivers[0], dal_dsn_scheme(dsn),
                                         err);
        if (status == DAL_OK && !driver)
                status = DAL_ERR_ARG;
        if (status == DAL_OK)
                status = dal_conn_open(driver, dsn, NULL, dal_clock_after_ms(TIMEOUT_MS), out, err);
        dal_dsn_free(dsn);
        return status;
}

static void print_cell(const dal_rows *rows, uint32_t i)
{
        const dal_value *cell = dal_rows_cell(rows, i);
        const char *text;
        size_t size;
        int64_t number;
        if (!cell || cell->type == DAL_TYPE_NULL)
                (void)printf("NULL");
        else if (dal_rows_int64(rows, i, &number, NULL) == DAL_OK)
                (void)printf("%" PRId64, number);
        else if (dal_rows_text(rows, i, &text, &size, NULL) == DAL_OK)
                (void)printf("%.*s", (int)size, text);
        else
                (void)printf("(%s)", dal_value_type_name((dal_type)cell->type));
}

static dal_status print_rows(dal_conn *conn, const char *sql, dal_error *err)
{
        dal_rows *rows = NULL;
        bool found;
        dal_status status =
                dal_conn_query_dynamic(conn, sql, DAL_NO_PARAMS, dal_clock_after_ms(TIMEOUT_MS), &rows, err);
        while (status == DAL_OK && (status = dal_rows_next(rows, &found, err)) == DAL_OK && found) {
                for (uint32_t i = 0; i < dal_rows_n_columns(rows); i++) {
                        (void)fputs(i ? "\t" : "", stdout);
                        print_cell(rows, i);
                }
                (void)fputc('\n', stdout);
        }
        dal_rows_close(rows);
        return status;
}

int main(int argc, char **argv)
{
        dal_error err = DAL_ERROR_INIT;
        dal_conn *conn = NULL;
        dal_status status;
        if (argc != 3) {
                (void)fputs("usage: ctl_sql URL SQL\n", stderr);
                return 64;
        }
        status = open_conn(argv[1], &conn, &err);
        if (status == DAL_OK && strncmp(argv[2], "SELECT", 6) == 0)
                status = print_rows(conn, argv[2], &err);
        else if (status == DAL_OK)
                status = dal_conn_script(conn, argv[2], dal_clock_after_ms(TIMEOUT_MS), &err);
        dal_conn_close(conn);
        if (status)
                (void)fprintf(stderr, "ctl_sql: %s\n", err.message);
        return status ? 1 : 0;
}
