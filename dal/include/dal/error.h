/* SPDX-License-Identifier: MIT */
#ifndef DAL_ERROR_H
#define DAL_ERROR_H

/*
 * Errors are values. Every fallible function returns a dal_status (zero is success) and fills the caller's
 * dal_error on failure; on success the error is left untouched, or cleared where a first try had failed. The status
 * is the portable answer to "what do I do now"; the class says precisely what happened; the four bits say what a
 * retry loop needs to know.
 *
 *      dal_error err = DAL_ERROR_INIT;
 *      if (dal_cluster_run(shop, key, NULL, place_order, &order, &err) != DAL_OK)
 *              fprintf(stderr, "%s\n", err.message);
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <dal/macros.h>

DAL_BEGIN_DECLS

/* X(name, text): the portable status list. */
#define DAL_STATUS_LIST(X)                                                                         \
        X(OK, "success")                                                                           \
        X(ERR_ARG, "an argument is wrong")                                                         \
        X(ERR_STATE, "the call is not legal in this state")                                        \
        X(ERR_NOMEM, "out of memory in this process")                                              \
        X(ERR_TIMEOUT, "the deadline passed")                                                      \
        X(ERR_CANCELED, "canceled on request")                                                     \
        X(ERR_EXHAUSTED, "no connection or server resource is free")                               \
        X(ERR_CONN, "the connection failed or was lost")                                           \
        X(ERR_AUTH, "login or privilege refused")                                                  \
        X(ERR_SQL, "the server refused the statement")                                             \
        X(ERR_CONSTRAINT, "a constraint was violated")                                             \
        X(ERR_CONFLICT, "lost against a concurrent transaction")                                   \
        X(ERR_READONLY, "the server or transaction is read-only")                                  \
        X(ERR_NOT_FOUND, "the named thing does not exist")                                         \
        X(ERR_UNSUPPORTED, "this engine or build cannot do it")                                    \
        X(ERR_ROUTE, "the key does not lead to one shard")                                         \
        X(ERR_IN_DOUBT, "the outcome of a commit is not known")                                    \
        X(ERR_INTERNAL, "a defect in the library or driver")                                       \
        X(ERR_APP, "refused by the application's own function")                                    \
        X(ERR_BUSY, "the connection is busy with an open cursor")                                  \
        X(ERR_RANGE, "a value does not fit its type")                                              \
        X(ERR_TOO_LARGE, "a value or request is too large")

typedef enum dal_status {
#define DAL_STATUS_ENUM(name, text) DAL_##name,
        DAL_STATUS_LIST(DAL_STATUS_ENUM)
#undef DAL_STATUS_ENUM
} dal_status;

/*
 * X(name, status, retry, text): what happened, one line per row of the taxonomy. `retry` says whether running
 * the whole transaction again can help: YES after a rollback, UNSENT only while COMMIT was not sent, NO never.
 */
#define DAL_ERROR_CLASS_LIST(X)                                                                    \
        X(NONE, OK, NO, "no error")                                                                \
        /* answers of the server */                                                                \
        X(UNIQUE, ERR_CONSTRAINT, NO, "unique or exclusion constraint violated")                   \
        X(FOREIGN_KEY, ERR_CONSTRAINT, NO, "foreign key violated")                                 \
        X(NOT_NULL, ERR_CONSTRAINT, NO, "NOT NULL violated")                                       \
        X(CHECK, ERR_CONSTRAINT, NO, "CHECK constraint violated")                                  \
        X(DATA, ERR_RANGE, NO, "value out of range, malformed or truncated")                       \
        X(SERIALIZATION, ERR_CONFLICT, YES, "serialization failure")                               \
        X(DEADLOCK, ERR_CONFLICT, YES, "deadlock victim")                                          \
        X(LOCK_TIMEOUT, ERR_CONFLICT, YES, "lock not granted in time")                             \
        X(STALE_MAP, ERR_CONFLICT, YES, "the slot has moved to another shard")                     \
        X(SLOT_BLOCKED, ERR_CONFLICT, YES, "the slot is being moved right now")                    \
        X(STALE_ROW, ERR_CONFLICT, YES, "the row was changed since it was read")                   \
        X(SCHEMA_CHANGED, ERR_CONFLICT, YES, "the table changed under a prepared statement")       \
        X(STATEMENT_TIMEOUT, ERR_TIMEOUT, NO, "the server's statement time limit passed")          \
        X(TX_TIMEOUT, ERR_CONN, UNSENT, "the server ended an idle or too long transaction")        \
        X(CANCELED, ERR_CANCELED, NO, "the statement was canceled")                                \
        X(CONNECTION_LOST, ERR_CONN, UNSENT, "the connection was lost")                            \
        X(CONNECT_FAILED, ERR_CONN, UNSENT, "no connection could be opened")                       \
        X(READ_ONLY_SERVER, ERR_READONLY, YES, "the server became read-only (failover)")           \
        X(READ_ONLY_TX, ERR_READONLY, NO, "a write in a read-only transaction or file")            \
        X(AUTH, ERR_AUTH, NO, "login refused")                                                     \
        X(PRIVILEGE, ERR_AUTH, NO, "privilege missing")                                            \
        X(SYNTAX, ERR_SQL, NO, "syntax error")                                                     \
        X(UNDEFINED_OBJECT, ERR_NOT_FOUND, NO, "table, column or other object does not exist")     \
        X(TOO_MANY_CONNECTIONS, ERR_EXHAUSTED, UNSENT, "the server has no connection left")        \
        X(OUT_OF_RESOURCES, ERR_EXHAUSTED, NO, "the server ran out of disk, memory or locks")      \
        X(PACKET_TOO_LARGE, ERR_TOO_LARGE, NO, "larger than the server or protocol accepts")       \
        X(COMMIT_UNKNOWN, ERR_IN_DOUBT, NO, "no reply to COMMIT")                                  \
        X(COMMIT_ROLLED_BACK, ERR_STATE, NO, "COMMIT was answered by ROLLBACK")                    \
        X(TX_ENDED, ERR_STATE, NO, "a statement ended the transaction implicitly")                 \
        X(TX_STATE, ERR_STATE, NO, "not legal in this transaction state")                          \
        X(XA, ERR_STATE, NO, "two-phase commit state error")                                       \
        X(UNSUPPORTED, ERR_UNSUPPORTED, NO, "not supported by this engine or build")               \
        X(SERVER_OTHER, ERR_SQL, NO, "another error of the server")                                \
        /* answers of the library */                                                               \
        X(ARGUMENT, ERR_ARG, NO, "bad argument")                                                   \
        X(STATE, ERR_STATE, NO, "call out of order")                                               \
        X(NO_MEMORY, ERR_NOMEM, NO, "allocation failed")                                           \
        X(DEADLINE, ERR_TIMEOUT, NO, "the caller's deadline passed")                               \
        X(POOL_EXHAUSTED, ERR_EXHAUSTED, NO, "no pooled connection fell free in time")             \
        X(BUSY, ERR_BUSY, NO, "a cursor is open on the connection")                                \
        X(NOT_EXECUTED, ERR_STATE, NO, "skipped because an earlier request failed")                \
        X(NULL_VALUE, ERR_RANGE, NO, "NULL where a value was asked for")                           \
        X(WRONG_TYPE, ERR_RANGE, NO, "the value has another type")                                 \
        X(OVERFLOW, ERR_RANGE, NO, "the value does not fit the target")                            \
        X(NO_ROW, ERR_NOT_FOUND, NO, "the query found no row")                                     \
        X(MISSING_KEY, ERR_ROUTE, NO, "no key given")                                              \
        X(OTHER_SHARD, ERR_ROUTE, NO, "the key belongs to another shard")                          \
        X(NO_SHARD, ERR_ROUTE, NO, "no shard owns the slot")                                       \
        X(APP, ERR_APP, NO, "refused by the application")                                          \
        X(INTERNAL, ERR_INTERNAL, NO, "defect")

typedef enum dal_error_class {
#define DAL_CLASS_ENUM(name, status, retry, text) DAL_CLASS_##name,
        DAL_ERROR_CLASS_LIST(DAL_CLASS_ENUM)
#undef DAL_CLASS_ENUM
} dal_error_class;

#define DAL_NO_SHARD UINT16_MAX

/** What went wrong. A plain value: no heap, nothing to release, free of secrets. */
typedef struct dal_error {
        dal_status status;
        dal_error_class error_class;
        int32_t vendor_code;  /* the engine's own number; 0 if it gave none */
        uint16_t shard;       /* where it happened; DAL_NO_SHARD if not on a shard */
        bool retry_tx;        /* running the whole transaction again may succeed */
        bool tx_gone;         /* the transaction is over, also by the loss of its connection */
        bool conn_gone;       /* the connection can't be used any more */
        bool not_sent;        /* not one byte of the request left this process */
        char sqlstate[6];     /* NUL-terminated; "" if the engine gave none */
        char constraint[64];  /* names as the server reports them; "" if it doesn't */
        char table[64];
        char column[64];
        char outcome_token[33]; /* hex; for asking later how an in-doubt commit ended; "" if none */
        char message[512];    /* one line for people, UTF-8; ends in an ellipsis where it was cut */
} dal_error;

#define DAL_ERROR_INIT                                                                             \
        {                                                                                          \
                DAL_OK, DAL_CLASS_NONE, 0, DAL_NO_SHARD, false, false, false, false, "", "", "",   \
                        "", "", ""                                                                 \
        }

/**
 * Fills an error with a class and a formatted message; returns the class's status.
 *
 * All other fields are reset; `retry_tx` is set from the class table. The message is cut at a character
 * boundary and then ends in an ellipsis.
 *
 * @param err  may be NULL: then only the status is returned
 * Threads: any. Blocks: no.
 */
dal_status dal_error_set(dal_error *err, dal_error_class error_class, const char *format, ...)
        DAL_PRINTF(3, 4);

/**
 * Refuses from inside an application's transaction function: `return dal_fail(err, DAL_ERR_APP, "...")`.
 *
 * @param status  any status but DAL_OK; the error's class is the plainest class of that status, INTERNAL for DAL_OK
 * Threads: any. Blocks: no.
 */
dal_status dal_error_fail(dal_error *err, dal_status status, const char *format, ...)
        DAL_PRINTF(3, 4);
#define dal_fail dal_error_fail

/** Returns the name of a status, "DAL_ERR_CONN". Static. Threads: any. Blocks: no. */
const char *dal_error_status_name(dal_status status);
/** Returns one sentence about a status. Static. Threads: any. Blocks: no. */
const char *dal_error_status_text(dal_status status);
/** Returns the name of a class in lower case, "lock_timeout". Static. Threads: any. Blocks: no. */
const char *dal_error_class_name(dal_error_class error_class);
/** Returns one sentence about a class. Static. Threads: any. Blocks: no. */
const char *dal_error_class_text(dal_error_class error_class);
/** Returns the status that a class maps to. Threads: any. Blocks: no. */
dal_status dal_error_class_status(dal_error_class error_class);

DAL_END_DECLS

#endif
