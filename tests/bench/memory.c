/* SPDX-License-Identifier: MIT */
/*
 * bench_memory [--json] ENGINE URL: memory that the library holds for one idle connection of a pool: what went through
 * dal_mem_*, so without the client library's own. Has these functions itself, in place of the library's.
 */
#include "bench.h"

#include <malloc.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <dal/mem.h>

#define N_CONNS 8
#define N_STMTS 20

static _Atomic int64_t n_live; /* bytes, as the C library rounded them */

void *dal_mem_alloc(size_t size)
{
        void *memory = calloc(1, size ? size : 1);

        atomic_fetch_add(&n_live, (int64_t)malloc_usable_size(memory));
        return memory;
}

void *dal_mem_resize(void *array, size_t n, size_t size)
{
        int64_t before = (int64_t)malloc_usable_size(array);
        void *memory;

        if (size && n > SIZE_MAX / size)
                return NULL;
        memory = realloc(array, n && size ? n * size : 1);
        if (memory)
                atomic_fetch_add(&n_live, (int64_t)malloc_usable_size(memory) - before);
        return memory;
}

char *dal_mem_strdup(const char *text, size_t size)
{
        char *copy = dal_mem_alloc(size + 1);

        if (copy)
                memcpy(copy, text, size);
        return copy;
}

void dal_mem_free(void *ptr)
{
        atomic_fetch_sub(&n_live, (int64_t)malloc_usable_size(ptr));
        free(ptr);
}

void dal_mem_wipe(void *ptr, size_t size)
{
        if (size)
                memset(ptr, 0, size);
}

static const dal_stmt get_row = DAL_STMT("bench.get", "SELECT v FROM bench_kv WHERE id = ?");

/* Opens all connections, runs so many different statements on each, gives them back, and sees what is held for one. */
static double kib_of_one(dal_cluster *cluster, int n_stmts)
{
        static dal_stmt stmts[N_STMTS];
        dal_error err = DAL_ERROR_INIT;
        dal_conn *conns[N_CONNS];
        int64_t before = atomic_load(&n_live);

        for (int i = 0; i < N_CONNS; i++)
                bench_check_status(dal_cluster_lease(cluster, 0, &conns[i], &err), &err);
        for (int i = 0; i < N_CONNS; i++)
                for (int k = 0; k < n_stmts; k++) {
                        dal_deadline deadline = dal_clock_after_ms(10000);
                        int64_t key = k + 1;
                        const char *value;
                        dal_rows *rows;
                        size_t size;

                        stmts[k] = get_row;
                        bench_check_status(dal_conn_query(conns[i], &stmts[k], DAL_PARAMS(dal_int64(key)),
                                                          deadline, &rows, &err),
                                           &err);
                        bench_check_status(dal_rows_first(rows, &err), &err);
                        bench_check_status(dal_rows_text(rows, 0, &value, &size, &err), &err);
                        bench_check_value(key, value, size);
                        dal_rows_close(rows);
                }
        for (int i = 0; i < N_CONNS; i++)
                dal_cluster_release(cluster, 0, conns[i]);
        return (double)(atomic_load(&n_live) - before) / N_CONNS / 1024;
}

int main(int argc, char **argv)
{
        static const int n_stmts[] = {1, N_STMTS};
        dal_cluster_options options = DAL_CLUSTER_OPTIONS_INIT;
        bench_out out = {.json = argc == 4 && strcmp(argv[1], "--json") == 0};
        dal_error err = DAL_ERROR_INIT;
        char group[32];
        size_t n_drivers;
        const dal_driver *const *drivers = bench_drivers(&n_drivers);

        if (argc != 3 + out.json)
                bench_die("usage", "bench_memory [--json] ENGINE URL");
        snprintf(group, sizeof group, "memory-%s", argv[argc - 2]);
        options.pool.max_size = N_CONNS;
        for (size_t i = 0; i < sizeof n_stmts / sizeof n_stmts[0]; i++) {
                char column[64];
                dal_cluster *cluster;

                bench_check_status(
                        dal_cluster_open(argv[argc - 1], drivers, n_drivers, &options, &cluster, &err), &err);
                snprintf(column, sizeof column, "dal, %d prepared", n_stmts[i]);
                bench_print(&out, group, column, kib_of_one(cluster, n_stmts[i]), "KiB held", 16, NULL);
                bench_check_status(dal_cluster_close(cluster, 5000, &err), &err);
        }
        if (atomic_load(&n_live) != 0)
                bench_die("memory", "something was not given back");
        return 0;
}
