/* SPDX-License-Identifier: MIT */
/*
 * differ_mysql MYSQL FILE...: scripts of MySQL and MariaDB, as they are and with small changes, cut into statements by
 * this library and by the mysql client, MYSQL. The client talks to a server in this program, which says yes to
 * everything and keeps what it hears. Both must send the same.
 */

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "differ_scripts.h"

#include "sql/lexer.h"

#define SYNTAX                                                                                               \
        (DAL_SQL_BACKSLASH_ESCAPES | DAL_SQL_HASH_COMMENTS | DAL_SQL_BACKTICKS | DAL_SQL_DASH_NEEDS_SPACE)
#define MAX_HEARD (1024u * 1024)

enum {
        PATIENCE_MS = 20000,
        COM_QUIT = 1,
        COM_QUERY = 3
};

extern char **environ;

static char dir[] = "/tmp/dal-differ-XXXXXX";
static char heard[MAX_HEARD]; /* requests, each with a NUL behind it */
static size_t heard_size;

/*
 * The client knows no bodies of routines: without a DELIMITER line it cuts them at each semicolon, and the server refuses
 * the pieces. This library keeps them whole. And to the client two dashes at the beginning of a statement are a comment
 * whatever follows; here, as to the server, a space must. No server takes a statement that begins so.
 */
static bool is_comparable(const dal__splitter *splitter, const dal__splitter_stmt *stmt)
{
        dal__lexer lexer;
        dal__token token;

        if (stmt->text[0] == '-')
                return false;
        if (strcmp(splitter->delimiter, ";") != 0)
                return true;
        dal__lexer_init(&lexer, stmt->text, stmt->size, SYNTAX);
        while ((token = dal__lexer_next(&lexer)).kind != DAL__TOKEN_END) {
                if (token.kind == DAL__TOKEN_SEMICOLON)
                        return false;
        }
        return true;
}

static struct differ d = {.syntax = SYNTAX, .max_changes = 32, .is_comparable = is_comparable};

/* ---- a server that says yes ---------------------------------------------------------------------- */

static void say(int fd, uint8_t number, const void *payload, size_t size)
{
        uint8_t packet[256] = {(uint8_t)size, 0, 0, number};

        FUZZ_CHECK(size <= sizeof packet - 4);
        memcpy(packet + 4, payload, size);
        (void)!send(fd, packet, size + 4, MSG_NOSIGNAL);
}

/* Source: MySQL, "Protocol::HandshakeV10" and "OK_Packet": protocol 4.1 and nothing that is not needed */
static void greet(int fd)
{
        static const char greeting[] = "\x0a"
                                       "8.0.0\0"
                                       "\x01\0\0\0"
                                       "saltsalt\0"
                                       "\x01\xa2"
                                       "\x2d"
                                       "\x02\0"
                                       "\x08\0"
                                       "\x15"
                                       "\0\0\0\0\0\0\0\0\0\0"
                                       "saltsaltsalt\0"
                                       "mysql_native_password";

        say(fd, 0, greeting, sizeof greeting);
}

static void say_yes(int fd, uint8_t number)
{
        static const char ok[7] = {0, 0, 0, 2, 0, 0, 0};

        say(fd, number, ok, sizeof ok);
}

static bool receive(int fd, void *to, size_t size)
{
        for (size_t n = 0; n < size;) {
                struct pollfd poll_fd = {fd, POLLIN, 0};
                ssize_t got =
                        poll(&poll_fd, 1, PATIENCE_MS) == 1 ? recv(fd, (char *)to + n, size - n, 0) : -1;

                if (got <= 0)
                        return false;
                n += (size_t)got;
        }
        return true;
}

/* Keeps the request behind what was heard before; its size, 0 at the end. */
static size_t hear(int fd, uint8_t *number)
{
        uint8_t header[4];
        size_t size;

        if (!receive(fd, header, 4))
                return 0;
        size = header[0] | (size_t)header[1] << 8 | (size_t)header[2] << 16;
        FUZZ_CHECK(size > 0 && heard_size + size < sizeof heard);
        *number = header[3];
        return receive(fd, heard + heard_size, size) ? size : 0;
}

static void serve(int listener)
{
        struct pollfd poll_fd = {listener, POLLIN, 0};
        uint8_t number;
        size_t size;
        int fd;

        heard_size = 0;
        FUZZ_CHECK(poll(&poll_fd, 1, PATIENCE_MS) == 1);
        fd = accept(listener, NULL, NULL);
        FUZZ_CHECK(fd >= 0);
        greet(fd);
        if (hear(fd, &number)) /* who it is */
                say_yes(fd, (uint8_t)(number + 1));
        while ((size = hear(fd, &number)) && heard[heard_size] != COM_QUIT) {
                if (heard[heard_size] == COM_QUERY) {
                        memmove(heard + heard_size, heard + heard_size + 1, size - 1);
                        heard[heard_size + size - 1] = '\0';
                        heard_size += size;
                }
                say_yes(fd, 1);
        }
        close(fd);
}

static int listen_at(const char *path)
{
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

        snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
        FUZZ_CHECK(fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof address) == 0 &&
                   listen(fd, 4) == 0);
        return fd;
}

/* ---- the client ---------------------------------------------------------------------------------- */

/* Of its own commands it knows only DELIMITER then, as this library. */
static void run_client(const char *mysql, int listener, const char *socket_path, const char *script_path)
{
        char words[9][160] = {"mysql",   "--no-defaults", "--protocol=socket", "", "--user=nobody", "--batch",
                              "--force", "--comments",    "--binary-mode"};
        char *argv[10] = {NULL};
        posix_spawn_file_actions_t files;
        int status = -1;
        pid_t pid;

        snprintf(words[3], sizeof words[3], "--socket=%s", socket_path);
        for (size_t i = 0; i < 9; i++)
                argv[i] = words[i];
        FUZZ_CHECK(posix_spawn_file_actions_init(&files) == 0);
        FUZZ_CHECK(posix_spawn_file_actions_addopen(&files, 0, script_path, O_RDONLY, 0) == 0);
        for (int fd = 1; fd < 3; fd++)
                FUZZ_CHECK(posix_spawn_file_actions_addopen(&files, fd, "/dev/null", O_WRONLY, 0) == 0);
        FUZZ_CHECK(posix_spawn(&pid, mysql, &files, NULL, argv, environ) == 0);
        posix_spawn_file_actions_destroy(&files);
        serve(listener);
        FUZZ_CHECK(waitpid(pid, &status, 0) == pid);
        FUZZ_CHECK(WIFEXITED(status));
}

static void write_script(const char *path, const struct differ_script *script)
{
        FILE *file = fopen(path, "wb");

        FUZZ_CHECK(file && fwrite(script->text, 1, script->size, file) == script->size && fclose(file) == 0);
}

/* ---- both ---------------------------------------------------------------------------------------- */

static void fail(const struct differ_script *script, const dal__splitter_stmt *stmt, bool found,
                 const char *request)
{
        fprintf(stderr, "--- script:\n%s\n--- here:\n%.*s\n--- mysql:\n%s\n", script->text,
                found ? (int)stmt->size : 9, found ? stmt->text : "(the end)",
                request ? request : "(the end)");
        abort();
}

static const char *next_request(const char **at)
{
        const char *request = *at;

        for (; request < heard + heard_size; request += strlen(request) + 1) {
                *at = request + strlen(request) + 1;
                if (!differ_is_empty(&d, request, strlen(request)))
                        return request;
        }
        return NULL;
}

static size_t compare(const struct differ_script *script)
{
        dal_error err = DAL_ERROR_INIT;
        dal__splitter splitter;
        dal__splitter_stmt stmt;
        const char *at = heard;
        size_t n = 0;
        bool found = true;

        dal__splitter_init(&splitter, script->text, script->size, SYNTAX);
        for (; found; n += found) {
                const char *request = next_request(&at);

                FUZZ_CHECK(dal__splitter_next(&splitter, &stmt, &found, &err) == DAL_OK);
                if (found != (request != NULL) || (found && !differ_is_same(&d, request, &stmt)))
                        fail(script, &stmt, found, request);
        }
        return n;
}

int main(int argc, char **argv)
{
        char socket_path[80], script_path[80];
        size_t n_statements = 0;
        int listener;

        if (argc < 3) {
                fprintf(stderr, "usage: differ_mysql MYSQL FILE...\n");
                return 64;
        }
        if (!mkdtemp(dir))
                return 1;
        snprintf(socket_path, sizeof socket_path, "%s/socket", dir);
        snprintf(script_path, sizeof script_path, "%s/script", dir);
        for (int i = 2; i < argc; i++)
                differ_read(&d, argv[i]);
        listener = listen_at(socket_path);
        for (size_t i = 0; i < d.n_scripts; i++) {
                write_script(script_path, &d.scripts[i]);
                run_client(argv[1], listener, socket_path, script_path);
                n_statements += compare(&d.scripts[i]);
        }
        printf("%zu scripts, %zu statements alike; %zu refused here, %zu read otherwise on purpose\n",
               d.n_scripts, n_statements, d.n_refused, d.n_apart);
        close(listener);
        (void)unlink(socket_path);
        (void)unlink(script_path);
        (void)rmdir(dir);
        differ_free(&d);
        return n_statements == 0;
}
