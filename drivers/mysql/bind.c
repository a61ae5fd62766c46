/* SPDX-License-Identifier: MIT */
/*
 * Where the values of a result go. What is kept for a statement is small, as an idle connection has many of them: the
 * columns, their cells and the first room for their values are one piece of memory, and what the library is told of
 * them, which it copies, is made when it is told.
 */
#include "mysql_impl.h"

#include <string.h>

#include <dal/mem.h>

#define FIRST_ROOM 64 /* bytes of a text column to begin with, if it may be that long */
#define BINARY     63 /* the character set number of bytes. Source: MySQL, character-set-binary */

/* Types that one of the two libraries does not know by name. Source: field_types.h of MySQL 9 */
#define TYPE_JSON   245
#define TYPE_VECTOR 242

static MYSQL_FIELD *fields_of(const dal__mysql_stmt *stmt)
{
        if (stmt->by_text)
                return mysql_fetch_fields(stmt->rows);
#if MYSQL_IS_CONNECTOR_C
        return mariadb_stmt_fetch_fields(stmt->handle);
#else
        return stmt->handle->fields;
#endif
}

const char *dal__mysql_bind_name(const dal__mysql_stmt *stmt, uint32_t i_column)
{
        const char *name = stmt->names;

        if (i_column >= stmt->n_columns)
                return NULL;
        if (!name)
                return fields_of(stmt)[i_column].name;
        for (; i_column; i_column--)
                name += strlen(name) + 1;
        return name;
}

/* The names are asked for until the next result, and what holds them is given back when the last row was read. */
static bool keep_names(dal__mysql_stmt *stmt, const MYSQL_FIELD *fields, uint32_t n)
{
        size_t size = 0;
        char *at;

        for (uint32_t i = 0; i < n; i++)
                size += strlen(fields[i].name) + 1;
        if (size > stmt->names_room || !stmt->names) {
                char *grown = dal_mem_resize(stmt->names, size, 1);
                if (!grown)
                        return false;
                stmt->names = grown;
                stmt->names_room = size;
        }
        at = stmt->names;
        for (uint32_t i = 0; i < n; i++) {
                size = strlen(fields[i].name) + 1;
                memcpy(at, fields[i].name, size);
                at += size;
        }
        return true;
}

/* ---- binding ---- */

static void decode_as(dal__mysql_column *column, dal__mysql_decode decode, dal_type type)
{
        column->decode = (uint8_t)decode;
        column->type = (uint8_t)type;
}

static void choose_decode(dal__mysql_column *column, const MYSQL_FIELD *field)
{
        bool is_unsigned = (field->flags & UNSIGNED_FLAG) != 0;
        bool bytes = field->charsetnr == BINARY;

        switch ((unsigned)field->type) {
        case MYSQL_TYPE_TINY:
        case MYSQL_TYPE_SHORT:
        case MYSQL_TYPE_INT24:
        case MYSQL_TYPE_LONG:
        case MYSQL_TYPE_YEAR:
                decode_as(column, DAL__MYSQL_DECODE_INT64, DAL_TYPE_INT64);
                break;
        case MYSQL_TYPE_LONGLONG:
                if (is_unsigned)
                        decode_as(column, DAL__MYSQL_DECODE_UINT64, DAL_TYPE_UINT64);
                else
                        decode_as(column, DAL__MYSQL_DECODE_INT64, DAL_TYPE_INT64);
                break;
        case MYSQL_TYPE_FLOAT:
        case MYSQL_TYPE_DOUBLE:
                decode_as(column, DAL__MYSQL_DECODE_DOUBLE, DAL_TYPE_DOUBLE);
                break;
        case MYSQL_TYPE_DECIMAL:
        case MYSQL_TYPE_NEWDECIMAL:
                decode_as(column, DAL__MYSQL_DECODE_SPAN, DAL_TYPE_DECIMAL);
                break;
        case MYSQL_TYPE_DATE:
        case MYSQL_TYPE_NEWDATE:
                decode_as(column, DAL__MYSQL_DECODE_DATE, DAL_TYPE_DATE);
                break;
        case MYSQL_TYPE_DATETIME:
        case MYSQL_TYPE_TIMESTAMP:
                decode_as(column, DAL__MYSQL_DECODE_TIMESTAMP, DAL_TYPE_TIMESTAMP);
                break;
        case MYSQL_TYPE_BIT:
                decode_as(column, DAL__MYSQL_DECODE_BIT, DAL_TYPE_UINT64);
                break;
        case TYPE_JSON:
                decode_as(column, DAL__MYSQL_DECODE_SPAN, DAL_TYPE_TEXT);
                break;
        case MYSQL_TYPE_TIME: /* "-838:59:59": neither an instant nor a time of day */
        case MYSQL_TYPE_GEOMETRY:
        case TYPE_VECTOR:
                decode_as(column, DAL__MYSQL_DECODE_SPAN, DAL_TYPE_OTHER);
                break;
        default:
                decode_as(column, DAL__MYSQL_DECODE_SPAN, bytes ? DAL_TYPE_BYTES : DAL_TYPE_TEXT);
                break;
        }
}

/* The room that a column of this kind begins with. */
static uint32_t first_room(const dal__mysql_column *column, const MYSQL_FIELD *field)
{
        unsigned long room = field->length < FIRST_ROOM ? field->length : FIRST_ROOM;

        switch ((dal__mysql_decode)column->decode) {
        case DAL__MYSQL_DECODE_TIMESTAMP:
        case DAL__MYSQL_DECODE_DATE:
                return sizeof(MYSQL_TIME);
        case DAL__MYSQL_DECODE_BIT:
        case DAL__MYSQL_DECODE_SPAN:
                return room < 16 ? 16 : (uint32_t)(room + 7) / 8 * 8;
        default:
                return 0; /* it goes into the cell */
        }
}

static void drop_buffer(dal__mysql_column *column)
{
        if (column->own_buffer)
                dal_mem_free(column->buffer);
        column->own_buffer = false;
        column->buffer = NULL;
        column->room = 0;
}

bool dal__mysql_bind_grow(dal__mysql_stmt *stmt, uint32_t i, unsigned long room)
{
        dal__mysql_column *column = &stmt->columns[i];
        char *grown;

        if (room > UINT32_MAX)
                return false;
        grown = dal_mem_resize(column->own_buffer ? column->buffer : NULL, room, 1);
        if (!grown)
                return false;
        column->buffer = grown;
        column->own_buffer = true;
        column->room = (uint32_t)room;
        stmt->rebind = true;
        return true;
}

/* One huge value must not stay with an idle connection. */
DAL_COLD void dal__mysql_bind_shrink(dal__mysql_stmt *stmt)
{
        for (uint32_t i = 0; i < stmt->n_columns; i++) {
                if (stmt->columns[i].room <= DAL__MYSQL_KEPT_ROOM)
                        continue;
                drop_buffer(&stmt->columns[i]);
                stmt->columns[i].field_flags = UINT32_MAX; /* so that all begins again with the first room */
                stmt->rebind = true;
        }
        stmt->has_long = false;
}

/* The library converts to the type asked for here; spans arrive as they are. */
void dal__mysql_bind_fill(dal__mysql_stmt *stmt, uint32_t i, MYSQL_BIND *bind)
{
        dal__mysql_column *column = &stmt->columns[i];
        dal_value *cell = &stmt->cells[i];

        memset(bind, 0, sizeof *bind);
        bind->is_null = &column->is_null;
        bind->length = &column->size;
        switch ((dal__mysql_decode)column->decode) {
        case DAL__MYSQL_DECODE_INT64:
        case DAL__MYSQL_DECODE_UINT64:
                bind->is_unsigned = column->decode == DAL__MYSQL_DECODE_UINT64;
                bind->buffer_type = MYSQL_TYPE_LONGLONG;
                bind->buffer = &cell->as.int64;
                break;
        case DAL__MYSQL_DECODE_DOUBLE:
                bind->buffer_type = MYSQL_TYPE_DOUBLE;
                bind->buffer = &cell->as.float64;
                break;
        case DAL__MYSQL_DECODE_TIMESTAMP:
                bind->buffer_type = MYSQL_TYPE_DATETIME;
                bind->buffer = column->buffer;
                break;
        case DAL__MYSQL_DECODE_DATE:
                bind->buffer_type = MYSQL_TYPE_DATE;
                bind->buffer = column->buffer;
                break;
        case DAL__MYSQL_DECODE_BIT:
        case DAL__MYSQL_DECODE_SPAN:
                bind->buffer_type = column->type == DAL_TYPE_BYTES || column->decode == DAL__MYSQL_DECODE_BIT
                                            ? MYSQL_TYPE_BLOB
                                            : MYSQL_TYPE_STRING;
                bind->buffer = column->buffer;
                bind->buffer_length = column->room;
                break;
        }
}

/* The table may have been altered, or this may be another result of a procedure. */
static inline bool is_bound(const dal__mysql_stmt *stmt, const MYSQL_FIELD *fields, uint32_t n)
{
        if (stmt->n_columns != n)
                return false;
        for (uint32_t i = 0; i < n; i++) {
                const dal__mysql_column *column = &stmt->columns[i];
                if (column->field_type != (unsigned)fields[i].type ||
                    column->field_flags != fields[i].flags || column->field_charset != fields[i].charsetnr)
                        return false;
        }
        return true;
}

void dal__mysql_bind_free(dal__mysql_stmt *stmt)
{
        for (uint32_t i = 0; i < stmt->n_columns; i++)
                drop_buffer(&stmt->columns[i]);
        dal_mem_free(stmt->columns);
        stmt->columns = NULL;
        stmt->cells = NULL;
        stmt->n_columns = 0;
}

/* Says how a column becomes a cell; gives the room that its value begins with. */
static uint32_t describe(dal__mysql_column *column, const MYSQL_FIELD *field, bool by_text)
{
        column->field_type = (uint8_t)field->type;
        column->field_flags = field->flags;
        column->field_charset = (uint16_t)field->charsetnr;
        choose_decode(column, field);
        return by_text ? 0 : first_room(column, field);
}

static bool lay_out(dal__mysql_stmt *stmt, const MYSQL_FIELD *fields, uint32_t n)
{
        size_t room = 0;
        char *at;

        dal__mysql_bind_free(stmt);
        for (uint32_t i = 0; i < n; i++) {
                dal__mysql_column column;

                room += describe(&column, &fields[i], stmt->by_text);
        }
        stmt->columns = dal_mem_alloc(n * (sizeof *stmt->columns + sizeof *stmt->cells) + room);
        if (!stmt->columns)
                return false;
        stmt->cells = (dal_value *)(void *)(stmt->columns + n);
        stmt->n_columns = n;
        at = (char *)(stmt->cells + n);
        for (uint32_t i = 0; i < n; i++) {
                dal__mysql_column *column = &stmt->columns[i];

                column->room = describe(column, &fields[i], stmt->by_text);
                column->buffer = at;
                at += column->room;
                stmt->cells[i].type_id = (uint32_t)fields[i].type;
        }
        return true;
}

static dal_status no_memory(dal__mysql_stmt *stmt, uint32_t n, dal_error *err)
{
        stmt->rebind = true;
        return dal_error_set(err, DAL_CLASS_NO_MEMORY, "out of memory for %u columns", n);
}

dal_status dal__mysql_bind_tell(dal__mysql_conn *conn, dal__mysql_stmt *stmt, dal_error *err)
{
        MYSQL_BIND *binds = dal_mem_alloc(stmt->n_columns * sizeof *binds);
        bool failed;

        if (!binds)
                return no_memory(stmt, stmt->n_columns, err);
        for (uint32_t i = 0; i < stmt->n_columns; i++)
                dal__mysql_bind_fill(stmt, i, &binds[i]);
        failed = mysql_stmt_bind_result(stmt->handle, binds);
        dal_mem_free(binds);
        stmt->rebind = failed;
        return failed ? dal__mysql_fail(conn, stmt->handle, err) : DAL_OK;
}

DAL_NOINLINE static dal_status bind_anew(dal__mysql_conn *conn, dal__mysql_stmt *stmt,
                                         const MYSQL_FIELD *fields, uint32_t n, dal_error *err)
{
        if ((!is_bound(stmt, fields, n) && !lay_out(stmt, fields, n)) ||
            (!stmt->cached && !keep_names(stmt, fields, n)))
                return no_memory(stmt, n, err);
        stmt->rebind = false;
        return stmt->by_text ? DAL_OK : dal__mysql_bind_tell(conn, stmt, err);
}

bool dal__mysql_bind_holds(const dal__mysql_conn *conn, const dal__mysql_stmt *stmt)
{
        /* Between the results of a procedure the library forgets what was bound. */
        return stmt->cached && !stmt->rebind && !dal__mysql_more_results(conn) &&
               is_bound(stmt, fields_of(stmt), mysql_stmt_field_count(stmt->handle));
}

dal_status dal__mysql_bind_columns(dal__mysql_conn *conn, dal__mysql_stmt *stmt, dal_error *err)
{
        uint32_t n = stmt->by_text ? mysql_num_fields(stmt->rows) : mysql_stmt_field_count(stmt->handle);

        if (!stmt->by_text && dal__mysql_bind_holds(conn, stmt))
                return DAL_OK;
        return bind_anew(conn, stmt, fields_of(stmt), n, err);
}
