/* SPDX-License-Identifier: MIT */
#include "mysql_impl.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <dal/mem.h>

/*
 * Stopping statements: KILL QUERY over a session of its own, as the protocol has no other way.
 *
 * At a deadline it is done by a thread, because connecting can take longer than the caller may be late (a TLS
 * handshake with all the roots of a system: some 30 ms). The thread goes on when the caller has given up: the server
 * notices a closed socket only when it has something to say, and until then an abandoned statement would keep its
 * locks.
 */

#define STOP_MS        10000 /* for the thread, when nobody waits for it any more */
#define FULL_PAUSE_MS  20 /* before a server without a free connection is asked again; then twice as long */
#define FULL_PAUSE_MAX 500

int64_t dal__mysql_uptime_ms(MYSQL *mysql)
{
        static const char sql[] = "SHOW GLOBAL STATUS LIKE 'Uptime'";
        MYSQL_RES *rows = NULL;
        MYSQL_ROW row;
        int64_t seconds = 0;

        if (mysql_real_query(mysql, sql, sizeof sql - 1) == 0)
                rows = mysql_store_result(mysql);
        if (!rows)
                return -1;
        row = mysql_fetch_row(rows);
        if (row && mysql_num_fields(rows) == 2 && row[1])
                seconds = strtoll(row[1], NULL, 10);
        mysql_free_result(rows);
        return seconds * 1000;
}

/*
 * Numbers of sessions begin again when a server does, and the one to be stopped may be anybody's by then; but then what
 * it ran is gone, too. Whole seconds are all that is told: in doubt nobody is stopped.
 */
dal_status dal__mysql_stop(const dal__mysql_target *target, uint64_t session_id, int64_t since,
                           dal_deadline deadline, dal_error *err)
{
        dal__mysql_watchdog *watchdog = dal__mysql_watchdog_new();
        dal__mysql_call call = {
                .deadline = deadline, .tls = target->tls != DAL_TLS_OFF, .watchdog = watchdog};
        MYSQL *mysql = NULL;
        int64_t uptime_ms;
        char sql[48];
        dal_status s;

        (void)snprintf(sql, sizeof sql, "KILL QUERY %" PRIu64, session_id);
        if (!watchdog && !MYSQL_IS_CONNECTOR_C)
                return dal_error_set(err, DAL_CLASS_OUT_OF_RESOURCES,
                                     "no thread is free to stop a statement");
        s = dal__mysql_session_open(target, &watchdog, deadline, &mysql, err);
        if (s)
                goto out;
        dal__mysql_call_begin(&call);
        uptime_ms = dal__mysql_uptime_ms(mysql);
        if (uptime_ms >= 0 && uptime_ms < (dal_clock_now() - since) / 1000000) {
                s = dal_error_set(err, DAL_CLASS_CONNECTION_LOST,
                                  "the server was started anew, so the session whose statement was to be "
                                  "stopped is gone");
        } else if (uptime_ms < 0 || mysql_real_query(mysql, sql, (unsigned long)strlen(sql))) {
                dal__mysql_fault fault = {
                        .code = mysql_errno(mysql),
                        .sqlstate = mysql_sqlstate(mysql),
                        .message = mysql_error(mysql),
                        .where = sql,
                };
                s = dal__mysql_fault_error(&fault, err);
        }
        dal__mysql_call_end(&call);
        if (s && call.timed_out)
                s = dal_error_set(err, DAL_CLASS_DEADLINE,
                                  "the statement was not stopped before the deadline");
out:
        dal__mysql_session_close(mysql);
        dal__mysql_watchdog_free(watchdog);
        return s;
}

/* ---- by a thread ---- */

/* Shared by the thread and the caller; the last of them frees it. */
struct stop_job {
        pthread_mutex_t lock;
        pthread_cond_t done;
        dal__mysql_target *target;
        uint64_t session_id;
        int64_t since;
        int n_holders;
        bool is_done, is_stopped;
};

static struct stop_job *new_job(const dal__mysql_target *target, uint64_t session_id, int64_t since)
{
        struct stop_job *job = dal_mem_alloc(sizeof *job);
        pthread_condattr_t monotonic;

        if (!job)
                return NULL;
        pthread_condattr_init(&monotonic);
        pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
        pthread_mutex_init(&job->lock, NULL);
        pthread_cond_init(&job->done, &monotonic);
        pthread_condattr_destroy(&monotonic);
        job->target = (dal__mysql_target *)(uintptr_t)target;
        dal__mysql_target_hold(job->target);
        job->session_id = session_id;
        job->since = since;
        job->n_holders = 1;
        return job;
}

static void release_job(struct stop_job *job)
{
        bool last;

        pthread_mutex_lock(&job->lock);
        last = --job->n_holders == 0;
        pthread_mutex_unlock(&job->lock);
        if (!last)
                return;
        dal__mysql_target_release(job->target);
        pthread_cond_destroy(&job->done);
        pthread_mutex_destroy(&job->lock);
        dal_mem_free(job);
}

/* As long as `pause_ms` and up to twice that, by the session: those of one moment don't come back in one moment. */
static void pause_for(const struct stop_job *job, uint32_t pause_ms)
{
        dal_deadline until = dal_clock_after_ms(pause_ms + (uint32_t)(job->session_id * 7 % pause_ms));
        struct timespec at = {(time_t)(until / 1000000000), (long)(until % 1000000000)};

        while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL) == EINTR)
                continue;
}

/*
 * When many deadlines pass at once, the sessions that are to stop their statements can be more than the server takes. If
 * they gave up, the abandoned statements would keep the connections that are wanted: the server would stay full of them.
 */
static dal_status stop_at_last(const struct stop_job *job)
{
        dal_deadline deadline = dal_clock_after_ms(STOP_MS);
        uint32_t pause_ms = FULL_PAUSE_MS;
        dal_error err;
        dal_status s;

        while ((s = dal__mysql_stop(job->target, job->session_id, job->since, deadline, &err)) != DAL_OK &&
               err.error_class == DAL_CLASS_TOO_MANY_CONNECTIONS && !dal_clock_passed(deadline)) {
                pause_for(job, pause_ms);
                pause_ms = pause_ms < FULL_PAUSE_MAX ? 2 * pause_ms : FULL_PAUSE_MAX;
        }
        return s;
}

static void run_job(void *arg)
{
        struct stop_job *job = arg;
        dal_status s = stop_at_last(job);

        pthread_mutex_lock(&job->lock);
        job->is_done = true;
        job->is_stopped = s == DAL_OK;
        pthread_cond_signal(&job->done);
        pthread_mutex_unlock(&job->lock);
        release_job(job);
}

bool dal__mysql_stop_by(const dal__mysql_target *target, uint64_t session_id, int64_t since,
                        dal_deadline limit)
{
        struct timespec ts = {(time_t)(limit / 1000000000), (long)(limit % 1000000000)};
        struct stop_job *job = new_job(target, session_id, since);
        bool stopped;

        if (!job)
                return false;
        job->n_holders = 2;
        if (dal__mysql_thread_start(run_job, job)) {
                pthread_mutex_lock(&job->lock);
                while (!job->is_done && pthread_cond_timedwait(&job->done, &job->lock, &ts) == 0)
                        continue;
                /* One that is still under way might strike a later statement: then the session is given up. */
                stopped = job->is_stopped;
                pthread_mutex_unlock(&job->lock);
        } else {
                job->n_holders = 1;
                stopped = false;
        }
        release_job(job);
        return stopped;
}
