// SPDX-License-Identifier: MIT
#include <dal/dal.h>
#include <dal/drivers/sqlite.h>

#include <cstdio>

static const dal_stmt answer = DAL_STMT("answer", "SELECT ?");

int main()
{
        dal_error err = DAL_ERROR_INIT;
        dal_dsn *dsn = nullptr;
        dal_conn *conn = nullptr;
        dal_rows *rows = nullptr;
        int64_t value = 0;
        dal_status s = dal_dsn_parse("sqlite::memory:", &dsn, &err);
        if (s == DAL_OK)
                s = dal_conn_open(dal_driver_sqlite(), dsn, nullptr, DAL_FOREVER, &conn, &err);
        if (s == DAL_OK)
                s = dal_conn_query(conn, &answer, DAL_PARAMS(dal_int64(42)), DAL_FOREVER, &rows, &err);
        if (s == DAL_OK)
                s = dal_rows_first(rows, &err);
        if (s == DAL_OK)
                s = dal_rows_int64(rows, 0, &value, &err);
        dal_rows_close(rows);
        dal_conn_close(conn);
        dal_dsn_free(dsn);
        if (s != DAL_OK)
                std::fprintf(stderr, "%s\n", err.message);
        return s == DAL_OK && value == 42 ? 0 : 1;
}
