/*
 * Draws the nodes of the cluster and this node's busiest processes as they change: two watches in a poll loop of its own.
 * monitor [ENDPOINT]; with a second argument it draws so many pictures and ends. q ends it. When the daemon goes away it connects again.
 */
#define _GNU_SOURCE
#include <gomd.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#define BAR 20

struct view {
    gomd_t *g;
    gomd_rows_t *rows; /* the newest round */
};

static struct termios former;
static volatile sig_atomic_t ended;

static void on_signal(int number) {
    (void)number;
    ended = 1;
}

static void restore(void) {
    tcsetattr(0, TCSANOW, &former);
}

/* The width and height of the screen. */
static struct winsize screen(void) {
    struct winsize size = {.ws_row = 24, .ws_col = 80};
    (void)ioctl(1, TIOCGWINSZ, &size);
    if (size.ws_row < 5) size.ws_row = 24;
    return size;
}

static void draw_node(const gomd_node_row_t *node) {
    int busy = node->util == GOMD_UNKNOWN || !node->cpus ? 0 : (int)(node->util * BAR / (node->cpus * 100));
    printf("%5lld %-16.16s %-5s [", (long long)node->id, node->name, node->up ? "up" : "down");
    for (int i = 0; i < BAR; i++) putchar(i < busy ? '#' : ' ');
    if (node->load == GOMD_UNKNOWN) printf("] load   -");
    else printf("] load %6.2f", (double)node->load / 100);
    if (node->tmem > 0 && node->mem != GOMD_UNKNOWN) printf("  memory %3lld%%", (long long)(100 - node->mem * 100 / node->tmem));
    printf("\033[K\n");
}

static void draw(const struct view views[2], const char *message) {
    struct winsize size = screen();
    size_t lines = 2, nodes = gomd_rows_count(views[0].rows), processes = gomd_rows_count(views[1].rows);
    printf("\033[H\033[1m   ID NAME             STATE  PROCESSORS\033[0m\033[K\n");
    for (size_t i = 0; i < nodes && lines < size.ws_row / 2u; i++, lines++) {
        const gomd_node_row_t *node = gomd_rows_node(views[0].rows, i);
        if (node) draw_node(node);
    }
    printf("\033[1m    PID USER      CPU%%      MB COMMAND\033[0m\033[K\n");
    for (size_t i = 0; i < processes && lines + 2 < size.ws_row; i++, lines++) {
        const gomd_process_t *process = gomd_rows_process(views[1].rows, i);
        if (!process) continue;
        printf("%7lld %-8.8s %5.1f %7lld %.*s\033[K\n", (long long)process->pid, process->user, isnan(process->cpu_percent) ? 0 : process->cpu_percent,
               (long long)(process->rss == GOMD_UNKNOWN ? 0 : process->rss >> 20), size.ws_col > 40 ? size.ws_col - 33 : 20, process->command);
    }
    printf("%s\033[K\033[J", message);
    fflush(stdout);
}

static void hang_up(struct view *view) {
    gomd_close(view->g);
    view->g = NULL;
}

/* Begin both watches; the sentence of an error, or NULL. */
static const char *begin(struct view views[2], const char *endpoint) {
    static char sentence[300];
    static const char *const nodes[] = {"nodes", NULL}, *const processes[] = {"ps", "--top", "40", "--sort", "cpu", NULL};
    for (int i = 0; i < 2; i++) {
        int error = gomd_connect(&views[i].g, endpoint, 3000);
        if (error == GOMD_OK) error = gomd_watch(views[i].g, NULL, 1, i ? processes : nodes);
        if (error == GOMD_OK) continue;
        snprintf(sentence, sizeof sentence, "%.299s", gomd_error(views[i].g));
        hang_up(&views[0]);
        hang_up(&views[1]);
        return sentence;
    }
    return NULL;
}

/* Take the rounds that have come: how many, or -1 when the daemon is gone. */
static int take(struct view *view) {
    gomd_rows_t *rows;
    int count = 0, error;
    while ((error = gomd_watch_next(view->g, 0, &rows)) == GOMD_OK && rows) {
        gomd_rows_free(view->rows);
        view->rows = rows;
        count++;
    }
    return error == GOMD_OK ? count : -1;
}

int main(int argc, char **argv) {
    struct view views[2] = {{0}, {0}};
    const char *endpoint = argc > 1 && *argv[1] ? argv[1] : NULL, *message = "";
    int pictures = argc > 2 ? atoi(argv[2]) : -1;
    char key = 0;
    if (tcgetattr(0, &former) == 0) {
        struct termios mode = former;
        mode.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
        tcsetattr(0, TCSANOW, &mode);
        atexit(restore);
    }
    sigaction(SIGINT, &(struct sigaction){.sa_handler = on_signal}, NULL);
    sigaction(SIGTERM, &(struct sigaction){.sa_handler = on_signal}, NULL);
    printf("\033[2J");
    while (!ended && key != 'q' && pictures != 0) {
        const char *error = views[0].g ? NULL : begin(views, endpoint);
        message = error ? error : "q quit";
        struct pollfd fds[3] = {{.fd = isatty(0) ? 0 : -1, .events = POLLIN}, {.fd = -1, .events = POLLIN}, {.fd = -1, .events = POLLIN}};
        for (int i = 0; i < 2; i++)
            if (views[i].g) fds[1 + i].fd = gomd_watch_fd(views[i].g);
        int ready = poll(fds, 3, error ? 1000 : 5000), drawn = error != NULL;
        if (ready > 0 && fds[0].revents && read(0, &key, 1) != 1) break;
        for (int i = 0; i < 2 && views[i].g; i++) {
            int count = take(&views[i]);
            if (count < 0) message = "the daemon went away", hang_up(&views[0]), hang_up(&views[1]);
            drawn |= count != 0;
        }
        if (drawn) draw(views, message);
        if (drawn && pictures > 0 && views[0].rows && views[1].rows) pictures--;
    }
    printf("\n");
    for (int i = 0; i < 2; i++) {
        gomd_rows_free(views[i].rows);
        hang_up(&views[i]);
    }
    return 0;
}
