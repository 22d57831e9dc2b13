/* What the signals sent to this program mean for its job: Ctrl-C, Ctrl-Z and the ways out. */
#define _GNU_SOURCE
#include "control.h"

#include <signal.h>
#include <unistd.h>

/* For a job without a terminal: in so many milliseconds a second Ctrl-C counts as such, and the next one answers. */
#define REPEAT_MS 1000
#define ANSWER_MS 10000
/* What the end of a job may take that was killed by Ctrl-C; then we leave without it. */
#define KILL_MS 3000

void control_init(struct control *c, gomd_streams_t *streams, struct terminal *terminal) {
    *c = (struct control){.streams = streams, .terminal = terminal, .leave_at = -1, .pressed_at = -1};
}

_Noreturn void control_leave(struct control *c, int number, int hangs_up) {
    if (hangs_up) streams_hang_up(c->streams);
    terminal_restore(c->terminal);
    _exit(128 + number);
}

void control_hang_up(struct control *c) {
    control_leave(c, SIGHUP, !c->stays_alone);
}

static enum press press(struct control *c) {
    int64_t now = now_ms(), age = c->pressed_at < 0 ? ANSWER_MS + 1 : now - c->pressed_at;
    c->pressed_at = now;
    if (c->pressed == PRESS_END || c->pressed == PRESS_LEAVE) c->pressed = PRESS_LEAVE;
    else if (c->pressed == PRESS_ASK && age <= ANSWER_MS) c->pressed = PRESS_END;
    else c->pressed = age <= REPEAT_MS ? PRESS_ASK : PRESS_FORWARD;
    return c->pressed;
}

/* Pass Ctrl-C on to a job that has no terminal; a second one asks, a third one ends it. */
static void interrupt(struct control *c) {
    switch (press(c)) {
    case PRESS_LEAVE: control_leave(c, SIGINT, 0);
    case PRESS_END:
        terminal_say(c->terminal, "job %lld is killed", (long long)c->job);
        gomd_streams_signal(c->streams, SIGKILL, 1);
        gomd_streams_signal(c->streams, SIGKILL, 0); /* it may have left its process group */
        c->leave_at = now_ms() + KILL_MS;
        break;
    case PRESS_ASK:
        gomd_streams_signal(c->streams, SIGINT, 1);
        terminal_say(c->terminal, "job %lld still runs; press Ctrl-C once more to kill it", (long long)c->job);
        break;
    default: gomd_streams_signal(c->streams, SIGINT, 1);
    }
}

static void tell_size(struct control *c) {
    int rows, columns;
    if (c->terminal->is_screen && terminal_size(&rows, &columns)) gomd_streams_size(c->streams, rows, columns);
}

static void on_continued(struct control *c) {
    terminal_look(c->terminal);
    tell_size(c);
}

static int is_ending(int number) {
    return number == SIGINT || number == SIGTERM || number == SIGQUIT || number == SIGHUP;
}

void control_signals(struct control *c) {
    for (int number; (number = terminal_signal(c->terminal)) != 0;) {
        if (number == SIGWINCH) tell_size(c);
        else if (number == SIGCONT) on_continued(c);
        else if (number == SIGTSTP && c->stays_alone) control_suspend(c, 0);
        else if (number == SIGTSTP) c->asked = 1, c->sent = 0;
        else if (number == SIGHUP) control_hang_up(c);
        else if ((!c->job && is_ending(number)) || c->stays_alone) control_leave(c, number, 0);
        else if (number == SIGINT && !c->terminal->is_screen) interrupt(c);
        else gomd_streams_signal(c->streams, number, 1);
    }
    if (c->leave_at >= 0 && now_ms() >= c->leave_at && !gomd_streams_state(c->streams)->exited) {
        terminal_say(c->terminal, "nothing is heard of the end of job %lld: see `gom jobs`", (long long)c->job);
        control_leave(c, SIGKILL, 0);
    }
}

void control_signals_offline(struct control *c) {
    for (int number; (number = terminal_signal(c->terminal)) != 0;) {
        if (is_ending(number)) control_leave(c, number, 0);
        if (number == SIGTSTP) terminal_suspend(c->terminal, 0);
        else if (number == SIGCONT) terminal_look(c->terminal);
    }
}

int control_due(const struct control *c) {
    int64_t left = c->leave_at - now_ms();
    return c->leave_at < 0 ? -1 : left < 0 ? 0 : (int)left + 1;
}

void control_attached(struct control *c, int64_t stop) {
    c->stop = stop;
    if (stop > 0 && stop == c->followed) gomd_streams_signal(c->streams, SIGCONT, 1); /* that it should go on was lost with a connection */
}

static void follow(struct control *c, int whole_group) {
    if (c->stop > 0) {
        c->followed = c->stop;
        c->stop = 0;
    }
    control_suspend(c, whole_group);
    gomd_streams_signal(c->streams, SIGCONT, 1);
}

void control_follow(struct control *c) {
    const gomd_streams_state_t *state = gomd_streams_state(c->streams);
    if (!state->attached || state->exited) return;
    if (c->asked && c->stop == GOMD_UNKNOWN) { /* a daemon of before cannot tell: it is stopped for sure */
        gomd_streams_signal(c->streams, SIGSTOP, 1);
        follow(c, 0);
    } else if (c->stop > 0 && (c->asked || (c->terminal->is_screen && c->stop != c->followed))) {
        follow(c, !c->asked);
    } else if (c->asked && !c->sent) {
        c->sent = 1;
        gomd_streams_signal(c->streams, SIGTSTP, 1);
    }
}

void control_suspend(struct control *c, int whole_group) {
    c->asked = c->sent = 0;
    streams_flush(c->streams);
    terminal_suspend(c->terminal, whole_group);
    on_continued(c);
}
