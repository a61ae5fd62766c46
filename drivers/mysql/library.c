/* SPDX-License-Identifier: MIT */
#include "mysql_impl.h"

#include <pthread.h>
#include <time.h>

/*
 * The only writable globals of the driver, allowed by name: the client library must be started once in the process,
 * before any thread uses it, and told when a thread that used it ends.
 */
static pthread_once_t library_once = PTHREAD_ONCE_INIT;
static pthread_key_t thread_key = (pthread_key_t)-1; /* no valid key until library_once has run */

static void end_thread(void *value)
{
        (void)value;
        mysql_thread_end();
}

/*
 * Both libraries make the whole process ignore SIGPIPE when they start; that is not ours to decide. What another thread
 * has set meanwhile is its own, and stays.
 */
static void undo_ignoring(const struct sigaction *before)
{
        struct sigaction now;

        if (sigaction(SIGPIPE, NULL, &now) == 0 && !(now.sa_flags & SA_SIGINFO) && now.sa_handler == SIG_IGN)
                (void)sigaction(SIGPIPE, before, NULL);
}

static void start_library(void)
{
        struct sigaction before;
        bool known = sigaction(SIGPIPE, NULL, &before) == 0;

        if (mysql_library_init(0, NULL, NULL) == 0)
                (void)pthread_key_create(&thread_key, end_thread);
        if (known)
                undo_ignoring(&before);
}

bool dal__mysql_library_start(void)
{
        return pthread_once(&library_once, start_library) == 0 && thread_key != (pthread_key_t)-1;
}

/* Where the application has ended the library meanwhile, mysql_init() starts it again. */
MYSQL *dal__mysql_handle_new(void)
{
        struct sigaction before;
        bool known = sigaction(SIGPIPE, NULL, &before) == 0;
        MYSQL *mysql = mysql_init(NULL);

        if (known)
                undo_ignoring(&before);
        return mysql;
}

void *dal__mysql_thread_get(void)
{
        return pthread_getspecific(thread_key);
}

void dal__mysql_thread_set(void *value)
{
        (void)pthread_setspecific(thread_key, value);
}

static void set_of_sigpipe(sigset_t *set)
{
        sigemptyset(set);
        sigaddset(set, SIGPIPE);
}

void dal__mysql_sigpipe_block(dal__mysql_sigpipe *sigpipe)
{
        sigset_t set, pending;

        sigemptyset(&pending);
        sigpipe->was_pending = sigpending(&pending) == 0 && sigismember(&pending, SIGPIPE) == 1;
        set_of_sigpipe(&set);
        (void)pthread_sigmask(SIG_BLOCK, &set, &sigpipe->before);
}

void dal__mysql_sigpipe_restore(const dal__mysql_sigpipe *sigpipe)
{
        static const struct timespec at_once = {0, 0};
        sigset_t set;

        set_of_sigpipe(&set);
        /*
         * One that came meanwhile was ours: take it away before anybody sees it, also where the application blocks
         * the signal itself, as it may unblock it later.
         */
        if (!sigpipe->was_pending)
                (void)sigtimedwait(&set, NULL, &at_once);
        (void)pthread_sigmask(SIG_SETMASK, &sigpipe->before, NULL);
}
