/* SPDX-License-Identifier: MIT */
/* Errors of the MySQL family: any text becomes one line, and names only what can be told apart from data. */

#include "fuzz.h"

#include "fault.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        fuzz_input in = {data, size};
        uint8_t bits = fuzz_byte(&in);
        dal_error err = DAL_ERROR_INIT;
        dal__mysql_fault fault;
        char *where, *state, *message;

        memset(&fault, 0, sizeof fault);
        fault.code = (unsigned)fuzz_number(&in, 2);
        state = fuzz_field(&in);
        if (strlen(state) > 5) /* the client libraries' buffers hold five */
                state[5] = '\0';
        message = fuzz_field(&in);
        where = fuzz_field(&in);
        fault.sqlstate = state;
        fault.message = message;
        fault.where = bits & 1 ? where : NULL;
        fault.mariadb = bits & 2;
        fault.connecting = bits & 4;
        fault.committing = bits & 8;
        FUZZ_CHECK(dal__mysql_fault_error(&fault, &err) == err.status);
        FUZZ_CHECK(strlen(err.sqlstate) <= 5);
        err.sqlstate[0] = '\0'; /* a short one is handed on as it came */
        fuzz_check_error(&err);
        FUZZ_CHECK(!fault.connecting || err.conn_gone);
        FUZZ_CHECK(!fault.committing || err.conn_gone || err.tx_gone);
        FUZZ_CHECK(dal__mysql_fault_error(&fault, NULL) == err.status);
        free(state);
        free(message);
        free(where);
        return 0;
}
