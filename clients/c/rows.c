/* JSON objects as the structs of gomd.h: one table for each kind of row. */
#define _GNU_SOURCE
#include "rows.h"

#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"
#include "reader.h"

enum type { INTEGER, NUMBER, BOOLEAN, TEXT, SCALAR, INTEGERS };

struct field {
    const char *name;
    enum type type;
    int nullable, required;
    size_t offset;
};

/* The fields as docs/schema/VERB.json has them; a test compares them. R: always there, O: may be missing; N: may be null. */
#define F(type, row, name, nullable, required) {#name, type, nullable, required, offsetof(row, name)}
#define R(type, row, name) F(type, row, name, 0, 1)
#define RN(type, row, name) F(type, row, name, 1, 1)
#define O(type, row, name) F(type, row, name, 0, 0)
#define ON(type, row, name) F(type, row, name, 1, 0)
#define LAST {NULL, INTEGER, 0, 0, 0}

static const struct field node_fields[] = {
    R(INTEGER, gomd_node_row_t, id), R(TEXT, gomd_node_row_t, name), R(TEXT, gomd_node_row_t, address),
    R(INTEGER, gomd_node_row_t, status), R(BOOLEAN, gomd_node_row_t, up), RN(INTEGER, gomd_node_row_t, load),
    RN(INTEGER, gomd_node_row_t, speed), RN(INTEGER, gomd_node_row_t, cpus), RN(INTEGER, gomd_node_row_t, util),
    RN(INTEGER, gomd_node_row_t, mem), RN(INTEGER, gomd_node_row_t, rmem), RN(INTEGER, gomd_node_row_t, tmem),
    RN(NUMBER, gomd_node_row_t, age), LAST};

static const struct field process_fields[] = {
    O(INTEGER, gomd_process_t, node), O(INTEGER, gomd_process_t, home), O(INTEGER, gomd_process_t, pid),
    O(INTEGER, gomd_process_t, ppid), O(INTEGER, gomd_process_t, uid), O(TEXT, gomd_process_t, user),
    O(TEXT, gomd_process_t, state), ON(INTEGER, gomd_process_t, nice), ON(INTEGER, gomd_process_t, threads),
    ON(NUMBER, gomd_process_t, cpu_percent), ON(NUMBER, gomd_process_t, cpu_seconds), ON(INTEGER, gomd_process_t, rss),
    ON(INTEGER, gomd_process_t, vsize), ON(NUMBER, gomd_process_t, start_time), O(INTEGER, gomd_process_t, where),
    O(INTEGER, gomd_process_t, nmigs), O(BOOLEAN, gomd_process_t, lock), O(TEXT, gomd_process_t, cantmove),
    O(TEXT, gomd_process_t, command), ON(NUMBER, gomd_process_t, read_rate), ON(NUMBER, gomd_process_t, write_rate),
    O(INTEGER, gomd_process_t, started), O(TEXT, gomd_process_t, identity), O(BOOLEAN, gomd_process_t, stuck),
    ON(NUMBER, gomd_process_t, age), O(TEXT, gomd_process_t, name), ON(INTEGER, gomd_process_t, swap),
    ON(INTEGER, gomd_process_t, descriptors), ON(TEXT, gomd_process_t, cgroup), ON(TEXT, gomd_process_t, container),
    ON(INTEGER, gomd_process_t, gpu_memory), LAST};

static const struct field job_fields[] = {
    R(INTEGER, gomd_job_t, job), R(INTEGER, gomd_job_t, home), R(INTEGER, gomd_job_t, node), RN(INTEGER, gomd_job_t, pid),
    R(TEXT, gomd_job_t, user), R(TEXT, gomd_job_t, state), RN(INTEGER, gomd_job_t, exit), R(TEXT, gomd_job_t, command),
    R(INTEGER, gomd_job_t, uid), R(NUMBER, gomd_job_t, started), RN(NUMBER, gomd_job_t, ended),
    R(TEXT, gomd_job_t, reason), R(INTEGER, gomd_job_t, nmigs), R(BOOLEAN, gomd_job_t, lock),
    R(BOOLEAN, gomd_job_t, detached), RN(INTEGER, gomd_job_t, pid_there), R(TEXT, gomd_job_t, cantmove),
    R(INTEGERS, gomd_job_t, former), RN(INTEGER, gomd_job_t, memory_max), R(TEXT, gomd_job_t, identity), LAST};

static const struct field event_fields[] = {
    R(NUMBER, gomd_event_t, time), R(TEXT, gomd_event_t, kind), R(INTEGER, gomd_event_t, node),
    R(TEXT, gomd_event_t, name), R(TEXT, gomd_event_t, reason), R(INTEGER, gomd_event_t, by),
    RN(NUMBER, gomd_event_t, seconds), RN(NUMBER, gomd_event_t, stopped_seconds), RN(INTEGER, gomd_event_t, bytes), LAST};

static const struct field range_fields[] = {
    R(INTEGER, gomd_range_t, first), R(TEXT, gomd_range_t, address), R(INTEGER, gomd_range_t, count), LAST};

static const struct field name_fields[] = {R(TEXT, gomd_name_t, name), LAST};

static const struct field stat_fields[] = {
    R(TEXT, gomd_stat_t, name), R(SCALAR, gomd_stat_t, value), R(TEXT, gomd_stat_t, meaning), LAST};

static const struct field caller_fields[] = {
    R(TEXT, gomd_caller_t, role), R(TEXT, gomd_caller_t, user), RN(INTEGER, gomd_caller_t, uid),
    R(TEXT, gomd_caller_t, via), LAST};

static const struct field status_fields[] = {R(INTEGER, gomd_status_t, status), R(TEXT, gomd_status_t, words), LAST};

static const struct field version_fields[] = {
    R(TEXT, gomd_version_t, version), R(INTEGER, gomd_version_t, protocol), LAST};

static const struct field memory_fields[] = {
    RN(INTEGER, gomd_memory_t, mem), RN(INTEGER, gomd_memory_t, rmem), RN(INTEGER, gomd_memory_t, tmem), LAST};

static const struct field file_fields[] = {R(TEXT, gomd_file_t, path), R(TEXT, gomd_file_t, text), LAST};

static const struct field value_fields[] = {LAST};

/* What a row has besides, when several nodes are asked, and in a watch. */
struct source {
    gomd_source_t shown;
    int64_t round, rows;
};
#define S(type, name) {#name, type, 0, 0, offsetof(struct source, shown) + offsetof(gomd_source_t, name)}
static const struct field source_fields[] = {
    S(INTEGER, from), S(INTEGER, code), S(TEXT, error), S(BOOLEAN, left), S(NUMBER, rows_age), S(INTEGER, matched),
    O(INTEGER, struct source, round), O(INTEGER, struct source, rows), LAST};

static const struct {
    const char *verb;
    const struct field *fields;
    size_t size;
} kinds[ROW_KINDS] = {
    [ROW_VALUE] = {"", value_fields, sizeof(gomd_value_t)},
    [ROW_NODE] = {"nodes", node_fields, sizeof(gomd_node_row_t)},
    [ROW_PROCESS] = {"ps", process_fields, sizeof(gomd_process_t)},
    [ROW_JOB] = {"jobs", job_fields, sizeof(gomd_job_t)},
    [ROW_EVENT] = {"events", event_fields, sizeof(gomd_event_t)},
    [ROW_RANGE] = {"map", range_fields, sizeof(gomd_range_t)},
    [ROW_NAME] = {"ls", name_fields, sizeof(gomd_name_t)},
    [ROW_STAT] = {"stats", stat_fields, sizeof(gomd_stat_t)},
    [ROW_CALLER] = {"whoami", caller_fields, sizeof(gomd_caller_t)},
    [ROW_STATUS] = {"status", status_fields, sizeof(gomd_status_t)},
    [ROW_VERSION] = {"version", version_fields, sizeof(gomd_version_t)},
    [ROW_MEMORY] = {"mem", memory_fields, sizeof(gomd_memory_t)},
    [ROW_FILE] = {"get", file_fields, sizeof(gomd_file_t)},
};

struct chunk {
    struct chunk *next;
    _Alignas(8) char bytes[];
};

struct gomd_rows {
    enum kind kind;
    size_t count, room;
    char *rows;
    struct source *sources;
    struct chunk *chunks; /* what the rows point to */
    char *free;
    size_t left;
    int64_t round;
    const char *problem;
};

enum kind kind_of_verb(const char *verb) {
    if (strcasecmp(verb, "node") == 0) return ROW_NODE;
    if (strcasecmp(verb, "auth") == 0) return ROW_CALLER;
    for (int kind = 1; kind < ROW_KINDS; kind++)
        if (strcasecmp(verb, kinds[kind].verb) == 0) return (enum kind)kind;
    return ROW_VALUE;
}

gomd_rows_t *rows_new(enum kind kind) {
    gomd_rows_t *rows = calloc(1, sizeof *rows);
    if (rows) {
        rows->kind = kind;
        rows->round = GOMD_UNKNOWN;
    }
    return rows;
}

void gomd_rows_free(gomd_rows_t *rows) {
    if (!rows) return;
    for (struct chunk *chunk = rows->chunks, *next; chunk; chunk = next) {
        next = chunk->next;
        free(chunk);
    }
    free(rows->rows);
    free(rows->sources);
    free(rows);
}

const char *rows_problem(const gomd_rows_t *rows) {
    return rows->problem ? rows->problem : "a row that is no row";
}

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

static int bad(gomd_rows_t *rows, const char *problem) {
    rows->problem = problem;
    return GOMD_E_REPLY;
}

static void set_unknown(const struct field *fields, char *row) {
    for (; fields->name; fields++) switch (fields->type) {
        case INTEGER: *(int64_t *)(void *)(row + fields->offset) = GOMD_UNKNOWN; break;
        case NUMBER: *(double *)(void *)(row + fields->offset) = (double)NAN; break;
        case BOOLEAN: *(int *)(void *)(row + fields->offset) = -1; break;
        default: break; /* NULL already */
        }
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

/* Jobs are the only rows with a list. */
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
    }
    return bad(rows, "no JSON");
}

static int read_value(gomd_rows_t *rows, struct json *j, gomd_value_t *value) {
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
    /* the daemon writes the names in the order of the table: mostly the next one is it */
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

/* outer: the object may have its values in another one, under `value`. */
static int read_object(gomd_rows_t *rows, struct json *j, char *row, struct source *source, int outer) {
    const struct field *fields = kinds[rows->kind].fields;
    char name[32];
    uint64_t seen = 0, of_source = 0;
    size_t guess = 0, guess_source = 0;
    gomd_value_t *value = rows->kind == ROW_VALUE ? (gomd_value_t *)(void *)row : NULL;
    const char *whole = j->at;
    int error, more;
    json_open(j, '{');
    for (int first = 1; (more = json_more(j, '}', first)) != 0; first = 0) {
        if (more < 0 || !json_name(j, name, sizeof name)) return bad(rows, "no JSON");
        const struct field *field = find(fields, name, &guess);
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
        }
    }
    if (value && !value->json && (error = copy_raw(rows, whole, j->at, &value->json)) != GOMD_OK) return error;
    if (source->shown.error || source->shown.left == 1 || (source->rows == 0 && source->round != GOMD_UNKNOWN)) return GOMD_OK;
    for (size_t i = 0; fields[i].name; i++)
        if (fields[i].required && !(seen & UINT64_C(1) << i)) return bad(rows, "a row without all its values");
    return GOMD_OK;
}

static int make_room(gomd_rows_t *rows) {
    if (rows->count < rows->room) return GOMD_OK;
    if (rows->count >= MAX_ROWS) return bad(rows, "more than a million rows");
    size_t room = rows->room ? rows->room * 2 : 4;
    char *larger = realloc(rows->rows, room * kinds[rows->kind].size);
    if (!larger) return GOMD_E_MEMORY;
    rows->rows = larger;
    struct source *sources = realloc(rows->sources, room * sizeof *sources);
    if (!sources) return GOMD_E_MEMORY;
    rows->sources = sources;
    rows->room = room;
    return GOMD_OK;
}

int rows_add(gomd_rows_t *rows, const char *line, size_t length) {
    struct json j;
    int error = make_room(rows);
    if (error != GOMD_OK) return error;
    char *row = rows->rows + rows->count * kinds[rows->kind].size;
    struct source *source = &rows->sources[rows->count];
    memset(row, 0, kinds[rows->kind].size);
    memset(source, 0, sizeof *source);
    set_unknown(kinds[rows->kind].fields, row);
    set_unknown(source_fields, (char *)source);
    if (rows->kind == ROW_VALUE) *(gomd_value_t *)(void *)row = (gomd_value_t){GOMD_UNKNOWN, (double)NAN, NULL};
    json_begin(&j, line, length);
    char first = json_peek(&j);
    if (first == '{') error = read_object(rows, &j, row, source, 1);
    else if (rows->kind == ROW_VALUE) error = read_value(rows, &j, (gomd_value_t *)(void *)row);
    else if (first == 'n' && rows->kind == ROW_MEMORY) /* of a node that is down */
        error = json_word(&j, "null") ? GOMD_OK : bad(rows, "no JSON");
    else error = bad(rows, "no JSON object");
    if (error != GOMD_OK) return error;
    if (!json_end(&j)) return bad(rows, "something behind the JSON");
    rows->count++;
    return GOMD_OK;
}

int rows_failure(const gomd_rows_t *rows, const char **text) {
    if (rows->count == 0) return 0;
    const gomd_source_t *newest = &rows->sources[rows->count - 1].shown;
    if (!newest->error || newest->from != GOMD_UNKNOWN || newest->code < 400 || newest->code > 599) return 0;
    *text = newest->error;
    return (int)newest->code;
}

int rows_add_to_round(gomd_rows_t *rows, const char *line, size_t length, int *complete) {
    int error = rows_add(rows, line, length);
    *complete = 0;
    if (error != GOMD_OK) return error;
    const struct source *newest = &rows->sources[rows->count - 1];
    if (newest->round == GOMD_UNKNOWN) { /* an event, as it happens; or the end of a watch that failed */
        if (rows->count > 1) return bad(rows, "a row without a round within a round");
        *complete = 1;
        return GOMD_OK;
    }
    if (newest->rows < 0 || newest->rows > (int64_t)MAX_ROWS) return bad(rows, "a round of no possible number of rows");
    if (rows->count == 1) rows->round = newest->round;
    if (newest->round != rows->round || newest->rows != rows->sources[0].rows) return bad(rows, "a round that is not complete");
    if (newest->rows == 0) {
        rows->count = 0;
        *complete = 1;
    } else {
        *complete = (int64_t)rows->count == newest->rows;
    }
    return GOMD_OK;
}

size_t gomd_rows_count(const gomd_rows_t *rows) {
    return rows ? rows->count : 0;
}

int64_t gomd_rows_round(const gomd_rows_t *rows) {
    return rows ? rows->round : GOMD_UNKNOWN;
}

const gomd_source_t *gomd_rows_source(const gomd_rows_t *rows, size_t at) {
    return rows && at < rows->count ? &rows->sources[at].shown : NULL;
}

static const void *row_at(const gomd_rows_t *rows, size_t at, enum kind kind) {
    if (!rows || rows->kind != kind || at >= rows->count) return NULL;
    if (rows->sources[at].shown.error || rows->sources[at].shown.left == 1) return NULL;
    return rows->rows + at * kinds[kind].size;
}

#define ACCESSOR(name, type, kind) \
    const type *name(const gomd_rows_t *rows, size_t at) { return row_at(rows, at, kind); }
ACCESSOR(gomd_rows_node, gomd_node_row_t, ROW_NODE)
ACCESSOR(gomd_rows_process, gomd_process_t, ROW_PROCESS)
ACCESSOR(gomd_rows_job, gomd_job_t, ROW_JOB)
ACCESSOR(gomd_rows_event, gomd_event_t, ROW_EVENT)
ACCESSOR(gomd_rows_range, gomd_range_t, ROW_RANGE)
ACCESSOR(gomd_rows_name, gomd_name_t, ROW_NAME)
ACCESSOR(gomd_rows_stat, gomd_stat_t, ROW_STAT)
ACCESSOR(gomd_rows_caller, gomd_caller_t, ROW_CALLER)
ACCESSOR(gomd_rows_status, gomd_status_t, ROW_STATUS)
ACCESSOR(gomd_rows_version, gomd_version_t, ROW_VERSION)
ACCESSOR(gomd_rows_memory, gomd_memory_t, ROW_MEMORY)
ACCESSOR(gomd_rows_file, gomd_file_t, ROW_FILE)
ACCESSOR(gomd_rows_value, gomd_value_t, ROW_VALUE)
