/* SPDX-License-Identifier: MIT */
/*
 * Requests sent ahead: several prepared statements are written one behind the other, and their answers read later.
 * Connector/C alone can do that.
 *
 * The server runs all it was sent, whatever became of those before. So only two kinds of run are sent ahead: plain
 * reads, of which one that ran in vain did no harm; and, outside of transactions, independent requests. A write of a
 * transaction has nothing behind it until its answer is there: a deadlock ends the transaction, and what the server
 * found behind it would take effect by itself.
 */
#include "mysql_impl.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#if DAL__MYSQL_SENDS_AHEAD

/*
 * The most bytes on their way that no answer came for. The library's writes block, and so do the server's while nobody
 * reads: as long as what was sent fits the buffers of a socket, neither can wait for the other for ever.
 */
#define WINDOW 32768u

#define ERROR_CLIENT_FIRST 2000 /* the client library's own errors. Source: errmsg.h */

/* ---- which statements ---- */

/* Words after which a SELECT locks, writes or takes a number; also where they are but part of a text. */
static bool has_effects(const char *text)
{
        static const char *const words[] = {"FOR", "INTO", "LOCK", "NEXTVAL", "SETVAL", "NEXT"};
        const char *at = text;

        while (*(at += strcspn(at, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_"))) {
                size_t size = strspn(at, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789$");

                for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
                        if (strlen(words[i]) == size && strncasecmp(at, words[i], size) == 0)
                                return true;
                }
                at += size;
        }
        return false;
}

dal__mysql_kind dal__mysql_ahead_kind(const char *text)
{
        static const char *const words[] = {"INSERT", "UPDATE", "DELETE", "REPLACE"};

        if (dal__mysql_tx_begins_with(text, "SELECT"))
                return has_effects(text) ? DAL__MYSQL_KIND_OTHER : DAL__MYSQL_KIND_READ;
        for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
                if (dal__mysql_tx_begins_with(text, words[i]))
                        return DAL__MYSQL_KIND_WRITE;
        }
        return DAL__MYSQL_KIND_OTHER;
}

/* Says, before anything is prepared, whether a request may be one of a run that begins with `first`. */
static bool may_travel(const dal__mysql_conn *conn, const dal__mysql_entry *first,
                       const dal__mysql_entry *entry)
{
        const dal_request *request = entry->request;
        bool in_tx = conn->in_trans || conn->tx_open || conn->tx_mode;

        if (request->kind != DAL_REQUEST_STMT || entry->flush != first->flush ||
            entry->flush > conn->n_flushes)
                return false;
        if (request->independent != first->request->independent || (request->independent && in_tx))
                return false;
        return request->independent ||
               (request->flags & (DAL_STMT_WRITES | DAL_STMT_LOCK_UPDATE | DAL_STMT_LOCK_SHARE)) == 0;
}

static bool is_fit(const dal_request *request, const dal__mysql_stmt *stmt)
{
        if (stmt->kind == DAL__MYSQL_KIND_READ)
                return true;
        return request->independent && stmt->kind == DAL__MYSQL_KIND_WRITE &&
               mysql_stmt_field_count(stmt->handle) == 0;
}

static size_t n_on_the_way(const dal__mysql_conn *conn)
{
        return conn->i_ahead > conn->i_next ? conn->i_ahead - conn->i_next : 0;
}

/*
 * Prepares what the run needs, as that can't be done once something is on its way. Not inside a transaction, which
 * even a statement that can't be prepared may end: there each does so when its turn has come, and has the failure.
 */
static dal_status prepare_run(dal__mysql_conn *conn, dal_deadline deadline, dal_error *err)
{
        const dal__mysql_entry *first = &conn->queue[conn->i_next];
        bool may_prepare = !conn->in_trans && !conn->tx_open;
        dal_error local = DAL_ERROR_INIT;

        for (size_t i = conn->i_next; i < conn->n_queue && may_travel(conn, first, &conn->queue[i]); i++) {
                const dal_request *request = conn->queue[i].request;
                const dal__mysql_stmt *stmt = dal__mysql_stmt_find(conn, request);

                if (stmt && is_fit(request, stmt))
                        continue;
                if (stmt || !may_prepare ||
                    dal__mysql_ahead_kind(request->stmt->text) == DAL__MYSQL_KIND_OTHER)
                        break;
                if (!dal__mysql_stmt_make(conn, request, deadline, &local))
                        break; /* it is told when its turn has come */
        }
        if (!conn->broken)
                return DAL_OK;
        *err = local;
        return local.status;
}

/* ---- sending ---- */

/*
 * Connector/C reads the rest of a result before it executes anew if it thinks that one is unread; here that would be
 * an answer that belongs to somebody else.
 */
static bool settle(MYSQL_STMT *handle)
{
        enum mysql_stmt_state state = MYSQL_STMT_INITTED;

        if (mysql_stmt_attr_get(handle, STMT_ATTR_STATE, &state))
                return false;
        if (state <= MYSQL_STMT_EXECUTED || state == MYSQL_STMT_FETCH_DONE)
                return true;
        /* Of one that failed among its rows, as by KILL QUERY, the library has lost how to fetch them. */
        if (mysql_stmt_errno(handle) || mysql_stmt_free_result(handle))
                return false;
        (void)mysql_stmt_attr_get(handle, STMT_ATTR_STATE, &state);
        /* All rows were read, and only their end was not. */
        return state == MYSQL_STMT_FETCH_DONE || mysql_stmt_fetch(handle) == MYSQL_NO_DATA;
}

/* Puts the values in place; 0 if the request can't travel so. */
static uint64_t load(dal__mysql_conn *conn, dal__mysql_stmt *stmt, const dal_params *params)
{
        dal_error ignored = DAL_ERROR_INIT;
        bool changed = false;
        uint64_t size;

        if (params->n_values != stmt->n_params)
                return 0;
        size = dal__mysql_params_set(stmt, params, &changed);
        if (dal__mysql_check_size(conn, size, &ignored) == DAL_OK && settle(stmt->handle) &&
            (!changed || dal__mysql_params_tell(conn, stmt, &ignored) == DAL_OK))
                return size;
        stmt->generation =
                0; /* what the library was told does not hold: prepared anew when its turn has come */
        return 0;
}

/* The next request of the run, ready to be sent; NULL when the run or the window ends. */
static dal__mysql_entry *load_next(dal__mysql_conn *conn)
{
        const dal__mysql_entry *first = &conn->queue[conn->i_next];
        dal__mysql_entry *entry = &conn->queue[conn->i_ahead];
        size_t n = n_on_the_way(conn);
        uint64_t size;

        if (conn->i_ahead == conn->n_queue || !may_travel(conn, first, entry))
                return NULL;
        /* Rows that come as they are asked for have nothing behind them. */
        if (n && (conn->ahead_bytes >= WINDOW || (entry[-1].request->flags & DAL_STMT_STREAM)))
                return NULL;
        entry->stmt = dal__mysql_stmt_find(conn, entry->request);
        if (!entry->stmt || !is_fit(entry->request, entry->stmt))
                return NULL;
        size = load(conn, entry->stmt, &entry->request->params);
        if (size == 0 || (n && conn->ahead_bytes + size > WINDOW))
                return NULL;
        entry->size = size;
        return entry;
}

static void skip_answers(const dal__mysql_conn *conn, bool skip)
{
        dal__mysql_flag flag = skip;

        (void)mysql_options(conn->mysql, MARIADB_OPT_SKIP_READ_RESPONSE, &flag);
}

/*
 * Each statement is a write of its own, and each such write of some bytes a packet for both sides and all between
 * them. While the socket may wait for more they are put together; what then still waits goes when it may no more.
 */
static void gather(const dal__mysql_conn *conn, bool wait)
{
        int at_once = !wait;

        if (conn->target->address)
                (void)setsockopt(mysql_get_socket(conn->mysql), IPPROTO_TCP, TCP_NODELAY, &at_once,
                                 sizeof at_once);
}

/* A full window counts as a round trip: what follows waits for answers. */
static void count_trip(dal__mysql_conn *conn, dal__mysql_entry *entry)
{
        entry->joined = n_on_the_way(conn) > 0 && conn->trip_bytes + entry->size <= WINDOW;
        conn->trip_bytes = entry->joined ? conn->trip_bytes + entry->size : entry->size;
}

dal_status dal__mysql_ahead_send(dal__mysql_conn *conn, dal_deadline deadline, dal_error *err)
{
        dal__mysql_entry *entry;
        MYSQL_STMT *handle = NULL;
        bool several;
        int rc = 0;

        if (conn->broken || conn->statements != DAL_STATEMENTS_PREPARED || conn->prepare_again ||
            (conn->current && !conn->finished))
                return DAL_OK;
        /* One more behind each answer would be a packet each. */
        if (n_on_the_way(conn) && conn->ahead_bytes > WINDOW / 2)
                return DAL_OK;
        if (n_on_the_way(conn) == 0) {
                dal_status s = prepare_run(conn, deadline, err);

                if (s)
                        return s;
                conn->i_ahead = conn->i_next;
                conn->ahead_bytes = 0;
        }
        entry = load_next(conn);
        if (!entry)
                return DAL_OK;
        several = conn->n_queue - conn->i_ahead > 1;
        dal__mysql_begin(conn, deadline, false);
        skip_answers(conn, true);
        if (several)
                gather(conn, true);
        for (; entry && rc == 0; entry = rc ? NULL : load_next(conn)) {
                handle = entry->stmt->handle;
                rc = mysql_stmt_execute(handle);
                count_trip(conn, entry);
                conn->ahead_bytes += entry->size;
                conn->i_ahead++;
        }
        if (several)
                gather(conn, false);
        skip_answers(conn, false);
        dal__mysql_end(conn);
        if (rc == 0)
                return DAL_OK;
        conn->broken = true; /* something was written in part: no answer can be told from another */
        (void)!dal__mysql_fail(conn, handle, err);
        err->conn_gone = true;
        return err->status;
}

/* ---- receiving ---- */

/* Reads an answer that nobody wants, rows and all. */
static int skip_one(dal__mysql_conn *conn, MYSQL_STMT *handle)
{
        int rc = dal__mysql_shortcut_run(conn, handle, conn->mysql->methods->db_read_execute_response);

        if (conn->mysql->status != MYSQL_STATUS_READY)
                (void)mysql_stmt_free_result(handle);
        return rc && mysql_stmt_errno(handle) >= ERROR_CLIENT_FIRST &&
               mysql_stmt_errno(handle) != DAL__MYSQL_ERROR_NEW_COLUMNS;
}

/* Reads the answers still on their way, so that the session can be used for something else. */
static void skip_rest(dal__mysql_conn *conn, dal_deadline deadline)
{
        dal_error ignored = DAL_ERROR_INIT;
        MYSQL_STMT *handle = NULL;
        int rc = 0;

        if (n_on_the_way(conn) && !conn->broken) {
                dal__mysql_begin(conn, deadline, true);
                for (size_t i = conn->i_next; i < conn->i_ahead && rc == 0; i++) {
                        handle = conn->queue[i].stmt->handle;
                        rc = skip_one(conn, handle);
                        dal__mysql_call_check(&conn->call);
                }
                dal__mysql_end(conn);
                if (rc) {
                        (void)!dal__mysql_fail(conn, handle, &ignored);
                        conn->broken = true;
                }
        }
        conn->i_ahead = conn->i_next;
        conn->ahead_bytes = 0;
        conn->ahead_stopped = false;
}

static bool is_stale(const dal_error *err)
{
        return err->vendor_code == DAL__MYSQL_ERROR_NEED_REPREPARE ||
               err->vendor_code == DAL__MYSQL_ERROR_UNKNOWN_STMT ||
               err->vendor_code == DAL__MYSQL_ERROR_NEW_COLUMNS;
}

/*
 * The prepared form was out of date: the statement has not run, or was a read. Of a run of reads all can be run again;
 * of independent requests this one is handed back, since those behind it may have written.
 */
DAL_COLD static dal_status run_stale(dal__mysql_conn *conn, const dal__mysql_entry *entry,
                                     dal_deadline deadline, dal_result *out, dal_error *err)
{
        if (!entry->request->independent) {
                out->joined = false;
                skip_rest(conn, deadline);
                return conn->broken ? err->status
                                    : dal__mysql_stmt_run(conn, entry->request, deadline, out, err);
        }
        (void)!dal_error_set(err, DAL_CLASS_NOT_EXECUTED, "the statement has to be prepared again first");
        err->not_sent = true;
        return err->status;
}

DAL_COLD static dal_status fail(dal__mysql_conn *conn, const dal__mysql_entry *entry, dal_deadline deadline,
                                dal_result *out, dal_error *err)
{
        dal__mysql_stmt *stmt = entry->stmt;

        if (conn->broken)
                return err->status;
        if (conn->mysql->status != MYSQL_STATUS_READY) {
                dal__mysql_begin(conn, deadline, true);
                (void)mysql_stmt_free_result(stmt->handle);
                dal__mysql_end(conn);
        }
        if (is_stale(err)) {
                stmt->generation = 0;
                return run_stale(conn, entry, deadline, out, err);
        }
        if (entry->request->independent)
                return err->status;
        skip_rest(conn, deadline);
        err->conn_gone |= conn->broken;
        dal__mysql_tx_after_failure(conn, stmt->text, deadline, err);
        /* With autocommit off, reads behind the one that ended the transaction have begun another. */
        conn->in_trans |= conn->tx_mode && (conn->mysql->server_status & SERVER_STATUS_IN_TRANS) != 0;
        return err->status;
}

int dal__mysql_ahead_readiness(void *state, bool *want_write_out)
{
        const dal__mysql_conn *conn = state;
        struct pollfd fd = {-1, POLLIN, 0};

        *want_write_out = false;
        if (conn->broken || conn->statements != DAL_STATEMENTS_PREPARED)
                return conn->broken ? -1 : -2;
        if (conn->i_next == conn->n_queue && !(conn->current && !conn->finished))
                return -1;
        /* Behind the answer to another request the next one may lie in the library already, where poll() can't see it. */
        if (n_on_the_way(conn) != 1 || (conn->current && !conn->finished))
                return -2;
        fd.fd = mysql_get_socket(conn->mysql);
        return poll(&fd, 1, 0) ? -1 : fd.fd;
}

dal_status dal__mysql_ahead_receive(dal__mysql_conn *conn, dal__mysql_entry *entry, dal_deadline deadline,
                                    dal_result *out, dal_error *err)
{
        bool stream = (entry->request->flags & DAL_STMT_STREAM) != 0;
        dal_error failure;
        dal_status s;
        int rc;

        conn->ahead_bytes -= entry->size;
        out->joined = entry->joined;
        dal__mysql_begin(conn, deadline, true);
        rc = dal__mysql_shortcut_run(conn, entry->stmt->handle,
                                     conn->mysql->methods->db_read_execute_response);
        s = dal__mysql_stmt_answer(conn, entry->stmt, rc, stream, deadline, &failure);
        conn->ahead_stopped = dal__mysql_was_stopped(conn) && n_on_the_way(conn) > 0;
        if (s)
                s = fail(conn, entry, deadline, out, &failure);
        else
                s = dal__mysql_stmt_describe(conn, entry->stmt, stream, out, &failure);
        if (s)
                *err = failure;
        return s;
}

#else

dal__mysql_kind dal__mysql_ahead_kind(const char *text)
{
        (void)text;
        return DAL__MYSQL_KIND_OTHER;
}

dal_status dal__mysql_ahead_send(dal__mysql_conn *conn, dal_deadline deadline, dal_error *err)
{
        (void)conn;
        (void)deadline;
        (void)err;
        return DAL_OK;
}

int dal__mysql_ahead_readiness(void *state, bool *want_write_out)
{
        (void)state;
        *want_write_out = false;
        return -2;
}

dal_status dal__mysql_ahead_receive(dal__mysql_conn *conn, dal__mysql_entry *entry, dal_deadline deadline,
                                    dal_result *out, dal_error *err)
{
        (void)conn;
        (void)entry;
        (void)deadline;
        (void)out;
        return dal_error_set(err, DAL_CLASS_INTERNAL, "nothing was sent ahead");
}

#endif
