/* SPDX-License-Identifier: MIT */
#include "product.h"

static const dal_stmt take = DAL_STMT("product.take", "UPDATE stock SET on_hand = on_hand - ?"
                                                      " WHERE sku = ? AND on_hand >= ?");
static const dal_stmt give_back = DAL_STMT("product.give_back", "UPDATE stock SET on_hand = on_hand + ?"
                                                                " WHERE sku = ?");
static const dal_stmt add_move =
        DAL_STMT("product.move", "INSERT INTO stock_moves (sku, reference, line_no, quantity,"
                                 " reason) VALUES (?, ?, ?, ?, ?)");

dal_status product_take(dal_tx *tx, const char *sku, int64_t quantity, dal_error *err)
{
        int64_t n_rows;
        /* The count decides, so it is read now and not queued. */
        dal_status s = dal_tx_exec(
                tx, &take, DAL_PARAMS(dal_int64(quantity), dal_text(sku), dal_int64(quantity)), &n_rows, err);

        if (s == DAL_OK && n_rows == 0)
                s = dal_fail(err, DAL_ERR_APP, "out of stock: %s on shard %u", sku,
                             (unsigned)dal_tx_shard(tx));
        return s;
}

dal_status product_give_back(dal_tx *tx, const char *sku, int64_t quantity, dal_error *err)
{
        /* Nothing depends on the answer: it travels with the next statement or with COMMIT. */
        return dal_tx_queue(tx, &give_back, DAL_PARAMS(dal_int64(quantity), dal_text(sku)), err);
}

dal_status product_adjust(dal_tx *tx, const char *sku, int64_t quantity, const char *invoice_no,
                          int64_t line_no, const char *reason, dal_error *err)
{
        dal_status s = product_take(tx, sku, -quantity, err);

        if (s == DAL_OK)
                s = dal_tx_queue(tx, &add_move,
                                 DAL_PARAMS(dal_text(sku), dal_text(invoice_no), dal_int64(line_no),
                                            dal_int64(quantity), dal_text(reason)),
                                 err);
        return s;
}
