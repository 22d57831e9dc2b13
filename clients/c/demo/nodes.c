/* Prints every node of the cluster with its load, and this node's three busiest processes. */
#include <gomd.h>
#include <stdio.h>

int main(int argc, char **argv) {
    gomd_t *g;
    gomd_rows_t *rows = NULL;
    int error = gomd_connect(&g, argc > 1 ? argv[1] : NULL, 5000);
    if (error == GOMD_OK) error = gomd_nodes(g, &rows);
    for (size_t i = 0; i < gomd_rows_count(rows); i++) {
        const gomd_node_row_t *node = gomd_rows_node(rows, i);
        if (!node) continue;
        printf("node %lld %s is %s", (long long)node->id, node->name, node->up ? "up" : "down");
        if (node->load != GOMD_UNKNOWN) printf(", load %lld", (long long)node->load);
        printf("\n");
    }
    gomd_rows_free(rows);
    rows = NULL;
    if (error == GOMD_OK) error = gomd_ps(g, &(gomd_selection_t){.top = 3, .sort = "cpu"}, &rows);
    for (size_t i = 0; i < gomd_rows_count(rows); i++) {
        const gomd_process_t *process = gomd_rows_process(rows, i);
        if (process) printf("process %lld of %s: %s\n", (long long)process->pid, process->user, process->command);
    }
    gomd_rows_free(rows);
    if (error != GOMD_OK) fprintf(stderr, "nodes: %s\n", gomd_error(g));
    gomd_close(g);
    return error == GOMD_OK ? 0 : 1;
}
