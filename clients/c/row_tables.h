/* What the files about rows share: the tables of the kinds of rows, and where rows are kept. */
#ifndef GOMD_ROW_TABLES_H
#define GOMD_ROW_TABLES_H

#include <stddef.h>

#include "json.h"
#include "rows.h"

enum type { INTEGER, NUMBER, BOOLEAN, TEXT, SCALAR, INTEGERS, TEXTS };

struct field {
    const char *name;
    enum type type;
    int nullable, required;
    size_t offset;
};

/* What a row has besides, when several nodes are asked, and in a watch. */
struct source {
    gomd_source_t shown;
    int64_t round, rows;
};
struct row_kind {
    const char *verb;
    const struct field *fields;
    size_t size;
};

extern const struct row_kind row_kinds[ROW_KINDS];
extern const struct field source_fields[];

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

/* row_reader.c */
/* Note what is wrong with a row; returns GOMD_E_REPLY. */
int bad(gomd_rows_t *rows, const char *problem);
/* outer: the object may have its values in another one, under `value`. */
int read_object(gomd_rows_t *rows, struct json *j, char *row, struct source *source, int outer);
int read_value(gomd_rows_t *rows, struct json *j, gomd_value_t *value);

#endif
