/* SPDX-License-Identifier: MIT */
/* Errors of PostgreSQL and libpq: any text becomes one line that is fit to print. */

#include "fuzz.h"

#include "postgres_impl.h"

static void check_names(const dal_error *err)
{
        FUZZ_CHECK(dal_value_is_utf8(err->constraint, strlen(err->constraint)));
        FUZZ_CHECK(dal_value_is_utf8(err->table, strlen(err->table)));
        FUZZ_CHECK(dal_value_is_utf8(err->column, strlen(err->column)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        fuzz_input in = {data, size};
        uint8_t bits = fuzz_byte(&in);
        dal_error err = DAL_ERROR_INIT;
        char *parts[8];
        dal__postgres_fault fault;

        for (size_t i = 0; i < 8; i++)
                parts[i] = fuzz_field(&in);
        memset(&fault, 0, sizeof fault);
        fault.sqlstate = bits & 1 ? NULL : parts[0];
        fault.message = bits & 2 ? NULL : parts[1];
        fault.detail = parts[2];
        fault.hint = parts[3];
        fault.constraint = parts[4];
        fault.table = parts[5];
        fault.column = parts[6];
        fault.function = parts[7];
        fault.conn_gone = bits & 4;
        fault.cancel_sent = bits & 8;
        fault.read_only_asked = bits & 16;
        fault.read_only_server = bits & 32;
        fault.own_statement = bits & 64;
        FUZZ_CHECK(dal__postgres_fail(&fault, &err) == err.status);
        fuzz_check_error(&err);
        check_names(&err);
        FUZZ_CHECK(dal__postgres_fail(&fault, NULL) == err.status);
        FUZZ_CHECK(!fault.conn_gone || err.conn_gone);

        FUZZ_CHECK(dal__postgres_fail_connect(parts[0], parts[1], bits & 1, &err) == err.status);
        fuzz_check_error(&err);
        FUZZ_CHECK(err.not_sent && err.conn_gone);
        for (size_t i = 0; i < 8; i++)
                free(parts[i]);
        return 0;
}
