/* What the job's end tells in the JSON of a frame. */
#include "told.h"

#include <stdlib.h>
#include <string.h>

#include "json.h"

enum type { NUMBER, FLAG, TEXT };

static const struct {
    const char *name;
    enum type type;
    int nullable;
    size_t offset;
    const char *problem;
} fields[] = {
#define NUMBER_FIELD(name, member, nullable) {name, NUMBER, nullable, offsetof(struct told, member), "a frame whose " name " is no number that can be"}
#define FLAG_FIELD(name, member) {name, FLAG, 1, offsetof(struct told, member), "a frame whose " name " is neither true nor false"}
#define TEXT_FIELD(name) {name, TEXT, 1, offsetof(struct told, text), "a frame whose " name " is no text"}
    NUMBER_FIELD("job", job, 0), NUMBER_FIELD("home", home, 1), NUMBER_FIELD("node", node, 1), NUMBER_FIELD("pid", pid, 1),
    FLAG_FIELD("detached", detached), FLAG_FIELD("tty", tty),
    NUMBER_FIELD("stdout", stdout_at, 0), NUMBER_FIELD("stderr", stderr_at, 0), NUMBER_FIELD("stdin", stdin_at, 0),
    NUMBER_FIELD("stdin_taken", stdin_taken, 0), NUMBER_FIELD("n", n, 0), NUMBER_FIELD("stopped", stopped, 0),
    FLAG_FIELD("stdin_ended", stdin_ended),
    NUMBER_FIELD("exit", exit, 0), NUMBER_FIELD("signal", signal, 0), NUMBER_FIELD("code", code, 0), FLAG_FIELD("lost", lost),
    TEXT_FIELD("reason"), TEXT_FIELD("text"),
};

static int read_value(struct json *j, enum type type, int nullable, char *at) {
    int64_t number;
    char next = json_peek(j);
    if (next == 'n') {
        if (!nullable || !json_word(j, "null")) return 0;
        return 1;
    }
    if (type == NUMBER) {
        if (!json_integer(j, &number) || number < 0) return 0;
        *(int64_t *)(void *)at = number;
        return 1;
    }
    if (type == FLAG) {
        *(int *)(void *)at = next == 't';
        return json_word(j, next == 't' ? "true" : "false");
    }
    char *text = malloc(json_string_room(j));
    if (!text) return -1;
    free(*(char **)(void *)at);
    *(char **)(void *)at = text;
    *text = 0;
    return json_string(j, text, NULL);
}

int told_read(const char *payload, size_t length, struct told *told, const char **problem) {
    struct json j;
    char name[16];
    *told = (struct told){NOT_TOLD, NOT_TOLD, NOT_TOLD, NOT_TOLD, 0, 0, NOT_TOLD, NOT_TOLD, NOT_TOLD, NOT_TOLD, NOT_TOLD,
                          NOT_TOLD, 0, NOT_TOLD, NOT_TOLD, NOT_TOLD, 0, NULL};
    *problem = "a frame's JSON is no object";
    json_begin(&j, payload, length);
    j.bytes = 1;
    if (!json_open(&j, '{')) return 0;
    for (int first = 1, more; (more = json_more(&j, '}', first)) != 0; first = 0) {
        size_t at = 0, count = sizeof fields / sizeof *fields;
        if (more < 0 || !json_name(&j, name, sizeof name)) return 0;
        while (at < count && strcmp(fields[at].name, name) != 0) at++;
        if (at == count) {
            if (!json_skip(&j)) return 0;
            continue;
        }
        int done = read_value(&j, fields[at].type, fields[at].nullable, (char *)told + fields[at].offset);
        if (done <= 0) {
            *problem = done < 0 ? NULL : fields[at].problem;
            return 0;
        }
    }
    return json_end(&j);
}
