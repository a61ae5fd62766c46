/* SPDX-License-Identifier: MIT */
/* How each engine tells that a session waits for a lock. */

#include "isolation.h"

/*
 * Says whether a query about a session gives a number above zero. A look that fails is none, and the next
 * one may do better: the test must not end here, while transactions are under way.
 */
static bool is_any(struct conf *c, dal_conn *observer, const dal_stmt *stmt, uint64_t session_id)
{
        dal_rows *rows = NULL;
        int64_t n = 0;
        dal_status s = dal_conn_query(observer, stmt, DAL_PARAMS(dal_int64((int64_t)session_id)), SOON, &rows,
                                      &c->err);

        if (s == DAL_OK)
                s = dal_rows_first(rows, &c->err);
        if (s == DAL_OK)
                s = dal_rows_int64(rows, 0, &n, &c->err);
        dal_rows_close(rows);
        return s == DAL_OK && n > 0;
}

/*
 * Row locks included. Source: PostgreSQL 15 manual, 9.26 "System Information Functions", pg_blocking_pids().
 */
static const dal_stmt blockers =
        DAL_STMT("iso_blockers", "SELECT COALESCE(cardinality(pg_blocking_pids(CAST(? AS int))), 0)");

static bool postgres_is_waiting(struct conf *c, dal_conn *observer, uint64_t session_id)
{
        return is_any(c, observer, &blockers, session_id);
}

/*
 * The performance schema may be off, and MySQL's InnoDB monitor leaves out who only reads; this view shows
 * all. It copies everybody's statement, and fails while one of those holds bytes that are no text (error
 * 3854, measured on MySQL 9.7). Within a tenth of a second of the last look at it, it shows what it showed
 * then: hence the time between two looks. Source: MySQL 8.0 and MariaDB 10.11,
 * storage/innobase/trx/trx0i_s.cc, CACHE_MIN_IDLE_TIME.
 */
static const dal_stmt lock_waits =
        DAL_STMT("iso_lock_waits", "SELECT COUNT(*) FROM information_schema.innodb_trx "
                                   "WHERE trx_state = 'LOCK WAIT' AND trx_mysql_thread_id = ?");

static bool innodb_is_waiting(struct conf *c, dal_conn *observer, uint64_t session_id)
{
        return is_any(c, observer, &lock_waits, session_id);
}

static const struct iso_engine engines[] = {
        {"sqlite", 1, 5, true, NULL}, /* 1 ms: a writer that is not alone is refused */
        {"postgres", 15000, 5, false, postgres_is_waiting},
        {"mysql", 15000, 110, false, innodb_is_waiting},
        {"mariadb", 15000, 110, false, innodb_is_waiting},
};

const struct iso_engine *iso_find_engine(const char *name)
{
        for (size_t i = 0; i < sizeof engines / sizeof engines[0]; i++)
                if (strcmp(engines[i].name, name) == 0)
                        return &engines[i];
        return NULL;
}
