/* SPDX-License-Identifier: MIT */
#ifndef TESTS_UNIT_RUN_FIXTURE_H
#define TESTS_UNIT_RUN_FIXTURE_H

/* What the tests of tx, cluster and fanout share: fake servers with a table, statements, and a lone connection. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
/* cmocka needs the four above first. Source: cmocka.h */
#include <cmocka.h>

#include <dal/cluster.h>
#include <dal/drivers/fake.h>

#include "conn/conn_impl.h"
#include "run/tx_impl.h"
#include "shard/map.h"

static const dal_stmt put_row = DAL_STMT("put_row", "INSERT INTO t (id, v) VALUES (?, ?)");
static const dal_stmt set_row = DAL_STMT("set_row", "UPDATE t SET v = ? WHERE id = ?");
static const dal_stmt get_rows = DAL_STMT("get_rows", "SELECT v FROM t WHERE id BETWEEN ? AND ? ORDER BY id");

#define ROW(id)         DAL_PARAMS(dal_int64(id), dal_int64(10 * (id)))
#define RANGE(from, to) DAL_PARAMS(dal_int64(from), dal_int64(to))

#define assert_ok(call)                                                                                      \
        do {                                                                                                 \
                dal_status status_ = (call);                                                                 \
                if (status_)                                                                                 \
                        print_error("%s: %s\n", dal_error_status_name(status_), err.message);                \
                assert_int_equal(status_, DAL_OK);                                                           \
        } while (0)
#define assert_has(text, part)                                                                               \
        do {                                                                                                 \
                if (!strstr(text, part))                                                                     \
                        print_error("no \"%s\" in: %s\n", part, text);                                       \
                assert_non_null(strstr(text, part));                                                         \
        } while (0)

/* Whoever fails must leave an error that is whole. */
#define assert_fails(call, wanted_class)                                                                     \
        do {                                                                                                 \
                dal_status status_ = (call);                                                                 \
                if (status_ != dal_error_class_status(wanted_class) || err.error_class != (wanted_class))    \
                        print_error("got %s, %s: %s\n", dal_error_status_name(status_),                      \
                                    dal_error_class_name(err.error_class), err.message);                     \
                assert_int_equal(status_, dal_error_class_status(wanted_class));                             \
                assert_int_equal(err.status, status_);                                                       \
                assert_int_equal(err.error_class, (wanted_class));                                           \
                assert_int_not_equal(err.message[0], '\0');                                                  \
        } while (0)

static inline void on_put_row(void *arg, dal_fake_call *call)
{
        dal_params params = dal_fake_call_params(call);

        (void)arg;
        if (dal_fake_store_insert(call, "t", params.values[0].as.int64, DAL_PARAMS(params.values[1])))
                dal_fake_call_count(call, 1);
}

static inline void on_set_row(void *arg, dal_fake_call *call)
{
        dal_params params = dal_fake_call_params(call);
        bool found;

        (void)arg;
        if (dal_fake_store_update(call, "t", params.values[1].as.int64, DAL_PARAMS(params.values[0]), &found))
                dal_fake_call_count(call, found);
}

static inline void on_get_rows(void *arg, dal_fake_call *call)
{
        static const char *const names[] = {"v"};
        dal_params params = dal_fake_call_params(call);

        (void)arg;
        dal_fake_call_columns(call, names, 1);
        dal_fake_store_select(call, "t", params.values[0].as.int64, params.values[1].as.int64, NULL);
}

/* A server with a table t (id, v). */
static inline dal_fake_server *new_server(void)
{
        dal_fake_server *server = dal_fake_new();

        assert_non_null(server);
        assert_true(dal_fake_on(server, "put_row", on_put_row, NULL));
        assert_true(dal_fake_on(server, "set_row", on_set_row, NULL));
        assert_true(dal_fake_on(server, "get_rows", on_get_rows, NULL));
        return server;
}

/* Frees a server; every session must have been closed. */
static inline void free_server(dal_fake_server *server)
{
        assert_int_equal(dal_fake_get_stats(server).n_live, 0);
        assert_int_equal(dal_fake_get_stats(server).n_opened, dal_fake_get_stats(server).n_closed);
        dal_fake_free(server);
}

static inline void assert_journal(dal_fake_server *server, const char *expected)
{
        char journal[8192];

        dal_fake_journal(server, 0, journal, sizeof journal);
        assert_string_equal(journal, expected);
}

static inline bool has_row(dal_fake_server *server, int64_t id)
{
        int64_t v;

        return dal_fake_peek(server, "t", id, &v);
}

static inline void inject(dal_fake_server *server, dal_fake_fault fault)
{
        assert_true(dal_fake_inject(server, &fault));
}

/* ---- a transaction on a connection of its own, without a cluster ---- */

struct lone {
        bool modal;
        dal_fake_server *server;
        dal_conn *conn;
        dal__map *map;
        dal_tx_options options;
        dal_deadline deadline;
        dal_key key;
};

#define LONE_SHARD 7

static inline struct lone open_lone(bool modal)
{
        static dal__map map;
        struct lone f;
        char url[DAL_FAKE_URL_SIZE];
        dal_error err = DAL_ERROR_INIT;
        dal_tx_options options = DAL_TX_OPTIONS_INIT;
        dal_dsn *dsn;

        memset(&f, 0, sizeof f);
        f.modal = modal;
        f.server = new_server();
        f.options = options;
        f.deadline = DAL_FOREVER;
        f.map = &map;
        f.key = dal_key_int64(1);
        dal__map_init(&map, LONE_SHARD);
        if (modal)
                dal_fake_url_modal(f.server, url);
        else
                dal_fake_url(f.server, url);
        assert_ok(dal_dsn_parse(url, &dsn, &err));
        assert_ok(dal__conn_open_mode(modal ? dal_driver_fake_modal() : dal_driver_fake(), dsn, NULL, modal,
                                      DAL_FOREVER, &f.conn, &err));
        dal_dsn_free(dsn);
        dal_fake_journal_clear(f.server);
        return f;
}

static inline void close_lone(struct lone *f)
{
        dal_conn_close(f->conn);
        free_server(f->server);
}

/* One attempt, as the cluster would make it. */
static inline dal_status attempt(struct lone *f, dal_tx_fn *fn, void *arg, dal_error *err)
{
        dal_status s;
        dal_tx tx;

        memset(&tx, 0, sizeof tx);
        tx.conn = f->conn;
        tx.map = f->map;
        tx.options = &f->options;
        tx.key = f->key;
        tx.deadline = f->deadline;
        tx.shard = LONE_SHARD;
        tx.attempt = 1;
        s = dal__tx_attempt(&tx, fn, arg, err);
        dal__tx_end(&tx);
        assert_true(s == DAL_OK || err == NULL || err->shard == LONE_SHARD);
        return s;
}

/* After a transaction its connection is either closed or idle, with nothing of it left. */
static inline void assert_idle(struct lone *f)
{
        if (dal__conn_is_broken(f->conn))
                return;
        assert_int_equal(dal_conn_tx_state(f->conn), DAL_TX_STATE_IDLE);
        assert_int_equal(dal_fake_get_stats(f->server).n_in_tx, 0);
        assert_false(dal__conn_has_queued(f->conn));
}

/* The body of a loop over both kinds of server. */
static inline bool both_kinds(struct lone *f, int *i)
{
        if (*i == 2)
                return false;
        *f = open_lone((*i)++ == 1);
        return true;
}

/* ---- what hooks note down, letter by letter ---- */

struct notes {
        char text[64];
        size_t n;
};

static inline void note(struct notes *notes, char c)
{
        assert_true(notes->n + 1 < sizeof notes->text);
        notes->text[notes->n++] = c;
        notes->text[notes->n] = '\0';
}

static inline void note_commit(void *arg)
{
        note(arg, 'c');
}

static inline void note_rollback(void *arg)
{
        note(arg, 'r');
}

static inline dal_status add_hooks(dal_tx *tx, struct notes *notes, dal_error *err)
{
        dal_status s = dal_tx_on_commit(tx, note_commit, notes, err);

        return s ? s : dal_tx_on_rollback(tx, note_rollback, notes, err);
}

/* ---- functions ---- */

static inline dal_status put_two(dal_tx *tx, void *arg, dal_error *err)
{
        int64_t n_rows = 0;
        dal_status s = dal_tx_exec(tx, &put_row, ROW(1), &n_rows, err);

        (void)arg;
        if (s)
                return s;
        assert_int_equal(n_rows, 1);
        return dal_tx_exec(tx, &put_row, ROW(2), NULL, err);
}

#endif
