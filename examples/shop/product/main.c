/* SPDX-License-Identifier: MIT */
/*
 * The product service: owns `products`, `stock` and `stock_moves`; loads the catalogue and books what comes
 * in.
 */
#include "../common/batch.h"
#include "../common/service.h"

static const dal_stmt add_product =
        DAL_STMT("product.add", "INSERT INTO products (sku, description) VALUES (?, ?)");
static const dal_stmt add_stock = DAL_STMT("product.stock", "INSERT INTO stock (sku, on_hand) VALUES (?, ?)");
static const dal_stmt add_receipt =
        DAL_STMT("product.receive", "INSERT INTO stock_moves (sku, reference, line_no, quantity, reason)"
                                    " VALUES (?, 'allotment', 0, ?, 'received')");

/*
 * One row a shard: on hand, sold, received (corrections included), products, and the products for which stock
 * + sold is not what was received (there must be none).
 */
static const dal_stmt check_stock = DAL_STMT(
        "product.check",
        "SELECT COALESCE(SUM(on_hand), 0), COALESCE(SUM(sold), 0), COALESCE(SUM(received), 0), COUNT(*),"
        " COALESCE(SUM(CASE WHEN on_hand + sold = received THEN 0 ELSE 1 END), 0)"
        " FROM (SELECT s.on_hand AS on_hand, COALESCE(m.received, 0) AS received, COALESCE(l.sold, 0) AS sold"
        "       FROM stock s"
        "       LEFT JOIN (SELECT sku, SUM(quantity) AS received FROM stock_moves GROUP BY sku) m ON m.sku = "
        "s.sku"
        "       LEFT JOIN (SELECT sku, SUM(quantity) AS sold FROM order_lines WHERE kind <> 'adjustment'"
        "                  GROUP BY sku) l ON l.sku = s.sku) books");

static struct batch products = {.stmt = &add_product}, stock = {.stmt = &add_stock},
                    receipts = {.stmt = &add_receipt};

/* The rows of one shard come together: `receive` for each product, then `write_stock SHARD`. */
static dal_status write_stock(dal_cluster *cluster, uint16_t shard, dal_error *err)
{
        int64_t n_products = (int64_t)stock.n_rows;
        dal_status s = batch_write(&stock, cluster, shard, err);

        if (s == DAL_OK)
                s = batch_write(&receipts, cluster, shard, err);
        if (s == DAL_OK)
                service_reply("done", "i", n_products);
        return s;
}

static dal_status write_products(dal_cluster *cluster, dal_error *err)
{
        int64_t n_products = (int64_t)products.n_rows;
        dal_status s = batch_write_everywhere(&products, cluster, err);

        if (s == DAL_OK)
                service_reply("done", "i", n_products);
        return s;
}

static dal_status receive(const char *sku, int64_t quantity, dal_error *err)
{
        dal_status s = batch_add(&stock, err, "si", sku, quantity);

        if (s == DAL_OK)
                s = batch_add(&receipts, err, "si", sku, quantity);
        return s;
}

static dal_status audit(dal_cluster *cluster, dal_error *err)
{
        dal_rows *rows;
        bool found = false;
        int64_t v[5];
        dal_status s = dal_fanout_query(cluster, &check_stock, DAL_NO_PARAMS, &rows, err);

        if (s)
                return s;
        while ((s = dal_rows_next(rows, &found, err)) == DAL_OK && found) {
                for (uint32_t i = 0; i < 5 && s == DAL_OK; i++)
                        s = dal_rows_int64(rows, i, &v[i], err);
                if (s)
                        break;
                service_reply("stock", "iiiiii", (int64_t)dal_rows_shard(rows), v[0], v[1], v[2], v[3], v[4]);
        }
        dal_rows_close(rows);
        if (s == DAL_OK)
                service_reply("done", "");
        return s;
}

static dal_status handle(struct service *service, const struct wire_record *record, dal_error *err)
{
        if (wire_is(record, "product", 3))
                return batch_add(&products, err, "ss", record->field[1], record->field[2]);
        if (wire_is(record, "write_products", 1))
                return write_products(service->cluster, err);
        if (wire_is(record, "receive", 3))
                return receive(record->field[1], wire_number(record, 2), err);
        if (wire_is(record, "write_stock", 2))
                return write_stock(service->cluster, (uint16_t)wire_number(record, 1), err);
        if (wire_is(record, "audit", 1))
                return audit(service->cluster, err);
        return service_unknown(service, record, err);
}

int main(int argc, char **argv)
{
        struct service service = {
                .name = "shop_product",
                .about = "The product service of the example shop: loads the catalogue and books stock.\n\n"
                         "  product SKU DESCRIPTION   a product to load\n"
                         "  write_products            write them on every shard; answers: done N\n"
                         "  receive SKU QUANTITY      stock that came in\n"
                         "  write_stock SHARD         book it on a shard; answers: done N\n"
                         "  audit                     answers for each shard:\n"
                         "                            stock SHARD ON_HAND SOLD RECEIVED PRODUCTS "
                         "WRONG_PRODUCTS\n",
        };

        return service_main(&service, argc, argv, handle);
}
