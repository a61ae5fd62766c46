/* SPDX-License-Identifier: MIT */
#ifndef SHOP_BOOKS_H
#define SHOP_BOOKS_H

/* The books: what the ledger says each shard must hold, and what the services find there. */

#include <stdbool.h>
#include <stdint.h>

#include <dal/cluster.h>

#include "ledger.h"

/* X(name, text): what is kept for each shard, all in int64_t. */
#define BOOKS_LIST(X)                                                                                        \
        X(users, "users")                                                                                    \
        X(orders, "orders")                                                                                  \
        X(payments, "payments")                                                                              \
        X(lines, "lines")                                                                                    \
        X(units, "units")                                                                                    \
        X(products, "products in stock")                                                                     \
        X(on_hand, "stock")                                                                                  \
        X(sold, "sold")                                                                                      \
        X(received, "received")                                                                              \
        X(amount_micros, "millionths paid")                                                                  \
        X(wrong_orders, "orders whose payment or lines do not agree")                                        \
        X(wrong_products, "products for which stock + sold is not what was received")                        \
        X(unknown_users, "orders of unregistered users")

struct books {
#define BOOKS_FIELD(name, text) int64_t name;
        BOOKS_LIST(BOOKS_FIELD)
#undef BOOKS_FIELD
};

/** Finds each order's shard; false when the map leads to a shard number of `n_shards` or more. */
bool books_route(struct ledger *ledger, const dal_cluster *cluster, uint16_t n_shards);

/**
 * Works out what one shard needs of each product so that no order runs out.
 *
 * @param need_out  by product; -1 where the shard has nothing to do with it
 */
void books_allot(const struct ledger *ledger, uint16_t shard, int64_t *need_out);

/** Works out from the ledger alone what each shard must hold at the end. False when memory is short. */
bool books_expect(const struct ledger *ledger, uint16_t n_shards, struct books *out);

/** Adds one shard's books to a sum. */
void books_add(struct books *sum, const struct books *books);

/** Says what differs; true when nothing does. */
bool books_agree(const struct books *expected, const struct books *found, uint16_t shard, char *error,
                 size_t size);

#endif
