/* SPDX-License-Identifier: MIT */
/* One thread; what arrives is kept with the time at which it is due, and goes on when that has come. */
#define _GNU_SOURCE /* ppoll(), accept4() */
#include "bench.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define MAX_LINKS   64
#define READ_SIZE   65536
#define NS_A_SECOND INT64_C(1000000000)

typedef struct chunk {
        struct chunk *next;
        int64_t due;
        size_t size, n_sent;
        char bytes[];
} chunk;

typedef struct way {
        chunk *first, **end;
        bool stuck; /* the receiver's buffer is full */
} way;

/* A client and its connection to the server; ways[0] leads from the client. */
typedef struct link {
        int fds[2];
        way ways[2];
        bool client_spoke_last;
} link_pair;

struct bench_proxy {
        pthread_t thread;
        int listener, wake[2];
        struct sockaddr_storage server;
        socklen_t server_size;
        uint16_t port;
        _Atomic int64_t one_way_ns;
        _Atomic uint64_t n_round_trips;
        link_pair links[MAX_LINKS];
        size_t n_links;
};

static void check(bool fine, const char *what)
{
        if (!fine)
                bench_die(what, strerror(errno));
}

static void end_link(bench_proxy *p, size_t i)
{
        for (int k = 0; k < 2; k++) {
                close(p->links[i].fds[k]);
                while (p->links[i].ways[k].first) {
                        chunk *c = p->links[i].ways[k].first;

                        p->links[i].ways[k].first = c->next;
                        free(c);
                }
        }
        p->links[i].fds[0] = -1;
}

static void accept_link(bench_proxy *p)
{
        static const int on = 1;
        size_t i = 0;
        link_pair *l;

        while (i < p->n_links && p->links[i].fds[0] >= 0)
                i++;
        if (i == MAX_LINKS)
                bench_die("proxy", "too many connections");
        if (i == p->n_links)
                p->n_links++;
        l = &p->links[i];
        memset(l, 0, sizeof *l);
        l->ways[0].end = &l->ways[0].first;
        l->ways[1].end = &l->ways[1].first;
        l->fds[0] = accept(p->listener, NULL, NULL);
        l->fds[1] = socket(p->server.ss_family, SOCK_STREAM, 0);
        check(l->fds[0] >= 0 && l->fds[1] >= 0, "proxy: socket");
        check(connect(l->fds[1], (struct sockaddr *)&p->server, p->server_size) == 0, "proxy: connect");
        for (int k = 0; k < 2; k++) {
                (void)setsockopt(l->fds[k], IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
                check(fcntl(l->fds[k], F_SETFL, O_NONBLOCK) == 0, "proxy: fcntl");
        }
}

/* false: the connection has ended. What it was still owed goes with it. */
static bool take_in(bench_proxy *p, link_pair *l, int from)
{
        static char bytes[READ_SIZE];
        ssize_t n = recv(l->fds[from], bytes, sizeof bytes, 0);
        chunk *c;

        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return true;
        if (n <= 0)
                return false;
        if (from == 0) {
                l->client_spoke_last = true;
        } else if (l->client_spoke_last) {
                l->client_spoke_last = false;
                atomic_fetch_add(&p->n_round_trips, 1);
        }
        c = malloc(sizeof *c + (size_t)n);
        check(c != NULL, "proxy: memory");
        c->next = NULL;
        c->due = dal_clock_now() + atomic_load(&p->one_way_ns);
        c->size = (size_t)n;
        c->n_sent = 0;
        memcpy(c->bytes, bytes, (size_t)n);
        *l->ways[from].end = c;
        l->ways[from].end = &c->next;
        return true;
}

/* Sends what is due; returns when the next is, or INT64_MAX. */
static int64_t send_on(link_pair *l, int from, int64_t now)
{
        way *w = &l->ways[from];

        w->stuck = false;
        while (w->first && w->first->due <= now) {
                chunk *c = w->first;
                ssize_t n = send(l->fds[!from], c->bytes + c->n_sent, c->size - c->n_sent, MSG_NOSIGNAL);

                if (n < 0 && errno == EAGAIN) {
                        w->stuck = true;
                        return INT64_MAX;
                }
                if (n < 0) /* the other end is gone; its end will be read */
                        n = (ssize_t)(c->size - c->n_sent);
                c->n_sent += (size_t)n;
                if (c->n_sent < c->size)
                        continue;
                w->first = c->next;
                if (!w->first)
                        w->end = &w->first;
                free(c);
        }
        return w->first ? w->first->due : INT64_MAX;
}

/* Waits until something can be read, can be written, or is due. */
static void wait_for_news(struct pollfd *fds, nfds_t n, int64_t next)
{
        struct timespec left, *limit = NULL;

        if (next != INT64_MAX) {
                int64_t ns = next - dal_clock_now();

                ns = ns > 0 ? ns : 0;
                left.tv_sec = (time_t)(ns / NS_A_SECOND);
                left.tv_nsec = (long)(ns % NS_A_SECOND);
                limit = &left;
        }
        if (ppoll(fds, n, limit, NULL) < 0)
                check(errno == EINTR, "proxy: poll");
}

static void *forward(void *arg)
{
        bench_proxy *p = arg;
        struct pollfd fds[2 + 2 * MAX_LINKS];

        (void)prctl(PR_SET_TIMERSLACK, 1ul); /* else the kernel rounds by 50 us */
        for (;;) {
                int64_t next = INT64_MAX, now = dal_clock_now();
                size_t n_links = p->n_links;

                fds[0] = (struct pollfd){.fd = p->listener, .events = POLLIN};
                fds[1] = (struct pollfd){.fd = p->wake[0], .events = POLLIN};
                for (size_t i = 0; i < 2 * n_links; i++) {
                        link_pair *l = &p->links[i / 2];
                        int64_t due = l->fds[0] < 0 ? INT64_MAX : send_on(l, i % 2, now);

                        next = due < next ? due : next;
                }
                for (size_t i = 0; i < 2 * n_links; i++) {
                        link_pair *l = &p->links[i / 2];

                        fds[2 + i].fd = l->fds[0] < 0 ? -1 : l->fds[i % 2];
                        fds[2 + i].events = (short)(POLLIN | (l->ways[!(i % 2)].stuck ? POLLOUT : 0));
                }
                wait_for_news(fds, 2 + 2 * n_links, next);
                if (fds[1].revents)
                        return NULL;
                for (size_t i = 0; i < 2 * n_links; i++)
                        if (p->links[i / 2].fds[0] >= 0 &&
                            (fds[2 + i].revents & (POLLIN | POLLHUP | POLLERR)) &&
                            !take_in(p, &p->links[i / 2], i % 2))
                                end_link(p, i / 2);
                if (fds[0].revents)
                        accept_link(p);
        }
}

static void find_server(bench_proxy *p, const char *url)
{
        struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found;
        dal_error err = DAL_ERROR_INIT;
        char port[8];
        dal_dsn *dsn;

        bench_check_status(dal_dsn_parse(url, &dsn, &err), &err);
        snprintf(port, sizeof port, "%u", dal_dsn_port(dsn));
        if (getaddrinfo(dal_dsn_host(dsn), port, &hints, &found) != 0)
                bench_die("proxy: no such host", dal_dsn_host(dsn));
        memcpy(&p->server, found->ai_addr, found->ai_addrlen);
        p->server_size = found->ai_addrlen;
        freeaddrinfo(found);
        dal_dsn_free(dsn);
}

bench_proxy *bench_proxy_new(const char *url, int64_t one_way_ns)
{
        bench_proxy *p = bench_alloc(1, sizeof *p);
        struct sockaddr_in here = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        socklen_t size = sizeof here;

        find_server(p, url);
        atomic_init(&p->one_way_ns, one_way_ns);
        atomic_init(&p->n_round_trips, 0);
        p->listener = socket(AF_INET, SOCK_STREAM, 0);
        check(bind(p->listener, (struct sockaddr *)&here, size) == 0 && listen(p->listener, MAX_LINKS) == 0 &&
                      getsockname(p->listener, (struct sockaddr *)&here, &size) == 0 && pipe(p->wake) == 0,
              "proxy");
        p->port = ntohs(here.sin_port);
        errno = pthread_create(&p->thread, NULL, forward, p);
        check(errno == 0, "proxy: thread");
        return p;
}

void bench_proxy_url(const bench_proxy *proxy, const char *url, char out[BENCH_URL_SIZE])
{
        const char *host = strchr(url, '@'), *path;

        host = host ? host + 1 : strstr(url, "//") + 2;
        path = host + strcspn(host, "/");
        snprintf(out, BENCH_URL_SIZE, "%.*s127.0.0.1:%u%s", (int)(host - url), url, proxy->port, path);
}

void bench_proxy_set_delay(bench_proxy *proxy, int64_t one_way_ns)
{
        atomic_store(&proxy->one_way_ns, one_way_ns);
}

uint64_t bench_proxy_round_trips(bench_proxy *proxy)
{
        return atomic_load(&proxy->n_round_trips);
}

void bench_proxy_free(bench_proxy *proxy)
{
        check(write(proxy->wake[1], "", 1) == 1, "proxy: wake");
        (void)pthread_join(proxy->thread, NULL);
        for (size_t i = 0; i < proxy->n_links; i++)
                if (proxy->links[i].fds[0] >= 0)
                        end_link(proxy, i);
        close(proxy->listener);
        close(proxy->wake[0]);
        close(proxy->wake[1]);
        free(proxy);
}
