/* SPDX-License-Identifier: MIT */
#ifndef DAL_BASE_DSN_IMPL_H
#define DAL_BASE_DSN_IMPL_H

#include <dal/dsn.h>

/* The keys that are known without a driver. */
typedef enum dal__dsn_key {
        DAL__DSN_HOST,
        DAL__DSN_PORT,
        DAL__DSN_USER,
        DAL__DSN_PASSWORD,
        DAL__DSN_PATH, /* "dbname" as a key */
        DAL__DSN_SSLMODE,
        DAL__DSN_SSLROOTCERT,
        DAL__DSN_SSLCERT,
        DAL__DSN_SSLKEY,
        DAL__DSN_APPLICATION_NAME,
        DAL__DSN_N_KEYS
} dal__dsn_key;

extern const char *const dal__dsn_names[DAL__DSN_N_KEYS];

/* A key that only a driver can know. */
typedef struct dal__dsn_extra {
        struct dal__dsn_extra *next;
        char *name, *value;
} dal__dsn_extra;

struct dal_dsn {
        char *scheme;
        char *values
                [DAL__DSN_N_KEYS]; /* decoded; NULL when not given. With "//" a path begins with a slash */
        dal__dsn_extra *extras;    /* in the URL's order */
        char *redacted;
        uint16_t port;
        bool path_only; /* no "//" behind the scheme: no authority */
        bool resolved;  /* a driver knows all the keys, so their values may be shown */
        bool local;
        dal_tls_mode tls_mode;
};

/* What a driver says of its URLs. */
typedef struct dal__dsn_rules {
        bool is_file;               /* the path is a file's, and there is no server */
        const char *inherited_keys; /* separated by a space */
} dal__dsn_rules;

/* Reads a URL into a zeroed `dsn`: the scheme and the values, decoded, each for itself. */
dal_status dal__dsn_read(dal_dsn *dsn, const char *url, dal_error *err);
/* Makes a resolved copy; `base` is NULL or another URL of the same driver. */
dal_status dal__dsn_derive(const dal_dsn *dsn, const dal_dsn *base, const char *dbname,
                           const dal__dsn_rules *rules, dal_dsn **out, dal_error *err);
/* Checks what the values say together and works out the rest. */
dal_status dal__dsn_finish(dal_dsn *dsn, dal_error *err);

/* These two take over `text`, and wipe what was there. */
void dal__dsn_set(dal_dsn *dsn, dal__dsn_key key, char *text);
dal_status dal__dsn_set_extra(dal_dsn *dsn, const char *name, char *text, dal_error *err);
/* Puts a path as the URL's syntax wants it; `text` is copied. */
dal_status dal__dsn_set_path(dal_dsn *dsn, const char *text, dal_error *err);
const char *dal__dsn_value(const dal_dsn *dsn, dal__dsn_key key); /* "" when not given */
bool dal__dsn_is_local_host(const char *host);
/* Says whether a word stands whole in a list separated by spaces. */
bool dal__dsn_has_word(const char *list, const char *word);

dal_status dal__dsn_no_memory(dal_error *err);
dal_status dal__dsn_malformed(dal_error *err, const char *why);

#endif
