/* SPDX-License-Identifier: MIT */
#ifndef SHOP_PRODUCT_H
#define SHOP_PRODUCT_H

/*
 * What the product service offers to others inside their transactions. Its tables are its own: `products`, a
 * reference table with a copy on every shard, and `stock` and `stock_moves`, local to the shard.
 */

#include <dal/dal.h>

/** Takes stock; DAL_ERR_APP when there is not enough. */
dal_status product_take(dal_tx *tx, const char *sku, int64_t quantity, dal_error *err);

/** Gives stock back, as a cancellation does. */
dal_status product_give_back(dal_tx *tx, const char *sku, int64_t quantity, dal_error *err);

/**
 * Corrects the stock by `quantity` (negative: broken, lost, never came) and writes down why. It was not sold,
 * so what counts as received is corrected with it. DAL_ERR_APP when there is not enough.
 */
dal_status product_adjust(dal_tx *tx, const char *sku, int64_t quantity, const char *invoice_no,
                          int64_t line_no, const char *reason, dal_error *err);

#endif
