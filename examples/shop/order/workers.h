/* SPDX-License-Identifier: MIT */
#ifndef SHOP_WORKERS_H
#define SHOP_WORKERS_H

/* Threads that enter orders, fed through a short queue, and how long each order took. */

#include <pthread.h>

#include "../common/service.h"
#include "order.h"

#define WORKERS_QUEUE 64

struct workers {
        struct service *service;
        pthread_mutex_t lock;
        pthread_cond_t changed;
        struct order *queue[WORKERS_QUEUE];
        size_t n_queued, n_done;
        bool closing;
        dal_status status; /* the first failure; then nothing more is started */
        dal_error err;
        int64_t *took_ns; /* of each order entered */
        size_t n_allocated;
        int64_t started_ns, reported_ns;
        pthread_t *threads;
        unsigned n_threads;
};

dal_status workers_start(struct workers *workers, struct service *service, dal_error *err);
/** Hands over an order, which is freed in any case; waits while the queue is full. */
dal_status workers_place(struct workers *workers, struct order *order, dal_error *err);
/** Waits until all orders are entered, ends the threads, and answers `done` to the driver. */
dal_status workers_finish(struct workers *workers, dal_error *err);
/** Lets the orders that are being entered end, drops the rest, and ends the threads. */
void workers_stop(struct workers *workers);

#endif
