/* SPDX-License-Identifier: MIT */
/* Many rows, or wide ones, pass through a process whose memory does not grow. */

#include "conf.h"

#include <sys/resource.h>

#define N_ROWS       INT64_C(1000000)
#define MAX_GROWN_KB 10240

/* Wide enough that to keep them, or their like in a client library, would take some 100 MiB. */
static const dal_stmt million = DAL_STMT(
        "million",
        "SELECT 0 + f.d * 100000 + e.d * 10000 + d.d * 1000 + c.d * 100 + b.d * 10 + a.d AS n, "
        "'a text of forty bytes or so, as many have' AS t FROM conf_digit f CROSS JOIN conf_digit e "
        "CROSS JOIN conf_digit d CROSS JOIN conf_digit c CROSS JOIN conf_digit b CROSS JOIN "
        "conf_digit a WHERE f.d * 100000 + e.d * 10000 + d.d * 1000 + c.d * 100 + b.d * 10 + a.d < ?",
        .postgres = "SELECT n, 'a text of forty bytes or so, as many have'::text AS t FROM "
                    "generate_series(0, ? - 1::bigint) AS n",
        .flags = DAL_STMT_STREAM);

/* A hundred rows of so many bytes. */
static const dal_stmt wide =
        DAL_STMT("wide", "SELECT REPEAT('x', ?) AS t FROM conf_digit a CROSS JOIN conf_digit b",
                 .sqlite = "SELECT printf('%.*c', ?, 'x') AS t FROM conf_digit a CROSS JOIN conf_digit b",
                 .postgres = "SELECT repeat('x', ?::bigint::integer) AS t FROM generate_series(1, 100)",
                 .flags = DAL_STMT_STREAM);

static long max_rss_kb(void)
{
        struct rusage usage;

        assert_int_equal(getrusage(RUSAGE_SELF, &usage), 0);
        return usage.ru_maxrss; /* Source: Linux man-pages, getrusage(2): in kilobytes */
}

static void scan(struct conf *c, int64_t n)
{
        dal_rows *rows = NULL;
        int64_t n_seen = 0, value, sum = 0;
        bool found;

        OK(dal_conn_query(c->conn, &million, DAL_PARAMS(dal_int64(n)), dal_clock_after_ms(120000), &rows,
                          &c->err));
        for (; OK(dal_rows_next(rows, &found, &c->err)), found; n_seen++) {
                OK(dal_rows_int64(rows, 0, &value, &c->err));
                sum += value;
        }
        dal_rows_close(rows);
        assert_int_equal(n_seen, n);
        assert_true(sum == n * (n - 1) / 2);
}

static void streams__a_million_rows_take_no_memory(struct conf *c)
{
        long before;

        scan(c, 1000);
        before = max_rss_kb();
        scan(c, N_ROWS);
        if (max_rss_kb() - before >= MAX_GROWN_KB)
                fail_msg("%lld rows took %ld KiB", (long long)N_ROWS, max_rss_kb() - before);
}

static void scan_wide(struct conf *c, int64_t size)
{
        dal_rows *rows = NULL;
        const char *text;
        size_t text_size;
        int n_seen = 0;
        bool found;

        OK(dal_conn_query(c->conn, &wide, DAL_PARAMS(dal_int64(size)), dal_clock_after_ms(120000), &rows,
                          &c->err));
        for (; OK(dal_rows_next(rows, &found, &c->err)), found; n_seen++) {
                OK(dal_rows_text(rows, 0, &text, &text_size, &c->err));
                assert_int_equal(text_size, size);
                assert_true(text[0] == 'x' && text[text_size - 1] == 'x');
        }
        dal_rows_close(rows);
        assert_int_equal(n_seen, 100);
}

static void streams__wide_rows_pass_a_few_at_a_time(struct conf *c)
{
        long before;

        scan_wide(c, 1000);
        before = max_rss_kb();
        scan_wide(c, 600000);
        if (max_rss_kb() - before >= MAX_GROWN_KB)
                fail_msg("rows of 600,000 bytes took %ld KiB", max_rss_kb() - before);
}

/* A client library may need twice a row to receive it, and once more to give it. */
static void streams__after_wide_rows_one_passes_at_a_time(struct conf *c)
{
        long before;

        scan_wide(c, 600000);
        before = max_rss_kb();
        scan_wide(c, 4000000);
        if (max_rss_kb() - before >= 2 * MAX_GROWN_KB)
                fail_msg("rows of 4,000,000 bytes took %ld KiB", max_rss_kb() - before);
}

int main(int argc, char **argv)
{
        static const struct conf_case cases[] = {CONF_CASE(streams__a_million_rows_take_no_memory),
                                                 CONF_CASE(streams__wide_rows_pass_a_few_at_a_time),
                                                 CONF_CASE(streams__after_wide_rows_one_passes_at_a_time),
                                                 {NULL, NULL}};
        static const struct conf_case *const topics[] = {cases, NULL};

        return conf_main(argc, argv, "streams sqlite|postgres|mysql|mariadb", topics);
}
