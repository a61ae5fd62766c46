/* SPDX-License-Identifier: MIT */
#include "child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static volatile sig_atomic_t caught;

static void catch (int signal)
{
        caught = signal;
}

void child_catch_signals(void)
{
        struct sigaction action = {.sa_handler = catch}; /* no SA_RESTART: poll() must come back */

        sigemptyset(&action.sa_mask);
        sigaction(SIGINT, &action, NULL);
        sigaction(SIGTERM, &action, NULL);
        sigaction(SIGHUP, &action, NULL);
}

/* In the child: its standard input and output become `in` and `out`. */
static void become(const char *path, char *const argv[], int in, int out, int err)
{
        dup2(in, STDIN_FILENO);
        dup2(out, STDOUT_FILENO);
        if (err >= 0)
                dup2(err, STDERR_FILENO);
        execv(path, argv);
        fprintf(stderr, "shop: %s can't be started: %s\n", path, strerror(errno));
        _exit(127);
}

bool child_start(struct child *child, const char *dir, const char *name, int n_workers, char *error,
                 size_t size)
{
        char path[4096], workers[16], option[] = "--workers", *copy = strdup(name);
        char *argv[] = {copy, option, workers, NULL};
        int pair[2];

        *child = (struct child){.name = name, .fd = -1};
        snprintf(path, sizeof path, "%s/%s", dir, name);
        snprintf(workers, sizeof workers, "%d", n_workers);
        fflush(NULL);
        if (!copy || socketpair(AF_UNIX, SOCK_STREAM, 0, pair) != 0) {
                snprintf(error, size, "%s can't be started: %s", name, strerror(errno));
                free(copy);
                return false;
        }
        for (int i = 0; i < 2; i++) /* or the next service would keep this one's input open */
                fcntl(pair[i], F_SETFD, FD_CLOEXEC);
        child->pid = fork();
        if (child->pid == 0)
                become(path, argv, pair[1], pair[1], -1);
        close(pair[1]);
        free(copy);
        if (child->pid < 0) {
                close(pair[0]);
                child->pid = 0;
                snprintf(error, size, "%s can't be started: %s", name, strerror(errno));
                return false;
        }
        child->fd = pair[0];
        fcntl(child->fd, F_SETFL, O_NONBLOCK);
        return true;
}

static bool fail_dead(struct child *child, char *error, size_t size)
{
        int status = 0;

        if (child->pid > 0 && waitpid(child->pid, &status, 0) == child->pid)
                child->pid = 0;
        if (WIFSIGNALED(status))
                snprintf(error, size, "%s was killed by signal %d; what it had not committed is rolled back",
                         child->name, WTERMSIG(status));
        else
                snprintf(error, size,
                         "%s ended too early (exit code %d); what it had not committed is rolled back",
                         child->name, WEXITSTATUS(status));
        return false;
}

/* Takes one complete line off the reply buffer; NULL when there is none yet. The caller frees it. */
static char *take_line(struct child *child)
{
        char *end = child->reply_size ? memchr(child->reply, '\n', child->reply_size) : NULL, *line;
        size_t n = end ? (size_t)(end - child->reply) + 1 : 0;

        if (!end || !(line = strndup(child->reply, n)))
                return NULL;
        child->reply_size -= n;
        memmove(child->reply, child->reply + n, child->reply_size);
        return line;
}

enum answer {
        GO_ON,
        DONE,
        FAILED
};

static enum answer hear(struct child *child, child_reply_fn *on_reply, void *arg, struct wire_record *done,
                        char *error, size_t size)
{
        struct wire_record record = {0};
        enum answer answer = GO_ON;

        while (answer == GO_ON && (record.line = take_line(child))) {
                wire_split(record.line, &record);
                if (strcmp(record.field[0], "done") == 0) {
                        answer = DONE;
                        if (done) {
                                wire_fini(done);
                                *done = record;
                                record.line = NULL; /* now the caller's */
                        }
                } else if (wire_is(&record, "error", 2)) {
                        snprintf(error, size, "%s: %s", child->name, record.field[1]);
                        answer = FAILED;
                } else if (on_reply) {
                        on_reply(arg, &record);
                }
                wire_fini(&record);
        }
        return answer;
}

/* Reads what has arrived; false when the service is gone. */
static bool receive(struct child *child)
{
        ssize_t n;

        if (child->reply_allocated - child->reply_size < 4096) {
                char *more = realloc(child->reply, child->reply_allocated + 16384);
                if (!more)
                        return false;
                child->reply = more;
                child->reply_allocated += 16384;
        }
        n = recv(child->fd, child->reply + child->reply_size, child->reply_allocated - child->reply_size, 0);
        if (n > 0)
                child->reply_size += (size_t)n;
        return n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR));
}

bool child_talk(struct child *child, const char *records, size_t records_size, child_reply_fn *on_reply,
                void *arg, struct wire_record *done, char *error, size_t size)
{
        for (;;) {
                struct pollfd fd = {.fd = child->fd, .events = POLLIN};
                enum answer answer = hear(child, on_reply, arg, done, error, size);

                if (answer != GO_ON)
                        return answer == DONE;
                if (caught) {
                        snprintf(error, size, "stopped by signal %d", (int)caught);
                        return false;
                }
                if (records_size > 0)
                        fd.events |= POLLOUT;
                if (poll(&fd, 1, 250) <= 0) /* and look for signals now and then */
                        continue;
                if ((fd.revents & (POLLIN | POLLHUP | POLLERR)) && !receive(child))
                        return fail_dead(child, error, size);
                if (fd.revents & POLLOUT) {
                        ssize_t n = send(child->fd, records, records_size, MSG_NOSIGNAL);
                        if (n > 0) {
                                records += n;
                                records_size -= (size_t)n;
                        } else if (n < 0 && errno == EPIPE) {
                                records_size = 0; /* its last words may still be on the way */
                        }
                }
        }
}

bool child_stop(struct child *child)
{
        int status = 0;

        if (child->fd > 0)
                close(child->fd);
        child->fd = -1;
        while (child->pid > 0 && waitpid(child->pid, &status, 0) < 0 && errno == EINTR)
                ;
        child->pid = 0;
        free(child->reply);
        child->reply = NULL;
        return status == 0;
}

bool child_run_tool(char *const argv[], char *error, size_t size)
{
        int fds[2], status = 0;
        size_t used = 0;
        ssize_t n;
        pid_t pid;

        fflush(NULL);
        if (pipe(fds) != 0 || (pid = fork()) < 0) {
                snprintf(error, size, "%s can't be started: %s", argv[0], strerror(errno));
                return false;
        }
        if (pid == 0) {
                close(fds[0]);
                become(argv[0], argv, STDIN_FILENO, fds[1], fds[1]);
        }
        close(fds[1]);
        do {
                char rest[512]; /* keep the pipe empty when the message is full */
                bool full = used + 1 >= size;
                n = read(fds[0], full ? rest : error + used, full ? sizeof rest : size - 1 - used);
                if (n > 0 && !full)
                        used += (size_t)n;
        } while (n > 0 || (n < 0 && errno == EINTR));
        close(fds[0]);
        while (used > 0 && error[used - 1] == '\n')
                used--;
        error[used] = '\0';
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
                ;
        return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}
