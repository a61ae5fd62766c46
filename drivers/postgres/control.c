/* SPDX-License-Identifier: MIT */
/* The commands of transactions and time limits. */

#include "postgres_impl.h"

#include <inttypes.h>
#include <stdio.h>

static const char *isolation_clause(dal_isolation isolation)
{
        switch (isolation) {
        case DAL_ISOLATION_READ_COMMITTED:
                return " ISOLATION LEVEL READ COMMITTED";
        case DAL_ISOLATION_REPEATABLE_READ:
                return " ISOLATION LEVEL REPEATABLE READ";
        case DAL_ISOLATION_SERIALIZABLE:
                return " ISOLATION LEVEL SERIALIZABLE";
        case DAL_ISOLATION_DEFAULT:
                break;
        }
        return "";
}

typedef struct limits {
        uint32_t statement_ms, lock_ms;
} limits;

/* BEGIN leaves the session's limits as they are, unless the session is not ours. */
static limits limits_of(const dal__postgres_conn *conn, const dal_request *request)
{
        limits l = {request->statement_timeout_ms, request->lock_timeout_ms};

        if (request->kind == DAL_REQUEST_BEGIN && !l.statement_ms)
                l.statement_ms = conn->statement_timeout_ms;
        if (request->kind == DAL_REQUEST_BEGIN && !l.lock_ms)
                l.lock_ms = conn->lock_timeout_ms;
        return l;
}

static uint32_t n_limits(limits l)
{
        return (l.statement_ms ? 1u : 0u) + (l.lock_ms ? 1u : 0u);
}

uint32_t dal__postgres_n_commands(const dal__postgres_conn *conn, const dal_request *request)
{
        if (request->kind == DAL_REQUEST_LIMITS)
                return n_limits(limits_of(conn, request));
        if (request->kind == DAL_REQUEST_COMMIT && request->text)
                return 2;
        return request->kind == DAL_REQUEST_BEGIN ? 1 + n_limits(limits_of(conn, request)) : 1;
}

static int put_limit(char *out, size_t size, limits l, uint32_t i)
{
        if (i == 0 && l.statement_ms)
                return snprintf(out, size, "SET LOCAL statement_timeout = %u", l.statement_ms);
        return snprintf(out, size, "SET LOCAL lock_timeout = %u", l.lock_ms);
}

/* By decode(), for a session may be told to read a backslash in a literal otherwise. */
static int put_token(char *out, size_t size, const dal_request *request)
{
        return snprintf(out, size,
                        "INSERT INTO %s (token, state) VALUES (pg_catalog.decode('%s', 'hex'), 'C')",
                        request->token_table, request->text);
}

int dal__postgres_put_command(char *out, size_t size, const dal__postgres_conn *conn,
                              const dal_request *request, uint32_t i)
{
        switch (request->kind) {
        case DAL_REQUEST_BEGIN:
                if (i > 0)
                        return put_limit(out, size, limits_of(conn, request), i - 1);
                return snprintf(out, size, "BEGIN%s%s", isolation_clause(request->isolation),
                                request->read_only ? " READ ONLY" : "");
        case DAL_REQUEST_LIMITS:
                return put_limit(out, size, limits_of(conn, request), i);
        case DAL_REQUEST_COMMIT:
                return i == 0 && request->text ? put_token(out, size, request)
                                               : snprintf(out, size, "COMMIT");
        case DAL_REQUEST_ROLLBACK:
                return snprintf(out, size, "ROLLBACK");
        case DAL_REQUEST_SAVEPOINT:
                return snprintf(out, size, "SAVEPOINT dal_%u", request->savepoint);
        case DAL_REQUEST_RELEASE:
                return snprintf(out, size, "RELEASE SAVEPOINT dal_%u", request->savepoint);
        default:
                return snprintf(out, size, "ROLLBACK TO SAVEPOINT dal_%u", request->savepoint);
        }
}

/*
 * SET LOCAL would need BEGIN; this holds for the transaction that one Sync is outside of one, and can't leak.
 * Source: manual 9.28.1, set_config(); 55.2.3 "Extended Query", on Sync.
 */
void dal__postgres_put_limits(char *out, size_t size, const dal__postgres_conn *conn)
{
        static const char *const names[] = {"statement_timeout", "lock_timeout"};
        const uint32_t values[] = {conn->statement_timeout_ms, conn->lock_timeout_ms};
        const char *between = "SELECT ";
        int n = 0;

        for (size_t i = 0; i < 2; i++) {
                if (!values[i])
                        continue;
                n += snprintf(out + n, size - (size_t)n, "%spg_catalog.set_config('%s', '%u', true)", between,
                              names[i], values[i]);
                between = ", ";
        }
}

/* ---- the outcome of a lost COMMIT --------------------------------------------------------------------------- */

const char *dal__postgres_token_query(void *state)
{
        (void)state;
        /* A name of 63 bytes, each of them a quote, still fits PG_CONTROL_SIZE. */
        return "SELECT pg_catalog.quote_ident(n.nspname::text) || '.dal_outcome' FROM pg_catalog.pg_class c "
               "JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
               "WHERE c.oid = pg_catalog.to_regclass('dal_outcome') "
               "AND pg_catalog.has_table_privilege(c.oid, 'INSERT') "
               "AND pg_catalog.has_table_privilege(c.oid, 'SELECT')";
}

/*
 * A process number is used again, so the age decides: a backend that is older than the moment when COMMIT was sent, and
 * has the number of the one it was sent to, is that one. Behind a pooler the number is the pooler's own invention.
 */
dal_status dal__postgres_end_session(void *state, uint64_t session_id, uint32_t min_age_ms,
                                     dal_deadline deadline, dal_error *err)
{
        dal__postgres_conn *conn = state;
        char sql[512];

        if (conn->statements != DAL_STATEMENTS_PREPARED)
                return DAL_OK;
        snprintf(sql, sizeof sql,
                 "SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity "
                 "WHERE pid = %" PRIu64 " AND usename = current_user AND datname = "
                 "pg_catalog.current_database() AND pg_catalog.clock_timestamp() - backend_start > "
                 "pg_catalog.make_interval(secs => %" PRIu32 ".%03" PRIu32 ")",
                 session_id, min_age_ms / 1000, min_age_ms % 1000);
        return dal__postgres_simple(conn, sql, deadline, err);
}

/*
 * Ten digits of all that changes where a number could mean another transaction: the system, the timeline, and when the
 * server last came up from a crash. Without the last a number would be given twice: one whose records had not been
 * flushed is forgotten by a crash, on the same timeline. A clean restart keeps statistics and numbers.
 * Source: manual 28.2 "The Cumulative Statistics System": an unclean shutdown resets them; measured on 15 by an
 * immediate stop with a transaction open, whose number the next one got, and by kill -9 of one process.
 */
#define HISTORY                                                                                              \
        "pg_catalog.right(pg_catalog.lpad(pg_catalog.to_hex(pg_catalog.hashtextextended("                    \
        "pg_catalog.concat_ws('/', system_identifier, pg_catalog.substr(pg_catalog.pg_walfile_name("         \
        "pg_catalog.pg_current_wal_insert_lsn()), 1, 8), (1000000 * pg_catalog.date_part('epoch', "          \
        "pg_catalog.pg_stat_get_bgwriter_stat_reset_time()))::bigint), 0)), 16, '0'), 10)"

const char *dal__postgres_number_query(void *state, bool status)
{
        (void)state;
        /* Source: manual 9.27.8, pg_xact_status(): NULL when too old, an error when it is in the future. */
        return status ? "SELECT CASE WHEN " HISTORY
                        " <> pg_catalog.substr(?::text, 1, 10) THEN 'other history' "
                        "ELSE pg_catalog.pg_xact_status(('x' || pg_catalog.substr(?::text, 11))"
                        "::bit(64)::bigint::text::xid8) END FROM pg_catalog.pg_control_system()"
                      : "SELECT " HISTORY " || pg_catalog.lpad(pg_catalog.to_hex("
                        "pg_catalog.pg_current_xact_id_if_assigned()::text::bigint), 16, '0') "
                        "FROM pg_catalog.pg_control_system()";
}
