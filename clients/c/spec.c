/* The description of a job as the frame that the daemon reads: checked here, so that a mistake is said before it is sent. */
#define _GNU_SOURCE
#include "spec.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "frames.h"
#include "json.h"

extern char **environ;

/* Bytes of arguments and environment, as the kernel counts them: no kernel takes more. */
#define MAX_STRING_BYTES ((size_t)6 << 20)
#define POINTER_BYTES 8
#define MAX_CWD_BYTES 4096
#define MIN_MEMORY_MAX ((int64_t)4 << 20)

/* Text that is being written; `failed` once there was no memory. */
struct text {
    struct queue *q;
    int failed;
};

static void add(struct text *t, const char *bytes, size_t length) {
    if (!queue_append(t->q, bytes, length)) t->failed = 1;
}

static void raw(struct text *t, const char *text) {
    add(t, text, strlen(text));
}

/* A string: bytes that are no UTF-8 become U+DC80 to U+DCFF, as Python has them. */
static void string(struct text *t, const char *text, size_t length) {
    const char *end = text + length, *begin = text;
    raw(t, "\"");
    while (text < end) {
        unsigned char c = (unsigned char)*text;
        size_t count = utf8_length(text, end);
        if (count > 0 && c >= 0x20 && c != '"' && c != '\\') {
            text += count;
            continue;
        }
        char escape[8];
        int size = snprintf(escape, sizeof escape, "\\u%04x", count ? c : 0xdc00u + c);
        add(t, begin, (size_t)(text - begin));
        add(t, escape, (size_t)size);
        begin = ++text;
    }
    add(t, begin, (size_t)(end - begin));
    raw(t, "\"");
}

static void member(struct text *t, const char *name) {
    raw(t, ", \"");
    raw(t, name);
    raw(t, "\": ");
}

static void number(struct text *t, int64_t value) {
    char digits[24];
    add(t, digits, (size_t)snprintf(digits, sizeof digits, "%lld", (long long)value));
}

static void text_member(struct text *t, const char *name, const char *value) {
    member(t, name);
    string(t, value ? value : "", value ? strlen(value) : 0);
}

static void flag_member(struct text *t, const char *name, int value) {
    member(t, name);
    raw(t, value ? "true" : "false");
}

static void size_member(struct text *t, const char *name, int64_t value) {
    member(t, name);
    if (value) number(t, value);
    else raw(t, "null");
}

static void list(struct text *t, const char *const *words) {
    raw(t, "[");
    for (size_t i = 0; words && words[i]; i++) {
        if (i) raw(t, ", ");
        string(t, words[i], strlen(words[i]));
    }
    raw(t, "]");
}

struct variable {
    const char *text;
    size_t name, at; /* the length of its name; where it stands */
};

static int by_name(const void *one, const void *other) {
    const struct variable *a = one, *b = other;
    int order = memcmp(a->text, b->text, a->name < b->name ? a->name : b->name);
    if (order == 0) order = a->name < b->name ? -1 : a->name > b->name;
    return order ? order : a->at < b->at ? -1 : 1;
}

/* The environment as an object. Of two variables of one name the first holds; what has no name cannot be passed. */
static int environment(struct text *t, const char *const *env) {
    size_t count = 0, named = 0, written = 0;
    while (env[count]) count++;
    struct variable *all = calloc(count + 1, sizeof *all);
    char *again = calloc(count + 1, 1);
    if (all && again) {
        for (size_t i = 0; i < count; i++) {
            const char *equals = strchr(env[i], '=');
            if (!equals || equals == env[i]) again[i] = 1;
            else all[named++] = (struct variable){env[i], (size_t)(equals - env[i]), i};
        }
        qsort(all, named, sizeof *all, by_name);
        for (size_t i = 1; i < named; i++)
            if (all[i].name == all[i - 1].name && memcmp(all[i].text, all[i - 1].text, all[i].name) == 0) again[all[i].at] = 1;
        raw(t, "{");
        for (size_t i = 0; i < count; i++) {
            if (again[i]) continue;
            size_t name = (size_t)(strchr(env[i], '=') - env[i]);
            if (written++) raw(t, ", ");
            string(t, env[i], name);
            raw(t, ": ");
            string(t, env[i] + name + 1, strlen(env[i] + name + 1));
        }
        raw(t, "}");
    } else {
        t->failed = 1;
    }
    free(all);
    free(again);
    return !t->failed;
}

static size_t bytes_of(const char *const *words) {
    size_t size = 0;
    for (; words && *words; words++) size += strlen(*words) + 1 + POINTER_BYTES;
    return size;
}

static int check(gomd_t *g, const gomd_spec_t *spec, const char *const *env) {
    if (!spec || !spec->argv || !spec->argv[0] || !spec->argv[0][0])
        return fail(g, GOMD_E_USAGE, "a command is missing: name a program, and its arguments behind it");
    size_t size = bytes_of(spec->argv) + bytes_of(env);
    if (size > MAX_STRING_BYTES)
        return fail(g, GOMD_E_USAGE, "arguments and environment have %zu bytes, at most %zu can be passed: unset what the command does "
                    "not need, or put it into a file", size, MAX_STRING_BYTES);
    if (spec->memory_max && spec->memory_max < MIN_MEMORY_MAX)
        return fail(g, GOMD_E_USAGE, "memory_max (--mem-max) is at least 4M: a program needs that to begin");
    if (spec->memory < 0 || (spec->memory_max && spec->memory > spec->memory_max))
        return fail(g, GOMD_E_USAGE, "memory (--mem) is more than memory_max (--mem-max) allows");
    if (spec->node && *spec->node && spec->nodes && *spec->nodes)
        return fail(g, GOMD_E_USAGE, "node and nodes do not go together: name one node, or several to choose from");
    if (spec->rows < 0 || spec->rows > 65535 || spec->columns < 0 || spec->columns > 65535)
        return fail(g, GOMD_E_USAGE, "a terminal has 0 to 65535 rows and columns");
    if (spec->nice && (*spec->nice < -20 || *spec->nice > 19)) return fail(g, GOMD_E_USAGE, "nice is a whole number from -20 to 19");
    return GOMD_OK;
}

static void limits_member(struct text *t, const gomd_limit_t *limits) {
    member(t, "limits");
    raw(t, "{");
    for (size_t i = 0; limits[i].name; i++) {
        if (i) raw(t, ", ");
        string(t, limits[i].name, strlen(limits[i].name));
        raw(t, ": [");
        number(t, limits[i].soft);
        raw(t, ", ");
        number(t, limits[i].hard);
        raw(t, "]");
    }
    raw(t, "}");
}

/* As the daemon is to see them: absolute, and without symbolic links on their way. It checks what may be carried. */
static int carry_member(gomd_t *g, struct text *t, const char *const *carry) {
    char *directory = carry && carry[0] ? own_directory() : NULL;
    int error = GOMD_OK;
    member(t, "carry");
    raw(t, "[");
    for (size_t i = 0; carry && carry[i] && error == GOMD_OK; i++) {
        char *path = real_path(directory ? directory : "", carry[i]);
        if (!path) error = fail(g, GOMD_E_USAGE, "%.200s cannot be carried: its symbolic links lead nowhere", carry[i]);
        if (i) raw(t, ", ");
        if (path) string(t, path, strlen(path));
        free(path);
    }
    raw(t, "]");
    free(directory);
    return error;
}

static int put_values(gomd_t *g, const gomd_spec_t *spec, const char *const *env, const char *cwd, struct text *t) {
    gomd_limit_t limits[LIMITS_COUNT + 1];
    raw(t, "{\"argv\": ");
    list(t, spec->argv);
    member(t, "env");
    environment(t, env);
    text_member(t, "cwd", cwd);
    member(t, "umask");
    number(t, spec->umask ? *spec->umask : own_umask());
    flag_member(t, "tty", spec->tty);
    member(t, "size");
    raw(t, "[");
    number(t, spec->rows);
    raw(t, ", ");
    number(t, spec->columns);
    raw(t, "]");
    flag_member(t, "merge", spec->merge);
    flag_member(t, "detach", spec->detach);
    text_member(t, "node", spec->node);
    text_member(t, "nodes", spec->nodes);
    member(t, "lock");
    raw(t, spec->lock == 0 ? "null" : spec->lock > 0 ? "true" : "false");
    size_member(t, "memory", spec->memory);
    size_member(t, "memory_max", spec->memory_max);
    member(t, "nice");
    number(t, spec->nice ? *spec->nice : getpriority(PRIO_PROCESS, 0));
    if (!spec->limits) own_limits(limits);
    limits_member(t, spec->limits ? spec->limits : limits);
    flag_member(t, "shared_tmp", spec->shared_tmp);
    int error = carry_member(g, t, spec->carry);
    if (spec->more && *spec->more) {
        raw(t, ", ");
        raw(t, spec->more);
    }
    raw(t, "}");
    return error;
}

int put_spec(gomd_t *g, const gomd_spec_t *spec, struct queue *q) {
    const char *const *env = spec && spec->env ? spec->env : (const char *const *)environ;
    static const char *const nothing[] = {NULL};
    if (!env) env = nothing;
    struct queue values = {0};
    struct text t = {&values, 0};
    int error = check(g, spec, env);
    if (error != GOMD_OK) return error;
    char *here = spec->cwd && spec->cwd[0] == '/' ? strdup(spec->cwd) : spec->cwd ? NULL : own_directory();
    if (!here) {
        if (spec->cwd) return fail(g, GOMD_E_USAGE, "cwd is an absolute path, not %.60s", spec->cwd);
        return errno == ENOENT ? fail(g, GOMD_E_USAGE, "the directory you are in has been removed: cd to another one")
                               : fail(g, GOMD_E_USAGE, "the directory you are in has no name that can be told (%s): cd to another one", strerror(errno));
    }
    if (strlen(here) > MAX_CWD_BYTES) error = fail(g, GOMD_E_USAGE, "cwd is an absolute path of at most %d characters", MAX_CWD_BYTES);
    else error = put_values(g, spec, env, here, &t);
    free(here);
    size_t length = queue_length(&values);
    if (error == GOMD_OK && !t.failed && length + FRAME_HEADER_BYTES > MAX_SPEC_BYTES)
        error = fail(g, GOMD_E_USAGE, "arguments and environment have %zu bytes as they are sent, at most %zu can be: put them into a file",
                     length, MAX_SPEC_BYTES);
    if (error == GOMD_OK && (t.failed || !frame_put(q, FRAME_SPEC, queue_bytes(&values), length)))
        error = fail(g, GOMD_E_MEMORY, "out of memory for the description of the job");
    queue_free(&values);
    return error;
}
