/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
/* cmocka needs the four above first. Source: cmocka.h */
#include <cmocka.h>

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

#include "sqlite_raw.h"

static void nap_ms(long ms)
{
        struct timespec ts = {ms / 1000, ms % 1000 * 1000000};

        (void)nanosleep(&ts, NULL);
}

static const char endless[] =
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n";

/* ---- a disk that does not confirm ---- */

static atomic_bool sync_fails;

/* Source: dlfcn.h of glibc, which shows it only together with declarations that these functions can't have. */
#ifndef RTLD_NEXT
#define RTLD_NEXT ((void *)-1l)
#endif

static int sync_file(const char *name, int fd)
{
        int (*next)(int);

        if (atomic_load(&sync_fails)) {
                errno = EIO;
                return -1;
        }
        *(void **)&next = dlsym(RTLD_NEXT, name);
        return next(fd);
}

/* SQLite calls these instead of the system's. */
int fsync(int fd)
{
        return sync_file("fsync", fd);
}

int fdatasync(int fd)
{
        return sync_file("fdatasync", fd);
}

/* ---- transactions ---- */

static void test_sqlite__transactions_commit_and_roll_back(void **state)
{
        struct raw raw = open_file("tx.db"), other = open_file("tx.db");

        (void)state;
        must(&raw, run_script(&raw, "CREATE TABLE t (v)"));
        must(&raw, begin(&raw, false));
        assert_int_equal(sqlite()->tx_state(raw.conn), DAL_TX_STATE_ACTIVE);
        assert_int_equal(begin(&raw, false), DAL_ERR_STATE);
        must(&raw, run(&raw, "INSERT INTO t VALUES (1)", DAL_NO_PARAMS));
        assert_int_equal(number(&other, "SELECT count(*) FROM t"), 0);
        must(&raw, run_kind(&raw, DAL_REQUEST_SAVEPOINT));
        must(&raw, run(&raw, "INSERT INTO t VALUES (2)", DAL_NO_PARAMS));
        must(&raw, run_kind(&raw, DAL_REQUEST_ROLLBACK_TO));
        must(&raw, run_kind(&raw, DAL_REQUEST_RELEASE));
        must(&raw, run_kind(&raw, DAL_REQUEST_COMMIT));
        assert_int_equal(sqlite()->tx_state(raw.conn), DAL_TX_STATE_IDLE);
        assert_int_equal(number(&other, "SELECT count(*) FROM t"), 1);
        must(&raw, begin(&raw, false));
        must(&raw, run(&raw, "DELETE FROM t", DAL_NO_PARAMS));
        must(&raw, run_kind(&raw, DAL_REQUEST_ROLLBACK));
        must(&raw, run_kind(&raw, DAL_REQUEST_ROLLBACK));
        assert_int_equal(number(&other, "SELECT count(*) FROM t"), 1);
        assert_int_equal(run_kind(&raw, DAL_REQUEST_SAVEPOINT), DAL_ERR_STATE);
        assert_int_equal(run_kind(&raw, DAL_REQUEST_MODE), DAL_ERR_UNSUPPORTED);
        shut(&raw);
        shut(&other);
}

static void test_sqlite__a_read_only_transaction_refuses_writes(void **state)
{
        struct raw raw = open_file("rotx.db"), writer = open_file("rotx.db");

        (void)state;
        must(&raw, run_script(&raw, "CREATE TABLE t (v)"));
        must(&writer, begin(&writer, false));
        must(&raw, begin(&raw, true)); /* takes no write lock */
        assert_fails(&raw, "INSERT INTO t VALUES (1)", DAL_CLASS_READ_ONLY_TX, "");
        assert_int_equal(run_script(&raw, "DROP TABLE t"), DAL_ERR_READONLY);
        assert_int_equal(number(&raw, "SELECT count(*) FROM t"), 0);
        must(&raw, run_kind(&raw, DAL_REQUEST_COMMIT));
        must(&writer, run_kind(&writer, DAL_REQUEST_ROLLBACK));
        must(&raw, run(&raw, "INSERT INTO t VALUES (1)", DAL_NO_PARAMS));
        shut(&raw);
        shut(&writer);
}

static void test_sqlite__a_deferred_foreign_key_leaves_the_transaction_open(void **state)
{
        struct raw raw = open_file("deferred.db");

        (void)state;
        must(&raw, run_script(&raw, "CREATE TABLE p (id INTEGER PRIMARY KEY);"
                                    "CREATE TABLE c (p REFERENCES p (id) DEFERRABLE INITIALLY DEFERRED)"));
        must(&raw, begin(&raw, false));
        must(&raw, run(&raw, "INSERT INTO c VALUES (1)", DAL_NO_PARAMS));
        assert_int_equal(run_kind(&raw, DAL_REQUEST_COMMIT), DAL_ERR_CONSTRAINT);
        assert_int_equal(raw.err.error_class, DAL_CLASS_FOREIGN_KEY);
        assert_false(raw.err.tx_gone);
        assert_int_equal(sqlite()->tx_state(raw.conn), DAL_TX_STATE_ACTIVE);
        must(&raw, run_kind(&raw, DAL_REQUEST_ROLLBACK));
        assert_int_equal(sqlite()->tx_state(raw.conn), DAL_TX_STATE_IDLE);
        shut(&raw);
}

static void test_sqlite__after_an_automatic_rollback_nothing_runs_in_autocommit(void **state)
{
        struct raw raw = open_file("auto.db");

        (void)state;
        must(&raw, run_script(&raw, "CREATE TABLE t (id INTEGER PRIMARY KEY)"));
        for (int i = 0; i < 2; i++) {
                must(&raw, begin(&raw, false));
                must(&raw, run(&raw, "INSERT INTO t VALUES (1)", DAL_NO_PARAMS));
                assert_int_equal(run(&raw, "INSERT OR ROLLBACK INTO t VALUES (1)", DAL_NO_PARAMS),
                                 DAL_ERR_CONSTRAINT);
                assert_true(raw.err.tx_gone);
                assert_int_equal(sqlite()->tx_state(raw.conn), DAL_TX_STATE_FAILED);
                assert_int_equal(run(&raw, "INSERT INTO t VALUES (2)", DAL_NO_PARAMS), DAL_ERR_STATE);
                assert_int_equal(run_script(&raw, "INSERT INTO t VALUES (2)"), DAL_ERR_STATE);
                if (i == 0) {
                        assert_int_equal(run_kind(&raw, DAL_REQUEST_COMMIT), DAL_ERR_STATE);
                        assert_int_equal(raw.err.error_class, DAL_CLASS_COMMIT_ROLLED_BACK);
                } else {
                        must(&raw, run_kind(&raw, DAL_REQUEST_ROLLBACK));
                }
                assert_int_equal(sqlite()->tx_state(raw.conn), DAL_TX_STATE_IDLE);
                assert_int_equal(number(&raw, "SELECT count(*) FROM t"), 0);
        }
        shut(&raw);
}

static void test_sqlite__a_statement_that_ends_the_transaction_is_an_error(void **state)
{
        struct raw raw = open_file("ends.db");

        (void)state;
        must(&raw, begin(&raw, false));
        assert_int_equal(run_script(&raw, "COMMIT; CREATE TABLE t (v)"), DAL_ERR_STATE);
        assert_int_equal(raw.err.error_class, DAL_CLASS_TX_ENDED);
        assert_true(raw.err.tx_gone);
        must(&raw, run_kind(&raw, DAL_REQUEST_ROLLBACK));
        assert_fails(&raw, "SELECT * FROM t", DAL_CLASS_UNDEFINED_OBJECT, "42P01");
        must(&raw, begin(&raw, false));
        assert_fails(&raw, "ROLLBACK", DAL_CLASS_TX_ENDED, "");
        shut(&raw);
}

static void test_sqlite__a_stale_snapshot_is_a_serialization_failure(void **state)
{
        struct raw raw = open_file("snapshot.db"), other = open_file("snapshot.db");

        (void)state;
        must(&raw, run_script(&raw, "CREATE TABLE t (v)"));
        must(&raw, run_script(&raw, "BEGIN"));
        assert_int_equal(number(&raw, "SELECT count(*) FROM t"), 0);
        must(&other, run(&other, "INSERT INTO t VALUES (1)", DAL_NO_PARAMS));
        assert_fails(&raw, "INSERT INTO t VALUES (2)", DAL_CLASS_SERIALIZATION, "40001");
        assert_int_equal(raw.err.vendor_code, 517);
        assert_true(raw.err.retry_tx);
        must(&raw, sqlite()->reset(raw.conn, DAL_FOREVER, &raw.err));
        assert_int_equal(sqlite()->tx_state(raw.conn), DAL_TX_STATE_IDLE);
        shut(&raw);
        shut(&other);
}

/* ---- time ---- */

/* Runs something that must take so long and at most 50 ms more; on a busy machine one of five tries must. */
#define assert_takes(expected_ms, statement)                                                                 \
        do {                                                                                                 \
                int64_t best_ = INT64_MAX;                                                                   \
                for (int try_ = 0; try_ < 5 && best_ > (expected_ms) + 50; try_++) {                         \
                        int64_t took_, start_ = dal_clock_now();                                             \
                        statement;                                                                           \
                        took_ = (dal_clock_now() - start_) / 1000000;                                        \
                        assert_true(took_ >= (expected_ms)-1);                                               \
                        best_ = took_ < best_ ? took_ : best_;                                               \
                }                                                                                            \
                assert_in_range(best_, (expected_ms)-1, (expected_ms) + 50);                                 \
        } while (0)

static void test_sqlite__a_running_statement_ends_at_its_deadline(void **state)
{
        struct raw raw = open_limited("deadline.db", 0, 0), limited = open_limited("deadline.db", 0, 40);
        dal_request request = text_request(endless, DAL_NO_PARAMS);
        dal_request insert =
                text_request("INSERT INTO t WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 "
                             "FROM n) SELECT i FROM n",
                             DAL_NO_PARAMS);

        (void)state;
        must(&raw, run_script(&raw, "CREATE TABLE t (v)"));
        assert_takes(60, {
                assert_int_equal(run_until(&raw, &request, dal_clock_after_ms(60)), DAL_ERR_TIMEOUT);
                assert_int_equal(raw.err.error_class, DAL_CLASS_DEADLINE);
        });
        assert_int_equal(number(&raw, "SELECT 1"), 1);
        assert_takes(40, assert_fails(&limited, endless, DAL_CLASS_STATEMENT_TIMEOUT, "57014"));
        must(&raw, begin(&raw, false));
        assert_int_equal(run_until(&raw, &insert, dal_clock_after_ms(30)), DAL_ERR_TIMEOUT);
        assert_true(raw.err.tx_gone);
        assert_int_equal(sqlite()->tx_state(raw.conn), DAL_TX_STATE_FAILED);
        must(&raw, run_kind(&raw, DAL_REQUEST_ROLLBACK));
        assert_int_equal(run_until(&raw, &insert, 0), DAL_ERR_TIMEOUT);
        assert_true(raw.err.not_sent);
        assert_int_equal(number(&raw, "SELECT count(*) FROM t"), 0);
        shut(&raw);
        shut(&limited);
}

/*
 * SQLite asks whether to go on after every 1000 steps of a kept statement, executions added up; and when it comes to
 * ask at the very end of one, that one is committed already.
 */
static void test_sqlite__a_statement_is_either_late_or_done(void **state)
{
        struct raw raw = open_file("late.db");
        dal_driver_stmt stmt;
        dal_request request;
        int64_t n_done = 0;

        (void)state;
        must(&raw, run_script(&raw, "CREATE TABLE t (v); PRAGMA synchronous = OFF"));
        memset(&stmt, 0, sizeof stmt);
        stmt.text = "INSERT INTO t VALUES (1)";
        stmt.text_size = strlen(stmt.text);
        stmt.state = calloc(1, sqlite()->stmt_size);
        memset(&request, 0, sizeof request);
        request.kind = DAL_REQUEST_STMT;
        request.stmt = &stmt;
        for (int i = 0; i < 2000; i++)
                if (run_until(&raw, &request, dal_clock_now() + 2000) == DAL_OK)
                        n_done++;
        assert_true(n_done > 0);
        assert_int_equal(number(&raw, "SELECT count(*) FROM t"), n_done);
        shut(&raw);
        free(stmt.state);
}

static void test_sqlite__waits_for_a_lock_have_an_end(void **state)
{
        struct raw holder = open_file("wait.db"), limited = open_limited("wait.db", 50, 0),
                   other = open_file("wait.db");
        dal_request request = text_request("INSERT INTO t VALUES (1)", DAL_NO_PARAMS);
        dal_request limits;

        (void)state;
        must(&holder, run_script(&holder, "CREATE TABLE t (v)"));
        must(&holder, begin(&holder, false));
        assert_takes(50, assert_int_equal(begin(&limited, false), DAL_ERR_CONFLICT));
        assert_int_equal(limited.err.error_class, DAL_CLASS_LOCK_TIMEOUT);
        assert_string_equal(limited.err.sqlstate, "55P03");
        assert_int_equal(sqlite()->tx_state(limited.conn), DAL_TX_STATE_IDLE);
        assert_takes(30,
                     assert_int_equal(run_until(&other, &request, dal_clock_after_ms(30)), DAL_ERR_TIMEOUT));
        assert_int_equal(other.err.error_class, DAL_CLASS_DEADLINE);
        /* A limit for one transaction does not outlive it. */
        memset(&limits, 0, sizeof limits);
        limits.kind = DAL_REQUEST_BEGIN;
        limits.lock_timeout_ms = 20;
        assert_takes(20, assert_int_equal(run_until(&limited, &limits, DAL_FOREVER), DAL_ERR_CONFLICT));
        assert_takes(50, assert_int_equal(begin(&limited, false), DAL_ERR_CONFLICT));
        must(&holder, run_kind(&holder, DAL_REQUEST_COMMIT));
        must(&limited, run_until(&limited, &request, DAL_FOREVER));
        shut(&holder);
        shut(&limited);
        shut(&other);
}

static void *cancel_soon(void *arg)
{
        struct raw *raw = arg;
        dal_error err;

        nap_ms(30);
        (void)sqlite()->cancel(raw->conn, DAL_FOREVER, &err);
        return NULL;
}

static void test_sqlite__cancel_ends_a_statement_and_a_wait(void **state)
{
        struct raw raw = open_file("cancel.db"), holder = open_file("cancel.db");
        pthread_t thread;

        (void)state;
        assert_takes(30, {
                assert_int_equal(pthread_create(&thread, NULL, cancel_soon, &raw), 0);
                assert_fails(&raw, endless, DAL_CLASS_CANCELED, "57014");
                assert_int_equal(pthread_join(thread, NULL), 0);
        });
        must(&holder, begin(&holder, false));
        assert_takes(30, {
                assert_int_equal(pthread_create(&thread, NULL, cancel_soon, &raw), 0);
                assert_int_equal(begin(&raw, false), DAL_ERR_CANCELED);
                assert_int_equal(pthread_join(thread, NULL), 0);
        });
        must(&raw, sqlite()->cancel(raw.conn, DAL_FOREVER, &raw.err)); /* of nothing */
        assert_int_equal(number(&raw, "SELECT 1"), 1);
        shut(&raw);
        shut(&holder);
}

struct adder {
        const char *file;
        int n_failed;
};

static void *add_many(void *arg)
{
        struct adder *adder = arg;
        struct raw raw;

        if (try_open(&raw, adder->file, 0, 0)) {
                adder->n_failed = 1000;
                return NULL;
        }
        for (int i = 0; i < 50; i++)
                if (begin(&raw, false) || run(&raw, "UPDATE t SET v = v + 1", DAL_NO_PARAMS) ||
                    run_kind(&raw, DAL_REQUEST_COMMIT))
                        adder->n_failed++;
        shut(&raw);
        return NULL;
}

static void test_sqlite__writers_side_by_side_lose_nothing(void **state)
{
        char url[256];
        struct adder adders[4];
        pthread_t threads[4];
        struct raw raw = open_file("adders.db");

        (void)state;
        must(&raw, run_script(&raw, "CREATE TABLE t (v INT); INSERT INTO t VALUES (0)"));
        (void)snprintf(url, sizeof url, "%s", url_of("adders.db", ""));
        for (int i = 0; i < 4; i++) {
                adders[i] = (struct adder){url, 0};
                assert_int_equal(pthread_create(&threads[i], NULL, add_many, &adders[i]), 0);
        }
        for (int i = 0; i < 4; i++) {
                assert_int_equal(pthread_join(threads[i], NULL), 0);
                assert_int_equal(adders[i].n_failed, 0);
        }
        assert_int_equal(number(&raw, "SELECT v FROM t"), 200);
        shut(&raw);
}

/* The frames stand in the log: nobody sees them now, but after a crash recovery may find them whole. */
static void test_sqlite__what_the_disk_did_not_confirm_is_in_doubt(void **state)
{
        struct raw raw = open_file("sync.db"), other = open_file("sync.db");

        (void)state;
        must(&raw, run_script(&raw, "CREATE TABLE t (v)"));
        atomic_store(&sync_fails, true);
        assert_fails(&raw, "INSERT INTO t VALUES (1)", DAL_CLASS_COMMIT_UNKNOWN, "");
        assert_false(raw.err.not_sent);
        assert_non_null(strstr(raw.err.message, "sync.db"));
        assert_int_equal(sqlite()->tx_state(raw.conn), DAL_TX_STATE_IDLE);
        /* COMMIT alike, but not the statements before it. */
        must(&raw, begin(&raw, false));
        must(&raw, run(&raw, "INSERT INTO t VALUES (2)", DAL_NO_PARAMS));
        assert_int_equal(run_kind(&raw, DAL_REQUEST_COMMIT), DAL_ERR_IN_DOUBT);
        assert_int_equal(raw.err.error_class, DAL_CLASS_COMMIT_UNKNOWN);
        assert_true(raw.err.tx_gone);
        must(&raw, run_kind(&raw, DAL_REQUEST_ROLLBACK));
        assert_int_equal(number(&raw, "SELECT count(*) FROM t"), 0); /* a read has nothing to confirm */
        atomic_store(&sync_fails, false);
        must(&raw, run(&raw, "INSERT INTO t VALUES (3)", DAL_NO_PARAMS));
        assert_int_equal(number(&other, "SELECT sum(v) FROM t"), 3);
        shut(&raw);
        shut(&other);
}

/* Runs a statement as the library does: prepared, and a second time; then by the queue. */
static void expect_write(struct raw *raw, const char *sql, int64_t n_rows, int64_t insert_id)
{
        void *own = calloc(1, sqlite()->stmt_size);
        dal_driver_stmt stmt = {.name = "write", .text = sql, .text_size = strlen(sql), .state = own};
        dal_request request = {.kind = DAL_REQUEST_STMT};

        request.stmt = &stmt;
        for (int i = 0; i < 3; i++) {
                must(raw, run_kind(raw, DAL_REQUEST_SAVEPOINT));
                memset(&raw->result, 0, sizeof raw->result);
                if (i < 2)
                        must(raw, sqlite()->run(raw->conn, &request, DAL_FOREVER, &raw->result, &raw->err));
                else
                        must(raw, run_until(raw, &request, DAL_FOREVER));
                assert_false(raw->result.has_rows);
                assert_int_equal(raw->result.n_rows, n_rows);
                assert_int_equal(raw->result.insert_id, insert_id);
                must(raw, run_kind(raw, DAL_REQUEST_ROLLBACK_TO));
                must(raw, run_kind(raw, DAL_REQUEST_RELEASE));
        }
        sqlite()->stmt_close(raw->conn, &stmt);
        free(own);
}

static void test_sqlite__prepared_writes_report_their_own_counts_and_ids(void **state)
{
        struct raw raw = open_file("writes.db");

        (void)state;
        must(&raw, run_script(&raw, "CREATE TABLE c (id INTEGER PRIMARY KEY, v INT UNIQUE);"
                                    "CREATE TABLE w (id INT PRIMARY KEY) WITHOUT ROWID;"
                                    "CREATE TABLE log (v INT);"
                                    "CREATE TRIGGER t AFTER DELETE ON c BEGIN INSERT INTO log VALUES (old.v);"
                                    " INSERT INTO log VALUES (old.v); END;"
                                    "CREATE VIEW seen AS SELECT v FROM c;"
                                    "CREATE TRIGGER s INSTEAD OF INSERT ON seen BEGIN"
                                    " INSERT INTO log VALUES (1); END;"
                                    "INSERT INTO c VALUES (1, 1), (2, 2), (3, 3)"));
        must(&raw, begin(&raw, false));
        expect_write(&raw, "/* name */ -- and more\n INSERT INTO c VALUES (7, 7), (8, 8)", 2, 8);
        expect_write(&raw, "insert or ignore into c values (1, 1)", 0, 0);
        expect_write(&raw, "INSERT INTO c VALUES (1, 1) ON CONFLICT DO UPDATE SET v = 4", 1, 0);
        expect_write(&raw, "INSERT INTO w VALUES (9)", 1, 0);
        expect_write(&raw, "INSERT INTO seen VALUES (5)", 0, 0);
        expect_write(&raw, "REPLACE INTO c VALUES (2, 9)", 1, 2);
        expect_write(&raw, "UPDATE c SET v = v + 10 WHERE id > 1", 2, 0);
        expect_write(&raw, "UPDATE c SET v = v WHERE id = 99", 0, 0);
        expect_write(&raw, "DELETE FROM c WHERE id = 3", 1, 0);
        expect_write(&raw, "DELETE FROM c", 3, 0);
        expect_write(&raw, "WITH n(i) AS (VALUES (5), (6)) INSERT INTO c SELECT i, i FROM n", 2, 6);
        expect_write(&raw, "CREATE TABLE IF NOT EXISTS other (v INT)", 0, 0);
        must(&raw, run_kind(&raw, DAL_REQUEST_ROLLBACK));
        shut(&raw);
}

static void *open_new(void *arg)
{
        struct adder *adder = arg;
        struct raw raw;

        adder->n_failed = try_open(&raw, adder->file, 0, 0) != DAL_OK;
        shut(&raw);
        return NULL;
}

static void test_sqlite__a_new_file_can_be_opened_by_many_at_once(void **state)
{
        char file[32], url[256];
        struct adder adders[6];
        pthread_t threads[6];

        (void)state;
        for (int round = 0; round < 5; round++) {
                (void)snprintf(file, sizeof file, "many%d.db", round);
                (void)snprintf(url, sizeof url, "%s", url_of(file, ""));
                for (int i = 0; i < 6; i++) {
                        adders[i] = (struct adder){url, 0};
                        assert_int_equal(pthread_create(&threads[i], NULL, open_new, &adders[i]), 0);
                }
                for (int i = 0; i < 6; i++) {
                        assert_int_equal(pthread_join(threads[i], NULL), 0);
                        assert_int_equal(adders[i].n_failed, 0);
                }
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_sqlite__transactions_commit_and_roll_back),
                cmocka_unit_test(test_sqlite__a_read_only_transaction_refuses_writes),
                cmocka_unit_test(test_sqlite__a_deferred_foreign_key_leaves_the_transaction_open),
                cmocka_unit_test(test_sqlite__after_an_automatic_rollback_nothing_runs_in_autocommit),
                cmocka_unit_test(test_sqlite__a_statement_that_ends_the_transaction_is_an_error),
                cmocka_unit_test(test_sqlite__a_stale_snapshot_is_a_serialization_failure),
                cmocka_unit_test(test_sqlite__a_running_statement_ends_at_its_deadline),
                cmocka_unit_test(test_sqlite__a_statement_is_either_late_or_done),
                cmocka_unit_test(test_sqlite__waits_for_a_lock_have_an_end),
                cmocka_unit_test(test_sqlite__cancel_ends_a_statement_and_a_wait),
                cmocka_unit_test(test_sqlite__writers_side_by_side_lose_nothing),
                cmocka_unit_test(test_sqlite__what_the_disk_did_not_confirm_is_in_doubt),
                cmocka_unit_test(test_sqlite__prepared_writes_report_their_own_counts_and_ids),
                cmocka_unit_test(test_sqlite__a_new_file_can_be_opened_by_many_at_once),
        };

        return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
