/* SPDX-License-Identifier: MIT */
#include <dal/dsn.h>

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include <dal/mem.h>
#include <dal/value.h>

/* Whose URL a key may stand in. */
#define POSTGRES 0x1u
#define MYSQL    0x2u
#define SQLITE   0x4u
#define OTHER    0x8u
#define SERVERS  (POSTGRES | MYSQL | OTHER)
#define ALL      (SERVERS | SQLITE)

enum key {
        KEY_HOST,
        KEY_PORT,
        KEY_USER,
        KEY_PASSWORD,
        KEY_DBNAME,
        KEY_SSLMODE,
        KEY_SSLROOTCERT,
        KEY_SSLCERT,
        KEY_SSLKEY,
        KEY_APPLICATION_NAME,
        KEY_SCHEMA,
        KEY_SOCKET,
        KEY_SERVER_PUBLIC_KEY,
        KEY_CONNECT_TIMEOUT,
        KEY_MODE,
        KEY_CACHE,
        KEY_BUSY_TIMEOUT_MS,
        KEY_JOURNAL_MODE,
        KEY_SYNCHRONOUS,
        KEY_FOREIGN_KEYS,
        KEY_STATEMENT_MODE,
        KEY_FAKE,
        N_KEYS
};

static const struct {
        const char *name;
        unsigned families;
} keys[N_KEYS] = {
        [KEY_HOST] = {"host", SERVERS},
        [KEY_PORT] = {"port", SERVERS},
        [KEY_USER] = {"user", SERVERS},
        [KEY_PASSWORD] = {"password", SERVERS},
        [KEY_DBNAME] = {"dbname", ALL},
        [KEY_SSLMODE] = {"sslmode", ALL},
        [KEY_SSLROOTCERT] = {"sslrootcert", SERVERS},
        [KEY_SSLCERT] = {"sslcert", SERVERS},
        [KEY_SSLKEY] = {"sslkey", SERVERS},
        [KEY_APPLICATION_NAME] = {"application_name", ALL},
        [KEY_SCHEMA] = {"schema", POSTGRES | OTHER},
        [KEY_SOCKET] = {"socket", MYSQL | OTHER},
        [KEY_SERVER_PUBLIC_KEY] = {"server_public_key", MYSQL | OTHER},
        [KEY_CONNECT_TIMEOUT] = {"connect_timeout", ALL},
        /* of single drivers; the core holds them against the driver's own list */
        [KEY_MODE] = {"mode", SQLITE | OTHER},
        [KEY_CACHE] = {"cache", SQLITE | OTHER},
        [KEY_BUSY_TIMEOUT_MS] = {"busy_timeout_ms", SQLITE | OTHER},
        [KEY_JOURNAL_MODE] = {"journal_mode", SQLITE | OTHER},
        [KEY_SYNCHRONOUS] = {"synchronous", SQLITE | OTHER},
        [KEY_FOREIGN_KEYS] = {"foreign_keys", SQLITE | OTHER},
        [KEY_STATEMENT_MODE] = {"statement_mode", ALL},
        [KEY_FAKE] = {"fake", ALL},
};

struct dal_dsn {
        char *scheme;
        char *values[N_KEYS]; /* decoded; NULL when not given */
        char *redacted;
        uint16_t port;
        bool path_only; /* "sqlite:FILE": no authority */
        bool local;
        dal_tls_mode tls_mode;
};

static const char *const tls_names[] = {
        [DAL_TLS_OFF] = "off",
        [DAL_TLS_REQUIRE] = "require",
        [DAL_TLS_VERIFY_CA] = "verify-ca",
        [DAL_TLS_VERIFY_FULL] = "verify-full",
};
#define N_TLS_MODES (sizeof tls_names / sizeof tls_names[0])

static dal_status no_memory(dal_error *err)
{
        return dal_error_set(err, DAL_CLASS_NO_MEMORY, "no memory for a database URL");
}

static bool is_scheme(const dal_dsn *dsn, const char *scheme)
{
        return strcmp(dsn->scheme, scheme) == 0;
}

static unsigned family(const dal_dsn *dsn)
{
        if (is_scheme(dsn, "postgres"))
                return POSTGRES;
        if (is_scheme(dsn, "mysql") || is_scheme(dsn, "mariadb"))
                return MYSQL;
        return is_scheme(dsn, "sqlite") ? SQLITE : OTHER;
}

static const char *value_or_empty(const dal_dsn *dsn, enum key key)
{
        return dsn->values[key] ? dsn->values[key] : "";
}

static void drop(char *text)
{
        if (text)
                dal_mem_wipe(text, strlen(text));
        dal_mem_free(text);
}

/* Takes over `text`. */
static void set_value(dal_dsn *dsn, enum key key, char *text)
{
        drop(dsn->values[key]);
        dsn->values[key] = text;
}

static int hex_digit(char c)
{
        if (c >= '0' && c <= '9')
                return c - '0';
        if (c >= 'a' && c <= 'f')
                return c - 'a' + 10;
        if (c >= 'A' && c <= 'F')
                return c - 'A' + 10;
        return -1;
}

/* A piece of the URL. */
struct piece {
        const char *text;
        size_t size;
};

static bool has_byte(struct piece piece, char c)
{
        return piece.size && memchr(piece.text, c, piece.size);
}

/* Cuts off what stands before the first byte that is in `stops`; *piece keeps the rest, that byte included. */
static struct piece cut(struct piece *piece, const char *stops)
{
        struct piece head = *piece;

        head.size = 0;
        while (head.size < piece->size && !strchr(stops, head.text[head.size]))
                head.size++;
        piece->text += head.size;
        piece->size -= head.size;
        return head;
}

static void skip(struct piece *piece, size_t size)
{
        piece->text += size;
        piece->size -= size;
}

/* Decodes %XX. `part` names the piece in errors, which never show its text: it may be of a password. */
static dal_status decode(struct piece piece, const char *part, bool any_byte, char **out, dal_error *err)
{
        char *text = dal_mem_alloc(piece.size + 1);
        const char *why = NULL;
        size_t n = 0;

        if (!text)
                return no_memory(err);
        for (size_t i = 0; i < piece.size && !why; i++) {
                unsigned char c = (unsigned char)piece.text[i];
                bool encoded = c == '%';

                if (encoded) {
                        int high = i + 2 < piece.size ? hex_digit(piece.text[i + 1]) : -1;
                        int low = i + 2 < piece.size ? hex_digit(piece.text[i + 2]) : -1;

                        if (high < 0 || low < 0) {
                                why = "% must be followed by two hexadecimal digits; write a percent sign as "
                                      "%25";
                                break;
                        }
                        c = (unsigned char)(high * 16 + low);
                        i += 2;
                }
                if (c == 0)
                        why = "%00 is not allowed";
                else if ((c < 0x20 || c == 0x7F) && !(any_byte && encoded))
                        why = "a control character or line break is not allowed";
                text[n++] = (char)c;
        }
        if (why) {
                dal_mem_wipe(text, piece.size);
                dal_mem_free(text);
                return dal_error_set(err, DAL_CLASS_ARGUMENT, "the %s in the database URL is malformed: %s",
                                     part, why);
        }
        *out = text;
        return DAL_OK;
}

static dal_status set_decoded(dal_dsn *dsn, enum key key, struct piece piece, dal_error *err)
{
        char *text;
        dal_status status = decode(piece, keys[key].name, key == KEY_PASSWORD, &text, err);

        if (status == DAL_OK)
                set_value(dsn, key, text);
        return status;
}

/* As libpq: an empty part of the authority says nothing. */
static dal_status set_part(dal_dsn *dsn, enum key key, struct piece piece, dal_error *err)
{
        return piece.size ? set_decoded(dsn, key, piece, err) : DAL_OK;
}

static dal_status malformed(dal_error *err, const char *why)
{
        return dal_error_set(err, DAL_CLASS_ARGUMENT, "the database URL is malformed: %s", why);
}

/* Reads "user:password@" where there is one. The first @ ends it, and only before the first slash. */
static dal_status parse_credentials(dal_dsn *dsn, struct piece *rest, dal_error *err)
{
        struct piece scan = *rest, part;
        dal_status status;

        cut(&scan, "@/");
        if (!scan.size || scan.text[0] != '@')
                return DAL_OK;
        part = cut(rest, ":@");
        status = set_part(dsn, KEY_USER, part, err);
        if (status == DAL_OK && rest->text[0] == ':') {
                skip(rest, 1);
                part = cut(rest, "@");
                status = set_part(dsn, KEY_PASSWORD, part, err);
        }
        skip(rest, 1);
        return status;
}

static dal_status parse_host(dal_dsn *dsn, struct piece *rest, dal_error *err)
{
        struct piece host, port;
        dal_status status;

        if (rest->size && rest->text[0] == '[') {
                skip(rest, 1);
                host = cut(rest, "]");
                if (!rest->size)
                        return malformed(err, "the [ of an IPv6 address has no ]");
                if (!host.size)
                        return malformed(err, "the IPv6 address in [] is empty");
                skip(rest, 1);
                if (rest->size && !strchr(":/?,", rest->text[0]))
                        return malformed(err, "after the ] of an IPv6 address only :port, / or ? may stand");
        } else {
                host = cut(rest, ":/?,");
        }
        port.text = rest->text;
        port.size = 0;
        if (rest->size && rest->text[0] == ':') {
                skip(rest, 1);
                port = cut(rest, "/?,");
        }
        if (rest->size && rest->text[0] == ',')
                return malformed(err, "several hosts are not supported: give one");
        if (has_byte(host, '@'))
                return malformed(
                        err,
                        "there is a second @ before the host: write an @ of the user or password as %40");
        status = set_part(dsn, KEY_HOST, host, err);
        return status ? status : set_part(dsn, KEY_PORT, port, err);
}

static dal_status refuse_key(const dal_dsn *dsn, const char *name, dal_error *err)
{
        char known[400];
        size_t n = 0;

        for (size_t i = 0; i < N_KEYS; i++) {
                size_t size = strlen(keys[i].name);

                if (!(keys[i].families & family(dsn)) || n + size + 2 > sizeof known)
                        continue;
                if (n)
                        known[n++] = ' ';
                memcpy(known + n, keys[i].name, size);
                n += size;
        }
        known[n] = '\0';
        return dal_error_set(err, DAL_CLASS_ARGUMENT, "a %.16s URL has no key \"%.40s\": known are %s",
                             dsn->scheme, name, known);
}

static dal_status parse_pair(dal_dsn *dsn, struct piece pair, dal_error *err)
{
        struct piece key = cut(&pair, "=");
        char *name;
        dal_status status;

        if (!pair.size)
                return malformed(err, "a key after the ? has no =");
        skip(&pair, 1);
        if (has_byte(pair, '='))
                return malformed(err, "a key after the ? has two =: write one of a value as %3D");
        status = decode(key, "key after the ?", false, &name, err);
        if (status)
                return status;
        for (size_t i = 0; i < N_KEYS; i++) {
                if (strcmp(keys[i].name, name) == 0 && (keys[i].families & family(dsn))) {
                        dal_mem_free(name);
                        return set_decoded(dsn, (enum key)i, pair, err);
                }
        }
        status = refuse_key(dsn, name, err);
        dal_mem_free(name);
        return status;
}

static dal_status parse_query(dal_dsn *dsn, struct piece query, dal_error *err)
{
        dal_status status = DAL_OK;

        while (query.size && status == DAL_OK) {
                struct piece pair = cut(&query, "&");

                if (query.size)
                        skip(&query, 1);
                status = parse_pair(dsn, pair, err);
        }
        return status;
}

/* Source: PostgreSQL 15, interfaces/libpq/fe-connect.c, conninfo_uri_parse_options and _params. */
static dal_status parse_authority(dal_dsn *dsn, struct piece *rest, dal_error *err)
{
        const char *authority = rest->text;
        struct piece whole, dbname;
        dal_status status = parse_credentials(dsn, rest, err);

        if (status == DAL_OK)
                status = parse_host(dsn, rest, err);
        if (status)
                return status;
        /*
         * A password with a raw slash or @ is cut in two, and its rest would pass for a database name and be shown.
         * Stricter than libpq, which would fail later and say all.
         */
        whole.text = authority;
        whole.size = (size_t)(rest->text - authority);
        if (has_byte(whole, ':') && has_byte(*rest, '@'))
                return malformed(err,
                                 "there is an @ after the host: write / and @ of a password as %2F and %40, "
                                 "and an @ in another part as %40");
        if (!rest->size || rest->text[0] != '/')
                return DAL_OK;
        skip(rest, 1);
        dbname = cut(rest, "?");
        return set_part(dsn, KEY_DBNAME, dbname, err);
}

/* "sqlite:FILE"; with two slashes in front an authority would follow, which a file does not have. */
static dal_status parse_path(dal_dsn *dsn, struct piece *rest, dal_error *err)
{
        struct piece path;

        dsn->path_only = true;
        if (rest->size >= 2 && rest->text[0] == '/' && rest->text[1] == '/') {
                skip(rest, 2);
                if (!rest->size || rest->text[0] != '/')
                        return malformed(
                                err, "after sqlite:// a host would stand, which a file does not have: write "
                                     "sqlite:FILE, or sqlite:///FILE for a path from the root");
        }
        path = cut(rest, "?");
        /* Only a file's name may hold an @; elsewhere this is rather "user:password@host" without its scheme. */
        if (!is_scheme(dsn, "sqlite") && has_byte(path, '@'))
                return malformed(err, "it begins with neither postgres://, mysql://, mariadb:// nor sqlite:");
        return set_part(dsn, KEY_DBNAME, path, err);
}

static dal_status parse_scheme(dal_dsn *dsn, struct piece *rest, dal_error *err)
{
        static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789+.-";
        struct piece scheme = cut(rest, ":");
        bool ok = rest->size && scheme.size && scheme.size <= 32;

        dsn->scheme = dal_mem_strdup(scheme.text, scheme.size);
        if (!dsn->scheme)
                return no_memory(err);
        for (char *p = dsn->scheme; *p; p++)
                if (*p >= 'A' && *p <= 'Z')
                        *p = (char)(*p - 'A' + 'a');
        if (!ok || strspn(dsn->scheme, letters) != scheme.size || strchr("0123456789+.-", dsn->scheme[0]))
                return malformed(err,
                                 "it must begin with a scheme: postgres://, mysql://, mariadb:// or sqlite:");
        if (strcmp(dsn->scheme, "postgresql") == 0)
                dsn->scheme[strlen("postgres")] = '\0';
        skip(rest, 1);
        return DAL_OK;
}

static dal_status set_port(dal_dsn *dsn, dal_error *err)
{
        const char *text = value_or_empty(dsn, KEY_PORT);
        uint32_t port = 0;
        size_t size = strlen(text);

        for (size_t i = 0; i < size && size <= 5; i++)
                port = text[i] >= '0' && text[i] <= '9' ? port * 10 + (uint32_t)(text[i] - '0')
                                                        : UINT16_MAX + 1u;
        if (size > 5 || port > UINT16_MAX || (size && port == 0))
                return malformed(err, "the port must be a number from 1 to 65535");
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
        const char *text = dsn->values[KEY_SSLMODE];

        dsn->tls_mode = dsn->local ? DAL_TLS_OFF : DAL_TLS_VERIFY_FULL;
        if (!text)
                return DAL_OK;
        if (strcmp(text, "disable") == 0) {
                char *off = dal_mem_strdup("off", 3);

                if (!off)
                        return no_memory(err);
                set_value(dsn, KEY_SSLMODE, off);
                text = off;
        }
        for (size_t i = 0; i < N_TLS_MODES; i++) {
                if (strcmp(text, tls_names[i]) == 0) {
                        dsn->tls_mode = (dal_tls_mode)i;
                        return DAL_OK;
                }
        }
        return malformed(err, "sslmode must be off, require, verify-ca or verify-full");
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
        const char *host = value_or_empty(dsn, KEY_HOST);
        bool is_v6 = strchr(host, ':') != NULL;

        put(w, "://");
        if (value_or_empty(dsn, KEY_USER)[0]) {
                put_encoded(w, dsn->values[KEY_USER], "");
                put(w, "@");
        }
        if (host[0] != '/') {
                put(w, is_v6 ? "[" : "");
                put_encoded(w, host, is_v6 ? ":" : "");
                put(w, is_v6 ? "]" : "");
        }
        if (value_or_empty(dsn, KEY_PORT)[0]) {
                put(w, ":");
                put(w, dsn->values[KEY_PORT]);
        }
        if (value_or_empty(dsn, KEY_DBNAME)[0]) {
                put(w, "/");
                put_encoded(w, dsn->values[KEY_DBNAME], ":/");
        }
}

static void put_path(struct writer *w, const dal_dsn *dsn)
{
        const char *path = value_or_empty(dsn, KEY_DBNAME);

        if (path[0] == '/' && is_scheme(dsn, "sqlite")) {
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

        for (size_t i = 0; i < N_KEYS; i++)
                if (dsn->values[i])
                        room += 3 * strlen(dsn->values[i]) + strlen(keys[i].name) + 2;
        w.text = dal_mem_alloc(room);
        if (!w.text)
                return no_memory(err);
        put(&w, dsn->scheme);
        if (dsn->path_only)
                put_path(&w, dsn);
        else
                put_authority(&w, dsn);
        for (size_t i = 0; i < N_KEYS; i++) {
                bool in_front = i == KEY_PORT || i == KEY_USER || i == KEY_PASSWORD || i == KEY_DBNAME ||
                                (i == KEY_HOST && value_or_empty(dsn, KEY_HOST)[0] != '/');

                if (!dsn->values[i] || in_front)
                        continue;
                put(&w, before);
                put(&w, keys[i].name);
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
        const char *host = value_or_empty(dsn, KEY_HOST);
        bool socket = value_or_empty(dsn, KEY_SOCKET)[0] != '\0';
        dal_status status = set_port(dsn, err);

        if (status)
                return status;
        if (strchr(host, ','))
                return malformed(err, "several hosts are not supported: give one");
        /* Else a host would be reached without TLS because a socket was named too. */
        if (socket && !is_local_host(host))
                return malformed(err, "it names both a socket and another machine's host: leave one out");
        if (is_scheme(dsn, "sqlite") && !value_or_empty(dsn, KEY_DBNAME)[0])
                return malformed(err,
                                 "it names no file: write sqlite:FILE, sqlite:///FILE or sqlite::memory:");
        dsn->local = dsn->path_only || is_local_host(host);
        status = set_tls_mode(dsn, err);
        return status ? status : set_redacted(dsn, err);
}

dal_status dal_dsn_parse(const char *url, dal_dsn **out, dal_error *err)
{
        struct piece rest = {url, url ? strlen(url) : 0};
        dal_dsn *dsn;
        dal_status status;

        if (!url || !out)
                return dal_error_set(err, DAL_CLASS_ARGUMENT,
                                     "dal_dsn_parse() needs a URL and a place for the result");
        dsn = dal_mem_alloc(sizeof *dsn);
        if (!dsn)
                return no_memory(err);
        status = parse_scheme(dsn, &rest, err);
        if (status == DAL_OK) {
                bool has_authority = rest.size >= 2 && rest.text[0] == '/' && rest.text[1] == '/';

                if (is_scheme(dsn, "sqlite") || (!has_authority && family(dsn) == OTHER)) {
                        status = parse_path(dsn, &rest, err);
                } else if (has_authority) {
                        skip(&rest, 2);
                        status = parse_authority(dsn, &rest, err);
                } else {
                        status = malformed(
                                err, "two slashes must follow the scheme, as in postgres://host/database");
                }
        }
        if (status == DAL_OK && rest.size) {
                skip(&rest, 1);
                status = parse_query(dsn, rest, err);
        }
        if (status == DAL_OK)
                status = finish(dsn, err);
        if (status) {
                dal_dsn_free(dsn);
                return status;
        }
        *out = dsn;
        return DAL_OK;
}

static bool inherit(dal_dsn *dsn, const dal_dsn *base, enum key key)
{
        char *text;

        if (dsn->values[key] || !base->values[key])
                return true;
        text = dal_mem_strdup(base->values[key], strlen(base->values[key]));
        set_value(dsn, key, text);
        return text != NULL;
}

/* Takes from `base` what `dsn` leaves open; false when there is no memory. */
static bool inherit_all(dal_dsn *dsn, const dal_dsn *base)
{
        bool ok = true;

        /* A password belongs to its user, and a key to its certificate. */
        if (!dsn->values[KEY_USER] || strcmp(dsn->values[KEY_USER], value_or_empty(base, KEY_USER)) == 0)
                ok = inherit(dsn, base, KEY_USER) && inherit(dsn, base, KEY_PASSWORD);
        if (!dsn->values[KEY_SSLCERT] && !dsn->values[KEY_SSLKEY])
                ok = ok && inherit(dsn, base, KEY_SSLCERT) && inherit(dsn, base, KEY_SSLKEY);
        /* What is good enough on one machine must not weaken the way to another in silence. */
        if (!base->local || is_local_host(value_or_empty(dsn, KEY_HOST)) ||
            base->tls_mode == DAL_TLS_VERIFY_FULL)
                ok = ok && inherit(dsn, base, KEY_SSLMODE);
        return ok && inherit(dsn, base, KEY_SSLROOTCERT) && inherit(dsn, base, KEY_SERVER_PUBLIC_KEY) &&
               inherit(dsn, base, KEY_APPLICATION_NAME) && inherit(dsn, base, KEY_CONNECT_TIMEOUT);
}

/* A relative file is looked for where the base's file is, wherever the process was started. */
static bool resolve_file(dal_dsn *dsn, const dal_dsn *base)
{
        const char *file = value_or_empty(dsn, KEY_DBNAME);
        const char *base_file = value_or_empty(base, KEY_DBNAME);
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
        set_value(dsn, KEY_DBNAME, path);
        return true;
}

static bool copy_values(dal_dsn *copy, const dal_dsn *dsn)
{
        copy->path_only = dsn->path_only;
        copy->scheme = dal_mem_strdup(dsn->scheme, strlen(dsn->scheme));
        for (size_t i = 0; i < N_KEYS; i++)
                if (!inherit(copy, dsn, (enum key)i))
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
                return no_memory(err);
        ok = copy_values(copy, dsn);
        if (ok && dbname) {
                set_value(copy, KEY_DBNAME, dal_mem_strdup(dbname, strlen(dbname)));
                ok = copy->values[KEY_DBNAME] != NULL;
        }
        if (ok && base && strcmp(dsn->scheme, base->scheme) == 0) {
                if (base != dsn)
                        ok = inherit_all(copy, base);
                /* A plain copy keeps its file; it stands where the base stands already. */
                if (ok && is_scheme(dsn, "sqlite") && (base != dsn || dbname))
                        ok = resolve_file(copy, base);
        }
        status = ok ? finish(copy, err) : no_memory(err);
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
        for (size_t i = 0; i < N_KEYS; i++)
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
        return value_or_empty(dsn, KEY_HOST);
}

uint16_t dal_dsn_port(const dal_dsn *dsn)
{
        return dsn->port;
}

const char *dal_dsn_user(const dal_dsn *dsn)
{
        return value_or_empty(dsn, KEY_USER);
}

const char *dal_dsn_password(const dal_dsn *dsn)
{
        return dsn->values[KEY_PASSWORD];
}

const char *dal_dsn_dbname(const dal_dsn *dsn)
{
        return value_or_empty(dsn, KEY_DBNAME);
}

const char *dal_dsn_get(const dal_dsn *dsn, const char *key)
{
        for (size_t i = 0; i < N_KEYS; i++)
                if (strcmp(keys[i].name, key) == 0)
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
