/* Our own standard output and standard error, to which the output of a job is written. */
#ifndef GOMRUN_OUTPUT_H
#define GOMRUN_OUTPUT_H

#include "../streams.h"

struct output {
    int stream; /* 1 or 2 */
    int fd;
    size_t at_once; /* bytes that it surely takes once poll says that it is writable */
    int narrow;     /* it is a pipe that has as many bytes as pipes have as a rule */
    int open;       /* it has a reader, as far as is known */
};

void output_init(struct output *o, int stream);
size_t output_waiting(const struct output *o, const gomd_streams_t *streams);
/* Write some of what waits, after what poll said. 0, or the errno of an output that cannot be written to. */
int output_write(struct output *o, gomd_streams_t *streams, int happened);

#endif
