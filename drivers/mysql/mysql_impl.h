/* SPDX-License-Identifier: MIT */
#ifndef DAL_MYSQL_IMPL_H
#define DAL_MYSQL_IMPL_H

/*
 * What the files of this driver share. The driver is written once for two client libraries, MariaDB Connector/C
 * and Oracle's libmysqlclient; where they differ, MYSQL_IS_CONNECTOR_C decides at compile time.
 */

#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <dal/driver.h>
#include <mysql.h>

#include "fault.h"

#ifdef MARIADB_PACKAGE_VERSION
#define MYSQL_IS_CONNECTOR_C    1
#define DAL__MYSQL_MORE_RESULTS SERVER_MORE_RESULTS_EXIST
typedef my_bool dal__mysql_flag;
#else
#define MYSQL_IS_CONNECTOR_C    0
#define DAL__MYSQL_MORE_RESULTS SERVER_MORE_RESULTS_EXISTS
typedef bool dal__mysql_flag;
#endif

/* Found out when the build is configured: the one way to an answer is through the library's own table. */
#ifndef DAL__MYSQL_SENDS_AHEAD
#define DAL__MYSQL_SENDS_AHEAD 0
#endif

typedef struct dal__mysql_conn dal__mysql_conn;
typedef struct dal__mysql_entry dal__mysql_entry;
typedef struct dal__mysql_shortcut dal__mysql_shortcut;

/* ---- library.c: what belongs to the process and to the thread ---- */

/** Starts the client library, once in the process; false if it can't be. */
bool dal__mysql_library_start(void);
/** A new handle of the client library; NULL when memory is out. */
MYSQL *dal__mysql_handle_new(void);
/**
 * Runs a function in a thread of its own, with all signals blocked. Nobody waits for it but the end of the process, for
 * two seconds. False when there is no memory or thread.
 */
bool dal__mysql_thread_start(void (*run)(void *arg), void *arg);
/** What the thread keeps for this driver; NULL if it never set anything. */
void *dal__mysql_thread_get(void);
/** Keeps a pointer for the thread; not NULL, or the client library's thread data is never freed. */
void dal__mysql_thread_set(void *value);

/** Keeps SIGPIPE away from the thread while a TLS library writes to a socket that may be closed. */
typedef struct dal__mysql_sigpipe {
        sigset_t before;
        bool was_pending;
} dal__mysql_sigpipe;

void dal__mysql_sigpipe_block(dal__mysql_sigpipe *sigpipe);
void dal__mysql_sigpipe_restore(const dal__mysql_sigpipe *sigpipe);

/* ---- wait.c: calls that end at their deadline ---- */

/* For stopping a statement after its deadline; a call may be 50 ms late. */
#define DAL__MYSQL_GRACE_NS 30000000

typedef struct dal__mysql_watchdog dal__mysql_watchdog;

/** One call of the client library. */
typedef struct dal__mysql_call {
        dal_deadline deadline;
        dal_deadline limit;    /* for stopping the statement and reading the answer; 0 = the usual grace */
        dal__mysql_conn *stop; /* whose statement is stopped at the deadline; NULL: the wait just ends */
        dal__mysql_watchdog *watchdog; /* libmysqlclient only */
        bool opening;                  /* until the session is there */
        bool tls;
        bool timed_out;  /* the deadline passed while waiting */
        bool stopped;    /* and the statement was stopped by KILL QUERY */
        bool cut;        /* the watchdog shut the socket down, perhaps just behind the answer */
        uint32_t n_idle; /* waits in a row that ended with nothing */
        dal__mysql_sigpipe sigpipe;
} dal__mysql_call;

void dal__mysql_call_begin(dal__mysql_call *call);
void dal__mysql_call_end(dal__mysql_call *call);
/** Looks at the clock in a loop of calls that need not wait; stops the statement when it is time. */
void dal__mysql_call_check(dal__mysql_call *call);

/* ---- session.c: opening a session ---- */

/** Where to connect: private copies, because a statement is stopped over a connection of its own. */
typedef struct dal__mysql_target {
        char *host;    /* as in the URL; "" = the client library's default socket */
        char *address; /* what to connect to: numeric, except that verify-full must name the host */
        char *socket;  /* path of a Unix socket; NULL = TCP */
        char *user;
        char *password; /* wiped at the end */
        char *dbname;
        char *service;
        char *root_file; /* trusted roots; NULL = none or root_folder */
        char *root_folder;
        char *cert;
        char *key;
        char *public_key; /* the server's RSA key */
        char *name;       /* the URL without its password, for messages */
        uint16_t port;
        dal_tls_mode tls;
        atomic_int n_holders;
        bool local;
        uint32_t statement_timeout_ms;
        uint32_t lock_timeout_ms;
} dal__mysql_target;

/** Ownership: *out is held once; let go of it with dal__mysql_target_release(). */
dal_status dal__mysql_target_new(const dal_open_args *args, dal_deadline deadline, dal__mysql_target **out,
                                 dal_error *err);
void dal__mysql_target_hold(dal__mysql_target *target);
/** Frees what nobody holds any more, wiping the password. Accepts NULL. Threads: any. */
void dal__mysql_target_release(dal__mysql_target *target);
/**
 * Opens a bare session. Ownership: *out is owned; end it with dal__mysql_session_close().
 *
 * *watchdog becomes NULL when a thread is still busy with it after the deadline and will free it.
 */
dal_status dal__mysql_session_open(const dal__mysql_target *target, dal__mysql_watchdog **watchdog,
                                   dal_deadline deadline, MYSQL **out, dal_error *err);
/** Closes a session without waiting for the server. */
void dal__mysql_session_close(MYSQL *mysql);
/* These four are in wait.c, as how to wait depends on the client library. */
/** NULL also where the client library needs none. */
dal__mysql_watchdog *dal__mysql_watchdog_new(void);
/** Accepts NULL. */
void dal__mysql_watchdog_free(dal__mysql_watchdog *watchdog);
/** Lets the watchdog know the socket of an open session. */
bool dal__mysql_watchdog_attach(dal__mysql_watchdog *watchdog, MYSQL *mysql);
/**
 * Connects within the deadline. When *lost_out is set, the handle and the watchdog are no longer the caller's: a
 * thread is still busy with them and frees them.
 */
bool dal__mysql_connect(MYSQL *mysql, const dal__mysql_target *target, dal__mysql_watchdog *watchdog,
                        dal_deadline deadline, bool *lost_out);

/* ---- stop.c ---- */

/** How long the server has been running, in whole seconds; -1 with mysql_errno() set when it does not say. */
int64_t dal__mysql_uptime_ms(MYSQL *mysql);
/** Stops the statement that a session opened at `since` is running, over a session of its own. Threads: any. */
dal_status dal__mysql_stop(const dal__mysql_target *target, uint64_t session_id, int64_t since,
                           dal_deadline deadline, dal_error *err);
/** Does so on a thread; true if it is known to have been done by `limit`. Otherwise the thread goes on trying. */
bool dal__mysql_stop_by(const dal__mysql_target *target, uint64_t session_id, int64_t since,
                        dal_deadline limit);

/* ---- tls.c ---- */

/** Finds the roots to trust, refuses what the URL may not ask for. */
dal_status dal__mysql_tls_init(dal__mysql_target *target, const dal_dsn *dsn, dal_error *err);
/** Sets a handle's TLS and authentication options. */
void dal__mysql_tls_set(MYSQL *mysql, const dal__mysql_target *target);

/* ---- stmt.c: prepared statements ---- */

/* How a column of a result becomes a cell. */
typedef enum dal__mysql_decode {
        DAL__MYSQL_DECODE_INT64,
        DAL__MYSQL_DECODE_UINT64,
        DAL__MYSQL_DECODE_DOUBLE,
        DAL__MYSQL_DECODE_TIMESTAMP,
        DAL__MYSQL_DECODE_DATE,
        DAL__MYSQL_DECODE_BIT,
        DAL__MYSQL_DECODE_SPAN
} dal__mysql_decode;

typedef struct dal__mysql_column {
        uint8_t decode; /* dal__mysql_decode */
        uint8_t type;   /* dal_type of a cell that is not NULL */
        dal__mysql_flag is_null;
        bool own_buffer;    /* its first room was not enough */
        uint8_t field_type; /* what the binding was made for */
        uint16_t field_charset;
        uint32_t field_flags;
        uint32_t room;      /* bytes at `buffer` */
        unsigned long size; /* of the value in this row */
        char *buffer;       /* a MYSQL_TIME; or bytes, growing with the longest value seen */
} dal__mysql_column;

/* A longer buffer of a column is given back when the result ends. */
#define DAL__MYSQL_KEPT_ROOM (64u * 1024)

#define DAL__MYSQL_SHORT 40

/* A parameter's value at an address that stays: the library is told of it once, not at each execution. */
typedef struct dal__mysql_slot {
        union {
                bool boolean;
                int64_t int64;
                uint64_t uint64;
                double float64;
                MYSQL_TIME time;
                char bytes[DAL__MYSQL_SHORT]; /* longer spans are read where they are */
        } as;
        unsigned long size;
        const void *buffer; /* what the library was told last; NULL: nothing */
        uint8_t type;
        bool is_unsigned;
        dal__mysql_flag is_null;
} dal__mysql_slot;

/* What may be sent ahead, see ahead.c. */
typedef enum dal__mysql_kind {
        DAL__MYSQL_KIND_OTHER,
        DAL__MYSQL_KIND_READ, /* a SELECT that takes no locks and leaves nothing behind */
        DAL__MYSQL_KIND_WRITE /* INSERT, UPDATE, DELETE, REPLACE */
} dal__mysql_kind;

/* What became of the first row of a result, when that was decoded before the others were received. */
typedef enum dal__mysql_first {
        DAL__MYSQL_FIRST_NONE,  /* there is none, or it was given */
        DAL__MYSQL_FIRST_READY, /* it is in the cells */
        DAL__MYSQL_FIRST_FAILED /* it can't be decoded, as the fetch has to tell */
} dal__mysql_first;

/** A prepared statement: owned by the connection, pointed to by the core's dal_driver_stmt. */
typedef struct dal__mysql_stmt {
        struct dal__mysql_stmt *next;
        struct dal__mysql_stmt **link; /* what points to this one */
        MYSQL_STMT *handle;
        const char *text;    /* borrowed while the request or the core's statement lives */
        uint32_t generation; /* of the session it was prepared in */
        uint32_t n_params;
        uint32_t n_columns; /* bound ones */
        uint8_t kind;       /* dal__mysql_kind */
        uint8_t first;      /* dal__mysql_first */
        bool is_split;      /* the first row was not stored with the others */
        bool has_more;      /* rows behind the first; where that is known */
        bool cached;        /* false: closed when its result ends */
        bool rebind;        /* buffers moved: tell the library before the next row */
        bool has_long;      /* a buffer has grown beyond what is kept */
        dal__mysql_slot *slots;
        dal__mysql_column *columns;
        dal_value *cells; /* behind the columns, in the same piece of memory */
        bool by_text; /* the connection's own, for what travels as text: no handle, and `rows` in its place */
        MYSQL_RES *rows;
        MYSQL_ROW row; /* points into `rows` */
        const unsigned long *sizes;
        char *names; /* of the columns, one behind the other, where the handle or `rows` may be gone before them */
        size_t names_room;
} dal__mysql_stmt;

/** What the core keeps for a driver statement. */
typedef struct dal__mysql_stmt_state {
        dal__mysql_stmt *stmt;
} dal__mysql_stmt_state;

dal_status dal__mysql_stmt_run(dal__mysql_conn *conn, const dal_request *request, dal_deadline deadline,
                               dal_result *out, dal_error *err);
/** The prepared statement of a request; NULL if it has none in this session. No I/O. */
dal__mysql_stmt *dal__mysql_stmt_find(const dal__mysql_conn *conn, const dal_request *request);
/** Prepares it, for every execution to come; NULL, with *err filled, if that fails. */
dal__mysql_stmt *dal__mysql_stmt_make(dal__mysql_conn *conn, const dal_request *request,
                                      dal_deadline deadline, dal_error *err);
/**
 * Goes on with an execution whose first answer was read, inside a call that it ends: takes the rows, unless they are
 * streamed. `rc` is what reading the answer gave.
 */
dal_status dal__mysql_stmt_answer(dal__mysql_conn *conn, dal__mysql_stmt *stmt, int rc, bool stream,
                                  dal_deadline deadline, dal_error *err);
/** Executes a statement whose values are in place. */
dal_status dal__mysql_stmt_execute(dal__mysql_conn *conn, dal__mysql_stmt *stmt, bool stream,
                                   dal_deadline deadline, dal_error *err);
/** Makes the current result of it. */
dal_status dal__mysql_stmt_describe(dal__mysql_conn *conn, dal__mysql_stmt *stmt, bool stream,
                                    dal_result *out, dal_error *err);
/** Marks a statement for closing; no I/O. */
void dal__mysql_stmt_retire(dal__mysql_conn *conn, dal__mysql_stmt *stmt);
/** Closes the statements marked so; writes, but waits for nothing. */
void dal__mysql_stmt_close_retired(dal__mysql_conn *conn, dal_deadline deadline);
/** Closes a statement for one run on the server while its last row's cells and its names are still lent. */
void dal__mysql_stmt_unprepare(dal__mysql_conn *conn, dal__mysql_stmt *stmt, dal_deadline deadline);
/** Frees every statement of a connection whose session is closed. */
void dal__mysql_stmt_free_all(dal__mysql_conn *conn);

/* ---- bind.c: where the values of a result go ---- */

/** Binds the columns of a result if they are not bound yet or have changed. */
dal_status dal__mysql_bind_columns(dal__mysql_conn *conn, dal__mysql_stmt *stmt, dal_error *err);
/** Says whether they are bound as this result of a prepared statement needs it. */
bool dal__mysql_bind_holds(const dal__mysql_conn *conn, const dal__mysql_stmt *stmt);
/** Tells the library where the values of the bound columns go. */
dal_status dal__mysql_bind_tell(dal__mysql_conn *conn, dal__mysql_stmt *stmt, dal_error *err);
/** Makes what the library is told of one column. */
void dal__mysql_bind_fill(dal__mysql_stmt *stmt, uint32_t i, MYSQL_BIND *bind);
/** Gives a column more room, of which the library then has to be told; false when memory is out. */
bool dal__mysql_bind_grow(dal__mysql_stmt *stmt, uint32_t i, unsigned long room);
/** Gives back the room that only huge values need. */
void dal__mysql_bind_shrink(dal__mysql_stmt *stmt);
void dal__mysql_bind_free(dal__mysql_stmt *stmt);
const char *dal__mysql_bind_name(const dal__mysql_stmt *stmt, uint32_t i_column);

/* ---- rows.c ---- */

dal_status dal__mysql_rows_fetch(dal__mysql_conn *conn, dal_deadline deadline, const dal_value **cells_out,
                                 dal_error *err);
/** Receives a whole result, inside a call. Returns 0, or 1 if that failed. */
int dal__mysql_rows_receive(dal__mysql_conn *conn, dal__mysql_stmt *stmt);
/** Gives the first row of a result that was read whole, and says if that is all of it; does no I/O. */
void dal__mysql_rows_first(dal__mysql_conn *conn, dal_result *out);
/** Ends a streamed result whose deadline has passed, within the grace; the error says whether the session lives. */
dal_status dal__mysql_rows_late(dal__mysql_conn *conn, bool stopped, dal_deadline deadline, dal_error *err);
/** Ends the current result, if there is one: drops its rows and what follows them. */
dal_status dal__mysql_rows_end(dal__mysql_conn *conn, dal_deadline deadline, dal_error *err);
/** Makes a cell of a DATE or DATETIME column; refuses what is no day. */
dal_status dal__mysql_rows_time(dal__mysql_stmt *stmt, uint32_t i, const dal_civil *civil, dal_error *err);
/** Reads a BIT value, which comes as bytes. */
uint64_t dal__mysql_rows_bits(const char *bytes, unsigned long size);
/** Makes a statement's result the current one. */
void dal__mysql_rows_begin(dal__mysql_conn *conn, dal__mysql_stmt *stmt, bool stream);

/* ---- text.c: statements and results as text ---- */

/** Runs a statement of any kind without preparing it. */
dal_status dal__mysql_text_run(dal__mysql_conn *conn, const dal_request *request, dal_deadline deadline,
                               dal_result *out, dal_error *err);
/** What the lexer has to know of the session's SQL as it is set now: DAL_SQL_*. */
uint32_t dal__mysql_text_syntax(const dal__mysql_conn *conn);
/** Gives where the `n` values go in a text, and room for a command; both belong to the connection. */
dal_status dal__mysql_text_prepare(dal__mysql_conn *conn, const char *text, size_t size, size_t n,
                                   uint64_t room, size_t **marks_out, char **command_out, dal_error *err);
/** Runs that command, which gives no rows. */
dal_status dal__mysql_text_execute(dal__mysql_conn *conn, const char *sql, size_t size, dal_deadline deadline,
                                   dal_error *err);
/** Takes the next row: 0, 1 for an error of the connection, or MYSQL_NO_DATA. */
int dal__mysql_text_fetch(dal__mysql_conn *conn);
/** Makes cells of the row. */
dal_status dal__mysql_text_decode(dal__mysql_stmt *stmt, dal_error *err);
/** Frees what was read of a result. */
void dal__mysql_text_end(dal__mysql_conn *conn);
/** Frees what is kept for text when the session is closed. */
void dal__mysql_text_free(dal__mysql_conn *conn);

/* ---- params.c ---- */

/** Refuses a value that MySQL has no room for; `i` counts from 0. */
dal_status dal__mysql_params_check(const dal_value *value, size_t i, dal_error *err);
/** Puts the values in place; gives the size of the packet, and whether the library must be told anew. */
uint64_t dal__mysql_params_set(dal__mysql_stmt *stmt, const dal_params *params, bool *changed_out);

/** Puts one value in place, without the library's knowing; returns the slot that tells where it is. */
const dal__mysql_slot *dal__mysql_params_put(dal__mysql_stmt *stmt, size_t i, const dal_value *v);
/** Tells the library where the values are; when that fails the statement has to be prepared anew. */
dal_status dal__mysql_params_tell(dal__mysql_conn *conn, dal__mysql_stmt *stmt, dal_error *err);
/** The library was told other things: it is told anew with the next values. */
void dal__mysql_params_forget(dal__mysql_stmt *stmt);

/* ---- ahead.c: requests sent before the answers of others were read ---- */

#define DAL__MYSQL_ERROR_NEED_REPREPARE 1615 /* the statement has not run. Source: ER_NEED_REPREPARE */
#define DAL__MYSQL_ERROR_UNKNOWN_STMT   1243 /* likewise. Source: ER_UNKNOWN_STMT_HANDLER */
#define DAL__MYSQL_ERROR_INTERRUPTED    1317 /* by KILL QUERY. Source: ER_QUERY_INTERRUPTED */
/* The library's own: the result has other columns than when it was prepared. Source: CR_NEW_STMT_METADATA */
#define DAL__MYSQL_ERROR_NEW_COLUMNS 2057

/** What kind of statement a text is, by its words. */
dal__mysql_kind dal__mysql_ahead_kind(const char *text);
/** Sends what may be sent of the requests from the next one on; those that may not have their turn later. */
dal_status dal__mysql_ahead_send(dal__mysql_conn *conn, dal_deadline deadline, dal_error *err);
/** The slot of that name: can tell where a request was sent ahead, and nothing of the rows behind an answer's start. */
int dal__mysql_ahead_readiness(void *state, bool *want_write_out);
/** Takes the answer of the oldest request that is on its way, `entry`; i_next is behind it already. */
dal_status dal__mysql_ahead_receive(dal__mysql_conn *conn, dal__mysql_entry *entry, dal_deadline deadline,
                                    dal_result *out, dal_error *err);

/* ---- shortcut.c: what the client library need not do ---- */

/** Makes an open session use it, if the client library is the one it was written for and there is memory. */
void dal__mysql_shortcut_take(dal__mysql_conn *conn);
/** When the session is closed. */
void dal__mysql_shortcut_free(dal__mysql_conn *conn);
/** Calls `run`, which reads the first answer of a prepared statement; gives what it returned. */
int dal__mysql_shortcut_run(dal__mysql_conn *conn, MYSQL_STMT *handle, int (*run)(MYSQL_STMT *handle));

/* ---- fold.c: several requests as one command ---- */

/**
 * Runs the next requests as one command, if that may be done. *n_out tells how many; 0: the next one has to be run by
 * itself. A failure with *n_out above 0 is that of the command.
 */
dal_status dal__mysql_fold_run(dal__mysql_conn *conn, size_t *n_out, dal_deadline deadline, dal_error *err);

/* ---- tx.c: transactions and other commands ---- */

dal_status dal__mysql_tx_run(dal__mysql_conn *conn, const dal_request *request, dal_deadline deadline,
                             dal_error *err);
/** Runs one text command and drops what it gives. */
dal_status dal__mysql_tx_text(dal__mysql_conn *conn, const char *sql, size_t size, bool may_stop,
                              dal_deadline deadline, dal_error *err);
/** Reads whatever a command gives, also the results that follow the first. Returns 0, or 1 if that failed. */
int dal__mysql_tx_drop_results(MYSQL *mysql);
/** Before a command that is not the library's own constant text: makes sure that the server takes it as one statement. */
dal_status dal__mysql_tx_take_one(dal__mysql_conn *conn, const char *sql, size_t size, dal_deadline deadline,
                                  dal_error *err);
dal_driver_token_query_fn dal__mysql_tx_token_query;
dal_driver_end_session_fn dal__mysql_tx_end_session;
/** Takes in what the server said about the transaction behind a statement that went well. */
dal_status dal__mysql_tx_after_success(dal__mysql_conn *conn, dal_error *err);
/**
 * The same for a statement without rows that went well and after which the server still says that there is no
 * transaction: the first with autocommit off, where nothing tells a commit from what never began one, but its words.
 */
dal_status dal__mysql_tx_after_first(dal__mysql_conn *conn, const char *sql, dal_error *err);
/** Takes in what a failed statement did to the transaction; may ask the server. */
void dal__mysql_tx_after_failure(dal__mysql_conn *conn, const char *sql, dal_deadline deadline,
                                 dal_error *err);
/** Says whether a word, behind comments and brackets, begins a statement. */
bool dal__mysql_tx_begins_with(const char *sql, const char *word);
/** Brings the session to its normal state. */
dal_status dal__mysql_tx_setup(dal__mysql_conn *conn, dal_deadline deadline, dal_error *err);

/* ---- conn.c ---- */

struct dal__mysql_entry {
        const dal_request *request;
        dal__mysql_stmt *stmt; /* that it was sent ahead with */
        uint64_t size;         /* bytes it was sent with */
        uint32_t flush;        /* number of the flush it was sent by */
        bool joined;           /* see dal_result */
};

struct dal__mysql_conn {
        MYSQL *mysql;
        dal__mysql_target *target;
        dal__mysql_call call;
        dal__mysql_watchdog *watchdog;
        dal__mysql_shortcut *shortcut; /* NULL: none is taken */
        uint64_t session_id;
        uint64_t server;       /* see dal_driver_info */
        int64_t opened_at;     /* by dal_clock_now() */
        uint64_t max_packet;   /* the server's max_allowed_packet */
        uint32_t max_prepared; /* its max_prepared_stmt_count */
        dal_statements statements;
        dal_deadline prepare_again; /* not before, as the server was full of statements; 0 = it was not */
        dal_dialect dialect;
        char *role;    /* MariaDB: the one that the session began with; NULL = none */
        bool broken;   /* only close is legal */
        bool tx_mode;  /* autocommit is off */
        bool tx_open;  /* between BEGIN and COMMIT or ROLLBACK */
        bool in_trans; /* the server's word */
        bool committing;
        bool no_arrays;      /* of parameters, though it is MariaDB */
        bool takes_several;  /* statements in one command: off while the command may not be ours */
        bool limits_changed; /* by REQUEST_LIMITS; the session's own come back with the next transaction */
        uint32_t generation; /* counts session resets: statements of an earlier one are gone */
        dal__mysql_entry *queue;
        size_t n_queue, queue_room, i_next;
        size_t i_ahead;       /* those from i_next up to this one are on their way */
        uint64_t ahead_bytes; /* of them */
        bool ahead_stopped;   /* KILL QUERY was sent while they were: it may have struck any of them */
        size_t n_folded;      /* requests from i_next on that were run with the one before */
        uint64_t trip_bytes;  /* since a round trip was counted */
        uint32_t n_flushes;
        uint32_t started_flush; /* the last one of which a request was run */
        uint32_t failed_flush;  /* the later requests of this flush are not executed; 0 = none */
        dal__mysql_stmt *stmts;
        dal__mysql_stmt *retired;
        dal__mysql_stmt *current; /* whose rows are being fetched */
        dal__mysql_stmt query;    /* what travels as text */
        size_t *marks;            /* where the values go in it */
        size_t marks_room;
        char *command; /* with the values in it */
        size_t command_room;
        uint32_t n_streamed; /* rows, to look at the clock now and then */
        bool streaming;      /* and are still coming from the server */
        bool finished;       /* all was read: only the cells of the last row are still lent */
};

/** Says whether further results of the same statement follow, as those of a procedure do. */
static inline bool dal__mysql_more_results(const dal__mysql_conn *conn)
{
        return (conn->mysql->server_status & DAL__MYSQL_MORE_RESULTS) != 0;
}

/** Makes the error of a failed call of the client library; `handle` NULL = of the connection itself. */
dal_status dal__mysql_fail(dal__mysql_conn *conn, MYSQL_STMT *handle, dal_error *err);
/** Begins a call on the connection; `limit`: another time than the usual grace for stopping the statement. */
static inline void dal__mysql_begin_until(dal__mysql_conn *conn, dal_deadline deadline, dal_deadline limit,
                                          bool may_stop)
{
        conn->call.deadline = deadline;
        conn->call.limit = limit;
        conn->call.stop = may_stop ? conn : NULL;
        dal__mysql_call_begin(&conn->call);
}

/** Begins a call on the connection. `may_stop`: at the deadline the statement may be stopped by KILL QUERY. */
static inline void dal__mysql_begin(dal__mysql_conn *conn, dal_deadline deadline, bool may_stop)
{
        dal__mysql_begin_until(conn, deadline, 0, may_stop);
}

/** Says whether the answer just received may be one that KILL QUERY cut short; it can look like any other. */
static inline bool dal__mysql_was_stopped(const dal__mysql_conn *conn)
{
        return conn->call.stopped || conn->ahead_stopped;
}

static inline void dal__mysql_end(dal__mysql_conn *conn)
{
        /* Without TLS there is nothing to be taken back. */
        if (!MYSQL_IS_CONNECTOR_C || conn->call.tls)
                dal__mysql_call_end(&conn->call);
        conn->broken |= conn->call.cut;
}

/** Refuses a request of `size` bytes that the server would not receive. */
dal_status dal__mysql_check_size(const dal__mysql_conn *conn, uint64_t size, dal_error *err);

#endif
