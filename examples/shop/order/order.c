/* SPDX-License-Identifier: MIT */
#include "order.h"

#include <stdlib.h>
#include <string.h>

#include "../payment/payment.h"
#include "../product/product.h"

static const dal_stmt add_order = DAL_STMT(
        "order.add", "INSERT INTO orders (invoice_no, part, customer_id, country, ordered_at, kind, n_lines,"
                     " amount_micros) VALUES (?, ?, ?, ?, ?, ?, ?, ?)");
static const dal_stmt add_line = DAL_STMT(
        "order.add_line", "INSERT INTO order_lines (invoice_no, part, line_no, sku, description, kind,"
                          " quantity, price_micros) VALUES (?, ?, ?, ?, ?, ?, ?, ?)");

static const char *const kind_names[] = {"sale", "return", "adjustment"};

dal_key order_key(const struct order *order)
{
        return order->has_customer ? dal_key_int64(order->customer_id) : dal_key_text(order->invoice_no);
}

static int by_product(const void *a, const void *b)
{
        const struct order_line *x = a, *y = b;
        int order = strcmp(x->sku, y->sku);

        return order ? order : (x->line_no > y->line_no) - (x->line_no < y->line_no);
}

dal_status order_prepare(struct order *order, dal_error *err)
{
        order->amount_micros = 0;
        for (size_t i = 0; i < order->n_lines; i++) {
                int64_t amount;
                if (__builtin_mul_overflow(order->lines[i].quantity, order->lines[i].price_micros, &amount) ||
                    __builtin_add_overflow(order->amount_micros, amount, &order->amount_micros))
                        return dal_fail(err, DAL_ERR_RANGE, "the amount of invoice %s is too large",
                                        order->invoice_no);
        }
        /*
         * Every order locks products in the same sequence, so two orders never wait for each other in a ring.
         */
        qsort(order->lines, order->n_lines, sizeof *order->lines, by_product);
        return DAL_OK;
}

/* Moves the stock of one product: its lines [from, to). */
static dal_status move_stock(dal_tx *tx, const struct order *order, size_t from, size_t to, dal_error *err)
{
        int64_t taken = 0, returned = 0;
        dal_status s = DAL_OK;

        for (size_t i = from; i < to && s == DAL_OK; i++) {
                const struct order_line *line = &order->lines[i];
                if (line->kind == LINE_SALE)
                        taken += line->quantity;
                else if (line->kind == LINE_RETURN)
                        returned -= line->quantity;
                else
                        s = product_adjust(tx, line->sku, line->quantity, order->invoice_no, line->line_no,
                                           line->description, err);
        }
        if (s == DAL_OK && taken)
                s = product_take(tx, order->lines[from].sku, taken, err);
        if (s == DAL_OK && returned)
                s = product_give_back(tx, order->lines[from].sku, returned, err);
        return s;
}

static dal_status write_line(dal_tx *tx, const struct order *order, const struct order_line *line,
                             dal_error *err)
{
        return dal_tx_queue(tx, &add_line,
                            DAL_PARAMS(dal_text(order->invoice_no), dal_int64(order->part),
                                       dal_int64(line->line_no), dal_text(line->sku),
                                       dal_text(line->description), dal_text(kind_names[line->kind]),
                                       dal_int64(line->quantity), dal_int64(line->price_micros)),
                            err);
}

/* The transaction. It may run several times, so it touches nothing but the database. */
static dal_status place(dal_tx *tx, void *arg, dal_error *err)
{
        const struct order *order = arg;
        int64_t ordered_at_us;
        dal_value ordered_at = dal_null(), customer = dal_null();
        dal_status s;

        if (dal_value_parse_timestamp(order->ordered_at, strlen(order->ordered_at), &ordered_at_us))
                ordered_at = dal_timestamp(ordered_at_us);
        if (order->has_customer)
                customer = dal_int64(order->customer_id);

        /*
         * No count of these writes decides anything: each travels with what comes after it. The order goes
         * first: when it is there already, its primary key must say so before the stock is looked at.
         */
        s = dal_tx_queue(tx, &add_order,
                         DAL_PARAMS(dal_text(order->invoice_no), dal_int64(order->part), customer,
                                    dal_text(order->country), ordered_at,
                                    dal_text(order->is_cancellation ? "cancellation" : "order"),
                                    dal_int64((int64_t)order->n_lines), dal_int64(order->amount_micros)),
                         err);
        for (size_t from = 0, to; from < order->n_lines && s == DAL_OK; from = to) {
                to = from + 1;
                while (to < order->n_lines && strcmp(order->lines[to].sku, order->lines[from].sku) == 0)
                        to++;
                s = move_stock(tx, order, from, to, err);
        }
        for (size_t i = 0; i < order->n_lines && s == DAL_OK; i++)
                s = write_line(tx, order, &order->lines[i], err);
        if (s == DAL_OK)
                s = payment_book(tx, order->invoice_no, order->part, order->amount_micros, err);
        return s;
}

dal_status order_place(dal_cluster *cluster, struct order *order, dal_error *err)
{
        bool in_doubt = false;

        for (int attempt = 1;; attempt++) {
                dal_error failure = DAL_ERROR_INIT;
                dal_status s = dal_cluster_run(cluster, order_key(order), NULL, place, order, &failure);
                if (s == DAL_OK)
                        return DAL_OK;
                /* The COMMIT whose answer was lost had arrived: the order is there, once. */
                if (in_doubt && failure.error_class == DAL_CLASS_UNIQUE)
                        return DAL_OK;
                in_doubt = in_doubt || s == DAL_ERR_IN_DOUBT;
                if (s != DAL_ERR_IN_DOUBT || attempt == 3) {
                        *err = failure;
                        return s;
                }
        }
}

void order_free(struct order *order)
{
        if (!order)
                return;
        for (size_t i = 0; i < order->n_lines; i++) {
                free(order->lines[i].sku);
                free(order->lines[i].description);
        }
        free(order->lines);
        free(order->invoice_no);
        free(order->country);
        free(order->ordered_at);
        free(order);
}
