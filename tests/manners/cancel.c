/* SPDX-License-Identifier: MIT */
/* A request to stop a statement travels over a connection of its own: what can somebody on the way read of it? */

#include <pthread.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "manners.h"

#ifdef MANNERS_POSTGRES
#include <libpq-fe.h>
#endif

/* How a cancel looks on the wire, in the clear. */
struct cancel_form {
        const char *driver;
        const char *bytes;
        size_t size;
        bool in_the_clear; /* also where the session is encrypted */
        bool by_thread;    /* which goes on when the caller's time is up */
};

static const struct cancel_form forms[] = {
#ifdef MANNERS_POSTGRES
        /* Source: PostgreSQL manual 55.7, CancelRequest: Int32(16), Int32(80877102) */
        {"postgres", "\0\0\0\x10\x04\xd2\x16\x2e", 8,
#ifdef LIBPQ_HAS_ASYNC_CANCEL
         false, false},
#else
         true,
         false}, /* Source: manual of libpq 15, PQcancel(): "not encrypted"; the key stops one statement, no more */
#endif
#endif
#ifdef MANNERS_MYSQL
        {"mysql", "KILL QUERY ", 11, false, true},
#endif
};

static const struct cancel_form *find_form(struct conf *c)
{
        for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
                if (strcmp(forms[i].driver, c->driver->name) == 0)
                        return &forms[i];
        }
        return NULL;
}

struct sleeper {
        dal_conn *conn;
        dal_status status;
        dal_error err;
};

static void *sleep_long(void *arg)
{
        struct sleeper *s = arg;

        s->status = dal_conn_exec(s->conn, &conf_sleep, DAL_NO_PARAMS, SOON, NULL, &s->err);
        return NULL;
}

/* As in the conformance suite: a cancel that comes before the statement would strike nobody. */
static void cancel_sleeper(struct conf *c, struct sleeper *s)
{
        pthread_t thread;

        assert_int_equal(pthread_create(&thread, NULL, sleep_long, s), 0);
        conf_sleep_ms(300);
        OK(dal_conn_cancel(s->conn, SOON, &c->err));
        pthread_join(thread, NULL);
        c->err = s->err;
        FAILS(s->status, CANCELED);
}

static void cancel__is_encrypted_like_the_session(struct conf *c)
{
        static const char *const modes[] = {"off", "require"};
        const struct cancel_form *form = find_form(c);
        char through[1200], url[1300];

        if (!form)
                return; /* nothing travels */
        for (int tls = 0; tls < 2; tls++) {
                struct conf_proxy *proxy = conf_proxy_new(c, through, sizeof through);
                struct sleeper s = {.status = DAL_OK};
                dal_dsn *dsn = NULL;

                conf_url_with(url, sizeof url, through, "sslmode", modes[tls]);
                OK(dal_dsn_parse(url, &dsn, &c->err));
                OK(dal_conn_open(c->driver, dsn, NULL, SOON, &s.conn, &c->err));
                dal_dsn_free(dsn);
                cancel_sleeper(c, &s);
                assert_int_equal(conf_proxy_accepted(proxy), 2);
                assert_int_equal(conf_proxy_heard(proxy, form->bytes, form->size),
                                 !tls || form->in_the_clear ? 1 : 0);
                dal_conn_close(s.conn);
                conf_proxy_free(proxy);
        }
}

static void tell(int fd)
{
        assert_int_equal(write(fd, "", 1), 1);
}

static void hear(int fd)
{
        char byte;

        assert_int_equal(read(fd, &byte, 1), 1);
}

/* The life of the child: its deadline passes, it closes what it has, and main() returns. */
static int give_up(struct conf *c, const char *url, int in, int out)
{
        dal_conn *conn = NULL;
        dal_dsn *dsn = NULL;
        dal_status s = dal_dsn_parse(url, &dsn, &c->err);

        if (s == DAL_OK)
                s = dal_conn_open(c->driver, dsn, NULL, SOON, &conn, &c->err);
        dal_dsn_free(dsn);
        if (s)
                return 1;
        tell(out);
        hear(in);
        s = dal_conn_exec(conn, &conf_sleep, DAL_NO_PARAMS, dal_clock_after_ms(200), NULL, &c->err);
        dal_conn_close(conn);
        tell(out);
        return s == DAL_ERR_TIMEOUT ? 0 : 2;
}

/* Else what was given up would run on and keep its locks; and a thread would use what the end of a process takes down. */
static void cancel__under_way_is_not_cut_off_by_the_end_of_the_process(struct conf *c)
{
        const struct cancel_form *form = find_form(c);
        int down[2], up[2], status = 0;
        struct conf_proxy *proxy;
        char url[1200];
        pid_t pid;

        if (!form || !form->by_thread)
                return;
        proxy = conf_proxy_new(c, url, sizeof url);
        assert_int_equal(pipe(down), 0);
        assert_int_equal(pipe(up), 0);
        fflush(stdout);
        fflush(stderr);
        pid = fork();
        if (pid == 0)
                exit(give_up(c, url, down[0], up[1]));
        assert_true(pid > 0);
        close(up[1]);
        hear(up[0]);
        conf_proxy_keep_answers(proxy, true);
        tell(down[1]);
        hear(up[0]);
        conf_proxy_keep_answers(proxy, false);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 0);
        assert_int_equal(conf_proxy_heard(proxy, form->bytes, form->size), 1);
        close(up[0]);
        close(down[0]);
        close(down[1]);
        conf_proxy_free(proxy);
}

const struct conf_case cancel_manners[] = {
        CONF_CASE(cancel__is_encrypted_like_the_session),
        CONF_CASE(cancel__under_way_is_not_cut_off_by_the_end_of_the_process),
        {NULL, NULL},
};
