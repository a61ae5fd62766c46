/* SPDX-License-Identifier: MIT */
/*
 * differ_libpq FILE: database URLs, one a line, as they are and with small changes, read by this library and
 * by libpq. Both must read the same, or refuse, but for the differences that are meant: those stand here, and
 * each must be met.
 */

#include <libpq-fe.h>

#include "fuzz.h"

#include <dal/driver.h>
#include <dal/drivers/postgres.h>

#define MAX_URL 512

typedef struct difference {
        const char *words; /* in the message of the side that refuses */
        const char *reason;
        size_t n_met;
} difference;

/* Refused here, taken by libpq. */
static difference stricter[] = {
        {"the port must be", "libpq looks at ports when it connects", 0},
        {"several hosts", "a pool leads to one server, so a list of hosts would hide which", 0},
        {"sslmode must be", "no mode that may end without encryption; libpq looks at modes when it connects",
         0},
        {"control character", "it could forge lines of a log", 0},
        {"a second @", "a password cut in two would be taken for a host, and be shown", 0},
        {"an @ after the host", "a password cut in two would be taken for a database, and be shown", 0},
        {"URL has no key", "libpq has keys that the driver decides by itself", 0},
};

/* Refused by libpq, taken here. */
static difference laxer[] = {
        {"invalid URI query parameter", "the driver's own keys, such as schema", 0},
};

#define N_OF(list) (sizeof(list) / sizeof(list)[0])

static const char *const keys[] = {"host",    "port",        "user",    "password", "dbname",
                                   "sslmode", "sslrootcert", "sslcert", "sslkey",   "application_name"};

static size_t n_same, n_refused;

static void fail(const char *url, const char *what, const char *ours, const char *theirs)
{
        fprintf(stderr, "%s\n  %s\n  here:  %s\n  libpq: %s\n", url, what, ours ? ours : "(none)",
                theirs ? theirs : "(none)");
        abort();
}

static bool is_meant(difference *list, size_t n, const char *message)
{
        for (size_t i = 0; i < n; i++) {
                if (strstr(message, list[i].words)) {
                        list[i].n_met++;
                        return true;
                }
        }
        return false;
}

static const char *find(const PQconninfoOption *options, const char *key)
{
        while (options->keyword && strcmp(options->keyword, key) != 0)
                options++;
        return options->keyword ? options->val : NULL;
}

static void compare(const char *url, const dal_dsn *dsn, const PQconninfoOption *options)
{
        for (size_t i = 0; i < N_OF(keys); i++) {
                const char *ours = dal_dsn_get(dsn, keys[i]), *theirs = find(options, keys[i]);

                if (theirs && strcmp(theirs, "disable") == 0 && strcmp(keys[i], "sslmode") == 0)
                        theirs = "off"; /* the same, under the name that it has here */
                /* To libpq an empty value is none. Source: PostgreSQL manual, "Connection Strings". */
                ours = ours && ours[0] ? ours : NULL;
                theirs = theirs && theirs[0] ? theirs : NULL;
                if (ours && theirs ? strcmp(ours, theirs) != 0 : ours != theirs)
                        fail(url, keys[i], ours, theirs);
        }
        n_same++;
}

/* The keys of a URL are the driver's to know, so it is asked, too. */
static dal_dsn *read_here(const char *url, dal_error *err)
{
        dal_dsn *dsn = NULL, *resolved = NULL;

        if (dal_dsn_parse(url, &dsn, err))
                return NULL;
        if (dal_driver_resolve_dsn(dal_driver_postgres(), dsn, NULL, NULL, &resolved, err)) {
                dal_dsn_free(dsn);
                return NULL;
        }
        dal_dsn_free(resolved);
        return dsn;
}

static void check(const char *url)
{
        dal_error err = DAL_ERROR_INIT;
        char *message = NULL;
        PQconninfoOption *options;
        dal_dsn *dsn;

        /* Anything else is a list of words to libpq; white space is cut off by some versions of it. */
        if ((strncmp(url, "postgres://", 11) != 0 && strncmp(url, "postgresql://", 13) != 0) ||
            strchr(url, ' '))
                return;
        dsn = read_here(url, &err);
        options = PQconninfoParse(url, &message);
        if (dsn && options)
                compare(url, dsn, options);
        else if (dsn && !is_meant(laxer, N_OF(laxer), message ? message : ""))
                fail(url, "only libpq refuses it", NULL, message);
        else if (options && !is_meant(stricter, N_OF(stricter), err.message))
                fail(url, "only libpq takes it", err.message, NULL);
        n_refused += !dsn && !options;
        dal_dsn_free(dsn);
        PQconninfoFree(options);
        PQfreemem(message);
}

/* One byte fewer, one more, or another, at each place. */
static void check_changed(const char *url)
{
        static const char others[] = ":/@?&=%,[]+#;0aZ\n\x7F\xC3";
        char changed[MAX_URL + 2];
        size_t size = strlen(url);

        for (size_t i = 0; i <= size; i++) {
                memcpy(changed, url, i);
                changed[i] = '\0';
                check(changed);
                if (i < size) {
                        memcpy(changed + i, url + i + 1, size - i);
                        check(changed);
                }
                for (const char *other = others; *other; other++) {
                        changed[i] = *other;
                        memcpy(changed + i + 1, url + i, size - i + 1);
                        check(changed);
                        if (i < size) {
                                memcpy(changed + i + 1, url + i + 1, size - i);
                                check(changed);
                        }
                }
        }
}

static int report(const difference *list, size_t n)
{
        int n_unmet = 0;

        for (size_t i = 0; i < n; i++) {
                printf("%8zu  %s: %s\n", list[i].n_met, list[i].words, list[i].reason);
                n_unmet += list[i].n_met == 0;
        }
        return n_unmet;
}

int main(int argc, char **argv)
{
        char line[MAX_URL];
        FILE *file = argc == 2 ? fopen(argv[1], "rb") : NULL;
        int n_unmet;

        if (!file) {
                fprintf(stderr, "usage: differ_libpq FILE\n");
                return 64;
        }
        while (fgets(line, sizeof line, file)) {
                line[strcspn(line, "\n")] = '\0';
                check(line);
                check_changed(line);
        }
        fclose(file);
        printf("%8zu  read alike\n%8zu  refused by both\n", n_same, n_refused);
        n_unmet = report(stricter, N_OF(stricter)) + report(laxer, N_OF(laxer));
        if (n_unmet)
                fprintf(stderr, "differences that no URL meets: %d\n", n_unmet);
        return n_unmet || !n_same || !n_refused;
}
