/* SPDX-License-Identifier: MIT */
/* fault TOPIC ENGINE [FILTER]: what happens when things go wrong. */

#include "fault.h"

static const struct {
        const char *name;
        const struct conf_case *cases;
        bool is_played; /* faults that the fake server gives on demand, and no other */
} topics[] = {
        {"killed", killed_fault, false},         {"pool", pool_fault, false},
        {"contention", contention_fault, false}, {"commit", commit_fault, true},
        {"stress", stress_fault, false},
};

int main(int argc, char **argv)
{
        static const char usage[] = "fault killed|pool|contention|commit|stress ENGINE [FILTER]";
        const struct conf_case *chosen[2] = {NULL, NULL};
        const struct quirks *engine = argc >= 3 ? conf_find_quirks(argv[2], strcspn(argv[2], ":")) : NULL;

        for (size_t i = 0; argc >= 3 && i < sizeof topics / sizeof topics[0]; i++) {
                if (strcmp(topics[i].name, argv[1]) != 0)
                        continue;
                if (topics[i].is_played && engine && engine->dialect != DAL_DIALECT_common) {
                        fprintf(stderr,
                                "fault %s is played on the fake server alone: give it fake or fakemodal\n",
                                argv[1]);
                        return 64;
                }
                chosen[0] = topics[i].cases;
        }
        /* Without its topic: then too few arguments are left. */
        return conf_main(chosen[0] ? argc - 1 : 0, argv + 1, usage, chosen);
}
