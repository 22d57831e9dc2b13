/* What the job's end tells in the JSON of a frame. */
#ifndef GOMD_TOLD_H
#define GOMD_TOLD_H

#include <stddef.h>
#include <stdint.h>

/* A number that the frame does not have, or has as null. */
#define NOT_TOLD (-1)

struct told {
    /* of STARTED */
    int64_t job, home, node, pid;
    int detached, tty;
    /* of ATTACHED: positions, and a number of the caller's */
    int64_t stdout_at, stderr_at, stdin_at, stdin_taken, n, stopped;
    int stdin_ended;
    /* of EXIT and FAILED; the text is allocated, or NULL */
    int64_t exit, signal, code;
    int lost;
    char *text;
};

/*
 * 1, or 0: no JSON object, or a value that cannot be, and `problem` says which; or no memory, and it is NULL.
 * The text is to be freed in any case.
 */
int told_read(const char *payload, size_t length, struct told *told, const char **problem);

#endif
