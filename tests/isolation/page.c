/* SPDX-License-Identifier: MIT */
/* Prints docs/isolation.md from the table that the tests assert. */

#include "isolation.h"

static const char intro[] =
        "# Isolation\n"
        "\n"
        "Made by `tests/isolation/page.c` from the table in `tests/isolation/expected.c`: don't edit it by "
        "hand.\n"
        "\n"
        "What two transactions at the same time can do to each other, by isolation level and engine. Every "
        "cell is\n"
        "played step by step on a real server by the tests `isolation_<engine>`, which fail when an engine "
        "answers\n"
        "otherwise: SQLite 3.40 (WAL), PostgreSQL 15 and 18, MySQL 9.7 and MariaDB 10.11.\n"
        "\n"
        "A transaction asks for its level by `dal_tx_options.isolation`. Without one it gets the server's "
        "own: READ\n"
        "COMMITTED on PostgreSQL, REPEATABLE READ on MySQL and MariaDB. So say which one a transaction needs "
        "as soon\n"
        "as it reads something that its writes depend on.\n"
        "\n"
        "| a cell says | and means |\n"
        "|---|---|\n"
        "| **happens** | the engine lets it happen at this level, without an error |\n"
        "| older version | prevented: the reader sees the version before the change; nobody waits |\n"
        "| waits | prevented: one transaction waits until the other one has ended |\n"
        "| `serialization`, `deadlock`, `stale_row` | prevented: one transaction fails with this class; "
        "`dal_cluster_run()` runs it again |\n";

static const char about_names[] =
        "\n"
        "The short names are those of the literature (Berenson et al. 1995, Adya 1999):\n"
        "\n"
        "| name | what goes wrong |\n"
        "|---|---|\n";

static const char about_levels[] = "\n"
                                   "SQLite has one level, whatever is asked for: the library begins a "
                                   "writing transaction by `BEGIN IMMEDIATE`,\n"
                                   "so that writers exclude each other from their first statement on, and a "
                                   "`read_only` one reads a snapshot.\n";

static const char about_read_committed[] =
        "\n"
        "Each statement sees what is committed when it begins, so two statements of one transaction may see "
        "different\n"
        "worlds. `UPDATE ... SET qty = qty - ?` is safe: it reads and writes in one step.\n";

static const char about_repeatable_read[] =
        "\n"
        "The level with the greatest differences. Reads come from one snapshot everywhere, but a write to a "
        "row that\n"
        "changed since is refused by PostgreSQL and goes through on MySQL and MariaDB, over the other one's "
        "update: a\n"
        "program that was right on PostgreSQL loses updates there. MariaDB refuses it with\n"
        "`innodb_snapshot_isolation=ON`, which is off by default before 11.6.2, once the transaction has "
        "read anything\n"
        "without a lock.\n";

static const char about_serializable[] =
        "\n"
        "Nothing of the above happens on any engine. PostgreSQL finds out at the latest at COMMIT, also in "
        "transactions\n"
        "that only read; MySQL and MariaDB turn every read into a locking one, so readers and writers wait "
        "for each\n"
        "other and deadlocks are everyday events. Either way a transaction must be ready to run again.\n";

static const char remedies[] =
        "\n"
        "## What to do about it\n"
        "\n"
        "1. **One statement** that carries its condition, `UPDATE stock SET qty = qty - ? WHERE sku = ? AND "
        "qty >= ?`,\n"
        "   and a look at the count. Right at every level on every engine, and the cheapest.\n"
        "2. **A locking read**, `DAL_STMT_LOCK_UPDATE`, for read, decide, write. The others wait. It must be "
        "the\n"
        "   transaction's first read of these rows: a plain one before it may have seen an older version. It "
        "locks\n"
        "   rows that are there: what a search did not find can still be added by others.\n"
        "3. **A version column** and `dal_tx_exec_versioned()`, where waiting would be worse than doing it "
        "again, or\n"
        "   where the version was read in an earlier transaction.\n"
        "4. **SERIALIZABLE**, where the decision depends on what is *not* there (G2), or on too many rows to "
        "lock.\n"
        "\n"
        "All but the first may fail with contention (`DAL_ERR_CONFLICT`); `dal_cluster_run()` rolls back and "
        "runs the\n"
        "function again, up to `max_attempts` times within the deadline. Pass such a failure on: on MySQL "
        "and MariaDB\n"
        "the whole transaction is gone after a deadlock, savepoints included, and what was executed next "
        "would be\n"
        "committed by itself; the library refuses it.\n"
        "\n"
        "The remedies for P4 and G2-item, played on every engine:\n";

static const char examples[] =
        "\n"
        "Read, decide, write with a locking read:\n"
        "\n"
        "```c\n"
        "#include <dal/dal.h>\n"
        "\n"
        "static const dal_stmt find_credit = DAL_STMT(\"find_credit\",\n"
        "        \"SELECT credit FROM customer WHERE id = ?\", .flags = DAL_STMT_LOCK_UPDATE);\n"
        "static const dal_stmt set_credit = DAL_STMT(\"set_credit\", \"UPDATE customer SET credit = ? WHERE "
        "id = ?\");\n"
        "\n"
        "static dal_status halve_credit(dal_tx *tx, void *arg, dal_error *err)\n"
        "{\n"
        "        const int64_t *customer = arg;\n"
        "        int64_t credit = 0;\n"
        "        dal_rows *rows;\n"
        "        dal_status s = dal_tx_query(tx, &find_credit, DAL_PARAMS(dal_int64(*customer)), &rows, "
        "err);\n"
        "\n"
        "        if (s == DAL_OK)\n"
        "                s = dal_rows_first(rows, err);\n"
        "        if (s == DAL_OK)\n"
        "                s = dal_rows_int64(rows, 0, &credit, err);\n"
        "        dal_rows_close(rows);\n"
        "        if (s)\n"
        "                return s;\n"
        "        return dal_tx_exec(tx, &set_credit, DAL_PARAMS(dal_int64(credit / 2), "
        "dal_int64(*customer)), NULL, err);\n"
        "}\n"
        "```\n"
        "\n"
        "The same without making anybody wait, by a version column:\n"
        "\n"
        "```c\n"
        "#include <dal/dal.h>\n"
        "\n"
        "struct article {\n"
        "        int64_t id, version;\n"
        "        const char *text;\n"
        "};\n"
        "\n"
        "static const dal_stmt save_text = DAL_STMT(\"save_text\",\n"
        "        \"UPDATE article SET body = ?, version = version + 1 WHERE id = ? AND version = ?\");\n"
        "\n"
        "static dal_status save(dal_tx *tx, void *arg, dal_error *err)\n"
        "{\n"
        "        const struct article *a = arg;\n"
        "\n"
        "        /* No row: somebody else has saved since. The class is stale_row. */\n"
        "        return dal_tx_exec_versioned(tx, &save_text,\n"
        "                                     DAL_PARAMS(dal_text(a->text), dal_int64(a->id), "
        "dal_int64(a->version)), err);\n"
        "}\n"
        "```\n"
        "\n"
        "When the version is read in the same function, running it again reads the new one, and that is all "
        "there is to\n"
        "do. A version that came from outside, as `save()` has it, stays stale however often the function "
        "runs: set\n"
        "`max_attempts` to 1 and tell the user on `DAL_CLASS_STALE_ROW`.\n";

/* --- Tables --------------------------------------------------------------------------------------------- */

static bool has_column(enum iso_column column, dal_isolation level)
{
        return iso_columns[column].any_level || iso_columns[column].level == level;
}

static void print_header(const char *first, dal_isolation level)
{
        printf("\n| %s |", first);
        for (int i = 0; i < ISO_N_COLUMNS; i++)
                if (has_column((enum iso_column)i, level))
                        printf(" %s |", iso_columns[i].title);
        printf("\n|---|");
        for (int i = 0; i < ISO_N_COLUMNS; i++)
                if (has_column((enum iso_column)i, level))
                        printf("---|");
        printf("\n");
}

static void print_rows(dal_isolation level, bool remedies_wanted)
{
        for (const struct iso_script *script = iso_scripts; script->code; script++) {
                if (script->is_remedy != remedies_wanted)
                        continue;
                if (remedies_wanted)
                        printf("| %s |", script->name);
                else
                        printf("| %s: %s |", script->code, script->name);
                for (int i = 0; i < ISO_N_COLUMNS; i++)
                        if (has_column((enum iso_column)i, level))
                                printf(" %s |", iso_outcome_name(iso_expected(script, (enum iso_column)i)));
                printf("\n");
        }
}

/* At a level, with the servers' own settings. */
static bool is_prevented_everywhere(const struct iso_script *script, dal_isolation level)
{
        for (int i = 0; i < ISO_N_COLUMNS; i++)
                if (has_column((enum iso_column)i, level) &&
                    iso_expected(script, (enum iso_column)i) == ISO_ALLOWED)
                        return false;
        return true;
}

static void print_common(dal_isolation level)
{
        const char *separator = "";

        printf("| %s | ", iso_level_name(level));
        for (const struct iso_script *script = iso_scripts; script->code; script++)
                if (!script->is_remedy && is_prevented_everywhere(script, level)) {
                        printf("%s%s", separator, script->code);
                        separator = ", ";
                }
        separator = "";
        printf(" | ");
        for (const struct iso_script *script = iso_scripts; script->code; script++)
                if (!script->is_remedy && !is_prevented_everywhere(script, level)) {
                        printf("%s%s", separator, script->code);
                        separator = ", ";
                }
        printf("%s |\n", separator[0] ? "" : "nothing");
}

void iso_print_page(void)
{
        static const struct {
                dal_isolation level;
                const char *text;
        } levels[] = {
                {DAL_ISOLATION_READ_COMMITTED, about_read_committed},
                {DAL_ISOLATION_REPEATABLE_READ, about_repeatable_read},
                {DAL_ISOLATION_SERIALIZABLE, about_serializable},
        };
        const size_t n = sizeof levels / sizeof levels[0];

        fputs(intro, stdout);
        printf("\n## What can be relied on everywhere\n\n"
               "| level | prevented on every engine | happens on some |\n|---|---|---|\n");
        for (size_t i = 0; i < n; i++)
                print_common(levels[i].level);
        fputs(about_names, stdout);
        for (const struct iso_script *script = iso_scripts; script->code; script++)
                if (!script->is_remedy)
                        printf("| %s: %s | %s |\n", script->code, script->name, script->text);
        fputs(about_levels, stdout);
        for (size_t i = 0; i < n; i++) {
                printf("\n## %s\n", iso_level_name(levels[i].level));
                fputs(levels[i].text, stdout);
                print_header("anomaly", levels[i].level);
                print_rows(levels[i].level, false);
        }
        fputs(remedies, stdout);
        for (size_t i = 0; i < n; i++) {
                print_header(iso_level_name(levels[i].level), levels[i].level);
                print_rows(levels[i].level, true);
        }
        fputs(examples, stdout);
}
