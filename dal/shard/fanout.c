/* SPDX-License-Identifier: MIT */
#include "shard/fanout_impl.h"

#include <string.h>

#include <dal/mem.h>

#include "base/options.h"

/* ---- one leg --------------------------------------------------------------------------------------------------------- */

/* Nothing of the answer was seen yet, and what was asked either did nothing or may be done twice. */
static bool may_send_again(const dal__fanout *fanout, const dal__fanout_leg *leg, const dal_error *failure)
{
        if (leg->sent_twice)
                return false;
        if (failure->error_class == DAL_CLASS_SCHEMA_CHANGED && !dal__conn_is_broken(leg->conn))
                return dal__conn_is_atomic(leg->conn, fanout->stmt);
        return failure->error_class == DAL_CLASS_CONNECTION_LOST && failure->conn_gone &&
               (failure->not_sent || dal__conn_is_read(leg->conn, fanout->stmt));
}

/* After a failure: a connection that died in the pool, or a stale statement, is nobody's concern. */
DAL_COLD static dal_status send_again(dal__fanout *fanout, dal__fanout_leg *leg, dal_error *failure)
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

static dal_status send_leg(dal__fanout *fanout, dal__fanout_leg *leg, dal_error *err)
{
        dal_error failure; /* filled by a failure only */
        dal_status s =
                dal__conn_send_query(leg->conn, fanout->stmt, fanout->params, fanout->deadline, &failure);

        if (s)
                s = send_again(fanout, leg, &failure);
        leg->sent = s == DAL_OK;
        if (s == DAL_OK)
                return DAL_OK;
        failure.shard = leg->number;
        if (err)
                *err = failure;
        return s;
}

/* Keeps the columns' names, which are lent longer than any shard's connection. */
static dal_status keep_names(dal__fanout *fanout, dal_rows *rows, dal_error *err)
{
        uint32_t n = dal_rows_n_columns(rows);
        size_t size = (n + 1) * sizeof(char *);
        char *at;

        for (uint32_t i = 0; i < n; i++) {
                const char *name = dal_rows_column(rows, i);

                size += (name ? strlen(name) : 0) + 1;
        }
        fanout->names = dal_mem_alloc(size);
        if (!fanout->names)
                return dal_error_set(err, DAL_CLASS_NO_MEMORY, "out of memory for the names of %u columns",
                                     n);
        at = (char *)(fanout->names + n + 1);
        for (uint32_t i = 0; i < n; i++) {
                const char *name = dal_rows_column(rows, i);
                size_t name_size = name ? strlen(name) : 0;

                fanout->names[i] = at;
                memcpy(at, name ? name : "", name_size + 1);
                at += name_size + 1;
        }
        fanout->rows.n_columns = n;
        return DAL_OK;
}

static dal_status check_columns(dal__fanout *fanout, const dal__fanout_leg *leg, dal_error *err)
{
        uint32_t n = dal_rows_n_columns(leg->rows);

        if (!fanout->names)
                return keep_names(fanout, leg->rows, err);
        if (n == fanout->rows.n_columns)
                return DAL_OK;
        return dal_error_set(
                err, DAL_CLASS_WRONG_TYPE,
                "%s: the result has %u columns on shard %u and %u on a shard before it: name the "
                "columns in the statement",
                fanout->stmt->name, n, leg->number, fanout->rows.n_columns);
}

dal_status dal__fanout_take(dal__fanout *fanout, dal__fanout_leg *leg, dal_error *err)
{
        dal_error failure; /* filled by a failure only */
        dal_status s = leg->sent ? DAL_OK : send_leg(fanout, leg, err);

        if (s)
                return s;
        s = dal__conn_take_rows(leg->conn, &leg->rows, &failure);
        if (s) {
                s = send_again(fanout, leg, &failure);
                if (s == DAL_OK)
                        s = dal__conn_take_rows(leg->conn, &leg->rows, &failure);
        }
        if (s == DAL_OK)
                s = check_columns(fanout, leg, &failure);
        if (s == DAL_OK)
                return DAL_OK;
        failure.shard = leg->number;
        if (err)
                *err = failure;
        return s;
}

static void end_leg(dal__fanout_leg *leg)
{
        if (leg->rows)
                dal_rows_close(leg->rows);
        if (leg->conn)
                dal_pool_release(leg->shard->pool, leg->conn);
        leg->rows = NULL;
        leg->conn = NULL;
}

dal_status dal__fanout_fetch(dal__fanout *fanout, dal__fanout_leg *leg, const dal_value **cells_out,
                             dal_error *err)
{
        bool found;
        dal_status s = dal_rows_next(leg->rows, &found, err);

        (void)fanout;
        *cells_out = s == DAL_OK && found ? leg->rows->cells : NULL;
        if (s && err)
                err->shard = leg->number;
        if (s == DAL_OK && !found)
                end_leg(leg);
        return s;
}

/* ---- the cursor --------------------------------------------------------------------------------------------------------- */

static dal_status next_by_shard(dal__fanout *fanout, const dal_value **cells_out, dal_error *err)
{
        while (fanout->i_leg < fanout->n_legs) {
                dal__fanout_leg *leg = &fanout->legs[fanout->i_leg];
                uint32_t i = fanout->n_legs;
                dal_status s = dal__fanout_wait(fanout, fanout->i_leg, 1, &i, err);

                if (s == DAL_OK && i == fanout->n_legs) {
                        fanout->i_leg++;
                        continue;
                }
                if (s == DAL_OK)
                        s = leg->rows ? dal__fanout_fetch(fanout, leg, cells_out, err)
                                      : dal__fanout_take(fanout, leg, err);
                if (s || *cells_out)
                        return s;
        }
        fanout->i_leg = fanout->n_legs - 1;
        return DAL_OK;
}

static dal_status next_in_order(dal__fanout *fanout, const dal_value **cells_out, dal_error *err)
{
        switch (fanout->options.order) {
        case DAL_FANOUT_AS_THEY_COME:
                return dal__fanout_next_to_come(fanout, cells_out, err);
        case DAL_FANOUT_MERGED:
                return dal__fanout_next_merged(fanout, cells_out, err);
        case DAL_FANOUT_BY_SHARD:
                break;
        }
        return next_by_shard(fanout, cells_out, err);
}

DAL_COLD static dal_status fail(dal__fanout *fanout, dal_error *err)
{
        if (fanout->failure.shard == DAL_NO_SHARD)
                fanout->failure.shard = fanout->legs[fanout->i_leg].number;
        dal__fanout_abandon(fanout);
        if (err)
                *err = fanout->failure;
        return fanout->failure.status;
}

static dal_status next_of_fanout(dal_rows *rows, bool *found_out, dal_error *err)
{
        dal__fanout *fanout = rows->source;
        const dal_fanout_options *options = &fanout->options;

        rows->cells = NULL;
        *found_out = false;
        if (fanout->failure.status)
                return fail(fanout, err);
        if (options->limit && fanout->n_rows == options->limit) {
                dal__fanout_abandon(fanout);
                fanout->n_heap = 0;
                return DAL_OK;
        }
        if (next_in_order(fanout, &rows->cells, &fanout->failure))
                rows->cells = NULL;
        else if (rows->cells && options->max_rows && fanout->n_rows == options->max_rows)
                dal_error_set(&fanout->failure, DAL_CLASS_OVERFLOW,
                              "%s: the shards have more rows than max_rows, %llu: ask for fewer",
                              fanout->stmt->name, (unsigned long long)options->max_rows);
        if (fanout->failure.status) {
                rows->cells = NULL;
                return fail(fanout, err);
        }
        if (rows->cells) {
                *found_out = true;
                fanout->n_rows++;
                rows->shard = fanout->legs[fanout->i_leg].number;
        }
        return DAL_OK;
}

static void close_fanout(dal_rows *rows)
{
        dal__fanout *fanout = rows->source;

        dal__fanout_abandon(fanout);
        dal_mem_free(fanout->key_bytes);
        dal_mem_free(fanout->key);
        dal_mem_free(fanout->columns);
        dal_mem_free(fanout->heap);
        dal_mem_free(fanout->fds);
        dal_mem_free(fanout->names);
        dal_mem_free(fanout->values);
        dal_mem_free(fanout);
}

static const char *column_of_fanout(const dal_rows *rows, uint32_t i_column)
{
        const dal__fanout *fanout = rows->source;

        return fanout->names[i_column];
}

/* ---- opening ------------------------------------------------------------------------------------------------------------- */

/* In order of shard number, so that two fan-outs never wait for each other's leases in a circle. */
static void sort_legs(dal__fanout *fanout)
{
        for (uint32_t i = 1; i < fanout->n_legs; i++) {
                dal__fanout_leg leg = fanout->legs[i];
                uint32_t j = i;

                for (; j > 0 && fanout->legs[j - 1].number > leg.number; j--)
                        fanout->legs[j] = fanout->legs[j - 1];
                fanout->legs[j] = leg;
        }
}

static dal__fanout *new_fanout(dal_cluster *cluster, const dal_fanout_options *options, dal_error *err)
{
        uint32_t n = atomic_load(&cluster->n_shards);
        size_t n_columns = options->n_columns;
        dal__fanout *fanout = dal_mem_alloc(sizeof *fanout + n * sizeof(dal__fanout_leg));

        if (!fanout)
                goto no_memory;
        fanout->cluster = cluster;
        fanout->options = *options;
        fanout->n_legs = n;
        fanout->rows.next = next_of_fanout;
        fanout->rows.close = close_fanout;
        fanout->rows.column = column_of_fanout;
        fanout->rows.source = fanout;
        fanout->rows.shard = DAL_NO_SHARD;
        fanout->failure.shard = DAL_NO_SHARD;
        for (uint32_t i = 0; i < n; i++) {
                fanout->legs[i].shard = cluster->shards[i];
                fanout->legs[i].number = cluster->shards[i]->number;
        }
        sort_legs(fanout);
        fanout->fds = dal_mem_alloc(n * sizeof *fanout->fds);
        if (!fanout->fds)
                goto no_memory;
        if (options->order != DAL_FANOUT_MERGED)
                return fanout;
        fanout->heap = dal_mem_alloc(n * sizeof *fanout->heap);
        fanout->key = dal_mem_alloc(n_columns * sizeof *fanout->key);
        fanout->columns = dal_mem_alloc(n_columns * sizeof *fanout->columns);
        if (!fanout->heap || !fanout->key || !fanout->columns)
                goto no_memory;
        memcpy(fanout->columns, options->columns, n_columns * sizeof *fanout->columns);
        return fanout;
no_memory:
        if (fanout)
                close_fanout(&fanout->rows);
        dal_error_set(err, DAL_CLASS_NO_MEMORY, "out of memory for a query to %u shards", n);
        return NULL;
}

/* Every slot must belong to one of the shards that are asked: else rows would be missing, and nobody would know. */
static dal_status check_coverage(const dal__fanout *fanout, const dal_cluster *cluster, dal_error *err)
{
        uint64_t asked[DAL__MAX_SHARDS / 64] = {0};

        for (uint32_t i = 0; i < fanout->n_legs; i++)
                asked[fanout->legs[i].number / 64] |= UINT64_C(1) << fanout->legs[i].number % 64;
        for (uint32_t slot = 0; slot < DAL_N_SLOTS; slot++) {
                uint16_t number = dal__map_shard(&cluster->map, (uint16_t)slot);

                if (number < DAL__MAX_SHARDS && asked[number / 64] >> number % 64 & 1)
                        continue;
                dal_error_set(err, DAL_CLASS_NO_SHARD,
                              "slot %u belongs to none of the %u shards, so the answer would not be whole: "
                              "see dalctl cluster show",
                              slot, fanout->n_legs);
                err->not_sent = true;
                return DAL_ERR_ROUTE;
        }
        return DAL_OK;
}

/*
 * The last shard may have to be asked, or asked again, long after the caller's parameters are gone. They were sent once,
 * so they are good.
 */
static dal_status keep_params(dal__fanout *fanout, dal_error *err)
{
        dal_status s = dal__conn_copy_params(fanout->params, &fanout->values, err);

        fanout->params.values = fanout->values;
        return s;
}

static dal_status send_legs(dal__fanout *fanout, dal_error *err)
{
        bool any_sent = false;
        dal_status s = DAL_OK;

        for (uint32_t i = 0; s == DAL_OK && i < fanout->n_legs; i++) {
                dal__fanout_leg *leg = &fanout->legs[i];

                s = dal__cluster_acquire(fanout->here, fanout->cluster, leg->shard, false, dal_clock_now(),
                                         fanout->deadline, &leg->conn, err);
                if (s && err)
                        err->shard = leg->number;
                if (s == DAL_OK && dal__conn_sends_ahead(leg->conn))
                        s = send_leg(fanout, leg, err);
                any_sent |= leg->sent;
        }
        /* One must be, for the parameters to be looked at before they are copied. */
        return s || any_sent ? s : send_leg(fanout, &fanout->legs[0], err);
}

/* A fan-out to all shards there are. One that joined, and got its first slot, in mid-count makes it count again. */
static dal_status cover(dal_cluster *cluster, const dal_fanout_options *options, dal__fanout **out,
                        dal_error *err)
{
        for (;;) {
                dal_error refusal; /* filled by a failure only */
                uint32_t n;

                *out = new_fanout(cluster, options, err);
                if (!*out)
                        return DAL_ERR_NOMEM;
                if (check_coverage(*out, cluster, &refusal) == DAL_OK)
                        return DAL_OK;
                n = (*out)->n_legs;
                close_fanout(&(*out)->rows);
                if (n != atomic_load(&cluster->n_shards))
                        continue;
                if (err)
                        *err = refusal;
                return refusal.status;
        }
}

/* Takes the first result to come, or what a merge needs. */
static dal_status begin(dal__fanout *fanout, dal_error *err)
{
        uint32_t n = fanout->options.order == DAL_FANOUT_BY_SHARD ? 1 : fanout->n_legs;
        dal_status s;

        if (fanout->options.order == DAL_FANOUT_MERGED)
                return dal__fanout_gather(fanout, err);
        s = dal__fanout_wait(fanout, 0, n, &fanout->i_leg, err);
        return s ? s : dal__fanout_take(fanout, &fanout->legs[fanout->i_leg], err);
}

static dal_status open_fanout(const char *here, dal_cluster *cluster, const dal_fanout_options *options,
                              const dal_stmt *stmt, dal_params params, dal_rows **out, dal_error *err)
{
        dal__fanout *fanout;
        dal_status s = cover(cluster, options, &fanout, err);

        if (s)
                return s;
        fanout->here = here;
        fanout->stmt = stmt;
        fanout->deadline = dal__cluster_deadline(cluster, options->timeout_ms);
        fanout->params = params;
        s = send_legs(fanout, err);
        if (s == DAL_OK)
                s = keep_params(fanout, err);
        if (s == DAL_OK)
                s = begin(fanout, err);
        if (s == DAL_OK)
                *out = &fanout->rows;
        else
                close_fanout(&fanout->rows);
        return s;
}

static dal_status read_options(const dal_fanout_options *given, dal_fanout_options *options, dal_error *err)
{
        static const dal_fanout_options defaults = DAL_FANOUT_OPTIONS_INIT;
        dal_status s;

        *options = defaults;
        s = dal__options_read("DAL_FANOUT_OPTIONS_INIT", given, options, sizeof *options, err);
        if (s)
                return s;
        if ((unsigned)options->order > DAL_FANOUT_MERGED)
                return dal_error_set(err, DAL_CLASS_ARGUMENT, "order %d is not one of enum dal_fanout_order",
                                     (int)options->order);
        if ((options->order == DAL_FANOUT_MERGED) != (options->columns && options->n_columns))
                return dal_error_set(err, DAL_CLASS_ARGUMENT,
                                     "columns and n_columns are the order of DAL_FANOUT_MERGED, which needs "
                                     "them, and of nothing else");
        return DAL_OK;
}

dal_status dal_fanout_query_with_at(const char *here, dal_cluster *cluster, const dal_fanout_options *given,
                                    const dal_stmt *stmt, dal_params params, dal_rows **out, dal_error *err)
{
        dal_fanout_options options;
        dal_status s = read_options(given, &options, err);

        *out = NULL;
        if (s == DAL_OK && stmt && stmt->flags & DAL_STMT_RESOLVE)
                s = dal__cluster_refuse_resolve(stmt, "dal_fanout_query()", err);
        if (s == DAL_OK)
                s = dal__cluster_begin_call(cluster, err);
        if (s)
                return s;
        s = open_fanout(here, cluster, &options, stmt, params, out, err);
        dal__cluster_end_call(cluster);
        return s;
}

dal_status dal_fanout_query_at(const char *here, dal_cluster *cluster, const dal_stmt *stmt,
                               dal_params params, dal_rows **out, dal_error *err)
{
        return dal_fanout_query_with_at(here, cluster, NULL, stmt, params, out, err);
}
