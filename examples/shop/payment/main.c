/* SPDX-License-Identifier: MIT */
/* The payment service: owns `payments`; settles what was booked and reconciles it with the orders. */
#include "../common/service.h"

static const dal_stmt settle_all = DAL_STMT("payment.settle", "UPDATE payments SET state = 'settled'"
                                                              " WHERE state = 'booked'");

/*
 * One row a shard: orders, lines, units, payments settled, their sum, and what does not agree: orders whose
 * payment or lines add up to something else, plus payments without an order (there must be none).
 */
static const dal_stmt reconcile = DAL_STMT(
        "payment.reconcile",
        "SELECT (SELECT COUNT(*) FROM orders), (SELECT COUNT(*) FROM order_lines),"
        " (SELECT COALESCE(SUM(quantity), 0) FROM order_lines),"
        " (SELECT COUNT(*) FROM payments WHERE state = 'settled'),"
        " (SELECT COALESCE(SUM(amount_micros), 0) FROM payments WHERE state = 'settled'),"
        " (SELECT COUNT(*) FROM orders o"
        "  LEFT JOIN payments p ON p.invoice_no = o.invoice_no AND p.part = o.part"
        "  LEFT JOIN (SELECT invoice_no, part, COUNT(*) AS n_lines, SUM(quantity * price_micros) AS "
        "amount_micros"
        "             FROM order_lines GROUP BY invoice_no, part) l"
        "  ON l.invoice_no = o.invoice_no AND l.part = o.part"
        "  WHERE p.amount_micros IS NULL OR p.amount_micros <> o.amount_micros"
        "  OR l.amount_micros IS NULL OR l.amount_micros <> o.amount_micros OR l.n_lines <> o.n_lines)"
        " + (SELECT COUNT(*) FROM payments p LEFT JOIN orders o"
        "    ON o.invoice_no = p.invoice_no AND o.part = p.part WHERE o.invoice_no IS NULL)");

static dal_status settle_shard(dal_tx *tx, void *arg, dal_error *err)
{
        return dal_tx_exec(tx, &settle_all, DAL_NO_PARAMS, arg, err);
}

static dal_status settle(dal_cluster *cluster, dal_error *err)
{
        int64_t n_settled = 0, n_rows;

        for (uint16_t i = 0; i < dal_cluster_n_shards(cluster); i++) {
                dal_shard_info info;
                dal_status s = dal_cluster_shard_info(cluster, i, &info, err);
                if (s == DAL_OK)
                        s = dal_cluster_run_on(cluster, info.shard, NULL, settle_shard, &n_rows, err);
                if (s)
                        return s;
                n_settled += n_rows;
        }
        service_reply("done", "i", n_settled);
        return DAL_OK;
}

static dal_status audit(dal_cluster *cluster, dal_error *err)
{
        dal_rows *rows;
        bool found = false;
        int64_t v[6];
        dal_status s = dal_fanout_query(cluster, &reconcile, DAL_NO_PARAMS, &rows, err);

        if (s)
                return s;
        while ((s = dal_rows_next(rows, &found, err)) == DAL_OK && found) {
                for (uint32_t i = 0; i < 6 && s == DAL_OK; i++)
                        s = dal_rows_int64(rows, i, &v[i], err);
                if (s)
                        break;
                service_reply("payments", "iiiiiii", (int64_t)dal_rows_shard(rows), v[0], v[1], v[2], v[3],
                              v[4], v[5]);
        }
        dal_rows_close(rows);
        if (s == DAL_OK)
                service_reply("done", "");
        return s;
}

static dal_status handle(struct service *service, const struct wire_record *record, dal_error *err)
{
        if (wire_is(record, "settle", 1))
                return settle(service->cluster, err);
        if (wire_is(record, "audit", 1))
                return audit(service->cluster, err);
        return service_unknown(service, record, err);
}

int main(int argc, char **argv)
{
        struct service service = {
                .name = "shop_payment",
                .about = "The payment service of the example shop: settles payments and reconciles them.\n\n"
                         "  settle   settle what is booked; answers: done N\n"
                         "  audit    answers for each shard:\n"
                         "           payments SHARD ORDERS LINES UNITS PAYMENTS SUM_MICROS WRONG_ORDERS\n",
        };

        return service_main(&service, argc, argv, handle);
}
