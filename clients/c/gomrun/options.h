/* The command lines of gomrun, and of gom and mosrun under whose names it runs, as values. */
#ifndef GOMRUN_OPTIONS_H
#define GOMRUN_OPTIONS_H

#include <stdint.h>

#define NO_ESCAPE (-1)

enum request { REQUEST_RUN, REQUEST_ATTACH, REQUEST_HELP, REQUEST_VERSION, REQUEST_WRONG };

struct options {
    const char *name;  /* of the program: gomrun, gom or mosrun */
    const char *endpoint, *token;
    const char *job;   /* to attach to */
    const char *usage; /* that help prints */
    char **argv;
    const char *node, *nodes;
    int lock;          /* as in gomd_spec_t */
    int tty;           /* 1: one of its own, 0: none, -1: not said */
    int detach, no_input, shared_tmp;
    int escape;
    int64_t memory, memory_max;
    const char **carry;
    char problem[500]; /* of REQUEST_WRONG */
    char own_node[16]; /* what `node` points to, for mosrun */
};

extern const char run_usage[], attach_usage[], gomrun_usage[], mosrun_usage[];

/* What a command line asks for; the words stay where they are. */
enum request parse_options(struct options *o, int argc, char **argv);
/* The same for mosrun, whose mistakes are its usage. Asks the daemon for nodes: `failure` is the line to print, or NULL. */
enum request parse_mosrun(struct options *o, int argc, char **argv, const char **failure, int *status);

#endif
