/* The sealed datagrams of a cluster: keys by HKDF-SHA256, bodies in CBOR, sealed with ChaCha20-Poly1305. */
#include "sealed.h"

#include <string.h>

#include "json.h"

#define HEADER_BYTES 33
#define SALT_AT 13
#define NONCE_AT 21
#define TAG_BYTES 16
#define MAX_NUMBER ((UINT64_C(1) << 53) - 1)

int parse_key(const char *text, size_t length, unsigned char secret[SECRET_BYTES], const char **problem) {
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t digits = 0, done = 0;
    uint32_t bits = 0;
    static const char spaces[] = " \t\r\n";
    while (length && text[length - 1] && strchr(spaces, text[length - 1])) length--;
    while (length && *text && strchr(spaces, *text)) text++, length--;
    *problem = "it is no key: a key file is one line of base64; `gom key new FILE` makes one";
    if (length != 44 || text[43] != '=') return 0;
    for (; digits < 43; digits++) {
        const char *found = text[digits] ? strchr(alphabet, text[digits]) : NULL;
        if (!found) return 0;
        bits = bits << 6 | (uint32_t)(found - alphabet);
        if (digits % 4 == 3) {
            for (int i = 0; i < 3; i++) secret[done++] = (unsigned char)(bits >> (16 - 8 * i));
            bits = 0;
        }
    }
    secret[done++] = (unsigned char)(bits >> 10);
    secret[done++] = (unsigned char)(bits >> 2);
    return 1;
}

/* ---- the body: CBOR, of which only numbers, strings and one array occur ---- */

struct cbor {
    const unsigned char *at, *end;
};

/* 1, the major type and the number of a head in any length; 0 for what no body has. */
static int head(struct cbor *c, int *major, uint64_t *value) {
    if (c->at == c->end) return 0;
    unsigned first = *c->at++, more = first & 31;
    *major = (int)(first >> 5);
    *value = more;
    if (more < 24) return 1;
    if (more > 27) return 0;
    size_t count = (size_t)1 << (more - 24);
    if ((size_t)(c->end - c->at) < count) return 0;
    for (*value = 0; count > 0; count--) *value = *value << 8 | *c->at++;
    return *major != 7; /* a float, or a simple value in two bytes */
}

static int number(struct cbor *c, uint64_t least, uint64_t most, uint64_t *value) {
    int major;
    return head(c, &major, value) && major == 0 && *value >= least && *value <= most;
}

static int string(struct cbor *c, int wanted, const char **data, size_t *length) {
    int major;
    uint64_t value;
    if (!head(c, &major, &value) || major != wanted || value > (uint64_t)(c->end - c->at)) return 0;
    *data = (const char *)c->at;
    *length = (size_t)value;
    c->at += value;
    return 1;
}

/* A name: UTF-8 without spaces and control characters. */
static int is_name(const char *text, size_t length) {
    if (length < 1 || length > 63) return 0;
    for (const char *end = text + length; text < end;) {
        size_t count = utf8_length(text, end);
        if (count == 0 || (unsigned char)*text <= ' ' || *text == 0x7f) return 0;
        text += count;
    }
    return 1;
}

int read_answer(const unsigned char *body, size_t length, struct answer *answer) {
    struct cbor c = {body, body + length};
    uint64_t count, kind, sender, ignored, code, size;
    int major;
    if (!head(&c, &major, &count) || major != 4 || count != 9) return 0; /* both kinds have four fields of their own */
    if (!number(&c, 1, 12, &kind) || (kind != 4 && kind != 11) || !number(&c, 1, 65535, &sender)) return 0;
    if (!number(&c, 0, MAX_NUMBER, &ignored) || !number(&c, 0, MAX_NUMBER, &answer->sent_at) || !number(&c, 1, MAX_NUMBER, &ignored)) return 0;
    if (!number(&c, 0, MAX_NUMBER, &answer->request_id)) return 0;
    if (kind == 4) {
        if (!number(&c, 200, 599, &code) || !number(&c, 0, UINT32_MAX, &size) || !string(&c, 2, &answer->data, &answer->length)) return 0;
        answer->kind = ANSWER_VALUE;
        answer->code = (int)code;
        if (size < answer->length) return 0;
    } else {
        if (!number(&c, 1, MAX_NUMBER, &ignored) || !number(&c, 0, MAX_NUMBER, &ignored) || !string(&c, 3, &answer->data, &answer->length)) return 0;
        answer->kind = ANSWER_CLOCK;
        answer->code = 0;
        if (!is_name(answer->data, answer->length)) return 0;
    }
    return c.at == c.end;
}

#ifdef GOMD_SODIUM

#include <sodium.h>

int sealed_is_built(void) {
    return sodium_init() >= 0;
}

uint64_t random_number(int bits) {
    uint64_t value;
    randombytes_buf(&value, sizeof value);
    return value >> (64 - bits);
}

static void hmac(const unsigned char *key, size_t key_length, const void *text, size_t length, const char *more, unsigned char out[32]) {
    crypto_auth_hmacsha256_state state;
    crypto_auth_hmacsha256_init(&state, key, key_length);
    crypto_auth_hmacsha256_update(&state, text, length);
    crypto_auth_hmacsha256_update(&state, (const unsigned char *)more, strlen(more));
    crypto_auth_hmacsha256_final(&state, out);
}

void sealer_init(struct sealer *s, const unsigned char secret[SECRET_BYTES], const unsigned char salt[8], uint64_t instance) {
    static const unsigned char empty[32];
    unsigned char extracted[32], id[32], text[21];
    hmac(empty, sizeof empty, secret, SECRET_BYTES, "", extracted); /* HKDF-Extract without a salt */
    hmac(extracted, 32, "gomd/1 key id", 13, "\x01", id);
    hmac(extracted, 32, "gomd/1 datagram", 15, "\x01", s->datagram_key);
    memcpy(s->key_id, id, 8);
    memcpy(s->salt, salt, 8);
    memcpy(text, "gomd/1 sender", 13);
    memcpy(text + 13, salt, 8);
    hmac(s->datagram_key, 32, text, sizeof text, "\x01", s->sender_key);
    s->instance = instance;
    s->sequence = 0;
    sodium_memzero(extracted, sizeof extracted);
}

void sealer_forget(struct sealer *s) {
    sodium_memzero(s, sizeof *s);
}

/* Put a head in its shortest form. */
static unsigned char *put(unsigned char *at, int major, uint64_t value) {
    int bytes = value < 24 ? 0 : value < 256 ? 1 : value < 65536 ? 2 : value <= UINT32_MAX ? 4 : 8;
    *at++ = (unsigned char)(major << 5 | (bytes == 0 ? (int)value : bytes == 1 ? 24 : bytes == 2 ? 25 : bytes == 4 ? 26 : 27));
    for (int i = bytes - 1; i >= 0; i--) *at++ = (unsigned char)(value >> (8 * i));
    return at;
}

size_t seal_question(struct sealer *s, uint64_t request_id, unsigned target, const char *path, uint64_t now_ms,
                     const unsigned char nonce[12], unsigned char packet[MAX_PACKET_BYTES]) {
    unsigned char body[QUESTION_BYTES + 16] = {0}, *at = body;
    size_t length = strlen(path), room = QUESTION_BYTES - HEADER_BYTES - TAG_BYTES;
    unsigned long long sealed;
    if (length > 100) return 0;
    const uint64_t numbers[] = {3, 0, s->instance, now_ms, ++s->sequence, request_id, 0, target};
    at = put(at, 4, 10);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) at = put(at, 0, numbers[i]);
    at = put(at, 3, length);
    memcpy(at, path, length);
    at += length;
    size_t left = room - (size_t)(at - body), padding = left - 1; /* a head of one byte, or of two from 24 bytes on */
    if (padding >= 24) padding = left == 25 ? 24 : left - 2;
    at = put(at, 2, padding) + padding;
    memcpy(packet, "gomd\x01", 5);
    memcpy(packet + 5, s->key_id, 8);
    memcpy(packet + SALT_AT, s->salt, 8);
    memcpy(packet + NONCE_AT, nonce, 12);
    crypto_aead_chacha20poly1305_ietf_encrypt(packet + HEADER_BYTES, &sealed, body, (unsigned long long)(at - body), packet, HEADER_BYTES, NULL,
                                              nonce, s->sender_key);
    return HEADER_BYTES + (size_t)sealed;
}

int open_answer(const struct sealer *s, const unsigned char *packet, size_t length, unsigned char body[MAX_PACKET_BYTES], struct answer *answer) {
    unsigned char text[21], key[32];
    unsigned long long opened;
    if (length > MAX_PACKET_BYTES || length < HEADER_BYTES + TAG_BYTES || memcmp(packet, "gomd\x01", 5) != 0) return 0;
    if (memcmp(packet + 5, s->key_id, 8) != 0) return 0;
    memcpy(text, "gomd/1 sender", 13);
    memcpy(text + 13, packet + SALT_AT, 8);
    hmac(s->datagram_key, 32, text, sizeof text, "\x01", key);
    int broken = crypto_aead_chacha20poly1305_ietf_decrypt(body, &opened, NULL, packet + HEADER_BYTES, length - HEADER_BYTES, packet,
                                                           HEADER_BYTES, packet + NONCE_AT, key);
    sodium_memzero(key, sizeof key);
    return !broken && read_answer(body, (size_t)opened, answer);
}

#else

int sealed_is_built(void) {
    return 0;
}

uint64_t random_number(int bits) {
    (void)bits;
    return 0;
}

void sealer_init(struct sealer *s, const unsigned char secret[SECRET_BYTES], const unsigned char salt[8], uint64_t instance) {
    (void)s, (void)secret, (void)salt, (void)instance;
}

void sealer_forget(struct sealer *s) {
    (void)s;
}

size_t seal_question(struct sealer *s, uint64_t request_id, unsigned target, const char *path, uint64_t now_ms,
                     const unsigned char nonce[12], unsigned char packet[MAX_PACKET_BYTES]) {
    (void)s, (void)request_id, (void)target, (void)path, (void)now_ms, (void)nonce, (void)packet;
    return 0;
}

int open_answer(const struct sealer *s, const unsigned char *packet, size_t length, unsigned char body[MAX_PACKET_BYTES], struct answer *answer) {
    (void)s, (void)packet, (void)length, (void)body, (void)answer;
    return 0;
}

#endif
