/* SPDX-License-Identifier: MIT */
#include "run/outcome.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include <dal/rows.h>

#include "conn/conn_impl.h"
#include "conn/pool_impl.h"
#include "run/retry.h"

#define TRY_MS             1000u /* for one insert, which waits while the old session is still at work */
#define BASE_MS            10u   /* the first pause; they double */
#define MAX_WAIT_MS        500u
#define SHARD_AT           1u
#define SECONDS_AT         3u
#define RANDOM_AT          8u
#define MAX_CLOCKS_APART_S 60
#define BATCH              200 /* tokens deleted in one transaction */
#define SQL_SIZE           (DAL__OUTCOME_NAME_SIZE + 160u)

const char *dal_outcome_name(dal_outcome outcome)
{
        return outcome == DAL_OUTCOME_COMMITTED       ? "committed"
               : outcome == DAL_OUTCOME_NOT_COMMITTED ? "not committed"
                                                      : "unknown";
}

/* ---- tokens -------------------------------------------------------------------------------------------------- */

void dal__outcome_first(dal__outcome_kind kind, uint16_t shard, uint64_t seconds, dal__outcome_token *out)
{
        memset(out, 0, sizeof *out);
        out->bytes[0] = (uint8_t)kind;
        out->bytes[SHARD_AT] = (uint8_t)(shard >> 8);
        out->bytes[SHARD_AT + 1] = (uint8_t)shard;
        for (uint32_t i = 0; i < RANDOM_AT - SECONDS_AT; i++)
                out->bytes[RANDOM_AT - 1 - i] = (uint8_t)(seconds >> (8 * i));
}

uint64_t dal__outcome_now(void)
{
        struct timespec now;

        (void)clock_gettime(CLOCK_REALTIME, &now);
        return (uint64_t)now.tv_sec;
}

dal_status dal__outcome_make(uint16_t shard, dal__outcome_token *out, dal_error *err)
{
        size_t n = 0, size = DAL__OUTCOME_TOKEN_SIZE - RANDOM_AT;

        dal__outcome_first(DAL__OUTCOME_ROW, shard, dal__outcome_now(), out);
        /* From the system each time: a generator of our own would repeat itself in a child of fork(). */
        while (n < size) {
                ssize_t got = getrandom(out->bytes + RANDOM_AT + n, size - n, 0);

                if (got < 0 && errno != EINTR)
                        return dal_error_set(err, DAL_CLASS_INTERNAL,
                                             "the system gave no random bytes for a token (errno %d)", errno);
                n += got > 0 ? (size_t)got : 0;
        }
        return DAL_OK;
}

void dal__outcome_write(const dal__outcome_token *token, char out[DAL__OUTCOME_HEX_SIZE])
{
        static const char digits[] = "0123456789abcdef";

        for (uint32_t i = 0; i < DAL__OUTCOME_TOKEN_SIZE; i++) {
                out[2 * i] = digits[token->bytes[i] >> 4];
                out[2 * i + 1] = digits[token->bytes[i] & 15];
        }
        out[2 * DAL__OUTCOME_TOKEN_SIZE] = '\0';
}

static int digit_of(char c)
{
        return c >= '0' && c <= '9'   ? c - '0'
               : c >= 'a' && c <= 'f' ? c - 'a' + 10
               : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                      : -1;
}

dal_status dal__outcome_read(const char *text, dal__outcome_token *out, dal_error *err)
{
        bool ok = text && strlen(text) == DAL__OUTCOME_HEX_SIZE - 1;

        for (uint32_t i = 0; ok && i < DAL__OUTCOME_TOKEN_SIZE; i++) {
                int high = digit_of(text[2 * i]), low = digit_of(text[2 * i + 1]);

                ok = high >= 0 && low >= 0;
                out->bytes[i] = (uint8_t)(ok ? high << 4 | low : 0);
        }
        if (ok && (out->bytes[0] == DAL__OUTCOME_ROW || out->bytes[0] == DAL__OUTCOME_NUMBER))
                return DAL_OK;
        return dal_error_set(
                err, DAL_CLASS_ARGUMENT,
                "\"%.40s\" is no outcome token: give the 32 hex digits of dal_error.outcome_token",
                text ? text : "");
}

dal_status dal__outcome_make_numbered(uint16_t shard, const char *number, dal__outcome_token *out,
                                      dal_error *err)
{
        char hex[DAL__OUTCOME_HEX_SIZE];

        (void)snprintf(hex, sizeof hex, "%02x%04x%s", DAL__OUTCOME_NUMBER, shard, number);
        return dal__outcome_read(hex, out, err);
}

dal__outcome_kind dal__outcome_kind_of(const dal__outcome_token *token)
{
        return (dal__outcome_kind)token->bytes[0];
}

uint16_t dal__outcome_shard_of(const dal__outcome_token *token)
{
        return (uint16_t)(token->bytes[SHARD_AT] << 8 | token->bytes[SHARD_AT + 1]);
}

uint64_t dal__outcome_seconds_of(const dal__outcome_token *token)
{
        uint64_t seconds = 0;

        for (uint32_t i = SECONDS_AT; i < RANDOM_AT; i++)
                seconds = seconds << 8 | token->bytes[i];
        return seconds;
}

static dal_value value_of(const dal__outcome_token *token)
{
        return dal_bytes(token->bytes, sizeof token->bytes);
}

/* ---- the table ------------------------------------------------------------------------------------------------ */

/* Gives the first row's only cell; *size_out is SIZE_MAX when there is no row. */
static dal_status query_one(dal_conn *conn, const char *sql, dal_params params, dal_deadline deadline,
                            void *out, size_t room, size_t *size_out, dal_error *err)
{
        const void *bytes = NULL;
        bool found = false;
        dal_rows *rows;
        dal_status s = dal_conn_query_dynamic(conn, sql, params, deadline, &rows, err);

        *size_out = SIZE_MAX;
        if (s == DAL_OK)
                s = dal_rows_next(rows, &found, err);
        if (s == DAL_OK && found) {
                const dal_value *cell = dal_rows_cell(rows, 0);

                bytes = cell->as.span.ptr;
                if ((cell->type != DAL_TYPE_TEXT && cell->type != DAL_TYPE_BYTES) ||
                    cell->as.span.size > room)
                        s = dal_error_set(err, DAL_CLASS_INTERNAL,
                                          "dal_outcome holds what this library can't read; is it its own?");
                else
                        memcpy(out, bytes, *size_out = cell->as.span.size);
        }
        dal_rows_close(rows);
        return s;
}

dal_status dal__outcome_find(dal_conn *conn, dal_deadline deadline, char out[DAL__OUTCOME_NAME_SIZE],
                             dal_error *err)
{
        const char *sql = dal__conn_token_query(conn);
        size_t size = SIZE_MAX;
        dal_status s = DAL_OK;

        out[0] = '\0';
        if (!sql)
                return DAL_OK;
        s = query_one(conn, sql, DAL_NO_PARAMS, deadline, out, DAL__OUTCOME_NAME_SIZE - 1, &size, err);
        if (s == DAL_OK)
                s = dal_conn_rollback(conn, deadline, err); /* where reading begins a transaction */
        if (s || size == SIZE_MAX)
                size = 0;
        out[size] = '\0';
        return s;
}

/* ---- resolving ------------------------------------------------------------------------------------------------ */

/* Says whether so much was purged that the absence of this token means nothing. */
static dal_status check_purged(dal_conn *conn, const dal__outcome_case *lost, const dal__outcome_token *token,
                               dal_deadline deadline, bool *purged_out, dal_error *err)
{
        dal__outcome_token limit, latest;
        char sql[SQL_SIZE];
        size_t size;
        dal_status s;

        dal__outcome_first(DAL__OUTCOME_ROW, 0, 0, &limit);
        (void)snprintf(sql, sizeof sql, "SELECT token FROM %s WHERE token < ? ORDER BY token DESC LIMIT 1",
                       lost->table);
        s = query_one(conn, sql, DAL_PARAMS(value_of(&limit)), deadline, latest.bytes, sizeof latest.bytes,
                      &size, err);
        *purged_out = s == DAL_OK && size == sizeof latest.bytes &&
                      dal__outcome_seconds_of(token) <= dal__outcome_seconds_of(&latest);
        return s;
}

/* After the insert found the token there: whose is it? */
static dal_status read_state(dal_conn *conn, const dal__outcome_case *lost, const dal__outcome_token *token,
                             dal_deadline deadline, char *state_out, dal_error *err)
{
        char sql[SQL_SIZE], state[8];
        size_t size;
        dal_status s;

        (void)snprintf(sql, sizeof sql, "SELECT state FROM %s WHERE token = ?", lost->table);
        s = query_one(conn, sql, DAL_PARAMS(value_of(token)), deadline, state, sizeof state, &size, err);
        *state_out = s == DAL_OK && size != SIZE_MAX && size > 0 ? state[0] : '\0';
        return s;
}

/*
 * To look for the row would prove nothing while the old session can still commit: a snapshot does not show what is
 * under way. The insert does: it waits for a transaction that has the same token, and locks it out for good if there is
 * none.
 */
static dal_status ask(dal_conn *conn, const dal__outcome_case *lost, const dal__outcome_token *token,
                      dal_outcome *out, dal_error *err)
{
        dal_deadline deadline = dal_clock_earlier(dal_clock_after_ms(TRY_MS), lost->deadline);
        char sql[SQL_SIZE], state = 'A';
        bool purged = false;
        dal_status s;

        (void)snprintf(sql, sizeof sql, "INSERT INTO %s (token, state) VALUES (?, 'A')", lost->table);
        s = dal_conn_exec_dynamic(conn, sql, DAL_PARAMS(value_of(token)), deadline, NULL, err);
        if (s && err->error_class == DAL_CLASS_UNIQUE)
                s = read_state(conn, lost, token, deadline, &state, err);
        if (s)
                return s;
        if (state == 'C') {
                *out = DAL_OUTCOME_COMMITTED;
                return DAL_OK;
        }
        s = check_purged(conn, lost, token, deadline, &purged, err);
        if (s)
                return s;
        if (purged || state != 'A')
                return dal_error_set(
                        err, DAL_CLASS_COMMIT_UNKNOWN,
                        "token %s is older than the last purge of dal_outcome, so its outcome is not "
                        "known any more",
                        lost->token);
        *out = DAL_OUTCOME_NOT_COMMITTED;
        return DAL_OK;
}

/* The server itself remembers the transaction, unless its history is another one by now. */
static dal_status ask_number(dal_conn *conn, const dal__outcome_case *lost, dal_outcome *out, dal_error *err)
{
        dal_deadline deadline = dal_clock_earlier(dal_clock_after_ms(TRY_MS), lost->deadline);
        const char *sql = dal__conn_number_state_query(conn);
        dal_value number = dal_text(lost->token + 2 * SECONDS_AT);
        char state[32];
        size_t size = SIZE_MAX;
        dal_status s;

        if (!sql)
                return dal_error_set(err, DAL_CLASS_ARGUMENT,
                                     "the shard's engine makes no tokens of this kind");
        s = query_one(conn, sql, DAL_PARAMS(number, number), deadline, state, sizeof state - 1, &size, err);
        if (s && err->error_class != DAL_CLASS_DATA && err->error_class != DAL_CLASS_INTERNAL)
                return s;
        state[s || size == SIZE_MAX ? 0 : size] = '\0';
        if (strcmp(state, "in progress") == 0)
                return dal_error_set(err, DAL_CLASS_LOCK_TIMEOUT, "the transaction is still under way");
        *out = strcmp(state, "committed") == 0 ? DAL_OUTCOME_COMMITTED
               : strcmp(state, "aborted") == 0 ? DAL_OUTCOME_NOT_COMMITTED
                                               : DAL_OUTCOME_UNKNOWN;
        if (*out != DAL_OUTCOME_UNKNOWN)
                return DAL_OK;
        return dal_error_set(
                err, DAL_CLASS_COMMIT_UNKNOWN,
                "the server does not know transaction %s any more: it is too old, or there was a "
                "fail-over or a restore",
                lost->token);
}

static dal_status ask_any(dal_conn *conn, const dal__outcome_case *lost, const dal__outcome_token *token,
                          dal_outcome *out, dal_error *err)
{
        return dal__outcome_kind_of(token) == DAL__OUTCOME_NUMBER ? ask_number(conn, lost, out, err)
                                                                  : ask(conn, lost, token, out, err);
}

/*
 * What the old session has open would hold the insert up. That it can't be ended is no reason to give up; nor that
 * another server has taken over, where its number may be anybody's.
 */
static bool fence(dal_conn *conn, const dal__outcome_case *lost, dal_error *err)
{
        int64_t age = dal_clock_now() - lost->sent_at;
        uint64_t server = dal_conn_info(conn)->server;

        if (!lost->session_id)
                return true;
        if (lost->server && server && lost->server != server)
                return false;
        return dal__conn_end_session(conn, lost->session_id, (uint32_t)(age / 1000000),
                                     dal_clock_earlier(dal_clock_after_ms(TRY_MS), lost->deadline),
                                     err) == DAL_OK;
}

/* A connection in the place of the lost one. */
static dal_status reconnect(const dal__outcome_case *lost, dal_conn **conn, dal_error *err)
{
        if (*conn && !dal__conn_is_broken(*conn))
                return DAL_OK;
        if (*conn)
                return dal__pool_renew(lost->here, lost->pool, lost->deadline, conn, err);
        return dal__pool_acquire(lost->here, lost->pool, false, dal_clock_now(), lost->deadline, conn, err);
}

/* What may be otherwise in a moment. */
static bool may_pass(const dal_error *failure)
{
        if (failure->conn_gone || failure->retry_tx)
                return true;
        switch (failure->status) {
        case DAL_ERR_CONN:
        case DAL_ERR_CONFLICT:
        case DAL_ERR_TIMEOUT:
        case DAL_ERR_EXHAUSTED:
        case DAL_ERR_CANCELED:
        case DAL_ERR_READONLY:
        case DAL_ERR_NOMEM:
                return true;
        default:
                return false;
        }
}

static dal_status still_unknown(const dal__outcome_case *lost, dal_error *failure, dal_error *err)
{
        if (failure->error_class != DAL_CLASS_COMMIT_UNKNOWN)
                dal__conn_doubt("COMMIT got no answer, and what became of it could not be found out",
                                failure);
        failure->conn_gone = false;
        memcpy(failure->outcome_token, lost->token, DAL__OUTCOME_HEX_SIZE);
        if (err)
                *err = *failure;
        return failure->status;
}

dal_status dal__outcome_resolve(const dal__outcome_case *lost, dal_conn **conn, dal_outcome *out,
                                dal_error *err)
{
        uint32_t pause_ms = BASE_MS;
        dal_error failure = DAL_ERROR_INIT;
        dal__outcome_token token;
        bool fenced = false;
        uint64_t random = 0;
        dal_status s = dal__outcome_read(lost->token, &token, err);

        *out = DAL_OUTCOME_UNKNOWN;
        if (s)
                return s;
        for (;;) {
                s = reconnect(lost, conn, &failure);
                if (s == DAL_OK && !fenced)
                        fenced = fence(*conn, lost, &failure);
                if (s == DAL_OK)
                        s = dal__conn_is_broken(*conn) ? DAL_ERR_CONN
                                                       : ask_any(*conn, lost, &token, out, &failure);
                if (s == DAL_OK)
                        return DAL_OK;
                if (!may_pass(&failure))
                        break;
                if (!dal__retry_sleep(pause_ms / 2 + (uint32_t)(dal__retry_random(&random) % pause_ms),
                                      lost->deadline))
                        break;
                pause_ms = pause_ms * 2 > MAX_WAIT_MS ? MAX_WAIT_MS : pause_ms * 2;
        }
        return still_unknown(lost, &failure, err);
}

/* ---- purging ---------------------------------------------------------------------------------------------------- */

dal_status dal__outcome_agreed_time(dal_conn *conn, dal_deadline deadline, uint64_t *out, dal_error *err)
{
        static const dal_stmt server_time =
                DAL_STMT("dal.server_time", "SELECT CAST(strftime('%s', 'now') AS INTEGER)",
                         .postgres = "SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) AS bigint)",
                         .mysql = "SELECT UNIX_TIMESTAMP()");
        int64_t ours = (int64_t)dal__outcome_now(), seconds = 0, ahead;
        dal_rows *rows = NULL;
        dal_status s = dal_conn_query(conn, &server_time, DAL_NO_PARAMS, deadline, &rows, err);

        if (s == DAL_OK)
                s = dal_rows_first(rows, err);
        if (s == DAL_OK)
                s = dal_rows_int64(rows, 0, &seconds, err);
        dal_rows_close(rows);
        if (s)
                return s;
        ahead = seconds - ours;
        if (ahead > MAX_CLOCKS_APART_S || ahead < -MAX_CLOCKS_APART_S)
                return dal_error_set(
                        err, DAL_CLASS_STATE,
                        "nothing was purged: the server's clock is %lld seconds %s this machine's; "
                        "set the one that is wrong",
                        (long long)(ahead < 0 ? -ahead : ahead), ahead < 0 ? "behind" : "ahead of");
        *out = (uint64_t)seconds;
        return DAL_OK;
}

dal_status dal__outcome_note_purge(dal_conn *conn, const char *table, uint64_t older_than,
                                   dal_deadline deadline, dal_error *err)
{
        dal__outcome_token note, first;
        char sql[SQL_SIZE];
        dal_error failure;
        dal_status s;

        dal__outcome_first(DAL__OUTCOME_PURGED, 0, 0, &first);
        /* Its shard is left out: one database is one shard, and the times alone are to be compared. */
        dal__outcome_first(DAL__OUTCOME_PURGED, 0, older_than, &note);
        (void)snprintf(sql, sizeof sql, "INSERT INTO %s (token, state) VALUES (?, 'P')", table);
        s = dal_conn_exec_dynamic(conn, sql, DAL_PARAMS(value_of(&note)), deadline, NULL, &failure);
        if (s && failure.error_class != DAL_CLASS_UNIQUE) {
                if (err)
                        *err = failure;
                return s;
        }
        (void)snprintf(sql, sizeof sql, "DELETE FROM %s WHERE token >= ? AND token < ?", table);
        return dal_conn_exec_dynamic(conn, sql, DAL_PARAMS(value_of(&first), value_of(&note)), deadline, NULL,
                                     err);
}

dal_status dal__outcome_purge(dal_conn *conn, const char *table, uint16_t shard, uint64_t older_than,
                              dal_deadline deadline, uint64_t *n_out, dal_error *err)
{
        dal__outcome_token first, end, last;
        char sql[SQL_SIZE];
        int64_t n = 0;
        size_t size;
        dal_status s;

        *n_out = 0;
        dal__outcome_first(DAL__OUTCOME_ROW, shard, 0, &first);
        dal__outcome_first(DAL__OUTCOME_ROW, shard, older_than, &end);
        (void)snprintf(sql, sizeof sql,
                       "SELECT token FROM %s WHERE token >= ? AND token < ? ORDER BY token LIMIT 1 OFFSET %d",
                       table, BATCH);
        s = query_one(conn, sql, DAL_PARAMS(value_of(&first), value_of(&end)), deadline, last.bytes,
                      sizeof last.bytes, &size, err);
        if (s)
                return s;
        if (size == sizeof last.bytes)
                end = last;
        (void)snprintf(sql, sizeof sql, "DELETE FROM %s WHERE token >= ? AND token < ?", table);
        s = dal_conn_exec_dynamic(conn, sql, DAL_PARAMS(value_of(&first), value_of(&end)), deadline, &n, err);
        if (s == DAL_OK)
                *n_out = (uint64_t)n;
        return s;
}
