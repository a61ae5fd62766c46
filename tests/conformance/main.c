/* SPDX-License-Identifier: MIT */
/*
 * conformance ENGINE[:MODE] [FILTER]: runs the suite on one engine, with statements that travel as MODE says
 * (prepared, unnamed or text); FILTER is a pattern of case names: "cluster__*".
 */

#include <stdlib.h>

#include "conf.h"

int main(int argc, char **argv)
{
        static const struct conf_case *const topics[] = {values_conf,
                                                         statements_conf,
                                                         stale_conf,
                                                         rows_conf,
                                                         errors_conf,
                                                         transactions_conf,
                                                         transactions_end_conf,
                                                         cluster_conf,
                                                         queue_conf,
                                                         session_conf,
                                                         deadlines_conf,
                                                         contention_conf,
                                                         connect_conf,
                                                         property_conf,
                                                         paths_conf,
                                                         limits_conf,
                                                         modes_conf,
                                                         literals_conf,
                                                         outcome_conf,
                                                         outcome_number_conf,
                                                         bulk_conf,
                                                         bulk_cluster_conf,
                                                         NULL};
        static struct conf c;
        int n_failed;

        if (argc < 2 || argc > 3) {
                fprintf(stderr, "usage: conformance fake|sqlite|postgres|mysql|mariadb[:MODE] [FILTER]\n");
                return 64;
        }
        if (!conf_begin(&c, argv[1]))
                return 1;
        n_failed = conf_run(&c, argv[1], topics, argc > 2 ? argv[2] : NULL);
        conf_end(&c);
        return n_failed ? 1 : 0;
}
