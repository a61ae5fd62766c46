/* SPDX-License-Identifier: MIT */
/*
 * The evidence: a line before and a line after each operation, each by one write() to a file opened to
 * append. What was written is the kernel's, so a worker that is killed takes nothing with it.
 */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bank.h"

int bank_log_open(const char *dir, uint64_t first_id)
{
        char path[BANK_PATH + 64];

        snprintf(path, sizeof path, "%s/log.%016" PRIx64, dir, first_id);
        return open(path, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0666);
}

static bool append(int fd, const char *line, int size)
{
        return write(fd, line, (size_t)size) == size;
}

bool bank_log_intent(int fd, const struct bank_op *op)
{
        char line[256];
        int n = snprintf(line, sizeof line, "I %" PRIu64 " %" PRId64 " %d %d %" PRId64 " %d %u\n", op->id,
                         op->group, op->from, op->to, op->amount, (int)op->kind, op->timeout_ms);

        return append(fd, line, n);
}

bool bank_log_answer(int fd, const struct bank_answer *a)
{
        char line[512];
        int n = snprintf(line, sizeof line, "A %" PRIu64 " %d %d %" PRId64 " %u %u %u %s %s ", a->op.id,
                         (int)a->status, (int)a->error_class, a->elapsed_us, a->n_calls, a->n_committed,
                         a->n_attempt, a->token[0] ? a->token : "-", a->parts[0] ? a->parts : "-");
        int end = n + snprintf(line + n, sizeof line - (size_t)n, "%.150s", a->message);

        for (int i = n; i < end; i++) {
                if (line[i] == '\n')
                        line[i] = ' ';
        }
        line[end++] = '\n';
        return append(fd, line, end);
}

/* ---- reading ------------------------------------------------------------------------------------- */

struct list {
        struct bank_answer *answers;
        size_t n, room;
};

static bool add_intent(struct list *list, const char *line)
{
        struct bank_answer *a;
        int kind;

        if (list->n == list->room) {
                list->room = list->room ? 2 * list->room : 4096;
                list->answers = realloc(list->answers, list->room * sizeof *list->answers);
                if (!list->answers)
                        abort();
        }
        a = &list->answers[list->n];
        memset(a, 0, sizeof *a);
        if (sscanf(line, "I %" SCNu64 " %" SCNd64 " %d %d %" SCNd64 " %d %u", &a->op.id, &a->op.group,
                   &a->op.from, &a->op.to, &a->op.amount, &kind, &a->op.timeout_ms) != 7)
                return false;
        a->op.kind = (enum bank_kind)kind;
        list->n++;
        return true;
}

static bool add_answer(struct list *list, const char *line)
{
        struct bank_answer *a = list->n ? &list->answers[list->n - 1] : NULL;
        int status, error_class, n = 0;
        uint64_t id;

        if (!a || a->answered)
                return false;
        if (sscanf(line, "A %" SCNu64 " %d %d %" SCNd64 " %u %u %u %32s %8s %n", &id, &status, &error_class,
                   &a->elapsed_us, &a->n_calls, &a->n_committed, &a->n_attempt, a->token, a->parts,
                   &n) != 9 ||
            id != a->op.id)
                return false;
        a->status = (dal_status)status;
        a->error_class = (dal_error_class)error_class;
        if (a->token[0] == '-')
                a->token[0] = '\0';
        if (a->parts[0] == '-')
                a->parts[0] = '\0';
        snprintf(a->message, sizeof a->message, "%.*s", (int)strcspn(line + n, "\n"), line + n);
        a->answered = true;
        return true;
}

static bool read_file(struct list *list, const char *path)
{
        FILE *f = fopen(path, "r");
        char line[512];
        bool good = f != NULL;

        while (good && fgets(line, sizeof line, f)) {
                /* A worker that was killed may leave half a line: the last one, and only by a full disk. */
                good = line[0] == 'I' ? add_intent(list, line) : line[0] == 'A' && add_answer(list, line);
                if (!good)
                        fprintf(stderr, "%s: can't read the line: %s", path, line);
        }
        if (f)
                fclose(f);
        return good;
}

static int by_id(const void *a, const void *b)
{
        uint64_t x = ((const struct bank_answer *)a)->op.id, y = ((const struct bank_answer *)b)->op.id;

        return x < y ? -1 : x > y;
}

bool bank_log_read(const char *dir, struct bank_answer **out, size_t *n_out)
{
        struct list list = {NULL, 0, 0};
        char path[BANK_PATH + 300];
        DIR *d = opendir(dir);
        struct dirent *entry;
        bool good = d != NULL;

        while (good && (entry = readdir(d))) {
                if (strncmp(entry->d_name, "log.", 4) != 0)
                        continue;
                snprintf(path, sizeof path, "%s/%s", dir, entry->d_name);
                good = read_file(&list, path);
        }
        if (d)
                closedir(d);
        if (list.n)
                qsort(list.answers, list.n, sizeof *list.answers, by_id);
        *out = list.answers;
        *n_out = list.n;
        return good;
}
