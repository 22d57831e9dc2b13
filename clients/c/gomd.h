/*
 * gomd.h - ask a gomd daemon over its line protocol: gomd(3) and README.md describe it.
 *
 * Numbers: every whole number is an int64_t, memory is in bytes, times are seconds since the epoch. What the
 * daemon does not know is GOMD_UNKNOWN in an int64_t, a NaN in a double, NULL in a text, -1 in a flag; it is never 0.
 *
 * Threads: one thread at a time uses a handle, and different threads use different handles freely. Answers
 * (gomd_rows_t, gomd_reply_t) do not depend on the handle they came from; several threads may read one.
 * A child of fork(2) cannot use a handle of its parent; it may close it.
 *
 * A call blocks until the answer is complete, at most for the handle's timeout. After a timeout, or an answer
 * that is not of this protocol, the connection is closed, so that a late answer is never taken for another's.
 */
#ifndef GOMD_H
#define GOMD_H

#include <limits.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct gomd gomd_t;             /* a connection */
typedef struct gomd_rows gomd_rows_t;   /* an answer, as structs */
typedef struct gomd_reply gomd_reply_t; /* an answer, as lines */
typedef struct gomd_streams gomd_streams_t; /* the streams of a job */
typedef int gomd_node_t;                /* the id of a node, 1 to 65535 */

#define GOMD_UNKNOWN INT64_MIN

/* What calls return. What a daemon refuses is minus its code: -404 when there is no such node or process. */
enum gomd_error {
    GOMD_OK = 0,
    GOMD_E_USAGE = -1,    /* wrong arguments; nothing was sent */
    GOMD_E_CONNECT = -2,  /* no daemon there */
    GOMD_E_LOST = -3,     /* the connection is closed: connect again */
    GOMD_E_TIMEOUT = -4,  /* no answer in time; the connection is closed */
    GOMD_E_REPLY = -5,    /* the answer is not of this protocol; the connection is closed */
    GOMD_E_MEMORY = -6,   /* out of memory; in the middle of an answer the connection is closed */
    GOMD_E_UNPROVEN = -7, /* not sent to a port that was found by default, where any program may listen */
    GOMD_E_ENDED = -8     /* the watch, or the job, has ended */
};

/*
 * Connect to "unix:PATH" or "tcp:HOST:PORT". NULL is $GOMD_ENDPOINT, else the daemon of this machine.
 * timeout_ms bounds this call and every later one; 0 means 30 seconds. A host's name, unlike its address, is
 * looked up by getaddrinfo(3), which has a time limit of its own. *g is a handle even when this fails, for
 * gomd_error(), and has to be closed; it is NULL only without memory.
 */
int gomd_connect(gomd_t **g, const char *endpoint, int timeout_ms);
void gomd_close(gomd_t *g);
/* One sentence about the last call that failed. It is valid until the next call. */
const char *gomd_error(const gomd_t *g);
/* A sentence for a return value, when there is no handle. */
const char *gomd_strerror(int error);
/* The id of the node that answers, from its greeting. */
gomd_node_t gomd_own_node(const gomd_t *g);
/* Raise the role of this connection by a token. */
int gomd_auth(gomd_t *g, const char *token);

/*
 * Any request: words is a verb and its arguments, up to a NULL. node is an id, a name, "all", or NULL for the
 * node that is connected to. The lines of the block are JSON objects, the text of a 200 is a JSON value.
 * When the daemon refuses, this returns minus its code, and *reply has what it said; it is NULL when there is
 * none. Not for `format`, `run`, `attach`, streams between daemons, or `watch`, which has calls of its own.
 */
int gomd_ask(gomd_t *g, const char *node, const char *const *words, gomd_reply_t **reply);
int gomd_reply_code(const gomd_reply_t *reply);
const char *gomd_reply_text(const gomd_reply_t *reply);
size_t gomd_reply_count(const gomd_reply_t *reply);
const char *gomd_reply_line(const gomd_reply_t *reply, size_t at); /* NULL behind the last one; of NULL, as the text */
void gomd_reply_free(gomd_reply_t *reply);
/* Undo the \xNN of bytes that are not printable. to has room for strlen(text) bytes; returns their number. */
size_t gomd_original(const char *text, unsigned char *to);

/* The rows. Later versions may add fields at the end; rows are only ever made by the library. */
typedef struct {
    int64_t id;
    const char *name, *address;
    int64_t status; /* bits of openMosix */
    int up;
    int64_t load; /* 100 is one busy process on a standard processor */
    int64_t speed, cpus, util, mem, rmem, tmem;
    double age; /* seconds */
    const char *addresses; /* both, that of IPv4 first, with a comma between them, if it has two; else "" or NULL */
} gomd_node_row_t;

typedef struct {
    int64_t node, home, pid, ppid, uid;
    const char *user, *state;
    int64_t nice, threads;
    double cpu_percent, cpu_seconds;
    int64_t rss, vsize;
    double start_time;
    int64_t where; /* 0 at home */
    int64_t nmigs;
    int lock;
    const char *cantmove, *command;
    double read_rate, write_rate; /* bytes a second */
    int64_t started;              /* clock ticks after the boot of its home */
    const char *identity;
    int stuck;
    double age;
    const char *name;
    /* only where they are asked for by name */
    int64_t swap;        /* bytes */
    int64_t descriptors; /* open ones */
    const char *cgroup, *container;
    int64_t gpu_memory; /* bytes */
} gomd_process_t;

typedef struct {
    int64_t job, home, node, pid;
    const char *user, *state;
    int64_t exit;
    const char *command;
    int64_t uid;
    double started, ended;
    const char *reason;
    int64_t nmigs;
    int lock, detached;
    int64_t pid_there;
    const char *cantmove;
    const int64_t *former; /* former_count of them */
    size_t former_count;
    int64_t memory_max;
    const char *identity;
} gomd_job_t;

typedef struct {
    double time;
    const char *kind;
    int64_t node;
    const char *name, *reason;
    int64_t by;
    double seconds, stopped_seconds;
    int64_t bytes, precopied;
} gomd_event_t;

typedef struct { int64_t first; const char *address; int64_t count; } gomd_range_t;
typedef struct { const char *name; } gomd_name_t;
typedef struct { const char *name, *value, *meaning; } gomd_stat_t; /* value: as text */
typedef struct { const char *role, *user; int64_t uid; const char *via; } gomd_caller_t;
typedef struct { int64_t status; const char *words; } gomd_status_t;
typedef struct { const char *version; int64_t protocol; } gomd_version_t;
typedef struct { int64_t mem, rmem, tmem; } gomd_memory_t;
typedef struct { const char *path, *text; } gomd_file_t;
/* A verb with one value, or one that this library has no struct for: then json is the whole row. */
typedef struct { int64_t integer; double number; const char *json; } gomd_value_t;

/* Where a row comes from, when several nodes were asked or watched. */
typedef struct {
    int64_t from;      /* the node; GOMD_UNKNOWN where only one is asked */
    int64_t code;      /* of the error, or GOMD_UNKNOWN */
    const char *error; /* why this node has no row, or NULL */
    int left;          /* 1: the node has left the cluster; else -1 */
    double rows_age;   /* of a watch: seconds since the rows of this node were fresh */
    int64_t matched;   /* of a watch: how many processes a selection has there, or GOMD_UNKNOWN */
    int64_t total;     /* of a watch with --most: how many rows all nodes have, or GOMD_UNKNOWN */
} gomd_source_t;

size_t gomd_rows_count(const gomd_rows_t *rows);
int64_t gomd_rows_round(const gomd_rows_t *rows); /* of a watch, else GOMD_UNKNOWN */
void gomd_rows_free(gomd_rows_t *rows);
const gomd_source_t *gomd_rows_source(const gomd_rows_t *rows, size_t at);
/* A row, or NULL: behind the last one, for rows of another verb, and for a node that gave an error or has left. */
const gomd_node_row_t *gomd_rows_node(const gomd_rows_t *rows, size_t at);
const gomd_process_t *gomd_rows_process(const gomd_rows_t *rows, size_t at);
const gomd_job_t *gomd_rows_job(const gomd_rows_t *rows, size_t at);
const gomd_event_t *gomd_rows_event(const gomd_rows_t *rows, size_t at);
const gomd_range_t *gomd_rows_range(const gomd_rows_t *rows, size_t at);
const gomd_name_t *gomd_rows_name(const gomd_rows_t *rows, size_t at);
const gomd_stat_t *gomd_rows_stat(const gomd_rows_t *rows, size_t at);
const gomd_caller_t *gomd_rows_caller(const gomd_rows_t *rows, size_t at);
const gomd_status_t *gomd_rows_status(const gomd_rows_t *rows, size_t at);
const gomd_version_t *gomd_rows_version(const gomd_rows_t *rows, size_t at);
const gomd_memory_t *gomd_rows_memory(const gomd_rows_t *rows, size_t at);
const gomd_file_t *gomd_rows_file(const gomd_rows_t *rows, size_t at);
const gomd_value_t *gomd_rows_value(const gomd_rows_t *rows, size_t at);

/* Any verb that reads, as structs: gomd_read(g, NULL, (const char *[]){"ps", "--top", "9", NULL}, &rows). */
int gomd_read(gomd_t *g, const char *node, const char *const *words, gomd_rows_t **rows);

/* What `ps` selects; fields that are 0 or NULL select nothing. */
typedef struct {
    const char *node; /* the node to ask, or "all"; NULL is the one that is connected to */
    int64_t top;
    const char *sort, *user, *match, *fields;
    int jobs;
    const pid_t *pids;
    size_t pid_count;
    const char *const *more; /* further words of the request, up to a NULL: options that a later daemon has */
} gomd_selection_t;

int gomd_nodes(gomd_t *g, gomd_rows_t **rows);
int gomd_node(gomd_t *g, const char *node, gomd_rows_t **rows);
int gomd_ps(gomd_t *g, const gomd_selection_t *selection, gomd_rows_t **rows);
int gomd_jobs(gomd_t *g, gomd_rows_t **rows);
int gomd_events(gomd_t *g, const char *kinds, int64_t newest, gomd_rows_t **rows);
int gomd_map(gomd_t *g, gomd_rows_t **rows);
int gomd_ls(gomd_t *g, const char *path, gomd_rows_t **rows);
int gomd_stats(gomd_t *g, gomd_rows_t **rows);
int gomd_whoami(gomd_t *g, gomd_rows_t **rows);
int gomd_status(gomd_t *g, const char *node, gomd_rows_t **rows);
int gomd_version(gomd_t *g, gomd_rows_t **rows);
int gomd_get(gomd_t *g, const char *path, gomd_rows_t **rows);
int gomd_load(gomd_t *g, const char *node, int64_t *value);
int gomd_speed(gomd_t *g, const char *node, int64_t *value);
int gomd_util(gomd_t *g, const char *node, int64_t *value);
int gomd_cpus(gomd_t *g, const char *node, int64_t *value);
int gomd_mem(gomd_t *g, const char *node, gomd_memory_t *value);

/*
 * Repeat a verb every so many seconds (0: the daemon's period) until the watch is stopped. The handle answers
 * no other question meanwhile. gomd_watch_next waits up to timeout_ms (0: not at all, -1: for ever) for a round;
 * *rows is NULL when none came. When gomd_watch_fd is readable, call gomd_watch_next(g, 0, &rows) until it gives none.
 */
int gomd_watch(gomd_t *g, const char *node, double seconds, const char *const *words);
int gomd_watch_fd(const gomd_t *g);
int gomd_watch_next(gomd_t *g, int timeout_ms, gomd_rows_t **rows);
int gomd_watch_stop(gomd_t *g);
/* Call back with each round until that returns other than 0. timeout_ms is the longest wait for a round. */
typedef int gomd_callback_t(void *with, const gomd_rows_t *rows);
int gomd_watch_each(gomd_t *g, int timeout_ms, gomd_callback_t *callback, void *with);

/* A resource limit, -1 for none; its name is that of getrlimit(2) without RLIMIT_. */
typedef struct { const char *name; int64_t soft, hard; } gomd_limit_t;

/* A command that is to run, and its surroundings. What is 0 or NULL is as this process has it, or as usual. */
typedef struct {
    const char *const *argv; /* up to a NULL; a command without a / is looked for in PATH of env */
    const char *const *env;  /* NAME=VALUE, up to a NULL */
    const char *cwd;         /* an absolute path */
    const mode_t *umask;
    const int *nice;
    const gomd_limit_t *limits; /* up to a name that is NULL */
    const char *node;           /* id or name of the node it is to run on; NULL: the best one */
    const char *nodes;          /* ids such as "1-4,7": the best of these */
    int lock;                   /* 1: balancing leaves it where it is, -1: it does not, 0: as the daemon has it */
    int tty, rows, columns;     /* a terminal of its own, and the size of that */
    int merge;                  /* its errors go into its output */
    int detach;                 /* nobody waits for it; its output is kept for gomd_attach */
    int shared_tmp;             /* it sees the /tmp of its node, and has none of its own */
    int64_t memory;             /* bytes it will need */
    int64_t memory_max;         /* bytes it may have */
    const char *const *carry;   /* files and directories that travel with it, up to a NULL */
    const char *more;           /* further members of the JSON object that describes a job: what a later daemon has */
} gomd_spec_t;

/* What is known of a job and of the connection to it. */
typedef struct {
    int64_t job, home, node, pid; /* GOMD_UNKNOWN while it is not known */
    int detached, tty;
    int connected;    /* there is a connection: else gomd_streams_reconnect */
    int attached;     /* the job's end has answered on it */
    int64_t attachments; /* how often it has answered */
    int input_ended;  /* no more input is taken */
    int64_t stopped;  /* 0 while its first process runs, else which time it is that it has stopped */
    int64_t lost[2];  /* bytes of its output and of its errors that were not kept and never come */
    int exited;       /* it has ended; there may be output to read */
    int exit, signal; /* its status as a shell has it, and the signal that ended it, or 0 */
    const char *reason; /* why it ended, if that is not plain; or NULL */
} gomd_streams_state_t;

/*
 * Run a command, or take up the streams of a job, over a connection of its own to where g is connected. Both
 * block until the job has begun, at most for the timeout of g, and pass the error's sentence to g. *streams is NULL
 * after an error. -127: there is no such command; -126: it cannot be executed. A thread uses streams as it uses a handle.
 */
int gomd_run(gomd_t *g, const gomd_spec_t *spec, gomd_streams_t **streams);
int gomd_attach(gomd_t *g, int64_t job, gomd_streams_t **streams);
/* Close the connection. A job that still runs gets SIGHUP, and SIGKILL after 5 s, unless it is a detached one. */
void gomd_streams_close(gomd_streams_t *streams);
const char *gomd_streams_error(const gomd_streams_t *streams);
const gomd_streams_state_t *gomd_streams_state(const gomd_streams_t *streams);

/*
 * The calls that wait. timeout_ms is the longest they wait, -1 for as long as it takes; after GOMD_E_TIMEOUT the call may
 * be made again. A daemon that goes away is waited for, for 30 s or for what gomd_streams_set_reconnect said.
 * Output that is not read holds the job back, as in a pipe: 1 MiB of each stream waits here.
 */
/* The next output: stream is 1 or 2, the bytes are valid until the next call. GOMD_E_ENDED behind the last. */
int gomd_streams_read(gomd_streams_t *streams, int timeout_ms, int *stream, const char **data, size_t *length);
/* Give all of it to the job's standard input. GOMD_E_ENDED: it takes no more. *done: how many bytes are on their way. */
int gomd_streams_write(gomd_streams_t *streams, int timeout_ms, const void *data, size_t length, size_t *done);
/* The exit status, 0 to 255, once the job has ended. */
int gomd_streams_wait(gomd_streams_t *streams, int timeout_ms);
int gomd_streams_set_reconnect(gomd_streams_t *streams, int timeout_ms);

/* The calls that only note what is to be sent: gomd_streams_step, or a call that waits, sends it. */
int gomd_streams_end_input(gomd_streams_t *streams);
int gomd_streams_signal(gomd_streams_t *streams, int number, int group); /* group 0: to its first process alone */
int gomd_streams_size(gomd_streams_t *streams, int rows, int columns);

/*
 * For a poll loop of one's own: give and take what there is, then poll gomd_streams_fd for gomd_streams_events, at most
 * gomd_streams_due milliseconds (-1: for ever), and call gomd_streams_step(s, 0), which does what can be done at once. It gives GOMD_E_LOST when the connection is
 * gone; gomd_streams_reconnect, which blocks for at most timeout_ms (0: for the handle's timeout at each answer), makes a new one.
 */
int gomd_streams_fd(const gomd_streams_t *streams);
short gomd_streams_events(const gomd_streams_t *streams);
int gomd_streams_due(const gomd_streams_t *streams);
int gomd_streams_step(gomd_streams_t *streams, int timeout_ms);
int gomd_streams_reconnect(gomd_streams_t *streams, int timeout_ms);
/* Output that waits, of stream 1 or 2; gomd_streams_taken says how much of it was passed on, which the job may send anew. */
const char *gomd_streams_output(const gomd_streams_t *streams, int stream, size_t *length);
void gomd_streams_taken(gomd_streams_t *streams, int stream, size_t length);
/* How many bytes of input there is room for, and taking at most so many. */
size_t gomd_streams_room(const gomd_streams_t *streams);
int gomd_streams_put(gomd_streams_t *streams, const void *data, size_t length);

/* The node that process pid, whose home is node, runs on: its id, or an error, which is below 0. */
int gomd_get_cur_node(gomd_t *g, gomd_node_t node, pid_t pid);
/*
 * Let that be a sealed question to the home of the process, a datagram that is asked again with a new seal, 3 times in 1.5 s;
 * the daemon of the handle is asked for the address of a node alone. key_file: of the cluster, or STATE/key of one's own
 * daemon. GOMD_E_USAGE: it cannot be used, or the library was built without libsodium.
 */
int gomd_use_key(gomd_t *g, const char *key_file);
/*
 * Where a node is asked: HOST or HOST:PORT, an IPv6 address with a port as [HOST]:PORT; for a port other than 5428, and for a
 * handle without a connection.
 */
int gomd_set_address(gomd_t *g, gomd_node_t node, const char *address);
/*
 * The same sealed question without blocking, one at a time: begin, poll the descriptor for input for at most as many milliseconds
 * as are due, and step, which gives 0 as long as there is no answer. Only the address of a node that is not known blocks.
 */
int gomd_cur_node_begin(gomd_t *g, gomd_node_t node, pid_t pid);
int gomd_cur_node_fd(const gomd_t *g); /* -1: nothing was asked */
int gomd_cur_node_due(const gomd_t *g);
int gomd_cur_node_step(gomd_t *g);
/* The same with a handle of the library's own for each thread, which is closed when the thread ends. */
int gomd_getCurNode(gomd_node_t node, pid_t pid);

#ifdef __cplusplus
}
#endif
#endif
