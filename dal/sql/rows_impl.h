/* SPDX-License-Identifier: MIT */
#ifndef DAL_SQL_ROWS_IMPL_H
#define DAL_SQL_ROWS_IMPL_H

#include <dal/rows.h>

/* The cursor is one view for several sources: a connection's result, or several shards' results in a row. */
struct dal_rows {
        const dal_value *cells; /* of the current row; NULL before the first and after the last */
        const dal_value
                *first; /* of the next row, when it is at hand already: then `next` is not asked for it */
        uint32_t n_columns;
        uint16_t shard;
        /* Sets `cells`, to NULL after the last row and after a failure; *found_out says whether there is a row. */
        dal_status (*next)(dal_rows *rows, bool *found_out, dal_error *err);
        void (*close)(dal_rows *rows);
        const char *(*column)(const dal_rows *rows, uint32_t i_column);
        void *source;
};

#endif
