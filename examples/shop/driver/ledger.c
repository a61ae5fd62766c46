/* SPDX-License-Identifier: MIT */
#include "ledger.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <dal/value.h>

#include "../common/csv.h"
#include "../common/money.h"

enum column {
        INVOICE,
        SKU,
        DESCRIPTION,
        QUANTITY,
        PRICE,
        CUSTOMER,
        COUNTRY,
        DATE,
        N_COLUMNS
};

static const char *const column_names[N_COLUMNS] = {"InvoiceNo", "StockCode",  "Description", "Quantity",
                                                    "UnitPrice", "CustomerID", "Country",     "InvoiceDate"};
/* Bytes of text that the tables hold. */
static const size_t column_limits[N_COLUMNS] = {
        [INVOICE] = 64, [SKU] = 64, [DESCRIPTION] = 1000, [COUNTRY] = 100, [DATE] = 64,
};

#define LIMIT_QUANTITY INT64_C(1000000000000)
#define OUT_OF_MEMORY  "out of memory"

struct reader {
        struct ledger *ledger;
        struct csv csv;
        struct csv_record record;
        size_t position[N_COLUMNS]; /* of each column in the file; SIZE_MAX = not there */
        size_t n_fields;
};

/* One line's fields, checked. */
struct fields {
        const char *text[N_COLUMNS];
        int64_t quantity, price_micros, customer_id;
        bool has_customer, is_cancellation;
};

/* Makes room for item `n`; like realloc(), but frees the items when memory is short. */
static void *grown(void *items, uint32_t *n_allocated, uint32_t n, size_t size)
{
        uint32_t want = *n_allocated;
        void *more;

        if (n < want)
                return items;
        while (want <= n)
                want = want ? 2 * want : 256;
        more = realloc(items, want * size);
        if (!more)
                free(items);
        *n_allocated = more ? want : 0;
        return more;
}
#define GROW(items, n_allocated, n) (((items) = grown((items), (n_allocated), (n), sizeof *(items))) != NULL)

/* The header: the columns may stand in any order; InvoiceDate may be absent. */
static const char *read_header(struct reader *r, struct csv_error *where)
{
        struct ledger *ledger = r->ledger;
        static const char *const missing[N_COLUMNS] = {
                "the header has no InvoiceNo",   "the header has no StockCode",
                "the header has no Description", "the header has no Quantity",
                "the header has no UnitPrice",   "the header has no CustomerID",
                "the header has no Country",     NULL};
        enum csv_found found = csv_next(&r->csv, &r->record, where);

        if (found == CSV_BAD)
                return where->reason;
        where->line = 1;
        where->column = 0;
        if (found == CSV_END)
                return "the file is empty";
        for (size_t k = 0; k < N_COLUMNS; k++)
                r->position[k] = SIZE_MAX;
        r->n_fields = r->record.n_fields;
        for (size_t i = 0; i < r->n_fields; i++) {
                size_t k = 0, used = strlen(ledger->unused_columns);
                while (k < N_COLUMNS && strcmp(column_names[k], r->record.field[i]) != 0)
                        k++;
                if (k == N_COLUMNS) {
                        snprintf(ledger->unused_columns + used, sizeof ledger->unused_columns - used, "%s%s",
                                 used ? ", " : "", r->record.field[i]);
                        continue;
                }
                where->column = i + 1;
                bool is_second = r->position[k] != SIZE_MAX;
                r->position[k] = i;
                if (is_second)
                        return "the header names this column twice";
        }
        where->column = 0;
        for (size_t k = 0; k < N_COLUMNS; k++)
                if (r->position[k] == SIZE_MAX && missing[k])
                        return missing[k];
        return NULL;
}

static const char *check_date(const char *text)
{
        int64_t ignored;

        if (*text == '\0' || dal_value_parse_timestamp(text, strlen(text), &ignored))
                return NULL;
        return "not a date and time like 2010-12-01 08:26:00";
}

/* Checks one column; returns what is wrong, or NULL. */
static const char *check_column(struct fields *f, enum column k)
{
        const char *text = f->text[k], *wrong = NULL;

        if (column_limits[k] && strlen(text) > column_limits[k])
                return "too long";
        switch (k) {
        case INVOICE:
        case SKU:
                return *text ? NULL : "is blank";
        case QUANTITY:
                wrong = whole_parse(text, &f->quantity);
                if (!wrong && (f->quantity > LIMIT_QUANTITY || f->quantity < -LIMIT_QUANTITY))
                        wrong = "too large";
                return wrong;
        case PRICE:
                return money_parse(text, &f->price_micros);
        case CUSTOMER:
                f->has_customer = *text != '\0';
                return f->has_customer ? whole_parse(text, &f->customer_id) : NULL;
        case DATE:
                return check_date(text);
        default:
                return NULL;
        }
}

/* Takes the current record apart; returns what is wrong, or NULL. */
static const char *check_line(const struct reader *r, struct fields *f, struct csv_error *where)
{
        static const char *const too_few = "the line ends here: fields are missing";

        where->line = r->record.line;
        where->column = r->record.n_fields;
        if (r->record.n_fields < r->n_fields)
                return too_few;
        if (r->record.n_fields > r->n_fields) {
                where->column = r->n_fields + 1;
                return "more fields than the header has; a field with a comma must stand in quotes";
        }
        for (size_t k = 0; k < N_COLUMNS; k++)
                f->text[k] = r->position[k] == SIZE_MAX ? "" : r->record.field[r->position[k]];
        for (size_t i = 0; i < r->n_fields; i++) { /* in the file's order: the first mistake is named */
                size_t k = 0;
                while (k < N_COLUMNS && r->position[k] != i)
                        k++;
                where->column = i + 1;
                const char *wrong = k < N_COLUMNS ? check_column(f, (enum column)k) : NULL;
                if (wrong)
                        return wrong;
        }
        f->is_cancellation = f->text[INVOICE][0] == 'C';
        return NULL;
}

/* Adds a line to the sums; refuses one that an int64 (and so some engine's SUM) could not add up. */
static const char *add_up(struct ledger *ledger, const struct fields *f)
{
        struct ledger_sums *sums = &ledger->sums;
        int64_t amount, units = f->quantity < 0 ? -f->quantity : f->quantity, turnover_units, turnover_micros;

        if (__builtin_mul_overflow(f->quantity, f->price_micros, &amount) || amount == INT64_MIN ||
            __builtin_add_overflow(ledger->turnover_micros, amount < 0 ? -amount : amount,
                                   &turnover_micros) ||
            __builtin_add_overflow(ledger->turnover_units, units, &turnover_units))
                return "the sum of all amounts gets too large here";
        ledger->turnover_micros = turnover_micros;
        ledger->turnover_units = turnover_units;
        sums->units += f->quantity;
        sums->revenue_micros += amount;
        sums->n_lines++;
        sums->n_cancelled_lines += f->is_cancellation;
        sums->n_adjustment_lines += f->quantity < 0 && !f->is_cancellation;
        sums->n_guest_lines += !f->has_customer;
        sums->n_free_lines += f->price_micros == 0;
        return NULL;
}

/* Returns the customer's number; LEDGER_NONE when blank. */
static bool find_customer(struct ledger *ledger, const struct fields *f, uint32_t country, uint32_t *out)
{
        char name[24];
        uint32_t n_before = ledger->customers.n;

        *out = LEDGER_NONE;
        if (!f->has_customer)
                return true;
        snprintf(name, sizeof name, "%" PRId64, f->customer_id); /* 17850.0 and 17850 are one customer */
        *out = strings_add(&ledger->customers, name);
        if (*out == STRINGS_FULL)
                return false;
        if (*out == n_before) {
                if (!GROW(ledger->customer, &ledger->customers_allocated, *out))
                        return false;
                ledger->customer[*out] = (struct ledger_customer){f->customer_id, country};
        }
        return true;
}

static bool find_product(struct ledger *ledger, const struct fields *f, uint32_t description, uint32_t *out)
{
        uint32_t n_before = ledger->products.n;

        *out = strings_add(&ledger->products, f->text[SKU]);
        if (*out == STRINGS_FULL || !GROW(ledger->product_description, &ledger->products_allocated, *out))
                return false;
        if (*out == n_before || ledger->texts.text[ledger->product_description[*out]][0] == '\0')
                ledger->product_description[*out] = description;
        return true;
}

/* Finds the order of an invoice and customer, beginning it when it is new. */
static bool find_order(struct ledger *ledger, const struct fields *f, uint32_t country, uint32_t *out)
{
        uint32_t n_before = ledger->invoices.n, invoice, customer, i, previous = LEDGER_NONE, date;
        struct ledger_order *order;

        if (!find_customer(ledger, f, country, &customer))
                return false;
        invoice = strings_add(&ledger->invoices, f->text[INVOICE]);
        date = strings_add(&ledger->texts, f->text[DATE]);
        if (invoice == STRINGS_FULL || date == STRINGS_FULL ||
            !GROW(ledger->first_order, &ledger->invoices_allocated, invoice) ||
            !GROW(ledger->orders, &ledger->orders_allocated, ledger->n_orders))
                return false;
        if (invoice == n_before)
                ledger->first_order[invoice] = LEDGER_NONE;
        for (i = ledger->first_order[invoice]; i != LEDGER_NONE; i = ledger->orders[i].next_part) {
                if (ledger->orders[i].customer == customer) {
                        *out = i;
                        return true;
                }
                previous = i;
        }
        order = &ledger->orders[ledger->n_orders];
        *order = (struct ledger_order){.invoice = invoice,
                                       .next_part = LEDGER_NONE,
                                       .customer = customer,
                                       .country = country,
                                       .ordered_at = date,
                                       .first_line = LEDGER_NONE};
        if (previous == LEDGER_NONE) {
                ledger->first_order[invoice] = ledger->n_orders;
                ledger->sums.n_cancellations += f->is_cancellation;
        } else {
                ledger->orders[previous].next_part = ledger->n_orders;
                order->part = ledger->orders[previous].part + 1;
        }
        ledger->sums.n_guest_orders += customer == LEDGER_NONE;
        *out = ledger->n_orders++;
        return true;
}

static const char *add_line(struct ledger *ledger, const struct fields *f, size_t line_no)
{
        uint32_t country = strings_add(&ledger->texts, f->text[COUNTRY]), i_order, product,
                 i_line = ledger->n_lines;
        uint32_t description = strings_add(&ledger->texts, f->text[DESCRIPTION]);
        struct ledger_order *order;
        const char *wrong = add_up(ledger, f);

        if (wrong)
                return wrong;
        if (country == STRINGS_FULL || description == STRINGS_FULL ||
            !find_order(ledger, f, country, &i_order) || !find_product(ledger, f, description, &product) ||
            !GROW(ledger->lines, &ledger->lines_allocated, i_line))
                return OUT_OF_MEMORY;
        order = &ledger->orders[i_order];
        ledger->lines[i_line] = (struct ledger_line){.next = LEDGER_NONE,
                                                     .product = product,
                                                     .description = description,
                                                     .line_no = (uint32_t)line_no,
                                                     .quantity = f->quantity,
                                                     .price_micros = f->price_micros};
        if (order->n_lines++ == 0)
                order->first_line = i_line;
        else
                ledger->lines[order->last_line].next = i_line;
        order->last_line = i_line;
        ledger->n_lines++;
        return NULL;
}

/* "name:12: column 4 (Quantity): not a number; ..." */
static void describe(const struct reader *r, const char *name, const struct csv_error *where,
                     const char *wrong, const char *remedy, char *out, size_t size)
{
        const char *column = NULL;

        for (size_t k = 0; k < N_COLUMNS; k++)
                if (where->column > 0 && r->position[k] == where->column - 1 && r->n_fields > 0)
                        column = column_names[k];
        if (where->column == 0)
                snprintf(out, size, "%s, line %zu: %s%s", name, where->line, wrong, remedy);
        else
                snprintf(out, size, "%s, line %zu, column %zu%s%s%s: %s%s", name, where->line, where->column,
                         column ? " (" : "", column ? column : "", column ? ")" : "", wrong, remedy);
}

/* Blank lines at the end of the file are nobody's data. */
static bool only_blank_lines_left(const struct csv *csv)
{
        const char *p = csv->at;

        while (p < csv->end && (*p == '\n' || *p == '\r'))
                p++;
        return p == csv->end;
}

static bool read_lines(struct reader *r, const char *name, FILE *bad, char *error, size_t error_size)
{
        struct csv_error where = {0};
        enum csv_found found;
        const char *wrong = read_header(r, &where);

        if (wrong) {
                describe(r, name, &where, wrong,
                         "; the first line must name the columns InvoiceNo, StockCode, Description,"
                         " Quantity, UnitPrice, CustomerID, Country and, if known, InvoiceDate",
                         error, error_size);
                return false;
        }
        while (!only_blank_lines_left(&r->csv) &&
               (found = csv_next(&r->csv, &r->record, &where)) != CSV_END) {
                struct fields f = {0};
                wrong = found == CSV_BAD ? where.reason : check_line(r, &f, &where);
                if (!wrong) {
                        where.column = r->position[PRICE] + 1; /* for sums that get too large */
                        wrong = add_line(r->ledger, &f, r->record.line);
                }
                if (!wrong)
                        continue;
                if (!bad || strcmp(wrong, OUT_OF_MEMORY) == 0) {
                        describe(r, name, &where, wrong,
                                 "; nothing was written. Correct the line, or set such lines "
                                 "aside with --skip-bad FILE",
                                 error, error_size);
                        return false;
                }
                r->ledger->n_set_aside++;
                fwrite(r->record.raw, 1, r->record.raw_size, bad);
        }
        return true;
}

bool ledger_read(struct ledger *ledger, const char *name, const char *text, size_t size, FILE *bad,
                 char *error, size_t error_size)
{
        struct reader r = {.ledger = ledger};
        bool ok;

        memset(ledger, 0, sizeof *ledger);
        if (!csv_init(&r.csv, text, size)) {
                snprintf(error, error_size, "out of memory");
                return false;
        }
        ledger->windows_1252 = r.csv.windows_1252;
        ok = read_lines(&r, name, bad, error, error_size);
        csv_fini(&r.csv);
        if (ok && ledger->n_lines == 0) {
                snprintf(error, error_size, "%s: there is no data line behind the header", name);
                ok = false;
        }
        return ok;
}

dal_key ledger_key(const struct ledger *ledger, const struct ledger_order *order)
{
        if (order->customer != LEDGER_NONE)
                return dal_key_int64(ledger->customer[order->customer].id);
        return dal_key_text(ledger->invoices.text[order->invoice]);
}

bool ledger_is_cancellation(const struct ledger *ledger, const struct ledger_order *order)
{
        return ledger->invoices.text[order->invoice][0] == 'C';
}

void ledger_fini(struct ledger *ledger)
{
        strings_fini(&ledger->invoices);
        strings_fini(&ledger->products);
        strings_fini(&ledger->customers);
        strings_fini(&ledger->texts);
        free(ledger->first_order);
        free(ledger->product_description);
        free(ledger->customer);
        free(ledger->lines);
        free(ledger->orders);
        memset(ledger, 0, sizeof *ledger);
}
