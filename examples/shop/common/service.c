/* SPDX-License-Identifier: MIT */
#include "service.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "access.h"

#define EXIT_USAGE 64

static void count_retry(void *arg, const dal_event *event)
{
        struct service *service = arg;

        if (event->kind == DAL_EVENT_RETRY)
                atomic_fetch_add(&service->n_retries, 1);
}

dal_status service_unknown(const struct service *service, const struct wire_record *record, dal_error *err)
{
        return dal_fail(err, DAL_ERR_ARG, "%s does not know the record '%s' with %zu fields; see %s --help",
                        service->name, record->field[0], record->n_fields, service->name);
}

static dal_status serve(struct service *service, service_handle_fn *handle, dal_error *err)
{
        struct wire_record record = {0};
        dal_status s =
                shop_open(service->name, service->n_workers, count_retry, service, &service->cluster, err);

        while (s == DAL_OK && wire_read(stdin, &record))
                s = handle(service, &record, err);
        wire_fini(&record);
        return s;
}

int service_main(struct service *service, int argc, char **argv, service_handle_fn *handle)
{
        dal_error err = DAL_ERROR_INIT, close_err = DAL_ERROR_INIT;
        dal_status s;

        service->n_workers = 1;
        for (int i = 1; i < argc; i++) {
                if (strcmp(argv[i], "--help") == 0) {
                        printf("Usage: SHOP_URL=CATALOG %s [--workers N] < RECORDS\n\n%s\n"
                               "Records are lines; their fields are separated by tabs.\n",
                               service->name, service->about);
                        return EXIT_SUCCESS;
                }
                if (strcmp(argv[i], "--workers") == 0 && i + 1 < argc && atoi(argv[i + 1]) > 0) {
                        service->n_workers = (unsigned)atoi(argv[++i]);
                        continue;
                }
                fprintf(stderr, "%s: unknown option '%s'; see %s --help\n", service->name, argv[i],
                        service->name);
                return EXIT_USAGE;
        }
        s = serve(service, handle, &err);
        if (s)
                service_reply("error", "s", err.message);
        if (service->stop)
                service->stop();
        if (service->cluster && dal_cluster_close(service->cluster, 5000, &close_err))
                fprintf(stderr, "%s: %s\n", service->name, close_err.message);
        return s ? EXIT_FAILURE : EXIT_SUCCESS;
}
