/*
 * Runs jobs with the library and prints what comes of them: runs ENDPOINT TIMEOUT_MS CALL ... where a line is
 * CALL = RESULT, or the sentence of the error. tests/integration/test_c_runs.py reads them.
 */
#define _GNU_SOURCE
#include <gomd.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PATIENCE_MS 60000

static const char *sentence = "";
static char kept[5000];

static int keep(gomd_streams_t *s, int error) {
    if (error < 0) snprintf(kept, sizeof kept, "%s", gomd_streams_error(s));
    sentence = kept;
    return error;
}

static int run(gomd_t *g, const char *const *words, gomd_streams_t **s, int detach) {
    int error = gomd_run(g, &(gomd_spec_t){.argv = words, .detach = detach}, s);
    if (error < 0) sentence = gomd_error(g);
    else gomd_streams_set_reconnect(*s, 1000);
    return error;
}

/* Read to the end; small pieces are shown. */
static int read_all(gomd_streams_t *s) {
    size_t bytes[3] = {0}, length;
    const char *data;
    int stream, error;
    while ((error = gomd_streams_read(s, PATIENCE_MS, &stream, &data, &length)) == GOMD_OK) {
        bytes[stream] += length;
        if (length < 40) printf(" %d:%.*s", stream, (int)(data[length - 1] == '\n' ? length - 1 : length), data);
        fflush(stdout);
        if (length == 3 && memcmp(data, "bye", 3) == 0) printf("\n");
        fflush(stdout);
    }
    printf(" %zu out %zu err", bytes[1], bytes[2]);
    return keep(s, error == GOMD_E_ENDED ? gomd_streams_wait(s, PATIENCE_MS) : error);
}

static unsigned char byte_at(size_t position) {
    return (unsigned char)(position * 2654435761u >> 13);
}

static int is_right(const char *data, size_t length, size_t position) {
    for (size_t i = 0; i < length; i++)
        if ((unsigned char)data[i] != byte_at(position + i)) return 0;
    return 1;
}

/* Megabytes through `cat` and back, in a poll loop of our own; connections are made anew when they break. */
static int both_ways(gomd_streams_t *s, size_t total) {
    size_t sent = 0, got = 0, length;
    const gomd_streams_state_t *state = gomd_streams_state(s);
    static char piece[30000];
    while (!state->exited || gomd_streams_output(s, 1, &length) == NULL || length) {
        int error = gomd_streams_step(s, 0);
        for (int i = 0; error == GOMD_E_LOST && i < 300; i++) {
            usleep(100000);
            error = gomd_streams_reconnect(s, 5000);
            if (error < 0 && error != -409 && error != GOMD_E_CONNECT && error != GOMD_E_LOST) break;
            if (error < 0) error = GOMD_E_LOST;
        }
        if (error < 0) return keep(s, error);
        const char *data = gomd_streams_output(s, 1, &length);
        if (length > 50000) length = 50000; /* a part is passed on, the rest waits */
        if (!is_right(data, length, got)) return keep(s, -999);
        got += length;
        gomd_streams_taken(s, 1, length);
        while (sent < total && gomd_streams_room(s) > 0) {
            length = sizeof piece < gomd_streams_room(s) ? sizeof piece : gomd_streams_room(s);
            if (length > total - sent) length = total - sent;
            for (size_t i = 0; i < length; i++) piece[i] = (char)byte_at(sent + i);
            if ((error = gomd_streams_put(s, piece, length)) < 0) return keep(s, error);
            sent += length;
        }
        if (sent == total && !state->input_ended) gomd_streams_end_input(s);
        gomd_streams_output(s, 1, &length);
        struct pollfd waiting = {.fd = gomd_streams_fd(s), .events = gomd_streams_events(s)};
        if (state->connected && !state->exited && length == 0) poll(&waiting, 1, gomd_streams_due(s));
    }
    printf(" %zu bytes%s", got, got == total ? "" : ", not all");
    return keep(s, gomd_streams_wait(s, 0));
}

static int write_all(gomd_streams_t *s, size_t total) {
    size_t done = 0;
    char *data = malloc(total);
    memset(data, 'x', total);
    int error = gomd_streams_write(s, PATIENCE_MS, data, total, &done);
    free(data);
    if (error < 0) return keep(s, error);
    gomd_streams_end_input(s);
    return read_all(s);
}

static int call(gomd_t *g, const char *name, char *argument) {
    gomd_streams_t *s = NULL;
    char *words[32] = {NULL}, *rest = argument;
    for (size_t i = 0; i < 31 && rest; i++) words[i] = strsep(&rest, " ");
    const char *const *all = (const char *const *)words;
    size_t megabytes = words[0] ? (size_t)atol(words[0]) << 20 : 0;
    int error;
    if (strcmp(name, "run") == 0) {
        error = run(g, all, &s, 0);
        if (s) gomd_streams_end_input(s);
        if (s) error = read_all(s);
    } else if (strcmp(name, "both") == 0) {
        error = run(g, (const char *[]){"cat", NULL}, &s, 0);
        printf(" began\n");
        fflush(stdout);
        if (s) error = both_ways(s, megabytes);
    } else if (strcmp(name, "count") == 0) {
        error = run(g, (const char *[]){"wc", "-c", NULL}, &s, 0);
        if (s) error = write_all(s, megabytes);
    } else if (strcmp(name, "deaf") == 0) { /* to a job that reads nothing and ends */
        error = run(g, (const char *[]){"true", NULL}, &s, 0);
        if (s) error = write_all(s, (size_t)8 << 20);
    } else if (strcmp(name, "signal") == 0) {
        error = run(g, (const char *[]){"sleep", "1000", NULL}, &s, 0);
        if (s) gomd_streams_signal(s, SIGTERM, 1);
        if (s) error = keep(s, gomd_streams_wait(s, PATIENCE_MS));
        if (s) printf(" by %d", gomd_streams_state(s)->signal);
    } else if (strcmp(name, "wait") == 0) {
        error = run(g, (const char *[]){"sleep", "1000", NULL}, &s, 0);
        if (s) error = keep(s, gomd_streams_wait(s, 200));
    } else if (strcmp(name, "detach") == 0) {
        error = run(g, all, &s, 1);
        if (s) printf(" %lld %d", (long long)gomd_streams_state(s)->job, gomd_streams_step(s, 0));
    } else if (strcmp(name, "attach") == 0) {
        error = gomd_attach(g, atol(words[0]), &s);
        if (error < 0) sentence = gomd_error(g);
        if (s) error = read_all(s);
    } else if (strcmp(name, "surroundings") == 0) {
        mode_t mask = 027;
        error = gomd_run(g, &(gomd_spec_t){.argv = (const char *[]){"sh", "-c", "pwd; umask; echo $A-$B; nice; ulimit -n; stty size", NULL},
                         .env = (const char *[]){"PATH=/usr/bin:/bin", "A=first", "A=second", "B=b\xff\xc3\xa9", "no name", "=x", NULL},
                         .cwd = "/usr", .umask = &mask, .nice = &(int){3}, .tty = 1, .rows = 7, .columns = 9,
                         .limits = (gomd_limit_t[]){{"NOFILE", 77, 99}, {NULL, 0, 0}}}, &s);
        if (error < 0) sentence = gomd_error(g);
        if (s) error = read_all(s);
    } else {
        printf(" no such call\n");
        exit(2);
    }
    gomd_streams_close(s);
    return error;
}

int main(int argc, char **argv) {
    gomd_t *g;
    if (argc < 3) return 2;
    int error = gomd_connect(&g, *argv[1] ? argv[1] : NULL, atoi(argv[2]));
    printf("connect %d%s%s\n", error, error < 0 ? " " : "", error < 0 ? gomd_error(g) : "");
    for (int i = 3; i < argc && error == GOMD_OK; i++) {
        char *argument = argv[i], *name = strsep(&argument, " ");
        printf("%s", name);
        int result = call(g, name, argument);
        printf(" = %d%s%s\n", result, result < 0 ? " " : "", result < 0 ? sentence : "");
        fflush(stdout);
    }
    gomd_close(g);
    return 0;
}
