/* What a daemon answers: the first byte says which verb was asked, and whether it is watched; the rest comes in pieces. */
#include <stdlib.h>
#include <string.h>

#include "../../reader.h"
#include "../../rows.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size) {
    struct reader reader;
    const char *text;
    char *made;
    int complete;
    if (size < 2) return 0;
    int watched = data[0] & 0x80;
    size_t piece = data[1] ? data[1] : 1, done = 2;
    gomd_rows_t *rows = rows_new((enum kind)((data[0] & 0x7f) % ROW_KINDS));
    reader_init(&reader, 4096);
    for (;;) {
        enum reader_event event = reader_next(&reader);
        if (event == READER_BAD) break;
        if (event == READER_MORE) {
            size_t room;
            char *space = reader_space(&reader, &room);
            if (!space || done == size) break;
            size_t count = size - done < piece ? size - done : piece;
            if (count > room) count = room;
            memcpy(space, data + done, count);
            reader_filled(&reader, count);
            done += count;
        } else if (event == READER_LINE) {
            if (strlen(reader.text) != reader.length) abort();
            int code = broken_block(reader.text, reader.length, &text, &made);
            if (code && (code < 400 || code > 599 || !text)) abort();
            free(made);
            int error = watched ? rows_add_to_round(rows, reader.text, reader.length, &complete) : rows_add(rows, reader.text, reader.length);
            if (error != GOMD_OK) break;
            (void)rows_failure(rows, &text);
        }
    }
    for (size_t i = 0; i < gomd_rows_count(rows); i++) {
        const gomd_process_t *process = gomd_rows_process(rows, i);
        if (process && process->command && strlen(process->command) > size) abort();
    }
    gomd_rows_free(rows);
    reader_free(&reader);
    return 0;
}
