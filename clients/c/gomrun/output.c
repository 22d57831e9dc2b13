/* Our own standard output and standard error, to which the output of a job is written. */
#define _GNU_SOURCE
#include "output.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define CERTAIN_BYTES 4096
#define MAX_WRITE_BYTES ((size_t)1 << 20)
/* What a pipe is let have when more waits for it than it has as a rule: so both sides wake each other less often. */
#define WIDE_PIPE_BYTES (1 << 18)
#define USUAL_PIPE_BYTES (1 << 16)

void output_init(struct output *o, int stream) {
    struct stat status;
    int known = fstat(stream, &status) == 0;
    *o = (struct output){.stream = stream, .fd = stream, .at_once = CERTAIN_BYTES, .open = 1};
    if (known && S_ISREG(status.st_mode)) o->at_once = MAX_WRITE_BYTES;
    if (known && S_ISFIFO(status.st_mode)) { /* without blocking, and without a change for others who have the pipe */
        char path[32];
        snprintf(path, sizeof path, "/proc/self/fd/%d", stream);
        int fd = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
        if (fd < 0) return;
        o->fd = fd;
        o->at_once = MAX_WRITE_BYTES;
        o->narrow = 1;
    }
}

size_t output_waiting(const struct output *o, const gomd_streams_t *streams) {
    size_t length;
    gomd_streams_output(streams, o->stream, &length);
    return length;
}

/* The reader has closed the pipe: the job gets SIGPIPE, as it would in a shell's pipeline. */
static void give_up(struct output *o, gomd_streams_t *streams) {
    if (o->open && o->stream == 1) gomd_streams_signal(streams, SIGPIPE, 1);
    o->open = 0;
    gomd_streams_taken(streams, o->stream, output_waiting(o, streams));
}

int output_write(struct output *o, gomd_streams_t *streams, int happened) {
    size_t length;
    const char *bytes = gomd_streams_output(streams, o->stream, &length);
    if (!o->open || (length == 0 && happened & POLLERR)) {
        give_up(o, streams);
    } else if (length > 0 && happened) {
        if (o->narrow && length > USUAL_PIPE_BYTES) {
            o->narrow = 0;
            if (fcntl(o->fd, F_GETPIPE_SZ) < WIDE_PIPE_BYTES) /* its reader may want more */
                (void)fcntl(o->fd, F_SETPIPE_SZ, WIDE_PIPE_BYTES); /* whoever has many pipes may not */
        }
        ssize_t count = write(o->fd, bytes, length < o->at_once ? length : o->at_once);
        if (count >= 0) gomd_streams_taken(streams, o->stream, (size_t)count);
        else if (errno == EPIPE) give_up(o, streams);
        else if (errno != EAGAIN && errno != EINTR) return errno;
    }
    return 0;
}
