/* SPDX-License-Identifier: MIT */
#include "ctl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct command {
        const char *words; /* one or two, as they are typed */
        ctl_command_fn *run;
        uint32_t takes;
        bool needs_url;
} command;

#define SCHEMA (CTL_TAKES_DIR | CTL_TAKES_AREA)

static const command commands[] = {
        {"schema apply", ctl_schema_apply, SCHEMA | CTL_TAKES_JSON | CTL_TAKES_DRY_RUN | CTL_TAKES_LIMITS,
         true},
        {"schema status", ctl_schema_status, SCHEMA | CTL_TAKES_JSON, true},
        {"schema plan", ctl_schema_plan, SCHEMA | CTL_TAKES_JSON, true},
        {"schema mark", ctl_schema_mark, SCHEMA | CTL_TAKES_MARK | CTL_TAKES_SHARD, true},
        {"cluster init", ctl_cluster_init, CTL_TAKES_DIR | CTL_TAKES_SHARD | CTL_TAKES_JSON, true},
        {"cluster show", ctl_cluster_show, CTL_TAKES_JSON, true},
        {"locate", ctl_locate, CTL_TAKES_KEY_TYPE | CTL_TAKES_JSON | CTL_TAKES_ARG, true},
        {"resolve", ctl_resolve, CTL_TAKES_JSON | CTL_TAKES_ARG, true},
        {"outcome purge", ctl_outcome_purge, CTL_TAKES_KEEP | CTL_TAKES_JSON, true},
        {"ping", ctl_ping, CTL_TAKES_JSON, true},
        {"version", ctl_version, 0, false},
};

/* Finds the command that the first one or two words name. */
static const command *find(int argc, char **argv, int *n_words)
{
        for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
                const char *space = strchr(commands[i].words, ' ');
                size_t size = space ? (size_t)(space - commands[i].words) : strlen(commands[i].words);
                if (strlen(argv[1]) != size || memcmp(argv[1], commands[i].words, size) != 0)
                        continue;
                *n_words = space ? 2 : 1;
                if (!space || (argc > 2 && strcmp(argv[2], space + 1) == 0))
                        return &commands[i];
        }
        return NULL;
}

static int complain_unknown(const char *word)
{
        char list[256] = "";
        for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
                const char *space = strchr(commands[i].words, ' ');
                size_t used = strlen(list);
                bool is_group = space &&
                                strncmp(word, commands[i].words, (size_t)(space - commands[i].words)) == 0 &&
                                strlen(word) == (size_t)(space - commands[i].words);
                if (is_group)
                        (void)snprintf(list + used, sizeof list - used, "%s%s", used ? ", " : "", space + 1);
        }
        if (list[0])
                ctl_complain("\"%s\" needs one of: %s; see `dalctl --help`", word, list);
        else
                ctl_complain("there is no command \"%s\"; see `dalctl --help`", word);
        return CTL_USAGE;
}

static bool asks_help(const char *word)
{
        return strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0 || strcmp(word, "help") == 0;
}

static int run(const command *c, int n_words, int argc, char **argv)
{
        ctl_options options;
        int code = CTL_USAGE;
        memset(&options, 0, sizeof options);
        if (ctl_options_parse(argc - 1 - n_words, argv + 1 + n_words, c->takes, &options)) {
                if (!options.url)
                        options.url = getenv("DAL_URL");
                if (options.help) {
                        ctl_help(c->words);
                        code = CTL_CLEAN;
                } else if (c->needs_url && (!options.url || !options.url[0])) {
                        ctl_complain("which database? Give --url URL or set DAL_URL, as in "
                                     "DAL_URL=postgres://user@host/shop");
                } else {
                        code = c->run(&options);
                }
        }
        ctl_options_free(&options);
        return code;
}

int main(int argc, char **argv)
{
        const command *c;
        int n_words = 0;
        int code;
        ctl_out_init();
        if (argc < 2) {
                ctl_help(NULL);
                return CTL_USAGE;
        }
        if (asks_help(argv[1])) {
                ctl_help(NULL);
                return CTL_CLEAN;
        }
        if (strcmp(argv[1], "--version") == 0)
                return ctl_version(NULL);
        c = find(argc, argv, &n_words);
        if (!c) {
                if (n_words == 0 || argc < 3 || !asks_help(argv[2]))
                        return complain_unknown(argv[1]);
                ctl_help(NULL);
                return CTL_CLEAN;
        }
        code = run(c, n_words, argc, argv);
        /* A full disk or a closed pipe must not look like success. */
        if (fflush(stdout) != 0 && code == CTL_CLEAN)
                code = CTL_FAILED;
        return code;
}
