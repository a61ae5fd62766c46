/* SPDX-License-Identifier: MIT */
#include "base/dsn_impl.h"

#include <arpa/inet.h>
#include <string.h>

#include <dal/mem.h>
#include <dal/value.h>

const char *const dal__dsn_names[DAL__DSN_N_KEYS] = {
        [DAL__DSN_HOST] = "host",
        [DAL__DSN_PORT] = "port",
        [DAL__DSN_USER] = "user",
        [DAL__DSN_PASSWORD] = "password",
        [DAL__DSN_PATH] = "dbname",
        [DAL__DSN_SSLMODE] = "sslmode",
        [DAL__DSN_SSLROOTCERT] = "sslrootcert",
        [DAL__DSN_SSLCERT] = "sslcert",
        [DAL__DSN_SSLKEY] = "sslkey",
        [DAL__DSN_APPLICATION_NAME] = "application_name",
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

const char *dal__dsn_value(const dal_dsn *dsn, dal__dsn_key key)
{
        return dsn->values[key] ? dsn->values[key] : "";
}

static void drop(char *text)
{
        if (text)
                dal_mem_wipe(text, strlen(text));
        dal_mem_free(text);
}

void dal__dsn_set(dal_dsn *dsn, dal__dsn_key key, char *text)
{
        drop(dsn->values[key]);
        dsn->values[key] = text;
}

dal_status dal__dsn_set_path(dal_dsn *dsn, const char *text, dal_error *err)
{
        size_t n_slashes = dsn->path_only ? 0 : 1;
        char *path = dal_mem_alloc(strlen(text) + n_slashes + 1);

        if (!path)
                return dal__dsn_no_memory(err);
        memcpy(path, "/", n_slashes);
        memcpy(path + n_slashes, text, strlen(text));
        dal__dsn_set(dsn, DAL__DSN_PATH, path);
        return DAL_OK;
}

static dal__dsn_extra *find_extra(const dal_dsn *dsn, const char *name)
{
        dal__dsn_extra *extra = dsn->extras;

        while (extra && strcmp(extra->name, name) != 0)
                extra = extra->next;
        return extra;
}

dal_status dal__dsn_set_extra(dal_dsn *dsn, const char *name, char *text, dal_error *err)
{
        dal__dsn_extra *extra = find_extra(dsn, name), **end = &dsn->extras;

        if (!extra) {
                extra = dal_mem_alloc(sizeof *extra);
                if (extra)
                        extra->name = dal_mem_strdup(name, strlen(name));
                if (!extra || !extra->name) {
                        dal_mem_free(extra);
                        drop(text);
                        return dal__dsn_no_memory(err);
                }
                while (*end)
                        end = &(*end)->next;
                *end = extra;
        }
        drop(extra->value);
        extra->value = text;
        return DAL_OK;
}

static dal_status set_port(dal_dsn *dsn, dal_error *err)
{
        const char *text = dal__dsn_value(dsn, DAL__DSN_PORT);
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

bool dal__dsn_is_local_host(const char *host)
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
        const char *host = dal__dsn_value(dsn, DAL__DSN_HOST), *path = dal__dsn_value(dsn, DAL__DSN_PATH);
        bool is_v6 = strchr(host, ':') != NULL;

        put(w, "://");
        if (dal__dsn_value(dsn, DAL__DSN_USER)[0]) {
                put_encoded(w, dsn->values[DAL__DSN_USER], "");
                put(w, "@");
        }
        if (host[0] != '/') {
                put(w, is_v6 ? "[" : "");
                put_encoded(w, host, is_v6 ? ":" : "");
                put(w, is_v6 ? "]" : "");
        }
        if (dal__dsn_value(dsn, DAL__DSN_PORT)[0]) {
                put(w, ":");
                put(w, dsn->values[DAL__DSN_PORT]);
        }
        if (path[0] && path[1])
                put_encoded(w, path, ":/");
}

/* What stands for a path may also be the rest of a URL whose scheme or slashes were forgotten, password and all. */
static bool may_be_login(const char *path)
{
        return strchr(path, '@') || (path[0] != ':' && strchr(path, ':'));
}

static void put_path(struct writer *w, const dal_dsn *dsn)
{
        const char *path = dal__dsn_value(dsn, DAL__DSN_PATH);
        bool keys_follow =
                dsn->values[DAL__DSN_HOST] || dsn->values[DAL__DSN_PORT] || dsn->values[DAL__DSN_USER];

        put(w, ":");
        if (!dsn->resolved && may_be_login(path)) {
                put(w, "...");
                return;
        }
        if (path[0] == '/' && path[1] && !keys_follow) {
                put(w, "//"); /* the usual way to write it */
        } else if (path[0] == '/' && path[1] == '/') {
                put(w, "%2F"); /* or else it would read as an authority */
                path++;
        }
        put_encoded(w, path, ":/");
}

static bool stands_in_front(const dal_dsn *dsn, size_t key)
{
        if (key == DAL__DSN_PASSWORD || key == DAL__DSN_PATH)
                return true;
        return !dsn->path_only && (key == DAL__DSN_PORT || key == DAL__DSN_USER ||
                                   (key == DAL__DSN_HOST && dal__dsn_value(dsn, DAL__DSN_HOST)[0] != '/'));
}

static void put_pair(struct writer *w, const char *before, const char *name, const char *value)
{
        put(w, before);
        put_encoded(w, name, "");
        put(w, "=");
        put_encoded(w, value, ":/");
}

static dal_status set_redacted(dal_dsn *dsn, dal_error *err)
{
        struct writer w = {NULL, 0};
        size_t room = strlen(dsn->scheme) + 16;
        const char *before = "?";

        for (size_t i = 0; i < DAL__DSN_N_KEYS; i++)
                if (dsn->values[i])
                        room += 3 * strlen(dsn->values[i]) + strlen(dal__dsn_names[i]) + 2;
        for (const dal__dsn_extra *extra = dsn->extras; extra; extra = extra->next)
                room += 3 * (strlen(extra->name) + strlen(extra->value)) + 5;
        w.text = dal_mem_alloc(room);
        if (!w.text)
                return dal__dsn_no_memory(err);
        put(&w, dsn->scheme);
        if (dsn->path_only)
                put_path(&w, dsn);
        else
                put_authority(&w, dsn);
        for (size_t i = 0; i < DAL__DSN_N_KEYS; i++) {
                if (!dsn->values[i] || stands_in_front(dsn, i))
                        continue;
                put_pair(&w, before, dal__dsn_names[i], dsn->values[i]);
                before = "&";
        }
        /* Until a driver knows the key it may be a password's, with a slip of the pen. */
        for (const dal__dsn_extra *extra = dsn->extras; extra; extra = extra->next) {
                put_pair(&w, before, extra->name, dsn->resolved ? extra->value : "...");
                before = "&";
        }
        w.text[w.size] = '\0';
        dsn->redacted = w.text;
        return DAL_OK;
}

dal_status dal__dsn_finish(dal_dsn *dsn, dal_error *err)
{
        const char *host = dal__dsn_value(dsn, DAL__DSN_HOST);
        dal_status status = set_port(dsn, err);

        if (status)
                return status;
        if (strchr(host, ','))
                return dal__dsn_malformed(err, "several hosts are not supported: give one");
        dsn->local = dal__dsn_is_local_host(host);
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
                status = dal__dsn_finish(dsn, err);
        if (status) {
                dal_dsn_free(dsn);
                return status;
        }
        *out = dsn;
        return DAL_OK;
}

void dal_dsn_free(dal_dsn *dsn)
{
        if (!dsn)
                return;
        for (size_t i = 0; i < DAL__DSN_N_KEYS; i++)
                drop(dsn->values[i]);
        while (dsn->extras) {
                dal__dsn_extra *extra = dsn->extras;

                dsn->extras = extra->next;
                drop(extra->value);
                dal_mem_free(extra->name);
                dal_mem_free(extra);
        }
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
        return dal__dsn_value(dsn, DAL__DSN_HOST);
}

uint16_t dal_dsn_port(const dal_dsn *dsn)
{
        return dsn->port;
}

const char *dal_dsn_user(const dal_dsn *dsn)
{
        return dal__dsn_value(dsn, DAL__DSN_USER);
}

const char *dal_dsn_password(const dal_dsn *dsn)
{
        return dsn->values[DAL__DSN_PASSWORD];
}

const char *dal_dsn_dbname(const dal_dsn *dsn)
{
        const char *path = dal__dsn_value(dsn, DAL__DSN_PATH);

        return path[0] == '/' ? path + 1 : path;
}

const char *dal_dsn_path(const dal_dsn *dsn)
{
        return dal__dsn_value(dsn, DAL__DSN_PATH);
}

const char *dal_dsn_get(const dal_dsn *dsn, const char *key)
{
        const dal__dsn_extra *extra = find_extra(dsn, key);

        if (extra)
                return extra->value;
        for (size_t i = 0; i < DAL__DSN_N_KEYS; i++)
                if (strcmp(dal__dsn_names[i], key) == 0 && dsn->values[i])
                        return i == DAL__DSN_PATH ? dal_dsn_dbname(dsn) : dsn->values[i];
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
