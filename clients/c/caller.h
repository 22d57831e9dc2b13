/*
 * The caller's end of a job's three streams, without any I/O: frames in, what they mean and frames out.
 * docs/wire.md, "The three of a job", is the rule; tests/data/wire/streams.json has vectors.
 */
#ifndef GOMD_CALLER_H
#define GOMD_CALLER_H

#include "frames.h"
#include "resumable.h"
#include "told.h"

enum caller_event {
    CALLER_NOTHING,
    CALLER_STARTED,     /* told: job, home, node, pid, detached, tty */
    CALLER_ATTACHED,    /* lost: bytes of each output that never come; told.stopped */
    CALLER_DATA,        /* of output 1 or 2: the payload of the frame */
    CALLER_INPUT_TAKEN, /* there may be room for more */
    CALLER_EXITED,      /* told: exit, signal, text */
    CALLER_FAILED,      /* told: code, text */
    CALLER_BAD,         /* problem: not of this protocol; close the connection */
    CALLER_NO_MEMORY
};

struct caller {
    struct receiver_end outputs[2];
    struct sender input;
    int attached;
    int exited;
    struct told told;  /* of the newest frame with JSON that meant something */
    uint64_t lost[2];  /* of the newest attachment */
    uint64_t asked;    /* the number of the newest ATTACH */
    int wants_stops;
    int input_ended, input_end_sent;
    int has_size;
    unsigned char size[4];
    struct queue out; /* to be sent */
    int no_memory;
    const char *problem;
};

/* asked: the number before that of the first ATTACH, random and below 2^48 but for tests. */
void caller_init(struct caller *c, uint64_t window, uint64_t asked, int wants_stops);
void caller_free(struct caller *c);
/* The connection is gone: what was to be sent is forgotten. */
void caller_replaced(struct caller *c);
/* Ask for the streams from here on. */
void caller_attach(struct caller *c);
/* Take a frame. Its payload has to stay until the event was dealt with. */
enum caller_event caller_receive(struct caller *c, const struct frame *frame);
/* How much input may be given now: 0 while not attached. */
size_t caller_room(const struct caller *c);
/* Where so much input, at most caller_room, can be put; NULL without memory. caller_send_put counts and sends it. */
char *caller_input(struct caller *c, size_t length);
void caller_send_put(struct caller *c, size_t length);
void caller_end_input(struct caller *c);
/* So many bytes of output 1 or 2 were passed on. */
void caller_passed_on(struct caller *c, int output, size_t length);
void caller_signal(struct caller *c, int number, int group);
void caller_size(struct caller *c, int rows, int columns);
void caller_hang_up(struct caller *c);
/* The exit status has arrived. */
void caller_collected(struct caller *c);

#endif
