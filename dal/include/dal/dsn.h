/* SPDX-License-Identifier: MIT */
#ifndef DAL_DSN_H
#define DAL_DSN_H

/*
 * Database URLs, by libpq's rules:
 *
 *      postgres://user:secret@db1.example:5432/shop?sslmode=verify-full&sslrootcert=/etc/ca.pem
 *      mysql://user@localhost/shop?socket=/run/mysqld/mysqld.sock
 *      postgres:///shop?host=/var/run/postgresql&schema=shard_2
 *      sqlite:shop.db          sqlite:///var/lib/shop/shop.db          sqlite::memory:
 *
 * A URL is read by its syntax: with "//" behind the scheme it names a server, host and database; without, what
 * follows the scheme is a path, for an engine that is a file. What the scheme stands for is the driver's to say:
 * dal_driver_resolve_dsn() checks the URL against one, and every connection, pool and cluster does so first of all.
 *
 * %XX is decoded in every part, `+` is a plus sign, an IPv6 address stands in brackets, a later key wins over an
 * earlier one and over the same thing said in the authority. Keys of every URL:
 *
 *      host, port, user, password, dbname       the parts of the authority and path, as keys
 *      sslmode           off | require | verify-ca | verify-full ("disable" is read as off). Default: off for
 *                        Unix sockets and for 127.0.0.0/8, ::1 and localhost, verify-full for any other host
 *      sslrootcert       PEM file of trusted roots; OpenSSL's default file when absent
 *      sslcert, sslkey   PEM files of a client certificate
 *      application_name  shown by the server; the cluster sets it to the service's name
 *
 * A URL of a file has of these only dbname, application_name and sslmode=off. The drivers of this library add:
 *
 *      schema            PostgreSQL: the schema to work in (search_path)
 *      socket            MySQL: path of the Unix socket
 *      server_public_key MySQL: PEM file of the server's RSA key, for caching_sha2_password without TLS
 *      statements        PostgreSQL, MySQL: prepared, unnamed or text, see dal_statements. Default: prepared;
 *                        unnamed is for a transaction pooler such as PgBouncer, and refuses what would outlive
 *                        a transaction, such as `schema` and SET
 *      mode              SQLite: ro, rw, or rwc to make a missing file. Default: rwc
 *
 * A parsed URL holds the password; nothing here ever copies it into an error or into dal_dsn_redacted().
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <dal/error.h>
#include <dal/macros.h>

DAL_BEGIN_DECLS

typedef struct dal_dsn dal_dsn;

typedef enum dal_tls_mode {
        DAL_TLS_OFF,
        DAL_TLS_REQUIRE,     /* encrypted, the peer is not verified */
        DAL_TLS_VERIFY_CA,   /* the certificate is signed by a trusted root */
        DAL_TLS_VERIFY_FULL  /* and its name is the host's */
} dal_tls_mode;

/**
 * Parses a database URL.
 *
 * @return DAL_OK
 *         DAL_ERR_ARG    malformed; the message names the part and what is expected, never the password
 *                        (whether a driver knows the scheme and the keys is not asked here)
 *         DAL_ERR_NOMEM
 * Ownership: *out is owned; end it with dal_dsn_free(). `url` is copied.
 * Threads: any. Blocks: no.
 */
DAL_NODISCARD dal_status dal_dsn_parse(const char *url, dal_dsn **out, dal_error *err);

/** Frees a URL, wiping its password. Accepts NULL. Threads: the owner. Blocks: no. */
void dal_dsn_free(dal_dsn *dsn);

/** Returns the scheme as it is written, in lower case. Borrowed until dal_dsn_free(). */
const char *dal_dsn_scheme(const dal_dsn *dsn);
/** Returns the host, a socket directory or ""; without brackets. Borrowed until dal_dsn_free(). */
const char *dal_dsn_host(const dal_dsn *dsn);
/** Returns the port; 0 when the URL gives none. */
uint16_t dal_dsn_port(const dal_dsn *dsn);
/** Returns the user or "". Borrowed until dal_dsn_free(). */
const char *dal_dsn_user(const dal_dsn *dsn);
/** Returns the password, NULL when the URL gives none. Borrowed until dal_dsn_free(); never log it. */
const char *dal_dsn_password(const dal_dsn *dsn);
/** Returns the database name: the path without its first slash; "" when absent. Borrowed until dal_dsn_free(). */
const char *dal_dsn_dbname(const dal_dsn *dsn);
/** Returns the path as it is written, for engines whose database is a file: SCHEME:a and SCHEME:///a are a and /a. */
const char *dal_dsn_path(const dal_dsn *dsn);
/** Returns the value of a key, NULL when absent. Borrowed until dal_dsn_free(). */
const char *dal_dsn_get(const dal_dsn *dsn, const char *key);
/** Returns the TLS mode in force, the default rule applied. */
dal_tls_mode dal_dsn_tls_mode(const dal_dsn *dsn);
/** Says whether the server is reached without leaving the machine: Unix socket, 127.0.0.0/8, ::1, localhost. */
bool dal_dsn_is_local(const dal_dsn *dsn);
/**
 * Returns the URL without its password, fit for messages.
 *
 * Before dal_driver_resolve_dsn() also the values of a driver's keys are left out, and a path that may be the rest of
 * a login whose slashes were forgotten: nobody knows yet what they are. Of a resolved URL it is a URL for the same.
 * Borrowed until dal_dsn_free(). Threads: any. Blocks: no.
 */
const char *dal_dsn_redacted(const dal_dsn *dsn);
/** Returns "sslmode" values: "verify-full". Static. */
const char *dal_dsn_tls_name(dal_tls_mode mode);

DAL_END_DECLS

#endif
