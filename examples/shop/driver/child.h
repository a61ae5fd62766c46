/* SPDX-License-Identifier: MIT */
#ifndef SHOP_CHILD_H
#define SHOP_CHILD_H

/* The services as child processes, and the talk with them (../common/wire.h) over a socket pair. */

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "../common/wire.h"

struct child {
        const char *name; /* its program */
        pid_t pid;        /* 0 = not running */
        int fd;
        char *reply; /* what has arrived of the next reply line */
        size_t reply_size, reply_allocated;
};

/** Called for each reply that is neither `done` nor `error`. */
typedef void child_reply_fn(void *arg, const struct wire_record *reply);

/** Starts the program `name`, which stands in the directory `dir`. */
bool child_start(struct child *child, const char *dir, const char *name, int n_workers, char *error,
                 size_t size);

/**
 * Sends records and waits until the service has answered `done`.
 *
 * @param done  the `done` record; its storage is borrowed until the next call. May be NULL
 */
bool child_talk(struct child *child, const char *records, size_t records_size, child_reply_fn *on_reply,
                void *arg, struct wire_record *done, char *error, size_t size);

/** Ends a service by closing its input, and waits for it; false when it did not end well. */
bool child_stop(struct child *child);

/** Runs a tool to its end; when it fails, what it printed is the error. */
bool child_run_tool(char *const argv[], char *error, size_t size);

/** From now on SIGINT and SIGTERM make the calls above fail, so that everything is tidied up. */
void child_catch_signals(void);

#endif
