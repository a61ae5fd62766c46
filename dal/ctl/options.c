/* SPDX-License-Identifier: MIT */
#include "ctl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

typedef enum option_id {
        OPTION_URL,
        OPTION_DIR,
        OPTION_AREA,
        OPTION_JSON,
        OPTION_DRY_RUN,
        OPTION_KEY_TYPE,
        OPTION_SHARD,
        OPTION_VERSION,
        OPTION_DONE,
        OPTION_NOT_DONE,
        OPTION_TIMEOUT,
        OPTION_LOCK_TIMEOUT,
        OPTION_STATEMENT_TIMEOUT,
        OPTION_KEEP_HOURS,
        OPTION_HELP
} option_id;

typedef struct option {
        const char *name;
        option_id id;
        bool has_value;
        uint32_t needs; /* CTL_TAKES_*; 0: every command */
} option;

static const option known[] = {
        {"--url", OPTION_URL, true, 0},
        {"--dir", OPTION_DIR, true, CTL_TAKES_DIR},
        {"--area", OPTION_AREA, true, CTL_TAKES_AREA},
        {"--json", OPTION_JSON, false, CTL_TAKES_JSON},
        {"--dry-run", OPTION_DRY_RUN, false, CTL_TAKES_DRY_RUN},
        {"--key-type", OPTION_KEY_TYPE, true, CTL_TAKES_KEY_TYPE},
        {"--shard", OPTION_SHARD, true, CTL_TAKES_SHARD},
        {"--version", OPTION_VERSION, true, CTL_TAKES_MARK},
        {"--done", OPTION_DONE, false, CTL_TAKES_MARK},
        {"--not-done", OPTION_NOT_DONE, false, CTL_TAKES_MARK},
        {"--timeout", OPTION_TIMEOUT, true, 0},
        {"--lock-timeout", OPTION_LOCK_TIMEOUT, true, CTL_TAKES_LIMITS},
        {"--statement-timeout", OPTION_STATEMENT_TIMEOUT, true, CTL_TAKES_LIMITS},
        {"--keep-hours", OPTION_KEEP_HOURS, true, CTL_TAKES_KEEP},
        {"--help", OPTION_HELP, false, 0},
        {"-h", OPTION_HELP, false, 0},
};

static const option *find(const char *word, size_t size)
{
        for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
                if (strlen(known[i].name) == size && memcmp(known[i].name, word, size) == 0)
                        return &known[i];
        return NULL;
}

static void append(const char ***list, size_t *n, const char *text)
{
        *list = ctl_resize(*list, *n + 1, sizeof **list);
        (*list)[(*n)++] = text;
}

static bool read_ms(const char *name, const char *text, uint32_t *out)
{
        char *end;
        unsigned long value;
        errno = 0;
        value = strtoul(text, &end, 10);
        if (errno || *end || end == text || text[0] == '-' || value == 0 || value > 86400000ul) {
                ctl_complain("%s %s: expected milliseconds, from 1 to 86400000 (a day)", name, text);
                return false;
        }
        *out = (uint32_t)value;
        return true;
}

static bool read_hours(const char *name, const char *text, uint32_t *out)
{
        char *end;
        unsigned long value;
        errno = 0;
        value = strtoul(text, &end, 10);
        if (errno || *end || end == text || text[0] == '-' || value == 0 || value > 87600) {
                ctl_complain("%s %s: expected hours, from 1 to 87600 (ten years)", name, text);
                return false;
        }
        *out = (uint32_t)value;
        return true;
}

static bool set(ctl_options *o, const option *given, const char *value)
{
        switch (given->id) {
        case OPTION_URL:
                o->url = value;
                return true;
        case OPTION_DIR:
                o->dir = value;
                return true;
        case OPTION_AREA:
                append(&o->areas, &o->n_areas, value);
                return true;
        case OPTION_JSON:
                o->json = true;
                return true;
        case OPTION_DRY_RUN:
                o->dry_run = true;
                return true;
        case OPTION_KEY_TYPE:
                o->key_type = value;
                return true;
        case OPTION_SHARD:
                append(&o->shards, &o->n_shards, value);
                return true;
        case OPTION_VERSION:
                o->version = value;
                return true;
        case OPTION_DONE:
                o->done = true;
                return true;
        case OPTION_NOT_DONE:
                o->not_done = true;
                return true;
        case OPTION_TIMEOUT:
                return read_ms(given->name, value, &o->timeout_ms);
        case OPTION_LOCK_TIMEOUT:
                return read_ms(given->name, value, &o->lock_timeout_ms);
        case OPTION_STATEMENT_TIMEOUT:
                return read_ms(given->name, value, &o->statement_timeout_ms);
        case OPTION_KEEP_HOURS:
                return read_hours(given->name, value, &o->keep_hours);
        case OPTION_HELP:
                o->help = true;
                return true;
        }
        return false;
}

static bool take_option(ctl_options *o, uint32_t allowed, int argc, char **argv, int *i)
{
        const char *word = argv[*i];
        const char *equals = strchr(word, '=');
        size_t size = equals ? (size_t)(equals - word) : strlen(word);
        const option *given = find(word, size);
        const char *value = NULL;
        if (!given || (given->needs & ~allowed) != 0) {
                ctl_complain("%s option %.*s; `dalctl COMMAND --help` lists what a command takes",
                             given ? "this command does not take the" : "there is no", (int)size, word);
                return false;
        }
        if (!given->has_value && equals) {
                ctl_complain("%s takes no value", given->name);
                return false;
        }
        if (given->has_value) {
                value = equals ? equals + 1 : *i + 1 < argc ? argv[++*i] : NULL;
                if (!value || !value[0]) {
                        ctl_complain("%s needs a value", given->name);
                        return false;
                }
        }
        return set(o, given, value);
}

bool ctl_options_parse(int argc, char **argv, uint32_t allowed, ctl_options *o)
{
        bool only_words = false;
        o->timeout_ms = 10000;
        for (int i = 0; i < argc; i++) {
                /* A negative number is a word: a key to locate. */
                bool is_number = argv[i][0] == '-' && argv[i][1] >= '0' && argv[i][1] <= '9';
                if (!only_words && strcmp(argv[i], "--") == 0) {
                        only_words = true;
                } else if (!only_words && argv[i][0] == '-' && argv[i][1] && !is_number) {
                        if (!take_option(o, allowed, argc, argv, &i))
                                return false;
                } else if (o->n_args == ((allowed & CTL_TAKES_ARG) != 0 ? 1 : 0)) {
                        ctl_complain("unexpected word \"%s\"; `dalctl COMMAND --help` shows the form",
                                     argv[i]);
                        return false;
                } else {
                        append(&o->args, &o->n_args, argv[i]);
                }
        }
        return true;
}

void ctl_options_free(ctl_options *o)
{
        dal_mem_free(o->areas);
        dal_mem_free(o->shards);
        dal_mem_free(o->args);
}
