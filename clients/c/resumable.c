/* One numbered stream of bytes that survives the connections it travels over, without any I/O. */
#include "resumable.h"

static uint64_t least(uint64_t one, uint64_t other) {
    return one < other ? one : other;
}

uint64_t sender_end(const struct sender *s) {
    return s->base + queue_length(&s->kept);
}

size_t sender_room(const struct sender *s) {
    uint64_t kept = sender_end(s) - s->taken;
    return kept < s->window ? (size_t)(s->window - kept) : 0;
}

void sender_begin_at(struct sender *s, uint64_t position) {
    queue_drop(&s->kept, queue_length(&s->kept));
    s->base = s->sent = s->taken = position;
}

static void forget_before(struct sender *s, uint64_t position) {
    if (position <= s->base) return;
    queue_drop(&s->kept, (size_t)(position - s->base));
    s->base = position;
}

void sender_resume(struct sender *s, uint64_t received, uint64_t taken) {
    uint64_t start = least(received > s->base ? received : s->base, sender_end(s));
    forget_before(s, start);
    s->sent = start;
    s->taken = least(taken, start);
}

int sender_acknowledge(struct sender *s, uint64_t position) {
    if (position <= s->taken || position > s->sent) return 0;
    s->taken = position;
    forget_before(s, position);
    return 1;
}

const char *sender_next(struct sender *s, size_t limit, size_t *length) {
    uint64_t allowed = s->taken + s->window > s->sent ? s->taken + s->window - s->sent : 0;
    *length = (size_t)least(least(allowed, limit), sender_end(s) - s->sent);
    if (*length == 0) return "";
    const char *bytes = queue_bytes(&s->kept) + (s->sent - s->base);
    s->sent += *length;
    return bytes;
}

int receiver_receive(struct receiver_end *r, size_t size) {
    if (r->received + size - r->window_start > r->window) return 0;
    r->received += size;
    return 1;
}

void receiver_pass_on(struct receiver_end *r, size_t size) {
    r->taken = least(r->taken + size, r->received);
}

int receiver_acknowledgement(struct receiver_end *r, uint64_t *position) {
    if (r->told == r->taken) return 0;
    *position = r->told = r->taken;
    if (r->taken > r->window_start) r->window_start = r->taken;
    return 1;
}

uint64_t receiver_resume(struct receiver_end *r, uint64_t position) {
    uint64_t waiting = r->received - r->taken, lost = position > r->received ? position - r->received : 0;
    r->received = r->window_start = position;
    r->taken = r->told = position >= waiting ? position - waiting : 0;
    return lost;
}
