/* SPDX-License-Identifier: MIT */
#ifndef TESTS_UNIT_NESTED_FIXTURE_H
#define TESTS_UNIT_NESTED_FIXTURE_H

/* Functions inside functions, for the tests of dal_tx_run(). */

#include "run_fixture.h"

static inline dal_status put_one(dal_tx *tx, void *arg, dal_error *err)
{
        return dal_tx_exec(tx, &put_row, ROW(*(int64_t *)arg), NULL, err);
}

static inline dal_status queue_one(dal_tx *tx, void *arg, dal_error *err)
{
        return dal_tx_queue(tx, &put_row, ROW(*(int64_t *)arg), err);
}

/* An outer function around one nested one, told by its fields what to do. */
struct plan {
        dal_tx_fn *nested;
        void *arg;
        bool queue_first; /* the outer function's first write is queued */
        bool pass_on;     /* the nested failure is the outer's too */
        bool stop;        /* nothing more after the nested function */
        dal_status got;   /* by dal_tx_run() */
        dal_error got_error;
};

static inline dal_status outer(dal_tx *tx, void *arg, dal_error *err)
{
        struct plan *plan = arg;
        dal_status s = plan->queue_first ? dal_tx_queue(tx, &put_row, ROW(1), err)
                                         : dal_tx_exec(tx, &put_row, ROW(1), NULL, err);

        if (s)
                return s;
        plan->got = dal_tx_run(tx, plan->nested, plan->arg, &plan->got_error);
        if (plan->got && plan->pass_on) {
                *err = plan->got_error;
                return plan->got;
        }
        return plan->stop ? DAL_OK : dal_tx_exec(tx, &put_row, ROW(9), NULL, err);
}

#define PLAN(...)                                                                                            \
        {                                                                                                    \
                .got_error = DAL_ERROR_INIT, __VA_ARGS__                                                     \
        }

static inline dal_status put_and_refuse(dal_tx *tx, void *arg, dal_error *err)
{
        dal_status s = put_one(tx, arg, err);

        return s ? s : dal_fail(err, DAL_ERR_APP, "changed my mind");
}

static inline dal_status must_not_run(dal_tx *tx, void *arg, dal_error *err)
{
        (void)tx;
        (void)arg;
        (void)err;
        fail_msg("%s", "the nested function ran");
        return DAL_OK;
}

static inline dal_status do_nothing(dal_tx *tx, void *arg, dal_error *err)
{
        (void)tx;
        (void)arg;
        (void)err;
        return DAL_OK;
}

static inline dal_status set_one(dal_tx *tx, void *arg, dal_error *err)
{
        return dal_tx_exec(tx, &set_row, ROW(*(int64_t *)arg), NULL, err);
}

#endif
