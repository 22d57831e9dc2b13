/* Relays the streams of a job between the daemon and our own standard streams. */
#ifndef GOMRUN_RELAY_H
#define GOMRUN_RELAY_H

#include "options.h"
#include "terminal.h"
#include "../streams.h"

/* Exit statuses, as those of gom. */
enum { STATUS_REFUSED = 1, STATUS_USAGE = 2, STATUS_NO_DAEMON = 3 };

/* The exit status for an error of the library. */
int status_of(int error);
/*
 * Relay the streams until the job ends, over as many connections as it takes; return the exit status. The sentence of an
 * error has been said.
 */
int relay(const struct options *o, gomd_streams_t *streams, struct terminal *terminal);

#endif
