/* Our own terminal, and the signals sent to us, while we are attached to a job. */
#ifndef GOMRUN_TERMINAL_H
#define GOMRUN_TERMINAL_H

#include <stddef.h>
#include <termios.h>

#include "foreground.h"

/* Milliseconds between two looks at whether we are in the foreground: a shell's `fg` tells nothing. */
#define LOOK_INTERVAL_MS 300

struct terminal {
    const char *name; /* of the program, before its sentences */
    int is_terminal;
    int is_screen; /* the job has a terminal of its own: ours is its screen and keyboard */
    int is_raw, has_saved, entered;
    struct termios saved;
    struct foreground foreground;
    int wakeup; /* readable when a signal has arrived */
    unsigned char signals[64];
    size_t count;
};

void terminal_init(struct terminal *t, const char *name, int is_screen);
/* Queue signals from here on, and set raw mode where that is due. */
void terminal_enter(struct terminal *t);
/* Whether standard input may be read now; sets raw mode where that is due. */
int terminal_look(struct terminal *t);
/* The milliseconds after which to look again, -1 when nothing can change. */
int terminal_look_interval(struct terminal *t);
/* The job turns out to have a terminal of its own. */
void terminal_become_screen(struct terminal *t);
/* Restore the former mode; a second call does nothing. */
void terminal_restore(struct terminal *t);
/* Write a sentence behind the name of the program, or lines as they are, to standard error; control characters but LF do not reach it. */
void terminal_say(struct terminal *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
void terminal_show(struct terminal *t, const char *lines);
/* Stop this program until it is continued, with the terminal in its former mode. */
void terminal_suspend(struct terminal *t, int whole_group);
/* The oldest signal that has arrived, 0 for none. */
int terminal_signal(struct terminal *t);
/* 1 and the size, or 0. */
int terminal_size(int *rows, int *columns);

#endif
