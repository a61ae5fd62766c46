/* SPDX-License-Identifier: MIT */
#ifndef DAL_H
#define DAL_H

/* Everything a service needs. Drivers are declared apart, in <dal/drivers/...>. */

#include <dal/batch.h>
#include <dal/bulk.h>
#include <dal/clock.h>
#include <dal/cluster.h>
#include <dal/conn.h>
#include <dal/dsn.h>
#include <dal/error.h>
#include <dal/fanout.h>
#include <dal/key.h>
#include <dal/outcome.h>
#include <dal/pool.h>
#include <dal/rows.h>
#include <dal/schema.h>
#include <dal/stmt.h>
#include <dal/tx.h>
#include <dal/value.h>
#include <dal/version.h>

#endif
