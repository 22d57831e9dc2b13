/* Jobs for programs that may wait: run, attach, and the calls that block. */
#define _GNU_SOURCE
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "streams.h"

#define RETRY_MS 100

static int has_begun(const gomd_streams_t *s) {
    return s->state.job != GOMD_UNKNOWN;
}

static int has_output(const gomd_streams_t *s) {
    return queue_length(&s->output[0]) || queue_length(&s->output[1]) || s->state.exited;
}

static int has_room(const gomd_streams_t *s) {
    return gomd_streams_room(s) > 0 || s->state.input_ended;
}

static int has_sent(const gomd_streams_t *s) {
    return (!queue_length(&s->sending) && !queue_length(&s->end.out)) || s->state.exited;
}

static int has_ended(const gomd_streams_t *s) {
    return s->state.exited;
}

/* There is no connection: make one, or give up. */
static int try_again(gomd_streams_t *s, int64_t deadline) {
    int64_t now = now_ms(), end = s->lost_at < 0 ? now : s->lost_at + s->reconnect_ms;
    if (now >= end)
        return streams_fail(s, GOMD_E_LOST, "the daemon went away; job %lld may go on: attach to it again (%s)", (long long)s->state.job, s->why);
    int64_t left = (end < deadline ? end : deadline) - now;
    int error = gomd_streams_reconnect(s, left < 1 ? 1 : left > INT_MAX ? INT_MAX : (int)left);
    if (error == GOMD_OK || s->error) return error;
    snprintf(s->why, sizeof s->why, "%s", gomd_error(s->line)); /* it is not back, or its end of the old connection is not yet gone */
    (void)poll(NULL, 0, left < RETRY_MS ? (int)left : RETRY_MS);
    return GOMD_OK;
}

static int until(gomd_streams_t *s, int (*ready)(const gomd_streams_t *), int timeout_ms, const char *what) {
    int64_t deadline = timeout_ms < 0 ? INT64_MAX : now_ms() + timeout_ms;
    for (int first = 1; !ready(s); first = 0) {
        int64_t left = timeout_ms < 0 ? -1 : deadline - now_ms();
        if (s->error) return s->error;
        if (timeout_ms >= 0 && left <= 0) {
            if (!first) return fail(s->line, GOMD_E_TIMEOUT, "%s did not come within %d ms", what, timeout_ms);
            left = 0;
        }
        int vain = s->lost_at >= 0;
        int error = s->fd < 0 ? try_again(s, deadline) : gomd_streams_step(s, left > INT_MAX ? INT_MAX : (int)left);
        if (error == GOMD_E_LOST && !s->error) {
            if (s->reconnect_ms == 0) return s->error = error;
            if (vain) (void)poll(NULL, 0, RETRY_MS); /* that connection was no good: the daemon is not really back */
        } else if (error != GOMD_OK) {
            return error;
        }
    }
    return GOMD_OK;
}

/* Streams with a handle like g, which has no connection yet. */
static gomd_streams_t *like(const gomd_t *g) {
    gomd_t *line = new_handle(g->endpoint, g->timeout_ms);
    if (!line) return NULL;
    line->found = g->found;
    line->found_socket = g->found_socket;
    if (g->token && !(line->token = strdup(g->token))) {
        gomd_close(line);
        return NULL;
    }
    return streams_new(line);
}

static int begun(gomd_t *g, gomd_streams_t *s, int error, int64_t deadline, gomd_streams_t **streams) {
    int64_t left = deadline - now_ms();
    if (error == GOMD_OK) error = until(s, has_begun, left < 0 ? 0 : (int)left, "the beginning of the job");
    if (error != GOMD_OK) {
        fail(g, error, "%s", gomd_error(s->line));
        gomd_streams_close(s);
        return error;
    }
    if (s->detach) streams_fail(s, GOMD_E_ENDED, "job %lld was left running: gomd_attach has its streams", (long long)s->state.job);
    *streams = s;
    return GOMD_OK;
}

static int ready_to_begin(gomd_t *g) {
    if (!g->endpoint) return fail(g, GOMD_E_LOST, "this handle was never connected: connect again");
    return GOMD_OK;
}

int gomd_run(gomd_t *g, const gomd_spec_t *spec, gomd_streams_t **streams) {
    *streams = NULL;
    if (ready_to_begin(g) != GOMD_OK) return GOMD_E_LOST;
    int64_t deadline = now_ms() + g->timeout_ms;
    gomd_streams_t *s = like(g);
    return s ? begun(g, s, streams_run(s, spec, deadline), deadline, streams) : fail(g, GOMD_E_MEMORY, "out of memory for the streams of the job");
}

int gomd_attach(gomd_t *g, int64_t job, gomd_streams_t **streams) {
    *streams = NULL;
    if (ready_to_begin(g) != GOMD_OK) return GOMD_E_LOST;
    if (job < 1) return fail(g, GOMD_E_USAGE, "the number of a job is 1 or more");
    char number[24];
    snprintf(number, sizeof number, "%lld", (long long)job);
    int64_t deadline = now_ms() + g->timeout_ms;
    gomd_streams_t *s = like(g);
    return s ? begun(g, s, streams_attach(s, number, deadline), deadline, streams) : fail(g, GOMD_E_MEMORY, "out of memory for the streams of the job");
}

int gomd_streams_set_reconnect(gomd_streams_t *s, int timeout_ms) {
    if (timeout_ms < 0) return fail(s->line, GOMD_E_USAGE, "the time for a daemon to come back is 0 milliseconds or more");
    s->reconnect_ms = timeout_ms;
    return GOMD_OK;
}

/* What gomd_streams_read has given is passed on once it is called again. */
static void take_shown(gomd_streams_t *s) {
    for (int i = 0; i < 2; i++) {
        if (s->shown[i]) gomd_streams_taken(s, i + 1, s->shown[i]);
        s->shown[i] = 0;
    }
}

int gomd_streams_read(gomd_streams_t *s, int timeout_ms, int *stream, const char **data, size_t *length) {
    take_shown(s);
    *stream = 0, *data = NULL, *length = 0;
    if (!has_output(s)) {
        int error = until(s, has_output, timeout_ms, "output");
        if (error != GOMD_OK) return error;
    }
    streams_flush(s);
    for (int i = 0; i < 2; i++) {
        *data = gomd_streams_output(s, i + 1, length);
        if (*length == 0) continue;
        s->shown[i] = *length;
        *stream = i + 1;
        return GOMD_OK;
    }
    (void)gomd_streams_step(s, 0);
    return fail(s->line, GOMD_E_ENDED, "job %lld has ended, and all of its output is read", (long long)s->state.job);
}

int gomd_streams_write(gomd_streams_t *s, int timeout_ms, const void *data, size_t length, size_t *done) {
    int64_t deadline = timeout_ms < 0 ? -1 : now_ms() + timeout_ms;
    size_t count = 0;
    int error = GOMD_OK;
    while (error == GOMD_OK && count < length) {
        int64_t left = deadline < 0 ? -1 : deadline - now_ms();
        error = until(s, has_room, deadline < 0 ? -1 : left < 0 ? 0 : (int)left, "room for input");
        if (error != GOMD_OK) break;
        size_t piece = gomd_streams_room(s);
        if (piece > length - count) piece = length - count;
        error = gomd_streams_put(s, (const char *)data + count, piece);
        if (error == GOMD_OK) count += piece;
    }
    if (error == GOMD_OK) {
        int64_t left = deadline < 0 ? -1 : deadline - now_ms();
        error = until(s, has_sent, deadline < 0 ? -1 : left < 0 ? 0 : (int)left, "room on the connection");
    }
    if (done) *done = count;
    return error;
}

int gomd_streams_wait(gomd_streams_t *s, int timeout_ms) {
    int error = until(s, has_ended, timeout_ms, "the end of the job");
    return error == GOMD_OK ? s->state.exit : error;
}
