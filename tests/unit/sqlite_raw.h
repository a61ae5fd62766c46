/* SPDX-License-Identifier: MIT */
#ifndef DAL_TESTS_SQLITE_RAW_H
#define DAL_TESTS_SQLITE_RAW_H

/* The SQLite driver alone, slot by slot, on files in a directory of its own; the core's part has its own tests. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <dal/drivers/sqlite.h>

struct raw {
        void *conn;
        dal_error err;
        dal_result result;
        const dal_value *cells;
};

static char directory[64];

static inline const dal_driver *sqlite(void)
{
        return dal_driver_sqlite();
}

static inline const char *url_of(const char *file, const char *rest)
{
        static char url[256];

        (void)snprintf(url, sizeof url, "sqlite://%s/%s%s", directory, file, rest);
        return url;
}

static inline dal_status try_open(struct raw *raw, const char *url, uint32_t lock_ms, uint32_t statement_ms)
{
        dal_open_args args;
        dal_status s;
        dal_dsn *dsn;

        memset(raw, 0, sizeof *raw);
        memset(&args, 0, sizeof args);
        raw->conn = calloc(1, sqlite()->conn_size);
        s = dal_dsn_parse(url, &dsn, &raw->err);
        if (s != DAL_OK)
                return s;
        args.dsn = dsn;
        args.service = "test";
        args.user = "";
        args.lock_timeout_ms = lock_ms;
        args.statement_timeout_ms = statement_ms;
        s = sqlite()->open(raw->conn, &args, dal_clock_after_ms(5000), &raw->err);
        dal_dsn_free(dsn);
        return s;
}

static inline void shut(struct raw *raw)
{
        sqlite()->close(raw->conn);
        free(raw->conn);
}

static inline struct raw open_limited(const char *file, uint32_t lock_ms, uint32_t statement_ms)
{
        struct raw raw;

        if (try_open(&raw, url_of(file, ""), lock_ms, statement_ms))
                fail_msg("%s", raw.err.message);
        return raw;
}

static inline struct raw open_file(const char *file)
{
        return open_limited(file, 0, 0);
}

static inline dal_status run_until(struct raw *raw, const dal_request *request, dal_deadline deadline)
{
        dal_status s = sqlite()->queue(raw->conn, request, &raw->err);

        if (s == DAL_OK)
                s = sqlite()->flush(raw->conn, deadline, &raw->err);
        return s ? s : sqlite()->result(raw->conn, deadline, &raw->result, &raw->err);
}

static inline dal_status run_kind(struct raw *raw, dal_request_kind kind)
{
        dal_request request;

        memset(&request, 0, sizeof request);
        request.kind = kind;
        request.savepoint = 1;
        return run_until(raw, &request, DAL_FOREVER);
}

static inline dal_status begin(struct raw *raw, bool read_only)
{
        dal_request request;

        memset(&request, 0, sizeof request);
        request.kind = DAL_REQUEST_BEGIN;
        request.read_only = read_only;
        return run_until(raw, &request, DAL_FOREVER);
}

static inline dal_request text_request(const char *sql, dal_params params)
{
        dal_request request;

        memset(&request, 0, sizeof request);
        request.kind = DAL_REQUEST_TEXT;
        request.text = sql;
        request.text_size = strlen(sql);
        request.params = params;
        return request;
}

static inline dal_status run(struct raw *raw, const char *sql, dal_params params)
{
        dal_request request = text_request(sql, params);

        return run_until(raw, &request, DAL_FOREVER);
}

static inline dal_status run_script(struct raw *raw, const char *sql)
{
        dal_request request = text_request(sql, DAL_NO_PARAMS);

        request.kind = DAL_REQUEST_SCRIPT;
        return run_until(raw, &request, DAL_FOREVER);
}

static inline void must(struct raw *raw, dal_status s)
{
        if (s)
                fail_msg("%s: %s", dal_error_class_name(raw->err.error_class), raw->err.message);
}

static inline bool fetch(struct raw *raw)
{
        must(raw, sqlite()->fetch(raw->conn, DAL_FOREVER, &raw->cells, &raw->err));
        return raw->cells != NULL;
}

static inline int64_t number(struct raw *raw, const char *sql)
{
        int64_t n;

        must(raw, run(raw, sql, DAL_NO_PARAMS));
        assert_true(raw->result.has_rows);
        assert_true(fetch(raw));
        assert_int_equal(raw->cells[0].type, DAL_TYPE_INT64);
        n = raw->cells[0].as.int64;
        assert_false(fetch(raw));
        return n;
}

static inline void assert_span(const dal_value *cell, dal_type type, const char *text)
{
        assert_int_equal(cell->type, type);
        assert_int_equal(cell->as.span.size, strlen(text));
        assert_memory_equal(cell->as.span.ptr, text, strlen(text));
}

static inline void assert_fails(struct raw *raw, const char *sql, dal_error_class error_class,
                                const char *sqlstate)
{
        dal_status s = run(raw, sql, DAL_NO_PARAMS);

        if (!s || raw->err.error_class != error_class || strcmp(raw->err.sqlstate, sqlstate) != 0)
                fail_msg("%s gave %s %s: %s", sql, dal_error_class_name(raw->err.error_class),
                         raw->err.sqlstate, raw->err.message);
        assert_int_equal(s, dal_error_class_status(error_class));
        assert_null(strchr(raw->err.message, '\n'));
}

static inline int make_directory(void **state)
{
        (void)state;
        (void)snprintf(directory, sizeof directory, "/tmp/dal_sqlite_test.XXXXXX");
        return mkdtemp(directory) ? 0 : -1;
}

static inline int remove_directory(void **state)
{
        char command[128];

        (void)state;
        (void)snprintf(command, sizeof command, "rm -rf '%s'", directory);
        return system(command);
}

#endif
