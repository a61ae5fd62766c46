/* SPDX-License-Identifier: MIT */
/* The driver: reads the input, has the four services work on it, and tells how it went. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "child.h"
#include "generator.h"
#include "run.h"

#define EXIT_DATA 65 /* as in sysexits.h */

static const struct places places = {SHOP_SERVICES_DIR, SHOP_DALCTL, SHOP_SCHEMA_DIR};

struct input {
        char *text;
        size_t size;
        char name[256];
};

static int complain(const char *what, int code)
{
        report_progress_end();
        fprintf(stderr, "shop: %s\n", what);
        return code;
}

/* ---- input --------------------------------------------------------------------------------------------- */

static bool read_file(const char *path, struct input *input)
{
        bool is_stdin = strcmp(path, "-") == 0;
        FILE *in = is_stdin ? stdin : fopen(path, "rb"),
             *out = in ? open_memstream(&input->text, &input->size) : NULL;
        char chunk[65536];
        size_t n;
        bool ok = out != NULL;

        while (ok && (n = fread(chunk, 1, sizeof chunk, in)) > 0)
                ok = fwrite(chunk, 1, n, out) == n;
        ok = ok && !ferror(in); /* a directory opens, and fails here */
        if (!ok)
                fprintf(stderr, "shop: the ledger %s can't be read: %s\n", path, strerror(errno));
        if (out && fclose(out) != 0)
                ok = false;
        if (in && !is_stdin)
                fclose(in);
        snprintf(input->name, sizeof input->name, "%s", is_stdin ? "standard input" : path);
        return ok;
}

static bool write_file(const char *path, const struct input *input)
{
        FILE *out = fopen(path, "wb");
        bool ok = out && fwrite(input->text, 1, input->size, out) == input->size;

        if (out && fclose(out) != 0)
                ok = false;
        if (!ok)
                fprintf(stderr, "shop: %s can't be written: %s\n", path, strerror(errno));
        return ok;
}

static bool read_input(const struct options *options, struct input *input)
{
        FILE *out;

        if (options->ledger)
                return read_file(options->ledger, input);
        out = open_memstream(&input->text, &input->size);
        if (!out)
                return false;
        generator_write(out, options->n_orders, (uint64_t)options->seed);
        snprintf(input->name, sizeof input->name, "generated ledger (%" PRId64 " orders, seed %" PRId64 ")",
                 options->n_orders, options->seed);
        if (fclose(out) != 0)
                return false;
        return !options->write_ledger || write_file(options->write_ledger, input);
}

/* The first pass: the whole input is checked before anything is written to a database. */
static int check_input(const struct options *options, const struct input *input, struct ledger *ledger,
                       char *error, size_t size)
{
        FILE *bad = NULL;
        bool ok;

        report_progress("reading the ledger", 0, 0);
        if (options->skip_bad && !(bad = fopen(options->skip_bad, "wb"))) {
                snprintf(error, size, "--skip-bad %s can't be written: %s", options->skip_bad,
                         strerror(errno));
                return complain(error, EXIT_FAILURE);
        }
        ok = ledger_read(ledger, input->name, input->text, input->size, bad, error, size);
        if (bad && fclose(bad) != 0 && ok) {
                ok = false;
                snprintf(error, size, "%s can't be written: %s", options->skip_bad, strerror(errno));
        }
        return ok ? EXIT_SUCCESS : complain(error, EXIT_DATA);
}

/* ---- the default database: SQLite files ---------------------------------------------------------------- */

/* Fills `url` with sqlite:DIR/shop.db; a directory made here is to be removed at the end. */
static bool choose_dir(const struct options *options, char *dir, size_t dir_size, char *url, size_t url_size)
{
        const char *tmp = getenv("TMPDIR");

        if (options->dir) {
                snprintf(dir, dir_size, "%s", options->dir);
                if (access(dir, W_OK | X_OK) != 0) {
                        fprintf(stderr, "shop: --dir %s: %s\n", dir, strerror(errno));
                        return false;
                }
        } else {
                snprintf(dir, dir_size, "%s/dal-shop-XXXXXX", tmp && *tmp ? tmp : "/tmp");
                if (!mkdtemp(dir)) {
                        fprintf(stderr, "shop: a directory %s can't be made: %s; name one with --dir\n", dir,
                                strerror(errno));
                        return false;
                }
        }
        snprintf(url, url_size, "sqlite:%s/shop.db", dir);
        return true;
}

static void remove_dir(const struct databases *databases, const char *dir)
{
        static const char *const suffixes[] = {"", "-wal", "-shm", "-journal"};

        for (size_t i = 0; i < databases->n_shards; i++) {
                for (size_t k = 0; k < sizeof suffixes / sizeof *suffixes; k++) {
                        char path[300];
                        snprintf(path, sizeof path, "%s%s", databases->shards[i].name, suffixes[k]);
                        unlink(path);
                }
        }
        rmdir(dir);
}

/* ---- all together -------------------------------------------------------------------------------------- */

static int run(const struct options *options, struct ledger *ledger, struct databases *databases,
               const char *source)
{
        struct books *books = calloc(databases->n_shards, sizeof *books);
        struct speed speed = {0};
        char error[4096];

        if (!books)
                return complain("out of memory", EXIT_FAILURE);
        if (!run_shop(options, &places, ledger, databases, source, books, &speed, error, sizeof error)) {
                free(books);
                return complain(error, EXIT_FAILURE);
        }
        report_summary(options, ledger, databases, books, &speed);
        if (options->json)
                report_json(options, ledger, databases, books, &speed);
        free(books);
        return fflush(stdout) == 0 ? EXIT_SUCCESS
                                   : complain("standard output can't be written", EXIT_FAILURE);
}

static int open_and_run(struct options *options, struct ledger *ledger, const char *source)
{
        struct databases databases = {0};
        char dir[256] = "", url[300], error[4096];
        bool own_dir = options->n_urls == 0 && !options->dir;
        int code;

        options->is_temporary = own_dir && !options->keep;
        if (options->n_urls == 0) {
                if (!choose_dir(options, dir, sizeof dir, url, sizeof url))
                        return EXIT_FAILURE;
                options->urls[options->n_urls++] = url;
        }
        if (databases_plan(&databases, options->urls, (size_t)options->n_urls, (size_t)options->n_shards,
                           error, sizeof error))
                code = run(options, ledger, &databases, source);
        else
                code = complain(error, EXIT_FAILURE);
        if (own_dir && options->keep)
                fprintf(stderr, "shop: the shards are kept in %s\n",
                        dir); /* the last line of stdout is the JSON */
        else if (own_dir)
                remove_dir(&databases, dir);
        databases_fini(&databases);
        return code;
}

int main(int argc, char **argv)
{
        struct options options;
        struct ledger ledger = {0};
        struct input input = {0};
        char error[1024];
        int code;

        if (!options_read(&options, argc, argv))
                return EXIT_USAGE;
        if (options.help) {
                options_help();
                return EXIT_SUCCESS;
        }
        child_catch_signals();
        if (!read_input(&options, &input)) {
                free(input.text);
                return EXIT_FAILURE;
        }
        code = check_input(&options, &input, &ledger, error, sizeof error);
        if (code == EXIT_SUCCESS)
                code = open_and_run(&options, &ledger, input.name);
        ledger_fini(&ledger);
        free(input.text);
        return code;
}
