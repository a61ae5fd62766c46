/* SPDX-License-Identifier: MIT */
#include <dal/driver.h>

#include <stdio.h>
#include <string.h>

#include "base/dsn_impl.h"

dal_status dal_driver_check(const dal_driver *driver, dal_error *err)
{
        const char *missing = NULL;

        if (!driver)
                return dal_error_set(err, DAL_CLASS_ARGUMENT,
                                     "no driver given: pass a table such as dal_driver_sqlite()");
        if (driver->struct_size < sizeof *driver)
                return dal_error_set(err, DAL_CLASS_ARGUMENT,
                                     "the driver was compiled for another version of dal/driver.h (%u bytes "
                                     "instead of %zu): compile it again",
                                     driver->struct_size, sizeof *driver);
        if (!driver->name || !driver->name[0])
                return dal_error_set(err, DAL_CLASS_ARGUMENT, "a driver has no name");

        /* The later lines win, so that the first thing missing is the one named. */
        if (!driver->drop && (driver->caps & DAL_CAP_CURSORS))
                missing = "drop";
        if (!driver->swap && (driver->caps & DAL_CAP_CURSORS))
                missing = "swap";
        if (!driver->info)
                missing = "info";
        if (!driver->tx_state)
                missing = "tx_state";
        if (!driver->column)
                missing = "column";
        if (!driver->discard)
                missing = "discard";
        if (!driver->fetch)
                missing = "fetch";
        if (!driver->result)
                missing = "result";
        if (!driver->flush)
                missing = "flush";
        if (!driver->queue)
                missing = "queue";
        if (!driver->ping && !(driver->caps & DAL_CAP_EMBEDDED))
                missing = "ping";
        if (!driver->close)
                missing = "close";
        if (!driver->open)
                missing = "open";
        if (missing)
                return dal_error_set(err, DAL_CLASS_ARGUMENT, "driver %s: the slot \"%s\" is required",
                                     driver->name, missing);

        if (driver->aside_size == 0 && (driver->caps & DAL_CAP_CURSORS))
                missing = "aside_size";
        if (driver->max_params == 0)
                missing = "max_params";
        if (driver->conn_size == 0)
                missing = "conn_size";
        if (!driver->keys)
                missing = "keys";
        if (!driver->schemes || !driver->schemes[0])
                missing = "schemes";
        if (missing)
                return dal_error_set(err, DAL_CLASS_ARGUMENT, "driver %s: the field \"%s\" must be set",
                                     driver->name, missing);
        return DAL_OK;
}

const dal_driver *dal_driver_find(const dal_driver *const *drivers, size_t n_drivers, const char *scheme,
                                  dal_error *err)
{
        char known[256] = "";
        size_t used = 0;

        for (size_t i = 0; i < n_drivers; i++) {
                int n;

                if (!drivers[i] || !drivers[i]->schemes)
                        continue;
                if (scheme && dal__dsn_has_word(drivers[i]->schemes, scheme))
                        return drivers[i];
                n = snprintf(known + used, sizeof known - used, "%s%s", used ? " " : "", drivers[i]->schemes);
                if (n > 0)
                        used = (size_t)n < sizeof known - used ? used + (size_t)n : sizeof known - 1;
        }
        if (used)
                (void)dal_error_set(
                        err, DAL_CLASS_ARGUMENT,
                        "no driver for URLs that begin with \"%.32s:\"; this program has drivers for: %s",
                        scheme ? scheme : "", known);
        else
                (void)dal_error_set(err, DAL_CLASS_ARGUMENT,
                                    "no driver was given: pass tables such as dal_driver_sqlite()");
        return NULL;
}

/* ---- URLs as a driver reads them -------------------------------------------------------------------------- */

/* An engine without a server has nothing to reach, to log in to or to encrypt; sslmode=off says just that. */
static bool is_allowed(const dal_driver *driver, size_t key)
{
        return !(driver->caps & DAL_CAP_EMBEDDED) || key == DAL__DSN_PATH || key == DAL__DSN_SSLMODE ||
               key == DAL__DSN_APPLICATION_NAME;
}

static dal_status refuse_key(const dal_driver *driver, const dal_dsn *dsn, const char *name, dal_error *err)
{
        char known[400] = "";
        size_t n = 0;

        for (size_t i = 0; i < DAL__DSN_N_KEYS; i++)
                if (is_allowed(driver, i))
                        n += (size_t)snprintf(known + n, sizeof known - n, "%s ", dal__dsn_names[i]);
        (void)snprintf(known + n, sizeof known - n, "%s", driver->keys);
        if (!driver->keys[0])
                known[n - 1] = '\0';
        return dal_error_set(err, DAL_CLASS_ARGUMENT, "a %.16s URL has no key \"%.40s\": known are %s",
                             dsn->scheme, name, known);
}

static dal_status check_embedded(const dal_driver *driver, const dal_dsn *dsn, dal_error *err)
{
        bool has_host = dsn->values[DAL__DSN_HOST] || dsn->values[DAL__DSN_PORT] ||
                        dsn->values[DAL__DSN_USER] || dsn->values[DAL__DSN_PASSWORD];

        if (!dsn->path_only && (has_host || !dsn->values[DAL__DSN_PATH]))
                return dal_error_set(err, DAL_CLASS_ARGUMENT,
                                     "the database URL is malformed: after %.32s:// a host would stand, "
                                     "which a file does not have: write %.32s:FILE, or %.32s:///FILE for a "
                                     "path from the root",
                                     dsn->scheme, dsn->scheme, dsn->scheme);
        for (size_t i = 0; i < DAL__DSN_N_KEYS; i++)
                if (dsn->values[i] && !is_allowed(driver, i))
                        return refuse_key(driver, dsn, dal__dsn_names[i], err);
        if (dsn->tls_mode != DAL_TLS_OFF)
                return dal_error_set(
                        err, DAL_CLASS_ARGUMENT,
                        "a %.16s URL names a file, not a server: without one there is no TLS; leave "
                        "sslmode=%s out",
                        dsn->scheme, dal_dsn_tls_name(dsn->tls_mode));
        return DAL_OK;
}

/* Shows no value of the URL: before a driver knows it whole, any part may be a password that went astray. */
static dal_status check_dsn(const dal_driver *driver, const dal_dsn *dsn, dal_error *err)
{
        dal_status s = DAL_OK;

        if (!dal__dsn_has_word(driver->schemes, dsn->scheme))
                return dal_error_set(
                        err, DAL_CLASS_ARGUMENT,
                        "the driver %s has no URLs that begin with \"%.32s:\"; its schemes are: %s",
                        driver->name, dsn->scheme, driver->schemes);
        if (driver->caps & DAL_CAP_EMBEDDED)
                s = check_embedded(driver, dsn, err);
        else if (dsn->path_only && dsn->values[DAL__DSN_PATH])
                s = dal_error_set(err, DAL_CLASS_ARGUMENT,
                                  "the database URL is malformed: two slashes must follow the scheme, as in "
                                  "%.32s://host/database",
                                  dsn->scheme);
        for (const dal__dsn_extra *extra = dsn->extras; extra && s == DAL_OK; extra = extra->next)
                if (!dal__dsn_has_word(driver->keys, extra->name))
                        s = refuse_key(driver, dsn, extra->name, err);
        return s;
}

dal_status dal_driver_resolve_dsn(const dal_driver *driver, const dal_dsn *dsn, const dal_dsn *base,
                                  const char *dbname, dal_dsn **out, dal_error *err)
{
        dal__dsn_rules rules;
        dal_status s;

        s = dal_driver_check(driver, err);
        if (s == DAL_OK && (!dsn || !out))
                s = dal_error_set(err, DAL_CLASS_ARGUMENT,
                                  "dal_driver_resolve_dsn() needs a URL and a place for the result");
        if (s == DAL_OK)
                s = check_dsn(driver, dsn, err);
        if (s)
                return s;
        rules.is_file = driver->caps & DAL_CAP_EMBEDDED;
        rules.inherited_keys = driver->inherited_keys;
        if (base && !dal__dsn_has_word(driver->schemes, base->scheme))
                base = NULL;
        return dal__dsn_derive(dsn, base, dbname, &rules, out, err);
}

uint64_t dal_driver_server_number(const char *name)
{
        uint64_t hash = 0xcbf29ce484222325u;

        /* Source: FNV-1a, draft-eastlake-fnv */
        for (; *name; name++)
                hash = (hash ^ (unsigned char)*name) * 0x100000001b3u;
        return hash ? hash : 1;
}
