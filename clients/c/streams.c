/* The streams of a job over a connection, step by step: nothing here waits for longer than it was told. */
#define _GNU_SOURCE
#include "streams.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MAX_READ_BYTES ((size_t)1 << 18)
/* Output that waits here, at most: a window for each of many attachments. A daemon that sends more lies. */
#define MAX_OUTPUT_BYTES ((size_t)64 << 20)
/* What waits to be sent, at most: input has a window, and everything else is small. */
#define MAX_SENDING_BYTES ((size_t)16 << 20)
#define FAREWELL_MS 1000
#define DEFAULT_RECONNECT_MS 30000

gomd_streams_t *streams_new(gomd_t *line) {
    gomd_streams_t *s = line ? calloc(1, sizeof *s) : NULL;
    uint64_t serial = 0;
    if (!s) {
        gomd_close(line);
        return NULL;
    }
    s->line = line;
    s->fd = -1;
    s->due = s->lost_at = -1;
    s->reconnect_ms = DEFAULT_RECONNECT_MS;
    s->state.job = s->state.home = s->state.node = s->state.pid = s->state.stopped = GOMD_UNKNOWN;
    if (getrandom(&serial, 6, GRND_NONBLOCK) != 6) serial = ((uint64_t)now_ms() ^ (uint64_t)time(NULL) << 20) & 0xffffffffffff;
    caller_init(&s->end, WINDOW_BYTES, serial, 1);
    return s;
}

static void close_connection(gomd_streams_t *s) {
    if (s->fd >= 0) close(s->fd);
    s->fd = -1;
    s->due = -1;
    s->send_failed = s->early_exit = 0;
    s->state.connected = s->state.attached = 0;
    s->end.attached = 0;
    queue_drop(&s->in, queue_length(&s->in));
    queue_drop(&s->sending, queue_length(&s->sending));
}

int streams_fail(gomd_streams_t *s, int error, const char *format, ...) {
    char sentence[SENTENCE_BYTES];
    va_list values;
    va_start(values, format);
    vsnprintf(sentence, sizeof sentence, format, values);
    va_end(values);
    fail(s->line, error, "%s", sentence);
    close_connection(s);
    return s->error = error;
}

/* The connection is gone; another one may do. */
static int lost(gomd_streams_t *s, const char *why) {
    snprintf(s->why, sizeof s->why, "%s", why);
    close_connection(s);
    if (s->state.job == GOMD_UNKNOWN) {
        if (s->spec_bytes > MAX_FRAME_BYTES)
            return streams_fail(s, -405, "the daemon does not take %zu bytes of arguments and environment: one of an older version takes "
                                "1 MiB; others take 48 MiB of all callers at a time, try again", s->spec_bytes);
        return streams_fail(s, GOMD_E_LOST, "the daemon went away before the job began (%s)", why);
    }
    if (s->lost_at < 0) s->lost_at = now_ms();
    return fail(s->line, GOMD_E_LOST, "the daemon went away; job %lld may go on: attach to it again (%s)", (long long)s->state.job, why);
}

void streams_flush(gomd_streams_t *s) {
    if (queue_length(&s->end.out)) {
        if (queue_append(&s->sending, queue_bytes(&s->end.out), queue_length(&s->end.out)))
            queue_drop(&s->end.out, queue_length(&s->end.out));
        else s->end.no_memory = 1;
    }
    while (s->fd >= 0 && !s->send_failed && queue_length(&s->sending)) {
        ssize_t count = send(s->fd, queue_bytes(&s->sending), queue_length(&s->sending), MSG_NOSIGNAL | MSG_DONTWAIT);
        if (count >= 0) {
            queue_drop(&s->sending, (size_t)count);
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            break;
        } else if (errno != EINTR) { /* what the daemon said before it went is still to be read */
            queue_drop(&s->sending, queue_length(&s->sending));
            s->send_failed = 1;
        }
    }
}

/* All is read: tell the daemon that the exit status has arrived, and hang up. */
static void finish(gomd_streams_t *s) {
    int64_t deadline = now_ms() + FAREWELL_MS;
    caller_collected(&s->end);
    streams_flush(s);
    while (s->fd >= 0 && !s->send_failed && queue_length(&s->sending) && wait_for(s->fd, POLLOUT, deadline)) streams_flush(s);
    close_connection(s);
}

static void finish_if_read(gomd_streams_t *s) {
    if (s->fd >= 0 && s->state.exited && !queue_length(&s->output[0]) && !queue_length(&s->output[1])) finish(s);
}

static void add_lost(int64_t *sum, uint64_t more) {
    *sum = more > (uint64_t)(INT64_MAX - *sum) ? INT64_MAX : *sum + (int64_t)more;
}

static int64_t known(int64_t value) {
    return value == NOT_TOLD ? GOMD_UNKNOWN : value;
}

static int on_failed(gomd_streams_t *s, const struct told *told) {
    int64_t code = told->code;
    int error = code == 126 || code == 127 || (code >= 400 && code <= 599) ? -(int)code : -500;
    return streams_fail(s, error, "%s", told->text && *told->text ? told->text : "the daemon gives no reason");
}

static int happened(gomd_streams_t *s, enum caller_event event, const struct frame *frame) {
    gomd_streams_state_t *state = &s->state;
    const struct told *told = &s->end.told;
    struct queue *output;
    switch (event) {
    case CALLER_STARTED:
        state->job = told->job;
        state->home = known(told->home), state->node = known(told->node), state->pid = known(told->pid);
        state->detached = told->detached, state->tty = told->tty;
        break;
    case CALLER_ATTACHED:
        state->attachments++;
        state->stopped = known(told->stopped);
        add_lost(&state->lost[0], s->end.lost[0]);
        add_lost(&state->lost[1], s->end.lost[1]);
        s->lost_at = -1;
        break;
    case CALLER_DATA:
        output = &s->output[frame->kind - FRAME_STDOUT];
        if (queue_length(output) + frame->length > MAX_OUTPUT_BYTES)
            return streams_fail(s, GOMD_E_REPLY, "the daemon does not keep to the protocol (more output than the window allows)");
        if (!queue_append(output, frame->payload, frame->length)) return streams_fail(s, GOMD_E_MEMORY, "out of memory for the output of the job");
        break;
    case CALLER_EXITED:
        if (state->job == GOMD_UNKNOWN)
            return streams_fail(s, GOMD_E_REPLY, "the daemon does not keep to the protocol (an EXIT of a job that has not begun)");
        state->exited = 1;
        state->exit = (int)(told->exit & 0xff);
        state->signal = told->signal > 0 && told->signal <= 64 ? (int)told->signal : 0;
        free(s->reason);
        s->reason = told->text && *told->text ? strdup(told->text) : NULL;
        state->reason = s->reason;
        break;
    case CALLER_FAILED: return on_failed(s, told);
    case CALLER_BAD: return streams_fail(s, GOMD_E_REPLY, "the daemon does not keep to the protocol (%s)", s->end.problem);
    case CALLER_NO_MEMORY: return streams_fail(s, GOMD_E_MEMORY, "out of memory for the streams of the job");
    default: break;
    }
    state->attached = s->end.attached;
    state->input_ended = s->end.input_ended || state->exited;
    return GOMD_OK;
}

/* Take the frames that have come. */
static int take(gomd_streams_t *s) {
    struct frame frame;
    for (;;) {
        enum frame_event found = frame_next(queue_bytes(&s->in), queue_length(&s->in), &frame);
        if (found == FRAMES_BAD) return streams_fail(s, GOMD_E_REPLY, "the daemon does not keep to the protocol (no frame of a kind and size that is known)");
        if (found == FRAMES_MORE || s->state.exited) break;
        int error = happened(s, caller_receive(&s->end, &frame), &frame);
        if (error != GOMD_OK) return error;
        s->early_exit = !s->end.attached && (s->early_exit || frame.kind == FRAME_EXIT);
        queue_drop(&s->in, FRAME_HEADER_BYTES + frame.length);
        if (queue_length(&s->end.out) + queue_length(&s->sending) > MAX_SENDING_BYTES)
            return streams_fail(s, GOMD_E_REPLY, "the daemon does not keep to the protocol (it asks again and again, and takes no answer)");
    }
    s->due = !s->state.exited && (queue_length(&s->in) || s->early_exit) ? now_ms() + s->line->timeout_ms : -1;
    finish_if_read(s);
    return GOMD_OK;
}

static int receive_bytes(gomd_streams_t *s) {
    char *space = queue_space(&s->in, MAX_READ_BYTES), buffer[128];
    if (!space) return streams_fail(s, GOMD_E_MEMORY, "out of memory for the streams of the job");
    ssize_t count = recv(s->fd, space, MAX_READ_BYTES, MSG_DONTWAIT);
    if (count > 0) {
        queue_filled(&s->in, (size_t)count);
        return take(s);
    }
    if (count == 0) return lost(s, "it closed the connection");
    if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR) return GOMD_OK;
    return lost(s, strerror_r(errno, buffer, sizeof buffer));
}

int gomd_streams_step(gomd_streams_t *s, int timeout_ms) {
    if (s->error) return s->error;
    if (s->line->owner != getpid()) return fail(s->line, GOMD_E_USAGE, "these streams are of the process that forked: attach to the job here");
    if (s->state.exited) {
        finish_if_read(s);
        return GOMD_OK;
    }
    if (s->fd < 0) return fail(s->line, GOMD_E_LOST, "there is no connection to job %lld: gomd_streams_reconnect makes one", (long long)s->state.job);
    streams_flush(s);
    if (s->end.no_memory) return streams_fail(s, GOMD_E_MEMORY, "out of memory for the streams of the job");
    int64_t now = now_ms(), left = timeout_ms < 0 ? INT_MAX : timeout_ms;
    if (s->due >= 0 && s->due - now < left) left = s->due > now ? s->due - now : 0;
    struct pollfd waiting = {.fd = s->fd, .events = gomd_streams_events(s)};
    int ready = poll(&waiting, 1, left == INT_MAX ? -1 : (int)left), error = GOMD_OK;
    if (ready > 0 && waiting.revents & ~POLLOUT) error = receive_bytes(s);
    else if (s->due >= 0 && now_ms() >= s->due)
        return streams_fail(s, GOMD_E_TIMEOUT, "the daemon began to answer, and then nothing came for %d ms", s->line->timeout_ms);
    if (error == GOMD_OK) streams_flush(s);
    return error;
}

/* The connection of the handle, behind a 202, is that of the streams from here on. `attach`: ask for them. */
static int join(gomd_streams_t *s, int attach) {
    gomd_t *g = s->line;
    close_connection(s);
    caller_replaced(&s->end);
    int kept = queue_append(&s->in, g->reader.bytes + g->reader.begin, g->reader.end - g->reader.begin);
    s->fd = g->fd;
    g->fd = -1;
    reader_free(&g->reader);
    (void)setsockopt(s->fd, SOL_SOCKET, SO_KEEPALIVE, &(int){1}, sizeof(int));
    s->state.connected = 1;
    if (!kept) return streams_fail(s, GOMD_E_MEMORY, "out of memory for the streams of the job");
    if (attach) caller_attach(&s->end);
    int error = take(s);
    if (error == GOMD_OK) streams_flush(s);
    return error;
}

int streams_run(gomd_streams_t *s, const gomd_spec_t *spec, int64_t deadline) {
    struct queue frame = {0};
    int error = put_spec(s->line, spec, &frame);
    s->spec_bytes = queue_length(&frame);
    s->detach = error == GOMD_OK && spec->detach;
    if (error == GOMD_OK) error = open_frames(s->line, (const char *[]){"run", NULL}, deadline);
    int64_t sent = now_ms() + s->line->timeout_ms + (int64_t)(s->spec_bytes >> 9); /* 512 bytes a millisecond */
    if (error == GOMD_OK && !s->detach) { /* the streams are asked for in one breath: the daemon passes both on together */
        caller_attach(&s->end);
        if (!queue_append(&frame, queue_bytes(&s->end.out), queue_length(&s->end.out))) error = fail(s->line, GOMD_E_MEMORY, "out of memory for the description of the job");
    }
    if (error == GOMD_OK) error = send_bytes(s->line, queue_bytes(&frame), queue_length(&frame), sent < deadline ? sent : deadline);
    queue_free(&frame);
    if (error == GOMD_E_LOST && s->spec_bytes > MAX_FRAME_BYTES) return lost(s, gomd_error(s->line));
    return error == GOMD_OK ? join(s, 0) : (s->error = error);
}

int streams_attach(gomd_streams_t *s, const char *job, int64_t deadline) {
    int error = open_frames(s->line, (const char *[]){"attach", job, NULL}, deadline);
    return error == GOMD_OK ? join(s, 1) : error;
}

int gomd_streams_reconnect(gomd_streams_t *s, int timeout_ms) {
    if (s->error) return s->error;
    if (s->fd >= 0 || s->state.exited) return GOMD_OK;
    char number[24];
    snprintf(number, sizeof number, "%lld", (long long)s->state.job);
    int error = streams_attach(s, number, timeout_ms > 0 ? now_ms() + timeout_ms : INT64_MAX);
    if (error == -404) return s->error = error;
    return error;
}

void streams_hang_up(gomd_streams_t *s) {
    caller_hang_up(&s->end);
    streams_flush(s);
}

void gomd_streams_close(gomd_streams_t *s) {
    if (!s) return;
    if (s->fd >= 0 && s->state.exited && s->line->owner == getpid()) finish(s);
    close_connection(s);
    caller_free(&s->end);
    queue_free(&s->in);
    queue_free(&s->sending);
    queue_free(&s->output[0]);
    queue_free(&s->output[1]);
    free(s->reason);
    gomd_close(s->line);
    free(s);
}
