/* SPDX-License-Identifier: MIT */
#include "fault.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <dal/value.h>

enum {
        SERVERS_MYSQL = 0x01,
        SERVERS_MARIADB = 0x02,
        SERVERS_BOTH = SERVERS_MYSQL | SERVERS_MARIADB
};

enum {
        EFFECT_STATEMENT = 0,
        EFFECT_TX = 0x01,
        EFFECT_CONN = 0x02
};

/* What the message of a number names. */
enum {
        NAMES_NOTHING,
        NAMES_KEY,
        NAMES_FOREIGN_KEY,
        NAMES_CHECK,
        NAMES_COLUMN,
        NAMES_VALUE,
        NAMES_REFERENCE,
        NAMES_TABLE,
        NAMES_DENIED
};

typedef struct rule {
        uint16_t code;
        uint8_t servers;
        uint8_t effect;
        uint8_t error_class;
        uint8_t names;
        const char *text;
        const char *remedy;
} rule;

static const rule rules[] = {
#define DAL_MYSQL_ROW(code, servers, text, class, effect, names, remedy)                                     \
        {code, SERVERS_##servers, EFFECT_##effect, DAL_CLASS_##class, NAMES_##names, text, remedy},
#define DAL_MYSQL_STATE(sqlstate, class, effect)
#include "errors.def"
};

static const struct {
        char prefix[6];
        uint8_t error_class;
        uint8_t effect;
} states[] = {
#define DAL_MYSQL_ROW(code, servers, text, class, effect, names, remedy)
#define DAL_MYSQL_STATE(sqlstate, class, effect) {sqlstate, DAL_CLASS_##class, EFFECT_##effect},
#include "errors.def"
};

/* ---- names ------------------------------------------------------------------------------------------------ */

/*
 * They stand in the text only. That can be cut, can be in another language, and can hold values that look like
 * names; so a name is taken only where the rest of the text is as it should be, and is left empty otherwise.
 */

/* A name that is whole and can be printed, or none. */
static void put_name(char *out, size_t out_size, const char *name, size_t size)
{
        out[0] = '\0';
        if (size >= out_size || !dal_value_is_utf8(name, size))
                return;
        for (size_t i = 0; i < size; i++) {
                if ((unsigned char)name[i] < ' ' || name[i] == 0x7f)
                        return;
        }
        memcpy(out, name, size);
        out[size] = '\0';
}

static const char *find_last(const char *text, const char *what)
{
        const char *found = NULL;

        for (const char *at = strstr(text, what); at; at = strstr(at + 1, what))
                found = at;
        return found;
}

static bool take(const char **at, const char *word)
{
        size_t size = strlen(word);

        if (strncmp(*at, word, size) != 0)
                return false;
        *at += size;
        return true;
}

/* A name in backticks, where a doubled one stands for itself. */
static bool take_name(const char **at, char *out, size_t out_size)
{
        char name[256];
        size_t n = 0;

        out[0] = '\0';
        if (!take(at, "`"))
                return false;
        for (; **at; ++*at) {
                if (**at == '`' && *++*at != '`') {
                        if (n < sizeof name)
                                put_name(out, out_size, name, n);
                        return true;
                }
                if (n < sizeof name)
                        name[n++] = **at;
        }
        return false;
}

static bool take_row_number(const char **at)
{
        size_t n = 0;

        if (!take(at, " at row "))
                return false;
        n = strspn(*at, "0123456789");
        *at += n;
        return n > 0;
}

/* What stands between two pieces of an English text; `after` ends it, a row's number excepted. */
static bool copy_between(const char *message, const char *before, const char *after, char *out,
                         size_t out_size)
{
        const char *begin = find_last(message, before), *end;

        if (!begin)
                return false;
        begin += strlen(before);
        end = find_last(begin, after);
        if (!end)
                return false;
        put_name(out, out_size, begin, (size_t)(end - begin));
        return true;
}

/* In any language: the one thing in the text that is quoted. */
static void copy_only_quoted(const char *message, char *out, size_t out_size)
{
        const char *begin = strchr(message, '\'');
        const char *end = begin ? strchr(begin + 1, '\'') : NULL;

        if (end && !strchr(end + 1, '\''))
                put_name(out, out_size, begin + 1, (size_t)(end - begin - 1));
}

static bool ends_in_quote(const char *message)
{
        size_t size = strlen(message);

        return size > 0 && message[size - 1] == '\'';
}

/* "... for key 'orders.PRIMARY'" on MySQL, "... for key 'PRIMARY'" on MariaDB. */
static void name_key(const dal__mysql_fault *fault, dal_error *err)
{
        const char *key = find_last(fault->message, "for key '"), *dot;
        size_t size;

        /* Without these words the value, which is the user's, might hold what looks like a key. */
        if (strncmp(fault->message, "Duplicate entry ", 16) != 0 || !key || !ends_in_quote(key + 9))
                return;
        key += 9;
        size = strlen(key) - 1;
        dot = fault->mariadb ? NULL : memchr(key, '.', size);
        if (!dot) {
                put_name(err->constraint, sizeof err->constraint, key, size);
        } else if (!memchr(dot + 1, '.', size - (size_t)(dot + 1 - key))) {
                put_name(err->table, sizeof err->table, key, (size_t)(dot - key));
                put_name(err->constraint, sizeof err->constraint, dot + 1, size - (size_t)(dot + 1 - key));
        }
}

/* "... fails (`shop`.`lines`, CONSTRAINT `lines_fk` FOREIGN KEY (`order_id`) REFERENCES `orders` (`id`))" */
static void name_foreign_key(const char *message, dal_error *err)
{
        const char *at = strstr(message, "(`");
        char schema[64], column[64], columns[sizeof err->column] = "";
        size_t n = 0;

        if (!at)
                return;
        at++;
        if (!take_name(&at, schema, sizeof schema) || !take(&at, ".") ||
            !take_name(&at, err->table, sizeof err->table) || !take(&at, ", CONSTRAINT ") ||
            !take_name(&at, err->constraint, sizeof err->constraint) || !take(&at, " FOREIGN KEY ("))
                return;
        do {
                size_t size;

                if (!take_name(&at, column, sizeof column) || !column[0])
                        return;
                size = strlen(column);
                if (n + size + 3 > sizeof columns)
                        return;
                memcpy(columns + n, ", ", n ? 2 : 0);
                n += n ? 2 : 0;
                memcpy(columns + n, column, size + 1);
                n += size;
        } while (take(&at, ", "));
        if (take(&at, ")"))
                memcpy(err->column, columns, n + 1);
}

/* "Check constraint 'positive' is violated."; "CONSTRAINT `positive` failed for `shop`.`stock`" on MariaDB */
static void name_check(const dal__mysql_fault *fault, dal_error *err)
{
        const char *at = strchr(fault->message, '`');
        char schema[64];

        if (!fault->mariadb) {
                if (!copy_between(fault->message, "Check constraint '", "' is violated", err->constraint,
                                  sizeof err->constraint))
                        copy_only_quoted(fault->message, err->constraint, sizeof err->constraint);
                return;
        }
        if (!at || !take_name(&at, err->constraint, sizeof err->constraint))
                return;
        at = strchr(at, '`');
        if (!at || !take_name(&at, schema, sizeof schema) || !take(&at, ".") ||
            !take_name(&at, err->table, sizeof err->table))
                err->table[0] = '\0';
}

/* "... for column 'qty' at row 1"; "... for column `shop`.`stock`.`qty` at row 1" */
static bool name_column_of_row(const char *message, dal_error *err)
{
        const char *at = find_last(message, "' at row ");
        char schema[64];

        if (at && (at++, take_row_number(&at)) && !*at)
                return copy_between(message, " column '", "' at row ", err->column, sizeof err->column);
        at = find_last(message, " column `");
        if (!at)
                return false;
        at += strlen(" column ");
        if (!take_name(&at, schema, sizeof schema) || !take(&at, ".") ||
            !take_name(&at, err->table, sizeof err->table) || !take(&at, ".") ||
            !take_name(&at, err->column, sizeof err->column) || !take_row_number(&at) || *at)
                err->table[0] = err->column[0] = '\0';
        return true;
}

static void name_column(const char *message, dal_error *err)
{
        if (!copy_between(message, "Column '", "' cannot be null", err->column, sizeof err->column) &&
            !copy_between(message, "Field '", "' doesn't have a default value", err->column,
                          sizeof err->column) &&
            !name_column_of_row(message, err))
                copy_only_quoted(message, err->column, sizeof err->column);
}

/* "Unknown column 'o.price' in 'field list'" */
static void name_reference(const char *message, dal_error *err)
{
        const char *dot;

        if (!copy_between(message, "Unknown column '", "' in '", err->column, sizeof err->column))
                return;
        dot = strrchr(err->column, '.');
        if (dot)
                memmove(err->column, dot + 1, strlen(dot));
}

/* "Table 'shop.orders' doesn't exist"; with more than one point, or several tables, nobody knows which is meant. */
static void name_table(const char *message, dal_error *err)
{
        char *dot;

        if (!copy_between(message, "Table '", "' doesn't exist", err->table, sizeof err->table) &&
            !copy_between(message, "Unknown table '", "' in ", err->table, sizeof err->table))
                copy_only_quoted(message, err->table, sizeof err->table);
        dot = strchr(err->table, '.');
        if (strchr(err->table, ',') || (dot && strchr(dot + 1, '.')))
                err->table[0] = '\0';
        else if (dot)
                memmove(err->table, dot + 1, strlen(dot));
}

/* "... denied to user ... for table 'orders'", or `shop`.`orders`; "... for column 'price' in table 'orders'" */
static void name_denied(const char *message, dal_error *err)
{
        const char *at = find_last(message, " for table `");
        char first[sizeof err->table];

        if (at) {
                at += strlen(" for table ");
                if (take_name(&at, first, sizeof first) && !*at)
                        memcpy(err->table, first, sizeof first);
                else if (take(&at, ".") && (!take_name(&at, err->table, sizeof err->table) || *at))
                        err->table[0] = '\0';
                return;
        }
        if (!ends_in_quote(message))
                return;
        if (find_last(message, "' in table '")) {
                copy_between(message, " for column '", "' in table '", err->column, sizeof err->column);
                copy_between(message, "' in table '", "'", err->table, sizeof err->table);
        } else {
                copy_between(message, " for table '", "'", err->table, sizeof err->table);
        }
}

static void fill_names(const dal__mysql_fault *fault, uint8_t names, dal_error *err)
{
        switch (names) {
        case NAMES_KEY:
                name_key(fault, err);
                break;
        case NAMES_FOREIGN_KEY:
                name_foreign_key(fault->message, err);
                break;
        case NAMES_CHECK:
                name_check(fault, err);
                break;
        case NAMES_COLUMN:
                name_column(fault->message, err);
                break;
        case NAMES_VALUE:
                name_column_of_row(fault->message, err);
                break;
        case NAMES_REFERENCE:
                name_reference(fault->message, err);
                break;
        case NAMES_TABLE:
                name_table(fault->message, err);
                break;
        case NAMES_DENIED:
                name_denied(fault->message, err);
                break;
        default:
                break;
        }
}

/* ---- class and bits ----------------------------------------------------------------------------------------- */

/* What the table says, or the SQLSTATE, for a number that is not in it. */
static rule look_up(const dal__mysql_fault *fault)
{
        uint8_t server = fault->mariadb ? SERVERS_MARIADB : SERVERS_MYSQL;
        rule found = {.error_class = DAL_CLASS_SERVER_OTHER};

        for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
                if (rules[i].code == fault->code && (rules[i].servers & server) &&
                    (!rules[i].text || strstr(fault->message, rules[i].text)))
                        return rules[i];
        }
        for (size_t i = 0; i < sizeof states / sizeof states[0]; i++) {
                if (strncmp(fault->sqlstate, states[i].prefix, strlen(states[i].prefix)) == 0) {
                        found.error_class = states[i].error_class;
                        found.effect = states[i].effect;
                        break;
                }
        }
        return found;
}

/* What the moment adds. */
static void refine(const dal__mysql_fault *fault, rule *r)
{
        if (fault->connecting) {
                r->effect |= EFFECT_CONN;
                if (r->error_class == DAL_CLASS_CONNECTION_LOST || r->error_class == DAL_CLASS_TX_TIMEOUT ||
                    r->error_class == DAL_CLASS_SERVER_OTHER || r->error_class == DAL_CLASS_INTERNAL)
                        r->error_class = DAL_CLASS_CONNECT_FAILED;
        }
        /* A server that answers COMMIT with an error has rolled back: measured for 1180, 1205, 1290, 3101. */
        if (fault->committing && !(r->effect & EFFECT_CONN))
                r->effect |= EFFECT_TX;
}

static bool is_of_client(unsigned code)
{
        return code >= 2000 && (code < 3000 || code >= 5000);
}

static const char *text_of(const dal__mysql_fault *fault)
{
        if (fault->code == 5010) /* Connector/C's own text names a wrong plugin */
                return "the account's authentication plugin would send the password unprotected";
        return fault->message[0] ? fault->message : "no message";
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
        const char *who = is_of_client(fault->code) ? "client" : fault->mariadb ? "MariaDB" : "MySQL";
        dal_status status;

        refine(fault, &r);
        status = dal_error_set(err, (dal_error_class)r.error_class, "%s%s%s (%s error %u)%s%s",
                               fault->where ? fault->where : "", fault->where ? ": " : "", text_of(fault),
                               who, fault->code, r.remedy ? "; " : "", r.remedy ? r.remedy : "");
        if (!err)
                return status;
        make_one_line(err->message);
        err->vendor_code = (int32_t)fault->code;
        put_name(err->sqlstate, sizeof err->sqlstate, fault->sqlstate, strlen(fault->sqlstate));
        err->tx_gone = (r.effect & EFFECT_TX) != 0;
        err->conn_gone = (r.effect & EFFECT_CONN) != 0;
        fill_names(fault, r.names, err);
        return status;
}
