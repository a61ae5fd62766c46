/* SPDX-License-Identifier: MIT */
#ifndef SHOP_SERVICE_H
#define SHOP_SERVICE_H

/*
 * The frame of a service: it opens the shared database under its own name, reads work from standard input,
 * one record a line (wire.h), and answers on standard output, each piece of work by `done` or `error`. The
 * end of the input is its order to stop.
 */

#include <stdatomic.h>

#include <dal/dal.h>

#include "wire.h"

struct service {
        const char *name;   /* as the servers show it */
        const char *about;  /* for --help: what it does and what it reads */
        void (*stop)(void); /* may be NULL; called before the cluster is closed */
        dal_cluster *cluster;
        unsigned n_workers;
        atomic_ullong n_retries; /* transactions that ran again */
};

/** Does what a record asks for. A failure ends the service: the driver is told why. */
typedef dal_status service_handle_fn(struct service *service, const struct wire_record *record,
                                     dal_error *err);

/** The whole of main(). */
int service_main(struct service *service, int argc, char **argv, service_handle_fn *handle);

/** Answers one record to the driver, at once. */
#define service_reply(...) (wire_write(stdout, __VA_ARGS__), (void)fflush(stdout))

/** Refuses a record that the service does not know. */
dal_status service_unknown(const struct service *service, const struct wire_record *record, dal_error *err);

#endif
