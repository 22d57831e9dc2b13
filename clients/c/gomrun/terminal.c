/* Our own terminal, and the signals sent to us, while we are attached to a job. */
#define _GNU_SOURCE
#include "terminal.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static volatile int wakeup_end = -1;

static void on_signal(int number) {
    int kept = errno;
    ssize_t done = write(wakeup_end, &(unsigned char){(unsigned char)number}, 1); /* a full pipe wakes up, too */
    (void)done;
    errno = kept;
}

void terminal_init(struct terminal *t, const char *name, int is_screen) {
    *t = (struct terminal){.name = name, .is_terminal = isatty(0), .wakeup = -1};
    t->is_screen = is_screen && t->is_terminal;
}

void terminal_enter(struct terminal *t) {
    static const int heard[] = {SIGINT, SIGTERM, SIGQUIT, SIGUSR1, SIGUSR2, SIGHUP, SIGWINCH, SIGTSTP, SIGCONT};
    int ends[2];
    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) == 0) {
        t->wakeup = ends[0];
        wakeup_end = ends[1];
    }
    for (size_t i = 0; i < sizeof heard / sizeof *heard; i++) {
        struct sigaction found;
        if (sigaction(heard[i], NULL, &found) != 0 || found.sa_handler == SIG_IGN) continue; /* nohup */
        found = (struct sigaction){.sa_handler = on_signal};
        sigaction(heard[i], &found, NULL);
    }
    signal(SIGPIPE, SIG_IGN);
    t->entered = 1;
    terminal_look(t);
}

static void set_raw(struct terminal *t) {
    struct termios mode;
    if (tcgetattr(0, &mode) != 0) return; /* it is hung up */
    if (!t->has_saved) t->saved = mode;
    t->has_saved = 1;
    cfmakeraw(&mode);
    if (tcsetattr(0, TCSANOW, &mode) == 0) t->is_raw = 1;
}

int terminal_look(struct terminal *t) {
    if (!t->is_terminal) return 1;
    if (!is_ours(&t->foreground)) {
        t->is_raw = 0;     /* the shell has set its own mode */
        return !isatty(0); /* a terminal that was hung up: reading finds its end */
    }
    if (t->is_screen && t->entered && !t->is_raw) set_raw(t);
    return 1;
}

int terminal_look_interval(struct terminal *t) {
    return !t->is_terminal || is_ours(&t->foreground) ? -1 : LOOK_INTERVAL_MS;
}

void terminal_become_screen(struct terminal *t) {
    t->is_screen = t->is_terminal;
    terminal_look(t);
}

void terminal_restore(struct terminal *t) {
    if (!t->has_saved) return;
    t->has_saved = t->is_raw = 0;
    if (is_ours(&t->foreground)) tcsetattr(0, TCSADRAIN, &t->saved); /* else it is the shell's, and changing it would stop us */
}

void terminal_show(struct terminal *t, const char *lines) {
    for (; *lines; lines++) {
        char c = *lines;
        if (c == '\n' && t->is_raw) fputc('\r', stderr);
        fputc(((unsigned char)c < 0x20 && c != '\n' && c != '\t') || c == 0x7f ? '?' : c, stderr);
    }
    fputs(t->is_raw ? "\r\n" : "\n", stderr);
    fflush(stderr);
}

void terminal_say(struct terminal *t, const char *format, ...) {
    char line[8192];
    va_list values;
    int length = snprintf(line, sizeof line, "%s: ", t->name);
    va_start(values, format);
    vsnprintf(line + length, sizeof line - (size_t)length, format, values);
    va_end(values);
    for (char *at = line; *at; at++)
        if (*at == '\n') *at = ' ';
    terminal_show(t, line);
}

static void take_wakeups(struct terminal *t) {
    while (t->count < sizeof t->signals) {
        ssize_t count = t->wakeup < 0 ? -1 : read(t->wakeup, t->signals + t->count, sizeof t->signals - t->count);
        if (count <= 0) return;
        t->count += (size_t)count;
    }
}

void terminal_suspend(struct terminal *t, int whole_group) {
    struct sigaction previous;
    size_t kept = 0;
    terminal_restore(t);
    sigaction(SIGTSTP, NULL, &previous);
    if (previous.sa_handler == SIG_IGN) return;
    signal(SIGTSTP, SIG_DFL);
    kill(whole_group ? 0 : getpid(), SIGTSTP); /* ignored where nobody could continue us */
    sigaction(SIGTSTP, &previous, NULL);
    take_wakeups(t);
    for (size_t i = 0; i < t->count; i++)
        if (t->signals[i] != SIGTSTP && t->signals[i] != SIGCONT) t->signals[kept++] = t->signals[i];
    t->count = kept;
    terminal_look(t);
}

int terminal_signal(struct terminal *t) {
    take_wakeups(t);
    if (t->count == 0) return 0;
    int number = t->signals[0];
    memmove(t->signals, t->signals + 1, --t->count);
    return number;
}

int terminal_size(int *rows, int *columns) {
    struct winsize size;
    if (ioctl(0, TIOCGWINSZ, &size) != 0) return 0;
    *rows = size.ws_row, *columns = size.ws_col;
    return 1;
}
