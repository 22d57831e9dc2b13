/* What a connection carries behind a 202: frames, as bytes, without any I/O. */
#include "frames.h"

#include <string.h>

enum frame_event frame_next(const char *bytes, size_t length, struct frame *frame) {
    const unsigned char *header = (const unsigned char *)bytes;
    if (length < FRAME_HEADER_BYTES) return FRAMES_MORE;
    size_t payload = (size_t)header[1] << 24 | (size_t)header[2] << 16 | (size_t)header[3] << 8 | header[4];
    int known = (header[0] >= FRAME_SPEC && header[0] <= FRAME_MOVE) || (header[0] >= FRAME_STARTED && header[0] <= FRAME_PIECE);
    if (!known || payload > MAX_FRAME_BYTES) return FRAMES_BAD;
    if (length - FRAME_HEADER_BYTES < payload) return FRAMES_MORE;
    *frame = (struct frame){header[0], bytes + FRAME_HEADER_BYTES, payload};
    return FRAMES_ONE;
}

int frame_put(struct queue *q, enum frame_kind kind, const void *payload, size_t length) {
    char *at = queue_space(q, FRAME_HEADER_BYTES + length);
    if (!at) return 0;
    at[0] = (char)kind;
    for (int i = 0; i < 4; i++) at[1 + i] = (char)(length >> (24 - 8 * i));
    if (length) memcpy(at + FRAME_HEADER_BYTES, payload, length);
    queue_filled(q, FRAME_HEADER_BYTES + length);
    return 1;
}

int frame_put_ack(struct queue *q, int stream, uint64_t position) {
    char payload[9] = {(char)stream};
    for (int i = 0; i < 8; i++) payload[1 + i] = (char)(position >> (56 - 8 * i));
    return frame_put(q, FRAME_ACK, payload, sizeof payload);
}

int frame_ack(const struct frame *frame, int *stream, uint64_t *position) {
    const unsigned char *payload = (const unsigned char *)frame->payload;
    if (frame->length != 9) return 0;
    *stream = payload[0];
    *position = 0;
    for (int i = 1; i < 9; i++) *position = *position << 8 | payload[i];
    return *stream == FRAME_STDIN || *stream == FRAME_STDOUT || *stream == FRAME_STDERR;
}
