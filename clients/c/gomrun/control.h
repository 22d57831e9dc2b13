/* What the signals sent to this program mean for its job: Ctrl-C, Ctrl-Z and the ways out. */
#ifndef GOMRUN_CONTROL_H
#define GOMRUN_CONTROL_H

#include "../streams.h"
#include "terminal.h"

enum press { PRESS_FORWARD, PRESS_ASK, PRESS_END, PRESS_LEAVE };

struct control {
    gomd_streams_t *streams;
    struct terminal *terminal;
    int64_t job;     /* 0 before it has begun */
    int stays_alone; /* the job goes on without us: Ctrl-C and Ctrl-Z concern this program only */
    int64_t stop, followed; /* which time it is that it has stopped; GOMD_UNKNOWN: its end cannot tell */
    int asked, sent;        /* Ctrl-Z was typed; SIGTSTP was sent */
    int64_t leave_at;       /* -1: not */
    int64_t pressed_at;     /* the newest Ctrl-C */
    enum press pressed;
};

void control_init(struct control *c, gomd_streams_t *streams, struct terminal *terminal);
/* Do what the signals ask for while the daemon is connected, and while it is away. */
void control_signals(struct control *c);
void control_signals_offline(struct control *c);
/* Milliseconds until control_signals has to be called without a signal, -1 for never. */
int control_due(const struct control *c);
/* The job's end has answered, and said whether the job is stopped. */
void control_attached(struct control *c, int64_t stop);
/* Stop this program when the job has stopped, and continue the job when we are continued. */
void control_follow(struct control *c);
void control_suspend(struct control *c, int whole_group);
/* Leave as a closed terminal does: the job is told to end, unless it goes on alone. */
void control_hang_up(struct control *c);
/* Exit at once, with the status that the signal would have given this program. */
_Noreturn void control_leave(struct control *c, int number, int hangs_up);

#endif
