/* A connection: what is sent, what is received until a deadline, and what went wrong. */
#define _GNU_SOURCE
#include "client.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "json.h"

#define DEFAULT_TIMEOUT_MS 30000

static void set_error(gomd_t *g, const char *format, va_list values) {
    char text[sizeof g->error];
    int length = vsnprintf(text, sizeof text, format, values);
    size_t end = length < 0 ? 0 : (size_t)length >= sizeof text ? sizeof text - 1 : (size_t)length;
    size_t at = 0, done = 0;
    while (at < end) { /* what a terminal would obey, and what is no UTF-8, becomes a question mark */
        size_t count = utf8_length(text + at, text + end);
        unsigned char c = (unsigned char)text[at];
        int control = c < 0x20 || c == 0x7f || (c == 0xc2 && count == 2 && (unsigned char)text[at + 1] < 0xa0);
        if (count == 0 || control) {
            g->error[done++] = '?';
            at += count ? count : 1;
        } else {
            memcpy(g->error + done, text + at, count);
            done += count;
            at += count;
        }
    }
    g->error[done] = 0;
}

int fail(gomd_t *g, int error, const char *format, ...) {
    va_list values;
    va_start(values, format);
    set_error(g, format, values);
    va_end(values);
    return error;
}

static void hang_up(gomd_t *g) {
    if (g->fd >= 0) close(g->fd);
    g->fd = -1;
    g->watching = 0;
    gomd_rows_free(g->round);
    g->round = NULL;
    reader_free(&g->reader);
}

int fail_closed(gomd_t *g, int error, const char *format, ...) {
    va_list values;
    va_start(values, format);
    set_error(g, format, values);
    va_end(values);
    hang_up(g);
    g->closed = error;
    return error;
}

const char *gomd_error(const gomd_t *g) {
    return g ? g->error : gomd_strerror(GOMD_E_MEMORY);
}

const char *gomd_strerror(int error) {
    switch (error) {
    case GOMD_OK: return "no error";
    case GOMD_E_USAGE: return "wrong arguments: nothing was sent";
    case GOMD_E_CONNECT: return "no daemon there: start gomd, or name the endpoint of your daemon";
    case GOMD_E_LOST: return "the connection is closed: connect again";
    case GOMD_E_TIMEOUT: return "no answer in time: connect again";
    case GOMD_E_REPLY: return "the answer is not of gomd's protocol: connect to a gomd daemon";
    case GOMD_E_MEMORY: return "out of memory";
    case GOMD_E_UNPROVEN: return "not sent to a port where any program may listen: name the endpoint of your daemon";
    case GOMD_E_ENDED: return "the watch has ended";
    case -400: return "the daemon did not understand the request";
    case -401: return "the daemon needs a token first: gomd_auth";
    case -403: return "not allowed for this role or user";
    case -404: return "there is no such node, process, path or command";
    case -405: return "the daemon cannot do this here";
    case -409: return "it conflicts with the present state";
    case -413: return "the request is too long for the daemon";
    case -429: return "a limit of the daemon is reached: try again later";
    case -500: return "the daemon has an internal error, or does not know the value yet";
    case -502: return "that node cannot be reached";
    case -504: return "that node gave no answer in time";
    default: return error <= -400 && error > -600 ? "the daemon refused" : "an unknown error";
    }
}

gomd_node_t gomd_own_node(const gomd_t *g) {
    return g->node;
}

void gomd_close(gomd_t *g) {
    if (!g) return;
    hang_up(g);
    if (g->token) explicit_bzero(g->token, strlen(g->token));
    free(g->token);
    free(g->endpoint);
    questions_free(g->questions);
    free(g);
}

enum reader_event next_event(gomd_t *g, int64_t deadline) {
    for (;;) {
        size_t room;
        enum reader_event event = reader_next(&g->reader);
        if (event == READER_BAD) {
            fail_closed(g, GOMD_E_REPLY, "the answer is not of gomd's protocol (%s): connect to a gomd daemon", g->reader.problem);
            return event;
        }
        if (event != READER_MORE) return event;
        char *space = reader_space(&g->reader, &room);
        if (!space) {
            fail_closed(g, GOMD_E_MEMORY, "out of memory for the answer: the connection is closed");
            return READER_BAD;
        }
        ssize_t count = recv(g->fd, space, room, 0);
        if (count > 0) {
            reader_filled(&g->reader, (size_t)count);
            if (now_ms() >= deadline && !memchr(space, '\n', (size_t)count)) return READER_MORE;
        } else if (count == 0) {
            fail_closed(g, GOMD_E_LOST, "the daemon closed the connection: connect again");
            return READER_BAD;
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            if (!wait_for(g->fd, POLLIN, deadline)) return READER_MORE;
        } else if (errno != EINTR) {
            char buffer[128];
            fail_closed(g, GOMD_E_LOST, "the connection is lost (%s): connect again", strerror_r(errno, buffer, sizeof buffer));
            return READER_BAD;
        }
    }
}

int closed_error(const gomd_t *g) {
    return g->closed;
}

int bad_row(gomd_t *g, int error, const gomd_rows_t *rows) {
    if (error == GOMD_E_MEMORY) return fail_closed(g, error, "out of memory for the answer: the connection is closed");
    return fail_closed(g, GOMD_E_REPLY, "the answer is not what this verb answers (%s): is the daemon of another version?",
                       rows_problem(rows));
}

int receive(gomd_t *g, const struct receiver *receiver, int64_t deadline) {
    int code = 0, error;
    size_t bytes = 0;
    for (;;) {
        enum reader_event event = next_event(g, deadline);
        if (event == READER_BAD) return closed_error(g);
        if (event == READER_MORE || now_ms() > deadline)
            return fail_closed(g, GOMD_E_TIMEOUT, "no answer within %d ms: the connection is closed; connect again", g->timeout_ms);
        if (event == READER_END) return code;
        if (event == READER_STATUS) {
            code = g->reader.code;
            if (code == 202)
                return fail_closed(g, GOMD_E_REPLY, "the answer is the streams of a job: gomd_run and gomd_attach are for those");
            error = receiver->status(g, receiver->with, code, g->reader.text, g->reader.length);
            if (error != GOMD_OK || code != 201) return error != GOMD_OK ? error : code;
        } else {
            bytes += g->reader.length + 1;
            if (bytes > MAX_BLOCK_BYTES) return fail_closed(g, GOMD_E_REPLY, "the answer is not of gomd's protocol: it has more than 64 MiB");
            error = receiver->line(g, receiver->with, g->reader.text, g->reader.length);
            if (error != GOMD_OK) return error;
        }
    }
}

int send_bytes(gomd_t *g, const char *bytes, size_t length, int64_t deadline) {
    while (length > 0) {
        ssize_t count = send(g->fd, bytes, length, MSG_NOSIGNAL);
        if (count >= 0) {
            bytes += count;
            length -= (size_t)count;
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            if (!wait_for(g->fd, POLLOUT, deadline))
                return fail_closed(g, GOMD_E_TIMEOUT, "the daemon took no request within %d ms: connect again", g->timeout_ms);
        } else if (errno != EINTR) {
            char buffer[128];
            return fail_closed(g, GOMD_E_LOST, "the connection is lost (%s): connect again", strerror_r(errno, buffer, sizeof buffer));
        }
    }
    return GOMD_OK;
}

static int hear_greeting(gomd_t *g, void *with, int code, const char *text, size_t length) {
    (void)with, (void)length;
    if (code >= 400) return fail_closed(g, -code, "the daemon refuses the connection: %.400s", text);
    const char *node = strstr(text, " node ");
    if (code != 220 || strncmp(text, "gomd ", 5) != 0 || !node)
        return fail_closed(g, GOMD_E_REPLY, "the answer is no greeting of gomd: another program listens there");
    long id = strtol(node + 6, NULL, 10);
    if (id < 1 || id > 65535) return fail_closed(g, GOMD_E_REPLY, "the answer is no greeting of gomd: it has no id of a node");
    g->node = (gomd_node_t)id;
    return GOMD_OK;
}

static int hear_format(gomd_t *g, void *with, int code, const char *text, size_t length) {
    (void)with, (void)length;
    if (code == 200) return GOMD_OK;
    return fail_closed(g, code >= 400 ? -code : GOMD_E_REPLY, "the answer to `format json` is not 200: %.300s", text);
}

static int no_block(gomd_t *g, void *with, const char *line, size_t length) {
    (void)with, (void)line, (void)length;
    return fail_closed(g, GOMD_E_REPLY, "the answer is not of gomd's protocol (a block that nobody asked for)");
}

static int greeted(gomd_t *g, int64_t deadline) {
    int code = receive(g, &(struct receiver){hear_greeting, no_block, NULL}, deadline);
    return code < 0 ? code : GOMD_OK;
}

static int in_json(gomd_t *g, int64_t deadline) {
    int error = send_request(g, NULL, (const char *[]){"format", "json", NULL}, deadline);
    if (error != GOMD_OK) return error;
    int code = receive(g, &(struct receiver){hear_format, no_block, NULL}, deadline);
    return code < 0 ? code : GOMD_OK;
}

gomd_t *new_handle(const char *endpoint, int timeout_ms) {
    gomd_t *g = calloc(1, sizeof *g);
    if (!g) return NULL;
    g->fd = -1;
    g->owner = getpid();
    g->timeout_ms = timeout_ms ? timeout_ms : DEFAULT_TIMEOUT_MS;
    reader_init(&g->reader, MAX_LINE_BYTES);
    if (endpoint && !(g->endpoint = strdup(endpoint))) {
        free(g);
        return NULL;
    }
    return g;
}

int keep_endpoint(gomd_t *g, const char *endpoint) {
    if (g->endpoint) return GOMD_OK;
    g->endpoint = strdup(endpoint);
    return g->endpoint ? GOMD_OK : fail_closed(g, GOMD_E_MEMORY, "out of memory: the connection is closed");
}

static int connected(gomd_t *g, int64_t deadline, int secret) {
    int error = g->endpoint && !g->found_socket ? open_endpoint(g, g->endpoint, deadline) : open_default(g, deadline, secret);
    return error == GOMD_OK ? greeted(g, deadline) : error;
}

int gomd_connect(gomd_t **handle, const char *endpoint, int timeout_ms) {
    gomd_t *g = *handle = new_handle(endpoint, timeout_ms);
    if (!g) return GOMD_E_MEMORY;
    if (timeout_ms < 0) return fail(g, GOMD_E_USAGE, "a timeout is a number of milliseconds from 1, or 0 for 30 seconds");
    int64_t deadline = now_ms() + g->timeout_ms;
    int error = connected(g, deadline, 0);
    return error == GOMD_OK ? in_json(g, deadline) : error;
}

/* A request whose answer has no block: the code, or an error. */
static int ask_for_code(gomd_t *g, const char *const *words, int64_t deadline) {
    int error = send_request(g, NULL, words, deadline);
    if (error != GOMD_OK) return error;
    enum reader_event event = next_event(g, deadline);
    if (event == READER_BAD) return closed_error(g);
    if (event == READER_MORE) return fail_closed(g, GOMD_E_TIMEOUT, "no answer to `%s` within %d ms", words[0], g->timeout_ms);
    if (event != READER_STATUS || g->reader.code == 201)
        return fail_closed(g, GOMD_E_REPLY, "the answer is not what `%s` answers", words[0]);
    return g->reader.code >= 400 ? fail_closed(g, -g->reader.code, "%s", g->reader.text) : g->reader.code;
}

static int64_t sooner(const gomd_t *g, int64_t deadline) {
    int64_t own = now_ms() + g->timeout_ms;
    return own < deadline ? own : deadline;
}

int open_frames(gomd_t *g, const char *const *words, int64_t deadline) {
    int code = connected(g, sooner(g, deadline), 1);
    if (code != GOMD_OK) return code;
    if (g->token) code = ask_for_code(g, (const char *[]){"auth", g->token, NULL}, sooner(g, deadline));
    if (code >= 0) code = ask_for_code(g, words, sooner(g, deadline));
    if (code == 202) return GOMD_OK;
    return code < 0 ? code : fail_closed(g, GOMD_E_REPLY, "the answer to `%s` is %d, not 202", words[0], code);
}
