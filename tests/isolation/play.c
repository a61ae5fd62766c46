/* SPDX-License-Identifier: MIT */
/*
 * The player. Each transaction has a thread and a connection of its own; the test's thread hands out the
 * steps in the script's order. When a step does not end, the server is asked whether its session waits for a
 * lock: if so the script goes on, and what this transaction should do next is kept until it can. So nothing
 * depends on how fast anybody is.
 */

#include "isolation.h"

#include <pthread.h>
#include <time.h>

#define STEP_MS 20000 /* no step and no wait may take so long */

static const dal_stmt get_value = DAL_STMT("iso_get", "SELECT value FROM iso_item WHERE id = ?");
static const dal_stmt get_version = DAL_STMT("iso_get_version", "SELECT version FROM iso_item WHERE id = ?");
static const dal_stmt get_locked =
        DAL_STMT("iso_get_locked", "SELECT value FROM iso_item WHERE id = ?", .flags = DAL_STMT_LOCK_UPDATE);
static const dal_stmt count_equal =
        DAL_STMT("iso_count_equal", "SELECT COUNT(*) FROM iso_item WHERE value = ?");
static const dal_stmt count_multiples =
        DAL_STMT("iso_count_multiples", "SELECT COUNT(*) FROM iso_item WHERE value % ? = 0");
static const dal_stmt set_value =
        DAL_STMT("iso_set", "UPDATE iso_item SET value = ?, version = version + 1 WHERE id = ?");
static const dal_stmt set_versioned =
        DAL_STMT("iso_set_versioned",
                 "UPDATE iso_item SET value = ?, version = version + 1 WHERE id = ? AND version = ?");
static const dal_stmt set_equal =
        DAL_STMT("iso_set_equal", "UPDATE iso_item SET value = ?, version = version + 1 WHERE value = ?");
static const dal_stmt raise_all =
        DAL_STMT("iso_raise_all", "UPDATE iso_item SET value = value + ?, version = version + 1");
static const dal_stmt add = DAL_STMT("iso_add", "INSERT INTO iso_item (id, value, version) VALUES (?, ?, 1)");
static const dal_stmt remove_equal = DAL_STMT("iso_remove_equal", "DELETE FROM iso_item WHERE value = ?");

struct play;

/* A transaction. What stands above `lock` in the play's order belongs to the test's thread. */
struct actor {
        struct play *play;
        int number;
        const struct iso_step *todo[ISO_MAX_STEPS];
        size_t n_todo, n_taken;
        uint32_t refused_at; /* the play's n_done when its last step ended */
        pthread_t thread;
        dal_conn *conn;
        bool read_only;
        bool begun, ended, waited;
        bool refused;               /* the step was refused a lock and must be taken again */
        dal_error failure;          /* what ended it, if not the script */
        const struct iso_step *now; /* guarded by the play's lock, as everything is while it is set */
};

struct play {
        const struct iso_engine *engine;
        dal_isolation level;
        struct actor actors[ISO_MAX_ACTORS];
        int n_actors;
        struct iso_seen seen;
        pthread_mutex_t lock;
        pthread_cond_t changed;
        uint32_t n_done; /* steps */
        bool quit;
};

/* --- An actor's thread --------------------------------------------------------------------------------- */

static dal_status read_number(struct actor *a, const dal_stmt *stmt, int64_t arg, int64_t *out,
                              dal_error *err)
{
        dal_rows *rows = NULL;
        bool found = false;
        dal_status s = dal_conn_query(a->conn, stmt, DAL_PARAMS(dal_int64(arg)), dal_clock_after_ms(STEP_MS),
                                      &rows, err);

        *out = ISO_NO_ROW;
        if (s == DAL_OK)
                s = dal_rows_next(rows, &found, err);
        if (s == DAL_OK && found)
                s = dal_rows_int64(rows, 0, out, err);
        dal_rows_close(rows);
        return s;
}

static dal_status write_rows(struct actor *a, const dal_stmt *stmt, dal_params params, int64_t *n_rows,
                             dal_error *err)
{
        return dal_conn_exec(a->conn, stmt, params, dal_clock_after_ms(STEP_MS), n_rows, err);
}

/* As dal_tx_exec_versioned() does it. */
static dal_status write_versioned(struct actor *a, const struct iso_step *step, dal_error *err)
{
        int64_t n_rows = 0;
        dal_status s = write_rows(
                a, &set_versioned,
                DAL_PARAMS(dal_int64(step->b), dal_int64(step->a), dal_int64(a->play->seen.got[step->from])),
                &n_rows, err);

        if (s || n_rows == 1)
                return s;
        return dal_error_set(err, DAL_CLASS_STALE_ROW, "%s matched no row", set_versioned.name);
}

static dal_status take(struct actor *a, const struct iso_step *step, dal_error *err)
{
        int64_t *got = &a->play->seen.got[step->slot], unused;
        int64_t base = step->from ? a->play->seen.got[step->from] : 0;

        if (step->slot == 0)
                got = &unused;
        switch (step->op) {
        case ISO_GET:
                return read_number(a, &get_value, step->a, got, err);
        case ISO_GET_VERSION:
                return read_number(a, &get_version, step->a, got, err);
        case ISO_GET_LOCKED:
                return read_number(a, &get_locked, step->a, got, err);
        case ISO_COUNT_EQUAL:
                return read_number(a, &count_equal, step->a, got, err);
        case ISO_COUNT_MULTIPLES:
                return read_number(a, &count_multiples, step->a, got, err);
        case ISO_SET:
                return write_rows(a, &set_value, DAL_PARAMS(dal_int64(base + step->b), dal_int64(step->a)),
                                  NULL, err);
        case ISO_SET_VERSIONED:
                return write_versioned(a, step, err);
        case ISO_SET_EQUAL:
                return write_rows(a, &set_equal, DAL_PARAMS(dal_int64(step->b), dal_int64(step->a)), NULL,
                                  err);
        case ISO_RAISE_ALL:
                return write_rows(a, &raise_all, DAL_PARAMS(dal_int64(step->a)), NULL, err);
        case ISO_ADD:
                return write_rows(a, &add, DAL_PARAMS(dal_int64(step->a), dal_int64(step->b)), NULL, err);
        case ISO_REMOVE_EQUAL:
                return write_rows(a, &remove_equal, DAL_PARAMS(dal_int64(step->a)), got, err);
        case ISO_COMMIT:
                a->ended = true;
                return dal_conn_commit(a->conn, dal_clock_after_ms(STEP_MS), err);
        case ISO_ROLLBACK:
                a->ended = true;
                return dal_conn_rollback(a->conn, dal_clock_after_ms(STEP_MS), err);
        case ISO_END_OF_SCRIPT:
                break;
        }
        return DAL_OK;
}

static void take_step(struct actor *a, const struct iso_step *step)
{
        dal_error err = DAL_ERROR_INIT;
        dal_status s = DAL_OK;

        a->refused = false;
        if (a->ended)
                return;
        if (!a->begun)
                s = dal_conn_begin(a->conn, a->play->level, a->read_only, dal_clock_after_ms(STEP_MS), &err);
        a->begun = true;
        if (s == DAL_OK)
                s = take(a, step, &err);
        if (s == DAL_OK) {
                a->play->seen.committed[a->number] = step->op == ISO_COMMIT;
                return;
        }
        dal_conn_rollback(a->conn, dal_clock_after_ms(STEP_MS), NULL);
        if (a->play->engine->refuses && err.error_class == DAL_CLASS_LOCK_TIMEOUT) {
                a->refused = true; /* it was the transaction's first step: it begins anew */
                a->begun = false;
                return;
        }
        a->ended = true;
        a->failure = err;
}

static void *act(void *arg)
{
        struct actor *a = arg;
        struct play *p = a->play;

        pthread_mutex_lock(&p->lock);
        for (;;) {
                while (!a->now && !p->quit)
                        pthread_cond_wait(&p->changed, &p->lock);
                if (!a->now)
                        break;
                pthread_mutex_unlock(&p->lock);
                take_step(a, a->now);
                pthread_mutex_lock(&p->lock);
                a->now = NULL;
                p->n_done++;
                a->refused_at = p->n_done;
                pthread_cond_broadcast(&p->changed);
        }
        pthread_mutex_unlock(&p->lock);
        return NULL;
}

/* --- The test's thread --------------------------------------------------------------------------------- */

struct counts {
        uint32_t n_done;
        int n_busy;  /* at a step */
        int n_alive; /* not at a step, and not ended */
        int busy[ISO_MAX_ACTORS];
};

static struct counts count(const struct play *p)
{
        struct counts n;

        memset(&n, 0, sizeof n);
        n.n_done = p->n_done;
        for (int i = 0; i < p->n_actors; i++) {
                if (p->actors[i].now)
                        n.busy[n.n_busy++] = i;
                else
                        n.n_alive += !p->actors[i].ended && !p->actors[i].refused;
        }
        return n;
}

/*
 * Starts what can be started: the next step of everybody who is not at one. Counts under the same lock, or a step that
 * ends in between would look like the end of all.
 */
static struct counts start_steps(struct play *p)
{
        struct counts n;

        pthread_mutex_lock(&p->lock);
        for (int i = 0; i < p->n_actors; i++) {
                struct actor *a = &p->actors[i];

                if (a->now)
                        continue;
                if (a->refused) {
                        a->waited = true;
                        if (a->refused_at == p->n_done)
                                continue; /* nobody has moved since: it would be refused again */
                        a->n_taken--;
                }
                if (a->n_taken < a->n_todo)
                        a->now = a->todo[a->n_taken++];
        }
        n = count(p);
        pthread_cond_broadcast(&p->changed);
        pthread_mutex_unlock(&p->lock);
        return n;
}

/* Waits a moment for any step to end; false if none did. */
static bool glance(struct play *p, uint32_t n_done, uint32_t ms)
{
        dal_deadline end = dal_clock_after_ms(ms);
        struct timespec ts = {(time_t)(end / 1000000000), (long)(end % 1000000000)};
        bool done;
        int rc = 0;

        pthread_mutex_lock(&p->lock);
        while (p->n_done == n_done && rc == 0)
                rc = pthread_cond_timedwait(&p->changed, &p->lock, &ts);
        done = p->n_done != n_done;
        pthread_mutex_unlock(&p->lock);
        return done;
}

/*
 * Says whether everybody who is at a step waits for a lock, by the server's word, and nobody moved
 * meanwhile.
 */
static bool all_wait(struct conf *c, struct play *p, const struct counts *n)
{
        bool moved;

        for (int i = 0; i < n->n_busy; i++) {
                const dal_conn *conn = p->actors[n->busy[i]].conn;

                if (!p->engine->is_waiting(c, c->conn, dal_conn_info(conn)->session_id))
                        return false;
        }
        pthread_mutex_lock(&p->lock);
        moved = p->n_done != n->n_done;
        pthread_mutex_unlock(&p->lock);
        return !moved;
}

/* Goes on until nothing moves without a further step of the script; false if it takes too long. */
static bool settle(struct conf *c, struct play *p)
{
        dal_deadline end = dal_clock_after_ms(STEP_MS);
        uint32_t look_ms = p->engine->look_ms;

        /*
         * The time between looks grows, so that two runs on one server can't keep its view old for each
         * other.
         */
        for (; !dal_clock_passed(end); look_ms += look_ms / 4) {
                struct counts n = start_steps(p);

                if (n.n_busy == 0)
                        return true;
                if (glance(p, n.n_done, look_ms) || p->engine->refuses || !all_wait(c, p, &n))
                        continue;
                for (int i = 0; i < n.n_busy; i++)
                        p->actors[n.busy[i]].waited = true;
                /* When nobody is left to go on, they wait for each other: the engine ends that by itself. */
                if (n.n_alive > 0)
                        return true;
        }
        return false;
}

static bool is_write(enum iso_op op)
{
        return op >= ISO_SET || op == ISO_GET_LOCKED;
}

static void begin_play(struct conf *c, struct play *p, const struct iso_script *script, const char *setup)
{
        dal_conn_options options = DAL_CONN_OPTIONS_INIT;
        pthread_condattr_t attr;

        pthread_mutex_init(&p->lock, NULL);
        pthread_condattr_init(&attr);
        pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
        pthread_cond_init(&p->changed, &attr);
        pthread_condattr_destroy(&attr);
        for (int i = 0; i < ISO_N_SLOTS; i++)
                p->seen.got[i] = ISO_UNREAD;
        for (int i = 0; i < ISO_MAX_ACTORS; i++)
                p->actors[i].read_only = true;
        for (const struct iso_step *step = script->steps; step->op != ISO_END_OF_SCRIPT; step++) {
                if (step->who > p->n_actors)
                        p->n_actors = step->who;
                if (is_write(step->op))
                        p->actors[step->who - 1].read_only = false;
        }
        options.lock_timeout_ms = p->engine->lock_timeout_ms;
        for (int i = 0; i < p->n_actors; i++) {
                struct actor *a = &p->actors[i];

                a->play = p;
                a->number = i + 1;
                a->conn = conf_open(c, &options);
                if (setup)
                        OK(dal_conn_script(a->conn, setup, SOON, &c->err));
        }
        OK(dal_conn_script(c->conn, "DELETE FROM iso_item", SOON, &c->err));
        OK(dal_conn_script(c->conn, "INSERT INTO iso_item (id, value, version) VALUES (1, 10, 1), (2, 20, 1)",
                           SOON, &c->err));
        for (int i = 0; i < p->n_actors; i++)
                assert_int_equal(pthread_create(&p->actors[i].thread, NULL, act, &p->actors[i]), 0);
}

static void end_play(struct play *p)
{
        pthread_mutex_lock(&p->lock);
        p->quit = true;
        pthread_cond_broadcast(&p->changed);
        pthread_mutex_unlock(&p->lock);
        for (int i = 0; i < p->n_actors; i++) {
                pthread_join(p->actors[i].thread, NULL);
                dal_conn_close(p->actors[i].conn);
        }
        pthread_cond_destroy(&p->changed);
        pthread_mutex_destroy(&p->lock);
}

static enum iso_outcome outcome_of_class(dal_error_class error_class)
{
        switch ((int)error_class) {
        case DAL_CLASS_SERIALIZATION:
                return ISO_SERIALIZATION;
        case DAL_CLASS_DEADLOCK:
                return ISO_DEADLOCK;
        case DAL_CLASS_STALE_ROW:
                return ISO_STALE_ROW;
        default:
                return ISO_UNKNOWN;
        }
}

static enum iso_outcome judge(const struct play *p, const struct iso_script *script)
{
        bool waited = false;

        if (script->happened(&p->seen))
                return ISO_ALLOWED;
        for (int i = 0; i < p->n_actors; i++) {
                if (p->actors[i].failure.status)
                        return outcome_of_class(p->actors[i].failure.error_class);
                waited |= p->actors[i].waited;
        }
        return waited ? ISO_WAITS : ISO_OLDER;
}

static void describe(const struct play *p, struct iso_report *out)
{
        size_t size = sizeof out->text, n = 0;

        out->text[0] = '\0';
        for (int i = 0; i < p->n_actors && n < size; i++) {
                const struct actor *a = &p->actors[i];

                n += (size_t)snprintf(out->text + n, size - n, "transaction %d %s%s%s%s; ", i + 1,
                                      p->seen.committed[i + 1] ? "committed" : "did not commit",
                                      a->waited ? ", had to wait" : "",
                                      a->failure.status ? ", failed with " : "",
                                      a->failure.status ? a->failure.message : "");
        }
        for (int i = 1; i < ISO_N_SLOTS && n < size; i++)
                if (p->seen.got[i] != ISO_UNREAD)
                        n += (size_t)snprintf(out->text + n, size - n, "read %d gave %lld; ", i,
                                              (long long)p->seen.got[i]);
        if (n < size)
                snprintf(out->text + n, size - n, "in the end: %lld, %lld", (long long)p->seen.last[1],
                         (long long)p->seen.last[2]);
}

/* A row's value in the end. */
static int64_t last_value(struct conf *c, int64_t id)
{
        dal_rows *rows = NULL;
        int64_t value = ISO_NO_ROW;
        bool found;

        OK(dal_conn_query(c->conn, &get_value, DAL_PARAMS(dal_int64(id)), SOON, &rows, &c->err));
        OK(dal_rows_next(rows, &found, &c->err));
        if (found)
                OK(dal_rows_int64(rows, 0, &value, &c->err));
        dal_rows_close(rows);
        return value;
}

void iso_play(struct conf *c, const struct iso_engine *engine, const struct iso_script *script,
              dal_isolation level, const char *setup, struct iso_report *out)
{
        bool settled = true;
        struct play p;

        memset(&p, 0, sizeof p);
        memset(&c->err, 0, sizeof c->err);
        p.engine = engine;
        p.level = level;
        begin_play(c, &p, script, setup);
        for (const struct iso_step *step = script->steps; settled && step->op != ISO_END_OF_SCRIPT; step++) {
                struct actor *a = &p.actors[step->who - 1];

                a->todo[a->n_todo++] = step;
                settled = settle(c, &p);
        }
        end_play(&p);
        for (int i = 0; i < p.n_actors; i++)
                settled &= p.actors[i].ended;
        for (int i = 1; i <= 2; i++)
                p.seen.last[i] = last_value(c, i);
        out->outcome = judge(&p, script);
        describe(&p, out);
        if (!settled)
                fail_msg("%s did not come to its end: %s; the last thing that failed when the server was "
                         "asked: %s",
                         script->code, out->text, c->err.message);
}
