/* SPDX-License-Identifier: MIT */
#include "money.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* Reads a decimal number with up to `decimals` digits after the point as a whole number of 10^-decimals. */
static const char *parse(const char *text, int decimals, int64_t *out)
{
        bool negative = *text == '-', digits = false, after_point = false;
        int64_t value = 0;
        int left = decimals;

        if (*text == '-' || *text == '+')
                text++;
        for (; *text != '\0'; text++) {
                if (*text == '.' && !after_point) {
                        after_point = true;
                        continue;
                }
                if (*text < '0' || *text > '9')
                        return "not a number";
                digits = true;
                if (after_point && left == 0) {
                        if (*text != '0')
                                return decimals ? "more than six decimals" : "not a whole number";
                        continue; /* 2.5500000000 is as good as 2.55 */
                }
                /* Counted downwards, for the negative side reaches one further. */
                if (__builtin_mul_overflow(value, 10, &value) ||
                    __builtin_sub_overflow(value, *text - '0', &value))
                        return "too large";
                left -= after_point;
        }
        if (!digits)
                return "not a number";
        while (left-- > 0)
                if (__builtin_mul_overflow(value, 10, &value))
                        return "too large";
        if (!negative && __builtin_sub_overflow(0, value, &value))
                return "too large";
        *out = value;
        return NULL;
}

const char *money_parse(const char *text, int64_t *micros_out)
{
        return parse(text, 6, micros_out);
}

const char *whole_parse(const char *text, int64_t *out)
{
        return parse(text, 0, out);
}

const char *money_format(int64_t micros, char out[32])
{
        uint64_t size = micros < 0 ? 0 - (uint64_t)micros : (uint64_t)micros;
        size_t n = (size_t)snprintf(out, 32, "%s%" PRIu64 ".%06" PRIu64, micros < 0 ? "-" : "",
                                    size / 1000000, size % 1000000);

        for (int i = 0; i < 4 && out[n - 1] == '0'; i++)
                out[--n] = '\0';
        return out;
}
