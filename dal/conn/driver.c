/* SPDX-License-Identifier: MIT */
#include <dal/driver.h>

#include <stdio.h>
#include <string.h>

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

/* Says whether a word stands whole in a list separated by spaces. */
static bool has_word(const char *list, const char *word)
{
        size_t size = strlen(word);

        while (*list) {
                size_t n = strcspn(list, " ");

                if (n == size && n > 0 && memcmp(list, word, n) == 0)
                        return true;
                list += n;
                list += strspn(list, " ");
        }
        return false;
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
                if (scheme && has_word(drivers[i]->schemes, scheme))
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
