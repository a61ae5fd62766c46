/* SPDX-License-Identifier: MIT */
/* From a URL to a session. */

#include "postgres_impl.h"

#include <errno.h>
#include <poll.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <openssl/x509.h>
#include <pg_config_manual.h>

#include <dal/mem.h>

#define MAX_ADDRESSES 8
#define MAX_KEYWORDS  48
#define DEFAULT_PORT  5432u

/*
 * libpq fills what is not given from the environment, from service files and from files in the home directory, and
 * takes an empty value for one that is not given. So every keyword with such a source gets a value here; where
 * "none" has to be said by a path, this one can't exist.
 */
#define NO_FILE "/dev/null/none"

/* Sent where the URL gives no password, so that PGPASSWORD and password files are not asked. */
#define NO_PASSWORD "(none)"

typedef struct keywords {
        const char *names[MAX_KEYWORDS + 1];
        const char *values[MAX_KEYWORDS + 1];
        size_t n;
} keywords;

static void add(keywords *list, const char *name, const char *value)
{
        if (list->n < MAX_KEYWORDS) {
                list->names[list->n] = name;
                list->values[list->n] = value;
                list->n++;
        }
}

/* Strings made for one connect. */
typedef struct scratch {
        char user[256];
        char port[8];
        char roots[512];
        char *options;
} scratch;

/* An error before there is a session: no statement was sent, and only close may follow. */
static dal_status unopened(dal_error *err, dal_error_class error_class)
{
        if (err)
                err->not_sent = err->conn_gone = true;
        return dal_error_class_status(error_class);
}

static dal_status no_memory(dal_error *err)
{
        dal_error_set(err, DAL_CLASS_NO_MEMORY, "out of memory for a PostgreSQL connection");
        return unopened(err, DAL_CLASS_NO_MEMORY);
}

/* ---- parameters ----------------------------------------------------------------------------------------------- */

/*
 * Appends a quoted identifier as one word of the `options` parameter, where white space and backslashes are escaped.
 * Source: PostgreSQL src/backend/utils/init/postinit.c, pg_split_opts().
 */
static char *put_identifier(char *out, const char *name)
{
        *out++ = '"';
        for (; *name; name++) {
                if (*name == '"')
                        *out++ = '"';
                if (*name == '\\' || strchr(" \t\n\r\v\f", *name))
                        *out++ = '\\';
                *out++ = *name;
        }
        *out++ = '"';
        *out = '\0';
        return out;
}

/* Settings given here are the session's defaults: RESET ALL goes back to them. */
static bool make_options(scratch *s, const dal_open_args *args)
{
        const char *schema = dal_dsn_get(args->dsn, "schema");
        size_t size = 384 + (schema ? 2 * strlen(schema) : 0);
        char *at;

        if (args->statements == DAL_STATEMENTS_UNNAMED)
                return true; /* a pooler could keep none of them and refuses the parameter */
        s->options = at = dal_mem_alloc(size);
        if (!at)
                return false;
        at += snprintf(at, 128, "-c timezone=UTC -c standard_conforming_strings=on");
        /* The digits that every float comes back from; before PostgreSQL 12 fewer are the default. */
        if (args->statements == DAL_STATEMENTS_TEXT)
                at += snprintf(at, 128, " -c datestyle=ISO -c bytea_output=hex -c extra_float_digits=3");
        if (args->statement_timeout_ms)
                at += snprintf(at, 64, " -c statement_timeout=%u", args->statement_timeout_ms);
        if (args->lock_timeout_ms)
                at += snprintf(at, 64, " -c lock_timeout=%u", args->lock_timeout_ms);
        if (schema && schema[0]) {
                at += snprintf(at, 64, " -c search_path=");
                put_identifier(at, schema);
        }
        return true;
}

static bool has_schema(const dal_open_args *args)
{
        const char *schema = dal_dsn_get(args->dsn, "schema");

        return schema && schema[0];
}

/* libpq's rule for an empty user, PGUSER apart. */
static const char *user_of(scratch *s, const dal_open_args *args)
{
        struct passwd entry, *found = NULL;
        char room[1024];

        if (args->user[0])
                return args->user;
        if (getpwuid_r(geteuid(), &entry, room, sizeof room, &found) == 0 && found)
                snprintf(s->user, sizeof s->user, "%s", found->pw_name);
        return s->user[0] ? s->user : NULL;
}

/* OpenSSL's default file; some systems have only the folder, with the usual bundle in it. */
static const char *default_roots(scratch *s)
{
        const char *file = X509_get_default_cert_file();

        if (access(file, R_OK) == 0)
                return file;
        snprintf(s->roots, sizeof s->roots, "%s/ca-certificates.crt", X509_get_default_cert_dir());
        return access(s->roots, R_OK) == 0 ? s->roots : file;
}

static void add_tls(keywords *list, scratch *s, const dal_dsn *dsn)
{
        dal_tls_mode mode = dal_dsn_tls_mode(dsn);
        const char *roots = dal_dsn_get(dsn, "sslrootcert"), *cert = dal_dsn_get(dsn, "sslcert");
        const char *key = dal_dsn_get(dsn, "sslkey");
        const char *name = mode == DAL_TLS_OFF         ? "disable"
                           : mode == DAL_TLS_REQUIRE   ? "require"
                           : mode == DAL_TLS_VERIFY_CA ? "verify-ca"
                                                       : "verify-full";

        /* With a root file at hand libpq would verify in mode "require" too. Source: libpq, SSL support. */
        if (mode == DAL_TLS_REQUIRE || mode == DAL_TLS_OFF)
                roots = NO_FILE;
        else if (!roots || !roots[0])
                roots = default_roots(s);
        add(list, "sslmode", name);
        add(list, "sslrootcert", roots);
        add(list, "sslcert", cert && cert[0] ? cert : NO_FILE);
        add(list, "sslkey", key && key[0] ? key : NO_FILE);
        add(list, "sslcrl", NO_FILE);
        add(list, "sslcrldir", NO_FILE);
        add(list, "sslcompression", "0");
        add(list, "sslsni", "1");
        add(list, "ssl_min_protocol_version", "TLSv1.2");
        add(list, "ssl_max_protocol_version", "TLSv1.3");
        if (PQlibVersion() >= 160000)
                add(list, "sslcertmode", cert && cert[0] ? "allow" : "disable");
        if (PQlibVersion() >= 170000)
                add(list, "sslnegotiation", "postgres");
}

/* What neither the URL nor the caller decides. */
static void add_fixed(keywords *list)
{
        add(list, "client_encoding", "UTF8");
        add(list, "passfile", NO_FILE);
        add(list, "gssencmode", "disable");
        add(list, "krbsrvname", "postgres");
        add(list, "channel_binding", "prefer");
        add(list, "target_session_attrs", "any");
        add(list, "connect_timeout", "0"); /* the deadline is kept here */
        /* A peer that vanished is noticed even while nothing is sent, or sent and not acknowledged. */
        add(list, "keepalives", "1");
        add(list, "keepalives_idle", "30");
        add(list, "keepalives_interval", "10");
        add(list, "keepalives_count", "3");
        add(list, "tcp_user_timeout", "30000");
        if (PQlibVersion() >= 160000) {
                add(list, "load_balance_hosts", "disable");
                add(list, "gssdelegation", "0");
        }
        if (PQlibVersion() >= 180000) {
                add(list, "min_protocol_version", "3.0");
                add(list, "max_protocol_version", "3.0");
        }
}

static dal_status make_keywords(keywords *list, scratch *s, const dal_open_args *args, const char *host,
                                dal_error *err)
{
        const char *user = user_of(s, args), *dbname = dal_dsn_dbname(args->dsn);
        uint16_t port = dal_dsn_port(args->dsn);

        if (!user) {
                dal_error_set(err, DAL_CLASS_ARGUMENT,
                              "the URL gives no user and the system has no name for this process's account");
                return unopened(err, DAL_CLASS_ARGUMENT);
        }
        if (args->statements == DAL_STATEMENTS_UNNAMED && has_schema(args)) {
                dal_error_set(
                        err, DAL_CLASS_UNSUPPORTED,
                        "%s: with statements=unnamed there is no session to keep the key schema: leave it "
                        "out and say ALTER ROLE ... SET search_path or ALTER DATABASE ... SET search_path",
                        dal_dsn_redacted(args->dsn));
                return unopened(err, DAL_CLASS_UNSUPPORTED);
        }
        if (!make_options(s, args))
                return no_memory(err);
        snprintf(s->port, sizeof s->port, "%u", port ? (unsigned)port : DEFAULT_PORT);
        add(list, "host", host);
        add(list, "port", s->port);
        add(list, "user", user);
        add(list, "password", args->password && args->password[0] ? args->password : NO_PASSWORD);
        add(list, "dbname", dbname[0] ? dbname : user);
        add(list, "application_name", args->service[0] ? args->service : "dal");
        if (s->options)
                add(list, "options", s->options);
        add_tls(list, s, args->dsn);
        add_fixed(list);
        return DAL_OK;
}

/* ---- one address ---------------------------------------------------------------------------------------------- */

static void ignore_notice(void *arg, const PGresult *result)
{
        (void)arg;
        (void)result; /* libpq would print it */
}

/* Waits for the socket; false when the deadline passed. */
static bool wait_socket(PGconn *pg, short events, dal_deadline deadline)
{
        struct pollfd fd = {PQsocket(pg), events, 0};
        int n;

        do {
                n = poll(&fd, 1, dal_clock_left_ms(deadline));
        } while (n < 0 && errno == EINTR);
        return n != 0;
}

static dal_status late(const char *host, dal_error *err)
{
        dal_error_set(err, DAL_CLASS_DEADLINE, "no session with PostgreSQL at %s within the deadline", host);
        return unopened(err, DAL_CLASS_DEADLINE);
}

static dal_status handshake(PGconn *pg, const char *host, dal_deadline deadline, dal_error *err)
{
        PostgresPollingStatusType state = PGRES_POLLING_WRITING;

        while (state != PGRES_POLLING_OK) {
                if (!wait_socket(pg, state == PGRES_POLLING_READING ? POLLIN : POLLOUT, deadline))
                        return late(host, err);
                state = PQconnectPoll(pg);
                if (state == PGRES_POLLING_FAILED)
                        return DAL_ERR_CONN; /* PQerrorMessage() says why */
        }
        return DAL_OK;
}

/* PGHOSTADDR can't be silenced for a Unix socket, where no address of our own is given. */
static bool is_redirected(PGconn *pg, const char *address)
{
        const char *actual = PQhostaddr(pg);

        return !address && actual && actual[0];
}

static dal_status connect_to(dal__postgres_conn *conn, keywords list, const dal_open_args *args,
                             const char *host, const char *address, dal_deadline deadline, dal_error *err)
{
        bool has_password = args->password && args->password[0];
        dal_status s;

        if (address)
                add(&list, "hostaddr", address);
        conn->pg = PQconnectStartParams(list.names, list.values, 0);
        if (!conn->pg)
                return no_memory(err);
        if (PQstatus(conn->pg) == CONNECTION_BAD)
                return dal__postgres_fail_connect(host, PQerrorMessage(conn->pg), has_password, err);
        if (is_redirected(conn->pg, address)) {
                dal_error_set(err, DAL_CLASS_ARGUMENT,
                              "PGHOSTADDR in the environment would lead away from the socket in %s: unset it",
                              host);
                return unopened(err, DAL_CLASS_ARGUMENT);
        }
        if (conn->statements == DAL_STATEMENTS_UNNAMED && PQoptions(conn->pg) && PQoptions(conn->pg)[0]) {
                dal_error_set(err, DAL_CLASS_ARGUMENT,
                              "PGOPTIONS in the environment would change sessions that are shared by "
                              "statements=unnamed: unset it");
                return unopened(err, DAL_CLASS_ARGUMENT);
        }
        PQsetNoticeReceiver(conn->pg, ignore_notice, NULL);
        /* The verbose form has the SQLSTATE, which doesn't depend on the server's language. */
        PQsetErrorVerbosity(conn->pg, PQERRORS_VERBOSE);
        s = handshake(conn->pg, host, deadline, err);
        if (s == DAL_ERR_CONN)
                return dal__postgres_fail_connect(host, PQerrorMessage(conn->pg), has_password, err);
        if (s == DAL_OK)
                PQsetErrorVerbosity(conn->pg, PQERRORS_DEFAULT);
        return s;
}

/* ---- all addresses -------------------------------------------------------------------------------------------- */

/* Each address but the last gets its share of the time, so that a dead one does not use it all up. */
static dal_deadline share_of(dal_deadline deadline, size_t n_left)
{
        int left = dal_clock_left_ms(deadline);

        if (n_left <= 1 || left < 0)
                return deadline;
        return dal_clock_earlier(deadline, dal_clock_after_ms((uint32_t)left / (uint32_t)n_left));
}

static dal_status connect_by_name(dal__postgres_conn *conn, const keywords *list, const dal_open_args *args,
                                  const char *host, dal_deadline deadline, dal_error *err)
{
        dal_address addresses[MAX_ADDRESSES];
        dal_error local = DAL_ERROR_INIT;
        size_t n = 0;
        dal_status s = dal_resolver_lookup(host, deadline, addresses, MAX_ADDRESSES, &n, &local);

        for (size_t i = 0; s == DAL_OK && i < n; i++) {
                dal_deadline share = share_of(deadline, n - i);
                bool last = i + 1 == n;

                s = connect_to(conn, *list, args, host, addresses[i].text, share, &local);
                if (s == DAL_OK)
                        return DAL_OK;
                /* A server that answered has decided; only an address that did not leads to the next. */
                if (last || dal_clock_passed(deadline) ||
                    (local.error_class != DAL_CLASS_CONNECT_FAILED &&
                     local.error_class != DAL_CLASS_DEADLINE) ||
                    local.sqlstate[0])
                        break;
                PQfinish(conn->pg);
                conn->pg = NULL;
                s = DAL_OK;
        }
        local.not_sent = local.conn_gone = true;
        if (err)
                *err = local;
        return local.status;
}

static dal_status check_session(dal__postgres_conn *conn, const dal_open_args *args, dal_error *err)
{
        const char *strings = PQparameterStatus(conn->pg, "standard_conforming_strings");
        const char *encoding = PQparameterStatus(conn->pg, "client_encoding");
        const char *wrong = NULL;

        if (dal_dsn_tls_mode(args->dsn) != DAL_TLS_OFF && !PQsslInUse(conn->pg))
                wrong = "the session is not encrypted although the URL asks for TLS";
        else if (!strings || strcmp(strings, "on") != 0)
                wrong = "standard_conforming_strings is off: SQL texts would be read differently";
        else if (!encoding || strcmp(encoding, "UTF8") != 0)
                wrong = "the server refuses UTF-8 as the client's encoding";
        if (!wrong)
                return DAL_OK;
        dal_error_set(err, DAL_CLASS_UNSUPPORTED, "%s: %s", dal_dsn_redacted(args->dsn), wrong);
        return unopened(err, DAL_CLASS_UNSUPPORTED);
}

/*
 * PGTZ and PGDATESTYLE in the environment are sent by libpq itself and outdo what `options` says. Both are
 * reported to us; so poolers know them and take them along. Source: libpq, "Environment Variables";
 * PgBouncer's manual.
 */
dal_status dal__postgres_set_styles(dal__postgres_conn *conn, dal_deadline deadline, dal_error *err)
{
        const char *zone = PQparameterStatus(conn->pg, "TimeZone");
        const char *style = PQparameterStatus(conn->pg, "DateStyle");
        dal_status s = DAL_OK;

        if (!zone || strcmp(zone, "UTC") != 0)
                s = dal__postgres_simple(conn, "SET timezone = 'UTC'", deadline, err);
        if (s == DAL_OK && conn->statements == DAL_STATEMENTS_TEXT &&
            (!style || strncmp(style, "ISO", 3) != 0))
                s = dal__postgres_simple(conn, "SET datestyle = 'ISO'", deadline, err);
        return s;
}

dal_status dal__postgres_connect(dal__postgres_conn *conn, const dal_open_args *args, dal_deadline deadline,
                                 dal_error *err)
{
        const char *host = dal_dsn_host(args->dsn);
        scratch made = {.options = NULL};
        keywords list = {.n = 0};
        bool is_socket;
        dal_status s;

        if (!host[0])
                host = DEFAULT_PGSOCKET_DIR;
        is_socket = host[0] == '/' || host[0] == '@';
        if (is_socket && dal_dsn_tls_mode(args->dsn) != DAL_TLS_OFF) {
                dal_error_set(err, DAL_CLASS_ARGUMENT,
                              "%s: PostgreSQL has no TLS on Unix sockets; leave sslmode out",
                              dal_dsn_redacted(args->dsn));
                return unopened(err, DAL_CLASS_ARGUMENT);
        }
        s = make_keywords(&list, &made, args, host, err);
        if (s == DAL_OK)
                s = is_socket ? connect_to(conn, list, args, host, NULL, deadline, err)
                              : connect_by_name(conn, &list, args, host, deadline, err);
        if (s == DAL_OK)
                s = check_session(conn, args, err);
        if (s == DAL_OK && PQsetnonblocking(conn->pg, 1) != 0)
                s = no_memory(err);
        if (s == DAL_OK && (s = dal__postgres_set_styles(conn, deadline, err)))
                unopened(err, err ? err->error_class : DAL_CLASS_CONNECT_FAILED);
        dal_mem_free(made.options);
        return s;
}
