/* SPDX-License-Identifier: MIT */
/*
 * Random values of every type, stored and read back by every way there is. Value number i of a type follows
 * from the seed alone, so that it can be made again to compare, and a failure can be repeated:
 *
 *      DAL_TEST_SEED=77 DAL_TEST_ROUNDS=5000 conformance postgres 'property__*'
 */

#include <stdlib.h>

#include "conf.h"
#include "random_value.h"

#define SEED   20261121u
#define ROUNDS 250

/* --- What is tried ------------------------------------------------------------------------------------ */

#define KIND(type, column)                                                                                   \
        {                                                                                                    \
                DAL_STMT("put_" type, "INSERT INTO conf_value (id, " column ") VALUES (?, ?)"),              \
                        DAL_STMT("get_" type, "SELECT " column " FROM conf_value WHERE id = ?"),             \
                        DAL_STMT("all_" type,                                                                \
                                 "SELECT " column " FROM conf_value WHERE id BETWEEN ? AND ? ORDER BY id",   \
                                 .flags = DAL_STMT_STREAM)                                                   \
        }
static const struct kind {
        dal_stmt put, get, all;
} kinds[] = {
        [DAL_TYPE_BOOL] = KIND("bool", "b"),       [DAL_TYPE_INT64] = KIND("int64", "i"),
        [DAL_TYPE_UINT64] = KIND("uint64", "u"),   [DAL_TYPE_DOUBLE] = KIND("double", "d"),
        [DAL_TYPE_DECIMAL] = KIND("decimal", "n"), [DAL_TYPE_TEXT] = KIND("text", "t"),
        [DAL_TYPE_BYTES] = KIND("bytes", "y"),     [DAL_TYPE_TIMESTAMP] = KIND("timestamp", "ts"),
        [DAL_TYPE_DATE] = KIND("date", "da"),      [DAL_TYPE_UUID] = KIND("uuid", "uu"),
};

struct trial {
        struct conf *c;
        dal_type type;
        const struct kind *kind;
        uint64_t seed;
        int64_t n;
        char *buffer; /* of the value made last */
        const char *way;
};

static uint64_t number_from(const char *variable, uint64_t otherwise)
{
        const char *text = getenv(variable);

        return text && text[0] ? strtoull(text, NULL, 10) : otherwise;
}

static dal_value make(const struct trial *t, int64_t i)
{
        return conf_random_value(t->c, t->type, t->seed, i, t->buffer);
}

/* --- Equal? ------------------------------------------------------------------------------------------- */

/* A decimal without what says nothing: zeros in front, zeros behind the point, the way of writing it. */
struct plain {
        const char *text;
        size_t size;
        bool negative;
        int64_t point;      /* digits before it, counted from the first digit that is not zero */
        size_t first, last; /* of the digits that are not zero; first == size: it is zero */
};

/* A cell's text doesn't end with a NUL. */
static int64_t exponent_of(const char *text, size_t size)
{
        char copy[16];

        snprintf(copy, sizeof copy, "%.*s", (int)size, text);
        return strtol(copy, NULL, 10);
}

static struct plain plain_of(const char *text, size_t size)
{
        struct plain p = {text, size, text[0] == '-', 0, size, 0};
        int64_t digits = 0, n_whole = -1, at_first = 0;
        size_t i = text[0] == '-' || text[0] == '+';

        for (; i < size && text[i] != 'e' && text[i] != 'E'; i++) {
                if (text[i] == '.') {
                        n_whole = digits;
                        continue;
                }
                if (text[i] != '0') {
                        if (p.first == size) {
                                p.first = i;
                                at_first = digits;
                        }
                        p.last = i;
                }
                digits++;
        }
        p.point = (n_whole < 0 ? digits : n_whole) - at_first;
        if (i < size)
                p.point += exponent_of(text + i + 1, size - i - 1);
        if (p.first == size)
                p.negative = false;
        return p;
}

static bool same_decimal(const char *a, size_t a_size, const char *b, size_t b_size)
{
        struct plain p = plain_of(a, a_size), q = plain_of(b, b_size);
        size_t i = p.first, k = q.first;

        if (p.first == a_size || q.first == b_size)
                return p.first == a_size && q.first == b_size;
        if (p.negative != q.negative || p.point != q.point)
                return false;
        for (; i <= p.last && k <= q.last; i++, k++) {
                i += p.text[i] == '.';
                k += q.text[k] == '.';
                if (p.text[i] != q.text[k])
                        return false;
        }
        return i > p.last && k > q.last;
}

static bool same_double(const struct conf *c, double a, double b)
{
        if (a == 0 && !c->q->keeps_negative_zero)
                return b == 0;
        return memcmp(&a, &b, sizeof a) == 0;
}

/* Whether a cell is the value, by the getter that a service would call. */
static bool same(struct conf *c, const dal_rows *rows, const dal_value *v)
{
        const void *bytes = NULL;
        const char *text = NULL;
        size_t size = 0;
        int64_t i64 = 0;
        uint64_t u64 = 0;
        uint8_t uuid[16];
        double d = 0;
        bool b = false;

        if (v->type == DAL_TYPE_NULL || dal_rows_is_null(rows, 0))
                return v->type == DAL_TYPE_NULL && dal_rows_is_null(rows, 0);
        switch ((dal_type)v->type) {
        case DAL_TYPE_BOOL:
                return dal_rows_bool(rows, 0, &b, &c->err) == DAL_OK && b == v->as.boolean;
        case DAL_TYPE_INT64:
                return dal_rows_int64(rows, 0, &i64, &c->err) == DAL_OK && i64 == v->as.int64;
        case DAL_TYPE_UINT64:
                return dal_rows_uint64(rows, 0, &u64, &c->err) == DAL_OK && u64 == v->as.uint64;
        case DAL_TYPE_DOUBLE:
                return dal_rows_double(rows, 0, &d, &c->err) == DAL_OK && same_double(c, v->as.float64, d);
        case DAL_TYPE_DECIMAL:
                return dal_rows_text(rows, 0, &text, &size, &c->err) == DAL_OK &&
                       same_decimal(v->as.span.ptr, v->as.span.size, text, size);
        case DAL_TYPE_TEXT:
                return dal_rows_text(rows, 0, &text, &size, &c->err) == DAL_OK && size == v->as.span.size &&
                       memcmp(text, v->as.span.ptr, size) == 0;
        case DAL_TYPE_BYTES:
                return dal_rows_bytes(rows, 0, &bytes, &size, &c->err) == DAL_OK && size == v->as.span.size &&
                       memcmp(bytes, v->as.span.ptr, size) == 0;
        case DAL_TYPE_TIMESTAMP:
                return dal_rows_timestamp(rows, 0, &i64, &c->err) == DAL_OK && i64 == v->as.int64;
        case DAL_TYPE_DATE:
                return dal_rows_date(rows, 0, &i64, &c->err) == DAL_OK && i64 == v->as.int64;
        default:
                return dal_rows_uuid(rows, 0, uuid, &c->err) == DAL_OK && memcmp(uuid, v->as.uuid, 16) == 0;
        }
}

static void show_bytes(const char *what, const void *ptr, size_t size)
{
        print_error("    %s, %zu bytes:", what, size);
        for (size_t i = 0; i < size && i < 64; i++)
                print_error(" %02x", ((const unsigned char *)ptr)[i]);
        print_error("\n");
}

static bool is_span(dal_type type)
{
        return type == DAL_TYPE_DECIMAL || type == DAL_TYPE_TEXT || type == DAL_TYPE_BYTES ||
               type == DAL_TYPE_OTHER;
}

static void show(const char *what, const dal_value *v)
{
        print_error("    %s: a %s\n", what, dal_value_type_name((dal_type)v->type));
        if (is_span((dal_type)v->type))
                show_bytes(what, v->as.span.ptr, v->as.span.size);
        else
                show_bytes(what, &v->as, sizeof v->as);
}

static void check(struct trial *t, const dal_rows *rows, int64_t i)
{
        dal_value v = make(t, i);

        t->c->err.message[0] = '\0';
        if (same(t->c, rows, &v))
                return;
        print_error("value %lld of type %s came back changed (%s): DAL_TEST_SEED=%llu\n    %s\n",
                    (long long)i, dal_value_type_name(t->type), t->way, (unsigned long long)t->seed,
                    t->c->err.message);
        show("stored", &v);
        show("read", dal_rows_cell(rows, 0));
        fail();
}

/* --- There -------------------------------------------------------------------------------------------- */

static dal_status store_one(struct trial *t, dal_tx *tx, int64_t i, dal_error *err)
{
        dal_value v = make(t, i);
        int64_t n = 0;
        dal_status s;

        switch (t->c->server ? i % 2 : i % 3) { /* the fake server knows statements by name only */
        case 0:
                t->way = "queued";
                return dal_tx_queue(tx, &t->kind->put, DAL_PARAMS(dal_int64(i), v), err);
        case 1:
                t->way = "prepared";
                s = dal_tx_exec(tx, &t->kind->put, DAL_PARAMS(dal_int64(i), v), &n, err);
                break;
        default:
                t->way = "dynamic";
                s = dal_tx_exec_dynamic(tx, t->kind->put.common, DAL_PARAMS(dal_int64(i), v), &n, err);
                break;
        }
        if (s == DAL_OK && n != 1)
                return dal_fail(err, DAL_ERR_APP, "not one row");
        return s;
}

static dal_status store_all(dal_tx *tx, void *arg, dal_error *err)
{
        struct trial *t = arg;
        dal_status s = DAL_OK;

        for (int64_t i = 0; s == DAL_OK && i < t->n; i++) {
                s = store_one(t, tx, i, err);
                if (s != DAL_OK)
                        print_error("value %lld of type %s could not be stored (%s): DAL_TEST_SEED=%llu\n",
                                    (long long)i, dal_value_type_name(t->type), t->way,
                                    (unsigned long long)t->seed);
        }
        return s;
}

/* --- And back ----------------------------------------------------------------------------------------- */

static void read_by_key(struct trial *t, int64_t i)
{
        struct conf *c = t->c;
        dal_rows *rows = NULL;

        if (i % 2 == 0 || c->server) {
                t->way = "read by a prepared statement";
                OK(dal_conn_query(c->conn, &t->kind->get, DAL_PARAMS(dal_int64(i)), SOON, &rows, &c->err));
        } else {
                t->way = "read by dynamic SQL";
                OK(dal_conn_query_dynamic(c->conn, t->kind->get.common, DAL_PARAMS(dal_int64(i)), SOON, &rows,
                                          &c->err));
        }
        OK(dal_rows_first(rows, &c->err));
        check(t, rows, i);
        dal_rows_close(rows);
}

static void read_all(struct trial *t, dal_conn *conn, const dal_stmt *all)
{
        struct conf *c = t->c;
        dal_rows *rows = NULL;
        int64_t i = 0;
        bool found;

        OK(dal_conn_query(conn, all, DAL_PARAMS(dal_int64(0), dal_int64(t->n)), SOON, &rows, &c->err));
        while (OK(dal_rows_next(rows, &found, &c->err)), found)
                check(t, rows, i++);
        assert_int_equal(i, t->n);
        dal_rows_close(rows);
}

/* Whichever way they were stored by, they are the same by every other. */
static void read_by_every_mode(struct trial *t)
{
        static const struct {
                dal_statements statements;
                const char *way;
        } modes[] = {{DAL_STATEMENTS_PREPARED, "prepared"},
                     {DAL_STATEMENTS_UNNAMED, "unnamed"},
                     {DAL_STATEMENTS_TEXT, "text"}};

        for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
                dal_conn_options options = DAL_CONN_OPTIONS_INIT;
                dal_conn *conn;

                if (!conf_has_mode(t->c, modes[i].statements))
                        continue;
                options.statements = modes[i].statements;
                conn = conf_open(t->c, &options);
                t->way = modes[i].way;
                read_all(t, conn, &t->kind->all);
                dal_conn_close(conn);
        }
}

/* What the statement itself computes has the type of the parameter, unless the engine forgets it. */
static void read_expression(struct trial *t, int64_t i)
{
        static const dal_stmt one = DAL_STMT("expression", "SELECT ?");
        struct conf *c = t->c;
        dal_value v = make(t, i);
        dal_rows *rows = NULL;

        t->way = "SELECT ?";
        OK(dal_conn_query(c->conn, &one, DAL_PARAMS(v), SOON, &rows, &c->err));
        OK(dal_rows_first(rows, &c->err));
        check(t, rows, i);
        dal_rows_close(rows);
}

static void try_type(struct conf *c, dal_type type)
{
        struct trial t = {.c = c,
                          .type = type,
                          .kind = &kinds[type],
                          .seed = number_from("DAL_TEST_SEED", SEED),
                          .n = (int64_t)number_from("DAL_TEST_ROUNDS", ROUNDS),
                          .buffer = malloc(RANDOM_VALUE_ROOM)};
        dal_cluster *cluster = conf_cluster(c, NULL);
        dal_stmt whole = t.kind->all;
        int n_expressions = c->q->expression_types >> type & 1 ? 50 : 0;

        assert_non_null(t.buffer);
        print_message("seed %llu, %lld values\n", (unsigned long long)t.seed, (long long)t.n);
        OK(dal_cluster_run(cluster, dal_key_int64(1), NULL, store_all, &t, &c->err));
        conf_cluster_end(c, cluster);
        for (int64_t i = 0; i < t.n; i++)
                read_by_key(&t, i);
        t.way = "streamed";
        read_all(&t, c->conn, &t.kind->all);
        t.way = "received whole";
        whole.flags = 0;
        read_all(&t, c->conn, &whole);
        read_by_every_mode(&t);
        for (int64_t i = 0; i < n_expressions && i < t.n; i++)
                read_expression(&t, i);
        free(t.buffer);
}

static void property__bool_comes_back(struct conf *c)
{
        try_type(c, DAL_TYPE_BOOL);
}

static void property__int64_comes_back(struct conf *c)
{
        try_type(c, DAL_TYPE_INT64);
}

static void property__uint64_comes_back(struct conf *c)
{
        try_type(c, DAL_TYPE_UINT64);
}

static void property__double_comes_back_to_the_bit(struct conf *c)
{
        try_type(c, DAL_TYPE_DOUBLE);
}

static void property__decimal_comes_back_to_the_digit(struct conf *c)
{
        try_type(c, DAL_TYPE_DECIMAL);
}

static void property__text_comes_back(struct conf *c)
{
        try_type(c, DAL_TYPE_TEXT);
}

static void property__bytes_come_back(struct conf *c)
{
        try_type(c, DAL_TYPE_BYTES);
}

static void property__timestamp_comes_back_to_the_microsecond(struct conf *c)
{
        try_type(c, DAL_TYPE_TIMESTAMP);
}

static void property__date_comes_back(struct conf *c)
{
        try_type(c, DAL_TYPE_DATE);
}

static void property__uuid_comes_back(struct conf *c)
{
        try_type(c, DAL_TYPE_UUID);
}

const struct conf_case property_conf[] = {
        CONF_CASE(property__bool_comes_back),
        CONF_CASE(property__int64_comes_back),
        CONF_CASE(property__uint64_comes_back),
        CONF_CASE(property__double_comes_back_to_the_bit),
        CONF_CASE(property__decimal_comes_back_to_the_digit),
        CONF_CASE(property__text_comes_back),
        CONF_CASE(property__bytes_come_back),
        CONF_CASE(property__timestamp_comes_back_to_the_microsecond),
        CONF_CASE(property__date_comes_back),
        CONF_CASE(property__uuid_comes_back),
        {NULL, NULL},
};
