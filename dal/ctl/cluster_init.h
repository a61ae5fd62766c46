/* SPDX-License-Identifier: MIT */
#ifndef DALCTL_CLUSTER_INIT_H
#define DALCTL_CLUSTER_INIT_H

/* Makes a cluster; says nothing itself, so that it can be called from elsewhere. */

#include <dal/dal.h>

#define CTL_CLUSTER_ID_SIZE 33 /* 32 hex digits and a NUL */

typedef struct ctl_init_options {
        const char *catalog_url;
        const char *const *shard_urls; /* in order: shard 0, 1, ... */
        uint16_t n_shards;
        const char *dir;        /* the schema folder that has the area "dal" */
        const char *applied_by; /* recorded in dal_schema_history */
        uint32_t timeout_ms;    /* for each connect and each statement */
        void (*progress)(void *arg, const char *what, const char *url); /* before each step; may be NULL */
        void *progress_arg;
} ctl_init_options;

typedef struct ctl_init_report {
        char cluster_id[CTL_CLUSTER_ID_SIZE];
        bool existed; /* the same cluster was there already: nothing was done */
        uint32_t n_scripts;
} ctl_init_report;

/*
 * Shards first, then the catalog in one transaction: until that commits there is no cluster, and the same call can
 * be made again. Errors, STATE: another cluster is in the way; whatever connecting and the scripts fail with.
 */
dal_status ctl_cluster_make(const ctl_init_options *options, ctl_init_report *out, dal_error *err);

#endif
