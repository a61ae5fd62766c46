/* SPDX-License-Identifier: MIT */
/* isolation ENGINE [FILTER]: plays the scripts on one engine. isolation --page: prints docs/isolation.md. */

#include "isolation.h"

#define MAX_PLAYS 256

/* One script at one level. */
struct one_play {
        struct conf *c;
        const struct iso_engine *engine;
        const struct iso_script *script;
        const struct iso_column_info *column;
        dal_isolation level;
        enum iso_outcome expected;
        char name[120];
};

static void run_play(void **state)
{
        const struct one_play *play = *state;
        struct iso_report report;

        iso_play(play->c, play->engine, play->script, play->level, play->column->setup, &report);
        if (report.outcome != play->expected)
                fail_msg("%s: expected %s, got %s: %s", play->name, iso_outcome_name(play->expected),
                         iso_outcome_name(report.outcome), report.text);
}

static size_t add_level(struct one_play *plays, size_t n, const struct one_play *like, dal_isolation level)
{
        for (const struct iso_script *script = iso_scripts; script->code; script++) {
                struct one_play *play = &plays[n++];

                assert_true(n <= MAX_PLAYS);
                *play = *like;
                play->script = script;
                play->level = level;
                play->expected = iso_expected(script, (enum iso_column)(like->column - iso_columns));
                snprintf(play->name, sizeof play->name, "isolation__%s at %s%s", script->code,
                         iso_level_name(level), strchr(like->column->title, ',') ? " with snapshots" : "");
        }
        return n;
}

static int run(const char *engine, const char *filter)
{
        static struct one_play plays[MAX_PLAYS];
        static struct CMUnitTest tests[MAX_PLAYS];
        struct one_play like;
        struct conf c;
        size_t n = 0;
        int rc = 1;

        memset(&like, 0, sizeof like);
        like.c = &c;
        like.engine = iso_find_engine(engine);
        if (!like.engine || !conf_begin(&c, engine))
                return 1;
        for (like.column = iso_columns; like.column < iso_columns + ISO_N_COLUMNS; like.column++) {
                if (strcmp(like.column->engine, engine) != 0)
                        continue;
                if (!like.column->any_level)
                        n = add_level(plays, n, &like, like.column->level);
                for (int level = DAL_ISOLATION_READ_COMMITTED;
                     like.column->any_level && level <= DAL_ISOLATION_SERIALIZABLE; level++)
                        n = add_level(plays, n, &like, (dal_isolation)level);
        }
        for (size_t i = 0; i < n; i++)
                tests[i] = (struct CMUnitTest){plays[i].name, run_play, NULL, NULL, &plays[i]};
        if (filter)
                cmocka_set_test_filter(filter);
        if (dal_conn_open(c.driver, c.dsn, NULL, SOON, &c.conn, &c.err) == DAL_OK &&
            dal_conn_script(c.conn,
                            "CREATE TABLE iso_item (id BIGINT NOT NULL PRIMARY KEY, value BIGINT NOT NULL, "
                            "version BIGINT NOT NULL)",
                            SOON, &c.err) == DAL_OK)
                rc = _cmocka_run_group_tests(engine, tests, n, NULL, NULL) != 0;
        else
                fprintf(stderr, "%s: %s\n", engine, c.err.message);
        dal_conn_close(c.conn);
        conf_end(&c);
        return rc;
}

int main(int argc, char **argv)
{
        if (argc == 2 && strcmp(argv[1], "--page") == 0) {
                iso_print_page();
                return 0;
        }
        if (argc != 2 && argc != 3) {
                fprintf(stderr, "usage: isolation ENGINE [FILTER] | isolation --page\n");
                return 64;
        }
        return run(argv[1], argc == 3 ? argv[2] : NULL);
}
