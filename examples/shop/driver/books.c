/* SPDX-License-Identifier: MIT */
#include "books.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

bool books_route(struct ledger *ledger, const dal_cluster *cluster, uint16_t n_shards)
{
        for (uint32_t i = 0; i < ledger->n_orders; i++) {
                struct ledger_order *order = &ledger->orders[i];
                order->shard = dal_cluster_locate(cluster, ledger_key(ledger, order));
                if (order->shard >= n_shards)
                        return false;
        }
        return true;
}

static bool is_adjustment(const struct ledger *ledger, const struct ledger_order *order,
                          const struct ledger_line *line)
{
        return line->quantity < 0 && !ledger_is_cancellation(ledger, order);
}

void books_allot(const struct ledger *ledger, uint16_t shard, int64_t *need_out)
{
        for (uint32_t i = 0; i < ledger->products.n; i++)
                need_out[i] = -1;
        for (uint32_t i = 0; i < ledger->n_orders; i++) {
                const struct ledger_order *order = &ledger->orders[i];
                if (order->shard != shard)
                        continue;
                for (uint32_t k = order->first_line; k != LEDGER_NONE; k = ledger->lines[k].next) {
                        const struct ledger_line *line = &ledger->lines[k];
                        int64_t *need = &need_out[line->product];
                        if (*need < 0)
                                *need = 0;
                        /* Returns come too late to be counted on: orders run in any sequence. */
                        if (line->quantity > 0)
                                *need += line->quantity;
                        else if (is_adjustment(ledger, order, line))
                                *need -= line->quantity;
                }
        }
}

static void expect_order(const struct ledger *ledger, const struct ledger_order *order, struct books *books)
{
        books->orders++;
        books->payments++;
        for (uint32_t k = order->first_line; k != LEDGER_NONE; k = ledger->lines[k].next) {
                const struct ledger_line *line = &ledger->lines[k];
                books->lines++;
                books->units += line->quantity;
                books->amount_micros += line->quantity * line->price_micros;
                /* What was never sold was, in the end, never received. */
                if (is_adjustment(ledger, order, line))
                        books->received += line->quantity;
                else
                        books->sold += line->quantity;
        }
}

bool books_expect(const struct ledger *ledger, uint16_t n_shards, struct books *out)
{
        int64_t *need = calloc(ledger->products.n, sizeof *need);
        bool *seen = calloc(ledger->customers.n + 1u, sizeof *seen);

        bool ok = need && seen;

        memset(out, 0, n_shards * sizeof *out);
        for (uint16_t shard = 0; ok && shard < n_shards; shard++) {
                books_allot(ledger, shard, need);
                for (uint32_t i = 0; i < ledger->products.n; i++) {
                        out[shard].products += need[i] >= 0;
                        out[shard].received += need[i] > 0 ? need[i] : 0;
                }
        }
        for (uint32_t i = 0; ok && i < ledger->n_orders; i++) {
                const struct ledger_order *order = &ledger->orders[i];
                expect_order(ledger, order, &out[order->shard]);
                if (order->customer != LEDGER_NONE && !seen[order->customer]) {
                        seen[order->customer] = true;
                        out[order->shard].users++;
                }
        }
        for (uint16_t shard = 0; shard < n_shards; shard++)
                out[shard].on_hand = out[shard].received - out[shard].sold;
        free(need);
        free(seen);
        return ok;
}

void books_add(struct books *sum, const struct books *books)
{
#define BOOKS_ADD(name, text) sum->name += books->name;
        BOOKS_LIST(BOOKS_ADD)
#undef BOOKS_ADD
}

bool books_agree(const struct books *expected, const struct books *found, uint16_t shard, char *error,
                 size_t size)
{
#define BOOKS_COMPARE(name, text)                                                                            \
        if (expected->name != found->name) {                                                                 \
                snprintf(error, size,                                                                        \
                         "the books of shard %u do not agree: %" PRId64 " %s, and the ledger has %" PRId64,  \
                         (unsigned)shard, found->name, text, expected->name);                                \
                return false;                                                                                \
        }
        BOOKS_LIST(BOOKS_COMPARE)
#undef BOOKS_COMPARE
        return true;
}
