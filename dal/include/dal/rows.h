/* SPDX-License-Identifier: MIT */
#ifndef DAL_ROWS_H
#define DAL_ROWS_H

/*
 * Rows: the cursor over a query's result.
 *
 *      dal_rows *rows;
 *      bool found;
 *      s = dal_tx_query(tx, &find_user, DAL_PARAMS(dal_int64(id)), &rows, err);
 *      while (s == DAL_OK && (s = dal_rows_next(rows, &found, err)) == DAL_OK && found)
 *              s = dal_rows_int64(rows, 0, &age, err);
 *      dal_rows_close(rows);
 *
 * A query that failed leaves the caller's pointer NULL, which dal_rows_close() accepts.
 *
 * A cursor belongs to one connection, and one thread at a time may use it. Until it is closed, or read to its end, other
 * statements on that connection (in that transaction) are refused with DAL_ERR_BUSY; dal_tx_queue(), which sends
 * nothing, is not.
 *
 * Where the driver has DAL_CAP_CURSORS (SQLite) statements may be run meanwhile: by dal_tx_query(), dal_tx_exec(),
 * dal_conn_query() and dal_conn_exec(), and those made at run time. Up to DAL_ROWS_MAX_OPEN cursors are open side by
 * side; a further one is refused with DAL_ERR_BUSY, as is all else while one is open: a nested dal_tx_run(), batches,
 * bulk loads, scripts, dal_conn_begin(). Each cursor goes on where it was, by its own deadline, and its cells stay until
 * its own next row. COMMIT, ROLLBACK and dal_conn_cancel() end them all. Close each: one that was read to its end may
 * be taken for another query. A program for every engine reads the first cursor to its end before it goes on, or joins
 * the two queries. SQLite drops no table that is being read (BUSY), and what is being read may get a column.
 *
 * Whether a cursor sees what is written on its own connection while it is open is undefined on SQLite, row by row; a row
 * that was deleted ahead of it does not come any more. What is to be changed by what was read is read first.
 * Source: sqlite.org/isolation.html, "No Isolation Between Operations On The Same Database Connection"
 *
 * Getters convert only where nothing is lost. A NULL, a value out of range or a value of another type is an
 * error, never a default. Integers: any integer, a boolean (0 or 1), or a decimal without fraction that fits.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <dal/error.h>
#include <dal/macros.h>
#include <dal/value.h>

DAL_BEGIN_DECLS

typedef struct dal_rows dal_rows;

/* Cursors open on one connection, where there may be several. */
#define DAL_ROWS_MAX_OPEN 16u

/**
 * Moves to the next row.
 *
 * @param found_out  false after the last row
 * @return DAL_OK, or what the server or connection reported: an error after some rows is an error, not the end
 * Threads: the cursor's user. Blocks: until the deadline of the query.
 */
DAL_NODISCARD dal_status dal_rows_next(dal_rows *rows, bool *found_out, dal_error *err);

/**
 * Moves to the first row of a query that names one by its key.
 *
 * @return DAL_OK, DAL_ERR_NOT_FOUND if there is no row, or as dal_rows_next()
 * Threads: the cursor's user. Blocks: until the deadline of the query.
 */
DAL_NODISCARD dal_status dal_rows_first(dal_rows *rows, dal_error *err);

/** Closes the cursor; what it lent is gone. Accepts NULL. Threads: the cursor's user. Blocks: a bounded drain. */
void dal_rows_close(dal_rows *rows);

/** Returns the number of columns. */
uint32_t dal_rows_n_columns(const dal_rows *rows);
/** Returns a column's name; NULL if out of range. Borrowed until dal_rows_close(). */
const char *dal_rows_column(const dal_rows *rows, uint32_t i_column);
/** Finds a column by name; -1 if there is none. */
int32_t dal_rows_find_column(const dal_rows *rows, const char *name);
/** Returns a cell as it came; NULL if there is no row or no such column. Borrowed until the next row. */
const dal_value *dal_rows_cell(const dal_rows *rows, uint32_t i_column);
/** Says whether a cell is SQL NULL (also when there is no such cell). */
bool dal_rows_is_null(const dal_rows *rows, uint32_t i_column);
/** Returns the shard the current row came from; DAL_NO_SHARD outside a cluster. */
uint16_t dal_rows_shard(const dal_rows *rows);

/*
 * Typed getters. `i_column` counts from 0. Each returns DAL_OK, or DAL_ERR_RANGE (class NULL_VALUE, WRONG_TYPE or
 * OVERFLOW), DAL_ERR_ARG (no such column) or DAL_ERR_STATE (no current row), leaving *out untouched. Text and bytes are
 * borrowed until the next row.
 */
DAL_NODISCARD dal_status dal_rows_bool(const dal_rows *rows, uint32_t i_column, bool *out, dal_error *err);
DAL_NODISCARD dal_status dal_rows_int32(const dal_rows *rows, uint32_t i_column, int32_t *out, dal_error *err);
DAL_NODISCARD dal_status dal_rows_int64(const dal_rows *rows, uint32_t i_column, int64_t *out, dal_error *err);
DAL_NODISCARD dal_status dal_rows_uint64(const dal_rows *rows, uint32_t i_column, uint64_t *out, dal_error *err);
/* An integer is delivered only if a double holds it exactly; a decimal is refused: ask for it as text. */
DAL_NODISCARD dal_status dal_rows_double(const dal_rows *rows, uint32_t i_column, double *out, dal_error *err);
/*
 * A decimal or integer, as decimal text; PostgreSQL has "NaN", "Infinity" and "-Infinity" too. Too long for the buffer:
 * dal_rows_text() lends it.
 */
DAL_NODISCARD dal_status dal_rows_decimal(const dal_rows *rows, uint32_t i_column, char *out, size_t out_size,
                                          dal_error *err);
/* Text or a decimal; also a type that the library does not know, if the server sent it as text. */
DAL_NODISCARD dal_status dal_rows_text(const dal_rows *rows, uint32_t i_column, const char **text_out,
                                       size_t *size_out, dal_error *err);
DAL_NODISCARD dal_status dal_rows_bytes(const dal_rows *rows, uint32_t i_column, const void **bytes_out,
                                        size_t *size_out, dal_error *err);
DAL_NODISCARD dal_status dal_rows_timestamp(const dal_rows *rows, uint32_t i_column, int64_t *unix_us_out,
                                            dal_error *err);
DAL_NODISCARD dal_status dal_rows_date(const dal_rows *rows, uint32_t i_column, int64_t *unix_days_out,
                                       dal_error *err);
DAL_NODISCARD dal_status dal_rows_uuid(const dal_rows *rows, uint32_t i_column, uint8_t out[16], dal_error *err);

/** Copies text into the caller's buffer with a NUL; DAL_ERR_RANGE (OVERFLOW) if it does not fit. */
DAL_NODISCARD dal_status dal_rows_copy_text(const dal_rows *rows, uint32_t i_column, char *out, size_t out_size,
                                            dal_error *err);

DAL_END_DECLS

#endif
