/* A strict, pulling parser of JSON (RFC 8259) over bytes in memory: no allocation, bounded depth. */
#ifndef GOMD_JSON_H
#define GOMD_JSON_H

#include <stddef.h>
#include <stdint.h>

/* How deep values may be in one another. */
#define JSON_DEPTH 32

struct json {
    const char *at, *end;
    /* Set after json_begin: strings may have halves of surrogate pairs, which stand for bytes that are no UTF-8. */
    int bytes;
};

/* Each function moves behind what it read and returns 1, or returns 0 and the text is not what was expected. */

void json_begin(struct json *j, const char *text, size_t length);
/* The next byte that is not white space, without moving behind it; 0 at the end. */
char json_peek(struct json *j);
/* Move behind the bracket that opens an object or array. */
int json_open(struct json *j, char bracket);
/* 1: an element follows; 0: the closing bracket was read; -1: neither. first is true before the first element. */
int json_more(struct json *j, char closing, int first);
/* The name of a member and its colon. A name of room bytes or more is read as an empty one. */
int json_name(struct json *j, char *to, size_t room);
/* Whether the name of a member and its colon follow, and the name is this one of ASCII; else nothing is read. */
int json_is_name(struct json *j, const char *name);
/* At most how many bytes the string that follows has, with the byte 0 behind it. */
size_t json_string_room(struct json *j);
/* The contents of a string that is ASCII without escapes, behind which this moves; else NULL, and nothing is read. */
const char *json_plain(struct json *j, size_t *length);
/*
 * A string, ended by a byte 0; one that has a character 0 in it is refused. to may be NULL, to pass over it.
 * With `bytes`, U+DC80 to U+DCFF are the bytes 0x80 to 0xff; other halves, and a character 0, become U+FFFD.
 */
int json_string(struct json *j, char *to, size_t *length);
int json_integer(struct json *j, int64_t *value);
int json_number(struct json *j, double *value);
/* `true`, `false` or `null`. */
int json_word(struct json *j, const char *word);
/* Pass over any value. */
int json_skip(struct json *j);
/* Nothing but white space follows. */
int json_end(struct json *j);

/* How many bytes the character of UTF-8 at the beginning has; 0 when there is none. */
size_t utf8_length(const char *at, const char *end);

#endif
