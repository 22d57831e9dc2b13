/* Requests: a verb and its words as a line, and which of them may go to whom. */
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client.h"
#include "json.h"

/* What the daemon takes is its own setting, 4096 bytes by default; it says so itself. */
#define MAX_REQUEST_BYTES 65536

/* Whether nothing has come that nobody asked for: a farewell, or an answer in advance, which is nobody's. */
static int check_silent(gomd_t *g) {
    enum reader_event event = next_event(g, now_ms());
    if (event == READER_BAD) return closed_error(g);
    if (event == READER_STATUS)
        return fail_closed(g, GOMD_E_LOST, "the daemon ended the connection (%.300s): connect again", g->reader.text);
    if (event != READER_MORE || reader_has_rest(&g->reader))
        return fail_closed(g, GOMD_E_REPLY, "the answer is not of gomd's protocol (it came before its request): connect again");
    return GOMD_OK;
}

/* Add a word, quoted for the daemon as for a shell. 0: too long, or not possible in a line. */
static int add_word(char *line, size_t *length, const char *word, int at_sign) {
    int plain = *word != 0;
    const char *end = word + strlen(word);
    for (const char *at = word; at < end;) {
        unsigned char c = (unsigned char)*at;
        size_t count = utf8_length(at, end);
        if (count == 0 || c == 0x7f || (c < 0x20 && c != '\t')) return 0;
        if (c == ' ' || c == '\t' || c == '"' || c == '\'' || c == '\\' || c >= 0x80) plain = 0;
        at += count;
    }
    if ((size_t)(end - word) * 5 + 8 > MAX_REQUEST_BYTES - *length) return 0;
    if (*length) line[(*length)++] = ' ';
    if (!plain) line[(*length)++] = '\'';
    if (at_sign) line[(*length)++] = '@';
    for (; word < end; word++) {
        if (*word == '\'') {
            memcpy(line + *length, "'\"'\"'", 5);
            *length += 5;
        } else {
            line[(*length)++] = *word;
        }
    }
    if (!plain) line[(*length)++] = '\'';
    return 1;
}

/* Whether a verb only reads and its request has nothing secret. */
static int is_question(const char *verb) {
    static const char *const questions[] = {
        "help", "version", "whoami", "format", "quit", "stats", "nodes", "node", "load", "speed", "mem",
        "util", "cpus", "status", "map", "ls", "get", "ps", "where", "events", "doctor", "history", "busiest", "measures",
        "switches", NULL};
    for (size_t i = 0; questions[i]; i++)
        if (strcasecmp(verb, questions[i]) == 0) return 1;
    return 0;
}

int is_reading(const char *const *words) {
    if (!words || !words[0] || strcasecmp(words[0], "format") == 0 || strcasecmp(words[0], "quit") == 0) return 0;
    return strcasecmp(words[0], "jobs") == 0 || is_question(words[0]);
}

/* A watch is a question when the verb is that it repeats. */
static int is_sent_to_anybody(const char *const *words) {
    if (strcasecmp(words[0], "watch") != 0) return is_question(words[0]);
    for (words++; *words && (**words == '-' || **words == '@'); words++)
        if (**words == '-' && !*++words) return 0;
    return *words && is_question(*words);
}

int send_request(gomd_t *g, const char *node, const char *const *words, int64_t deadline) {
    if (!words || !words[0] || !words[0][0] || words[0][0] == '@') return fail(g, GOMD_E_USAGE, "a request begins with a verb");
    if (g->fd < 0) return fail(g, GOMD_E_LOST, "the connection is closed: connect again");
    if (g->owner != getpid()) return fail(g, GOMD_E_USAGE, "this handle is of the process that forked: connect again here");
    if (g->watching) return fail(g, GOMD_E_USAGE, "this handle watches: stop that first, or ask with another handle");
    if (g->found && !is_sent_to_anybody(words))
        return fail(g, GOMD_E_UNPROVEN, "`%.40s` is not sent to tcp:127.0.0.1:2901, where any program may listen: name the endpoint "
                    "of your daemon", words[0]);
    char *line = malloc(MAX_REQUEST_BYTES + 16);
    if (!line) return fail(g, GOMD_E_MEMORY, "out of memory for the request");
    size_t length = 0;
    int good = !node || (*node && add_word(line, &length, node, 1));
    for (; good && *words; words++) good = add_word(line, &length, *words, 0);
    int error = good ? check_silent(g) : fail(g, GOMD_E_USAGE, "a request is one line of UTF-8 without control characters, of at "
                                               "most %d bytes", MAX_REQUEST_BYTES);
    if (error == GOMD_OK) {
        memcpy(line + length, "\r\n", 2);
        error = send_bytes(g, line, length + 2, deadline);
    }
    free(line);
    return error;
}
