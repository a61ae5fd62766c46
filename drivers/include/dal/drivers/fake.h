/* SPDX-License-Identifier: MIT */
#ifndef DAL_DRIVERS_FAKE_H
#define DAL_DRIVERS_FAKE_H

/*
 * The fake driver: a small server in memory whose every answer a test can script. Also the template for new
 * drivers: the same files, the same order, nothing of a client library in the way.
 *
 *      dal_fake_server *server = dal_fake_new();
 *      char url[DAL_FAKE_URL_SIZE];
 *      dal_fake_url(server, url);
 *      dal_fake_on(server, "find_user", find_user_handler, NULL);
 *      dal_fake_inject(server, &(dal_fake_fault){.at = DAL_FAKE_AT_REQUEST, .match = "COMMIT",
 *                              .error_class = DAL_CLASS_CONNECTION_LOST, .executed = true});
 *
 * Two tables over the same server. dal_driver_fake() behaves as PostgreSQL does: a flush is one round trip,
 * and any error leaves the transaction failed until ROLLBACK. dal_driver_fake_modal() behaves as the MySQL
 * family does: one round trip for each request, autocommit or transaction mode, an error undoes only its
 * statement, but a deadlock ends the transaction and the session goes on as if nothing had happened.
 *
 * What was executed is written to a journal, one line for each request:
 *
 *      OPEN, CLOSE, PING, RESET, CANCEL, KILL
 *      BEGIN, with READ COMMITTED | REPEATABLE READ | SERIALIZABLE, and READ ONLY, behind it
 *      COMMIT, ROLLBACK, SAVEPOINT 1, RELEASE 1, ROLLBACK TO 1, LIMITS, MODE tx, MODE autocommit
 *      the name of a statement; the text of one without a name; SCRIPT and the text
 *
 * A line of a request that failed ends in " !" and the name of the class: "put_row !unique". A BEGIN that the
 * transaction mode makes unnecessary is written too, but costs no round trip.
 *
 * Every function here may be called by any thread at any time unless it says otherwise, and none but the
 * handlers blocks.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <dal/driver.h>
#include <dal/error.h>
#include <dal/macros.h>
#include <dal/stmt.h>
#include <dal/value.h>

DAL_BEGIN_DECLS

/** Returns the table of the pipelining kind, scheme "fake". Static. Threads: any. Blocks: no. */
const dal_driver *dal_driver_fake(void);
/**
 * Returns the table of the kind with transaction mode, scheme "fakemodal". Static. Threads: any. Blocks:
 * no.
 */
const dal_driver *dal_driver_fake_modal(void);

typedef struct dal_fake_server dal_fake_server;

/** Makes a server; NULL when there is no memory. Ownership: dal_fake_free(). */
dal_fake_server *dal_fake_new(void);
/** Frees a server; every connection must have been closed. Accepts NULL. */
void dal_fake_free(dal_fake_server *server);

#define DAL_FAKE_URL_SIZE 64
/** Writes the URL that leads to this server by dal_driver_fake(). */
void dal_fake_url(const dal_fake_server *server, char out[DAL_FAKE_URL_SIZE]);
/** Writes the URL that leads to this server by dal_driver_fake_modal(). */
void dal_fake_url_modal(const dal_fake_server *server, char out[DAL_FAKE_URL_SIZE]);

/** Sets the dialect that new connections report; the common one at first. */
void dal_fake_set_dialect(dal_fake_server *server, dal_dialect dialect);
/** Sets dal_driver_info.max_prepared of new connections; 0, no limit, at first. Nothing is refused beyond it. */
void dal_fake_set_max_prepared(dal_fake_server *server, uint32_t max_prepared);
/** Sets dal_driver_info.server of new connections, as if another server had taken over; 0, not known, at first. */
void dal_fake_set_identity(dal_fake_server *server, uint64_t identity);
/**
 * Gives the connections a descriptor to wait for: they are ready for the next result or row while it can be read. Nothing
 * is read from it, and whoever asks without waiting is answered. -1, always ready, at first.
 */
void dal_fake_set_gate(dal_fake_server *server, int fd);
/** Sets how far the server's clock is ahead of this machine's, for what dal_fake_add_outcomes() answers; 0 at first. */
void dal_fake_set_clock(dal_fake_server *server, int64_t ahead_s);
/**
 * Gives the server a table dal_outcome (see dal/outcome.h) and the answers for it. In the store its rows have the last
 * eight bytes of the token for a key, and one cell: the state.
 *
 * @return false when there is no memory
 */
bool dal_fake_add_outcomes(dal_fake_server *server);
/** Takes the server down: all sessions are killed and new ones refused; or lets it return, its data kept. */
void dal_fake_set_down(dal_fake_server *server, bool down);
/** Ends one session (its number is its dal_driver_info.session_id; 0 = all), as an administrator would. */
void dal_fake_kill(dal_fake_server *server, uint64_t session_id);

/*
 * Scripted answers
 */

/** One execution of one statement, seen from the server; valid until the handler returns. */
typedef struct dal_fake_call dal_fake_call;
/** Answers a statement. Runs on the thread of the connection, several at a time, without locks. */
typedef void dal_fake_handler(void *arg, dal_fake_call *call);

/**
 * Sets what answers a statement.
 *
 * @param name     the statement's name; for one without a name, and for a script, its whole text; a name
 *                 that ends in `*` stands for all that begin so. The one set last wins. Copied
 * @param handler  NULL restores the default: no rows, a count of 1
 * @param arg      kept
 * @return false when there is no memory
 */
bool dal_fake_on(dal_fake_server *server, const char *name, dal_fake_handler *handler, void *arg);

/** Returns the statement's name, or its text when it has none. */
const char *dal_fake_call_name(const dal_fake_call *call);
/** Returns the parameters. */
dal_params dal_fake_call_params(const dal_fake_call *call);
/** Returns the session's number. */
uint64_t dal_fake_call_session(const dal_fake_call *call);
/** Says that rows follow, perhaps none. The names must be static. */
void dal_fake_call_columns(dal_fake_call *call, const char *const *names, uint32_t n_columns);
/** Adds a row; its cells are copied. Without dal_fake_call_columns() the columns have no names. */
void dal_fake_call_row(dal_fake_call *call, dal_params cells);
/** Sets the count of rows matched, which is 0 for a handler that sets none. */
void dal_fake_call_count(dal_fake_call *call, int64_t n_rows);
/** Sets the generated id. */
void dal_fake_call_insert_id(dal_fake_call *call, int64_t id);
/** Fails the statement. With rows already added the error comes after them. `constraint` may be NULL. */
void dal_fake_call_fail(dal_fake_call *call, dal_error_class error_class, const char *constraint,
                        const char *format, ...) DAL_PRINTF(4, 5);
/** Says whether the statement has failed. */
bool dal_fake_call_failed(const dal_fake_call *call);
/** Spends time; false when it ended early, by the deadline, a limit, a cancel or a kill: then just return. */
bool dal_fake_call_sleep(dal_fake_call *call, uint32_t ms);
/** Sets one number that belongs to the session and must not survive a reset. */
void dal_fake_call_set(dal_fake_call *call, int64_t setting);
/** Returns that number; 0 in the normal state. */
int64_t dal_fake_call_get(const dal_fake_call *call);

/*
 * A little storage for handlers: rows of cells by table and number, with transactions, row locks, deadlock
 * detection and savepoints. Reads see what is committed and what the session wrote itself. Under REPEATABLE
 * READ and SERIALIZABLE a write to a row that changed since the transaction began is a serialization
 * failure.
 *
 * Each returns false when the statement failed, the reason being set: the handler then just returns. What
 * waits for a row lock blocks until the statement's limits.
 */

/** Adds a row; UNIQUE (constraint "<table>_pkey") if the key is taken. Cells are copied. */
bool dal_fake_store_insert(dal_fake_call *call, const char *table, int64_t key, dal_params cells);
/** Replaces a row's cells. */
bool dal_fake_store_update(dal_fake_call *call, const char *table, int64_t key, dal_params cells,
                           bool *found_out);
/** Removes a row. */
bool dal_fake_store_delete(dal_fake_call *call, const char *table, int64_t key, bool *found_out);
/** Reads a row, with or without locking it. Ownership: *cells_out is borrowed until the next store call. */
bool dal_fake_store_get(dal_fake_call *call, const char *table, int64_t key, bool for_update,
                        const dal_value **cells_out, bool *found_out);
/** Counts the rows from one key to another, both inclusive. */
bool dal_fake_store_count(dal_fake_call *call, const char *table, int64_t from, int64_t to,
                          int64_t *n_rows_out);
/** Adds the rows from one key to another, both inclusive, to the answer, in order; counts them. */
bool dal_fake_store_select(dal_fake_call *call, const char *table, int64_t from, int64_t to,
                           int64_t *n_rows_out);

/*
 * Faults
 */

typedef enum dal_fake_point {
        DAL_FAKE_AT_REQUEST, /* when the server executes a request */
        DAL_FAKE_AT_FETCH,   /* when a row is fetched; `match` is about its request */
        DAL_FAKE_AT_OPEN,
        DAL_FAKE_AT_PING,
        DAL_FAKE_AT_RESET,
        DAL_FAKE_AT_CANCEL,
        DAL_FAKE_AT_FLUSH
} dal_fake_point;

/** Something that goes wrong. All zero but for what is wanted. */
typedef struct dal_fake_fault {
        dal_fake_point at;
        const char *match; /* only where the journal line begins so; NULL = anywhere. Copied, 31 bytes */
        uint32_t skip;     /* let so many pass first */
        uint32_t times;    /* how often it strikes: 0 = once, UINT32_MAX = always */
        uint32_t delay_ms; /* first wait, within the deadline */
        bool hang;         /* wait until the deadline, a cancel or a kill */
        dal_error_class
                error_class; /* NONE = nothing but the wait. COMMIT_ROLLED_BACK rolls back. The loss of
                                        the connection implies conn_gone */
        bool executed;       /* the work was done, only the answer is bad */
        bool conn_gone;      /* the connection ends with it */
        bool tx_gone;        /* the server ends the transaction; implied for DEADLOCK of the modal kind */
        bool not_sent;       /* nothing reached the server */
} dal_fake_fault;

/** Adds a fault; of several that fit, the one added first strikes. At most 32 wait at a time. */
bool dal_fake_inject(dal_fake_server *server, const dal_fake_fault *fault);
/** Removes all faults. */
void dal_fake_clear_faults(dal_fake_server *server);

/*
 * What happened
 */

typedef struct dal_fake_stats {
        uint32_t n_live;  /* sessions open now */
        uint32_t n_in_tx; /* of those, in a transaction */
        uint64_t n_opened, n_refused, n_closed;
        uint64_t n_round_trips; /* without OPEN and CLOSE */
        uint64_t n_requests;
        uint64_t n_prepared;
        uint64_t n_commits, n_rollbacks; /* of transactions that were begun by BEGIN or by the mode */
        uint64_t n_faults;               /* that struck */
        uint32_t statement_timeout_ms, lock_timeout_ms; /* as set last by OPEN, BEGIN or LIMITS */
} dal_fake_stats;

/** Copies the counters. */
dal_fake_stats dal_fake_get_stats(dal_fake_server *server);

/**
 * Copies the journal, each line ended by a newline.
 *
 * @param session_id  lines of one session; 0 = all
 * @return the size that the whole text needs, without the NUL; more than fits is cut
 */
size_t dal_fake_journal(dal_fake_server *server, uint64_t session_id, char *out, size_t out_size);
/** Says how many lines of the journal begin so. */
uint32_t dal_fake_journal_count(dal_fake_server *server, const char *prefix);
/** Empties the journal. */
void dal_fake_journal_clear(dal_fake_server *server);
/** Reads a committed row from outside any session: its first cell, when that is an integer. */
bool dal_fake_peek(dal_fake_server *server, const char *table, int64_t key, int64_t *first_cell_out);

DAL_END_DECLS

#endif
