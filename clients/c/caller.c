/* The caller's end of a job's three streams, without any I/O. */
#include "caller.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void caller_init(struct caller *c, uint64_t window, uint64_t asked, int wants_stops) {
    *c = (struct caller){.asked = asked, .wants_stops = wants_stops};
    c->outputs[0].window = c->outputs[1].window = c->input.window = window;
}

void caller_free(struct caller *c) {
    queue_free(&c->input.kept);
    queue_free(&c->out);
    free(c->told.text);
    c->told.text = NULL;
}

static void put(struct caller *c, enum frame_kind kind, const void *payload, size_t length) {
    if (!frame_put(&c->out, kind, payload, length)) c->no_memory = 1;
}

static void send_input(struct caller *c) {
    size_t length;
    if (!c->attached) return;
    for (;;) {
        const char *piece = sender_next(&c->input, CHUNK_BYTES, &length);
        if (length == 0) break;
        put(c, FRAME_STDIN, piece, length);
    }
    if (c->input_ended && !c->input_end_sent && c->input.sent >= sender_end(&c->input)) {
        c->input_end_sent = 1;
        put(c, FRAME_STDIN_END, NULL, 0);
    }
}

void caller_replaced(struct caller *c) {
    queue_drop(&c->out, queue_length(&c->out));
    c->attached = 0;
}

void caller_attach(struct caller *c) {
    char text[160];
    c->attached = 0;
    c->asked++;
    int length = snprintf(text, sizeof text, "{\"stdout\": %llu, \"stderr\": %llu, \"n\": %llu%s}",
                          (unsigned long long)c->outputs[0].received, (unsigned long long)c->outputs[1].received,
                          (unsigned long long)c->asked, c->wants_stops ? ", \"stops\": true" : "");
    put(c, FRAME_ATTACH, text, (size_t)length);
}

size_t caller_room(const struct caller *c) {
    return !c->attached || c->input_ended || c->exited ? 0 : sender_room(&c->input);
}

char *caller_input(struct caller *c, size_t length) {
    return queue_space(&c->input.kept, length);
}

void caller_send_put(struct caller *c, size_t length) {
    queue_filled(&c->input.kept, length);
    send_input(c);
}

void caller_end_input(struct caller *c) {
    c->input_ended = 1;
    send_input(c);
}

void caller_passed_on(struct caller *c, int output, size_t length) {
    struct receiver_end *r = &c->outputs[output - 1];
    uint64_t position;
    receiver_pass_on(r, length);
    if (!c->attached || c->exited || !receiver_acknowledgement(r, &position)) return;
    if (!frame_put_ack(&c->out, output == 1 ? FRAME_STDOUT : FRAME_STDERR, position)) c->no_memory = 1;
}

void caller_signal(struct caller *c, int number, int group) {
    put(c, FRAME_SIGNAL, (char[]){(char)number, (char)(group != 0)}, 2);
}

void caller_size(struct caller *c, int rows, int columns) {
    c->has_size = 1; /* it is told again with each attachment: one may be lost */
    c->size[0] = (unsigned char)(rows >> 8), c->size[1] = (unsigned char)rows;
    c->size[2] = (unsigned char)(columns >> 8), c->size[3] = (unsigned char)columns;
    put(c, FRAME_WINSIZE, c->size, sizeof c->size);
}

void caller_hang_up(struct caller *c) {
    put(c, FRAME_HANGUP, NULL, 0);
}

void caller_collected(struct caller *c) {
    queue_drop(&c->out, queue_length(&c->out));
    put(c, FRAME_COLLECTED, NULL, 0);
}

static enum caller_event bad(struct caller *c, const char *problem) {
    c->problem = problem;
    return problem ? CALLER_BAD : CALLER_NO_MEMORY;
}

static enum caller_event on_attached(struct caller *c) {
    const struct told *told = &c->told;
    uint64_t input = told->stdin_at == NOT_TOLD ? 0 : (uint64_t)told->stdin_at;
    if (told->n != NOT_TOLD && (uint64_t)told->n != c->asked) return CALLER_NOTHING;
    c->attached = 1;
    if (c->has_size) put(c, FRAME_WINSIZE, c->size, sizeof c->size);
    c->lost[0] = receiver_resume(&c->outputs[0], told->stdout_at == NOT_TOLD ? 0 : (uint64_t)told->stdout_at);
    c->lost[1] = receiver_resume(&c->outputs[1], told->stderr_at == NOT_TOLD ? 0 : (uint64_t)told->stderr_at);
    if (input > sender_end(&c->input)) sender_begin_at(&c->input, input); /* another caller has sent it up to here */
    sender_resume(&c->input, input, told->stdin_taken == NOT_TOLD ? input : (uint64_t)told->stdin_taken);
    c->input_end_sent = 0;
    if (told->stdin_ended) c->input_ended = c->input_end_sent = 1;
    else send_input(c);
    return CALLER_ATTACHED;
}

static enum caller_event on_json(struct caller *c, const struct frame *frame) {
    struct told told;
    const char *problem;
    if (!told_read(frame->payload, frame->length, &told, &problem)) {
        free(told.text);
        return bad(c, problem);
    }
    free(c->told.text);
    c->told = told;
    switch (frame->kind) {
    case FRAME_STARTED: return told.job == NOT_TOLD ? bad(c, "a STARTED without the number of the job") : CALLER_STARTED;
    case FRAME_ATTACHED: return on_attached(c);
    case FRAME_EXIT:
        if (!c->attached && !told.lost) return CALLER_NOTHING; /* it comes again, behind the output */
        if (told.exit == NOT_TOLD) c->told.exit = 0;
        c->exited = 1;
        return CALLER_EXITED;
    default: return CALLER_FAILED;
    }
}

enum caller_event caller_receive(struct caller *c, const struct frame *frame) {
    enum caller_event event = CALLER_NOTHING;
    uint64_t position;
    int stream;
    switch (frame->kind) {
    case FRAME_STDOUT:
    case FRAME_STDERR:
        if (!c->attached) break; /* of an older attachment: it comes again */
        if (!receiver_receive(&c->outputs[frame->kind - FRAME_STDOUT], frame->length)) return bad(c, "more output than the window allows");
        event = CALLER_DATA;
        break;
    case FRAME_ACK:
        if (!frame_ack(frame, &stream, &position)) return bad(c, "an acknowledgement of no stream");
        if (stream == FRAME_STDIN && c->attached && sender_acknowledge(&c->input, position)) {
            send_input(c);
            event = CALLER_INPUT_TAKEN;
        }
        break;
    case FRAME_STARTED:
    case FRAME_ATTACHED:
    case FRAME_EXIT:
    case FRAME_FAILED: event = on_json(c, frame); break;
    case FRAME_RESUME: caller_attach(c); break;
    default: break;
    }
    return c->no_memory ? CALLER_NO_MEMORY : event;
}
