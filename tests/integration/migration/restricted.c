/* Restricts itself in the way its first argument names, and then counts: a program for tests. */
#include <linux/filter.h>
#include <linux/io_uring.h>
#include <linux/perf_event.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LANDLOCK_CREATE 444
#define LANDLOCK_RESTRICT 446
#define SET_MDWE 65
#define GET_MDWE 66

static int landlock(void) {
    struct { uint64_t files, network, scopes; } rules = {1 << 1, 0, 0}; /* no file may be written */
    int set = syscall(LANDLOCK_CREATE, &rules, 8, 0);
    if (set < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)) return -1;
    int done = syscall(LANDLOCK_RESTRICT, set, 0);
    close(set);
    return done;
}

static void *landlocked_thread(void *done) {
    *(int *)done = landlock() ? -1 : 1;
    for (;;) sleep(1000);
}

static int filter(void) { /* getppid gives EPERM */
    struct sock_filter code[] = {
        {BPF_LD | BPF_W | BPF_ABS, 0, 0, 0},
        {BPF_JMP | BPF_JEQ | BPF_K, 0, 1, SYS_getppid},
        {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ERRNO | 1},
        {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW},
    };
    struct sock_fprog program = {4, code};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

int main(int count, char **words) {
    const char *kind = count > 1 ? words[1] : "";
    char data[1 << 16];
    int bad = 0, done = 0, thread_done = 0;
    pthread_t thread;
    if (!strcmp(kind, "mdwe")) bad = prctl(SET_MDWE, 1, 0, 0, 0);
    if (!strcmp(kind, "landlock")) bad = landlock();
    if (!strcmp(kind, "landlock-thread")) {
        bad = pthread_create(&thread, NULL, landlocked_thread, &thread_done);
        while (!bad && !*(volatile int *)&thread_done) usleep(1000);
        bad = bad || thread_done < 0;
    }
    if (!strcmp(kind, "no-new-privs")) bad = prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    if (!strcmp(kind, "seccomp")) bad = filter();
    if (!strcmp(kind, "io_uring")) {
        struct io_uring_params parameters;
        memset(&parameters, 0, sizeof parameters);
        bad = syscall(SYS_io_uring_setup, 4, &parameters) < 0;
    }
    if (!strcmp(kind, "userfaultfd")) bad = syscall(SYS_userfaultfd, 1 /* user mode only */) < 0;
    if (!strcmp(kind, "perf")) {
        struct perf_event_attr counter;
        memset(&counter, 0, sizeof counter);
        counter.type = PERF_TYPE_SOFTWARE;
        counter.size = sizeof counter;
        counter.config = PERF_COUNT_SW_TASK_CLOCK;
        counter.exclude_kernel = 1;
        bad = syscall(SYS_perf_event_open, &counter, 0, -1, -1, 0) < 0;
    }
    if (!strcmp(kind, "ruleset")) {
        uint64_t rules = 2;
        bad = syscall(LANDLOCK_CREATE, &rules, 8, 0) < 0;
    }
    if (!strcmp(kind, "fanotify")) bad = syscall(SYS_fanotify_init, 0, 0) < 0;
    if (!strcmp(kind, "inotify")) bad = inotify_add_watch(inotify_init1(0), words[2], IN_MODIFY) < 0;
    if (!strcmp(kind, "vsock")) bad = socket(40 /* AF_VSOCK */, SOCK_STREAM, 0) < 0;
    if (!strcmp(kind, "alg")) bad = socket(38 /* AF_ALG */, SOCK_SEQPACKET, 0) < 0;
    if (!strcmp(kind, "tcp")) bad = socket(AF_INET, SOCK_STREAM, 0) < 0;
    if (!strcmp(kind, "secret")) {
        int secret = syscall(447 /* memfd_secret */, 0);
        bad = secret < 0 || ftruncate(secret, 4096);
    }
    if (!strcmp(kind, "vfork") && vfork() == 0) {
        if (write(1, "ready\n", 6) != 6) _exit(1);
        for (;;) syscall(SYS_pause);
    }
    if (bad) {
        printf("not here\n");
        return 7;
    }
    printf("ready\n");
    fflush(stdout);
    while ((done = read(0, data, sizeof data)) > 0) {
        printf("%d %d %d\n", prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), prctl(PR_GET_SECCOMP, 0, 0, 0, 0), (int)getppid() < 0);
        fflush(stdout);
    }
    return 0;
}
