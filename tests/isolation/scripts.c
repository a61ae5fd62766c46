/* SPDX-License-Identifier: MIT */
/* The anomalies. Each begins with row 1 of value 10 and row 2 of value 20, both of version 1. */

#include "isolation.h"

#define COMMIT(who)                                                                                          \
        {                                                                                                    \
                ISO_COMMIT, who, 0, 0, 0, 0                                                                  \
        }
#define ROLLBACK(who)                                                                                        \
        {                                                                                                    \
                ISO_ROLLBACK, who, 0, 0, 0, 0                                                                \
        }
#define GET(who, id, slot)                                                                                   \
        {                                                                                                    \
                ISO_GET, who, id, 0, slot, 0                                                                 \
        }
#define GET_VERSION(who, id, slot)                                                                           \
        {                                                                                                    \
                ISO_GET_VERSION, who, id, 0, slot, 0                                                         \
        }
#define GET_LOCKED(who, id, slot)                                                                            \
        {                                                                                                    \
                ISO_GET_LOCKED, who, id, 0, slot, 0                                                          \
        }
#define COUNT_EQUAL(who, value, slot)                                                                        \
        {                                                                                                    \
                ISO_COUNT_EQUAL, who, value, 0, slot, 0                                                      \
        }
#define COUNT_MULTIPLES(who, of, slot)                                                                       \
        {                                                                                                    \
                ISO_COUNT_MULTIPLES, who, of, 0, slot, 0                                                     \
        }
#define SET(who, id, value)                                                                                  \
        {                                                                                                    \
                ISO_SET, who, id, value, 0, 0                                                                \
        }
#define SET_FROM(who, id, from, plus)                                                                        \
        {                                                                                                    \
                ISO_SET, who, id, plus, 0, from                                                              \
        }
#define SET_VERSIONED(who, id, value, v)                                                                     \
        {                                                                                                    \
                ISO_SET_VERSIONED, who, id, value, 0, v                                                      \
        }
#define SET_EQUAL(who, old, value)                                                                           \
        {                                                                                                    \
                ISO_SET_EQUAL, who, old, value, 0, 0                                                         \
        }
#define RAISE_ALL(who, by)                                                                                   \
        {                                                                                                    \
                ISO_RAISE_ALL, who, by, 0, 0, 0                                                              \
        }
#define ADD(who, id, value)                                                                                  \
        {                                                                                                    \
                ISO_ADD, who, id, value, 0, 0                                                                \
        }
#define REMOVE_EQUAL(who, value, slot)                                                                       \
        {                                                                                                    \
                ISO_REMOVE_EQUAL, who, value, 0, slot, 0                                                     \
        }

static bool both_committed(const struct iso_seen *seen)
{
        return seen->committed[1] && seen->committed[2];
}

static bool rows_of_two_writers(const struct iso_seen *seen)
{
        return !(seen->last[1] == 11 && seen->last[2] == 21) && !(seen->last[1] == 12 && seen->last[2] == 22);
}

static bool saw_101(const struct iso_seen *seen)
{
        return seen->got[1] == 101 || seen->got[2] == 101;
}

static bool saw_each_other(const struct iso_seen *seen)
{
        return both_committed(seen) && seen->got[1] == 22 && seen->got[2] == 11;
}

/* Row 1 is read before and after row 2: no order of the two writers explains what was seen of them. */
static bool saw_a_part_vanish(const struct iso_seen *seen)
{
        return (seen->got[1] == 12 && seen->got[2] == 19) || (seen->got[1] == 11 && seen->got[2] == 18) ||
               (seen->got[3] == 18 && seen->got[4] == 11);
}

static bool saw_none_then_one(const struct iso_seen *seen)
{
        return seen->committed[1] && seen->got[1] == 0 && seen->got[2] == 1;
}

static bool one_is_left(const struct iso_seen *seen)
{
        return seen->committed[2] && seen->got[2] > 0;
}

static bool lost_an_update(const struct iso_seen *seen)
{
        return both_committed(seen) && seen->last[1] != 10 + 5 + 8;
}

static bool wrote_over_another_version(const struct iso_seen *seen)
{
        return both_committed(seen) && seen->got[1] == seen->got[2];
}

static bool saw_old_and_new(const struct iso_seen *seen)
{
        return seen->committed[1] && seen->got[1] == 10 && seen->got[2] == 18;
}

static bool counted_old_and_new(const struct iso_seen *seen)
{
        return seen->committed[1] && seen->got[1] == 2 && seen->got[2] == 1;
}

static bool saw_it_and_did_not_remove_it(const struct iso_seen *seen)
{
        return both_committed(seen) && seen->got[1] == 1 && seen->got[2] == 0;
}

static bool both_saw_the_beginning(const struct iso_seen *seen)
{
        return both_committed(seen) && seen->got[1] == 10 && seen->got[2] == 20 && seen->got[3] == 10 &&
               seen->got[4] == 20;
}

static bool both_counted_none(const struct iso_seen *seen)
{
        return both_committed(seen) && seen->got[1] == 0 && seen->got[2] == 0;
}

const struct iso_script iso_scripts[] = {
        {
                .code = "G0",
                .name = "dirty write",
                .text = "two transactions write the same two rows, and in the end each row is of another one",
                .steps = {SET(1, 1, 11), SET(2, 1, 12), SET(1, 2, 21), COMMIT(1), SET(2, 2, 22), COMMIT(2)},
                .happened = rows_of_two_writers,
        },
        {
                .code = "G1a",
                .name = "aborted read",
                .text = "a value is read that is then rolled back",
                .steps = {SET(1, 1, 101), GET(2, 1, 1), ROLLBACK(1), GET(2, 1, 2), COMMIT(2)},
                .happened = saw_101,
        },
        {
                .code = "G1b",
                .name = "intermediate read",
                .text = "a value is read that its writer replaces before committing",
                .steps = {SET(1, 1, 101), GET(2, 1, 1), SET(1, 1, 11), COMMIT(1), GET(2, 1, 2), COMMIT(2)},
                .happened = saw_101,
        },
        {
                .code = "G1c",
                .name = "circular information flow",
                .text = "two transactions each read what the other one wrote",
                .steps = {SET(1, 1, 11), SET(2, 2, 22), GET(1, 2, 1), GET(2, 1, 2), COMMIT(1), COMMIT(2)},
                .happened = saw_each_other,
        },
        {
                .code = "OTV",
                .name = "observed transaction vanishes",
                .text = "one row shows that a transaction has happened, the next row that it has not",
                .steps = {SET(1, 1, 11), SET(1, 2, 19), SET(2, 1, 12), COMMIT(1), GET(3, 1, 1), SET(2, 2, 18),
                          GET(3, 2, 2), COMMIT(2), GET(3, 2, 3), GET(3, 1, 4), COMMIT(3)},
                .happened = saw_a_part_vanish,
        },
        {
                .code = "PMP",
                .name = "predicate-many-preceders, read",
                .text = "the same search finds a row that it did not find before",
                .steps = {COUNT_EQUAL(1, 30, 1), ADD(2, 3, 30), COMMIT(2), COUNT_MULTIPLES(1, 3, 2),
                          COMMIT(1)},
                .happened = saw_none_then_one,
        },
        {
                .code = "PMP-write",
                .name = "predicate-many-preceders, write",
                .text = "`DELETE` of all that have a value leaves one that has it",
                .steps = {RAISE_ALL(1, 10), COUNT_EQUAL(2, 20, 1), REMOVE_EQUAL(2, 20, 0), COMMIT(1),
                          COUNT_EQUAL(2, 20, 2), COMMIT(2)},
                .happened = one_is_left,
        },
        {
                .code = "P4",
                .name = "lost update",
                .text = "two transactions read a number, add to it and write it; one sum is missing",
                .steps = {GET(1, 1, 1), GET(2, 1, 2), SET_FROM(1, 1, 1, 5), SET_FROM(2, 1, 2, 8), COMMIT(1),
                          COMMIT(2)},
                .happened = lost_an_update,
        },
        {
                .code = "G-single",
                .name = "read skew",
                .text = "of two rows that change together, one is read before and the other after",
                .steps = {GET(1, 1, 1), SET(2, 1, 12), SET(2, 2, 18), COMMIT(2), GET(1, 2, 2), COMMIT(1)},
                .happened = saw_old_and_new,
        },
        {
                .code = "G-single-predicate",
                .name = "read skew by searching",
                .text = "two searches, one before and one after a change, don't fit together",
                .steps = {COUNT_MULTIPLES(1, 5, 1), SET_EQUAL(2, 10, 12), COMMIT(2), COUNT_MULTIPLES(1, 3, 2),
                          COMMIT(1)},
                .happened = counted_old_and_new,
        },
        {
                .code = "G-single-write",
                .name = "read skew of a write",
                .text = "what was found by reading is not found by the `DELETE` that follows",
                .steps = {COUNT_EQUAL(1, 20, 1), SET(2, 1, 12), SET(2, 2, 18), COMMIT(2),
                          REMOVE_EQUAL(1, 20, 2), COMMIT(1)},
                .happened = saw_it_and_did_not_remove_it,
        },
        {
                .code = "G2-item",
                .name = "write skew",
                .text = "two transactions read the same two rows, then each changes another one of them",
                .steps = {GET(1, 1, 1), GET(1, 2, 2), GET(2, 1, 3), GET(2, 2, 4), SET(1, 1, 11),
                          SET(2, 2, 21), COMMIT(1), COMMIT(2)},
                .happened = both_saw_the_beginning,
        },
        {
                .code = "G2",
                .name = "write skew by searching (phantom)",
                .text = "two transactions find nothing, then each adds what the other one looked for",
                .steps = {COUNT_MULTIPLES(1, 3, 1), COUNT_MULTIPLES(2, 3, 2), ADD(1, 3, 30), ADD(2, 4, 42),
                          COMMIT(1), COMMIT(2)},
                .happened = both_counted_none,
        },
        {
                .code = "P4-lock",
                .name = "lost update, read with `DAL_STMT_LOCK_UPDATE`",
                .steps = {GET_LOCKED(1, 1, 1), GET_LOCKED(2, 1, 2), SET_FROM(1, 1, 1, 5), COMMIT(1),
                          SET_FROM(2, 1, 2, 8), COMMIT(2)},
                .happened = lost_an_update,
                .is_remedy = true,
        },
        {
                .code = "P4-version",
                .name = "lost update, written with a version column",
                .steps = {GET_VERSION(1, 1, 1), GET_VERSION(2, 1, 2), SET_VERSIONED(1, 1, 15, 1),
                          SET_VERSIONED(2, 1, 18, 2), COMMIT(1), COMMIT(2)},
                .happened = wrote_over_another_version,
                .is_remedy = true,
        },
        {
                .code = "G2-item-lock",
                .name = "write skew, read with `DAL_STMT_LOCK_UPDATE`",
                .steps = {GET_LOCKED(1, 1, 1), GET_LOCKED(1, 2, 2), GET_LOCKED(2, 1, 3), GET_LOCKED(2, 2, 4),
                          SET(1, 1, 11), COMMIT(1), SET(2, 2, 21), COMMIT(2)},
                .happened = both_saw_the_beginning,
                .is_remedy = true,
        },
        {.code = NULL},
};
