/* Whether this program is in the foreground of the terminal at its standard input. */
#ifndef GOMRUN_FOREGROUND_H
#define GOMRUN_FOREGROUND_H

struct foreground {
    int looked, foreign; /* whether a terminal that does not control us controls others */
};

/*
 * Whether the terminal at standard input may be read and changed now: in the foreground process group of our
 * controlling terminal. A terminal that does not control us is ours unless it controls other processes: those have a
 * shell that reads it. What is no terminal is never ours.
 */
int is_ours(struct foreground *f);
/*
 * End this program as Ctrl-C ends one at a prompt: by SIGINT, so that a shell leaves its loop or script. Returns where no
 * shell waits for us in the foreground of our controlling terminal.
 */
void die_of_interrupt(int whole_group);

#endif
