/* SPDX-License-Identifier: MIT */
#include "base/dsn_impl.h"

#include <string.h>

#include <dal/mem.h>

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

/* Cuts off what stands before the first of `stops`; *piece keeps the rest, that byte included. */
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
                return dal__dsn_no_memory(err);
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

static dal_status set_decoded(dal_dsn *dsn, dal__dsn_key key, struct piece piece, dal_error *err)
{
        char *text;
        dal_status status = decode(piece, dal__dsn_names[key], key == DAL__DSN_PASSWORD, &text, err);

        if (status)
                return status;
        if (key != DAL__DSN_PATH) {
                dal__dsn_set(dsn, key, text);
                return DAL_OK;
        }
        status = dal__dsn_set_path(dsn, text, err);
        dal_mem_wipe(text, strlen(text));
        dal_mem_free(text);
        return status;
}

/* As libpq: an empty part of the authority says nothing. */
static dal_status set_part(dal_dsn *dsn, dal__dsn_key key, struct piece piece, dal_error *err)
{
        return piece.size ? set_decoded(dsn, key, piece, err) : DAL_OK;
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
        status = set_part(dsn, DAL__DSN_USER, part, err);
        if (status == DAL_OK && rest->text[0] == ':') {
                skip(rest, 1);
                part = cut(rest, "@");
                status = set_part(dsn, DAL__DSN_PASSWORD, part, err);
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
                        return dal__dsn_malformed(err, "the [ of an IPv6 address has no ]");
                if (!host.size)
                        return dal__dsn_malformed(err, "the IPv6 address in [] is empty");
                skip(rest, 1);
                if (rest->size && !strchr(":/?,", rest->text[0]))
                        return dal__dsn_malformed(
                                err, "after the ] of an IPv6 address only :port, / or ? may stand");
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
                return dal__dsn_malformed(err, "several hosts are not supported: give one");
        if (has_byte(host, '@'))
                return dal__dsn_malformed(
                        err,
                        "there is a second @ before the host: write an @ of the user or password as %40");
        status = set_part(dsn, DAL__DSN_HOST, host, err);
        return status ? status : set_part(dsn, DAL__DSN_PORT, port, err);
}

/* A key that is not known here may be a driver's own: that is for the driver to say. */
static dal_status set_named(dal_dsn *dsn, const char *name, struct piece piece, dal_error *err)
{
        char *text;
        dal_status status;

        for (size_t i = 0; i < DAL__DSN_N_KEYS; i++)
                if (strcmp(dal__dsn_names[i], name) == 0)
                        return set_decoded(dsn, (dal__dsn_key)i, piece, err);
        status = decode(piece, "value of a key", false, &text, err);
        return status ? status : dal__dsn_set_extra(dsn, name, text, err);
}

static dal_status parse_pair(dal_dsn *dsn, struct piece pair, dal_error *err)
{
        struct piece key = cut(&pair, "=");
        char *name;
        dal_status status;

        if (!pair.size)
                return dal__dsn_malformed(err, "a key after the ? has no =");
        skip(&pair, 1);
        if (has_byte(pair, '='))
                return dal__dsn_malformed(err, "a key after the ? has two =: write one of a value as %3D");
        status = decode(key, "key after the ?", false, &name, err);
        if (status)
                return status;
        status = set_named(dsn, name, pair, err);
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
        struct piece whole, path;
        dal_status status = parse_credentials(dsn, rest, err);

        if (status == DAL_OK)
                status = parse_host(dsn, rest, err);
        if (status)
                return status;
        /*
         * A raw slash or @ cuts a password in two, and its rest would pass for a database name and be shown.
         * Stricter than libpq, which would fail later and say all.
         */
        whole.text = authority;
        whole.size = (size_t)(rest->text - authority);
        if (has_byte(whole, ':') && has_byte(*rest, '@'))
                return dal__dsn_malformed(
                        err, "there is an @ after the host: write / and @ of a password as %2F and %40, "
                             "and an @ in another part as %40");
        if (!rest->size || rest->text[0] != '/')
                return DAL_OK;
        skip(rest, 1);
        path = cut(rest, "?");
        return set_part(dsn, DAL__DSN_PATH, path, err);
}

static dal_status parse_scheme(dal_dsn *dsn, struct piece *rest, dal_error *err)
{
        static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789+.-";
        struct piece scheme = cut(rest, ":");
        bool ok = rest->size && scheme.size && scheme.size <= 32;

        dsn->scheme = dal_mem_strdup(scheme.text, scheme.size);
        if (!dsn->scheme)
                return dal__dsn_no_memory(err);
        for (char *p = dsn->scheme; *p; p++)
                if (*p >= 'A' && *p <= 'Z')
                        *p = (char)(*p - 'A' + 'a');
        if (!ok || strspn(dsn->scheme, letters) != scheme.size || strchr("0123456789+.-", dsn->scheme[0]))
                return dal__dsn_malformed(err, "it must begin with a scheme, as in SCHEME://HOST/DATABASE or "
                                               "SCHEME:FILE; the drivers' names are schemes");
        skip(rest, 1);
        return DAL_OK;
}

dal_status dal__dsn_read(dal_dsn *dsn, const char *url, dal_error *err)
{
        struct piece rest = {url, strlen(url)};
        dal_status status;

        status = parse_scheme(dsn, &rest, err);
        if (status == DAL_OK && rest.size >= 2 && rest.text[0] == '/' && rest.text[1] == '/') {
                skip(&rest, 2);
                status = parse_authority(dsn, &rest, err);
        } else if (status == DAL_OK) {
                struct piece path = cut(&rest, "?");

                dsn->path_only = true;
                status = set_part(dsn, DAL__DSN_PATH, path, err);
        }
        if (status == DAL_OK && rest.size) {
                skip(&rest, 1);
                status = parse_query(dsn, rest, err);
        }
        return status;
}
