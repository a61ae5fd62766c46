/* SPDX-License-Identifier: MIT */
/*
 * fault_secrets ENGINE: a password is in no error, whatever goes wrong with a connection, and in no block of memory that
 * the library gives back. The five functions of mem.h are defined here; they look at what is freed.
 */

#include <stdatomic.h>
#include <stdlib.h>

#include "fault.h"

#define SECRET "Hx7secretQ9"

/* ---- memory ---- */

#define HEAD 16 /* the size stands in front of each block */

static atomic_int n_unwiped; /* a name may be looked up, and its memory freed, by another thread */

static bool holds_secret(const void *block, size_t size)
{
        const char *bytes = block;

        for (size_t i = 0; size >= sizeof SECRET - 1 && i <= size - (sizeof SECRET - 1); i++)
                if (memcmp(bytes + i, SECRET, sizeof SECRET - 1) == 0)
                        return true;
        return false;
}

static size_t size_of(const void *block)
{
        size_t size;

        memcpy(&size, (const char *)block - HEAD, sizeof size);
        return size;
}

void *dal_mem_alloc(size_t size)
{
        char *block = calloc(1, size + HEAD);

        if (!block)
                return NULL;
        memcpy(block, &size, sizeof size);
        return block + HEAD;
}

void dal_mem_free(void *ptr)
{
        if (!ptr)
                return;
        n_unwiped += holds_secret(ptr, size_of(ptr));
        free((char *)ptr - HEAD);
}

void *dal_mem_resize(void *array, size_t n, size_t size)
{
        void *grown = dal_mem_alloc(n * size);
        size_t before = array ? size_of(array) : 0;

        if (!grown)
                return NULL;
        if (array)
                memcpy(grown, array, before < n * size ? before : n * size);
        dal_mem_free(array); /* what realloc() leaves behind when it moves a block */
        return grown;
}

char *dal_mem_strdup(const char *text, size_t size)
{
        char *copy = dal_mem_alloc(size + 1);

        if (copy && size)
                memcpy(copy, text, size);
        return copy;
}

void dal_mem_wipe(void *ptr, size_t size)
{
        volatile unsigned char *p = ptr;

        while (size--)
                *p++ = 0;
}

/* ---- what goes wrong ---- */

/* Keys put behind the URL, which then leads nowhere, or to a refusal. */
static const struct wrong {
        const char *keys[3][2];
        bool needs_port; /* only where there is a server to miss */
} wrongs[] = {
        {{{NULL, NULL}}, false},                                        /* the password itself is wrong */
        {{{"port", "1"}}, true},                                        /* nobody listens */
        {{{"host", "no-such-host.invalid"}, {"sslmode", "off"}}, true}, /* nobody knows it */
        {{{"sslmode", "verify-full"}, {"sslrootcert", "/no/such/ca"}}, true}, /* TLS can't begin */
        {{{"dbname", "no/such/database"}}, false},
        {{{"pasword", SECRET}}, false}, /* a slip of the pen: no such key */
};

static void check_error(const dal_error *err)
{
        if (holds_secret(err, sizeof *err))
                fail_msg("the error tells the password: %s", err->message);
        assert_true(err->message[0] != '\0');
}

static void fail_to_connect(struct conf *c, const struct wrong *w)
{
        dal_pool_options options = DAL_POOL_OPTIONS_INIT;
        char url[1024], longer[1024];
        dal_dsn *dsn = NULL;
        dal_pool *pool = NULL;
        dal_conn *conn = NULL;
        dal_error err = DAL_ERROR_INIT;
        dal_status s;

        conf_url_with(url, sizeof url, c->url, "password", SECRET);
        for (int i = 0; i < 3 && w->keys[i][0]; i++) {
                conf_url_with(longer, sizeof longer, url, w->keys[i][0], w->keys[i][1]);
                memcpy(url, longer, sizeof url);
        }
        s = dal_dsn_parse(url, &dsn, &err);
        if (s == DAL_OK) {
                assert_true(!strstr(dal_dsn_redacted(dsn), "password"));
                s = dal_conn_open(c->driver, dsn, NULL, dal_clock_after_ms(2000), &conn, &err);
        }
        if (s)
                check_error(&err);
        dal_conn_close(conn);
        if (dsn && dal_pool_new(c->driver, dsn, &options, &pool, &err) == DAL_OK) {
                if (dal_pool_acquire(pool, false, dal_clock_after_ms(300), &conn, &err))
                        check_error(&err);
                else
                        dal_pool_release(pool, conn);
                dal_pool_close(pool);
                OK(dal_pool_drain(pool, SOON, &c->err));
                OK(dal_pool_free(pool, &c->err));
        }
        dal_dsn_free(dsn);
}

static void secrets__a_password_is_in_no_error_and_in_no_freed_memory(struct conf *c)
{
        n_unwiped = 0;
        for (size_t i = 0; i < sizeof wrongs / sizeof wrongs[0]; i++)
                if (!wrongs[i].needs_port || c->q->has_port)
                        fail_to_connect(c, &wrongs[i]);
        assert_int_equal(n_unwiped, 0);
}

/* The check itself sees what it is to see. */
static void secrets__memory_that_is_not_wiped_is_noticed(struct conf *c)
{
        (void)c;
        n_unwiped = 0;
        dal_mem_free(dal_mem_strdup("xx" SECRET, sizeof SECRET + 1));
        assert_int_equal(n_unwiped, 1);
}

int main(int argc, char **argv)
{
        static const struct conf_case cases[] = {
                CONF_CASE(secrets__a_password_is_in_no_error_and_in_no_freed_memory),
                CONF_CASE(secrets__memory_that_is_not_wiped_is_noticed),
                {NULL, NULL},
        };
        static const struct conf_case *const topics[] = {cases, NULL};

        return conf_main(argc, argv, "fault_secrets ENGINE [FILTER]", topics);
}
