/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "postgres_impl.h"

static dal_error report(dal__postgres_fault fault)
{
        dal_error err = DAL_ERROR_INIT;
        dal_status s = dal__postgres_fail(&fault, &err);

        assert_int_equal(s, err.status);
        assert_int_equal(s, dal_error_class_status(err.error_class));
        assert_int_equal(err.error_class, dal__postgres_classify(&fault));
        assert_int_equal(dal__postgres_fail(&fault, NULL), s);
        assert_int_equal(err.conn_gone, fault.conn_gone);
        assert_int_equal(err.tx_gone, fault.conn_gone);
        return err;
}

static dal_error_class class_of(const char *sqlstate)
{
        return report((dal__postgres_fault){.sqlstate = sqlstate, .message = "m"}).error_class;
}

/* The well-known codes, written down once more, for a connection that lives on: a list that is wrong is noticed. */
static const struct {
        const char *sqlstate;
        dal_error_class error_class;
} rows[] = {
        {"23505", DAL_CLASS_UNIQUE},
        {"23P01", DAL_CLASS_UNIQUE},
        {"23503", DAL_CLASS_FOREIGN_KEY},
        {"23001", DAL_CLASS_FOREIGN_KEY},
        {"23502", DAL_CLASS_NOT_NULL},
        {"23514", DAL_CLASS_CHECK},
        {"23000", DAL_CLASS_CHECK},
        {"44000", DAL_CLASS_CHECK},
        {"22001", DAL_CLASS_DATA},
        {"22003", DAL_CLASS_DATA},
        {"22021", DAL_CLASS_DATA},
        {"22P02", DAL_CLASS_DATA},
        {"22012", DAL_CLASS_DATA},
        {"40001", DAL_CLASS_SERIALIZATION},
        {"40000", DAL_CLASS_SERIALIZATION},
        {"72000", DAL_CLASS_SERIALIZATION},
        {"40P01", DAL_CLASS_DEADLOCK},
        {"40003", DAL_CLASS_COMMIT_UNKNOWN},
        {"08007", DAL_CLASS_COMMIT_UNKNOWN},
        {"55P03", DAL_CLASS_LOCK_TIMEOUT},
        {"25P02", DAL_CLASS_TX_STATE},
        {"25001", DAL_CLASS_TX_STATE},
        {"25P01", DAL_CLASS_TX_STATE},
        {"2D000", DAL_CLASS_TX_STATE},
        {"3B001", DAL_CLASS_TX_STATE},
        {"28000", DAL_CLASS_AUTH},
        {"28P01", DAL_CLASS_AUTH},
        {"42501", DAL_CLASS_PRIVILEGE},
        {"42601", DAL_CLASS_SYNTAX},
        {"42P01", DAL_CLASS_UNDEFINED_OBJECT},
        {"42703", DAL_CLASS_UNDEFINED_OBJECT},
        {"42883", DAL_CLASS_UNDEFINED_OBJECT},
        {"42704", DAL_CLASS_UNDEFINED_OBJECT},
        {"3F000", DAL_CLASS_UNDEFINED_OBJECT},
        {"3D000", DAL_CLASS_UNDEFINED_OBJECT},
        {"26000", DAL_CLASS_UNDEFINED_OBJECT},
        {"34000", DAL_CLASS_UNDEFINED_OBJECT},
        {"42P07", DAL_CLASS_SERVER_OTHER},
        {"42804", DAL_CLASS_SYNTAX},
        {"42702", DAL_CLASS_SYNTAX},
        {"42803", DAL_CLASS_SYNTAX},
        {"42701", DAL_CLASS_SERVER_OTHER},
        {"42710", DAL_CLASS_SERVER_OTHER},
        {"42P05", DAL_CLASS_SERVER_OTHER},
        {"08P01", DAL_CLASS_SERVER_OTHER},
        {"53400", DAL_CLASS_OUT_OF_RESOURCES},
        {"58030", DAL_CLASS_OUT_OF_RESOURCES},
        {"58P01", DAL_CLASS_SERVER_OTHER},
        {"55000", DAL_CLASS_SERVER_OTHER},
        {"57000", DAL_CLASS_SERVER_OTHER},
        {"0A000", DAL_CLASS_UNSUPPORTED},
        {"53300", DAL_CLASS_TOO_MANY_CONNECTIONS},
        {"53000", DAL_CLASS_OUT_OF_RESOURCES},
        {"53100", DAL_CLASS_OUT_OF_RESOURCES},
        {"53200", DAL_CLASS_OUT_OF_RESOURCES},
        {"54000", DAL_CLASS_OUT_OF_RESOURCES},
        {"54001", DAL_CLASS_OUT_OF_RESOURCES},
        {"DL001", DAL_CLASS_STALE_MAP},
        {"DL002", DAL_CLASS_SLOT_BLOCKED},
        {"P0001", DAL_CLASS_SERVER_OTHER},
        {"XX000", DAL_CLASS_SERVER_OTHER},
        {"ZZZZZ", DAL_CLASS_SERVER_OTHER},
        /* another server's loss, told by a foreign data wrapper over a living connection */
        {"08006", DAL_CLASS_SERVER_OTHER},
        {"08001", DAL_CLASS_SERVER_OTHER},
        {"57P01", DAL_CLASS_SERVER_OTHER},
};

static void test_postgres_error__every_code_has_its_class(void **state)
{
        (void)state;
        for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
                dal_error err = report((dal__postgres_fault){.sqlstate = rows[i].sqlstate, .message = "m"});

                if (err.error_class != rows[i].error_class)
                        fail_msg("%s gave %s", rows[i].sqlstate, dal_error_class_name(err.error_class));
                assert_string_equal(err.sqlstate, rows[i].sqlstate);
        }
}

enum when {
        ALWAYS,
        CANCELED,
        STANDBY,
        OWN_STATEMENT
};

enum ends {
        TX,
        CONN,
        EITHER
};

/* The list itself. */
static const struct line {
        const char *code;
        enum when when;
        const char *function;
        dal_error_class error_class;
        enum ends ends;
} lines[] = {
#define DAL_POSTGRES_ROW(code, when, function, class, ends) {code, when, function, DAL_CLASS_##class, ends},
#include "errors.def"
};

/* No line stands in the shadow of another. */
static void test_postgres_error__every_line_of_the_list_decides(void **state)
{
        (void)state;
        for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
                const struct line *line = &lines[i];
                char code[6];
                dal__postgres_fault fault = {.sqlstate = code,
                                             .message = "m",
                                             .function = line->function,
                                             .cancel_sent = line->when == CANCELED,
                                             .read_only_server = line->when == STANDBY,
                                             .own_statement = line->when == OWN_STATEMENT};
                dal_error err, plain;

                (void)snprintf(code, sizeof code, "%s%s", line->code, line->code[2] ? "" : "999");
                err = report(fault);
                dal_error_set(&plain, line->ends == CONN ? DAL_CLASS_SERVER_OTHER : line->error_class, "m");
                if (err.error_class != plain.error_class)
                        fail_msg("%s gave %s", code, dal_error_class_name(err.error_class));
                assert_int_equal(err.retry_tx, plain.retry_tx);
                fault.conn_gone = true;
                err = report(fault);
                if (err.error_class != (line->ends == EITHER ? line->error_class : DAL_CLASS_CONNECTION_LOST))
                        fail_msg("%s of a dead connection gave %s", code,
                                 dal_error_class_name(err.error_class));
        }
}

static void test_postgres_error__two_phase_commit_is_known_by_its_source(void **state)
{
        dal__postgres_fault fault = {.sqlstate = "42704", .function = "LockGXact", .message = "m"};

        (void)state;
        assert_int_equal(report(fault).error_class, DAL_CLASS_XA);
        fault.sqlstate = "42501";
        assert_int_equal(report(fault).error_class, DAL_CLASS_PRIVILEGE);
        fault.sqlstate = "53200", fault.function = "MarkAsPreparing";
        assert_int_equal(report(fault).error_class, DAL_CLASS_OUT_OF_RESOURCES);
        fault.sqlstate = "42710", fault.function = "CreateRole";
        assert_int_equal(report(fault).error_class, DAL_CLASS_SERVER_OTHER);
}

static void test_postgres_error__a_dead_connection_decides_before_the_code(void **state)
{
        static const char *const lost[] = {"57P01", "57P02", "57P03", "57P04", "08006", "08003",
                                           "23505", "XX000", "42601", NULL,    ""};

        (void)state;
        for (size_t i = 0; i < sizeof lost / sizeof lost[0]; i++)
                assert_int_equal(
                        report((dal__postgres_fault){.sqlstate = lost[i], .conn_gone = true}).error_class,
                        DAL_CLASS_CONNECTION_LOST);
        static const char *const idle[] = {"25P03", "25P04", "57P05"};
        for (size_t i = 0; i < sizeof idle / sizeof idle[0]; i++)
                assert_int_equal(
                        report((dal__postgres_fault){.sqlstate = idle[i], .conn_gone = true}).error_class,
                        DAL_CLASS_TX_TIMEOUT);
        /* a standby ends a session that holds up its recovery */
        assert_int_equal(report((dal__postgres_fault){.sqlstate = "40001", .conn_gone = true}).error_class,
                         DAL_CLASS_SERIALIZATION);
        assert_int_equal(report((dal__postgres_fault){.sqlstate = "08007", .conn_gone = true}).error_class,
                         DAL_CLASS_COMMIT_UNKNOWN);
}

static void test_postgres_error__canceled_or_timed_out(void **state)
{
        static const struct {
                const char *message;
                bool cancel_sent;
                dal_error_class error_class;
        } cases[] = {
                {"canceling statement due to statement timeout", false, DAL_CLASS_STATEMENT_TIMEOUT},
                {"canceling statement due to statement timeout", true, DAL_CLASS_STATEMENT_TIMEOUT},
                {"canceling statement due to user request", false, DAL_CLASS_CANCELED},
                {"canceling statement due to user request", true, DAL_CLASS_CANCELED},
                {"annulation de la requ\xC3\xAAte", true, DAL_CLASS_CANCELED},
                {"annulation de la requ\xC3\xAAte", false, DAL_CLASS_STATEMENT_TIMEOUT},
                {NULL, true, DAL_CLASS_CANCELED},
        };

        (void)state;
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
                assert_int_equal(report((dal__postgres_fault){.sqlstate = "57014",
                                                              .message = cases[i].message,
                                                              .cancel_sent = cases[i].cancel_sent})
                                         .error_class,
                                 cases[i].error_class);
}

static void test_postgres_error__read_only_server_or_transaction(void **state)
{
        dal__postgres_fault fault = {.sqlstate = "25006", .message = "cannot execute INSERT"};

        (void)state;
        assert_int_equal(report(fault).error_class, DAL_CLASS_READ_ONLY_TX);
        fault.read_only_server = true;
        assert_int_equal(report(fault).error_class, DAL_CLASS_READ_ONLY_SERVER);
        fault.read_only_asked = true;
        assert_int_equal(report(fault).error_class, DAL_CLASS_READ_ONLY_TX);
        fault.function = "PreventCommandDuringRecovery";
        assert_int_equal(report(fault).error_class, DAL_CLASS_READ_ONLY_SERVER);
}

static void test_postgres_error__stale_plans_and_lost_statements(void **state)
{
        dal__postgres_fault fault = {.sqlstate = "0A000", .function = "RevalidateCachedQuery"};

        (void)state;
        assert_int_equal(report(fault).error_class, DAL_CLASS_SCHEMA_CHANGED);
        fault.function = "CreateExtension";
        assert_int_equal(report(fault).error_class, DAL_CLASS_UNSUPPORTED);
        fault.sqlstate = "26000";
        assert_int_equal(report(fault).error_class, DAL_CLASS_UNDEFINED_OBJECT);
        fault.own_statement = true;
        assert_int_equal(report(fault).error_class, DAL_CLASS_SCHEMA_CHANGED);
        fault.sqlstate = "42P05";
        assert_int_equal(report(fault).error_class, DAL_CLASS_SCHEMA_CHANGED);
}

static void test_postgres_error__the_client_librarys_own_failures(void **state)
{
        (void)state;
        assert_int_equal(
                report((dal__postgres_fault){.message = "out of memory for query result\n"}).error_class,
                DAL_CLASS_NO_MEMORY);
        assert_int_equal(report((dal__postgres_fault){.message = "another command is already in progress"})
                                 .error_class,
                         DAL_CLASS_INTERNAL);
        assert_string_equal(report((dal__postgres_fault){.sqlstate = NULL}).message,
                            "the server gave no message");
}

static void test_postgres_error__names_and_message(void **state)
{
        dal_error err = report((dal__postgres_fault){.sqlstate = "23505",
                                                     .message = "duplicate key\n\tvalue  here ",
                                                     .detail = "Key (id)=(7) already exists.",
                                                     .hint = "try\nagain",
                                                     .constraint = "t_pkey",
                                                     .table = "t",
                                                     .column = "id"});

        (void)state;
        assert_string_equal(err.message,
                            "duplicate key value here (Key (id)=(7) already exists.); hint: try again");
        assert_string_equal(err.constraint, "t_pkey");
        assert_string_equal(err.table, "t");
        assert_string_equal(err.column, "id");
        assert_string_equal(err.sqlstate, "23505");
        assert_false(err.not_sent);
        /* not five characters: not a SQLSTATE */
        assert_string_equal(report((dal__postgres_fault){.sqlstate = "123456"}).sqlstate, "");
}

static void test_postgres_error__a_refused_row_is_not_printed(void **state)
{
        static const char *const codes[] = {"23502", "23514"};

        (void)state;
        for (size_t i = 0; i < 2; i++) {
                dal_error err = report((dal__postgres_fault){.sqlstate = codes[i],
                                                             .message = "refused",
                                                             .detail = "Failing row contains (1, hunter2)."});

                assert_string_equal(err.message, "refused");
        }
}

static void test_postgres_error__long_texts_are_cut_at_a_character(void **state)
{
        char text[2000], out[64];

        (void)state;
        for (size_t shift = 0; shift < 4; shift++) {
                memset(text, 'x', shift);
                for (size_t i = 0; i < 300; i++)
                        memcpy(text + shift + 4 * i, "\xF0\x9F\x90\x98", 4);
                text[shift + 1200] = '\0';
                dal__postgres_one_line(out, sizeof out, text);
                assert_true(dal_value_is_utf8(out, strlen(out)));
                assert_true(strlen(out) < sizeof out && strlen(out) > sizeof out - 8);
                assert_string_equal(out + strlen(out) - 3, "\xE2\x80\xA6");
                dal_error err = report((dal__postgres_fault){.sqlstate = "XX000",
                                                             .message = text,
                                                             .detail = text,
                                                             .hint = text,
                                                             .constraint = text});
                assert_true(dal_value_is_utf8(err.message, strlen(err.message)));
                assert_true(dal_value_is_utf8(err.constraint, strlen(err.constraint)));
        }
        /* what fits exactly is whole */
        memset(text, 'y', 63);
        text[63] = '\0';
        dal__postgres_one_line(out, sizeof out, text);
        assert_string_equal(out, text);
        memcpy(text + 63, "\n", 2);
        dal__postgres_one_line(out, sizeof out, text);
        assert_int_equal(strlen(out), 63);
        assert_int_equal(out[62], 'y');
        dal__postgres_one_line(out, 2, "\xC3\xA4");
        assert_string_equal(out, "");
        dal__postgres_one_line(out, sizeof out, NULL);
        assert_string_equal(out, "");
}

/* --- While connecting ---------------------------------------------------------------------------------- */

static dal_error refuse(const char *text, bool has_password)
{
        dal_error err = DAL_ERROR_INIT;
        dal_status s = dal__postgres_fail_connect("db.example", text, has_password, &err);

        assert_int_equal(s, err.status);
        assert_int_equal(dal__postgres_fail_connect("db.example", text, has_password, NULL), s);
        assert_true(err.conn_gone && err.not_sent);
        assert_null(strchr(err.message, '\n'));
        assert_null(strstr(err.message, "LOCATION"));
        return err;
}

#define AT "connection to server at \"10.0.0.1\", port 5432 failed: "

static void test_postgres_error__refused_connects(void **state)
{
        static const struct {
                const char *text;
                const char *sqlstate;
                dal_error_class error_class;
        } cases[] = {
                {AT "FATAL:  28P01: password authentication failed for user \"x\"\nLOCATION:  auth.c:330\n",
                 "28P01", DAL_CLASS_AUTH},
                {AT "FATAL:  28000: no pg_hba.conf entry for host\n", "28000", DAL_CLASS_AUTH},
                {AT "FATAL:  3D000: database \"x\" does not exist\n", "3D000", DAL_CLASS_UNDEFINED_OBJECT},
                {AT "FATAL:  42501: permission denied for database \"x\"\nDETAIL:  User\n", "42501",
                 DAL_CLASS_PRIVILEGE},
                {AT "FATAL:  53300: sorry, too many clients already\n", "53300",
                 DAL_CLASS_TOO_MANY_CONNECTIONS},
                {AT "FATAL:  57P03: the database system is starting up\n", "57P03", DAL_CLASS_CONNECT_FAILED},
                {AT "FATAL:  57P01: terminating connection\n", "57P01", DAL_CLASS_CONNECT_FAILED},
                {AT "FATAL:  22023: invalid value for parameter \"timezone\"\n", "22023", DAL_CLASS_ARGUMENT},
                {AT "FATAL:  42704: unrecognized configuration parameter \"x\"\n", "42704",
                 DAL_CLASS_UNSUPPORTED},
                /* a pooler's one code for everything */
                {AT "FATAL:  08P01: no more connections allowed (max_client_conn)\n", "08P01",
                 DAL_CLASS_TOO_MANY_CONNECTIONS},
                {AT "FATAL:  08P01: auth failed\n", "08P01", DAL_CLASS_AUTH},
                {AT "FATAL:  08P01: no such database: x\n", "08P01", DAL_CLASS_UNDEFINED_OBJECT},
                {AT "FATAL:  08P01: server login failed\n", "08P01", DAL_CLASS_CONNECT_FAILED},
                /* the severity is in the server's language, the code is not */
                {AT "FATALE:  28P01: autenticazione fallita\n", "28P01", DAL_CLASS_AUTH},
                /* without a code */
                {AT "FATAL:  password authentication failed for user \"x\"\n", "", DAL_CLASS_AUTH},
                {AT "FATAL:  database \"x\" does not exist\n", "", DAL_CLASS_UNDEFINED_OBJECT},
                {AT "FATAL:  role \"x\" does not exist\n", "", DAL_CLASS_AUTH},
                {AT "FATAL:  sorry, too many clients already\n", "", DAL_CLASS_TOO_MANY_CONNECTIONS},
                {AT "FATAL:  the database system is shutting down\n", "", DAL_CLASS_CONNECT_FAILED},
                {AT "fe_sendauth: no password supplied\n", "", DAL_CLASS_AUTH},
                {AT "Connection refused\n\tIs the server running on that host?\n", "",
                 DAL_CLASS_CONNECT_FAILED},
                {AT "server does not support SSL, but SSL was required\n", "", DAL_CLASS_CONNECT_FAILED},
                {AT "SSL error: certificate verify failed\n", "", DAL_CLASS_CONNECT_FAILED},
                {"out of memory\n", "", DAL_CLASS_NO_MEMORY},
                {"", "", DAL_CLASS_CONNECT_FAILED},
                {":  ", "", DAL_CLASS_CONNECT_FAILED},
                {":  28P01:", "", DAL_CLASS_CONNECT_FAILED},
                {":  28P01: ", "28P01", DAL_CLASS_AUTH},
        };

        (void)state;
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
                dal_error err = refuse(cases[i].text, true);

                if (err.error_class != cases[i].error_class)
                        fail_msg("%s gave %s", cases[i].text, dal_error_class_name(err.error_class));
                assert_string_equal(err.sqlstate, cases[i].sqlstate);
        }
}

static void test_postgres_error__a_refused_connect_names_the_host_and_the_remedy(void **state)
{
        dal_error err = refuse(AT "FATAL:  28P01: password authentication failed for user \"x\"\n", true);

        (void)state;
        assert_string_equal(err.message,
                            "db.example: " AT
                            "FATAL: password authentication failed for user \"x\"; check the user "
                            "and password of the URL");
        err = refuse(
                "connection to server at \"db.example\" (10.0.0.1), port 5432 failed: FATAL:  28P01: no\n",
                false);
        assert_string_equal(err.message,
                            "connection to server at \"db.example\" (10.0.0.1), port 5432 failed: "
                            "FATAL: no; the URL gives no password");
        assert_non_null(strstr(refuse(AT "server does not support SSL\n", true).message, "sslmode=off"));
        assert_non_null(
                strstr(refuse("SSL error: certificate verify failed\n", true).message, "sslrootcert"));
}

static void test_postgres_error__a_huge_refusal_does_no_harm(void **state)
{
        char text[6000];

        (void)state;
        memset(text, 'x', sizeof text);
        text[sizeof text - 1] = '\0';
        refuse(text, true);
        memcpy(text + 2000, ":  28P01: ", 10);
        assert_int_equal(refuse(text, true).error_class, DAL_CLASS_AUTH);
        memcpy(text, ":  28P01: ", 10);
        assert_int_equal(refuse(text, true).error_class, DAL_CLASS_AUTH);
        assert_int_equal(class_of("28P01"), DAL_CLASS_AUTH);
}

/* Pieces of real texts in any order, as a refused connect and as an error's fields. */
static void test_postgres_error__random_texts_do_no_harm(void **state)
{
        static const char *const pieces[] = {
                AT,
                ":  ",
                ": ",
                "FATAL",
                "28P01",
                "08P01",
                "3D000: ",
                "\n",
                "x",
                "\xC3\xA9",
                "\xE2\x82",
                "\xFF",
                "database \"",
                "does not exist",
                "LOCATION:  auth.c:330",
                "too many clients",
                "out of memory",
                "words that are so many that together they do not fit the place that there is for them "};
        uint32_t random = 20240229;

        (void)state;
        for (int round = 0; round < 20000; round++) {
                char text[2048] = "";
                size_t n = 0;
                char *exact;
                dal_error err = DAL_ERROR_INIT;

                for (uint32_t left = random >> 28; left > 0; left--) {
                        const char *piece;

                        random = random * 1664525u + 1013904223u;
                        piece = pieces[(random >> 8) % (sizeof pieces / sizeof pieces[0])];
                        memcpy(text + n, piece, strlen(piece) + 1);
                        n += strlen(piece);
                }
                random = random * 1664525u + 1013904223u;
                exact = malloc(n + 1); /* so that a byte too many is noticed */
                assert_non_null(exact);
                memcpy(exact, text, n + 1);
                assert_int_not_equal(dal__postgres_fail_connect("db.example", exact, random >> 31, &err),
                                     DAL_OK);
                assert_true(dal_value_is_utf8(err.message, strlen(err.message)));
                err = report((dal__postgres_fault){.sqlstate = "23505",
                                                   .message = exact,
                                                   .detail = exact,
                                                   .hint = exact,
                                                   .table = exact,
                                                   .constraint = exact});
                assert_true(dal_value_is_utf8(err.message, strlen(err.message)));
                assert_null(strchr(err.message, '\n'));
                assert_true(dal_value_is_utf8(err.table, strlen(err.table)));
                free(exact);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_postgres_error__every_code_has_its_class),
                cmocka_unit_test(test_postgres_error__every_line_of_the_list_decides),
                cmocka_unit_test(test_postgres_error__two_phase_commit_is_known_by_its_source),
                cmocka_unit_test(test_postgres_error__random_texts_do_no_harm),
                cmocka_unit_test(test_postgres_error__a_dead_connection_decides_before_the_code),
                cmocka_unit_test(test_postgres_error__canceled_or_timed_out),
                cmocka_unit_test(test_postgres_error__read_only_server_or_transaction),
                cmocka_unit_test(test_postgres_error__stale_plans_and_lost_statements),
                cmocka_unit_test(test_postgres_error__the_client_librarys_own_failures),
                cmocka_unit_test(test_postgres_error__names_and_message),
                cmocka_unit_test(test_postgres_error__a_refused_row_is_not_printed),
                cmocka_unit_test(test_postgres_error__long_texts_are_cut_at_a_character),
                cmocka_unit_test(test_postgres_error__refused_connects),
                cmocka_unit_test(test_postgres_error__a_refused_connect_names_the_host_and_the_remedy),
                cmocka_unit_test(test_postgres_error__a_huge_refusal_does_no_harm),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
