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
};

/* Several shards' rows behind one cursor. */
struct fanout {
        dal_rows rows;
        uint32_t n_legs, i_leg;
        dal_rows *current; /* rows of leg i_leg; NULL until its turn */
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
        dal_mem_free(fanout);
}

static const char *column_of_fanout(const dal_rows *rows, uint32_t i_column)
{
        const struct fanout *fanout = rows->source;

        return fanout->current ? dal_rows_column(fanout->current, i_column) : NULL;
}

static dal_status take_leg(struct fanout *fanout, dal_error *err)
{
        struct leg *leg = &fanout->legs[fanout->i_leg];
        dal_status s = dal__conn_take_rows(leg->conn, &fanout->current, err);

        if (s) {
                if (err)
                        err->shard = leg->shard->number;
                return s;
        }
        fanout->rows.n_columns = dal_rows_n_columns(fanout->current);
        fanout->rows.shard = leg->shard->number;
        return DAL_OK;
}

static dal_status next_of_fanout(dal_rows *rows, const dal_value **cells_out, dal_error *err)
{
        struct fanout *fanout = rows->source;

        *cells_out = NULL;
        while (fanout->i_leg < fanout->n_legs) {
                bool found;
                dal_status s = fanout->current ? DAL_OK : take_leg(fanout, err);

                if (s == DAL_OK)
                        s = dal_rows_next(fanout->current, &found, err);
                if (s) {
                        if (err)
                                err->shard = fanout->legs[fanout->i_leg].shard->number;
                        return s;
                }
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

/* In order of shard number, so that two fan-outs never wait for each other's leases in a circle. */
static void sort_legs(struct fanout *fanout)
{
        for (uint32_t i = 1; i < fanout->n_legs; i++) {
                struct leg leg = fanout->legs[i];
                uint32_t j = i;

                for (; j > 0 && fanout->legs[j - 1].shard->number > leg.shard->number; j--)
                        fanout->legs[j] = fanout->legs[j - 1];
                fanout->legs[j] = leg;
        }
}

dal_status dal_fanout_query_at(const char *here, dal_cluster *cluster, const dal_stmt *stmt,
                               dal_params params, dal_rows **out, dal_error *err)
{
        uint32_t n = atomic_load(&cluster->n_shards);
        dal_deadline deadline = dal__cluster_deadline(cluster, 0);
        struct fanout *fanout;
        dal_status s = dal__cluster_check_open(cluster, err);

        *out = NULL;
        if (s)
                return s;
        fanout = dal_mem_alloc(sizeof *fanout + n * sizeof(struct leg));
        if (!fanout)
                return dal_error_set(err, DAL_CLASS_NO_MEMORY, "out of memory for a query to %u shards", n);
        fanout->n_legs = n;
        fanout->rows.next = next_of_fanout;
        fanout->rows.close = close_fanout;
        fanout->rows.column = column_of_fanout;
        fanout->rows.source = fanout;
        fanout->rows.shard = DAL_NO_SHARD;
        for (uint32_t i = 0; i < n; i++)
                fanout->legs[i].shard = cluster->shards[i];
        sort_legs(fanout);
        for (uint32_t i = 0; s == DAL_OK && i < n; i++) {
                struct leg *leg = &fanout->legs[i];

                s = dal__cluster_acquire(here, cluster, leg->shard, false, deadline, &leg->conn, err);
                if (s == DAL_OK)
                        s = dal__conn_send_query(leg->conn, stmt, params, deadline, err);
                if (s && err)
                        err->shard = leg->shard->number;
        }
        if (s == DAL_OK)
                s = take_leg(fanout, err);
        if (s) {
                close_fanout(&fanout->rows);
                return s;
        }
        *out = &fanout->rows;
        return DAL_OK;
}
