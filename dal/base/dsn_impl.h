/* SPDX-License-Identifier: MIT */
#ifndef DAL_BASE_DSN_IMPL_H
#define DAL_BASE_DSN_IMPL_H

#include <dal/dsn.h>

/* Whose URL a key may stand in. */
#define DAL__DSN_POSTGRES 0x1u
#define DAL__DSN_MYSQL    0x2u
#define DAL__DSN_SQLITE   0x4u
#define DAL__DSN_OTHER    0x8u
#define DAL__DSN_SERVERS  (DAL__DSN_POSTGRES | DAL__DSN_MYSQL | DAL__DSN_OTHER)
#define DAL__DSN_ALL      (DAL__DSN_SERVERS | DAL__DSN_SQLITE)

typedef enum dal__dsn_key_id {
        DAL__DSN_HOST,
        DAL__DSN_PORT,
        DAL__DSN_USER,
        DAL__DSN_PASSWORD,
        DAL__DSN_DBNAME,
        DAL__DSN_SSLMODE,
        DAL__DSN_SSLROOTCERT,
        DAL__DSN_SSLCERT,
        DAL__DSN_SSLKEY,
        DAL__DSN_APPLICATION_NAME,
        DAL__DSN_SCHEMA,
        DAL__DSN_SOCKET,
        DAL__DSN_SERVER_PUBLIC_KEY,
        DAL__DSN_MODE,
        DAL__DSN_FAKE,
        DAL__DSN_N_KEYS
} dal__dsn_key_id;

/* One row per key, and the URLs it may stand in. */
struct dal__dsn_key {
        const char *name;
        unsigned families;
};
extern const struct dal__dsn_key dal__dsn_keys[DAL__DSN_N_KEYS];

struct dal_dsn {
        char *scheme;
        char *values[DAL__DSN_N_KEYS]; /* decoded; NULL when not given */
        char *redacted;
        uint16_t port;
        bool path_only; /* "sqlite:FILE": no authority */
        bool local;
        dal_tls_mode tls_mode;
};

/* Reads a URL into a zeroed `dsn`: the scheme and the values, decoded, each for itself. */
dal_status dal__dsn_read(dal_dsn *dsn, const char *url, dal_error *err);

/* Sets a value, taking over `text`; what was there is wiped. */
void dal__dsn_set(dal_dsn *dsn, dal__dsn_key_id key, char *text);
bool dal__dsn_is_scheme(const dal_dsn *dsn, const char *scheme);
unsigned dal__dsn_family(const dal_dsn *dsn);
dal_status dal__dsn_no_memory(dal_error *err);
dal_status dal__dsn_malformed(dal_error *err, const char *why);

#endif
