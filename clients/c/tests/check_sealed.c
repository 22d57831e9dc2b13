/*
 * The sealed datagrams, without any socket: answers among the vectors are read, all others and the bad ones are refused, and
 * damaged ones too. Its arguments are tests/data/wire/packets.json and bad.json.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../json.h"
#include "../sealed.h"
#include "expect.h"

static int find(struct json j, const char *wanted, struct json *value) {
    char name[32];
    MUST(json_open(&j, '{'));
    for (int first = 1; json_more(&j, '}', first) == 1; first = 0) {
        MUST(json_name(&j, name, sizeof name));
        *value = j;
        if (strcmp(name, wanted) == 0) return 1;
        MUST(json_skip(&j));
    }
    return 0;
}

static char *text_of(struct json j, const char *name) {
    struct json value;
    MUST(find(j, name, &value));
    char *text = malloc(json_string_room(&value));
    MUST(text && json_string(&value, text, NULL));
    return text;
}

static int64_t number_of(struct json j, const char *name) {
    struct json value;
    int64_t number;
    MUST(find(j, name, &value) && json_integer(&value, &number));
    return number;
}

static size_t hex_of(struct json j, const char *name, unsigned char **to) {
    char *hex = text_of(j, name);
    size_t length = strlen(hex) / 2;
    *to = malloc(length + 1);
    for (size_t i = 0; i < length; i++) {
        unsigned value;
        MUST(sscanf(hex + 2 * i, "%2x", &value) == 1);
        (*to)[i] = (unsigned char)value;
    }
    free(hex);
    return length;
}

static struct json array_in(const char *path, char **text) {
    struct json j;
    FILE *file = fopen(path, "r");
    *text = malloc(4 << 20);
    MUST(file && *text);
    size_t length = fread(*text, 1, 4 << 20, file);
    fclose(file);
    json_begin(&j, *text, length);
    MUST(json_open(&j, '['));
    return j;
}

static void check_packet(struct json vector) {
    struct json datagram, message;
    struct answer answer;
    unsigned char *secret, *salt, *packet, *data, opened[MAX_PACKET_BYTES];
    struct sealer sealer;
    char *name = text_of(vector, "name");
    MUST(hex_of(vector, "secret", &secret) == SECRET_BYTES && hex_of(vector, "salt", &salt) == 8);
    size_t length = hex_of(vector, "packet", &packet);
    MUST(find(vector, "datagram", &datagram) && find(datagram, "message", &message));
    char *kind = text_of(message, "kind");
    sealer_init(&sealer, secret, salt, 5);
    int found = open_answer(&sealer, packet, length, opened, &answer);
    if (strcmp(kind, "Answer") == 0) {
        size_t size = hex_of(message, "data", &data);
        expect(found && answer.kind == ANSWER_VALUE && (int64_t)answer.request_id == number_of(message, "request_id") &&
              answer.code == number_of(message, "code") && answer.length == size && memcmp(answer.data, data, size) == 0, kind, name);
        free(data);
    } else if (strcmp(kind, "ClockWarning") == 0) {
        char *node = text_of(message, "name");
        expect(found && answer.kind == ANSWER_CLOCK && (int64_t)answer.request_id == number_of(message, "instance") &&
              answer.length == strlen(node) && memcmp(answer.data, node, answer.length) == 0, kind, name);
        free(node);
    } else {
        expect(!found, "taken for an answer", name);
    }
    for (size_t i = 0; i < length; i++) {
        expect(!open_answer(&sealer, packet, i, opened, &answer), "cut short", name);
        packet[i] ^= (unsigned char)(1 + i % 255);
        expect(!open_answer(&sealer, packet, length, opened, &answer), "changed", name);
        packet[i] ^= (unsigned char)(1 + i % 255);
    }
    free(secret), free(salt), free(packet), free(name), free(kind);
}

int main(int argc, char **argv) {
    char *text;
    int vectors = 0;
    MUST(argc == 3);
    if (!sealed_is_built()) {
        printf("built without libsodium: there are no sealed questions\n");
        return 0;
    }
    struct json j = array_in(argv[1], &text);
    unsigned char *secret = NULL, *salt, *packet, opened[MAX_PACKET_BYTES], nonce[12] = {1}, question[MAX_PACKET_BYTES];
    struct sealer sealer;
    struct answer answer;
    for (int first = 1; json_more(&j, ']', first) == 1; first = 0, vectors++) {
        if (!secret) {
            hex_of(j, "secret", &secret), hex_of(j, "salt", &salt);
            sealer_init(&sealer, secret, salt, 7);
        }
        check_packet(j);
        MUST(json_skip(&j));
    }
    free(text);
    j = array_in(argv[2], &text);
    for (int first = 1; json_more(&j, ']', first) == 1; first = 0, vectors++) {
        char *name = text_of(j, "name");
        size_t length = hex_of(j, "packet", &packet);
        expect(!open_answer(&sealer, packet, length, opened, &answer), "a bad packet is taken", name);
        free(packet), free(name);
        MUST(json_skip(&j));
    }
    free(text);
    for (size_t length = 0; length <= 100; length++) { /* padded to 256 bytes, or one more where CBOR has no such string */
        char path[101];
        memset(path, 'a', length);
        path[length] = 0;
        size_t size = seal_question(&sealer, 1ull << length % 53, 9, path, 1700000000000, nonce, question);
        expect(size == QUESTION_BYTES || size == QUESTION_BYTES + 1, "the length of a question", path);
        expect(!open_answer(&sealer, question, size, opened, &answer), "a question is taken for an answer", path);
    }
    unsigned char parsed[SECRET_BYTES];
    const char *problem;
    expect(parse_key("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n", 45, parsed, &problem) && memcmp(parsed, secret, SECRET_BYTES) == 0, "a key", "key file");
    static const char *const bad[] = {"", "AAEC", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8", "AAECAwQFBgcICQoL*A0ODxAREhMUFRYXGBkaGxwdHh8=",
                                      "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8= x"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) expect(!parse_key(bad[i], strlen(bad[i]), parsed, &problem), "a bad key is taken", bad[i]);
    free(secret), free(salt);
    printf("%d sealed vectors; %d checks held, %d failed\n", vectors, held, failed);
    return failed != 0;
}
