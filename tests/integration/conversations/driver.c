/*
 * Makes calls of the library in C: a line of input is a call and its words, with tabs between them; a line of output is JSON, what
 * the library returned, or its error. tests/integration/conversations/drivers.py describes the calls.
 */
#define _GNU_SOURCE
#include <gomd.h>
#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static gomd_t *g;
static gomd_streams_t *job;
static const char *separator = "";

static void text(const char *value) {
    if (!value) {
        printf("null");
        return;
    }
    putchar('"');
    for (; *value; value++) {
        if (*value == '"' || *value == '\\' || (unsigned char)*value < ' ') printf("\\u%04x", *value);
        else putchar(*value);
    }
    putchar('"');
}

static void integer(int64_t value) {
    if (value == GOMD_UNKNOWN) printf("null");
    else printf("%lld", (long long)value);
}

static void number(double value) {
    if (isnan(value)) printf("null");
    else printf("%.17g", value);
}

static void name(const char *value) {
    printf("%s\"%s\": ", separator, value);
    separator = ", ";
}

#define I(field) (name(#field), integer(row->field))
#define T(field) (name(#field), text(row->field))
#define D(field) (name(#field), number(row->field))
#define F(field) (name(#field), printf("%s", row->field < 0 ? "null" : row->field ? "true" : "false"))

static void process(const gomd_process_t *row) {
    I(node), I(home), I(pid), I(ppid), I(uid), T(user), T(state), I(nice), I(threads), D(cpu_percent), D(cpu_seconds);
    I(rss), I(vsize), D(start_time), I(where), I(nmigs), F(lock), T(cantmove), T(command), D(read_rate), D(write_rate);
    I(started), T(identity), F(stuck), D(age), T(name), I(swap), I(descriptors), T(cgroup), T(container), I(gpu_memory);
}

static void job_row(const gomd_job_t *row) {
    I(job), I(home), I(node), I(pid), T(user), T(state), I(exit), T(command), I(uid), D(started), D(ended), T(reason);
    I(nmigs), F(lock), F(detached), I(pid_there), T(cantmove), I(memory_max), T(identity);
    name("former");
    printf("[");
    for (size_t i = 0; i < row->former_count; i++) printf("%s%lld", i ? ", " : "", (long long)row->former[i]);
    printf("]");
}

/* Both addresses of a node, from one text with a comma between them. */
static void addresses(const char *both) {
    printf("%s\"addresses\": [", separator);
    separator = ", ";
    for (const char *rest = both && *both ? both : NULL; rest; rest = strchr(rest, ',') ? strchr(rest, ',') + 1 : NULL)
        printf("%s\"%.*s\"", rest == both ? "" : ", ", (int)strcspn(rest, ","), rest);
    printf("]");
}

/* A row as the object that the daemon sent, from the struct that the library made of it. */
static void one(const gomd_rows_t *rows, size_t at) {
    const gomd_value_t *value = gomd_rows_value(rows, at);
    if (value) {
        printf("%s", value->json);
        return;
    }
    separator = "";
    printf("{");
    { const gomd_node_row_t *row = gomd_rows_node(rows, at);
      if (row) I(id), T(name), T(address), I(status), F(up), I(load), I(speed), I(cpus), I(util), I(mem), I(rmem), I(tmem), D(age), addresses(row->addresses); }
    if (gomd_rows_process(rows, at)) process(gomd_rows_process(rows, at));
    if (gomd_rows_job(rows, at)) job_row(gomd_rows_job(rows, at));
    { const gomd_event_t *row = gomd_rows_event(rows, at);
      if (row) D(time), T(kind), I(node), T(name), T(reason), I(by), D(seconds), D(stopped_seconds), I(bytes), I(precopied); }
    { const gomd_range_t *row = gomd_rows_range(rows, at); if (row) I(first), T(address), I(count); }
    { const gomd_name_t *row = gomd_rows_name(rows, at); if (row) T(name); }
    { const gomd_stat_t *row = gomd_rows_stat(rows, at); if (row) T(name), T(value), T(meaning); }
    { const gomd_caller_t *row = gomd_rows_caller(rows, at); if (row) T(role), T(user), I(uid), T(via); }
    { const gomd_status_t *row = gomd_rows_status(rows, at); if (row) I(status), T(words); }
    { const gomd_version_t *row = gomd_rows_version(rows, at); if (row) T(version), I(protocol); }
    { const gomd_memory_t *row = gomd_rows_memory(rows, at); if (row) I(mem), I(rmem), I(tmem); }
    { const gomd_file_t *row = gomd_rows_file(rows, at); if (row) T(path), T(text); }
    printf("}");
}

static void all(const gomd_rows_t *rows) {
    printf("[");
    for (size_t i = 0; i < gomd_rows_count(rows); i++) {
        if (i) printf(", ");
        one(rows, i);
    }
    printf("]");
}

static void round_of(const gomd_rows_t *rows) {
    printf("[");
    for (size_t i = 0; i < gomd_rows_count(rows); i++) {
        const gomd_source_t *source = gomd_rows_source(rows, i);
        printf("%s{\"from\": ", i ? ", " : "");
        integer(source->from);
        printf(", \"code\": ");
        integer(source->code);
        printf(", \"age\": ");
        number(source->rows_age);
        printf(", \"left\": %s, \"value\": ", source->left == 1 ? "true" : "false");
        if (source->error || source->left == 1) printf("null");
        else one(rows, i);
        printf("}");
    }
    printf("]");
}

static unsigned char byte_at(size_t position) {
    return (unsigned char)(position * 2654435761u >> 13);
}

/* So many bytes through the job and back, both at once; or those that it gives without being sent any. */
static int both(size_t total, int is_sent) {
    size_t sent = is_sent ? 0 : total, got = 0, length;
    int error, stream, is_same = 1;
    const char *data;
    static char piece[65536];
    do {
        while (sent < total && (length = gomd_streams_room(job)) > 0) {
            if (length > sizeof piece) length = sizeof piece;
            if (length > total - sent) length = total - sent;
            for (size_t i = 0; i < length; i++) piece[i] = (char)byte_at(sent + i);
            if ((error = gomd_streams_put(job, piece, length)) < 0) return error;
            if ((sent += length) == total) gomd_streams_end_input(job);
        }
        error = gomd_streams_read(job, 50, &stream, &data, &length);
        for (size_t i = 0; error == GOMD_OK && i < length; i++) is_same &= stream == 1 && (unsigned char)data[i] == byte_at(got++);
    } while (error == GOMD_OK || error == GOMD_E_TIMEOUT);
    if (error != GOMD_E_ENDED) return error;
    printf("{\"ok\": {\"same\": %s, \"bytes\": %zu, \"status\": %d}}", is_same && got == total ? "true" : "false", got, gomd_streams_wait(job, 0));
    return GOMD_OK;
}

static int begun(int error) {
    if (error == GOMD_OK) printf("{\"ok\": {\"job\": %lld}}", (long long)gomd_streams_state(job)->job);
    return error;
}

static int rows_or_value(gomd_rows_t *rows, int is_value) {
    printf("{\"ok\": ");
    if (is_value) one(rows, 0);
    else all(rows);
    printf("}");
    return GOMD_OK;
}

static int call(char **words) {
    static const char *const values[] = {"load", "speed", "cpus", "util", "mem", "status", "get", "where", "whoami", "version", NULL};
    const char *const *more = (const char *const *)words + 1;
    gomd_rows_t *rows = NULL;
    gomd_reply_t *reply = NULL;
    int error = GOMD_E_USAGE, is_value = 0;
    if (strcmp(words[0], "connect") == 0) {
        gomd_close(g);
        error = gomd_connect(&g, words[1], (int)(atof(words[2]) * 1000));
        if (error == GOMD_OK && words[3]) error = gomd_auth(g, words[3]);
    } else if (strcmp(words[0], "ask") == 0) {
        error = gomd_ask(g, NULL, more, &reply);
        if (error == GOMD_OK && gomd_reply_code(reply) == 201) {
            printf("{\"ok\": [");
            for (size_t i = 0; i < gomd_reply_count(reply); i++) printf("%s%s", i ? ", " : "", gomd_reply_line(reply, i));
            printf("]}");
        } else if (error == GOMD_OK) {
            printf("{\"ok\": %s}", gomd_reply_text(reply));
        }
        gomd_reply_free(reply);
        return error;
    } else if (strcmp(words[0], "read") == 0) {
        for (size_t i = 0; values[i]; i++) is_value |= strcmp(words[1], values[i]) == 0;
        error = gomd_read(g, NULL, more, &rows);
        if (error == GOMD_OK) error = rows_or_value(rows, is_value);
        gomd_rows_free(rows);
        return error;
    } else if (strcmp(words[0], "watch") == 0) {
        error = gomd_watch(g, words[1], atof(words[2]), more + 2);
    } else if (strcmp(words[0], "next") == 0) {
        error = gomd_watch_next(g, 20000, &rows);
        if (error == GOMD_OK) {
            printf("{\"ok\": ");
            round_of(rows);
            printf("}");
        }
        gomd_rows_free(rows);
        return error;
    } else if (strcmp(words[0], "unwatch") == 0) {
        error = gomd_watch_stop(g);
    } else if (strcmp(words[0], "run") == 0) {
        return begun(gomd_run(g, &(gomd_spec_t){.argv = more}, &job));
    } else if (strcmp(words[0], "attach") == 0) {
        return begun(gomd_attach(g, atol(words[1]), &job));
    } else if (strcmp(words[0], "both") == 0) {
        return both((size_t)atol(words[1]), 1);
    } else if (strcmp(words[0], "output") == 0) {
        return both((size_t)atol(words[1]), 0);
    } else if (strcmp(words[0], "wait") == 0) {
        error = gomd_streams_wait(job, (int)(atof(words[1]) * 1000));
        if (error >= 0) printf("{\"ok\": %d}", error);
        return error;
    } else if (strcmp(words[0], "signal") == 0) {
        error = gomd_streams_signal(job, atoi(words[1]), 1);
        if (error == GOMD_OK) error = gomd_streams_step(job, 0);
    } else if (strcmp(words[0], "leave") == 0) {
        gomd_streams_close(job);
        job = NULL;
        error = GOMD_OK;
    }
    if (error == GOMD_OK) printf("{\"ok\": null}");
    return error;
}

static void failed(int error) {
    static const char *const kinds[] = {"", "MalformedRequest", "ConnectionLost", "ConnectionLost", "TimedOut", "MalformedReply",
                                        "Memory", "Unproven", "Ended"};
    const char *sentence = job && *gomd_streams_error(job) ? gomd_streams_error(job) : gomd_error(g);
    printf("{\"error\": \"%s\", \"code\": %d, \"text\": ", error > -100 ? kinds[-error] : "Refused", error > -100 ? 0 : -error);
    text(sentence);
    printf("}");
}

static void nothing(int number) {
    (void)number;
}

int main(void) {
    char *line = NULL, *words[32];
    size_t size = 0;
    sigaction(SIGUSR1, &(struct sigaction){.sa_handler = nothing}, NULL); /* without SA_RESTART */
    for (;;) {
        if (getline(&line, &size, stdin) <= 0) {
            if (!ferror(stdin) || errno != EINTR) break;
            clearerr(stdin); /* the signal came between two calls */
            continue;
        }
        char *rest = line;
        size_t count = 0;
        line[strcspn(line, "\n")] = 0;
        while (rest && count < 31) words[count++] = strsep(&rest, "\t");
        words[count] = NULL;
        int error = call(words);
        if (error < 0) failed(error);
        putchar('\n');
        fflush(stdout);
    }
    gomd_streams_close(job);
    gomd_close(g);
    free(line);
    return 0;
}
