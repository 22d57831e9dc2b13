/*
 * The parsers of the library, without any connection: the vectors of the line protocol, whole and byte by byte,
 * strict JSON, rows, and 200,000 damaged answers. Its argument is the file of vectors.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../json.h"
#include "../reader.h"
#include "../rows.h"
#include "expect.h"

/* ---- the vectors ---- */

struct reply {
    int code, error_code;
    char *text, *lines[16], *error;
    size_t count;
};

struct vector {
    char *name, *frames, *originals[16];
    unsigned char *bytes;
    size_t length, replies_count, originals_count, rounds_count;
    struct reply replies[8];
    int64_t rounds[16][2];
    int has_frames, has_rounds;
};

static char *take_text(struct json *j) {
    char *text = malloc(json_string_room(j));
    MUST(text && json_string(j, text, NULL));
    return text;
}

static size_t from_hex(const char *hex, unsigned char *to) {
    size_t length = strlen(hex) / 2;
    for (size_t i = 0; i < length; i++) {
        unsigned value;
        MUST(sscanf(hex + 2 * i, "%2x", &value) == 1);
        to[i] = (unsigned char)value;
    }
    return length;
}

static void take_reply(struct json *j, struct reply *reply) {
    char name[16];
    int more;
    int64_t number;
    MUST(json_open(j, '{'));
    for (int first = 1; (more = json_more(j, '}', first)) == 1; first = 0) {
        MUST(json_name(j, name, sizeof name));
        if (strcmp(name, "code") == 0) {
            MUST(json_integer(j, &number));
            reply->code = (int)number;
        } else if (strcmp(name, "text") == 0) {
            reply->text = take_text(j);
        } else if (strcmp(name, "lines") == 0) {
            MUST(json_open(j, '['));
            for (int one = 1; (more = json_more(j, ']', one)) == 1; one = 0) reply->lines[reply->count++] = take_text(j);
        } else if (json_peek(j) == 'n') {
            MUST(json_word(j, "null"));
        } else {
            MUST(strcmp(name, "error") == 0 && json_open(j, '[') && json_more(j, ']', 1) == 1 && json_integer(j, &number));
            reply->error_code = (int)number;
            MUST(json_more(j, ']', 0) == 1);
            reply->error = take_text(j);
            MUST(json_more(j, ']', 0) == 0);
        }
    }
    MUST(more == 0 && reply->text);
}

static void take_vector(struct json *j, struct vector *v) {
    char name[16];
    int more;
    MUST(json_open(j, '{'));
    for (int first = 1; (more = json_more(j, '}', first)) == 1; first = 0) {
        MUST(json_name(j, name, sizeof name));
        if (strcmp(name, "name") == 0) {
            v->name = take_text(j);
        } else if (strcmp(name, "bytes") == 0) {
            char *hex = take_text(j);
            MUST((v->bytes = malloc(strlen(hex) / 2 + 1)));
            v->length = from_hex(hex, v->bytes);
            free(hex);
        } else if (strcmp(name, "frames") == 0) {
            v->has_frames = 1;
            v->frames = take_text(j);
        } else if (strcmp(name, "replies") == 0) {
            MUST(json_open(j, '['));
            for (int one = 1; (more = json_more(j, ']', one)) == 1; one = 0) take_reply(j, &v->replies[v->replies_count++]);
        } else if (strcmp(name, "original") == 0) {
            MUST(json_open(j, '['));
            for (int one = 1; (more = json_more(j, ']', one)) == 1; one = 0) v->originals[v->originals_count++] = take_text(j);
        } else {
            MUST(strcmp(name, "rounds") == 0 && json_open(j, '['));
            v->has_rounds = 1;
            for (int one = 1; (more = json_more(j, ']', one)) == 1; one = 0) {
                int64_t *round = v->rounds[v->rounds_count++];
                MUST(json_open(j, '[') && json_more(j, ']', 1) == 1 && json_integer(j, &round[0]));
                MUST(json_more(j, ']', 0) == 1 && json_integer(j, &round[1]) && json_more(j, ']', 0) == 0);
            }
        }
    }
    MUST(more == 0 && v->name && v->bytes);
}

static void forget_vector(struct vector *v) {
    for (size_t i = 0; i < v->replies_count; i++) {
        for (size_t k = 0; k < v->replies[i].count; k++) free(v->replies[i].lines[k]);
        free(v->replies[i].text);
        free(v->replies[i].error);
    }
    for (size_t i = 0; i < v->originals_count; i++) free(v->originals[i]);
    free(v->name);
    free(v->frames);
    free(v->bytes);
}

/* Compares an event with what the vector says is next. */
struct place {
    size_t reply, line, round;
    int open;
    gomd_rows_t *rows;
};

static int expected(struct place *at, const struct vector *v, enum reader_event event, struct reader *r) {
    if (at->reply >= v->replies_count) return 0;
    const struct reply *reply = &v->replies[at->reply];
    if (event == READER_STATUS) {
        if (at->open || r->code != reply->code || strcmp(r->text, reply->text) != 0) return 0;
        at->open = r->code == 201;
        at->line = 0;
        if (!at->open) at->reply++;
        return 1;
    }
    if (!at->open) return 0;
    if (event == READER_END) {
        at->open = 0;
        at->reply++;
        return at->line == reply->count + (reply->error ? 1 : 0);
    }
    if (at->line == reply->count) {
        const char *text = NULL;
        char *made;
        int code = broken_block(r->text, r->length, &text, &made);
        int good = reply->error && code == reply->error_code && strcmp(text, reply->error) == 0;
        free(made);
        at->line++;
        return good;
    }
    if (strcmp(r->text, reply->lines[at->line]) != 0) return 0;
    if (v->originals_count) {
        unsigned char wanted[256], found[256];
        size_t length = from_hex(v->originals[at->line], wanted);
        MUST(strlen(r->text) < sizeof found);
        if (gomd_original(r->text, found) != length || memcmp(found, wanted, length) != 0) return 0;
    }
    if (v->has_rounds) {
        int complete;
        if (!at->rows) MUST((at->rows = rows_new(ROW_VALUE)));
        if (rows_add_to_round(at->rows, r->text, r->length, &complete) != GOMD_OK) return 0;
        if (complete) {
            int good = at->round < v->rounds_count && gomd_rows_round(at->rows) == v->rounds[at->round][0] &&
                       (int64_t)gomd_rows_count(at->rows) == v->rounds[at->round][1];
            at->round++;
            gomd_rows_free(at->rows);
            at->rows = NULL;
            if (!good) return 0;
        }
    }
    at->line++;
    return 1;
}

static int passes(const struct vector *v, size_t step) {
    struct reader r;
    struct place at = {0};
    int good = 1, frames = 0;
    unsigned char found[256];
    size_t rest = 0;
    reader_init(&r, MAX_LINE_BYTES);
    for (size_t done = 0; good && done < v->length;) {
        size_t count = v->length - done < step ? v->length - done : step, room;
        char *space = reader_space(&r, &room);
        MUST(space);
        if (count > room) count = room;
        memcpy(space, v->bytes + done, count);
        reader_filled(&r, count);
        done += count;
        while (good && !frames) {
            enum reader_event event = reader_next(&r);
            if (event == READER_MORE) break;
            good = event != READER_BAD && expected(&at, v, event, &r);
            frames = good && event == READER_STATUS && r.code == 202;
        }
    }
    if (v->has_frames) {
        unsigned char wanted[256];
        size_t length = from_hex(v->frames, wanted);
        rest = r.end - r.begin;
        MUST(rest < sizeof found);
        memcpy(found, r.bytes + r.begin, rest);
        good = good && frames && rest == length && memcmp(found, wanted, length) == 0;
    }
    good = good && at.reply == v->replies_count && at.round == v->rounds_count && !at.rows;
    gomd_rows_free(at.rows);
    reader_free(&r);
    return good;
}

/* ---- damaged answers ---- */

static uint32_t random_state = 2003;

static uint32_t next_random(void) { /* xorshift32: the same damage each time */
    random_state ^= random_state << 13;
    random_state ^= random_state >> 17;
    random_state ^= random_state << 5;
    return random_state;
}

static void digest(const unsigned char *bytes, size_t length, enum kind kind) {
    struct reader r;
    gomd_rows_t *rows = rows_new(kind);
    MUST(rows);
    reader_init(&r, 4096);
    for (size_t done = 0; done < length;) {
        size_t room, count = 1 + next_random() % 64;
        char *space = reader_space(&r, &room);
        MUST(space);
        if (count > room) count = room;
        if (count > length - done) count = length - done;
        memcpy(space, bytes + done, count);
        reader_filled(&r, count);
        done += count;
        enum reader_event event;
        while ((event = reader_next(&r)) != READER_MORE && event != READER_BAD) {
            int complete;
            const char *text;
            char *made;
            if (event != READER_LINE) continue;
            (void)broken_block(r.text, r.length, &text, &made);
            free(made);
            int error = rows_add_to_round(rows, r.text, r.length, &complete);
            (void)rows_failure(rows, &text);
            if (error == GOMD_OK && !complete) continue;
            gomd_rows_free(rows);
            MUST((rows = rows_new(kind)));
        }
        if (event == READER_BAD) break;
    }
    gomd_rows_free(rows);
    reader_free(&r);
}

static const char *const samples[] = {
    "201 2 nodes\r\n{\"id\": 1, \"name\": \"a\\u00e9\\ud83d\\ude00\", \"address\": \"127.0.0.1\", \"status\": 3, \"up\": true, \"load\": null, "
    "\"speed\": 15000, \"cpus\": 2, \"util\": 200, \"mem\": 9007199254740993, \"rmem\": 1, \"tmem\": 2, \"age\": 0.25, "
    "\"addresses\": [\"127.0.0.1\", \"::\\u0031\"], \"round\": 1, \"rows\": 1}\r\n.\r\n",
    "201 x\r\n{\"job\": 1, \"home\": 1, \"node\": 1, \"pid\": null, \"user\": \"u\", \"state\": \"done\", \"exit\": -3, \"command\": \"c\", "
    "\"uid\": 0, \"started\": 1.5e9, \"ended\": null, \"reason\": \"\", \"nmigs\": 0, \"lock\": false, \"detached\": false, "
    "\"pid_there\": null, \"cantmove\": \"\", \"former\": [1, 22, 333], \"memory_max\": null, \"identity\": \"1-2-3\", \"new\": [[{}, \"x\"]]}\r\n"
    "{\"code\": 504, \"error\": \"no answer\"}\r\n.\r\n200 5\r\n",
    ("201 x\r\n{\"from\": 3, \"value\": {\"mem\": 5, \"rmem\": null, \"tmem\": 7}, \"round\": 9, \"rows\": 2, \"rows_age\": 1.25}\r\n"
    "{\"from\": 4, \"left\": true, \"round\": 9, \"rows\": 2}\r\n..x\r\n! 502 gone\r\n.\r\n"),
};

static void damage(void) {
    unsigned char bytes[2048];
    for (int i = 0; i < 200000; i++) {
        const char *sample = samples[next_random() % (sizeof samples / sizeof *samples)];
        size_t length = strlen(sample);
        MUST(length < sizeof bytes);
        memcpy(bytes, sample, length);
        for (uint32_t times = next_random() % 4; times; times--) {
            static const char interesting[] = "\"\\{}[],:.0-eE\r\n\0nu\xff\xc3";
            bytes[next_random() % length] =
                next_random() % 2 ? (unsigned char)interesting[next_random() % (sizeof interesting - 1)] : (unsigned char)next_random();
        }
        if (next_random() % 4 == 0) length = 1 + next_random() % length;
        digest(bytes, length, (enum kind)(next_random() % ROW_KINDS));
    }
    held++;
}

/* ---- JSON and rows ---- */

static int is_json(const char *text, size_t length) {
    char *copy = malloc(length + 1); /* exactly as long, so that the sanitizer sees a read behind it */
    struct json j;
    MUST(copy);
    memcpy(copy, text, length);
    json_begin(&j, copy, length);
    int good = json_skip(&j) && json_end(&j);
    free(copy);
    return good;
}

static void check_json(void) {
    static const char *const good[] = {
        "{}", "[]", " [1 , 2] ", "0", "-0", "1.5", "1e5", "1E-5", "\"\"", "\"\\ud83d\\ude00\"", "\"\xc3\xa9\"", "null", "true", "false",
        "{\"a\": [{\"b\": null}]}", "18446744073709551616", "[[[[[[[[[[1]]]]]]]]]]"};
    static const char *const bad_ones[] = {
        "", " ", "{", "[", "[1,]", "{\"a\":1,}", "{a: 1}", "{\"a\" 1}", "[1 2]", "01", "+1", "1.", ".5", "1e", "- 1", "NaN", "Infinity",
        "nul", "truex", "\"", "\"\\", "\"\\x41\"", "\"\\u12\"", "\"\\ud800\"", "\"\\udc00\"", "\"\\ud800\\u0041\"", "\"\\u0000\"", "\"\x01\"",
        "\"\xff\"", "\"\xc0\x80\"", "\"\xed\xa0\x80\"", "\"\xf4\x90\x80\x80\"", "\"\xe2\x82\"", "1 1", "{\"a\":1}x", "[1}", "'a'", "1e999",
        "//x\n1"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) expect(is_json(good[i], strlen(good[i])), "refused", good[i]);
    for (size_t i = 0; i < sizeof bad_ones / sizeof *bad_ones; i++) expect(!is_json(bad_ones[i], strlen(bad_ones[i])), "taken", bad_ones[i]);
    char *deep = malloc(200000);
    MUST(deep);
    memset(deep, '[', 100000);
    memset(deep + 100000, ']', 100000);
    expect(!is_json(deep, 200000), "taken", "a hundred thousand brackets");
    expect(is_json(deep + 100000 - JSON_DEPTH, 2 * JSON_DEPTH), "refused", "as deep as is allowed");
    free(deep);

    static const struct { const char *text; double value; } numbers[] = {
        {"0.1", 0.1}, {"-2.5e3", -2500}, {"1764368269.123456", 1764368269.123456}, {"123456789012345678901234567890", 1.2345678901234568e29},
        {"0.000000000000000000000000000001", 1e-30}, {"1e308", 1e308}, {"1e-400", 0}};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        struct json j;
        double value = -1;
        json_begin(&j, numbers[i].text, strlen(numbers[i].text));
        int read = json_number(&j, &value);
        /* what a daemon writes is exact; large exponents are as good as the machine's long double */
        double apart = fabs(value - numbers[i].value);
        expect(read && apart <= (i < 3 ? 0 : fabs(numbers[i].value) * 1e-14), "another number", numbers[i].text);
    }
    static const struct { const char *text; int good; int64_t value; } integers[] = {
        {"9007199254740993", 1, 9007199254740993}, {"9223372036854775807", 1, INT64_MAX}, {"-9223372036854775807", 1, -INT64_MAX},
        {"9223372036854775808", 0, 0}, {"-9223372036854775808", 0, 0}, {"18446744073709551616", 0, 0}, {"1.0", 0, 0}, {"1e3", 0, 0}};
    for (size_t i = 0; i < sizeof integers / sizeof *integers; i++) {
        struct json j;
        int64_t value = 0;
        json_begin(&j, integers[i].text, strlen(integers[i].text));
        int read = json_integer(&j, &value);
        expect(read == integers[i].good && (!read || value == integers[i].value), "another whole number", integers[i].text);
    }
}

static int add(enum kind kind, const char *line) {
    gomd_rows_t *rows = rows_new(kind);
    MUST(rows);
    int error = rows_add(rows, line, strlen(line));
    gomd_rows_free(rows);
    return error;
}

static void check_rows(void) {
    static const char *const bad_names[] = {
        "{\"name\": 5}", "{\"name\": null}", "{}", "{\"name\": \"a\", \"name\": \"b\"}", "[\"name\"]", "5", "\"name\"", "{\"name\": \"a\"} x",
        "{\"name\": \"a\", \"from\": \"b\"}", "", "{\"name\": \"a\", \"other\": nul}"};
    for (size_t i = 0; i < sizeof bad_names / sizeof *bad_names; i++) expect(add(ROW_NAME, bad_names[i]) == GOMD_E_REPLY, "taken as a row", bad_names[i]);
    expect(add(ROW_NAME, "{\"new\": {\"a\": [1]}, \"name\": \"a\"}") == GOMD_OK, "refused", "a row with a new name");
    expect(add(ROW_JOB, "{\"former\": [1, \"x\"]}") == GOMD_E_REPLY, "taken as a row", "a list of texts");
    expect(add(ROW_NODE, "{\"addresses\": [1]}") == GOMD_E_REPLY, "taken as a row", "a list of numbers");
    expect(add(ROW_NODE, "{\"addresses\": [\"a\\ud800\"]}") == GOMD_E_REPLY, "taken as a row", "half a character");

    gomd_rows_t *rows = rows_new(ROW_NODE);
    MUST(rows);
    const char *line = "{\"id\": 1, \"name\": \"a\", \"address\": \"10.0.0.1\", \"status\": 3, \"up\": true, \"load\": 1, \"speed\": 1, "
                       "\"cpus\": 1, \"util\": 1, \"mem\": 1, \"rmem\": 1, \"tmem\": 1, \"age\": 1, \"addresses\": [\"10.0.0.1\", \"fd00::\\u0031\"]}";
    expect(rows_add(rows, line, strlen(line)) == GOMD_OK, "refused", line);
    const gomd_node_row_t *node = gomd_rows_node(rows, 0);
    MUST(node);
    expect(strcmp(node->addresses, "10.0.0.1,fd00::1") == 0, "read wrongly", node->addresses);
    gomd_rows_free(rows);

    rows = rows_new(ROW_MEMORY);
    MUST(rows);
    line = "{\"from\": 3, \"value\": {\"mem\": 9007199254740993, \"rmem\": null, \"tmem\": 7}}";
    expect(rows_add(rows, line, strlen(line)) == GOMD_OK, "refused", line);
    const gomd_memory_t *memory = gomd_rows_memory(rows, 0);
    expect(memory && memory->mem == 9007199254740993 && memory->rmem == GOMD_UNKNOWN && memory->tmem == 7, "another value", line);
    expect(gomd_rows_source(rows, 0)->from == 3 && !gomd_rows_memory(rows, 1) && !gomd_rows_value(rows, 0), "another row", line);
    line = "{\"from\": 4, \"code\": 502, \"error\": \"gone\"}";
    expect(rows_add(rows, line, strlen(line)) == GOMD_OK && !gomd_rows_memory(rows, 1), "a row of a node that failed", line);
    expect(strcmp(gomd_rows_source(rows, 1)->error, "gone") == 0, "another error", line);
    gomd_rows_free(rows);

    static const char *const half[] = {
        "{\"value\": 1, \"round\": 1, \"rows\": 2}|{\"value\": 1, \"round\": 2, \"rows\": 2}",
        "{\"value\": 1, \"round\": 1, \"rows\": 2}|{\"value\": 1, \"round\": 1, \"rows\": 3}",
        "{\"value\": 1, \"round\": 1, \"rows\": 2}|{\"value\": 1}", "{\"value\": 1, \"round\": 1, \"rows\": -1}",
        "{\"value\": 1, \"round\": 1, \"rows\": 4000000000}"};
    for (size_t i = 0; i < sizeof half / sizeof *half; i++) {
        const char *second = strchr(half[i], '|');
        size_t length = second ? (size_t)(second - half[i]) : strlen(half[i]);
        int complete, error;
        MUST((rows = rows_new(ROW_VALUE)));
        error = rows_add_to_round(rows, half[i], length, &complete);
        if (second) error = error == GOMD_OK && !complete ? rows_add_to_round(rows, second + 1, strlen(second + 1), &complete) : GOMD_OK;
        expect(error == GOMD_E_REPLY, "taken as a round", half[i]);
        gomd_rows_free(rows);
    }
}

static void check_lines(void) {
    static const struct { const char *bytes; size_t length; } bad_lines[] = {
        {"2000 x\r\n", 8}, {"20 x\r\n", 6}, {"x\r\n", 3}, {"200x\r\n", 6}, {"\r\n", 2}, {"199 x\r\n", 7}, {"600 x\r\n", 7}, {"200 a\0b\r\n", 9},
        {"201 x\r\na\0b\r\n", 12}};
    for (size_t i = 0; i < sizeof bad_lines / sizeof *bad_lines; i++) {
        struct reader r;
        size_t room;
        enum reader_event event;
        reader_init(&r, 100);
        char *space = reader_space(&r, &room);
        MUST(space && room >= bad_lines[i].length);
        memcpy(space, bad_lines[i].bytes, bad_lines[i].length);
        reader_filled(&r, bad_lines[i].length);
        while ((event = reader_next(&r)) != READER_BAD && event != READER_MORE) continue;
        expect(event == READER_BAD, "taken as a line", bad_lines[i].bytes);
        reader_free(&r);
    }
    struct reader r;
    size_t room;
    reader_init(&r, 100);
    char *space = reader_space(&r, &room);
    MUST(space && room > 200);
    memset(space, '2', 200);
    reader_filled(&r, 101);
    expect(reader_next(&r) == READER_BAD, "taken as a line", "one that is too long and has no end");
    reader_free(&r);
}

int main(int argc, char **argv) {
    MUST(argc == 2);
    FILE *file = fopen(argv[1], "rb");
    MUST(file && fseek(file, 0, SEEK_END) == 0);
    long length = ftell(file);
    MUST(length > 0 && fseek(file, 0, SEEK_SET) == 0);
    char *text = malloc((size_t)length);
    MUST(text && fread(text, 1, (size_t)length, file) == (size_t)length);
    fclose(file);
    struct json j;
    int vectors = 0, more;
    json_begin(&j, text, (size_t)length);
    MUST(json_open(&j, '['));
    for (int first = 1; (more = json_more(&j, ']', first)) == 1; first = 0, vectors++) {
        struct vector v = {0};
        take_vector(&j, &v);
        expect(passes(&v, v.length), "read whole", v.name);
        expect(passes(&v, 1), "read byte by byte", v.name);
        forget_vector(&v);
    }
    MUST(more == 0 && vectors > 5);
    free(text);
    check_json();
    check_rows();
    check_lines();
    damage();
    printf("%d vectors; %d checks held, %d failed\n", vectors, held, failed);
    return failed ? 1 : 0;
}
