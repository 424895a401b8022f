/* httpload - a keep-alive HTTP/1.1 load client.
 *
 * One thread, one epoll loop, N connections, one request in flight on each.
 * The request, headers and all, is a template: %k is the number of a key (the requests walk
 * round the keys), %i the number of the request, %% a percent sign.  Prints
 * one JSON line: rate, latency quantiles, statuses, CPU of process trees.
 *
 *   gcc -O2 -Wall -o httpload httpload.c
 */
#define _GNU_SOURCE
#include "measure.h"
#include <arpa/inet.h>
#include <getopt.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#define CAP (4 << 20)
typedef struct {
    int fd, waiting;
    char *out;
    size_t out_len, out_off;
    char *in;
    size_t in_len, in_cap;
    uint64_t sent;
} conn;

static int ep, port = 8000, nconn = 32, nhdr;
static long keys = 1, count_max = -1, warm_count, started, done, ok, refused;
static double duration = 3, warmup = 1;
static const char *method = "GET", *path = "/", *body, *hdrs[16];
static char *reqbuf, *bodybuf;
static latencies lat;
static uint64_t from_ns, until_ns;

static void die(const char *m) { fprintf(stderr, "httpload: %s: %s\n", m, strerror(errno)); exit(2); }

static size_t expand(char *out, size_t cap, const char *t, long key, long i) {
    size_t n = 0;
    for (; *t; t++) {
        if (n + 32 >= cap) { fprintf(stderr, "httpload: template too long\n"); exit(2); }
        if (*t != '%') { out[n++] = *t; continue; }
        switch (*++t) {
            case 'k': n += sprintf(out + n, "%ld", key); break;
            case 'i': n += sprintf(out + n, "%ld", i); break;
            default: out[n++] = *t;
        }
    }
    out[n] = 0;
    return n;
}
static void dial(conn *c) {
    int one = 1;
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(0x7f000001)};
    if ((c->fd = socket(AF_INET, SOCK_STREAM, 0)) < 0) die("socket");
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(c->fd, (void *)&a, sizeof a)) die("connect");
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = c};
    if (epoll_ctl(ep, EPOLL_CTL_ADD, c->fd, &e)) die("epoll_ctl");
}
static void flush(conn *c) {
    while (c->out_off < c->out_len) {
        ssize_t w = send(c->fd, c->out + c->out_off, c->out_len - c->out_off, MSG_DONTWAIT);
        if (w < 0) { if (errno == EAGAIN) break; die("write"); }
        c->out_off += w;
    }
    struct epoll_event e = {.events = EPOLLIN | (c->out_off < c->out_len ? EPOLLOUT : 0), .data.ptr = c};
    epoll_ctl(ep, EPOLL_CTL_MOD, c->fd, &e);
}
static void ask(conn *c) {
    if (count_max >= 0 && started >= count_max) return;
    long i = started++, key = i % keys;
    size_t n = expand(reqbuf, CAP, method, key, i), m = body ? expand(bodybuf, CAP, body, key, i) : 0;
    reqbuf[n++] = ' ';
    n += expand(reqbuf + n, CAP - n, path, key, i);
    n += sprintf(reqbuf + n, " HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n", port);
    for (int h = 0; h < nhdr; h++) {
        n += expand(reqbuf + n, CAP - n, hdrs[h], key, i);
        n += sprintf(reqbuf + n, "\r\n");
    }
    if (body) n += sprintf(reqbuf + n, "Content-Length: %zu\r\n", m);
    n += sprintf(reqbuf + n, "\r\n");
    c->out = realloc(c->out, n + m);
    memcpy(c->out, reqbuf, n);
    memcpy(c->out + n, bodybuf, m);
    c->out_len = n + m, c->out_off = 0, c->waiting = 1;
    c->sent = now_ns();
    flush(c);
}
static long header(const char *head, const char *end, const char *name) { /* a number, or -1 */
    size_t l = strlen(name);
    for (const char *p = head; (p = memchr(p, '\n', end - p)) && p + 1 + l < end;)
        if (!strncasecmp(++p, name, l)) return atol(p + l);
    return -1;
}
static void on_readable(conn *c) {
    if (c->in_cap - c->in_len < 65536) c->in = realloc(c->in, c->in_cap = c->in_cap * 2 + 131072);
    ssize_t r = recv(c->fd, c->in + c->in_len, c->in_cap - c->in_len - 1, MSG_DONTWAIT);
    if (r < 0 && errno == EAGAIN) return;
    if (r <= 0) { /* closed between answers: dial again; inside one: say so */
        if (c->waiting) { fprintf(stderr, "httpload: connection closed in a request\n"); refused++; }
        close(c->fd), c->in_len = 0, c->waiting = 0;
        dial(c), ask(c);
        return;
    }
    c->in_len += r;
    c->in[c->in_len] = 0;
    char *end = memmem(c->in, c->in_len, "\r\n\r\n", 4);
    if (!end) return;
    int status = atoi(c->in + 9);
    long length = header(c->in, end, "content-length:");
    if (length < 0) {
        if (status != 204 && status != 304) { fprintf(stderr, "httpload: an answer without Content-Length\n"); exit(2); }
        length = 0;
    }
    if (c->in_len < (size_t)(end + 4 - c->in) + length) return;
    uint64_t now = now_ns();
    if (status / 100 != 2 && refused++ == 0) fprintf(stderr, "httpload: answered %.*s\n", c->in_len > 800 ? 800 : (int)c->in_len, c->in);
    if (now >= from_ns && (count_max >= 0 || now < until_ns)) {
        done++, ok += status / 100 == 2;
        if (c->sent >= from_ns) lat_add(&lat, now - c->sent);
    }
    c->in_len = 0, c->waiting = 0;
    ask(c);
}
static void usage(void) {
    fputs("httpload --port P [--conns N] [--method M] [--path TEMPLATE] [--header H]... [--body TEMPLATE] [--keys K]\n"
          "         [--warmup S] [--warm-count M] --duration S | --count M   [--tree LABEL:PID]...\n"
          "  templates: %k key number, %i request number\n", stderr);
    exit(1);
}
int main(int argc, char **argv) {
    static struct option lo[] = {{"port", 1, 0, 'p'}, {"conns", 1, 0, 'n'}, {"method", 1, 0, 'm'}, {"path", 1, 0, 'u'}, {"header", 1, 0, 'H'},
        {"body", 1, 0, 'b'}, {"keys", 1, 0, 'k'}, {"warmup", 1, 0, 'w'}, {"warm-count", 1, 0, 'W'}, {"duration", 1, 0, 'd'},
        {"count", 1, 0, 'c'}, {"tree", 1, 0, 't'}, {0}};
    int o;
    while ((o = getopt_long(argc, argv, "", lo, NULL)) != -1) switch (o) {
        case 'p': port = atoi(optarg); break;
        case 'n': nconn = atoi(optarg); break;
        case 'm': method = optarg; break;
        case 'u': path = optarg; break;
        case 'H': if (nhdr == 16) usage(); hdrs[nhdr++] = optarg; break;
        case 'b': body = optarg; break;
        case 'k': keys = atol(optarg); break;
        case 'w': warmup = atof(optarg); break;
        case 'W': warm_count = atol(optarg); break;
        case 'd': duration = atof(optarg); break;
        case 'c': count_max = atol(optarg); break;
        case 't': if (tree_option(optarg)) usage(); break;
        default: usage();
    }
    if (keys < 1 || nconn < 1) usage();
    signal(SIGPIPE, SIG_IGN);
    reqbuf = malloc(CAP), bodybuf = malloc(CAP);
    if ((ep = epoll_create1(0)) < 0) die("epoll");
    conn *cs = calloc(nconn, sizeof *cs);
    for (int i = 0; i < nconn; i++) dial(&cs[i]);
    uint64_t warm_until = now_ns() + (uint64_t)(warmup * 1e9);
    int measuring = count_max >= 0;
    double self0 = self_cpu();
    from_ns = UINT64_MAX;
    if (measuring) from_ns = now_ns(), until_ns = UINT64_MAX, trees_start();
    for (int i = 0; i < nconn; i++) ask(&cs[i]);
    struct epoll_event ev[256];
    for (;;) {
        uint64_t now = now_ns();
        if (!measuring && now >= warm_until && started >= warm_count) {
            measuring = 1, trees_start(), self0 = self_cpu();
            from_ns = now_ns(), until_ns = from_ns + (uint64_t)(duration * 1e9);
        }
        if (measuring && (count_max >= 0 ? done + (refused - (done - ok)) >= count_max : now >= until_ns)) break;
        int n = epoll_wait(ep, ev, 256, 20);
        for (int k = 0; k < n; k++) {
            conn *c = ev[k].data.ptr;
            if (ev[k].events & EPOLLOUT) flush(c);
            if (ev[k].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) on_readable(c);
        }
    }
    uint64_t end = now_ns();
    trees_read();
    double seconds = (end - from_ns) / 1e9;
    printf("{\"requests\":%ld,\"ok\":%ld,\"refused\":%ld,\"seconds\":%.3f,\"per_s\":%.1f,\"p50_ms\":%.3f,\"p99_ms\":%.3f,\"max_ms\":%.3f,\"client_busy\":%.2f",
           done, ok, refused, seconds, done / seconds, lat_ms(&lat, .5), lat_ms(&lat, .99), lat.max_ns / 1e6, (self_cpu() - self0) / seconds);
    trees_print();
    printf("}\n");
    return 0;
}
