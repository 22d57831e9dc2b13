/* A JSON object as a row: each value where the table says. */
#define _GNU_SOURCE
#include "row_tables.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static void *space(gomd_rows_t *rows, size_t size) {
    size = (size + 7) & ~(size_t)7;
    if (size > rows->left) {
        size_t room = size > 16384 ? size : 16384;
        struct chunk *chunk = malloc(sizeof *chunk + room);
        if (!chunk) return NULL;
        chunk->next = rows->chunks;
        rows->chunks = chunk;
        rows->free = chunk->bytes;
        rows->left = room;
    }
    void *given = rows->free;
    rows->free += size;
    rows->left -= size;
    return given;
}

int bad(gomd_rows_t *rows, const char *problem) {
    rows->problem = problem;
    return GOMD_E_REPLY;
}

static int copy_raw(gomd_rows_t *rows, const char *from, const char *to, const char **text) {
    size_t length = (size_t)(to - from);
    char *copy = space(rows, length + 1);
    if (!copy) return GOMD_E_MEMORY;
    memcpy(copy, from, length);
    copy[length] = 0;
    *text = copy;
    return GOMD_OK;
}

static int read_text(gomd_rows_t *rows, struct json *j, const char **text) {
    size_t length;
    const char *plain = json_plain(j, &length);
    if (plain) return copy_raw(rows, plain, plain + length, text);
    if (json_peek(j) != '"') return bad(rows, "a text is expected");
    char *to = space(rows, json_string_room(j));
    if (!to) return GOMD_E_MEMORY;
    if (!json_string(j, to, &length)) return bad(rows, "a text that is none");
    *text = to;
    return GOMD_OK;
}

/* A list of texts, as one text with commas. */
static int read_texts(gomd_rows_t *rows, struct json *j, const char **text) {
    struct json counting = *j;
    size_t room = 1, length;
    if (!json_open(&counting, '[')) return bad(rows, "a list is expected");
    for (int first = 1, more; (more = json_more(&counting, ']', first)) != 0; first = 0) {
        if (more < 0 || json_peek(&counting) != '"') return bad(rows, "a list of texts is expected");
        room += json_string_room(&counting) + 1;
        if (!json_skip(&counting)) return bad(rows, "a text that is none");
    }
    char *to = space(rows, room);
    if (!to) return GOMD_E_MEMORY;
    *text = to;
    *to = 0;
    json_open(j, '[');
    for (int first = 1; json_more(j, ']', first) > 0; first = 0) {
        if (!first) *to++ = ',';
        json_peek(j);
        if (!json_string(j, to, &length)) return bad(rows, "a text that is none");
        to += length;
    }
    return GOMD_OK;
}

/* Jobs are the only rows with a list of numbers. */
static int read_integers(gomd_rows_t *rows, struct json *j, char *row) {
    gomd_job_t *job = (gomd_job_t *)(void *)row;
    struct json counting = *j;
    size_t count = 0;
    int64_t value;
    if (!json_open(&counting, '[')) return bad(rows, "a list is expected");
    for (int first = 1, more; (more = json_more(&counting, ']', first)) != 0; first = 0, count++)
        if (more < 0 || !json_integer(&counting, &value)) return bad(rows, "a list of whole numbers is expected");
    int64_t *values = space(rows, count * sizeof *values);
    if (!values) return GOMD_E_MEMORY;
    json_open(j, '[');
    for (size_t i = 0; i < count; i++) {
        json_more(j, ']', i == 0);
        json_integer(j, &values[i]);
    }
    json_more(j, ']', count == 0);
    job->former = values;
    job->former_count = count;
    return GOMD_OK;
}

static int read_field(gomd_rows_t *rows, struct json *j, const struct field *field, char *row) {
    char *at = row + field->offset;
    char next = json_peek(j);
    if (next == 'n') {
        if (!field->nullable) return bad(rows, "null where a value is expected");
        return json_word(j, "null") ? GOMD_OK : bad(rows, "no JSON");
    }
    switch (field->type) {
    case INTEGER:
        return json_integer(j, (int64_t *)(void *)at) ? GOMD_OK : bad(rows, "a whole number is expected");
    case NUMBER:
        return json_number(j, (double *)(void *)at) ? GOMD_OK : bad(rows, "a number is expected");
    case BOOLEAN:
        *(int *)(void *)at = next == 't';
        return json_word(j, next == 't' ? "true" : "false") ? GOMD_OK : bad(rows, "true or false is expected");
    case TEXT:
        return read_text(rows, j, (const char **)(void *)at);
    case SCALAR: {
        double number;
        if (next == '"') return read_text(rows, j, (const char **)(void *)at);
        const char *begin = j->at;
        if (!json_number(j, &number)) return bad(rows, "a number or a text is expected");
        return copy_raw(rows, begin, j->at, (const char **)(void *)at);
    }
    case INTEGERS:
        return read_integers(rows, j, row);
    case TEXTS:
        return read_texts(rows, j, (const char **)(void *)at);
    }
    return bad(rows, "no JSON");
}

int read_value(gomd_rows_t *rows, struct json *j, gomd_value_t *value) {
    double number;
    int64_t integer;
    json_peek(j);
    struct json again = *j, once_more = *j;
    const char *begin = j->at;
    if (!json_skip(j)) return bad(rows, "no JSON");
    if (json_integer(&again, &integer) && again.at == j->at) value->integer = integer;
    if (json_number(&once_more, &number) && once_more.at == j->at) value->number = number;
    return copy_raw(rows, begin, j->at, &value->json);
}

static const struct field *find(const struct field *fields, const char *name, size_t *guess) {
    if (fields[*guess].name && strcmp(fields[*guess].name, name) == 0) return &fields[(*guess)++];
    for (size_t i = 0; fields[i].name; i++)
        if (strcmp(fields[i].name, name) == 0) {
            *guess = i + 1;
            return &fields[i];
        }
    return NULL;
}

/* Whether a verb answers with one value, which stands under `value` where several nodes are asked, and in a watch. */
static int has_one_value(enum kind kind) {
    return kind == ROW_CALLER || kind == ROW_STATUS || kind == ROW_VERSION || kind == ROW_MEMORY || kind == ROW_FILE;
}

int read_object(gomd_rows_t *rows, struct json *j, char *row, struct source *source, int outer) {
    const struct field *fields = row_kinds[rows->kind].fields;
    char name[32] = "";
    uint64_t seen = 0, of_source = 0;
    size_t guess = 0, guess_source = 0;
    gomd_value_t *value = rows->kind == ROW_VALUE ? (gomd_value_t *)(void *)row : NULL;
    const char *whole = j->at;
    int error, more, has_more_than_value = 0;
    json_open(j, '{');
    for (int first = 1; (more = json_more(j, '}', first)) != 0; first = 0) {
        const struct field *field = NULL;
        if (more < 0) return bad(rows, "no JSON");
        /* the daemon writes the names in the order of the table: mostly the next one is it */
        if (fields[guess].name && json_is_name(j, fields[guess].name)) field = &fields[guess++];
        else if (!json_name(j, name, sizeof name)) return bad(rows, "no JSON");
        else field = find(fields, name, &guess);
        char *at = row;
        uint64_t *known = &seen, bit = field ? UINT64_C(1) << (field - fields) : 0;
        if (!field && (field = find(source_fields, name, &guess_source))) {
            at = (char *)source;
            known = &of_source;
            bit = UINT64_C(1) << (field - source_fields);
        }
        if (field) {
            if (*known & bit) return bad(rows, "a name twice");
            *known |= bit;
            if ((error = read_field(rows, j, field, at)) != GOMD_OK) return error;
        } else if (value && !value->json && strcmp(name, "value") == 0) {
            if ((error = read_value(rows, j, value)) != GOMD_OK) return error;
        } else if (outer && has_one_value(rows->kind) && strcmp(name, "value") == 0 && json_peek(j) == '{') {
            if (seen) return bad(rows, "a name twice");
            if ((error = read_object(rows, j, row, source, 0)) != GOMD_OK) return error;
            seen = UINT64_MAX;
        } else if (outer && rows->kind == ROW_MEMORY && strcmp(name, "value") == 0 && json_word(j, "null")) {
            seen = UINT64_MAX; /* of a node that is down */
        } else if (!json_skip(j)) {
            return bad(rows, "no JSON");
        } else {
            has_more_than_value = 1;
        }
    }
    if (value && has_more_than_value) *value = (gomd_value_t){GOMD_UNKNOWN, (double)NAN, NULL}; /* one of a row's values */
    if (value && !value->json && (error = copy_raw(rows, whole, j->at, &value->json)) != GOMD_OK) return error;
    if (source->shown.error || source->shown.left == 1 || (source->rows == 0 && source->round != GOMD_UNKNOWN)) return GOMD_OK;
    for (size_t i = 0; fields[i].name; i++)
        if (fields[i].required && !(seen & UINT64_C(1) << i)) return bad(rows, "a row without all its values");
    return GOMD_OK;
}
