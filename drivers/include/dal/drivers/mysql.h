/* SPDX-License-Identifier: MIT */
#ifndef DAL_DRIVERS_MYSQL_H
#define DAL_DRIVERS_MYSQL_H

#include <dal/driver.h>
#include <dal/macros.h>

/*
 * MySQL and MariaDB, by either client library.
 *
 * With statements=text values stand in the text as literals that no byte of them can end, whatever the session's SQL
 * mode is. What a column holds comes back as the same type and value, save FLOAT: the servers write six digits of it.
 * What differs, since the server sees a literal and no parameter:
 *  - text and bytes take two bytes of max_allowed_packet for each of theirs;
 *  - an expression of parameters alone, such as SELECT ?, has the type of the literal and its text as a name;
 *  - in ORDER BY ? and GROUP BY ? an integer is the position of a column;
 *  - LIMIT ? takes an integer only;
 *  - a parameter inside a comment that only some servers run is refused.
 * The same holds, in any mode, for a statement that is run while the server has max_prepared_stmt_count statements
 * prepared: it goes as text, and preparing is tried again ten seconds later.
 */

DAL_BEGIN_DECLS

/** Returns the driver's table. Static. Threads: any. Blocks: no. */
const dal_driver *dal_driver_mysql(void);

DAL_END_DECLS

#endif
