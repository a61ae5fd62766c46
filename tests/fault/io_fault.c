/* SPDX-License-Identifier: MIT */
/*
 * fault_io ENGINE [FILTER]: every call to the system that the client libraries make for a transaction fails once, one
 * after the other, in every way that it can. What must hold each time: the answer is the truth, nothing hangs, nothing
 * is left behind, and what comes next works. The functions are defined here, so the client libraries call these.
 */
#undef _FORTIFY_SOURCE      /* its headers make inlines of what is defined here */
#define _LARGEFILE64_SOURCE /* pread64() and pwrite64(), which SQLite calls */

#include <dlfcn.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

#include "fault.h"

/* ---- calls that fail ---- */

enum call {
        CALL_SEND,
        CALL_RECV,
        CALL_POLL,
        CALL_SOCKET,
        CALL_CONNECT,
        CALL_PREAD,
        CALL_PWRITE,
        CALL_SYNC
};

enum way {
        WAY_ERRNO,
        WAY_DEAD,  /* an error, and from then on the connection is really gone */
        WAY_SHORT, /* one byte and no more */
        WAY_END    /* as if the peer had closed */
};

static const struct evil {
        const char *name;
        enum call call;
        enum way way;
        int code;
        bool lasts; /* from then on each call fails so, until the round ends */
} evils[] = {
        {"send: ECONNRESET", CALL_SEND, WAY_DEAD, ECONNRESET, false},
        {"send: EPIPE", CALL_SEND, WAY_DEAD, EPIPE, false},
        {"send: EINTR", CALL_SEND, WAY_ERRNO, EINTR, false},
        {"send: EAGAIN", CALL_SEND, WAY_ERRNO, EAGAIN, false},
        {"send: ENOBUFS", CALL_SEND, WAY_ERRNO, ENOBUFS, false},
        {"send: one byte", CALL_SEND, WAY_SHORT, 0, true},
        {"recv: ECONNRESET", CALL_RECV, WAY_DEAD, ECONNRESET, false},
        {"recv: ETIMEDOUT", CALL_RECV, WAY_DEAD, ETIMEDOUT, false},
        {"recv: EINTR", CALL_RECV, WAY_ERRNO, EINTR, false},
        {"recv: EAGAIN", CALL_RECV, WAY_ERRNO, EAGAIN, false},
        {"recv: one byte", CALL_RECV, WAY_SHORT, 0, true},
        {"recv: end", CALL_RECV, WAY_END, 0, false},
        {"poll: EINTR", CALL_POLL, WAY_ERRNO, EINTR, false},
        {"poll: ENOMEM", CALL_POLL, WAY_ERRNO, ENOMEM, false},
        {"socket: EMFILE", CALL_SOCKET, WAY_ERRNO, EMFILE, false},
        {"connect: ECONNREFUSED", CALL_CONNECT, WAY_ERRNO, ECONNREFUSED, false},
        {"connect: ENETUNREACH", CALL_CONNECT, WAY_ERRNO, ENETUNREACH, false},
        {"pread: EIO", CALL_PREAD, WAY_ERRNO, EIO, false},
        {"pread: EINTR", CALL_PREAD, WAY_ERRNO, EINTR, false},
        {"pwrite: ENOSPC", CALL_PWRITE, WAY_ERRNO, ENOSPC, false},
        {"pwrite: EIO", CALL_PWRITE, WAY_ERRNO, EIO, false},
        {"pwrite: EINTR", CALL_PWRITE, WAY_ERRNO, EINTR, false},
        {"pwrite: one byte", CALL_PWRITE, WAY_SHORT, 0, true},
        {"fsync: EIO", CALL_SYNC, WAY_ERRNO, EIO, false},
        {"fsync: ENOSPC", CALL_SYNC, WAY_ERRNO, ENOSPC, false},
};

static const struct evil *_Atomic current; /* NULL = all is well */
static atomic_long n_calls, strikes_at;

/* Says whether this call is the one; errno is set then. */
static bool is_struck(enum call call, enum way *way_out)
{
        const struct evil *evil = atomic_load(&current);
        long n, at = atomic_load(&strikes_at);

        if (!evil || evil->call != call)
                return false;
        n = atomic_fetch_add(&n_calls, 1) + 1;
        if (evil->lasts ? n < at : n != at)
                return false;
        *way_out = evil->way;
        errno = evil->code;
        return true;
}

/* Source: dlfcn.h of glibc, which shows it only together with declarations that these functions can't have. */
#ifndef RTLD_NEXT
#define RTLD_NEXT ((void *)-1l)
#endif
/* ISO C has no cast from an object's address to a function's, but POSIX has dlsym(). */
#define NEXT(name)                                                                                           \
        __typeof__(&name) next;                                                                              \
        *(void **)&next = dlsym(RTLD_NEXT, #name)

static void hang_up(int fd)
{
        int code = errno;

        (void)shutdown(fd, SHUT_RDWR);
        errno = code;
}

/* What a struck call transfers: the whole, one byte, or an answer without a call. */
#define STRIKE(call_of, size)                                                                                \
        do {                                                                                                 \
                enum way way_;                                                                               \
                if (!is_struck(call_of, &way_))                                                              \
                        break;                                                                               \
                if (way_ == WAY_DEAD)                                                                        \
                        hang_up(fd);                                                                         \
                if (way_ == WAY_ERRNO || way_ == WAY_DEAD)                                                   \
                        return -1;                                                                           \
                if (way_ == WAY_END)                                                                         \
                        return 0;                                                                            \
                if ((size) > 1)                                                                              \
                        (size) = 1;                                                                          \
        } while (0)

ssize_t send(int fd, const void *data, size_t size, int flags)
{
        NEXT(send);
        STRIKE(CALL_SEND, size);
        return next(fd, data, size, flags);
}

ssize_t recv(int fd, void *data, size_t size, int flags)
{
        NEXT(recv);
        /* A look at what is there, which takes nothing away, is not what is meant. */
        if (!(flags & MSG_PEEK))
                STRIKE(CALL_RECV, size);
        return next(fd, data, size, flags);
}

int poll(struct pollfd *fds, nfds_t n, int timeout)
{
        NEXT(poll);
        enum way way;

        return is_struck(CALL_POLL, &way) ? -1 : next(fds, n, timeout);
}

/* Programs built with _FORTIFY_SOURCE call this one. Source: glibc, include/bits/poll2.h */
int __poll_chk(struct pollfd *fds, nfds_t n, int timeout, size_t size);
int __poll_chk(struct pollfd *fds, nfds_t n, int timeout, size_t size)
{
        (void)size;
        return poll(fds, n, timeout);
}

int socket(int domain, int type, int protocol)
{
        NEXT(socket);
        enum way way;

        return is_struck(CALL_SOCKET, &way) ? -1 : next(domain, type, protocol);
}

int connect(int fd, const struct sockaddr *address, socklen_t size)
{
        NEXT(connect);
        enum way way;

        return is_struck(CALL_CONNECT, &way) ? -1 : next(fd, address, size);
}

ssize_t pread64(int fd, void *data, size_t size, off64_t at)
{
        NEXT(pread64);
        STRIKE(CALL_PREAD, size);
        return next(fd, data, size, at);
}

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t at)
{
        NEXT(pwrite64);
        STRIKE(CALL_PWRITE, size);
        return next(fd, data, size, at);
}

int fsync(int fd)
{
        NEXT(fsync);
        enum way way;

        return is_struck(CALL_SYNC, &way) ? -1 : next(fd);
}

int fdatasync(int fd)
{
        NEXT(fdatasync);
        enum way way;

        return is_struck(CALL_SYNC, &way) ? -1 : next(fd);
}

/* ---- the work ---- */

#define TIMEOUT_MS  1000
#define MAX_OVER_MS 1000 /* the promise is 50; the machine may be busy */

/* What one run adds: each has accounts of its own, since one that is in doubt may come through later. */
struct pair {
        int64_t first;
        dal_status status;
};

/* Some rows to read, which nobody changes. */
#define N_ROWS    200
#define FIRST_ROW 1000001
static const dal_stmt all_rows =
        DAL_STMT("all_rows", "SELECT id FROM conf_account WHERE id >= ?", .flags = DAL_STMT_STREAM);
static const dal_stmt count_pair =
        DAL_STMT("count_pair", "SELECT COUNT(*) FROM conf_account WHERE id IN (?, ?)");

static dal_status two_accounts(dal_tx *tx, void *arg, dal_error *err)
{
        const struct pair *pair = arg;
        dal_rows *rows = NULL;
        bool found = true;
        int64_t n = 0, sum = 0, value;
        dal_status s = dal_tx_query(tx, &all_rows, DAL_PARAMS(dal_int64(FIRST_ROW)), &rows, err);

        while (s == DAL_OK && (s = dal_rows_next(rows, &found, err)) == DAL_OK && found) {
                s = dal_rows_int64(rows, 0, &value, err);
                sum += value - FIRST_ROW;
                n++;
        }
        dal_rows_close(rows);
        if (s == DAL_OK && (n != N_ROWS || sum != N_ROWS * (N_ROWS - 1) / 2))
                return dal_error_set(err, DAL_CLASS_INTERNAL, "%d rows, sum %d, and no error", (int)n,
                                     (int)sum);
        if (s == DAL_OK)
                s = dal_tx_exec(tx, &conf_add_account, DAL_PARAMS(dal_int64(pair->first), dal_int64(1)), NULL,
                                err);
        if (s == DAL_OK)
                s = dal_tx_queue(tx, &conf_add_account, DAL_PARAMS(dal_int64(pair->first + 1), dal_int64(1)),
                                 err);
        return s;
}

/* Without a second try, which would hide much. */
static dal_status once(dal_cluster *cluster, struct pair *pair, uint32_t timeout_ms, dal_error *err)
{
        dal_tx_options options = DAL_TX_OPTIONS_INIT;

        options.max_attempts = 1;
        options.timeout_ms = timeout_ms;
        return pair->status = dal_cluster_run(cluster, dal_key_int64(1), &options, two_accounts, pair, err);
}

static void check_pair(struct conf *c, const struct pair *pair, const char *what, long n, const char *message)
{
        int64_t count = conf_number(c, c->conn, &count_pair,
                                    DAL_PARAMS(dal_int64(pair->first), dal_int64(pair->first + 1)));

        if (pair->status == DAL_OK             ? count != 2
            : pair->status == DAL_ERR_IN_DOUBT ? count != 0 && count != 2
                                               : count != 0)
                fail_msg("%s, call %ld: %s (%s), and %d of 2 accounts are there", what, n,
                         dal_error_status_name(pair->status), message, (int)count);
}

#define MAX_PAIRS 4000
static struct pair pairs[MAX_PAIRS];
static size_t n_pairs;

static struct pair *new_pair(void)
{
        assert_true(n_pairs < MAX_PAIRS);
        pairs[n_pairs] = (struct pair){.first = (int64_t)n_pairs * 2 + 1, .status = DAL_ERR_CONN};
        return &pairs[n_pairs++];
}

/* One round with the n-th call failing; false when there were fewer calls. */
static bool one_round(struct conf *c, const struct evil *evil, long n)
{
        dal_cluster_options options = DAL_CLUSTER_OPTIONS_INIT;
        const dal_driver *drivers[1] = {c->driver};
        struct pair *pair = new_pair();
        dal_cluster *cluster = NULL;
        dal_error err = DAL_ERROR_INIT, later = DAL_ERROR_INIT;
        int64_t begun = dal_clock_now(), over_ms;
        dal_status s;
        long n_seen;

        options.timeout_ms = TIMEOUT_MS;
        atomic_store(&n_calls, 0);
        atomic_store(&strikes_at, n);
        atomic_store(&current, evil);
        s = dal_cluster_open(c->url, drivers, 1, &options, &cluster, &err);
        if (s == DAL_OK)
                s = once(cluster, pair, TIMEOUT_MS, &err);
        atomic_store(&current, NULL);
        n_seen = atomic_load(&n_calls);
        over_ms = (dal_clock_now() - begun) / 1000000 - 2 * TIMEOUT_MS; /* opening has as long again */
        if (over_ms > MAX_OVER_MS)
                fail_msg("%s, call %ld: it took %d ms too long", evil->name, n, (int)over_ms);
        if (s != DAL_OK && (s != err.status || !err.message[0] || s == DAL_ERR_INTERNAL))
                fail_msg("%s, call %ld: %s: '%s'", evil->name, n, dal_error_status_name(s), err.message);
        check_pair(c, pair, evil->name, n, err.message);
        /* The same cluster works on. */
        if (cluster && once(cluster, new_pair(), 20000, &later))
                fail_msg("%s, call %ld: afterwards %s", evil->name, n, later.message);
        if (cluster && dal_cluster_close(cluster, 5000, &later))
                fail_msg("%s, call %ld: %s", evil->name, n, later.message);
        return n_seen >= n;
}

static void sweep(struct conf *c, bool (*is_mine)(enum call))
{
        long n_struck = 0;

        OK(dal_conn_begin(c->conn, DAL_ISOLATION_DEFAULT, false, SOON, &c->err));
        for (int64_t id = FIRST_ROW; id < FIRST_ROW + N_ROWS; id++)
                OK(dal_conn_exec(c->conn, &conf_add_account, DAL_PARAMS(dal_int64(id), dal_int64(1)), SOON,
                                 NULL, &c->err));
        OK(dal_conn_commit(c->conn, SOON, &c->err));
        n_pairs = 0;
        for (size_t i = 0; i < sizeof evils / sizeof evils[0]; i++) {
                long n = 0;

                if (!is_mine(evils[i].call))
                        continue;
                while (one_round(c, &evils[i], ++n))
                        if (n > 500)
                                fail_msg("%s: no end", evils[i].name);
                print_message("%-22s %ld calls\n", evils[i].name, n - 1);
                n_struck += n - 1;
        }
        assert_true(n_struck > 20);
        /* What was said holds for good. */
        for (size_t i = 0; i < n_pairs; i++)
                check_pair(c, &pairs[i], "at the end", (long)i, "");
}

static bool is_network(enum call call)
{
        return call <= CALL_CONNECT;
}

static bool is_file(enum call call)
{
        return call > CALL_CONNECT;
}

static void io__no_call_that_fails_gives_a_wrong_answer(struct conf *c)
{
        sweep(c, conf_has_cap(c, DAL_CAP_EMBEDDED) ? is_file : is_network);
}

int main(int argc, char **argv)
{
        static const struct conf_case cases[] = {
                CONF_CASE(io__no_call_that_fails_gives_a_wrong_answer),
                {NULL, NULL},
        };
        static const struct conf_case *const topics[] = {cases, NULL};

        return conf_main(argc, argv, "fault_io ENGINE [FILTER]", topics);
}
