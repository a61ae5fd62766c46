/* SPDX-License-Identifier: MIT */
/* A request to stop a statement travels over a connection of its own: what can somebody on the way read of it? */

#include <pthread.h>

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
};

static const struct cancel_form forms[] = {
#ifdef MANNERS_POSTGRES
        /* Source: PostgreSQL manual 55.7, CancelRequest: Int32(16), Int32(80877102) */
        {"postgres", "\0\0\0\x10\x04\xd2\x16\x2e", 8,
#ifdef LIBPQ_HAS_ASYNC_CANCEL
         false},
#else
         true}, /* Source: manual of libpq 15, PQcancel(): "not encrypted"; the key stops one statement, no more */
#endif
#endif
#ifdef MANNERS_MYSQL
        {"mysql", "KILL QUERY ", 11, false},
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

const struct conf_case cancel_manners[] = {
        CONF_CASE(cancel__is_encrypted_like_the_session),
        {NULL, NULL},
};
