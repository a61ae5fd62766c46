/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE /* environ */
#include "manners.h"

#include <dirent.h>
#include <fenv.h>
#include <locale.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
        MAX_FDS = 64,
        N_SIGNALS = 65
};

struct descriptor {
        int fd;
        char target[128];
};

struct snapshot {
        struct sigaction actions[N_SIGNALS];
        sigset_t mask, pending;
        char locale[256], folder[512];
        locale_t thread_locale;
        mode_t umask;
        char **environ;
        uint64_t environ_hash;
        int rounding, n_fds, n_threads;
        struct descriptor fds[MAX_FDS];
};

static uint64_t hash_of(char **strings)
{
        uint64_t hash = 14695981039346656037u; /* FNV-1a */

        for (; *strings; strings++) {
                for (const char *at = *strings;; at++) {
                        hash = (hash ^ (unsigned char)*at) * 1099511628211u;
                        if (!*at)
                                break;
                }
        }
        return hash;
}

static void read_fds(struct snapshot *s)
{
        DIR *folder = opendir("/proc/self/fd");
        struct dirent *entry;

        s->n_fds = 0;
        while (folder && (entry = readdir(folder)) && s->n_fds < MAX_FDS) {
                struct descriptor *d = &s->fds[s->n_fds];
                ssize_t n;

                if (entry->d_name[0] == '.' || atoi(entry->d_name) == dirfd(folder))
                        continue;
                memset(d, 0, sizeof *d);
                d->fd = atoi(entry->d_name);
                n = readlinkat(dirfd(folder), entry->d_name, d->target, sizeof d->target - 1);
                s->n_fds += n >= 0;
        }
        if (folder)
                closedir(folder);
}

static int count_threads(void)
{
        DIR *folder = opendir("/proc/self/task");
        struct dirent *entry;
        int n = 0;

        while (folder && (entry = readdir(folder)))
                n += entry->d_name[0] != '.';
        if (folder)
                closedir(folder);
        return n;
}

static void fill(struct snapshot *s)
{
        memset(s, 0, sizeof *s);
        for (int i = 1; i < N_SIGNALS; i++)
                sigaction(i, NULL, &s->actions[i]); /* fails for the two that belong to the threads library */
        pthread_sigmask(SIG_SETMASK, NULL, &s->mask);
        sigemptyset(&s->pending);
        sigpending(&s->pending);
        snprintf(s->locale, sizeof s->locale, "%s", setlocale(LC_ALL, NULL));
        s->thread_locale = uselocale((locale_t)0);
        s->umask = umask(0);
        umask(s->umask);
        s->environ = environ;
        s->environ_hash = hash_of(environ);
        if (!getcwd(s->folder, sizeof s->folder))
                s->folder[0] = '\0';
        s->rounding = fegetround();
        read_fds(s);
        s->n_threads = count_threads();
}

struct snapshot *snapshot_take(void)
{
        struct snapshot *s = malloc(sizeof *s);

        if (!s)
                abort();
        fill(s);
        return s;
}

static bool same_set(const sigset_t *a, const sigset_t *b)
{
        for (int i = 1; i < N_SIGNALS; i++) {
                if (sigismember(a, i) != sigismember(b, i))
                        return false;
        }
        return true;
}

/* Set by the C library whenever an action is. Source: Linux, SA_RESTORER of x86 */
#define OWN_FLAGS 0x04000000

static bool same_actions(const struct snapshot *a, const struct snapshot *b)
{
        for (int i = 1; i < N_SIGNALS; i++) {
                if (a->actions[i].sa_handler != b->actions[i].sa_handler ||
                    (a->actions[i].sa_flags | OWN_FLAGS) != (b->actions[i].sa_flags | OWN_FLAGS) ||
                    !same_set(&a->actions[i].sa_mask, &b->actions[i].sa_mask))
                        return false;
        }
        return true;
}

static bool same_fds(const struct snapshot *a, const struct snapshot *b)
{
        if (a->n_fds != b->n_fds)
                return false;
        for (int i = 0; i < a->n_fds; i++) {
                if (a->fds[i].fd != b->fds[i].fd || strcmp(a->fds[i].target, b->fds[i].target) != 0)
                        return false;
        }
        return true;
}

static const char *difference(const struct snapshot *before, const struct snapshot *after)
{
        if (!same_actions(before, after))
                return "the disposition of a signal";
        if (!same_set(&before->mask, &after->mask))
                return "the thread's signal mask";
        if (!same_set(&before->pending, &after->pending))
                return "the pending signals";
        if (strcmp(before->locale, after->locale) != 0 || before->thread_locale != after->thread_locale)
                return "the locale";
        if (before->umask != after->umask)
                return "the umask";
        if (before->environ != after->environ || before->environ_hash != after->environ_hash)
                return "the environment";
        if (strcmp(before->folder, after->folder) != 0)
                return "the current directory";
        if (before->rounding != after->rounding)
                return "the rounding mode";
        if (!same_fds(before, after))
                return "the open file descriptors";
        /* One that was joined before the first look may still have been there for the kernel. */
        return after->n_threads > before->n_threads ? "the number of threads" : NULL;
}

const char *snapshot_compare(struct snapshot *before)
{
        struct snapshot *now = snapshot_take();
        dal_deadline end = dal_clock_after_ms(10000);
        const char *what;

        while ((what = difference(before, now)) && (strstr(what, "threads") || strstr(what, "descriptors")) &&
               !dal_clock_passed(end)) {
                conf_sleep_ms(10);
                fill(now);
        }
        free(now);
        free(before);
        return what;
}

void snapshot_check(struct snapshot *before)
{
        const char *what = snapshot_compare(before);

        if (what)
                fail_msg("%s has changed", what);
}
