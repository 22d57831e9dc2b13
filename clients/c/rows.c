/* Rows, one behind the other, as they come; and what is asked of them. */
#define _GNU_SOURCE
#include "rows.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "reader.h"
#include "row_tables.h"

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

static void set_unknown(const struct field *fields, char *row) {
    for (; fields->name; fields++) switch (fields->type) {
        case INTEGER: *(int64_t *)(void *)(row + fields->offset) = GOMD_UNKNOWN; break;
        case NUMBER: *(double *)(void *)(row + fields->offset) = (double)NAN; break;
        case BOOLEAN: *(int *)(void *)(row + fields->offset) = -1; break;
        default: break; /* NULL already */
        }
}

static int make_room(gomd_rows_t *rows) {
    if (rows->count < rows->room) return GOMD_OK;
    if (rows->count >= MAX_ROWS) return bad(rows, "more than a million rows");
    size_t room = rows->room ? rows->room * 2 : 4;
    char *larger = realloc(rows->rows, room * row_kinds[rows->kind].size);
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
    char *row = rows->rows + rows->count * row_kinds[rows->kind].size;
    struct source *source = &rows->sources[rows->count];
    memset(row, 0, row_kinds[rows->kind].size);
    memset(source, 0, sizeof *source);
    set_unknown(row_kinds[rows->kind].fields, row);
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
    return rows->rows + at * row_kinds[kind].size;
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
