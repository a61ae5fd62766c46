/* SPDX-License-Identifier: MIT */
#ifndef ISOLATION_H
#define ISOLATION_H

/*
 * The anomalies that isolation levels are told apart by, played step by step on each engine. A script is
 * data: what two or three transactions do, in which order, and how to see that the anomaly happened. What
 * each engine is expected to answer at each level is data, too (expected.c); the test asserts it and
 * docs/isolation.md is printed from it.
 *
 * The anomalies and their short names come from Adya, "Weak Consistency" (MIT, 1999), and Berenson et al.,
 * "A Critique of ANSI SQL Isolation Levels" (1995); the Hermitage project plays the same ones by hand.
 * Source: github.com/ept/hermitage
 */

#include "conf.h"

/* The engine, the level, and what else was set: one column of the table. */
enum iso_column {
        ISO_SQLITE, /* whatever level is asked for */
        ISO_POSTGRES_RC,
        ISO_POSTGRES_RR,
        ISO_POSTGRES_SER,
        ISO_MYSQL_RC,
        ISO_MYSQL_RR,
        ISO_MYSQL_SER,
        ISO_MARIADB_RC,
        ISO_MARIADB_RR,
        ISO_MARIADB_RR_SNAPSHOT, /* with innodb_snapshot_isolation=ON */
        ISO_MARIADB_SER,
        ISO_N_COLUMNS
};

/* What became of an anomaly. */
enum iso_outcome {
        ISO_UNKNOWN,       /* nothing of the following; no column may expect it */
        ISO_ALLOWED,       /* it happened */
        ISO_OLDER,         /* nobody waited or failed: an older version of the row was read */
        ISO_WAITS,         /* one transaction waited for the other */
        ISO_SERIALIZATION, /* one failed with this class */
        ISO_DEADLOCK,
        ISO_STALE_ROW
};

enum iso_op {
        ISO_END_OF_SCRIPT,
        ISO_COMMIT,
        ISO_ROLLBACK,
        ISO_GET,             /* value of row a */
        ISO_GET_VERSION,     /* version of row a */
        ISO_GET_LOCKED,      /* value of row a, by a locking read */
        ISO_COUNT_EQUAL,     /* rows whose value is a */
        ISO_COUNT_MULTIPLES, /* rows whose value is a multiple of a */
        ISO_SET,             /* value of row a becomes b */
        ISO_SET_VERSIONED,   /* likewise, if its version is still what stands in slot `from` */
        ISO_SET_EQUAL,       /* value becomes b wherever it is a */
        ISO_RAISE_ALL,       /* value of all rows grows by a */
        ISO_ADD,             /* a new row a with value b */
        ISO_REMOVE_EQUAL     /* rows whose value is a; the slot gets their number */
};

#define ISO_MAX_ACTORS 3
#define ISO_MAX_STEPS  20
#define ISO_N_SLOTS    9 /* 0 = nowhere */
#define ISO_NO_ROW     (-1)
#define ISO_UNREAD     (-2)

struct iso_step {
        enum iso_op op;
        int who; /* 1 to ISO_MAX_ACTORS */
        int64_t a, b;
        int slot; /* what was read goes here; 0 = nowhere */
        int from; /* SET: b is added to this slot's content; 0 = to nothing */
};

/* What was seen while a script was played. */
struct iso_seen {
        int64_t got[ISO_N_SLOTS];
        bool committed[ISO_MAX_ACTORS + 1]; /* by actor, from 1 */
        int64_t last[3];                    /* values of rows 1 and 2 in the end */
};

struct iso_script {
        const char *code; /* "G0" */
        const char *name; /* "dirty write" */
        const char *text; /* what goes wrong, one sentence for the page */
        struct iso_step steps[ISO_MAX_STEPS];
        bool (*happened)(const struct iso_seen *seen);
        bool is_remedy; /* an anomaly from above again, written so that it can't happen */
};

/* An engine in so far as the player must know it. */
struct iso_engine {
        const char *name;
        uint32_t lock_timeout_ms;
        uint32_t look_ms; /* so long a step may take before the server is asked why */
        bool refuses;     /* a lock that is not free is refused at once; the step is then taken again later */
        /* Asks the server whether a session waits for another one's lock. */
        bool (*is_waiting)(struct conf *c, dal_conn *observer, uint64_t session_id);
};

struct iso_column_info {
        const char *engine;
        dal_isolation level;
        bool any_level;    /* the same whatever level is asked for */
        const char *setup; /* for each session; NULL = nothing */
        const char *title; /* on the page */
};

extern const struct iso_column_info iso_columns[ISO_N_COLUMNS];
extern const struct iso_script iso_scripts[]; /* ends with a NULL code */

/* Finds what the player must know of an engine; NULL if there is no such engine. */
const struct iso_engine *iso_find_engine(const char *name);

/* Returns what a script is expected to give in a column. */
enum iso_outcome iso_expected(const struct iso_script *script, enum iso_column column);
const char *iso_outcome_name(enum iso_outcome outcome);
const char *iso_level_name(dal_isolation level);

/* What came of a script, and one line of what was done and seen, for a failed test. */
struct iso_report {
        enum iso_outcome outcome;
        char text[1024];
};

/* Plays a script. Fails the running test if something other than the outcome goes wrong. */
void iso_play(struct conf *c, const struct iso_engine *engine, const struct iso_script *script,
              dal_isolation level, const char *setup, struct iso_report *out);

/* Prints docs/isolation.md. */
void iso_print_page(void);

#endif
