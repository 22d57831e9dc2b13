/* The command lines of gomrun: words between NUL bytes; a description of the job that they ask for is made of them. */
#include <stdlib.h>
#include <string.h>

#include "../../gomrun/options.h"
#include "../../spec.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size) {
    char *text = malloc(size + 1), *words[34] = {(char[]){"gomrun"}};
    struct options options;
    int count = 1;
    if (!text || size < 1) {
        free(text);
        return 0;
    }
    memcpy(text, data, size);
    text[size] = 0;
    if (text[0] & 1) words[0] = (char[]){"gom"};
    for (size_t at = 1; at < size && count < 32; at += strlen(text + at) + 1) words[count++] = text + at;
    words[count] = NULL;
    if (parse_options(&options, count, words) == REQUEST_RUN) {
        struct queue frame = {0};
        gomd_t *g = new_handle(NULL, 0);
        gomd_spec_t spec = {.argv = (const char *const *)options.argv, .env = (const char *const *)words, .node = options.node,
                            .nodes = options.nodes, .carry = options.carry, .memory = options.memory, .cwd = "/"};
        if (g) (void)put_spec(g, &spec, &frame);
        queue_free(&frame);
        gomd_close(g);
    }
    free(options.carry);
    free(text);
    return 0;
}
