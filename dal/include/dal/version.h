/* SPDX-License-Identifier: MIT */
#ifndef DAL_VERSION_H
#define DAL_VERSION_H

/* Read by CMakeLists.txt, so that the version is written down once. */
#define DAL_VERSION_MAJOR 0
#define DAL_VERSION_MINOR 1
#define DAL_VERSION_PATCH 0
#define DAL_VERSION       "0.1.0"

#endif
