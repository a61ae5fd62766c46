/* SPDX-License-Identifier: MIT */
#ifndef DAL_SQL_PARAMS_H
#define DAL_SQL_PARAMS_H

#include <dal/driver.h>

/* What the rewriter found out about a statement. */
typedef struct dal__params_text {
        char *text; /* owned: dal_mem_free(); placeholders in the driver's form, led by the name as a comment */
        size_t size;
        uint32_t n_params;
        bool is_read; /* begins with SELECT, VALUES, TABLE or SHOW and has no INTO and no data-changing word */
        bool has_transaction_word; /* begins with BEGIN, START, COMMIT, END, ROLLBACK, SAVEPOINT, RELEASE, PREPARE
                                      TRANSACTION, XA or ABORT: refused, the wrapper owns these */
        size_t code_size;          /* bytes up to the last that is neither space nor comment */
        const char *no_lock;       /* why no lock clause fits behind it; NULL: it is one plain SELECT */
} dal__params_text;

/*
 * Rewrites `?` for a driver. `name` becomes one leading comment (NULL: none). Errors, ARG: empty SQL, unterminated
 * quote, more than one statement, too many placeholders; the message names the statement and the position.
 */
dal_status dal__params_rewrite(const dal_driver *driver, const char *name, const char *sql, size_t size,
                               dal__params_text *out, dal_error *err);

/*
 * Writes the driver's lock clause behind the code of a query whose flags ask for one (DAL_STMT_LOCK_*), in front of a
 * trailing comment. Errors: ARG when it is no single SELECT or both flags are set, NO_MEMORY; the text is freed then.
 */
dal_status dal__params_lock(const dal_driver *driver, const char *name, uint32_t flags,
                            dal__params_text *text, dal_error *err);

/*
 * Checks the values of a call against a statement and an engine: count, UTF-8 and no NUL in text, well-formed
 * decimals, ranges of date and timestamp, NaN and uint64 where the engine can't store them.
 */
dal_status dal__params_check(const dal_driver *driver, const char *name, uint32_t n_expected,
                             dal_params params, dal_error *err);

/* Says whether a value points to bytes elsewhere. */
static inline bool dal__params_has_span(const dal_value *value)
{
        return value->type == DAL_TYPE_TEXT || value->type == DAL_TYPE_BYTES ||
               value->type == DAL_TYPE_DECIMAL || value->type == DAL_TYPE_OTHER;
}

/* Bytes of a copy of values that were not checked yet; SIZE_MAX: more than there can be. */
size_t dal__params_copy_size(dal_params params);

/* Says that a text, a double or bytes need no look by dal__params_check(); false: it has to take one. */
bool dal__params_is_plain(const dal_value *value);
/*
 * Says that there is nothing to check or refuse: the right count, and values that every engine takes. Of some types that
 * is every value, which needs no call.
 */
static inline bool dal__params_are_plain(uint32_t n_expected, dal_params params)
{
        const unsigned plain =
                1u << DAL_TYPE_NULL | 1u << DAL_TYPE_BOOL | 1u << DAL_TYPE_INT64 | 1u << DAL_TYPE_UUID;

        if (params.n_values != n_expected || (!params.values && n_expected))
                return false;
        for (size_t i = 0; i < n_expected; i++)
                if (params.values[i].type > DAL_TYPE_OTHER ||
                    (!(plain >> params.values[i].type & 1) && !dal__params_is_plain(&params.values[i])))
                        return false;
        return true;
}

#endif
