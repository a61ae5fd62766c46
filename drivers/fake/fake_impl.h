/* SPDX-License-Identifier: MIT */
#ifndef DAL_FAKE_IMPL_H
#define DAL_FAKE_IMPL_H

/*
 * What the files of this driver share. Two halves: the client's (conn.c, stmt.c, error.c: what every driver
 * has) and the server's (server.c, store.c, execute.c: what other drivers reach through a client library).
 */

#include <pthread.h>
#include <stdarg.h>

#include <dal/driver.h>
#include <dal/drivers/fake.h>

#define FAKE_MAX_FAULTS     32
#define FAKE_MAX_SAVEPOINTS 64

/* One immutable row version; counted under the server's lock. */
typedef struct fake_tuple {
        uint32_t n_refs;
        uint32_t n_cells;
        dal_value cells[]; /* spans point behind the last cell */
} fake_tuple;

typedef struct fake_conn fake_conn;

typedef struct fake_row {
        char *table;
        int64_t key;
        fake_tuple *now;       /* as the owner sees it; NULL = not there */
        fake_tuple *committed; /* as everybody else sees it */
        fake_conn *owner;      /* the session that holds the row's lock */
        uint64_t version;      /* number of the commit that wrote it */
} fake_row;

typedef struct fake_undo {
        fake_row *row;
        fake_tuple *before;
} fake_undo;

typedef struct fake_savepoint {
        uint32_t number;
        size_t n_undos;
} fake_savepoint;

/* A request that waits for its result. The request itself belongs to the core. */
typedef struct fake_queued {
        const dal_request *request;
        uint32_t batch; /* the flush that sent it */
} fake_queued;

/* The answer being read. */
typedef struct fake_answer {
        bool has_rows;
        uint32_t n_columns;
        const char *const *columns; /* NULL = without names */
        int64_t count, insert_id;
        fake_tuple **rows;
        size_t n_rows, i_row, room;
        bool fails_late; /* `late` comes after the rows */
        dal_error late;
        char line[32]; /* beginning of the journal line, for faults at FETCH */
} fake_answer;

/* An answer set aside. */
typedef struct fake_aside {
        fake_answer answer;
        bool independent;
} fake_aside;

struct fake_conn {
        dal_fake_server *server; /* NULL while closed */
        fake_conn *next;         /* in the server's list */
        uint64_t number;
        bool modal;
        bool tx_mode;
        bool lost; /* the client's word: only close is legal */
        /* the session; under the server's lock */
        bool killed;
        bool cancel;
        bool in_tx, failed, read_only;
        dal_isolation isolation;
        uint64_t snapshot;
        uint32_t session_statement_ms, session_lock_ms; /* from open */
        uint32_t statement_ms, lock_ms;                 /* in force */
        int64_t setting;
        dal_deadline statement_end;
        fake_conn *waits_for;
        fake_undo *undos;
        size_t n_undos, undos_room;
        fake_savepoint savepoints[FAKE_MAX_SAVEPOINTS];
        uint32_t n_savepoints;
        /* the client's queue */
        fake_queued *queue;
        size_t n_queue, n_flushed, i_queue, queue_room;
        uint32_t batch, failed_batch;
        bool independent; /* the request whose answer is being read: its failure is its own */
        fake_answer answer;
};

/* Per prepared statement. */
typedef struct fake_stmt {
        bool prepared;
} fake_stmt;

typedef struct fake_script {
        struct fake_script *next;
        char *name;
        size_t size; /* of the name, or of what stands before its `*` */
        bool prefix;
        dal_fake_handler *handler;
        void *arg;
} fake_script;

typedef struct fake_line {
        uint64_t session;
        char *text;
} fake_line;

typedef struct fake_pending_fault {
        dal_fake_fault fault;
        char match[32];
} fake_pending_fault;

struct dal_fake_server {
        pthread_mutex_t lock;
        pthread_cond_t changed; /* a lock was released, a session canceled or killed */
        bool down;
        bool has_outcomes;
        dal_dialect dialect;
        uint32_t max_prepared;
        uint64_t identity;
        int64_t clock_ahead_s;
        int gate; /* answers come while it is readable; -1: at once */
        uint64_t n_sessions;
        uint64_t n_versions;
        fake_conn *sessions;
        fake_script *scripts;
        fake_row **rows; /* by table, then key */
        size_t n_rows, rows_room;
        fake_pending_fault faults[FAKE_MAX_FAULTS];
        uint32_t n_faults;
        fake_line *lines;
        size_t n_lines, lines_room;
        dal_fake_stats stats;
};

struct dal_fake_call {
        fake_conn *conn;
        const char *name;
        dal_params params;
        dal_deadline deadline;
        fake_answer *answer;
        bool failed;
        dal_error error;
        fake_tuple *held; /* what dal_fake_store_get() lent */
};

/* error.c */
dal_status dal__fake_error(const fake_conn *conn, dal_error *err, dal_error_class error_class,
                           const char *what);
dal_status dal__fake_error_of_fault(fake_conn *conn, const dal_fake_fault *fault, dal_error *err);

/* stmt.c: the queue and its results */
dal_driver_queue_fn dal__fake_queue;
dal_driver_flush_fn dal__fake_flush;
dal_driver_result_fn dal__fake_result;
dal_driver_fetch_fn dal__fake_fetch;
dal_driver_discard_fn dal__fake_discard;
dal_driver_run_fn dal__fake_run;
dal_driver_column_fn dal__fake_column;
dal_driver_stmt_close_fn dal__fake_stmt_close;
dal_driver_swap_fn dal__fake_swap;
dal_driver_drop_fn dal__fake_drop;
void dal__fake_answer_clear(dal_fake_server *server, fake_answer *answer);

/* execute.c: what the server does with one request */
dal_status dal__fake_execute(fake_conn *conn, const dal_request *request, dal_deadline deadline,
                             dal_error *err);

/* server.c; those that end in _locked need the server's lock */
void dal__fake_journal_locked(dal_fake_server *server, uint64_t session, const char *line,
                              dal_error_class outcome);
/* Takes a fault that fits, if any; the caller acts on it. */
bool dal__fake_fault_locked(dal_fake_server *server, dal_fake_point at, const char *line,
                            dal_fake_fault *out);
/*
 * As above, with its wait done: DAL_OK if there is nothing, or the fault's error. *executed_out: see the
 * fault.
 */
dal_status dal__fake_fault(fake_conn *conn, dal_fake_point at, const char *line, dal_deadline deadline,
                           bool *executed_out, dal_error *err);
dal_fake_handler *dal__fake_script_locked(dal_fake_server *server, const char *name, void **arg_out);
/*
 * Waits until `until`; DAL_OK when that came, or what came first, with the error filled. `until`
 * DAL_FOREVER with `signal` set returns DAL_OK also when something changed.
 */
dal_status dal__fake_wait_locked(fake_conn *conn, dal_deadline until, bool signal, dal_deadline deadline,
                                 dal_error *err);
/* Ends a session's life on the server: its transaction is undone. */
void dal__fake_session_end_locked(fake_conn *conn);

/* outcome.c */
#define FAKE_TOKEN_QUERY "SELECT dal_outcome"
#define FAKE_TOKEN_WRITE "dal_outcome of COMMIT"
int64_t dal__fake_outcome_key(const char *token);

/* store.c */
void dal__fake_tuple_drop_locked(fake_tuple *tuple);
fake_tuple *dal__fake_tuple_new(dal_params cells);
void dal__fake_store_commit_locked(fake_conn *conn);
void dal__fake_store_rollback_locked(fake_conn *conn, size_t n_undos_kept);

#endif
