/* SPDX-License-Identifier: MIT */
#ifndef DAL_RUN_OUTCOME_H
#define DAL_RUN_OUTCOME_H

#include <stdbool.h>
#include <stdint.h>

#include <dal/conn.h>
#include <dal/outcome.h>
#include <dal/pool.h>

/*
 * Tokens of transactions and what becomes of them.
 *
 * A token is 16 bytes: kind, shard (2), seconds since 1970 (5), random (8), the numbers with their highest byte first.
 * The time stands in front so that new tokens go to the end of the index and old ones are purged as one range of it. The
 * row of kind 0 with the latest time says up to when was purged; nothing is concluded from the absence of an older one.
 */
#define DAL__OUTCOME_TOKEN_SIZE 16u
#define DAL__OUTCOME_HEX_SIZE   33u
#define DAL__OUTCOME_NAME_SIZE  320u /* `schema`.`dal_outcome`, each byte of the schema a quote */

typedef struct dal__outcome_token {
        uint8_t bytes[DAL__OUTCOME_TOKEN_SIZE];
} dal__outcome_token;

typedef enum dal__outcome_kind {
        DAL__OUTCOME_PURGED = 0,
        DAL__OUTCOME_ROW = 1,
        DAL__OUTCOME_NUMBER = 2 /* no row: behind the shard stand the 13 bytes of the server's own number */
} dal__outcome_kind;

/* Makes the token of a transaction; fails only when the system has no random bytes. */
dal_status dal__outcome_make(uint16_t shard, dal__outcome_token *out, dal_error *err);
/* Makes the token of a transaction whose number is known, as the driver's number_query gave it. */
dal_status dal__outcome_make_numbered(uint16_t shard, const char *number, dal__outcome_token *out,
                                      dal_error *err);
/* A token of a kind and a time with zeros for its random bytes: the first one there can be. */
void dal__outcome_first(dal__outcome_kind kind, uint16_t shard, uint64_t seconds, dal__outcome_token *out);
void dal__outcome_write(const dal__outcome_token *token, char out[DAL__OUTCOME_HEX_SIZE]);
/* Reads what dal__outcome_write() wrote; ARGUMENT if it is anything else. */
dal_status dal__outcome_read(const char *text, dal__outcome_token *out, dal_error *err);
dal__outcome_kind dal__outcome_kind_of(const dal__outcome_token *token);
uint16_t dal__outcome_shard_of(const dal__outcome_token *token);
uint64_t dal__outcome_seconds_of(const dal__outcome_token *token);
uint64_t dal__outcome_now(void);

/* Finds the table's full name; "" if there is none. On an idle connection; leaves it idle. */
dal_status dal__outcome_find(dal_conn *conn, dal_deadline deadline, char out[DAL__OUTCOME_NAME_SIZE],
                             dal_error *err);

/* One COMMIT that got no answer. */
typedef struct dal__outcome_case {
        const char *here;
        dal_pool *pool;
        const char *table;
        const char *token;   /* hex */
        uint64_t session_id; /* where it was sent; 0 = not known */
        uint64_t server;     /* of that session; 0 = not known */
        int64_t sent_at;     /* not later than the COMMIT left, by the clock */
        dal_deadline deadline;
} dal__outcome_case;

/*
 * Finds out how it ended: fences, and inserts the token as that of a transaction that is not committed.
 *
 * *conn is the lease of the lost connection, whose place is used, or NULL; afterwards it is a lease to give back, or
 * NULL. On failure *out is UNKNOWN and *err says why; the class is COMMIT_UNKNOWN, the token is in it.
 */
dal_status dal__outcome_resolve(const dal__outcome_case *lost, dal_conn **conn, dal_outcome *out,
                                dal_error *err);

/*
 * Reads the server's clock, in seconds, for a purge: what is old must not be a matter of one machine's opinion. STATE if
 * this machine's clock is another by more than a minute, for nobody knows which of the two is right.
 */
dal_status dal__outcome_agreed_time(dal_conn *conn, dal_deadline deadline, uint64_t *out, dal_error *err);
/* Notes up to when is going to be purged. */
dal_status dal__outcome_note_purge(dal_conn *conn, const char *table, uint64_t older_than,
                                   dal_deadline deadline, dal_error *err);
/* Then: deletes one batch of older tokens of the shard; *n_out is 0 when there are no more. */
dal_status dal__outcome_purge(dal_conn *conn, const char *table, uint16_t shard, uint64_t older_than,
                              dal_deadline deadline, uint64_t *n_out, dal_error *err);

#endif
