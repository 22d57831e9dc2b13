/* Strict JSON: any bytes are passed over or refused, and what is passed over is read as strings and numbers, too. */
#include <stdlib.h>
#include <string.h>

#include "../../json.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size) {
    struct json j;
    int64_t integer;
    double number;
    size_t length;
    for (int bytes = 0; bytes < 2; bytes++) {
        json_begin(&j, (const char *)data, size);
        j.bytes = bytes;
        if (json_skip(&j)) (void)json_end(&j);
        json_begin(&j, (const char *)data, size);
        j.bytes = bytes;
        size_t room = json_string_room(&j);
        char *text = malloc(room);
        if (text && json_string(&j, text, &length) && (length >= room || strlen(text) != length)) abort();
        free(text);
    }
    json_begin(&j, (const char *)data, size);
    (void)json_integer(&j, &integer);
    json_begin(&j, (const char *)data, size);
    (void)json_number(&j, &number);
    return 0;
}
