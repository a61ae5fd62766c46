/* SPDX-License-Identifier: MIT */
/*
 * differ_psql PSQL FILE...: PostgreSQL scripts, as they are and with small changes, cut into statements by
 * this library and by psql, which keeps a log of what it sends. Both must send the same. The server of
 * DAL_TEST_POSTGRES is told to write nothing, so that almost all of it fails there: that is no matter.
 */

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "differ_scripts.h"

#include "sql/lexer.h"

#define SYNTAX      (DAL_SQL_DOLLAR_QUOTES | DAL_SQL_NESTED_COMMENTS | DAL_SQL_E_STRINGS)
#define MAX_SCRIPTS 4000
#define MARK        "SELECT 'next script'"

extern char **environ;

static char dir[] = "/tmp/dal-differ-XXXXXX";

/* ---- this library's statements ---- */

/*
 * Two things are read otherwise on purpose, and no server takes either. psql waits for the end of every
 * parenthesis before it sends, this library within rules only, where semicolons may stand in one. And psql
 * takes each BEGIN in what creates a routine for the beginning of a body, this library BEGIN ATOMIC only.
 */
static bool is_comparable(const dal__splitter *splitter, const dal__splitter_stmt *stmt)
{
        dal__lexer lexer;
        dal__token token;
        bool has_begun = false;
        int depth = 0;

        (void)splitter;
        dal__lexer_init(&lexer, stmt->text, stmt->size, SYNTAX);
        while ((token = dal__lexer_next(&lexer)).kind != DAL__TOKEN_END) {
                if (token.kind == DAL__TOKEN_SPACE || token.kind == DAL__TOKEN_COMMENT)
                        continue;
                if (has_begun && !dal__lexer_is_word(&token, "ATOMIC"))
                        return false;
                has_begun = dal__lexer_is_word(&token, "BEGIN");
                if (token.size == 1 && (token.text[0] == '(' || token.text[0] == ')'))
                        depth += token.text[0] == '(' ? 1 : depth > 0 ? -1 : 0;
        }
        return depth == 0 && !has_begun;
}

static struct differ d = {.syntax = SYNTAX, .max_changes = 96, .is_comparable = is_comparable};

/* ---- psql's ---- */

static void set_variable(const char *name, const char *value)
{
        FUZZ_CHECK(setenv(name, value ? value : "", 1) == 0);
}

/* The password goes by the environment, as arguments can be seen by everyone. */
static bool set_server(void)
{
        const char *url = getenv("DAL_TEST_POSTGRES");
        dal_error err = DAL_ERROR_INIT;
        dal_dsn *dsn = NULL;

        if (!url || !url[0] || dal_dsn_parse(url, &dsn, &err)) {
                fprintf(stderr, "DAL_TEST_POSTGRES must name the server; load it with: "
                                "tests/containers/servers up && . build/servers.env\n");
                return false;
        }
        set_variable("PGHOST", dal_dsn_host(dsn));
        set_variable("PGPORT", dal_dsn_get(dsn, "port"));
        set_variable("PGUSER", dal_dsn_user(dsn));
        set_variable("PGPASSWORD", dal_dsn_password(dsn));
        set_variable("PGDATABASE", dal_dsn_dbname(dsn));
        set_variable("PGCONNECT_TIMEOUT", "20");
        set_variable("PGOPTIONS", "-c default_transaction_read_only=on -c statement_timeout=5000");
        set_variable("LC_ALL", "C");
        dal_dsn_free(dsn);
        return true;
}

static void path_of(char out[128], const char *name, size_t i)
{
        snprintf(out, 128, "%s/%s%zu", dir, name, i);
}

static void write_files(void)
{
        char path[128];

        for (size_t i = 0; i < d.n_scripts; i++) {
                FILE *file;

                path_of(path, "script", i);
                file = fopen(path, "wb");
                FUZZ_CHECK(file);
                FUZZ_CHECK(fwrite(d.scripts[i].text, 1, d.scripts[i].size, file) == d.scripts[i].size);
                FUZZ_CHECK(fclose(file) == 0);
        }
}

/* One session for all: each file begins anew, and a statement of one's own stands between them. */
static char *run_psql(const char *psql)
{
        static char log[32u * 1024 * 1024], paths[MAX_SCRIPTS][128], log_path[128];
        static char *args[4 * MAX_SCRIPTS + 16];
        static char words[][8] = {"psql", "-X", "-q", "-w", "-L"}, f[] = "-f", c[] = "-c", mark[] = MARK;
        posix_spawn_file_actions_t files;
        size_t n = 0, size;
        int status = -1;
        pid_t pid;
        FILE *file;

        path_of(log_path, "log", 0);
        for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
                args[n++] = words[i];
        args[n++] = log_path;
        for (size_t i = 0; i < d.n_scripts; i++) {
                path_of(paths[i], "script", i);
                args[n++] = f;
                args[n++] = paths[i];
                args[n++] = c;
                args[n++] = mark;
        }
        FUZZ_CHECK(posix_spawn_file_actions_init(&files) == 0);
        for (int fd = 0; fd < 3; fd++)
                FUZZ_CHECK(posix_spawn_file_actions_addopen(&files, fd, "/dev/null", O_RDWR, 0) == 0);
        FUZZ_CHECK(posix_spawn(&pid, psql, &files, NULL, args, environ) == 0);
        posix_spawn_file_actions_destroy(&files);
        FUZZ_CHECK(waitpid(pid, &status, 0) == pid);
        if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) { /* of its last word, which is a SELECT */
                fprintf(stderr, "psql can't reach the server of DAL_TEST_POSTGRES, or lost it\n");
                exit(1);
        }
        file = fopen(log_path, "rb");
        FUZZ_CHECK(file);
        size = fread(log, 1, sizeof log - 1, file);
        fclose(file);
        FUZZ_CHECK(size < sizeof log - 1);
        log[size] = '\0';
        return log;
}

/*
 * Finds the next request in the log; ends it by a NUL. From version 16 the lines around it are comments of
 * SQL.
 */
static char *next_request(char **at)
{
        char *request = strstr(*at, "* QUERY *"), *end, *end16;

        if (!request || !(request = strchr(request, '\n')))
                return NULL;
        request++;
        end = strstr(request, "\n**************************\n");
        end16 = strstr(request, "\n/************************/\n");
        if (end16 && (!end || end16 < end))
                end = end16;
        FUZZ_CHECK(end);
        *end = '\0';
        *at = end + 1;
        return request;
}

/* ---- both ---- */

static void fail(size_t i, const char *ours, size_t size, const char *theirs)
{
        fprintf(stderr, "--- script:\n%s\n--- here:\n%.*s\n--- psql:\n%s\n", d.scripts[i].text, (int)size,
                ours, theirs);
        abort();
}

static size_t compare(size_t i, char **log)
{
        dal_error err = DAL_ERROR_INIT;
        dal__splitter splitter;
        dal__splitter_stmt stmt;
        bool found = true;
        size_t n = 0;

        dal__splitter_init(&splitter, d.scripts[i].text, d.scripts[i].size, SYNTAX);
        while (found) {
                const char *request = next_request(log);

                if (!request)
                        fail(i, "", 0, "(the log ends)");
                if (differ_is_empty(&d, request, strlen(request)))
                        continue;
                FUZZ_CHECK(dal__splitter_next(&splitter, &stmt, &found, &err) == DAL_OK);
                if (found && !differ_is_same(&d, request, &stmt))
                        fail(i, stmt.text, stmt.size, request);
                if (!found && strcmp(request, MARK) != 0)
                        fail(i, "(the end)", 9, request);
                n += found;
        }
        return n;
}

static void remove_files(void)
{
        char path[128];

        for (size_t i = 0; i < d.n_scripts; i++) {
                path_of(path, "script", i);
                (void)unlink(path);
        }
        path_of(path, "log", 0);
        (void)unlink(path);
        (void)rmdir(dir);
        differ_free(&d);
}

int main(int argc, char **argv)
{
        size_t n_statements = 0;
        char *log;

        if (argc < 3) {
                fprintf(stderr, "usage: differ_psql PSQL FILE...\n");
                return 64;
        }
        if (!set_server() || !mkdtemp(dir))
                return 1;
        for (int i = 2; i < argc; i++)
                differ_read(&d, argv[i]);
        write_files();
        log = run_psql(argv[1]);
        for (size_t i = 0; i < d.n_scripts; i++)
                n_statements += compare(i, &log);
        printf("%zu scripts, %zu statements alike; %zu refused here, %zu read otherwise on purpose\n",
               d.n_scripts, n_statements, d.n_refused, d.n_apart);
        remove_files();
        return n_statements == 0;
}
