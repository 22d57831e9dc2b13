/*
 * gomrun: the compiled `gom run`. Under the name gom it takes the words of `gom run` and `gom attach`, as gom hands them
 * over; under the name mosrun those of openMosix's mosrun.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "relay.h"

/* For the greeting of a daemon and for each answer. */
#define ANSWER_MS 5000
/* Of a terminal whose size nobody knows. */
#define DEFAULT_ROWS 24
#define DEFAULT_COLUMNS 80

static int say(const struct options *o, int status, const char *sentence) {
    fprintf(stderr, "%s: %s\n", o->name, sentence);
    return status;
}

/* Without this a socket would get the number of a stream that the caller has closed, and be read as our input. */
static void open_closed_streams(void) {
    for (int fd = 0; fd < 3; fd++) {
        struct stat status;
        int ends[2];
        if (fstat(fd, &status) == 0) continue;
        int opened = open("/dev/null", O_RDWR);
        if (opened < 0 && pipe(ends) == 0) { /* no /dev/null: the reading end of a pipe without a writer */
            close(ends[1]);
            opened = ends[0];
        }
        if (opened >= 0 && opened != fd) {
            dup2(opened, fd);
            close(opened);
        }
    }
}

/* Whether two descriptors are the same pipe or device, so that the order of writes to them matters. */
static int are_same(int one, int other) {
    struct stat a, b;
    if (fstat(one, &a) != 0 || fstat(other, &b) != 0) return 0;
    return a.st_dev == b.st_dev && a.st_ino == b.st_ino && a.st_rdev == b.st_rdev && !S_ISREG(a.st_mode);
}

static gomd_spec_t spec_of(const struct options *o) {
    gomd_spec_t spec = {.argv = (const char *const *)o->argv, .node = o->node, .nodes = o->nodes, .lock = o->lock, .detach = o->detach,
                        .shared_tmp = o->shared_tmp, .memory = o->memory, .memory_max = o->memory_max, .carry = o->carry,
                        .rows = DEFAULT_ROWS, .columns = DEFAULT_COLUMNS};
    struct winsize size;
    int terminal = o->tty;
    if (terminal < 0) terminal = !o->no_input && isatty(0) && isatty(1) && is_ours(&(struct foreground){0});
    spec.tty = terminal && !o->detach;
    if (spec.tty && isatty(1) && ioctl(1, TIOCGWINSZ, &size) == 0) spec.rows = size.ws_row, spec.columns = size.ws_col;
    spec.merge = !spec.tty && are_same(1, 2);
    return spec;
}

/* Wait until a detached job has begun, and print its number. */
static int leave_alone(const struct options *o, gomd_streams_t *streams) {
    int error = GOMD_OK;
    while (error == GOMD_OK && gomd_streams_state(streams)->job == GOMD_UNKNOWN) error = gomd_streams_step(streams, -1);
    if (error != GOMD_OK) return say(o, status_of(error), gomd_streams_error(streams));
    printf("%lld\n", (long long)gomd_streams_state(streams)->job);
    if (fflush(stdout) == 0) return 0;
    fprintf(stderr, "%s: the answer cannot be written: %s\n", o->name, strerror(errno));
    return STATUS_REFUSED;
}

static int run(const struct options *o) {
    struct terminal terminal;
    const char *endpoint = o->endpoint && *o->endpoint ? o->endpoint : NULL;
    gomd_t *line = new_handle(endpoint, ANSWER_MS);
    gomd_streams_t *streams = streams_new(line);
    if (!streams) return say(o, STATUS_REFUSED, "out of memory");
    int status, error = check_endpoint(line, endpoint);
    if (error != GOMD_OK) {
        fprintf(stderr, "%s: %s; see `%s --help`\n", o->name, gomd_error(line), o->name);
        status = STATUS_USAGE;
    } else if (o->token && *o->token && !(line->token = strdup(o->token))) {
        status = say(o, STATUS_REFUSED, "out of memory");
    } else {
        gomd_spec_t spec = spec_of(o);
        error = o->job ? streams_attach(streams, o->job, INT64_MAX) : streams_run(streams, &spec, INT64_MAX);
        terminal_init(&terminal, o->name, !o->job && spec.tty);
        if (error != GOMD_OK) status = say(o, status_of(error), gomd_streams_error(streams));
        else status = o->detach && !o->job ? leave_alone(o, streams) : relay(o, streams, &terminal);
    }
    gomd_streams_close(streams);
    return status;
}

/* Under the name gom the help is that of the verb, as `gom` has it. */
static const char *verb_of(const struct options *o) {
    if (strcmp(o->name, "gom") != 0) return "";
    return o->usage == run_usage ? " run" : o->usage == attach_usage ? " attach" : "";
}

int main(int argc, char **argv) {
    struct options options;
    const char *name = argc > 0 && argv[0] ? strrchr(argv[0], '/') : NULL, *failure = NULL;
    enum request request;
    int status = 0;
    open_closed_streams();
    name = name ? name + 1 : argc > 0 && argv[0] ? argv[0] : "";
    if (strcmp(name, "mosrun") == 0) request = parse_mosrun(&options, argc, argv, &failure, &status);
    else request = parse_options(&options, argc, argv);
    switch (request) {
    case REQUEST_HELP:
        fputs(options.usage, stdout);
        if (options.usage == gomrun_usage) fputs(run_usage, stdout);
        break;
    case REQUEST_VERSION: printf("gomrun %s\n", GOMD_VERSION_TEXT); break;
    case REQUEST_WRONG:
        if (failure) fprintf(stderr, "%s%s", failure, failure[strlen(failure) - 1] == '\n' ? "" : "\n");
        else fprintf(stderr, "%s: %s; see `%s%s --help`\n", options.name, options.problem, options.name, verb_of(&options));
        status = failure ? status : STATUS_USAGE;
        break;
    default: status = run(&options);
    }
    free(options.carry);
    return status;
}
