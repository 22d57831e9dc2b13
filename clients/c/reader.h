/* The bytes of a connection as the lines of replies, without any I/O. */
#ifndef GOMD_READER_H
#define GOMD_READER_H

#include <stddef.h>

/* The longest line, and the most bytes of one block or round: more is an error, not an answer. */
#define MAX_LINE_BYTES ((size_t)16 * 1024 * 1024)
#define MAX_BLOCK_BYTES ((size_t)64 * 1024 * 1024)

enum reader_event {
    READER_MORE,   /* no whole line: read on */
    READER_STATUS, /* code and text; after 201 the lines follow */
    READER_LINE,   /* a line of a block, with a doubled dot undone */
    READER_END,    /* the end of the block */
    READER_BAD     /* not of this protocol; problem says why */
};

struct reader {
    char *bytes;
    size_t room, begin, seen, end, max_line; /* seen: up to there no line end was found */
    int in_block, code;
    char *text; /* of the newest event, ended by a byte 0, until the next call */
    size_t length;
    const char *problem;
};

void reader_init(struct reader *r, size_t max_line);
void reader_free(struct reader *r);
/* Where at least one byte can be put; NULL without memory. */
char *reader_space(struct reader *r, size_t *room);
void reader_filled(struct reader *r, size_t count);
enum reader_event reader_next(struct reader *r);
/* Whether bytes are there that no event has told of. */
int reader_has_rest(const struct reader *r);
/* Whether a block's last line says that the block could not be completed, in text or in JSON: its code, or 0. */
int broken_block(const char *line, size_t length, const char **text, char **made);

#endif
