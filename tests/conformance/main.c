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
                                                         cursors_conf,
                                                         errors_conf,
                                                         transactions_conf,
                                                         transactions_end_conf,
                                                         cluster_conf,
                                                         fanout_conf,
                                                         queue_conf,
                                                         fold_conf,
                                                         ahead_conf,
                                                         batch_conf,
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
                                                         bulk_trouble_conf,
                                                         NULL};

        return conf_main(argc, argv, "conformance fake|sqlite|postgres|mysql|mariadb[:MODE] [FILTER]",
                         topics);
}
