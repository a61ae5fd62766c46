/* SPDX-License-Identifier: MIT */
#ifndef DAL_TESTS_SCHEMA_FAKE_H
#define DAL_TESTS_SCHEMA_FAKE_H

/*
 * The table dal_schema_history and the schema lock, played by the fake server, and a folder of scripts. Include it
 * after cmocka.h.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <dal/conn.h>
#include <dal/drivers/fake.h>

#define CREATE_HISTORY "CREATE TABLE dal_schema_history"

struct schema_fake {
        dal_fake_server *server;
        dal_conn *conn;
        bool is_modal;
        char dir[64];
        int n_locked_out; /* so many tries for the lock fail */
        bool has_lock;
        int64_t limits[3];
};

static void fake_find_table(void *arg, dal_fake_call *call)
{
        const dal_value *cells;
        bool found = false;
        (void)arg;
        if (dal_fake_store_get(call, "meta", 1, false, &cells, &found))
                dal_fake_call_row(call, DAL_PARAMS(dal_int64(found ? 1 : 0)));
}

static void fake_create(void *arg, dal_fake_call *call)
{
        (void)arg;
        (void)dal_fake_store_insert(call, "meta", 1, DAL_PARAMS(dal_int64(1)));
}

static int64_t fake_key(dal_value area, dal_value version)
{
        char digits[20] = "";
        memcpy(digits, version.as.span.ptr, version.as.span.size);
        return (memcmp(area.as.span.ptr, "dal", 3) == 0 ? 0 : 100000) + atol(digits);
}

static bool is_applied(const dal_value *state)
{
        return state->as.span.size == 7 && memcmp(state->as.span.ptr, "applied", 7) == 0;
}

/* The parameters of UPDATE and INSERT, in the order in which the rows are read. */
static void fake_row(const dal_value *p, dal_value out[12])
{
        static const int order[12] = {13, 0, 1, 2, 3, 4, 5, 6, 7, 9, 10, 11};
        for (int i = 0; i < 12; i++)
                out[i] = p[order[i]];
}

static void fake_update(void *arg, dal_fake_call *call)
{
        const dal_value *p = dal_fake_call_params(call).values;
        int64_t key = fake_key(p[12], p[13]);
        const dal_value *cells;
        dal_value row[12];
        bool found = false;
        (void)arg;
        if (!dal_fake_store_get(call, "history", key, true, &cells, &found))
                return;
        found = found && !is_applied(&cells[7]);
        fake_row(p, row);
        if (found && !dal_fake_store_update(call, "history", key, (dal_params){row, 12}, &found))
                return;
        dal_fake_call_count(call, found ? 1 : 0);
}

static void fake_insert(void *arg, dal_fake_call *call)
{
        const dal_value *p = dal_fake_call_params(call).values;
        dal_value row[12];
        (void)arg;
        fake_row(p, row);
        if (dal_fake_store_insert(call, "history", fake_key(p[12], p[13]), (dal_params){row, 12}))
                dal_fake_call_count(call, 1);
}

static void fake_load(void *arg, dal_fake_call *call)
{
        static const char *const names[12] = {"version",    "name",       "sha256",   "hash",
                                              "n",          "begun",      "done",     "state",
                                              "applied_by", "started_at", "duration", "note"};
        bool is_dal = memcmp(dal_fake_call_params(call).values[0].as.span.ptr, "dal", 3) == 0;
        int64_t n_rows;
        (void)arg;
        dal_fake_call_columns(call, names, 12);
        (void)dal_fake_store_select(call, "history", is_dal ? 0 : 100000, is_dal ? 99999 : 199999, &n_rows);
}

static void fake_lock(void *arg, dal_fake_call *call)
{
        struct schema_fake *f = arg;
        f->has_lock = f->n_locked_out == 0;
        if (f->n_locked_out > 0)
                f->n_locked_out--;
        dal_fake_call_row(call, DAL_PARAMS(dal_int64(f->has_lock ? 1 : 0)));
}

static void fake_unlock(void *arg, dal_fake_call *call)
{
        struct schema_fake *f = arg;
        f->has_lock = false;
        dal_fake_call_row(call, DAL_PARAMS(dal_int64(1)));
}

static void fake_holder(void *arg, dal_fake_call *call)
{
        (void)arg;
        dal_fake_call_row(call, DAL_PARAMS(dal_text("session 7 (orders)")));
}

static void fake_get_limits(void *arg, dal_fake_call *call)
{
        const struct schema_fake *f = arg;
        dal_fake_call_row(
                call, DAL_PARAMS(dal_int64(f->limits[0]), dal_int64(f->limits[1]), dal_int64(f->limits[2])));
}

static void fake_set_limits(void *arg, dal_fake_call *call)
{
        struct schema_fake *f = arg;
        for (int i = 0; i < 3; i++)
                f->limits[i] = dal_fake_call_params(call).values[i].as.int64;
}

static void fake_connect(struct schema_fake *f)
{
        char url[DAL_FAKE_URL_SIZE];
        dal_error err = DAL_ERROR_INIT;
        dal_dsn *dsn = NULL;
        if (f->is_modal)
                dal_fake_url_modal(f->server, url);
        else
                dal_fake_url(f->server, url);
        dal_conn_close(f->conn);
        f->conn = NULL;
        assert_int_equal(dal_dsn_parse(url, &dsn, &err), DAL_OK);
        assert_int_equal(dal_conn_open(f->is_modal ? dal_driver_fake_modal() : dal_driver_fake(), dsn, NULL,
                                       DAL_FOREVER, &f->conn, &err),
                         DAL_OK);
        dal_dsn_free(dsn);
}

/* Writes DIR/area/common/file, or another dialect's. */
static void fake_script_for(const struct schema_fake *f, const char *area, const char *dialect,
                            const char *file, const char *text)
{
        char path[300];
        FILE *out;
        (void)snprintf(path, sizeof path, "%s/%s", f->dir, area);
        (void)mkdir(path, 0700);
        (void)snprintf(path, sizeof path, "%s/%s/%s", f->dir, area, dialect);
        (void)mkdir(path, 0700);
        (void)snprintf(path, sizeof path, "%s/%s/%s/%s", f->dir, area, dialect, file);
        out = fopen(path, "wb");
        assert_non_null(out);
        assert_true(fputs(text, out) >= 0);
        assert_int_equal(fclose(out), 0);
}

static inline void fake_script(const struct schema_fake *f, const char *file, const char *text)
{
        fake_script_for(f, "shop", "common", file, text);
}

static void fake_begin(struct schema_fake *f, bool is_modal)
{
        const struct {
                const char *name;
                dal_fake_handler *handler;
        } handlers[] = {
                {"dal.history_find_table", fake_find_table},
                {"dal.history_load", fake_load},
                {"dal.history_update", fake_update},
                {"dal.history_insert", fake_insert},
                {"dal.history_lock", fake_lock},
                {"dal.history_unlock", fake_unlock},
                {"dal.history_lock_holder", fake_holder},
                {"dal.history_get_limits", fake_get_limits},
                {"dal.history_set_limits", fake_set_limits},
                {CREATE_HISTORY, fake_create},
        };
        memset(f, 0, sizeof *f);
        f->is_modal = is_modal;
        f->server = dal_fake_new();
        assert_non_null(f->server);
        for (size_t i = 0; i < sizeof handlers / sizeof handlers[0]; i++)
                assert_true(dal_fake_on(f->server, handlers[i].name, handlers[i].handler, f));
        (void)snprintf(f->dir, sizeof f->dir, "/tmp/dal-schema-XXXXXX");
        assert_non_null(mkdtemp(f->dir));
        fake_script_for(f, "dal", "common", "0001_history.sql", "-- the table\n" CREATE_HISTORY ";\n");
        fake_connect(f);
}

static void fake_end(struct schema_fake *f)
{
        char command[128];
        dal_conn_close(f->conn);
        dal_fake_free(f->server);
        (void)snprintf(command, sizeof command, "rm -r '%s'", f->dir);
        assert_int_equal(system(command), 0);
}

#endif
