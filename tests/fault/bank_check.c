/* SPDX-License-Identifier: MIT */
/* The day of reckoning: what the library said of each operation against what the database holds. */

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bank.h"

struct row {
        uint64_t id;
        int64_t group, from, to, amount, attempt;
};

struct part {
        uint64_t op;
        int64_t part, n;
};

struct books {
        struct bank_answer *answers;
        size_t n_answers;
        struct row *rows;
        size_t n_rows;
        struct part *parts;
        size_t n_parts;
        size_t n_said[3];                                    /* of single parts: done, refused, in doubt */
        int64_t balance[BANK_GROUPS + 1][BANK_ACCOUNTS + 1]; /* as the operations make it */
        unsigned n_wrong;
};

#define MAX_SHOWN 20

#define WRONG(books, ...)                                                                                    \
        do {                                                                                                 \
                if ((books)->n_wrong++ < MAX_SHOWN) {                                                        \
                        fprintf(stderr, "WRONG: " __VA_ARGS__);                                              \
                        fputc('\n', stderr);                                                                 \
                }                                                                                            \
        } while (0)

/* ---- reading the books --------------------------------------------------------------------------- */

static dal_status read_row(dal_rows *rows, struct row *row, dal_error *err)
{
        int64_t id = 0;
        dal_status s;

        if ((s = dal_rows_int64(rows, 0, &id, err)) || (s = dal_rows_int64(rows, 1, &row->group, err)) ||
            (s = dal_rows_int64(rows, 2, &row->from, err)) || (s = dal_rows_int64(rows, 3, &row->to, err)) ||
            (s = dal_rows_int64(rows, 4, &row->amount, err)))
                return s;
        row->id = (uint64_t)id;
        return dal_rows_int64(rows, 5, &row->attempt, err);
}

static dal_status read_rows(dal_conn *conn, struct books *b, dal_error *err)
{
        size_t room = 0;
        dal_rows *rows = NULL;
        bool found = false;
        dal_status s =
                dal_conn_query(conn, &bank_all_ops, DAL_NO_PARAMS, dal_clock_after_ms(60000), &rows, err);

        while (s == DAL_OK && (s = dal_rows_next(rows, &found, err)) == DAL_OK && found) {
                if (b->n_rows == room) {
                        room = room ? 2 * room : 4096;
                        b->rows = realloc(b->rows, room * sizeof *b->rows);
                        if (!b->rows)
                                abort();
                }
                s = read_row(rows, &b->rows[b->n_rows++], err);
        }
        dal_rows_close(rows);
        return s;
}

static dal_status read_parts(dal_conn *conn, struct books *b, dal_error *err)
{
        size_t room = 0;
        dal_rows *rows = NULL;
        bool found = false;
        dal_status s =
                dal_conn_query(conn, &bank_all_parts, DAL_NO_PARAMS, dal_clock_after_ms(60000), &rows, err);

        while (s == DAL_OK && (s = dal_rows_next(rows, &found, err)) == DAL_OK && found) {
                struct part *part;
                int64_t id = 0;

                if (b->n_parts == room) {
                        room = room ? 2 * room : 4096;
                        b->parts = realloc(b->parts, room * sizeof *b->parts);
                        if (!b->parts)
                                abort();
                }
                part = &b->parts[b->n_parts++];
                if ((s = dal_rows_int64(rows, 0, &id, err)) ||
                    (s = dal_rows_int64(rows, 1, &part->part, err)) ||
                    (s = dal_rows_int64(rows, 2, &part->n, err)))
                        break;
                part->op = (uint64_t)id;
        }
        dal_rows_close(rows);
        return s;
}

static bool is_account(int64_t group, int64_t account)
{
        return group >= 1 && group <= BANK_GROUPS && account >= 1 && account <= BANK_ACCOUNTS;
}

static dal_status compare_balances(dal_conn *conn, struct books *b, dal_error *err)
{
        int64_t group = 0, account = 0, balance = 0, n = 0;
        dal_rows *rows = NULL;
        bool found = false;
        dal_status s = dal_conn_query(conn, &bank_all_accounts, DAL_NO_PARAMS, dal_clock_after_ms(60000),
                                      &rows, err);

        while (s == DAL_OK && (s = dal_rows_next(rows, &found, err)) == DAL_OK && found) {
                if ((s = dal_rows_int64(rows, 0, &group, err)) ||
                    (s = dal_rows_int64(rows, 1, &account, err)) ||
                    (s = dal_rows_int64(rows, 2, &balance, err)))
                        break;
                n++;
                if (!is_account(group, account))
                        WRONG(b, "there is an account %" PRId64 "/%" PRId64, group, account);
                else if (balance != b->balance[group][account])
                        WRONG(b,
                              "account %" PRId64 "/%" PRId64 " holds %" PRId64
                              ", its operations make it %" PRId64,
                              group, account, balance, b->balance[group][account]);
        }
        dal_rows_close(rows);
        if (s == DAL_OK && n != BANK_GROUPS * BANK_ACCOUNTS)
                WRONG(b, "there are %" PRId64 " accounts", n);
        return s;
}

static bool read_books(const struct bank_options *o, struct books *b)
{
        dal_error err = DAL_ERROR_INIT;
        dal_conn *conn = NULL;
        dal_status s = DAL_ERR_STATE;

        for (int g = 1; g <= BANK_GROUPS; g++)
                for (int a = 1; a <= BANK_ACCOUNTS; a++)
                        b->balance[g][a] = BANK_BALANCE;
        if (!bank_log_read(o->dir, &b->answers, &b->n_answers))
                return false;
        conn = bank_connect(o, o->url, &err);
        if (conn)
                s = read_rows(conn, b, &err);
        if (s == DAL_OK)
                s = read_parts(conn, b, &err);
        for (size_t i = 0; s == DAL_OK && i < b->n_rows; i++) {
                const struct row *r = &b->rows[i];

                if (!is_account(r->group, r->from) || !is_account(r->group, r->to)) {
                        WRONG(b, "op %" PRIu64 " is of accounts that don't exist", r->id);
                        continue;
                }
                b->balance[r->group][r->from] -= r->amount;
                b->balance[r->group][r->to] += r->amount;
        }
        if (s == DAL_OK)
                s = compare_balances(conn, b, &err);
        dal_conn_close(conn);
        if (s)
                fprintf(stderr, "bank: the books can't be read: %s\n", err.message);
        return s == DAL_OK;
}

static const struct row *find_row(const struct books *b, uint64_t id)
{
        size_t low = 0, high = b->n_rows;

        while (low < high) {
                size_t mid = low + (high - low) / 2;

                if (b->rows[mid].id < id)
                        low = mid + 1;
                else
                        high = mid;
        }
        return low < b->n_rows && b->rows[low].id == id ? &b->rows[low] : NULL;
}

/* ---- each operation ------------------------------------------------------------------------------ */

static bool is_single(const struct bank_op *op)
{
        return op->kind == BANK_SINGLE || op->kind == BANK_SINGLE_RESOLVED || op->kind == BANK_SCATTERED;
}

static bool is_unknown(const struct bank_answer *a)
{
        return !a->answered || a->status == DAL_ERR_IN_DOUBT;
}

/* What a fault may make of an operation; anything else would be the library's own confusion. */
static bool is_fitting(const struct bank_answer *a)
{
        switch (a->status) {
        case DAL_OK:
        case DAL_ERR_TIMEOUT:
        case DAL_ERR_CONN:
        case DAL_ERR_EXHAUSTED:
        case DAL_ERR_CONFLICT:
        case DAL_ERR_READONLY:
        case DAL_ERR_IN_DOUBT:
                return true;
        case DAL_ERR_APP:
                return a->op.kind == BANK_REFUSED;
        default:
                return false;
        }
}

static void check_answer(struct books *b, const struct bank_answer *a, const struct row *row, size_t n_rows)
{
        bool done = a->answered && a->status == DAL_OK;
        bool writes = a->op.kind != BANK_SUM && a->op.kind != BANK_SCATTERED; /* a row of its own */

        if (a->answered && !is_fitting(a))
                WRONG(b, "op %" PRIu64 " ended with %s (%s: %s)", a->op.id, dal_error_status_name(a->status),
                      dal_error_class_name(a->error_class), a->message);
        if (n_rows > 1)
                WRONG(b, "op %" PRIu64 " was done %zu times", a->op.id, n_rows);
        if (done && writes && n_rows == 0)
                WRONG(b, "op %" PRIu64 " was acknowledged and is lost", a->op.id);
        if (!done && !is_unknown(a) && n_rows > 0)
                WRONG(b, "op %" PRIu64 " was refused (%s: %s) and is there", a->op.id,
                      dal_error_class_name(a->error_class), a->message);
        if (!writes && n_rows > 0)
                WRONG(b, "op %" PRIu64 " only read and is there", a->op.id);
        if (done && a->op.kind == BANK_REFUSED)
                WRONG(b, "op %" PRIu64 " refused itself and was acknowledged", a->op.id);
        if (a->answered && !is_single(&a->op) && a->n_committed != (done ? 1u : 0u))
                WRONG(b, "op %" PRIu64 " ended with %s and its commit hook ran %u times", a->op.id,
                      dal_error_status_name(a->status), a->n_committed);
        if (n_rows && (row->group != a->op.group || row->from != a->op.from || row->to != a->op.to ||
                       row->amount != a->op.amount))
                WRONG(b, "op %" PRIu64 " did something else than it was asked", a->op.id);
        if (a->answered && a->elapsed_us / 1000 > (int64_t)a->op.timeout_ms + BANK_OVERRUN_MS)
                WRONG(b, "op %" PRIu64 " took %" PRId64 " ms, its limit was %u", a->op.id,
                      a->elapsed_us / 1000, a->op.timeout_ms);
}

static void check_operations(struct books *b)
{
        size_t i = 0;

        for (size_t k = 0; k < b->n_answers; k++) {
                const struct bank_answer *a = &b->answers[k];
                size_t first;

                for (; i < b->n_rows && b->rows[i].id < a->op.id; i++)
                        WRONG(b, "op %" PRIu64 " is there and nobody meant it", b->rows[i].id);
                first = i;
                while (i < b->n_rows && b->rows[i].id == a->op.id)
                        i++;
                check_answer(b, a, i > first ? &b->rows[first] : NULL, i - first);
        }
        for (; i < b->n_rows; i++)
                WRONG(b, "op %" PRIu64 " is there and nobody meant it", b->rows[i].id);
}

/* ---- the parts of operations ----------------------------------------------------------------------- */

/* Each of its writes stands for itself. */
static void check_scattered(struct books *b, const struct bank_answer *a, const int64_t n[BANK_PARTS])
{
        for (int i = 0; i < BANK_PARTS; i++) {
                char said = a->answered ? a->parts[i] : BANK_PART_IN_DOUBT;

                if (n[i] > 1)
                        WRONG(b, "part %d of op %" PRIu64 " was done %" PRId64 " times", i, a->op.id, n[i]);
                if (said == BANK_PART_DONE && n[i] == 0)
                        WRONG(b, "part %d of op %" PRIu64 " was acknowledged and is lost", i, a->op.id);
                if (said == BANK_PART_REFUSED && n[i] > 0)
                        WRONG(b, "part %d of op %" PRIu64 " was refused and is there (%s: %s)", i, a->op.id,
                              a->parts, a->message);
                b->n_said[said == BANK_PART_DONE ? 0 : said == BANK_PART_REFUSED ? 1 : 2] += a->answered;
        }
}

/* Those of a transaction are there when its own row is, and each is once. */
static void check_parts_of(struct books *b, const struct bank_answer *a, size_t *i)
{
        bool has_parts = a->op.kind == BANK_FOLDED || a->op.kind == BANK_BATCHED;
        int64_t n[BANK_PARTS] = {0}, wanted;

        for (; *i < b->n_parts && b->parts[*i].op == a->op.id; ++*i) {
                const struct part *part = &b->parts[*i];

                if (part->part < 0 || part->part >= BANK_PARTS)
                        WRONG(b, "op %" PRIu64 " has a part %" PRId64, a->op.id, part->part);
                else
                        n[part->part] = part->n;
        }
        if (a->op.kind == BANK_SCATTERED) {
                check_scattered(b, a, n);
                return;
        }
        wanted = has_parts && find_row(b, a->op.id);
        for (int k = 0; k < BANK_PARTS; k++)
                if (n[k] != wanted)
                        WRONG(b,
                              "part %d of op %" PRIu64 " is there %" PRId64 " times, and should be %" PRId64,
                              k, a->op.id, n[k], wanted);
}

static void check_parts(struct books *b)
{
        size_t i = 0;

        for (size_t k = 0; k < b->n_answers; k++) {
                for (; i < b->n_parts && b->parts[i].op < b->answers[k].op.id; i++)
                        WRONG(b, "a part of op %" PRIu64 " is there and nobody meant it", b->parts[i].op);
                check_parts_of(b, &b->answers[k], &i);
        }
        for (; i < b->n_parts; i++)
                WRONG(b, "a part of op %" PRIu64 " is there and nobody meant it", b->parts[i].op);
        printf("independent writes of batches: done %zu, refused %zu, left in doubt %zu\n", b->n_said[0],
               b->n_said[1], b->n_said[2]);
        if (b->n_said[0] == 0)
                WRONG(b, "no independent write of a batch was done");
}

/* ---- what is told -------------------------------------------------------------------------------- */

static void tell_statuses(const struct books *b)
{
        size_t n[64] = {0}, n_silent = 0;

        for (size_t i = 0; i < b->n_answers; i++) {
                if (b->answers[i].answered)
                        n[b->answers[i].status]++;
                else
                        n_silent++;
        }
        printf("operations: %zu;", b->n_answers);
        for (int i = 0; i < 64; i++) {
                if (n[i])
                        printf(" %s %zu", dal_error_status_name((dal_status)i), n[i]);
        }
        printf(" unanswered %zu\n", n_silent);
}

static int by_size(const void *a, const void *b)
{
        int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

        return x < y ? -1 : x > y;
}

/* How long calls went on after their deadlines; those that ended in time count as 0. */
static void tell_overruns(const struct books *b)
{
        int64_t *over = calloc(b->n_answers + 1, sizeof *over);
        size_t n = 0, n_over = 0;

        if (!over)
                abort();
        for (size_t i = 0; i < b->n_answers; i++) {
                const struct bank_answer *a = &b->answers[i];
                int64_t by = a->elapsed_us - (int64_t)a->op.timeout_ms * 1000;

                if (a->answered)
                        over[n++] = by > 0 ? by : 0;
                n_over += a->answered && by > 0;
        }
        qsort(over, n, sizeof *over, by_size);
        if (n)
                printf("deadlines: %zu of %zu calls ended after theirs; overrun p50 %.1f ms, p99 %.1f ms, "
                       "p99.9 %.1f "
                       "ms, max %.1f ms\n",
                       n_over, n, (double)over[n / 2] / 1000, (double)over[n * 99 / 100] / 1000,
                       (double)over[n * 999 / 1000] / 1000, (double)over[n - 1] / 1000);
        free(over);
}

static const struct bank_answer *find_answer(const struct books *b, uint64_t id)
{
        size_t low = 0, high = b->n_answers;

        while (low < high) {
                size_t mid = low + (high - low) / 2;

                if (b->answers[mid].op.id < id)
                        low = mid + 1;
                else
                        high = mid;
        }
        return low < b->n_answers && b->answers[low].op.id == id ? &b->answers[low] : NULL;
}

/*
 * The rows say which attempt was committed, so they tell how the attempt ended whose COMMIT was struck; the
 * library's word was compared with them before.
 */
static void tell_lost_replies(struct books *b, const struct proxy_strike *strikes, size_t n_strikes)
{
        size_t n = 0, n_committed = 0, n_not_committed = 0, n_in_doubt = 0, n_dead = 0;

        for (size_t i = 0; i < n_strikes; i++) {
                const struct bank_answer *a;
                const struct row *row;

                if (!proxy_fault_loses_commit(strikes[i].fault))
                        continue;
                n++;
                a = find_answer(b, strikes[i].op);
                row = find_row(b, strikes[i].op);
                if (!a)
                        WRONG(b, "a COMMIT of op %" PRIu64 " was struck, of which nobody knows",
                              strikes[i].op);
                else if (!a->answered)
                        n_dead++;
                else if (a->status == DAL_ERR_IN_DOUBT)
                        n_in_doubt++;
                else if (row && (uint64_t)row->attempt == strikes[i].attempt)
                        n_committed++;
                else
                        n_not_committed++;
        }
        printf("lost answers to COMMIT: %zu; resolved to committed %zu, to not committed %zu; left in doubt "
               "%zu, "
               "of workers that died %zu\n",
               n, n_committed, n_not_committed, n_in_doubt, n_dead);
        if (n_strikes && (n_committed == 0 || n_not_committed == 0))
                WRONG(b, "lost answers to COMMIT were never resolved to one of the two");
        if (n_strikes && n * 10 < n_strikes)
                WRONG(b, "only %zu of %zu faults lost an answer to COMMIT", n, n_strikes);
}

/* What was left in doubt is asked about now, twice; the answer must be what the database holds. */
static void ask_later(const struct bank_options *o, struct books *b)
{
        dal_error err = DAL_ERROR_INIT;
        dal_cluster *cluster = bank_open_cluster(o, &err);
        size_t n_committed = 0, n_not_committed = 0, n_without = 0;

        if (!cluster)
                WRONG(b, "the cluster can't be opened to ask: %s", err.message);
        for (size_t i = 0; cluster && i < b->n_answers; i++) {
                const struct bank_answer *a = &b->answers[i];
                dal_outcome outcome = DAL_OUTCOME_UNKNOWN, again = DAL_OUTCOME_UNKNOWN;
                bool is_there = find_row(b, a->op.id) != NULL;

                if (!a->answered || a->status != DAL_ERR_IN_DOUBT)
                        continue;
                if (!a->token[0]) {
                        n_without++;
                        if (a->op.kind != BANK_SINGLE && a->op.kind != BANK_SCATTERED)
                                WRONG(b, "op %" PRIu64 " is in doubt without a token: %s", a->op.id,
                                      a->message);
                        continue;
                }
                if (dal_resolve(cluster, a->token, 10000, &outcome, &err) != DAL_OK ||
                    dal_resolve(cluster, a->token, 10000, &again, &err) != DAL_OK)
                        WRONG(b, "op %" PRIu64 " stays in doubt: %s", a->op.id, err.message);
                else if (again != outcome || (outcome == DAL_OUTCOME_COMMITTED) != is_there)
                        WRONG(b, "op %" PRIu64 " is %sthere, and the library says: %s, then: %s", a->op.id,
                              is_there ? "" : "not ", dal_outcome_name(outcome), dal_outcome_name(again));
                n_committed += outcome == DAL_OUTCOME_COMMITTED;
                n_not_committed += outcome == DAL_OUTCOME_NOT_COMMITTED;
        }
        if (cluster && dal_cluster_close(cluster, 5000, &err) != DAL_OK)
                WRONG(b, "the cluster can't be closed: %s", err.message);
        printf("asked about later: %zu; committed %zu, not committed %zu; single statements without a token "
               "%zu\n",
               n_committed + n_not_committed, n_committed, n_not_committed, n_without);
}

unsigned bank_check(const struct bank_options *o, const struct proxy_strike *strikes, size_t n_strikes)
{
        struct books b;

        memset(&b, 0, sizeof b);
        if (!read_books(o, &b)) {
                b.n_wrong++;
        } else {
                check_operations(&b);
                check_parts(&b);
                tell_statuses(&b);
                tell_overruns(&b);
                if (o->engine->is_server) {
                        tell_lost_replies(&b, strikes, n_strikes);
                        ask_later(o, &b);
                }
        }
        free(b.answers);
        free(b.rows);
        free(b.parts);
        return b.n_wrong;
}
