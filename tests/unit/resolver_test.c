/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE /* RTLD_NEXT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
/* cmocka needs the four above first. Source: cmocka.h */
#include <cmocka.h>

#include <dlfcn.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <time.h>

#include <dal/clock.h>
#include <dal/resolver.h>

#include "mem_fault.h"

/* Stands before the system's own: names ending in .test are answered here, everything else there. */

typedef int lookup_fn(const char *, const char *, const struct addrinfo *, struct addrinfo **);
static atomic_int n_late;
static atomic_int n_with_signals;

static int real_lookup(const char *host, const struct addrinfo *hints, struct addrinfo **out)
{
        static const char name[] = "getaddrinfo";
        lookup_fn *real;
        void *symbol = dlsym(RTLD_NEXT, name);

        memcpy(&real, &symbol, sizeof real);
        return real(host, NULL, hints, out);
}

static struct addrinfo **append(struct addrinfo **at, const char *host, const struct addrinfo *hints)
{
        assert_int_equal(real_lookup(host, hints, at), 0);
        while (*at)
                at = &(*at)->ai_next;
        return at;
}

int getaddrinfo(const char *host, const char *service, const struct addrinfo *hints, struct addrinfo **out)
{
        struct timespec nap = {0, 200000000};
        struct addrinfo **end;
        sigset_t blocked;

        (void)service;
        if (!strstr(host, ".test") || (hints->ai_flags & AI_NUMERICHOST))
                return real_lookup(host, hints, out);
        (void)pthread_sigmask(SIG_BLOCK, NULL, &blocked);
        if (!sigismember(&blocked, SIGTERM) || !sigismember(&blocked, SIGCHLD))
                n_with_signals++;
        if (strcmp(host, "slow.test") == 0) {
                (void)nanosleep(&nap, NULL);
                n_late++;
                return real_lookup("127.0.0.1", hints, out);
        }
        if (strcmp(host, "many.test") == 0) {
                end = append(out, "127.0.0.9", hints);
                end = append(end, "::1", hints);
                end = append(end, "127.0.0.9", hints);
                (void)append(end, "127.0.0.3", hints);
                return 0;
        }
        if (strcmp(host, "memory.test") == 0)
                return EAI_MEMORY;
        return EAI_NONAME;
}

static dal_status look_up(const char *host, uint32_t timeout_ms, dal_address *out, size_t n_out,
                          size_t *n_out_found, dal_error *err)
{
        return dal_resolver_lookup(host, dal_clock_after_ms(timeout_ms), out, n_out, n_out_found, err);
}

static void test_resolver__numbers_are_answered_at_once(void **state)
{
        dal_error err = DAL_ERROR_INIT;
        dal_address found[4];
        size_t n;

        (void)state;
        /* Even after the deadline, and without memory for a thread. */
        mem_fault_at = 1;
        assert_int_equal(dal_resolver_lookup("192.0.2.7", 0, found, 4, &n, &err), DAL_OK);
        assert_int_equal(n, 1);
        assert_string_equal(found[0].text, "192.0.2.7");
        assert_int_equal(dal_resolver_lookup("2001:DB8:0:0:0:0:0:1", 0, found, 4, &n, &err), DAL_OK);
        assert_int_equal(n, 1);
        assert_string_equal(found[0].text, "2001:db8::1");
        assert_int_equal(dal_resolver_lookup("fe80::1%lo", 0, found, 4, &n, &err), DAL_OK);
        assert_string_equal(found[0].text, "fe80::1%lo");
        mem_fault_at = 0;
}

static void test_resolver__names_give_addresses_in_the_systems_order(void **state)
{
        dal_error err = DAL_ERROR_INIT;
        dal_address found[4];
        size_t n;

        (void)state;
        assert_int_equal(look_up("localhost", 5000, found, 4, &n, &err), DAL_OK);
        assert_true(n >= 1);
        assert_true(strcmp(found[0].text, "127.0.0.1") == 0 || strcmp(found[0].text, "::1") == 0);
        assert_int_equal(look_up("many.test", 5000, found, 4, &n, &err), DAL_OK);
        assert_int_equal(n, 3);
        assert_string_equal(found[0].text, "127.0.0.9");
        assert_string_equal(found[1].text, "::1");
        assert_string_equal(found[2].text, "127.0.0.3");
        assert_int_equal(dal_resolver_lookup("many.test", DAL_FOREVER, found, 2, &n, &err), DAL_OK);
        assert_int_equal(n, 2);
        assert_string_equal(found[1].text, "::1");
}

static void test_resolver__failures_name_the_host(void **state)
{
        dal_error err = DAL_ERROR_INIT;
        dal_address found[4];
        size_t n = 7;

        (void)state;
        assert_int_equal(look_up("nobody.test", 5000, found, 4, &n, &err), DAL_ERR_CONN);
        assert_int_equal(err.error_class, DAL_CLASS_CONNECT_FAILED);
        assert_non_null(strstr(err.message, "nobody.test"));
        assert_true(err.not_sent);
        assert_int_equal(n, 0);
        assert_int_equal(look_up("memory.test", 5000, found, 4, &n, &err), DAL_ERR_NOMEM);
        assert_int_equal(look_up("", 5000, found, 4, &n, &err), DAL_ERR_ARG);
        assert_int_equal(look_up("many.test", 5000, found, 0, &n, &err), DAL_ERR_ARG);
        assert_int_equal(look_up("nobody.test", 5000, found, 4, &n, NULL), DAL_ERR_CONN);
        mem_fault_at = 1;
        assert_int_equal(look_up("many.test", 5000, found, 4, &n, &err), DAL_ERR_NOMEM);
        mem_fault_at = 0;
}

static void test_resolver__a_late_answer_is_discarded(void **state)
{
        dal_error err = DAL_ERROR_INIT;
        struct timespec nap = {0, 10000000};
        int64_t start = dal_clock_now();
        dal_address found[4];
        size_t n;

        (void)state;
        memset(found, 0x5a, sizeof found);
        assert_int_equal(look_up("slow.test", 40, found, 4, &n, &err), DAL_ERR_TIMEOUT);
        assert_int_equal(err.error_class, DAL_CLASS_DEADLINE);
        assert_non_null(strstr(err.message, "slow.test"));
        assert_in_range((dal_clock_now() - start) / 1000000, 39, 90);
        for (int i = 0; i < 200 && n_late == 0; i++)
                (void)nanosleep(&nap, NULL);
        assert_int_equal(n_late, 1);
        (void)nanosleep(&nap, NULL);
        assert_int_equal(found[0].text[0], 0x5a);
        start = dal_clock_now();
        assert_int_equal(dal_resolver_lookup("slow.test", 0, found, 4, &n, &err), DAL_ERR_TIMEOUT);
        assert_true(dal_clock_now() - start < 50000000);
        assert_int_equal(look_up("slow.test", 5000, found, 4, &n, &err), DAL_OK);
        assert_string_equal(found[0].text, "127.0.0.1");
}

static void *look_up_many(void *arg)
{
        int *n_failed = arg;
        dal_address found[4];
        size_t n;

        for (int i = 0; i < 20; i++)
                if (look_up("many.test", 5000, found, 4, &n, NULL) || n != 3)
                        (*n_failed)++;
        return NULL;
}

static void test_resolver__many_threads_may_ask_at_once(void **state)
{
        pthread_t threads[8];
        int n_failed[8] = {0};

        (void)state;
        for (int i = 0; i < 8; i++)
                assert_int_equal(pthread_create(&threads[i], NULL, look_up_many, &n_failed[i]), 0);
        for (int i = 0; i < 8; i++) {
                assert_int_equal(pthread_join(threads[i], NULL), 0);
                assert_int_equal(n_failed[i], 0);
        }
        assert_int_equal(n_with_signals, 0); /* signals stay with the application's threads */
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_resolver__numbers_are_answered_at_once),
                cmocka_unit_test(test_resolver__names_give_addresses_in_the_systems_order),
                cmocka_unit_test(test_resolver__failures_name_the_host),
                cmocka_unit_test(test_resolver__a_late_answer_is_discarded),
                cmocka_unit_test(test_resolver__many_threads_may_ask_at_once),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
