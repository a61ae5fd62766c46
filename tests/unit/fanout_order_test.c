/* SPDX-License-Identifier: MIT */
/* The orders of a fan-out other than shard after shard, and where it ends. */
#include "cluster_fixture.h"

#include <unistd.h>

#include "shard/cluster_state.h"
#include "sql/rows_impl.h"

#define MAX_ROWS 64

/* What a shard answers to `sorted`: two columns, and a third that is the row's number. */
struct answer {
        uint32_t n;
        dal_value cells[MAX_ROWS][3];
        bool fails; /* behind the rows */
};

static const dal_stmt sorted = DAL_STMT("sorted", "SELECT k, l, n FROM t ORDER BY k, l");

static void on_sorted(void *arg, dal_fake_call *call)
{
        static const char *const names[] = {"k", "l", "n"};
        const struct answer *answer = arg;

        dal_fake_call_columns(call, names, 3);
        for (uint32_t i = 0; i < answer->n; i++)
                dal_fake_call_row(call, (dal_params){answer->cells[i], 3});
        if (answer->fails)
                dal_fake_call_fail(call, DAL_CLASS_DATA, NULL, "this row does not exist");
}

static void add(struct answer *answer, dal_value k, dal_value l)
{
        assert_in_range(answer->n, 0, MAX_ROWS - 1);
        answer->cells[answer->n][0] = k;
        answer->cells[answer->n][1] = l;
        answer->cells[answer->n][2] = dal_int64(answer->n);
        answer->n++;
}

/* Shards whose answers to `sorted` are the test's, and whose gates it opens. */
struct rig {
        struct sharded *f;
        struct answer answers[MAX_SHARDS];
        int gates[MAX_SHARDS][2];
        dal_fanout_options options;
        dal_fanout_column columns[2];
};

static struct rig *open_rig(uint32_t n_shards, dal_fanout_order order)
{
        dal_fanout_options options = DAL_FANOUT_OPTIONS_INIT;
        struct rig *rig = calloc(1, sizeof *rig);

        assert_non_null(rig);
        rig->f = open_sharded(n_shards);
        for (uint32_t i = 0; i < n_shards; i++) {
                assert_true(dal_fake_on(rig->f->servers[i], "sorted", on_sorted, &rig->answers[i]));
                assert_int_equal(pipe(rig->gates[i]), 0);
        }
        rig->options = options;
        rig->options.order = order;
        if (order == DAL_FANOUT_MERGED) {
                rig->options.columns = rig->columns;
                rig->options.n_columns = 1;
        }
        return rig;
}

static void shut(struct rig *rig, uint16_t shard)
{
        dal_fake_set_gate(rig->f->servers[shard], rig->gates[shard][0]);
}

static void unlock(struct rig *rig, uint16_t shard)
{
        assert_int_equal(write(rig->gates[shard][1], "x", 1), 1);
}

static void assert_no_leases(struct rig *rig)
{
        for (uint16_t i = 0; i < dal_cluster_n_shards(rig->f->cluster); i++)
                assert_int_equal(pool_stats(rig->f->cluster, i).leased, 0);
}

static void free_rig(struct rig *rig)
{
        assert_no_leases(rig);
        for (uint32_t i = 0; i < dal_cluster_n_shards(rig->f->cluster); i++) {
                close(rig->gates[i][0]);
                close(rig->gates[i][1]);
        }
        free_sharded(rig->f);
        free(rig);
}

static dal_status ask(struct rig *rig, dal_rows **out, dal_error *err)
{
        return dal_fanout_query_with(rig->f->cluster, &rig->options, &sorted, DAL_NO_PARAMS, out, err);
}

/* Fails at once, or behind `n` rows; gives the leases back even before the cursor is closed. */
static void assert_ends_in(struct rig *rig, uint32_t n, dal_error_class error_class, dal_error *err_out)
{
        dal_error err = DAL_ERROR_INIT;
        dal_rows *rows;
        dal_status s = ask(rig, &rows, &err);
        uint32_t n_seen = 0;
        bool found;

        while (s == DAL_OK && (s = dal_rows_next(rows, &found, &err)) == DAL_OK && found)
                n_seen++;
        assert_fails(s, error_class);
        assert_int_equal(n_seen, n);
        assert_no_leases(rig);
        *err_out = err;
        if (rows) {
                assert_fails(dal_rows_next(rows, &found, &err), error_class);
                assert_false(found);
                assert_int_equal(err.shard, err_out->shard);
        }
        dal_rows_close(rows);
}

/* ---- as they come ---- */

static void fill(struct rig *rig, uint16_t shard, uint32_t n)
{
        for (uint32_t i = 0; i < n; i++)
                add(&rig->answers[shard], dal_int64(shard), dal_int64(i));
}

static void test_fanout_order__a_slow_shard_holds_nobody_back(void **state)
{
        (void)state;
        for (uint16_t slow = 0; slow < 3; slow++) {
                struct rig *rig = open_rig(3, DAL_FANOUT_AS_THEY_COME);
                dal_error err = DAL_ERROR_INIT;
                dal_rows *rows;
                bool found;

                for (uint16_t i = 0; i < 3; i++)
                        fill(rig, i, 5);
                shut(rig, slow);
                assert_ok(ask(rig, &rows, &err));
                assert_string_equal(dal_rows_column(rows, 1), "l");
                for (int i = 0; i < 10; i++) {
                        assert_ok(dal_rows_next(rows, &found, &err));
                        assert_true(found);
                        assert_int_not_equal(dal_rows_shard(rows), slow);
                }
                unlock(rig, slow);
                for (int i = 0; i < 5; i++) {
                        assert_ok(dal_rows_next(rows, &found, &err));
                        assert_true(found);
                        assert_int_equal(dal_rows_shard(rows), slow);
                        assert_int_equal(rows->cells[1].as.int64, i);
                }
                assert_ok(dal_rows_next(rows, &found, &err));
                assert_false(found);
                assert_string_equal(dal_rows_column(rows, 2), "n");
                dal_rows_close(rows);
                free_rig(rig);
        }
}

static void test_fanout_order__a_shard_that_is_always_ahead_lets_the_others_through(void **state)
{
        struct rig *rig = open_rig(3, DAL_FANOUT_AS_THEY_COME);
        dal_error err = DAL_ERROR_INIT;
        uint32_t n_seen[3] = {0}, n_switches = 0;
        uint16_t last = DAL_NO_SHARD;
        dal_rows *rows;
        bool found;

        (void)state;
        /* `get_rows`, as it can have more rows than a rig's answer. */
        for (uint16_t i = 0; i < 3; i++) {
                dal_conn *conn;

                assert_ok(dal_cluster_lease(rig->f->cluster, i, &conn, &err));
                for (int64_t id = 1; id <= 200; id++)
                        assert_ok(dal_conn_exec(conn, &put_row, ROW(id), DAL_FOREVER, NULL, &err));
                dal_cluster_release(rig->f->cluster, i, conn);
        }
        assert_ok(dal_fanout_query_with(rig->f->cluster, &rig->options, &get_rows, RANGE(1, 1000), &rows,
                                        &err));
        while (dal_rows_next(rows, &found, &err) == DAL_OK && found) {
                uint16_t shard = dal_rows_shard(rows);

                assert_int_equal(rows->cells[0].as.int64, 10 * ++n_seen[shard]); /* each in its own order */
                n_switches += shard != last;
                last = shard;
        }
        assert_int_equal(err.status, DAL_OK);
        for (int i = 0; i < 3; i++)
                assert_int_equal(n_seen[i], 200);
        assert_in_range(n_switches, 9, 30);
        dal_rows_close(rows);
        free_rig(rig);
}

static void test_fanout_order__a_failure_is_told_while_others_are_slow(void **state)
{
        (void)state;
        for (int order = 1; order < 3; order++) {
                struct rig *rig = open_rig(3, (dal_fanout_order)order);
                dal_error err = DAL_ERROR_INIT;
                int64_t start = dal_clock_now();

                shut(rig, 0);
                fill(rig, 1, 1);
                inject(rig->f->servers[2],
                       (dal_fake_fault){.match = "sorted", .error_class = DAL_CLASS_PRIVILEGE});
                assert_ends_in(rig, order == DAL_FANOUT_AS_THEY_COME, DAL_CLASS_PRIVILEGE, &err);
                assert_int_equal(err.shard, 2);
                assert_in_range(ms_since(start), 0, 2000);
                assert_int_equal(dal_fake_journal_count(rig->f->servers[0], "CANCEL"), 1);
                free_rig(rig);
        }
}

static void test_fanout_order__the_deadline_names_who_is_late_and_cancels_him(void **state)
{
        (void)state;
        for (int order = 0; order < 3; order++)
                for (uint16_t slow = 0; slow < 3; slow++) {
                        struct rig *rig = open_rig(3, (dal_fanout_order)order);
                        dal_error err = DAL_ERROR_INIT;
                        int64_t start = dal_clock_now();
                        static const char *const names[] = {"shard 0", "shard 1", "shard 2"};

                        rig->options.timeout_ms = 100;
                        for (uint16_t i = 0; i < 3; i++)
                                fill(rig, i, 2);
                        shut(rig, slow);
                        assert_ends_in(rig,
                                       order == DAL_FANOUT_MERGED     ? 0
                                       : order == DAL_FANOUT_BY_SHARD ? 2u * slow
                                                                      : 4,
                                       DAL_CLASS_DEADLINE, &err);
                        assert_in_range(ms_since(start), 99, 1000);
                        assert_int_equal(err.shard, slow);
                        assert_has(err.message, names[slow]);
                        assert_has(err.message, "sorted");
                        for (uint16_t i = 0; i < 3; i++)
                                assert_int_equal(dal_fake_journal_count(rig->f->servers[i], "CANCEL"),
                                                 i == slow);
                        /* Stopped, not lost: the connection is as good as before. */
                        assert_int_equal(pool_stats(rig->f->cluster, slow).n_closed, 0);
                        free_rig(rig);
                }
}

/* ---- merged ---- */

/* Deals ascending values out to the shards; whatever falls to whom, the merge gives them back in order. */
static void check_merge(const dal_value *values, size_t n, bool descending, bool nulls_first, uint32_t seed)
{
        struct rig *rig = open_rig(4, DAL_FANOUT_MERGED);
        uint32_t next[4] = {0};
        uint16_t shard_of[MAX_ROWS * 4];
        dal_error err = DAL_ERROR_INIT;
        dal_rows *rows;
        bool found;

        for (size_t i = 0; i < n; i++) {
                seed = seed * 1103515245 + 12345;
                shard_of[i] = (uint16_t)(seed >> 16 & 3);
                add(&rig->answers[shard_of[i]], values[i], dal_null());
        }
        rig->columns[0].i_column = 0;
        rig->columns[0].descending = descending;
        rig->columns[0].nulls_first = nulls_first;
        assert_ok(ask(rig, &rows, &err));
        for (size_t i = 0; i < n; i++) {
                assert_ok(dal_rows_next(rows, &found, &err));
                assert_true(found);
                assert_int_equal(dal_rows_shard(rows), shard_of[i]);
                assert_int_equal(rows->cells[2].as.int64, next[shard_of[i]]++);
                assert_int_equal(rows->cells[0].type, values[i].type);
        }
        assert_ok(dal_rows_next(rows, &found, &err));
        assert_false(found);
        dal_rows_close(rows);
        free_rig(rig);
}

/* All of each list, different, in order. */
static size_t list_of_type(int i, dal_value out[16])
{
        static const uint8_t uuids[3][16] = {{0}, {0, 1}, {0xff}};
        const dal_value lists[][6] = {
                {dal_int64(INT64_MIN), dal_int64(-5), dal_int64(0), dal_int64(7), dal_int64(8),
                 dal_int64(INT64_MAX)},
                {dal_decimal("-12.5"), dal_decimal("-0.1"), dal_decimal("0.0000001"), dal_decimal("9.9"),
                 dal_decimal("10.00"), dal_decimal("12345678901234567890.12")},
                {dal_double(-1e300), dal_double(-0.5), dal_double(0), dal_double(0.1), dal_double(2),
                 dal_double(1e300)},
                {dal_text(""), dal_text("A"), dal_text("a"), dal_text("a!"), dal_text("b"),
                 dal_text("\xc3\xa4")},
                {dal_bytes("", 0), dal_bytes("\0", 1), dal_bytes("\0\0", 2), dal_bytes("\1", 1),
                 dal_bytes("\x80", 1), dal_bytes("\xff", 1)},
                {dal_timestamp(INT64_MIN), dal_timestamp(-1), dal_timestamp(0), dal_timestamp(1),
                 dal_timestamp(2), dal_timestamp(INT64_MAX)},
                {dal_date(-800000), dal_date(-1), dal_date(0), dal_date(1), dal_date(2), dal_date(800000)},
                {dal_uint64(0), dal_bool(true), dal_int64(2), dal_decimal("2.5"), dal_uint64(3),
                 dal_uint64(UINT64_MAX)},
        };

        if (i == (int)(sizeof lists / sizeof lists[0])) {
                for (int k = 0; k < 3; k++)
                        out[k] = dal_uuid(uuids[k]);
                return 3;
        }
        if (i > (int)(sizeof lists / sizeof lists[0]))
                return 0;
        memcpy(out, lists[i], sizeof lists[i]);
        return 6;
}

static void test_fanout_order__every_type_is_merged_both_ways_and_null_where_told(void **state)
{
        dal_value list[16], dealt[MAX_ROWS];
        size_t n;

        (void)state;
        for (int i = 0; (n = list_of_type(i, list)) != 0; i++)
                for (unsigned way = 0; way < 4; way++) {
                        bool descending = way & 1, nulls_first = way & 2;
                        size_t n_dealt = 0;

                        if (nulls_first)
                                dealt[n_dealt++] = dal_null();
                        for (size_t k = 0; k < n; k++)
                                dealt[n_dealt++] = list[descending ? n - 1 - k : k];
                        if (!nulls_first)
                                dealt[n_dealt++] = dal_null();
                        for (uint32_t seed = 1; seed < 6; seed++)
                                check_merge(dealt, n_dealt, descending, nulls_first, seed);
                }
}

static void
test_fanout_order__equal_rows_come_by_shard_number_and_the_second_column_decides_first(void **state)
{
        static const int64_t expected[][3] = {/* k, l, shard */
                                              {1, 9, 0}, {1, 9, 0}, {1, 9, 2}, {1, 5, 1},
                                              {1, 5, 2}, {2, 8, 1}, {2, 1, 0}};
        struct rig *rig = open_rig(3, DAL_FANOUT_MERGED);
        dal_error err = DAL_ERROR_INIT;
        dal_rows *rows;
        bool found;

        (void)state;
        rig->columns[0].name = "k";
        rig->columns[1] = (dal_fanout_column){.name = "l", .descending = true};
        rig->options.n_columns = 2;
        add(&rig->answers[0], dal_int64(1), dal_int64(9));
        add(&rig->answers[0], dal_int64(1), dal_int64(9));
        add(&rig->answers[0], dal_int64(2), dal_int64(1));
        add(&rig->answers[1], dal_int64(1), dal_int64(5));
        add(&rig->answers[1], dal_int64(2), dal_int64(8));
        add(&rig->answers[2], dal_int64(1), dal_int64(9));
        add(&rig->answers[2], dal_int64(1), dal_int64(5));
        assert_ok(ask(rig, &rows, &err));
        memset(rig->columns, 0xee, sizeof rig->columns); /* they were copied */
        for (size_t i = 0; i < 7; i++) {
                assert_ok(dal_rows_next(rows, &found, &err));
                assert_true(found);
                assert_int_equal(rows->cells[0].as.int64, expected[i][0]);
                assert_int_equal(rows->cells[1].as.int64, expected[i][1]);
                assert_int_equal(dal_rows_shard(rows), expected[i][2]);
        }
        assert_ok(dal_rows_next(rows, &found, &err));
        assert_false(found);
        dal_rows_close(rows);
        free_rig(rig);
}

static void test_fanout_order__rows_that_are_not_sorted_are_refused_by_shard_and_column(void **state)
{
        static const struct {
                const char *words; /* in the message */
                bool descending;
                bool nulls_first;
                int first, second; /* -1: NULL; else a letter */
        } bad[] = {{"not in the order of column \"k\" ", false, false, 'b', 'a'},
                   {"COLLATE \"C\"", false, false, 'a', 'B'},
                   {"column \"k\" descending", true, false, 'a', 'b'},
                   {"NULLS FIRST or LAST", false, false, -1, 'a'},
                   {"NULLS FIRST or LAST", false, true, 'a', -1}};
        static const char letters[] = "aBb";

        (void)state;
        for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
                for (uint16_t shard = 0; shard < 3; shard++) {
                        struct rig *rig = open_rig(3, DAL_FANOUT_MERGED);
                        dal_error err = DAL_ERROR_INIT;
                        const int both[2] = {bad[i].first, bad[i].second};

                        rig->columns[0].descending = bad[i].descending;
                        rig->columns[0].nulls_first = bad[i].nulls_first;
                        for (int k = 0; k < 2; k++)
                                add(&rig->answers[shard],
                                    both[k] < 0 ? dal_null() : dal_text_n(strchr(letters, both[k]), 1),
                                    dal_null());
                        assert_ends_in(rig, 1, DAL_CLASS_DATA, &err);
                        assert_int_equal(err.shard, shard);
                        assert_has(err.message, bad[i].words);
                        free_rig(rig);
                }
}

static void test_fanout_order__types_without_a_common_order_are_refused(void **state)
{
        (void)state;
        for (uint32_t same_shard = 0; same_shard < 2; same_shard++) {
                struct rig *rig = open_rig(3, DAL_FANOUT_MERGED);
                dal_error err = DAL_ERROR_INIT;

                add(&rig->answers[1], dal_text("7"), dal_null());
                add(&rig->answers[same_shard ? 1 : 2], dal_int64(8), dal_null());
                assert_ends_in(rig, same_shard, DAL_CLASS_WRONG_TYPE, &err);
                assert_has(err.message, "column \"k\"");
                assert_has(err.message, "text");
                assert_has(err.message, "int64");
                assert_int_equal(err.shard, same_shard ? 1 : 2);
                free_rig(rig);
        }
}

static void test_fanout_order__a_shard_that_fails_in_the_midst_of_a_merge_fails_it(void **state)
{
        (void)state;
        for (uint16_t bad = 0; bad < 3; bad++) {
                struct rig *rig = open_rig(3, DAL_FANOUT_MERGED);
                dal_error err = DAL_ERROR_INIT;

                for (int64_t k = 0; k < 12; k++)
                        add(&rig->answers[k % 3], dal_int64(k), dal_null());
                rig->answers[bad].n = 2; /* rows `bad` and `bad` + 3, and then it fails */
                rig->answers[bad].fails = true;
                assert_ends_in(rig, bad + 4u, DAL_CLASS_DATA, &err);
                assert_int_equal(err.shard, bad);
                free_rig(rig);
        }
}

static void test_fanout_order__a_column_that_is_not_there_is_refused(void **state)
{
        struct rig *rig = open_rig(2, DAL_FANOUT_MERGED);
        dal_error err = DAL_ERROR_INIT;

        (void)state;
        rig->columns[0].name = "nobody";
        assert_ends_in(rig, 0, DAL_CLASS_ARGUMENT, &err);
        assert_has(err.message, "nobody");
        rig->columns[0].name = NULL;
        rig->columns[0].i_column = 3;
        assert_ends_in(rig, 0, DAL_CLASS_ARGUMENT, &err);
        free_rig(rig);
}

/* ---- where it ends ---- */

static void test_fanout_order__a_limit_ends_the_rows_and_stops_what_still_runs(void **state)
{
        (void)state;
        for (int order = 0; order < 3; order++)
                for (uint32_t limit = 1; limit <= 8; limit++) {
                        struct rig *rig = open_rig(3, (dal_fanout_order)order);
                        bool stops_one = order == DAL_FANOUT_AS_THEY_COME;
                        dal_error err = DAL_ERROR_INIT;
                        dal_rows *rows;
                        uint32_t n = 0;
                        bool found;

                        for (uint16_t i = 0; i < 3; i++)
                                fill(rig, i, 2);
                        if (stops_one) {
                                shut(rig, 0);
                                limit = limit > 4 ? 8 : limit;
                                if (limit == 8)
                                        unlock(rig, 0);
                        }
                        rig->options.limit = limit;
                        assert_ok(ask(rig, &rows, &err));
                        while (dal_rows_next(rows, &found, &err) == DAL_OK && found)
                                n++;
                        assert_int_equal(err.status, DAL_OK);
                        assert_int_equal(n, limit < 6 ? limit : 6);
                        assert_ok(dal_rows_next(rows, &found, &err));
                        assert_false(found);
                        assert_no_leases(rig);
                        if (stops_one && limit < 8)
                                assert_int_equal(dal_fake_journal_count(rig->f->servers[0], "CANCEL"), 1);
                        dal_rows_close(rows);
                        free_rig(rig);
                }
}

static void test_fanout_order__more_rows_than_max_rows_are_refused(void **state)
{
        (void)state;
        for (int order = 0; order < 3; order++) {
                struct rig *rig = open_rig(3, (dal_fanout_order)order);
                dal_error err = DAL_ERROR_INIT;
                dal_rows *rows;
                uint32_t n = 0;
                bool found;

                for (uint16_t i = 0; i < 3; i++)
                        fill(rig, i, 2);
                rig->options.max_rows = 5;
                assert_ends_in(rig, 5, DAL_CLASS_OVERFLOW, &err);
                assert_has(err.message, "max_rows, 5");
                rig->options.max_rows = 6;
                assert_ok(ask(rig, &rows, &err));
                while (dal_rows_next(rows, &found, &err) == DAL_OK && found)
                        n++;
                assert_int_equal(n, 6);
                dal_rows_close(rows);
                free_rig(rig);
        }
}

static void test_fanout_order__closed_early_every_connection_is_as_good_as_before(void **state)
{
        (void)state;
        for (int order = 0; order < 3; order++) {
                struct rig *rig = open_rig(3, (dal_fanout_order)order);
                dal_error err = DAL_ERROR_INIT;
                uint64_t n_opened = 0;

                for (uint16_t i = 0; i < 3; i++)
                        fill(rig, i, 3);
                for (uint32_t n_read = 0; n_read < 10; n_read++) {
                        dal_rows *rows;
                        bool found;

                        assert_ok(ask(rig, &rows, &err));
                        for (uint32_t i = 0; i < n_read; i++)
                                assert_ok(dal_rows_next(rows, &found, &err));
                        dal_rows_close(rows);
                        assert_no_leases(rig);
                }
                for (uint16_t i = 0; i < 3; i++)
                        n_opened += dal_fake_get_stats(rig->f->servers[i]).n_opened;
                assert_int_equal(n_opened, 3);
                free_rig(rig);
        }
}

static void test_fanout_order__a_slot_of_a_shard_that_is_not_asked_is_refused(void **state)
{
        struct rig *rig = open_rig(3, DAL_FANOUT_BY_SHARD);
        static const uint16_t strangers[] = {3, 77, DAL__MAX_SHARDS - 1, DAL_NO_SHARD};
        dal_error err = DAL_ERROR_INIT;

        (void)state;
        for (size_t i = 0; i < 4; i++) {
                dal__map_set(&rig->f->cluster->map, 16383, strangers[i]);
                assert_ends_in(rig, 0, DAL_CLASS_NO_SHARD, &err);
                assert_has(err.message, "slot 16383");
                assert_true(err.not_sent);
        }
        dal__map_set(&rig->f->cluster->map, 16383, 2);
        free_rig(rig);
}

static void on_one_column(void *arg, dal_fake_call *call)
{
        static const char *const names[] = {"k"};

        (void)arg;
        dal_fake_call_columns(call, names, 1);
}

static void test_fanout_order__shards_that_differ_in_their_columns_are_refused(void **state)
{
        (void)state;
        for (int order = 0; order < 3; order++) {
                struct rig *rig = open_rig(3, (dal_fanout_order)order);
                dal_error err = DAL_ERROR_INIT;

                assert_true(dal_fake_on(rig->f->servers[2], "sorted", on_one_column, NULL));
                rig->options.timeout_ms = 1000;
                {
                        dal_rows *rows;
                        bool found = false;
                        dal_status s = dal_fanout_query_with(rig->f->cluster, &rig->options, &sorted,
                                                             DAL_NO_PARAMS, &rows, &err);

                        if (s == DAL_OK)
                                s = dal_rows_next(rows, &found, &err);
                        assert_fails(s, DAL_CLASS_WRONG_TYPE);
                        assert_int_equal(err.shard, 2);
                        dal_rows_close(rows);
                }
                free_rig(rig);
        }
}

static void test_fanout_order__bad_options_are_refused(void **state)
{
        struct rig *rig = open_rig(2, DAL_FANOUT_MERGED);
        dal_fanout_options good = rig->options;
        dal_error err = DAL_ERROR_INIT;

        (void)state;
        rig->options.struct_size = 0;
        assert_ends_in(rig, 0, DAL_CLASS_ARGUMENT, &err);
        rig->options.struct_size = sizeof good + 1;
        assert_ends_in(rig, 0, DAL_CLASS_ARGUMENT, &err);
        rig->options = good;
        rig->options.order = (dal_fanout_order)3;
        assert_ends_in(rig, 0, DAL_CLASS_ARGUMENT, &err);
        rig->options = good;
        rig->options.n_columns = 0;
        assert_ends_in(rig, 0, DAL_CLASS_ARGUMENT, &err);
        rig->options = good;
        rig->options.columns = NULL;
        assert_ends_in(rig, 0, DAL_CLASS_ARGUMENT, &err);
        rig->options = good;
        rig->options.order = DAL_FANOUT_AS_THEY_COME;
        assert_ends_in(rig, 0, DAL_CLASS_ARGUMENT, &err);
        for (uint16_t i = 0; i < 2; i++)
                assert_int_equal(dal_fake_journal_count(rig->f->servers[i], "sorted"), 0);
        free_rig(rig);
}

/* ---- many at once ---- */

#define N_THREADS 8
#define N_TURNS   40

static void *ask_often(void *arg)
{
        struct rig *rig = arg;

        for (int turn = 0; turn < N_TURNS; turn++) {
                dal_fanout_options options = DAL_FANOUT_OPTIONS_INIT;
                dal_fanout_column by_k = {.name = "k"};
                dal_error err = DAL_ERROR_INIT;
                dal_rows *rows;
                bool found;
                int n = 0;

                options.order = (dal_fanout_order)(turn % 3);
                options.columns = options.order == DAL_FANOUT_MERGED ? &by_k : NULL;
                options.n_columns = options.order == DAL_FANOUT_MERGED;
                options.limit = turn % 4 == 3 ? 7 : 0;
                if (dal_fanout_query_with(rig->f->cluster, &options, &sorted, DAL_NO_PARAMS, &rows, &err))
                        return arg;
                while (dal_rows_next(rows, &found, &err) == DAL_OK && found)
                        n++;
                dal_rows_close(rows);
                if (err.status || n != (options.limit ? 7 : 30))
                        return arg;
        }
        return NULL;
}

/* Fewer connections than threads: they queue for each shard, and never in a circle. */
static void test_fanout_order__many_at_once_share_few_connections(void **state)
{
        struct rig *rig = calloc(1, sizeof *rig);
        pthread_t threads[N_THREADS];

        (void)state;
        assert_non_null(rig);
        rig->f = new_sharded(3);
        rig->f->options.pool.max_size = 2;
        rig->f->options.timeout_ms = 30000;
        {
                dal_error err = DAL_ERROR_INIT;

                assert_ok(try_open_sharded(rig->f, &err));
        }
        for (uint16_t i = 0; i < 3; i++) {
                assert_int_equal(pipe(rig->gates[i]), 0);
                fill(rig, i, 10);
                assert_true(dal_fake_on(rig->f->servers[i], "sorted", on_sorted, &rig->answers[i]));
        }
        for (int i = 0; i < N_THREADS; i++)
                assert_int_equal(pthread_create(&threads[i], NULL, ask_often, rig), 0);
        for (int i = 0; i < N_THREADS; i++) {
                void *failed;

                assert_int_equal(pthread_join(threads[i], &failed), 0);
                assert_null(failed);
        }
        free_rig(rig);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_fanout_order__a_slow_shard_holds_nobody_back),
                cmocka_unit_test(test_fanout_order__a_shard_that_is_always_ahead_lets_the_others_through),
                cmocka_unit_test(test_fanout_order__a_failure_is_told_while_others_are_slow),
                cmocka_unit_test(test_fanout_order__the_deadline_names_who_is_late_and_cancels_him),
                cmocka_unit_test(test_fanout_order__every_type_is_merged_both_ways_and_null_where_told),
                cmocka_unit_test(
                        test_fanout_order__equal_rows_come_by_shard_number_and_the_second_column_decides_first),
                cmocka_unit_test(test_fanout_order__rows_that_are_not_sorted_are_refused_by_shard_and_column),
                cmocka_unit_test(test_fanout_order__types_without_a_common_order_are_refused),
                cmocka_unit_test(test_fanout_order__a_shard_that_fails_in_the_midst_of_a_merge_fails_it),
                cmocka_unit_test(test_fanout_order__a_column_that_is_not_there_is_refused),
                cmocka_unit_test(test_fanout_order__a_limit_ends_the_rows_and_stops_what_still_runs),
                cmocka_unit_test(test_fanout_order__more_rows_than_max_rows_are_refused),
                cmocka_unit_test(test_fanout_order__closed_early_every_connection_is_as_good_as_before),
                cmocka_unit_test(test_fanout_order__a_slot_of_a_shard_that_is_not_asked_is_refused),
                cmocka_unit_test(test_fanout_order__shards_that_differ_in_their_columns_are_refused),
                cmocka_unit_test(test_fanout_order__bad_options_are_refused),
                cmocka_unit_test(test_fanout_order__many_at_once_share_few_connections),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
