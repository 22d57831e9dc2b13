/* gomd_getCurNode: the call of the first plan, with a handle for each thread. */
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "client.h"

/* The only state that is not in a handle: the key under which each thread keeps its own. */
static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t key;
static int key_error;

static void close_handle(void *handle) {
    gomd_close(handle);
}

static void make_key(void) {
    key_error = pthread_key_create(&key, close_handle);
}

static int connect_again(gomd_t **g) {
    gomd_close(*g);
    (void)pthread_setspecific(key, NULL);
    int error = gomd_connect(g, NULL, 0);
    if (*g && pthread_setspecific(key, *g) != 0) {
        gomd_close(*g);
        *g = NULL;
        return GOMD_E_MEMORY;
    }
    return error;
}

int gomd_getCurNode(gomd_node_t node, pid_t pid) {
    int found = GOMD_E_LOST, error;
    if (pthread_once(&once, make_key) != 0 || key_error) return GOMD_E_MEMORY;
    gomd_t *g = pthread_getspecific(key);
    if (g && g->owner == getpid()) found = gomd_get_cur_node(g, node, pid);
    if (found != GOMD_E_LOST) return found;
    error = connect_again(&g); /* the first time, after a fork, and when the daemon was started anew */
    return error == GOMD_OK ? gomd_get_cur_node(g, node, pid) : error;
}
