/* What a connection carries behind a 202: frames, as bytes, without any I/O. docs/jobs-protocol.md lists the kinds. */
#ifndef GOMD_FRAMES_H
#define GOMD_FRAMES_H

#include <stddef.h>
#include <stdint.h>

#include "queue.h"

#define FRAME_HEADER_BYTES ((size_t)5)
#define MAX_FRAME_BYTES ((size_t)1 << 20)
/* The whole frame of a job's description: more is taken by no daemon. */
#define MAX_SPEC_BYTES ((size_t)16 << 20)
/* Bytes of a stream in one frame, and under way. */
#define CHUNK_BYTES ((size_t)1 << 16)
#define WINDOW_BYTES ((size_t)1 << 20)

enum frame_kind {
    FRAME_SPEC = 1, FRAME_ATTACH, FRAME_STDIN, FRAME_STDIN_END, FRAME_SIGNAL, FRAME_WINSIZE, FRAME_HANGUP, FRAME_COLLECTED,
    FRAME_ACK, FRAME_MOVE,
    FRAME_STARTED = 16, FRAME_ATTACHED, FRAME_STDOUT, FRAME_STDERR, FRAME_EXIT, FRAME_FAILED, FRAME_RESUME, FRAME_MOVED,
    FRAME_MESSAGE, FRAME_PIECE
};

struct frame {
    int kind;
    const char *payload;
    size_t length;
};

enum frame_event { FRAMES_MORE, FRAMES_ONE, FRAMES_BAD };

/*
 * The frame at the beginning of some bytes, which has FRAME_HEADER_BYTES + length of them. FRAMES_BAD: an unknown
 * kind, or a length that is not taken; it is told from the header alone.
 */
enum frame_event frame_next(const char *bytes, size_t length, struct frame *frame);
/* Add a frame. 0 without memory. */
int frame_put(struct queue *q, enum frame_kind kind, const void *payload, size_t length);
int frame_put_ack(struct queue *q, int stream, uint64_t position);
/* The stream and position of an ACK, or 0. */
int frame_ack(const struct frame *frame, int *stream, uint64_t *position);

#endif
