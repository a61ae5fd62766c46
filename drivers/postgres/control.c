/* SPDX-License-Identifier: MIT */
/* The commands of transactions and time limits. */

#include "postgres_impl.h"

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
        return request->kind == DAL_REQUEST_BEGIN ? 1 + n_limits(limits_of(conn, request)) : 1;
}

static int put_limit(char *out, size_t size, limits l, uint32_t i)
{
        if (i == 0 && l.statement_ms)
                return snprintf(out, size, "SET LOCAL statement_timeout = %u", l.statement_ms);
        return snprintf(out, size, "SET LOCAL lock_timeout = %u", l.lock_ms);
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
                return snprintf(out, size, "COMMIT");
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
