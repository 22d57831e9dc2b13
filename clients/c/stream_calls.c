/* What is asked of a job's streams, and what is only noted to be sent. Nothing here waits. */
#define _GNU_SOURCE
#include <limits.h>
#include <poll.h>
#include <string.h>

#include "streams.h"

int gomd_streams_fd(const gomd_streams_t *s) {
    return s->fd;
}

short gomd_streams_events(const gomd_streams_t *s) {
    return POLLIN | (!s->send_failed && (queue_length(&s->sending) || queue_length(&s->end.out)) ? POLLOUT : 0);
}

int gomd_streams_due(const gomd_streams_t *s) {
    int64_t left = s->due < 0 ? -1 : s->due - now_ms();
    return s->due < 0 ? -1 : left < 0 ? 0 : left > INT_MAX ? INT_MAX : (int)left;
}

const gomd_streams_state_t *gomd_streams_state(const gomd_streams_t *s) {
    return &s->state;
}

const char *gomd_streams_error(const gomd_streams_t *s) {
    return s ? gomd_error(s->line) : gomd_strerror(GOMD_E_MEMORY);
}

const char *gomd_streams_output(const gomd_streams_t *s, int stream, size_t *length) {
    const struct queue *output = &s->output[stream == 2];
    *length = queue_length(output);
    return queue_bytes(output);
}

void gomd_streams_taken(gomd_streams_t *s, int stream, size_t length) {
    struct queue *output = &s->output[stream == 2];
    if (length > queue_length(output)) length = queue_length(output);
    queue_drop(output, length);
    caller_passed_on(&s->end, stream == 2 ? 2 : 1, length);
}

size_t gomd_streams_room(const gomd_streams_t *s) {
    return s->error || s->fd < 0 ? 0 : caller_room(&s->end);
}

int gomd_streams_put(gomd_streams_t *s, const void *data, size_t length) {
    if (s->error) return s->error;
    if (s->state.input_ended) return fail(s->line, GOMD_E_ENDED, "job %lld takes no more input", (long long)s->state.job);
    if (length > gomd_streams_room(s)) return fail(s->line, GOMD_E_USAGE, "there is no room for %zu bytes of input", length);
    if (length == 0) return GOMD_OK;
    char *space = caller_input(&s->end, length);
    if (!space) return fail(s->line, GOMD_E_MEMORY, "out of memory for the input of the job");
    memcpy(space, data, length);
    caller_send_put(&s->end, length);
    return GOMD_OK;
}

int gomd_streams_end_input(gomd_streams_t *s) {
    if (s->error) return s->error;
    caller_end_input(&s->end);
    s->state.input_ended = 1;
    return GOMD_OK;
}

int gomd_streams_signal(gomd_streams_t *s, int number, int group) {
    if (s->error) return s->error;
    if (number < 1 || number > 64) return fail(s->line, GOMD_E_USAGE, "there is no signal %d: they are 1 to 64", number);
    if (!s->state.exited) caller_signal(&s->end, number, group);
    return GOMD_OK;
}

int gomd_streams_size(gomd_streams_t *s, int rows, int columns) {
    if (s->error) return s->error;
    if (rows < 0 || rows > 65535 || columns < 0 || columns > 65535) return fail(s->line, GOMD_E_USAGE, "a terminal has 0 to 65535 rows and columns");
    if (!s->state.exited) caller_size(&s->end, rows, columns);
    return GOMD_OK;
}
