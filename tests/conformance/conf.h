/* SPDX-License-Identifier: MIT */
#ifndef CONF_H
#define CONF_H

/*
 * The frame of the conformance and fault suites: one set of cases, run on one engine at a time. What
 * engines do differently stands in struct quirks and nowhere else. Each run works in a database or file of
 * its own, so that several suites may use one server together.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <dal/dal.h>
#include <dal/drivers/fake.h>

/* Facts about one engine, each with its source in quirks.c. */
struct quirks {
        const char *name; /* as given on the command line */
        const dal_driver *(*driver)(void);
        const char *env;       /* the variable that holds its URL; NULL = needs no server */
        const char *admin_env; /* the same of the server behind it, where databases are made; NULL = env */
        const char *mode; /* how statements travel if they must travel so; NULL = as the command line says */
        const char *engine; /* dal_driver_info.engine */
        dal_dialect dialect;
        const char *const *ddl;  /* scripts that make the tables of the suite; NULL-terminated */
        bool row_locks;          /* two writers may be in transactions together, so they can deadlock */
        bool deadlock_ends_tx;   /* the server itself ends the victim's transaction */
        bool error_fails_tx;     /* the server refuses all that follows an error in a transaction */
        bool first_updater_wins; /* a stale write under REPEATABLE READ is a serialization failure */
        /* The names that an error carries, of conf_names: */
        uint8_t names_unique, names_foreign_key, names_not_null, names_check;
        uint8_t names_value;                     /* when a value does not fit its column */
        uint8_t names_no_table, names_no_column; /* when something does not exist */
        const char *end_session;    /* ends the session of the number ?; NULL = there are no sessions */
        const char *stop_statement; /* stops what the session of number ? runs; NULL: none, or none is ours */
        bool stop_takes_connection; /* that is done in a session, which counts among the server's connections */
        const char *waits_for_lock; /* query: 1 while that session waits for another's lock; NULL likewise */
        const char *limit_idle;     /* makes the server end an idle transaction soon; NULL = it can't */
        const char *crowd_setup;    /* makes ? take one connection; NULL = a test can't */
        const char *crowd_teardown; /* and takes that back */
        const char *crowd_key;      /* what ? is in a URL */
        const char *packet_limit; /* asks for the bytes that a request may have; NULL = as good as no limit */
        bool commit_may_conflict; /* SERIALIZABLE is checked when a transaction commits */
        bool counts_round_trips;  /* there is a server to travel to */
        const char *
                sends_reads_ahead; /* the client library with which prepared reads do not wait for each other */
        bool folds_inserts;        /* queued INSERTs of one statement travel as one, but for the last */
        bool has_login;            /* user and password are checked */
        bool has_port;             /* is reached by TCP */
        bool script_is_one;        /* dal_conn_script() takes one statement only */
        bool ddl_ends_tx;          /* DDL commits the open transaction */
        bool defers_constraints;   /* has DEFERRABLE INITIALLY DEFERRED */
        uint32_t decimal_whole, decimal_scale; /* digits before and behind the point in column conf_value.n */
        uint32_t expression_types;    /* bit per dal_type: `SELECT ?` gives the parameter back as that type */
        bool untyped_parameter_fails; /* a parameter must stand where the statement gives it a type */
        bool keeps_zero_dates;        /* a session may store what no calendar has */
        bool narrow_columns;          /* a SMALLINT column holds no more than 16 bits */
        bool text_rounds_float;       /* a FLOAT cell that travels as text has six digits */
        bool keeps_negative_zero;     /* a double column tells -0.0 from 0.0 */
        const char *service_key; /* a new session names its service by these words, one byte and the name */
        char service_separator;
        bool is_pooler;             /* a transaction pooler is in between: no session is ours */
        const char *count_prepared; /* query: statements that the session has prepared, itself apart */
        const char
                *forget_prepared; /* command: the session forgets them, as behind a pooler; names are SQL's */
        const char *show_limits;  /* query: the statement and the lock limit, "300ms 200ms" */
        const char *zone_setting; /* a database's own setting of the time zone */
        const char
                *hour_of_midnight; /* query: the hour, in the session's zone, of an instant at midnight UTC */
        const char *
                answer_end; /* how the end of a whole answer begins, behind a failure as well; NULL = it has none */
        size_t answer_end_size;
        const char *const *local_changes; /* what changes the session up to the transaction's end only */
};

enum conf_names {
        CONF_TABLE = 1,
        CONF_COLUMN = 2,
        CONF_CONSTRAINT = 4
};

struct conf {
        const struct quirks *q;
        const dal_driver *driver;
        char url[1024];        /* leads to the suite's own tables */
        char server_url[1024]; /* as the environment gave it, and how statements travel */
        char admin_url[1024];  /* where the place is made and dropped */
        const char *mode;      /* "prepared", "unnamed" or "text" */
        char place[64];        /* the database or file made for this run */
        char dir[128];         /* sqlite: the temporary directory */
        dal_dsn *dsn;
        dal_fake_server *server; /* fake: the server itself */
        dal_conn *conn;          /* opened for each case */
        dal_error err;           /* of the last call */
};

struct conf_case {
        const char *name; /* "topic__behaviour_in_words" */
        void (*run)(struct conf *c);
};
#define CONF_CASE(function)                                                                                  \
        {                                                                                                    \
#function, function                                                                          \
        }

/* Sets up the run of "ENGINE" or "ENGINE:MODE"; prints what is missing and returns false if it can't. */
bool conf_begin(struct conf *c, const char *engine);
void conf_end(struct conf *c);
/* Runs cases through cmocka, each with a new connection and empty tables; the number that failed. */
int conf_run(struct conf *c, const char *suite, const struct conf_case *const *topics, const char *filter);

/*
 * The main() of a suite: NAME ENGINE[:MODE] [FILTER]; the exit status: 64 when called otherwise, with `usage` printed.
 */
int conf_main(int argc, char **argv, const char *usage, const struct conf_case *const *topics);

const struct quirks *conf_find_quirks(const char *name, size_t name_size);
/* Answers for the statements of the suite. */
bool conf_fake_answers(dal_fake_server *server);

/* --- What cases use ------------------------------------------------------------------------------------ */

/* Fails the case unless the call succeeded; or unless it failed with the class. Both show c->err. */
#define OK(call)            conf_ok(c, (call), #call, __FILE__, __LINE__)
#define FAILS(call, wanted) conf_fails(c, (call), DAL_CLASS_##wanted, #call, __FILE__, __LINE__)
void conf_ok(struct conf *c, dal_status s, const char *call, const char *file, int line);
void conf_fails(struct conf *c, dal_status s, dal_error_class wanted, const char *call, const char *file,
                int line);

/* A deadline far enough for any single step of a test. */
#define SOON dal_clock_after_ms(20000)

dal_conn *conf_open(struct conf *c, const dal_conn_options *options);
/* Opens a cluster of this one database. `options` may be NULL. */
dal_cluster *conf_cluster(struct conf *c, const dal_cluster_options *options);
/* Checks that every connection came home, and closes. */
void conf_cluster_end(struct conf *c, dal_cluster *cluster);
/* Of a cluster of one connection: the round trips it has made, and its session on the server. */
uint64_t conf_round_trips(struct conf *c, dal_cluster *cluster);
uint64_t conf_session_of(struct conf *c, dal_cluster *cluster);
/* Appends a key to a URL. */
void conf_url_with(char *out, size_t size, const char *url, const char *key, const char *value);
/*
 * Says whether a look at what others run failed as that isn't text: another program's bytes, for a moment.
 * Source: MySQL, error 3854, from INNODB_TRX, whose column trx_query is of another character set; seen
 */
bool conf_saw_bytes(const dal_error *err);
/* Runs a query that gives one integer. */
int64_t conf_number(struct conf *c, dal_conn *conn, const dal_stmt *stmt, dal_params params);
/* Makes the table dal_outcome as the library's own script does, and drops it; outcome_conf.c. */
void conf_outcomes_make(struct conf *c);
void conf_outcomes_drop(struct conf *c);
bool conf_has_cap(const struct conf *c, uint32_t cap);
/* Says whether statements can travel so: the driver has the mode, and a pooler lets it pass. */
bool conf_has_mode(const struct conf *c, dal_statements statements);
/* How the run's statements travel. */
dal_statements conf_statements(const struct conf *c);
/* Says whether they travel so: "prepared", "unnamed" or "text". */
bool conf_is_mode(const struct conf *c, const char *mode);
/* How often something was prepared: `n` times where anything is. */
uint64_t conf_n_prepared(const struct conf *c, uint64_t n);

/* A meeting of two threads that does not wait for ever: true if the other one came. */
struct conf_meeting;
struct conf_meeting *conf_meeting_new(void);
void conf_meeting_free(struct conf_meeting *m);
bool conf_meet(struct conf_meeting *m, uint32_t timeout_ms);
void conf_sleep_ms(uint32_t ms);

/*
 * Statements that several topics use; tables conf_account (id, balance) and conf_item (id, code, parent,
 * qty).
 */
extern const dal_stmt conf_add_account;    /* id, balance */
extern const dal_stmt conf_add_balance;    /* amount, id */
extern const dal_stmt conf_balance;        /* id: balance */
extern const dal_stmt conf_remove_account; /* id */
extern const dal_stmt conf_all_accounts;   /* rows id, balance by id */
extern const dal_stmt conf_count_accounts; /* one number */
extern const dal_stmt conf_add_item;       /* id, code, parent, qty */
extern const dal_stmt conf_numbers;        /* n: rows 0 to n - 1, n at most 100000, received whole */
extern const dal_stmt conf_stream;         /* the same, streamed */
extern const dal_stmt conf_sleep;          /* takes ten seconds */

extern const struct conf_case values_conf[], statements_conf[], stale_conf[], rows_conf[], cursors_conf[],
        errors_conf[], transactions_conf[], transactions_end_conf[], cluster_conf[], queue_conf[],
        batch_conf[], session_conf[], deadlines_conf[], contention_conf[], connect_conf[], property_conf[],
        paths_conf[], limits_conf[], modes_conf[], literals_conf[], outcome_conf[], outcome_number_conf[],
        bulk_conf[], bulk_cluster_conf[], bulk_trouble_conf[], fanout_conf[], ahead_conf[], fold_conf[];

#endif
