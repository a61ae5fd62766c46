/* SPDX-License-Identifier: MIT */
/* Errors of SQLite, whose texts hold the names that a schema gave. */

#include "fuzz.h"

#include "sqlite_impl.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        fuzz_input in = {data, size};
        dal_error err = DAL_ERROR_INIT;
        int rc = (int)fuzz_number(&in, 2);
        char *text = fuzz_field(&in), *path = fuzz_field(&in);

        FUZZ_CHECK(dal__sqlite_classify(rc, text, path, &err) == err.status);
        FUZZ_CHECK(err.status != DAL_OK);
        FUZZ_CHECK(strnlen(err.message, sizeof err.message) < sizeof err.message);
        FUZZ_CHECK(strlen(err.sqlstate) == 0 || strlen(err.sqlstate) == 5);
        FUZZ_CHECK(!strpbrk(err.table, "\n") && !strpbrk(err.column, "\n") && !strpbrk(err.constraint, "\n"));
        free(text);
        free(path);
        return 0;
}
