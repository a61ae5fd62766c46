/* SPDX-License-Identifier: MIT */
#include "proxy.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
        MAX_PAIRS = 256,
        BUFFER = 32 * 1024,
        /* Nobody may happen to come to the moment that a fault waits for, so it doesn't wait for long. */
        PATIENCE_MS = 40,
        MAX_DELAY_MS = 60,
        DROP_MS = 1,
        MAX_ZOMBIE_MS = 600
};

enum {
        LIBRARY,
        SERVER
};

/* Bytes on their way to one side. */
struct way {
        unsigned char bytes[BUFFER];
        size_t at, n;
        int64_t not_before; /* ms */
        bool drops, is_open;
};

struct pair {
        int fd[2]; /* by LIBRARY and SERVER; -1 = closed */
        bool used, connecting;
        bool deaf;       /* nothing passes any more, and nobody is told */
        int64_t ends_at; /* ms: the server's side of a dead pair is closed then; 0 = not set */
        struct way to[2];
        struct wire wire;
};

struct proxy {
        pthread_t thread;
        pthread_mutex_t lock; /* guards what follows, down to `seed` */
        size_t n_wanted, n_strikes, n_room;
        struct proxy_strike *strikes;
        uint32_t gap_ms;
        uint16_t server_port; /* where new connections shall lead */
        bool quit, cut_all;
        uint64_t random;
        /* the thread's own */
        enum proxy_fault armed;
        int64_t armed_at, next_at;
        int listener, wake[2];
        uint16_t port;
        struct sockaddr_in server;
        enum wire_protocol protocol;
        struct pair *pairs;
};

static int64_t now_ms(void)
{
        struct timespec ts;

        clock_gettime(CLOCK_MONOTONIC, &ts);
        return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static uint32_t pick(struct proxy *p, uint32_t n)
{
        return proxy_random(&p->random, n);
}

/* ---- the schedule -------------------------------------------------------------------------------- */

static void choose_next(struct proxy *p)
{
        int64_t now = now_ms();

        pthread_mutex_lock(&p->lock);
        if (p->armed != PROXY_NONE && now - p->armed_at < PATIENCE_MS && p->n_wanted > 0) {
                pthread_mutex_unlock(&p->lock);
                return;
        }
        p->armed = PROXY_NONE;
        if (p->n_wanted > 0 && now >= p->next_at) {
                p->armed = proxy_fault_choose(&p->random);
                p->armed_at = now;
        }
        pthread_mutex_unlock(&p->lock);
}

/* Says whether the fault that is due strikes here, and if so writes it down. */
static enum proxy_fault strike(struct proxy *p, enum proxy_moment moment, const struct wire *w)
{
        enum proxy_fault fault = p->armed;

        if (fault == PROXY_NONE || proxy_fault_moment(fault) != moment)
                return PROXY_NONE;
        pthread_mutex_lock(&p->lock);
        p->armed = PROXY_NONE;
        if (p->n_wanted == 0) {
                pthread_mutex_unlock(&p->lock);
                return PROXY_NONE;
        }
        if (p->n_strikes == p->n_room) {
                p->n_room = p->n_room ? 2 * p->n_room : 1024;
                p->strikes = realloc(p->strikes, p->n_room * sizeof *p->strikes);
                if (!p->strikes)
                        abort();
        }
        p->strikes[p->n_strikes++] = (struct proxy_strike){fault, w ? w->op : 0, w ? w->attempt : 0};
        p->n_wanted--;
        p->next_at = now_ms() + (p->gap_ms ? (int64_t)pick(p, p->gap_ms + 1) : 0);
        pthread_mutex_unlock(&p->lock);
        return fault;
}

/* ---- connections --------------------------------------------------------------------------------- */

static void close_side(struct pair *pair, int side, bool reset)
{
        struct linger at_once = {1, 0};

        if (pair->fd[side] < 0)
                return;
        if (reset)
                setsockopt(pair->fd[side], SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
        close(pair->fd[side]);
        pair->fd[side] = -1;
}

/* Both sides are told, by the end of the stream or by a reset. */
static void end_pair(struct pair *pair, bool reset)
{
        close_side(pair, LIBRARY, reset);
        close_side(pair, SERVER, reset);
        pair->used = false;
}

static struct pair *free_pair(struct proxy *p)
{
        for (int i = 0; i < MAX_PAIRS; i++) {
                if (!p->pairs[i].used)
                        return &p->pairs[i];
        }
        return NULL;
}

static void accept_one(struct proxy *p)
{
        int one = 1, fd = accept(p->listener, NULL, NULL);
        struct pair *pair = free_pair(p);
        enum proxy_fault fault;

        if (fd < 0)
                return;
        if (!pair) {
                close(fd);
                return;
        }
        memset(pair, 0, sizeof *pair);
        pair->used = true;
        pair->wire.protocol = p->protocol;
        pair->fd[LIBRARY] = fd;
        pair->fd[SERVER] = -1;
        fault = strike(p, AT_ACCEPT, NULL);
        if (fault == PROXY_REFUSE) {
                end_pair(pair, true);
                return;
        }
        if (fault == PROXY_HANG) {
                pair->deaf = true;
                return;
        }
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        pair->fd[SERVER] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (pair->fd[SERVER] < 0) {
                end_pair(pair, true);
                return;
        }
        setsockopt(pair->fd[SERVER], IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        pair->connecting = true;
        if (connect(pair->fd[SERVER], (struct sockaddr *)&p->server, sizeof p->server) != 0 &&
            errno != EINPROGRESS)
                end_pair(pair, true);
}

static bool connected(struct pair *pair)
{
        int error = 0;
        socklen_t size = sizeof error;

        pair->connecting = false;
        return getsockopt(pair->fd[SERVER], SOL_SOCKET, SO_ERROR, &error, &size) == 0 && error == 0;
}

/* ---- faults -------------------------------------------------------------------------------------- */

/*
 * Passes the first `size` bytes on and ends both connections; what the other side has said already is
 * lost.
 */
static void cut(struct proxy *p, struct pair *pair, int to, size_t size)
{
        struct way *way = &pair->to[to];

        if (size > 0 && pair->fd[to] >= 0 && send(pair->fd[to], way->bytes, size, MSG_NOSIGNAL) < 0)
                size = 0;
        end_pair(pair, pick(p, 2) == 0 && size == 0);
}

/* Nothing passes any more. The server may stay, with what it holds; or may have gone. */
static void fall_silent(struct proxy *p, struct pair *pair, bool server_stays)
{
        pair->deaf = true;
        pair->to[LIBRARY].n = pair->to[SERVER].n = 0;
        if (server_stays)
                pair->ends_at = now_ms() + pick(p, MAX_ZOMBIE_MS);
        else
                close_side(pair, SERVER, false);
}

/* What the library says; false when the pair has ended. */
static bool meet_request(struct proxy *p, struct pair *pair)
{
        struct way *way = &pair->to[SERVER];
        struct wire_piece piece = wire_up(&pair->wire, way->bytes, way->n);
        enum proxy_fault fault = PROXY_NONE;

        if (piece.commit && pair->wire.op)
                fault = strike(p, AT_COMMIT, &pair->wire);
        if (fault == PROXY_NONE && piece.work && wire_in_flight(&pair->wire))
                fault = strike(p, AT_REQUEST, &pair->wire);
        switch (fault) {
        case PROXY_CUT_REQUEST:
        case PROXY_COMMIT_CUT:
                cut(p, pair, SERVER, pick(p, (uint32_t)way->n));
                return false;
        case PROXY_COMMIT_BEFORE:
                cut(p, pair, SERVER, pick(p, 2) ? piece.commit_at : 0);
                return false;
        case PROXY_COMMIT_VANISHED:
        case PROXY_STALL:
                fall_silent(p, pair, pick(p, 2) == 0);
                return true;
        default:
                if (piece.commit)
                        pair->wire.commit_sent = true;
                return true;
        }
}

/* What the server says; false when the pair has ended. */
static bool meet_reply(struct proxy *p, struct pair *pair)
{
        struct way *way = &pair->to[LIBRARY];
        const struct wire *w = &pair->wire;
        enum proxy_moment moment = !w->logged_in             ? AT_LOGIN
                                   : w->commit_sent && w->op ? AT_COMMIT_REPLY
                                   : wire_in_flight(w)       ? AT_REPLY
                                                             : AT_ACCEPT;
        enum proxy_fault fault = moment == AT_ACCEPT ? PROXY_NONE : strike(p, moment, w);

        wire_down(&pair->wire, way->bytes, way->n);
        switch (fault) {
        case PROXY_CUT_LOGIN:
        case PROXY_CUT_REPLY:
        case PROXY_COMMIT_REPLY_CUT:
                cut(p, pair, LIBRARY, pick(p, (uint32_t)way->n));
                return false;
        case PROXY_COMMIT_AFTER:
                cut(p, pair, LIBRARY, 0);
                return false;
        case PROXY_HALF_OPEN:
                fall_silent(p, pair, false);
                return true;
        case PROXY_COMMIT_REPLY_VANISHED:
                fall_silent(p, pair, pick(p, 2) == 0);
                return true;
        case PROXY_DELAY:
                way->not_before = now_ms() + 1 + pick(p, MAX_DELAY_MS);
                return true;
        case PROXY_TRICKLE:
                way->drops = true;
                return true;
        default:
                return true;
        }
}

/* ---- forwarding ---------------------------------------------------------------------------------- */

/* Takes what one side says; false when the pair has ended. */
static bool take(struct proxy *p, struct pair *pair, int from)
{
        struct way *way = &pair->to[!from];
        ssize_t n = recv(pair->fd[from], way->bytes, BUFFER, MSG_DONTWAIT);

        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return true;
        if (n <= 0) {
                if (pair->deaf && from == LIBRARY && pair->ends_at) {
                        /* The library gave up. The server learns of it later: its session lives on. */
                        close_side(pair, LIBRARY, false);
                        return true;
                }
                end_pair(pair, n < 0);
                return false;
        }
        if (pair->deaf)
                return true;
        way->at = 0;
        way->n = (size_t)n;
        return from == LIBRARY ? meet_request(p, pair) : meet_reply(p, pair);
}

static bool give(struct pair *pair, int to)
{
        struct way *way = &pair->to[to];
        size_t size = way->n - way->at;
        ssize_t n;

        if (way->drops && size > 5)
                size = 5;
        n = send(pair->fd[to], way->bytes + way->at, size, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0)
                return errno == EAGAIN || errno == EINTR;
        way->at += (size_t)n;
        if (way->drops)
                way->not_before = now_ms() + DROP_MS;
        if (way->at == way->n) {
                way->at = way->n = 0;
                way->drops = false;
        }
        return true;
}

/* What to wait for on one side of a pair; 0 = nothing. */
static short wanted(const struct pair *pair, int side, int64_t now, int64_t *wake_at)
{
        const struct way *out = &pair->to[side];
        short what = 0;

        if (!pair->used || pair->fd[side] < 0)
                return 0;
        if (pair->connecting)
                return side == SERVER ? POLLOUT : 0;
        if (pair->deaf)
                return side == LIBRARY || !pair->ends_at ? POLLIN : 0;
        if (out->n && out->not_before <= now)
                what |= POLLOUT;
        else if (out->n && out->not_before < *wake_at)
                *wake_at = out->not_before;
        if (!pair->to[!side].n)
                what |= POLLIN;
        return what;
}

static void serve_pair(struct proxy *p, struct pair *pair, const struct pollfd *fds)
{
        for (int side = 0; side < 2; side++) {
                short what = fds[side].revents;

                if (!pair->used || fds[side].fd < 0 || pair->fd[side] != fds[side].fd || !what)
                        continue; /* not asked for, or ended and begun anew meanwhile */
                if (pair->connecting) {
                        if (!connected(pair))
                                end_pair(pair, true);
                } else if ((what & POLLOUT) && !give(pair, side)) {
                        end_pair(pair, true);
                } else if ((what & (POLLIN | POLLHUP | POLLERR)) && pair->to[!side].n == 0) {
                        take(p, pair, side);
                }
        }
}

static void end_zombies(struct proxy *p, int64_t now)
{
        for (int i = 0; i < MAX_PAIRS; i++) {
                struct pair *pair = &p->pairs[i];

                if (!pair->used || !pair->ends_at || now < pair->ends_at)
                        continue;
                close_side(pair, SERVER, false);
                pair->ends_at = 0;
                if (pair->fd[LIBRARY] < 0)
                        pair->used = false;
        }
}

/* Does as it was told from outside; true when it is to end. */
static bool is_quitting(struct proxy *p)
{
        bool quit, cut_all;

        pthread_mutex_lock(&p->lock);
        quit = p->quit;
        cut_all = p->cut_all;
        p->cut_all = false;
        p->server.sin_port = htons(p->server_port);
        pthread_mutex_unlock(&p->lock);
        for (int i = 0; cut_all && i < MAX_PAIRS; i++) {
                if (p->pairs[i].used)
                        end_pair(&p->pairs[i], true);
        }
        return quit;
}

static void *forward(void *arg)
{
        struct proxy *p = arg;
        struct pollfd fds[2 + 2 * MAX_PAIRS];
        char dust[64];

        while (!is_quitting(p)) {
                int64_t now = now_ms(), wake_at = now + 5;

                choose_next(p);
                end_zombies(p, now);
                fds[0] = (struct pollfd){p->wake[0], POLLIN, 0};
                fds[1] = (struct pollfd){p->listener, POLLIN, 0};
                for (int i = 0; i < 2 * MAX_PAIRS; i++) {
                        const struct pair *pair = &p->pairs[i / 2];
                        short what = wanted(pair, i % 2, now, &wake_at);

                        fds[2 + i] = (struct pollfd){what ? pair->fd[i % 2] : -1, what, 0};
                }
                poll(fds, 2 + 2 * MAX_PAIRS, (int)(wake_at - now));
                if ((fds[0].revents & POLLIN) && read(p->wake[0], dust, sizeof dust) < 0)
                        break;
                for (int i = 0; i < MAX_PAIRS; i++)
                        serve_pair(p, &p->pairs[i], &fds[2 + 2 * i]);
                if (fds[1].revents & POLLIN)
                        accept_one(p);
        }
        return NULL;
}

/* ---- from outside -------------------------------------------------------------------------------- */

static bool listen_somewhere(struct proxy *p)
{
        struct sockaddr_in own = {.sin_family = AF_INET};
        socklen_t size = sizeof own;

        own.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        p->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (p->listener < 0 || bind(p->listener, (struct sockaddr *)&own, size) != 0 ||
            listen(p->listener, 128) != 0 || getsockname(p->listener, (struct sockaddr *)&own, &size) != 0)
                return false;
        p->port = ntohs(own.sin_port);
        return true;
}

static bool start(struct proxy *p)
{
        sigset_t all, before;
        int error;

        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before);
        error = pthread_create(&p->thread, NULL, forward, p);
        pthread_sigmask(SIG_SETMASK, &before, NULL);
        return error == 0;
}

struct proxy *proxy_new(uint16_t server_port, enum wire_protocol protocol, uint64_t seed)
{
        struct proxy *p = calloc(1, sizeof *p);

        if (!p)
                return NULL;
        p->pairs = calloc(MAX_PAIRS, sizeof *p->pairs);
        p->random = seed * 2 + 1;
        p->armed = PROXY_NONE;
        p->protocol = protocol;
        p->server.sin_family = AF_INET;
        p->server_port = server_port;
        p->server.sin_port = htons(server_port);
        p->server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        pthread_mutex_init(&p->lock, NULL);
        if (!p->pairs || !listen_somewhere(p) || pipe(p->wake) != 0 || !start(p)) {
                free(p->pairs);
                free(p);
                return NULL;
        }
        fcntl(p->wake[0], F_SETFD, FD_CLOEXEC);
        fcntl(p->wake[1], F_SETFD, FD_CLOEXEC);
        return p;
}

void proxy_free(struct proxy *p)
{
        if (!p)
                return;
        pthread_mutex_lock(&p->lock);
        p->quit = true;
        pthread_mutex_unlock(&p->lock);
        if (write(p->wake[1], "!", 1) != 1)
                abort();
        pthread_join(p->thread, NULL);
        for (int i = 0; i < MAX_PAIRS; i++)
                if (p->pairs[i].used)
                        end_pair(&p->pairs[i], false);
        close(p->listener);
        close(p->wake[0]);
        close(p->wake[1]);
        pthread_mutex_destroy(&p->lock);
        free(p->pairs);
        free(p->strikes);
        free(p);
}

uint16_t proxy_port(const struct proxy *p)
{
        return p->port;
}

void proxy_arm(struct proxy *p, size_t n_faults, uint32_t gap_ms)
{
        pthread_mutex_lock(&p->lock);
        p->n_wanted = n_faults;
        p->gap_ms = gap_ms;
        pthread_mutex_unlock(&p->lock);
}

void proxy_cut_all(struct proxy *p)
{
        pthread_mutex_lock(&p->lock);
        p->cut_all = true;
        pthread_mutex_unlock(&p->lock);
}

void proxy_lead_to(struct proxy *p, uint16_t server_port)
{
        pthread_mutex_lock(&p->lock);
        p->server_port = server_port;
        pthread_mutex_unlock(&p->lock);
}

size_t proxy_n_strikes(struct proxy *p)
{
        size_t n;

        pthread_mutex_lock(&p->lock);
        n = p->n_strikes;
        pthread_mutex_unlock(&p->lock);
        return n;
}

const struct proxy_strike *proxy_strikes(struct proxy *p)
{
        return p->strikes;
}
