/* SPDX-License-Identifier: MIT */
#ifndef DSN_RIG_H
#define DSN_RIG_H

/* Reads URLs as a program with several drivers does. Included behind cmocka.h. */

#include <string.h>

#include <dal/driver.h>
#include <dal/drivers/fake.h>

/* What the real drivers say of their URLs. */
static dal_driver drivers[4];
static const dal_driver *const all[] = {&drivers[0], &drivers[1], &drivers[2], &drivers[3]};

static inline int dsn_rig_set_up(void **state)
{
        (void)state;
        for (size_t i = 0; i < 4; i++)
                drivers[i] = *dal_driver_fake();
        drivers[1].schemes = "postgres postgresql";
        drivers[1].keys = "schema";
        drivers[2].schemes = "mysql mariadb";
        drivers[2].keys = "socket server_public_key";
        drivers[2].inherited_keys = "server_public_key";
        drivers[3].schemes = "sqlite";
        drivers[3].keys = "mode";
        drivers[3].caps |= DAL_CAP_EMBEDDED;
        return 0;
}

static inline dal_dsn *parse(const char *url)
{
        dal_error err = DAL_ERROR_INIT;
        dal_dsn *dsn = NULL;

        if (dal_dsn_parse(url, &dsn, &err))
                fail_msg("%s: %s", url, err.message);
        return dsn;
}

/* Reads a URL as a program does. */
static inline dal_status read_url(const char *url, const dal_dsn *base, const char *dbname, dal_dsn **out,
                                  dal_error *err)
{
        const dal_driver *driver = NULL;
        dal_dsn *dsn = NULL;
        dal_status status = dal_dsn_parse(url, &dsn, err);

        if (status)
                return status;
        driver = dal_driver_find(all, 4, dal_dsn_scheme(dsn), err);
        status = driver ? dal_driver_resolve_dsn(driver, dsn, base, dbname, out, err) : DAL_ERR_ARG;
        dal_dsn_free(dsn);
        return status;
}

static inline dal_dsn *resolve(const char *url)
{
        dal_error err = DAL_ERROR_INIT;
        dal_dsn *dsn = NULL;

        if (read_url(url, NULL, NULL, &dsn, &err))
                fail_msg("%s: %s", url, err.message);
        return dsn;
}

#endif
