/* SPDX-License-Identifier: MIT */
/*
 * Cancel requests. They travel over a connection of their own and can be made by any thread.
 *
 * libpq 17 has a non-blocking form, encrypted like the session. Before that there is only PQcancel(), which is not
 * encrypted and may block in connect(2) for minutes; it runs on a helper thread whose late end is not waited for.
 */

#include "postgres_impl.h"

#include <dal/mem.h>

#define TOO_LATE "the cancel request was not delivered within the deadline"

static dal_status failed(dal_error *err, dal_error_class error_class, const char *text)
{
        char line[300];

        dal__postgres_one_line(line, sizeof line, text);
        return dal_error_set(err, error_class, "%s", line);
}

#ifdef LIBPQ_HAS_ASYNC_CANCEL

#include <errno.h>
#include <poll.h>

struct dal__postgres_cancel {
        PGcancelConn *pg;
        atomic_flag busy;
};

dal_status dal__postgres_cancel_new(PGconn *pg, dal__postgres_cancel **out, dal_error *err)
{
        dal__postgres_cancel *cancel = dal_mem_alloc(sizeof *cancel);

        *out = NULL;
        if (!cancel)
                return failed(err, DAL_CLASS_NO_MEMORY, "out of memory for a cancel request");
        atomic_flag_clear(&cancel->busy);
        cancel->pg = PQcancelCreate(pg);
        if (!cancel->pg || PQcancelStatus(cancel->pg) == CONNECTION_BAD) {
                dal__postgres_cancel_free(cancel);
                return failed(err, DAL_CLASS_NO_MEMORY, "out of memory for a cancel request");
        }
        *out = cancel;
        return DAL_OK;
}

static dal_status run(PGcancelConn *pg, dal_deadline deadline, dal_error *err)
{
        PostgresPollingStatusType state = PGRES_POLLING_WRITING;
        bool sent = false;

        if (!PQcancelStart(pg))
                return failed(err, DAL_CLASS_CONNECT_FAILED, PQcancelErrorMessage(pg));
        while (state != PGRES_POLLING_OK) {
                struct pollfd fd = {PQcancelSocket(pg), state == PGRES_POLLING_READING ? POLLIN : POLLOUT, 0};
                int n = poll(&fd, 1, dal_clock_left_ms(deadline));

                if (n == 0)
                        return failed(err, DAL_CLASS_DEADLINE, TOO_LATE);
                if (n < 0 && errno == EINTR)
                        continue;
                sent = PQcancelStatus(pg) == CONNECTION_AWAITING_RESPONSE;
                state = PQcancelPoll(pg);
                /*
                 * The server answers by closing, and with TLS that may look like a reset. Source: libpq 18, fe-cancel.c:
                 * PQcancel() takes any end for the answer, PQcancelPoll() only an orderly one.
                 */
                if (state == PGRES_POLLING_FAILED && sent)
                        return DAL_OK;
                if (state == PGRES_POLLING_FAILED)
                        return failed(err, DAL_CLASS_CONNECT_FAILED, PQcancelErrorMessage(pg));
        }
        return DAL_OK;
}

dal_status dal__postgres_cancel_send(dal__postgres_cancel *cancel, dal_deadline deadline, dal_error *err)
{
        dal_status s;

        if (atomic_flag_test_and_set(&cancel->busy))
                return DAL_OK; /* another thread's request is under way */
        s = run(cancel->pg, deadline, err);
        PQcancelReset(cancel->pg);
        atomic_flag_clear(&cancel->busy);
        return s;
}

void dal__postgres_cancel_free(dal__postgres_cancel *cancel)
{
        if (!cancel)
                return;
        PQcancelFinish(cancel->pg);
        dal_mem_free(cancel);
}

#else

#include <pthread.h>
#include <signal.h>
#include <time.h>

struct dal__postgres_cancel {
        PGcancel *pg;
        pthread_mutex_t lock; /* guards what follows */
        pthread_cond_t ended;
        int n_holders; /* the connection, the helper thread, threads that wait for it */
        bool running;
        bool delivered;
        char message[256];
};

dal_status dal__postgres_cancel_new(PGconn *pg, dal__postgres_cancel **out, dal_error *err)
{
        dal__postgres_cancel *cancel = dal_mem_alloc(sizeof *cancel);
        pthread_condattr_t attributes;

        *out = NULL;
        if (!cancel)
                return failed(err, DAL_CLASS_NO_MEMORY, "out of memory for a cancel request");
        cancel->pg = PQgetCancel(pg);
        if (!cancel->pg) {
                dal_mem_free(cancel);
                return failed(err, DAL_CLASS_NO_MEMORY, "out of memory for a cancel request");
        }
        pthread_mutex_init(&cancel->lock, NULL);
        pthread_condattr_init(&attributes);
        pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
        pthread_cond_init(&cancel->ended, &attributes);
        pthread_condattr_destroy(&attributes);
        cancel->n_holders = 1;
        *out = cancel;
        return DAL_OK;
}

/* Lets go of the lock, and of the whole when nobody holds it any more. */
static void leave(dal__postgres_cancel *cancel)
{
        bool last = --cancel->n_holders == 0;

        pthread_mutex_unlock(&cancel->lock);
        if (!last)
                return;
        PQfreeCancel(cancel->pg);
        pthread_cond_destroy(&cancel->ended);
        pthread_mutex_destroy(&cancel->lock);
        dal_mem_free(cancel);
}

static void *run(void *arg)
{
        dal__postgres_cancel *cancel = arg;
        char message[sizeof cancel->message] = "";
        bool delivered = PQcancel(cancel->pg, message, (int)sizeof message) != 0;

        pthread_mutex_lock(&cancel->lock);
        cancel->running = false;
        cancel->delivered = delivered;
        dal__postgres_one_line(cancel->message, sizeof cancel->message, message);
        pthread_cond_broadcast(&cancel->ended);
        leave(cancel);
        return NULL;
}

/* The application's signals are none of the helper's business. */
static int start_helper(dal__postgres_cancel *cancel)
{
        pthread_attr_t attributes;
        sigset_t all, before;
        pthread_t thread;
        int failure;

        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before);
        pthread_attr_init(&attributes);
        pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
        failure = pthread_create(&thread, &attributes, run, cancel);
        pthread_attr_destroy(&attributes);
        pthread_sigmask(SIG_SETMASK, &before, NULL);
        return failure;
}

static void wait_for_helper(dal__postgres_cancel *cancel, dal_deadline deadline)
{
        struct timespec until = {deadline / 1000000000, deadline % 1000000000};

        while (cancel->running) {
                if (deadline == DAL_FOREVER)
                        pthread_cond_wait(&cancel->ended, &cancel->lock);
                else if (pthread_cond_timedwait(&cancel->ended, &cancel->lock, &until) != 0)
                        break;
        }
}

dal_status dal__postgres_cancel_send(dal__postgres_cancel *cancel, dal_deadline deadline, dal_error *err)
{
        dal_status s = DAL_OK;

        pthread_mutex_lock(&cancel->lock);
        cancel->n_holders++;
        if (!cancel->running) {
                cancel->running = true;
                cancel->n_holders++;
                if (start_helper(cancel) != 0) {
                        cancel->running = false;
                        cancel->n_holders -= 2;
                        pthread_mutex_unlock(&cancel->lock);
                        return failed(err, DAL_CLASS_NO_MEMORY,
                                      "no thread could be started for a cancel request");
                }
        }
        wait_for_helper(cancel, deadline);
        if (cancel->running)
                s = failed(err, DAL_CLASS_DEADLINE, TOO_LATE);
        else if (!cancel->delivered)
                s = failed(err, DAL_CLASS_CONNECT_FAILED, cancel->message);
        leave(cancel);
        return s;
}

void dal__postgres_cancel_free(dal__postgres_cancel *cancel)
{
        if (!cancel)
                return;
        pthread_mutex_lock(&cancel->lock);
        leave(cancel);
}

#endif
