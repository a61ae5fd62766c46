/* SPDX-License-Identifier: MIT */
/*
 * Every allocation of the library fails once, one after the other, under the same work. What must hold each
 * time: no crash; an error that says so, or success because it could do without; nothing half-done; and not
 * a byte left over. The five functions of mem.h are defined here, so the library's own file is never linked
 * in.
 */

#include <stdatomic.h>
#include <stdlib.h>

#include "fault.h"

static atomic_long n_allocated, n_live;
static atomic_long fails_at = -1; /* number of the allocation that fails; -1 = none */

static bool refuses(void)
{
        return atomic_fetch_add(&n_allocated, 1) + 1 == atomic_load(&fails_at);
}

void *dal_mem_alloc(size_t size)
{
        void *p = refuses() ? NULL : calloc(1, size ? size : 1);

        if (p)
                atomic_fetch_add(&n_live, 1);
        return p;
}

void *dal_mem_resize(void *array, size_t n, size_t size)
{
        void *p;

        if (refuses() || (size && n > SIZE_MAX / size))
                return NULL;
        size *= n;
        p = realloc(array, size > 0 ? size : 1);
        if (p && !array)
                atomic_fetch_add(&n_live, 1);
        return p;
}

char *dal_mem_strdup(const char *text, size_t size)
{
        char *copy = dal_mem_alloc(size + 1);

        if (copy && size)
                memcpy(copy, text, size);
        return copy;
}

void dal_mem_free(void *ptr)
{
        if (ptr)
                atomic_fetch_sub(&n_live, 1);
        free(ptr);
}

void dal_mem_wipe(void *ptr, size_t size)
{
        volatile unsigned char *p = ptr;

        while (size--)
                *p++ = 0;
}

/* --- The work ------------------------------------------------------------------------------------------ */

/* Adds the accounts 1 and 2 together; on a plain connection. */
static dal_status on_a_connection(struct conf *c, const char *url)
{
        dal_dsn *dsn = NULL;
        dal_conn *conn = NULL;
        dal_rows *rows = NULL;
        int64_t n;
        dal_status s = dal_dsn_parse(url, &dsn, &c->err);

        if (s == DAL_OK)
                s = dal_conn_open(c->driver, dsn, NULL, SOON, &conn, &c->err);
        if (s == DAL_OK)
                s = dal_conn_begin(conn, DAL_ISOLATION_DEFAULT, false, SOON, &c->err);
        for (int64_t id = 1; id <= 2 && s == DAL_OK; id++)
                s = dal_conn_exec(conn, &conf_add_account, DAL_PARAMS(dal_int64(id), dal_int64(1)), SOON,
                                  NULL, &c->err);
        if (s == DAL_OK)
                s = dal_conn_query(conn, &conf_all_accounts, DAL_NO_PARAMS, SOON, &rows, &c->err);
        if (s == DAL_OK)
                s = dal_rows_first(rows, &c->err);
        if (s == DAL_OK)
                s = dal_rows_int64(rows, 1, &n, &c->err);
        dal_rows_close(rows);
        if (s == DAL_OK)
                s = dal_conn_query_dynamic(conn, "SELECT balance FROM conf_account WHERE id = ?",
                                           DAL_PARAMS(dal_int64(1)), SOON, &rows, &c->err);
        if (s == DAL_OK)
                dal_rows_close(rows);
        if (s == DAL_OK)
                s = dal_conn_commit(conn, SOON, &c->err);
        dal_conn_close(conn);
        dal_dsn_free(dsn);
        return s;
}

static void hook(void *arg)
{
        (void)arg;
}

static dal_status inner(dal_tx *tx, void *arg, dal_error *err)
{
        (void)arg;
        return dal_tx_exec(tx, &conf_add_account, DAL_PARAMS(dal_int64(2), dal_int64(1)), NULL, err);
}

static dal_status outer(dal_tx *tx, void *arg, dal_error *err)
{
        dal_rows *rows = NULL;
        dal_status s = dal_tx_on_commit(tx, hook, arg, err);

        if (s == DAL_OK)
                s = dal_tx_on_rollback(tx, hook, arg, err);
        if (s == DAL_OK)
                s = dal_tx_queue(tx, &conf_add_account, DAL_PARAMS(dal_int64(1), dal_int64(1)), err);
        if (s == DAL_OK)
                s = dal_tx_run(tx, inner, arg, err);
        if (s == DAL_OK)
                s = dal_tx_query(tx, &conf_all_accounts, DAL_NO_PARAMS, &rows, err);
        dal_rows_close(rows);
        if (s == DAL_OK)
                s = dal_tx_queue(tx, &conf_add_item,
                                 DAL_PARAMS(dal_int64(1), dal_text("blue"), dal_int64(1), dal_int64(1)), err);
        return s;
}

/* The same through a cluster, with all that a transaction can have. */
static dal_status in_a_cluster(struct conf *c, const char *url)
{
        dal_cluster_options options = DAL_CLUSTER_OPTIONS_INIT;
        const dal_driver *drivers[1] = {c->driver};
        dal_cluster *cluster = NULL;
        dal_rows *rows = NULL;
        dal_status s, closed;

        options.timeout_ms = 5000;
        s = dal_cluster_open(url, drivers, 1, &options, &cluster, &c->err);
        if (s)
                return s;
        s = dal_cluster_query(cluster, dal_key_text("a"), &conf_count_accounts, DAL_NO_PARAMS, &rows,
                              &c->err);
        if (s == DAL_OK)
                dal_rows_close(rows);
        if (s == DAL_OK)
                s = dal_fanout_query(cluster, &conf_count_accounts, DAL_NO_PARAMS, &rows, &c->err);
        if (s == DAL_OK)
                dal_rows_close(rows);
        if (s == DAL_OK)
                s = dal_cluster_run(cluster, dal_key_int64(1), NULL, outer, NULL, &c->err);
        closed = dal_cluster_close(cluster, 5000, NULL);
        assert_int_equal(closed, DAL_OK);
        return s;
}

/* --- The sweep ----------------------------------------------------------------------------------------- */

static dal_status (*work)(struct conf *c, const char *url);

/* A new fake server for each round, so that what it keeps is not taken for a leak. */
static dal_fake_server *begin_round(struct conf *c, char url[1024])
{
        dal_fake_server *server = NULL;
        char fake_url[DAL_FAKE_URL_SIZE];

        if (!c->server) {
                memcpy(url, c->url, sizeof c->url);
                return NULL;
        }
        server = dal_fake_new();
        assert_non_null(server);
        assert_true(conf_fake_answers(server));
        if (c->driver->caps & DAL_CAP_TX_MODE)
                dal_fake_url_modal(server, fake_url);
        else
                dal_fake_url(server, fake_url);
        snprintf(url, 1024, "%s", fake_url);
        return server;
}

static int64_t count_in_round(struct conf *c, dal_fake_server *server)
{
        int64_t value, n = 0;

        if (!server)
                return fault_count(c);
        for (int64_t id = 1; id <= 2; id++)
                n += dal_fake_peek(server, "account", id, &value);
        return n;
}

/* One round with the n-th allocation failing; false when the work needs fewer than n. */
static bool one_round(struct conf *c, long n)
{
        long live_before = atomic_load(&n_live), needed;
        char url[1024];
        dal_fake_server *server;
        dal_status s;
        int64_t count;

        server = begin_round(c, url);
        memset(&c->err, 0, sizeof c->err);
        atomic_store(&n_allocated, 0);
        atomic_store(&fails_at, n);
        s = work(c, url);
        atomic_store(&fails_at, -1);
        needed = atomic_load(&n_allocated);
        count = count_in_round(c, server);
        if (s != DAL_OK && (s != c->err.status || !c->err.message[0] || s == DAL_ERR_INTERNAL))
                fail_msg("allocation %ld: %s, but the error says %s: '%s'", n, dal_error_status_name(s),
                         dal_error_status_name(c->err.status), c->err.message);
        /* All or nothing, and the answer is the truth. */
        if (s == DAL_OK ? count != 2 : s == DAL_ERR_IN_DOUBT ? count == 1 : count != 0)
                fail_msg("allocation %ld: %s (%s), and %d of 2 accounts are there", n,
                         dal_error_status_name(s), c->err.message, (int)count);
        if (!server) {
                OK(dal_conn_script(c->conn, "DELETE FROM conf_item", SOON, &c->err));
                OK(dal_conn_script(c->conn, "DELETE FROM conf_account", SOON, &c->err));
        } else if (dal_fake_get_stats(server).n_live != 0) {
                fail_msg("allocation %ld: a connection was never closed (%s: %s)", n,
                         dal_error_status_name(s), c->err.message);
        }
        dal_fake_free(server);
        if (atomic_load(&n_live) != live_before)
                fail_msg("allocation %ld: %ld blocks were never freed (%s: %s)", n,
                         atomic_load(&n_live) - live_before, dal_error_status_name(s), c->err.message);
        return needed >= n;
}

static void sweep(struct conf *c, dal_status (*what)(struct conf *, const char *))
{
        long n = 0;

        work = what;
        /* What the case's own connection keeps for good must be there already. */
        fault_count(c);
        if (!c->server) {
                OK(dal_conn_script(c->conn, "DELETE FROM conf_item", SOON, &c->err));
                fault_count(c);
        }
        while (one_round(c, ++n)) {
                if (n > 5000)
                        fail_msg("no end after %ld allocations", n);
        }
        print_message("%ld allocations, each failed once\n", n - 1);
        assert_true(n > 5);
}

static void memory__connection(struct conf *c)
{
        sweep(c, on_a_connection);
}

static void memory__cluster(struct conf *c)
{
        sweep(c, in_a_cluster);
}

int main(int argc, char **argv)
{
        static const struct conf_case cases[] = {
                CONF_CASE(memory__connection),
                CONF_CASE(memory__cluster),
                {NULL, NULL},
        };
        static const struct conf_case *const topics[] = {cases, NULL};
        static struct conf c;
        int n_failed;

        if (argc < 2 || argc > 3) {
                fprintf(stderr, "usage: fault_memory fake|fakemodal|sqlite [FILTER]\n");
                return 64;
        }
        if (!conf_begin(&c, argv[1]))
                return 1;
        n_failed = conf_run(&c, argv[1], topics, argc > 2 ? argv[2] : NULL);
        conf_end(&c);
        return n_failed ? 1 : 0;
}
