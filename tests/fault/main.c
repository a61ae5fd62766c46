/* SPDX-License-Identifier: MIT */
/* fault TOPIC ENGINE [FILTER]: what happens when things go wrong. */

#include "fault.h"

static const struct {
        const char *name;
        const struct conf_case *cases;
} topics[] = {
        {"killed", killed_fault},
        {"pool", pool_fault},
        {"contention", contention_fault},
        {"commit", commit_fault},
        {"stress", stress_fault},
};

int main(int argc, char **argv)
{
        static struct conf c;
        const struct conf_case *chosen[2] = {NULL, NULL};
        int n_failed;

        for (size_t i = 0; argc >= 3 && i < sizeof topics / sizeof topics[0]; i++) {
                if (strcmp(topics[i].name, argv[1]) == 0)
                        chosen[0] = topics[i].cases;
        }
        if (!chosen[0] || argc > 4) {
                fprintf(stderr, "usage: fault killed|pool|contention|commit|stress ENGINE [FILTER]\n");
                return 64;
        }
        if (!conf_begin(&c, argv[2]))
                return 1;
        n_failed = conf_run(&c, argv[2], chosen, argc > 3 ? argv[3] : NULL);
        conf_end(&c);
        return n_failed ? 1 : 0;
}
