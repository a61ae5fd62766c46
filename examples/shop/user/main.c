/* SPDX-License-Identifier: MIT */
/* The user service: owns `users` and registers customers. */
#include <stdlib.h>
#include <string.h>

#include "../common/batch.h"
#include "../common/service.h"

static const dal_stmt add_user = DAL_STMT("user.add", "INSERT INTO users (id, country) VALUES (?, ?)");

/* One row a shard: its users, and the orders of customers that nobody registered (there must be none). */
static const dal_stmt count_users =
        DAL_STMT("user.count", "SELECT (SELECT COUNT(*) FROM users),"
                               " (SELECT COUNT(*) FROM orders o LEFT JOIN users u ON u.id = o.customer_id"
                               "  WHERE o.customer_id IS NOT NULL AND u.id IS NULL)");

/* Users wait here for their shard's transaction. */
static struct batch *batches; /* by shard number */
static uint16_t n_batches;

static dal_status register_user(dal_cluster *cluster, int64_t id, const char *country, dal_error *err)
{
        /* A user lives where the key of its id leads, like everything else that is keyed by it. */
        uint16_t shard = dal_cluster_locate(cluster, dal_key_int64(id));

        if (shard >= n_batches) {
                struct batch *more = realloc(batches, (shard + 1u) * sizeof *batches);
                if (!more)
                        return dal_fail(err, DAL_ERR_NOMEM, "out of memory");
                memset(more + n_batches, 0, (shard + 1u - n_batches) * sizeof *more);
                batches = more;
                n_batches = (uint16_t)(shard + 1);
        }
        batches[shard].stmt = &add_user;
        return batch_add(&batches[shard], err, "is", id, country);
}

static dal_status write_users(dal_cluster *cluster, dal_error *err)
{
        int64_t n_users = 0;

        for (uint16_t shard = 0; shard < n_batches; shard++) {
                size_t n_rows = batches[shard].n_rows;
                dal_status s = batch_write(&batches[shard], cluster, shard, err);
                batch_fini(&batches[shard]);
                if (s)
                        return s;
                n_users += (int64_t)n_rows;
        }
        free(batches);
        batches = NULL;
        n_batches = 0;
        service_reply("done", "i", n_users);
        return DAL_OK;
}

static dal_status audit(dal_cluster *cluster, dal_error *err)
{
        dal_rows *rows;
        bool found = false;
        int64_t n_users, n_unknown;
        dal_status s = dal_fanout_query(cluster, &count_users, DAL_NO_PARAMS, &rows, err);

        if (s)
                return s;
        while ((s = dal_rows_next(rows, &found, err)) == DAL_OK && found) {
                if ((s = dal_rows_int64(rows, 0, &n_users, err)) ||
                    (s = dal_rows_int64(rows, 1, &n_unknown, err)))
                        break;
                service_reply("users", "iii", (int64_t)dal_rows_shard(rows), n_users, n_unknown);
        }
        dal_rows_close(rows);
        if (s == DAL_OK)
                service_reply("done", "");
        return s;
}

static dal_status handle(struct service *service, const struct wire_record *record, dal_error *err)
{
        if (wire_is(record, "user", 3))
                return register_user(service->cluster, wire_number(record, 1), record->field[2], err);
        if (wire_is(record, "write", 1))
                return write_users(service->cluster, err);
        if (wire_is(record, "audit", 1))
                return audit(service->cluster, err);
        return service_unknown(service, record, err);
}

int main(int argc, char **argv)
{
        struct service service = {
                .name = "shop_user",
                .about = "The user service of the example shop: registers customers.\n\n"
                         "  user ID COUNTRY   a customer to register\n"
                         "  write             write them; answers: done N\n"
                         "  audit             answers for each shard: users SHARD N UNREGISTERED_ORDERS\n",
        };

        return service_main(&service, argc, argv, handle);
}
