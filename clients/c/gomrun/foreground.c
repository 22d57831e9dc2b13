/* Whether this program is in the foreground of the terminal at its standard input. */
#define _GNU_SOURCE
#include "foreground.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

/* The device of the controlling terminal of a process; 0 when it has none, or that cannot be seen. */
static dev_t terminal_of(const char *pid) {
    char path[64], text[4096], *behind;
    int number = 0;
    snprintf(path, sizeof path, "/proc/%.20s/stat", pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return 0;
    ssize_t length = read(fd, text, sizeof text - 1);
    close(fd);
    if (length <= 0) return 0;
    text[length] = 0;
    behind = strrchr(text, ')');
    if (!behind || sscanf(behind + 1, " %*c %*d %*d %*d %d", &number) != 1 || number == 0) return 0;
    unsigned packed = (unsigned)number; /* minor in bits 0-7 and 20-31, major in bits 8-19 */
    return makedev((packed >> 8) & 0xfff, (packed & 0xff) | ((packed >> 12) & 0xfff00));
}

/* In how many PID namespaces a process is, as far as /proc shows them; 0 when it has ended. */
static int namespaces_of(const char *pid) {
    char path[64], line[512];
    int found = 0;
    snprintf(path, sizeof path, "/proc/%.20s/status", pid);
    FILE *file = fopen(path, "re");
    while (file && !found && fgets(line, sizeof line, file))
        if (strncmp(line, "NSpid:", 6) == 0)
            for (char *rest, *word = strtok_r(line + 6, " \t\n", &rest); word; word = strtok_r(NULL, " \t\n", &rest)) found++;
    if (file) fclose(file);
    return found;
}

/* Whether the terminal of a process, of the same device number, is this one: each container numbers pseudo terminals of
 * its own from 0. They are told apart by their file system, or, where that cannot be seen, by the PID namespace. */
static int is_same(const char *pid, const struct stat *terminal) {
    char path[64];
    struct stat status;
    for (int fd = 0; fd < 3; fd++) {
        snprintf(path, sizeof path, "/proc/%.20s/fd/%d", pid, fd);
        if (stat(path, &status) == 0 && status.st_rdev == terminal->st_rdev) return status.st_dev == terminal->st_dev;
    }
    return namespaces_of(pid) == namespaces_of("self");
}

static int controls_others(int fd) {
    struct stat status;
    if (fstat(fd, &status) != 0 || !S_ISCHR(status.st_mode)) return 0;
    DIR *proc = opendir("/proc");
    struct dirent *entry;
    int found = 0;
    while (proc && !found && (entry = readdir(proc)))
        if (entry->d_name[0] >= '0' && entry->d_name[0] <= '9')
            found = terminal_of(entry->d_name) == status.st_rdev && is_same(entry->d_name, &status);
    if (proc) closedir(proc);
    return found;
}

int is_ours(struct foreground *f) {
    pid_t group = tcgetpgrp(0);
    if (group >= 0) return group == getpgrp();
    if (!isatty(0)) return 0;
    if (!f->looked) {
        f->foreign = controls_others(0);
        f->looked = 1;
    }
    return !f->foreign;
}

void die_of_interrupt(int whole_group) {
    int terminal = open("/dev/tty", O_RDONLY | O_NOCTTY | O_CLOEXEC);
    if (terminal < 0) return;
    int waited_for = tcgetpgrp(terminal) == getpgrp() && getsid(0) != getpid();
    close(terminal);
    if (!waited_for) return;
    signal(SIGINT, SIG_DFL);
    kill(whole_group ? 0 : getpid(), SIGINT);
}
