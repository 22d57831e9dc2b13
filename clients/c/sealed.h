/* The sealed datagrams of a cluster, as docs/wire.md has them: questions out, answers in. No sockets. */
#ifndef GOMD_SEALED_H
#define GOMD_SEALED_H

#include <stddef.h>
#include <stdint.h>

#define MAX_PACKET_BYTES 1200
/* What a question is padded to: an answer of 155 bytes fits. */
#define QUESTION_BYTES 256
#define SECRET_BYTES 32

struct sealer {
    unsigned char key_id[8], salt[8], datagram_key[32], sender_key[32];
    uint64_t instance, sequence;
};

struct answer {
    enum { ANSWER_VALUE = 1, ANSWER_CLOCK } kind;
    uint64_t request_id; /* of a value; of a clock warning the instance that it warns */
    int code;
    const char *data; /* within the opened body; of a clock warning the name of the node */
    size_t length;
    uint64_t sent_at;
};

/* 0: this library was built without libsodium. */
int sealed_is_built(void);
/* 1, or 0 and the sentence that says what is wrong with a key file's contents. */
int parse_key(const char *text, size_t length, unsigned char secret[SECRET_BYTES], const char **problem);
void sealer_init(struct sealer *s, const unsigned char secret[SECRET_BYTES], const unsigned char salt[8], uint64_t instance);
void sealer_forget(struct sealer *s);
/* A random number of so many bits. */
uint64_t random_number(int bits);
/*
 * A question for a path that `target` (0: whoever gets it) is to answer; returns the length of the packet, 0 when it does not
 * fit. nonce: random for each packet.
 */
size_t seal_question(struct sealer *s, uint64_t request_id, unsigned target, const char *path, uint64_t now_ms,
                     const unsigned char nonce[12], unsigned char packet[MAX_PACKET_BYTES]);
/* Open a packet into body and read the answer in it. 0: it is not sealed with this key, or is no answer. */
int open_answer(const struct sealer *s, const unsigned char *packet, size_t length, unsigned char body[MAX_PACKET_BYTES], struct answer *answer);
/* The same of an opened body. */
int read_answer(const unsigned char *body, size_t length, struct answer *answer);

#endif
