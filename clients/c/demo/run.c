/* Runs a command on the best node, prints what it writes, and ends as it does: run COMMAND [ARG ...] */
#include <gomd.h>
#include <stdio.h>

int main(int argc, char **argv) {
    gomd_t *g;
    gomd_streams_t *s = NULL;
    const char *data;
    size_t length;
    int stream, status = gomd_connect(&g, NULL, 5000);
    if (status == GOMD_OK && argc > 1) status = gomd_run(g, &(gomd_spec_t){.argv = (const char *const *)argv + 1}, &s);
    if (!s) {
        fprintf(stderr, "run: %s\n", argc > 1 ? gomd_error(g) : "name a command");
        gomd_close(g);
        return 1;
    }
    gomd_streams_end_input(s);
    while ((status = gomd_streams_read(s, -1, &stream, &data, &length)) == GOMD_OK) fwrite(data, 1, length, stream == 1 ? stdout : stderr);
    if (status == GOMD_E_ENDED) status = gomd_streams_wait(s, -1);
    if (status < 0) fprintf(stderr, "run: %s\n", gomd_streams_error(s));
    gomd_streams_close(s);
    gomd_close(g);
    return status < 0 ? 1 : status;
}
