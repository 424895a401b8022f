/* What the load clients measure alike: time, latency quantiles, and the CPU seconds and memory of process trees. */
#ifndef MEASURE_H
#define MEASURE_H
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

static uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return t.tv_sec * 1000000000ull + t.tv_nsec;
}

/* Latencies in buckets of 1.6 %, from a microsecond up. */
#define BUCKETS (64 * 64)
typedef struct { long bucket[BUCKETS]; uint64_t n, max_ns; } latencies;

static void lat_add(latencies *l, uint64_t ns) {
    uint64_t us = ns / 1000;
    int i;
    if (us < 64) i = us;
    else { int e = 63 - __builtin_clzll(us); i = (e - 5) * 64 + ((us >> (e - 6)) & 63); }
    if (i >= BUCKETS) i = BUCKETS - 1;
    l->bucket[i]++, l->n++;
    if (ns > l->max_ns) l->max_ns = ns;
}
static double lat_ms(const latencies *l, double q) {
    long want = (long)(q * l->n), seen = 0;
    for (int i = 0; i < BUCKETS; i++)
        if ((seen += l->bucket[i]) > want) {
            if (i < 64) return i / 1000.0;
            int e = i / 64 + 5;
            return ((64ull + i % 64) << (e - 6)) / 1000.0;
        }
    return 0;
}

static double self_cpu(void) {
    struct rusage r;
    getrusage(RUSAGE_SELF, &r);
    return r.ru_utime.tv_sec + r.ru_stime.tv_sec + (r.ru_utime.tv_usec + r.ru_stime.tv_usec) / 1e6;
}

/* A watched process tree: its CPU seconds include those of children that have ended. A pid named by another watched
 * tree is that tree's, not its parent's. */
#define MAXTREES 32
#define MAXPROCS 4096
typedef struct { char label[24]; int pid; double cpu, cpu0; long rss_kb; } tree;
static tree trees[MAXTREES];
static int ntrees;

static int tree_option(const char *text) { /* LABEL:PID */
    const char *colon = strchr(text, ':');
    if (!colon || ntrees == MAXTREES) return -1;
    snprintf(trees[ntrees].label, sizeof trees[0].label, "%.*s", (int)(colon - text), text);
    trees[ntrees++].pid = atoi(colon + 1);
    return 0;
}
/* Seconds of the threads that live, exact where /proc/PID/stat counts whole ticks: a server of many small processes. */
static double threads_cpu(const char *pid) {
    char name[600];
    double sum = 0;
    snprintf(name, sizeof name, "/proc/%s/task", pid);
    DIR *d = opendir(name);
    if (!d) return 0;
    for (struct dirent *e; (e = readdir(d));) {
        unsigned long long ns = 0;
        if (!isdigit((unsigned char)e->d_name[0])) continue;
        snprintf(name, sizeof name, "/proc/%s/task/%s/schedstat", pid, e->d_name);
        FILE *f = fopen(name, "r");
        if (!f) continue;
        if (fscanf(f, "%llu", &ns) == 1) sum += ns / 1e9;
        fclose(f);
    }
    closedir(d);
    return sum;
}
static void trees_read(void) {
    static struct { int pid, ppid, owner; double cpu; long pages; } p[MAXPROCS];
    int n = 0;
    double tick = 1.0 / sysconf(_SC_CLK_TCK);
    DIR *d = opendir("/proc");
    if (!d) { perror("/proc"); exit(2); }
    for (struct dirent *e; (e = readdir(d)) && n < MAXPROCS;) {
        if (!isdigit((unsigned char)e->d_name[0])) continue;
        char name[300], text[1024], *q;
        snprintf(name, sizeof name, "/proc/%s/stat", e->d_name);
        FILE *f = fopen(name, "r");
        if (!f) continue;
        size_t got = fread(text, 1, sizeof text - 1, f);
        fclose(f);
        text[got] = 0;
        if (!(q = strrchr(text, ')'))) continue;
        unsigned long u = 0, s = 0;
        long cu = 0, cs = 0;
        p[n].pages = 0;
        sscanf(q + 2, "%*c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu %ld %ld %*d %*d %*d %*d %*u %*u %ld",
               &p[n].ppid, &u, &s, &cu, &cs, &p[n].pages);
        p[n].pid = atoi(e->d_name), p[n].owner = -1;
        double live = (u + s) * tick, exact = threads_cpu(e->d_name);
        p[n].cpu = (exact > live ? exact : live) + (cu + cs) * tick;
        for (int t = 0; t < ntrees; t++) if (trees[t].pid == p[n].pid) p[n].owner = t;
        n++;
    }
    closedir(d);
    for (int more = 1; more;) {
        more = 0;
        for (int i = 0; i < n; i++)
            for (int k = 0; k < n && p[i].owner < 0; k++)
                if (p[k].owner >= 0 && p[k].pid == p[i].ppid) p[i].owner = p[k].owner, more = 1;
    }
    for (int t = 0; t < ntrees; t++) trees[t].cpu = 0, trees[t].rss_kb = 0;
    for (int i = 0; i < n; i++)
        if (p[i].owner >= 0) {
            trees[p[i].owner].cpu += p[i].cpu;
            trees[p[i].owner].rss_kb += p[i].pages * (sysconf(_SC_PAGESIZE) / 1024);
        }
}
static void trees_start(void) {
    trees_read();
    for (int t = 0; t < ntrees; t++) trees[t].cpu0 = trees[t].cpu;
}
static void trees_print(void) { /* ,"cpu":{…},"rss_kb":{…} as last read */
    printf(",\"cpu\":{");
    for (int t = 0; t < ntrees; t++) printf("%s\"%s\":%.4f", t ? "," : "", trees[t].label, trees[t].cpu - trees[t].cpu0);
    printf("},\"rss_kb\":{");
    for (int t = 0; t < ntrees; t++) printf("%s\"%s\":%ld", t ? "," : "", trees[t].label, trees[t].rss_kb);
    printf("}");
}
#endif
