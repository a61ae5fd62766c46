/* SPDX-License-Identifier: MIT */
/* The order service: owns `orders` and `order_lines`; enters orders by several threads. */
#include <stdlib.h>
#include <string.h>

#include "../common/service.h"
#include "order.h"
#include "workers.h"

static struct workers workers;
static bool running;
static struct order *current; /* its lines are still coming in */
static size_t n_expected;

static dal_status out_of_memory(dal_error *err)
{
        return dal_fail(err, DAL_ERR_NOMEM, "out of memory");
}

/* order INVOICE PART CUSTOMER COUNTRY DATE LINES */
static dal_status begin_order(const struct wire_record *record, dal_error *err)
{
        current = calloc(1, sizeof *current);
        if (!current)
                return out_of_memory(err);
        n_expected = (size_t)wire_number(record, 6);
        current->invoice_no = strdup(record->field[1]);
        current->part = wire_number(record, 2);
        current->has_customer = record->field[3][0] != '\0';
        current->customer_id = current->has_customer ? wire_number(record, 3) : 0;
        current->country = strdup(record->field[4]);
        current->ordered_at = strdup(record->field[5]);
        current->is_cancellation = record->field[1][0] == 'C';
        current->lines = calloc(n_expected, sizeof *current->lines);
        if (!current->invoice_no || !current->country || !current->ordered_at || !current->lines)
                return out_of_memory(err);
        return DAL_OK;
}

/* line NUMBER SKU DESCRIPTION QUANTITY PRICE_MICROS */
static dal_status add_line(const struct wire_record *record, dal_error *err)
{
        struct order *order = current;
        struct order_line *line = &order->lines[order->n_lines++];
        dal_status s;

        line->line_no = wire_number(record, 1);
        line->sku = strdup(record->field[2]);
        line->description = strdup(record->field[3]);
        line->quantity = wire_number(record, 4);
        line->price_micros = wire_number(record, 5);
        line->kind = line->quantity >= 0 ? LINE_SALE : order->is_cancellation ? LINE_RETURN : LINE_ADJUSTMENT;
        if (!line->sku || !line->description)
                return out_of_memory(err);
        if (order->n_lines < n_expected)
                return DAL_OK;

        /* The last line: the order is whole. */
        current = NULL;
        s = order_prepare(order, err);
        if (s)
                order_free(order);
        else
                s = workers_place(&workers, order, err);
        return s;
}

static dal_status handle(struct service *service, const struct wire_record *record, dal_error *err)
{
        dal_status s = DAL_OK;

        if (!running && (wire_is(record, "order", 7) || wire_is(record, "finish", 1))) {
                running = true;
                s = workers_start(&workers, service, err);
                if (s)
                        return s;
        }
        if (!current && wire_is(record, "order", 7))
                return begin_order(record, err);
        if (current && wire_is(record, "line", 6))
                return add_line(record, err);
        if (!current && wire_is(record, "finish", 1)) {
                running = false;
                return workers_finish(&workers, err);
        }
        return service_unknown(service, record, err);
}

/* The input ended early or something failed. */
static void stop(void)
{
        if (running)
                workers_stop(&workers);
        order_free(current);
}

int main(int argc, char **argv)
{
        struct service service = {
                .name = "shop_order",
                .stop = stop,
                .about = "The order service of the example shop: enters orders, --workers N at a time.\n\n"
                         "  order INVOICE PART CUSTOMER COUNTRY DATE LINES   followed by its lines:\n"
                         "  line NUMBER SKU DESCRIPTION QUANTITY PRICE_MICROS\n"
                         "  finish   wait for all; answers:\n"
                         "           done ORDERS ELAPSED_US RETRIES P50_US P99_US\n",
        };

        return service_main(&service, argc, argv, handle);
}
