/* SPDX-License-Identifier: MIT */
/* What befalls a whole server: its process dies, stands still, is started anew, turns read-only, is full. */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bank.h"

extern char **environ;

enum {
        RECOVERY_MS = 30000,
        MAX_CROWD = 256
};

static const char *const words[] = {
        [BLOW_KILL] = "server killed (-9)",
        [BLOW_PAUSE] = "server paused",
        [BLOW_RESTART] = "server restarted",
        [BLOW_SESSIONS] = "sessions ended by the server",
        [BLOW_READ_ONLY] = "server read-only for a while",
        [BLOW_CROWD] = "no connection left for a while",
};

const char *bank_blow_words(enum bank_blow blow)
{
        return words[blow];
}

/* ---- tools --------------------------------------------------------------------------------------- */

static bool docker(const struct bank_nemesis *n, const char *verb, const char *option, const char *value)
{
        char *argv[6];
        posix_spawn_file_actions_t actions;
        int status = -1, i = 0, error;
        pid_t pid;
        char name[128], parts[3][32];

        snprintf(name, sizeof name, "%s", n->options->container);
        snprintf(parts[0], sizeof parts[0], "%s", verb);
        snprintf(parts[1], sizeof parts[1], "%s", option ? option : "");
        snprintf(parts[2], sizeof parts[2], "%s", value ? value : "");
        argv[i++] = (char[]){"docker"};
        argv[i++] = parts[0];
        if (option) {
                argv[i++] = parts[1];
                argv[i++] = parts[2];
        }
        argv[i++] = name;
        argv[i] = NULL;
        posix_spawn_file_actions_init(&actions);
        posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
        error = posix_spawnp(&pid, "docker", &actions, NULL, argv, environ);
        posix_spawn_file_actions_destroy(&actions);
        if (error == 0) {
                while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
                        ;
        }
        if (error || status != 0)
                fprintf(stderr, "bank: docker %s %s fails\n", verb, name);
        return error == 0 && status == 0;
}

static bool run_script(dal_conn *conn, const char *const *script)
{
        dal_error err = DAL_ERROR_INIT;

        for (; *script; script++) {
                if (dal_conn_script(conn, *script, dal_clock_after_ms(10000), &err) != DAL_OK) {
                        fprintf(stderr, "bank: %s: %s\n", *script, err.message);
                        return false;
                }
        }
        return true;
}

static dal_conn *admin(struct bank_nemesis *n)
{
        dal_error err = DAL_ERROR_INIT;
        int64_t give_up = bank_now_ms() + RECOVERY_MS;
        dal_conn *conn;

        while (!(conn = bank_connect(n->options, n->options->admin_url, &err)) && bank_now_ms() < give_up)
                bank_sleep_ms(20);
        if (!conn)
                fprintf(stderr, "bank: the server doesn't come back: %s\n", err.message);
        return conn;
}

static bool pools_are_full(struct bank_shared *shared)
{
        for (int i = 0; i < BANK_WORKERS; i++) {
                if (atomic_load(&shared->workers[i].pool_size) < BANK_POOL)
                        return false;
        }
        return true;
}

/* From the moment that the server takes connections again. */
static bool await_recovery(struct bank_nemesis *n)
{
        int64_t start = bank_now_ms();

        while (!pools_are_full(n->shared)) {
                if (bank_now_ms() - start > RECOVERY_MS) {
                        fprintf(stderr, "bank: a pool isn't back to its size within %d s\n",
                                RECOVERY_MS / 1000);
                        return false;
                }
                bank_sleep_ms(2);
        }
        if (n->n_recoveries < sizeof n->recovery_ms / sizeof n->recovery_ms[0])
                n->recovery_ms[n->n_recoveries++] = bank_now_ms() - start;
        return true;
}

/* ---- blows --------------------------------------------------------------------------------------- */

static bool end_sessions(struct bank_nemesis *n, dal_conn *conn)
{
        int64_t ids[MAX_CROWD], n_ids = 0;
        dal_error err = DAL_ERROR_INIT;
        dal_rows *rows = NULL;
        bool found = false;
        dal_status s = dal_conn_query_dynamic(conn, n->options->engine->sessions, DAL_NO_PARAMS,
                                              dal_clock_after_ms(10000), &rows, &err);

        while (s == DAL_OK && n_ids < MAX_CROWD && (s = dal_rows_next(rows, &found, &err)) == DAL_OK && found)
                s = dal_rows_int64(rows, 0, &ids[n_ids++], &err);
        dal_rows_close(rows);
        if (s) {
                fprintf(stderr, "bank: sessions: %s\n", err.message);
                return false;
        }
        for (int64_t i = 0; i < n_ids; i++) {
                char sql[64];

                /* A session may have gone by itself meanwhile. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
                snprintf(sql, sizeof sql, n->options->engine->end_session, (long long)ids[i]);
#pragma GCC diagnostic pop
                if (dal_conn_script(conn, sql, dal_clock_after_ms(10000), &err) != DAL_OK && err.conn_gone)
                        return false;
        }
        return true;
}

static bool read_only(struct bank_nemesis *n, dal_conn *conn)
{
        if (!run_script(conn, n->options->engine->read_only_on))
                return false;
        bank_sleep_ms(300);
        return run_script(conn, n->options->engine->read_only_off);
}

/* Opens connections until the server refuses one for want of room; false when it never does. */
static bool fill(struct bank_nemesis *n, dal_conn **others, size_t *n_others, int64_t until)
{
        dal_error err = DAL_ERROR_INIT;

        while (*n_others < MAX_CROWD && bank_now_ms() < until) {
                others[*n_others] = bank_connect(n->options, n->options->url, &err);
                if (others[*n_others])
                        ++*n_others;
                else if (err.status == DAL_ERR_EXHAUSTED)
                        return true;
        }
        fprintf(stderr, "bank: %zu connections and no end: %s\n", *n_others, err.message);
        return false;
}

/* Somebody else takes all connections, and the library's own are cut, so that it needs new ones. */
static bool crowd(struct bank_nemesis *n, dal_conn *conn)
{
        dal_conn *others[MAX_CROWD];
        size_t n_others = 0;
        bool good;

        (void)conn; /* held, for there may be no way in now */
        good = fill(n, others, &n_others, bank_now_ms() + RECOVERY_MS);
        if (good) {
                proxy_cut_all(n->proxy);
                good = fill(n, others, &n_others, bank_now_ms() + RECOVERY_MS);
                bank_sleep_ms(200);
        }
        for (size_t i = 0; i < n_others; i++)
                dal_conn_close(others[i]);
        return good;
}

static bool with_admin(struct bank_nemesis *n, bool (*blow)(struct bank_nemesis *, dal_conn *))
{
        dal_conn *conn = admin(n);
        bool good = conn && blow(n, conn);

        dal_conn_close(conn);
        return good;
}

static bool fall(struct bank_nemesis *n, enum bank_blow blow)
{
        switch (blow) {
        case BLOW_KILL:
                return docker(n, "kill", "--signal", "KILL") && docker(n, "start", NULL, NULL);
        case BLOW_RESTART:
                return docker(n, "restart", "--time", "10");
        case BLOW_PAUSE:
                if (!docker(n, "pause", NULL, NULL))
                        return false;
                bank_sleep_ms(300);
                return docker(n, "unpause", NULL, NULL);
        case BLOW_SESSIONS:
                return with_admin(n, end_sessions);
        case BLOW_READ_ONLY:
                return with_admin(n, read_only);
        case BLOW_CROWD:
                return with_admin(n, crowd);
        case BANK_N_BLOWS:
                break;
        }
        return false;
}

bool bank_strike(struct bank_nemesis *n, enum bank_blow blow)
{
        unsigned in_flight = 0;
        int64_t give_up = bank_now_ms() + 5000;
        dal_conn *conn;

        while ((in_flight = bank_n_in_flight(n->shared)) == 0 && bank_now_ms() < give_up)
                bank_sleep_ms(1);
        if (!fall(n, blow)) {
                n->failed = true;
                return false;
        }
        n->n_struck[blow] += in_flight > 0;
        conn = admin(n);
        dal_conn_close(conn);
        n->failed = !conn || !await_recovery(n);
        return !n->failed;
}
