/* SPDX-License-Identifier: MIT */
/* The frame: a place of its own for each run, a connection for each case. */

#include "conf.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

/* --- The place ----------------------------------------------------------------------------------------- */

void conf_url_with(char *out, size_t size, const char *url, const char *key, const char *value)
{
        int n = snprintf(out, size, "%s%c%s=%s", url, strchr(url, '?') ? '&' : '?', key, value);

        assert_true(n > 0 && (size_t)n < size);
}

static bool complain(struct conf *c, const char *what)
{
        fprintf(stderr, "%s: %s: %s\n", c->q->name, what, c->err.message);
        return false;
}

/* Runs one script on a connection of its own to a URL. */
static bool script(struct conf *c, const char *url, const char *sql)
{
        dal_dsn *dsn = NULL;
        dal_conn *conn = NULL;
        dal_status s = dal_dsn_parse(url, &dsn, &c->err);

        if (s == DAL_OK)
                s = dal_conn_open(c->driver, dsn, NULL, SOON, &conn, &c->err);
        if (s == DAL_OK)
                s = dal_conn_script(conn, sql, SOON, &c->err);
        dal_conn_close(conn);
        dal_dsn_free(dsn);
        return s == DAL_OK || complain(c, sql);
}

/* A database rather than a schema: the mode for poolers has no session that could keep a search_path. */
static bool place_on_server(struct conf *c)
{
        bool is_postgres = c->q->dialect == DAL_DIALECT_postgres;
        char sql[160];

        snprintf(c->place, sizeof c->place, "conf_%s_%ld", c->q->name, (long)getpid());
        snprintf(sql, sizeof sql, "CREATE DATABASE %s%s", c->place,
                 is_postgres ? "" : " CHARACTER SET utf8mb4");
        if (!script(c, c->admin_url, sql)) {
                c->place[0] = '\0';
                return false;
        }
        conf_url_with(c->url, sizeof c->url, c->server_url, "dbname", c->place);
        return true;
}

/* A pooler keeps connections to it. */
static bool drop_place(struct conf *c)
{
        bool is_postgres = c->q->dialect == DAL_DIALECT_postgres;
        char sql[160];

        snprintf(sql, sizeof sql, "DROP DATABASE %s%s", c->place, is_postgres ? " WITH (FORCE)" : "");
        return script(c, c->admin_url, sql);
}

static bool place_in_file(struct conf *c)
{
        const char *tmp = getenv("TMPDIR");

        snprintf(c->dir, sizeof c->dir, "%s/dal-conf-XXXXXX", tmp && strlen(tmp) < 80 ? tmp : "/tmp");
        if (!mkdtemp(c->dir)) {
                fprintf(stderr, "%s: can't make a temporary directory: %s\n", c->dir, strerror(errno));
                return false;
        }
        snprintf(c->url, sizeof c->url, "sqlite:%s/conf.db", c->dir);
        return true;
}

static bool place_in_memory(struct conf *c)
{
        dal_fake_server *server = dal_fake_new();
        char url[DAL_FAKE_URL_SIZE];

        if (!server || !conf_fake_answers(server))
                return false;
        if (c->driver->caps & DAL_CAP_TX_MODE)
                dal_fake_url_modal(server, url);
        else
                dal_fake_url(server, url);
        snprintf(c->url, sizeof c->url, "%s", url);
        c->server = server;
        return true;
}

/* The URL in a variable; NULL, and a word about it, when it is not set. */
static const char *url_of(const struct conf *c, const char *env)
{
        const char *url = getenv(env);

        if (url && url[0])
                return url;
        fprintf(stderr,
                "%s is not set: it names the %s server to test against.\n"
                "Start one and load its address with: tests/containers/servers up %s && . "
                "build/servers.env\n",
                env, c->q->name, c->q->name);
        return NULL;
}

static bool make_place(struct conf *c)
{
        const char *url, *admin_url;

        if (c->q->dialect == DAL_DIALECT_common)
                return place_in_memory(c);
        if (!c->q->env)
                return place_in_file(c);
        url = url_of(c, c->q->env);
        admin_url = c->q->admin_env ? url_of(c, c->q->admin_env) : url;
        if (!url || !admin_url)
                return false;
        conf_url_with(c->server_url, sizeof c->server_url, url, "statements", c->mode);
        snprintf(c->admin_url, sizeof c->admin_url, "%s", admin_url);
        return place_on_server(c);
}

/* Reads "ENGINE" or "ENGINE:MODE". Which modes there are, and which a driver has, is the library's to say. */
static bool choose_engine(struct conf *c, const char *name)
{
        size_t size = strcspn(name, ":");

        c->q = conf_find_quirks(name, size);
        if (!c->q) {
                fprintf(stderr, "unknown engine '%.*s'\n", (int)size, name);
                return false;
        }
        c->mode = name[size] ? name + size + 1 : c->q->mode ? c->q->mode : "prepared";
        if (name[size] && !c->q->env) {
                fprintf(stderr, "%s has no modes\n", c->q->name);
                return false;
        }
        return true;
}

static bool make_tables(struct conf *c)
{
        if (dal_dsn_parse(c->url, &c->dsn, &c->err) != DAL_OK)
                return complain(c, "the URL");
        for (const char *const *ddl = c->q->ddl; ddl && *ddl; ddl++) {
                if (!script(c, c->url, *ddl))
                        return false;
        }
        return true;
}

bool conf_begin(struct conf *c, const char *engine)
{
        memset(c, 0, sizeof *c);
        if (!choose_engine(c, engine))
                return false;
        c->driver = c->q->driver();
        if (!make_place(c))
                return false;
        if (make_tables(c))
                return true;
        conf_end(c);
        return false;
}

void conf_end(struct conf *c)
{
        char text[192];

        if (c->place[0])
                drop_place(c);
        if (c->dir[0]) {
                static const char *const files[] = {"conf.db", "conf.db-wal", "conf.db-shm",
                                                    "conf.db-journal"};
                for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
                        snprintf(text, sizeof text, "%s/%s", c->dir, files[i]);
                        unlink(text);
                }
                rmdir(c->dir);
        }
        dal_dsn_free(c->dsn);
        if (c->server && dal_fake_get_stats(c->server).n_live == 0)
                dal_fake_free(c->server);
}

/* --- Running ------------------------------------------------------------------------------------------- */

struct running {
        struct conf *c;
        const struct conf_case *one;
};

/* A new server for each case; one with sessions left over by a failed case is left alone. */
static bool fresh_server(struct conf *c)
{
        if (dal_fake_get_stats(c->server).n_live == 0)
                dal_fake_free(c->server);
        dal_dsn_free(c->dsn);
        c->dsn = NULL;
        return place_in_memory(c) && dal_dsn_parse(c->url, &c->dsn, &c->err) == DAL_OK;
}

static bool empty_tables(struct conf *c)
{
        static const char *const sql[] = {"DELETE FROM conf_item", "DELETE FROM conf_account",
                                          "DELETE FROM conf_value"};

        for (size_t i = 0; i < sizeof sql / sizeof sql[0]; i++) {
                if (dal_conn_script(c->conn, sql[i], SOON, &c->err) != DAL_OK)
                        return complain(c, sql[i]);
        }
        return true;
}

static int case_begin(void **state)
{
        struct running *r = *state;
        struct conf *c = r->c;
        dal_conn_options options = DAL_CONN_OPTIONS_INIT;

        options.service = "conformance";
        options.lock_timeout_ms = 10000;
        if (c->server && !fresh_server(c))
                return -1;
        if (dal_conn_open(c->driver, c->dsn, &options, SOON, &c->conn, &c->err) != DAL_OK) {
                complain(c, "connect");
                return -1;
        }
        return c->server || empty_tables(c) ? 0 : -1;
}

static int case_end(void **state)
{
        struct running *r = *state;

        dal_conn_close(r->c->conn);
        r->c->conn = NULL;
        return 0;
}

static void case_run(void **state)
{
        struct running *r = *state;

        memset(&r->c->err, 0, sizeof r->c->err);
        r->one->run(r->c);
}

int conf_run(struct conf *c, const char *suite, const struct conf_case *const *topics, const char *filter)
{
        enum {
                MAX_CASES = 512
        };
        static struct running running[MAX_CASES];
        static struct CMUnitTest tests[MAX_CASES];
        size_t n = 0;

        for (; *topics; topics++) {
                for (const struct conf_case *one = *topics; one->name; one++, n++) {
                        if (n == MAX_CASES) {
                                print_error("more than %d cases: raise MAX_CASES\n", (int)MAX_CASES);
                                return 1;
                        }
                        running[n] = (struct running){c, one};
                        tests[n] =
                                (struct CMUnitTest){one->name, case_run, case_begin, case_end, &running[n]};
                }
        }
        if (filter)
                cmocka_set_test_filter(filter);
        return _cmocka_run_group_tests(suite, tests, n, NULL, NULL);
}

/* --- What cases use ------------------------------------------------------------------------------------ */

void conf_ok(struct conf *c, dal_status s, const char *call, const char *file, int line)
{
        if (s == DAL_OK)
                return;
        print_error("%s\n    gave %s (%s, sqlstate '%s', code %d): %s\n", call, dal_error_status_name(s),
                    dal_error_class_name(c->err.error_class), c->err.sqlstate, (int)c->err.vendor_code,
                    c->err.message);
        _fail(file, line);
}

void conf_fails(struct conf *c, dal_status s, dal_error_class wanted, const char *call, const char *file,
                int line)
{
        if (s == dal_error_class_status(wanted) && c->err.error_class == wanted && c->err.status == s &&
            c->err.message[0] && !strchr(c->err.message, '\n'))
                return;
        print_error("%s\n    should fail with the class %s, but gave %s", call, dal_error_class_name(wanted),
                    dal_error_status_name(s));
        if (s != DAL_OK)
                print_error(" (%s, sqlstate '%s', code %d): %s", dal_error_class_name(c->err.error_class),
                            c->err.sqlstate, (int)c->err.vendor_code, c->err.message);
        print_error("\n");
        _fail(file, line);
}

dal_conn *conf_open(struct conf *c, const dal_conn_options *options)
{
        dal_conn *conn = NULL;

        OK(dal_conn_open(c->driver, c->dsn, options, SOON, &conn, &c->err));
        return conn;
}

dal_cluster *conf_cluster(struct conf *c, const dal_cluster_options *options)
{
        dal_cluster *cluster = NULL;
        const dal_driver *drivers[1] = {c->driver};

        OK(dal_cluster_open(c->url, drivers, 1, options, &cluster, &c->err));
        return cluster;
}

void conf_cluster_end(struct conf *c, dal_cluster *cluster)
{
        dal_shard_info info;

        /* A connection that had to be rolled back or closed may take a moment. */
        for (int i = 0; i < 100; i++) {
                OK(dal_cluster_shard_info(cluster, 0, &info, &c->err));
                if (info.pool.idle == info.pool.size)
                        break;
                conf_sleep_ms(20);
        }
        assert_int_equal(info.pool.leased, 0);
        assert_int_equal(info.pool.waiting, 0);
        assert_int_equal(info.pool.idle, info.pool.size);
        OK(dal_cluster_close(cluster, 5000, &c->err));
}

static void look_at_one(struct conf *c, dal_cluster *cluster, uint64_t *n_round_trips, uint64_t *session)
{
        dal_conn *conn = NULL;

        OK(dal_cluster_lease(cluster, 0, &conn, &c->err));
        *n_round_trips = dal_conn_get_stats(conn).n_round_trips;
        *session = dal_conn_info(conn)->session_id;
        dal_cluster_release(cluster, 0, conn);
}

uint64_t conf_round_trips(struct conf *c, dal_cluster *cluster)
{
        uint64_t n, session;

        look_at_one(c, cluster, &n, &session);
        return n;
}

uint64_t conf_session_of(struct conf *c, dal_cluster *cluster)
{
        uint64_t n, session;

        look_at_one(c, cluster, &n, &session);
        return session;
}

bool conf_saw_bytes(const dal_error *err)
{
        return err->vendor_code == 3854;
}

int64_t conf_number(struct conf *c, dal_conn *conn, const dal_stmt *stmt, dal_params params)
{
        dal_rows *rows = NULL;
        int64_t n = -1;

        OK(dal_conn_query(conn, stmt, params, SOON, &rows, &c->err));
        OK(dal_rows_first(rows, &c->err));
        OK(dal_rows_int64(rows, 0, &n, &c->err));
        dal_rows_close(rows);
        return n;
}

bool conf_has_cap(const struct conf *c, uint32_t cap)
{
        return (c->driver->caps & cap) != 0;
}

static const struct {
        const char *name;
        uint32_t cap;
} modes[] = {[DAL_STATEMENTS_DEFAULT] = {"", 0},
             [DAL_STATEMENTS_PREPARED] = {"prepared", 0},
             [DAL_STATEMENTS_UNNAMED] = {"unnamed", DAL_CAP_UNNAMED},
             [DAL_STATEMENTS_TEXT] = {"text", DAL_CAP_TEXT}};

dal_statements conf_statements(const struct conf *c)
{
        int i = DAL_STATEMENTS_PREPARED;

        while (i < DAL_STATEMENTS_TEXT && strcmp(modes[i].name, c->mode) != 0)
                i++;
        return (dal_statements)i;
}

bool conf_has_mode(const struct conf *c, dal_statements statements)
{
        if (c->q->mode)
                return strcmp(c->q->mode, modes[statements].name) == 0;
        return !modes[statements].cap || conf_has_cap(c, modes[statements].cap);
}

bool conf_is_mode(const struct conf *c, const char *mode)
{
        return strcmp(c->mode, mode) == 0;
}

uint64_t conf_n_prepared(const struct conf *c, uint64_t n)
{
        return conf_is_mode(c, "prepared") ? n : 0;
}

void conf_sleep_ms(uint32_t ms)
{
        struct timespec ts = {(time_t)(ms / 1000), (long)(ms % 1000) * 1000000};

        while (nanosleep(&ts, &ts) != 0 && errno == EINTR) {
        }
}

struct conf_meeting {
        pthread_mutex_t lock;
        pthread_cond_t came;
        unsigned n;
};

struct conf_meeting *conf_meeting_new(void)
{
        struct conf_meeting *m = calloc(1, sizeof *m);
        pthread_condattr_t attr;

        assert_non_null(m);
        pthread_mutex_init(&m->lock, NULL);
        pthread_condattr_init(&attr);
        pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
        pthread_cond_init(&m->came, &attr);
        pthread_condattr_destroy(&attr);
        return m;
}

void conf_meeting_free(struct conf_meeting *m)
{
        pthread_cond_destroy(&m->came);
        pthread_mutex_destroy(&m->lock);
        free(m);
}

bool conf_meet(struct conf_meeting *m, uint32_t timeout_ms)
{
        dal_deadline end = dal_clock_after_ms(timeout_ms);
        struct timespec ts = {(time_t)(end / 1000000000), (long)(end % 1000000000)};
        bool met;

        pthread_mutex_lock(&m->lock);
        m->n++;
        pthread_cond_broadcast(&m->came);
        while (m->n < 2 && pthread_cond_timedwait(&m->came, &m->lock, &ts) != ETIMEDOUT) {
        }
        met = m->n >= 2;
        pthread_mutex_unlock(&m->lock);
        return met;
}

int conf_main(int argc, char **argv, const char *usage, const struct conf_case *const *topics)
{
        static struct conf c;
        int n_failed;

        if (argc < 2 || argc > 3) {
                fprintf(stderr, "usage: %s\n", usage);
                return 64;
        }
        if (!conf_begin(&c, argv[1]))
                return 1;
        n_failed = conf_run(&c, argv[1], topics, argc > 2 ? argv[2] : NULL);
        conf_end(&c);
        return n_failed ? 1 : 0;
}
