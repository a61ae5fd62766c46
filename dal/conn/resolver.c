/* SPDX-License-Identifier: MIT */
#include <dal/resolver.h>

#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include <dal/mem.h>

#define MAX_ADDRESSES 32

/*
 * getaddrinfo() knows no time limit and can't be interrupted, so it runs on a thread of its own. Caller and thread
 * share this; whoever lets go last frees it.
 */
typedef struct lookup {
        pthread_mutex_t lock;
        pthread_cond_t done_cond; /* on the monotonic clock */
        int n_users;              /* under lock, like all below */
        bool done;
        int code; /* of getaddrinfo() */
        int system_error;
        size_t n_found;
        dal_address found[MAX_ADDRESSES];
        char host[]; /* read-only */
} lookup;

static size_t add_address(dal_address *out, size_t n, const struct addrinfo *info)
{
        dal_address *address = &out[n];

        if (getnameinfo(info->ai_addr, info->ai_addrlen, address->text, sizeof address->text, NULL, 0,
                        NI_NUMERICHOST) != 0)
                return n;
        for (size_t i = 0; i < n; i++)
                if (strcmp(out[i].text, address->text) == 0)
                        return n;
        return n + 1;
}

static int resolve(const char *host, int flags, dal_address *out, size_t n_out, size_t *n_found_out)
{
        struct addrinfo hints, *list = NULL;
        size_t n = 0;
        int code;

        memset(&hints, 0, sizeof hints);
        hints.ai_family = AF_UNSPEC;
        hints.ai_socktype = SOCK_STREAM;
        hints.ai_flags = flags;
        code = getaddrinfo(host, NULL, &hints, &list);
        for (const struct addrinfo *info = list; code == 0 && info && n < n_out; info = info->ai_next)
                if (info->ai_family == AF_INET || info->ai_family == AF_INET6)
                        n = add_address(out, n, info);
        if (code == 0)
                freeaddrinfo(list);
        *n_found_out = n;
        return code == 0 && n == 0 ? EAI_NONAME : code;
}

static void let_go(lookup *l)
{
        bool last;

        pthread_mutex_lock(&l->lock);
        last = --l->n_users == 0;
        pthread_mutex_unlock(&l->lock);
        if (!last)
                return;
        pthread_cond_destroy(&l->done_cond);
        pthread_mutex_destroy(&l->lock);
        dal_mem_free(l);
}

static void *lookup_main(void *arg)
{
        lookup *l = arg;
        dal_address found[MAX_ADDRESSES];
        size_t n_found;
        int code = resolve(l->host, 0, found, MAX_ADDRESSES, &n_found);
        int system_error = errno;

        pthread_mutex_lock(&l->lock);
        memcpy(l->found, found, n_found * sizeof found[0]);
        l->n_found = n_found;
        l->code = code;
        l->system_error = system_error;
        l->done = true;
        pthread_cond_signal(&l->done_cond);
        pthread_mutex_unlock(&l->lock);
        let_go(l);
        return NULL;
}

static lookup *new_lookup(const char *host)
{
        size_t size = strlen(host) + 1;
        pthread_condattr_t attr;
        lookup *l = dal_mem_alloc(sizeof *l + size);

        if (!l)
                return NULL;
        memcpy(l->host, host, size);
        l->n_users = 1;
        if (pthread_condattr_init(&attr) == 0) {
                int failed = pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);

                failed = failed ? failed : pthread_cond_init(&l->done_cond, &attr);
                pthread_condattr_destroy(&attr);
                if (!failed) {
                        if (pthread_mutex_init(&l->lock, NULL) == 0)
                                return l;
                        pthread_cond_destroy(&l->done_cond);
                }
        }
        dal_mem_free(l);
        return NULL;
}

/* Signals belong to the application's threads, so this one takes none. */
static int start_thread(lookup *l)
{
        sigset_t all, old;
        pthread_attr_t attr;
        pthread_t thread;
        int failed = pthread_attr_init(&attr);

        if (failed)
                return failed;
        (void)pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
        (void)sigfillset(&all);
        (void)pthread_sigmask(SIG_BLOCK, &all, &old);
        l->n_users++;
        failed = pthread_create(&thread, &attr, lookup_main, l);
        if (failed)
                l->n_users--;
        (void)pthread_sigmask(SIG_SETMASK, &old, NULL);
        pthread_attr_destroy(&attr);
        return failed;
}

static dal_status fail_code(const char *host, int code, int system_error, dal_error *err)
{
        dal_status s;

        if (code == EAI_MEMORY)
                return dal_error_set(err, DAL_CLASS_NO_MEMORY, "no memory to look up host %.256s", host);
        if (code == EAI_SYSTEM)
                s = dal_error_set(err, DAL_CLASS_CONNECT_FAILED,
                                  "host %.256s can't be looked up (system error %d)", host, system_error);
        else
                s = dal_error_set(err, DAL_CLASS_CONNECT_FAILED, "host %.256s can't be found: %s", host,
                                  gai_strerror(code));
        if (err)
                err->not_sent = true;
        return s;
}

static dal_status fail_deadline(const char *host, dal_error *err)
{
        dal_status s =
                dal_error_set(err, DAL_CLASS_DEADLINE,
                              "the deadline passed while the name of host %.256s was being looked up", host);

        if (err)
                err->not_sent = true;
        return s;
}

/* Waits for the thread's answer; false when the deadline comes first. Locked. */
static bool wait_done(lookup *l, dal_deadline deadline)
{
        struct timespec until = {(time_t)(deadline / 1000000000), (long)(deadline % 1000000000)};

        while (!l->done) {
                int rc = deadline == DAL_FOREVER ? pthread_cond_wait(&l->done_cond, &l->lock)
                                                 : pthread_cond_timedwait(&l->done_cond, &l->lock, &until);

                if (rc == ETIMEDOUT)
                        break;
        }
        return l->done;
}

dal_status dal_resolver_lookup(const char *host, dal_deadline deadline, dal_address *out, size_t n_out,
                               size_t *n_found_out, dal_error *err)
{
        lookup *l;
        dal_status s = DAL_OK;

        if (!host || !host[0] || !out || n_out == 0 || !n_found_out)
                return dal_error_set(err, DAL_CLASS_ARGUMENT,
                                     "no host name to look up, or no room for the answer");
        *n_found_out = 0;
        /* A number needs no server and no thread. */
        if (resolve(host, AI_NUMERICHOST, out, n_out, n_found_out) == 0)
                return DAL_OK;
        if (dal_clock_passed(deadline))
                return fail_deadline(host, err);
        l = new_lookup(host);
        if (!l || start_thread(l) != 0) {
                if (l)
                        let_go(l);
                return dal_error_set(err, DAL_CLASS_NO_MEMORY, "no thread to look up host %.256s", host);
        }
        pthread_mutex_lock(&l->lock);
        if (!wait_done(l, deadline)) {
                s = fail_deadline(host, err);
        } else if (l->code != 0) {
                s = fail_code(host, l->code, l->system_error, err);
        } else {
                *n_found_out = l->n_found < n_out ? l->n_found : n_out;
                memcpy(out, l->found, *n_found_out * sizeof *out);
        }
        pthread_mutex_unlock(&l->lock);
        let_go(l);
        return s;
}
