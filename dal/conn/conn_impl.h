/* SPDX-License-Identifier: MIT */
#ifndef DAL_CONN_CONN_IMPL_H
#define DAL_CONN_CONN_IMPL_H

#include <dal/conn.h>

#include <stdatomic.h>
#include <sys/types.h>

/* What the pool and the transaction rooms need of a connection beyond its public face. */

/*
 * What the connections of one pool let each other know. Whoever changes one of the other members adds to `n` after
 * that, so that one look at `n` tells whether there is any news.
 */
typedef struct dal__conn_news {
        _Atomic uint32_t n;
        _Atomic uint32_t n_schema; /* changes of the schema */
} dal__conn_news;

typedef struct dal__conn_process dal__conn_process;

/*
 * Makes a connection, on which nothing was prepared yet, one of a pool's; `max_size` share what the server offers, and
 * `process` is the one that it works in.
 */
void dal__conn_join(dal_conn *conn, dal__conn_news *news, const dal__conn_process *process,
                    uint32_t max_size);
/* After a statement that changed the schema, or told of a change: drops what was prepared, and tells the pool. */
void dal__conn_note_schema(dal_conn *conn);
/* Drops what was prepared before the last change of the schema that the pool knows of. */
void dal__conn_hear(dal_conn *conn);

/* The mode the session is in; always false for engines without DAL_CAP_TX_MODE. */
bool dal__conn_tx_mode(const dal_conn *conn);
/* Goes to a mode while idle: one round trip if it differs, none otherwise. */
dal_status dal__conn_set_tx_mode(dal_conn *conn, bool tx_mode, dal_deadline deadline, dal_error *err);

/*
 * Makes a connection fit for its next user: cursor closed, rolled back, session settings undone. *reusable_out is
 * decided by the server's word, never by our counter; a connection that is not reusable must be closed.
 */
void dal__conn_clean(dal_conn *conn, dal_deadline deadline, bool *reusable_out);
/* Says whether there is nothing to clean: the everyday case, without I/O. */
bool dal__conn_is_clean(dal_conn *conn);
/* Says whether the connection is lost or doubtful; no I/O. */
bool dal__conn_is_broken(const dal_conn *conn);
/* Returns why; NONE when it is not, or for want of an answer. */
dal_error_class dal__conn_broken_by(const dal_conn *conn);

/* The pool's own note, kept with the connection: finds the lease again without a search. */
void dal__conn_set_lease(dal_conn *conn, void *lease);
void *dal__conn_lease(const dal_conn *conn);

/* Opens a session that starts in the wanted mode. */
dal_status dal__conn_open_mode(const dal_driver *driver, const dal_dsn *dsn, const dal_conn_options *options,
                               bool tx_mode, dal_deadline deadline, dal_conn **out, dal_error *err);

/* Copies parameters into one block, NULL for none: the values, then the bytes they point to. */
dal_status dal__conn_copy_params(dal_params params, dal_value **out, dal_error *err);
/* Queues a statement to travel with whatever is sent next; parameters are copied, and its result is nobody's. */
dal_status dal__conn_queue(dal_conn *conn, const dal_stmt *stmt, dal_params params, dal_error *err);
/* Sends what is queued, if anything, and waits for its results. */
dal_status dal__conn_flush(dal_conn *conn, dal_deadline deadline, dal_error *err);
/* Says whether queued statements wait to be sent (a waiting BEGIN or SAVEPOINT does not count). */
bool dal__conn_has_queued(const dal_conn *conn);

/* Savepoints; setting and releasing one travels with the next statement, going back to one is done at once. */
dal_status dal__conn_savepoint(dal_conn *conn, uint32_t number, dal_error *err);
dal_status dal__conn_release_savepoint(dal_conn *conn, uint32_t number, dal_error *err);
dal_status dal__conn_rollback_to(dal_conn *conn, uint32_t number, dal_deadline deadline, dal_error *err);

/*
 * Loads rows by the driver's own way, if it has one that serves; see driver_bulk.h. `name` leads messages. *err is
 * needed.
 */
dal_status dal__conn_bulk(dal_conn *conn, const char *name, const dal_driver_bulk *load,
                          dal_deadline deadline, bool *taken_out, uint32_t *i_row_out, dal_error *err);
/* Refuses what would be refused of a statement before it is sent: the connection is lost, busy or spoilt, or it is late. */
dal_status dal__conn_check_ready(dal_conn *conn, dal_deadline deadline, dal_error *err);
/*
 * A statement that is in no cache, for many runs while the connection is lent: `stmt` outlives it, and it is ended before
 * the connection goes back. Its parameters were checked by the caller, and its rows are not wanted.
 */
struct dal__cached_stmt;
dal_status dal__conn_make_stmt(dal_conn *conn, const dal_stmt *stmt, struct dal__cached_stmt **out,
                               dal_error *err);
dal_status dal__conn_run_made(dal_conn *conn, struct dal__cached_stmt *entry, dal_params params,
                              dal_deadline deadline, dal_error *err);
void dal__conn_end_stmt(dal_conn *conn, struct dal__cached_stmt *entry);

/*
 * Fan-out: sends a query without waiting, later takes its rows. Between the two nothing else may be asked of the
 * connection.
 */
dal_status dal__conn_send_query(dal_conn *conn, const dal_stmt *stmt, dal_params params,
                                dal_deadline deadline, dal_error *err);
dal_status dal__conn_take_rows(dal_conn *conn, dal_rows **out, dal_error *err);
/* Says whether the first of these two really sends; else the query is run when its rows are taken. */
bool dal__conn_sends_ahead(dal_conn *conn);
/* What the next step, taking the rows or fetching one, would have to wait for. No I/O but reading what has come. */
typedef enum dal__conn_wait {
        DAL__CONN_READY,  /* nothing */
        DAL__CONN_WAITS,  /* *fd_out */
        DAL__CONN_UNKNOWN /* the driver can't tell */
} dal__conn_wait;
dal__conn_wait dal__conn_waits_for(dal_conn *conn, int *fd_out, bool *want_write_out);
/*
 * Nobody wants the rest of what was sent: what still runs is canceled if it only reads or its time is up, and releasing
 * the connection then waits until `grace` at most.
 */
void dal__conn_abandon(dal_conn *conn, const dal_stmt *stmt, dal_deadline grace);

/*
 * Flights, for batches: requests that are sent together and whose results are taken one by one. From begin to end the
 * connection is busy for everybody else. When it has to be free (at COMMIT, at the end of the function), `end` is
 * called: it takes what is unread. At most DAL__FLIGHT_MAX statements are in one flight.
 */
#define DAL__FLIGHT_MAX 512u
dal_status dal__conn_flight_begin(dal_conn *conn, size_t n_stmts, dal_deadline deadline,
                                  void (*end)(void *arg), void *arg, dal_error *err);
/*
 * Adds a statement to the flight that is made ready; its parameters must live until its result was taken.
 * *added_out is false when it has to wait for the next one. Only when all results of the last flight were taken.
 */
dal_status dal__conn_flight_add(dal_conn *conn, const dal_stmt *stmt, dal_params params, bool independent,
                                bool *added_out, dal_error *err);
/*
 * Sends the flight, with what waits ahead of it. Only the first *n_sent_out statements were taken up; the failure is
 * that of the first one, or with *ahead_failed_out that of what stood ahead. With conn_gone, and not_sent not set, the
 * server may have seen any of them.
 */
dal_status dal__conn_flight_send(dal_conn *conn, size_t *n_sent_out, bool *ahead_failed_out, dal_error *err);
/* Returns how many results can still be taken. */
size_t dal__conn_flight_left(const dal_conn *conn);
/* Ends the result before and takes the next one; *err is needed. */
dal_status dal__conn_flight_take(dal_conn *conn, dal_result *out, dal_error *err);
/* The rows of the result taken last. */
dal_status dal__conn_flight_row(dal_conn *conn, const dal_value **cells_out, dal_error *err);
void dal__conn_flight_end_rows(dal_conn *conn);
const char *dal__conn_flight_column(const dal_conn *conn, uint32_t i_column);
/* Ends it; results that were not taken are dropped, until the deadline. Does nothing without one. */
void dal__conn_flight_end(dal_conn *conn);

/*
 * As dal_conn_commit() with a token of 32 hex digits, NULL for none, that is written to `table` with it if the
 * transaction wrote anything. With DAL_ERR_IN_DOUBT the error then holds the token.
 */
dal_status dal__conn_commit(dal_conn *conn, const char *table, const char *token, dal_deadline deadline,
                            dal_error *err);
/* Says whether the number of the transaction can be asked for behind this statement, the first that writes. */
bool dal__conn_may_number(dal_conn *conn, const dal_stmt *stmt);
/* As dal_conn_exec(), and asks for the transaction's number in the same flush; "" when it has none. See driver.h. */
#define DAL__CONN_NUMBER_SIZE 27
dal_status dal__conn_exec_numbered(dal_conn *conn, const dal_stmt *stmt, dal_params params,
                                   dal_deadline deadline, int64_t *n_rows_out,
                                   char number[DAL__CONN_NUMBER_SIZE], dal_error *err);
const char *dal__conn_number_state_query(const dal_conn *conn);
/* The driver's own calls for what became of a lost COMMIT: see driver.h. NULL, and DAL_OK, where it has none. */
const char *dal__conn_token_query(const dal_conn *conn);
dal_status dal__conn_end_session(dal_conn *conn, uint64_t session_id, uint32_t min_age_ms,
                                 dal_deadline deadline, dal_error *err);
/* Says whether the open transaction may have written something. */
bool dal__conn_has_written(const dal_conn *conn);
/* Makes of a failure one that says that an effect is not known; `what` leads the cause's own message. */
void dal__conn_doubt(const char *what, dal_error *failure);
/* Ends the cursors that are open; an error that their rows still had spoils the transaction. */
void dal__conn_finish_rows(dal_conn *conn);
/* Returns the failure that left a transaction fit for nothing but rollback; NULL while all is well. */
const dal_error *dal__conn_spoilt_by(const dal_conn *conn);
/* Notes that the transaction, if one is open, can only be rolled back, and why; the first reason stays. */
void dal__conn_spoil(dal_conn *conn, const dal_error *failure);
/* Until when a rollback may take: it is worth a moment even after the caller's time is up. */
dal_deadline dal__conn_grace(dal_deadline deadline);

/*
 * Runs a statement for its rows, which are set by success only, for a deadline that was set a moment ago: the clock is
 * not asked. Without `rows_out` it runs as dal_conn_exec() does up to the counting.
 */
dal_status dal__conn_run_fresh(dal_conn *conn, const dal_stmt *stmt, dal_params params, dal_deadline deadline,
                               dal_rows **rows_out, dal_error *err);
/* What dal_conn_exec() does behind the running of a statement, which gave `s`. */
dal_status dal__conn_finish_exec(dal_conn *conn, dal_status s, dal_deadline deadline, int64_t *n_rows_out,
                                 dal_error *err);
/* Labels rows of a connection with the shard they come from. */
void dal__conn_set_rows_shard(dal_rows *rows, uint16_t shard);
/* Says whether a statement only reads, by its first word. */
bool dal__conn_is_read(dal_conn *conn, const dal_stmt *stmt);
/* Says whether a statement that was refused outside a transaction has done nothing at all. */
bool dal__conn_is_atomic(dal_conn *conn, const dal_stmt *stmt);

/* Which process opened something: see conn_fork.c. */
struct dal__conn_process {
        volatile char
                *mark; /* 1 in that process, 0 in its children; NULL = not marked, or the kernel can't */
        pid_t pid;
};

/* Marks this process as the owner; false when there is no memory. */
bool dal__conn_mark_process(dal__conn_process *process);
void dal__conn_unmark_process(dal__conn_process *process);
bool dal__conn_has_other_pid(const dal__conn_process *process);
/* Makes a connection belong to a process, which lives as long; NULL = it is being opened, by this one. */
void dal__conn_set_process(dal_conn *conn, const dal__conn_process *process);
/* Says whether this is a child of the process that a connection belongs to. */
bool dal__conn_is_of_parent(const dal_conn *conn);
/* Says whether this is a child of the owner. No system call where the kernel helps. */
static inline bool dal__conn_is_other_process(const dal__conn_process *process)
{
        return process->mark ? *process->mark == 0 : dal__conn_has_other_pid(process);
}

#endif
