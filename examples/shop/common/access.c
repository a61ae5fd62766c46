/* SPDX-License-Identifier: MIT */
#include "access.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <dal/drivers/sqlite.h>
#ifdef SHOP_WITH_POSTGRES
#include <dal/drivers/postgres.h>
#endif
#ifdef SHOP_WITH_MYSQL
#include <dal/drivers/mysql.h>
#endif

static const dal_driver *drivers[3];
static size_t n_drivers;

const dal_driver *const *shop_drivers(size_t *n_out)
{
        if (n_drivers == 0) { /* first called from main(), before any thread is started */
                drivers[n_drivers++] = dal_driver_sqlite();
#ifdef SHOP_WITH_POSTGRES
                drivers[n_drivers++] = dal_driver_postgres();
#endif
#ifdef SHOP_WITH_MYSQL
                drivers[n_drivers++] = dal_driver_mysql();
#endif
        }
        *n_out = n_drivers;
        return drivers;
}

/* Two URLs lead to the same server. */
static bool same_server(const dal_dsn *a, const dal_dsn *b)
{
        const char *socket_a = dal_dsn_get(a, "socket"), *socket_b = dal_dsn_get(b, "socket");

        return strcmp(dal_dsn_scheme(a), dal_dsn_scheme(b)) == 0 &&
               strcmp(dal_dsn_host(a), dal_dsn_host(b)) == 0 && dal_dsn_port(a) == dal_dsn_port(b) &&
               strcmp(socket_a ? socket_a : "", socket_b ? socket_b : "") == 0;
}

static bool copy(char *out, size_t size, const char *text)
{
        return (size_t)snprintf(out, size, "%s", text) < size;
}

dal_status shop_login(void *arg, const dal_dsn *dsn, char *user_out, size_t user_size, char *password_out,
                      size_t password_size, dal_error *err)
{
        const char *line = getenv("SHOP_LOGINS"), *password;
        const dal_dsn *found = dsn;
        dal_dsn *login = NULL;
        dal_status s = DAL_OK;

        (void)arg;
        while (line && *line && found == dsn) {
                size_t size = strcspn(line, "\n");
                char *url = strndup(line, size);

                if (!url)
                        return dal_fail(err, DAL_ERR_NOMEM, "out of memory");
                s = dal_dsn_parse(url, &login, err);
                free(url);
                if (s)
                        return s;
                if (same_server(login, dsn)) {
                        found = login;
                } else {
                        dal_dsn_free(login);
                        login = NULL;
                }
                line += size + (line[size] == '\n');
        }
        password = dal_dsn_password(found);
        if (!copy(user_out, user_size, dal_dsn_user(found)) ||
            !copy(password_out, password_size, password ? password : ""))
                s = dal_fail(err, DAL_ERR_ARG, "the user or password of %s is too long",
                             dal_dsn_redacted(dsn));
        dal_dsn_free(login);
        return s;
}

dal_status shop_open(const char *service, unsigned n_workers, dal_event_fn *on_event, void *on_event_arg,
                     dal_cluster **out, dal_error *err)
{
        dal_cluster_options options = DAL_CLUSTER_OPTIONS_INIT;
        const char *url = getenv("SHOP_URL");
        size_t n;

        if (!url)
                return dal_fail(err, DAL_ERR_ARG,
                                "SHOP_URL is not set: it must name the shop's catalog, for example "
                                "SHOP_URL=sqlite:shop_0.db; examples/shop/run sets it by itself");
        options.service = service;
        options.timeout_ms = 30000;
        options.on_event = on_event;
        options.on_event_arg = on_event_arg;
        /* For each shard. More than a few dozen threads share, so that a server's limit is not used up. */
        options.pool.max_size = n_workers < 20 ? n_workers + 1 : 20;
        options.pool.conn.credentials = shop_login;
        const dal_driver *const *linked = shop_drivers(&n);
        return dal_cluster_open(url, linked, n, &options, out, err);
}
