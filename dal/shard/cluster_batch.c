/* SPDX-License-Identifier: MIT */
#include <dal/mem.h>

#include "conn/pool_state.h"
#include "run/batch_impl.h"
#include "shard/cluster_state.h"

/* A batch of independent statements, seen from the cluster: where it runs, and when again. */
struct origin {
        const char *here;
        dal_cluster *cluster;
        dal_key key;
        dal__shard *shard; /* of the lease */
        uint64_t random;
};

static dal_status acquire(void *arg, dal_deadline deadline, dal_conn **out, uint16_t *shard_out,
                          dal_error *err)
{
        struct origin *origin = arg;
        dal_status s = dal__cluster_begin_call(origin->cluster, err);

        if (s)
                return s;
        origin->shard = dal__cluster_shard_of(origin->cluster, &origin->key, err);
        if (origin->shard) {
                *shard_out = origin->shard->number;
                s = dal__cluster_acquire(origin->here, origin->cluster, origin->shard, false, dal_clock_now(),
                                         deadline, out, err);
        } else {
                s = err->status;
        }
        dal__cluster_end_call(origin->cluster);
        return s;
}

static void release(void *arg, dal_conn *conn)
{
        struct origin *origin = arg;

        dal_pool_release(origin->shard->pool, conn);
}

static bool pause_before(void *arg, uint32_t attempt, dal_deadline deadline, const dal_error *failure)
{
        struct origin *origin = arg;
        bool again = false;

        if (dal__cluster_begin_call(origin->cluster, NULL))
                return false;
        again = dal__cluster_pause(origin->cluster, origin->here, attempt, 0, false, deadline,
                                   &origin->random, failure);
        dal__cluster_end_call(origin->cluster);
        return again;
}

static dal_deadline deadline_of(void *arg)
{
        const struct origin *origin = arg;

        return dal__cluster_deadline(origin->cluster, 0);
}

dal_status dal_cluster_batch_at(const char *here, dal_cluster *cluster, dal_key key, dal_batch **out,
                                dal_error *err)
{
        static const dal__batch_source source = {acquire, release, pause_before, deadline_of, dal_mem_free};
        struct origin *origin;
        dal_error unseen;
        dal_status s;

        if (!out)
                return dal_error_set(err, DAL_CLASS_ARGUMENT,
                                     "dal_cluster_batch() needs a place for the batch");
        *out = NULL;
        if (!cluster)
                return dal_error_set(err, DAL_CLASS_ARGUMENT,
                                     "dal_cluster_batch() needs a cluster, not NULL");
        if (!dal__cluster_shard_of(cluster, &key, err ? err : &unseen))
                return DAL_ERR_ROUTE;
        origin = dal_mem_alloc(sizeof *origin);
        if (!origin)
                return dal_error_set(err, DAL_CLASS_NO_MEMORY, "out of memory for a batch");
        s = dal__batch_new(out, err);
        if (s) {
                dal_mem_free(origin);
                return s;
        }
        origin->here = here;
        origin->cluster = cluster;
        origin->key = key;
        (*out)->source = &source;
        (*out)->arg = origin;
        return DAL_OK;
}
