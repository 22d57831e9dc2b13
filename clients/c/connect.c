/* Sockets to a daemon, connected before a deadline, and where to look for a daemon that nobody named. */
#define _GNU_SOURCE
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "client.h"

int64_t now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int wait_for(int fd, short events, int64_t deadline) {
    for (;;) {
        struct pollfd waiting = {.fd = fd, .events = events};
        int64_t left = deadline - now_ms();
        int ready = poll(&waiting, 1, left < 0 ? 0 : left > INT_MAX ? INT_MAX : (int)left);
        if (ready > 0) return 1;
        if (ready == 0 && now_ms() >= deadline) return 0;
        if (ready < 0 && errno != EINTR && errno != EAGAIN) return 1; /* the call that follows says what it is */
    }
}

/* 0, or the number of the error. */
static int connect_socket(int fd, const struct sockaddr *address, socklen_t length, int64_t deadline) {
    while (connect(fd, address, length) != 0) {
        if (errno == EISCONN) return 0;
        if (errno == EAGAIN) { /* a unix socket whose queue is full */
            if (now_ms() >= deadline) return ETIMEDOUT;
            (void)poll(NULL, 0, 10);
            continue;
        }
        if (errno != EINPROGRESS && errno != EINTR && errno != EALREADY) return errno;
        int error = 0;
        socklen_t size = sizeof error;
        if (!wait_for(fd, POLLOUT, deadline)) return ETIMEDOUT;
        if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0) return errno;
        return error;
    }
    return 0;
}

static int no_daemon(gomd_t *g, const char *endpoint, int error) {
    char buffer[128];
    return fail(g, GOMD_E_CONNECT, "no daemon at %.200s (%s): start gomd, or name the endpoint of your daemon", endpoint,
         strerror_r(error, buffer, sizeof buffer));
}

static int bad_endpoint(gomd_t *g, const char *endpoint) {
    return fail(g, GOMD_E_USAGE, "'%.200s' is no endpoint: write tcp:HOST:PORT or unix:PATH, for example tcp:127.0.0.1:2901", endpoint);
}

static int open_unix(gomd_t *g, const char *endpoint, int64_t deadline) {
    const char *path = endpoint + 5;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (!*path) return bad_endpoint(g, endpoint);
    if (strlen(path) >= sizeof address.sun_path)
        return fail(g, GOMD_E_CONNECT, "no daemon at %.150s: the path of a unix socket has at most %zu bytes", endpoint, sizeof address.sun_path - 1);
    memcpy(address.sun_path, path, strlen(path));
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int error = fd < 0 ? errno : connect_socket(fd, (const struct sockaddr *)&address, sizeof address, deadline);
    if (error != 0) {
        if (fd >= 0) close(fd);
        return no_daemon(g, endpoint, error);
    }
    g->fd = fd;
    return GOMD_OK;
}

/* The host and port of a tcp endpoint: the digits of the port, or NULL. */
static const char *parse_tcp(const char *endpoint, char *host, size_t room) {
    const char *begin = endpoint + 4, *colon = strrchr(begin, ':');
    if (!colon) return NULL;
    size_t length = (size_t)(colon - begin), digits = strlen(colon + 1);
    if (digits < 1 || digits > 5 || strspn(colon + 1, "0123456789") != digits) return NULL;
    long port = atol(colon + 1);
    if (length > 2 && begin[0] == '[' && begin[length - 1] == ']') {
        begin++;
        length -= 2;
    } else if (memchr(begin, ':', length)) {
        return NULL;
    }
    if (port < 1 || port > 65535 || length < 1 || length >= room) return NULL;
    memcpy(host, begin, length);
    host[length] = 0;
    return colon + 1;
}

int check_endpoint(gomd_t *g, const char *endpoint) {
    char host[256];
    if (!endpoint) endpoint = secure_getenv("GOMD_ENDPOINT");
    if (!endpoint || !*endpoint || (strncmp(endpoint, "unix:", 5) == 0 && endpoint[5])) return GOMD_OK;
    return strncmp(endpoint, "tcp:", 4) == 0 && parse_tcp(endpoint, host, sizeof host) ? GOMD_OK : bad_endpoint(g, endpoint);
}

static int open_tcp(gomd_t *g, const char *endpoint, int64_t deadline) {
    char host[256];
    const char *port = parse_tcp(endpoint, host, sizeof host);
    if (!port) return bad_endpoint(g, endpoint);
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV}, *found = NULL;
    int problem = getaddrinfo(host, port, &hints, &found);
    if (problem != 0) {
        return fail(g, GOMD_E_CONNECT, "the host %.200s is not known (%s): name it as it is known here, or by its address", host,
             gai_strerror(problem));
    }
    int left = 0, error = ETIMEDOUT, fd = -1;
    for (struct addrinfo *one = found; one; one = one->ai_next) left++;
    for (struct addrinfo *one = found; one; one = one->ai_next, left--) {
        int64_t now = now_ms();
        if (now >= deadline) break;
        fd = socket(one->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        /* an address that does not answer leaves the others their share of the time */
        error = fd < 0 ? errno : connect_socket(fd, one->ai_addr, one->ai_addrlen, now + (deadline - now) / left);
        if (error == 0) break;
        if (fd >= 0) close(fd);
        fd = -1;
    }
    freeaddrinfo(found);
    if (fd < 0) return no_daemon(g, endpoint, error);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    g->fd = fd;
    return GOMD_OK;
}

int open_endpoint(gomd_t *g, const char *endpoint, int64_t deadline) {
    if (strncmp(endpoint, "unix:", 5) == 0) return open_unix(g, endpoint, deadline);
    if (strncmp(endpoint, "tcp:", 4) == 0) return open_tcp(g, endpoint, deadline);
    return bad_endpoint(g, endpoint);
}

/* Whether root or the caller listens at a socket, and owns it and its directory. */
static int is_proven(int fd, const char *path) {
    struct ucred listener;
    struct stat socket_status, directory_status;
    socklen_t size = sizeof listener;
    char directory[512];
    uid_t me = geteuid();
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &listener, &size) != 0) return 0;
    snprintf(directory, sizeof directory, "%s", path);
    char *slash = strrchr(directory, '/');
    if (!slash) return 0;
    *slash = 0;
    if (stat(path, &socket_status) != 0 || stat(directory, &directory_status) != 0) return 0;
    return (listener.uid == 0 || listener.uid == me) && (socket_status.st_uid == 0 || socket_status.st_uid == me) &&
           (directory_status.st_uid == 0 || directory_status.st_uid == me);
}

/* The socket of the caller's own daemon, as an endpoint; 0 when its path is too long. */
static int own_socket(char *endpoint, size_t room) {
    const char *state = secure_getenv("XDG_STATE_HOME"), *home = secure_getenv("HOME");
    struct passwd entry, *found = NULL;
    char buffer[4096];
    int length;
    if (geteuid() == 0) length = snprintf(endpoint, room, "unix:/var/lib/gomd/gomd.sock");
    else if (state && state[0] == '/') length = snprintf(endpoint, room, "unix:%s/gomd/gomd.sock", state);
    else {
        if (!home || !*home) home = getpwuid_r(geteuid(), &entry, buffer, sizeof buffer, &found) == 0 && found ? entry.pw_dir : "/";
        length = snprintf(endpoint, room, "unix:%s/.local/state/gomd/gomd.sock", home);
    }
    return length > 0 && (size_t)length < room;
}

/* Connect to a unix socket that was found by default, if whoever listens there proves to be root or the caller. */
static int open_proven(gomd_t *g, const char *endpoint, int64_t deadline) {
    int error = open_endpoint(g, endpoint, deadline);
    if (error != GOMD_OK || is_proven(g->fd, endpoint + 5)) return error;
    close(g->fd);
    g->fd = -1;
    return fail(g, GOMD_E_CONNECT, "no daemon at %.200s: what listens there is neither root's nor yours", endpoint);
}

int open_default(gomd_t *g, int64_t deadline, int secret) {
    static const char port[] = "tcp:127.0.0.1:2901";
    const char *named = secure_getenv("GOMD_ENDPOINT");
    char own[256];
    int error;
    if (g->endpoint && g->found_socket) return open_proven(g, g->endpoint, deadline);
    if (named && *named) return (error = open_endpoint(g, named, deadline)) == GOMD_OK ? keep_endpoint(g, named) : error;
    const char *sockets[] = {own_socket(own, sizeof own) ? own : NULL, geteuid() ? "unix:/run/gomd/gomd.sock" : NULL};
    for (size_t i = 0; i < 2; i++) {
        if (!sockets[i] || open_proven(g, sockets[i], deadline) != GOMD_OK) continue;
        g->found_socket = 1;
        return keep_endpoint(g, sockets[i]);
    }
    if (secret)
        return fail(g, GOMD_E_UNPROVEN, "no daemon of root or of yours at its unix socket, and this is not sent to %s, where any program "
                    "may listen: start gomd, or name the endpoint of your daemon with -c or in $GOMD_ENDPOINT", port);
    g->found = 1;
    if (open_endpoint(g, port, deadline) == GOMD_OK) return keep_endpoint(g, port);
    return fail(g, GOMD_E_CONNECT, "no daemon of root or of yours at its unix socket, and none at %s: start gomd, or name the "
                "endpoint of your daemon", port);
}
