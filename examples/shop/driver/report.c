/* SPDX-License-Identifier: MIT */
#include "report.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../common/money.h"

#define BAR_WIDTH 30

/* ---- progress ------------------------------------------------------------------------------------------ */

static struct {
        const char *label;
        int64_t shown; /* percent on a terminal, tenths elsewhere; -1 = nothing yet */
        bool open;     /* the cursor stands behind a bar */
} bar = {.shown = -1};

void report_progress_end(void)
{
        if (bar.open)
                fputc('\n', stderr);
        bar.open = false;
        bar.label = NULL;
}

void report_progress(const char *label, int64_t done, int64_t total)
{
        bool terminal = isatty(STDERR_FILENO);
        int64_t percent = total > 0 ? done * 100 / total : 0, step = terminal ? percent : percent / 10;

        if (bar.label != label) {
                report_progress_end();
                bar.label = label;
                bar.shown = -1;
        }
        if (step == bar.shown)
                return;
        bar.shown = step;
        fprintf(stderr, "%s  %-30s", terminal ? "\r" : "", label);
        if (total > 0) {
                fputs(" [", stderr);
                for (int i = 0; i < BAR_WIDTH; i++)
                        fputc(i < percent * BAR_WIDTH / 100 ? '#' : '.', stderr);
                fprintf(stderr, "] %3" PRId64 " %%  %" PRId64 " of %" PRId64, percent, done, total);
        }
        bar.open = terminal;
        if (!terminal)
                fputc('\n', stderr);
        fflush(stderr);
}

/* ---- numbers ------------------------------------------------------------------------------------------- */

struct text {
        char s[48];
};

/* Puts commas between thousands, in front of the point if there is one. */
static struct text grouped(const char *digits)
{
        struct text out;
        size_t n = 0, whole = strcspn(digits, "."), first = digits[0] == '-';

        for (size_t i = 0; digits[i] != '\0' && n < sizeof out.s - 2; i++) {
                if (i > first && i < whole && (whole - i) % 3 == 0)
                        out.s[n++] = ',';
                out.s[n++] = digits[i];
        }
        out.s[n] = '\0';
        return out;
}

static struct text number(int64_t value)
{
        char digits[32];

        snprintf(digits, sizeof digits, "%" PRId64, value);
        return grouped(digits);
}

static struct text money(int64_t micros)
{
        char digits[32];

        return grouped(money_format(micros, digits));
}

static double orders_per_s(const struct speed *speed)
{
        return speed->elapsed_us > 0 ? 1e6 * (double)speed->n_orders / (double)speed->elapsed_us : 0;
}

/* ---- summary ------------------------------------------------------------------------------------------- */

static void print_input(const struct ledger *ledger)
{
        const struct ledger_sums *sums = &ledger->sums;
        uint32_t n_split = ledger->n_orders - ledger->invoices.n;

        printf("  lines      %14s   %s of cancellations, %s corrections of stock, %s without customer, %s "
               "free\n",
               number(sums->n_lines).s, number(sums->n_cancelled_lines).s, number(sums->n_adjustment_lines).s,
               number(sums->n_guest_lines).s, number(sums->n_free_lines).s);
        if (ledger->n_set_aside)
                printf("  set aside  %14s   malformed lines\n", number(ledger->n_set_aside).s);
        printf("  invoices   %14s   %s cancellations, %s without customer\n", number(ledger->invoices.n).s,
               number(sums->n_cancellations).s, number(sums->n_guest_orders).s);
        if (n_split)
                printf("  orders     %14s   an invoice that names several customers is one order for each\n",
                       number(ledger->n_orders).s);
        printf("  customers  %14s\n", number(ledger->customers.n).s);
        printf("  products   %14s\n", number(ledger->products.n).s);
        if (ledger->windows_1252)
                puts("  note       the file is not UTF-8; it was read as Windows-1252");
        if (ledger->unused_columns[0])
                printf("  note       columns not used: %s\n", ledger->unused_columns);
}

static void print_shards(const struct databases *databases, const struct books *books)
{
        printf("\n  shard   users  orders    lines       units           revenue  database\n");
        for (size_t i = 0; i < databases->n_shards; i++)
                printf("  %5zu %7s %7s %8s %11s %17s  %s\n", i, number(books[i].users).s,
                       number(books[i].orders).s, number(books[i].lines).s, number(books[i].units).s,
                       money(books[i].amount_micros).s, dal_dsn_redacted(databases->shards[i].dsn));
}

void report_summary(const struct options *options, const struct ledger *ledger,
                    const struct databases *databases, const struct books *books, const struct speed *speed)
{
        struct books sum = {0};

        for (size_t i = 0; i < databases->n_shards; i++)
                books_add(&sum, &books[i]);
        printf("\nThe shop on %zu %s of %s (%s)\n\n", databases->n_shards,
               databases->n_shards == 1 ? "shard" : "shards", databases_engine(databases),
               databases->shards[0].version);
        print_input(ledger);
        printf("  units      %14s\n", number(sum.units).s);
        printf("  revenue    %14s\n", money(sum.amount_micros).s);
        print_shards(databases, books);
        if (options->is_temporary)
                printf("  (temporary files, removed at the end: --keep or --dir DIR keeps them)\n");
        printf("\n  stock + sold = received   %s + %s = %s: the books agree, product by product on every "
               "shard\n",
               number(sum.on_hand).s, number(sum.sold).s, number(sum.received).s);
        printf("  payments = orders         %s = %s, amounting to %s: the books agree, order by order\n",
               number(sum.payments).s, number(sum.orders).s, money(sum.amount_micros).s);
        printf("  speed                     %.1f orders/s by %" PRId64 " workers, %" PRId64
               " %s, p50 %.2f ms, p99 %.2f ms\n",
               orders_per_s(speed), options->n_workers, speed->n_retries,
               speed->n_retries == 1 ? "retry" : "retries", (double)speed->p50_us / 1000,
               (double)speed->p99_us / 1000);
}

void report_json(const struct options *options, const struct ledger *ledger,
                 const struct databases *databases, const struct books *books, const struct speed *speed)
{
        struct books sum = {0};
        char revenue[32];

        for (size_t i = 0; i < databases->n_shards; i++)
                books_add(&sum, &books[i]);
        printf("{\"engine\": \"%s\", \"shards\": %zu, \"lines\": %" PRId64 ", \"invoices\": %" PRIu32
               ", \"cancelled_lines\": %" PRId64 ", \"units\": %" PRId64 ", \"revenue\": \"%s\""
               ", \"orders_per_s\": %.1f, \"retries\": %" PRId64 ", \"p50_us\": %" PRId64
               ", \"p99_us\": %" PRId64,
               databases_engine(databases), databases->n_shards, sum.lines, ledger->invoices.n,
               ledger->sums.n_cancelled_lines, sum.units, money_format(sum.amount_micros, revenue),
               orders_per_s(speed), speed->n_retries, speed->p50_us, speed->p99_us);
        if (options->skip_bad)
                printf(", \"set_aside\": %" PRId64, ledger->n_set_aside);
        puts("}");
}
