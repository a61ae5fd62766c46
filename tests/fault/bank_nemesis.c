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
        PAUSE_TRIES = 20,
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
        [BLOW_CUT_OFF] = "server cut off from the network",
        [BLOW_HAND_OVER] = "another server became the one that writes",
};

const char *bank_blow_words(enum bank_blow blow)
{
        return words[blow];
}

unsigned bank_n_blows(const struct bank_options *options)
{
        return bank_is_group(options) ? BANK_N_BLOWS : BLOW_HAND_OVER;
}

/* ---- tools --------------------------------------------------------------------------------------- */

/* docker WORD..., up to a NULL; what it prints is dropped. */
static bool docker(const char *const *told)
{
        static const char name[] = "docker";
        char copies[8][128], *argv[10];
        posix_spawn_file_actions_t actions;
        int status = -1, error;
        size_t n = 0;
        pid_t pid;

        snprintf(copies[0], sizeof copies[0], "%s", name);
        argv[n++] = copies[0];
        for (; told[n - 1] && n < 8; n++) {
                snprintf(copies[n], sizeof copies[n], "%s", told[n - 1]);
                argv[n] = copies[n];
        }
        argv[n] = NULL;
        posix_spawn_file_actions_init(&actions);
        posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
        error = posix_spawnp(&pid, name, &actions, NULL, argv, environ);
        posix_spawn_file_actions_destroy(&actions);
        if (error == 0) {
                while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
                        ;
        }
        if (error || status != 0)
                fprintf(stderr, "bank: docker %s fails\n", told[0]);
        return error == 0 && status == 0;
}
#define DOCKER(...) docker((const char *const[]){__VA_ARGS__, NULL})

/*
 * Processes that start meanwhile may escape, and "unable to freeze" is the answer; the next try finds them.
 * Source: runc, libcontainer/cgroups/fs/freezer.go
 */
static bool pause_container(const char *container)
{
        for (int i = 0; i < PAUSE_TRIES; i++) {
                if (DOCKER("pause", container))
                        return true;
                bank_sleep_ms(200);
        }
        return false;
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

static dal_status list_sessions(struct bank_nemesis *n, dal_conn *conn, int64_t *ids, size_t *n_ids,
                                dal_error *err)
{
        dal_rows *rows = NULL;
        bool found = false;
        dal_status s = dal_conn_query_dynamic(conn, n->options->engine->sessions, DAL_NO_PARAMS,
                                              dal_clock_after_ms(10000), &rows, err);

        *n_ids = 0;
        while (s == DAL_OK && *n_ids < MAX_CROWD && (s = dal_rows_next(rows, &found, err)) == DAL_OK && found)
                s = dal_rows_int64(rows, 0, &ids[(*n_ids)++], err);
        dal_rows_close(rows);
        return s;
}

static bool end_sessions(struct bank_nemesis *n, dal_conn *conn)
{
        int64_t ids[MAX_CROWD];
        size_t n_ids = 0;
        dal_error err = DAL_ERROR_INIT;
        dal_status s;
        int left = 100;

        /* MySQL's list fails (3854) while another session, or a group's applier, works on bytes that are no text. */
        while ((s = list_sessions(n, conn, ids, &n_ids, &err)) != DAL_OK && err.vendor_code == 3854 && --left)
                bank_sleep_ms(5);
        if (s) {
                fprintf(stderr, "bank: sessions: %s\n", err.message);
                return false;
        }
        for (size_t i = 0; i < n_ids; i++) {
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

/* Nothing is sent back: who is connected hears nothing any more, and who connects is refused. */
static bool cut_off(struct bank_nemesis *n, const char *container)
{
        const char *network = n->group ? n->options->container : "bridge";
        bool good = DOCKER("network", "disconnect", network, container);

        if (good && n->group)
                good = bank_group_follow(n->group, n->group->primary);
        else
                bank_sleep_ms(1000);
        return DOCKER("network", "connect", network, container) && good;
}

/* The member that wrote is gone: the others elect one of them, and it comes back as one of the others. */
static bool fall_process(struct bank_nemesis *n, enum bank_blow blow, const char *container)
{
        if (!(blow == BLOW_KILL ? DOCKER("kill", "--signal", "KILL", container)
                                : DOCKER("restart", "--time", "10", container)))
                return false;
        if (n->group && !bank_group_follow(n->group, n->group->primary))
                return false;
        return blow != BLOW_KILL || DOCKER("start", container);
}

static bool fall(struct bank_nemesis *n, enum bank_blow blow)
{
        char container[128];

        if (n->group)
                bank_group_container(n->group, n->group->primary, container);
        else
                snprintf(container, sizeof container, "%s", n->options->container);
        switch (blow) {
        case BLOW_KILL:
        case BLOW_RESTART:
                return fall_process(n, blow, container);
        case BLOW_PAUSE:
                if (!pause_container(container))
                        return false;
                bank_sleep_ms(300);
                return DOCKER("unpause", container);
        case BLOW_SESSIONS:
                return with_admin(n, end_sessions);
        case BLOW_READ_ONLY:
                return with_admin(n, read_only);
        case BLOW_CROWD:
                return with_admin(n, crowd);
        case BLOW_CUT_OFF:
                return cut_off(n, container);
        case BLOW_HAND_OVER:
                return bank_group_hand_over(n->group);
        case BANK_N_BLOWS:
                break;
        }
        return false;
}

bool bank_strike(struct bank_nemesis *n, enum bank_blow blow)
{
        unsigned in_flight = 0, former = n->group ? n->group->primary : 0;
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
        n->failed = !conn || !await_recovery(n) || (n->group && !bank_group_rejoin(n->group, former));
        return !n->failed;
}
