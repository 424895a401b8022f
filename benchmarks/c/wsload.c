/* wsload - a WebSocket fan-out load client and publisher.
 *
 * One thread, one epoll loop.  Opens N subscriber connections, optionally
 * sends text/binary messages after each handshake, then publishes events over
 * one extra connection (a raw TCP template, which covers pipelined HTTP, NATS
 * and redis, or masked WebSocket text frames) and counts how often the event
 * marker arrives at the subscribers.  Prints one JSON line.
 *
 *   gcc -O2 -Wall -o wsload wsload.c
 */
#define _GNU_SOURCE
#include "measure.h"
#include <arpa/inet.h>
#include <fcntl.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/socket.h>

enum { CONNECTING, HANDSHAKE, OPEN, CLOSED };
typedef struct {
    int fd, ch, blen;
    unsigned char st, ready;
    unsigned char *buf; /* an incomplete frame (or handshake) waits here */
} conn;

#define MAXOPT 16
#define RBUF (1 << 20)
static conn *cs;
static unsigned char *rbuf;
static int ep, port = 8000, nconn = 1000, nchan = 1, wave = 128;
static const char *path = "/", *hdrs[MAXOPT], *msgs[MAXOPT];
static int nhdr, nmsg, binary;
static const char *marker = "\"ts\":", *expected, *stamp;
static size_t mlen;
static int settle_ms = 500;
static double duration = 4, timeout_s = 20, rate, idle_s = -1, window = 20;
static long count_max = -1;
static int payload_len = 200, per_pub = 1;
static const char *pub_tmpl, *pub_ws, *pub_hello, *item_tmpl, *ready_file;
static int pub_silent;
static int pub_port, pub_fd = -1, pub_open, external;
static char *pout;
static size_t pout_len, pout_off, pout_cap;
static int pub_want_out;
static long published, pub_2xx, pub_other;
static long n_open, n_failed, n_closed, n_ready, next_conn, in_flight;
static uint64_t events, frames, bytes, payload, first_ev, last_ev, pub_start, badseq;
static latencies lat, since_stamp;

static void die(const char *m) { fprintf(stderr, "wsload: %s: %s\n", m, strerror(errno)); exit(2); }

static long all_rss(void) {
    long sum = 0;
    trees_read();
    for (int t = 0; t < ntrees; t++) sum += trees[t].rss_kb;
    return sum;
}
static double machine_busy(void) { /* user+nice+system+irq+softirq of all cores */
    unsigned long long u, n, s, id, io, irq, si;
    FILE *f = fopen("/proc/stat", "r");
    if (!f || fscanf(f, "cpu %llu %llu %llu %llu %llu %llu %llu", &u, &n, &s, &id, &io, &irq, &si) != 7) return 0;
    fclose(f);
    return (u + n + s + irq + si) / (double)sysconf(_SC_CLK_TCK);
}

/* RFC 3339 in UTC, as CloudEvents write it: nanoseconds since 1970, 0 when it is something else */
static uint64_t rfc3339_ns(const unsigned char *p, size_t n) {
    char text[40];
    struct tm tm = {0};
    double seconds = 0;
    int offset = 0;
    n = n < sizeof text - 1 ? n : sizeof text - 1;
    memcpy(text, p, n), text[n] = 0;
    if (sscanf(text, "%d-%d-%dT%d:%d:%lf%n", &tm.tm_year, &tm.tm_mon, &tm.tm_mday, &tm.tm_hour, &tm.tm_min, &seconds, &offset) != 6) return 0;
    tm.tm_year -= 1900, tm.tm_mon -= 1;
    return timegm(&tm) * 1000000000ull + (uint64_t)(seconds * 1e9);
}

/* template: %c channel  %C channel, two digits  \\r \\n \\xNN bytes  %i connection  %L payload length  %+N the same plus N  %P payload  %r CRLF  %% */
static size_t expand(char *out, size_t cap, const char *t, int ch, long i, const char *pl, int plen) {
    size_t n = 0;
    for (; *t && n + 32 < cap; t++) {
        if (*t == '\\' && t[1] == 'r') out[n++] = '\r', t++;
        else if (*t == '\\' && t[1] == 'n') out[n++] = '\n', t++;
        else if (*t == '\\' && t[1] == 'x' && isxdigit(t[2]) && isxdigit(t[3])) {
            char hex[3] = {t[2], t[3], 0};
            out[n++] = (char)strtol(hex, NULL, 16), t += 3;
        } else if (*t != '%') out[n++] = *t;
        else switch (*++t) {
            case 'c': n += sprintf(out + n, "%d", ch); break;
            case 'C': n += sprintf(out + n, "%02d", ch); break;
            case 'i': n += sprintf(out + n, "%ld", i); break;
            case 'L': n += sprintf(out + n, "%d", plen); break;
            case '+': n += sprintf(out + n, "%d", plen + atoi(t + 1)); while (isdigit(t[1])) t++; break; /* %+70: payload length + 70 */
            case 'P': if (n + plen < cap) memcpy(out + n, pl, plen), n += plen; break;
            case 'r': out[n++] = '\r', out[n++] = '\n'; break;
            default: out[n++] = *t;
        }
    }
    out[n] = 0;
    return n;
}
static size_t ws_frame(unsigned char *o, int op, const char *p, size_t n) { /* masked with a zero key */
    size_t h = 0;
    o[h++] = 0x80 | op;
    if (n < 126) o[h++] = 0x80 | n;
    else o[h++] = 0x80 | 126, o[h++] = n >> 8, o[h++] = n & 255;
    memset(o + h, 0, 4);
    memcpy(o + h + 4, p, n);
    return h + 4 + n;
}

static int dial(long i, int prt) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), one = 1;
    if (fd < 0) die("socket");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    struct sockaddr_in a = {.sin_family = AF_INET};
    if (nconn > 25000) {
#ifdef IP_BIND_ADDRESS_NO_PORT
        setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
#endif
        a.sin_addr.s_addr = htonl(0x7f000002 + (uint32_t)(i / 20000));
        if (bind(fd, (void *)&a, sizeof a)) die("bind");
    }
    a.sin_port = htons(prt);
    a.sin_addr.s_addr = htonl(0x7f000001);
    if (connect(fd, (void *)&a, sizeof a) && errno != EINPROGRESS) { close(fd); return -1; }
    return fd;
}
static void add(int fd, uint32_t ev, uint64_t id) {
    struct epoll_event e = {.events = ev, .data.u64 = id};
    if (epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e)) die("epoll_ctl");
}
static void mod(int fd, uint32_t ev, uint64_t id) {
    struct epoll_event e = {.events = ev, .data.u64 = id};
    epoll_ctl(ep, EPOLL_CTL_MOD, fd, &e);
}
static void drop(conn *c) {
    if (c->st == OPEN) n_closed++, n_open--;
    else n_failed++, in_flight--;
    close(c->fd);
    free(c->buf), c->buf = NULL;
    c->st = CLOSED;
}
static size_t upgrade(char *o, size_t cap, int ch, long i, const char *p) {
    char t[1024];
    expand(t, sizeof t, p, ch, i, "", 0);
    size_t n = snprintf(o, cap, "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Origin: http://127.0.0.1:%d\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n", t, port, port);
    for (int k = 0; k < nhdr; k++) n += snprintf(o + n, cap - n, "%s\r\n", hdrs[k]);
    return n + snprintf(o + n, cap - n, "\r\n");
}

static void scan(const unsigned char *p, size_t n, uint64_t now) {
    const unsigned char *end = p + n, *s;
    static unsigned sample;
    if (stamp && ++sample % 16 == 0 && (s = memmem(p, n, stamp, strlen(stamp)))) {
        uint64_t at = rfc3339_ns(s + strlen(stamp), end - s - strlen(stamp));
        if (at) lat_add(&since_stamp, now > at ? now - at : 0);
    }
    while ((size_t)(end - p) >= mlen && (p = memmem(p, end - p, marker, mlen))) {
        p += mlen;
        while (p < end && (*p == ' ')) p++;
        uint64_t ts = 0;
        while (p < end && *p >= '0' && *p <= '9') ts = ts * 10 + (*p++ - '0');
        events++;
        if (!first_ev) first_ev = now;
        last_ev = now;
        if (ts) lat_add(&lat, now > ts ? now - ts : 0);
        else badseq++;
        if (end - p > 100 && payload_len >= 200) p += 80; /* the padding holds no marker */
    }
}

/* consume whole frames; returns the number of bytes used, -1 to close */
static long frames_in(conn *c, unsigned char *b, size_t n, uint64_t now) {
    size_t o = 0;
    while (n - o >= 2) {
        size_t h = 2, l = b[o + 1] & 127;
        if (l == 126) { if (n - o < 4) break; l = b[o + 2] << 8 | b[o + 3], h = 4; }
        else if (l == 127) {
            if (n - o < 10) break;
            l = 0;
            for (int k = 2; k < 10; k++) l = l << 8 | b[o + k];
            h = 10;
        }
        if (n - o < h + l) { if (h + l > RBUF / 2) { fprintf(stderr, "frame too large\n"); return -1; } break; }
        int op = b[o] & 15;
        if (op <= 2) {
            frames++, payload += l, scan(b + o + h, l, now);
            if (expected && !c->ready && memmem(b + o + h, l, expected, strlen(expected))) c->ready = 1, n_ready++;
            static int complained;
            if (expected && !c->ready && !complained++) fprintf(stderr, "wsload: instead of %s came %.*s\n", expected, (int)(l > 300 ? 300 : l), b + o + h);
        }
        else if (op == 9) {
            unsigned char pong[140];
            size_t k = ws_frame(pong, 10, (char *)b + o + h, l);
            if (write(c->fd, pong, k) < 0) return -1;
        } else if (op == 8) return -1;
        o += h + l;
    }
    return o;
}

static void on_open(conn *c, long i) {
    char t[8192];
    unsigned char f[8300];
    for (int k = 0; k < nmsg; k++) {
        size_t n = expand(t, sizeof t, msgs[k], c->ch, i, "", 0);
        n = ws_frame(f, binary ? 2 : 1, t, n);
        if (write(c->fd, f, n) != (ssize_t)n) { drop(c); return; }
    }
}
static void on_conn(conn *c, long i, uint32_t ev) {
    if (c->st == CLOSED) return;
    if (c->st == CONNECTING) {
        int e = 0;
        socklen_t l = sizeof e;
        getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &e, &l);
        if (e) { drop(c); return; }
        char req[4096];
        size_t n = upgrade(req, sizeof req, c->ch, i, path);
        if (write(c->fd, req, n) != (ssize_t)n) { drop(c); return; }
        c->st = HANDSHAKE;
        mod(c->fd, EPOLLIN, i);
        return;
    }
    size_t have = c->blen;
    if (have) memcpy(rbuf, c->buf, have);
    ssize_t r = read(c->fd, rbuf + have, RBUF - have);
    if (r <= 0) { if (r < 0 && errno == EAGAIN) return; drop(c); return; }
    bytes += r;
    size_t n = have + r, o = 0;
    if (c->st == HANDSHAKE) {
        unsigned char *e = memmem(rbuf, n, "\r\n\r\n", 4);
        if (e) {
            if (memcmp(rbuf, "HTTP/1.1 101", 12)) {
                if (!n_failed) fprintf(stderr, "wsload: refused: %.*s\n", (int)(n > 300 ? 300 : n), rbuf);
                drop(c);
                return;
            }
            o = e + 4 - rbuf;
            c->st = OPEN, n_open++, in_flight--;
            on_open(c, i);
            if (c->st == CLOSED) return;
        }
    }
    if (c->st == OPEN) {
        long u = frames_in(c, rbuf + o, n - o, now_ns());
        if (u < 0) { drop(c); return; }
        o += u;
    }
    size_t left = n - o;
    if (left) {
        c->buf = realloc(c->buf, left);
        memcpy(c->buf, rbuf + o, left);
    } else if (have) free(c->buf), c->buf = NULL;
    c->blen = left;
}

static void pub_flush(void) {
    while (pout_off < pout_len) {
        ssize_t w = write(pub_fd, pout + pout_off, pout_len - pout_off);
        if (w < 0) { if (errno == EAGAIN) break; die("publisher write"); }
        pout_off += w;
    }
    if (pout_off == pout_len) pout_off = pout_len = 0;
    int want = pout_len > 0;
    if (want != pub_want_out) mod(pub_fd, EPOLLIN | (want ? EPOLLOUT : 0), UINT64_MAX), pub_want_out = want;
}
static void pub_put(const void *p, size_t n) {
    if (pout_len + n > pout_cap) pout = realloc(pout, pout_cap = (pout_len + n) * 2);
    memcpy(pout + pout_len, p, n), pout_len += n;
}
static void publish_one(uint64_t now) {
    static char pl[65536], one[65536], t[70000];
    static unsigned char f[70100];
    int n = 0;
    for (int k = 0; k < per_pub; k++) { /* several events in one request: a line each, or as --item says with commas between */
        if (k) pl[n++] = item_tmpl ? ',' : '\n';
        long channel = (item_tmpl ? published + k : published / per_pub) % nchan;
        char *event = item_tmpl ? one : pl + n;
        int s = sprintf(event, "{\"ts\":%llu,\"seq\":%ld,\"ch\":\"c%ld\",\"pad\":\"", (unsigned long long)now, published, channel);
        while (s < payload_len - 2) event[s++] = 'x';
        event[s++] = '"', event[s++] = '}';
        n += item_tmpl ? (int)expand(pl + n, sizeof pl - n, item_tmpl, channel, published + k, one, s) : s;
    }
    pl[n] = 0;
    size_t m = expand(t, sizeof t, pub_tmpl, published / per_pub % nchan, published, pl, n);
    if (pub_ws) m = ws_frame(f, 1, t, m), pub_put(f, m);
    else pub_put(t, m);
    published += per_pub;
}
static void on_pub(uint32_t ev) {
    if (ev & EPOLLIN) {
        static unsigned char b[65536];
        static int carry;
        ssize_t r = read(pub_fd, b + carry, sizeof b - carry);
        if (r == 0 || (r < 0 && errno != EAGAIN)) { fprintf(stderr, "wsload: publisher connection closed\n"); epoll_ctl(ep, EPOLL_CTL_DEL, pub_fd, NULL); pub_open = -1; return; }
        if (r > 0) {
            size_t n = carry + r;
            unsigned char *p = b, *e = b + n;
            carry = 0;
            if (pub_ws && !pub_open) {
                if (!memmem(b, n, "\r\n\r\n", 4)) return;
                for (int k = 0; k < nmsg && !pub_silent; k++) { /* the publisher speaks the subscribers' opening messages too */
                    char t[8192];
                    unsigned char f[8300];
                    size_t m = expand(t, sizeof t, msgs[k], 0, 0, "", 0);
                    pub_put(f, ws_frame(f, binary ? 2 : 1, t, m));
                }
                pub_flush();
                pub_open = 1;
                return;
            }
            if (pub_ws) {
                for (; (p = memmem(p, e - p, "\"error\":", 8)); p += 8)
                    if (pub_other++ == 0) fprintf(stderr, "wsload: publish answered %.*s\n", (int)(e - p > 200 ? 200 : e - p), p);
            } else {
                while ((p = memmem(p, e - p, "HTTP/1.", 7))) {
                    if (e - p < 12) break;
                    if (p[9] == '2') pub_2xx++;
                    else if (pub_other++ == 0) fprintf(stderr, "wsload: publish answered %.*s\n", (int)(e - p > 200 ? 200 : e - p), p);
                    p += 12;
                }
                int keep = p ? e - p : (n < 6 ? n : 6); /* a status line may be cut in two */
                memmove(b, e - keep, keep), carry = keep;
            }
        }
    }
    if (ev & EPOLLOUT) pub_flush();
}
static void pub_connect(void) {
    pub_fd = dial(0, pub_port ? pub_port : port);
    if (pub_fd < 0) die("publisher connect");
    add(pub_fd, EPOLLIN, UINT64_MAX);
    for (int k = 0; k < 2000; k++) { /* wait for the connect */
        struct epoll_event e;
        int er = 0; socklen_t l = sizeof er;
        struct sockaddr_in a; socklen_t al = sizeof a;
        getsockopt(pub_fd, SOL_SOCKET, SO_ERROR, &er, &l);
        if (er) { errno = er; die("publisher connect"); }
        if (!getpeername(pub_fd, (void *)&a, &al)) break;
        epoll_wait(ep, &e, 0, 0);
        usleep(1000);
    }
    char t[4096];
    if (pub_ws) { size_t n = upgrade(t, sizeof t, 0, 0, pub_ws); pub_put(t, n); pub_flush(); }
    else {
        if (pub_hello) { size_t n = expand(t, sizeof t, pub_hello, 0, 0, "", 0); pub_put(t, n); pub_flush(); }
        pub_open = 1;
    }
}

static void usage(void) {
    fputs("wsload --port P [--path /x/%c] [--n N] [--channels K] [--header H]... [--send M]... [--binary]\n"
          "  [--expect TEXT] (each subscriber has had it in a frame before we publish) [--wave HANDSHAKES-AT-ONCE]\n"
          "  [--marker '\"ts\":'] [--stamp '\"time\":\"'] [--settle MS] [--timeout S] [--tree LABEL:PID]...\n"
          "  publish: --pub TEMPLATE [--item TEMPLATE] [--pub-ws PATH [--pub-silent]] [--pub-port P] [--pub-hello T] [--per-pub E]\n"
          "           --duration S | --count M   --window W (closed loop) | --rate R   [--payload BYTES]\n"
          "  or --idle S (open, hold, report memory), or --external M --ready FILE (somebody else publishes M events)\n"
          "  templates: %c channel, %C the same in two digits, %i connection or event number, %L payload length, %+N the same plus N, %P payload, %r CRLF, \\xNN byte\n", stderr);
    exit(1);
}

int main(int argc, char **argv) {
    static struct option lo[] = {{"port", 1, 0, 'p'}, {"path", 1, 0, 'u'}, {"n", 1, 0, 'n'}, {"channels", 1, 0, 'k'}, {"header", 1, 0, 'H'},
        {"send", 1, 0, 's'}, {"binary", 0, 0, 'b'}, {"marker", 1, 0, 'm'}, {"settle", 1, 0, 'S'}, {"timeout", 1, 0, 't'}, {"tree", 1, 0, 'P'},
        {"pub", 1, 0, 'T'}, {"pub-ws", 1, 0, 'W'}, {"pub-port", 1, 0, 'o'}, {"pub-hello", 1, 0, 'h'}, {"duration", 1, 0, 'd'}, {"count", 1, 0, 'c'},
        {"window", 1, 0, 'w'}, {"rate", 1, 0, 'r'}, {"payload", 1, 0, 'l'}, {"idle", 1, 0, 'i'}, {"per-pub", 1, 0, 'e'}, {"external", 1, 0, 'x'},
        {"ready", 1, 0, 'R'}, {"wave", 1, 0, 'v'}, {"expect", 1, 0, 'E'}, {"stamp", 1, 0, 'z'}, {"item", 1, 0, 'I'}, {"pub-silent", 0, 0, 'q'}, {0}};
    int o;
    while ((o = getopt_long(argc, argv, "", lo, NULL)) != -1) switch (o) {
        case 'p': port = atoi(optarg); break;
        case 'u': path = optarg; break;
        case 'n': nconn = atoi(optarg); break;
        case 'k': nchan = atoi(optarg); break;
        case 'H': if (nhdr < MAXOPT) hdrs[nhdr++] = optarg; break;
        case 's': if (nmsg < MAXOPT) msgs[nmsg++] = optarg; break;
        case 'b': binary = 1; break;
        case 'm': marker = optarg; break;
        case 'S': settle_ms = atoi(optarg); break;
        case 't': timeout_s = atof(optarg); break;
        case 'P': if (tree_option(optarg)) usage(); break;
        case 'T': pub_tmpl = optarg; break;
        case 'W': pub_ws = optarg; break;
        case 'o': pub_port = atoi(optarg); break;
        case 'h': pub_hello = optarg; break;
        case 'd': duration = atof(optarg); break;
        case 'c': count_max = atol(optarg); break;
        case 'w': window = atof(optarg); break;
        case 'r': rate = atof(optarg); break;
        case 'l': payload_len = atoi(optarg); break;
        case 'i': idle_s = atof(optarg); break;
        case 'e': per_pub = atoi(optarg); break;
        case 'x': external = 1, count_max = atol(optarg); break;
        case 'R': ready_file = optarg; break;
        case 'v': wave = atoi(optarg); break;
        case 'E': expected = optarg; break;
        case 'z': stamp = optarg; break;
        case 'I': item_tmpl = optarg; break;
        case 'q': pub_silent = 1; break;
        default: usage();
    }
    if ((payload_len + (item_tmpl ? (int)strlen(item_tmpl) : 0)) * per_pub > 60000 || !(pub_tmpl || external || idle_s >= 0)) usage();
    signal(SIGPIPE, SIG_IGN);
    mlen = strlen(marker);
    rbuf = malloc(RBUF);
    cs = calloc(nconn, sizeof *cs);
    if ((ep = epoll_create1(0)) < 0) die("epoll");
    long rss0 = all_rss();
    double spc = (double)nconn / nchan; /* subscribers of a channel */
    uint64_t t0 = now_ns(), t_open = 0, t_ready = 0, t_phase = t0, end_pub = 0;
    int phase = 0; /* 0 opening, 1 settling, 2 publishing, 3 draining */
    double self0 = 0, busy0 = 0, self1 = 0, busy1 = 0;
    long rss1 = 0;
    struct epoll_event ev[512];
    for (;;) {
        uint64_t now = now_ns();
        if (phase == 0) {
            while (next_conn < nconn && in_flight < wave) {
                long i = next_conn++;
                cs[i].ch = i % nchan;
                cs[i].fd = dial(i, port);
                if (cs[i].fd < 0) { n_failed++; cs[i].st = CLOSED; continue; }
                in_flight++;
                add(cs[i].fd, EPOLLOUT, i);
            }
            if (next_conn == nconn && !in_flight && !t_open) t_open = now;
            if (t_open && (!expected || n_ready >= n_open)) {
                t_ready = now, phase = 1, t_phase = now;
                if (pub_tmpl) pub_connect();
            } else if (now - t0 > 90e9) { fprintf(stderr, "wsload: only %ld of %d opened, %ld ready\n", n_open, nconn, n_ready); t_ready = now; break; }
        }
        if (phase == 1 && now - t_phase > (idle_s >= 0 ? idle_s * 1e9 : settle_ms * 1e6) && (!pub_tmpl || pub_open == 1)) {
            rss1 = all_rss();
            if (idle_s >= 0) break;
            phase = 2;
            self0 = self_cpu(), busy0 = machine_busy();
            trees_start();
            frames = bytes = payload = 0;
            pub_start = now = now_ns();
            end_pub = count_max >= 0 ? now + (uint64_t)(timeout_s * 1e9) : now + (uint64_t)(duration * 1e9);
            if (ready_file) { FILE *f = fopen(ready_file, "w"); if (f) fclose(f); }
        }
        if (phase == 2) {
            if (external) { published = count_max; phase = 3; t_phase = now; }
            else {
                int any = 0, k = 0;
                while (now < end_pub && (count_max < 0 || published < count_max) && pout_len - pout_off < (1 << 20) && k++ < 256) {
                    if (rate > 0 ? published >= (now - pub_start) * 1e-9 * rate
                                 : (published + per_pub) * spc - events > window * spc) break;
                    publish_one(now), any = 1;
                }
                if (any) pub_flush();
                if (now >= end_pub || (count_max >= 0 && published >= count_max) || pub_open < 0) phase = 3, t_phase = now;
            }
        }
        if (phase == 3 && (events >= published * spc || now - t_phase > timeout_s * 1e9)) break;
        if (phase >= 2 && n_open == 0) break;
        int tmo = phase == 2 && rate > 0 ? 1 : phase == 2 ? 5 : 20;
        int n = epoll_wait(ep, ev, 512, tmo);
        for (int k = 0; k < n; k++)
            if (ev[k].data.u64 == UINT64_MAX) on_pub(ev[k].events);
            else on_conn(&cs[ev[k].data.u64], ev[k].data.u64, ev[k].events);
    }
    self1 = self_cpu(), busy1 = machine_busy();
    double server = 0, dur = last_ev > first_ev ? (last_ev - pub_start) / 1e9 : 0;
    printf("{\"open\":%ld,\"failed\":%ld,\"closed\":%ld,\"ready\":%ld,\"open_s\":%.3f,\"ready_s\":%.3f,\"events\":%llu", n_open, n_failed, n_closed, n_ready,
           ((t_open ? t_open : t_ready) - t0) / 1e9, (t_ready - t0) / 1e9, (unsigned long long)events);
    printf(",\"rss0_kb\":%ld,\"rss1_kb\":%ld,\"rss_per_conn_kb\":%.2f", rss0, rss1, n_open ? (rss1 - rss0) / (double)n_open : 0);
    if (idle_s < 0) {
        double expct = published * spc;
        trees_read();
        for (int t = 0; t < ntrees; t++) server += trees[t].cpu - trees[t].cpu0;
        printf(",\"published\":%ld,\"pub_2xx\":%ld,\"pub_err\":%ld,\"expected\":%.0f,\"lost\":%.0f,\"dur_s\":%.3f,\"events_s\":%.0f",
               published, pub_2xx, pub_other, expct, expct - events, dur, dur > 0 ? events / dur : 0);
        printf(",\"p50_ms\":%.3f,\"p99_ms\":%.3f,\"max_ms\":%.3f,\"frames\":%llu,\"bytes\":%llu,\"ev_per_frame\":%.2f", lat_ms(&lat, .5), lat_ms(&lat, .99), lat.max_ns / 1e6,
               (unsigned long long)frames, (unsigned long long)bytes, frames ? events / (double)frames : 0);
        printf(",\"server_cpu_s\":%.2f,\"client_cpu_s\":%.2f,\"other_cpu_s\":%.2f,\"server_busy\":%.2f,\"client_busy\":%.2f,\"events_per_cpu_s\":%.0f,\"us_per_frame\":%.3f",
               server, self1 - self0, busy1 - busy0 - server - (self1 - self0), dur > 0 ? server / dur : 0, dur > 0 ? (self1 - self0) / dur : 0,
               server > 0 ? events / server : 0, frames ? server * 1e6 / frames : 0);
        if (since_stamp.n) printf(",\"stamp_p50_ms\":%.3f,\"stamp_p99_ms\":%.3f", lat_ms(&since_stamp, .5), lat_ms(&since_stamp, .99));
        trees_print();
    }
    printf("}\n");
    return 0;
}
