/* SPDX-License-Identifier: MIT */
/* The numbers by which a server itself knows its transactions, when it gives one of them twice. See dal/outcome.h. */

#include <dal/outcome.h>

#include "conf.h"

/* Changes when the server comes up from a crash. Source: PostgreSQL manual 28.2, The Cumulative Statistics System */
#define CRASH_TIME "pg_catalog.pg_stat_get_bgwriter_stat_reset_time()"

/* The token of what is open on `conn`, of shard 0, as the given query says it. */
static void read_token(struct conf *c, dal_conn *conn, const char *sql, char token[33])
{
        dal_rows *rows;

        OK(dal_conn_query_dynamic(conn, sql, DAL_NO_PARAMS, SOON, &rows, &c->err));
        OK(dal_rows_first(rows, &c->err));
        memcpy(token, "020000", 6);
        OK(dal_rows_copy_text(rows, 0, token + 6, 33 - 6, &c->err));
        dal_rows_close(rows);
}

/*
 * What had not been flushed when the server crashed is forgotten, its number included: the next transaction gets that,
 * and its COMMIT is no answer to the question about the first one. Here the first is asked for with another time of the
 * last crash, as it would have been.
 */
static void outcome__a_number_from_before_a_crash_is_unknown(struct conf *c)
{
        char before[2000], of_before[33], of_now[33];
        const char *number, *at;
        dal_outcome outcome;
        dal_cluster *cluster;
        dal_conn *conn;

        if (!c->driver->number_query)
                return;
        number = c->driver->number_query(NULL, false);
        at = strstr(number, CRASH_TIME);
        assert_non_null(at);
        snprintf(before, sizeof before, "%.*spg_catalog.to_timestamp(1)%s", (int)(at - number), number,
                 at + strlen(CRASH_TIME));
        cluster = conf_cluster(c, NULL);
        conn = conf_open(c, NULL);
        OK(dal_conn_begin(conn, DAL_ISOLATION_DEFAULT, false, SOON, &c->err));
        OK(dal_conn_exec(conn, &conf_add_account, DAL_PARAMS(dal_int64(1), dal_int64(1)), SOON, NULL,
                         &c->err));
        read_token(c, conn, before, of_before);
        read_token(c, conn, number, of_now);
        OK(dal_conn_commit(conn, SOON, &c->err));
        assert_string_equal(of_before + 16, of_now + 16);
        OK(dal_resolve(cluster, of_now, 0, &outcome, &c->err));
        assert_int_equal(outcome, DAL_OUTCOME_COMMITTED);
        FAILS(dal_resolve(cluster, of_before, 0, &outcome, &c->err), COMMIT_UNKNOWN);
        assert_int_equal(outcome, DAL_OUTCOME_UNKNOWN);
        dal_conn_close(conn);
        conf_cluster_end(c, cluster);
}

const struct conf_case outcome_number_conf[] = {
        CONF_CASE(outcome__a_number_from_before_a_crash_is_unknown),
        {NULL, NULL},
};
