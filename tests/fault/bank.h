/* SPDX-License-Identifier: MIT */
#ifndef FAULT_BANK_H
#define FAULT_BANK_H

/*
 * A bank under attack. Workers, processes with several threads each, move money between the accounts of
 * one key through the library, while connections break, servers die and workers are killed. Every
 * operation writes its own number with its work. Before an operation its intent is appended to a file,
 * and afterwards what the library said; at the end the files are compared with the database.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <dal/dal.h>

#include "proxy.h"

enum {
        BANK_WORKERS = 3,
        BANK_THREADS = 6,
        BANK_POOL = 5,
        BANK_GROUPS = 24,
        BANK_ACCOUNTS = 4, /* of each group */
        BANK_BALANCE = 1000,
        BANK_PATH = 512,
        BANK_MIN_TIMEOUT_MS = 600,
        BANK_TIMEOUT_SPREAD_MS = 1000,
        BANK_OVERRUN_MS = 5000, /* no call takes longer than its deadline and this */
        BANK_MEMBERS = 3,       /* of a group of servers */
        BANK_PARTS = 8          /* rows that an operation of many statements writes besides its own */
};

/* ---- engines: what differs between them ---------------------------------------------------------- */

struct bank_engine {
        const char *name;
        const dal_driver *(*driver)(void);
        bool is_server;
        enum wire_protocol protocol;
        const char *const *ddl;
        const char *left_open;   /* query: transactions that are open in sessions of the bank */
        const char *sessions;    /* query: the numbers of the bank's sessions */
        const char *end_session; /* command with a place for the number */
        const char *const *read_only_on, *const *read_only_off;
};

const struct bank_engine *bank_find_engine(const char *name);

/* ---- what the processes share -------------------------------------------------------------------- */

enum bank_phase {
        BANK_RUN,
        BANK_REST, /* no operations, but the pools stay */
        BANK_QUIT
};

struct bank_worker_state {
        _Atomic uint64_t op[BANK_THREADS]; /* the operation in flight; 0 = none */
        _Atomic uint64_t n_done;
        _Atomic uint32_t n_resting; /* threads */
        _Atomic uint32_t pool_size; /* connections open, idle or at work */
};

struct bank_shared {
        _Atomic uint32_t phase;
        struct bank_worker_state workers[BANK_WORKERS];
        _Atomic uint32_t vfs_wanted;    /* faults of the file system still to strike */
        _Atomic uint32_t vfs_struck[8]; /* by enum bank_vfs_fault */
};

/* Threads in the middle of an operation just now. */
unsigned bank_n_in_flight(struct bank_shared *shared);

struct bank_options {
        const struct bank_engine *engine;
        char url[BANK_PATH];       /* the server, as the workers' account */
        char admin_url[BANK_PATH]; /* as one who may do everything */
        char container[112];       /* where the server runs; "" = its process can't be struck */
        uint16_t ports
                [BANK_MEMBERS]; /* of a group: its members run in container-1, -2 ... of a network that is
                                         called as the container, and elect one that may write; 0 = one server */
        char dir[BANK_PATH];    /* for logs, the shared page and SQLite's file */
        char schema[BANK_PATH]; /* the folder of the library's own tables */
        uint64_t seed;
        uint32_t n_faults;
        int i_worker; /* >= 0: this process is a worker */
        uint32_t incarnation;
};

struct bank_shared *bank_share(const char *dir);

/* ---- statements ---------------------------------------------------------------------------------- */

extern const dal_stmt bank_read, bank_read_locked, bank_sum, bank_add, bank_add_versioned, bank_add_account,
        bank_write_op, bank_write_op_resolved, bank_write_part, bank_all_ops, bank_all_parts,
        bank_all_accounts;

/* ---- evidence ------------------------------------------------------------------------------------ */

enum bank_kind {
        BANK_READ_WRITE,
        BANK_QUEUED,
        BANK_VERSIONED,
        BANK_NESTED,
        BANK_REFUSED,         /* the function itself refuses at the end */
        BANK_SINGLE,          /* one statement without a transaction's function */
        BANK_SINGLE_RESOLVED, /* the same, whose lost answer is resolved */
        BANK_SUM,             /* reads only */
        BANK_FOLDED,          /* queued runs of the same statements, which travel as one */
        BANK_BATCHED,         /* a batch inside a transaction */
        BANK_SCATTERED, /* a batch of independent writes, with queries between them: each has an end of its own */
        BANK_N_KINDS
};

struct bank_op {
        uint64_t id; /* worker, incarnation, thread and number in one */
        int64_t group;
        int32_t from, to;
        int64_t amount;
        enum bank_kind kind;
        uint32_t timeout_ms;
};

/* What the library said of each write of a BANK_SCATTERED. */
#define BANK_PART_DONE     'D'
#define BANK_PART_REFUSED  'R'
#define BANK_PART_IN_DOUBT '?'

/* What the library said, or that it said nothing. */
struct bank_answer {
        struct bank_op op;
        bool answered;
        dal_status status;
        dal_error_class error_class;
        int64_t elapsed_us;
        uint32_t n_calls;     /* of the transaction's function */
        uint32_t n_committed; /* calls of the hook */
        uint32_t n_attempt;   /* of the last call of the function */
        char token[33];
        char parts[BANK_PARTS + 1]; /* BANK_PART_* of each; "" = of other kinds */
        char message[160];
};

/* A file of one thread, opened to append; -1 and errno. */
int bank_log_open(const char *dir, uint64_t first_id);
bool bank_log_intent(int fd, const struct bank_op *op);
bool bank_log_answer(int fd, const struct bank_answer *answer);
/* Reads all files of a folder, sorted by id; false if one is malformed. */
bool bank_log_read(const char *dir, struct bank_answer **out, size_t *n_out);

/* ---- the parts of a run -------------------------------------------------------------------------- */

/* A worker's whole life; its exit status. */
int bank_work(const struct bank_options *options);
/* A cluster of this one database. */
dal_cluster *bank_open_cluster(const struct bank_options *options, dal_error *err);
/* Registers the file system that fails; before SQLite is used. */
bool bank_vfs_register(struct bank_shared *shared, uint64_t seed);
/* Tells it that this thread is in an operation. */
void bank_vfs_enter(bool in_operation);

/* ---- a group of servers, one of which may write --------------------------------------------------- */

struct bank_group {
        struct bank_options *options;              /* whose URLs lead to the one that may write */
        struct proxy *proxy;                       /* which does, too; NULL = not yet */
        char url[BANK_PATH], admin_url[BANK_PATH]; /* of any member, without the port */
        unsigned primary;
        int64_t election_ms[64];
        size_t n_elections;
};

bool bank_is_group(const struct bank_options *options);
/* The container of a member: "NAME-1". */
void bank_group_container(const struct bank_group *g, unsigned member, char out[128]);
/* The first member is the one that writes. */
void bank_group_begin(struct bank_group *g, struct bank_options *options);
/* Waits until another member than `former` may write, and leads everybody there. */
bool bank_group_follow(struct bank_group *g, unsigned former);
/* Hands the right to write to the next member. */
bool bank_group_hand_over(struct bank_group *g);
/* Brings a member back that was away. */
bool bank_group_rejoin(struct bank_group *g, unsigned member);
/* What holds before anything is struck: who may not write says so. How many findings are wrong. */
unsigned bank_group_check_roles(struct bank_group *g);
/* What holds at the end: all have the same, and transactions that collide end clearly. Likewise. */
unsigned bank_group_check_end(struct bank_group *g);

/* ---- what befalls servers ------------------------------------------------------------------------- */

/* A server's own faults, and what came of them. */
enum bank_blow {
        BLOW_KILL,
        BLOW_PAUSE,
        BLOW_RESTART,
        BLOW_SESSIONS,
        BLOW_READ_ONLY,
        BLOW_CROWD,
        BLOW_CUT_OFF,
        BLOW_HAND_OVER, /* of groups only, so it is the last */
        BANK_N_BLOWS
};
struct bank_nemesis {
        const struct bank_options *options;
        struct bank_shared *shared;
        struct proxy *proxy;
        struct bank_group *group; /* NULL = one server */
        uint64_t random;
        uint32_t n_struck[BANK_N_BLOWS]; /* that met an operation in flight */
        int64_t recovery_ms[64];
        size_t n_recoveries;
        bool failed;
};
const char *bank_blow_words(enum bank_blow blow);
/* How many kinds there are for such servers. */
unsigned bank_n_blows(const struct bank_options *options);
/* Strikes the server once and waits until it is back; false when something is broken beyond repair. */
bool bank_strike(struct bank_nemesis *n, enum bank_blow blow);

/* Compares what was said with what is there; prints the findings and returns how many are wrong. */
unsigned bank_check(const struct bank_options *options, const struct proxy_strike *strikes, size_t n_strikes);

dal_conn *bank_connect(const struct bank_options *options, const char *url, dal_error *err);
void bank_sleep_ms(uint32_t ms);
int64_t bank_now_ms(void);

#endif
