/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
/* cmocka needs the four above first. Source: cmocka.h */
#include <cmocka.h>

#include <sys/wait.h>
#include <unistd.h>

#include "conn/pool_state.h"
#include "mem_fault.h"
#include "pool_rig.h"

static const dal_stmt put_row = DAL_STMT("put_row", "INSERT INTO t (v) VALUES (?)");

/* ---- lending ---- */

static void test_pool__the_connection_used_last_is_lent_first(void **state)
{
        dal_pool_options options = small_pool(3);
        struct rig rig = new_rig(&options);
        dal_conn *a, *b;

        (void)state;
        assert_int_equal(dal_pool_get_stats(rig.pool).size, 0); /* nothing is opened in advance */
        a = lease(&rig);
        b = lease(&rig);
        assert_ptr_not_equal(a, b);
        assert_int_equal(dal_pool_get_stats(rig.pool).leased, 2);
        dal_pool_release(rig.pool, a);
        dal_pool_release(rig.pool, b);
        assert_int_equal(dal_pool_get_stats(rig.pool).idle, 2);
        assert_sums(&rig);
        assert_ptr_equal(lease(&rig), b);
        assert_ptr_equal(lease(&rig), a);
        dal_pool_release(rig.pool, a);
        dal_pool_release(rig.pool, b);
        dal_pool_release(rig.pool, NULL);
        assert_int_equal(dal_pool_get_stats(rig.pool).n_acquired, 4);
        assert_int_equal(dal_pool_get_stats(rig.pool).n_opened, 2);
        assert_int_equal(dal_pool_get_stats(rig.pool).n_waited, 0);
        end_rig(&rig);
}

static void test_pool__waiters_are_served_in_order_and_never_overtaken(void **state)
{
        dal_pool_options options = small_pool(1);
        struct rig rig = new_rig(&options);
        dal_conn *conn = lease(&rig);
        struct user users[5];

        (void)state;
        for (uint32_t i = 0; i < 5; i++) {
                start_user(&users[i], &rig, 5000, 3);
                wait_for(&rig, stats.waiting == i + 1);
        }
        assert_sums(&rig);
        dal_pool_release(rig.pool, conn);
        /* A newcomer with no patience gets nothing while others wait: the connection goes from hand to hand. */
        assert_int_equal(dal_pool_acquire(rig.pool, false, 0, &conn, &rig.err), DAL_ERR_EXHAUSTED);
        for (int i = 0; i < 5; i++) {
                join_user(&users[i]);
                assert_int_equal(users[i].status, DAL_OK);
                assert_true(i == 0 || users[i].served_at > users[i - 1].served_at);
        }
        assert_int_equal(dal_pool_get_stats(rig.pool).n_opened, 1);
        assert_int_equal(dal_pool_get_stats(rig.pool).n_waited, 5);
        assert_true(dal_pool_get_stats(rig.pool).wait_ns >= 5 * 3000000);
        end_rig(&rig);
}

static void test_pool__exhaustion_says_who_holds_what(void **state)
{
        dal_pool_options options = small_pool(2);
        struct rig rig = new_rig(&options);
        dal_conn *a, *b, *c = NULL;
        struct user user;
        int64_t best = INT64_MAX;
        int n;

        (void)state;
        assert_int_equal(dal_pool_acquire_at("src/order.c:42", rig.pool, false, DAL_FOREVER, &a, &rig.err),
                         DAL_OK);
        nap_ms(30);
        start_user(&user, &rig, 10000, 1000); /* so that this thread does not hold all */
        wait_for(&rig, stats.leased == 2);
        /* At most 50 ms after the deadline; on a busy machine one of five tries must. */
        for (n = 0; n < 5 && best > 110; n++) {
                int64_t start = dal_clock_now();

                assert_int_equal(dal_pool_acquire(rig.pool, false, dal_clock_after_ms(60), &c, &rig.err),
                                 DAL_ERR_EXHAUSTED);
                assert_true(ms_since(start) >= 59);
                best = ms_since(start) < best ? ms_since(start) : best;
        }
        assert_true(best <= 110);
        assert_null(c);
        assert_int_equal(rig.err.error_class, DAL_CLASS_POOL_EXHAUSTED);
        assert_true(rig.err.not_sent);
        assert_says(&rig.err, "pool orders is exhausted: max_size=2, leased=2 (longest: order.c:42 for ");
        assert_says(&rig.err, ", pool_rig.h:");
        assert_says(&rig.err, "), idle=0, connecting=0, waiting=1");
        assert_null(strstr(rig.err.message, "connect error"));
        assert_int_equal(dal_pool_get_stats(rig.pool).n_timeouts, n);
        join_user(&user);
        assert_int_equal(dal_pool_acquire(rig.pool, false, 0, &b, &rig.err),
                         DAL_OK); /* idle: no wait needed */
        dal_pool_release(rig.pool, a);
        dal_pool_release(rig.pool, b);
        end_rig(&rig);
}

static void test_pool__too_many_waiters_are_refused_at_once(void **state)
{
        dal_pool_options options = small_pool(1);
        struct user users[2];
        struct rig rig;
        dal_conn *conn, *other;
        int64_t start;

        (void)state;
        options.max_waiters = 2;
        rig = new_rig(&options);
        conn = lease(&rig);
        start_user(&users[0], &rig, 5000, 0);
        start_user(&users[1], &rig, 5000, 0);
        wait_for(&rig, stats.waiting == 2);
        start = dal_clock_now();
        /* By another thread than the holder, or it would be refused for another reason. */
        {
                struct user third;

                start_user(&third, &rig, 5000, 0);
                join_user(&third);
                assert_int_equal(third.status, DAL_ERR_EXHAUSTED);
                assert_says(&third.err, "max_waiters=2");
        }
        assert_true(ms_since(start) < 3000);
        assert_int_equal(dal_pool_get_stats(rig.pool).n_refused, 1);
        dal_pool_release(rig.pool, conn);
        join_user(&users[0]);
        join_user(&users[1]);
        assert_int_equal(users[0].status + users[1].status, DAL_OK);
        assert_int_equal(dal_pool_acquire(rig.pool, false, 0, &other, &rig.err), DAL_OK);
        dal_pool_release(rig.pool, other);
        end_rig(&rig);
}

static void test_pool__a_thread_that_holds_everything_does_not_wait_for_itself(void **state)
{
        dal_pool_options options = small_pool(2);
        struct rig rig = new_rig(&options);
        dal_conn *a = lease(&rig), *b = lease(&rig), *c;
        int64_t start = dal_clock_now();

        (void)state;
        assert_int_equal(dal_pool_acquire(rig.pool, false, dal_clock_after_ms(5000), &c, &rig.err),
                         DAL_ERR_EXHAUSTED);
        assert_true(ms_since(start) < 3000);
        assert_says(&rig.err, "by this thread itself");
        assert_says(&rig.err, "pool_rig.h:");
        dal_pool_release(rig.pool, a);
        dal_pool_release(rig.pool, b);
        end_rig(&rig);
}

static void *release_later(void *arg)
{
        struct rig *rig = ((void **)arg)[0];

        nap_ms(30);
        dal_pool_release(rig->pool, ((void **)arg)[1]);
        return NULL;
}

static void test_pool__leases_may_be_given_back_by_another_thread(void **state)
{
        dal_pool_options options = small_pool(1);
        struct rig rig = new_rig(&options);
        dal_conn *conn = lease(&rig);
        void *args[2] = {&rig, conn};
        pthread_t thread;

        (void)state;
        assert_int_equal(pthread_create(&thread, NULL, release_later, args), 0);
        assert_int_equal(pthread_join(thread, NULL), 0);
        /* From now on the pool knows that leases wander, and waits. */
        args[1] = lease(&rig);
        assert_int_equal(pthread_create(&thread, NULL, release_later, args), 0);
        conn = lease(&rig);
        assert_int_equal(pthread_join(thread, NULL), 0);
        dal_pool_release(rig.pool, conn);
        end_rig(&rig);
}

/* Closing a session may take the server a while: until then it is one of those that it has to bear. */
static struct {
        pthread_mutex_t lock;
        pthread_cond_t changed;
        bool is_closing, may_end;
} slow_end = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false, false};

static void close_slowly(void *conn)
{
        (void)pthread_mutex_lock(&slow_end.lock);
        slow_end.is_closing = true;
        (void)pthread_cond_broadcast(&slow_end.changed);
        while (!slow_end.may_end)
                (void)pthread_cond_wait(&slow_end.changed, &slow_end.lock);
        (void)pthread_mutex_unlock(&slow_end.lock);
        dal_driver_fake()->close(conn);
}

static void *release_main(void *arg)
{
        dal_pool_release(((struct rig *)((void **)arg)[0])->pool, ((void **)arg)[1]);
        return NULL;
}

static void test_pool__a_connection_counts_until_it_is_closed(void **state)
{
        dal_driver driver = *dal_driver_fake();
        dal_pool_options options = small_pool(1);
        char url[DAL_FAKE_URL_SIZE];
        struct rig rig = {.server = dal_fake_new()};
        dal_conn *conn, *other;
        void *args[2];
        pthread_t thread;
        dal_dsn *dsn;

        (void)state;
        driver.close = close_slowly;
        dal_fake_url(rig.server, url);
        assert_int_equal(dal_dsn_parse(url, &dsn, &rig.err), DAL_OK);
        assert_int_equal(dal_pool_new(&driver, dsn, &options, &rig.pool, &rig.err), DAL_OK);
        dal_dsn_free(dsn);
        conn = lease(&rig);
        dal_fake_kill(rig.server, 0);
        assert_int_not_equal(dal_conn_ping(conn, DAL_FOREVER, &rig.err), DAL_OK);
        args[0] = &rig;
        args[1] = conn;
        assert_int_equal(pthread_create(&thread, NULL, release_main, args), 0);
        (void)pthread_mutex_lock(&slow_end.lock);
        while (!slow_end.is_closing)
                (void)pthread_cond_wait(&slow_end.changed, &slow_end.lock);
        (void)pthread_mutex_unlock(&slow_end.lock);
        assert_int_equal(dal_pool_get_stats(rig.pool).closing, 1);
        assert_int_equal(dal_pool_get_stats(rig.pool).size, 1);
        assert_int_equal(dal_pool_acquire(rig.pool, false, dal_clock_after_ms(30), &other, &rig.err),
                         DAL_ERR_EXHAUSTED);
        assert_int_equal(dal_fake_get_stats(rig.server).n_opened, 1);
        (void)pthread_mutex_lock(&slow_end.lock);
        slow_end.may_end = true;
        (void)pthread_cond_broadcast(&slow_end.changed);
        (void)pthread_mutex_unlock(&slow_end.lock);
        other = lease(&rig);
        assert_int_equal(pthread_join(thread, NULL), 0);
        assert_int_equal(dal_fake_get_stats(rig.server).n_live, 1);
        dal_pool_release(rig.pool, other);
        end_rig(&rig);
}

/* ---- giving back ---- */

static void test_pool__an_open_transaction_is_rolled_back_on_release(void **state)
{
        dal_pool_options options = small_pool(1);
        struct rig rig = new_rig(&options);
        dal_value value = dal_int64(1);
        dal_conn *conn = lease(&rig);

        (void)state;
        assert_int_equal(dal_conn_begin(conn, DAL_ISOLATION_DEFAULT, false, DAL_FOREVER, &rig.err), DAL_OK);
        assert_int_equal(dal_conn_exec(conn, &put_row, (dal_params){&value, 1}, DAL_FOREVER, NULL, &rig.err),
                         DAL_OK);
        dal_pool_release(rig.pool, conn);
        assert_int_equal(dal_fake_journal_count(rig.server, "ROLLBACK"), 1);
        assert_int_equal(dal_fake_get_stats(rig.server).n_in_tx, 0);
        assert_ptr_equal(lease(&rig), conn);
        dal_pool_release(rig.pool, conn);
        end_rig(&rig);
}

/* BEGIN was answered by an error; whether a transaction is open all the same, only the server knows. */
static void test_pool__the_servers_word_tells_what_an_interrupted_begin_left(void **state)
{
        dal_value value = dal_int64(1);

        (void)state;
        for (int executed = 0; executed < 2; executed++) {
                dal_fake_fault fault = {.match = "BEGIN", .error_class = DAL_CLASS_CANCELED};
                dal_pool_options options = small_pool(1);
                struct rig rig = new_rig(&options);
                dal_conn *conn = lease(&rig);

                fault.executed = executed;
                assert_true(dal_fake_inject(rig.server, &fault));
                assert_int_equal(dal_conn_begin(conn, DAL_ISOLATION_DEFAULT, false, DAL_FOREVER, &rig.err),
                                 DAL_OK);
                assert_int_equal(
                        dal_conn_exec(conn, &put_row, (dal_params){&value, 1}, DAL_FOREVER, NULL, &rig.err),
                        DAL_ERR_CANCELED);
                assert_int_equal(dal_fake_get_stats(rig.server).n_in_tx, executed);
                dal_pool_release(rig.pool, conn);
                assert_int_equal(dal_fake_journal_count(rig.server, "ROLLBACK"), executed);
                assert_int_equal(dal_fake_get_stats(rig.server).n_in_tx, 0);
                assert_ptr_equal(lease(&rig), conn);
                dal_pool_release(rig.pool, conn);
                end_rig(&rig);
        }
}

static void test_pool__a_broken_connection_is_replaced_for_the_next_waiter(void **state)
{
        dal_pool_options options = small_pool(1);
        struct rig rig = new_rig(&options);
        dal_conn *conn = lease(&rig);
        struct user user;

        (void)state;
        start_user(&user, &rig, 5000, 0);
        wait_for(&rig, stats.waiting == 1);
        dal_fake_kill(rig.server, 0);
        assert_int_not_equal(dal_conn_ping(conn, DAL_FOREVER, &rig.err), DAL_OK);
        dal_pool_release(rig.pool, conn);
        join_user(&user);
        assert_int_equal(user.status, DAL_OK);
        assert_int_equal(dal_pool_get_stats(rig.pool).n_opened, 2);
        assert_int_equal(dal_pool_get_stats(rig.pool).n_closed, 1);
        assert_sums(&rig);
        end_rig(&rig);
}

static void test_pool__the_wanted_mode_is_preferred(void **state)
{
        dal_pool_options options = small_pool(2);
        struct rig rig = new_rig_of(&options, true);
        dal_conn *tx, *plain, *conn;

        (void)state;
        assert_int_equal(dal_pool_acquire(rig.pool, true, DAL_FOREVER, &tx, &rig.err), DAL_OK);
        assert_int_equal(dal_pool_acquire(rig.pool, false, DAL_FOREVER, &plain, &rig.err), DAL_OK);
        dal_pool_release(rig.pool, tx);
        dal_pool_release(rig.pool, plain);
        dal_fake_journal_clear(rig.server);
        assert_int_equal(dal_pool_acquire(rig.pool, true, DAL_FOREVER, &conn, &rig.err), DAL_OK);
        assert_ptr_equal(conn, tx);
        assert_int_equal(dal_fake_journal_count(rig.server, "MODE"), 0);
        assert_int_equal(dal_pool_acquire(rig.pool, true, DAL_FOREVER, &conn, &rig.err), DAL_OK);
        assert_ptr_equal(conn, plain);
        assert_int_equal(dal_fake_journal_count(rig.server, "MODE tx"), 1);
        dal_pool_release(rig.pool, tx);
        dal_pool_release(rig.pool, plain);
        end_rig(&rig);
}

/* ---- ending ---- */

static void test_pool__close_sends_waiters_away_and_drain_names_holders(void **state)
{
        dal_pool_options options = small_pool(1);
        struct rig rig = new_rig(&options);
        dal_conn *conn = lease(&rig), *other;
        struct user user;

        (void)state;
        assert_int_equal(dal_pool_drain(rig.pool, 0, &rig.err), DAL_ERR_STATE);
        assert_int_equal(dal_pool_free(rig.pool, &rig.err), DAL_ERR_STATE);
        start_user(&user, &rig, 5000, 0);
        wait_for(&rig, stats.waiting == 1);
        dal_pool_close(rig.pool);
        dal_pool_close(rig.pool);
        join_user(&user);
        assert_int_equal(user.status, DAL_ERR_STATE);
        assert_says(&user.err, "pool orders is closed");
        assert_int_equal(dal_pool_acquire(rig.pool, false, DAL_FOREVER, &other, &rig.err), DAL_ERR_STATE);
        assert_int_equal(dal_conn_ping(conn, DAL_FOREVER, &rig.err), DAL_OK); /* a lease stays usable */
        assert_int_equal(dal_pool_drain(rig.pool, dal_clock_after_ms(20), &rig.err), DAL_ERR_TIMEOUT);
        assert_says(&rig.err, "pool_rig.h:");
        assert_int_equal(dal_pool_free(rig.pool, &rig.err), DAL_ERR_STATE);
        assert_says(&rig.err, "still in use");
        dal_pool_release(rig.pool, conn);
        assert_int_equal(dal_pool_get_stats(rig.pool).size, 0);
        end_rig(&rig);
        assert_int_equal(dal_pool_free(NULL, NULL), DAL_OK);
}

static void test_pool__a_child_process_must_leave_the_pool_alone(void **state)
{
        dal_pool_options options = small_pool(2);
        struct rig rig = new_rig(&options);
        dal_conn *conn = lease(&rig);
        int status = -1;
        pid_t child;

        (void)state;
        dal_pool_release(rig.pool, lease(&rig));
        child = fork();
        if (child == 0) {
                dal_conn *other;
                bool ok = dal_pool_acquire(rig.pool, false, DAL_FOREVER, &other, &rig.err) == DAL_ERR_STATE &&
                          strstr(rig.err.message, "fork") != NULL;

                dal_pool_release(rig.pool, conn);
                dal_pool_close(rig.pool);
                ok = ok && dal_pool_drain(rig.pool, 0, &rig.err) == DAL_ERR_STATE;
                ok = ok && dal_pool_free(rig.pool, &rig.err) == DAL_ERR_STATE;
                _exit(ok ? 0 : 1);
        }
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
        assert_int_equal(dal_conn_ping(conn, DAL_FOREVER, &rig.err), DAL_OK);
        dal_pool_release(rig.pool, conn);
        end_rig(&rig);
}

/* ---- making ---- */

static void test_pool__bad_options_are_refused(void **state)
{
        dal_pool_options options = small_pool(2);
        dal_error err = DAL_ERROR_INIT;
        dal_pool *pool = NULL;
        dal_dsn *dsn;

        (void)state;
        assert_int_equal(dal_dsn_parse("fake:", &dsn, &err), DAL_OK);
        assert_int_equal(dal_pool_new(NULL, dsn, &options, &pool, &err), DAL_ERR_ARG);
        assert_int_equal(dal_pool_new(dal_driver_fake(), NULL, &options, &pool, &err), DAL_ERR_ARG);
        options.min_idle = 3;
        assert_int_equal(dal_pool_new(dal_driver_fake(), dsn, &options, &pool, &err), DAL_ERR_ARG);
        assert_says(&err, "min_idle=3");
        options = small_pool(1000000);
        assert_int_equal(dal_pool_new(dal_driver_fake(), dsn, &options, &pool, &err), DAL_ERR_ARG);
        memset(&options, 0, sizeof options);
        assert_int_equal(dal_pool_new(dal_driver_fake(), dsn, &options, &pool, &err), DAL_ERR_ARG);
        dal_dsn_free(dsn);
        options = small_pool(2);
        assert_int_equal(dal_dsn_parse("fake:?nosuchkey=1", &dsn, &err), DAL_OK);
        assert_int_equal(dal_pool_new(dal_driver_fake(), dsn, &options, &pool, &err), DAL_ERR_ARG);
        assert_says(&err, "no key \"nosuchkey\"");
        assert_null(pool);
        dal_dsn_free(dsn);
}

static void test_pool__no_memory_is_reported_and_leaves_nothing(void **state)
{
        dal_pool_options options = small_pool(2);
        dal_error err = DAL_ERROR_INIT;
        dal_status s = DAL_ERR_NOMEM;
        dal_dsn *dsn;
        dal_pool *pool;
        size_t n;

        (void)state;
        options.conn.service = "test";
        assert_int_equal(dal_dsn_parse("fake:", &dsn, &err), DAL_OK);
        for (n = 1; s != DAL_OK; n++) {
                mem_fault_at = n;
                s = dal_pool_new(dal_driver_fake(), dsn, &options, &pool, &err);
                mem_fault_at = 0;
                assert_true(s == DAL_OK || (s == DAL_ERR_NOMEM && !pool));
        }
        assert_true(n > 5);
        dal_pool_close(pool);
        assert_int_equal(dal_pool_free(pool, &err), DAL_OK);
        dal_dsn_free(dsn);
}

/* ---- many threads ---- */

struct hammer {
        struct rig *rig;
        unsigned seed;
        uint64_t n_served;
};

static void *hammer_main(void *arg)
{
        struct hammer *hammer = arg;
        dal_value value = dal_int64(1);
        dal_error err = DAL_ERROR_INIT;
        dal_conn *conn;

        for (int i = 0; i < 1500; i++) {
                hammer->seed = hammer->seed * 1103515245u + 12345u;
                if (dal_pool_acquire(hammer->rig->pool, false, dal_clock_after_ms(20000), &conn, &err))
                        continue;
                hammer->n_served++;
                if (hammer->seed >> 24 < 20)
                        (void)!dal_conn_exec(conn, &put_row, (dal_params){&value, 1}, DAL_FOREVER, NULL,
                                             &err);
                if (hammer->seed >> 16 % 8 == 0)
                        (void)!dal_conn_begin(conn, DAL_ISOLATION_DEFAULT, false, DAL_FOREVER, &err);
                dal_pool_release(hammer->rig->pool, conn);
        }
        return NULL;
}

static void test_pool__eight_threads_on_four_connections_keep_the_books(void **state)
{
        dal_fake_fault fault = {.at = DAL_FAKE_AT_REQUEST, .match = "put_row", .skip = 50, .times = 20};
        dal_pool_options options = small_pool(4);
        struct hammer hammers[8];
        pthread_t threads[8];
        dal_pool_stats stats;
        uint64_t n_served = 0;
        struct rig rig;

        (void)state;
        options.min_idle = 2;
        options.max_lifetime_ms = 40;
        options.validate_after_ms = 1;
        options.leak_after_ms = 1;
        rig = new_rig(&options);
        fault.error_class = DAL_CLASS_CONNECTION_LOST;
        assert_true(dal_fake_inject(rig.server, &fault));
        for (unsigned i = 0; i < 8; i++) {
                hammers[i] = (struct hammer){&rig, i, 0};
                assert_int_equal(pthread_create(&threads[i], NULL, hammer_main, &hammers[i]), 0);
        }
        for (int i = 0; i < 20; i++) {
                assert_sums(&rig);
                assert_true(dal_fake_get_stats(rig.server).n_live <= 4);
                nap_ms(2);
        }
        for (int i = 0; i < 8; i++) {
                assert_int_equal(pthread_join(threads[i], NULL), 0);
                n_served += hammers[i].n_served;
        }
        stats = dal_pool_get_stats(rig.pool);
        assert_int_equal(n_served, 8 * 1500);
        assert_int_equal(stats.n_acquired, n_served);
        assert_int_equal(stats.leased, 0);
        assert_int_equal(stats.waiting, 0);
        assert_int_equal(stats.n_timeouts + stats.n_refused, 0);
        assert_true(stats.n_opened - stats.n_closed == stats.size - stats.connecting - stats.closing ||
                    stats.closing > 0);
        end_rig(&rig);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_pool__the_connection_used_last_is_lent_first),
                cmocka_unit_test(test_pool__waiters_are_served_in_order_and_never_overtaken),
                cmocka_unit_test(test_pool__exhaustion_says_who_holds_what),
                cmocka_unit_test(test_pool__too_many_waiters_are_refused_at_once),
                cmocka_unit_test(test_pool__a_thread_that_holds_everything_does_not_wait_for_itself),
                cmocka_unit_test(test_pool__leases_may_be_given_back_by_another_thread),
                cmocka_unit_test(test_pool__a_connection_counts_until_it_is_closed),
                cmocka_unit_test(test_pool__an_open_transaction_is_rolled_back_on_release),
                cmocka_unit_test(test_pool__the_servers_word_tells_what_an_interrupted_begin_left),
                cmocka_unit_test(test_pool__a_broken_connection_is_replaced_for_the_next_waiter),
                cmocka_unit_test(test_pool__the_wanted_mode_is_preferred),
                cmocka_unit_test(test_pool__close_sends_waiters_away_and_drain_names_holders),
                cmocka_unit_test(test_pool__a_child_process_must_leave_the_pool_alone),
                cmocka_unit_test(test_pool__bad_options_are_refused),
                cmocka_unit_test(test_pool__no_memory_is_reported_and_leaves_nothing),
                cmocka_unit_test(test_pool__eight_threads_on_four_connections_keep_the_books),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
