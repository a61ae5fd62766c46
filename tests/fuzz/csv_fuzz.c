/* SPDX-License-Identifier: MIT */
/* CSV of the example shop: what was read, written anew and read again, is the same. */

#include "fuzz.h"

#include "common/csv.h"

static char *write_record(const struct csv_record *record, size_t *size_out)
{
        size_t room = 2;
        char *text, *at;

        for (size_t i = 0; i < record->n_fields; i++)
                room += 2 * strlen(record->field[i]) + 3;
        at = text = malloc(room);
        FUZZ_CHECK(text);
        for (size_t i = 0; i < record->n_fields; i++) {
                if (i)
                        *at++ = ',';
                *at++ = '"';
                for (const char *p = record->field[i]; *p; p++) {
                        if (*p == '"')
                                *at++ = '"';
                        *at++ = *p;
                }
                *at++ = '"';
        }
        *at++ = '\n';
        *size_out = (size_t)(at - text);
        return text;
}

static void check_again(const struct csv_record *record)
{
        struct csv csv;
        struct csv_record again;
        struct csv_error error;
        size_t size;
        char *text = write_record(record, &size);

        if (size <= CSV_MAX_RECORD) {
                FUZZ_CHECK(csv_init(&csv, text, size));
                FUZZ_CHECK(csv_next(&csv, &again, &error) == CSV_RECORD);
                FUZZ_CHECK(again.n_fields == record->n_fields);
                for (size_t i = 0; i < again.n_fields; i++)
                        FUZZ_CHECK(strcmp(again.field[i], record->field[i]) == 0);
                FUZZ_CHECK(csv_next(&csv, &again, &error) == CSV_END);
                csv_fini(&csv);
        }
        free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct csv csv;
        struct csv_record record;
        struct csv_error error = {0, 0, NULL};
        enum csv_found found;
        char *text = fuzz_copy(data, size);
        const char *at;

        FUZZ_CHECK(csv_init(&csv, text, size));
        at = csv.at;
        while ((found = csv_next(&csv, &record, &error)) != CSV_END) {
                /* Each record is the next piece of the file: nothing is lost and nothing read twice. */
                FUZZ_CHECK(record.raw == at && record.raw_size > 0);
                at += record.raw_size;
                FUZZ_CHECK(at <= text + size && csv.at == at);
                if (found == CSV_BAD) {
                        FUZZ_CHECK(error.reason && error.line >= record.line);
                        continue;
                }
                FUZZ_CHECK(record.n_fields >= 1 && record.n_fields <= CSV_MAX_FIELDS);
                for (size_t i = 0; i < record.n_fields; i++)
                        FUZZ_CHECK(dal_value_is_utf8(record.field[i], strlen(record.field[i])));
                check_again(&record);
        }
        FUZZ_CHECK(at == text + size);
        csv_fini(&csv);
        free(text);
        return 0;
}
