/* What the files of the library share about a connection. */
#ifndef GOMD_CLIENT_H
#define GOMD_CLIENT_H

#include <stdarg.h>

#include "gomd.h"
#include "reader.h"
#include "rows.h"

/* The longest sentence of an error: it may have the path of a file in it. */
#define SENTENCE_BYTES 4608

struct gomd {
    int fd; /* -1: closed */
    int timeout_ms;
    pid_t owner; /* the process that connected */
    int found;   /* a tcp port that nobody named, where any program may listen */
    int found_socket; /* a unix socket that nobody named: each connection to it has to prove whose it is */
    char *endpoint;   /* where it is connected to; NULL: not yet, and the daemon of this machine is looked for */
    char *token;      /* of gomd_auth, for further connections */
    struct questions *questions; /* of gomd_use_key */
    gomd_node_t node;
    struct reader reader;
    int watching;
    enum kind watched;
    gomd_rows_t *round; /* of a watch, not complete yet */
    size_t round_bytes;
    int closed; /* the error that next_event closed the connection with */
    char error[SENTENCE_BYTES];
};

/* Times are milliseconds of the monotonic clock. */
int64_t now_ms(void);
/* Wait until the descriptor is ready: 1, or 0 after the deadline. */
int wait_for(int fd, short events, int64_t deadline);

void questions_free(struct questions *q);

/* A handle that is not connected: to an endpoint, or to the daemon of this machine. NULL without memory. */
gomd_t *new_handle(const char *endpoint, int timeout_ms);
/* Note where a handle is connected to. */
int keep_endpoint(gomd_t *g, const char *endpoint);
/* GOMD_OK when an endpoint is one, or NULL and there is none in $GOMD_ENDPOINT that is not. */
int check_endpoint(gomd_t *g, const char *endpoint);
/* Connect g->fd. */
int open_endpoint(gomd_t *g, const char *endpoint, int64_t deadline);
/* The same to the daemon of this machine, and note where; `secret`: to one that has proved whose it is, and no other. */
int open_default(gomd_t *g, int64_t deadline, int secret);
/*
 * Open a connection that carries frames behind the 202 to a request; the token, if there is one, is sent first. The greeting
 * and each answer may take the timeout of g, all of it until the deadline.
 */
int open_frames(gomd_t *g, const char *const *words, int64_t deadline);

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
