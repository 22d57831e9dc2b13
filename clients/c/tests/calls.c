/*
 * Makes calls of the library one after the other and prints what comes of them: calls ENDPOINT TIMEOUT_MS CALL ...
 * A line is CALL RESULT and values, or the sentence of the error. tests/integration/c_client.py reads them.
 */
#define _GNU_SOURCE
#include <gomd.h>
#include <math.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void print_rows(const gomd_rows_t *rows) {
    printf(" %zu rows", gomd_rows_count(rows));
    for (size_t i = 0; i < gomd_rows_count(rows) && i < 5; i++) {
        const gomd_source_t *source = gomd_rows_source(rows, i);
        const gomd_node_row_t *node = gomd_rows_node(rows, i);
        const gomd_process_t *process = gomd_rows_process(rows, i);
        const gomd_job_t *job = gomd_rows_job(rows, i);
        const gomd_event_t *event = gomd_rows_event(rows, i);
        const gomd_range_t *range = gomd_rows_range(rows, i);
        const gomd_name_t *name = gomd_rows_name(rows, i);
        const gomd_stat_t *stat = gomd_rows_stat(rows, i);
        const gomd_caller_t *caller = gomd_rows_caller(rows, i);
        const gomd_status_t *status = gomd_rows_status(rows, i);
        const gomd_version_t *version = gomd_rows_version(rows, i);
        const gomd_file_t *file = gomd_rows_file(rows, i);
        const gomd_memory_t *memory = gomd_rows_memory(rows, i);
        const gomd_value_t *value = gomd_rows_value(rows, i);
        if (source->from != GOMD_UNKNOWN) printf(" from %lld", (long long)source->from);
        if (source->error) printf(" error %s", source->error);
        if (node) printf(" [%lld %s up=%d tmem=%lld]", (long long)node->id, node->name, node->up, (long long)node->tmem);
        if (process) printf(" [%lld %s %s]", (long long)process->pid, process->user ? process->user : "-", process->command ? process->command : "-");
        if (job) printf(" [%lld %s]", (long long)job->job, job->command);
        if (event) printf(" [%s %lld]", event->kind, (long long)event->node);
        if (range) printf(" [%lld %s %lld]", (long long)range->first, range->address, (long long)range->count);
        if (name) printf(" [%s]", name->name);
        if (stat) printf(" [%s=%s]", stat->name, stat->value);
        if (caller) printf(" [%s %s %lld %s]", caller->role, caller->user, (long long)caller->uid, caller->via);
        if (status) printf(" [%lld %s]", (long long)status->status, status->words);
        if (version) printf(" [%s %lld]", version->version, (long long)version->protocol);
        if (file) printf(" [%s %s]", file->path, file->text);
        if (memory) printf(" [%lld]", (long long)memory->tmem);
        if (value) printf(" [%s]", value->json);
    }
}

static int three(void *with, const gomd_rows_t *rows) {
    int *left = with;
    printf(" %lld:%zu", (long long)gomd_rows_round(rows), gomd_rows_count(rows));
    return --*left == 0;
}

static int watch_by_descriptor(gomd_t *g) {
    int rounds = 0, error = gomd_watch(g, NULL, 0.1, (const char *[]){"ps", "--top", "2", NULL});
    while (error == GOMD_OK && rounds < 3) {
        gomd_rows_t *rows = NULL;
        struct pollfd waiting = {.fd = gomd_watch_fd(g), .events = POLLIN};
        poll(&waiting, 1, 30000);
        while ((error = gomd_watch_next(g, 0, &rows)) == GOMD_OK && rows) {
            rounds++;
            gomd_rows_free(rows);
        }
    }
    if (error == GOMD_OK) {
        gomd_reply_t *reply;
        printf(" asked %d", gomd_ask(g, NULL, (const char *[]){"load", NULL}, &reply));
        error = gomd_watch_stop(g);
    }
    printf(" %s", rounds >= 3 ? "3 rounds" : "too few rounds");
    return error;
}

static void *cur_node(void *with) {
    *(int *)with = gomd_getCurNode(((int *)with)[1], ((int *)with)[2]);
    return NULL;
}

static int call(gomd_t *g, const char *name, char *argument) {
    gomd_rows_t *rows = NULL;
    gomd_reply_t *reply = NULL;
    gomd_memory_t memory;
    int64_t value = GOMD_UNKNOWN;
    int error, left = 3;
    char *words[16] = {NULL}, *rest = strcmp(name, "word") ? argument : NULL;
    for (size_t i = 0; i < 15 && rest; i++) words[i] = strsep(&rest, " ");
    const char *const *all = (const char *const *)words;
    if (strcmp(name, "nodes") == 0) error = gomd_nodes(g, &rows);
    else if (strcmp(name, "node") == 0) error = gomd_node(g, argument, &rows);
    else if (strcmp(name, "ps") == 0) error = gomd_ps(g, NULL, &rows);
    else if (strcmp(name, "top") == 0)
        error = gomd_ps(g, &(gomd_selection_t){.top = 2, .sort = "cpu", .more = (const char *[]){"--fields", "pid,command", NULL}, .node = argument}, &rows);
    else if (strcmp(name, "pids") == 0) {
        pid_t pids[] = {(pid_t)atoi(words[0])};
        error = gomd_ps(g, &(gomd_selection_t){.pids = pids, .pid_count = 1}, &rows);
    } else if (strcmp(name, "jobs") == 0) error = gomd_jobs(g, &rows);
    else if (strcmp(name, "events") == 0) error = gomd_events(g, "join,up", 3, &rows);
    else if (strcmp(name, "map") == 0) error = gomd_map(g, &rows);
    else if (strcmp(name, "ls") == 0) error = gomd_ls(g, argument, &rows);
    else if (strcmp(name, "get") == 0) error = gomd_get(g, argument, &rows);
    else if (strcmp(name, "stats") == 0) error = gomd_stats(g, &rows);
    else if (strcmp(name, "whoami") == 0) error = gomd_whoami(g, &rows);
    else if (strcmp(name, "status") == 0) error = gomd_status(g, argument, &rows);
    else if (strcmp(name, "version") == 0) error = gomd_version(g, &rows);
    else if (strcmp(name, "load") == 0) error = gomd_load(g, argument, &value);
    else if (strcmp(name, "speed") == 0) error = gomd_speed(g, argument, &value);
    else if (strcmp(name, "util") == 0) error = gomd_util(g, argument, &value);
    else if (strcmp(name, "cpus") == 0) error = gomd_cpus(g, argument, &value);
    else if (strcmp(name, "mem") == 0) {
        error = gomd_mem(g, argument, &memory);
        value = memory.tmem;
    } else if (strcmp(name, "all") == 0) error = gomd_read(g, "all", all, &rows);
    else if (strcmp(name, "auth") == 0) error = gomd_auth(g, argument);
    else if (strcmp(name, "ask") == 0) {
        error = gomd_ask(g, NULL, all, &reply);
        if (reply) printf(" %d %s, %zu lines", gomd_reply_code(reply), gomd_reply_text(reply), gomd_reply_count(reply));
    } else if (strcmp(name, "none") == 0) { /* what there is of a reply that never came */
        error = gomd_ask(g, NULL, NULL, &reply);
        printf(" %d %s %zu %s", gomd_reply_code(reply), gomd_reply_text(reply) ? "text" : "-", gomd_reply_count(reply),
               gomd_reply_line(reply, 0) ? "line" : "-");
    } else if (strcmp(name, "word") == 0) error = gomd_ask(g, NULL, (const char *[]){"load", argument, NULL}, &reply);
    else if (strcmp(name, "watch") == 0) {
        error = gomd_watch(g, NULL, 0.1, all);
        if (error == GOMD_OK) error = gomd_watch_each(g, 10000, three, &left);
    } else if (strcmp(name, "fd") == 0) error = watch_by_descriptor(g);
    else if (strcmp(name, "where") == 0) error = gomd_get_cur_node(g, atoi(words[0]), (pid_t)atol(words[1]));
    else if (strcmp(name, "key") == 0) error = gomd_use_key(g, argument);
    else if (strcmp(name, "address") == 0) error = gomd_set_address(g, atoi(words[0]), words[1]);
    else if (strcmp(name, "poll") == 0) { /* the sealed question in a loop of our own */
        error = gomd_cur_node_begin(g, atoi(words[0]), (pid_t)atol(words[1]));
        while (error == 0) {
            struct pollfd waiting = {.fd = gomd_cur_node_fd(g), .events = POLLIN};
            poll(&waiting, 1, gomd_cur_node_due(g));
            error = gomd_cur_node_step(g);
        }
        printf(" fd %d due %d", gomd_cur_node_fd(g), gomd_cur_node_due(g));
    } else if (strcmp(name, "cur") == 0) {
        int both[3] = {0, atoi(words[0]), atoi(words[1])};
        pthread_t thread;
        error = gomd_getCurNode(both[1], both[2]);
        if (pthread_create(&thread, NULL, cur_node, both) == 0) pthread_join(thread, NULL);
        printf(" thread %d", both[0]);
    } else if (strcmp(name, "fork") == 0) {
        int status = 0;
        fflush(stdout);
        pid_t child = fork();
        if (child == 0) _exit(gomd_load(g, NULL, &value) == GOMD_E_USAGE ? 7 : 1);
        waitpid(child, &status, 0);
        printf(" child %d", WEXITSTATUS(status));
        error = gomd_load(g, NULL, &value);
    } else {
        printf(" no such call\n");
        exit(2);
    }
    if (rows) print_rows(rows);
    if (value != GOMD_UNKNOWN) printf(" %lld", (long long)value);
    gomd_rows_free(rows);
    gomd_reply_free(reply);
    return error;
}

int main(int argc, char **argv) {
    gomd_t *g;
    if (argc < 3) return 2;
    int error = gomd_connect(&g, *argv[1] ? argv[1] : NULL, atoi(argv[2]));
    printf("connect %d%s%s\n", error, error < 0 ? " " : "", error < 0 ? gomd_error(g) : "");
    for (int i = 3; i < argc && error == GOMD_OK; i++) {
        char *argument = argv[i], *name = strsep(&argument, " ");
        printf("%s", name);
        int result = call(g, name, argument);
        printf(" = %d%s%s\n", result, result < 0 ? " " : "", result < 0 ? gomd_error(g) : "");
        fflush(stdout);
    }
    gomd_close(g);
    return 0;
}
