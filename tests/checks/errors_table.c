/* SPDX-License-Identifier: MIT */
/* Prints docs/errors.md from the lists that the code itself is made of. */
#include <ctype.h>
#include <stdio.h>

#include <dal/error.h>

static const char *const retry_text[] = {"no", "yes", "before COMMIT is sent"};
enum {
        NO,
        YES,
        UNSENT
};

static void print_class(const char *name, dal_status status, int retry, const char *text)
{
        printf("| `");
        for (; *name; name++)
                putchar(tolower((unsigned char)*name));
        printf("` | `%s` | %s | %s |\n", dal_error_status_name(status), retry_text[retry], text);
}

int main(void)
{
        puts("# Errors\n\n"
             "Made by `tests/checks/errors_table.c` from the lists in `dal/include/dal/error.h`: don't edit "
             "it by hand.\n\n"
             "Every fallible call returns a status. It answers what to do now:\n\n"
             "| status | means |\n|---|---|");
#define PRINT_STATUS(name, text) printf("| `DAL_%s` | %s |\n", #name, text);
        DAL_STATUS_LIST(PRINT_STATUS)
        puts("\nThe class in `dal_error.error_class` says what happened. \"Retried\" is whether "
             "`dal_cluster_run()` runs the\n"
             "whole transaction again by itself; a unique violation only when `retry_unique` asks for it.\n\n"
             "| class | status | retried | what happened |\n|---|---|---|---|");
#define PRINT_CLASS(name, status, retry, text) print_class(#name, DAL_##status, retry, text);
        DAL_ERROR_CLASS_LIST(PRINT_CLASS)
        return 0;
}
