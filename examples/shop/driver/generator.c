/* SPDX-License-Identifier: MIT */
#include "generator.h"

#include <inttypes.h>

#define N_PRODUCTS     500
#define N_REMEMBERED   32 /* lines that may still be cancelled */
#define MAX_LINES      12
#define FIRST_INVOICE  536365
#define FIRST_CUSTOMER 12346

static const char *const colours[] = {"WHITE", "RED", "BLUE", "CREAM", "PINK", "IVORY", "BLACK", "GREEN"};
static const char *const things[] = {
        "HEART HOLDER", "METAL LANTERN",      "COAT HANGER", "UNION FLAG HOT WATER BOTTLE",
        "TEA TOWELS",   "RECORD FRAME 7\"\"", "MUG, ENAMEL", "LETTER \"\"D\"\" KEY RING"};
static const char *const countries[] = {"United Kingdom", "United Kingdom", "United Kingdom", "France",
                                        "Germany",        "EIRE",           "Spain",          "Norway"};

struct sale {
        int64_t customer; /* 0 = guest */
        unsigned product, quantity;
};

struct generator {
        FILE *out;
        uint64_t state;
        int64_t n_customers;
        struct sale sales[N_REMEMBERED];
};

/* Source: Sebastiano Vigna, splitmix64, https://prng.di.unimi.it/splitmix64.c (public domain). */
static uint64_t next(struct generator *g)
{
        uint64_t z = (g->state += 0x9e3779b97f4a7c15u);

        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
        return z ^ (z >> 31);
}

static unsigned below(struct generator *g, unsigned n)
{
        return (unsigned)(next(g) % n);
}

static int64_t price_pence(unsigned product)
{
        return product == 0 ? 0 : 25 + (int64_t)(product * 7919u % 2000u);
}

static void write_line(struct generator *g, int64_t i, const char *prefix, const struct sale *sale,
                       int64_t quantity)
{
        unsigned p = sale->product;
        const char *country = countries[(uint64_t)(sale->customer ? sale->customer : i) % 8u];

        fprintf(g->out, "%s%" PRId64 ",%u%s,", prefix, FIRST_INVOICE + i, 20000 + p, p % 5 == 4 ? "B" : "");
        if (p % 41 != 40) /* some descriptions are blank */
                fprintf(g->out, "\"%s %s\"", colours[p % 8], things[p / 8 % 8]);
        fprintf(g->out, ",%" PRId64 ",2010-%02d-%02d %02d:%02d:00,%" PRId64 ".%02" PRId64 ",", quantity, 12,
                (int)(1 + i / 400 % 31), (int)(8 + i / 60 % 12), (int)(i % 60), price_pence(p) / 100,
                price_pence(p) % 100);
        if (sale->customer)
                fprintf(g->out, "%" PRId64 ".0", sale->customer);
        fprintf(g->out, ",%s\n", country);
}

/* An ordinary order of several lines; products may repeat. */
static void write_order(struct generator *g, int64_t i)
{
        int64_t customer =
                below(g, 8) == 0 ? 0 : FIRST_CUSTOMER + (int64_t)(next(g) % (uint64_t)g->n_customers);
        unsigned n_lines = 1 + below(g, MAX_LINES);

        for (unsigned k = 0; k < n_lines; k++) {
                /* The smaller of two: some products sell much better than others. */
                unsigned a = below(g, N_PRODUCTS), b = below(g, N_PRODUCTS);
                struct sale sale = {customer, a < b ? a : b, 1 + below(g, 24)};
                write_line(g, i, "", &sale, sale.quantity);
                g->sales[below(g, N_REMEMBERED)] = sale;
        }
}

void generator_write(FILE *out, int64_t n_orders, uint64_t seed)
{
        struct generator g = {.out = out, .state = seed, .n_customers = n_orders / 4 + 1};

        fputs("InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n", out);
        for (int64_t i = 0; i < n_orders; i++) {
                struct sale *earlier = &g.sales[below(&g, N_REMEMBERED)];
                unsigned kind = below(&g, 100);
                if (kind < 8 && earlier->quantity > 0) {
                        /* A cancellation of one line; it can't be cancelled again. */
                        write_line(&g, i, "C", earlier, -(int64_t)earlier->quantity);
                        earlier->quantity = 0;
                } else if (kind >= 97) {
                        /* Something broke: a correction without customer. */
                        struct sale broken = {0, below(&g, N_PRODUCTS), 0};
                        write_line(&g, i, "", &broken, -1 - (int64_t)below(&g, 9));
                } else {
                        write_order(&g, i);
                }
        }
}
