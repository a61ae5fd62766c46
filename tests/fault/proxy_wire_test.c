/* SPDX-License-Identifier: MIT */
/* What the proxy makes of the bytes of the two protocols, whole and in pieces. */

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "proxy_wire.h"

struct bytes {
        unsigned char at[2048];
        size_t n;
};

static void put(struct bytes *b, const void *bytes, size_t size)
{
        assert_true(b->n + size <= sizeof b->at);
        memcpy(b->at + b->n, bytes, size);
        b->n += size;
}

/* Source: PostgreSQL, protocol-message-formats */
static void postgres(struct bytes *b, char type, const char *body, size_t size)
{
        unsigned char length[4] = {0, 0, (unsigned char)((size + 4) >> 8), (unsigned char)(size + 4)};

        if (type)
                put(b, &type, 1);
        put(b, length, 4);
        put(b, body, size);
}

/* Source: MySQL, page_protocol_basic_packets */
static void mysql(struct bytes *b, unsigned char number, const char *body, size_t size)
{
        unsigned char header[4] = {(unsigned char)size, (unsigned char)(size >> 8), 0, number};

        put(b, header, 4);
        put(b, body, size);
}

#define POSTGRES(b, type, literal) postgres(b, type, literal, sizeof(literal) - 1)
#define MYSQL(b, number, literal)  mysql(b, number, literal, sizeof(literal) - 1)

/* Everything at once, or byte by byte; where COMMIT began is told by the last piece that had one. */
static struct wire_piece feed(struct wire *w, const struct bytes *b, size_t size_of_piece)
{
        struct wire_piece all = {false, 0, false};

        for (size_t i = 0; i < b->n; i += size_of_piece) {
                size_t size = b->n - i < size_of_piece ? b->n - i : size_of_piece;
                struct wire_piece piece = wire_up(w, b->at + i, size);

                all.work |= piece.work;
                if (piece.commit) {
                        all.commit = true;
                        all.commit_at = piece.commit_at;
                }
        }
        return all;
}

static void login_to_postgres(struct wire *w)
{
        struct bytes b = {.n = 0};

        POSTGRES(&b, 0, "\0\3\0\0user\0bank\0\0");
        POSTGRES(&b, 'p', "SCRAM-SHA-256\0....");
        assert_false(feed(w, &b, b.n).work);
        assert_false(w->logged_in);
}

static void wire__finds_postgres_commit_in_a_pipeline(void **state)
{
        (void)state;
        for (size_t piece = 1; piece < 1000; piece += 998) {
                struct wire w = {.protocol = WIRE_POSTGRES};
                struct bytes b = {.n = 0};
                struct wire_piece found;
                size_t commit_at;

                login_to_postgres(&w);
                POSTGRES(&b, 'P', "\0BEGIN\0\0\0");
                POSTGRES(&b, 'B', "\0\0\0\0op:0123456789abcdef:02");
                commit_at = b.n;
                POSTGRES(&b, 'P', "\0COMMIT\0\0\0");
                POSTGRES(&b, 'S', "");
                found = feed(&w, &b, piece);
                assert_true(found.commit);
                assert_true(w.logged_in);
                assert_true(w.in_tx);
                if (piece == 1)
                        continue; /* the mark is only found whole */
                assert_int_equal(found.commit_at, commit_at);
                assert_true(w.op == UINT64_C(0x0123456789abcdef));
                assert_int_equal(w.attempt, 2);
        }
}

static void wire__knows_when_a_postgres_transaction_is_over(void **state)
{
        struct wire w = {.protocol = WIRE_POSTGRES};
        struct bytes b = {.n = 0}, open = {.n = 0}, idle = {.n = 0};

        (void)state;
        login_to_postgres(&w);
        POSTGRES(&b, 'Q', "BEGIN\0");
        feed(&w, &b, 1);
        POSTGRES(&open, 'C', "BEGIN\0");
        POSTGRES(&open, 'Z', "T");
        wire_down(&w, open.at, open.n);
        assert_true(wire_in_flight(&w));
        POSTGRES(&idle, 'C', "Z\0I\0");
        wire_down(&w, idle.at, idle.n);
        assert_true(wire_in_flight(&w));
        POSTGRES(&idle, 'Z', "I");
        wire_down(&w, idle.at + idle.n - 6, 3);
        wire_down(&w, idle.at + idle.n - 3, 3);
        assert_false(wire_in_flight(&w));
}

static void wire__a_word_in_a_value_is_no_commit(void **state)
{
        struct wire w = {.protocol = WIRE_POSTGRES}, v = {.protocol = WIRE_MYSQL};
        struct bytes b = {.n = 0}, c = {.n = 0};

        (void)state;
        login_to_postgres(&w);
        POSTGRES(&b, 'B', "\0\0COMMIT\0");
        POSTGRES(&b, 'P', "s1\0SELECT 'COMMIT'\0\0\0");
        assert_false(feed(&w, &b, b.n).commit);
        MYSQL(&c, 0, "\x17\1\0\0\0COMMIT");
        MYSQL(&c, 0, "\x03SELECT 'COMMIT'");
        assert_false(feed(&v, &c, c.n).commit);
}

static void wire__finds_mysql_commit_alone_and_behind_another(void **state)
{
        (void)state;
        for (size_t piece = 1; piece < 1000; piece += 998) {
                struct wire w = {.protocol = WIRE_MYSQL};
                struct bytes login = {.n = 0}, b = {.n = 0}, last = {.n = 0};

                MYSQL(&login, 1, "\x03...bank");
                assert_false(feed(&w, &login, piece).work);
                assert_false(w.logged_in);
                MYSQL(&b, 0, "\x03START TRANSACTION");
                assert_true(feed(&w, &b, piece).work);
                assert_true(wire_in_flight(&w));
                MYSQL(&last, 0, "\x03INSERT INTO t VALUES (1); COMMIT");
                assert_true(feed(&w, &last, piece).commit);
                w.commit_sent = true;
                wire_down(&w, (const unsigned char *)"\1\0\0\1\0", 5);
                assert_false(wire_in_flight(&w));
                last.n = 0;
                MYSQL(&last, 0, "\x03\0\1COMMIT");
                assert_true(feed(&w, &last, piece).commit);
        }
}

static void wire__without_autocommit_every_mysql_statement_opens(void **state)
{
        struct wire w = {.protocol = WIRE_MYSQL};
        struct bytes b = {.n = 0}, c = {.n = 0}, d = {.n = 0};

        (void)state;
        MYSQL(&b, 0, "\x03SET autocommit=0");
        assert_false(feed(&w, &b, b.n).work);
        assert_false(wire_in_flight(&w));
        MYSQL(&c, 0, "\x17\1\0\0\0");
        assert_true(feed(&w, &c, c.n).work);
        assert_true(wire_in_flight(&w));
        MYSQL(&d, 0, "\x03ROLLBACK TO SAVEPOINT dal_1");
        feed(&w, &d, d.n);
        assert_true(wire_in_flight(&w));
        d.n = 0;
        MYSQL(&d, 0, "\x03ROLLBACK");
        feed(&w, &d, d.n);
        assert_false(wire_in_flight(&w));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(wire__finds_postgres_commit_in_a_pipeline),
                cmocka_unit_test(wire__knows_when_a_postgres_transaction_is_over),
                cmocka_unit_test(wire__a_word_in_a_value_is_no_commit),
                cmocka_unit_test(wire__finds_mysql_commit_alone_and_behind_another),
                cmocka_unit_test(wire__without_autocommit_every_mysql_statement_opens),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
