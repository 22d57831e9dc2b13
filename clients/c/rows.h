/* JSON objects as the structs of gomd.h. */
#ifndef GOMD_ROWS_H
#define GOMD_ROWS_H

#include "gomd.h"

#define MAX_ROWS ((size_t)1000000)

enum kind {
    ROW_VALUE, ROW_NODE, ROW_PROCESS, ROW_JOB, ROW_EVENT, ROW_RANGE, ROW_NAME, ROW_STAT, ROW_CALLER, ROW_STATUS,
    ROW_VERSION, ROW_MEMORY, ROW_FILE, ROW_KINDS
};

/* What kind of rows a verb answers with. */
enum kind kind_of_verb(const char *verb);

gomd_rows_t *rows_new(enum kind kind);
/* Add the row in a line. GOMD_OK, GOMD_E_MEMORY, or GOMD_E_REPLY: then rows_problem says what is wrong with it. */
int rows_add(gomd_rows_t *rows, const char *line, size_t length);
const char *rows_problem(const gomd_rows_t *rows);
/* The code and sentence of a block that could not be completed, when the newest row was that; or 0. */
int rows_failure(const gomd_rows_t *rows, const char **text);
/*
 * Add a row of a watch. *complete: the round has all its rows. A round of the wrong number of rows is GOMD_E_REPLY.
 */
int rows_add_to_round(gomd_rows_t *rows, const char *line, size_t length, int *complete);

#endif
