/* SPDX-License-Identifier: MIT */
#include <dal/fanout.h>

#include <string.h>

#include <dal/mem.h>

#include "conn/conn_impl.h"
#include "shard/cluster_state.h"
#include "sql/rows_impl.h"

/* One shard's part of the answer. */
struct leg {
        dal__shard *shard;
        dal_conn *conn;
        uint16_t number;
        bool sent_twice;
};

/* Several shards' rows behind one cursor. */
struct fanout {
        dal_rows rows;
        const char *here;
        dal_cluster *cluster;
        const dal_stmt *stmt;
        dal_params params; /* a copy */
        dal_value *values; /* which it is made of */
        dal_deadline deadline;
        uint32_t n_legs, i_leg;
        dal_rows *current; /* rows of leg i_leg; NULL until its turn */
        dal_error
                failure; /* of a leg: told again to whoever asks again, as what follows is not the whole answer */
        struct leg legs[];
};

static void close_leg(struct fanout *fanout, uint32_t i)
{
        struct leg *leg = &fanout->legs[i];

        if (leg->conn)
                dal_pool_release(leg->shard->pool, leg->conn); /* unread answers are dropped there */
        leg->conn = NULL;
}

static void close_fanout(dal_rows *rows)
{
        struct fanout *fanout = rows->source;

        if (fanout->current)
                dal_rows_close(fanout->current);
        for (uint32_t i = 0; i < fanout->n_legs; i++)
                close_leg(fanout, i);
        dal_mem_free(fanout->values);
        dal_mem_free(fanout);
}

static const char *column_of_fanout(const dal_rows *rows, uint32_t i_column)
{
        const struct fanout *fanout = rows->source;

        return fanout->current ? dal_rows_column(fanout->current, i_column) : NULL;
}

/* Nothing of the answer was seen yet, and what was asked either did nothing or may be done twice. */
static bool may_send_again(const struct fanout *fanout, const struct leg *leg, const dal_error *failure)
{
        if (leg->sent_twice)
                return false;
        if (failure->error_class == DAL_CLASS_SCHEMA_CHANGED && !dal__conn_is_broken(leg->conn))
                return dal__conn_is_atomic(leg->conn, fanout->stmt);
        return failure->error_class == DAL_CLASS_CONNECTION_LOST && failure->conn_gone &&
               (failure->not_sent || dal__conn_is_read(leg->conn, fanout->stmt));
}

/* After a failure: a connection that died in the pool, or a stale statement, is nobody's concern. */
DAL_COLD static dal_status send_again(struct fanout *fanout, struct leg *leg, dal_error *failure)
{
        dal_status s = DAL_OK;

        if (!may_send_again(fanout, leg, failure))
                return failure->status;
        leg->sent_twice = true;
        if (dal__conn_is_broken(leg->conn))
                s = dal__pool_renew(fanout->here, leg->shard->pool, fanout->deadline, &leg->conn, failure);
        else
                dal__conn_note_schema(leg->conn);
        return s ? s
                 : dal__conn_send_query(leg->conn, fanout->stmt, fanout->params, fanout->deadline, failure);
}

static dal_status send_leg(struct fanout *fanout, struct leg *leg, dal_error *err)
{
        dal_error failure; /* filled by a failure only */
        dal_status s =
                dal__conn_send_query(leg->conn, fanout->stmt, fanout->params, fanout->deadline, &failure);

        if (s)
                s = send_again(fanout, leg, &failure);
        if (s && err)
                *err = failure;
        return s;
}

static dal_status take_leg(struct fanout *fanout, dal_error *err)
{
        struct leg *leg = &fanout->legs[fanout->i_leg];
        dal_error failure; /* filled by a failure only */
        dal_status s = dal__conn_take_rows(leg->conn, &fanout->current, &failure);

        if (s) {
                s = send_again(fanout, leg, &failure);
                if (s == DAL_OK)
                        s = dal__conn_take_rows(leg->conn, &fanout->current, &failure);
        }
        if (s) {
                failure.shard = leg->number;
                if (err)
                        *err = failure;
                return s;
        }
        fanout->rows.n_columns = dal_rows_n_columns(fanout->current);
        fanout->rows.shard = leg->number;
        return DAL_OK;
}

/* Moves on to the next leg that has a row; NULL after the last one. */
static dal_status next_of_legs(struct fanout *fanout, const dal_value **cells_out, dal_error *err)
{
        while (fanout->i_leg < fanout->n_legs) {
                bool found;
                dal_status s = fanout->current ? DAL_OK : take_leg(fanout, err);

                if (s == DAL_OK)
                        s = dal_rows_next(fanout->current, &found, err);
                if (s)
                        return s;
                if (found) {
                        *cells_out = fanout->current->cells;
                        return DAL_OK;
                }
                if (fanout->i_leg + 1 == fanout->n_legs)
                        break; /* the last leg stays, so that the columns can still be named */
                dal_rows_close(fanout->current);
                fanout->current = NULL;
                close_leg(fanout, fanout->i_leg);
                fanout->i_leg++;
        }
        return DAL_OK;
}

static dal_status next_of_fanout(dal_rows *rows, const dal_value **cells_out, dal_error *err)
{
        struct fanout *fanout = rows->source;

        *cells_out = NULL;
        if (fanout->failure.status == DAL_OK && next_of_legs(fanout, cells_out, &fanout->failure) != DAL_OK)
                fanout->failure.shard = fanout->legs[fanout->i_leg].number;
        if (fanout->failure.status && err)
                *err = fanout->failure;
        return fanout->failure.status;
}

/* In order of shard number, so that two fan-outs never wait for each other's leases in a circle. */
static void sort_legs(struct fanout *fanout)
{
        for (uint32_t i = 1; i < fanout->n_legs; i++) {
                struct leg leg = fanout->legs[i];
                uint32_t j = i;

                for (; j > 0 && fanout->legs[j - 1].number > leg.number; j--)
                        fanout->legs[j] = fanout->legs[j - 1];
                fanout->legs[j] = leg;
        }
}

static struct fanout *new_fanout(dal_cluster *cluster, dal_error *err)
{
        uint32_t n = atomic_load(&cluster->n_shards);
        struct fanout *fanout = dal_mem_alloc(sizeof *fanout + n * sizeof(struct leg));

        if (!fanout) {
                dal_error_set(err, DAL_CLASS_NO_MEMORY, "out of memory for a query to %u shards", n);
                return NULL;
        }
        fanout->n_legs = n;
        fanout->rows.next = next_of_fanout;
        fanout->rows.close = close_fanout;
        fanout->rows.column = column_of_fanout;
        fanout->rows.source = fanout;
        fanout->rows.shard = DAL_NO_SHARD;
        for (uint32_t i = 0; i < n; i++) {
                fanout->legs[i].shard = cluster->shards[i];
                fanout->legs[i].number = cluster->shards[i]->number;
        }
        sort_legs(fanout);
        return fanout;
}

/*
 * The last shard may have to be asked again long after the caller's parameters are gone. They were sent once, so they
 * are good.
 */
static dal_status keep_params(struct fanout *fanout, dal_error *err)
{
        dal_status s = dal__conn_copy_params(fanout->params, &fanout->values, err);

        fanout->params.values = fanout->values;
        return s;
}

static dal_status send_legs(struct fanout *fanout, dal_error *err)
{
        dal_status s = DAL_OK;

        for (uint32_t i = 0; s == DAL_OK && i < fanout->n_legs; i++) {
                struct leg *leg = &fanout->legs[i];

                s = dal__cluster_acquire(fanout->here, fanout->cluster, leg->shard, false, dal_clock_now(),
                                         fanout->deadline, &leg->conn, err);
                if (s == DAL_OK)
                        s = send_leg(fanout, leg, err);
                if (s && err)
                        err->shard = leg->number;
        }
        return s;
}

dal_status dal_fanout_query_at(const char *here, dal_cluster *cluster, const dal_stmt *stmt,
                               dal_params params, dal_rows **out, dal_error *err)
{
        struct fanout *fanout;
        dal_status s;

        *out = NULL;
        if (stmt && stmt->flags & DAL_STMT_RESOLVE)
                return dal__cluster_refuse_resolve(stmt, "dal_fanout_query()", err);
        s = dal__cluster_begin_call(cluster, err);
        if (s)
                return s;
        fanout = new_fanout(cluster, err);
        s = fanout ? DAL_OK : DAL_ERR_NOMEM;
        if (s == DAL_OK) {
                fanout->here = here;
                fanout->cluster = cluster;
                fanout->stmt = stmt;
                fanout->deadline = dal__cluster_deadline(cluster, 0);
                fanout->params = params;
                s = send_legs(fanout, err);
        }
        if (s == DAL_OK)
                s = keep_params(fanout, err);
        if (s == DAL_OK)
                s = take_leg(fanout, err);
        if (s == DAL_OK)
                *out = &fanout->rows;
        else if (fanout)
                close_fanout(&fanout->rows);
        dal__cluster_end_call(cluster);
        return s;
}
