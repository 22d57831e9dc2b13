/* A verb that is repeated: rounds, by waiting, by descriptor and by callback. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client.h"

#define MAX_WORDS 1024

static int not_begun(gomd_t *g, int code, const char *text) {
    if (code >= 400) return fail(g, -code, "%s", text);
    return fail_closed(g, GOMD_E_REPLY, "the answer is not what `watch` answers: its code is %d", code);
}

int gomd_watch(gomd_t *g, const char *node, double seconds, const char *const *words) {
    const char *asked[MAX_WORDS + 8] = {"watch"};
    char period[32], at[300];
    size_t count = 1;
    if (!words || !words[0]) return fail(g, GOMD_E_USAGE, "a watch needs the verb that it repeats");
    if (!(seconds >= 0 && seconds < 1e9)) return fail(g, GOMD_E_USAGE, "the period of a watch is a number of seconds");
    if (words[0][0] == '-' || words[0][0] == '@') return fail(g, GOMD_E_USAGE, "the words of a watch begin with the verb that it repeats");
    if (seconds > 0) { /* in milliseconds, and without a locale's comma */
        long long ms = (long long)(seconds * 1000 + 0.5);
        snprintf(period, sizeof period, "%lld.%03lld", ms / 1000, ms % 1000);
        asked[count++] = "-n", asked[count++] = period;
    }
    if (node) {
        int length = snprintf(at, sizeof at, "@%s", node);
        if (!*node || length >= (int)sizeof at) return fail(g, GOMD_E_USAGE, "the name of a node has 1 to %zu bytes", sizeof at - 2);
        asked[count++] = at;
    }
    for (size_t i = 0; words[i]; i++) {
        if (i == MAX_WORDS) return fail(g, GOMD_E_USAGE, "a watch has at most %d words", MAX_WORDS);
        asked[count++] = words[i];
    }
    int64_t deadline = now_ms() + g->timeout_ms;
    int error = send_request(g, NULL, asked, deadline);
    if (error != GOMD_OK) return error;
    enum reader_event event = next_event(g, deadline);
    if (event == READER_BAD) return closed_error(g);
    if (event == READER_MORE) return fail_closed(g, GOMD_E_TIMEOUT, "no answer within %d ms: connect again", g->timeout_ms);
    if (event != READER_STATUS || g->reader.code != 201) return not_begun(g, g->reader.code, g->reader.text);
    g->watching = 1;
    g->round_bytes = 0;
    g->watched = kind_of_verb(words[0]);
    return GOMD_OK;
}

int gomd_watch_fd(const gomd_t *g) {
    return g->watching ? g->fd : -1;
}

static int ready_to_watch(gomd_t *g) {
    if (g->fd < 0) return fail(g, GOMD_E_LOST, "the connection is closed: connect again");
    if (g->owner != getpid()) return fail(g, GOMD_E_USAGE, "this handle is of the process that forked: connect again here");
    if (!g->watching) return fail(g, GOMD_E_ENDED, "this handle does not watch: gomd_watch begins");
    return GOMD_OK;
}

static int end_watch(gomd_t *g) {
    int half = g->round != NULL;
    g->watching = 0;
    gomd_rows_free(g->round);
    g->round = NULL;
    return half;
}

int gomd_watch_next(gomd_t *g, int timeout_ms, gomd_rows_t **rows) {
    int complete, code, error = ready_to_watch(g);
    const char *text;
    *rows = NULL;
    if (error != GOMD_OK) return error;
    int64_t deadline = timeout_ms < 0 ? INT64_MAX : now_ms() + timeout_ms;
    for (;;) {
        enum reader_event event = next_event(g, deadline);
        if (event == READER_BAD) return closed_error(g);
        if (event == READER_MORE) return GOMD_OK;
        if (event == READER_END) {
            if (end_watch(g)) return fail_closed(g, GOMD_E_REPLY, "the answer is not of gomd's protocol (half a round)");
            return fail(g, GOMD_E_ENDED, "the watch has ended");
        }
        g->round_bytes += g->reader.length + 1;
        if (g->round_bytes > MAX_BLOCK_BYTES) return fail_closed(g, GOMD_E_REPLY, "the answer is not of gomd's protocol: a round of more than 64 MiB");
        if (!g->round && !(g->round = rows_new(g->watched))) return fail_closed(g, GOMD_E_MEMORY, "out of memory for the answer: the connection is closed");
        error = rows_add_to_round(g->round, g->reader.text, g->reader.length, &complete);
        if (error != GOMD_OK) return bad_row(g, error, g->round);
        if (!complete) continue;
        g->round_bytes = 0;
        *rows = g->round;
        g->round = NULL;
        if (gomd_rows_round(*rows) == GOMD_UNKNOWN && (code = rows_failure(*rows, &text)) != 0) {
            error = fail(g, -code, "%s", text); /* the end of the block is still to come */
            gomd_rows_free(*rows);
            *rows = NULL;
            return error;
        }
        return GOMD_OK;
    }
}

int gomd_watch_stop(gomd_t *g) {
    int error = ready_to_watch(g);
    if (error == GOMD_E_ENDED) return GOMD_OK;
    if (error != GOMD_OK) return error;
    int64_t deadline = now_ms() + g->timeout_ms;
    /* The next line ends a watch. This one has an answer, also when the watch has ended by itself meanwhile. */
    static const char line[] = "format json\r\n";
    error = send_bytes(g, line, sizeof line - 1, deadline);
    if (error != GOMD_OK) return error;
    for (;;) {
        enum reader_event event = next_event(g, deadline);
        if (event == READER_BAD) return closed_error(g);
        if (event == READER_MORE || now_ms() > deadline)
            return fail_closed(g, GOMD_E_TIMEOUT, "the watch did not end within %d ms: connect again", g->timeout_ms);
        if (event != READER_STATUS) continue; /* rows that were under way, and the end of the block */
        if (g->reader.code != 200)
            return fail_closed(g, GOMD_E_REPLY, "the answer to `format json` is not 200: %.300s", g->reader.text);
        end_watch(g);
        return GOMD_OK;
    }
}

int gomd_watch_each(gomd_t *g, int timeout_ms, gomd_callback_t *callback, void *with) {
    for (;;) {
        gomd_rows_t *rows;
        int error = gomd_watch_next(g, timeout_ms, &rows);
        if (error != GOMD_OK) return error;
        if (!rows) {
            error = gomd_watch_stop(g);
            return error != GOMD_OK ? error : fail(g, GOMD_E_TIMEOUT, "no round within %d ms: the watch is stopped", timeout_ms);
        }
        int enough = callback(with, rows);
        gomd_rows_free(rows);
        if (enough) return gomd_watch_stop(g);
    }
}
