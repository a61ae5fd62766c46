/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
/* cmocka needs the four above first. Source: cmocka.h */
#include <cmocka.h>

#include "conn/pool_state.h"
#include "pool_rig.h"

/* What one connection of a pool learns, the others act on before they are lent again; and what is given back twice. */

static const dal_stmt get_row = DAL_STMT("get_row", "SELECT v FROM t WHERE id = 1");
static const dal_stmt put_row = DAL_STMT("put_row", "INSERT INTO t (id) VALUES (1)");
static const dal_stmt call_it = DAL_STMT("call_it", "CALL do_much()");
static const dal_stmt add_column = DAL_STMT("add_column", "ALTER TABLE t ADD COLUMN w BIGINT");

static void exec(struct rig *rig, dal_conn *conn, const dal_stmt *stmt)
{
        if (dal_conn_exec(conn, stmt, DAL_NO_PARAMS, DAL_FOREVER, NULL, &rig->err))
                fail_msg("%s", rig->err.message);
}

static void script(struct rig *rig, dal_conn *conn, const char *sql)
{
        if (dal_conn_script(conn, sql, DAL_FOREVER, &rig->err))
                fail_msg("%s", rig->err.message);
}

static dal_conn_stats stats_of(const dal_conn *conn)
{
        return dal_conn_get_stats(conn);
}

/* Two connections on which a statement is prepared; both leased. */
static void lease_two(struct rig *rig, dal_conn *out[2])
{
        out[0] = lease(rig);
        out[1] = lease(rig);
        for (int i = 0; i < 2; i++)
                exec(rig, out[i], &get_row);
}

/* Gives both back and leases them again; the order may be another one, so they are put right. */
static void lend_again(struct rig *rig, dal_conn *conns[2])
{
        dal_conn *first;

        dal_pool_release(rig->pool, conns[1]);
        dal_pool_release(rig->pool, conns[0]);
        first = lease(rig);
        assert_true(first == conns[0] || first == conns[1]);
        assert_ptr_equal(lease(rig), first == conns[0] ? conns[1] : conns[0]);
}

static void end_two(struct rig *rig, dal_conn *conns[2])
{
        dal_pool_release(rig->pool, conns[0]);
        dal_pool_release(rig->pool, conns[1]);
        end_rig(rig);
}

/* ---- the schema ---- */

static void test_pool__a_change_of_the_schema_makes_every_connection_prepare_anew(void **state)
{
        static const char *const changes[] = {
                "CREATE INDEX i ON t (v)",
                "alter table t add column w BIGINT",
                "-- so\nDROP TABLE t",
                "TRUNCATE t",
                "/* so */ RENAME TABLE t TO u",
                "INSERT INTO t (v) VALUES ('x'); DROP TABLE u",
                "CREATE TEMPORARY TABLE x (i INT); CREATE TABLE temp (i INT)",
        };

        (void)state;
        for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
                dal_pool_options options = small_pool(2);
                struct rig rig = new_rig(&options);
                dal_conn *conns[2];

                lease_two(&rig, conns);
                script(&rig, conns[0], changes[i]);
                assert_int_equal(stats_of(conns[0]).n_invalidated, 1);
                assert_int_equal(stats_of(conns[1]).n_invalidated, 0);
                lend_again(&rig, conns);
                assert_int_equal(stats_of(conns[0]).n_invalidated, 1);
                assert_int_equal(stats_of(conns[1]).n_invalidated, 1);
                for (int j = 0; j < 2; j++) {
                        exec(&rig, conns[j], &get_row);
                        assert_int_equal(stats_of(conns[j]).n_prepared, 2);
                        assert_int_equal(stats_of(conns[j]).n_evicted, 0);
                }
                /* Once is enough. */
                lend_again(&rig, conns);
                assert_int_equal(stats_of(conns[0]).n_invalidated + stats_of(conns[1]).n_invalidated, 2);
                assert_int_equal(dal_fake_get_stats(rig.server).n_prepared, 4);
                end_two(&rig, conns);
        }
}

static void test_pool__a_statement_may_change_the_schema_too(void **state)
{
        dal_pool_options options = small_pool(2);
        struct rig rig = new_rig(&options);
        dal_conn *conns[2];

        (void)state;
        lease_two(&rig, conns);
        exec(&rig, conns[0], &add_column);
        lend_again(&rig, conns);
        assert_int_equal(stats_of(conns[0]).n_invalidated, 2); /* and itself */
        assert_int_equal(stats_of(conns[1]).n_invalidated, 1);
        assert_int_equal(
                dal_conn_exec_dynamic(conns[1], "DROP TABLE u", DAL_NO_PARAMS, DAL_FOREVER, NULL, &rig.err),
                DAL_OK);
        exec(&rig, conns[0], &get_row);
        lend_again(&rig, conns);
        assert_int_equal(stats_of(conns[0]).n_invalidated, 3);
        end_two(&rig, conns);
}

static void test_pool__everyday_statements_change_no_schema(void **state)
{
        static const char *const everyday[] = {
                "SET TIME ZONE 'UTC'",
                "CREATE TEMP TABLE x (i INT)",
                "CREATE LOCAL TEMPORARY TABLE x (i INT)",
                "INSERT INTO t (v) VALUES ('; DROP TABLE t')",
                "SELECT 1 -- ; DROP TABLE t",
                "UPDATE alter_log SET \"drop\" = 'create'",
        };
        dal_pool_options options = small_pool(2);
        struct rig rig = new_rig(&options);
        dal_conn *conns[2];

        (void)state;
        lease_two(&rig, conns);
        for (size_t i = 0; i < sizeof everyday / sizeof everyday[0]; i++)
                script(&rig, conns[0], everyday[i]);
        exec(&rig, conns[0], &put_row);
        lend_again(&rig, conns);
        assert_int_equal(stats_of(conns[0]).n_invalidated + stats_of(conns[1]).n_invalidated, 0);
        end_two(&rig, conns);
}

/* What others prepare while the change is not committed is made for the schema as it was. */
static void test_pool__a_change_in_a_transaction_is_told_when_that_is_over(void **state)
{
        (void)state;
        for (int commits = 0; commits < 2; commits++) {
                dal_pool_options options = small_pool(2);
                struct rig rig = new_rig(&options);
                dal_conn *conns[2];

                lease_two(&rig, conns);
                assert_int_equal(
                        dal_conn_begin(conns[0], DAL_ISOLATION_DEFAULT, false, DAL_FOREVER, &rig.err),
                        DAL_OK);
                exec(&rig, conns[0], &add_column);
                exec(&rig, conns[0], &get_row);
                exec(&rig, conns[0], &get_row);
                assert_int_equal(stats_of(conns[0]).n_invalidated, 2); /* its own at once, and once */
                dal_pool_release(rig.pool, conns[1]);
                assert_ptr_equal(lease(&rig), conns[1]);
                assert_int_equal(stats_of(conns[1]).n_invalidated, 0);
                if (commits)
                        assert_int_equal(dal_conn_commit(conns[0], DAL_FOREVER, &rig.err), DAL_OK);
                /* else the pool rolls back */
                lend_again(&rig, conns);
                assert_int_equal(stats_of(conns[1]).n_invalidated, 1);
                end_two(&rig, conns);
        }
}

static void inject(struct rig *rig, const char *match, dal_error_class error_class)
{
        dal_fake_fault fault = {.match = match, .error_class = error_class};

        assert_true(dal_fake_inject(rig->server, &fault));
}

static void test_pool__a_stale_statement_is_run_again_and_the_others_hear_of_it(void **state)
{
        dal_pool_options options = small_pool(2);
        struct rig rig = new_rig(&options);
        dal_conn *conns[2];
        dal_rows *rows;

        (void)state;
        lease_two(&rig, conns);
        exec(&rig, conns[0], &put_row);
        dal_fake_journal_clear(rig.server);
        inject(&rig, "get_row", DAL_CLASS_SCHEMA_CHANGED);
        rig.err = (dal_error)DAL_ERROR_INIT;
        assert_int_equal(dal_conn_query(conns[0], &get_row, DAL_NO_PARAMS, DAL_FOREVER, &rows, &rig.err),
                         DAL_OK);
        dal_rows_close(rows);
        assert_int_equal(rig.err.status, DAL_OK);
        assert_string_equal(rig.err.message, "");
        assert_int_equal(dal_fake_journal_count(rig.server, "get_row"), 2);
        assert_int_equal(dal_fake_journal_count(rig.server, "get_row !schema_changed"), 1);
        assert_int_equal(stats_of(conns[0]).n_invalidated, 2); /* what else it had may be as old */
        lend_again(&rig, conns);
        assert_int_equal(stats_of(conns[1]).n_invalidated, 1);
        /* Once is tried; what fails again is told. */
        inject(&rig, "get_row", DAL_CLASS_SCHEMA_CHANGED);
        inject(&rig, "get_row", DAL_CLASS_SCHEMA_CHANGED);
        assert_int_equal(dal_conn_exec(conns[0], &get_row, DAL_NO_PARAMS, DAL_FOREVER, NULL, &rig.err),
                         DAL_ERR_CONFLICT);
        assert_int_equal(rig.err.error_class, DAL_CLASS_SCHEMA_CHANGED);
        end_two(&rig, conns);
}

static void test_pool__in_a_transaction_a_stale_statement_asks_for_another_attempt(void **state)
{
        dal_pool_options options = small_pool(2);
        struct rig rig = new_rig(&options);
        dal_conn *conns[2];

        (void)state;
        lease_two(&rig, conns);
        inject(&rig, "get_row", DAL_CLASS_SCHEMA_CHANGED);
        assert_int_equal(dal_conn_begin(conns[0], DAL_ISOLATION_DEFAULT, false, DAL_FOREVER, &rig.err),
                         DAL_OK);
        exec(&rig, conns[0], &put_row);
        assert_int_equal(dal_conn_exec(conns[0], &get_row, DAL_NO_PARAMS, DAL_FOREVER, NULL, &rig.err),
                         DAL_ERR_CONFLICT);
        assert_int_equal(rig.err.error_class, DAL_CLASS_SCHEMA_CHANGED);
        assert_true(rig.err.retry_tx);
        assert_int_equal(dal_conn_exec(conns[0], &put_row, DAL_NO_PARAMS, DAL_FOREVER, NULL, &rig.err),
                         DAL_ERR_STATE);
        assert_int_equal(dal_conn_tx_state(conns[0]), DAL_TX_STATE_FAILED);
        lend_again(&rig, conns);
        assert_int_equal(stats_of(conns[0]).n_invalidated, 2);
        assert_int_equal(stats_of(conns[1]).n_invalidated, 1);
        assert_int_equal(stats_of(conns[0]).n_cached, 0);
        end_two(&rig, conns);
}

/* A part of it may have been committed. */
static void test_pool__a_stale_procedure_is_not_run_again(void **state)
{
        dal_pool_options options = small_pool(2);
        struct rig rig = new_rig(&options);
        dal_conn *conns[2];

        (void)state;
        lease_two(&rig, conns);
        inject(&rig, "call_it", DAL_CLASS_SCHEMA_CHANGED);
        assert_int_equal(dal_conn_exec(conns[0], &call_it, DAL_NO_PARAMS, DAL_FOREVER, NULL, &rig.err),
                         DAL_ERR_CONFLICT);
        assert_int_equal(dal_fake_journal_count(rig.server, "call_it"), 1);
        lend_again(&rig, conns);
        assert_int_equal(stats_of(conns[1]).n_invalidated, 1);
        end_two(&rig, conns);
}

/* ---- the server's number of prepared statements ---- */

static void test_pool__its_connections_share_what_the_server_can_prepare(void **state)
{
        static const struct {
                uint32_t max_prepared, max_size, asked, got;
        } cases[] = {{0, 10, 0, 256}, {16382, 10, 0, 256}, {16382, 50, 0, 81},
                     {400, 5, 0, 20}, {400, 5, 18, 18},    {400, 100, 0, 16},
                     {1, 1, 0, 16},   {400, 100, 3, 3},    {UINT32_MAX, 1, 0, 256}};

        (void)state;
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
                dal_pool_options options = small_pool(cases[i].max_size);
                struct rig rig;
                dal_conn *conn;

                options.conn.statement_cache_size = cases[i].asked;
                rig = new_rig(&options);
                dal_fake_set_max_prepared(rig.server, cases[i].max_prepared);
                conn = lease(&rig);
                assert_int_equal(stats_of(conn).cache_size, cases[i].got);
                dal_pool_release(rig.pool, conn);
                end_rig(&rig);
        }
}

/* ---- a lost server ---- */

/* A restart closes all sessions at once: the first one found dead casts doubt on those used a moment ago. */
static void test_pool__the_first_connection_found_dead_has_the_others_asked(void **state)
{
        dal_pool_options options = small_pool(4);
        struct rig rig = new_rig(&options);
        dal_conn *conns[4], *fresh;

        (void)state;
        for (int i = 0; i < 4; i++)
                conns[i] = lease(&rig);
        for (int i = 0; i < 4; i++)
                dal_pool_release(rig.pool, conns[i]);
        dal_fake_kill(rig.server, 0);
        conns[0] = lease(&rig);
        assert_int_equal(dal_conn_exec(conns[0], &get_row, DAL_NO_PARAMS, DAL_FOREVER, NULL, &rig.err),
                         DAL_ERR_CONN);
        assert_int_equal(dal_fake_journal_count(rig.server, "PING"), 0);
        dal_pool_release(rig.pool, conns[0]);
        fresh = lease(&rig);
        exec(&rig, fresh, &get_row); /* nobody fails any more */
        assert_int_equal(dal_fake_journal_count(rig.server, "PING"), 3);
        assert_int_equal(dal_pool_get_stats(rig.pool).n_closed, 4);
        assert_int_equal(dal_pool_get_stats(rig.pool).n_opened, 5);
        /* One that answers is in no doubt afterwards. */
        dal_pool_release(rig.pool, fresh);
        dal_pool_release(rig.pool, lease(&rig));
        assert_int_equal(dal_fake_journal_count(rig.server, "PING"), 3);
        end_rig(&rig);
}

static void test_pool__one_session_ended_by_hand_costs_the_others_a_ping(void **state)
{
        dal_pool_options options = small_pool(2);
        struct rig rig = new_rig(&options);
        dal_conn *conns[2];

        (void)state;
        lease_two(&rig, conns);
        dal_pool_release(rig.pool, conns[1]);
        dal_fake_kill(rig.server, dal_conn_info(conns[0])->session_id);
        assert_int_equal(dal_conn_exec(conns[0], &get_row, DAL_NO_PARAMS, DAL_FOREVER, NULL, &rig.err),
                         DAL_ERR_CONN);
        dal_pool_release(rig.pool, conns[0]);
        assert_ptr_equal(lease(&rig), conns[1]);
        assert_int_equal(dal_fake_journal_count(rig.server, "PING"), 1);
        assert_int_equal(stats_of(conns[1]).n_invalidated, 0);
        dal_pool_release(rig.pool, conns[1]);
        end_rig(&rig);
}

/* After a failover every connection leads to the old primary, and each would have to fail by itself. */
static void test_pool__a_server_that_became_read_only_is_left_by_all(void **state)
{
        dal_pool_options options = small_pool(4);
        struct rig rig = new_rig(&options);
        dal_conn *conns[4], *writer, *other;

        (void)state;
        for (int i = 0; i < 4; i++)
                conns[i] = lease(&rig);
        dal_pool_release(rig.pool, conns[0]);
        dal_pool_release(rig.pool, conns[1]);
        inject(&rig, "put_row", DAL_CLASS_READ_ONLY_SERVER);
        assert_int_equal(dal_conn_exec(conns[2], &put_row, DAL_NO_PARAMS, DAL_FOREVER, NULL, &rig.err),
                         DAL_ERR_READONLY);
        assert_true(rig.err.retry_tx);
        dal_pool_release(rig.pool, conns[2]);
        writer = lease(&rig);
        assert_int_equal(dal_pool_get_stats(rig.pool).n_opened, 5);
        assert_int_equal(dal_pool_get_stats(rig.pool).n_closed, 3);
        dal_pool_release(rig.pool, conns[3]); /* in use meanwhile: goes when it is wanted next */
        other = lease(&rig);
        assert_int_equal(dal_pool_get_stats(rig.pool).n_opened, 6);
        assert_int_equal(dal_pool_get_stats(rig.pool).n_closed, 4);
        /* Another one so soon goes alone: who writes to a replica must not have the pool connect all the time. */
        dal_pool_release(rig.pool, other);
        inject(&rig, "put_row", DAL_CLASS_READ_ONLY_SERVER);
        assert_int_equal(dal_conn_exec(writer, &put_row, DAL_NO_PARAMS, DAL_FOREVER, NULL, &rig.err),
                         DAL_ERR_READONLY);
        dal_pool_release(rig.pool, writer);
        assert_ptr_equal(lease(&rig), other);
        assert_int_equal(dal_pool_get_stats(rig.pool).n_closed, 5);
        dal_pool_release(rig.pool, other);
        end_rig(&rig);
}

/* ---- given back twice ---- */

static void test_pool__what_is_given_back_twice_is_lent_once(void **state)
{
        (void)state;
        for (int in_line = 0; in_line < 2; in_line++) {
                dal_pool_options options = small_pool(3);
                struct rig rig = new_rig(&options);
                dal_conn *first = lease(&rig), *conns[3];

                dal_pool_release(rig.pool, first);
                if (in_line) /* where it waits to be lent is none of the caller's business */
                        (void)dal_pool_get_stats(rig.pool), (void)pthread_mutex_lock(&rig.pool->lock),
                                dal__pool_unpark(rig.pool), (void)pthread_mutex_unlock(&rig.pool->lock);
                dal_pool_release(rig.pool, first);
                dal_pool_release(rig.pool, first);
                assert_int_equal(dal_pool_get_stats(rig.pool).size, 1);
                assert_int_equal(dal_pool_get_stats(rig.pool).idle, 1);
                for (int i = 0; i < 3; i++)
                        conns[i] = lease(&rig);
                assert_true(conns[0] != conns[1] && conns[1] != conns[2] && conns[0] != conns[2]);
                for (int i = 0; i < 3; i++)
                        dal_pool_release(rig.pool, conns[i]);
                assert_sums(&rig);
                end_rig(&rig);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_pool__a_change_of_the_schema_makes_every_connection_prepare_anew),
                cmocka_unit_test(test_pool__a_statement_may_change_the_schema_too),
                cmocka_unit_test(test_pool__everyday_statements_change_no_schema),
                cmocka_unit_test(test_pool__a_change_in_a_transaction_is_told_when_that_is_over),
                cmocka_unit_test(test_pool__a_stale_statement_is_run_again_and_the_others_hear_of_it),
                cmocka_unit_test(test_pool__in_a_transaction_a_stale_statement_asks_for_another_attempt),
                cmocka_unit_test(test_pool__a_stale_procedure_is_not_run_again),
                cmocka_unit_test(test_pool__its_connections_share_what_the_server_can_prepare),
                cmocka_unit_test(test_pool__the_first_connection_found_dead_has_the_others_asked),
                cmocka_unit_test(test_pool__one_session_ended_by_hand_costs_the_others_a_ping),
                cmocka_unit_test(test_pool__a_server_that_became_read_only_is_left_by_all),
                cmocka_unit_test(test_pool__what_is_given_back_twice_is_lent_once),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
