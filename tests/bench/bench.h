/* SPDX-License-Identifier: MIT */
#ifndef DAL_TESTS_BENCH_H
#define DAL_TESTS_BENCH_H

/*
 * The same work, once by hand and once by the library. A side is one way to reach one engine; a group compares columns,
 * each a side and one of its works, which take turns in one process. All sides read and write the same tables:
 *
 *      bench_kv (id, v)          BENCH_N_KEYS rows, ids from 1; the value of key k is "value-%010d"
 *      bench_ins (id, v)         empty; what inserts go to
 *      bench_scan (id, d, s)     as many rows as the run wants
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <dal/dal.h>

#define BENCH_N_KEYS      100000
#define BENCH_N_DATABASES 4
#define BENCH_VALUE_SIZE  16
#define BENCH_URL_SIZE    512

typedef enum bench_engine {
        BENCH_PG,
        BENCH_MYSQL,
        BENCH_MARIADB,
        BENCH_SQLITE,
        BENCH_N_ENGINES
} bench_engine;

/* What a side can do. Each does `n` operations, `size` at a time where that means something, and checks values. */
typedef enum bench_task {
        BENCH_SELECT,      /* point selects one after another */
        BENCH_AHEAD,       /* point selects, a batch of them sent before the first answer is read */
        BENCH_INSERT,      /* n rows in one transaction, row by row */
        BENCH_QUEUE,       /* the same, nothing awaited before the end */
        BENCH_BULK,        /* the same, by the engine's fast path */
        BENCH_SCAN_WHOLE,  /* n rows, received whole before the first is read */
        BENCH_SCAN,        /* n rows as they arrive */
        BENCH_EACH,        /* the same select on every database, one after another */
        BENCH_EVERYWHERE,  /* the same, in flight together */
        BENCH_LEASE,       /* acquire and release of a connection by `size` threads */
        BENCH_EXEC,        /* a statement on the fake driver; `size` shards or distinct statements */
        BENCH_LOCATE,      /* from a key to the number of its shard */
        BENCH_LOCATE_KEYS, /* the same from keys that were made before */
        BENCH_N_TASKS
} bench_task;

typedef void bench_work(void *session, long n, long size);

typedef struct bench_side {
        const char *name;
        void *(*open)(const char *const *urls, size_t n_urls, long size);
        void (*close)(void *session);
        bench_work *work[BENCH_N_TASKS]; /* NULL: it can't, or its client library can't */
} bench_side;

extern const bench_side bench_raw_postgres, bench_raw_mysql, bench_raw_sqlite, bench_dal, bench_dal_shards;
extern const bench_side bench_pool_mutex, bench_pool_futex, bench_pool_dal;
extern const bench_side bench_map_raw, bench_map_dal, bench_fake_shards, bench_fake_statements;

/* ---- common.c ---- */

_Noreturn void bench_die(const char *what, const char *why);
_Noreturn void bench_fail(dal_status s, const dal_error *err);
/* In its caller, as a service would write it: the side by hand looks at its results without a call, too. */
static inline void bench_check_status(dal_status s, const dal_error *err)
{
        if (s)
                bench_fail(s, err);
}
void *bench_alloc(size_t n, size_t size);
/* Keys in an order that no cache of one row can guess, the same for all. Start with BENCH_SEED. */
#define BENCH_SEED 88172645463325252u
int64_t bench_next_key(uint64_t *state);
void bench_check_value(int64_t key, const char *value, size_t size);
/* Writes the value of a key, without a NUL. */
void bench_write_value(int64_t key, char out[BENCH_VALUE_SIZE]);

/* What a scan read, to be compared with what was stored. */
typedef struct bench_sum {
        int64_t n_rows, ids, bytes;
        double doubles;
} bench_sum;
void bench_check_sum(const bench_sum *sum, long n_rows);

/* ---- measure.c ---- */

typedef struct bench_column {
        const char *name;
        const bench_side *side;
        bench_task task;
        long size;
        double target; /* times the base; 0: none */
} bench_column;

typedef struct bench_group {
        const char *name;
        const char *unit;            /* of the ratios: "x raw" */
        const char *base_unit;       /* of the base's own time: "us a select" */
        double base_scale;           /* nanoseconds of one such unit, of one operation */
        const bench_column *columns; /* the first is the base */
        size_t n_columns;
        long n;
        int rounds;
        bool cpu_time; /* where nothing is waited for: other work on the machine disturbs it less than the clock's */
        void (*before)(void *arg), (*after)(void *arg, long n); /* each run, untimed; may be NULL */
        void *arg;
} bench_group;

#define BENCH_MAX_COLUMNS 8
#define BENCH_MAX_ROUNDS  64
#define BENCH_NAME_SIZE   32 /* of a group */

typedef struct bench_result {
        double ns[BENCH_MAX_COLUMNS];    /* of one operation, median; 0: not measured */
        double ratio[BENCH_MAX_COLUMNS]; /* to the base, median of the rounds' pairs */
} bench_result;

typedef struct bench_out {
        bool json;
} bench_out;

/* Opens all columns' sessions, warms up, and lets the columns take turns. */
void bench_measure(const bench_group *group, const char *const *urls, size_t n_urls, bench_result *result);
/* Prints one row for each column. */
void bench_print_group(const bench_out *out, const bench_group *group, const bench_result *result);
/* The most memory that the process has had. */
double bench_peak_mib(void);
/* Prints one row; a target of 0 is none. `note` may be NULL and is for people only. */
void bench_print(const bench_out *out, const char *group, const char *column, double value, const char *unit,
                 double target, const char *note);

/* ---- proxy.c ---- */

/* A man in the middle that holds up every byte for `one_way_ns` and counts round trips. A thread of its own. */
typedef struct bench_proxy bench_proxy;
bench_proxy *bench_proxy_new(const char *url, int64_t one_way_ns);
/* The URL of a database of that server, through the proxy. */
void bench_proxy_url(const bench_proxy *proxy, const char *url, char out[BENCH_URL_SIZE]);
void bench_proxy_set_delay(bench_proxy *proxy, int64_t one_way_ns);
/* How often the server spoke after the client had; all connections together. */
uint64_t bench_proxy_round_trips(bench_proxy *proxy);
void bench_proxy_free(bench_proxy *proxy);

/* ---- data.c ---- */

const dal_driver *const *bench_drivers(size_t *n_out);
const dal_driver *bench_driver_of(const dal_dsn *dsn);
dal_conn *bench_connect(const char *url);
void bench_sql(const char *url, const char *sql);
/* Makes and fills the tables. */
void bench_fill(const char *url, long n_scan_rows);
/* Makes the databases the shards of a cluster whose catalog is a new SQLite file. */
void bench_make_cluster(const char *catalog_url, const char *const *urls, size_t n_urls);
/* Makes them plain databases again. */
void bench_end_cluster(const char *const *urls, size_t n_urls);

#endif
