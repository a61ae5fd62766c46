/* SPDX-License-Identifier: MIT */
/* The shop's first pass: CSV, money, and the grouping of lines into orders. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/csv.h"
#include "common/money.h"
#include "common/wire.h"
#include "driver/generator.h"
#include "driver/ledger.h"

#define HEADER "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n"

/* ---- CSV ----------------------------------------------------------------------------------------------- */

/*
 * Reads one record and compares its fields, given as "a|b|c"; or the reason of its refusal, given as
 * "!reason".
 */
static void check_csv(const char *text, size_t size, const char *expected)
{
        char *copy = malloc(size ? size : 1),
             seen[256] = ""; /* exactly as long, so that reading on is found out */
        struct csv csv;
        struct csv_record record;
        struct csv_error error = {0};

        memcpy(copy, text, size);
        assert_true(csv_init(&csv, copy, size));
        switch (csv_next(&csv, &record, &error)) {
        case CSV_RECORD:
                for (size_t i = 0; i < record.n_fields; i++) {
                        strcat(seen, i ? "|" : "");
                        strcat(seen, record.field[i]);
                }
                break;
        case CSV_BAD:
                snprintf(seen, sizeof seen, "!%zu:%zu:%.12s", error.line, error.column, error.reason);
                break;
        case CSV_END:
                strcpy(seen, "end");
                break;
        }
        assert_string_equal(seen, expected);
        csv_fini(&csv);
        free(copy);
}
#define CHECK_CSV(text, expected) check_csv("" text "", sizeof(text) - 1, expected)

static void test_csv_accepts_rfc_4180(void **state)
{
        (void)state;
        CHECK_CSV("", "end");
        CHECK_CSV("a,b,c", "a|b|c");
        CHECK_CSV("a,b,c\nd", "a|b|c");
        CHECK_CSV("a,b,c\r\nd", "a|b|c");
        CHECK_CSV(",,", "||");
        CHECK_CSV("\n", "");
        CHECK_CSV("a,\"b\",c\n", "a|b|c");
        CHECK_CSV("\"\",\"\"", "|");
        CHECK_CSV("\"a,b\",\"c\nd\",\"e\r\nf\"", "a,b|c\nd|e\r\nf");
        CHECK_CSV("\"7\"\" FRAME\"", "7\" FRAME");
        CHECK_CSV("\"\"\"\"", "\"");
        CHECK_CSV(" a , b ", " a | b ");
        CHECK_CSV("\xef\xbb\xbf"
                  "a,b",
                  "a|b");
        CHECK_CSV("\xc2\xa3,\xe2\x82\xac", "\xc2\xa3|\xe2\x82\xac");
}

static void test_csv_reads_windows_1252_when_it_is_not_utf8(void **state)
{
        (void)state;
        CHECK_CSV("\xa3 5,\x80,\xe9", "\xc2\xa3 5|\xe2\x82\xac|\xc3\xa9");
        CHECK_CSV("a,\x81", "!1:2:a byte that ");
}

static void test_csv_refuses_with_line_and_column(void **state)
{
        (void)state;
        CHECK_CSV("a,b\"c", "!1:2:a quote insi");
        CHECK_CSV("a,\"b\"c", "!1:2:text after t");
        CHECK_CSV("a,\"b", "!1:2:the quoted f");
        CHECK_CSV("a,\"b\n\n", "!1:2:the quoted f");
        CHECK_CSV("a,b\rc", "!1:2:a carriage r");
        CHECK_CSV("a,b\0c", "!1:2:a NUL byte");
        CHECK_CSV("a,\"\0\"", "!1:2:a NUL byte");
        CHECK_CSV(",,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,", "!1:33:too many fie");
}

static void test_csv_stops_at_an_endless_record(void **state)
{
        char *text = malloc(3 * CSV_MAX_RECORD);
        struct csv csv;
        struct csv_record record;
        struct csv_error error;

        (void)state;
        memset(text, 'a', 3 * CSV_MAX_RECORD);
        text[0] = '"';
        text[10] = '\n';
        assert_true(csv_init(&csv, text, 3 * CSV_MAX_RECORD));
        assert_int_equal(csv_next(&csv, &record, &error), CSV_BAD);
        assert_int_equal(record.raw_size, 11); /* only the line it began on is given up */
        assert_int_equal(csv.line, 2);
        csv_fini(&csv);
        free(text);
}

/* ---- money --------------------------------------------------------------------------------------------- */

static void check_money(const char *text, int64_t micros, const char *formatted)
{
        int64_t seen = 0;
        char out[32];

        assert_null(money_parse(text, &seen));
        assert_int_equal(seen, micros);
        assert_string_equal(money_format(seen, out), formatted);
}

static void test_money_is_exact(void **state)
{
        (void)state;
        check_money("2.55", 2550000, "2.55");
        check_money("0.001", 1000, "0.001");
        check_money("0.000001", 1, "0.000001");
        check_money("-11062.06", INT64_C(-11062060000), "-11062.06");
        check_money("5", 5000000, "5.00");
        check_money(".5", 500000, "0.50");
        check_money("5.", 5000000, "5.00");
        check_money("+1.10", 1100000, "1.10");
        check_money("-0", 0, "0.00");
        check_money("-0.01", -10000, "-0.01");
        check_money("2.5500000000", 2550000, "2.55");
        check_money("9223372036854.775807", INT64_MAX, "9223372036854.775807");
        check_money("-9223372036854.775808", INT64_MIN, "-9223372036854.775808");
}

static void test_money_refuses(void **state)
{
        static const char *const bad[] = {"",
                                          ".",
                                          "-",
                                          "1.2.3",
                                          "1e3",
                                          " 1",
                                          "1 ",
                                          "0x1",
                                          "1,50",
                                          "--1",
                                          "nan",
                                          "inf",
                                          "0.0000001",
                                          "9223372036854.775808",
                                          "-9223372036854.775809",
                                          "99999999999999999999"};
        int64_t value = 42;

        (void)state;
        for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
                assert_non_null(money_parse(bad[i], &value));
        assert_non_null(whole_parse("1.5", &value));
        assert_int_equal(value, 42);
        assert_null(whole_parse("17850.0", &value));
        assert_int_equal(value, 17850);
}

/* ---- wire ---------------------------------------------------------------------------------------------- */

static void test_wire_carries_any_text(void **state)
{
        char *text = NULL;
        size_t size = 0;
        FILE *out = open_memstream(&text, &size), *in;
        struct wire_record record = {0};

        (void)state;
        wire_write(out, "line", "sis", "a\tb\\n\nc\\", INT64_MIN, "");
        fputs("cut off", out);
        fclose(out);
        in = fmemopen(text, size, "r");
        assert_true(wire_read(in, &record));
        assert_true(wire_is(&record, "line", 4));
        assert_string_equal(record.field[1], "a\tb\\n\nc\\");
        assert_true(wire_number(&record, 2) == INT64_MIN);
        assert_string_equal(record.field[3], "");
        assert_false(wire_read(in, &record));
        wire_fini(&record);
        fclose(in);
        free(text);
}

/* ---- ledger -------------------------------------------------------------------------------------------- */

/* Reads a ledger; returns the error, or "" when there is none. Static. */
static const char *read_ledger(struct ledger *ledger, const char *text, FILE *bad)
{
        static char error[1024];

        error[0] = '\0';
        if (!ledger_read(ledger, "x.csv", text, strlen(text), bad, error, sizeof error))
                assert_string_not_equal(error, "");
        return error;
}

static void check_refusal(const char *text, const char *expected)
{
        struct ledger ledger;
        const char *error = read_ledger(&ledger, text, NULL);

        if (strncmp(error, expected, strlen(expected)) != 0)
                fail_msg("expected \"%s...\", got \"%s\"", expected, error);
        ledger_fini(&ledger);
}

static void test_ledger_names_line_and_column(void **state)
{
        (void)state;
        check_refusal("", "x.csv, line 1: the file is empty");
        check_refusal("a,b\n", "x.csv, line 1: the header has no InvoiceNo");
        check_refusal("InvoiceNo,InvoiceNo\n",
                      "x.csv, line 1, column 2 (InvoiceNo): the header names this column twice");
        check_refusal(HEADER, "x.csv: there is no data line");
        check_refusal(HEADER "1,A,a,x,,1,,UK\n", "x.csv, line 2, column 4 (Quantity): not a number");
        check_refusal(HEADER "1,A,a,1.5,,1,,UK\n", "x.csv, line 2, column 4 (Quantity): not a whole number");
        check_refusal(HEADER "1,A,a,1,,1,,UK\n1,A,a,1,,1.x,,UK\n",
                      "x.csv, line 3, column 6 (UnitPrice): not a number");
        check_refusal(HEADER "1,A,a,1,,1,abc,UK\n", "x.csv, line 2, column 7 (CustomerID): not a number");
        check_refusal(HEADER "1,A,a,1,never,1,,UK\n", "x.csv, line 2, column 5 (InvoiceDate): not a date");
        check_refusal(HEADER ",A,a,1,,1,,UK\n", "x.csv, line 2, column 1 (InvoiceNo): is blank");
        check_refusal(HEADER "1,,a,1,,1,,UK\n", "x.csv, line 2, column 2 (StockCode): is blank");
        check_refusal(HEADER "1,A,a,1,,1,\n", "x.csv, line 2, column 7 (CustomerID): the line ends here");
        check_refusal(HEADER "1,A,a,b,1,,1,,UK\n", "x.csv, line 2, column 9: more fields");
        check_refusal(HEADER "1,A,\"a\nb\",1,,1,,UK\n1,A,a\"b,1,,1,,UK\n",
                      "x.csv, line 4, column 3 (Description): a quote");
        check_refusal(HEADER "1,A,a,1,,1,,UK\n\n1,A,a,1,,1,,UK\n",
                      "x.csv, line 3, column 1 (InvoiceNo): the line ends");
        check_refusal(HEADER "1,A,a,1000000000000,,9000000,,UK\n1,A,a,1000000000000,,9000000,,UK\n",
                      "x.csv, line 2, column 6 (UnitPrice): the sum of all amounts gets too large");
}

static void test_ledger_sets_bad_lines_aside(void **state)
{
        struct ledger ledger;
        char *bad = NULL;
        size_t size = 0;
        FILE *out = open_memstream(&bad, &size);

        (void)state;
        assert_string_equal(read_ledger(&ledger,
                                        HEADER "1,A,a,1,,1,,UK\r\n"
                                               "1,A,a,x,,1,,UK\r\n"
                                               "1,A,\"a,1,,1,,UK\n"
                                               "2,B,\"b\",2,,2,,UK\n"
                                               "1,A,a,1\n",
                                        out),
                            "");
        fclose(out);
        assert_string_equal(bad, "1,A,a,x,,1,,UK\r\n1,A,\"a,1,,1,,UK\n1,A,a,1\n");
        assert_int_equal(ledger.n_set_aside, 3);
        assert_int_equal(ledger.sums.n_lines, 2);
        assert_int_equal(ledger.sums.revenue_micros, 5000000);
        free(bad);
        ledger_fini(&ledger);
}

static void test_ledger_groups_lines_into_orders(void **state)
{
        struct ledger ledger;

        (void)state;
        assert_string_equal(read_ledger(&ledger,
                                        HEADER "1,A,first,1,2010-12-01 08:26:00,1.5,17850.0,UK\n"
                                               "2,A,,2,,1.5,17850,UK\n"
                                               "1,a,lower,3,,0,17850,UK\n" /* not next to its first line */
                                               "1,A,,4,,1,,UK\n" /* the same invoice, another customer */
                                               "C3,A,,-2,,1.5,17850,UK\n"
                                               "4,A,lost,-5,,0,,UK\n"
                                               "\n\n", /* nobody's data */
                                        NULL),
                            "");
        assert_int_equal(ledger.n_lines, 6);
        assert_int_equal(ledger.invoices.n, 4);
        assert_int_equal(ledger.n_orders, 5);
        assert_int_equal(ledger.customers.n, 1);
        assert_int_equal(ledger.customer[0].id, 17850);
        assert_int_equal(ledger.products.n, 2); /* A and a are two */
        assert_int_equal(ledger.orders[0].n_lines, 2);
        assert_int_equal(ledger.orders[0].part, 0);
        assert_int_equal(ledger.orders[2].part, 1);
        assert_int_equal(ledger.orders[2].customer, LEDGER_NONE);
        assert_int_equal(ledger.sums.n_cancelled_lines, 1);
        assert_int_equal(ledger.sums.n_adjustment_lines, 1);
        assert_int_equal(ledger.sums.n_cancellations, 1);
        assert_int_equal(ledger.sums.units, 3);
        assert_int_equal(ledger.sums.revenue_micros, 5500000);
        assert_true(ledger_is_cancellation(&ledger, &ledger.orders[3]));
        ledger_fini(&ledger);
}

static void test_ledger_takes_columns_by_name(void **state)
{
        struct ledger ledger;

        (void)state;
        assert_string_equal(
                read_ledger(&ledger,
                            "Country,CustomerID,UnitPrice,Quantity,Description,StockCode,InvoiceNo,Note\n"
                            "UK,1,2.5,3,d,A,9,whatever\n",
                            NULL),
                "");
        assert_string_equal(ledger.unused_columns, "Note");
        assert_string_equal(ledger.invoices.text[0], "9");
        assert_int_equal(ledger.sums.revenue_micros, 7500000);
        ledger_fini(&ledger);
}

static void test_generator_repeats_itself_and_is_untidy(void **state)
{
        char *text[3] = {0};
        size_t size[3];
        struct ledger ledger;

        (void)state;
        for (size_t i = 0; i < 3; i++) {
                FILE *out = open_memstream(&text[i], &size[i]);
                generator_write(out, 500, i == 2 ? 8 : 7);
                fclose(out);
        }
        assert_string_equal(text[0], text[1]);
        assert_string_not_equal(text[0], text[2]);
        assert_string_equal(read_ledger(&ledger, text[0], NULL), "");
        assert_int_equal(ledger.invoices.n, 500);
        assert_true(ledger.sums.n_cancelled_lines > 0 && ledger.sums.n_adjustment_lines > 0);
        assert_true(ledger.sums.n_guest_lines > 0 && ledger.sums.n_free_lines > 0);
        ledger_fini(&ledger);
        for (size_t i = 0; i < 3; i++)
                free(text[i]);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_csv_accepts_rfc_4180),
                cmocka_unit_test(test_csv_reads_windows_1252_when_it_is_not_utf8),
                cmocka_unit_test(test_csv_refuses_with_line_and_column),
                cmocka_unit_test(test_csv_stops_at_an_endless_record),
                cmocka_unit_test(test_money_is_exact),
                cmocka_unit_test(test_money_refuses),
                cmocka_unit_test(test_wire_carries_any_text),
                cmocka_unit_test(test_ledger_names_line_and_column),
                cmocka_unit_test(test_ledger_sets_bad_lines_aside),
                cmocka_unit_test(test_ledger_groups_lines_into_orders),
                cmocka_unit_test(test_ledger_takes_columns_by_name),
                cmocka_unit_test(test_generator_repeats_itself_and_is_untidy),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
