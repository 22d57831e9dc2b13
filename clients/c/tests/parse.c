/*
 * How long the rows of `ps` take: parse ROUNDS, with the lines of a block at its standard input. A line of output is the
 * milliseconds of one round. bench/clients.py compares them with json.loads.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../reader.h"
#include "../rows.h"

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    return (double)time.tv_sec * 1e3 + (double)time.tv_nsec / 1e6;
}

int main(int argc, char **argv) {
    static char bytes[16 << 20];
    size_t length = fread(bytes, 1, sizeof bytes, stdin);
    for (int round = argc == 2 ? atoi(argv[1]) : 1; round > 0; round--) {
        struct reader reader;
        enum reader_event event;
        size_t room, done = 0;
        double begin = now();
        gomd_rows_t *rows = rows_new(ROW_PROCESS);
        reader_init(&reader, MAX_LINE_BYTES);
        for (;;) { /* as it comes from a socket */
            while ((event = reader_next(&reader)) == READER_STATUS || event == READER_LINE)
                if (event == READER_LINE && rows_add(rows, reader.text, reader.length) != GOMD_OK) return 1;
            if (event == READER_BAD) return 2;
            if (event == READER_END) break;
            char *space = reader_space(&reader, &room);
            if (!space || done == length) return 3;
            if (room > length - done) room = length - done;
            memcpy(space, bytes + done, room);
            reader_filled(&reader, room);
            done += room;
        }
        printf("%.4f %zu\n", now() - begin, gomd_rows_count(rows));
        reader_free(&reader);
        gomd_rows_free(rows);
    }
    return 0;
}
