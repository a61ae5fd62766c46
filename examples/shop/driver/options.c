/* SPDX-License-Identifier: MIT */
#include "options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../common/money.h"

static const char help[] =
        "Usage: examples/shop/run [OPTION]...\n"
        "\n"
        "Runs a small shop: four services (user, product, order, payment) share one sharded database. The "
        "input is\n"
        "checked as a whole, then each invoice becomes one transaction on its customer's shard, and at the "
        "end the\n"
        "books are checked across all shards.\n"
        "\n"
        "Input\n"
        "  --ledger FILE        a real ledger, CSV with the columns InvoiceNo, StockCode, Description, "
        "Quantity,\n"
        "                       UnitPrice, CustomerID, Country and, if known, InvoiceDate; - is standard "
        "input\n"
        "  --skip-bad FILE      set malformed lines aside into FILE instead of stopping at the first\n"
        "  --orders N           without a ledger: generate so many invoices (default 1000)\n"
        "  --seed N             and make them from this seed (default 1)\n"
        "  --write-ledger FILE  write the generated ledger to FILE as well\n"
        "\n"
        "Database\n"
        "  --url URL            where the shards go: postgres://USER:PASSWORD@HOST/NAME, mysql://..., "
        "sqlite:FILE.\n"
        "                       May be repeated: the shards go round the URLs in turn. Shard N is the "
        "database\n"
        "                       NAME_N, made if it is not there. Default: SQLite files in a temporary "
        "directory\n"
        "  --shards N           how many shards (default 4)\n"
        "  --dir DIR            put the SQLite files into DIR and leave them there\n"
        "  --keep               do not remove the temporary directory\n"
        "\n"
        "A shop that an earlier run left in these databases is emptied first. A database that holds anything "
        "else\n"
        "is refused.\n"
        "\n"
        "Work and output\n"
        "  --workers N          orders entered at the same time (default 4)\n"
        "  --json               print one JSON object as the last line\n"
        "  --help               print this\n"
        "\n"
        "Exit code: 0 done and the books agree, 1 failed, 64 wrong usage, 65 malformed ledger.\n";

void options_help(void)
{
        fputs(help, stdout);
}

enum kind {
        FLAG,
        TEXT,
        NUMBER,
        URL
};

struct option {
        const char *name;
        enum kind kind;
        void *value;
        int64_t least, most; /* NUMBER */
};

static bool set_number(const struct option *option, const char *text)
{
        int64_t number;

        if (whole_parse(text, &number) || number < option->least || number > option->most) {
                fprintf(stderr, "shop: %s must be a whole number from %lld to %lld, not '%s'\n", option->name,
                        (long long)option->least, (long long)option->most, text);
                return false;
        }
        *(int64_t *)option->value = number;
        return true;
}

static bool set(struct options *options, const struct option *option, const char *text)
{
        switch (option->kind) {
        case NUMBER:
                return set_number(option, text);
        case TEXT:
                *(const char **)option->value = text;
                return true;
        default:
                if (options->n_urls == SHOP_MAX_URLS) {
                        fprintf(stderr, "shop: at most %d --url\n", SHOP_MAX_URLS);
                        return false;
                }
                options->urls[options->n_urls++] = text;
                return true;
        }
}

static bool check(const struct options *options)
{
        const char *wrong = NULL;

        if (options->ledger && options->write_ledger)
                wrong = "--write-ledger writes a generated ledger; leave out --ledger";
        else if (options->n_urls > options->n_shards)
                wrong = "there are more --url than shards: raise --shards or leave one out";
        else if (options->dir && options->n_urls > 0)
                wrong = "--dir is for the default SQLite files; with --url write --url sqlite:DIR/shop.db";
        if (wrong)
                fprintf(stderr, "shop: %s\n", wrong);
        return !wrong;
}

bool options_read(struct options *options, int argc, char **argv)
{
        const struct option known[] = {
                {"--ledger", TEXT, &options->ledger, 0, 0},
                {"--skip-bad", TEXT, &options->skip_bad, 0, 0},
                {"--write-ledger", TEXT, &options->write_ledger, 0, 0},
                {"--dir", TEXT, &options->dir, 0, 0},
                {"--url", URL, NULL, 0, 0},
                {"--orders", NUMBER, &options->n_orders, 1, 100000000},
                {"--seed", NUMBER, &options->seed, 0, INT64_MAX},
                {"--shards", NUMBER, &options->n_shards, 1, 256},
                {"--workers", NUMBER, &options->n_workers, 1, 256},
                {"--json", FLAG, &options->json, 0, 0},
                {"--keep", FLAG, &options->keep, 0, 0},
                {"--help", FLAG, &options->help, 0, 0},
        };

        *options = (struct options){.n_shards = 4, .n_workers = 4, .n_orders = 1000, .seed = 1};
        for (int i = 1; i < argc; i++) {
                const struct option *option = NULL;
                size_t size = strcspn(argv[i], "=");
                const char *value = argv[i][size] == '=' ? argv[i] + size + 1 : NULL;

                for (size_t k = 0; k < sizeof known / sizeof *known; k++)
                        if (strlen(known[k].name) == size && strncmp(known[k].name, argv[i], size) == 0)
                                option = &known[k];
                if (!option || (option->kind == FLAG && value)) {
                        fprintf(stderr, "shop: unknown option '%s'; see examples/shop/run --help\n", argv[i]);
                        return false;
                }
                if (option->kind == FLAG) {
                        *(bool *)option->value = true;
                        continue;
                }
                if (!value && ++i == argc) {
                        fprintf(stderr, "shop: %s needs a value; see examples/shop/run --help\n",
                                option->name);
                        return false;
                }
                if (!set(options, option, value ? value : argv[i]))
                        return false;
        }
        return options->help || check(options);
}
