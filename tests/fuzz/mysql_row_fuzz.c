/* SPDX-License-Identifier: MIT */
/*
 * Rows as MySQL sends them in answer to a prepared statement: a server in a thread of this program gives columns of any
 * type and cells of any content, by the rules of the protocol; the client library and the driver read them.
 */

#include <pthread.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <dal/dal.h>
#include <dal/drivers/mysql.h>

#include "fuzz.h"

enum {
        MAX_COLUMNS = 4,
        MAX_ROWS = 8,
        ANSWER_ROOM = 65536
};

/* Source: MySQL, "Protocol::Command" */
enum {
        COM_QUIT = 0x01,
        COM_QUERY = 0x03,
        COM_STMT_PREPARE = 0x16,
        COM_STMT_EXECUTE = 0x17,
        COM_STMT_CLOSE = 0x19
};

/* Source: MySQL, field_types.h; those that a result can have */
static const uint8_t types[] = {1, 2, 3, 4, 5, 7, 8, 9, 10, 11, 12, 13, 15, 16, 245, 246, 252, 253, 254, 255};

/* The first and last day of years 0 to 9999; the time of a day is as the server says it, and may be 255 o'clock. */
#define FIRST_DAY  (-719528)
#define LAST_DAY   2932896
#define US_PER_DAY INT64_C(86400000000)
#define SLACK_US   (12 * US_PER_DAY)

static char path[64];
static const uint8_t *input; /* set while the client waits for the answer to it */
static size_t input_size;

/* ---- a server ------------------------------------------------------------------------------------ */

struct answer {
        int fd;
        uint8_t number;
        uint8_t bytes[ANSWER_ROOM];
        size_t size, begin; /* of the packet being written */
};

static void put(struct answer *a, const void *bytes, size_t size)
{
        FUZZ_CHECK(a->size + size <= sizeof a->bytes);
        memcpy(a->bytes + a->size, bytes, size);
        a->size += size;
}

static void put_number(struct answer *a, uint64_t number, unsigned n_bytes)
{
        for (; n_bytes; n_bytes--, number >>= 8)
                put(a, &(uint8_t){(uint8_t)number}, 1);
}

static void put_string(struct answer *a, const void *bytes, size_t size)
{
        if (size >= 251)
                put_number(a, 0xfc, 1);
        put_number(a, size, size >= 251 ? 2 : 1);
        put(a, bytes, size);
}

static void begin(struct answer *a)
{
        a->begin = a->size;
        put_number(a, 0, 4);
}

static void end(struct answer *a)
{
        size_t size = a->size - a->begin - 4;

        for (int i = 0; i < 3; i++)
                a->bytes[a->begin + (size_t)i] = (uint8_t)(size >> 8 * i);
        a->bytes[a->begin + 3] = a->number++;
}

static void packet(struct answer *a, const void *bytes, size_t size)
{
        begin(a);
        put(a, bytes, size);
        end(a);
}

static void say_yes(struct answer *a)
{
        packet(a, "\0\0\0\2\0\0\0", 7);
}

static void say_end(struct answer *a)
{
        packet(a, "\xfe\0\0\2\0", 5);
}

static void put_column(struct answer *a, uint8_t type, uint16_t flags, uint16_t charset, uint32_t length)
{
        begin(a);
        put_string(a, "def", 3);
        for (int i = 0; i < 5; i++)
                put_string(a, "c", i < 3 ? 0 : 1);
        put_number(a, 0x0c, 1);
        put_number(a, charset, 2);
        put_number(a, length, 4);
        put_number(a, type, 1);
        put_number(a, flags, 2);
        put_number(a, 0, 3);
        end(a);
}

static uint8_t put_columns(struct answer *a, fuzz_input *in, uint8_t chosen[MAX_COLUMNS])
{
        uint8_t n = 1 + fuzz_byte(in) % MAX_COLUMNS;

        for (uint8_t i = 0; i < n; i++) {
                uint8_t what = fuzz_byte(in);

                chosen[i] = types[fuzz_byte(in) % sizeof types];
                put_column(a, chosen[i], what & 1 ? 0x20 : 0, what & 2 ? 63 : 45, what & 4 ? 65535 : what);
        }
        say_end(a);
        return n;
}

/* Source: MySQL, "Binary Protocol Resultset Row" */
static void put_cell(struct answer *a, fuzz_input *in, uint8_t type)
{
        static const uint8_t sizes[] = {
                [1] = 1, [2] = 2, [3] = 4, [4] = 4, [5] = 8, [8] = 8, [9] = 4, [13] = 2};
        static const uint8_t day_sizes[] = {0, 4, 7, 11}, time_sizes[] = {0, 8, 12, 8};
        uint8_t bytes[12];
        size_t n;
        char *text;

        if (type < sizeof sizes && sizes[type]) {
                put_number(a, fuzz_number(in, sizes[type]), sizes[type]);
        } else if (type == 7 || type == 10 || type == 11 || type == 12) {
                n = (type == 11 ? time_sizes : day_sizes)[fuzz_byte(in) % 4];
                for (size_t i = 0; i < n; i++)
                        bytes[i] = fuzz_byte(in);
                put_string(a, bytes, n);
        } else {
                text = fuzz_field(in);
                put_string(a, text, strlen(text));
                free(text);
        }
}

static void put_rows(struct answer *a, fuzz_input *in, uint8_t n, const uint8_t *chosen)
{
        for (int row = 0; row < MAX_ROWS && in->left; row++) {
                uint8_t nulls = (uint8_t)(fuzz_byte(in) << 2);

                begin(a);
                put_number(a, 0, 1);
                put_number(a, nulls, 1);
                for (uint8_t i = 0; i < n; i++) {
                        if (!(nulls >> (i + 2) & 1))
                                put_cell(a, in, chosen[i]);
                }
                end(a);
        }
        say_end(a);
}

static void answer_statement(struct answer *a, uint8_t command)
{
        fuzz_input in = {input, input_size};
        uint8_t n = 1 + (input_size ? input[0] : 0) % MAX_COLUMNS, chosen[MAX_COLUMNS];

        if (command == COM_STMT_PREPARE) {
                begin(a);
                put(a, "\0\1\0\0\0", 5);
                put_number(a, n, 2);
                put(a, "\0\0\0\0\0", 5);
                end(a);
                (void)put_columns(a, &in, chosen);
                return;
        }
        packet(a, &n, 1);
        n = put_columns(a, &in, chosen);
        put_rows(a, &in, n, chosen);
}

/* What the driver asks at the beginning of a session. */
static void answer_limits(struct answer *a)
{
        static const char *const cells[] = {"67108864", "1", "16382", "host/1/2"};

        packet(a, "\5", 1);
        for (int i = 0; i < 5; i++)
                put_column(a, 253, 0, 45, 100);
        say_end(a);
        begin(a);
        for (int i = 0; i < 4; i++)
                put_string(a, cells[i], strlen(cells[i]));
        put_number(a, 0xfb, 1);
        end(a);
        say_end(a);
}

static size_t receive(int fd, uint8_t *to, size_t room, uint8_t *number)
{
        uint8_t header[4];
        size_t size;

        if (recv(fd, header, 4, MSG_WAITALL) != 4)
                return 0;
        size = header[0] | (size_t)header[1] << 8 | (size_t)header[2] << 16;
        *number = (uint8_t)(header[3] + 1);
        return size && size <= room && recv(fd, to, size, MSG_WAITALL) == (ssize_t)size ? size : 0;
}

static void serve(int fd)
{
        static const char greeting[] = "\x0a"
                                       "8.0.0\0"
                                       "\1\0\0\0"
                                       "saltsalt\0"
                                       "\1\xa2"
                                       "\x2d"
                                       "\2\0"
                                       "\x08\0"
                                       "\x15"
                                       "\0\0\0\0\0\0\0\0\0\0"
                                       "saltsaltsalt\0"
                                       "mysql_native_password";
        static struct answer a;
        static uint8_t heard[8192];
        size_t size;
        bool is_in = false;

        a = (struct answer){.fd = fd};
        packet(&a, greeting, sizeof greeting);
        while (send(fd, a.bytes, a.size, MSG_NOSIGNAL) == (ssize_t)a.size &&
               (size = receive(fd, heard, sizeof heard - 1, &a.number))) {
                a.size = 0;
                heard[size] = '\0';
                if (is_in && heard[0] == COM_QUIT)
                        return;
                if (is_in && heard[0] == COM_STMT_CLOSE)
                        continue;
                if (is_in && (heard[0] == COM_STMT_PREPARE || heard[0] == COM_STMT_EXECUTE))
                        answer_statement(&a, heard[0]);
                else if (is_in && heard[0] == COM_QUERY &&
                         strncmp((char *)heard + 1, "SELECT @@max", 12) == 0)
                        answer_limits(&a);
                else
                        say_yes(&a);
                is_in = true;
        }
}

static void *listen_for_ever(void *arg)
{
        int listener = *(int *)arg, fd;

        while ((fd = accept(listener, NULL, NULL)) >= 0) {
                serve(fd);
                close(fd);
        }
        return NULL;
}

static void remove_path(void)
{
        (void)unlink(path);
}

static void start_server(void)
{
        static int listener;
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        pthread_t thread;

        snprintf(path, sizeof path, "/tmp/dal-fuzz-%ld", (long)getpid());
        snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
        (void)unlink(path);
        listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        FUZZ_CHECK(listener >= 0 && bind(listener, (struct sockaddr *)&address, sizeof address) == 0 &&
                   listen(listener, 4) == 0);
        atexit(remove_path);
        FUZZ_CHECK(pthread_create(&thread, NULL, listen_for_ever, &listener) == 0);
        FUZZ_CHECK(pthread_detach(thread) == 0);
}

/* ---- the client ---------------------------------------------------------------------------------- */

static dal_conn *connect_to(void)
{
        dal_error err = DAL_ERROR_INIT;
        dal_dsn *dsn = NULL;
        dal_conn *conn = NULL;
        char url[128];

        snprintf(url, sizeof url, "mysql://nobody@localhost/db?socket=%s", path);
        FUZZ_CHECK(dal_dsn_parse(url, &dsn, &err) == DAL_OK);
        if (dal_conn_open(dal_driver_mysql(), dsn, NULL, dal_clock_after_ms(10000), &conn, &err) != DAL_OK)
                fprintf(stderr, "%s\n", err.message);
        dal_dsn_free(dsn);
        FUZZ_CHECK(conn);
        return conn;
}

/* Every byte that is lent can be read, and instants are of years that exist. */
static void check_cell(const dal_value *v)
{
        static volatile uint8_t sum;

        if (v->type == DAL_TYPE_DATE)
                FUZZ_CHECK(v->as.int64 >= FIRST_DAY && v->as.int64 <= LAST_DAY);
        if (v->type == DAL_TYPE_TIMESTAMP)
                FUZZ_CHECK(v->as.int64 >= FIRST_DAY * US_PER_DAY &&
                           v->as.int64 < LAST_DAY * US_PER_DAY + SLACK_US);
        if (v->type == DAL_TYPE_TEXT || v->type == DAL_TYPE_BYTES || v->type == DAL_TYPE_DECIMAL ||
            v->type == DAL_TYPE_OTHER) {
                for (size_t i = 0; i < v->as.span.size; i++)
                        sum = (uint8_t)(sum + ((const uint8_t *)v->as.span.ptr)[i]);
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        static dal_conn *conn;
        dal_error err = DAL_ERROR_INIT;
        dal_rows *rows = NULL;
        dal_status s;
        bool found = true;

        if (!path[0])
                start_server();
        if (!conn)
                conn = connect_to();
        input = data;
        input_size = size < 4096 ? size : 4096;
        s = dal_conn_query_dynamic(conn, "SELECT 1", DAL_NO_PARAMS, dal_clock_after_ms(10000), &rows, &err);
        while (s == DAL_OK && (s = dal_rows_next(rows, &found, &err)) == DAL_OK && found) {
                for (uint32_t i = 0; i < dal_rows_n_columns(rows); i++)
                        check_cell(dal_rows_cell(rows, i));
        }
        dal_rows_close(rows);
        if (s)
                fuzz_check_error(&err);
        FUZZ_CHECK(err.status != DAL_ERR_TIMEOUT);
        if (s && err.conn_gone) {
                dal_conn_close(conn);
                conn = NULL;
        }
        return 0;
}
