/* gomd_get_cur_node: by a sealed question to the home of the process when the handle has the key, else over the line. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "client.h"
#include "sealed.h"

#define DEFAULT_PORT 5428
/* How long an address that the daemon told is used. */
#define ADDRESS_MS 60000
#define MAX_ADDRESSES 65535
/* Datagrams that one step looks at. */
#define MAX_ANSWERS_A_STEP 64

struct address {
    gomd_node_t node;
    int64_t until; /* -1: the program said it */
    struct sockaddr_in6 at;
};

/* One question that waits for its answer. */
struct pending {
    int fd; /* -1: none */
    gomd_node_t node;
    uint64_t request_id;
    char path[40];
    struct sockaddr_in6 at;
    int tries;
    int64_t try_until, until;
};

struct questions {
    struct sealer sealer;
    int has_key;
    struct pending pending;
    struct address *addresses;
    size_t count;
};

void questions_free(struct questions *q) {
    if (!q) return;
    if (q->pending.fd >= 0) close(q->pending.fd);
    sealer_forget(&q->sealer);
    free(q->addresses);
    free(q);
}

static struct questions *questions_of(gomd_t *g) {
    if (!g->questions && (g->questions = calloc(1, sizeof *g->questions))) g->questions->pending.fd = -1;
    return g->questions;
}

/* The contents of a key file that nobody else can read; the length, or -1 and why. */
static ssize_t read_key_file(const char *path, char *text, size_t room, const char **why) {
    struct stat status;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    ssize_t length = -1;
    *why = fd < 0 ? strerror(errno) : NULL;
    if (fd < 0) return -1;
    if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) *why = "it is not a file";
    else if (status.st_uid != 0 && status.st_uid != geteuid()) *why = "it belongs to another user";
    else if (status.st_mode & 077) *why = "others may read or change it: chmod 600 it";
    else if ((length = read(fd, text, room)) < 0) *why = strerror(errno);
    else if ((size_t)length == room) *why = "it is longer than any key";
    close(fd);
    return *why ? -1 : length;
}

int gomd_use_key(gomd_t *g, const char *key_file) {
    unsigned char secret[SECRET_BYTES], salt[8];
    char text[257];
    const char *why;
    if (!sealed_is_built()) return fail(g, GOMD_E_USAGE, "this library was built without libsodium, which sealed questions need");
    if (!key_file || !*key_file) return fail(g, GOMD_E_USAGE, "a key file is needed: that of the cluster, or STATE/key of your own daemon");
    struct questions *q = questions_of(g);
    if (!q) return fail(g, GOMD_E_MEMORY, "out of memory for the key");
    ssize_t length = read_key_file(key_file, text, sizeof text, &why);
    int good = length >= 0 && parse_key(text, (size_t)length, secret, &why);
    if (good) {
        uint64_t random = random_number(64);
        memcpy(salt, &random, sizeof salt);
        sealer_init(&q->sealer, secret, salt, random_number(48));
        q->has_key = 1;
    }
    explicit_bzero(secret, sizeof secret);
    explicit_bzero(text, sizeof text);
    return good ? GOMD_OK : fail(g, GOMD_E_USAGE, "key file %.200s: %s", key_file, why);
}

/* HOST, HOST:PORT or [HOST]:PORT; an IPv4 address is kept in the form of IPv6. */
static int parse_address(const char *text, struct sockaddr_in6 *at) {
    char host[80] = "";
    const char *end = *text == '[' ? strchr(text, ']') : NULL, *last = strrchr(text, ':'), *colon;
    if (*text == '[') {
        if (!end || (end[1] && end[1] != ':')) return 0;
        colon = end[1] ? end + 1 : NULL;
        text++;
    } else {
        colon = last && last == strchr(text, ':') ? last : NULL; /* several: an IPv6 address without a port */
        end = colon ? colon : text + strlen(text);
    }
    size_t length = (size_t)(end - text), digits = colon ? strlen(colon + 1) : 1;
    long port = colon ? atol(colon + 1) : DEFAULT_PORT;
    if (digits < 1 || digits > 5 || port < 1 || port > 65535) return 0;
    if (colon && strspn(colon + 1, "0123456789") != digits) return 0;
    struct in_addr ipv4;
    if (length < 1 || length >= sizeof host - 8) return 0;
    memcpy(host, text, length);
    host[length] = 0;
    *at = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
    if (inet_pton(AF_INET, host, &ipv4) == 1) {
        at->sin6_addr.s6_addr[10] = at->sin6_addr.s6_addr[11] = 0xff;
        memcpy(&at->sin6_addr.s6_addr[12], &ipv4, sizeof ipv4);
        return 1;
    }
    char *zone = strchr(host, '%');
    if (zone) {
        *zone++ = 0;
        at->sin6_scope_id = if_nametoindex(zone);
        if (!at->sin6_scope_id) return 0;
    }
    return inet_pton(AF_INET6, host, &at->sin6_addr) == 1;
}

/* A connected socket, -1 for none; IPv4 addresses have one of their own, for kernels without IPv6. */
static int socket_to(const struct sockaddr_in6 *at) {
    struct sockaddr_in ipv4 = {.sin_family = AF_INET, .sin_port = at->sin6_port};
    int mapped = IN6_IS_ADDR_V4MAPPED(&at->sin6_addr);
    memcpy(&ipv4.sin_addr, &at->sin6_addr.s6_addr[12], sizeof ipv4.sin_addr);
    int fd = socket(mapped ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) return -1;
    int error = mapped ? connect(fd, (const struct sockaddr *)&ipv4, sizeof ipv4) : connect(fd, (const struct sockaddr *)at, sizeof *at);
    if (error == 0) return fd;
    error = errno;
    close(fd);
    errno = error;
    return -1;
}

/* An address with its port, as people write it. */
static void show_address(const struct sockaddr_in6 *at, char *text, size_t room) {
    char host[INET6_ADDRSTRLEN];
    int mapped = IN6_IS_ADDR_V4MAPPED(&at->sin6_addr);
    inet_ntop(mapped ? AF_INET : AF_INET6, mapped ? (const void *)&at->sin6_addr.s6_addr[12] : &at->sin6_addr, host, sizeof host);
    snprintf(text, room, mapped ? "%s:%d" : "[%s]:%d", host, ntohs(at->sin6_port));
}

/* The entry of a node, a new one if it has none; NULL without memory. */
static struct address *entry_of(struct questions *q, gomd_node_t node) {
    for (size_t i = 0; i < q->count; i++)
        if (q->addresses[i].node == node) return &q->addresses[i];
    if (q->count == MAX_ADDRESSES) return NULL;
    struct address *larger = realloc(q->addresses, (q->count + 1) * sizeof *larger);
    if (!larger) return NULL;
    q->addresses = larger;
    larger[q->count] = (struct address){.node = node, .until = 0};
    return &larger[q->count++];
}

int gomd_set_address(gomd_t *g, gomd_node_t node, const char *address) {
    struct sockaddr_in6 at;
    if (node < 1 || node > 65535) return fail(g, GOMD_E_USAGE, "the id of a node is 1 to 65535");
    if (!address || !parse_address(address, &at)) return fail(g, GOMD_E_USAGE, "an address is HOST, HOST:PORT or [HOST]:PORT, and HOST that of IPv4 or IPv6");
    struct questions *q = questions_of(g);
    struct address *entry = q ? entry_of(q, node) : NULL;
    if (!entry) return fail(g, GOMD_E_MEMORY, "out of memory for the address");
    entry->at = at;
    entry->until = -1;
    return GOMD_OK;
}

/* The address of a node: said by the program, or by the daemon not long ago. */
static int find_address(gomd_t *g, gomd_node_t node, struct sockaddr_in6 *at) {
    char number[16];
    gomd_rows_t *rows;
    struct address *entry = entry_of(g->questions, node);
    if (!entry) return fail(g, GOMD_E_MEMORY, "out of memory for the address");
    if (entry->until == -1 || now_ms() < entry->until) {
        *at = entry->at;
        return GOMD_OK;
    }
    snprintf(number, sizeof number, "%d", node);
    int error = gomd_node(g, number, &rows);
    if (error != GOMD_OK) return error;
    const gomd_node_row_t *row = gomd_rows_node(rows, 0);
    if (!row || !parse_address(row->address, &entry->at)) error = fail(g, -502, "the address of node %d is not known", node);
    else entry->until = now_ms() + ADDRESS_MS;
    *at = entry->at;
    gomd_rows_free(rows);
    return error;
}

/* The node in an answer to /proc/PID/where; 0 is at home. */
static int node_in(gomd_t *g, gomd_node_t home, const struct answer *answer) {
    char text[160], *end;
    size_t length = answer->length < sizeof text - 1 ? answer->length : sizeof text - 1;
    memcpy(text, answer->data, length);
    text[length] = 0;
    if (answer->code != 200) return fail(g, answer->code >= 400 ? -answer->code : GOMD_E_REPLY, "%s", text);
    long node = strtol(text, &end, 10);
    if (end == text || (*end && strcmp(end, "\n") != 0) || node < 0 || node > 65535)
        return fail(g, GOMD_E_REPLY, "the answer is not what `where` has (the id of a node is expected)");
    return node ? (int)node : home;
}

static const int try_ms[] = {300, 500, 700};
#define TRIES (sizeof try_ms / sizeof *try_ms)

/* Send the question with a new seal: a repeated one is dropped. */
static void send_question(struct questions *q) {
    struct pending *p = &q->pending;
    unsigned char packet[MAX_PACKET_BYTES], nonce[12];
    uint64_t random[2] = {random_number(64), random_number(64)};
    struct timespec wall;
    memcpy(nonce, random, sizeof nonce);
    clock_gettime(CLOCK_REALTIME, &wall);
    size_t length = seal_question(&q->sealer, p->request_id, (unsigned)p->node, p->path,
                                  (uint64_t)wall.tv_sec * 1000 + (uint64_t)wall.tv_nsec / 1000000, nonce, packet);
    (void)!send(p->fd, packet, length, MSG_NOSIGNAL | MSG_DONTWAIT); /* no route now: the next try may find one */
    p->try_until = now_ms() + try_ms[p->tries++];
    if (p->try_until > p->until) p->try_until = p->until;
}

static int end_question(gomd_t *g, int result) {
    close(g->questions->pending.fd);
    g->questions->pending.fd = -1;
    return result;
}

int gomd_cur_node_begin(gomd_t *g, gomd_node_t node, pid_t pid) {
    struct sockaddr_in6 at;
    struct questions *q = g->questions;
    if (node < 1 || node > 65535) return fail(g, GOMD_E_USAGE, "the id of a node is 1 to 65535");
    if (pid < 1) return fail(g, GOMD_E_USAGE, "the id of a process is 1 or more");
    if (!q || !q->has_key) return fail(g, GOMD_E_USAGE, "only a sealed question does not block: gomd_use_key names the key");
    if (q->pending.fd >= 0) end_question(g, 0);
    int error = find_address(g, node, &at);
    if (error != GOMD_OK) return error;
    int fd = socket_to(&at);
    if (fd < 0) {
        return fail(g, -502, "node %d cannot be asked (%s)", node, strerror(errno));
    }
    q->pending = (struct pending){.fd = fd, .node = node, .request_id = random_number(53), .at = at, .until = now_ms() + g->timeout_ms};
    snprintf(q->pending.path, sizeof q->pending.path, "/proc/%ld/where", (long)pid);
    send_question(q);
    return GOMD_OK;
}

int gomd_cur_node_fd(const gomd_t *g) {
    return g->questions ? g->questions->pending.fd : -1;
}

int gomd_cur_node_due(const gomd_t *g) {
    if (gomd_cur_node_fd(g) < 0) return -1;
    int64_t left = g->questions->pending.try_until - now_ms();
    return left < 0 ? 0 : (int)left;
}

int gomd_cur_node_step(gomd_t *g) {
    unsigned char packet[MAX_PACKET_BYTES + 1], body[MAX_PACKET_BYTES];
    char where[INET6_ADDRSTRLEN + 10];
    struct answer answer;
    if (gomd_cur_node_fd(g) < 0) return fail(g, GOMD_E_USAGE, "nothing was asked: gomd_cur_node_begin asks");
    struct pending *p = &g->questions->pending;
    ssize_t length;
    /* A refusal is no answer: it may be starting. However much comes, the time is looked at in between. */
    for (int left = MAX_ANSWERS_A_STEP; left > 0 && (length = recv(p->fd, packet, sizeof packet, MSG_DONTWAIT)) >= 0; left--) {
        if (!open_answer(&g->questions->sealer, packet, (size_t)length, body, &answer)) continue;
        if (answer.kind == ANSWER_VALUE && answer.request_id == p->request_id) return end_question(g, node_in(g, p->node, &answer));
        if (answer.kind == ANSWER_CLOCK && answer.request_id == g->questions->sealer.instance)
            return end_question(g, fail(g, GOMD_E_TIMEOUT, "node %.*s drops what we ask: its clock and ours are %lld s apart", (int)answer.length,
                                        answer.data, llabs((long long)answer.sent_at / 1000 - (long long)time(NULL))));
    }
    if (now_ms() < p->try_until) return 0;
    if ((size_t)p->tries < TRIES && now_ms() < p->until) {
        send_question(g->questions);
        return 0;
    }
    show_address(&p->at, where, sizeof where);
    return end_question(g, fail(g, GOMD_E_TIMEOUT, "no answer from %s after %d tries: is it up, with our key?", where, p->tries));
}

static int ask_sealed(gomd_t *g, gomd_node_t node, pid_t pid) {
    int found = gomd_cur_node_begin(g, node, pid);
    while (found == 0) {
        (void)wait_for(gomd_cur_node_fd(g), POLLIN, g->questions->pending.try_until);
        found = gomd_cur_node_step(g);
    }
    return found;
}

static int ask_line(gomd_t *g, gomd_node_t node, pid_t pid) {
    char process[24], home[24];
    gomd_rows_t *rows;
    snprintf(process, sizeof process, "%ld", (long)pid);
    snprintf(home, sizeof home, "%d", node);
    int error = gomd_read(g, NULL, (const char *[]){"where", process, home, NULL}, &rows);
    if (error != GOMD_OK) return error;
    const gomd_value_t *found = gomd_rows_value(rows, 0);
    if (gomd_rows_count(rows) != 1 || !found || found->integer < 1 || found->integer > 65535)
        error = fail_closed(g, GOMD_E_REPLY, "the answer is not what `where` answers (the id of a node is expected)");
    else error = (int)found->integer;
    gomd_rows_free(rows);
    return error;
}

int gomd_get_cur_node(gomd_t *g, gomd_node_t node, pid_t pid) {
    if (node < 1 || node > 65535) return fail(g, GOMD_E_USAGE, "the id of a node is 1 to 65535");
    if (pid < 1) return fail(g, GOMD_E_USAGE, "the id of a process is 1 or more");
    return g->questions && g->questions->has_key ? ask_sealed(g, node, pid) : ask_line(g, node, pid);
}
