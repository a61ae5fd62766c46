/* SPDX-License-Identifier: MIT */
/* Runs of the same write: whatever travels together, the effect is that of one after the other. */

#include <pthread.h>

#include "conf.h"

static dal_key key(void)
{
        return dal_key_int64(7);
}

static int64_t count(struct conf *c)
{
        return conf_number(c, c->conn, &conf_count_accounts, DAL_NO_PARAMS);
}

static int64_t balance(struct conf *c, int64_t id)
{
        return conf_number(c, c->conn, &conf_balance, DAL_PARAMS(dal_int64(id)));
}

static dal_status add(dal_tx *tx, int64_t id, dal_error *err)
{
        return dal_tx_queue(tx, &conf_add_account, DAL_PARAMS(dal_int64(id), dal_int64(10 * id)), err);
}

static dal_status change(dal_tx *tx, int64_t id, int64_t by, dal_error *err)
{
        return dal_tx_queue(tx, &conf_add_balance, DAL_PARAMS(dal_int64(by), dal_int64(id)), err);
}

/* Twice, so that the second time each statement is prepared already. */
static dal_status mixed_runs(dal_tx *tx, void *arg, dal_error *err)
{
        int64_t from = *(int64_t *)arg;
        dal_status s = DAL_OK;

        for (int64_t id = from; id < from + 50 && s == DAL_OK; id++)
                s = add(tx, id, err);
        for (int64_t id = from; id < from + 50 && s == DAL_OK; id++)
                s = change(tx, id, 1, err);
        for (int64_t i = 0; i < 20 && s == DAL_OK; i++)
                s = change(tx, from, 1, err);
        for (int64_t id = from + 40; id < from + 50 && s == DAL_OK; id++)
                s = dal_tx_queue(tx, &conf_remove_account, DAL_PARAMS(dal_int64(id)), err);
        return s ? s : add(tx, from + 45, err);
}

static void fold__runs_of_writes_have_their_effect_in_order(struct conf *c)
{
        dal_cluster *cluster = conf_cluster(c, NULL);

        for (int64_t from = 100; from <= 200; from += 100) {
                OK(dal_cluster_run(cluster, key(), NULL, mixed_runs, &from, &c->err));
                assert_int_equal(balance(c, from), 10 * from + 21);
                assert_int_equal(balance(c, from + 1), 10 * (from + 1) + 1);
                assert_int_equal(balance(c, from + 39), 10 * (from + 39) + 1);
                assert_int_equal(balance(c, from + 45), 10 * (from + 45));
                assert_int_equal(count(c), from == 100 ? 41 : 82);
        }
        conf_cluster_end(c, cluster);
}

static const char *const codes[] = {
        "it''s", "a\\", "x'); DROP TABLE conf_item; --", "?", "\xc3\xa9\xf0\x9f\x98\x80", ""};

enum {
        N_CODES = sizeof codes / sizeof codes[0]
};

/* NULL comes and goes, also in the first row, and texts are what would end a literal. */
static dal_status items(dal_tx *tx, void *arg, dal_error *err)
{
        int64_t from = *(int64_t *)arg;
        dal_status s = DAL_OK;

        for (int64_t i = 0; i < 5 * N_CODES && s == DAL_OK; i++) {
                char code[64];

                snprintf(code, sizeof code, "%d %s", (int)(from + i), codes[i % N_CODES]);
                s = dal_tx_queue(tx, &conf_add_item,
                                 DAL_PARAMS(dal_int64(from + i), dal_text(code), dal_null(),
                                            i % 3 ? dal_int64(i) : dal_null()),
                                 err);
        }
        return s;
}

static void check_item(struct conf *c, int64_t id, int64_t i)
{
        static const dal_stmt get =
                DAL_STMT("item_row", "SELECT id, code, parent, qty FROM conf_item WHERE id = ?");
        dal_rows *rows = NULL;
        const char *code = NULL;
        char wanted[64];
        int64_t qty = 0;
        size_t size;

        snprintf(wanted, sizeof wanted, "%d %s", (int)id, codes[i % N_CODES]);
        OK(dal_conn_query(c->conn, &get, DAL_PARAMS(dal_int64(id)), SOON, &rows, &c->err));
        OK(dal_rows_first(rows, &c->err));
        OK(dal_rows_text(rows, 1, &code, &size, &c->err));
        assert_int_equal(size, strlen(wanted));
        assert_memory_equal(code, wanted, size);
        assert_int_equal(dal_rows_is_null(rows, 3), i % 3 == 0);
        if (i % 3)
                OK(dal_rows_int64(rows, 3, &qty, &c->err));
        assert_int_equal(qty, i % 3 ? i : 0);
        dal_rows_close(rows);
}

static void fold__every_value_arrives_in_its_row(struct conf *c)
{
        dal_cluster *cluster = conf_cluster(c, NULL);

        for (int64_t from = 100; from <= 200; from += 100) {
                OK(dal_cluster_run(cluster, key(), NULL, items, &from, &c->err));
                for (int64_t i = 0; i < 5 * N_CODES; i++)
                        check_item(c, from + i, i);
        }
        conf_cluster_end(c, cluster);
}

static dal_status with_the_same_key_twice(dal_tx *tx, void *arg, dal_error *err)
{
        dal_status s = DAL_OK;

        (void)arg;
        for (int64_t id = 1; id <= 30 && s == DAL_OK; id++)
                s = add(tx, id == 20 ? 3 : id, err);
        return s;
}

static void fold__a_failure_in_the_middle_leaves_nothing(struct conf *c)
{
        dal_cluster *cluster = conf_cluster(c, NULL);

        for (int i = 0; i < 2; i++) {
                FAILS(dal_cluster_run(cluster, key(), NULL, with_the_same_key_twice, NULL, &c->err), UNIQUE);
                assert_non_null(strstr(c->err.message, "add_account"));
                assert_int_equal(count(c), 0);
        }
        conf_cluster_end(c, cluster);
}

static dal_status fail_inside(dal_tx *tx, void *arg, dal_error *err)
{
        return with_the_same_key_twice(tx, arg, err);
}

static dal_status around_a_savepoint(dal_tx *tx, void *arg, dal_error *err)
{
        dal_error inner = DAL_ERROR_INIT;
        dal_status s = DAL_OK;

        for (int64_t id = 101; id <= 110 && s == DAL_OK; id++)
                s = add(tx, id, err);
        if (s == DAL_OK)
                *(dal_status *)arg = dal_tx_run(tx, fail_inside, NULL, &inner);
        for (int64_t id = 111; id <= 120 && s == DAL_OK; id++)
                s = add(tx, id, err);
        return s;
}

static void fold__a_savepoint_takes_back_its_own_run_alone(struct conf *c)
{
        dal_cluster *cluster;
        dal_status inner = DAL_OK;

        if (!conf_has_cap(c, DAL_CAP_SAVEPOINT))
                return;
        cluster = conf_cluster(c, NULL);
        OK(dal_cluster_run(cluster, key(), NULL, around_a_savepoint, &inner, &c->err));
        assert_int_equal(inner, DAL_ERR_CONSTRAINT);
        assert_int_equal(count(c), 20);
        conf_cluster_end(c, cluster);
}

/* ---- a deadlock between two runs -------------------------------------------------------------------------------- */

struct worker {
        struct conf_meeting *meeting;
        dal_cluster *cluster;
        int64_t first, second, mark;
        int n_deadlocks;
        dal_status status;
        dal_error err;
};

/* Behind the statement that is the victim stand others, and COMMIT: none of them may have an effect of its own. */
static dal_status cross(dal_tx *tx, void *arg, dal_error *err)
{
        struct worker *w = arg;
        dal_error local = DAL_ERROR_INIT;
        dal_status s =
                dal_tx_exec(tx, &conf_add_balance, DAL_PARAMS(dal_int64(1), dal_int64(w->first)), NULL, err);

        if (s)
                return s;
        conf_meet(w->meeting, 3000);
        for (int64_t id = w->mark; id < w->mark + 5 && s == DAL_OK; id++)
                s = add(tx, id, err);
        if (s == DAL_OK)
                s = change(tx, w->first, 1, err);
        if (s == DAL_OK)
                s = change(tx, w->second, 1, err);
        for (int64_t i = 0; i < 5 && s == DAL_OK; i++)
                s = change(tx, w->first, 100, err);
        if (s)
                return s;
        s = dal_tx_exec(tx, &conf_add_account, DAL_PARAMS(dal_int64(w->mark + 5), dal_int64(0)), NULL,
                        &local);
        if (s && local.error_class == DAL_CLASS_DEADLOCK)
                w->n_deadlocks++;
        if (s)
                *err = local;
        return s;
}

static void *run_cross(void *arg)
{
        dal_tx_options options = DAL_TX_OPTIONS_INIT;
        struct worker *w = arg;

        options.max_attempts = 1; /* so that whatever a victim leaves behind stays to be seen */
        w->status = dal_cluster_run(w->cluster, key(), &options, cross, w, &w->err);
        return NULL;
}

static void fold__behind_a_deadlock_nothing_has_an_effect(struct conf *c)
{
        struct worker w[2];
        pthread_t threads[2];
        int victim;

        if (!c->q->row_locks)
                return; /* with a single writer no circle can form */
        memset(w, 0, sizeof w);
        for (int64_t id = 1; id <= 2; id++)
                OK(dal_conn_exec(c->conn, &conf_add_account, DAL_PARAMS(dal_int64(id), dal_int64(0)), SOON,
                                 NULL, &c->err));
        w[0].meeting = w[1].meeting = conf_meeting_new();
        w[0].cluster = w[1].cluster = conf_cluster(c, NULL);
        for (int i = 0; i < 2; i++) {
                w[i].first = 1 + i;
                w[i].second = 2 - i;
                w[i].mark = 1000 * (i + 1);
                pthread_create(&threads[i], NULL, run_cross, &w[i]);
        }
        for (int i = 0; i < 2; i++)
                pthread_join(threads[i], NULL);
        assert_int_equal(w[0].n_deadlocks + w[1].n_deadlocks, 1);
        victim = w[0].n_deadlocks ? 0 : 1;
        assert_int_equal(w[victim].status, DAL_ERR_CONFLICT);
        OK((c->err = w[!victim].err, w[!victim].status));
        assert_int_equal(count(c), 2 + 6);
        assert_int_equal(balance(c, w[!victim].first), 502);
        assert_int_equal(balance(c, w[!victim].second), 1);
        conf_meeting_free(w[0].meeting);
        conf_cluster_end(c, w[0].cluster);
}

/* ---- what is stored --------------------------------------------------------------------------------------------- */

#define PUT(column) DAL_STMT("put_" column, "INSERT INTO conf_value (id, " column ") VALUES (?, ?)")
#define SEE(column) DAL_STMT("see_" column, "SELECT " column " FROM conf_value WHERE id = ?")
static const dal_stmt puts_by_column[] = {PUT("b"), PUT("i"), PUT("u"),  PUT("d"),  PUT("n"),
                                          PUT("t"), PUT("y"), PUT("ts"), PUT("da"), PUT("uu")},
                      sees_by_column[] = {SEE("b"), SEE("i"), SEE("u"),  SEE("d"),  SEE("n"),
                                          SEE("t"), SEE("y"), SEE("ts"), SEE("da"), SEE("uu")};

enum {
        N_COLUMNS = sizeof puts_by_column / sizeof puts_by_column[0],
        N_COPIES = 3,
        MAX_VALUES = 40
};

struct column_job {
        const dal_stmt *put;
        dal_value values[MAX_VALUES];
        int n;
};

/* Each three times, for a run to be one: in all kinds, so that one kind follows another in the same column. */
static dal_status queue_values(dal_tx *tx, void *arg, dal_error *err)
{
        const struct column_job *job = arg;
        dal_status s = DAL_OK;

        for (int i = 0; i < job->n; i++)
                for (int copy = 1; copy <= N_COPIES && s == DAL_OK; copy++)
                        s = dal_tx_queue(tx, job->put, DAL_PARAMS(dal_int64(1000 * copy + i), job->values[i]),
                                         err);
        return s;
}

static size_t cell_bytes(const dal_value *cell, unsigned char *out, size_t room)
{
        bool has_span = cell->type == DAL_TYPE_TEXT || cell->type == DAL_TYPE_BYTES ||
                        cell->type == DAL_TYPE_DECIMAL || cell->type == DAL_TYPE_OTHER;
        size_t size = has_span                      ? cell->as.span.size
                      : cell->type == DAL_TYPE_UUID ? sizeof cell->as.uuid
                      : cell->type == DAL_TYPE_BOOL ? sizeof cell->as.boolean
                      : cell->type == DAL_TYPE_NULL ? 0
                                                    : sizeof cell->as.int64;

        assert_in_range(size, 0, room - 1);
        out[0] = (unsigned char)cell->type;
        if (size)
                memcpy(out + 1, has_span ? cell->as.span.ptr : (const void *)&cell->as, size);
        return size + 1;
}

static size_t see(struct conf *c, const dal_stmt *stmt, int64_t id, unsigned char *out, size_t room)
{
        dal_rows *rows = NULL;
        size_t size;

        OK(dal_conn_query(c->conn, stmt, DAL_PARAMS(dal_int64(id)), SOON, &rows, &c->err));
        OK(dal_rows_first(rows, &c->err));
        size = cell_bytes(dal_rows_cell(rows, 0), out, room);
        dal_rows_close(rows);
        return size;
}

static void fold__each_kind_of_value_is_stored_as_one_by_one(struct conf *c)
{
        static const uint8_t uuid[16] = {0, 1, 2, '\'', '\\', 0xff};
        const dal_value values[] = {dal_null(),
                                    dal_bool(true),
                                    dal_bool(false),
                                    dal_int64(0),
                                    dal_int64(-1),
                                    dal_int64(INT64_MAX),
                                    dal_int64(INT64_MIN),
                                    dal_int64(17000),
                                    dal_uint64(0),
                                    dal_uint64(UINT64_MAX),
                                    dal_null(),
                                    dal_double(0.1),
                                    dal_double(-1.0 / 3),
                                    dal_double(1e15),
                                    dal_double(123456789012345680.0),
                                    dal_double(-0.0),
                                    dal_double(2.5),
                                    dal_double(1e-7),
                                    dal_decimal("0"),
                                    dal_decimal("-12.50"),
                                    dal_decimal("12345678901234567890.123456789"),
                                    dal_decimal("1e3"),
                                    dal_text(""),
                                    dal_text("0"),
                                    dal_text("-7.25"),
                                    dal_text("it's \\ \"x\" ?"),
                                    dal_text("\xc3\xa9\xf0\x9f\x98\x80 "),
                                    dal_text("2024-02-29 23:59:59.999999"),
                                    dal_text("2024-02-29"),
                                    dal_bytes("", 0),
                                    dal_bytes("\0\xff'\\", 4),
                                    dal_bytes("0123456789abcdef", 16),
                                    dal_timestamp(0),
                                    dal_timestamp(INT64_C(1709251199000000)),
                                    dal_timestamp(-1000000),
                                    dal_date(0),
                                    dal_date(19782),
                                    dal_uuid(uuid),
                                    dal_null()};
        dal_cluster *cluster = conf_cluster(c, NULL);
        unsigned char one[300], folded[300];

        if (c->server) { /* the fake server keeps every value as it came */
                conf_cluster_end(c, cluster);
                return;
        }
        for (int column = 0; column < N_COLUMNS; column++) {
                struct column_job job = {.put = &puts_by_column[column]};

                for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
                        dal_error ignored;

                        if (dal_conn_exec(c->conn, job.put, DAL_PARAMS(dal_int64(job.n), values[i]), SOON,
                                          NULL, &ignored) == DAL_OK)
                                job.values[job.n++] = values[i];
                }
                /* Elsewhere than here some servers lose the fraction, and not always the same way. */
                if (strcmp(job.put->name, "put_ts") == 0) {
                        job.values[job.n] = dal_timestamp(INT64_C(1709251199999999));
                        OK(dal_conn_exec(c->conn, job.put, DAL_PARAMS(dal_int64(job.n), job.values[job.n]),
                                         SOON, NULL, &c->err));
                        job.n++;
                }
                assert_in_range(job.n, 3, MAX_VALUES);
                OK(dal_cluster_run(cluster, key(), NULL, queue_values, &job, &c->err));
                for (int i = 0; i < job.n; i++) {
                        size_t size = see(c, &sees_by_column[column], i, one, sizeof one);

                        for (int copy = 1; copy <= N_COPIES; copy++) {
                                size_t its = see(c, &sees_by_column[column], 1000 * copy + i, folded,
                                                 sizeof folded);

                                if (its != size || memcmp(one, folded, size) != 0)
                                        fail_msg("%s: value %d, a %s, copy %d is stored otherwise: '%.*s', "
                                                 "not '%.*s'",
                                                 job.put->name, i,
                                                 dal_value_type_name((dal_type)job.values[i].type), copy,
                                                 (int)its - 1, folded + 1, (int)size - 1, one + 1);
                        }
                }
                OK(dal_conn_script(c->conn, "DELETE FROM conf_value", SOON, &c->err));
        }
        conf_cluster_end(c, cluster);
}

/* ---- statements that look at the one before them ------------------------------------------------------------------ */

#define LINKED  "INSERT INTO conf_linked (before_it, v) VALUES (LAST_INSERT_ID(), ?)"
#define COUNTED "INSERT INTO conf_linked (before_it, v) SELECT COUNT(*), ? FROM conf_linked"
#define REPEATED                                                                                             \
        "INSERT INTO conf_linked (id, before_it, v) VALUES (?, 0, 1) ON DUPLICATE KEY UPDATE v = v + 1"
#define ROW_WISE "INSERT INTO conf_linked (before_it, v) VALUES (ROW_COUNT(), ?)"
#define REPLACED "REPLACE INTO conf_linked (id, before_it, v) VALUES (?, 0, 1) -- VALUES (?)"
static const dal_stmt linked[] = {
        DAL_STMT("linked", LINKED),
        DAL_STMT("counted", COUNTED),
        DAL_STMT("repeated", REPEATED),
        DAL_STMT("row_wise", ROW_WISE),
        DAL_STMT("replaced", REPLACED),
        DAL_STMT("updated", "UPDATE conf_linked SET v = LAST_INSERT_ID(v + 1) WHERE id <> ?"),
        DAL_STMT("ordered",
                 "UPDATE conf_linked SET before_it = v + LAST_INSERT_ID() WHERE id > ? ORDER BY id LIMIT 2"),
        DAL_STMT("two_tables", "UPDATE conf_linked a, conf_digit b SET a.v = a.v + 1 WHERE b.d = ?"),
        DAL_STMT("joined",
                 "UPDATE conf_linked a JOIN conf_digit b ON a.id <> b.d SET a.v = a.v + 1 WHERE b.d = ?"),
        DAL_STMT("deleted_from_two",
                 "DELETE a FROM conf_linked a, conf_digit b WHERE a.id = b.d AND b.d = ?"),
        DAL_STMT("deleted", "DELETE FROM conf_linked WHERE id < ? ORDER BY id LIMIT 1"),
        DAL_STMT("ignored", "INSERT IGNORE INTO conf_linked (id, before_it, v) VALUES (?, 0, 1)"),
        DAL_STMT("assigned", "INSERT INTO conf_linked SET v = ?, before_it = v"),
        DAL_STMT("two_rows", "INSERT INTO conf_linked (before_it, v) VALUES (?, 1), (2, 3)"),
        DAL_STMT("computed", "INSERT INTO conf_linked (before_it, v) VALUES (ABS(-3), ? + 1)"),
        DAL_STMT("tail_looks", "INSERT INTO conf_linked (id, before_it, v) VALUES (?, 0, 1) "
                               "ON DUPLICATE KEY UPDATE before_it = LAST_INSERT_ID()"),
        DAL_STMT("tail_counts", "INSERT INTO conf_linked (before_it, v) VALUES (1, ?) "
                                "ON DUPLICATE KEY UPDATE v = VALUES(v)"),
};

struct linked_job {
        const dal_stmt *stmt;
        bool queues;
        int64_t last;
};

static dal_status run_linked(dal_tx *tx, void *arg, dal_error *err)
{
        static const dal_stmt begin = DAL_STMT(
                                      "linked_begin",
                                      "INSERT INTO conf_linked (before_it, v) VALUES (0, 0), (0, 1)"),
                              last = DAL_STMT("linked_last", "SELECT CAST(LAST_INSERT_ID() AS SIGNED)");
        static const int64_t numbers[] = {7, 8, 7, 9, 7, 8, 1};
        struct linked_job *job = arg;
        dal_rows *rows = NULL;
        dal_status s = dal_tx_exec(tx, &begin, DAL_NO_PARAMS, NULL, err);

        for (size_t i = 0; i < sizeof numbers / sizeof numbers[0] && s == DAL_OK; i++)
                s = job->queues ? dal_tx_queue(tx, job->stmt, DAL_PARAMS(dal_int64(numbers[i])), err)
                                : dal_tx_exec(tx, job->stmt, DAL_PARAMS(dal_int64(numbers[i])), NULL, err);
        if (s == DAL_OK)
                s = dal_tx_query(tx, &last, DAL_NO_PARAMS, &rows, err);
        if (s == DAL_OK)
                s = dal_rows_first(rows, err);
        if (s == DAL_OK)
                s = dal_rows_int64(rows, 0, &job->last, err);
        dal_rows_close(rows);
        return s;
}

static void fold__what_looks_at_the_statement_before_finds_it(struct conf *c)
{
        /* Generated ids may have gaps, so rows are compared by their order, and the last id by whose it is. */
        static const dal_stmt all = DAL_STMT(
                "linked_all",
                "SELECT CONCAT(COUNT(*), ' rows ', COALESCE(GROUP_CONCAT(COALESCE(before_it, '-'), "
                "':', v ORDER BY id), ''), ' last ', "
                "CASE WHEN ? >= MAX(id) - 1 THEN 'is theirs' ELSE CAST(? AS CHAR) END) FROM conf_linked");
        dal_cluster *cluster;
        const dal_driver_info *info = dal_conn_info(c->conn);

        if (info->dialect != DAL_DIALECT_mysql && info->dialect != DAL_DIALECT_mariadb)
                return; /* nothing is folded there, and most of these texts are not theirs */
        cluster = conf_cluster(c, NULL);
        for (size_t i = 0; i < sizeof linked / sizeof linked[0]; i++) {
                char texts[4][200];

                for (int round = 0; round < 4; round++) {
                        struct linked_job job = {&linked[i], round >= 2, 0};
                        dal_rows *rows = NULL;

                        OK(dal_conn_script(c->conn, "DROP TABLE IF EXISTS conf_linked", SOON, &c->err));
                        OK(dal_conn_script(c->conn,
                                           "CREATE TABLE conf_linked (id BIGINT AUTO_INCREMENT PRIMARY KEY, "
                                           "before_it BIGINT, v BIGINT)",
                                           SOON, &c->err));
                        OK(dal_cluster_run(cluster, key(), NULL, run_linked, &job, &c->err));
                        OK(dal_conn_query(c->conn, &all, DAL_PARAMS(dal_int64(job.last), dal_int64(job.last)),
                                          SOON, &rows, &c->err));
                        OK(dal_rows_first(rows, &c->err));
                        OK(dal_rows_copy_text(rows, 0, texts[round], sizeof texts[round], &c->err));
                        dal_rows_close(rows);
                        if (strcmp(texts[round], texts[0]) != 0)
                                fail_msg("%s, round %d: %s; one by one: %s", linked[i].name, round,
                                         texts[round], texts[0]);
                }
        }
        OK(dal_conn_script(c->conn, "DROP TABLE IF EXISTS conf_linked", SOON, &c->err));
        conf_cluster_end(c, cluster);
}

/* ---- sizes ------------------------------------------------------------------------------------------------------ */

static dal_status more_than_a_packet(dal_tx *tx, void *arg, dal_error *err)
{
        static const dal_stmt put = DAL_STMT("put_bytes", "INSERT INTO conf_value (id, y) VALUES (?, ?)");
        static unsigned char bytes[100 * 1024];
        dal_status s = DAL_OK;

        (void)arg;
        for (int64_t id = 1; id <= 40 && s == DAL_OK; id++)
                s = dal_tx_queue(
                        tx, &put,
                        DAL_PARAMS(dal_int64(id), id % 7 ? dal_bytes(bytes, sizeof bytes) : dal_null()), err);
        return s;
}

static void fold__more_than_one_command_can_hold(struct conf *c)
{
        static const dal_stmt get = DAL_STMT("get_bytes", "SELECT y FROM conf_value WHERE id = ?");
        dal_cluster *cluster = conf_cluster(c, NULL);

        OK(dal_cluster_run(cluster, key(), NULL, more_than_a_packet, NULL, &c->err));
        for (int64_t id = 1; id <= 40; id++) {
                const void *bytes;
                dal_rows *rows = NULL;
                size_t size = 0;

                OK(dal_conn_query(c->conn, &get, DAL_PARAMS(dal_int64(id)), SOON, &rows, &c->err));
                OK(dal_rows_first(rows, &c->err));
                if (id % 7)
                        OK(dal_rows_bytes(rows, 0, &bytes, &size, &c->err));
                assert_int_equal(size, id % 7 ? 100 * 1024 : 0);
                dal_rows_close(rows);
        }
        conf_cluster_end(c, cluster);
}

/* ---- generated ids ---------------------------------------------------------------------------------------------- */

static const dal_stmt add_counted = DAL_STMT("add_counted", "INSERT INTO conf_counted (x) VALUES (?)");

static const dal_stmt x_of = DAL_STMT("x_of", "SELECT x FROM conf_counted WHERE id = ?");

struct ids {
        int64_t by_server, by_library;
};

/* The number that the session remembers, and that of a single row behind the run. */
static dal_status ids_behind_a_run(dal_tx *tx, void *arg, dal_error *err)
{
        static const dal_stmt last = DAL_STMT("last_id", "SELECT LAST_INSERT_ID()");
        struct ids *ids = arg;
        dal_rows *rows = NULL;
        dal_status s = DAL_OK;

        for (int64_t i = 0; i < 20 && s == DAL_OK; i++)
                s = dal_tx_queue(tx, &add_counted, DAL_PARAMS(dal_int64(i)), err);
        if (s == DAL_OK)
                s = dal_tx_query(tx, &last, DAL_NO_PARAMS, &rows, err);
        if (s == DAL_OK)
                s = dal_rows_first(rows, err);
        if (s == DAL_OK)
                s = dal_rows_int64(rows, 0, &ids->by_server, err);
        dal_rows_close(rows);
        for (int64_t i = 0; i < 20 && s == DAL_OK; i++)
                s = dal_tx_queue(tx, &add_counted, DAL_PARAMS(dal_int64(i)), err);
        if (s == DAL_OK)
                s = dal_tx_exec(tx, &add_counted, DAL_PARAMS(dal_int64(20)), NULL, err);
        ids->by_library = dal_tx_insert_id(tx);
        return s;
}

/* Twice, so that the second time all is prepared, which makes another command of the run. */
static void fold__the_last_generated_id_is_that_of_the_last_row(struct conf *c)
{
        static const dal_stmt highest = DAL_STMT("highest_id", "SELECT MAX(id) FROM conf_counted");
        dal_cluster *cluster;

        if (!c->q->folds_inserts)
                return;
        OK(dal_conn_script(c->conn,
                           "CREATE TABLE conf_counted (id BIGINT AUTO_INCREMENT PRIMARY KEY, x BIGINT)", SOON,
                           &c->err));
        cluster = conf_cluster(c, NULL);
        for (int i = 0; i < 2; i++) {
                struct ids ids = {0, 0};
                int64_t max;

                OK(dal_cluster_run(cluster, key(), NULL, ids_behind_a_run, &ids, &c->err));
                max = conf_number(c, c->conn, &highest, DAL_NO_PARAMS);
                assert_int_equal(ids.by_library, max);
                assert_true(ids.by_server < max);
                assert_int_equal(conf_number(c, c->conn, &x_of, DAL_PARAMS(dal_int64(ids.by_server))), 19);
        }
        conf_cluster_end(c, cluster);
        OK(dal_conn_script(c->conn, "DROP TABLE conf_counted", SOON, &c->err));
}

const struct conf_case fold_conf[] = {
        CONF_CASE(fold__runs_of_writes_have_their_effect_in_order),
        CONF_CASE(fold__every_value_arrives_in_its_row),
        CONF_CASE(fold__a_failure_in_the_middle_leaves_nothing),
        CONF_CASE(fold__a_savepoint_takes_back_its_own_run_alone),
        CONF_CASE(fold__behind_a_deadlock_nothing_has_an_effect),
        CONF_CASE(fold__each_kind_of_value_is_stored_as_one_by_one),
        CONF_CASE(fold__what_looks_at_the_statement_before_finds_it),
        CONF_CASE(fold__more_than_one_command_can_hold),
        CONF_CASE(fold__the_last_generated_id_is_that_of_the_last_row),
        {NULL, NULL},
};
