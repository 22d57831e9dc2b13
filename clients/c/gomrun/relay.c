/* Relays the streams of a job between the daemon and our own standard streams. */
#define _GNU_SOURCE
#include "relay.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "keyboard.h"
#include "output.h"

/* For a daemon that has gone away during a job to be there again; between two tries. */
#define RETURN_MS 30000
#define RETRY_MS 100

struct relay {
    gomd_streams_t *streams;
    struct terminal *terminal;
    struct control control;
    struct keyboard keyboard;
    struct output outputs[2];
    int attaching; /* a job that began before: Ctrl-C may leave it alone */
    int64_t job, attachments, lost[2]; /* what was dealt with */
    int write_error;
};

int status_of(int error) {
    switch (error) {
    case -126:
    case -127: return -error;
    case GOMD_E_CONNECT:
    case GOMD_E_LOST:
    case GOMD_E_REPLY:
    case GOMD_E_UNPROVEN: return STATUS_NO_DAEMON;
    default: return STATUS_REFUSED;
    }
}

static int least(int one, int other) {
    return one < 0 ? other : other < 0 || one < other ? one : other;
}

static int waiting(const struct relay *r) {
    return output_waiting(&r->outputs[0], r->streams) || output_waiting(&r->outputs[1], r->streams);
}

/* Deal with what the streams have told since the last call. */
static void notice(struct relay *r) {
    const gomd_streams_state_t *state = gomd_streams_state(r->streams);
    if (state->job != GOMD_UNKNOWN && state->job != r->job) {
        r->job = r->control.job = state->job;
        r->control.stays_alone = state->detached && r->attaching;
        if (state->tty) terminal_become_screen(r->terminal);
    }
    if (state->attachments != r->attachments) {
        r->attachments = state->attachments;
        control_attached(&r->control, state->stopped);
    }
    for (int i = 0; i < 2; i++) {
        if (state->lost[i] == r->lost[i]) continue;
        terminal_say(r->terminal, "%lld bytes of the job's %s are not kept any more", (long long)(state->lost[i] - r->lost[i]),
                     i ? "stderr" : "stdout");
        r->lost[i] = state->lost[i];
    }
    for (int i = 0; i < 2; i++)
        if (!r->outputs[i].open) (void)output_write(&r->outputs[i], r->streams, 0);
}

enum { WAKEUP, CONNECTION, KEYS, OUTPUTS, DESCRIPTORS = OUTPUTS + 2 };

/* Wait for anything, and do what can be done then. */
static int step(struct relay *r) {
    const gomd_streams_state_t *state = gomd_streams_state(r->streams);
    struct pollfd fds[DESCRIPTORS];
    int error = GOMD_OK, due = control_due(&r->control);
    fds[WAKEUP] = (struct pollfd){.fd = r->terminal->wakeup, .events = POLLIN};
    fds[CONNECTION] = (struct pollfd){.fd = state->exited ? -1 : gomd_streams_fd(r->streams), .events = gomd_streams_events(r->streams)};
    fds[KEYS] = (struct pollfd){.fd = keyboard_may_read(&r->keyboard, queue_length(&r->streams->sending) < WINDOW_BYTES) ? 0 : -1, .events = POLLIN};
    for (int i = 0; i < 2; i++) {
        struct output *o = &r->outputs[i];
        size_t length = output_waiting(o, r->streams);
        int heard = length || (i == 0 && o->open); /* POLLERR says that its reader has gone */
        fds[OUTPUTS + i] = (struct pollfd){.fd = heard ? o->fd : -1, .events = length ? POLLOUT : 0};
    }
    if (r->keyboard.open) due = least(due, terminal_look_interval(r->terminal));
    if (!state->exited) due = least(due, gomd_streams_due(r->streams));
    if (poll(fds, DESCRIPTORS, due) < 0) return GOMD_OK; /* a signal: it is in the queue */
    for (int i = 0; i < 2 && r->write_error == 0; i++)
        if (fds[OUTPUTS + i].revents) r->write_error = output_write(&r->outputs[i], r->streams, fds[OUTPUTS + i].revents);
    if (fds[KEYS].revents && keyboard_may_read(&r->keyboard, 1)) keyboard_read(&r->keyboard);
    keyboard_pass_on(&r->keyboard);
    if (!state->exited) error = gomd_streams_step(r->streams, 0);
    notice(r);
    return error;
}

/* GOMD_OK when the job has ended and everything is written; or the error. */
static int serve(struct relay *r) {
    int error = GOMD_OK;
    notice(r);
    while (error == GOMD_OK && r->write_error == 0) {
        control_signals(&r->control);
        control_follow(&r->control);
        keyboard_pass_on(&r->keyboard);
        if (gomd_streams_state(r->streams)->exited && !waiting(r)) return gomd_streams_step(r->streams, 0);
        error = step(r);
    }
    return error;
}

/* Wait while there is no connection; signals, and escapes that are typed, are heard. */
static void wait_offline(struct relay *r) {
    struct pollfd fds[2] = {{.fd = r->terminal->wakeup, .events = POLLIN}, {.fd = -1, .events = POLLIN}};
    if (r->terminal->is_screen && keyboard_may_read(&r->keyboard, 1)) fds[1].fd = 0;
    (void)poll(fds, 2, RETRY_MS);
    if (fds[1].fd == 0 && fds[1].revents) keyboard_read(&r->keyboard);
    control_signals_offline(&r->control);
}

static int reconnect(struct relay *r, int64_t end) {
    gomd_streams_t *s = r->streams;
    char why[300] = "it does not come back";
    while (now_ms() < end) {
        if (gomd_streams_reconnect(s, 0) == GOMD_OK) return GOMD_OK;
        if (s->error) return s->error;
        snprintf(why, sizeof why, "%.299s", gomd_streams_error(s)); /* it is not back, or the old connection is still attached */
        wait_offline(r);
    }
    return streams_fail(s, GOMD_E_LOST, "the daemon went away; job %lld may go on: gom attach %lld (%s)", (long long)r->job, (long long)r->job, why);
}

int relay(const struct options *o, gomd_streams_t *streams, struct terminal *terminal) {
    struct relay r = {.streams = streams, .terminal = terminal, .attaching = o->job != NULL};
    int64_t end = 0, attached = 0;
    int error;
    output_init(&r.outputs[0], 1);
    output_init(&r.outputs[1], 2);
    control_init(&r.control, streams, terminal);
    keyboard_init(&r.keyboard, &r.control, !o->no_input, o->escape);
    terminal_enter(terminal);
    while ((error = serve(&r)) == GOMD_E_LOST && !streams->error) {
        if (r.attachments != attached || !end) end = now_ms() + RETURN_MS;
        else wait_offline(&r); /* the new connection broke before it was attached: the daemon is not back yet */
        attached = r.attachments;
        if ((error = reconnect(&r, end)) != GOMD_OK) break;
    }
    queue_free(&r.keyboard.typed);
    terminal_restore(terminal);
    if (error != GOMD_OK) {
        terminal_say(terminal, "%s", gomd_streams_error(streams));
        return status_of(error);
    }
    if (r.write_error) {
        terminal_say(terminal, "the answer cannot be written: %s", strerror(r.write_error));
        return STATUS_REFUSED;
    }
    const gomd_streams_state_t *state = gomd_streams_state(streams);
    if (state->reason) terminal_say(terminal, "%s", state->reason);
    if (state->signal == SIGINT && (!terminal->is_screen || r.keyboard.interrupted)) die_of_interrupt(terminal->is_screen);
    return state->exit;
}
