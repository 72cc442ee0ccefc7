/* What a server can reach at most here: one epoll loop that finds a request's end and answers. No TLS, no tokens, no
 * routing, no checks: nobody could use it.
 *
 *   ceiling PORT ANSWERS [WEIGHTS]
 *
 * ANSWERS holds records of <u32 length><body>; "POST /7" is answered with number 7, whatever was asked.
 * WEIGHTS holds float64 weights and, last, the bias: "POST /oip" and "POST /binary" then compute the logistic
 * regression of an Open Inference Protocol v2 request with one FP64 tensor [N, features].
 */
#define _GNU_SOURCE
#include <errno.h>
#include <math.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define ROWS_MOST 4096

typedef struct { char *bytes; size_t length; } Bytes;
typedef struct { int socket; char *in; size_t filled, room; Bytes out; size_t out_room, sent; } Connection;

static Bytes answers[256];
static int answer_count, features, poller;
static double weights[1024];

static void die(const char *what) {
    fprintf(stderr, "ceiling: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void append(Connection *c, const void *bytes, size_t length) {
    while (c->out.length + length > c->out_room) c->out.bytes = realloc(c->out.bytes, c->out_room = c->out_room * 2 + 4096);
    if (!c->out.bytes) die("realloc");
    memcpy(c->out.bytes + c->out.length, bytes, length);
    c->out.length += length;
}

static void answer(Connection *c, const char *type, size_t json, const char *body, size_t length) {
    char head[256];
    int n = snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\ncontent-type: %s\r\n", type);
    if (json) n += snprintf(head + n, sizeof head - (size_t)n, "inference-header-content-length: %zu\r\n", json);
    n += snprintf(head + n, sizeof head - (size_t)n, "content-length: %zu\r\n\r\n", length);
    append(c, head, (size_t)n);
    append(c, body, length);
}

static double probability(const double *row) {
    double z = weights[features];
    for (int i = 0; i < features; i++) z += weights[i] * row[i];
    return 1.0 / (1.0 + exp(-z));
}

static int parse_numbers(const char *body, const char *end, double *rows) {
    const char *at = memmem(body, (size_t)(end - body), "\"data\":[", 8);
    int count = 0;
    if (!at) return 0;
    for (at += 8; at < end && *at != ']' && count < ROWS_MOST * features; at++) {
        char *after;
        rows[count++] = strtod(at, &after);
        at = after;
        if (*at == ']') break;
    }
    return count / features;
}

static void compute_json(Connection *c, const char *body, size_t length) {
    static double rows[ROWS_MOST * 64];
    static char text[ROWS_MOST * 64];
    int n = parse_numbers(body, body + length, rows);
    char *at = text;
    at += sprintf(at, "{\"model_name\":\"logistic\",\"outputs\":[{\"name\":\"label\",\"datatype\":\"INT64\",\"shape\":[%d],\"data\":[", n);
    double shares[ROWS_MOST];
    for (int i = 0; i < n; i++) {
        shares[i] = probability(rows + (size_t)i * (size_t)features);
        *at++ = shares[i] > 0.5 ? '1' : '0';
        *at++ = i + 1 < n ? ',' : ']';
    }
    at += sprintf(at, "},{\"name\":\"probabilities\",\"datatype\":\"FP64\",\"shape\":[%d,2],\"data\":[", n);
    for (int i = 0; i < n; i++) at += sprintf(at, "%.17g,%.17g%s", 1 - shares[i], shares[i], i + 1 < n ? "," : "]}]}");
    answer(c, "application/json", 0, text, (size_t)(at - text));
}

static void compute_binary(Connection *c, const char *body, size_t length) {
    static char out[1024 + ROWS_MOST * 24];
    size_t row_size = (size_t)features * sizeof(double);
    const char *size = memmem(body, length, "\"binary_data_size\":", 19);
    size_t bytes = size ? strtoul(size + 19, NULL, 10) : 0;
    int n = (int)(bytes / row_size);
    if (bytes > length || n > ROWS_MOST) n = 0;
    int json = sprintf(out,
                       "{\"model_name\":\"logistic\",\"outputs\":[{\"name\":\"label\",\"datatype\":\"INT64\",\"shape\":[%d],"
                       "\"parameters\":{\"binary_data_size\":%d}},{\"name\":\"probabilities\",\"datatype\":\"FP64\","
                       "\"shape\":[%d,2],\"parameters\":{\"binary_data_size\":%d}}]}",
                       n, n * 8, n, n * 16);
    char *labels = out + json, *shares = labels + n * 8;
    for (int i = 0; i < n; i++) {
        double row[1024], pair[2];
        memcpy(row, body + length - bytes + (size_t)i * row_size, row_size);
        pair[1] = probability(row);
        pair[0] = 1 - pair[1];
        int64_t label = pair[1] > 0.5;
        memcpy(labels + i * 8, &label, 8);
        memcpy(shares + i * 16, pair, 16);
    }
    answer(c, "application/octet-stream", (size_t)json, out, (size_t)json + (size_t)n * 24);
}

/* Answer the requests that are complete; return how many bytes they took. */
static size_t serve(Connection *c) {
    size_t at = 0;
    while (at < c->filled) {
        char *head = c->in + at, *end = memmem(head, c->filled - at, "\r\n\r\n", 4);
        if (!end) break;
        size_t length = 0;
        for (char *line = memchr(head, '\n', (size_t)(end - head) + 2) + 1; line < end; line = (char *)memchr(line, '\n', (size_t)(end + 4 - line)) + 1)
            if (!strncasecmp(line, "content-length:", 15)) length = strtoul(line + 15, NULL, 10);
        size_t whole = (size_t)(end + 4 - head) + length;
        if (at + whole > c->filled) break;
        const char *path = memchr(head, '/', (size_t)(end - head));
        if (!path) break;
        int number = atoi(path + 1);
        if (features && path[1] == 'o') compute_json(c, end + 4, length);
        else if (features && path[1] == 'b') compute_binary(c, end + 4, length);
        else if (number < answer_count) answer(c, "application/json", 0, answers[number].bytes, answers[number].length);
        at += whole;
    }
    return at;
}

static void end(Connection *c) {
    close(c->socket);
    free(c->in);
    free(c->out.bytes);
    free(c);
}

static void work(Connection *c) {
    if (c->filled == c->room) c->in = realloc(c->in, c->room *= 2);
    if (!c->in) die("realloc");
    ssize_t n = recv(c->socket, c->in + c->filled, c->room - c->filled, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) n = 0;
    else if (n <= 0) {
        end(c);
        return;
    }
    c->filled += (size_t)n;
    size_t used = serve(c);
    memmove(c->in, c->in + used, c->filled - used);
    c->filled -= used;
    while (c->sent < c->out.length) { /* answers are small: the socket's buffer takes them */
        ssize_t sent = send(c->socket, c->out.bytes + c->sent, c->out.length - c->sent, MSG_NOSIGNAL);
        if (sent < 0) {
            end(c);
            return;
        }
        c->sent += (size_t)sent;
    }
    c->sent = c->out.length = 0;
}

static void greet(int listener) {
    int socket = accept4(listener, NULL, NULL, SOCK_CLOEXEC), one = 1;
    if (socket < 0) return;
    setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    Connection *c = calloc(1, sizeof *c);
    if (!c) die("calloc");
    c->socket = socket;
    c->in = malloc(c->room = 1 << 16);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
    epoll_ctl(poller, EPOLL_CTL_ADD, socket, &event);
}

static void read_answers(const char *path) {
    FILE *file = fopen(path, "rb");
    uint32_t length;
    if (!file) die(path);
    while (answer_count < 256 && fread(&length, 4, 1, file) == 1) {
        Bytes a = {malloc(length), length};
        if (!a.bytes || fread(a.bytes, 1, length, file) != length) die("answers");
        answers[answer_count++] = a;
    }
    fclose(file);
}

int main(int argc, char **argv) {
    if (argc < 3) return 2;
    read_answers(argv[2]);
    if (argc > 3) {
        FILE *file = fopen(argv[3], "rb");
        if (!file) die(argv[3]);
        features = (int)fread(weights, sizeof *weights, 1024, file) - 1;
        fclose(file);
    }
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[1]))};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 1024)) die("listen");
    poller = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL}, events[256];
    epoll_ctl(poller, EPOLL_CTL_ADD, listener, &event);
    for (;;) {
        int n = epoll_wait(poller, events, 256, -1);
        for (int i = 0; i < n; i++) {
            if (events[i].data.ptr) work(events[i].data.ptr);
            else greet(listener);
        }
    }
}
