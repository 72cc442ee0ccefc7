/* Load generator: HTTP/1.1 keep-alive over N connections, one thread, one epoll.
 *
 *   load PORT CONNECTIONS SECONDS RATE PATIENCE REQUESTS SAMPLES
 *   load --percentiles                                      numbers (ns) on stdin -> the histogram's view of them
 *
 * RATE 0 is the closed loop: as fast as answers come. After SECONDS nothing more is asked, and what is under way may
 * take PATIENCE seconds more. REQUESTS holds records of <u32 length><bytes>: whole HTTP requests, sent in turn. A
 * sample of the answers is written to SAMPLES as <u32 request><u32 head length><u32 body length><head><body> for the
 * caller to check.
 *
 * On stdin it waits for a line, "go" or "warm SECONDS"; after each it prints one JSON line. So the caller can read the
 * server's CPU clock while nothing is in flight.
 *
 * Open loop: request k is due at start + k / RATE, whatever happens before it. A late request is timed from when it
 * was due, and one that is never answered counts with the time it has waited: a stalling server cannot hide by not
 * being asked (coordinated omission).
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define BITS 7 /* 128 steps an octave: a percentile is at most 0.8% off */
#define STEPS (1 << BITS)
#define BUCKETS ((64 - BITS + 1) * STEPS)
#define SAMPLES_MOST 64

typedef struct { uint64_t counts[BUCKETS], total, most; double sum; } Histogram;

static int bucket_of(uint64_t value) {
    if (value < STEPS) return (int)value;
    int shift = 63 - __builtin_clzll(value) - BITS;
    return (shift + 1) * STEPS + (int)((value >> shift) & (STEPS - 1));
}

static uint64_t highest_in(int bucket) {
    if (bucket < STEPS) return (uint64_t)bucket;
    int shift = bucket / STEPS - 1;
    return (((uint64_t)(bucket % STEPS) + STEPS + 1) << shift) - 1;
}

static void record(Histogram *h, uint64_t value) {
    h->counts[bucket_of(value)]++;
    h->total++;
    h->sum += (double)value;
    if (value > h->most) h->most = value;
}

static uint64_t percentile(const Histogram *h, double share) {
    uint64_t rank = (uint64_t)(share * (double)h->total + 0.999999), seen = 0;
    if (rank < 1) rank = 1;
    for (int i = 0; i < BUCKETS; i++) {
        seen += h->counts[i];
        if (seen >= rank) return highest_in(i) < h->most ? highest_in(i) : h->most;
    }
    return h->most;
}

static void print_percentiles(const Histogram *h) {
    printf("\"p50_ns\": %llu, \"p90_ns\": %llu, \"p99_ns\": %llu, \"p999_ns\": %llu, \"max_ns\": %llu, \"mean_ns\": %.0f",
           (unsigned long long)percentile(h, 0.5), (unsigned long long)percentile(h, 0.9),
           (unsigned long long)percentile(h, 0.99), (unsigned long long)percentile(h, 0.999),
           (unsigned long long)h->most, h->total ? h->sum / (double)h->total : 0.0);
}

typedef struct { const char *bytes; uint32_t length; } Request;

typedef struct {
    int socket, busy;
    uint32_t request;      /* which one is under way */
    size_t sent;           /* of it */
    int64_t due;           /* when it should have been sent */
    char *buffer;
    size_t filled, room;
    size_t head;           /* length of the answer's head; 0 until it is complete */
    size_t body;           /* its content-length */
    int chunked, status, close;
    size_t scan;           /* chunked: where the next chunk's size stands */
} Connection;

static Request *requests;
static uint32_t request_count, next_request;
static Connection *connections;
static int connection_count, poller, port;
static FILE *samples;
static Histogram histogram;
static uint64_t answered, errors, wrong_status, surplus, reconnects, sampled, bytes_in;
static int last_status;
static int measuring;
static double rate, patience_s;
static int64_t stop_ns, spacing_from;
static uint64_t scheduled;
static int64_t next_due;       /* open loop: when request number `scheduled` is due */

static int64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void die(const char *what) {
    fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void join(Connection *c) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    c->socket = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->socket < 0) die("socket");
    if (connect(c->socket, (struct sockaddr *)&address, sizeof address) != 0) die("connect");
    int one = 1;
    setsockopt(c->socket, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (!c->buffer) c->buffer = malloc(c->room = 1 << 16);
    c->busy = 0;
    c->filled = c->head = 0;
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
    if (epoll_ctl(poller, EPOLL_CTL_ADD, c->socket, &event) != 0) die("epoll_ctl");
}

static void watch(Connection *c, uint32_t events) {
    struct epoll_event event = {.events = events, .data.ptr = c};
    epoll_ctl(poller, EPOLL_CTL_MOD, c->socket, &event);
}

static void lost(Connection *c) {
    if (c->busy) {
        errors++;
        c->busy = 0;
    }
    close(c->socket);
    reconnects++;
    join(c);
}

static void push(Connection *c) {
    const Request *r = &requests[c->request];
    int waited = c->sent > 0;
    while (c->sent < r->length) {
        ssize_t n = send(c->socket, r->bytes + c->sent, r->length - c->sent, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            watch(c, EPOLLIN | EPOLLOUT);
            return;
        }
        if (n < 0) {
            lost(c);
            return;
        }
        c->sent += (size_t)n;
    }
    if (waited) watch(c, EPOLLIN);
}

static void begin(Connection *c, int64_t due) {
    c->busy = 1;
    c->due = due;
    c->sent = c->filled = c->head = 0;
    c->request = next_request;
    next_request = (next_request + 1) % request_count;
    push(c);
}

static int read_head(Connection *c) {
    char *end = memmem(c->buffer, c->filled, "\r\n\r\n", 4);
    if (!end) return 0;
    c->head = (size_t)(end + 4 - c->buffer);
    c->status = c->filled > 12 ? atoi(c->buffer + 9) : 0;
    c->body = 0;
    c->chunked = c->close = 0;
    c->scan = c->head;
    for (char *line = memchr(c->buffer, '\n', c->head) + 1; line < end; line = (char *)memchr(line, '\n', c->head) + 1) {
        if (!strncasecmp(line, "content-length:", 15)) c->body = strtoul(line + 15, NULL, 10);
        else if (!strncasecmp(line, "transfer-encoding: chunked", 26)) c->chunked = 1;
        else if (!strncasecmp(line, "connection: close", 17)) c->close = 1;
    }
    return 1;
}

static int complete(Connection *c) {
    if (!c->head && !read_head(c)) return 0;
    if (!c->chunked) return c->filled >= c->head + c->body;
    for (;;) {
        char *end = memmem(c->buffer + c->scan, c->filled - c->scan, "\r\n", 2);
        if (!end) return 0;
        size_t size = strtoul(c->buffer + c->scan, NULL, 16), after = (size_t)(end + 4 - c->buffer) + size;
        if (after > c->filled) return 0;
        c->scan = after;
        if (size == 0) return 1;
    }
}

static void keep_sample(const Connection *c) {
    uint32_t head[3] = {c->request, (uint32_t)c->head, (uint32_t)(c->filled - c->head)};
    fwrite(head, sizeof head, 1, samples);
    fwrite(c->buffer, c->filled, 1, samples);
    sampled++;
}

static int64_t due_at(uint64_t k) { return spacing_from + (int64_t)((double)k * 1e9 / rate); }

/* Give a free connection its next request, if one is due. */
static void feed(Connection *c, int64_t now) {
    if (c->busy) return;
    if (rate == 0) {
        if (now < stop_ns) begin(c, now);
    } else if (next_due <= now && next_due < stop_ns) {
        begin(c, next_due);
        next_due = due_at(++scheduled);
    }
}

static void finish(Connection *c) {
    int64_t now = now_ns();
    answered++;
    bytes_in += c->filled;
    record(&histogram, (uint64_t)(now > c->due ? now - c->due : 0));
    if (!c->chunked && c->filled > c->head + c->body) surplus++; /* an answer to nothing that was asked */
    if (c->status != 200) {
        wrong_status++;
        last_status = c->status;
    }
    /* The first answers, then ever rarer ones: 1, 2, .. 16, 32, 64, 128 ... */
    int wanted = answered <= 16 || (answered & (answered - 1)) == 0 || answered % 997 == 0;
    if (measuring && wanted && sampled < SAMPLES_MOST) keep_sample(c);
    c->busy = 0;
    if (c->close) lost(c);
    else feed(c, now);
}

static void receive(Connection *c) {
    if (c->filled == c->room) c->buffer = realloc(c->buffer, c->room *= 2);
    if (!c->buffer) die("realloc");
    ssize_t n = recv(c->socket, c->buffer + c->filled, c->room - c->filled, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (n <= 0) {
        lost(c);
        return;
    }
    c->filled += (size_t)n;
    if (!c->busy) {
        surplus++;
        c->filled = 0;
    } else if (complete(c)) finish(c);
}

static int64_t patience(int64_t now) {
    if (now >= stop_ns) return 1000000;
    if (rate == 0 || next_due >= stop_ns) return stop_ns - now;
    for (int i = 0; i < connection_count; i++)
        if (!connections[i].busy) return next_due > now ? next_due - now : 0;
    return stop_ns - now; /* all are busy: only an answer helps */
}

static int outstanding(void) {
    if (rate > 0 && next_due < stop_ns) return 1;
    for (int i = 0; i < connection_count; i++)
        if (connections[i].busy) return 1;
    return 0;
}

static void pump(int64_t for_ns) {
    struct epoll_event events[256];
    struct timespec wait = {.tv_sec = for_ns / 1000000000LL, .tv_nsec = for_ns % 1000000000LL};
    long n = syscall(SYS_epoll_pwait2, poller, events, 256, &wait, NULL, 0);
    if (n < 0 && errno != EINTR) die("epoll_pwait2 (needs Linux 5.11)");
    for (long i = 0; i < n; i++) {
        Connection *c = events[i].data.ptr;
        if (events[i].events & EPOLLOUT && c->busy) push(c);
        if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) receive(c);
    }
}

/* What was due and never answered has waited at least until now. */
static uint64_t count_unanswered(int64_t now) {
    uint64_t missing = 0;
    for (int i = 0; i < connection_count; i++) {
        Connection *c = &connections[i];
        if (!c->busy) continue;
        record(&histogram, (uint64_t)(now - c->due));
        missing++;
        close(c->socket);
        join(c);
    }
    for (; rate > 0 && next_due < stop_ns; next_due = due_at(++scheduled), missing++)
        record(&histogram, (uint64_t)(now - next_due));
    return missing;
}

static double cpu_s(void) {
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) + 1e-6 * (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

static void run(double seconds) {
    memset(&histogram, 0, sizeof histogram);
    answered = errors = wrong_status = surplus = reconnects = sampled = bytes_in = scheduled = 0;
    last_status = 0;
    double cpu = cpu_s();
    spacing_from = next_due = now_ns();
    stop_ns = spacing_from + (int64_t)(seconds * 1e9);
    int64_t now = spacing_from;
    while (now < stop_ns || (outstanding() && now < stop_ns + (int64_t)(patience_s * 1e9))) {
        for (int i = 0; i < connection_count; i++) feed(&connections[i], now);
        pump(patience(now));
        now = now_ns();
    }
    int64_t end = now_ns();
    uint64_t unanswered = count_unanswered(end);
    if (measuring) fflush(samples); /* before the line that lets the caller read them */
    double wall = (double)(end - spacing_from) * 1e-9;
    printf("{\"answered\": %llu, \"unanswered\": %llu, \"errors\": %llu, \"wrong_status\": %llu, \"last_status\": %d, "
           "\"surplus\": %llu, \"reconnects\": %llu, \"seconds\": %.6f, \"load_cpu_s\": %.6f, \"bytes_in\": %llu, ",
           (unsigned long long)answered, (unsigned long long)unanswered, (unsigned long long)errors,
           (unsigned long long)wrong_status, last_status, (unsigned long long)surplus,
           (unsigned long long)reconnects, wall, cpu_s() - cpu,
           (unsigned long long)bytes_in);
    print_percentiles(&histogram);
    printf("}\n");
    fflush(stdout);
}

static void read_requests(const char *path) {
    FILE *file = fopen(path, "rb");
    uint32_t length;
    if (!file) die(path);
    while (fread(&length, 4, 1, file) == 1) {
        char *bytes = malloc(length);
        requests = realloc(requests, (request_count + 1) * sizeof *requests);
        if (!bytes || !requests || fread(bytes, 1, length, file) != length) die("requests");
        requests[request_count++] = (Request){bytes, length};
    }
    fclose(file);
    if (!request_count) die("no requests");
}

static int percentiles_of_stdin(void) {
    unsigned long long value;
    while (scanf("%llu", &value) == 1) record(&histogram, value);
    printf("{");
    print_percentiles(&histogram);
    printf("}\n");
    return 0;
}

int main(int argc, char **argv) {
    if (argc == 2 && !strcmp(argv[1], "--percentiles")) return percentiles_of_stdin();
    if (argc != 8) {
        fprintf(stderr, "usage: load PORT CONNECTIONS SECONDS RATE PATIENCE REQUESTS SAMPLES\n");
        return 2;
    }
    prctl(PR_SET_TIMERSLACK, 1000UL); /* 1 us instead of 50: requests leave when they are due */
    port = atoi(argv[1]);
    connection_count = atoi(argv[2]);
    double seconds = atof(argv[3]), wanted_rate = atof(argv[4]);
    patience_s = atof(argv[5]);
    read_requests(argv[6]);
    samples = fopen(argv[7], "wb");
    poller = epoll_create1(EPOLL_CLOEXEC);
    connections = calloc((size_t)connection_count, sizeof *connections);
    if (!samples || poller < 0 || !connections) die("start");
    for (int i = 0; i < connection_count; i++) join(&connections[i]);
    char line[64];
    while (fgets(line, sizeof line, stdin)) {
        measuring = !strncmp(line, "go", 2);
        rate = measuring ? wanted_rate : 0;
        run(measuring ? seconds : atof(line + 5));
    }
    return 0;
}
