/* SPDX-License-Identifier: MIT */
#ifndef DAL_POSTGRES_IMPL_H
#define DAL_POSTGRES_IMPL_H

/*
 * What the files of this driver share.
 *
 *      conn.c     life of a connection, the driver's table
 *      connect.c  from a URL to a session: connection parameters, TLS, addresses, the deadline
 *      cancel.c   cancel requests, within a deadline
 *      stmt.c     queue and flush: requests become messages
 *      control.c  the commands of transactions and time limits
 *      result.c   answers become results
 *      rows.c     and rows
 *      copy.c     bulk loads by COPY
 *      copy_values.c  and their values
 *      params.c   values -> wire
 *      types.c    wire -> values
 *      text.c     the text form of both, for the mode "text"
 *      error.c    every failure's class, names, bits and message
 *
 * Requests are sent in segments. A segment is what one Sync message ends: one plain statement, or a pipeline. The
 * server executes the statements of a pipeline up to the first error and skips the rest up to Sync.
 *
 * In the mode "unnamed" a statement is parsed, bound and executed by one message group, and the session is
 * not ours: a pooler may lend us another one for each transaction. So nothing is asked of it that outlives a
 * transaction, apart from what poolers themselves carry from session to session (the encoding, the time zone,
 * the application's name; Source: PgBouncer's manual, "ignore_startup_parameters"), and the connection keeps
 * its own time limits, which travel with each BEGIN and ahead of each statement outside of one.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <libpq-fe.h>

#include <dal/driver.h>

/* Type numbers. Source: PostgreSQL src/include/catalog/pg_type.dat; they never change. */
enum {
        PG_OID_BOOL = 16,
        PG_OID_BYTEA = 17,
        PG_OID_CHAR = 18,
        PG_OID_NAME = 19,
        PG_OID_INT8 = 20,
        PG_OID_INT2 = 21,
        PG_OID_INT4 = 23,
        PG_OID_TEXT = 25,
        PG_OID_OID = 26,
        PG_OID_JSON = 114,
        PG_OID_XML = 142,
        PG_OID_FLOAT4 = 700,
        PG_OID_FLOAT8 = 701,
        PG_OID_UNKNOWN = 705,
        PG_OID_BPCHAR = 1042,
        PG_OID_VARCHAR = 1043,
        PG_OID_DATE = 1082,
        PG_OID_TIMESTAMP = 1114,
        PG_OID_TIMESTAMPTZ = 1184,
        PG_OID_NUMERIC = 1700,
        PG_OID_UUID = 2950,
        PG_OID_JSONB = 3802
};

/* PostgreSQL counts from 2000-01-01, the library from 1970-01-01. */
#define PG_EPOCH_DAYS INT64_C(10957)
#define PG_EPOCH_US   INT64_C(946684800000000)

#define PG_NAME_SIZE 24 /* of a prepared statement: "dal_ffffffff_4294967295" */

/* ---- errors --------------------------------------------------------------------------------------------- */

/* What is known about a failure; every text may be NULL. */
typedef struct dal__postgres_fault {
        const char *sqlstate;
        const char *message;
        const char *detail;
        const char *hint;
        const char *constraint;
        const char *table;
        const char *column;
        const char *function;  /* of the server's source, where the error was raised; never translated */
        bool conn_gone;        /* the connection is dead, or the server said it ends it */
        bool cancel_sent;      /* a cancel request was made while this ran */
        bool read_only_asked;  /* the transaction was begun as read-only by the caller */
        bool read_only_server; /* the server is a standby, or every transaction is read-only there */
        bool own_statement;    /* it came from a statement that this driver had prepared */
} dal__postgres_fault;

dal_error_class dal__postgres_classify(const dal__postgres_fault *fault);
/* Fills the error, the bit tx_gone apart for a living connection. */
dal_status dal__postgres_fail(const dal__postgres_fault *fault, dal_error *err);
/*
 * Fills the error of a failed connect from libpq's text, which was asked for in its verbose form: there is no
 * other way to a SQLSTATE before a session exists.
 */
dal_status dal__postgres_fail_connect(const char *host, const char *text, bool has_password, dal_error *err);
/* Copies text as one line: runs of white space and control bytes become one space, cut at a character. */
void dal__postgres_one_line(char *out, size_t out_size, const char *text);

/* ---- values --------------------------------------------------------------------------------------------- */

typedef enum dal__postgres_kind {
        PG_KIND_OTHER,
        PG_KIND_BOOL,
        PG_KIND_INT2,
        PG_KIND_INT4,
        PG_KIND_INT8,
        PG_KIND_OID,
        PG_KIND_FLOAT4,
        PG_KIND_FLOAT8,
        PG_KIND_NUMERIC,
        PG_KIND_TEXT,
        PG_KIND_JSONB,
        PG_KIND_BYTEA,
        PG_KIND_TIMESTAMP,
        PG_KIND_DATE,
        PG_KIND_UUID,
        /* Cells in text form; text itself looks the same in both. */
        PG_KIND_TEXT_BOOL,
        PG_KIND_TEXT_INT,
        PG_KIND_TEXT_FLOAT4,
        PG_KIND_TEXT_FLOAT8,
        PG_KIND_TEXT_NUMERIC,
        PG_KIND_TEXT_BYTEA,
        PG_KIND_TEXT_TIMESTAMP,
        PG_KIND_TEXT_DATE,
        PG_KIND_TEXT_UUID
} dal__postgres_kind;

typedef enum dal__postgres_decoded {
        PG_DECODED,
        PG_MALFORMED, /* not what the type looks like on the wire */
        PG_INFINITE /* an infinite timestamp or date, or one beyond 64 bits of microseconds: no instant of ours */
} dal__postgres_decoded;

/* Written out, so that compilers see one swapped load. */
static inline uint64_t dal__postgres_load64(const char *bytes)
{
        const unsigned char *b = (const unsigned char *)bytes;

        return (uint64_t)b[0] << 56 | (uint64_t)b[1] << 48 | (uint64_t)b[2] << 40 | (uint64_t)b[3] << 32 |
               (uint64_t)b[4] << 24 | (uint64_t)b[5] << 16 | (uint64_t)b[6] << 8 | (uint64_t)b[7];
}

/* Written out, so that compilers see one swapped store. */
static inline void dal__postgres_store64(char *out, uint64_t value)
{
        out[0] = (char)(value >> 56);
        out[1] = (char)(value >> 48);
        out[2] = (char)(value >> 40);
        out[3] = (char)(value >> 32);
        out[4] = (char)(value >> 24);
        out[5] = (char)(value >> 16);
        out[6] = (char)(value >> 8);
        out[7] = (char)value;
}

dal__postgres_kind dal__postgres_kind_of(Oid type);
/* The kind of a type's cells in text form. */
dal__postgres_kind dal__postgres_text_kind_of(Oid type);
/* Decodes a cell. What is made of its bytes, a decimal's text, goes to *room, which then moves behind it. */
dal__postgres_decoded dal__postgres_decode(dal__postgres_kind kind, const char *bytes, size_t size,
                                           char **room, dal_value *out);
/* The same for PG_KIND_TEXT_*; `text` is ended by a NUL. */
dal__postgres_decoded dal__postgres_decode_text(dal__postgres_kind kind, const char *text, size_t size,
                                                char **room, dal_value *out);
/* Bytes at most that the text of a binary numeric takes. */
size_t dal__postgres_numeric_room(const char *bytes, size_t size);

/* ---- parameters ----------------------------------------------------------------------------------------- */

#define PG_SLOT_SIZE 24 /* a number in binary, or a 64-bit integer in decimal */

/* Parameters in the form that libpq takes; one set per connection, grown as needed. */
typedef struct dal__postgres_params {
        uint32_t room; /* parameters */
        void *block;   /* holds the five arrays */
        const char **values;
        int *lengths;
        int *formats;
        Oid *types;
        char (*slots)[PG_SLOT_SIZE];
        char *text; /* NUL-terminated copies of text parameters */
        size_t text_room;
        bool as_text; /* all of them travel so */
} dal__postgres_params;

/*
 * Checks what the wire can't carry and makes room, so that encoding can't fail. Says whether the values can be sent
 * to a statement that was prepared with `types` (NULL: no).
 */
dal_status dal__postgres_params_check(dal__postgres_params *p, dal_params params, size_t text_size,
                                      const Oid *types, bool *fit_out, dal_error *err);
/* Encodes; `types` gives the types a statement was prepared with, NULL = choose. p->types is filled when NULL. */
void dal__postgres_params_encode(dal__postgres_params *p, dal_params params, const Oid *types);
/* The same in text form, for a statement that is not prepared; p->types is filled. */
void dal__postgres_params_encode_text(dal__postgres_params *p, dal_params params);
/* Writes a value that is not NULL in text form, and a NUL; returns its size without that. */
size_t dal__postgres_put_text(char *out, const dal_value *value);
/* Bytes at most of a value in text form, with its NUL. */
size_t dal__postgres_text_room(const dal_value *value);
/* The type to declare for a value; 0 lets the server infer it. */
Oid dal__postgres_type_of(const dal_value *value);
void dal__postgres_params_free(dal__postgres_params *p);

/* ---- connection ----------------------------------------------------------------------------------------- */

typedef struct dal__postgres_cancel dal__postgres_cancel;
typedef struct dal__postgres_prepared dal__postgres_prepared;

/* A statement as the server knows it; the connection owns it, dal_driver_stmt points to it. */
struct dal__postgres_prepared {
        dal__postgres_prepared *next;
        dal__postgres_prepared **link;  /* where the pointer to this one is */
        dal__postgres_prepared **owner; /* in dal_driver_stmt's state; NULL once it is retired */
        uint32_t n_items;               /* requests that use it; it is freed when retired and unused */
        PGresult *failure;              /* of its preparation, for those who wait for that */
        bool on_server;                 /* the server has confirmed it and not been seen to forget it */
        char name[PG_NAME_SIZE];
        Oid types[]; /* as declared */
};

/* What travels right ahead of a statement. */
enum {
        PG_AHEAD_NOTHING,
        PG_AHEAD_PREPARATION,
        PG_AHEAD_LIMITS
};

typedef struct dal__postgres_item {
        const dal_request *request; /* valid until the result is returned, so not while rows are fetched */
        dal__postgres_prepared *prepared;
        uint8_t ahead; /* PG_AHEAD_* */
        bool ends_flush;
        bool syncs; /* in a pipeline: a Sync follows, which is where a failure's consequences end */
        uint32_t n_replies;
} dal__postgres_item;

typedef struct dal__postgres_column {
        Oid type;
        uint8_t kind;     /* dal__postgres_kind */
        int8_t word_size; /* 8: each value is one word of so many bytes and of `cell_type`; -1 otherwise */
        uint8_t cell_type;
        bool needs_room; /* its cells are made anew, in conn->text */
} dal__postgres_column;

typedef struct dal__postgres_conn {
        PGconn *pg;
        dal__postgres_cancel *cancel;
        atomic_bool cancel_sent;
        dal_statements statements;
        uint32_t statement_timeout_ms; /* what a session that is not ours can't keep; else 0 */
        uint32_t lock_timeout_ms;
        bool tls;
        bool broken; /* only close is left */

        /* Requests: [i_next, i_sent) are with the server, [i_sent, n_flushed) wait for that, the rest for a flush. */
        dal__postgres_item *items;
        uint32_t items_room, n_items, n_flushed, i_next, i_sent;
        uint32_t i_skip; /* requests before this one are skipped: an earlier one of their flush failed */

        /* The segment under way, or the last one. */
        bool open;                     /* its end was not read yet */
        bool pipelined;                /* it is a pipeline */
        bool quiet;                    /* nothing of its answer was read yet */
        bool in_tx;                    /* it runs inside BEGIN ... */
        bool tx_read_only;             /* ... READ ONLY */
        uint32_t n_trailing;           /* statements closed behind it, in a Sync of their own */
        PGTransactionStatusType state; /* what the server said at its end */

        /* The current result. */
        PGresult *rows;
        PGresult *names; /* columns of a result whose rows are not kept */
        int i_row, n_rows;
        uint32_t n_columns, columns_room;
        bool streaming;  /* more rows are to come */
        bool wide_rows;  /* those of the last stream were: a chunk of their like would take too much memory */
        bool may_cancel; /* nothing is lost when the streaming statement is canceled */
        bool needs_room; /* some column does */
        dal__postgres_column *columns;
        dal_value *cells;
        char *text;     /* decimals and the like of the current row */
        char *text_end; /* where the next one goes */
        size_t text_room;

        dal__postgres_params params;
        dal__postgres_prepared *prepared;
        uint32_t n_names;              /* given so far; none is used twice */
        char (*closing)[PG_NAME_SIZE]; /* names the server may forget */
        uint32_t n_closing, closing_room;
} dal__postgres_conn;

/* connect.c: makes conn->pg a session. */
dal_status dal__postgres_connect(dal__postgres_conn *conn, const dal_open_args *args, dal_deadline deadline,
                                 dal_error *err);
/* Brings an idle session to the time zone, and for text to the style of dates, that the library expects. */
dal_status dal__postgres_set_styles(dal__postgres_conn *conn, dal_deadline deadline, dal_error *err);

/* cancel.c */
dal_status dal__postgres_cancel_new(PGconn *pg, dal__postgres_cancel **out, dal_error *err);
dal_status dal__postgres_cancel_send(dal__postgres_cancel *cancel, dal_deadline deadline, dal_error *err);
void dal__postgres_cancel_free(dal__postgres_cancel *cancel);

#define PG_TEXT     0
#define PG_BINARY   1
#define PG_CLOSE_AT 16 /* closed statements wait until there are so many: they cost a Sync of their own */
#define PG_SHORT_MS 10 /* a wait well within the 50 ms by which a deadline may be missed */

/* run.c */
dal_driver_run_fn dal__postgres_run;

/* stmt.c */
dal_driver_queue_fn dal__postgres_queue;
dal_driver_flush_fn dal__postgres_flush;
dal_driver_stmt_close_fn dal__postgres_stmt_close;
/* Sends the next segment. After a failure there is nothing to wait for, or conn_gone is set. */
dal_status dal__postgres_send_segment(dal__postgres_conn *conn, dal_deadline deadline, dal_error *err);
/* Lets go of what an item holds, when its result is taken; `prepared_ok` is the answer to its preparation. */
void dal__postgres_release(dal__postgres_conn *conn, dal__postgres_item *item, bool prepared_ok);
/* Parts a statement from its server-side form, so that the next use prepares it anew. */
void dal__postgres_retire(dal__postgres_conn *conn, dal__postgres_prepared *prepared);
/* Drops the first `n` names of statements to close: the server has forgotten them. */
void dal__postgres_closed(dal__postgres_conn *conn, uint32_t n);
/* Says whether the rows of a request are to be delivered as they come. */
bool dal__postgres_streams(const dal_request *request);
/* Asks for that; for the answer that is read next, before anything of it was looked at. */
void dal__postgres_set_stream(dal__postgres_conn *conn);
/* Says whether a request only reads, as far as its first word tells. */
bool dal__postgres_is_read(const dal_request *request);

/* control.c */
#define PG_CONTROL_SIZE                                                                                      \
        512 /* bytes of the longest command: the token of a COMMIT with the name of its table */
/* Commands that a control request consists of; with a pipeline each is a message of its own. */
uint32_t dal__postgres_n_commands(const dal__postgres_conn *conn, const dal_request *request);
/* Writes command `i` of a control request; returns its size. */
int dal__postgres_put_command(char *out, size_t size, const dal__postgres_conn *conn,
                              const dal_request *request, uint32_t i);
/* Writes the query that sets the connection's own limits for the transaction that it is part of. */
void dal__postgres_put_limits(char *out, size_t size, const dal__postgres_conn *conn);
dal_driver_token_query_fn dal__postgres_token_query;
dal_driver_end_session_fn dal__postgres_end_session;
dal_driver_number_query_fn dal__postgres_number_query;

/* result.c */
dal_driver_result_fn dal__postgres_result;
/* Makes what PQgetResult() gave first for a statement sent by itself the outcome; consumes it. */
dal_status dal__postgres_take_plain(dal__postgres_conn *conn, const dal_request *request, PGresult *result,
                                    dal_deadline deadline, dal_result *out, dal_error *err);
/* Reads the count of a command tag: "UPDATE 5", "INSERT 0 5"; what does not change rows counts none. */
int64_t dal__postgres_count_of_tag(const char *tag);
/* The same; most results come from SELECT, which changes none. */
static inline int64_t dal__postgres_rows_of_tag(const char *tag)
{
        return tag[0] == 'S' ? 0 : dal__postgres_count_of_tag(tag);
}
/* Says whether the plain statement's answer has ended already, as it usually has, in the same packet. */
static inline bool dal__postgres_has_ended(dal__postgres_conn *conn)
{
        if (PQisBusy(conn->pg))
                return false;
        conn->state = PQtransactionStatus(conn->pg);
        if (conn->state == PQTRANS_ACTIVE || conn->state == PQTRANS_UNKNOWN)
                return false;
        conn->open = false;
        return true;
}
/* Waits until all that was written is with the kernel, reading what arrives meanwhile. */
dal_status dal__postgres_drain_output(dal__postgres_conn *conn, dal_deadline deadline, dal_error *err);
/* Waits until PQgetResult() would not block; false when the deadline passed. A lost connection is its answer. */
bool dal__postgres_is_ready(dal__postgres_conn *conn, dal_deadline deadline);
/* The same, and the failure when the deadline passed: an answer is outstanding, so the connection is given up. */
dal_status dal__postgres_wait(dal__postgres_conn *conn, dal_deadline deadline, dal_error *err);
dal_status dal__postgres_late(dal__postgres_conn *conn, dal_error *err);
/* Reads to the end of the segment; a failure told there is put into *failure unless that holds one already. */
dal_status dal__postgres_end_segment(dal__postgres_conn *conn, dal_deadline deadline, PGresult **failure,
                                     dal_error *err);
/*
 * Fills the error from the result that tells it, which is consumed; ends the segment and skips the rest of the
 * flush. `request` is NULL when it may be gone already.
 */
dal_status dal__postgres_fail_flush(dal__postgres_conn *conn, const dal_request *request, PGresult *failure,
                                    dal_deadline deadline, dal_error *err);
/* Runs commands by the simple protocol and drops their results; for an idle connection. */
dal_status dal__postgres_simple(dal__postgres_conn *conn, const char *sql, dal_deadline deadline,
                                dal_error *err);
/* Gives up a connection that can't be written to, or was lost earlier. */
dal_status dal__postgres_lost(dal__postgres_conn *conn, bool not_sent, dal_error *err);
bool dal__postgres_is_failure(const PGresult *result);
/* Fills the error from the failure of what is no request, whose segment has ended. */
dal_status dal__postgres_fail_alone(dal__postgres_conn *conn, const PGresult *failure, dal_error *err);

/* copy.c */
dal_driver_bulk_fn dal__postgres_bulk;

/* rows.c */
static inline bool dal__postgres_has_rows(const dal__postgres_conn *conn)
{
        return conn->rows || conn->names || conn->streaming;
}
dal_driver_fetch_fn dal__postgres_fetch;
dal_driver_discard_fn dal__postgres_discard;
dal_driver_column_fn dal__postgres_column_name;
/* Makes a result with rows the current one; consumes it. `streaming`: more of them are to come. */
dal_status dal__postgres_open_rows(dal__postgres_conn *conn, PGresult *result, bool streaming,
                                   dal_result *out, dal_error *err);
/* The same for the whole result of a statement run by itself; gives the first row, too. */
dal_status dal__postgres_open_whole(dal__postgres_conn *conn, PGresult *result, dal_result *out,
                                    dal_error *err);
/* Forgets the rows at hand and the names of their columns. */
void dal__postgres_drop_rows(dal__postgres_conn *conn);
bool dal__postgres_is_partial(const PGresult *result);

#endif
