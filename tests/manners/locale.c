/* SPDX-License-Identifier: MIT */
/* Where the application writes 1,5 for one and a half, numbers must go and come unharmed. */

#include <float.h>
#include <locale.h>
#include <stdlib.h>

#include "manners.h"

static const dal_stmt put_number =
        DAL_STMT("put_number", "INSERT INTO conf_value (id, d, n) VALUES (?, ?, ?)");
static const dal_stmt get_number = DAL_STMT("get_number", "SELECT d, n FROM conf_value WHERE id = ?");
/* Text to a number and back by the server: nobody's locale but its own. */
static const dal_stmt literal =
        DAL_STMT("literal", "SELECT d, n FROM conf_value WHERE id = ? AND d > 0.25 AND d < 1e300");

static void put(struct conf *c, dal_conn *conn, int64_t id, double d, const char *n)
{
        OK(dal_conn_exec(conn, &put_number, DAL_PARAMS(dal_int64(id), dal_double(d), dal_decimal(n)), SOON,
                         NULL, &c->err));
}

static void expect(struct conf *c, dal_conn *conn, const dal_stmt *stmt, int64_t id, double d, const char *n)
{
        dal_rows *rows = NULL;
        char text[64], trimmed[64];
        double value = 0;
        size_t size;

        OK(dal_conn_query(conn, stmt, DAL_PARAMS(dal_int64(id)), SOON, &rows, &c->err));
        OK(dal_rows_first(rows, &c->err));
        OK(dal_rows_double(rows, 0, &value, &c->err));
        assert_memory_equal(&value, &d, sizeof d);
        OK(dal_rows_copy_text(rows, 1, text, sizeof text, &c->err));
        /* The MySQL family pads to the column's scale. */
        snprintf(trimmed, sizeof trimmed, "%s", text);
        size = strlen(trimmed);
        while (strchr(trimmed, '.') && size > strlen(n) && trimmed[size - 1] == '0')
                trimmed[--size] = '\0';
        assert_string_equal(trimmed, n);
        dal_rows_close(rows);
}

static void numbers_pass(struct conf *c, dal_conn *conn, int64_t id)
{
        static const double doubles[] = {1.5, 0.1, -1234567.890625, 1e-300, DBL_MAX};
        static const char *const decimals[] = {"1.5", "0.1", "-1234567.890625", "0.0000000001",
                                               "123456789012345678.0123456789"};

        for (int64_t i = 0; i < 5; i++) {
                put(c, conn, id + i, doubles[i], decimals[i]);
                expect(c, conn, &get_number, id + i, doubles[i], decimals[i]);
        }
        expect(c, conn, &literal, id, 1.5, "1.5");
}

/* In every way that statements have of travelling. */
static void play(struct conf *c)
{
        static const struct {
                dal_statements statements;
                uint32_t cap;
        } ways[] = {{DAL_STATEMENTS_PREPARED, 0},
                    {DAL_STATEMENTS_UNNAMED, DAL_CAP_UNNAMED},
                    {DAL_STATEMENTS_TEXT, DAL_CAP_TEXT}};

        if (c->server)
                return; /* no text of a number is ever made there */
        for (int i = 0; i < 3; i++) {
                dal_conn_options options = DAL_CONN_OPTIONS_INIT;
                dal_conn *conn;

                if (ways[i].cap && !conf_has_cap(c, ways[i].cap))
                        continue;
                options.statements = ways[i].statements;
                options.statement_timeout_ms = 12345; /* MariaDB's has a fraction */
                conn = conf_open(c, &options);
                numbers_pass(c, conn, 100 * (i + 1));
                dal_conn_close(conn);
        }
}

static void check_comma(void)
{
        char text[16];

        assert_string_equal(localeconv()->decimal_point, ",");
        snprintf(text, sizeof text, "%.1f", 1.5);
        assert_string_equal(text, "1,5");
}

/* Made by the build; LOCPATH leads to it. */
#define COMMA_LOCALE "de_DE.UTF-8"

static void locale__a_decimal_comma_of_the_process_changes_no_number(struct conf *c)
{
        struct snapshot *before;

        if (!setlocale(LC_ALL, COMMA_LOCALE))
                fail_msg("the locale %s can't be set: LOCPATH must name the folder made by the build",
                         COMMA_LOCALE);
        check_comma();
        be_alone(c);
        before = snapshot_take();
        play(c);
        snapshot_check(before);
        check_comma();
        setlocale(LC_ALL, "C");
}

static void locale__a_decimal_comma_of_the_thread_changes_no_number(struct conf *c)
{
        locale_t comma = newlocale(LC_ALL_MASK, COMMA_LOCALE, (locale_t)0), before;

        assert_true(comma != (locale_t)0);
        before = uselocale(comma);
        check_comma();
        play(c);
        check_comma();
        uselocale(before);
        freelocale(comma);
}

const struct conf_case locale_manners[] = {
        CONF_CASE(locale__a_decimal_comma_of_the_process_changes_no_number),
        CONF_CASE(locale__a_decimal_comma_of_the_thread_changes_no_number),
        {NULL, NULL},
};
