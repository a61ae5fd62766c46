/* SPDX-License-Identifier: MIT */
#ifndef DAL_MYSQL_FAULT_H
#define DAL_MYSQL_FAULT_H

/* From what the server or the client library said to a dal_error. Pure: needs no client library, so it can be tested
 * without one. */

#include <stdbool.h>

#include <dal/error.h>

/** One failure, as reported. All borrowed. */
typedef struct dal__mysql_fault {
        unsigned code; /* the server's number, or 2000 ... 2999 and 5000 ... for the client library's own */
        const char *sqlstate; /* five characters */
        const char *message;
        const char *where; /* what failed, put in front of the message; NULL = nothing */
        bool mariadb;      /* which server: the same number can mean different things */
        bool connecting;   /* the session was not open yet */
        bool committing;   /* this answered COMMIT: an answer of the server means it rolled back */
} dal__mysql_fault;

/** Fills an error completely; `not_sent` is left to the caller. Returns its status. */
dal_status dal__mysql_fault_error(const dal__mysql_fault *fault, dal_error *err);

#endif
