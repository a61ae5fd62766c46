/* SPDX-License-Identifier: MIT */
/* SIGPIPE ends a program that does not know of it: no write of the library to a dead peer may raise it. */

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "manners.h"

/* A handler that counts stands for the default, which would end this program, too. */
static atomic_int n_sigpipes;

static void count_sigpipe(int number)
{
        (void)number;
        atomic_fetch_add(&n_sigpipes, 1);
}

/* One way to write: `prepare` while the server is there, `write` when it is gone. */
struct write_path {
        const char *name;
        void (*prepare)(struct conf *c, dal_conn *conn);
        void (*write)(struct conf *c, dal_conn *conn);
};

static void nothing(struct conf *c, dal_conn *conn)
{
        (void)c;
        (void)conn;
}

static dal_status exec_known(struct conf *c, dal_conn *conn)
{
        return dal_conn_exec(conn, &conf_remove_account, DAL_PARAMS(dal_int64(1)), SOON, NULL, &c->err);
}

static void know(struct conf *c, dal_conn *conn)
{
        OK(exec_known(c, conn));
}

static void begin(struct conf *c, dal_conn *conn)
{
        OK(dal_conn_begin(conn, DAL_ISOLATION_DEFAULT, false, SOON, &c->err));
        OK(exec_known(c, conn));
}

static void start_stream(struct conf *c, dal_conn *conn)
{
        dal_rows *rows = NULL;
        bool found;

        OK(dal_conn_query(conn, &conf_stream, DAL_PARAMS(dal_int64(100000)), SOON, &rows, &c->err));
        OK(dal_rows_next(rows, &found, &c->err));
}

static void write_known(struct conf *c, dal_conn *conn)
{
        assert_int_not_equal(exec_known(c, conn), DAL_OK);
        assert_true(c->err.conn_gone);
        assert_int_not_equal(exec_known(c, conn), DAL_OK);
}

static void write_new(struct conf *c, dal_conn *conn)
{
        int64_t n;

        assert_int_not_equal(dal_conn_exec(conn, &conf_add_balance, DAL_PARAMS(dal_int64(1), dal_int64(1)),
                                           SOON, &n, &c->err),
                             DAL_OK);
        assert_true(c->err.conn_gone);
}

static void write_dynamic(struct conf *c, dal_conn *conn)
{
        assert_int_not_equal(dal_conn_exec_dynamic(conn, "SELECT 1", DAL_NO_PARAMS, SOON, NULL, &c->err),
                             DAL_OK);
}

static void write_script(struct conf *c, dal_conn *conn)
{
        assert_int_not_equal(dal_conn_script(conn, "SELECT 1", SOON, &c->err), DAL_OK);
}

static void write_ping(struct conf *c, dal_conn *conn)
{
        assert_int_not_equal(dal_conn_ping(conn, SOON, &c->err), DAL_OK);
}

static void write_begin(struct conf *c, dal_conn *conn)
{
        dal_status s = dal_conn_begin(conn, DAL_ISOLATION_SERIALIZABLE, true, SOON, &c->err);

        if (s == DAL_OK)
                s = exec_known(c, conn);
        assert_int_not_equal(s, DAL_OK);
}

static void write_commit(struct conf *c, dal_conn *conn)
{
        FAILS(dal_conn_commit(conn, SOON, &c->err), COMMIT_UNKNOWN);
}

static void write_rollback(struct conf *c, dal_conn *conn)
{
        (void)c;
        dal_conn_rollback(conn, SOON, NULL); /* done by the server, or a lost connection: both end it */
}

/* Larger than any socket buffer, so that it takes several writes. */
static void write_much(struct conf *c, dal_conn *conn)
{
        static const dal_stmt put = DAL_STMT("put_much", "INSERT INTO conf_value (id, y) VALUES (?, ?)");
        enum {
                SIZE = 8 * 1024 * 1024
        };
        unsigned char *bytes = calloc(1, SIZE);

        assert_non_null(bytes);
        assert_int_not_equal(dal_conn_exec(conn, &put, DAL_PARAMS(dal_int64(1), dal_bytes(bytes, SIZE)), SOON,
                                           NULL, &c->err),
                             DAL_OK);
        free(bytes);
}

/* To another thread's eye: the request travels over a connection of its own. */
static void write_cancel(struct conf *c, dal_conn *conn)
{
        /* Told to a server that has no such session any more, or refused. */
        if (dal_conn_cancel(conn, dal_clock_after_ms(2000), &c->err) != DAL_OK)
                assert_true(c->err.message[0]);
}

/* The commands of a stream's early end are written by the next call, too. */
static void write_behind_stream(struct conf *c, dal_conn *conn)
{
        (void)exec_known(c, conn); /* the rows are open: refused; close, below, ends them */
}

static const struct write_path paths[] = {
        {"a known statement", know, write_known},
        {"a new statement", nothing, write_new},
        {"a dynamic statement", nothing, write_dynamic},
        {"a script", nothing, write_script},
        {"a ping", nothing, write_ping},
        {"BEGIN", know, write_begin},
        {"COMMIT", begin, write_commit},
        {"ROLLBACK", begin, write_rollback},
        {"eight mebibytes", nothing, write_much},
        {"a cancel", nothing, write_cancel},
        {"the end of a stream", start_stream, write_behind_stream},
        {"the goodbye", know, nothing},
};

static dal_conn *open_through(struct conf *c, const char *url)
{
        dal_dsn *dsn = NULL;
        dal_conn *conn = NULL;

        OK(dal_dsn_parse(url, &dsn, &c->err));
        OK(dal_conn_open(c->driver, dsn, NULL, SOON, &conn, &c->err));
        dal_dsn_free(dsn);
        return conn;
}

/* Every path, plain and encrypted; `check` looks at the thread's signals after each. */
static void play_all(struct conf *c, void (*check)(const char *path))
{
        char through[1200], url[1300];
        struct conf_proxy *proxy = conf_proxy_new(c, through, sizeof through);

        for (int tls = 0; tls < 2; tls++) {
                conf_url_with(url, sizeof url, through, "sslmode", tls ? "require" : "off");
                for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
                        dal_conn *conn = open_through(c, url);

                        assert_int_equal(dal_conn_info(conn)->tls, tls);
                        paths[i].prepare(c, conn);
                        conf_proxy_cut(proxy);
                        paths[i].write(c, conn);
                        dal_conn_close(conn);
                        check(paths[i].name);
                }
        }
        conf_proxy_free(proxy);
}

static bool sigpipe_is(int (*get)(sigset_t *))
{
        sigset_t set;

        sigemptyset(&set);
        get(&set);
        return sigismember(&set, SIGPIPE) == 1;
}

static int get_mask(sigset_t *set)
{
        return pthread_sigmask(SIG_SETMASK, NULL, set);
}

static void check_unblocked(const char *path)
{
        if (atomic_load(&n_sigpipes))
                fail_msg("%s raised SIGPIPE", path);
        if (sigpipe_is(get_mask) || sigpipe_is(sigpending))
                fail_msg("%s left SIGPIPE blocked or pending", path);
}

static void block_sigpipe(int how)
{
        sigset_t set;

        sigemptyset(&set);
        sigaddset(&set, SIGPIPE);
        pthread_sigmask(how, &set, NULL);
}

/* The trap is a real one: a plain write to what the proxy has cut ends a process. */
static void sigpipe__a_plain_write_to_a_cut_connection_kills(struct conf *c)
{
        char url[1200];
        struct conf_proxy *proxy;
        struct sockaddr_in to = {.sin_family = AF_INET};
        struct pollfd cut = {-1, 0, 0};
        dal_dsn *dsn = NULL;
        int fd, status = 0;
        pid_t child;

        if (!c->q->has_port)
                return;
        proxy = conf_proxy_new(c, url, sizeof url);
        OK(dal_dsn_parse(url, &dsn, &c->err));
        to.sin_port = htons(dal_dsn_port(dsn));
        to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        fd = socket(AF_INET, SOCK_STREAM, 0);
        assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
        while (conf_proxy_accepted(proxy) == 0)
                conf_sleep_ms(1);
        conf_proxy_cut(proxy);
        cut.fd = fd;
        assert_int_equal(poll(&cut, 1, 5000), 1); /* until it has arrived: a write before that succeeds */
        child = fork();
        if (child == 0) {
                signal(SIGPIPE, SIG_DFL);
                _exit(write(fd, "x", 1) == 1 ? 1 : 2);
        }
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status));
        assert_int_equal(WTERMSIG(status), SIGPIPE);
        close(fd);
        dal_dsn_free(dsn);
        conf_proxy_free(proxy);
}

static void sigpipe__no_write_to_a_dead_peer_raises_it(struct conf *c)
{
        struct sigaction counting, before;

        if (!c->q->has_port)
                return; /* no peer */
        memset(&counting, 0, sizeof counting);
        counting.sa_handler = count_sigpipe;
        assert_int_equal(sigaction(SIGPIPE, &counting, &before), 0);
        atomic_store(&n_sigpipes, 0);
        play_all(c, check_unblocked);
        assert_int_equal(sigaction(SIGPIPE, &before, NULL), 0);
}

static void check_blocked(const char *path)
{
        if (!sigpipe_is(get_mask))
                fail_msg("%s unblocked SIGPIPE", path);
        if (sigpipe_is(sigpending))
                fail_msg("%s left a SIGPIPE of ours for the application", path);
}

static void sigpipe__an_application_that_blocks_it_finds_none_of_ours(struct conf *c)
{
        if (!c->q->has_port)
                return;
        block_sigpipe(SIG_BLOCK);
        play_all(c, check_blocked);
        block_sigpipe(SIG_UNBLOCK);
}

static void check_pending(const char *path)
{
        if (!sigpipe_is(get_mask) || !sigpipe_is(sigpending))
                fail_msg("%s took a SIGPIPE that was the application's", path);
}

static void sigpipe__one_that_was_pending_stays_pending(struct conf *c)
{
        static const struct timespec at_once = {0, 0};
        sigset_t set;

        if (!c->q->has_port)
                return;
        block_sigpipe(SIG_BLOCK);
        pthread_kill(pthread_self(), SIGPIPE);
        play_all(c, check_pending);
        sigemptyset(&set);
        sigaddset(&set, SIGPIPE);
        assert_int_equal(sigtimedwait(&set, NULL, &at_once), SIGPIPE);
        block_sigpipe(SIG_UNBLOCK);
}

const struct conf_case sigpipe_manners[] = {
        CONF_CASE(sigpipe__a_plain_write_to_a_cut_connection_kills),
        CONF_CASE(sigpipe__no_write_to_a_dead_peer_raises_it),
        CONF_CASE(sigpipe__an_application_that_blocks_it_finds_none_of_ours),
        CONF_CASE(sigpipe__one_that_was_pending_stays_pending),
        {NULL, NULL},
};
