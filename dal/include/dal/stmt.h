/* SPDX-License-Identifier: MIT */
#ifndef DAL_STMT_H
#define DAL_STMT_H

/*
 * Statements: SQL declared once, as a named constant.
 *
 *      static const dal_stmt take_stock = DAL_STMT("take_stock",
 *              "UPDATE stock SET qty = qty - ? WHERE sku = ? AND qty >= ?");
 *
 *      static const dal_stmt upsert = DAL_STMT("upsert",
 *              "INSERT INTO t (k, v) VALUES (?, ?) ON CONFLICT (k) DO UPDATE SET v = excluded.v",
 *              .mysql = "INSERT INTO t (k, v) VALUES (?, ?) ON DUPLICATE KEY UPDATE v = VALUES(v)");
 *
 * `?` is a parameter; `??` is a literal question mark (PostgreSQL's JSON operator). The name is what metrics,
 * server logs and slow logs show; the address is the key of the prepared-statement cache, so a statement must
 * have static storage: other SQL at the same address may run as the statement that stood there before. Only
 * literals fit the macro: SQL glued together at run time goes through the calls whose names end in `_dynamic`.
 * In C++ the macro needs C++20.
 */

#include <stddef.h>
#include <stdint.h>

#include <dal/macros.h>

DAL_BEGIN_DECLS

/*
 * X(name, parent): SQL dialects. A statement or schema script without a text for the engine's dialect falls back
 * to the parent's text, in the end to the common one.
 */
#define DAL_DIALECT_LIST(X)                                                                        \
        X(common, common)                                                                          \
        X(sqlite, common)                                                                          \
        X(postgres, common)                                                                        \
        X(mysql, common)                                                                           \
        X(mariadb, mysql)

typedef enum dal_dialect {
#define DAL_DIALECT_ENUM(name, parent) DAL_DIALECT_##name,
        DAL_DIALECT_LIST(DAL_DIALECT_ENUM)
#undef DAL_DIALECT_ENUM
} dal_dialect;

/* Rows are delivered as they arrive, in constant memory, instead of being received whole first. */
#define DAL_STMT_STREAM 0x01u
/*
 * A locking read: no other transaction can change the rows before this one ends (UPDATE), or others may read them so
 * too (SHARE). The library writes the engine's own clause behind the query, and none where writing transactions
 * exclude each other anyway (SQLite). For the last step of read, decide, write: see docs/isolation.md.
 */
#define DAL_STMT_LOCK_UPDATE 0x02u
#define DAL_STMT_LOCK_SHARE  0x04u
/*
 * A query that writes although it does not look like it: SELECT of a function that changes rows. Without this it is run
 * again when its answer is lost, and among the independent queries of a batch (batch.h) a later failure may undo it.
 */
#define DAL_STMT_WRITES 0x08u
/*
 * For dal_cluster_exec(): if the answer is lost the library finds out whether the write was done, as it does for
 * transactions. It then runs as one, with one round trip and one small row more. See outcome.h. Inside a transaction it
 * changes nothing, for the whole is found out; dal_cluster_query() and dal_fanout_query(), whose rows come before the
 * outcome, refuse it (ARGUMENT). A lone connection (conn.h) has nobody who would ask, and ignores it.
 */
#define DAL_STMT_RESOLVE 0x10u

/*
 * How statements and values travel. Every driver has PREPARED; the others as DAL_CAP_UNNAMED and DAL_CAP_TEXT say.
 * Values are the same in each, but those of DAL_TYPE_OTHER, which in TEXT are the server's text both ways.
 *
 * With UNNAMED the session is not ours: a pooler may lend another one to each transaction.
 *  - A statement or script that leaves something in the session behind its transaction (SET, temporary tables, session
 *    locks, LISTEN ...) is refused with class UNSUPPORTED before it is sent; SET LOCAL, set_config(..., true),
 *    ON COMMIT DROP and the like are not. What a function, a procedure or a block does inside can't be seen.
 *  - PostgreSQL: the limits of dal_conn_options travel with each BEGIN, and in the same round trip ahead of each query
 *    and write outside of a transaction. Commands that may not share one (CREATE DATABASE, VACUUM, CALL ...) and scripts
 *    are limited by the caller's deadline alone.
 *  - PostgreSQL: the key `schema` is refused; ALTER ROLE or ALTER DATABASE ... SET search_path does the same.
 *  - A pool resets nothing on the server between two users: nothing was left there.
 */
typedef enum dal_statements {
        DAL_STATEMENTS_DEFAULT,  /* the URL's `statements`, else PREPARED */
        DAL_STATEMENTS_PREPARED, /* prepared once per connection and kept there */
        DAL_STATEMENTS_UNNAMED,  /* prepared for one run; nothing stays in the session: for transaction poolers */
        DAL_STATEMENTS_TEXT      /* never prepared; parameters and cells travel as text */
} dal_statements;

/** One named statement. Fill it by DAL_STMT. */
typedef struct dal_stmt {
        const char *name;     /* [a-z0-9_.]+, at most 60 bytes */
        const char *common;   /* the text for every engine without its own below */
        const char *sqlite;
        const char *postgres;
        const char *mysql;
        const char *mariadb;
        uint32_t flags;       /* DAL_STMT_* */
} dal_stmt;

/* DAL_STMT("name", "sql" [, .mysql = "..."] [, .flags = DAL_STMT_STREAM]): both first arguments must be literals. */
#define DAL_STMT(stmt_name, ...)                                                                   \
        {                                                                                          \
                .name = "" stmt_name "", .common = "" __VA_ARGS__                                  \
        }

/** Returns the statement's text for a dialect, by fallback; NULL if it has none. Threads: any. Blocks: no. */
const char *dal_stmt_text(const dal_stmt *stmt, dal_dialect dialect);
/** Returns "mariadb" and so on. Static. Threads: any. Blocks: no. */
const char *dal_stmt_dialect_name(dal_dialect dialect);
/** Returns the dialect to fall back to; the common one is its own parent. Threads: any. Blocks: no. */
dal_dialect dal_stmt_dialect_parent(dal_dialect dialect);

DAL_END_DECLS

#endif
