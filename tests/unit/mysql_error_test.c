/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <dal/value.h>

#include "fault.h"

enum {
        TX = 1,   /* the transaction is gone */
        CONN = 2, /* the connection is gone */
        MYSQL = 4,
        MARIADB = 8,
        BOTH = MYSQL | MARIADB
};

static dal_error classify(dal__mysql_fault fault)
{
        dal_error err = DAL_ERROR_INIT;
        dal_status s = dal__mysql_fault_error(&fault, &err);

        assert_int_equal(s, err.status);
        assert_int_equal(s, dal_error_class_status(err.error_class));
        return err;
}

static dal_error say(unsigned code, const char *sqlstate, const char *message, bool mariadb)
{
        return classify((dal__mysql_fault){
                .code = code, .sqlstate = sqlstate, .message = message, .mariadb = mariadb});
}

/* The well-known numbers, written down once more: a list that is wrong is noticed. */
static const struct {
        unsigned code;
        int where; /* servers, and what is gone */
        dal_error_class error_class;
} numbers[] = {
        {1062, BOTH, DAL_CLASS_UNIQUE},
        {1586, BOTH, DAL_CLASS_UNIQUE},
        {1022, BOTH, DAL_CLASS_UNIQUE},
        {1761, BOTH, DAL_CLASS_UNIQUE},
        {1762, BOTH, DAL_CLASS_UNIQUE},
        {1452, BOTH, DAL_CLASS_FOREIGN_KEY},
        {1451, BOTH, DAL_CLASS_FOREIGN_KEY},
        {1216, BOTH, DAL_CLASS_FOREIGN_KEY},
        {1217, BOTH, DAL_CLASS_FOREIGN_KEY},
        {1048, BOTH, DAL_CLASS_NOT_NULL},
        {1364, BOTH, DAL_CLASS_NOT_NULL},
        {3819, MYSQL, DAL_CLASS_CHECK},
        {4025, MARIADB, DAL_CLASS_CHECK},
        {1264, BOTH, DAL_CLASS_DATA},
        {1366, BOTH, DAL_CLASS_DATA},
        {1406, BOTH, DAL_CLASS_DATA},
        {1292, BOTH, DAL_CLASS_DATA},
        {1020, BOTH | TX, DAL_CLASS_SERIALIZATION},
        {3101, MYSQL | TX, DAL_CLASS_SERIALIZATION},
        {1964, MARIADB | TX, DAL_CLASS_SERIALIZATION},
        {1213, BOTH | TX, DAL_CLASS_DEADLOCK},
        {1614, BOTH | TX, DAL_CLASS_DEADLOCK},
        {3132, MYSQL, DAL_CLASS_DEADLOCK},
        {3058, BOTH, DAL_CLASS_DEADLOCK},
        {1689, BOTH, DAL_CLASS_DEADLOCK},
        {1205, BOTH, DAL_CLASS_LOCK_TIMEOUT},
        {3572, MYSQL, DAL_CLASS_LOCK_TIMEOUT},
        {1613, BOTH | TX, DAL_CLASS_LOCK_TIMEOUT},
        {3133, MYSQL, DAL_CLASS_LOCK_TIMEOUT},
        {3024, BOTH, DAL_CLASS_STATEMENT_TIMEOUT},
        {1969, MARIADB, DAL_CLASS_STATEMENT_TIMEOUT},
        {1317, BOTH, DAL_CLASS_CANCELED},
        {2006, BOTH | CONN, DAL_CLASS_CONNECTION_LOST},
        {2013, BOTH | CONN, DAL_CLASS_CONNECTION_LOST},
        {2026, BOTH | CONN, DAL_CLASS_CONNECTION_LOST},
        {2055, BOTH | CONN, DAL_CLASS_CONNECTION_LOST},
        {1053, BOTH | CONN, DAL_CLASS_CONNECTION_LOST},
        {3169, MYSQL | CONN, DAL_CLASS_CONNECTION_LOST},
        {4031, MYSQL | CONN, DAL_CLASS_TX_TIMEOUT},
        {1927, MARIADB | CONN, DAL_CLASS_CONNECTION_LOST},
        {1158, BOTH | CONN, DAL_CLASS_CONNECTION_LOST},
        {1161, BOTH | CONN, DAL_CLASS_CONNECTION_LOST},
        {1184, BOTH | CONN, DAL_CLASS_CONNECTION_LOST},
        {2002, BOTH | CONN, DAL_CLASS_CONNECT_FAILED},
        {2003, BOTH | CONN, DAL_CLASS_CONNECT_FAILED},
        {1836, BOTH, DAL_CLASS_READ_ONLY_SERVER},
        {1874, BOTH, DAL_CLASS_READ_ONLY_SERVER},
        {1792, BOTH, DAL_CLASS_READ_ONLY_TX},
        {1045, BOTH, DAL_CLASS_AUTH},
        {1130, BOTH, DAL_CLASS_AUTH},
        {1820, BOTH, DAL_CLASS_AUTH},
        {1862, BOTH, DAL_CLASS_AUTH},
        {2061, BOTH, DAL_CLASS_AUTH},
        {5010, BOTH, DAL_CLASS_AUTH},
        {1044, BOTH, DAL_CLASS_PRIVILEGE},
        {1142, BOTH, DAL_CLASS_PRIVILEGE},
        {1143, BOTH, DAL_CLASS_PRIVILEGE},
        {1227, BOTH, DAL_CLASS_PRIVILEGE},
        {1095, BOTH, DAL_CLASS_PRIVILEGE},
        {1064, BOTH, DAL_CLASS_SYNTAX},
        {1149, BOTH, DAL_CLASS_SYNTAX},
        {1146, BOTH, DAL_CLASS_UNDEFINED_OBJECT},
        {1054, BOTH, DAL_CLASS_UNDEFINED_OBJECT},
        {1305, BOTH, DAL_CLASS_UNDEFINED_OBJECT},
        {1049, BOTH, DAL_CLASS_UNDEFINED_OBJECT},
        {1051, BOTH, DAL_CLASS_UNDEFINED_OBJECT},
        {1243, BOTH, DAL_CLASS_UNDEFINED_OBJECT},
        {1412, BOTH, DAL_CLASS_SCHEMA_CHANGED},
        {1615, BOTH, DAL_CLASS_SCHEMA_CHANGED},
        {1040, BOTH, DAL_CLASS_TOO_MANY_CONNECTIONS},
        {1203, BOTH, DAL_CLASS_TOO_MANY_CONNECTIONS},
        {1226, BOTH, DAL_CLASS_TOO_MANY_CONNECTIONS},
        {1129, BOTH, DAL_CLASS_TOO_MANY_CONNECTIONS},
        {1021, BOTH, DAL_CLASS_OUT_OF_RESOURCES},
        {1114, BOTH, DAL_CLASS_OUT_OF_RESOURCES},
        {1197, BOTH, DAL_CLASS_OUT_OF_RESOURCES},
        {1206, BOTH | TX, DAL_CLASS_OUT_OF_RESOURCES},
        {1461, BOTH, DAL_CLASS_OUT_OF_RESOURCES},
        {1637, BOTH, DAL_CLASS_OUT_OF_RESOURCES},
        {1153, BOTH | CONN, DAL_CLASS_PACKET_TOO_LARGE},
        {2020, BOTH | CONN, DAL_CLASS_PACKET_TOO_LARGE},
        {1568, BOTH, DAL_CLASS_TX_STATE},
        {1192, BOTH, DAL_CLASS_TX_STATE},
        {1397, BOTH, DAL_CLASS_XA},
        {1399, BOTH, DAL_CLASS_XA},
        {1402, BOTH | TX, DAL_CLASS_XA},
        {1440, BOTH, DAL_CLASS_XA},
        {4091, MYSQL, DAL_CLASS_XA},
        {4091, MARIADB, DAL_CLASS_UNDEFINED_OBJECT},
        {1235, BOTH, DAL_CLASS_UNSUPPORTED},
        {1295, BOTH, DAL_CLASS_UNSUPPORTED},
};

static void test_mysql_error__well_known_numbers_have_their_class_and_scope(void **state)
{
        (void)state;
        for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
                for (int mariadb = 0; mariadb < 2; mariadb++) {
                        if (!(numbers[i].where & (mariadb ? MARIADB : MYSQL)))
                                continue;
                        dal_error err = say(numbers[i].code, "HY000", "message", mariadb);

                        if (err.error_class != numbers[i].error_class)
                                fail_msg("%u is %s", numbers[i].code, dal_error_class_name(err.error_class));
                        assert_int_equal(err.tx_gone, (numbers[i].where & TX) != 0);
                        assert_int_equal(err.conn_gone, (numbers[i].where & CONN) != 0);
                        assert_int_equal(err.vendor_code, numbers[i].code);
                        assert_string_equal(err.sqlstate, "HY000");
                        assert_false(err.not_sent);
                }
        }
}

/* The list itself. */
static const struct line {
        unsigned code;
        int servers;
        const char *text;
        dal_error_class error_class;
        int effect;
        const char *remedy;
} lines[] = {
#define STATEMENT 0
#define DAL_MYSQL_ROW(code, servers, text, class, effect, names, remedy)                                     \
        {code, servers, text, DAL_CLASS_##class, effect, remedy},
#define DAL_MYSQL_STATE(sqlstate, class, effect)
#include "errors.def"
};

static const struct {
        const char *sqlstate;
        dal_error_class error_class;
        int effect;
} states[] = {
#define DAL_MYSQL_ROW(code, servers, text, class, effect, names, remedy)
#define DAL_MYSQL_STATE(sqlstate, class, effect) {sqlstate, DAL_CLASS_##class, effect},
#include "errors.def"
};

#define N_OF(array) (sizeof(array) / sizeof((array)[0]))

static bool retried(dal_error_class error_class)
{
        dal_error err;

        dal_error_set(&err, error_class, "x");
        return err.retry_tx;
}

static void check_line(const struct line *line, bool mariadb)
{
        dal_error err = say(line->code, "HY000", line->text ? line->text : "x", mariadb);

        if (err.error_class != line->error_class)
                fail_msg("%u is %s", line->code, dal_error_class_name(err.error_class));
        assert_int_equal(err.tx_gone, line->effect == TX);
        assert_int_equal(err.conn_gone, line->effect == CONN);
        assert_int_equal(err.retry_tx, retried(line->error_class));
        assert_int_equal(err.vendor_code, line->code);
        assert_false(err.not_sent);
        if (line->remedy)
                assert_non_null(strstr(err.message, line->remedy));
        assert_string_equal(err.table, "");
        assert_string_equal(err.column, "");
        assert_string_equal(err.constraint, "");
}

/* No line stands in the shadow of another. */
static void test_mysql_error__every_line_of_the_list_decides(void **state)
{
        (void)state;
        for (size_t i = 0; i < N_OF(lines); i++) {
                if (lines[i].servers & MYSQL)
                        check_line(&lines[i], false);
                if (lines[i].servers & MARIADB)
                        check_line(&lines[i], true);
        }
        for (size_t i = 0; i < N_OF(states); i++) {
                dal_error err = say(9999, states[i].sqlstate, "x", i % 2);

                if (err.error_class != states[i].error_class)
                        fail_msg("%s is %s", states[i].sqlstate, dal_error_class_name(err.error_class));
                assert_int_equal(err.tx_gone, states[i].effect == TX);
                assert_int_equal(err.conn_gone, states[i].effect == CONN);
        }
}

static void test_mysql_error__every_answer_to_commit_is_final_or_ends_the_connection(void **state)
{
        (void)state;
        for (size_t i = 0; i < N_OF(lines); i++) {
                dal_error err = classify((dal__mysql_fault){.code = lines[i].code,
                                                            .sqlstate = "HY000",
                                                            .message = "x",
                                                            .mariadb = !(lines[i].servers & MYSQL),
                                                            .committing = true});
                assert_int_not_equal(err.tx_gone, err.conn_gone);
        }
}

static void test_mysql_error__no_failure_to_connect_leaves_a_connection(void **state)
{
        (void)state;
        for (size_t i = 0; i < N_OF(lines); i++) {
                dal_error err = classify((dal__mysql_fault){.code = lines[i].code,
                                                            .sqlstate = "HY000",
                                                            .message = "x",
                                                            .mariadb = !(lines[i].servers & MYSQL),
                                                            .connecting = true});
                assert_true(err.conn_gone);
                assert_int_not_equal(err.error_class, DAL_CLASS_CONNECTION_LOST);
        }
}

/* 4025 and 4031 are other things on the other server, and get what their SQLSTATE says. */
static void test_mysql_error__the_same_number_means_something_else_on_the_other_server(void **state)
{
        (void)state;
        assert_int_equal(say(4025, "HY000", "x", false).error_class, DAL_CLASS_SERVER_OTHER);
        assert_int_equal(say(3819, "HY000", "x", true).error_class, DAL_CLASS_SERVER_OTHER);
        assert_int_equal(say(4031, "HY000", "x", true).error_class, DAL_CLASS_SERVER_OTHER);
        assert_false(say(4031, "HY000", "x", true).conn_gone);
}

static void test_mysql_error__sqlstate_decides_for_unknown_numbers(void **state)
{
        (void)state;
        assert_int_equal(say(1644, "DL001", "moved", false).error_class, DAL_CLASS_STALE_MAP);
        assert_true(say(1644, "DL001", "moved", true).retry_tx);
        assert_int_equal(say(1644, "DL002", "moving", true).error_class, DAL_CLASS_SLOT_BLOCKED);
        assert_int_equal(say(1644, "45000", "x", true).error_class, DAL_CLASS_SERVER_OTHER);
        assert_int_equal(say(1644, "23000", "x", true).error_class, DAL_CLASS_CHECK);
        assert_int_equal(say(9999, "22003", "x", true).error_class, DAL_CLASS_DATA);
        assert_int_equal(say(9999, "25006", "x", true).error_class, DAL_CLASS_READ_ONLY_TX);
        assert_int_equal(say(9999, "28000", "x", true).error_class, DAL_CLASS_AUTH);
        assert_int_equal(say(9999, "40001", "x", true).error_class, DAL_CLASS_SERIALIZATION);
        assert_int_equal(say(9999, "42S02", "x", true).error_class, DAL_CLASS_UNDEFINED_OBJECT);
        assert_int_equal(say(9999, "42000", "x", true).error_class, DAL_CLASS_SYNTAX);
        assert_int_equal(say(9999, "70100", "x", true).error_class, DAL_CLASS_CANCELED);
        assert_int_equal(say(9999, "XAE04", "x", true).error_class, DAL_CLASS_XA);
        assert_true(say(9999, "08S01", "x", true).conn_gone);
        assert_int_equal(say(9999, "", "", true).error_class, DAL_CLASS_SERVER_OTHER);
}

static void test_mysql_error__the_text_decides_where_the_number_does_not(void **state)
{
        dal_error err;

        (void)state;
        err = say(1290, "HY000",
                  "The MySQL server is running with the --super-read-only option so it cannot execute this "
                  "statement",
                  false);
        assert_int_equal(err.error_class, DAL_CLASS_READ_ONLY_SERVER);
        assert_false(err.tx_gone);
        err = say(1290, "HY000", "The MySQL server is running with the --secure-file-priv option ...", false);
        assert_int_equal(err.error_class, DAL_CLASS_UNSUPPORTED);
        assert_int_equal(say(1305, "42000", "SAVEPOINT dal_1 does not exist", true).error_class,
                         DAL_CLASS_TX_STATE);
        assert_int_equal(say(1305, "42000", "PROCEDURE shop.p does not exist", true).error_class,
                         DAL_CLASS_UNDEFINED_OBJECT);
        assert_int_equal(
                say(1105, "HY000", "Parameter of prepared statement ... 'max_allowed_packet' bytes", false)
                        .error_class,
                DAL_CLASS_PACKET_TOO_LARGE);
        assert_int_equal(say(1105, "HY000", "something", false).error_class, DAL_CLASS_SERVER_OTHER);
        assert_int_equal(
                say(1047, "08S01", "WSREP has not yet prepared node for application use", true).error_class,
                DAL_CLASS_READ_ONLY_SERVER);
        assert_int_equal(say(2027, "HY000", "Unknow/unsupported field type: 242", false).error_class,
                         DAL_CLASS_UNSUPPORTED);
}

/* Measured on MySQL 9.7: a server that answers COMMIT with an error has rolled back. */
static void test_mysql_error__an_error_packet_for_commit_is_a_rollback(void **state)
{
        static const struct {
                unsigned code;
                const char *message;
                dal_error_class error_class;
        } answers[] = {
                {1290, "... running with the --read-only option ...", DAL_CLASS_READ_ONLY_SERVER},
                {1205, "Lock wait timeout exceeded", DAL_CLASS_LOCK_TIMEOUT},
                {3101, "Plugin instructed the server to rollback", DAL_CLASS_SERIALIZATION},
                {1180, "Got error 149 - 'Lock deadlock; Retry transaction' during COMMIT",
                 DAL_CLASS_SERIALIZATION},
                {1180, "Got error 28 - 'No space left on device' during COMMIT", DAL_CLASS_SERVER_OTHER},
                {1213, "Deadlock found", DAL_CLASS_DEADLOCK},
        };

        (void)state;
        for (size_t i = 0; i < sizeof answers / sizeof answers[0]; i++) {
                dal_error err = classify((dal__mysql_fault){.code = answers[i].code,
                                                            .sqlstate = "HY000",
                                                            .message = answers[i].message,
                                                            .committing = true});
                assert_int_equal(err.error_class, answers[i].error_class);
                assert_true(err.tx_gone);
                assert_false(err.conn_gone);
        }
        dal_error lost = classify((dal__mysql_fault){
                .code = 2013, .sqlstate = "HY000", .message = "Lost connection", .committing = true});
        assert_int_equal(lost.error_class, DAL_CLASS_CONNECTION_LOST);
        assert_true(lost.conn_gone);
        assert_false(lost.tx_gone); /* nobody knows */
}

static void test_mysql_error__while_connecting_a_lost_connection_is_a_failed_one(void **state)
{
        static const unsigned codes[] = {2002, 2003, 2005, 2006, 2013, 2012, 2026};

        (void)state;
        for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
                dal_error err = classify((dal__mysql_fault){.code = codes[i],
                                                            .sqlstate = "HY000",
                                                            .message = "no",
                                                            .where = "mysql://dal@db1/shop",
                                                            .connecting = true});
                assert_int_equal(err.error_class, DAL_CLASS_CONNECT_FAILED);
                assert_true(err.conn_gone);
                assert_non_null(strstr(err.message, "mysql://dal@db1/shop"));
        }
        assert_int_equal(classify((dal__mysql_fault){.code = 1045,
                                                     .sqlstate = "28000",
                                                     .message = "Access denied for user 'x'@'y'",
                                                     .connecting = true})
                                 .error_class,
                         DAL_CLASS_AUTH);
        assert_int_equal(classify((dal__mysql_fault){.code = 1040,
                                                     .sqlstate = "08004",
                                                     .message = "Too many connections",
                                                     .connecting = true})
                                 .error_class,
                         DAL_CLASS_TOO_MANY_CONNECTIONS);
}

static void check_names(dal_error err, const char *table, const char *column, const char *constraint)
{
        assert_string_equal(err.table, table);
        assert_string_equal(err.column, column);
        assert_string_equal(err.constraint, constraint);
}

static void test_mysql_error__names_are_taken_from_the_text(void **state)
{
        (void)state;
        check_names(say(1062, "23000", "Duplicate entry '1' for key 'p.PRIMARY'", false), "p", "", "PRIMARY");
        check_names(say(1062, "23000", "Duplicate entry 'it's for key 'x'' for key 'name_uq'", true), "", "",
                    "name_uq");
        check_names(say(1452, "23000",
                        "Cannot add or update a child row: a foreign key constraint fails (`shop`.`lines`, "
                        "CONSTRAINT `lines_fk` FOREIGN KEY (`order_id`) REFERENCES `orders` (`id`))",
                        false),
                    "lines", "order_id", "lines_fk");
        check_names(say(1451, "23000",
                        "Cannot delete or update a parent row: a foreign key constraint fails "
                        "(`shop`.`lines`, CONSTRAINT `lines_fk` FOREIGN KEY (`order_id`) REFERENCES `orders` "
                        "(`id`) ON DELETE RESTRICT)",
                        true),
                    "lines", "order_id", "lines_fk");
        check_names(say(1048, "23000", "Column 'qty' cannot be null", false), "", "qty", "");
        check_names(say(1364, "HY000", "Field 'qty' doesn't have a default value", false), "", "qty", "");
        check_names(say(3819, "HY000", "Check constraint 'qty_pos' is violated.", false), "", "", "qty_pos");
        check_names(say(4025, "23000", "CONSTRAINT `qty_pos` failed for `shop`.`stock`", true), "stock", "",
                    "qty_pos");
        check_names(say(1264, "22003", "Out of range value for column 'qty' at row 1", false), "", "qty", "");
        check_names(say(1366, "22007",
                        "Incorrect integer value: 'x' for column `shop`.`stock`.`qty` at row 1", true),
                    "stock", "qty", "");
        check_names(say(1406, "22001", "Data too long for column 'sku' at row 7", false), "", "sku", "");
        check_names(say(1054, "42S22", "Unknown column 's.price' in 'field list'", false), "", "price", "");
        check_names(say(1146, "42S02", "Table 'shop.orders' doesn't exist", false), "orders", "", "");
        check_names(say(1142, "42000", "SELECT command denied to user 'a'@'b' for table 'orders'", false),
                    "orders", "", "");
        check_names(
                say(1142, "42000", "SELECT command denied to user 'a'@'b' for table `shop`.`orders`", true),
                "orders", "", "");
}

static void check_unnamed(unsigned code, const char *message, bool mariadb)
{
        dal_error err = say(code, "HY000", message, mariadb);

        if (err.table[0] || err.column[0] || err.constraint[0])
                fail_msg("%s\n    gave '%s', '%s', '%s'", message, err.table, err.column, err.constraint);
}

static void test_mysql_error__names_hold_anything(void **state)
{
        (void)state;
        check_names(say(1452, "23000",
                        "Cannot add (`a``b`.`c.d`, CONSTRAINT `e'f` FOREIGN KEY (`g`, `h``i`) REFERENCES `x` "
                        "(`y`, `z`))",
                        false),
                    "c.d", "g, h`i", "e'f");
        check_names(say(3819, "HY000", "Check constraint 'it's' is violated.", false), "", "", "it's");
        check_names(say(4025, "23000", "CONSTRAINT `t.c` failed for `d`.`t`", true), "t", "", "t.c");
        check_names(say(1048, "23000", "Column 'it's' cannot be null", false), "", "it's", "");
        check_names(say(1062, "23000", "Duplicate entry '1' for key 'x.y'", true), "", "", "x.y");
        check_names(say(1062, "23000", "Duplicate entry '' for key 'b' for key 't.k'", false), "t", "", "k");
        check_names(say(1366, "22007",
                        "Incorrect integer value: 'for column `a`.`b`.`c` at row 1' for column "
                        "`d`.`\xC3\xA9t\xC3\xA9`.`\xE2\x82\xAC` at row 12",
                        true),
                    "\xC3\xA9t\xC3\xA9", "\xE2\x82\xAC", "");
        check_names(say(1143, "42000",
                        "SELECT command denied to user 'a'@'b' for column 'price' in table 'stock'", false),
                    "stock", "price", "");
        check_names(say(1022, "23000", "Can't write; duplicate key in table 't'", true), "", "", "");
        /* 63 bytes are the most that a name may have here */
        check_names(
                say(1048, "23000",
                    "Column '012345678901234567890123456789012345678901234567890123456789012' cannot be null",
                    false),
                "", "012345678901234567890123456789012345678901234567890123456789012", "");
        check_unnamed(
                1048,
                "Column '0123456789012345678901234567890123456789012345678901234567890123' cannot be null",
                false);
}

/* What stands between quotes in every language is taken, what only looks like the English text is not. */
static void test_mysql_error__unsure_names_are_left_empty(void **state)
{
        (void)state;
        check_names(say(1048, "23000", "Feld 'menge' darf nicht NULL sein", false), "", "menge", "");
        check_names(say(1146, "42S02", "Tabelle 'shop.orders' existiert nicht", true), "orders", "", "");
        check_names(say(1452, "23000",
                        "eine Fremdschl\xC3\xBCssel-Beschr\xC3\xA4nkung schl\xC3\xA4gt fehl (`s`.`t`, "
                        "CONSTRAINT `fk` FOREIGN KEY (`c`) REFERENCES `p` (`id`))",
                        false),
                    "t", "c", "fk");
        check_unnamed(1062, "Doppelter Eintrag 'x' for key 'y'' f\xC3\xBCr Schl\xC3\xBCssel 't.k'", false);
        check_unnamed(1062, "Duplicate entry 'x' for key 't.ke", false);
        check_unnamed(1062, "Duplicate entry 'x' for key 'a.b.c'", false);
        check_unnamed(1366, "Falscher integer-Wert: 'for column 'q' at row 1' f\xC3\xBCr Feld 'c' in Zeile 1",
                      false);
        check_unnamed(1292, "Truncated incorrect DOUBLE value: 'x for column 'q' at row 1'", false);
        check_unnamed(1364,
                      "Le champ 'c' n'a pas de valeur par d\xC3\xA9"
                      "faut",
                      true);
        check_unnamed(1146, "Table 's.a.b' doesn't exist", false);
        check_unnamed(1051, "Unknown table 's.a,s.b'", true);
        check_unnamed(1142, "SELECT command denied to user 'a'@'b' for table `s`.`t` at once", true);
        check_unnamed(1048, "Column 'a\nb' cannot be null", false);
        check_unnamed(1048, "Column 'a\xFF' cannot be null", false);
        /* cut in the midst: what was whole before it stands */
        check_names(say(1452, "23000", "fails (`s`.`t`, CONSTRAINT `f", false), "t", "", "");
        check_names(say(1452, "23000", "fails (`s`.`t`, CONSTRAINT `fk` FOREIGN KEY (`a`, `b", false), "t",
                    "", "fk");
        check_names(say(4025, "23000", "CONSTRAINT `ck` failed for `s`.`t", true), "", "", "ck");
}

/* Pieces of real messages in any order: whatever comes out can be printed. */
static void test_mysql_error__random_texts_do_no_harm(void **state)
{
        static const char *const pieces[] = {
                "Duplicate entry '",
                "' for key '",
                "for key '",
                "'",
                "`",
                "``",
                ".",
                "(`",
                "`.`",
                "fails (`",
                ", CONSTRAINT `",
                "CONSTRAINT `",
                "` FOREIGN KEY (`",
                "`, `",
                "`)",
                "Check constraint '",
                "' is violated.",
                " failed for ",
                " column '",
                " column `",
                " at row ",
                "' at row ",
                "7",
                "Column '",
                "' cannot be null",
                "Field '",
                "' doesn't have a default value",
                "Unknown column '",
                "' in '",
                "Table '",
                "' doesn't exist",
                "Unknown table '",
                "' in ",
                " for table '",
                " for table `",
                "' in table '",
                "max_allowed_packet",
                "149 ",
                "read-only",
                "\xC3\xA9",
                "\xE2\x82",
                "\xFF",
                "\n",
                "abc",
                "a_name_that_is_very_much_longer_than_any_name_that_the_error_has_a_place_for",
        };
        uint32_t random = 20240229;

        (void)state;
        for (int round = 0; round < 40000; round++) {
                char text[2048] = "";
                size_t n = 0;
                char *exact;
                dal_error err;

                for (uint32_t left = random >> 28; left > 0; left--) {
                        const char *piece;

                        random = random * 1664525u + 1013904223u;
                        piece = pieces[(random >> 8) % N_OF(pieces)];
                        memcpy(text + n, piece, strlen(piece) + 1);
                        n += strlen(piece);
                }
                random = random * 1664525u + 1013904223u;
                exact = malloc(n + 1); /* so that a byte too many is noticed */
                assert_non_null(exact);
                memcpy(exact, text, n + 1);
                err = say(lines[(random >> 8) % N_OF(lines)].code, "HY000", exact, (random >> 30) & 1);
                free(exact);
                assert_true(dal_value_is_utf8(err.table, strlen(err.table)));
                assert_true(dal_value_is_utf8(err.column, strlen(err.column)));
                assert_true(dal_value_is_utf8(err.constraint, strlen(err.constraint)));
                assert_true(dal_value_is_utf8(err.message, strlen(err.message)));
                assert_null(strpbrk(err.constraint, "\n"));
        }
}

/* A server in bad faith may say anything: nothing is read or written out of bounds. */
static void test_mysql_error__odd_texts_do_no_harm(void **state)
{
        static const char *const odd[] = {"",
                                          "'",
                                          "for key '",
                                          "CONSTRAINT `",
                                          "fails (`a`.`",
                                          "column '",
                                          "for column `",
                                          "for column `` at row",
                                          "able '",
                                          "for table `",
                                          "for column `a`.`b`.` at row",
                                          "for key ''",
                                          "onstraint ''",
                                          "`.`"};
        static const unsigned codes[] = {1062, 1452, 1048, 3819, 4025, 1366, 1146, 1142, 1180, 1305};
        char huge[4000];

        (void)state;
        memset(huge, 'x', sizeof huge - 1);
        huge[sizeof huge - 1] = '\0';
        memcpy(huge, "for key '", 9);
        memcpy(huge + sizeof huge - 3, "'", 1);
        for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
                for (size_t j = 0; j < sizeof odd / sizeof odd[0]; j++)
                        say(codes[i], "HY000", odd[j], j % 2);
                dal_error err = say(codes[i], "HY000", huge, true);
                assert_true(strlen(err.message) < sizeof err.message);
                assert_true(strlen(err.constraint) < sizeof err.constraint);
        }
}

static void test_mysql_error__the_message_is_one_line_and_names_the_remedy(void **state)
{
        dal_error err = say(1064, "42000", "You have an error near 'FROM\n\tx' at line 2", false);

        (void)state;
        assert_null(strchr(err.message, '\n'));
        assert_null(strchr(err.message, '\t'));
        assert_non_null(strstr(err.message, "MySQL error 1064"));
        assert_non_null(strstr(say(1461, "42000", "x", true).message, "max_prepared_stmt_count"));
        assert_non_null(strstr(say(2061, "HY000", "x", true).message, "server_public_key"));
        assert_non_null(strstr(say(1062, "23000", "x", true).message, "MariaDB error 1062"));
        assert_non_null(strstr(say(2013, "HY000", "x", true).message, "client error 2013"));
        /* err may be NULL */
        dal__mysql_fault fault = {.code = 1062, .sqlstate = "23000", .message = "x"};
        assert_int_equal(dal__mysql_fault_error(&fault, NULL), DAL_ERR_CONSTRAINT);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_mysql_error__well_known_numbers_have_their_class_and_scope),
                cmocka_unit_test(test_mysql_error__every_line_of_the_list_decides),
                cmocka_unit_test(test_mysql_error__every_answer_to_commit_is_final_or_ends_the_connection),
                cmocka_unit_test(test_mysql_error__no_failure_to_connect_leaves_a_connection),
                cmocka_unit_test(test_mysql_error__names_hold_anything),
                cmocka_unit_test(test_mysql_error__unsure_names_are_left_empty),
                cmocka_unit_test(test_mysql_error__random_texts_do_no_harm),
                cmocka_unit_test(test_mysql_error__the_same_number_means_something_else_on_the_other_server),
                cmocka_unit_test(test_mysql_error__sqlstate_decides_for_unknown_numbers),
                cmocka_unit_test(test_mysql_error__the_text_decides_where_the_number_does_not),
                cmocka_unit_test(test_mysql_error__an_error_packet_for_commit_is_a_rollback),
                cmocka_unit_test(test_mysql_error__while_connecting_a_lost_connection_is_a_failed_one),
                cmocka_unit_test(test_mysql_error__names_are_taken_from_the_text),
                cmocka_unit_test(test_mysql_error__odd_texts_do_no_harm),
                cmocka_unit_test(test_mysql_error__the_message_is_one_line_and_names_the_remedy),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
