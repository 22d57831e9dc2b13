/* The body of a sealed answer, packets with whatever seal, and key files. */
#include <stdlib.h>
#include <string.h>

#include "../../sealed.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size) {
    static const unsigned char secret[SECRET_BYTES] = {1}, salt[8] = {2};
    unsigned char opened[MAX_PACKET_BYTES], found[SECRET_BYTES];
    struct answer answer;
    struct sealer sealer;
    const char *problem;
    if (read_answer(data, size, &answer)) {
        const unsigned char *begin = (const unsigned char *)answer.data;
        if (begin < data || begin + answer.length > data + size) abort();
    }
    (void)parse_key((const char *)data, size, found, &problem);
    if (sealed_is_built()) {
        sealer_init(&sealer, secret, salt, 3);
        (void)open_answer(&sealer, data, size, opened, &answer);
    }
    return 0;
}
