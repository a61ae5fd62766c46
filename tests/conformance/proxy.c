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
#include <sys/socket.h>
#include <unistd.h>

#include "conf.h"

enum {
        MAX_PAIRS = 24,
        BUFFER = 64 * 1024,
        HEARD = 256 * 1024
};

enum {
        LIBRARY,
        SERVER
};

/* Bytes on their way to one side. */
struct way {
        unsigned char bytes[BUFFER];
        size_t at, n;
};

struct pair {
        int fd[2]; /* by LIBRARY and SERVER; -1 = free */
        struct way to[2];
        bool held;   /* nothing passes, and what one side does the other never hears of */
        bool doomed; /* ends behind what the server first says */
};

struct conf_proxy {
        pthread_t thread;
        pthread_mutex_t
                lock; /* guards what follows; held while bytes are handled, not while waiting for them */
        int listener, wake[2];
        struct sockaddr_in server;
        struct pair *pairs;
        unsigned char *heard;
        size_t n_heard;
        unsigned n_accepted;
        bool quit, frozen, lose_answer, lose_request, keep_answers;
        const void *cut_before; /* in what a server says; NULL = no such cut is to come */
        size_t cut_before_size;
        const void *keep_until; /* no answer passes before the library has said this; NULL = they pass */
        size_t keep_until_size;
        const void *trigger; /* what the library says with these bytes... */
        size_t trigger_size;
        bool trigger_request; /* ...is lost, or the answer to it */
        size_t break_after;   /* bytes of the library; 0 = nothing breaks */
        bool break_holds;
        bool refuse, refuse_behind_greeting, hold_new;
};

static void end_pair(struct pair *pair)
{
        struct linger at_once = {1, 0};

        if (pair->fd[LIBRARY] < 0)
                return;
        shutdown(pair->fd[LIBRARY], SHUT_WR);
        setsockopt(pair->fd[LIBRARY], SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
        close(pair->fd[LIBRARY]);
        close(pair->fd[SERVER]);
        pair->fd[LIBRARY] = pair->fd[SERVER] = -1;
}

static void accept_one(struct conf_proxy *p)
{
        int one = 1, fd = accept(p->listener, NULL, NULL), server;

        if (fd < 0)
                return;
        p->n_accepted++;
        if (p->refuse && !p->refuse_behind_greeting) {
                close(fd);
                return;
        }
        server = socket(AF_INET, SOCK_STREAM, 0);
        for (int i = 0; i < MAX_PAIRS; i++) {
                struct pair *pair = &p->pairs[i];

                if (pair->fd[LIBRARY] >= 0)
                        continue;
                if (server < 0 || connect(server, (struct sockaddr *)&p->server, sizeof p->server) != 0)
                        break;
                setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
                setsockopt(server, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
                pair->fd[LIBRARY] = fd;
                pair->fd[SERVER] = server;
                memset(pair->to, 0, sizeof pair->to);
                pair->held = p->hold_new;
                pair->doomed = p->refuse;
                return;
        }
        close(fd);
        if (server >= 0)
                close(server);
}

static void hear(struct conf_proxy *p, const struct way *way)
{
        size_t n = way->n < HEARD - p->n_heard ? way->n : HEARD - p->n_heard;

        memcpy(p->heard + p->n_heard, way->bytes, n);
        p->n_heard += n;
}

static bool has_heard(const struct conf_proxy *p, const void *bytes, size_t size)
{
        for (size_t i = 0; i + size <= p->n_heard; i++)
                if (memcmp(p->heard + i, bytes, size) == 0)
                        return true;
        return false;
}

static bool give(struct pair *pair, int to)
{
        struct way *way = &pair->to[to];
        ssize_t n = send(pair->fd[to], way->bytes + way->at, way->n - way->at, MSG_NOSIGNAL | MSG_DONTWAIT);

        if (n < 0)
                return errno == EAGAIN || errno == EINTR;
        way->at += (size_t)n;
        if (way->at == way->n)
                way->at = way->n = 0;
        return true;
}

/* Where in this piece of an answer the connection is to end; SIZE_MAX = not here. */
static size_t find_cut(const struct conf_proxy *p, const struct way *way)
{
        for (size_t i = 0; p->cut_before && i + p->cut_before_size <= way->n; i++)
                if (memcmp(way->bytes + i, p->cut_before, p->cut_before_size) == 0)
                        return i;
        return SIZE_MAX;
}

/*
 * Says whether this piece of an answer is one of MySQL's OK packets, which says that the answer to the next statement of
 * the same command follows. To end the connection here would leave open whether that statement runs: whoever asks what
 * became of it may be faster, and end the session before. Source: MySQL protocol, OK_Packet, SERVER_MORE_RESULTS_EXISTS
 */
static bool goes_on(const struct way *way)
{
        const unsigned char *b = way->bytes;
        size_t size = (size_t)b[0] | (size_t)b[1] << 8 | (size_t)b[2] << 16;

        return way->n >= 11 && way->n == size + 4 && b[4] == 0 && b[5] < 251 && b[6] < 251 && (b[7] & 8);
}

/* What the library says passes by a place where something was to happen; false when the pair has ended. */
static bool pass_trigger(struct conf_proxy *p, const struct way *way)
{
        for (size_t i = 0; p->trigger && i + p->trigger_size <= way->n; i++) {
                if (memcmp(way->bytes + i, p->trigger, p->trigger_size) != 0)
                        continue;
                p->trigger = NULL;
                p->lose_answer = !p->trigger_request;
                return !p->trigger_request;
        }
        return true;
}

static bool pass_break(struct conf_proxy *p, size_t n)
{
        if (p->break_after == 0 || n < p->break_after) {
                p->break_after -= p->break_after ? n : 0;
                return true;
        }
        p->break_after = 0;
        for (int i = 0; i < MAX_PAIRS && p->break_holds; i++)
                p->pairs[i].held = p->pairs[i].fd[LIBRARY] >= 0;
        return p->break_holds;
}

/* Takes what one side says; false when the pair has ended. */
static bool take(struct conf_proxy *p, struct pair *pair, int from)
{
        struct way *way = &pair->to[!from];
        ssize_t n = recv(pair->fd[from], way->bytes, BUFFER, MSG_DONTWAIT);

        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return true;
        if (n <= 0)
                return false;
        way->at = 0;
        way->n = (size_t)n;
        if (from == SERVER && p->lose_answer && goes_on(way)) {
                way->n = 0;
                return true;
        }
        if (from == SERVER && p->lose_answer) {
                p->lose_answer = false;
                return false;
        }
        if (from == SERVER && find_cut(p, way) != SIZE_MAX) {
                way->n = find_cut(p, way);
                p->cut_before = NULL;
                while (way->n && give(pair, LIBRARY))
                        continue;
                return false;
        }
        if (from == LIBRARY) {
                hear(p, way);
                if (!pass_trigger(p, way) || !pass_break(p, way->n))
                        return false;
                if (p->keep_until && has_heard(p, p->keep_until, p->keep_until_size))
                        p->keep_until = NULL;
                if (p->lose_request) {
                        p->lose_request = false;
                        return false;
                }
        }
        return true;
}

static void serve_pair(struct conf_proxy *p, struct pair *pair, const struct pollfd *fds)
{
        for (int side = 0; side < 2; side++) {
                short what = fds[side].revents;

                if (pair->held || fds[side].fd < 0 || pair->fd[side] != fds[side].fd)
                        continue; /* not asked for, or ended and begun anew meanwhile */
                if ((what & POLLOUT) && (!give(pair, side) || (side == LIBRARY && pair->doomed)))
                        end_pair(pair);
                else if ((what & (POLLIN | POLLHUP | POLLERR)) && pair->to[!side].n == 0 &&
                         !take(p, pair, side))
                        end_pair(pair);
        }
}

/* Who has nothing to say to the other side just now is listened to; a full way is emptied first. */
static void fill_fds(struct conf_proxy *p, struct pollfd *fds)
{
        fds[0] = (struct pollfd){p->wake[0], POLLIN, 0};
        fds[1] = (struct pollfd){p->listener, POLLIN, 0};
        for (int i = 0; i < 2 * MAX_PAIRS; i++) {
                const struct pair *pair = &p->pairs[i / 2];
                int side = i % 2;
                bool deaf = pair->to[!side].n || (side == SERVER && p->keep_answers);
                short wanted = (short)((deaf ? 0 : POLLIN) | (pair->to[side].n ? POLLOUT : 0));

                if (side == SERVER && p->keep_until)
                        wanted &= (short)~POLLIN;
                fds[2 + i] =
                        (struct pollfd){p->frozen || pair->held || !wanted ? -1 : pair->fd[side], wanted, 0};
        }
}

static void *forward(void *arg)
{
        struct conf_proxy *p = arg;
        struct pollfd fds[2 + 2 * MAX_PAIRS];
        char dust[64];

        pthread_mutex_lock(&p->lock);
        while (!p->quit) {
                fill_fds(p, fds);
                pthread_mutex_unlock(&p->lock);
                poll(fds, 2 + 2 * MAX_PAIRS, -1);
                pthread_mutex_lock(&p->lock);
                if ((fds[0].revents & POLLIN) && read(p->wake[0], dust, sizeof dust) < 0)
                        break;
                if (p->frozen)
                        memset(&fds[2], 0, sizeof fds - 2 * sizeof fds[0]);
                for (int i = 0; i < MAX_PAIRS && !p->frozen; i++)
                        serve_pair(p, &p->pairs[i], &fds[2 + 2 * i]);
                if (fds[1].revents & POLLIN)
                        accept_one(p);
        }
        pthread_mutex_unlock(&p->lock);
        return NULL;
}

static void wake(struct conf_proxy *p)
{
        if (write(p->wake[1], "!", 1) != 1)
                abort();
}

static void start(struct conf_proxy *p)
{
        sigset_t all, before;

        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before);
        assert_int_equal(pthread_create(&p->thread, NULL, forward, p), 0);
        pthread_sigmask(SIG_SETMASK, &before, NULL);
}

struct conf_proxy *conf_proxy_new(struct conf *c, char *url_out, size_t size)
{
        struct conf_proxy *p = calloc(1, sizeof *p);
        struct sockaddr_in own = {.sin_family = AF_INET};
        socklen_t own_size = sizeof own;
        char port[8], with_host[1100];

        assert_non_null(p);
        p->pairs = calloc(MAX_PAIRS, sizeof *p->pairs);
        p->heard = calloc(1, HEARD);
        assert_non_null(p->pairs);
        assert_non_null(p->heard);
        for (int i = 0; i < MAX_PAIRS; i++)
                p->pairs[i].fd[LIBRARY] = p->pairs[i].fd[SERVER] = -1;
        p->server.sin_family = AF_INET;
        p->server.sin_port = htons(dal_dsn_port(c->dsn));
        if (inet_pton(AF_INET, dal_dsn_host(c->dsn), &p->server.sin_addr) != 1)
                p->server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        own.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        p->listener = socket(AF_INET, SOCK_STREAM, 0);
        assert_int_equal(bind(p->listener, (struct sockaddr *)&own, sizeof own), 0);
        assert_int_equal(listen(p->listener, 16), 0);
        assert_int_equal(getsockname(p->listener, (struct sockaddr *)&own, &own_size), 0);
        assert_int_equal(pipe(p->wake), 0);
        pthread_mutex_init(&p->lock, NULL);
        snprintf(port, sizeof port, "%u", (unsigned)ntohs(own.sin_port));
        conf_url_with(with_host, sizeof with_host, c->url, "host", "127.0.0.1");
        conf_url_with(url_out, size, with_host, "port", port);
        start(p);
        return p;
}

void conf_proxy_free(struct conf_proxy *p)
{
        pthread_mutex_lock(&p->lock);
        p->quit = true;
        pthread_mutex_unlock(&p->lock);
        wake(p);
        pthread_join(p->thread, NULL);
        for (int i = 0; i < MAX_PAIRS; i++)
                end_pair(&p->pairs[i]);
        close(p->listener);
        close(p->wake[0]);
        close(p->wake[1]);
        pthread_mutex_destroy(&p->lock);
        free(p->pairs);
        free(p->heard);
        free(p);
}

void conf_proxy_cut(struct conf_proxy *p)
{
        pthread_mutex_lock(&p->lock);
        for (int i = 0; i < MAX_PAIRS; i++)
                end_pair(&p->pairs[i]);
        pthread_mutex_unlock(&p->lock);
        wake(p);
}

static void set(struct conf_proxy *p, bool *flag)
{
        pthread_mutex_lock(&p->lock);
        *flag = true;
        pthread_mutex_unlock(&p->lock);
        wake(p);
}

void conf_proxy_lose_next_answer(struct conf_proxy *p)
{
        set(p, &p->lose_answer);
}

void conf_proxy_cut_before(struct conf_proxy *p, const void *bytes, size_t size)
{
        pthread_mutex_lock(&p->lock);
        p->cut_before = bytes;
        p->cut_before_size = size;
        pthread_mutex_unlock(&p->lock);
        wake(p);
}

void conf_proxy_keep_until(struct conf_proxy *p, const void *bytes, size_t size)
{
        pthread_mutex_lock(&p->lock);
        p->keep_until = bytes;
        p->keep_until_size = size;
        p->n_heard = 0;
        pthread_mutex_unlock(&p->lock);
        wake(p);
}

static void set_trigger(struct conf_proxy *p, const void *bytes, size_t size, bool request)
{
        pthread_mutex_lock(&p->lock);
        p->trigger = bytes;
        p->trigger_size = size;
        p->trigger_request = request;
        pthread_mutex_unlock(&p->lock);
        wake(p);
}

void conf_proxy_lose_answer_to(struct conf_proxy *p, const void *bytes, size_t size)
{
        set_trigger(p, bytes, size, false);
}

void conf_proxy_lose_request_with(struct conf_proxy *p, const void *bytes, size_t size)
{
        set_trigger(p, bytes, size, true);
}

void conf_proxy_break_after(struct conf_proxy *p, size_t n_bytes, bool hold)
{
        pthread_mutex_lock(&p->lock);
        p->break_after = n_bytes;
        p->break_holds = hold;
        pthread_mutex_unlock(&p->lock);
        wake(p);
}

void conf_proxy_refuse(struct conf_proxy *p, bool behind_greeting)
{
        pthread_mutex_lock(&p->lock);
        p->refuse = true;
        p->refuse_behind_greeting = behind_greeting;
        pthread_mutex_unlock(&p->lock);
        wake(p);
}

void conf_proxy_hold_new(struct conf_proxy *p)
{
        set(p, &p->hold_new);
}

void conf_proxy_lose_next_request(struct conf_proxy *p)
{
        set(p, &p->lose_request);
}

void conf_proxy_freeze(struct conf_proxy *p)
{
        set(p, &p->frozen);
}

void conf_proxy_keep_answers(struct conf_proxy *p, bool keep)
{
        pthread_mutex_lock(&p->lock);
        p->keep_answers = keep;
        pthread_mutex_unlock(&p->lock);
        wake(p);
}

void conf_proxy_hold(struct conf_proxy *p)
{
        pthread_mutex_lock(&p->lock);
        for (int i = 0; i < MAX_PAIRS; i++)
                p->pairs[i].held = p->pairs[i].fd[LIBRARY] >= 0;
        pthread_mutex_unlock(&p->lock);
        wake(p);
}

size_t conf_proxy_heard(struct conf_proxy *p, const void *bytes, size_t size)
{
        size_t n = 0;

        pthread_mutex_lock(&p->lock);
        for (size_t i = 0; i + size <= p->n_heard; i++)
                n += memcmp(p->heard + i, bytes, size) == 0;
        pthread_mutex_unlock(&p->lock);
        return n;
}

void conf_proxy_forget(struct conf_proxy *p)
{
        pthread_mutex_lock(&p->lock);
        p->n_heard = 0;
        pthread_mutex_unlock(&p->lock);
}

unsigned conf_proxy_accepted(struct conf_proxy *p)
{
        unsigned n;

        pthread_mutex_lock(&p->lock);
        n = p->n_accepted;
        pthread_mutex_unlock(&p->lock);
        return n;
}
