/* SPDX-License-Identifier: MIT */
#ifndef DAL_DRIVERS_POSTGRES_H
#define DAL_DRIVERS_POSTGRES_H

#include <dal/driver.h>
#include <dal/macros.h>

DAL_BEGIN_DECLS

/** Returns the driver's table. Static. Threads: any. Blocks: no. */
const dal_driver *dal_driver_postgres(void);

DAL_END_DECLS

#endif
