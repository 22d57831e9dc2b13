/* What the files about a job's streams share. */
#ifndef GOMD_STREAMS_H
#define GOMD_STREAMS_H

#include "caller.h"
#include "client.h"
#include "spec.h"

struct gomd_streams {
    gomd_t *line; /* where to connect to, with which token; and the sentence of the newest error */
    int fd;       /* carries frames; -1: no connection */
    struct caller end;
    struct queue in, sending, output[2];
    gomd_streams_state_t state;
    char *reason;
    int error; /* of streams that are of no more use */
    int detach; /* the job was started, and is left alone */
    int send_failed, early_exit;
    size_t spec_bytes;
    size_t shown[2]; /* what gomd_streams_read has given, and is taken with its next call */
    int64_t due;     /* until then the daemon has to say the rest of what it began, or -1 */
    int64_t lost_at; /* since when there is no connection that was any good, or -1 */
    int reconnect_ms;
    char why[200]; /* the connection was lost */
};

/* Streams that are not connected, with a handle that becomes theirs. NULL without memory: the handle is closed. */
gomd_streams_t *streams_new(gomd_t *line);
/* Ask for a job to be run, or to attach to one, without waiting for it to have begun. `detach`: and for no streams. */
int streams_run(gomd_streams_t *s, const gomd_spec_t *spec, int64_t deadline);
int streams_attach(gomd_streams_t *s, const char *job, int64_t deadline);
/* Note the sentence, close the connection, and return the error from then on. */
int streams_fail(gomd_streams_t *s, int error, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* Send what waits, as much as is taken now. */
void streams_flush(gomd_streams_t *s);
/* Tell the daemon that the job may end, without waiting for more than is taken now. */
void streams_hang_up(gomd_streams_t *s);

#endif
