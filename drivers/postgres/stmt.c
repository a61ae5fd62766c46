/* SPDX-License-Identifier: MIT */
/* Requests become messages: segments, pipelines and prepared statements. */

#include "postgres_impl.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include <dal/mem.h>

/*
 * The rows of a stream that libpq gives at a time. The number can't be changed while they come, and how wide the widest
 * will be nobody knows, so it is small: a chunk of 256 rows costs a tenth less for each, and 32 times the memory.
 */
#define CHUNK_ROWS 8

static bool has_statement(const dal_request *request)
{
        return request->kind == DAL_REQUEST_STMT || request->kind == DAL_REQUEST_TEXT;
}

/* ---- prepared statements -------------------------------------------------------------------------------------- */

static dal__postgres_prepared **slot_of(const dal_request *request)
{
        return request->stmt->state;
}

static void remember_name(dal__postgres_conn *conn, const char *name)
{
        if (conn->n_closing == conn->closing_room) {
                uint32_t room = conn->closing_room ? 2 * conn->closing_room : 2 * PG_CLOSE_AT;
                void *grown = dal_mem_resize(conn->closing, room, PG_NAME_SIZE);

                if (!grown)
                        return; /* the server keeps the statement until the session ends: harmless */
                conn->closing = grown;
                conn->closing_room = room;
        }
        memcpy(conn->closing[conn->n_closing++], name, PG_NAME_SIZE);
}

void dal__postgres_closed(dal__postgres_conn *conn, uint32_t n)
{
        memmove(conn->closing, conn->closing + n, (size_t)(conn->n_closing - n) * PG_NAME_SIZE);
        conn->n_closing -= n;
}

static void free_unused(dal__postgres_conn *conn, dal__postgres_prepared *prepared)
{
        if (prepared->owner || prepared->n_items)
                return;
        if (prepared->on_server)
                remember_name(conn, prepared->name);
        *prepared->link = prepared->next;
        if (prepared->next)
                prepared->next->link = prepared->link;
        PQclear(prepared->failure);
        dal_mem_free(prepared);
}

void dal__postgres_retire(dal__postgres_conn *conn, dal__postgres_prepared *prepared)
{
        if (prepared->owner)
                *prepared->owner = NULL;
        prepared->owner = NULL;
        free_unused(conn, prepared);
}

void dal__postgres_release(dal__postgres_conn *conn, dal__postgres_item *item, bool prepared_ok)
{
        dal__postgres_prepared *prepared = item->prepared;

        item->prepared = NULL;
        prepared->n_items--;
        if (item->ahead)
                prepared->on_server = prepared_ok;
        if (item->ahead && !prepared_ok)
                dal__postgres_retire(conn, prepared);
        else if (!prepared->owner)
                free_unused(conn, prepared);
}

void dal__postgres_stmt_close(void *state, dal_driver_stmt *stmt)
{
        dal__postgres_prepared **slot = stmt->state;

        if (*slot)
                dal__postgres_retire(state, *slot);
}

/*
 * The types that a statement was prepared with hold for its life. A value of another type gets it prepared anew,
 * under a new name; NULL fits every type and keeps what was declared before.
 */
static dal__postgres_prepared *prepare_anew(dal__postgres_conn *conn, const dal_request *request)
{
        dal__postgres_prepared **slot = slot_of(request), *old = *slot;
        size_t n = request->params.n_values;
        dal__postgres_prepared *prepared = dal_mem_alloc(sizeof *prepared + n * sizeof(Oid));

        if (!prepared)
                return NULL;
        for (size_t i = 0; i < n; i++) {
                const dal_value *value = &request->params.values[i];

                prepared->types[i] =
                        value->type == DAL_TYPE_NULL && old ? old->types[i] : dal__postgres_type_of(value);
        }
        if (old)
                dal__postgres_retire(conn, old);
        /* Unlike any other connection's, lest behind a pooler we run what another one has prepared. */
        snprintf(prepared->name, sizeof prepared->name, "dal_%x_%u", (unsigned)PQbackendPID(conn->pg),
                 ++conn->n_names);
        prepared->owner = slot;
        prepared->link = &conn->prepared;
        prepared->next = conn->prepared;
        if (prepared->next)
                prepared->next->link = &prepared->next;
        conn->prepared = prepared;
        *slot = prepared;
        return prepared;
}

/* ---- queue ---------------------------------------------------------------------------------------------------- */

static dal_status unqueued(dal_error *err, dal_status status)
{
        if (err)
                err->not_sent = true;
        return status;
}

static dal_status no_memory(dal_error *err)
{
        dal_error_set(err, DAL_CLASS_NO_MEMORY, "out of memory for a request to PostgreSQL");
        return unqueued(err, DAL_ERR_NOMEM);
}

DAL_COLD static dal_status no_mode(dal_error *err)
{
        dal_error_set(err, DAL_CLASS_UNSUPPORTED, "PostgreSQL has no transaction mode to switch");
        return unqueued(err, DAL_ERR_UNSUPPORTED);
}

DAL_COLD static bool grow_items(dal__postgres_conn *conn)
{
        uint32_t room = conn->items_room ? 2 * conn->items_room : 8;
        void *grown = dal_mem_resize(conn->items, room, sizeof *conn->items);

        if (!grown)
                return false;
        conn->items = grown;
        conn->items_room = room;
        return true;
}

/* The usual case, which needs no closer look: integers for a statement that was prepared for them. */
static bool all_integers(const dal__postgres_params *p, dal_params params, const Oid *types)
{
        for (size_t i = 0; i < params.n_values; i++)
                if (params.values[i].type != DAL_TYPE_INT64 || types[i] != PG_OID_INT8)
                        return false;
        return params.n_values <= p->room;
}

/* Checks the values; makes a server-side form that fits them, unless there is one, whose preparation travels along. */
DAL_NOINLINE static dal_status fit_statement(dal__postgres_conn *conn, const dal_request *request,
                                             dal__postgres_item *item, dal_error *err)
{
        dal__postgres_prepared *prepared = request->kind == DAL_REQUEST_STMT ? *slot_of(request) : NULL;
        bool fit = true;
        dal_status s = dal__postgres_params_check(&conn->params, request->params, request->text_size,
                                                  prepared ? prepared->types : NULL, &fit, err);

        if (s || request->kind == DAL_REQUEST_TEXT || conn->statements != DAL_STATEMENTS_PREPARED)
                return s;
        item->ahead = fit ? PG_AHEAD_NOTHING : PG_AHEAD_PREPARATION;
        if (!fit && !(prepared = prepare_anew(conn, request)))
                return no_memory(err);
        item->prepared = prepared;
        prepared->n_items++;
        return DAL_OK;
}

/* Finds the statement's server-side form, or makes one. */
static dal_status take_statement(dal__postgres_conn *conn, const dal_request *request,
                                 dal__postgres_item *item, dal_error *err)
{
        dal__postgres_prepared *prepared = request->kind == DAL_REQUEST_STMT ? *slot_of(request) : NULL;

        if (!prepared || !all_integers(&conn->params, request->params, prepared->types))
                return fit_statement(conn, request, item, err);
        item->prepared = prepared;
        prepared->n_items++;
        return DAL_OK;
}

dal_status dal__postgres_queue(void *state, const dal_request *request, dal_error *err)
{
        dal__postgres_conn *conn = state;
        dal__postgres_item *item;
        dal_status s = DAL_OK;

        if (conn->i_next == conn->n_items && !conn->open)
                conn->i_next = conn->i_sent = conn->i_skip = conn->n_flushed = conn->n_items = 0;
        if (conn->n_items == conn->items_room && !grow_items(conn))
                return no_memory(err);
        item = &conn->items[conn->n_items];
        memset(item, 0, sizeof *item);
        item->request = request;
        item->n_replies = 1;
        if (has_statement(request))
                s = take_statement(conn, request, item, err);
        else if (request->kind == DAL_REQUEST_MODE)
                s = no_mode(err);
        conn->n_items += s == DAL_OK;
        return s;
}

/* ---- segments ------------------------------------------------------------------------------------------------- */

/* The first word of a text, after the comments that lead it. */
static const char *first_word(const char *text)
{
        for (;;) {
                while (isspace((unsigned char)*text))
                        text++;
                if (text[0] == '/' && text[1] == '*') {
                        const char *end = strstr(text + 2, "*/");

                        if (!end)
                                return text;
                        text = end + 2;
                } else if (text[0] == '-' && text[1] == '-') {
                        text += strcspn(text, "\n");
                } else {
                        return text;
                }
        }
}

/* Wherever it stands: a false alarm costs a round trip, SELECT ... INTO makes a table. */
static bool mentions_into(const char *text)
{
        for (; *text; text++)
                if ((*text == 'i' || *text == 'I') && strncasecmp(text, "into", 4) == 0)
                        return true;
        return false;
}

static const char *text_of(const dal_request *request)
{
        return request->kind == DAL_REQUEST_STMT ? request->stmt->text : request->text;
}

static bool begins_with(const dal_request *request, const char *const *words, size_t n_words)
{
        const char *text = first_word(text_of(request));

        for (size_t i = 0; i < n_words; i++) {
                size_t size = strlen(words[i]);

                if (strncasecmp(text, words[i], size) == 0 && !isalnum((unsigned char)text[size]) &&
                    text[size] != '_')
                        return true;
        }
        return false;
}

bool dal__postgres_is_read(const dal_request *request)
{
        static const char *const words[] = {"SELECT", "VALUES", "TABLE", "SHOW"};

        if (!has_statement(request) ||
            (request->flags & (DAL_STMT_LOCK_UPDATE | DAL_STMT_LOCK_SHARE | DAL_STMT_WRITES)))
                return false; /* two locking reads in one transaction could get into a deadlock */
        return begins_with(request, words, sizeof words / sizeof words[0]) &&
               !mentions_into(first_word(text_of(request)));
}

/*
 * Says whether a segment ends behind item `i`, which does not end its flush. Outside a transaction one Sync is
 * one transaction for the server: a write there must have a Sync of its own, or the failure of a later
 * statement would undo what was reported as done. Only reads share one.
 *
 * Behind a pooler no more than one Sync is on its way: PgBouncer before 1.23 takes the server's session for idle behind
 * the first of several answers, so when a client leaves between two of them, the rest go to whoever is next.
 * Source: PgBouncer, pull request 1025 and its ends in 1034; seen with 1.18
 */
static bool ends_segment(const dal__postgres_conn *conn, uint32_t i)
{
        const dal_request *request = conn->items[i].request, *next;

        if (request->kind == DAL_REQUEST_SCRIPT || request->kind == DAL_REQUEST_COMMIT ||
            request->kind == DAL_REQUEST_ROLLBACK)
                return true;
        next = conn->items[i + 1].request;
        if (next->kind == DAL_REQUEST_SCRIPT || next->kind == DAL_REQUEST_BEGIN)
                return true;
        if (conn->in_tx ||
            (request->independent && next->independent && conn->statements != DAL_STATEMENTS_UNNAMED))
                return false;
        return !(dal__postgres_is_read(request) && dal__postgres_is_read(next));
}

/*
 * Says whether one Sync is enough for the statements of a segment. The server flushes its answers at each Sync, so
 * reads share one; where there is a write among independent statements each has its own: it commits there, and
 * what is skipped behind a failure must not run behind later ones.
 */
static bool shares_sync(const dal__postgres_conn *conn, uint32_t begin, uint32_t end)
{
        for (uint32_t i = begin; !conn->in_tx && i < end; i++)
                if (!dal__postgres_is_read(conn->items[i].request))
                        return false;
        return true;
}

/* ---- one plain statement --------------------------------------------------------------------------------------- */

/* The usual case, and the cheapest: no pipeline, the answer ends with ReadyForQuery. */
static bool is_plain(const dal__postgres_conn *conn, const dal__postgres_item *item)
{
        const dal_request *request = item->request;

        if (conn->n_closing >= PG_CLOSE_AT && request->kind != DAL_REQUEST_SCRIPT)
                return false;
        if (item->ahead || (request->kind == DAL_REQUEST_COMMIT && request->text))
                return false;
        return request->kind != DAL_REQUEST_LIMITS || dal__postgres_n_commands(conn, request) > 0;
}

static int send_prepared(dal__postgres_conn *conn, const dal_request *request,
                         const dal__postgres_prepared *prepared)
{
        dal__postgres_params *p = &conn->params;

        dal__postgres_params_encode(p, request->params, prepared->types);
        return PQsendQueryPrepared(conn->pg, prepared->name, (int)request->params.n_values, p->values,
                                   p->lengths, p->formats, PG_BINARY);
}

/* By the unnamed statement of the protocol. */
static int send_once(dal__postgres_conn *conn, const dal_request *request)
{
        dal__postgres_params *p = &conn->params;

        if (p->as_text)
                dal__postgres_params_encode_text(p, request->params);
        else
                dal__postgres_params_encode(p, request->params, NULL);
        return PQsendQueryParams(conn->pg, text_of(request), (int)request->params.n_values, p->types,
                                 p->values, p->lengths, p->formats, p->as_text ? PG_TEXT : PG_BINARY);
}

static int send_plain(dal__postgres_conn *conn, const dal__postgres_item *item)
{
        const dal_request *request = item->request;
        char text[PG_CONTROL_SIZE];
        int size = 0;

        switch (request->kind) {
        case DAL_REQUEST_STMT:
                return item->prepared ? send_prepared(conn, request, item->prepared)
                                      : send_once(conn, request);
        case DAL_REQUEST_TEXT:
                return send_once(conn, request);
        case DAL_REQUEST_SCRIPT:
                return PQsendQuery(conn->pg, request->text);
        default:
                for (uint32_t i = 0; i < dal__postgres_n_commands(conn, request); i++) {
                        if (i > 0)
                                text[size++] = ';';
                        size += dal__postgres_put_command(text + size, sizeof text - (size_t)size, conn,
                                                          request, i);
                }
                return PQsendQuery(conn->pg, text);
        }
}

/* ---- pipelines -------------------------------------------------------------------------------------------------- */

static bool pipeline_statement(dal__postgres_conn *conn, dal__postgres_item *item)
{
        const dal_request *request = item->request;

        if (item->ahead) {
                if (!PQsendPrepare(conn->pg, item->prepared->name, request->stmt->text,
                                   (int)request->params.n_values, item->prepared->types))
                        return false;
                item->n_replies = 2;
        }
        return send_prepared(conn, request, item->prepared);
}

static bool pipeline_once(dal__postgres_conn *conn, dal__postgres_item *item)
{
        char text[PG_CONTROL_SIZE];

        if (item->ahead) {
                dal__postgres_put_limits(text, sizeof text, conn);
                if (!PQsendQueryParams(conn->pg, text, 0, NULL, NULL, NULL, NULL, PG_BINARY))
                        return false;
                item->n_replies = 2;
        }
        return send_once(conn, item->request);
}

static bool pipeline_item(dal__postgres_conn *conn, dal__postgres_item *item)
{
        const dal_request *request = item->request;
        char text[PG_CONTROL_SIZE];

        if (item->prepared)
                return pipeline_statement(conn, item);
        if (has_statement(request))
                return pipeline_once(conn, item);
        item->n_replies = dal__postgres_n_commands(conn, request);
        for (uint32_t i = 0; i < item->n_replies; i++) {
                dal__postgres_put_command(text, sizeof text, conn, request, i);
                if (!PQsendQueryParams(conn->pg, text, 0, NULL, NULL, NULL, NULL, PG_BINARY))
                        return false;
        }
        return true;
}

/* Behind a Sync of its own: a name that the server doesn't know must not spoil the work before it. */
static bool pipeline_closing(dal__postgres_conn *conn)
{
        for (uint32_t i = 0; i < conn->n_closing; i++) {
#ifdef LIBPQ_HAS_CLOSE_PREPARED
                if (!PQsendClosePrepared(conn->pg, conn->closing[i]))
                        return false;
#else
                char text[16 + PG_NAME_SIZE];

                snprintf(text, sizeof text, "DEALLOCATE %s", conn->closing[i]);
                if (!PQsendQueryParams(conn->pg, text, 0, NULL, NULL, NULL, NULL, PG_BINARY))
                        return false;
#endif
        }
        conn->n_trailing = conn->n_closing;
        return PQpipelineSync(conn->pg);
}

/* The last Sync sends everything off; those before it need not. */
static bool put_sync(dal__postgres_conn *conn, bool last)
{
#ifdef LIBPQ_HAS_SEND_PIPELINE_SYNC
        if (!last)
                return PQsendPipelineSync(conn->pg);
#else
        (void)last;
#endif
        return PQpipelineSync(conn->pg);
}

static bool send_pipeline(dal__postgres_conn *conn, uint32_t begin, uint32_t end, bool one_sync)
{
        dal_request_kind last = conn->items[end - 1].request->kind;
        bool ends_idle = !conn->in_tx || last == DAL_REQUEST_COMMIT || last == DAL_REQUEST_ROLLBACK;

        if (!PQenterPipelineMode(conn->pg))
                return false;
        conn->pipelined = true;
        for (uint32_t i = begin; i < end; i++) {
                conn->items[i].syncs = !one_sync || i + 1 == end;
                if (!pipeline_item(conn, &conn->items[i]) ||
                    (conn->items[i].syncs && !put_sync(conn, i + 1 == end)))
                        return false;
        }
        return conn->n_closing < PG_CLOSE_AT || !ends_idle || pipeline_closing(conn);
}

/* ---- flush ------------------------------------------------------------------------------------------------------ */

bool dal__postgres_streams(const dal_request *request)
{
        uint32_t flags = request->flags;

        if (!has_statement(request))
                return false;
        if (request->kind == DAL_REQUEST_STMT)
                flags |= request->stmt->flags;
        return flags & DAL_STMT_STREAM;
}

void dal__postgres_set_stream(dal__postgres_conn *conn)
{
#ifdef LIBPQ_HAS_CHUNK_MODE
        bool wide = conn->wide_rows;

        conn->wide_rows = false;
        if (!wide && PQsetChunkedRowsMode(conn->pg, CHUNK_ROWS))
                return;
#endif
        PQsetSingleRowMode(conn->pg);
}

/*
 * Says whether a statement may stand behind another one in one transaction. Some may not (VACUUM, CREATE
 * DATABASE, CALL of a procedure that commits): only those that surely may have the limits travel ahead of
 * them. The others are limited by the caller's deadline alone.
 */
static bool may_follow(const dal_request *request)
{
        static const char *const words[] = {"SELECT", "VALUES", "TABLE",  "WITH",
                                            "INSERT", "UPDATE", "DELETE", "MERGE"};

        return has_statement(request) && begins_with(request, words, sizeof words / sizeof words[0]);
}

/* What is known about the segment that [i_sent, end) make. */
static void start_segment(dal__postgres_conn *conn, uint32_t end, bool begins, bool read_only)
{
        conn->in_tx = begins || conn->state != PQTRANS_IDLE;
        if (begins || !conn->in_tx)
                conn->tx_read_only = read_only;
        atomic_store_explicit(&conn->cancel_sent, false, memory_order_relaxed);
        conn->n_trailing = 0;
        conn->i_sent = end;
        conn->open = conn->quiet = true;
}

dal_status dal__postgres_send_segment(dal__postgres_conn *conn, dal_deadline deadline, dal_error *err)
{
        uint32_t begin = conn->i_sent, end = begin;
        dal__postgres_item *first = &conn->items[begin];
        bool begins = first->request->kind == DAL_REQUEST_BEGIN, one_sync;

        conn->in_tx = begins || conn->state != PQTRANS_IDLE;
        while (!conn->items[end].ends_flush && !ends_segment(conn, end))
                end++;
        end++;
        one_sync = end == begin + 1 || shares_sync(conn, begin, end);
        if (!conn->in_tx && (conn->statement_timeout_ms || conn->lock_timeout_ms))
                for (uint32_t i = begin; i < (one_sync ? begin + 1 : end); i++)
                        if (may_follow(conn->items[i].request))
                                conn->items[i].ahead = PG_AHEAD_LIMITS;
        start_segment(conn, end, begins, begins && first->request->read_only);
        if (end == begin + 1 && is_plain(conn, first)) {
                /* A failure here means that it did not leave whole: the server can't have completed it. */
                if (!send_plain(conn, first))
                        return dal__postgres_lost(conn, true, err);
        } else if (!send_pipeline(conn, begin, end, one_sync)) {
                return dal__postgres_lost(conn, false, err);
        }
        /* Before anything of the answer is looked at. */
        if (first->n_replies == 1 && dal__postgres_streams(first->request))
                dal__postgres_set_stream(conn);
        return dal__postgres_drain_output(conn, deadline, err);
}

dal_status dal__postgres_flush(void *state, dal_deadline deadline, dal_error *err)
{
        dal__postgres_conn *conn = state;
        dal__postgres_item *last;
        dal_status s;

        if (conn->n_flushed == conn->n_items)
                return DAL_OK;
        if (conn->broken)
                return dal__postgres_lost(conn, true, err);
        if (dal__postgres_has_rows(conn) && (s = dal__postgres_discard(conn, deadline, err)))
                return s;
        last = &conn->items[conn->n_items - 1];
        last->ends_flush = true;
        conn->n_flushed = conn->n_items;
        if (conn->i_next < conn->i_sent)
                return DAL_OK; /* goes out when the answers to the flush before it were taken */
        /* The usual case, and the cheapest way through it: one statement that the server knows. */
        if (conn->n_items == conn->i_sent + 1 && last->prepared && is_plain(conn, last)) {
                start_segment(conn, conn->n_items, false, false);
                if (!send_prepared(conn, last->request, last->prepared))
                        return dal__postgres_lost(conn, true, err);
                if ((last->request->flags | last->request->stmt->flags) & DAL_STMT_STREAM)
                        dal__postgres_set_stream(conn);
                return PQflush(conn->pg) > 0 ? dal__postgres_drain_output(conn, deadline, err) : DAL_OK;
        }
        return dal__postgres_send_segment(conn, deadline, err);
}
