/* SPDX-License-Identifier: MIT */
/* PostgreSQL's column of the error taxonomy. */

#include "postgres_impl.h"

#include <string.h>

typedef enum condition {
        WHEN_ALWAYS,
        WHEN_CANCELED,
        WHEN_STANDBY,
        WHEN_OWN_STATEMENT
} condition;

typedef enum ends {
        ENDS_TX,
        ENDS_CONN,
        ENDS_EITHER
} ends;

typedef struct rule {
        char code[6];
        condition when;
        const char *function;
        dal_error_class error_class;
        ends ends;
} rule;

static const rule rules[] = {
#define DAL_POSTGRES_ROW(code, when, function, class, ends)                                                  \
        {code, WHEN_##when, function, DAL_CLASS_##class, ENDS_##ends},
#include "errors.def"
};

static bool contains(const char *text, const char *part)
{
        return text && strstr(text, part) != NULL;
}

static bool is(const char *text, const char *expected)
{
        return text && strcmp(text, expected) == 0;
}

static bool holds(condition when, const dal__postgres_fault *fault)
{
        switch (when) {
        case WHEN_CANCELED:
                /* The text may be translated (only a superuser could ask for another language), so the flag speaks
                 * where the text doesn't. */
                return contains(fault->message, "user request") ||
                       (fault->cancel_sent && !contains(fault->message, "statement timeout"));
        case WHEN_STANDBY:
                return fault->read_only_server && !fault->read_only_asked;
        case WHEN_OWN_STATEMENT:
                return fault->own_statement;
        case WHEN_ALWAYS:
                break;
        }
        return true;
}

static const rule *find_rule(const dal__postgres_fault *fault)
{
        for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
                if (strncmp(fault->sqlstate, rules[i].code, strlen(rules[i].code)) == 0 &&
                    (!rules[i].function || is(fault->function, rules[i].function)) &&
                    holds(rules[i].when, fault))
                        return &rules[i];
        }
        return NULL;
}

dal_error_class dal__postgres_classify(const dal__postgres_fault *fault)
{
        bool has_code = fault->sqlstate && fault->sqlstate[0];
        const rule *found = has_code ? find_rule(fault) : NULL;

        if (fault->conn_gone)
                return found && found->ends == ENDS_EITHER ? found->error_class : DAL_CLASS_CONNECTION_LOST;
        if (!has_code)
                return contains(fault->message, "out of memory") ? DAL_CLASS_NO_MEMORY : DAL_CLASS_INTERNAL;
        /* Another server's loss is told by a foreign data wrapper or a proxy. */
        if (!found || found->ends == ENDS_CONN)
                return DAL_CLASS_SERVER_OTHER;
        return found->error_class;
}

/* ---- texts ------------------------------------------------------------------------------------------------ */

static bool is_continuation(char byte)
{
        return ((unsigned char)byte & 0xC0) == 0x80;
}

/* Ends a full buffer in an ellipsis, never inside a character. */
static size_t cut(char *out, size_t n)
{
        static const char ellipsis[] = "\xE2\x80\xA6";
        size_t room = sizeof ellipsis - 1;

        if (n < room)
                return 0;
        n -= room;
        while (n > 0 && is_continuation(out[n]))
                n--;
        memcpy(out + n, ellipsis, room);
        return n + room;
}

void dal__postgres_one_line(char *out, size_t out_size, const char *text)
{
        size_t n = 0;

        for (; text && *text; text++) {
                bool space = (unsigned char)*text <= ' ' || *text == 0x7F;

                if (space && (n == 0 || out[n - 1] == ' '))
                        continue;
                if (n + 1 == out_size) {
                        if (!space || text[1])
                                n = cut(out, n);
                        break;
                }
                out[n++] = space ? ' ' : *text;
        }
        while (n > 0 && out[n - 1] == ' ')
                n--;
        out[n] = '\0';
}

static void copy_name(char *out, size_t out_size, const char *name)
{
        dal__postgres_one_line(out, out_size, name);
        if (!dal_value_is_utf8(out, strlen(out))) /* a server in bad faith */
                out[0] = '\0';
}

static void copy_code(char out[6], const char *code)
{
        size_t size = code ? strlen(code) : 0;

        if (size == 5)
                memcpy(out, code, 6);
        else
                out[0] = '\0';
}

/* Rows are the user's data: the server prints all of a refused row, which may hold a secret. */
static bool is_fit_to_print(const char *code)
{
        return !is(code, "23502") && !is(code, "23514");
}

dal_status dal__postgres_fail(const dal__postgres_fault *fault, dal_error *err)
{
        dal_error_class error_class = dal__postgres_classify(fault);
        char message[400], detail[240] = "", hint[240] = "";

        if (!err)
                return dal_error_class_status(error_class);
        dal__postgres_one_line(message, sizeof message, fault->message);
        if (is_fit_to_print(fault->sqlstate))
                dal__postgres_one_line(detail, sizeof detail, fault->detail);
        dal__postgres_one_line(hint, sizeof hint, fault->hint);
        dal_error_set(err, error_class, "%s%s%s%s%s%s", message[0] ? message : "the server gave no message",
                      detail[0] ? " (" : "", detail, detail[0] ? ")" : "", hint[0] ? "; hint: " : "", hint);
        copy_code(err->sqlstate, fault->sqlstate);
        copy_name(err->constraint, sizeof err->constraint, fault->constraint);
        copy_name(err->table, sizeof err->table, fault->table);
        copy_name(err->column, sizeof err->column, fault->column);
        err->conn_gone = err->tx_gone = fault->conn_gone;
        return err->status;
}

/* ---- connecting --------------------------------------------------------------------------------------------- */

static bool is_code_byte(char byte)
{
        return (byte >= '0' && byte <= '9') || (byte >= 'A' && byte <= 'Z');
}

/*
 * Finds "SEVERITY:  28P01: text", whatever language the severity is in; returns where the code begins.
 * Source: libpq, fe-protocol3.c, pqBuildErrorMessage3() with PQERRORS_VERBOSE.
 */
static const char *find_code(const char *text)
{
        for (const char *at = text; (at = strstr(at, ":  ")) != NULL; at++) {
                const char *code = at + 3;
                size_t n = 0;

                while (n < 5 && is_code_byte(code[n]))
                        n++;
                if (n == 5 && code[5] == ':' && code[6] == ' ')
                        return code;
        }
        return NULL;
}

static dal_error_class class_of_refusal(const char *code)
{
        dal__postgres_fault fault = {.sqlstate = code};
        dal_error_class error_class = dal__postgres_classify(&fault);

        switch (error_class) {
        case DAL_CLASS_AUTH:
        case DAL_CLASS_PRIVILEGE:
        case DAL_CLASS_TOO_MANY_CONNECTIONS:
                return error_class;
        case DAL_CLASS_UNDEFINED_OBJECT:
                /* 42704 is a parameter of the session that this server doesn't know. */
                return is(code, "3D000") ? error_class : DAL_CLASS_UNSUPPORTED;
        case DAL_CLASS_DATA:
                return DAL_CLASS_ARGUMENT;
        default:
                return DAL_CLASS_CONNECT_FAILED;
        }
}

/* libpq's own complaints carry no code; these come from servers and poolers of old that send none either. */
static dal_error_class class_of_text(const char *text)
{
        static const struct {
                const char *part;
                dal_error_class error_class;
        } parts[] = {
                /* PgBouncer and its kin, which can't carry our settings from session to session. */
                {"unsupported startup parameter", DAL_CLASS_UNSUPPORTED},
                {"no password supplied", DAL_CLASS_AUTH},
                {"password authentication failed", DAL_CLASS_AUTH},
                {"authentication failed", DAL_CLASS_AUTH},
                {"no pg_hba.conf entry", DAL_CLASS_AUTH},
                {"auth failed", DAL_CLASS_AUTH},
                {"no such user", DAL_CLASS_AUTH},
                {"no such database", DAL_CLASS_UNDEFINED_OBJECT},
                {"no more connections allowed", DAL_CLASS_TOO_MANY_CONNECTIONS},
                {"too many clients", DAL_CLASS_TOO_MANY_CONNECTIONS},
                {"too many connections", DAL_CLASS_TOO_MANY_CONNECTIONS},
                {"connection slots are reserved", DAL_CLASS_TOO_MANY_CONNECTIONS},
                {"out of memory", DAL_CLASS_NO_MEMORY},
        };

        for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
                if (contains(text, parts[i].part))
                        return parts[i].error_class;
        if (contains(text, "database \"") && contains(text, "does not exist"))
                return DAL_CLASS_UNDEFINED_OBJECT;
        if (contains(text, "role \"") && contains(text, "does not exist"))
                return DAL_CLASS_AUTH;
        return DAL_CLASS_CONNECT_FAILED;
}

static const char *remedy(dal_error_class error_class, const char *text, bool has_password)
{
        switch (error_class) {
        case DAL_CLASS_AUTH:
                return has_password ? "; check the user and password of the URL"
                                    : "; the URL gives no password";
        case DAL_CLASS_UNDEFINED_OBJECT:
                return "; create it or correct the name in the URL";
        case DAL_CLASS_PRIVILEGE:
                return "; grant it to the user of the URL";
        case DAL_CLASS_TOO_MANY_CONNECTIONS:
                return "; make the pools smaller or max_connections larger";
        default:
                break;
        }
        if (contains(text, "unsupported startup parameter"))
                return "; behind a transaction pooler such as PgBouncer the URL must say statements=unnamed";
        if (contains(text, "certificate verify failed") || contains(text, "does not match host name"))
                return "; sslrootcert names the file of trusted roots, sslmode how much is verified";
        if (contains(text, "does not support SSL"))
                return "; to go without encryption the URL must say sslmode=off";
        return "";
}

dal_status dal__postgres_fail_connect(const char *host, const char *text, bool has_password, dal_error *err)
{
        const char *code = find_code(text);
        char sqlstate[6] = "", raw[768], message[400];
        size_t size = strlen(text);
        dal_error_class error_class;

        if (code) {
                /* The first line only, without the code: what follows is the place in the server's source. */
                const char *end = strchr(code, '\n');
                size_t before = (size_t)(code - text), after = end ? (size_t)(end - code) : strlen(code);

                memcpy(sqlstate, code, 5);
                if (before > sizeof raw / 2)
                        before = sizeof raw / 2;
                if (after - 7 > sizeof raw / 2 - 1)
                        after = sizeof raw / 2 - 1 + 7;
                memcpy(raw, text, before);
                memcpy(raw + before, code + 7, after - 7);
                raw[before + after - 7] = '\0';
                /* PgBouncer gives this one code to most of what it refuses. Source: its src/client.c, objects.c */
                error_class = is(sqlstate, "08P01") ? class_of_text(raw) : class_of_refusal(sqlstate);
        } else {
                if (size >= sizeof raw)
                        size = sizeof raw - 1;
                memcpy(raw, text, size);
                raw[size] = '\0';
                error_class = class_of_text(text);
        }
        dal__postgres_one_line(message, sizeof message, raw);
        /* libpq names the address; a name that it was reached by is not in there. */
        if (strstr(message, host))
                host = "";
        dal_error_set(err, error_class, "%s%s%s%s", host, host[0] ? ": " : "",
                      message[0] ? message : "the server gave no reason",
                      remedy(error_class, text, has_password));
        if (err) {
                copy_code(err->sqlstate, sqlstate);
                err->conn_gone = true;
                err->not_sent = true;
        }
        return dal_error_class_status(error_class);
}
