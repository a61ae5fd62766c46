/* SPDX-License-Identifier: MIT */
/* The server's own life: scripts, faults, waiting, journal and counters. */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "fake_impl.h"

dal_fake_server *dal_fake_new(void)
{
        pthread_condattr_t attr;
        dal_fake_server *server = dal_mem_alloc(sizeof *server);
        bool ready;

        if (!server)
                return NULL;
        server->gate = -1;
        if (pthread_mutex_init(&server->lock, NULL) != 0)
                goto no_lock;
        if (pthread_condattr_init(&attr) != 0)
                goto no_condition;
        ready = pthread_condattr_setclock(&attr, CLOCK_MONOTONIC) == 0 &&
                pthread_cond_init(&server->changed, &attr) == 0;
        pthread_condattr_destroy(&attr);
        if (ready)
                return server;
no_condition:
        pthread_mutex_destroy(&server->lock);
no_lock:
        dal_mem_free(server);
        return NULL;
}

void dal_fake_free(dal_fake_server *server)
{
        fake_script *script, *next;

        if (!server)
                return;
        for (script = server->scripts; script; script = next) {
                next = script->next;
                dal_mem_free(script->name);
                dal_mem_free(script);
        }
        for (size_t i = 0; i < server->n_rows; i++) {
                dal__fake_tuple_drop_locked(server->rows[i]->now);
                dal__fake_tuple_drop_locked(server->rows[i]->committed);
                dal_mem_free(server->rows[i]->table);
                dal_mem_free(server->rows[i]);
        }
        dal_mem_free(server->rows);
        for (size_t i = 0; i < server->n_lines; i++)
                dal_mem_free(server->lines[i].text);
        dal_mem_free(server->lines);
        pthread_cond_destroy(&server->changed);
        pthread_mutex_destroy(&server->lock);
        dal_mem_free(server);
}

void dal_fake_url(const dal_fake_server *server, char out[DAL_FAKE_URL_SIZE])
{
        snprintf(out, DAL_FAKE_URL_SIZE, "fake:?fake=0x%" PRIxPTR, (uintptr_t)server);
}

void dal_fake_url_modal(const dal_fake_server *server, char out[DAL_FAKE_URL_SIZE])
{
        snprintf(out, DAL_FAKE_URL_SIZE, "fakemodal:?fake=0x%" PRIxPTR, (uintptr_t)server);
}

void dal_fake_set_dialect(dal_fake_server *server, dal_dialect dialect)
{
        pthread_mutex_lock(&server->lock);
        server->dialect = dialect;
        pthread_mutex_unlock(&server->lock);
}

void dal_fake_set_identity(dal_fake_server *server, uint64_t identity)
{
        pthread_mutex_lock(&server->lock);
        server->identity = identity;
        pthread_mutex_unlock(&server->lock);
}

void dal_fake_set_max_prepared(dal_fake_server *server, uint32_t max_prepared)
{
        pthread_mutex_lock(&server->lock);
        server->max_prepared = max_prepared;
        pthread_mutex_unlock(&server->lock);
}

void dal_fake_set_gate(dal_fake_server *server, int fd)
{
        pthread_mutex_lock(&server->lock);
        server->gate = fd;
        pthread_mutex_unlock(&server->lock);
}

static void kill_locked(fake_conn *session)
{
        dal__fake_journal_locked(session->server, session->number, "KILL", DAL_CLASS_NONE);
        session->killed = true;
        dal__fake_session_end_locked(session);
}

void dal_fake_set_down(dal_fake_server *server, bool down)
{
        pthread_mutex_lock(&server->lock);
        server->down = down;
        for (fake_conn *s = server->sessions; down && s; s = s->next) {
                if (!s->killed)
                        kill_locked(s);
        }
        pthread_cond_broadcast(&server->changed);
        pthread_mutex_unlock(&server->lock);
}

void dal_fake_kill(dal_fake_server *server, uint64_t session_id)
{
        pthread_mutex_lock(&server->lock);
        for (fake_conn *s = server->sessions; s; s = s->next) {
                if (!s->killed && (session_id == 0 || s->number == session_id))
                        kill_locked(s);
        }
        pthread_cond_broadcast(&server->changed);
        pthread_mutex_unlock(&server->lock);
}

void dal__fake_session_end_locked(fake_conn *conn)
{
        dal__fake_store_rollback_locked(conn, 0);
        if (conn->in_tx)
                conn->server->stats.n_rollbacks++;
        conn->in_tx = false;
        conn->failed = false;
        conn->n_savepoints = 0;
        pthread_cond_broadcast(&conn->server->changed);
}

/* --- Scripts ------------------------------------------------------------------------------------------- */

bool dal_fake_on(dal_fake_server *server, const char *name, dal_fake_handler *handler, void *arg)
{
        fake_script *script = dal_mem_alloc(sizeof *script);

        if (!script)
                return false;
        script->size = strlen(name);
        script->name = dal_mem_strdup(name, script->size);
        if (!script->name) {
                dal_mem_free(script);
                return false;
        }
        if (script->size > 0 && name[script->size - 1] == '*') {
                script->size--;
                script->prefix = true;
        }
        script->handler = handler;
        script->arg = arg;
        pthread_mutex_lock(&server->lock);
        script->next = server->scripts;
        server->scripts = script;
        pthread_mutex_unlock(&server->lock);
        return true;
}

dal_fake_handler *dal__fake_script_locked(dal_fake_server *server, const char *name, void **arg_out)
{
        size_t size = strlen(name);

        for (const fake_script *s = server->scripts; s; s = s->next) {
                if (s->prefix ? size < s->size : size != s->size)
                        continue;
                if (memcmp(s->name, name, s->size) == 0) {
                        *arg_out = s->arg;
                        return s->handler;
                }
        }
        return NULL;
}

/* --- Faults -------------------------------------------------------------------------------------------- */

bool dal_fake_inject(dal_fake_server *server, const dal_fake_fault *fault)
{
        bool added = false;

        pthread_mutex_lock(&server->lock);
        if (server->n_faults < FAKE_MAX_FAULTS) {
                fake_pending_fault *f = &server->faults[server->n_faults++];
                memset(f, 0, sizeof *f);
                f->fault = *fault;
                f->fault.match = NULL;
                if (fault->match)
                        snprintf(f->match, sizeof f->match, "%s", fault->match);
                if (f->fault.times == 0)
                        f->fault.times = 1;
                added = true;
        }
        pthread_mutex_unlock(&server->lock);
        return added;
}

void dal_fake_clear_faults(dal_fake_server *server)
{
        pthread_mutex_lock(&server->lock);
        server->n_faults = 0;
        pthread_mutex_unlock(&server->lock);
}

bool dal__fake_fault_locked(dal_fake_server *server, dal_fake_point at, const char *line, dal_fake_fault *out)
{
        for (uint32_t i = 0; i < server->n_faults; i++) {
                fake_pending_fault *f = &server->faults[i];
                if (f->fault.at != at || strncmp(line, f->match, strlen(f->match)) != 0)
                        continue;
                if (f->fault.skip > 0) {
                        f->fault.skip--;
                        continue;
                }
                *out = f->fault;
                server->stats.n_faults++;
                if (f->fault.times != UINT32_MAX && --f->fault.times == 0) {
                        server->n_faults--;
                        memmove(f, f + 1, (server->n_faults - i) * sizeof *f);
                }
                return true;
        }
        return false;
}

dal_status dal__fake_fault(fake_conn *conn, dal_fake_point at, const char *line, dal_deadline deadline,
                           bool *executed_out, dal_error *err)
{
        dal_fake_server *server = conn->server;
        dal_fake_fault fault;
        dal_status s = DAL_OK;
        bool found;

        *executed_out = false;
        pthread_mutex_lock(&server->lock);
        found = dal__fake_fault_locked(server, at, line, &fault);
        if (found && fault.hang)
                s = dal__fake_wait_locked(conn, DAL_FOREVER, false, deadline, err);
        else if (found && fault.delay_ms > 0)
                s = dal__fake_wait_locked(conn, dal_clock_after_ms(fault.delay_ms), false, deadline, err);
        pthread_mutex_unlock(&server->lock);
        if (found && s != DAL_OK)
                *executed_out = fault.executed;
        if (s != DAL_OK || !found || fault.error_class == DAL_CLASS_NONE)
                return s;
        *executed_out = fault.executed;
        return dal__fake_error_of_fault(conn, &fault, err);
}

/* What ends a wait before its time; DAL_CLASS_NONE when nothing does. */
static dal_error_class wait_broken_locked(fake_conn *conn, dal_deadline now, dal_deadline deadline)
{
        if (conn->killed)
                return DAL_CLASS_CONNECTION_LOST;
        if (conn->cancel) {
                conn->cancel = false;
                return DAL_CLASS_CANCELED;
        }
        if (now >= deadline)
                return DAL_CLASS_DEADLINE;
        if (now >= conn->statement_end)
                return DAL_CLASS_STATEMENT_TIMEOUT;
        return DAL_CLASS_NONE;
}

dal_status dal__fake_wait_locked(fake_conn *conn, dal_deadline until, bool signal, dal_deadline deadline,
                                 dal_error *err)
{
        dal_fake_server *server = conn->server;

        for (bool first = true;; first = false) {
                int64_t now = dal_clock_now();
                dal_error_class broken = wait_broken_locked(conn, now, deadline);
                dal_deadline end = dal_clock_earlier(dal_clock_earlier(until, deadline), conn->statement_end);
                struct timespec ts;

                if (broken != DAL_CLASS_NONE)
                        return dal__fake_error(conn, err, broken, NULL);
                if (now >= until || (signal && !first))
                        return DAL_OK;
                if (end == DAL_FOREVER) {
                        pthread_cond_wait(&server->changed, &server->lock);
                        continue;
                }
                ts.tv_sec = (time_t)(end / 1000000000);
                ts.tv_nsec = (long)(end % 1000000000);
                pthread_cond_timedwait(&server->changed, &server->lock, &ts);
        }
}

/* --- Journal and counters ------------------------------------------------------------------------------ */

void dal__fake_journal_locked(dal_fake_server *server, uint64_t session, const char *line,
                              dal_error_class outcome)
{
        const char *class_name = outcome == DAL_CLASS_NONE ? "" : dal_error_class_name(outcome);
        size_t size = strlen(line) + strlen(class_name) + 4;
        char *text;

        if (server->n_lines == server->lines_room) {
                size_t room = server->lines_room ? server->lines_room * 2 : 64;
                fake_line *lines = dal_mem_resize(server->lines, room, sizeof *lines);
                if (!lines)
                        return;
                server->lines = lines;
                server->lines_room = room;
        }
        text = dal_mem_alloc(size);
        if (!text)
                return;
        snprintf(text, size, "%s%s%s", line, outcome == DAL_CLASS_NONE ? "" : " !", class_name);
        server->lines[server->n_lines++] = (fake_line){session, text};
}

size_t dal_fake_journal(dal_fake_server *server, uint64_t session_id, char *out, size_t out_size)
{
        size_t size = 0;

        if (out_size > 0)
                out[0] = '\0';
        pthread_mutex_lock(&server->lock);
        for (size_t i = 0; i < server->n_lines; i++) {
                if (session_id != 0 && server->lines[i].session != session_id)
                        continue;
                if (size < out_size)
                        snprintf(out + size, out_size - size, "%s\n", server->lines[i].text);
                size += strlen(server->lines[i].text) + 1;
        }
        pthread_mutex_unlock(&server->lock);
        return size;
}

uint32_t dal_fake_journal_count(dal_fake_server *server, const char *prefix)
{
        uint32_t n = 0;

        pthread_mutex_lock(&server->lock);
        for (size_t i = 0; i < server->n_lines; i++)
                n += strncmp(server->lines[i].text, prefix, strlen(prefix)) == 0;
        pthread_mutex_unlock(&server->lock);
        return n;
}

void dal_fake_journal_clear(dal_fake_server *server)
{
        pthread_mutex_lock(&server->lock);
        for (size_t i = 0; i < server->n_lines; i++)
                dal_mem_free(server->lines[i].text);
        server->n_lines = 0;
        pthread_mutex_unlock(&server->lock);
}

dal_fake_stats dal_fake_get_stats(dal_fake_server *server)
{
        dal_fake_stats stats;

        pthread_mutex_lock(&server->lock);
        stats = server->stats;
        for (const fake_conn *s = server->sessions; s; s = s->next) {
                stats.n_live += !s->killed;
                stats.n_in_tx += s->in_tx;
        }
        pthread_mutex_unlock(&server->lock);
        return stats;
}
