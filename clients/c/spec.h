/* The description of a job as the frame that the daemon reads. */
#ifndef GOMD_SPEC_H
#define GOMD_SPEC_H

#include "client.h"
#include "queue.h"

/* Add the SPEC frame. GOMD_OK, or an error whose sentence g has. */
int put_spec(gomd_t *g, const gomd_spec_t *spec, struct queue *q);

/* What a program that this process starts would inherit; surroundings.c. */
#define LIMITS_COUNT 15
/* The directory, by the name its user came into it where that leads there; NULL and errno. The result is to be freed. */
char *own_directory(void);
mode_t own_umask(void);
/* Up to a name that is NULL. */
void own_limits(gomd_limit_t limits[LIMITS_COUNT + 1]);
/* A path without symbolic links on its way, also of what is not there; NULL without memory or at a loop. To be freed. */
char *real_path(const char *directory, const char *path);

#endif
