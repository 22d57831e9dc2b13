/*
 * One numbered stream of bytes that survives the connections it travels over, without any I/O: both of its ends as
 * docs/wire.md, "One stream", has them. A position is the number of bytes of the stream before it.
 */
#ifndef GOMD_RESUMABLE_H
#define GOMD_RESUMABLE_H

#include <stdint.h>

#include "queue.h"

/* The sending end: kept are the bytes from base on. base <= sent <= end, and taken is what was acknowledged. */
struct sender {
    struct queue kept;
    uint64_t base, sent, taken, window;
};

uint64_t sender_end(const struct sender *s);
/* How many bytes may be appended to `kept` now. */
size_t sender_room(const struct sender *s);
/* Begin anew where another sender was. */
void sender_begin_at(struct sender *s, uint64_t position);
/* A new attachment: the receiver has everything before received, and has passed everything before taken on. */
void sender_resume(struct sender *s, uint64_t received, uint64_t taken);
/* 1: that is news. */
int sender_acknowledge(struct sender *s, uint64_t position);
/* The bytes to send now, and how many; they are counted as sent. */
const char *sender_next(struct sender *s, size_t limit, size_t *length);

/* The receiving end: received is the position expected next, taken that up to which the bytes were passed on. */
struct receiver_end {
    uint64_t received, taken, told, window_start, window;
};

/* 0: more than the sender may have under way. */
int receiver_receive(struct receiver_end *r, size_t size);
void receiver_pass_on(struct receiver_end *r, size_t size);
/* 1 and the position to acknowledge now, or 0. */
int receiver_acknowledgement(struct receiver_end *r, uint64_t *position);
/* A new attachment, from there on; returns how many bytes never come. */
uint64_t receiver_resume(struct receiver_end *r, uint64_t position);

#endif
