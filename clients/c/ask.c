/* One request and its answer: as lines, and as structs. */
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>

#include "client.h"

struct gomd_reply {
    int code;
    char *text;
    size_t count, room;
    char **lines;
    int failure; /* the code of a block that could not be completed */
};

static char *copied(const char *text, size_t length) {
    char *copy = malloc(length + 1);
    if (copy) {
        memcpy(copy, text, length);
        copy[length] = 0;
    }
    return copy;
}

static int out_of_memory(gomd_t *g) {
    return fail_closed(g, GOMD_E_MEMORY, "out of memory for the answer: the connection is closed");
}

static int keep_status(gomd_t *g, void *with, int code, const char *text, size_t length) {
    gomd_reply_t *reply = with;
    reply->code = code;
    reply->text = copied(text, length);
    return reply->text ? GOMD_OK : out_of_memory(g);
}

static int keep_line(gomd_t *g, void *with, const char *line, size_t length) {
    gomd_reply_t *reply = with;
    if (reply->count == MAX_ROWS) return fail_closed(g, GOMD_E_REPLY, "the answer is not of gomd's protocol: it has more than a million lines");
    if (reply->count == reply->room) {
        size_t room = reply->room ? reply->room * 2 : 16;
        char **larger = realloc(reply->lines, room * sizeof *larger);
        if (!larger) return out_of_memory(g);
        reply->lines = larger;
        reply->room = room;
    }
    char *copy = copied(line, length);
    if (!copy) return out_of_memory(g);
    reply->lines[reply->count++] = copy;
    return GOMD_OK;
}

static int refused(gomd_t *g, int code, const char *text) {
    if (code >= 400) return fail(g, -code, "%s", text);
    return GOMD_OK;
}

int gomd_ask(gomd_t *g, const char *node, const char *const *words, gomd_reply_t **answer) {
    static const char *const others[] = {"format", "watch", "run", "attach", "carry", "migration", "moved", NULL};
    *answer = NULL;
    if (!words || !words[0]) return fail(g, GOMD_E_USAGE, "a request begins with a verb");
    for (size_t i = 0; others[i]; i++)
        if (strcasecmp(words[0], others[i]) == 0)
            return fail(g, GOMD_E_USAGE, "`%s` is no request for gomd_ask: its answer is no reply of lines", others[i]);
    int64_t deadline = now_ms() + g->timeout_ms;
    int code = send_request(g, node, words, deadline);
    if (code != GOMD_OK) return code;
    gomd_reply_t *reply = calloc(1, sizeof *reply);
    if (!reply) return out_of_memory(g);
    code = receive(g, &(struct receiver){keep_status, keep_line, reply}, deadline);
    if (code < 0) {
        gomd_reply_free(reply);
        return code;
    }
    *answer = reply;
    if (code == 201 && reply->count) {
        const char *last = reply->lines[reply->count - 1], *text;
        char *made;
        reply->failure = broken_block(last, strlen(last), &text, &made);
        if (reply->failure) {
            code = refused(g, reply->failure, text);
            free(made);
            free(reply->lines[--reply->count]);
            return code;
        }
    }
    return refused(g, code, reply->text);
}

int gomd_reply_code(const gomd_reply_t *reply) {
    return reply ? reply->code : 0;
}

const char *gomd_reply_text(const gomd_reply_t *reply) {
    return reply ? reply->text : NULL;
}

size_t gomd_reply_count(const gomd_reply_t *reply) {
    return reply ? reply->count : 0;
}

const char *gomd_reply_line(const gomd_reply_t *reply, size_t at) {
    return reply && at < reply->count ? reply->lines[at] : NULL;
}

void gomd_reply_free(gomd_reply_t *reply) {
    if (!reply) return;
    while (reply->count) free(reply->lines[--reply->count]);
    free(reply->lines);
    free(reply->text);
    free(reply);
}

static int nibble(char c) {
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

size_t gomd_original(const char *text, unsigned char *to) {
    size_t done = 0;
    while (*text) {
        if (text[0] == '\\' && text[1] == 'x' && nibble(text[2]) >= 0 && nibble(text[3]) >= 0) {
            to[done++] = (unsigned char)(nibble(text[2]) << 4 | nibble(text[3]));
            text += 4;
        } else {
            to[done++] = (unsigned char)*text++;
        }
    }
    return done;
}

struct reading {
    gomd_rows_t *rows;
    int refusal;
};

static int read_status(gomd_t *g, void *with, int code, const char *text, size_t length) {
    struct reading *reading = with;
    if (code >= 400) {
        reading->refusal = fail(g, -code, "%s", text);
    } else if (code == 200) {
        int error = rows_add(reading->rows, text, length);
        if (error != GOMD_OK) return bad_row(g, error, reading->rows);
    } else if (code != 201) {
        return fail_closed(g, GOMD_E_REPLY, "the answer is not of gomd's protocol: the code %d has no value", code);
    }
    return GOMD_OK;
}

static int read_line(gomd_t *g, void *with, const char *line, size_t length) {
    struct reading *reading = with;
    int error = rows_add(reading->rows, line, length);
    return error == GOMD_OK ? GOMD_OK : bad_row(g, error, reading->rows);
}

int gomd_read(gomd_t *g, const char *node, const char *const *words, gomd_rows_t **rows) {
    const char *text;
    *rows = NULL;
    if (!is_reading(words)) return fail(g, GOMD_E_USAGE, "gomd_read asks the verbs that read: use gomd_ask");
    int64_t deadline = now_ms() + g->timeout_ms;
    int error = send_request(g, node, words, deadline);
    if (error != GOMD_OK) return error;
    struct reading reading = {.rows = rows_new(kind_of_verb(words[0]))};
    if (!reading.rows) return out_of_memory(g);
    int code = receive(g, &(struct receiver){read_status, read_line, &reading}, deadline);
    error = code < 0 ? code : reading.refusal;
    if (error == GOMD_OK && (code = rows_failure(reading.rows, &text)) != 0) error = fail(g, -code, "%s", text);
    if (error != GOMD_OK) gomd_rows_free(reading.rows);
    else *rows = reading.rows;
    return error;
}
