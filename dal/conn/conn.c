/* SPDX-License-Identifier: MIT */
#include "conn/conn_hot.h"

#include <stdalign.h>
#include <string.h>

#include <dal/mem.h>

#include "base/options.h"
#include "sql/params.h"

#define DEFAULT_CACHE_SIZE 256u

/* ---- opening and closing ---------------------------------------------------------------------------------- */

static const char *const statements_names[] = {
        [DAL_STATEMENTS_DEFAULT] = "",
        [DAL_STATEMENTS_PREPARED] = "prepared",
        [DAL_STATEMENTS_UNNAMED] = "unnamed",
        [DAL_STATEMENTS_TEXT] = "text",
};

/* The caller's choice comes before the URL's. */
static dal_status choose_statements(const dal_driver *driver, const dal_dsn *dsn, dal_statements asked,
                                    dal_statements *out, dal_error *err)
{
        const char *name = dal_dsn_get(dsn, "statements");
        size_t i = (size_t)asked, n = sizeof statements_names / sizeof statements_names[0];

        if (i == DAL_STATEMENTS_DEFAULT)
                for (i = name && name[0] ? 1 : DAL_STATEMENTS_PREPARED; i < n && name && name[0]; i++)
                        if (strcmp(name, statements_names[i]) == 0)
                                break;
        if (i >= n)
                return dal_error_set(err, DAL_CLASS_ARGUMENT, "statements must be prepared, unnamed or text");
        if ((i == DAL_STATEMENTS_UNNAMED && !(driver->caps & DAL_CAP_UNNAMED)) ||
            (i == DAL_STATEMENTS_TEXT && !(driver->caps & DAL_CAP_TEXT)))
                return dal_error_set(err, DAL_CLASS_UNSUPPORTED,
                                     "the driver %s can't run statements as \"%s\": use \"prepared\"",
                                     driver->name, statements_names[i]);
        *out = (dal_statements)i;
        return DAL_OK;
}

static dal_status open_session(dal_conn *conn, const dal_dsn *dsn, const dal_conn_options *options,
                               bool tx_mode, dal_deadline deadline, dal_error *err)
{
        char user[256], password[1024];
        dal_open_args args;
        dal_status s;

        memset(&args, 0, sizeof args);
        s = choose_statements(conn->driver, dsn, options->statements, &args.statements, err);
        if (s)
                return s;
        args.dsn = dsn;
        args.service = conn->service;
        args.user = dal_dsn_user(dsn);
        args.password = dal_dsn_password(dsn);
        conn->cache.texts_only = args.statements != DAL_STATEMENTS_PREPARED;
        conn->cache.no_session = args.statements == DAL_STATEMENTS_UNNAMED;
        args.statement_timeout_ms = conn->statement_timeout_ms = options->statement_timeout_ms;
        args.lock_timeout_ms = conn->lock_timeout_ms = options->lock_timeout_ms;
        args.tx_mode = conn->tx_mode = tx_mode && (conn->driver->caps & DAL_CAP_TX_MODE);
        if (options->credentials) {
                s = options->credentials(options->credentials_arg, dsn, user, sizeof user, password,
                                         sizeof password, err);
                if (s)
                        return s;
                args.user = user;
                args.password = password;
        }
        s = conn->driver->open(conn->state, &args, deadline, err);
        if (options->credentials)
                dal_mem_wipe(password, sizeof password);
        if (s == DAL_OK)
                conn->driver->info(conn->state, &conn->info);
        return s;
}

dal_status dal__conn_open_mode(const dal_driver *driver, const dal_dsn *dsn, const dal_conn_options *given,
                               bool tx_mode, dal_deadline deadline, dal_conn **out, dal_error *err)
{
        dal_conn_options options = DAL_CONN_OPTIONS_INIT;
        size_t header =
                (sizeof(dal_conn) + alignof(max_align_t) - 1) / alignof(max_align_t) * alignof(max_align_t);
        const char *service;
        dal_conn *conn;
        dal_status s;

        *out = NULL;
        s = dal__options_read("DAL_CONN_OPTIONS_INIT", given, &options, sizeof options, err);
        if (s)
                return s;
        service = options.service && options.service[0] ? options.service
                                                        : dal_dsn_get(dsn, "application_name");
        if (!service || !service[0])
                service = "dal";
        if (strlen(service) > DAL__MAX_SERVICE_BYTES)
                return dal_error_set(err, DAL_CLASS_ARGUMENT,
                                     "the service name \"%.20s...\" is longer than %u bytes", service,
                                     DAL__MAX_SERVICE_BYTES);
        if (dal_clock_passed(deadline)) {
                dal_error_set(err, DAL_CLASS_DEADLINE, "the deadline passed before connecting to %s",
                              dal_dsn_redacted(dsn));
                if (err)
                        err->not_sent = true;
                return DAL_ERR_TIMEOUT;
        }
        conn = dal_mem_alloc(header + driver->conn_size);
        if (!conn)
                return dal_error_set(err, DAL_CLASS_NO_MEMORY, "out of memory for a connection");
        conn->driver = driver;
        conn->state = (char *)conn + header;
        dal__conn_set_process(conn, NULL);
        memcpy(conn->service, service, strlen(service) + 1);
        dal__conn_init_rows(conn);
        s = dal__stmt_cache_init(
                &conn->cache, driver,
                options.statement_cache_size ? options.statement_cache_size : DEFAULT_CACHE_SIZE, err);
        if (s == DAL_OK)
                s = open_session(conn, dsn, &options, tx_mode, deadline, err);
        if (s) {
                if (err && s != DAL_ERR_NOMEM)
                        err->not_sent = true; /* no statement can have been sent without a session */
                dal_conn_close(conn);
                return s;
        }
        conn->cache.dialect = conn->info.dialect;
        *out = conn;
        return DAL_OK;
}

static dal_status own_alone(dal_conn **conn, dal_error *err)
{
        dal__stmt_cache_limit(&(*conn)->cache, (*conn)->info.max_prepared, 1);
        if (dal__conn_mark_process(&(*conn)->own)) {
                dal__conn_set_process(*conn, &(*conn)->own);
                return DAL_OK;
        }
        dal_conn_close(*conn);
        *conn = NULL;
        return dal_error_set(err, DAL_CLASS_NO_MEMORY, "out of memory for a connection");
}

dal_status dal_conn_open(const dal_driver *driver, const dal_dsn *dsn, const dal_conn_options *options,
                         dal_deadline deadline, dal_conn **out, dal_error *err)
{
        dal_dsn *resolved = NULL;
        dal_status s = dal_driver_resolve_dsn(driver, dsn, NULL, NULL, &resolved, err);

        *out = NULL;
        if (s == DAL_OK)
                s = dal__conn_open_mode(driver, resolved, options, false, deadline, out, err);
        if (s == DAL_OK)
                s = own_alone(out, err);
        dal_dsn_free(resolved);
        return s;
}

void dal_conn_close(dal_conn *conn)
{
        /* In a child even a goodbye would be heard as the parent's: what is there stays until the child ends. */
        if (!conn || dal__conn_is_forked(conn))
                return;
        dal__conn_unmark_process(&conn->own);
        dal__conn_set_process(conn, NULL);
        dal__conn_drop_pending(conn, 0);
        dal_mem_free(conn->pending);
        dal_mem_free((void *)(uintptr_t)conn->dynamic_stmt.text);
        dal_mem_free(conn->flight);
        dal__conn_free_cursors(conn);
        /* The session ends with everything in it: the driver frees its own part of each statement. */
        if (conn->cache.buckets)
                dal__stmt_cache_fini(&conn->cache, conn->state);
        conn->driver->close(conn->state);
        dal_mem_free(conn);
}

/* ---- small facts ------------------------------------------------------------------------------------------- */

bool dal__conn_is_broken(const dal_conn *conn)
{
        return conn->broken;
}

dal_error_class dal__conn_broken_by(const dal_conn *conn)
{
        return conn->broken_by;
}

bool dal__conn_tx_mode(const dal_conn *conn)
{
        return conn->tx_mode;
}

void dal__conn_set_lease(dal_conn *conn, void *lease)
{
        conn->lease = lease;
}

void *dal__conn_lease(const dal_conn *conn)
{
        return conn->lease;
}

dal_tx_state dal_conn_tx_state(const dal_conn *conn)
{
        return conn->broken ? DAL_TX_STATE_UNKNOWN : conn->driver->tx_state(conn->state);
}

const dal_driver *dal_conn_driver(const dal_conn *conn)
{
        return conn->driver;
}

const dal_driver_info *dal_conn_info(const dal_conn *conn)
{
        return &conn->info;
}

int64_t dal_conn_insert_id(const dal_conn *conn)
{
        return conn->insert_id;
}

dal_conn_stats dal_conn_get_stats(const dal_conn *conn)
{
        dal_conn_stats stats = conn->stats;

        stats.n_prepared = conn->cache.n_prepared;
        stats.n_evicted = conn->cache.n_evicted;
        stats.n_invalidated = conn->cache.n_invalidated;
        stats.n_cached = conn->cache.n_stmts;
        stats.cache_size = conn->cache.capacity;
        return stats;
}

/* ---- statements ---------------------------------------------------------------------------------------------- */

/* With nothing waiting, without the book-keeping of the general case. */
static dal_status send_alone(dal_conn *conn, dal_deadline deadline, dal_error *err)
{
        const dal_driver *driver = conn->driver;
        const dal_request *request = &conn->request;

        memset(&conn->result, 0, sizeof conn->result);
        if (driver->run) {
                if (driver->run(conn->state, request, deadline, &conn->result, err)) {
                        conn->stats.n_requests += !err->not_sent;
                        conn->stats.n_round_trips += !err->not_sent && !(driver->caps & DAL_CAP_EMBEDDED);
                        return dal__conn_fail(conn, request, err, err);
                }
                conn->stats.n_requests++;
                conn->stats.n_round_trips += !(driver->caps & DAL_CAP_EMBEDDED);
                return DAL_OK;
        }
        if (driver->queue(conn->state, request, err)) {
                err->not_sent = true;
                return dal__conn_fail(conn, request, err, err);
        }
        conn->stats.n_requests++;
        if (driver->flush(conn->state, deadline, err)) {
                err->conn_gone = true; /* without a working flush there is no result to wait for */
                return dal__conn_fail(conn, request, err, err);
        }
        conn->stats.n_round_trips += !(driver->caps & DAL_CAP_EMBEDDED);
        if (driver->result(conn->state, deadline, &conn->result, err) == DAL_OK)
                return DAL_OK;
        return dal__conn_fail(conn, request, err, err);
}

/* Behind what waits. */
static dal_status send_behind(dal_conn *conn, dal_deadline deadline, dal_error *err)
{
        dal__flush_outcome outcome;

        return dal__conn_send_all(conn, &conn->request, deadline, &conn->result, &outcome, err);
}

/*
 * A statement whose prepared form was out of date has done nothing: with a fresh one it runs. Inside a transaction
 * only the whole of it can be run again.
 */
DAL_COLD static dal_status send_again(dal_conn *conn, dal_deadline deadline, dal_error *failure)
{
        const dal_stmt *stmt = dal__stmt_cache_key(conn->request.stmt);
        dal_status s;

        if (failure->error_class != DAL_CLASS_SCHEMA_CHANGED || conn->in_tx || conn->broken ||
            !dal__conn_is_atomic(conn, stmt))
                return failure->status;
        dal__conn_note_schema(conn);
        if (!dal__conn_prepare_request(conn, stmt, conn->request.params, &conn->request, failure))
                return failure->status;
        s = send_alone(conn, deadline, failure);
        if (s == DAL_OK)
                *failure = (dal_error)DAL_ERROR_INIT; /* it is over */
        return s;
}

static dal_status take_rows(dal_conn *conn, dal_status s, dal_deadline deadline, dal_rows **rows_out)
{
        if (s == DAL_OK && rows_out)
                *rows_out = dal__conn_open_rows(conn, &conn->result, deadline);
        return s;
}

DAL_COLD dal_status dal__conn_run_failed(dal_conn *conn, dal_deadline deadline, dal_rows **rows_out,
                                         dal_error *failure)
{
        if (failure->not_sent) {
                conn->stats.n_requests--;
                conn->stats.n_round_trips -= !(conn->driver->caps & DAL_CAP_EMBEDDED);
        }
        conn->request.fresh = false;
        (void)dal__conn_fail(conn, &conn->request, failure, failure);
        return take_rows(conn, send_again(conn, deadline, failure), deadline, rows_out);
}

dal_status dal__conn_run_fresh(dal_conn *conn, const dal_stmt *stmt, dal_params params, dal_deadline deadline,
                               dal_rows **rows_out, dal_error *err)
{
        dal_error *failure = err ? err : &conn->scratch;
        dal_status s = dal__conn_check(conn, deadline, true, failure);

        if (s)
                return s;
        if (!dal__conn_prepare_request(conn, stmt, params, &conn->request, failure))
                return failure->status;
        s = conn->n_pending ? send_behind(conn, deadline, failure) : send_alone(conn, deadline, failure);
        if (s)
                s = send_again(conn, deadline, failure);
        return take_rows(conn, s, deadline, rows_out);
}

/* Beside the cursors that are open, if `refused` says that they are what is in the way, and the driver can. */
DAL_COLD static dal_status run_beside(dal_conn *conn, const dal_stmt *stmt, dal_params params,
                                      dal_deadline deadline, dal_rows **rows_out, dal_status refused,
                                      dal_error *err)
{
        dal__conn_window window;
        dal_status s;

        if (refused != DAL_ERR_BUSY || !dal__conn_has_windows(conn))
                return refused;
        if (err)
                *err = (dal_error)DAL_ERROR_INIT; /* the refusal is over */
        s = dal__conn_open_window(conn, rows_out != NULL, &window, err);
        if (s)
                return s;
        s = dal__conn_check(conn, deadline, false, err);
        if (s == DAL_OK)
                s = dal__conn_run_fresh(conn, stmt, params, deadline, NULL, err);
        return dal__conn_close_window(conn, &window, s, &conn->result, deadline, rows_out, err);
}

static DAL_HOT dal_status run_stmt(dal_conn *conn, const dal_stmt *stmt, dal_params params,
                                   dal_deadline deadline, dal_rows **rows_out, dal_error *err)
{
        dal_error *failure = err ? err : &conn->scratch;
        dal_status s = dal__conn_check(conn, deadline, false, err);

        if (s)
                return run_beside(conn, stmt, params, deadline, rows_out, s, err);
        return dal__conn_run_hot(conn, stmt, params, deadline, false, rows_out, failure);
}

/* The library itself refused the statement. */
DAL_COLD static dal_status not_sent(dal_status s, dal_error *err)
{
        if (err)
                err->not_sent = true;
        return s;
}

/* Keeps the rewritten text in the connection: a driver may look at it until the rows are closed. */
static dal_status run_dynamic(dal_conn *conn, const char *sql, dal_params params, dal_deadline deadline,
                              dal_result *result, dal_error *err)
{
        dal__flush_outcome outcome;
        dal__params_text text;
        dal_request request;
        dal_status s = dal__conn_check(conn, deadline, false, err);

        if (s)
                return s;
        s = dal__params_rewrite(conn->driver, NULL, sql, strlen(sql), &text, err);
        if (s)
                return not_sent(s, err);
        dal_mem_free((void *)(uintptr_t)conn->dynamic_stmt.text);
        conn->dynamic_stmt.text = text.text;
        if (text.has_transaction_word)
                return dal__conn_refuse(conn, DAL_CLASS_ARGUMENT,
                                        "this SQL begins or ends a transaction: use dal_cluster_run() or "
                                        "dal_tx_run() instead",
                                        err);
        s = dal__params_check(conn->driver, "dynamic statement", text.n_params, params, err);
        if (s == DAL_OK)
                s = dal__stmt_cache_check_session(&conn->cache, "dynamic statement", sql, strlen(sql), err);
        if (s)
                return not_sent(s, err);
        conn->effects |= dal__stmt_cache_effects(sql, strlen(sql), conn->driver->sql_syntax);
        dal__conn_note_write(conn, !text.is_read);
        memset(&request, 0, sizeof request);
        request.kind = DAL_REQUEST_TEXT;
        request.text = text.text;
        request.text_size = text.size;
        request.params = params;
        return dal__conn_send_all(conn, &request, deadline, result, &outcome, err);
}

/* Beside open cursors, too; without `rows_out` *result is for take_count(). */
static dal_status run_dynamic_beside(dal_conn *conn, const char *sql, dal_params params,
                                     dal_deadline deadline, dal_result *result, dal_rows **rows_out,
                                     dal_error *err)
{
        dal__conn_window window;
        dal_status s;

        if (!conn->rows_open || !dal__conn_has_windows(conn)) {
                s = run_dynamic(conn, sql, params, deadline, result, err);
                if (s == DAL_OK && rows_out)
                        *rows_out = dal__conn_open_rows(conn, result, deadline);
                return s;
        }
        s = dal__conn_open_window(conn, rows_out != NULL, &window, err);
        if (s)
                return s;
        s = run_dynamic(conn, sql, params, deadline, result, err);
        return dal__conn_close_window(conn, &window, s, result, deadline, rows_out, err);
}

/* For a statement run for its count: any rows it gives are counted and dropped. */
static dal_status take_count(dal_conn *conn, const dal_result *result, dal_deadline deadline,
                             int64_t *n_rows_out, dal_error *err)
{
        int64_t n_rows = result->n_rows;

        conn->insert_id = result->insert_id;
        if (result->has_rows) {
                dal_rows *rows = dal__conn_open_rows(conn, result, deadline);
                int64_t n_fetched = 0;
                dal_status s;
                bool found;

                n_fetched = rows->first != NULL;
                rows->first = NULL;
                while ((s = rows->next(rows, &found, err)) == DAL_OK && found)
                        n_fetched++;
                if (s)
                        return s;
                if (n_rows == 0)
                        n_rows = n_fetched;
        }
        if (n_rows_out)
                *n_rows_out = n_rows;
        return DAL_OK;
}

/* After a statement was run to its end: it may have been a change of the schema, whether it failed or not. */
static inline dal_status note_effects(dal_conn *conn, dal_status s)
{
        if (conn->effects & DAL__EFFECT_SCHEMA)
                dal__conn_note_schema(conn);
        return s;
}

dal_status dal__conn_finish_exec(dal_conn *conn, dal_status s, dal_deadline deadline, int64_t *n_rows_out,
                                 dal_error *err)
{
        if (s == DAL_OK)
                s = take_count(conn, &conn->result, deadline, n_rows_out, err);
        return note_effects(conn, s);
}

dal_status dal_conn_exec(dal_conn *conn, const dal_stmt *stmt, dal_params params, dal_deadline deadline,
                         int64_t *n_rows_out, dal_error *err)
{
        dal_status s = run_stmt(conn, stmt, params, deadline, NULL, err);

        if (s || conn->result.has_rows || (conn->effects & DAL__EFFECT_SCHEMA))
                return dal__conn_finish_exec(conn, s, deadline, n_rows_out, err);
        conn->insert_id = conn->result.insert_id;
        if (n_rows_out)
                *n_rows_out = conn->result.n_rows;
        return DAL_OK;
}

dal_status dal_conn_query(dal_conn *conn, const dal_stmt *stmt, dal_params params, dal_deadline deadline,
                          dal_rows **out, dal_error *err)
{
        *out = NULL;
        return run_stmt(conn, stmt, params, deadline, out, err);
}

dal_status dal_conn_exec_dynamic(dal_conn *conn, const char *sql, dal_params params, dal_deadline deadline,
                                 int64_t *n_rows_out, dal_error *err)
{
        dal_result result;
        dal_status s = run_dynamic_beside(conn, sql, params, deadline, &result, NULL, err);

        if (s == DAL_OK)
                s = take_count(conn, &result, deadline, n_rows_out, err);
        return note_effects(conn, s);
}

dal_status dal_conn_query_dynamic(dal_conn *conn, const char *sql, dal_params params, dal_deadline deadline,
                                  dal_rows **out, dal_error *err)
{
        dal_result result;

        *out = NULL;
        return run_dynamic_beside(conn, sql, params, deadline, &result, out, err);
}

dal_status dal_conn_script(dal_conn *conn, const char *sql, dal_deadline deadline, dal_error *err)
{
        dal_request request;
        dal_result result;
        dal_status s = dal__stmt_cache_check_session(&conn->cache, "script", sql, strlen(sql), err);

        if (s)
                return s;
        memset(&request, 0, sizeof request);
        request.kind = DAL_REQUEST_SCRIPT;
        request.text = sql;
        request.text_size = strlen(sql);
        conn->effects |= dal__stmt_cache_effects(sql, request.text_size, conn->driver->sql_syntax);
        conn->effects |= DAL__EFFECT_SESSION; /* a script may do anything to the session */
        dal__conn_note_write(conn, true);
        s = dal__conn_send_one(conn, &request, deadline, &result, err);
        if (s == DAL_OK)
                s = take_count(conn, &result, deadline, NULL, err);
        return note_effects(conn, s);
}

dal_status dal_conn_ping(dal_conn *conn, dal_deadline deadline, dal_error *err)
{
        dal_error local = DAL_ERROR_INIT;
        dal_status s = dal__conn_check_alone(conn, deadline, err);

        if (s || !conn->driver->ping)
                return s;
        conn->stats.n_round_trips++;
        if (conn->driver->ping(conn->state, deadline, &local)) {
                conn->broken = true;
                conn->broken_by = local.error_class;
                if (err)
                        *err = local;
                return local.status;
        }
        return DAL_OK;
}

dal_status dal_conn_cancel(dal_conn *conn, dal_deadline deadline, dal_error *err)
{
        if (dal__conn_is_forked(conn))
                return dal__conn_refuse_forked(conn, err);
        if (!conn->driver->cancel)
                return dal_error_set(err, DAL_CLASS_UNSUPPORTED, "the %s driver can't cancel",
                                     conn->driver->name);
        return conn->driver->cancel(conn->state, deadline, err);
}

bool dal__conn_is_read(dal_conn *conn, const dal_stmt *stmt)
{
        const dal__cached_stmt *entry = dal__stmt_cache_get(&conn->cache, conn->state, stmt, NULL);

        return entry && entry->is_read;
}

bool dal__conn_is_atomic(dal_conn *conn, const dal_stmt *stmt)
{
        const dal__cached_stmt *entry = dal__stmt_cache_get(&conn->cache, conn->state, stmt, NULL);

        return entry && entry->is_atomic;
}
