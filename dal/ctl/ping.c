/* SPDX-License-Identifier: MIT */
#include "ctl.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- version ------------------------------------------------------------------------------------------ */

int ctl_version(const ctl_options *options)
{
        size_t n_drivers;
        const dal_driver *const *drivers = ctl_drivers(&n_drivers);
        (void)options;
        (void)printf("dalctl %s, drivers:", DAL_VERSION);
        for (size_t i = 0; i < n_drivers; i++)
                (void)printf(" %s", drivers[i]->name);
        (void)printf("\n");
        return CTL_CLEAN;
}

/* ---- ping --------------------------------------------------------------------------------------------- */

typedef struct pong {
        dal_status status;
        dal_error err;
        dal_driver_info info;
        int64_t ping_us;
} pong;

/*
 * A pool would try again until the time is up; a ping tells at once that nobody is there. The URL of a shard has lost
 * its own password, if it has one: then only the pool can say more.
 */
static dal_status knock(const ctl_targets *targets, size_t i, dal_error *err)
{
        const ctl_target *target = &targets->targets[i];
        dal_dsn *base = NULL;
        dal_conn *conn = NULL;
        dal_status status;
        if (!targets->is_catalog || target->is_catalog || ctl_is_embedded(target->url))
                return DAL_OK; /* asked already, or a file */
        status = dal_dsn_parse(targets->options->url, &base, err);
        if (status == DAL_OK)
                status = ctl_connect(target->url, base, false, targets->options->timeout_ms, &conn, err);
        dal_conn_close(conn);
        dal_dsn_free(base);
        return status == DAL_ERR_AUTH ? DAL_OK : status;
}

static void ping_one(const ctl_targets *targets, size_t i, pong *out)
{
        dal_conn *conn = NULL;
        int64_t start;
        out->err = (dal_error)DAL_ERROR_INIT;
        out->status = knock(targets, i, &out->err);
        if (out->status == DAL_OK)
                out->status = ctl_target_connect(targets, i, &conn, &out->err);
        if (out->status)
                return;
        start = dal_clock_now();
        out->status = dal_conn_ping(conn, dal_clock_after_ms(targets->options->timeout_ms), &out->err);
        out->ping_us = (dal_clock_now() - start) / 1000;
        out->info = *dal_conn_info(conn);
        ctl_target_release(targets, i, conn);
}

static json_t *pong_json(const ctl_target *target, const pong *p)
{
        json_t *object = json_pack("{s:s, s:s, s:b}", "database", target->label, "url", target->url, "alive",
                                   p->status == DAL_OK);
        if (target->shard != DAL_NO_SHARD)
                (void)json_object_set_new(object, "shard", json_integer(target->shard));
        if (p->status)
                (void)json_object_set_new(object, "error", json_string(p->err.message));
        else
                (void)json_object_update_new(object, json_pack("{s:s, s:s, s:s, s:b, s:I}", "engine",
                                                               p->info.engine, "version", p->info.version,
                                                               "client", p->info.client, "tls", p->info.tls,
                                                               "ping_us", (json_int_t)p->ping_us));
        return object;
}

static void add_row(ctl_table *table, const ctl_target *target, const pong *p)
{
        char engine[96], time[48];
        (void)snprintf(engine, sizeof engine, "%s %s%s", p->info.engine, p->info.version,
                       p->info.tls ? ", TLS" : "");
        (void)snprintf(time, sizeof time, "%" PRId64 " us", p->ping_us);
        ctl_table_add(table, target->label, "bold");
        ctl_table_add(table, p->status ? "down" : "ok", p->status ? "bad" : "good");
        ctl_table_add(table, p->status ? "-" : engine, NULL);
        ctl_table_add(table, p->status ? "-" : time, "dim");
        ctl_table_add(table, target->url, NULL);
}

int ctl_ping(const ctl_options *options)
{
        dal_error err = DAL_ERROR_INIT;
        ctl_targets targets;
        ctl_table *table;
        json_t *list;
        int exit_code = CTL_CLEAN;
        dal_conn *first = NULL;
        dal_status status = ctl_connect(options->url, NULL, false, options->timeout_ms, &first, &err);
        dal_conn_close(first);
        if (status || ctl_targets_open(options, false, &targets, &err) != DAL_OK) {
                ctl_complain("%s", err.message);
                return CTL_FAILED;
        }
        table = ctl_table_new(5);
        list = json_array();
        for (size_t i = 0; i < targets.n_targets; i++) {
                pong p;
                memset(&p, 0, sizeof p);
                ping_one(&targets, i, &p);
                add_row(table, &targets.targets[i], &p);
                (void)json_array_append_new(list, pong_json(&targets.targets[i], &p));
                if (p.status) {
                        exit_code = CTL_FAILED;
                        ctl_complain("%s: %s", targets.targets[i].label, p.err.message);
                }
        }
        if (options->json) {
                (void)json_dumpf(list, stdout, JSON_INDENT(2));
                (void)printf("\n");
        } else {
                ctl_table_print(table);
        }
        json_decref(list);
        ctl_table_free(table);
        ctl_targets_close(&targets);
        return exit_code;
}

/* ---- locate ------------------------------------------------------------------------------------------- */

static bool parse_hex(const char *text, uint8_t *out, size_t room, size_t *n_out)
{
        size_t n = strlen(text);
        if (n % 2 != 0 || n / 2 > room)
                return false;
        for (size_t i = 0; i < n; i++) {
                const char *digits = "0123456789abcdef0123456789ABCDEF";
                const char *at = strchr(digits, text[i]);
                uint8_t value;
                if (!at)
                        return false;
                value = (uint8_t)((at - digits) & 15);
                out[i / 2] = (uint8_t)(i % 2 ? out[i / 2] | value : value << 4);
        }
        *n_out = n / 2;
        return true;
}

static bool int64_key(const char *text, dal_key *out)
{
        char *end;
        long long value;
        errno = 0;
        value = strtoll(text, &end, 10);
        if (errno || end == text || *end) {
                ctl_complain(
                        "\"%s\" is no 64-bit integer: say --key-type text, uuid or bytes if it is meant so",
                        text);
                return false;
        }
        *out = dal_key_int64(value);
        return true;
}

static bool read_key(const ctl_options *options, dal_key *out)
{
        const char *type = options->key_type ? options->key_type : "int64";
        const char *text = options->args[0];
        uint8_t bytes[4096];
        size_t n;
        if (strcmp(type, "int64") == 0)
                return int64_key(text, out);
        if (strcmp(type, "text") == 0) {
                *out = dal_key_text(text);
                return true;
        }
        if (strcmp(type, "uuid") == 0 && dal_value_parse_uuid(text, strlen(text), bytes)) {
                *out = dal_key_uuid(bytes);
                return true;
        }
        if (strcmp(type, "bytes") == 0 && parse_hex(text, bytes, sizeof bytes, &n)) {
                *out = dal_key_bytes(bytes, n);
                return true;
        }
        if (strcmp(type, "uuid") == 0)
                ctl_complain("\"%s\" is no UUID: expected the form 550e8400-e29b-41d4-a716-446655440000",
                             text);
        else if (strcmp(type, "bytes") == 0)
                ctl_complain("\"%s\" is no bytes: expected an even number of hex digits", text);
        else
                ctl_complain("--key-type %s: expected int64, text, uuid or bytes", type);
        return false;
}

static const ctl_target *find_shard(const ctl_targets *targets, uint16_t shard)
{
        for (size_t i = 0; i < targets->n_targets; i++)
                if (targets->targets[i].shard == shard && shard != DAL_NO_SHARD)
                        return &targets->targets[i];
        return NULL;
}

static void print_place(const char *text, const dal_key *key, const ctl_target *target)
{
        json_t *object = json_pack("{s:s, s:i, s:i, s:s}", "key", text, "slot", (int)dal_key_slot(key),
                                   "shard", (int)target->shard, "url", target->url);
        (void)json_dumpf(object, stdout, 0);
        (void)printf("\n");
        json_decref(object);
}

int ctl_locate(const ctl_options *options)
{
        dal_error err = DAL_ERROR_INIT;
        ctl_targets targets;
        const ctl_target *target;
        dal_key key;
        uint16_t shard;
        if (options->n_args != 1) {
                ctl_complain("locate needs a key, as in: dalctl locate --url URL 42");
                return CTL_USAGE;
        }
        if (!read_key(options, &key))
                return CTL_USAGE;
        if (ctl_targets_open(options, false, &targets, &err) != DAL_OK) {
                ctl_complain("%s", err.message);
                return CTL_FAILED;
        }
        shard = dal_cluster_locate(targets.cluster, key);
        target = find_shard(&targets, shard);
        if (!target)
                ctl_complain("no shard owns slot %u of key %s", dal_key_slot(&key), options->args[0]);
        else if (options->json)
                print_place(options->args[0], &key, target);
        else
                (void)printf("key %s  slot %u  shard %u  %s\n", options->args[0], dal_key_slot(&key), shard,
                             target->url);
        ctl_targets_close(&targets);
        return target ? CTL_CLEAN : CTL_FAILED;
}
