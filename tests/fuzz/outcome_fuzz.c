/* SPDX-License-Identifier: MIT */
/* Outcome tokens, which people copy from logs: what is read is what is written, anything else is refused. */

#include "fuzz.h"

#include "run/outcome.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        dal_error err = DAL_ERROR_INIT;
        dal__outcome_token token;
        char *text = fuzz_text(data, size), again[DAL__OUTCOME_HEX_SIZE];

        if (dal__outcome_read(text, &token, &err) == DAL_OK) {
                dal__outcome_write(&token, again);
                FUZZ_CHECK(strlen(again) == strlen(text) && strlen(again) == 32);
                for (size_t i = 0; i < 32; i++)
                        FUZZ_CHECK(again[i] == text[i] || again[i] == (text[i] | 0x20));
                FUZZ_CHECK(dal__outcome_kind_of(&token) == DAL__OUTCOME_ROW ||
                           dal__outcome_kind_of(&token) == DAL__OUTCOME_NUMBER);
                FUZZ_CHECK(dal__outcome_seconds_of(&token) < UINT64_C(1) << 40);
        } else {
                fuzz_check_error(&err);
        }
        free(text);
        return 0;
}
