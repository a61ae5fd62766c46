/* SPDX-License-Identifier: MIT */
/* Many more threads than connections, with deadlines of all kinds, cancels, killed sessions, and a close in the middle. */

#include <pthread.h>
#include <stdatomic.h>

#include "fault.h"

#define N_THREADS 32
#define POOL_SIZE 8
#define N_KILLS   3
#define PHASE_MS  400

struct stress {
        struct conf *c;
        dal_pool *pool;
        atomic_bool ends;
        atomic_ulong n_leases, n_done, n_refused;
        /* The lease of each thread, for others to cancel; its lock is held while that goes on. */
        struct {
                pthread_mutex_t lock;
                dal_conn *conn;
        } leases[N_THREADS];
};

struct worker {
        struct stress *s;
        uint32_t number, random;
        pthread_t thread;
        char wrong[200]; /* "" = nothing was */
};

static uint32_t next_random(struct worker *w)
{
        w->random = w->random * 1664525u + 1013904223u; /* Source: Numerical Recipes, 7.1 */
        return w->random >> 8;
}

static void publish(struct worker *w, dal_conn *conn)
{
        pthread_mutex_lock(&w->s->leases[w->number].lock);
        w->s->leases[w->number].conn = conn;
        pthread_mutex_unlock(&w->s->leases[w->number].lock);
}

/* Failures that this treatment may bring about; any other is a wrong answer. */
static bool is_expected(const dal_error *err)
{
        switch (err->status) {
        case DAL_ERR_TIMEOUT:
        case DAL_ERR_CANCELED:
        case DAL_ERR_EXHAUSTED:
        case DAL_ERR_CONN:
        case DAL_ERR_CONFLICT: /* SQLite's lock */
        case DAL_ERR_IN_DOUBT:
                return true;
        case DAL_ERR_STATE:
                return err->error_class == DAL_CLASS_STATE || err->error_class == DAL_CLASS_TX_STATE ||
                       err->error_class == DAL_CLASS_NOT_EXECUTED;
        default:
                return false;
        }
}

static dal_status work_on(struct worker *w, dal_conn *conn, dal_deadline deadline, dal_error *err)
{
        uint32_t what = next_random(w) % 8;
        dal_rows *rows = NULL;
        bool found = true;
        dal_status s;

        if (what == 0) { /* left in a transaction, with its rows open: the pool must clean up */
                s = dal_conn_begin(conn, DAL_ISOLATION_DEFAULT, true, deadline, err);
                return s ? s : dal_conn_query(conn, &conf_all_accounts, DAL_NO_PARAMS, deadline, &rows, err);
        }
        if (what == 1)
                return dal_conn_exec(conn, &conf_add_balance, DAL_PARAMS(dal_int64(1), dal_int64(1)),
                                     deadline, NULL, err);
        if (what == 2)
                return dal_conn_ping(conn, deadline, err);
        s = dal_conn_query(conn, &conf_all_accounts, DAL_NO_PARAMS, deadline, &rows, err);
        while (s == DAL_OK && found)
                s = dal_rows_next(rows, &found, err);
        dal_rows_close(rows);
        return s;
}

static void *work(void *arg)
{
        struct worker *w = arg;
        struct stress *s = w->s;

        while (!atomic_load(&s->ends)) {
                static const uint32_t limits[] = {0, 1, 2, 5, 20, 100, 1000, 5000};
                dal_deadline deadline = dal_clock_after_ms(limits[next_random(w) % 8]);
                dal_error err = DAL_ERROR_INIT;
                dal_conn *conn;
                dal_status status = dal_pool_acquire(s->pool, false, deadline, &conn, &err);

                if (status == DAL_OK) {
                        atomic_fetch_add(&s->n_leases, 1);
                        publish(w, conn);
                        status = work_on(w, conn, deadline, &err);
                        publish(w, NULL);
                        dal_pool_release(s->pool, conn);
                } else {
                        atomic_fetch_add(&s->n_refused, 1);
                }
                if (status == DAL_OK)
                        atomic_fetch_add(&s->n_done, 1);
                else if (!is_expected(&err) && !w->wrong[0])
                        snprintf(w->wrong, sizeof w->wrong, "%s: %.150s", dal_error_status_name(status),
                                 err.message);
        }
        return NULL;
}

static void *cancel_some(void *arg)
{
        struct worker *w = arg;
        struct stress *s = w->s;

        while (!atomic_load(&s->ends)) {
                uint32_t victim = next_random(w) % N_THREADS;

                pthread_mutex_lock(&s->leases[victim].lock);
                if (s->leases[victim].conn)
                        (void)!dal_conn_cancel(s->leases[victim].conn, dal_clock_after_ms(1000), NULL);
                pthread_mutex_unlock(&s->leases[victim].lock);
                conf_sleep_ms(5);
        }
        return NULL;
}

static void check_sums(const dal_pool_stats *stats)
{
        assert_int_equal(stats->size, stats->idle + stats->leased + stats->connecting + stats->closing);
        assert_true(stats->size <= POOL_SIZE);
}

/* What is the truth afterwards, with nobody there any more. */
static void check_end(struct stress *s)
{
        dal_pool_stats stats = dal_pool_get_stats(s->pool);

        check_sums(&stats);
        assert_int_equal(stats.leased + stats.waiting + stats.connecting, 0);
        assert_int_equal(stats.n_acquired, atomic_load(&s->n_leases));
        assert_int_equal(stats.n_opened, stats.n_closed + stats.size);
        print_message("%lu leases, %lu done, %lu refused, %u opened\n", atomic_load(&s->n_leases),
                      atomic_load(&s->n_done), atomic_load(&s->n_refused), (unsigned)stats.n_opened);
        assert_true(atomic_load(&s->n_done) > N_THREADS);
}

static void stress__crowd_with_cancels_kills_and_a_close(struct conf *c)
{
        static struct stress s;
        static struct worker workers[N_THREADS + 1];
        dal_pool_options options = DAL_POOL_OPTIONS_INIT;

        memset(&s, 0, sizeof s);
        s.c = c;
        options.max_size = POOL_SIZE;
        OK(dal_conn_exec(c->conn, &conf_add_account, DAL_PARAMS(dal_int64(1), dal_int64(1)), SOON, NULL,
                         &c->err));
        OK(dal_pool_new(c->driver, c->dsn, &options, &s.pool, &c->err));
        for (uint32_t i = 0; i <= N_THREADS; i++) {
                if (i < N_THREADS)
                        pthread_mutex_init(&s.leases[i].lock, NULL);
                workers[i] = (struct worker){.s = &s, .number = i, .random = i * 7919u + 1};
        }
        for (uint32_t i = 0; i <= N_THREADS; i++)
                assert_int_equal(pthread_create(&workers[i].thread, NULL, i < N_THREADS ? work : cancel_some,
                                                &workers[i]),
                                 0);
        for (int i = 0; i < N_KILLS; i++) {
                dal_pool_stats stats;

                conf_sleep_ms(PHASE_MS);
                if (c->q->has_login || c->server)
                        fault_kill_others(c);
                stats = dal_pool_get_stats(s.pool);
                check_sums(&stats);
        }
        conf_sleep_ms(PHASE_MS);
        dal_pool_close(s.pool); /* in the middle of it all */
        conf_sleep_ms(20);
        atomic_store(&s.ends, true);
        for (uint32_t i = 0; i <= N_THREADS; i++)
                assert_int_equal(pthread_join(workers[i].thread, NULL), 0);
        OK(dal_pool_drain(s.pool, SOON, &c->err));
        check_end(&s);
        OK(dal_pool_free(s.pool, &c->err));
        for (uint32_t i = 0; i < N_THREADS; i++) {
                pthread_mutex_destroy(&s.leases[i].lock);
                if (workers[i].wrong[0])
                        fail_msg("%s", workers[i].wrong);
        }
        assert_int_equal(fault_count(c), 1);
}

const struct conf_case stress_fault[] = {
        CONF_CASE(stress__crowd_with_cancels_kills_and_a_close),
        {NULL, NULL},
};
