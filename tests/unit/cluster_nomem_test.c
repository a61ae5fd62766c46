/* SPDX-License-Identifier: MIT */
/* Every allocation of a cluster's life fails once, and then each one together with all that follow. */
#include "cluster_fixture.h"

#include <stdatomic.h>

/* Stands in for mem.c: the linker takes these and leaves that file in its archive. Safe for the threads of a pool. */

static atomic_long n_until_failure; /* 0: none fails */
static atomic_bool fails_for_good;  /* all that follow, too */
static atomic_long n_live;
static _Thread_local bool is_server; /* the fake server's own memory is not what is tested */

static bool fails_now(void)
{
        long left;

        if (is_server)
                return false;
        left = atomic_load(&n_until_failure);
        while (left > 0 && !atomic_compare_exchange_weak(&n_until_failure, &left, left - 1))
                ;
        if (left != 1)
                return left < 0;
        if (atomic_load(&fails_for_good))
                atomic_store(&n_until_failure, -1);
        return true;
}

void *dal_mem_alloc(size_t size)
{
        void *p = fails_now() ? NULL : calloc(1, size ? size : 1);

        if (p)
                atomic_fetch_add(&n_live, 1);
        return p;
}

void *dal_mem_resize(void *array, size_t n, size_t size)
{
        void *p;

        if (fails_now() || (size && n > SIZE_MAX / size))
                return NULL;
        p = realloc(array, n && size ? n * size : 1);
        if (p && !array)
                atomic_fetch_add(&n_live, 1);
        return p;
}

char *dal_mem_strdup(const char *text, size_t size)
{
        char *copy = dal_mem_alloc(size + 1);

        if (copy && size)
                memcpy(copy, text, size);
        return copy;
}

void dal_mem_free(void *ptr)
{
        if (ptr)
                atomic_fetch_sub(&n_live, 1);
        free(ptr);
}

void dal_mem_wipe(void *ptr, size_t size)
{
        if (size)
                memset(ptr, 0, size);
}

/* ---- servers whose memory never fails ---- */

static dal_fake_handler *behind[16];
static void *behind_arg[16];
static size_t n_behind;

static void shielded(void *arg, dal_fake_call *call)
{
        size_t i = (size_t)(uintptr_t)arg;

        is_server = true;
        behind[i](behind_arg[i], call);
        is_server = false;
}

static void shield(dal_fake_server *server, const char *name, dal_fake_handler *handler, void *arg)
{
        assert_true(n_behind < sizeof behind / sizeof behind[0]);
        behind[n_behind] = handler;
        behind_arg[n_behind] = arg;
        assert_true(dal_fake_on(server, name, shielded, (void *)(uintptr_t)n_behind++));
}

/* ---- a day in the life of a cluster ---- */

struct day {
        struct sharded *f;
        uint32_t n_hooks;
        uint32_t n_failed; /* steps */
};

static void count_hook(void *arg)
{
        ((struct day *)arg)->n_hooks++;
}

static dal_status nested(dal_tx *tx, void *arg, dal_error *err)
{
        dal_status s = dal_tx_on_commit(tx, count_hook, arg, err);

        if (s == DAL_OK)
                s = dal_tx_exec(tx, &put_row, ROW(2), NULL, err);
        return s ? s : dal_tx_queue(tx, &put_row, ROW(3), err);
}

static dal_status all_kinds(dal_tx *tx, void *arg, dal_error *err)
{
        struct day *day = arg;
        dal_rows *rows;
        bool found = true;
        dal_status s = dal_tx_on_commit(tx, count_hook, day, err);

        day->n_hooks = 0;
        if (s == DAL_OK)
                s = dal_tx_queue(tx, &put_row, DAL_PARAMS(dal_int64(1), dal_text("one")), err);
        if (s == DAL_OK)
                s = dal_tx_query(tx, &get_rows, RANGE(1, 9), &rows, err);
        if (s)
                return s;
        while (s == DAL_OK && found)
                s = dal_rows_next(rows, &found, err);
        dal_rows_close(rows);
        if (s == DAL_OK)
                s = dal_tx_run(tx, nested, day, err);
        if (s == DAL_OK)
                s = dal_tx_exec_dynamic(tx, "UPDATE u SET v = ?", DAL_PARAMS(dal_int64(4)), NULL, err);
        return s;
}

/* A step either succeeds or says what was wrong; nothing between, and never for a reason that is not so. */
static bool judge(struct day *day, dal_status s, const dal_error *err)
{
        if (s == DAL_OK)
                return true;
        assert_int_equal(err->status, s);
        if (s != DAL_ERR_NOMEM)
                print_error("%s: %s\n", dal_error_class_name(err->error_class), err->message);
        assert_int_equal(s, DAL_ERR_NOMEM);
        assert_has(err->message, "memory");
        day->n_failed++;
        return false;
}

static void run_step(struct day *day, uint16_t shard)
{
        dal_fake_server *server = day->f->servers[shard];
        dal_error err = DAL_ERROR_INIT;
        dal_tx_options options = DAL_TX_OPTIONS_INIT;
        dal_status s;
        bool done;

        options.isolation = DAL_ISOLATION_SERIALIZABLE;
        s = dal_cluster_run(day->f->cluster, key_on(day->f->cluster, shard), &options, all_kinds, day, &err);
        done = judge(day, s, &err);
        for (int64_t id = 1; id <= 3; id++) {
                int64_t v;

                /* Row 1 holds text, which dal_fake_peek() does not show. */
                assert_int_equal(id > 1 && dal_fake_peek(server, "t", id, &v), done && id > 1);
        }
        assert_true(!done || day->n_hooks == 2);
        assert_int_equal(dal_fake_get_stats(server).n_in_tx, 0);
}

static void single_steps(struct day *day, uint16_t shard)
{
        dal_key key = key_on(day->f->cluster, shard);
        dal_error err = DAL_ERROR_INIT;
        dal_rows *rows;
        bool found = true;
        dal_status s;

        s = dal_cluster_exec(day->f->cluster, key, &put_row, ROW(7), NULL, &err);
        assert_int_equal(judge(day, s, &err), has_row(day->f->servers[shard], 7));
        s = dal_cluster_query(day->f->cluster, key, &get_rows, RANGE(7, 7), &rows, &err);
        if (judge(day, s, &err)) {
                while (found && judge(day, dal_rows_next(rows, &found, &err), &err))
                        ;
                dal_rows_close(rows);
        }
}

static void fanout_step(struct day *day)
{
        dal_error err = DAL_ERROR_INIT;
        dal_rows *rows;
        bool found = true;

        if (!judge(day, dal_fanout_query(day->f->cluster, &get_rows, RANGE(1, 9), &rows, &err), &err))
                return;
        while (found && judge(day, dal_rows_next(rows, &found, &err), &err))
                ;
        dal_rows_close(rows);
}

static void refresh_step(struct day *day)
{
        dal_error err = DAL_ERROR_INIT;
        uint64_t before = dal_cluster_map_version(day->f->cluster);

        pthread_mutex_lock(&day->f->tables.lock);
        day->f->tables.n_shards = 3;
        pthread_mutex_unlock(&day->f->tables.lock);
        move_slot(day->f, 5, 2);
        if (judge(day, dal_cluster_refresh(day->f->cluster, &err), &err))
                assert_int_equal(dal_cluster_map_version(day->f->cluster), before + 1);
        else
                assert_int_equal(dal_cluster_map_version(day->f->cluster), before);
}

/* Returns how many of the steps failed. */
static uint32_t live_a_day(long fail_at, bool for_good)
{
        struct sharded *f = new_sharded(2);
        struct day day = {f, 0, 0};
        dal_error err = DAL_ERROR_INIT;

        n_behind = 0;
        shield(f->catalog, "dal.select_cluster", on_select_cluster, &f->tables);
        shield(f->catalog, "dal.select_shards", on_select_shards, &f->tables);
        shield(f->catalog, "dal.select_slots", on_select_slots, &f->tables);
        for (uint16_t i = 0; i < 3; i++) {
                shield(f->servers[i], "dal.select_identity", on_select_identity, &f->identities[i]);
                shield(f->servers[i], "put_row", on_put_row, NULL);
                shield(f->servers[i], "get_rows", on_get_rows, NULL);
        }
        atomic_store(&fails_for_good, for_good);
        atomic_store(&n_until_failure, fail_at);
        if (judge(&day, try_open_sharded(f, &err), &err)) {
                for (uint16_t shard = 0; shard < 2; shard++) {
                        run_step(&day, shard);
                        single_steps(&day, shard);
                }
                fanout_step(&day);
                refresh_step(&day);
        } else {
                assert_null(f->cluster);
        }
        /* Closing must need none. */
        assert_ok(dal_cluster_close(f->cluster, 5000, &err));
        f->cluster = NULL;
        free_sharded(f);
        return day.n_failed;
}

static void sweep(bool for_good)
{
        uint32_t n_in_vain = 0;
        long at = 1;

        /* The library gets by without some allocations; but when many in a row do no harm the day is over. */
        for (; n_in_vain < 3; at++) {
                long before = atomic_load(&n_live);
                uint32_t n_failed = live_a_day(at, for_good);

                n_in_vain = atomic_load(&n_until_failure) > 0 ? n_in_vain + 1 : 0;
                assert_true(n_failed == 0 || atomic_load(&n_until_failure) <= 0);
                atomic_store(&n_until_failure, 0);
                assert_int_equal(atomic_load(&n_live), before);
        }
        assert_true(at > 100);
}

static void test_cluster__without_a_failure_all_is_well(void **state)
{
        (void)state;
        assert_int_equal(live_a_day(0, false), 0);
        assert_int_equal(atomic_load(&n_live), 0);
}

static void test_cluster__each_allocation_may_fail(void **state)
{
        (void)state;
        sweep(false);
}

static void test_cluster__memory_may_be_gone_for_good(void **state)
{
        (void)state;
        sweep(true);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_cluster__without_a_failure_all_is_well),
                cmocka_unit_test(test_cluster__each_allocation_may_fail),
                cmocka_unit_test(test_cluster__memory_may_be_gone_for_good),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
