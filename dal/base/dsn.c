/* SPDX-License-Identifier: MIT */
#include "base/dsn_impl.h"

#include <arpa/inet.h>
#include <string.h>

#include <dal/mem.h>
#include <dal/value.h>

const struct dal__dsn_key dal__dsn_keys[DAL__DSN_N_KEYS] = {
        [DAL__DSN_HOST] = {"host", DAL__DSN_SERVERS},
        [DAL__DSN_PORT] = {"port", DAL__DSN_SERVERS},
        [DAL__DSN_USER] = {"user", DAL__DSN_SERVERS},
        [DAL__DSN_PASSWORD] = {"password", DAL__DSN_SERVERS},
        [DAL__DSN_DBNAME] = {"dbname", DAL__DSN_ALL},
        [DAL__DSN_SSLMODE] = {"sslmode", DAL__DSN_ALL},
        [DAL__DSN_SSLROOTCERT] = {"sslrootcert", DAL__DSN_SERVERS},
        [DAL__DSN_SSLCERT] = {"sslcert", DAL__DSN_SERVERS},
        [DAL__DSN_SSLKEY] = {"sslkey", DAL__DSN_SERVERS},
        [DAL__DSN_APPLICATION_NAME] = {"application_name", DAL__DSN_ALL},
        [DAL__DSN_SCHEMA] = {"schema", DAL__DSN_POSTGRES | DAL__DSN_OTHER},
        [DAL__DSN_SOCKET] = {"socket", DAL__DSN_MYSQL | DAL__DSN_OTHER},
        [DAL__DSN_SERVER_PUBLIC_KEY] = {"server_public_key", DAL__DSN_MYSQL | DAL__DSN_OTHER},
        /* of single drivers: a key has its row once a driver reads it, or it would be ignored in silence */
        [DAL__DSN_MODE] = {"mode", DAL__DSN_SQLITE | DAL__DSN_OTHER},
        [DAL__DSN_FAKE] = {"fake", DAL__DSN_OTHER},
};

static const char *const tls_names[] = {
        [DAL_TLS_OFF] = "off",
        [DAL_TLS_REQUIRE] = "require",
        [DAL_TLS_VERIFY_CA] = "verify-ca",
        [DAL_TLS_VERIFY_FULL] = "verify-full",
};
#define N_TLS_MODES (sizeof tls_names / sizeof tls_names[0])

dal_status dal__dsn_no_memory(dal_error *err)
{
        return dal_error_set(err, DAL_CLASS_NO_MEMORY, "no memory for a database URL");
}

dal_status dal__dsn_malformed(dal_error *err, const char *why)
{
        return dal_error_set(err, DAL_CLASS_ARGUMENT, "the database URL is malformed: %s", why);
}

bool dal__dsn_is_scheme(const dal_dsn *dsn, const char *scheme)
{
        return strcmp(dsn->scheme, scheme) == 0;
}

unsigned dal__dsn_family(const dal_dsn *dsn)
{
        if (dal__dsn_is_scheme(dsn, "postgres"))
                return DAL__DSN_POSTGRES;
        if (dal__dsn_is_scheme(dsn, "mysql") || dal__dsn_is_scheme(dsn, "mariadb"))
                return DAL__DSN_MYSQL;
        return dal__dsn_is_scheme(dsn, "sqlite") ? DAL__DSN_SQLITE : DAL__DSN_OTHER;
}

static const char *value_or_empty(const dal_dsn *dsn, dal__dsn_key_id key)
{
        return dsn->values[key] ? dsn->values[key] : "";
}

static void drop(char *text)
{
        if (text)
                dal_mem_wipe(text, strlen(text));
        dal_mem_free(text);
}

void dal__dsn_set(dal_dsn *dsn, dal__dsn_key_id key, char *text)
{
        drop(dsn->values[key]);
        dsn->values[key] = text;
}

static dal_status set_port(dal_dsn *dsn, dal_error *err)
{
        const char *text = value_or_empty(dsn, DAL__DSN_PORT);
        uint32_t port = 0;
        size_t size = strlen(text);

        for (size_t i = 0; i < size && size <= 5; i++)
                port = text[i] >= '0' && text[i] <= '9' ? port * 10 + (uint32_t)(text[i] - '0')
                                                        : UINT16_MAX + 1u;
        if (size > 5 || port > UINT16_MAX || (size && port == 0))
                return dal__dsn_malformed(err, "the port must be a number from 1 to 65535");
        dsn->port = (uint16_t)port;
        return DAL_OK;
}

static bool is_local_host(const char *host)
{
        struct in_addr v4;
        struct in6_addr v6;

        if (host[0] == '\0' || host[0] == '/') /* the default socket, or a socket's directory */
                return true;
        if (strlen(host) == 9) {
                size_t i = 0;

                while (i < 9 && ((host[i] | 0x20) == "localhost"[i]))
                        i++;
                if (i == 9)
                        return true;
        }
        if (inet_pton(AF_INET, host, &v4) == 1)
                return ntohl(v4.s_addr) >> 24 == 127;
        return inet_pton(AF_INET6, host, &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}

static dal_status set_tls_mode(dal_dsn *dsn, dal_error *err)
{
        const char *text = dsn->values[DAL__DSN_SSLMODE];

        dsn->tls_mode = dsn->local ? DAL_TLS_OFF : DAL_TLS_VERIFY_FULL;
        if (!text)
                return DAL_OK;
        if (strcmp(text, "disable") == 0) {
                char *off = dal_mem_strdup("off", 3);

                if (!off)
                        return dal__dsn_no_memory(err);
                dal__dsn_set(dsn, DAL__DSN_SSLMODE, off);
                text = off;
        }
        for (size_t i = 0; i < N_TLS_MODES; i++) {
                if (strcmp(text, tls_names[i]) == 0) {
                        dsn->tls_mode = (dal_tls_mode)i;
                        return DAL_OK;
                }
        }
        return dal__dsn_malformed(err, "sslmode must be off, require, verify-ca or verify-full");
}

/* A writer into a buffer that is large enough. */
struct writer {
        char *text;
        size_t size;
};

static void put(struct writer *w, const char *text)
{
        size_t size = strlen(text);

        memcpy(w->text + w->size, text, size);
        w->size += size;
}

static void put_encoded(struct writer *w, const char *text, const char *safe)
{
        static const char digits[] = "0123456789ABCDEF";
        static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~";
        bool utf8 = dal_value_is_utf8(text, strlen(text));

        for (; *text; text++) {
                unsigned char c = (unsigned char)*text;

                if (strchr(plain, *text) || strchr(safe, *text) || (utf8 && c >= 0x80)) {
                        w->text[w->size++] = *text;
                } else {
                        w->text[w->size++] = '%';
                        w->text[w->size++] = digits[c >> 4];
                        w->text[w->size++] = digits[c & 15];
                }
        }
}

static void put_authority(struct writer *w, const dal_dsn *dsn)
{
        const char *host = value_or_empty(dsn, DAL__DSN_HOST);
        bool is_v6 = strchr(host, ':') != NULL;

        put(w, "://");
        if (value_or_empty(dsn, DAL__DSN_USER)[0]) {
                put_encoded(w, dsn->values[DAL__DSN_USER], "");
                put(w, "@");
        }
        if (host[0] != '/') {
                put(w, is_v6 ? "[" : "");
                put_encoded(w, host, is_v6 ? ":" : "");
                put(w, is_v6 ? "]" : "");
        }
        if (value_or_empty(dsn, DAL__DSN_PORT)[0]) {
                put(w, ":");
                put(w, dsn->values[DAL__DSN_PORT]);
        }
        if (value_or_empty(dsn, DAL__DSN_DBNAME)[0]) {
                put(w, "/");
                put_encoded(w, dsn->values[DAL__DSN_DBNAME], ":/");
        }
}

static void put_path(struct writer *w, const dal_dsn *dsn)
{
        const char *path = value_or_empty(dsn, DAL__DSN_DBNAME);

        if (path[0] == '/' && dal__dsn_is_scheme(dsn, "sqlite")) {
                put(w, "://");
        } else {
                put(w, ":");
                if (path[0] == '/' && path[1] == '/') { /* or else it would read as an authority */
                        put(w, "%2F");
                        path++;
                }
        }
        put_encoded(w, path, ":/");
}

static dal_status set_redacted(dal_dsn *dsn, dal_error *err)
{
        struct writer w = {NULL, 0};
        size_t room = strlen(dsn->scheme) + 16;
        const char *before = "?";

        for (size_t i = 0; i < DAL__DSN_N_KEYS; i++)
                if (dsn->values[i])
                        room += 3 * strlen(dsn->values[i]) + strlen(dal__dsn_keys[i].name) + 2;
        w.text = dal_mem_alloc(room);
        if (!w.text)
                return dal__dsn_no_memory(err);
        put(&w, dsn->scheme);
        if (dsn->path_only)
                put_path(&w, dsn);
        else
                put_authority(&w, dsn);
        for (size_t i = 0; i < DAL__DSN_N_KEYS; i++) {
                bool in_front = i == DAL__DSN_PORT || i == DAL__DSN_USER || i == DAL__DSN_PASSWORD ||
                                i == DAL__DSN_DBNAME ||
                                (i == DAL__DSN_HOST && value_or_empty(dsn, DAL__DSN_HOST)[0] != '/');

                if (!dsn->values[i] || in_front)
                        continue;
                put(&w, before);
                put(&w, dal__dsn_keys[i].name);
                put(&w, "=");
                put_encoded(&w, dsn->values[i], ":/");
                before = "&";
        }
        w.text[w.size] = '\0';
        dsn->redacted = w.text;
        return DAL_OK;
}

/* Checks what the parts say together and works out the rest. */
static dal_status finish(dal_dsn *dsn, dal_error *err)
{
        const char *host = value_or_empty(dsn, DAL__DSN_HOST);
        bool socket = value_or_empty(dsn, DAL__DSN_SOCKET)[0] != '\0';
        dal_status status = set_port(dsn, err);

        if (status)
                return status;
        if (strchr(host, ','))
                return dal__dsn_malformed(err, "several hosts are not supported: give one");
        /* Else a host would be reached without TLS because a socket was named too. */
        if (socket && !is_local_host(host))
                return dal__dsn_malformed(err,
                                          "it names both a socket and another machine's host: leave one out");
        if (dal__dsn_is_scheme(dsn, "sqlite") && !value_or_empty(dsn, DAL__DSN_DBNAME)[0])
                return dal__dsn_malformed(
                        err, "it names no file: write sqlite:FILE, sqlite:///FILE or sqlite::memory:");
        dsn->local = dsn->path_only || is_local_host(host);
        status = set_tls_mode(dsn, err);
        return status ? status : set_redacted(dsn, err);
}

dal_status dal_dsn_parse(const char *url, dal_dsn **out, dal_error *err)
{
        dal_dsn *dsn;
        dal_status status;

        if (!url || !out)
                return dal_error_set(err, DAL_CLASS_ARGUMENT,
                                     "dal_dsn_parse() needs a URL and a place for the result");
        dsn = dal_mem_alloc(sizeof *dsn);
        if (!dsn)
                return dal__dsn_no_memory(err);
        status = dal__dsn_read(dsn, url, err);
        if (status == DAL_OK)
                status = finish(dsn, err);
        if (status) {
                dal_dsn_free(dsn);
                return status;
        }
        *out = dsn;
        return DAL_OK;
}

static bool inherit(dal_dsn *dsn, const dal_dsn *base, dal__dsn_key_id key)
{
        char *text;

        if (dsn->values[key] || !base->values[key])
                return true;
        text = dal_mem_strdup(base->values[key], strlen(base->values[key]));
        dal__dsn_set(dsn, key, text);
        return text != NULL;
}

/* Takes from `base` what `dsn` leaves open; false when there is no memory. */
static bool inherit_all(dal_dsn *dsn, const dal_dsn *base)
{
        bool ok = true;

        /* A password belongs to its user, and a key to its certificate. */
        if (!dsn->values[DAL__DSN_USER] ||
            strcmp(dsn->values[DAL__DSN_USER], value_or_empty(base, DAL__DSN_USER)) == 0)
                ok = inherit(dsn, base, DAL__DSN_USER) && inherit(dsn, base, DAL__DSN_PASSWORD);
        if (!dsn->values[DAL__DSN_SSLCERT] && !dsn->values[DAL__DSN_SSLKEY])
                ok = ok && inherit(dsn, base, DAL__DSN_SSLCERT) && inherit(dsn, base, DAL__DSN_SSLKEY);
        /* What is good enough on one machine must not weaken the way to another in silence. */
        if (!base->local || is_local_host(value_or_empty(dsn, DAL__DSN_HOST)) ||
            base->tls_mode == DAL_TLS_VERIFY_FULL)
                ok = ok && inherit(dsn, base, DAL__DSN_SSLMODE);
        return ok && inherit(dsn, base, DAL__DSN_SSLROOTCERT) &&
               inherit(dsn, base, DAL__DSN_SERVER_PUBLIC_KEY) &&
               inherit(dsn, base, DAL__DSN_APPLICATION_NAME);
}

/* A relative file is looked for where the base's file is, wherever the process was started. */
static bool resolve_file(dal_dsn *dsn, const dal_dsn *base)
{
        const char *file = value_or_empty(dsn, DAL__DSN_DBNAME);
        const char *base_file = value_or_empty(base, DAL__DSN_DBNAME);
        const char *slash = strrchr(base_file, '/');
        size_t size = slash ? (size_t)(slash - base_file) + 1 : 0;
        char *path;

        if (size == 0 || file[0] == '/' || file[0] == '\0' || strcmp(file, ":memory:") == 0)
                return true;
        path = dal_mem_alloc(size + strlen(file) + 1);
        if (!path)
                return false;
        memcpy(path, base_file, size);
        memcpy(path + size, file, strlen(file));
        dal__dsn_set(dsn, DAL__DSN_DBNAME, path);
        return true;
}

static bool copy_values(dal_dsn *copy, const dal_dsn *dsn)
{
        copy->path_only = dsn->path_only;
        copy->scheme = dal_mem_strdup(dsn->scheme, strlen(dsn->scheme));
        for (size_t i = 0; i < DAL__DSN_N_KEYS; i++)
                if (!inherit(copy, dsn, (dal__dsn_key_id)i))
                        return false;
        return copy->scheme != NULL;
}

dal_status dal_dsn_derive(const dal_dsn *dsn, const dal_dsn *base, const char *dbname, dal_dsn **out,
                          dal_error *err)
{
        dal_dsn *copy;
        bool ok;
        dal_status status;

        if (!dsn || !out)
                return dal_error_set(err, DAL_CLASS_ARGUMENT,
                                     "dal_dsn_derive() needs a URL and a place for the result");
        copy = dal_mem_alloc(sizeof *copy);
        if (!copy)
                return dal__dsn_no_memory(err);
        ok = copy_values(copy, dsn);
        if (ok && dbname) {
                dal__dsn_set(copy, DAL__DSN_DBNAME, dal_mem_strdup(dbname, strlen(dbname)));
                ok = copy->values[DAL__DSN_DBNAME] != NULL;
        }
        if (ok && base && strcmp(dsn->scheme, base->scheme) == 0) {
                if (base != dsn)
                        ok = inherit_all(copy, base);
                /* A plain copy keeps its file; it stands where the base stands already. */
                if (ok && dal__dsn_is_scheme(dsn, "sqlite") && (base != dsn || dbname))
                        ok = resolve_file(copy, base);
        }
        status = ok ? finish(copy, err) : dal__dsn_no_memory(err);
        if (status) {
                dal_dsn_free(copy);
                return status;
        }
        *out = copy;
        return DAL_OK;
}

void dal_dsn_free(dal_dsn *dsn)
{
        if (!dsn)
                return;
        for (size_t i = 0; i < DAL__DSN_N_KEYS; i++)
                drop(dsn->values[i]);
        dal_mem_free(dsn->scheme);
        dal_mem_free(dsn->redacted);
        dal_mem_free(dsn);
}

const char *dal_dsn_scheme(const dal_dsn *dsn)
{
        return dsn->scheme;
}

const char *dal_dsn_host(const dal_dsn *dsn)
{
        return value_or_empty(dsn, DAL__DSN_HOST);
}

uint16_t dal_dsn_port(const dal_dsn *dsn)
{
        return dsn->port;
}

const char *dal_dsn_user(const dal_dsn *dsn)
{
        return value_or_empty(dsn, DAL__DSN_USER);
}

const char *dal_dsn_password(const dal_dsn *dsn)
{
        return dsn->values[DAL__DSN_PASSWORD];
}

const char *dal_dsn_dbname(const dal_dsn *dsn)
{
        return value_or_empty(dsn, DAL__DSN_DBNAME);
}

const char *dal_dsn_get(const dal_dsn *dsn, const char *key)
{
        for (size_t i = 0; i < DAL__DSN_N_KEYS; i++)
                if (strcmp(dal__dsn_keys[i].name, key) == 0)
                        return dsn->values[i];
        return NULL;
}

dal_tls_mode dal_dsn_tls_mode(const dal_dsn *dsn)
{
        return dsn->tls_mode;
}

bool dal_dsn_is_local(const dal_dsn *dsn)
{
        return dsn->local;
}

const char *dal_dsn_redacted(const dal_dsn *dsn)
{
        return dsn->redacted;
}

const char *dal_dsn_tls_name(dal_tls_mode mode)
{
        return (size_t)mode < N_TLS_MODES ? tls_names[mode] : "?";
}
