/* Bytes that wait: added at the end, taken from the beginning. */
#include "queue.h"

#include <stdlib.h>
#include <string.h>

char *queue_space(struct queue *q, size_t least) {
    size_t length = queue_length(q);
    if (length == 0) q->begin = q->end = 0;
    if (q->room - q->end >= least && q->bytes) return q->bytes + q->end;
    if (q->begin >= length && q->room - length >= least) { /* each byte is moved once at most for each that was taken */
        memmove(q->bytes, q->bytes + q->begin, length);
    } else {
        size_t room = q->room ? q->room : 4096;
        while (room - length < least) room *= 2;
        char *bytes = malloc(room);
        if (!bytes) return NULL;
        if (length) memcpy(bytes, q->bytes + q->begin, length);
        free(q->bytes);
        q->bytes = bytes;
        q->room = room;
    }
    q->begin = 0;
    q->end = length;
    return q->bytes + q->end;
}

void queue_filled(struct queue *q, size_t count) {
    q->end += count;
}

int queue_append(struct queue *q, const void *bytes, size_t length) {
    if (length == 0) return 1;
    char *space = queue_space(q, length);
    if (!space) return 0;
    memcpy(space, bytes, length);
    q->end += length;
    return 1;
}

void queue_drop(struct queue *q, size_t count) {
    q->begin += count;
    if (q->begin >= q->end) q->begin = q->end = 0;
}

void queue_free(struct queue *q) {
    free(q->bytes);
    *q = (struct queue){0};
}
