/* SPDX-License-Identifier: MIT */
#ifndef SHOP_ORDER_H
#define SHOP_ORDER_H

/* One order: one transaction on the shard of its customer. */

#include <dal/dal.h>

enum line_kind {
        LINE_SALE,       /* takes stock */
        LINE_RETURN,     /* of a cancellation: gives stock back */
        LINE_ADJUSTMENT, /* negative without being a cancellation: the stock is corrected */
};

struct order_line {
        int64_t line_no; /* in the ledger */
        enum line_kind kind;
        char *sku, *description;
        int64_t quantity;
        int64_t price_micros;
};

struct order {
        char *invoice_no;
        int64_t part;      /* 0, or a number when an invoice names several customers */
        bool has_customer; /* else it is keyed by its invoice number */
        int64_t customer_id;
        char *country;
        char *ordered_at; /* as in the ledger; "" when not known */
        bool is_cancellation;
        int64_t amount_micros;
        struct order_line *lines; /* sorted by product */
        size_t n_lines;
};

/** Returns what decides on which shard the order lives. */
dal_key order_key(const struct order *order);

/** Adds up the amount and sorts the lines; once, before order_place(). */
dal_status order_prepare(struct order *order, dal_error *err);

/**
 * Enters an order: takes stock, writes the order, its lines and the payment, all or nothing.
 *
 * Also when a reply to COMMIT is lost the order is entered once: it is tried again, and its primary key
 * tells.
 */
dal_status order_place(dal_cluster *cluster, struct order *order, dal_error *err);

void order_free(struct order *order);

#endif
