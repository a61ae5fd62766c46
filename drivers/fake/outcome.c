/* SPDX-License-Identifier: MIT */
/* The table dal_outcome, for tests of lost answers to COMMIT. */

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "fake_impl.h"

#define TABLE "dal_outcome"

int64_t dal__fake_outcome_key(const char *token)
{
        size_t size = strlen(token);

        return (int64_t)strtoull(size > 16 ? token + size - 16 : token, NULL, 16);
}

static int64_t key_of(const dal_value *token)
{
        const uint8_t *bytes = (const uint8_t *)token->as.span.ptr;
        uint64_t key = 0;

        for (size_t i = token->as.span.size >= 8 ? token->as.span.size - 8 : 0; i < token->as.span.size; i++)
                key = key << 8 | bytes[i];
        return (int64_t)key;
}

static void answer_query(void *arg, dal_fake_call *call)
{
        (void)arg;
        dal_fake_call_row(call, DAL_PARAMS(dal_text(TABLE)));
}

static void answer_write(void *arg, dal_fake_call *call)
{
        (void)arg;
        (void)!dal_fake_store_insert(call, TABLE, dal_fake_call_params(call).values[0].as.int64,
                                     DAL_PARAMS(dal_text("C")));
}

static void answer_tombstone(void *arg, dal_fake_call *call)
{
        (void)arg;
        if (dal_fake_store_insert(call, TABLE, key_of(&dal_fake_call_params(call).values[0]),
                                  DAL_PARAMS(dal_text("A"))))
                dal_fake_call_count(call, 1);
}

static void answer_state(void *arg, dal_fake_call *call)
{
        static const char *const names[] = {"state"};
        const dal_value *cells;
        bool found;

        (void)arg;
        dal_fake_call_columns(call, names, 1);
        if (dal_fake_store_get(call, TABLE, key_of(&dal_fake_call_params(call).values[0]), false, &cells,
                               &found) &&
            found)
                dal_fake_call_row(call, (dal_params){cells, 1});
}

/* Nothing was ever purged. */
static void answer_purged(void *arg, dal_fake_call *call)
{
        static const char *const names[] = {"token"};

        (void)arg;
        dal_fake_call_columns(call, names, 1);
}

static void answer_time(void *arg, dal_fake_call *call)
{
        static const char *const names[] = {"seconds"};
        dal_fake_server *server = arg;
        struct timespec now;
        int64_t ahead_s;

        (void)clock_gettime(CLOCK_REALTIME, &now);
        pthread_mutex_lock(&server->lock);
        ahead_s = server->clock_ahead_s;
        pthread_mutex_unlock(&server->lock);
        dal_fake_call_columns(call, names, 1);
        dal_fake_call_row(call, DAL_PARAMS(dal_int64((int64_t)now.tv_sec + ahead_s)));
}

/* The store has no ranges: nothing is as old. */
static void answer_delete(void *arg, dal_fake_call *call)
{
        (void)arg;
        dal_fake_call_count(call, 0);
}

void dal_fake_set_clock(dal_fake_server *server, int64_t ahead_s)
{
        pthread_mutex_lock(&server->lock);
        server->clock_ahead_s = ahead_s;
        pthread_mutex_unlock(&server->lock);
}

bool dal_fake_add_outcomes(dal_fake_server *server)
{
        pthread_mutex_lock(&server->lock);
        server->has_outcomes = true;
        pthread_mutex_unlock(&server->lock);
        return dal_fake_on(server, "dal.server_time", answer_time, server) &&
               dal_fake_on(server, "DELETE FROM " TABLE "*", answer_delete, NULL) &&
               dal_fake_on(server, FAKE_TOKEN_QUERY, answer_query, NULL) &&
               dal_fake_on(server, FAKE_TOKEN_WRITE, answer_write, NULL) &&
               dal_fake_on(server, "INSERT INTO " TABLE "*", answer_tombstone, NULL) &&
               dal_fake_on(server, "SELECT state FROM " TABLE "*", answer_state, NULL) &&
               dal_fake_on(server, "SELECT token FROM " TABLE "*", answer_purged, NULL);
}
