/* SPDX-License-Identifier: MIT */
/*
 * fault_disk --engine E --url URL --container NAME --schema DIR: what becomes of transactions when a disk of the server
 * is full, first the one that holds a table, then the one that holds the server's log. tests/fault/disk starts it, with
 * a server whose two disks are small; a file called ballast fills them up, and makes them free again.
 */

#include <errno.h>
#include <inttypes.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

#include <dal/dal.h>
#include <dal/drivers/mysql.h>
#include <dal/drivers/postgres.h>

extern char **environ;

enum {
        BODY_SIZE = 256 * 1024,
        TIMEOUT_MS = 4000,
        OVERRUN_MS = 2000,
        /* Source: MySQL, "How MySQL Handles a Full Disk": it looks again once a minute */
        RECOVERY_MS = 150000,
        MAX_WORKS = 400
};

/* A row of `ledger` that is there twice must be seen, so it has no unique key. `heavy` is on the small disk. */
#define LEDGER "CREATE TABLE ledger (id BIGINT NOT NULL)"
#define MYSQL_TABLES                                                                                         \
        "CREATE TABLE heavy (body LONGBLOB) DATA DIRECTORY = '/small/data'",                                 \
                "CREATE TABLE light (body LONGBLOB)"
#define POSTGRES_HEAVY "CREATE TABLE heavy (body BYTEA) TABLESPACE small"

static const struct engine {
        const char *name;
        const dal_driver *(*driver)(void);
        const char *ddl[3];
        /*
         * Source: MariaDB 10.11.18: InnoDB tries to extend the file again and again, says 1114 only after seconds, and
         * may end. The library can't know why there is no answer; what holds is the deadline.
         */
        bool tries_again;
} engines[] = {
        {"postgres", dal_driver_postgres, {LEDGER, POSTGRES_HEAVY, "CREATE TABLE light (body BYTEA)"}, false},
        {"mysql", dal_driver_mysql, {LEDGER, MYSQL_TABLES}, false},
        {"mariadb", dal_driver_mysql, {LEDGER, MYSQL_TABLES}, true},
};

static const dal_stmt add_ledger = DAL_STMT("add_ledger", "INSERT INTO ledger (id) VALUES (?)");
static const dal_stmt add_heavy = DAL_STMT("add_heavy", "INSERT INTO heavy (body) VALUES (?)");
static const dal_stmt add_light = DAL_STMT("add_light", "INSERT INTO light (body) VALUES (?)");
static const dal_stmt count_ledger = DAL_STMT("count_ledger", "SELECT count(*) FROM ledger WHERE id = ?");

struct work {
        const dal_stmt *body_stmt;
        const unsigned char *body;
        int64_t id;
        dal_error err;
};

static struct run {
        const struct engine *engine;
        const char *url, *container, *schema;
        dal_cluster *cluster;
        uint64_t random;
        struct work works[MAX_WORKS];
        size_t n_works;
        int64_t worst_ms;
        unsigned n_wrong;
        unsigned char body[BODY_SIZE];
} r;

#define WRONG(...)                                                                                           \
        do {                                                                                                 \
                r.n_wrong++;                                                                                 \
                fprintf(stderr, "WRONG: " __VA_ARGS__);                                                      \
                fputc('\n', stderr);                                                                         \
        } while (0)

/* ---- tools --------------------------------------------------------------------------------------- */

static int64_t now_ms(void)
{
        return dal_clock_now() / 1000000;
}

static void sleep_ms(long ms)
{
        struct timespec ts = {ms / 1000, ms % 1000 * 1000000};

        while (nanosleep(&ts, &ts) != 0 && errno == EINTR)
                ;
}

/* Runs a command of the shell in the server's container. */
static bool in_container(const char *command)
{
        const char *told[] = {"docker", "exec", r.container, "sh", "-c", command};
        char words[6][256], *argv[7] = {NULL};
        int status = -1;
        pid_t pid;

        for (size_t i = 0; i < 6; i++) {
                snprintf(words[i], sizeof words[i], "%s", told[i]);
                argv[i] = words[i];
        }
        if (posix_spawnp(&pid, "docker", NULL, NULL, argv, environ) != 0)
                return false;
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
                ;
        return status == 0;
}

/* Leaves so many KiB of a disk. */
static void fill_disk(const char *disk, unsigned left)
{
        char command[256];

        snprintf(command, sizeof command,
                 "fallocate -l $(($(df --output=avail -k %s | tail -n 1) - %u))K %s/ballast", disk, left,
                 disk);
        if (!in_container(command))
                WRONG("%s can't be filled", disk);
}

static void free_disk(const char *disk)
{
        char command[256];

        snprintf(command, sizeof command, "rm %s/ballast", disk);
        if (!in_container(command))
                WRONG("%s can't be made free", disk);
}

/* Bytes that can't be compressed. */
static void fill_body(void)
{
        for (size_t i = 0; i < BODY_SIZE; i++) {
                r.random = r.random * UINT64_C(6364136223846793005) +
                           1442695040888963407u; /* Source: Knuth, MMIX */
                r.body[i] = (unsigned char)(r.random >> 56);
        }
}

static bool make_tables(dal_error *err)
{
        dal_schema_options schema = DAL_SCHEMA_OPTIONS_INIT;
        dal_schema_report report;
        dal_deadline deadline = dal_clock_after_ms(60000);
        dal_dsn *dsn = NULL;
        dal_conn *conn = NULL;
        dal_status s = dal_dsn_parse(r.url, &dsn, err);

        schema.dir = r.schema;
        schema.area = "dal";
        if (s == DAL_OK)
                s = dal_conn_open(r.engine->driver(), dsn, NULL, deadline, &conn, err);
        if (s == DAL_OK)
                s = dal_schema_apply(conn, &schema, &report, err);
        for (size_t i = 0; s == DAL_OK && i < 3; i++)
                s = dal_conn_script(conn, r.engine->ddl[i], deadline, err);
        dal_conn_close(conn);
        dal_dsn_free(dsn);
        return s == DAL_OK;
}

static bool begin(void)
{
        static const dal_driver *drivers[1];
        dal_cluster_options options = DAL_CLUSTER_OPTIONS_INIT;
        dal_error err = DAL_ERROR_INIT;
        bool good;

        drivers[0] = r.engine->driver();
        options.service = "disk";
        options.timeout_ms = TIMEOUT_MS;
        options.pool.max_size = 2;
        good = make_tables(&err) && dal_cluster_open(r.url, drivers, 1, &options, &r.cluster, &err) == DAL_OK;
        if (!good)
                fprintf(stderr, "disk: %s\n", err.message);
        return good;
}

/* ---- work ---------------------------------------------------------------------------------------- */

/* The small row comes first: when the great one fails, it must go. */
static dal_status add_both(dal_tx *tx, void *arg, dal_error *err)
{
        const struct work *w = arg;
        dal_status s = dal_tx_exec(tx, &add_ledger, DAL_PARAMS(dal_int64(w->id)), NULL, err);

        return s ? s : dal_tx_exec(tx, w->body_stmt, DAL_PARAMS(dal_bytes(w->body, BODY_SIZE)), NULL, err);
}

/* One transaction; whatever the disk does, it keeps its deadline. */
static struct work *work(const dal_stmt *body_stmt)
{
        struct work *w = &r.works[r.n_works];
        int64_t start = now_ms(), took_ms;
        dal_status s;

        fill_body();
        *w = (struct work){body_stmt, r.body, (int64_t)++r.n_works, DAL_ERROR_INIT};
        s = dal_cluster_run(r.cluster, dal_key_int64(1), NULL, add_both, w, &w->err);
        took_ms = now_ms() - start;
        if (took_ms > r.worst_ms)
                r.worst_ms = took_ms;
        if (took_ms > TIMEOUT_MS + OVERRUN_MS)
                WRONG("a call with a limit of %d ms took %" PRId64 " ms", TIMEOUT_MS, took_ms);
        if (s)
                printf("  %s (%d) after %" PRId64 " ms: %s\n", dal_error_status_name(s),
                       (int)w->err.vendor_code, took_ms, w->err.message);
        return w;
}

/* Works until it fails; NULL if it never does. */
static struct work *work_till_full(const dal_stmt *body_stmt)
{
        for (size_t i = 0; i < MAX_WORKS / 3; i++) {
                struct work *w = work(body_stmt);

                if (w->err.status)
                        return w;
        }
        WRONG("the disk never fills up");
        return NULL;
}

/* How many calls failed before one succeeded. */
static size_t await_work(const dal_stmt *body_stmt)
{
        int64_t start = now_ms();
        size_t before = r.n_works;

        while (work(body_stmt)->err.status && r.n_works < MAX_WORKS && now_ms() - start < RECOVERY_MS)
                sleep_ms(500);
        if (r.works[r.n_works - 1].err.status)
                WRONG("there is room again, and no work is done");
        printf("  works again %" PRId64 " ms after there is room; %zu calls before failed\n",
               now_ms() - start, r.n_works - before - 1);
        return r.n_works - before - 1;
}

/* ---- the books ----------------------------------------------------------------------------------- */

static dal_status ask_ledger(const struct work *w, int64_t *n, dal_error *err)
{
        dal_rows *rows = NULL;
        dal_status s = dal_cluster_query(r.cluster, dal_key_int64(1), &count_ledger,
                                         DAL_PARAMS(dal_int64(w->id)), &rows, err);

        if (s == DAL_OK)
                s = dal_rows_first(rows, err);
        if (s == DAL_OK)
                s = dal_rows_int64(rows, 0, n, err);
        dal_rows_close(rows);
        return s;
}

/* Reading goes on whatever is full, unless the server itself has ended. */
static int64_t n_there(const struct work *w)
{
        dal_error err = DAL_ERROR_INIT;
        int64_t n = -1, give_up = now_ms() + (r.engine->tries_again ? 20000 : 0);
        dal_status s;

        while ((s = ask_ledger(w, &n, &err)) != DAL_OK && now_ms() < give_up)
                sleep_ms(100);
        if (s)
                WRONG("the ledger can't be read: %s", err.message);
        return n;
}

/* What the library can say of it now: 1 it is there, 0 it is not. */
static int64_t n_meant(const struct work *w)
{
        dal_error err = DAL_ERROR_INIT;
        dal_outcome outcome = DAL_OUTCOME_UNKNOWN;

        if (w->err.status != DAL_ERR_IN_DOUBT)
                return w->err.status == DAL_OK;
        if (dal_resolve(r.cluster, w->err.outcome_token, 30000, &outcome, &err) != DAL_OK)
                WRONG("work %" PRId64 " stays in doubt: %s", w->id, err.message);
        printf("  what was in doubt: %s\n", dal_outcome_name(outcome));
        return outcome == DAL_OUTCOME_COMMITTED;
}

static void check_books(void)
{
        size_t n_done = 0;

        for (size_t i = 0; i < r.n_works; i++) {
                int64_t meant = n_meant(&r.works[i]), there = n_there(&r.works[i]);

                n_done += there > 0;
                if (meant != there)
                        WRONG("work %" PRId64 " is there %" PRId64 " times instead of %" PRId64 ": %s",
                              r.works[i].id, there, meant, r.works[i].err.message);
        }
        printf("  %zu transactions, %zu done\n", r.n_works, n_done);
}

/* ---- the two disks ------------------------------------------------------------------------------- */

/* A statement that finds no room is refused as such at once; reading goes on, and all is well when there is room. */
static void fill_table_disk(void)
{
        printf("the disk of a table:\n");
        fill_disk("/small", 3072);
        for (int i = 0; i < 2; i++) {
                const struct work *w = work_till_full(&add_heavy);

                if (w && w->err.error_class != DAL_CLASS_OUT_OF_RESOURCES && !r.engine->tries_again)
                        WRONG("a full disk is %s", w->err.message);
                if (w && (n_there(w) != 0 || n_there(&r.works[0]) != 1))
                        WRONG("a transaction is half done");
        }
        free_disk("/small");
        if (await_work(&add_heavy) > 0 && !r.engine->tries_again)
                WRONG("there was room again, and a call failed all the same");
        check_books();
}

/* Without a log nothing can be committed: servers wait, or end. What was under way is in doubt until they are back. */
static void fill_log_disk(void)
{
        printf("the disk of the log:\n");
        fill_disk("/log", 1024);
        if (work_till_full(&add_light))
                (void)work(&add_light);
        free_disk("/log");
        (void)await_work(&add_light);
        check_books();
}

static bool set_option(const char *name, const char *value)
{
        for (size_t i = 0; strcmp(name, "--engine") == 0 && i < sizeof engines / sizeof engines[0]; i++)
                if (strcmp(engines[i].name, value) == 0)
                        return (r.engine = &engines[i]) != NULL;
        if (strcmp(name, "--url") == 0)
                return (r.url = value) != NULL;
        if (strcmp(name, "--container") == 0)
                return (r.container = value) != NULL;
        return strcmp(name, "--schema") == 0 && (r.schema = value);
}

int main(int argc, char **argv)
{
        dal_error err = DAL_ERROR_INIT;
        bool good = argc % 2 == 1;

        for (int i = 1; good && i < argc; i += 2)
                good = set_option(argv[i], argv[i + 1]);
        if (!good || !r.engine || !r.url || !r.container || !r.schema) {
                fprintf(stderr, "usage: fault_disk --engine postgres|mysql|mariadb --url URL --container "
                                "NAME --schema "
                                "DIR\n");
                return 64;
        }
        r.random = 1;
        if (!begin())
                return 1;
        setvbuf(stdout, NULL, _IOLBF, 0);
        fill_table_disk();
        fill_log_disk();
        if (dal_cluster_close(r.cluster, 10000, &err) != DAL_OK)
                WRONG("the cluster can't be closed: %s", err.message);
        printf("%s: a full disk: longest call %" PRId64 " ms, %u wrong\n", r.engine->name, r.worst_ms,
               r.n_wrong);
        return r.n_wrong ? 1 : 0;
}
