/* SPDX-License-Identifier: MIT */
/* Bulk loads: what is stored, what is refused, and which row it was. */

#include <inttypes.h>
#include <stdlib.h>

#include "conf.h"
#include "random_value.h"

static const char *const account_columns[] = {"id", "balance"};
static const char *const item_columns[] = {"id", "code", "parent", "qty"};
static const char *const value_columns[] = {"id", "b", "i", "u", "d", "n", "t", "y", "ts", "da", "uu"};
#define N_VALUES 11

static const dal_stmt add_values =
        DAL_STMT("add_values", "INSERT INTO conf_value (id, b, i, u, d, n, t, y, ts, da, uu) "
                               "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");
static const dal_stmt see_values =
        DAL_STMT("see_values", "SELECT id, b, i, u, d, n, t, y, ts, da, uu FROM conf_value ORDER BY id");
static const dal_stmt sum_accounts = DAL_STMT("sum_accounts", "SELECT SUM(balance) FROM conf_account");
static const dal_stmt count_items = DAL_STMT("count_items", "SELECT COUNT(*) FROM conf_item");

static dal_bulk_spec spec_of(const char *table, const char *const *columns, uint32_t n_columns)
{
        dal_bulk_spec spec = DAL_BULK_SPEC_INIT;

        spec.table = table;
        spec.columns = columns;
        spec.n_columns = n_columns;
        return spec;
}

/* One load; `row` gives each of its rows. */
struct load {
        dal_bulk_spec spec;
        int64_t n_rows;
        dal_status (*row)(const struct load *load, dal_bulk *bulk, int64_t i, dal_error *err);
        int64_t bad; /* the row that is special */
        int special; /* how */
        bool keep;   /* the load's failure is not the transaction's */
        int64_t n_stored;
        dal_bulk_progress progress;
        dal_status status; /* of the load, where it is kept */
        dal_error err;
};

static dal_status load_rows(dal_tx *tx, void *arg, dal_error *err)
{
        struct load *load = arg;
        dal_bulk *bulk;
        dal_status s = dal_tx_bulk(tx, &load->spec, &bulk, err);

        for (int64_t i = 0; i < load->n_rows && s == DAL_OK; i++)
                s = load->row(load, bulk, i, err);
        if (s == DAL_OK)
                s = dal_bulk_finish(bulk, &load->n_stored, err);
        if (bulk)
                load->progress = dal_bulk_get_progress(bulk);
        dal_bulk_close(bulk);
        return s;
}

static dal_status load_inside(dal_tx *tx, void *arg, dal_error *err)
{
        struct load *load = arg;

        if (!load->keep)
                return load_rows(tx, arg, err);
        load->status = dal_tx_run(tx, load_rows, arg, &load->err);
        return dal_tx_exec(tx, &conf_add_account, DAL_PARAMS(dal_int64(-1), dal_int64(7)), NULL, err);
}

static dal_status run(struct conf *c, dal_cluster *cluster, struct load *load)
{
        dal_tx_options options = DAL_TX_OPTIONS_INIT;

        options.timeout_ms = 60000; /* thousands of single rows take their time under a sanitizer */
        return dal_cluster_run(cluster, dal_key_int64(1), &options, load_inside, load, &c->err);
}

static dal_status account_row(const struct load *load, dal_bulk *bulk, int64_t i, dal_error *err)
{
        (void)load;
        return dal_bulk_add(bulk, DAL_PARAMS(dal_int64(i), dal_int64(2 * i)), err);
}

static int64_t count(struct conf *c, const dal_stmt *stmt)
{
        return conf_number(c, c->conn, stmt, DAL_NO_PARAMS);
}

/* --- What is stored ------------------------------------------------------------------------------------ */

struct seen {
        int n_chunks;
        int64_t n_stored, n_safe;
};

static void on_progress(void *arg, const dal_bulk_progress *progress)
{
        struct seen *seen = arg;

        seen->n_chunks++;
        assert_true(progress->n_stored > seen->n_stored);
        assert_int_equal(progress->n_safe, progress->n_stored);
        seen->n_stored = progress->n_stored;
        seen->n_safe = progress->n_safe;
}

static void bulk__many_rows_are_stored_in_chunks(struct conf *c)
{
        dal_cluster *cluster = conf_cluster(c, NULL);
        struct load load = {.spec = spec_of("conf_account", account_columns, 2), .row = account_row};
        struct seen seen = {0, 0, 0};

        load.n_rows = 25013;
        load.spec.on_progress = on_progress;
        load.spec.on_progress_arg = &seen;
        OK(run(c, cluster, &load));
        assert_int_equal(load.n_stored, 25013);
        assert_int_equal(seen.n_chunks, 3);
        assert_int_equal(count(c, &conf_count_accounts), 25013);
        assert_int_equal(count(c, &sum_accounts), INT64_C(25013) * 25012);
        conf_cluster_end(c, cluster);
}

static void bulk__an_empty_load_stores_nothing(struct conf *c)
{
        dal_cluster *cluster = conf_cluster(c, NULL);
        struct load load = {.spec = spec_of("conf_account", account_columns, 2), .row = account_row};

        load.n_stored = -1;
        OK(run(c, cluster, &load));
        assert_int_equal(load.n_stored, 0);
        load.n_rows = 1;
        OK(run(c, cluster, &load));
        assert_int_equal(load.n_stored, 1);
        assert_int_equal(count(c, &conf_count_accounts), 1);
        conf_cluster_end(c, cluster);
}

/* Everything that a text form could take for an end, an escape or a NULL, and every other byte. */
static const char *const hard_texts[] = {
        "",
        "\\N",
        "\\.",
        "\n\\.\n",
        "\\",
        "a\tb\nc\rd\be\ff\vg\\h",
        "NULL",
        "'; DROP TABLE conf_item; --",
        "\"quoted\", `ticked` and $1 ? ?? $$",
        "COPY conf_value, line 1, column t: \"\nCOPY conf_value, line 2",
        "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80",
        "\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f\x10\x11\x12\x13\x14\x15\x16\x17\x18\x19"
        "\x1a"
        "\x1b\x1c\x1d\x1e\x1f !\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`"
        "abcdefghijklmnopqrstuvwxyz{|}~\x7f",
};
#define N_TEXTS ((int64_t)(sizeof hard_texts / sizeof hard_texts[0]))

static const dal_type types_of_columns[N_VALUES] = {DAL_TYPE_INT64,  DAL_TYPE_BOOL,   DAL_TYPE_INT64,
                                                    DAL_TYPE_UINT64, DAL_TYPE_DOUBLE, DAL_TYPE_DECIMAL,
                                                    DAL_TYPE_TEXT,   DAL_TYPE_BYTES,  DAL_TYPE_TIMESTAMP,
                                                    DAL_TYPE_DATE,   DAL_TYPE_UUID};

struct values {
        struct conf *c;
        char *buffers[N_VALUES];
};

/* Row i of values; every fourth value is NULL. */
static void make_values(const struct values *v, int64_t i, dal_value *row)
{
        for (int j = 1; j < N_VALUES; j++) {
                row[j] = (i + j) % 4 == 0
                                 ? dal_null()
                                 : conf_random_value(v->c, types_of_columns[j], 4711, i, v->buffers[j]);
                if (row[j].type == DAL_TYPE_UINT64 && !conf_has_cap(v->c, DAL_CAP_UINT64) &&
                    v->c->q->dialect != DAL_DIALECT_postgres)
                        row[j].as.uint64 &= INT64_MAX;
        }
        if (i < N_TEXTS)
                row[6] = dal_text(hard_texts[i]);
}

static struct values new_values(struct conf *c)
{
        struct values v = {c, {NULL}};

        for (int j = 0; j < N_VALUES; j++)
                v.buffers[j] = malloc(RANDOM_VALUE_ROOM);
        return v;
}

static void free_values(struct values *v)
{
        for (int j = 0; j < N_VALUES; j++)
                free(v->buffers[j]);
}

#define N_VALUE_ROWS 60

static dal_status load_values(dal_tx *tx, void *arg, dal_error *err)
{
        dal_bulk_spec spec = spec_of("conf_value", value_columns, N_VALUES);
        dal_bulk *bulk;
        dal_status s = dal_tx_bulk(tx, &spec, &bulk, err);

        for (int64_t i = 0; i < N_VALUE_ROWS && s == DAL_OK; i++) {
                dal_value row[N_VALUES];

                make_values(arg, i, row);
                row[0] = dal_int64(2 * i + 1);
                s = dal_bulk_add(bulk, (dal_params){row, N_VALUES}, err);
        }
        if (s == DAL_OK)
                s = dal_bulk_finish(bulk, NULL, err);
        dal_bulk_close(bulk);
        return s;
}

static bool same_cell(const dal_value *a, const dal_value *b)
{
        if (a->type != b->type)
                return false;
        switch ((dal_type)a->type) {
        case DAL_TYPE_NULL:
                return true;
        case DAL_TYPE_BOOL:
                return a->as.boolean == b->as.boolean;
        case DAL_TYPE_UUID:
                return memcmp(a->as.uuid, b->as.uuid, 16) == 0;
        case DAL_TYPE_DECIMAL:
        case DAL_TYPE_TEXT:
        case DAL_TYPE_BYTES:
        case DAL_TYPE_OTHER:
                return a->as.span.size == b->as.span.size &&
                       memcmp(a->as.span.ptr, b->as.span.ptr, a->as.span.size) == 0;
        default:
                return a->as.uint64 == b->as.uint64;
        }
}

#define CELL_ROOM ((size_t)1 << 20) /* a number may be given as "1e131071" */

/* Rows 2 * i were inserted, rows 2 * i + 1 loaded. */
static void assert_pairs(struct conf *c)
{
        char *copies[N_VALUES];
        dal_value before[N_VALUES];
        dal_rows *rows;
        bool found;
        int64_t n = 0;

        for (int j = 0; j < N_VALUES; j++)
                copies[j] = malloc(CELL_ROOM);
        OK(dal_conn_query(c->conn, &see_values, DAL_NO_PARAMS, SOON, &rows, &c->err));
        for (OK(dal_rows_next(rows, &found, &c->err)); found; OK(dal_rows_next(rows, &found, &c->err)), n++) {
                for (uint32_t j = 1; j < N_VALUES; j++) {
                        const dal_value *cell = dal_rows_cell(rows, j);
                        bool has_span = cell->type == DAL_TYPE_TEXT || cell->type == DAL_TYPE_BYTES ||
                                        cell->type == DAL_TYPE_DECIMAL || cell->type == DAL_TYPE_OTHER;

                        if (n % 2 && !same_cell(cell, &before[j]))
                                fail_msg("row %" PRId64 ", column %s: loaded and inserted differ", n / 2,
                                         value_columns[j]);
                        before[j] = *cell;
                        if (has_span) {
                                assert_true(cell->as.span.size <= CELL_ROOM);
                                memcpy(copies[j], cell->as.span.ptr, cell->as.span.size);
                                before[j].as.span.ptr = copies[j];
                        }
                }
        }
        dal_rows_close(rows);
        assert_int_equal(n, 2 * N_VALUE_ROWS);
        for (int j = 0; j < N_VALUES; j++)
                free(copies[j]);
}

static void bulk__values_are_stored_as_by_insert(struct conf *c)
{
        dal_cluster *cluster = conf_cluster(c, NULL);
        struct values v = new_values(c);

        for (int64_t i = 0; i < N_VALUE_ROWS; i++) {
                dal_value row[N_VALUES];

                make_values(&v, i, row);
                row[0] = dal_int64(2 * i);
                OK(dal_conn_exec(c->conn, &add_values, (dal_params){row, N_VALUES}, SOON, NULL, &c->err));
        }
        OK(dal_cluster_run(cluster, dal_key_int64(1), NULL, load_values, &v, &c->err));
        assert_pairs(c);
        free_values(&v);
        conf_cluster_end(c, cluster);
}

/* --- What is refused ----------------------------------------------------------------------------------- */

enum special {
        NOTHING_SPECIAL,
        TAKEN_CODE,
        NO_CODE,
        LONG_CODE,
        NO_PARENT,
        NEGATIVE
};

static dal_status item_row(const struct load *load, dal_bulk *bulk, int64_t i, dal_error *err)
{
        char code[64];
        dal_value row[4];
        int special = i == load->bad ? load->special : NOTHING_SPECIAL;

        (void)snprintf(code, sizeof code, "code %" PRId64, special == TAKEN_CODE ? i - 1 : i);
        if (special == LONG_CODE)
                (void)snprintf(code, sizeof code, "%050" PRId64, i);
        row[0] = dal_int64(i);
        row[1] = special == NO_CODE ? dal_null() : dal_text(code);
        row[2] = special == NO_PARENT ? dal_int64(4711) : dal_null();
        row[3] = dal_int64(special == NEGATIVE ? -1 : i);
        return dal_bulk_add(bulk, (dal_params){row, 4}, err);
}

static void assert_begins(struct conf *c, const char *message, int64_t i)
{
        char wanted[64];

        (void)c;
        (void)snprintf(wanted, sizeof wanted, "row %" PRId64 ": ", i);
        if (strncmp(message, wanted, strlen(wanted)) != 0)
                fail_msg("does not begin with \"%s\": %s", wanted, message);
}

static void bulk__a_duplicate_in_the_middle_names_its_row(struct conf *c)
{
        dal_cluster *cluster = conf_cluster(c, NULL);
        struct load load = {.spec = spec_of("conf_item", item_columns, 4), .row = item_row};

        load.n_rows = 12000;
        load.bad = 10777;
        load.special = TAKEN_CODE;
        FAILS(run(c, cluster, &load), UNIQUE);
        assert_begins(c, c->err.message, 10777);
        if (c->q->names_unique & CONF_CONSTRAINT)
                assert_string_equal(c->err.constraint, "conf_item_code_uq");
        assert_int_equal(load.progress.n_stored, 10000);
        assert_int_equal(load.progress.n_safe, 10000);
        assert_int_equal(count(c, &count_items), 0);
        conf_cluster_end(c, cluster);
}

static void assert_refused(struct conf *c, dal_cluster *cluster, enum special special, dal_error_class wanted,
                           int64_t bad)
{
        struct load load = {.spec = spec_of("conf_item", item_columns, 4), .row = item_row};

        load.n_rows = 1234;
        load.bad = bad;
        load.special = (int)special;
        conf_fails(c, run(c, cluster, &load), wanted, "run()", __FILE__, __LINE__);
        assert_begins(c, c->err.message, bad);
        assert_int_equal(count(c, &count_items), 0);
}

static void bulk__a_refused_row_is_named_whatever_is_wrong_with_it(struct conf *c)
{
        dal_cluster *cluster = conf_cluster(c, NULL);

        assert_refused(c, cluster, NO_CODE, DAL_CLASS_NOT_NULL, 1000);
        assert_refused(c, cluster, NO_PARENT, DAL_CLASS_FOREIGN_KEY, 999);
        assert_refused(c, cluster, NEGATIVE, DAL_CLASS_CHECK, 0);
        assert_refused(c, cluster, NEGATIVE, DAL_CLASS_CHECK, 1233);
        if (c->q->narrow_columns)
                assert_refused(c, cluster, LONG_CODE, DAL_CLASS_DATA, 123);
        conf_cluster_end(c, cluster);
}

static void bulk__a_load_in_a_savepoint_leaves_the_transaction_usable(struct conf *c)
{
        dal_cluster *cluster = conf_cluster(c, NULL);
        struct load load = {.spec = spec_of("conf_item", item_columns, 4), .row = item_row, .keep = true};

        load.n_rows = 300;
        load.bad = 7;
        load.special = NEGATIVE;
        OK(run(c, cluster, &load));
        assert_int_equal(load.status, DAL_ERR_CONSTRAINT);
        assert_begins(c, load.err.message, 7);
        assert_int_equal(count(c, &count_items), 0);
        assert_int_equal(count(c, &conf_count_accounts), 1);
        conf_cluster_end(c, cluster);
}

static dal_status hide_failure(dal_tx *tx, void *arg, dal_error *err)
{
        (void)!load_rows(tx, arg, err);
        return DAL_OK;
}

static void bulk__a_hidden_failure_is_no_commit(struct conf *c)
{
        dal_cluster *cluster = conf_cluster(c, NULL);
        struct load load = {.spec = spec_of("conf_item", item_columns, 4), .row = item_row};

        load.n_rows = 30;
        load.bad = 7;
        load.special = NEGATIVE;
        FAILS(dal_cluster_run(cluster, dal_key_int64(1), NULL, hide_failure, &load, &c->err),
              COMMIT_ROLLED_BACK);
        assert_int_equal(count(c, &count_items), 0);
        conf_cluster_end(c, cluster);
}

static void bulk__an_unknown_table_or_column_is_said(struct conf *c)
{
        static const char *const wrong[] = {"id", "nothing"};
        dal_cluster *cluster = conf_cluster(c, NULL);
        struct load load = {.spec = spec_of("conf_nowhere", account_columns, 2), .row = account_row};

        load.n_rows = 3;
        FAILS(run(c, cluster, &load), UNDEFINED_OBJECT);
        load.spec = spec_of("conf_item", wrong, 2);
        FAILS(run(c, cluster, &load), UNDEFINED_OBJECT);
        assert_int_equal(count(c, &count_items), 0);
        conf_cluster_end(c, cluster);
}

static dal_status odd_values(dal_tx *tx, void *arg, dal_error *err)
{
        struct conf *c = arg;
        dal_bulk_spec spec = spec_of("conf_value", value_columns + 5, 2);
        static const char *const columns[] = {"id", "t", "n"};
        dal_bulk *bulk;
        dal_value huge = dal_text("x");

        spec.columns = columns;
        spec.n_columns = 3;
        OK(dal_tx_bulk(tx, &spec, &bulk, &c->err));
        FAILS(dal_bulk_add(bulk, DAL_PARAMS(dal_int64(1), dal_text("\xff"), dal_null()), &c->err), DATA);
        assert_begins(c, c->err.message, 0);
        assert_string_equal(c->err.column, "t");
        FAILS(dal_bulk_add(bulk, DAL_PARAMS(dal_int64(1), dal_null(), dal_decimal("1.2.3")), &c->err), DATA);
        assert_string_equal(c->err.column, "n");
        FAILS(dal_bulk_add(bulk, DAL_PARAMS(dal_int64(1), dal_text_n(NULL, 3), dal_null()), &c->err),
              ARGUMENT);
        FAILS(dal_bulk_add(bulk, DAL_PARAMS(dal_int64(1)), &c->err), ARGUMENT);
        huge.as.span.size = (size_t)UINT32_MAX + 1;
        FAILS(dal_bulk_add(bulk, DAL_PARAMS(dal_int64(1), huge, dal_null()), &c->err), PACKET_TOO_LARGE);
        /* Nothing of that was taken, and the load goes on. */
        OK(dal_bulk_add(bulk, DAL_PARAMS(dal_int64(1), dal_text("good"), dal_null()), &c->err));
        OK(dal_bulk_finish(bulk, NULL, &c->err));
        FAILS(dal_bulk_add(bulk, DAL_PARAMS(dal_int64(2), dal_null(), dal_null()), &c->err), STATE);
        FAILS(dal_bulk_finish(bulk, NULL, &c->err), STATE);
        assert_int_equal(dal_bulk_get_progress(bulk).n_stored, 1);
        dal_bulk_close(bulk);
        (void)err;
        return DAL_OK;
}

static void bulk__a_value_that_can_not_be_stored_is_refused_at_once(struct conf *c)
{
        dal_cluster *cluster = conf_cluster(c, NULL);

        OK(dal_cluster_run(cluster, dal_key_int64(1), NULL, odd_values, c, &c->err));
        conf_cluster_end(c, cluster);
}

static dal_status load_with_rows_open(dal_tx *tx, void *arg, dal_error *err)
{
        struct conf *c = arg;
        struct load load = {.spec = spec_of("conf_account", account_columns, 2), .row = account_row};
        dal_rows *rows;

        OK(dal_tx_query(tx, &conf_all_accounts, DAL_NO_PARAMS, &rows, &c->err));
        load.n_rows = 5;
        FAILS(load_rows(tx, &load, &c->err), BUSY);
        dal_rows_close(rows);
        return load_rows(tx, &load, err);
}

static void bulk__an_open_cursor_is_in_the_way_but_spoils_nothing(struct conf *c)
{
        dal_cluster *cluster = conf_cluster(c, NULL);

        OK(dal_conn_exec(c->conn, &conf_add_account, DAL_PARAMS(dal_int64(-3), dal_int64(1)), SOON, NULL,
                         &c->err));
        OK(dal_cluster_run(cluster, dal_key_int64(1), NULL, load_with_rows_open, c, &c->err));
        assert_int_equal(count(c, &conf_count_accounts), 6);
        conf_cluster_end(c, cluster);
}

/* --- Names ------------------------------------------------------------------------------------------------ */

static void bulk__names_are_only_names(struct conf *c)
{
        /* A word of SQL's, and each character by which a name could end or a value begin. */
        static const char *const columns[] = {"select", "a`b\"c'd", "what? ?? $1", "x) VALUES (1); --"};
        static const char table[] = "conf order`s \"all\"?";
        char quote = conf_has_cap(c, 0) || !(c->driver->sql_syntax & DAL_SQL_BACKTICKS) ? '"' : '`';
        char sql[512], drop[128], *end = sql;
        dal_cluster *cluster;
        struct load load = {.spec = spec_of(table, columns, 4), .row = item_row};

        if (!c->q->ddl)
                return; /* nobody there reads SQL */
        for (int i = -1; i < 4; i++) {
                const char *name = i < 0 ? table : columns[i];

                end += sprintf(end, i < 0 ? "CREATE TABLE %c" : i ? ", %c" : "%c", quote);
                for (; *name; name++) {
                        if (*name == quote)
                                *end++ = quote;
                        *end++ = *name;
                }
                end += sprintf(end, i < 0 ? "%c (" : i == 1 ? "%c VARCHAR(40)" : "%c BIGINT", quote);
        }
        (void)sprintf(end, ")");
        (void)snprintf(drop, sizeof drop, "DROP TABLE %.*s", (int)(strstr(sql, " (") - sql - 13), sql + 13);
        OK(dal_conn_script(c->conn, sql, SOON, &c->err));
        cluster = conf_cluster(c, NULL);
        load.n_rows = 250;
        OK(run(c, cluster, &load));
        assert_int_equal(load.n_stored, 250);
        conf_cluster_end(c, cluster);
        OK(dal_conn_script(c->conn, drop, SOON, &c->err));
}

/* --- Where a driver's own way does other things than INSERT --------------------------------------------------- */

static dal_status pair_row(const struct load *load, dal_bulk *bulk, int64_t i, dal_error *err)
{
        (void)load;
        return dal_bulk_add(bulk, DAL_PARAMS(dal_int64(1000 + i), dal_int64(i)), err);
}

static dal_status single_row(const struct load *load, dal_bulk *bulk, int64_t i, dal_error *err)
{
        (void)load;
        return dal_bulk_add(bulk, DAL_PARAMS(dal_int64(i)), err);
}

static void bulk__a_table_is_loaded_as_insert_would(struct conf *c)
{
        static const dal_stmt count_kept = DAL_STMT("count_kept", "SELECT COUNT(*) FROM conf_kept"),
                              insert = DAL_STMT("insert_kept", "INSERT INTO conf_kept (id, v) VALUES (?, ?)");
        static const char *const kept_columns[] = {"id", "v"};
        struct load load = {.spec = spec_of("conf_kept", kept_columns, 2), .row = pair_row, .n_rows = 200};
        dal_error_class wanted;
        dal_cluster *cluster;

        if (!c->driver->bulk)
                return; /* rows go by INSERT anyway */
        OK(dal_conn_script(c->conn,
                           "CREATE TABLE conf_kept (id BIGINT GENERATED ALWAYS AS IDENTITY, v BIGINT)", SOON,
                           &c->err));
        OK(dal_conn_script(c->conn, "CREATE VIEW conf_seen AS SELECT v FROM conf_kept", SOON, &c->err));
        OK(dal_conn_script(c->conn, "CREATE TABLE conf_ruled (v BIGINT)", SOON, &c->err));
        OK(dal_conn_script(c->conn,
                           "CREATE RULE conf_rule AS ON INSERT TO conf_ruled DO INSTEAD "
                           "INSERT INTO conf_kept (v) VALUES (NEW.v)",
                           SOON, &c->err));
        cluster = conf_cluster(c, NULL);
        /* Ids that the server alone may give: COPY would take ours. */
        assert_int_not_equal(
                dal_conn_exec(c->conn, &insert, DAL_PARAMS(dal_int64(1), dal_int64(1)), SOON, NULL, &c->err),
                DAL_OK);
        wanted = c->err.error_class;
        conf_fails(c, run(c, cluster, &load), wanted, "run()", __FILE__, __LINE__);
        assert_int_equal(count(c, &count_kept), 0);
        load.spec = spec_of("conf_kept", kept_columns + 1, 1);
        load.row = single_row;
        OK(run(c, cluster, &load));
        assert_int_equal(count(c, &count_kept), 200);
        load.spec = spec_of("conf_seen", kept_columns + 1, 1);
        OK(run(c, cluster, &load));
        assert_int_equal(count(c, &count_kept), 400);
        load.spec = spec_of("conf_ruled", kept_columns + 1, 1);
        OK(run(c, cluster, &load));
        assert_int_equal(count(c, &count_kept), 600);
        conf_cluster_end(c, cluster);
        OK(dal_conn_script(c->conn, "DROP TABLE conf_ruled", SOON, &c->err));
        OK(dal_conn_script(c->conn, "DROP VIEW conf_seen", SOON, &c->err));
        OK(dal_conn_script(c->conn, "DROP TABLE conf_kept", SOON, &c->err));
}

const struct conf_case bulk_conf[] = {
        CONF_CASE(bulk__many_rows_are_stored_in_chunks),
        CONF_CASE(bulk__an_empty_load_stores_nothing),
        CONF_CASE(bulk__values_are_stored_as_by_insert),
        CONF_CASE(bulk__a_duplicate_in_the_middle_names_its_row),
        CONF_CASE(bulk__a_refused_row_is_named_whatever_is_wrong_with_it),
        CONF_CASE(bulk__a_load_in_a_savepoint_leaves_the_transaction_usable),
        CONF_CASE(bulk__a_hidden_failure_is_no_commit),
        CONF_CASE(bulk__an_unknown_table_or_column_is_said),
        CONF_CASE(bulk__a_value_that_can_not_be_stored_is_refused_at_once),
        CONF_CASE(bulk__an_open_cursor_is_in_the_way_but_spoils_nothing),
        CONF_CASE(bulk__names_are_only_names),
        CONF_CASE(bulk__a_table_is_loaded_as_insert_would),
        {NULL, NULL},
};
