/* What the files of the library share about a connection. */
#ifndef GOMD_CLIENT_H
#define GOMD_CLIENT_H

#include <stdarg.h>

#include "gomd.h"
#include "reader.h"
#include "rows.h"

struct gomd {
    int fd; /* -1: closed */
    int timeout_ms;
    pid_t owner; /* the process that connected */
    int found;   /* a tcp port that nobody named, where any program may listen */
    gomd_node_t node;
    struct reader reader;
    int watching;
    enum kind watched;
    gomd_rows_t *round; /* of a watch, not complete yet */
    size_t round_bytes;
    int closed; /* the error that next_event closed the connection with */
    char error[512];
};

/* Times are milliseconds of the monotonic clock. */
int64_t now_ms(void);
/* Wait until the descriptor is ready: 1, or 0 after the deadline. */
int wait_for(int fd, short events, int64_t deadline);

/* Connect g->fd, to the endpoint or to the daemon of this machine, where `greeted` is called. */
int open_endpoint(gomd_t *g, const char *endpoint, int64_t deadline);
int open_default(gomd_t *g, int64_t deadline, int (*greeted)(gomd_t *, int64_t));

/* Note the sentence, without control characters, and return the error. */
int fail(gomd_t *g, int error, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* The same, and close the connection. */
int fail_closed(gomd_t *g, int error, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Who gets the pieces of a reply. Each returns GOMD_OK, or an error that closes the connection. */
struct receiver {
    int (*status)(gomd_t *, void *, int code, const char *text, size_t length);
    int (*line)(gomd_t *, void *, const char *line, size_t length);
    void *with;
};

/* Send one request. */
int send_request(gomd_t *g, const char *node, const char *const *words, int64_t deadline);
int send_bytes(gomd_t *g, const char *bytes, size_t length, int64_t deadline);
/* The next event of the connection: READER_MORE after the deadline, READER_BAD when the connection had to be closed. */
enum reader_event next_event(gomd_t *g, int64_t deadline);
/* The error of a READER_BAD. */
int closed_error(const gomd_t *g);
/* Whether the verb of a request only reads, and is not a watch. */
int is_reading(const char *const *words);
/* The whole reply: the code, or an error. */
int receive(gomd_t *g, const struct receiver *receiver, int64_t deadline);
/* An answer in time that is none, after rows_add. */
int bad_row(gomd_t *g, int error, const gomd_rows_t *rows);

#endif
