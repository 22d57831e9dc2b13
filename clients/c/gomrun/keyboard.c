/* Our own standard input as the input of the job, and the escapes that are typed into it. */
#define _GNU_SOURCE
#include "keyboard.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define CTRL_C 3
#define CTRL_Z 26

int escapes_next(struct escapes *e, unsigned char byte, char out[2], size_t *count) {
    *count = 1;
    out[0] = (char)byte;
    if (e->character < 0) return ESCAPE_BYTES;
    if (e->pending) {
        e->pending = 0;
        if (byte == '.' || byte == CTRL_Z || byte == '?') {
            e->within_line = 0;
            return byte == '.' ? ESCAPE_LEAVE : byte == '?' ? ESCAPE_HELP : ESCAPE_SUSPEND;
        }
        if (byte != e->character) {
            out[0] = (char)e->character, out[1] = (char)byte;
            *count = 2;
        }
    } else if (byte == e->character && !e->within_line) {
        e->pending = e->within_line = 1;
        *count = 0;
        return ESCAPE_BYTES;
    }
    e->within_line = byte != '\r' && byte != '\n';
    return ESCAPE_BYTES;
}

void keyboard_init(struct keyboard *k, struct control *control, int reads, int escape) {
    *k = (struct keyboard){.streams = control->streams, .terminal = control->terminal, .control = control,
                           .escapes = {.character = escape}, .open = reads};
    if (!reads) gomd_streams_end_input(k->streams);
}

int keyboard_may_read(struct keyboard *k, int room) {
    if (!k->open || k->control->leave_at >= 0 || !terminal_look(k->terminal)) return 0;
    if (k->terminal->is_screen) return queue_length(&k->typed) < CHUNK_BYTES;
    return room && gomd_streams_room(k->streams) >= CHUNK_BYTES;
}

static const char *shown(int character, char to[3]) {
    if (character >= 0x20 && character < 0x7f) to[0] = (char)character, to[1] = 0;
    else to[0] = '^', to[1] = (char)(character ^ 0x40), to[2] = 0;
    return to;
}

static void obey(struct keyboard *k, int found) {
    char name[3], text[512];
    shown(k->escapes.character, name);
    if (found == ESCAPE_HELP) {
        snprintf(text, sizeof text,
                 "%s?\nThese escapes are known:\n %s.   %s\n %s^Z  suspend gom; the job goes on\n %s%s   send %s\n %s?   this text\n"
                 "An escape is taken at the start of a line only.",
                 name, name, k->control->stays_alone ? "leave; the job goes on" : "leave; the job is told to end, and killed after 5 s",
                 name, name, name, name, name);
        terminal_show(k->terminal, text);
    } else if (found == ESCAPE_SUSPEND) {
        snprintf(text, sizeof text, "%s^Z [suspend gom]", name);
        terminal_show(k->terminal, text);
        control_suspend(k->control, 1);
    } else {
        snprintf(text, sizeof text, "%s.", name);
        terminal_show(k->terminal, text);
        control_hang_up(k->control);
    }
}

void keyboard_read(struct keyboard *k) {
    static char data[CHUNK_BYTES];
    ssize_t length = read(0, data, sizeof data);
    if (length < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (length <= 0) { /* the end; or we have no standard input, or its terminal was hung up */
        k->open = 0;
        gomd_streams_end_input(k->streams);
    } else if (k->terminal->is_screen) {
        k->interrupted = memchr(data, CTRL_C, (size_t)length) != NULL;
        for (ssize_t i = 0; i < length; i++) {
            char out[2];
            size_t count;
            int found = escapes_next(&k->escapes, (unsigned char)data[i], out, &count);
            if (found != ESCAPE_BYTES) obey(k, found);
            else if (!queue_append(&k->typed, out, count)) k->open = 0;
        }
    } else {
        gomd_streams_put(k->streams, data, (size_t)length);
    }
}

void keyboard_pass_on(struct keyboard *k) {
    size_t room;
    while (queue_length(&k->typed) && (room = gomd_streams_room(k->streams)) > 0) {
        size_t count = room < queue_length(&k->typed) ? room : queue_length(&k->typed);
        if (gomd_streams_put(k->streams, queue_bytes(&k->typed), count) != GOMD_OK) return;
        queue_drop(&k->typed, count);
    }
}
