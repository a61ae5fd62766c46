/* SPDX-License-Identifier: MIT */
/* A group of MySQL servers that elect the one that may write (Group Replication). */

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "bank.h"

enum {
        ELECTION_MS = 60000,
        REJOIN_MS = 90000,
        N_COLLISIONS = 200,
        N_INCREMENTS = 30
};

#define WRONG(n_wrong, ...)                                                                                  \
        do {                                                                                                 \
                (n_wrong)++;                                                                                 \
                fprintf(stderr, "WRONG: " __VA_ARGS__);                                                      \
                fputc('\n', stderr);                                                                         \
        } while (0)

/* Source: MySQL 9.7, "The replication_group_members Table" */
#define OWN_ROW " FROM performance_schema.replication_group_members WHERE member_id = @@server_uuid"
#define MAY_WRITE                                                                                            \
        "SELECT count(*)" OWN_ROW                                                                            \
        " AND member_role = 'PRIMARY' AND member_state = 'ONLINE' AND NOT @@global.super_read_only"
#define IS_ONLINE "SELECT count(*)" OWN_ROW " AND member_state = 'ONLINE'"
#define HAS_ALL                                                                                              \
        "SELECT count(*) = 3 FROM performance_schema.replication_group_members WHERE member_state = "        \
        "'ONLINE'"
#define IS_AWAY "SELECT count(*) = 0" OWN_ROW " AND member_state IN ('ONLINE', 'RECOVERING')"

/* ---- tools --------------------------------------------------------------------------------------- */

bool bank_is_group(const struct bank_options *options)
{
        return options->ports[0] != 0;
}

void bank_group_container(const struct bank_group *g, unsigned member, char out[128])
{
        snprintf(out, 128, "%s-%u", g->options->container, member + 1);
}

static void url_of(const struct bank_group *g, unsigned member, const char *base, char *out, size_t size)
{
        int n = snprintf(out, size, "%s?port=%u", base, g->options->ports[member]);

        if (n < 0 || (size_t)n >= size)
                out[0] = '\0'; /* too long, which the library will say of no URL */
}

static dal_conn *connect_to(const struct bank_group *g, unsigned member, dal_error *err)
{
        char url[BANK_PATH + 16];

        url_of(g, member, g->admin_url, url, sizeof url);
        return bank_connect(g->options, url, err);
}

static dal_status ask(dal_conn *conn, const char *query, int64_t *out, dal_error *err)
{
        dal_rows *rows = NULL;
        dal_status s =
                dal_conn_query_dynamic(conn, query, DAL_NO_PARAMS, dal_clock_after_ms(10000), &rows, err);

        if (s == DAL_OK)
                s = dal_rows_first(rows, err);
        if (s == DAL_OK)
                s = dal_rows_int64(rows, 0, out, err);
        dal_rows_close(rows);
        return s;
}

static dal_status tell(dal_conn *conn, const char *sql, dal_error *err)
{
        return dal_conn_script(conn, sql, dal_clock_after_ms(30000), err);
}

static bool says_yes(const struct bank_group *g, unsigned member, const char *query)
{
        dal_error err = DAL_ERROR_INIT;
        dal_conn *conn = connect_to(g, member, &err);
        int64_t answer = 0;
        bool yes = conn && ask(conn, query, &answer, &err) == DAL_OK && answer;

        dal_conn_close(conn);
        return yes;
}

/* ---- who may write ------------------------------------------------------------------------------- */

static void lead_to(struct bank_group *g, unsigned member)
{
        g->primary = member;
        url_of(g, member, g->url, g->options->url, sizeof g->options->url);
        url_of(g, member, g->admin_url, g->options->admin_url, sizeof g->options->admin_url);
        if (g->proxy)
                proxy_lead_to(g->proxy, g->options->ports[member]);
}

void bank_group_begin(struct bank_group *g, struct bank_options *options)
{
        *g = (struct bank_group){.options = options};
        snprintf(g->url, sizeof g->url, "%s", options->url);
        snprintf(g->admin_url, sizeof g->admin_url, "%s", options->admin_url);
        lead_to(g, 0);
}

bool bank_group_follow(struct bank_group *g, unsigned former)
{
        int64_t start = bank_now_ms();

        while (bank_now_ms() - start < ELECTION_MS) {
                for (unsigned i = 0; i < BANK_MEMBERS; i++) {
                        if (i == former || !says_yes(g, i, MAY_WRITE))
                                continue;
                        lead_to(g, i);
                        if (g->n_elections < sizeof g->election_ms / sizeof g->election_ms[0])
                                g->election_ms[g->n_elections++] = bank_now_ms() - start;
                        return true;
                }
                bank_sleep_ms(20);
        }
        fprintf(stderr, "bank: no other member may write after %d s\n", ELECTION_MS / 1000);
        return false;
}

/* The group itself finds the member by the number of its server. */
bool bank_group_hand_over(struct bank_group *g)
{
        dal_error err = DAL_ERROR_INIT;
        unsigned former = g->primary, next = (former + 1) % BANK_MEMBERS;
        dal_conn *conn = connect_to(g, next, &err);
        dal_status s = conn ? DAL_OK : DAL_ERR_CONN;
        dal_rows *rows = NULL;

        if (s == DAL_OK)
                s = dal_conn_query_dynamic(conn, "SELECT group_replication_set_as_primary(@@server_uuid)",
                                           DAL_NO_PARAMS, dal_clock_after_ms(30000), &rows, &err);
        dal_rows_close(rows);
        dal_conn_close(conn);
        if (s)
                fprintf(stderr, "bank: the group doesn't hand over: %s\n", err.message);
        return s == DAL_OK && bank_group_follow(g, former);
}

/* One that was cut off may not know yet that the others did without it. */
static bool is_member(const struct bank_group *g, unsigned member)
{
        return says_yes(g, g->primary, HAS_ALL) && says_yes(g, member, IS_ONLINE);
}

/* A member that the others have not missed yet is refused, and asks again. */
static void try_to_rejoin(const struct bank_group *g, unsigned member, dal_error *err)
{
        dal_conn *conn = connect_to(g, member, err);
        int64_t is_away = 0;

        if (conn && ask(conn, IS_AWAY, &is_away, err) == DAL_OK && is_away &&
            tell(conn, "STOP GROUP_REPLICATION", err) == DAL_OK)
                (void)!tell(conn, "START GROUP_REPLICATION", err);
        dal_conn_close(conn);
}

bool bank_group_rejoin(struct bank_group *g, unsigned member)
{
        int64_t give_up = bank_now_ms() + REJOIN_MS;
        dal_error err = DAL_ERROR_INIT;
        dal_conn *conn;
        bool good;

        while (!(good = is_member(g, member)) && bank_now_ms() < give_up) {
                try_to_rejoin(g, member, &err);
                bank_sleep_ms(100);
        }
        if (!good) {
                fprintf(stderr, "bank: member %u doesn't come back: %s\n", member + 1, err.message);
                return false;
        }
        /* Source: MySQL 9.7, group_replication_exit_state_action: OFFLINE_MODE, and rejoining doesn't end it */
        conn = connect_to(g, member, &err);
        good = conn && tell(conn, "SET GLOBAL offline_mode = OFF", &err) == DAL_OK;
        dal_conn_close(conn);
        return good;
}

/* ---- checks -------------------------------------------------------------------------------------- */

unsigned bank_group_check_roles(struct bank_group *g)
{
        unsigned n_wrong = 0;

        for (unsigned i = 0; i < BANK_MEMBERS; i++) {
                char url[BANK_PATH + 16];
                dal_error err = DAL_ERROR_INIT;
                dal_conn *conn;
                dal_status s;

                if (i == g->primary)
                        continue;
                url_of(g, i, g->url, url, sizeof url);
                conn = bank_connect(g->options, url, &err);
                s = conn ? dal_conn_exec(conn, &bank_add,
                                         DAL_PARAMS(dal_int64(1), dal_int64(1), dal_int64(1)),
                                         dal_clock_after_ms(5000), NULL, &err)
                         : DAL_ERR_CONN;
                if (s != DAL_ERR_READONLY || err.error_class != DAL_CLASS_READ_ONLY_SERVER)
                        WRONG(n_wrong, "a member that may not write says: %s: %s", dal_error_status_name(s),
                              err.message);
                dal_conn_close(conn);
        }
        return n_wrong;
}

/* What a member holds in one number; a member that is behind is waited for. */
static dal_status digest(const struct bank_group *g, unsigned member, const char *seen, int64_t *out,
                         dal_error *err)
{
        static const char query[] = "SELECT CAST(coalesce(sum(crc32(concat_ws(',', id, grp, src, dst, amount,"
                                    " attempt))), 0) + (SELECT sum(crc32(concat_ws(',', grp, id, balance,"
                                    " version))) FROM bank_account) AS SIGNED) FROM bank_op";
        dal_conn *conn = connect_to(g, member, err);
        dal_rows *rows = NULL;
        dal_status s = conn ? DAL_OK : DAL_ERR_CONN;

        if (s == DAL_OK)
                s = dal_conn_query_dynamic(conn, "SELECT wait_for_executed_gtid_set(?, 20)",
                                           DAL_PARAMS(dal_text(seen)), dal_clock_after_ms(30000), &rows, err);
        dal_rows_close(rows);
        if (s == DAL_OK)
                s = ask(conn, query, out, err);
        dal_conn_close(conn);
        return s;
}

static bool read_seen(const struct bank_group *g, char *out, size_t size, dal_error *err)
{
        dal_conn *conn = connect_to(g, g->primary, err);
        dal_rows *rows = NULL;
        const char *text;
        size_t n = 0;
        bool good = conn &&
                    dal_conn_query_dynamic(conn, "SELECT @@global.gtid_executed", DAL_NO_PARAMS,
                                           dal_clock_after_ms(5000), &rows, err) == DAL_OK &&
                    dal_rows_first(rows, err) == DAL_OK && dal_rows_text(rows, 0, &text, &n, err) == DAL_OK &&
                    n < size;

        if (good)
                snprintf(out, size, "%.*s", (int)n, text);
        dal_rows_close(rows);
        dal_conn_close(conn);
        return good;
}

static unsigned check_same(const struct bank_group *g)
{
        int64_t sums[BANK_MEMBERS] = {0};
        dal_error err = DAL_ERROR_INIT;
        unsigned n_wrong = 0;
        char seen[4096];

        if (!read_seen(g, seen, sizeof seen, &err))
                WRONG(n_wrong, "what the group has done can't be read: %s", err.message);
        for (unsigned i = 0; n_wrong == 0 && i < BANK_MEMBERS; i++) {
                if (digest(g, i, seen, &sums[i], &err) != DAL_OK)
                        WRONG(n_wrong, "member %u can't be read: %s", i + 1, err.message);
                else if (sums[i] != sums[0])
                        WRONG(n_wrong, "member %u holds something else than member 1", i + 1);
        }
        return n_wrong;
}

/* ---- transactions that collide: all members may write now ----------------------------------------- */

struct writer {
        const struct bank_group *group;
        unsigned member, n_done, n_calls;
        pthread_t thread;
        dal_error err;
};

static dal_status increment(dal_tx *tx, void *arg, dal_error *err)
{
        ((struct writer *)arg)->n_calls++;
        return dal_tx_exec(tx, &bank_add, DAL_PARAMS(dal_int64(1), dal_int64(1), dal_int64(1)), NULL, err);
}

static void *increment_often(void *arg)
{
        struct writer *w = arg;
        struct bank_options options = *w->group->options;
        dal_tx_options tx = DAL_TX_OPTIONS_INIT;
        dal_error closing = DAL_ERROR_INIT;
        dal_cluster *cluster;

        url_of(w->group, w->member, w->group->url, options.url, sizeof options.url);
        cluster = bank_open_cluster(&options, &w->err);
        tx.timeout_ms = 30000;
        tx.max_attempts = 1000;
        while (cluster && w->n_done < N_INCREMENTS &&
               dal_cluster_run(cluster, dal_key_int64(1), &tx, increment, w, &w->err) == DAL_OK)
                w->n_done++;
        if (cluster)
                (void)!dal_cluster_close(cluster, 5000, &closing);
        return NULL;
}

static bool balance_of_first(const struct bank_group *g, int64_t *out)
{
        dal_error err = DAL_ERROR_INIT;
        dal_conn *conn = connect_to(g, g->primary, &err);
        bool good = conn && ask(conn, "SELECT balance FROM bank_account WHERE grp = 1 AND id = 1", out,
                                &err) == DAL_OK;

        dal_conn_close(conn);
        return good;
}

/* Two members that change one row at the same time: one is told to try again, by the library's own loop. */
static unsigned check_retries(const struct bank_group *g)
{
        struct writer writers[2];
        int64_t before = 0, after = 0;
        unsigned n_wrong = 0, n_calls = 0;

        if (!balance_of_first(g, &before))
                WRONG(n_wrong, "the first account can't be read");
        for (unsigned i = 0; i < 2; i++) {
                writers[i] = (struct writer){.group = g, .member = i, .err = DAL_ERROR_INIT};
                if (pthread_create(&writers[i].thread, NULL, increment_often, &writers[i]) != 0)
                        return n_wrong + 1;
        }
        for (unsigned i = 0; i < 2; i++) {
                pthread_join(writers[i].thread, NULL);
                n_calls += writers[i].n_calls;
                if (writers[i].n_done != N_INCREMENTS)
                        WRONG(n_wrong, "%u of %d increments on member %u: %s", writers[i].n_done,
                              N_INCREMENTS, i + 1, writers[i].err.message);
        }
        n_wrong += check_same(g);
        if (!balance_of_first(g, &after) || after - before != 2 * N_INCREMENTS)
                WRONG(n_wrong, "%d increments add %" PRId64, 2 * N_INCREMENTS, after - before);
        if (n_calls == 2 * N_INCREMENTS)
                WRONG(n_wrong, "two members that write never collided");
        printf("two members that write: %d transactions of each, %u calls of their functions\n", N_INCREMENTS,
               n_calls);
        return n_wrong;
}

struct committer {
        dal_conn *conn;
        pthread_t thread;
        dal_error err;
        dal_status status;
};

static void *commit(void *arg)
{
        struct committer *c = arg;

        c->status = dal_conn_commit(c->conn, dal_clock_after_ms(10000), &c->err);
        return NULL;
}

/* One round; a transaction that fails must be gone, and say that it may be run again. */
static unsigned collide(struct committer *both, unsigned *n_certified)
{
        unsigned n_wrong = 0;

        for (unsigned i = 0; i < 2; i++) {
                struct committer *c = &both[i];

                c->err = (dal_error)DAL_ERROR_INIT;
                c->status = dal_conn_begin(c->conn, DAL_ISOLATION_DEFAULT, false, dal_clock_after_ms(5000),
                                           &c->err);
                if (c->status == DAL_OK)
                        c->status = dal_conn_exec(c->conn, &bank_add,
                                                  DAL_PARAMS(dal_int64(1), dal_int64(1), dal_int64(2)),
                                                  dal_clock_after_ms(5000), NULL, &c->err);
        }
        for (unsigned i = 0; i < 2; i++) {
                if (both[i].status == DAL_OK && pthread_create(&both[i].thread, NULL, commit, &both[i]) != 0)
                        return 1;
                if (both[i].status)
                        both[i].thread = pthread_self();
        }
        for (unsigned i = 0; i < 2; i++) {
                struct committer *c = &both[i];

                if (!pthread_equal(c->thread, pthread_self()))
                        pthread_join(c->thread, NULL);
                if (c->status == DAL_OK)
                        continue;
                *n_certified += c->err.vendor_code == 3101;
                if (c->status != DAL_ERR_CONFLICT || !c->err.tx_gone || !c->err.retry_tx)
                        WRONG(n_wrong, "a collision is %s: %s", dal_error_status_name(c->status),
                              c->err.message);
                (void)!dal_conn_rollback(c->conn, dal_clock_after_ms(5000), NULL);
        }
        return n_wrong;
}

static unsigned check_collisions(const struct bank_group *g)
{
        struct committer both[2];
        unsigned n_wrong = 0, n_certified = 0;

        for (unsigned i = 0; i < 2; i++) {
                both[i].err = (dal_error)DAL_ERROR_INIT;
                both[i].conn = connect_to(g, i, &both[i].err);
                if (!both[i].conn)
                        WRONG(n_wrong, "member %u: %s", i + 1, both[i].err.message);
        }
        for (int i = 0; n_wrong == 0 && n_certified == 0 && i < N_COLLISIONS; i++)
                n_wrong += collide(both, &n_certified);
        if (n_wrong == 0 && n_certified == 0)
                WRONG(n_wrong, "%d collisions and no 3101", N_COLLISIONS);
        for (unsigned i = 0; i < 2; i++)
                dal_conn_close(both[i].conn);
        return n_wrong;
}

unsigned bank_group_check_end(struct bank_group *g)
{
        dal_error err = DAL_ERROR_INIT;
        unsigned n_wrong = check_same(g);
        dal_conn *conn = connect_to(g, g->primary, &err);
        dal_rows *rows = NULL;
        dal_status s = conn ? DAL_OK : DAL_ERR_CONN;

        if (s == DAL_OK)
                s = dal_conn_query_dynamic(conn, "SELECT group_replication_switch_to_multi_primary_mode()",
                                           DAL_NO_PARAMS, dal_clock_after_ms(30000), &rows, &err);
        dal_rows_close(rows);
        dal_conn_close(conn);
        if (s) {
                WRONG(n_wrong, "the group doesn't let all write: %s", err.message);
                return n_wrong;
        }
        return n_wrong + check_retries(g) + check_collisions(g);
}
