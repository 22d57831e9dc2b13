/* The verbs that read, as calls with types; and auth. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client.h"

static int one(gomd_t *g, const char *verb, const char *argument, gomd_rows_t **rows) {
    return gomd_read(g, NULL, (const char *[]){verb, argument, NULL}, rows);
}

static int required(gomd_t *g, const char *verb, const char *argument, gomd_rows_t **rows) {
    *rows = NULL;
    if (!argument) return fail(g, GOMD_E_USAGE, "`%s` needs an argument", verb);
    return one(g, verb, argument, rows);
}

int gomd_nodes(gomd_t *g, gomd_rows_t **rows) {
    return one(g, "nodes", NULL, rows);
}

int gomd_node(gomd_t *g, const char *node, gomd_rows_t **rows) {
    return one(g, "node", node, rows);
}

int gomd_jobs(gomd_t *g, gomd_rows_t **rows) {
    return one(g, "jobs", NULL, rows);
}

int gomd_map(gomd_t *g, gomd_rows_t **rows) {
    return one(g, "map", NULL, rows);
}

int gomd_ls(gomd_t *g, const char *path, gomd_rows_t **rows) {
    return required(g, "ls", path, rows);
}

int gomd_get(gomd_t *g, const char *path, gomd_rows_t **rows) {
    return required(g, "get", path, rows);
}

int gomd_stats(gomd_t *g, gomd_rows_t **rows) {
    return one(g, "stats", NULL, rows);
}

int gomd_whoami(gomd_t *g, gomd_rows_t **rows) {
    return one(g, "whoami", NULL, rows);
}

int gomd_status(gomd_t *g, const char *node, gomd_rows_t **rows) {
    return one(g, "status", node, rows);
}

int gomd_version(gomd_t *g, gomd_rows_t **rows) {
    return one(g, "version", NULL, rows);
}

int gomd_events(gomd_t *g, const char *kinds, int64_t newest, gomd_rows_t **rows) {
    const char *words[6] = {"events"};
    char number[24];
    size_t count = 1;
    if (kinds) words[count++] = "--kind", words[count++] = kinds;
    if (newest) {
        snprintf(number, sizeof number, "%lld", (long long)newest);
        words[count++] = "--newest", words[count++] = number;
    }
    return gomd_read(g, NULL, words, rows);
}

int gomd_ps(gomd_t *g, const gomd_selection_t *selection, gomd_rows_t **rows) {
    static const gomd_selection_t everything;
    const gomd_selection_t *s = selection ? selection : &everything;
    *rows = NULL;
    if (s->pid_count > 1000 || (s->pid_count && !s->pids)) return fail(g, GOMD_E_USAGE, "at most 1000 processes can be named at once");
    size_t more = 0;
    while (s->more && s->more[more]) more++;
    const char **words = calloc(s->pid_count + more + 16, sizeof *words);
    char(*numbers)[16] = calloc(s->pid_count + 1, sizeof *numbers), top[24];
    size_t count = 0;
    int error;
    if (!words || !numbers) {
        error = fail(g, GOMD_E_MEMORY, "out of memory for the request");
    } else {
        words[count++] = "ps";
        for (size_t i = 0; i < s->pid_count; i++) {
            snprintf(numbers[i], sizeof numbers[i], "%ld", (long)s->pids[i]);
            words[count++] = numbers[i];
        }
        if (s->top) {
            snprintf(top, sizeof top, "%lld", (long long)s->top);
            words[count++] = "--top", words[count++] = top;
        }
        if (s->sort) words[count++] = "--sort", words[count++] = s->sort;
        if (s->user) words[count++] = "--user", words[count++] = s->user;
        if (s->match) words[count++] = "--match", words[count++] = s->match;
        if (s->fields) words[count++] = "--fields", words[count++] = s->fields;
        if (s->jobs) words[count++] = "--jobs";
        for (size_t i = 0; i < more; i++) words[count++] = s->more[i];
        error = gomd_read(g, s->node, words, rows);
    }
    free(words);
    free(numbers);
    return error;
}

static int number(gomd_t *g, const char *verb, const char *node, int64_t *value) {
    gomd_rows_t *rows;
    *value = GOMD_UNKNOWN;
    int error = one(g, verb, node, &rows);
    if (error != GOMD_OK) return error;
    const gomd_value_t *found = gomd_rows_value(rows, 0);
    int unknown = found && strcmp(found->json, "null") == 0;
    if (gomd_rows_count(rows) != 1 || !found || (found->integer == GOMD_UNKNOWN && !unknown))
        error = fail_closed(g, GOMD_E_REPLY, "the answer is not what `%s` answers (a whole number is expected)", verb);
    else *value = found->integer;
    gomd_rows_free(rows);
    return error;
}

int gomd_load(gomd_t *g, const char *node, int64_t *value) {
    return number(g, "load", node, value);
}

int gomd_speed(gomd_t *g, const char *node, int64_t *value) {
    return number(g, "speed", node, value);
}

int gomd_util(gomd_t *g, const char *node, int64_t *value) {
    return number(g, "util", node, value);
}

int gomd_cpus(gomd_t *g, const char *node, int64_t *value) {
    return number(g, "cpus", node, value);
}

int gomd_mem(gomd_t *g, const char *node, gomd_memory_t *value) {
    gomd_rows_t *rows;
    *value = (gomd_memory_t){GOMD_UNKNOWN, GOMD_UNKNOWN, GOMD_UNKNOWN};
    int error = one(g, "mem", node, &rows);
    if (error != GOMD_OK) return error;
    const gomd_memory_t *found = gomd_rows_memory(rows, 0);
    if (gomd_rows_count(rows) != 1 || !found) error = fail_closed(g, GOMD_E_REPLY, "the answer is not what `mem` answers");
    else *value = *found;
    gomd_rows_free(rows);
    return error;
}

int gomd_auth(gomd_t *g, const char *token) {
    gomd_reply_t *reply;
    if (!token) return fail(g, GOMD_E_USAGE, "`auth` needs a token");
    int error = gomd_ask(g, NULL, (const char *[]){"auth", token, NULL}, &reply);
    gomd_reply_free(reply);
    if (error != GOMD_OK) return error;
    char *kept = strdup(token);
    if (!kept) return fail(g, GOMD_E_MEMORY, "out of memory: the role is that of the token, but jobs cannot be begun with it");
    free(g->token);
    g->token = kept;
    return GOMD_OK;
}
