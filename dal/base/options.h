/* SPDX-License-Identifier: MIT */
#ifndef DAL_BASE_OPTIONS_H
#define DAL_BASE_OPTIONS_H

#include <dal/error.h>

/*
 * Reads the public structure `given`, whose first member is its struct_size, over the defaults that *options holds;
 * NULL leaves those. Who was compiled with an older header gave fewer members: no byte behind them is looked at.
 * `init` is the name of its initialiser, for the message.
 */
dal_status dal__options_read(const char *init, const void *given, void *options, size_t size, dal_error *err);

#endif
