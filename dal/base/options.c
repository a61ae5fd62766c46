/* SPDX-License-Identifier: MIT */
#include "base/options.h"

#include <string.h>

dal_status dal__options_read(const char *init, const void *given, void *options, size_t size, dal_error *err)
{
        size_t given_size;

        if (!given)
                return DAL_OK;
        memcpy(&given_size, given, sizeof given_size);
        if (given_size < sizeof given_size)
                return dal_error_set(err, DAL_CLASS_ARGUMENT, "struct_size is not set: begin with %s", init);
        if (given_size > size)
                return dal_error_set(
                        err, DAL_CLASS_ARGUMENT,
                        "struct_size is %zu and this library knows %zu bytes: begin with %s, and "
                        "compile with the headers of the library",
                        given_size, size, init);
        memcpy(options, given, given_size);
        return DAL_OK;
}
