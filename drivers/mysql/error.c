/* SPDX-License-Identifier: MIT */
#include "fault.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum {
        MYSQL = 0x01,   /* the number has this meaning on MySQL */
        MARIADB = 0x02, /* on MariaDB */
        BOTH = MYSQL | MARIADB
};

enum {
        TX_GONE = 0x01,  /* the server has rolled the transaction back */
        CONN_GONE = 0x02 /* the connection is dead or its stream can't be trusted */
};

typedef struct rule {
        uint16_t code;
        uint8_t servers;
        uint8_t effect;
        uint8_t error_class;
        const char *remedy;  /* appended to the message; NULL = none */
        const char *message; /* in place of the reported one; NULL = that */
} rule;

#define RULE(code, servers, class_name, effect)                                                              \
        {                                                                                                    \
                code, servers, effect, DAL_CLASS_##class_name, NULL, NULL                                    \
        }
#define HINT(code, servers, class_name, effect, remedy)                                                      \
        {                                                                                                    \
                code, servers, effect, DAL_CLASS_##class_name, remedy, NULL                                  \
        }

/*
 * Source: MySQL 9 and MariaDB 10.11 error references; what each undoes was measured on MySQL 9.7 and MariaDB 10.11
 * (docs/errors.md). Numbers from 3000 on were given out by each server for itself.
 */
static const rule rules[] = {
        /* constraints and values: only the statement is undone */
        RULE(1022, BOTH, UNIQUE, 0),
        RULE(1062, BOTH, UNIQUE, 0),
        RULE(1586, BOTH, UNIQUE, 0),
        RULE(1761, BOTH, UNIQUE, 0),
        RULE(1762, BOTH, UNIQUE, 0),
        RULE(1859, BOTH, UNIQUE, 0),
        RULE(1216, BOTH, FOREIGN_KEY, 0),
        RULE(1217, BOTH, FOREIGN_KEY, 0),
        RULE(1451, BOTH, FOREIGN_KEY, 0),
        RULE(1452, BOTH, FOREIGN_KEY, 0),
        RULE(1048, BOTH, NOT_NULL, 0),
        RULE(1138, BOTH, NOT_NULL, 0),
        RULE(1263, BOTH, NOT_NULL, 0),
        RULE(1364, BOTH, NOT_NULL, 0),
        RULE(1369, BOTH, CHECK, 0),
        RULE(3819, MYSQL, CHECK, 0),
        RULE(4025, MARIADB, CHECK, 0),
        RULE(1264, BOTH, DATA, 0),
        RULE(1265, BOTH, DATA, 0),
        RULE(1292, BOTH, DATA, 0),
        RULE(1300, BOTH, DATA, 0),
        RULE(1365, BOTH, DATA, 0),
        RULE(1366, BOTH, DATA, 0),
        RULE(1367, BOTH, DATA, 0),
        RULE(1406, BOTH, DATA, 0),
        RULE(1411, BOTH, DATA, 0),
        RULE(1416, BOTH, DATA, 0),
        RULE(1441, BOTH, DATA, 0),
        RULE(1525, BOTH, DATA, 0),
        RULE(1690, BOTH, DATA, 0),
        RULE(1977, MARIADB, DATA, 0),
        RULE(3140, MYSQL, DATA, 0),
        RULE(3141, MYSQL, DATA, 0),
        RULE(3156, MYSQL, DATA, 0),
        RULE(3854, MYSQL, DATA, 0),
        RULE(3903, MYSQL, DATA, 0),

        /* contention */
        RULE(1020, BOTH, SERIALIZATION, TX_GONE),
        RULE(1964, MARIADB, SERIALIZATION, TX_GONE),
        RULE(3101, MYSQL, SERIALIZATION, TX_GONE),
        RULE(1213, BOTH, DEADLOCK, TX_GONE),
        RULE(1614, BOTH, DEADLOCK, TX_GONE),
        RULE(1689, BOTH, DEADLOCK, 0),
        RULE(3058, BOTH, DEADLOCK, 0),
        RULE(3132, MYSQL, DEADLOCK, 0),
        RULE(1205, BOTH, LOCK_TIMEOUT, 0),
        RULE(1613, BOTH, LOCK_TIMEOUT, TX_GONE),
        RULE(3133, MYSQL, LOCK_TIMEOUT, 0),
        RULE(3572, MYSQL, LOCK_TIMEOUT, 0),
        RULE(1412, BOTH, SCHEMA_CHANGED, 0),
        RULE(1615, BOTH, SCHEMA_CHANGED, 0),
        RULE(2057, BOTH, SCHEMA_CHANGED, 0),

        /* time limits and cancellation */
        RULE(1969, MARIADB, STATEMENT_TIMEOUT, 0),
        RULE(3024, BOTH, STATEMENT_TIMEOUT, 0),
        RULE(1028, BOTH, CANCELED, 0),
        RULE(1317, BOTH, CANCELED, 0),

        /* the connection */
        RULE(1053, BOTH, CONNECTION_LOST, CONN_GONE),
        RULE(1152, BOTH, CONNECTION_LOST, CONN_GONE),
        RULE(1158, BOTH, CONNECTION_LOST, CONN_GONE),
        RULE(1159, BOTH, CONNECTION_LOST, CONN_GONE),
        RULE(1160, BOTH, CONNECTION_LOST, CONN_GONE),
        RULE(1161, BOTH, CONNECTION_LOST, CONN_GONE),
        RULE(1184, BOTH, CONNECTION_LOST, CONN_GONE),
        RULE(1927, MARIADB, CONNECTION_LOST, CONN_GONE),
        RULE(2006, BOTH, CONNECTION_LOST, CONN_GONE),
        RULE(2013, BOTH, CONNECTION_LOST, CONN_GONE),
        RULE(2026, BOTH, CONNECTION_LOST, CONN_GONE),
        RULE(2055, BOTH, CONNECTION_LOST, CONN_GONE),
        RULE(3032, MYSQL, CONNECTION_LOST, CONN_GONE),
        RULE(3168, MYSQL, CONNECTION_LOST, CONN_GONE),
        RULE(3169, MYSQL, CONNECTION_LOST, CONN_GONE),
        HINT(4031, MYSQL, CONNECTION_LOST, CONN_GONE,
             "raise the server's wait_timeout or keep connections busier"),
        RULE(2001, BOTH, CONNECT_FAILED, CONN_GONE),
        HINT(2002, BOTH, CONNECT_FAILED, CONN_GONE,
             "check that the server runs and the URL names its host and port"),
        HINT(2003, BOTH, CONNECT_FAILED, CONN_GONE,
             "check that the server runs and the URL names its host and port"),
        RULE(2004, BOTH, CONNECT_FAILED, CONN_GONE),
        HINT(2005, BOTH, CONNECT_FAILED, CONN_GONE, "check the host in the URL"),
        RULE(2007, BOTH, CONNECT_FAILED, CONN_GONE),
        RULE(2012, BOTH, CONNECT_FAILED, CONN_GONE),
        RULE(1043, BOTH, CONNECT_FAILED, CONN_GONE),

        /* read-only */
        RULE(1290, BOTH, READ_ONLY_SERVER, 0),
        RULE(1836, BOTH, READ_ONLY_SERVER, 0),
        RULE(1874, BOTH, READ_ONLY_SERVER, 0),
        RULE(3100, MYSQL, READ_ONLY_SERVER, TX_GONE),
        RULE(1792, BOTH, READ_ONLY_TX, 0),

        /* rights */
        HINT(1045, BOTH, AUTH, 0, "check the user and password of the URL"),
        HINT(1130, BOTH, AUTH, 0, "the account may not log in from this host"),
        HINT(1251, BOTH, AUTH, 0, "the account's authentication plugin is not supported"),
        RULE(1275, BOTH, AUTH, 0),
        HINT(1524, BOTH, AUTH, 0, "the server has not loaded the account's authentication plugin"),
        HINT(1698, BOTH, AUTH, 0, "check the user and password of the URL"),
        HINT(1820, BOTH, AUTH, 0, "set a new password for the account"),
        HINT(1862, BOTH, AUTH, 0, "set a new password for the account"),
        RULE(2049, BOTH, AUTH, 0),
        HINT(2054, BOTH, AUTH, 0,
             "the account's authentication plugin is not supported by this client library"),
        HINT(2059, BOTH, AUTH, 0,
             "the account's authentication plugin is not supported by this client library"),
        HINT(2061, BOTH, AUTH, 0, "use TLS (sslmode) or give the server's RSA key as server_public_key"),
        RULE(3118, MYSQL, AUTH, 0),
        HINT(3159, BOTH, AUTH, 0, "the server insists on TLS: use sslmode=verify-full or sslmode=require"),
        RULE(3955, MYSQL, AUTH, 0),
        RULE(4151, MARIADB, AUTH, 0),
        HINT(5010, BOTH, AUTH, 0, "use TLS (sslmode) or give the server's RSA key as server_public_key"),
        HINT(1044, BOTH, PRIVILEGE, 0, "grant the account rights on this database"),
        RULE(1095, BOTH, PRIVILEGE, 0),
        RULE(1141, BOTH, PRIVILEGE, 0),
        RULE(1142, BOTH, PRIVILEGE, 0),
        RULE(1143, BOTH, PRIVILEGE, 0),
        RULE(1227, BOTH, PRIVILEGE, 0),
        RULE(1370, BOTH, PRIVILEGE, 0),
        RULE(1410, BOTH, PRIVILEGE, 0),
        RULE(1419, BOTH, PRIVILEGE, 0),

        /* the statement */
        RULE(1052, BOTH, SYNTAX, 0),
        RULE(1055, BOTH, SYNTAX, 0),
        RULE(1064, BOTH, SYNTAX, 0),
        RULE(1065, BOTH, SYNTAX, 0),
        RULE(1066, BOTH, SYNTAX, 0),
        RULE(1111, BOTH, SYNTAX, 0),
        RULE(1136, BOTH, SYNTAX, 0),
        RULE(1140, BOTH, SYNTAX, 0),
        RULE(1149, BOTH, SYNTAX, 0),
        RULE(1241, BOTH, SYNTAX, 0),
        RULE(1248, BOTH, SYNTAX, 0),
        HINT(1049, BOTH, UNDEFINED_OBJECT, 0, "create it or correct the URL"),
        RULE(1051, BOTH, UNDEFINED_OBJECT, 0),
        RULE(1054, BOTH, UNDEFINED_OBJECT, 0),
        RULE(1091, BOTH, UNDEFINED_OBJECT, 0),
        RULE(1109, BOTH, UNDEFINED_OBJECT, 0),
        RULE(1115, BOTH, UNDEFINED_OBJECT, 0),
        RULE(1146, BOTH, UNDEFINED_OBJECT, 0),
        RULE(1176, BOTH, UNDEFINED_OBJECT, 0),
        RULE(1193, BOTH, UNDEFINED_OBJECT, 0),
        RULE(1243, BOTH, UNDEFINED_OBJECT, 0),
        RULE(1273, BOTH, UNDEFINED_OBJECT, 0),
        RULE(1286, BOTH, UNDEFINED_OBJECT, 0),
        RULE(1305, BOTH, UNDEFINED_OBJECT, 0),
        RULE(1360, BOTH, UNDEFINED_OBJECT, 0),
        RULE(1630, BOTH, UNDEFINED_OBJECT, 0),
        RULE(4091, MARIADB, UNDEFINED_OBJECT, 0),

        /* resources */
        HINT(1040, BOTH, TOO_MANY_CONNECTIONS, 0,
             "raise the server's max_connections or make the pools smaller"),
        HINT(1129, BOTH, TOO_MANY_CONNECTIONS, 0,
             "run FLUSH HOSTS on the server or raise max_connect_errors"),
        HINT(1203, BOTH, TOO_MANY_CONNECTIONS, 0, "raise max_user_connections or make the pools smaller"),
        HINT(1226, BOTH, TOO_MANY_CONNECTIONS, 0, "raise the account's limit or make the pools smaller"),
        RULE(1021, BOTH, OUT_OF_RESOURCES, 0),
        RULE(1037, BOTH, OUT_OF_RESOURCES, 0),
        RULE(1038, BOTH, OUT_OF_RESOURCES, 0),
        RULE(1041, BOTH, OUT_OF_RESOURCES, 0),
        RULE(1114, BOTH, OUT_OF_RESOURCES, 0),
        RULE(1135, BOTH, OUT_OF_RESOURCES, 0),
        HINT(1197, BOTH, OUT_OF_RESOURCES, 0, "raise max_binlog_cache_size or make the transaction smaller"),
        RULE(1206, BOTH, OUT_OF_RESOURCES, TX_GONE),
        RULE(1436, BOTH, OUT_OF_RESOURCES, 0),
        HINT(1461, BOTH, OUT_OF_RESOURCES, 0,
             "raise the server's max_prepared_stmt_count, or lower statement_cache_size times pool size"),
        RULE(1637, BOTH, OUT_OF_RESOURCES, 0),
        HINT(1705, BOTH, OUT_OF_RESOURCES, 0, "raise max_binlog_stmt_cache_size"),
        RULE(3015, BOTH, OUT_OF_RESOURCES, 0),
        RULE(3170, MYSQL, OUT_OF_RESOURCES, 0),
        RULE(2008, BOTH, NO_MEMORY, CONN_GONE),
        HINT(1153, BOTH, PACKET_TOO_LARGE, CONN_GONE, "raise the server's max_allowed_packet"),
        HINT(1162, BOTH, PACKET_TOO_LARGE, 0, "raise the server's max_allowed_packet"),
        RULE(1301, BOTH, PACKET_TOO_LARGE, 0),
        HINT(2020, BOTH, PACKET_TOO_LARGE, CONN_GONE, "one row or value is larger than this client receives"),

        /* transaction state */
        RULE(1192, BOTH, TX_STATE, 0),
        RULE(1179, BOTH, TX_STATE, 0),
        RULE(1223, BOTH, TX_STATE, 0),
        RULE(1422, BOTH, TX_STATE, 0),
        RULE(1568, BOTH, TX_STATE, 0),
        RULE(1397, BOTH, XA, 0),
        RULE(1398, BOTH, XA, 0),
        RULE(1399, BOTH, XA, 0),
        RULE(1400, BOTH, XA, 0),
        RULE(1401, BOTH, XA, 0),
        RULE(1402, BOTH, XA, TX_GONE),
        RULE(1440, BOTH, XA, 0),
        RULE(3197, MYSQL, XA, 0),
        RULE(3227, MYSQL, XA, 0),
        RULE(3898, MYSQL, XA, 0),
        RULE(4091, MYSQL, XA, 0),

        RULE(1148, BOTH, UNSUPPORTED, 0),
        RULE(1235, BOTH, UNSUPPORTED, 0),
        RULE(1289, BOTH, UNSUPPORTED, 0),
        RULE(1295, BOTH, UNSUPPORTED, 0),
        RULE(2036, BOTH, UNSUPPORTED, 0),
        RULE(2068, BOTH, UNSUPPORTED, 0),
        RULE(3098, MYSQL, UNSUPPORTED, 0),
        RULE(3948, MYSQL, UNSUPPORTED, 0),
        RULE(4166, MARIADB, UNSUPPORTED, 0),
        RULE(5003, BOTH, UNSUPPORTED, 0),
        RULE(2014, BOTH, INTERNAL, CONN_GONE),
        RULE(2027, BOTH, CONNECTION_LOST, CONN_GONE),
};

/* For numbers that are not in the table: the beginning of the SQLSTATE. The first match counts. */
static const struct {
        char prefix[6];
        uint8_t error_class;
        uint8_t effect;
} states[] = {
        /* our own triggers' SIGNALs: see schema/dal */
        {"DL001", DAL_CLASS_STALE_MAP, 0},
        {"DL002", DAL_CLASS_SLOT_BLOCKED, 0},
        {"08", DAL_CLASS_CONNECTION_LOST, CONN_GONE},
        {"0A", DAL_CLASS_UNSUPPORTED, 0},
        {"22", DAL_CLASS_DATA, 0},
        {"23", DAL_CLASS_CHECK, 0},
        {"25006", DAL_CLASS_READ_ONLY_TX, 0},
        {"28", DAL_CLASS_AUTH, 0},
        {"3D", DAL_CLASS_UNDEFINED_OBJECT, 0},
        {"40", DAL_CLASS_SERIALIZATION, 0},
        {"42S02", DAL_CLASS_UNDEFINED_OBJECT, 0},
        {"42S22", DAL_CLASS_UNDEFINED_OBJECT, 0},
        {"42", DAL_CLASS_SYNTAX, 0},
        {"53", DAL_CLASS_OUT_OF_RESOURCES, 0},
        {"70100", DAL_CLASS_CANCELED, 0},
        {"HY001", DAL_CLASS_OUT_OF_RESOURCES, 0},
        {"XA", DAL_CLASS_XA, 0},
};

/* Copies the text up to `end` (exclusive), cut to the room there is. */
static void copy_name(char *out, size_t out_size, const char *begin, const char *end)
{
        size_t size = (size_t)(end - begin);
        if (size >= out_size)
                size = out_size - 1;
        memcpy(out, begin, size);
        out[size] = '\0';
}

static const char *find_last(const char *text, const char *what)
{
        const char *found = NULL;
        for (const char *at = strstr(text, what); at; at = strstr(at + 1, what))
                found = at;
        return found;
}

/* The quoted word behind `marker`, whose last character is the opening quote; the last such place counts. */
static bool copy_quoted(const char *message, const char *marker, char quote, char *out, size_t out_size)
{
        const char *begin = find_last(message, marker);
        if (!begin)
                return false;
        begin += strlen(marker);
        const char *end = strchr(begin, quote);
        if (!end)
                return false;
        copy_name(out, out_size, begin, end);
        return true;
}

/* Keeps what stands behind the last dot: "shop.orders" is the table orders. */
static void drop_qualifier(char *name)
{
        const char *dot = strrchr(name, '.');
        if (dot)
                memmove(name, dot + 1, strlen(dot));
}

/* "... for key 'orders.PRIMARY'" on MySQL, "... for key 'PRIMARY'" on MariaDB. */
static void name_key(const char *message, dal_error *err)
{
        char key[sizeof err->table + sizeof err->constraint];
        const char *begin = find_last(message, "for key '");
        if (!begin)
                return;
        begin += strlen("for key '");
        const char *end = strrchr(begin, '\'');
        if (!end)
                return;
        copy_name(key, sizeof key, begin, end);
        const char *dot = strchr(key, '.');
        if (dot)
                copy_name(err->table, sizeof err->table, key, dot);
        const char *name = dot ? dot + 1 : key;
        copy_name(err->constraint, sizeof err->constraint, name, name + strlen(name));
}

/* "... fails (`shop`.`lines`, CONSTRAINT `lines_fk` FOREIGN KEY (`order_id`) REFERENCES `orders` (`id`))" */
static void name_foreign_key(const char *message, dal_error *err)
{
        copy_quoted(message, "CONSTRAINT `", '`', err->constraint, sizeof err->constraint);
        copy_quoted(message, "FOREIGN KEY (`", '`', err->column, sizeof err->column);
        const char *open = strstr(message, "fails (`");
        const char *dot = open ? strstr(open, "`.`") : NULL;
        const char *end = dot ? strchr(dot + 3, '`') : NULL;
        if (end)
                copy_name(err->table, sizeof err->table, dot + 3, end);
}

/* "CONSTRAINT `positive` failed for `shop`.`stock`" */
static void name_mariadb_check(const char *message, dal_error *err)
{
        copy_quoted(message, "CONSTRAINT `", '`', err->constraint, sizeof err->constraint);
        copy_quoted(message, "`.`", '`', err->table, sizeof err->table);
}

/* "... for column 'qty' at row 1"; MariaDB also writes "... for column `shop`.`stock`.`qty` at row 1". */
static void name_column(const char *message, dal_error *err)
{
        if (copy_quoted(message, "column '", '\'', err->column, sizeof err->column) ||
            copy_quoted(message, "Column '", '\'', err->column, sizeof err->column) ||
            copy_quoted(message, "Field '", '\'', err->column, sizeof err->column)) {
                drop_qualifier(err->column);
                return;
        }
        const char *open = find_last(message, "for column `");
        const char *end = open ? strstr(open, "` at row") : NULL;
        if (!end)
                return;
        const char *begin = end;
        while (begin > open && begin[-1] != '`')
                begin--;
        copy_name(err->column, sizeof err->column, begin, end);
        const char *dot = strstr(open, "`.`");
        if (dot && dot + 3 < begin) {
                const char *table_end = strchr(dot + 3, '`');
                if (table_end)
                        copy_name(err->table, sizeof err->table, dot + 3, table_end);
        }
}

/* "Table 'shop.orders' doesn't exist"; "... denied to user ... for table 'orders'", with backticks on MariaDB. */
static void name_table(const char *message, dal_error *err)
{
        if (copy_quoted(message, "able '", '\'', err->table, sizeof err->table)) {
                drop_qualifier(err->table);
                return;
        }
        const char *end = strrchr(message, '`');
        if (end && end > message && find_last(message, "for table `")) {
                const char *begin = end;
                while (begin > message && begin[-1] != '`')
                        begin--;
                copy_name(err->table, sizeof err->table, begin, end);
        }
}

static void fill_names(const dal__mysql_fault *fault, dal_error *err)
{
        const char *message = fault->message;
        switch (fault->code) {
        case 1022:
        case 1062:
        case 1586:
        case 1859:
                name_key(message, err);
                break;
        case 1451:
        case 1452:
                name_foreign_key(message, err);
                break;
        case 3819:
                copy_quoted(message, "onstraint '", '\'', err->constraint, sizeof err->constraint);
                break;
        case 4025:
                name_mariadb_check(message, err);
                break;
        case 1048:
        case 1054:
        case 1263:
        case 1264:
        case 1265:
        case 1292:
        case 1364:
        case 1366:
        case 1406:
                name_column(message, err);
                break;
        case 1051:
        case 1109:
        case 1142:
        case 1146:
                name_table(message, err);
                break;
        default:
                break;
        }
}

static const rule *find_rule(const dal__mysql_fault *fault)
{
        uint8_t server = fault->mariadb ? MARIADB : MYSQL;
        for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
                if (rules[i].code == fault->code && (rules[i].servers & server))
                        return &rules[i];
        }
        return NULL;
}

/* What the table says, or the SQLSTATE, for a number that is not in it. */
static rule look_up(const dal__mysql_fault *fault)
{
        const rule *known = find_rule(fault);
        if (known)
                return *known;
        rule found = {(uint16_t)fault->code, BOTH, 0, DAL_CLASS_SERVER_OTHER, NULL, NULL};
        for (size_t i = 0; i < sizeof states / sizeof states[0]; i++) {
                if (strncmp(fault->sqlstate, states[i].prefix, strlen(states[i].prefix)) == 0) {
                        found.error_class = states[i].error_class;
                        found.effect = states[i].effect;
                        break;
                }
        }
        return found;
}

/* Numbers whose meaning depends on the text or on the moment. */
static void refine(const dal__mysql_fault *fault, rule *r)
{
        const char *message = fault->message;
        switch (fault->code) {
        case 1047: /* Galera: a node outside the primary component refuses everything */
                if (strstr(message, "WSREP"))
                        r->error_class = DAL_CLASS_READ_ONLY_SERVER;
                break;
        case 1105:
                if (strstr(message, "max_allowed_packet"))
                        r->error_class = DAL_CLASS_PACKET_TOO_LARGE;
                break;
        case 1180: /* error during COMMIT; 149 is a deadlock: Group Replication's certification */
                r->effect = TX_GONE;
                r->error_class = strstr(message, "149") ? DAL_CLASS_SERIALIZATION : DAL_CLASS_SERVER_OTHER;
                break;
        case 1290: /* many options prevent statements; only read_only means a fail-over */
                if (!strstr(message, "read-only") && !strstr(message, "read_only"))
                        r->error_class = DAL_CLASS_UNSUPPORTED;
                break;
        case 1305:
                if (strncmp(message, "SAVEPOINT", 9) == 0)
                        r->error_class = DAL_CLASS_TX_STATE;
                break;
        case 5010: /* Connector/C's own text names a wrong plugin */
                r->message = "the account's authentication plugin would send the password unprotected";
                break;
        case 2027: /* Connector/C says so of a column type that it does not know, e.g. MySQL's VECTOR */
                if (strstr(message, "field type")) {
                        r->error_class = DAL_CLASS_UNSUPPORTED;
                        r->remedy = "convert the column to text in SQL";
                }
                break;
        default:
                break;
        }
        if (fault->connecting) {
                r->effect |= CONN_GONE;
                if (r->error_class == DAL_CLASS_CONNECTION_LOST || r->error_class == DAL_CLASS_SERVER_OTHER ||
                    r->error_class == DAL_CLASS_INTERNAL)
                        r->error_class = DAL_CLASS_CONNECT_FAILED;
        }
        /* A server that answers COMMIT with an error has rolled back: measured for 1180, 1205, 1290, 3101. */
        if (fault->committing && !(r->effect & CONN_GONE))
                r->effect |= TX_GONE;
}

/* Server messages can quote a part of the statement, line ends included. */
static void make_one_line(char *text)
{
        for (; *text; text++) {
                if ((unsigned char)*text < 0x20 || *text == 0x7f)
                        *text = ' ';
        }
}

dal_status dal__mysql_fault_error(const dal__mysql_fault *fault, dal_error *err)
{
        rule r = look_up(fault);
        refine(fault, &r);
        bool client = fault->code >= 2000 && (fault->code < 3000 || fault->code >= 5000);
        const char *text = r.message ? r.message : fault->message[0] ? fault->message : "no message";
        const char *who = client ? "client" : fault->mariadb ? "MariaDB" : "MySQL";
        dal_status status = dal_error_set(err, (dal_error_class)r.error_class, "%s%s%s (%s error %u)%s%s",
                                          fault->where ? fault->where : "", fault->where ? ": " : "", text,
                                          who, fault->code, r.remedy ? "; " : "", r.remedy ? r.remedy : "");
        if (!err)
                return status;
        make_one_line(err->message);
        err->vendor_code = (int32_t)fault->code;
        copy_name(err->sqlstate, sizeof err->sqlstate, fault->sqlstate,
                  fault->sqlstate + strlen(fault->sqlstate));
        err->tx_gone = (r.effect & TX_GONE) != 0;
        err->conn_gone = (r.effect & CONN_GONE) != 0;
        fill_names(fault, err);
        return status;
}
