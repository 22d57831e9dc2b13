/* The bytes of a connection as the lines of replies, without any I/O. */
#include "reader.h"

#include <stdlib.h>
#include <string.h>

#include "json.h"

void reader_init(struct reader *r, size_t max_line) {
    *r = (struct reader){.max_line = max_line};
}

void reader_free(struct reader *r) {
    free(r->bytes);
    reader_init(r, r->max_line);
}

int reader_has_rest(const struct reader *r) {
    return r->begin < r->end;
}

char *reader_space(struct reader *r, size_t *room) {
    if (r->begin == r->end) r->begin = r->seen = r->end = 0;
    if (r->end == r->room && r->begin > r->room / 2) {
        memmove(r->bytes, r->bytes + r->begin, r->end - r->begin);
        r->seen -= r->begin;
        r->end -= r->begin;
        r->begin = 0;
    }
    if (r->end == r->room) {
        size_t larger = r->room ? r->room * 2 : 16384;
        char *bytes = realloc(r->bytes, larger);
        if (!bytes) return NULL;
        r->bytes = bytes;
        r->room = larger;
    }
    *room = r->room - r->end;
    return r->bytes + r->end;
}

void reader_filled(struct reader *r, size_t count) {
    r->end += count;
}

static enum reader_event bad(struct reader *r, const char *problem) {
    r->problem = problem;
    return READER_BAD;
}

static enum reader_event status(struct reader *r, char *line, size_t length) {
    if (length < 3 || line[0] < '2' || line[0] > '5' || line[1] < '0' || line[1] > '9' || line[2] < '0' || line[2] > '9' ||
        (length > 3 && line[3] != ' '))
        return bad(r, "a line without a status of three digits");
    r->code = (line[0] - '0') * 100 + (line[1] - '0') * 10 + (line[2] - '0');
    r->text = length > 3 ? line + 4 : line + 3;
    r->length = length > 3 ? length - 4 : 0;
    r->in_block = r->code == 201;
    return READER_STATUS;
}

enum reader_event reader_next(struct reader *r) {
    if (r->begin == r->end) return READER_MORE;
    char *line = r->bytes + r->begin;
    char *end = memchr(r->bytes + r->seen, '\n', r->end - r->seen);
    if (!end) {
        r->seen = r->end;
        return r->end - r->begin > r->max_line ? bad(r, "a line that is too long") : READER_MORE;
    }
    r->begin = r->seen = (size_t)(end - r->bytes) + 1;
    if (end > line && end[-1] == '\r') end--;
    *end = 0;
    size_t length = (size_t)(end - line);
    if (length > r->max_line) return bad(r, "a line that is too long");
    if (memchr(line, 0, length)) return bad(r, "a line with a NUL in it");
    if (!r->in_block) return status(r, line, length);
    if (length == 1 && line[0] == '.') {
        r->in_block = 0;
        return READER_END;
    }
    int doubled = length > 1 && line[0] == '.' && line[1] == '.';
    r->text = line + doubled;
    r->length = length - (size_t)doubled;
    return READER_LINE;
}

int broken_block(const char *line, size_t length, const char **text, char **made) {
    struct json j;
    int64_t code = 0;
    char *error = NULL, name[8];
    *made = NULL;
    if (length >= 6 && line[0] == '!' && line[1] == ' ' && line[5] == ' ') {
        for (int i = 2; i < 5; i++) {
            if (line[i] < '0' || line[i] > '9') return 0;
            code = code * 10 + (line[i] - '0');
        }
        *text = line + 6;
        return code >= 400 && code < 600 ? (int)code : 0;
    }
    json_begin(&j, line, length);
    if (!json_open(&j, '{')) return 0;
    for (int first = 1, more; (more = json_more(&j, '}', first)) != 0; first = 0) {
        if (more < 0 || !json_name(&j, name, sizeof name)) goto other;
        if (strcmp(name, "code") == 0) {
            if (!json_integer(&j, &code)) goto other;
        } else if (strcmp(name, "error") == 0 && !error) {
            error = malloc(json_string_room(&j));
            if (!error || !json_string(&j, error, NULL)) goto other;
        } else {
            goto other; /* a row of a node that failed has `from` */
        }
    }
    if (error && code >= 400 && code < 600 && json_end(&j)) {
        *text = *made = error;
        return (int)code;
    }
other:
    free(error);
    return 0;
}
