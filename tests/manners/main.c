/* SPDX-License-Identifier: MIT */
/* manners ENGINE [FILTER]: the library as a guest in somebody else's process. */

#include <pthread.h>
#include <stdlib.h>

#include "manners.h"

enum {
        N_FIRST = 6
};

struct first {
        struct conf *c;
        const char *url;
        dal_status status;
        dal_error err;
};

static void *use_first(void *arg)
{
        struct first *f = arg;

        f->status = use_briefly(f->c, f->url, &f->err);
        return NULL;
}

/*
 * The very first use of the client library, by several threads at once: each gets its connection, and the process is
 * as it was. Before all else, because a process has but one first time.
 */
static bool first_use(const char *engine)
{
        struct snapshot *before = snapshot_take();
        struct first threads[N_FIRST];
        struct conf c = {.q = conf_find_quirks(engine, strlen(engine))};
        pthread_t ids[N_FIRST];
        const char *what, *url = c.q && c.q->env ? getenv(c.q->env) : NULL;
        bool ok = true;

        if (url)
                c.driver = c.q->driver();
        for (int i = 0; url && i < N_FIRST; i++) {
                threads[i] = (struct first){.c = &c, .url = url};
                pthread_create(&ids[i], NULL, use_first, &threads[i]);
        }
        for (int i = 0; url && i < N_FIRST; i++) {
                pthread_join(ids[i], NULL);
                if (threads[i].status != DAL_OK)
                        ok = (fprintf(stderr, "the first use: %s\n", threads[i].err.message), false);
        }
        what = snapshot_compare(before);
        if (what)
                fprintf(stderr, "the first use has changed %s\n", what);
        return ok && !what;
}

int main(int argc, char **argv)
{
        static const struct conf_case *const topics[] = {
                life_manners,   sigpipe_manners, hosts_manners,  fork_manners,
                locale_manners, names_manners,   cancel_manners, NULL};

        if (argc > 1 && !first_use(argv[1]))
                return 1;
        return conf_main(argc, argv, "manners ENGINE [FILTER]", topics);
}
