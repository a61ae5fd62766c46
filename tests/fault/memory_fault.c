/* SPDX-License-Identifier: MIT */
/*
 * Every allocation of the library fails once, one after the other, under the same work. What must hold each
 * time: no crash; an error that says so, or success because it could do without; nothing half-done; and not
 * a byte left over. The five functions of mem.h are defined here, so the library's own file is never linked
 * in.
 */

#include <stdatomic.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <dal/schema.h>

#include "fault.h"

static atomic_long n_allocated, n_live;
static atomic_long fails_at = -1; /* number of the allocation that fails; -1 = none */
static long planned = -1;         /* the same, for the round that begins */
static long n_needed;             /* allocations of the round up to disarm() */

/* From here on allocations count; what went before was preparation. */
static void arm(void)
{
        atomic_store(&n_allocated, 0);
        atomic_store(&fails_at, planned);
}

static void disarm(void)
{
        if (atomic_exchange(&fails_at, -1) != -1)
                n_needed = atomic_load(&n_allocated);
}

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
        dal_status s;

        arm();
        s = dal_dsn_parse(url, &dsn, &c->err);
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

/* Rows of all shards, to the end, in an order other than shard after shard. */
static dal_status fan_out(struct conf *c, dal_cluster *cluster, dal_fanout_order order)
{
        static const dal_fanout_column first = {.i_column = 0};
        dal_fanout_options options = DAL_FANOUT_OPTIONS_INIT;
        dal_rows *rows;
        bool found = true;
        dal_status s;

        options.order = order;
        options.columns = order == DAL_FANOUT_MERGED ? &first : NULL;
        options.n_columns = order == DAL_FANOUT_MERGED;
        s = dal_fanout_query_with(cluster, &options, &conf_numbers, DAL_PARAMS(dal_int64(3)), &rows, &c->err);
        while (s == DAL_OK && found)
                s = dal_rows_next(rows, &found, &c->err);
        dal_rows_close(rows);
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
        arm();
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
                s = fan_out(c, cluster, DAL_FANOUT_AS_THEY_COME);
        if (s == DAL_OK)
                s = fan_out(c, cluster, DAL_FANOUT_MERGED);
        if (s == DAL_OK)
                s = dal_cluster_run(cluster, dal_key_int64(1), NULL, outer, NULL, &c->err);
        closed = dal_cluster_close(cluster, 5000, NULL);
        assert_int_equal(closed, DAL_OK);
        return s;
}

/* Two adds on a leased connection: one queued, one with rows streamed before it. */
static dal_status lease_and_work(struct conf *c, dal_pool *pool)
{
        dal_rows *rows = NULL;
        dal_conn *conn = NULL;
        bool found = true;
        dal_status s = dal_pool_acquire(pool, false, SOON, &conn, &c->err);

        if (s)
                return s;
        s = dal_conn_begin(conn, DAL_ISOLATION_DEFAULT, false, SOON, &c->err);
        if (s == DAL_OK)
                s = dal_conn_query(conn, &conf_stream, DAL_PARAMS(dal_int64(100)), SOON, &rows, &c->err);
        while (s == DAL_OK && found)
                s = dal_rows_next(rows, &found, &c->err);
        dal_rows_close(rows);
        for (int64_t id = 1; id <= 2 && s == DAL_OK; id++)
                s = dal_conn_exec(conn, &conf_add_account, DAL_PARAMS(dal_int64(id), dal_int64(1)), SOON,
                                  NULL, &c->err);
        if (s == DAL_OK)
                s = dal_conn_exec_dynamic(conn, "UPDATE conf_account SET balance = ? WHERE id = ?",
                                          DAL_PARAMS(dal_decimal("2"), dal_int64(1)), SOON, NULL, &c->err);
        if (s == DAL_OK)
                s = dal_conn_commit(conn, SOON, &c->err);
        dal_pool_release(pool, conn);
        return s;
}

/* A pool that others use, too, is as good as before: every place in it can be taken, and works. */
static void check_pool(struct conf *c, dal_pool *pool, uint32_t size)
{
        dal_pool_stats stats = dal_pool_get_stats(pool);
        dal_error err = DAL_ERROR_INIT;
        dal_conn *conns[4];

        assert_int_equal(stats.leased + stats.waiting, 0);
        assert_int_equal(stats.size, stats.idle + stats.leased + stats.connecting + stats.closing);
        for (uint32_t i = 0; i < size; i++) {
                if (dal_pool_acquire(pool, false, SOON, &conns[i], &err) ||
                    dal_conn_exec(conns[i], &conf_count_accounts, DAL_NO_PARAMS, SOON, NULL, &err))
                        fail_msg("after '%s' place %u is of no use: %s", c->err.message, i, err.message);
        }
        while (size > 0)
                dal_pool_release(pool, conns[--size]);
}

static dal_status with_a_pool(struct conf *c, const char *url)
{
        dal_pool_options options = DAL_POOL_OPTIONS_INIT;
        dal_dsn *dsn = NULL;
        dal_pool *pool = NULL;
        dal_conn *conn = NULL;
        dal_status s;

        options.max_size = 2;
        OK(dal_dsn_parse(url, &dsn, &c->err));
        OK(dal_pool_new(c->driver, dsn, &options, &pool, &c->err));
        dal_dsn_free(dsn);
        if (planned % 2) { /* else it must connect first */
                OK(dal_pool_acquire(pool, false, SOON, &conn, &c->err));
                dal_pool_release(pool, conn);
        }
        arm();
        s = lease_and_work(c, pool);
        disarm();
        check_pool(c, pool, options.max_size);
        dal_pool_close(pool);
        if (dal_pool_drain(pool, SOON, NULL) || dal_pool_free(pool, NULL))
                fail_msg("the pool can't be closed after '%s'", c->err.message);
        return s;
}

static dal_status two_accounts(dal_tx *tx, void *arg, dal_error *err)
{
        dal_status s = DAL_OK;

        (void)arg;
        for (int64_t id = 1; id <= 2 && s == DAL_OK; id++)
                s = dal_tx_exec(tx, &conf_add_account, DAL_PARAMS(dal_int64(id), dal_int64(1)), NULL, err);
        return s;
}

/*
 * The answer to COMMIT is lost and must be found out with too little memory. A fake server of one's own, as the round's
 * URL leads to one. Every other time the work was done.
 */
static dal_status over_a_lost_commit(struct conf *c, const char *url)
{
        dal_cluster_options options = DAL_CLUSTER_OPTIONS_INIT;
        const dal_driver *drivers[1] = {c->driver};
        dal_cluster *cluster = NULL;
        dal_status s;

        options.timeout_ms = 5000;
        OK(dal_cluster_open(url, drivers, 1, &options, &cluster, &c->err));
        arm();
        s = dal_cluster_run(cluster, dal_key_int64(1), NULL, two_accounts, NULL, &c->err);
        disarm();
        if (s == DAL_ERR_IN_DOUBT) { /* what could not be found out then, can be now */
                dal_outcome outcome;

                s = dal_resolve(cluster, c->err.outcome_token, 5000, &outcome, &c->err);
                if (s == DAL_OK && outcome == DAL_OUTCOME_NOT_COMMITTED)
                        s = dal_error_set(&c->err, DAL_CLASS_NO_MEMORY, "not committed, for want of memory");
        }
        assert_int_equal(dal_cluster_close(cluster, 5000, NULL), DAL_OK);
        return s;
}

/* Loads the accounts 1 to n; then, unless that is the same, account `last`. */
static dal_status load(struct conf *c, dal_cluster *cluster, int64_t n, int64_t last)
{
        static const char *const columns[] = {"id", "balance"};
        dal_bulk_spec spec = DAL_BULK_SPEC_INIT;
        dal_bulk *bulk = NULL;
        dal_status s;

        spec.table = "conf_account";
        spec.columns = columns;
        spec.n_columns = 2;
        s = dal_cluster_bulk(cluster, &spec, &bulk, &c->err);
        for (int64_t i = 1; i <= n + (last != n) && s == DAL_OK; i++)
                s = dal_bulk_add_for(bulk, dal_key_int64(i),
                                     DAL_PARAMS(dal_int64(i > n ? last : i), dal_decimal("1")), &c->err);
        if (s == DAL_OK)
                s = dal_bulk_finish(bulk, NULL, &c->err);
        dal_bulk_close(bulk);
        return s;
}

/* The first load's last row is refused, and is looked for: want of memory must not leave anything of it. */
static dal_status by_a_load(struct conf *c, const char *url)
{
        const dal_driver *drivers[1] = {c->driver};
        dal_cluster *cluster = NULL;
        dal_status s;

        OK(dal_cluster_open(url, drivers, 1, NULL, &cluster, &c->err));
        arm();
        s = load(c, cluster, 13, 4);
        assert_true(s == DAL_ERR_CONSTRAINT || s == DAL_ERR_NOMEM);
        if (s == DAL_ERR_CONSTRAINT)
                s = load(c, cluster, 2, 2);
        disarm();
        assert_int_equal(dal_cluster_close(cluster, 5000, NULL), DAL_OK);
        return s;
}

/* Removes what an apply left, so that the next round begins with nothing. */
static void forget_schema(struct conf *c)
{
        OK(dal_conn_script(c->conn, "DROP TABLE IF EXISTS dal_schema_history", SOON, &c->err));
        OK(dal_conn_script(c->conn, "DELETE FROM conf_account", SOON, &c->err));
}

/* Writes DIR/AREA/DIALECT/FILE. */
static void write_script(const char *dir, const char *area, const char *dialect, const char *file,
                         const char *text)
{
        char path[512];
        FILE *out;

        snprintf(path, sizeof path, "%s/%s", dir, area);
        (void)mkdir(path, 0700); /* may be there already; else fopen() fails */
        snprintf(path, sizeof path, "%s/%s/%s", dir, area, dialect);
        (void)mkdir(path, 0700);
        snprintf(path, sizeof path, "%s/%s/%s/%s", dir, area, dialect, file);
        out = fopen(path, "wb");
        assert_non_null(out);
        assert_true(fputs(text, out) >= 0);
        assert_int_equal(fclose(out), 0);
}

static char schema_dir[] = "/tmp/dal-memory-XXXXXX";

static void make_schema(struct conf *c)
{
        const char *dialect = c->q->dialect == DAL_DIALECT_postgres ? "postgres" : "sqlite";
        char path[512], text[8192];
        size_t size;
        FILE *in;

        memcpy(schema_dir + strlen(schema_dir) - 6, "XXXXXX", 6);
        assert_non_null(mkdtemp(schema_dir));
        snprintf(path, sizeof path, "%s/dal/%s/0001_history.sql", TESTS_SCHEMA_DIR, dialect);
        in = fopen(path, "rb");
        assert_non_null(in);
        size = fread(text, 1, sizeof text - 1, in);
        fclose(in);
        assert_true(size > 0 && size < sizeof text - 1);
        text[size] = '\0';
        write_script(schema_dir, "dal", dialect, "0001_history.sql", text);
        write_script(schema_dir, "bank", dialect, "0001_accounts.sql",
                     "-- Two statements, so that one without the other can be seen.\n"
                     "INSERT INTO conf_account (id, balance) VALUES (1, 1);\n"
                     "INSERT INTO conf_account (id, balance) VALUES (2, 1);\n");
}

/* Looks at what an apply did; what was refused must be applied by the next call. */
static void check_schema(struct conf *c, dal_conn *conn, const dal_schema_options *options, dal_status s)
{
        dal_schema_report report;
        dal_error err = DAL_ERROR_INIT;

        if (s != DAL_OK && fault_count(c) != 0)
                fail_msg("refused (%s), and yet there are %d accounts", c->err.message, (int)fault_count(c));
        if (dal_schema_apply(conn, options, &report, &err) != DAL_OK)
                fail_msg("after '%s' the next apply fails: %s", c->err.message, err.message);
        assert_int_equal(report.n_applied, 1);
        assert_int_equal(report.n_pending + report.n_drifted + report.n_failed, 0);
        assert_int_equal(fault_count(c), 2);
        if (s != DAL_OK) /* the round's own count is of what the failed call left */
                forget_schema(c);
}

/* Two accounts by a schema script, in a database that knows of no scripts. */
static dal_status by_a_schema(struct conf *c, const char *url)
{
        dal_schema_options options = DAL_SCHEMA_OPTIONS_INIT;
        dal_schema_report report;
        dal_dsn *dsn = NULL;
        dal_conn *conn = NULL, *others = c->conn;
        dal_status s;

        options.dir = schema_dir;
        options.area = "bank";
        /* One of its own to look by: what a connection keeps in its cache changes with the tables. */
        c->conn = conf_open(c, NULL);
        forget_schema(c);
        OK(dal_dsn_parse(url, &dsn, &c->err));
        OK(dal_conn_open(c->driver, dsn, NULL, SOON, &conn, &c->err));
        arm();
        s = dal_schema_apply(conn, &options, &report, &c->err);
        disarm();
        check_schema(c, conn, &options, s);
        dal_conn_close(conn);
        dal_dsn_free(dsn);
        dal_conn_close(c->conn);
        c->conn = others;
        return s;
}

/* --- Batches --- */

static dal_status read_all(dal_batch *batch, dal_error *err)
{
        bool found = true;
        dal_status s = dal_batch_run(batch, err);

        while (s == DAL_OK && found)
                s = dal_batch_next(batch, &found, err);
        return s;
}

static dal_status add_in_a_batch(dal_tx *tx, void *arg, dal_error *err)
{
        dal_batch *batch = NULL;
        dal_status s = dal_tx_batch(tx, &batch, err);

        (void)arg;
        for (int64_t id = 1; id <= 2 && s == DAL_OK; id++)
                s = dal_batch_add(batch, &conf_add_account, DAL_PARAMS(dal_int64(id), dal_int64(1)), err);
        if (s == DAL_OK)
                s = dal_batch_add(batch, &conf_all_accounts, DAL_NO_PARAMS, err);
        return s ? s : read_all(batch, err); /* not closed: it ends with the function */
}

/* Adds the accounts 1 and 2 by a batch in a transaction, after independent queries, of which one fails. */
static dal_status in_batches(struct conf *c, const char *url)
{
        static const dal_stmt nowhere = DAL_STMT("nowhere", "SELECT x FROM conf_nowhere");
        const dal_driver *drivers[1] = {c->driver};
        dal_cluster *cluster = NULL;
        dal_batch *batch = NULL;
        bool found = true;
        dal_status s;

        arm();
        s = dal_cluster_open(url, drivers, 1, NULL, &cluster, &c->err);
        if (s == DAL_OK)
                s = dal_cluster_batch(cluster, dal_key_int64(1), &batch, &c->err);
        for (int i = 0; i < 5 && s == DAL_OK; i++)
                s = dal_batch_add(batch, i == 2 ? &nowhere : &conf_balance,
                                  i == 2 ? DAL_NO_PARAMS : DAL_PARAMS(dal_int64(1)), &c->err);
        if (s == DAL_OK)
                s = dal_batch_run(batch, &c->err);
        while (s == DAL_OK && found) {
                s = dal_batch_next(batch, &found, &c->err);
                if (s && c->err.error_class == DAL_CLASS_UNDEFINED_OBJECT)
                        s = DAL_OK;
        }
        dal_batch_close(batch);
        if (s == DAL_OK)
                s = dal_cluster_run(cluster, dal_key_int64(1), NULL, add_in_a_batch, NULL, &c->err);
        disarm();
        if (cluster)
                OK(dal_cluster_close(cluster, 5000, NULL));
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
        if (work == over_a_lost_commit) {
                dal_fake_fault lost = {.match = "COMMIT", .error_class = DAL_CLASS_CONNECTION_LOST};

                lost.executed = planned % 2;
                assert_true(dal_fake_add_outcomes(server) && dal_fake_inject(server, &lost));
        }
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
        long live_before = atomic_load(&n_live);
        char url[1024];
        dal_fake_server *server;
        dal_status s;
        int64_t count;

        planned = n;
        server = begin_round(c, url);
        memset(&c->err, 0, sizeof c->err);
        s = work(c, url);
        disarm();
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
        return n_needed >= n;
}

static void sweep(struct conf *c, dal_status (*what)(struct conf *, const char *))
{
        long n = 0;
        int n_spared = 0;

        work = what;
        /* What the case's own connection keeps for good must be there already. */
        fault_count(c);
        if (!c->server) {
                OK(dal_conn_script(c->conn, "DELETE FROM conf_item", SOON, &c->err));
                fault_count(c);
        }
        /* Odd and even rounds may differ in what they need. */
        while (n_spared < 2) {
                n_spared = one_round(c, ++n) ? 0 : n_spared + 1;
                if (n > 5000)
                        fail_msg("no end after %ld allocations", n);
        }
        print_message("%ld allocations, each failed once\n", n - 2);
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

static void memory__batches(struct conf *c)
{
        sweep(c, in_batches);
}

static void memory__pool_is_as_good_as_before(struct conf *c)
{
        sweep(c, with_a_pool);
}

static void memory__bulk_load(struct conf *c)
{
        sweep(c, by_a_load);
}

static void memory__lost_commit_is_still_resolved(struct conf *c)
{
        if (!c->server)
                return; /* only the fake one loses answers on demand */
        sweep(c, over_a_lost_commit);
}

/* A server that knows no tables has its own test of this; where DDL is no transaction, halves are the rule. */
static void memory__schema_is_applied_whole_or_not_at_all(struct conf *c)
{
        char command[128];

        if (c->server || !conf_has_cap(c, DAL_CAP_TX_DDL))
                return;
        make_schema(c);
        sweep(c, by_a_schema);
        snprintf(command, sizeof command, "rm -r '%s'", schema_dir);
        assert_int_equal(system(command), 0);
}

int main(int argc, char **argv)
{
        static const struct conf_case cases[] = {
                CONF_CASE(memory__connection),
                CONF_CASE(memory__cluster),
                CONF_CASE(memory__batches),
                CONF_CASE(memory__pool_is_as_good_as_before),
                CONF_CASE(memory__bulk_load),
                CONF_CASE(memory__lost_commit_is_still_resolved),
                CONF_CASE(memory__schema_is_applied_whole_or_not_at_all),
                {NULL, NULL},
        };
        static const struct conf_case *const topics[] = {cases, NULL};

        return conf_main(argc, argv, "fault_memory ENGINE [FILTER]", topics);
}
