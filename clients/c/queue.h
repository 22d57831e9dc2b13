/* Bytes that wait: added at the end, taken from the beginning. */
#ifndef GOMD_QUEUE_H
#define GOMD_QUEUE_H

#include <stddef.h>

struct queue {
    char *bytes;
    size_t begin, end, room;
};

/* Where at least so many bytes can be put behind the last; NULL without memory. queue_filled counts them. */
char *queue_space(struct queue *q, size_t least);
void queue_filled(struct queue *q, size_t count);
/* 0 without memory: nothing was added then. */
int queue_append(struct queue *q, const void *bytes, size_t length);
void queue_drop(struct queue *q, size_t count);
void queue_free(struct queue *q);

static inline size_t queue_length(const struct queue *q) {
    return q->end - q->begin;
}

static inline const char *queue_bytes(const struct queue *q) {
    return q->bytes ? q->bytes + q->begin : "";
}

#endif
