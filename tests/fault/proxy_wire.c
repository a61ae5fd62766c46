/* SPDX-License-Identifier: MIT */
#include "proxy_wire.h"

#include <string.h>

#define CANCEL_REQUEST 80877102u

enum {
        COM_QUERY = 0x03,
        COM_STMT_PREPARE = 0x16,
        COM_STMT_EXECUTE = 0x17
};

/* ---- messages ------------------------------------------------------------------------------------ */

static uint32_t big_endian(const unsigned char *at)
{
        return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static size_t header_size(const struct wire *w, const struct wire_stream *stream)
{
        return w->protocol == WIRE_MYSQL || !stream->framed ? 4 : 5;
}

/*
 * Source: PostgreSQL, protocol-message-formats: the length counts itself. MySQL,
 * page_protocol_basic_packets
 */
static size_t body_size(const struct wire *w, const struct wire_stream *stream)
{
        const unsigned char *h = stream->header;
        uint32_t size;

        if (w->protocol == WIRE_MYSQL)
                return (size_t)h[0] | (size_t)h[1] << 8 | (size_t)h[2] << 16;
        size = big_endian(stream->framed ? h + 1 : h);
        return size < 4 ? 0 : size - 4;
}

static void keep(struct wire_stream *stream, unsigned char byte)
{
        if (stream->n_text < sizeof stream->text - 1)
                stream->text[stream->n_text++] = byte;
        if (stream->n_tail == sizeof stream->tail) {
                memmove(stream->tail, stream->tail + 1, sizeof stream->tail - 1);
                stream->n_tail--;
        }
        stream->tail[stream->n_tail++] = byte;
}

/* Takes the byte at `i`; true when it is the last one of a message. */
static bool step(const struct wire *w, struct wire_stream *stream, const unsigned char *bytes, size_t i)
{
        if (stream->n_header < header_size(w, stream)) {
                if (stream->n_header == 0) {
                        stream->begins_at = i;
                        stream->n_text = stream->n_tail = 0;
                        memset(stream->text, 0, sizeof stream->text);
                }
                stream->header[stream->n_header++] = bytes[i];
                if (stream->n_header < header_size(w, stream))
                        return false;
                stream->left = body_size(w, stream);
                return stream->left == 0;
        }
        keep(stream, bytes[i]);
        return --stream->left == 0;
}

/* ---- what messages say --------------------------------------------------------------------------- */

static bool starts_with(const char *text, const char *word)
{
        return strncmp(text, word, strlen(word)) == 0;
}

static void postgres_up(struct wire *w, struct wire_piece *piece)
{
        struct wire_stream *s = &w->up;
        const char *text = (const char *)s->text;
        unsigned char type = s->header[0];

        if (!s->framed) {
                /* Requests for encryption come before the startup message and look like it. */
                s->framed = s->n_text < 4 || big_endian(s->text) < CANCEL_REQUEST;
                return;
        }
        if (type == 'p' || type == 'X')
                return;
        w->logged_in = true;
        if (type == 'Q' || type == 'S')
                w->n_unanswered++;
        if (type == 'P')
                text += strlen(text) + 1; /* behind the statement's name */
        if (type != 'Q' && type != 'P')
                return;
        if (starts_with(text, "BEGIN")) {
                w->in_tx = piece->work = true;
                w->op = 0;
        }
        if (strcmp(text, "COMMIT") == 0) {
                piece->commit = piece->work = true;
                piece->commit_at = s->begins_at;
        }
}

static void mysql_query(struct wire *w, struct wire_piece *piece, const char *text)
{
        const struct wire_stream *s = &w->up;

        if (starts_with(text, "SET autocommit="))
                w->no_autocommit = text[strlen("SET autocommit=")] == '0';
        if (starts_with(text, "SET ") || starts_with(text, "KILL") || starts_with(text, "RESET"))
                return;
        if (starts_with(text, "ROLLBACK") && !starts_with(text, "ROLLBACK TO")) {
                w->in_tx = false;
                return;
        }
        piece->work = true;
        if (starts_with(text, "START TRANSACTION"))
                w->in_tx = true;
        if (s->n_tail >= 6 && memcmp(s->tail + s->n_tail - 6, "COMMIT", 6) == 0) {
                piece->commit = true;
                piece->commit_at = s->begins_at;
        }
}

static void mysql_up(struct wire *w, struct wire_piece *piece)
{
        const struct wire_stream *s = &w->up;
        const char *text = (const char *)s->text + 1;

        if (s->header[3] != 0)
                return; /* a further packet of the login */
        w->logged_in = true;
        w->n_unanswered = 1;
        /* Query attributes: none, in one set. Source: MySQL, page_protocol_com_query */
        if (s->text[0] == COM_QUERY && text[0] == 0 && text[1] == 1)
                text += 2;
        if (s->text[0] == COM_QUERY)
                mysql_query(w, piece, text);
        else
                piece->work = s->text[0] == COM_STMT_PREPARE || s->text[0] == COM_STMT_EXECUTE;
        if (piece->work && w->no_autocommit)
                w->in_tx = true;
}

static int digit(unsigned char c)
{
        return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool number(const unsigned char *at, size_t n, uint64_t *out)
{
        *out = 0;
        for (size_t i = 0; i < n; i++) {
                if (digit(at[i]) < 0)
                        return false;
                *out = *out << 4 | (uint64_t)digit(at[i]);
        }
        return true;
}

/* A piece holds whole requests nearly always, so a mark that is cut in two is let go. */
static void find_mark(struct wire *w, const unsigned char *bytes, size_t size, struct wire_piece *piece)
{
        uint64_t op, attempt;

        for (size_t i = 0; i + 22 <= size; i++) {
                if (bytes[i] != 'o' || bytes[i + 1] != 'p' || bytes[i + 2] != ':' || bytes[i + 19] != ':')
                        continue;
                if (!number(bytes + i + 3, 16, &op) || !number(bytes + i + 20, 2, &attempt))
                        continue;
                w->op = op;
                w->attempt = (unsigned)attempt;
                piece->work = true;
                return;
        }
}

struct wire_piece wire_up(struct wire *w, const unsigned char *bytes, size_t size)
{
        struct wire_piece piece = {false, 0, false};

        if (w->protocol == WIRE_MYSQL && !w->in_tx)
                w->op = 0;
        w->up.begins_at = 0;
        for (size_t i = 0; i < size; i++) {
                if (!step(w, &w->up, bytes, i))
                        continue;
                if (w->protocol == WIRE_MYSQL)
                        mysql_up(w, &piece);
                else
                        postgres_up(w, &piece);
                w->up.n_header = 0;
        }
        find_mark(w, bytes, size, &piece);
        return piece;
}

static void postgres_down(struct wire *w)
{
        const struct wire_stream *s = &w->down;

        if (s->header[0] != 'Z')
                return;
        if (w->n_unanswered)
                w->n_unanswered--;
        w->in_tx = s->text[0] != 'I';
        if (!w->in_tx) {
                w->commit_sent = false;
                w->op = 0;
        }
}

void wire_down(struct wire *w, const unsigned char *bytes, size_t size)
{
        if (w->protocol == WIRE_MYSQL) {
                w->n_unanswered = 0;
                if (w->commit_sent)
                        w->in_tx = w->commit_sent = false;
                return;
        }
        w->down.framed = true;
        for (size_t i = 0; i < size; i++) {
                if (step(w, &w->down, bytes, i)) {
                        postgres_down(w);
                        w->down.n_header = 0;
                }
        }
}

bool wire_in_flight(const struct wire *w)
{
        return w->in_tx || w->op != 0;
}
