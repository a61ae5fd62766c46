/* SPDX-License-Identifier: MIT */
/* dalctl resolve and dalctl outcome purge: what became of COMMITs whose answer was lost. */
#include "ctl.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

/* ---- resolve -------------------------------------------------------------------------------------------- */

static int exit_of(dal_outcome outcome)
{
        return outcome == DAL_OUTCOME_COMMITTED       ? CTL_CLEAN
               : outcome == DAL_OUTCOME_NOT_COMMITTED ? CTL_PENDING
                                                      : CTL_FAILED;
}

static void print_outcome(const ctl_options *options, dal_outcome outcome, const dal_error *err)
{
        if (options->json) {
                json_t *object =
                        json_pack("{s:s, s:s, s:s?}", "token", options->args[0], "outcome",
                                  dal_outcome_name(outcome), "why", err->message[0] ? err->message : NULL);
                (void)json_dumpf(object, stdout, 0);
                (void)printf("\n");
                json_decref(object);
        } else {
                (void)printf("%s\n", dal_outcome_name(outcome));
        }
}

int ctl_resolve(const ctl_options *options)
{
        dal_outcome outcome = DAL_OUTCOME_UNKNOWN;
        dal_error err = DAL_ERROR_INIT;
        ctl_targets targets;
        dal_status status;
        if (options->n_args != 1) {
                ctl_complain("resolve needs a token, the 32 hex digits that came with DAL_ERR_IN_DOUBT");
                return CTL_USAGE;
        }
        status = ctl_targets_open(options, false, &targets, &err);
        if (status) {
                ctl_complain("%s", err.message);
                ctl_targets_close(&targets);
                return CTL_FAILED;
        }
        status = dal_resolve(targets.cluster, options->args[0], options->timeout_ms, &outcome, &err);
        if (status)
                ctl_complain("%s", err.message);
        if (status != DAL_ERR_ARG)
                print_outcome(options, outcome, &err);
        ctl_targets_close(&targets);
        return status == DAL_ERR_ARG ? CTL_USAGE : exit_of(outcome);
}

/* ---- outcome purge ----------------------------------------------------------------------------------------- */

/* Says on how many databases it failed. */
static size_t purge_all(const ctl_options *options, const ctl_targets *targets, json_t *list)
{
        size_t n_failed = 0;
        for (size_t i = 0; i < targets->n_targets; i++) {
                const ctl_target *t = &targets->targets[i];
                dal_error err = DAL_ERROR_INIT;
                uint64_t n = 0;
                dal_status status;
                if (t->shard == DAL_NO_SHARD)
                        continue;
                status = dal_cluster_purge_outcomes(targets->cluster, t->i_shard, options->keep_hours * 3600u,
                                                    options->timeout_ms, &n, &err);
                n_failed += status != DAL_OK;
                if (status)
                        ctl_complain("%s: %s", t->label, err.message);
                else if (!options->json)
                        (void)printf("%s  %llu deleted\n", t->label, (unsigned long long)n);
                (void)json_array_append_new(list,
                                            json_pack("{s:i, s:I, s:s?}", "shard", (int)t->shard, "deleted",
                                                      (json_int_t)n, "error", status ? err.message : NULL));
        }
        return n_failed;
}

int ctl_outcome_purge(const ctl_options *options)
{
        dal_error err = DAL_ERROR_INIT;
        json_t *list = json_array();
        ctl_targets targets;
        size_t n_failed = 1;
        if (ctl_targets_open(options, false, &targets, &err) != DAL_OK)
                ctl_complain("%s", err.message);
        else
                n_failed = purge_all(options, &targets, list);
        if (options->json) {
                (void)json_dumpf(list, stdout, JSON_INDENT(2));
                (void)printf("\n");
        }
        json_decref(list);
        ctl_targets_close(&targets);
        return n_failed ? CTL_FAILED : CTL_CLEAN;
}
