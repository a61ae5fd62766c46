/* SPDX-License-Identifier: MIT */
#ifndef SHOP_ACCESS_H
#define SHOP_ACCESS_H

/*
 * What every program of the shop needs to reach the database: the drivers it is linked with, and its logins.
 */

#include <stddef.h>

#include <dal/dal.h>

/** Returns the drivers this program was built with. Static. */
const dal_driver *const *shop_drivers(size_t *n_out);

/**
 * Opens the shared database under a service's name.
 *
 * SHOP_URL names the catalog. SHOP_LOGINS has one URL a line: the user and password for each server. So no
 * password stands in the catalog or in the process list.
 */
dal_status shop_open(const char *service, unsigned n_workers, dal_event_fn *on_event, void *on_event_arg,
                     dal_cluster **out, dal_error *err);

/** dal_credentials_fn: looks the server up in SHOP_LOGINS, and else takes what the URL itself says. */
dal_status shop_login(void *arg, const dal_dsn *dsn, char *user_out, size_t user_size, char *password_out,
                      size_t password_size, dal_error *err);

#endif
