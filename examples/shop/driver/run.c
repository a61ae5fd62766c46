/* SPDX-License-Identifier: MIT */
#include "run.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../common/access.h"
#include "child.h"

enum {
        USER,
        PRODUCT,
        ORDER,
        PAYMENT,
        N_SERVICES
};
static const char *const programs[N_SERVICES] = {"shop_user", "shop_product", "shop_order", "shop_payment"};

struct run {
        const struct options *options;
        struct ledger *ledger;
        struct databases *databases;
        uint16_t n_shards;
        struct child services[N_SERVICES];
        struct books *books; /* found by the services */
        struct speed *speed;
        char *error;
        size_t error_size;
};

/* Records on their way to a service. */
struct letter {
        FILE *out;
        char *text;
        size_t size;
};

static bool letter_open(struct letter *letter)
{
        *letter = (struct letter){0};
        letter->out = open_memstream(&letter->text, &letter->size);
        return letter->out != NULL;
}

/* Sends what was written and waits for the answer. */
static bool letter_send(struct letter *letter, struct run *run, int service, child_reply_fn *on_reply,
                        struct wire_record *done)
{
        bool ok = !ferror(letter->out);

        ok = fclose(letter->out) == 0 && ok;
        if (ok)
                ok = child_talk(&run->services[service], letter->text, letter->size, on_reply, run, done,
                                run->error, run->error_size);
        else
                snprintf(run->error, run->error_size, "out of memory");
        free(letter->text);
        return ok;
}

/* Sends one record without fields. */
static bool order(struct run *run, int service, const char *what, child_reply_fn *on_reply)
{
        struct letter letter;

        if (!letter_open(&letter)) {
                snprintf(run->error, run->error_size, "out of memory");
                return false;
        }
        wire_write(letter.out, what, "");
        return letter_send(&letter, run, service, on_reply, NULL);
}

/* ---- the cluster --------------------------------------------------------------------------------------- */

static bool same_text(const char *a, const char *b)
{
        return strcmp(a ? a : "", b ? b : "") == 0;
}

/*
 * What the catalog stores for a shard. A login that is the catalog's own is left out: the library fills it
 * in. Another server's has to be there, or dalctl could not reach it later.
 */
static char *catalog_url(const struct databases *databases, size_t i)
{
        const dal_dsn *catalog = databases->shards[0].dsn, *shard = databases->shards[i].dsn;
        bool same = databases->shards[0].driver == databases->shards[i].driver &&
                    same_text(dal_dsn_user(catalog), dal_dsn_user(shard)) &&
                    same_text(dal_dsn_password(catalog), dal_dsn_password(shard));

        return strdup(same ? dal_dsn_redacted(shard) : databases->shards[i].url);
}

/* Makes the catalog in shard 0's database, by the tool that an administrator would use. */
static bool init_cluster(const struct run *run, const struct places *places)
{
        const struct databases *databases = run->databases;
        const char *fixed[] = {places->dalctl, "cluster", "init", "--dir", places->schema_dir};
        size_t n = 0, n_max = sizeof fixed / sizeof *fixed + 2 * databases->n_shards;
        char **argv = calloc(n_max + 1, sizeof *argv);
        bool ok = argv &&
                  setenv("DAL_URL", databases->shards[0].url, 1) == 0; /* argv would show the password */

        for (size_t i = 0; ok && n < n_max; n++) {
                if (n < sizeof fixed / sizeof *fixed)
                        argv[n] = strdup(fixed[n]);
                else if ((n - sizeof fixed / sizeof *fixed) % 2 == 0)
                        argv[n] = strdup("--shard");
                else
                        argv[n] = catalog_url(databases, i++);
                ok = argv[n] != NULL;
        }
        ok = ok && child_run_tool(argv, run->error, run->error_size);
        for (size_t i = 0; argv && i < n; i++)
                free(argv[i]);
        free(argv);
        unsetenv("DAL_URL");
        return ok;
}

/*
 * Tells the services where the catalog is and how to log in: by the environment, which other users can't
 * read.
 */
static bool set_environment(const struct run *run)
{
        const struct databases *databases = run->databases;
        struct letter logins;
        bool ok = letter_open(&logins);

        for (size_t i = 0; ok && i < databases->n_shards; i++)
                fprintf(logins.out, "%s\n", databases->shards[i].url);
        ok = ok && fclose(logins.out) == 0 && setenv("SHOP_LOGINS", logins.text, 1) == 0 &&
             setenv("SHOP_URL", dal_dsn_redacted(databases->shards[0].dsn), 1) == 0;
        free(logins.text);
        if (!ok)
                snprintf(run->error, run->error_size, "out of memory");
        return ok;
}

/* Asks the cluster where each order belongs. */
static bool route(const struct run *run)
{
        dal_error err = DAL_ERROR_INIT;
        dal_cluster *cluster = NULL;
        bool ok = false;

        if (shop_open("shop", 1, NULL, NULL, &cluster, &err))
                snprintf(run->error, run->error_size, "%s", err.message);
        else if (!(ok = books_route(run->ledger, cluster, run->n_shards)))
                snprintf(run->error, run->error_size, "the catalog leads to a shard that is not there");
        if (cluster)
                (void)dal_cluster_close(cluster, 5000, &err);
        return ok;
}

/* ---- the work ------------------------------------------------------------------------------------------ */

static bool register_users(struct run *run)
{
        const struct ledger *ledger = run->ledger;
        struct letter letter;

        report_progress("user: registering customers", 0, 0);
        if (!letter_open(&letter))
                return false;
        for (uint32_t i = 0; i < ledger->customers.n; i++)
                wire_write(letter.out, "user", "is", ledger->customer[i].id,
                           ledger->texts.text[ledger->customer[i].country]);
        wire_write(letter.out, "write", "");
        return letter_send(&letter, run, USER, NULL, NULL);
}

static bool load_products(struct run *run)
{
        const struct ledger *ledger = run->ledger;
        struct letter letter;

        report_progress("product: loading the catalogue", 0, 0);
        if (!letter_open(&letter))
                return false;
        for (uint32_t i = 0; i < ledger->products.n; i++)
                wire_write(letter.out, "product", "ss", ledger->products.text[i],
                           ledger->texts.text[ledger->product_description[i]]);
        wire_write(letter.out, "write_products", "");
        return letter_send(&letter, run, PRODUCT, NULL, NULL);
}

/* Books on every shard what its orders are going to need. */
static bool receive_stock(struct run *run)
{
        const struct ledger *ledger = run->ledger;
        int64_t *need = calloc(ledger->products.n, sizeof *need);
        bool ok = need != NULL;

        for (uint16_t shard = 0; ok && shard < run->n_shards; shard++) {
                struct letter letter;
                report_progress("product: receiving stock", shard, run->n_shards);
                books_allot(ledger, shard, need);
                if (!(ok = letter_open(&letter)))
                        break;
                for (uint32_t i = 0; i < ledger->products.n; i++)
                        if (need[i] >= 0)
                                wire_write(letter.out, "receive", "si", ledger->products.text[i], need[i]);
                wire_write(letter.out, "write_stock", "i", (int64_t)shard);
                ok = letter_send(&letter, run, PRODUCT, NULL, NULL);
        }
        if (ok)
                report_progress("product: receiving stock", run->n_shards, run->n_shards);
        free(need);
        return ok;
}

static void write_order(FILE *out, const struct ledger *ledger, const struct ledger_order *order)
{
        bool guest = order->customer == LEDGER_NONE;

        wire_write(out, "order", "sisssi", ledger->invoices.text[order->invoice], (int64_t)order->part,
                   guest ? "" : ledger->customers.text[order->customer], ledger->texts.text[order->country],
                   ledger->texts.text[order->ordered_at], (int64_t)order->n_lines);
        for (uint32_t i = order->first_line; i != LEDGER_NONE; i = ledger->lines[i].next) {
                const struct ledger_line *line = &ledger->lines[i];
                wire_write(out, "line", "issii", (int64_t)line->line_no, ledger->products.text[line->product],
                           ledger->texts.text[line->description], line->quantity, line->price_micros);
        }
}

static void show_orders(void *arg, const struct wire_record *reply)
{
        struct run *run = arg;

        if (!wire_is(reply, "progress", 2))
                return;
        run->speed->n_orders = wire_number(reply, 1);
        report_progress("order: entering orders", run->speed->n_orders, run->ledger->n_orders);
}

static bool enter_orders(struct run *run)
{
        const struct ledger *ledger = run->ledger;
        struct wire_record done = {0};
        struct letter letter;
        bool ok;

        report_progress("order: entering orders", 0, ledger->n_orders);
        if (!letter_open(&letter))
                return false;
        for (uint32_t i = 0; i < ledger->n_orders; i++)
                write_order(letter.out, ledger, &ledger->orders[i]);
        wire_write(letter.out, "finish", "");
        ok = letter_send(&letter, run, ORDER, show_orders, &done);
        if (ok && wire_is(&done, "done", 6)) {
                report_progress("order: entering orders", wire_number(&done, 1), ledger->n_orders);
                *run->speed =
                        (struct speed){wire_number(&done, 1), wire_number(&done, 2), wire_number(&done, 3),
                                       wire_number(&done, 4), wire_number(&done, 5)};
        }
        wire_fini(&done);
        if (!ok) {
                size_t used = strlen(run->error);
                snprintf(run->error + used, run->error_size - used,
                         "; %" PRId64 " of %" PRIu32
                         " orders or a few more are entered, each of them whole: run it "
                         "again to start over",
                         run->speed->n_orders, ledger->n_orders);
        }
        return ok;
}

/* ---- the audit ----------------------------------------------------------------------------------------- */

static void hear_audit(void *arg, const struct wire_record *reply)
{
        struct run *run = arg;
        int64_t shard = reply->n_fields > 1 ? wire_number(reply, 1) : -1;
        struct books *books;

        if (shard < 0 || shard >= run->n_shards)
                return; /* then a shard's books stay empty, and do not agree */
        books = &run->books[shard];
        if (wire_is(reply, "users", 4)) {
                books->users = wire_number(reply, 2);
                books->unknown_users = wire_number(reply, 3);
        } else if (wire_is(reply, "stock", 7)) {
                books->on_hand = wire_number(reply, 2);
                books->sold = wire_number(reply, 3);
                books->received = wire_number(reply, 4);
                books->products = wire_number(reply, 5);
                books->wrong_products = wire_number(reply, 6);
        } else if (wire_is(reply, "payments", 8)) {
                books->orders = wire_number(reply, 2);
                books->lines = wire_number(reply, 3);
                books->units = wire_number(reply, 4);
                books->payments = wire_number(reply, 5);
                books->amount_micros = wire_number(reply, 6);
                books->wrong_orders = wire_number(reply, 7);
        }
}

/* Each service looks at its own tables on all shards; together that must be the ledger. */
static bool audit(struct run *run)
{
        struct books *expected = calloc(run->n_shards, sizeof *expected);
        bool ok = expected && books_expect(run->ledger, run->n_shards, expected);

        report_progress("checking the books", 0, 0);
        if (!ok)
                snprintf(run->error, run->error_size, "out of memory");
        ok = ok && order(run, USER, "audit", hear_audit) && order(run, PRODUCT, "audit", hear_audit) &&
             order(run, PAYMENT, "audit", hear_audit);
        for (uint16_t shard = 0; ok && shard < run->n_shards; shard++)
                ok = books_agree(&expected[shard], &run->books[shard], shard, run->error, run->error_size);
        free(expected);
        return ok;
}

/* ---- all together -------------------------------------------------------------------------------------- */

static bool start_services(struct run *run, const struct places *places)
{
        for (int i = 0; i < N_SERVICES; i++)
                if (!child_start(&run->services[i], places->services_dir, programs[i],
                                 i == ORDER ? (int)run->options->n_workers : 1, run->error, run->error_size))
                        return false;
        return true;
}

static bool settle_payments(struct run *run)
{
        report_progress("payment: settling", 0, 0);
        return order(run, PAYMENT, "settle", NULL);
}

bool run_shop(const struct options *options, const struct places *places, struct ledger *ledger,
              struct databases *databases, const char *source, struct books *books, struct speed *speed,
              char *error, size_t size)
{
        struct run run = {.options = options,
                          .ledger = ledger,
                          .databases = databases,
                          .n_shards = (uint16_t)databases->n_shards,
                          .books = books,
                          .speed = speed,
                          .error = error,
                          .error_size = size};
        bool ok;

        snprintf(error, size, "out of memory");
        report_progress("making the shards", 0, 0);
        ok = databases_prepare(databases, error, size) &&
             databases_install(databases, places->schema_dir, source, error, size) &&
             init_cluster(&run, places) && set_environment(&run) && route(&run) &&
             start_services(&run, places) && register_users(&run) && load_products(&run) &&
             receive_stock(&run) && enter_orders(&run) && settle_payments(&run) && audit(&run) &&
             databases_complete(databases, error, size);
        for (int i = 0; i < N_SERVICES; i++)
                if (!child_stop(&run.services[i]) && ok) {
                        snprintf(error, size, "%s did its work and then ended badly", programs[i]);
                        ok = false;
                }
        report_progress_end();
        return ok;
}
