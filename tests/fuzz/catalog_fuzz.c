/* SPDX-License-Identifier: MIT */
/*
 * The catalog and slot map, from a database that answers anything. Whatever it says, a cluster that opens has an owner
 * for each slot, and a refresh that fails leaves it whole.
 */

#include "fuzz.h"

#include <dal/cluster.h>
#include <dal/drivers/fake.h>

#define SECRET "Hx7secretQ9"

struct catalog {
        fuzz_input in;
        bool is_second; /* the second time it is read */
};

/* An odd cell now and then: `good` unless the input says otherwise. */
static dal_value cell(struct catalog *c, dal_value good)
{
        uint8_t odd = fuzz_byte(&c->in);

        switch (odd) {
        case 1:
                return dal_null();
        case 2:
                return dal_int64((int64_t)fuzz_number(&c->in, 8));
        case 3:
                return dal_text("");
        case 4:
                return dal_uint64(UINT64_MAX - fuzz_byte(&c->in));
        case 5:
                return dal_decimal("1.5");
        case 6:
                return dal_int64(fuzz_byte(&c->in));
        case 7:
                return dal_int64(70000);
        case 8:
                return dal_text("a text that is longer than any that belongs here, and then some more of it, "
                                "on and on");
        case 9:
                return dal_double(1e300);
        default:
                return good;
        }
}

static void answer_cluster(void *arg, dal_fake_call *call)
{
        static const char *const names[] = {"cluster_id", "scheme_int64", "scheme_bytes", "slot_bits",
                                            "map_version"};
        struct catalog *c = arg;
        dal_value cells[5];

        dal_fake_call_columns(call, names, 5);
        cells[0] = cell(c, dal_text("0123-fuzz"));
        cells[1] = cell(c, dal_text("fmix64/1"));
        cells[2] = cell(c, dal_text("sha256be8/1"));
        cells[3] = cell(c, dal_int64(14));
        cells[4] = cell(c, dal_int64(c->is_second ? 2 : 1));
        if (fuzz_byte(&c->in) != 1)
                dal_fake_call_row(call, (dal_params){cells, fuzz_byte(&c->in) == 1 ? 3 : 5});
}

static void answer_shards(void *arg, dal_fake_call *call)
{
        static const char *const names[] = {"shard_id", "url"};
        static const char *const urls[] = {"fake://u:" SECRET "@h/db", "fake://h/db?x=" SECRET, "nothing",
                                           "fake://u:" SECRET "@h:port/db", ""};
        struct catalog *c = arg;
        uint8_t n = (uint8_t)(fuzz_byte(&c->in) % 6);

        dal_fake_call_columns(call, names, 2);
        for (uint8_t i = 0; i < n; i++) {
                uint8_t which = fuzz_byte(&c->in);
                dal_value cells[2];

                cells[0] = cell(c, dal_int64(i));
                cells[1] = cell(c, dal_text(urls[which < 4 ? which + 1u : 0]));
                dal_fake_call_row(call, (dal_params){cells, 2});
        }
        if (fuzz_byte(&c->in) == 1)
                dal_fake_call_fail(call, DAL_CLASS_CONNECTION_LOST, NULL, "lost");
}

static void answer_slots(void *arg, dal_fake_call *call)
{
        static const char *const names[] = {"slot", "shard_id"};
        struct catalog *c = arg;
        uint32_t owner = fuzz_byte(&c->in) % 4u, odd_at = (uint32_t)fuzz_number(&c->in, 2);

        dal_fake_call_columns(call, names, 2);
        for (uint32_t slot = c->is_second ? DAL_N_SLOTS - 8 : 0; slot < DAL_N_SLOTS; slot++) {
                dal_value cells[2] = {dal_int64(slot), dal_int64(owner)};

                if (slot == odd_at % DAL_N_SLOTS) {
                        uint8_t what = fuzz_byte(&c->in);

                        if (what == 1)
                                continue;
                        cells[0] = cell(c, cells[0]);
                        cells[1] = cell(c, cells[1]);
                }
                dal_fake_call_row(call, (dal_params){cells, 2});
        }
}

static void check_map(const dal_cluster *cluster)
{
        for (int64_t i = 0; i < 64; i++)
                FUZZ_CHECK(dal_cluster_locate(cluster, dal_key_int64(i * 1000003)) != DAL_NO_SHARD);
}

static void check_shards(dal_cluster *cluster)
{
        dal_error err = DAL_ERROR_INIT;
        uint32_t n_slots = 0;

        for (uint16_t i = 0; i < dal_cluster_n_shards(cluster); i++) {
                dal_shard_info info;

                FUZZ_CHECK(dal_cluster_shard_info(cluster, i, &info, &err) == DAL_OK);
                FUZZ_CHECK(!strstr(info.url, SECRET) || strstr(info.url, "?x="));
                n_slots += info.n_slots;
        }
        FUZZ_CHECK(n_slots == DAL_N_SLOTS);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        static const dal_driver *drivers[1];
        dal_cluster_options options = DAL_CLUSTER_OPTIONS_INIT;
        struct catalog catalog = {{data, size}, false};
        dal_fake_server *server = dal_fake_new();
        dal_cluster *cluster = NULL;
        dal_error err = DAL_ERROR_INIT;
        char url[DAL_FAKE_URL_SIZE];

        drivers[0] = dal_driver_fake();
        FUZZ_CHECK(server);
        dal_fake_url(server, url);
        FUZZ_CHECK(dal_fake_on(server, "dal.select_cluster", answer_cluster, &catalog));
        FUZZ_CHECK(dal_fake_on(server, "dal.select_shards", answer_shards, &catalog));
        FUZZ_CHECK(dal_fake_on(server, "dal.select_slots", answer_slots, &catalog));
        options.timeout_ms = 2000;
        options.map_refresh_ms = 3600000;
        if (dal_cluster_open(url, drivers, 1, &options, &cluster, &err) == DAL_OK) {
                check_map(cluster);
                check_shards(cluster);
                catalog.is_second = true;
                if (dal_cluster_refresh(cluster, &err) != DAL_OK) {
                        fuzz_check_error(&err);
                        FUZZ_CHECK(!strstr(err.message, SECRET));
                }
                check_map(cluster);
                check_shards(cluster);
                FUZZ_CHECK(dal_cluster_close(cluster, 2000, &err) == DAL_OK);
        } else {
                fuzz_check_error(&err);
                FUZZ_CHECK(!strstr(err.message, SECRET));
        }
        FUZZ_CHECK(dal_fake_get_stats(server).n_live == 0);
        dal_fake_free(server);
        return 0;
}
