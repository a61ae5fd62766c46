/* SPDX-License-Identifier: MIT */
#include "mysql_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include <dal/mem.h>

static dal_deadline limit_of(const dal__mysql_call *call)
{
        if (call->limit)
                return call->limit;
        return call->deadline > DAL_FOREVER - DAL__MYSQL_GRACE_NS ? DAL_FOREVER
                                                                  : call->deadline + DAL__MYSQL_GRACE_NS;
}

static bool stop_statement(dal__mysql_call *call)
{
        const dal__mysql_conn *conn = call->stop;

        if (!conn || dal_clock_passed(limit_of(call)))
                return false;
        return dal__mysql_stop_by(conn->target, conn->session_id, conn->opened_at, limit_of(call));
}

#if MYSQL_IS_CONNECTOR_C

#define FIRST_WAIT_MS 5 /* well below what a call may be late */

/*
 * Connector/C asks this function whenever its socket is not ready, so a deadline needs neither its fibers nor a
 * thread. The function gets no pointer of ours: the thread remembers the call that it is in.
 * Source: MARIADB_OPT_IO_WAIT in mariadb_lib.c and pvio_socket_wait_io_or_timeout() in pvio_socket.c, 3.3
 */
static int poll_until(int fd, short events, dal_deadline end)
{
        struct pollfd p = {fd, events, 0};
        int n;

        do {
                n = poll(&p, 1, dal_clock_left_ms(end));
        } while (n < 0 && errno == EINTR);
        return n;
}

/*
 * The TLS handshake is done on a blocking socket, which never asks: let its reads and writes come back at the
 * deadline, and then it does ask.
 */
static void limit_socket(int fd, dal_deadline deadline)
{
        int left = dal_clock_left_ms(deadline);
        struct timeval limit;

        if (left < 0)
                return;
        if (left == 0)
                left = 1; /* zero would mean no limit */
        limit.tv_sec = left / 1000;
        limit.tv_usec = (left % 1000) * 1000;
        (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
        (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
}

/*
 * With TLS Connector/C asks for "readable" also when it could not write (ma_tls_write() in openssl.c, seen in 3.3.20):
 * then a full socket must be waited for in both directions. If it has just become writable again that can't be seen,
 * so the wait is cut into pieces, each longer than the last; trying again in vain does no harm.
 */
static int wait_tls(dal__mysql_call *call, int fd, dal_deadline end)
{
        struct pollfd p = {fd, POLLOUT, 0};
        short events = POLLIN;
        dal_deadline piece;
        int n;

        if (poll(&p, 1, 0) == 0)
                events |= POLLOUT;
        piece = dal_clock_after_ms(2u << (call->n_idle < 9 ? call->n_idle : 9));
        n = poll_until(fd, events, dal_clock_earlier(piece, end));
        if (n != 0 || piece >= end) {
                call->n_idle = 0;
                return n;
        }
        call->n_idle++;
        return 1;
}

static int wait_once(dal__mysql_call *call, int fd, bool is_read, dal_deadline end)
{
        if (call->tls && is_read && !call->opening)
                return wait_tls(call, fd, end);
        return poll_until(fd, is_read ? POLLIN : POLLOUT, end);
}

static int wait_io(my_socket fd, my_bool is_read, int timeout_ms)
{
        dal__mysql_call *call = dal__mysql_thread_get();
        struct pollfd p = {fd, is_read ? POLLIN : POLLOUT, 0};
        int n;

        (void)timeout_ms; /* the library's own limits are not set */
        if (!call)
                return -1;
        /* Most answers come at once; the clock is looked at only for the others. */
        if (!call->timed_out && !call->opening && !call->tls && poll(&p, 1, FIRST_WAIT_MS) > 0)
                return 1;
        if (call->opening)
                limit_socket(fd, call->deadline);
        if (!call->timed_out) {
                n = wait_once(call, fd, is_read, call->deadline);
                if (n != 0)
                        return n;
                call->timed_out = true;
                call->stopped = stop_statement(call);
        }
        n = call->stopped ? wait_once(call, fd, is_read, limit_of(call)) : 0;
        if (n == 0)
                errno = ETIMEDOUT;
        return n;
}

static void install(MYSQL *mysql)
{
        int (*function)(my_socket, my_bool, int) = wait_io;
        void *pointer;

        /* ISO C has no conversion from a function pointer; POSIX promises that the bytes are the same. */
        memcpy(&pointer, &function, sizeof pointer);
        (void)mysql_options(mysql, MARIADB_OPT_IO_WAIT, pointer);
}

dal__mysql_watchdog *dal__mysql_watchdog_new(void)
{
        return NULL;
}

void dal__mysql_watchdog_free(dal__mysql_watchdog *watchdog)
{
        (void)watchdog;
}

bool dal__mysql_watchdog_attach(dal__mysql_watchdog *watchdog, MYSQL *mysql)
{
        (void)watchdog;
        (void)mysql;
        return true;
}

/* The pointer stays with the thread when the call has ended: nobody looks at it until the next call begins. */
void dal__mysql_call_begin(dal__mysql_call *call)
{
        call->timed_out = false;
        call->stopped = false;
        call->n_idle = 0;
        if (dal__mysql_thread_get() != call)
                dal__mysql_thread_set(call);
        /* Without TLS Connector/C sends with MSG_NOSIGNAL. */
        if (call->tls)
                dal__mysql_sigpipe_block(&call->sigpipe);
}

void dal__mysql_call_check(dal__mysql_call *call)
{
        if (call->timed_out || !dal_clock_passed(call->deadline))
                return;
        call->timed_out = true;
        call->stopped = stop_statement(call);
}

void dal__mysql_call_end(dal__mysql_call *call)
{
        if (call->tls)
                dal__mysql_sigpipe_restore(&call->sigpipe);
}

bool dal__mysql_connect(MYSQL *mysql, const dal__mysql_target *target, dal__mysql_watchdog *watchdog,
                        dal_deadline deadline, bool *lost_out)
{
        dal__mysql_call call = {.deadline = deadline, .opening = true, .tls = target->tls != DAL_TLS_OFF};
        bool ok;

        (void)watchdog;
        install(mysql);
        dal__mysql_call_begin(&call);
        ok = mysql_real_connect(mysql, target->address, target->user, target->password, target->dbname,
                                target->port, target->socket,
                                CLIENT_FOUND_ROWS | CLIENT_MULTI_STATEMENTS) != NULL;
        dal__mysql_call_end(&call);
        if (ok && call.tls) /* from now on TLS, too, asks before it waits */
                ok = fcntl(mysql_get_socket(mysql), F_SETFL, O_NONBLOCK) == 0;
        *lost_out = false;
        return ok;
}

#else

/*
 * libmysqlclient offers no way to limit a call of its prepared statements, so each connection has a helper thread.
 * It sleeps on a condition variable; it wakes when a call is still under way at its deadline, stops the statement by
 * KILL QUERY over a connection of its own, and if that brings no answer shuts the socket down, which makes the call
 * return. It also does the connecting: the caller stops waiting at the deadline, and the thread then closes what
 * comes too late.
 */
struct dal__mysql_watchdog {
        pthread_mutex_t lock;
        pthread_cond_t wake; /* the thread: there is something new */
        pthread_cond_t done; /* the owner: the thread has finished something */
        pthread_t thread;
        dal__mysql_call *armed; /* the call under way; NULL = none */
        uint64_t n_armed;       /* tells one call from the next */
        dal_deadline asleep_until;
        int fd;        /* a duplicate of the session's socket: never somebody else's; -1 = none */
        bool stopping; /* the thread is stopping the armed call's statement */
        bool quit;
        struct connect_job *job; /* the session to open; NULL = none */
        bool connected, connect_done;
};

/* What mysql_real_connect() reads while it runs: copies, because the caller may be gone before it returns. */
struct connect_job {
        MYSQL *mysql;
        char *text; /* one block: host, user, password, dbname, socket */
        size_t text_size;
        const char *host, *user, *password, *dbname, *socket;
        unsigned port;
        bool abandoned; /* nobody waits: close it */
};

static struct timespec to_timespec(dal_deadline deadline)
{
        struct timespec ts = {(time_t)(deadline / 1000000000), (long)(deadline % 1000000000)};
        return ts;
}

static void free_job(struct connect_job *job)
{
        if (!job)
                return;
        if (job->text)
                dal_mem_wipe(job->text, job->text_size);
        dal_mem_free(job->text);
        dal_mem_free(job);
}

static void destroy(dal__mysql_watchdog *w)
{
        if (w->fd >= 0)
                close(w->fd);
        pthread_cond_destroy(&w->wake);
        pthread_cond_destroy(&w->done);
        pthread_mutex_destroy(&w->lock);
        dal_mem_free(w);
}

/* Called with the lock held, returns with it held; true if the watchdog has no owner any more. */
static bool run_job_locked(dal__mysql_watchdog *w)
{
        struct connect_job *job = w->job;
        bool ok, abandoned;

        pthread_mutex_unlock(&w->lock);
        ok = mysql_real_connect(job->mysql, job->host, job->user, job->password, job->dbname, job->port,
                                job->socket, CLIENT_FOUND_ROWS | CLIENT_MULTI_STATEMENTS) != NULL;
        pthread_mutex_lock(&w->lock);
        w->job = NULL;
        w->connected = ok;
        w->connect_done = true;
        abandoned = job->abandoned;
        pthread_cond_broadcast(&w->done);
        if (abandoned)
                mysql_close(job->mysql);
        free_job(job);
        return abandoned;
}

/* The armed call is past its deadline. */
static void end_call_locked(dal__mysql_watchdog *w)
{
        dal__mysql_call *call = w->armed;
        uint64_t n = w->n_armed;
        bool stopped;

        if (!call->timed_out) {
                call->timed_out = true;
                w->stopping = true;
                pthread_mutex_unlock(&w->lock);
                stopped = stop_statement(call);
                pthread_mutex_lock(&w->lock);
                w->stopping = false;
                call->stopped = stopped;
                pthread_cond_broadcast(&w->done);
                if (stopped)
                        return; /* asleep until the end of the grace */
        }
        if (w->armed && w->n_armed == n && (!call->stopped || dal_clock_passed(limit_of(call)))) {
                w->armed = NULL;
                call->cut = true;
                if (w->fd >= 0)
                        (void)shutdown(w->fd, SHUT_RDWR);
        }
}

static void sleep_locked(dal__mysql_watchdog *w, dal_deadline until)
{
        struct timespec ts;

        w->asleep_until = until;
        if (until == DAL_FOREVER) {
                (void)pthread_cond_wait(&w->wake, &w->lock);
        } else {
                ts = to_timespec(until);
                (void)pthread_cond_timedwait(&w->wake, &w->lock, &ts);
        }
        w->asleep_until = 0;
}

static void *watch(void *arg)
{
        dal__mysql_watchdog *w = arg;
        bool orphan = false;

        (void)mysql_thread_init();
        pthread_mutex_lock(&w->lock);
        while (!orphan && (!w->quit || w->job)) {
                dal_deadline until = DAL_FOREVER;

                if (w->job) {
                        orphan = run_job_locked(w);
                        continue;
                }
                if (w->armed) {
                        until = w->armed->stopped ? limit_of(w->armed) : w->armed->deadline;
                        if (dal_clock_passed(until)) {
                                end_call_locked(w);
                                continue;
                        }
                }
                sleep_locked(w, until);
        }
        pthread_mutex_unlock(&w->lock);
        mysql_thread_end();
        if (orphan)
                destroy(w);
        return NULL;
}

static bool start_thread(dal__mysql_watchdog *w)
{
        sigset_t all, before;
        bool ok;

        sigfillset(&all);
        if (pthread_sigmask(SIG_BLOCK, &all, &before))
                return false;
        ok = pthread_create(&w->thread, NULL, watch, w) == 0;
        (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
        return ok;
}

dal__mysql_watchdog *dal__mysql_watchdog_new(void)
{
        dal__mysql_watchdog *w = dal_mem_alloc(sizeof *w);
        pthread_condattr_t monotonic;

        if (!w)
                return NULL;
        w->fd = -1;
        pthread_condattr_init(&monotonic);
        pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
        pthread_mutex_init(&w->lock, NULL);
        pthread_cond_init(&w->wake, &monotonic);
        pthread_cond_init(&w->done, &monotonic);
        pthread_condattr_destroy(&monotonic);
        if (start_thread(w))
                return w;
        destroy(w);
        return NULL;
}

void dal__mysql_watchdog_free(dal__mysql_watchdog *w)
{
        if (!w)
                return;
        pthread_mutex_lock(&w->lock);
        w->quit = true;
        pthread_cond_signal(&w->wake);
        pthread_mutex_unlock(&w->lock);
        (void)pthread_join(w->thread, NULL);
        destroy(w);
}

bool dal__mysql_watchdog_attach(dal__mysql_watchdog *w, MYSQL *mysql)
{
        w->fd = dup((int)mysql->net.fd);
        return w->fd >= 0;
}

void dal__mysql_call_begin(dal__mysql_call *call)
{
        dal__mysql_watchdog *w = call->watchdog;

        call->timed_out = false;
        call->stopped = false;
        call->cut = false;
        if (!dal__mysql_thread_get()) {
                (void)mysql_thread_init();
                dal__mysql_thread_set(
                        &call->deadline); /* any pointer will do: it asks for mysql_thread_end() */
        }
        dal__mysql_sigpipe_block(&call->sigpipe);
        if (!w)
                return;
        pthread_mutex_lock(&w->lock);
        w->n_armed++;
        w->armed = call;
        if (call->deadline < w->asleep_until)
                pthread_cond_signal(&w->wake);
        pthread_mutex_unlock(&w->lock);
}

/* The watchdog's thread looks at the clock. */
void dal__mysql_call_check(dal__mysql_call *call)
{
        (void)call;
}

void dal__mysql_call_end(dal__mysql_call *call)
{
        dal__mysql_watchdog *w = call->watchdog;

        if (w) {
                pthread_mutex_lock(&w->lock);
                /* A KILL QUERY on its way must not strike the next statement. It ends with the grace. */
                while (w->stopping)
                        (void)pthread_cond_wait(&w->done, &w->lock);
                w->armed = NULL;
                pthread_mutex_unlock(&w->lock);
        }
        dal__mysql_sigpipe_restore(&call->sigpipe);
}

static size_t room_of(const char *text)
{
        return text ? strlen(text) + 1 : 0;
}

static const char *put(char **at, const char *text)
{
        const char *begin = *at;

        if (!text)
                return NULL;
        memcpy(*at, text, strlen(text) + 1);
        *at += strlen(text) + 1;
        return begin;
}

static struct connect_job *new_job(MYSQL *mysql, const dal__mysql_target *t)
{
        struct connect_job *job = dal_mem_alloc(sizeof *job);
        char *at;

        if (!job)
                return NULL;
        job->mysql = mysql;
        job->port = t->port;
        job->text_size = room_of(t->address) + room_of(t->user) + room_of(t->password) + room_of(t->dbname) +
                         room_of(t->socket) + 1;
        job->text = at = dal_mem_alloc(job->text_size);
        if (!at) {
                dal_mem_free(job);
                return NULL;
        }
        job->host = put(&at, t->address);
        job->user = put(&at, t->user);
        job->password = put(&at, t->password);
        job->dbname = put(&at, t->dbname);
        job->socket = put(&at, t->socket);
        return job;
}

bool dal__mysql_connect(MYSQL *mysql, const dal__mysql_target *target, dal__mysql_watchdog *w,
                        dal_deadline deadline, bool *lost_out)
{
        struct connect_job *job = new_job(mysql, target);
        unsigned timeout_s = (unsigned)dal_clock_left_ms(deadline) / 1000 + 1;
        struct timespec ts = to_timespec(deadline);
        pthread_t thread = w->thread;
        bool ok;

        *lost_out = false;
        if (!job)
                return false;
        /* For the time when nobody waits any more: each step of connecting ends by itself. */
        if (deadline != DAL_FOREVER)
                (void)mysql_options(mysql, MYSQL_OPT_CONNECT_TIMEOUT, &timeout_s);
        pthread_mutex_lock(&w->lock);
        w->job = job;
        pthread_cond_signal(&w->wake);
        while (!w->connect_done) {
                int rc = deadline == DAL_FOREVER ? pthread_cond_wait(&w->done, &w->lock)
                                                 : pthread_cond_timedwait(&w->done, &w->lock, &ts);
                if (rc == ETIMEDOUT && !w->connect_done) {
                        job->abandoned = *lost_out = true;
                        break;
                }
        }
        ok = w->connect_done && w->connected;
        pthread_mutex_unlock(&w->lock);
        if (*lost_out) /* the thread ends by itself and takes the handle and the watchdog with it */
                (void)pthread_detach(thread);
        return ok;
}
#endif
