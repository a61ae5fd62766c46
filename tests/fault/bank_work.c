/* SPDX-License-Identifier: MIT */
/* A worker: threads that each run one operation after the other until they are told to rest. */

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bank.h"

struct worker {
        const struct bank_options *options;
        struct bank_shared *shared;
        struct bank_worker_state *state;
        dal_cluster *cluster;
        _Atomic bool broken; /* the run itself failed, not an operation */
};

struct thread {
        struct worker *worker;
        pthread_t id;
        unsigned i;
        int log;
        uint64_t random, next_id;
};

/* One operation on its way. */
struct job {
        struct bank_op op;
        struct bank_answer answer;
        int64_t read_sum;
};

/* ---- what operations do -------------------------------------------------------------------------- */

static dal_status add(dal_tx *tx, const struct bank_op *op, int32_t account, int64_t amount, dal_error *err)
{
        return dal_tx_exec(tx, &bank_add,
                           DAL_PARAMS(dal_int64(amount), dal_int64(op->group), dal_int64(account)), NULL,
                           err);
}

static dal_status queue_add(dal_tx *tx, const struct bank_op *op, int32_t account, int64_t amount,
                            dal_error *err)
{
        return dal_tx_queue(tx, &bank_add,
                            DAL_PARAMS(dal_int64(amount), dal_int64(op->group), dal_int64(account)), err);
}

/* The operation's own row; its mark is for the proxy, which sees the bytes only. */
struct op_row {
        dal_value values[7];
        char mark[32];
};

static dal_params op_row(struct op_row *row, const struct bank_op *op, uint32_t attempt)
{
        snprintf(row->mark, sizeof row->mark, WIRE_MARK_FORMAT, op->id, attempt & 0xff);
        row->values[0] = dal_int64((int64_t)op->id);
        row->values[1] = dal_int64(op->group);
        row->values[2] = dal_int64(op->from);
        row->values[3] = dal_int64(op->to);
        row->values[4] = dal_int64(op->amount);
        row->values[5] = dal_int64(attempt);
        row->values[6] = dal_text(row->mark);
        return (dal_params){row->values, 7};
}

static dal_status write_op(dal_tx *tx, const struct bank_op *op, dal_error *err)
{
        struct op_row row;

        return dal_tx_exec(tx, &bank_write_op, op_row(&row, op, dal_tx_attempt(tx)), NULL, err);
}

static dal_status queue_op(dal_tx *tx, const struct bank_op *op, dal_error *err)
{
        struct op_row row;

        return dal_tx_queue(tx, &bank_write_op, op_row(&row, op, dal_tx_attempt(tx)), err);
}

static dal_status read_account(dal_tx *tx, const dal_stmt *stmt, const struct bank_op *op, int32_t account,
                               int64_t *version_out, dal_error *err)
{
        dal_rows *rows = NULL;
        dal_status s =
                dal_tx_query(tx, stmt, DAL_PARAMS(dal_int64(op->group), dal_int64(account)), &rows, err);

        if (s == DAL_OK)
                s = dal_rows_first(rows, err);
        if (s == DAL_OK)
                s = dal_rows_int64(rows, 1, version_out, err);
        dal_rows_close(rows);
        return s;
}

static dal_status read_write(dal_tx *tx, const struct bank_op *op, dal_error *err)
{
        int64_t version;
        dal_status s;

        if ((s = read_account(tx, &bank_read_locked, op, op->from, &version, err)) ||
            (s = add(tx, op, op->from, -op->amount, err)) || (s = add(tx, op, op->to, op->amount, err)))
                return s;
        return write_op(tx, op, err);
}

static dal_status queued(dal_tx *tx, const struct bank_op *op, dal_error *err)
{
        dal_status s;

        if ((s = queue_add(tx, op, op->from, -op->amount, err)) ||
            (s = queue_add(tx, op, op->to, op->amount, err)))
                return s;
        return queue_op(tx, op, err);
}

/* Its mark is for the proxy, as that of the operation's own row. */
struct part_row {
        dal_value values[3];
        char mark[32];
};

static dal_params part_row(struct part_row *row, const struct bank_op *op, int part, uint32_t attempt)
{
        snprintf(row->mark, sizeof row->mark, WIRE_MARK_FORMAT, op->id, attempt & 0xff);
        row->values[0] = dal_int64((int64_t)op->id);
        row->values[1] = dal_int64(part);
        row->values[2] = dal_text(row->mark);
        return (dal_params){row->values, 3};
}

/* Sums of money that come to the operation's own, by as many statements as will be run as one. */
static dal_status folded(dal_tx *tx, const struct bank_op *op, dal_error *err)
{
        dal_status s = DAL_OK;

        for (int i = 0; i < BANK_PARTS && s == DAL_OK; i++) {
                struct part_row row;

                s = dal_tx_queue(tx, &bank_write_part, part_row(&row, op, i, dal_tx_attempt(tx)), err);
        }
        for (int i = 0; i < 3 && s == DAL_OK; i++) {
                int64_t amount = i == 1 ? -op->amount : op->amount;

                s = queue_add(tx, op, op->from, -amount, err);
                if (s == DAL_OK)
                        s = queue_add(tx, op, op->to, amount, err);
        }
        return s ? s : queue_op(tx, op, err);
}

static dal_status versioned(dal_tx *tx, const struct bank_op *op, dal_error *err)
{
        int64_t version = 0;
        dal_status s;

        if ((s = read_account(tx, &bank_read, op, op->from, &version, err)) ||
            (s = dal_tx_exec_versioned(tx, &bank_add_versioned,
                                       DAL_PARAMS(dal_int64(-op->amount), dal_int64(op->group),
                                                  dal_int64(op->from), dal_int64(version)),
                                       err)) ||
            (s = queue_add(tx, op, op->to, op->amount, err)))
                return s;
        return queue_op(tx, op, err);
}

static dal_status second_half(dal_tx *tx, void *arg, dal_error *err)
{
        const struct bank_op *op = arg;
        dal_status s = add(tx, op, op->to, op->amount, err);

        return s ? s : write_op(tx, op, err);
}

/* Takes money away once more and then offends against the key: all of it must be undone. */
static dal_status doomed_half(dal_tx *tx, void *arg, dal_error *err)
{
        const struct bank_op *op = arg;
        dal_status s = add(tx, op, op->from, -op->amount, err);

        if (s)
                return s;
        return dal_tx_exec(tx, &bank_add_account,
                           DAL_PARAMS(dal_int64(op->group), dal_int64(op->from), dal_int64(1)), NULL, err);
}

static dal_status nested(dal_tx *tx, const struct bank_op *op, dal_error *err)
{
        struct bank_op copy = *op;
        dal_status s = add(tx, op, op->from, -op->amount, err);

        if (s)
                return s;
        s = dal_tx_run(tx, doomed_half, &copy, err);
        if (s != DAL_ERR_CONSTRAINT)
                return s ? s : dal_fail(err, DAL_ERR_INTERNAL, "an account was made twice");
        return dal_tx_run(tx, second_half, &copy, err);
}

static dal_status refused(dal_tx *tx, const struct bank_op *op, dal_error *err)
{
        dal_status s = read_write(tx, op, err);

        return s ? s : dal_fail(err, DAL_ERR_APP, "the bank thinks better of it");
}

static dal_status read_sum(dal_tx *tx, struct job *job, dal_error *err)
{
        dal_rows *rows = NULL;
        dal_status s = dal_tx_query(tx, &bank_sum, DAL_PARAMS(dal_int64(job->op.group)), &rows, err);

        if (s == DAL_OK)
                s = dal_rows_first(rows, err);
        if (s == DAL_OK)
                s = dal_rows_int64(rows, 0, &job->read_sum, err);
        dal_rows_close(rows);
        return s;
}

/* ---- batches --------------------------------------------------------------------------------------- */

static dal_status batch_add(dal_batch *batch, const struct bank_op *op, int32_t account, int64_t amount,
                            dal_error *err)
{
        return dal_batch_add(batch, &bank_add,
                             DAL_PARAMS(dal_int64(amount), dal_int64(op->group), dal_int64(account)), err);
}

static dal_status batch_sum(dal_batch *batch, const struct bank_op *op, dal_error *err)
{
        return dal_batch_add(batch, &bank_sum, DAL_PARAMS(dal_int64(op->group)), err);
}

static dal_status fill_batch(dal_tx *tx, dal_batch *batch, const struct bank_op *op, dal_error *err)
{
        struct op_row row;
        dal_status s;

        if ((s = batch_add(batch, op, op->from, -op->amount, err)) ||
            (s = batch_add(batch, op, op->to, op->amount, err)))
                return s;
        for (int i = 0; i < BANK_PARTS && s == DAL_OK; i++) {
                struct part_row part;

                s = dal_batch_add(batch, &bank_write_part, part_row(&part, op, i, dal_tx_attempt(tx)), err);
        }
        if (s == DAL_OK)
                s = batch_sum(batch, op, err);
        return s ? s : dal_batch_add(batch, &bank_write_op, op_row(&row, op, dal_tx_attempt(tx)), err);
}

/* The next result, which is a sum or of one row written. */
static dal_status next_result(dal_batch *batch, int64_t *sum_out, bool *found_out, dal_error *err)
{
        dal_status s = dal_batch_next(batch, found_out, err);
        dal_rows *rows = s == DAL_OK ? dal_batch_rows(batch) : NULL;

        if (rows && (s = dal_rows_first(rows, err)) == DAL_OK)
                s = dal_rows_int64(rows, 0, sum_out, err);
        else if (s == DAL_OK && *found_out && !rows && dal_batch_n_rows(batch) != 1)
                s = dal_fail(err, DAL_ERR_INTERNAL,
                             "a write of a batch tells another number of rows than one");
        return s;
}

static dal_status batched(dal_tx *tx, struct job *job, dal_error *err)
{
        dal_batch *batch = NULL;
        bool found = true;
        dal_status s = dal_tx_batch(tx, &batch, err);

        if (s == DAL_OK)
                s = fill_batch(tx, batch, &job->op, err);
        if (s == DAL_OK)
                s = dal_batch_run(batch, err);
        while (s == DAL_OK && found)
                s = next_result(batch, &job->read_sum, &found, err);
        dal_batch_close(batch);
        return s;
}

static dal_status fill_scattered(dal_batch *batch, const struct bank_op *op, dal_error *err)
{
        dal_status s = DAL_OK;

        for (int i = 0; i < BANK_PARTS && s == DAL_OK; i++) {
                struct part_row part;

                s = dal_batch_add(batch, &bank_write_part, part_row(&part, op, i, 1), err);
                if (s == DAL_OK && i % 3 == 2)
                        s = batch_sum(batch, op, err);
        }
        return s;
}

static char part_of(dal_status s)
{
        return s == DAL_OK ? BANK_PART_DONE : s == DAL_ERR_IN_DOUBT ? BANK_PART_IN_DOUBT : BANK_PART_REFUSED;
}

/* Notes what becomes of each write; the first failure of all is the operation's. */
static dal_status run_scattered(struct worker *w, struct job *job, dal_error *err)
{
        dal_batch *batch = NULL;
        bool found = true;
        int n = 0, i_result = 0;
        dal_status s = dal_cluster_batch(w->cluster, dal_key_int64(job->op.group), &batch, err), first;

        if (s == DAL_OK)
                s = fill_scattered(batch, &job->op, err);
        if (s == DAL_OK)
                s = dal_batch_run(batch, err);
        memset(job->answer.parts, BANK_PART_REFUSED, BANK_PARTS);
        for (first = s; s == DAL_OK; i_result++) {
                dal_error failure = DAL_ERROR_INIT;
                dal_status one = next_result(batch, &job->read_sum, &found, &failure);

                if (!found)
                        break;
                if (i_result % 4 != 3)
                        job->answer.parts[n++] = part_of(one);
                if (one && first == DAL_OK) {
                        first = one;
                        *err = failure;
                }
        }
        dal_batch_close(batch);
        if (s == DAL_OK && n != BANK_PARTS)
                return dal_fail(err, DAL_ERR_INTERNAL,
                                "a batch gave another number of results than it has statements");
        return first;
}

static void on_committed(void *arg)
{
        ((struct job *)arg)->answer.n_committed++;
}

static dal_status run_job(dal_tx *tx, void *arg, dal_error *err)
{
        static dal_status (*const kinds[])(dal_tx *, const struct bank_op *, dal_error *) = {
                [BANK_READ_WRITE] = read_write, [BANK_QUEUED] = queued,   [BANK_VERSIONED] = versioned,
                [BANK_NESTED] = nested,         [BANK_REFUSED] = refused, [BANK_FOLDED] = folded,
        };
        struct job *job = arg;
        dal_status s;

        job->answer.n_calls++;
        job->answer.n_attempt = dal_tx_attempt(tx);
        s = dal_tx_on_commit(tx, on_committed, job, err);
        if (s)
                return s;
        if (job->op.kind == BANK_BATCHED)
                return batched(tx, job, err);
        return job->op.kind == BANK_SUM ? read_sum(tx, job, err) : kinds[job->op.kind](tx, &job->op, err);
}

static bool is_single(const struct bank_op *op)
{
        return op->kind == BANK_SINGLE || op->kind == BANK_SINGLE_RESOLVED || op->kind == BANK_SCATTERED;
}

static dal_status run_single(struct worker *w, struct job *job, dal_error *err)
{
        const struct bank_op *op = &job->op;
        struct op_row row;

        if (op->kind == BANK_SCATTERED)
                return run_scattered(w, job, err);
        return dal_cluster_exec(w->cluster, dal_key_int64(op->group),
                                op->kind == BANK_SINGLE ? &bank_write_op : &bank_write_op_resolved,
                                op_row(&row, op, 1), NULL, err);
}

/* ---- a thread ------------------------------------------------------------------------------------ */

static void choose(struct thread *t, struct bank_op *op)
{
        memset(op, 0, sizeof *op);
        op->id = t->next_id++;
        op->group = 1 + proxy_random(&t->random, BANK_GROUPS);
        op->from = 1 + (int32_t)proxy_random(&t->random, BANK_ACCOUNTS);
        op->to = 1 + (op->from + (int32_t)proxy_random(&t->random, BANK_ACCOUNTS - 1)) % BANK_ACCOUNTS;
        op->amount = 1 + proxy_random(&t->random, 9);
        op->kind = (enum bank_kind)proxy_random(&t->random, BANK_N_KINDS);
        op->timeout_ms = BANK_MIN_TIMEOUT_MS + proxy_random(&t->random, BANK_TIMEOUT_SPREAD_MS);
        if (is_single(op)) {
                op->amount = 0;
                op->timeout_ms = BANK_MIN_TIMEOUT_MS + BANK_TIMEOUT_SPREAD_MS; /* the cluster's */
        }
}

static bool is_sum_right(const struct job *job)
{
        bool sums =
                job->op.kind == BANK_SUM || job->op.kind == BANK_BATCHED || job->op.kind == BANK_SCATTERED;

        return !sums || job->answer.status != DAL_OK || job->read_sum == BANK_ACCOUNTS * BANK_BALANCE;
}

static void run_one(struct thread *t)
{
        struct worker *w = t->worker;
        dal_tx_options options = DAL_TX_OPTIONS_INIT;
        dal_error err = DAL_ERROR_INIT;
        struct job job;
        int64_t start;

        memset(&job, 0, sizeof job);
        choose(t, &job.op);
        job.answer.op = job.op;
        options.timeout_ms = job.op.timeout_ms;
        options.read_only = job.op.kind == BANK_SUM;
        if (!bank_log_intent(t->log, &job.op)) {
                perror("the log of intents");
                w->broken = true;
                return;
        }
        atomic_store(&w->state->op[t->i], job.op.id);
        bank_vfs_enter(true);
        start = dal_clock_now();
        job.answer.status = is_single(&job.op) ? run_single(w, &job, &err)
                                               : dal_cluster_run(w->cluster, dal_key_int64(job.op.group),
                                                                 &options, run_job, &job, &err);
        job.answer.elapsed_us = (dal_clock_now() - start) / 1000;
        bank_vfs_enter(false);
        atomic_store(&w->state->op[t->i], 0);
        atomic_fetch_add(&w->state->n_done, 1);
        if (job.answer.status) {
                job.answer.error_class = err.error_class;
                memcpy(job.answer.token, err.outcome_token, sizeof job.answer.token);
                snprintf(job.answer.message, sizeof job.answer.message, "%.150s", err.message);
        }
        if (!bank_log_answer(t->log, &job.answer))
                w->broken = true;
        if (!is_sum_right(&job)) {
                fprintf(stderr, "bank: op %" PRIu64 " saw the sum %" PRId64 " in group %" PRId64 "\n",
                        job.op.id, job.read_sum, job.op.group);
                w->broken = true;
        }
        if (job.answer.status)
                bank_sleep_ms(1); /* a server that is away isn't asked by a busy loop */
}

static void *run_thread(void *arg)
{
        struct thread *t = arg;
        struct worker *w = t->worker;

        while (atomic_load(&w->shared->phase) == BANK_RUN && !w->broken)
                run_one(t);
        atomic_fetch_add(&w->state->n_resting, 1);
        while (atomic_load(&w->shared->phase) != BANK_QUIT)
                bank_sleep_ms(5);
        return NULL;
}

/* ---- the process --------------------------------------------------------------------------------- */

dal_cluster *bank_open_cluster(const struct bank_options *o, dal_error *err)
{
        static const dal_driver *drivers[1];
        dal_cluster_options options = DAL_CLUSTER_OPTIONS_INIT;
        dal_cluster *cluster = NULL;
        int64_t give_up = bank_now_ms() + 20000;

        drivers[0] = o->engine->driver();
        options.service = "bank";
        options.timeout_ms = BANK_MIN_TIMEOUT_MS + BANK_TIMEOUT_SPREAD_MS;
        options.pool.max_size = BANK_POOL;
        options.pool.connect_timeout_ms = 400;
        while (dal_cluster_open(o->url, drivers, 1, &options, &cluster, err) != DAL_OK) {
                if (bank_now_ms() > give_up)
                        return NULL;
                bank_sleep_ms(20);
        }
        return cluster;
}

static void watch_pool(struct worker *w)
{
        dal_shard_info info;

        while (atomic_load(&w->shared->phase) != BANK_QUIT) {
                if (dal_cluster_shard_info(w->cluster, 0, &info, NULL) == DAL_OK)
                        atomic_store(&w->state->pool_size, info.pool.idle + info.pool.leased);
                bank_sleep_ms(10);
        }
}

static bool start_threads(struct worker *w, struct thread *threads)
{
        const struct bank_options *o = w->options;

        for (unsigned i = 0; i < BANK_THREADS; i++) {
                struct thread *t = &threads[i];

                t->worker = w;
                t->i = i;
                t->next_id = (uint64_t)(o->i_worker + 1) << 56 | (uint64_t)o->incarnation << 32 |
                             (uint64_t)(i + 1) << 28;
                t->random = o->seed * 2654435761u + t->next_id + 1;
                t->log = bank_log_open(o->dir, t->next_id);
                if (t->log < 0 || pthread_create(&t->id, NULL, run_thread, t) != 0) {
                        perror("a thread of the bank");
                        return false;
                }
        }
        return true;
}

int bank_work(const struct bank_options *o)
{
        struct worker w = {.options = o, .shared = bank_share(o->dir)};
        struct thread threads[BANK_THREADS];
        dal_error err = DAL_ERROR_INIT;

        if (!w.shared)
                return 1;
        w.state = &w.shared->workers[o->i_worker];
        atomic_store(&w.state->n_resting, 0);
        for (int i = 0; i < BANK_THREADS; i++)
                atomic_store(&w.state->op[i], 0);
        if (!o->engine->is_server && !bank_vfs_register(w.shared, o->seed + o->incarnation * 977u + 1))
                return 1;
        w.cluster = bank_open_cluster(o, &err);
        if (!w.cluster) {
                fprintf(stderr, "bank: a worker can't open its cluster: %s\n", err.message);
                return 1;
        }
        if (!start_threads(&w, threads))
                return 1;
        watch_pool(&w);
        for (int i = 0; i < BANK_THREADS; i++) {
                pthread_join(threads[i].id, NULL);
                close(threads[i].log);
        }
        if (dal_cluster_close(w.cluster, 5000, &err) != DAL_OK) {
                fprintf(stderr, "bank: a worker can't close its cluster: %s\n", err.message);
                return 1;
        }
        return w.broken ? 1 : 0;
}
