/* SPDX-License-Identifier: MIT */
#include "mysql_impl.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include <dal/mem.h>

#define EXIT_WAIT_MS 2000 /* the end of the process waits so long for our threads */

/*
 * The only writable globals of the driver, allowed by name: the client library must be started once in the process,
 * before any thread uses it, and told when a thread that used it ends; and the process must not end under a thread that
 * outlives who began it.
 */
static pthread_once_t library_once = PTHREAD_ONCE_INIT;
static pthread_key_t thread_key = (pthread_key_t)-1; /* no valid key until library_once has run */
static struct {
        pthread_mutex_t lock;
        pthread_cond_t none_runs; /* by the monotonic clock */
        unsigned n_running;
        bool awaited; /* at the end of the process */
        bool has_ended;
        pthread_t ended; /* the last of those that came to their end; it is yet to be joined */
} threads = {.lock = PTHREAD_MUTEX_INITIALIZER};

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

static void before_fork(void)
{
        pthread_mutex_lock(&threads.lock);
}

static void after_fork(void)
{
        pthread_mutex_unlock(&threads.lock);
}

/* The parent's threads are neither running here nor to be joined. */
static void in_child(void)
{
        threads.n_running = 0;
        threads.has_ended = false;
        pthread_mutex_unlock(&threads.lock);
}

static bool init_threads(void)
{
        pthread_condattr_t monotonic;
        bool ok;

        if (pthread_condattr_init(&monotonic) != 0)
                return false;
        ok = pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC) == 0 &&
             pthread_cond_init(&threads.none_runs, &monotonic) == 0;
        (void)pthread_condattr_destroy(&monotonic);
        return ok && pthread_atfork(before_fork, after_fork, in_child) == 0;
}

static void start_library(void)
{
        struct sigaction before;
        bool known = sigaction(SIGPIPE, NULL, &before) == 0;

        if (init_threads() && mysql_library_init(0, NULL, NULL) == 0)
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

/* ---- threads of our own ---- */

struct thread_job {
        void (*run)(void *arg);
        void *arg;
};

static void join(bool has_ended, pthread_t ended)
{
        if (has_ended)
                (void)pthread_join(ended, NULL);
}

/* Each joins the one that ended before it: so no more than one is ever left. */
static void *run_thread(void *job)
{
        struct thread_job own = *(struct thread_job *)job;
        bool has_ended;
        pthread_t ended;

        dal_mem_free(job);
        own.run(own.arg);
        pthread_mutex_lock(&threads.lock);
        has_ended = threads.has_ended;
        ended = threads.ended;
        threads.has_ended = true;
        threads.ended = pthread_self();
        if (--threads.n_running == 0)
                pthread_cond_signal(&threads.none_runs);
        pthread_mutex_unlock(&threads.lock);
        join(has_ended, ended);
        return NULL;
}

/*
 * When main() returns the TLS library takes down what a thread may be using in the middle of a handshake, and what it
 * was about to stop would run on. Handlers run in the reverse order of their registration, and whoever begins a thread
 * has opened a session before, which started that library: so this comes first.
 */
static void await_threads(void)
{
        dal_deadline until = dal_clock_after_ms(EXIT_WAIT_MS);
        struct timespec ts = {(time_t)(until / 1000000000), (long)(until % 1000000000)};
        bool has_ended;
        pthread_t ended;

        pthread_mutex_lock(&threads.lock);
        while (threads.n_running && pthread_cond_timedwait(&threads.none_runs, &threads.lock, &ts) == 0)
                continue;
        has_ended = threads.has_ended;
        ended = threads.ended;
        threads.has_ended = false;
        pthread_mutex_unlock(&threads.lock);
        join(has_ended, ended);
}

static void count_thread(int n)
{
        pthread_mutex_lock(&threads.lock);
        threads.n_running += (unsigned)n;
        if (!threads.awaited)
                threads.awaited = atexit(await_threads) == 0;
        pthread_mutex_unlock(&threads.lock);
}

bool dal__mysql_thread_start(void (*run)(void *arg), void *arg)
{
        struct thread_job *job = dal_mem_alloc(sizeof *job);
        sigset_t all, before;
        pthread_t thread;
        bool started;

        if (!job)
                return false;
        *job = (struct thread_job){run, arg};
        count_thread(1);
        sigfillset(&all);
        (void)pthread_sigmask(SIG_BLOCK, &all, &before);
        started = pthread_create(&thread, NULL, run_thread, job) == 0;
        (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
        if (started)
                return true;
        count_thread(-1);
        dal_mem_free(job);
        return false;
}

/* ---- signals ---- */

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
