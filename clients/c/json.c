/* A strict, pulling parser of JSON over bytes in memory. */
#include "json.h"

#include <string.h>

void json_begin(struct json *j, const char *text, size_t length) {
    j->at = text;
    j->end = text + length;
    j->bytes = 0;
}

static inline char peek(struct json *j) {
    while (j->at < j->end && (*j->at == ' ' || *j->at == '\t' || *j->at == '\n' || *j->at == '\r')) j->at++;
    return j->at < j->end ? *j->at : 0;
}

char json_peek(struct json *j) {
    return peek(j);
}

int json_open(struct json *j, char bracket) {
    if (peek(j) != bracket) return 0;
    j->at++;
    return 1;
}

int json_more(struct json *j, char closing, int first) {
    char next = peek(j);
    if (next == closing && next != 0) {
        j->at++;
        return 0;
    }
    if (first) return next == 0 ? -1 : 1;
    if (next != ',') return -1;
    j->at++;
    return peek(j) == closing ? -1 : 1;
}

size_t utf8_length(const char *at, const char *end) {
    const unsigned char *c = (const unsigned char *)at;
    size_t left = (size_t)(end - at);
    if (left == 0) return 0;
    if (c[0] < 0x80) return 1;
    size_t length = c[0] >= 0xc2 && c[0] <= 0xdf ? 2 : c[0] >= 0xe0 && c[0] <= 0xef ? 3 : c[0] >= 0xf0 && c[0] <= 0xf4 ? 4 : 0;
    if (length == 0 || length > left) return 0;
    for (size_t i = 1; i < length; i++)
        if ((c[i] & 0xc0) != 0x80) return 0;
    /* not the shortest form, a surrogate, beyond U+10FFFF */
    if ((c[0] == 0xe0 && c[1] < 0xa0) || (c[0] == 0xed && c[1] > 0x9f) || (c[0] == 0xf0 && c[1] < 0x90) ||
        (c[0] == 0xf4 && c[1] > 0x8f))
        return 0;
    return length;
}

static int hex4(struct json *j, unsigned *value) {
    if (j->end - j->at < 4) return 0;
    *value = 0;
    for (int i = 0; i < 4; i++) {
        char c = *j->at++;
        unsigned digit;
        if (c >= '0' && c <= '9') digit = (unsigned)(c - '0');
        else if (c >= 'a' && c <= 'f') digit = (unsigned)(c - 'a') + 10;
        else if (c >= 'A' && c <= 'F') digit = (unsigned)(c - 'A') + 10;
        else return 0;
        *value = *value << 4 | digit;
    }
    return 1;
}

/* The character of a \uXXXX, or of two that are a pair of surrogates. */
static int escaped(struct json *j, unsigned *character) {
    unsigned low;
    if (!hex4(j, character)) return 0;
    if (*character < 0xd800 || *character > 0xdfff) return 1;
    if (*character <= 0xdbff && j->end - j->at >= 6 && j->at[0] == '\\' && j->at[1] == 'u') {
        struct json behind = *j;
        behind.at += 2;
        if (hex4(&behind, &low) && low >= 0xdc00 && low <= 0xdfff) {
            j->at = behind.at;
            *character = 0x10000 + ((*character - 0xd800) << 10) + (low - 0xdc00);
            return 1;
        }
    }
    return j->bytes; /* half a pair */
}

static size_t encoded(unsigned character, char to[4]) {
    if (character < 0x80) {
        to[0] = (char)character;
        return 1;
    }
    size_t length = character < 0x800 ? 2 : character < 0x10000 ? 3 : 4;
    for (size_t i = length - 1; i > 0; i--) {
        to[i] = (char)(0x80 | (character & 0x3f));
        character >>= 6;
    }
    to[0] = (char)((0xf00u >> length & 0xff) | character);
    return length;
}

size_t json_string_room(struct json *j) {
    if (peek(j) != '"') return 1;
    const char *at = j->at + 1;
    while (at < j->end && *at != '"') at += *at == '\\' && at + 1 < j->end ? 2 : 1;
    return (size_t)(at - j->at); /* an escape is never shorter than what it stands for */
}

/* ASCII that stands for itself in a string. */
static int is_plain(char c) {
    return (unsigned char)c >= 0x20 && (unsigned char)c < 0x80 && c != '"' && c != '\\';
}

/* Behind such characters: eight at a time while none of eight is another one. */
static const char *behind_plain(const char *at, const char *end) {
    const uint64_t ones = UINT64_C(0x0101010101010101), highs = ones << 7;
    for (; end - at >= 8; at += 8) {
        uint64_t word;
        memcpy(&word, at, 8);
        uint64_t quote = word ^ ones * '"', backslash = word ^ ones * '\\';
        uint64_t found = word | ((word - ones * 0x20) & ~word) | ((quote - ones) & ~quote) | ((backslash - ones) & ~backslash);
        if (found & highs) break;
    }
    while (at < end && is_plain(*at)) at++;
    return at;
}

const char *json_plain(struct json *j, size_t *length) {
    if (peek(j) != '"') return NULL;
    const char *begin = j->at + 1, *at = behind_plain(begin, j->end);
    if (at == j->end || *at != '"') return NULL;
    *length = (size_t)(at - begin);
    j->at = at + 1;
    return begin;
}

int json_string(struct json *j, char *to, size_t *length) {
    size_t done = 0;
    if (!json_open(j, '"')) return 0;
    for (;;) {
        char bytes[4];
        size_t count;
        const char *begin = j->at;
        j->at = behind_plain(j->at, j->end);
        count = (size_t)(j->at - begin);
        if (to) memcpy(to + done, begin, count);
        done += count;
        if (j->at >= j->end) return 0;
        unsigned char c = (unsigned char)*j->at;
        if (c == '"') {
            j->at++;
            break;
        }
        if (c < 0x20) return 0;
        if (c != '\\') {
            count = utf8_length(j->at, j->end);
            if (count == 0) return 0;
            memcpy(bytes, j->at, count);
            j->at += count;
        } else {
            static const char names[] = "\"\\/bfnrt", meanings[] = "\"\\/\b\f\n\r\t";
            if (j->end - j->at < 2) return 0;
            char name = j->at[1];
            j->at += 2;
            count = 1;
            if (name == 'u') {
                unsigned character;
                if (!escaped(j, &character) || (character == 0 && !j->bytes)) return 0;
                if (character >= 0xdc80 && character <= 0xdcff) bytes[0] = (char)(character - 0xdc00);
                else count = encoded(character == 0 || (character >= 0xd800 && character <= 0xdfff) ? 0xfffd : character, bytes);
            } else {
                const char *found = name ? strchr(names, name) : NULL;
                if (!found) return 0;
                bytes[0] = meanings[found - names];
            }
        }
        if (to) memcpy(to + done, bytes, count);
        done += count;
    }
    if (to) to[done] = 0;
    if (length) *length = done;
    return 1;
}

int json_name(struct json *j, char *to, size_t room) {
    size_t length;
    const char *plain = json_plain(j, &length);
    if (plain) {
        if (length >= room) length = 0;
        memcpy(to, plain, length);
        to[length] = 0;
    } else {
        to[0] = 0;
        if (!json_string(j, json_string_room(j) <= room ? to : NULL, NULL)) return 0;
    }
    if (peek(j) != ':') return 0;
    j->at++;
    return 1;
}

int json_is_name(struct json *j, const char *name) {
    if (peek(j) != '"') return 0;
    const char *at = j->at + 1;
    while (at < j->end && *name && *at == *name) at++, name++;
    if (*name || j->end - at < 2 || at[0] != '"' || at[1] != ':') return 0;
    j->at = at + 2;
    return 1;
}

int json_word(struct json *j, const char *word) {
    size_t length = strlen(word);
    peek(j);
    if ((size_t)(j->end - j->at) < length || memcmp(j->at, word, length) != 0) return 0;
    j->at += length;
    return 1;
}

static int skip(struct json *j, int depth) {
    double number;
    char next = peek(j), name[1];
    if (next == '"') return json_string(j, NULL, NULL);
    if (next == 't') return json_word(j, "true");
    if (next == 'f') return json_word(j, "false");
    if (next == 'n') return json_word(j, "null");
    if (next != '{' && next != '[') return json_number(j, &number);
    if (depth == 0) return 0;
    j->at++;
    char closing = next == '{' ? '}' : ']';
    for (int first = 1;; first = 0) {
        int more = json_more(j, closing, first);
        if (more <= 0) return more == 0;
        if (next == '{' && !json_name(j, name, sizeof name)) return 0;
        if (!skip(j, depth - 1)) return 0;
    }
}

int json_skip(struct json *j) {
    return skip(j, JSON_DEPTH);
}

int json_end(struct json *j) {
    return peek(j) == 0 && j->at == j->end;
}
