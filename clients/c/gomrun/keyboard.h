/* Our own standard input as the input of the job, and the escapes that are typed into it. */
#ifndef GOMRUN_KEYBOARD_H
#define GOMRUN_KEYBOARD_H

#include "control.h"

enum { ESCAPE_BYTES, ESCAPE_LEAVE, ESCAPE_SUSPEND, ESCAPE_HELP };

/* Finds escapes in what is typed: at the start of a line, as ssh has them. */
struct escapes {
    int character; /* -1: none */
    int within_line, pending;
};

/* What a byte means; for ESCAPE_BYTES, `count` bytes of `out` are for the job. */
int escapes_next(struct escapes *e, unsigned char byte, char out[2], size_t *count);

struct keyboard {
    gomd_streams_t *streams;
    struct terminal *terminal;
    struct control *control;
    struct escapes escapes;
    struct queue typed; /* keys for which there was no room */
    int interrupted;    /* the newest keys had a Ctrl-C */
    int open;
};

void keyboard_init(struct keyboard *k, struct control *control, int reads, int escape);
/* Whether standard input should be read now. Keys are read without room: an escape has to be heard whatever the job does. */
int keyboard_may_read(struct keyboard *k, int room);
/* Read what there is; blocks when there is nothing. */
void keyboard_read(struct keyboard *k);
/* Hand over the keys for which there is room now. */
void keyboard_pass_on(struct keyboard *k);

#endif
