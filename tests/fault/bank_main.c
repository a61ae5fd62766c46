/* SPDX-License-Identifier: MIT */
/*
 * fault_bank --engine E --url URL [--admin URL] [--container NAME] --dir DIR --schema DIR --seed S
 * --faults N: one run, from an
 * empty database to the verdict. tests/fault/bank starts it with all that it needs.
 */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bank.h"
#include "bank_vfs.h"

extern char **environ;

enum {
        GAP_MS = 6,
        STUCK_MS = 60000,
        FAULTS_PER_BLOW = 200, /* and all kinds at least once */
        FAULTS_PER_KILL = 25
};

struct run {
        struct bank_options options;
        struct bank_shared *shared;
        struct proxy *proxy;
        struct bank_nemesis nemesis;
        struct bank_group group;
        char worker_url[BANK_PATH + 16];
        pid_t pids[BANK_WORKERS];
        uint32_t incarnations[BANK_WORKERS];
        uint32_t n_killed; /* workers, by us, in the middle of an operation */
        uint64_t random;
        unsigned n_wrong;
};

#define WRONG(run, ...)                                                                                      \
        do {                                                                                                 \
                (run)->n_wrong++;                                                                            \
                fprintf(stderr, "WRONG: " __VA_ARGS__);                                                      \
                fputc('\n', stderr);                                                                         \
        } while (0)

/* ---- tools that the other parts use, too --------------------------------------------------------- */

void bank_sleep_ms(uint32_t ms)
{
        struct timespec ts = {ms / 1000, (long)(ms % 1000) * 1000000};

        while (nanosleep(&ts, &ts) != 0 && errno == EINTR)
                ;
}

int64_t bank_now_ms(void)
{
        return dal_clock_now() / 1000000;
}

unsigned bank_n_in_flight(struct bank_shared *shared)
{
        unsigned n = 0;

        for (int i = 0; i < BANK_WORKERS; i++)
                for (int t = 0; t < BANK_THREADS; t++)
                        n += atomic_load(&shared->workers[i].op[t]) != 0;
        return n;
}

dal_conn *bank_connect(const struct bank_options *o, const char *url, dal_error *err)
{
        dal_dsn *dsn = NULL;
        dal_conn *conn = NULL;

        if (dal_dsn_parse(url, &dsn, err) == DAL_OK &&
            dal_conn_open(o->engine->driver(), dsn, NULL, dal_clock_after_ms(3000), &conn, err) != DAL_OK)
                conn = NULL;
        dal_dsn_free(dsn);
        return conn;
}

struct bank_shared *bank_share(const char *dir)
{
        char path[BANK_PATH + 16];
        void *page;
        int fd;

        snprintf(path, sizeof path, "%s/shared", dir);
        fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
        if (fd < 0 || ftruncate(fd, sizeof(struct bank_shared)) != 0) {
                perror(path);
                return NULL;
        }
        page = mmap(NULL, sizeof(struct bank_shared), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        close(fd);
        return page == MAP_FAILED ? NULL : page;
}

/* ---- workers ------------------------------------------------------------------------------------- */

static bool start_worker(struct run *r, int i)
{
        char n[4][24], engine[16], url[BANK_PATH + 16], dir[BANK_PATH];
        char *argv[] = {(char[]){"fault_bank"},
                        (char[]){"--engine"},
                        engine,
                        (char[]){"--url"},
                        url,
                        (char[]){"--dir"},
                        dir,
                        (char[]){"--seed"},
                        n[0],
                        (char[]){"--worker"},
                        n[1],
                        (char[]){"--incarnation"},
                        n[2],
                        NULL};

        snprintf(engine, sizeof engine, "%s", r->options.engine->name);
        snprintf(url, sizeof url, "%s", r->worker_url);
        snprintf(dir, sizeof dir, "%s", r->options.dir);
        snprintf(n[0], sizeof n[0], "%" PRIu64, r->options.seed);
        snprintf(n[1], sizeof n[1], "%d", i);
        snprintf(n[2], sizeof n[2], "%" PRIu32, r->incarnations[i]++);
        return posix_spawn(&r->pids[i], "/proc/self/exe", NULL, NULL, argv, environ) == 0;
}

/* Workers that were killed are started anew; any other end before the end of the run is a defect. */
static bool look_after_workers(struct run *r)
{
        for (int i = 0; i < BANK_WORKERS; i++) {
                int status;

                if (waitpid(r->pids[i], &status, WNOHANG) <= 0)
                        continue;
                r->pids[i] = 0;
                if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL) {
                        WRONG(r, "worker %d ended by itself (status %#x)", i, (unsigned)status);
                        return false;
                }
                for (int t = 0; t < BANK_THREADS; t++)
                        atomic_store(&r->shared->workers[i].op[t], 0);
                atomic_store(&r->shared->workers[i].pool_size, 0);
                if (!start_worker(r, i))
                        return false;
        }
        return true;
}

static uint64_t n_done(const struct run *r)
{
        uint64_t n = 0;

        for (int i = 0; i < BANK_WORKERS; i++)
                n += atomic_load(&r->shared->workers[i].n_done);
        return n;
}

/* Whoever is in the middle of an operation. */
static bool kill_one(struct run *r)
{
        int i = (int)proxy_random(&r->random, BANK_WORKERS);
        pid_t pid = r->pids[i];
        bool in_flight = false;

        for (int t = 0; t < BANK_THREADS; t++)
                in_flight |= atomic_load(&r->shared->workers[i].op[t]) != 0;
        if (!in_flight)
                return true;
        kill(pid, SIGKILL);
        r->n_killed++;
        while (r->pids[i] == pid) { /* until there is another one */
                if (!look_after_workers(r))
                        return false;
                bank_sleep_ms(1);
        }
        return true;
}

/* ---- servers: the proxy and the blows ------------------------------------------------------------ */

static uint32_t n_blows(const struct run *r)
{
        uint32_t n = r->options.n_faults / FAULTS_PER_BLOW, kinds = bank_n_blows(&r->options);

        return !r->options.container[0] ? 0 : n < kinds ? kinds : n > 48 ? 48 : n;
}

static bool strike_server(struct run *r, enum bank_blow blow, size_t total)
{
        proxy_arm(r->proxy, 0, GAP_MS);
        if (!bank_strike(&r->nemesis, blow)) {
                WRONG(r, "after \"%s\"", bank_blow_words(blow));
                return false;
        }
        proxy_arm(r->proxy, total - proxy_n_strikes(r->proxy), GAP_MS);
        return true;
}

/* Whether the i-th of n things is due when `done` of `total` others are. */
static bool is_due(uint32_t i, uint32_t n, size_t done, size_t total)
{
        return i < n && (done >= total || done >= (i + 1) * total / (n + 1));
}

static bool attack_server(struct run *r)
{
        uint32_t blows = n_blows(r), kills = r->options.n_faults / FAULTS_PER_KILL, i_blow = 0;
        size_t total = r->options.n_faults - blows - kills, before = 0;
        int64_t moved_at = bank_now_ms();

        proxy_arm(r->proxy, total, GAP_MS);
        while (before < total || i_blow < blows || r->n_killed < kills) {
                size_t n = proxy_n_strikes(r->proxy);

                if (n > before)
                        moved_at = bank_now_ms();
                before = n;
                if (bank_now_ms() - moved_at > STUCK_MS) {
                        WRONG(r, "no fault strikes any more: %zu of %zu did", n, total);
                        return false;
                }
                if (!look_after_workers(r))
                        return false;
                if (is_due(r->n_killed, kills, n, total) && !kill_one(r))
                        return false;
                if (is_due(i_blow, blows, n, total)) {
                        if (!strike_server(r, (enum bank_blow)(i_blow++ % bank_n_blows(&r->options)), total))
                                return false;
                        moved_at = bank_now_ms();
                }
                bank_sleep_ms(2);
        }
        return true;
}

/* At rest nothing may be open; a session whose connection was cut is given a moment to find out. */
static void check_left_open(struct run *r)
{
        dal_error err = DAL_ERROR_INIT;
        dal_conn *conn = bank_connect(&r->options, r->options.admin_url, &err);
        int64_t n = -1, give_up = bank_now_ms() + 5000;

        while (conn && n != 0 && bank_now_ms() < give_up) {
                dal_rows *rows = NULL;
                dal_status s = dal_conn_query_dynamic(conn, r->options.engine->left_open, DAL_NO_PARAMS,
                                                      dal_clock_after_ms(5000), &rows, &err);

                if (s == DAL_OK)
                        s = dal_rows_first(rows, &err);
                if (s == DAL_OK)
                        s = dal_rows_int64(rows, 0, &n, &err);
                dal_rows_close(rows);
                if (s && err.conn_gone)
                        break;
                bank_sleep_ms(20);
        }
        dal_conn_close(conn);
        if (n != 0)
                WRONG(r, "%" PRId64 " sessions are left in a transaction %s", n, err.message);
}

static void tell_server(struct run *r)
{
        size_t n[PROXY_N_FAULTS] = {0}, n_strikes = proxy_n_strikes(r->proxy);
        int64_t worst = 0;

        for (size_t i = 0; i < n_strikes; i++)
                n[proxy_strikes(r->proxy)[i].fault]++;
        for (int i = 0; i < PROXY_N_FAULTS; i++)
                printf("%6zu  %s\n", n[i], proxy_fault_words((enum proxy_fault)i));
        for (unsigned i = 0; i < bank_n_blows(&r->options); i++)
                printf("%6" PRIu32 "  %s\n", r->nemesis.n_struck[i], bank_blow_words((enum bank_blow)i));
        printf("pools back to size after");
        for (size_t i = 0; i < r->nemesis.n_recoveries; i++) {
                printf(" %" PRId64, r->nemesis.recovery_ms[i]);
                if (r->nemesis.recovery_ms[i] > worst)
                        worst = r->nemesis.recovery_ms[i];
        }
        printf(" ms; at worst %" PRId64 " ms\n", worst);
        if (!r->nemesis.group)
                return;
        printf("another member wrote after");
        for (size_t i = 0; i < r->group.n_elections; i++)
                printf(" %" PRId64, r->group.election_ms[i]);
        printf(" ms\n");
}

/* ---- SQLite: the file system and the workers' lives ---------------------------------------------- */

static uint32_t n_vfs_struck(const struct run *r)
{
        uint32_t n = 0;

        for (int i = 0; i < VFS_NONE; i++)
                n += atomic_load(&r->shared->vfs_struck[i]);
        return n;
}

/* A third of the faults are kills from outside, at any moment. */
static bool attack_files(struct run *r)
{
        uint32_t kills = r->options.n_faults / 3, total = r->options.n_faults - kills, before = 0;
        int64_t moved_at = bank_now_ms();

        atomic_store(&r->shared->vfs_wanted, total);
        while (n_vfs_struck(r) < total || r->n_killed < kills) {
                uint32_t n = n_vfs_struck(r) + r->n_killed;

                if (n > before)
                        moved_at = bank_now_ms();
                before = n;
                if (bank_now_ms() - moved_at > STUCK_MS) {
                        WRONG(r, "no fault strikes any more");
                        return false;
                }
                if (!look_after_workers(r))
                        return false;
                if (r->n_killed < kills && !kill_one(r))
                        return false;
                bank_sleep_ms(1 + proxy_random(&r->random, 60));
        }
        return true;
}

static void tell_files(struct run *r)
{
        static const char *const words[] = {
#define BANK_VFS_WORDS(name, text) text,
                BANK_VFS_LIST(BANK_VFS_WORDS)
#undef BANK_VFS_WORDS
        };

        for (int i = 0; i < VFS_NONE; i++)
                printf("%6" PRIu32 "  %s\n", atomic_load(&r->shared->vfs_struck[i]), words[i]);
}

/* ---- the run ------------------------------------------------------------------------------------- */

static bool make_bank(const struct run *r)
{
        dal_error err = DAL_ERROR_INIT;
        dal_conn *conn = bank_connect(&r->options, r->options.url, &err);
        dal_status s = conn ? DAL_OK : DAL_ERR_CONN;
        dal_deadline deadline = dal_clock_after_ms(30000);
        dal_schema_options schema = DAL_SCHEMA_OPTIONS_INIT;
        dal_schema_report report;

        if (s == DAL_OK) {
                schema.dir = r->options.schema;
                schema.area = "dal";
                s = dal_schema_apply(conn, &schema, &report, &err);
        }
        for (const char *const *ddl = r->options.engine->ddl; s == DAL_OK && *ddl; ddl++)
                s = dal_conn_script(conn, *ddl, deadline, &err);
        if (s == DAL_OK)
                s = dal_conn_begin(conn, DAL_ISOLATION_DEFAULT, false, deadline, &err);
        for (int i = 0; s == DAL_OK && i < BANK_GROUPS * BANK_ACCOUNTS; i++)
                s = dal_conn_exec(conn, &bank_add_account,
                                  DAL_PARAMS(dal_int64(1 + i / BANK_ACCOUNTS),
                                             dal_int64(1 + i % BANK_ACCOUNTS), dal_int64(BANK_BALANCE)),
                                  deadline, NULL, &err);
        if (s == DAL_OK)
                s = dal_conn_commit(conn, deadline, &err);
        dal_conn_close(conn);
        if (s)
                fprintf(stderr, "bank: the bank can't be made: %s\n", err.message);
        return s == DAL_OK;
}

static bool warm_up(struct run *r)
{
        int64_t give_up = bank_now_ms() + 30000;

        for (int i = 0; i < BANK_WORKERS; i++) {
                if (!start_worker(r, i))
                        return false;
        }
        while (n_done(r) < 200) {
                if (!look_after_workers(r))
                        return false;
                if (bank_now_ms() > give_up) {
                        WRONG(r, "the workers do nothing");
                        return false;
                }
                bank_sleep_ms(5);
        }
        return true;
}

static uint32_t n_resting(const struct run *r)
{
        uint32_t n = 0;

        for (int i = 0; i < BANK_WORKERS; i++)
                n += atomic_load(&r->shared->workers[i].n_resting);
        return n;
}

/* A call that hangs keeps its thread from coming to rest. */
static void come_to_rest(struct run *r)
{
        int64_t give_up = bank_now_ms() + BANK_MIN_TIMEOUT_MS + BANK_TIMEOUT_SPREAD_MS + BANK_OVERRUN_MS;

        atomic_store(&r->shared->phase, BANK_REST);
        while (n_resting(r) < BANK_WORKERS * BANK_THREADS && bank_now_ms() < give_up) {
                look_after_workers(r);
                bank_sleep_ms(2);
        }
        for (int i = 0; i < BANK_WORKERS; i++) {
                for (int t = 0; t < BANK_THREADS; t++) {
                        uint64_t op = atomic_load(&r->shared->workers[i].op[t]);

                        if (op)
                                WRONG(r, "op %" PRIu64 " hangs", op);
                }
        }
}

static void end_workers(struct run *r)
{
        int64_t give_up = bank_now_ms() + 20000;

        atomic_store(&r->shared->phase, BANK_QUIT);
        for (int i = 0; i < BANK_WORKERS; i++) {
                int status = 0;
                pid_t ended = 0;

                while (r->pids[i] > 0 && (ended = waitpid(r->pids[i], &status, WNOHANG)) == 0 &&
                       bank_now_ms() < give_up)
                        bank_sleep_ms(5);
                if (r->pids[i] > 0 && ended == 0) {
                        WRONG(r, "worker %d doesn't end", i);
                        kill(r->pids[i], SIGKILL);
                        waitpid(r->pids[i], &status, 0);
                } else if (status != 0) {
                        WRONG(r, "worker %d ends with status %#x", i, (unsigned)status);
                }
        }
}

static int run(struct bank_options *options, uint16_t server_port)
{
        static struct run r;
        bool good;

        r.options = *options;
        r.random = options->seed * 2 + 1;
        r.shared = bank_share(options->dir);
        snprintf(r.worker_url, sizeof r.worker_url, "%s", options->url);
        if (bank_is_group(options))
                bank_group_begin(&r.group, &r.options);
        if (!r.shared || !make_bank(&r))
                return 1;
        if (options->engine->is_server) {
                r.proxy = proxy_new(server_port, options->engine->protocol, options->seed);
                if (!r.proxy)
                        return 1;
                snprintf(r.worker_url, sizeof r.worker_url, "%s?port=%u", options->url, proxy_port(r.proxy));
        }
        r.nemesis = (struct bank_nemesis){.options = &r.options, .shared = r.shared, .proxy = r.proxy};
        if (bank_is_group(options)) {
                r.nemesis.group = &r.group;
                r.group.proxy = r.proxy;
                r.n_wrong += bank_group_check_roles(&r.group);
        }
        good = warm_up(&r) && (options->engine->is_server ? attack_server(&r) : attack_files(&r));
        if (!good && r.n_wrong == 0)
                WRONG(&r, "the run was given up");
        come_to_rest(&r);
        if (options->engine->is_server)
                check_left_open(&r);
        end_workers(&r);
        printf("faults that struck an operation in flight, by kind:\n");
        if (options->engine->is_server)
                tell_server(&r);
        else
                tell_files(&r);
        printf("%6" PRIu32 "  worker killed (-9)\n", r.n_killed);
        r.n_wrong += bank_check(&r.options, r.proxy ? proxy_strikes(r.proxy) : NULL,
                                r.proxy ? proxy_n_strikes(r.proxy) : 0);
        if (r.nemesis.group)
                r.n_wrong += bank_group_check_end(&r.group);
        proxy_free(r.proxy);
        printf("%s: %" PRIu32 " faults, seed %" PRIu64 ": %u wrong\n", options->engine->name,
               options->n_faults, options->seed, r.n_wrong);
        return r.n_wrong ? 1 : 0;
}

static bool set_option(struct bank_options *o, const char *name, const char *value)
{
        if (strcmp(name, "--engine") == 0)
                return (o->engine = bank_find_engine(value)) != NULL;
        if (strcmp(name, "--url") == 0)
                return snprintf(o->url, sizeof o->url, "%s", value) < (int)sizeof o->url - 16;
        if (strcmp(name, "--admin") == 0)
                return snprintf(o->admin_url, sizeof o->admin_url, "%s", value) < (int)sizeof o->admin_url;
        if (strcmp(name, "--container") == 0)
                return snprintf(o->container, sizeof o->container, "%s", value) < (int)sizeof o->container;
        if (strcmp(name, "--group") == 0)
                return sscanf(value, "%" SCNu16 ",%" SCNu16 ",%" SCNu16, &o->ports[0], &o->ports[1],
                              &o->ports[2]) == BANK_MEMBERS;
        if (strcmp(name, "--schema") == 0)
                return snprintf(o->schema, sizeof o->schema, "%s", value) < (int)sizeof o->schema;
        if (strcmp(name, "--dir") == 0)
                return snprintf(o->dir, sizeof o->dir, "%s", value) < (int)sizeof o->dir;
        if (strcmp(name, "--seed") == 0)
                return (o->seed = strtoull(value, NULL, 10)) > 0;
        if (strcmp(name, "--faults") == 0)
                return (o->n_faults = (uint32_t)strtoul(value, NULL, 10)) > BANK_N_BLOWS;
        if (strcmp(name, "--worker") == 0)
                return (o->i_worker = atoi(value)) >= 0 && o->i_worker < BANK_WORKERS;
        if (strcmp(name, "--incarnation") == 0)
                o->incarnation = (uint32_t)strtoul(value, NULL, 10);
        return strcmp(name, "--incarnation") == 0;
}

int main(int argc, char **argv)
{
        static struct bank_options o = {.i_worker = -1, .seed = 1, .n_faults = 75};
        dal_error err = DAL_ERROR_INIT;
        dal_dsn *dsn = NULL;
        bool good = argc % 2 == 1;
        uint16_t port;

        for (int i = 1; good && i < argc; i += 2)
                good = set_option(&o, argv[i], argv[i + 1]);
        if (!good || !o.engine || !o.url[0] || !o.dir[0]) {
                fprintf(stderr,
                        "usage: fault_bank --engine sqlite|postgres|mysql|mariadb --url URL [--admin URL]\n"
                        "                  [--container NAME [--group PORT,PORT,PORT]] --dir DIR --schema "
                        "DIR [--seed S] [--faults "
                        "N]\n");
                return 64;
        }
        if (o.i_worker >= 0)
                return bank_work(&o);
        if (dal_dsn_parse(o.url, &dsn, &err) != DAL_OK) {
                fprintf(stderr, "bank: %s\n", err.message);
                return 64;
        }
        port = dal_dsn_port(dsn);
        dal_dsn_free(dsn);
        if (!o.admin_url[0])
                snprintf(o.admin_url, sizeof o.admin_url, "%s", o.url);
        return run(&o, port);
}
