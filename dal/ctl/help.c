/* SPDX-License-Identifier: MIT */
#include "ctl.h"

#include <stdio.h>
#include <string.h>

static const char general[] =
        "dalctl - schema scripts and shards of databases used through dal\n"
        "\n"
        "USAGE\n"
        "  dalctl COMMAND [OPTIONS]\n"
        "\n"
        "COMMANDS\n"
        "  schema apply     apply the pending schema scripts, on every shard\n"
        "  schema status    show which scripts are in place where\n"
        "  schema plan      print the statements that apply would run\n"
        "  schema mark      settle a statement whose end is not known\n"
        "  cluster init     make a cluster: a catalog and its shards\n"
        "  cluster show     list the shards and what they own\n"
        "  locate KEY       tell which shard owns a key\n"
        "  resolve TOKEN    tell how a transaction ended whose COMMIT got no answer\n"
        "  outcome purge    delete the tokens of transactions that ended long ago\n"
        "  ping             ask every database for a sign of life\n"
        "  version          print the version and the drivers built in\n"
        "\n"
        "OPTIONS OF ALL COMMANDS\n"
        "  --url URL        the catalog, or a single database; else the environment variable DAL_URL, which "
        "keeps\n"
        "                   a password out of the list of processes\n"
        "  --timeout MS     for connecting, and for an apply that is running elsewhere to end [10000]\n"
        "  --help           `dalctl COMMAND --help` says more about a command\n"
        "\n"
        "EXIT STATUS\n"
        "  0 clean   1 scripts are pending   2 drift   3 failed   5 locked by another apply   64 wrong "
        "usage\n"
        "\n"
        "Colours are used on a terminal unless NO_COLOR is set.\n";

static const char areas_help[] = "  --dir DIR        the schema folder: DIR/AREA/DIALECT/NNNN_name.sql "
                                 "[schema, else the installed one]\n"
                                 "  --area NAME      only this area; may be repeated [all of DIR, the "
                                 "library's own area \"dal\" first]\n";

static const char apply_help[] =
        "dalctl schema apply - apply the pending schema scripts, on every shard\n"
        "\n"
        "USAGE\n"
        "  dalctl schema apply [--url URL] [--dir DIR] [--area NAME]... [--dry-run] [--json]\n"
        "\n"
        "Every script is applied once to each database, in the order of the versions, under a lock, and "
        "recorded in\n"
        "the table dal_schema_history with its SHA-256. Where the engine can (SQLite, PostgreSQL) a script "
        "is one\n"
        "transaction; `-- dal: tx=off` in its first lines asks for none, as CREATE INDEX CONCURRENTLY needs "
        "it. Else\n"
        "(MySQL, MariaDB) it is applied statement by statement: after a failure mend the script and apply "
        "again, and\n"
        "it resumes at the statement that failed. The shards are taken one after the other; the first "
        "failure stops.\n"
        "\n"
        "OPTIONS\n"
        "%s"
        "  --dry-run        as `dalctl schema plan`\n"
        "  --lock-timeout MS        for a table lock inside the server, each of 5 tries [2000]\n"
        "  --statement-timeout MS   for one statement [600000]\n"
        "  --json           one JSON object on standard output\n"
        "\n"
        "EXIT STATUS\n"
        "  0 all in place   2 an applied script was changed, or its file is gone and something is pending: "
        "nothing "
        "done\n  there   3 a script failed, or a "
        "statement\n"
        "  is uncertain (see `dalctl schema mark --help`)   5 another apply is running\n"
        "\n"
        "EXAMPLES\n"
        "  dalctl schema apply --url sqlite:shop.db\n"
        "  DAL_URL=postgres://shop@localhost/catalog dalctl schema apply --area orders --area stock\n";

static const char status_help[] =
        "dalctl schema status - show which scripts are in place where\n"
        "\n"
        "USAGE\n"
        "  dalctl schema status [--url URL] [--dir DIR] [--area NAME]... [--json]\n"
        "\n"
        "One line for each script, one column for each database; with more than 8 of them they are grouped "
        "by state.\n"
        "  applied          recorded, and the file is unchanged\n"
        "  pending          not applied yet, or being applied right now\n"
        "  failed at n/m    statements before n are in place; the next apply resumes at n\n"
        "  uncertain at n/m statement n was begun and its end is not recorded: see `dalctl schema mark "
        "--help`\n"
        "  file changed     applied, and the file has changed since: restore it, put changes into a new "
        "script\n"
        "  file gone        applied, and there is no file any more: apply refuses to add anything to it\n"
        "Nothing is written.\n"
        "\n"
        "OPTIONS\n"
        "%s"
        "  --json           one JSON object on standard output\n"
        "\n"
        "EXIT STATUS\n"
        "  0 all in place   1 something is pending   2 drift   3 failed or uncertain, or a database is down\n"
        "\n"
        "EXAMPLES\n"
        "  dalctl schema status --url mysql://shop@db1/catalog\n"
        "  dalctl schema status --json | jq -r '.scripts[] | select(.state != \"applied\") | .path'\n";

static const char plan_help[] =
        "dalctl schema plan - print the statements that apply would run\n"
        "\n"
        "USAGE\n"
        "  dalctl schema plan [--url URL] [--dir DIR] [--area NAME]... [--json]\n"
        "\n"
        "Prints, for each database, the statements in the order in which `dalctl schema apply` would run "
        "them now.\n"
        "Nothing is written; the right to read dal_schema_history is enough.\n"
        "\n"
        "OPTIONS\n"
        "%s"
        "  --json           one JSON object on standard output\n"
        "\n"
        "EXIT STATUS\n"
        "  0 nothing to do   1 something to do   2 drift: apply would refuse   3 failed or uncertain\n"
        "  A file that is gone is drift once something is pending; before that apply and plan only warn.\n"
        "\n"
        "EXAMPLES\n"
        "  dalctl schema plan --url sqlite:shop.db --area orders\n";

static const char mark_help[] =
        "dalctl schema mark - settle a statement whose end is not known\n"
        "\n"
        "USAGE\n"
        "  dalctl schema mark [--url URL] [--dir DIR] --area NAME --version NNNN (--done | --not-done)\n"
        "                     [--shard N | --shard catalog]\n"
        "\n"
        "Outside a transaction a statement and the record of it can't be one step. If the connection or the "
        "program\n"
        "died in between, nobody but you can say whether the statement took effect: look, then say --done "
        "or\n"
        "--not-done. The next apply goes on from there. --done may also be said of a statement that failed "
        "and that\n"
        "you carried out by hand.\n"
        "\n"
        "OPTIONS\n"
        "  --dir DIR        the schema folder [schema, else the installed one]\n"
        "  --area NAME      the area of the script\n"
        "  --version NNNN   its version\n"
        "  --shard N        which database, when there are several; `dalctl schema status` shows it\n"
        "\n"
        "EXIT STATUS\n"
        "  0 recorded   3 there is nothing to settle, or failed   5 an apply is running\n"
        "\n"
        "EXAMPLES\n"
        "  dalctl schema mark --area orders --version 0007 --shard 3 --done\n";

static const char init_help[] =
        "dalctl cluster init - make a cluster: a catalog and its shards\n"
        "\n"
        "USAGE\n"
        "  dalctl cluster init --url CATALOG --shard URL [--shard URL]... [--dir DIR] [--json]\n"
        "\n"
        "Creates the library's own tables in the catalog and in every shard, tells each shard which one it "
        "is, and\n"
        "at last, in one transaction, writes the shard list and the slot map to the catalog: 16384 slots, "
        "divided\n"
        "evenly in contiguous ranges. Services then open the cluster by the catalog's URL. The databases "
        "must exist;\n"
        "SQLite files are created. The engines may differ. The catalog may be one of the shards.\n"
        "\n"
        "If it is cut short there is no cluster yet: run the same command again, and it goes on. With a "
        "cluster\n"
        "already there it does nothing if that has the same shards, and refuses otherwise.\n"
        "\n"
        "OPTIONS\n"
        "  --url URL        the catalog database\n"
        "  --shard URL      shard 0, 1, ... in this order. Stored as given. What it does not say of user, "
        "password\n"
        "                   and TLS files is taken from the catalog's URL when the cluster is opened, so "
        "leave\n"
        "                   passwords out\n"
        "  --dir DIR        the schema folder that holds the area \"dal\" [schema, else the installed one]\n"
        "  --json           one JSON object on standard output\n"
        "\n"
        "EXIT STATUS\n"
        "  0 made, or there already   3 refused or failed   5 an apply is running   64 a bad URL\n"
        "\n"
        "EXAMPLES\n"
        "  dalctl cluster init --url sqlite:catalog.db --shard sqlite:shop_0.db --shard sqlite:shop_1.db\n"
        "  dalctl cluster init --url postgres://shop@db1/catalog \\\n"
        "          --shard postgres://db1/shop_0 --shard postgres://db2/shop_1\n";

static const char show_help[] = "dalctl cluster show - list the shards and what they own\n"
                                "\n"
                                "USAGE\n"
                                "  dalctl cluster show [--url URL] [--json]\n"
                                "\n"
                                "EXAMPLES\n"
                                "  dalctl cluster show --url sqlite:catalog.db\n";

static const char locate_help[] =
        "dalctl locate - tell which shard owns a key\n"
        "\n"
        "USAGE\n"
        "  dalctl locate KEY [--url URL] [--key-type int64|text|uuid|bytes] [--json]\n"
        "\n"
        "KEY is hashed exactly as the services do it. Text is taken byte by byte; bytes are written in hex. "
        "A word\n"
        "after `--` is a key even if it begins with a dash.\n"
        "\n"
        "EXAMPLES\n"
        "  dalctl locate 4711 --url sqlite:catalog.db\n"
        "  dalctl locate --key-type uuid 550e8400-e29b-41d4-a716-446655440000\n";

static const char ping_help[] =
        "dalctl ping - ask every database for a sign of life\n"
        "\n"
        "USAGE\n"
        "  dalctl ping [--url URL] [--timeout MS] [--json]\n"
        "\n"
        "Connects to the catalog and to each shard, and shows engine, version, encryption, and times.\n"
        "\n"
        "EXIT STATUS\n"
        "  0 all answered   3 at least one did not\n"
        "\n"
        "EXAMPLES\n"
        "  dalctl ping --url postgres://shop@db1/catalog --timeout 2000\n";

static const char resolve_help[] =
        "dalctl resolve - tell how a transaction ended whose COMMIT got no answer\n"
        "\n"
        "USAGE\n"
        "  dalctl resolve TOKEN [--url URL] [--timeout MS] [--json]\n"
        "\n"
        "TOKEN is the 32 hex digits that came with DAL_ERR_IN_DOUBT (dal_error.outcome_token). The answer is "
        "final and\n"
        "the same each time: a transaction that is still open when it is asked about can't be committed any "
        "more.\n"
        "\n"
        "EXIT STATUS\n"
        "  0 committed   1 not committed   3 unknown: the shard can't be asked, or the token was purged   64 "
        "no "
        "token\n"
        "\n"
        "EXAMPLES\n"
        "  dalctl resolve 01000300006921c4d77be2a95d0c83f146 --url postgres://shop@db1/catalog\n";

static const char purge_help[] =
        "dalctl outcome purge - delete the tokens of transactions that ended long ago\n"
        "\n"
        "USAGE\n"
        "  dalctl outcome purge [--url URL] [--keep-hours N] [--timeout MS] [--json]\n"
        "\n"
        "On every shard, in small transactions. Services do so by themselves (outcome_keep_hours); this is for those\n"
        "that don't. A token that was purged is unknown to `dalctl resolve`. Keep them for longer than a session can\n"
        "hold a transaction open. Refused where the server's clock and this machine's differ by more than a minute.\n"
        "\n"
        "OPTIONS\n"
        "  --keep-hours N   younger ones stay [168]\n"
        "  --timeout MS     for each shard [10000]; what is left then goes the next time\n"
        "\n"
        "EXIT STATUS\n"
        "  0 done   3 failed on at least one shard\n"
        "\n"
        "EXAMPLES\n"
        "  dalctl outcome purge --url postgres://shop@db1/catalog --timeout 60000\n";

static const char version_help[] = "dalctl version - print the version and the drivers built in\n";

void ctl_help(const char *name)
{
        static const struct {
                const char *words, *text, *insert;
        } pages[] = {
                {"schema apply", apply_help, areas_help},
                {"schema status", status_help, areas_help},
                {"schema plan", plan_help, areas_help},
                {"schema mark", mark_help, NULL},
                {"cluster init", init_help, NULL},
                {"cluster show", show_help, NULL},
                {"locate", locate_help, NULL},
                {"resolve", resolve_help, NULL},
                {"outcome purge", purge_help, NULL},
                {"ping", ping_help, NULL},
                {"version", version_help, NULL},
        };
        for (size_t i = 0; name && i < sizeof pages / sizeof pages[0]; i++) {
                const char *mark;
                if (strcmp(pages[i].words, name) != 0)
                        continue;
                mark = pages[i].insert ? strstr(pages[i].text, "%s") : NULL;
                if (mark)
                        (void)printf("%.*s%s%s", (int)(mark - pages[i].text), pages[i].text, pages[i].insert,
                                     mark + 2);
                else
                        (void)fputs(pages[i].text, stdout);
                return;
        }
        (void)fputs(general, stdout);
}
