/* SPDX-License-Identifier: MIT */
#include "workers.h"

#include <stdlib.h>
#include <string.h>

#define REPORT_EVERY_NS 100000000 /* progress, ten times a second */

/* Waits for an order; NULL when there will be no more. */
static struct order *next_order(struct workers *w)
{
        struct order *order = NULL;

        pthread_mutex_lock(&w->lock);
        while (w->n_queued == 0 && !w->closing && w->status == DAL_OK)
                pthread_cond_wait(&w->changed, &w->lock);
        if (w->n_queued > 0 && w->status == DAL_OK) {
                order = w->queue[0];
                memmove(w->queue, w->queue + 1, --w->n_queued * sizeof *w->queue);
                pthread_cond_broadcast(&w->changed);
        }
        pthread_mutex_unlock(&w->lock);
        return order;
}

static void note(struct workers *w, dal_status s, const dal_error *err, int64_t took_ns)
{
        pthread_mutex_lock(&w->lock);
        if (s == DAL_OK && w->n_done == w->n_allocated) {
                size_t n = w->n_allocated ? 2 * w->n_allocated : 4096;
                int64_t *more = realloc(w->took_ns, n * sizeof *more);
                if (more) {
                        w->took_ns = more;
                        w->n_allocated = n;
                } else {
                        s = w->status = dal_fail(&w->err, DAL_ERR_NOMEM, "out of memory");
                }
        } else if (s && w->status == DAL_OK) {
                w->status = s;
                w->err = *err;
        }
        if (s == DAL_OK)
                w->took_ns[w->n_done++] = took_ns;
        else
                pthread_cond_broadcast(&w->changed);
        pthread_mutex_unlock(&w->lock);
}

static void *work(void *arg)
{
        struct workers *w = arg;
        struct order *order;

        while ((order = next_order(w))) {
                dal_error err = DAL_ERROR_INIT;
                int64_t start = dal_clock_now();
                dal_status s = order_place(w->service->cluster, order, &err);
                note(w, s, &err, dal_clock_now() - start);
                order_free(order);
        }
        return NULL;
}

dal_status workers_start(struct workers *w, struct service *service, dal_error *err)
{
        memset(w, 0, sizeof *w);
        w->service = service;
        pthread_mutex_init(&w->lock, NULL);
        pthread_cond_init(&w->changed, NULL);
        w->started_ns = w->reported_ns = dal_clock_now();
        w->threads = calloc(service->n_workers, sizeof *w->threads);
        if (!w->threads)
                return dal_fail(err, DAL_ERR_NOMEM, "out of memory");
        for (; w->n_threads < service->n_workers; w->n_threads++)
                if (pthread_create(&w->threads[w->n_threads], NULL, work, w) != 0)
                        return dal_fail(err, DAL_ERR_EXHAUSTED,
                                        "thread %u of %u can't be started: use fewer --workers",
                                        w->n_threads + 1, service->n_workers);
        return DAL_OK;
}

dal_status workers_place(struct workers *w, struct order *order, dal_error *err)
{
        int64_t now = dal_clock_now();
        size_t n_done;
        dal_status s;

        pthread_mutex_lock(&w->lock);
        while (w->n_queued == WORKERS_QUEUE && w->status == DAL_OK)
                pthread_cond_wait(&w->changed, &w->lock);
        s = w->status;
        if (s == DAL_OK)
                w->queue[w->n_queued++] = order;
        else
                *err = w->err;
        n_done = w->n_done;
        pthread_cond_broadcast(&w->changed);
        pthread_mutex_unlock(&w->lock);

        if (s)
                order_free(order);
        if (now - w->reported_ns > REPORT_EVERY_NS) {
                w->reported_ns = now;
                service_reply("progress", "i", (int64_t)n_done);
        }
        return s;
}

static int by_size(const void *a, const void *b)
{
        const int64_t *x = a, *y = b;

        return (*x > *y) - (*x < *y);
}

/* The smallest measured time that `percent` of all orders did not exceed, in microseconds. */
static int64_t percentile_us(const struct workers *w, size_t percent)
{
        size_t rank = (w->n_done * percent + 99) / 100;

        return w->n_done ? w->took_ns[rank - 1] / 1000 : 0;
}

dal_status workers_finish(struct workers *w, dal_error *err)
{
        int64_t elapsed_us;
        dal_status s;

        pthread_mutex_lock(&w->lock);
        w->closing = true;
        pthread_cond_broadcast(&w->changed);
        pthread_mutex_unlock(&w->lock);
        for (unsigned i = 0; i < w->n_threads; i++)
                pthread_join(w->threads[i], NULL);
        elapsed_us = (dal_clock_now() - w->started_ns) / 1000;

        s = w->status;
        if (s)
                *err = w->err;
        else if (w->n_done > 0)
                qsort(w->took_ns, w->n_done, sizeof *w->took_ns, by_size);
        if (s == DAL_OK)
                service_reply("done", "iiiii", (int64_t)w->n_done, elapsed_us,
                              (int64_t)atomic_load(&w->service->n_retries), percentile_us(w, 50),
                              percentile_us(w, 99));
        for (size_t i = 0; i < w->n_queued; i++)
                order_free(w->queue[i]);
        free(w->took_ns);
        free(w->threads);
        pthread_cond_destroy(&w->changed);
        pthread_mutex_destroy(&w->lock);
        memset(w, 0, sizeof *w);
        return s;
}

void workers_stop(struct workers *w)
{
        dal_error ignored = DAL_ERROR_INIT;

        pthread_mutex_lock(&w->lock);
        if (w->status == DAL_OK)
                w->status = DAL_ERR_CANCELED;
        pthread_mutex_unlock(&w->lock);
        (void)workers_finish(w, &ignored);
}
