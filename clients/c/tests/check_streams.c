/*
 * The caller's end of a job's streams, without any connection: the vectors of the resumable streams, and 100,000 streams of
 * damaged frames. Its argument is the file of vectors, tests/data/wire/streams.json.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../caller.h"
#include "../json.h"
#include "expect.h"

static void check(int good, const char *what, const char *vector, int step) {
    char which[128];
    snprintf(which, sizeof which, "%s, step %d", vector, step);
    expect(good, what, which);
}

static char *take_text(struct json *j) {
    char *text = malloc(json_string_room(j));
    MUST(text && json_string(j, text, NULL));
    return text;
}

static size_t from_hex(struct json *j, char **to) {
    char *hex = take_text(j);
    size_t length = strlen(hex) / 2;
    *to = malloc(length + 1);
    for (size_t i = 0; i < length; i++) {
        unsigned value;
        MUST(sscanf(hex + 2 * i, "%2x", &value) == 1);
        (*to)[i] = (char)value;
    }
    free(hex);
    return length;
}

/* The value of a member of the object that j is at; 0: it has none, or null. */
static int find(struct json j, const char *wanted, struct json *value) {
    char name[32];
    int more;
    MUST(json_open(&j, '{'));
    for (int first = 1; (more = json_more(&j, '}', first)) == 1; first = 0) {
        MUST(json_name(&j, name, sizeof name));
        *value = j;
        if (strcmp(name, wanted) == 0) return json_peek(value) != 'n';
        MUST(json_skip(&j));
    }
    MUST(more == 0);
    return 0;
}

static int64_t number_at(struct json j) {
    int64_t value;
    MUST(json_integer(&j, &value));
    return value;
}

/* Frames of JSON are compared by value: only ATTACH is sent. */
static int are_same(const struct queue *out, const char *wanted, size_t length) {
    const char *at = queue_bytes(out);
    size_t left = queue_length(out);
    struct frame ours, theirs;
    while (left && length) {
        if (frame_next(at, left, &ours) != FRAMES_ONE || frame_next(wanted, length, &theirs) != FRAMES_ONE || ours.kind != theirs.kind) return 0;
        if (ours.kind == FRAME_ATTACH) {
            struct told a, b;
            const char *problem;
            if (!told_read(ours.payload, ours.length, &a, &problem) || !told_read(theirs.payload, theirs.length, &b, &problem)) return 0;
            int stops = memmem(ours.payload, ours.length, "stops", 5) != NULL;
            if (a.stdout_at != b.stdout_at || a.stderr_at != b.stderr_at || a.n != b.n ||
                stops != (memmem(theirs.payload, theirs.length, "stops", 5) != NULL))
                return 0;
        } else if (ours.length != theirs.length || memcmp(ours.payload, theirs.payload, ours.length) != 0) return 0;
        at += ours.length + FRAME_HEADER_BYTES, left -= ours.length + FRAME_HEADER_BYTES;
        wanted += theirs.length + FRAME_HEADER_BYTES, length -= theirs.length + FRAME_HEADER_BYTES;
    }
    return left == 0 && length == 0;
}

static int is_event(struct caller *c, enum caller_event event, const struct frame *frame, struct json wanted, int has_event) {
    struct json value, stop, lost[2];
    if (!has_event) return event == CALLER_NOTHING;
    if (find(wanted, "started", &value)) return event == CALLER_STARTED && c->told.job == number_at(value);
    if (find(wanted, "attached", &value)) {
        if (event != CALLER_ATTACHED || !find(value, "stdout", &lost[0]) || !find(value, "stderr", &lost[1])) return 0;
        if (find(wanted, "stop", &stop) && c->told.stopped != number_at(stop)) return 0;
        return (int64_t)c->lost[0] == number_at(lost[0]) && (int64_t)c->lost[1] == number_at(lost[1]);
    }
    if (find(wanted, "input taken", &value)) return event == CALLER_INPUT_TAKEN && (int64_t)c->input.taken == number_at(value);
    if (find(wanted, "data", &value)) {
        char *bytes, *stream;
        MUST(json_open(&value, '['));
        stream = take_text(&value);
        MUST(json_more(&value, ']', 0) == 1);
        size_t length = from_hex(&value, &bytes);
        int good = event == CALLER_DATA && frame->kind == (strcmp(stream, "stdout") == 0 ? FRAME_STDOUT : FRAME_STDERR) &&
                   frame->length == length && memcmp(frame->payload, bytes, length) == 0;
        free(bytes);
        free(stream);
        return good;
    }
    MUST(find(wanted, "exited", &value));
    struct json reason;
    MUST(find(wanted, "reason", &reason));
    char *text = take_text(&reason);
    int good = event == CALLER_EXITED && c->told.exit == number_at(value) && strcmp(text, c->told.text ? c->told.text : "") == 0;
    free(text);
    return good;
}

static void do_step(struct caller *c, const char *vector, int number, struct json step) {
    struct json value, with, out, wanted;
    char *bytes = NULL, *expected;
    MUST(find(step, "do", &value));
    char *what = take_text(&value);
    int has_with = find(step, "with", &with), has_event = find(step, "event", &wanted);
    MUST(find(step, "out", &out) || strcmp(what, "wants stops") == 0 || strcmp(what, "input room") == 0);
    if (strcmp(what, "attach") == 0) caller_attach(c);
    else if (strcmp(what, "wants stops") == 0) c->wants_stops = 1;
    else if (strcmp(what, "connection replaced") == 0) caller_replaced(c);
    else if (strcmp(what, "end input") == 0) caller_end_input(c);
    else if (strcmp(what, "collected") == 0) caller_collected(c);
    else if (strcmp(what, "input room") == 0) check(caller_room(c) == (size_t)number_at(with), what, vector, number);
    else if (strcmp(what, "input") == 0) {
        size_t length = from_hex(&with, &bytes);
        memcpy(caller_input(c, length), bytes, length);
        caller_send_put(c, length);
    } else if (strcmp(what, "passed on") == 0) {
        MUST(has_with && json_open(&with, '['));
        char *stream = take_text(&with);
        MUST(json_more(&with, ']', 0) == 1);
        caller_passed_on(c, strcmp(stream, "stdout") == 0 ? 1 : 2, (size_t)number_at(with));
        free(stream);
    } else {
        struct frame frame;
        MUST(strcmp(what, "frame") == 0);
        size_t length = from_hex(&with, &bytes);
        MUST(frame_next(bytes, length, &frame) == FRAMES_ONE);
        for (size_t i = 0; i < length; i++) check(frame_next(bytes, i, &frame) == FRAMES_MORE, "half a frame", vector, number);
        MUST(frame_next(bytes, length, &frame) == FRAMES_ONE);
        check(is_event(c, caller_receive(c, &frame), &frame, wanted, has_event), "the event", vector, number);
    }
    if (find(step, "out", &out)) {
        size_t length = from_hex(&out, &expected);
        check(are_same(&c->out, expected, length), what, vector, number);
        queue_drop(&c->out, queue_length(&c->out));
        free(expected);
    }
    free(bytes);
    free(what);
}

static int play(struct json vector) {
    struct json value;
    struct caller c;
    int number = 0;
    MUST(find(vector, "end", &value));
    char *end = take_text(&value);
    int is_caller = strcmp(end, "caller") == 0;
    free(end);
    if (!is_caller) return 0;
    MUST(find(vector, "name", &value));
    char *name = take_text(&value);
    MUST(find(vector, "window", &value));
    caller_init(&c, (uint64_t)number_at(value), 0, 0);
    MUST(find(vector, "steps", &value) && json_open(&value, '['));
    for (int first = 1; json_more(&value, ']', first) == 1; first = 0) {
        do_step(&c, name, number++, value);
        MUST(json_skip(&value));
    }
    caller_free(&c);
    free(name);
    return 1;
}

/* Frames that are whole and that are not, in any order: nothing but an event may come of them. */
static void damage(unsigned seed) {
    static const char *const texts[] = {
        "{\"job\": 7}", "{\"stdout\": 0, \"stderr\": 0, \"stdin\": 0, \"n\": 1}", "{\"stdout\": 9223372036854775807, \"stdin\": 5, \"n\": 1}",
        "{\"exit\": 3, \"reason\": \"x\\udcff\\u0000\"}", "{\"code\": 403, \"text\": \"no\"}", "[", "{\"n\": -1}", "{\"job\": null}"};
    struct queue bytes = {0};
    struct caller c;
    struct frame frame;
    srand(seed);
    caller_init(&c, WINDOW_BYTES, 0, seed & 1);
    caller_attach(&c);
    for (int i = 0; i < 6; i++) {
        const char *text = texts[rand() % 8];
        int kind = rand() % 3 ? (int[]){FRAME_STARTED, FRAME_ATTACHED, FRAME_EXIT, FRAME_FAILED, FRAME_RESUME, FRAME_STDOUT}[rand() % 6] : rand() % 30;
        if (rand() % 6 == 0) frame_put_ack(&bytes, rand() % 2 ? FRAME_STDIN : rand() % 20, (uint64_t)rand() << (rand() % 40));
        else frame_put(&bytes, (enum frame_kind)kind, text, strlen(text));
    }
    if (rand() % 2) bytes.bytes[(size_t)rand() % bytes.end] = (char)rand();
    while (frame_next(queue_bytes(&bytes), queue_length(&bytes), &frame) == FRAMES_ONE) {
        enum caller_event event = caller_receive(&c, &frame);
        if (event == CALLER_DATA) caller_passed_on(&c, frame.kind == FRAME_STDOUT ? 1 : 2, frame.length / 2);
        if (event >= CALLER_FAILED) break;
        size_t room = caller_room(&c);
        if (room > 100) memset(caller_input(&c, 100), 'i', 100), caller_send_put(&c, 100);
        queue_drop(&bytes, FRAME_HEADER_BYTES + frame.length);
    }
    caller_free(&c);
    queue_free(&bytes);
}

int main(int argc, char **argv) {
    struct json j;
    int vectors = 0;
    FILE *file = argc == 2 ? fopen(argv[1], "r") : NULL;
    MUST(file);
    static char text[1 << 20];
    size_t length = fread(text, 1, sizeof text, file);
    fclose(file);
    json_begin(&j, text, length);
    MUST(json_open(&j, '['));
    for (int first = 1; json_more(&j, ']', first) == 1; first = 0) {
        vectors += play(j);
        MUST(json_skip(&j));
    }
    for (unsigned seed = 0; seed < 100000; seed++) damage(seed);
    printf("%d vectors of streams; %d checks held, %d failed\n", vectors, held, failed);
    return failed != 0;
}
