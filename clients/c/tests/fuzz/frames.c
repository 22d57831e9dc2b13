/* The streams of a job: frames in any order and condition at the caller's end, which reads, writes and attaches meanwhile. */
#include <stdlib.h>
#include <string.h>

#include "../../caller.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size) {
    struct caller c;
    struct frame frame;
    if (size < 1) return 0;
    unsigned does = data[0];
    size_t at = 1;
    caller_init(&c, 64, 0, does & 1);
    caller_attach(&c);
    while (frame_next((const char *)data + at, size - at, &frame) == FRAMES_ONE) {
        at += FRAME_HEADER_BYTES + frame.length;
        enum caller_event event = caller_receive(&c, &frame);
        if (event == CALLER_DATA && does & 2) caller_passed_on(&c, frame.kind == FRAME_STDOUT ? 1 : 2, frame.length - frame.length / 3);
        if (event >= CALLER_FAILED) break;
        size_t room = caller_room(&c);
        if (room && does & 4) {
            if (room > 64) abort();
            memset(caller_input(&c, room), 'x', room);
            caller_send_put(&c, room);
            if (caller_room(&c) > 64) abort();
        }
        if (does & 8 && c.attached) caller_end_input(&c);
        if (does & 16) caller_size(&c, 24, 80);
        if (c.input.sent < c.input.base || c.input.sent > sender_end(&c.input)) abort();
        if (queue_length(&c.out) > 1 << 16) queue_drop(&c.out, queue_length(&c.out));
    }
    caller_free(&c);
    return 0;
}
