/* SPDX-License-Identifier: MIT */
#include <dal/error.h>

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <dal/value.h>

enum retry {
        RETRY_NO,
        RETRY_YES,
        RETRY_UNSENT
};

struct class_row {
        dal_status status;
        enum retry retry;
        const char *text;
};

static const struct class_row classes[] = {
#define CLASS_ROW(name, status, retry, text) {DAL_##status, RETRY_##retry, text},
        DAL_ERROR_CLASS_LIST(CLASS_ROW)
#undef CLASS_ROW
};
#define N_CLASSES (sizeof classes / sizeof classes[0])

/* The preprocessor can't lower-case a name; the test compares this table with the list. */
static const char *const class_names[] = {
        [DAL_CLASS_NONE] = "none",
        [DAL_CLASS_UNIQUE] = "unique",
        [DAL_CLASS_FOREIGN_KEY] = "foreign_key",
        [DAL_CLASS_NOT_NULL] = "not_null",
        [DAL_CLASS_CHECK] = "check",
        [DAL_CLASS_DATA] = "data",
        [DAL_CLASS_SERIALIZATION] = "serialization",
        [DAL_CLASS_DEADLOCK] = "deadlock",
        [DAL_CLASS_LOCK_TIMEOUT] = "lock_timeout",
        [DAL_CLASS_STALE_MAP] = "stale_map",
        [DAL_CLASS_SLOT_BLOCKED] = "slot_blocked",
        [DAL_CLASS_STALE_ROW] = "stale_row",
        [DAL_CLASS_SCHEMA_CHANGED] = "schema_changed",
        [DAL_CLASS_STATEMENT_TIMEOUT] = "statement_timeout",
        [DAL_CLASS_TX_TIMEOUT] = "tx_timeout",
        [DAL_CLASS_CANCELED] = "canceled",
        [DAL_CLASS_CONNECTION_LOST] = "connection_lost",
        [DAL_CLASS_CONNECT_FAILED] = "connect_failed",
        [DAL_CLASS_READ_ONLY_SERVER] = "read_only_server",
        [DAL_CLASS_READ_ONLY_TX] = "read_only_tx",
        [DAL_CLASS_AUTH] = "auth",
        [DAL_CLASS_PRIVILEGE] = "privilege",
        [DAL_CLASS_SYNTAX] = "syntax",
        [DAL_CLASS_UNDEFINED_OBJECT] = "undefined_object",
        [DAL_CLASS_TOO_MANY_CONNECTIONS] = "too_many_connections",
        [DAL_CLASS_OUT_OF_RESOURCES] = "out_of_resources",
        [DAL_CLASS_PACKET_TOO_LARGE] = "packet_too_large",
        [DAL_CLASS_COMMIT_UNKNOWN] = "commit_unknown",
        [DAL_CLASS_COMMIT_ROLLED_BACK] = "commit_rolled_back",
        [DAL_CLASS_TX_ENDED] = "tx_ended",
        [DAL_CLASS_TX_STATE] = "tx_state",
        [DAL_CLASS_XA] = "xa",
        [DAL_CLASS_UNSUPPORTED] = "unsupported",
        [DAL_CLASS_SERVER_OTHER] = "server_other",
        [DAL_CLASS_ARGUMENT] = "argument",
        [DAL_CLASS_STATE] = "state",
        [DAL_CLASS_NO_MEMORY] = "no_memory",
        [DAL_CLASS_DEADLINE] = "deadline",
        [DAL_CLASS_POOL_EXHAUSTED] = "pool_exhausted",
        [DAL_CLASS_BUSY] = "busy",
        [DAL_CLASS_NOT_EXECUTED] = "not_executed",
        [DAL_CLASS_NULL_VALUE] = "null_value",
        [DAL_CLASS_WRONG_TYPE] = "wrong_type",
        [DAL_CLASS_OVERFLOW] = "overflow",
        [DAL_CLASS_NO_ROW] = "no_row",
        [DAL_CLASS_MISSING_KEY] = "missing_key",
        [DAL_CLASS_OTHER_SHARD] = "other_shard",
        [DAL_CLASS_NO_SHARD] = "no_shard",
        [DAL_CLASS_APP] = "app",
        [DAL_CLASS_INTERNAL] = "internal",
};
_Static_assert(sizeof class_names / sizeof class_names[0] == N_CLASSES, "a class has no name");

static const char *const status_names[] = {
#define STATUS_NAME(name, text) "DAL_" #name,
        DAL_STATUS_LIST(STATUS_NAME)
#undef STATUS_NAME
};

static const char *const status_texts[] = {
#define STATUS_TEXT(name, text) text,
        DAL_STATUS_LIST(STATUS_TEXT)
#undef STATUS_TEXT
};
#define N_STATUSES (sizeof status_names / sizeof status_names[0])

/*
 * The class for an application that gives only a status: the library's own class where there is one, or else
 * the plainest of the server's, and never one that says more than the application did.
 */
static const dal_error_class class_of_status[] = {
        [DAL_OK] = DAL_CLASS_INTERNAL, /* a refusal without a reason must not look like success */
        [DAL_ERR_ARG] = DAL_CLASS_ARGUMENT,
        [DAL_ERR_STATE] = DAL_CLASS_STATE,
        [DAL_ERR_NOMEM] = DAL_CLASS_NO_MEMORY,
        [DAL_ERR_TIMEOUT] = DAL_CLASS_DEADLINE,
        [DAL_ERR_CANCELED] = DAL_CLASS_CANCELED,
        [DAL_ERR_EXHAUSTED] = DAL_CLASS_POOL_EXHAUSTED,
        [DAL_ERR_CONN] = DAL_CLASS_CONNECTION_LOST,
        [DAL_ERR_AUTH] = DAL_CLASS_PRIVILEGE,
        [DAL_ERR_SQL] = DAL_CLASS_SERVER_OTHER,
        [DAL_ERR_CONSTRAINT] = DAL_CLASS_CHECK,
        [DAL_ERR_CONFLICT] = DAL_CLASS_SERIALIZATION,
        [DAL_ERR_READONLY] = DAL_CLASS_READ_ONLY_TX,
        [DAL_ERR_NOT_FOUND] = DAL_CLASS_NO_ROW,
        [DAL_ERR_UNSUPPORTED] = DAL_CLASS_UNSUPPORTED,
        [DAL_ERR_ROUTE] = DAL_CLASS_MISSING_KEY,
        [DAL_ERR_IN_DOUBT] = DAL_CLASS_COMMIT_UNKNOWN,
        [DAL_ERR_INTERNAL] = DAL_CLASS_INTERNAL,
        [DAL_ERR_APP] = DAL_CLASS_APP,
        [DAL_ERR_BUSY] = DAL_CLASS_BUSY,
        [DAL_ERR_RANGE] = DAL_CLASS_OVERFLOW,
        [DAL_ERR_TOO_LARGE] = DAL_CLASS_PACKET_TOO_LARGE,
};
_Static_assert(sizeof class_of_status / sizeof class_of_status[0] == N_STATUSES, "a status has no class");

static size_t sequence_size(unsigned char lead)
{
        if (lead >= 0xF0)
                return 4;
        if (lead >= 0xE0)
                return 3;
        return lead >= 0xC0 ? 2 : 1;
}

/* Copies text as one line of UTF-8: the words of a server may have line breaks and any bytes. */
static void copy_line(char *out, size_t out_size, const char *text, bool was_cut)
{
        static const char ellipsis[] = "\xE2\x80\xA6";
        size_t limit = out_size - (was_cut ? sizeof ellipsis : 1);
        size_t size = strlen(text);
        size_t n = 0;

        for (size_t i = 0; i < size;) {
                unsigned char c = (unsigned char)text[i];
                size_t step = sequence_size(c);

                if (step > size - i || n + step > limit) {
                        if (was_cut)
                                break;
                        step = 1;
                }
                if (c < 0x20 || c == 0x7F) {
                        out[n++] = ' ';
                } else if (!dal_value_is_utf8(text + i, step)) {
                        out[n++] = '?';
                        step = 1;
                } else {
                        memcpy(out + n, text + i, step);
                        n += step;
                }
                i += step;
        }
        if (was_cut) {
                memcpy(out + n, ellipsis, sizeof ellipsis - 1);
                n += sizeof ellipsis - 1;
        }
        out[n] = '\0';
}

static dal_status fill(dal_error *err, dal_error_class error_class, const char *format, va_list args)
        DAL_PRINTF(3, 0);

static dal_status fill(dal_error *err, dal_error_class error_class, const char *format, va_list args)
{
        static const dal_error empty = DAL_ERROR_INIT;
        const struct class_row *row = &classes[error_class];
        char text[sizeof err->message];
        int size;

        if (!err)
                return row->status;
        /* Formatted aside first: an argument may well be a part of *err. */
        size = vsnprintf(text, sizeof text, format, args);
        if (size < 0) {
                size = 0;
                text[0] = '\0';
        }
        *err = empty;
        err->status = row->status;
        err->error_class = error_class;
        err->retry_tx = row->retry != RETRY_NO;
        copy_line(err->message, sizeof err->message, text, (size_t)size >= sizeof text);
        return row->status;
}

/* A class that is out of range, or none at all, must still be a failure. */
static dal_error_class failing_class(dal_error_class error_class)
{
        size_t i = (size_t)error_class;

        return i == 0 || i >= N_CLASSES ? DAL_CLASS_INTERNAL : error_class;
}

dal_status dal_error_set(dal_error *err, dal_error_class error_class, const char *format, ...)
{
        va_list args;
        dal_status status;

        va_start(args, format);
        status = fill(err, failing_class(error_class), format, args);
        va_end(args);
        return status;
}

dal_status dal_error_fail(dal_error *err, dal_status status, const char *format, ...)
{
        dal_error_class error_class = DAL_CLASS_INTERNAL;
        va_list args;

        if ((size_t)status < N_STATUSES)
                error_class = class_of_status[status];
        va_start(args, format);
        status = fill(err, error_class, format, args);
        va_end(args);
        return status;
}

const char *dal_error_status_name(dal_status status)
{
        return (size_t)status < N_STATUSES ? status_names[status] : "DAL_ERR_?";
}

const char *dal_error_status_text(dal_status status)
{
        return (size_t)status < N_STATUSES ? status_texts[status] : "not a status";
}

const char *dal_error_class_name(dal_error_class error_class)
{
        return (size_t)error_class < N_CLASSES ? class_names[error_class] : "?";
}

const char *dal_error_class_text(dal_error_class error_class)
{
        return (size_t)error_class < N_CLASSES ? classes[error_class].text : "not a class";
}

dal_status dal_error_class_status(dal_error_class error_class)
{
        return (size_t)error_class < N_CLASSES ? classes[error_class].status : DAL_ERR_INTERNAL;
}
