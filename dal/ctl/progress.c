/* SPDX-License-Identifier: MIT */
#include "ctl.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* A thread redraws the line, for the work itself is blocked inside one long statement. */
#define REDRAW_MS    200
#define QUIET_FOR_MS 400 /* short work shows nothing */

static struct {
        pthread_t thread;
        pthread_mutex_t lock;
        pthread_cond_t wake;
        bool is_on;
        bool is_ending;
        bool is_drawn;
        char text[256];
        int64_t since;
} line = {.lock = PTHREAD_MUTEX_INITIALIZER, .wake = PTHREAD_COND_INITIALIZER};

static void draw(const char *text, int64_t elapsed_ms)
{
        (void)fprintf(stderr, "\r\033[K%.200s  %lld.%lld s", text, (long long)(elapsed_ms / 1000),
                      (long long)(elapsed_ms % 1000 / 100));
        (void)fflush(stderr);
}

static void *redraw(void *unused)
{
        (void)unused;
        (void)pthread_mutex_lock(&line.lock);
        while (!line.is_ending) {
                struct timespec until;
                char text[sizeof line.text];
                int64_t elapsed_ms = (dal_clock_now() - line.since) / 1000000;
                (void)clock_gettime(CLOCK_REALTIME, &until);
                until.tv_nsec += REDRAW_MS * 1000000L;
                until.tv_sec += until.tv_nsec / 1000000000L;
                until.tv_nsec %= 1000000000L;
                if (line.text[0] && elapsed_ms >= QUIET_FOR_MS) {
                        (void)memcpy(text, line.text, sizeof text);
                        line.is_drawn = true;
                        (void)pthread_mutex_unlock(&line.lock);
                        draw(text, elapsed_ms);
                        (void)pthread_mutex_lock(&line.lock);
                }
                if (!line.is_ending)
                        (void)pthread_cond_timedwait(&line.wake, &line.lock, &until);
        }
        (void)pthread_mutex_unlock(&line.lock);
        return NULL;
}

void ctl_progress_begin(void)
{
        if (line.is_on || !isatty(STDERR_FILENO))
                return;
        line.is_ending = false;
        line.is_drawn = false;
        line.text[0] = '\0';
        line.is_on = pthread_create(&line.thread, NULL, redraw, NULL) == 0;
}

void ctl_progress_say(const char *format, ...)
{
        va_list args;
        if (!line.is_on)
                return;
        va_start(args, format);
        (void)pthread_mutex_lock(&line.lock);
        (void)vsnprintf(line.text, sizeof line.text, format, args);
        line.since = dal_clock_now();
        (void)pthread_mutex_unlock(&line.lock);
        va_end(args);
}

void ctl_progress_clear(void)
{
        bool was_drawn;
        if (!line.is_on)
                return;
        (void)pthread_mutex_lock(&line.lock);
        was_drawn = line.is_drawn;
        line.is_drawn = false;
        line.text[0] = '\0';
        (void)pthread_mutex_unlock(&line.lock);
        if (was_drawn)
                (void)fputs("\r\033[K", stderr);
}

void ctl_progress_end(void)
{
        if (!line.is_on)
                return;
        (void)pthread_mutex_lock(&line.lock);
        line.is_ending = true;
        (void)pthread_cond_signal(&line.wake);
        (void)pthread_mutex_unlock(&line.lock);
        (void)pthread_join(line.thread, NULL);
        line.is_on = false;
        if (line.is_drawn)
                (void)fputs("\r\033[K", stderr);
}
