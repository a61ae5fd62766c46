/* SPDX-License-Identifier: MIT */
#ifndef SHOP_LEDGER_H
#define SHOP_LEDGER_H

/*
 * The ledger in memory: the first pass over the input. Every line is checked before anything is written
 * anywhere; lines are grouped into one order for each invoice, and what the books must show at the end is
 * added up here.
 */

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include <dal/key.h>

#include "strings.h"

#define LEDGER_NONE UINT32_MAX

struct ledger_line {
        uint32_t next; /* of the same order; LEDGER_NONE = last */
        uint32_t product;
        uint32_t description; /* in texts: as this line has it */
        uint32_t line_no;     /* in the file */
        int64_t quantity;
        int64_t price_micros;
};

struct ledger_customer {
        int64_t id;
        uint32_t country; /* in texts: the first */
};

struct ledger_order {
        uint32_t invoice;
        uint32_t part;      /* 0; 1 and up for the further customers of an invoice that names several */
        uint32_t next_part; /* order of the same invoice; LEDGER_NONE = last */
        uint32_t customer;  /* LEDGER_NONE = blank */
        uint32_t country, ordered_at; /* in texts: of its first line */
        uint32_t first_line, last_line, n_lines;
        uint16_t shard; /* filled once the cluster is open */
};

/** What the books must show. */
struct ledger_sums {
        int64_t n_lines, n_cancelled_lines, n_adjustment_lines, n_guest_lines, n_free_lines;
        int64_t n_cancellations, n_guest_orders;
        int64_t units, revenue_micros;
};

struct ledger {
        struct strings invoices, products, customers, texts;
        uint32_t *first_order;            /* by invoice */
        uint32_t *product_description;    /* by product: the first that is not blank */
        struct ledger_customer *customer; /* by customer */
        struct ledger_line *lines;
        struct ledger_order *orders;
        uint32_t n_lines, n_orders;
        uint32_t lines_allocated, orders_allocated, invoices_allocated, products_allocated,
                customers_allocated;
        struct ledger_sums sums;
        int64_t turnover_units,
                turnover_micros; /* the same sums without signs: they bound what SQL may add up */
        bool windows_1252;
        int64_t n_set_aside;
        char unused_columns[256]; /* in the header, but not used; "" when none */
};

/**
 * Reads a ledger from memory. Bad lines go to `bad`, or, when that is NULL, the first one ends it.
 *
 * @param name   for messages
 * @param error  of `error_size` bytes: what is wrong, where, and what to do; one line
 */
bool ledger_read(struct ledger *ledger, const char *name, const char *text, size_t size, FILE *bad,
                 char *error, size_t error_size);

/** Returns the key of an order: its customer, or its invoice number. */
dal_key ledger_key(const struct ledger *ledger, const struct ledger_order *order);
/** Says whether an order is a cancellation. */
bool ledger_is_cancellation(const struct ledger *ledger, const struct ledger_order *order);

void ledger_fini(struct ledger *ledger);

#endif
