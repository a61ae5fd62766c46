/* SPDX-License-Identifier: MIT */
/* From open to close, in this thread and in another: the process is afterwards what it was before. */

#define _GNU_SOURCE /* mallinfo2() */
#include "manners.h"

#include <dirent.h>
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "../fault/fault.h"

/* --- A service's day ----------------------------------------------------------------------------------- */

#define STEP(call)                                                                                           \
        do {                                                                                                 \
                if ((call) != DAL_OK) {                                                                      \
                        u->step = #call;                                                                     \
                        return;                                                                              \
                }                                                                                            \
        } while (0)
#define STEP_FAILS(call, wanted)                                                                             \
        do {                                                                                                 \
                if ((call) != (wanted)) {                                                                    \
                        u->step = #call " should be " #wanted;                                               \
                        return;                                                                              \
                }                                                                                            \
        } while (0)

void url_with_tls(struct conf *c, char *out, size_t size)
{
        if (c->q->has_port)
                conf_url_with(out, size, c->url, "sslmode", "require");
        else
                snprintf(out, size, "%s", c->url);
}

static dal_status open_url(struct conf *c, const char *url, dal_conn **out, dal_error *err)
{
        dal_conn_options options = DAL_CONN_OPTIONS_INIT;
        dal_dsn *dsn = NULL;
        dal_status s = dal_dsn_parse(url, &dsn, err);

        options.service = "manners";
        options.lock_timeout_ms = 5000;
        *out = NULL;
        if (s == DAL_OK)
                s = dal_conn_open(c->driver, dsn, &options, SOON, out, err);
        dal_dsn_free(dsn);
        return s;
}

/*
 * An engine within the process keeps a closed descriptor while another connection of the process holds a lock on the
 * file. Source: SQLite, os_unix.c, "Posix Advisory Locking"
 */
void be_alone(struct conf *c)
{
        if (!(c->driver->caps & DAL_CAP_EMBEDDED))
                return;
        dal_conn_close(c->conn);
        c->conn = NULL;
}

dal_status use_briefly(struct conf *c, const char *url, dal_error *err)
{
        dal_conn *conn = NULL;
        dal_status s = open_url(c, url, &conn, err);

        if (s == DAL_OK)
                s = dal_conn_script(conn, "SELECT 1", SOON, err);
        dal_conn_close(conn);
        return s;
}

static void use_connection(struct use *u, dal_conn *conn)
{
        dal_rows *rows = NULL;
        bool found;

        STEP(dal_conn_ping(conn, SOON, &u->err));
        STEP(dal_conn_script(conn, "DROP TABLE IF EXISTS conf_never_made", SOON, &u->err)); /* a NOTICE */
        STEP(dal_conn_begin(conn, DAL_ISOLATION_DEFAULT, false, SOON, &u->err));
        STEP(dal_conn_exec(conn, &conf_add_account, DAL_PARAMS(dal_int64(9001), dal_int64(1)), SOON, NULL,
                           &u->err));
        STEP(dal_conn_rollback(conn, SOON, &u->err));
        STEP(dal_conn_query(conn, &conf_stream, DAL_PARAMS(dal_int64(50000)), SOON, &rows, &u->err));
        STEP(dal_rows_next(rows, &found, &u->err));
        dal_rows_close(rows);
        STEP(dal_conn_query(conn, &conf_numbers, DAL_PARAMS(dal_int64(100)), SOON, &rows, &u->err));
        do
                STEP(dal_rows_next(rows, &found, &u->err));
        while (found);
        dal_rows_close(rows);
        if (!u->c->server && dal_conn_exec_dynamic(conn, "SELECT nonsense FROM nowhere", DAL_NO_PARAMS, SOON,
                                                   NULL, NULL) == DAL_OK)
                u->step = "nonsense is accepted";
        if (u->c->driver->cancel)
                STEP(dal_conn_cancel(conn, SOON, &u->err));
}

static void use_deadline(struct use *u, dal_conn *conn)
{
        if (u->c->server)
                return; /* the fake server is told to hang by a fault of the case */
        STEP_FAILS(dal_conn_exec(conn, &conf_sleep, DAL_NO_PARAMS, dal_clock_after_ms(150), NULL, &u->err),
                   DAL_ERR_TIMEOUT);
}

static dal_status count_in_tx(dal_tx *tx, void *arg, dal_error *err)
{
        (void)arg;
        return dal_tx_exec(tx, &conf_count_accounts, DAL_NO_PARAMS, NULL, err);
}

static void use_cluster(struct use *u)
{
        const dal_driver *drivers[1] = {u->c->driver};
        dal_cluster *cluster = NULL;

        STEP(dal_cluster_open(u->url, drivers, 1, NULL, &cluster, &u->err));
        STEP(dal_cluster_run(cluster, dal_key_int64(1), NULL, count_in_tx, NULL, &u->err));
        STEP(dal_cluster_exec(cluster, dal_key_int64(1), &conf_remove_account, DAL_PARAMS(dal_int64(9001)),
                              NULL, &u->err));
        STEP(dal_cluster_close(cluster, 5000, &u->err));
}

/* The server ends the session in the middle of its life. */
static void use_killed(struct use *u)
{
        dal_conn *conn = NULL;

        if (!u->c->q->has_port)
                return;
        STEP(open_url(u->c, u->url, &conn, &u->err));
        fault_kill(u->c, dal_conn_info(conn)->session_id);
        if (dal_conn_exec(conn, &conf_remove_account, DAL_PARAMS(dal_int64(1)), SOON, NULL, NULL) == DAL_OK)
                u->step = "a killed session answers";
        dal_conn_close(conn);
}

void use_everything(struct use *u)
{
        dal_conn *conn = NULL;

        u->step = NULL;
        STEP(open_url(u->c, u->url, &conn, &u->err));
        use_connection(u, conn);
        if (!u->step)
                use_deadline(u, conn);
        dal_conn_close(conn);
        if (!u->step)
                use_cluster(u);
        if (!u->step)
                use_killed(u);
}

void use_check(struct use *u)
{
        if (u->step)
                fail_msg("%s: %s", u->step, u->err.message);
}

static void *use_in_thread(void *arg)
{
        struct use *u = arg;
        struct snapshot *before = snapshot_take();
        const char *what;

        use_everything(u);
        what = snapshot_compare(before);
        if (what && !u->step) {
                u->step = "in a second thread";
                snprintf(u->err.message, sizeof u->err.message, "%s has changed", what);
        }
        return NULL;
}

/* --- Cases --------------------------------------------------------------------------------------------- */

static void manners__using_it_changes_nothing_in_the_process(struct conf *c)
{
        struct use u = {.c = c, .url = c->url};
        struct snapshot *before;

        be_alone(c);
        before = snapshot_take();
        use_everything(&u);
        use_check(&u);
        snapshot_check(before);
}

static void manners__using_it_encrypted_changes_nothing_either(struct conf *c)
{
        char url[1200];
        struct use u = {.c = c, .url = url};
        struct snapshot *before;

        url_with_tls(c, url, sizeof url);
        be_alone(c);
        before = snapshot_take();
        use_everything(&u);
        use_check(&u);
        snapshot_check(before);
}

static void manners__using_it_in_a_thread_that_ends_changes_nothing(struct conf *c)
{
        char url[1200];
        struct use u[2] = {{.c = c, .url = c->url}, {.c = c, .url = url}};
        struct snapshot *before;
        pthread_t thread;

        be_alone(c);
        before = snapshot_take();
        url_with_tls(c, url, sizeof url);
        for (int i = 0; i < 2; i++) {
                assert_int_equal(pthread_create(&thread, NULL, use_in_thread, &u[i]), 0);
                pthread_join(thread, NULL);
                use_check(&u[i]);
        }
        snapshot_check(before);
}

/* Refused and failed connects must clean up after themselves, too. */
static void manners__a_connect_that_fails_leaves_nothing(struct conf *c)
{
        char url[1200];
        struct snapshot *before;

        be_alone(c);
        before = snapshot_take();
        if (!c->q->has_port)
                snprintf(url, sizeof url, "%s",
                         c->server ? "fake:nothing" : "sqlite:/no/such/folder/file.db");
        else
                conf_url_with(url, sizeof url, c->url, "port", "1");
        for (int i = 0; i < 3; i++)
                assert_int_not_equal(use_briefly(c, url, &c->err), DAL_OK);
        if (c->q->has_login) {
                url_with_tls(c, url, sizeof url);
                strncat(url, "&password=wrong-9431-secret", sizeof url - strlen(url) - 1);
                FAILS(use_briefly(c, url, &c->err), AUTH);
        }
        snapshot_check(before);
}

/* Bytes of memory in use. */
static size_t memory_in_use(void)
{
        return mallinfo2().uordblks;
}

static void *open_and_close(void *arg)
{
        struct use *u = arg;

        if (use_briefly(u->c, u->url, &u->err) != DAL_OK)
                u->step = "a short use";
        return NULL;
}

static void run_threads(struct use *u, int n)
{
        for (int i = 0; i < n; i++) {
                pthread_t thread;

                assert_int_equal(pthread_create(&thread, NULL, open_and_close, u), 0);
                pthread_join(thread, NULL);
                use_check(u);
        }
}

/* A leak of each thread would add up; what the allocator itself keeps does not. */
static void manners__threads_that_end_leave_no_memory(struct conf *c)
{
        enum {
                N = 100
        };
        struct use u = {.c = c, .url = c->url};
        size_t before, after;

        if (c->server)
                return; /* it is in this process and keeps a journal */
        be_alone(c);
        run_threads(&u, 10);
        before = memory_in_use();
        run_threads(&u, N);
        after = memory_in_use();
        /* A thread's data of the MySQL client has some 150 bytes: with 64 a thread something leaks. */
        if (after > before + N * 64)
                fail_msg("%zu bytes more are in use after %d threads", after - before, N);
}

/* --- Output -------------------------------------------------------------------------------------------- */

struct capture {
        int saved[2];
        FILE *file;
};

static void capture_begin(struct capture *capture)
{
        fflush(stdout);
        fflush(stderr);
        capture->file = tmpfile();
        assert_non_null(capture->file);
        for (int i = 0; i < 2; i++) {
                capture->saved[i] = dup(1 + i);
                dup2(fileno(capture->file), 1 + i);
        }
}

static off_t capture_end(struct capture *capture)
{
        off_t size;

        fflush(stdout);
        fflush(stderr);
        for (int i = 0; i < 2; i++) {
                dup2(capture->saved[i], 1 + i);
                close(capture->saved[i]);
        }
        size = lseek(fileno(capture->file), 0, SEEK_END);
        fclose(capture->file);
        return size;
}

/* Neither notices of the server nor failures; the test of the test: what is printed is noticed. */
static void manners__nothing_is_printed(struct conf *c)
{
        char url[1200];
        struct use u = {.c = c, .url = url};
        struct capture capture;
        off_t size;

        capture_begin(&capture);
        fprintf(stderr, "seen\n");
        assert_int_equal(capture_end(&capture), 5);
        url_with_tls(c, url, sizeof url);
        capture_begin(&capture);
        use_everything(&u);
        size = capture_end(&capture);
        use_check(&u);
        assert_int_equal(size, 0);
}

/* --- Threads of the library's own ------------------------------------------------------------------------ */

/* The mask of blocked signals of one task of this process, once it sleeps. Source: proc(5), State and SigBlk */
static uint64_t blocked_by(const char *task)
{
        dal_deadline end = dal_clock_after_ms(5000);
        char path[300], line[256], state = 'R';
        unsigned long long mask = UINT64_MAX; /* a thread that has just ended takes none */

        snprintf(path, sizeof path, "/proc/self/task/%s/status", task);
        /* A thread is begun with every signal blocked, by the C library, and gets its own mask when it first runs. */
        while (state == 'R' && !dal_clock_passed(end)) {
                FILE *file = fopen(path, "r");

                state = 'Z';
                while (file && fgets(line, sizeof line, file)) {
                        sscanf(line, "State: %c", &state);
                        sscanf(line, "SigBlk: %llx", &mask);
                }
                if (file)
                        fclose(file);
                conf_sleep_ms(5);
        }
        return mask;
}

/* A signal meant for the application must find the application's threads. */
static void manners__its_own_threads_take_no_signals(struct conf *c)
{
        static const int signals[] = {SIGTERM, SIGINT, SIGHUP, SIGALRM, SIGCHLD, SIGUSR1, SIGPIPE};
        dal_cluster_options options = DAL_CLUSTER_OPTIONS_INIT;
        dal_cluster *cluster;
        struct dirent *entry;
        int n_threads = 0;
        DIR *folder;

        options.pool.min_idle = 2;
        cluster = conf_cluster(c, &options);
        OK(dal_cluster_run(cluster, dal_key_int64(1), NULL, count_in_tx, NULL, &c->err));
        folder = opendir("/proc/self/task");
        assert_non_null(folder);
        while ((entry = readdir(folder))) {
                uint64_t mask;

                if (entry->d_name[0] == '.' || atoi(entry->d_name) == getpid())
                        continue;
                n_threads++;
                mask = blocked_by(entry->d_name);
                for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++)
                        assert_true(mask >> (signals[i] - 1) & 1);
        }
        closedir(folder);
        assert_true(n_threads >= 1); /* the pool's housekeeper */
        conf_cluster_end(c, cluster);
}

/* A pool of one service ends while another's lives on: whatever they share must not go with it. */
static void manners__closing_one_cluster_leaves_the_other(struct conf *c)
{
        dal_cluster *one = conf_cluster(c, NULL), *two = conf_cluster(c, NULL);

        OK(dal_cluster_run(one, dal_key_int64(1), NULL, count_in_tx, NULL, &c->err));
        OK(dal_cluster_run(two, dal_key_int64(1), NULL, count_in_tx, NULL, &c->err));
        conf_cluster_end(c, one);
        OK(dal_cluster_run(two, dal_key_int64(1), NULL, count_in_tx, NULL, &c->err));
        OK(use_briefly(c, c->url, &c->err));
        conf_cluster_end(c, two);
}

const struct conf_case life_manners[] = {
        CONF_CASE(manners__using_it_changes_nothing_in_the_process),
        CONF_CASE(manners__using_it_encrypted_changes_nothing_either),
        CONF_CASE(manners__using_it_in_a_thread_that_ends_changes_nothing),
        CONF_CASE(manners__a_connect_that_fails_leaves_nothing),
        CONF_CASE(manners__threads_that_end_leave_no_memory),
        CONF_CASE(manners__nothing_is_printed),
        CONF_CASE(manners__its_own_threads_take_no_signals),
        CONF_CASE(manners__closing_one_cluster_leaves_the_other),
        {NULL, NULL},
};
