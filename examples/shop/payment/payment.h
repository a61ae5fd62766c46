/* SPDX-License-Identifier: MIT */
#ifndef SHOP_PAYMENT_H
#define SHOP_PAYMENT_H

/* What the payment service offers to others inside their transactions. It owns `payments`. */

#include <dal/dal.h>

/** Books the payment of an order, in millionths; negative is a refund. */
dal_status payment_book(dal_tx *tx, const char *invoice_no, int64_t part, int64_t amount_micros,
                        dal_error *err);

#endif
